package procfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// TaskSched is a /proc/PID/sched.
type TaskSched struct {
	Comm    string
	PID     int32
	Threads int
	Lines   []Line
	// NUMA are the two lines of a task's memory nodes at the end, if the
	// kernel balances memory between nodes.
	NUMA []string
}

// Value gives a line's value; false if there is none of that name.
func (t *TaskSched) Value(name string) (int64, bool) { return value(t.Lines, name) }

func value(lines []Line, name string) (int64, bool) {
	for _, l := range lines {
		if l.Name == name {
			return l.Int()
		}
	}
	return 0, false
}

const taskRule = "-------------------------------------------------------------------"

// WriteTo writes the text (proc_sched_show_task).
func (t *TaskSched) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s (%d, #threads: %d)\n%s\n", t.Comm, t.PID, t.Threads, taskRule)
	for _, l := range t.Lines {
		fmt.Fprintf(&b, "%-45s:%21s\n", l.Name, l.Text)
	}
	for _, l := range t.NUMA {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.WriteTo(w)
}

// lineReader counts lines.
type lineReader struct {
	s    *bufio.Scanner
	file string
	n    int
	text string
}

// maxLine is the longest line that is read, in bytes.
const maxLine = 1 << 16

func newLineReader(r io.Reader, file string) *lineReader {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	return &lineReader{s: s, file: file}
}

func (r *lineReader) next() bool {
	if !r.s.Scan() {
		return false
	}
	r.n++
	r.text = r.s.Text()
	return true
}

// end is the reader's error, or the complaint that the text ends too early.
func (r *lineReader) end(want string) error {
	if err := r.s.Err(); err != nil {
		return fmt.Errorf("procfs: %s:%d: %w", r.file, r.n+1, err)
	}
	return &ParseError{r.file, r.n + 1, "the end", want}
}

func (r *lineReader) bad(want string) error { return &ParseError{r.file, r.n, r.text, want} }

// ReadTaskSched reads a /proc/PID/sched. file is its name for errors, which are
// the reader's or a ParseError.
func ReadTaskSched(r io.Reader, file string) (*TaskSched, error) {
	in := newLineReader(r, file)
	if !in.next() {
		return nil, in.end(`"name (pid, #threads: n)"`)
	}
	t := &TaskSched{}
	open := strings.LastIndex(in.text, " (")
	if open < 0 {
		return nil, in.bad(`"name (pid, #threads: n)"`)
	}
	if n, err := fmt.Sscanf(in.text[open:], " (%d, #threads: %d)", &t.PID, &t.Threads); n != 2 || err != nil {
		return nil, in.bad(`"name (pid, #threads: n)"`)
	}
	t.Comm = in.text[:open]
	if !in.next() || in.text != taskRule {
		if in.n < 2 {
			return nil, in.end("a rule")
		}
		return nil, in.bad("a rule")
	}
	for in.next() {
		if strings.HasPrefix(in.text, "current_node=") || strings.HasPrefix(in.text, "numa_faults ") {
			t.NUMA = append(t.NUMA, in.text)
			continue
		}
		colon := strings.IndexByte(in.text, ':')
		if colon < 0 || t.NUMA != nil {
			return nil, in.bad("name: value")
		}
		l := Line{strings.TrimRight(in.text[:colon], " "), strings.TrimLeft(in.text[colon+1:], " ")}
		if _, ok := l.Int(); !ok {
			return nil, in.bad("a number")
		}
		t.Lines = append(t.Lines, l)
	}
	if err := in.s.Err(); err != nil {
		return nil, errors.Join(in.end(""))
	}
	return t, nil
}
