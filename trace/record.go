package trace

import (
	"bytes"
	"fmt"
	"math"
)

// maxSnapshotLine bounds a line of a snapshot: a list of some 30 million PFNs.
const maxSnapshotLine = 256 << 20

// record is one line of a snapshot: a word, fields, and for some a list.
type record struct {
	lines   *lineReader
	line    []byte
	word    string
	note    string // text between word and first field ("full" of barnsheaf)
	fields  []recordField
	list    []byte // text behind the list's colon
	hasList bool
	err     error // the first fault
}

// recordField is one field; used says that the reader asked for it.
type recordField struct {
	key, value []byte
	used       bool
}

// next reads the next line that is not blank.
func (r *record) next() error {
	for {
		line, err := r.lines.next()
		if err != nil {
			return err
		}
		if len(trimBoth(line)) > 0 {
			r.split(line)
			return r.err
		}
	}
}

// listMarks are the ends of the part before a record's list. A cache's name
// may contain colons, so the lists of addresses are found by their own word.
var listMarks = map[string]string{
	"free": ":", "pcplist": ":", "random_seq:": "random_seq:", "cpuslab": " freelist:", "cpupartial": ":",
	"nodepartial": ":", "sheaf": ":", "barnsheaf": ":", "slab": " freelist:",
}

// notedWords are the records with a text before their fields.
var notedWords = map[string]bool{"ksnap": true, "ksnap_extra": true, "barnsheaf": true}

// split takes line apart.
func (r *record) split(line []byte) {
	word, _, _ := bytes.Cut(line, []byte(" "))
	r.line, r.word, r.note, r.err = line, string(word), "", nil
	r.fields, r.list, r.hasList = r.fields[:0], nil, false
	head := line
	if mark, ok := listMarks[r.word]; ok {
		i := bytes.LastIndex(line, []byte(mark))
		if i < 0 {
			r.fail(line, fmt.Sprintf("%q and a list", mark))
			return
		}
		head, r.list, r.hasList = line[:i], line[i+len(mark):], true
		if r.word == mark {
			return
		}
	}
	s := newFieldScanner(head[min(len(word)+1, len(head)):])
	s.exact = true
	r.note = string(s.lead)
	if r.note != "" && !notedWords[r.word] {
		r.fail(s.lead, "fields after "+r.word)
	}
	for s.next() {
		r.fields = append(r.fields, recordField{key: s.key, value: s.value})
	}
}

// fail notes the first fault.
func (r *record) fail(found []byte, expected string) {
	if r.err == nil {
		r.err = r.lines.fail(quote(found), expected)
	}
}

// failf notes a fault whose found part is not a text of the line.
func (r *record) failf(expected, format string, args ...any) {
	if r.err == nil {
		r.err = r.lines.fail(fmt.Sprintf(format, args...), expected)
	}
}

// has says whether the record has a field.
func (r *record) has(key string) bool {
	for i := range r.fields {
		if string(r.fields[i].key) == key {
			return true
		}
	}
	return false
}

// text gives a field's value; a fault if it is missing or twice there.
func (r *record) text(key string) []byte {
	var value []byte
	n := 0
	for i := range r.fields {
		if f := &r.fields[i]; string(f.key) == key {
			value, f.used = f.value, true
			n++
		}
	}
	if n != 1 {
		r.fail(r.line, fmt.Sprintf("one field %s in %s", key, r.word))
	}
	return value
}

// uint gives a field's decimal value, at most limit.
func (r *record) uint(key string, limit uint64) uint64 {
	text := r.text(key)
	v, ok := parseDecimal(text)
	if !ok || v > limit {
		r.fail(text, fmt.Sprintf("a decimal number up to %d as %s", limit, key))
		return 0
	}
	return v
}

// int gives a field's decimal value as a small number.
func (r *record) int(key string, limit int) int { return int(r.uint(key, uint64(limit))) }

// uint32 gives a field's decimal value of 32 bits.
func (r *record) uint32(key string) uint32 { return uint32(r.uint(key, math.MaxUint32)) }

// pages gives a number of pages or a PFN.
func (r *record) pages(key string) uint64 { return r.uint(key, maxPFN) }

// maxPFN is the largest PFN that a snapshot may have: 64-bit addresses of
// 4 KiB pages.
const maxPFN = 1<<52 - 1

// signed gives a field's decimal value with a sign.
func (r *record) signed(key string) int {
	text := r.text(key)
	v, ok := ParseInt(text)
	if !ok || v != int64(int32(v)) {
		r.fail(text, "a 32-bit number as "+key)
		return 0
	}
	return int(v)
}

// int64 gives a field's decimal value with a sign.
func (r *record) int64(key string) int64 {
	text := r.text(key)
	v, ok := ParseInt(text)
	if !ok {
		r.fail(text, "a number as "+key)
	}
	return v
}

// hex gives a field's hexadecimal value.
func (r *record) hex(key string) uint64 {
	text := r.text(key)
	v, ok := parseHex(text)
	if !ok {
		r.fail(text, "a hexadecimal number as "+key)
	}
	return v
}

// seconds gives a field's time in nanoseconds.
func (r *record) seconds(key string) uint64 {
	text := r.text(key)
	t, stamp, end := scanTime(text, 0)
	if end != len(text) || stamp > StampNano {
		// scanTime wants something behind a bare number, so text without
		// decimals gives -1 and lands here too.
		r.fail(text, "seconds with six decimals as "+key)
		return 0
	}
	return t
}

// numbers gives the list's decimal numbers, each at most limit.
func (r *record) numbers(limit uint64) []uint64 {
	return r.items(func(text []byte) (uint64, bool) {
		v, ok := parseDecimal(text)
		return v, ok && v <= limit
	}, fmt.Sprintf("a decimal number up to %d", limit))
}

// addresses gives the list's hexadecimal numbers.
func (r *record) addresses() []uint64 {
	return r.items(parseHex, "an address in hexadecimal")
}

// items reads the list, whose items stand after one space each.
func (r *record) items(parse func([]byte) (uint64, bool), expected string) []uint64 {
	rest := r.list
	if len(rest) == 0 {
		return nil
	}
	out := make([]uint64, 0, bytes.Count(rest, []byte(" ")))
	for len(rest) > 0 {
		if rest[0] != ' ' {
			r.fail(rest, "a space and "+expected)
			return nil
		}
		item := rest[1:]
		if i := bytes.IndexByte(item, ' '); i >= 0 {
			item = item[:i]
		}
		v, ok := parse(item)
		if !ok {
			r.fail(item, expected)
			return nil
		}
		out = append(out, v)
		rest = rest[1+len(item):]
	}
	return out
}

// unknown gives the fields that nobody asked for.
func (r *record) unknown(out []UnknownField) []UnknownField {
	for i := range r.fields {
		if f := &r.fields[i]; !f.used {
			out = append(out, UnknownField{r.lines.line, r.word, string(f.key), string(f.value)})
		}
	}
	return out
}
