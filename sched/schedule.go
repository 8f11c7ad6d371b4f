package sched

// The scheduler's core operations that are made of several steps: picking the
// next task, changing a task's attributes. They keep the kernel's order.

// Schedule chooses a CPU's next task and makes it the running one
// (__schedule): a task that goes to sleep must have been dequeued before. It
// returns the task that ran and the one that runs.
func (k Kernel) Schedule(cpu CPU) (prev, next TaskID) {
	m, rq := k.m, &k.m.rqs[cpu]
	prev = rq.curr
	next = m.pickNext(rq)
	m.recentTouch(next)
	k.Switch(cpu, next)
	return prev, next
}

// pickNext is pick_next_task: if all runnable tasks are fair ones, that class
// chooses at once, else each class is asked from the highest down.
func (m *Machine) pickNext(rq *runQueue) TaskID {
	prev := rq.curr
	onlyFair := m.tasks[prev].class <= ClassFair && rq.nrRunning == m.queues[rq.root].hNrQueued
	switch {
	case m.prof.DelayedDequeue:
		return m.pickThenPut(rq, onlyFair)
	case onlyFair && m.queues[rq.root].nrRunning > 0:
		if t := m.fair.pickNext(rq, prev); t >= 0 {
			return t
		}
		m.putPrev(rq, prev)
		return rq.idle
	}
	m.putPrev(rq, prev)
	if rq.stop >= 0 {
		return rq.stop
	}
	if t := m.pickDL(rq); t >= 0 {
		return t
	}
	if t := m.pickRT(rq); t >= 0 {
		return t
	}
	if t := m.fair.pickNext(rq, NoTask); t >= 0 {
		return t
	}
	return rq.idle
}

// pickThenPut is pickNext of Linux 6.12: each class puts the task that ran back
// itself, once it has found one.
func (m *Machine) pickThenPut(rq *runQueue, onlyFair bool) TaskID {
	if !onlyFair {
		if rq.stop >= 0 {
			m.putPrevSetNext(rq, rq.stop)
			return rq.stop
		}
		if t := m.pickDL(rq); t >= 0 {
			return t
		}
		if t := m.pickRT(rq); t >= 0 {
			return t
		}
	}
	t := m.fair.pickNext(rq, rq.curr)
	if t < 0 {
		t = rq.idle
		m.putPrevSetNext(rq, t)
	}
	return t
}

// leaveDelayed takes a task that sleeps and is still queued out of the fair
// class before it gets another class: only that class knows such tasks.
func (m *Machine) leaveDelayed(t TaskID, next Class) {
	if m.ents[m.tasks[t].se].delayed && next != ClassFair {
		m.dequeue(m.rqOfTask(t), t, DequeueSleep|DequeueDelayed|DequeueNoClock)
	}
}

// change takes a task out of its queue, changes it, and puts it back, as every
// system call does that sets a task's attributes. tail are the flags besides
// SAVE and RESTORE.
func (m *Machine) change(t TaskID, flags int, f func()) {
	rq, task := m.rqOfTask(t), &m.tasks[t]
	runnable, running := task.onRQ == queued, rq.curr == t
	if runnable {
		m.dequeue(rq, t, DequeueSave|DequeueNoClock|flags)
	}
	if running {
		m.putPrev(rq, t)
	}
	f()
	if runnable {
		m.enqueue(rq, t, EnqueueRestore|EnqueueNoClock|flags)
	}
	if running {
		m.setNextTask(rq, t)
	}
}

// SetNice gives a task another nice value (set_user_nice). Tasks of the
// real-time and deadline classes keep it for later.
func (k Kernel) SetNice(t TaskID, nice int) error {
	task, err := k.task("set_user_nice", t)
	switch {
	case err != nil:
		return err
	case nice < MinNice || nice > MaxNice:
		return &ConfigError{Field: "Nice", Value: int64(nice), Want: "-20 to 19"}
	case prioToNice(int(task.staticPrio)) == nice:
		return nil
	case !task.policy.fair():
		task.staticPrio = int16(niceToPrio(nice))
		return nil
	}
	old := int(task.prio)
	k.m.change(t, 0, func() {
		task.staticPrio = int16(niceToPrio(nice))
		k.Reweight(t, task.class == ClassFair && task.policy != PolicyIdle)
		boosted := task.prio != task.normalPrio
		task.normalPrio = task.staticPrio
		if !boosted {
			task.prio = task.normalPrio
		}
	})
	k.PrioChanged(t, old)
	return nil
}

// Attr are the attributes that sched_setattr sets. Times are ns.
type Attr struct {
	Policy                    Policy
	Nice                      int    // SCHED_NORMAL, SCHED_BATCH, SCHED_IDLE
	RTPriority                int    // SCHED_FIFO, SCHED_RR: 1 to 99
	Runtime, Deadline, Period uint64 // SCHED_DEADLINE; Period 0: Deadline. Fair policies of EEVDF: Runtime is the slice asked for
	Reclaim                   bool   // SCHED_DEADLINE: GRUB
	// Clamp says which of UtilMin and UtilMax, parts of 1024 or -1 for the default,
	// are set, on a machine with Config.ClampBuckets.
	Clamp            ClampFlags
	UtilMin, UtilMax int32
}

// SetAttr gives a task another policy or other parameters
// (__sched_setscheduler). A deadline task that the CPUs have no bandwidth for is
// refused with an [AdmissionError].
func (k Kernel) SetAttr(t TaskID, a Attr) error {
	task, err := k.task("sched_setattr", t)
	if err != nil {
		return err
	}
	if err := k.m.checkAttr(t, &a); err != nil {
		return err
	}
	if err := k.m.checkClamps(t, &a); err != nil {
		return err
	}
	if a.Policy.rt() || a.Policy == PolicyDeadline {
		a.Nice = prioToNice(int(task.staticPrio))
	}
	oldPrio, oldClass, boost := int(task.prio), task.class, maxPrio
	if task.prio < task.normalPrio {
		boost = int(task.prio)
	}
	if !a.Policy.fair() || boost < maxRTPrio {
		k.m.leaveDelayed(t, ClassRT)
	}
	k.m.change(t, DequeueMove, func() {
		if a.Policy.fair() {
			k.SetSlice(t, a.Runtime)
		}
		if a.Policy.fair() && oldClass == ClassFair {
			task.policy, task.staticPrio = a.Policy, int16(niceToPrio(a.Nice))
			k.Reweight(t, true)
		}
		// The parameters were checked above.
		_ = k.SetPriority(t, a.Policy, a.Nice, a.RTPriority, boost)
		if a.Policy == PolicyDeadline {
			k.SetDeadline(t, a.Runtime, a.Deadline, a.Period, a.Reclaim)
		}
		k.Reweight(t, false)
		k.m.setClamps(t, &a)
	})
	k.m.classChanged(k, t, oldClass, oldPrio)
	k.m.updateExtra()
	return nil
}

// updateExtra computes what no deadline task has reserved, which GRUB may give
// to the active ones (init_dl_rq_bw_ratio, __dl_add).
func (m *Machine) updateExtra() {
	extra, r := uint64(bwUnit), uint64(1<<8)
	if m.tun.RTRuntimeNS != RuntimeInf && m.tun.RTRuntimeNS > 0 {
		extra = ratio(m.tun.RTPeriodNS, m.tun.RTRuntimeNS)
		r = ratio(m.tun.RTRuntimeNS, m.tun.RTPeriodNS) >> (bwShift - 8)
	}
	for i := range m.tasks {
		// A task that has left the class keeps its part up to its 0-lag time.
		if t := &m.tasks[i]; !t.dl.server && !t.dl.special {
			subPositive(&extra, t.dl.bw/uint64(len(m.rqs)))
		}
	}
	for i := range m.rqs {
		m.rqs[i].dl.extraBW, m.rqs[i].dl.bwRatio = extra, r
	}
}

// classChanged tells the classes that a task came or went, or its class that
// its priority is another (check_class_changed).
func (m *Machine) classChanged(k Kernel, t TaskID, old Class, oldPrio int) {
	switch {
	case m.tasks[t].class != old:
		k.SwitchedFrom(t, old)
		k.SwitchedTo(t)
	case int(m.tasks[t].prio) != oldPrio || old == ClassDeadline:
		k.PrioChanged(t, oldPrio)
	}
}

// checkAttr refuses what the kernel refuses with EINVAL or EBUSY.
func (m *Machine) checkAttr(t TaskID, a *Attr) error {
	if a.Policy != PolicyDeadline {
		return m.checkInfo(&TaskInfo{Policy: a.Policy, Nice: a.Nice, RTPriority: a.RTPriority})
	}
	if a.Period == 0 {
		a.Period = a.Deadline
	}
	switch {
	case a.Runtime < 1<<dlScale:
		return &ConfigError{Field: "Runtime", Value: int64(a.Runtime), Want: "at least 1024 ns"}
	case a.Deadline == 0 || a.Deadline > a.Period || a.Runtime > a.Deadline:
		return &ConfigError{Field: "Deadline", Value: int64(a.Deadline), Want: "runtime <= deadline <= period"}
	case a.Period < m.tun.DLPeriodMinNS || a.Period > m.tun.DLPeriodMaxNS:
		return &ConfigError{Field: "Period", Value: int64(a.Period), Want: "within sched_deadline_period_min_us and _max_us"}
	}
	return m.admit(t, ratio(a.Period, a.Runtime))
}

// AdmissionError says that deadline tasks would reserve more than the CPUs have
// (EBUSY of sched_setattr). Bandwidths are parts of 2^20 of one CPU.
type AdmissionError struct {
	Reserved uint64 // by the others
	Wanted   uint64
	Limit    uint64 // of all CPUs together
}

// Error tells the bandwidths.
func (e *AdmissionError) Error() string {
	return "sched: sched_setattr: no bandwidth for the deadline task: " + percent(e.Reserved) + " reserved, " + percent(e.Wanted) +
		" wanted, limit " + percent(e.Limit)
}

// percent prints a bandwidth as per cent of a CPU with two decimals.
func percent(bw uint64) string {
	n := (bw*10000 + bwUnit/2) >> bwShift
	digits := []byte{byte('0' + n/10%10), byte('0' + n%10)}
	whole := n / 100
	var buf [20]byte
	i := len(buf)
	for first := true; first || whole > 0; first = false {
		i--
		buf[i] = byte('0' + whole%10)
		whole /= 10
	}
	return string(buf[i:]) + "." + string(digits) + "%"
}

// admit checks that the deadline tasks' bandwidths together stay below what
// real-time and deadline tasks may use (sched_dl_overflow).
func (m *Machine) admit(t TaskID, bw uint64) error {
	if m.tun.RTRuntimeNS == RuntimeInf {
		return nil
	}
	sum := uint64(0)
	for i := range m.tasks {
		if TaskID(i) != t && m.tasks[i].policy == PolicyDeadline && m.tasks[i].state&StateDead == 0 {
			sum += m.tasks[i].dl.bw
		}
	}
	limit := ratio(m.tun.RTPeriodNS, m.tun.RTRuntimeNS) * uint64(len(m.rqs))
	if sum+bw > limit {
		return &AdmissionError{Reserved: sum, Wanted: bw, Limit: limit}
	}
	return nil
}

// SetDonor gives a task the priority of another one that waits for it, or takes
// it back with NoTask (rt_mutex_setprio): priority inheritance. Locks call it.
func (k Kernel) SetDonor(t, donor TaskID) error {
	task, err := k.task("rt_mutex_setprio", t)
	if err != nil {
		return err
	}
	if donor != NoTask {
		if _, err := k.task("rt_mutex_setprio", donor); err != nil {
			return err
		}
	}
	prio := k.m.donated(t, donor)
	if prio == task.prio && prio >= maxDLPrio {
		return nil
	}
	k.m.leaveDelayed(t, classOf(int(prio)))
	old, oldClass, flags := int(task.prio), task.class, DequeueMove
	if old == int(prio) {
		flags = 0
	}
	rq := k.m.rqOfTask(t)
	runnable, running := task.onRQ == queued, rq.curr == t
	if runnable {
		k.m.dequeue(rq, t, DequeueSave|DequeueNoClock|flags)
	}
	if running {
		k.m.putPrev(rq, t)
	}
	flags |= k.m.boost(t, donor, prio)
	if runnable {
		k.m.enqueue(rq, t, EnqueueRestore|EnqueueNoClock|flags)
	}
	if running {
		k.m.setNextTask(rq, t)
	}
	k.m.classChanged(k, t, oldClass, old)
	return nil
}

// Boost is what [Kernel.SetDonor] does between taking a task out of its queue
// and putting it back: it gives it the donor's priority, if that is higher than
// its own, and with it the class, and a deadline task's parameters.
func (k Kernel) Boost(t, donor TaskID) error {
	if _, err := k.task("rt_mutex_setprio", t); err != nil {
		return err
	}
	if donor != NoTask {
		if _, err := k.task("rt_mutex_setprio", donor); err != nil {
			return err
		}
	}
	k.m.boost(t, donor, k.m.donated(t, donor))
	return nil
}

// donated is a task's priority with a donor.
func (m *Machine) donated(t, donor TaskID) int16 {
	prio := m.tasks[t].normalPrio
	if donor != NoTask {
		prio = min(prio, m.tasks[donor].prio)
	}
	return prio
}

// boost sets a task's priority and whose deadline parameters count for it; it
// returns the flags with which the task is put back.
func (m *Machine) boost(t, donor TaskID, prio int16) (flags int) {
	task := &m.tasks[t]
	old := task.prio
	switch {
	case prio < maxDLPrio:
		own := task.normalPrio < maxDLPrio
		if task.dl.pi = NoTask; !own || donor != NoTask && m.tasks[donor].prio < maxDLPrio && m.dlEarlier(donor, t) {
			task.dl.pi = m.dlGiver(donor)
			flags = EnqueueReplenish
		}
	default:
		task.dl.pi = NoTask
		if prio < maxRTPrio && old < prio {
			flags = EnqueueHead
		}
	}
	task.prio, task.class = prio, classOf(int(prio))
	return flags
}

// dlEarlier says that a task's deadline comes before another one's
// (dl_entity_preempt).
func (m *Machine) dlEarlier(a, b TaskID) bool {
	return m.tasks[a].dl.special || before(m.tasks[a].dl.deadline, m.tasks[b].dl.deadline)
}

// dlGiver is the task whose parameters a donor uses: its own donor's if it has
// one.
func (m *Machine) dlGiver(donor TaskID) TaskID {
	if pi := m.tasks[donor].dl.pi; pi >= 0 {
		return pi
	}
	return donor
}

// MoveTask puts a task into another group (sched_move_task).
func (k Kernel) MoveTask(t TaskID, g GroupID) error {
	task, err := k.task("sched_move_task", t)
	switch {
	case err != nil:
		return err
	case !known(k.m.groups, g):
		return stepError("sched_move_task", t, "there is no such group")
	}
	running := k.m.rqOfTask(t).curr == t
	k.m.change(t, DequeueMove, func() {
		if task.class == ClassFair {
			k.m.fair.changeGroup(t, g)
		} else {
			k.m.setTaskQueue(t, g, task.cpu)
		}
	})
	if running {
		k.m.resched(k.m.rqOfTask(t))
	}
	return nil
}
