package sched

// The deadline class: SCHED_DEADLINE, earliest deadline first with a constant
// bandwidth server for each task. A task that has used up its runtime is
// throttled until its next period.

// Fixed point of bandwidths: parts of 2^20.
const (
	bwShift = 20
	bwUnit  = 1 << bwShift
	dlScale = 10 // products of times are compared in units of 1024 ns
)

// dlEntity is a task's sched_dl_entity.
type dlEntity struct {
	dlRuntime, dlDeadline, dlPeriod uint64 // parameters, ns
	bw, density                     uint64 // runtime/period and runtime/deadline, parts of 2^20
	runtime                         int64  // ns left of the present instance
	deadline                        uint64 // absolute, rq clock
	throttled, yielded              bool
	nonContending, overrun          bool
	reclaim                         bool   // SCHED_FLAG_RECLAIM: takes part in GRUB
	special                         bool   // without limits
	pi                              TaskID // whose parameters it uses, NoTask: its own
	timer                           uint64 // rq clock at which it is replenished, 0: no timer
	inactive                        uint64 // rq clock of its 0-lag time, 0: no timer
	server, active                  bool   // it is a CPU's fair server; the server was started
	deferArmed, deferRunning        bool   // see fairserver.go
}

func (d *dlEntity) init() { d.pi = NoTask }

// implicit says that the deadline is the period's end.
func (d *dlEntity) implicit() bool { return d.dlDeadline == d.dlPeriod }

// nextPeriod is when the next instance begins.
func (d *dlEntity) nextPeriod() uint64 { return d.deadline - d.dlDeadline + d.dlPeriod }

// dlQueue is a CPU's dl_rq.
type dlQueue struct {
	tree      rbTree // of tasks, by deadline
	nrRunning uint32
	earliest  uint64 // deadline, where a laterHeap is kept
	runningBW uint64 // of tasks that are active
	thisBW    uint64 // of tasks that are here
	extraBW   uint64 // not reserved by anybody
	bwRatio   uint64 // 1 / what deadline tasks may use, parts of 2^8
}

func (d *dlQueue) init() { d.tree = emptyTree(false) }

// first is the task with the earliest deadline, NoTask if there is none.
func (d *dlQueue) first() TaskID { return TaskID(d.tree.first) }

func (m *Machine) dlBoosted(t TaskID) bool { return m.tasks[t].dl.pi >= 0 }

// dlParams are the parameters that count: a donor's for a boosted task.
func (m *Machine) dlParams(t TaskID) *dlEntity {
	if pi := m.tasks[t].dl.pi; pi >= 0 {
		return &m.tasks[pi].dl
	}
	return &m.tasks[t].dl
}

func (m *Machine) dlEnqueue(rq *runQueue, t TaskID, flags int) {
	m.probeTask(PointEnqueueTaskDL, rq, t, flags)
	task := &m.tasks[t]
	d := &task.dl
	switch {
	case m.dlBoosted(t):
		if d.throttled {
			d.timer, d.throttled = 0, false
		}
	case task.normalPrio >= maxDLPrio:
		// No deadline task any more: it was boosted, and leaves the class.
		d.throttled = false
		return
	}
	// Since the deadline servers came a task waits, and is no longer asleep, though
	// it is throttled.
	if m.prof.FairServer {
		m.waitStart(rq, t)
		if flags&EnqueueWakeup != 0 {
			m.sleepEnd(rq, t)
		}
	}
	if !d.throttled && !d.implicit() {
		m.dlCheckConstrained(rq, t)
	}
	if task.onRQ == onMigrating || flags&EnqueueRestore != 0 {
		rq.dl.thisBW += d.bw
		rq.dl.runningBW += d.bw
	}
	if d.throttled && flags&EnqueueReplenish == 0 {
		if flags&EnqueueWakeup != 0 {
			m.dlContending(rq, t, flags)
		}
		return
	}
	if !m.prof.FairServer {
		m.waitStart(rq, t)
		if flags&EnqueueWakeup != 0 {
			m.sleepEnd(rq, t)
		}
	}
	m.dlEnqueueEntity(rq, t, flags)
}

func (m *Machine) dlEnqueueEntity(rq *runQueue, t TaskID, flags int) {
	d := &m.tasks[t].dl
	switch {
	case flags&EnqueueWakeup != 0:
		m.dlContending(rq, t, flags)
		m.dlUpdate(rq, t)
	case flags&EnqueueReplenish != 0:
		m.dlReplenish(rq, t)
	case flags&EnqueueRestore != 0 && !m.dlBoosted(t) && before(d.deadline, rq.clock):
		if !d.throttled {
			m.dlNewPeriod(rq, t)
		}
	}
	if m.dlNodes[t].linked {
		return
	}
	m.dlNodes[t].key = d.deadline
	rq.dl.tree.insert(m.dlNodes, int32(t))
	rq.dl.nrRunning++
	m.dlRunnable++
	rq.nrRunning++
	m.dlCame(rq, d.deadline)
}

// dlNewPeriod begins an instance now.
func (m *Machine) dlNewPeriod(rq *runQueue, t TaskID) {
	p := m.dlParams(t)
	m.tasks[t].dl.deadline, m.tasks[t].dl.runtime = rq.clock+p.dlDeadline, int64(p.dlRuntime)
}

// dlOverflow says that the rest of an instance's runtime up to its deadline is
// more than the bandwidth it has (dl_entity_overflow).
func (m *Machine) dlOverflow(rq *runQueue, t TaskID) bool {
	p, d := m.dlParams(t), &m.tasks[t].dl
	left := (p.dlDeadline >> dlScale) * uint64(d.runtime>>dlScale)
	right := ((d.deadline - rq.clock) >> dlScale) * (p.dlRuntime >> dlScale)
	return before(right, left)
}

// dlUpdate gives a woken task a new instance, unless the old one can go on
// (update_dl_entity). A task whose deadline is before its period's end keeps
// its deadline and gets what its density allows.
func (m *Machine) dlUpdate(rq *runQueue, t TaskID) {
	d := &m.tasks[t].dl
	// A task without a deadline so far is late also at time 0, where a
	// simulation starts and no kernel's clock stands.
	late := d.deadline == 0 || before(d.deadline, rq.clock)
	if !late && !m.dlOverflow(rq, t) {
		return
	}
	if !d.implicit() && !late && !m.dlBoosted(t) {
		d.runtime = int64(d.density * (d.deadline - rq.clock) >> bwShift)
		return
	}
	m.dlNewPeriod(rq, t)
}

// maxReplenish bounds how many periods an overrun is made up for.
const maxReplenish = 1 << 20

// dlReplenish gives a task as many periods' runtime as it needs to run again
// (replenish_dl_entity).
func (m *Machine) dlReplenish(rq *runQueue, t TaskID) {
	m.probeTask(PointReplenishDL, rq, t, 0)
	d, p := &m.tasks[t].dl, m.dlParams(t)
	if d.dlDeadline == 0 {
		m.dlNewPeriod(rq, t)
	}
	if d.yielded && d.runtime > 0 {
		d.runtime = 0
	}
	for n := 0; d.runtime <= 0 && n < maxReplenish && p.dlRuntime > 0; n++ {
		d.deadline += p.dlPeriod
		d.runtime += int64(p.dlRuntime)
	}
	if before(d.deadline, rq.clock) {
		m.dlNewPeriod(rq, t)
	}
	d.yielded, d.throttled = false, false
}

// dlCheckConstrained throttles a task that wakes between its deadline and its
// next period (dl_check_constrained_dl).
func (m *Machine) dlCheckConstrained(rq *runQueue, t TaskID) {
	d := &m.tasks[t].dl
	if !before(d.deadline, rq.clock) || !before(rq.clock, d.nextPeriod()) {
		return
	}
	if m.dlBoosted(t) || !m.dlStartTimer(rq, t) {
		return
	}
	d.throttled = true
	d.runtime = min(d.runtime, 0)
}

// dlStartTimer sets the timer that replenishes a task; it says false if that
// time is past already (start_dl_timer).
func (m *Machine) dlStartTimer(rq *runQueue, t TaskID) bool {
	m.probeTask(PointStartDLTimer, rq, t, 0)
	d := &m.tasks[t].dl
	at := d.nextPeriod()
	if d.deferArmed {
		at = d.deadline - uint64(d.runtime)
	}
	if int64(at-rq.clock)/1000 < 0 {
		return false
	}
	if d.timer == 0 {
		d.timer = max(at, 1)
		m.want(timerDL, int32(t))
	}
	return true
}

// dlTimer is the replenishment timer (dl_task_timer).
func (m *Machine) dlTimer(rq *runQueue, t TaskID) {
	if t == rq.idle {
		// The server's timer may have been set anew since this one.
		if d := m.server(rq); d.timer != 0 && !before(rq.clock, d.timer) {
			m.serverTimer(rq)
		}
		return
	}
	task := &m.tasks[t]
	task.dl.timer = 0
	switch {
	case task.class != ClassDeadline || m.dlBoosted(t) || !task.dl.throttled:
	case task.onRQ != queued:
		m.dlReplenish(rq, t)
	default:
		m.dlEnqueue(rq, t, EnqueueReplenish)
		if m.tasks[rq.curr].class == ClassDeadline {
			m.dlCheckPreempt(rq, t)
		} else {
			m.resched(rq)
		}
	}
}

func (m *Machine) dlUnlink(rq *runQueue, t TaskID) {
	if m.dlNodes[t].linked {
		rq.dl.tree.erase(m.dlNodes, int32(t))
		rq.dl.nrRunning--
		m.dlRunnable--
		rq.nrRunning--
		m.dlWent(rq)
	}
}

func (m *Machine) dlDequeue(rq *runQueue, t TaskID, flags int) {
	m.probeTask(PointDequeueTaskDL, rq, t, flags)
	m.updateCurrDL(rq)
	task := &m.tasks[t]
	if flags&DequeueSleep != 0 && !m.prof.FairServer {
		m.sleepStart(rq, t)
	}
	m.dlUnlink(rq, t)
	if task.onRQ == onMigrating || flags&DequeueSave != 0 {
		subPositive(&rq.dl.runningBW, task.dl.bw)
		subPositive(&rq.dl.thisBW, task.dl.bw)
	}
	if flags&DequeueSleep != 0 {
		m.dlNonContending(rq, t)
	}
}

// updateCurrDL charges the running deadline task (update_curr_dl).
func (m *Machine) updateCurrDL(rq *runQueue) {
	m.probeTask(PointUpdateCurrDL, rq, rq.curr, 0)
	t := rq.curr
	d := &m.tasks[t].dl
	if m.tasks[t].class != ClassDeadline || !m.dlNodes[t].linked {
		return
	}
	delta := m.chargeTask(rq)
	if delta == 0 && !d.yielded || d.special {
		return
	}
	d.runtime -= int64(m.dlScaled(rq, d, delta))
	if d.runtime <= 0 || d.yielded {
		d.throttled = true
		d.overrun = d.runtime <= 0
		m.dlUnlink(rq, t)
		if m.dlBoosted(t) || !m.dlStartTimer(rq, t) {
			m.dlEnqueue(rq, t, EnqueueReplenish)
		}
		if rq.dl.first() != t {
			m.resched(rq)
		}
	}
	if m.rtLimited() && (m.rtPeriodActive || rq.rt.time < m.tun.RTRuntimeNS) {
		rq.rt.time += delta
	}
}

// dlScaled is what a time costs a task: with GRUB only the part that active
// tasks reserve (grub_reclaim).
func (m *Machine) dlScaled(rq *runQueue, d *dlEntity, delta uint64) uint64 {
	if !d.reclaim {
		return delta
	}
	inactive := rq.dl.thisBW - rq.dl.runningBW
	least := d.bw * rq.dl.bwRatio >> 8
	active := bwUnit - inactive - rq.dl.extraBW
	if inactive+rq.dl.extraBW > bwUnit-least {
		active = least
	}
	return delta * active >> bwShift
}

// dlContending counts a woken task's bandwidth as active again
// (task_contending).
func (m *Machine) dlContending(rq *runQueue, t TaskID, flags int) {
	d := &m.tasks[t].dl
	if d.dlRuntime == 0 {
		return
	}
	if flags&EnqueueMigrated != 0 {
		rq.dl.thisBW += d.bw
	}
	if d.nonContending {
		d.nonContending, d.inactive = false, 0
		return
	}
	rq.dl.runningBW += d.bw
}

// dlNonContending counts a sleeping task's bandwidth as active until its 0-lag
// time (task_non_contending).
func (m *Machine) dlNonContending(rq *runQueue, t TaskID) {
	d := &m.tasks[t].dl
	if d.dlRuntime == 0 || d.special {
		return
	}
	zeroLag := int64(d.deadline) - d.runtime*int64(d.dlPeriod)/int64(d.dlRuntime) - int64(rq.clock)
	if zeroLag < 0 || d.inactive != 0 {
		left, dead := m.leftDL(t), m.tasks[t].dead()
		if !left {
			subPositive(&rq.dl.runningBW, d.bw)
		}
		if dead {
			subPositive(&rq.dl.thisBW, d.bw)
		}
		if left || dead {
			d.clear()
			m.updateExtra()
		}
		return
	}
	d.nonContending = true
	d.inactive = max(rq.clock+uint64(zeroLag), 1)
	m.want(timerInactive, int32(t))
}

// dlInactive is the timer of the 0-lag time (inactive_task_timer): a task that
// is no deadline task any more loses its parameters then.
func (m *Machine) dlInactive(rq *runQueue, t TaskID) {
	d, dead := &m.tasks[t].dl, m.tasks[t].dead()
	d.inactive = 0
	switch {
	case m.leftDL(t) || dead:
		if dead && d.nonContending {
			subPositive(&rq.dl.runningBW, d.bw)
			subPositive(&rq.dl.thisBW, d.bw)
		}
		d.clear()
		m.updateExtra()
	case d.nonContending:
		subPositive(&rq.dl.runningBW, d.bw)
		d.nonContending = false
	}
}

// leftDL says that what has deadline parameters is no deadline task any more; a
// fair server never was one.
func (m *Machine) leftDL(t TaskID) bool {
	return m.tasks[t].class != ClassDeadline && !m.tasks[t].dl.server
}

// dead says that a task has ended.
func (t *task) dead() bool { return t.state&(StateDead|StateZombie|StateExitDead) != 0 }

// clear forgets a task's parameters, but not what is left of its instance
// (__dl_clear_params).
func (d *dlEntity) clear() {
	d.dlRuntime, d.dlDeadline, d.dlPeriod, d.bw, d.density, d.reclaim = 0, 0, 0, 0, 0, false
	d.throttled, d.yielded, d.nonContending, d.overrun, d.pi = false, false, false, false, NoTask
}

// dlMigrate takes a waking task's bandwidth off the CPU that it leaves
// (migrate_task_rq_dl).
func (m *Machine) dlMigrate(rq *runQueue, t TaskID) {
	d := &m.tasks[t].dl
	if m.tasks[t].state != StateWaking {
		return
	}
	if d.nonContending {
		subPositive(&rq.dl.runningBW, d.bw)
		d.nonContending, d.inactive = false, 0
	}
	subPositive(&rq.dl.thisBW, d.bw)
}

func (m *Machine) dlPutPrev(rq *runQueue, t TaskID) {
	if m.dlNodes[t].linked {
		m.waitStart(rq, t)
	}
	m.updateCurrDL(rq)
	m.updateDLLoad(rq, true)
}

func (m *Machine) dlSetNext(rq *runQueue, t TaskID) {
	m.ents[m.tasks[t].se].execStart = rq.clockTask
	if m.dlNodes[t].linked {
		m.waitEnd(rq, t)
	}
}

// pickDL chooses the task with the earliest deadline, NoTask if there is none
// (pick_next_task_dl).
func (m *Machine) pickDL(rq *runQueue) TaskID {
	m.probeTask(PointPickTaskDL, rq, NoTask, 0)
	t := rq.dl.first()
	for t == rq.idle && t >= 0 {
		if fair := m.serverPick(rq); fair >= 0 {
			m.putPrevSetNext(rq, fair)
			return fair
		}
		t = rq.dl.first()
	}
	if t >= 0 {
		m.startRun(rq, t)
	}
	return t
}

func (m *Machine) dlCheckPreempt(rq *runQueue, t TaskID) {
	m.probeTask(PointCheckPreemptDL, rq, t, 0)
	if before(m.tasks[t].dl.deadline, m.tasks[rq.curr].dl.deadline) || m.tasks[t].dl.special {
		m.resched(rq)
	}
}

func (m *Machine) dlTick(rq *runQueue, t TaskID) {
	m.probeTask(PointTaskTickDL, rq, t, 0)
	m.updateCurrDL(rq)
	m.updateDLLoad(rq, true)
}

// dlYield gives the rest of the instance up (yield_task_dl).
func (m *Machine) dlYield(rq *runQueue) {
	m.tasks[rq.curr].dl.yielded = true
	m.updateCurrDL(rq)
}

// dlSwitchedTo is switched_to_dl.
func (m *Machine) dlSwitchedTo(rq *runQueue, t TaskID) {
	m.tasks[t].dl.inactive = 0
	switch {
	case m.tasks[t].onRQ != queued:
		rq.dl.thisBW += m.tasks[t].dl.bw
	case rq.curr == t:
		m.updateDLLoad(rq, false)
	case m.tasks[rq.curr].class == ClassDeadline:
		m.dlCheckPreempt(rq, t)
	default:
		m.resched(rq)
	}
}

// dlSwitchedFrom is switched_from_dl.
func (m *Machine) dlSwitchedFrom(rq *runQueue, t TaskID) {
	d := &m.tasks[t].dl
	if m.tasks[t].onRQ == queued && d.dlRuntime != 0 {
		m.dlNonContending(rq, t)
	} else {
		if d.nonContending {
			subPositive(&rq.dl.runningBW, d.bw)
		}
		subPositive(&rq.dl.thisBW, d.bw)
	}
	d.nonContending = false
}

// dlPrioChanged is prio_changed_dl.
func (m *Machine) dlPrioChanged(rq *runQueue, t TaskID) {
	if m.tasks[t].onRQ != queued && rq.curr != t {
		return
	}
	earliest := uint64(0) // stands for none, which is earlier than all
	if first := rq.dl.first(); first >= 0 {
		earliest = m.tasks[first].dl.deadline
	}
	if before(earliest, m.tasks[t].dl.deadline) {
		m.resched(rq)
	}
}

// updateDLLoad is the load that deadline tasks are (update_dl_rq_load_avg).
func (m *Machine) updateDLLoad(rq *runQueue, running bool) {
	if m.cfg.LoadTracking {
		rq.avgDL.updateClass(rq.pelt(), running)
	}
}
