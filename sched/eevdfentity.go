package sched

// updateCurr charges the running entity of a queue the time since it was last
// charged (update_curr). It asks for a new pick itself: when the entity has
// had its slice, or lost its slice's protection and its share.
func (e *eevdf) updateCurr(q *cfsQueue) {
	e.probeQueue(PointUpdateCurr, q, q.curr, 0)
	if q.curr >= 0 {
		e.charge(q, q.curr)
	}
	e.probeReturn(PointUpdateCurr, q, q.curr, 0)
}

func (e *eevdf) charge(q *cfsQueue, id EntityID) {
	curr, rq := &e.ents[id], e.rqOf(q)
	delta := rq.clockTask - curr.execStart
	if int64(delta) <= 0 {
		return
	}
	curr.execStart = rq.clockTask
	curr.sumExec += delta
	curr.vruntime += calcDeltaFair(delta, &curr.load)
	expired := e.updateDeadline(q, id)
	e.updateMinVruntime(q)
	if curr.isTask() {
		e.traceStat(TraceStatRuntime, rq, curr.task, delta, curr.vruntime)
		e.serverUpdate(rq, delta)
	}
	e.accountRuntime(q, delta)
	if q.nrRunning == 1 {
		return
	}
	if expired || e.lostShare(q, id) {
		e.reschedLazy(rq)
		e.clearNext(q, id)
	}
}

// lostShare says that an entity without slice protection has had its share:
// somebody with a shorter slice waits (did_preempt_short).
func (e *eevdf) lostShare(q *cfsQueue, id EntityID) bool {
	if e.prof.VruntimeProtection {
		return !e.protected(&e.ents[id])
	}
	return e.feat(PreemptShort) && !e.protected(&e.ents[id]) && !e.eligible(q, id)
}

// place gives an entity that enters a queue its virtual runtime and deadline
// (place_entity). Its lag is what it had when it left, scaled so that it is
// that again after the entity has moved the queue's virtual time.
func (e *eevdf) place(q *cfsQueue, id EntityID, flags int) {
	e.probeQueue(PointPlaceEntity, q, id, flags)
	se := &e.ents[id]
	v := e.virtualTime(q)
	e.refreshSlice(se)
	vslice := calcDeltaFair(se.sliceNS, &se.load)
	lag := int64(0)
	if e.feat(PlaceLag) && q.nrRunning > 0 {
		lag = e.inflatedLag(q, se)
	}
	se.vruntime = v - uint64(lag)
	switch {
	case e.feat(PlaceRelDeadline) && se.relDead:
		se.deadline += se.vruntime
		se.relDead = false
	case e.feat(PlaceDeadlineInitial) && flags&EnqueueInitial != 0:
		se.deadline = se.vruntime + vslice/2
	default:
		se.deadline = se.vruntime + vslice
	}
	e.probeReturn(PointPlaceEntity, q, id, flags)
}

// inflatedLag is the lag with which an entity has to enter a queue so that it
// has vlag afterwards.
func (e *eevdf) inflatedLag(q *cfsQueue, se *entity) int64 {
	load := int64(q.avgLoad)
	if id := e.running(q); id >= 0 {
		load += int64(e.ents[id].weight())
	}
	return se.vlag * (load + int64(se.weight())) / max(load, 1)
}

// enqueueEntity adds an entity to its queue (enqueue_entity).
func (e *eevdf) enqueueEntity(q *cfsQueue, id EntityID, flags int) {
	e.probeQueue(PointEnqueueEntity, q, id, flags)
	se := &e.ents[id]
	curr := q.curr == id
	// A running entity's time goes on from here; others are placed at the
	// moment that update_curr has reached.
	if curr {
		e.place(q, id, flags)
	}
	e.updateCurr(q)
	e.updateLoadAvg(q, id, updateTG|doAttach)
	e.updateRunnable(se)
	e.updateGroup(id)
	if !curr {
		e.place(q, id, flags)
	}
	e.accountEnqueue(q, id)
	if flags&EnqueueMigrated != 0 {
		se.execStart = 0
	}
	e.statsEnqueue(q, id, flags)
	if !curr {
		e.link(q, id)
	}
	se.onRQ = true
	if q.nrRunning == 1 {
		e.checkEnqueueThrottle(q)
		if q.throttled && q.throttledClock == 0 {
			q.throttledClock = e.rqOf(q).clock
		}
	}
	e.probeReturn(PointEnqueueEntity, q, id, flags)
}

// dequeueEntity takes an entity out of its queue (dequeue_entity). One that
// goes to sleep after it has had more than its share stays in, to be taken out
// when it would be picked; then it says false.
func (e *eevdf) dequeueEntity(q *cfsQueue, id EntityID, flags int) bool {
	e.probeQueue(PointDequeueEntity, q, id, flags)
	e.updateCurr(q)
	e.clearNext(q, id)
	if e.delays(q, id, flags) {
		e.updateLoadAvg(q, id, 0)
		e.setDelayed(id)
		e.probeReturn(PointDequeueEntity, q, id, 0)
		return false
	}
	e.leave(q, id, flags)
	e.probeReturn(PointDequeueEntity, q, id, 1)
	return true
}

// delays says that an entity has to stay in its queue though it goes to sleep.
func (e *eevdf) delays(q *cfsQueue, id EntityID, flags int) bool {
	return flags&DequeueSleep != 0 && flags&(DequeueDelayed|DequeueSpecial) == 0 && e.feat(DelayDequeue) && !e.eligible(q, id)
}

func (e *eevdf) leave(q *cfsQueue, id EntityID, flags int) {
	se := &e.ents[id]
	action := updateTG
	if se.isTask() && e.tasks[se.task].onRQ == onMigrating {
		action |= doDetach
	}
	e.updateLoadAvg(q, id, action)
	e.updateRunnable(se)
	e.statsDequeue(q, id, flags)
	e.updateLag(q, id)
	if e.feat(PlaceRelDeadline) && flags&DequeueSleep == 0 {
		se.deadline -= se.vruntime
		se.relDead = true
	}
	if id != q.curr {
		e.unlink(q, id)
	}
	se.onRQ = false
	e.accountDequeue(q, id)
	e.returnRuntime(q)
	e.updateGroup(id)
	if flags&(DequeueSave|DequeueMove) != DequeueSave {
		e.updateMinVruntime(q)
	}
	if flags&DequeueDelayed != 0 {
		e.clearDelayed(id)
		if e.feat(DelayZero) {
			se.vlag = min(se.vlag, 0)
		}
	}
	if q.nrRunning == 0 {
		e.queueIdlePelt(q)
	}
}

// setDelayed marks an entity that sleeps and is still queued. A delayed task
// is not runnable; below a delayed group there is none.
func (e *eevdf) setDelayed(id EntityID) {
	e.ents[id].delayed = true
	e.countDelayed(id, -1)
}

func (e *eevdf) clearDelayed(id EntityID) {
	e.ents[id].delayed = false
	e.countDelayed(id, 1)
}

func (e *eevdf) countDelayed(id EntityID, n int32) {
	if !e.ents[id].isTask() {
		return
	}
	for ; id >= 0; id = e.ents[id].parent {
		q := e.queueOf(&e.ents[id])
		q.hNrRunning += uint32(n)
		if q.throttled {
			return
		}
	}
}

// requeueDelayed wakes a task that is still queued from before its sleep
// (requeue_delayed_entity): what it was owed meanwhile is not kept.
func (e *eevdf) requeueDelayed(id EntityID) {
	se := &e.ents[id]
	q := e.queueOf(se)
	e.probeQueue(PointRequeueDelayed, q, id, 0)
	if e.feat(DelayZero) {
		if e.updateLag(q, id); se.vlag > 0 {
			q.nrRunning--
			e.replace(q, id)
			q.nrRunning++
		}
	}
	e.updateLoadAvg(q, id, 0)
	e.clearDelayed(id)
}

// replace places a queued entity anew, without lag.
func (e *eevdf) replace(q *cfsQueue, id EntityID) {
	if id != q.curr {
		e.unlink(q, id)
	}
	e.ents[id].vlag = 0
	e.place(q, id, 0)
	if id != q.curr {
		e.link(q, id)
	}
}

// setNextEntity makes an entity its queue's running one (set_next_entity).
func (e *eevdf) setNextEntity(q *cfsQueue, id EntityID) {
	e.probeQueue(PointSetNextEntity, q, id, 0)
	se := &e.ents[id]
	e.clearNext(q, id)
	if se.onRQ {
		e.statsWaitEnd(q, id)
		e.unlink(q, id)
		e.updateLoadAvg(q, id, updateTG)
		e.protect(q, se)
	}
	se.execStart = e.rqOf(q).clockTask
	q.curr = id
	se.prevSum = se.sumExec
}

// putPrevEntity puts the running entity of a queue back (put_prev_entity).
func (e *eevdf) putPrevEntity(q *cfsQueue, id EntityID) {
	e.probeQueue(PointPutPrevEntity, q, id, 0)
	se := &e.ents[id]
	if se.onRQ {
		e.updateCurr(q)
	}
	e.checkRuntime(q)
	if se.onRQ {
		e.statsWaitStart(q, id)
		e.link(q, id)
		e.updateLoadAvg(q, id, 0)
	}
	q.curr = None
}

// reweightEntity gives an entity a new weight (reweight_entity). Its lag and
// what is left of its request stay the same amount of service.
func (e *eevdf) reweightEntity(q *cfsQueue, id EntityID, weight uint64) {
	e.probeValue(PointReweightEntity, q, id, weight)
	se := &e.ents[id]
	curr, v := q.curr == id, uint64(0)
	if se.onRQ {
		if curr || e.prof.DelayedDequeue {
			e.updateCurr(q)
		}
		v = e.virtualTime(q)
		if !curr {
			e.unlink(q, id)
		}
		q.load.sub(se.load.weight)
	}
	e.dequeueLoadAvg(q, se)
	if se.onRQ {
		e.rescale(se, v, weight)
	} else {
		se.vlag = scaleWeight(se.vlag, se.load.weight, weight)
	}
	se.load.set(weight)
	e.rescaleLoadAvg(se)
	e.enqueueLoadAvg(q, se)
	if se.onRQ {
		q.load.add(se.load.weight)
		if !curr {
			e.link(q, id)
		}
		if e.prof.ReweightLag {
			e.updateMinVruntime(q)
		}
	}
	e.probeReturn(PointReweightEntity, q, id, 0)
}

// rescale keeps an entity's lag at virtual time v and what is left of its
// request, as service, when its weight changes (reweight_eevdf). Up to 6.7 its
// virtual runtime stayed.
func (e *eevdf) rescale(se *entity, v, weight uint64) {
	old := se.load.weight
	if !e.prof.ReweightLag {
		v = se.vruntime
	}
	if v != se.vruntime {
		se.vruntime = v - uint64(scaleWeight(e.lag(v, se), old, weight))
	}
	se.deadline = v + uint64(scaleWeight(int64(se.deadline-v), old, weight))
}

// scaleWeight is a virtual time of an entity of weight from as one of weight
// to.
func scaleWeight(v int64, from, to uint64) int64 { return v * int64(from) / int64(max(to, 1)) }
