package replay

import "github.com/kernsim/kernsim/sched"

// System calls change a task's weight, policy or priority between its being
// taken out of its queue and put back. A trace shows the call's entry and the
// queue operations; the new attributes are kept from the first and set at the
// first line after the task was taken out.

func (r *schedReplay) setNice(i int32, l *schedLine) {
	pid := r.t.pid(l, keyPid)
	id, ok := r.taskOf[pid]
	if !ok {
		return
	}
	st := r.m.Task(id)
	nice := int(int64(r.t.val(l, keyNice)))
	if nice != st.Nice && nice >= sched.MinNice && nice <= sched.MaxNice {
		r.pendingAttr[pid] = attr{policy: st.Policy, nice: nice, rtPriority: st.RTPriority, keepSlice: true}
		r.atOnce(i, l)
	}
}

// atOnce sets what a system call changes of a task that is in no queue: others
// may look at it before it shows again.
func (r *schedReplay) atOnce(i int32, l *schedLine) {
	pid := r.t.pid(l, keyPid)
	if r.m.Task(r.taskOf[pid]).OnRQ {
		return
	}
	if at := r.t.next[i]; at >= 0 {
		if next := &r.t.lines[at]; next.event == entry(sched.PointReweightEntity) && r.t.pid(next, keyPid) == pid && r.t.val(next, keyMyq) == 0 {
			return // it takes effect there
		}
	}
	r.takeEffect(pid, l)
}

// flagReclaim is SCHED_FLAG_RECLAIM.
const flagReclaim = 0x02

func (r *schedReplay) setAttr(i int32, l *schedLine) {
	pid := r.t.pid(l, keyPid)
	id, ok := r.taskOf[pid]
	if !ok {
		return
	}
	if r.scan.calls.failed[i] {
		r.res.count("system calls that changed nothing")
		return
	}
	st := r.m.Task(id)
	a := attr{policy: sched.Policy(int8(r.t.val(l, keyPolicy))), nice: st.Nice, rtPriority: int(int32(r.t.val(l, keyPrio))),
		dl: [3]uint64{r.t.val(l, keyRuntime), r.t.val(l, keyDeadline), r.t.val(l, keyPeriod)}, reclaim: r.t.val(l, keyAflags)&flagReclaim != 0}
	if a.policy < 0 {
		a.policy = st.Policy
	}
	if fairPolicy(a.policy) {
		a.nice = int(int32(r.t.val(l, keyNice)))
		a.rtPriority = 0
	}
	r.pendingAttr[pid] = a
	r.atOnce(i, l)
}

// applyPending sets what a system call changed, unless the line still takes the
// task out of its queue.
func (r *schedReplay) applyPending(pid int32, l *schedLine) {
	if _, ok := r.pendingAttr[pid]; ok && !l.event.takesOut() {
		r.takeEffect(pid, l)
	}
}

// takeEffect sets what a system call changed.
func (r *schedReplay) takeEffect(pid int32, l *schedLine) {
	a := r.pendingAttr[pid]
	delete(r.pendingAttr, pid)
	id := r.taskOf[pid]
	before := r.m.Task(id)
	if a.donated {
		r.step(l, r.k.Boost(id, a.donor))
	} else {
		r.step(l, r.k.SetPriority(id, a.policy, a.nice, a.rtPriority, r.boost(pid)))
	}
	if a.policy == sched.PolicyDeadline && a.dl[0] > 0 {
		r.setDeadline(id, a.dl[0], a.dl[1], a.dl[2], a.reclaim)
	}
	if fairPolicy(a.policy) && !a.keepWeight && !a.keepSlice {
		r.k.SetSlice(id, a.dl[0])
	}
	if !a.keepWeight {
		r.k.Reweight(id, l.event == entry(sched.PointReweightEntity) && before.Class == sched.ClassFair)
	}
	r.changing[id] = classChange{before.Class, before.Prio}
}

// refusals finds the system calls that changed nothing: the next line that shows
// the task has its old attributes. By line, those of setsched.
type refusals struct {
	open   map[int32]int32 // by pid: the line of a call of which nothing is known yet
	failed map[int32]bool
}

func (s *schedScan) callShown(i int32, l *schedLine) {
	pol, ok := s.t.get(l, keyPol)
	pid := s.t.pid(l, keyPid)
	at, open := s.calls.open[pid]
	switch {
	case l.event == evSetsched:
		s.calls.open[pid] = i
	case !ok || !open || l.event.takesOut():
	default:
		delete(s.calls.open, pid)
		call := &s.t.lines[at]
		policy := int8(s.t.val(call, keyPolicy))
		prio, rt := int(int32(s.t.val(l, keyPrio))), int(int32(s.t.val(call, keyPrio)))
		real := sched.Policy(policy) == sched.PolicyFIFO || sched.Policy(policy) == sched.PolicyRR
		s.calls.failed[at] = policy >= 0 && (uint64(policy) != pol || real && prio > 99-rt)
	}
}

// classChange is a task's class and priority before they changed.
type classChange struct {
	class sched.Class
	prio  int
}

// restored tells the classes of a change after the task was put back, where no
// line tells it: the fair class shows by events that a task left it or came to
// it, the real-time class that one came (check_class_changed).
func (r *schedReplay) restored(id sched.TaskID) {
	c, ok := r.changing[id]
	if !ok {
		return
	}
	st := r.m.Task(id)
	switch {
	case st.Class == c.class:
		if delete(r.changing, id); st.Class != sched.ClassFair && (st.Prio != c.prio || st.Policy == sched.PolicyDeadline) {
			r.k.PrioChanged(id, c.prio)
		}
	case st.Class == sched.ClassDeadline && c.class != sched.ClassFair:
		delete(r.changing, id)
		r.k.SwitchedFrom(id, c.class)
		r.k.SwitchedTo(id)
	}
}

// leftFair tells the fair class that a task left it, and the deadline class that
// it came.
func (r *schedReplay) leftFair(id sched.TaskID) {
	r.k.SwitchedFrom(id, sched.ClassFair)
	if r.m.Task(id).Class == sched.ClassDeadline {
		delete(r.changing, id)
		r.k.SwitchedTo(id)
	}
}

// leaveClass tells a class that shows no event of it that a task left it, when
// the task's new class is told.
func (r *schedReplay) leaveClass(id sched.TaskID) {
	if c, ok := r.changing[id]; ok && c.class != sched.ClassFair {
		r.k.SwitchedFrom(id, c.class)
	}
	delete(r.changing, id)
}

// boost is the priority that a donor gives a task, 140 if there is none.
func (r *schedReplay) boost(pid int32) int {
	if p, ok := r.boosts[pid]; ok {
		return p
	}
	return 140
}

func fairPolicy(p sched.Policy) bool {
	return p == sched.PolicyNormal || p == sched.PolicyBatch || p == sched.PolicyIdle
}

// setprio is a change of the donor: the task gets the donor's priority if that
// is higher than its own (rt_mutex_setprio).
func (r *schedReplay) setprio(i int32, l *schedLine) {
	pid := r.t.pid(l, keyPid)
	id, ok := r.taskOf[pid]
	if !ok {
		return
	}
	delete(r.boosts, pid)
	st, donor := r.m.Task(id), sched.NoTask
	if pi := r.t.pid(l, keyPi); pi != 0 {
		if d, ok := r.taskOf[pi]; ok {
			donor = d
			r.boosts[pid] = r.m.Task(d).Prio
		}
	}
	if prio := min(st.NormalPrio, r.boost(pid)); prio == st.Prio && prio >= 0 {
		return
	}
	r.pendingAttr[pid] = attr{policy: st.Policy, nice: st.Nice, rtPriority: st.RTPriority, keepWeight: true, donated: true, donor: donor}
	r.atOnce(i, l)
}

// deadlineTimer is the replenishment timer of a task.
func (r *schedReplay) deadlineTimer(i int32, l *schedLine) {
	if !r.ofTask(l) {
		r.serverTimer(i, l)
		return
	}
	id, ok := r.task(l)
	if !ok {
		return
	}
	r.compareDeadline(l, id)
	r.at = r.t.next[i]
	r.k.DeadlineTimer(id)
}

// updateDeadline is a charge of the running deadline task that no other
// operation brings: it yields, or is put back before a pick.
func (r *schedReplay) updateDeadline(i int32, l *schedLine, cpu sched.CPU) {
	id := r.k.Running(cpu)
	st := r.m.Deadline(id)
	switch next := r.t.next[i]; {
	case r.m.Task(id).Class != sched.ClassDeadline:
		r.k.UpdateCurrClass(cpu)
	case r.t.val(l, keyCdlf)&dlYielded != 0 && !st.Yielded:
		r.step(l, r.k.Yield(cpu))
	case r.picksNext(next):
		r.step(l, r.k.PutPrev(cpu))
	default:
		r.k.UpdateCurrClass(cpu)
		r.hint("time of a running task read from outside")
	}
}

// picksNext says that a pick follows a line, with nothing but what the line's
// operation brings in between.
func (r *schedReplay) picksNext(at int32) bool {
	for n := 0; at >= 0 && n < lookAhead; n++ {
		switch e := r.t.lines[at].event; {
		case e == entry(sched.PointPickTaskDL) || e == evSwitch:
			return true
		case e.begins() && e != entry(sched.PointEnqueueTaskDL):
			return false
		}
		at = r.t.next[at]
	}
	return false
}

// takesOut says that an event is part of taking a task out of its queue.
func (e schedEvent) takesOut() bool {
	switch e {
	case entry(sched.PointDequeueTaskFair), entry(sched.PointDequeueTaskRT), entry(sched.PointDequeueTaskDL),
		entry(sched.PointPutPrevEntity), entry(sched.PointPutPrevTaskRT), evSetUserNice, evSetsched:
		return true
	}
	return false
}

// reweight is an entity's change of weight that no other operation brings: a
// system call's, or a group's new cpu.weight.
func (r *schedReplay) reweight(l *schedLine) {
	if myq := r.t.val(l, keyMyq); myq != 0 {
		g, ok := r.groupOf[myq]
		if !ok || g == sched.RootGroup {
			return
		}
		r.setIdle(g, r.t.val(l, keyWeight))
		r.k.SetShares(g, r.t.val(l, keyWeight))
		r.k.ReweightGroup(r.entityOfQueue(myq))
		r.hint("a group's weight set")
		return
	}
	pid := r.t.pid(l, keyPid)
	if _, ok := r.pendingAttr[pid]; ok {
		r.applyPending(pid, l)
		return
	}
	r.leftOver(l)
}

// syncPriority takes over a task's policy and priority where a line shows
// others than the model has.
func (r *schedReplay) syncPriority(l *schedLine, id sched.TaskID) {
	prio, ok := r.t.get(l, keyPrio)
	pol, ok2 := r.t.get(l, keyPol)
	st := r.m.Task(id)
	if !ok || !ok2 || int(int32(prio)) == st.Prio && sched.Policy(pol) == st.Policy {
		return
	}
	info := sched.TaskInfo{Nice: st.Nice}
	setPriority(&info, int(int32(prio)), sched.Policy(pol))
	if r.k.SetPriority(id, info.Policy, info.Nice, info.RTPriority, 140) == nil {
		r.k.Reweight(id, false)
		r.res.count("policy or priority taken over")
	}
}
