package procfs

import (
	"fmt"
	"math/bits"

	"github.com/kernsim/kernsim/sched"
)

// Stats counts a simulation's scheduler statistics (CONFIG_SCHEDSTATS) from its
// events. Give its Watch to Sim.Watch before the simulation runs, alone or with
// others.
type Stats struct {
	s     *sched.Sim
	tasks []taskStats
	cpus  []cpuStats
}

type taskStats struct {
	waitStart, sleepStart                  uint64
	block                                  bool // sleepStart is of an uninterruptible sleep
	sleepSum, sleepMax, blockSum, blockMax uint64
	waitSum, waitMax, waitCount            uint64
	wakeups, local, remote, migrated       uint64
	wakingFrom                             sched.CPU
	waking                                 bool
	from                                   sched.CPU // before the wake-up
}

type cpuStats struct {
	schedules, toIdle, wakeups, local, switches uint64
	run, wait, turns                            uint64
	since                                       uint64
}

// NewStats makes the statistics of a simulation that has not run yet.
func NewStats(s *sched.Sim) *Stats {
	return &Stats{s: s, cpus: make([]cpuStats, s.Machine().CPUs())}
}

func (x *Stats) task(id sched.TaskID) *taskStats {
	for int(id) >= len(x.tasks) {
		x.tasks = append(x.tasks, taskStats{})
	}
	return &x.tasks[id]
}

func (x *Stats) idle(id sched.TaskID) bool { return int(id) < x.s.Machine().CPUs() }

// Watch takes an event.
func (x *Stats) Watch(e *sched.SimEvent) {
	switch e.Kind {
	case sched.SimWaking:
		t := x.task(e.Task)
		t.waking, t.wakingFrom, t.from = true, e.CPU, e.To
	case sched.SimWakeup, sched.SimWakeupNew:
		x.woken(e)
	case sched.SimSwitch:
		x.switched(e)
	}
}

func (x *Stats) woken(e *sched.SimEvent) {
	t := x.task(e.Task)
	t.waitStart = e.Time + 1
	if e.Kind == sched.SimWakeupNew {
		return
	}
	t.wakeups++
	x.cpus[e.CPU].wakeups++
	if t.wakingFrom == e.CPU {
		t.local++
		x.cpus[e.CPU].local++
	} else {
		t.remote++
	}
	if t.from != e.To {
		t.migrated++
	}
	if t.sleepStart > 0 {
		d := e.Time + 1 - t.sleepStart
		if t.block {
			t.blockSum, t.blockMax = t.blockSum+d, max(t.blockMax, d)
		}
		// Time in the kernel's sum of sleeps counts blocks too.
		t.sleepSum += d
		if !t.block {
			t.sleepMax = max(t.sleepMax, d)
		}
		t.sleepStart = 0
	}
}

func (x *Stats) switched(e *sched.SimEvent) {
	c := &x.cpus[e.CPU]
	c.schedules++
	c.switches++
	if !x.idle(e.Task) {
		t := x.task(e.Task)
		c.run += e.Time - c.since
		switch {
		case e.State == sched.StateRunning:
			t.waitStart = e.Time + 1
		case e.State&(sched.StateInterruptible|sched.StateUninterruptible) != 0:
			t.sleepStart, t.block = e.Time+1, e.State&sched.StateUninterruptible != 0
		}
	}
	if x.idle(e.Next) {
		c.toIdle++
		return
	}
	t := x.task(e.Next)
	c.since = e.Time
	c.turns++
	if t.waitStart > 0 {
		d := e.Time + 1 - t.waitStart
		t.waitSum, t.waitMax, t.waitStart = t.waitSum+d, max(t.waitMax, d), 0
		c.wait += d
	}
	t.waitCount++
}

// start gives back a start time that was kept one too high, 0 for none.
func start(t uint64) uint64 { return t - min(t, 1) }

// Task gives a task's /proc/PID/sched.
func (x *Stats) Task(id sched.TaskID, f Form) *TaskSched {
	m := x.s.Machine()
	info, times := m.Task(id), x.s.Times(id)
	se := m.Entity(m.EntityOf(id))
	st := x.task(id)
	t := &TaskSched{Comm: x.s.Comm(id), PID: info.PID, Threads: 1}
	per := func(sum, n uint64) int64 {
		if n == 0 {
			return -1
		}
		return int64(sum / n)
	}
	switches := times.Voluntary + times.Involuntary
	sleeping, blocked := start(st.sleepStart), uint64(0)
	if st.block {
		sleeping, blocked = 0, sleeping
	}
	t.Lines = []Line{
		NS("se.exec_start", se.ExecStart), NS("se.vruntime", se.Vruntime), NS("se.sum_exec_runtime", se.SumExec), Int("se.nr_migrations", times.Migrations),
		NS("sum_sleep_runtime", st.sleepSum), NS("sum_block_runtime", st.blockSum), NS("wait_start", start(st.waitStart)), NS("sleep_start", sleeping),
		NS("block_start", blocked), NS("sleep_max", st.sleepMax), NS("block_max", st.blockMax), NS("exec_max", int64(0)), NS("slice_max", int64(0)),
		NS("wait_max", st.waitMax), NS("wait_sum", st.waitSum), Int("wait_count", st.waitCount), NS("iowait_sum", int64(0)), Int("iowait_count", 0),
		Int("nr_migrations_cold", 0), Int("nr_failed_migrations_affine", 0), Int("nr_failed_migrations_running", 0), Int("nr_failed_migrations_hot", 0),
		Int("nr_forced_migrations", 0), Int("nr_wakeups", st.wakeups), Int("nr_wakeups_sync", 0), Int("nr_wakeups_migrate", st.migrated),
		Int("nr_wakeups_local", st.local), Int("nr_wakeups_remote", st.remote), Int("nr_wakeups_affine", 0), Int("nr_wakeups_affine_attempts", 0),
		Int("nr_wakeups_passive", 0), Int("nr_wakeups_idle", 0), NS("avg_atom", per(se.SumExec, switches)), NS("avg_per_cpu", per(se.SumExec, times.Migrations)),
		Int("nr_switches", switches), Int("nr_voluntary_switches", times.Voluntary), Int("nr_involuntary_switches", times.Involuntary),
		Int("se.load.weight", se.Weight), Int("se.avg.load_sum", se.Load.LoadSum), Int("se.avg.runnable_sum", se.Load.RunnableSum),
		Int("se.avg.util_sum", se.Load.UtilSum), Int("se.avg.load_avg", se.Load.Load), Int("se.avg.runnable_avg", se.Load.Runnable),
		Int("se.avg.util_avg", se.Load.Util), Int("se.avg.last_update_time", se.Load.LastUpdate),
	}
	last, average := m.UtilEst(id)
	if f == Linux6_1 {
		t.Lines = append(t.Lines, Int("se.avg.util_est.ewma", average), Int("se.avg.util_est.enqueued", last))
	} else {
		t.Lines = append(t.Lines, Int("se.avg.util_est", average))
	}
	t.Lines = append(t.Lines, Int("policy", int(info.Policy)), Int("prio", info.Prio))
	switch {
	case info.Policy == sched.PolicyDeadline:
		dl := m.Deadline(id)
		t.Lines = append(t.Lines, Int("dl.runtime", dl.Runtime), Int("dl.deadline", dl.Deadline))
	case f != Linux6_1 && info.Policy != sched.PolicyFIFO && info.Policy != sched.PolicyRR:
		t.Lines = append(t.Lines, Int("se.slice", se.Slice))
	}
	t.Lines = append(t.Lines, Int("clock-delta", 0), Int("mm->numa_scan_seq", 0), Int("numa_pages_migrated", 0), Int("numa_preferred_nid", -1), Int("total_numa_faults", 0))
	t.NUMA = []string{"current_node=0, numa_group_id=0", "numa_faults node=0 task_private=0 task_shared=0 group_private=0 group_shared=0"}
	return t
}

// Schedstat gives /proc/schedstat, without domains. The timestamp is in ticks.
func (x *Stats) Schedstat(version int, ticksPerSecond uint64) *Schedstat {
	s := &Schedstat{Version: version, Timestamp: x.s.Now() / (1_000_000_000 / ticksPerSecond)}
	for i := range x.cpus {
		c := x.cpus[i]
		if curr := x.s.Machine().RunQueue(sched.CPU(i)).Curr; !x.idle(curr) {
			c.run += x.s.Now() - c.since
		}
		s.CPUs = append(s.CPUs, SchedstatCPU{CPU: i, Schedules: c.schedules, ToIdle: c.toIdle, Wakeups: c.wakeups, LocalWakeups: c.local,
			Run: c.run, Wait: c.wait, Turns: c.turns})
	}
	return s
}

// Debug gives /sys/kernel/debug/sched/debug: clocks, tunables, each CPU's run
// queues and tasks. Groups are named by their number: "/g3".
func (x *Stats) Debug(f Form, release string) *Debug {
	m := x.s.Machine()
	tun := m.Tunables()
	now := x.s.Now()
	d := &Debug{Version: "v0.11, " + release, Head: []Line{NS("ktime", now), NS("sched_clk", now), NS("cpu_clk", now), Int("jiffies", now/4_000_000), Int("sched_clock_stable()", 1)}}
	if f == Linux6_1 {
		d.Sysctl = []Line{NS("sysctl_sched_latency", tun.LatencyNS), NS("sysctl_sched_min_granularity", tun.MinGranularityNS),
			NS("sysctl_sched_idle_min_granularity", tun.IdleMinGranularityNS), NS("sysctl_sched_wakeup_granularity", tun.WakeupGranularityNS),
			Int("sysctl_sched_child_runs_first", b2i(tun.ChildRunsFirst))}
	} else {
		d.Sysctl = []Line{NS("sysctl_sched_base_slice", tun.BaseSliceNS)}
	}
	d.Sysctl = append(d.Sysctl, Int("sysctl_sched_features", uint64(tun.Features)), Line{"sysctl_sched_tunable_scaling", "1 (logarithmic)"})
	for cpu := range sched.CPU(m.CPUs()) {
		d.CPUs = append(d.CPUs, x.debugCPU(cpu, f))
	}
	return d
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (x *Stats) debugCPU(cpu sched.CPU, f Form) DebugCPU {
	m := x.s.Machine()
	rq, st := m.RunQueue(cpu), &x.cpus[cpu]
	pid := int32(0)
	if !x.idle(rq.Curr) {
		pid = m.Task(rq.Curr).PID
	}
	c := DebugCPU{Title: fmt.Sprintf("cpu#%d, 1000.000 MHz", cpu), Header: debugHeaders[f], Lines: []Line{
		Int("nr_running", rq.NrRunning), Int("nr_switches", st.switches), Int("nr_uninterruptible", 0), NS("next_balance", int64(0)), Int("curr->pid", pid),
		NS("clock", rq.Clock), NS("clock_task", rq.ClockTask), Int("avg_idle", 1000000), Int("max_idle_balance_cost", 500000),
		Int("yld_count", 0), Int("sched_count", st.schedules), Int("sched_goidle", st.toIdle), Int("ttwu_count", st.wakeups), Int("ttwu_local", st.local)}}
	c.Queues = append(c.Queues, x.fairQueue(cpu, rq.Root, f))
	rt := m.RT(cpu)
	rtq := DebugQueue{Title: fmt.Sprintf("rt_rq[%d]:", cpu), Lines: []Line{Int("rt_nr_running", rt.NrRunning)}}
	if f == Linux6_1 {
		rtq.Lines = append(rtq.Lines, Int("rt_nr_migratory", 0), Int("rt_throttled", b2i(rt.Throttled)), NS("rt_time", rt.Time), NS("rt_runtime", rt.Runtime))
	}
	// The bandwidth that deadline tasks may have: 20 binary places.
	tun := m.Tunables()
	limit := int64(-1)
	if tun.RTRuntimeNS != sched.RuntimeInf {
		hi, lo := bits.Mul64(tun.RTRuntimeNS, 1<<20)
		q, _ := bits.Div64(hi, lo, tun.RTPeriodNS)
		limit = int64(q)
	}
	total := uint64(0)
	running := 0
	for id := sched.TaskID(m.CPUs()); int(id) < m.Tasks(); id++ {
		t := m.Task(id)
		if t.Policy == sched.PolicyDeadline && !x.s.Exited(id) {
			dl := m.Deadline(id)
			total += dl.RuntimeMax << 20 / max(dl.Period, 1)
			if t.CPU == cpu && t.OnRQ {
				running++
			}
		}
	}
	dlq := DebugQueue{Title: fmt.Sprintf("dl_rq[%d]:", cpu), Lines: []Line{Int("dl_nr_running", running)}}
	if f == Linux6_1 {
		dlq.Lines = append(dlq.Lines, Int("dl_nr_migratory", 0))
	}
	dlq.Lines = append(dlq.Lines, Int("dl_bw->bw", limit), Int("dl_bw->total_bw", total))
	c.Queues = append(c.Queues, rtq, dlq)
	for id := sched.TaskID(m.CPUs()); int(id) < m.Tasks(); id++ {
		if m.Task(id).CPU == cpu && !x.s.Exited(id) {
			c.Tasks = append(c.Tasks, x.debugTask(id, f))
		}
	}
	return c
}

// fairQueue is a CPU's root queue of the fair class.
func (x *Stats) fairQueue(cpu sched.CPU, id sched.QueueID, f Form) DebugQueue {
	m := x.s.Machine()
	q := m.Queue(id)
	first, last := int64(-1), int64(-1)
	deadline := int64(-1)
	for t := sched.TaskID(m.CPUs()); int(t) < m.Tasks(); t++ {
		info := m.Task(t)
		in, _, _ := m.Where(m.EntityOf(t))
		if info.CPU != cpu || !info.OnRQ || info.Class != sched.ClassFair || in != id || t == m.RunQueue(cpu).Curr {
			continue
		}
		e := m.Entity(m.EntityOf(t))
		v := int64(e.Vruntime)
		if first < 0 || v < first {
			first = v
		}
		last = max(last, v)
		if d := int64(e.Deadline); deadline < 0 || d < deadline {
			deadline = d
		}
	}
	d := DebugQueue{Title: fmt.Sprintf("cfs_rq[%d]:/", cpu)}
	root0 := int64(m.Queue(m.RunQueue(0).Root).MinVruntime)
	counts := []Line{Int("idle_nr_running", 0), Int("idle_h_nr_running", 0), Int("load", q.Weight), Int("load_avg", q.Load.Load), Int("runnable_avg", q.Load.Runnable),
		Int("util_avg", q.Load.Util)}
	if f == Linux6_1 {
		d.Lines = append(d.Lines, NS("exec_clock", int64(0)), NS("MIN_vruntime", first), NS("min_vruntime", q.MinVruntime), NS("max_vruntime", last), NS("spread", last-first),
			NS("spread0", int64(q.MinVruntime)-root0), Int("nr_spread_over", 0), Int("nr_running", q.NrRunning), Int("h_nr_running", q.HNrRunning))
		d.Lines = append(append(d.Lines, counts...), Int("util_est_enqueued", m.RunQueue(cpu).UtilEst))
	} else {
		d.Lines = append(d.Lines, NS("left_deadline", deadline), NS("left_vruntime", first), NS("zero_vruntime", q.MinVruntime), NS("avg_vruntime", x.average(id, q)),
			NS("right_vruntime", last), NS("spread", last-first), Int("nr_running", q.NrRunning), Int("h_nr_runnable", q.HNrRunning), Int("h_nr_queued", q.HNrRunning),
			Int("h_nr_delayed", 0))
		d.Lines = append(append(d.Lines, counts...), Int("util_est", m.RunQueue(cpu).UtilEst))
	}
	d.Lines = append(d.Lines, Int("removed.load_avg", 0), Int("removed.util_avg", 0), Int("removed.runnable_avg", 0), Int("tg_load_avg_contrib", 0), Int("tg_load_avg", 0),
		Int("throttled", b2i(q.Throttled)), Int("throttle_count", 0))
	return d
}

// average is an EEVDF queue's average virtual runtime, of the queued entities
// alone.
func (x *Stats) average(id sched.QueueID, q sched.QueueState) uint64 {
	if q.AvgLoad == 0 {
		return q.MinVruntime
	}
	return q.MinVruntime + uint64(q.AvgVruntime/int64(q.AvgLoad))
}

func (x *Stats) debugTask(id sched.TaskID, f Form) string {
	m := x.s.Machine()
	info, times, st := m.Task(id), x.s.Times(id), x.task(id)
	se := m.Entity(m.EntityOf(id))
	state := byte('S')
	switch {
	case info.OnRQ || info.State == sched.StateRunning:
		state = 'R'
	case info.State&sched.StateUninterruptible != 0:
		state = 'D'
	}
	path := "/"
	if info.Group != sched.RootGroup {
		path = fmt.Sprintf("/g%d", info.Group)
	}
	t := DebugTask{Running: m.RunQueue(info.CPU).Curr == id, State: state, Comm: x.s.Comm(id), PID: info.PID, Vruntime: se.Vruntime,
		Switches: times.Voluntary + times.Involuntary, Prio: info.Prio, SumExec: se.SumExec, Eligible: true, Deadline: se.Deadline, Slice: se.Slice,
		CustomSlice: se.CustomSlice, Wait: st.waitSum, Sleep: st.sleepSum, Block: st.blockSum, Path: path}
	if in, _, _ := m.Where(m.EntityOf(id)); f != Linux6_1 && in >= 0 {
		t.Eligible = int64(se.Vruntime-x.average(in, m.Queue(in))) <= 0
	}
	return t.Text(f)
}
