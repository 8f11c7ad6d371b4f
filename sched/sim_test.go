package sched_test

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ms     = int64(1_000_000)
	second = uint64(1_000_000_000)
)

var hog = sched.Loop(sched.Compute(10 * ms))

var profiles = []sched.Profile{sched.Linux5_4, sched.Linux6_1, sched.Linux6_6, sched.Linux6_12, sched.Debian6_12, sched.Linux6_18}

func newSim(t testing.TB, cfg sched.SimConfig, specs ...sched.TaskSpec) (*sched.Sim, []sched.TaskID) {
	t.Helper()
	if cfg.CPUs == 0 {
		cfg.CPUs = 1
	}
	if cfg.Profile.Name == "" {
		cfg.Profile = sched.Linux6_1
	}
	cfg.Specs = append(cfg.Specs, specs...)
	s, err := sched.NewSim(cfg)
	require.NoError(t, err)
	ids, err := s.SpawnAll()
	require.NoError(t, err)
	return s, ids
}

// TestShares checks that CPU-bound tasks get the CPU by their weights.
func TestShares(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.Name, func(t *testing.T) {
			var specs []sched.TaskSpec
			total := 0.0
			for _, nice := range []int{-5, 0, 5, 10} {
				specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("nice", nice), Attr: sched.Attr{Nice: nice}, Program: hog})
				total += float64(sched.NiceWeight(nice))
			}
			s, ids := newSim(t, sched.SimConfig{Config: sched.Config{Profile: p}}, specs...)
			require.NoError(t, s.Run(20*second))
			sum := uint64(0)
			for i, id := range ids {
				run := s.Times(id).Run
				sum += run
				want := float64(sched.NiceWeight(specs[i].Attr.Nice)) / total * 20e9
				// Within a slice and a tick of the exact share.
				assert.InDelta(t, want, float64(run), 16e6, specs[i].Comm)
			}
			assert.Equal(t, 20*second, sum+s.IdleTime(0))
		})
	}
}

// TestBandwidth checks the book's limit: 200 ms in each second are 20%.
func TestBandwidth(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.Name, func(t *testing.T) {
			s, _ := newSim(t, sched.SimConfig{Config: sched.Config{Profile: p}})
			k := s.Machine().Kernel()
			g, err := k.NewGroup(sched.RootGroup)
			require.NoError(t, err)
			require.NoError(t, k.SetMax(g, 200_000, 1_000_000, 0))
			id, err := s.Spawn(sched.TaskSpec{Comm: "primes", Group: g, Program: hog})
			require.NoError(t, err)
			require.NoError(t, s.Run(10*second))
			run := s.Times(id).Run
			// The quota, what one tick runs over at the end of a period, and
			// what the first period's start gives.
			assert.InDelta(t, 2e9, float64(run), 0.05e9)
			st := s.Machine().Stat(g)
			assert.InDelta(t, 9, st.Throttled, 1)
			assert.Equal(t, run, st.Usage)
		})
	}
}

// TestRTThrottling checks that a runaway real-time task leaves 5% of the CPU to
// others.
func TestRTThrottling(t *testing.T) {
	s, ids := newSim(t, sched.SimConfig{},
		sched.TaskSpec{Comm: "rt", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 50}, Program: hog},
		sched.TaskSpec{Comm: "fair", Program: hog})
	require.NoError(t, s.Run(10*second))
	assert.InDelta(t, 9.5e9, float64(s.Times(ids[0]).Run), 0.1e9)
	assert.InDelta(t, 0.5e9, float64(s.Times(ids[1]).Run), 0.1e9)
}

// TestRRRotates checks that SCHED_RR tasks of one priority take turns.
func TestRRRotates(t *testing.T) {
	tun := sched.Linux6_1.Tunables
	tun.RTRuntimeNS = sched.RuntimeInf
	rr := sched.Attr{Policy: sched.PolicyRR, RTPriority: 20}
	s, ids := newSim(t, sched.SimConfig{Config: sched.Config{Tunables: &tun}},
		sched.TaskSpec{Comm: "a", Attr: rr, Program: hog}, sched.TaskSpec{Comm: "b", Attr: rr, Program: hog},
		sched.TaskSpec{Comm: "low", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 10}, Program: hog})
	require.NoError(t, s.Run(6*second))
	assert.InDelta(t, float64(s.Times(ids[0]).Run), float64(s.Times(ids[1]).Run), 0.11e9)
	assert.Zero(t, s.Times(ids[2]).Run)
}

// TestDeadlines checks that a set of deadline tasks that is admitted meets its
// deadlines on one CPU, whatever else runs.
func TestDeadlines(t *testing.T) {
	dl := func(runtime, period uint64) sched.TaskSpec {
		return sched.TaskSpec{Comm: fmt.Sprint("dl", period), Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: runtime * 1e6, Deadline: period * 1e6},
			Program: sched.Loop(sched.Compute(int64(runtime)*ms-100_000), sched.Every(int64(period)*ms))}
	}
	s, ids := newSim(t, sched.SimConfig{}, dl(2, 10), dl(5, 20), dl(12, 40), sched.TaskSpec{Comm: "hog", Program: hog},
		sched.TaskSpec{Comm: "fifo", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 99}, Program: sched.Loop(sched.Compute(ms), sched.Sleep(3*ms))})
	late := 0
	due := map[sched.TaskID]uint64{}
	s.Watch(func(e *sched.SimEvent) {
		switch e.Kind {
		case sched.SimWakeup, sched.SimWakeupNew:
			due[e.Task] = e.Time
		case sched.SimSwitch:
			for i, id := range ids[:3] {
				period := []uint64{10e6, 20e6, 40e6}[i]
				if e.Task == id && e.State != sched.StateRunning && e.Time > due[id]+period {
					late++
				}
			}
		}
	})
	require.NoError(t, s.Run(5*second))
	assert.Zero(t, late)
	for i, id := range ids[:3] {
		assert.InDelta(t, []float64{500, 250, 125}[i], float64(s.Times(id).Wakeups), 2)
	}
	_, err := s.Spawn(sched.TaskSpec{Comm: "toomuch", Start: s.Now(), Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: 30e6, Deadline: 100e6}, Program: hog})
	var refused *sched.AdmissionError
	require.ErrorAs(t, err, &refused)
	assert.ErrorContains(t, err, "75.00% reserved, 30.00% wanted, limit 95.00%")
}

// TestDhall shows Dhall's effect: on two CPUs earliest deadline first misses a
// deadline though the tasks use little more than one CPU.
func TestDhall(t *testing.T) {
	short := sched.TaskSpec{Comm: "short", Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: 2e6, Deadline: 99e6, Period: 100e6},
		Program: sched.Loop(sched.Compute(15*ms/10), sched.Every(100*ms))}
	long := sched.TaskSpec{Comm: "long", Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: 100e6, Deadline: 100e6, Period: 100e6},
		Program: sched.Loop(sched.Compute(99*ms), sched.Every(100*ms))}
	tun := sched.Linux6_1.Tunables.Scale(2)
	tun.RTRuntimeNS = sched.RuntimeInf
	s, ids := newSim(t, sched.SimConfig{Config: sched.Config{CPUs: 2, Tunables: &tun}}, short, short, long)
	done := uint64(0)
	s.Watch(func(e *sched.SimEvent) {
		if e.Kind == sched.SimSwitch && e.Task == ids[2] && e.State != sched.StateRunning && done == 0 {
			done = e.Time
		}
	})
	require.NoError(t, s.Run(150*uint64(ms)))
	assert.Greater(t, done, uint64(100*ms), "the long task's first job ends late")
}

// TestDeterminism runs a mixed load twice: every event is the same.
func TestDeterminism(t *testing.T) {
	run := func() []sched.SimEvent {
		var out []sched.SimEvent
		s, _ := newSim(t, sched.SimConfig{Config: sched.Config{CPUs: 4}, Seed: 7, Topology: sched.Topology{SMT: 2}}, mixed()...)
		s.Watch(func(e *sched.SimEvent) { out = append(out, *e) })
		require.NoError(t, s.Run(second/2))
		return out
	}
	a := run()
	require.Greater(t, len(a), 1000)
	require.Equal(t, a, run())
}

// mixed is a load of every kind of task.
func mixed() []sched.TaskSpec {
	specs := []sched.TaskSpec{
		{Comm: "hog", Program: hog},
		{Comm: "batch", Attr: sched.Attr{Policy: sched.PolicyBatch, Nice: 5}, Program: hog},
		{Comm: "idle", Attr: sched.Attr{Policy: sched.PolicyIdle}, Program: hog},
		{Comm: "io", Program: sched.Loop(sched.Random(ms/10, 2*ms), sched.Sleep(3*ms))},
		{Comm: "ping", Program: sched.Loop(sched.Compute(ms/5), sched.Send(0), sched.Receive(1))},
		{Comm: "pong", Program: sched.Loop(sched.Receive(0), sched.Compute(ms/7), sched.Send(1))},
		{Comm: "yield", Program: sched.Loop(sched.Compute(ms/2), sched.Step{Op: sched.OpYield})},
		{Comm: "rr", Attr: sched.Attr{Policy: sched.PolicyRR, RTPriority: 5}, Program: sched.Loop(sched.Random(ms/5, ms), sched.Sleep(5*ms))},
		{Comm: "fifo", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 50}, Program: sched.Loop(sched.Compute(ms/10), sched.Every(4*ms))},
		{Comm: "dl", Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: 2e6, Deadline: 8e6, Period: 10e6}, Program: sched.Loop(sched.Random(ms, 3*ms), sched.Every(10*ms))},
		{Comm: "kernel", Program: sched.Loop(sched.Step{Op: sched.OpKernel, N: 3 * ms}, sched.Step{Op: sched.OpAtomic, N: ms}, sched.Sleep(ms))},
	}
	return append(specs, specs[3], specs[0], specs[3])
}

// TestTimeAddsUp checks, for every profile and number of CPUs, that the time of
// all tasks and all idle CPUs is the time that passed, and that the run queues
// stay sound.
func TestTimeAddsUp(t *testing.T) {
	for _, p := range profiles {
		for _, cpus := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s/%d", p.Name, cpus), func(t *testing.T) {
				s, ids := newSim(t, sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: p, LoadTracking: true}, Seed: 3, Preempt: sched.PreemptFull}, mixed()...)
				for now := second / 20; now <= 2*second; now += second / 20 {
					require.NoError(t, s.Run(now))
					require.NoError(t, s.Machine().Check())
				}
				sum := uint64(0)
				for _, id := range ids {
					sum += s.Times(id).Run
				}
				for c := range cpus {
					sum += s.IdleTime(sched.CPU(c))
				}
				assert.Equal(t, 2*second*uint64(cpus), sum)
			})
		}
	}
}

// TestInversion is the Mars Pathfinder's: without inheritance a middle task
// keeps the one that holds the lock from running.
func TestDonor(t *testing.T) {
	s, ids := newSim(t, sched.SimConfig{},
		sched.TaskSpec{Comm: "low", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 1}, Program: hog},
		sched.TaskSpec{Comm: "mid", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 50}, Program: hog, Start: uint64(ms)},
		sched.TaskSpec{Comm: "high", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 99}, Program: sched.Program{sched.Sleep(10 * ms)}, Start: uint64(2 * ms)})
	require.NoError(t, s.Run(5*uint64(ms)))
	before := s.Times(ids[0]).Run
	k := s.Machine().Kernel()
	require.NoError(t, k.SetDonor(ids[0], ids[2]))
	require.NoError(t, s.Machine().Check())
	assert.Equal(t, 0, s.Machine().Task(ids[0]).Prio)
	require.NoError(t, k.SetDonor(ids[0], sched.NoTask))
	assert.Equal(t, 98, s.Machine().Task(ids[0]).Prio)
	assert.Equal(t, before, s.Times(ids[0]).Run)
	require.NoError(t, s.Machine().Check())
}

func TestBadSimulations(t *testing.T) {
	good := sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: sched.Linux6_1}}
	with := func(f func(*sched.SimConfig)) sched.SimConfig {
		c := good
		f(&c)
		return c
	}
	for name, c := range map[string]sched.SimConfig{
		"no CPU":     with(func(c *sched.SimConfig) { c.CPUs = 0 }),
		"no profile": with(func(c *sched.SimConfig) { c.Profile = sched.Profile{} }),
		"HZ":         with(func(c *sched.SimConfig) { c.HZ = -1 }),
		"preempt":    with(func(c *sched.SimConfig) { c.Preempt = 99 }),
		"topology":   with(func(c *sched.SimConfig) { c.CPUs = 4; c.Topology.SMT = 3; c.Topology.LLC = 4 }),
		"interrupt":  with(func(c *sched.SimConfig) { c.Interrupts = []sched.Interrupt{{CPU: 3, Period: 5}} }),
	} {
		_, err := sched.NewSim(c)
		var config *sched.ConfigError
		require.ErrorAs(t, err, &config, name)
	}
	for name, p := range map[string]sched.Program{
		"op": {{Op: 200}}, "negative": {sched.Compute(-1)}, "random": {sched.Random(5, 3)}, "period": {sched.Every(0)},
		"forward": {{Op: sched.OpRepeat}}, "fork": {{Op: sched.OpFork, N: 3}}, "attr": {{Op: sched.OpAttr}}, "mask": {{Op: sched.OpAffinity}},
		"lock": {{Op: sched.OpLock}}, "nice": {{Op: sched.OpNice, N: 20}}, "channel": {sched.Send(1 << 20)},
	} {
		s, _ := newSim(t, good)
		_, err := s.Spawn(sched.TaskSpec{Comm: name, Program: p})
		var program *sched.ProgramError
		require.ErrorAs(t, err, &program, name)
	}
	s, _ := newSim(t, good)
	_, err := s.Spawn(sched.TaskSpec{CPUs: sched.MaskOf(3), Program: hog})
	var config *sched.ConfigError
	require.ErrorAs(t, err, &config)
	_, err = s.Spawn(sched.TaskSpec{Comm: "stuck", Program: sched.Loop(sched.Step{Op: sched.OpNice})})
	require.NoError(t, err)
	require.ErrorIs(t, s.Run(second), sched.ErrStuck)
}
