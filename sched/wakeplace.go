package sched

// Where a woken fair task runs in a simulation with scheduling domains, as in Linux
// 6.1 (kernel/sched/fair.c): near the waker or near where it ran last, whichever is
// idle or has less load, and there on an idle CPU if a search that is limited by how
// busy the CPUs are finds one. A waker of many spreads the woken.
//
// Left out are asymmetric capacities, energy, per-CPU kernel threads and clusters.

// wakeState is what placement keeps of a task.
type wakeState struct {
	flips     uint32 // how often it woke another task than before (wakee_flips)
	decayed   uint64 // tick of their last halving
	lastWakee TaskID
	recent    CPU // where it ran before it ran where it did last (recent_used_cpu)
}

// llcState is what CPUs that share the last cache know in common
// (sched_domain_shared).
type llcState struct {
	scan      int  // how many CPUs a search looks at (nr_idle_scan)
	idleCores bool // there may be a core whose threads all are idle
}

// newCaches makes the states of the caches: nothing has run, and searches are not
// limited before load is balanced for the first time.
func (s *Sim) newCaches() {
	size := s.cfg.Topology.LLC
	s.caches = make([]llcState, (len(s.cpus)+size-1)/size)
	for i := range s.caches {
		s.caches[i] = llcState{scan: min(size, len(s.cpus)-i*size), idleCores: s.cfg.Topology.SMT > 1}
	}
}

func (s *Sim) cacheOf(cpu CPU) *llcState   { return &s.caches[s.llc(cpu)] }
func (s *Sim) sharesCache(a, b CPU) bool   { return s.llc(a) == s.llc(b) }
func (s *Sim) wakesOf(t TaskID) *wakeState { return &s.wakes[t] }
func (s *Sim) unit(cpu CPU, size int) [2]CPU { // the CPUs of a unit, from and up to
	first := int(cpu) / size * size
	return [2]CPU{CPU(first), CPU(min(first+size, len(s.cpus)))}
}

// free says that a CPU is idle or has only SCHED_IDLE tasks (available_idle_cpu or
// sched_idle_cpu).
func (s *Sim) free(cpu CPU) bool { return s.isIdle(cpu) || s.onlyIdleTasks(cpu) }

func (s *Sim) onlyIdleTasks(cpu CPU) bool {
	rq := &s.m.rqs[cpu]
	return rq.nrRunning > 0 && rq.nrRunning == s.m.queues[rq.root].idleHNrRunning
}

// placeWoken chooses the CPU of a woken fair task (select_task_rq with WF_TTWU);
// sync says that the waker is about to sleep.
func (s *Sim) placeWoken(t TaskID, from, prev CPU, sync bool) CPU {
	if s.tasks[t].cpus.Count(len(s.cpus)) == 1 {
		return s.firstCPU(s.tasks[t].cpus)
	}
	waker := s.m.rqs[from].curr
	s.recordWakee(waker, t)
	target := prev
	if from != prev && s.allowed(t, from) && !s.spreads(waker, t, from) {
		target = s.affine(t, from, prev, sync)
	}
	return s.fallback(t, prev, s.idleNear(t, prev, target))
}

// fallback is another CPU where a task may not use the one that was chosen: one of
// its node, or any (select_fallback_rq).
func (s *Sim) fallback(t TaskID, prev, chosen CPU) CPU {
	if s.allowed(t, chosen) {
		return chosen
	}
	node := s.unit(prev, s.cfg.Topology.Node)
	for c := node[0]; c < node[1]; c++ {
		if s.allowed(t, c) {
			return c
		}
	}
	return s.firstCPU(s.tasks[t].cpus)
}

// recordWakee counts how often a task wakes another one than before, halved after
// a second (record_wakee).
func (s *Sim) recordWakee(waker, t TaskID) {
	w := s.wakesOf(waker)
	if s.tickOf() > w.decayed+uint64(s.m.cfg.HZ) {
		w.flips >>= 1
		w.decayed = s.tickOf()
	}
	if w.lastWakee != t {
		w.lastWakee = t
		w.flips++
	}
}

// spreads says that waker and woken have so many partners that those had better not
// be drawn together (wake_wide).
func (s *Sim) spreads(waker, t TaskID, from CPU) bool {
	master, slave := s.wakesOf(waker).flips, s.wakesOf(t).flips
	if master < slave {
		master, slave = slave, master
	}
	cache := s.unit(from, s.cfg.Topology.LLC)
	factor := uint32(cache[1] - cache[0])
	return slave >= factor && uint64(master) >= uint64(slave)*uint64(factor)
}

// affine chooses between the waker's CPU and the last one (wake_affine).
func (s *Sim) affine(t TaskID, from, prev CPU, sync bool) CPU {
	if s.m.feat(WakeAffineIdle) {
		switch {
		case s.isIdle(from) && s.sharesCache(from, prev):
			if s.isIdle(prev) {
				return prev
			}
			return from
		case sync && s.m.rqs[from].nrRunning-s.delayedOn(from) == 1:
			return from
		case s.isIdle(prev):
			return prev
		}
	}
	if s.m.feat(WakeAffineWeight) && s.lighterHere(t, from, prev, sync) {
		return from
	}
	return prev
}

// delayedOn is how many of a CPU's tasks sleep, but are still queued.
func (s *Sim) delayedOn(cpu CPU) uint32 {
	q := s.rootQueue(cpu)
	return q.hNrQueued - q.hNrRunning
}

// lighterHere says that the waker's CPU would have less load for its capacity with
// the task than the last one without it, which it may exceed by half of what a
// balancing lets it (wake_affine_weight).
func (s *Sim) lighterHere(t TaskID, from, prev CPU, sync bool) bool {
	here, there := int64(s.rootQueue(from).avg.load), int64(s.rootQueue(prev).avg.load)
	if sync {
		waker := int64(s.taskLoad(s.m.rqs[from].curr))
		if waker > here {
			return true
		}
		here -= waker
	}
	load := int64(s.taskLoad(t))
	d := 0
	for d < len(s.levels)-1 && s.levels[d].first(from) != s.levels[d].first(prev) {
		d++
	}
	here = (here + load) * 100 * int64(s.capacity(prev))
	there = (there - load) * int64(100+(s.levels[d].imbalancePct-100)/2) * int64(s.capacity(from))
	if sync {
		there++
	}
	return here < there
}

// idleNear looks for an idle CPU that shares the target's cache
// (select_idle_sibling).
func (s *Sim) idleNear(t TaskID, prev, target CPU) CPU {
	if s.free(target) {
		return target
	}
	if prev != target && s.sharesCache(prev, target) && s.free(prev) {
		return prev
	}
	w := s.wakesOf(t)
	recent := w.recent
	w.recent = prev
	if recent != prev && s.sharesCache(recent, target) && s.free(recent) && s.allowed(t, recent) {
		return recent
	}
	if s.cfg.Topology.LLC == 1 {
		return target
	}
	cores := s.cacheOf(target).idleCores
	if s.cfg.Topology.SMT > 1 && !cores && s.sharesCache(prev, target) {
		if c, ok := s.idleThread(t, prev); ok {
			return c
		}
	}
	if c, ok := s.searchCache(t, target, cores); ok {
		return c
	}
	return target
}

// idleThread finds a thread of a CPU's core that is idle (select_idle_smt).
func (s *Sim) idleThread(t TaskID, cpu CPU) (CPU, bool) {
	core := s.unit(cpu, s.cfg.Topology.SMT)
	for c := core[0]; c < core[1]; c++ {
		if c != cpu && s.allowed(t, c) && s.free(c) {
			return c, true
		}
	}
	return 0, false
}

// searchCache looks for an idle core, if there may be one, or for an idle CPU among
// those that share the target's cache, from the one after it on (select_idle_cpu).
func (s *Sim) searchCache(t TaskID, target CPU, cores bool) (CPU, bool) {
	cache := s.cacheOf(target)
	left := cache.scan
	if left == 0 {
		return 0, false
	}
	unit := s.unit(target, s.cfg.Topology.LLC)
	idle, size := CPU(-1), unit[1]-unit[0]
	for i := range size {
		c := unit[0] + (target-unit[0]+1+i)%size
		if !s.allowed(t, c) {
			continue
		}
		if cores {
			if s.wholeCore(t, c, &idle) {
				return c, true
			}
			continue
		}
		if left--; left < 0 {
			return 0, false
		}
		if s.free(c) {
			return c, true
		}
	}
	if cores {
		cache.idleCores = false
	}
	return idle, idle >= 0
}

// wholeCore says that all threads of a CPU's core are idle; else idle is a thread
// that is, if none was found before (select_idle_core).
func (s *Sim) wholeCore(t TaskID, cpu CPU, idle *CPU) bool {
	core := s.unit(cpu, s.cfg.Topology.SMT)
	whole := true
	for c := core[0]; c < core[1]; c++ {
		if !s.isIdle(c) {
			whole = false
			if *idle >= 0 {
				break
			}
			if s.onlyIdleTasks(c) && s.allowed(t, c) {
				*idle = c
				break
			}
			continue
		}
		if *idle < 0 && s.allowed(t, c) {
			*idle = c
		}
	}
	return whole
}

// becameIdle notes that a core may be idle as a CPU of it is
// (__update_idle_core).
func (s *Sim) becameIdle(cpu CPU) {
	if s.caches == nil || s.cfg.Topology.SMT == 1 || s.cacheOf(cpu).idleCores {
		return
	}
	core := s.unit(cpu, s.cfg.Topology.SMT)
	for c := core[0]; c < core[1]; c++ {
		if c != cpu && !s.isIdle(c) {
			return
		}
	}
	s.cacheOf(cpu).idleCores = true
}

// limitSearch says how many CPUs a search for an idle one looks at, the fewer the
// more the CPUs of the cache are used, none from 85% on (update_idle_cpu_scan).
func (s *Sim) limitSearch(e *lbEnv, util uint64) {
	cache := s.unit(e.dst, s.cfg.Topology.LLC)
	size := uint64(cache[1] - cache[0])
	if unit := s.unit(e.dst, e.d.span); e.idle == cpuNewlyIdle || uint64(unit[1]-unit[0]) != size {
		return
	}
	x := util / size
	used := min(x*x*e.d.imbalancePct*e.d.imbalancePct/(10000*fullCapacity), fullCapacity)
	s.cacheOf(e.dst).scan = int((fullCapacity - used) * size / fullCapacity)
}
