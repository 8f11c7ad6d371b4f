package report

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sync/lockdep"
)

// number reads a number that a pattern has already matched; one too large is held to
// the largest, and then shows as a difference.
func number(s string, base int) int {
	n, _ := strconv.ParseInt(s, base, 64)
	return int(n)
}

// word reads a hexadecimal number of 64 bits.
func word(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 64)
	return n
}

var (
	heldHead = regexp.MustCompile(`^(\d+) locks? held by (.+)/(\d+):$`)
	heldNone = regexp.MustCompile(`^no locks held by (.+)/(\d+)\.$`)
	heldLock = regexp.MustCompile(`^ #\d+: ([0-9a-f]{8,16}) \((.*)\)\{([.+?-]{4})\}-\{(-?\d+):(-?\d+)\}, at: (.*)$`)
)

// held are the lines about a task's locks.
type held struct {
	off  bool
	comm string
	pid  int
	list []lockdep.HeldLock
}

const lockdepOff = "INFO: lockdep is turned off."

func readHeld(c *cursor) *held {
	if c.is(lockdepOff) {
		return &held{off: true}
	}
	if m := c.match(heldNone); m != nil {
		return &held{comm: m[1], pid: number(m[2], 10)}
	}
	m := c.match(heldHead)
	if m == nil {
		return nil
	}
	h := &held{comm: m[2], pid: number(m[3], 10)}
	for l := c.match(heldLock); l != nil; l = c.match(heldLock) {
		h.list = append(h.list, lockdep.HeldLock{
			Addr: word(l[1]), Class: l[2], Usage: l[3], Outer: number(l[4], 10), Inner: number(l[5], 10), Site: l[6],
		})
	}
	return h
}

// text prints the locks of a task, nothing if the kernel has no validator.
func (h *held) text(comm string, pid int) string {
	switch {
	case h == nil:
		return ""
	case h.off:
		return lockdepOff + "\n"
	}
	return lockdep.HeldText(comm, pid, h.list)
}

var (
	stampLine = regexp.MustCompile(`^irq event stamp: (\d+)$`)
	eventLine = regexp.MustCompile(`^(?:hard|soft)irqs last +(?:enabled|disabled) at \((\d+)\): \[<([0-9a-f]+)>\] (.*)$`)
)

// events are where interrupts were last enabled and disabled.
type events struct {
	stamp int
	at    []lockdep.IRQEvent
}

func readEvents(c *cursor) *events {
	m := c.match(stampLine)
	if m == nil {
		return nil
	}
	e := &events{stamp: number(m[1], 10)}
	for range 4 {
		m = c.match(eventLine)
		if m == nil {
			return nil
		}
		e.at = append(e.at, lockdep.IRQEvent{Number: number(m[1], 10), Addr: word(m[2]), Site: m[3]})
	}
	return e
}

func (e *events) text() string {
	if e == nil {
		return ""
	}
	return lockdep.EventText(e.stamp, [4]lockdep.IRQEvent(e.at))
}

var (
	disabledAt = regexp.MustCompile(`^\[<([0-9a-f]+)>\] (.*)$`)
	modules    = regexp.MustCompile(`^Modules linked in:.*$`)
)

// readDisabled reads where preemption was disabled, "" if it does not say.
func readDisabled(c *cursor) string {
	if !c.is("Preemption disabled at:") {
		return ""
	}
	m := c.match(disabledAt)
	if m == nil {
		return ""
	}
	return m[0]
}

func disabledText(at string) string { return "Preemption disabled at:\n" + at + "\n" }

// machine is the line "CPU: 0 PID: 50 Comm: sh Tainted: G W 6.1.0 #1".
type machine struct {
	cpu int
	// taint is the state of the kernel, tail the release.
	taint, tail string
}

var cpuLine = regexp.MustCompile(`^CPU: (\d+) PID: (\d+) Comm: (.+?) (Not tainted|Tainted: [A-Z ]+?)  *(\S+ #\S+)$`)

func readMachine(c *cursor) *machine {
	m := c.match(cpuLine)
	if m == nil {
		return nil
	}
	// The letters have fixed places, so that the blanks behind them belong to them.
	taint := c.lines[c.at-1].text
	taint = taint[strings.LastIndex(taint, m[4]):]
	return &machine{number(m[1], 10), strings.TrimSuffix(taint, m[5]), m[5]}
}

func (m *machine) text(comm string, pid int) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("CPU: %d PID: %d Comm: %s %s%s\n", m.cpu, pid, comm, m.taint, m.tail)
}
