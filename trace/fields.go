package trace

import (
	"bytes"
	"iter"
)

// Field is one "key=value" of an event's text. Both alias the text.
type Field struct {
	Key   []byte
	Value []byte
}

// Fields goes through the key=value pairs of an event's Args. A value reaches
// to the next " key=" or to the end, so values may have spaces ("[ns]",
// "symbol+0x1/0x2 [module]"); a comma or " ==>" at its end is left off. A
// value in double quotes is given without them. Text before the first key,
// such as the "(function+0x0/0x10)" of a kprobe, comes first with a nil Key.
func Fields(args []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		s := newFieldScanner(args)
		if s.lead != nil && !yield(nil, s.lead) {
			return
		}
		for s.next() {
			if !yield(s.key, s.value) {
				return
			}
		}
	}
}

// FieldValue gives the value of the first field called key.
func FieldValue(args []byte, key string) (value []byte, ok bool) {
	s := newFieldScanner(args)
	for s.next() {
		if string(s.key) == key {
			return s.value, true
		}
	}
	return nil, false
}

// fieldScanner is what Fields does, without the function calls.
type fieldScanner struct {
	b     []byte
	lead  []byte // text before the first key
	key   []byte
	value []byte
	// keyAt and valueAt are where the next key and its value start; keyAt is
	// negative at the end.
	keyAt, valueAt int

	exact      bool // values are given as they stand, quotes and commas too
	valueStart int  // where the current value starts
	quote      bool // the current value was in quotes
}

// newFieldScanner starts at the first key of args.
func newFieldScanner(args []byte) fieldScanner {
	s := fieldScanner{b: args}
	start := skipSpaces(args, 0)
	if s.keyFrom(start) {
		return s
	}
	end := s.findKey(start)
	if lead := bytes.TrimRight(args[start:end], " "); len(lead) > 0 {
		s.lead = lead
	}
	return s
}

// keyFrom looks for "key=" at i and notes it.
func (s *fieldScanner) keyFrom(i int) bool {
	k := i
	for k < len(s.b) && class[s.b[k]]&classIdent != 0 {
		k++
	}
	if k == i || k >= len(s.b) || s.b[k] != '=' {
		s.keyAt = -1
		return false
	}
	s.keyAt, s.valueAt = i, k+1
	return true
}

// findKey looks for the first " key=" at or after i, notes it and gives the
// place of its space, or the end of the text.
func (s *fieldScanner) findKey(i int) int {
	for from := i; ; {
		n := bytes.IndexByte(s.b[from:], '=')
		if n < 0 {
			s.keyAt = -1
			return len(s.b)
		}
		equals := from + n
		k := equals
		for k > from && class[s.b[k-1]]&classIdent != 0 {
			k--
		}
		if k < equals && k > i && s.b[k-1] == ' ' {
			s.keyAt, s.valueAt = k, equals+1
			return k - 1
		}
		from = equals + 1
	}
}

// next goes to the next field.
func (s *fieldScanner) next() bool {
	if s.keyAt < 0 {
		return false
	}
	s.key = s.b[s.keyAt : s.valueAt-1]
	start := s.valueAt
	s.valueStart, s.quote = start, false
	if !s.exact && start < len(s.b) && s.b[start] == '"' && s.quoted(start+1) {
		return true
	}
	end := s.findKey(start)
	s.value = s.b[start:end]
	if n := len(s.value); n > 0 && !s.exact {
		switch s.value[n-1] {
		case ',', '>', ' ':
			s.trim()
		}
	}
	return true
}

// trim takes what is not part of the value off its end.
func (s *fieldScanner) trim() {
	v := bytes.TrimRight(s.value, " ")
	v = bytes.TrimSuffix(v, []byte(" ==>"))
	s.value = bytes.TrimSuffix(v, []byte(","))
}

// quoted reads a value in double quotes whose text starts at i. The closing
// quote is the first one before a space or the end; without one the value is
// read as if the quote were a character like others.
func (s *fieldScanner) quoted(i int) bool {
	for e := i; e < len(s.b); e++ {
		if s.b[e] == '"' && (e+1 == len(s.b) || s.b[e+1] == ' ') {
			s.value, s.quote = s.b[i:e], true
			s.findKey(e + 1)
			return true
		}
	}
	return false
}
