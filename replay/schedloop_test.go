package replay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/sched"
)

// loopTrace lets a machine do things and writes them down as a capture does:
// each entry and return of the functions with all fields.
type loopTrace struct {
	m *sched.Machine
	k sched.Kernel
	b strings.Builder
	// cgroups is the listing of the groups' files.
	cgroups strings.Builder
	now     uint64
	lines   int
	groups  []sched.GroupID
	tasks   []sched.TaskID
	asleep  map[sched.TaskID]bool
	limits  []loopLimit
}

func newLoop(t *testing.T) *loopTrace {
	m, err := sched.New(sched.Config{CPUs: 1, Profile: sched.Debian6_12})
	require.NoError(t, err)
	l := &loopTrace{m: m, k: m.Kernel(), now: 1e9, groups: []sched.GroupID{sched.RootGroup}, asleep: map[sched.TaskID]bool{}}
	m.SetHooks(sched.Hooks{Probe: l.probe, Trace: l.stat})
	return l
}

// line writes an event.
func (l *loopTrace) line(event, format string, args ...any) {
	l.lines++
	fmt.Fprintf(&l.b, "            task-1       [000] d..2.  %4d.%06d: %s: "+format+"\n", append([]any{l.now / 1e9, l.lines % 1e6, event}, args...)...)
}

func queueAddr(q sched.QueueID) uint64 { return 0xff11000001000000 + uint64(q)*0x400 }

func entityAddr(id sched.EntityID) uint64 {
	if id < 0 {
		return 0
	}
	return 0xff11000002000000 + uint64(id)*0x1000
}

func (l *loopTrace) queueFields(id sched.QueueID, ret bool) string {
	q, rq := l.m.Queue(id), l.m.RunQueue(0)
	s := fmt.Sprintf("cfs=%#x ", queueAddr(id))
	if !ret {
		s += fmt.Sprintf("nr=%d load=%d clk=%d curr=%#x ", q.NrRunning, q.Weight, rq.ClockTask, entityAddr(q.Curr))
	}
	return s + fmt.Sprintf("mv=%d avr=%d avl=%d", q.MinVruntime, q.AvgVruntime, q.AvgLoad)
}

func (l *loopTrace) currFields(id sched.QueueID, ret bool) string {
	q := l.m.Queue(id)
	s := ""
	if ret {
		s = fmt.Sprintf(" curr=%#x", entityAddr(q.Curr))
	}
	if q.Curr < 0 {
		return s + " cvr=0 cexec=0 csum=0 cpsum=0 cw=0 cpid=0 cmy_q=0x0 con=0 cdl=0 cvlag=0 csl=0"
	}
	e := l.m.Entity(q.Curr)
	pid, myq := l.who(q.Curr)
	return s + fmt.Sprintf(" cvr=%d cexec=%d csum=%d cpsum=%d cw=%d cpid=%d cmy_q=%#x con=%d cdl=%d cvlag=%d csl=%d", e.Vruntime, e.ExecStart, e.SumExec,
		e.PrevSum, e.Weight, pid, myq, one(e.OnRQ), e.Deadline, e.Lag, e.Slice)
}

func (l *loopTrace) who(id sched.EntityID) (pid int32, myq uint64) {
	_, of, t := l.m.Where(id)
	if t >= 0 {
		return l.m.Task(t).PID, 0
	}
	return 77, queueAddr(of)
}

func (l *loopTrace) entityFields(id sched.EntityID) string {
	e := l.m.Entity(id)
	pid, myq := l.who(id)
	return fmt.Sprintf(" se=%#x pid=%d my_q=%#x w=%d vr=%d on_rq=%d dl=%d vlag=%d sl=%d dly=%d rel=%d", entityAddr(id), pid, myq, e.Weight, e.Vruntime,
		one(e.OnRQ), e.Deadline, e.Lag, e.Slice, one(e.Delayed), one(e.RelDeadline))
}

func (l *loopTrace) rqFields() string {
	rq := l.m.RunQueue(0)
	return fmt.Sprintf("cpu=0 clk=%d rnr=%d rcurr=%d", rq.ClockTask, rq.NrRunning, l.m.Task(rq.Curr).PID)
}

func (l *loopTrace) taskFields(t sched.TaskID) string {
	k := l.m.Task(t)
	return fmt.Sprintf(" pid=%d prio=%d pol=%d", k.PID, k.Prio, k.Policy)
}

// probe writes the line of a function.
func (l *loopTrace) probe(p *sched.Probe) {
	e := entry(p.Point)
	if p.Return {
		e = leave(p.Point)
	}
	name := schedEventText[e]
	queue := func() string { return l.queueFields(p.Queue, p.Return) }
	switch p.Point {
	case sched.PointUpdateCurr:
		l.line(name, "(f) %s%s", queue(), l.currFields(p.Queue, p.Return))
	case sched.PointPickEEVDF:
		if p.Return {
			l.line(name, "(f) cfs=%#x%s", queueAddr(p.Queue), l.entityFields(p.Entity))
			return
		}
		q, first := l.m.Queue(p.Queue), uint64(0)
		if q.First >= 0 {
			first = entityAddr(q.First) + nodeOffset
		}
		l.line(name, "(f) %s%s lm=%#x next=%#x", queue(), l.currFields(p.Queue, false), first, entityAddr(q.Next))
	case sched.PointEnqueueEntity, sched.PointDequeueEntity:
		end := fmt.Sprintf(" flags=%#x", p.Flags)
		if p.Return {
			end = fmt.Sprintf(" ret=%d", p.Flags)
		}
		if p.Return && p.Point == sched.PointEnqueueEntity {
			end = ""
		}
		l.line(name, "(f) %s%s%s", queue(), l.entityFields(p.Entity), end)
	case sched.PointPlaceEntity:
		l.line(name, "(f) %s%s initial=%#x", queue(), l.entityFields(p.Entity), p.Flags)
	case sched.PointReweightEntity:
		l.line(name, "(f) %s%s weight=%d", queue(), l.entityFields(p.Entity), p.Value)
	case sched.PointUpdateEntityLag, sched.PointUpdateDeadline, sched.PointPutPrevEntity, sched.PointSetNextEntity:
		l.line(name, "(f) %s%s", queue(), l.entityFields(p.Entity))
	case sched.PointRequeueDelayed:
		l.line(name, "(f) %s", strings.TrimSpace(l.entityFields(p.Entity)))
	case sched.PointDequeueEntities:
		l.line(name, "(f) %s%s flags=%#x", l.rqFields(), l.entityFields(p.Entity), p.Flags)
	case sched.PointThrottle, sched.PointUnthrottle:
		q := l.m.Queue(p.Queue)
		l.line(name, "(f) %s rem=%d brt=%d quota=%d period=%d", queue(), q.RuntimeRemaining, q.PoolRuntime, q.PoolQuota, q.PoolPeriod)
	case sched.PointAccountRuntime:
		q := l.m.Queue(p.Queue)
		l.line(name, "(f) cfs=%#x rem=%d delta=%d brt=%d", queueAddr(p.Queue), q.RuntimeRemaining, p.Value, q.PoolRuntime)
	case sched.PointDistribute:
		l.line(name, "(f) runtime=%d", p.Value)
	default:
		l.task(name, p)
	}
}

// task writes the line of a function that works on a run queue.
func (l *loopTrace) task(name string, p *sched.Probe) {
	e := sched.EntityState{}
	if p.Task >= 0 {
		e = l.m.Entity(l.m.EntityOf(p.Task))
	}
	switch p.Point {
	case sched.PointPickNextTaskFair:
		l.line(name, "(f) %s prev=%d", l.rqFields(), l.m.Task(l.k.Running(0)).PID)
	case sched.PointTaskForkFair, sched.PointTaskChangeGroup:
		l.line(name, "(f) %s", strings.TrimSpace(l.taskFields(p.Task)))
	case sched.PointReschedCurr, sched.PointYieldTaskFair, sched.PointPutPrevTaskIdle:
		l.line(name, "(f) %s", l.rqFields())
	case sched.PointEnqueueTaskFair, sched.PointDequeueTaskFair:
		l.line(name, "(f) %s%s flags=%#x", l.rqFields(), l.taskFields(p.Task), p.Flags)
	case sched.PointCheckPreempt:
		l.line(name, "(f) %s%s vr=%d wflags=%#x", l.rqFields(), l.taskFields(p.Task), e.Vruntime, p.Flags)
	case sched.PointCheckPreemptFair:
		l.line(name, "(f) %s%s vr=%d w=%d wflags=%#x", l.rqFields(), l.taskFields(p.Task), e.Vruntime, e.Weight, p.Flags)
	case sched.PointPrioChangedFair:
		l.line(name, "(f) %s%s old=%d", l.rqFields(), l.taskFields(p.Task), p.Flags)
	case sched.PointTaskTickFair:
		l.line(name, "(f) %s%s queued=0", l.rqFields(), l.taskFields(p.Task))
	case sched.PointStartDLTimer:
		d := l.m.Deadline(p.Task)
		l.line(name, "(f) rt=%d dl=%d dl_runtime=%d dl_deadline=%d dl_period=%d dlflags=%#x pid=0", d.Runtime, d.Deadline, d.RuntimeMax, d.RelDeadline,
			d.Period, 0xf0|one(d.Throttled))
	}
}

// stat writes a schedstat tracepoint.
func (l *loopTrace) stat(ev *sched.TraceEvent) {
	pid := l.m.Task(ev.Task).PID
	switch e, ok := traceEvents[ev.Kind]; {
	case !ok:
	case e == evStatRuntime:
		l.line(schedEventText[e], "comm=t pid=%d runtime=%d [ns]", pid, ev.Delta)
	default:
		l.line(schedEventText[e], "comm=t pid=%d delay=%d [ns]", pid, ev.Delta)
	}
}

func (l *loopTrace) pass(ns uint64) {
	l.now += ns
	l.k.SetClock(0, l.now, l.now)
}

// schedule picks and switches as __schedule does; state is what the previous
// task goes into.
func (l *loopTrace) schedule(t *testing.T, state string) {
	prev := l.k.Running(0)
	next := l.k.PickFair(0, true)
	if next < 0 {
		next = l.k.Idle(0)
		if prev != next {
			require.NoError(t, l.k.PutPrev(0))
		}
	}
	if next != prev {
		p, n := l.m.Task(prev), l.m.Task(next)
		l.line("sched_switch", "prev_comm=p prev_pid=%d prev_prio=%d prev_state=%s ==> next_comm=n next_pid=%d next_prio=%d", p.PID, p.Prio, state, n.PID, n.Prio)
	}
	l.k.Switch(0, next)
}

// loopLimit is a group with cpu.max.
type loopLimit struct {
	group sched.GroupID
	next  uint64 // when its period timer fires
}

const loopPeriod = 20_000_000

// limit gives a group a quota of 2 to 8 ms in 20 ms.
func (l *loopTrace) limit(t *testing.T, g sched.GroupID, rng *rand.Rand) {
	quota := 2000 + rng.Int64N(6000)
	require.NoError(t, l.k.SetMax(g, quota, loopPeriod/1000, 0))
	fmt.Fprintf(&l.cgroups, "== /sys/fs/cgroup/g%d/cpu.max\n%d %d\n", g, quota, loopPeriod/1000)
	l.limits = append(l.limits, loopLimit{g, l.now + loopPeriod + uint64(len(l.limits))*7_000_000})
}

// periodTimers fires the timers whose time has come.
func (l *loopTrace) periodTimers() {
	for i := range l.limits {
		p := &l.limits[i]
		if l.now >= p.next {
			l.line("cfs_period_timer", "(f) t=%#x", 0xff11000003000000+uint64(p.group)*0x200)
			l.k.PeriodTimer(p.group, 1)
			p.next = l.now + loopPeriod
		}
	}
}

func (l *loopTrace) step(t *testing.T, rng *rand.Rand) {
	l.pass(1 + rng.Uint64N(3e6))
	l.periodTimers()
	curr := l.k.Running(0)
	runs := curr != l.k.Idle(0)
	var ready, asleep []sched.TaskID
	for _, id := range l.tasks {
		if l.asleep[id] {
			asleep = append(asleep, id)
		} else {
			ready = append(ready, id)
		}
	}
	switch op := rng.IntN(100); {
	case op < 10 && len(l.tasks) < 12 && runs || len(l.tasks) == 0:
		l.fork(t, rng)
	case op < 28 && len(asleep) > 0:
		l.wake(t, asleep[rng.IntN(len(asleep))])
	case op < 42 && runs:
		l.k.SetState(curr, sched.StateInterruptible)
		_, err := l.k.Dequeue(curr, sched.DequeueSleep|sched.DequeueNoClock)
		require.NoError(t, err)
		l.asleep[curr] = true
		l.schedule(t, "S")
		return
	case op < 46 && runs:
		require.NoError(t, l.k.Yield(0))
		l.schedule(t, "R")
		return
	case op < 52 && len(ready) > 0:
		id, nice := ready[rng.IntN(len(ready))], rng.IntN(40)-20
		if l.m.Task(id).Nice != nice {
			l.line("set_user_nice", "(f) %s nice=%d", strings.TrimSpace(l.taskFields(id)), nice)
			require.NoError(t, l.k.SetNice(id, nice))
		}
	case op < 57 && len(ready) > 0:
		id := ready[rng.IntN(len(ready))]
		a := sched.Attr{Policy: []sched.Policy{0, 3, 5}[rng.IntN(3)], Nice: l.m.Task(id).Nice, Runtime: []uint64{0, 200_000, 3_000_000}[rng.IntN(3)]}
		l.line("setsched", "(f) pid=%d policy=%d nice=%d prio=0 runtime=%d deadline=0 period=0 aflags=0x0", l.m.Task(id).PID, a.Policy, a.Nice, a.Runtime)
		require.NoError(t, l.k.SetAttr(id, a))
	case op < 61 && len(ready) > 0:
		require.NoError(t, l.k.MoveTask(ready[rng.IntN(len(ready))], l.groups[rng.IntN(len(l.groups))]))
	case runs:
		require.NoError(t, l.k.Tick(0))
	}
	if rq := l.m.RunQueue(0); rq.NeedResched || rq.Curr == l.k.Idle(0) && rq.NrRunning > 0 {
		l.schedule(t, "R+")
	}
}

// untold says that there is something that a trace that begins now cannot tell.
func (l *loopTrace) untold() bool {
	for _, g := range l.groups {
		if q := l.m.Queue(l.m.QueueOf(g, 0)); q.Throttled || q.Next >= 0 {
			return true
		}
	}
	return false
}

func (l *loopTrace) fork(t *testing.T, rng *rand.Rand) {
	parent := l.m.Task(l.k.Running(0))
	nice := 0
	id, err := l.k.AddTask(sched.TaskInfo{PID: int32(len(l.tasks) + 100), Nice: nice, Group: parent.Group, State: sched.StateNew})
	require.NoError(t, err)
	l.tasks = append(l.tasks, id)
	require.NoError(t, l.k.Fork(id))
	l.pass(rng.Uint64N(1e5))
	l.k.WakeNew(id)
	require.NoError(t, l.k.Enqueue(id, sched.EnqueueInitial|sched.EnqueueNoClock))
	require.NoError(t, l.k.CheckPreempt(id, sched.WakeFork))
}

func (l *loopTrace) wake(t *testing.T, id sched.TaskID) {
	flags := sched.EnqueueWakeup | sched.EnqueueNoClock
	if l.m.Entity(l.m.EntityOf(id)).Delayed {
		flags = sched.EnqueueDelayed | sched.EnqueueNoClock
	}
	delete(l.asleep, id)
	require.NoError(t, l.k.Enqueue(id, flags))
	require.NoError(t, l.k.CheckPreempt(id, sched.WakeTTWU))
}

// TestSchedReplaysItself writes traces of machines with groups under EEVDF, cuts
// their beginning off, and replays them: what a model of the same rules did must
// be exact, from wherever the trace begins.
func TestSchedReplaysItself(t *testing.T) {
	tun := sched.Debian6_12.Tunables
	debug := fmt.Sprintf("base_slice_ns: %d\nfeatures: %s\n", tun.BaseSliceNS, tun.Features)
	for seed := range uint64(60) {
		l := newLoop(t)
		rng := rand.New(rand.NewPCG(seed, 1))
		for range rng.IntN(4) {
			g, err := l.k.AddGroup(l.groups[rng.IntN(len(l.groups))], 1<<20)
			require.NoError(t, err)
			l.groups = append(l.groups, g)
			if seed%2 == 1 && len(l.limits) == 0 {
				l.limit(t, g, rng)
			}
		}
		for range 60 {
			l.step(t, rng)
		}
		// The trace begins here. What a throttled queue holds and who is a buddy
		// no line tells, so it begins when there is none.
		for l.untold() {
			l.step(t, rng)
		}
		l.b.Reset()
		for range 400 {
			l.step(t, rng)
		}
		require.NoError(t, l.m.Check())
		c := Capture{Name: "loop", FS: fstest.MapFS{
			"meta.json":                {Data: []byte(`{"kernel": "6.12", "cpus": 1}`)},
			"trace.txt":                {Data: []byte("# tracer: nop\n#\n" + l.b.String())},
			"tunables/debug_sched.txt": {Data: []byte(debug)},
			"before/cgroup.txt":        {Data: []byte(l.cgroups.String())},
		}}
		res, err := Sched(context.Background(), c, Options{})
		require.NoError(t, err)
		require.Equal(t, res.Requests, res.Exact, "seed %d: %s", seed, res.FirstDifference)
		require.Greater(t, res.Requests, 1000)
	}
}
