package sched

// The programs of a simulation's tasks.

// resume lets a CPU's running task go on with its program until it uses time,
// or until the CPU has nothing to run.
func (s *Sim) resume(cpu CPU) {
	for s.failed == nil {
		rq, c := &s.m.rqs[cpu], &s.cpus[cpu]
		if rq.curr == rq.idle {
			return
		}
		t := &s.tasks[rq.curr]
		switch {
		case t.left == 0:
			if s.steps++; s.steps > maxSteps {
				s.fail(ErrStuck)
				return
			}
			if s.step(cpu, rq.curr) {
				s.schedule(cpu, true)
			}
		case (rq.needResched || rq.lazyResched) && s.preemptible(cpu):
			s.schedule(cpu, false)
		default:
			c.gen++
			c.since = s.now
			s.at(s.now+t.left, simSegment, int32(cpu), c.gen)
			return
		}
	}
}

// step does one step of a task's program; it says whether the CPU has to pick
// anew because the task sleeps, has ended or yields.
func (s *Sim) step(cpu CPU, id TaskID) bool {
	t := &s.tasks[id]
	if int(t.pc) >= len(t.prog) {
		return s.exit(cpu, id)
	}
	st := t.prog[t.pc]
	t.pc++
	t.mode = OpCompute
	switch st.Op {
	case OpCompute:
		t.left = uint64(st.N)
	case OpKernel, OpAtomic:
		t.left, t.mode = uint64(st.N), st.Op
	case OpRandom:
		t.left = uint64(st.N) + t.rng.Uint64()%uint64(st.M-st.N+1)
	case OpSleep:
		return s.sleep(cpu, id, s.now+uint64(st.N))
	case OpSleepTill:
		since := s.now - min(s.now, t.start+uint64(st.M))
		return s.sleep(cpu, id, t.start+uint64(st.M)+(since/uint64(st.N)+1)*uint64(st.N))
	case OpBlock:
		return s.block(cpu, id, StateUninterruptible)
	case OpExit:
		return s.exit(cpu, id)
	case OpRepeat:
		s.repeat(t, st)
	default:
		return s.act(cpu, id, st)
	}
	return false
}

// repeat goes back in a program.
func (s *Sim) repeat(t *simTask, st Step) {
	if st.N == 0 {
		t.pc = int32(st.M)
		return
	}
	if t.loops == nil {
		t.loops = make([]int64, len(t.prog))
	}
	n := &t.loops[t.pc-1]
	if *n++; *n < st.N {
		t.pc = int32(st.M)
		return
	}
	*n = 0
}

// act does the steps by which a task acts on others or on itself.
func (s *Sim) act(cpu CPU, id TaskID, st Step) bool {
	switch st.Op {
	case OpWake:
		if st.N < int64(len(s.tasks)) {
			s.wake(TaskID(st.N), cpu, false)
		}
	case OpSend:
		s.send(cpu, st.N)
	case OpReceive:
		return s.receive(cpu, id, st.N)
	case OpYield:
		s.clock(cpu)
		s.fail(s.k.Yield(cpu))
		return true
	case OpFork:
		s.fork(cpu, &s.cfg.Specs[st.N])
	case OpNice:
		s.clock(cpu)
		s.fail(s.k.SetNice(id, int(st.N)))
	case OpAttr:
		s.clock(cpu)
		s.fail(s.k.SetAttr(id, s.cfg.Attrs[st.N]))
	case OpAffinity:
		return s.setAffinity(cpu, id, s.cfg.Masks[st.N])
	case OpLock:
		got, err := s.cfg.Locks.Lock(s, id, st.N)
		s.fail(err)
		return err == nil && !got && s.block(cpu, id, StateUninterruptible)
	case OpUnlock:
		s.fail(s.cfg.Locks.Unlock(s, id, st.N))
	}
	return false
}

// sleep puts a task to sleep until a time.
func (s *Sim) sleep(cpu CPU, id TaskID, until uint64) bool {
	t := &s.tasks[id]
	t.wakeGen++
	s.at(until, simWake, int32(id), t.wakeGen)
	return s.block(cpu, id, StateInterruptible)
}

// block takes the running task off its CPU.
func (s *Sim) block(cpu CPU, id TaskID, state State) bool {
	s.tasks[id].asleep = true
	s.clock(cpu)
	s.k.SetState(id, state)
	_, err := s.k.Dequeue(id, DequeueSleep|DequeueNoClock)
	s.fail(err)
	return true
}

// exit ends a task.
func (s *Sim) exit(cpu CPU, id TaskID) bool {
	s.tasks[id].exited = true
	s.clock(cpu)
	s.k.SetState(id, StateDead)
	s.m.updateExtra()
	_, err := s.k.Dequeue(id, DequeueSleep|DequeueNoClock|s.exitFlags())
	s.fail(err)
	return true
}

// exitFlags: with delayed dequeueing a task that ends must leave at once.
func (s *Sim) exitFlags() int {
	if s.m.feat(DelayDequeue) {
		return DequeueSpecial
	}
	return 0
}

// Wake wakes a task that sleeps, from a CPU; one that does not is left alone
// (try_to_wake_up). Lockers call it.
func (s *Sim) Wake(t TaskID, from CPU) {
	if int(t) >= s.m.CPUs() && int(t) < len(s.tasks) {
		s.wake(t, from, false)
	}
}

// wake wakes a task from a CPU; sync says that whoever runs there is about to sleep.
func (s *Sim) wake(id TaskID, from CPU, sync bool) {
	t := &s.tasks[id]
	if !t.asleep || t.exited || s.m.tasks[id].state == StateNew {
		return
	}
	t.asleep = false
	t.wakeGen++
	s.emit(SimEvent{Kind: SimWaking, CPU: from, Task: id, To: s.m.tasks[id].cpu})
	flags := EnqueueWakeup | EnqueueNoClock
	if s.m.ents[s.m.tasks[id].se].delayed {
		flags = EnqueueDelayed | EnqueueNoClock
	} else if cpu := s.selectCPU(id, from, sync); cpu != s.m.tasks[id].cpu {
		s.move(id, cpu, StateWaking)
		flags |= EnqueueMigrated
	}
	s.ready(id, from, flags, WakeTTWU)
}

// ready puts a task into its CPU's queue, as another CPU asks for, and looks whether
// it preempts.
func (s *Sim) ready(id TaskID, from CPU, flags, wake int) {
	cpu := s.m.tasks[id].cpu
	s.events++
	s.clock(cpu)
	s.fail(s.k.Enqueue(id, flags))
	s.overload = s.overload || s.m.rqs[cpu].nrRunning > 1
	s.fail(s.k.CheckPreempt(id, wake))
	t := &s.tasks[id]
	t.wokenAt, t.fresh, t.stats.waitFrom = s.now, true, s.now
	t.stats.wakeups++
	kind := SimWakeup
	if wake == WakeFork {
		kind = SimWakeupNew
	}
	s.emit(SimEvent{Kind: kind, CPU: cpu, Task: id, To: cpu})
	s.pushRT(cpu, from, id)
}

// move makes another CPU a task's that is in no queue.
func (s *Sim) move(id TaskID, to CPU, state State) {
	from := s.m.tasks[id].cpu
	s.emit(SimEvent{Kind: SimMigrate, CPU: from, Task: id, From: from, To: to})
	s.tasks[id].stats.migrations++
	s.clock(from)
	if state == StateWaking {
		s.k.SetState(id, state)
	}
	switch s.m.tasks[id].class {
	case ClassFair:
		s.k.MigrateFair(id)
	case ClassDeadline:
		s.m.dlMigrate(&s.m.rqs[from], id)
	}
	s.fail(s.k.SetCPU(id, to))
}

// startTask wakes a new task for the first time (wake_up_new_task).
func (s *Sim) startTask(id TaskID, forked bool) {
	t, task := &s.tasks[id], &s.m.tasks[id]
	t.asleep, t.start = false, s.now
	parent := task.cpu
	s.clock(parent)
	if !forked {
		s.fail(s.k.Fork(id))
	}
	if cpu := s.selectFork(id); cpu != task.cpu {
		s.fail(s.k.SetCPU(id, cpu))
		s.clock(cpu)
	}
	s.k.WakeNew(id)
	flags := EnqueueNoClock
	if task.class == ClassDeadline {
		flags |= EnqueueWakeup
	}
	if s.m.prof.EEVDF {
		flags |= EnqueueInitial
	}
	s.ready(id, parent, flags, WakeFork)
}

// fork starts a task by a running one.
func (s *Sim) fork(cpu CPU, spec *TaskSpec) {
	s.clock(cpu)
	id, err := s.create(spec, cpu)
	if err != nil {
		s.fail(err)
		return
	}
	s.emit(SimEvent{Kind: SimFork, CPU: cpu, Task: s.k.Running(cpu), Next: id})
	s.fail(s.k.Fork(id))
	s.startTask(id, true)
}

// send puts a token into a channel, or hands it to the first waiter.
func (s *Sim) send(cpu CPU, n int64) {
	ch := s.channel(n)
	if ch.first < 0 {
		ch.tokens++
		return
	}
	t := ch.first
	if ch.first = s.tasks[t].waiter; ch.first < 0 {
		ch.last = NoTask
	}
	s.tasks[t].waiter = NoTask
	s.wake(t, cpu, true) // as who writes into a pipe does
}

// receive takes a token, or waits for one at the end of the channel's queue.
func (s *Sim) receive(cpu CPU, id TaskID, n int64) bool {
	ch := s.channel(n)
	if ch.tokens > 0 {
		ch.tokens--
		return false
	}
	if ch.last >= 0 {
		s.tasks[ch.last].waiter = id
	} else {
		ch.first = id
	}
	ch.last = id
	return s.block(cpu, id, StateInterruptible)
}

func (s *Sim) channel(n int64) *channel {
	for int(n) >= len(s.chans) {
		s.chans = append(s.chans, channel{first: NoTask, last: NoTask})
	}
	return &s.chans[n]
}
