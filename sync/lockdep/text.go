package lockdep

import (
	"fmt"
	"strings"
)

// text builds a report as the kernel prints it.
type text struct {
	strings.Builder
	v *Validator
	t *Task
}

func (v *Validator) begin(t *Task) *text { return &text{v: v, t: t} }

func (w *text) line(format string, args ...any) {
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// title prints a report's head: a blank line, the title within lines as long as
// it, the kernel's identity.
func (w *text) title(s string) { w.titleWidth(s, len(s)) }

func (w *text) titleWidth(s string, width int) {
	w.line("\n%s\n%s\n%s\n%s", strings.Repeat("=", width), s, w.v.cfg.Ident, strings.Repeat("-", width))
}

func (t *Task) name() string { return fmt.Sprintf("%s/%d", t.Comm, t.PID) }

// contexts is a task's name with its interrupt state: in hardirq and softirq
// handlers, hardirqs and softirqs enabled.
func (t *Task) contexts() string {
	return fmt.Sprintf("%s [HC%d[%d]:SC%d[%d]:HE%d:SE%d]", t.name(),
		t.hardirqContext, t.hardirqContext, t.softirqContext, t.softirqCount(), bit(t.hardirqsOn), bit(t.softirqsOn))
}

// softirqCount is the softirq part of the preemption count: 2 for each
// local_bh_disable, 1 for a handler.
func (t *Task) softirqCount() int { return max(2*t.bhDisabled, t.softirqContext) }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// nameState is a class with its usage and wait types: " (A){+.+.}-{3:3}".
func (v *Validator) nameState(id ClassID) string {
	c := &v.classes[id]
	outer := c.outer
	if outer == WaitInvalid {
		outer = c.inner
	}
	return fmt.Sprintf(" (%s){%s}-{%d:%d}", c.appendName(nil), c.usage.Chars(), v.numeric(outer), v.numeric(c.inner))
}

// lock prints a held lock: address, class, place.
func (w *text) lock(h *held) {
	w.line("%016x%s, at: %s", w.v.locks[h.lock].addr, w.v.nameState(h.class), h.site)
}

func (w *text) heldLocks() {
	w.WriteString(HeldText(w.t.Comm, w.t.PID, w.v.Held(w.t)))
}

func (w *text) trace(id int32, spaces int) {
	for _, site := range w.v.traces[id] {
		w.line("%*s%s", spaces+1, "", site)
	}
}

// backtrace prints the current call trace, after an empty line if so asked.
func (w *text) backtrace(before string) {
	w.line("%sstack backtrace:", before)
	w.dump()
}

func (w *text) dump() {
	release, rest, _ := strings.Cut(w.v.cfg.Ident, " ")
	build, taint, _ := strings.Cut(rest, " ")
	w.line("CPU: %d PID: %d Comm: %s %s %s %s ", w.t.CPU, w.t.PID, w.t.Comm, taint, release, build)
	w.line("Call Trace:\n <TASK>")
	stack := []string{w.t.site}
	if w.v.cfg.Stack != nil {
		stack = w.v.cfg.Stack(w.t)
	}
	for _, site := range stack {
		w.line(" %s", site)
	}
	w.line(" </TASK>")
}

func (w *text) irqEvents() {
	t := w.t
	var at [4]IRQEvent
	for i, e := range []irqEvent{t.hardirqOnEvent, t.hardirqOff, t.softirqOnEvent, t.softirqOffEvt} {
		at[i] = IRQEvent{Number: int(e.n), Site: e.site}
	}
	w.WriteString(EventText(int(t.events), at))
}

// classHeader prints a class with where each of its uses was first seen.
func (w *text) classHeader(id ClassID, depth int) {
	c := &w.v.classes[id]
	indent := strings.Repeat(" ", depth)
	w.line("%s->%s {", indent, w.v.nameState(id))
	for b := UsageBit(0); b < usageBits; b++ {
		if !c.usage.Has(b) {
			continue
		}
		head := indent + "   " + b.String() + " at:"
		w.line("%s", head)
		w.trace(c.traces[b], len(head)+depth)
	}
	w.line("%s }", indent)
	w.line("%s ... key      at: [<%016x>] %s", indent, w.v.keys[c.key].Addr, c.name)
}

// dependencies prints the path from a found edge back to the root, each class with
// where it was taken under the one before.
func (w *text) dependencies(found int32) {
	depth := len(w.v.pathTo(found)) - 1
	for e := found; e >= 0; e = w.v.edges[e].parent {
		w.classHeader(w.v.edges[e].class, depth)
		w.line("%s ... acquired at:", strings.Repeat(" ", depth))
		w.trace(w.v.edges[e].trace, 2)
		w.line("")
		depth--
	}
}

// dependenciesBack prints the path of a backwards search from the found edge to
// the root: the edge's trace is where the class behind it was taken.
func (w *text) dependenciesBack(found int32) {
	depth := len(w.v.pathTo(found)) - 1
	trace := int32(0)
	for e := found; e >= 0; e = w.v.edges[e].parent {
		w.classHeader(w.v.edges[e].class, depth)
		if trace != 0 {
			w.line("%s ... acquired at:", strings.Repeat(" ", depth))
			w.trace(trace, 2)
			w.line("")
		}
		trace = w.v.edges[e].trace
		depth--
	}
}
