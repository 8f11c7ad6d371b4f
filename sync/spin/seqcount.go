package spin

// SeqCount protects two words of data by a counter that is odd while they change. One
// agent may write at a time: the caller's lock sees to it, or, in a seqlock, its own.
// Each write adds 1 to both words.
type SeqCount struct {
	base
	latch, locked bool
}

// Words: the counter, then the data; a latch has a second copy.
const (
	seqCounter = iota
	seqData
	// A seqlock's own lock is a ticket lock.
	seqNext  = seqData + 4
	seqOwner = seqNext + 1
	seqWords = seqOwner + 1
)

// Places of a seqlock's writer before and after it changes the data.
const (
	seqDraw = 10 + iota
	seqTurn
	seqUnlock
)

// NewSeqCount makes a counter with its data, all 0.
func NewSeqCount(cpus int, m Mistake) (*SeqCount, error) {
	b, err := newBase(cpus, seqWords, m)
	return &SeqCount{base: b}, err
}

// NewLatch makes one with two copies of the data (seqcount_latch_t): readers take the
// one that does not change.
func NewLatch(cpus int, m Mistake) (*SeqCount, error) {
	b, err := newBase(cpus, seqWords, m)
	return &SeqCount{base: b, latch: true}, err
}

// NewSeqLock makes one with a lock for its writers (seqlock_t): they enter first come
// first served, and never wait for readers.
func NewSeqLock(cpus int, m Mistake) (*SeqCount, error) {
	b, err := newBase(cpus, seqWords, m)
	return &SeqCount{base: b, locked: true}, err
}

// Clone is a copy.
func (l *SeqCount) Clone() Lock { return &SeqCount{l.clone(), l.latch, l.locked} }

// Sequence is the counter.
func (l *SeqCount) Sequence() uint32 { return l.words[seqCounter] }

// Start begins Write or Read. A second writer is refused, but by a seqlock.
func (l *SeqCount) Start(a Agent, op Op) error {
	if op != Write && op != Read {
		return ErrOp
	}
	if op == Write && !l.locked {
		for i := range l.agents {
			if l.agents[i].op == Write {
				return ErrRecursion
			}
		}
	}
	if err := l.start(a, op); err != nil {
		return err
	}
	if op == Write && l.locked && l.mistake != EarlyUnlock {
		l.agents[a].pc = seqDraw
	}
	return nil
}

// Step takes the agent's next access. Check fails after a read of halves of two
// different changes.
func (l *SeqCount) Step(a Agent) Progress {
	g := l.ready(a)
	switch {
	case g == nil:
		return Waiting
	case g.op == Write && l.latch:
		return l.writeLatch(a, g)
	case g.op == Write:
		return l.write(a, g)
	}
	return l.read(a, g)
}

func (l *SeqCount) write(a Agent, g *agent) Progress {
	switch g.pc {
	case seqDraw:
		g.r[0] = l.words[seqNext]
		l.words[seqNext]++
		l.queue(a)
	case seqTurn:
		if l.words[seqOwner] != g.r[0] {
			return Waiting
		}
		if !l.unqueue(a) {
			l.fail("agent %d overtakes agent %d", a, l.order[0])
		}
		return g.goTo(0)
	case seqUnlock:
		l.words[seqOwner]++
		return l.leave(a)
	case 0:
		if l.words[seqCounter]&1 != 0 {
			l.fail("agent %d writes while another does", a)
		}
		l.words[seqCounter]++
	case 3:
		l.words[seqCounter]++
		if !l.locked || l.mistake == EarlyUnlock {
			return l.leave(a)
		}
		return g.goTo(seqUnlock)
	default:
		l.words[seqData+int(g.pc)-1]++
	}
	return g.goTo(g.pc + 1)
}

// writeLatch sends readers to the second copy, changes the first, sends them back and
// changes the second.
func (l *SeqCount) writeLatch(a Agent, g *agent) Progress {
	switch g.pc {
	case 0, 3:
		if l.mistake != OneCopy || g.pc == 0 {
			l.words[seqCounter]++
		}
	case 1, 2:
		l.words[seqData+int(g.pc)-1]++
	default:
		l.words[seqData+int(g.pc)-2]++
		if g.pc == 5 {
			return l.leave(a)
		}
	}
	return g.goTo(g.pc + 1)
}

func (l *SeqCount) read(a Agent, g *agent) Progress {
	switch g.pc {
	case 0:
		if !l.latch && l.words[seqCounter]&1 != 0 {
			return Waiting
		}
		g.r[0] = l.words[seqCounter]
	case 1, 2:
		copyOf := 0
		if l.latch && (l.mistake == OneCopy || g.r[0]&1 != 0) {
			copyOf = 2
		}
		g.r[g.pc] = l.words[seqData+copyOf+int(g.pc)-1]
	default:
		if l.words[seqCounter] != g.r[0] && l.mistake != NoRetry {
			*g = agent{op: Read}
			return Moved
		}
		if g.r[1] != g.r[2] {
			l.fail("agent %d read %d and %d", a, g.r[1], g.r[2])
		}
		return l.leave(a)
	}
	return g.goTo(g.pc + 1)
}
