package sched_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The examples of the kernel's documents on scheduling, and of the literature.

// unlimited are a profile's tunables without the limit on real-time tasks.
func unlimited(p sched.Profile, cpus int) *sched.Tunables {
	tun := p.Tunables.Scale(cpus)
	tun.RTRuntimeNS = sched.RuntimeInf
	return &tun
}

// TestBandwidthDocument has the examples of sched-bwc: CPUs' worth of time by
// quota and period.
func TestBandwidthDocument(t *testing.T) {
	for _, p := range []sched.Profile{sched.Linux6_1, sched.Linux6_12} {
		for _, c := range []struct {
			quota, period int64 // µs
			cpus          float64
		}{{250_000, 250_000, 1}, {1_000_000, 500_000, 2}, {10_000, 50_000, 0.2}} {
			t.Run(fmt.Sprintf("%s/%v", p.Name, c.cpus), func(t *testing.T) {
				s, _ := newSim(t, sched.SimConfig{Config: sched.Config{CPUs: 4, Profile: p}})
				k := s.Machine().Kernel()
				g, err := k.NewGroup(sched.RootGroup)
				require.NoError(t, err)
				require.NoError(t, k.SetMax(g, c.quota, c.period, 0))
				for cpu := range sched.CPU(4) {
					_, err := s.Spawn(sched.TaskSpec{Comm: "hog", Group: g, CPUs: sched.MaskOf(cpu), Program: hog})
					require.NoError(t, err)
				}
				const seconds = 10
				require.NoError(t, s.Run(seconds*second))
				got := float64(s.Machine().Stat(g).Usage)
				// Every CPU may run over by a tick a period, and pays for
				// it in the next: what stays is a tick and a slice on each.
				slack := 4 * float64(4*ms+5*ms)
				assert.LessOrEqual(t, got, c.cpus*seconds*1e9+slack)
				// The first period starts with the first task.
				assert.GreaterOrEqual(t, got, c.cpus*(seconds*1e9-float64(c.period*1000))-slack)
			})
		}
	}
}

// TestBurstDocument has sched-bwc's example of a burst: 40% of a CPU, and up to
// 20% more that was saved.
func TestBurstDocument(t *testing.T) {
	for _, burst := range []int64{0, 10_000} {
		s, _ := newSim(t, sched.SimConfig{Config: sched.Config{Tunables: func() *sched.Tunables {
			tun := sched.Linux6_1.Tunables
			tun.BandwidthSliceNS = 1e6 // so that a queue does not keep much of a period's quota for later
			return &tun
		}()}})
		k := s.Machine().Kernel()
		g, err := k.NewGroup(sched.RootGroup)
		require.NoError(t, err)
		require.NoError(t, k.SetMax(g, 20_000, 50_000, burst))
		// 5 ms in one period, 29 ms in the next.
		_, err = s.Spawn(sched.TaskSpec{Comm: "bursty", Group: g, Program: sched.Loop(
			sched.Compute(5*ms), sched.Every(50*ms), sched.Compute(29*ms), sched.Every(50*ms))})
		require.NoError(t, err)
		require.NoError(t, s.Run(2*second))
		st := s.Machine().Stat(g)
		if burst == 0 {
			assert.GreaterOrEqual(t, st.Throttled, uint64(10))
			assert.Zero(t, st.Bursts)
		} else {
			assert.Zero(t, st.Throttled)
			assert.InDelta(t, 20, st.Bursts, 1)
			assert.InDelta(t, 20*9e6, st.BurstTime, 30e6)
		}
	}
}

// TestGRUBDocument follows sched-deadline's timeline of reclaiming: two tasks of
// 4 ms in 8; the first blocks after 2.
func TestGRUBDocument(t *testing.T) {
	attr := sched.Attr{Policy: sched.PolicyDeadline, Runtime: 4e6, Deadline: 8e6, Period: 8e6, Reclaim: true}
	s, ids := newSim(t, sched.SimConfig{Config: sched.Config{HZ: 1000, Tunables: unlimited(sched.Linux6_1, 1)}},
		sched.TaskSpec{Comm: "T1", Attr: attr, Program: sched.Program{sched.Compute(2*ms + 1), sched.Every(8 * ms), sched.Compute(2 * ms)}},
		sched.TaskSpec{Comm: "T2", Attr: attr, Program: sched.Program{sched.Compute(6 * ms), sched.Every(8 * ms), sched.Compute(ms)}})
	var switches []string
	s.Watch(func(e *sched.SimEvent) {
		if e.Kind == sched.SimSwitch && e.Next >= 0 && s.Comm(e.Next) != "" {
			switches = append(switches, fmt.Sprintf("%d %s", e.Time/1e6, s.Comm(e.Next)))
		}
	})
	// The kernel counts at ticks (HZ is 1000), and then at the pace of that
	// moment: the nanosecond puts T1's 0-lag time behind the tick.
	runtime := func(i int) float64 { return float64(s.Machine().Deadline(ids[i]).Runtime) / 1e6 }
	// Bandwidths have 20 binary places: the pace is 1 in a million off.
	const rounding = 0.0001
	require.NoError(t, s.Run(2_000_000))
	assert.InDelta(t, 2, runtime(0), rounding, "dq = -dt while none is inactive")
	require.NoError(t, s.Run(4_000_000))
	assert.InDelta(t, 2, runtime(1), rounding, "dq = -dt up to T1's 0-lag time")
	require.NoError(t, s.Run(6_000_000))
	assert.InDelta(t, 1, runtime(1), rounding, "dq = -dt/2: T1 is inactive")
	require.NoError(t, s.Run(7_000_000))
	assert.InDelta(t, 0.5, runtime(1), rounding)
	require.NoError(t, s.Run(8_500_000))
	assert.Equal(t, []string{"0 T1", "2 T2"}, switches[:2])
	assert.Equal(t, "8 T1", switches[len(switches)-1], "T2 ran for 6 ms of a reservation of 4")
}

// TestNiceDocument has sched-nice-design's rules: a nice level is worth the same
// everywhere, about 10% of the CPU, whatever HZ is.
func TestNiceDocument(t *testing.T) {
	share := func(hz, a, b int) float64 {
		s, ids := newSim(t, sched.SimConfig{Config: sched.Config{HZ: hz}},
			sched.TaskSpec{Attr: sched.Attr{Nice: a}, Program: hog}, sched.TaskSpec{Attr: sched.Attr{Nice: b}, Program: hog})
		require.NoError(t, s.Run(20*second))
		return float64(s.Times(ids[0]).Run) / 20e9
	}
	for _, c := range []struct{ a, b int }{{0, 1}, {-20, -19}, {-5, -4}, {10, 11}, {18, 19}} {
		for _, hz := range []int{100, 250, 300, 1000} {
			got := share(hz, c.a, c.b)
			wa, wb := float64(sched.NiceWeight(c.a)), float64(sched.NiceWeight(c.b))
			// A tick and a slice of 20 s.
			assert.InDelta(t, wa/(wa+wb), got, 0.001, "nice %d and %d, HZ %d", c.a, c.b, hz)
			assert.InDelta(t, 0.555, got, 0.01, "about 10%% between nice %d and %d", c.a, c.b)
		}
	}
}

// TestClassesOfCPUs counts what the book shows: on four CPUs each of the five
// classes has a queue of its own on each CPU, and the higher class goes first.
func TestClassesOfCPUs(t *testing.T) {
	names := map[sched.Class]bool{}
	for c := sched.ClassIdle; c <= sched.ClassStop; c++ {
		names[c] = true
	}
	assert.Len(t, names, 5)
	for cpu := range sched.CPU(4) {
		s, ids := newSim(t, sched.SimConfig{Config: sched.Config{CPUs: 4, Tunables: unlimited(sched.Linux6_1, 4)}},
			sched.TaskSpec{Comm: "fair", CPUs: sched.MaskOf(cpu), Program: hog},
			sched.TaskSpec{Comm: "fifo", CPUs: sched.MaskOf(cpu), Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 1}, Start: 1e6, Program: sched.Program{sched.Compute(20 * ms)}},
			sched.TaskSpec{Comm: "deadline", Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: 3e6, Deadline: 10e6}, Start: 2e6, Program: sched.Program{sched.Compute(2 * ms)}})
		require.NoError(t, s.Run(500_000))
		assert.Equal(t, ids[0], s.Machine().RunQueue(cpu).Curr)
		require.NoError(t, s.Run(1_500_000))
		assert.Equal(t, ids[1], s.Machine().RunQueue(cpu).Curr)
		require.NoError(t, s.Run(30_000_000))
		assert.Equal(t, ids[0], s.Machine().RunQueue(cpu).Curr)
	}
}

// periodic is a task that computes for c every p ms.
func periodic(name string, attr sched.Attr, c, p int64) sched.TaskSpec {
	return sched.TaskSpec{Comm: name, Attr: attr, Program: sched.Loop(sched.Compute(c), sched.Every(p))}
}

// responses runs tasks that all start at once and gives each one's longest time
// from a release (a multiple of its period) to the end of its job, in ns.
func responses(t *testing.T, until uint64, tun *sched.Tunables, periods []int64, specs []sched.TaskSpec) []uint64 {
	s, ids := newSim(t, sched.SimConfig{Config: sched.Config{Tunables: tun}}, specs...)
	out := make([]uint64, len(ids))
	job := make([]uint64, len(ids)) // index of the present job
	s.Watch(func(e *sched.SimEvent) {
		if e.Kind != sched.SimSwitch || e.State == sched.StateRunning {
			return
		}
		for i, id := range ids {
			if e.Task == id {
				out[i] = max(out[i], e.Time-job[i]*uint64(periods[i]))
				job[i]++
			}
		}
	})
	require.NoError(t, s.Run(until))
	return out
}

// TestResponseTimes compares rate-monotonic SCHED_FIFO tasks with response-time
// analysis (Joseph and Pandya 1986): R = C + sum of ceil(R/T) C over the tasks
// of higher priority. All tasks are released at once, so the first jobs' times
// are the worst, exactly.
func TestResponseTimes(t *testing.T) {
	for _, set := range [][][2]int64{
		{{1, 4}, {2, 6}, {3, 12}},            // U = 0.833, above Liu and Layland's bound, but schedulable
		{{3, 7}, {3, 12}, {5, 20}},           // the textbook set of Buttazzo and Burns: 3, 6, 20
		{{10, 30}, {10, 40}, {12, 52}},       // Burns and Wellings: the last needs exactly its period
		{{1, 10}, {2, 15}, {7, 50}, {9, 90}}, //
	} {
		var specs []sched.TaskSpec
		var periods []int64
		var want []uint64
		for i, x := range set {
			c, p := x[0]*ms-1, x[1]*ms
			specs = append(specs, periodic(fmt.Sprint("T", i), sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 90 - i}, c, p))
			periods = append(periods, p)
			r, last := c, int64(0)
			for r != last && r <= 10*p {
				last, r = r, c
				for j := range i {
					r += (last + periods[j] - 1) / periods[j] * (set[j][0]*ms - 1)
				}
			}
			want = append(want, uint64(r))
		}
		got := responses(t, 2*second, unlimited(sched.Linux6_1, 1), periods, specs)
		for i := range want {
			if want[i] <= uint64(periods[i]) {
				assert.Equal(t, want[i], got[i], "%v: task %d", set, i)
			} else {
				assert.Greater(t, got[i], uint64(periods[i]), "%v: task %d misses", set, i)
			}
		}
	}
}

// TestLiuLayland: rate-monotonic tasks up to n(2^(1/n)-1) keep their deadlines;
// above it some sets do not, which earliest deadline first still runs.
func TestLiuLayland(t *testing.T) {
	for n := 2; n <= 5; n++ {
		bound := float64(n) * (math.Pow(2, 1/float64(n)) - 1)
		// The worst set of n tasks: periods 2^(i/n), each computes for the
		// difference to the next one's; the last for the rest.
		run := func(stretch float64, policy sched.Policy) (missed bool) {
			var specs []sched.TaskSpec
			var periods []int64
			for i := range n {
				p := 50e6 * math.Pow(2, float64(i)/float64(n))
				next := 50e6 * math.Pow(2, float64(i+1)/float64(n))
				c := next - p
				if i == n-1 {
					c = 2*50e6 - p // closes the circle: the first one's period twice
				}
				period, compute := int64(p), int64(c*stretch)
				attr := sched.Attr{Policy: policy, RTPriority: 90 - i}
				if policy == sched.PolicyDeadline {
					attr = sched.Attr{Policy: policy, Runtime: uint64(compute) + 1000, Deadline: uint64(period), Period: uint64(period)}
				}
				specs, periods = append(specs, periodic(fmt.Sprint("T", i), attr, compute, period)), append(periods, period)
			}
			for i, r := range responses(t, 2*second, unlimited(sched.Linux6_1, 1), periods, specs) {
				missed = missed || r > uint64(periods[i])
			}
			return missed
		}
		assert.InDelta(t, bound, func() float64 {
			u := 0.0
			for i := range n {
				u += math.Pow(2, float64(i+1)/float64(n))/math.Pow(2, float64(i)/float64(n)) - 1
			}
			return u
		}(), 1e-9, "the set is the bound's")
		assert.False(t, run(0.999, sched.PolicyFIFO), "%d tasks below the bound", n)
		assert.True(t, run(1.02, sched.PolicyFIFO), "%d tasks above the bound", n)
		assert.False(t, run(1.02, sched.PolicyDeadline), "%d tasks by earliest deadline", n)
	}
}
