package rcu

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Event is a line of a trace of rcu:* events and of a test's own markers.
type Event struct {
	// Line is the line's number in the file, from 1.
	Line int
	Task string
	PID  int
	CPU  int
	// Time is as printed: a number of an event or seconds.
	Time string
	// Name is the event's name without "rcu:", "rcu_grace_period"; Args what follows
	// it, split at blanks.
	Name string
	Args []string
}

// arg is an argument by place, "" if there are fewer.
func (e *Event) arg(i int) string {
	if i < len(e.Args) {
		return e.Args[i]
	}
	return ""
}

// value is what follows "key=" among the arguments, "" if nothing does.
func (e *Event) value(key string) string {
	for _, a := range e.Args {
		if v, ok := strings.CutPrefix(a, key); ok && strings.HasPrefix(v, "=") {
			return v[1:]
		}
	}
	return ""
}

// TraceError says where a trace is broken.
type TraceError struct {
	File            string
	Line            int
	Found, Expected string
}

func (e *TraceError) Error() string {
	return fmt.Sprintf("%s:%d: found %s, expected %s", e.File, e.Line, e.Found, e.Expected)
}

// maxLine bounds a line of a trace, in bytes.
const maxLine = 1 << 16

// ReadTrace reads a trace's text, as /sys/kernel/tracing/trace prints it, and calls
// f for every event, in order; an error of f ends the reading. name is the file's,
// for errors.
func ReadTrace(name string, r io.Reader, f func(*Event) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), maxLine)
	var e Event
	n := 0
	for sc.Scan() {
		n++
		line := sc.Text()
		if line == "" || line[0] == '#' {
			if written, lost := lostEvents(line); lost {
				return &TraceError{name, n, written, "a trace without lost events"}
			}
			continue
		}
		if bad := e.parse(line); bad != "" {
			return &TraceError{name, n, strconv.Quote(line), bad}
		}
		e.Line = n
		if err := f(&e); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return &TraceError{name, n + 1, err.Error(), "a line of at most 65536 bytes"}
	}
	return nil
}

// lostEvents reads the header's "entries-in-buffer/entries-written: A/B".
func lostEvents(line string) (string, bool) {
	_, counts, ok := strings.Cut(line, "entries-in-buffer/entries-written:")
	if !ok {
		return "", false
	}
	f := strings.Fields(counts)
	if len(f) == 0 {
		return "", false
	}
	kept, written, ok := strings.Cut(f[0], "/")
	return f[0], ok && kept != written
}

// parse reads "TASK-PID [CPU] FLAGS TIME: EVENT: ARGS"; it returns what was
// expected.
func (e *Event) parse(line string) string {
	const want = "TASK-PID [CPU] FLAGS TIME: EVENT: ARGS"
	open := strings.Index(line, " [")
	for open >= 0 {
		end := strings.IndexByte(line[open:], ']')
		if end < 0 {
			return want
		}
		if cpu, err := strconv.Atoi(line[open+2 : open+end]); err == nil && cpu >= 0 {
			e.CPU = cpu
			return e.parseHead(strings.TrimSpace(line[:open]), line[open+end+1:])
		}
		next := strings.Index(line[open+1:], " [")
		if next < 0 {
			return want
		}
		open += 1 + next
	}
	return want
}

func (e *Event) parseHead(task, rest string) string {
	dash := strings.LastIndexByte(task, '-')
	if dash < 0 {
		return "TASK-PID"
	}
	pid, err := strconv.Atoi(task[dash+1:])
	if err != nil {
		return "a PID"
	}
	e.Task, e.PID = task[:dash], pid
	f := strings.Fields(rest)
	if len(f) < 2 {
		return "FLAGS TIME: EVENT"
	}
	if !strings.HasSuffix(f[0], ":") {
		f = f[1:]
	}
	if len(f) < 2 || !strings.HasSuffix(f[0], ":") || !strings.HasSuffix(f[1], ":") {
		return "TIME: EVENT:"
	}
	e.Time, e.Name = f[0][:len(f[0])-1], f[1][:len(f[1])-1]
	e.Args = f[2:]
	return ""
}
