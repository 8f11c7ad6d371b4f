package lockcost

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sync/lock"
	"github.com/stretchr/testify/require"
)

const ms = 1_000_000

// pathfinder runs the priority inversion of the Mars Pathfinder on the simulated
// scheduler and returns how long the task of the highest priority took, in ns.
func pathfinder(t testing.TB, k lock.Kind) (uint64, Stat) {
	lab, err := New([]lock.Kind{k}, false, 16)
	require.NoError(t, err)
	fifo := func(p int) sched.Attr { return sched.Attr{Policy: sched.PolicyFIFO, RTPriority: p} }
	take, leave := sched.Step{Op: sched.OpLock}, sched.Step{Op: sched.OpUnlock}
	sim, err := sched.NewSim(sched.SimConfig{
		Config: sched.Config{Profile: sched.Linux6_1, CPUs: 1}, Locks: lab,
		Specs: []sched.TaskSpec{
			{Comm: "bus", Attr: fifo(90), Start: 2 * ms, Program: sched.Program{sched.Compute(ms), take, sched.Compute(2 * ms), leave, sched.Compute(ms)}},
			{Comm: "communication", Attr: fifo(50), Start: 4 * ms, Program: sched.Program{sched.Compute(20 * ms)}},
			{Comm: "weather", Attr: fifo(10), Program: sched.Program{sched.Compute(ms), take, sched.Compute(4 * ms), leave, sched.Compute(2 * ms)}},
		},
	})
	require.NoError(t, err)
	ids, err := sim.SpawnAll()
	require.NoError(t, err)
	for !sim.Exited(ids[0]) {
		require.NoError(t, sim.Run(sim.Now()+ms/10))
		require.Less(t, sim.Now(), uint64(100*ms))
	}
	return sim.Now() - 2*ms, lab.Stats()[0]
}

// TestPathfinder: inheritance ends the inversion, under the scheduler as in the
// example that has no scheduler.
func TestPathfinder(t *testing.T) {
	plain, stat := pathfinder(t, lock.MutexKind)
	require.Equal(t, uint64(27*ms), plain)
	require.Equal(t, Stat{Kind: lock.MutexKind, Acquisitions: 2, Contentions: 1, WaitTotal: 23 * ms, WaitMax: 23 * ms, HoldTotal: 27 * ms, HoldMax: 25 * ms}, stat)
	inherit, _ := pathfinder(t, lock.RTMutexKind)
	require.Equal(t, uint64(7*ms), inherit)
}

func TestSweep(t *testing.T) {
	cfg := SweepConfig{Kind: lock.MutexKind, Profile: sched.Linux6_1, CPUs: 4, Outside: 80_000, Hold: 20_000, Tasks: []int{1, 2, 4, 8, 16}, Time: 200 * ms, Seed: 1}
	points, err := Sweep(cfg)
	require.NoError(t, err)
	again, err := Sweep(cfg)
	require.NoError(t, err)
	require.Equal(t, points, again)
	require.Zero(t, points[0].Contentions)
	for i, p := range points {
		if i > 0 {
			require.GreaterOrEqual(t, p.Contended, points[i-1].Contended)
		}
		// The lock can be held once at a time.
		require.LessOrEqual(t, p.HoldTotal, cfg.Time)
		require.LessOrEqual(t, p.Contentions, p.Acquisitions+uint64(p.Tasks))
	}
	require.Greater(t, points[2].PerSecond, 2*points[0].PerSecond)
}

func TestErrors(t *testing.T) {
	for _, k := range []lock.Kind{lock.RawSpinKind, lock.SpinKind, lock.RWLockKind} {
		_, err := New([]lock.Kind{k}, false, 1)
		var spin *SpinError
		require.ErrorAs(t, err, &spin)
	}
	_, err := New([]lock.Kind{lock.SpinKind}, true, 1)
	require.NoError(t, err)
	for _, c := range []SweepConfig{{}, {CPUs: 1, Hold: 1, Time: 1, Tasks: []int{0}}, {CPUs: 65, Hold: 1, Time: 1}, {CPUs: 1, Hold: 1, Time: 1, Kind: lock.RawSpinKind, Tasks: []int{1}}} {
		_, err := Sweep(c)
		require.Error(t, err, fmt.Sprint(c.CPUs))
	}
	l, err := New([]lock.Kind{lock.MutexKind}, false, 8)
	require.NoError(t, err)
	sim, err := sched.NewSim(sched.SimConfig{Config: sched.Config{Profile: sched.Linux6_1, CPUs: 1}, Locks: l})
	require.NoError(t, err)
	_, err = l.Lock(sim, 3, 1)
	require.Error(t, err)
	_, err = l.Lock(sim, 99, 0)
	require.Error(t, err)
	require.Error(t, l.Unlock(sim, -1, 0))
}

// ExampleSweep shows contention growing with the number of tasks.
func ExampleSweep() {
	points, err := Sweep(SweepConfig{
		Kind: lock.MutexKind, Profile: sched.Linux6_1, CPUs: 2, Outside: 30_000, Hold: 10_000,
		Tasks: []int{1, 2, 4}, Time: 100 * ms, Seed: 1,
	})
	if err != nil {
		fmt.Println(err)
	}
	for _, p := range points {
		fmt.Printf("%d tasks: contended %t\n", p.Tasks, p.Contentions > 0)
	}
	// Output:
	// 1 tasks: contended false
	// 2 tasks: contended true
	// 4 tasks: contended true
}

func BenchmarkSweep(b *testing.B) {
	n := uint64(0)
	for b.Loop() {
		p, err := Sweep(SweepConfig{Kind: lock.MutexKind, Profile: sched.Linux6_1, CPUs: 4, Outside: 80_000, Hold: 20_000, Tasks: []int{8}, Time: 100 * ms, Seed: 1})
		if err != nil {
			b.Fatal(err)
		}
		n += p[0].Acquisitions
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "acquisitions/s")
}
