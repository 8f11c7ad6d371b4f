package report

import (
	"regexp"

	"github.com/kernsim/kernsim/sync/lockdep"
	"github.com/kernsim/kernsim/sync/rcu"
)

// heldLocks are the facts of the list of all held locks.
type heldLocks struct{ tasks []lockdep.TaskLocks }

const (
	heldTitle = "Showing all locks held in the system:"
	heldEnd   = "============================================="
)

func readHeldLocks(c *cursor) facts {
	if !c.is(heldTitle) {
		return nil
	}
	h := &heldLocks{}
	for {
		list := readHeld(c)
		if list == nil {
			break
		}
		h.tasks = append(h.tasks, lockdep.TaskLocks{Comm: list.comm, PID: list.pid, Locks: list.list})
	}
	if !c.is("") || !c.is(heldEnd) {
		return nil
	}
	return h
}

func (h *heldLocks) again() (string, error) { return lockdep.ShowAllText(h.tasks), nil }

// stall are the facts of a stalled grace period.
type stall struct{ rcu.Stall }

var (
	stallSelf   = regexp.MustCompile(`^rcu: INFO: (\w+) self-detected stall on CPU$`)
	stallOthers = regexp.MustCompile(`^rcu: INFO: (\w+) detected stalls on CPUs/tasks:$`)
	stallCPU    = regexp.MustCompile(`^rcu: \t(\d+)-([O.])([o.])([N.])([.!?\d]): \((\d+) (ticks this GP|GPs behind)\) idle=([0-9a-f]{4})/(-?\d+)/0x([0-9a-f]+) softirq=(\d+)/(\d+) fqs=(\d+)(.*)$`)
	stallNode   = regexp.MustCompile(`^rcu: \tTasks blocked on level-(\d+) rcu_node \(CPUs (\d+)-(\d+)\):((?: P\d+/\d+:[.b][.q][.e][.l])+)$`)
	stallTask   = regexp.MustCompile(`P(\d+)/(\d+):(.)(.)(.)(.)`)
	stallSelfAt = regexp.MustCompile(`^\t\(t=(\d+) jiffies g=(-?\d+) q=(\d+) ncpus=(\d+)\)$`)
	stallByAt   = regexp.MustCompile(`^\t\(detected by (\d+), t=(\d+) jiffies, g=(-?\d+), q=(\d+) ncpus=(\d+)\)$`)
)

func readStall(c *cursor) facts {
	s := &stall{}
	if m := c.match(stallSelf); m != nil {
		s.Name, s.Self = m[1], true
	} else if m := c.match(stallOthers); m != nil {
		s.Name = m[1]
	} else {
		return nil
	}
	s.leaves(c)
	n := func(text string) int64 { return int64(number(text, 10)) }
	if s.Self {
		m := c.match(stallSelfAt)
		if m == nil {
			return nil
		}
		s.Age, s.Seq, s.Queued, s.Online = n(m[1]), n(m[2]), n(m[3]), number(m[4], 10)
		return s
	}
	m := c.match(stallByAt)
	if m == nil {
		return nil
	}
	s.By, s.Age, s.Seq, s.Queued, s.Online = number(m[1], 10), n(m[2]), n(m[3]), n(m[4]), number(m[5], 10)
	return s
}

// leaves reads the CPUs and tasks: a node's tasks come behind its CPUs.
func (s *stall) leaves(c *cursor) {
	var l rcu.LeafStall
	for {
		if m := c.match(stallCPU); m != nil {
			l.CPUs = append(l.CPUs, stalledCPU(m))
			continue
		}
		if m := c.match(stallNode); m != nil {
			l.Level, l.Lo, l.Hi = number(m[1], 10), number(m[2], 10), number(m[3], 10)
			for _, t := range stallTask.FindAllStringSubmatch(m[4], -1) {
				l.Tasks = append(l.Tasks, rcu.TaskStall{
					PID: number(t[1], 10), Depth: number(t[2], 10), Blocked: t[3] == "b", NeedQS: t[4] == "q", Expedited: t[5] == "e", Listed: t[6] == "l",
				})
			}
			s.Leaves = append(s.Leaves, l)
			l = rcu.LeafStall{}
			continue
		}
		break
	}
	if len(l.CPUs) > 0 {
		s.Leaves = append(s.Leaves, l)
	}
}

func stalledCPU(m []string) rcu.CPUStall {
	s := rcu.CPUStall{
		CPU: number(m[1], 10), Offline: m[2] == "O", OutOfPeriod: m[3] == "o", OutOfNext: m[4] == "N", Interrupt: m[5][0],
		Idle: uint16(number("0"+m[8], 16)), Nesting: int64(number(m[9], 10)), InterruptNesting: word(m[10]),
		Softirqs: uint32(number(m[11], 10)), Current: uint32(number(m[12], 10)), Forced: int64(number(m[13], 10)), Notes: m[14],
	}
	if m[7] == "GPs behind" {
		s.Behind = int64(number(m[6], 10))
	} else {
		s.Ticks = int64(number(m[6], 10))
	}
	return s
}

func (s *stall) again() (string, error) { return s.Text(), nil }
