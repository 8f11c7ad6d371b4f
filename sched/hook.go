package sched

// Hooks let a caller watch a machine. Each is optional; a nil one costs
// nothing. A hook must not change the machine, except through the methods of
// [State]. The argument is valid only during the call.
type Hooks struct {
	// Trace is called at the kernel's tracepoints.
	Trace func(*TraceEvent)
	// Probe is called when the scheduler enters one of the functions that
	// [Point] lists, before it has done anything, and where a point says so
	// also when it leaves it.
	Probe func(*Probe)
	// Share is asked for the weight of a group's entity on one of several CPUs
	// by a machine that does not track loads, on which it depends; shares is
	// the group's whole weight. Without it each entity has that.
	Share func(q QueueID, shares uint64) uint64
}

// TraceEvent is a tracepoint that was passed. Fields that an event does not
// have are zero.
type TraceEvent struct {
	Kind TraceKind
	CPU  CPU    // CPU on which the event was printed
	Time uint64 // rq_clock of that CPU, ns
	Task TaskID // the task that the event is about; in switch and fork the previous one and the parent
	Next TaskID // switch: the task that runs now; fork: the child; pi_setprio: the donor, NoTask if none
	Prev State  // switch: state of Task, StateRunning if it was preempted or yielded
	// Preempt says that a switch was a preemption ("R+").
	Preempt bool
	From    CPU    // migrate: orig_cpu
	To      CPU    // migrate: dest_cpu; waking, wakeup, wakeup_new: target_cpu
	OldPrio int    // pi_setprio
	NewPrio int    // pi_setprio
	Delta   uint64 // stat_*: ns
	Vrun    uint64 // stat_runtime: virtual runtime after it, 0 for other classes
}

// TraceKind is a tracepoint of the scheduler.
type TraceKind uint8

// The tracepoints, named as the kernel names them without "sched_".
const (
	TraceSwitch TraceKind = iota
	TraceWaking
	TraceWakeup
	TraceWakeupNew
	TraceMigrateTask
	TraceStatRuntime
	TraceStatWait
	TraceStatSleep
	TraceStatBlocked
	TraceStatIowait
	TraceProcessFork
	TraceProcessExit
	TracePISetprio
)

// Probe is the entry of a function (or its return).
type Probe struct {
	Point  Point
	Return bool
	CPU    CPU
	Queue  QueueID  // the fair queue that the function works on, else None
	Entity EntityID // the entity, else None
	Task   TaskID   // the task, else NoTask
	Flags  int      // enqueue and dequeue flags, wake flags, place_entity's initial
	// Value is reweight_entity's new weight, account_cfs_rq_runtime's delta,
	// or load tracking's now. A hook may replace the first: what a kernel
	// computed from loads that the machine does not track.
	Value uint64
}

// Point is a function of the scheduler that a probe can watch.
type Point uint8

// The functions, named as the kernel's. "(and return)" marks those that also
// report their return.
const (
	PointUpdateCurr       Point = iota // update_curr (and return)
	PointEnqueueEntity                 // enqueue_entity (and return)
	PointDequeueEntity                 // dequeue_entity (and return; Flags 1 if it left the queue)
	PointPlaceEntity                   // place_entity (and return)
	PointPickNextEntity                // pick_next_entity: Entity is the running one if it is still runnable
	PointPickEEVDF                     // pick_eevdf (and return: Entity is the one picked; Flags 0: protection does not count)
	PointUpdateEntityLag               // update_entity_lag (and return)
	PointUpdateDeadline                // update_deadline
	PointRequeueDelayed                // requeue_delayed_entity
	PointDequeueEntities               // dequeue_entities
	PointSetNextEntity                 // set_next_entity
	PointPutPrevEntity                 // put_prev_entity
	PointReweightEntity                // reweight_entity (and return)
	PointTaskTickFair                  // task_tick_fair
	PointEnqueueTaskFair               // enqueue_task_fair
	PointDequeueTaskFair               // dequeue_task_fair
	PointYieldTaskFair                 // yield_task_fair
	PointTaskForkFair                  // task_fork_fair
	PointPickNextTaskFair              // pick_next_task_fair
	PointCheckPreemptFair              // check_preempt_wakeup, check_preempt_wakeup_fair
	PointCheckPreempt                  // check_preempt_curr, wakeup_preempt
	PointReschedCurr                   // resched_curr
	PointReschedCurrLazy               // resched_curr_lazy of PREEMPT_RT
	PointSwitchedToFair                // switched_to_fair
	PointSwitchedFromFair              // switched_from_fair
	PointPrioChangedFair               // prio_changed_fair
	PointTaskChangeGroup               // task_change_group_fair
	PointThrottle                      // throttle_cfs_rq
	PointUnthrottle                    // unthrottle_cfs_rq
	PointAccountRuntime                // __account_cfs_rq_runtime
	PointDistribute                    // distribute_cfs_runtime
	PointUpdateLoadAvgSE               // __update_load_avg_se
	PointUpdateLoadAvgCFS              // __update_load_avg_cfs_rq
	PointUpdateCurrRT                  // update_curr_rt
	PointEnqueueTaskRT                 // enqueue_task_rt
	PointDequeueTaskRT                 // dequeue_task_rt
	PointTaskTickRT                    // task_tick_rt
	PointPutPrevTaskRT                 // put_prev_task_rt
	PointPickTaskRT                    // pick_next_task_rt, pick_task_rt
	PointYieldTaskRT                   // yield_task_rt
	PointSwitchedToRT                  // switched_to_rt
	PointCheckPreemptRT                // check_preempt_curr_rt
	PointUpdateCurrDL                  // update_curr_dl
	PointEnqueueTaskDL                 // enqueue_task_dl
	PointDequeueTaskDL                 // dequeue_task_dl
	PointTaskTickDL                    // task_tick_dl
	PointReplenishDL                   // replenish_dl_entity
	PointStartDLTimer                  // start_dl_timer
	PointPickTaskDL                    // pick_next_task_dl, pick_task_dl
	PointCheckPreemptDL                // check_preempt_curr_dl
	PointPutPrevTaskIdle               // put_prev_task_idle

	// PointsEnd is the number of points.
	PointsEnd
)

// probeQueue reports the entry of a function that works on a fair queue and one of
// its entities.
func (m *Machine) probeQueue(p Point, q *cfsQueue, se EntityID, flags int) {
	if m.hooks.Probe != nil {
		m.report(Probe{Point: p, CPU: q.cpu, Queue: q.id, Entity: se, Flags: flags})
	}
}

// report is the part of the probes that is not inlined; it adds the entity's
// task.
func (m *Machine) report(p Probe) {
	m.probe = p
	m.probe.Task = m.taskOfEntity(p.Entity)
	m.hooks.Probe(&m.probe)
}

// probeReturn reports the return of a function that probeQueue reported.
func (m *Machine) probeReturn(p Point, q *cfsQueue, se EntityID, flags int) {
	if m.hooks.Probe != nil {
		m.report(Probe{Point: p, Return: true, CPU: q.cpu, Queue: q.id, Entity: se, Flags: flags})
	}
}

// probeValue reports the entry of a function that has a value as argument, and
// gives the value with which to go on.
func (m *Machine) probeValue(p Point, q *cfsQueue, se EntityID, v uint64) uint64 {
	if m.hooks.Probe == nil {
		return v
	}
	m.report(Probe{Point: p, CPU: q.cpu, Queue: q.id, Entity: se, Value: v})
	return m.probe.Value
}

// probeTask reports the entry of a function that works on a run queue and
// maybe a task.
func (m *Machine) probeTask(p Point, rq *runQueue, t TaskID, flags int) {
	if m.hooks.Probe != nil {
		m.reportTask(p, rq, t, flags)
	}
}

func (m *Machine) reportTask(p Point, rq *runQueue, t TaskID, flags int) {
	m.probe = Probe{Point: p, CPU: rq.cpu, Queue: None, Entity: None, Task: t, Flags: flags}
	m.hooks.Probe(&m.probe)
}

func (m *Machine) taskOfEntity(se EntityID) TaskID {
	if !known(m.ents, se) {
		return NoTask
	}
	return m.ents[se].task
}

// traceStat reports one of the stat_* tracepoints.
func (m *Machine) traceStat(k TraceKind, rq *runQueue, t TaskID, delta, vrun uint64) {
	if m.hooks.Trace != nil {
		m.reportStat(k, rq, t, delta, vrun)
	}
}

func (m *Machine) reportStat(k TraceKind, rq *runQueue, t TaskID, delta, vrun uint64) {
	m.event = TraceEvent{Kind: k, CPU: rq.cpu, Time: rq.clock, Task: t, Next: NoTask, Delta: delta, Vrun: vrun}
	m.hooks.Trace(&m.event)
}
