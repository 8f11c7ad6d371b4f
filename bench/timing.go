package bench

import (
	"context"
	"time"

	"github.com/kernsim/kernsim/buddy"
)

// timedCalls is how many calls are timed at most, and held in memory for it.
const timedCalls = 1 << 20

// Time measures what a strategy costs in ns a call, without the generator, the
// checker and the metrics: the calls of a run are written down with their
// answers, then made again to a fresh instance. It is the only figure of this
// package that depends on the machine, and differs from run to run.
func Time(ctx context.Context, n Named, w *Workload, seed uint64) (nsPerCall float64, calls int, err error) {
	log := &callLog{s: n.New()}
	plain := *w
	plain.Capture = nil
	stream := w.Stream(seed)
	plain.Stream = func(uint64) Stream { return &limited{stream, timedCalls} }
	if _, err := Run(ctx, Named{Name: n.Name, New: func() Strategy { return log }}, &plain, seed, Options{NoCheck: true, Samples: 1}); err != nil {
		return 0, 0, err
	}
	s := n.New()
	if err := s.Start(w.Machine); err != nil {
		return 0, 0, &StrategyError{Strategy: n.Name, Fault: FaultItself, Err: err}
	}
	start := time.Now()
	for i := range log.calls {
		c := &log.calls[i]
		if c.free {
			s.Free(c.r.CPU, c.pfn, c.r.Order)
		} else {
			s.Alloc(c.r)
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(max(len(log.calls), 1)), len(log.calls), nil
}

// limited is the start of a stream, without what a trace tells besides.
type limited struct {
	Stream
	left int
}

func (l *limited) Next(op *Op) bool {
	if l.left == 0 || !l.Stream.Next(op) {
		return false
	}
	l.left--
	op.Call = nil
	return true
}

// callLog writes down a strategy's calls.
type callLog struct {
	s     Strategy
	calls []loggedCall
}

type loggedCall struct {
	r    Request
	pfn  buddy.PFN
	free bool
}

func (l *callLog) Start(m *Machine) error { return l.s.Start(m) }

func (l *callLog) Alloc(r Request) (buddy.PFN, bool) {
	pfn, ok := l.s.Alloc(r)
	l.calls = append(l.calls, loggedCall{r: r, pfn: pfn})
	return pfn, ok
}

func (l *callLog) Free(cpu buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	l.s.Free(cpu, pfn, order)
	l.calls = append(l.calls, loggedCall{r: Request{CPU: cpu, Order: order}, pfn: pfn, free: true})
}
