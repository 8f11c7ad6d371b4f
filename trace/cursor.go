package trace

import (
	"bytes"
	"encoding/binary"
	"math"
)

// cursor reads a text whose layout is known: each call takes one part off and
// ok turns false at the first surprise. The decoders try the layout that
// kernels have printed for years with it, which costs a third of looking at
// every field, and read anything else field by field.
type cursor struct {
	b  []byte
	i  int
	ok bool
}

// newCursor starts at the beginning of b.
func newCursor(b []byte) cursor { return cursor{b: b, ok: true} }

// has takes text off if it comes next.
func (c *cursor) has(text string) bool {
	if len(c.b)-c.i >= len(text) && string(c.b[c.i:c.i+len(text)]) == text {
		c.i += len(text)
		return true
	}
	return false
}

// lit takes text off, which has to come next.
func (c *cursor) lit(text string) { c.ok = c.has(text) && c.ok }

// hex takes off 1 to 16 hexadecimal digits.
func (c *cursor) hex() uint64 {
	var v uint64
	start := c.i
	for len(c.b)-c.i >= 8 {
		part, ok := hex8(binary.BigEndian.Uint64(c.b[c.i:]))
		if !ok {
			break
		}
		v = v<<32 | part
		c.i += 8
	}
	for c.i < len(c.b) {
		d := hexValue[c.b[c.i]]
		if d > 15 {
			break
		}
		v = v<<4 | uint64(d)
		c.i++
	}
	c.ok = c.ok && c.i > start && c.i-start <= 16
	return v
}

// A byte in each place, for hex8.
const (
	everyByte = 0x0101010101010101
	nibbles   = 0x0f * everyByte
)

// hex8 reads eight characters, the first one in the highest byte, as lower-case
// hexadecimal digits, all at once.
func hex8(chars uint64) (v uint64, ok bool) {
	letters := chars >> 6 & everyByte // 1 where the character is 'a' to 'f'
	v = chars&nibbles + 9*letters
	over := (v + 6*everyByte) >> 4 & everyByte // 1 where the digit is above 9
	if v&^nibbles != 0 || v+'0'*everyByte+('a'-10-'0')*over != chars {
		return 0, false
	}
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return (v | v>>16) & 0xffffffff, true
}

// dec takes off 1 to 18 decimal digits.
func (c *cursor) dec() uint64 {
	var v uint64
	start := c.i
	for c.i < len(c.b) && isDigit(c.b[c.i]) {
		v = v*10 + uint64(c.b[c.i]-'0')
		c.i++
	}
	c.ok = c.ok && c.i > start && c.i-start <= 18
	return v
}

// int32 takes off a number of 32 bits that may have a sign.
func (c *cursor) int32() int32 {
	negative := c.i < len(c.b) && c.b[c.i] == '-'
	if negative {
		c.i++
	}
	v := int64(c.dec())
	if negative {
		v = -v
	}
	c.ok = c.ok && v == int64(int32(v))
	return int32(v)
}

// word takes off the text up to the next space or the end.
func (c *cursor) word() []byte {
	rest := c.b[c.i:]
	if n := bytes.IndexByte(rest, ' '); n >= 0 {
		rest = rest[:n]
	}
	c.i += len(rest)
	return c.plain(rest)
}

// plain gives text, but leaves to the careful decoders one that may be more
// than a value: with an equals sign in it, in quotes, or padded.
func (c *cursor) plain(text []byte) []byte {
	if n := len(text); n > 0 {
		c.ok = c.ok && text[n-1] != ' ' && text[n-1] != ',' && text[0] != '"' && bytes.IndexByte(text, '=') < 0
	}
	return text
}

// until takes off the text before " " and words, and these too.
func (c *cursor) until(words string) []byte {
	start := c.i
	for {
		n := bytes.IndexByte(c.b[c.i:], ' ')
		if n < 0 {
			c.ok = false
			return nil
		}
		c.i += n + 1
		if end := c.i - 1; c.has(words) {
			return c.plain(c.b[start:end])
		}
	}
}

// pid takes off a thread's number; label is what stands before it, with a
// dash, where numbers were replaced.
func (c *cursor) pid() (label []byte, pid int32) {
	if c.i < len(c.b) && class[c.b[c.i]]&classIdent != 0 && !isDigit(c.b[c.i]) {
		word := c.b[c.i:]
		n := bytes.IndexByte(word, '-')
		if n < 0 {
			c.ok = false
			return nil, 0
		}
		c.i += n + 1
		v := c.dec()
		c.ok = c.ok && v <= math.MaxInt32
		return word[:n], int32(v)
	}
	return nil, c.int32()
}

// done says whether all went well and nothing is left.
func (c *cursor) done() bool { return c.ok && c.i == len(c.b) }
