package sched

// Load tracking as it was up to Linux 5.6, where it differs. An entity has two
// weights: its own, by which load_avg goes, and a runnable one. A task's are the
// same; a group's entity has that part of its weight that its group's runnable load
// is of all the group's load, which blocked tasks are still part of. By the runnable
// weights goes runnable_load_avg, to which a queue's entities add theirs only while
// they are queued. Sums are not kept above what the averages stand for, and those
// that a group's entity takes over are for whole periods.

// runnableWeight is an entity's runnable weight without fraction (se_runnable).
func (m *Machine) runnableWeight(se *entity) uint64 {
	if se.isTask() {
		return m.weightOf(se)
	}
	return m.weightDown(se.runnableWt)
}

// scaledRunnable is the same with its fractional bits.
func (se *entity) scaledRunnable() uint64 {
	if se.isTask() {
		return se.load.weight
	}
	return se.runnableWt
}

// groupRunnable is the runnable weight of a group's entity with a weight
// (calc_group_runnable).
func (m *Machine) groupRunnable(q *cfsQueue, weight uint64) uint64 {
	w := weight * max(q.avg.runnable, m.weightDown(q.runnableWt))
	if all := max(q.avg.load, m.weightDown(q.load.weight)); all != 0 {
		w /= all
	}
	return min(max(w, minShares), weight)
}

// rescaleRunnable gives an entity the runnable weight and load of its new weight
// (a step of reweight_entity).
func (m *Machine) rescaleRunnable(se *entity) {
	if !m.prof.OldFair || !m.cfg.LoadTracking {
		return
	}
	if !se.isTask() {
		se.runnableWt = m.groupRunnable(&m.queues[se.myQ], se.load.weight)
	}
	se.avg.runnable = m.runnableWeight(se) * se.avg.runnableSum / se.avg.divider()
}

// enqueueRunnable adds an entity that is queued to its queue's runnable load
// (enqueue_runnable_load_avg).
func (m *Machine) enqueueRunnable(q *cfsQueue, se *entity) {
	if !m.prof.OldFair || !m.cfg.LoadTracking {
		return
	}
	q.runnableWt += se.scaledRunnable()
	q.avg.runnable += se.avg.runnable
	q.avg.runnableSum += m.runnableWeight(se) * se.avg.runnableSum
}

// dequeueRunnable takes it off again (dequeue_runnable_load_avg).
func (m *Machine) dequeueRunnable(q *cfsQueue, se *entity) {
	if !m.prof.OldFair || !m.cfg.LoadTracking {
		return
	}
	q.runnableWt -= se.scaledRunnable()
	subPositive(&q.avg.runnable, se.avg.runnable)
	subPositive(&q.avg.runnableSum, m.runnableWeight(se)*se.avg.runnableSum)
}

// applyRemovedOld takes off what left a queue (a step of update_cfs_rq_load_avg).
func (m *Machine) applyRemovedOld(q *cfsQueue, r *removedLoad) {
	a, d := &q.avg, q.avg.divider()
	subPositive(&a.load, r.load)
	subPositive(&a.loadSum, r.load*d)
	subPositive(&a.util, r.util)
	a.subUtil(uint32(r.util * d))
	m.addPropagate(q, -int64(r.runnable))
}

// attachLoadOld is what follows in attachLoad once the clocks are the same.
func (m *Machine) attachLoadOld(q *cfsQueue, se *entity) {
	a, d := &se.avg, q.avg.divider()
	a.utilSum = uint32(a.util * d)
	a.loadSum = d
	if w := m.weightOf(se); w != 0 {
		a.loadSum = a.load * d / w
	}
	a.runnableSum = a.loadSum
	m.enqueueLoadAvg(q, se)
	q.avg.util += a.util
	q.avg.utilSum += a.utilSum
	m.addPropagate(q, int64(a.loadSum))
}

// detachLoadOld is what follows in detachLoad once the load is off.
func (m *Machine) detachLoadOld(q *cfsQueue, se *entity) {
	subPositive(&q.avg.util, se.avg.util)
	q.avg.subUtil(se.avg.utilSum)
	m.addPropagate(q, -int64(se.avg.loadSum))
}

// propagateOld takes a change of a group's queue over to the group's entity and
// the queue above (update_tg_cfs_util, update_tg_cfs_runnable).
func (m *Machine) propagateOld(q *cfsQueue, se *entity, gq *cfsQueue) {
	if delta := int64(gq.avg.util) - int64(se.avg.util); delta != 0 {
		se.avg.util = gq.avg.util
		se.avg.utilSum = uint32(se.avg.util * peltMax)
		addPositive(&q.avg.util, delta)
		q.avg.utilSum = uint32(q.avg.util * peltMax)
	}
	sum := gq.propRunnable
	if sum == 0 {
		return
	}
	gq.propRunnable = 0
	if sum >= 0 {
		sum = min(sum+int64(se.avg.loadSum), peltMax)
	} else {
		each := uint64(0)
		if w := m.weightDown(gq.load.weight); w != 0 {
			each = gq.avg.loadSum / w
		}
		sum = int64(min(se.avg.loadSum, each))
	}
	sum = max(sum, int64(se.avg.utilSum>>capacityShift))

	weight, runnable := int64(m.weightOf(se)), int64(m.runnableWeight(se))
	was, avg := weight*int64(se.avg.loadSum), weight*sum/peltMax
	delta := avg - int64(se.avg.load)
	se.avg.loadSum, se.avg.load = uint64(sum), uint64(avg)
	addPositive(&q.avg.load, delta)
	addPositive(&q.avg.loadSum, weight*sum-was)

	// What was counts by the weight, not by the runnable weight.
	was, avg = weight*int64(se.avg.runnableSum), runnable*sum/peltMax
	delta = avg - int64(se.avg.runnable)
	se.avg.runnableSum, se.avg.runnable = uint64(sum), uint64(avg)
	if se.onRQ {
		addPositive(&q.avg.runnable, delta)
		addPositive(&q.avg.runnableSum, runnable*sum-was)
	}
}
