package sched

// The fair class's entry points as EEVDF has them.

// addQueued counts tasks that enter below a queue; runnable of them are not
// delayed, idle of them are idle ones. It returns how many count as idle
// further up.
func (q *cfsQueue) addQueued(n, runnable, idle uint32) uint32 {
	q.hNrQueued += n
	q.hNrRunning += runnable
	q.idleHNrRunning += idle
	if q.idle {
		return n
	}
	return idle
}

// subQueued undoes addQueued.
func (q *cfsQueue) subQueued(n, runnable, idle uint32) uint32 {
	q.hNrQueued -= n
	q.hNrRunning -= runnable
	q.idleHNrRunning -= idle
	if q.idle {
		return n
	}
	return idle
}

func (e *eevdf) enqueueTask(rq *runQueue, t TaskID, flags int) {
	e.probeTask(PointEnqueueTaskFair, rq, t, flags)
	se := e.tasks[t].se
	if !e.ents[se].delayed || e.tasks[t].onRQ != onMigrating && flags&EnqueueRestore == 0 {
		e.estimateEnqueue(rq, t)
	}
	if flags&EnqueueDelayed != 0 {
		e.requeueDelayed(se)
		return
	}
	first := e.queues[rq.root].hNrQueued == 0
	idle, runnable, slice := b2u(e.tasks[t].policy == PolicyIdle), uint32(1), uint64(0)
	if flags&EnqueueWakeup == 0 && e.ents[se].delayed {
		runnable = 0
	}
	for ; se >= 0; se = e.ents[se].parent {
		if e.ents[se].onRQ {
			if e.ents[se].delayed {
				e.requeueDelayed(se)
			}
			break
		}
		q := e.queueOf(&e.ents[se])
		// A group must be served as soon as the most urgent of its entities.
		if slice != 0 && e.prof.GroupSlice {
			e.ents[se].sliceNS, e.ents[se].custom = slice, true
		}
		e.enqueueEntity(q, se, flags)
		slice = e.minSlice(q)
		if idle = q.addQueued(1, runnable, idle); q.throttled {
			return
		}
		flags = EnqueueWakeup
	}
	for ; se >= 0; se = e.ents[se].parent {
		slice = e.refreshAbove(se, slice)
		q := e.queueOf(&e.ents[se])
		if idle = q.addQueued(1, runnable, idle); q.throttled {
			return
		}
	}
	if first && e.prof.FairServer {
		if rq.nrRunning == 0 {
			e.serverIdle(rq)
		}
		e.serverStart(rq)
	}
	rq.nrRunning++
}

// refreshAbove updates an entity below which something changed; slice is the
// shortest one there. It returns the shortest one of the entity's queue.
func (e *eevdf) refreshAbove(id EntityID, slice uint64) uint64 {
	se := &e.ents[id]
	q := e.queueOf(se)
	e.updateLoadAvg(q, id, updateTG)
	e.updateRunnable(se)
	e.updateGroup(id)
	if !e.prof.GroupSlice {
		return slice
	}
	se.sliceNS = slice
	if id != q.curr {
		e.nodes[id].slice = slice
		propagate(e.nodes, int32(id))
	}
	return e.minSlice(q)
}

func (e *eevdf) dequeueTask(rq *runQueue, t TaskID, flags int) bool {
	e.probeTask(PointDequeueTaskFair, rq, t, flags)
	if !e.ents[e.tasks[t].se].delayed || e.tasks[t].onRQ != onMigrating && flags&DequeueSave == 0 {
		e.estimateDequeue(rq, t)
	}
	if flags&DequeueSleep != 0 {
		e.estimateUpdate(t)
	}
	return e.dequeueEntities(rq, e.tasks[t].se, flags)
}

// dequeueEntities takes an entity and the groups that it leaves empty out of
// their queues (dequeue_entities); it says false if the entity is a task's and
// stays for a while.
func (e *eevdf) dequeueEntities(rq *runQueue, se EntityID, flags int) bool {
	e.probeQueue(PointDequeueEntities, e.queueOf(&e.ents[se]), se, flags)
	task := e.ents[se].task
	done, came := e.dequeueUp(rq, se, flags)
	if came {
		rq.nrRunning -= b2u(task >= 0)
	}
	if done && task >= 0 && flags&DequeueDelayed != 0 {
		e.tasks[task].onRQ = offRQ
	}
	return done
}

// dequeueUp walks from an entity to the root: done says that the entity left
// its queue, came that the walk reached the root and met no throttled queue.
func (e *eevdf) dequeueUp(rq *runQueue, se EntityID, flags int) (done, came bool) {
	hadTasks := e.queues[rq.root].hNrQueued > 0
	sleep, n, runnable, idle := flags&DequeueSleep != 0, uint32(0), uint32(0), uint32(0)
	first := se
	if t := e.ents[se].task; t >= 0 {
		n, runnable, idle = 1, 1, b2u(e.tasks[t].policy == PolicyIdle)
		if flags&(DequeueSleep|DequeueDelayed) == 0 && e.ents[se].delayed {
			runnable = 0
		}
	}
	slice := uint64(0)
	for se >= 0 {
		q := e.queueOf(&e.ents[se])
		if !e.dequeueEntity(q, se, flags) {
			if se == first && n == 1 {
				return false, false
			}
			slice = e.minSlice(q)
			break
		}
		if idle = q.subQueued(n, runnable, idle); q.throttled {
			return true, false
		}
		se = e.ents[se].parent
		if q.load.weight != 0 {
			slice = e.minSlice(q)
			// The task sleeps before its slice is over: let its group go on.
			if sleep && se >= 0 && q.throttleCount == 0 {
				e.setNext(se)
			}
			break
		}
		flags = flags&^(DequeueDelayed|DequeueSpecial) | DequeueSleep
	}
	for ; se >= 0; se = e.ents[se].parent {
		slice = e.refreshAbove(se, slice)
		q := e.queueOf(&e.ents[se])
		if idle = q.subQueued(n, runnable, idle); q.throttled {
			return true, false
		}
	}
	if e.prof.ServerStops && hadTasks && e.queues[rq.root].hNrQueued == 0 {
		e.serverStop(rq)
	}
	return true, true
}

func (e *eevdf) tick(rq *runQueue, t TaskID) {
	e.probeTask(PointTaskTickFair, rq, t, 0)
	for se := e.tasks[t].se; se >= 0; se = e.ents[se].parent {
		q := e.queueOf(&e.ents[se])
		e.updateCurr(q)
		e.updateLoadAvg(q, se, updateTG)
		e.updateGroup(se)
	}
}

func (e *eevdf) putPrevTask(rq *runQueue, t TaskID) {
	for se := e.tasks[t].se; se >= 0; se = e.ents[se].parent {
		e.putPrevEntity(e.queueOf(&e.ents[se]), se)
	}
}

func (e *eevdf) setNextTask(rq *runQueue, t TaskID) {
	for se := e.tasks[t].se; se >= 0; se = e.ents[se].parent {
		q := e.queueOf(&e.ents[se])
		e.setNextEntity(q, se)
		e.accountRuntime(q, 0)
	}
}

// pickNext chooses the next fair task and makes it its queues' running one;
// prev is the task that ran and was not put back yet (pick_next_task_fair).
func (e *eevdf) pickNext(rq *runQueue, prev TaskID) TaskID {
	if !e.prof.DelayedDequeue {
		return e.pickPutting(rq, prev)
	}
	t := e.pickTask(rq)
	if t < 0 {
		return NoTask
	}
	switch {
	case prev < 0:
		e.setNextTask(rq, t)
	case e.tasks[prev].class == ClassFair:
		e.switchEntities(e.tasks[prev].se, e.tasks[t].se)
	default:
		e.putPrevSetNext(rq, t)
	}
	return t
}

// pickTask chooses a fair task (pick_task_fair). A delayed entity that would be
// picked has spent its lag: it leaves, and the choice begins again.
func (e *eevdf) pickTask(rq *runQueue) TaskID {
	// Each new beginning takes an entity away: more are only in queues that a
	// replay took over from a broken trace.
	for range e.ents {
		t, again := e.pickDown(rq)
		if !again {
			return t
		}
	}
	return NoTask
}

// pickDown chooses an entity on each level; again says that one left its queue
// instead.
func (e *eevdf) pickDown(rq *runQueue) (t TaskID, again bool) {
	for q := &e.queues[rq.root]; q.nrRunning > 0; {
		if e.running(q) >= 0 {
			e.updateCurr(q)
		}
		if e.checkRuntime(q) {
			return NoTask, true
		}
		se := e.pickEntity(q, None)
		switch {
		case se < 0:
			return NoTask, false
		case e.ents[se].delayed:
			e.dequeueEntities(rq, se, DequeueSleep|DequeueDelayed)
			return NoTask, true
		case e.ents[se].isTask():
			return e.ents[se].task, false
		}
		q = &e.queues[e.ents[se].myQ]
	}
	return NoTask, false
}

// pickEntity chooses an entity of a queue: its next buddy if that is eligible
// (pick_next_entity).
func (e *eevdf) pickEntity(q *cfsQueue, _ EntityID) EntityID {
	buddy := NextBuddy
	if e.prof.PickBuddy {
		buddy = PickBuddy
	}
	if e.feat(buddy) && q.next >= 0 && e.eligible(q, q.next) {
		return q.next
	}
	return e.pick(q, true)
}

// yield gives up what is left of the running task's request: the task has had
// it, or (up to 6.17) only its deadline moves.
func (e *eevdf) yield(rq *runQueue) {
	e.probeTask(PointYieldTaskFair, rq, rq.curr, 0)
	id := e.tasks[rq.curr].se
	se := &e.ents[id]
	q := e.queueOf(se)
	if rq.nrRunning == 1 {
		return
	}
	e.clearNext(q, id)
	e.updateCurr(q)
	switch {
	case !e.prof.YieldVruntime:
		se.deadline += calcDeltaFair(se.sliceNS, &se.load)
	case e.eligible(q, id):
		se.vruntime = se.deadline
		e.updateDeadline(q, id)
		e.updateMinVruntime(q)
	}
}

// fork prepares a new task: it has no lag, and the slice of its parent. Up to
// 6.11 it is placed here; that its deadline is nearer is lost when it is placed
// again at its first wake-up.
func (e *eevdf) fork(rq *runQueue, t TaskID) {
	e.probeTask(PointTaskForkFair, rq, t, 0)
	se, parent := &e.ents[e.tasks[t].se], &e.ents[e.tasks[rq.curr].se]
	se.sliceNS, se.custom, se.deadline = parent.sliceNS, parent.custom, parent.deadline
	se.vruntime, se.vlag = 0, 0
	if q := e.queueOf(se); !e.prof.DelayedDequeue {
		if q.curr >= 0 {
			e.updateCurr(q)
		}
		e.place(q, e.tasks[t].se, EnqueueInitial)
	}
}

// checkPreempt decides whether a task that became runnable preempts the running
// fair task (check_preempt_wakeup_fair).
func (e *eevdf) checkPreempt(rq *runQueue, t TaskID, flags int) {
	e.probeTask(PointCheckPreemptFair, rq, t, flags)
	se, pse := e.tasks[rq.curr].se, e.tasks[t].se
	if se == pse || e.queueOf(&e.ents[pse]).throttleCount > 0 {
		return
	}
	if e.feat(NextBuddy) && flags&WakeFork == 0 && !e.ents[pse].delayed {
		e.setNext(pse)
	}
	if rq.needResched || e.cfg.LazyPreemption && rq.lazyResched {
		return
	}
	if done := !e.prof.DelayedDequeue && e.preemptByPolicy(rq, t); done || !e.feat(WakeupPreemption) {
		return
	}
	se, pse = e.matching(se, pse)
	idle, wokenIdle := e.isIdle(&e.ents[se]), e.isIdle(&e.ents[pse])
	switch {
	case idle && !wokenIdle:
		if e.prof.IdleUnprotect {
			e.unprotect(&e.ents[se])
		}
		e.reschedLazy(rq)
		return
	case idle != wokenIdle || e.tasks[t].policy != PolicyNormal:
		return
	}
	q := e.queueOf(&e.ents[se])
	e.updateCurr(q)
	e.preemptWithin(q, pse, se)
}

// preemptByPolicy decides by the policies of the tasks alone, as up to 6.11; it
// says whether it did.
func (e *eevdf) preemptByPolicy(rq *runQueue, t TaskID) bool {
	curr, woken := e.tasks[rq.curr].policy, e.tasks[t].policy
	if curr == PolicyIdle && woken != PolicyIdle {
		e.reschedLazy(rq)
		return true
	}
	return woken != PolicyNormal
}

// preemptWithin lets an entity of a queue preempt the running one if it would
// be picked now.
func (e *eevdf) preemptWithin(q *cfsQueue, pse, se EntityID) {
	rq := e.rqOf(q)
	if !e.prof.VruntimeProtection {
		if e.shorter(q, pse, se) {
			e.unprotect(&e.ents[se])
		}
		if e.pick(q, true) == pse {
			e.reschedLazy(rq)
		}
		return
	}
	shorter := e.feat(PreemptShort) && e.ents[pse].sliceNS < e.ents[se].sliceNS
	switch {
	case e.pick(q, !shorter) == pse:
		if shorter {
			e.unprotect(&e.ents[se])
		}
		e.reschedLazy(rq)
	case e.feat(RunToParity):
		e.shortenProtection(q, &e.ents[se])
	}
}

// shorter says that a woken entity may break the running one's slice
// protection: it has a shorter slice, is eligible, and would win
// (do_preempt_short).
func (e *eevdf) shorter(q *cfsQueue, pse, se EntityID) bool {
	if !e.feat(PreemptShort) || e.ents[pse].sliceNS >= e.ents[se].sliceNS || !e.eligible(q, pse) {
		return false
	}
	return e.earlier(pse, se) || !e.eligible(q, se)
}

func (e *eevdf) prioChanged(rq *runQueue, t TaskID, old int) {
	e.probeTask(PointPrioChangedFair, rq, t, old)
	if e.tasks[t].onRQ != queued || e.queues[rq.root].nrRunning == 1 {
		return
	}
	if rq.curr != t {
		e.checkPreemptCurr(rq, t, 0)
	} else if int(e.tasks[t].prio) > old {
		e.resched(rq)
	}
}

func (e *eevdf) switchedFrom(rq *runQueue, t TaskID) {
	e.probeTask(PointSwitchedFromFair, rq, t, 0)
	e.detachEntity(e.tasks[t].se)
}

func (e *eevdf) switchedTo(rq *runQueue, t TaskID) {
	e.probeTask(PointSwitchedToFair, rq, t, 0)
	e.attachEntity(e.tasks[t].se)
	if e.tasks[t].onRQ != queued {
		return
	}
	if rq.curr == t {
		e.resched(rq)
	} else {
		e.checkPreemptCurr(rq, t, 0)
	}
}

// changeGroup moves a task to another group (task_change_group_fair).
func (e *eevdf) changeGroup(t TaskID, g GroupID) {
	e.probeTask(PointTaskChangeGroup, e.rqOfTask(t), t, 0)
	if e.tasks[t].state == StateNew {
		return
	}
	id := e.tasks[t].se
	e.detachEntity(id)
	e.ents[id].avg.lastUpdate = 0
	e.setTaskQueue(t, g, e.tasks[t].cpu)
	e.attachEntity(id)
}

// migrate prepares a task's entity for another CPU (migrate_task_rq_fair).
func (e *eevdf) migrate(t TaskID) {
	if e.tasks[t].onRQ != onMigrating {
		e.removeEntityLoad(e.tasks[t].se)
	}
	e.ents[e.tasks[t].se].avg.lastUpdate = 0
}
