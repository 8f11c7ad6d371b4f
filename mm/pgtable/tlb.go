package pgtable

import "math/bits"

// ASID names an address space in a TLB (PCID on x86).
type ASID uint16

// TLB is a small translation lookaside buffer: sets of ways, the least recently used
// way is replaced. It remembers what the tables said, so that a change of the tables
// without a flush leaves the old translation in use, as in a CPU.
//
// Fields may be read between calls; each counts since the start.
type TLB struct {
	Hits, Misses uint64 // accesses that needed no walk, and that did
	Evictions    uint64 // valid entries that were replaced
	Flushed      uint64 // entries that flushes took

	ways    int
	mask    uint64
	entries []tlbEntry // set by set
	now     uint64
}

// tlbEntry is one remembered page or block.
type tlbEntry struct {
	va, phys uint64 // of its start
	used     uint64 // when it was used last; 0 is an empty entry
	shift    uint8
	flags    Flags
	asid     ASID
}

// NewTLB makes an empty TLB. Sets has to be a power of two; sets and ways are at
// most 65,536 together.
func NewTLB(sets, ways int) (*TLB, error) {
	if sets < 1 || sets&(sets-1) != 0 || ways < 1 || sets > 1<<16 || ways > 1<<16 || sets*ways > 1<<16 {
		return nil, &Error{"TLB", 0, "sets have to be a power of two, sets by ways at most 65536", einval}
	}
	return &TLB{ways: ways, mask: uint64(sets - 1), entries: make([]tlbEntry, sets*ways)}, nil
}

func (b *TLB) set(va uint64, shift uint8) []tlbEntry {
	i := int(va>>shift&b.mask) * b.ways
	return b.entries[i : i+b.ways]
}

// find looks a translation up, for each size that the format has.
func (b *TLB) find(f *Format, asid ASID, va uint64) *tlbEntry {
	for i := range f.levels {
		if !f.levels[i].Leaf {
			continue
		}
		shift := uint8(f.levels[i].Shift)
		set := b.set(va, shift)
		for w := range set {
			e := &set[w]
			if e.used != 0 && e.shift == shift && e.va == va>>shift<<shift && (e.asid == asid || e.flags&Global != 0) {
				return e
			}
		}
	}
	return nil
}

// Access uses an address as PageTable.Access does, through the TLB. A hit is checked
// against the rights that the entry remembers. A write to a page remembered as clean,
// a page not accessed yet, and whatever the entry forbids, walk the tables again: those decide.
func (b *TLB) Access(t *PageTable, asid ASID, va uint64, use Use) (uint64, *Fault) {
	b.now++
	if e := b.find(t.f, asid, va); e != nil {
		if t.f.allowed(e.flags, use) && (use&AccessWrite == 0 || e.flags&Dirty != 0) {
			b.Hits++
			e.used = b.now
			return e.phys | va&(1<<e.shift-1), nil
		}
		e.used = 0
	}
	b.Misses++
	phys, fault := t.Access(va, use)
	if fault == nil {
		b.fill(t, asid, va)
	}
	return phys, fault
}

// fill remembers the translation of an address that has just been used.
func (b *TLB) fill(t *PageTable, asid ASID, va uint64) {
	var p path
	e, k := t.find(va, &p)
	shift := uint8(t.f.levels[p.level].Shift)
	set := b.set(va, shift)
	old := &set[0]
	for w := range set {
		if set[w].used < old.used {
			old = &set[w]
		}
	}
	if old.used != 0 {
		b.Evictions++
	}
	*old = tlbEntry{va: va >> shift << shift, phys: t.f.physOf(e, p.level, k), used: b.now, shift: shift, flags: t.f.flagsOf(e, p.level), asid: asid}
}

// FlushPage forgets the page or block of an address in an address space, global
// ones too (INVLPG, TLBI VAE1).
func (b *TLB) FlushPage(f *Format, asid ASID, va uint64) {
	for e := b.find(f, asid, va); e != nil; e = b.find(f, asid, va) {
		e.used = 0
		b.Flushed++
	}
}

// FlushASID forgets an address space, but for global pages: what a change of
// CR3 without PCID does.
func (b *TLB) FlushASID(asid ASID) {
	b.flush(func(e *tlbEntry) bool { return e.asid == asid && e.flags&Global == 0 })
}

// FlushAll forgets all, global pages too.
func (b *TLB) FlushAll() { b.flush(func(*tlbEntry) bool { return true }) }

func (b *TLB) flush(which func(*tlbEntry) bool) {
	for i := range b.entries {
		if e := &b.entries[i]; e.used != 0 && which(e) {
			e.used = 0
			b.Flushed++
		}
	}
}

// Reach is how many bytes the entries in use cover.
func (b *TLB) Reach() uint64 {
	var sum, carry uint64
	for i := range b.entries {
		if b.entries[i].used != 0 {
			if sum, carry = bits.Add64(sum, 1<<b.entries[i].shift, 0); carry != 0 {
				return ^uint64(0)
			}
		}
	}
	return sum
}
