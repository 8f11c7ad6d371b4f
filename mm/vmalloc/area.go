package vmalloc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// Flags are an area's kind and properties, the kernel's VM_ flags of vm_struct
// by name.
type Flags uint8

// Flags.
const (
	Ioremap  Flags = 1 << iota // of a device's memory
	Alloc                      // pages of its own: vmalloc
	Map                        // pages of somebody else's: vmap
	User                       // may be mapped into user space
	Coherent                   // for DMA
	VPages                     // the list of its pages is a vmalloc area itself
)

var flagNames = []struct {
	f    Flags
	name string
}{{Ioremap, "ioremap"}, {Alloc, "vmalloc"}, {Map, "vmap"}, {User, "user"}, {Coherent, "dma-coherent"}, {VPages, "vpages"}}

// Area is a mapped range of the vmalloc area, its guard page included.
type Area struct {
	Start, End uint64
	Flags      Flags
	Caller     string // "symbol+offset/size"
	Pages      uint64 // mapped
	Phys       uint64 // ioremap
	// Nodes are the pages on each NUMA node; nil does not tell.
	Nodes []uint64
	// Kind is "vm_map_ram" or "unpurged vm_area" for what has no vm_struct.
	Kind string

	frames   []buddy.PFN // first ones of blocks of an order
	order    buddy.Order
	readOnly bool
	exec     bool
}

// Text is the line of /proc/vmallocinfo (s_show).
func (a *Area) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "0x%016x-0x%016x %7d", a.Start, a.End, a.End-a.Start)
	if a.Kind != "" {
		return b.String() + " " + a.Kind
	}
	if a.Caller != "" {
		b.WriteString(" " + a.Caller)
	}
	if a.Pages > 0 {
		fmt.Fprintf(&b, " pages=%d", a.Pages)
	}
	if a.Flags&Ioremap != 0 && a.Phys != 0 {
		fmt.Fprintf(&b, " phys=0x%016x", a.Phys)
	}
	for _, f := range flagNames {
		if a.Flags&f.f != 0 {
			b.WriteString(" " + f.name)
		}
	}
	for n, pages := range a.Nodes {
		if pages > 0 {
			fmt.Fprintf(&b, " N%d=%d", n, pages)
		}
	}
	return b.String()
}

// ParseError says what in a text cannot be read.
type ParseError struct {
	File        string
	Line        int // from 1
	Found, Want string
}

// Error names file, line, what was found and what was expected.
func (e *ParseError) Error() string {
	return fmt.Sprintf("vmalloc: %s:%d: found %.80q, want %s", e.File, e.Line, e.Found, e.Want)
}

// ReadInfo reads a /proc/vmallocinfo. file is its name for errors, which are the
// reader's or a ParseError.
func ReadInfo(r io.Reader, file string) ([]Area, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<16)
	var out []Area
	line := 0
	for s.Scan() {
		line++
		a, ok := parseArea(s.Text())
		if !ok {
			return nil, &ParseError{file, line, s.Text(), "0xstart-0xend size caller ..."}
		}
		out = append(out, a)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("vmalloc: %s:%d: %w", file, line+1, err)
	}
	return out, nil
}

// maxNodes is what a line may name.
const maxNodes = 1024

func parseArea(text string) (a Area, ok bool) {
	f := strings.Fields(text)
	if len(f) < 2 {
		return a, false
	}
	from, to, ok := strings.Cut(f[0], "-")
	var err [3]error
	var size uint64
	a.Start, err[0] = strconv.ParseUint(strings.TrimPrefix(from, "0x"), 16, 64)
	a.End, err[1] = strconv.ParseUint(strings.TrimPrefix(to, "0x"), 16, 64)
	size, err[2] = strconv.ParseUint(f[1], 10, 64)
	if !ok || errors.Join(err[:]...) != nil || a.End-a.Start != size || a.Start >= a.End {
		return a, false
	}
	for i, w := range f[2:] {
		value := w[strings.IndexByte(w, '=')+1:]
		switch {
		case w == "vm_map_ram" && i == 0:
			a.Kind = w
			return a, len(f) == 3
		case w == "unpurged" && i == 0:
			a.Kind = "unpurged vm_area"
			return a, len(f) == 4 && f[3] == "vm_area"
		case strings.HasPrefix(w, "pages="):
			n, err := strconv.ParseUint(value, 10, 32)
			if a.Pages = n; err != nil {
				return a, false
			}
		case strings.HasPrefix(w, "phys="):
			n, err := strconv.ParseUint(strings.TrimPrefix(value, "0x"), 16, 64)
			if a.Phys = n; err != nil {
				return a, false
			}
		case w[0] == 'N' && strings.Contains(w, "="):
			node, err := strconv.ParseUint(w[1:strings.IndexByte(w, '=')], 10, 16)
			n, err2 := strconv.ParseUint(value, 10, 32)
			if err != nil || err2 != nil || node >= maxNodes {
				return a, false
			}
			for uint64(len(a.Nodes)) <= node {
				a.Nodes = append(a.Nodes, 0)
			}
			a.Nodes[node] = n
		default:
			k := slices.IndexFunc(flagNames, func(x struct {
				f    Flags
				name string
			}) bool {
				return x.name == w
			})
			if k >= 0 {
				a.Flags |= flagNames[k].f
			} else if i == 0 {
				a.Caller = w
			} else if i == 1 && a.Caller != "" && w[0] == '[' {
				a.Caller += " " + w // a module's function
			} else {
				return a, false
			}
		}
	}
	return a, true
}

// Config describes a vmalloc area.
type Config struct {
	// Start and End are VMALLOC_START and VMALLOC_END + 1; 0 means x86_64's
	// with 4 levels.
	Start, End uint64
	// CPUs decides how many pages may be freed before they are really unmapped.
	CPUs int
	// Pages is where vmalloc gets its pages.
	Pages slab.PageSource
}

// Space is a machine's vmalloc area: what is mapped where, by the rules of the
// package's description.
type Space struct {
	c     Config
	areas []Area // ascending; those freed and not purged have Kind "unpurged vm_area"
	lazy  uint64 // pages of these
	// No hole below low, which is an area's end, is larger than largest bytes.
	low, largest uint64
}

// ErrNoMemory says that there are no pages or no room (ENOMEM).
var ErrNoMemory = errors.New("vmalloc: allocation failure: out of memory or vmalloc space")

// FreeError is a vfree of something that is no area. Warning is the kernel's.
type FreeError struct {
	Addr    uint64
	Warning string
}

// Error is the kernel's warning.
func (e *FreeError) Error() string { return "vmalloc: " + e.Warning }

// NewSpace makes an empty vmalloc area.
func NewSpace(c Config) (*Space, error) {
	if c.Start == 0 && c.End == 0 {
		c.Start, c.End = 0xffffc90000000000, 0xffffe90000000000
	}
	if c.Start >= c.End || c.Start%PageSize != 0 || c.End%PageSize != 0 {
		return nil, fmt.Errorf("vmalloc: EINVAL: %#x to %#x is no range of pages", c.Start, c.End)
	}
	if c.Pages == nil {
		c.Pages = slab.NewLinearPages(1, 1<<20)
	}
	c.CPUs = max(c.CPUs, 1)
	return &Space{c: c}, nil
}

// lazyMax is lazy_max_pages.
func (s *Space) lazyMax() uint64 {
	return uint64(bits.Len(uint(s.c.CPUs))) * (32 << 20 / PageSize)
}

// find gives the lowest place for a length with an alignment. It starts behind
// the holes that are known to be too small.
func (s *Space) find(length, align uint64) (uint64, bool) {
	want := length
	if align > PageSize {
		want += align - 1
	}
	low, largest, i := s.c.Start, uint64(0), 0
	if s.low > low && want > s.largest {
		low, largest = s.low, s.largest
		i = sort.Search(len(s.areas), func(i int) bool { return s.areas[i].Start >= low })
	}
	for ; i < len(s.areas); i++ {
		hole := s.areas[i].Start - low
		if hole >= want {
			break
		}
		low, largest = s.areas[i].End, max(largest, hole)
	}
	s.low, s.largest = low, largest
	top := s.c.End
	if i < len(s.areas) {
		top = s.areas[i].Start
	}
	at := (low + align - 1) &^ (align - 1)
	return at, at >= low && at <= top && top-at >= length
}

// area takes a range (__get_vm_area_node).
func (s *Space) area(size, align uint64, a Area) (int, error) {
	length := size + PageSize
	at, ok := s.find(length, align)
	if !ok {
		s.Purge()
		if at, ok = s.find(length, align); !ok {
			return 0, ErrNoMemory
		}
	}
	a.Start, a.End = at, at+length
	i := sort.Search(len(s.areas), func(i int) bool { return s.areas[i].Start > at })
	s.areas = slices.Insert(s.areas, i, a)
	return i, nil
}

// Vmalloc maps single pages for a size (vmalloc; vzalloc does the same). caller
// is what /proc/vmallocinfo names.
func (s *Space) Vmalloc(cpu buddy.CPU, size uint64, caller string) (uint64, error) {
	return s.alloc(request{cpu: cpu, node: buddy.NoNode, gfp: buddy.GFPKernel}, size, PageSize, Area{Flags: Alloc, Caller: caller})
}

// VmallocUser is vmalloc_user: memory that may be mapped into user space.
func (s *Space) VmallocUser(cpu buddy.CPU, size uint64, caller string) (uint64, error) {
	return s.alloc(request{cpu: cpu, node: buddy.NoNode, gfp: buddy.GFPKernel}, size, PageSize, Area{Flags: Alloc | User, Caller: caller})
}

// KernelStack is a stack of a thread: THREAD_SIZE bytes, aligned to them.
func (s *Space) KernelStack(cpu buddy.CPU, size uint64, caller string) (uint64, error) {
	if size == 0 || size&(size-1) != 0 {
		return 0, ErrNoMemory
	}
	return s.alloc(request{cpu: cpu, node: buddy.NoNode, gfp: buddy.GFPKernel}, size, max(size, PageSize), Area{Flags: Alloc, Caller: caller})
}

// Kvmalloc is this vmalloc area as [slab.Allocator.Kvmalloc] turns to it, for a
// caller: from 2 MiB on it maps large pages where it gets them (VM_ALLOW_HUGE_VMAP).
func (s *Space) Kvmalloc(caller string) slab.Vmalloc { return kv{s, caller} }

type kv struct {
	*Space
	caller string
}

// Vmalloc is __vmalloc_node_range as kvmalloc_node calls it.
func (k kv) Vmalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP, node buddy.NodeID) (uint64, error) {
	q := request{cpu: cpu, node: node, gfp: gfp}
	a := Area{Flags: Alloc, Caller: k.caller}
	if size >= LargePageSize {
		q.order = largeOrder
		if addr, err := k.alloc(q, size, LargePageSize, a); err == nil {
			return addr, nil
		}
		q.order = 0
	}
	return k.alloc(q, size, PageSize, a)
}

// IsVmalloc says whether an address is in the vmalloc area (is_vmalloc_addr).
func (s *Space) IsVmalloc(addr uint64) bool { return addr >= s.c.Start && addr < s.c.End }

// largeOrder is the order of a large page.
const largeOrder = 9

// request is how an area asks for its pages.
type request struct {
	cpu   buddy.CPU
	node  buddy.NodeID
	gfp   buddy.GFP
	order buddy.Order
}

func (s *Space) alloc(q request, size, align uint64, a Area) (uint64, error) {
	step := uint64(PageSize) << q.order
	size = (size + step - 1) &^ (step - 1)
	if size == 0 || size >= s.c.End-s.c.Start {
		return 0, ErrNoMemory
	}
	i, err := s.area(size, align, a)
	if err != nil {
		return 0, err
	}
	x := &s.areas[i]
	x.order = q.order
	for range size / step {
		pfn, err := s.c.Pages.AllocPages(q.gfp, q.order, q.node, q.cpu)
		if err != nil {
			s.give(q.cpu, x)
			s.areas = slices.Delete(s.areas, i, i+1)
			s.low, s.largest = 0, 0 // there is a hole again
			return 0, fmt.Errorf("%w: %w", ErrNoMemory, err)
		}
		x.frames = append(x.frames, pfn)
		node := int(s.c.Pages.PageNode(pfn))
		for len(x.Nodes) <= node {
			x.Nodes = append(x.Nodes, 0)
		}
		x.Nodes[node] += step / PageSize
	}
	x.Pages = size / PageSize
	return x.Start, nil
}

// Vmap maps pages that the caller has (vmap); Vfree gives the place back, not
// the pages.
func (s *Space) Vmap(pages []buddy.PFN, caller string) (uint64, error) {
	if len(pages) == 0 {
		return 0, ErrNoMemory
	}
	i, err := s.area(uint64(len(pages))*PageSize, PageSize, Area{Flags: Map, Caller: caller})
	if err != nil {
		return 0, err
	}
	return s.areas[i].Start, nil
}

// Ioremap maps a device's memory: at the same offset in a page, aligned to its
// size rounded up to a power of two, up to 512 KiB (1 GiB on x86_64, whose page
// tables have large pages for it; that is used here).
func (s *Space) Ioremap(phys, size uint64, caller string) (uint64, error) {
	const largest = 1 << 30
	offset := phys % PageSize
	length := (offset + size + PageSize - 1) &^ (PageSize - 1)
	if size == 0 || phys+size < phys || length >= s.c.End-s.c.Start {
		return 0, ErrNoMemory
	}
	align := uint64(PageSize)
	for align < length && align < largest {
		align *= 2
	}
	i, err := s.area(length, align, Area{Flags: Ioremap, Caller: caller, Phys: phys - offset})
	if err != nil {
		return 0, err
	}
	return s.areas[i].Start + offset, nil
}

// Vfree frees an area (vfree, vunmap, iounmap): its pages go back at once, its
// place when it is purged. 0 is ignored. The error is a FreeError.
func (s *Space) Vfree(cpu buddy.CPU, addr uint64) error {
	if addr == 0 {
		return nil
	}
	i := s.at(addr &^ (PageSize - 1))
	if i < 0 {
		return &FreeError{addr, fmt.Sprintf("Trying to vfree() nonexistent vm area (%#x)", addr)}
	}
	a := &s.areas[i]
	if addr%PageSize != 0 && a.Flags&Ioremap == 0 {
		return &FreeError{addr, fmt.Sprintf("Trying to vfree() bad address (%#x)", addr)}
	}
	s.give(cpu, a)
	*a = Area{Start: a.Start, End: a.End, Kind: unpurged}
	if s.lazy += (a.End - a.Start) / PageSize; s.lazy > s.lazyMax() {
		s.Purge()
	}
	return nil
}

const unpurged = "unpurged vm_area"

func (s *Space) give(cpu buddy.CPU, a *Area) {
	for _, pfn := range a.frames {
		_ = s.c.Pages.FreePages(pfn, a.order, cpu) // they came from there
	}
	a.frames = nil
}

// at gives the area that starts at an address, -1 for none.
func (s *Space) at(addr uint64) int {
	i := sort.Search(len(s.areas), func(i int) bool { return s.areas[i].Start >= addr })
	if i == len(s.areas) || s.areas[i].Start != addr || s.areas[i].Kind == unpurged {
		return -1
	}
	return i
}

// Purge makes the places of freed areas usable again (vm_unmap_aliases).
func (s *Space) Purge() {
	s.areas = slices.DeleteFunc(s.areas, func(a Area) bool { return a.Kind == unpurged })
	s.lazy, s.low, s.largest = 0, 0, 0
}

// LazyPages is how many pages are freed and not purged, guards counted.
func (s *Space) LazyPages() uint64 { return s.lazy }

// SetReadOnly and SetExec change what may be done with an area (set_memory_ro,
// set_memory_x). The error is a FreeError's kind: no area begins there.
func (s *Space) SetReadOnly(addr uint64, on bool) error {
	return s.set(addr, func(a *Area) { a.readOnly = on })
}

// SetExec is described at [Space.SetReadOnly].
func (s *Space) SetExec(addr uint64, on bool) error {
	return s.set(addr, func(a *Area) { a.exec = on })
}

func (s *Space) set(addr uint64, f func(*Area)) error {
	i := s.at(addr)
	if i < 0 {
		return &FreeError{addr, fmt.Sprintf("no vm area at %#x", addr)}
	}
	f(&s.areas[i])
	return nil
}

// Access says whether an access is allowed: false in a guard page, a hole, and
// for writing or executing what is protected; those are an oops in the kernel.
func (s *Space) Access(addr uint64, write, exec bool) bool {
	i := sort.Search(len(s.areas), func(i int) bool { return s.areas[i].End > addr })
	if i == len(s.areas) {
		return false
	}
	a := &s.areas[i]
	return a.Kind == "" && addr >= a.Start && addr < a.End-PageSize && !(write && a.readOnly) && !(exec && !a.exec)
}

// Areas gives all areas, those not purged too, ascending.
func (s *Space) Areas() []Area { return slices.Clone(s.areas) }

// WriteInfo writes /proc/vmallocinfo: what is in use, then what is not purged.
func (s *Space) WriteInfo(w io.Writer) error {
	var b bytes.Buffer
	for _, lazy := range []bool{false, true} {
		for i := range s.areas {
			if a := &s.areas[i]; (a.Kind == unpurged) == lazy {
				b.WriteString(a.Text() + "\n")
			}
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// Check proves the invariants: areas in order and in range, not overlapping,
// their pages counted.
func (s *Space) Check() error {
	last, lazy := s.c.Start, uint64(0)
	for i := range s.areas {
		a := &s.areas[i]
		if a.Start < last || a.End <= a.Start || a.End > s.c.End || a.Start%PageSize != 0 || a.End%PageSize != 0 {
			return fmt.Errorf("vmalloc: area %#x overlaps or is out of range", a.Start)
		}
		if a.Kind == unpurged {
			lazy += (a.End - a.Start) / PageSize
		}
		if uint64(len(a.frames))<<a.order != a.Pages || a.Pages > 0 && (a.Pages+1)*PageSize != a.End-a.Start {
			return fmt.Errorf("vmalloc: area %#x has %d pages for %d", a.Start, len(a.frames)<<a.order, a.Pages)
		}
		last = a.End
	}
	if lazy != s.lazy || s.lazy > s.lazyMax() {
		return fmt.Errorf("vmalloc: %d lazily freed pages are counted as %d", lazy, s.lazy)
	}
	return nil
}
