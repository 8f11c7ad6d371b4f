package trace

import (
	"encoding/binary"
	"math/bits"
)

// Bounds of an interner: a trace that has more different texts than this still
// reads, but the further ones are allocated anew each time.
const (
	maxInterned      = 1 << 16
	maxInternedBytes = 8 << 20
)

// interner gives one string for equal texts, so that a steady stream of events
// allocates nothing. Open addressing with linear probing; table has a power of
// two of slots, at most half of them used; slot 0 means empty.
type interner struct {
	table   []uint32 // index into strings, plus one
	strings []string
	bytes   int // length of all strings together
	last    int // index of the string found last: often asked for again
}

// get gives the string equal to text.
func (in *interner) get(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	if i := in.find(text); i >= 0 {
		return in.strings[i]
	}
	return string(text)
}

// find gives the index of the string equal to text, making it if the bounds
// allow; else -1.
func (in *interner) find(text []byte) int {
	if i := in.lookup(text); i >= 0 {
		return i
	}
	if len(in.strings) >= maxInterned || in.bytes+len(text) > maxInternedBytes {
		return -1
	}
	if 2*len(in.strings) >= len(in.table) {
		in.grow()
	}
	in.strings = append(in.strings, string(text))
	in.bytes += len(text)
	in.last = len(in.strings) - 1
	in.insert(in.last)
	return in.last
}

// lookup gives the index of the string equal to text, -1 if there is none.
func (in *interner) lookup(text []byte) int {
	if in.last < len(in.strings) && in.strings[in.last] == string(text) {
		return in.last
	}
	if len(in.table) == 0 {
		return -1
	}
	mask := uint64(len(in.table) - 1)
	for i := hashBytes(text) & mask; in.table[i] != 0; i = (i + 1) & mask {
		slot := in.table[i] - 1
		if in.strings[slot] == string(text) {
			in.last = int(slot)
			return in.last
		}
	}
	return -1
}

// insert puts the string of index n into the first free slot of its chain.
func (in *interner) insert(n int) {
	mask := uint64(len(in.table) - 1)
	i := hashString(in.strings[n]) & mask
	for in.table[i] != 0 {
		i = (i + 1) & mask
	}
	in.table[i] = uint32(n + 1)
}

// grow doubles the table.
func (in *interner) grow() {
	in.table = make([]uint32, max(256, 2*len(in.table)))
	for n := range in.strings {
		in.insert(n)
	}
}

// Odd constants with well-mixed bits, for hashBytes.
const (
	hashSeed = 0x9e3779b97f4a7c15
	hashMul  = 0xd1b54a32d192ed03
)

// hashBytes is a fixed multiply-and-fold hash: tables must behave the same in
// every run, so it has no seed.
func hashBytes(b []byte) uint64 {
	h := uint64(len(b)) * hashSeed
	if len(b) < 8 {
		var tail uint64
		for i, c := range b {
			tail |= uint64(c) << (8 * i)
		}
		return fold(h ^ tail)
	}
	last := binary.LittleEndian.Uint64(b[len(b)-8:])
	for ; len(b) > 8; b = b[8:] {
		h = fold(h ^ binary.LittleEndian.Uint64(b))
	}
	return fold(h ^ last)
}

// hashString is hashBytes for a string.
func hashString(s string) uint64 { return hashBytes([]byte(s)) }

// fold multiplies to 128 bits and gives both halves' exclusive or.
func fold(x uint64) uint64 {
	hi, lo := bits.Mul64(x, hashMul)
	return hi ^ lo
}
