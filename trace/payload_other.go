package trace

import "bytes"

// Fields of the remaining events, by bit.
const (
	bitSize fieldBits = 1 << iota
	bitFunction
	bitMMID
)

var otherFields = []string{"size", "function", "mm_id"}

var otherPayloads = []kindPayload{
	{KindRSSStat, payload{nil, decodeRSSStat, appendRSSStat, clearRSSStat, bitMMID | bitSize, otherFields}},
	{KindAllocVmapArea, payload{nil, decodeVmap, appendVmap, clearVmap, bitSize, otherFields}},
	{KindWorkqueueExecuteStart, payload{nil, decodeWork, appendWork, clearWork, bitFunction, otherFields}},
	{KindWorkqueueExecuteEnd, payload{nil, decodeWork, appendWork, clearWork, bitFunction, otherFields}},
}

func clearRSSStat(ev *Event) { ev.RSS = RSSStat{} }

func clearVmap(ev *Event) { ev.Vmap = Vmap{} }

func clearWork(ev *Event) { ev.Work = Work{} }

// decodeRSSStat reads rss_stat; kernels before 5.19 print the member's number
// instead of its name.
func decodeRSSStat(d *decoder, ev *Event) {
	p := &ev.RSS
	for d.next() {
		switch string(d.key) {
		case "mm_id":
			p.MMID = d.uint32()
			d.seen |= bitMMID
		case "curr":
			p.Curr = d.int32()
		case "type", "member":
			p.Type = d.text()
		case "size":
			d.value = bytes.TrimSuffix(d.value, []byte("B"))
			p.Size = d.int()
			d.seen |= bitSize
		}
	}
}

func appendRSSStat(b []byte, ev *Event) []byte {
	p := &ev.RSS
	b = appendUint(append(b, "mm_id="...), uint64(p.MMID))
	b = appendInt(append(b, " curr="...), int64(p.Curr))
	b = append(append(b, " type="...), p.Type...)
	b = appendInt(append(b, " size="...), p.Size)
	return append(b, 'B')
}

// decodeVmap reads alloc_vmap_area, whose first field has a colon.
func decodeVmap(d *decoder, ev *Event) {
	p := &ev.Vmap
	if text, ok := bytes.CutPrefix(d.lead, []byte("va_start: ")); ok {
		d.key, d.value = d.lead[:8], text
		p.Addr, p.HasAddr = d.uint(), true
	}
	for d.next() {
		switch string(d.key) {
		case "size":
			p.Size = d.uint()
			d.seen |= bitSize
		case "align":
			p.Align = d.uint()
		case "vstart":
			p.VStart = d.uint()
		case "vend":
			p.VEnd = d.uint()
		case "failed":
			p.Failed = d.int32()
		}
	}
}

func appendVmap(b []byte, ev *Event) []byte {
	p := &ev.Vmap
	if !p.HasAddr {
		return appendUint(append(b, "size="...), p.Size)
	}
	b = appendUint(append(b, "va_start: "...), p.Addr)
	b = appendUint(append(b, " size="...), p.Size)
	b = appendUint(append(b, " align="...), p.Align)
	b = appendHex(append(b, " vstart=0x"...), p.VStart)
	b = appendHex(append(b, " vend=0x"...), p.VEnd)
	return appendInt(append(b, " failed="...), int64(p.Failed))
}

// decodeWork reads "work struct ADDRESS: function NAME"; the captures of the
// real 6.18 machine have the function only.
func decodeWork(d *decoder, ev *Event) {
	p := &ev.Work
	head, function, ok := bytes.Cut(d.b, []byte("function "))
	if !ok {
		return
	}
	d.seen |= bitFunction
	p.Function = d.texts.get(function)
	if text, ok := bytes.CutPrefix(head, []byte("work struct ")); ok {
		v, ok := ParsePointer(bytes.TrimSuffix(text, []byte(": ")))
		if !ok {
			d.fail(head, "the address of a work_struct")
		}
		p.Struct, p.HasStruct = v, true
	} else if len(head) > 0 {
		d.fail(head, `"work struct"`)
	}
}

func appendWork(b []byte, ev *Event) []byte {
	p := &ev.Work
	if p.HasStruct {
		b = appendPointer(append(b, "work struct "...), p.Struct)
		b = append(b, ": "...)
	}
	return append(append(b, "function "...), p.Function...)
}
