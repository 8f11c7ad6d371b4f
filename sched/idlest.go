package sched

// Where a new fair task begins in a simulation with scheduling domains, as in Linux
// 6.1: from the largest domain down, in the group that has most idle CPUs or the
// least load, unless the one where it was made is nearly as good; there on the CPU
// that became idle last, or else on the one with the least load.

// placeNew chooses the CPU of a new task, made on a CPU (select_task_rq with WF_FORK).
func (s *Sim) placeNew(t TaskID, cpu CPU) CPU {
	if s.tasks[t].cpus.Count(len(s.cpus)) == 1 {
		return s.firstCPU(s.tasks[t].cpus)
	}
	switch s.m.tasks[t].class {
	case ClassRT:
		return s.placeRT(t, cpu, cpu)
	case ClassFair:
		return s.fallback(t, cpu, s.idlest(t, cpu))
	}
	return s.fallback(t, cpu, cpu)
}

// idlest is find_idlest_cpu.
func (s *Sim) idlest(t TaskID, cpu CPU) CPU {
	best := cpu
	for level := len(s.levels) - 1; level >= 0; level-- {
		first, ok := s.idlestGroup(level, t, cpu)
		if !ok {
			continue
		}
		best = s.idlestOf(&s.levels[level], first, t, cpu)
		cpu = best
	}
	return best
}

// idlestGroup finds a group of a CPU's domain that is better than the CPU's own
// (find_idlest_group).
func (s *Sim) idlestGroup(level int, t TaskID, cpu CPU) (first CPU, found bool) {
	d := &s.levels[level]
	unit := s.unit(cpu, d.span)
	groups := (int(unit[1]-unit[0]) + d.group - 1) / d.group
	at := int(cpu-unit[0]) / d.group
	var local groupStats
	hasLocal := false
	best := groupStats{kind: groupOverloaded, avgLoad: 1<<32 - 1}
	for i := range groups { // from the CPU's own on
		g, ok := s.wakeStats(d, level, unit[0]+CPU((at+i)%groups*d.group), t)
		switch {
		case !ok:
		case i == 0:
			local, hasLocal = g, true
		case g.idler(&best):
			best, found = g, true
		}
	}
	if !found || !hasLocal {
		return best.first, found
	}
	return best.first, s.betterThanLocal(d, t, &local, &best)
}

// wakeStats sums up the CPUs of a group that a task may use; it says whether there
// are any (update_sg_wakeup_stats).
func (s *Sim) wakeStats(d *domain, level int, first CPU, t TaskID) (g groupStats, any bool) {
	unit := s.unit(first, d.group)
	g = groupStats{first: first, weight: uint64(unit[1] - unit[0])}
	for c := unit[0]; c < unit[1]; c++ {
		g.capacity += s.capacity(c)
		if !s.allowed(t, c) {
			continue
		}
		any = true
		s.addCPU(&g, c)
		if s.isIdle(c) {
			g.idle++
		}
	}
	g.classify(d, level > 0 && s.domainOf(first, level-1).imbalance)
	if g.kind == groupFullyBusy {
		g.avgLoad = g.load << capacityShift / g.capacity
	}
	return g, any
}

// idler says that a group is better for a new task than another one
// (update_pick_idlest).
func (g *groupStats) idler(than *groupStats) bool {
	if g.kind != than.kind {
		return g.kind < than.kind
	}
	switch g.kind {
	case groupOverloaded, groupFullyBusy:
		return g.avgLoad < than.avgLoad
	case groupHasSpare:
		return g.idle > than.idle || g.idle == than.idle && g.util < than.util
	}
	return false
}

// betterThanLocal says that a task had better begin in the best of the other groups
// than in the local one.
func (s *Sim) betterThanLocal(d *domain, t TaskID, local, best *groupStats) bool {
	if local.kind != best.kind {
		return local.kind > best.kind
	}
	switch local.kind {
	case groupOverloaded, groupFullyBusy:
		margin := nice0Load >> loadShift * (d.imbalancePct - 100) / 100
		if d.level == LevelNUMA && best.avgLoad+margin >= local.avgLoad {
			return false
		}
		return 100*local.avgLoad > d.imbalancePct*best.avgLoad
	case groupHasSpare:
		if d.level == LevelNUMA && s.staysOnNode(d, t, local, best) {
			return false
		}
		return local.idle < best.idle
	}
	return false
}

// staysOnNode says that a node has so little to do that a new task stays there
// (adjust_numa_imbalance).
func (s *Sim) staysOnNode(d *domain, t TaskID, local, best *groupStats) bool {
	allowed := 0
	for c := local.first; c < local.first+CPU(local.weight); c++ {
		if s.allowed(t, c) {
			allowed++
		}
	}
	apart := max(local.idle, best.idle) - min(local.idle, best.idle)
	return int(local.running)+1 <= min(allowed, d.imbNUMA) && apart <= 2
}

// idlestOf is the best CPU of a group for a task (find_idlest_group_cpu).
func (s *Sim) idlestOf(d *domain, first CPU, t TaskID, cpu CPU) CPU {
	unit := s.unit(first, d.group)
	least, idle := cpu, CPU(-1)
	leastLoad, since := ^uint64(0), uint64(0)
	for c := unit[0]; c < unit[1]; c++ {
		switch {
		case !s.allowed(t, c):
		case s.onlyIdleTasks(c):
			return c
		case s.isIdle(c):
			// A CPU that never ran anything is taken as idle for the longest time.
			if at := s.cpus[c].idleAt + 1; at > since {
				idle, since = c, at
			}
		case idle < 0:
			if load := s.rootQueue(c).avg.load; load < leastLoad {
				least, leastLoad = c, load
			}
		}
	}
	if idle >= 0 {
		return idle
	}
	return least
}
