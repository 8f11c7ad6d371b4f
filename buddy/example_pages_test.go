package buddy_test

import (
	"errors"
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// smallPC is a PC with 64 MiB of memory and two CPUs.
func smallPC(p buddy.Profile) *buddy.Allocator {
	a, err := buddy.NewMachine(&buddy.Machine{
		CPUs:   2,
		Memory: []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 64 << 20}}},
	}, p)
	if err != nil {
		panic(err)
	}
	return a
}

// A page is allocated and freed on a machine that has just booted; freed again,
// it is an error that says what the kernel would.
func ExampleAllocator_AllocPages() {
	a := smallPC(buddy.Linux6_1)
	before := a.Zone(a.NumZones() - 1).FreePages()
	pfn, err := a.AllocPages(0, buddy.GFPKernel, 2)
	fmt.Println(err, pfn&3)
	fmt.Println(a.Free(0, pfn, 2))
	fmt.Println(errors.Is(a.Free(0, pfn, 2), buddy.ErrDoubleFree))
	_ = a.DrainAll(0)
	fmt.Println(a.Zone(a.NumZones()-1).FreePages() == before, a.Check())
	// Output:
	// <nil> 0
	// <nil>
	// true
	// true <nil>
}

// The first unmovable request finds only movable pageblocks: it takes one whole,
// as the kernel's trace events tell.
func ExampleAllocator_SetHook() {
	a := smallPC(buddy.Linux6_1)
	shown := 0
	a.SetHook(func(e buddy.Event) {
		if shown++; shown <= 3 {
			fmt.Println(e.Kind, e.Order, e.MigrateType, e.FallbackType, e.ChangeOwnership)
		}
	})
	if _, err := a.AllocPages(0, buddy.GFPKernel, 0); err != nil {
		fmt.Println(err)
	}
	// Output:
	// mm_page_alloc_extfrag 0 Unmovable Movable true
	// mm_page_alloc_zone_locked 0 Unmovable Unmovable false
	// mm_page_alloc_zone_locked 0 Unmovable Unmovable false
}

// Each CPU has lists of its own: a page goes to the list of the CPU that frees it,
// and comes from there first.
func ExampleAllocator_Free() {
	a := smallPC(buddy.Linux6_1)
	pfn, _ := a.AllocPages(0, buddy.GFPKernel, 0)
	_ = a.Free(1, pfn, 0)
	for i, z := range a.State().Zones {
		for cpu := range z.PCP {
			if n := z.PCP[cpu].Count; n > 0 {
				fmt.Printf("%v: CPU %d has %d pages\n", a.Zone(i).Type(), cpu, n)
			}
		}
	}
	again, _ := a.AllocPages(1, buddy.GFPKernel, 0)
	fmt.Println(again == pfn)
	// Output:
	// DMA32: CPU 0 has 2 pages
	// DMA32: CPU 1 has 1 pages
	// true
}

// A range of a CMA area is taken as a whole, after what is in it has been moved.
func ExampleAllocator_AllocContig() {
	a, err := buddy.NewMachine(&buddy.Machine{
		CPUs: 1, CMABuiltIn: true,
		Memory: []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 64 << 20}}},
		CMA:    []buddy.PhysRange{{Start: 32 << 20, End: 48 << 20}},
	}, buddy.Linux6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	const start, end = buddy.PFN(32 << 20 >> 12), buddy.PFN(48 << 20 >> 12)
	var movable []buddy.PFN
	for range 9000 {
		pfn, err := a.AllocPages(0, buddy.GFPHighUserMovable, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		movable = append(movable, pfn)
	}
	moved := 0
	err = a.AllocContig(0, start, end, buddy.CMA, func(start, end buddy.PFN) bool {
		for _, pfn := range movable {
			if pfn >= start && pfn < end {
				if a.Free(0, pfn, 0) != nil {
					return false
				}
				moved++
			}
		}
		return true
	})
	fmt.Println(err, moved > 0)
	fmt.Println(a.FreeContig(0, start, end), a.Check())
	// Output:
	// <nil> true
	// <nil> <nil>
}
