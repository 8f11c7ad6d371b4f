package lkmm

// gracePeriodActions appends the begin or the end of a grace period.
func (m *Machine) gracePeriodActions(out []Action, cpu, event int) []Action {
	c := &m.cpus[cpu]
	name := m.prog.test.Threads[cpu].Name
	e := &m.path(cpu).events[event]
	what := "synchronize_srcu"
	if e.kind == eventFence {
		what = fenceNames[e.fence]
	}
	if !c.waiting {
		return append(out, Action{CPU: cpu, kind: actBegin, event: event, Text: name + ": " + what + " begins"})
	}
	if c.quiet == 1<<len(m.cpus)-1 {
		out = append(out, Action{CPU: cpu, kind: actEnd, event: event, Text: name + ": " + what + " ends"})
	}
	return out
}

// settle executes what needs no step of its own, and notes the CPUs that pass
// a quiescent state while a grace period waits for them.
func (m *Machine) settle() {
	for cpu := range m.cpus {
		for {
			changed := false
			if m.prog.arch == TSO {
				changed = m.tsoSettle(cpu)
			} else {
				changed = m.weakSettle(cpu)
			}
			if !changed {
				break
			}
		}
	}
	for cpu := range m.cpus {
		c := &m.cpus[cpu]
		if !c.waiting {
			continue
		}
		for other := range m.cpus {
			if c.quiet&(1<<other) == 0 && m.quiescent(other, cpu) {
				c.quiet |= 1 << other
			}
		}
	}
}

// quiescent says whether a CPU is, right now, outside the critical sections
// that a waiting grace period waits for: everything before some point of its
// program is executed and visible, nothing after it.
func (m *Machine) quiescent(cpu, waiter int) bool {
	c := &m.cpus[cpu]
	if len(c.buffer) > 0 {
		return false
	}
	from, to := m.boundary(cpu)
	if from > to {
		return false
	}
	gp := m.waitingEvent(waiter)
	switch e := &m.path(waiter).events[gp]; {
	case e.isFence(fenceMembarrier):
		return true
	case e.kind == eventSyncSrcu:
		cell, _ := m.cellOf(waiter, e)
		return m.outsideSrcu(cpu, from, to, cell)
	}
	for _, depth := range m.prog.rcu[cpu][c.alive[0]][from : to+1] {
		if depth == 0 {
			return true
		}
	}
	return false
}

// boundary is the range of points of a CPU's program with every access before
// them executed and none after; from is greater than to if there is none.
func (m *Machine) boundary(cpu int) (from, to int) {
	c := &m.cpus[cpu]
	events := m.path(cpu).events
	to = len(events)
	for i := range events {
		e := &events[i]
		if !e.isMemory() && !e.isGracePeriod() {
			continue
		}
		if c.done.has(i) {
			from = i + 1
		} else {
			to = min(to, i)
		}
	}
	if c.waiting { // in the middle of its own grace period
		from = m.waitingEvent(cpu)
	}
	limit, _ := m.horizon(cpu)
	return from, min(to, limit)
}

// waitingEvent is the grace period that a CPU waits for.
func (m *Machine) waitingEvent(cpu int) int {
	events := m.path(cpu).events
	for i := range events {
		if events[i].isGracePeriod() && !m.cpus[cpu].done.has(i) {
			return i
		}
	}
	return 0
}

// outsideSrcu says whether one of a range of points of a CPU's program lies
// outside the critical sections of an srcu_struct.
func (m *Machine) outsideSrcu(cpu, from, to int, cell int32) bool {
	depth := 0
	events := m.path(cpu).events
	for point := 0; point <= to; point++ {
		if point >= from && depth == 0 {
			return true
		}
		if point < len(events) {
			depth += m.srcuStep(cpu, &events[point], cell)
		}
	}
	return false
}

// srcuStep is 1 for a lock of an srcu_struct, -1 for an unlock.
func (m *Machine) srcuStep(cpu int, e *event, cell int32) int {
	lock := e.flags&flagSrcuLock != 0 || e.kind == eventSrcuLock
	unlock := e.flags&flagSrcuUnlock != 0 || e.kind == eventSrcuUnlock
	if !lock && !unlock {
		return 0
	}
	if c, ok := m.cellOf(cpu, e); !ok || c != cell {
		return 0
	}
	if lock {
		return 1
	}
	return -1
}
