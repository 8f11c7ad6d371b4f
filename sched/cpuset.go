package sched

import (
	"slices"
	"strconv"
)

// The cpuset controller of control groups version 2: which CPUs a group's tasks may
// use. A group's effective CPUs are those of its cpuset.cpus that its parent has, all
// of the parent's if that is empty or nothing is left. A task may use those of them
// that it asked for, or all if it asked for none of them. When a cpuset changes, up to
// Linux 6.1 what a task had asked for is forgotten.
//
// Left out are partitions (cpuset.cpus.partition): load is balanced over all CPUs, and
// tasks stay where they may run. Memory nodes are none of the scheduler's.

// cpuset is a group's.
type cpuset struct {
	cpus      CPUMask // cpuset.cpus, nil: empty
	effective CPUMask // nil: all
}

// SetCpuset writes a group's cpuset.cpus: a list as [ParseCPUList] reads it, empty for
// what the parent has (update_cpumask). Tasks that may not stay where they are go. It
// is refused with a [CgroupError] for an unknown group, the root and a list that is
// none, with ENOSPC if a group with tasks would lose its list.
func (s *Sim) SetCpuset(g GroupID, list string) error {
	const file = "cpuset.cpus"
	if _, err := s.k.group(file, g); err != nil {
		return err
	}
	m, err := ParseCPUList(list, len(s.cpus))
	if err != nil {
		errno := "EINVAL"
		if e, ok := err.(*CPUListError); ok {
			errno = e.Errno
		}
		return &CgroupError{File: file, Text: list, Errno: errno, Want: `CPUs below ` + strconv.Itoa(len(s.cpus)) + `, such as "0-3,5"`}
	}
	if !m.intersects(len(s.cpus)) {
		m = nil
	}
	s.growCpusets()
	if slices.Equal(m, s.cpusets[g].cpus) {
		return nil
	}
	if m == nil && s.populated(g) {
		return &CgroupError{File: file, Errno: "ENOSPC", Want: "a CPU for the group's tasks"}
	}
	s.cpusets[g].cpus, s.cpusetsUsed = m, true
	s.updateCpuset(g)
	s.settle()
	return s.failed
}

// growCpusets makes the cpusets of groups that are new.
func (s *Sim) growCpusets() {
	for g := len(s.cpusets); g < len(s.m.groups); g++ {
		c := cpuset{}
		if g > 0 {
			c.effective = s.cpusets[s.m.groups[g].parent].effective
		}
		s.cpusets = append(s.cpusets, c)
	}
}

// populated says that a group or one below it has a task.
func (s *Sim) populated(g GroupID) bool {
	for t := s.m.CPUs(); t < len(s.m.tasks); t++ {
		if s.tasks[t].exited {
			continue
		}
		for at := s.m.tasks[t].group; at != NoGroup; at = s.m.groups[at].parent {
			if at == g {
				return true
			}
		}
	}
	return false
}

// updateCpuset works out a group's effective CPUs and those of the groups below it,
// and lets tasks follow (update_cpumasks_hier).
func (s *Sim) updateCpuset(g GroupID) {
	c, up := &s.cpusets[g], s.cpusets[s.m.groups[g].parent].effective
	now := up
	if c.cpus != nil {
		if both := c.cpus.and(up); both.intersects(len(s.cpus)) {
			now = both
		}
	}
	if now.Count(len(s.cpus)) == len(s.cpus) {
		now = nil
	}
	if slices.Equal(now, c.effective) {
		return
	}
	c.effective = now
	for t := s.m.CPUs(); t < len(s.tasks); t++ {
		if s.m.tasks[t].group == g && !s.tasks[t].exited {
			s.followCpuset(TaskID(t))
		}
	}
	for _, below := range s.m.groups[g].children {
		s.updateCpuset(below)
	}
}

// and is the CPUs that are in both sets.
func (m CPUMask) and(o CPUMask) CPUMask {
	switch {
	case m == nil:
		return o
	case o == nil:
		return m
	}
	out := make(CPUMask, min(len(m), len(o)))
	for i := range out {
		out[i] = m[i] & o[i]
	}
	return out
}

// followCpuset gives a task the CPUs that its group's has for it, and lets it leave
// one that is none of them (set_cpus_allowed_ptr, on CPU 0 as it were).
func (s *Sim) followCpuset(t TaskID) {
	mask := s.cpusets[s.m.tasks[t].group].effective
	if s.m.prof.KeepsAffinity {
		if both := s.asked[t].and(mask); both.intersects(len(s.cpus)) {
			mask = both
		}
	} else {
		s.asked[t] = nil
	}
	s.tasks[t].cpus = mask
	cpu := s.m.tasks[t].cpu
	if mask.Has(cpu) || s.m.tasks[t].state == StateNew {
		return
	}
	switch {
	case s.m.rqs[cpu].curr == t:
		s.charge(cpu)
		if s.leave(cpu, t) {
			s.move(t, s.anyOf(0, mask), StateRunning)
			s.enqueueMoved(t)
			s.schedule(cpu, false)
			s.resume(cpu)
		}
	case s.m.ents[s.m.tasks[t].se].delayed: // it sleeps; waking it finds another CPU
		s.clock(cpu)
		s.fail(s.k.DequeueDelayed(s.m.tasks[t].se))
	case s.m.inClass(t):
		s.take(t, cpu, s.anyOf(0, mask))
	}
}

// anyOf is a CPU of a set, each time the next one, as seen from a CPU
// (cpumask_any_and_distribute).
func (s *Sim) anyOf(this CPU, mask CPUMask) CPU {
	c, _ := s.nextOf(this, [2]CPU{0, CPU(len(s.cpus))}, mask.Has)
	return c
}

// Cpuset is the text of a group's cpuset.cpus, without the end of the line.
func (s *Sim) Cpuset(g GroupID) string {
	if !known(s.cpusets, g) || s.cpusets[g].cpus == nil {
		return ""
	}
	return s.cpusets[g].cpus.String()
}

// CpusetEffective is the text of a group's cpuset.cpus.effective; that of an unknown
// group is empty.
func (s *Sim) CpusetEffective(g GroupID) string {
	if !known(s.m.groups, g) {
		return ""
	}
	s.growCpusets()
	if m := s.cpusets[g].effective; m != nil {
		return m.String()
	}
	all, _ := ParseCPUList("all", len(s.cpus))
	return all.String()
}

// Allowed is the CPUs that a task may use, nil for all and for an unknown task.
func (s *Sim) Allowed(t TaskID) CPUMask {
	if !s.has(t) {
		return nil
	}
	return slices.Clone(s.tasks[t].cpus)
}

// MoveTask moves a task to another group, of all controllers (cgroup_attach_task): its
// weight, its limits and its CPUs are that group's then.
func (s *Sim) MoveTask(t TaskID, g GroupID) error {
	if err := s.k.MoveTask(t, g); err != nil {
		return err
	}
	if s.m.tasks[t].state == StateNew { // not started: it begins there
		s.m.setTaskQueue(t, g, s.m.tasks[t].cpu)
	}
	if s.growCpusets(); s.cpusetsUsed {
		s.followCpuset(t)
	}
	s.settle()
	return s.failed
}

// within is what a task in a group may use of the CPUs that it asks for; ok is false
// if that is nothing.
func (s *Sim) within(g GroupID, asked CPUMask) (m CPUMask, ok bool) {
	if asked != nil && !asked.intersects(len(s.cpus)) {
		return nil, false
	}
	s.growCpusets()
	if m = asked.and(s.cpusets[g].effective); m == nil {
		return nil, true
	}
	return m, m.intersects(len(s.cpus))
}
