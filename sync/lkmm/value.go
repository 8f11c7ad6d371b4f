package lkmm

import (
	"fmt"
	"slices"
	"strconv"
)

// Value is the content of a shared variable or of a register: a plain
// integer, or the address of a shared variable. Both live in one 64-bit
// number, so that C's arithmetic on either is total: addresses are far above
// every integer that a litmus test writes, one [addressStride] apart.
// NULL is 0.
type Value int64

const (
	addressBase   Value = 1 << 48
	addressStride Value = 1 << 20
	maxLocations        = 1 << 12
)

// loc is the index of a shared variable in Test.Locations.
type loc int32

// noLoc says that a value is not the address of a shared variable.
const noLoc loc = -1

// addressOf is the value of &v for the shared variable l.
func addressOf(l loc) Value { return addressBase + Value(l)*addressStride }

// split takes an address apart into shared variable and element; ok is false
// for a plain integer.
func (v Value) split() (l loc, element int64, ok bool) {
	if v < addressBase || v >= addressBase+maxLocations*addressStride {
		return noLoc, 0, false
	}
	off := v - addressBase
	l, element = loc(off/addressStride), int64(off%addressStride)
	if element > int64(addressStride)/2 { // &x - 1
		return l + 1, element - int64(addressStride), true
	}
	return l, element, true
}

// boolValue is C's 1 or 0.
func boolValue(b bool) Value {
	if b {
		return 1
	}
	return 0
}

// format prints v as a litmus condition writes it: a number, the name of the
// shared variable it points to, or name[element].
func (v Value) format(locs []Location) string {
	l, element, ok := v.split()
	if !ok || int(l) >= len(locs) {
		return strconv.FormatInt(int64(v), 10)
	}
	if element != 0 {
		return fmt.Sprintf("%s[%d]", locs[l].Name, element)
	}
	return locs[l].Name
}

// sorted gives names in alphabetical order.
func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
