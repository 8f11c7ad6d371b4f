package sched

// recentTasks is a CPU's list of fair tasks that are queued, the one that was
// queued or picked last first (rq->cfs_tasks): load balancing takes from its end.
// It is kept only where somebody balances by loads.
type recentTasks struct{ first, last TaskID }

// keepRecent begins to keep the lists; no task may be queued yet.
func (m *Machine) keepRecent() {
	m.recent = make([]recentTasks, len(m.rqs))
	for i := range m.recent {
		m.recent[i] = recentTasks{NoTask, NoTask}
	}
}

// recentAdd puts a task that was queued at the head of its CPU's list.
func (m *Machine) recentAdd(se *entity) {
	if m.recent == nil || !se.isTask() {
		return
	}
	t := &m.tasks[se.task]
	l := &m.recent[t.cpu]
	t.moreRecent, t.lessRecent = NoTask, l.first
	if l.first >= 0 {
		m.tasks[l.first].moreRecent = se.task
	} else {
		l.last = se.task
	}
	l.first = se.task
}

// recentRemove takes a task that is queued no longer off the list.
func (m *Machine) recentRemove(se *entity) {
	if m.recent == nil || !se.isTask() {
		return
	}
	t := &m.tasks[se.task]
	l := &m.recent[t.cpu]
	if t.moreRecent >= 0 {
		m.tasks[t.moreRecent].lessRecent = t.lessRecent
	} else {
		l.first = t.lessRecent
	}
	if t.lessRecent >= 0 {
		m.tasks[t.lessRecent].moreRecent = t.moreRecent
	} else {
		l.last = t.moreRecent
	}
}

// recentTouch moves a fair task that was picked, or passed over, to the head.
func (m *Machine) recentTouch(t TaskID) {
	if m.recent == nil || m.tasks[t].class != ClassFair || !m.ents[m.tasks[t].se].onRQ {
		return
	}
	se := &m.ents[m.tasks[t].se]
	m.recentRemove(se)
	m.recentAdd(se)
}
