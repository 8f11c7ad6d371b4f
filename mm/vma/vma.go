// Package vma is a process's address space: its virtual memory areas (VMAs), as
// mmap, munmap, mprotect, mremap, brk, mlock and madvise make, split and merge
// them.
//
// It mirrors mm/mmap.c, mprotect.c, mremap.c, mlock.c and madvise.c of Linux 6.1,
// and fs/proc/task_mmu.c for the texts.
//
// # Rules
//
// Where a mapping goes, if not to a fixed place: to the hint, rounded up, if
// nothing is there; else to the highest gap below the mmap base that is large
// enough, and if there is none, to the lowest above a third of the address
// space. A stack keeps a guard gap of 256 pages below itself.
//
// Two neighbours are one VMA if their flags are equal, they are of the same file
// (or both anonymous) with adjacent offsets, and of their anon_vmas one is
// missing or both are the same. A private anonymous mapping's offset is the page
// number of the address that it was made at; it goes along when pages that were
// written to are moved. Written to, a VMA takes over a neighbour's anon_vma if
// the two differ in their permissions at most.
//
// A private writable mapping counts as promised memory (VM_ACCOUNT), and does so
// still when it is made read-only (see [Config]): so it does not become one with
// a neighbour that never was writable.
//
// More than max_map_count VMAs are refused with ENOMEM, also a split that would
// leave more.
//
// # Data
//
// VMAs are values in an array; an index of chunks of up to 64, with the largest
// gap of each, finds them by address. Addresses are bytes, offsets pages.
//
// Left out: files of hugetlbfs, memory policies, userfaultfd, names of
// anonymous memory, pkeys, page tables and faults but for the anon_vma, which
// decides about merges.
package vma

import "fmt"

const (
	pageShift = 12
	pageSize  = 1 << pageShift
)

// Prot is what may be done with a mapping.
type Prot uint8

// Protections, as in mmap(2).
const (
	ProtNone  Prot = 0
	ProtRead  Prot = 1
	ProtWrite Prot = 2
	ProtExec  Prot = 4
)

// MapFlags are mmap's.
type MapFlags uint32

// Flags of mmap(2), with x86_64's numbers.
const (
	MapShared         MapFlags = 0x1
	MapPrivate        MapFlags = 0x2
	MapSharedValidate MapFlags = 0x3
	mapType           MapFlags = 0xf
	MapFixed          MapFlags = 0x10
	MapAnonymous      MapFlags = 0x20
	MapGrowsDown      MapFlags = 0x100
	MapLocked         MapFlags = 0x2000
	MapNoReserve      MapFlags = 0x4000
	MapPopulate       MapFlags = 0x8000
	MapHugeTLB        MapFlags = 0x40000
	MapHuge2MB        MapFlags = 21 << mapHugeShift // with MapHugeTLB: the size
	MapHuge1GB        MapFlags = 30 << mapHugeShift
	mapHugeShift               = 26
	MapFixedNoReplace MapFlags = 0x100000
)

// RemapFlags are mremap's.
type RemapFlags uint32

// Flags of mremap(2).
const (
	RemapMayMove   RemapFlags = 1
	RemapFixed     RemapFlags = 2
	RemapDontUnmap RemapFlags = 4
)

// Flags are a VMA's, the kernel's VM_ flags by number.
type Flags uint64

// Flags of a VMA.
const (
	Read       Flags = 0x1
	Write      Flags = 0x2
	Exec       Flags = 0x4
	Shared     Flags = 0x8
	MayRead    Flags = 0x10
	MayWrite   Flags = 0x20
	MayExec    Flags = 0x40
	MayShare   Flags = 0x80
	GrowsDown  Flags = 0x100
	Locked     Flags = 0x2000
	SeqRead    Flags = 0x8000
	RandRead   Flags = 0x10000
	DontCopy   Flags = 0x20000 // not in a child: MADV_DONTFORK
	DontExpand Flags = 0x40000
	Account    Flags = 0x100000
	NoReserve  Flags = 0x200000
	HugeTLB    Flags = 0x400000
	WipeOnFork Flags = 0x2000000
	DontDump   Flags = 0x4000000
	HugePage   Flags = 0x20000000
	NoHugePage Flags = 0x40000000
	Mergeable  Flags = 0x80000000 // by KSM

	access = Read | Write | Exec
)

// Perms are the four letters of /proc/PID/maps.
func (f Flags) Perms() string {
	b := []byte("---p")
	if f&Read != 0 {
		b[0] = 'r'
	}
	if f&Write != 0 {
		b[1] = 'w'
	}
	if f&Exec != 0 {
		b[2] = 'x'
	}
	if f&MayShare != 0 {
		b[3] = 's'
	}
	return string(b)
}

// File is a file that can be mapped. Two mappings are of the same file if their
// pointers are equal.
type File struct {
	Path  string
	Inode uint64
	Major uint8
	Minor uint32
	// ReadOnly: the file was opened for reading, so that a shared mapping of it
	// can't become writable.
	ReadOnly bool

	zero bool   // shared anonymous memory
	huge uint64 // of hugetlbfs: the size of its pages
	// Of shared huge pages: how many are kept for it, and how many page tables'
	// worth of them are mapped. The last one unmapped ends the promise.
	kept, mapped uint64
}

// VMA is a virtual memory area, struct vm_area_struct: [Start, End) in bytes.
type VMA struct {
	Start, End uint64
	Flags      Flags
	// PageOffset is that of Start in the file, in pages; of private anonymous
	// memory the page number of the address that it was mapped at.
	PageOffset uint64
	File       *File
	// AnonVMA names the anon_vma, 0 for none: nobody has written to the VMA.
	AnonVMA uint32
	// Inherited: the anon_vma came from a parent process.
	Inherited bool
	// Promised: huge pages are kept for it. A child's copy has none.
	Promised bool
}

// Pages is the VMA's length.
func (v *VMA) Pages() uint64 { return (v.End - v.Start) >> pageShift }

// Anonymous says that no file is behind it.
func (v *VMA) Anonymous() bool { return v.File == nil }

// offset gives the page offset of an address in the VMA.
func (v *VMA) offset(addr uint64) uint64 { return v.PageOffset + (addr-v.Start)>>pageShift }

// Limits are resource limits; 0 means none.
type Limits struct {
	AS, Data, Memlock uint64 // bytes
}

// Config describes an address space.
type Config struct {
	// TaskSize is the end of user space in bytes; 0 means 47 bits less a page.
	TaskSize uint64
	// MmapBase is where mappings begin, downwards; 0 means below a stack of 8
	// MiB, its guard and 16 GiB for the stack's random offset.
	MmapBase uint64
	// MmapMinAddr is vm.mmap_min_addr; MaxMapCount vm.max_map_count. 0 means
	// 65536 and 65530.
	MmapMinAddr uint64
	MaxMapCount int
	// Brk is where the heap begins; 0 means there is none.
	Brk    uint64
	Limits Limits
	// Unaccount: mprotect takes anonymous memory that nobody has written to out
	// of what is promised when it makes it read-only. 6.1 does not; 6.18 does.
	Unaccount bool
	// Huge are the huge pages for MAP_HUGETLB; nil: there are none.
	Huge *HugePool
	// Charge, if set, is asked for promised memory, in pages; false refuses it.
	// Uncharge gives it back.
	Charge   func(pages uint64) bool
	Uncharge func(pages uint64)
}

// stackGap is the guard below a stack (stack_guard_gap) in bytes.
const stackGap = 256 << pageShift

// Default fills in what is 0.
func (c Config) Default() Config {
	if c.TaskSize == 0 {
		c.TaskSize = 1<<47 - pageSize
	}
	if c.MmapBase == 0 {
		// The stack's limit of 8 MiB, its guard, and the largest random offset
		// of the stack, below the end.
		c.MmapBase = c.TaskSize&^(pageSize-1) - (8 << 20) - stackGap - 16<<30
	}
	if c.MmapMinAddr == 0 {
		c.MmapMinAddr = 1 << 16
	}
	if c.MaxMapCount == 0 {
		c.MaxMapCount = 65530
	}
	return c
}

// Error is a call that the kernel refuses.
type Error struct {
	Call  string
	Errno string
	Why   string
}

// Error names call, errno and reason.
func (e *Error) Error() string { return "vma: " + e.Call + ": " + e.Errno + ": " + e.Why }

func refuse(call, errno, format string, args ...any) error {
	return &Error{call, errno, fmt.Sprintf(format, args...)}
}

// Space is the address space of one process (mm_struct).
type Space struct {
	c        Config
	vmas     []VMA
	spare    []int32
	ix       index
	anons    uint32 // the last anon_vma's number
	total    uint64 // pages
	data     uint64 // pages of private writable mappings
	locked   uint64 // pages
	adrift   uint64 // pages of them in no locked VMA: see leave
	future   Flags  // Locked after mlockall(MCL_FUTURE)
	startBrk uint64
	brk      uint64
}

// New makes an empty address space. The error is an Error with EINVAL.
func New(c Config) (*Space, error) {
	c = c.Default()
	if c.TaskSize%pageSize != 0 || c.MmapBase%pageSize != 0 || c.MmapBase > c.TaskSize || c.MmapMinAddr%pageSize != 0 || c.Brk >= c.TaskSize || c.MaxMapCount < 1 {
		return nil, refuse("exec", "EINVAL", "task size %#x, mmap base %#x, least address %#x, heap %#x: unaligned or beyond the end", c.TaskSize, c.MmapBase, c.MmapMinAddr, c.Brk)
	}
	return &Space{c: c, startBrk: c.Brk, brk: c.Brk}, nil
}

// Config is the address space's, with defaults filled in.
func (s *Space) Config() Config { return s.c }

// Count is the number of VMAs (map_count).
func (s *Space) Count() int { return s.ix.n }

// TotalPages, DataPages and LockedPages are what counts against the limits
// (total_vm, data_vm, locked_vm).
func (s *Space) TotalPages() uint64 { return s.total }

// DataPages is described at [Space.TotalPages].
func (s *Space) DataPages() uint64 { return s.data }

// LockedPages is described at [Space.TotalPages].
func (s *Space) LockedPages() uint64 { return s.locked }

// Each calls f with the VMAs in ascending order until it returns false. f must
// not change the address space.
func (s *Space) Each(f func(VMA) bool) {
	for c := range s.ix.chunks {
		for _, id := range s.ix.chunks[c].ids {
			if !f(s.vmas[id]) {
				return
			}
		}
	}
}

// Find gives the first VMA that ends above an address (find_vma).
func (s *Space) Find(addr uint64) (VMA, bool) {
	p := s.ix.find(addr)
	if !s.ix.valid(p) {
		return VMA{}, false
	}
	return s.vmas[s.ix.at(p)], true
}

// At gives the VMA that has an address (vma_lookup).
func (s *Space) At(addr uint64) (VMA, bool) {
	v, ok := s.Find(addr)
	return v, ok && v.Start <= addr
}

func align(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// isData: private, writable, no stack.
func isData(f Flags) bool { return f&(Write|Shared|GrowsDown) == Write }

func (s *Space) account(f Flags, pages int64) {
	s.total += uint64(pages)
	if isData(f) {
		s.data += uint64(pages)
	}
	if f&Locked != 0 {
		s.locked += uint64(pages)
	}
}

// mayExpand asks RLIMIT_AS and RLIMIT_DATA (may_expand_vm).
func (s *Space) mayExpand(f Flags, pages uint64) bool {
	l := &s.c.Limits
	return (l.AS == 0 || s.total+pages <= l.AS>>pageShift) && (!isData(f) || l.Data == 0 || s.data+pages <= l.Data>>pageShift)
}

// mayLock asks RLIMIT_MEMLOCK.
func (s *Space) mayLock(f Flags, pages uint64) bool {
	return f&Locked == 0 || s.c.Limits.Memlock == 0 || s.locked+pages <= s.c.Limits.Memlock>>pageShift
}

func (s *Space) charge(pages uint64) bool { return s.c.Charge == nil || s.c.Charge(pages) }

func (s *Space) uncharge(pages uint64) {
	if s.c.Uncharge != nil && pages > 0 {
		s.c.Uncharge(pages)
	}
}

// insert puts a VMA into the index. Its pages are accounted by the caller.
func (s *Space) insert(v VMA) {
	var id int32
	if n := len(s.spare); n > 0 {
		id, s.spare = s.spare[n-1], s.spare[:n-1]
		s.vmas[id] = v
	} else {
		id = int32(len(s.vmas))
		s.vmas = append(s.vmas, v)
	}
	s.ix.insert(s.vmas, id)
}

// remove takes the VMA at a position out of the index.
func (s *Space) remove(p pos) {
	s.spare = append(s.spare, s.ix.at(p))
	s.ix.remove(s.vmas, p)
}

// SharedMemory says that the VMA is anonymous shared memory (shmem).
func (v *VMA) SharedMemory() bool { return v.File != nil && v.File.zero }
