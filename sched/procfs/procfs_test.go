package procfs_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/procfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"io"
)

// captured calls f with every file of a name that the captures have, plain.
func captured(t *testing.T, name string, f func(t *testing.T, where string, text []byte)) {
	t.Helper()
	n := 0
	for _, info := range captures.List() {
		fsys, err := captures.Open(info.Name)
		if err != nil {
			continue
		}
		for _, dir := range []string{"before", "after"} {
			c := replay.Capture{Name: info.Name, FS: fsys}
			if !c.Has(dir + "/" + name) {
				continue
			}
			in, _, err := c.Open(dir + "/" + name)
			require.NoError(t, err)
			text, err := io.ReadAll(in)
			require.NoError(t, err)
			in.Close()
			n++
			t.Run(info.Name+"/"+dir, func(t *testing.T) { f(t, info.Name, text) })
		}
	}
	require.Greater(t, n, 5)
}

func formOf(name string) procfs.Form {
	if strings.Contains(name, "eevdf") {
		return procfs.Linux6_12
	}
	return procfs.Linux6_1
}

// TestTaskFiles reads what kernels printed of their tasks and writes it again,
// byte by byte; averages follow from the other figures.
func TestTaskFiles(t *testing.T) {
	head := regexp.MustCompile(`(?m)^== .*\n`)
	captured(t, "proc_sched.txt", func(t *testing.T, where string, text []byte) {
		blocks := head.Split(string(text), -1)[1:]
		require.NotEmpty(t, blocks)
		for _, b := range blocks {
			b = strings.TrimRight(b, "\n") + "\n"
			if b == "\n" {
				continue // the task was gone
			}
			x, err := procfs.ReadTaskSched(strings.NewReader(b), where)
			require.NoError(t, err)
			var out bytes.Buffer
			_, err = x.WriteTo(&out)
			require.NoError(t, err)
			require.Equal(t, b, out.String())
			get := func(name string) int64 {
				v, ok := x.Value(name)
				require.True(t, ok, name)
				return v
			}
			if n := get("nr_switches"); n > 0 {
				require.Equal(t, get("se.sum_exec_runtime")/n, get("avg_atom"))
			}
			require.Equal(t, get("nr_switches"), get("nr_voluntary_switches")+get("nr_involuntary_switches"))
		}
	})
}

// TestDebugFiles does the same with the queues, and makes every task's row from
// its values.
func TestDebugFiles(t *testing.T) {
	rows := 0
	captured(t, "sched_debug.txt", func(t *testing.T, where string, text []byte) {
		d, err := procfs.ReadDebug(bytes.NewReader(text), where)
		require.NoError(t, err)
		var out bytes.Buffer
		_, err = d.WriteTo(&out)
		require.NoError(t, err)
		require.Equal(t, string(text), out.String())
		f := formOf(where)
		for i := range d.CPUs {
			for _, q := range d.CPUs[i].Queues {
				for _, l := range q.Lines {
					v, ok := l.Int()
					require.True(t, ok, l.Name)
					if strings.Contains(l.Text, ".") && v > 1_000_000 {
						require.Equal(t, l, procfs.NS(l.Name, v))
					}
				}
			}
			for _, row := range d.CPUs[i].Tasks {
				x, ok := procfs.ParseTask(row, f)
				require.True(t, ok, row)
				require.Equal(t, row, x.Text(f))
				rows++
			}
		}
	})
	require.Greater(t, rows, 1000)
}

// names are the lines' names of a queue or CPU.
func names(lines []procfs.Line) (out []string) {
	for _, l := range lines {
		out = append(out, l.Name)
	}
	return out
}

// simulate runs a small load.
func simulate(t *testing.T, p sched.Profile) (*procfs.Stats, *sched.Sim) {
	const ms = 1_000_000
	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: p, LoadTracking: true}, Specs: []sched.TaskSpec{
		{Comm: "hog", Program: sched.Loop(sched.Compute(10 * ms))},
		{Comm: "io", Attr: sched.Attr{Nice: -5}, Program: sched.Loop(sched.Compute(ms), sched.Sleep(9*ms))},
		{Comm: "dl", Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: 2 * ms, Deadline: 10 * ms}, Program: sched.Loop(sched.Compute(ms), sched.Every(10*ms))},
	}})
	require.NoError(t, err)
	_, err = s.SpawnAll()
	require.NoError(t, err)
	x := procfs.NewStats(s)
	s.Watch(x.Watch)
	require.NoError(t, s.Run(1_000_000_000))
	return x, s
}

// TestSimulationsPrintLikeKernels compares the texts of a simulation with those of
// kernels: the same lines in the same order, and figures that agree with each
// other.
func TestSimulationsPrintLikeKernels(t *testing.T) {
	for _, c := range []struct {
		f       procfs.Form
		p       sched.Profile
		capture string
	}{{procfs.Linux6_1, sched.Linux6_1, "sched-cfs-nice-1cpu"}, {procfs.Linux6_12, sched.Debian6_12, "sched-eevdf-nice-1cpu"}} {
		fsys, err := captures.Open(c.capture)
		require.NoError(t, err)
		open := func(name string) io.Reader {
			in, _, err := replay.Capture{FS: fsys}.Open("after/" + name)
			require.NoError(t, err)
			text, err := io.ReadAll(in)
			require.NoError(t, err)
			if i := bytes.Index(text, []byte("\n== ")); name == "proc_sched.txt" {
				// The first task alone.
				return bytes.NewReader(text[bytes.IndexByte(text, '\n')+1 : i+1])
			}
			return bytes.NewReader(text)
		}
		kernel, err := procfs.ReadDebug(open("sched_debug.txt"), c.capture)
		require.NoError(t, err)
		x, s := simulate(t, c.p)
		model := x.Debug(c.f, "6.1")
		assert.Equal(t, names(kernel.Head), names(model.Head))
		assert.Equal(t, names(kernel.Sysctl), names(model.Sysctl))
		assert.Equal(t, names(kernel.CPUs[0].Lines), names(model.CPUs[0].Lines))
		assert.Equal(t, kernel.CPUs[0].Header, model.CPUs[0].Header)
		require.Len(t, model.CPUs[0].Queues, len(kernel.CPUs[0].Queues))
		for i := range kernel.CPUs[0].Queues {
			assert.Equal(t, names(kernel.CPUs[0].Queues[i].Lines), names(model.CPUs[0].Queues[i].Lines))
		}
		for _, row := range model.CPUs[0].Tasks {
			_, ok := procfs.ParseTask(row, c.f)
			assert.True(t, ok, row)
		}
		limit, _ := model.CPUs[0].Queues[2].Value("dl_bw->bw")
		assert.Equal(t, int64(996147), limit, "950000 of 1000000, as every kernel prints it")

		task, err := procfs.ReadTaskSched(open("proc_sched.txt"), c.capture)
		require.NoError(t, err)
		hog := sched.TaskID(1)
		mine := x.Task(hog, c.f)
		assert.Equal(t, names(task.Lines), names(mine.Lines))
		run, _ := mine.Value("se.sum_exec_runtime")
		wait, _ := mine.Value("wait_sum")
		assert.Equal(t, s.Times(hog).Wait, uint64(wait))
		assert.InDelta(t, 1e9, run+wait, 4.1e6, "it always runs or waits; up to a tick is not counted yet")
		st := x.Schedstat(15, 250)
		assert.Equal(t, uint64(250), st.Timestamp)
		assert.Equal(t, uint64(1_000_000_000), st.CPUs[0].Run+s.IdleTime(0))
	}
}

func TestSchedstat(t *testing.T) {
	const text = `version 15
timestamp 4294896865
cpu0 0 0 512 46 259 202 9054885472 11693209713 1052
domain0 f 133 133 0 0 0 0 0 133 38 22 10 8354 8 0 0 22 1 1 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 57 13 0
cpu1 0 0 935 248 323 298 7540014431 11001632353 1045
`
	s, err := procfs.ReadSchedstat(strings.NewReader(text), "x")
	require.NoError(t, err)
	assert.Len(t, s.CPUs[0].Domains[0].Counters, 36)
	var out bytes.Buffer
	_, err = s.WriteTo(&out)
	require.NoError(t, err)
	assert.Equal(t, text, out.String())
	if real, err := os.ReadFile("/proc/schedstat"); err == nil {
		if s, err := procfs.ReadSchedstat(bytes.NewReader(real), "/proc/schedstat"); assert.NoError(t, err) {
			out.Reset()
			_, _ = s.WriteTo(&out)
			assert.Equal(t, len(strings.Fields(string(real))), len(strings.Fields(out.String())))
		}
	}
}

func TestBroken(t *testing.T) {
	for name, read := range map[string]func(string) error{
		"task":  func(s string) error { _, err := procfs.ReadTaskSched(strings.NewReader(s), "f"); return err },
		"debug": func(s string) error { _, err := procfs.ReadDebug(strings.NewReader(s), "f"); return err },
		"stat":  func(s string) error { _, err := procfs.ReadSchedstat(strings.NewReader(s), "f"); return err },
	} {
		for _, text := range []string{"", "x", "x (1, #threads: 1)\n---", "Sched Debug Version: 1\nfoo\n", "version 15\n", "version 15\ntimestamp 1\ncpu0 1\n", "version 15\ntimestamp 1\ndomain0 1 2\n"} {
			var wrong *procfs.ParseError
			require.ErrorAs(t, read(text), &wrong, "%s %q", name, text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Sched Debug Version: v\na: 1\ncpu#0\n  .x: 1.000001\ncfs_rq[0]:/\n .y: 3\nrunnable tasks:\nS\n-\n row\n")
	f.Add("cat (1, #threads: 1)\n-------------------------------------------------------------------\nse.vruntime : 1.000000\n")
	f.Add("version 15\ntimestamp 1\ncpu0 0 0 1 2 3 4 5 6 7\ndomain0 f 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := procfs.ReadDebug(strings.NewReader(text), "f"); err == nil {
			_, _ = d.WriteTo(io.Discard)
		}
		if x, err := procfs.ReadTaskSched(strings.NewReader(text), "f"); err == nil {
			_, _ = x.WriteTo(io.Discard)
		}
		if s, err := procfs.ReadSchedstat(strings.NewReader(text), "f"); err == nil {
			_, _ = s.WriteTo(io.Discard)
		}
		for _, form := range []procfs.Form{procfs.Linux6_1, procfs.Linux6_12} {
			if x, ok := procfs.ParseTask(text, form); ok {
				_ = x.Text(form)
			}
		}
	})
}
