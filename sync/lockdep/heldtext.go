package lockdep

import (
	"fmt"
	"strings"
)

// HeldLock is a lock that a task holds, as reports print it.
type HeldLock struct {
	Addr uint64
	// Class is the class's name, Usage its four characters ("+.+.").
	Class, Usage string
	// Outer and Inner are the numbers of its wait types.
	Outer, Inner int
	// Site is where it was taken.
	Site string
}

// String is the lock as in " #0: ADDRESS (CLASS){USAGE}-{OUTER:INNER}, at: SITE".
func (h HeldLock) String() string {
	return fmt.Sprintf("%016x (%s){%s}-{%d:%d}, at: %s", h.Addr, h.Class, h.Usage, h.Outer, h.Inner, h.Site)
}

// Held lists the locks that a task holds, the first taken first.
func (v *Validator) Held(t *Task) []HeldLock {
	out := make([]HeldLock, len(t.held))
	for i := range t.held {
		h := &t.held[i]
		c := &v.classes[h.class]
		outer := c.outer
		if outer == WaitInvalid {
			outer = c.inner
		}
		out[i] = HeldLock{v.locks[h.lock].addr, string(c.appendName(nil)), c.usage.Chars(), v.numeric(outer), v.numeric(c.inner), h.site}
	}
	return out
}

// HeldText is the list of a task's locks in reports (lockdep_print_held_locks).
func HeldText(comm string, pid int, held []HeldLock) string {
	if len(held) == 0 {
		return fmt.Sprintf("no locks held by %s/%d.\n", comm, pid)
	}
	plural := "s"
	if len(held) == 1 {
		plural = ""
	}
	var w strings.Builder
	fmt.Fprintf(&w, "%d lock%s held by %s/%d:\n", len(held), plural, comm, pid)
	for i, h := range held {
		fmt.Fprintf(&w, " #%d: %s\n", i, h)
	}
	return w.String()
}

// TaskLocks are the locks of one task.
type TaskLocks struct {
	Comm  string
	PID   int
	Locks []HeldLock
}

// ShowAll lists the locks of all tasks that hold some, as the kernel does when it
// finds a hung task (debug_show_all_locks). After a report the validator is off and
// says so.
func (v *Validator) ShowAll(tasks []*Task) string {
	if v.report != nil {
		return "INFO: lockdep is turned off.\n"
	}
	var all []TaskLocks
	for _, t := range tasks {
		all = append(all, TaskLocks{t.Comm, t.PID, v.Held(t)})
	}
	return "\n" + ShowAllText(all) + "\n"
}

// ShowAllText is the list of all tasks' locks, from its first words to the line of
// equals signs.
func ShowAllText(tasks []TaskLocks) string {
	var w strings.Builder
	w.WriteString("Showing all locks held in the system:\n")
	for _, t := range tasks {
		if len(t.Locks) > 0 {
			w.WriteString(HeldText(t.Comm, t.PID, t.Locks))
		}
	}
	w.WriteString("\n=============================================\n")
	return w.String()
}

// Rearm switches the validator on again after a report, with all that it knows: what
// a test module does by setting debug_locks.
func (v *Validator) Rearm() { v.report = nil }

// IRQEvent is a change of the interrupt state: its number, and where.
type IRQEvent struct {
	Number int
	Addr   uint64
	Site   string
}

// EventText is the list of a task's last changes of the interrupt state: hardirqs
// enabled, disabled, softirqs enabled, disabled (print_irqtrace_events).
func EventText(stamp int, at [4]IRQEvent) string {
	out := fmt.Sprintf("irq event stamp: %d\n", stamp)
	for i, what := range []string{"hardirqs last  enabled", "hardirqs last disabled", "softirqs last  enabled", "softirqs last disabled"} {
		out += fmt.Sprintf("%s at (%d): [<%016x>] %s\n", what, at[i].Number, at[i].Addr, at[i].Site)
	}
	return out
}
