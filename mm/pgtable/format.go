package pgtable

import "fmt"

// Flags are the rights and states of a page. All pages can be read.
type Flags uint8

// The flags.
const (
	Write  Flags = 1 << iota
	User         // user space may use it
	Exec         // may be executed: by user space if User, else by the kernel
	Global       // in all address spaces: kept by a flush for one
	Accessed
	Dirty
	Contig   // part of a contiguous block (arm64)
	allFlags = 1<<iota - 1
)

var flagNames = [...]string{"write", "user", "exec", "global", "accessed", "dirty", "contiguous"}

// String lists the flags.
func (f Flags) String() string {
	s := "read"
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			s += "+" + name
		}
	}
	return s
}

type encoding uint8

const (
	encX86    encoding = iota // 64-bit entries, also PAE
	encX86_32                 // 32-bit entries
	encARM64
	encLPAE
	encShort
)

// Level is one level of tables.
type Level struct {
	Name  string
	Shift uint // an entry maps 1<<Shift bytes
	Bits  uint // a table has 1<<Bits entries
	Leaf  bool // entries may map memory
	// Run is how many entries a contiguous block has; 0 is none.
	Run uint64
}

// Format is a kind of page tables. Take one from the functions below.
type Format struct {
	name       string
	enc        encoding
	levels     []Level // top first
	entryBytes uint64
	pageShift  uint
	vaBits     uint
	physBits   uint
	kernel     bool // arm64: the tables of the upper half (TTBR1)
	hardwareAD bool // the CPU sets accessed and dirty
}

// String is the format's name.
func (f *Format) String() string { return f.name }

// Levels are the levels, top first.
func (f *Format) Levels() []Level { return append([]Level(nil), f.levels...) }

// PageSize is the size of a page in bytes.
func (f *Format) PageSize() uint64 { return 1 << f.pageShift }

// Sizes are the sizes in bytes that can be mapped at once, rising: a page, contiguous
// pages, and blocks.
func (f *Format) Sizes() []uint64 {
	var out []uint64
	for i := len(f.levels) - 1; i >= 0; i-- {
		l := f.levels[i]
		if !l.Leaf {
			continue
		}
		out = append(out, 1<<l.Shift)
		if l.Run > 0 {
			out = append(out, l.Run<<l.Shift)
		}
	}
	return out
}

// X86_64 is x86_64 with 4 or 5 levels; any other number means 4.
func X86_64(levels int) *Format {
	f := &Format{name: "x86_64, 4 levels", enc: encX86, entryBytes: 8, pageShift: 12, vaBits: 48, physBits: 52, hardwareAD: true}
	top := []Level{{Name: "PGD", Shift: 39, Bits: 9}}
	if levels == 5 {
		f.name, f.vaBits = "x86_64, 5 levels", 57
		top = []Level{{Name: "PGD", Shift: 48, Bits: 9}, {Name: "P4D", Shift: 39, Bits: 9}}
	}
	f.levels = append(top, Level{Name: "PUD", Shift: 30, Bits: 9, Leaf: true}, Level{Name: "PMD", Shift: 21, Bits: 9, Leaf: true}, Level{Name: "PTE", Shift: 12, Bits: 9, Leaf: true})
	return f
}

// X86 is x86 with 32 bits, with PAE or without.
func X86(pae bool) *Format {
	if pae {
		return &Format{name: "x86 with PAE", enc: encX86, entryBytes: 8, pageShift: 12, vaBits: 32, physBits: 52, hardwareAD: true, levels: []Level{
			{Name: "PGD", Shift: 30, Bits: 2}, {Name: "PMD", Shift: 21, Bits: 9, Leaf: true}, {Name: "PTE", Shift: 12, Bits: 9, Leaf: true}}}
	}
	return &Format{name: "x86", enc: encX86_32, entryBytes: 4, pageShift: 12, vaBits: 32, physBits: 32, hardwareAD: true, levels: []Level{
		{Name: "PGD", Shift: 22, Bits: 10, Leaf: true}, {Name: "PTE", Shift: 12, Bits: 10, Leaf: true}}}
}

// FormatError is a format that no kernel has.
type FormatError struct {
	PageSize uint64
	VABits   int
}

// Error names both.
func (e *FormatError) Error() string {
	return fmt.Sprintf("pgtable: no arm64 kernel has %d bits of virtual addresses with pages of %d bytes", e.VABits, e.PageSize)
}

// ARM64 is arm64 with pages of 4, 16 or 64 KiB and 36 to 52 bits of virtual
// addresses: the tables of user space, or the kernel's. hardwareAD says that the
// CPU sets accessed and dirty (FEAT_HAFDBS).
func ARM64(pageSize uint64, vaBits int, kernel, hardwareAD bool) (*Format, error) {
	bits := map[uint64][]int{4 << 10: {39, 48, 52}, 16 << 10: {36, 47, 48, 52}, 64 << 10: {42, 48, 52}}
	known := false
	for _, b := range bits[pageSize] {
		known = known || b == vaBits
	}
	if !known {
		return nil, &FormatError{pageSize, vaBits}
	}
	shift := uint(12)
	for 1<<shift != pageSize {
		shift += 2
	}
	f := &Format{name: fmt.Sprintf("arm64, %d bits, %d KiB pages", vaBits, pageSize>>10), enc: encARM64, entryBytes: 8, pageShift: shift,
		vaBits: uint(vaBits), physBits: 48, kernel: kernel, hardwareAD: hardwareAD}
	names := []string{"PTE", "PMD", "PUD", "P4D", "PGD"}
	per := shift - 3
	for s, i := shift, 0; s < f.vaBits; s, i = s+per, i+1 {
		l := Level{Name: names[i], Shift: s, Bits: min(per, f.vaBits-s), Leaf: i < 2 || (i == 2 && shift == 12)}
		// Entries of a contiguous block: 64 KiB and 32 MiB, 2 MiB and 1 GiB, 2 MiB and 16 GiB.
		if i < 2 {
			l.Run = map[uint][2]uint64{12: {16, 16}, 14: {128, 32}, 16: {32, 32}}[shift][i]
		}
		f.levels = append([]Level{l}, f.levels...)
	}
	f.levels[0].Name = "PGD"
	return f, nil
}

// ARM is ARMv7, with LPAE's 64-bit entries or with short descriptors, whose first
// level maps sections of 1 MiB.
func ARM(lpae bool) *Format {
	if lpae {
		return &Format{name: "arm with LPAE", enc: encLPAE, entryBytes: 8, pageShift: 12, vaBits: 32, physBits: 40, levels: []Level{
			{Name: "PGD", Shift: 30, Bits: 2}, {Name: "PMD", Shift: 21, Bits: 9, Leaf: true}, {Name: "PTE", Shift: 12, Bits: 9, Leaf: true}}}
	}
	return &Format{name: "arm", enc: encShort, entryBytes: 4, pageShift: 12, vaBits: 32, physBits: 32, levels: []Level{
		{Name: "PGD", Shift: 20, Bits: 12, Leaf: true}, {Name: "PTE", Shift: 12, Bits: 8, Leaf: true}}}
}

// canonical says whether an address is one that these tables translate.
func (f *Format) canonical(va uint64) bool {
	switch {
	case f.vaBits == 32:
		return va>>32 == 0
	case f.enc == encARM64 && f.kernel:
		return va>>f.vaBits == 1<<(64-f.vaBits)-1
	case f.enc == encARM64:
		return va>>f.vaBits == 0
	}
	top := int64(va) >> (f.vaBits - 1)
	return top == 0 || top == -1
}

// userHalf says whether an address may be user space's.
func (f *Format) userHalf(va uint64) bool {
	switch {
	case f.enc == encARM64:
		return !f.kernel
	case f.vaBits == 32:
		// The split is the kernel's choice.
		return true
	}
	return va>>63 == 0
}
