package sched

import (
	"errors"
	"math/rand/v2"
	"strconv"
)

// Preempt is a preemption model: when a task that runs in the kernel gives way.
// In user mode it always does at once.
type Preempt uint8

// The preemption models of Linux.
const (
	PreemptNone      Preempt = iota // PREEMPT_NONE: when the kernel work ends
	PreemptVoluntary                // PREEMPT_VOLUNTARY: the same here, where kernel work has no points of its own
	PreemptFull                     // PREEMPT: at once, unless preemption is disabled
	PreemptLazy                     // PREEMPT_LAZY: at once for higher classes, for fair tasks at the next tick
	PreemptRT                       // PREEMPT_RT: as PREEMPT
)

// TaskSpec describes a task of a simulation.
type TaskSpec struct {
	Comm    string // name, at most 15 bytes are printed
	Attr    Attr
	Group   GroupID
	CPUs    CPUMask // CPUs that it may use; nil: all
	Start   uint64  // ns
	Program Program
}

// Locker is a set of locks that programs use. Lock says whether the task got
// the lock; if not it sleeps until the Locker wakes it with [Sim.Wake], owning
// the lock then. Both may give tasks a donor by [Kernel.SetDonor].
type Locker interface {
	Lock(s *Sim, t TaskID, lock int64) (got bool, err error)
	Unlock(s *Sim, t TaskID, lock int64) error
}

// Interrupt is a source of interrupts: every Period ns from First on, one that
// takes Cost ns of a CPU. The time is not charged to the task that it
// interrupts.
type Interrupt struct {
	CPU                 CPU
	First, Period, Cost uint64
}

// SimConfig describes a simulation.
type SimConfig struct {
	Config
	Preempt    Preempt
	Seed       uint64 // of the tasks' random draws
	Topology   Topology
	SwitchCost uint64 // ns of each context switch, charged to the task that begins
	Interrupts []Interrupt
	Specs      []TaskSpec // what OpFork starts
	Attrs      []Attr     // what OpAttr sets
	Masks      []CPUMask  // what OpAffinity sets
	Locks      Locker
}

// Sim runs a machine by itself: tasks with programs, timers, interrupts, wake-up
// placement and load balancing, in simulated time. The same configuration gives
// the same events, always.
type Sim struct {
	m     *Machine
	k     Kernel
	cfg   SimConfig
	now   uint64
	tick  uint64 // ns between ticks
	heap  eventHeap
	seq   uint64
	tasks []simTask
	comms []string // names of tasks
	// programs are those of tasks, by a hash of their steps.
	programs map[uint64]Program
	cpus     []simCPU
	chans    []channel
	steps    int // of programs since time moved last
	events   uint64
	sink     func(*SimEvent)
	event    SimEvent
	failed   error
	// Load balancing by loads: the levels of the scheduling domains, each CPU's
	// state of them, and the tick from which idle CPUs balance again. Without load
	// tracking there are no levels.
	levels       []domain
	domainStates []domainState
	cpusets      []cpuset    // by group
	cpusetsUsed  bool        // one was written
	asked        []CPUMask   // by task: the CPUs that it asked for, nil: all
	caches       []llcState  // with levels: by last cache
	wakes        []wakeState // with levels: by task
	moving       []TaskID    // that a balancing has taken off a CPU
	nextIdle     uint64
	overload     bool // a CPU may have more than one task (root_domain.overload)
	// inTimer: a timer's interrupt is waking a task.
	inTimer bool
}

// simTask is what a simulation knows of a task besides the scheduler. It is three
// cache lines: what each step needs, what some do, and the figures; with 100,000
// tasks most of a simulation's time is waiting for memory.
type simTask struct {
	prog    Program
	left    uint64 // ns of the present step
	wokenAt uint64
	start   uint64
	pc      int32
	wakeGen uint32
	waiter  TaskID // next in the queue of a channel
	mode    Op     // OpCompute, OpKernel or OpAtomic
	asleep  bool
	exited  bool
	fresh   bool // was woken and has not run yet

	cpus  CPUMask
	rng   rand.PCG
	loops []int64 // by step: how often an OpRepeat went back

	stats taskFigures
}

// taskFigures are what a simulation counts of a task for its [TaskTimes].
type taskFigures struct {
	wait, sumLatency, maxLatency, waitFrom      uint64 // ns
	wakeups, voluntary, involuntary, migrations uint64
}

// simCPU is what a simulation knows of a CPU besides its run queue.
type simCPU struct {
	since    uint64 // when the running task's present step went on
	gen      uint32 // of the event that ends the step
	irq      uint64 // ns spent in interrupts
	ticking  bool
	balanced uint64 // when load was balanced last
	// nextBalance is the tick from which on a domain's time may have come.
	nextBalance uint64
	idleAt      uint64 // since when it is idle
	idle        uint64 // ns idle
	distributed CPU    // of several CPUs, the one that was chosen here last
}

type channel struct {
	tokens      int64
	first, last TaskID
}

// TaskTimes are a task's figures. Times are ns.
type TaskTimes struct {
	Run         uint64 // on a CPU
	Wait        uint64 // runnable, but not running
	MaxLatency  uint64 // from being woken to running
	Wakeups     uint64
	SumLatency  uint64
	Voluntary   uint64 // switches because it slept, waited or yielded
	Involuntary uint64 // because it was preempted
	Migrations  uint64
}

// ErrStuck says that programs went on and on without using time.
var ErrStuck = errors.New("sched: programs do more than a million steps without using time")

const maxSteps = 1 << 20

// NewSim makes a simulation at time 0 with its Specs' tasks still to be started:
// see [Sim.Spawn].
func NewSim(cfg SimConfig) (*Sim, error) {
	switch cfg.Preempt {
	case PreemptLazy:
		cfg.LazyPreemption = true
	case PreemptNone, PreemptVoluntary, PreemptFull, PreemptRT:
	default:
		return nil, &ConfigError{Field: "Preempt", Value: int64(cfg.Preempt), Want: "a preemption model"}
	}
	m, err := New(cfg.Config)
	if err != nil {
		return nil, err
	}
	if err := cfg.Topology.fill(cfg.CPUs); err != nil {
		return nil, err
	}
	for i, irq := range cfg.Interrupts {
		if int(irq.CPU) < 0 || int(irq.CPU) >= cfg.CPUs || irq.Period == 0 || irq.Cost >= irq.Period {
			return nil, &ConfigError{Field: "Interrupts", Value: int64(i), Want: "a CPU of the machine and a cost below the period"}
		}
	}
	s := &Sim{m: m, k: m.Kernel(), cfg: cfg, tick: sec / uint64(m.cfg.HZ), cpus: make([]simCPU, cfg.CPUs)}
	for i := range cfg.Specs {
		if err := s.checkProgram(cfg.Specs[i].Comm, cfg.Specs[i].Program); err != nil {
			return nil, err
		}
	}
	m.wantTimers = true
	if cfg.CPUs > 1 {
		m.later = newLaterHeap(cfg.CPUs)
	}
	if cfg.LoadTracking && cfg.CPUs > 1 {
		s.levels = buildDomains(&s.cfg.Topology, cfg.CPUs)
		s.domainStates = make([]domainState, cfg.CPUs*len(s.levels))
		for cpu := range cfg.CPUs {
			for level := range s.levels {
				s.domainOf(CPU(cpu), level).interval = s.minInterval(&s.levels[level])
			}
		}
		m.keepRecent()
		s.newCaches()
		s.wakes = make([]wakeState, cfg.CPUs)
		for cpu := range s.wakes {
			s.wakes[cpu] = wakeState{lastWakee: NoTask, recent: CPU(cpu)}
		}
	}
	m.updateExtra()
	s.tasks = make([]simTask, len(m.tasks))
	for i := range s.tasks {
		s.tasks[i].waiter = NoTask
		s.comms = append(s.comms, "swapper/"+strconv.Itoa(i))
		s.asked = append(s.asked, nil)
	}
	for i, irq := range cfg.Interrupts {
		s.at(irq.First, simIRQ, int32(i), 0)
	}
	return s, nil
}

// Machine is the simulation's machine, to look at.
func (s *Sim) Machine() *Machine { return s.m }

// Events is how much has happened so far: timers, wake-ups and switches.
func (s *Sim) Events() uint64 { return s.events }

// Now is the simulation's time in ns.
func (s *Sim) Now() uint64 { return s.now }

// has says that there is such a task.
func (s *Sim) has(t TaskID) bool { return t >= 0 && int(t) < len(s.tasks) }

// Comm is a task's name; an unknown task has none.
func (s *Sim) Comm(t TaskID) string {
	if !s.has(t) {
		return ""
	}
	return s.comms[t]
}

// Times gives a task's figures up to now; those of an unknown task are 0.
func (s *Sim) Times(t TaskID) TaskTimes {
	if !s.has(t) {
		return TaskTimes{}
	}
	f := &s.tasks[t].stats
	x := TaskTimes{Wait: f.wait, MaxLatency: f.maxLatency, Wakeups: f.wakeups, SumLatency: f.sumLatency,
		Voluntary: f.voluntary, Involuntary: f.involuntary, Migrations: f.migrations}
	x.Run = s.m.ents[s.m.tasks[t].se].sumExec
	if cpu := s.m.tasks[t].cpu; s.m.rqs[cpu].curr == t {
		x.Run += s.now - s.cpus[cpu].irq - s.m.ents[s.m.tasks[t].se].execStart
	}
	return x
}

// Exited says that a task has ended.
func (s *Sim) Exited(t TaskID) bool { return s.has(t) && s.tasks[t].exited }

// IdleTime is how long a CPU was idle, in ns.
func (s *Sim) IdleTime(cpu CPU) uint64 {
	c := &s.cpus[cpu]
	if s.m.rqs[cpu].curr == s.m.rqs[cpu].idle {
		return c.idle + s.now - c.idleAt
	}
	return c.idle
}

// Spawn adds a task, to be started at its spec's time. Its pid is its index
// among the tasks plus 1000.
func (s *Sim) Spawn(spec TaskSpec) (TaskID, error) {
	if err := s.checkProgram(spec.Comm, spec.Program); err != nil {
		return NoTask, err
	}
	if spec.Start < s.now {
		return NoTask, &ConfigError{Field: "Start", Value: int64(spec.Start), Want: "not before the simulation's time"}
	}
	t, err := s.create(&spec, s.firstCPU(spec.CPUs))
	if err != nil {
		return NoTask, err
	}
	s.at(spec.Start, simStart, int32(t), 0)
	return t, nil
}

// SpawnAll spawns the configuration's Specs.
func (s *Sim) SpawnAll() ([]TaskID, error) {
	var out []TaskID
	for i := range s.cfg.Specs {
		t, err := s.Spawn(s.cfg.Specs[i])
		if err != nil {
			return out, err
		}
		out = append(out, t)
	}
	return out, nil
}

// create makes a task that is not woken yet.
func (s *Sim) create(spec *TaskSpec, cpu CPU) (TaskID, error) {
	if !known(s.m.groups, spec.Group) {
		return NoTask, &ConfigError{Field: "Group", Value: int64(spec.Group), Want: "a group of the machine"}
	}
	cpus, ok := s.within(spec.Group, spec.CPUs)
	if !ok {
		return NoTask, &ConfigError{Field: "CPUs", Value: 0, Want: "a mask with a CPU of the machine, and of the group's cpuset"}
	}
	a := spec.Attr
	if err := s.m.checkAttr(NoTask, &a); err != nil {
		return NoTask, err
	}
	if err := s.m.checkClamps(NoTask, &a); err != nil {
		return NoTask, err
	}
	pid := int32(1000 + len(s.tasks))
	t, err := s.k.AddTask(TaskInfo{PID: pid, TGID: pid, Policy: a.Policy, Nice: a.Nice, RTPriority: a.RTPriority, CPU: cpu, Group: spec.Group, State: StateNew})
	if err != nil {
		return NoTask, err
	}
	s.m.setClamps(t, &a)
	if a.Policy == PolicyDeadline {
		s.k.SetDeadline(t, a.Runtime, a.Deadline, a.Period, a.Reclaim)
		s.m.rqs[cpu].dl.thisBW += s.m.tasks[t].dl.bw
		s.m.updateExtra()
	}
	s.tasks = append(s.tasks, simTask{prog: s.shared(spec.Program), cpus: cpus, waiter: NoTask, asleep: true,
		rng: *rand.NewPCG(s.cfg.Seed, uint64(t))})
	s.comms = append(s.comms, spec.Comm)
	s.asked = append(s.asked, spec.CPUs)
	if s.caches != nil {
		s.wakes = append(s.wakes, wakeState{lastWakee: NoTask, recent: cpu})
	}
	return t, nil
}

// Run lets the simulation go on until a time, in ns. After an error the
// simulation stands still.
func (s *Sim) Run(until uint64) error {
	for s.failed == nil && len(s.heap) > 0 && s.heap[0].at <= until {
		e := s.heap.pop()
		if e.at > s.now {
			s.now, s.steps = e.at, 0
		}
		s.handle(&e)
		s.settle()
	}
	if s.failed == nil && until > s.now {
		s.now = until
	}
	return s.failed
}

func (s *Sim) fail(err error) {
	if s.failed == nil && err != nil {
		s.failed = err
	}
}

func (s *Sim) handle(e *simTimer) {
	s.events++
	switch e.kind {
	case simSegment:
		if cpu := CPU(e.id); e.gen == s.cpus[cpu].gen {
			s.charge(cpu)
			s.resume(cpu)
		}
	case simTick:
		s.timerTick(CPU(e.id))
	case simWake:
		if t := TaskID(e.id); e.gen == s.tasks[t].wakeGen {
			s.inTimer = true
			s.wake(t, s.m.tasks[t].cpu, false)
			s.inTimer = false
		}
	case simStart:
		s.startTask(TaskID(e.id), false)
	case simPool:
		s.poolTimer(GroupID(e.id))
	case simSlack:
		s.slackTimer(GroupID(e.id))
	case simRT:
		if s.m.rtPeriodTimer(1, s.clockOf) {
			s.at(s.now+s.m.tun.RTPeriodNS, simRT, 0, 0)
		}
	case simDL:
		s.replenish(TaskID(e.id), e.at)
	case simInactive:
		if t := TaskID(e.id); s.m.tasks[t].dl.inactive == e.at {
			s.clock(s.m.tasks[t].cpu)
			s.m.dlInactive(s.m.rqOfTask(t), t)
		}
	case simIRQ:
		s.interrupt(int(e.id))
	}
}

// replenish is the timer of a deadline task or, by the idle task, of a CPU's
// fair server; one that was set anew or stopped fires for nothing.
func (s *Sim) replenish(t TaskID, at uint64) {
	task := &s.m.tasks[t]
	if task.dl.timer == 0 || task.dl.timer > at {
		return
	}
	s.clock(task.cpu)
	if rq := &s.m.rqs[task.cpu]; t == rq.idle {
		s.m.serverTimer(rq)
	} else {
		s.m.dlTimer(rq, t)
		s.pushDL(task.cpu)
	}
}

// clock updates a CPU's clocks (update_rq_clock).
func (s *Sim) clock(cpu CPU) { s.k.SetClock(cpu, s.now, s.now-s.cpus[cpu].irq) }

func (s *Sim) clockOf(rq *runQueue) { s.clock(rq.cpu) }

// settle runs the timers that were started, and lets CPUs reschedule, until
// nothing is left to do now.
func (s *Sim) settle() {
	for i := 0; i < len(s.m.wants) && s.failed == nil; i++ {
		switch w := s.m.wants[i]; w.kind {
		case timerPool:
			b := &s.m.groups[w.id].bw
			if b.expires <= s.now {
				b.expires += (s.now-b.expires)/b.period*b.period + b.period
			}
			s.at(b.expires, simPool, w.id, 0)
		case timerSlack:
			s.startSlack(GroupID(w.id))
		case timerRT:
			s.at(s.now+1, simRT, 0, 0)
		case timerDL:
			s.at(max(s.m.tasks[w.id].dl.timer, s.now), simDL, w.id, 0)
		case timerInactive:
			s.at(max(s.m.tasks[w.id].dl.inactive, s.now), simInactive, w.id, 0)
		case timerResched:
			s.kick(CPU(w.id))
		}
	}
	s.m.wants = s.m.wants[:0]
}

// kick reschedules a CPU that was asked to, if its task may be interrupted now.
func (s *Sim) kick(cpu CPU) {
	rq := &s.m.rqs[cpu]
	if !rq.needResched && !rq.lazyResched || !s.preemptible(cpu) {
		return
	}
	s.charge(cpu)
	s.schedule(cpu, false)
	s.resume(cpu)
}

// preemptible says that a CPU's running task gives way now.
func (s *Sim) preemptible(cpu CPU) bool {
	rq := &s.m.rqs[cpu]
	if rq.curr == rq.idle {
		return true
	}
	switch s.tasks[rq.curr].mode {
	case OpKernel:
		return s.cfg.Preempt == PreemptFull || s.cfg.Preempt == PreemptRT || s.cfg.Preempt == PreemptLazy && rq.needResched
	case OpAtomic:
		return false
	}
	return true
}

// charge takes the time that the running task has used off its present step.
func (s *Sim) charge(cpu CPU) {
	rq, c := &s.m.rqs[cpu], &s.cpus[cpu]
	if rq.curr == rq.idle || s.now <= c.since {
		return
	}
	t := &s.tasks[rq.curr]
	t.left -= min(t.left, s.now-c.since)
	c.since = s.now
}

// schedule picks a CPU's next task; voluntary says that the running one goes to
// sleep or yields.
func (s *Sim) schedule(cpu CPU, voluntary bool) {
	s.clock(cpu)
	prev, next := s.k.Schedule(cpu)
	if next == s.k.Idle(cpu) && s.newIdle(cpu) {
		s.clock(cpu)
		_, next = s.k.Schedule(cpu)
	}
	if prev == next {
		return
	}
	s.switched(cpu, prev, next, voluntary)
}

// switched notes a switch from one task to another.
func (s *Sim) switched(cpu CPU, prev, next TaskID, voluntary bool) {
	c := &s.cpus[cpu]
	s.events++
	c.gen++
	c.since = s.now
	idle := s.k.Idle(cpu)
	if prev != idle {
		st := &s.tasks[prev].stats
		if voluntary {
			st.voluntary++
		} else {
			st.involuntary++
		}
		st.waitFrom = s.now
	} else {
		c.idle += s.now - c.idleAt
	}
	if next == idle {
		c.idleAt = s.now
		s.becameIdle(cpu)
	} else {
		s.begins(cpu, next)
	}
	s.emitSwitch(cpu, prev, next, !voluntary)
	if s.tasks[prev].exited {
		s.k.Dead(prev)
	}
	s.pullDL(cpu)
	s.pullRT(cpu)
	s.pushDL(cpu)
	s.pushRTs(cpu)
}

// begins notes that a task comes to a CPU.
func (s *Sim) begins(cpu CPU, next TaskID) {
	t := &s.tasks[next]
	t.stats.wait += s.now - t.stats.waitFrom
	if t.fresh {
		t.fresh = false
		latency := s.now - t.wokenAt
		t.stats.sumLatency += latency
		t.stats.maxLatency = max(t.stats.maxLatency, latency)
		s.emit(SimEvent{Kind: SimRuns, CPU: cpu, Task: next, Value: latency})
	}
	if t.left > 0 {
		t.left += s.cfg.SwitchCost
	}
	s.startTick(cpu)
}

// startTick lets a CPU tick again after it was idle, at the same phase.
func (s *Sim) startTick(cpu CPU) {
	if c := &s.cpus[cpu]; !c.ticking {
		c.ticking = true
		s.at(s.now+s.tick-s.now%s.tick, simTick, int32(cpu), 0)
	}
}

// timerTick is the periodic tick (scheduler_tick); an idle CPU stops it.
func (s *Sim) timerTick(cpu CPU) {
	rq := &s.m.rqs[cpu]
	if rq.curr == rq.idle {
		s.cpus[cpu].ticking = false
		return
	}
	s.at(s.now+s.tick, simTick, int32(cpu), 0)
	s.clock(cpu)
	if rq.lazyResched {
		s.m.resched(rq)
	}
	s.fail(s.k.Tick(cpu))
	s.balance(cpu)
}

// interrupt takes a CPU's time: the running task's step lasts longer, and its
// clock stands still.
func (s *Sim) interrupt(i int) {
	irq := &s.cfg.Interrupts[i]
	s.at(s.now+irq.Period, simIRQ, int32(i), 0)
	c, rq := &s.cpus[irq.CPU], &s.m.rqs[irq.CPU]
	s.charge(irq.CPU)
	s.clock(irq.CPU)
	c.irq += irq.Cost
	if rq.curr != rq.idle {
		c.since += irq.Cost
		c.gen++
		s.at(c.since+s.tasks[rq.curr].left, simSegment, int32(irq.CPU), c.gen)
	}
}

// poolTimer is the period timer of a group's bandwidth.
func (s *Sim) poolTimer(g GroupID) {
	b := &s.m.groups[g].bw
	b.expires = s.now + b.period
	if s.m.periodTimer(g, 1, s.clockOf) {
		s.at(b.expires, simPool, int32(g), 0)
	}
}

// How long given back runtime is gathered before it is handed out, and how near
// the next refill must not be.
const (
	slackDelay = 5 * msec
	refillNear = 2 * msec
)

func (s *Sim) startSlack(g GroupID) {
	b := &s.m.groups[g].bw
	if !b.active || b.expires < s.now+slackDelay+refillNear {
		b.slackStarted = false
		return
	}
	s.at(s.now+slackDelay, simSlack, int32(g), 0)
}

func (s *Sim) slackTimer(g GroupID) {
	b := &s.m.groups[g].bw
	b.slackStarted = false
	if b.expires >= s.now+refillNear && b.quota != RuntimeInf && b.runtime > s.m.tun.BandwidthSliceNS {
		s.m.distribute(b, s.clockOf)
	}
}
