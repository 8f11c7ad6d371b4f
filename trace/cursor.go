package trace

import "bytes"

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
	return rest
}

// done says whether all went well and nothing is left.
func (c *cursor) done() bool { return c.ok && c.i == len(c.b) }
