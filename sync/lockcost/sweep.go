package lockcost

import (
	"fmt"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sync/lock"
)

// SweepConfig describes a contention experiment: tasks that compute, take one lock,
// work under it and give it back, again and again. Times are ns.
type SweepConfig struct {
	Kind      lock.Kind
	PreemptRT bool
	// Profile is the scheduler; CPUs the machine's, 1 to 64.
	Profile sched.Profile
	CPUs    int
	// Outside and Hold are the work without and with the lock; drawn between half of it
	// and one and a half times.
	Outside, Hold int64
	// Tasks are how many tasks each run has; Time is how long it is, at most a minute.
	Tasks []int
	Time  uint64
	Seed  uint64
}

// Point is one run.
type Point struct {
	Tasks int
	Stat
	// PerSecond is how often the lock was taken a second; WaitMean the mean time that
	// those who waited did, in ns; Contended the share of acquisitions that waited.
	PerSecond, WaitMean, Contended float64
}

const (
	maxTasks = 1000
	maxTime  = 60_000_000_000
)

// Sweep runs the experiment for each number of tasks.
func Sweep(c SweepConfig) ([]Point, error) {
	if c.CPUs < 1 || c.CPUs > 64 || c.Outside < 0 || c.Hold < 1 || c.Time < 1 || c.Time > maxTime || c.Outside > maxTime || c.Hold > maxTime {
		return nil, fmt.Errorf("lockcost: %d CPUs, outside %d, hold %d, time %d: want 1 to 64, times up to a minute", c.CPUs, c.Outside, c.Hold, c.Time)
	}
	var out []Point
	for _, n := range c.Tasks {
		if n < 1 || n > maxTasks {
			return nil, fmt.Errorf("lockcost: %d tasks, want 1 to %d", n, maxTasks)
		}
		p, err := c.run(n)
		if err != nil {
			return nil, err
		}
		out = append(out, *p)
	}
	return out, nil
}

func (c *SweepConfig) run(n int) (*Point, error) {
	// The simulation has tasks of its own: idle and stopper of each CPU.
	lab, err := New([]lock.Kind{c.Kind}, c.PreemptRT, n+4*c.CPUs)
	if err != nil {
		return nil, err
	}
	cfg := sched.SimConfig{Config: sched.Config{Profile: c.Profile, CPUs: c.CPUs}, Seed: c.Seed, Locks: lab}
	for i := range n {
		cfg.Specs = append(cfg.Specs, sched.TaskSpec{
			Comm: fmt.Sprintf("task%d", i),
			Program: sched.Loop(
				sched.Random(c.Outside/2, c.Outside+c.Outside/2+1),
				sched.Step{Op: sched.OpLock},
				sched.Random(c.Hold/2, c.Hold+c.Hold/2+1),
				sched.Step{Op: sched.OpUnlock},
			),
		})
	}
	sim, err := sched.NewSim(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := sim.SpawnAll(); err != nil {
		return nil, err
	}
	if err := sim.Run(c.Time); err != nil {
		return nil, err
	}
	p := &Point{Tasks: n, Stat: lab.Stats()[0]}
	p.PerSecond = float64(p.Acquisitions) * 1e9 / float64(c.Time)
	if p.Contentions > 0 {
		p.WaitMean = float64(p.WaitTotal) / float64(p.Contentions)
	}
	if p.Acquisitions > 0 {
		p.Contended = float64(p.Contentions) / float64(p.Acquisitions)
	}
	return p, nil
}
