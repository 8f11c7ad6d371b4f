package sched

// Estimated utilization (the feature UTIL_EST): load tracking forgets while a task
// sleeps, so a task also keeps what it used in its last activation, and a moving
// average that follows increases at once and decreases by a quarter. A CPU has the
// sum of its queued tasks'. Since 6.8 only the average is kept.

const (
	// utilUnchanged marks an estimate that nothing was added to since.
	utilUnchanged = 1 << 31
	// utilMargin is the difference that is no change: about 1%.
	utilMargin = fullCapacity / 100
)

// estimate is what a task is expected to use, in parts of 1024 (_task_util_est).
func (se *entity) estimate() uint32 { return max(se.estAverage, se.estLast) &^ utilUnchanged }

func (m *Machine) estimates() bool { return m.cfg.LoadTracking && m.feat(UtilEst) }

// UtilEst is a task's estimated utilization, in parts of 1024: in its last activation
// (0 from Linux 6.8 on) and the moving average. Those of an unknown task are 0.
func (m *Machine) UtilEst(t TaskID) (last, average uint32) {
	if !known(m.tasks, t) {
		return 0, 0
	}
	se := &m.ents[m.tasks[t].se]
	return se.estLast &^ utilUnchanged, se.estAverage &^ utilUnchanged
}

// estimateEnqueue adds a queued task's estimate to its CPU's (util_est_enqueue).
func (m *Machine) estimateEnqueue(rq *runQueue, t TaskID) {
	if m.estimates() {
		rq.estimate += m.ents[m.tasks[t].se].estimate()
	}
}

// estimateDequeue takes it off again (util_est_dequeue).
func (m *Machine) estimateDequeue(rq *runQueue, t TaskID) {
	if m.estimates() {
		rq.estimate -= min(rq.estimate, m.ents[m.tasks[t].se].estimate())
	}
}

// estimateChanged notes that an entity's averages have changed
// (cfs_se_util_change).
func (se *entity) estimateChanged() {
	se.estLast &^= utilUnchanged
	se.estAverage &^= utilUnchanged
}

// estimateUpdate makes a new estimate of a task that goes to sleep
// (util_est_update).
func (m *Machine) estimateUpdate(t TaskID) {
	if !m.estimates() {
		return
	}
	se := &m.ents[m.tasks[t].se]
	used := uint32(se.avg.util)
	if m.prof.DelayedDequeue {
		se.estimateAverage(used)
		return
	}
	last, average := se.estLast, se.estAverage
	if last&utilUnchanged != 0 {
		return
	}
	switch {
	case average < used:
		average = used
	case average-used < utilMargin:
		if d := int64(last) - int64(used); max(d, -d) < utilMargin {
			return
		}
	case used > fullCapacity:
		return
	default:
		average = (average<<2 - (average - used)) >> 2
	}
	se.estLast, se.estAverage = used|utilUnchanged, average
}

// estimateAverage is the same since 6.8.
func (se *entity) estimateAverage(used uint32) {
	average := se.estAverage
	if average&utilUnchanged != 0 {
		return
	}
	switch {
	case average <= used:
		average = used
	case average-used < utilMargin, uint64(used)+utilMargin < se.avg.runnable:
	case used > fullCapacity:
		return
	default:
		average = (average<<2 - (average - used)) >> 2
	}
	se.estAverage = average | utilUnchanged
}

// utilization is what a CPU's fair tasks use of it or are expected to, in parts of
// 1024 (cpu_util_cfs).
func (m *Machine) utilization(cpu CPU) uint64 {
	rq := &m.rqs[cpu]
	util := m.queues[rq.root].avg.util
	if m.feat(UtilEst) {
		util = max(util, uint64(rq.estimate))
	}
	return min(util, fullCapacity)
}

// taskUtilization is what a task uses or is expected to (task_util_est).
func (m *Machine) taskUtilization(t TaskID) uint64 {
	se := &m.ents[m.tasks[t].se]
	return max(se.avg.util, uint64(se.estimate()))
}
