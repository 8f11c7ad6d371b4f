package spin

// Queued is the kernel's queued spinlock. Several locks of one machine share the MCS
// nodes of its CPUs.
type Queued struct {
	base
	// nodes is how many nodes of each CPU are in use.
	nodes []uint8
}

// Parts of a queued spinlock's word.
const (
	QueuedLocked  = 1
	QueuedPending = 1 << 8
	// QueuedTailShift is where the tail begins: the node's number in two bits, the CPU's
	// number + 1 above.
	QueuedTailShift = 16

	queuedLockedMask  = 0xff
	queuedPendingMask = 0xff00
	queuedTailMask    = ^uint32(0xffff)
)

// NewQueued makes a free lock.
func NewQueued(cpus int, m Mistake) (*Queued, error) {
	// The lock's word, then two words for each node: locked, next + 1.
	b, err := newBase(cpus, 1+2*cpus*Levels, m)
	if err != nil {
		return nil, err
	}
	return &Queued{base: b, nodes: make([]uint8, cpus)}, nil
}

// Word is the lock's word, as the kernel has it.
func (l *Queued) Word() uint32 { return l.words[0] }

// Clone is a copy.
func (l *Queued) Clone() Lock {
	return &Queued{l.clone(), append([]uint8(nil), l.nodes...)}
}

// AppendKey appends the state.
func (l *Queued) AppendKey(out []byte) []byte { return append(l.base.AppendKey(out), l.nodes...) }

// Start begins Acquire, Try or Release.
func (l *Queued) Start(a Agent, op Op) error {
	if op != Acquire && op != Try && op != Release {
		return ErrOp
	}
	return l.start(a, op)
}

// Places of Acquire, beside those that follow one another.
const (
	qFast = iota
	qPendingOnly
	qSetPending
	qUndoPending
	qAwaitUnlock
	qTakePending
	qQueue
	qExchangeTail
	qLink
	qAwaitNode
	qReadNext
	qAwaitHead
	qLast
	qSetLocked
	qAwaitNext
	qPass
)

func (l *Queued) locked(node uint32) *uint32 { return &l.words[1+2*node] }
func (l *Queued) next(node uint32) *uint32   { return &l.words[2+2*node] }

// node is the MCS node that an agent uses: CPU * Levels + its number there.
func (g *agent) node() uint32 { return g.r[1] }

func tailOf(node uint32) uint32 { return (node%Levels | (node/Levels+1)<<2) << QueuedTailShift }

// nodeOf is the node of a tail that is not empty.
func nodeOf(word uint32) uint32 {
	t := word >> QueuedTailShift
	return (t>>2-1)*Levels + t&3
}

// Step takes the agent's next access.
func (l *Queued) Step(a Agent) Progress {
	g := l.ready(a)
	switch {
	case g == nil:
		return Waiting
	case g.op == Release:
		l.words[0] &^= queuedLockedMask
		return l.leave(a)
	case g.op == Try:
		if l.words[0] != 0 {
			l.agents[a] = agent{}
			return Failed
		}
		l.words[0] = QueuedLocked
		return l.enter(a, heldWrite)
	case g.pc < qQueue:
		return l.pending(a, g)
	}
	return l.queued(a, g)
}

// pending is the way of the first who waits: it spins on the word.
func (l *Queued) pending(a Agent, g *agent) Progress {
	word := &l.words[0]
	switch g.pc {
	case qFast:
		if *word == 0 {
			*word = QueuedLocked
			return l.enter(a, heldWrite)
		}
		g.r[0] = *word
		switch {
		case g.r[0] == QueuedPending:
			return g.goTo(qPendingOnly)
		case g.r[0]&^queuedLockedMask != 0:
			return g.goTo(qQueue)
		}
		return g.goTo(qSetPending)
	case qPendingOnly:
		// A bounded wait for the pending one to enter; here of one look.
		g.r[0] = *word
		if g.r[0]&^queuedLockedMask != 0 {
			return g.goTo(qQueue)
		}
		return g.goTo(qSetPending)
	case qSetPending:
		old := *word
		*word |= QueuedPending
		switch {
		case old&^queuedLockedMask == 0:
			l.queue(a)
			return g.goTo(qAwaitUnlock)
		case old&queuedPendingMask == 0 && l.mistake != KeepPending:
			return g.goTo(qUndoPending)
		}
		return g.goTo(qQueue)
	case qUndoPending:
		*word &^= queuedPendingMask
		return g.goTo(qQueue)
	case qAwaitUnlock:
		if *word&queuedLockedMask != 0 && l.mistake != EarlyUnlock {
			return Waiting
		}
		return g.goTo(qTakePending)
	}
	*word = *word&queuedTailMask | QueuedLocked
	return l.enter(a, heldWrite)
}

// queued is the way through the queue of nodes.
func (l *Queued) queued(a Agent, g *agent) Progress {
	word := &l.words[0]
	switch g.pc {
	case qQueue:
		cpu := uint32(a.CPU())
		g.r[1] = cpu*Levels + uint32(l.nodes[cpu])
		l.nodes[cpu]++
		*l.locked(g.node()), *l.next(g.node()) = 0, 0
		if *word == 0 { // it may have become free
			*word = QueuedLocked
			return l.done(a)
		}
		return g.goTo(qExchangeTail)
	case qExchangeTail:
		old := *word
		*word = old&^queuedTailMask | tailOf(g.node())
		l.queue(a)
		g.r[0], g.r[2] = old, 0
		if old&queuedTailMask == 0 {
			return g.goTo(qAwaitHead)
		}
		return g.goTo(qLink)
	case qLink:
		*l.next(nodeOf(g.r[0])) = g.node() + 1
		return g.goTo(qAwaitNode)
	case qAwaitNode:
		if *l.locked(g.node()) == 0 {
			return Waiting
		}
		return g.goTo(qReadNext)
	case qReadNext:
		g.r[2] = *l.next(g.node())
		return g.goTo(qAwaitHead)
	case qAwaitHead:
		if *word&^queuedTailMask != 0 {
			return Waiting
		}
		g.r[0] = *word
		if g.r[0] == tailOf(g.node()) {
			return g.goTo(qLast)
		}
		return g.goTo(qSetLocked)
	case qLast:
		if *word != g.r[0] {
			return g.goTo(qSetLocked)
		}
		*word = QueuedLocked
		return l.done(a)
	case qSetLocked:
		*word |= QueuedLocked
		if g.r[2] != 0 {
			return g.goTo(qPass)
		}
		return g.goTo(qAwaitNext)
	case qAwaitNext:
		if g.r[2] = *l.next(g.node()); g.r[2] == 0 {
			if l.mistake == ForgetNext {
				return l.done(a)
			}
			return Waiting
		}
		return g.goTo(qPass)
	}
	*l.locked(g.r[2] - 1) = 1
	return l.done(a)
}

// done enters from the queue; the node is free again.
func (l *Queued) done(a Agent) Progress {
	l.nodes[a.CPU()]--
	return l.enter(a, heldWrite)
}
