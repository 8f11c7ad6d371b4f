package sched

// groupType says how busy a group of CPUs is, from the least to the most.
type groupType uint8

const (
	groupHasSpare groupType = iota
	groupFullyBusy
	groupMisfit // a task runs on a CPU with little capacity
	groupImbalanced
	groupOverloaded
)

// groupStats are a group's sums (sg_lb_stats).
type groupStats struct {
	first                       CPU
	load, util, runnable        uint64
	capacity                    uint64
	running, fair, idle, weight uint64
	avgLoad                     uint64
	misfit                      uint64 // greatest load of a CPU with little capacity
	kind                        groupType
	overload                    bool // a CPU has more than one task
}

// fullCapacity is a CPU's capacity that only fair tasks use.
const fullCapacity = 1 << capacityShift

// capacity is what real-time and deadline tasks leave of a CPU for fair ones
// (scale_rt_capacity).
func (s *Sim) capacity(cpu CPU) uint64 {
	rq := &s.m.rqs[cpu]
	used := rq.avgRT.util + rq.avgDL.util
	if used >= fullCapacity {
		return 1
	}
	return fullCapacity - used
}

// reduced says that a CPU's capacity is so much smaller that tasks had better go
// (check_cpu_capacity).
func (s *Sim) reduced(cpu CPU, d *domain) bool {
	return s.capacity(cpu)*d.imbalancePct < fullCapacity*100
}

func (s *Sim) rootQueue(cpu CPU) *cfsQueue { return &s.m.queues[s.m.rqs[cpu].root] }

// isIdle is idle_cpu.
func (s *Sim) isIdle(cpu CPU) bool {
	rq := &s.m.rqs[cpu]
	return rq.curr == rq.idle && rq.nrRunning == 0
}

// age updates the loads of all queues of a CPU (update_blocked_averages).
func (s *Sim) age(cpu CPU) {
	s.clock(cpu)
	for g := len(s.m.groups) - 1; g >= 0; g-- { // groups come after those above them
		s.m.updateBlocked(&s.m.queues[s.m.groups[g].queues[cpu]])
	}
}

// groupStats sums up a group (update_sg_lb_stats).
func (s *Sim) groupStats(e *lbEnv, first CPU) groupStats {
	d := e.d
	g := groupStats{first: first, weight: uint64(min(d.group, len(s.cpus)-int(first)))}
	for c := first; c < first+CPU(g.weight); c++ {
		g.capacity += s.capacity(c)
		if len(e.skip) > 0 && e.skip.Has(c) {
			continue
		}
		q, n := s.addCPU(&g, c), s.m.rqs[c].nrRunning
		g.overload = g.overload || n > 1
		if n == 0 && s.isIdle(c) {
			g.idle++
		} else if first != e.local && e.idle != cpuBusy && q.hNrRunning == 1 && s.reduced(c, d) {
			g.misfit = max(g.misfit, q.avg.load)
		}
	}
	g.classify(d, e.level > 0 && s.domainOf(first, e.level-1).imbalance)
	return g
}

// addCPU adds a CPU's loads and tasks to a group's and returns its queue.
func (s *Sim) addCPU(g *groupStats, c CPU) *cfsQueue {
	q := s.rootQueue(c)
	g.load += q.avg.load
	g.util += s.m.utilization(c)
	if !s.m.prof.OldFair { // it is of weights there
		g.runnable += q.avg.runnable
	}
	g.fair += uint64(q.hNrRunning)
	g.running += uint64(s.m.rqs[c].nrRunning)
	return q
}

// classify says how busy a group is (group_classify).
func (g *groupStats) classify(d *domain, imbalanced bool) {
	switch {
	case g.overloaded(d):
		g.kind = groupOverloaded
		g.avgLoad = g.load << capacityShift / g.capacity
	case imbalanced:
		g.kind = groupImbalanced
	case g.misfit > 0:
		g.kind = groupMisfit
	case !g.spare(d):
		g.kind = groupFullyBusy
	}
}

// overloaded is group_is_overloaded.
func (g *groupStats) overloaded(d *domain) bool {
	return g.running > g.weight && (g.capacity*100 < g.util*d.imbalancePct || g.capacity*d.imbalancePct < g.runnable*100)
}

// spare is group_has_capacity.
func (g *groupStats) spare(d *domain) bool {
	return g.running < g.weight || g.capacity*d.imbalancePct >= g.runnable*100 && g.capacity*100 > g.util*d.imbalancePct
}

// busier says that a group is to be preferred as the one to take tasks from
// (update_sd_pick_busiest).
func (g *groupStats) busier(than *groupStats) bool {
	switch {
	case g.fair == 0:
		return false
	case g.kind != than.kind:
		return g.kind > than.kind
	}
	switch g.kind {
	case groupOverloaded, groupFullyBusy:
		return g.avgLoad > than.avgLoad
	case groupMisfit:
		return g.misfit >= than.misfit
	case groupHasSpare:
		return g.idle < than.idle || g.idle == than.idle && g.running > than.running
	}
	return false // the first imbalanced one stays
}
