package report

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/sync/lock"
	"github.com/kernsim/kernsim/sync/refs"
)

// warn are the facts of a WARNING.
type warn struct {
	message, file, function string
	line, pid               int
	comm                    string
	modules                 string
	machine                 *machine
	events                  *events
}

var (
	warnLine = regexp.MustCompile(`^WARNING: CPU: \d+ PID: (\d+) at (\S+):(\d+) (\S+.*)$`)
	warnComm = regexp.MustCompile(` Comm: (.+?) (?:Not tainted|Tainted:)`)
)

const (
	cutHere  = "------------[ cut here ]------------"
	endTrace = "---[ end trace 0000000000000000 ]---"
)

// messages are the warnings that models give, with how they come to give them.
var messages = map[string]func() error{
	"Voluntary context switch within RCU read-side critical section!": func() error {
		return (&lock.Context{RCU: 1}).Schedule()
	},
	"DEBUG_LOCKS_WARN_ON(val > preempt_count())": func() error {
		c := &lock.Context{}
		c.PreemptDisable()
		// Scheduling resets the count, so that there is nothing to enable.
		if c.Schedule() != nil {
			c.Preempt = 0
		}
		return c.PreemptEnable()
	},
}

// countWarnings are those of reference counts.
var countWarnings = []refs.Warning{refs.WarnAddFromZero, refs.WarnSaturated, refs.WarnUnderflow, refs.WarnLeak}

func readWarn(c *cursor) facts {
	w := readAnyWarn(c)
	if w == nil || messages[w.message] == nil && !slices.Contains(countWarnings, refs.Warning(w.message)) {
		return nil
	}
	return w
}

func readAnyWarn(c *cursor) *warn {
	if !c.is(cutHere) {
		return nil
	}
	w := &warn{message: c.peek()}
	c.at++
	m := c.match(warnLine)
	if m == nil {
		return nil
	}
	w.pid, w.file, w.line, w.function = number(m[1], 10), m[2], number(m[3], 10), m[4]
	if m = c.match(modules); m != nil {
		w.modules = m[0]
	}
	if m = warnComm.FindStringSubmatch(c.peek()); m == nil {
		return nil
	}
	w.comm = m[1]
	if w.machine, w.events = readMachine(c), readEvents(c); w.machine == nil || !c.is(endTrace) {
		return nil
	}
	return w
}

func (w *warn) again() (string, error) {
	if run := messages[w.message]; run != nil {
		text, err := titled(run())
		if err != nil {
			return "", err
		}
		return w.text(strings.TrimSuffix(text, "\n"), w.line), nil
	}
	return w.count(refs.Warning(w.message)), nil
}

// count is the warning of a reference count: its line in the source depends on the
// misuse.
func (w *warn) count(message refs.Warning) string {
	conditional := refs.WarnSaturated.Place(true)
	return w.text(string(message), message.Place(w.line == conditional))
}

func (w *warn) text(message string, line int) string {
	out := fmt.Sprintf("%s\n%s\nWARNING: CPU: %d PID: %d at %s:%d %s\n", cutHere, message, w.machine.cpu, w.pid, w.file, line, w.function)
	if w.modules != "" {
		out += w.modules + "\n"
	}
	return out + w.machine.text(w.comm, w.pid) + w.events.text() + endTrace + "\n"
}

// crashTest are the facts of one of the kernel's crash tests of reference counts.
type crashTest struct {
	name  string
	warns []*warn
}

var crashTitle = regexp.MustCompile(`^lkdtm: Performing direct entry (REFCOUNT_\w+)$`)

func readCrash(c *cursor) facts {
	m := c.match(crashTitle)
	if m == nil || refs.Crash(m[1]) == nil {
		return nil
	}
	t := &crashTest{name: m[1]}
	for c.at < len(c.lines) {
		at := c.at
		if strings.HasPrefix(c.peek(), "lkdtm: ") && !crashTitle.MatchString(c.peek()) {
			c.at++
			continue
		}
		w := readAnyWarn(c)
		if w == nil {
			c.at = at
			break
		}
		t.warns = append(t.warns, w)
	}
	return t
}

func (t *crashTest) again() (string, error) {
	out, warned := "", 0
	for _, l := range refs.Crash(t.name) {
		if !strings.HasPrefix(l, "refcount_t: ") {
			out += l + "\n"
			continue
		}
		if warned == len(t.warns) {
			return "", errors.New("the model warns, the kernel did not")
		}
		out += t.warns[warned].count(refs.Warning(l))
		warned++
	}
	return out, nil
}
