package bench

import (
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// Request is what a caller asks a page allocator for.
type Request = buddy.Request

// Strategy is a page allocator. It need not be safe for concurrent use, and
// must be deterministic: the same calls give the same answers.
type Strategy interface {
	// Start makes the allocator of a machine. It is called once, before
	// everything else.
	Start(m *Machine) error
	// Alloc gives the first page of a block of 1<<r.Order pages, aligned to
	// its size or not, or false if it has none.
	Alloc(r Request) (buddy.PFN, bool)
	// Free takes a block back, on a CPU. The block may be a part of one that
	// was given out (an aligned part of a power of two of pages), or have been
	// in use before the start.
	Free(cpu buddy.CPU, pfn buddy.PFN, order buddy.Order)
}

// Counters is what a strategy counted since its start. Zero may mean that a
// strategy has no such thing.
type Counters struct {
	// Splits and Merges are blocks divided and joined.
	Splits, Merges uint64
	// Locks is how often a lock shared by all CPUs would have been taken
	// (Linux: zone->lock).
	Locks uint64
	// LockWork is how much was done while it was held: blocks put on or taken
	// off free lists.
	LockWork uint64
	// Cached is not a count but how many pages lie in per-CPU caches now.
	Cached uint64
	// CacheHits are requests that a per-CPU cache served without that lock.
	CacheHits uint64
	// Scanned is how many words or entries were looked at in searches.
	Scanned uint64
	// Fallbacks are requests served from another migrate type's memory,
	// Claims those that changed a pageblock's type.
	Fallbacks, Claims uint64
}

// Counter is a strategy that counts.
type Counter interface{ Counters() Counters }

// Named is a strategy with what to know about it.
type Named struct {
	// Name is short, without spaces: "linux-6.1".
	Name string
	// About says in a line what it is; Source where it is described.
	About, Source string
	// New makes a fresh one.
	New func() Strategy
}

// Span is the pages from Start to before End.
type Span struct{ Start, End buddy.PFN }

// Machine is the memory that a strategy manages.
type Machine struct {
	// Config is the machine as Linux sees it. Its CPUs, MaxOrder and
	// PageblockOrder count for everybody.
	Config buddy.Config
	// Spans is where the machine has memory, ascending: a page outside of them
	// will never be free. Free is what is free at the start, in runs as long
	// as possible.
	Spans, Free []Span
	// Hardware is what Linux boots on, if there is no State to start from.
	Hardware *buddy.Machine
	// State is Linux's lists at the start, in a capture.
	State *buddy.State
	// Baseline is the name of the profile that State's lists are of, if its
	// replay of the capture is exact.
	Baseline string
}

// First is the machine's first page, rounded down to the largest block's size,
// and Pages the number of pages from there to its last one: what a strategy
// that keeps an array of pages needs.
func (m *Machine) First() buddy.PFN {
	if len(m.Spans) == 0 {
		return 0
	}
	return m.Spans[0].Start &^ (1<<buddy.MaxOrders - 1)
}

// Pages is described at [Machine.First].
func (m *Machine) Pages() int {
	if len(m.Spans) == 0 {
		return 0
	}
	return int(m.Spans[len(m.Spans)-1].End - m.First())
}

// FreePages is how many pages are free at the start.
func (m *Machine) FreePages() int {
	n := 0
	for _, s := range m.Free {
		n += int(s.End - s.Start)
	}
	return n
}

// StrategyError says what a strategy did wrong.
type StrategyError struct {
	Strategy string
	// Op is the number of the operation, from 0; -1 at the final check.
	Op int
	// Fault says what is wrong.
	Fault Fault
	PFN   buddy.PFN
	Order buddy.Order
	// Pages is how many pages are lost or too many.
	Pages int
	// Err is the strategy's own error, if it told one.
	Err error
}

// Fault is a way in which a strategy can be wrong.
type Fault string

// The faults.
const (
	// FaultTwice: a page was given out that is in use.
	FaultTwice Fault = "gave out a page that is in use"
	// FaultOutside: a page was given out that the machine doesn't have.
	FaultOutside Fault = "gave out a page that is not the machine's"
	// FaultLost: pages that were free or came back are never given out again.
	FaultLost Fault = "lost pages"
	// FaultItself: the strategy found itself broken, or refused a right free.
	FaultItself Fault = "reported an error"
)

func (e *StrategyError) Error() string {
	s := "bench: strategy " + e.Strategy + ": " + string(e.Fault)
	switch e.Fault {
	case FaultLost:
		s += fmt.Sprintf(": %d that are free cannot be had", e.Pages)
	case FaultItself:
		s += ": " + e.Err.Error()
	default:
		s += fmt.Sprintf(": PFN %d in a block at %d of order %d", e.PFN, e.PFN, e.Order)
	}
	if e.Op >= 0 {
		s += fmt.Sprintf(" (operation %d)", e.Op)
	}
	return s
}

func (e *StrategyError) Unwrap() error { return e.Err }
