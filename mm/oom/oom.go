// Package oom is the kernel's choice of whom to kill when memory runs out
// (mm/oom_kill.c), and the text of its report.
//
// The rules, as kernels show them:
//
//   - A process's points are the pages it holds: resident, swapped out, and in
//     page tables; oom_score_adj adds that many thousandths of all pages there
//     are, the thousandth rounded down first. Points may be negative.
//   - oom_score_adj -1000, kernel threads and init are never chosen.
//   - The process with the most points is killed; of equals the one that comes
//     later.
//   - With oom_kill_allocating_task the one that asked for memory is killed
//     instead, if it may be; not when a cgroup's limit was hit.
//   - panic_on_oom 1 panics unless the shortage is of a cgroup, cpuset or memory
//     policy; 2 panics always. No process to kill is a panic too, unless a
//     cgroup's limit was hit.
//   - All pages are RAM and swap, or for a cgroup its limit (memory.max and
//     memory.swap.max).
//   - With memory.oom.group all of the victim's group are killed that may be.
package oom

import (
	"fmt"
	"math"
)

// Task is a row of the report's table of processes. Sizes are pages, but for
// page tables.
type Task struct {
	PID, UID, TGID int
	TotalVM        uint64
	RSS            uint64
	RSSAnon        uint64 // of RSS, in newer reports
	RSSFile        uint64
	RSSShmem       uint64
	PageTables     uint64 // bytes
	Swap           uint64
	Adj            int // oom_score_adj, -1000 to 1000
	Name           string
}

// Constraint says what is short of memory.
type Constraint uint8

// The constraints, named as the report names them.
const (
	ConstraintNone Constraint = iota
	ConstraintCpuset
	ConstraintMemoryPolicy
	ConstraintMemcg
)

var constraintNames = [...]string{"CONSTRAINT_NONE", "CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY", "CONSTRAINT_MEMCG"}

// String is the constraint's name in the report.
func (c Constraint) String() string {
	if int(c) < len(constraintNames) {
		return constraintNames[c]
	}
	return fmt.Sprintf("constraint %d", uint8(c))
}

// ConstraintByName finds a constraint by its name in the report.
func ConstraintByName(name string) (Constraint, bool) {
	for i, n := range constraintNames {
		if n == name {
			return Constraint(i), true
		}
	}
	return 0, false
}

// AdjMin is the oom_score_adj of processes that are never killed, AdjMax the
// greatest.
const (
	AdjMin = -1000
	AdjMax = 1000
)

// DefaultPageSize is used where a Shortage has none.
const DefaultPageSize = 4096

// Shortage is a moment at which memory ran out.
type Shortage struct {
	Constraint Constraint
	TotalPages uint64 // RAM and swap that there are, or the cgroup's limit
	PageSize   uint64 // bytes; 0: 4096
	Tasks      []Task // candidates, in the order of the report's table
	Asking     int    // pid (TGID) of the process that asked for memory
	// KillAllocating and PanicOnOOM are the sysctls oom_kill_allocating_task and
	// panic_on_oom.
	KillAllocating bool
	PanicOnOOM     int
	// SysRq says that the killer was asked for by hand: that never panics.
	SysRq bool
}

// Action is what the kernel does.
type Action uint8

// The actions.
const (
	Kill            Action = iota // the victim is killed
	PanicSysctl                   // panic_on_oom
	PanicDeadlocked               // nobody can be killed
	Nothing                       // nobody can be killed in a cgroup: the allocation fails
)

var actionNames = [...]string{"kill", "panic_on_oom", "deadlocked", "nothing"}

// String is the action's name.
func (a Action) String() string { return actionNames[min(int(a), len(actionNames)-1)] }

// Panic is the text of the panic, "" if the action is none.
func (a Action) Panic(p int) string {
	switch {
	case a == PanicSysctl && p == 2:
		return "Out of memory: compulsory panic_on_oom is enabled"
	case a == PanicSysctl:
		return "Out of memory: system-wide panic_on_oom is enabled"
	case a == PanicDeadlocked:
		return "System is deadlocked on memory"
	}
	return ""
}

// Verdict is the kernel's decision.
type Verdict struct {
	Action Action
	Victim int   // index in Tasks, -1 if none
	Points int64 // of the victim
	// Allocating says that the victim is the process that asked.
	Allocating bool
}

// Points are a process's badness (oom_badness); ok is false if it is never
// killed.
func (s *Shortage) Points(t *Task) (points int64, ok bool) {
	if t.Adj == AdjMin {
		return math.MinInt64, false
	}
	page := s.PageSize
	if page == 0 {
		page = DefaultPageSize
	}
	return int64(t.RSS+t.Swap+t.PageTables/page) + int64(t.Adj)*int64(s.TotalPages/1000), true
}

// Score is what /proc/PID/oom_score shows of a process; total are the machine's
// RAM and swap pages, whatever is short.
func (s *Shortage) Score(t *Task, total uint64) int64 {
	points, ok := s.Points(t)
	if !ok || total == 0 {
		return 0
	}
	return (1000 + points*1000/int64(total)) * 2 / 3
}

// Choose decides what the kernel does (out_of_memory).
func (s *Shortage) Choose() Verdict {
	if !s.SysRq && (s.PanicOnOOM == 2 || s.PanicOnOOM == 1 && s.Constraint == ConstraintNone) {
		return Verdict{Action: PanicSysctl, Victim: -1}
	}
	if s.KillAllocating && s.Constraint != ConstraintMemcg {
		for i := range s.Tasks {
			if points, ok := s.Points(&s.Tasks[i]); ok && s.Tasks[i].TGID == s.Asking {
				return Verdict{Victim: i, Points: points, Allocating: true}
			}
		}
	}
	v := Verdict{Victim: -1, Points: math.MinInt64}
	for i := range s.Tasks {
		if points, ok := s.Points(&s.Tasks[i]); ok && points >= v.Points {
			v.Victim, v.Points = i, points
		}
	}
	switch {
	case v.Victim >= 0:
	case s.Constraint == ConstraintMemcg || s.SysRq:
		v.Action = Nothing
	default:
		v.Action = PanicDeadlocked
	}
	return v
}

// Group lists who dies with a victim whose cgroup has memory.oom.group: all of
// the members that may be killed, in their order (oom_kill_memcg_member).
// Members are indices of Tasks.
func (s *Shortage) Group(members []int) []int {
	var out []int
	for _, i := range members {
		if i >= 0 && i < len(s.Tasks) && s.Tasks[i].Adj != AdjMin {
			out = append(out, i)
		}
	}
	return out
}
