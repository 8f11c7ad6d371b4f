package convert

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/kernsim/kernsim/trace"
)

// csvColumns are the columns of a CSV file, in their order. Times are
// nanoseconds (ticks if stamp is ticks); a missing cpu, pid or tgid is -1; kind
// is only filled for lines that are no tracepoints.
var csvColumns = []string{"time", "cpu", "pid", "tgid", "comm", "flags", "system", "event", "args", "stamp", "form", "kind", "lost"}

// stampNames name the ways to write a time.
var stampNames = []string{trace.StampMicro: "us", trace.StampNano: "ns", trace.StampUsecs: "usecs", trace.StampTicks: "ticks"}

// specialKinds are the kinds that are no tracepoints, by the names they get in
// files.
var specialKinds = []struct {
	name string
	kind trace.Kind
}{
	{"lost", trace.KindLost},
	{"function", trace.KindFunction},
	{"stack_trace", trace.KindStackTrace},
	{"stack_frame", trace.KindStackFrame},
	{"syscall_enter", trace.KindSyscallEnter},
	{"syscall_exit", trace.KindSyscallExit},
}

// specialName is the name of a kind that is no tracepoint, else empty.
func specialName(k trace.Kind) string {
	for _, s := range specialKinds {
		if s.kind == k {
			return s.name
		}
	}
	return ""
}

// specialKind is the kind of a name that specialName gave.
func specialKind(name string) trace.Kind {
	for _, s := range specialKinds {
		if s.name == name {
			return s.kind
		}
	}
	return trace.KindUnknown
}

// csvSink writes one line an event.
type csvSink struct{ w *csv.Writer }

func newCSVSink(w io.Writer) (Sink, error) {
	c := csv.NewWriter(w)
	return &csvSink{c}, c.Write(csvColumns)
}

func (s *csvSink) Write(ev *trace.Event) error {
	return s.w.Write([]string{
		strconv.FormatUint(ev.Time, 10), strconv.Itoa(int(ev.CPU)), strconv.Itoa(int(ev.PID)), strconv.Itoa(int(ev.TGID)),
		ev.Comm, ev.Flags.String(), ev.System, nameOf(ev), string(textOf(ev)),
		stampNames[ev.Stamp&3], ev.Form.String(), specialName(ev.Kind), strconv.FormatUint(ev.Lost, 10),
	})
}

func (s *csvSink) Close() error {
	s.w.Flush()
	return s.w.Error()
}

// csvSource reads what csvSink writes.
type csvSource struct {
	r    *csv.Reader
	name string
	dec  trace.Decoder
}

func openCSV(r io.Reader, name string) (Source, error) {
	c := csv.NewReader(r)
	c.ReuseRecord, c.FieldsPerRecord = true, len(csvColumns)
	s := &csvSource{r: c, name: name}
	head, err := c.Read()
	if err != nil {
		return nil, s.fail(err)
	}
	for i, want := range csvColumns {
		if head[i] != want {
			return nil, &trace.ParseError{File: name, Line: 1, Found: strconv.Quote(head[i]), Expected: "a column " + want}
		}
	}
	return s, nil
}

// fail turns an error of the CSV package into one with the file's name.
func (s *csvSource) fail(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return &trace.ParseError{File: s.name, Line: p.Line, Found: p.Err.Error(), Expected: "a line of CSV", Err: err}
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

func (s *csvSource) Read(ev *trace.Event) error {
	row, err := s.r.Read()
	if err != nil {
		return s.fail(err)
	}
	line, _ := s.r.FieldPos(0)
	*ev = trace.Event{Line: line, Comm: row[4], Flags: trace.FlagsOf(row[5]), System: row[6], Name: row[7], Args: []byte(row[8])}
	n := numbers{text: row}
	ev.Time, ev.CPU, ev.PID, ev.TGID, ev.Lost = n.uint(0), n.int(1), n.int(2), n.int(3), n.uint(12)
	ev.Stamp = trace.Stamp(n.index(9, stampNames))
	ev.Form = trace.Form(n.index(10, formNames))
	ev.Kind = specialKind(row[11])
	if n.bad >= 0 {
		return &trace.ParseError{File: s.name, Line: line, Found: strconv.Quote(row[n.bad]), Expected: "a value of " + csvColumns[n.bad]}
	}
	return decodeInto(&s.dec, ev, s.name)
}

// formNames name the layouts of a line.
var formNames = []string{"tracefs", "latency", "perf", "plain"}

// numbers reads fields of a row and notes the first bad one.
type numbers struct {
	text []string
	set  bool
	bad  int
}

func (n *numbers) fault(i int, bad bool) {
	if !n.set {
		n.set, n.bad = true, -1
	}
	if bad && n.bad < 0 {
		n.bad = i
	}
}

func (n *numbers) uint(i int) uint64 {
	v, err := strconv.ParseUint(n.text[i], 10, 64)
	n.fault(i, err != nil)
	return v
}

func (n *numbers) int(i int) int32 {
	v, err := strconv.ParseInt(n.text[i], 10, 32)
	n.fault(i, err != nil)
	return int32(v)
}

// index is the place of field i among names.
func (n *numbers) index(i int, names []string) int {
	for at, name := range names {
		if name == n.text[i] {
			return at
		}
	}
	n.fault(i, true)
	return 0
}

// decodeInto fills the payload and puts the file's name into the error.
func decodeInto(d *trace.Decoder, ev *trace.Event, file string) error {
	if ev.Kind != trace.KindUnknown && specialName(ev.Kind) != "" {
		return nil
	}
	err := d.Decode(ev)
	var p *trace.ParseError
	if errors.As(err, &p) {
		p.File = file
	}
	return err
}
