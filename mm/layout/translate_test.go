package layout_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/mm/layout"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/trace"
)

// The kernel's page events print the address of struct page and the page frame
// number side by side: each pair has to convert both ways.
func TestStructPagesOfTracesAreEqual(t *testing.T) {
	arm64 := layout.Config{Arch: layout.ARM64, Memory: []layout.PhysRange{{Start: 0, End: 0x3c000000}}}
	x86 := func(end uint64) layout.Config {
		return layout.Config{VABits: 57, Memory: []layout.PhysRange{{Start: 0x1000, End: end}}}
	}
	for _, c := range []struct {
		capture string
		config  layout.Config
		events  int
	}{
		{"pi3-kmem-smp4", arm64, 46892},
		{"pi3-kmem-slab", arm64, 1999},
		{"x86_64-6.1-user-1cpu", x86(512 << 20), 74672},
		{"x86_64-6.1-pages-6g", x86(7 << 30), 28430},
	} {
		l, err := layout.New(c.config)
		require.NoError(t, err)
		capt, err := replay.OpenDir("../../captures/data/" + c.capture)
		require.NoError(t, err)
		r, name, err := capt.Open("trace.txt")
		require.NoError(t, err)
		tr, err := trace.NewReader(r, name)
		require.NoError(t, err)
		tr.Select(trace.KindMMPageAlloc, trace.KindMMPageFree, trace.KindMMPageFreeBatched, trace.KindMMPageAllocZoneLocked, trace.KindMMPagePCPUDrain)
		n := 0
		var ev trace.Event
		for {
			err := tr.Read(&ev)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if !ev.Page.HasPFN || ev.Page.Failed() {
				continue
			}
			pfn, err := l.PageToPFN(ev.Page.Address)
			if err != nil || pfn != ev.Page.PFN {
				require.FailNow(t, "struct page", "%s:%d: %x is PFN %x, model %x, %v", c.capture, ev.Line, ev.Page.Address, ev.Page.PFN, pfn, err)
			}
			page, err := l.PFNToPage(pfn)
			if err != nil || page != ev.Page.Address {
				require.FailNow(t, "PFN", "%s:%d: %x", c.capture, ev.Line, pfn)
			}
			n++
		}
		require.NoError(t, r.Close())
		assert.Equal(t, c.events, n, c.capture)
	}
}

func ExampleNew() {
	l, err := layout.New(layout.Config{
		Arch: layout.ARM, Kernel: layout.Linux5_4, // a BeagleBone Black
		Memory: []layout.PhysRange{{Start: 0x80000000, End: 0x9fe00000}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Print(l)
	// Output:
	// arm, Linux 5.4, split 3G
	// 00000000 - beffffff    2.98 GiB  user space
	// bf000000 - bfdfffff      14 MiB  modules
	// bfe00000 - bfffffff       2 MiB  pkmap
	// c0000000 - dfdfffff     510 MiB  direct map
	// dfe00000 - dfffffff       2 MiB  hole
	// e0000000 - ff7fffff     504 MiB  vmalloc
	// ff800000 - ffbfffff       4 MiB  hole
	// ffc00000 - ffefffff       3 MiB  fixmap
	// fff00000 - fffeffff     960 KiB  hole
	// ffff0000 - ffff0fff       4 KiB  vectors
	// ffff1000 - ffffffff      60 KiB  hole
	// memory is mapped at c0000000 - dfdfffff (510 MiB)
}

func ExampleLayout_VirtToPhys() {
	l, _ := layout.New(layout.Config{Memory: []layout.PhysRange{{Start: 0, End: 4 << 30}}})
	phys, err := l.VirtToPhys(0xffff888012345678)
	fmt.Printf("%#x %v\n", phys, err)
	_, err = l.VirtToPhys(0xffffc90000001000)
	fmt.Println(err)
	page, _ := l.PFNToPage(phys >> 12)
	fmt.Printf("%#x\n", page)
	// Output:
	// 0x12345678 <nil>
	// layout: virt_to_phys(0xffffc90000001000): in vmalloc, which is not mapped linearly (kernel: with CONFIG_DEBUG_VIRTUAL: kernel BUG at VIRTUAL_BUG_ON; without: a wrong address)
	// 0xffffea000048d140
}

func ExampleLayout_Exec() {
	l, _ := layout.New(layout.Config{})
	p, _ := l.Exec(layout.ProcessConfig{RandomizeVASpace: 2, StackLimit: 8 << 20, Program: layout.PIE, ProgramEnd: 0x5000, VDSOSize: 0x6000}, layout.NewSource(1))
	for _, d := range p.Draws {
		fmt.Printf("%-8s one of %d, %d bytes apart\n", d.What, d.Choices, d.Step)
	}
	// Output:
	// mmap     one of 268435456, 4096 bytes apart
	// stack    one of 4194304, 4096 bytes apart
	// program  one of 268435456, 4096 bytes apart
	// vdso     one of 346, 4096 bytes apart
	// heap     one of 262144, 4096 bytes apart
}

func TestConversionsRefuse(t *testing.T) {
	ram := []layout.PhysRange{{Start: 0x1000, End: 64 << 20}, {Start: 1 << 30, End: 2 << 30}}
	x64, err := layout.New(layout.Config{Memory: ram, PhysBits: 40})
	require.NoError(t, err)
	x32, err := layout.New(layout.Config{Arch: layout.X86, Memory: ram, MemMap: 0xc2000000})
	require.NoError(t, err)
	a64, err := layout.New(layout.Config{Arch: layout.ARM64, Memory: ram})
	require.NoError(t, err)
	a32, err := layout.New(layout.Config{Arch: layout.ARM, Memory: []layout.PhysRange{{Start: 0x80000000, End: 0xc0000000}}})
	require.NoError(t, err)
	var bad *layout.AddrError
	for _, c := range []struct {
		l     *layout.Layout
		addrs []uint64
	}{
		// User space, holes, vmalloc, modules, fixmap; physical addresses of more than 40 bits.
		{x64, []uint64{0, 0x7fffffffffff, 0x800000000000, 0xffffc90000000000, 0xffffffffc0000000, 0xffffffffff579000, 0xffff888000000000 + 1<<40}},
		{x32, []uint64{0x1000, 0xf7800000, 0xffc00000, 1 << 33}},
		{a64, []uint64{0x1000, 0xffff800000000000, 0xfffffc0000000000, 0xffff800008000000}},
		{a32, []uint64{0x1000, 0xbf000000, 0xffff0000, 0xf7000000}},
	} {
		for _, a := range c.addrs {
			_, err := c.l.VirtToPhys(a)
			assert.ErrorAs(t, err, &bad, "%s %x", c.l.Title(), a)
			assert.False(t, c.l.VirtAddrValid(a), "%s %x", c.l.Title(), a)
		}
	}
	// High memory has no address; pages of holes have no struct page, unless
	// their section has memory.
	_, err = x32.PhysToVirt(1<<30 + 4096)
	assert.ErrorContains(t, err, "high memory")
	_, err = a32.PhysToVirt(0xbffff000)
	assert.ErrorContains(t, err, "high memory")
	assert.True(t, x64.PFNValid(127<<20>>12))
	assert.False(t, x64.PFNValid(128<<20>>12))
	assert.True(t, x64.PFNValid(0))
	assert.False(t, x64.PFNValid(1<<63))
	assert.False(t, a32.PFNValid(0))
	assert.True(t, a32.PFNValid(0x80000))
	_, err = x64.PFNToPage(128 << 20 >> 12)
	assert.ErrorAs(t, err, &bad)
	_, err = x64.PageToPFN(0xffffea0000000001)
	assert.ErrorContains(t, err, "middle")
	_, err = x64.PageToPFN(0xffffe90000000000)
	assert.ErrorAs(t, err, &bad)
	_, err = a32.PFNToPage(0x80000)
	assert.ErrorContains(t, err, "mem_map")
	_, err = a32.PageToPFN(0xc1000000)
	assert.ErrorContains(t, err, "mem_map")
	page, err := x32.PFNToPage(10)
	assert.NoError(t, err)
	assert.Equal(t, uint64(0xc2000000+320), page)
	_, err = x64.ImageToPhys(0xffffffff80000000)
	assert.ErrorAs(t, err, &bad)
	// The image has two addresses: its own and the direct map's.
	phys, err := x64.VirtToPhys(0xffffffff81000123)
	assert.NoError(t, err)
	assert.Equal(t, uint64(0x1000123), phys)
	assert.True(t, x64.VirtAddrValid(0xffffffff81000123))
	_, err = a64.ImageToPhys(0xffff800008000000)
	assert.NoError(t, err)
}

// No configuration or address makes the model panic, and what it lays out is whole.
func FuzzLayout(f *testing.F) {
	f.Add(uint8(0), uint8(0), 48, 0, uint64(0), uint8(0), uint16(0), uint64(0), uint64(1<<30), uint64(7), uint64(0xffff888000001000))
	f.Add(uint8(1), uint8(2), 52, 48, uint64(4096), uint8(0), uint16(0), uint64(1<<30), uint64(1<<30), uint64(9), uint64(0xffff000000001000))
	f.Add(uint8(2), uint8(0), 0, 0, uint64(0), uint8(2), uint16(1), uint64(0), uint64(5<<30), uint64(0), uint64(0xc0001000))
	f.Add(uint8(3), uint8(1), 32, 0, uint64(0), uint8(4), uint16(2), uint64(1<<31), uint64(1<<29), uint64(0), uint64(0x40001000))
	f.Fuzz(func(t *testing.T, arch, kernel uint8, bits, hw int, page uint64, split uint8, flags uint16, start, size, seed, addr uint64) {
		c := layout.Config{
			Arch: layout.Arch(arch), Kernel: layout.Version(kernel), VABits: bits, HardwareVABits: hw, PageSize: page, Split: layout.Split(split),
			PAE: flags&1 != 0, NoHighmem: flags&2 != 0, KASAN: flags&4 != 0, NoRelocation: flags&8 != 0, Memory: []layout.PhysRange{{Start: start, End: start + size}},
		}
		if seed != 0 {
			c.KASLR = layout.NewKASLR(layout.NewSource(seed))
		}
		l, err := layout.New(c)
		if err != nil {
			return
		}
		require.NoError(t, l.Check(), "%+v\n%s", c, l)
		if phys, err := l.VirtToPhys(addr); err == nil {
			if back, err := l.PhysToVirt(phys); err == nil && back != addr {
				// The image's second address.
				r, _ := l.Find(addr)
				require.Equal(t, layout.KernelImage, r.Kind)
			}
		}
		if page, err := l.PFNToPage(addr); err == nil {
			pfn, err := l.PageToPFN(page)
			require.NoError(t, err)
			require.Equal(t, addr, pfn)
		}
		if p, err := l.Exec(layout.ProcessConfig{RandomizeVASpace: int(flags>>4) % 3, StackLimit: seed, Compat: flags&64 != 0, Legacy: flags&128 != 0, Program: layout.Program(flags >> 8 & 3), ProgramEnd: addr, VDSOSize: 8192}, layout.NewSource(seed)); err == nil {
			require.LessOrEqual(t, p.StackTop, p.TaskSize)
			for _, d := range p.Draws {
				require.Less(t, d.Value, d.Choices)
			}
		}
	})
}

func BenchmarkVirtToPhys(b *testing.B) {
	l, err := layout.New(layout.Config{Memory: []layout.PhysRange{{Start: 0, End: 4 << 30}}})
	require.NoError(b, err)
	b.ReportAllocs()
	var sum uint64
	for i := range b.N {
		phys, _ := l.VirtToPhys(0xffff888000000000 + uint64(i)&0xffffffff)
		sum += phys
	}
	if sum == 0 && b.N > 1 {
		b.Fatal("no translation")
	}
}
