package replay_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

// piece is the beginning of a trace, as the captures' recorder writes it: all of
// an emulated machine (QEMU) with Debian's 6.1 or 6.12, cut where the thing that
// it is about is over.
type piece struct {
	name   string
	kernel string
	cpus   int
	probes string // capture with the same probes
	debug  string // tunables/debug_sched.txt, where it is not the default
	sysctl string
	hints  int
}

var pieces = []piece{
	// Groups on two CPUs: which queues are one group's; picks after newly idle
	// balancing.
	{name: "groups-2cpu", kernel: "6.1.0-56-amd64", cpus: 2, probes: "sched-cfs-smp-2cpu"},
	// Times and features set: sched_nr_latency stays; the child runs first.
	{name: "features", kernel: "6.1.0-56-amd64", cpus: 1, probes: "sched-cfs-nice-1cpu",
		debug: "latency_ns: 10000000\nwakeup_granularity_ns: 2000000\n" +
			"features: NO_GENTLE_FAIR_SLEEPERS NO_START_DEBIT NEXT_BUDDY NO_LAST_BUDDY NO_ALT_PERIOD\n", sysctl: "sched_child_runs_first: 1\n"},
	// Groups with cpu.idle.
	{name: "idle-groups", kernel: "6.1.0-56-amd64", cpus: 1, probes: "sched-cfs-groups-1cpu"},
	// Load tracking on two CPUs: updates by load balancing, loads that move.
	{name: "load-2cpu", kernel: "6.1.0-56-amd64", cpus: 2, probes: "sched-pelt-1cpu"},
	// Load tracking with groups into which tasks go.
	{name: "load-groups", kernel: "6.1.0-56-amd64", cpus: 1, probes: "sched-pelt-1cpu"},
	// Deadline tasks that wait for locks of real-time tasks: their priority and
	// parameters are lent.
	{name: "deadline-donors", kernel: "6.1.0-56-amd64", cpus: 1, probes: "sched-deadline-1cpu", hints: 1},
	// Groups on two CPUs with 6.12.
	{name: "eevdf-groups-2cpu", kernel: "6.12.117+deb12-amd64", cpus: 2, probes: "sched-eevdf-nice-1cpu"},
	// Deadline tasks that reclaim what others leave (GRUB).
	{name: "reclaim", kernel: "6.1.0-56-amd64", cpus: 1, probes: "sched-deadline-1cpu"},
}

func (p *piece) capture(t testing.TB) replay.Capture {
	t.Helper()
	trace, err := os.ReadFile(filepath.Join("testdata", "sched", p.name+".zst"))
	require.NoError(t, err)
	meta := `{"kernel_release": "` + p.kernel + `", "machine": "QEMU", "cpus": ` + strconv.Itoa(p.cpus) + `}`
	return replay.Capture{Name: p.name, FS: fstest.MapFS{
		"trace.txt.zst":            {Data: trace},
		"meta.json":                {Data: []byte(meta)},
		"probes.txt":               {Data: []byte(text(t, capture(t, p.probes), "probes.txt"))},
		"tunables/debug_sched.txt": {Data: []byte("tunable_scaling: 1\n" + p.debug)},
		"tunables/sysctl.txt":      {Data: []byte(p.sysctl)},
	}}
}

// TestSchedPieces replays the pieces: each was different before the rule that it
// is about was known.
func TestSchedPieces(t *testing.T) {
	for _, p := range pieces {
		t.Run(p.name, func(t *testing.T) {
			rows, err := replay.Run(context.Background(), p.capture(t), replay.Options{Model: "sched"})
			require.NoError(t, err)
			require.Greater(t, rows[0].Requests, 1000)
			require.True(t, rows[0].ExactAll(), rows[0].FirstDifference)
			require.Equal(t, p.hints, rows[0].Hints, "%v", rows[0].HintKinds)
		})
	}
}

// TestSchedCutAtEnd: wherever a trace ends, what it shows is the model's. One of a
// few lines may show too little to begin with.
func TestSchedCutAtEnd(t *testing.T) {
	for _, p := range pieces {
		whole := p.capture(t)
		lines := strings.SplitAfter(text(t, whole, "trace.txt"), "\n")
		for _, keep := range []int{1, 3, 50, 71, 101, 152, 187} {
			cut := changed(t, whole, map[string]string{"trace.txt": strings.Join(lines[:min(keep, len(lines))], "")})
			rows, err := replay.Run(context.Background(), cut, replay.Options{Model: "sched"})
			require.NoError(t, err)
			require.True(t, keep < 50 || rows[0].ExactAll(), "%s, %d lines: %s", p.name, keep, rows[0].FirstDifference)
		}
	}
}

// TestSchedLinesMissing: without one line in fifty there are differences, or a
// typed error, and the rest of the trace is replayed.
func TestSchedLinesMissing(t *testing.T) {
	for _, p := range pieces {
		whole := p.capture(t)
		lines := strings.SplitAfter(text(t, whole, "trace.txt"), "\n")
		for from := range 5 {
			var b strings.Builder
			for i, line := range lines {
				if i%50 != 10*from {
					b.WriteString(line)
				}
			}
			rows, err := replay.Run(context.Background(), changed(t, whole, map[string]string{"trace.txt": b.String()}), replay.Options{Model: "sched"})
			var broken *replay.ContradictionError
			if errors.As(err, &broken) {
				require.Positive(t, broken.Line)
				continue
			}
			require.NoError(t, err)
			require.False(t, rows[0].ExactAll(), p.name)
			require.Greater(t, 2*rows[0].Exact, rows[0].Requests, p.name)
		}
	}
}
