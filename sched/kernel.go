package sched

// Kernel gives the scheduler's own functions, for those who know what the
// kernel did and when: a replay of a trace, another simulator. They do one
// step each, in the order in which the kernel calls them; the caller sets the
// clock before. A call that the kernel could not make in the present state
// returns a [StepError] and changes nothing.
//
// CPUs, tasks, groups, queues and entities are those that the machine has. With
// another one a function that returns an error returns one; where it returns
// none, the caller has to know them: it panics, as a slice does.
//
// Programs that run by themselves use [Sim].
type Kernel struct{ m *Machine }

// Kernel gives access to the scheduler's functions.
func (m *Machine) Kernel() Kernel { return Kernel{m} }

// SetClock sets a CPU's clocks, in ns (update_rq_clock): clock is rq_clock and
// task rq_clock_task. The clock of load tracking follows the latter.
func (k Kernel) SetClock(cpu CPU, clock, task uint64) {
	rq := &k.m.rqs[cpu]
	delta := task - rq.clockTask
	rq.clock, rq.clockTask = clock, task
	if rq.curr == rq.idle {
		rq.idlePelt()
		return
	}
	rq.clockPelt += delta
}

// idlePelt lets an idle CPU's clock of load tracking catch up.
func (rq *runQueue) idlePelt() {
	rq.clockPelt = rq.clockTask
	rq.clockIdle, rq.peltIdle = rq.clock, rq.pelt()
}

// AddTask makes a task that exists already, off all queues, and puts it on a
// CPU's part of a group.
func (k Kernel) AddTask(info TaskInfo) (TaskID, error) {
	m := k.m
	if err := m.checkInfo(&info); err != nil {
		return NoTask, err
	}
	prio := int16(maxRTPrio - 1 - int(info.RTPriority))
	switch {
	case info.Policy.fair():
		prio = int16(niceToPrio(info.Nice))
	case info.Policy == PolicyDeadline:
		prio = maxDLPrio - 1
	}
	t := m.newTask(task{pid: info.PID, tgid: info.TGID, policy: info.Policy, rtPriority: uint8(info.RTPriority), cpu: info.CPU,
		prio: prio, normalPrio: prio, staticPrio: int16(niceToPrio(info.Nice)), class: classOf(int(prio)), state: info.State})
	if info.Stop {
		m.tasks[t].class = ClassStop
	}
	m.ents[m.tasks[t].se].load = weightOf(info.Policy, info.Nice)
	m.setTaskQueue(t, info.Group, info.CPU)
	m.initEntityLoad(m.tasks[t].se)
	return t, nil
}

// TaskInfo describes a task.
type TaskInfo struct {
	PID, TGID  int32
	Policy     Policy
	Nice       int // -20 to 19; kept by tasks of other classes for later
	RTPriority int // 1 to 99 for SCHED_FIFO and SCHED_RR, else 0
	CPU        CPU
	Group      GroupID
	State      State
	Stop       bool // a stopper thread ("migration/0"), above all other classes
}

func (m *Machine) checkInfo(i *TaskInfo) error {
	switch {
	case !i.Policy.valid():
		return &ConfigError{Field: "Policy", Value: int64(i.Policy), Want: "0 to 3, 5 or 6"}
	case i.Nice < MinNice || i.Nice > MaxNice:
		return &ConfigError{Field: "Nice", Value: int64(i.Nice), Want: "-20 to 19"}
	case i.Policy.rt() && (i.RTPriority < 1 || i.RTPriority > 99):
		return &ConfigError{Field: "RTPriority", Value: int64(i.RTPriority), Want: "1 to 99"}
	case !i.Policy.rt() && i.RTPriority != 0:
		return &ConfigError{Field: "RTPriority", Value: int64(i.RTPriority), Want: "0"}
	case !known(m.rqs, i.CPU):
		return &ConfigError{Field: "CPU", Value: int64(i.CPU), Want: "a CPU of the machine"}
	case !known(m.groups, i.Group):
		return &ConfigError{Field: "Group", Value: int64(i.Group), Want: "a group of the machine"}
	}
	return nil
}

// AddGroup makes a task group below another. shares is its weight, scaled by
// 1024 (cpu.weight 100 is 1048576).
func (k Kernel) AddGroup(parent GroupID, shares uint64) (GroupID, error) {
	if !known(k.m.groups, parent) {
		return NoGroup, &ConfigError{Field: "parent", Value: int64(parent), Want: "a group of the machine"}
	}
	if shares < minShares || shares > maxShares<<loadShift {
		return NoGroup, &ConfigError{Field: "shares", Value: int64(shares), Want: "2 to 268435456"}
	}
	return k.m.newChild(parent, shares), nil
}

// Enqueue makes a task runnable on its CPU (enqueue_task), with the kernel's
// ENQUEUE_ flags.
func (k Kernel) Enqueue(t TaskID, flags int) error {
	task, err := k.task("enqueue_task", t)
	switch {
	case err != nil:
		return err
	case k.m.inClass(t) && flags&EnqueueDelayed == 0:
		return stepError("enqueue_task", t, "the task is queued already")
	}
	k.m.enqueue(&k.m.rqs[task.cpu], t, flags)
	task.onRQ = queued
	if flags&(EnqueueRestore|EnqueueMove) == 0 {
		task.state = StateRunning
		task.remote = false
	}
	return nil
}

// Dequeue takes a task off its CPU's queue (dequeue_task), with the kernel's
// DEQUEUE_ flags. It says false if the task stays queued until its lag is
// spent.
func (k Kernel) Dequeue(t TaskID, flags int) (bool, error) {
	task, err := k.task("dequeue_task", t)
	switch {
	case err != nil:
		return false, err
	case !k.m.inClass(t) && (task.class != ClassDeadline || task.onRQ == offRQ):
		return false, stepError("dequeue_task", t, "the task is not queued")
	}
	if flags&(DequeueSleep|DequeueSave) == 0 {
		task.onRQ = onMigrating
	}
	done := k.m.dequeue(&k.m.rqs[task.cpu], t, flags)
	if done && flags&DequeueSleep != 0 {
		task.onRQ = offRQ
	}
	return done, nil
}

// DequeueDelayed takes an entity that sleeps and is still queued out of its
// queue (dequeue_entities): when a task dies, or a group is removed.
func (k Kernel) DequeueDelayed(id EntityID) error {
	m := k.m
	if !known(m.ents, id) || !m.ents[id].delayed {
		return stepError("dequeue_entities", m.taskOfEntity(id), "the entity is not delayed")
	}
	e, ok := m.fair.(*eevdf)
	if ok {
		e.dequeueEntities(&m.rqs[m.queueOf(&m.ents[id]).cpu], id, DequeueSleep|DequeueDelayed)
	}
	return nil
}

// inClass says that a task is in its class's queue; a throttled deadline task
// is not.
func (m *Machine) inClass(t TaskID) bool {
	task := &m.tasks[t]
	switch task.class {
	case ClassFair:
		return m.ents[task.se].onRQ
	case ClassRT:
		return task.rt.queued
	case ClassDeadline:
		return m.dlNodes[t].linked
	case ClassStop:
		return m.rqs[task.cpu].stop >= 0
	}
	return false
}

// Tick is the timer tick of a CPU's running task (task_tick).
func (k Kernel) Tick(cpu CPU) error {
	rq, curr, err := k.running("task_tick", cpu)
	if err != nil {
		return err
	}
	switch k.m.tasks[curr].class {
	case ClassFair:
		k.m.fair.tick(rq, curr)
	case ClassRT:
		k.m.rtTick(rq, curr)
	case ClassDeadline:
		k.m.dlTick(rq, curr)
	}
	return nil
}

// running is the task that a CPU runs, which must not be the idle task and must
// be its queue's running one.
func (k Kernel) running(step string, cpu CPU) (*runQueue, TaskID, error) {
	if !known(k.m.rqs, cpu) {
		return nil, NoTask, &ConfigError{Field: "CPU", Value: int64(cpu), Want: "a CPU of the machine"}
	}
	rq := &k.m.rqs[cpu]
	if rq.curr == rq.idle {
		return nil, NoTask, stepError(step, rq.curr, "the CPU is idle")
	}
	if t := &k.m.tasks[rq.curr]; t.class == ClassFair && !k.m.isRunning(t.se) {
		return nil, NoTask, stepError(step, rq.curr, "the task is not its queue's running one")
	}
	return rq, rq.curr, nil
}

// isRunning says that an entity and those above it are their queues' running
// ones.
func (m *Machine) isRunning(id EntityID) bool {
	for ; id >= 0; id = m.ents[id].parent {
		if m.queueOf(&m.ents[id]).curr != id {
			return false
		}
	}
	return true
}

// CheckPreempt decides whether a task that became runnable preempts its CPU's
// running task (check_preempt_curr, wakeup_preempt), with the kernel's WF_
// flags.
func (k Kernel) CheckPreempt(t TaskID, flags int) error {
	task, err := k.task("check_preempt_curr", t)
	switch {
	case err != nil:
		return err
	case task.onRQ == offRQ:
		return stepError("check_preempt_curr", t, "the task is not queued")
	case k.strange(task.cpu):
		return stepError("check_preempt_curr", t, "its CPU runs a task of another one")
	}
	k.m.checkPreemptCurr(&k.m.rqs[task.cpu], t, flags)
	return nil
}

// strange says that a CPU runs a task of another one, which only a caller that
// was told nonsense can bring about.
func (k Kernel) strange(cpu CPU) bool { return k.m.tasks[k.m.rqs[cpu].curr].cpu != cpu }

// PutPrev ends the run of a CPU's running task (put_prev_task).
func (k Kernel) PutPrev(cpu CPU) error {
	if !known(k.m.rqs, cpu) {
		return stepError("put_prev_task", NoTask, "there is no such CPU")
	}
	rq := &k.m.rqs[cpu]
	if t := &k.m.tasks[rq.curr]; t.class == ClassFair && !k.m.isRunning(t.se) {
		return stepError("put_prev_task", rq.curr, "the task is not its queue's running one")
	}
	k.m.putPrev(rq, rq.curr)
	return nil
}

// SetNext starts the run of a CPU's running task again after PutPrev
// (set_next_task).
func (k Kernel) SetNext(cpu CPU) error {
	if !known(k.m.rqs, cpu) {
		return stepError("set_next_task", NoTask, "there is no such CPU")
	}
	rq := &k.m.rqs[cpu]
	if t := &k.m.tasks[rq.curr]; t.class == ClassFair && k.m.queueOf(&k.m.ents[t.se]).curr >= 0 {
		return stepError("set_next_task", rq.curr, "its queue has a running task already")
	}
	k.m.setNextTask(rq, rq.curr)
	return nil
}

// PickFair chooses the next task of the fair class (pick_next_task_fair).
// first says that the running task was not put back yet, as when all runnable
// tasks are fair ones. It returns NoTask if there is none.
func (k Kernel) PickFair(cpu CPU, first bool) TaskID {
	rq := &k.m.rqs[cpu]
	prev := k.m.previous(rq, first)
	k.m.probeTask(PointPickNextTaskFair, rq, prev, 0)
	return k.m.fair.pickNext(rq, prev)
}

// PickFairAgain goes on with a pick that found nothing, after tasks were pulled
// to the CPU (newidle_balance); first is PickFair's.
func (k Kernel) PickFairAgain(cpu CPU, first bool) TaskID {
	rq := &k.m.rqs[cpu]
	return k.m.fair.pickNext(rq, k.m.previous(rq, first))
}

// previous is the task that ran if it was not put back yet, else NoTask.
func (m *Machine) previous(rq *runQueue, first bool) TaskID {
	if m.tasks[rq.curr].cpu != rq.cpu {
		return NoTask
	}
	if first && (m.tasks[rq.curr].class != ClassFair || m.isRunning(m.tasks[rq.curr].se)) {
		return rq.curr
	}
	return NoTask
}

// Switch makes a task a CPU's running one (the end of __schedule): it no longer
// has to be rescheduled. The task may be the one that ran.
func (k Kernel) Switch(cpu CPU, next TaskID) {
	rq := &k.m.rqs[cpu]
	rq.needResched, rq.lazyResched = false, false
	prev := rq.curr
	rq.curr = next
	if next == rq.idle {
		k.m.goIdle(rq)
	}
	if c := k.m.tasks[next].class; next != prev && (c == ClassIdle || c == ClassStop) {
		k.m.ents[k.m.tasks[next].se].execStart = rq.clockTask
	}
}

// goIdle is what a CPU that has nothing to run does to the clock of load
// tracking (update_idle_rq_clock_pelt): a CPU that was fully used has lost its
// idle time.
func (m *Machine) goIdle(rq *runQueue) {
	const full = uint64(peltMax-1024)<<capacityShift - peltMax
	used := uint64(m.queues[rq.root].avg.utilSum) + uint64(rq.avgRT.utilSum) + uint64(rq.avgDL.utilSum)
	if uint64(uint32(used)) >= full {
		rq.lostIdle += rq.clockTask - rq.clockPelt
	}
	rq.idlePelt()
}

// Resched marks a CPU's running task to be rescheduled.
func (k Kernel) Resched(cpu CPU) { k.m.rqs[cpu].needResched = true }

// ReschedCurr asks for a CPU's running task to be rescheduled
// (resched_curr), as a watched step of the model.
func (k Kernel) ReschedCurr(cpu CPU) { k.m.resched(&k.m.rqs[cpu]) }

// Running is the task that a CPU runs; the idle task if none.
func (k Kernel) Running(cpu CPU) TaskID { return k.m.rqs[cpu].curr }

// Idle is a CPU's idle task.
func (k Kernel) Idle(cpu CPU) TaskID { return k.m.rqs[cpu].idle }

// NeedResched says whether a CPU's running task has to be rescheduled.
func (k Kernel) NeedResched(cpu CPU) bool { return k.m.rqs[cpu].needResched }

// Stopper is the stopper thread of a CPU that is runnable, NoTask if none.
func (k Kernel) Stopper(cpu CPU) TaskID { return k.m.rqs[cpu].stop }

// Yield is sched_yield by a CPU's running task (yield_task).
func (k Kernel) Yield(cpu CPU) error {
	rq, curr, err := k.running("yield_task", cpu)
	if err != nil {
		return err
	}
	switch k.m.tasks[curr].class {
	case ClassFair:
		k.m.fair.yield(rq)
	case ClassRT:
		k.m.rtYield(rq)
	case ClassDeadline:
		k.m.dlYield(rq)
	}
	return nil
}

// Fork places a new task, that [Kernel.AddTask] made, by the CPU's running one
// (task_fork).
func (k Kernel) Fork(t TaskID) error {
	task, err := k.task("task_fork", t)
	if err != nil {
		return err
	}
	task.state = StateNew
	if task.class == ClassFair {
		k.m.fair.fork(&k.m.rqs[task.cpu], t)
	}
	return nil
}

// WakeNew prepares a new task for its first enqueueing (wake_up_new_task).
func (k Kernel) WakeNew(t TaskID) { k.m.firstUtil(t) }

// Dead is the end of a task that has left its CPU for good: its load leaves its
// queue (task_dead).
func (k Kernel) Dead(t TaskID) {
	if task := &k.m.tasks[t]; task.class == ClassFair && !k.m.ents[task.se].onRQ {
		k.m.removeEntityLoad(task.se)
	}
}

// SetState notes in which state a task goes to sleep.
func (k Kernel) SetState(t TaskID, s State) { k.m.tasks[t].state = s }

// Reweight gives a task the weight of its policy and nice value
// (set_load_weight). update says that it is a fair task whose queue has to
// know.
func (k Kernel) Reweight(t TaskID, update bool) {
	task := &k.m.tasks[t]
	l := weightOf(task.policy, prioToNice(int(task.staticPrio)))
	se := &k.m.ents[task.se]
	if update {
		k.m.fair.reweightEntity(k.m.queueOf(se), task.se, l.weight)
	}
	se.load = l
}

// SetPriority sets a task's policy, its nice value and real-time priority, and
// with them its class, without moving it between queues: the caller has
// dequeued it (__setscheduler_params). boosted is the priority that a donor
// gives, 140 if there is none.
func (k Kernel) SetPriority(t TaskID, policy Policy, nice, rtPriority, boosted int) error {
	task, err := k.task("setscheduler", t)
	if err != nil {
		return err
	}
	if err := k.m.checkInfo(&TaskInfo{Policy: policy, Nice: nice, RTPriority: rtPriority}); err != nil {
		return err
	}
	task.policy, task.rtPriority, task.staticPrio = policy, uint8(rtPriority), int16(niceToPrio(nice))
	task.normalPrio = task.staticPrio
	switch {
	case policy.rt():
		task.normalPrio = int16(maxRTPrio - 1 - rtPriority)
	case policy == PolicyDeadline:
		task.normalPrio = maxDLPrio - 1
	}
	task.prio = min(task.normalPrio, int16(boosted))
	task.class = classOf(int(task.prio))
	return nil
}

// PrioChanged tells a task's class that its priority changed from old
// (prio_changed).
func (k Kernel) PrioChanged(t TaskID, old int) {
	rq := k.m.rqOfTask(t)
	if k.strange(rq.cpu) {
		return
	}
	switch k.m.tasks[t].class {
	case ClassFair:
		k.m.fair.prioChanged(rq, t, old)
	case ClassRT:
		k.m.rtPrioChanged(rq, t, old)
	case ClassDeadline:
		k.m.dlPrioChanged(rq, t)
	}
}

// SwitchedFrom tells a class that a task left it (switched_from).
func (k Kernel) SwitchedFrom(t TaskID, left Class) {
	switch left {
	case ClassFair:
		k.m.fair.switchedFrom(k.m.rqOfTask(t), t)
	case ClassDeadline:
		k.m.dlSwitchedFrom(k.m.rqOfTask(t), t)
	}
}

// PickRT and PickDeadline choose the next task of their class
// (pick_next_task_rt, pick_next_task_dl), NoTask if there is none.
func (k Kernel) PickRT(cpu CPU) TaskID { return k.m.pickRT(&k.m.rqs[cpu]) }

// PickDeadline is the deadline class's choice; see PickRT.
func (k Kernel) PickDeadline(cpu CPU) TaskID { return k.m.pickDL(&k.m.rqs[cpu]) }

// RTPeriodTimer is the timer of the real-time budget after a number of periods
// (sched_rt_period_timer); it says whether the timer goes on.
func (k Kernel) RTPeriodTimer(overrun uint64) bool {
	return k.m.rtPeriodTimer(overrun, func(*runQueue) {})
}

// DeadlineTimer is a task's replenishment timer (dl_task_timer).
func (k Kernel) DeadlineTimer(t TaskID) { k.m.dlTimer(k.m.rqOfTask(t), t) }

// InactiveTimer is the timer of a task's 0-lag time (inactive_task_timer).
func (k Kernel) InactiveTimer(t TaskID) { k.m.dlInactive(k.m.rqOfTask(t), t) }

// ServerTimer is the timer of a CPU's fair server (dl_server_timer).
func (k Kernel) ServerTimer(cpu CPU) { k.m.serverTimer(&k.m.rqs[cpu]) }

// SetSlice sets the slice that a fair task asks for, in ns: clamped to 0.1 to
// 100 ms; 0 is the machine's (sched_attr.sched_runtime, Linux 6.12).
func (k Kernel) SetSlice(t TaskID, slice uint64) {
	m := k.m
	if !m.prof.DelayedDequeue {
		return
	}
	se := &m.ents[m.tasks[t].se]
	if se.custom = slice != 0; !se.custom {
		se.sliceNS = m.tun.BaseSliceNS
		return
	}
	se.sliceNS = min(max(slice, 100*usec), 100*msec)
}

// SeedServer makes a CPU's fair server an active one that waits: with a
// runtime left, in ns, and an absolute deadline.
func (k Kernel) SeedServer(cpu CPU, runtime int64, deadline uint64) {
	rq := &k.m.rqs[cpu]
	if !k.m.prof.FairServer {
		return
	}
	d := k.m.server(rq)
	if !d.server {
		k.m.serverInit(rq)
		rq.dl.runningBW += d.bw
	}
	d.active, d.throttled, d.deferArmed = true, true, true
	d.runtime, d.deadline = runtime, deadline
}

// UpdateCurrClass charges the running real-time or deadline task of a CPU
// (update_curr).
func (k Kernel) UpdateCurrClass(cpu CPU) {
	rq := &k.m.rqs[cpu]
	switch k.m.tasks[rq.curr].class {
	case ClassRT:
		k.m.updateCurrRT(rq)
	case ClassDeadline:
		k.m.updateCurrDL(rq)
	}
}

// SetDeadline sets a task's deadline parameters, in ns (__setparam_dl).
// reclaim lets it take part in GRUB.
func (k Kernel) SetDeadline(t TaskID, runtime, deadline, period uint64, reclaim bool) {
	if period == 0 {
		period = deadline
	}
	d := &k.m.tasks[t].dl
	d.dlRuntime, d.dlDeadline, d.dlPeriod, d.reclaim = runtime, deadline, period, reclaim
	d.bw, d.density = ratio(period, runtime), ratio(deadline, runtime)
	k.m.updateExtra()
}

// ratio is runtime / period in parts of 2^20 (to_ratio).
func ratio(period, runtime uint64) uint64 {
	switch {
	case runtime == RuntimeInf:
		return bwUnit
	case period == 0:
		return 0
	}
	return runtime << bwShift / period
}

// SwitchedTo tells a task's class that the task came to it (switched_to).
func (k Kernel) SwitchedTo(t TaskID) {
	rq := k.m.rqOfTask(t)
	if k.strange(rq.cpu) {
		return
	}
	switch k.m.tasks[t].class {
	case ClassFair:
		k.m.fair.switchedTo(rq, t)
	case ClassRT:
		k.m.rtSwitchedTo(rq, t)
	case ClassDeadline:
		k.m.dlSwitchedTo(rq, t)
	}
}

// ChangeGroup moves a fair task, dequeued if it was queued, to another group
// (task_change_group).
func (k Kernel) ChangeGroup(t TaskID, g GroupID) error {
	task, err := k.task("task_change_group", t)
	switch {
	case err != nil:
		return err
	case k.m.ents[task.se].onRQ:
		return stepError("task_change_group", t, "the task is in a queue")
	case !known(k.m.groups, g):
		return stepError("task_change_group", t, "there is no such group")
	}
	k.m.fair.changeGroup(t, g)
	return nil
}

// MigrateFair prepares a fair task for another CPU (migrate_task_rq_fair).
func (k Kernel) MigrateFair(t TaskID) { k.m.fair.migrate(t) }

// SetCPU makes another CPU a task's (__set_task_cpu). The task must not be in a
// queue.
func (k Kernel) SetCPU(t TaskID, cpu CPU) error {
	task, err := k.task("set_task_cpu", t)
	switch {
	case err != nil:
		return err
	case k.m.inClass(t):
		return stepError("set_task_cpu", t, "the task is in a queue")
	case !known(k.m.rqs, cpu):
		return stepError("set_task_cpu", t, "there is no such CPU")
	}
	k.m.setTaskQueue(t, task.group, cpu)
	return nil
}

// UpdateCurr charges a queue's running entity.
func (k Kernel) UpdateCurr(q QueueID) { k.m.fair.updateCurr(&k.m.queues[q]) }

// UpdateBlocked updates the load average of a queue and its group's entity, as
// load balancing does for all queues of a CPU (update_blocked_averages).
func (k Kernel) UpdateBlocked(q QueueID) { k.m.updateBlocked(&k.m.queues[q]) }

// SetShares sets a group's weight; its entities follow with ReweightGroup.
func (k Kernel) SetShares(g GroupID, shares uint64) { k.m.groups[g].shares = shares }

// ReweightGroup gives a group's entity on a CPU its part of the group's weight.
func (k Kernel) ReweightGroup(id EntityID) { k.m.updateGroup(id) }

// SyncLoad ages an entity's load up to its queue's last update
// (sync_entity_load_avg).
func (k Kernel) SyncLoad(id EntityID) {
	se := &k.m.ents[id]
	k.m.ageBlocked(se, k.m.queueOf(se).avg.lastUpdate)
}

// UpdateShares updates a group's entity and gives it its part of the group's
// weight (a step of sched_group_set_shares).
func (k Kernel) UpdateShares(id EntityID) {
	k.m.updateLoadAvg(k.m.queueOf(&k.m.ents[id]), id, updateTG)
	k.m.updateGroup(id)
}

// SetBandwidth limits a group to a quota in each period (cpu.max), and lets it
// save up to burst; RuntimeInf is no limit. All are ns. The pool starts empty
// and its queues with nothing.
func (k Kernel) SetBandwidth(g GroupID, quota, period, burst uint64) {
	b := &k.m.groups[g].bw
	b.quota, b.period, b.burst = quota, period, burst
	for _, q := range k.m.groups[g].queues {
		k.m.queues[q].runtimeEnabled = quota != RuntimeInf
	}
}

// Distribute gives runtime of a group's pool to its throttled queues
// (distribute_cfs_runtime), as the slack timer does.
func (k Kernel) Distribute(g GroupID) { k.m.distribute(&k.m.groups[g].bw, func(*runQueue) {}) }

// PeriodTimer is the timer of a group's pool after a number of periods
// (sched_cfs_period_timer). It says whether
// the timer goes on.
func (k Kernel) PeriodTimer(g GroupID, overrun uint64) bool {
	return k.m.periodTimer(g, overrun, func(*runQueue) {})
}

func (k Kernel) task(step string, t TaskID) (*task, error) {
	if !known(k.m.tasks, t) || k.m.tasks[t].class == ClassIdle {
		return nil, stepError(step, t, "there is no such task")
	}
	return &k.m.tasks[t], nil
}

// StepError says why the kernel could not have made a step.
type StepError struct {
	Step string // the kernel's function
	Task TaskID
	Why  string
}

// Error names the step, the task and the reason.
func (e *StepError) Error() string { return "sched: " + e.Step + ": " + e.Why }

func stepError(step string, t TaskID, why string) error { return &StepError{step, t, why} }
