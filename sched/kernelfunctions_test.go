package sched

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scriptRun does a script's operations: those of fair.c's entry points on one
// CPU, with groups, bandwidth and features. testdata/README.md describes them.
type scriptRun struct {
	profile Profile
	*eevdfRun
	features []Features // by their number in scripts
	groups   []GroupID
	ids      []TaskID
	name     map[EntityID]string
}

var (
	cfsFeatures   = []Features{GentleFairSleepers, StartDebit, NextBuddy, LastBuddy, WakeupPreemption, AltPeriod, BaseSlice}
	eevdfFeatures = []Features{PlaceLag, PlaceDeadlineInitial, PlaceRelDeadline, RunToParity, PreemptShort, NextBuddy, PickBuddy,
		DelayDequeue, DelayZero, WakeupPreemption}
)

func (r *scriptRun) begin(t *testing.T, _ string) {
	p := r.profile
	*r = scriptRun{profile: p, features: cfsFeatures, groups: []GroupID{RootGroup}, name: map[EntityID]string{}}
	if p.EEVDF {
		p.FairServer = false // not part of fair.c's queues
		r.features = eevdfFeatures
	}
	r.eevdfRun = newEEVDF(t, p)
}

// do does one line of a script.
func (r *scriptRun) do(t *testing.T, line string) {
	var op string
	var a, b, c int64
	_, _ = fmt.Sscan(line, &op, &a, &b, &c) // what is missing is 0
	rq := &r.rqs[0]
	switch op {
	case "clock":
		r.now = uint64(a)
		r.pass(0)
	case "feat":
		r.tun.Features &^= r.features[a]
		if b != 0 {
			r.tun.Features |= r.features[a]
		}
	case "group":
		g, err := r.k.AddGroup(r.groups[a], uint64(b))
		require.NoError(t, err)
		r.name[r.groupQueue(g).entity] = fmt.Sprintf("g%d", len(r.groups))
		r.groups = append(r.groups, g)
	case "task":
		r.task(t, int(a), Policy(b), r.groups[c])
	case "wake":
		flags := EnqueueWakeup | EnqueueNoClock
		if r.tasks[r.ids[a]].onRQ == queued {
			flags = EnqueueDelayed | EnqueueNoClock
		}
		require.NoError(t, r.k.Enqueue(r.ids[a], flags))
		require.NoError(t, r.k.CheckPreempt(r.ids[a], WakeTTWU))
	case "block":
		r.k.SetState(rq.curr, StateInterruptible)
		_, err := r.k.Dequeue(rq.curr, DequeueSleep|DequeueNoClock|int(a))
		require.NoError(t, err)
		r.k.Schedule(0)
	case "tick":
		require.NoError(t, r.k.Tick(0))
	case "sched":
		r.k.Schedule(0)
	case "yield":
		require.NoError(t, r.k.Yield(0))
		r.k.Schedule(0)
	default:
		r.change(t, op, a, b)
	}
}

// change does the operations that change a task's or a group's attributes.
func (r *scriptRun) change(t require.TestingT, op string, a, b int64) {
	switch op {
	case "nice":
		require.NoError(t, r.k.SetNice(r.ids[a], int(b)))
	case "policy":
		require.NoError(t, r.k.SetAttr(r.ids[a], Attr{Policy: Policy(b), Nice: r.Task(r.ids[a]).Nice}))
	case "slice":
		st := r.Task(r.ids[a])
		require.NoError(t, r.k.SetAttr(r.ids[a], Attr{Policy: st.Policy, Nice: st.Nice, Runtime: uint64(b)}))
	case "move":
		require.NoError(t, r.k.MoveTask(r.ids[a], r.groups[b]))
	case "shares":
		r.setShares(r.groups[a], uint64(b))
	case "max":
		quota := int64(-1)
		if b >= 0 {
			quota = b / usec
		}
		require.NoError(t, r.k.SetMax(r.groups[a], quota, 100_000, 0))
	case "period":
		r.k.PeriodTimer(r.groups[a], 1)
	case "idle":
		require.NoError(t, r.k.SetIdle(r.groups[a], b != 0))
	case "bounce":
		r.bounce(t, r.ids[a])
	default:
		require.Fail(t, "unknown operation", op)
	}
}

// bounce takes a queued task to another CPU and at once back.
func (r *scriptRun) bounce(t require.TestingT, id TaskID) {
	state := r.tasks[id].state
	_, err := r.k.Dequeue(id, DequeueNoClock)
	require.NoError(t, err)
	require.NoError(t, r.k.Enqueue(id, EnqueueNoClock|EnqueueMigrated))
	r.k.SetState(id, state)
	require.NoError(t, r.k.CheckPreempt(id, 0))
}

func (r *scriptRun) task(t require.TestingT, nice int, policy Policy, g GroupID) {
	id, err := r.k.AddTask(TaskInfo{PID: int32(len(r.ids) + 1), Nice: nice, Policy: policy, Group: g, State: StateNew})
	require.NoError(t, err)
	r.name[r.tasks[id].se] = fmt.Sprintf("t%d", len(r.ids))
	r.ids = append(r.ids, id)
	flags := EnqueueInitial | EnqueueNoClock
	if !r.prof.EEVDF {
		flags = EnqueueNoClock
		require.NoError(t, r.k.Fork(id))
	}
	require.NoError(t, r.k.Enqueue(id, flags))
	require.NoError(t, r.k.CheckPreempt(id, WakeFork))
}

func (r *scriptRun) groupQueue(g GroupID) *cfsQueue { return &r.queues[r.QueueOf(g, 0)] }

func (r *scriptRun) nameOf(id EntityID) string {
	if id < 0 {
		return "-"
	}
	return r.name[id]
}

// state is everything that the CPU's queues and entities hold.
func (r *scriptRun) state() string {
	rq, run := &r.rqs[0], -1
	for i, id := range r.ids {
		if id == rq.curr {
			run = i
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "run=%d need=%d nr=%d", run, b2u(rq.needResched), rq.nrRunning)
	for i, g := range r.groups {
		q := r.groupQueue(g)
		fmt.Fprintf(&b, " q%d:%d,%d,", i, q.nrRunning, q.hNrQueued)
		if r.prof.EEVDF {
			r.eevdfQueue(&b, q)
		} else {
			r.cfsQueue(&b, q)
		}
		fmt.Fprintf(&b, ",T%d,%d,R%d,P%d", b2u(q.throttled), q.throttleCount, q.runtimeRemaining, r.pool(q).runtime)
	}
	for _, g := range r.groups[1:] {
		r.entityState(&b, r.groupQueue(g).entity)
	}
	for _, id := range r.ids {
		r.entityState(&b, r.tasks[id].se)
	}
	return b.String()
}

func (r *scriptRun) eevdfQueue(b *strings.Builder, q *cfsQueue) {
	shortest := int64(-1)
	if q.tree.root >= 0 {
		shortest = int64(r.nodes[q.tree.root].minSlice)
	}
	fmt.Fprintf(b, "%d,%d,%d,L%d,z%d,a%d,b%d,%s,%s,%s,%s,m%d", q.hNrRunning, q.idleNrRunning, q.idleHNrRunning, q.load.weight, q.zeroVruntime,
		q.avgVruntime, q.avgLoad, r.nameOf(q.curr), r.nameOf(q.next), r.nameOf(q.first()), r.nameOf(EntityID(q.tree.root)), shortest)
}

func (r *scriptRun) cfsQueue(b *strings.Builder, q *cfsQueue) {
	fmt.Fprintf(b, "%d,%d,L%d,m%d,%s,%s,%s,%s,%s,%s", q.idleNrRunning, q.idleHNrRunning, q.load.weight, q.minVruntime, r.nameOf(q.curr),
		r.nameOf(q.next), r.nameOf(q.last), r.nameOf(q.skip), r.nameOf(q.first()), r.nameOf(EntityID(q.tree.root)))
}

func (r *scriptRun) entityState(b *strings.Builder, id EntityID) {
	e := &r.ents[id]
	if !r.prof.EEVDF {
		fmt.Fprintf(b, " %s:%d,w%d,v%d,x%d,p%d,e%d", r.name[id], b2u(e.onRQ), e.load.weight, e.vruntime, e.sumExec, e.prevSum, e.execStart)
		return
	}
	fmt.Fprintf(b, " %s:%d,%d,%d,%d,w%d,v%d,d%d,l%d,s%d,x%d,e%d", r.name[id], b2u(e.onRQ), b2u(e.delayed), b2u(e.relDead), b2u(e.custom),
		e.load.weight, e.vruntime, e.deadline, e.vlag, e.sliceNS, e.sumExec, e.execStart)
}

// TestAgainstKernelFunctions does scripts of random operations of which the
// kernel's own functions have written down every state: groups, bandwidth,
// buddies or slices and delayed dequeues, all features on and off.
func TestAgainstKernelFunctions(t *testing.T) {
	for file, p := range map[string]Profile{"cfs-6.1.192": Linux6_1, "eevdf-6.12.117": Debian6_12} { // order does not matter
		t.Run(file, func(t *testing.T) {
			require.Greater(t, runScript(t, golden(t, file), &scriptRun{profile: p}), 1000)
		})
	}
}
