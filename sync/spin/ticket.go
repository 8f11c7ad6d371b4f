package spin

// Ticket is a ticket lock: who comes draws a number, who leaves calls the next.
type Ticket struct{ base }

// Words of a ticket lock.
const (
	ticketNext = iota
	ticketOwner
)

// NewTicket makes a free lock on a machine.
func NewTicket(cpus int, m Mistake) (*Ticket, error) {
	b, err := newBase(cpus, 2, m)
	return &Ticket{b}, err
}

// Clone is a copy.
func (l *Ticket) Clone() Lock { return &Ticket{l.clone()} }

// Start begins Acquire, Try or Release.
func (l *Ticket) Start(a Agent, op Op) error {
	if op != Acquire && op != Try && op != Release {
		return ErrOp
	}
	return l.start(a, op)
}

// Step takes the agent's next access.
func (l *Ticket) Step(a Agent) Progress {
	g := l.ready(a)
	if g == nil {
		return Waiting
	}
	next, owner := &l.words[ticketNext], &l.words[ticketOwner]
	switch {
	case g.op == Release:
		*owner++
		return l.leave(a)
	case g.op == Try:
		// One compare and exchange of both halves of a word.
		if *next != *owner {
			l.agents[a] = agent{}
			return Failed
		}
		*next++
		return l.enter(a, heldWrite)
	case g.pc == 0 && l.mistake == LoseUpdate:
		g.r[0] = *next
		return g.goTo(2)
	case g.pc == 0:
		g.r[0] = *next
		*next++
		l.queue(a)
		return g.goTo(1)
	case g.pc == 2:
		*next = g.r[0] + 1
		return g.goTo(1)
	case *owner != g.r[0]:
		return Waiting
	}
	return l.enter(a, heldWrite)
}
