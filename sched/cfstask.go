package sched

// The fair class's entry points as CFS has them: the kernel's
// enqueue_task_fair and so on.

func (c *cfs) enqueueTask(rq *runQueue, t TaskID, flags int) {
	c.probeTask(PointEnqueueTaskFair, rq, t, flags)
	c.estimateEnqueue(rq, t)
	idle := b2u(c.tasks[t].policy == PolicyIdle)
	se := c.tasks[t].se
	for ; se >= 0 && !c.ents[se].onRQ; se = c.ents[se].parent {
		q := c.queueOf(&c.ents[se])
		c.enqueueEntity(q, se, flags)
		if idle = q.addTasks(1, idle); q.throttled {
			return
		}
		flags = EnqueueWakeup
	}
	for ; se >= 0; se = c.ents[se].parent {
		q := c.queueOf(&c.ents[se])
		c.updateLoadAvg(q, se, updateTG)
		c.updateRunnable(&c.ents[se])
		c.updateGroup(se)
		if idle = q.addTasks(1, idle); q.throttled {
			return
		}
	}
	rq.nrRunning++
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// addTasks counts n more tasks below a queue, idle of them idle ones; above an
// idle group all are idle. It returns how many count as idle further up.
func (q *cfsQueue) addTasks(n, idle uint32) uint32 {
	q.hNrQueued += n
	q.hNrRunning += n
	q.idleHNrRunning += idle
	if q.idle {
		return n
	}
	return idle
}

func (c *cfs) dequeueTask(rq *runQueue, t TaskID, flags int) bool {
	c.probeTask(PointDequeueTaskFair, rq, t, flags)
	sleep := flags&DequeueSleep != 0
	c.estimateDequeue(rq, t)
	c.dequeueUp(rq, t, flags)
	if sleep {
		c.estimateUpdate(t)
	}
	return true
}

// dequeueUp takes a task and the groups that it leaves empty out of their queues.
func (c *cfs) dequeueUp(rq *runQueue, t TaskID, flags int) {
	sleep := flags&DequeueSleep != 0
	idle := b2u(c.tasks[t].policy == PolicyIdle)
	se := c.tasks[t].se
	for se >= 0 {
		q := c.queueOf(&c.ents[se])
		c.dequeueEntity(q, se, flags)
		if idle = q.subTasks(1, idle); q.throttled {
			return
		}
		se = c.ents[se].parent
		if q.load.weight != 0 {
			// The task sleeps before its slice is over: let its group go on.
			if sleep && se >= 0 && q.throttleCount == 0 {
				c.setNext(se)
			}
			break
		}
		flags |= DequeueSleep
	}
	for ; se >= 0; se = c.ents[se].parent {
		q := c.queueOf(&c.ents[se])
		c.updateLoadAvg(q, se, updateTG)
		c.updateRunnable(&c.ents[se])
		c.updateGroup(se)
		if idle = q.subTasks(1, idle); q.throttled {
			return
		}
	}
	rq.nrRunning--
}

// subTasks undoes addTasks.
func (q *cfsQueue) subTasks(n, idle uint32) uint32 {
	q.hNrQueued -= n
	q.hNrRunning -= n
	q.idleHNrRunning -= idle
	if q.idle {
		return n
	}
	return idle
}

func (c *cfs) tick(rq *runQueue, t TaskID) {
	c.probeTask(PointTaskTickFair, rq, t, 0)
	for se := c.tasks[t].se; se >= 0; se = c.ents[se].parent {
		c.tickEntity(c.queueOf(&c.ents[se]), se)
	}
}

func (c *cfs) putPrevTask(rq *runQueue, t TaskID) {
	for se := c.tasks[t].se; se >= 0; se = c.ents[se].parent {
		c.putPrevEntity(c.queueOf(&c.ents[se]), se)
	}
}

func (c *cfs) setNextTask(rq *runQueue, t TaskID) {
	for se := c.tasks[t].se; se >= 0; se = c.ents[se].parent {
		q := c.queueOf(&c.ents[se])
		c.setNextEntity(q, se)
		c.accountRuntime(q, 0)
	}
}

// pickNext chooses the next fair task; prev is the one that ran if it is a fair
// one and was not put back yet, else NoTask (pick_next_task_fair).
func (c *cfs) pickNext(rq *runQueue, prev TaskID) TaskID { return c.pickPutting(rq, prev) }

// pickPutting is pick_next_task_fair up to Linux 6.11: the task that ran is put
// back before the pick, or for a fair one only where the next one differs.
func (m *Machine) pickPutting(rq *runQueue, prev TaskID) TaskID {
	root := &m.queues[rq.root]
	if root.nrRunning == 0 {
		return NoTask
	}
	if prev >= 0 && m.tasks[prev].class == ClassFair {
		se, ok := m.pickFrom(root)
		switch {
		case ok:
			m.switchEntities(m.tasks[prev].se, se)
			return m.ents[se].task
		case root.nrRunning == 0:
			return NoTask
		}
	}
	if prev >= 0 {
		m.putPrev(rq, prev)
	}
	for q := root; ; {
		se := m.fair.pickEntity(q, None)
		if se < 0 {
			return NoTask
		}
		m.fair.setNextEntity(q, se)
		if m.ents[se].isTask() {
			return m.ents[se].task
		}
		q = &m.queues[m.ents[se].myQ]
	}
}

// pickFrom picks an entity on each level while the previous task is still
// running; ok is false if that throttled a queue.
func (m *Machine) pickFrom(q *cfsQueue) (se EntityID, ok bool) {
	for {
		curr := q.curr
		if curr >= 0 {
			if m.ents[curr].onRQ {
				m.fair.updateCurr(q)
			} else {
				curr = None
			}
			if m.checkRuntime(q) {
				return None, false
			}
		}
		if se = m.fair.pickEntity(q, curr); se < 0 {
			return None, false
		}
		if m.ents[se].isTask() {
			return se, true
		}
		q = &m.queues[m.ents[se].myQ]
	}
}

// switchEntities puts back and sets only the levels that differ between the
// previous and the next task.
func (m *Machine) switchEntities(prev, se EntityID) {
	if prev == se {
		return
	}
	for m.ents[prev].queue != m.ents[se].queue {
		d, pd := m.ents[se].depth, m.ents[prev].depth
		if d <= pd {
			m.fair.putPrevEntity(m.queueOf(&m.ents[prev]), prev)
			prev = m.ents[prev].parent
		}
		if d >= pd {
			m.fair.setNextEntity(m.queueOf(&m.ents[se]), se)
			se = m.ents[se].parent
		}
		if prev < 0 || se < 0 {
			return // states that were taken over from broken lines have no queue in common
		}
	}
	q := m.queueOf(&m.ents[se])
	m.fair.putPrevEntity(q, prev)
	m.fair.setNextEntity(q, se)
}

func (c *cfs) yield(rq *runQueue) {
	c.probeTask(PointYieldTaskFair, rq, rq.curr, 0)
	t := &c.tasks[rq.curr]
	q := c.queueOf(&c.ents[t.se])
	if rq.nrRunning == 1 {
		return
	}
	c.clearBuddies(q, t.se)
	if t.policy != PolicyBatch {
		c.updateCurr(q)
	}
	for se := t.se; se >= 0; se = c.ents[se].parent {
		c.queueOf(&c.ents[se]).skip = se
	}
}

// fork places a new task in its parent's queue (task_fork_fair): the parent is
// the CPU's running task.
func (c *cfs) fork(rq *runQueue, t TaskID) {
	c.probeTask(PointTaskForkFair, rq, t, 0)
	se := &c.ents[c.tasks[t].se]
	q := c.queueOf(se)
	if rq.curr != rq.idle {
		q = c.queueOf(&c.ents[c.tasks[rq.curr].se])
	}
	if q.curr >= 0 {
		c.updateCurr(q)
		se.vruntime = c.ents[q.curr].vruntime
	}
	c.place(q, c.tasks[t].se, true)
	if c.tun.ChildRunsFirst && c.entityBefore(q.curr, c.tasks[t].se) {
		curr := &c.ents[q.curr]
		curr.vruntime, se.vruntime = se.vruntime, curr.vruntime
		c.reschedLazy(rq)
	}
	se.vruntime -= q.minVruntime
}

// checkPreempt decides whether a task that became runnable preempts the running
// fair task (check_preempt_wakeup).
func (c *cfs) checkPreempt(rq *runQueue, t TaskID, flags int) {
	c.probeTask(PointCheckPreemptFair, rq, t, flags)
	curr := &c.tasks[rq.curr]
	se, pse := curr.se, c.tasks[t].se
	q := c.queueOf(&c.ents[se])
	crowded := uint64(q.nrRunning) >= c.tun.nrLatency()
	if se == pse || c.queueOf(&c.ents[pse]).throttleCount > 0 {
		return
	}
	marked := false
	if c.feat(NextBuddy) && crowded && flags&WakeFork == 0 {
		c.setNext(pse)
		marked = true
	}
	if rq.needResched || c.cfg.LazyPreemption && rq.lazyResched {
		return
	}
	if curr.policy == PolicyIdle && c.tasks[t].policy != PolicyIdle {
		c.preempt(rq, se, crowded)
		return
	}
	if c.tasks[t].policy != PolicyNormal || !c.feat(WakeupPreemption) {
		return
	}
	se, pse = c.matching(se, pse)
	idle, wokenIdle := c.isIdle(&c.ents[se]), c.isIdle(&c.ents[pse])
	if idle != wokenIdle {
		if idle {
			c.preempt(rq, se, crowded)
		}
		return
	}
	c.updateCurr(c.queueOf(&c.ents[se]))
	if c.preempts(se, pse) == 1 {
		if !marked {
			c.setNext(pse)
		}
		c.preempt(rq, se, crowded)
	}
}

// preempt asks for a new pick and remembers whom to come back to.
func (c *cfs) preempt(rq *runQueue, se EntityID, crowded bool) {
	c.reschedLazy(rq)
	if !c.ents[se].onRQ || rq.curr == rq.idle {
		return
	}
	if c.feat(LastBuddy) && crowded && c.ents[se].isTask() {
		c.setLast(se)
	}
}

// matching climbs from two entities to those of a common queue
// (find_matching_se).
func (m *Machine) matching(a, b EntityID) (EntityID, EntityID) {
	for m.ents[a].depth > m.ents[b].depth {
		a = m.ents[a].parent
	}
	for m.ents[b].depth > m.ents[a].depth {
		b = m.ents[b].parent
	}
	for m.ents[a].queue != m.ents[b].queue {
		a, b = m.ents[a].parent, m.ents[b].parent
	}
	return a, b
}

func (c *cfs) prioChanged(rq *runQueue, t TaskID, old int) {
	c.probeTask(PointPrioChangedFair, rq, t, old)
	if c.tasks[t].onRQ != queued || c.queues[rq.root].nrRunning == 1 && !c.prof.OldFair {
		return
	}
	if rq.curr != t {
		c.checkPreemptCurr(rq, t, 0)
	} else if int(c.tasks[t].prio) > old {
		c.reschedLazy(rq)
	}
}

// normalized says that a task's virtual runtime is already relative to its
// queue's (vruntime_normalized).
func (c *cfs) normalized(t *task) bool {
	return t.onRQ != offRQ || c.ents[t.se].sumExec == 0 || t.state == StateWaking && t.remote
}

func (c *cfs) detach(t TaskID) {
	id := c.tasks[t].se
	q := c.queueOf(&c.ents[id])
	if !c.normalized(&c.tasks[t]) {
		c.place(q, id, false)
		c.ents[id].vruntime -= q.minVruntime
	}
	c.detachEntity(id)
}

func (c *cfs) attach(t TaskID) {
	id := c.tasks[t].se
	c.attachEntity(id)
	if !c.normalized(&c.tasks[t]) {
		c.ents[id].vruntime += c.queueOf(&c.ents[id]).minVruntime
	}
}

func (c *cfs) switchedFrom(rq *runQueue, t TaskID) {
	c.probeTask(PointSwitchedFromFair, rq, t, 0)
	c.detach(t)
}

func (c *cfs) switchedTo(rq *runQueue, t TaskID) {
	c.probeTask(PointSwitchedToFair, rq, t, 0)
	c.attach(t)
	if c.tasks[t].onRQ != queued {
		return
	}
	if rq.curr == t {
		c.resched(rq)
	} else {
		c.checkPreemptCurr(rq, t, 0)
	}
}

// changeGroup moves a task to another group (task_change_group_fair).
func (c *cfs) changeGroup(t TaskID, g GroupID) {
	c.probeTask(PointTaskChangeGroup, c.rqOfTask(t), t, 0)
	if c.tasks[t].state == StateNew {
		return
	}
	c.detach(t)
	c.ents[c.tasks[t].se].avg.lastUpdate = 0
	c.setTaskQueue(t, g, c.tasks[t].cpu)
	c.attach(t)
}

// migrate prepares a task's entity for another CPU (migrate_task_rq_fair): a
// waking task takes its virtual runtime relative to the old queue along.
func (c *cfs) migrate(t TaskID) {
	task := &c.tasks[t]
	se := &c.ents[task.se]
	if task.state == StateWaking {
		se.vruntime -= c.queueOf(se).minVruntime
	}
	switch {
	case task.onRQ != onMigrating:
		c.removeEntityLoad(task.se)
	case c.prof.OldFair: // later it was detached as it left its queue
		c.detachEntity(task.se)
	}
	se.avg.lastUpdate = 0
}
