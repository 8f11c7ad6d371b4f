package sched

// Load balancing without load tracking, by numbers of tasks: an idle CPU takes a
// task from the CPU of its domain that has the most waiting; a busy one does so at
// intervals, from nearest to farthest. With it the kernel's rules apply
// (loadbalance.go).
// Real-time tasks that cannot run where they are go to a CPU that lets them.

// domains are the sizes of the units within which load is balanced.
func (s *Sim) domains() [3]int {
	t := &s.cfg.Topology
	return [3]int{t.SMT, t.LLC, len(s.cpus)}
}

// newIdle pulls a task to a CPU that has none (newidle_balance); it says
// whether one came.
func (s *Sim) newIdle(cpu CPU) bool {
	if len(s.levels) > 0 {
		return s.newlyIdle(cpu)
	}
	if len(s.cpus) == 1 {
		return false
	}
	for _, size := range [2]int{s.cfg.Topology.LLC, s.cfg.Topology.Node} {
		if size > 1 && s.pull(cpu, size, 2) {
			return true
		}
	}
	return false
}

// balanceTicks is how many ticks lie between two balancings of a busy CPU, for
// each CPU of the domain.
const balanceTicks = 4

// balance pulls a task to a busy CPU that has less to do than another one
// (load_balance), now and then.
func (s *Sim) balance(cpu CPU) {
	if len(s.levels) > 0 {
		s.rebalance(cpu, cpuBusy)
		s.kickIdle(cpu)
		return
	}
	if len(s.cpus) == 1 || s.now-s.cpus[cpu].balanced < balanceTicks*s.tick {
		return
	}
	s.cpus[cpu].balanced = s.now
	for _, size := range s.domains() {
		if size > 1 && s.pull(cpu, size, s.m.queues[s.m.rqs[cpu].root].hNrRunning+2) {
			return
		}
	}
}

// pull moves one waiting task to a CPU from the one of its unit that has most,
// but at least a number of tasks. A CPU whose tasks may not come is left out
// and the next one tried (load_balance, where all tasks are pinned).
func (s *Sim) pull(cpu CPU, size int, least uint32) bool {
	busiest, most := CPU(-1), ^uint32(0)
	for {
		if busiest, most = s.nextBusiest(cpu, size, least, busiest, most); busiest < 0 {
			return false
		}
		if t := s.waiting(&s.m.queues[s.m.rqs[busiest].root], cpu); t >= 0 {
			return s.take(t, busiest, cpu)
		}
	}
}

// nextBusiest finds the CPU of a unit that comes next by number of tasks, the
// lower CPU first of those that have equally many; it has at least a number.
func (s *Sim) nextBusiest(cpu CPU, size int, least uint32, tried CPU, had uint32) (busiest CPU, most uint32) {
	first := int(cpu) / size * size
	busiest, most = -1, least-1
	for c := first; c < min(first+size, len(s.cpus)); c++ {
		n := s.m.queues[s.m.rqs[c].root].hNrRunning
		if n > most && CPU(c) != cpu && (n < had || n == had && CPU(c) > tried) {
			busiest, most = CPU(c), n
		}
	}
	return busiest, most
}

// take moves a waiting task from one CPU to another.
func (s *Sim) take(t TaskID, from, to CPU) bool {
	if !s.takeOff(t, from, to) {
		return false
	}
	s.enqueueMoved(t)
	return true
}

// takeOff takes a waiting task off a CPU and makes it another one's, where it is not
// queued yet.
func (s *Sim) takeOff(t TaskID, from, to CPU) bool {
	s.clock(from)
	if _, err := s.k.Dequeue(t, DequeueNoClock); err != nil {
		return false
	}
	s.move(t, to, StateRunning)
	return true
}

// waiting finds a task of a queue, or of one below it, that another CPU may
// take.
func (s *Sim) waiting(q *cfsQueue, to CPU) TaskID {
	for n := int32(q.tree.first); n >= 0; n = next(s.m.nodes, n) {
		e := &s.m.ents[n]
		switch {
		case e.delayed:
		case e.isTask():
			if s.allowed(e.task, to) {
				return e.task
			}
		default:
			if t := s.waiting(&s.m.queues[e.myQ], to); t >= 0 {
				return t
			}
		}
	}
	if q.curr >= 0 && !s.m.ents[q.curr].isTask() && s.m.ents[q.curr].onRQ {
		return s.waiting(&s.m.queues[s.m.ents[q.curr].myQ], to)
	}
	return NoTask
}

// pushRT moves a real-time or deadline task that was just queued, and may not run
// there, to a CPU that runs something less important (push_rt_task, push_dl_task);
// this is the CPU that does it.
func (s *Sim) pushRT(cpu, this CPU, id TaskID) {
	task := &s.m.tasks[id]
	rq := &s.m.rqs[cpu]
	if len(s.cpus) == 1 || task.class != ClassRT && task.class != ClassDeadline || rq.needResched || rq.curr == id || !s.m.inClass(id) {
		return
	}
	if to, ok := s.better(id, cpu, this); ok {
		s.moveRT(id, cpu, to)
	}
}

// pushRTs pushes the first real-time task that waits on a CPU with more than one
// (push_rt_tasks).
func (s *Sim) pushRTs(cpu CPU) {
	rq := &s.m.rqs[cpu]
	if len(s.cpus) == 1 || rq.rt.nrRunning < 2 || rq.rt.throttled {
		return
	}
	for prio := rq.rt.highest(); prio < maxRTPrio; prio++ {
		for t := rq.rt.first[prio]; t >= 0; t = s.m.tasks[t].rt.next {
			if t != rq.curr {
				s.pushRT(cpu, cpu, t)
				return
			}
		}
	}
}

// pushDL pushes the deadline tasks that wait on a CPU, the earliest deadline first
// (push_dl_tasks).
func (s *Sim) pushDL(cpu CPU) {
	rq := &s.m.rqs[cpu]
	if len(s.cpus) == 1 || rq.dl.nrRunning < 2 && (rq.dl.nrRunning == 0 || s.m.tasks[rq.curr].class == ClassDeadline) {
		return
	}
	for n := int32(rq.dl.tree.first); n >= 0; {
		t := TaskID(n)
		n = next(s.m.dlNodes, n)
		if t != rq.idle {
			s.pushRT(cpu, cpu, t)
		}
	}
}

// pullDL takes, for a CPU, the waiting deadline task with the earliest deadline of all
// CPUs, if what runs here is less urgent (pull_dl_task). One more urgent than what
// runs there is about to run and stays.
func (s *Sim) pullDL(cpu CPU) {
	if len(s.cpus) == 1 || s.m.dlRunnable < 2 {
		return
	}
	best, from := NoTask, CPU(0)
	for c := range s.cpus {
		rq := &s.m.rqs[c]
		if CPU(c) == cpu || rq.dl.nrRunning < 2 {
			continue
		}
		for n := int32(rq.dl.tree.first); n >= 0; n = next(s.m.dlNodes, n) {
			t := TaskID(n)
			if t == rq.curr || t == rq.idle || !s.allowed(t, cpu) {
				continue
			}
			if s.rank(cpu) > s.rankOf(t) && s.rank(CPU(c)) <= s.rankOf(t) && (best < 0 || s.rankOf(t) < s.rankOf(best)) {
				best, from = t, CPU(c)
			}
			break
		}
	}
	if best >= 0 {
		s.moveRT(best, from, cpu)
	}
}

func (s *Sim) moveRT(id TaskID, from, to CPU) {
	s.clock(from)
	if _, err := s.k.Dequeue(id, DequeueNoClock); err != nil {
		s.fail(err)
		return
	}
	s.move(id, to, StateRunning)
	s.enqueueMoved(id)
}

// pullRT takes, for a CPU, the most important real-time task that waits on
// another one, if what runs here is less important (pull_rt_task). One more
// important than what runs there is about to run and stays.
func (s *Sim) pullRT(cpu CPU) {
	if len(s.cpus) == 1 || s.m.rtRunnable < 2 {
		return
	}
	best, from := NoTask, CPU(0)
	for c := range s.cpus {
		rq := &s.m.rqs[c]
		if CPU(c) == cpu || rq.rt.nrRunning < 2 || rq.rt.throttled {
			continue
		}
		if t := s.pushable(rq, cpu); t >= 0 && s.rank(cpu) > s.rankOf(t) && s.rank(CPU(c)) <= s.rankOf(t) && (best < 0 || s.rankOf(t) < s.rankOf(best)) {
			best, from = t, CPU(c)
		}
	}
	if best >= 0 {
		s.moveRT(best, from, cpu)
	}
}

// pushable is the most important real-time task that waits on a run queue and
// may run on a CPU (pick_highest_pushable_task).
func (s *Sim) pushable(rq *runQueue, on CPU) TaskID {
	for prio := rq.rt.highest(); prio < maxRTPrio; prio++ {
		for t := rq.rt.first[prio]; t >= 0; t = s.m.tasks[t].rt.next {
			if t != rq.curr && s.allowed(t, on) {
				return t
			}
		}
	}
	return NoTask
}
