package sched

import (
	"math"
	"strconv"
)

// The files of the cgroup v2 cpu controller, as calls. Each refuses what the
// kernel refuses, with the kernel's error number.

// CgroupError is a value that a cgroup file does not accept.
type CgroupError struct {
	File  string // "cpu.max"
	Value int64
	Text  string // what was written, where it is no number
	Errno string // "EINVAL", "ERANGE"
	Want  string
}

// Error names file, value and what is accepted.
func (e *CgroupError) Error() string {
	found := strconv.FormatInt(e.Value, 10)
	if e.Text != "" {
		found = strconv.Quote(e.Text)
	}
	return "sched: " + e.File + ": " + e.Errno + ": " + found + ", want " + e.Want
}

// NewGroup makes a cgroup below another, with cpu.weight 100 and no limit
// (sched_create_group, sched_online_group).
func (k Kernel) NewGroup(parent GroupID) (GroupID, error) {
	g, err := k.AddGroup(parent, nice0Load)
	if err != nil {
		return g, err
	}
	for _, q := range k.m.groups[g].queues {
		k.m.attachEntity(k.m.queues[q].entity)
	}
	return g, nil
}

func (k Kernel) group(file string, g GroupID) (*group, error) {
	if !known(k.m.groups, g) {
		return nil, &CgroupError{File: file, Value: int64(g), Errno: "ENOENT", Want: "a group of the machine"}
	}
	if g == RootGroup {
		return nil, &CgroupError{File: file, Value: int64(g), Errno: "EINVAL", Want: "a group other than the root"}
	}
	return &k.m.groups[g], nil
}

// SetWeight writes cpu.weight, 1 to 10000 (cpu_weight_write_u64).
func (k Kernel) SetWeight(g GroupID, weight int) error {
	grp, err := k.group("cpu.weight", g)
	switch {
	case err != nil:
		return err
	case weight < 1 || weight > 10000:
		return &CgroupError{File: "cpu.weight", Value: int64(weight), Errno: "ERANGE", Want: "1 to 10000"}
	case grp.idle:
		return &CgroupError{File: "cpu.weight", Value: int64(weight), Errno: "EINVAL", Want: "cpu.idle 0"}
	}
	k.m.setShares(g, uint64((weight*1024+50)/100)<<loadShift)
	return nil
}

// SetWeightNice writes cpu.weight.nice: the weight of a task with that nice
// value.
func (k Kernel) SetWeightNice(g GroupID, nice int) error {
	grp, err := k.group("cpu.weight.nice", g)
	switch {
	case err != nil:
		return err
	case nice < MinNice || nice > MaxNice:
		return &CgroupError{File: "cpu.weight.nice", Value: int64(nice), Errno: "ERANGE", Want: "-20 to 19"}
	case grp.idle:
		return &CgroupError{File: "cpu.weight.nice", Value: int64(nice), Errno: "EINVAL", Want: "cpu.idle 0"}
	}
	k.m.setShares(g, uint64(NiceWeight(nice))<<loadShift)
	return nil
}

// setShares gives a group another weight and lets the entities that stand for
// it, and those above, follow (__sched_group_set_shares).
func (m *Machine) setShares(g GroupID, shares uint64) {
	shares = min(max(shares, minShares<<loadShift), maxShares<<loadShift)
	if m.groups[g].shares == shares {
		return
	}
	m.groups[g].shares = shares
	for _, q := range m.groups[g].queues {
		for se := m.queues[q].entity; se >= 0; se = m.ents[se].parent {
			m.updateLoadAvg(m.queueOf(&m.ents[se]), se, updateTG)
			m.updateGroup(se)
		}
	}
}

// SetIdle writes cpu.idle: an idle group gets what no other wants
// (sched_group_set_idle).
func (k Kernel) SetIdle(g GroupID, idle bool) error {
	grp, err := k.group("cpu.idle", g)
	if err != nil || grp.idle == idle {
		return err
	}
	k.MarkIdle(g, idle)
	shares := uint64(nice0Load)
	if idle {
		shares = idleWeight << loadShift
	}
	k.m.setShares(g, shares)
	return nil
}

// MarkIdle makes a group an idle one, or no longer, without giving it the weight
// of such a one: what [Kernel.SetIdle] does first.
func (k Kernel) MarkIdle(g GroupID, idle bool) {
	grp := &k.m.groups[g]
	if grp.idle == idle || g == RootGroup {
		return
	}
	grp.idle = idle
	for _, q := range grp.queues {
		k.m.setQueueIdle(&k.m.queues[q], idle)
	}
}

// setQueueIdle counts a group's entity and tasks as idle ones in the queues
// above, or no longer.
func (m *Machine) setQueueIdle(q *cfsQueue, idle bool) {
	q.idle = idle
	sign := uint32(1)
	if !idle {
		sign = math.MaxUint32
	}
	if se := &m.ents[q.entity]; se.onRQ {
		m.queueOf(se).idleNrRunning += sign
	}
	n := sign * (q.hNrQueued - q.idleHNrRunning)
	for se := q.entity; se >= 0 && m.ents[se].onRQ; se = m.ents[se].parent {
		above := m.queueOf(&m.ents[se])
		above.idleHNrRunning += n
		if above.idle {
			return
		}
	}
}

// Limits of cpu.max, in ns.
const (
	minQuota  = 1 * msec
	maxPeriod = 1 * sec
	// A quota has to be a bandwidth of 64 bits, of which 20 are binary places.
	maxQuota = (1<<44 - 1) * usec
)

// SetMax writes cpu.max and cpu.max.burst, in us: the group may use quota in
// each period, and save up to burst. quota < 0 is "max"
// (tg_set_cfs_bandwidth).
func (k Kernel) SetMax(g GroupID, quota, period, burst int64) error {
	if _, err := k.group("cpu.max", g); err != nil {
		return err
	}
	// As in the kernel, what overflows in ns is taken for what is left of it.
	quotaNS, periodNS, burstNS := uint64(quota)*usec, uint64(period)*usec, uint64(burst)*usec
	switch {
	case periodNS < minQuota || periodNS > maxPeriod:
		return &CgroupError{File: "cpu.max", Value: period, Errno: "EINVAL", Want: "a period of 1000 to 1000000 us"}
	case quota >= 0 && (quotaNS < minQuota || quotaNS > maxQuota):
		return &CgroupError{File: "cpu.max", Value: quota, Errno: "EINVAL", Want: "a quota of 1000 to 17592186044415 us"}
	case burst < 0 || burst > math.MaxUint64/usec, quota >= 0 && (burstNS > quotaNS || burstNS+quotaNS > maxQuota):
		return &CgroupError{File: "cpu.max.burst", Value: burst, Errno: "EINVAL", Want: "0 to the quota, and both together at most 17592186044415 us"}
	}
	m, b := k.m, &k.m.groups[g].bw
	b.quota, b.period, b.burst = RuntimeInf, periodNS, burstNS
	if quota >= 0 {
		b.quota = quotaNS
	}
	b.refill()
	if b.quota != RuntimeInf && !b.active {
		b.active = true
		m.want(timerPool, int32(g))
	}
	for _, id := range m.groups[g].queues {
		q := &m.queues[id]
		q.runtimeEnabled, q.runtimeRemaining = b.quota != RuntimeInf, 0
		if q.throttled {
			m.unthrottle(q)
		}
	}
	return nil
}

// CPUStat is what cpu.stat tells of a group. Times are ns.
type CPUStat struct {
	Usage              uint64 // of the group's tasks and those below
	Periods, Throttled uint64
	ThrottledTime      uint64
	Bursts, BurstTime  uint64
}

// Stat gives the figures of a group's cpu.stat; an unknown group's are 0.
func (m *Machine) Stat(g GroupID) CPUStat {
	if !known(m.groups, g) {
		return CPUStat{}
	}
	grp := &m.groups[g]
	s := CPUStat{Periods: grp.bw.nrPeriods, Throttled: grp.bw.nrThrottled, ThrottledTime: grp.bw.throttledTime, Bursts: grp.bw.nrBurst,
		BurstTime: grp.bw.burstTime}
	for i := range m.tasks {
		if t := &m.tasks[i]; t.class != ClassIdle && m.below(t.group, g) {
			s.Usage += m.ents[t.se].sumExec
		}
	}
	return s
}

// below says that a group is another one or lies below it.
func (m *Machine) below(g, top GroupID) bool {
	for ; g >= 0; g = m.groups[g].parent {
		if g == top {
			return true
		}
	}
	return false
}

// Text is the text of cpu.stat. A simulation does not know user time from
// system time: all is user time.
func (s CPUStat) Text() string {
	line := func(name string, v uint64) string { return name + " " + strconv.FormatUint(v, 10) + "\n" }
	return line("usage_usec", s.Usage/usec) + line("user_usec", s.Usage/usec) + line("system_usec", 0) +
		line("nr_periods", s.Periods) + line("nr_throttled", s.Throttled) + line("throttled_usec", s.ThrottledTime/usec) +
		line("nr_bursts", s.Bursts) + line("burst_usec", s.BurstTime/usec)
}
