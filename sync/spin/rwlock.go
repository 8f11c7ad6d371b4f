package spin

// RWLock is the kernel's queued rwlock. Agents of a level above 0 are interrupts,
// whose readers go before writers that only wait.
type RWLock struct{ base }

// Words of a queued rwlock.
const (
	rwCount = iota
	rwNext  // the wait lock: a ticket lock
	rwOwner
)

// Parts of the count.
const (
	RWLocked  = 0xff
	RWWaiting = 0x100
	// RWReader is one reader.
	RWReader = 0x200

	rwWriters = RWLocked | RWWaiting
)

// NewRWLock makes a free lock.
func NewRWLock(cpus int, m Mistake) (*RWLock, error) {
	b, err := newBase(cpus, 3, m)
	return &RWLock{b}, err
}

// Count is the lock's count, as the kernel has it.
func (l *RWLock) Count() uint32 { return l.words[rwCount] }

// Clone is a copy.
func (l *RWLock) Clone() Lock { return &RWLock{l.clone()} }

// Start begins Acquire, Release, AcquireRead or ReleaseRead.
func (l *RWLock) Start(a Agent, op Op) error {
	switch op {
	case Acquire, Release, AcquireRead, ReleaseRead:
		return l.start(a, op)
	}
	return ErrOp
}

// Step takes the agent's next access.
func (l *RWLock) Step(a Agent) Progress {
	g := l.ready(a)
	if g == nil {
		return Waiting
	}
	switch g.op {
	case Release:
		l.words[rwCount] &^= RWLocked
		return l.leave(a)
	case ReleaseRead:
		l.words[rwCount] -= RWReader
		return l.leave(a)
	case AcquireRead:
		return l.read(a, g)
	}
	return l.write(a, g)
}

// blockers are the bits that keep a new reader out.
func (l *RWLock) blockers() uint32 {
	if l.mistake == SkipWriter {
		return RWLocked
	}
	return rwWriters
}

// Places of both ways; those from rwTicket to rwTurn are the wait lock.
const (
	rwFast = iota
	rwUndo
	rwInterrupt
	rwTicket
	rwTurn
	rwCountAgain
	rwAwaitWriter
	rwTryFree
	rwSetWaiting
	rwAwaitFree
	rwTake
	rwPassReader
	rwPassWriter
)

func (l *RWLock) read(a Agent, g *agent) Progress {
	count := &l.words[rwCount]
	switch g.pc {
	case rwFast:
		*count += RWReader
		switch {
		case *count&l.blockers() == 0:
			l.overtakes(a)
			return l.enter(a, heldRead)
		case a.Level() > 0:
			return g.goTo(rwInterrupt)
		}
		return g.goTo(rwUndo)
	case rwInterrupt:
		if *count&RWLocked != 0 {
			return Waiting
		}
		return l.enter(a, heldRead)
	case rwUndo:
		*count -= RWReader
		return g.goTo(rwTicket)
	case rwTicket, rwTurn:
		return l.waitLock(a, g, rwCountAgain)
	case rwCountAgain:
		*count += RWReader
		return g.goTo(rwAwaitWriter)
	case rwAwaitWriter:
		if *count&RWLocked != 0 {
			return Waiting
		}
		if !l.unqueue(a) {
			l.fail("agent %d overtakes agent %d", a, l.order[0])
		}
		return g.goTo(rwPassReader)
	}
	l.words[rwOwner]++
	return l.enter(a, heldRead)
}

func (l *RWLock) write(a Agent, g *agent) Progress {
	count := &l.words[rwCount]
	switch g.pc {
	case rwFast:
		if *count == 0 {
			*count = RWLocked
			l.overtakes(a)
			return l.enter(a, heldWrite)
		}
		return g.goTo(rwTicket)
	case rwTicket, rwTurn:
		return l.waitLock(a, g, rwTryFree)
	case rwTryFree:
		if *count == 0 {
			*count = RWLocked
			l.unqueue(a)
			return g.goTo(rwPassWriter)
		}
		return g.goTo(rwSetWaiting)
	case rwSetWaiting:
		*count |= RWWaiting
		return g.goTo(rwAwaitFree)
	case rwAwaitFree:
		if *count != RWWaiting {
			return Waiting
		}
		return g.goTo(rwTake)
	case rwTake:
		if *count != RWWaiting {
			return g.goTo(rwAwaitFree)
		}
		*count = RWLocked
		if !l.unqueue(a) {
			l.fail("agent %d overtakes agent %d", a, l.order[0])
		}
		return g.goTo(rwPassWriter)
	}
	l.words[rwOwner]++
	return l.enter(a, heldWrite)
}

// waitLock takes the wait lock: the order in which agents come here is that of
// entering.
func (l *RWLock) waitLock(a Agent, g *agent, then uint8) Progress {
	if g.pc == rwTicket {
		g.r[0] = l.words[rwNext]
		l.words[rwNext]++
		l.queue(a)
		return g.goTo(rwTurn)
	}
	if l.words[rwOwner] != g.r[0] {
		return Waiting
	}
	return g.goTo(then)
}

// overtakes proves that nobody who comes later enters before a writer that waits with
// its bit set.
func (l *RWLock) overtakes(a Agent) {
	for _, o := range l.order {
		if g := &l.agents[o]; g.op == Acquire && (g.pc == rwAwaitFree || g.pc == rwTake) {
			l.fail("agent %d overtakes the writer %d", a, o)
		}
	}
}
