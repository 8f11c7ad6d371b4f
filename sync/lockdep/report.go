package lockdep

import (
	"fmt"
	"strings"
)

// Kind is a kind of report.
type Kind string

// The kinds of reports.
const (
	// Recursion: a task takes a lock of a class that it holds.
	Recursion Kind = "AA_recursive"
	// Circular: a dependency closes a cycle.
	Circular Kind = "ABBA_circular"
	// Inversion: a lock that interrupts take is connected to one that is held while
	// they are enabled.
	Inversion Kind = "irq_lock_inversion"
	// Inconsistent: one class is taken in interrupts and held while they are
	// enabled.
	Inconsistent Kind = "irq_inconsistent_usage"
	// HardirqOrder and the next three: a new dependency leads from a safe to an
	// unsafe class.
	HardirqOrder     Kind = "hardirq_safe_to_unsafe_order"
	SoftirqOrder     Kind = "softirq_safe_to_unsafe_order"
	HardirqReadOrder Kind = "hardirq_read_safe_to_unsafe_order"
	SoftirqReadOrder Kind = "softirq_read_safe_to_unsafe_order"
	// WaitContext: a lock that may wait is taken where that is not allowed.
	WaitContext Kind = "invalid_wait_context"
	// FreedHeld: a held lock is set up again or its memory freed.
	FreedHeld Kind = "init_or_free_held"
	// Unbalanced: a lock is given back that is not held.
	Unbalanced Kind = "bad_unlock_balance"
	// NestNotHeld: the lock that should order a nesting is not held.
	NestNotHeld Kind = "nest_lock_not_held"
	// WarnOn: an assertion of the locking code failed.
	WarnOn Kind = "debug_locks_warn_on"
	// HeldAtExit: a task ends with locks held.
	HeldAtExit Kind = "held_at_exit"
	// HeldAtReturn: a task returns to user space with locks held.
	HeldAtReturn Kind = "held_at_return_to_user"
	// Unregistered: a lock was never set up.
	Unregistered Kind = "non_static_key"
	// SuspiciousRCU: RCU-protected data is read outside a reader.
	SuspiciousRCU Kind = "suspicious_rcu_usage"
	// Limit: a table of the validator is full.
	Limit Kind = "limit"
)

// Report is what the validator found. It is an error.
type Report struct {
	Kind Kind
	// Title is the line of the kernel's log that names the report.
	Title string
	// Detail is what else identifies it: the uses, or the order; "" if the title
	// says it all.
	Detail string
	// Condition is the failed assertion of a WarnOn.
	Condition string
	// Text is the report as the kernel prints it.
	Text string
	// Lock is the class that was being taken or released; Other the one that it
	// conflicts with.
	Lock, Other string
	// Cycle are the classes of a circular report, from the lock being taken along
	// the dependencies to the one that is held.
	Cycle []string
}

func (r *Report) Error() string { return "lockdep: " + r.Title }

func (v *Validator) className(c ClassID) string { return string(v.classes[c].appendName(nil)) }

// set makes a report the validator's; it is then off.
func (v *Validator) set(r Report) *Report {
	if r.Title == "" {
		r.Title = firstTitle(r.Text)
	}
	v.report = &r
	return v.report
}

func firstTitle(text string) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && strings.Trim(line, "=") != "" {
			return line
		}
	}
	return ""
}

func (v *Validator) reportRecursion(t *Task, next, prev *held) *Report {
	w := v.begin(t)
	w.title("WARNING: possible recursive locking detected")
	w.line("%s is trying to acquire lock:", t.name())
	w.lock(next)
	w.line("\nbut task is already holding lock:")
	w.lock(prev)
	if cmp := v.keys[v.classes[prev.class].key].Compare; cmp != nil {
		w.line("and the lock comparison function returns %d:", cmp(prev.lock, next.lock))
	}
	w.line("\nother info that might help us debug this:")
	w.line(" Possible unsafe locking scenario:\n")
	w.line("       CPU0\n       ----")
	w.line("  lock(%s);\n  lock(%s);", v.className(prev.class), v.className(next.class))
	w.line("\n *** DEADLOCK ***\n\n May be due to missing lock nesting notation\n")
	w.heldLocks()
	w.backtrace("\n")
	return v.set(Report{Kind: Recursion, Text: w.String(), Lock: v.className(next.class), Other: v.className(prev.class)})
}

func (v *Validator) reportCircular(t *Task, next, prev *held, found int32) *Report {
	v.edges[rootAfter].trace = v.saveTrace(t)
	path := v.pathTo(found)
	w := v.begin(t)
	w.title("WARNING: possible circular locking dependency detected")
	w.line("%s is trying to acquire lock:", t.name())
	w.lock(next)
	w.line("\nbut task is already holding lock:")
	w.lock(prev)
	w.line("\nwhich lock already depends on the new lock.\n")
	w.line("\nthe existing dependency chain (in reverse order) is:")
	for depth := len(path) - 1; depth >= 0; depth-- {
		e := &v.edges[path[depth]]
		w.line("\n-> #%d%s:", depth, v.nameState(e.class))
		w.trace(e.trace, 6)
	}
	w.line("\nother info that might help us debug this:\n")
	w.circularScenario(next, prev, v.edges[path[len(path)-2]].class)
	w.heldLocks()
	w.backtrace("\n")
	var cycle []string
	for _, e := range path {
		cycle = append(cycle, v.className(v.edges[e].class))
	}
	return v.set(Report{Kind: Circular, Text: w.String(), Lock: cycle[0], Other: cycle[len(cycle)-1], Cycle: cycle})
}

// pathTo lists the edges from a search's root to an edge.
func (v *Validator) pathTo(e int32) []int32 {
	var out []int32
	for ; e >= 0; e = v.edges[e].parent {
		out = append(out, e)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func (w *text) circularScenario(next, prev *held, parent ClassID) {
	v := w.v
	if parent != next.class {
		w.line("Chain exists of:\n  %s --> %s --> %s\n", v.className(next.class), v.className(parent), v.className(prev.class))
	}
	w.line(" Possible unsafe locking scenario:\n")
	w.line("       CPU0                    CPU1\n       ----                    ----")
	w.line("  %s(%s);", verb(prev), v.className(prev.class))
	w.line("                               lock(%s);", v.className(parent))
	w.line("                               lock(%s);", v.className(prev.class))
	w.line("  %s(%s);", verb(next), v.className(next.class))
	w.line("\n *** DEADLOCK ***\n")
}

func verb(h *held) string {
	switch {
	case h.read != 0:
		return "rlock"
	case h.sync:
		return "sync"
	}
	return "lock"
}

func (v *Validator) reportInconsistent(t *Task, h *held, old, bit UsageBit) *Report {
	detail := fmt.Sprintf("{%s} -> {%s} usage", old, bit)
	w := v.begin(t)
	w.title("WARNING: inconsistent lock state")
	w.line("inconsistent %s.", detail)
	w.line("%s takes:", t.contexts())
	w.lock(h)
	w.line("{%s} state was registered at:", old)
	w.trace(v.classes[h.class].traces[old], 1)
	w.irqEvents()
	w.line("\nother info that might help us debug this:")
	w.line(" Possible unsafe locking scenario:\n")
	w.line("       CPU0\n       ----")
	w.line("  lock(%s);\n  <Interrupt>\n    lock(%s);", v.className(h.class), v.className(h.class))
	w.line("\n *** DEADLOCK ***\n")
	w.heldLocks()
	w.backtrace("\n")
	return v.set(Report{Kind: Inconsistent, Detail: detail, Text: w.String(), Lock: v.className(h.class), Other: v.className(h.class)})
}

func (v *Validator) reportInversion(t *Task, h *held, root, found int32, forwards bool, bit UsageBit) *Report {
	v.edges[root].trace = v.saveTrace(t)
	other := v.edges[found].class
	w := v.begin(t)
	w.title("WARNING: possible irq lock inversion dependency detected")
	w.line("%s just changed the state of lock:", t.name())
	w.lock(h)
	if forwards {
		w.line("but this lock took another, %s-unsafe lock in the past:", bit.context())
	} else {
		w.line("but this lock was taken by another, %s-safe lock in the past:", bit.context())
	}
	w.line("%s\n\n\nand interrupts could create inverse lock ordering between them.\n", v.nameState(other))
	w.line("\nother info that might help us debug this:")
	middle := v.edges[v.afterRoot(found)].class
	if forwards {
		w.irqScenario(h.class, other, middle, other)
	} else {
		w.irqScenario(other, h.class, middle, h.class)
	}
	w.heldLocks()
	w.line("\nthe shortest dependencies between 2nd lock and 1st lock:")
	w.dependencies(found)
	w.backtrace("\n")
	return v.set(Report{Kind: Inversion, Text: w.String(), Lock: v.className(h.class), Other: v.className(other)})
}

// afterRoot is the first edge of a path behind the root, or the root.
func (v *Validator) afterRoot(e int32) int32 {
	for v.edges[e].parent >= rootEdges {
		e = v.edges[e].parent
	}
	return e
}

func (w *text) irqScenario(safe, unsafe, prev, next ClassID) {
	v := w.v
	middle := prev
	if middle == safe {
		middle = next
	}
	if middle != unsafe {
		w.line("Chain exists of:\n  %s --> %s --> %s\n", v.className(safe), v.className(middle), v.className(unsafe))
	}
	w.line(" Possible interrupt unsafe locking scenario:\n")
	w.line("       CPU0                    CPU1\n       ----                    ----")
	w.line("  lock(%s);", v.className(unsafe))
	w.line("                               local_irq_disable();")
	w.line("                               lock(%s);", v.className(safe))
	w.line("                               lock(%s);", v.className(middle))
	w.line("  <Interrupt>\n    lock(%s);", v.className(safe))
	w.line("\n *** DEADLOCK ***\n")
}

// Two titles have lines of one length whatever they name.
const (
	irqOrderWidth   = 53
	heldAtExitWidth = 36
)

// orderKind is the kind of a safe -> unsafe order by the bit that makes it safe.
func orderKind(in UsageBit) Kind {
	switch in {
	case UsedInHardirq:
		return HardirqOrder
	case UsedInHardirqRead:
		return HardirqReadOrder
	case UsedInSoftirq:
		return SoftirqOrder
	}
	return SoftirqReadOrder
}

func (v *Validator) reportIRQOrder(t *Task, prev, next *held, safe, unsafe int32, in, on UsageBit) *Report {
	irq := in.context()
	safeClass, unsafeClass := v.edges[safe].class, v.edges[unsafe].class
	detail := fmt.Sprintf("%s-safe -> %s-unsafe lock order detected", irq, irq)
	w := v.begin(t)
	w.titleWidth("WARNING: "+detail, irqOrderWidth)
	w.line("%s is trying to acquire:", t.contexts())
	w.lock(next)
	w.line("\nand this task is already holding:")
	w.lock(prev)
	w.line("which would create a new lock dependency:")
	w.line("%s ->%s", v.nameState(prev.class), v.nameState(next.class))
	w.line("\nbut this new dependency connects a %s-irq-safe lock:\n%s", irq, v.nameState(safeClass))
	w.line("\n... which became %s-irq-safe at:", irq)
	w.trace(v.classes[safeClass].traces[in], 1)
	w.line("\nto a %s-irq-unsafe lock:\n%s", irq, v.nameState(unsafeClass))
	w.line("\n... which became %s-irq-unsafe at:\n...", irq)
	w.trace(v.classes[unsafeClass].traces[on], 1)
	w.line("\nother info that might help us debug this:\n")
	w.irqScenario(safeClass, unsafeClass, prev.class, next.class)
	w.heldLocks()
	w.line("\nthe dependencies between %s-irq-safe lock and the holding lock:", irq)
	w.dependenciesBack(safe)
	w.line("\nthe dependencies between the lock to be acquired\n and %s-irq-unsafe lock:", irq)
	v.edges[rootAfter].trace = v.saveTrace(t)
	w.dependencies(unsafe)
	w.backtrace("\n")
	return v.set(Report{
		Kind: orderKind(in), Detail: detail, Text: w.String(),
		Lock: v.className(next.class), Other: v.className(prev.class),
		Cycle: []string{v.className(safeClass), v.className(prev.class), v.className(next.class), v.className(unsafeClass)},
	})
}

func (v *Validator) reportWaitContext(t *Task, next *held) *Report {
	w := v.begin(t)
	w.title("[ BUG: Invalid wait context ]")
	w.line("%s is trying to lock:", t.name())
	w.lock(next)
	w.line("other info that might help us debug this:")
	n := v.numeric(t.waitContext())
	w.line("context-{%d:%d}", n, n)
	w.heldLocks()
	w.backtrace("")
	return v.set(Report{Kind: WaitContext, Text: w.String(), Lock: v.className(next.class)})
}

func (v *Validator) reportUnbalanced(t *Task, l LockID, site string) *Report {
	name := "NULL"
	if v.validLock(l) {
		name = v.keys[v.locks[l].key].Name
	}
	w := v.begin(t)
	w.title("WARNING: bad unlock balance detected!")
	w.line("%s is trying to release lock (%s) at:", t.name(), name)
	w.line("[<%016x>] %s", 0, site)
	w.line("but there are no more locks to release!")
	w.line("\nother info that might help us debug this:")
	w.heldLocks()
	w.backtrace("\n")
	return v.set(Report{Kind: Unbalanced, Text: w.String(), Lock: name})
}

func (v *Validator) reportFreedHeld(t *Task, h *held, size uint64) *Report {
	addr := v.locks[h.lock].addr
	w := v.begin(t)
	w.title("WARNING: held lock freed!")
	w.line("%s is freeing memory %016x-%016x, with a lock still held there!", t.name(), addr, addr+max(size, 1)-1)
	w.lock(h)
	w.heldLocks()
	w.backtrace("\n")
	return v.set(Report{Kind: FreedHeld, Text: w.String(), Lock: v.className(h.class)})
}

func (v *Validator) reportNestNotHeld(t *Task, h *held) *Report {
	nest := v.keys[v.locks[h.nest].key].Name
	w := v.begin(t)
	w.title("WARNING: Nested lock was not taken")
	w.line("%s is trying to lock:", t.name())
	w.lock(h)
	w.line("\nbut this task is not holding:\n%s", nest)
	w.backtrace("\n")
	w.line("\nother info that might help us debug this:")
	w.heldLocks()
	w.backtrace("\n")
	return v.set(Report{Kind: NestNotHeld, Text: w.String(), Lock: v.className(h.class), Other: nest})
}

func (v *Validator) reportHeldAtExit(t *Task) *Report {
	w := v.begin(t)
	w.titleWidth("WARNING: "+t.name()+" still has locks held!", heldAtExitWidth)
	w.heldLocks()
	w.backtrace("\n")
	return v.set(Report{Kind: HeldAtExit, Text: w.String(), Lock: v.className(t.held[0].class)})
}

func (v *Validator) reportHeldAtReturn(t *Task) *Report {
	w := v.begin(t)
	w.title("WARNING: lock held when returning to user space!")
	w.line("%s is leaving the kernel with locks still held!", t.name())
	w.heldLocks()
	return v.set(Report{Kind: HeldAtReturn, Text: w.String(), Lock: v.className(t.held[0].class)})
}

func (v *Validator) reportUnregistered(t *Task) *Report {
	w := v.begin(t)
	w.line("INFO: trying to register non-static key.")
	w.line("The code is fine but needs lockdep annotation, or maybe")
	w.line("you didn't initialize this object before use?")
	w.line("turning off the locking correctness validator.")
	w.dump()
	return v.set(Report{Kind: Unregistered, Text: w.String()})
}

// Warn is DEBUG_LOCKS_WARN_ON: the locking code found a broken assumption. The
// validator is then off.
func (v *Validator) Warn(t *Task, condition string) *Report {
	if v.report != nil {
		return nil
	}
	return v.warnOn(t, condition)
}

func (v *Validator) warnOn(t *Task, condition string) *Report {
	w := v.begin(t)
	w.line("------------[ cut here ]------------")
	w.line("DEBUG_LOCKS_WARN_ON(%s)", condition)
	w.line("WARNING: CPU: %d PID: %d at %s", t.CPU, t.PID, t.site)
	w.dump()
	w.line("---[ end trace 0000000000000000 ]---")
	return v.set(Report{Kind: WarnOn, Title: "DEBUG_LOCKS_WARN_ON(" + condition + ")", Condition: condition, Text: w.String()})
}

// limit reports a full table.
func (v *Validator) limit(t *Task, name string) *Report {
	w := v.begin(t)
	w.line("BUG: %s too low!", name)
	w.line("turning off the locking correctness validator.")
	w.dump()
	return v.set(Report{Kind: Limit, Text: w.String()})
}

// Suspicious reports a use of RCU-protected data that no reader protects
// (lockdep_rcu_suspicious). It does not turn the validator off.
func (v *Validator) Suspicious(t *Task, place, what string) *Report {
	w := v.begin(t)
	w.title("WARNING: suspicious RCU usage")
	w.line("%s %s!", place, what)
	w.line("\nother info that might help us debug this:\n\n")
	on := 1
	if v.report != nil {
		on = 0
	}
	w.line("rcu_scheduler_active = 2, debug_locks = %d", on)
	if on == 0 {
		w.line("Possible false positive due to lockdep disabling via debug_locks = 0")
	}
	w.heldLocks()
	w.backtrace("\n")
	return &Report{Kind: SuspiciousRCU, Title: "WARNING: suspicious RCU usage", Text: w.String()}
}
