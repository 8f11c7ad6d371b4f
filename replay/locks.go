package replay

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/sync/lock"
)

func lockFiles(c Capture) []string { return jsonFiles(c, "scenario", "steps", "workers") }

func hasLocks(c Capture) bool { return len(lockFiles(c)) > 0 }

// Locks repeats experiments with blocking locks and compares, after every
// command, who holds each lock, who waits, all priorities, answers, and the order
// in which commands finished.
//
// Two things are taken from the record and counted as hints: the order in which
// two workers come back from their commands where that is decided by two CPUs and
// not by the locks, and that a worker which has its lock was not back yet when the
// state was read.
func Locks(ctx context.Context, c Capture, _ Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "locks"}
	for _, name := range lockFiles(c) {
		r, err := c.plain(name)
		if err != nil {
			return nil, err
		}
		scenarios, err := lock.ReadScenarios(c.Name+"/"+name, r)
		r.Close()
		if err != nil {
			return nil, err
		}
		for i := range scenarios {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			lockScenario(&scenarios[i], res)
		}
	}
	return res, nil
}

// lockScenario repeats an experiment. After a difference the rest of it can not be
// compared.
func lockScenario(sc *lock.Scenario, res *Result) {
	res.Requests += len(sc.Steps)
	lab := lock.NewLab()
	for i := range sc.Steps {
		step := &sc.Steps[i]
		done, err := lab.Do(step.Command)
		if err != nil {
			res.differ(0, fmt.Sprintf("%s step %d %q: %v", sc.Name, i+1, step.Command, err))
			return
		}
		v := lab.Compare(step, done)
		if v.Difference != "" {
			res.differ(0, fmt.Sprintf("%s step %d %q: %s", sc.Name, i+1, step.Command, v.Difference))
			return
		}
		if v.Order {
			res.hint("order of finishing on two CPUs")
		}
		if v.Late {
			res.hint("worker not back from its command yet")
		}
		res.Exact++
	}
}
