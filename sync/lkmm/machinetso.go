package lkmm

import "fmt"

// tsoActions appends what an x86 CPU can do next: drain its buffer, or execute
// its next instruction.
func (m *Machine) tsoActions(out []Action, cpu int) []Action {
	c := &m.cpus[cpu]
	name := m.prog.test.Threads[cpu].Name
	if len(c.buffer) > 0 {
		b := c.buffer[0]
		out = append(out, Action{CPU: cpu, kind: actDrain, Text: fmt.Sprintf("%s: the store %s=%s reaches memory", name,
			m.prog.cells.list[b.cell].addr.format(m.prog.test.Locations), b.val.format(m.prog.test.Locations))})
	}
	next := m.firstUndone(cpu)
	if next == len(m.path(cpu).events) {
		return out
	}
	e := &m.path(cpu).events[next]
	if m.tsoDrains(cpu, next) && len(c.buffer) > 0 {
		return out
	}
	switch e.kind {
	case eventRead:
		if v, _ := m.load(cpu, next); len(m.survivors(cpu, next, v)) == 0 {
			return out // a lock that is taken
		}
	case eventWrite:
	default:
		return m.gracePeriodActions(out, cpu, next)
	}
	return append(out, Action{CPU: cpu, kind: actExecute, event: next, Text: m.accessText(cpu, next)})
}

// tsoDrains says whether an instruction waits until the store buffer is empty:
// full barriers, atomic operations, grace periods.
func (m *Machine) tsoDrains(cpu, event int) bool {
	for _, i := range m.cpus[cpu].alive {
		e := &m.prog.paths[cpu][i].events[event]
		if e.isFence(fenceMb) || e.isFence(fenceAfterSrcuUnlock) || e.isGracePeriod() || e.flags&(flagAtomic|flagLKR) != 0 {
			return true
		}
	}
	return false
}

// tsoSettle executes what needs no step of its own: fences that find the
// buffer empty, and those that x86 does not need.
func (m *Machine) tsoSettle(cpu int) bool {
	c := &m.cpus[cpu]
	changed := false
	for {
		next := m.firstUndone(cpu)
		if next == len(m.path(cpu).events) {
			return changed
		}
		e := &m.path(cpu).events[next]
		if e.isMemory() || e.isGracePeriod() || m.tsoDrains(cpu, next) && len(c.buffer) > 0 {
			return changed
		}
		c.done.add(next)
		changed = true
	}
}
