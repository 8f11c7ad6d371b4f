package sched

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// loadRun does a script's operations on two CPUs and tells all that load tracking
// keeps. testdata/README.md describes both.
type loadRun struct {
	*Machine
	k      Kernel
	groups []GroupID
	ids    []TaskID
}

func (r *loadRun) begin(t *testing.T, _ string) {
	m, err := New(Config{CPUs: 2, Profile: Linux5_4, LoadTracking: true})
	require.NoError(t, err)
	*r = loadRun{Machine: m, k: m.Kernel(), groups: []GroupID{RootGroup}}
}

func (r *loadRun) do(t *testing.T, line string) {
	var op string
	var a, b, c int
	_, _ = fmt.Sscan(line, &op, &a, &b, &c) // what is missing is 0
	switch op {
	case "clock":
		for cpu := range CPU(2) {
			r.k.SetClock(cpu, uint64(a), uint64(a))
		}
	case "group":
		g, err := r.k.AddGroup(r.groups[a], uint64(b))
		require.NoError(t, err)
		for _, q := range r.Machine.groups[g].queues {
			r.attachEntity(r.queues[q].entity)
		}
		r.groups = append(r.groups, g)
	case "shares":
		r.setShares(r.groups[a], uint64(b))
	case "blocked":
		r.k.UpdateBlocked(r.QueueOf(r.groups[a], CPU(b)))
	case "task":
		id, err := r.k.AddTask(TaskInfo{PID: int32(len(r.ids) + 1), Nice: a, Group: r.groups[b], CPU: CPU(c), State: StateNew})
		require.NoError(t, err)
		r.ids = append(r.ids, id)
		require.NoError(t, r.k.Fork(id))
		r.k.WakeNew(id)
		require.NoError(t, r.k.Enqueue(id, EnqueueNoClock))
	case "tick":
		r.fair.tick(&r.rqs[a], r.rqs[a].curr)
	default:
		r.task(t, op, r.ids[a], b)
	}
}

// task does the operations on a task.
func (r *loadRun) task(t require.TestingT, op string, id TaskID, arg int) {
	rq := r.rqOfTask(id)
	switch op {
	case "sleep":
		r.k.SetState(id, StateInterruptible)
		_, err := r.k.Dequeue(id, DequeueSleep|DequeueNoClock)
		require.NoError(t, err)
		if rq.curr == id {
			r.fair.putPrevTask(rq, id)
			rq.curr = rq.idle
		}
	case "wake":
		flags := EnqueueWakeup | EnqueueNoClock
		if to := CPU(arg); to != rq.cpu {
			r.k.SetState(id, StateWaking)
			r.k.MigrateFair(id)
			require.NoError(t, r.k.SetCPU(id, to))
			flags |= EnqueueMigrated
		}
		require.NoError(t, r.k.Enqueue(id, flags))
	case "run":
		if rq.curr != rq.idle {
			r.fair.putPrevTask(rq, rq.curr)
		}
		r.fair.setNextTask(rq, id)
		rq.curr = id
	case "pull":
		_, err := r.k.Dequeue(id, DequeueNoClock)
		require.NoError(t, err)
		r.k.MigrateFair(id)
		require.NoError(t, r.k.SetCPU(id, CPU(arg)))
		require.NoError(t, r.k.Enqueue(id, EnqueueNoClock|EnqueueMigrated))
	case "move":
		require.NoError(t, r.k.MoveTask(id, r.groups[arg]))
	case "nice":
		require.NoError(t, r.k.SetNice(id, arg))
	default:
		require.Fail(t, "unknown operation", op)
	}
}

// state is what load tracking keeps of each group, queue and entity.
func (r *loadRun) state() string {
	var b strings.Builder
	for i, g := range r.groups {
		fmt.Fprintf(&b, " %d", r.Machine.groups[g].loadAvg)
		for _, id := range r.Machine.groups[g].queues {
			q := &r.queues[id]
			fmt.Fprintf(&b, " %d,%d,%d", q.nrRunning, q.load.weight, q.runnableWt)
			writeAvg(&b, &q.avg)
			fmt.Fprintf(&b, ",%d,%d,%d,%d", q.tgContrib, b2u(q.propagate), q.propRunnable, q.removed.nr)
			if i > 0 {
				r.entity(&b, q.entity)
			}
		}
	}
	for _, id := range r.ids {
		r.entity(&b, r.tasks[id].se)
	}
	return b.String()
}

func (r *loadRun) entity(b *strings.Builder, id EntityID) {
	e := &r.ents[id]
	fmt.Fprintf(b, " %d,%d,%d", b2u(e.onRQ), e.load.weight, e.scaledRunnable())
	writeAvg(b, &e.avg)
}

func writeAvg(b *strings.Builder, a *loadAvg) {
	fmt.Fprintf(b, ",%d,%d,%d,%d,%d,%d,%d,%d", a.lastUpdate, a.loadSum, a.runnableSum, a.utilSum, a.periodContrib, a.load, a.runnable, a.util)
}

// TestLoadAgainstKernelFunctions does scripts of random operations on groups and
// tasks of which 5.4's own functions have written down every sum and average.
func TestLoadAgainstKernelFunctions(t *testing.T) {
	require.Greater(t, runScript(t, golden(t, "load-5.4"), &loadRun{}), 700)
}
