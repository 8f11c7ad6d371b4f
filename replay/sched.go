package replay

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// A scheduler replay walks along a trace whose lines are the entries of the
// scheduler's functions. Lines that say what happened to the scheduler (a
// tick, a task that becomes runnable, a system call) are fed to the model; the
// model then enters its own functions, and each entry is compared with the next
// line of that CPU: the function, the entity, and every value that the line
// shows. A value that differs is counted once and taken over, so that one
// difference does not bring others.

// hasSched recognizes a scheduler capture: a trace with the tunables.
func hasSched(c Capture) bool {
	return c.Has("trace.txt") && c.Has("tunables/debug_sched.txt")
}

// Sched replays the scheduler. A trace whose lines contradict each other too much
// gives a [ContradictionError].
func Sched(ctx context.Context, c Capture, o Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	f, name, err := c.Open("trace.txt")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := loadSched(f, name)
	if err != nil {
		return nil, err
	}
	m, err := sched.New(schedConfig(c, meta, t))
	if err != nil {
		return nil, err
	}
	r := newSchedReplay(m, t, c.text("probes.txt"))
	r.cgroups = readCgroups(c.text("before/cgroup.txt"))
	r.limits = limitsOf(r.cgroups)
	r.scan.nameQueues(readCgroups(c.text("after/cgroup.txt")))
	r.scan.uniteQueues()
	r.scan.mergePools()
	r.res = &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "sched"}
	addCount(&r.res.Notes, "probes that the recorder missed, so that lines are not there", meta.ProbeMisses)
	if err := r.build(); err != nil {
		return nil, err
	}
	if err := r.run(ctx, &o); err != nil {
		return nil, err
	}
	r.summarize()
	return r.res, nil
}

// schedConfig is the machine that a capture describes.
func schedConfig(c Capture, meta Meta, t *schedTrace) sched.Config {
	cfg := sched.Config{CPUs: max(1, meta.CPUs, t.cpus), Profile: sched.Linux6_1, HZ: 250}
	if t.seen[entry(sched.PointPickEEVDF)] > 0 {
		cfg.Profile = sched.Debian6_12
	}
	cfg.LoadTracking = t.seen[entry(sched.PointUpdateLoadAvgCFS)] > 0
	cfg.LazyPreemption = t.seen[entry(sched.PointReschedCurrLazy)] > 0 || strings.Contains(meta.Kernel, "-rt-")
	tun := cfg.Profile.Tunables.Scale(cfg.CPUs)
	readTunables(c.text("tunables/debug_sched.txt"), &tun)
	readTunables(c.text("tunables/sysctl.txt"), &tun)
	if ms := tunable(c.text("tunables/sysctl.txt"), "sched_rr_timeslice_ms"); ms > 0 {
		tun.RRTimesliceTicks = uint32(max(1, (ms*uint64(cfg.HZ)+999)/1000))
	}
	if tunable(c.text("tunables/debug_sched.txt"), "tunable_scaling") != 1 {
		tun.NrLatency = 0 // the scaling was set, and with it this
	}
	cfg.Tunables = &tun
	return cfg
}

// readTunables sets what a listing "name: value" or "name = value" of tunables
// has.
func readTunables(text string, t *sched.Tunables) {
	for line := range strings.Lines(text) {
		name, value := splitTunable(line)
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case name == "features":
			readFeatures(value, t)
		case err != nil:
		case name == "latency_ns":
			t.LatencyNS = uint64(n)
		case name == "min_granularity_ns":
			t.MinGranularityNS = uint64(n)
		case name == "idle_min_granularity_ns":
			t.IdleMinGranularityNS = uint64(n)
		case name == "wakeup_granularity_ns":
			t.WakeupGranularityNS = uint64(n)
		case name == "base_slice_ns":
			t.BaseSliceNS = uint64(n)
		case name == "migration_cost_ns":
			t.MigrationCostNS = uint64(n)
		case name == "sched_cfs_bandwidth_slice_us":
			t.BandwidthSliceNS = uint64(n) * 1000
		case name == "sched_child_runs_first":
			t.ChildRunsFirst = n != 0
		case name == "sched_rt_period_us":
			t.RTPeriodNS = uint64(n) * 1000
		case name == "sched_rt_runtime_us":
			t.RTRuntimeNS = sched.RuntimeInf
			if n >= 0 {
				t.RTRuntimeNS = uint64(n) * 1000
			}
		}
	}
}

func splitTunable(line string) (name, value string) {
	i := strings.IndexAny(line, ":=")
	if i < 0 {
		f := strings.Fields(line)
		if len(f) == 2 {
			return f[0], f[1]
		}
		return "", ""
	}
	name = strings.TrimSpace(line[:i])
	return name[strings.LastIndexByte(name, '/')+1:], strings.TrimSpace(line[i+1:])
}

func tunable(text, want string) uint64 {
	for line := range strings.Lines(text) {
		if name, value := splitTunable(line); name == want {
			n, _ := strconv.ParseUint(value, 10, 32)
			return n
		}
	}
	return 0
}

func readFeatures(value string, t *sched.Tunables) {
	for name := range strings.FieldsSeq(value) {
		plain, off := strings.CutPrefix(name, "NO_")
		f, ok := sched.FeatureByName(plain)
		switch {
		case !ok:
		case off:
			t.Features &^= f
		default:
			t.Features |= f
		}
	}
}

// schedReplay is a replay under way.
type schedReplay struct {
	m    *sched.Machine
	k    sched.Kernel
	t    *schedTrace
	scan *schedScan
	res  *Result

	queueOf  map[uint64]sched.QueueID
	groupOf  map[uint64]sched.GroupID
	rootOf   []sched.QueueID
	entityAt map[uint64]sched.EntityID // by address, as last seen
	taskOf   map[int32]sched.TaskID
	pools    map[uint64]uint64       // by the timer's address: a queue of the pool
	cgroups  map[string]*cgroupState // by path: before the trace
	limits   []cpuMax
	present  [eventsEnd]bool // events that the trace records
	knownE   []fieldSet      // by entity: fields that the model knows
	knownQ   []fieldSet      // by queue

	knownLoadE map[sched.EntityID]bool // entities whose load average the model knows
	knownLoadQ map[sched.QueueID]bool
	arriving   map[sched.EntityID]string // entities of unknown load that go to another CPU: the kind of hint
	statKnown  map[statKey]bool
	rtKnown    map[sched.CPU]bool // CPUs whose real-time queue it knows
	peltClock  map[sched.CPU]bool // CPUs whose clock of load tracking it knows

	pendingAttr map[int32]attr               // by pid: system calls whose effect comes with a later line
	boosts      map[int32]int                // by pid: priority that a donor gives
	changing    map[sched.TaskID]classChange // tasks that changed, of which their classes are not told yet
	at          int32                        // next line of the CPU that is at work, -1 at its end
	ended       bool                         // the search for the last line found the end of the trace
	adopted     int
	deferred    map[int32]int32 // several CPUs: by line, the operation that takes effect there
	moved       sched.TaskID    // task that is changing its group
	deadlines   []sched.TaskID  // tasks that have or had deadline parameters
	dying       []sched.TaskID  // tasks that have left for good, whose load is still in their queue
	held        []bool          // by CPU: its lines belong to an operation that is put off
}

// attr are scheduling attributes that a system call sets.
type attr struct {
	policy     sched.Policy
	nice       int
	rtPriority int
	dl         [3]uint64
	reclaim    bool
	keepWeight bool // only the priority changes
	keepSlice  bool // only the nice value changes
	donated    bool // a donor comes or goes
	donor      sched.TaskID
}

func newSchedReplay(m *sched.Machine, t *schedTrace, probes string) *schedReplay {
	r := &schedReplay{m: m, t: t, queueOf: map[uint64]sched.QueueID{}, groupOf: map[uint64]sched.GroupID{}, entityAt: map[uint64]sched.EntityID{},
		taskOf: map[int32]sched.TaskID{}, pools: map[uint64]uint64{}, pendingAttr: map[int32]attr{}, deferred: map[int32]int32{},
		held: make([]bool, t.cpus), knownLoadE: map[sched.EntityID]bool{}, knownLoadQ: map[sched.QueueID]bool{}, peltClock: map[sched.CPU]bool{},
		arriving: map[sched.EntityID]string{}, statKnown: map[statKey]bool{}, boosts: map[int32]int{}, rtKnown: map[sched.CPU]bool{}, changing: map[sched.TaskID]classChange{}}
	r.moved = sched.NoTask
	r.scan = scanSched(t)
	for e, n := range t.seen {
		r.present[e] = n > 0
	}
	for line := range strings.Lines(probes) {
		name, _, _ := strings.Cut(line, " ")
		if e, ok := schedEventNames[name[strings.LastIndexByte(name, '/')+1:]]; ok {
			r.present[e] = true
		}
	}
	// What a compiler puts into all callers has a probe, but no line.
	for caller, inlined := range map[sched.Point]sched.Point{sched.PointTaskTickDL: sched.PointUpdateCurrDL, sched.PointTaskTickRT: sched.PointUpdateCurrRT} {
		if t.seen[entry(caller)] > 0 && t.seen[entry(inlined)] == 0 {
			r.present[entry(inlined)] = false
		}
	}
	h := sched.Hooks{Probe: r.onProbe, Trace: r.onTrace}
	if !r.tracksLoad() {
		h.Share = r.share
	}
	m.SetHooks(h)
	return r
}

// progressEvery is how many lines lie between two reports.
const progressEvery = 4096

// ContradictionError says that the lines of a scheduler trace contradict each
// other so much that the model's state came apart: lines are missing or broken.
type ContradictionError struct {
	Line int    // of the trace, where it showed
	What string // the model's own complaint
}

// Error names the line.
func (e *ContradictionError) Error() string {
	return fmt.Sprintf("trace line %d: the lines up to here contradict each other (%s)", e.Line, e.What)
}

// contradiction turns a model's run-time error into a [ContradictionError]. A
// replay takes over what lines show and no check can cover every mixture of
// states that broken ones make.
func (r *schedReplay) contradiction(at *int, err *error) {
	p := recover()
	if p == nil {
		return
	}
	broken, ok := p.(runtime.Error)
	if !ok {
		panic(p)
	}
	*err = &ContradictionError{Line: int(r.t.lines[*at].line), What: broken.Error()}
}

func (r *schedReplay) run(ctx context.Context, o *Options) (err error) {
	at := 0
	defer r.contradiction(&at, &err)
	for i := range r.t.lines {
		at = i
		if i%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if o.Progress != nil {
				o.Progress(float64(i) / float64(len(r.t.lines)))
			}
		}
		l := &r.t.lines[i]
		if addr, ok := r.scan.enable[int32(i)]; ok {
			r.enable(addr)
		}
		switch root, ok := r.deferred[int32(i)]; {
		case ok:
			delete(r.deferred, int32(i))
			r.held[l.cpu] = false
			r.operate(root)
			if !l.consumed {
				r.operate(int32(i))
			}
		case l.consumed || r.held[l.cpu]:
		case r.m.CPUs() > 1 && r.postpone(int32(i)):
		default:
			r.operate(int32(i))
			if o.ObserveSched != nil {
				o.ObserveSched(r.m)
			}
		}
	}
	return nil
}

// postpone lets an operation take effect only at the line where it begins to
// change the queue: what other CPUs see without a lock until then is the old
// state.
func (r *schedReplay) postpone(i int32) bool {
	l := &r.t.lines[i]
	at := r.t.next[i]
	if l.event == evDLTaskTimer && at > i+1 && r.t.pid(&r.t.lines[at], keyPid) == r.t.pid(l, keyPid) {
		// It waits for the lock of the task's queue.
		if e := r.t.lines[at].event; e == entry(sched.PointEnqueueTaskDL) || e == entry(sched.PointReplenishDL) {
			r.deferred[at] = i
			r.held[l.cpu] = true
			return true
		}
	}
	if !l.event.waitsForUpdate() {
		return false
	}
	for range 3 {
		if at < 0 {
			return false
		}
		switch e := r.t.lines[at].event; {
		case e == entry(sched.PointUpdateCurr):
			if at == i+1 {
				return false
			}
			r.deferred[at] = i
			r.held[l.cpu] = true
			return true
		case e != entry(sched.PointEnqueueEntity) && e != entry(sched.PointDequeueEntity):
			return false
		}
		at = r.t.next[at]
	}
	return false
}

// waitsForUpdate says that an operation changes nothing before it charges the
// running task.
func (e schedEvent) waitsForUpdate() bool {
	switch e {
	case entry(sched.PointTaskTickFair), entry(sched.PointEnqueueTaskFair), entry(sched.PointDequeueTaskFair),
		entry(sched.PointPickNextTaskFair), entry(sched.PointTaskForkFair):
		return true
	}
	return false
}

// operate feeds the operation that a line begins to the model.
func (r *schedReplay) operate(i int32) {
	l := &r.t.lines[i]
	if l.consumed {
		return
	}
	r.at = i
	r.setClock(l)
	if len(r.dying) > 0 {
		r.bury(i)
	}
	for _, id := range r.deadlines {
		r.inactive(id)
	}
	r.apply(i, l)
	if !l.consumed {
		l.consumed = true
	}
}

// setClock sets the clock of the run queue that a line works on, where the line
// shows it.
func (r *schedReplay) setClock(l *schedLine) {
	clk, ok := r.t.get(l, keyClk)
	if !ok {
		return
	}
	cpu := sched.CPU(l.cpu)
	if v, ok := r.t.get(l, keyCPU); ok {
		cpu = sched.CPU(v)
	} else if q, ok := r.queueOf[r.t.val(l, keyCFS)]; ok {
		cpu = r.m.CPUOf(q)
	}
	if int(cpu) < r.m.CPUs() {
		r.k.SetClock(cpu, clk, clk)
	}
}

// apply does what a line tells.
func (r *schedReplay) apply(i int32, l *schedLine) {
	t := r.t
	cpu := r.cpuOf(l)
	switch l.event {
	case entry(sched.PointTaskTickFair):
		r.makeRunning(cpu, t.pid(l, keyPid))
		r.step(l, r.k.Tick(cpu))
	case entry(sched.PointTaskTickRT), entry(sched.PointTaskTickDL):
		r.makeRunning(cpu, t.pid(l, keyPid))
		r.step(l, r.k.Tick(cpu))
	case entry(sched.PointEnqueueTaskFair), entry(sched.PointEnqueueTaskRT), entry(sched.PointEnqueueTaskDL):
		r.enqueue(l, cpu)
	case entry(sched.PointDequeueTaskFair), entry(sched.PointDequeueTaskRT), entry(sched.PointDequeueTaskDL):
		r.dequeue(i, l)
	case entry(sched.PointPickTaskDL):
		r.stopSleeps(i, cpu)
		r.picked(cpu, r.k.PickDeadline(cpu))
	case entry(sched.PointPickTaskRT):
		r.picked(cpu, r.k.PickRT(cpu))
	case entry(sched.PointPutPrevTaskRT):
		r.step(l, r.k.PutPrev(cpu))
	case entry(sched.PointUpdateCurrRT):
		r.k.UpdateCurrClass(cpu)
		r.hint("time of a running task read from outside")
	case entry(sched.PointUpdateCurrDL):
		r.updateDeadline(i, l, cpu)
	case entry(sched.PointYieldTaskRT):
		r.step(l, r.k.Yield(cpu))
	case entry(sched.PointSwitchedToRT):
		if id, ok := r.task(l); ok {
			r.leaveClass(id)
			r.k.SwitchedTo(id)
		}
	case evRTPeriodTimer:
		r.at = t.next[i]
		r.k.RTPeriodTimer(1)
	case evDLTaskTimer:
		r.deadlineTimer(i, l)
	case evRTMutexSetprio:
		r.setprio(i, l)
	case entry(sched.PointDequeueEntities):
		if id, ok := r.entityIn(l, t.val(l, keySe)); ok {
			r.step(l, r.k.DequeueDelayed(id))
		}
	case entry(sched.PointCheckPreempt):
		if id, ok := r.task(l); ok {
			if st := r.m.Task(id); st.Class == sched.ClassStop && !st.OnRQ {
				r.step(l, r.k.Enqueue(id, sched.EnqueueWakeup))
			}
			r.step(l, r.k.CheckPreempt(id, int(t.val(l, keyWflags))))
		}
	case entry(sched.PointPickNextTaskFair):
		r.stopSleeps(i, cpu)
		r.pickFair(l, cpu)
	case entry(sched.PointPickNextEntity), entry(sched.PointPickEEVDF):
		r.pickAgain(l)
	case entry(sched.PointPutPrevEntity):
		r.applyPending(t.pid(l, keyPid), l)
		r.step(l, r.k.PutPrev(r.m.CPUOf(r.queueOf[t.val(l, keyCFS)])))
	case entry(sched.PointPutPrevTaskIdle):
		r.step(l, r.k.PutPrev(cpu))
	case entry(sched.PointSetNextEntity):
		r.setNext(l, r.m.CPUOf(r.queueOf[t.val(l, keyCFS)]))
	case entry(sched.PointYieldTaskFair):
		r.step(l, r.k.Yield(cpu))
	case entry(sched.PointTaskForkFair):
		r.fork(l)
	case evWakeupNew:
	case entry(sched.PointReweightEntity):
		r.reweight(l)
	case evSetUserNice:
		r.setNice(i, l)
	case evSetsched:
		r.setAttr(i, l)
	case entry(sched.PointPrioChangedFair):
		if id, ok := r.task(l); ok {
			r.k.PrioChanged(id, int(int32(t.val(l, keyOld))))
		}
	case entry(sched.PointSwitchedFromFair):
		if id, ok := r.task(l); ok {
			r.leftFair(id)
		}
	case entry(sched.PointSwitchedToFair):
		if id, ok := r.task(l); ok {
			r.leaveClass(id)
			r.k.SwitchedTo(id)
		}
	case entry(sched.PointTaskChangeGroup):
		r.changeGroup(i, l)
	case evSetTaskCPU:
		r.setTaskCPU(l)
	case entry(sched.PointUpdateCurr):
		if q, ok := r.queueOf[t.val(l, keyCFS)]; ok {
			r.k.UpdateCurr(q)
			r.hint("time of a running task read from outside")
		}
	case entry(sched.PointUpdateLoadAvgCFS):
		r.updateBlocked(l)
	case entry(sched.PointUpdateLoadAvgSE):
		r.updateShares(i, l)
	case entry(sched.PointReschedCurr):
		r.k.Resched(cpu)
		l.consumed = true
		r.hint("rescheduling asked for from outside the model")
	case evPeriodTimer:
		r.periodTimer(i, l)
	case entry(sched.PointDistribute):
		r.slackTimer(i)
	case evSwitch:
		r.switched(i, l)
	case evStatRuntime:
		r.chargedAlone(i, l)
	case evStatWait, evStatSleep, evStatBlocked, evStatIowait:
		r.unseenStat(l)
	case evProcessExit, evMigrateFair:
	default:
		r.leftOver(l)
	}
}

// unseenStat is a wait or sleep whose beginning lies before the trace: it is the
// first of its kind that the trace shows of the task.
func (r *schedReplay) unseenStat(l *schedLine) {
	id, ok := r.taskOf[r.t.pid(l, keyPid)]
	if !ok || r.statKnown[statKey{id, l.event}] {
		r.leftOver(l)
		return
	}
	r.statKnown[statKey{id, l.event}] = true
	r.res.count("waits and sleeps that began before the trace")
}

type statKey struct {
	task  sched.TaskID
	event schedEvent
}

// leftOver notes a line that the model had no step for.
func (r *schedReplay) leftOver(l *schedLine) {
	if r.meetServer(l) {
		return
	}
	r.miss(l, "the kernel entered "+schedEventText[l.event]+", the model did not")
}

func (r *schedReplay) hint(kind string) { r.res.hint(kind) }

// step counts an operation that the model could not do.
func (r *schedReplay) step(l *schedLine, err error) {
	if err != nil {
		r.miss(l, err.Error())
	}
}

// miss counts a difference that is not one of a value.
func (r *schedReplay) miss(l *schedLine, text string) {
	r.res.Requests++
	r.res.differ(l.line, text)
}

func (r *schedReplay) cpuOf(l *schedLine) sched.CPU {
	if v, ok := r.t.get(l, keyCPU); ok && int(v) < r.m.CPUs() {
		return sched.CPU(v)
	}
	return sched.CPU(l.cpu)
}

// task is the task of a line's pid.
func (r *schedReplay) task(l *schedLine) (sched.TaskID, bool) {
	pid := r.t.pid(l, keyPid)
	id, ok := r.taskOf[pid]
	if !ok {
		r.miss(l, fmt.Sprintf("no task with pid %d", pid))
		return id, false
	}
	r.applyPending(pid, l)
	return id, true
}

// makeRunning makes a task its CPU's running one, if the model thinks
// otherwise.
func (r *schedReplay) makeRunning(cpu sched.CPU, pid int32) {
	id, ok := r.taskOf[pid]
	if !ok {
		id = r.k.Idle(cpu)
	}
	if r.k.Running(cpu) != id {
		r.k.Switch(cpu, id)
		r.res.count("running task taken over")
	}
}

func (r *schedReplay) enqueue(l *schedLine, cpu sched.CPU) {
	id, ok := r.task(l)
	if !ok {
		return
	}
	r.syncPriority(l, id)
	flags := int(r.t.val(l, keyFlags))
	if st := r.m.Task(id); st.State == sched.StateNew {
		if st.CPU != cpu {
			r.step(l, r.k.SetCPU(id, cpu))
		}
		r.k.WakeNew(id)
		if q, _, _ := r.m.Where(r.m.EntityOf(id)); r.tracksLoad() && !r.knownLoadQ[q] {
			r.arriving[r.m.EntityOf(id)] = "load of a new task in a queue of unknown load"
		}
	} else if st.CPU != cpu {
		r.res.count("task moved to another CPU without a trace")
		r.step(l, r.k.SetCPU(id, cpu))
	}
	r.step(l, r.k.Enqueue(id, flags))
	r.arrivesUnknown(r.m.EntityOf(id))
	// A running task whose attributes changed is set to run again; only the
	// fair class shows that by an event.
	if flags&sched.EnqueueRestore != 0 && r.k.Running(cpu) == id && r.m.Task(id).Class > sched.ClassFair {
		r.step(l, r.k.SetNext(cpu))
	}
	if flags&sched.EnqueueRestore != 0 {
		r.restored(id)
	}
}

func (r *schedReplay) dequeue(i int32, l *schedLine) {
	id, ok := r.taskOf[r.t.pid(l, keyPid)]
	if !ok {
		r.miss(l, "no such task")
		return
	}
	flags := int(r.t.val(l, keyFlags))
	if flags&(sched.DequeueSleep|sched.DequeueDelayed) == sched.DequeueSleep {
		r.k.SetState(id, r.scan.state[i])
	}
	_, err := r.k.Dequeue(id, flags)
	r.step(l, err)
}

func (r *schedReplay) pickFair(l *schedLine, cpu sched.CPU) {
	r.makeRunning(cpu, r.t.pid(l, keyRcurr))
	prev := r.t.pid(l, keyPrev)
	first := prev != 0 || r.m.Profile().DelayedDequeue
	if at := r.t.next[r.at]; !first && at >= 0 {
		first = r.t.lines[at].event == entry(sched.PointPutPrevTaskIdle)
	}
	r.picked(cpu, r.k.PickFair(cpu, first))
}

// pickAgain is the second try of a pick that found the CPU idle and then pulled
// tasks from another one.
func (r *schedReplay) pickAgain(l *schedLine) {
	q, ok := r.queueOf[r.t.val(l, keyCFS)]
	if !ok || r.m.CPUs() == 1 || r.m.Queue(q).Entity >= 0 {
		r.leftOver(l)
		return
	}
	cpu := r.m.CPUOf(q)
	r.picked(cpu, r.k.PickFairAgain(cpu, true))
}

// picked makes the task that a class chose its CPU's running one.
func (r *schedReplay) picked(cpu sched.CPU, next sched.TaskID) {
	if next >= 0 {
		r.k.Switch(cpu, next)
	}
}

func (r *schedReplay) fork(l *schedLine) {
	pid := r.t.pid(l, keyPid)
	parent := r.k.Running(sched.CPU(l.cpu))
	info := sched.TaskInfo{PID: pid, TGID: pid, CPU: sched.CPU(l.cpu), Group: r.m.Task(parent).Group, State: sched.StateNew}
	setPriority(&info, int(int32(r.t.val(l, keyPrio))), sched.Policy(r.t.val(l, keyPol)))
	id, err := r.k.AddTask(info)
	if err != nil {
		r.miss(l, err.Error())
		return
	}
	r.taskOf[pid] = id
	// The child's deadline is its parent's when the task was copied, some time
	// before: it counts for nothing.
	r.know(r.m.EntityOf(id), allFields&^bit(keyDl))
	r.step(l, r.k.Fork(id))
}

func (r *schedReplay) changeGroup(i int32, l *schedLine) {
	id, ok := r.task(l)
	if !ok {
		return
	}
	if st := r.m.Task(id); r.k.Running(st.CPU) == id {
		r.moved = id
	}
	g := r.m.Task(id).Group
	if addr, ok := r.scan.moved[i]; ok {
		g = r.groupOf[addr]
	}
	r.step(l, r.k.ChangeGroup(id, g))
}

// setNext starts the running task again after a change of its attributes; one
// that changed its group is rescheduled.
func (r *schedReplay) setNext(l *schedLine, cpu sched.CPU) {
	r.step(l, r.k.SetNext(cpu))
	if r.moved == r.k.Running(cpu) {
		r.k.ReschedCurr(cpu)
	}
	r.moved = sched.NoTask
}

func (r *schedReplay) setTaskCPU(l *schedLine) {
	id, ok := r.task(l)
	to := sched.CPU(r.t.val(l, keyNew))
	if !ok || int(to) >= r.m.CPUs() {
		return
	}
	st := r.m.Task(id)
	if !st.OnRQ && st.State != sched.StateNew && !r.m.Migrating(id) {
		r.k.SetState(id, sched.StateWaking)
	}
	if st.Class == sched.ClassFair && st.CPU != to {
		r.skipTo(evMigrateFair)
		r.leavesUnknown(id)
		r.k.MigrateFair(id)
		r.loseVruntime(id)
	}
	r.step(l, r.k.SetCPU(id, to))
}

// loseVruntime forgets the virtual runtime of a task that was made relative to a
// queue whose virtual time no line has shown.
func (r *schedReplay) loseVruntime(id sched.TaskID) {
	e := r.m.EntityOf(id)
	q, _, _ := r.m.Where(e)
	if r.m.Task(id).State == sched.StateWaking && (int(q) >= len(r.knownQ) || !r.knownQ[q].has(keyMv)) && int(e) < len(r.knownE) {
		r.knownE[e] &^= bit(keyVr)
	}
}

// skipTo consumes the next line of the CPU if it is of an event, and compares
// the task's virtual runtime in it.
func (r *schedReplay) skipTo(e schedEvent) {
	r.at = r.t.next[r.at]
	if r.at < 0 || r.t.lines[r.at].event != e {
		return
	}
	l := &r.t.lines[r.at]
	l.consumed = true
	if id, ok := r.taskOf[r.t.pid(l, keyPid)]; ok {
		r.compareEntity(l, r.m.EntityOf(id), taskEntityFields)
	}
}

// switched compares the task that the kernel runs next.
func (r *schedReplay) switched(i int32, l *schedLine) {
	cpu := sched.CPU(l.cpu)
	pid := r.t.pid(l, keyNext)
	want := r.k.Idle(cpu)
	if pid != 0 {
		id, ok := r.taskOf[pid]
		if !ok {
			return
		}
		want = id
	}
	r.stopSleeps(i, cpu)
	r.dies(l)
	got := r.k.Running(cpu)
	if stop := r.k.Stopper(cpu); stop >= 0 {
		got = stop
	}
	r.res.Requests++
	switch {
	case got == want:
		r.res.Exact++
	case pid == 0 && r.t.pid(l, keyPrevPid) == r.m.Task(got).PID:
		r.res.Exact++ // nothing was picked, so that the idle task runs
	default:
		r.res.differ(l.line, fmt.Sprintf("the kernel runs pid %d next, the model pid %d", pid, r.m.Task(got).PID))
	}
	r.k.Switch(cpu, want)
}

// stopSleeps takes a stopper thread that goes to sleep off its queue before the
// next pick: only the switch that follows tells that.
func (r *schedReplay) stopSleeps(i int32, cpu sched.CPU) {
	id := r.k.Stopper(cpu)
	if id < 0 || r.k.Running(cpu) != id {
		return
	}
	for at := i; at >= 0; at = r.t.next[at] {
		if l := &r.t.lines[at]; l.event == evSwitch {
			if l.state != sched.StateRunning {
				_, err := r.k.Dequeue(id, sched.DequeueSleep)
				r.step(l, err)
			}
			return
		}
	}
}

func (r *schedReplay) summarize() {
	if r.adopted > 0 {
		addCount(&r.res.Notes, "values taken over after a difference", r.adopted)
	}
	if r.t.lost > 0 {
		addCount(&r.res.Notes, "lost events", int(r.t.lost))
	}
}
