package sched

// Where real-time and deadline tasks run in a simulation, as in Linux 6.1: a task that
// may not run where it is goes to a CPU of those that have nothing as important, of
// real-time tasks the least important first, of deadline tasks a CPU without any, or
// the one whose are the least urgent. Of several, to the one where it was, the one
// that asks, or the nearest in the scheduling domains, in turn.

// placeRT chooses the CPU of a woken real-time or deadline task (select_task_rq_rt,
// select_task_rq_dl). It stays unless what runs there is as important.
func (s *Sim) placeRT(t TaskID, prev, this CPU) CPU {
	if !s.allowed(t, prev) {
		return s.fallback(t, prev, prev)
	}
	curr := s.m.rqs[prev].curr
	if s.m.tasks[curr].class < s.m.tasks[t].class || !s.pinned(curr) && s.preempts(t, curr) {
		return prev
	}
	if to, ok := s.better(t, prev, this); ok {
		return to
	}
	return prev
}

// preempts says that a task would preempt the running one.
func (s *Sim) preempts(t, curr TaskID) bool {
	a, b := &s.m.tasks[t], &s.m.tasks[curr]
	if a.class == ClassDeadline && b.class == ClassDeadline {
		return before(a.dl.deadline, b.dl.deadline)
	}
	return a.prio < b.prio
}

func (s *Sim) pinned(t TaskID) bool { return s.tasks[t].cpus.Count(len(s.cpus)) == 1 }

// better finds a CPU on which a task would run (find_lowest_rq and find_later_rq, with
// what their callers check).
func (s *Sim) better(t TaskID, at, this CPU) (CPU, bool) {
	task := &s.m.tasks[t]
	if task.class == ClassRT {
		level := s.lowestLevel(t)
		if level >= rtLevel(int(task.prio)) {
			return 0, false
		}
		to := s.nearest(t, at, this, func(c CPU) bool { return s.rtLevelOf(c) == level })
		return to, to != at
	}
	for c := range s.cpus {
		if s.allowed(t, CPU(c)) && s.m.later.place[c] < 0 {
			to := s.nearest(t, at, this, func(c CPU) bool { return s.m.later.place[c] < 0 })
			return to, to != at
		}
	}
	if len(s.m.later.items) == 0 {
		return 0, false
	}
	latest := s.m.later.items[0]
	if !s.allowed(t, latest.cpu) || !before(task.dl.deadline, latest.deadline) {
		return 0, false
	}
	to := s.nearest(t, at, this, func(c CPU) bool { return c == latest.cpu })
	return to, to != at
}

// rtLevel is how important a CPU is that has a task of a priority (convert_prio): 0
// without real-time tasks, 100 with deadline tasks.
func rtLevel(prio int) int { return maxRTPrio - 1 - prio }

const rtLevelDeadline = 100

func (s *Sim) rtLevelOf(cpu CPU) int {
	rq := &s.m.rqs[cpu]
	if rq.dl.nrRunning > 0 {
		return rtLevelDeadline
	}
	return max(rtLevel(rq.rt.highest()), 0)
}

// lowestLevel is the least of the CPUs that a task may use (cpupri_find).
func (s *Sim) lowestLevel(t TaskID) int {
	lowest := rtLevelDeadline
	for c := range s.cpus {
		if s.allowed(t, CPU(c)) {
			lowest = min(lowest, s.rtLevelOf(CPU(c)))
		}
	}
	return lowest
}

// nearest chooses among the CPUs that fit and that a task may use, of which there is
// one: where the task is, where it is asked for, within the smallest domain of the
// former the latter or else the next in turn.
func (s *Sim) nearest(t TaskID, at, this CPU, fits func(CPU) bool) CPU {
	ok := func(c CPU) bool { return s.allowed(t, c) && fits(c) }
	if ok(at) {
		return at
	}
	here := ok(this)
	for _, size := range [...]int{s.cfg.Topology.SMT, s.cfg.Topology.LLC, s.cfg.Topology.Node, len(s.cpus)} {
		unit := s.unit(at, size)
		if here && unit[0] <= this && this < unit[1] {
			return this
		}
		if c, found := s.nextOf(this, unit, ok); found {
			return c
		}
	}
	return at
}

// nextOf is the next CPU of a unit that is in a set, after the one that the asking CPU
// found last (cpumask_any_and_distribute).
func (s *Sim) nextOf(this CPU, unit [2]CPU, ok func(CPU) bool) (CPU, bool) {
	last := &s.cpus[this].distributed
	for c := max(*last+1, unit[0]); c < unit[1]; c++ {
		if ok(c) {
			*last = c
			return c, true
		}
	}
	for c := unit[0]; c < min(*last+1, unit[1]); c++ {
		if ok(c) {
			*last = c
			return c, true
		}
	}
	return 0, false
}
