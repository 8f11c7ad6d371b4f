package sched

// Config describes a machine.
type Config struct {
	CPUs     int       // number of CPUs, 1 to 8192
	Profile  Profile   // kernel version; the zero value is not valid
	Tunables *Tunables // tunables as they are; nil: the profile's, scaled by CPUs
	HZ       int       // timer ticks a second; 0: 250
	// LoadTracking turns PELT on. Without it a group's entity always has its
	// group's full weight, as on one CPU, and a Sim of several CPUs balances by
	// numbers of tasks instead of loads, which is quicker and less exact.
	LoadTracking bool
	// ClampBuckets turns utilization clamping on: CONFIG_UCLAMP_BUCKETS_COUNT, 5 to
	// 20; 0: no clamping, as in Debian's kernels.
	ClampBuckets int
	// LazyPreemption is PREEMPT_RT of 6.1 (and PREEMPT_LAZY later): a fair
	// task's preemption by a fair one waits for the next tick or return to
	// user space.
	LazyPreemption bool
}

const maxCPUs = 8192

// Machine is the scheduler of one simulated machine: its CPUs' run queues, its
// tasks and its task groups. It is a plain value without goroutines; all times
// are nanoseconds of simulated clocks. A Machine must not be copied and not be
// used by two goroutines at once.
type Machine struct {
	cfg    Config
	prof   Profile
	tun    Tunables
	fair   fairPolicy
	rqs    []runQueue
	recent []recentTasks // by CPU, nil: not kept
	clamps *clampState   // nil: no utilization clamping
	tasks  []task
	ents   []entity
	nodes  []rbNode // of ents
	queues []cfsQueue
	groups []group
	// dlNodes are the tasks' nodes in the trees of the deadline class.
	dlNodes        []rbNode
	later          *laterHeap  // where deadline tasks are pushed, nil: nobody asks
	rtPeriodActive bool        // the timer of the real-time budget runs
	rtRunnable     int         // real-time tasks that are runnable, on all CPUs
	dlRunnable     int         // deadline tasks and servers that are runnable, on all CPUs
	wants          []timerWant // timers that the last steps started, if wantTimers
	// wantTimers: somebody (a Sim) runs the timers.
	wantTimers bool
	hooks      Hooks
	probe      Probe      // argument of hooks.Probe
	event      TraceEvent // argument of hooks.Trace
}

// runQueue is what a CPU schedules from (struct rq).
type runQueue struct {
	cpu          CPU
	clock        uint64 // rq_clock
	clockTask    uint64 // rq_clock_task: clock without interrupts' and stolen time
	clockPelt    uint64 // clockTask scaled by the CPU's capacity
	lostIdle     uint64 // idle time that a fully used CPU lost for PELT
	peltIdle     uint64 // rq_clock_pelt when it last was idle
	clockIdle    uint64 // clock then
	nrRunning    uint32
	curr, idle   TaskID
	root         QueueID
	stop         TaskID // stopper thread that is runnable, NoTask if none
	needResched  bool   // TIF_NEED_RESCHED of curr
	lazyResched  bool   // TIF_NEED_RESCHED_LAZY of curr
	estimate     uint32 // util_est of its fair tasks
	rt           rtQueue
	dl           dlQueue
	avgRT, avgDL loadAvg
}

// task is a task_struct as far as the scheduler looks at it.
type task struct {
	pid, tgid  int32
	policy     Policy
	class      Class
	rtPriority uint8 // 0 to 99
	prio       int16 // effective, with a donor's boost
	normalPrio int16 // without boost
	staticPrio int16 // from the nice value
	state      State
	onRQ       onRQ
	inIowait   bool
	cpu        CPU
	group      GroupID
	se         EntityID
	remote     bool // woken by another CPU that has not queued it yet
	stats      taskStats
	rt         rtEntity
	dl         dlEntity
	// moreRecent and lessRecent are its neighbours in recentTasks.
	moreRecent, lessRecent TaskID
}

// onRQ is task_struct.on_rq.
type onRQ uint8

const (
	offRQ       onRQ = iota
	queued           // TASK_ON_RQ_QUEUED
	onMigrating      // TASK_ON_RQ_MIGRATING
)

// taskStats are a task's sched_statistics. Starts are rq_clock, 0 if not
// running.
type taskStats struct {
	waitStart, sleepStart, blockStart uint64
}

// New makes a machine: all CPUs idle, clocks at 0, only the root group.
func New(cfg Config) (*Machine, error) {
	if cfg.CPUs < 1 || cfg.CPUs > maxCPUs {
		return nil, &ConfigError{Field: "CPUs", Value: int64(cfg.CPUs), Want: "1 to 8192"}
	}
	if cfg.Profile.Name == "" {
		return nil, &ConfigError{Field: "Profile", Want: "a profile such as Linux6_1"}
	}
	if cfg.HZ == 0 {
		cfg.HZ = 250
	}
	if cfg.HZ < 1 || cfg.HZ > 10000 {
		return nil, &ConfigError{Field: "HZ", Value: int64(cfg.HZ), Want: "1 to 10000"}
	}
	m := &Machine{cfg: cfg, prof: cfg.Profile}
	if cfg.Tunables != nil {
		m.tun = *cfg.Tunables
	} else {
		m.tun = cfg.Profile.Tunables.Scale(cfg.CPUs)
	}
	if m.tun.RRTimesliceTicks == 0 {
		m.tun.RRTimesliceTicks = uint32(max(1, cfg.HZ/10))
	}
	m.fair = &cfs{m}
	if cfg.Profile.EEVDF {
		m.fair = &eevdf{m}
	}
	if b := cfg.ClampBuckets; b != 0 {
		if b < minClampBuckets || b > maxClampBuckets {
			return nil, &ConfigError{Field: "ClampBuckets", Value: int64(b), Want: "5 to 20, or 0"}
		}
		m.clamps = newClamps(cfg.CPUs, b)
	}
	m.rqs = make([]runQueue, cfg.CPUs)
	m.groups = []group{newGroup(NoGroup, nice0Load)}
	for i := range m.rqs {
		rq := &m.rqs[i]
		rq.cpu, rq.stop = CPU(i), NoTask
		rq.root = m.newQueue(RootGroup, rq.cpu)
		m.groups[RootGroup].queues = append(m.groups[RootGroup].queues, rq.root)
		rq.rt.init()
		rq.rt.runtime = m.tun.RTRuntimeNS
		rq.dl.init()
		rq.idle = m.newTask(task{class: ClassIdle, policy: PolicyNormal, prio: maxPrio, normalPrio: maxPrio, staticPrio: maxPrio, cpu: rq.cpu})
		rq.curr = rq.idle
	}
	return m, nil
}

// SetHooks sets the functions that watch the machine.
func (m *Machine) SetHooks(h Hooks) { m.hooks = h }

// CPUs is the number of CPUs.
func (m *Machine) CPUs() int { return len(m.rqs) }

// Tasks is the number of tasks, the idle task of each CPU included; TaskIDs are
// below it.
func (m *Machine) Tasks() int { return len(m.tasks) }

// Profile is the kernel that the machine models.
func (m *Machine) Profile() Profile { return m.prof }

// Tunables gives the values in use.
func (m *Machine) Tunables() Tunables { return m.tun }

func (m *Machine) newTask(t task) TaskID {
	id := TaskID(len(m.tasks))
	t.se = m.newEntity(entity{task: id, myQ: None, parent: None, queue: None})
	t.rt.init()
	t.rt.timeSlice = m.tun.RRTimesliceTicks
	t.dl.init()
	m.tasks = append(m.tasks, t)
	m.dlNodes = append(m.dlNodes, rbNode{})
	if m.clamps != nil {
		m.clamps.addTask(&t)
	}
	return id
}

func (m *Machine) newEntity(e entity) EntityID {
	m.ents = append(m.ents, e)
	m.nodes = append(m.nodes, rbNode{})
	return EntityID(len(m.ents) - 1)
}

func (m *Machine) newQueue(g GroupID, cpu CPU) QueueID {
	id := QueueID(len(m.queues))
	m.queues = append(m.queues, cfsQueue{id: id, cpu: cpu, group: g, curr: None, next: None, last: None, skip: None,
		tree: emptyTree(m.prof.EEVDF), entity: None,
		throttledPrev: None, throttledNext: None})
	m.fair.initQueue(&m.queues[id])
	return id
}

func (m *Machine) feat(f Features) bool { return m.tun.Features&f != 0 }

func (m *Machine) rqOfTask(t TaskID) *runQueue { return &m.rqs[m.tasks[t].cpu] }

// resched marks the running task of a CPU to be rescheduled (resched_curr).
func (m *Machine) resched(rq *runQueue) {
	m.probeTask(PointReschedCurr, rq, rq.curr, 0)
	rq.needResched = true
	m.want(timerResched, int32(rq.cpu))
}

// reschedLazy asks for a fair preemption, which waits on kernels with lazy
// preemption unless the running task is the idle one (resched_curr_lazy).
func (m *Machine) reschedLazy(rq *runQueue) {
	if !m.cfg.LazyPreemption {
		m.resched(rq)
		return
	}
	m.probeTask(PointReschedCurrLazy, rq, rq.curr, 0)
	rq.lazyResched = true
	m.want(timerResched, int32(rq.cpu))
}

// timerWant is a timer that the model has started and whoever keeps the time
// has to run.
type timerWant struct {
	kind timerKind
	id   int32 // group or task
}

type timerKind uint8

const (
	timerPool     timerKind = iota // period timer of a group's bandwidth
	timerSlack                     // late distribution of runtime that was given back
	timerRT                        // period timer of the real-time budget
	timerDL                        // replenishment of a deadline task
	timerInactive                  // 0-lag time of a deadline task
	timerResched                   // no timer: a CPU has to reschedule; id is the CPU
)

func (m *Machine) want(kind timerKind, id int32) {
	if m.wantTimers {
		m.wants = append(m.wants, timerWant{kind, id})
	}
}
