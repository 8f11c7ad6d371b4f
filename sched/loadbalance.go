package sched

// Load balancing by loads, as in Linux 6.1 (kernel/sched/fair.c): an idle CPU, or
// at intervals any, looks for the busiest group of its domain and in it for the
// busiest CPU, and takes tasks until the imbalance is gone. What the kernel limits
// by the time that balancing takes is not limited here: it takes none. Left out are
// asymmetric capacities, energy, NUMA balancing's preferences, and tasks whose
// dequeueing is delayed, which stay.

// cpuIdleness is for whom a CPU balances (cpu_idle_type).
type cpuIdleness uint8

const (
	cpuIdle cpuIdleness = iota
	cpuBusy
	cpuNewlyIdle
)

// migration says what an imbalance is measured in (migration_type).
type migration uint8

const (
	migrateLoad migration = iota
	migrateUtil
	migrateTasks
)

// lbEnv is one balancing (lb_env).
type lbEnv struct {
	d         *domain
	level     int
	dst, src  CPU
	idle      cpuIdleness
	kind      migration
	imbalance int64
	local     CPU     // first CPU of dst's group
	skip      CPUMask // CPUs whose tasks may not come
	loop      int
	loopMax   int

	allPinned, somePinned bool
	other                 CPU // another CPU of dst's group that a pinned task may use, -1: none
}

// nrMigrate is how many tasks one balancing looks at (sysctl_sched_nr_migrate).
const nrMigrate = 32

func (s *Sim) domainOf(cpu CPU, level int) *domainState {
	return &s.domainStates[int(cpu)*len(s.levels)+level]
}

// tickOf is the time in ticks (jiffies).
func (s *Sim) tickOf() uint64 { return s.now / s.tick }

// rebalance balances a CPU's domains whose time has come (rebalance_domains).
func (s *Sim) rebalance(cpu CPU, idle cpuIdleness) {
	c := &s.cpus[cpu]
	if s.tickOf() < c.nextBalance {
		return
	}
	s.age(cpu)
	next := s.tickOf() + 60*uint64(s.m.cfg.HZ)
	going := true
	for level := range s.levels {
		st := s.domainOf(cpu, level)
		if !going {
			break
		}
		if s.tickOf() >= st.last+s.balanceInterval(st, idle) {
			var moved int
			if moved, going = s.loadBalance(cpu, level, idle); moved > 0 {
				if idle = cpuBusy; s.isIdle(cpu) {
					idle = cpuIdle
				}
			}
			st.last = s.tickOf()
		}
		next = min(next, st.last+s.balanceInterval(st, idle))
	}
	c.nextBalance = next
}

// balanceInterval is how many ticks lie between two balancings
// (get_sd_balance_interval).
func (s *Sim) balanceInterval(st *domainState, idle cpuIdleness) uint64 {
	ms := st.interval
	if idle == cpuBusy {
		ms *= busyFactor
	}
	ticks := (ms*uint64(s.m.cfg.HZ) + 999) / 1000
	if idle == cpuBusy && ticks > 0 {
		ticks--
	}
	return min(max(ticks, 1), max(uint64(s.m.cfg.HZ)*uint64(len(s.cpus))/10, 1))
}

// kickIdle lets CPUs that do not tick, as they are idle, balance, if a busy one
// has too much (nohz_balancer_kick, _nohz_idle_balance).
func (s *Sim) kickIdle(cpu CPU) {
	if s.tickOf() < s.nextIdle || !s.wantsIdle(cpu) {
		return
	}
	first := CPU(0)
	for ; !s.isIdle(first); first++ {
		if int(first) == len(s.cpus)-1 {
			s.nextIdle = s.tickOf() + 1 // none, so nobody needs to look again in this tick
			return
		}
	}
	next := s.tickOf() + 60*uint64(s.m.cfg.HZ)
	for i := 1; i <= len(s.cpus); i++ { // itself last
		c := CPU((int(first) + i) % len(s.cpus))
		if !s.isIdle(c) {
			continue
		}
		s.rebalance(c, cpuIdle)
		next = min(next, s.cpus[c].nextBalance)
	}
	s.nextIdle = next
}

// wantsIdle says that a busy CPU would rather have idle ones balance.
func (s *Sim) wantsIdle(cpu CPU) bool {
	rq := &s.m.rqs[cpu]
	if rq.nrRunning >= 2 {
		return true
	}
	if len(s.levels) > 0 && s.rootQueue(cpu).hNrRunning >= 1 && s.reduced(cpu, &s.levels[0]) {
		return true
	}
	busy := 0
	llc := s.cfg.Topology.LLC
	for c := int(cpu) / llc * llc; c < min(int(cpu)/llc*llc+llc, len(s.cpus)); c++ {
		if !s.isIdle(CPU(c)) {
			busy++
		}
	}
	return busy > 1
}

// newlyIdle takes tasks to a CPU that has none any more (newidle_balance).
func (s *Sim) newlyIdle(cpu CPU) bool {
	if !s.overload {
		return false
	}
	s.age(cpu)
	for level := range s.levels {
		if moved, _ := s.loadBalance(cpu, level, cpuNewlyIdle); moved > 0 || s.m.rqs[cpu].nrRunning > 0 {
			return true
		}
	}
	return false
}

// loadBalance takes tasks to a CPU within its unit of a domain (load_balance). It
// returns how many, and whether the CPU is the one of its group to balance, and so
// goes on with larger domains.
func (s *Sim) loadBalance(cpu CPU, level int, idle cpuIdleness) (moved int, going bool) {
	d, st := &s.levels[level], s.domainOf(cpu, level)
	e := lbEnv{d: d, level: level, dst: cpu, idle: idle, local: cpu - cpu%CPU(d.group), other: -1}
	if !s.shouldBalance(&e) {
		s.balanced(&e, st, true)
		return 0, false
	}
	for {
		group, ok := s.busiestGroup(&e)
		if ok {
			e.src, ok = s.busiestQueue(&e, group)
		}
		if !ok {
			s.balanced(&e, st, true)
			return 0, true
		}
		moved = s.moveFrom(&e, st)
		if !e.allPinned {
			break
		}
		if e.skip == nil {
			e.skip = make(CPUMask, (len(s.cpus)+63)/64)
		}
		e.skip[e.src/64] |= 1 << (e.src % 64)
		if s.allSkipped(&e) {
			st.failed = 0
			s.balanced(&e, st, false)
			return 0, true
		}
		e.loop = 0
	}
	active := false
	if moved > 0 {
		st.failed = 0
	} else {
		if idle != cpuNewlyIdle {
			st.failed++
		}
		if active = s.needsActive(&e, st); active && !s.pushRunning(&e) {
			s.balanced(&e, st, false)
			return 0, true
		}
	}
	if !active || s.needsActive(&e, st) {
		st.interval = s.minInterval(d)
	}
	return moved, true
}

func (s *Sim) minInterval(d *domain) uint64 { return uint64(min(d.span, len(s.cpus))) }

// balanced is what a balancing does that finds nothing to move: the next one is
// later.
func (s *Sim) balanced(e *lbEnv, st *domainState, out bool) {
	if up := e.level + 1; out && up < len(s.levels) && !e.allPinned {
		s.domainOf(e.d.first(e.dst), e.level).imbalance = false
	}
	if out {
		st.failed = 0
	}
	if e.idle == cpuNewlyIdle {
		return
	}
	if e.allPinned && st.interval < maxPinnedInterval || st.interval < 2*s.minInterval(e.d) {
		st.interval *= 2
	}
}

// shouldBalance says that a CPU is the one of its group that balances: the first
// idle one, or the first (should_we_balance).
func (s *Sim) shouldBalance(e *lbEnv) bool {
	if e.idle == cpuNewlyIdle {
		return s.m.rqs[e.dst].nrRunning == 0
	}
	for c := e.local; c < min(e.local+CPU(e.d.group), CPU(len(s.cpus))); c++ {
		if s.isIdle(c) {
			return c == e.dst
		}
	}
	return e.local == e.dst
}

// allSkipped says that all CPUs of the unit outside dst's group are left out.
func (s *Sim) allSkipped(e *lbEnv) bool {
	for c := e.d.first(e.dst); c < min(e.d.first(e.dst)+CPU(e.d.span), CPU(len(s.cpus))); c++ {
		if !e.skip.Has(c) && (c < e.local || c >= e.local+CPU(e.d.group)) {
			return false
		}
	}
	return true
}

// busiestGroup finds the group to take from, and how much (find_busiest_group).
func (s *Sim) busiestGroup(e *lbEnv) (busiest groupStats, found bool) {
	first, end := e.d.first(e.dst), min(e.d.first(e.dst)+CPU(e.d.span), CPU(len(s.cpus)))
	groups := (int(end-first) + e.d.group - 1) / e.d.group
	at := int(e.local-first) / e.d.group
	sums := domainStats{spread: e.level > 0 && s.levels[e.level-1].preferSpread}
	overload, util := false, uint64(0)
	for i := range groups { // from dst's own on
		g := s.groupStats(e, first+CPU((at+i)%groups*e.d.group))
		overload, util = overload || g.overload, util+g.util
		sums.add(&g, i == 0)
	}
	if e.level == len(s.levels)-1 {
		s.overload = overload
	}
	s.limitSearch(e, util)
	if !sums.found || !sums.worthIt(e) {
		return sums.busiest, false
	}
	sums.imbalance(e)
	return sums.busiest, e.imbalance != 0
}

// domainStats is what the groups of a domain come to (sd_lb_stats).
type domainStats struct {
	local, busiest groupStats
	found          bool // busiest is there
	load, capacity uint64
	spread         bool // tasks are to spread over the groups (prefer_sibling)
}

// add counts a group.
func (sums *domainStats) add(g *groupStats, local bool) {
	sums.load, sums.capacity = sums.load+g.load, sums.capacity+g.capacity
	switch {
	case local:
		sums.local, sums.busiest.idle = *g, ^uint64(0)
	case g.busier(&sums.busiest):
		sums.busiest, sums.found = *g, true
	}
}

// average is the load for the capacity that there is.
func (sums *domainStats) average() uint64 { return sums.load << capacityShift / sums.capacity }

// worthIt is the decision of find_busiest_group whether anything is to move.
func (sums *domainStats) worthIt(e *lbEnv) bool {
	local, busiest := &sums.local, &sums.busiest
	switch {
	case busiest.kind == groupMisfit || busiest.kind == groupImbalanced:
		return true
	case local.kind > busiest.kind:
		return false
	case local.kind == groupOverloaded && (local.avgLoad >= busiest.avgLoad || local.avgLoad >= sums.average() ||
		100*busiest.avgLoad <= e.d.imbalancePct*local.avgLoad):
		return false
	case sums.spread && local.kind == groupHasSpare && busiest.running > local.running+1:
		return true
	case busiest.kind == groupOverloaded:
		return true
	case e.idle == cpuBusy:
		return false // there would be enough for all if they were spread
	case busiest.weight > 1 && local.idle <= busiest.idle+1:
		return false
	}
	return busiest.fair != 1
}

// imbalance says how much is to move, and in which measure
// (calculate_imbalance).
func (sums *domainStats) imbalance(e *lbEnv) {
	local, busiest := &sums.local, &sums.busiest
	e.kind, e.imbalance = migrateLoad, 0
	switch {
	case busiest.kind == groupMisfit:
		e.imbalance = int64(busiest.misfit)
		return
	case busiest.kind == groupImbalanced:
		e.kind, e.imbalance = migrateTasks, 1
		return
	case local.kind == groupHasSpare && busiest.kind > groupFullyBusy && !e.d.sharesCache():
		e.kind, e.imbalance = migrateUtil, int64(max(local.capacity, local.util)-local.util)
		if e.idle != cpuBusy && e.imbalance == 0 {
			e.kind, e.imbalance = migrateTasks, 1
		}
		return
	case local.kind == groupHasSpare:
		sums.spareTasks(e)
		return
	}
	average := sums.average()
	if local.kind < groupOverloaded {
		local.avgLoad = local.load << capacityShift / local.capacity
		if local.avgLoad >= busiest.avgLoad || local.avgLoad >= average {
			return
		}
	}
	// Below the average the difference wraps, and the other one is less.
	e.imbalance = int64(min((busiest.avgLoad-average)*busiest.capacity, (average-local.avgLoad)*local.capacity) >> capacityShift)
}

// spareTasks says how many tasks even out CPUs that have room.
func (sums *domainStats) spareTasks(e *lbEnv) {
	local, busiest := &sums.local, &sums.busiest
	e.kind = migrateTasks
	if busiest.weight == 1 || sums.spread {
		e.imbalance = int64(busiest.running - min(local.running, busiest.running))
	} else {
		e.imbalance = int64(uint32(local.idle - busiest.idle)) // the kernel's difference wraps, too
	}
	if e.d.level == LevelNUMA && int(local.running)+1 <= e.d.imbNUMA && e.imbalance <= 2 {
		e.imbalance = 0
	}
	e.imbalance >>= 1
}

// busiestQueue finds the CPU of a group to take from (find_busiest_queue).
func (s *Sim) busiestQueue(e *lbEnv, g groupStats) (CPU, bool) {
	best := CPU(-1)
	var most uint64
	mostCapacity := uint64(1)
	for c := g.first; c < g.first+CPU(g.weight); c++ {
		q := s.rootQueue(c)
		n, capacity := uint64(q.hNrRunning), s.capacity(c)
		if n == 0 || len(e.skip) > 0 && e.skip.Has(c) {
			continue
		}
		switch e.kind {
		case migrateLoad:
			if n == 1 && int64(q.avg.load) > e.imbalance && !s.reduced(c, e.d) {
				continue
			}
			if q.avg.load*mostCapacity > most*capacity {
				best, most, mostCapacity = c, q.avg.load, capacity
			}
		case migrateUtil:
			if util := s.m.utilization(c); n > 1 && util > most {
				best, most = c, util
			}
		case migrateTasks:
			if n > most {
				best, most = c, n
			}
		}
	}
	return best, best >= 0
}

// moveFrom takes tasks from the busiest CPU, and to other CPUs of the group those
// that may not come to this one.
func (s *Sim) moveFrom(e *lbEnv, st *domainState) (moved int) {
	e.allPinned = true
	if s.m.rqs[e.src].nrRunning <= 1 {
		e.allPinned = false
		return 0
	}
	s.clock(e.src)
	e.loopMax = min(nrMigrate, int(s.m.rqs[e.src].nrRunning))
	dst := e.dst
	for {
		moved += s.detach(e, st)
		if e.other < 0 || e.imbalance <= 0 || e.dst != dst {
			break
		}
		e.dst, e.other, e.loop = e.other, -1, 0
	}
	e.dst = dst
	if e.level+1 < len(s.levels) && e.somePinned && e.imbalance > 0 {
		s.domainOf(e.d.first(e.dst), e.level).imbalance = true
	}
	return moved
}

// detach moves tasks, those first that have run longest ago, until the imbalance
// is gone (detach_tasks).
func (s *Sim) detach(e *lbEnv, st *domainState) (moved int) {
	for e.imbalance > 0 {
		if e.idle != cpuBusy && s.m.rqs[e.src].nrRunning <= 1 {
			break
		}
		t := s.m.recent[e.src].last
		if t < 0 {
			break
		}
		if e.loop++; e.loop > e.loopMax {
			break
		}
		if !s.canMigrate(e, st, t) || !s.fits(e, st, t) {
			s.m.recentTouch(t)
			continue
		}
		if !s.takeOff(t, e.src, e.dst) {
			break
		}
		if s.moving = append(s.moving, t); e.idle == cpuNewlyIdle {
			break
		}
	}
	moved = len(s.moving)
	for i := range s.moving { // the last one comes first (attach_tasks)
		s.enqueueMoved(s.moving[moved-1-i])
	}
	s.moving = s.moving[:0]
	return moved
}

// fits says that a task is not more than what is to move, and takes it off.
func (s *Sim) fits(e *lbEnv, st *domainState, t TaskID) bool {
	by := int64(1)
	switch e.kind {
	case migrateLoad:
		by = int64(max(s.taskLoad(t), 1))
		if by>>min(st.failed, 62) > e.imbalance {
			return false
		}
	case migrateUtil:
		if by = int64(s.m.taskUtilization(t)); by>>min(st.failed, 62) > e.imbalance {
			return false
		}
	}
	e.imbalance -= by
	return true
}

// taskLoad is a task's part of its CPU's load, through the groups above
// (task_h_load).
func (s *Sim) taskLoad(t TaskID) uint64 {
	se := &s.m.ents[s.m.tasks[t].se]
	return se.avg.load * s.queueLoad(se.queue) / (s.m.queues[se.queue].avg.load + 1)
}

// queueLoad is a queue's part of its CPU's load, computed once in a tick
// (update_cfs_rq_h_load).
func (s *Sim) queueLoad(id QueueID) uint64 {
	q := &s.m.queues[id]
	now := s.tickOf() + 1 // 0 is never
	if q.hLoadTick == now {
		return q.hLoad
	}
	q.hLoad, q.hLoadTick = q.avg.load, now
	if q.entity >= 0 {
		se := &s.m.ents[q.entity]
		q.hLoad = s.queueLoad(se.queue) * se.avg.load / (s.m.queues[se.queue].avg.load + 1)
	}
	return q.hLoad
}

// canMigrate is can_migrate_task.
func (s *Sim) canMigrate(e *lbEnv, st *domainState, t TaskID) bool {
	task := &s.m.tasks[t]
	se := &s.m.ents[task.se]
	if s.m.queues[se.queue].throttleCount > 0 || s.m.queues[s.m.groups[task.group].queues[e.dst]].throttleCount > 0 {
		return false
	}
	if !s.allowed(t, e.dst) {
		if e.somePinned = true; e.idle == cpuNewlyIdle || e.other >= 0 {
			return false
		}
		for c := e.local; c < min(e.local+CPU(e.d.group), CPU(len(s.cpus))); c++ {
			if s.allowed(t, c) && (len(e.skip) == 0 || !e.skip.Has(c)) {
				e.other = c
				break
			}
		}
		return false
	}
	e.allPinned = false
	if s.m.rqs[e.src].curr == t || se.delayed {
		return false
	}
	return st.failed > e.d.cacheTries || !s.hot(e, t)
}

// hot says that a task has its data in its CPU's cache (task_hot).
func (s *Sim) hot(e *lbEnv, t TaskID) bool {
	task := &s.m.tasks[t]
	se := &s.m.ents[task.se]
	q := &s.m.queues[se.queue]
	switch {
	case task.policy == PolicyIdle || e.d.level == LevelSMT:
		return false
	case s.m.rqs[e.dst].nrRunning > 0 && (q.next == task.se || q.last == task.se):
		return true
	}
	return int64(s.m.rqs[e.src].clockTask-se.execStart) < int64(s.m.tun.MigrationCostNS)
}

// needsActive says that the busiest CPU's running task has to be pushed away
// (need_active_balance).
func (s *Sim) needsActive(e *lbEnv, st *domainState) bool {
	if e.kind == migrateTasks && st.failed > e.d.cacheTries+2 {
		return true
	}
	return e.idle != cpuBusy && s.rootQueue(e.src).hNrRunning == 1 && s.reduced(e.src, e.d) &&
		s.capacity(e.src)*e.d.imbalancePct < s.capacity(e.dst)*100
}

// pushRunning moves a task of the busiest CPU, which its stopper interrupts, be it
// the running one (active_load_balance_cpu_stop). It says whether the task that
// runs there may go.
func (s *Sim) pushRunning(e *lbEnv) bool {
	rq := &s.m.rqs[e.src]
	curr := rq.curr
	if !s.allowed(curr, e.dst) {
		return false
	}
	if s.m.tasks[curr].class != ClassFair {
		return true
	}
	for t := s.m.recent[e.src].last; t >= 0; t = s.m.tasks[t].moreRecent {
		if t != curr && s.allowed(t, e.dst) {
			s.take(t, e.src, e.dst)
			return true
		}
	}
	s.charge(e.src)
	s.leave(e.src, curr)
	s.move(curr, e.dst, StateRunning)
	s.enqueueMoved(curr)
	s.schedule(e.src, false)
	s.resume(e.src)
	return true
}
