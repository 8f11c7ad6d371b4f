package rcu

import (
	"fmt"
	"strings"
)

// StallConfig says when the kernel warns of a grace period that does not end.
type StallConfig struct {
	// HZ is jiffies a second.
	HZ int64
	// Timeout is rcu_cpu_stall_timeout in seconds, held to 3 to 300; 0 stands for 21.
	Timeout int64
	// Proving says that the kernel has CONFIG_PROVE_RCU, which gives 5 seconds more.
	Proving bool
}

// Jiffies is the age of a grace period at which it is called a stall
// (rcu_jiffies_till_stall_check).
func (c StallConfig) Jiffies() int64 {
	s := c.Timeout
	if s == 0 {
		s = 21
	}
	s = min(300, max(3, s))
	if c.Proving {
		s += 5
	}
	return s * c.HZ
}

// othersDelay is for how many jiffies a CPU that stalls may warn of itself before
// others do (RCU_STALL_RAT_DELAY).
const othersDelay = 2

// StallClock decides when a CPU warns (check_cpu_stall). Its zero value never does.
type StallClock struct {
	StallConfig
	running     bool
	start, next int64
}

// Begin starts a grace period at a time in jiffies, End ends it.
func (c *StallClock) Begin(now int64) {
	c.running, c.start, c.next = true, now, now+c.Jiffies()
}

// End ends the grace period.
func (c *StallClock) End() { c.running = false }

// Warning is what a CPU does at a clock interrupt.
type Warning uint8

// What StallClock.Tick answers.
const (
	// NoWarning: not yet.
	NoWarning Warning = iota
	// SelfDetected: the grace period waits for the CPU itself.
	SelfDetected
	// OthersDetected: it waits for others.
	OthersDetected
)

// Tick is a CPU's clock interrupt; waited says that the grace period waits for this
// CPU. It answers whether to warn, and the age of the grace period in jiffies. After
// a warning the next comes after three times as long, and 3 jiffies.
func (c *StallClock) Tick(now int64, waited bool) (Warning, int64) {
	switch {
	case !c.running || now < c.next, !waited && now < c.next+othersDelay:
		return NoWarning, 0
	}
	c.next = now + 3*c.Jiffies() + 3
	if waited {
		return SelfDetected, now - c.start
	}
	return OthersDetected, now - c.start
}

// CPUStall is the line about one CPU that a grace period waits for
// (print_cpu_stall_info).
type CPUStall struct {
	CPU int
	// Offline; OutOfPeriod: not waited for from the period's start; OutOfNext: nor from
	// the next one's.
	Offline, OutOfPeriod, OutOfNext bool
	// Interrupt tells whether the CPU took an interrupt that RCU sent it: '.' it did,
	// '!' none was sent, a digit for how many grace periods one is on its way.
	Interrupt byte
	// Behind is how many grace periods the CPU has not noticed; if 0, Ticks is how many
	// clock interrupts it had in this one.
	Behind, Ticks int64
	// Idle are the low bits of the CPU's idle counter, with its nestings in tasks and
	// in interrupts.
	Idle              uint16
	Nesting           int64
	InterruptNesting  uint64
	Softirqs, Current uint32
	// Forced is how many scans for quiescent states there were.
	Forced int64
	// Notes is what follows: " rcuc=12 jiffies(starved)", " (false positive?)".
	Notes string
}

func flag(set bool, c byte) byte {
	if set {
		return c
	}
	return '.'
}

// String is the line without "rcu: ".
func (s CPUStall) String() string {
	n, what := s.Ticks, "ticks this GP"
	if s.Behind != 0 {
		n, what = s.Behind, "GPs behind"
	}
	return fmt.Sprintf("\t%d-%c%c%c%c: (%d %s) idle=%04x/%d/%#x softirq=%d/%d fqs=%d%s", s.CPU,
		flag(s.Offline, 'O'), flag(s.OutOfPeriod, 'o'), flag(s.OutOfNext, 'N'), s.Interrupt,
		n, what, s.Idle, s.Nesting, s.InterruptNesting, s.Softirqs, s.Current, s.Forced, s.Notes)
}

// TaskStall is a preempted reader that a grace period waits for.
type TaskStall struct {
	PID, Depth int
	// Blocked: it was preempted inside; NeedQS: it must say when it leaves; Expedited:
	// an expedited period waits; Listed: it is on its node's list.
	Blocked, NeedQS, Expedited, Listed bool
}

// LeafStall is a node at the bottom of the tree: the CPUs and the preempted readers
// that the grace period waits for there. Level and the CPUs Lo to Hi name the node.
type LeafStall struct {
	CPUs          []CPUStall
	Tasks         []TaskStall
	Level, Lo, Hi int
}

// Stall is a warning (print_cpu_stall, print_other_cpu_stall).
type Stall struct {
	// Name is "rcu_preempt" or "rcu_sched".
	Name string
	// Self: the CPU warns of itself; else By says which CPU warns.
	Self bool
	By   int
	// Leaves are the nodes at the bottom of the tree that the period waits for.
	Leaves []LeafStall
	// Age of the grace period in jiffies; Seq is its gp_seq; Queued are all CPUs'
	// callbacks; Online is the number of CPUs.
	Age, Seq, Queued int64
	Online           int
}

// Text is the warning up to the stacks.
func (s *Stall) Text() string {
	var w strings.Builder
	if s.Self {
		fmt.Fprintf(&w, "rcu: INFO: %s self-detected stall on CPU\n", s.Name)
	} else {
		fmt.Fprintf(&w, "rcu: INFO: %s detected stalls on CPUs/tasks:\n", s.Name)
	}
	for _, l := range s.Leaves {
		for _, c := range l.CPUs {
			fmt.Fprintf(&w, "rcu: %s\n", c)
		}
		if len(l.Tasks) > 0 {
			fmt.Fprintf(&w, "rcu: \tTasks blocked on level-%d rcu_node (CPUs %d-%d):", l.Level, l.Lo, l.Hi)
			for _, t := range l.Tasks {
				fmt.Fprintf(&w, " %s", t)
			}
			w.WriteByte('\n')
		}
	}
	if s.Self {
		fmt.Fprintf(&w, "\t(t=%d jiffies g=%d q=%d ncpus=%d)\n", s.Age, s.Seq, s.Queued, s.Online)
	} else {
		fmt.Fprintf(&w, "\t(detected by %d, t=%d jiffies, g=%d, q=%d ncpus=%d)\n", s.By, s.Age, s.Seq, s.Queued, s.Online)
	}
	return w.String()
}

// String is the task as "P17/1:b..l" (rcu_print_task_stall).
func (s TaskStall) String() string {
	return fmt.Sprintf("P%d/%d:%c%c%c%c", s.PID, s.Depth, flag(s.Blocked, 'b'), flag(s.NeedQS, 'q'), flag(s.Expedited, 'e'), flag(s.Listed, 'l'))
}

// Stall is the warning that a CPU gives about the running grace period, of an age in
// jiffies: about itself if the period waits for it. What the model does not know
// (clock interrupts, idle counters, softirqs) is 0.
func (m *Model) Stall(by int, age int64) *Stall {
	s := &Stall{Name: "rcu_preempt", By: by, Age: age, Seq: m.seq, Online: len(m.cpus)}
	for i := range m.cpus {
		s.Queued += int64(len(m.cpus[i].list))
	}
	leaves := m.leaves()
	if m.has(by) {
		s.Self = leaves[by/m.cfg.Fanout].waits>>(by%m.cfg.Fanout)&1 != 0
	}
	for n := range leaves {
		l := LeafStall{Level: len(m.levels) - 1, Lo: leaves[n].lo, Hi: leaves[n].hi}
		for i := l.Lo; i <= l.Hi; i++ {
			if leaves[n].waits>>(i%m.cfg.Fanout)&1 != 0 && (!s.Self || i == by) {
				l.CPUs = append(l.CPUs, CPUStall{CPU: i, Interrupt: '.', Behind: (m.seq - m.cpus[i].seq) / (seqState + 1), Forced: int64(m.forced)})
			}
		}
		for pid := range m.tasks {
			if t := &m.tasks[pid]; t.current && t.leaf == n && !s.Self {
				l.Tasks = append(l.Tasks, TaskStall{PID: pid, Depth: t.depth, Blocked: true, Listed: true})
			}
		}
		if len(l.CPUs)+len(l.Tasks) > 0 {
			s.Leaves = append(s.Leaves, l)
		}
	}
	return s
}
