package sched

// bandwidth is a group's cpu.max (struct cfs_bandwidth): a pool of runtime that
// is refilled each period and from which the group's queues take slices.
type bandwidth struct {
	quota, period, burst uint64 // ns; quota RuntimeInf: no limit
	runtime              uint64 // left in the pool
	snap                 uint64 // runtime after the last refill
	idle                 bool   // nothing ran since the last refill
	active               bool   // the period timer runs
	slackStarted         bool
	first, last          QueueID // throttled queues, oldest first
	expires              uint64  // ns: when the timer fires next
	nrPeriods            uint64
	nrThrottled          uint64
	nrBurst              uint64
	throttledTime        uint64
	burstTime            uint64
}

// defaultPeriod is a new group's period, and what minRuntime a queue keeps when
// it gives the rest back.
const (
	defaultPeriod = 100 * msec
	minRuntime    = 1 * msec
)

func newBandwidth() bandwidth {
	return bandwidth{quota: RuntimeInf, period: defaultPeriod, first: None, last: None}
}

// refill adds a period's quota; what was saved is kept up to the burst
// (__refill_cfs_bandwidth_runtime).
func (b *bandwidth) refill() {
	if b.quota == RuntimeInf {
		return
	}
	b.runtime += b.quota
	if over := int64(b.snap - b.runtime); over > 0 {
		b.burstTime += uint64(over)
		b.nrBurst++
	}
	b.runtime = min(b.runtime, b.quota+b.burst)
	b.snap = b.runtime
}

// assign moves runtime from the pool to a queue until that has target ns; it
// says whether the queue may run.
func (b *bandwidth) assign(q *cfsQueue, target uint64) bool {
	want := uint64(int64(target) - q.runtimeRemaining)
	switch {
	case b.quota == RuntimeInf:
	default:
		b.active = true
		if want = min(want, b.runtime); b.runtime > 0 {
			b.runtime -= want
			b.idle = false
		}
	}
	q.runtimeRemaining += int64(want)
	return q.runtimeRemaining > 0
}

// assign gives a queue runtime of its group's pool and starts the pool's timer.
func (m *Machine) assign(q *cfsQueue, target uint64) bool {
	b := m.pool(q)
	idle := !b.active
	ok := b.assign(q, target)
	if idle && b.active {
		m.want(timerPool, int32(q.group))
	}
	return ok
}

func (m *Machine) pool(q *cfsQueue) *bandwidth { return &m.groups[q.group].bw }

// accountRuntime charges a queue's limited runtime (account_cfs_rq_runtime).
func (m *Machine) accountRuntime(q *cfsQueue, delta uint64) {
	if !q.runtimeEnabled {
		return
	}
	m.probeValue(PointAccountRuntime, q, None, delta)
	q.runtimeRemaining -= int64(delta)
	if q.runtimeRemaining > 0 || q.throttled {
		return
	}
	if !m.assign(q, m.tun.BandwidthSliceNS) && q.curr >= 0 {
		m.reschedLazy(m.rqOf(q))
	}
}

// checkRuntime throttles a queue that has used up its runtime
// (check_cfs_rq_runtime); it says whether the queue is throttled.
func (m *Machine) checkRuntime(q *cfsQueue) bool {
	if !q.runtimeEnabled || q.runtimeRemaining > 0 {
		return false
	}
	return q.throttled || m.throttle(q)
}

// checkEnqueueThrottle throttles a group that wakes up with nothing left.
func (m *Machine) checkEnqueueThrottle(q *cfsQueue) {
	if !q.runtimeEnabled || q.curr >= 0 || q.throttled {
		return
	}
	m.accountRuntime(q, 0)
	if q.runtimeRemaining <= 0 {
		m.throttle(q)
	}
}

// walkGroups calls f for a group's queue on a CPU and for those of all groups
// below it.
func (m *Machine) walkGroups(g GroupID, cpu CPU, f func(*cfsQueue)) {
	f(&m.queues[m.groups[g].queues[cpu]])
	for _, child := range m.groups[g].children {
		m.walkGroups(child, cpu, f)
	}
}

// throttle takes a queue that ran out of runtime off its CPU (throttle_cfs_rq).
// It says false if the pool had a nanosecond after all.
func (m *Machine) throttle(q *cfsQueue) bool {
	m.probeQueue(PointThrottle, q, None, 0)
	if !m.prof.OldFair && m.assign(q, 1) {
		return false
	}
	b := m.pool(q)
	m.pushThrottled(b, q)
	rq := m.rqOf(q)
	m.walkGroups(q.group, q.cpu, func(q *cfsQueue) {
		if q.throttleCount == 0 {
			q.throttledPelt = m.throttleClock(rq)
		}
		q.throttleCount++
	})
	if m.removeTasks(q) {
		rq.nrRunning -= q.hNrQueued
	}
	q.throttled = true
	if q.nrRunning > 0 || !m.prof.EEVDF {
		q.throttledClock = rq.clock
	}
	return true
}

// throttleFlags are the flags with which a throttled queue's entity is taken
// out: at once, though it may have had more than its share.
func (m *Machine) throttleFlags(se *entity) int {
	flags := DequeueSleep
	if m.prof.DelayedDequeue {
		flags |= DequeueSpecial
	}
	if se.delayed {
		flags |= DequeueDelayed
	}
	return flags
}

// removeTasks takes a throttled queue's entity and its tasks out of the queues
// above; it says whether it came up to the root.
func (m *Machine) removeTasks(q *cfsQueue) bool {
	tasks, runnable, idle := q.hNrQueued, q.hNrRunning, q.idleHNrRunning
	id, dequeue := q.entity, true
	for ; id >= 0; id = m.ents[id].parent {
		se := &m.ents[id]
		above := m.queueOf(se)
		if !se.onRQ {
			return false
		}
		if dequeue {
			m.fair.dequeueEntity(above, id, m.throttleFlags(se))
		} else if !m.prof.OldFair {
			m.updateLoadAvg(above, id, 0)
			m.updateRunnable(se)
		}
		if m.queues[se.myQ].idle {
			idle = q.hNrQueued
		}
		above.hNrQueued -= tasks
		above.hNrRunning -= runnable
		above.idleHNrRunning -= idle
		dequeue = dequeue && above.load.weight == 0
	}
	return true
}

func (m *Machine) pushThrottled(b *bandwidth, q *cfsQueue) {
	q.throttledPrev, q.throttledNext = b.last, None
	if b.last >= 0 {
		m.queues[b.last].throttledNext = q.id
	} else {
		b.first = q.id
	}
	b.last = q.id
}

func (m *Machine) dropThrottled(b *bandwidth, q *cfsQueue) {
	if q.throttledPrev >= 0 {
		m.queues[q.throttledPrev].throttledNext = q.throttledNext
	} else {
		b.first = q.throttledNext
	}
	if q.throttledNext >= 0 {
		m.queues[q.throttledNext].throttledPrev = q.throttledPrev
	} else {
		b.last = q.throttledPrev
	}
	q.throttledPrev, q.throttledNext = None, None
}

// unthrottle lets a queue run again (unthrottle_cfs_rq).
func (m *Machine) unthrottle(q *cfsQueue) {
	m.probeQueue(PointUnthrottle, q, None, 0)
	rq, b := m.rqOf(q), m.pool(q)
	q.throttled = false
	if q.throttledClock != 0 {
		b.throttledTime += rq.clock - q.throttledClock
		q.throttledClock = 0
	}
	m.dropThrottled(b, q)
	m.walkGroups(q.group, q.cpu, func(q *cfsQueue) {
		if q.throttleCount--; q.throttleCount == 0 {
			q.throttledPeltTime += m.throttleClock(rq) - q.throttledPelt
		}
	})
	first := m.queues[rq.root].hNrQueued == 0
	if q.load.weight != 0 && m.addTasksAbove(q) {
		if first && m.prof.FairServer {
			m.serverStart(rq)
		}
		rq.nrRunning += q.hNrQueued
	}
	if rq.curr == rq.idle && m.queues[rq.root].nrRunning > 0 {
		m.resched(rq)
	}
}

// addTasksAbove puts an unthrottled queue's entity and tasks back into the
// queues above; it says whether it came up to the root.
func (m *Machine) addTasksAbove(q *cfsQueue) bool {
	tasks, runnable, idle := q.hNrQueued, q.hNrRunning, q.idleHNrRunning
	id, enqueue := q.entity, true
	for ; id >= 0; id = m.ents[id].parent {
		se := &m.ents[id]
		above := m.queueOf(se)
		if enqueue && se.delayed {
			m.fair.dequeueEntity(above, id, DequeueSleep|DequeueDelayed)
		}
		enqueue = enqueue && !se.onRQ
		if enqueue {
			m.fair.enqueueEntity(above, id, EnqueueWakeup)
		} else if !m.prof.OldFair {
			m.updateLoadAvg(above, id, updateTG)
			m.updateRunnable(se)
		}
		if m.queues[se.myQ].idle {
			idle = q.hNrQueued
		}
		above.hNrQueued += tasks
		above.hNrRunning += runnable
		above.idleHNrRunning += idle
		if above.throttled {
			return false
		}
	}
	return true
}

// periodTimer is a pool's period timer after a number of periods
// (do_sched_cfs_period_timer); it says whether the timer goes on. clock updates
// a CPU's clocks before its queue is let run.
func (m *Machine) periodTimer(g GroupID, overrun uint64, clock func(*runQueue)) bool {
	b := &m.groups[g].bw
	if b.quota == RuntimeInf {
		b.active = false
		return false
	}
	b.nrPeriods += overrun
	b.refill()
	if b.first < 0 {
		if b.idle {
			b.active = false
			return false
		}
		b.idle = true
		return true
	}
	b.nrThrottled += overrun
	for b.first >= 0 && b.runtime > 0 {
		m.distribute(b, clock)
	}
	b.idle = false
	return true
}

// distribute gives every throttled queue what it owes and 1 ns more, as long as
// there is runtime (distribute_cfs_runtime).
func (m *Machine) distribute(b *bandwidth, clock func(*runQueue)) {
	m.probe = Probe{Point: PointDistribute, Queue: None, Entity: None, Task: NoTask, Value: b.runtime}
	if m.hooks.Probe != nil {
		m.hooks.Probe(&m.probe)
	}
	for id := b.first; id >= 0; {
		q := &m.queues[id]
		id = q.throttledNext
		give := min(uint64(1-q.runtimeRemaining), b.runtime)
		b.runtime -= give
		left := b.runtime
		if q.runtimeRemaining += int64(give); q.runtimeRemaining > 0 {
			clock(m.rqOf(q))
			m.unthrottle(q)
		}
		if left == 0 {
			return
		}
	}
}

// returnRuntime gives back what a queue that became empty does not need, but
// for minRuntime (return_cfs_rq_runtime).
func (m *Machine) returnRuntime(q *cfsQueue) {
	if !q.runtimeEnabled || q.nrRunning > 0 {
		return
	}
	slack := q.runtimeRemaining - minRuntime
	if slack <= 0 {
		return
	}
	if b := m.pool(q); b.quota != RuntimeInf {
		b.runtime += uint64(slack)
		if b.runtime > m.tun.BandwidthSliceNS && b.first >= 0 {
			if !b.slackStarted {
				m.want(timerSlack, int32(q.group))
			}
			b.slackStarted = true
		}
	}
	q.runtimeRemaining -= slack
}
