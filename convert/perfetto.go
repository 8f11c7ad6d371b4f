package convert

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kernsim/kernsim/trace"
)

// Field numbers of Perfetto's protobuf messages.
const (
	tracePacket = 1 // Trace.packet

	packetFtraceEvents = 1  // TracePacket.ftrace_events
	packetProcessTree  = 2  // TracePacket.process_tree
	packetSequence     = 10 // TracePacket.trusted_packet_sequence_id

	bundleCPU   = 1
	bundleEvent = 2

	eventTimestamp = 1
	eventPID       = 2
	eventPrint     = 3
	eventGeneric   = 327
	eventExact     = 99001 // ours; readers skip unknown fields

	treeThread = 2 // ProcessTree.threads
)

// maxBundle is how many events of one CPU are put into one packet.
const maxBundle = 512

// perfettoEvent is an event that has a message of its own: its field in
// FtraceEvent and its fields' names by number.
type perfettoEvent struct {
	number protowire.Number
	name   string
	fields []string // the name of field i+1
}

// perfettoEvents are those of the events of package trace that Perfetto knows
// by themselves. Others are generic ones, which carry their fields' names.
var perfettoEvents = []perfettoEvent{
	{4, "sched_switch", []string{"prev_comm", "prev_pid", "prev_prio", "prev_state", "next_comm", "next_pid", "next_prio"}},
	{17, "sched_wakeup", []string{"comm", "pid", "prio", "success", "target_cpu"}},
	{20, "sched_waking", []string{"comm", "pid", "prio", "success", "target_cpu"}},
	{114, "sched_wakeup_new", []string{"comm", "pid", "prio", "success", "target_cpu"}},
	{238, "sched_process_exit", []string{"comm", "pid", "tgid", "prio"}},
	{240, "sched_process_free", []string{"comm", "pid", "prio"}},
	{298, "kfree", []string{"call_site", "ptr"}},
	{299, "kmalloc", []string{"bytes_alloc", "bytes_req", "call_site", "gfp_flags", "ptr"}},
	{301, "kmem_cache_alloc", []string{"bytes_alloc", "bytes_req", "call_site", "gfp_flags", "ptr"}},
	{303, "kmem_cache_free", []string{"call_site", "ptr"}},
	{307, "mm_page_alloc", []string{"gfp_flags", "migratetype", "order", "page", "pfn"}},
	{309, "mm_page_alloc_zone_locked", []string{"migratetype", "order", "page", "pfn"}},
	{310, "mm_page_free", []string{"order", "page", "pfn"}},
	{311, "mm_page_free_batched", []string{"cold", "page", "pfn"}},
	{312, "mm_page_pcpu_drain", []string{"migratetype", "order", "page", "pfn"}},
}

// typedEvents are those of perfettoEvents that are written by their own
// message: the ones that Perfetto draws. The fields of the others keep their
// texts ("GFP_KERNEL") in generic events.
const typedEvents = 4

// stateBits are the task states of sched_switch as the kernel numbers them.
var stateBits = []struct {
	text string
	bits int64
}{{"R", 0}, {"S", 1}, {"D", 2}, {"T", 4}, {"t", 8}, {"X", 16}, {"Z", 32}, {"P", 64}, {"I", 128}, {"R+", 256}}

// stateOf gives the number of a state's text; -1 if it is none of the single
// ones.
func stateOf(text string) int64 {
	for _, s := range stateBits {
		if s.text == text {
			return s.bits
		}
	}
	return -1
}

// perfettoSink writes ftrace bundles, one packet for each run of events of one
// CPU, and at the end the threads' names.
type perfettoSink struct {
	w      *bufio.Writer
	bundle []byte
	n      int
	cpu    int32
	packet []byte
	names  map[int32]string
	pids   []int32
	closed bool
}

func newPerfettoSink(w io.Writer) Sink {
	return &perfettoSink{w: bufio.NewWriter(w), names: map[int32]string{}}
}

// appendVarint writes a number's field.
func appendVarint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

// appendBytes writes a text's or message's field.
func appendBytes[T ~string | ~[]byte](b []byte, n protowire.Number, v T) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), string(v))
}

func (s *perfettoSink) Write(ev *trace.Event) error {
	if s.closed {
		return errClosed
	}
	if s.n > 0 && (ev.CPU != s.cpu || s.n == maxBundle) {
		s.flush()
	}
	s.cpu = ev.CPU
	s.n++
	s.bundle = appendBytes(s.bundle, bundleEvent, s.event(ev))
	if ev.PID > 0 && ev.Comm != "" {
		if _, ok := s.names[ev.PID]; !ok {
			s.pids = append(s.pids, ev.PID)
		}
		s.names[ev.PID] = ev.Comm
	}
	return nil
}

// event makes an FtraceEvent.
func (s *perfettoSink) event(ev *trace.Event) []byte {
	b := appendVarint(nil, eventTimestamp, ev.Time)
	b = appendVarint(b, eventPID, uint64(max(ev.PID, 0)))
	switch {
	case ev.Kind == trace.KindSchedSwitch:
		b = appendBytes(b, 4, switchMessage(&ev.Switch))
	case ev.Kind == trace.KindSchedWakeup, ev.Kind == trace.KindSchedWaking, ev.Kind == trace.KindSchedWakeupNew:
		b = appendBytes(b, numberOf(ev.Kind.String()), wakeupMessage(&ev.Sched))
	default:
		b = appendBytes(b, eventGeneric, genericMessage(ev))
	}
	return appendBytes(b, eventExact, exactMessage(ev))
}

// numberOf is the field of an event with a message of its own.
func numberOf(name string) protowire.Number {
	for _, e := range perfettoEvents[:typedEvents] {
		if e.name == name {
			return e.number
		}
	}
	return eventGeneric
}

func switchMessage(s *trace.Switch) []byte {
	b := appendBytes(nil, 1, s.PrevComm)
	b = appendVarint(b, 2, uint64(s.PrevPID))
	b = appendVarint(b, 3, uint64(int64(s.PrevPrio)))
	if state := stateOf(s.PrevState); state >= 0 {
		b = appendVarint(b, 4, uint64(state))
	}
	b = appendBytes(b, 5, s.NextComm)
	b = appendVarint(b, 6, uint64(s.NextPID))
	return appendVarint(b, 7, uint64(int64(s.NextPrio)))
}

func wakeupMessage(s *trace.Sched) []byte {
	b := appendBytes(nil, 1, s.Comm)
	b = appendVarint(b, 2, uint64(s.PID))
	b = appendVarint(b, 3, uint64(int64(s.Prio)))
	return appendVarint(b, 5, uint64(s.TargetCPU))
}

// genericMessage has an event's name and fields by name.
func genericMessage(ev *trace.Event) []byte {
	b := appendBytes(nil, 1, nameOf(ev))
	for key, value := range trace.Fields(textOf(ev)) {
		if key == nil {
			key = []byte("text")
		}
		f := appendBytes(nil, 1, key)
		if v, ok := trace.ParseInt(value); ok {
			f = appendVarint(f, 4, uint64(v))
		} else if v, ok := trace.ParseUint(value); ok {
			f = appendVarint(f, 5, v)
		} else {
			f = appendBytes(f, 3, value)
		}
		b = appendBytes(b, 2, f)
	}
	return b
}

// exactMessage has what the rest of an event's message cannot say.
func exactMessage(ev *trace.Event) []byte {
	b := appendBytes(nil, 1, nameOf(ev))
	b = appendBytes(b, 2, ev.Comm)
	b = appendBytes(b, 3, ev.Flags.String())
	b = appendBytes(b, 4, ev.System)
	b = appendBytes(b, 5, textOf(ev))
	b = appendBytes(b, 6, specialName(ev.Kind))
	for i, v := range []int64{int64(ev.CPU), int64(ev.PID), int64(ev.TGID), int64(ev.Stamp), int64(ev.Form), int64(ev.Lost)} {
		b = appendVarint(b, protowire.Number(7+i), protowire.EncodeZigZag(v))
	}
	return b
}

// flush writes the bundle as a packet.
func (s *perfettoSink) flush() {
	s.bundle = appendVarint(s.bundle, bundleCPU, uint64(max(s.cpu, 0)))
	s.put(packetFtraceEvents, s.bundle)
	s.bundle, s.n = s.bundle[:0], 0
}

// put writes a packet with one message; an error shows at Close.
func (s *perfettoSink) put(n protowire.Number, message []byte) {
	p := appendBytes(s.packet[:0], n, message)
	p = appendVarint(p, packetSequence, 1)
	s.w.Write(appendBytes(nil, tracePacket, p))
	s.packet = p
}

func (s *perfettoSink) Close() error {
	if s.closed {
		return errClosed
	}
	s.closed = true
	if s.n > 0 {
		s.flush()
	}
	var tree []byte
	for _, pid := range s.pids {
		t := appendVarint(nil, 1, uint64(pid))
		tree = appendBytes(tree, treeThread, appendVarint(appendBytes(t, 2, s.names[pid]), 3, uint64(pid)))
	}
	s.put(packetProcessTree, tree)
	return s.w.Flush()
}

// perfettoSource reads the ftrace events of a Perfetto trace, packet by packet.
type perfettoSource struct {
	r      *bufio.Reader
	name   string
	offset int64 // of the packet
	left   int64 // bytes not read yet
	events []byte
	packet []byte
	cpu    int32
	n      int
	dec    trace.Decoder
}

func openPerfetto(r io.ReaderAt, size int64, name string) (Source, error) {
	return &perfettoSource{r: bufio.NewReader(io.NewSectionReader(r, 0, size)), name: name, left: size}, nil
}

// isPerfetto says whether a file starts with packets: the tag of Trace.packet,
// a length, and the same tag behind it or the tag of some field in it.
func isPerfetto(head []byte) bool {
	if len(head) < 3 || head[0] != tracePacket<<3|2 {
		return false
	}
	length, n := protowire.ConsumeVarint(head[1:])
	if n < 0 || length == 0 || length > 1<<30 {
		return false
	}
	body := head[1+n:]
	if len(body) == 0 {
		return false
	}
	if uint64(len(body)) > length && body[length] != head[0] {
		return false
	}
	num, _, n := protowire.ConsumeTag(body)
	return n > 0 && num < 1000
}

func (s *perfettoSource) fail(found, expected string) error {
	return &FormatError{s.name, s.offset, found, expected}
}

// fields goes through a message; f gives false to stop.
func fields(b []byte, f func(n protowire.Number, v uint64, body []byte)) bool {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			f(num, v, nil)
			b = b[n:]
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return false
			}
			f(num, 0, v)
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(num, kind, b)
			if n < 0 {
				return false
			}
			b = b[n:]
		}
	}
	return true
}

// nextPacket reads the next packet's bundle into s.events.
func (s *perfettoSource) nextPacket() error {
	tag, err := binary.ReadUvarint(s.r)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil || tag != tracePacket<<3|2 {
		return s.fail(fmt.Sprintf("tag %#x", tag), "a packet")
	}
	length, err := binary.ReadUvarint(s.r)
	if err != nil || length > uint64(s.left) {
		return s.fail(fmt.Sprintf("a packet of %d bytes", length), fmt.Sprintf("at most the %d that are left", s.left))
	}
	if uint64(cap(s.packet)) < length {
		s.packet = make([]byte, length)
	}
	s.packet = s.packet[:length]
	if _, err := io.ReadFull(s.r, s.packet); err != nil {
		return s.fail("the file's end", "the rest of a packet")
	}
	var bundle []byte
	ok := fields(s.packet, func(n protowire.Number, _ uint64, body []byte) {
		if n == packetFtraceEvents && body != nil {
			bundle = body
		}
	})
	s.events, s.cpu = bundle, 0
	ok = ok && fields(bundle, func(n protowire.Number, v uint64, _ []byte) {
		if n == bundleCPU {
			s.cpu = int32(v)
		}
	})
	if !ok {
		return s.fail("a broken message", "a TracePacket")
	}
	used := int64(protowire.SizeVarint(tag)+protowire.SizeVarint(length)) + int64(length)
	s.offset += used
	s.left -= used
	return nil
}

// nextEvent takes the next FtraceEvent off the bundle.
func (s *perfettoSource) nextEvent() ([]byte, error) {
	for {
		for len(s.events) > 0 {
			num, kind, n := protowire.ConsumeTag(s.events)
			if kind == protowire.BytesType && num == bundleEvent {
				body, m := protowire.ConsumeBytes(s.events[n:])
				s.events = s.events[n+m:]
				return body, nil
			}
			s.events = s.events[n+protowire.ConsumeFieldValue(num, kind, s.events[n:]):]
		}
		if err := s.nextPacket(); err != nil {
			return nil, err
		}
	}
}

func (s *perfettoSource) Read(ev *trace.Event) error {
	for {
		body, err := s.nextEvent()
		if err != nil {
			return err
		}
		s.n++
		*ev = trace.Event{Line: s.n, CPU: s.cpu, PID: -1, TGID: -1, Stamp: trace.StampNano, Form: trace.FormTracefs}
		if !s.event(body, ev) {
			return s.fail("a broken message", "an FtraceEvent")
		}
		if ev.Name != "" {
			return decodeInto(&s.dec, ev, s.name)
		}
	}
}

// event reads an FtraceEvent; the name stays empty if it is none that is known.
func (s *perfettoSource) event(body []byte, ev *trace.Event) bool {
	ok, whole := true, true
	var own []byte
	whole = fields(body, func(n protowire.Number, v uint64, sub []byte) {
		switch {
		case n == eventTimestamp:
			ev.Time = v
		case n == eventPID && own == nil:
			ev.PID = int32(v)
		case n == eventExact && sub != nil:
			own = sub
		case sub != nil:
			ok = foreignEvent(n, sub, ev) && ok
		}
	})
	if own != nil {
		ok = readExact(own, ev) && ok
	}
	return ok && whole
}

// readExact restores what exactMessage noted.
func readExact(b []byte, ev *trace.Event) bool {
	ok := fields(b, func(n protowire.Number, v uint64, sub []byte) {
		i := protowire.DecodeZigZag(v)
		switch n {
		case 1:
			ev.Name = string(sub)
		case 2:
			ev.Comm = string(sub)
		case 3:
			ev.Flags = trace.FlagsOf(string(sub))
		case 4:
			ev.System = string(sub)
		case 5:
			ev.Args = append([]byte{}, sub...)
		case 6:
			ev.Kind = specialKind(string(sub))
		case 7:
			ev.CPU = int32(i)
		case 8:
			ev.PID = int32(i)
		case 9:
			ev.TGID = int32(i)
		case 10:
			ev.Stamp = trace.Stamp(i)
		case 11:
			ev.Form = trace.Form(i)
		case 12:
			ev.Lost = uint64(i)
		}
	})
	return ok && ev.Stamp <= trace.StampTicks && ev.Form <= trace.FormPlain
}

// foreignEvent reads an event of Perfetto's own making; those that are not
// known are passed over.
func foreignEvent(n protowire.Number, body []byte, ev *trace.Event) bool {
	if n == eventGeneric {
		return readGeneric(body, ev)
	}
	names := []string{"ip", "buf"}
	name := "print"
	if n != eventPrint {
		name = ""
		for _, e := range perfettoEvents {
			if e.number == n {
				name, names = e.name, e.fields
			}
		}
	}
	if name == "" {
		return true
	}
	ev.Name, ev.Args = name, []byte{}
	return fields(body, func(i protowire.Number, v uint64, sub []byte) {
		if int(i) <= len(names) {
			appendField(ev, names[i-1], strconv.FormatInt(int64(v), 10), sub)
		}
	})
}

// appendField adds "key=value" to an event's text; sub is the value if it is
// not nil.
func appendField(ev *trace.Event, key, number string, sub []byte) {
	if len(ev.Args) > 0 {
		ev.Args = append(ev.Args, ' ')
	}
	ev.Args = append(append(ev.Args, key...), '=')
	if sub != nil {
		number = string(sub)
	}
	ev.Args = append(ev.Args, number...)
}

// readGeneric reads a GenericFtraceEvent.
func readGeneric(body []byte, ev *trace.Event) bool {
	ev.Args = []byte{}
	ok := true
	whole := fields(body, func(n protowire.Number, _ uint64, sub []byte) {
		if n == 1 {
			ev.Name = string(sub)
			return
		}
		key, number := "", ""
		var text []byte
		ok = fields(sub, func(n protowire.Number, v uint64, s []byte) {
			switch n {
			case 1:
				key = string(s)
			case 3:
				text = append([]byte{}, s...)
			case 4:
				number = strconv.FormatInt(int64(v), 10)
			case 5:
				number = strconv.FormatUint(v, 10)
			}
		}) && ok
		appendField(ev, key, number, text)
	})
	return ok && whole
}
