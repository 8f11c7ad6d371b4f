package tasks

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// WritePS writes all tasks as "ps -eL -o pid,lwp,ppid,stat,comm" would show
// them; kernel threads are in brackets.
func (t *Table) WritePS(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%7s %7s %7s %-4s %s\n", "PID", "LWP", "PPID", "STAT", "COMMAND")
	t.Threads(func(x *Task) {
		name := x.Comm
		switch {
		case x.State == Zombie:
			name = "[" + name + "] <defunct>"
		case x.Kernel:
			name = "[" + name + "]"
		}
		fmt.Fprintf(&b, "%7d %7d %7d %-4s %s\n", x.TGID, x.PID, x.PPID, t.stat(x), name)
	})
	_, err := b.WriteTo(w)
	return err
}

// stat is ps's STAT column: the state, < or N for the nice value, l for a process
// with several threads.
func (t *Table) stat(x *Task) string {
	s := string(rune(x.State))
	switch {
	case x.Nice < 0:
		s += "<"
	case x.Nice > 0:
		s += "N"
	}
	if t.threads(x.TGID) > 1 {
		s += "l"
	}
	return s
}

// WriteStacks writes a row for each thread with the sizes of its stacks: in the
// kernel always, in user space unless it is a kernel thread (how far it may
// grow).
func (t *Table) WriteStacks(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%7s %7s  %-18s %12s %12s %8s\n", "TGID", "PID", "thread", "kernel stack", "user stack", "# threads")
	t.Threads(func(x *Task) {
		name, user, threads := x.Comm, "-", ""
		if x.Kernel {
			name = "[" + name + "]"
		} else {
			user = strconv.FormatUint(t.config.StackLimit>>10, 10) + " KiB"
		}
		if n := t.threads(x.TGID); x.PID == x.TGID && n > 1 {
			threads = strconv.Itoa(n)
		}
		fmt.Fprintf(&b, "%7d %7d  %-18s %8d KiB %12s %8s\n", x.TGID, x.PID, name, t.config.Arch.KernelStack()>>10, user, threads)
	})
	_, err := b.WriteTo(w)
	return err
}

// WriteStatus writes the lines of /proc/PID/status that the table knows. The
// error is an Error with ESRCH, or the writer's.
func (t *Table) WriteStatus(w io.Writer, pid int32) error {
	x := t.Task(pid)
	if x == nil {
		return &Error{"status", "ESRCH", fmt.Sprintf("no task %d", pid)}
	}
	_, err := fmt.Fprintf(w, "Name:\t%s\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\nUid:\t%d\t%d\t%d\t%d\nThreads:\t%d\n"+
		"voluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t%d\n",
		x.Comm, x.State, x.TGID, x.PID, x.PPID, x.UID, x.UID, x.UID, x.UID, t.threads(x.TGID), x.Voluntary, x.Involuntary)
	return err
}

// Flags of /proc/PID/stat's ninth field.
const (
	flagKthread     = 0x00200000 // PF_KTHREAD
	flagForkNoExec  = 0x00000040
	clockTicks      = 100 // USER_HZ
	exitSignalChild = 17  // SIGCHLD
)

// WriteStat writes /proc/PID/stat. Fields that the table does not know are 0;
// the time on a CPU is user time. The error is an Error with ESRCH, or the
// writer's.
func (t *Table) WriteStat(w io.Writer, pid int32) error {
	x := t.Task(pid)
	if x == nil {
		return &Error{"stat", "ESRCH", fmt.Sprintf("no task %d", pid)}
	}
	flags, signal := 0, exitSignalChild
	if x.Kernel {
		flags = flagKthread | flagForkNoExec
	}
	if x.PID != x.TGID {
		signal = -1
	}
	ticks := x.Run / (1_000_000_000 / clockTicks)
	// pid (comm) state ppid pgrp session tty tpgid flags, faults, times,
	// priority nice threads, start, sizes, addresses, signals, cpu, policy ...
	_, err := fmt.Fprintf(w, "%d (%s) %c %d 0 0 0 -1 %d 0 0 0 0 %d 0 0 0 %d %d %d 0 0 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 %d\n",
		x.PID, x.Comm, byte(x.State), x.PPID, flags, ticks, 20+x.Nice, x.Nice, t.threads(x.TGID), signal, x.ExitCode)
	return err
}
