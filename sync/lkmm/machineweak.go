package lkmm

import "fmt"

// weakActions appends what an ARM-like CPU can do next: any instruction that
// nothing holds back, or a prediction.
func (m *Machine) weakActions(out []Action, cpu int) []Action {
	c := &m.cpus[cpu]
	events := m.path(cpu).events
	limit, open := m.horizon(cpu)
	for i := 0; i < limit; i++ {
		e := &events[i]
		switch {
		case c.done.has(i) || e.kind == eventWrite && e.rmw >= 0:
		case e.isGracePeriod():
			if m.allDone(cpu, i, func(*event) bool { return true }) {
				out = m.gracePeriodActions(out, cpu, i)
			}
		case e.isMemory() && m.free(cpu, i) && m.possible(cpu, i):
			out = append(out, Action{CPU: cpu, kind: actExecute, event: i, Text: m.accessText(cpu, i)})
		}
	}
	if open {
		for _, want := range []bool{true, false} {
			if len(m.predicted(cpu, want)) > 0 {
				out = append(out, Action{CPU: cpu, kind: actPredict, want: want,
					Text: fmt.Sprintf("%s: predict that a branch is %s", m.prog.test.Threads[cpu].Name, taken(want))})
			}
		}
	}
	return out
}

func taken(want bool) string {
	if want {
		return "taken"
	}
	return "not taken"
}

// possible says whether a load would leave a path: a lock must be free.
func (m *Machine) possible(cpu, event int) bool {
	if m.path(cpu).events[event].kind != eventRead {
		return true
	}
	v, _ := m.load(cpu, event)
	return len(m.survivors(cpu, event, v)) > 0
}

// horizon is the first event that depends on a branch not yet known or
// predicted.
func (m *Machine) horizon(cpu int) (limit int, open bool) {
	k := m.openFork(cpu)
	if k < 0 {
		return len(m.path(cpu).events), false
	}
	return m.path(cpu).forks[k].at, true
}

// openFork is the number of the first branch on which the possible paths
// differ, or -1.
func (m *Machine) openFork(cpu int) int {
	alive := m.cpus[cpu].alive
	if len(alive) < 2 {
		return -1
	}
	first := m.path(cpu).forks
	for k := range first {
		for _, i := range alive[1:] {
			if m.prog.paths[cpu][i].forks[k].want != first[k].want {
				return k
			}
		}
	}
	return -1
}

// predicted are the paths on which the next open branch goes as wanted.
func (m *Machine) predicted(cpu int, want bool) []int32 {
	k := m.openFork(cpu)
	var out []int32
	for _, i := range m.cpus[cpu].alive {
		if m.prog.paths[cpu][i].forks[k].want == want {
			out = append(out, i)
		}
	}
	return out
}

// allDone says whether all accesses and grace periods before an event that
// match are executed.
func (m *Machine) allDone(cpu, before int, match func(*event) bool) bool {
	events := m.path(cpu).events
	for i := range events[:before] {
		if e := &events[i]; (e.isMemory() || e.isGracePeriod()) && !m.cpus[cpu].done.has(i) && match(e) {
			return false
		}
	}
	return true
}

// access is how an instruction takes part in ordering: a read-modify-write is
// executed as one, with the properties of both halves.
type access struct {
	read, write, acquire, release bool
}

func (m *Machine) access(cpu, event int) access {
	e := &m.path(cpu).events[event]
	a := access{read: e.kind == eventRead, write: e.kind == eventWrite, acquire: e.isAcquire(), release: e.isRelease()}
	if e.kind == eventRead && e.rmw >= 0 {
		a.write = true
		a.release = m.path(cpu).events[e.rmw].isRelease()
	}
	return a
}

// free says whether nothing before an access holds it back.
func (m *Machine) free(cpu, event int) bool {
	events := m.path(cpu).events
	c := &m.cpus[cpu]
	a := m.access(cpu, event)
	if !m.inputsReady(cpu, event, a) {
		return false
	}
	cell, ok := m.cellOf(cpu, &events[event])
	if !ok {
		return false
	}
	for i := range events[:event] {
		if !c.done.has(i) && m.holdsBack(cpu, i, event, a, cell) {
			return false
		}
	}
	return true
}

// inputsReady says whether the reads are done that an access's address and
// value depend on, and for a write all branches before it.
func (m *Machine) inputsReady(cpu, event int, a access) bool {
	p := m.path(cpu)
	if !m.readsDone(cpu, &p.events[event], a.write) {
		return false
	}
	if !a.write {
		return true
	}
	if w := p.events[event].rmw; w >= 0 && !m.rmwReady(cpu, event, int(w)) {
		return false
	}
	for k, f := range p.forks {
		if f.at > event {
			break
		}
		if !m.forkKnown(cpu, p, k, event) {
			return false
		}
	}
	return true
}

// readsDone says whether the reads an event depends on are done.
func (m *Machine) readsDone(cpu int, e *event, write bool) bool {
	needs := e.addrDeps
	if write {
		needs = needs.union(e.dataDeps).union(e.ctrlDeps)
	}
	return needs.within(m.cpus[cpu].done)
}

// rmwReady says whether what the write half of a read-modify-write needs, but
// for its own read, is there.
func (m *Machine) rmwReady(cpu, read, write int) bool {
	e := m.path(cpu).events[write]
	needs := e.addrDeps.union(e.dataDeps).union(e.ctrlDeps)
	needs.del(read)
	return needs.within(m.cpus[cpu].done)
}

// forkKnown says whether a branch is decided by reads that are done, or by
// the read event itself.
func (m *Machine) forkKnown(cpu int, p *path, k, event int) bool {
	reads := p.forkReads(k)
	reads.del(event)
	return reads.within(m.cpus[cpu].done)
}

// forkReads are the reads that a branch's condition depends on.
func (p *path) forkReads(k int) bitset {
	var out bitset
	var walk func(id symID)
	walk = func(id symID) {
		switch s := p.syms.list[id]; s.kind {
		case symRead:
			out.add(int(s.a))
		case symUnary:
			walk(s.a)
		case symBinary:
			walk(s.a)
			walk(s.b)
		}
	}
	walk(p.forks[k].sym)
	return out
}

// holdsBack says whether event i, not executed, keeps a later access from
// being executed.
func (m *Machine) holdsBack(cpu, i, event int, a access, cell int32) bool {
	e := &m.path(cpu).events[i]
	switch {
	case e.isGracePeriod():
		return true
	case e.kind == eventFence:
		return e.isFullFence() || e.fence == fenceRmb && a.read || e.fence == fenceWmb && a.write
	case !e.isMemory() || e.kind == eventWrite && e.rmw >= 0:
		return false
	}
	b := m.access(cpu, i)
	if b.acquire || a.release || a.acquire && b.release {
		return true
	}
	other, known := m.cellOf(cpu, e)
	if !known || !m.readsDone(cpu, e, false) {
		return true // it may turn out to be the same variable
	}
	return other == cell && (a.write || b.read || !m.canForward(cpu, i))
}

// isFullFence lists what ARM implements by a full barrier.
func (e *event) isFullFence() bool {
	switch e.fence {
	case fenceMb, fenceBeforeAtomic, fenceAfterAtomic, fenceAfterSpinlock, fenceAfterSrcuUnlock:
		return true
	}
	return false
}

// canForward says whether a store's value is known, so that a later load of
// the same CPU can take it before it reaches memory.
func (m *Machine) canForward(cpu, store int) bool {
	e := &m.path(cpu).events[store]
	return e.dataDeps.union(e.addrDeps).within(m.cpus[cpu].done)
}

// forwarding is the last store to a place before a load that has not reached
// memory, or -1.
func (m *Machine) forwarding(cpu, load int, cell int32) int {
	events := m.path(cpu).events
	for i := load - 1; i >= 0; i-- {
		e := &events[i]
		if e.kind != eventWrite || m.cpus[cpu].done.has(i) {
			continue
		}
		if c, ok := m.cellOf(cpu, e); ok && c == cell {
			return i
		}
	}
	return -1
}

// weakSettle completes fences whose accesses before them are executed, and
// markers.
func (m *Machine) weakSettle(cpu int) bool {
	events := m.path(cpu).events
	limit, _ := m.horizon(cpu)
	c := &m.cpus[cpu]
	changed := false
	for i := range events[:limit] {
		e := &events[i]
		if c.done.has(i) || e.isMemory() || e.isGracePeriod() || !m.fenceComplete(cpu, i) {
			continue
		}
		c.done.add(i)
		changed = true
	}
	return changed
}

func (m *Machine) fenceComplete(cpu, i int) bool {
	e := &m.path(cpu).events[i]
	switch {
	case e.kind != eventFence:
		return true
	case e.isFullFence():
		return m.allDone(cpu, i, func(*event) bool { return true })
	case e.fence == fenceRmb:
		return m.allDone(cpu, i, func(e *event) bool { return e.kind == eventRead })
	case e.fence == fenceWmb:
		return m.allDone(cpu, i, func(e *event) bool { return e.kind == eventWrite })
	}
	return true
}
