package sched

// Utilization clamping (CONFIG_UCLAMP_TASK): tasks and groups ask that a CPU which
// runs them be taken as used at least or at most so much, which governors of its
// frequency follow. A CPU goes by the greatest clamps of its runnable tasks, told
// apart by a few buckets: a task may be boosted up to what another one of its bucket
// asked for. A CPU that becomes idle keeps its last upper clamp.
//
// Here the clamps change what [Machine.EffectiveUtil] and [Machine.Frequency] say,
// not how fast CPUs run: all have the same speed always. (In the kernel they also
// steer placement, where CPUs have different capacities.)

// clampID tells the lower clamp from the upper one.
type clampID int

const (
	clampMin clampID = iota
	clampMax
	clampIDs
)

// Limits of the number of buckets (CONFIG_UCLAMP_BUCKETS_COUNT).
const (
	minClampBuckets = 5
	maxClampBuckets = 20
)

// clamp is one that a task asked for, or that is in effect (uclamp_se).
type clamp struct {
	value  uint16 // parts of 1024
	bucket uint8
	active bool // counted on its CPU
	user   bool // asked for by the user, not a default
}

type clampBucket struct {
	value uint16 // greatest of its tasks since it was empty
	tasks uint32
}

// cpuClamps are a CPU's clamps (uclamp_rq).
type cpuClamps struct {
	value  [clampIDs]uint16
	bucket [clampIDs][maxClampBuckets]clampBucket
	idle   bool // the upper clamp is kept, as no task is runnable
}

type taskClamps struct{ asked, effective [clampIDs]clamp }

type groupClamps struct {
	asked, effective [clampIDs]uint16
	percent          [clampIDs]uint16 // as written, in hundredths of a percent
}

// clampState is all that clamping keeps.
type clampState struct {
	buckets   uint16
	delta     uint16 // values of a bucket
	limit     [clampIDs]uint16
	rtDefault uint16
	cpus      []cpuClamps
	tasks     []taskClamps
	groups    []groupClamps
}

// clampNone is no clamp.
func clampNone(id clampID) uint16 {
	if id == clampMin {
		return 0
	}
	return fullCapacity
}

// newClamps is init_uclamp.
func newClamps(cpus, buckets int) *clampState {
	c := &clampState{buckets: uint16(buckets), delta: uint16((fullCapacity + buckets/2) / buckets), rtDefault: fullCapacity, cpus: make([]cpuClamps, cpus)}
	c.limit = [clampIDs]uint16{fullCapacity, fullCapacity}
	for i := range c.cpus {
		c.cpus[i].value[clampMax], c.cpus[i].idle = fullCapacity, true
	}
	c.groups = []groupClamps{{asked: c.limit, effective: c.limit}}
	return c
}

// addTask begins to keep a task's clamps (uclamp_fork, uclamp_post_fork).
func (c *clampState) addTask(task *task) {
	var t taskClamps
	for id := range clampIDs {
		c.set(&t.asked[id], clampNone(id), false)
	}
	if task.policy.rt() {
		c.set(&t.asked[clampMin], c.rtDefault, false)
	}
	c.tasks = append(c.tasks, t)
}

// set is uclamp_se_set.
func (c *clampState) set(s *clamp, value uint16, user bool) {
	s.value, s.user = value, user
	s.bucket = uint8(min(value/c.delta, c.buckets-1))
}

// effective is the clamp that a task would have now: within its group's, below the
// system's (uclamp_eff_get).
func (c *clampState) effective(t TaskID, g GroupID, id clampID) clamp {
	s := c.tasks[t].asked[id]
	if g != RootGroup {
		e := &c.groups[g].effective
		c.set(&s, min(max(s.value, e[clampMin]), e[clampMax]), false)
	}
	if s.value > c.limit[id] {
		c.set(&s, c.limit[id], false)
	}
	return s
}

// clamps says that a class's tasks have clamps.
func (c Class) clamps() bool { return c == ClassFair || c == ClassRT }

// clampEnqueue counts a runnable task's clamps on its CPU (uclamp_rq_inc).
func (m *Machine) clampEnqueue(rq *runQueue, t TaskID) {
	if !m.tasks[t].class.clamps() || m.ents[m.tasks[t].se].delayed {
		return
	}
	for id := range clampIDs {
		m.clamps.enqueue(rq.cpu, t, m.tasks[t].group, id)
	}
	m.clamps.cpus[rq.cpu].idle = false
}

// enqueue is uclamp_rq_inc_id.
func (c *clampState) enqueue(cpu CPU, t TaskID, g GroupID, id clampID) {
	q, s := &c.cpus[cpu], &c.tasks[t].effective[id]
	*s = c.effective(t, g, id)
	s.active = true
	b := &q.bucket[id][s.bucket]
	b.tasks++
	if q.idle {
		q.value[id] = s.value
	}
	if b.tasks == 1 || s.value > b.value {
		b.value = s.value
	}
	q.value[id] = max(q.value[id], s.value)
}

// clampDequeue takes a task's clamps off its CPU (uclamp_rq_dec).
func (m *Machine) clampDequeue(rq *runQueue, t TaskID) {
	if !m.tasks[t].class.clamps() || m.ents[m.tasks[t].se].delayed {
		return
	}
	for id := range clampIDs {
		m.clamps.dequeue(rq.cpu, t, id)
	}
}

// dequeue is uclamp_rq_dec_id.
func (c *clampState) dequeue(cpu CPU, t TaskID, id clampID) {
	q, s := &c.cpus[cpu], &c.tasks[t].effective[id]
	if !s.active {
		return
	}
	s.active = false
	b := &q.bucket[id][s.bucket]
	if b.tasks--; b.tasks > 0 || b.value < q.value[id] {
		return
	}
	for i := int(c.buckets) - 1; i >= 0; i-- {
		if b := &q.bucket[id][i]; b.tasks > 0 {
			q.value[id] = b.value
			return
		}
	}
	if id == clampMin {
		q.value[id] = 0
		return
	}
	q.idle, q.value[id] = true, s.value
}

// clampAgain counts a runnable task anew, as its group's or the system's clamps have
// changed (uclamp_update_active).
func (m *Machine) clampAgain(t TaskID) {
	c, cpu := m.clamps, m.tasks[t].cpu
	for id := range clampIDs {
		if !c.tasks[t].effective[id].active {
			continue
		}
		c.dequeue(cpu, t, id)
		c.enqueue(cpu, t, m.tasks[t].group, id)
		if id == clampMax {
			c.cpus[cpu].idle = false
		}
	}
}

// updateGroupClamps works out what a group's clamps come to, and those of the groups
// below it (cpu_util_update_eff).
func (m *Machine) updateGroupClamps(g GroupID) {
	c := m.clamps
	s := &c.groups[g]
	eff := s.asked
	if up := m.groups[g].parent; up != NoGroup {
		for id := range clampIDs {
			eff[id] = min(eff[id], c.groups[up].effective[id])
		}
	}
	eff[clampMin] = min(eff[clampMin], eff[clampMax])
	if eff == s.effective {
		return
	}
	s.effective = eff
	for t := range m.tasks {
		if m.tasks[t].group == g {
			m.clampAgain(TaskID(t))
		}
	}
	for _, below := range m.groups[g].children {
		m.updateGroupClamps(below)
	}
}

// ClampFlags say which clamps an [Attr] sets.
type ClampFlags uint8

// The clamps of an Attr (SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX).
const (
	ClampMin ClampFlags = 1 << iota
	ClampMax
)

// checkClamps is uclamp_validate.
func (m *Machine) checkClamps(t TaskID, a *Attr) error {
	if a.Clamp == 0 {
		return nil
	}
	if m.clamps == nil {
		return &ConfigError{Field: "Clamp", Value: int64(a.Clamp), Want: "a machine with ClampBuckets (EOPNOTSUPP)"}
	}
	value := [clampIDs]int32{0, fullCapacity}
	if t != NoTask {
		for id := range clampIDs {
			value[id] = int32(m.clamps.tasks[t].asked[id].value)
		}
	}
	for id, v := range [clampIDs]int32{a.UtilMin, a.UtilMax} {
		if a.Clamp&(ClampMin<<id) == 0 {
			continue
		}
		if value[id] = v; v < -1 || v > fullCapacity {
			return &ConfigError{Field: [...]string{"UtilMin", "UtilMax"}[id], Value: int64(v), Want: "0 to 1024, or -1 for the default (EINVAL)"}
		}
	}
	if value[clampMin] != -1 && value[clampMax] != -1 && value[clampMin] > value[clampMax] {
		return &ConfigError{Field: "UtilMin", Value: int64(value[clampMin]), Want: "not above UtilMax (EINVAL)"}
	}
	return nil
}

// setClamps is __setscheduler_uclamp.
func (m *Machine) setClamps(t TaskID, a *Attr) {
	c := m.clamps
	if c == nil {
		return
	}
	for id, v := range [clampIDs]int32{a.UtilMin, a.UtilMax} {
		s, asked := &c.tasks[t].asked[id], a.Clamp&(ClampMin<<id) != 0
		switch {
		case asked && v != -1:
			c.set(s, uint16(v), true)
		case asked, a.Clamp == 0 && !s.user:
			value := clampNone(clampID(id))
			if clampID(id) == clampMin && a.Policy.rt() {
				value = c.rtDefault
			}
			c.set(s, value, false)
		}
	}
}

// SetClampLimits sets the system's greatest lower and upper clamps and the lower clamp
// that real-time tasks have if nobody set one, all in parts of 1024
// (sched_util_clamp_min, sched_util_clamp_max, sched_util_clamp_min_rt_default).
func (k Kernel) SetClampLimits(lower, upper, rtDefault int) error {
	c := k.m.clamps
	switch {
	case c == nil:
		return &ConfigError{Field: "ClampBuckets", Value: 0, Want: "a machine that clamps"}
	case lower < 0 || lower > upper || upper > fullCapacity:
		return &ConfigError{Field: "sched_util_clamp_min", Value: int64(lower), Want: "at most sched_util_clamp_max, and that at most 1024 (EINVAL)"}
	case rtDefault < 0 || rtDefault > fullCapacity:
		return &ConfigError{Field: "sched_util_clamp_min_rt_default", Value: int64(rtDefault), Want: "at most 1024 (EINVAL)"}
	}
	if limit := [clampIDs]uint16{uint16(lower), uint16(upper)}; limit != c.limit {
		c.limit, c.groups[RootGroup].asked = limit, limit
		k.m.updateGroupClamps(RootGroup)
	}
	if c.rtDefault == uint16(rtDefault) {
		return nil
	}
	c.rtDefault = uint16(rtDefault)
	for t := range k.m.tasks {
		if s := &c.tasks[t].asked[clampMin]; k.m.tasks[t].prio < maxRTPrio && !s.user {
			c.set(s, c.rtDefault, false)
		}
	}
	return nil
}

// Clamps gives a task's clamps in effect, in parts of 1024 (uclamp_eff_value); ok is
// false where there are none.
func (m *Machine) Clamps(t TaskID) (lower, upper int, ok bool) {
	if m.clamps == nil || !known(m.tasks, t) {
		return 0, 0, false
	}
	var out [clampIDs]int
	for id := range clampIDs {
		s := m.clamps.tasks[t].effective[id]
		if !s.active {
			s = m.clamps.effective(t, m.tasks[t].group, id)
		}
		out[id] = int(s.value)
	}
	return out[clampMin], out[clampMax], true
}

// EffectiveUtil is how much of a CPU is used as a governor sees it, in parts of 1024:
// by fair and real-time tasks, clamped, and what is reserved for deadline tasks
// (effective_cpu_util with FREQUENCY_UTIL). It needs load tracking, and counts no
// time of interrupts. An unknown CPU's is 0.
func (m *Machine) EffectiveUtil(cpu CPU) uint64 {
	if !known(m.rqs, cpu) {
		return 0
	}
	rq := &m.rqs[cpu]
	if m.clamps == nil && rq.rt.nrRunning > 0 {
		return fullCapacity
	}
	util := m.utilization(cpu) + rq.avgRT.util
	if m.clamps != nil {
		util = m.clamps.cpus[cpu].apply(util)
	}
	if util+rq.avgDL.util >= fullCapacity {
		return fullCapacity
	}
	return min(util+rq.dl.runningBW<<capacityShift>>bwShift, fullCapacity)
}

// apply is uclamp_rq_util_with.
func (q *cpuClamps) apply(util uint64) uint64 {
	lower, upper := uint64(q.value[clampMin]), uint64(q.value[clampMax])
	if lower >= upper {
		return lower
	}
	return min(max(util, lower), upper)
}

// Frequency is what the governor schedutil asks for a CPU whose greatest frequency is
// given, in its unit: a quarter more than what is used, without the driver's table of
// frequencies and the limit on how often it changes.
func (m *Machine) Frequency(cpu CPU, most uint64) uint64 {
	util := m.EffectiveUtil(cpu)
	return min(most*(util+util>>2)>>capacityShift, most)
}
