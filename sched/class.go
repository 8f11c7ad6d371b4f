package sched

// fairPolicy is what a fair class has to do. CFS and EEVDF differ in structure,
// so they are two of them; groups, bandwidth and load tracking are common.
type fairPolicy interface {
	initQueue(q *cfsQueue)
	updateCurr(q *cfsQueue)
	enqueueEntity(q *cfsQueue, se EntityID, flags int)
	dequeueEntity(q *cfsQueue, se EntityID, flags int) bool
	setNextEntity(q *cfsQueue, se EntityID)
	putPrevEntity(q *cfsQueue, se EntityID)
	reweightEntity(q *cfsQueue, se EntityID, weight uint64)
	pickEntity(q *cfsQueue, curr EntityID) EntityID
	link(q *cfsQueue, se EntityID)
	unlink(q *cfsQueue, se EntityID)

	enqueueTask(rq *runQueue, t TaskID, flags int)
	dequeueTask(rq *runQueue, t TaskID, flags int) bool
	tick(rq *runQueue, t TaskID)
	putPrevTask(rq *runQueue, t TaskID)
	setNextTask(rq *runQueue, t TaskID)
	pickNext(rq *runQueue, prev TaskID) TaskID
	yield(rq *runQueue)
	fork(rq *runQueue, t TaskID)
	checkPreempt(rq *runQueue, t TaskID, flags int)
	prioChanged(rq *runQueue, t TaskID, old int)
	switchedFrom(rq *runQueue, t TaskID)
	switchedTo(rq *runQueue, t TaskID)
	changeGroup(t TaskID, g GroupID)
	migrate(t TaskID)
}

// enqueue makes a task runnable in its class (enqueue_task).
func (m *Machine) enqueue(rq *runQueue, t TaskID, flags int) {
	if m.clamps != nil && !m.prof.DelayedDequeue {
		m.clampEnqueue(rq, t)
	}
	switch m.tasks[t].class {
	case ClassFair:
		m.fair.enqueueTask(rq, t, flags)
	case ClassRT:
		m.rtEnqueue(rq, t, flags)
	case ClassDeadline:
		m.dlEnqueue(rq, t, flags)
	case ClassStop:
		rq.stop = t
		rq.nrRunning++
	}
	if m.clamps != nil && m.prof.DelayedDequeue { // it may have been delayed before
		m.clampEnqueue(rq, t)
	}
}

// dequeue takes a task out of its class's queue (dequeue_task); it says false
// if the task stays queued for a while.
func (m *Machine) dequeue(rq *runQueue, t TaskID, flags int) bool {
	if m.clamps != nil {
		m.clampDequeue(rq, t)
	}
	switch m.tasks[t].class {
	case ClassFair:
		return m.fair.dequeueTask(rq, t, flags)
	case ClassRT:
		m.rtDequeue(rq, t, flags)
	case ClassDeadline:
		m.dlDequeue(rq, t, flags)
	case ClassStop:
		rq.stop = NoTask
		rq.nrRunning--
	}
	return true
}

// putPrev ends the run of a task (put_prev_task).
func (m *Machine) putPrev(rq *runQueue, t TaskID) {
	switch m.tasks[t].class {
	case ClassFair:
		m.fair.putPrevTask(rq, t)
	case ClassRT:
		m.rtPutPrev(rq, t)
	case ClassDeadline:
		m.dlPutPrev(rq, t)
	case ClassStop:
		if m.prof.DelayedDequeue {
			m.chargeTask(rq)
		}
	case ClassIdle:
		m.probeTask(PointPutPrevTaskIdle, rq, t, 0)
		m.serverIdle(rq)
	}
}

// startRun starts the run of the task that its class picked. Since Linux 6.12
// the task that ran is put back only now, and not at all if it goes on.
func (m *Machine) startRun(rq *runQueue, t TaskID) {
	if m.prof.DelayedDequeue {
		m.putPrevSetNext(rq, t)
		return
	}
	m.setFirst(rq, t)
}

// putPrevSetNext is put_prev_set_next_task.
func (m *Machine) putPrevSetNext(rq *runQueue, t TaskID) {
	if t == rq.curr {
		return
	}
	if prev := &m.tasks[rq.curr]; prev.class != ClassFair || m.isRunning(prev.se) {
		m.putPrev(rq, rq.curr)
	}
	m.setFirst(rq, t)
}

func (m *Machine) setFirst(rq *runQueue, t TaskID) {
	m.setNextTask(rq, t)
	switch class := m.tasks[t].class; {
	case class == m.tasks[rq.curr].class:
	case class == ClassRT:
		m.updateRTLoad(rq, false)
	case class == ClassDeadline:
		m.updateDLLoad(rq, false)
	}
}

// setNextTask starts the run of a task that was not picked (set_next_task).
func (m *Machine) setNextTask(rq *runQueue, t TaskID) {
	switch m.tasks[t].class {
	case ClassFair:
		m.fair.setNextTask(rq, t)
		m.recentTouch(t)
	case ClassRT:
		m.rtSetNext(rq, t)
	case ClassDeadline:
		m.dlSetNext(rq, t)
	}
}

// checkPreemptCurr decides whether a task that became runnable preempts the
// running one (check_preempt_curr, wakeup_preempt).
func (m *Machine) checkPreemptCurr(rq *runQueue, t TaskID, flags int) {
	m.probeTask(PointCheckPreempt, rq, t, flags)
	curr, woken := m.tasks[rq.curr].class, m.tasks[t].class
	switch {
	case woken > curr:
		m.resched(rq)
	case woken < curr:
	case woken == ClassFair:
		m.fair.checkPreempt(rq, t, flags)
	case woken == ClassRT:
		m.rtCheckPreempt(rq, t)
	case woken == ClassDeadline:
		m.dlCheckPreempt(rq, t)
	}
}
