package explore

import "fmt"

// Program is a concurrent program. Make one with [Parse].
type Program struct {
	// Name is the program's.
	Name string
	// Weak says that stores wait in buffers.
	Weak bool
	// vars are the shared variables with their initial values; objects are those
	// that can be freed, numbered from 1.
	vars    []variable
	locks   []string
	regions []string
	queues  []string
	objects []string
	threads []thread
}

type variable struct {
	name string
	init int32
}

// thread is a thread or, with irq, an interrupt handler.
type thread struct {
	name string
	cpu  int32
	irq  bool
	regs []string
	code []step
}

// op is a kind of step.
type op uint8

const (
	opAssign op = iota // register = expression
	opStore            // variable = expression
	opStoreRelease
	opFetchAdd
	opXchg
	opCmpXchg
	opBranch // if the expression is 0, go to target
	opJump
	opAwait
	opBarrier
	opAssert
	opEnter
	opLeave
	opLock
	opUnlock
	opTryLock
	opSleep
	opPrepare  // queue for a wake-up, without waiting
	opSchedule // wait for it
	opFinish   // leave the queue
	opWake
	opIRQOff
	opIRQOn
	opRCULock
	opRCUUnlock
	opSync
	opUse
	opFree
	opNop
)

// step is one step of a thread.
type step struct {
	op     op
	dst    int32 // register, variable, lock, region or queue
	reg    int32 // the register that an atomic operation answers in, -1 for none
	a, b   *node
	target int32
	line   int
	text   string
	// local: the step touches nothing shared.
	local bool
}

// Threads lists the names of threads and handlers.
func (p *Program) Threads() []string {
	var out []string
	for _, t := range p.threads {
		out = append(out, t.name)
	}
	return out
}

// FailureKind says how a schedule fails.
type FailureKind string

// The failures.
const (
	AssertFailed FailureKind = "assertion failed"
	NotExclusive FailureKind = "two threads in one critical section"
	Deadlock     FailureKind = "deadlock"
	LostWakeup   FailureKind = "deadlock: a sleeper that nobody wakes"
	Misuse       FailureKind = "lock misuse"
	EarlyFree    FailureKind = "use after free"
	DoubleFree   FailureKind = "double free"
	Livelock     FailureKind = "no end within the step limit"
)

// Failure is a schedule that breaks something.
type Failure struct {
	Kind FailureKind `json:"kind"`
	// Text says what, and the line of the program.
	Text string `json:"text"`
	// Schedule are the choices, one for each step.
	Schedule []Choice `json:"schedule"`
	// Seed is the random seed that found it, 0 if the search was exhaustive.
	Seed uint64 `json:"seed,omitempty"`
}

func (f *Failure) Error() string { return fmt.Sprintf("explore: %s: %s", f.Kind, f.Text) }

// Choice is a step of a schedule: a thread's next step, or, with Flush, the n-th
// waiting store of its buffer reaching memory, from 1.
type Choice struct {
	Thread int `json:"thread"`
	Flush  int `json:"flush,omitempty"`
}
