package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/kernsim/kernsim/trace"
)

// lttngSource reads the text that babeltrace2 prints of an LTTng trace:
//
//	[13:09:21.211260539] (+?.?????????) host kmem_kfree: { cpu_id = 1 }, { call_site = 0xBF083B00, ptr = 0xCDEB5C00 }
//
// The time may be a date with time, a time of day, or seconds (--clock-seconds);
// the packet's context is the first braces, event contexts stand between it and
// the fields. Times of day that jump back go on on the next day.
type lttngSource struct {
	r    *bufio.Scanner
	name string
	line int
	last uint64
	day  uint64 // ns added to times of day
	args []byte
	dec  trace.Decoder
}

func openLTTng(r io.Reader, name string) (Source, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), trace.MaxLine)
	return &lttngSource{r: s, name: name}, nil
}

// isLTTng says whether a text starts as babeltrace2's does.
func isLTTng(text []byte) bool {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return len(line) > 0 && line[0] == '[' && bytes.Contains(line, []byte("] (+")) && bytes.Contains(line, []byte(": {"))
}

func (s *lttngSource) fail(found []byte, expected string) error {
	return &trace.ParseError{File: s.name, Line: s.line, Found: strconv.Quote(string(found[:min(len(found), 80)])), Expected: expected}
}

func (s *lttngSource) Read(ev *trace.Event) error {
	for s.r.Scan() {
		s.line++
		if line := bytes.TrimSpace(s.r.Bytes()); len(line) > 0 {
			return s.event(line, ev)
		}
	}
	err := s.r.Err()
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		s.line++
		return s.fail(nil, fmt.Sprintf("a line of at most %d bytes", trace.MaxLine))
	}
	return fmt.Errorf("%s:%d: %w", s.name, s.line+1, err)
}

// event reads one line.
func (s *lttngSource) event(line []byte, ev *trace.Event) error {
	stamp, rest, ok := bytes.Cut(bytes.TrimPrefix(line, []byte("[")), []byte("] "))
	if !ok || line[0] != '[' {
		return s.fail(line, `"[time] (+delta) host event: { fields }"`)
	}
	*ev = trace.Event{Line: s.line, CPU: -1, PID: -1, TGID: -1, Stamp: trace.StampNano, Form: trace.FormPlain}
	if ev.Time, ok = s.time(stamp); !ok {
		return s.fail(stamp, "a time with nine decimals")
	}
	head, braces, ok := bytes.Cut(rest, []byte(": {"))
	if !ok {
		return s.fail(rest, `"event: { fields }"`)
	}
	ev.Name = string(head[bytes.LastIndexByte(head, ' ')+1:])
	if ev.Name == "" {
		return s.fail(head, "an event's name")
	}
	s.groups(append([]byte("{"), braces...), ev)
	ev.Args = s.args
	return decodeInto(&s.dec, ev, s.name)
}

// groups goes through "{ a = 1, b = 2 }, { ... }": the context's cpu_id,
// pid, tid and procname are taken, the last group becomes the event's text.
func (s *lttngSource) groups(b []byte, ev *trace.Event) {
	s.args = s.args[:0]
	for first := true; len(b) > 0 && b[0] == '{'; first = false {
		end := closing(b)
		group := bytes.TrimSpace(b[1:end])
		b = bytes.TrimLeft(b[min(end+1, len(b)):], ", ")
		last := len(b) == 0
		if !last || (first && bytes.HasPrefix(group, []byte("cpu_id = "))) {
			s.context(group, ev)
			continue
		}
		s.fields(group)
	}
}

// context takes what an event's context says about its task.
func (s *lttngSource) context(group []byte, ev *trace.Event) {
	eachField(group, func(key, value []byte) {
		v, err := strconv.ParseInt(string(value), 10, 32)
		switch {
		case string(key) == "procname":
			ev.Comm = string(bytes.Trim(value, `"`))
		case err != nil:
		case string(key) == "cpu_id":
			ev.CPU = int32(v)
		case string(key) == "tid":
			ev.PID = int32(v)
		case string(key) == "pid":
			ev.TGID = int32(v)
		}
	})
}

// fields writes a group as the plain form has it: "a=1 b=2".
func (s *lttngSource) fields(group []byte) {
	eachField(group, func(key, value []byte) {
		if len(s.args) > 0 {
			s.args = append(s.args, ' ')
		}
		s.args = append(append(append(s.args, key...), '='), value...)
	})
}

// eachField goes through "a = 1, b = "x, y"" by its commas outside of quotes
// and brackets.
func eachField(b []byte, f func(key, value []byte)) {
	for len(b) > 0 {
		end := fieldEnd(b)
		key, value, ok := bytes.Cut(b[:end], []byte(" = "))
		if ok {
			f(bytes.TrimSpace(key), bytes.TrimSpace(value))
		}
		b = bytes.TrimLeft(b[min(end+1, len(b)):], " ")
	}
}

// fieldEnd is the place of the comma behind the first field.
func fieldEnd(b []byte) int {
	depth, quoted := 0, false
	for i, c := range b {
		switch {
		case quoted:
			quoted = c != '"' || b[i-1] == '\\'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			return i
		}
	}
	return len(b)
}

// closing is the place of the brace that closes the one at the start.
func closing(b []byte) int {
	depth, quoted := 0, false
	for i, c := range b {
		switch {
		case quoted:
			quoted = c != '"' || b[i-1] == '\\'
		case c == '"':
			quoted = true
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

const dayNS = 24 * 3600 * 1_000_000_000

// time reads "13:09:21.211260539", the same with a date in front, or seconds.
func (s *lttngSource) time(b []byte) (uint64, bool) {
	date, clock, dated := bytes.Cut(b, []byte(" "))
	if !dated {
		clock = b
	}
	whole, decimals, ok := bytes.Cut(clock, []byte("."))
	ns, err := strconv.ParseUint(string(decimals), 10, 32)
	if !ok || len(decimals) != 9 || err != nil {
		return 0, false
	}
	var h, m, sec uint64
	if n, err := fmt.Sscanf(string(whole), "%d:%d:%d", &h, &m, &sec); n != 3 || err != nil {
		v, err := strconv.ParseUint(string(whole), 10, 64)
		if err != nil || v > 1<<34 || dated {
			return 0, false
		}
		return v*1e9 + ns, true
	}
	if h > 23 || m > 59 || sec > 60 {
		return 0, false
	}
	t := ((h*60+m)*60+sec)*1e9 + ns
	if dated {
		days, ok := daysOf(date)
		return days*dayNS + t, ok
	}
	if t+s.day < s.last && s.last-(t+s.day) > dayNS/2 {
		s.day += dayNS
	}
	s.last = t + s.day
	return s.last, true
}

// daysOf is the number of days from 1970 to a date "2014-10-07".
func daysOf(b []byte) (uint64, bool) {
	var y, m, d int64
	if n, err := fmt.Sscanf(string(b), "%d-%d-%d", &y, &m, &d); n != 3 || err != nil || y < 1970 || y > 2500 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	if m < 3 {
		y, m = y-1, m+12
	}
	return uint64(365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 719469), true
}

// lttngSink writes babeltrace2's text with --clock-seconds.
type lttngSink struct {
	w    *bufio.Writer
	last uint64
	any  bool
}

func newLTTngSink(w io.Writer) Sink { return &lttngSink{w: bufio.NewWriter(w)} }

func (s *lttngSink) Write(ev *trace.Event) error {
	delta := "+?.?????????"
	if s.any && ev.Time >= s.last {
		d := ev.Time - s.last
		delta = fmt.Sprintf("+%d.%09d", d/1e9, d%1e9)
	}
	s.last, s.any = ev.Time, true
	fmt.Fprintf(s.w, "[%d.%09d] (%s) kernsim %s: { cpu_id = %d }, ", ev.Time/1e9, ev.Time%1e9, delta, nameOf(ev), max(ev.CPU, 0))
	if ev.PID >= 0 {
		fmt.Fprintf(s.w, "{ procname = %q, tid = %d }, ", ev.Comm, ev.PID)
	}
	s.w.WriteString("{ ")
	sep := ""
	for key, value := range trace.Fields(textOf(ev)) {
		if key == nil {
			key, value = []byte("text"), strconv.AppendQuote(nil, string(value))
		}
		fmt.Fprintf(s.w, "%s%s = %s", sep, key, lttngValue(value))
		sep = ", "
	}
	_, err := s.w.WriteString(" }\n")
	return err
}

func (s *lttngSink) Close() error { return s.w.Flush() }

// lttngValue quotes what is no number.
func lttngValue(v []byte) []byte {
	if len(v) > 0 && v[0] == '"' {
		return v
	}
	if _, ok := trace.ParseInt(v); ok {
		return v
	}
	if _, ok := trace.ParseUint(v); ok {
		return v
	}
	return strconv.AppendQuote(nil, string(v))
}
