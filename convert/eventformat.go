package convert

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// EventFormat is an event's description as the kernel gives it in
// events/SYSTEM/EVENT/format: its binary fields and how they are printed.
type EventFormat struct {
	System string
	Name   string
	ID     uint16
	Fields []FormatField
	print  *printFormat // nil if the expression could not be parsed
	order  binary.ByteOrder
	long   int // bytes of a long and a pointer
}

// FormatField is one field of an event's record.
type FormatField struct {
	Name     string
	Type     string // C type as written
	Offset   int    // bytes from the record's start
	Size     int    // bytes; of an array all elements; 0 for one without length
	Signed   bool
	Array    int  // elements; 1 for a plain field, 0 if the length is open
	Dynamic  bool // __data_loc: the field has offset and length of the data
	Relative bool // __rel_loc: as Dynamic, with the offset counted from behind the field
}

// text reports whether the field holds characters.
func (f *FormatField) text() bool {
	return strings.HasPrefix(f.Type, "char") && (f.Array != 1 || f.Dynamic) || strings.Contains(f.Type, " char") && !strings.Contains(f.Type, "unsigned char") && (f.Array != 1 || f.Dynamic)
}

// ParseEventFormat reads the text of a format file. long is the size of the
// kernel's long in bytes, 4 or 8. A print format that uses what this package
// does not know is no error: Append then lists the fields.
func ParseEventFormat(text []byte, system string, order binary.ByteOrder, long int) (*EventFormat, error) {
	f := &EventFormat{System: system, order: order, long: long}
	head, expr, _ := bytes.Cut(text, []byte("print fmt:"))
	id := -1
	for _, line := range strings.Split(string(head), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "name:"):
			f.Name = strings.TrimSpace(line[5:])
		case strings.HasPrefix(line, "ID:"):
			v, err := strconv.ParseUint(strings.TrimSpace(line[3:]), 10, 16)
			if err != nil {
				return nil, fmt.Errorf("convert: format of %q: ID %q", f.Name, line)
			}
			id = int(v)
		case strings.HasPrefix(line, "field:"):
			field, err := parseField(line)
			if err != nil {
				return nil, fmt.Errorf("convert: format of %q: %w", f.Name, err)
			}
			f.Fields = append(f.Fields, field)
		}
	}
	if f.Name == "" || id < 0 {
		return nil, fmt.Errorf("convert: a format without name and ID: %.60q", text)
	}
	f.ID = uint16(id)
	f.print = parsePrint(string(expr), f)
	return f, nil
}

// Printable reports whether the print format was understood.
func (f *EventFormat) Printable() bool { return f.print != nil }

// field gives the field of a name, nil if there is none.
func (f *EventFormat) field(name string) *FormatField {
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			return &f.Fields[i]
		}
	}
	return nil
}

// maxFieldEnd bounds offsets and sizes of fields: a record fits in a page.
const maxFieldEnd = 1 << 20

// parseField reads "field:char comm[16]; offset:8; size:16; signed:0;".
func parseField(line string) (FormatField, error) {
	var f FormatField
	f.Array = 1
	for i, part := range strings.Split(line, ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		if i == 0 {
			f.declare(value)
			continue
		}
		v, err := strconv.Atoi(value)
		if err != nil || v < 0 || v > maxFieldEnd {
			return f, fmt.Errorf("field %q: %s %q", f.Name, key, value)
		}
		switch key {
		case "offset":
			f.Offset = v
		case "size":
			f.Size = v
		case "signed":
			f.Signed = v != 0
		}
	}
	return f, nil
}

// declare reads a C declaration.
func (f *FormatField) declare(decl string) {
	for _, d := range []struct {
		prefix string
		set    *bool
	}{{"__data_loc ", &f.Dynamic}, {"__rel_loc ", &f.Relative}} {
		if rest, ok := strings.CutPrefix(decl, d.prefix); ok {
			*d.set, decl = true, strings.Replace(rest, "[]", "", 1)
		}
	}
	if open := strings.LastIndexByte(decl, '['); open >= 0 && strings.HasSuffix(decl, "]") {
		f.Array = 0
		if n, err := strconv.Atoi(decl[open+1 : len(decl)-1]); err == nil && n >= 0 {
			f.Array = n
		}
		if f.Array == 1 {
			f.Array = 0 // an array all the same, not a plain field
		}
		decl = decl[:open]
	}
	at := strings.LastIndexAny(decl, " *")
	f.Type, f.Name = strings.TrimSpace(decl[:at+1]), decl[at+1:]
	f.Dynamic = f.Dynamic || f.Relative
}

// number reads an integer of the record; short records read as 0.
func (f *EventFormat) number(rec []byte, offset, size int, signed bool) int64 {
	if offset < 0 || size <= 0 || offset+size > len(rec) {
		return 0
	}
	b := rec[offset : offset+size]
	switch {
	case size == 1 && signed:
		return int64(int8(b[0]))
	case size == 1:
		return int64(b[0])
	case size == 2 && signed:
		return int64(int16(f.order.Uint16(b)))
	case size == 2:
		return int64(f.order.Uint16(b))
	case size == 4 && signed:
		return int64(int32(f.order.Uint32(b)))
	case size == 4:
		return int64(f.order.Uint32(b))
	case size == 8:
		return int64(f.order.Uint64(b))
	}
	return 0
}

// data gives the bytes of a field, of a dynamic one those it points to.
func (f *EventFormat) data(rec []byte, field *FormatField) []byte {
	start, size := field.Offset, field.Size
	if field.Dynamic {
		loc := f.number(rec, field.Offset, 4, false)
		start, size = int(loc&0xffff), int(loc>>16&0xffff)
		if field.Relative {
			start += field.Offset + 4
		}
	} else if size == 0 {
		size = len(rec) - start
	}
	if start < 0 || start > len(rec) || size < 0 {
		return nil
	}
	return rec[start:min(start+size, len(rec))]
}

// cString gives a text up to its zero byte.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// Append prints a record as the kernel would. syms may be nil.
func (f *EventFormat) Append(b []byte, rec []byte, syms *Symbols) []byte {
	if f.print != nil {
		return f.print.append(b, &evaluation{format: f, rec: rec, syms: syms})
	}
	return f.appendFields(b, rec)
}

// appendFields lists the fields by name.
func (f *EventFormat) appendFields(b, rec []byte) []byte {
	start := len(b)
	for i := range f.Fields {
		field := &f.Fields[i]
		if strings.HasPrefix(field.Name, "common_") {
			continue
		}
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(append(b, field.Name...), '=')
		switch {
		case field.text():
			b = append(b, cString(f.data(rec, field))...)
		case field.Array != 1 || field.Dynamic:
			b = fmt.Appendf(b, "%x", f.data(rec, field))
		case field.Signed:
			b = strconv.AppendInt(b, f.number(rec, field.Offset, field.Size, true), 10)
		default:
			b = fmt.Appendf(b, "%#x", uint64(f.number(rec, field.Offset, field.Size, false)))
		}
	}
	return b
}

// Symbols are a kernel's function addresses, as /proc/kallsyms lists them, and
// the addresses of its constant texts, as tracefs' printk_formats does.
type Symbols struct {
	addr  []uint64
	name  []string
	texts map[uint64]string
}

// AddText makes a constant text known, for fields that hold its address.
func (s *Symbols) AddText(addr uint64, text string) {
	if s.texts == nil {
		s.texts = map[uint64]string{}
	}
	s.texts[addr] = text
}

// text gives the constant text at an address.
func (s *Symbols) text(addr uint64) (string, bool) {
	if s == nil {
		return "", false
	}
	t, ok := s.texts[addr]
	return t, ok
}

// ParseSymbols reads the text of /proc/kallsyms; lines of another form are
// passed over, as are addresses that are hidden.
func ParseSymbols(text []byte) *Symbols {
	s := &Symbols{}
	sorted := true
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		parts := bytes.Fields(line)
		if len(parts) < 3 {
			continue
		}
		addr, err := strconv.ParseUint(string(parts[0]), 16, 64)
		if err != nil || addr == 0 {
			continue
		}
		name := string(parts[2])
		if len(parts) > 3 {
			name += " " + string(parts[3])
		}
		sorted = sorted && (len(s.addr) == 0 || s.addr[len(s.addr)-1] <= addr)
		s.addr, s.name = append(s.addr, addr), append(s.name, name)
	}
	if !sorted {
		s.sort()
	}
	return s
}
