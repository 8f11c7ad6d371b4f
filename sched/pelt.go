package sched

import (
	"math/big"
	"math/bits"
)

// Per-entity load tracking. Time is cut into periods of 1024 us; what happened
// n periods ago counts y^n, with y^32 = 1/2. The sums are kept exactly as the
// kernel keeps them, rounding and its corrections included.
const (
	peltHalfLife   = 32    // periods
	peltMax        = 47742 // the greatest sum: 1024 * (1 + y + y^2 + ...), each step rounded
	peltMinDivider = peltMax - 1024
)

// decayInv[n] is y^n in 32 bits: (2^32 - 1) * 2^(-n/32), rounded down.
var decayInv = decayFactors()

func decayFactors() (f [peltHalfLife]uint64) {
	full := new(big.Int).Exp(big.NewInt(1<<32-1), big.NewInt(peltHalfLife), nil)
	for n := range f {
		x := new(big.Int).Rsh(full, uint(n))
		for range bits.Len(peltHalfLife - 1) { // the 32nd root is five square roots
			x.Sqrt(x)
		}
		f[n] = x.Uint64()
	}
	return f
}

// loadAvg is a sched_avg: the averages of an entity or a queue.
type loadAvg struct {
	lastUpdate    uint64 // ns; 0: not attached to a queue
	loadSum       uint64
	runnableSum   uint64 // up to 5.6 of weight, then of tasks in parts of 1024
	utilSum       uint32
	periodContrib uint32 // us of the period that is not over
	load          uint64 // load_avg
	runnable      uint64 // runnable_avg, parts of 1024; up to 5.6 runnable_load_avg
	util          uint64 // util_avg, parts of 1024
}

// divider is the greatest sum that is possible now.
func (a *loadAvg) divider() uint64 { return peltMinDivider + uint64(a.periodContrib) }

func decay(v, n uint64) uint64 {
	if n > peltHalfLife*63 {
		return 0
	}
	v >>= n / peltHalfLife
	hi, lo := bits.Mul64(v, decayInv[n%peltHalfLife])
	return hi<<32 | lo>>32
}

// segments is the sum of what lies between two updates: the rest of the first
// period, whole periods, and the begun one.
func segments(periods, first, last uint64) uint64 {
	return decay(first, periods) + (peltMax - decay(peltMax, periods) - 1024) + last
}

// updateSum adds the time up to now to the sums, runnable being in the unit of its
// sum; it says whether a period ended, so that the averages change
// (___update_load_sum).
func (a *loadAvg) updateSum(now, load, runnable uint64, running bool) bool {
	delta := now - a.lastUpdate
	if int64(delta) < 0 {
		a.lastUpdate = now
		return false
	}
	if delta >>= 10; delta == 0 {
		return false
	}
	a.lastUpdate += delta << 10
	if load == 0 {
		runnable, running = 0, false
	}
	contrib := uint64(uint32(delta))
	delta += uint64(a.periodContrib)
	periods := delta / 1024
	if periods > 0 {
		a.loadSum = decay(a.loadSum, periods)
		a.runnableSum = decay(a.runnableSum, periods)
		a.utilSum = uint32(decay(uint64(a.utilSum), periods))
		delta %= 1024
		if load != 0 {
			contrib = segments(periods, uint64(1024-a.periodContrib), delta)
		}
	}
	a.periodContrib = uint32(delta)
	a.loadSum += load * contrib
	a.runnableSum += runnable * contrib
	if running {
		a.utilSum += uint32(contrib << capacityShift)
	}
	return periods > 0
}

// updateAvg computes the averages from the sums and their weights.
func (a *loadAvg) updateAvg(load, runnable uint64) {
	d := a.divider()
	a.load = load * a.loadSum / d
	a.runnable = runnable * a.runnableSum / d
	a.util = uint64(a.utilSum) / d
}

// subPositive takes d off v, down to 0.
func subPositive(v *uint64, d uint64) {
	if d > *v {
		d = *v
	}
	*v -= d
}

// addPositive adds a signed difference, down to 0.
func addPositive(v *uint64, d int64) {
	if d < 0 {
		subPositive(v, uint64(-d))
		return
	}
	*v += uint64(d)
}

// The sums must not fall below what the averages stand for, at the start of a
// period. The comparison is one of 32 bits, as in the kernel.
func (a *loadAvg) floorLoad() { a.loadSum = floor32(a.loadSum, a.load) }
func (a *loadAvg) floorUtil() { a.utilSum = max(a.utilSum, uint32(a.util*peltMinDivider)) }
func (a *loadAvg) floorRunnable() {
	a.runnableSum = floor32(a.runnableSum, a.runnable)
}

func floor32(sum, avg uint64) uint64 { return uint64(max(uint32(sum), uint32(avg*peltMinDivider))) }

// pelt is rq_clock_pelt.
func (rq *runQueue) pelt() uint64 { return rq.clockPelt - rq.lostIdle }

// throttleClock is the clock that stops while a queue is throttled: up to 5.6
// rq_clock_task, though it is taken off rq_clock_pelt.
func (m *Machine) throttleClock(rq *runQueue) uint64 {
	if m.prof.OldFair {
		return rq.clockTask
	}
	return rq.pelt()
}

// queuePelt is the clock of a queue's load: it stands while the queue is
// throttled (cfs_rq_clock_pelt).
func (m *Machine) queuePelt(q *cfsQueue) uint64 {
	if q.throttleCount > 0 {
		return q.throttledPelt - q.throttledPeltTime
	}
	return m.rqOf(q).pelt() - q.throttledPeltTime
}

// queueIdlePelt notes that a queue became empty.
func (m *Machine) queueIdlePelt(q *cfsQueue) {
	q.throttledPeltIdle = q.throttledPeltTime
	if q.throttleCount > 0 {
		q.throttledPeltIdle = ^uint64(0)
	}
}

// weight is an entity's weight without fraction (se_weight).
func (se *entity) weight() uint64 { return weightDown(se.load.weight) }

// weightOf is se_weight, which up to 5.6 may be 0 for a group.
func (m *Machine) weightOf(se *entity) uint64 { return m.weightDown(se.load.weight) }

func (m *Machine) weightDown(w uint64) uint64 {
	if m.prof.OldFair {
		return w >> loadShift
	}
	return weightDown(w)
}

// runnableTasks is what an entity counts as runnable (se_runnable).
func (se *entity) runnableTasks() uint64 {
	if se.isTask() {
		return uint64(b2u(se.onRQ && !se.delayed))
	}
	if se.delayed {
		return 0
	}
	return se.runnableWt
}

// Flags of updateLoadAvg.
const (
	updateTG = 1 << iota
	skipAge
	doAttach
	doDetach
)

// updateLoadAvg brings an entity's and its queue's averages up to now
// (update_load_avg).
func (m *Machine) updateLoadAvg(q *cfsQueue, id EntityID, flags int) {
	if m.cfg.LoadTracking {
		m.trackLoad(q, id, flags)
	}
}

func (m *Machine) trackLoad(q *cfsQueue, id EntityID, flags int) {
	se, now := &m.ents[id], m.queuePelt(q)
	if se.avg.lastUpdate != 0 && flags&skipAge == 0 {
		m.updateEntitySum(now, q, id)
	}
	decayed := m.updateQueueAvg(now, q)
	decayed = m.propagate(se) || decayed
	switch {
	case se.avg.lastUpdate == 0 && flags&doAttach != 0:
		m.attachLoad(q, se)
		m.updateGroupLoad(q)
	case flags&doDetach != 0:
		m.detachLoad(q, se)
		m.updateGroupLoad(q)
	case decayed && flags&updateTG != 0:
		m.updateGroupLoad(q)
	}
}

// updateEntitySum is __update_load_avg_se.
func (m *Machine) updateEntitySum(now uint64, q *cfsQueue, id EntityID) {
	now = m.probeValue(PointUpdateLoadAvgSE, q, id, now)
	se := &m.ents[id]
	load := uint64(b2u(se.onRQ))
	if m.prof.OldFair {
		if se.avg.updateSum(now, load, load, q.curr == id) {
			se.avg.updateAvg(m.weightOf(se), m.runnableWeight(se))
			se.estimateChanged()
		}
		return
	}
	if se.avg.updateSum(now, load, se.runnableTasks()<<capacityShift, q.curr == id) {
		se.avg.updateAvg(se.weight(), 1)
		se.estimateChanged()
	}
}

// updateQueueAvg updates a queue and takes off what left it
// (update_cfs_rq_load_avg).
func (m *Machine) updateQueueAvg(now uint64, q *cfsQueue) bool {
	changed := false
	if q.removed.nr > 0 {
		m.applyRemoved(q)
		changed = true
	}
	now = m.probeValue(PointUpdateLoadAvgCFS, q, None, now)
	runnable := uint64(q.hNrRunning) << capacityShift
	if m.prof.OldFair {
		runnable = m.weightDown(q.runnableWt)
	}
	if q.avg.updateSum(now, m.weightDown(q.load.weight), runnable, q.curr >= 0) {
		q.avg.updateAvg(1, 1)
		changed = true
	}
	return changed
}

// updateBlocked updates a queue whose load nothing else updates, as load
// balancing does, and its group's entity (a step of __update_blocked_fair).
func (m *Machine) updateBlocked(q *cfsQueue) {
	if !m.cfg.LoadTracking {
		return
	}
	if m.updateQueueAvg(m.queuePelt(q), q) {
		m.updateGroupLoad(q)
		if q.nrRunning == 0 {
			m.queueIdlePelt(q)
		}
	}
	if q.entity < 0 {
		return
	}
	flags := updateTG
	if m.prof.OldFair {
		flags = 0
	}
	if se := &m.ents[q.entity]; se.avg.load != 0 || se.avg.util != 0 || q.propagate {
		m.updateLoadAvg(m.queueOf(se), q.entity, flags)
	}
}

func (m *Machine) applyRemoved(q *cfsQueue) {
	d, r, a := q.avg.divider(), q.removed, &q.avg
	q.removed = removedLoad{}
	if m.prof.OldFair {
		m.applyRemovedOld(q, &r)
		return
	}
	subPositive(&a.load, r.load)
	subPositive(&a.loadSum, r.load*d)
	a.floorLoad()
	subPositive(&a.util, r.util)
	a.subUtil(uint32(r.util * d))
	a.floorUtil()
	subPositive(&a.runnable, r.runnable)
	subPositive(&a.runnableSum, r.runnable*d)
	a.floorRunnable()
	m.addPropagate(q, -int64(r.runnable*d)>>capacityShift)
}

func (a *loadAvg) subUtil(d uint32) { a.utilSum -= min(d, a.utilSum) }

func (m *Machine) addPropagate(q *cfsQueue, runnableSum int64) {
	q.propagate = true
	q.propRunnable += runnableSum
}

// attachLoad adds an entity's averages to its queue's (attach_entity_load_avg).
func (m *Machine) attachLoad(q *cfsQueue, se *entity) {
	a, d := &se.avg, q.avg.divider()
	a.lastUpdate, a.periodContrib = q.avg.lastUpdate, q.avg.periodContrib
	if m.prof.OldFair {
		m.attachLoadOld(q, se)
		return
	}
	a.utilSum = uint32(a.util * d)
	a.runnableSum = a.runnable * d
	a.loadSum = a.load * d
	if w := se.weight(); w < a.loadSum {
		a.loadSum /= w
	} else {
		a.loadSum = 1
	}
	m.enqueueLoadAvg(q, se)
	q.avg.util += a.util
	q.avg.utilSum += a.utilSum
	q.avg.runnable += a.runnable
	q.avg.runnableSum += a.runnableSum
	m.addPropagate(q, int64(a.loadSum))
}

// detachLoad takes an entity's averages off its queue's
// (detach_entity_load_avg).
func (m *Machine) detachLoad(q *cfsQueue, se *entity) {
	m.dequeueLoadAvg(q, se)
	if m.prof.OldFair {
		m.detachLoadOld(q, se)
		return
	}
	subPositive(&q.avg.util, se.avg.util)
	q.avg.subUtil(se.avg.utilSum)
	q.avg.floorUtil()
	subPositive(&q.avg.runnable, se.avg.runnable)
	subPositive(&q.avg.runnableSum, se.avg.runnableSum)
	q.avg.floorRunnable()
	m.addPropagate(q, -int64(se.avg.loadSum))
}

func (m *Machine) enqueueLoadAvg(q *cfsQueue, se *entity) {
	if m.cfg.LoadTracking {
		q.avg.load += se.avg.load
		q.avg.loadSum += m.weightOf(se) * se.avg.loadSum
	}
}

func (m *Machine) dequeueLoadAvg(q *cfsQueue, se *entity) {
	if m.cfg.LoadTracking {
		subPositive(&q.avg.load, se.avg.load)
		subPositive(&q.avg.loadSum, m.weightOf(se)*se.avg.loadSum)
		if !m.prof.OldFair {
			q.avg.floorLoad()
		}
	}
}

// rescaleLoadAvg gives an entity the load of its new weight.
func (m *Machine) rescaleLoadAvg(se *entity) {
	if m.cfg.LoadTracking {
		se.avg.load = m.weightOf(se) * se.avg.loadSum / se.avg.divider()
	}
}

// updateGroupLoad tells the group what a queue contributes, if that changed by
// more than a 64th (update_tg_load_avg).
func (m *Machine) updateGroupLoad(q *cfsQueue) {
	if q.group == RootGroup {
		return
	}
	// The kernel asks sched_clock, which no trace shows; the run queue's clock
	// is at most a little behind.
	now := m.rqOf(q).clock
	if now-q.tgUpdated < m.prof.GroupLoadNS {
		return
	}
	delta := int64(q.avg.load) - int64(q.tgContrib)
	if max(delta, -delta) > int64(q.tgContrib/64) {
		m.groups[q.group].loadAvg += delta
		q.tgContrib = q.avg.load
		q.tgUpdated = now
	}
}

// propagate takes a change of a group's queue over to the group's entity and
// the queue above (propagate_entity_load_avg).
func (m *Machine) propagate(se *entity) bool {
	if se.isTask() || !m.queues[se.myQ].propagate {
		return false
	}
	gq, q := &m.queues[se.myQ], m.queueOf(se)
	gq.propagate = false
	m.addPropagate(q, gq.propRunnable)
	if m.prof.OldFair {
		m.propagateOld(q, se, gq)
		return true
	}
	m.propagateUtil(q, se, gq)
	m.propagateRunnable(q, se, gq)
	m.propagateLoad(q, se, gq)
	return true
}

func (m *Machine) propagateUtil(q *cfsQueue, se *entity, gq *cfsQueue) {
	delta := int64(gq.avg.util) - int64(se.avg.util)
	if delta == 0 {
		return
	}
	se.avg.util = gq.avg.util
	sum := uint32(se.avg.util * q.avg.divider())
	change := int64(sum) - int64(se.avg.utilSum)
	se.avg.utilSum = sum
	addPositive(&q.avg.util, delta)
	q.avg.utilSum = uint32(max(0, int64(q.avg.utilSum)+change))
	q.avg.floorUtil()
}

func (m *Machine) propagateRunnable(q *cfsQueue, se *entity, gq *cfsQueue) {
	delta := int64(gq.avg.runnable) - int64(se.avg.runnable)
	if delta == 0 {
		return
	}
	se.avg.runnable = gq.avg.runnable
	sum := se.avg.runnable * q.avg.divider()
	change := int64(sum) - int64(se.avg.runnableSum)
	se.avg.runnableSum = sum
	addPositive(&q.avg.runnable, delta)
	addPositive(&q.avg.runnableSum, change)
	q.avg.floorRunnable()
}

// propagateLoad estimates how long the group's entity was runnable and sets its
// load by that (update_tg_cfs_load).
func (m *Machine) propagateLoad(q *cfsQueue, se *entity, gq *cfsQueue) {
	runnable := gq.propRunnable
	if runnable == 0 {
		return
	}
	gq.propRunnable = 0
	d := int64(q.avg.divider())
	if runnable >= 0 {
		runnable = min(runnable+int64(se.avg.loadSum), d)
	} else {
		each := uint64(0)
		if w := weightDown(gq.load.weight); w != 0 {
			each = gq.avg.loadSum / w
		}
		runnable = int64(min(se.avg.loadSum, each))
	}
	runnable = max(runnable, int64(se.avg.utilSum>>capacityShift))
	sum := se.weight() * uint64(runnable)
	load := sum / uint64(d)
	delta := int64(load) - int64(se.avg.load)
	if delta == 0 {
		return
	}
	change := int64(sum) - int64(se.weight()*se.avg.loadSum)
	se.avg.loadSum, se.avg.load = uint64(runnable), load
	addPositive(&q.avg.load, delta)
	addPositive(&q.avg.loadSum, change)
	q.avg.floorLoad()
}

// propagateUp updates the entities above one that came or left
// (propagate_entity_cfs_rq).
func (m *Machine) propagateUp(id EntityID) {
	if m.queueOf(&m.ents[id]).throttled && !m.prof.OldFair {
		return
	}
	for id = m.ents[id].parent; id >= 0; id = m.ents[id].parent {
		q := m.queueOf(&m.ents[id])
		if q.throttled && m.prof.OldFair {
			return
		}
		m.updateLoadAvg(q, id, updateTG)
		if q.throttled {
			return
		}
	}
}

// detachEntity is detach_entity_cfs_rq.
func (m *Machine) detachEntity(id EntityID) {
	if se := &m.ents[id]; m.cfg.LoadTracking && se.avg.lastUpdate != 0 {
		q := m.queueOf(se)
		m.updateLoadAvg(q, id, 0)
		m.detachLoad(q, se)
		m.updateGroupLoad(q)
		m.propagateUp(id)
	}
}

// attachEntity is attach_entity_cfs_rq.
func (m *Machine) attachEntity(id EntityID) {
	if !m.cfg.LoadTracking {
		return
	}
	se, flags := &m.ents[id], skipAge
	if m.feat(AttachAgeLoad) {
		flags = 0
	}
	q := m.queueOf(se)
	m.updateLoadAvg(q, id, flags)
	m.attachLoad(q, se)
	m.updateGroupLoad(q)
	m.propagateUp(id)
}

// ageEntityLoad decays a task's load up to what its old queue knows and sets
// its clock to that of the new one (set_task_rq_fair).
func (m *Machine) ageEntityLoad(id EntityID, to QueueID) {
	se := &m.ents[id]
	if !m.cfg.LoadTracking || !m.feat(AttachAgeLoad) || se.avg.lastUpdate == 0 {
		return
	}
	m.ageBlocked(se, m.queues[se.queue].avg.lastUpdate)
	se.avg.lastUpdate = m.queues[to].avg.lastUpdate
}

// ageBlocked decays the load of a sleeping entity (__update_load_avg_blocked_se).
func (m *Machine) ageBlocked(se *entity, now uint64) {
	if se.avg.updateSum(now, 0, 0, false) {
		runnable := uint64(1)
		if m.prof.OldFair {
			runnable = m.runnableWeight(se)
		}
		se.avg.updateAvg(m.weightOf(se), runnable)
	}
}

// removeEntityLoad notes that a sleeping task goes to another CPU: its queue
// takes the load off at its next update (remove_entity_load_avg).
func (m *Machine) removeEntityLoad(id EntityID) {
	if !m.cfg.LoadTracking {
		return
	}
	se := &m.ents[id]
	q := m.queueOf(se)
	m.ageBlocked(se, q.avg.lastUpdate)
	q.removed.nr++
	q.removed.util += se.avg.util
	q.removed.load += se.avg.load
	if m.prof.OldFair {
		q.removed.runnable += se.avg.loadSum
		return
	}
	q.removed.runnable += se.avg.runnable
}

// initEntityLoad is what a new task starts with: full load
// (init_entity_runnable_average).
func (m *Machine) initEntityLoad(id EntityID) {
	se := &m.ents[id]
	se.avg = loadAvg{}
	if se.isTask() {
		se.avg.load = m.weightOf(se)
		if m.prof.OldFair {
			se.avg.runnable = se.avg.load
		}
	}
}

// firstUtil estimates a new task's utilization when it is first woken: the
// queue's for its weight, at most half of what is free
// (post_init_entity_util_avg).
func (m *Machine) firstUtil(t TaskID) {
	if !m.cfg.LoadTracking {
		return
	}
	se := &m.ents[m.tasks[t].se]
	q := m.queueOf(se)
	if m.tasks[t].class != ClassFair && !m.prof.OldFair {
		se.avg.lastUpdate = m.queuePelt(q)
		return
	}
	if limit := (capacityScale - int64(q.avg.util)) / 2; limit > 0 {
		se.avg.util = uint64(limit)
		if q.avg.util != 0 {
			w := se.load.weight
			if m.prof.DelayedDequeue {
				w = se.weight() // since Linux 6.10
			}
			se.avg.util = min(q.avg.util*w/(q.avg.load+1), uint64(limit))
		}
	}
	switch {
	case !m.prof.OldFair:
		se.avg.runnable = se.avg.util
	case m.tasks[t].class == ClassFair: // since 6.1 enqueueing does it
		m.attachEntity(m.tasks[t].se)
	default:
		se.avg.lastUpdate = m.queuePelt(q)
	}
}
