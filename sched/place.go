package sched

import "math/bits"

// Where a woken, new or moved task runs. With scheduling domains (a simulation with
// load tracking and several CPUs) see wakeplace.go and idlest.go. Without, the rules
// are the kernel's in outline, by numbers of tasks: an idle CPU near the task's last
// one, else the CPU of the waker or the last one, whichever has less to do.

// CPUMask is a set of CPUs: bit n%64 of word n/64 is CPU n. Nil means all.
type CPUMask []uint64

// MaskOf is the set of some CPUs; what cannot be a CPU's number (0 to 8191) is left
// out.
func MaskOf(cpus ...CPU) CPUMask {
	m := CPUMask{}
	for _, c := range cpus {
		if c < 0 || c >= maxCPUs {
			continue
		}
		for int(c)/64 >= len(m) {
			m = append(m, 0)
		}
		m[c/64] |= 1 << (c % 64)
	}
	return m
}

// Has says that a CPU is in the set.
func (m CPUMask) Has(c CPU) bool {
	return m == nil || int(c)/64 < len(m) && m[c/64]>>(c%64)&1 != 0
}

// intersects says that one of the first n CPUs is in the set.
func (m CPUMask) intersects(n int) bool {
	for c := range n {
		if m.Has(CPU(c)) {
			return true
		}
	}
	return false
}

// Count is how many of the first n CPUs are in the set.
func (m CPUMask) Count(n int) int {
	if m == nil {
		return n
	}
	sum := 0
	for i, w := range m {
		if left := n - i*64; left < 64 {
			w &= 1<<max(left, 0) - 1
		}
		sum += bits.OnesCount64(w)
	}
	return sum
}

// Topology says which CPUs are near each other, by numbers that follow each
// other. 0 means: all of the next larger unit.
type Topology struct {
	SMT  int // CPUs that share a core; 0: 1
	LLC  int // CPUs that share the last cache
	Node int // CPUs of a NUMA node
}

func (t *Topology) fill(cpus int) error {
	if t.SMT == 0 {
		t.SMT = 1
	}
	if t.Node == 0 {
		t.Node = cpus
	}
	if t.LLC == 0 {
		t.LLC = t.Node
	}
	if t.SMT < 1 || t.LLC%t.SMT != 0 || t.Node%t.LLC != 0 || t.LLC < 1 {
		return &ConfigError{Field: "Topology", Value: int64(t.LLC), Want: "units that divide the next larger"}
	}
	return nil
}

func (s *Sim) allowed(t TaskID, cpu CPU) bool { return s.tasks[t].cpus.Has(cpu) }

// firstCPU is the first CPU of a mask.
func (s *Sim) firstCPU(m CPUMask) CPU {
	for c := range s.cpus {
		if m.Has(CPU(c)) {
			return CPU(c)
		}
	}
	return 0
}

// available says that a CPU is idle, or runs only SCHED_IDLE tasks.
func (s *Sim) available(cpu CPU) bool {
	rq := &s.m.rqs[cpu]
	return rq.nrRunning == 0 || rq.nrRunning == s.m.queues[rq.root].idleHNrRunning
}

// selectCPU chooses the CPU of a woken task (select_task_rq); sync says that the
// waker is about to sleep.
func (s *Sim) selectCPU(t TaskID, from CPU, sync bool) CPU {
	prev := s.m.tasks[t].cpu
	if len(s.cpus) == 1 {
		return prev
	}
	switch s.m.tasks[t].class {
	case ClassRT, ClassDeadline:
		return s.placeRT(t, prev, from)
	case ClassFair:
		if len(s.levels) > 0 {
			return s.placeWoken(t, from, prev, sync)
		}
		target := prev
		if !s.allowed(t, prev) || s.wakeAffine(t, from, prev) && s.allowed(t, from) {
			target = from
		}
		if !s.allowed(t, target) {
			target = s.firstCPU(s.tasks[t].cpus)
		}
		return s.idleSibling(t, prev, target)
	}
	return prev
}

// wakeAffine says that a task is better woken on the waker's CPU: that is idle
// and shares the cache, or has less to do.
func (s *Sim) wakeAffine(t TaskID, from, prev CPU) bool {
	switch {
	case from == prev || s.cpuNode(from) != s.cpuNode(prev):
		return false
	case s.m.feat(WakeAffineIdle) && s.available(from) && s.llc(from) == s.llc(prev):
		return !s.available(prev)
	case !s.m.feat(WakeAffineWeight):
		return false
	}
	return s.queueWeight(from) < s.queueWeight(prev)
}

func (s *Sim) queueWeight(cpu CPU) uint64 { return s.m.queues[s.m.rqs[cpu].root].load.weight }
func (s *Sim) llc(cpu CPU) int            { return int(cpu) / s.cfg.Topology.LLC }
func (s *Sim) cpuNode(cpu CPU) int        { return int(cpu) / s.cfg.Topology.Node }

// idleSibling looks for an idle CPU that shares the target's cache
// (select_idle_sibling): the target, the last CPU, an idle core, any.
func (s *Sim) idleSibling(t TaskID, prev, target CPU) CPU {
	if s.available(target) {
		return target
	}
	if prev != target && s.llc(prev) == s.llc(target) && s.available(prev) && s.allowed(t, prev) {
		return prev
	}
	size := s.cfg.Topology.LLC
	first := s.llc(target) * size
	idle := CPU(-1)
	for i := range size {
		c := CPU(first + (int(target)-first+i)%size)
		if int(c) >= len(s.cpus) || !s.allowed(t, c) || !s.available(c) {
			continue
		}
		if s.idleCore(c) {
			return c
		}
		if idle < 0 {
			idle = c
		}
	}
	if idle >= 0 {
		return idle
	}
	return target
}

// idleCore says that all threads of a CPU's core are idle.
func (s *Sim) idleCore(cpu CPU) bool {
	smt := s.cfg.Topology.SMT
	first := int(cpu) / smt * smt
	for c := first; c < min(first+smt, len(s.cpus)); c++ {
		if !s.available(CPU(c)) {
			return false
		}
	}
	return true
}

// rank orders running tasks: the greater, the sooner they give way.
func (s *Sim) rank(cpu CPU) uint64 { return s.rankOf(s.m.rqs[cpu].curr) }

func (s *Sim) rankOf(t TaskID) uint64 {
	task := &s.m.tasks[t]
	switch task.class {
	case ClassDeadline:
		return task.dl.deadline >> 1
	case ClassRT:
		return 1<<63 + uint64(task.prio)
	case ClassFair:
		return 1<<63 + maxPrio
	case ClassIdle:
		return 1<<63 + maxPrio + 1
	}
	return 0
}

// selectFork chooses the CPU of a new task: the one with the fewest tasks,
// near first (find_idlest_cpu).
func (s *Sim) selectFork(t TaskID) CPU {
	here := s.m.tasks[t].cpu
	if len(s.levels) > 0 {
		return s.placeNew(t, here)
	}
	best, least := CPU(-1), ^uint32(0)
	for i := range s.cpus {
		c := CPU((int(here) + i) % len(s.cpus))
		if n := s.m.rqs[c].nrRunning; s.allowed(t, c) && n < least {
			best, least = c, n
		}
	}
	if best < 0 {
		return here
	}
	return best
}

// setAffinity gives a running task other CPUs; it says whether it has to leave
// this one.
func (s *Sim) setAffinity(cpu CPU, id TaskID, mask CPUMask) bool {
	asked := mask
	mask, ok := s.within(s.m.tasks[id].group, asked)
	if !ok {
		s.fail(&ConfigError{Field: "CPUs", Value: 0, Want: "a mask with a CPU of the machine, and of the group's cpuset"})
		return false
	}
	s.tasks[id].cpus, s.asked[id] = mask, asked
	if mask.Has(cpu) {
		return false
	}
	if !s.leave(cpu, id) {
		return false
	}
	s.move(id, s.anyOf(cpu, mask), StateRunning)
	s.enqueueMoved(id)
	return true
}

// leave takes the running task off its CPU, which is idle then.
func (s *Sim) leave(cpu CPU, id TaskID) bool {
	s.clock(cpu)
	if _, err := s.k.Dequeue(id, DequeueNoClock); err != nil {
		s.fail(err)
		return false
	}
	s.m.putPrev(&s.m.rqs[cpu], id)
	s.m.rqs[cpu].curr = s.m.rqs[cpu].idle
	s.cpus[cpu].gen++
	s.cpus[cpu].idleAt = s.now
	s.emitSwitch(cpu, id, s.k.Idle(cpu), false)
	return true
}

// enqueueMoved puts a moved task into its new CPU's queue.
func (s *Sim) enqueueMoved(id TaskID) {
	cpu := s.m.tasks[id].cpu
	s.clock(cpu)
	s.fail(s.k.Enqueue(id, EnqueueNoClock|EnqueueMigrated))
	s.overload = s.overload || s.m.rqs[cpu].nrRunning > 1
	s.fail(s.k.CheckPreempt(id, 0))
	s.tasks[id].stats.waitFrom = s.now
}
