package lock

import "fmt"

// Watchdog finds tasks that have been blocked for too long, as khungtaskd does
// (kernel/hung_task.c).
type Watchdog struct {
	// Timeout is hung_task_timeout_secs, HZ jiffies a second.
	Timeout, HZ int64
	// Warnings is how many more are printed; -1 for any number.
	Warnings int
	seen     []watched
}

// watched is what the last scan saw of a task.
type watched struct {
	switches uint64
	since    int64
}

// WatchedTask is a task's state at a scan.
type WatchedTask struct {
	Task TaskID
	// Switches is how often it has been switched away from.
	Switches uint64
	// Uninterruptible: its state is D. Killable waits and idle kernel threads are not
	// looked at.
	Uninterruptible, Killable bool
}

// Hung is a task that the watchdog reports, with for how long it has been blocked.
type Hung struct {
	Task    TaskID
	Seconds int64
}

// Scan looks at all tasks at a time in jiffies and returns those that have not been
// switched to for the whole timeout. A task is seen to have been switched only at the
// next scan, so that it is reported after up to twice the timeout.
func (w *Watchdog) Scan(now int64, tasks []WatchedTask) []Hung {
	var out []Hung
	for _, t := range tasks {
		if t.Task < 0 || !t.Uninterruptible || t.Killable || t.Switches == 0 {
			continue
		}
		for int(t.Task) >= len(w.seen) {
			w.seen = append(w.seen, watched{})
		}
		s := &w.seen[t.Task]
		if t.Switches != s.switches {
			*s = watched{t.Switches, now}
			continue
		}
		if s.since+w.Timeout*w.HZ > now || w.Warnings == 0 {
			continue
		}
		if w.Warnings > 0 {
			w.Warnings--
		}
		out = append(out, Hung{t.Task, (now - s.since) / w.HZ})
	}
	return out
}

// HungTask are the facts of a watchdog's report.
type HungTask struct {
	Comm      string
	PID, PPID int
	Seconds   int64
	// Ident is the kernel's line: taint, release, build.
	Ident string
	// Stack is the unused stack in bytes, Flags the task's.
	Stack int
	Flags uint32
}

// Text is the report up to the stack.
func (h *HungTask) Text() string {
	return fmt.Sprintf("INFO: task %s:%d blocked for more than %d seconds.\n      %s\n", h.Comm, h.PID, h.Seconds, h.Ident) +
		"\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.\n" +
		fmt.Sprintf("task:%-15.15s state:D stack:%-5d pid:%-5d ppid:%-6d flags:0x%08x\n", h.Comm, h.Stack, h.PID, h.PPID, h.Flags)
}
