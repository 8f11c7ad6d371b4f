package pgtable

// Kind is what an entry is.
type Kind uint8

// The kinds.
const (
	None    Kind = iota // empty
	Table               // the next level's table
	Leaf                // memory
	Swapped             // not present, with the kernel's note of where the page is
)

var kindNames = [...]string{"none", "table", "leaf", "swap"}

// String names the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Swap is where a page is that is not in memory: a swap area and the page in it.
type Swap struct {
	Type   uint8  // number of the area, 0 to 31
	Offset uint64 // in pages
}

const (
	x86Present, x86Write, x86User, x86Accessed, x86Dirty, x86Huge, x86Global = 1, 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 8

	x86NX = 1 << 63

	longValid, longTable, longUser, longReadOnly, longShared, longAF, longNG = 1, 1 << 1, 1 << 6, 1 << 7, 3 << 8, 1 << 10, 1 << 11

	longContig, longPXN, longXN = 1 << 52, 1 << 53, 1 << 54

	longDirty            = 1 << 55 // the kernel's
	arm64Write           = 1 << 51 // DBM: writable, even if read-only now
	arm64TablePXN        = 1 << 59
	arm64TableUXN        = 1 << 60
	lpaeReadOnly         = 1 << 58 // the kernel's: read-only for good
	lpaeNormal           = 7 << 2  // memory type: write-allocate
	longAddr             = 1<<48 - 1<<12
	shortTable           = 1
	shortSection         = 2
	shortPage            = 2
	shortSectionXN       = 1 << 4
	shortPageXN          = 1
	shortSectionNG       = 1 << 17
	shortPageNG          = 1 << 11
	shortSectionReadOnly = 1 << 15
	shortPageReadOnly    = 1 << 9
	// Access rights of the kernel, and of user space too.
	shortSectionAP0, shortSectionAP1 = 1 << 10, 1 << 11
	shortPageAP0, shortPageAP1       = 1 << 4, 1 << 5
	// Normal memory, write-back and write-allocate: TEX 1, C, B.
	shortSectionNormal = 1<<12 | 1<<3 | 1<<2
	shortPageNormal    = 1<<6 | 1<<3 | 1<<2
)

// tableEntry is the entry of a table. x86 gives all rights to all tables, also
// the kernel's, but for those that a kernel's block was split into.
func (f *Format) tableEntry(phys uint64, level int, splitKernel bool) uint64 {
	switch f.enc {
	case encX86, encX86_32:
		if f.vaBits == 32 && f.enc == encX86 && level == 0 {
			return phys | x86Present // all other bits are reserved here
		}
		e := phys | x86Present | x86Write | x86User | x86Accessed | x86Dirty
		if splitKernel {
			e &^= x86User
		}
		return e
	case encARM64:
		if f.kernel {
			return phys | longValid | longTable | arm64TableUXN
		}
		return phys | longValid | longTable | arm64TablePXN
	case encLPAE:
		return phys | longValid | longTable
	}
	return phys | shortTable
}

// leafEntry is the entry of memory at phys.
func (f *Format) leafEntry(phys uint64, level int, fl Flags) uint64 {
	bottom := level == len(f.levels)-1
	switch f.enc {
	case encX86, encX86_32:
		e := phys | x86Present
		if !bottom {
			e |= x86Huge
		}
		e |= bit(fl, Write, x86Write) | bit(fl, User, x86User) | bit(fl, Global, x86Global) | bit(fl, Accessed, x86Accessed) | bit(fl, Dirty, x86Dirty)
		if f.enc == encX86 {
			e |= bit(^fl, Exec, x86NX)
		}
		return e
	case encShort:
		return f.shortLeaf(phys, bottom, fl)
	}
	e := phys | longValid | longShared | bit(fl, Accessed, longAF) | bit(^fl, Global, longNG) | bit(fl, User, longUser) | bit(fl, Contig, longContig)
	if bottom {
		e |= longTable
	}
	if f.enc == encLPAE {
		e |= lpaeNormal | bit(^fl, Write, lpaeReadOnly) | bit(^fl, Exec, longXN)
	} else {
		e |= bit(fl, Write, arm64Write)
		// Each side's no-execute: the other never executes it.
		if fl&User != 0 {
			e |= longPXN | bit(^fl, Exec, longXN)
		} else {
			e |= longXN | bit(^fl, Exec, longPXN)
		}
	}
	if fl&Dirty != 0 && (fl&User != 0 || fl&Write == 0 || f.enc == encLPAE) {
		e |= longDirty
	}
	if fl&(Write|Dirty) != Write|Dirty {
		e |= longReadOnly
	}
	return e
}

func bit(fl, which Flags, value uint64) uint64 {
	if fl&which != 0 {
		return value
	}
	return 0
}

func (f *Format) shortLeaf(phys uint64, bottom bool, fl Flags) uint64 {
	if bottom {
		return phys | shortPage | shortPageNormal | shortPageAP0 | bit(fl, User, shortPageAP1) | bit(^fl, Write, shortPageReadOnly) |
			bit(^fl, Exec, shortPageXN) | bit(^fl, Global, shortPageNG)
	}
	return phys | shortSection | shortSectionNormal | shortSectionAP0 | bit(fl, User, shortSectionAP1) | bit(^fl, Write, shortSectionReadOnly) |
		bit(^fl, Exec, shortSectionXN) | bit(^fl, Global, shortSectionNG)
}

// kindOf tells what an entry is.
func (f *Format) kindOf(e uint64, level int) Kind {
	bottom := level == len(f.levels)-1
	switch {
	case e == 0:
		return None
	case f.enc == encShort:
		switch {
		case e&3 == 0:
			return Swapped
		case !bottom && e&3 == shortTable:
			return Table
		}
		return Leaf
	case e&1 == 0:
		return Swapped
	case bottom:
		return Leaf
	case f.enc == encX86 || f.enc == encX86_32:
		if e&x86Huge != 0 {
			return Leaf
		}
		return Table
	case e&longTable != 0:
		return Table
	}
	return Leaf
}

// physOf is the address in a table's or leaf's entry.
func (f *Format) physOf(e uint64, level int, k Kind) uint64 {
	if k == Leaf {
		return e & longOrShort(f) &^ (1<<f.levels[level].Shift - 1)
	}
	if f.enc == encShort {
		return e & 0xfffffc00
	}
	return e & longOrShort(f)
}

func longOrShort(f *Format) uint64 {
	switch f.enc {
	case encX86:
		return 1<<52 - 1<<12
	case encX86_32, encShort:
		return 1<<32 - 1<<12
	}
	return longAddr
}

// flagsOf reads a leaf's flags back.
func (f *Format) flagsOf(e uint64, level int) Flags {
	has := func(mask uint64, fl Flags) Flags {
		if e&mask != 0 {
			return fl
		}
		return 0
	}
	hasNot := func(mask uint64, fl Flags) Flags { return fl &^ has(mask, fl) }
	switch f.enc {
	case encX86, encX86_32:
		fl := has(x86Write, Write) | has(x86User, User) | has(x86Global, Global) | has(x86Accessed, Accessed) | has(x86Dirty, Dirty)
		if f.enc == encX86_32 {
			return fl | Exec
		}
		return fl | hasNot(x86NX, Exec)
	case encShort:
		if level == len(f.levels)-1 {
			return has(shortPageAP1, User) | hasNot(shortPageReadOnly, Write|Dirty) | hasNot(shortPageXN, Exec) | hasNot(shortPageNG, Global) | Accessed
		}
		return has(shortSectionAP1, User) | hasNot(shortSectionReadOnly, Write|Dirty) | hasNot(shortSectionXN, Exec) | hasNot(shortSectionNG, Global) | Accessed
	}
	fl := has(longUser, User) | hasNot(longNG, Global) | has(longAF, Accessed) | has(longDirty, Dirty) | has(longContig, Contig)
	if f.enc == encLPAE {
		return fl | hasNot(lpaeReadOnly, Write) | hasNot(longXN, Exec)
	}
	fl |= has(arm64Write, Write)
	if fl&Write != 0 {
		fl |= hasNot(longReadOnly, Dirty)
	}
	if fl&User != 0 {
		return fl | hasNot(longXN, Exec)
	}
	return fl | hasNot(longPXN, Exec)
}

// normal gives the flags as the format keeps them, so that what is read back equals
// what was mapped.
func (f *Format) normal(fl Flags) Flags {
	switch f.enc {
	case encX86_32:
		fl |= Exec // no bit to forbid it
	case encShort:
		fl = fl&^Dirty | Accessed
		if fl&Write != 0 {
			fl |= Dirty
		}
	}
	return fl
}

// swapEntry writes a note, in the bits that leave the entry not present.
func (f *Format) swapEntry(s Swap) (uint64, bool) {
	if s.Type > 31 {
		return 0, false
	}
	var e uint64
	switch f.enc {
	case encX86:
		// Type on top, the offset inverted, so that the entry names no memory
		// that a CPU with L1TF could load.
		if s.Offset>>50 != 0 {
			return 0, false
		}
		e = ^s.Offset<<14>>5 | uint64(s.Type)<<59
	case encX86_32:
		e = uint64(s.Type)<<1 | s.Offset<<9
	case encARM64:
		if s.Offset>>50 != 0 {
			return 0, false
		}
		e = uint64(s.Type)<<3 | s.Offset<<8
	default:
		e = uint64(s.Type)<<2 | s.Offset<<7
	}
	if f.entryBytes == 4 || f.enc == encLPAE {
		if s.Offset>>23 != 0 {
			return 0, false
		}
	}
	// The first page of the first area has no entry: it holds the area's header.
	return e, e != 0
}

// swapOf reads a note.
func (f *Format) swapOf(e uint64) Swap {
	switch f.enc {
	case encX86:
		return Swap{uint8(e >> 59), ^e << 5 >> 14}
	case encX86_32:
		return Swap{uint8(e >> 1 & 31), e >> 9}
	case encARM64:
		return Swap{uint8(e >> 3 & 31), e >> 8 & (1<<50 - 1)}
	}
	return Swap{uint8(e >> 2 & 31), e >> 7}
}
