// Package tasks is the kernel's table of tasks, as chapter 6 of Linux Kernel
// Programming walks through it: processes and threads, kernel threads, parents,
// states, stacks; fork, clone, exec, exit and wait.
//
// It mirrors kernel/fork.c (copy_process), kernel/exit.c, kernel/pid.c and
// fs/proc/array.c.
//
// # Rules
//
//   - Every thread is a task with a PID of its own. Threads of a process share
//     the TGID, which is the PID of the first one, the leader; to user space the
//     TGID is the process's ID and the PID the thread's.
//   - PIDs are given in ascending order behind the last one. Beyond pid_max - 1
//     the search begins again at 300.
//   - PID 0 is the idle task of the first CPU, in no list. PID 1 is the first
//     user process; PID 2, kthreadd, is the parent of all other kernel threads.
//   - clone needs CLONE_SIGHAND for CLONE_THREAD, and CLONE_VM for CLONE_SIGHAND.
//   - A user thread has two stacks: one in user space, that grows up to its limit,
//     and one of fixed size in the kernel. A kernel thread has only that.
//   - A process that exits is a zombie until its parent waits for it; a leader also
//     waits for its threads. Threads and kernel threads are gone at once. Children
//     of a process that exits go to its nearest subreaper, or to PID 1; PID 1
//     waits for its zombies by itself.
//
// Left out: PID namespaces, process groups and sessions, ptrace, signals.
package tasks

import (
	"fmt"
	"slices"
)

// Arch is an architecture, as far as stacks go.
type Arch uint8

// Architectures.
const (
	X86_64 Arch = iota
	ARM64
	ARM // 32 bits
	X86_32
)

// KernelStack is THREAD_SIZE: the size of a kernel stack in bytes with 4 KiB pages.
func (a Arch) KernelStack() int {
	if a == ARM || a == X86_32 {
		return 8 << 10
	}
	return 16 << 10
}

// Config is a machine's.
type Config struct {
	Arch Arch
	// PIDMax is kernel.pid_max; 0 means 32768. ThreadsMax is
	// kernel.threads-max; 0 means PIDMax.
	PIDMax, ThreadsMax int
	// StackLimit is RLIMIT_STACK in bytes, how far a user stack may grow; 0
	// means 8 MiB.
	StackLimit uint64
}

// CloneFlags are flags of clone(2).
type CloneFlags uint64

// Flags that matter here.
const (
	CloneVM      CloneFlags = 0x100
	CloneFS      CloneFlags = 0x200
	CloneFiles   CloneFlags = 0x400
	CloneSighand CloneFlags = 0x800
	CloneVfork   CloneFlags = 0x4000
	CloneParent  CloneFlags = 0x8000
	CloneThread  CloneFlags = 0x10000

	// Thread is what pthread_create asks for, of these.
	Thread = CloneVM | CloneFS | CloneFiles | CloneSighand | CloneThread
)

// State is a task's state by its letter in ps and /proc.
type State byte

// States.
const (
	Running  State = 'R' // or runnable
	Sleeping State = 'S' // interruptible
	Blocked  State = 'D' // uninterruptible
	Idle     State = 'I' // an idle kernel thread: uninterruptible, but no load
	Stopped  State = 'T'
	Zombie   State = 'Z'
	Dead     State = 'X'
)

// String is the text of /proc/PID/status: "S (sleeping)".
func (s State) String() string {
	name := map[State]string{Running: "running", Sleeping: "sleeping", Blocked: "disk sleep", Idle: "idle", Stopped: "stopped", Zombie: "zombie", Dead: "dead"}[s]
	return fmt.Sprintf("%c (%s)", byte(s), name)
}

// Task is a task, struct task_struct.
type Task struct {
	PID, TGID, PPID int32
	// Comm is at most 15 bytes.
	Comm  string
	State State
	// Kernel: a kernel thread (PF_KTHREAD): it has no address space.
	Kernel    bool
	Subreaper bool
	UID       uint32
	// VM names the address space: tasks with the same VM share it. 0: none.
	VM int32
	// ExitCode is what wait reports of a zombie.
	ExitCode int
	// Nice is -20 to 19.
	Nice int
	// Voluntary and Involuntary context switches, and time on a CPU in ns.
	Voluntary, Involuntary, Run uint64
}

// Table is the table of a machine's tasks.
type Table struct {
	config Config
	tasks  []Task // by PID, ascending
	last   int32
	vms    int32
}

// Error is a call that the kernel refuses; nothing changed.
type Error struct {
	Call  string
	Errno string
	Why   string
}

// Error names call, errno and reason.
func (e *Error) Error() string { return "tasks: " + e.Call + ": " + e.Errno + ": " + e.Why }

const (
	reservedPIDs = 300
	maxComm      = 15
	maxPIDMax    = 4 << 20 // PID_MAX_LIMIT with 64 bits
	initPID      = 1
	kthreadPID   = 2
)

// New boots a machine: PID 1 is a user process with a name, PID 2 is kthreadd.
// The error is an Error with EINVAL.
func New(c Config, init string) (*Table, error) {
	if c.PIDMax == 0 {
		c.PIDMax = 32768
	}
	if c.ThreadsMax == 0 {
		c.ThreadsMax = c.PIDMax
	}
	if c.StackLimit == 0 {
		c.StackLimit = 8 << 20
	}
	if c.PIDMax <= reservedPIDs || c.PIDMax > maxPIDMax || c.ThreadsMax < 3 || c.Arch > X86_32 {
		return nil, &Error{"boot", "EINVAL", fmt.Sprintf("pid_max %d is not 301 to %d, threads-max %d below 3, or no such architecture", c.PIDMax, maxPIDMax, c.ThreadsMax)}
	}
	t := &Table{config: c, last: kthreadPID, vms: 1}
	t.tasks = []Task{
		{PID: initPID, TGID: initPID, Comm: comm(init), State: Sleeping, VM: 1},
		{PID: kthreadPID, TGID: kthreadPID, Comm: "kthreadd", State: Sleeping, Kernel: true},
	}
	return t, nil
}

func comm(s string) string { return s[:min(len(s), maxComm)] }

// Config is the machine's, with what was left to the kernel filled in.
func (t *Table) Config() Config { return t.config }

func (t *Table) index(pid int32) (int, bool) {
	return slices.BinarySearchFunc(t.tasks, pid, func(x Task, pid int32) int { return int(x.PID) - int(pid) })
}

// Task gives a task to look at and to change its figures; nil if there is none.
// It is valid until a task begins or ends.
func (t *Table) Task(pid int32) *Task {
	if i, ok := t.index(pid); ok {
		return &t.tasks[i]
	}
	return nil
}

// find is Task for a call that needs one that is alive.
func (t *Table) find(call string, pid int32) (*Task, error) {
	x := t.Task(pid)
	if x == nil || x.State == Zombie {
		return nil, &Error{call, "ESRCH", fmt.Sprintf("no task %d", pid)}
	}
	return x, nil
}

// nextPID gives the next free PID (idr_alloc_cyclic).
func (t *Table) nextPID(call string) (int32, error) {
	if len(t.tasks) >= t.config.ThreadsMax {
		return 0, &Error{call, "EAGAIN", fmt.Sprintf("%d tasks are threads-max", len(t.tasks))}
	}
	for _, from := range [...]int32{t.last + 1, reservedPIDs} {
		i, _ := t.index(from)
		for pid := from; pid < int32(t.config.PIDMax); pid++ {
			if i >= len(t.tasks) || t.tasks[i].PID != pid {
				t.last = pid
				return pid, nil
			}
			i++
		}
	}
	return 0, &Error{call, "EAGAIN", "no PID is free"}
}

func (t *Table) add(x Task) int32 {
	i, _ := t.index(x.PID)
	t.tasks = slices.Insert(t.tasks, i, x)
	return x.PID
}

// Clone makes a task like another: a thread of its process, or a process (fork:
// no flags).
func (t *Table) Clone(pid int32, flags CloneFlags) (int32, error) {
	p, err := t.find("clone", pid)
	if err != nil {
		return 0, err
	}
	switch {
	case p.Kernel:
		return 0, &Error{"clone", "EINVAL", "kernel threads are made by kthreadd"}
	case flags&CloneThread != 0 && flags&CloneSighand == 0:
		return 0, &Error{"clone", "EINVAL", "CLONE_THREAD needs CLONE_SIGHAND"}
	case flags&CloneSighand != 0 && flags&CloneVM == 0:
		return 0, &Error{"clone", "EINVAL", "CLONE_SIGHAND needs CLONE_VM"}
	case flags&CloneParent != 0 && p.TGID == initPID:
		return 0, &Error{"clone", "EINVAL", "init has no parent for CLONE_PARENT"}
	}
	x := *p
	x.Voluntary, x.Involuntary, x.Run, x.Subreaper, x.State = 0, 0, 0, false, Running
	if x.PID, err = t.nextPID("clone"); err != nil {
		return 0, err
	}
	if flags&CloneThread == 0 {
		x.TGID = x.PID
		if flags&CloneParent == 0 {
			x.PPID = p.TGID
		}
	}
	if flags&CloneVM == 0 {
		t.vms++
		x.VM = t.vms
	}
	return t.add(x), nil
}

// Fork makes a child process.
func (t *Table) Fork(pid int32) (int32, error) { return t.Clone(pid, 0) }

// NewThread makes a thread of a process.
func (t *Table) NewThread(pid int32) (int32, error) { return t.Clone(pid, Thread) }

// KernelThread makes a kernel thread, a child of kthreadd (kthread_create). It
// sleeps until it is woken.
func (t *Table) KernelThread(name string) (int32, error) {
	pid, err := t.nextPID("kthread_create")
	if err != nil {
		return 0, err
	}
	return t.add(Task{PID: pid, TGID: pid, PPID: kthreadPID, Comm: comm(name), State: Blocked, Kernel: true}), nil
}

// Exec gives a process another program: a new address space and a new name; its
// other threads are gone.
func (t *Table) Exec(pid int32, name string) error {
	p, err := t.find("execve", pid)
	if err != nil {
		return err
	}
	if p.Kernel {
		return &Error{"execve", "EINVAL", "a kernel thread"}
	}
	// Whichever thread called, it is the leader from now on.
	caller, tgid := *p, p.TGID
	caller.PID, caller.PPID = tgid, t.Task(tgid).PPID
	t.vms++
	caller.Comm, caller.VM = comm(name), t.vms
	t.tasks = slices.DeleteFunc(t.tasks, func(x Task) bool { return x.TGID == tgid && x.PID != tgid })
	*t.Task(tgid) = caller
	return nil
}

// Exit ends a task. A process is a zombie then until its parent waits for it,
// if its last thread is gone.
func (t *Table) Exit(pid int32, code int) error {
	p, err := t.find("exit", pid)
	switch {
	case err != nil:
		return err
	case p.TGID == initPID && t.threads(initPID) == 1:
		return &Error{"exit", "panic", "Attempted to kill init!"}
	case pid == kthreadPID:
		return &Error{"exit", "EINVAL", "kthreadd does not exit"}
	}
	if p.Kernel || p.PID != p.TGID {
		tgid := p.TGID
		t.remove(pid)
		if leader := t.Task(tgid); leader != nil && leader.State == Zombie && t.threads(tgid) == 1 {
			t.reapIfInit(tgid)
		}
		return nil
	}
	p.State, p.ExitCode = Zombie, code
	t.orphans(pid)
	t.reapIfInit(pid)
	return nil
}

// ExitGroup ends a whole process (exit_group).
func (t *Table) ExitGroup(pid int32, code int) error {
	p, err := t.find("exit_group", pid)
	if err != nil {
		return err
	}
	tgid := p.TGID
	if tgid == initPID {
		return &Error{"exit_group", "panic", "Attempted to kill init!"}
	}
	if p.Kernel {
		return t.Exit(pid, code)
	}
	t.tasks = slices.DeleteFunc(t.tasks, func(x Task) bool { return x.TGID == tgid && x.PID != tgid })
	if leader := t.Task(tgid); leader.State != Zombie {
		return t.Exit(tgid, code)
	}
	t.reapIfInit(tgid)
	return nil
}

func (t *Table) remove(pid int32) {
	if i, ok := t.index(pid); ok {
		t.tasks = slices.Delete(t.tasks, i, i+1)
	}
}

// threads counts a process's tasks.
func (t *Table) threads(tgid int32) int {
	n := 0
	for i := range t.tasks {
		if t.tasks[i].TGID == tgid {
			n++
		}
	}
	return n
}

// orphans gives a process's children to its nearest subreaper or to init.
func (t *Table) orphans(tgid int32) {
	to := int32(initPID)
	for p := t.Task(t.Task(tgid).PPID); p != nil && p.PID != initPID; p = t.Task(p.PPID) {
		if p.Subreaper && p.State != Zombie {
			to = p.PID
			break
		}
	}
	var dead []int32
	for i := range t.tasks {
		if x := &t.tasks[i]; x.PPID == tgid && x.TGID != tgid {
			x.PPID = to
			if x.State == Zombie && to == initPID {
				dead = append(dead, x.PID)
			}
		}
	}
	for _, pid := range dead {
		t.reapIfInit(pid)
	}
}

// reapIfInit removes a zombie without threads whose parent is init, which waits
// all the time.
func (t *Table) reapIfInit(pid int32) {
	if p := t.Task(pid); p.PPID == initPID && t.threads(pid) == 1 {
		t.remove(pid)
	}
}

// Wait removes a process's child that is a zombie without threads, the one with
// the lowest PID, and gives its PID and exit code. The error is an Error with
// ECHILD if there is no child at all, EAGAIN if all of them live (WNOHANG).
func (t *Table) Wait(pid int32) (child int32, code int, err error) {
	p, err := t.find("wait", pid)
	if err != nil {
		return 0, 0, err
	}
	any := false
	for i := range t.tasks {
		x := &t.tasks[i]
		if x.PPID != p.TGID || x.PID != x.TGID {
			continue
		}
		any = true
		if x.State == Zombie && t.threads(x.PID) == 1 {
			child, code = x.PID, x.ExitCode
			t.remove(child)
			return child, code, nil
		}
	}
	if !any {
		return 0, 0, &Error{"wait", "ECHILD", fmt.Sprintf("task %d has no child", pid)}
	}
	return 0, 0, &Error{"wait", "EAGAIN", "no child has ended"}
}

// Processes calls f with every process's leader, as for_each_process does: all
// but the idle task, in the order in which they were made.
func (t *Table) Processes(f func(*Task)) {
	for i := range t.tasks {
		if x := &t.tasks[i]; x.PID == x.TGID {
			f(x)
		}
	}
}

// Threads calls f with every thread of every process, as do_each_thread does.
func (t *Table) Threads(f func(*Task)) {
	for i := range t.tasks {
		leader := &t.tasks[i]
		if leader.PID != leader.TGID {
			continue
		}
		f(leader)
		for k := i + 1; k < len(t.tasks); k++ {
			if t.tasks[k].TGID == leader.TGID {
				f(&t.tasks[k])
			}
		}
	}
}

// Count says how many processes, threads (tasks) and kernel threads there are.
func (t *Table) Count() (processes, threads, kernel int) {
	for i := range t.tasks {
		threads++
		switch x := &t.tasks[i]; {
		case x.Kernel:
			kernel++
			processes++
		case x.PID == x.TGID:
			processes++
		}
	}
	return processes, threads, kernel
}

// KernelStacks is how many bytes all kernel stacks take (KernelStack in
// /proc/meminfo, there in kB): one for each task, zombies too until they are
// waited for.
func (t *Table) KernelStacks() uint64 {
	return uint64(len(t.tasks)) * uint64(t.config.Arch.KernelStack())
}

// Check proves the invariants: ascending PIDs, a leader for each thread, a
// living parent for each process, one address space for all threads.
func (t *Table) Check() error {
	bad := func(x *Task, what string) error {
		return &Error{"check", "BUG", fmt.Sprintf("task %d: %s", x.PID, what)}
	}
	for i := range t.tasks {
		x := &t.tasks[i]
		if i > 0 && t.tasks[i-1].PID >= x.PID {
			return bad(x, "PIDs are out of order")
		}
		leader := t.Task(x.TGID)
		if leader == nil || leader.PID != leader.TGID || leader.VM != x.VM && leader.State != Zombie || leader.PPID != x.PPID {
			return bad(x, "its leader is another's")
		}
		if x.Kernel != (x.VM == 0) {
			return bad(x, "address space of a kernel thread")
		}
		if x.PPID == 0 {
			if x.TGID > kthreadPID {
				return bad(x, "no parent")
			}
			continue
		}
		if p := t.Task(x.PPID); p == nil || p.Kernel != x.Kernel || p.PID != p.TGID {
			return bad(x, "its parent is none")
		}
	}
	return nil
}
