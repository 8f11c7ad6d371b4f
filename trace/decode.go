package trace

import "math"

// decoder fills an Event's payload from its Args.
type decoder struct {
	fieldScanner
	texts *interner
	ptrs  []uint64 // storage of Probe.P
	seen  fieldBits

	found    []byte // the faulty text; meaningful if expected is set
	expected string
}

// fieldBits is a set of fields that a payload's decoder has seen.
type fieldBits uint32

// payload says how the Args of a kind are decoded and formatted.
type payload struct {
	// fast, if there is one, reads the layout that most kernels print and
	// gives false for any other; decode reads any.
	fast   func(*decoder, *Event) bool
	decode func(*decoder, *Event)
	append func([]byte, *Event) []byte
	clear  func(*Event)
	need   fieldBits // fields that must be there
	names  []string  // the fields' names, by bit
}

// payloadOf is the payload of a kind; the zero value for kinds without one.
func payloadOf(k Kind) *payload {
	if k < numKinds {
		return &payloads[k]
	}
	return &payloads[KindUnknown]
}

// payloads has what is known about each kind. It is filled by the files of the
// payloads, in their variables' initializers.
var payloads = collectPayloads(pagePayloads, objectPayloads, probePayloads, schedPayloads, reclaimPayloads, compactPayloads, otherPayloads)

// kindPayload is a table row: a kind and its payload.
type kindPayload struct {
	kind Kind
	payload
}

// collectPayloads makes one table of the files' lists.
func collectPayloads(lists ...[]kindPayload) (t [numKinds]payload) {
	for _, list := range lists {
		for _, p := range list {
			t[p.kind] = p.payload
		}
	}
	return t
}

// decode fills ev's payload from ev.Args; if it cannot, d.expected says why.
func (d *decoder) decode(p *payload, ev *Event) bool {
	d.b, d.seen, d.expected = ev.Args, 0, ""
	if p.fast == nil || !p.fast(d, ev) {
		p.clear(ev)
		d.fieldScanner, d.seen = newFieldScanner(ev.Args), 0
		p.decode(d, ev)
	}
	if d.expected == "" && d.seen&p.need != p.need {
		d.missing(p)
	}
	return d.expected == ""
}

// missing says which field was needed and is not there.
func (d *decoder) missing(p *payload) {
	for i, name := range p.names {
		if bit := fieldBits(1) << i; p.need&^d.seen&bit != 0 {
			d.fail(d.b, "a field "+name)
			return
		}
	}
}

// fail notes the first fault.
func (d *decoder) fail(found []byte, expected string) {
	if d.expected == "" {
		d.found, d.expected = found, expected
	}
}

// text gives the field's value as an interned string.
func (d *decoder) text() string { return d.texts.get(d.value) }

// uint reads the field's value as an unsigned number.
func (d *decoder) uint() uint64 {
	v, ok := ParseUint(d.value)
	if !ok {
		d.fail(d.value, "an unsigned number as "+string(d.key))
	}
	return v
}

// uint32 reads an unsigned number of 32 bits.
func (d *decoder) uint32() uint32 {
	v, ok := ParseUint(d.value)
	if !ok || v > math.MaxUint32 {
		d.fail(d.value, "an unsigned 32-bit number as "+string(d.key))
	}
	return uint32(v)
}

// int reads a signed number.
func (d *decoder) int() int64 {
	v, ok := ParseInt(d.value)
	if !ok {
		d.fail(d.value, "a number as "+string(d.key))
	}
	return v
}

// long reads what the kernel prints with %lu or %ld from an unsigned long.
func (d *decoder) long() uint64 {
	if len(d.value) > 0 && d.value[0] == '-' {
		return uint64(d.int())
	}
	return d.uint()
}

// int32 reads a signed number of 32 bits.
func (d *decoder) int32() int32 {
	if len(d.value) == 1 && isDigit(d.value[0]) {
		return int32(d.value[0] - '0')
	}
	v, ok := ParseInt(d.value)
	if !ok || v != int64(int32(v)) {
		d.fail(d.value, "a 32-bit number as "+string(d.key))
	}
	return int32(v)
}

// pointer reads an address.
func (d *decoder) pointer() uint64 {
	v, ok := ParsePointer(d.value)
	if !ok {
		d.fail(d.value, "an address as "+string(d.key))
	}
	return v
}

// boolean reads 0 or 1, false or true.
func (d *decoder) boolean() bool {
	switch string(d.value) {
	case "1", "true":
		return true
	case "0", "false":
		return false
	}
	d.fail(d.value, "0 or 1 as "+string(d.key))
	return false
}

// bit01 gives the number that the kernel prints for a condition.
func bit01(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
