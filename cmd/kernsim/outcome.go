package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
)

// row is a replay's result with what is known about the capture's limits: a
// line of the table and an element of the JSON array.
type row struct {
	replay.Result
	// KnownLimit says why the model is known not to be exact here, or is "".
	KnownLimit string `json:"known_limit,omitempty"`
	// AsDocumented: exact, or as close as KnownLimit's figures say.
	AsDocumented bool `json:"as_documented"`
}

// outcome is what came of a target.
type outcome struct {
	rows []row
	err  error
}

// options are what the commands that replay have in common.
type options struct {
	model string
	jobs  int
	// replay gives the i-th target's options. It is called from several
	// goroutines.
	replay func(i int) replay.Options
	// progress is called with the share done of the i-th target, one call at
	// a time.
	progress func(i int, share float64)
}

// replayAll replays the targets on several cores. The outcomes are in the order
// of the targets. Its error is the context's.
func replayAll(ctx context.Context, list []target, o options) ([]outcome, error) {
	out := make([]outcome, len(list))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(min(o.jobs, len(list)), 1) {
		wg.Go(func() {
			for i := range next {
				ro := replay.Options{}
				if o.replay != nil {
					ro = o.replay(i)
				}
				ro.Model = o.model
				ro.Progress = func(share float64) {
					mu.Lock()
					defer mu.Unlock()
					o.progress(i, share)
				}
				out[i] = replayOne(ctx, list[i], ro)
				ro.Progress(1)
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wg.Wait()
	return out, ctx.Err()
}

func replayOne(ctx context.Context, t target, o replay.Options) outcome {
	if err := ctx.Err(); err != nil {
		return outcome{err: err}
	}
	results, err := replay.Run(ctx, t.capture, o)
	out := outcome{err: err}
	for _, r := range results {
		out.rows = append(out.rows, withLimit(r, t.limits))
	}
	return out
}

// withLimit compares a result with the capture's known limits.
func withLimit(r replay.Result, limits []captures.Limit) row {
	out := row{Result: r, AsDocumented: r.ExactAll()}
	for _, l := range limits {
		if l.Model != r.Model {
			continue
		}
		out.KnownLimit = l.Why
		out.AsDocumented = out.AsDocumented || reaches(r.Exact, r.Requests, l.Share) &&
			reaches(r.EventsExact, r.Events, l.Events) && reaches(r.ListsIdentical, r.Lists, l.Lists)
	}
	return out
}

func reaches(done, of int, share float64) bool {
	return done == of || float64(done) >= share*float64(of)
}

// verdict is a row's result in two words.
func (r *row) verdict() string {
	switch {
	case r.ExactAll():
		return "exact"
	case r.AsDocumented:
		return "known limit"
	}
	return "differs"
}

// percent writes a share with three decimals, cut, not rounded: only what is
// exact is 100%.
func percent(done, of int) string {
	if done >= of {
		return "100%"
	}
	n := int64(done) * 100000 / int64(of)
	return fmt.Sprintf("%d.%03d%%", n/1000, n%1000)
}

// allRows puts the rows of all outcomes into one list.
func allRows(outcomes []outcome) []row {
	rows := []row{}
	for i := range outcomes {
		rows = append(rows, outcomes[i].rows...)
	}
	return rows
}

func defaultJobs() int { return runtime.GOMAXPROCS(0) }
