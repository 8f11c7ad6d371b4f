package spin

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Agent numbers code that takes locks: CPU * Levels + level. Level 0 is the task, the
// others are interrupts, softirq, hardirq and NMI.
type Agent int32

// Levels is how many nested contexts a CPU has: as many as it has MCS nodes.
const Levels = 4

// AgentOf is the agent of a CPU and a level.
func AgentOf(cpu, level int) Agent { return Agent(cpu*Levels + level) }

// CPU is the agent's CPU, Level its level.
func (a Agent) CPU() int   { return int(a) / Levels }
func (a Agent) Level() int { return int(a) % Levels }

// MaxCPUs bounds a machine.
const MaxCPUs = 64

// Op is an operation on a lock.
type Op uint8

// The operations. Locks without readers know only the first three; seqcounts have
// Write and Read.
const (
	None Op = iota
	Acquire
	Try
	Release
	AcquireRead
	ReleaseRead
	// Write changes the data that a seqcount protects; Read reads it.
	Write
	Read
)

var opNames = [...]string{"none", "acquire", "try", "release", "acquire read", "release read", "write", "read"}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "?"
}

// Progress is what a step came to.
type Progress uint8

const (
	// Waiting: the agent spins; nothing changed.
	Waiting Progress = iota
	// Moved: one access was made.
	Moved
	// Done: the operation is over, and successful.
	Done
	// Failed: the operation is over; a trylock did not get the lock, or a waiter gave up.
	Failed
)

// Errors of misuse; the state is unchanged.
var (
	// ErrBusy: the agent is in the middle of an operation, or in none.
	ErrBusy = errors.New("spin: the agent is not ready for this operation")
	// ErrNotHeld: BUG: spinlock wrong owner or already unlocked.
	ErrNotHeld = errors.New("spin: BUG: spinlock already unlocked or wrong owner")
	// ErrRecursion: the agent holds the lock (BUG: spinlock recursion).
	ErrRecursion = errors.New("spin: BUG: spinlock recursion")
	// ErrOp: the lock has no such operation.
	ErrOp = errors.New("spin: the lock has no such operation")
)

// Lock is a lock whose operations go access by access.
type Lock interface {
	// Start begins an operation.
	Start(a Agent, op Op) error
	// Step takes the agent's next access. An agent in no operation waits.
	Step(a Agent) Progress
	// Clone is a copy.
	Clone() Lock
	// Check proves exclusion and the order of entering; the error says what is broken.
	Check() error
	// Words are the lock's words in memory, as the type's documentation has them.
	Words() []uint32
	// Active says whether an agent is in the middle of an operation.
	Active(a Agent) bool
	// AppendKey appends the state, so that equal states have equal keys.
	AppendKey([]byte) []byte
}

// Mistake is a fault that is built into a lock to see it found.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota
	// LoseUpdate: an atomic operation is a load and a store.
	LoseUpdate
	// EarlyUnlock: the lock is given back before the critical section's end.
	EarlyUnlock
	// KeepPending: the pending bit is not taken back by who found a queue.
	KeepPending
	// ForgetNext: who enters does not wait for a successor that has exchanged the tail
	// but not yet linked itself.
	ForgetNext
	// SkipWriter: readers do not look whether a writer waits.
	SkipWriter
	// NoRetry: a seqcount's reader does not look again.
	NoRetry
	// OneCopy: a latch's writer changes both copies at once.
	OneCopy
)

// holder says how an agent holds the lock.
type holder uint8

const (
	notHeld holder = iota
	heldWrite
	heldRead
)

// agent is one agent's part of the state.
type agent struct {
	op   Op
	pc   uint8
	hold holder
	// r are what it read.
	r [3]uint32
}

// base is what all locks share: words, agents, and the order in which agents should
// enter, which is no memory of the lock but proves its fairness.
type base struct {
	mistake Mistake
	words   []uint32
	agents  []agent
	order   []Agent
	broken  error
}

func newBase(cpus, words int, m Mistake) (base, error) {
	if cpus < 1 || cpus > MaxCPUs {
		return base{}, fmt.Errorf("spin: %d CPUs, want 1 to %d", cpus, MaxCPUs)
	}
	return base{mistake: m, words: make([]uint32, words), agents: make([]agent, cpus*Levels)}, nil
}

func (b *base) clone() base {
	c := *b
	c.words = append([]uint32(nil), b.words...)
	c.agents = append([]agent(nil), b.agents...)
	c.order = append([]Agent(nil), b.order...)
	return c
}

// AppendKey appends the state.
func (b *base) AppendKey(out []byte) []byte {
	for _, w := range b.words {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	for i := range b.agents {
		a := &b.agents[i]
		out = append(out, byte(a.op), a.pc, byte(a.hold))
		for _, r := range a.r {
			out = binary.LittleEndian.AppendUint32(out, r)
		}
	}
	for _, a := range b.order {
		out = append(out, byte(a))
	}
	return out
}

// start proves that an operation may begin: what is given back must be held, and
// nothing that is held may be taken.
func (b *base) start(a Agent, op Op) error {
	if a < 0 || int(a) >= len(b.agents) || b.agents[a].op != None {
		return fmt.Errorf("%w: %v by CPU %d level %d", ErrBusy, op, a.CPU(), a.Level())
	}
	g := &b.agents[a]
	want := notHeld
	switch op {
	case Release:
		want = heldWrite
	case ReleaseRead:
		want = heldRead
	}
	switch {
	case want != notHeld && g.hold != want:
		return ErrNotHeld
	case want == notHeld && g.hold != notHeld:
		return ErrRecursion
	}
	*g = agent{op: op, hold: g.hold}
	return nil
}

// ready is the agent's state if it is in an operation.
func (b *base) ready(a Agent) *agent {
	if a < 0 || int(a) >= len(b.agents) || b.agents[a].op == None {
		return nil
	}
	return &b.agents[a]
}

// goTo takes an agent to another place of its operation.
func (g *agent) goTo(pc uint8) Progress {
	g.pc = pc
	return Moved
}

// queue notes that an agent's turn is fixed.
func (b *base) queue(a Agent) { b.order = append(b.order, a) }

// unqueue takes an agent out of the order; it is false if somebody is before it.
func (b *base) unqueue(a Agent) bool {
	for i, o := range b.order {
		if o == a {
			b.order = append(b.order[:i], b.order[i+1:]...)
			return i == 0
		}
	}
	return true
}

// enter ends an operation that takes the lock, and proves that it excludes, and that
// the agent did not overtake.
func (b *base) enter(a Agent, how holder) Progress {
	for i := range b.agents {
		if o := b.agents[i].hold; o != notHeld && (o == heldWrite || how == heldWrite) {
			b.fail("agents %d and %d are both inside", i, a)
		}
	}
	if !b.unqueue(a) {
		b.fail("agent %d overtakes agent %d", a, b.order[0])
	}
	b.agents[a] = agent{hold: how}
	return Done
}

// leave ends an operation that gives the lock back.
func (b *base) leave(a Agent) Progress {
	b.agents[a] = agent{}
	return Done
}

func (b *base) fail(format string, args ...any) {
	if b.broken == nil {
		b.broken = fmt.Errorf("spin: "+format, args...)
	}
}

// Words are the lock's words in memory.
func (b *base) Words() []uint32 { return b.words }

// Check proves exclusion and order.
func (b *base) Check() error { return b.broken }

// Holds says whether an agent is inside, as a writer or as a reader.
func (b *base) Holds(a Agent) bool {
	return a >= 0 && int(a) < len(b.agents) && b.agents[a].hold != notHeld
}

// Active says whether an agent is in the middle of an operation.
func (b *base) Active(a Agent) bool { return b.ready(a) != nil }
