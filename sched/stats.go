package sched

// The schedstat tracepoints of tasks: how long they waited for a CPU, slept or
// were blocked. Groups' entities have no such statistics here.

func (m *Machine) statsWaitStart(q *cfsQueue, id EntityID) {
	if t := m.ents[id].task; t >= 0 {
		m.waitStart(m.rqOf(q), t)
	}
}

func (m *Machine) statsWaitEnd(q *cfsQueue, id EntityID) {
	if t := m.ents[id].task; t >= 0 && m.tasks[t].stats.waitStart != 0 {
		m.waitEnd(m.rqOf(q), t)
	}
}

// waitStart begins a task's wait for the CPU; one that migrates goes on with
// what it waited elsewhere.
func (m *Machine) waitStart(rq *runQueue, t TaskID) {
	s := &m.tasks[t].stats
	start := rq.clock
	if start > s.waitStart {
		start -= s.waitStart
	}
	s.waitStart = start
}

// waitEnd reports how long a task waited. The real-time and deadline classes
// also end waits that never began; the time is then that since boot.
func (m *Machine) waitEnd(rq *runQueue, t TaskID) {
	s := &m.tasks[t].stats
	delta := rq.clock - s.waitStart
	if m.tasks[t].onRQ == onMigrating {
		s.waitStart = delta
		return
	}
	m.traceStat(TraceStatWait, rq, t, delta, 0)
	s.waitStart = 0
}

// sleepEnd reports how long a woken task slept or was blocked.
func (m *Machine) sleepEnd(rq *runQueue, t TaskID) {
	s := &m.tasks[t].stats
	if s.sleepStart != 0 {
		m.traceStat(TraceStatSleep, rq, t, since(rq.clock, s.sleepStart), 0)
		s.sleepStart = 0
	}
	if s.blockStart != 0 {
		delta := since(rq.clock, s.blockStart)
		s.blockStart = 0
		if m.tasks[t].inIowait {
			m.traceStat(TraceStatIowait, rq, t, delta, 0)
		}
		m.traceStat(TraceStatBlocked, rq, t, delta, 0)
	}
}

func since(now, start uint64) uint64 {
	if int64(now-start) < 0 {
		return 0
	}
	return now - start
}

// sleepStart begins a sleep or a block, by the state in which the task goes.
func (m *Machine) sleepStart(rq *runQueue, t TaskID) {
	task := &m.tasks[t]
	if task.state&StateInterruptible != 0 {
		task.stats.sleepStart = rq.clock
	}
	if task.state&StateUninterruptible != 0 {
		task.stats.blockStart = rq.clock
	}
}

func (m *Machine) statsEnqueue(q *cfsQueue, id EntityID, flags int) {
	if id != q.curr {
		m.statsWaitStart(q, id)
	}
	if t := m.ents[id].task; t >= 0 && flags&EnqueueWakeup != 0 {
		m.sleepEnd(m.rqOf(q), t)
	}
}

func (m *Machine) statsDequeue(q *cfsQueue, id EntityID, flags int) {
	if id != q.curr {
		m.statsWaitEnd(q, id)
	}
	if t := m.ents[id].task; t >= 0 && flags&DequeueSleep != 0 {
		m.sleepStart(m.rqOf(q), t)
	}
}
