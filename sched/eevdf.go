package sched

// eevdf is the fair class of Linux from 6.6 on: of the entities that have had
// no more than their share (that are eligible), the one with the earliest
// virtual deadline runs.
//
// Virtual time of a queue is the average of its entities' virtual runtimes,
// weighted; how far an entity is behind it is its lag. To add runtimes without
// overflow they are taken relative to a zero that moves along:
//
//	V = zero + sum((v - zero) * w) / sum(w)
//
// The queue keeps both sums over its tree; the running entity is not in the
// tree and is added where it is needed. The tree is ordered by deadline, and
// each node knows the least virtual runtime below it, so that a search can
// leave out subtrees in which nobody is eligible.
type eevdf struct{ *Machine }

func (e *eevdf) initQueue(q *cfsQueue) { q.zeroVruntime = firstVruntime }

// key is an entity's virtual runtime relative to its queue's zero
// (entity_key).
func (q *cfsQueue) key(se *entity) int64 { return int64(se.vruntime - q.zeroVruntime) }

// link puts an entity into its queue's tree and sums (__enqueue_entity).
func (e *eevdf) link(q *cfsQueue, id EntityID) {
	node, se := &e.nodes[id], &e.ents[id]
	if node.linked {
		return
	}
	w := se.weight()
	q.avgVruntime += q.key(se) * int64(w)
	q.avgLoad += w
	node.key, node.vruntime, node.slice = se.deadline, se.vruntime, se.sliceNS
	q.tree.insert(e.nodes, int32(id))
}

// unlink takes an entity out of its queue's tree and sums (__dequeue_entity).
func (e *eevdf) unlink(q *cfsQueue, id EntityID) {
	se := &e.ents[id]
	if !e.nodes[id].linked {
		return
	}
	q.tree.erase(e.nodes, int32(id))
	w := se.weight()
	q.avgVruntime -= q.key(se) * int64(w)
	q.avgLoad -= w
}

// running is a queue's running entity if it counts there still, else None.
func (e *eevdf) running(q *cfsQueue) EntityID {
	if q.curr >= 0 && e.ents[q.curr].onRQ {
		return q.curr
	}
	return None
}

// sums are the queue's two sums with the running entity.
func (e *eevdf) sums(q *cfsQueue) (avg, load int64) {
	avg, load = q.avgVruntime, int64(q.avgLoad)
	if id := e.running(q); id >= 0 {
		w := int64(e.ents[id].weight())
		avg += q.key(&e.ents[id]) * w
		load += w
	}
	return avg, load
}

// virtualTime is the queue's virtual time, rounded down so that an entity that
// stands there is eligible (avg_vruntime). With a moving zero it becomes the
// new zero.
func (e *eevdf) virtualTime(q *cfsQueue) uint64 {
	avg, load := e.sums(q)
	var delta int64
	switch {
	case e.prof.ZeroVruntime && q.avgLoad == 0:
		if id := e.running(q); id >= 0 {
			delta = q.key(&e.ents[id])
		}
	case load != 0:
		delta = floorDiv(avg, load)
	}
	if !e.prof.ZeroVruntime {
		return q.zeroVruntime + uint64(delta)
	}
	q.moveZero(delta)
	return q.zeroVruntime
}

// floorDiv divides towards minus infinity; b is positive.
func floorDiv(a, b int64) int64 {
	if a < 0 {
		a -= b - 1
	}
	return a / b
}

// moveZero moves the zero of a queue's virtual time.
func (q *cfsQueue) moveZero(delta int64) {
	q.avgVruntime -= int64(q.avgLoad) * delta
	q.zeroVruntime += uint64(delta)
}

// updateMinVruntime moves the zero of a queue without a moving zero: to the
// least virtual runtime, never back (update_min_vruntime).
func (e *eevdf) updateMinVruntime(q *cfsQueue) {
	if e.prof.ZeroVruntime {
		return
	}
	v := q.zeroVruntime
	curr, root := e.running(q), q.tree.root
	switch {
	case curr >= 0 && root >= 0:
		v = minVruntime(e.ents[curr].vruntime, e.nodes[root].minVrun)
	case curr >= 0:
		v = e.ents[curr].vruntime
	case root >= 0:
		v = e.nodes[root].minVrun
	}
	if delta := int64(v - q.zeroVruntime); delta > 0 {
		q.moveZero(delta)
	}
}

// tickNS is the time between two timer ticks.
func (m *Machine) tickNS() uint64 { return uint64(sec / m.cfg.HZ) }

// lag is how far an entity is behind virtual time v, within its limits: two
// slices or a tick (entity_lag).
func (e *eevdf) lag(v uint64, se *entity) int64 {
	limit := int64(calcDeltaFair(max(2*se.sliceNS, e.tickNS()), &se.load))
	return min(max(int64(v-se.vruntime), -limit), limit)
}

// updateLag notes an entity's lag before it leaves its queue
// (update_entity_lag).
func (e *eevdf) updateLag(q *cfsQueue, id EntityID) {
	e.probeQueue(PointUpdateEntityLag, q, id, 0)
	v := e.virtualTime(q)
	se := &e.ents[id]
	se.vlag = e.lag(v, se)
	e.probeReturn(PointUpdateEntityLag, q, id, 0)
}

// eligibleAt says whether an entity with a virtual runtime would have had no
// more than its share: without dividing, which would lose precision
// (vruntime_eligible).
func (e *eevdf) eligibleAt(q *cfsQueue, vruntime uint64) bool {
	avg, load := e.sums(q)
	return avg >= int64(vruntime-q.zeroVruntime)*load
}

func (e *eevdf) eligible(q *cfsQueue, id EntityID) bool {
	return e.eligibleAt(q, e.ents[id].vruntime)
}

// earlier says that an entity's deadline is before another's.
func (e *eevdf) earlier(a, b EntityID) bool {
	return before(e.ents[a].deadline, e.ents[b].deadline)
}

// minSlice is the shortest slice of a queue's entities (cfs_rq_min_slice).
func (e *eevdf) minSlice(q *cfsQueue) uint64 {
	s := ^uint64(0)
	if id := e.running(q); id >= 0 {
		s = e.ents[id].sliceNS
	}
	if root := q.tree.root; root >= 0 {
		s = min(s, e.nodes[root].minSlice)
	}
	return s
}

// pick chooses the eligible entity with the earliest deadline; the running one
// keeps the CPU while its slice is protected, unless protect is false
// (pick_eevdf).
func (e *eevdf) pick(q *cfsQueue, protect bool) EntityID {
	e.probeQueue(PointPickEEVDF, q, q.curr, int(b2u(protect)))
	id := e.best(q, protect)
	e.probeReturn(PointPickEEVDF, q, id, int(b2u(protect)))
	return id
}

func (e *eevdf) best(q *cfsQueue, protect bool) EntityID {
	curr, first := e.running(q), q.first()
	if q.nrRunning == 1 {
		if curr >= 0 {
			return curr
		}
		return first
	}
	// Nothing that the search needs changes on the way.
	avg, load := e.sums(q)
	eligible := func(vruntime uint64) bool { return avg >= int64(vruntime-q.zeroVruntime)*load }
	if curr >= 0 && !eligible(e.ents[curr].vruntime) {
		curr = None
	}
	if curr >= 0 && protect && e.keeps(&e.ents[curr]) {
		return curr
	}
	best := EntityID(None)
	if first >= 0 && eligible(e.ents[first].vruntime) {
		best = first
	} else {
		best = e.search(q, eligible)
	}
	if best < 0 || curr >= 0 && e.earlier(curr, best) {
		return curr
	}
	return best
}

// search finds the eligible entity with the earliest deadline in the tree: to
// the left whenever somebody there is eligible.
func (e *eevdf) search(q *cfsQueue, eligible func(uint64) bool) EntityID {
	for n := q.tree.root; n >= 0; {
		node := &e.nodes[n]
		if l := node.left; l >= 0 && eligible(e.nodes[l].minVrun) {
			n = l
			continue
		}
		if eligible(node.vruntime) {
			return EntityID(n)
		}
		n = node.right
	}
	return None
}

// While an entity runs, its lag is not needed: vlag holds the deadline that it
// had when it was picked. As long as it has that one, its slice is not used up
// and it is not taken off for another. From 6.17 on vlag (vprot) is the virtual
// runtime up to which the entity is protected: to its deadline or for the
// shortest slice of its queue, whichever is earlier.

// protect begins an entity's protection (set_protect_slice).
func (e *eevdf) protect(q *cfsQueue, se *entity) {
	se.vlag = int64(se.deadline)
	if !e.prof.VruntimeProtection {
		return
	}
	slice := e.prof.Tunables.BaseSliceNS
	if e.feat(RunToParity) {
		slice = e.minSlice(q)
	}
	if slice < se.sliceNS {
		se.vlag = int64(minVruntime(se.deadline, se.vruntime+calcDeltaFair(slice, &se.load)))
	}
}

// shortenProtection ends an entity's protection after the shortest slice that
// its queue has now (update_protect_slice).
func (e *eevdf) shortenProtection(q *cfsQueue, se *entity) {
	se.vlag = int64(minVruntime(uint64(se.vlag), se.vruntime+calcDeltaFair(e.minSlice(q), &se.load)))
}

func (e *eevdf) protected(se *entity) bool {
	if e.prof.VruntimeProtection {
		return before(se.vruntime, uint64(se.vlag))
	}
	return uint64(se.vlag) == se.deadline
}

// keeps says that a running entity that is eligible goes on.
func (e *eevdf) keeps(se *entity) bool {
	return (e.prof.VruntimeProtection || e.feat(RunToParity)) && e.protected(se)
}

// unprotect lets others take the CPU before the slice is used up
// (cancel_protect_slice).
func (e *eevdf) unprotect(se *entity) {
	switch {
	case !e.protected(se):
	case e.prof.VruntimeProtection:
		se.vlag = int64(se.vruntime)
	default:
		se.vlag = int64(se.deadline + 1)
	}
}

// updateDeadline gives an entity that has reached its deadline a new request;
// it says whether it did (update_deadline).
func (e *eevdf) updateDeadline(q *cfsQueue, id EntityID) bool {
	e.probeQueue(PointUpdateDeadline, q, id, 0)
	se := &e.ents[id]
	if before(se.vruntime, se.deadline) {
		return false
	}
	e.refreshSlice(se)
	se.deadline = se.vruntime + calcDeltaFair(se.sliceNS, &se.load)
	if e.prof.ZeroVruntime {
		e.virtualTime(q)
	}
	return true
}

// refreshSlice gives an entity without a slice of its own the machine's.
func (e *eevdf) refreshSlice(se *entity) {
	if !se.custom {
		se.sliceNS = e.tun.BaseSliceNS
	}
}
