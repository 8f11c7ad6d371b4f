package sched_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Laws that hold for every load.

var someProfiles = []sched.Profile{sched.Linux6_1, sched.Linux6_12}

func drawProfile(t *rapid.T) sched.Profile {
	return someProfiles[rapid.IntRange(0, len(someProfiles)-1).Draw(t, "profile")]
}

func drawSim(t *rapid.T, cfg sched.SimConfig) (*sched.Sim, []sched.TaskID) {
	if cfg.CPUs == 0 {
		cfg.CPUs = 1
	}
	s, err := sched.NewSim(cfg)
	require.NoError(t, err)
	ids, err := s.SpawnAll()
	require.NoError(t, err)
	return s, ids
}

// drawSleepers are some tasks that compute and sleep, all of them fair.
func drawSleepers(t *rapid.T, most int) []sched.TaskSpec {
	var out []sched.TaskSpec
	for i := range rapid.IntRange(1, most).Draw(t, "tasks") {
		lo := rapid.Int64Range(1, 20_000).Draw(t, "compute")
		program := sched.Program{sched.Random(lo*1000, lo*1000+rapid.Int64Range(0, 5*ms).Draw(t, "more"))}
		if sleep := rapid.Int64Range(0, 30).Draw(t, "sleep"); sleep > 0 {
			program = append(program, sched.Sleep(sleep*ms))
		}
		out = append(out, sched.TaskSpec{Comm: fmt.Sprint("t", i), Attr: sched.Attr{Nice: rapid.IntRange(-20, 19).Draw(t, "nice")},
			Start: rapid.Uint64Range(0, 50e6).Draw(t, "start"), Program: sched.Loop(program...)})
	}
	return out
}

// TestWorkConservation: one CPU is idle only while nobody is runnable, and all
// time is somebody's.
func TestWorkConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, ids := drawSim(t, sched.SimConfig{Config: sched.Config{Profile: drawProfile(t)}, Seed: rapid.Uint64().Draw(t, "seed"), Preempt: sched.PreemptFull,
			Specs: drawSleepers(t, 8)})
		runnable := 0
		s.Watch(func(e *sched.SimEvent) {
			switch e.Kind {
			case sched.SimWakeup, sched.SimWakeupNew:
				runnable++
			case sched.SimSwitch:
				if slices.Contains(ids, e.Task) && e.State != sched.StateRunning {
					runnable--
				}
				if idle := !slices.Contains(ids, e.Next); idle && runnable > 0 {
					t.Fatalf("at %d ns the CPU goes idle with %d runnable tasks", e.Time, runnable)
				}
			}
		})
		for now := second / 20; now <= second; now += second / 20 {
			require.NoError(t, s.Run(now))
			require.NoError(t, s.Machine().Check())
			sum := s.IdleTime(0)
			for _, id := range ids {
				sum += s.Times(id).Run
			}
			require.Equal(t, now, sum)
		}
	})
}

// TestFairnessBound: of tasks that compute all the time, none is ever further
// from its exact share than a slice and a tick's worth on each side.
func TestFairnessBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProfile(t)
		n := rapid.IntRange(2, 10).Draw(t, "tasks")
		var specs []sched.TaskSpec
		total := 0.0
		for i := range n {
			nice := rapid.IntRange(-10, 10).Draw(t, "nice")
			specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("t", i), Attr: sched.Attr{Nice: nice}, Program: hog})
			total += float64(sched.NiceWeight(nice))
		}
		s, ids := drawSim(t, sched.SimConfig{Config: sched.Config{Profile: p, HZ: 1000}, Specs: specs})
		const tick = 1e6
		// CFS: the longest turn, a latency period or a granularity each;
		// EEVDF: a base slice. Both are noticed a tick late at most.
		turn := float64(max(s.Machine().Tunables().LatencyNS, uint64(n)*s.Machine().Tunables().MinGranularityNS, s.Machine().Tunables().BaseSliceNS)) + tick
		for now := second / 10; now <= 2*second; now += second / 10 {
			require.NoError(t, s.Run(now))
			for i, id := range ids {
				w := float64(sched.NiceWeight(specs[i].Attr.Nice))
				lag := w/total*float64(now) - float64(s.Times(id).Run)
				// Its own turn, or those of the others that its share is a part of; new tasks begin a slice late.
				bound := 2 * (turn + w/total*turn*float64(n))
				if lag > bound || -lag > bound {
					t.Fatalf("%s: at %d ns task %d of nice %d is %.0f ns off its share, bound %.0f", p.Name, now, i, specs[i].Attr.Nice, lag, bound)
				}
			}
		}
	})
}

// TestNoStarvation: whoever is runnable runs before all others have had two
// turns by weight.
func TestNoStarvation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProfile(t)
		specs := drawSleepers(t, 6)
		for range rapid.IntRange(1, 4).Draw(t, "hogs") {
			specs = append(specs, sched.TaskSpec{Comm: "hog", Attr: sched.Attr{Nice: rapid.IntRange(-20, 19).Draw(t, "nice")}, Program: hog})
		}
		least, sum := uint32(1<<31), 0.0
		for i := range specs {
			w := sched.NiceWeight(specs[i].Attr.Nice)
			least, sum = min(least, w), sum+float64(w)
		}
		s, ids := drawSim(t, sched.SimConfig{Config: sched.Config{Profile: p, HZ: 1000}, Specs: specs, Seed: rapid.Uint64().Draw(t, "seed")})
		tun := s.Machine().Tunables()
		turn := float64(max(tun.LatencyNS, tun.MinGranularityNS*uint64(len(specs)), tun.BaseSliceNS)) + 1e6
		// In virtual time nobody is more than two turns of the lightest
		// task ahead; while it is made up for, all others run.
		bound := 3 * turn * sum / float64(least)
		waiting := map[sched.TaskID]uint64{}
		check := func(id sched.TaskID, now uint64) {
			if since, ok := waiting[id]; ok && float64(now-since) > bound {
				t.Fatalf("%s: task %d waited for %d ns, bound %.0f", p.Name, id, now-since, bound)
			}
		}
		s.Watch(func(e *sched.SimEvent) {
			switch e.Kind {
			case sched.SimWakeup, sched.SimWakeupNew:
				waiting[e.Task] = e.Time
			case sched.SimSwitch:
				check(e.Next, e.Time)
				delete(waiting, e.Next)
				if slices.Contains(ids, e.Task) && e.State == sched.StateRunning {
					waiting[e.Task] = e.Time
				}
			}
		})
		require.NoError(t, s.Run(2*second))
		for id := range waiting {
			check(id, s.Now())
		}
	})
}

// TestBandwidthBound: a group never gets more than its quota for each period
// that began, what it may save, and a slice and a tick for each CPU.
func TestBandwidthBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.IntRange(1, 4).Draw(t, "cpus")
		period := rapid.Int64Range(5, 100).Draw(t, "period") * 1000
		quota := rapid.Int64Range(1000, 2*period).Draw(t, "quota")
		burst := rapid.Int64Range(0, quota).Draw(t, "burst")
		s, _ := drawSim(t, sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: drawProfile(t)}, Seed: rapid.Uint64().Draw(t, "seed")})
		k := s.Machine().Kernel()
		g, err := k.NewGroup(sched.RootGroup)
		require.NoError(t, err)
		require.NoError(t, k.SetMax(g, quota, period, burst))
		for _, spec := range drawSleepers(t, 6) {
			spec.Group = g
			_, err := s.Spawn(spec)
			require.NoError(t, err)
		}
		_, err = s.Spawn(sched.TaskSpec{Comm: "outside", Program: hog})
		require.NoError(t, err)
		tun := s.Machine().Tunables()
		for now := second / 20; now <= 2*second; now += second / 20 {
			require.NoError(t, s.Run(now))
			require.NoError(t, s.Machine().Check())
			periods := int64(now)/(period*1000) + 1
			most := periods*quota*1000 + burst*1000 + int64(cpus)*(int64(tun.BandwidthSliceNS)+4*ms)
			if used := int64(s.Machine().Stat(g).Usage); used > most {
				t.Fatalf("used %d ns of at most %d by %d ns: quota %d period %d burst %d", used, most, now, quota, period, burst)
			}
		}
	})
}

// TestDeadlinesKept: on one CPU tasks that are admitted and compute for no more
// than they reserved meet every deadline, whatever else runs.
func TestDeadlinesKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		left := 0.94
		var specs []sched.TaskSpec
		var periods []uint64
		for range rapid.IntRange(1, 5).Draw(t, "tasks") {
			period := rapid.Uint64Range(4, 100).Draw(t, "period") * 1e6
			u := rapid.Float64Range(0.02, 0.9).Draw(t, "share") * left
			runtime := uint64(u * float64(period))
			left -= u
			if runtime < 100_000 {
				continue
			}
			specs = append(specs, sched.TaskSpec{Comm: "dl", Attr: sched.Attr{Policy: sched.PolicyDeadline, Runtime: runtime, Deadline: period, Period: period},
				Program: sched.Loop(sched.Random(1000, int64(runtime)-1000), sched.Every(int64(period)))})
			periods = append(periods, period)
		}
		others := append(drawSleepers(t, 3), sched.TaskSpec{Comm: "fifo", Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 99},
			Program: sched.Loop(sched.Random(1000, 2*ms), sched.Sleep(ms))})
		s, ids := drawSim(t, sched.SimConfig{Config: sched.Config{Profile: drawProfile(t)}, Seed: rapid.Uint64().Draw(t, "seed"), Specs: append(slices.Clone(specs), others...)})
		job := make([]uint64, len(specs))
		s.Watch(func(e *sched.SimEvent) {
			if e.Kind != sched.SimSwitch || e.State == sched.StateRunning {
				return
			}
			i := slices.Index(ids[:len(specs)], e.Task)
			if i < 0 {
				return
			}
			job[i]++
			if e.Time > job[i]*periods[i] {
				t.Fatalf("task %d ends job %d at %d, deadline %d", i, job[i], e.Time, job[i]*periods[i])
			}
		})
		require.NoError(t, s.Run(second))
	})
}

// TestRTOrder: no task runs while one of a higher real-time priority is
// runnable; among equals SCHED_FIFO keeps the order.
func TestRTOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var specs []sched.TaskSpec
		for i := range rapid.IntRange(1, 7).Draw(t, "tasks") {
			attr := sched.Attr{Policy: sched.PolicyFIFO, RTPriority: rapid.IntRange(1, 4).Draw(t, "priority")}
			if rapid.Bool().Draw(t, "rr") {
				attr.Policy = sched.PolicyRR
			}
			specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("rt", i), Attr: attr,
				Program: sched.Loop(sched.Random(1000, 3*ms), sched.Sleep(rapid.Int64Range(1, 20).Draw(t, "sleep")*ms))})
		}
		prio := func(i int) int {
			if i < 0 || i >= len(specs) {
				return 0
			}
			return specs[i].Attr.RTPriority
		}
		// From 6.12 on a server for fair tasks goes first now and then.
		s, ids := drawSim(t, sched.SimConfig{Config: sched.Config{Profile: sched.Linux6_1, Tunables: unlimited(sched.Linux6_1, 1)},
			Seed: rapid.Uint64().Draw(t, "seed"), Preempt: sched.PreemptFull, Specs: append(slices.Clone(specs), drawSleepers(t, 3)...)})
		ready := map[sched.TaskID]bool{}
		s.Watch(func(e *sched.SimEvent) {
			switch e.Kind {
			case sched.SimWakeup, sched.SimWakeupNew:
				ready[e.Task] = true
			case sched.SimSwitch:
				if e.State != sched.StateRunning {
					delete(ready, e.Task)
				}
				next := prio(slices.Index(ids, e.Next))
				for id := range ready {
					if p := prio(slices.Index(ids, id)); p > next {
						t.Fatalf("at %d ns priority %d gets the CPU while %d is ready", e.Time, next, p)
					}
				}
			}
		})
		require.NoError(t, s.Run(second))
	})
}
