package lkmm

import "fmt"

// Pos is a place in a litmus file. Lines and columns count from 1, columns in
// bytes. The zero Pos means that the test did not come from a text.
type Pos struct{ Line, Col int32 }

// String is "line:col".
func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }

// Test is a litmus test: a few short threads over shared variables, and a
// question about the states they can end in. [Parse] makes one from the C
// dialect of the kernel's litmus tests, [ReadCases] from a capture.
type Test struct {
	File string // file the test was read from, or empty
	Name string
	// Expect is the verdict that the header comment states ("Result: Never"),
	// empty where it states none.
	Expect string
	// Locations are the shared variables, in the order in which the test
	// names them.
	Locations []Location
	Threads   []Thread
	// Quantifier says how Condition is asked. The verdict (Always, Sometimes,
	// Never) always counts the executions in which Condition itself holds.
	Quantifier Quantifier
	condition  *cond // nil: true
	filter     *cond // nil: true; executions where it fails are not looked at
	observed   []observable
}

// Location is a shared variable.
type Location struct {
	Name string
	Init Value
	// elements are the initial values of an array's elements from 1 on.
	elements []Value
	declared bool // a thread or the initial section names it as a variable
}

// Thread is one process (P0, P1, ...) of a litmus test.
type Thread struct {
	Name string // "P0"
	// regs are the thread's own variables; parameters come first and start as
	// addresses of the shared variables of the same name.
	regs []register
	body []stmt
}

type register struct {
	name  string
	init  Value
	param bool
	// undeclared: so far only used, not declared or assigned to.
	undeclared bool
}

// Quantifier is the word before a test's condition.
type Quantifier uint8

// Quantifiers: is there an execution with the condition, is there none, does
// it hold in all.
const (
	Exists Quantifier = iota
	NotExists
	Forall
)

var quantifierNames = [...]string{"exists", "~exists", "forall"}

func (q Quantifier) String() string { return quantifierNames[q] }

// accessOrder is how strongly a memory access is ordered.
type accessOrder uint8

const (
	orderPlain    accessOrder = iota
	orderOnce                 // READ_ONCE, WRITE_ONCE, _relaxed
	orderAcquire              // smp_load_acquire, _acquire
	orderRelease              // smp_store_release, _release
	orderFull                 // value-returning atomics without suffix: smp_mb() on both sides
	orderNoReturn             // atomics without a value: smp_rmb() does not see their read
)

// fenceKind is a fence or marker without an address.
type fenceKind uint8

const (
	fenceMb fenceKind = iota
	fenceWmb
	fenceRmb
	fenceBeforeAtomic
	fenceAfterAtomic
	fenceAfterSpinlock
	fenceAfterUnlockLock
	fenceAfterSrcuUnlock
	fenceCompiler
	fenceRcuLock
	fenceRcuUnlock
	fenceSyncRcu
	fenceMembarrier
	numFences
)

var fenceNames = [numFences]string{
	"smp_mb", "smp_wmb", "smp_rmb", "smp_mb__before_atomic", "smp_mb__after_atomic",
	"smp_mb__after_spinlock", "smp_mb__after_unlock_lock", "smp_mb__after_srcu_read_unlock",
	"barrier", "rcu_read_lock", "rcu_read_unlock", "synchronize_rcu", "membarrier",
}

// operator is an operator of C; the bitwise and arithmetic ones are also those
// of atomic operations.
type operator uint8

const (
	opNone operator = iota
	opAdd
	opSub
	opMul
	opDiv
	opMod
	opAnd
	opOr
	opXor
	opAndNot
	opShl
	opShr
	opEq
	opNe
	opLt
	opLe
	opGt
	opGe
	opLogAnd
	opLogOr
	opNot    // !
	opInvert // ~
	opNeg
	numOperators
)

var operatorNames = [numOperators]string{
	"", "+", "-", "*", "/", "%", "&", "|", "^", "&~", "<<", ">>",
	"==", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "~", "-",
}

type exprKind uint8

const (
	exprConst    exprKind = iota // value
	exprReg                      // reg
	exprLoad                     // order, a = address
	exprUnary                    // op, a
	exprBinary                   // op, a, b
	exprCond                     // a ? b : c
	exprRMW                      // rmw, order, op, a = address, b, c = operands
	exprTryLock                  // a = address
	exprIsLocked                 // a = address
	exprSrcuLock                 // a = address
	exprCondLoad                 // order, a = address, reg = VAL, b = condition awaited
	exprAssign                   // reg = a
)

// rmwKind is the shape of an atomic read-modify-write.
type rmwKind uint8

const (
	rmwExchange       rmwKind = iota // b: new value; result is the old one
	rmwCompare                       // b: expected, c: new; result is the old value
	rmwReturn                        // op b; result is the new value
	rmwFetch                         // op b; result is the old value
	rmwNoReturn                      // op b; no result
	rmwAddUnless                     // + b unless equal to c; result says whether it was done
	rmwFetchAddUnless                // the same; result is the old value
)

// expr is an expression of a thread's C code.
type expr struct {
	kind    exprKind
	pos     Pos
	order   accessOrder
	op      operator
	rmw     rmwKind
	reg     int
	value   Value
	a, b, c *expr
}

type stmtKind uint8

const (
	stmtAssign     stmtKind = iota // reg = val
	stmtStore                      // order, addr, val
	stmtExpr                       // val, for its effects
	stmtFence                      // fence
	stmtIf                         // val, body, alt
	stmtLoop                       // val = condition (nil: true), body, alt = step of a for; doWhile
	stmtBreak                      // leave the innermost loop
	stmtContinue                   // next round of the innermost loop
	stmtReturn                     // end the thread
	stmtLock                       // addr
	stmtUnlock                     // addr
	stmtSrcuUnlock                 // addr, val = index
	stmtSyncSrcu                   // addr
)

// stmt is a statement of a thread.
type stmt struct {
	kind    stmtKind
	pos     Pos
	order   accessOrder
	fence   fenceKind
	doWhile bool
	reg     int
	addr    *expr
	val     *expr
	body    []stmt
	alt     []stmt
}

// observable is what a final state is made of: a register or the last value
// of a shared variable.
type observable struct {
	thread int // -1: shared variable
	reg    int
	loc    loc
	elem   int64
}

type condKind uint8

const (
	condTrue condKind = iota
	condFalse
	condAnd
	condOr
	condNot
	condCompare
)

// cond is a proposition about a final state.
type cond struct {
	kind        condKind
	op          operator // of condCompare
	args        []*cond
	left, right condTerm
}

// condTerm is a side of a comparison: an index into Test.observed, or a
// constant.
type condTerm struct {
	obs   int // -1: constant
	value Value
}
