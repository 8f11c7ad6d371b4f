package replay

import (
	"slices"

	"github.com/kernsim/kernsim/sched"
)

// schedObject is an entity as the trace shows it first: a task's, known by its
// pid, or a group's, known by its queue's address.
type schedObject struct {
	pid    int32  // 0 for a group's
	myq    uint64 // queue that a group's stands for
	addr   uint64 // of its entity
	queue  uint64 // queue in which it was seen first
	line   int32  // index of the line that shows it first
	from   uint64 // queue that it left before it was seen in one
	queued bool   // it was in the queue then
	forked bool   // it was made during the trace
	prio   int32
	pol    int32
	policy bool // prio and pol are known
	checks bool // it was checked for preemption
	class  bool // an event shows it in the queue of the fair, RT or deadline class
	cpu    int32
	order  int // for those queued at the start: when they were picked first
}

// schedScan is what a first pass over a trace finds: which objects there are
// and how they hang together.
type schedScan struct {
	t        *schedTrace
	tasks    map[int32]*schedObject
	groups   map[uint64]*schedObject // by my_q
	taskPIDs []int32                 // in order of appearance
	groupQs  []uint64
	queues   map[uint64]*schedQueue // by address
	queueAt  []uint64               // in order of appearance
	state    map[int32]sched.State  // by line of a dequeue: what the task went into
	moved    map[int32]uint64       // by line of task_change_group: queue in which the task was seen next
	running  map[int32]int32        // by CPU: the task that ran first
	shares   map[uint64]uint64      // by my_q: the weight that a group's entity is given first
	most     map[uint64]uint64      // by my_q: the greatest that it has
	timers   []poolTimer
	enable   map[int32]uint64 // by line: queue whose group gets its limit there
	same     groupQueues
	paths    map[uint64]string // by address: a queue's cgroup
	calls    refusals
}

// schedQueue is a fair queue as the trace shows it.
type schedQueue struct {
	addr  uint64
	cpu   int32 // that most lines speak for
	votes int32
	line  int32  // first line that shows it
	curr  uint64 // address of its running entity there
	pool  schedPool
}

func scanSched(t *schedTrace) *schedScan {
	s := &schedScan{t: t, tasks: map[int32]*schedObject{}, groups: map[uint64]*schedObject{}, queues: map[uint64]*schedQueue{},
		state: map[int32]sched.State{}, moved: map[int32]uint64{}, running: map[int32]int32{},
		shares: map[uint64]uint64{}, most: map[uint64]uint64{}, enable: map[int32]uint64{}, same: newGroupQueues(), paths: map[uint64]string{},
		calls: refusals{map[int32]int32{}, map[int32]bool{}}}
	rq := make([]int32, t.cpus) // by CPU that writes: whose run queue it works on
	for i := range rq {
		rq[i] = int32(i)
	}
	sleeping := map[int32]int32{} // by pid: line of the dequeue whose state is not known yet
	moving := map[int32]int32{}   // by pid: line of task_change_group whose queue is not known yet
	for i := range t.lines {
		l := &t.lines[i]
		if v, ok := t.get(l, keyCPU); ok && int(v) < maxSchedCPUs {
			rq[l.cpu] = int32(v)
		} else if l.event == entry(sched.PointTaskForkFair) || l.event == evSwitch || l.event == evSetUserNice {
			rq[l.cpu] = l.cpu
		}
		if addr, ok := t.get(l, keyCFS); ok && l.event != evMigrateFair { // that one shows the queue of the CPU that the task leaves
			s.queue(addr, rq[l.cpu], int32(i), l)
		}
		s.object(int32(i), l, rq[l.cpu])
		s.bandwidth(int32(i), l)
		s.callShown(int32(i), l)
		s.shareSeen(l)
		switch l.event {
		case entry(sched.PointDequeueTaskFair), entry(sched.PointDequeueTaskRT), entry(sched.PointDequeueTaskDL):
			if t.val(l, keyFlags)&(sched.DequeueSleep|sched.DequeueDelayed) == sched.DequeueSleep {
				sleeping[t.pid(l, keyPid)] = int32(i)
			}
		case entry(sched.PointTaskForkFair):
			s.born(l.cpu, t.pid(l, keyPid))
		case evSwitch:
			s.same.runs[l.cpu] = t.pid(l, keyNext)
			pid := t.pid(l, keyPrevPid)
			if at, ok := sleeping[pid]; ok {
				s.state[at] = l.state
				delete(sleeping, pid)
			}
			if _, ok := s.running[l.cpu]; !ok {
				s.running[l.cpu] = pid
			}
		case entry(sched.PointTaskChangeGroup):
			moving[t.pid(l, keyPid)] = int32(i)
			delete(s.same.where, t.pid(l, keyPid))
		}
		if l.event != entry(sched.PointTaskChangeGroup) {
			s.settle(moving, l)
		}
	}
	if t.seen[entry(sched.PointReschedCurrLazy)] > 0 {
		s.lockWaits()
	}
	return s
}

// lockWaits tells, on PREEMPT_RT, the tasks that wait for a lock from those that
// are blocked: sched_switch prints "D" for both, but only the latter's time is
// reported when they wake up.
func (s *schedScan) lockWaits() {
	t := s.t
	for at, state := range s.state { // order does not matter
		if state != sched.StateUninterruptible {
			continue
		}
		pid := t.pid(&t.lines[at], keyPid)
		reported, woken := false, false
		for i := at + 1; int(i) < len(t.lines) && !(woken && t.lines[i].event.begins()); i++ {
			l := &t.lines[i]
			switch {
			case t.pid(l, keyPid) != pid:
			case l.event == entry(sched.PointEnqueueTaskFair) || l.event == entry(sched.PointEnqueueTaskRT):
				woken = true
			case l.event == evStatBlocked:
				reported = true
			}
		}
		if woken && !reported {
			s.state[at] = sched.StateRTLockWait
		}
	}
}

// settle notes the queue in which a task that changed its group is seen, after
// its leaving the old one: that places it there, and updates its load.
func (s *schedScan) settle(moving map[int32]int32, l *schedLine) {
	if len(moving) == 0 || l.event == entry(sched.PointPlaceEntity) || l.event == entry(sched.PointUpdateLoadAvgSE) {
		return
	}
	addr, ok := s.t.get(l, keyCFS)
	if _, se := s.t.get(l, keySe); !ok || !se || s.t.val(l, keyMyq) != 0 {
		return
	}
	pid := s.t.pid(l, keyPid)
	if at, ok := moving[pid]; ok {
		s.moved[at] = addr
		delete(moving, pid)
	}
}

func (s *schedScan) queue(addr uint64, cpu, at int32, l *schedLine) {
	if q, ok := s.queues[addr]; ok {
		q.vote(cpu)
		return
	}
	s.queues[addr] = &schedQueue{addr: addr, cpu: cpu, votes: 1, line: at, curr: s.t.val(l, keyCurr)}
	s.queueAt = append(s.queueAt, addr)
}

// vote counts a line that speaks for a queue's being on a CPU: a CPU can work
// on another one's queues without saying so.
func (q *schedQueue) vote(cpu int32) {
	switch {
	case q.cpu == cpu:
		q.votes++
	case q.votes > 0:
		q.votes--
	default:
		q.cpu, q.votes = cpu, 1
	}
}

// object notes the entities and tasks of a line.
func (s *schedScan) object(i int32, l *schedLine, cpu int32) {
	t := s.t
	if se, ok := t.get(l, keySe); ok && se != 0 {
		// The return of a pick does not show it, but what is picked is queued.
		queued := t.val(l, keyOnRQ) != 0 || l.event == leave(sched.PointPickEEVDF)
		s.entity(i, l, se, t.pid(l, keyPid), t.val(l, keyMyq), queued, cpu)
	} else if pid, ok := t.get(l, keyPid); ok && l.event != evSwitch {
		s.task(i, l, int32(pid), cpu)
	}
	if curr := t.val(l, keyCurr); curr != 0 {
		if _, ok := t.get(l, keyCpid); ok {
			s.entity(i, l, curr, t.pid(l, keyCpid), t.val(l, keyCmyq), t.val(l, keyCon) != 0, cpu)
		}
	}
	if l.event == entry(sched.PointSetNextEntity) {
		if o := s.find(t.pid(l, keyPid), t.val(l, keyMyq)); o != nil && o.order == 0 {
			o.order = int(i) + 1
		}
	}
}

func (s *schedScan) find(pid int32, myq uint64) *schedObject {
	if myq != 0 {
		return s.groups[myq]
	}
	return s.tasks[pid]
}

func (s *schedScan) entity(i int32, l *schedLine, addr uint64, pid int32, myq uint64, onRQ bool, cpu int32) {
	if l.event != entry(sched.PointUpdateLoadAvgSE) && (l.event != entry(sched.PointPlaceEntity) || s.t.val(l, keyInitial) != 0) {
		s.seen(s.t.val(l, keyCFS), pid, myq) // those two also show a queue that a task leaves
	}
	o := s.find(pid, myq)
	switch {
	case o == nil && myq != 0:
		o = &schedObject{myq: myq, line: i, queued: onRQ, cpu: cpu}
		s.groups[myq] = o
		s.groupQs = append(s.groupQs, myq)
	case o == nil:
		o = s.newTask(pid, i, cpu)
		o.queued = onRQ
	case o.queue == 0:
		o.queued = onRQ && !o.forked
		o.line = i
	}
	if o.queue == 0 {
		o.queue, o.addr, o.cpu = s.t.val(l, keyCFS), addr, cpu
	}
}

func (s *schedScan) newTask(pid, i, cpu int32) *schedObject {
	o := &schedObject{pid: pid, line: i, cpu: cpu}
	s.tasks[pid] = o
	s.taskPIDs = append(s.taskPIDs, pid)
	return o
}

// task notes a task that a line names without its entity.
func (s *schedScan) task(i int32, l *schedLine, pid, cpu int32) {
	prio, ok := s.t.get(l, keyPrio)
	pol, ok2 := s.t.get(l, keyPol)
	if pid <= 0 || !ok || !ok2 {
		return
	}
	o := s.tasks[pid]
	if o == nil {
		o = s.newTask(pid, i, cpu)
		o.forked = l.event == entry(sched.PointTaskForkFair)
	}
	switch l.event {
	case evMigrateFair:
		if o.queue == 0 && o.from == 0 {
			o.from = s.t.val(l, keyCFS)
		}
	case entry(sched.PointCheckPreempt):
		o.checks = true
	case entry(sched.PointEnqueueTaskFair), entry(sched.PointEnqueueTaskRT), entry(sched.PointEnqueueTaskDL),
		entry(sched.PointDequeueTaskRT), entry(sched.PointDequeueTaskDL), entry(sched.PointDequeueTaskFair):
		o.class = true
	}
	if !o.policy {
		o.policy, o.prio, o.pol = true, int32(prio), int32(pol)
	}
}

// build makes the machine of a trace with all that was there at its start.
func (r *schedReplay) build() error {
	s := r.scan
	r.k = r.m.Kernel()
	for cpu := range r.m.CPUs() {
		r.rootOf = append(r.rootOf, r.m.QueueOf(sched.RootGroup, sched.CPU(cpu)))
	}
	for _, addr := range s.queueAt {
		if err := r.addQueue(addr, 0); err != nil {
			return err
		}
	}
	for _, addr := range s.groupQs { // those that only their entity shows
		if err := r.addQueue(addr, 0); err != nil {
			return err
		}
	}
	for _, pid := range s.taskPIDs {
		if o := s.tasks[pid]; !o.forked {
			if err := r.addTask(o); err != nil {
				return err
			}
		}
	}
	for _, addr := range s.groupQs {
		if id := r.entityOfQueue(addr); id >= 0 {
			r.entityAt[s.groups[addr].addr] = id
		}
	}
	for _, pid := range s.taskPIDs {
		if o := s.tasks[pid]; !o.forked {
			r.entityAt[o.addr] = r.entityOfObject(o)
		}
	}
	r.seed()
	r.seedServers()
	if r.tracksLoad() {
		r.startLoads()
	}
	for cpu, pid := range s.running { // order does not matter
		if t, ok := r.taskOf[pid]; ok {
			r.k.Switch(sched.CPU(cpu), t)
		}
	}
	return nil
}

// addQueue maps a queue's address, its group's parents first.
func (r *schedReplay) addQueue(addr uint64, depth int) error {
	if _, ok := r.queueOf[addr]; ok || depth > maxDepth {
		return nil
	}
	g := r.groupObject(addr)
	if g == nil {
		r.queueOf[addr] = r.rootOf[r.cpuOfQueue(addr)]
		r.groupOf[addr] = sched.RootGroup
		return nil
	}
	if err := r.addQueue(g.queue, depth+1); err != nil {
		return err
	}
	w := r.sharesOf(addr, g)
	id, err := r.k.AddGroup(r.groupOf[g.queue], min(max(w, 2), 1<<28))
	if err != nil {
		return err
	}
	for _, member := range r.scan.members(addr) {
		r.groupOf[member] = id
		r.queueOf[member] = r.m.QueueOf(id, r.cpuOfQueue(member))
	}
	if c := r.cgroupOf(addr); w == idleShares || c != nil && c.idle {
		r.k.MarkIdle(id, true)
	}
	r.limit(addr, id)
	return nil
}

// groupObject is the entity of a group's queue, of one of them for which a line
// shows it; nil for a root queue.
func (r *schedReplay) groupObject(addr uint64) *schedObject {
	for _, member := range r.scan.members(addr) {
		if g := r.scan.groups[member]; g != nil {
			return g
		}
	}
	return nil
}

// cpuOfQueue is the CPU of a queue: that of the root queue above it.
func (r *schedReplay) cpuOfQueue(addr uint64) sched.CPU {
	cpu := r.scan.cpuOf(addr)
	if int(cpu) >= r.m.CPUs() {
		return 0
	}
	return sched.CPU(cpu)
}

func (r *schedReplay) entityOfQueue(addr uint64) sched.EntityID {
	return r.m.Queue(r.queueOf[addr]).Entity
}

// weightSeen is the weight that the first line of an entity shows, else or.
func (r *schedReplay) weightSeen(o *schedObject, or uint64) uint64 {
	l := &r.t.lines[o.line]
	if w, ok := r.t.get(l, keyW); ok && r.t.val(l, keyMyq) == o.myq && (o.myq != 0 || r.t.pid(l, keyPid) == o.pid) {
		return w
	}
	if w, ok := r.t.get(l, keyCw); ok {
		return w
	}
	return or
}

func (r *schedReplay) addTask(o *schedObject) error {
	info := sched.TaskInfo{PID: o.pid, TGID: o.pid, CPU: sched.CPU(min(int(o.cpu), r.m.CPUs()-1)), Group: r.groupOf[o.queue]}
	if g, ok := r.groupOf[o.from]; ok {
		info.CPU, info.Group = r.cpuOfQueue(o.from), g
	}
	if o.policy {
		setPriority(&info, int(o.prio), sched.Policy(o.pol))
	}
	// Stopper threads show as SCHED_FIFO of priority 99, but are not in that
	// class.
	info.Stop = o.checks && !o.class && o.prio == 0 && info.Policy == sched.PolicyFIFO
	t, err := r.k.AddTask(info)
	if err != nil {
		return err
	}
	r.taskOf[o.pid] = t
	return nil
}

// setPriority fills in policy, nice value and real-time priority from the
// kernel's prio and policy numbers.
func setPriority(info *sched.TaskInfo, prio int, policy sched.Policy) {
	info.Policy = policy
	switch {
	case policy == sched.PolicyFIFO || policy == sched.PolicyRR:
		info.RTPriority = min(max(99-prio, 1), 99)
	case policy == sched.PolicyDeadline:
	case prio >= 100:
		info.Nice = min(max(prio-120, sched.MinNice), sched.MaxNice)
	}
}

// seed puts the entities into the queues that were in them at the start, the
// deepest groups' first, and equal ones in the order in which they were picked.
func (r *schedReplay) seed() {
	var list []*schedObject
	for _, addr := range r.scan.groupQs {
		list = append(list, r.scan.groups[addr])
	}
	for _, pid := range r.scan.taskPIDs {
		list = append(list, r.scan.tasks[pid])
	}
	list = slices.DeleteFunc(list, func(o *schedObject) bool { return !o.queued || o.queue == 0 })
	slices.SortStableFunc(list, func(a, b *schedObject) int {
		return firstPick(a) - firstPick(b)
	})
	for _, o := range list {
		id := r.entityOfObject(o)
		if id < 0 {
			continue // a group that a broken line invents
		}
		r.takeEntity(id, &r.t.lines[o.line], true)
		q := r.scan.queues[o.queue]
		r.k.Seed(id, q != nil && q.curr == o.addr)
	}
}

func firstPick(o *schedObject) int {
	if o.order == 0 {
		return 1 << 30
	}
	return o.order
}

func (r *schedReplay) entityOfObject(o *schedObject) sched.EntityID {
	if o.myq != 0 {
		return r.entityOfQueue(o.myq)
	}
	return r.m.EntityOf(r.taskOf[o.pid])
}
