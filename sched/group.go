package sched

// group is a task_group: a cgroup with the cpu controller.
type group struct {
	parent   GroupID
	children []GroupID
	queues   []QueueID // by CPU
	shares   uint64    // scaled weight
	idle     bool      // cpu.idle
	loadAvg  int64     // sum of what the queues contributed
	bw       bandwidth
}

func newGroup(parent GroupID, shares uint64) group {
	return group{parent: parent, shares: shares, bw: newBandwidth()}
}

// newChild makes a group with its queues and entities on all CPUs.
func (m *Machine) newChild(parent GroupID, shares uint64) GroupID {
	id := GroupID(len(m.groups))
	m.groups = append(m.groups, newGroup(parent, shares))
	m.groups[parent].children = append(m.groups[parent].children, id)
	if m.clamps != nil {
		m.clamps.groups = append(m.clamps.groups, groupClamps{asked: [clampIDs]uint16{0, fullCapacity}})
		m.updateGroupClamps(id)
	}
	for cpu := range m.rqs {
		above := m.groups[parent].queues[cpu]
		q := m.newQueue(id, CPU(cpu))
		m.groups[id].queues = append(m.groups[id].queues, q)
		se := m.newEntity(entity{task: NoTask, myQ: q, queue: above, parent: m.queues[above].entity})
		m.ents[se].load.set(shares)
		if m.prof.OldFair {
			m.ents[se].runnableWt = shares
		}
		m.ents[se].depth = m.depthIn(above)
		m.queues[q].entity = se
		m.queues[q].throttleCount = m.queues[above].throttleCount
		m.queues[q].throttledPelt = m.throttleClock(&m.rqs[cpu])
	}
	return id
}

// depthIn is the depth of entities in a queue: 0 in a root queue.
func (m *Machine) depthIn(q QueueID) int32 {
	if se := m.queues[q].entity; se >= 0 {
		return m.ents[se].depth + 1
	}
	return 0
}

// setTaskQueue says in which group's queue on which CPU a task belongs
// (set_task_rq).
func (m *Machine) setTaskQueue(t TaskID, g GroupID, cpu CPU) {
	task := &m.tasks[t]
	se := &m.ents[task.se]
	q := m.groups[g].queues[cpu]
	if se.queue >= 0 && se.queue != q {
		m.ageEntityLoad(task.se, q)
	}
	task.group, task.cpu = g, cpu
	se.queue, se.parent = q, m.queues[q].entity
	se.depth = m.depthIn(q)
}

// accountEnqueue adds an entity's weight to its queue
// (account_entity_enqueue).
func (m *Machine) accountEnqueue(q *cfsQueue, id EntityID) {
	se := &m.ents[id]
	q.load.add(se.load.weight)
	q.nrRunning++
	m.recentAdd(se)
	if m.isIdle(se) {
		q.idleNrRunning++
	}
}

func (m *Machine) accountDequeue(q *cfsQueue, id EntityID) {
	se := &m.ents[id]
	q.load.sub(se.load.weight)
	q.nrRunning--
	m.recentRemove(se)
	if m.isIdle(se) {
		q.idleNrRunning--
	}
}

// updateGroup gives a group's entity its part of the group's weight
// (update_cfs_group).
func (m *Machine) updateGroup(id EntityID) {
	se := &m.ents[id]
	if se.isTask() {
		return
	}
	q := &m.queues[se.myQ]
	if q.throttleCount > 0 {
		return
	}
	shares := m.groupShares(q)
	// With delayed dequeue an empty group's entity may still be queued and
	// keeps its weight.
	if m.prof.DelayedDequeue && (q.load.weight == 0 || shares == se.load.weight) {
		return
	}
	m.fair.reweightEntity(m.queueOf(se), id, shares)
}

// groupShares is the weight of a group's entity on one CPU: that part of the
// group's shares that this CPU has of the group's load (calc_group_shares).
func (m *Machine) groupShares(q *cfsQueue) uint64 {
	g := &m.groups[q.group]
	switch {
	case m.cfg.LoadTracking:
	case m.hooks.Share != nil && len(m.rqs) > 1:
		return m.hooks.Share(q.id, g.shares)
	default:
		return g.shares
	}
	load := max(m.weightDown(q.load.weight), q.avg.load)
	all := uint64(g.loadAvg) - q.tgContrib + load
	shares := g.shares * load
	if all != 0 {
		shares /= all
	}
	return min(max(shares, minShares), g.shares)
}

// updateRunnable notes the tasks below a group's entity for load tracking
// (se_update_runnable).
func (m *Machine) updateRunnable(se *entity) {
	if !se.isTask() && !m.prof.OldFair {
		se.runnableWt = uint64(m.queues[se.myQ].hNrRunning)
	}
}
