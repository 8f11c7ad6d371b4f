package sched

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var eevdfProfiles = []Profile{Linux6_6, Linux6_12, Debian6_12, Linux6_18}

// eevdfRun drives one CPU by the scheduler's own functions.
type eevdfRun struct {
	*Machine
	k     Kernel
	now   uint64
	sleep []TaskID // tasks that sleep, delayed ones included
}

func newEEVDF(t require.TestingT, p Profile) *eevdfRun {
	m, err := New(Config{CPUs: 1, Profile: p})
	require.NoError(t, err)
	return &eevdfRun{Machine: m, k: m.Kernel()}
}

// must stops a test at an error; looking first keeps benchmarks free of what
// require costs.
func must(t require.TestingT, err error) {
	if err != nil {
		require.NoError(t, err)
	}
}

func (r *eevdfRun) class() *eevdf { return r.fair.(*eevdf) }

// pass lets time go by.
func (r *eevdfRun) pass(ns uint64) {
	r.now += ns
	r.k.SetClock(0, r.now, r.now)
}

// add makes a new task runnable.
func (r *eevdfRun) add(t require.TestingT, nice int) TaskID {
	id, err := r.k.AddTask(TaskInfo{PID: int32(len(r.tasks)), Nice: nice, State: StateNew})
	require.NoError(t, err)
	require.NoError(t, r.k.Fork(id))
	r.ready(t, id, EnqueueInitial|EnqueueNoClock)
	return id
}

func (r *eevdfRun) ready(t require.TestingT, id TaskID, flags int) {
	must(t, r.k.Enqueue(id, flags))
	must(t, r.k.CheckPreempt(id, 0))
}

// tick is the timer interrupt after a time.
func (r *eevdfRun) tick(t require.TestingT, ns uint64) {
	r.pass(ns)
	if r.rqs[0].curr != r.rqs[0].idle {
		must(t, r.k.Tick(0))
	}
	r.preempt()
}

// preempt schedules if the running task has to give way.
func (r *eevdfRun) preempt() {
	if r.rqs[0].needResched || r.rqs[0].curr == r.rqs[0].idle {
		r.k.Schedule(0)
	}
}

// block lets the running task sleep.
func (r *eevdfRun) block(t require.TestingT) {
	id := r.rqs[0].curr
	if id == r.rqs[0].idle {
		return
	}
	r.k.SetState(id, StateInterruptible)
	_, err := r.k.Dequeue(id, DequeueSleep|DequeueNoClock)
	must(t, err)
	r.sleep = append(r.sleep, id)
	r.k.Schedule(0)
}

// wake wakes a sleeping task.
func (r *eevdfRun) wake(t require.TestingT, i int) {
	id := r.sleep[i]
	r.sleep = append(r.sleep[:i], r.sleep[i+1:]...)
	flags := EnqueueWakeup | EnqueueNoClock
	if r.ents[r.tasks[id].se].delayed {
		flags = EnqueueDelayed | EnqueueNoClock
	}
	r.ready(t, id, flags)
}

// naive is a queue's average as exact numbers: the sum of (vruntime - base) *
// weight over its entities and the sum of their weights.
func (r *eevdfRun) naive(q *cfsQueue, base uint64) (sum, weight *big.Int) {
	sum, weight = new(big.Int), new(big.Int)
	for i := range r.ents {
		e := &r.ents[i]
		if e.onRQ && e.queue == q.id {
			w := new(big.Int).SetUint64(weightDown(e.load.weight))
			weight.Add(weight, w)
			sum.Add(sum, w.Mul(w, big.NewInt(int64(e.vruntime-base))))
		}
	}
	return sum, weight
}

// naiveEligible says that an entity has had no more than the average.
func (r *eevdfRun) naiveEligible(q *cfsQueue, id EntityID) bool {
	sum, _ := r.naive(q, r.ents[id].vruntime)
	return sum.Sign() >= 0
}

// naivePick is the earliest deadline of all eligible entities, found by looking
// at each; a running one may keep the CPU.
func (r *eevdfRun) naivePick(q *cfsQueue, protect bool) (deadline uint64, keeps bool) {
	found := false
	for i := range r.ents {
		id, e := EntityID(i), &r.ents[i]
		if !e.onRQ || e.queue != q.id || !r.naiveEligible(q, id) {
			continue
		}
		if protect && q.curr == id && r.class().keeps(e) {
			return e.deadline, true
		}
		if !found || before(e.deadline, deadline) {
			deadline, found = e.deadline, true
		}
	}
	return deadline, false
}

// watch compares every pick with naivePick, every lag that is noted with the
// exact one within its limit.
func (r *eevdfRun) watch(t require.TestingT, picks *int) {
	r.SetHooks(Hooks{Probe: func(p *Probe) {
		if !p.Return || p.Queue < 0 {
			return
		}
		q := &r.queues[p.Queue]
		switch p.Point {
		case PointPickEEVDF:
			*picks++
			if q.nrRunning == 0 {
				require.Equal(t, EntityID(None), p.Entity)
				return
			}
			want, keeps := r.naivePick(q, p.Flags != 0)
			require.True(t, r.naiveEligible(q, p.Entity), "an entity that is not eligible is picked")
			require.Equal(t, want, r.ents[p.Entity].deadline, "earliest deadline")
			if keeps {
				require.Equal(t, q.curr, p.Entity, "the running entity's slice is protected")
			}
		case PointUpdateEntityLag:
			e := &r.ents[p.Entity]
			sum, weight := r.naive(q, e.vruntime)
			floor := new(big.Int).Div(sum, weight) // Div rounds down
			limit := int64(calcDeltaFair(max(2*e.sliceNS, uint64(sec/r.cfg.HZ)), &e.load))
			require.Equal(t, min(max(floor.Int64(), -limit), limit), e.vlag, "lag")
		}
	}})
}

// checkSums proves that lags add up to nothing: what rounding virtual time down
// leaves is less than 1 ns.
func (r *eevdfRun) checkSums(t require.TestingT) {
	for i := range r.queues {
		q := r.queues[i]
		if q.nrRunning == 0 {
			continue
		}
		v := r.class().virtualTime(&q)
		sum, weight := r.naive(&q, v)
		require.True(t, sum.Sign() >= 0 && sum.Cmp(weight) < 0, "sum of lags %v, of weights %v", sum, weight)
	}
}

// TestEEVDFAgainstNaiveTwin lets one CPU's tasks do anything, in two levels of
// groups, and compares what the augmented tree finds with looking at everybody.
func TestEEVDFAgainstNaiveTwin(t *testing.T) {
	for _, p := range eevdfProfiles {
		t.Run(p.Name, func(t *testing.T) {
			total := 0
			rapid.Check(t, func(t *rapid.T) {
				r := newEEVDF(t, p)
				picks := 0
				r.watch(t, &picks)
				groups := []GroupID{RootGroup}
				for range rapid.IntRange(0, 2).Draw(t, "groups") {
					g, err := r.k.AddGroup(rapid.SampledFrom(groups).Draw(t, "parent"), rapid.Uint64Range(2, 1<<22).Draw(t, "shares"))
					require.NoError(t, err)
					groups = append(groups, g)
				}
				for range rapid.IntRange(1, 80).Draw(t, "steps") {
					r.randomStep(t, groups)
					require.NoError(t, r.Check())
					r.checkSums(t)
				}
				total += picks
			})
			require.Positive(t, total)
		})
	}
}

func (r *eevdfRun) randomStep(t *rapid.T, groups []GroupID) {
	r.pass(rapid.Uint64Range(0, 3*msec).Draw(t, "time"))
	curr := r.rqs[0].curr
	runs := curr != r.rqs[0].idle
	switch op := rapid.IntRange(0, 12).Draw(t, "op"); {
	case op == 0 && len(r.tasks) < 12:
		id := r.add(t, rapid.IntRange(MinNice, MaxNice).Draw(t, "nice"))
		require.NoError(t, r.k.MoveTask(id, rapid.SampledFrom(groups).Draw(t, "group")))
	case op <= 2 && len(r.sleep) > 0:
		r.wake(t, rapid.IntRange(0, len(r.sleep)-1).Draw(t, "sleeper"))
	case op <= 4:
		r.block(t)
		return
	case op == 5 && runs:
		require.NoError(t, r.k.Yield(0))
		r.k.Schedule(0)
		return
	case op == 6 && len(r.tasks) > 1:
		id := TaskID(rapid.IntRange(1, len(r.tasks)-1).Draw(t, "task"))
		require.NoError(t, r.k.SetNice(id, rapid.IntRange(MinNice, MaxNice).Draw(t, "nice")))
	case op == 7 && len(r.tasks) > 1:
		id := TaskID(rapid.IntRange(1, len(r.tasks)-1).Draw(t, "task"))
		require.NoError(t, r.k.SetAttr(id, Attr{Policy: rapid.SampledFrom([]Policy{PolicyNormal, PolicyBatch, PolicyIdle}).Draw(t, "policy"),
			Runtime: rapid.SampledFrom([]uint64{0, 1, 300 * usec, 5 * msec, sec}).Draw(t, "slice")}))
	case op == 8 && len(r.tasks) > 1:
		id := TaskID(rapid.IntRange(1, len(r.tasks)-1).Draw(t, "task"))
		require.NoError(t, r.k.MoveTask(id, rapid.SampledFrom(groups).Draw(t, "group")))
	case op == 9 && len(groups) > 1:
		g := rapid.SampledFrom(groups[1:]).Draw(t, "group")
		quota := rapid.SampledFrom([]int64{-1, 1000, 3000}).Draw(t, "quota")
		require.NoError(t, r.k.SetMax(g, quota, 10_000, 0))
	case op == 10 && len(groups) > 1:
		r.k.PeriodTimer(rapid.SampledFrom(groups[1:]).Draw(t, "group"), 1)
	case op == 11 && len(groups) > 1:
		require.NoError(t, r.k.SetIdle(rapid.SampledFrom(groups[1:]).Draw(t, "group"), rapid.Bool().Draw(t, "idle")))
	case runs:
		require.NoError(t, r.k.Tick(0))
	}
	r.preempt()
}

// TestEEVDFLagBound lets CPU-bound tasks of any weights and slices run, looking
// at them whenever the running one has had what it asked for: then no task is
// ever further from its share than the longest slice, which is EEVDF's theorem.
// The 2 ns are what reaching a deadline in whole ns takes more than the slice.
func TestEEVDFLagBound(t *testing.T) {
	for _, p := range eevdfProfiles {
		t.Run(p.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				r := newEEVDF(t, p)
				longest := r.tun.BaseSliceNS
				for range rapid.IntRange(2, 8).Draw(t, "tasks") {
					id := r.add(t, rapid.IntRange(MinNice, MaxNice).Draw(t, "nice"))
					if p.DelayedDequeue {
						slice := rapid.Uint64Range(100*usec, 5*msec).Draw(t, "slice")
						r.k.SetSlice(id, slice)
						longest = max(longest, slice)
					}
				}
				r.preempt()
				bound := new(big.Int).SetUint64(longest + 2)
				for range rapid.IntRange(1, 100).Draw(t, "requests") {
					r.tick(t, r.untilDeadline())
					for id := 1; id < len(r.tasks); id++ {
						lag := r.serviceLag(TaskID(id))
						require.LessOrEqual(t, lag.CmpAbs(bound), 0, "task %d is %v ns from its share, slices are up to %d ns", id, lag, longest)
					}
				}
			})
		})
	}
}

// untilDeadline is how long the running task takes to reach its deadline.
func (r *eevdfRun) untilDeadline() uint64 {
	e := &r.ents[r.tasks[r.rqs[0].curr].se]
	for ns := (e.deadline - e.vruntime) * e.weight() / 1024; ; ns++ {
		if !before(e.vruntime+calcDeltaFair(ns, &e.load), e.deadline) {
			return max(ns, 1)
		}
	}
}

// serviceLag is by how many ns a task has had less than its share.
func (r *eevdfRun) serviceLag(id TaskID) *big.Int {
	e := &r.ents[r.tasks[id].se]
	sum, weight := r.naive(&r.queues[e.queue], e.vruntime)
	sum.Mul(sum, new(big.Int).SetUint64(e.weight()))
	return sum.Div(sum, weight.Mul(weight, big.NewInt(1024)))
}

// TestEEVDFPlacement are placements with known results: virtual time 1,000,000
// and one running task of nice 0 whose slice is not used up.
func TestEEVDFPlacement(t *testing.T) {
	for _, tt := range []struct {
		what               string
		nice               int
		lag                int64
		rel                bool
		flags              int
		vruntime, deadline int64 // relative to virtual time
	}{
		{"a new task gets half a slice", 0, 0, false, EnqueueInitial, 0, 350_000},
		{"a sleeper without lag gets a slice", 0, 0, false, EnqueueWakeup, 0, 700_000},
		// The lag is doubled: the task halves it by entering beside one of the
		// same weight.
		{"what was owed is owed again", 0, 100_000, false, EnqueueWakeup, -200_000, 500_000},
		{"what was had too much counts too", 0, -100_000, false, EnqueueWakeup, 200_000, 900_000},
		{"a heavy task's lag grows by more", -5, 1000, false, EnqueueWakeup, -4047, 225_622},
		{"a moved task keeps its deadline", 0, 0, true, EnqueueRestore, 0, 123_456},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := newEEVDF(t, Debian6_12)
			running := r.add(t, 0)
			r.k.Schedule(0)
			id, err := r.k.AddTask(TaskInfo{PID: 2, Nice: tt.nice, State: StateInterruptible})
			require.NoError(t, err)
			se := r.EntityOf(id)
			s := r.Entity(se)
			s.Lag, s.RelDeadline, s.Deadline = tt.lag, tt.rel, 123_456
			r.k.SetEntity(se, s)
			v := r.ents[r.EntityOf(running)].vruntime
			require.NoError(t, r.k.Enqueue(id, tt.flags))
			got := r.Entity(se)
			assert.Equal(t, tt.vruntime, int64(got.Vruntime-v), "vruntime")
			assert.Equal(t, tt.deadline, int64(got.Deadline-v), "deadline")
			require.NoError(t, r.Check())
		})
	}
}

// TestEEVDFDelayedDequeue follows a task that goes to sleep after it has had
// more than its share.
func TestEEVDFDelayedDequeue(t *testing.T) {
	start := func() (*eevdfRun, TaskID, *cfsQueue) {
		r := newEEVDF(t, Debian6_12)
		first, second := r.add(t, 0), r.add(t, 0)
		r.k.Schedule(0)
		require.Contains(t, []TaskID{first, second}, r.k.Running(0))
		r.pass(3 * msec)
		id := r.k.Running(0)
		r.block(t)
		require.NotEqual(t, id, r.k.Running(0))
		q := &r.queues[r.rqs[0].root]
		require.True(t, r.Entity(r.EntityOf(id)).Delayed)
		require.EqualValues(t, 2, q.nrRunning)
		require.EqualValues(t, 2, q.hNrQueued)
		require.EqualValues(t, 1, q.hNrRunning)
		return r, id, q
	}
	t.Run("picked", func(t *testing.T) {
		r, id, q := start()
		r.tick(t, 10*msec)
		require.False(t, r.Entity(r.EntityOf(id)).OnRQ, "its lag is spent: it leaves")
		require.Zero(t, r.Entity(r.EntityOf(id)).Lag, "and is owed nothing")
		require.EqualValues(t, 1, q.hNrQueued)
		require.False(t, r.Task(id).OnRQ)
	})
	t.Run("woken before", func(t *testing.T) {
		r, id, q := start()
		before := r.Entity(r.EntityOf(id))
		r.wake(t, 0)
		after := r.Entity(r.EntityOf(id))
		require.False(t, after.Delayed)
		require.Equal(t, before.Vruntime, after.Vruntime, "what it had too much it has still")
		require.EqualValues(t, 2, q.hNrRunning)
	})
	t.Run("woken late", func(t *testing.T) {
		r, id, _ := start()
		r.pass(10 * msec)
		r.k.UpdateCurr(r.rqs[0].root)
		r.wake(t, 0)
		e := r.Entity(r.EntityOf(id))
		require.False(t, e.Delayed)
		require.Zero(t, e.Lag, "what it was owed meanwhile is not kept")
		require.NoError(t, r.Check())
	})
	t.Run("dies", func(t *testing.T) {
		r, id, q := start()
		require.NoError(t, r.k.DequeueDelayed(r.EntityOf(id)))
		require.EqualValues(t, 1, q.hNrQueued)
		require.Error(t, r.k.DequeueDelayed(r.EntityOf(id)))
		require.NoError(t, r.Check())
	})
	t.Run("becomes real-time", func(t *testing.T) {
		r, id, q := start()
		require.NoError(t, r.k.SetAttr(id, Attr{Policy: PolicyFIFO, RTPriority: 1}))
		require.EqualValues(t, 1, q.hNrQueued)
		require.Equal(t, ClassRT, r.Task(id).Class)
		require.NoError(t, r.Check())
	})
}

// TestSmallestSliceCanBeStale: a rotation takes the smallest slice of the node
// that it lifts as it was, as in the kernel.
func TestSmallestSliceCanBeStale(t *testing.T) {
	tree := emptyTree(true)
	nodes := make([]rbNode, 4)
	for i, slice := range []uint64{1, 5, 7} {
		nodes[i].key, nodes[i].vruntime, nodes[i].slice = uint64(i), uint64(i), slice
		tree.insert(nodes, int32(i))
	}
	require.EqualValues(t, 1, tree.root)
	require.EqualValues(t, 0, nodes[1].minVrun)
	require.EqualValues(t, 5, nodes[1].minSlice, "the first node's slice of 1 is forgotten")
	nodes[3].key, nodes[3].slice = 3, 6
	tree.insert(nodes, 3)
	require.EqualValues(t, 1, nodes[1].minSlice, "until something changes below")
}

// TestFairServer lets a fair task starve behind a real-time one: the server
// gives it 50 ms of each second.
func TestFairServer(t *testing.T) {
	run := func(p Profile) uint64 {
		tun := p.Tunables
		if !p.FairServer {
			tun.RTRuntimeNS = RuntimeInf
		}
		s, err := NewSim(SimConfig{Config: Config{CPUs: 1, Profile: p, Tunables: &tun}})
		require.NoError(t, err)
		hog := Loop(Compute(10 * msec))
		_, err = s.Spawn(TaskSpec{Comm: "fifo", Attr: Attr{Policy: PolicyFIFO, RTPriority: 1}, Program: hog})
		require.NoError(t, err)
		fair, err := s.Spawn(TaskSpec{Comm: "fair", Program: hog})
		require.NoError(t, err)
		require.NoError(t, s.Run(10*sec))
		require.NoError(t, s.m.Check())
		require.Zero(t, s.m.rqs[0].rt.time, "no limit but the server's")
		return s.Times(fair).Run
	}
	require.Zero(t, run(Linux6_1))
	for _, p := range []Profile{Debian6_12, Linux6_12, Linux6_18} {
		got := run(p)
		// A second's 50 ms, each followed by the tick that ends it.
		require.GreaterOrEqual(t, got, uint64(9*serverRuntime), p.Name)
		require.LessOrEqual(t, got, uint64(10*(serverRuntime+4*msec)), p.Name)
	}
}

// TestEEVDFYield: sched_yield moves the deadline by a slice, and later kernels
// also take the virtual runtime up to the old one.
func TestEEVDFYield(t *testing.T) {
	for _, p := range eevdfProfiles {
		t.Run(p.Name, func(t *testing.T) {
			r := newEEVDF(t, p)
			r.add(t, 0)
			r.add(t, 0)
			r.k.Schedule(0)
			se := r.EntityOf(r.k.Running(0))
			before := r.Entity(se)
			require.NoError(t, r.k.Yield(0))
			after := r.Entity(se)
			require.Equal(t, before.Deadline+r.tun.BaseSliceNS, after.Deadline)
			want := before.Vruntime
			if p.YieldVruntime {
				want = before.Deadline
			}
			require.Equal(t, want, after.Vruntime)
			r.k.Schedule(0)
			require.NotEqual(t, se, r.EntityOf(r.k.Running(0)), "the other task runs")
			require.NoError(t, r.Check())
		})
	}
}

// TestEEVDFReweight: a queued group's entity whose weight is doubled has half
// the lag in virtual time; in 6.6 it keeps its virtual runtime.
func TestEEVDFReweight(t *testing.T) {
	for _, p := range eevdfProfiles {
		t.Run(p.Name, func(t *testing.T) {
			r := newEEVDF(t, p)
			q := &r.queues[r.rqs[0].root]
			first, second := r.EntityOf(r.add(t, 0)), r.EntityOf(r.add(t, 0))
			for i, id := range []EntityID{first, second} {
				e := r.Entity(id)
				e.Vruntime, e.Deadline = uint64(10+2*i)*msec, uint64(10+2*i)*msec+700*usec
				r.k.SetEntity(id, e)
			}
			// Virtual time is 11 ms, the first has a lag of 1 ms.
			r.fair.reweightEntity(q, first, 2*nice0Load)
			e := r.Entity(first)
			if p.ReweightLag {
				require.EqualValues(t, 10_500*usec, e.Vruntime)
				require.EqualValues(t, 11*msec-150*usec, e.Deadline)
			} else {
				require.EqualValues(t, 10*msec, e.Vruntime)
				require.EqualValues(t, 10*msec+350*usec, e.Deadline)
			}
			require.NoError(t, r.Check())
		})
	}
}

// TestEEVDFMinVruntime: up to 6.18 the zero of virtual time is min_vruntime. It
// follows the entity that is furthest behind, and never goes back.
func TestEEVDFMinVruntime(t *testing.T) {
	r := newEEVDF(t, Linux6_12)
	var ids []TaskID
	for i := range 3 {
		ids = append(ids, r.add(t, 0))
		e := r.Entity(r.EntityOf(ids[i]))
		e.Vruntime, e.Deadline = uint64(1+i)*msec, uint64(1+i)*msec+700*usec
		r.k.SetEntity(r.EntityOf(ids[i]), e)
	}
	q := &r.queues[r.rqs[0].root]
	start := firstVruntime
	require.Equal(t, start, q.zeroVruntime)
	_, err := r.k.Dequeue(ids[0], 0)
	require.NoError(t, err)
	require.EqualValues(t, 2*msec, q.zeroVruntime, "the second is furthest behind")
	_, err = r.k.Dequeue(ids[1], DequeueSave)
	require.NoError(t, err)
	require.EqualValues(t, 2*msec, q.zeroVruntime, "one that comes back must not be left behind")
	require.NoError(t, r.k.Enqueue(ids[1], EnqueueRestore))
	require.NoError(t, r.k.Enqueue(ids[0], EnqueueMigrated))
	require.EqualValues(t, 2*msec, q.zeroVruntime)
	require.NoError(t, r.Check())
}

// TestVruntimeProtection: since 6.17 a task runs until its deadline, or for the
// shortest slice in its queue.
func TestVruntimeProtection(t *testing.T) {
	for _, tt := range []struct {
		what      string
		other     uint64 // slice of the other task
		parity    bool
		protected uint64 // vruntime, from the pick
	}{
		{"a shorter slice waits", 300 * usec, true, 300 * usec},
		{"a longer slice waits", 5 * msec, true, 2 * msec},
		{"without RUN_TO_PARITY only the base slice", 5 * msec, false, 700 * usec},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := newEEVDF(t, Linux6_18)
			if !tt.parity {
				r.tun.Features &^= RunToParity
			}
			r.tun.Features &^= PlaceDeadlineInitial
			id, err := r.k.AddTask(TaskInfo{PID: 1, State: StateNew})
			require.NoError(t, err)
			r.k.SetSlice(id, 2*msec)
			require.NoError(t, r.k.Enqueue(id, EnqueueInitial))
			other, err := r.k.AddTask(TaskInfo{PID: 2, State: StateNew})
			require.NoError(t, err)
			r.k.SetSlice(other, tt.other)
			require.NoError(t, r.k.Enqueue(other, EnqueueInitial))
			q := &r.queues[r.rqs[0].root]
			e := &r.ents[r.EntityOf(id)]
			from := e.vruntime
			r.class().setNextEntity(q, r.EntityOf(id))
			require.Equal(t, from+tt.protected, uint64(e.vlag))
			require.True(t, r.class().protected(e))
			e.vruntime = from + tt.protected
			require.False(t, r.class().protected(e))
		})
	}
}

// BenchmarkEEVDFSwitch measures a tick that ends a slice among n tasks: charging
// the running task, picking the next one, putting the one into the tree and
// taking the other out.
func BenchmarkEEVDFSwitch(b *testing.B) {
	for n := 10; n <= 1_000_000; n *= 10 {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newEEVDF(b, Debian6_12)
			for i := range n {
				r.add(b, i%10-5)
			}
			r.k.Schedule(0)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r.tick(b, msec)
			}
		})
	}
}

// BenchmarkEEVDFWake measures a task that is woken beside n others and sleeps
// again: placing, two insertions and erasures, two picks.
func BenchmarkEEVDFWake(b *testing.B) {
	for n := 10; n <= 1_000_000; n *= 10 {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newEEVDF(b, Debian6_12)
			for i := range n {
				r.add(b, i%10-5)
			}
			r.k.Schedule(0)
			r.block(b)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r.pass(10 * usec)
				r.wake(b, 0)
				r.block(b)
			}
		})
	}
}
