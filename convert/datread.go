package convert

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/kernsim/kernsim/trace"
)

// datMagic starts every trace.dat.
var datMagic = []byte("\x17\x08\x44tracing")

// Options and sections of a trace.dat. datNotes is ours: trace-cmd skips
// options that it does not know.
const (
	optDone         = 0
	optBuffer       = 3
	optTraceClock   = 4
	optHeaderInfo   = 16
	optEventFormats = 18
	optKallsyms     = 19
	optPrintk       = 20
	optCmdlines     = 21
	datNotes        = 0x4b53
)

// maxDatCPUs bounds the CPUs of a file.
const maxDatCPUs = 1 << 16

// datSource reads a trace.dat: the events of all CPUs, merged by time.
type datSource struct {
	name    string
	in      *datInput
	version int
	order   binary.ByteOrder
	long    int // of the kernel
	page    int
	data    int // where a page's records start
	codec   string

	formats map[uint16]*EventFormat
	common  [3]FormatField // common_type's, flags', preempt_count's places
	pid     FormatField
	syms    *Symbols
	comms   map[int32]string
	clock   string
	notes   datNote
	tgids   map[int32]int32
	renamed map[int32][]datComm

	cpus   []*datCPU
	frames []uint64    // addresses of a stack that are not given yet
	last   trace.Event // the stack's event
	n      int
	args   []byte
	dec    trace.Decoder
}

// datNote is what a file of datSink says beyond the format.
type datNote struct {
	Stamp    uint8     `json:"stamp"`
	Form     uint8     `json:"form"`
	Columns  int       `json:"columns"`             // latency columns and 1
	Micros   bool      `json:"micros,omitempty"`    // times were whole microseconds
	NoTask   bool      `json:"no_task,omitempty"`   // the lines had no tasks
	NoSystem bool      `json:"no_system,omitempty"` // and no subsystems
	TGIDs    [][2]int  `json:"tgids,omitempty"`
	Comms    []datComm `json:"comms,omitempty"`
}

// datComm says which name a task has from an event's time on.
type datComm struct {
	PID  int32  `json:"pid"`
	Time uint64 `json:"time"`
	Comm []byte `json:"comm"`
}

// datInput reads numbers and texts from a part of the file, or from unpacked
// bytes.
type datInput struct {
	r     io.ReaderAt
	name  string
	at    int64
	end   int64
	order binary.ByteOrder
	err   error
}

// fail notes the first fault.
func (d *datInput) fail(found, expected string) {
	if d.err == nil {
		d.err = &FormatError{d.name, d.at, found, expected}
	}
}

// bytes reads n bytes.
func (d *datInput) bytes(n int64) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > d.end-d.at {
		d.fail(fmt.Sprintf("%d bytes of content", n), fmt.Sprintf("at most the %d that are left", d.end-d.at))
		return nil
	}
	b := make([]byte, n)
	if m, err := d.r.ReadAt(b, d.at); int64(m) < n {
		d.fail(fmt.Sprintf("the file's end (%v)", err), "more content")
		return nil
	}
	d.at += n
	return b
}

func (d *datInput) u16() uint16 {
	if b := d.bytes(2); b != nil {
		return d.order.Uint16(b)
	}
	return 0
}

func (d *datInput) u32() uint32 {
	if b := d.bytes(4); b != nil {
		return d.order.Uint32(b)
	}
	return 0
}

func (d *datInput) u64() uint64 {
	if b := d.bytes(8); b != nil {
		return d.order.Uint64(b)
	}
	return 0
}

// sized reads a 64-bit size and so many bytes.
func (d *datInput) sized() []byte { return d.bytes(int64(min(d.u64(), 1<<62))) }

// maxString bounds the texts that end with a zero byte.
const maxString = 4096

// text reads up to a zero byte.
func (d *datInput) text() string {
	b := make([]byte, max(0, min(maxString, d.end-d.at)))
	n, _ := d.r.ReadAt(b, d.at)
	i := bytes.IndexByte(b[:n], 0)
	if i < 0 {
		d.fail("a text without end", "a zero byte")
		return ""
	}
	d.at += int64(i) + 1
	return string(b[:i])
}

// literal reads a text that must be there.
func (d *datInput) literal(want string) {
	if got := d.bytes(int64(len(want))); d.err == nil && string(got) != want {
		d.at -= int64(len(want))
		d.fail(strconv.Quote(string(got)), strconv.Quote(want))
	}
}

// sub reads from another place.
func (d *datInput) sub(r io.ReaderAt, at, end int64) *datInput {
	return &datInput{r: r, name: d.name, at: at, end: end, order: d.order}
}

func openDat(r io.ReaderAt, size int64, name string) (Source, error) {
	s := &datSource{
		name: name, in: &datInput{r: r, name: name, end: size, order: binary.LittleEndian},
		formats: map[uint16]*EventFormat{}, comms: map[int32]string{}, tgids: map[int32]int32{}, renamed: map[int32][]datComm{},
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open reads all but the events.
func (s *datSource) open() error {
	d := s.in
	d.literal(string(datMagic))
	version, err := strconv.Atoi(d.text())
	if d.err != nil {
		return d.err
	}
	if err != nil || version < 6 || version > 7 {
		return &FormatError{s.name, 10, "version " + strconv.Itoa(version), "6 or 7"}
	}
	s.version = version
	if big := d.bytes(1); d.err == nil && big[0] == 1 {
		d.order = binary.BigEndian
	}
	s.order = d.order
	d.bytes(1) // user space's long
	s.page = int(d.u32())
	if d.err == nil && (s.page < 64 || s.page > 1<<24) {
		d.fail(fmt.Sprintf("a page size of %d", s.page), "64 bytes to 16 MiB")
	}
	if version == 6 {
		s.openV6()
	} else {
		s.openV7()
	}
	if d.err != nil {
		return d.err
	}
	return s.prepare()
}

// openV6 reads version 6: all parts one after the other.
func (s *datSource) openV6() {
	d := s.in
	s.readHeaderInfo(d)
	s.readFtraceFormats(d)
	s.readEventFormats(d)
	s.syms = ParseSymbols(d.bytes(int64(d.u32())))
	s.readPrintk(d.bytes(int64(d.u32())))
	s.readCmdlines(d.sized())
	cpus := d.u32()
	kind := d.text()
	if kind == "options  " {
		for d.err == nil {
			id := d.u16()
			if id == optDone {
				break
			}
			s.option(id, d.bytes(int64(d.u32())))
		}
		kind = d.text()
	}
	if d.err == nil && kind != "flyrecord" {
		d.fail(strconv.Quote(kind), "flyrecord")
	}
	s.readCPUs(d, cpus)
}

// readCPUs reads version 6's table of the CPUs' data.
func (s *datSource) readCPUs(d *datInput, cpus uint32) {
	if d.err == nil && cpus > maxDatCPUs {
		d.fail(fmt.Sprintf("%d CPUs", cpus), fmt.Sprintf("at most %d", maxDatCPUs))
	}
	for cpu := range cpus {
		at, size := d.u64(), d.u64()
		if d.err != nil {
			return
		}
		s.addCPU(d, int32(cpu), at, size)
	}
}

// addCPU notes where a CPU's pages are.
func (s *datSource) addCPU(d *datInput, cpu int32, at, size uint64) {
	if size == 0 {
		return
	}
	if at > uint64(s.in.end) || size > uint64(s.in.end)-at {
		d.fail(fmt.Sprintf("data of CPU %d at %d, %d bytes", cpu, at, size), fmt.Sprintf("a place in the file's %d bytes", s.in.end))
		return
	}
	s.cpus = append(s.cpus, &datCPU{s: s, cpu: cpu, at: int64(at), end: int64(at + size)})
}

// openV7 reads version 7: sections that the options point to.
func (s *datSource) openV7() {
	d := s.in
	s.codec = d.text()
	d.text() // its version
	next := d.u64()
	seen := map[uint64]bool{}
	for d.err == nil && next != 0 {
		if seen[next] || next > uint64(d.end) {
			d.fail(fmt.Sprintf("options at %d", next), "another place in the file")
			return
		}
		seen[next] = true
		next = s.optionSection(next)
	}
}

// optionSection reads one section of options and gives the next one's place.
func (s *datSource) optionSection(at uint64) uint64 {
	d := s.section(at, optDone)
	for d.err == nil {
		id := d.u16()
		b := d.bytes(int64(d.u32()))
		if d.err != nil {
			break
		}
		if id == optDone {
			if len(b) < 8 {
				return 0
			}
			return s.order.Uint64(b)
		}
		s.option(id, b)
	}
	s.keep(d)
	return 0
}

// keep notes a part's fault as the file's.
func (s *datSource) keep(d *datInput) {
	if s.in.err == nil {
		s.in.err = d.err
	}
}

// section opens a section of version 7 at a place, unpacked.
func (s *datSource) section(at uint64, id uint16) *datInput {
	d := s.in.sub(s.in.r, int64(min(at, 1<<62)), s.in.end)
	if got := d.u16(); d.err == nil && got != id {
		d.at -= 2
		d.fail(fmt.Sprintf("section %d", got), fmt.Sprintf("section %d", id))
	}
	flags := d.u16()
	d.u32() // description
	size := d.u64()
	if d.err == nil && size > uint64(d.end-d.at) {
		d.fail(fmt.Sprintf("a section of %d bytes", size), fmt.Sprintf("at most the %d that are left", d.end-d.at))
	}
	if d.err != nil {
		return d
	}
	d.end = d.at + int64(size)
	if flags&1 == 0 {
		return d
	}
	packed, unpacked := d.u32(), d.u32()
	raw := d.bytes(int64(packed))
	if d.err != nil {
		return d
	}
	b, err := unpack(s.codec, raw, int64(unpacked))
	if err != nil {
		d.fail(err.Error(), "a compressed section")
		return d
	}
	return d.sub(bytes.NewReader(b), 0, int64(len(b)))
}

// option takes what an option says.
func (s *datSource) option(id uint16, b []byte) {
	switch {
	case id == datNotes:
		// Unknown to trace-cmd and harmless if it cannot be read.
		var note datNote
		if json.Unmarshal(b, &note) == nil && note.Stamp <= uint8(trace.StampTicks) && note.Form <= uint8(trace.FormPlain) && note.Columns <= 8 {
			s.note(note)
		}
	case id == optTraceClock:
		s.clock = chosenClock(string(cString(b)))
	case s.version == 6:
		if id == optBuffer && len(b) >= 8 {
			s.instance(s.order.Uint64(b))
		}
	case id == optBuffer:
		s.buffer(s.in.sub(bytes.NewReader(b), 0, int64(len(b))))
	case len(b) >= 8:
		s.pointed(id, s.order.Uint64(b))
	}
}

// note takes what a file of datSink says about itself.
func (s *datSource) note(n datNote) {
	s.notes = n
	for _, t := range n.TGIDs {
		s.tgids[int32(t[0])] = int32(t[1])
	}
	for _, c := range n.Comms {
		s.renamed[c.PID] = append(s.renamed[c.PID], c)
	}
}

// chosenClock gives the clock in brackets of "local [mono] global"; the text
// itself if there are none.
func chosenClock(s string) string {
	if _, rest, ok := bytes.Cut([]byte(s), []byte("[")); ok {
		name, _, _ := bytes.Cut(rest, []byte("]"))
		return string(name)
	}
	return s
}

// pointed reads a section of version 7 that an option points to.
func (s *datSource) pointed(id uint16, at uint64) {
	switch id {
	case optHeaderInfo:
		d := s.section(at, id)
		s.readHeaderInfo(d)
		s.keep(d)
	case optEventFormats:
		d := s.section(at, id)
		s.readEventFormats(d)
		s.keep(d)
	case 17:
		d := s.section(at, id)
		s.readFtraceFormats(d)
		s.keep(d)
	case optKallsyms:
		d := s.section(at, id)
		texts := s.syms
		s.syms = ParseSymbols(d.bytes(int64(d.u32())))
		if texts != nil {
			s.syms.texts = texts.texts
		}
		s.keep(d)
	case optPrintk:
		d := s.section(at, id)
		s.readPrintk(d.bytes(int64(d.u32())))
		s.keep(d)
	case optCmdlines:
		d := s.section(at, id)
		s.readCmdlines(d.sized())
		s.keep(d)
	}
}

// instance reads version 6's table of another trace instance.
func (s *datSource) instance(at uint64) {
	d := s.in.sub(s.in.r, int64(min(at, 1<<62)), s.in.end)
	kind := d.text()
	if kind == "flyrecord" {
		cpus := d.u32()
		s.readCPUs(d, cpus)
	}
	s.keep(d)
}

// buffer reads version 7's table of an instance.
func (s *datSource) buffer(d *datInput) {
	at := d.u64()
	d.text() // the instance's name
	clock := d.text()
	if s.clock == "" {
		s.clock = clock
	}
	if page := int(d.u32()); d.err == nil && page >= 64 && page <= 1<<24 {
		s.page = page
	}
	cpus := d.u32()
	packed := s.packed(at)
	for i := uint32(0); i < cpus && d.err == nil; i++ {
		cpu, at, size := d.u32(), d.u64(), d.u64()
		before := len(s.cpus)
		s.addCPU(d, int32(cpu&0x7fffffff), at, size)
		if len(s.cpus) > before {
			s.cpus[before].packed = packed
		}
	}
	s.keep(d)
}

// packed says whether a buffer's section has compressed pages.
func (s *datSource) packed(at uint64) bool {
	d := s.in.sub(s.in.r, int64(min(at, 1<<62)), s.in.end)
	d.u16()
	return d.u16()&1 != 0
}

// readHeaderInfo reads the layout of the ring buffer's pages.
func (s *datSource) readHeaderInfo(d *datInput) {
	d.literal("header_page\x00")
	page := d.sized()
	d.literal("header_event\x00")
	d.sized()
	s.long, s.data = 8, 16
	for _, line := range bytes.Split(page, []byte("\n")) {
		f, err := parseField(string(bytes.TrimSpace(line)))
		if err != nil {
			continue
		}
		if f.Name == "commit" && (f.Size == 4 || f.Size == 8) {
			s.long = f.Size
		}
		if f.Name == "data" && f.Offset >= 12 {
			s.data = f.Offset
		}
	}
}

// readFtraceFormats reads the formats of ftrace's own events.
func (s *datSource) readFtraceFormats(d *datInput) {
	for n := d.u32(); n > 0 && d.err == nil; n-- {
		s.addFormat(d, d.sized(), "ftrace")
	}
}

// readEventFormats reads the formats by subsystem.
func (s *datSource) readEventFormats(d *datInput) {
	for n := d.u32(); n > 0 && d.err == nil; n-- {
		system := d.text()
		for m := d.u32(); m > 0 && d.err == nil; m-- {
			s.addFormat(d, d.sized(), system)
		}
	}
}

func (s *datSource) addFormat(d *datInput, text []byte, system string) {
	if d.err != nil {
		return
	}
	f, err := ParseEventFormat(text, system, s.order, s.long)
	if err != nil {
		d.fail(err.Error(), "an event's format")
		return
	}
	if _, ok := s.formats[f.ID]; !ok {
		s.formats[f.ID] = f
	}
}

// readPrintk reads the kernel's constant texts, by whose addresses events
// name them: lines of the form 0xffffffffa8a1b2c3 : "text".
func (s *datSource) readPrintk(b []byte) {
	if s.syms == nil {
		s.syms = &Symbols{}
	}
	for _, line := range bytes.Split(cString(b), []byte("\n")) {
		addr, text, ok := bytes.Cut(line, []byte(" : "))
		v, err := strconv.ParseUint(string(bytes.TrimSpace(addr)), 0, 64)
		if ok && err == nil {
			s.syms.AddText(v, string(bytes.Trim(text, "\"")))
		}
	}
}

// readCmdlines reads "pid name" lines.
func (s *datSource) readCmdlines(b []byte) {
	for _, line := range bytes.Split(cString(b), []byte("\n")) {
		pid, comm, ok := bytes.Cut(bytes.TrimLeft(line, " "), []byte(" "))
		if v, err := strconv.ParseInt(string(pid), 10, 32); ok && err == nil {
			s.comms[int32(v)] = string(comm)
		}
	}
}

// prepare finds the common fields and goes to each CPU's first event.
func (s *datSource) prepare() error {
	s.common = [3]FormatField{{Offset: 0, Size: 2}, {Offset: 2, Size: 1}, {Offset: 3, Size: 1}}
	s.pid = FormatField{Offset: 4, Size: 4}
	ids := make([]uint16, 0, len(s.formats))
	for id := range s.formats { // order does not matter: sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) > 0 {
		f := s.formats[ids[0]]
		for name, to := range map[string]*FormatField{ // order does not matter: each sets its own
			"common_type": &s.common[0], "common_flags": &s.common[1], "common_preempt_count": &s.common[2], "common_pid": &s.pid,
		} {
			if field := f.field(name); field != nil {
				*to = *field
			}
		}
	}
	if s.long == 0 {
		return &FormatError{s.name, -1, "no header_page", "the layout of the pages"}
	}
	slices.SortStableFunc(s.cpus, func(a, b *datCPU) int { return cmp.Compare(a.cpu, b.cpu) })
	for _, c := range s.cpus {
		if err := c.start(); err != nil {
			return err
		}
	}
	return nil
}

// Read gives the earliest event of all CPUs, a stack's frames behind it.
func (s *datSource) Read(ev *trace.Event) error {
	if len(s.frames) > 0 {
		s.frame(ev)
		return nil
	}
	var first *datCPU
	for _, c := range s.cpus {
		if (!c.done || c.lost != nil) && (first == nil || c.time < first.time) {
			first = c
		}
	}
	if first == nil {
		return io.EOF
	}
	s.n++
	if first.lost != nil {
		*ev = trace.Event{Line: s.n, CPU: first.cpu, PID: -1, TGID: -1, Kind: trace.KindLost, Name: trace.KindLost.String(), Lost: *first.lost}
		first.lost = nil
		return nil
	}
	s.event(first, ev)
	if len(s.frames) > 0 {
		s.last = *ev
		s.last.Args = nil
	}
	if err := first.step(); err != nil {
		return err
	}
	return decodeInto(&s.dec, ev, s.name)
}

// event makes an Event of a CPU's current record.
func (s *datSource) event(c *datCPU, ev *trace.Event) {
	*ev = trace.Event{Line: s.n, Time: c.time, CPU: c.cpu, TGID: -1, Stamp: trace.StampNano}
	n := EventFormat{order: s.order}
	number := func(f *FormatField) int64 { return n.number(c.rec, f.Offset, f.Size, f.Signed) }
	ev.PID = int32(number(&s.pid))
	ev.Flags = flagsOf(uint8(number(&s.common[1])), uint8(number(&s.common[2])))
	if s.rawClock() {
		ev.Stamp = trace.StampTicks
	}
	f := s.formats[uint16(number(&s.common[0]))]
	if f == nil {
		ev.Name, ev.Args = "unknown_event_"+strconv.FormatInt(number(&s.common[0]), 10), fmt.Appendf(nil, "data=%x", c.rec)
	} else {
		ev.Name = f.Name
		ev.Args = oneLine(f.Append(s.args[:0], c.rec, s.syms))
		s.args = ev.Args[:0]
		ev.System, ev.Kind = systemOf(f.System)
		s.ftraceEvent(c, f, ev)
	}
	s.task(ev)
}

// oneLine is a text without its line's end; other line breaks become spaces.
func oneLine(b []byte) []byte {
	b = bytes.TrimRight(b, "\n")
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
	return b
}

// rawClock says whether times are counts of a clock, not nanoseconds.
func (s *datSource) rawClock() bool { return s.clock == "counter" || s.clock == "x86-tsc" }

// task sets the event's task and what datSink noted.
func (s *datSource) task(ev *trace.Event) {
	ev.Comm = s.comms[ev.PID]
	if ev.Comm == "" {
		ev.Comm = "<...>"
		if ev.PID == 0 {
			ev.Comm = "<idle>"
		}
	}
	if s.notes.Columns == 0 {
		return // a file of another program
	}
	if t, ok := s.tgids[ev.PID]; ok {
		ev.TGID = t
	}
	names := s.renamed[ev.PID]
	if i, ok := slices.BinarySearchFunc(names, ev.Time, func(c datComm, t uint64) int { return cmp.Compare(c.Time, t) }); ok {
		ev.Comm = string(names[i].Comm)
	} else if i > 0 {
		ev.Comm = string(names[i-1].Comm)
	}
	s.restore(ev)
}

// restore sets stamp, form and columns as they were written.
func (s *datSource) restore(ev *trace.Event) {
	ev.Stamp, ev.Form = trace.Stamp(s.notes.Stamp), trace.Form(s.notes.Form)
	if s.notes.Micros {
		ev.Time -= ev.Time % 1000
	}
	if s.notes.NoSystem {
		ev.System = ""
	}
	columns := s.notes.Columns - 1
	for i := columns; i >= 0 && i < len(ev.Flags); i++ {
		ev.Flags[i] = 0
	}
	if s.notes.NoTask {
		ev.PID, ev.Comm = -1, ""
	}
}

// datCPU is one CPU's stream of pages.
type datCPU struct {
	s       *datSource
	cpu     int32
	at, end int64 // of the pages not read yet
	packed  bool
	chunks  uint32 // packed: chunks not read yet
	chunk   []byte // packed: pages unpacked and not read yet
	page    []byte // records not read yet
	time    uint64
	base    uint64 // time of the record before
	rec     []byte
	lost    *uint64
	done    bool
}

// start reads the first record.
func (c *datCPU) start() error {
	if c.packed {
		c.end = c.s.in.end // the table's size leaves out the number of chunks
		d := c.input()
		c.chunks = d.u32()
		c.at = d.at
		if d.err != nil {
			return d.err
		}
	}
	return c.step()
}

func (c *datCPU) input() *datInput { return c.s.in.sub(c.s.in.r, c.at, c.end) }

// nextPage reads the next page; io.EOF after the last.
func (c *datCPU) nextPage() error {
	raw, err := c.rawPage()
	if err != nil {
		return err
	}
	o := c.s.order
	if len(raw) < c.s.data {
		return io.EOF
	}
	c.base = o.Uint64(raw)
	commit := uint64(o.Uint32(raw[8:]))
	if c.s.long == 8 {
		commit = o.Uint64(raw[8:])
	}
	size := int(commit & (1<<27 - 1))
	size = min(size, len(raw)-c.s.data)
	c.page = raw[c.s.data : c.s.data+size]
	if commit&(1<<31) != 0 {
		var n uint64
		if rest := raw[c.s.data+size:]; commit&(1<<30) != 0 && len(rest) >= c.s.long {
			n = uint64(o.Uint32(rest))
			if c.s.long == 8 {
				n = o.Uint64(rest)
			}
		}
		c.lost = &n
	}
	return nil
}

// rawPage gives the bytes of the next page.
func (c *datCPU) rawPage() ([]byte, error) {
	if !c.packed {
		if c.at >= c.end {
			return nil, io.EOF
		}
		d := c.input()
		b := d.bytes(min(int64(c.s.page), c.end-c.at))
		c.at = d.at
		return b, d.err
	}
	for len(c.chunk) == 0 {
		if c.chunks == 0 {
			return nil, io.EOF
		}
		c.chunks--
		d := c.input()
		packed, unpacked := d.u32(), d.u32()
		raw := d.bytes(int64(packed))
		if d.err != nil {
			return nil, d.err
		}
		b, err := unpack(c.s.codec, raw, int64(unpacked))
		if err != nil {
			return nil, &FormatError{c.s.name, c.at, err.Error(), "compressed pages"}
		}
		c.at, c.chunk = d.at, b
	}
	n := min(c.s.page, len(c.chunk))
	b := c.chunk[:n]
	c.chunk = c.chunk[n:]
	return b, nil
}

// Kinds of the ring buffer's records; smaller ones are the record's length in
// words.
const (
	recPadding    = 29
	recTimeExtend = 30
	recTimeStamp  = 31
)

// step goes to the next record.
func (c *datCPU) step() error {
	for {
		for len(c.page) < 4 {
			if err := c.nextPage(); err != nil {
				c.done = true
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
		head := c.s.order.Uint32(c.page)
		kind, delta := head&31, uint64(head>>5)
		if c.s.order == binary.ByteOrder(binary.BigEndian) {
			kind, delta = head>>27, uint64(head&(1<<27-1))
		}
		c.page = c.page[4:]
		if done, err := c.record(kind, delta); done || err != nil {
			return err
		}
	}
}

// record reads what follows a record's first word; done says that it is an
// event.
func (c *datCPU) record(kind uint32, delta uint64) (done bool, err error) {
	size := int(kind) * 4
	if kind == 0 || kind >= recPadding {
		if len(c.page) < 4 {
			c.page = nil
			return false, nil
		}
		word := c.s.order.Uint32(c.page)
		switch kind {
		case recPadding:
			if delta == 0 {
				c.page = nil
				return false, nil
			}
			c.base += delta
			c.page = c.page[min(int(word), len(c.page)):]
			return false, nil
		case recTimeExtend:
			c.base += delta | uint64(word)<<27
			c.page = c.page[4:]
			return false, nil
		case recTimeStamp:
			c.base = delta | uint64(word)<<27 | c.base&(31<<59)
			c.page = c.page[4:]
			return false, nil
		}
		size = int(word) - 4
		c.page = c.page[4:]
	}
	if size < 0 || size > len(c.page) {
		return false, &FormatError{c.s.name, c.at, fmt.Sprintf("a record of %d bytes on CPU %d", size, c.cpu), fmt.Sprintf("at most the page's %d", len(c.page))}
	}
	c.base += delta
	c.time, c.rec = c.base, c.page[:size]
	c.page = c.page[min((size+3)&^3, len(c.page)):]
	return true, nil
}
