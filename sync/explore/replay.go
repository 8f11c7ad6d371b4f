package explore

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrSchedule says that a schedule does not fit a program.
var ErrSchedule = errors.New("explore: the schedule does not fit the program")

// Replay repeats a schedule and prints each step: who, where, what, and the
// variables that changed. It returns the failure that the schedule ends in, nil if
// none.
func Replay(p *Program, schedule []Choice, w io.Writer) (*Failure, error) {
	m := newMachine(p)
	for i, c := range schedule {
		if c.Thread < 0 || c.Thread >= len(p.threads) || c.Flush < 0 || c.Flush == 0 && !m.enabled(c.Thread) || c.Flush > 0 && !m.canFlush(c.Thread, c.Flush-1) {
			return nil, fmt.Errorf("%w: step %d", ErrSchedule, i+1)
		}
		before := append([]int32(nil), m.s[:len(p.vars)]...)
		what := "    a store reaches memory"
		if c.Flush == 0 {
			st := m.current(c.Thread)
			what = fmt.Sprintf("%4d  %s", st.line, st.text)
		}
		m.take(c)
		line := fmt.Sprintf("%3d  %-10s %-40s", i+1, p.threads[c.Thread].name, what)
		for v := range p.vars {
			if m.s[v] != before[v] {
				line += fmt.Sprintf("  %s=%d", p.vars[v].name, m.s[v])
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return nil, err
		}
		if m.fail != nil {
			return m.fail, nil
		}
	}
	if len(m.choices(nil)) == 0 {
		return m.stuck(), nil
	}
	return nil, nil
}
