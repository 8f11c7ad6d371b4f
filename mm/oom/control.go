package oom

import "math"

// TaskFlags are a task's states that matter to the OOM killer.
type TaskFlags uint16

// Task states.
const (
	// Init is the machine's first process.
	Init TaskFlags = 1 << iota
	// KernelThread has no memory of its own.
	KernelThread
	// Victim was chosen before and has not gone yet (TIF_MEMDIE).
	Victim
	// Reaped: its address space was reaped or given up (MMF_OOM_SKIP).
	Reaped
	// VFork: it runs on its parent's address space.
	VFork
	// Exiting: it got SIGKILL or exits, and will free its memory.
	Exiting
	// Origin: it asked to be taken first (swapoff, KSM).
	Origin
	// NoMM: all its threads have given up their address space.
	NoMM
	// Gone: by the time its cgroup is killed it has given up its address
	// space.
	Gone
	// Left: by then it has exited altogether, and the kernel does not come by it.
	Left
	// Late: it was forked after the choice was made, before the report's table
	// was printed.
	Late
)

// Adj limits: the range of /proc/PID/oom_score_adj.
const (
	AdjMin = -1000
	AdjMax = 1000
)

// Task is a process, by its group leader, as the OOM killer sees it.
type Task struct {
	// PID and TGID are the thread's and the process's ids. They differ if
	// the leader has exited and another thread stands for it.
	PID, TGID int32
	UID       uint32
	// TotalVM is the size of the address space, in pages.
	TotalVM int64
	// Anon, File, Shmem are the resident pages; rss is their sum.
	Anon, File, Shmem int64
	// PgtablesBytes is the size of the page tables, in bytes.
	PgtablesBytes int64
	// Swapents are pages swapped out.
	Swapents int64
	// OOMScoreAdj is -1000 to 1000; -1000 exempts.
	OOMScoreAdj int16
	Comm        string
	// Memcg is the path of its memory cgroup, "/" or "" for the root.
	Memcg string
	// MM names the address space; tasks with the same MM share it. 0: its own.
	MM int32
	// Mems are the nodes of its cpuset and Policy those of a binding memory
	// policy, a bit each; 0: all.
	Mems, Policy uint64
	Flags        TaskFlags
}

// RSS is the number of resident pages (get_mm_rss).
func (t *Task) RSS() int64 { return t.Anon + t.File + t.Shmem }

// Leader is the process's id: TGID, or PID if that is not given. The kernel chooses
// processes, and names this id in the line "oom-kill:", also where the leader has
// exited and the table and the kill line have another thread's.
func (t *Task) Leader() int32 {
	if t.TGID != 0 {
		return t.TGID
	}
	return t.PID
}

// SameFigures says whether all sizes that a report's table has are the same for
// both tasks, as they are for tasks of one address space.
func (t *Task) SameFigures(o *Task) bool {
	return t.TotalVM == o.TotalVM && t.RSS() == o.RSS() && t.PgtablesBytes == o.PgtablesBytes && t.Swapents == o.Swapents && t.OOMScoreAdj == o.OOMScoreAdj
}

func (t *Task) has(f TaskFlags) bool { return t.Flags&f != 0 }

// Group is a memory cgroup, as far as the OOM killer asks it.
type Group struct {
	Path string
	// Max is memory.max and SwapMax memory.swap.max (cgroup v1: the memsw
	// limit less Max), in pages; [NoLimit] for max.
	Max, SwapMax int64
	// NoSwap: swappiness is 0, so that swap does not count.
	NoSwap bool
	// OOMGroup is memory.oom.group.
	OOMGroup bool
}

// NoLimit is the pages of an unlimited cgroup.
const NoLimit = int64(math.MaxInt64 / 4096)

// Control is one shortage: the machine, the request that could not be served,
// and the tasks. It is the kernel's struct oom_control and what it leads to.
type Control struct {
	// PageSize in bytes; 0 means 4096.
	PageSize int64
	// RAMPages are all nodes' managed pages (totalram_pages), SwapPages the
	// size of all swap.
	RAMPages, SwapPages int64
	// NodePresent are the nodes' present pages. Empty: one node, no NUMA.
	NodePresent []int64
	// Current indexes Tasks: who asked for memory; -1 for nobody among them.
	Current int
	// ThisNode and FS are the request's __GFP_THISNODE and __GFP_FS.
	ThisNode, FS bool
	// FromPageFault: the request's flags are not known (pagefault_out_of_memory).
	FromPageFault bool
	// Nodemask is the memory policy's for the request, 0 for none; MemsAllowed
	// the current task's cpuset, 0 for all nodes.
	Nodemask, MemsAllowed uint64
	// Memcg is the path of the cgroup that is out of memory; "": the machine.
	Memcg string
	// Groups are the memory cgroups in the kernel's order: each before those below
	// it, and these before its siblings. Members of one that is killed whole die in
	// this order.
	Groups []Group
	// SysRq: the shortage was asked for (SysRq-f).
	SysRq bool
	// PanicOnOOM is vm.panic_on_oom (0 to 2), KillAllocatingTask
	// vm.oom_kill_allocating_task.
	PanicOnOOM         int
	KillAllocatingTask bool
	Tasks              []Task
}

func (c *Control) pageSize() int64 {
	if c.PageSize == 0 {
		return 4096
	}
	return c.PageSize
}

// Profile is what kernel versions do differently.
type Profile struct {
	Name string
	// NeverBelowOne: points are at least 1, so that all tasks that a
	// negative adjustment would put below are equal.
	NeverBelowOne bool
	// SplitRSS: the report's table tells anonymous, file and shared memory.
	SplitRSS bool
}

// Profiles of kernel versions.
var (
	Linux4_19 = Profile{Name: "4.19", NeverBelowOne: true}
	Linux6_1  = Profile{Name: "6.1"}
	Linux6_12 = Profile{Name: "6.12", SplitRSS: true}
)

// ProfileFor gives the profile of a kernel release's first two numbers.
func ProfileFor(major, minor int) Profile {
	switch {
	case major < 5 || major == 5 && minor < 9:
		return Linux4_19
	case major < 6 || major == 6 && minor < 8:
		return Linux6_1
	}
	return Linux6_12
}
