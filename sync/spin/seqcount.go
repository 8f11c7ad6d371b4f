package spin

// SeqCount protects two words of data by a counter that is odd while they change. One
// agent may write at a time: the caller's lock sees to it.
type SeqCount struct {
	base
	// writes counts changes: the value that the writer gives both words.
	latch bool
}

// Words: the counter, then the data; a latch has a second copy.
const (
	seqCounter = iota
	seqData
	seqWords = seqData + 4
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

// Clone is a copy.
func (l *SeqCount) Clone() Lock { return &SeqCount{l.clone(), l.latch} }

// Sequence is the counter.
func (l *SeqCount) Sequence() uint32 { return l.words[seqCounter] }

// Start begins Write or Read. A second writer is refused.
func (l *SeqCount) Start(a Agent, op Op) error {
	if op != Write && op != Read {
		return ErrOp
	}
	if op == Write {
		for i := range l.agents {
			if l.agents[i].op == Write {
				return ErrRecursion
			}
		}
	}
	return l.start(a, op)
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
	case 0, 3:
		l.words[seqCounter]++
		if g.pc == 3 {
			return l.leave(a)
		}
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
