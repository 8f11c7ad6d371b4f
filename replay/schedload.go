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
	if now, ok := r.t.get(l, keyNow); ok && (!r.peltClock[p.CPU] || !r.check(l, keyNow, q.PeltClock)) {
		r.peltClock[p.CPU] = true
		r.k.SetPeltClock(p.CPU, now+r.m.RunQueue(p.CPU).ClockPelt-q.PeltClock)
		p.Value = now
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
	}
	if r.takeLoad(l, &e.Load, known) {
		r.k.SetEntity(p.Entity, e)
	}
	r.knownLoadE[p.Entity] = true
}

// loadKnown says that the model knows an entity's load: it has seen it, or the
// entity's task was forked under its eyes.
func (r *schedReplay) loadKnown(id sched.EntityID) bool {
	return r.knownLoadE[id] || r.knows(id, keyNone)
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

// startLoads lets the entities that were there at the start report their load,
// so that it can be taken over.
func (r *schedReplay) startLoads() {
	for _, o := range r.scan.tasks { // order does not matter
		if !o.forked {
			id := r.m.EntityOf(r.taskOf[o.pid])
			s := r.m.Entity(id)
			s.Load.LastUpdate = 1
			r.k.SetEntity(id, s)
		}
	}
	for _, o := range r.scan.groups { // order does not matter
		id := r.entityOfQueue(o.myq)
		s := r.m.Entity(id)
		s.Load.LastUpdate = 1
		r.k.SetEntity(id, s)
	}
}
