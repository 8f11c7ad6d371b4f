package replay

import "github.com/kernsim/kernsim/sched"

// tracksLoad says that the trace shows load tracking.
func (r *schedReplay) tracksLoad() bool { return r.t.seen[entry(sched.PointUpdateLoadAvgCFS)] > 0 }

// loadKeys are the fields of a load average, as a line shows it.
var loadKeys = []schedKey{keyLut, keyLsum, keyRsum, keyUsum, keyPc, keyLavg, keyRavg, keyUavg}

func loadField(s *sched.LoadState, k schedKey) uint64 {
	switch k {
	case keyLut:
		return s.LastUpdate
	case keyLsum:
		return s.LoadSum
	case keyRsum:
		return s.RunnableSum
	case keyUsum:
		return uint64(s.UtilSum)
	case keyPc:
		return uint64(s.PeriodContrib)
	case keyLavg:
		return s.Load
	case keyRavg:
		return s.Runnable
	}
	return s.Util
}

func setLoadField(s *sched.LoadState, k schedKey, v uint64) {
	switch k {
	case keyLut:
		s.LastUpdate = v
	case keyLsum:
		s.LoadSum = v
	case keyRsum:
		s.RunnableSum = v
	case keyUsum:
		s.UtilSum = uint32(v)
	case keyPc:
		s.PeriodContrib = uint32(v)
	case keyLavg:
		s.Load = v
	case keyRavg:
		s.Runnable = v
	case keyUavg:
		s.Util = v
	}
}

// compareLoad compares the load average of an entity or queue, and the clock.
func (r *schedReplay) compareLoad(l *schedLine, p *sched.Probe) {
	q := r.m.Queue(p.Queue)
	if now, ok := r.t.get(l, keyNow); ok {
		if !r.peltClock[p.CPU] || !r.check(l, keyNow, q.PeltClock) {
			r.peltClock[p.CPU] = true
			r.k.SetPeltClock(p.CPU, now+r.m.RunQueue(p.CPU).ClockPelt-q.PeltClock)
		}
		p.Value = now // the operation may have read the clock before it was set
	}
	if p.Point == sched.PointUpdateLoadAvgCFS {
		r.check(l, keyHnr, uint64(q.HNrRunning))
		known := r.knownLoadQ[p.Queue]
		if r.takeLoad(l, &q.Load, known) {
			r.k.SetQueue(p.Queue, q)
		}
		r.knownLoadQ[p.Queue] = true
		return
	}
	e := r.m.Entity(p.Entity)
	known := r.loadKnown(p.Entity)
	if known {
		r.check(l, keyRw, e.RunnableWt)
		if lut, ok := r.t.get(l, keyLut); ok && lut != e.Load.LastUpdate && lut == q.Load.LastUpdate && r.m.CPUs() > 1 {
			// A program was executed: the search for a CPU for it has brought
			// the task's load up to its queue's, which no event shows.
			r.k.SyncLoad(p.Entity)
			e = r.m.Entity(p.Entity)
			r.hint("load of a task that executes a program")
		}
	}
	if r.takeLoad(l, &e.Load, known) {
		r.k.SetEntity(p.Entity, e)
	}
	r.knownLoadE[p.Entity] = true
}

// loadKnown says that the model knows an entity's load: it has seen it, or the
// entity's task was forked under its eyes.
func (r *schedReplay) loadKnown(id sched.EntityID) bool {
	if known, ok := r.knownLoadE[id]; ok {
		return known
	}
	return r.knows(id, keyNone)
}

// takeLoad compares a load average, or takes it over at its first sight; it
// says whether s was changed.
func (r *schedReplay) takeLoad(l *schedLine, s *sched.LoadState, known bool) bool {
	changed := false
	for _, k := range loadKeys {
		want, ok := r.t.get(l, k)
		if !ok || known && r.check(l, k, loadField(s, k)) {
			continue
		}
		if known {
			r.adopted++
		}
		changed = true
		setLoadField(s, k, want)
	}
	return changed
}

// startLoads gives queues and entities that were there at the start the load
// that their first update shows; no line before can have changed it.
func (r *schedReplay) startLoads() {
	gone := map[int32]bool{} // tasks that went to another CPU before
	for i := range r.t.lines {
		l := &r.t.lines[i]
		switch l.event {
		case evMigrateFair:
			gone[r.t.pid(l, keyPid)] = true
		case entry(sched.PointUpdateLoadAvgCFS):
			r.startQueueLoad(l)
		case entry(sched.PointUpdateLoadAvgSE):
			if r.t.val(l, keyMyq) != 0 || !gone[r.t.pid(l, keyPid)] {
				r.startEntityLoad(l)
			}
		}
	}
}

// leavesUnknown notes that a task goes to another CPU with a load that the trace
// does not tell: no line has shown it so far, and its old queue loses an unknown
// load; or it sleeps on an idle CPU, and is aged by an estimate of how long that
// has been idle, with a clock that no line shows (migrate_se_pelt_lag).
func (r *schedReplay) leavesUnknown(t sched.TaskID) {
	if !r.tracksLoad() {
		return
	}
	id, st := r.m.EntityOf(t), r.m.Task(t)
	switch {
	case !r.loadKnown(id):
		q, _, _ := r.m.Where(id)
		r.forgetLoad(q)
		r.arriving[id] = "load of a task that the trace shows only on its second CPU"
	case !r.m.Migrating(t) && st.State != sched.StateNew && r.k.Running(st.CPU) == r.k.Idle(st.CPU):
		r.arriving[id] = "load of a task that has left an idle CPU"
	}
}

// arrivesUnknown notes that such a task is in its new queue.
func (r *schedReplay) arrivesUnknown(id sched.EntityID) {
	if kind, ok := r.arriving[id]; ok {
		delete(r.arriving, id)
		q, _, _ := r.m.Where(id)
		r.forgetLoad(q)
		r.knownLoadE[id] = false
		r.hint(kind)
	}
}

// forgetLoad lets the next update of a queue's load, and of those above, be taken
// over.
func (r *schedReplay) forgetLoad(q sched.QueueID) {
	for q >= 0 {
		delete(r.knownLoadQ, q)
		id := r.m.Queue(q).Entity
		if id < 0 {
			return
		}
		r.knownLoadE[id] = false
		q, _, _ = r.m.Where(id)
	}
}

func (r *schedReplay) startQueueLoad(l *schedLine) {
	id, ok := r.queueOf[r.t.val(l, keyCFS)]
	if !ok || r.knownLoadQ[id] {
		return
	}
	q := r.m.Queue(id)
	r.takeLoad(l, &q.Load, false)
	r.k.SetQueue(id, q)
	r.knownLoadQ[id] = true
}

func (r *schedReplay) startEntityLoad(l *schedLine) {
	o := r.scan.find(r.t.pid(l, keyPid), r.t.val(l, keyMyq))
	if o == nil || o.forked {
		return
	}
	id := r.entityOfObject(o)
	if id < 0 || r.knownLoadE[id] {
		return
	}
	e := r.m.Entity(id)
	r.takeLoad(l, &e.Load, false)
	if v, ok := r.t.get(l, keyRw); ok {
		e.RunnableWt = v
	}
	r.k.SetEntity(id, e)
	r.knownLoadE[id] = true
}

// updateBlocked is an update by load balancing, at the time that its line shows.
func (r *schedReplay) updateBlocked(l *schedLine) {
	id, ok := r.queueOf[r.t.val(l, keyCFS)]
	if !ok || r.m.CPUs() == 1 {
		r.leftOver(l)
		return
	}
	cpu := r.m.CPUOf(id)
	if now := r.t.val(l, keyNow); r.peltClock[cpu] {
		clk := r.m.RunQueue(cpu).ClockTask + now - r.m.Queue(id).PeltClock
		r.k.SetClock(cpu, clk, clk)
	}
	unset := r.m.RunQueue(cpu).ClockTask == 0
	r.k.UpdateBlocked(id)
	if unset { // no line has shown how the two clocks differ
		r.peltClock[cpu] = false
	}
	r.res.count("loads updated by load balancing")
}

// updateShares is an update of a group's entity for a new weight of the group, or
// of one below it. On one CPU the weight that it is given is the group's.
func (r *schedReplay) updateShares(i int32, l *schedLine) {
	myq := r.t.val(l, keyMyq)
	g, ok := r.groupOf[myq]
	if !ok || g == sched.RootGroup {
		r.leftOver(l)
		return
	}
	if cpu := r.m.CPUOf(r.queueOf[myq]); r.peltClock[cpu] {
		now := r.t.val(l, keyNow)
		clk := r.m.RunQueue(cpu).ClockTask + now - r.m.Queue(r.queueOf[r.t.val(l, keyCFS)]).PeltClock
		r.k.SetClock(cpu, clk, clk)
	}
	at := r.t.next[i]
	for n := 0; at >= 0 && n < 2 && r.t.lines[at].event != entry(sched.PointReweightEntity); n++ {
		at = r.t.next[at]
	}
	if at >= 0 && r.m.CPUs() == 1 {
		if next := &r.t.lines[at]; next.event == entry(sched.PointReweightEntity) && r.t.val(next, keyMyq) == myq {
			r.setIdle(g, r.t.val(next, keyWeight))
			r.k.SetShares(g, r.t.val(next, keyWeight))
		}
	}
	r.k.UpdateShares(r.entityOfQueue(myq))
	r.hint("a group's weight set")
}

// dies notes a task that leaves for good. Its load leaves its queue a little
// later, when the next task has interrupts on again: a tick that was waiting
// comes first.
func (r *schedReplay) dies(l *schedLine) {
	if id, ok := r.taskOf[r.t.pid(l, keyPrevPid)]; ok && l.state&(sched.StateZombie|sched.StateExitDead) != 0 && r.tracksLoad() {
		r.dying = append(r.dying, id)
	}
}

// bury takes dead tasks' loads off their queues when the operation that begins
// updates those, unless its line shows that this has not happened yet.
func (r *schedReplay) bury(i int32) {
	keep := r.dying[:0]
	for _, id := range r.dying {
		q, _, _ := r.m.Where(r.m.EntityOf(id))
		at := r.updateOf(i, q)
		if at >= 0 && r.t.val(&r.t.lines[at], keyLsum) != r.m.Queue(q).Load.LoadSum {
			r.k.Dead(id)
			continue
		}
		keep = append(keep, id)
		if at >= 0 {
			r.hint("death of a task noticed after an interrupt")
		}
	}
	r.dying = keep
}

// updateOf is the line of a queue's first update in the operation that begins at
// a line, -1 if there is none.
func (r *schedReplay) updateOf(i int32, q sched.QueueID) int32 {
	for at := i; at >= 0; at = r.t.next[at] {
		l := &r.t.lines[at]
		if at != i && l.event.begins() {
			break
		}
		if l.event == entry(sched.PointUpdateLoadAvgCFS) && r.queueOf[r.t.val(l, keyCFS)] == q {
			return at
		}
	}
	return -1
}
