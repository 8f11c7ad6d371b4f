package percpu

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// EventKind is a kind of event of the allocator's tracepoints.
type EventKind uint8

// The kinds: percpu_create_chunk and so on.
const (
	EventCreate EventKind = iota
	EventDestroy
	EventAlloc
	EventFree
)

var eventNames = map[string]EventKind{
	"percpu_create_chunk:": EventCreate, "percpu_destroy_chunk:": EventDestroy, "percpu_alloc_percpu:": EventAlloc, "percpu_free_percpu:": EventFree,
}

// Event is a line of a trace of the kernel's percpu:* events.
type Event struct {
	Kind EventKind
	// Task is the task's name and PID as printed.
	Task string
	// Line is the line's number in the file, from 1.
	Line int
	// Base is the chunk's printed address; Off the place in it, in bytes.
	Base             string
	Off, Size, Align int
	Reserved, Atomic bool
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

// maxLine bounds a line, in bytes.
const maxLine = 1 << 16

// ReadTrace reads a trace's text, as /sys/kernel/tracing/trace prints it, and calls f
// for every event of the per-CPU allocator, in order; other events are passed over, and
// an error of f ends the reading. name is the file's, for errors.
func ReadTrace(name string, r io.Reader, f func(*Event) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), maxLine)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		e := Event{Line: n}
		known, bad := e.parse(strings.Fields(line))
		if bad != "" {
			return &TraceError{name, n, strconv.Quote(line), bad}
		}
		if !known {
			continue
		}
		if err := f(&e); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return &TraceError{name, 0, err.Error(), "lines of at most 65536 bytes"}
	}
	return nil
}

// parse reads the fields of a line; it says whether the event is one of the
// allocator's, and what was expected.
func (e *Event) parse(fields []string) (known bool, bad string) {
	for i, f := range fields {
		kind, ok := eventNames[f]
		if !ok {
			continue
		}
		e.Kind = kind
		e.Task = fields[0]
		return true, e.values(fields[i+1:])
	}
	return false, ""
}

func (e *Event) values(fields []string) string {
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		to := map[string]*int{"off": &e.Off, "size": &e.Size, "align": &e.Align}[key]
		switch {
		case key == "base_addr":
			e.Base = value
		case key == "reserved" || key == "is_atomic":
			on := value == "1"
			if key == "reserved" {
				e.Reserved = on
			} else {
				e.Atomic = on
			}
		case to != nil:
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > maxTrackUnit {
				return key + "=N"
			}
			*to = n
		}
	}
	if e.Base == "" {
		return "base_addr=ADDRESS"
	}
	if e.Kind == EventAlloc && (e.Size == 0 || e.Align == 0) {
		return "size=N align=N"
	}
	return ""
}
