package pgtable

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kernsim/kernsim/buddy"
)

// counter is a source that hands out numbers and checks what comes back. It fails from
// the limit on, if there is one.
type counter struct {
	next  uint64
	out   map[uint64]int
	limit int
	free  []uint64
}

func newCounter() *counter { return &counter{next: 16, out: map[uint64]int{}} }

var errNoPages = errors.New("no pages")

func (c *counter) AllocTable(order int) (uint64, error) {
	if c.limit > 0 && len(c.out) >= c.limit {
		return 0, errNoPages
	}
	if k := len(c.free); order == 0 && k > 0 {
		pfn := c.free[k-1]
		c.free = c.free[:k-1]
		c.out[pfn] = order
		return pfn, nil
	}
	pfn := c.next
	c.next += 16
	c.out[pfn] = order
	return pfn, nil
}

func (c *counter) FreeTable(pfn uint64, order int) error {
	if got, ok := c.out[pfn]; !ok || got != order {
		return fmt.Errorf("free of %d order %d", pfn, order)
	}
	delete(c.out, pfn)
	if order == 0 {
		c.free = append(c.free, pfn)
	}
	return nil
}

func arm64(t require.TestingT, page uint64, bits int, kernel, hw bool) *Format {
	f, err := ARM64(page, bits, kernel, hw)
	require.NoError(t, err)
	return f
}

func allFormats(t require.TestingT) []*Format {
	fs := []*Format{X86_64(4), X86_64(5), X86(false), X86(true), ARM(false), ARM(true)}
	for _, c := range []struct {
		page uint64
		bits []int
	}{{4 << 10, []int{39, 48, 52}}, {16 << 10, []int{36, 47, 48, 52}}, {64 << 10, []int{42, 48, 52}}} {
		for i, b := range c.bits {
			fs = append(fs, arm64(t, c.page, b, i == 1, i != 0))
		}
	}
	return fs
}

// The kernel's boot log registers these sizes of huge pages (pi3-kmem-*), and
// those of the other formats are the ones of its documents.
func TestSizes(t *testing.T) {
	const k, m, g = 1 << 10, 1 << 20, 1 << 30
	assert.Equal(t, []uint64{4 * k, 64 * k, 2 * m, 32 * m, g}, arm64(t, 4*k, 48, false, true).Sizes())
	assert.Equal(t, []uint64{16 * k, 2 * m, 32 * m, g}, arm64(t, 16*k, 47, false, true).Sizes())
	assert.Equal(t, []uint64{64 * k, 2 * m, 512 * m, 16 * g}, arm64(t, 64*k, 52, false, true).Sizes())
	assert.Equal(t, []uint64{4 * k, 2 * m, g}, X86_64(4).Sizes())
	assert.Equal(t, []uint64{4 * k, 4 * m}, X86(false).Sizes())
	assert.Equal(t, []uint64{4 * k, 2 * m}, X86(true).Sizes())
	assert.Equal(t, []uint64{4 * k, m}, ARM(false).Sizes())
	assert.Equal(t, []uint64{4 * k, 2 * m}, ARM(true).Sizes())
	levels := map[string]int{"4096 39": 3, "4096 48": 4, "4096 52": 5, "16384 36": 2, "16384 47": 3, "16384 48": 4, "16384 52": 4, "65536 42": 2, "65536 48": 3, "65536 52": 3}
	for _, f := range allFormats(t) {
		if f.enc == encARM64 {
			assert.Len(t, f.Levels(), levels[fmt.Sprint(f.PageSize(), " ", f.vaBits)], f.String())
		}
		bits := f.pageShift
		for _, l := range f.levels {
			bits += l.Bits
		}
		assert.Equal(t, f.vaBits, bits, f.String())
	}
	for _, bad := range [][2]int{{4096, 36}, {8192, 48}, {65536, 39}, {0, 0}} {
		_, err := ARM64(uint64(bad[0]), bad[1], false, false)
		var want *FormatError
		assert.ErrorAs(t, err, &want)
	}
}

// Values of entries as kernels print them: PAGE_KERNEL and so on.
func TestEntryValues(t *testing.T) {
	a64, a64u := arm64(t, 4096, 48, true, true), arm64(t, 4096, 48, false, true)
	const kernelRW = Write | Global | Accessed | Dirty
	for _, c := range []struct {
		f     *Format
		level int
		fl    Flags
		want  uint64
	}{
		{X86_64(4), 3, kernelRW, 0x8000000000000163},                   // PAGE_KERNEL
		{X86_64(4), 3, kernelRW | Exec, 0x163},                         // PAGE_KERNEL_EXEC
		{X86_64(4), 2, kernelRW, 0x80000000000001e3},                   // PAGE_KERNEL_LARGE
		{X86_64(4), 3, Global | Accessed | Dirty, 0x8000000000000161},  // PAGE_KERNEL_RO, dirty
		{X86_64(4), 3, User | Write | Accessed, 0x8000000000000027},    // PAGE_SHARED
		{X86_64(4), 3, User | Exec | Accessed, 0x25},                   // PAGE_READONLY_EXEC
		{X86(false), 1, kernelRW, 0x163},                               // no no-execute
		{a64, 3, kernelRW, 0x0068000000000703},                         // PAGE_KERNEL of 6.1
		{a64, 3, Global | Accessed | Exec, 0x0040000000000783},         // PAGE_KERNEL_ROX
		{a64, 2, kernelRW, 0x0068000000000701},                         // a section
		{a64u, 3, User | Write | Accessed, 0x0068000000000fc3},         // PAGE_SHARED
		{a64u, 3, User | Exec | Accessed, 0x0020000000000fc3},          // PAGE_READONLY_EXEC
		{a64u, 3, User | Write | Accessed | Dirty, 0x00e8000000000f43}, // after pte_mkdirty
		{ARM(false), 1, Write | Global | Accessed | Dirty, 0x5f},       // normal memory, no execution
		{ARM(true), 2, User | Write | Accessed | Dirty, 0x00c0000000000f5f},
	} {
		got := c.f.leafEntry(0, c.level, c.fl)
		assert.Equal(t, fmt.Sprintf("%#x", c.want), fmt.Sprintf("%#x", got), "%s level %d %v", c.f, c.level, c.fl)
	}
	assert.Equal(t, uint64(0x1067), X86_64(4).tableEntry(0x1000, 0, false)) // _PAGE_TABLE
	assert.Equal(t, uint64(0x1063), X86_64(4).tableEntry(0x1000, 0, true))  // _KERNPG_TABLE
	assert.Equal(t, uint64(0x1001), X86(true).tableEntry(0x1000, 0, true))
	assert.Equal(t, uint64(0x1000000000001003), a64.tableEntry(0x1000, 0, false))
	assert.Equal(t, uint64(0x0800000000001003), a64u.tableEntry(0x1000, 0, true))
}

// What is written is read back, for all flags and formats, and nothing but itself.
func TestEntriesAreReadBack(t *testing.T) {
	for _, f := range allFormats(t) {
		for level, l := range f.levels {
			if !l.Leaf {
				continue
			}
			for fl := range allFlags&^Contig + 1 {
				fl := fl &^ Contig
				if !f.userHalf(0) && fl&User != 0 {
					continue
				}
				want := f.normal(fl)
				phys := uint64(5) << l.Shift
				if phys>>f.physBits != 0 {
					phys = 0
				}
				e := f.leafEntry(phys, level, want)
				require.Equal(t, Leaf, f.kindOf(e, level), "%s %d %#x", f, level, e)
				require.Equal(t, phys, f.physOf(e, level, Leaf), "%s %d %#x", f, level, e)
				require.Equal(t, want.String(), f.flagsOf(e, level).String(), "%s %d %#x", f, level, e)
			}
		}
		for _, s := range []Swap{{0, 1}, {1, 0}, {31, 1<<23 - 1}, {7, 12345}} {
			e, ok := f.swapEntry(s)
			require.True(t, ok, "%s %v", f, s)
			require.Equal(t, Swapped, f.kindOf(e, len(f.levels)-1), "%s %v", f, s)
			require.Equal(t, s, f.swapOf(e), f.String())
		}
		_, ok := f.swapEntry(Swap{32, 1})
		require.False(t, ok)
		_, ok = f.swapEntry(Swap{1, 1 << 60})
		require.False(t, ok)
	}
}

func TestFaultCodes(t *testing.T) {
	tab, err := New(X86_64(4), newCounter())
	require.NoError(t, err)
	require.NoError(t, tab.Map(0x1000, 0x5000, 4096, User))
	require.NoError(t, tab.Map(0xffff888000000000, 0, 2<<20, Write|Global))
	for _, c := range []struct {
		va   uint64
		use  Use
		kind FaultKind
		code uint64
	}{
		{0x2000, AccessUser, NotPresent, 4}, {0x2000, AccessUser | AccessWrite, NotPresent, 6}, {0x1000, AccessUser | AccessWrite, Protection, 7},
		{0x1000, AccessUser | AccessExec, Protection, 21}, {0x1000, AccessExec, Protection, 17}, {0xffff888000000123, AccessUser, Protection, 5},
		{0x1000, AccessWrite, Protection, 3}, {1 << 47, AccessUser, NotCanonical, 0},
	} {
		_, fault := tab.Access(c.va, c.use)
		require.NotNil(t, fault)
		assert.Equal(t, c.kind, fault.Kind, fault.Error())
		assert.Equal(t, c.code, fault.Code, fault.Error())
	}
	phys, fault := tab.Access(0xffff888000012345, AccessWrite)
	assert.Nil(t, fault)
	assert.Equal(t, uint64(0x12345), phys)

	a, err := New(arm64(t, 4096, 39, false, false), newCounter())
	require.NoError(t, err)
	require.NoError(t, a.Map(0x1000, 0x5000, 4096, User|Write))
	_, fault = a.Access(0x1000, AccessUser)
	assert.Equal(t, uint64(0xb), fault.Code, "access flag fault, level 3")
	require.NoError(t, a.MakeYoung(0x1000, AccessUser))
	_, fault = a.Access(0x1000, AccessUser)
	assert.Nil(t, fault)
	_, fault = a.Access(0x1000, AccessUser|AccessWrite)
	assert.Equal(t, uint64(0xf), fault.Code, "permission fault, level 3: clean")
	require.NoError(t, a.MakeYoung(0x1000, AccessUser|AccessWrite))
	_, fault = a.Access(0x1000, AccessUser|AccessWrite)
	assert.Nil(t, fault)
	_, fault = a.Access(0x40000000, AccessUser)
	assert.Equal(t, uint64(0x5), fault.Code, "translation fault, level 1")
	_, fault = a.Access(1<<39, AccessUser)
	assert.Equal(t, uint64(0x4), fault.Code, "translation fault, level 0")
	assert.Error(t, a.MakeYoung(0x1000, AccessUser|AccessExec))
	assert.Error(t, a.MakeYoung(0x9000, AccessUser))
	assert.Error(t, a.MakeYoung(1<<39, AccessUser))

	s, err := New(ARM(false), newCounter())
	require.NoError(t, err)
	require.NoError(t, s.Map(0x1000, 0x5000, 4096, 0))
	require.NoError(t, s.Map(0x100000, 0x100000, 1<<20, 0))
	codes := []uint64{}
	for _, va := range []uint64{0x200000, 0x2000, 0x100000, 0x1000} {
		_, fault := s.Access(va, AccessWrite)
		codes = append(codes, fault.Code)
	}
	assert.Equal(t, []uint64{5, 7, 13, 15}, codes)
}

func TestMisuseChangesNothing(t *testing.T) {
	src := newCounter()
	tab, err := New(arm64(t, 4096, 48, false, true), src)
	require.NoError(t, err)
	require.NoError(t, tab.Map(0x200000, 0x400000, 2<<20, User))
	require.NoError(t, tab.Map(0x10000, 0x20000, 64<<10, User))
	require.NoError(t, tab.Map(0x40000, 0x40000, 4096, User))
	tables, pages := tab.Tables(), len(src.out)
	before := tab.Walk(0x10000, nil)
	var bad *Error
	for i, err := range []error{
		tab.Map(0x1000, 0, 8192, 0), tab.Map(0x1001, 0, 4096, 0), tab.Map(1<<48, 0, 4096, 0), tab.Map(0x1000, 0x10, 4096, 0), tab.Map(0x1000, 1<<50, 4096, 0),
		tab.Map(0x1000, 0, 4096, Contig), tab.Map(0x200000, 0, 4096, 0), tab.Map(0x10000, 0, 4096, 0), tab.Map(0, 0, 2<<20, 0), tab.Map(0x40000, 0x10000, 64<<10, 0),
		tab.Protect(0x10000, 4096, User), tab.Protect(0x201000, 4096, User), tab.Protect(0x50000, 4096, User), tab.Split(0x40000, 4096),
		tab.SwapOut(0x10000, Swap{1, 1}), tab.SwapOut(0x40000, Swap{40, 1}), tab.SwapOut(0x50000, Swap{1, 1}), tab.Protect(0x40000, 4096, Contig),
	} {
		assert.ErrorAs(t, err, &bad, "%d", i)
	}
	_, err = tab.Unmap(0x12000, 4096)
	assert.ErrorAs(t, err, &bad)
	_, err = tab.SwapIn(0x40000, 0, User)
	assert.ErrorAs(t, err, &bad)
	assert.Equal(t, tables, tab.Tables())
	assert.Len(t, src.out, pages)
	assert.Equal(t, before, tab.Walk(0x10000, nil))
	assert.NoError(t, tab.Check())
	// A source without pages leaves nothing half made.
	src.limit = len(src.out) + 1
	assert.ErrorIs(t, tab.Map(0x7f0000000000, 0, 4096, User), errNoPages)
	assert.Equal(t, tables, tab.Tables())
	assert.NoError(t, tab.Check())
	kernel, err := New(arm64(t, 4096, 48, true, true), newCounter())
	require.NoError(t, err)
	assert.ErrorAs(t, kernel.Map(0xffff000000000000, 0, 4096, User), &bad)
	assert.ErrorAs(t, kernel.Map(0x1000, 0, 4096, 0), &bad)
}

// Tables come from the page allocator, and all go back.
func TestTablesFromTheBuddyAllocator(t *testing.T) {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 64 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 1}, buddy.Linux6_1)
	require.NoError(t, err)
	tab, err := New(X86_64(5), BuddySource{Allocator: a})
	require.NoError(t, err)
	for i := range uint64(100) {
		require.NoError(t, tab.Map(i<<21, i<<12, 4096, User))
	}
	assert.Equal(t, 104, tab.Tables())
	assert.Equal(t, 104, tab.Pages())
	for i := range uint64(100) {
		_, err := tab.Unmap(i<<21, 4096)
		require.NoError(t, err)
	}
	assert.Equal(t, 1, tab.Pages())
	require.NoError(t, tab.Check())
	require.NoError(t, a.Check())
	// Short descriptors: four pages for the first level, one for two tables.
	s, err := New(ARM(false), BuddySource{Allocator: a})
	require.NoError(t, err)
	require.NoError(t, s.Map(0, 0, 4096, User))
	require.NoError(t, s.Map(1<<20, 0, 4096, User))
	assert.Equal(t, 3, s.Tables())
	assert.Equal(t, 5, s.Pages())
	one, two := s.Walk(0, nil)[0].Phys, s.Walk(1<<20, nil)[0].Phys
	assert.Equal(t, one+1024, two)
	assert.Equal(t, uint64(2048), one%4096)
}

// twin is the naive model: a map of pages.
type twin map[uint64]twinPage

type twinPage struct {
	phys uint64
	fl   Flags
	size uint64
	swap *Swap
}

// TestAgainstMap drives all formats at random, beside a map from page to frame.
func TestAgainstMap(t *testing.T) {
	for _, f := range allFormats(t) {
		t.Run(f.String(), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { checkAgainstMap(rt, f) })
		})
	}
}

func checkAgainstMap(t *rapid.T, f *Format) {
	src := newCounter()
	tab, err := New(f, src)
	require.NoError(t, err)
	naive := twin{}
	sizes := f.Sizes()
	base := uint64(0)
	if f.kernel {
		base = -(uint64(1) << f.vaBits)
	}
	page := f.PageSize()
	span := min(uint64(1)<<f.vaBits, 4*sizes[len(sizes)-1])
	address := func() uint64 {
		// Few places, so that they meet.
		near := rapid.Uint64Range(0, 40).Draw(t, "page") * page
		far := rapid.SampledFrom([]uint64{0, sizes[len(sizes)-1], span - 64*page}).Draw(t, "far")
		return base + far + near
	}
	for range 25 {
		va := address()
		size := rapid.SampledFrom(sizes).Draw(t, "size")
		va = va &^ (size - 1)
		fl := f.normal(Flags(rapid.Uint8Range(0, uint8(allFlags)).Draw(t, "flags")) &^ Contig)
		if f.kernel {
			fl &^= User
		}
		phys := rapid.Uint64Range(0, 3).Draw(t, "phys") * size
		if phys>>f.physBits != 0 {
			phys = 0
		}
		switch rapid.SampledFrom([]string{"map", "map", "unmap", "protect", "split", "swapout", "swapin", "access", "young"}).Draw(t, "op") {
		case "map":
			err := tab.Map(va, phys, size, fl)
			clear := true
			for a, p := range naive {
				clear = clear && (a+p.size-1 < va || a > va+(size-1))
			}
			require.Equal(t, clear, err == nil, "%v", err)
			if clear {
				naive[va] = twinPage{phys: phys, fl: fl, size: size}
			}
		case "unmap":
			_, err := tab.Unmap(va, size)
			p, ok := naive[va]
			require.Equal(t, ok && p.size == size, err == nil, "%v", err)
			if err == nil {
				delete(naive, va)
			}
		case "protect":
			err := tab.Protect(va, size, fl)
			p, ok := naive[va]
			require.Equal(t, ok && p.size == size && p.swap == nil, err == nil, "%v", err)
			if err == nil {
				p.fl = f.normal(fl&^(Accessed|Dirty) | p.fl&(Accessed|Dirty))
				naive[va] = p
			}
		case "split":
			err := tab.Split(va, size)
			p, ok := naive[va]
			require.Equal(t, ok && p.size == size && size != page, err == nil, "%v", err)
			if err == nil {
				naive.split(f, va, p)
			}
		case "swapout":
			s := Swap{1, phys / size}
			err := tab.SwapOut(va, s)
			p, ok := naive[va]
			require.Equal(t, ok && p.size == page && p.swap == nil, err == nil, "%v", err)
			if err == nil {
				naive[va] = twinPage{swap: &s, size: page}
			}
		case "swapin":
			s, err := tab.SwapIn(va, phys&^(page-1), fl)
			p, ok := naive[va]
			require.Equal(t, ok && p.swap != nil, err == nil, "%v", err)
			if err == nil {
				require.Equal(t, *p.swap, s)
				naive[va] = twinPage{phys: phys &^ (page - 1), fl: fl, size: page}
			}
		case "access", "young":
			naive.access(t, tab, va, Use(rapid.Uint8Range(0, 7).Draw(t, "use")))
		}
		require.NoError(t, tab.Check())
		probe := address()
		want, ok := naive.translate(probe)
		got, found := tab.Translate(probe)
		require.Equal(t, ok, found, "%#x", probe)
		if ok {
			got.Flags &^= Contig
			require.Equal(t, want, got, "%#x", probe)
		}
	}
	for va, p := range naive { // order does not matter
		_, err := tab.Unmap(va, p.size)
		require.NoError(t, err)
	}
	require.Equal(t, 1, tab.Tables())
	require.NoError(t, tab.Check())
	require.Len(t, src.out, 1)
}

func (m twin) find(va uint64) (uint64, twinPage, bool) {
	for a, p := range m {
		if va >= a && va-a < p.size {
			return a, p, true
		}
	}
	return 0, twinPage{}, false
}

func (m twin) translate(va uint64) (Translation, bool) {
	a, p, ok := m.find(va)
	if !ok || p.swap != nil {
		return Translation{}, false
	}
	return Translation{Phys: p.phys + va - a, Size: p.size, Flags: p.fl}, true
}

// split is the next smaller block, without contiguous ones.
func (m twin) split(f *Format, va uint64, p twinPage) {
	step := uint64(0)
	for _, l := range f.levels {
		if size := uint64(1) << l.Shift; l.Leaf && size < p.size && step == 0 {
			step = size
		}
	}
	for off := uint64(0); off < p.size; off += step {
		m[va+off] = twinPage{phys: p.phys + off, fl: p.fl, size: step}
	}
}

// access is the rules once more, in words: who may do what.
func (m twin) access(t *rapid.T, tab *PageTable, va uint64, use Use) {
	f := tab.Format()
	a, p, ok := m.find(va)
	phys, fault := tab.Access(va, use)
	if !ok || p.swap != nil {
		require.NotNil(t, fault)
		require.Equal(t, NotPresent, fault.Kind)
		return
	}
	user, write, exec := use&AccessUser != 0, use&AccessWrite != 0, use&AccessExec != 0
	right := (!user || p.fl&User != 0) && (!write || p.fl&Write != 0) && (!exec || p.fl&Exec != 0 && (user || p.fl&User == 0))
	soft := !f.hardwareAD && f.enc != encShort
	switch {
	case soft && p.fl&Accessed == 0:
		require.NotNil(t, fault)
		require.Equal(t, AccessFlag, fault.Kind)
	case !right || soft && write && p.fl&Dirty == 0:
		require.NotNil(t, fault)
		require.Equal(t, Protection, fault.Kind)
	default:
		require.Nil(t, fault)
		require.Equal(t, p.phys+va-a, phys)
		fl := p.fl | Accessed
		if write {
			fl |= Dirty
		}
		// Of a contiguous block one entry has the bits: look at it and set all alike.
		got, _ := tab.Translate(va)
		require.Equal(t, fl, got.Flags&^Contig)
		if got.Flags&Contig != 0 {
			step := uint64(0)
			for _, l := range f.levels {
				if l.Run<<l.Shift == p.size {
					step = 1 << l.Shift
				}
			}
			for off := uint64(0); off < p.size; off += step {
				_, fault := tab.Access(a+off, use)
				require.Nil(t, fault)
			}
		}
		p.fl = fl
		m[a] = p
	}
}

func ExamplePageTable_Walk() {
	t, _ := New(X86_64(4), newCounter())
	_ = t.Map(0x7ffff7fff000, 0x1234000, 4096, User|Write)
	_, _ = t.Access(0x7ffff7fff123, AccessUser|AccessWrite)
	for _, s := range t.Walk(0x7ffff7fff123, nil) {
		fmt.Println(s)
	}
	_, fault := t.Access(0x7ffff7fff123, AccessUser|AccessExec)
	fmt.Println(fault)
	// Output:
	// PGD[255] at 0x107f8 = 0x0000000000020067  table 0x20000
	// PUD[511] at 0x20ff8 = 0x0000000000030067  table 0x30000
	// PMD[447] at 0x30df8 = 0x0000000000040067  table 0x40000
	// PTE[511] at 0x40ff8 = 0x8000000001234067  leaf 0x1234000 read+write+user+accessed+dirty
	// pgtable: user instruction fetch of 0x7ffff7fff123: protection at PTE, code 0x15
}

// Any sequence of calls with any values leaves the tables whole.
func FuzzPageTable(f *testing.F) {
	f.Add(uint8(0), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add(uint8(6), []byte{0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(4), []byte{0, 0xff, 0xff, 3, 1, 0xff, 0xff, 3})
	f.Fuzz(func(t *testing.T, which uint8, ops []byte) {
		all := allFormats(t)
		format := all[int(which)%len(all)]
		tab, err := New(format, newCounter())
		require.NoError(t, err)
		sizes := format.Sizes()
		for ; len(ops) >= 4; ops = ops[4:] {
			va := uint64(ops[1])<<56 | uint64(ops[1])<<40 | uint64(ops[2])<<21 | uint64(ops[3])<<12
			if format.vaBits == 32 {
				va &= 1<<32 - 1
			}
			size := sizes[int(ops[0]>>4)%len(sizes)]
			fl := Flags(ops[3])
			switch ops[0] & 7 {
			case 0, 1:
				_ = tab.Map(va&^(size-1), uint64(ops[2])*size, size, fl)
			case 2:
				_, _ = tab.Unmap(va, size)
			case 3:
				_ = tab.Protect(va, size, fl)
			case 4:
				_ = tab.Split(va, size)
			case 5:
				_ = tab.SwapOut(va, Swap{ops[2], uint64(ops[3])})
			case 6:
				_, _ = tab.SwapIn(va, uint64(ops[2])<<12, fl)
			default:
				_, _ = tab.Access(va, Use(ops[3]&7))
			}
		}
		require.NoError(t, tab.Check())
	})
}

func TestNoAllocations(t *testing.T) {
	tab, err := New(X86_64(4), fixedSource{})
	require.NoError(t, err)
	cycle := func() {
		_ = tab.Map(0x1000, 0x1000, 4096, User|Write)
		_, _ = tab.Access(0x1000, AccessUser|AccessWrite)
		_ = tab.Protect(0x1000, 4096, User)
		_, _ = tab.Unmap(0x1000, 4096)
	}
	cycle()
	assert.Zero(t, testing.AllocsPerRun(100, cycle))
}

// fixedSource gives always the same page.
type fixedSource struct{}

func (fixedSource) AllocTable(int) (uint64, error) { return 7, nil }
func (fixedSource) FreeTable(uint64, int) error    { return nil }

func BenchmarkWalk(b *testing.B) {
	for _, f := range []*Format{X86_64(4), X86_64(5), ARM(false)} {
		b.Run(f.String(), func(b *testing.B) {
			tab, err := New(f, newCounter())
			require.NoError(b, err)
			for i := range uint64(4096) {
				require.NoError(b, tab.Map(i<<12, i<<12, 4096, User|Write))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if _, fault := tab.Access(uint64(i)*2654435761>>8&4095<<12, AccessUser|AccessWrite); fault != nil {
					b.Fatal(fault)
				}
			}
		})
	}
}

func BenchmarkMapUnmap(b *testing.B) {
	tab, err := New(X86_64(4), fixedSource{})
	require.NoError(b, err)
	require.NoError(b, tab.Map(0, 0, 4096, User))
	b.ReportAllocs()
	for i := range b.N {
		va := uint64(i)&511<<12 + 1<<21
		_ = tab.Map(va, va, 4096, User)
		_, _ = tab.Unmap(va, 4096)
	}
}
