package sched

import "math/bits"

// The real-time class: SCHED_FIFO and SCHED_RR. The first task of the highest
// priority runs; all of them together may use only a part of each period.

// rtEntity is a task's sched_rt_entity.
type rtEntity struct {
	prev, next TaskID // neighbours in the list of its priority
	timeSlice  uint32 // SCHED_RR: ticks left
	onList     bool
	queued     bool // on_rq
}

func (r *rtEntity) init() { r.prev, r.next = NoTask, NoTask }

// rtQueue is a CPU's rt_rq.
type rtQueue struct {
	bitmap    [2]uint64 // priorities that have tasks
	first     [maxRTPrio]TaskID
	last      [maxRTPrio]TaskID
	nrRunning uint32
	time      uint64 // ns used in this period
	runtime   uint64 // ns that may be used
	throttled bool
	counted   bool // its tasks are in the run queue's count (rt_queued)
}

func (r *rtQueue) init() {
	for i := range r.first {
		r.first[i], r.last[i] = NoTask, NoTask
	}
}

// highest is the highest priority that has a task, maxRTPrio if there is none.
func (r *rtQueue) highest() int {
	if r.bitmap[0] != 0 {
		return bits.TrailingZeros64(r.bitmap[0])
	}
	return min(64+bits.TrailingZeros64(r.bitmap[1]), maxRTPrio)
}

// rtList adds a task to the list of its priority.
func (m *Machine) rtList(r *rtQueue, t TaskID, head bool) {
	e, prio := &m.tasks[t].rt, m.tasks[t].prio
	e.onList = true
	if head {
		e.prev, e.next = NoTask, r.first[prio]
	} else {
		e.prev, e.next = r.last[prio], NoTask
	}
	m.rtLink(r, t, int(prio))
	r.bitmap[prio/64] |= 1 << (prio % 64)
}

// rtLink makes a list's ends and neighbours point to a task.
func (m *Machine) rtLink(r *rtQueue, t TaskID, prio int) {
	e := &m.tasks[t].rt
	if e.prev >= 0 {
		m.tasks[e.prev].rt.next = t
	} else {
		r.first[prio] = t
	}
	if e.next >= 0 {
		m.tasks[e.next].rt.prev = t
	} else {
		r.last[prio] = t
	}
}

// rtDelist takes a task out of its list.
func (m *Machine) rtDelist(r *rtQueue, t TaskID) {
	e, prio := &m.tasks[t].rt, m.tasks[t].prio
	if e.prev >= 0 {
		m.tasks[e.prev].rt.next = e.next
	} else {
		r.first[prio] = e.next
	}
	if e.next >= 0 {
		m.tasks[e.next].rt.prev = e.prev
	} else {
		r.last[prio] = e.prev
	}
	e.prev, e.next, e.onList = NoTask, NoTask, false
	if r.first[prio] < 0 {
		r.bitmap[prio/64] &^= 1 << (prio % 64)
	}
}

// rtUncount and rtCount keep the run queue's number of runnable tasks: those of
// a throttled queue are not.
func (m *Machine) rtUncount(rq *runQueue) {
	if rq.rt.counted {
		rq.nrRunning -= rq.rt.nrRunning
		rq.rt.counted = false
	}
}

func (m *Machine) rtCount(rq *runQueue) {
	if !rq.rt.counted && !rq.rt.throttled && rq.rt.nrRunning > 0 {
		rq.nrRunning += rq.rt.nrRunning
		rq.rt.counted = true
	}
}

// moves says that a task changes its place in the list: not if it is only
// taken out to be put back.
func moves(flags int) bool { return flags&(DequeueSave|DequeueMove) != DequeueSave }

func (m *Machine) rtEnqueue(rq *runQueue, t TaskID, flags int) {
	m.probeTask(PointEnqueueTaskRT, rq, t, flags)
	m.waitStart(rq, t)
	if flags&EnqueueWakeup != 0 {
		m.sleepEnd(rq, t)
	}
	m.rtUncount(rq)
	e := &m.tasks[t].rt
	if moves(flags) && !e.onList {
		m.rtList(&rq.rt, t, flags&EnqueueHead != 0)
	}
	e.queued = true
	rq.rt.nrRunning++
	m.rtRunnable++
	m.startRTBandwidth()
	m.rtCount(rq)
}

func (m *Machine) rtDequeue(rq *runQueue, t TaskID, flags int) {
	m.probeTask(PointDequeueTaskRT, rq, t, flags)
	m.updateCurrRT(rq)
	if flags&DequeueSleep != 0 {
		m.sleepStart(rq, t)
	}
	m.rtUncount(rq)
	e := &m.tasks[t].rt
	if moves(flags) && e.onList {
		m.rtDelist(&rq.rt, t)
	}
	e.queued = false
	rq.rt.nrRunning--
	m.rtRunnable--
	m.rtCount(rq)
}

// updateCurrRT charges the running real-time task and the CPU's real-time
// budget (update_curr_rt).
func (m *Machine) updateCurrRT(rq *runQueue) {
	m.probeTask(PointUpdateCurrRT, rq, rq.curr, 0)
	t := &m.tasks[rq.curr]
	if t.class != ClassRT {
		return
	}
	delta := m.chargeTask(rq)
	if delta == 0 || !m.rtLimited() {
		return
	}
	rq.rt.time += delta
	if m.rtExceeded(rq) {
		m.resched(rq)
		m.startRTBandwidth()
	}
}

// rtLimited says that real-time tasks may use only a part of each period. Since
// Linux 6.12 they may use all: the fair server keeps fair tasks from starving.
func (m *Machine) rtLimited() bool { return m.tun.RTRuntimeNS != RuntimeInf && !m.prof.FairServer }

// chargeTask adds the running task's time since the last charge to its account.
func (m *Machine) chargeTask(rq *runQueue) uint64 {
	se := &m.ents[m.tasks[rq.curr].se]
	delta := rq.clockTask - se.execStart
	if int64(delta) <= 0 {
		return 0
	}
	m.traceStat(TraceStatRuntime, rq, rq.curr, delta, 0)
	se.sumExec += delta
	se.execStart = rq.clockTask
	return delta
}

// rtExceeded throttles the real-time tasks of a CPU that have used up their
// part of the period (sched_rt_runtime_exceeded).
func (m *Machine) rtExceeded(rq *runQueue) bool {
	r := &rq.rt
	switch {
	case r.throttled:
		return true
	case r.runtime >= m.tun.RTPeriodNS || r.time <= r.runtime:
		return false
	case m.tun.RTRuntimeNS == 0:
		r.time = 0
		return false
	}
	r.throttled = true
	m.rtUncount(rq)
	return true
}

// startRTBandwidth starts the period timer (start_rt_bandwidth).
func (m *Machine) startRTBandwidth() {
	if m.rtLimited() && !m.rtPeriodActive {
		m.rtPeriodActive = true
		m.want(timerRT, 0)
	}
}

// rtPeriodTimer gives all CPUs their real-time budget back for a number of
// periods; it says whether the timer goes on (do_sched_rt_period_timer).
func (m *Machine) rtPeriodTimer(overrun uint64, clock func(*runQueue)) bool {
	idle, throttled := true, false
	for i := range m.rqs {
		rq := &m.rqs[i]
		r := &rq.rt
		if !m.feat(RTRuntimeShare) {
			r.runtime = m.tun.RTRuntimeNS
		}
		if r.time == 0 && r.nrRunning == 0 {
			continue
		}
		clock(rq)
		enqueue := false
		switch {
		case r.time > 0:
			r.time -= min(r.time, overrun*r.runtime)
			if r.throttled && r.time < r.runtime {
				r.throttled, enqueue = false, true
			}
			idle = idle && r.time == 0 && r.nrRunning == 0
		default:
			idle, enqueue = false, !r.throttled
		}
		throttled = throttled || r.throttled
		if enqueue && r.nrRunning > 0 {
			m.rtCount(rq)
			m.resched(rq)
		}
	}
	if !throttled && m.tun.RTRuntimeNS == RuntimeInf {
		idle = true
	}
	m.rtPeriodActive = !idle
	return !idle
}

func (m *Machine) rtPutPrev(rq *runQueue, t TaskID) {
	m.probeTask(PointPutPrevTaskRT, rq, t, 0)
	if m.tasks[t].rt.queued {
		m.waitStart(rq, t)
	}
	m.updateCurrRT(rq)
	m.updateRTLoad(rq, true)
}

func (m *Machine) rtSetNext(rq *runQueue, t TaskID) {
	m.ents[m.tasks[t].se].execStart = rq.clockTask
	if m.tasks[t].rt.queued {
		m.waitEnd(rq, t)
	}
}

// pickRT chooses the next real-time task, NoTask if there is none or they are
// throttled (pick_next_task_rt).
func (m *Machine) pickRT(rq *runQueue) TaskID {
	m.probeTask(PointPickTaskRT, rq, NoTask, 0)
	prio := rq.rt.highest()
	if !rq.rt.counted || prio >= maxRTPrio {
		return NoTask
	}
	t := rq.rt.first[prio]
	m.startRun(rq, t)
	return t
}

func (m *Machine) rtCheckPreempt(rq *runQueue, t TaskID) {
	m.probeTask(PointCheckPreemptRT, rq, t, 0)
	if m.tasks[t].prio < m.tasks[rq.curr].prio {
		m.resched(rq)
	}
}

func (m *Machine) rtTick(rq *runQueue, t TaskID) {
	m.probeTask(PointTaskTickRT, rq, t, 0)
	m.updateCurrRT(rq)
	m.updateRTLoad(rq, true)
	task := &m.tasks[t]
	if task.policy != PolicyRR {
		return
	}
	if task.rt.timeSlice--; task.rt.timeSlice > 0 {
		return
	}
	task.rt.timeSlice = m.tun.RRTimesliceTicks
	if rq.rt.first[task.prio] != rq.rt.last[task.prio] {
		m.rtRequeue(rq, t)
		m.resched(rq)
	}
}

// rtRequeue moves a task to the end of its list.
func (m *Machine) rtRequeue(rq *runQueue, t TaskID) {
	if e := &m.tasks[t].rt; e.queued && e.onList {
		m.rtDelist(&rq.rt, t)
		m.rtList(&rq.rt, t, false)
	}
}

func (m *Machine) rtYield(rq *runQueue) {
	m.probeTask(PointYieldTaskRT, rq, rq.curr, 0)
	m.rtRequeue(rq, rq.curr)
}

func (m *Machine) rtPrioChanged(rq *runQueue, t TaskID, old int) {
	task := &m.tasks[t]
	switch {
	case task.onRQ != queued:
	case rq.curr == t:
		if int(task.prio) > rq.rt.highest() {
			m.resched(rq)
		}
	case task.prio < m.tasks[rq.curr].prio:
		m.resched(rq)
	}
}

func (m *Machine) rtSwitchedTo(rq *runQueue, t TaskID) {
	m.probeTask(PointSwitchedToRT, rq, t, 0)
	switch {
	case rq.curr == t:
		m.updateRTLoad(rq, false)
	case m.tasks[t].onRQ == queued && m.tasks[t].prio < m.tasks[rq.curr].prio:
		m.resched(rq)
	}
}

// updateRTLoad is the load that real-time tasks are (update_rt_rq_load_avg).
func (m *Machine) updateRTLoad(rq *runQueue, running bool) {
	if m.cfg.LoadTracking {
		rq.avgRT.updateClass(rq.pelt(), running)
	}
}

// updateClass updates the load of a class that has no entities.
func (a *loadAvg) updateClass(now uint64, running bool) {
	r := uint64(b2u(running))
	if a.updateSum(now, r, r<<capacityShift, running) {
		a.updateAvg(1, 1)
	}
}
