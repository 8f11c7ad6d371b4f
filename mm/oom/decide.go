package oom

import (
	"math"
	"slices"
	"strings"
)

// Constraint says which memory was out (enum oom_constraint).
type Constraint uint8

// Constraints.
const (
	ConstraintNone Constraint = iota
	ConstraintCpuset
	ConstraintMemoryPolicy
	ConstraintMemcg
)

var constraintNames = [...]string{"CONSTRAINT_NONE", "CONSTRAINT_CPUSET", "CONSTRAINT_MEMORY_POLICY", "CONSTRAINT_MEMCG"}

// String is the kernel's name, as in the report.
func (c Constraint) String() string { return constraintNames[c] }

// Action is what out_of_memory comes to.
type Action uint8

// Actions.
const (
	// ActionKill: Verdict.Victim is killed.
	ActionKill Action = iota
	// ActionPanic: the kernel stops with Verdict.Panic.
	ActionPanic
	// ActionWait: a victim is on its way out; nobody else is killed.
	ActionWait
	// ActionReserves: the current task exits anyway and gets reserves.
	ActionReserves
	// ActionFail: the request may not kill (no __GFP_FS) and fails or loops.
	ActionFail
	// ActionNobody: nobody can be killed, and the kernel lives on.
	ActionNobody
)

var actionNames = [...]string{"kill", "panic", "wait", "reserves", "fail", "nobody"}

// String is the action in one word.
func (a Action) String() string { return actionNames[a] }

// NotCandidate stands for the points of a task that may not be killed.
const NotCandidate = math.MinInt64

// Verdict is what the OOM killer does about a [Control].
type Verdict struct {
	Action     Action
	Constraint Constraint
	// TotalPages is what sizes are measured against.
	TotalPages int64
	// Points are the tasks' badness, [NotCandidate] for those that may not
	// be killed. It is empty if the kernel does not get as far.
	Points []int64
	// Victim indexes Control.Tasks; -1 for none.
	Victim int
	// Message is the first part of the kill line.
	Message string
	// Panic is the panic's text.
	Panic string
	// Shared are tasks killed silently because they share the victim's
	// address space.
	Shared []int
	// Group is the cgroup that is killed whole, or ""; Members its tasks
	// that are killed, in the order of the log, the victim too.
	Group   string
	Members []int
}

// Messages of kill lines.
const (
	msgGlobal     = "Out of memory"
	msgMemcg      = "Memory cgroup out of memory"
	msgAllocating = "Out of memory (oom_kill_allocating_task)"
	msgNobody     = "Out of memory and no killable processes..."
	panicDead     = "System is deadlocked on memory"
	panicSystem   = "Out of memory: system-wide panic_on_oom is enabled"
	panicAlways   = "Out of memory: compulsory panic_on_oom is enabled"
)

// Decide does what the kernel's out_of_memory does, up to the kill. points is
// reused for Verdict.Points if it is large enough.
func Decide(c *Control, p *Profile, points []int64) Verdict {
	v := Verdict{Victim: -1}
	cur := c.current()
	if cur != nil && cur.willFree(c) {
		v.Action, v.Victim = ActionReserves, c.Current
		return v
	}
	if !c.FS && !c.FromPageFault && c.Memcg == "" {
		v.Action = ActionFail
		return v
	}
	v.Constraint, v.TotalPages = c.constraint()
	if text := c.panics(v.Constraint); text != "" {
		v.Action, v.Panic = ActionPanic, text
		return v
	}
	v.Points = c.badness(p, v.TotalPages, v.Constraint, points)
	if c.Memcg == "" && c.KillAllocatingTask && c.allocatingTaskMayDie(v.Constraint) {
		v.Message = msgAllocating
		c.kill(&v, c.Current)
		return v
	}
	victim, abort := c.choose(p, v.Points, v.Constraint)
	switch {
	case abort:
		v.Action = ActionWait
	case victim >= 0:
		v.Message = msgGlobal
		if c.Memcg != "" {
			v.Message = msgMemcg
		}
		c.kill(&v, victim)
	case c.SysRq || c.Memcg != "":
		v.Action, v.Message = ActionNobody, msgNobody
	default:
		v.Action, v.Message, v.Panic = ActionPanic, msgNobody, panicDead
	}
	return v
}

func (c *Control) current() *Task {
	if c.Current < 0 || c.Current >= len(c.Tasks) {
		return nil
	}
	return &c.Tasks[c.Current]
}

// willFree mirrors task_will_free_mem: the task exits, and so does everybody
// who shares its memory.
func (t *Task) willFree(c *Control) bool {
	if !t.has(Exiting) || t.has(Reaped|NoMM) {
		return false
	}
	if t.MM == 0 {
		return true
	}
	for i := range c.Tasks {
		if o := &c.Tasks[i]; o.MM == t.MM && !o.has(Exiting) {
			return false
		}
	}
	return true
}

// constraint mirrors constrained_alloc.
func (c *Control) constraint() (Constraint, int64) {
	if c.Memcg != "" {
		return ConstraintMemcg, c.memcgPages()
	}
	all := c.RAMPages + c.SwapPages
	if c.ThisNode || len(c.NodePresent) == 0 {
		return ConstraintNone, all
	}
	if n := c.Nodemask; n != 0 && !c.coversMemory(n) {
		return ConstraintMemoryPolicy, c.SwapPages + c.present(n)
	}
	if n := c.MemsAllowed; n != 0 && !c.coversMemory(n) {
		return ConstraintCpuset, c.SwapPages + c.present(n)
	}
	return ConstraintNone, all
}

func (c *Control) coversMemory(nodes uint64) bool {
	for i, n := range c.NodePresent {
		if n > 0 && nodes>>i&1 == 0 {
			return false
		}
	}
	return true
}

func (c *Control) present(nodes uint64) int64 {
	var sum int64
	for i, n := range c.NodePresent {
		if nodes>>i&1 != 0 {
			sum += n
		}
	}
	return sum
}

// memcgPages mirrors mem_cgroup_get_max.
func (c *Control) memcgPages() int64 {
	for i := range c.Groups {
		g := &c.Groups[i]
		if g.Path != c.Memcg {
			continue
		}
		n := g.Max
		if !g.NoSwap {
			n += min(g.SwapMax, c.SwapPages)
		}
		return max(n, 1)
	}
	return 1
}

// panics mirrors check_panic_on_oom: the panic's text, or "".
func (c *Control) panics(k Constraint) string {
	switch {
	case c.PanicOnOOM == 0 || c.SysRq || c.PanicOnOOM != 2 && k != ConstraintNone:
		return ""
	case c.PanicOnOOM == 2:
		return panicAlways
	}
	return panicSystem
}

// badness gives every task's points (oom_badness), those that are out of the
// shortage's reach included as [NotCandidate].
func (c *Control) badness(p *Profile, total int64, k Constraint, points []int64) []int64 {
	if cap(points) < len(c.Tasks) {
		points = make([]int64, len(c.Tasks))
	}
	points = points[:len(c.Tasks)]
	page, unit := c.pageSize(), total/1000
	for i := range c.Tasks {
		t := &c.Tasks[i]
		points[i] = NotCandidate
		if t.OOMScoreAdj == AdjMin || t.has(Init|KernelThread|Reaped|VFork|NoMM|Late) || !c.eligible(t, k) {
			continue
		}
		points[i] = t.RSS() + t.Swapents + t.PgtablesBytes/page + int64(t.OOMScoreAdj)*unit
		if p.NeverBelowOne {
			points[i] = max(points[i], 1)
		}
	}
	return points
}

// eligible says whether killing the task can help: it is in the cgroup, or may
// have memory on the nodes (oom_cpuset_eligible).
func (c *Control) eligible(t *Task, k Constraint) bool {
	switch k {
	case ConstraintMemcg:
		return within(t.Memcg, c.Memcg)
	case ConstraintMemoryPolicy:
		return t.Policy == 0 || t.Policy&c.Nodemask != 0
	}
	return t.Mems == 0 || c.MemsAllowed == 0 || t.Mems&c.MemsAllowed != 0
}

// within says whether a cgroup is another or below it.
func within(path, top string) bool {
	if top == "/" || path == top {
		return true
	}
	rest, ok := strings.CutPrefix(path, top)
	return ok && strings.HasPrefix(rest, "/")
}

// choose mirrors select_bad_process: the index of the task with most points, -1
// for none. abort: a victim is dying already.
func (c *Control) choose(p *Profile, points []int64, k Constraint) (victim int, abort bool) {
	victim = -1
	best := int64(NotCandidate)
	for i := range c.Tasks {
		t := &c.Tasks[i]
		n := points[i]
		if t.Flags&(Victim|Origin) != 0 && !t.has(Init|KernelThread) && c.eligible(t, k) {
			switch {
			case t.has(Victim) && !c.SysRq && !t.has(Reaped):
				return -1, true
			case t.has(Victim) && !c.SysRq:
				continue
			case t.has(Origin):
				n = math.MaxInt64
			}
		}
		if n != NotCandidate && n >= best {
			victim, best = i, n
		}
	}
	return victim, false
}

// allocatingTaskMayDie: vm.oom_kill_allocating_task applies to the current task.
func (c *Control) allocatingTaskMayDie(k Constraint) bool {
	t := c.current()
	return t != nil && !t.has(Init|KernelThread|NoMM) && t.OOMScoreAdj != AdjMin && c.eligible(t, k)
}

// kill mirrors oom_kill_process.
func (c *Control) kill(v *Verdict, victim int) {
	v.Action, v.Victim = ActionKill, victim
	t := &c.Tasks[victim]
	if t.willFree(c) {
		v.Action = ActionReserves
		return
	}
	for i := range c.Tasks {
		o := &c.Tasks[i]
		if i != victim && t.MM != 0 && o.MM == t.MM && !o.has(Init|KernelThread) {
			v.Shared = append(v.Shared, i)
		}
	}
	if v.Group = c.oomGroup(t.Memcg); v.Group == "" {
		return
	}
	for i := range c.Tasks {
		o := &c.Tasks[i]
		if within(o.Memcg, v.Group) && o.OOMScoreAdj != AdjMin && !o.has(Init|NoMM|KernelThread|Left) {
			v.Members = append(v.Members, i)
		}
	}
	slices.SortStableFunc(v.Members, func(a, b int) int { return c.groupRank(c.Tasks[a].Memcg) - c.groupRank(c.Tasks[b].Memcg) })
}

// groupRank is the place of a cgroup in Control.Groups, or of the last one there
// that it is in; -1 for none.
func (c *Control) groupRank(path string) int {
	for i := len(c.Groups) - 1; i >= 0; i-- {
		if within(path, c.Groups[i].Path) {
			return i
		}
	}
	return -1
}

// oomGroup is the topmost cgroup with memory.oom.group between a task's and the
// one that is out of memory (mem_cgroup_get_oom_group).
func (c *Control) oomGroup(path string) string {
	if path == "" || path == "/" || c.Memcg != "" && !within(path, c.Memcg) {
		return ""
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		if g.OOMGroup && g.Path != "/" && within(path, g.Path) && (c.Memcg == "" || within(g.Path, c.Memcg)) {
			return g.Path
		}
	}
	return ""
}

// Score is what /proc/PID/oom_score shows for points against the machine's
// memory: 0 for [NotCandidate].
func Score(points, totalPages int64) int64 {
	if points == NotCandidate || totalPages <= 0 {
		return 0
	}
	return max((1000+points*1000/totalPages)*2/3, 0)
}
