package lkmm

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Evidence is an execution to look at: one with the condition that the model
// allows, or one that it forbids together with the cycle that forbids it.
type Evidence struct {
	Test *Test
	// Broken is the axiom that forbids the execution, 0 for one that is allowed.
	Broken Axiom
	Events []EvidenceEvent
	Edges  []EvidenceEdge
	// Cycle lists the edges, by index, that lead back to where they start. In
	// an allowed execution it is empty.
	Cycle []int
	// State is the final state.
	State string
}

// EvidenceEvent is an access, marker or grace period of the execution.
type EvidenceEvent struct {
	Thread int
	// Text says what happens, such as "WRITE_ONCE x=1".
	Text string
	Pos  Pos
}

// EvidenceEdge says how two events are related: "rf" (read from), "co"
// (coherence order), "fr" (overwrites what was read), "po" (program order), or
// the fence or dependency that orders them.
type EvidenceEdge struct {
	From, To int
	Label    string
}

// Explain finds an execution in which the test's condition holds (for forall:
// fails): allowed if the model allows one, else forbidden, with the shortest
// cycle it meets. The result is nil if no choice of sources and orders gives
// such an execution.
func Explain(ctx context.Context, t *Test, opt Options) (*Evidence, error) {
	opt = opt.withDefaults()
	e, err := newEngine(ctx, t, opt)
	if err != nil {
		return nil, err
	}
	x := &explainer{goal: goalHolds}
	if t.Quantifier == Forall {
		x.goal = goalFails
	}
	for _, look := range []func(context.Context, *engine) error{x.allowed, x.forbidden, x.incoherent} {
		if err := look(ctx, e); err != nil || x.best != nil {
			return x.best, err
		}
	}
	return nil, nil
}

// maxRejected is how many forbidden executions are looked at for a short cycle.
const maxRejected = 200

// explainer collects the best evidence.
type explainer struct {
	goal goal
	best *Evidence
	seen int
}

// run searches and gives every consistent execution to visit, until one is
// taken.
func (x *explainer) run(ctx context.Context, e *engine, visit, rejected func(*search, *Evidence, Axiom)) error {
	s := newSearch(ctx, e, func(s *search) bool {
		visit(s, x.evidence(s), 0)
		return x.best == nil
	})
	s.goal = x.goal
	if rejected != nil {
		s.rejected = func(s *search, broken Axiom) {
			rejected(s, x.evidence(s), broken)
			if x.seen++; x.seen >= maxRejected {
				s.stopped = true
			}
		}
	}
	return s.run()
}

// allowed looks for an execution that the model allows.
func (x *explainer) allowed(ctx context.Context, e *engine) error {
	return x.run(ctx, e, func(s *search, ev *Evidence, _ Axiom) { x.best = ev }, nil)
}

// forbidden looks for one that an axiom forbids.
func (x *explainer) forbidden(ctx context.Context, e *engine) error {
	ignore := func(*search, *Evidence, Axiom) {}
	return x.run(ctx, e, ignore, func(s *search, ev *Evidence, broken Axiom) {
		ev.Broken = broken
		ev.cycle(s.cycleOf(broken))
		if x.best == nil || len(ev.Cycle) < len(x.best.Cycle) {
			x.best = ev
		}
	})
}

// incoherent looks for one that coherence or atomicity forbids; both are built
// into the search unless left out.
func (x *explainer) incoherent(ctx context.Context, e *engine) error {
	opt := e.opt
	opt.Without |= Coherence | Atomicity
	free, err := newEngine(ctx, e.test, opt)
	if err != nil {
		return err
	}
	return x.run(ctx, free, func(s *search, ev *Evidence, _ Axiom) {
		ev.Broken = ev.incoherence(s)
		x.best = ev
	}, nil)
}

// evidence lists an execution's events and its rf, co and fr.
func (x *explainer) evidence(s *search) *Evidence {
	ev := &Evidence{Test: s.test}
	for node := 0; node < s.x.n; node++ {
		e := s.x.events[node]
		ev.Events = append(ev.Events, EvidenceEvent{Thread: int(s.x.thread[node]), Text: s.eventText(node), Pos: e.pos})
	}
	var values []Value
	for i := range s.test.observed {
		v, _ := s.observe(i)
		values = append(values, v)
	}
	ev.State = s.test.FormatState(values)
	ev.addCommunication(s)
	return ev
}

// addCommunication adds rf, and co and fr between neighbours.
func (ev *Evidence) addCommunication(s *search) {
	x := &s.x
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		if x.rf[r] >= 0 {
			ev.edge(step{int(x.rf[r]), r, "rf"})
		}
		s.eachNext(s.check.fr.row(r), func(w int) {
			if int32(w) != x.rmw[r] {
				ev.edge(step{r, w, "fr"})
			}
		})
	}
	for w := x.write.first(); w >= 0; w = x.write.next(w + 1) {
		s.eachNext(x.co.row(w), func(v int) { ev.edge(step{w, v, "co"}) })
	}
}

// eachNext calls f for the first in coherence order of a set of writes.
func (s *search) eachNext(set row, f func(w int)) {
	for w := set.first(); w >= 0; w = set.next(w + 1) {
		first := true
		for v := set.first(); v >= 0; v = set.next(v + 1) {
			first = first && !s.x.co.has(v, w)
		}
		if first {
			f(w)
		}
	}
}

// edge adds an edge if it is not there and returns its index.
func (ev *Evidence) edge(st step) int {
	e := EvidenceEdge{st.from, st.to, st.label}
	if i := slices.Index(ev.Edges, e); i >= 0 {
		return i
	}
	ev.Edges = append(ev.Edges, e)
	return len(ev.Edges) - 1
}

// cycle notes the steps of a cycle.
func (ev *Evidence) cycle(steps []step) {
	for _, st := range steps {
		if st.from != st.to {
			ev.Cycle = append(ev.Cycle, ev.edge(st))
		}
	}
}

// incoherence finds what breaks coherence or atomicity.
func (ev *Evidence) incoherence(s *search) Axiom {
	ex := &s.x
	steps := shortestCycle(ex.n, func(i int) []step {
		var out []step
		for j := 0; j < ex.n; j++ {
			if label := s.communicates(i, j); label != "" {
				out = append(out, step{i, j, label})
			}
		}
		return out
	})
	if steps != nil {
		ev.cycle(steps)
		return Coherence
	}
	for r := ex.read.first(); r >= 0; r = ex.read.next(r + 1) {
		if w := int(ex.rmw[r]); w >= 0 {
			between := s.check.fr.row(r)
			for v := between.first(); v >= 0; v = between.next(v + 1) {
				if ex.co.has(v, w) {
					ev.cycle([]step{{r, v, "fr"}, {v, w, "co"}, {r, w, "rmw"}})
					return Atomicity
				}
			}
		}
	}
	return 0
}

// communicates names the relation of coherence between two events.
func (s *search) communicates(i, j int) string {
	x := &s.x
	switch {
	case !x.mem.has(i) || !x.mem.has(j) || x.cell[i] != x.cell[j]:
		return ""
	case x.read.has(j) && x.rf[j] == int32(i):
		return "rf"
	case x.co.has(i, j):
		return "co"
	case s.check.fr.has(i, j):
		return "fr"
	case x.thread[i] == x.thread[j] && i < j:
		return "po-loc"
	}
	return ""
}

// eventText says what an event does, in the terms of the kernel's API.
func (s *search) eventText(node int) string {
	x := &s.x
	e := x.events[node]
	if !e.isMemory() {
		switch e.kind {
		case eventFence:
			return fenceNames[e.fence]
		case eventSyncSrcu:
			return "synchronize_srcu " + s.placeName(node)
		case eventSrcuLock:
			return "srcu_read_lock " + s.placeName(node)
		case eventSrcuUnlock:
			return "srcu_read_unlock " + s.placeName(node)
		}
		return "gap"
	}
	v, _ := x.valueOf(node, s.cells)
	return fmt.Sprintf("%s %s=%s", accessName(e), s.placeName(node), v.format(s.test.Locations))
}

func (s *search) placeName(node int) string {
	if c := s.x.cell[node]; c >= 0 {
		return s.cells.list[c].addr.format(s.test.Locations)
	}
	return ""
}

// accessName is the primitive that an access belongs to.
func accessName(e *event) string {
	for _, f := range []struct {
		flag eventFlags
		name string
	}{
		{flagLKR, "spin_lock, read"}, {flagLKW, "spin_lock, write"}, {flagUL, "spin_unlock"},
		{flagLF, "lock seen held"}, {flagRU, "lock seen free"},
		{flagSrcuLock, "srcu_read_lock"}, {flagSrcuUnlock, "srcu_read_unlock"},
	} {
		if e.flags&f.flag != 0 {
			return f.name
		}
	}
	what := "read"
	if e.kind == eventWrite {
		what = "write"
	}
	switch {
	case e.flags&flagAtomic != 0:
		what = "atomic " + what
	case e.order == orderPlain:
		return "plain " + what
	case e.order == orderOnce && e.kind == eventRead:
		return "READ_ONCE"
	case e.order == orderOnce:
		return "WRITE_ONCE"
	}
	switch e.order {
	case orderAcquire:
		what = strings.Replace(what, "read", "load", 1) + "-acquire"
	case orderRelease:
		what = strings.Replace(what, "write", "store", 1) + "-release"
	}
	return what
}
