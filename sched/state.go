package sched

// EntityState is what a scheduling entity holds, for reading and, by
// [Kernel.SetEntity], for taking over what a kernel had. Times are ns.
type EntityState struct {
	Vruntime    uint64
	ExecStart   uint64
	SumExec     uint64
	PrevSum     uint64
	Weight      uint64 // scaled by 1024
	Deadline    uint64 // EEVDF
	Lag         int64  // EEVDF: vlag
	Slice       uint64 // EEVDF
	OnRQ        bool
	Delayed     bool // EEVDF: sched_delayed
	RelDeadline bool // EEVDF: rel_deadline
	CustomSlice bool // EEVDF: Slice was asked for, or is a group's
	RunnableWt  uint64
	Load        LoadState
}

// LoadState is a sched_avg.
type LoadState struct {
	LastUpdate, LoadSum, RunnableSum uint64
	UtilSum, PeriodContrib           uint32
	Load, Runnable, Util             uint64
}

// QueueState is what a fair run queue holds. Entities are None if there is
// none.
type QueueState struct {
	NrRunning              uint32
	HNrRunning             uint32
	Weight                 uint64 // sum of the entities' weights
	MinVruntime            uint64 // CFS; EEVDF with ZeroVruntime: zero_vruntime
	AvgVruntime            int64  // EEVDF
	AvgLoad                uint64 // EEVDF
	Curr, Next, Last, Skip EntityID
	First                  EntityID // leftmost entity of the tree
	Entity                 EntityID // that stands for it, None for a root queue
	RuntimeRemaining       int64
	RuntimeEnabled         bool   // its group has a limit
	PoolRuntime            uint64 // ns left in the group's pool
	PoolQuota, PoolPeriod  uint64
	Throttled              bool
	Load                   LoadState
	PeltClock              uint64 // clock of its load
}

func (a *loadAvg) state() LoadState {
	return LoadState{a.lastUpdate, a.loadSum, a.runnableSum, a.utilSum, a.periodContrib, a.load, a.runnable, a.util}
}

func (a *loadAvg) set(s LoadState) {
	*a = loadAvg{s.LastUpdate, s.LoadSum, s.RunnableSum, s.UtilSum, s.PeriodContrib, s.Load, s.Runnable, s.Util}
}

// known says that an index is one of a table's.
func known[T any, I ~int32](table []T, i I) bool { return uint(i) < uint(len(table)) }

// Entity gives an entity's state; an unknown one's is zero.
func (m *Machine) Entity(id EntityID) EntityState {
	if !known(m.ents, id) {
		return EntityState{}
	}
	e := &m.ents[id]
	return EntityState{Vruntime: e.vruntime, ExecStart: e.execStart, SumExec: e.sumExec, PrevSum: e.prevSum, Weight: e.load.weight,
		Deadline: e.deadline, Lag: e.vlag, Slice: e.sliceNS, OnRQ: e.onRQ, Delayed: e.delayed, RelDeadline: e.relDead, CustomSlice: e.custom,
		RunnableWt: e.runnableWt, Load: e.avg.state()}
}

// SetEntity takes over an entity's state, but for OnRQ: where it is queued
// stays as it is. Its place in the queue's tree follows.
func (k Kernel) SetEntity(id EntityID, s EntityState) {
	m := k.m
	e := &m.ents[id]
	linked := m.nodes[id].linked
	if linked {
		m.fair.unlink(&m.queues[e.queue], id)
	}
	if e.load.weight != s.Weight {
		if e.onRQ {
			m.queues[e.queue].load.sub(e.load.weight)
			m.queues[e.queue].load.add(s.Weight)
		}
		e.load.set(s.Weight)
		if e.isTask() {
			e.load = taskLoad(s.Weight)
		}
	}
	e.vruntime, e.execStart, e.sumExec, e.prevSum = s.Vruntime, s.ExecStart, s.SumExec, s.PrevSum
	e.deadline, e.vlag, e.sliceNS, e.delayed, e.relDead = s.Deadline, s.Lag, s.Slice, s.Delayed, s.RelDeadline
	e.custom = s.CustomSlice
	e.runnableWt = s.RunnableWt
	e.avg.set(s.Load)
	if linked {
		m.fair.link(&m.queues[e.queue], id)
	}
}

// Seed puts an entity into its queue as it is, without placing it or charging
// anybody: for a machine that starts in the midst. A running one is not put
// into the tree. Tasks are counted in all queues above.
func (k Kernel) Seed(id EntityID, running bool) {
	m := k.m
	e := &m.ents[id]
	if e.onRQ {
		return
	}
	q := &m.queues[e.queue]
	e.onRQ = true
	m.accountEnqueue(q, id)
	if running {
		q.curr = id
	} else {
		m.fair.link(q, id)
	}
	if !e.isTask() {
		e.custom = m.prof.GroupSlice
		return
	}
	t := &m.tasks[e.task]
	t.onRQ = queued
	t.state = StateRunning
	if e.delayed {
		t.state = StateInterruptible
	}
	idle := b2u(t.policy == PolicyIdle)
	for up := id; up >= 0; up = m.ents[up].parent {
		uq := m.queueOf(&m.ents[up])
		idle = uq.addTasks(1, idle)
		uq.hNrRunning -= b2u(e.delayed)
	}
	m.rqs[q.cpu].nrRunning++
}

// taskLoad is the load of a task by its weight: with the inverse of the nice
// value that has it.
func taskLoad(weight uint64) load {
	for _, l := range niceLoads {
		if l.weight<<loadShift == weight {
			return load{weight, l.inv}
		}
	}
	return load{weight: weight}
}

// Queue gives a fair queue's state; an unknown one's is zero.
func (m *Machine) Queue(id QueueID) QueueState {
	if !known(m.queues, id) {
		return QueueState{}
	}
	q := &m.queues[id]
	mv := q.minVruntime
	if m.prof.EEVDF {
		mv = q.zeroVruntime
	}
	return QueueState{NrRunning: q.nrRunning, HNrRunning: q.hNrRunning, Weight: q.load.weight, MinVruntime: mv, AvgVruntime: q.avgVruntime,
		AvgLoad: q.avgLoad, Curr: q.curr, Next: q.next, Last: q.last, Skip: q.skip, First: q.first(), Entity: q.entity,
		RuntimeRemaining: q.runtimeRemaining, RuntimeEnabled: q.runtimeEnabled, PoolRuntime: m.pool(q).runtime,
		PoolQuota: m.pool(q).quota, PoolPeriod: m.pool(q).period, Throttled: q.throttled, Load: q.avg.state(), PeltClock: m.queuePelt(q)}
}

// SetQueue takes over a queue's state and what is left in its group's pool, but
// for First, Entity, Throttled, PeltClock and the pool's limits.
func (k Kernel) SetQueue(id QueueID, s QueueState) {
	q := &k.m.queues[id]
	q.hNrQueued += s.HNrRunning - q.hNrRunning
	q.nrRunning, q.hNrRunning = s.NrRunning, s.HNrRunning
	if q.load.weight != s.Weight {
		q.load.set(s.Weight)
	}
	if s.Curr != q.curr {
		k.takeCurr(q, s.Curr)
	}
	q.minVruntime, q.avgVruntime, q.avgLoad = s.MinVruntime, s.AvgVruntime, s.AvgLoad
	if k.m.prof.EEVDF {
		q.zeroVruntime = s.MinVruntime
	}
	q.next, q.last, q.skip = s.Next, s.Last, s.Skip
	q.runtimeRemaining, q.runtimeEnabled = s.RuntimeRemaining, s.RuntimeEnabled
	k.m.pool(q).runtime = s.PoolRuntime
	q.avg.set(s.Load)
}

// takeCurr makes another entity a queue's running one: what runs is not in the
// tree, what else is queued is.
func (k Kernel) takeCurr(q *cfsQueue, id EntityID) {
	m := k.m
	if old := q.curr; old >= 0 && m.ents[old].onRQ && m.ents[old].queue == q.id {
		m.fair.link(q, old)
	}
	if id >= 0 && m.ents[id].queue == q.id {
		m.fair.unlink(q, id)
	}
	q.curr = id
}

// QueueOf is the fair queue of a group on a CPU, None if one of them is unknown.
func (m *Machine) QueueOf(g GroupID, cpu CPU) QueueID {
	if !known(m.groups, g) || !known(m.rqs, cpu) {
		return None
	}
	return m.groups[g].queues[cpu]
}

// EntityOf is a task's scheduling entity, None for an unknown task.
func (m *Machine) EntityOf(t TaskID) EntityID {
	if !known(m.tasks, t) {
		return None
	}
	return m.tasks[t].se
}

// Where gives the queue that an entity belongs to, the group's queue that it
// stands for (None for a task's) and its task (NoTask for a group's). Of an
// unknown entity it gives none of them.
func (m *Machine) Where(id EntityID) (in, of QueueID, t TaskID) {
	if !known(m.ents, id) {
		return None, None, NoTask
	}
	e := &m.ents[id]
	return e.queue, e.myQ, e.task
}

// Task describes a task as it is now; an unknown one's state is zero.
func (m *Machine) Task(t TaskID) TaskState {
	if !known(m.tasks, t) {
		return TaskState{}
	}
	k := &m.tasks[t]
	return TaskState{TaskInfo: TaskInfo{PID: k.pid, TGID: k.tgid, Policy: k.policy, Nice: prioToNice(int(k.staticPrio)),
		RTPriority: int(k.rtPriority), CPU: k.cpu, Group: k.group, State: k.state},
		Prio: int(k.prio), NormalPrio: int(k.normalPrio), Class: k.class, OnRQ: k.onRQ == queued}
}

// TaskState is a task as it is now.
type TaskState struct {
	TaskInfo
	Prio       int // effective: below 0 deadline, 0 to 99 real time, 100 to 139 fair
	NormalPrio int // without a donor
	Class      Class
	OnRQ       bool // runnable
}

// RunQueueState is what a CPU's run queue holds. Clocks are ns.
type RunQueueState struct {
	Clock, ClockTask, ClockPelt uint64
	NrRunning                   uint32
	Curr                        TaskID
	NeedResched, LazyResched    bool
	Root                        QueueID
	UtilEst                     uint32 // what its fair tasks are expected to use, parts of 1024
}

// RunQueue gives the state of a CPU's run queue; an unknown CPU's is zero.
func (m *Machine) RunQueue(cpu CPU) RunQueueState {
	if !known(m.rqs, cpu) {
		return RunQueueState{}
	}
	rq := &m.rqs[cpu]
	return RunQueueState{rq.clock, rq.clockTask, rq.pelt(), rq.nrRunning, rq.curr, rq.needResched, rq.lazyResched, rq.root, rq.estimate}
}

// SetPeltClock takes over the clock of load tracking of a CPU.
func (k Kernel) SetPeltClock(cpu CPU, pelt uint64) {
	rq := &k.m.rqs[cpu]
	rq.lostIdle = rq.clockPelt - pelt
}

// CPUOf is the CPU of a fair queue, None of an unknown one.
func (m *Machine) CPUOf(q QueueID) CPU {
	if !known(m.queues, q) {
		return None
	}
	return m.queues[q].cpu
}

// Migrating says that a task is between two CPUs' queues.
func (m *Machine) Migrating(t TaskID) bool {
	return known(m.tasks, t) && m.tasks[t].onRQ == onMigrating
}

// RTState is what a CPU's real-time queue holds. Times are ns.
type RTState struct {
	NrRunning     uint32
	Time, Runtime uint64 // used in this period, and its limit
	Throttled     bool
}

// RT gives the state of a CPU's real-time queue; an unknown CPU's is zero.
func (m *Machine) RT(cpu CPU) RTState {
	if !known(m.rqs, cpu) {
		return RTState{}
	}
	r := &m.rqs[cpu].rt
	return RTState{r.nrRunning, r.time, r.runtime, r.throttled}
}

// SetRT takes over the budget of a CPU's real-time queue, but not its tasks.
func (k Kernel) SetRT(cpu CPU, s RTState) {
	rq := &k.m.rqs[cpu]
	k.m.rtUncount(rq)
	rq.rt.time, rq.rt.runtime, rq.rt.throttled = s.Time, s.Runtime, s.Throttled
	k.m.rtCount(rq)
}

// SetRTPeriodActive says whether the timer of the real-time budget runs.
func (k Kernel) SetRTPeriodActive(active bool) { k.m.rtPeriodActive = active }

// TimeSlice is what a SCHED_RR task has left, in ticks; 0 for an unknown task.
func (m *Machine) TimeSlice(t TaskID) uint32 {
	if !known(m.tasks, t) {
		return 0
	}
	return m.tasks[t].rt.timeSlice
}

// SetTimeSlice takes over what a SCHED_RR task has left, in ticks.
func (k Kernel) SetTimeSlice(t TaskID, ticks uint32) { k.m.tasks[t].rt.timeSlice = ticks }

// DeadlineState is what a deadline task holds. Times are ns; Deadline is
// absolute.
type DeadlineState struct {
	Runtime                int64 // left
	Deadline               uint64
	RuntimeMax             uint64 // runtime of an instance
	RelDeadline, Period    uint64
	Throttled, Yielded     bool
	NonContending, Overrun bool
	Inactive               uint64 // rq clock of the 0-lag time at which [Kernel.InactiveTimer] is due, 0: none
}

// Deadline gives a task's deadline state; an unknown one's is zero.
func (m *Machine) Deadline(t TaskID) DeadlineState {
	if !known(m.tasks, t) {
		return DeadlineState{}
	}
	d := &m.tasks[t].dl
	return DeadlineState{d.runtime, d.deadline, d.dlRuntime, d.dlDeadline, d.dlPeriod, d.throttled, d.yielded, d.nonContending, d.overrun,
		d.inactive}
}

// SetDeadlineState takes over what is left to a deadline task, and its flags;
// its place in the queue follows.
func (k Kernel) SetDeadlineState(t TaskID, s DeadlineState) {
	m := k.m
	d := &m.tasks[t].dl
	d.runtime, d.throttled, d.yielded = s.Runtime, s.Throttled, s.Yielded
	if d.deadline == s.Deadline {
		return
	}
	d.deadline = s.Deadline
	if rq := m.rqOfTask(t); m.dlNodes[t].linked {
		rq.dl.tree.erase(m.dlNodes, int32(t))
		m.dlNodes[t].key = d.deadline
		rq.dl.tree.insert(m.dlNodes, int32(t))
	}
}

// SeedRT puts a real-time task, that was runnable before, at the end of its
// list.
func (k Kernel) SeedRT(t TaskID) {
	m := k.m
	rq, e := m.rqOfTask(t), &m.tasks[t].rt
	if e.queued || m.tasks[t].class != ClassRT {
		return
	}
	m.rtUncount(rq)
	m.rtList(&rq.rt, t, false)
	e.queued = true
	m.tasks[t].onRQ = queued
	rq.rt.nrRunning++
	m.rtRunnable++
	m.rtCount(rq)
}
