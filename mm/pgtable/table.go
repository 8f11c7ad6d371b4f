package pgtable

import (
	"fmt"
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// PageSource gives the pages that tables are in.
type PageSource interface {
	// AllocTable gives 2^order adjacent pages, by the number of the first.
	AllocTable(order int) (pfn uint64, err error)
	// FreeTable takes them back.
	FreeTable(pfn uint64, order int) error
}

// BuddySource takes tables from the page allocator, as GFP_PGTABLE_USER does.
type BuddySource struct {
	Allocator *buddy.Allocator
	CPU       buddy.CPU
}

// AllocTable asks the allocator.
func (s BuddySource) AllocTable(order int) (uint64, error) {
	pfn, err := s.Allocator.AllocPages(s.CPU, buddy.GFPKernelAccount|buddy.GFPZero, buddy.Order(order))
	return uint64(pfn), err
}

// FreeTable gives a table's pages back.
func (s BuddySource) FreeTable(pfn uint64, order int) error {
	return s.Allocator.Free(s.CPU, buddy.PFN(pfn), buddy.Order(order))
}

// Error is a change that is refused. The tables are as they were.
type Error struct {
	Op     string
	Addr   uint64
	Why    string
	Report string // the kernel's report or errno
}

// Error names operation, address, reason and report.
func (e *Error) Error() string {
	return fmt.Sprintf("pgtable: %s %#x: %s (kernel: %s)", e.Op, e.Addr, e.Why, e.Report)
}

const (
	einval = "EINVAL"
	badPTE = "BUG: Bad page map"
)

// node is one table.
type node struct {
	phys    uint64 // where it is
	entries []uint64
	below   []int32 // index of the entry's table in nodes; of a leaf or none it has no meaning
	used    int32   // entries that are not 0
}

// PageTable is the page tables of one address space.
type PageTable struct {
	f      *Format
	source PageSource
	nodes  []node
	free   [6][]int32 // unused nodes by level, with their arrays
	pairs  []pair     // short descriptors: the pages that two tables share
	root   int32
	tables int // in use, the first level's included
	pages  int // pages that the source gave and has not got back
}

// pair is a page with the tables of two neighbouring entries.
type pair struct {
	pfn  uint64
	used uint8
}

// New makes an empty address space: the first level's table. It fails where
// the source does.
func New(f *Format, source PageSource) (*PageTable, error) {
	t := &PageTable{f: f, source: source}
	if f.enc == encShort {
		t.pairs = make([]pair, 1<<(f.levels[0].Bits-1))
	}
	root, err := t.newNode(0, 0)
	if err != nil {
		return nil, err
	}
	t.root = root
	return t, nil
}

// Format is the kind of tables.
func (t *PageTable) Format() *Format { return t.f }

// Root is the physical address of the first level: what CR3, TTBR0 or TTBR1 hold.
func (t *PageTable) Root() uint64 { return t.nodes[t.root].phys }

// Tables is the number of tables in use, Pages that of the pages they take.
func (t *PageTable) Tables() int { return t.tables }

// Pages is the number of pages that tables take.
func (t *PageTable) Pages() int { return t.pages }

// order is the order of a level's table. A table smaller than a page has a page
// here, where the kernel takes it from a cache.
func (t *PageTable) order(level int) int {
	size := t.f.entryBytes << t.f.levels[level].Bits
	return max(0, bits.Len64(size-1)-int(t.f.pageShift))
}

// newNode makes an empty table for entry index of the level above.
func (t *PageTable) newNode(level int, index uint64) (int32, error) {
	phys, err := t.tablePages(level, index)
	if err != nil {
		return 0, err
	}
	t.tables++
	if k := len(t.free[level]); k > 0 {
		n := t.free[level][k-1]
		t.free[level] = t.free[level][:k-1]
		t.nodes[n].phys = phys
		return n, nil
	}
	size := 1 << t.f.levels[level].Bits
	n := node{phys: phys, entries: make([]uint64, size)}
	if level < len(t.f.levels)-1 {
		n.below = make([]int32, size)
	}
	t.nodes = append(t.nodes, n)
	return int32(len(t.nodes) - 1), nil
}

// tablePages takes the memory of a table. With short descriptors two
// neighbours share a page, its upper half: the lower one is the kernel's copies.
func (t *PageTable) tablePages(level int, index uint64) (uint64, error) {
	if t.f.enc == encShort && level == 1 {
		p := &t.pairs[index>>1]
		if p.used == 0 {
			pfn, err := t.source.AllocTable(0)
			if err != nil {
				return 0, err
			}
			p.pfn = pfn
			t.pages++
		}
		p.used++
		return p.pfn<<12 + 2048 + index&1*1024, nil
	}
	order := t.order(level)
	pfn, err := t.source.AllocTable(order)
	if err != nil {
		return 0, err
	}
	t.pages += 1 << order
	return pfn << t.f.pageShift, nil
}

// freeNode gives an empty table back.
func (t *PageTable) freeNode(n int32, level int, index uint64) error {
	t.tables--
	t.free[level] = append(t.free[level], n)
	if t.f.enc == encShort && level == 1 {
		p := &t.pairs[index>>1]
		if p.used--; p.used > 0 {
			return nil
		}
		t.pages--
		return t.source.FreeTable(p.pfn, 0)
	}
	order := t.order(level)
	t.pages -= 1 << order
	return t.source.FreeTable(t.nodes[n].phys>>t.f.pageShift, order)
}

func (t *PageTable) index(level int, va uint64) uint64 {
	l := &t.f.levels[level]
	return va >> l.Shift & (1<<l.Bits - 1)
}

// path is the way down to an entry.
type path struct {
	node  [6]int32
	index [6]uint64
	level int // of the entry
}

// find goes down to the entry that translates va: a leaf, a note, or an empty
// one.
func (t *PageTable) find(va uint64, p *path) (e uint64, k Kind) {
	n := t.root
	for level := 0; ; level++ {
		i := t.index(level, va)
		p.node[level], p.index[level], p.level = n, i, level
		e = t.nodes[n].entries[i]
		if k = t.f.kindOf(e, level); k != Table {
			return e, k
		}
		n = t.nodes[n].below[i]
	}
}

func (t *PageTable) set(p *path, e uint64) {
	n := &t.nodes[p.node[p.level]]
	old := n.entries[p.index[p.level]]
	n.entries[p.index[p.level]] = e
	switch {
	case old == 0 && e != 0:
		n.used++
	case old != 0 && e == 0:
		n.used--
	}
}

// descend makes tables down to a level, for an address whose entry is empty so far
// above it. It takes back what it made if the source fails.
func (t *PageTable) descend(va uint64, p *path, to int) error {
	for p.level < to {
		next, err := t.newNode(p.level+1, p.index[p.level])
		if err != nil {
			if freeErr := t.prune(p); freeErr != nil {
				return freeErr
			}
			return err
		}
		t.set(p, t.f.tableEntry(t.nodes[next].phys, p.level, false))
		t.nodes[p.node[p.level]].below[p.index[p.level]] = next
		p.level++
		p.node[p.level], p.index[p.level] = next, t.index(p.level, va)
	}
	return nil
}

// prune frees the tables above an entry that have become empty.
func (t *PageTable) prune(p *path) error {
	for p.level > 0 && t.nodes[p.node[p.level]].used == 0 {
		n, level := p.node[p.level], p.level
		p.level--
		t.set(p, 0)
		if err := t.freeNode(n, level, p.index[p.level]); err != nil {
			return err
		}
	}
	return nil
}

// size says which level maps so many bytes at once, and as how many entries.
func (f *Format) size(size uint64) (level int, run uint64, ok bool) {
	for i := range f.levels {
		l := &f.levels[i]
		if !l.Leaf {
			continue
		}
		if size == 1<<l.Shift {
			return i, 1, true
		}
		if l.Run > 0 && size == l.Run<<l.Shift {
			return i, l.Run, true
		}
	}
	return 0, 0, false
}

func (t *PageTable) check(op string, va, size uint64, fl Flags) (level int, run uint64, err error) {
	level, run, ok := t.f.size(size)
	switch {
	case !ok:
		return 0, 0, &Error{op, va, fmt.Sprintf("no page or block has %d bytes", size), einval}
	case va%size != 0:
		return 0, 0, &Error{op, va, "not aligned to the size", einval}
	case !t.f.canonical(va):
		return 0, 0, &Error{op, va, "no address of these tables", einval}
	case fl&^(allFlags&^Contig) != 0:
		return 0, 0, &Error{op, va, "unknown flags; contiguous follows from the size", einval}
	case fl&User != 0 && !t.f.userHalf(va):
		return 0, 0, &Error{op, va, "a kernel address for user space", einval}
	}
	return level, run, nil
}

// Map maps size bytes at va, one of Sizes, to physical memory. It makes the
// tables that are missing. Everything in the range has to be empty; both
// addresses have to be multiples of size. It fails with an *Error, or the source's error.
func (t *PageTable) Map(va, phys, size uint64, fl Flags) error {
	level, run, err := t.check("map", va, size, fl)
	if err != nil {
		return err
	}
	if phys%size != 0 || phys>>t.f.physBits != 0 {
		return &Error{"map", phys, "no physical address for this size", einval}
	}
	var p path
	if _, k := t.find(va, &p); k != None {
		return &Error{"map", va, "mapped already", badPTE}
	}
	if p.level > level {
		return &Error{"map", va, "a table with smaller pages is there", badPTE}
	}
	fl = t.f.normal(fl)
	if run > 1 {
		fl |= Contig
		if p.level == level && !t.emptyRun(&p, run) {
			return &Error{"map", va, "part of it is mapped already", badPTE}
		}
	}
	if err := t.descend(va, &p, level); err != nil {
		return err
	}
	step := uint64(1) << t.f.levels[level].Shift
	for i := range run {
		t.set(&p, t.f.leafEntry(phys+i*step, level, fl))
		p.index[level]++
	}
	return nil
}

// emptyRun says whether the next entries of a table are empty.
func (t *PageTable) emptyRun(p *path, run uint64) bool {
	n := &t.nodes[p.node[p.level]]
	for i := range run {
		if n.entries[p.index[p.level]+i] != 0 {
			return false
		}
	}
	return true
}

// leafAt finds the leaf or note that starts at va with this size.
func (t *PageTable) leafAt(op string, va, size uint64, p *path) (e uint64, run uint64, err error) {
	level, run, err := t.check(op, va, size, 0)
	if err != nil {
		return 0, 0, err
	}
	e, k := t.find(va, p)
	switch {
	case k == None:
		return 0, 0, &Error{op, va, "not mapped", "EFAULT"}
	case p.level != level || k == Leaf && (t.f.flagsOf(e, level)&Contig != 0) != (run > 1) || k == Swapped && run > 1:
		return 0, 0, &Error{op, va, "mapped by another size: the kernel would split it", einval}
	}
	return e, run, nil
}

// Unmap empties what was mapped at va with this size, or the note there, and
// gives back tables that have become empty. The answer is the first entry's old value.
func (t *PageTable) Unmap(va, size uint64) (uint64, error) {
	var p path
	e, run, err := t.leafAt("unmap", va, size, &p)
	if err != nil {
		return 0, err
	}
	for range run {
		t.set(&p, 0)
		p.index[p.level]++
	}
	return e, t.prune(&p)
}

// Protect gives what is mapped at va with this size other rights. Accessed
// and Dirty are kept, as pte_modify does; Global and User are taken from fl.
func (t *PageTable) Protect(va, size uint64, fl Flags) error {
	var p path
	e, run, err := t.leafAt("protect", va, size, &p)
	if err != nil {
		return err
	}
	if _, _, err := t.check("protect", va, size, fl); err != nil {
		return err
	}
	if t.f.kindOf(e, p.level) != Leaf {
		return &Error{"protect", va, "not present", einval}
	}
	for range run {
		e = t.nodes[p.node[p.level]].entries[p.index[p.level]]
		old := t.f.flagsOf(e, p.level)
		want := t.f.normal(fl&^(Accessed|Dirty) | old&(Accessed|Dirty|Contig))
		t.set(&p, t.f.leafEntry(t.f.physOf(e, p.level, Leaf), p.level, want))
		p.index[p.level]++
	}
	return nil
}

// SwapOut replaces the page at va, which has to be mapped by a single page, with a
// note of where it is now.
func (t *PageTable) SwapOut(va uint64, s Swap) error {
	note, ok := t.f.swapEntry(s)
	if !ok {
		return &Error{"swap out", va, "no swap entry of this format", einval}
	}
	var p path
	e, _, err := t.leafAt("swap out", va, t.f.PageSize(), &p)
	if err != nil {
		return err
	}
	if t.f.kindOf(e, p.level) != Leaf {
		return &Error{"swap out", va, "not present", einval}
	}
	t.set(&p, note)
	return nil
}

// SwapIn replaces the note at va by a page, and says what it noted.
func (t *PageTable) SwapIn(va, phys uint64, fl Flags) (Swap, error) {
	var p path
	e, _, err := t.leafAt("swap in", va, t.f.PageSize(), &p)
	if err != nil {
		return Swap{}, err
	}
	if t.f.kindOf(e, p.level) != Swapped {
		return Swap{}, &Error{"swap in", va, "not swapped out", einval}
	}
	if _, _, err := t.check("swap in", va, t.f.PageSize(), fl); err != nil {
		return Swap{}, err
	}
	if phys%t.f.PageSize() != 0 || phys>>t.f.physBits != 0 {
		return Swap{}, &Error{"swap in", phys, "no physical address of a page", einval}
	}
	t.set(&p, t.f.leafEntry(phys, p.level, t.f.normal(fl)))
	return t.f.swapOf(e), nil
}

// Split replaces the block at va by a table of the next smaller blocks or pages with the same
// rights, as split_huge_pmd and set_memory_* do. Of a contiguous block only the bits are taken away.
func (t *PageTable) Split(va, size uint64) error {
	var p path
	e, run, err := t.leafAt("split", va, size, &p)
	if err != nil {
		return err
	}
	f := t.f
	if f.kindOf(e, p.level) != Leaf || (run == 1 && p.level == len(f.levels)-1) {
		return &Error{"split", va, "a single page", einval}
	}
	fl := f.flagsOf(e, p.level) &^ Contig
	phys := f.physOf(e, p.level, Leaf)
	if run > 1 {
		for range run {
			e = t.nodes[p.node[p.level]].entries[p.index[p.level]]
			t.set(&p, f.leafEntry(f.physOf(e, p.level, Leaf), p.level, f.flagsOf(e, p.level)&^Contig))
			p.index[p.level]++
		}
		return nil
	}
	next, err := t.newNode(p.level+1, p.index[p.level])
	if err != nil {
		return err
	}
	n := &t.nodes[next]
	step := uint64(1) << f.levels[p.level+1].Shift
	for i := range n.entries {
		n.entries[i] = f.leafEntry(phys+uint64(i)*step, p.level+1, fl)
	}
	n.used = int32(len(n.entries))
	t.set(&p, f.tableEntry(n.phys, p.level, fl&User == 0))
	t.nodes[p.node[p.level]].below[p.index[p.level]] = next
	return nil
}

// MapRange maps size bytes from va on to adjacent memory, with the largest
// blocks that both addresses' alignment allows and that are at most largest bytes, as the direct map is built.
// Where it fails, what was mapped before stays; it says how many bytes.
func (t *PageTable) MapRange(va, phys, size, largest uint64, fl Flags) (done uint64, err error) {
	sizes := t.f.Sizes()
	for done < size {
		at := uint64(0)
		for _, s := range sizes {
			if s <= largest && s <= size-done && (va+done)%s == 0 && (phys+done)%s == 0 {
				at = s
			}
		}
		if at == 0 {
			return done, &Error{"map", va + done, "less than a page", einval}
		}
		if err := t.Map(va+done, phys+done, at, fl); err != nil {
			return done, err
		}
		done += at
	}
	return done, nil
}
