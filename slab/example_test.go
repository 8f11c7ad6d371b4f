package slab_test

import (
	"fmt"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// What kmalloc gives for some sizes on Debian's kernel.
func Example() {
	a, err := slab.New(slab.NewConfig(slab.Linux6_1, slab.X86_64, 4), slab.NewLinearPages(1, 1<<16))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, size := range []uint64{0, 1, 65, 97, 5000, 8193, 200_100, 5 << 20} {
		addr, err := a.Kmalloc(0, size, buddy.GFPKernel)
		if err != nil {
			fmt.Println(size, err)
			continue
		}
		from := "pages"
		if c := a.CacheOf(addr); c != nil {
			from = c.Name()
		}
		fmt.Println(size, a.Ksize(addr), from)
	}
	// Output:
	// 0 0 pages
	// 1 8 kmalloc-8
	// 65 96 kmalloc-96
	// 97 128 kmalloc-128
	// 5000 8192 kmalloc-8k
	// 8193 16384 pages
	// 200100 262144 pages
	// 5242880 slab: 0x500000: larger than KMALLOC_MAX_SIZE
}

// A cache of one's own on the page allocator, and what /proc/slabinfo says of it.
func ExampleAllocator_Create() {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 512 << 20}}}
	pages, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 2}, buddy.Linux6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := slab.New(slab.NewConfig(slab.Linux6_1, slab.X86_64, 2), slab.BuddyPages{A: pages})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := a.Create(slab.Params{Name: "our_ctx", Size: 328, Flags: slab.HWCacheAlign})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 100 {
		if _, err := c.Alloc(0, buddy.GFPKernel); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(c)
	info := c.Slabinfo()
	fmt.Println(info.ActiveObjs, "of", info.NumObjs, "objects in", info.NumSlabs, "slabs")
	// Output:
	// our_ctx: 328 of 384 bytes, 21 in 2^1 pages
	// 105 of 105 objects in 5 slabs
}

// slub_debug finds a write after the free, as the kernel would: at the next
// allocation of the object.
func ExampleConfig_SetDebug() {
	conf := slab.NewConfig(slab.Linux6_1, slab.X86_64, 1)
	if err := conf.SetDebug("FZPU,kmalloc-64"); err != nil {
		fmt.Println(err)
		return
	}
	a, err := slab.New(conf, slab.NewLinearPages(1, 64))
	if err != nil {
		fmt.Println(err)
		return
	}
	a.SetReports(slab.ReportConfig{}, func(line string) {
		if strings.HasPrefix(line, "BUG") || strings.HasPrefix(line, "FIX") || strings.Contains(line, "First byte") {
			fmt.Println(line)
		}
	})
	addr, _ := a.Kmalloc(0, 50, buddy.GFPKernel)
	_ = a.Kfree(0, addr)
	_ = a.Write(addr+8, []byte("late"))
	for range a.CacheOf(addr).Layout().Objects {
		if _, err := a.Kmalloc(0, 50, buddy.GFPKernel); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("reports:", a.Reports())
	// Output:
	// BUG kmalloc-64 (Not tainted): Poison overwritten
	// 0xffff888100000f48-0xffff888100000f4b @offset=3912. First byte 0x6c instead of 0x6b
	// FIX kmalloc-64: Restoring Poison 0xffff888100000f48-0xffff888100000f4b=0x6b
	// FIX kmalloc-64: Marking all objects used
	// reports: 1
}
