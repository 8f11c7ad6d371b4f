package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func runKernsim(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

const desktop = "../../examples/sched/desktop.json"

// TestSchedAndSchedtop runs the example workload, and finds in the trace that
// it wrote what the simulation itself counted.
func TestSchedAndSchedtop(t *testing.T) {
	dir := t.TempDir()
	text, gantt := filepath.Join(dir, "trace.txt"), filepath.Join(dir, "gantt.svg")
	code, out, errs := runKernsim(t, "sched", "--json", "--cpus=2", "--trace="+text, "--gantt="+gantt, desktop)
	require.Zero(t, code, errs)
	var sim []schedTask
	require.NoError(t, json.Unmarshal([]byte(out), &sim))
	require.Len(t, sim, 8)

	code, out, errs = runKernsim(t, "schedtop", "--json", text)
	require.Zero(t, code, errs)
	var top []topTask
	require.NoError(t, json.Unmarshal([]byte(out), &top))
	require.Len(t, top, len(sim))
	byName := map[string]topTask{}
	for _, x := range top {
		byName[x.Comm] = x
	}
	for _, x := range sim {
		y := byName[x.Comm]
		// The trace ends with its last event, a little before the simulation.
		assert.InDelta(t, x.Run, y.Run, 5e6, x.Comm)
		assert.Equal(t, x.MaxLatency, y.MaxLatency, x.Comm)
		assert.Equal(t, int(x.Wakeups), y.Wakeups, x.Comm)
		assert.Equal(t, int(x.Involuntary), y.Preempted, x.Comm)
	}
	svg, err := os.ReadFile(gantt)
	require.NoError(t, err)
	assert.Contains(t, string(svg), "indexer")
	code, _, errs = runKernsim(t, "replay", "--model=switches", traceDir(t, text))
	require.Zero(t, code, errs)
}

// TestWhatIf runs what a real kernel's tasks did under two schedulers. Nothing
// that was computed is lost, and the table begins with the trace's own figures.
func TestWhatIf(t *testing.T) {
	const trace = "../../captures/data/sched-eevdf-nice-1cpu/trace.txt.zst"
	code, out, errs := runKernsim(t, "sched", "--from-trace", "--json", "--kernel=6.1,6.12-debian", "--duration=60s", trace)
	require.Zero(t, code, errs)
	var rows []whatIfRow
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Equal(t, "as recorded", rows[0].Scheduler)
	tasks := rows[0].Tasks
	require.Greater(t, tasks, 5)
	for i := 0; i < len(rows); i += 3 {
		recorded, cfs, eevdf := rows[i], rows[i+1], rows[i+2]
		assert.Equal(t, recorded.Comm, cfs.Comm)
		assert.Equal(t, "6.12-debian", eevdf.Scheduler)
		// Whoever had more to do at the end gets a nanosecond for it.
		for _, x := range []whatIfRow{cfs, eevdf} {
			assert.Equal(t, recorded.Tasks, x.Tasks, x.Comm)
			assert.GreaterOrEqual(t, x.Run, recorded.Run, x.Comm)
			assert.LessOrEqual(t, x.Run, recorded.Run+uint64(tasks), x.Comm)
		}
	}
	_, out, _ = runKernsim(t, "sched", "--from-trace", "--kernel=6.12", trace)
	assert.Contains(t, out, "as recorded")
	code, _, errs = runKernsim(t, "sched", "--from-trace", desktop)
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "desktop.json:1: found \"{\", expected an event")
	code, _, errs = runKernsim(t, "sched", "--from-trace", "--kernel=6.1,6.12", "--gantt=x.svg", trace)
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "want one --kernel")
}

// TestFilteredTrace: where a trace has only some switches of a machine, no task
// gets time that may have been another's.
func TestFilteredTrace(t *testing.T) {
	const trace = "../../captures/extra/hw-x86_64-epyc-6.18-sched/trace.txt.zst"
	const nobodys = "288 switches leave another task than the last one went to: 2000.016 ms of CPU time are nobody's"
	for _, args := range [][]string{{"schedtop", trace}, {"sched", "--from-trace", trace}} {
		code, out, errs := runKernsim(t, args...)
		require.Zero(t, code, errs)
		assert.Contains(t, out, nobodys)
	}
	_, out, _ := runKernsim(t, "schedtop", "--json", trace)
	var top []topTask
	require.NoError(t, json.Unmarshal([]byte(out), &top))
	sum := uint64(0)
	for _, x := range top {
		sum += x.Run
	}
	// The CPU was never seen idle; the trace has 4042.862 ms.
	assert.Equal(t, uint64(4_042_862_000), sum+2_000_016_000)
}

// traceDir puts a trace into a folder of its own.
func traceDir(t *testing.T, file string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "own")
	require.NoError(t, os.Mkdir(dir, 0o755))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "trace.txt"), text, 0o644))
	return dir
}

func TestSchedSaysWhatIsWrong(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	require.NoError(t, os.WriteFile(bad, []byte(`{"tasks": {"a": {"policy": "SCHED_DEADLINE", "dl-runtime": 9, "dl-period": 5, "run": 1}}}`), 0o644))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sched"}, "accepts 1 arg"},
		{[]string{"sched", "nowhere.json"}, "nowhere.json"},
		{[]string{"sched", bad}, "runtime <= deadline <= period"},
		{[]string{"sched", "--kernel=2.4", desktop}, "unknown kernel"},
		{[]string{"sched", "--preempt=maybe", desktop}, "unknown preemption model"},
		{[]string{"sched", "--cpus=0", desktop}, "CPUs is 0"},
		{[]string{"schedtop", bad}, "bad.json"},
	} {
		code, _, errs := runKernsim(t, c.args...)
		assert.Equal(t, 2, code, c.args)
		assert.Contains(t, errs, c.want)
	}
}
