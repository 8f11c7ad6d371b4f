package spin

import "fmt"

// OSQ is the queue of those who spin for a mutex or rwsem while its owner runs. Who is
// at its head holds the OSQ lock; a waiter may give up ([OSQ.GiveUp]), as one does that
// has to reschedule.
type OSQ struct{ base }

// A CPU's node has four words behind the tail: locked, next CPU + 1, previous CPU + 1,
// and whether the CPU shall reschedule.
const (
	osqLocked = iota
	osqNext
	osqPrev
	osqResched
	osqWords
)

// NewOSQ makes a free lock. Only agents of level 0 use it.
func NewOSQ(cpus int, m Mistake) (*OSQ, error) {
	b, err := newBase(cpus, 1+osqWords*cpus, m)
	return &OSQ{b}, err
}

// Clone is a copy.
func (l *OSQ) Clone() Lock { return &OSQ{l.clone()} }

func (l *OSQ) node(cpu uint32, w int) *uint32 { return &l.words[1+osqWords*int(cpu)+w] }

// Start begins Acquire or Release.
func (l *OSQ) Start(a Agent, op Op) error {
	if op != Acquire && op != Release || a.Level() != 0 {
		return ErrOp
	}
	if err := l.start(a, op); err != nil {
		return err
	}
	if op == Acquire {
		*l.node(uint32(a.CPU()), osqResched) = 0
	}
	return nil
}

// GiveUp asks a waiter to reschedule: it leaves the queue, unless it is given the lock
// first.
func (l *OSQ) GiveUp(a Agent) error {
	g := l.ready(a)
	if g == nil || g.op != Acquire {
		return fmt.Errorf("%w: give up", ErrBusy)
	}
	*l.node(uint32(a.CPU()), osqResched) = 1
	return nil
}

// Places of Acquire and Release.
const (
	osqExchange = iota
	osqLink
	osqAwait
	osqCutPrev
	osqLookAgain
	osqRereadPrev
	osqTail
	osqTakeNext
	osqSetPrev
	osqSetNext
)

// Step takes the agent's next access.
func (l *OSQ) Step(a Agent) Progress {
	g := l.ready(a)
	switch {
	case g == nil:
		return Waiting
	case g.op == Release:
		return l.release(a, g)
	}
	me := uint32(a.CPU())
	prev := g.r[0] - 1
	switch g.pc {
	case osqExchange:
		g.r[0] = l.words[0]
		l.words[0] = me + 1
		*l.node(me, osqLocked), *l.node(me, osqNext), *l.node(me, osqPrev) = 0, 0, g.r[0]
		l.queue(a)
		if g.r[0] == 0 {
			return l.enter(a, heldWrite)
		}
		return g.goTo(osqLink)
	case osqLink:
		*l.node(prev, osqNext) = me + 1
		return g.goTo(osqAwait)
	case osqAwait:
		switch {
		case *l.node(me, osqLocked) != 0:
			return l.enter(a, heldWrite)
		case *l.node(me, osqResched) != 0:
			return g.goTo(osqCutPrev)
		}
		return Waiting
	case osqCutPrev:
		// Cut from the one before: it can pass the lock no more.
		if *l.node(prev, osqNext) == me+1 {
			*l.node(prev, osqNext) = 0
			return g.goTo(osqTail)
		}
		return g.goTo(osqLookAgain)
	case osqLookAgain:
		if *l.node(me, osqLocked) != 0 {
			return l.enter(a, heldWrite)
		}
		return g.goTo(osqRereadPrev)
	case osqRereadPrev:
		g.r[0] = *l.node(me, osqPrev)
		return g.goTo(osqCutPrev)
	case osqTail, osqTakeNext:
		return l.findNext(a, g, g.r[0])
	case osqSetPrev:
		*l.node(g.r[1]-1, osqPrev) = g.r[0]
		return g.goTo(osqSetNext)
	}
	*l.node(prev, osqNext) = g.r[1]
	return l.gaveUp(a)
}

// findNext waits until it is certain who is behind: nobody, if the tail can be moved
// back to old, or the one that has linked itself.
func (l *OSQ) findNext(a Agent, g *agent, old uint32) Progress {
	me := uint32(a.CPU())
	if g.pc == osqTail {
		if l.words[0] == me+1 {
			l.words[0] = old
			if g.op == Release {
				return l.leave(a)
			}
			return l.gaveUp(a)
		}
		return g.goTo(osqTakeNext)
	}
	g.r[1] = *l.node(me, osqNext)
	if g.r[1] == 0 {
		return g.goTo(osqTail)
	}
	*l.node(me, osqNext) = 0
	return g.goTo(osqSetPrev)
}

func (l *OSQ) gaveUp(a Agent) Progress {
	l.unqueue(a)
	l.agents[a] = agent{}
	return Failed
}

// release passes the lock to the one behind.
func (l *OSQ) release(a Agent, g *agent) Progress {
	switch g.pc {
	case osqExchange:
		if l.words[0] == uint32(a.CPU())+1 {
			l.words[0] = 0
			return l.leave(a)
		}
		if l.mistake == EarlyUnlock {
			l.words[0] = 0
			return l.leave(a)
		}
		return g.goTo(osqTakeNext)
	case osqTail, osqTakeNext:
		return l.findNext(a, g, 0)
	}
	*l.node(g.r[1]-1, osqLocked) = 1
	return l.leave(a)
}
