package main

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sync/lock"
	"github.com/kernsim/kernsim/sync/lockcost"
	"github.com/kernsim/kernsim/viz"
)

// contentionLocks are the kinds of locks that the graph of contention knows.
var contentionLocks = map[string]lock.Kind{
	"mutex": lock.MutexKind, "rt_mutex": lock.RTMutexKind, "semaphore": lock.SemaphoreKind, "rwsem": lock.RWSemKind,
}

// Of the time that a task needs for a round, in ns, the lock is held for a fifth.
const (
	contentionOutside = 80_000
	contentionHold    = 20_000
	contentionTime    = 200_000_000
	contentionTasks   = 16
)

// plotContention runs one critical section with more and more tasks.
func plotContention(ctx context.Context, source string, _ *plotFlags) (viz.Graph, error) {
	kind, ok := contentionLocks[source]
	if !ok {
		return nil, &usageError{fmt.Errorf("no lock %q: mutex, rt_mutex, semaphore or rwsem", source)}
	}
	g := viz.Lines{
		Frame: viz.Frame{
			Title:  "Acquisitions of one " + source,
			Source: fmt.Sprintf("simulated scheduler of Linux 6.1; a round is %d us of work, %d us of them with the lock; seed 1", (contentionOutside+contentionHold)/1000, contentionHold/1000),
		},
		XLabel: "tasks", Y: viz.Axis{Label: "acquisitions a second", FromZero: true},
	}
	var tasks []int
	for n := 1; n <= contentionTasks; n++ {
		tasks = append(tasks, n)
		g.X = append(g.X, float64(n))
	}
	for _, cpus := range []int{1, 2, 4, 8} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		points, err := lockcost.Sweep(lockcost.SweepConfig{
			Kind: kind, Profile: sched.Linux6_1, CPUs: cpus, Outside: contentionOutside, Hold: contentionHold,
			Tasks: tasks, Time: contentionTime, Seed: 1,
		})
		if err != nil {
			return nil, err
		}
		s := viz.Series{Name: fmt.Sprintf("%d CPUs", cpus)}
		if cpus == 1 {
			s.Name = "1 CPU"
		}
		for _, p := range points {
			s.Y = append(s.Y, p.PerSecond)
		}
		g.Series = append(g.Series, s)
	}
	return g, nil
}
