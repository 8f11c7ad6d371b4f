package slab

import (
	"fmt"
	"strconv"
	"strings"
)

// OrderRule says how a cache's slab order follows from its object size, the
// kernel's calculate_order.
type OrderRule uint8

const (
	// OrderShrinkMinObjects tries every waste limit for every number of
	// objects from the wanted one down (until 6.7).
	OrderShrinkMinObjects OrderRule = iota
	// OrderFixedMin keeps the order that the wanted number of objects needs and
	// only relaxes the waste limit (since 6.8).
	OrderFixedMin
)

// CPURule says which CPUs count for the wanted number of objects in a slab.
type CPURule uint8

const (
	// CPUsPossible are all CPUs that could be plugged in (until 5.10, and a
	// machine with one present CPU).
	CPUsPossible CPURule = iota
	// CPUsPresent are the CPUs that are plugged in (since 5.11).
	CPUsPresent
)

// FreePointerRule says where in a free object the pointer to the next one is.
type FreePointerRule uint8

const (
	// FreePointerFirst is the object's first word (until 5.6).
	FreePointerFirst FreePointerRule = iota
	// FreePointerMiddle is the word at or below its middle (since 5.7).
	FreePointerMiddle
)

// CPUPartialRule says what bounds a CPU's list of partial slabs.
type CPUPartialRule uint8

const (
	// CPUPartialObjects bounds the free objects on the list, counted when each
	// slab comes onto it (until 5.15).
	CPUPartialObjects CPUPartialRule = iota
	// CPUPartialSlabs bounds the slabs (since 5.16).
	CPUPartialSlabs
)

// KmallocAlignRule says how kmalloc's caches are aligned beyond the
// architecture's minimum.
type KmallocAlignRule uint8

const (
	// KmallocAlignMin: not at all (until 5.3).
	KmallocAlignMin KmallocAlignRule = iota
	// KmallocAlignPower: powers of two to their size (5.4 to 6.10).
	KmallocAlignPower
	// KmallocAlignDivisor: every size to its largest power-of-two divisor
	// (since 6.11).
	KmallocAlignDivisor
)

// Profile is a kernel version's policy as named values. Start from one of the
// presets.
type Profile struct {
	// Name is the kernel version, as "6.1".
	Name string

	Order        OrderRule
	CPUs         CPURule
	FreePointer  FreePointerRule
	CPUPartial   CPUPartialRule
	KmallocAlign KmallocAlignRule

	// TrackStack says that who allocated or freed an object is kept as a handle
	// of a stack (since 5.19); else the stack itself is, 16 addresses.
	TrackStack bool
	// OrigSizeBytes is the room for a kmalloc request's size beside the tracks:
	// 0 (until 6.0), 4, or, as -1, a machine word (6.12 stable).
	OrigSizeBytes int
	// OrigSizeMovesPointer: with red zones and that room, the free pointer lies
	// behind the object, because the right red zone may begin inside it
	// (since 6.2).
	OrigSizeMovesPointer bool

	// Reclaim and cgroup types of kmalloc exist since 4.20 and 5.14; before,
	// each memory cgroup had copies of all caches.
	KmallocReclaim, KmallocCgroup bool
	// KmallocLongNames: sizes in names are bytes, as kmalloc-1024 (until 4.19).
	KmallocLongNames bool
	// KmallocDMAByIndex: DMA caches are made last, 96 and 192 first (until 5.13,
	// and since 6.11 all types are so). KmallocCgroupLast: the cgroup type comes
	// after the others (since 6.2).
	KmallocDMAByIndex, KmallocCgroupLast bool
	// KmallocNoMergeFlag keeps the normal kmalloc caches alone by a flag (since
	// 6.5) instead of by their reference count.
	KmallocNoMergeFlag bool
	// RandomBelow says that slab orders are shuffled with get_random_u32_below
	// (since 6.2), not with a seeded state of its own.
	RandomBelow bool

	// FreezeOnlyCPUSlab: slabs on a CPU's partial list are not frozen, only the
	// CPU's slab is (since 6.8).
	FreezeOnlyCPUSlab bool
	// PreferNode: a request that names a node without insisting on it first
	// tries a new slab there before it takes other nodes' partial slabs (since
	// 6.11).
	PreferNode bool
	// Sheaves: caches may keep arrays of free objects for each CPU (since 6.18).
	Sheaves bool
}

// Linux4_18 is kernel 4.18, as Red Hat Enterprise Linux 8 shipped it. Proof:
// the slabinfo of such a machine (orders and objects).
var Linux4_18 = Profile{Name: "4.18", KmallocLongNames: true, KmallocDMAByIndex: true}

// Linux5_4 is kernel 5.4. Proof: slabinfo files of such machines (orders and
// objects).
var Linux5_4 = Profile{Name: "5.4", KmallocAlign: KmallocAlignPower, KmallocReclaim: true, KmallocDMAByIndex: true}

// Linux6_1 is kernel 6.1 with Debian's stable updates. Proof: all layouts and
// object addresses of the 6.1 captures.
var Linux6_1 = Profile{
	Name: "6.1", CPUs: CPUsPresent, FreePointer: FreePointerMiddle, CPUPartial: CPUPartialSlabs,
	KmallocAlign: KmallocAlignPower, TrackStack: true, OrigSizeBytes: 4, KmallocReclaim: true, KmallocCgroup: true,
}

// Linux6_12 is kernel 6.12 with stable updates. Proof: what it shares with 6.18;
// the rest is read in its source.
var Linux6_12 = Profile{
	Name: "6.12", Order: OrderFixedMin, CPUs: CPUsPresent, FreePointer: FreePointerMiddle, CPUPartial: CPUPartialSlabs,
	KmallocAlign: KmallocAlignDivisor, TrackStack: true, OrigSizeBytes: -1, OrigSizeMovesPointer: true,
	KmallocReclaim: true, KmallocCgroup: true, KmallocNoMergeFlag: true, RandomBelow: true,
	KmallocCgroupLast: true, FreezeOnlyCPUSlab: true, PreferNode: true,
}

// Linux6_18 is kernel 6.18. Proof: the layouts and object addresses of the
// captures of a real machine.
var Linux6_18 = Profile{
	Name: "6.18", Order: OrderFixedMin, CPUs: CPUsPresent, FreePointer: FreePointerMiddle, CPUPartial: CPUPartialSlabs,
	KmallocAlign: KmallocAlignDivisor, TrackStack: true, OrigSizeBytes: -1, OrigSizeMovesPointer: true,
	KmallocReclaim: true, KmallocCgroup: true, KmallocNoMergeFlag: true, RandomBelow: true,
	KmallocCgroupLast: true, FreezeOnlyCPUSlab: true, PreferNode: true, Sheaves: true,
}

// Profiles are the presets, oldest first.
func Profiles() []Profile {
	return []Profile{Linux4_18, Linux5_4, Linux6_1, Linux6_12, Linux6_18}
}

// ProfileForRelease gives the preset nearest to a kernel release ("6.1.0-56-amd64"):
// the newest one that is not newer. Releases before 4.18 get Linux4_18.
func ProfileForRelease(release string) (Profile, error) {
	major, rest, ok := strings.Cut(release, ".")
	minor := rest
	for i, c := range rest {
		if c < '0' || c > '9' {
			minor = rest[:i]
			break
		}
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if !ok || err1 != nil || err2 != nil {
		return Profile{}, fmt.Errorf("slab: kernel release %q: want two numbers with a point, as in 6.1", release)
	}
	found := Linux4_18
	for _, p := range []struct {
		a, b int
		p    Profile
	}{{5, 4, Linux5_4}, {6, 1, Linux6_1}, {6, 12, Linux6_12}, {6, 18, Linux6_18}} {
		if a > p.a || a == p.a && b >= p.b {
			found = p.p
		}
	}
	return found, nil
}
