package trace

import (
	"bytes"
	"io"
	"math"
	"slices"
)

// Reader reads the events of a trace text, one line at a time, in constant
// memory. It is not safe for concurrent use.
type Reader struct {
	lines  *lineReader
	tokens interner    // event names as printed, with subsystem and colon
	byWord []tokenName // what each of the tokens stands for, by its index
	names  interner    // event names; the index of a name is that of its Count
	events []Count     // in order of first appearance
	comms  interner    // task names
	texts  interner    // texts of the payloads
	dec    decoder
	ctx    [2]context // of the current line and of the event before
	cur    int        // which of them is the event's
	header Header
	lost   uint64
	err    error // what every further Read gives

	returned KindSet // what Read returns
	decoded  KindSet // whose Args are decoded
	stackOf  bool    // the event before was returned, so its stack's frames are too
	comm     string  // of the event before, if it was returned
	flags    Flags   // of the event before, if it was returned
}

// tokenName is what a printed event name stands for.
type tokenName struct {
	name   string
	system string
	event  int32 // index of its Count
	kind   Kind
}

// Header is what a trace says about itself in front of its events. Fields that
// it does not have are zero.
type Header struct {
	Tracer   string // "# tracer: nop"
	InBuffer uint64 // entries-in-buffer: events in the file
	Written  uint64 // entries-written: events since the trace started
	CPUs     int    // "#P:4", or trace-cmd's "cpus=4"
	TGID     bool   // the lines have a TGID column
	RT       bool   // the lines have PREEMPT_RT's seven latency columns, see Flags
}

// Overwritten is the number of events that the kernel's ring buffer had lost
// when the file was read.
func (h *Header) Overwritten() uint64 {
	if h.Written < h.InBuffer {
		return 0
	}
	return h.Written - h.InBuffer
}

// Count says how often an event occurred.
type Count struct {
	Name string
	Kind Kind
	N    uint64
}

// NewReader reads a trace text from r; name stands for it in errors. A gzip
// file is recognized by its first bytes and decompressed; for other
// compressions give a reader that decompresses. It fails with a [ParseError]
// if r holds something else by its first bytes, for example a trace.dat.
func NewReader(r io.Reader, name string) (*Reader, error) {
	lines, err := newLineReader(r, name, MaxLine)
	if err != nil {
		return nil, err
	}
	rd := &Reader{lines: lines, returned: AllKinds(), decoded: AllKinds()}
	rd.dec.texts = &rd.texts
	return rd, nil
}

// Select makes Read return only events of these kinds; KindUnknown stands for
// all unknown ones. Lost events are always returned. The others are checked as
// far as their name, counted and passed over.
func (r *Reader) Select(kinds ...Kind) {
	r.returned = Kinds(kinds...).Union(Kinds(KindLost))
}

// Decode makes Read fill the payloads only of these kinds; events of other
// kinds are returned with their Args alone. Without it all are decoded.
func (r *Reader) Decode(kinds ...Kind) { r.decoded = Kinds(kinds...) }

// Line is the number of the line read last.
func (r *Reader) Line() int { return r.lines.line }

// Header gives what the lines read so far say about the trace.
func (r *Reader) Header() Header { return r.header }

// Lost is the number of lost events that the lines read so far report; a
// report that does not say how many counts as one. What the ring buffer
// overwrote is in [Header.Overwritten].
func (r *Reader) Lost() uint64 { return r.lost }

// Counts gives how often each event occurred in the lines read so far, those
// passed over included, in order of first appearance.
func (r *Reader) Counts() []Count {
	return slices.Clone(r.events)
}

// Read reads the next event into ev. At the end it gives io.EOF. A line that
// is none of the known forms gives a [ParseError]; after an error every
// further Read gives the same one.
func (r *Reader) Read(ev *Event) error {
	for r.err == nil {
		line, err := r.lines.next()
		if err != nil {
			r.err = err
			break
		}
		done, err := r.readLine(line, ev)
		if err != nil {
			r.err = err
			break
		}
		if done {
			return nil
		}
	}
	return r.err
}

// readLine reads one line; done says that it is an event to return.
func (r *Reader) readLine(line []byte, ev *Event) (done bool, err error) {
	if len(line) == 0 || line[0] == '#' {
		r.readComment(line)
		return false, nil
	}
	c := &r.ctx[1-r.cur]
	if !parseContext(line, c) {
		return r.readOther(line, ev)
	}
	r.cur = 1 - r.cur
	t, args, err := r.name(line, c.next)
	if err != nil {
		return false, err
	}
	r.events[t.event].N++
	r.stackOf = r.returned.Has(t.kind)
	if !r.stackOf {
		return false, nil
	}
	r.comm, r.flags = r.comms.get(c.comm), Flags{}
	copy(r.flags[:], c.flags)
	r.fill(ev, c)
	ev.Kind, ev.Name, ev.System = t.kind, t.name, t.system
	ev.Args = args
	return true, r.decode(ev)
}

// fill copies the context of the event before, or of the current one, into ev.
func (r *Reader) fill(ev *Event, c *context) {
	if p := payloadOf(ev.Kind); p.clear != nil {
		p.clear(ev)
	}
	ev.Line = r.lines.line
	ev.Time, ev.Stamp, ev.Form = c.time, c.stamp, c.form
	ev.CPU, ev.PID, ev.TGID, ev.Lost = c.cpu, c.pid, c.tgid, 0
	ev.Comm, ev.Flags = r.comm, r.flags
}

// decode fills ev's payload if it is wanted.
func (r *Reader) decode(ev *Event) error {
	p := payloadOf(ev.Kind)
	if p.decode == nil || !r.decoded.Has(ev.Kind) || r.dec.decode(p, ev) {
		return nil
	}
	return r.lines.fail(quote(r.dec.found)+" in "+ev.Name, r.dec.expected)
}

// name finds the event's name, which starts at p, and the text behind it.
func (r *Reader) name(line []byte, p int) (*tokenName, []byte, error) {
	end := bytes.IndexByte(line[p:], ' ')
	if end < 0 {
		end = len(line) - p
	}
	if end > 1 && line[p+end-1] == ':' {
		if i := r.tokens.lookup(line[p : p+end]); i >= 0 {
			return &r.byWord[i], line[min(p+end+1, len(line)):], nil
		}
	}
	return r.newName(line, p)
}

// newName reads a name that is new, or stands in a layout of its own.
func (r *Reader) newName(line []byte, p int) (*tokenName, []byte, error) {
	var n eventName
	if !splitName(line, p, &n) {
		return nil, nil, r.lines.fail(quote(line[p:]), `an event, "name: fields"`)
	}
	i, j := r.names.find(n.name), r.tokens.find(n.token)
	if i < 0 || j < 0 {
		return nil, nil, r.lines.fail("one more event, "+quote(n.name), "no more different events than before")
	}
	name := r.names.strings[i]
	if i == len(r.events) {
		kind := n.kind
		if kind == KindUnknown {
			kind = KindByName(name)
		}
		r.events = append(r.events, Count{Name: name, Kind: kind})
	}
	if j == len(r.byWord) {
		r.byWord = append(r.byWord, tokenName{name, r.texts.get(n.system), int32(i), r.events[i].Kind})
	}
	return &r.byWord[j], n.args, nil
}

// eventName is the part of a line behind its context.
type eventName struct {
	token  []byte // the name as printed
	system []byte
	name   []byte
	args   []byte
	kind   Kind // set where the form of the text tells it
}

// functionName is the name given to the function tracer's lines.
var functionName = []byte(kindNames[KindFunction])

// splitName takes the event's name off line, where it starts at p.
func splitName(line []byte, p int, n *eventName) bool {
	end, colon := p, -1
	for end < len(line) && class[line[end]]&className != 0 {
		if line[end] == ':' && colon < 0 {
			colon = end
		}
		end++
	}
	rest := line[end:]
	n.token = line[p:end]
	switch {
	case end > p+1 && line[end-1] == ':' && (len(rest) == 0 || rest[0] == ' '):
		n.name, n.args = line[p:end-1], rest[min(1, len(rest)):]
		if colon > p && colon < end-2 {
			n.system, n.name = line[p:colon], line[colon+1:end-1]
		}
	case end > p && len(rest) > 0 && rest[0] == '(':
		n.name, n.args, n.kind = n.token, rest, KindSyscallEnter
	case end > p && bytes.HasPrefix(rest, []byte(" -> ")):
		n.name, n.args, n.kind = n.token, rest[1:], KindSyscallExit
	case end > p && bytes.Contains(rest, []byte(" <-")):
		n.name, n.args, n.kind = functionName, line[p:], KindFunction
		n.token = n.name
	case string(line[p:]) == kindNames[KindStackTrace]:
		n.name, n.kind = line[p:], KindStackTrace
		n.token = n.name
	default:
		return false
	}
	return true
}

// readOther reads a line that is no event: blank, a report of lost events, a
// stack's frame, or something trace-cmd says.
func (r *Reader) readOther(line []byte, ev *Event) (done bool, err error) {
	text := trimBoth(line)
	switch {
	case len(text) == 0:
		return false, nil
	case bytes.HasPrefix(text, []byte("=> ")):
		return r.readFrame(text[3:], ev), nil
	case r.ctx[r.cur].form == FormPerf && isPerfFrame(line):
		return r.readFrame(bytes.TrimLeft(line, " \t"), ev), nil
	case bytes.HasPrefix(text, []byte("CPU:")):
		if c, n, ok := parseLost(text[4:]); ok {
			r.lost += max(n, 1)
			r.fillLost(ev, c, n)
			return true, nil
		}
	case bytes.HasPrefix(text, []byte("cpus=")):
		if n, ok := parseDecimal(text[5:]); ok && n <= math.MaxInt32 {
			r.header.CPUs = int(n)
			return false, nil
		}
	case isToolNote(text):
		return false, nil
	}
	return false, r.lines.fail(quote(line), `an event, "task-pid [cpu] flags time: name: fields"`)
}

// fillLost makes ev a report of n lost events on a CPU. It has no time.
func (r *Reader) fillLost(ev *Event, cpu int32, n uint64) {
	r.fill(ev, &context{cpu: cpu, pid: -1, tgid: -1})
	ev.Comm, ev.Flags = "", Flags{}
	ev.Kind, ev.Name, ev.System, ev.Args = KindLost, kindNames[KindLost], "", nil
	ev.Lost = n
}

// readFrame reads a stack's frame: all but its kind and text are those of the
// event before.
func (r *Reader) readFrame(symbol []byte, ev *Event) (done bool) {
	if !r.stackOf || !r.returned.Has(KindStackFrame) {
		return false
	}
	r.fill(ev, &r.ctx[r.cur])
	ev.Kind, ev.Name, ev.System = KindStackFrame, kindNames[KindStackFrame], ""
	ev.Args = symbol
	return true
}

// isPerfFrame says whether line is a frame of perf's callchains: white space,
// an address, a symbol.
func isPerfFrame(line []byte) bool {
	text := bytes.TrimLeft(line, " \t")
	address, symbol, ok := bytes.Cut(text, []byte(" "))
	if !ok || len(text) == len(line) || len(symbol) == 0 {
		return false
	}
	_, ok = parseHex(address)
	return ok
}

// parseLost reads what follows "CPU:" in a report of lost events:
// "3 [LOST 12 EVENTS]", "3 [LOST EVENTS]" of the kernel, "3 [12 EVENTS DROPPED]"
// and "3 [EVENTS DROPPED]" of trace-cmd. n is 0 if it does not say how many.
func parseLost(text []byte) (cpu int32, n uint64, ok bool) {
	v, p := scanDecimal(text, 0)
	if p == 0 || v > math.MaxInt32 {
		return 0, 0, false
	}
	rest := text[p:]
	for _, form := range lostForms {
		if bytes.HasPrefix(rest, []byte(form.before)) && bytes.HasSuffix(rest, []byte(form.after)) && len(rest) > len(form.before)+len(form.after) {
			n, ok = parseDecimal(rest[len(form.before) : len(rest)-len(form.after)])
			if ok {
				return int32(v), n, true
			}
		}
	}
	return int32(v), 0, string(rest) == " [LOST EVENTS]" || string(rest) == " [EVENTS DROPPED]"
}

// lostForms is what stands around the number of lost events.
var lostForms = [...]struct{ before, after string }{
	{" [LOST ", " EVENTS]"},
	{" [", " EVENTS DROPPED]"},
}

// isToolNote says whether text is one of trace-cmd's remarks: "version = 6",
// "CPU 0 is empty".
func isToolNote(text []byte) bool {
	if rest, ok := bytes.CutPrefix(text, []byte("version = ")); ok {
		_, ok = parseDecimal(rest)
		return ok
	}
	rest, ok := bytes.CutPrefix(text, []byte("CPU "))
	if !ok {
		return false
	}
	rest, ok = bytes.CutSuffix(rest, []byte(" is empty"))
	_, number := parseDecimal(rest)
	return ok && number
}

// readComment takes what the header's comments tell.
func (r *Reader) readComment(line []byte) {
	if rest, ok := bytes.CutPrefix(line, []byte("# tracer: ")); ok {
		r.header.Tracer = string(rest)
		return
	}
	if bytes.Contains(line, []byte("TASK-PID")) {
		r.header.TGID = bytes.Contains(line, []byte(" TGID "))
		r.header.RT = bytes.Contains(line, []byte(" ||||||| "))
		return
	}
	rest, ok := bytes.CutPrefix(line, []byte("# entries-in-buffer/entries-written: "))
	if !ok {
		return
	}
	in, p := scanDecimal(rest, 0)
	if p == 0 || p >= len(rest) || rest[p] != '/' {
		return
	}
	written, end := scanDecimal(rest, p+1)
	if end == p+1 {
		return
	}
	r.header.InBuffer, r.header.Written = in, written
	if at := bytes.Index(rest[end:], []byte("#P:")); at >= 0 {
		n, _ := scanDecimal(rest[end:], at+3)
		r.header.CPUs = int(min(n, math.MaxInt32))
	}
}
