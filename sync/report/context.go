package report

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/kernsim/kernsim/sync/lock"
)

// errSilent says that the model finds nothing wrong in the state that a report tells.
var errSilent = errors.New("the model reports nothing in this state")

// context makes a context of a preempt_count.
func context(comm string, pid, count int) (*lock.Context, error) {
	c := &lock.Context{Comm: comm, PID: pid, Preempt: count & 0xff, SoftirqsOff: count >> 9 & 0x7f}
	c.Softirq, c.Hardirq = count>>8&1 != 0, count>>16&0xf != 0
	if c.PreemptCount() != count {
		return nil, fmt.Errorf("no context has the preempt_count %x", count)
	}
	return c, nil
}

// titled is the text of a model's error.
func titled(err error) (string, error) {
	var forbidden *lock.ContextError
	if !errors.As(err, &forbidden) {
		return "", errSilent
	}
	return forbidden.Text, nil
}

// sleep are the facts of "sleeping function called".
type sleep struct {
	place, comm     string
	pid, count, rcu int
	irqsOff         bool
	held            *held
	events          *events
	disabled        string
	machine         *machine
}

var (
	sleepTitle  = regexp.MustCompile(`^BUG: sleeping function called from invalid context at (.+)$`)
	sleepAtomic = regexp.MustCompile(`^in_atomic\(\): ([01]), irqs_disabled\(\): ([01]), non_block: 0, pid: (\d+), name: (.*)$`)
	sleepCount  = regexp.MustCompile(`^preempt_count: ([0-9a-f]+), expected: 0$`)
	sleepRCU    = regexp.MustCompile(`^RCU nest depth: (\d+), expected: 0$`)
)

func readSleep(c *cursor) facts {
	title := c.match(sleepTitle)
	atomic, count, rcu := c.match(sleepAtomic), c.match(sleepCount), c.match(sleepRCU)
	if title == nil || atomic == nil || count == nil || rcu == nil {
		return nil
	}
	return &sleep{
		place: title[1], comm: atomic[4], pid: number(atomic[3], 10), irqsOff: atomic[2] == "1",
		count: number(count[1], 16), rcu: number(rcu[1], 10),
		held: readHeld(c), events: readEvents(c), disabled: readDisabled(c), machine: readMachine(c),
	}
}

func (s *sleep) again() (string, error) {
	c, err := context(s.comm, s.pid, s.count)
	if err != nil {
		return "", err
	}
	c.IRQsOff, c.RCU = s.irqsOff, s.rcu
	out, err := titled(c.MightSleep(s.place))
	if err != nil {
		return "", err
	}
	out += s.held.text(s.comm, s.pid)
	if s.irqsOff {
		out += s.events.text()
	}
	if s.disabled != "" && s.count != 0 {
		out += disabledText(s.disabled)
	}
	return out + s.machine.text(s.comm, s.pid), nil
}

// schedule are the facts of "scheduling while atomic".
type schedule struct {
	comm              string
	pid, count        int
	held              *held
	modules, disabled string
	events            *events
	machine           *machine
}

var scheduleTitle = regexp.MustCompile(`^BUG: scheduling while atomic: (.+)/(\d+)/0x([0-9a-f]{8})$`)

func readSchedule(c *cursor) facts {
	m := c.match(scheduleTitle)
	if m == nil {
		return nil
	}
	s := &schedule{comm: m[1], pid: number(m[2], 10), count: number(m[3], 16), held: readHeld(c)}
	if m = c.match(modules); m != nil {
		s.modules = m[0]
	}
	s.events, s.disabled, s.machine = readEvents(c), readDisabled(c), readMachine(c)
	return s
}

func (s *schedule) again() (string, error) {
	c, err := context(s.comm, s.pid, s.count-1)
	if err != nil {
		return "", err
	}
	out, err := titled(c.Schedule())
	if err != nil {
		return "", err
	}
	out += s.held.text(s.comm, s.pid)
	if s.modules != "" {
		out += s.modules + "\n"
	}
	out += s.events.text()
	if s.disabled != "" {
		out += disabledText(s.disabled)
	}
	return out + s.machine.text(s.comm, s.pid), nil
}

// thisCPU are the facts of a use of per-CPU data in preemptible code.
type thisCPU struct {
	function, comm, caller string
	pid, count             int
	machine                *machine
}

var (
	thisCPUTitle = regexp.MustCompile(`^BUG: using (\S+) in preemptible \[([0-9a-f]{8})\] code: (.+)/(\d+)$`)
	thisCPUFrom  = regexp.MustCompile(`^caller is (.+)$`)
)

func readThisCPU(c *cursor) facts {
	m := c.match(thisCPUTitle)
	if m == nil {
		return nil
	}
	t := &thisCPU{function: m[1], count: number(m[2], 16), comm: m[3], pid: number(m[4], 10)}
	if m = c.match(thisCPUFrom); m != nil {
		t.caller = m[1]
	}
	t.machine = readMachine(c)
	return t
}

func (t *thisCPU) again() (string, error) {
	c, err := context(t.comm, t.pid, t.count)
	if err != nil {
		return "", err
	}
	out, err := titled(c.ThisCPU(t.function))
	if err != nil {
		return "", err
	}
	if t.caller != "" {
		out += "caller is " + t.caller + "\n"
	}
	return out + t.machine.text(t.comm, t.pid), nil
}

// hung are the facts of a hung task.
type hung struct{ lock.HungTask }

var (
	hungTitle = regexp.MustCompile(`^INFO: task (.+):(\d+) blocked for more than (\d+) seconds\.$`)
	hungIdent = regexp.MustCompile(`^      (\S.*)$`)
	hungTask  = regexp.MustCompile(`^task:.{15,} state:D stack:(\d+) +pid:\d+ +ppid:(\d+) +flags:0x([0-9a-f]{8})$`)
)

func readHung(c *cursor) facts {
	title, ident := c.match(hungTitle), c.match(hungIdent)
	if title == nil || ident == nil || !strings.HasPrefix(c.peek(), `"echo 0 > `) {
		return nil
	}
	c.at++
	m := c.match(hungTask)
	if m == nil {
		return nil
	}
	return &hung{lock.HungTask{
		Comm: title[1], PID: number(title[2], 10), Seconds: int64(number(title[3], 10)), Ident: ident[1],
		Stack: number(m[1], 10), PPID: number(m[2], 10), Flags: uint32(number("0"+m[3], 16)),
	}}
}

// again: a task that blocked once and was not switched to since is found by the first
// scan that comes late enough.
func (h *hung) again() (string, error) {
	w := lock.Watchdog{Timeout: h.Seconds, HZ: 1, Warnings: 1}
	task := []lock.WatchedTask{{Switches: 1, Uninterruptible: true}}
	w.Scan(0, task)
	found := w.Scan(h.Seconds, task)
	if len(found) != 1 || found[0].Seconds != h.Seconds {
		return "", errSilent
	}
	return h.Text(), nil
}
