package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far several tasks are together, on a terminal only. Its
// methods must not be called at the same time.
type progress struct {
	bar  *progressbar.ProgressBar
	done []float64
}

// perTask is how many steps of the bar a task is.
const perTask = 1000

func newProgress(w io.Writer, what string, tasks int) *progress {
	p := &progress{done: make([]float64, tasks)}
	if isTerminal(w) {
		p.bar = progressbar.NewOptions(tasks*perTask,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(what),
			progressbar.OptionSetWidth(30),
			progressbar.OptionEnableColorCodes(false),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionClearOnFinish())
	}
	return p
}

// set notes the share done of a task.
func (p *progress) set(task int, share float64) {
	p.done[task] = max(p.done[task], share)
	if p.bar == nil {
		return
	}
	sum := 0.0
	for _, d := range p.done {
		sum += d
	}
	// A terminal that cannot be written to is no reason to stop.
	_ = p.bar.Set(int(sum * perTask))
}

// finish takes the bar away.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
