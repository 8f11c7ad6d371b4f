package convert

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// valueClass is how a value is written in an event's text, so that the same
// text comes out when it is printed again.
type valueClass uint8

const (
	classText    valueClass = iota // anything else
	classDecimal                   // no leading zeros, perhaps a minus
	classZeros                     // decimal with leading zeros to a width
	classHex                       // 0x and digits without leading zeros
	classHex16                     // sixteen digits without 0x: an address
)

// piece is one value of an event's text with the text before it.
type piece struct {
	literal []byte
	key     []byte
	class   valueClass
	width   int // digits of classZeros
	value   []byte
}

// cutArgs takes an event's text apart: its pieces, and what stands behind the
// last.
func cutArgs(args []byte, out []piece) (pieces []piece, tail []byte) {
	start := 0
	from, key := nextKey(args, 0)
	if from > 0 {
		end := from
		for end > 0 && args[end-1] == ' ' {
			end--
		}
		if end > 0 {
			out = append(out, piece{key: []byte("text"), value: args[:end]})
			start = end
		}
	}
	for from >= 0 {
		at := from + key + 1
		nextAt, nextLen := nextKey(args, at)
		limit := len(args)
		if nextAt >= 0 {
			limit = nextAt
		}
		p := piece{literal: args[start:at], key: args[from : from+key]}
		end := p.number(args[at:limit])
		if end < 0 {
			end = textEnd(args[at:limit], nextAt < 0)
			p.class, p.value = classText, args[at:at+end]
		}
		out = append(out, p)
		start = at + end
		from, key = nextAt, nextLen
	}
	if len(out) == 0 && len(args) > 0 {
		return append(out, piece{key: []byte("text"), value: args}), nil
	}
	return out, args[start:]
}

// nextKey finds the next "key=" whose key starts the text or follows a space
// or bracket.
func nextKey(b []byte, from int) (at, length int) {
	for i := from; i < len(b); i++ {
		if b[i] != '=' {
			continue
		}
		k := i
		for k > from && isIdent(b[k-1]) {
			k--
		}
		if k < i && (b[k] < '0' || b[k] > '9') && (k == 0 || k > from && strings.IndexByte(" ({,[", b[k-1]) >= 0) {
			return k, i - k
		}
	}
	return -1, 0
}

func isIdent(c byte) bool { return c == '_' || isLetter(c) || c >= '0' && c <= '9' }

// textEnd is where a text value ends; b reaches to the next key or to the end.
func textEnd(b []byte, last bool) int {
	if last {
		return len(b)
	}
	b = bytes.TrimRight(b, " ({[")
	if rest, ok := bytes.CutSuffix(b, []byte(" ==>")); ok {
		b = bytes.TrimRight(rest, " ")
	}
	return len(bytes.TrimSuffix(b, []byte(",")))
}

// number sets class and value if b starts with a number that ends at a
// delimiter, and gives its length; else -1.
func (p *piece) number(b []byte) int {
	end := 0
	for end < len(b) && (isIdent(b[end]) || end == 0 && b[0] == '-') {
		end++
	}
	if end < len(b) && strings.IndexByte(" ,)}]", b[end]) < 0 {
		return -1
	}
	p.value = b[:end]
	text := string(p.value)
	switch {
	case len(text) == 16 && isHex(text):
		p.class = classHex16
	case strings.HasPrefix(text, "0x") && isHex(text[2:]) && len(text) <= 18 && (text[2] != '0' || len(text) == 3):
		p.class = classHex
	case isDecimal(text):
		p.class = classDecimal
	case len(text) > 1 && len(text) < 16 && strings.Trim(text, "0123456789") == "":
		p.class, p.width = classZeros, len(text)
	default:
		return -1
	}
	return end
}

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// isDecimal says whether s is what %d, %ld or %lu print of some number.
func isDecimal(s string) bool {
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(v, 10) == s
	}
	v, err := strconv.ParseUint(s, 10, 64)
	return err == nil && strconv.FormatUint(v, 10) == s
}

// parseValue gives the number of a value.
func (p *piece) parseValue() (v uint64, negative bool) {
	text := string(p.value)
	switch p.class {
	case classHex:
		v, _ = strconv.ParseUint(text[2:], 16, 64)
	case classHex16:
		v, _ = strconv.ParseUint(text, 16, 64)
	default:
		if strings.HasPrefix(text, "-") {
			n, _ := strconv.ParseInt(text, 10, 64)
			return uint64(n), true
		}
		v, _ = strconv.ParseUint(text, 10, 64)
	}
	return v, false
}

// shape is the build of the texts of one event: its literals and the classes
// of its values.
type shape struct {
	system, name string
	id           uint16
	fields       []shapeField
	tail         string
	fixed        int // bytes of the record before texts
}

// shapeField is one value of a shape; what all its values have in common
// decides its C type.
type shapeField struct {
	literal  string
	name     string
	class    valueClass
	width    int
	max      uint64 // of values that are not negative
	min      int64  // of negative ones
	longest  int    // text
	states   bool   // all texts are task states
	offset   int
	size     int
	isState  bool // written as a number with a table of states
	isInline bool // written as char[16]
}

// newShape makes the shape of an event's pieces.
func newShape(system, name string, pieces []piece, tail []byte) *shape {
	s := &shape{system: system, name: name, tail: string(tail)}
	for i := range pieces {
		p := &pieces[i]
		s.fields = append(s.fields, shapeField{literal: string(p.literal), name: s.unique(string(p.key)), class: p.class, width: p.width, states: true})
	}
	return s
}

// unique gives a field name that the shape does not have yet.
func (s *shape) unique(key string) string {
	name := key
	for n := 2; ; n++ {
		taken := strings.HasPrefix(name, "common_")
		for i := range s.fields {
			taken = taken || s.fields[i].name == name
		}
		if !taken {
			return name
		}
		name = fmt.Sprintf("%s_%d", key, n)
	}
}

// skeleton is what texts of one shape have in common, as a key.
func skeleton(system, name string, pieces []piece, tail []byte) string {
	var b strings.Builder
	b.WriteString(system + "\x00" + name)
	for i := range pieces {
		p := &pieces[i]
		fmt.Fprintf(&b, "\x00%s\x00%d.%d", p.literal, p.class, p.width)
	}
	b.WriteString("\x00")
	b.Write(tail)
	return b.String()
}

// note takes a text's values into account.
func (s *shape) note(pieces []piece) {
	for i := range pieces {
		f, p := &s.fields[i], &pieces[i]
		if p.class == classText {
			f.longest = max(f.longest, len(p.value))
			f.states = f.states && stateOf(string(p.value)) >= 0
			continue
		}
		v, negative := p.parseValue()
		if negative {
			f.min = min(f.min, int64(v))
		} else {
			f.max = max(f.max, v)
		}
	}
}

// commonSize is the size of the fields that all events have.
const commonSize = 8

// commLen is the size of a task's name in the kernel, with its zero byte.
const commLen = 16

// layOut decides types and offsets.
func (s *shape) layOut() {
	at := commonSize
	for i := range s.fields {
		f := &s.fields[i]
		align := 4
		switch {
		case f.class == classText && f.name == "prev_state" && s.name == "sched_switch" && f.states:
			f.isState, f.size, align = true, 8, 8
		case f.class == classText && strings.HasSuffix(f.name, "comm") && f.longest < commLen:
			f.isInline, f.size, align = true, commLen, 1
		case f.class == classText:
			f.size = 4
		case f.class == classHex || f.class == classHex16 || f.max > math.MaxInt32 || f.min < math.MinInt32 || f.name == "prev_state":
			f.size, align = 8, 8
		default:
			f.size = 4
		}
		at = (at + align - 1) &^ (align - 1)
		f.offset = at
		at += f.size
	}
	s.fixed = at
}

// signed says whether a number is signed.
func (f *shapeField) signed() bool {
	return f.class <= classZeros && f.max <= math.MaxInt64
}

// declaration is the field's line in the format.
func (f *shapeField) declaration() string {
	kind, signed := "unsigned long ", 0
	switch {
	case f.isInline:
		return fmt.Sprintf("\tfield:char %s[%d];\toffset:%d;\tsize:%d;\tsigned:0;\n", f.name, commLen, f.offset, f.size)
	case f.class == classText && !f.isState:
		return fmt.Sprintf("\tfield:__data_loc char[] %s;\toffset:%d;\tsize:4;\tsigned:0;\n", f.name, f.offset)
	case f.signed() && f.size == 8:
		kind, signed = "long ", 1
	case f.signed():
		kind, signed = "int ", 1
	case f.size == 4:
		kind = "unsigned int "
	}
	return fmt.Sprintf("\tfield:%s%s;\toffset:%d;\tsize:%d;\tsigned:%d;\n", kind, f.name, f.offset, f.size, signed)
}

// verb is the field's conversion and argument in the print format.
func (f *shapeField) verb() (verb, arg string) {
	rec := "REC->" + f.name
	switch {
	case f.isState:
		return "%s", stateTable(rec)
	case f.isInline:
		return "%s", rec
	case f.class == classText:
		return "%s", "__get_str(" + f.name + ")"
	case f.class == classHex:
		return "0x%lx", rec
	case f.class == classHex16:
		return "%016lx", rec
	}
	conv := "u"
	if f.signed() {
		conv = "d"
	}
	if f.size == 8 {
		conv = "l" + conv
	}
	if f.class == classZeros {
		conv = fmt.Sprintf("0%d%s", f.width, conv)
	}
	return "%" + conv, rec
}

// stateTable prints a task state's number as its letter.
func stateTable(rec string) string {
	var b strings.Builder
	b.WriteString("__print_symbolic(" + rec)
	for _, s := range stateBits {
		fmt.Fprintf(&b, ", { %d, \"%s\" }", s.bits, s.text)
	}
	return b.String() + ")"
}

// formatText is the shape as a format file.
func (s *shape) formatText() string {
	var b, args strings.Builder
	fmt.Fprintf(&b, "name: %s\nID: %d\nformat:\n%s\n", s.name, s.id, commonFields)
	format := ""
	for i := range s.fields {
		f := &s.fields[i]
		b.WriteString(f.declaration())
		verb, arg := f.verb()
		format += escapeFormat(f.literal) + verb
		args.WriteString(", " + arg)
	}
	fmt.Fprintf(&b, "\nprint fmt: \"%s%s\"%s\n", format, escapeFormat(s.tail), args.String())
	return b.String()
}

// commonFields are the fields that every event has.
const commonFields = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" +
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" +
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" +
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"

// escapeFormat makes a text a literal of a printf format in a C string.
func escapeFormat(s string) string {
	return strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s)
}
