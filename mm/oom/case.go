package oom

import (
	"slices"
	"strconv"
	"strings"
)

// Log is what earlier reports of a log tell about later ones.
type Log struct {
	// RAMPages and SwapPages are the machine's, from the last report that
	// told them.
	RAMPages, SwapPages int64
	// killed are the processes killed so far, sorted.
	killed []int32
}

// Control makes the OOM killer's input of a report: its figures about memory,
// its table, and the settings that the log shows to have been on. What the kernel
// decided is not used, except for settings that nothing else in the log tells:
// vm.oom_kill_allocating_task, vm.panic_on_oom, memory.oom.group, a memory
// policy and SysRq.
//
// A task that was killed before and is still in the table was reaped: otherwise
// the kernel would have waited for it.
func (g *Log) Control(r *Report) Control {
	page := r.pageSize()
	if r.Memory.HasRAM {
		g.RAMPages = r.Memory.RAMPages - r.Memory.ReservedPages
	}
	if r.Memory.HasSwap {
		g.SwapPages = r.Memory.SwapKB << 10 / page
	}
	c := Control{PageSize: page, RAMPages: g.RAMPages, SwapPages: g.SwapPages, Current: -1, FS: true,
		Tasks: slices.Clone(r.Tasks), KillAllocatingTask: len(r.Kills) > 0 && r.Kills[0].Message == msgAllocating}
	switch r.Panic {
	case panicSystem:
		c.PanicOnOOM = 1
	case panicAlways:
		c.PanicOnOOM = 2
	}
	if h := r.Header; h != nil {
		c.ThisNode = strings.Contains(h.GFPNames, "__GFP_THISNODE")
		c.SysRq = h.Order == -1
	}
	for i := range c.Tasks {
		t := &c.Tasks[i]
		if r.Header != nil && t.PID == r.Header.PID {
			c.Current = i
		}
		if _, dead := slices.BinarySearch(g.killed, t.PID); dead {
			t.Flags |= Victim | Reaped
		}
	}
	r.nodes(&c)
	r.cgroup(&c)
	return c
}

// Note remembers whom a report says to have been killed.
func (g *Log) Note(r *Report) {
	for i := range r.Kills {
		if at, known := slices.BinarySearch(g.killed, r.Kills[i].PID); !known {
			g.killed = slices.Insert(g.killed, at, r.Kills[i].PID)
		}
	}
}

// nodes notes the machine's nodes, and the request's if it was bound.
func (r *Report) nodes(c *Control) {
	s := r.Summary
	if s == nil || s.Constraint != "CONSTRAINT_CPUSET" && s.Constraint != "CONSTRAINT_MEMORY_POLICY" {
		return
	}
	for _, kb := range r.Memory.PresentKB {
		c.NodePresent = append(c.NodePresent, kb<<10/c.PageSize)
	}
	// The report shows only nodes that the request may use: there are others.
	c.NodePresent = append(c.NodePresent, 1)
	c.MemsAllowed = parseNodes(s.MemsAllowed)
	c.Nodemask = parseNodes(s.Nodemask)
}

// parseNodes reads a list such as "0-2,5".
func parseNodes(text string) uint64 {
	var mask uint64
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 6)
		b := a
		if isRange && err == nil {
			b, err = strconv.ParseUint(to, 10, 6)
		}
		if err != nil {
			return 0
		}
		for ; a <= b; a++ {
			mask |= 1 << a
		}
	}
	return mask
}

// cgroup notes the cgroup that was out of memory, and all tasks shown as its.
func (r *Report) cgroup(c *Control) {
	if r.Summary != nil {
		for i := range c.Tasks {
			c.Tasks[i].Memcg = r.Summary.OOMMemcg
			pid := c.Tasks[i].PID
			switch {
			case c.Tasks[i].Leader() == r.Summary.PID:
				c.Tasks[i].Memcg = r.Summary.TaskMemcg
			case r.Group != "" && r.dies(pid):
				// The table does not tell who is in which cgroup.
				c.Tasks[i].Memcg = r.Group
			}
			if slices.Contains(r.Gone, pid) {
				c.Tasks[i].Flags |= Gone
			}
			if r.leftSilently(pid) {
				c.Tasks[i].Flags |= Left
			}
		}
	}
	if !r.Memory.HasLimit {
		if r.Group != "" {
			c.Groups = append(c.Groups, Group{Path: r.Group, Max: NoLimit, SwapMax: NoLimit, OOMGroup: true})
			r.subgroups(c)
		}
		return
	}
	kb := c.PageSize >> 10
	g := Group{Path: "/", Max: min(r.Memory.LimitKB/kb, NoLimit), SwapMax: min(r.Memory.SwapLimitKB/kb, NoLimit)}
	if r.Memory.Memsw {
		g.SwapMax = max(g.SwapMax-g.Max, 0)
	}
	if r.Summary != nil {
		g.Path = r.Summary.OOMMemcg
	}
	c.Memcg = g.Path
	c.Groups = append(c.Groups, g)
	switch {
	case r.Group == "":
	case r.Group == g.Path:
		c.Groups[0].OOMGroup = true
	default:
		c.Groups = append(c.Groups, Group{Path: r.Group, Max: NoLimit, SwapMax: NoLimit, OOMGroup: true})
	}
}

// subgroups tells apart the cgroups below one that is killed whole, as far as
// the order shows them in which their tasks are killed: the table of a
// machine-wide shortage does not. A task that is killed before one which is
// earlier in the table is in an earlier cgroup. Only the victim's has a name.
func (r *Report) subgroups(c *Control) {
	var run []*Task
	runs := 0
	end := func() {
		if len(run) == 0 {
			return
		}
		path := r.Group
		if runs > 0 {
			path += "/" + strconv.Itoa(runs)
		}
		runs++
		for _, t := range run {
			if r.Summary != nil && t.Leader() == r.Summary.PID {
				path = t.Memcg
			}
		}
		for _, t := range run {
			t.Memcg = path
		}
		if path != r.Group {
			c.Groups = append(c.Groups, Group{Path: path, Max: NoLimit, SwapMax: NoLimit})
		}
		run = run[:0]
	}
	last := -1
	for _, pid := range r.Members {
		i := slices.IndexFunc(c.Tasks, func(t Task) bool { return t.PID == pid })
		if i < 0 {
			continue
		}
		if i < last {
			end()
		}
		run, last = append(run, &c.Tasks[i]), i
	}
	end()
}

// leftSilently: the process is the victim of a group that is killed whole, and
// the report does not name it again among the group's members.
func (r *Report) leftSilently(pid int32) bool {
	return r.Group != "" && len(r.Kills) > 0 && r.Kills[0].PID == pid && !slices.Contains(r.Members, pid)
}

// dies: the report names the process among those killed.
func (r *Report) dies(pid int32) bool {
	return slices.Contains(r.Gone, pid) || slices.ContainsFunc(r.Kills, func(k Kill) bool { return k.PID == pid })
}

// Profile is that of the kernel that wrote the report; where the report does not
// tell, what the table's columns tell.
func (r *Report) Profile() Profile {
	a, b := versionOf(r.Kernel)
	p := ProfileFor(a, b)
	if a == 0 {
		p = Linux6_1
	}
	if r.HasTable {
		p.SplitRSS = r.SplitRSS
	}
	return p
}

// Complete says whether the report tells all that its victim hangs on.
func (r *Report) Complete() bool {
	return r.Header != nil && r.HasTable && len(r.Tasks) > 0 && (r.Memory.HasRAM || r.Memory.HasLimit)
}

// AdoptKinds fills in how a killed task's resident pages divide, which older
// tables do not tell, from its kill line. It says whether the sum agrees.
func (t *Task) AdoptKinds(k *Kill, pageSize int64) bool {
	kb := pageSize >> 10
	same := t.RSS()*kb == k.Anon+k.File+k.Shmem
	if same {
		t.Anon, t.File, t.Shmem = k.Anon/kb, k.File/kb, k.Shmem/kb
	}
	return same
}
