package sched

// entity is a sched_entity of the fair class: a task's, or the one that stands
// for a group's queue in the queue above.
type entity struct {
	load       load
	execStart  uint64 // rq clock_task when its running time was last accounted, ns
	sumExec    uint64 // CPU time so far, ns
	vruntime   uint64 // virtual runtime, ns; relative to its queue's while it is between queues
	queue      QueueID
	myQ        QueueID  // the group's queue that it stands for, None for a task's
	parent     EntityID // the entity of its queue's group, None in the root queue
	task       TaskID   // its task, NoTask for a group's
	depth      int32
	onRQ       bool   // counted in its queue (in the tree, or running)
	delayed    bool   // EEVDF: asleep, but still queued until its lag is spent
	relDead    bool   // EEVDF: deadline is relative to vruntime
	custom     bool   // EEVDF: sliceNS was asked for by the task
	prevSum    uint64 // sumExec when it was last picked
	deadline   uint64 // EEVDF: virtual deadline; a difference while relDeadline
	vlag       int64  // EEVDF: lag while it is not queued; while it runs the end of slice protection
	sliceNS    uint64 // EEVDF: request length, ns
	runnableWt uint64 // runnable_weight: tasks below a group's entity; up to 5.6 its weight, see oldload.go
	avg        loadAvg
	estLast    uint32 // see utilest.go: what it used in its last activation
	estAverage uint32 // and on average
}

// cfsQueue is a cfs_rq: the fair entities of one group on one CPU.
type cfsQueue struct {
	id     QueueID
	cpu    CPU
	group  GroupID
	entity EntityID // the entity that stands for it in the queue above, None for a root queue
	load   load     // sum of its entities' weights

	nrRunning      uint32 // its entities
	hNrQueued      uint32 // tasks below it
	hNrRunning     uint32 // those of them that are not delayed
	idleNrRunning  uint32 // entities of SCHED_IDLE or of an idle group
	idleHNrRunning uint32 // tasks below it that count as idle
	idle           bool   // its group is cpu.idle

	tree                   rbTree
	curr, next, last, skip EntityID // the running entity and the buddies
	minVruntime            uint64   // CFS: never decreases
	zeroVruntime           uint64   // EEVDF: reference of the sum (zero_vruntime, before it min_vruntime)
	avgVruntime            int64    // EEVDF: sum of (vruntime - zeroVruntime) * weight over the tree
	avgLoad                uint64   // EEVDF: sum of the weights over the tree

	runnableWt   uint64 // up to 5.6: runnable_weight, sum of its entities'
	avg          loadAvg
	removed      removedLoad
	propagate    bool  // its group's entity has to take over its load
	propRunnable int64 // the runnable sum to take over
	tgContrib    uint64
	hLoad        uint64 // its part of its CPU's load, as of tick hLoadTick
	hLoadTick    uint64
	tgUpdated    uint64 // rq clock when tgContrib was set

	runtimeEnabled               bool
	throttled                    bool
	throttleCount                int32
	runtimeRemaining             int64  // ns
	throttledClock               uint64 // rq clock when it was throttled
	throttledPelt                uint64 // rq clock_pelt when its hierarchy was throttled
	throttledPeltTime            uint64 // time to take off clock_pelt
	throttledPeltIdle            uint64
	throttledPrev, throttledNext QueueID // its pool's list of throttled queues
}

// removedLoad collects what tasks that left while asleep contributed.
type removedLoad struct {
	nr                   int
	load, util, runnable uint64 // runnable: up to 5.6 sums of load
}

// weightDown is a weight without its fractional bits (scale_load_down): never
// below 2 unless it is 0.
func weightDown(w uint64) uint64 {
	if w == 0 {
		return 0
	}
	return max(2, w>>loadShift)
}

func (m *Machine) queueOf(se *entity) *cfsQueue { return &m.queues[se.queue] }
func (m *Machine) rqOf(q *cfsQueue) *runQueue   { return &m.rqs[q.cpu] }

func (se *entity) isTask() bool { return se.myQ < 0 }

// isIdle is se_is_idle: the entity is of a SCHED_IDLE task or an idle group.
func (m *Machine) isIdle(se *entity) bool {
	if se.isTask() {
		return m.tasks[se.task].policy == PolicyIdle
	}
	return m.queues[se.myQ].idle
}

// linkEntity puts an entity into its queue's tree.
func (m *Machine) linkEntity(q *cfsQueue, se EntityID) {
	if !m.nodes[se].linked {
		m.nodes[se].key = m.ents[se].vruntime
		q.tree.insert(m.nodes, int32(se))
	}
}

// unlinkEntity takes an entity out of its queue's tree. A replay that takes
// over a running entity may find it out already.
func (m *Machine) unlinkEntity(q *cfsQueue, se EntityID) {
	if m.nodes[se].linked {
		q.tree.erase(m.nodes, int32(se))
	}
}

// first is the entity with the smallest key, None if the tree is empty.
func (q *cfsQueue) first() EntityID { return EntityID(q.tree.first) }
