package viz

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/trace"
)

func capture(t *testing.T, name string) replay.Capture {
	t.Helper()
	fsys, err := captures.Open(name)
	require.NoError(t, err)
	return replay.Capture{Name: name, FS: fsys}
}

func recordReplay(t *testing.T, name string, rec *SchedRecorder) map[string]Graph {
	t.Helper()
	_, err := replay.Run(context.Background(), capture(t, name), replay.Options{Model: "sched", ObserveSched: rec.Observe})
	require.NoError(t, err)
	out := map[string]Graph{}
	for _, g := range rec.Graphs("source") {
		assert.NotEmpty(t, g.Caption)
		out[g.ID] = g.Graph
	}
	return out
}

// What the recorder sees is what the kernel printed: whenever the running task
// has been charged since it was picked and is on its queue, its virtual runtime is one of the
// capture's own sched_stat_runtime events.
func TestVruntimesAreTheKernels(t *testing.T) {
	const name = "sched-cfs-nice-1cpu"
	c := capture(t, name)
	f, full, err := c.Open("trace.txt")
	require.NoError(t, err)
	defer f.Close()
	r, err := trace.NewReader(f, full)
	require.NoError(t, err)
	printed := map[uint64]bool{}
	var ev trace.Event
	for {
		err := r.Read(&ev)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if ev.Kind == trace.KindSchedStatRuntime {
			require.True(t, ev.Sched.HasVRuntime)
			printed[ev.Sched.VRuntime] = true
		}
	}
	seen, charged := 0, 0
	watch := func(m *sched.Machine) {
		if curr := m.RunQueue(0).Curr; curr != sched.NoTask && m.Task(curr).Class == sched.ClassFair {
			if e := m.Entity(m.EntityOf(curr)); e.OnRQ && e.PrevSum < e.SumExec {
				charged++
				if printed[e.Vruntime] {
					seen++
				}
			}
		}
	}
	_, err = replay.Run(context.Background(), c, replay.Options{Model: "sched", ObserveSched: watch})
	require.NoError(t, err)
	assert.Greater(t, charged, 1000)
	assert.Equal(t, charged, seen)

	var rec SchedRecorder
	lines, ok := recordReplay(t, name, &rec)["vruntime"].(Lines)
	require.True(t, ok)
	require.NotEmpty(t, lines.Series)
	assert.Contains(t, lines.Series[0].Name, "(nice -10)", "who weighs most ran longest")
}

func TestSchedGraphKinds(t *testing.T) {
	rec := SchedRecorder{Samples: 50}
	with := recordReplay(t, "sched-pelt-1cpu", &rec)
	assert.True(t, len(with) == 4)
	rec = SchedRecorder{Samples: 50}
	without := recordReplay(t, "sched-cfs-smp-2cpu", &rec)
	assert.True(t, len(without) == 2, "this capture has no load tracking")
	queues, ok := without["runqueue"].(Rows)
	require.True(t, ok)
	assert.True(t, len(queues.Rows) == 2)
	assert.GreaterOrEqual(t, len(queues.X), 50)
	assert.Less(t, len(queues.X), 100)
}

func TestSchedGraphsGolden(t *testing.T) {
	for _, c := range []struct {
		capture string
		rec     SchedRecorder
		ids     []string
	}{
		{"sched-cfs-nice-1cpu", SchedRecorder{From: 500e6, Until: 600e6, Samples: 40}, []string{"vruntime"}},
		{"sched-cfs-smp-2cpu", SchedRecorder{Samples: 60}, []string{"runqueue"}},
		{"sched-pelt-1cpu", SchedRecorder{Until: 300e6, Samples: 40}, []string{"pelt", "pelt-load"}},
	} {
		got := recordReplay(t, c.capture, &c.rec)
		for _, id := range c.ids {
			svg := got[id].SVG()
			wellFormed(t, svg)
			golden(t, "sched-"+id+".svg", svg)
		}
	}
}

func TestSchedRecorderKeepsToItsTime(t *testing.T) {
	rec := SchedRecorder{From: 500e6, Until: 700e6}
	g, ok := recordReplay(t, "sched-cfs-nice-1cpu", &rec)["vruntime"].(Lines)
	require.True(t, ok)
	assert.InDelta(t, 200, g.X[len(g.X)-1], 10, "ms")
	empty := SchedRecorder{From: 1e18}
	assert.True(t, len(recordReplay(t, "sched-cfs-nice-1cpu", &empty)) == 0)
}
