// Package fault is what happens when a process touches its memory: demand paging,
// the zero page, copy-on-write, stacks that grow, and the signals for what is
// not allowed.
//
// It mirrors mm/memory.c of Linux 6.1 (handle_mm_fault, do_anonymous_page,
// do_read_fault, do_cow_fault, do_shared_fault, do_wp_page) and the faults of
// arch/x86/mm/fault.c on top of package vma.
//
// # Rules
//
//   - Nothing is mapped there: SIGSEGV (SEGV_MAPERR), unless the next VMA may grow
//     down to it and RLIMIT_STACK allows.
//   - The VMA does not allow it: SIGSEGV (SEGV_ACCERR).
//   - Private anonymous memory: a read maps the zero page, which counts as nobody's
//     memory; a write maps a page of its own.
//   - Private file: a read maps the page cache's page; a write copies it, and the
//     copy is anonymous memory.
//   - Shared memory: its page, for reads and writes; anonymous shared memory counts
//     as shmem.
//   - Beyond the end of a file: SIGBUS (BUS_ADRERR).
//   - A write to a page that fork shares: a copy, unless nobody else has it any
//     more.
//   - A fault is major if the page had to be read from the disk, minor else. A
//     read of a file or of shared memory maps the pages around it that are in
//     memory too, up to 16 from the last multiple of 64 KiB or the VMA's start
//     on (fault-around).
//   - Private anonymous memory may get 2 MiB at once where an aligned place is empty
//     (transparent huge pages); what treats a part of it splits it.
//
// What /proc/PID/smaps, smaps_rollup, statm and status say of it can be written.
//
// Left out: huge pages of files, swap (a page that was written to stays), userfaultfd,
// the order in which CPUs race for a page.
package fault

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/mm/vma"
	"github.com/kernsim/kernsim/slab"
)

const (
	pageShift = 12
	pageSize  = 1 << pageShift
	tableSize = 512
)

// Signal is what a process gets for an access that is not allowed.
type Signal struct {
	Name, Code string // "SIGSEGV", "SEGV_MAPERR"
	Addr       uint64
}

// Error names signal, code and address.
func (e *Signal) Error() string { return fmt.Sprintf("fault: %s (%s) at %#x", e.Name, e.Code, e.Addr) }

// ErrNoMemory says that a page was wanted and there is none (VM_FAULT_OOM).
var ErrNoMemory = fmt.Errorf("fault: out of memory")

// Kind is how an access went.
type Kind uint8

// Kinds.
const (
	Hit   Kind = iota // the page was mapped and allows it
	Minor             // a fault without reading from a disk
	Major
)

// entry is a page table entry.
type entry struct {
	frame uint32 // of anonymous memory, plus one; 0 for others
	flags uint8
}

const (
	present  uint8 = 1 << iota
	writable       // no fault on a write
	zeroPage
	filePage
	shmemPage
	blocked // PROT_NONE
	old     // a child's copy that it has not touched yet
)

// table has the entries of 2 MiB.
type table struct {
	entries [tableSize]entry
	used    int
	huge    bool // they are one huge page
}

// Machine is what processes share: the frames of anonymous memory and the page
// cache.
type Machine struct {
	// Limit is how many frames of anonymous memory there are; 0 means no limit.
	Limit int
	// Huge says where transparent huge pages are used; HugeZero that a read gets
	// a huge zero page (use_zero_page), HugeZeroCopied that a write to that gets a
	// huge page, as from Linux 6.13 on.
	Huge                     HugeMode
	HugeZero, HugeZeroCopied bool
	// Pages is where frames come from, the page allocator for example; nil: they
	// are only counted. With it there are no transparent huge pages.
	Pages slab.PageSource
	pfns  []buddy.PFN // by frame, if Pages is set
	refs  []uint32    // by frame
	spare []uint32
	used  int
	cache map[filePos]bool // pages of files that are in memory
	dirty map[filePos]bool // of these, those that were written to
	// members are the processes, in the order of their start.
	members []*Memory
	// tlb are the huge pages of shared mappings.
	tlb map[filePos]*tlbPage
	// sizes of files in bytes; one without is endless.
	sizes map[*vma.File]uint64
}

type filePos struct {
	file *vma.File
	page uint64
}

// NewMachine makes a machine with an empty page cache.
func NewMachine() *Machine {
	return &Machine{cache: map[filePos]bool{}, dirty: map[filePos]bool{}, tlb: map[filePos]*tlbPage{}, sizes: map[*vma.File]uint64{}}
}

// SetSize gives a file a size in bytes. Without one a file is endless.
func (m *Machine) SetSize(f *vma.File, size uint64) { m.sizes[f] = size }

// Cache puts a file's pages from first to before last into the page cache.
func (m *Machine) Cache(f *vma.File, first, last uint64) {
	for p := first; p < last; p++ {
		m.cache[filePos{f, p}] = true
	}
}

// Frames is how many frames of anonymous memory are in use.
func (m *Machine) Frames() int { return m.used }

func (m *Machine) take() (uint32, error) {
	if m.Limit > 0 && m.used >= m.Limit {
		return 0, ErrNoMemory
	}
	var pfn buddy.PFN
	if m.Pages != nil {
		var err error
		if pfn, err = m.Pages.AllocPages(buddy.GFPHighUserMovable|buddy.GFPZero, 0, buddy.NoNode, 0); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoMemory, err)
		}
	}
	m.used++
	f := uint32(len(m.refs))
	if n := len(m.spare); n > 0 {
		f, m.spare = m.spare[n-1], m.spare[:n-1]
		m.refs[f] = 1
	} else {
		m.refs = append(m.refs, 1)
	}
	if m.Pages != nil {
		for int(f) >= len(m.pfns) {
			m.pfns = append(m.pfns, 0)
		}
		m.pfns[f] = pfn
	}
	return f, nil
}

func (m *Machine) drop(frame uint32) {
	if m.refs[frame]--; m.refs[frame] == 0 {
		m.used--
		m.spare = append(m.spare, frame)
		if int(frame) < len(m.pfns) {
			_ = m.Pages.FreePages(m.pfns[frame], 0, 0) // it came from there
		}
	}
}

// Memory is a process's memory: its address space with pages. Calls that change
// the address space have to go through it.
type Memory struct {
	m      *Machine
	s      *vma.Space
	tables map[uint64]*table // by address / 2 MiB
	last   *table            // the one used last, and its key
	lastAt uint64
	// MinorFaults and MajorFaults are counts since the start.
	MinorFaults, MajorFaults uint64
	// AnonPages, FilePages and ShmemPages are resident pages.
	AnonPages, FilePages, ShmemPages uint64
	tlb                              []tlbEntry // by address
	stackLimit                       uint64
	peak, peakResident               uint64 // the most pages mapped and resident so far
}

// New gives an address space memory. stackLimit is RLIMIT_STACK in bytes, 0 for 8
// MiB.
func New(m *Machine, s *vma.Space, stackLimit uint64) *Memory {
	if stackLimit == 0 {
		stackLimit = 8 << 20
	}
	x := &Memory{m: m, s: s, tables: map[uint64]*table{}, lastAt: ^uint64(0), stackLimit: stackLimit}
	m.members = append(m.members, x)
	return x
}

// Space is the address space, to look at.
func (x *Memory) Space() *vma.Space { return x.s }

// PFN gives the page frame of anonymous memory at an address, if [Machine.Pages] is
// set and a page is there.
func (x *Memory) PFN(addr uint64) (buddy.PFN, bool) {
	e := x.at(addr, false)
	if e == nil || e.frame == 0 || int(e.frame-1) >= len(x.m.pfns) {
		return 0, false
	}
	return x.m.pfns[e.frame-1], true
}

// Resident is the number of resident pages (RSS).
func (x *Memory) Resident() uint64 { return x.AnonPages + x.FilePages + x.ShmemPages }

// at gives a page's entry; create makes its table.
func (x *Memory) at(addr uint64, create bool) *entry {
	key := addr >> 21
	t := x.last
	if key != x.lastAt || t == nil {
		if t = x.tables[key]; t == nil {
			if !create {
				return nil
			}
			t = new(table)
			x.tables[key] = t
		}
		x.last, x.lastAt = t, key
	}
	return &t.entries[addr>>pageShift%tableSize]
}

// Access touches a byte. The error is a Signal, or ErrNoMemory.
func (x *Memory) Access(addr uint64, write, exec bool) (Kind, error) {
	addr &^= pageSize - 1
	if e := x.at(addr, false); e != nil && e.flags&(present|blocked) == present && !exec && (!write || e.flags&writable != 0) {
		e.flags &^= old
		return Hit, nil
	}
	v, ok := x.s.At(addr)
	if !ok {
		if v, ok = x.grow(addr); !ok {
			return 0, &Signal{"SIGSEGV", "SEGV_MAPERR", addr}
		}
	}
	want := vma.Read
	switch {
	case write:
		want = vma.Write
	case exec:
		want = vma.Exec
	}
	// What may be written or executed may be read, on x86.
	if v.Flags&want == 0 && !(want == vma.Read && v.Flags&(vma.Write|vma.Exec) != 0) {
		return 0, &Signal{"SIGSEGV", "SEGV_ACCERR", addr}
	}
	kind, err := x.handle(&v, addr, write)
	switch {
	case err != nil:
		return 0, err
	case kind == Minor:
		x.MinorFaults++
	case kind == Major:
		x.MajorFaults++
	}
	return kind, nil
}

// grow lets a stack grow down to an address (expand_stack).
func (x *Memory) grow(addr uint64) (vma.VMA, bool) {
	v, ok := x.s.Find(addr)
	if !ok || v.Flags&vma.GrowsDown == 0 || v.End-addr > x.stackLimit {
		return v, false
	}
	if x.s.GrowDown(v.Start, addr) != nil {
		return v, false
	}
	return x.s.At(addr)
}

func (x *Memory) handle(v *vma.VMA, addr uint64, write bool) (Kind, error) {
	if v.HugePageSize() > 0 {
		return x.mapTLB(v, addr, write)
	}
	if done, err := x.mapHuge(v, addr, write); done {
		return Minor, err
	}
	e := x.at(addr, true)
	if e.flags&present != 0 {
		if !write || e.flags&writable != 0 {
			return Hit, nil
		}
		if t := x.tables[addr>>hugeShift]; t.huge {
			if done, err := x.writeHuge(v, t, addr); done {
				return Minor, err
			}
		}
		return Minor, x.unshare(v, e, addr)
	}
	if v.File == nil {
		if !write {
			*e = entry{flags: present | zeroPage}
			x.tables[addr>>21].used++
			return Minor, nil
		}
		return Minor, x.anon(v, e, addr)
	}
	return x.fromFile(v, e, addr, write)
}

// anon maps a new page of anonymous memory.
func (x *Memory) anon(v *vma.VMA, e *entry, addr uint64) error {
	f, err := x.m.take()
	if err != nil {
		return err
	}
	if e.flags&present == 0 {
		x.tables[addr>>21].used++
	}
	*e = entry{f + 1, present | writable}
	x.AnonPages++
	return x.s.Write(addr)
}

// unshare serves a write to a page that is mapped read-only (do_wp_page).
func (x *Memory) unshare(v *vma.VMA, e *entry, addr uint64) error {
	switch {
	case e.flags&(filePage|shmemPage) != 0 && v.Flags&vma.Shared != 0:
		e.flags = e.flags&^old | writable
		x.m.dirty[filePos{v.File, v.PageOffset + (addr-v.Start)>>pageShift}] = true
		return nil
	case e.frame != 0 && x.m.refs[e.frame-1] == 1:
		e.flags = e.flags&^old | writable
		return x.s.Write(addr)
	}
	old := *e
	if err := x.anon(v, e, addr); err != nil {
		*e = old
		return err
	}
	x.forget(old)
	return nil
}

// forget counts a page out.
func (x *Memory) forget(e entry) {
	switch {
	case e.frame != 0:
		x.AnonPages--
		x.m.drop(e.frame - 1)
	case e.flags&filePage != 0:
		x.FilePages--
	case e.flags&shmemPage != 0:
		x.ShmemPages--
	}
}

func (x *Memory) fromFile(v *vma.VMA, e *entry, addr uint64, write bool) (Kind, error) {
	page := v.PageOffset + (addr-v.Start)>>pageShift
	shmem := v.SharedMemory()
	if size, ok := x.m.sizes[v.File]; ok && page >= (size+pageSize-1)>>pageShift {
		return 0, &Signal{"SIGBUS", "BUS_ADRERR", addr}
	}
	kind := Minor
	if pos := (filePos{v.File, page}); !x.m.cache[pos] {
		if !shmem {
			kind = Major
		}
		x.m.cache[pos] = true
	}
	if write && v.Flags&vma.Shared == 0 {
		return kind, x.anon(v, e, addr)
	}
	x.mapFile(e, addr, v, shmem, write)
	if !write {
		x.around(v, addr)
	}
	return kind, nil
}

func (x *Memory) mapFile(e *entry, addr uint64, v *vma.VMA, shmem, write bool) {
	flags := present | filePage
	x.tables[addr>>21].used++
	if shmem {
		flags = present | shmemPage
		x.ShmemPages++
	} else {
		x.FilePages++
	}
	if write {
		flags |= writable
		x.m.dirty[filePos{v.File, v.PageOffset + (addr-v.Start)>>pageShift}] = true
	}
	*e = entry{flags: flags}
}

// around maps the cached pages of a file near an address (do_fault_around).
func (x *Memory) around(v *vma.VMA, addr uint64) {
	const span = 16 * pageSize
	from := max(addr&^(span-1), v.Start)
	to := min(from+span, v.End, addr&^(1<<21-1)+1<<21) // of one page table
	size, sized := x.m.sizes[v.File]
	for at := from; at < to; at += pageSize {
		page := v.PageOffset + (at-v.Start)>>pageShift
		if sized && page >= (size+pageSize-1)>>pageShift || !x.m.cache[filePos{v.File, page}] {
			continue
		}
		if e := x.at(at, true); e.flags&present == 0 {
			x.mapFile(e, at, v, v.SharedMemory(), false)
		}
	}
}

// eachTable calls f with the tables of a range, by address.
func (x *Memory) eachTable(start, end uint64, f func(key uint64)) {
	if start >= end {
		return
	}
	first, last := start>>hugeShift, (end-1)>>hugeShift
	if last-first < uint64(len(x.tables)) {
		for key := first; key <= last; key++ {
			if x.tables[key] != nil {
				f(key)
			}
		}
		return
	}
	// Fewer tables than places for them.
	keys := make([]uint64, 0, len(x.tables))
	for key := range x.tables { // order does not matter: they are sorted
		if key >= first && key <= last {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		f(key)
	}
}

// each calls f with the entries of a range that are present.
func (x *Memory) each(start, end uint64, f func(e *entry, addr uint64)) {
	x.eachTable(start, end, func(key uint64) {
		t := x.tables[key]
		for at := max(start&^(pageSize-1), key<<hugeShift); at < min(end, (key+1)<<hugeShift); at += pageSize {
			if e := &t.entries[at>>pageShift%tableSize]; e.flags&present != 0 {
				f(e, at)
			}
		}
	})
}

// zap unmaps the pages of a range (zap_page_range). Their tables stay, but for those
// of huge pages.
func (x *Memory) zap(start, end uint64) {
	x.note()
	x.zapTLB(start, end)
	x.splitAt(start)
	x.splitAt(end)
	x.each(start, end, func(e *entry, addr uint64) {
		x.forget(*e)
		*e = entry{}
		x.tables[addr>>hugeShift].used--
	})
	x.eachTable(start, end, func(key uint64) {
		if t := x.tables[key]; t.huge && t.used == 0 {
			delete(x.tables, key)
			x.last, x.lastAt = nil, ^uint64(0)
		}
	})
}

// prune unmaps the pages of a range that are in no VMA any more.
func (x *Memory) prune(start, end uint64) {
	for i := len(x.tlb) - 1; i >= 0; i-- {
		if _, ok := x.s.At(x.tlb[i].addr); !ok && x.tlb[i].addr >= start && x.tlb[i].addr < end {
			x.zapTLB(x.tlb[i].addr, x.tlb[i].addr+1)
		}
	}
	x.each(start, end, func(_ *entry, addr uint64) {
		if _, ok := x.s.At(addr); !ok {
			x.zap(addr, addr+pageSize)
		}
	})
}

// Mmap is vma.Space.Mmap; what was mapped there is gone.
func (x *Memory) Mmap(addr, length uint64, prot vma.Prot, flags vma.MapFlags, file *vma.File, pageOffset uint64) (uint64, error) {
	at, err := x.s.Mmap(addr, length, prot, flags, file, pageOffset)
	end := at + (length+pageSize-1)&^(pageSize-1)
	if err == nil {
		x.zap(at, end)
		x.freeTables(at, end)
		x.splitBorders(at, end)
		const nonBlock = 0x10000
		if v, _ := x.s.At(at); v.Flags&vma.Locked != 0 || flags&(vma.MapPopulate|nonBlock) == vma.MapPopulate {
			x.populate(at, end)
		}
	} else {
		x.prune(at, end) // refused after the old mapping had gone
	}
	return at, err
}

// maxPopulate bounds what is touched at once: 4 GiB.
const maxPopulate = 4 << 30

// populate touches the pages of a range, for writing where that gives a page of one's
// own (__mm_populate). Where there is no memory it stops, and after 4 GiB.
func (x *Memory) populate(start, end uint64) {
	for at := start; at < end && at-start < maxPopulate; at += pageSize {
		v, ok := x.s.At(at)
		if !ok || v.Flags&(vma.Read|vma.Write|vma.Exec) == 0 {
			continue
		}
		if _, err := x.Access(at, v.Flags&(vma.Write|vma.Shared) == vma.Write, false); err != nil {
			return
		}
	}
}

// Mlock is vma.Space.Mlock: the pages are read in.
func (x *Memory) Mlock(addr, length uint64) error {
	start := addr &^ (pageSize - 1)
	end := start + (length+addr-start+pageSize-1)&^(pageSize-1)
	err := x.s.Mlock(addr, length)
	x.splitBorders(start, end)
	if err == nil {
		x.populate(start, end)
	}
	return err
}

// Munmap is vma.Space.Munmap.
func (x *Memory) Munmap(addr, length uint64) error {
	x.note()
	err := x.s.Munmap(addr, length)
	if err == nil {
		end := addr + (length+pageSize-1)&^(pageSize-1)
		x.zap(addr, end)
		x.freeTables(addr, end)
	}
	return err
}

// Mprotect is vma.Space.Mprotect: entries lose what is not allowed any more.
// Anonymous pages of one process alone become writable at once.
func (x *Memory) Mprotect(addr, length uint64, prot vma.Prot) error {
	end := addr + (length+pageSize-1)&^(pageSize-1)
	before := [2]vma.Flags{x.flagsAt(addr), x.flagsAt(end - 1)}
	err := x.s.Mprotect(addr, length, prot)
	for i, at := range [2]uint64{addr, end - 1} {
		if x.flagsAt(at) != before[i] {
			x.splitAt([2]uint64{addr, end}[i])
		}
	}
	x.protectTLB(addr, end)
	x.each(addr, end, func(e *entry, at uint64) {
		v, ok := x.s.At(at)
		switch {
		case !ok:
		case v.Flags&(vma.Read|vma.Write|vma.Exec) == 0:
			e.flags = e.flags&^writable | blocked
		case v.Flags&vma.Write == 0:
			e.flags &^= writable | blocked
		case e.frame != 0 && x.m.refs[e.frame-1] == 1:
			e.flags = e.flags&^blocked | writable
		default:
			e.flags &^= blocked
		}
	})
	return err
}

// flagsAt are the flags of an address's VMA, 0 without one.
func (x *Memory) flagsAt(addr uint64) vma.Flags {
	v, _ := x.s.At(addr)
	return v.Flags
}

// Mremap is vma.Space.Mremap: the pages go along.
func (x *Memory) Mremap(addr, oldLen, newLen uint64, flags vma.RemapFlags, to uint64) (uint64, error) {
	at, err := x.s.Mremap(addr, oldLen, newLen, flags, to)
	oldLen, newLen = (oldLen+pageSize-1)&^(pageSize-1), (newLen+pageSize-1)&^(pageSize-1)
	if err != nil {
		// The new place and the old one's end may be empty now.
		x.prune(addr, addr+oldLen)
		x.prune(to, to+newLen)
		return at, err
	}
	if at == addr {
		x.zap(addr+min(oldLen, newLen), addr+oldLen)
		x.freeTables(addr+min(oldLen, newLen), addr+oldLen)
		x.splitBorders(addr+newLen, addr+newLen)
		return at, nil
	}
	x.zap(at, at+newLen)
	x.freeTables(at, at+newLen)
	huge := x.liftHuge(addr, addr+min(oldLen, newLen), at)
	x.moveTLB(addr, addr+min(oldLen, newLen), at)
	x.each(addr, addr+min(oldLen, newLen), func(e *entry, from uint64) {
		moved := *e
		*e = entry{}
		x.tables[from>>21].used--
		*x.at(from-addr+at, true) = moved
		x.tables[(from-addr+at)>>21].used++
	})
	for _, key := range huge {
		x.tables[key].huge = true
	}
	x.zap(addr, addr+oldLen)
	if _, ok := x.s.At(addr); !ok {
		x.freeTables(addr, addr+oldLen)
	}
	x.splitBorders(addr, addr+oldLen)
	return at, nil
}

// liftHuge splits the huge pages of a range that is moved, but for those that stay
// whole; it gives the tables that these will have (move_huge_pmd).
func (x *Memory) liftHuge(start, end, to uint64) (whole []uint64) {
	x.eachTable(start, end, func(key uint64) {
		t := x.tables[key]
		if !t.huge {
			return
		}
		from := key << hugeShift
		if from >= start && from+hugeSize <= end && (to-start)%hugeSize == 0 {
			whole = append(whole, (from-start+to)>>hugeShift)
		}
		t.huge = false
	})
	return whole
}

// Madvise is vma.Space.Madvise; MADV_DONTNEED drops the pages.
func (x *Memory) Madvise(addr, length uint64, a vma.Advice) error {
	if a == vma.AdviseDontNeed {
		return x.DontNeed(addr, length)
	}
	err := x.s.Madvise(addr, length, a)
	x.splitBorders(addr, addr+(length+pageSize-1)&^(pageSize-1))
	return err
}

// DontNeed is madvise with MADV_DONTNEED: the pages are gone, the next access
// finds zeros or the file again.
func (x *Memory) DontNeed(addr, length uint64) error {
	err := x.s.Madvise(addr, length, vma.AdviseDontNeed)
	if err == nil {
		x.zap(addr, addr+(length+pageSize-1)&^(pageSize-1))
	}
	return err
}

// Fork makes a child's memory: private anonymous pages are shared until one of
// the two writes; pages of files are not copied, the child finds them again.
func (x *Memory) Fork() (*Memory, error) {
	s, err := x.s.Fork()
	if err != nil {
		return nil, err
	}
	child := New(x.m, s, x.stackLimit)
	x.forkTLB(child)
	s.Each(func(v vma.VMA) bool {
		if v.AnonVMA == 0 || v.Flags&vma.WipeOnFork != 0 {
			return true // nothing that faults would not find again
		}
		x.each(v.Start, v.End, func(e *entry, at uint64) {
			if v.Flags&vma.Shared == 0 {
				e.flags &^= writable
			}
			if e.frame != 0 {
				x.m.refs[e.frame-1]++
				child.AnonPages++
			}
			if e.flags&filePage != 0 {
				child.FilePages++
			}
			c := child.at(at, true)
			*c = *e
			c.flags |= old
			child.tables[at>>hugeShift].huge = x.tables[at>>hugeShift].huge
			child.tables[at>>21].used++
		})
		return true
	})
	return child, nil
}

// Exit gives all pages back.
func (x *Memory) Exit() {
	x.zap(0, 1<<63)
	x.m.members = slices.DeleteFunc(x.m.members, func(y *Memory) bool { return x == y })
}

// Check proves the counts.
func (x *Memory) Check() error {
	var anon, file, shmem uint64
	var bad error
	x.s.Each(func(v vma.VMA) bool {
		x.each(v.Start, v.End, func(e *entry, at uint64) {
			switch {
			case e.frame != 0:
				anon++
				if x.m.refs[e.frame-1] == 0 {
					bad = fmt.Errorf("fault: a page at %#x that nobody has", at)
				}
				if e.flags&writable != 0 && (x.m.refs[e.frame-1] != 1 || v.Flags&vma.Write == 0) {
					bad = fmt.Errorf("fault: a writable page at %#x that is shared or must not be written to", at)
				}
			case e.flags&filePage != 0:
				file++
			case e.flags&shmemPage != 0:
				shmem++
			}
		})
		return true
	})
	if bad == nil && (anon != x.AnonPages || file != x.FilePages || shmem != x.ShmemPages) {
		bad = fmt.Errorf("fault: %d, %d, %d anonymous, file and shmem pages are counted as %d, %d, %d", anon, file, shmem, x.AnonPages, x.FilePages, x.ShmemPages)
	}
	return bad
}
