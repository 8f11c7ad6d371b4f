package sched

// cfs is the completely fair scheduler of Linux up to 6.5: the entity that has
// had the least virtual runtime runs, unless a buddy is nearly as far behind.
type cfs struct{ *Machine }

// Flags of enqueue and dequeue operations, with the kernel's numbers. Wakeup
// and Sleep, Restore and Save share theirs.
const (
	EnqueueWakeup    = 0x01
	EnqueueRestore   = 0x02
	EnqueueMove      = 0x04
	EnqueueNoClock   = 0x08
	EnqueueHead      = 0x10
	EnqueueReplenish = 0x20
	EnqueueMigrated  = 0x40
	EnqueueInitial   = 0x80  // EEVDF
	EnqueueDelayed   = 0x200 // EEVDF

	DequeueSleep   = 0x01
	DequeueSave    = 0x02
	DequeueMove    = 0x04
	DequeueNoClock = 0x08
	DequeueSpecial = 0x10  // EEVDF: not a plain sleep
	DequeueDelayed = 0x200 // EEVDF
)

// Flags of wake-ups, with the kernel's numbers.
const (
	WakeSync     = 0x10
	WakeFork     = 0x04
	WakeTTWU     = 0x08
	WakeMigrated = 0x20
)

// A new queue's virtual time starts here, so that a wrap shows early.
const firstVruntime = ^uint64(1<<20) + 1

func (c *cfs) initQueue(q *cfsQueue) { q.minVruntime = firstVruntime }

func maxVruntime(a, b uint64) uint64 {
	if before(a, b) {
		return b
	}
	return a
}

func minVruntime(a, b uint64) uint64 {
	if before(b, a) {
		return b
	}
	return a
}

// updateCurr charges the running entity of a queue the time since it was last
// charged (update_curr).
func (c *cfs) updateCurr(q *cfsQueue) {
	c.probeQueue(PointUpdateCurr, q, q.curr, 0)
	if q.curr < 0 {
		return
	}
	curr, rq := &c.ents[q.curr], c.rqOf(q)
	delta := rq.clockTask - curr.execStart
	if int64(delta) <= 0 {
		return
	}
	curr.execStart = rq.clockTask
	curr.sumExec += delta
	curr.vruntime += calcDeltaFair(delta, &curr.load)
	c.updateMinVruntime(q)
	if curr.isTask() {
		c.traceStat(TraceStatRuntime, rq, curr.task, delta, curr.vruntime)
	}
	c.accountRuntime(q, delta)
}

// updateMinVruntime advances the queue's virtual time to that of the entity
// that has had least; it never goes back.
func (c *cfs) updateMinVruntime(q *cfsQueue) {
	v := q.minVruntime
	first := q.first()
	runs := q.curr >= 0 && c.ents[q.curr].onRQ
	switch {
	case runs && first >= 0:
		v = minVruntime(c.ents[q.curr].vruntime, c.ents[first].vruntime)
	case runs:
		v = c.ents[q.curr].vruntime
	case first >= 0:
		v = c.ents[first].vruntime
	}
	q.minVruntime = maxVruntime(q.minVruntime, v)
}

// period is the time in which each of n tasks should run once.
func (c *cfs) period(n uint64) uint64 {
	if n > c.tun.nrLatency() {
		return n * c.tun.MinGranularityNS
	}
	return c.tun.LatencyNS
}

// slice is the time that an entity may run in one period: its part of the
// period, level by level (sched_slice).
func (c *cfs) slice(q *cfsQueue, id EntityID) uint64 {
	first := &c.ents[id]
	n := uint64(q.nrRunning)
	if c.feat(AltPeriod) {
		n = uint64(c.queues[c.rqOf(q).root].hNrRunning)
	}
	if !first.onRQ {
		n++
	}
	s := c.period(n)
	for ; id >= 0; id = c.ents[id].parent {
		se := &c.ents[id]
		if se.onRQ {
			s = calcDelta(s, se.load.weight, &c.queues[se.queue].load)
			continue
		}
		with := c.queues[se.queue].load
		with.add(se.load.weight)
		s = calcDelta(s, se.load.weight, &with)
	}
	if !c.feat(BaseSlice) {
		return s
	}
	if c.isIdle(first) && !q.onlyIdle() {
		return max(s, c.tun.IdleMinGranularityNS)
	}
	return max(s, c.tun.MinGranularityNS)
}

// onlyIdle says that all of a queue's entities are idle ones.
func (q *cfsQueue) onlyIdle() bool { return q.nrRunning > 0 && q.nrRunning == q.idleNrRunning }

// longSleep is how long an entity can sleep before its virtual runtime means
// nothing any more: 2^63 divided by the greatest speed of virtual time.
const longSleep = uint64(1) << 63 / 1024

// place gives an entity that enters a queue its virtual runtime (place_entity):
// a new one waits for a slice, a sleeper gets a credit but never goes back.
func (c *cfs) place(q *cfsQueue, id EntityID, initial bool) {
	flag := 0
	if initial {
		flag = 1
	}
	c.probeQueue(PointPlaceEntity, q, id, flag)
	se := &c.ents[id]
	v := q.minVruntime
	switch {
	case initial:
		if c.feat(StartDebit) {
			v += calcDeltaFair(c.slice(q, id), &se.load)
		}
	default:
		credit := c.tun.LatencyNS
		if c.prof.IdleCredit && c.isIdle(se) {
			credit = c.tun.MinGranularityNS
		}
		if c.feat(GentleFairSleepers) {
			credit >>= 1
		}
		v -= credit
	}
	if slept := c.rqOf(q).clockTask - se.execStart; se.execStart != 0 && int64(slept) > 0 && slept > longSleep {
		se.vruntime = v
		return
	}
	se.vruntime = maxVruntime(se.vruntime, v)
}

// enqueueEntity adds an entity to its queue (enqueue_entity).
func (c *cfs) enqueueEntity(q *cfsQueue, id EntityID, flags int) {
	c.probeQueue(PointEnqueueEntity, q, id, flags)
	se := &c.ents[id]
	renorm := flags&EnqueueWakeup == 0 || flags&EnqueueMigrated != 0
	curr := q.curr == id
	// A running entity's time goes on from here; others are placed at the
	// moment that update_curr has reached.
	if renorm && curr {
		se.vruntime += q.minVruntime
	}
	c.updateCurr(q)
	if renorm && !curr {
		se.vruntime += q.minVruntime
	}
	c.updateLoadAvg(q, id, updateTG|doAttach)
	c.updateRunnable(se)
	c.updateGroup(id)
	c.enqueueRunnable(q, se)
	c.accountEnqueue(q, id)
	if flags&EnqueueWakeup != 0 {
		c.place(q, id, false)
	}
	if flags&EnqueueMigrated != 0 {
		se.execStart = 0
	}
	c.statsEnqueue(q, id, flags)
	if !curr {
		c.linkEntity(q, id)
	}
	se.onRQ = true
	if q.nrRunning == 1 {
		c.checkEnqueueThrottle(q)
	}
}

// dequeueEntity takes an entity out of its queue (dequeue_entity).
func (c *cfs) dequeueEntity(q *cfsQueue, id EntityID, flags int) bool {
	c.probeQueue(PointDequeueEntity, q, id, flags)
	se := &c.ents[id]
	action := updateTG
	if se.isTask() && c.tasks[se.task].onRQ == onMigrating && !c.prof.OldFair {
		action |= doDetach
	}
	c.updateCurr(q)
	c.updateLoadAvg(q, id, action)
	c.updateRunnable(se)
	c.dequeueRunnable(q, se)
	c.statsDequeue(q, id, flags)
	c.clearBuddies(q, id)
	if id != q.curr {
		c.unlinkEntity(q, id)
	}
	se.onRQ = false
	c.accountDequeue(q, id)
	// Between queues virtual runtimes are relative to the queue's.
	if flags&DequeueSleep == 0 {
		se.vruntime -= q.minVruntime
	}
	c.returnRuntime(q)
	c.updateGroup(id)
	// An entity that will be put back must not be left behind by the time it
	// was out.
	if flags&(DequeueSave|DequeueMove) != DequeueSave {
		c.updateMinVruntime(q)
	}
	if q.nrRunning == 0 {
		c.queueIdlePelt(q)
	}
	return true
}

// clearBuddies forgets that an entity is preferred or to be skipped, upwards
// as far as it is.
func (c *cfs) clearBuddies(q *cfsQueue, id EntityID) {
	if q.last == id {
		for se := id; se >= 0 && c.queueOf(&c.ents[se]).last == se; se = c.ents[se].parent {
			c.queueOf(&c.ents[se]).last = None
		}
	}
	c.clearNext(q, id)
	if q.skip == id {
		for se := id; se >= 0 && c.queueOf(&c.ents[se]).skip == se; se = c.ents[se].parent {
			c.queueOf(&c.ents[se]).skip = None
		}
	}
}

func (m *Machine) clearNext(q *cfsQueue, id EntityID) {
	if q.next == id {
		for se := id; se >= 0 && m.queueOf(&m.ents[se]).next == se; se = m.ents[se].parent {
			m.queueOf(&m.ents[se]).next = None
		}
	}
}

// setNext makes an entity the one that the next pick prefers, on each level,
// up to the first idle one.
func (m *Machine) setNext(id EntityID) {
	for ; id >= 0; id = m.ents[id].parent {
		se := &m.ents[id]
		if !se.onRQ || m.isIdle(se) {
			return
		}
		m.queues[se.queue].next = id
	}
}

// setLast makes an entity that is preempted the one to come back to.
func (c *cfs) setLast(id EntityID) {
	for ; id >= 0; id = c.ents[id].parent {
		se := &c.ents[id]
		if !se.onRQ || c.isIdle(se) {
			return
		}
		c.queues[se.queue].last = id
	}
}

// wakeupGran is how much less virtual runtime an entity must have to preempt,
// in its own virtual time.
func (c *cfs) wakeupGran(se *entity) int64 {
	return int64(calcDeltaFair(c.tun.WakeupGranularityNS, &se.load))
}

// preempts says how far entity se is behind curr: -1 if it is not, 1 if enough
// to preempt, 0 between (wakeup_preempt_entity).
func (c *cfs) preempts(curr, se EntityID) int {
	diff := int64(c.ents[curr].vruntime - c.ents[se].vruntime)
	switch {
	case diff <= 0:
		return -1
	case diff > c.wakeupGran(&c.ents[se]):
		return 1
	}
	return 0
}

// entityBefore says that a has had less than b; None has not.
func (c *cfs) entityBefore(a, b EntityID) bool {
	return a >= 0 && before(c.ents[a].vruntime, c.ents[b].vruntime)
}

// pickEntity chooses the entity of a queue that runs next; curr is the running
// one if it still can (pick_next_entity).
func (c *cfs) pickEntity(q *cfsQueue, curr EntityID) EntityID {
	c.probeQueue(PointPickNextEntity, q, curr, 0)
	left := q.first()
	if left < 0 || c.entityBefore(curr, left) {
		left = curr
	}
	if left < 0 {
		return None
	}
	se := left
	if q.skip == se {
		second := q.first()
		if se != curr {
			second = EntityID(next(c.nodes, int32(se)))
			if second < 0 || c.entityBefore(curr, second) {
				second = curr
			}
		}
		if second >= 0 && c.preempts(second, left) < 1 {
			se = second
		}
	}
	if c.prof.NextOverLast {
		return c.pickBuddy5_4(q, se, left)
	}
	switch {
	case q.next >= 0 && c.preempts(q.next, left) < 1:
		return q.next
	case q.last >= 0 && c.preempts(q.last, left) < 1:
		return q.last
	}
	return se
}

// pickBuddy5_4 is the choice among buddies up to 5.6: the next one wins over
// the last.
func (c *cfs) pickBuddy5_4(q *cfsQueue, se, left EntityID) EntityID {
	if q.last >= 0 && c.preempts(q.last, left) < 1 {
		se = q.last
	}
	if q.next >= 0 && c.preempts(q.next, left) < 1 {
		se = q.next
	}
	c.clearBuddies(q, se)
	return se
}

// setNextEntity makes an entity its queue's running one (set_next_entity).
func (c *cfs) setNextEntity(q *cfsQueue, id EntityID) {
	c.probeQueue(PointSetNextEntity, q, id, 0)
	se := &c.ents[id]
	c.clearBuddies(q, id)
	if se.onRQ {
		c.statsWaitEnd(q, id)
		c.unlinkEntity(q, id)
		c.updateLoadAvg(q, id, updateTG)
	}
	se.execStart = c.rqOf(q).clockTask
	q.curr = id
	se.prevSum = se.sumExec
}

// putPrevEntity puts the running entity of a queue back (put_prev_entity).
func (c *cfs) putPrevEntity(q *cfsQueue, id EntityID) {
	c.probeQueue(PointPutPrevEntity, q, id, 0)
	se := &c.ents[id]
	if se.onRQ {
		c.updateCurr(q)
	}
	c.checkRuntime(q)
	if se.onRQ {
		c.statsWaitStart(q, id)
		c.linkEntity(q, id)
		c.updateLoadAvg(q, id, 0)
	}
	q.curr = None
}

// tickEntity is the timer tick for the running entity of one level
// (entity_tick).
func (c *cfs) tickEntity(q *cfsQueue, id EntityID) {
	c.updateCurr(q)
	c.updateLoadAvg(q, id, updateTG)
	c.updateGroup(id)
	if q.nrRunning > 1 {
		c.checkPreemptTick(q, id)
	}
}

// checkPreemptTick asks for a new pick if the running entity has had its slice
// or is a slice ahead of the first one (check_preempt_tick).
func (c *cfs) checkPreemptTick(q *cfsQueue, id EntityID) {
	curr := &c.ents[id]
	slice := c.slice(q, id)
	ran := curr.sumExec - curr.prevSum
	if ran > slice {
		c.reschedLazy(c.rqOf(q))
		c.clearBuddies(q, id)
		return
	}
	first := q.first()
	if ran < c.tun.MinGranularityNS || first < 0 {
		return
	}
	if ahead := int64(curr.vruntime - c.ents[first].vruntime); ahead > int64(slice) {
		c.reschedLazy(c.rqOf(q))
	}
}

// reweightEntity gives an entity a new weight (reweight_entity).
func (c *cfs) reweightEntity(q *cfsQueue, id EntityID, weight uint64) {
	weight = c.probeValue(PointReweightEntity, q, id, weight)
	se := &c.ents[id]
	if se.onRQ {
		if q.curr == id {
			c.updateCurr(q)
		}
		q.load.sub(se.load.weight)
		c.dequeueRunnable(q, se)
	}
	c.dequeueLoadAvg(q, se)
	se.load.set(weight)
	c.rescaleRunnable(se)
	c.rescaleLoadAvg(se)
	c.enqueueLoadAvg(q, se)
	if se.onRQ {
		q.load.add(se.load.weight)
		c.enqueueRunnable(q, se)
	}
}

func (c *cfs) link(q *cfsQueue, id EntityID)   { c.linkEntity(q, id) }
func (c *cfs) unlink(q *cfsQueue, id EntityID) { c.unlinkEntity(q, id) }
