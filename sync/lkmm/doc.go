// Package lkmm is the Linux-kernel memory model: it reads litmus tests, small
// programs of a few threads that share variables, and says in which states they
// can end, and whether accesses race. It also runs them step by step on
// simulated CPUs.
//
// It mirrors tools/memory-model of the kernel: the dialect of litmus-tests,
// the macros of linux-kernel.def, the events of linux-kernel.bell and lock.cat,
// and the axioms of linux-kernel.cat, whose meaning is told in
// Documentation/explanation.txt there. Words and names are taken from that
// text. Verdicts, final states and counts are those of the herd7 tool, which
// the kernel's scripts run.
//
// # From a text to a verdict
//
//	Parse      text      -> Test    threads of statements, initial values, condition
//	unfold     thread    -> paths   one for each combination of branches: events,
//	                                symbolic values, dependencies, conditions
//	analyse    all paths -> domains values that memory and registers can have at all
//	skeleton   path      -> rows    program order, fences, dependencies, critical
//	                                sections as bit sets
//	search     paths     -> executions: a path for each thread, a source for each
//	                                read, an order for the writes of each variable
//	check      execution -> axioms  hb, pb, rb, races, as relations of bits
//	collect    executions -> Result states, counts, verdict, race, flags
//
// An execution is a choice of rf (which write a read takes its value from) and
// co (the order of the writes to each variable). The relations of the model
// only grow as more is chosen, so a partial choice that breaks an axiom is
// given up with all that would follow. Values are symbols over the reads of the
// path, computed as sources become known; a value that depends on itself is out
// of thin air and no execution.
//
// Events are numbered thread by thread; a relation is a matrix of bits, a row
// for each event, so that composing and closing relations are ORs of words.
// Fences are no events of their own: they are folded into relations between
// accesses before the search. Grace periods and the bounds of critical sections
// stay events, because the RCU axiom counts them.
//
// # The rules
//
// Coherence: reads and writes of one variable agree with one order of its
// writes. Atomicity: no other write comes between the halves of a
// read-modify-write. Happens-before (hb): preserved program order, reads from
// other threads, and propagation back into the own thread make no cycle.
// Propagation (pb): propagation, a strong fence, and happens-before make no
// cycle. RCU (rb): no critical section spans a grace period; with at least as
// many grace periods as critical sections in a cycle it is forbidden.
// Plain-coherence: plain accesses that are ordered keep that order.
//
//   - What orders accesses of a thread: fences, acquire before everything
//     after it, everything before a release, address dependencies, data and
//     control dependencies to writes, overwriting the same variable, an unlock
//     before a later lock.
//   - A fully ordered read-modify-write has smp_mb() on both sides, if it
//     succeeds; a failed cmpxchg() orders nothing.
//   - smp_rmb() does not see the reads of operations that return no value.
//   - A lock is a read that must see it free, and a write; only executions
//     that take all their locks count. If none does, the verdict is DEADLOCK.
//   - An if controls what is in its branches, not what comes after it, unless
//     a branch leaves the loop or the thread. A condition that does not depend
//     on memory is no dependency. A read that stands in the condition passes on
//     what its address depends on. What cmpxchg() compares with is no control.
//   - Dependencies are those of the text, as the model's tools see them: no
//     compiler is modelled. "r1 ^ r1" carries a dependency.
//   - A data race is two accesses of different threads, one of them plain, one
//     a write, that nothing puts into an order. The states of a racy test
//     promise nothing.
//
// # Versions
//
// [Linux6_1] and [Linux6_12] differ in what each field of [Model] names: SRCU
// sections matched by nesting or by the value of srcu_read_lock(), dependencies
// carried through plain accesses of a thread, releases extended along
// read-modify-writes, and the scope of smp_mb__after_unlock_lock().
//
// # Simulated CPUs
//
// A [Machine] executes a test step by step: [TSO] is x86, with a store buffer
// for each CPU; [Weak] an ARM-like CPU that executes instructions in any order
// that dependencies and barriers leave, speculates past branches, and has one
// memory that all CPUs see at once. What a machine reaches is always among what
// the axioms allow; they allow more, because other architectures are weaker
// still.
//
// # Limits
//
// Values are 64-bit integers; types are read and ignored. No goto, switch,
// functions or structure members. A loop whose end depends on another thread is
// an error unless [Options].Unroll says how many rounds to follow. Everything
// is bounded ([Options]), every error names the place in the text
// ([SyntaxError], [ProgramError]), and a run ends when its context does.
package lkmm
