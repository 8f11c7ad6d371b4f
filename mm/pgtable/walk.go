package pgtable

import "fmt"

// Step is one level of a walk.
type Step struct {
	Level     string
	Index     uint64 // of the entry in its table
	EntryAddr uint64 // physical address of the entry
	Entry     uint64 // its value
	Kind      Kind
	Phys      uint64 // of the next table, or of the page or block
	Flags     Flags  // of a leaf
	Swap      Swap   // of a note
}

// String prints the step as a line.
func (s Step) String() string {
	line := fmt.Sprintf("%s[%d] at %#x = 0x%016x  %s", s.Level, s.Index, s.EntryAddr, s.Entry, s.Kind)
	switch s.Kind {
	case Table:
		return fmt.Sprintf("%s %#x", line, s.Phys)
	case Leaf:
		return fmt.Sprintf("%s %#x %s", line, s.Phys, s.Flags)
	case Swapped:
		return fmt.Sprintf("%s area %d page %d", line, s.Swap.Type, s.Swap.Offset)
	}
	return line
}

// Walk appends the levels that a translation of va goes through to steps, down to
// the entry that decides. Of an address that these tables do not translate there are none.
func (t *PageTable) Walk(va uint64, steps []Step) []Step {
	if !t.f.canonical(va) {
		return steps
	}
	n := t.root
	for level := range t.f.levels {
		i := t.index(level, va)
		e := t.nodes[n].entries[i]
		k := t.f.kindOf(e, level)
		s := Step{Level: t.f.levels[level].Name, Index: i, EntryAddr: t.nodes[n].phys + i*t.f.entryBytes, Entry: e, Kind: k}
		switch k {
		case Table:
			s.Phys = t.f.physOf(e, level, k)
			n = t.nodes[n].below[i]
		case Leaf:
			s.Phys, s.Flags = t.f.physOf(e, level, k), t.f.flagsOf(e, level)
		case Swapped:
			s.Swap = t.f.swapOf(e)
		}
		steps = append(steps, s)
		if k != Table {
			break
		}
	}
	return steps
}

// Translation is what an address maps to.
type Translation struct {
	Phys  uint64 // of the address itself
	Size  uint64 // of the page or block, contiguous ones as a whole
	Flags Flags
}

// Translate looks an address up without using it: no right is checked and no
// bit set. ok is false if there is no memory.
func (t *PageTable) Translate(va uint64) (tr Translation, ok bool) {
	if !t.f.canonical(va) {
		return Translation{}, false
	}
	var p path
	e, k := t.find(va, &p)
	if k != Leaf {
		return Translation{}, false
	}
	l := &t.f.levels[p.level]
	tr = Translation{Phys: t.f.physOf(e, p.level, k) | va&(1<<l.Shift-1), Size: 1 << l.Shift, Flags: t.f.flagsOf(e, p.level)}
	if tr.Flags&Contig != 0 {
		tr.Size *= l.Run
	}
	return tr, true
}

// Use is how an address is used.
type Use uint8

// The uses. Reading is 0.
const (
	AccessRead  Use = 0
	AccessWrite Use = 1 << (iota - 1)
	AccessUser      // by user space
	AccessExec      // instruction fetch
)

// FaultKind is why an access is refused.
type FaultKind uint8

// The kinds of faults.
const (
	NotCanonical FaultKind = iota // general protection fault, or a translation fault
	NotPresent
	Protection
	AccessFlag // the accessed bit is for the kernel to set
)

var faultNames = [...]string{"no canonical address", "not present", "protection", "access flag"}

// Fault is a refused access.
type Fault struct {
	Kind  FaultKind
	Addr  uint64
	Use   Use
	Level string // of the entry that decided; empty if none
	// Code is x86's page fault error code, or ARM's fault status code with the
	// level (5 or 6 bits); 0 for x86's general protection fault.
	Code uint64
}

// Error names address, use, reason and code.
func (f *Fault) Error() string {
	use := "read"
	switch {
	case f.Use&AccessExec != 0:
		use = "instruction fetch"
	case f.Use&AccessWrite != 0:
		use = "write"
	}
	who := "kernel"
	if f.Use&AccessUser != 0 {
		who = "user"
	}
	name := "unknown"
	if int(f.Kind) < len(faultNames) {
		name = faultNames[f.Kind]
	}
	return fmt.Sprintf("pgtable: %s %s of %#x: %s at %s, code %#x", who, use, f.Addr, name, f.Level, f.Code)
}

// allowed says whether a leaf may be used so.
func (f *Format) allowed(fl Flags, use Use) bool {
	switch {
	case use&AccessUser != 0 && fl&User == 0:
		return false
	case use&AccessWrite != 0 && fl&Write == 0:
		return false
	case use&AccessExec != 0 && fl&Exec == 0:
		return false
	case use&(AccessExec|AccessUser) == AccessExec && fl&User != 0:
		// SMEP, PXN: the kernel does not run user space's pages. x86 with 32 bits has
		// it where the CPU does, as has ARMv7; it is taken as there.
		return false
	}
	return true
}

// Access uses an address as the CPU does: it checks the rights and sets accessed
// and dirty, or faults. The physical address is the answer. The tables change by those bits
// only.
func (t *PageTable) Access(va uint64, use Use) (uint64, *Fault) {
	f := t.f
	if !f.canonical(va) {
		return 0, f.fault(NotCanonical, va, use, 0, 0)
	}
	var p path
	e, k := t.find(va, &p)
	if k != Leaf {
		return 0, f.fault(NotPresent, va, use, p.level, 0)
	}
	fl := f.flagsOf(e, p.level)
	if fl&Accessed == 0 && !f.hardwareAD {
		return 0, f.fault(AccessFlag, va, use, p.level, fl)
	}
	if !f.allowed(fl, use) || (use&AccessWrite != 0 && fl&Dirty == 0 && !f.hardwareAD) {
		return 0, f.fault(Protection, va, use, p.level, fl)
	}
	want := fl | Accessed
	if use&AccessWrite != 0 {
		want |= Dirty
	}
	phys := f.physOf(e, p.level, k)
	if want != fl {
		t.nodes[p.node[p.level]].entries[p.index[p.level]] = f.touched(e, fl, want)
	}
	return phys | va&(1<<f.levels[p.level].Shift-1), nil
}

// touched is an entry as the CPU leaves it. arm64 marks dirty by taking
// read-only away; the kernel's own dirty bit is not the CPU's.
func (f *Format) touched(e uint64, fl, want Flags) uint64 {
	set := want &^ fl
	if f.enc == encARM64 {
		e |= bit(set, Accessed, longAF)
		return e &^ bit(set, Dirty, longReadOnly)
	}
	return e | bit(set, Accessed, x86Accessed) | bit(set, Dirty, x86Dirty)
}

func (f *Format) fault(kind FaultKind, va uint64, use Use, level int, fl Flags) *Fault {
	out := &Fault{Kind: kind, Addr: va, Use: use}
	if kind != NotCanonical {
		out.Level = f.levels[level].Name
	}
	switch f.enc {
	case encX86, encX86_32:
		if kind == NotCanonical {
			return out
		}
		if kind != NotPresent {
			out.Code = 1
		}
		if use&AccessWrite != 0 {
			out.Code |= 1 << 1
		}
		if use&AccessUser != 0 {
			out.Code |= 1 << 2
		}
		if use&AccessExec != 0 && f.enc == encX86 {
			out.Code |= 1 << 4
		}
	case encShort:
		// Section or page: translation 5 and 7, access flag 3 and 6, permission 13 and 15.
		page := uint64(level)
		out.Code = [...]uint64{5, 5 + 2*page, 13 + 2*page, 3 + 3*page}[kind]
	default:
		// 4, 8, 12 and the level of ARM, whose last one is 3.
		n := uint64(level + 4 - len(f.levels))
		if kind == NotCanonical {
			n = 0
		}
		out.Code = [...]uint64{4, 4, 12, 8}[kind] + n
	}
	return out
}

// MakeYoung is what the kernel does after an access fault, or a protection fault of a
// writable, clean page: it sets accessed, and dirty for a write. Of pages whose
// rights forbid the use it is refused.
func (t *PageTable) MakeYoung(va uint64, use Use) error {
	var p path
	if !t.f.canonical(va) {
		return &Error{"fault at", va, "no address of these tables", "SIGSEGV"}
	}
	e, k := t.find(va, &p)
	if k != Leaf || !t.f.allowed(t.f.flagsOf(e, p.level), use) {
		return &Error{"fault at", va, "no page with this right", "SIGSEGV"}
	}
	fl := t.f.flagsOf(e, p.level) | Accessed
	if use&AccessWrite != 0 {
		fl |= Dirty
	}
	t.set(&p, t.f.leafEntry(t.f.physOf(e, p.level, k), p.level, t.f.normal(fl)))
	return nil
}

// Check proves that counts, entries and tables agree. It returns the first fault; an
// error is a bug of the package.
func (t *PageTable) Check() error {
	seen := make(map[int32]bool)
	pages := 0
	if err := t.checkNode(t.root, 0, seen, &pages); err != nil {
		return err
	}
	for i := range t.pairs {
		if t.pairs[i].used > 0 {
			pages++
		}
	}
	if len(seen) != t.tables || pages != t.pages {
		return fmt.Errorf("pgtable: %d tables in %d pages found, %d in %d counted", len(seen), pages, t.tables, t.pages)
	}
	return nil
}

func (t *PageTable) checkNode(n int32, level int, seen map[int32]bool, pages *int) error {
	if seen[n] {
		return fmt.Errorf("pgtable: table %d is reached twice", n)
	}
	seen[n] = true
	if t.f.enc != encShort || level == 0 {
		*pages += 1 << t.order(level)
	}
	used := int32(0)
	for i, e := range t.nodes[n].entries {
		if e != 0 {
			used++
		}
		if t.f.kindOf(e, level) != Table {
			continue
		}
		next := t.nodes[n].below[i]
		if t.nodes[next].phys != t.f.physOf(e, level, Table) {
			return fmt.Errorf("pgtable: entry %d of level %d names %#x, its table is at %#x", i, level, t.f.physOf(e, level, Table), t.nodes[next].phys)
		}
		if t.nodes[next].used == 0 {
			return fmt.Errorf("pgtable: entry %d of level %d has an empty table", i, level)
		}
		if err := t.checkNode(next, level+1, seen, pages); err != nil {
			return err
		}
	}
	if used != t.nodes[n].used {
		return fmt.Errorf("pgtable: table %d has %d entries, %d counted", n, used, t.nodes[n].used)
	}
	return nil
}
