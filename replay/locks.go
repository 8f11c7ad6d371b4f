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
func Locks(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "locks")
	if err != nil {
		return nil, err
	}
	return res, eachFile(ctx, c, o, lockFiles(c), func(f source) error {
		scenarios, err := lock.ReadScenarios(f.full, f)
		if err != nil {
			return err
		}
		for i := range scenarios {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			lockScenario(&scenarios[i], res)
		}
		return nil
	})
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
