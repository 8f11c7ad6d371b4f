package trace

import (
	"bytes"
	"math"
)

// Character classes of the trace text.
const (
	classDigit = 1 << iota
	classIdent // letters, digits, underscore: event and field names
	className  // what an event's printed name may have besides: ":.-@+/"
	classFlag  // latency columns
)

var class = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = classDigit | classIdent | className | classFlag
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = classIdent | className | classFlag
		t[c-'a'+'A'] = classIdent | className | classFlag
	}
	t['_'] = classIdent | className
	t[':'] = className
	t['-'] = className
	t['@'] = className
	t['+'] = className
	t['/'] = className
	t['.'] = className | classFlag
	t['#'] = classFlag
	return t
}()

// isDigit says whether c is a decimal digit.
func isDigit(c byte) bool { return c-'0' <= 9 }

// skipSpaces gives the first place at or after i that is not a space.
func skipSpaces(b []byte, i int) int {
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return i
}

// scanDecimal reads decimal digits from i on: value and the place behind them,
// or end == i if there is none or the number does not fit.
func scanDecimal(b []byte, i int) (v uint64, end int) {
	end = i
	for end < len(b) && isDigit(b[end]) {
		d := uint64(b[end] - '0')
		if v > (math.MaxUint64-d)/10 {
			return 0, i
		}
		v = v*10 + d
		end++
	}
	return v, end
}

// parseDecimal reads all of b as a decimal number.
func parseDecimal(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	if len(b) > 18 { // may not fit: the careful way
		v, end := scanDecimal(b, 0)
		return v, end == len(b)
	}
	var v uint64
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// hexValue has the value of each hexadecimal digit, 0xff elsewhere.
var hexValue = func() (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range 10 {
		t['0'+i] = uint8(i)
	}
	for i := range 6 {
		t['a'+i] = uint8(10 + i)
		t['A'+i] = uint8(10 + i)
	}
	return t
}()

// parseHex reads all of b as a hexadecimal number without prefix.
func parseHex(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		d := hexValue[c]
		if d > 15 {
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}

// hasHexPrefix says whether b starts with "0x" or "0X".
func hasHexPrefix(b []byte) bool {
	return len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x'
}

// ParseUint reads a whole field value as an unsigned number: decimal (leading
// zeros change nothing) or, with "0x", hexadecimal. A unit " [ns]" behind it
// is allowed.
func ParseUint(value []byte) (uint64, bool) {
	value = bytes.TrimSuffix(value, []byte(" [ns]"))
	if hasHexPrefix(value) {
		return parseHex(value[2:])
	}
	return parseDecimal(value)
}

// ParseInt reads a whole field value as a signed number, like [ParseUint] with
// an optional minus sign.
func ParseInt(value []byte) (int64, bool) {
	if len(value) > 0 && value[0] == '-' {
		v, ok := ParseUint(value[1:])
		return -int64(v), ok && v <= 1<<63
	}
	v, ok := ParseUint(value)
	return int64(v), ok && v <= math.MaxInt64
}

// ParsePointer reads a whole field value as the kernel's %p prints it:
// hexadecimal with or without "0x". Null and hidden pointers ("(null)",
// "(nil)", "(ptrval)", "(____ptrval____)", "(efault)") give 0.
func ParsePointer(value []byte) (uint64, bool) {
	if hasHexPrefix(value) {
		return parseHex(value[2:])
	}
	if v, ok := parseHex(value); ok {
		return v, true
	}
	switch string(value) {
	case "(null)", "(nil)", "(ptrval)", "(____ptrval____)", "(efault)":
		return 0, true
	}
	return 0, false
}
