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
	if in.last < len(in.strings) && in.strings[in.last] == string(text) {
		return in.last
	}
	if len(in.table) == 0 {
		in.table = make([]uint32, 256)
	}
	mask := uint64(len(in.table) - 1)
	for i := hashBytes(text) & mask; ; i = (i + 1) & mask {
		slot := in.table[i]
		if slot == 0 {
			return in.add(string(text), i)
		}
		if in.strings[slot-1] == string(text) {
			in.last = int(slot - 1)
			return in.last
		}
	}
}

// add puts s into the free slot i, if the bounds allow, and gives its index.
func (in *interner) add(s string, i uint64) int {
	if len(in.strings) >= maxInterned || in.bytes+len(s) > maxInternedBytes {
		return -1
	}
	in.strings = append(in.strings, s)
	in.bytes += len(s)
	in.last = len(in.strings) - 1
	in.table[i] = uint32(len(in.strings))
	if 2*len(in.strings) > len(in.table) {
		in.grow()
	}
	return in.last
}

// grow doubles the table.
func (in *interner) grow() {
	table := make([]uint32, 2*len(in.table))
	mask := uint64(len(table) - 1)
	for n, s := range in.strings {
		i := hashString(s) & mask
		for table[i] != 0 {
			i = (i + 1) & mask
		}
		table[i] = uint32(n + 1)
	}
	in.table = table
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
	for len(b) >= 8 {
		h = fold(h ^ binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var tail uint64
	for i, c := range b {
		tail |= uint64(c) << (8 * i)
	}
	return fold(h ^ tail ^ hashSeed)
}

// hashString is hashBytes for a string.
func hashString(s string) uint64 { return hashBytes([]byte(s)) }

// fold multiplies to 128 bits and gives both halves' exclusive or.
func fold(x uint64) uint64 {
	hi, lo := bits.Mul64(x, hashMul)
	return hi ^ lo
}
