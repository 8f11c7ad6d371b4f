package rcu

import "strconv"

// expedited is the state of expedited grace periods: they ask every CPU at once
// instead of waiting for what happens anyway.
type expedited struct {
	// seq is expedited_sequence: its low bits are 1 while a period runs.
	seq int64
	// cpus are the CPUs whose running reader the period waits for; by task, tasks are the
	// preempted readers.
	cpus, tasks []bool
}

func (m *Model) emitExpedited(cpu int, seq int64, what string) {
	m.emit(cpu, "rcu_exp_grace_period", strconv.FormatInt(seq, 10), what)
}

// ExpeditedSnap is the first step of synchronize_rcu_expedited: the value of the
// sequence at which a whole expedited grace period that begins from now on is over.
func (m *Model) ExpeditedSnap(cpu int) int64 {
	s := snap(m.exp.seq)
	m.emitExpedited(cpu, s, "snap")
	return s
}

// ExpeditedStart begins the period that a snapshot needs, and asks every CPU: one that
// is outside of readers answers at once, a reader when it leaves. It is false if there
// is nothing to begin: the period is over already, or one runs, which somebody else
// has to end first.
func (m *Model) ExpeditedStart(cpu int, s int64) bool {
	if m.exp.seq&seqState != 0 || m.ExpeditedDone(cpu, s) {
		return false
	}
	m.exp.seq++
	m.emitExpedited(cpu, s, "start")
	m.emitExpedited(cpu, s, "reset")
	m.emitExpedited(cpu, s, "select")
	m.exp.cpus = make([]bool, len(m.cpus))
	m.exp.tasks = make([]bool, len(m.tasks))
	for i := range m.cpus {
		if t := m.cpus[i].running; t >= 0 && m.tasks[t].depth > 0 && m.tasks[t].leaf < 0 {
			m.exp.cpus[i] = true
		}
	}
	for i := range m.tasks {
		m.exp.tasks[i] = m.tasks[i].leaf >= 0
	}
	m.emitExpedited(cpu, s, "startwait")
	return true
}

// ExpeditedEnd ends the running period if all readers that it waits for have left; it
// is false if one is still inside, or none runs.
func (m *Model) ExpeditedEnd(cpu int) bool {
	if m.exp.seq&seqState == 0 || m.expeditedHeld() {
		return false
	}
	s := snap(m.exp.seq) - seqState - 1
	m.exp.seq = s
	m.emitExpedited(cpu, s, "end")
	m.emitExpedited(cpu, s, "endwake")
	return true
}

func (m *Model) expeditedHeld() bool {
	for _, waits := range m.exp.cpus {
		if waits {
			return true
		}
	}
	for _, waits := range m.exp.tasks {
		if waits {
			return true
		}
	}
	return false
}

// ExpeditedDone is the last step of synchronize_rcu_expedited: it says whether the
// period of a snapshot is over.
func (m *Model) ExpeditedDone(cpu int, s int64) bool {
	if m.exp.seq < s {
		return false
	}
	m.emitExpedited(cpu, s, "done")
	return true
}

// expeditedPreempt: a reader that an expedited period waits for by its CPU leaves it;
// from now on it is waited for by name.
func (m *Model) expeditedPreempt(cpu, task int) {
	if m.exp.seq&seqState == 0 || !m.exp.cpus[cpu] {
		return
	}
	m.exp.cpus[cpu] = false
	for len(m.exp.tasks) < len(m.tasks) {
		m.exp.tasks = append(m.exp.tasks, false)
	}
	m.exp.tasks[task] = true
}

// expeditedLeave: a task left its outermost reader on a CPU.
func (m *Model) expeditedLeave(cpu, task int) {
	if m.exp.seq&seqState == 0 {
		return
	}
	if task < len(m.exp.tasks) && m.exp.tasks[task] {
		m.exp.tasks[task] = false
		return
	}
	m.exp.cpus[cpu] = false
}
