package convert

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/trace"
)

// maxShapes is how many builds of its text an event may have before its text
// is written whole, as one field.
const maxShapes = 16

// firstID is the number of the first event format; lower ones are the
// kernel's own.
const firstID = 1000

// specialSystem stands before the names of lines that are no tracepoints, as
// their subsystem.
const specialSystem = "kernsim"

// datSink collects events and writes a trace.dat of version 6 at Close: the
// formats, which stand at the file's start, are known only then.
type datSink struct {
	w       io.Writer
	events  []datEvent
	texts   []byte
	names   []string // texts by number: subsystems and names
	index   map[string]int32
	note    datNote
	columns int
	comms   map[int32]string
	tgids   map[int32]int32
	pids    []int32
	hasTask bool
	hasSys  bool
	micros  bool
	closed  bool

	shapes  map[string]*shape
	order   []*shape
	counts  map[string]int
	pieces  []piece
	page    int
	current []byte
}

// datEvent is an event that waits for Close.
type datEvent struct {
	time           uint64
	lost           uint64
	text, length   int
	cpu, pid       int32
	system, name   int32
	flags, preempt uint8
	isLost         bool
	shape          *shape
}

func newDatSink(w io.Writer) Sink {
	return &datSink{
		w: w, index: map[string]int32{}, comms: map[int32]string{}, tgids: map[int32]int32{},
		shapes: map[string]*shape{}, counts: map[string]int{}, micros: true, columns: -1,
	}
}

func (s *datSink) Write(ev *trace.Event) error {
	if s.closed {
		return errClosed
	}
	e := datEvent{time: ev.Time, lost: ev.Lost, cpu: max(ev.CPU, 0), pid: max(ev.PID, 0), isLost: ev.Kind == trace.KindLost}
	e.flags, e.preempt = commonOf(ev.Flags)
	text := kernelText(ev)
	e.text, e.length = len(s.texts), len(text)
	s.texts = append(s.texts, text...)
	if bytes.IndexByte(text, 0) >= 0 || e.cpu >= maxDatCPUs {
		return fmt.Errorf("convert: event %d, %s: zero byte or CPU %d in a trace.dat", len(s.events)+1, ev.Name, ev.CPU)
	}
	e.system, e.name = s.intern(writtenSystem(ev)), s.intern(nameOf(ev))
	if !e.isLost {
		s.observe(ev)
	}
	s.events = append(s.events, e)
	return nil
}

// intern gives a text's number.
func (s *datSink) intern(text string) int32 {
	i, ok := s.index[text]
	if !ok {
		i = int32(len(s.names))
		s.index[text] = i
		s.names = append(s.names, text)
	}
	return i
}

// kernelText is an event's text. Tools find a switch's and a wakeup's tasks by
// their fields, so these are written as the kernel prints them where another
// tool's text has other fields.
func kernelText(ev *trace.Event) []byte {
	key := ""
	switch ev.Kind {
	case trace.KindSchedSwitch:
		key = "prev_pid"
	case trace.KindSchedWakeup, trace.KindSchedWaking, trace.KindSchedWakeupNew:
		key = "pid"
	default:
		return textOf(ev)
	}
	if _, ok := trace.FieldValue(ev.Args, key); !ok {
		return ev.AppendArgs(nil)
	}
	return ev.Args
}

// writtenSystem is the subsystem that an event gets in the file.
func writtenSystem(ev *trace.Event) string {
	if special := specialName(ev.Kind); special != "" {
		return specialSystem + "_" + special
	}
	if ev.System != "" {
		return ev.System
	}
	if system := ev.Kind.System(); system != "" {
		return system
	}
	return specialSystem
}

// systemOf is the reverse of writtenSystem.
func systemOf(system string) (string, trace.Kind) {
	if rest, ok := strings.CutPrefix(system, specialSystem+"_"); ok {
		if kind := specialKind(rest); kind != trace.KindUnknown {
			return "", kind
		}
	}
	if system == specialSystem {
		return "", trace.KindUnknown
	}
	return system, trace.KindUnknown
}

// observe notes what the file has to say beyond its events.
func (s *datSink) observe(ev *trace.Event) {
	n := ev.Flags.Len()
	if n == 7 {
		n = 5
	}
	if s.columns < 0 {
		s.columns, s.note.Stamp, s.note.Form = n, uint8(ev.Stamp), uint8(ev.Form)
	}
	s.columns = max(s.columns, n)
	s.hasSys = s.hasSys || ev.System != ""
	s.micros = s.micros && ev.Time%1000 == 0 && ev.Stamp == trace.StampMicro
	if ev.PID < 0 {
		return
	}
	s.hasTask = true
	if comm, ok := s.comms[ev.PID]; !ok || comm != ev.Comm {
		if !ok {
			s.pids = append(s.pids, ev.PID)
		}
		s.comms[ev.PID] = ev.Comm
		s.note.Comms = append(s.note.Comms, datComm{ev.PID, uint64(len(s.events)), []byte(ev.Comm)}) // the time is known later
	}
	if ev.TGID >= 0 && s.tgids[ev.PID] != ev.TGID {
		s.tgids[ev.PID] = ev.TGID
	}
}

func (s *datSink) Close() error {
	if s.closed {
		return errClosed
	}
	s.closed = true
	s.spread()
	for i := range s.events {
		s.assign(&s.events[i])
	}
	if firstID+len(s.order) > 1<<16 {
		return fmt.Errorf("convert: %d different events in a trace.dat", len(s.order))
	}
	for i, sh := range s.order {
		sh.id = uint16(firstID + i)
		sh.layOut()
	}
	if err := s.choosePage(); err != nil {
		return err
	}
	return s.writeFile()
}

// spread moves events within a microsecond apart, so that they stay in order.
func (s *datSink) spread() {
	last := uint64(0)
	for i := range s.events {
		e := &s.events[i]
		if s.micros && !e.isLost {
			if e.time <= last && last < e.time+499 {
				e.time = last + 1
			}
			last = e.time
		}
	}
	for i := range s.note.Comms {
		c := &s.note.Comms[i]
		c.Time = s.events[c.Time].time
	}
}

// assign finds an event's shape.
func (s *datSink) assign(e *datEvent) {
	if e.isLost {
		return
	}
	system, name := s.names[e.system], s.names[e.name]
	pieces, tail := s.cut(e, s.counts[system+":"+name] >= maxShapes)
	key := skeleton(system, name, pieces, tail)
	sh := s.shapes[key]
	if sh == nil {
		s.counts[system+":"+name]++
		if s.counts[system+":"+name] >= maxShapes {
			pieces, tail = s.cut(e, true)
			key = skeleton(system, name, pieces, tail)
			sh = s.shapes[key]
		}
		if sh == nil {
			sh = newShape(system, name, pieces, tail)
			s.shapes[key] = sh
			s.order = append(s.order, sh)
		}
	}
	sh.note(pieces)
	e.shape = sh
}

// cut takes an event's text apart, or takes it whole.
func (s *datSink) cut(e *datEvent, whole bool) ([]piece, []byte) {
	text := s.texts[e.text : e.text+e.length]
	if whole || strings.HasPrefix(s.names[e.system], specialSystem+"_") {
		s.pieces = append(s.pieces[:0], piece{key: []byte("text"), value: text})
		return s.pieces, nil
	}
	var tail []byte
	s.pieces, tail = cutArgs(text, s.pieces[:0])
	return s.pieces, tail
}

// appendRecord writes an event's record.
func (s *datSink) appendRecord(b []byte, e *datEvent) []byte {
	start := len(b)
	sh := e.shape
	pieces, _ := s.cut(e, len(sh.fields) == 1 && sh.fields[0].name == "text" && sh.fields[0].literal == "")
	b = append(b, make([]byte, sh.fixed)...)
	fixed := b[start:]
	le := binary.LittleEndian
	le.PutUint16(fixed, sh.id)
	fixed[2], fixed[3] = e.flags, e.preempt
	le.PutUint32(fixed[4:], uint32(e.pid))
	for i := range sh.fields {
		f, p := &sh.fields[i], &pieces[i]
		at := b[start+f.offset:]
		switch {
		case f.isState:
			le.PutUint64(at, uint64(stateOf(string(p.value))))
		case f.isInline:
			copy(at[:f.size], p.value)
		case f.class == classText:
			le.PutUint32(at, uint32(len(b)-start)|uint32(len(p.value)+1)<<16)
			b = append(append(b, p.value...), 0)
		default:
			v, _ := p.parseValue()
			if f.size == 8 {
				le.PutUint64(at, v)
			} else {
				le.PutUint32(at, uint32(v))
			}
		}
	}
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

const (
	pageHeader   = 16
	maxRecHeader = 16 // time extend, first word, length
)

// choosePage makes pages large enough for the longest record.
func (s *datSink) choosePage() error {
	longest := 0
	for i := range s.events {
		if e := &s.events[i]; e.shape != nil {
			longest = max(longest, e.shape.fixed+e.length+len(e.shape.fields)+4)
		}
	}
	for s.page = 4096; s.page < longest+pageHeader+maxRecHeader; s.page *= 2 {
		if s.page == 1<<16 {
			return fmt.Errorf("convert: an event of %d bytes in a trace.dat", longest)
		}
	}
	return nil
}

// pages writes the pages of one CPU.
func (s *datSink) pages(cpu int32) []byte {
	var out []byte
	p := datPage{size: s.page}
	for i := range s.events {
		e := &s.events[i]
		switch {
		case e.cpu != cpu:
		case e.isLost:
			out = p.flush(out)
			p.lost, p.hasLost = p.lost+e.lost, true
		default:
			s.current = s.appendRecord(s.current[:0], e)
			if len(p.b) > 0 && (len(p.b)+len(s.current)+maxRecHeader > s.page-8 || e.time < p.last) {
				out = p.flush(out)
			}
			p.add(e.time, s.current)
		}
	}
	return p.flush(out)
}

// datPage is a page of the ring buffer that is being filled.
type datPage struct {
	size    int
	b       []byte
	first   uint64
	last    uint64
	lost    uint64
	hasLost bool
}

// add appends a record.
func (p *datPage) add(time uint64, rec []byte) {
	le := binary.LittleEndian
	if len(p.b) == 0 {
		p.first, p.last = time, time
	}
	delta := time - p.last
	p.last = time
	if delta >= 1<<27 {
		p.b = le.AppendUint32(p.b, recTimeExtend|uint32(delta&(1<<27-1))<<5)
		p.b = le.AppendUint32(p.b, uint32(delta>>27))
		delta = 0
	}
	if words := len(rec) / 4; words < recPadding {
		p.b = le.AppendUint32(p.b, uint32(words)|uint32(delta)<<5)
	} else {
		p.b = le.AppendUint32(p.b, uint32(delta)<<5)
		p.b = le.AppendUint32(p.b, uint32(len(rec)+4))
	}
	p.b = append(p.b, rec...)
}

// flush writes the page, if it says anything, and empties it.
func (p *datPage) flush(out []byte) []byte {
	if len(p.b) == 0 && !p.hasLost {
		return out
	}
	le := binary.LittleEndian
	if len(p.b) == 0 {
		p.first = p.last
	}
	commit := uint64(len(p.b))
	if p.hasLost {
		commit |= 1<<31 | 1<<30
	}
	out = le.AppendUint64(le.AppendUint64(out, p.first), commit)
	out = append(out, p.b...)
	rest := p.size - pageHeader - len(p.b)
	if p.hasLost {
		out = le.AppendUint64(out, p.lost)
		rest -= 8
	}
	out = append(out, make([]byte, rest)...)
	*p = datPage{size: p.size, b: p.b[:0], last: p.last}
	return out
}

// writeFile writes header and pages.
func (s *datSink) writeFile() error {
	cpus := int32(0)
	for i := range s.events {
		cpus = max(cpus, s.events[i].cpu+1)
	}
	var b bytes.Buffer
	s.writeHead(&b, cpus)
	data := make([][]byte, cpus)
	at := int64(b.Len()) + int64(cpus)*16
	at = (at + int64(s.page) - 1) / int64(s.page) * int64(s.page)
	first := at
	for cpu := range cpus {
		data[cpu] = s.pages(cpu)
		put(&b, uint64(at), uint64(len(data[cpu])))
		at += int64(len(data[cpu]))
	}
	b.Write(make([]byte, first-int64(b.Len())))
	w := bufio.NewWriter(s.w)
	w.Write(b.Bytes())
	for _, d := range data {
		w.Write(d)
	}
	return w.Flush()
}

// put writes numbers in the file's byte order.
func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			b.WriteString(v + "\x00")
		case uint16:
			b.Write(binary.LittleEndian.AppendUint16(nil, v))
		case uint32:
			b.Write(binary.LittleEndian.AppendUint32(nil, v))
		case uint64:
			b.Write(binary.LittleEndian.AppendUint64(nil, v))
		}
	}
}

// putSized writes a text behind its 64-bit size.
func putSized(b *bytes.Buffer, text string) {
	put(b, uint64(len(text)))
	b.WriteString(text)
}

// writeHead writes everything in front of the table of the CPUs' data.
func (s *datSink) writeHead(b *bytes.Buffer, cpus int32) {
	b.Write(datMagic)
	put(b, "6")
	b.WriteByte(0) // little endian
	b.WriteByte(8) // bytes of a long
	put(b, uint32(s.page))
	put(b, "header_page")
	putSized(b, fmt.Sprintf("\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"+
		"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:%d;\tsigned:0;\n", s.page-pageHeader))
	put(b, "header_event")
	putSized(b, "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n"+
		"\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max type_len  == 28\n")
	put(b, uint32(0)) // formats of ftrace's own events
	s.writeFormats(b)
	put(b, uint32(0)) // kallsyms
	put(b, uint32(0)) // formats of trace_printk
	var names strings.Builder
	for _, pid := range s.pids {
		fmt.Fprintf(&names, "%d %s\n", pid, s.comms[pid])
	}
	putSized(b, names.String())
	put(b, uint32(cpus), "options  ")
	if trace.Stamp(s.note.Stamp) == trace.StampTicks {
		clock := "[counter]\x00"
		put(b, uint16(optTraceClock), uint32(len(clock)))
		b.WriteString(clock)
	}
	notes := s.notes()
	put(b, uint16(datNotes), uint32(len(notes)))
	b.Write(notes)
	put(b, uint16(optDone), "flyrecord")
}

// writeFormats writes the events' formats by subsystem.
func (s *datSink) writeFormats(b *bytes.Buffer) {
	var systems []string
	for _, sh := range s.order {
		if !slices.Contains(systems, sh.system) {
			systems = append(systems, sh.system)
		}
	}
	put(b, uint32(len(systems)))
	for _, system := range systems {
		n := uint32(0)
		for _, sh := range s.order {
			if sh.system == system {
				n++
			}
		}
		put(b, system, n)
		for _, sh := range s.order {
			if sh.system == system {
				putSized(b, sh.formatText())
			}
		}
	}
}

// notes is what the file says beyond the format.
func (s *datSink) notes() []byte {
	n := s.note
	n.Columns = max(s.columns, 0) + 1
	n.NoTask, n.NoSystem, n.Micros = !s.hasTask, !s.hasSys, s.micros
	for _, pid := range s.pids {
		if t, ok := s.tgids[pid]; ok {
			n.TGIDs = append(n.TGIDs, [2]int{int(pid), int(t)})
		}
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil // names and numbers always encode
	}
	return b
}
