package recorded_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/recorded"
	"github.com/kernsim/kernsim/trace"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = int64(1_000_000)

// record runs a simulation and gives its workload and its switches as text.
// before is the time at which switches stop to count.
func record(t require.TestingT, s *sched.Sim, until, before uint64) (*recorded.Workload, []string) {
	b := recorded.NewBuilder()
	var switches []string
	s.TraceEvents(b.Add, func(e *sched.SimEvent) {
		if e.Kind == sched.SimSwitch && e.Time < before {
			switches = append(switches, fmt.Sprintf("%d cpu%d %s -> %s %v", e.Time, e.CPU, s.Comm(e.Task), s.Comm(e.Next), e.State))
		}
	})
	require.NoError(t, s.Run(until))
	w, err := b.Workload()
	require.NoError(t, err)
	return w, switches
}

// TestSameSchedulerSameSchedule records a load on one CPU and runs what was
// recorded under the same scheduler: every switch comes at the same nanosecond.
func TestSameSchedulerSameSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		profile := []sched.Profile{sched.Linux6_1, sched.Linux6_12}[rapid.IntRange(0, 1).Draw(t, "profile")]
		var specs []sched.TaskSpec
		for i := range rapid.IntRange(1, 6).Draw(t, "tasks") {
			program := sched.Program{sched.Random(100_000, 100_000+rapid.Int64Range(0, 20*ms).Draw(t, "compute"))}
			if rapid.Bool().Draw(t, "sleeps") {
				program = append(program, sched.Sleep(rapid.Int64Range(1, 30).Draw(t, "sleep")*ms))
			}
			attr := sched.Attr{Nice: rapid.IntRange(-5, 5).Draw(t, "nice")}
			if rapid.IntRange(0, 4).Draw(t, "fifo") == 0 {
				attr = sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 10 + i}
			}
			specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("t", i), Attr: attr, Program: sched.Loop(program...)})
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "pairs") {
			a, b := int64(2*i), int64(2*i+1)
			specs = append(specs,
				sched.TaskSpec{Comm: fmt.Sprint("ping", i), Program: sched.Loop(sched.Random(ms/10, ms), sched.Send(a), sched.Receive(b))},
				sched.TaskSpec{Comm: fmt.Sprint("pong", i), Program: sched.Loop(sched.Receive(a), sched.Random(ms/10, ms), sched.Send(b))})
		}
		const until = 300_000_000
		cfg := sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: profile}, Preempt: sched.PreemptFull, Seed: rapid.Uint64().Draw(t, "seed"), Specs: specs}
		s, err := sched.NewSim(cfg)
		require.NoError(t, err)
		_, err = s.SpawnAll()
		require.NoError(t, err)
		w, _ := record(t, s, until, 0)

		// Once more for the switches before the trace ends: then the
		// recorded tasks have nothing left to do.
		s, err = sched.NewSim(cfg)
		require.NoError(t, err)
		_, err = s.SpawnAll()
		require.NoError(t, err)
		_, first := record(t, s, until, w.Duration)

		cfg.Specs = nil
		w.Config(&cfg)
		again, err := sched.NewSim(cfg)
		require.NoError(t, err)
		require.NoError(t, w.Spawn(again))
		_, second := record(t, again, until, w.Duration)
		for i := range min(len(first), len(second)) {
			require.Equal(t, first[i], second[i])
		}
		require.Len(t, second, len(first))
	})
}

const text = `# tracer: nop
  worker-11 [000] d..2.  1.000000: sched_switch: prev_comm=worker prev_pid=11 prev_prio=120 prev_state=R+ ==> next_comm=helper next_pid=12 next_prio=115
  helper-12 [000] d..3.  1.002000: sched_waking: comm=sleeper pid=13 prio=89 target_cpu=000
  helper-12 [000] d..2.  1.003000: sched_switch: prev_comm=helper prev_pid=12 prev_prio=115 prev_state=S ==> next_comm=worker next_pid=11 next_prio=120
  worker-11 [000] d.h3.  1.004000: sched_waking: comm=helper pid=12 prio=115 target_cpu=000
  worker-11 [000] d.h3.  1.004000: sched_wakeup: comm=helper pid=12 prio=115 target_cpu=000
  worker-11 [000] d..2.  1.005000: sched_switch: prev_comm=worker prev_pid=11 prev_prio=120 prev_state=R+ ==> next_comm=helper next_pid=12 next_prio=115
  helper-12 [000] d..2.  1.006000: sched_switch: prev_comm=helper prev_pid=12 prev_prio=115 prev_state=S ==> next_comm=worker next_pid=11 next_prio=120
  worker-11 [000] d..3.  1.007000: sched_waking: comm=helper pid=12 prio=115 target_cpu=000
  worker-11 [000] d..3.  1.007000: sched_wakeup: comm=helper pid=12 prio=115 target_cpu=000
  worker-11 [000] d..3.  1.008000: sched_wakeup_new: comm=child pid=14 prio=120 target_cpu=000
  worker-11 [000] d..2.  1.009000: sched_switch: prev_comm=worker prev_pid=11 prev_prio=120 prev_state=X ==> next_comm=helper next_pid=12 next_prio=115
  helper-12 [000] d..2.  1.009500: sched_switch: prev_comm=helper prev_pid=12 prev_prio=115 prev_state=D ==> next_comm=swapper/0 next_pid=0 next_prio=120
`

func TestRead(t *testing.T) {
	r, err := trace.NewReader(strings.NewReader(text), "trace.txt")
	require.NoError(t, err)
	w, err := recorded.Read(r)
	require.NoError(t, err)
	assert.Equal(t, uint64(9_500_000), w.Duration)
	assert.Equal(t, 1, w.CPUs)
	require.Len(t, w.Specs, 4)
	// worker: 2 ms (5 to 3, 7 to 6) until it wakes the helper, then one to the fork.
	assert.Equal(t, sched.Program{sched.Compute(3 * ms), sched.Send(1), sched.Compute(ms), {Op: sched.OpFork, N: 3}, sched.Compute(ms)}, w.Specs[0].Program)
	assert.Equal(t, sched.Program{sched.Compute(3 * ms), sched.Sleep(ms), sched.Compute(ms), sched.Receive(1), sched.Compute(ms / 2), sched.Sleep(1)}, w.Specs[1].Program)
	assert.Equal(t, sched.Attr{Nice: -5}, w.Specs[1].Attr)
	assert.Equal(t, sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 10}, w.Specs[2].Attr)
	assert.Equal(t, []uint64{ms2ns(1), ms2ns(2)}, w.Tasks[1].Latencies)
	assert.True(t, w.Tasks[3].Forked)
	assert.Equal(t, 2, w.Tasks[0].Preempted)
}

// TestGaps leaves switches out of a trace without idle time: whatever is missing,
// all time is a task's or nobody's.
func TestGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.IntRange(1, 3).Draw(t, "cpus")
		var specs []sched.TaskSpec
		for cpu := range cpus {
			specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("hog", cpu), CPUs: sched.MaskOf(sched.CPU(cpu)), Program: sched.Loop(sched.Compute(ms))})
		}
		specs = append(specs,
			sched.TaskSpec{Comm: "ping", Program: sched.Loop(sched.Random(ms/10, ms), sched.Send(0), sched.Random(ms/10, ms), sched.Receive(1))},
			sched.TaskSpec{Comm: "pong", Program: sched.Loop(sched.Receive(0), sched.Random(ms/10, ms), sched.Send(1))})
		for i := range rapid.IntRange(1, 5).Draw(t, "sleepers") {
			specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("t", i), Program: sched.Loop(
				sched.Random(ms/10, 3*ms), sched.Sleep(rapid.Int64Range(1, 20).Draw(t, "sleep")*ms))})
		}
		s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: sched.Linux6_1}, Seed: rapid.Uint64().Draw(t, "seed"), Specs: specs})
		require.NoError(t, err)
		_, err = s.SpawnAll()
		require.NoError(t, err)
		drop := rapid.SliceOfN(rapid.Bool(), 64, 64).Draw(t, "drop")
		b := recorded.NewBuilder()
		switches, dropped := 0, 0
		s.TraceEvents(func(e *trace.Event) error {
			if e.Kind == trace.KindSchedSwitch {
				switches++
				// The first ones are the CPUs' starts.
				if switches > cpus && drop[switches%len(drop)] {
					dropped++
					return nil
				}
			}
			return b.Add(e)
		}, nil)
		require.NoError(t, s.Run(200_000_000))
		w, err := b.Workload()
		require.NoError(t, err)
		if dropped == 0 {
			require.Zero(t, w.Gaps)
			require.Zero(t, w.Unknown)
		}
		require.LessOrEqual(t, w.Gaps, dropped)
		sum := w.Unknown
		for i := range w.Tasks {
			sum += w.Tasks[i].Run
		}
		require.Equal(t, uint64(cpus)*w.Duration, sum)
		// It can be run.
		cfg := sched.SimConfig{Config: sched.Config{Profile: sched.Linux6_12}}
		w.Config(&cfg)
		again, err := sched.NewSim(cfg)
		require.NoError(t, err)
		require.NoError(t, w.Spawn(again))
		require.NoError(t, again.Run(w.Duration))
	})
}

// TestFilteredTrace is a trace in which what happened between 2 and 5 ms is missing.
func TestFilteredTrace(t *testing.T) {
	const text = `  a-1 [000] d..2.  1.000000: sched_switch: prev_comm=a prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=b next_pid=2 next_prio=120
  b-2 [000] d..2.  1.001000: sched_switch: prev_comm=b prev_pid=2 prev_prio=120 prev_state=R ==> next_comm=a next_pid=1 next_prio=120
  a-1 [000] d.h2.  1.002000: sched_waking: comm=b pid=2 prio=120 target_cpu=000
  c-3 [000] d..2.  1.005000: sched_switch: prev_comm=c prev_pid=3 prev_prio=120 prev_state=S ==> next_comm=a next_pid=1 next_prio=120
  a-1 [000] d..2.  1.006000: sched_switch: prev_comm=a prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=b next_pid=2 next_prio=120
`
	r, err := trace.NewReader(strings.NewReader(text), "trace.txt")
	require.NoError(t, err)
	w, err := recorded.Read(r)
	require.NoError(t, err)
	assert.Equal(t, 1, w.Gaps)
	assert.Equal(t, uint64(4*ms), w.Unknown)
	require.Len(t, w.Tasks, 3)
	assert.Equal(t, []uint64{ms2ns(1), ms2ns(1), 0}, []uint64{w.Tasks[0].Run, w.Tasks[1].Run, w.Tasks[2].Run})
	assert.Equal(t, uint64(5*ms), w.Specs[2].Start, "c is not there before it is seen")
}

func ms2ns(n uint64) uint64 { return n * uint64(ms) }

func TestNothingToRead(t *testing.T) {
	r, err := trace.NewReader(strings.NewReader("  a-1 [000] d..2.  1.000000: sched_waking: comm=b pid=2 prio=120 target_cpu=000\n"), "x")
	require.NoError(t, err)
	_, err = recorded.Read(r)
	require.ErrorIs(t, err, recorded.ErrNoSwitch)
	b := recorded.NewBuilder()
	var many *recorded.TooManyError
	for pid := int32(1); err != nil && many == nil; pid++ {
		if err := b.Add(&trace.Event{Line: int(pid), Kind: trace.KindSchedWakeup, Sched: trace.Sched{PID: pid}}); err != nil {
			require.ErrorAs(t, err, &many)
		}
	}
	assert.ErrorContains(t, many, "line 65537: more than 65536 tasks")
}

// FuzzRead: whatever the text, what is read can be simulated or is refused.
func FuzzRead(f *testing.F) {
	f.Add(text)
	f.Add(strings.ReplaceAll(text, "d..", "d.h"))
	f.Add(strings.ReplaceAll(text, "[000]", "[003]"))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := trace.NewReader(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		w, err := recorded.Read(r)
		if err != nil || w.CPUs > 64 {
			return
		}
		cfg := sched.SimConfig{Config: sched.Config{Profile: sched.Linux6_12}}
		w.Config(&cfg)
		s, err := sched.NewSim(cfg)
		require.NoError(t, err)
		require.NoError(t, w.Spawn(s))
		require.NoError(t, s.Run(min(w.Duration, 20_000_000)))
		require.NoError(t, s.Machine().Check())
	})
}
