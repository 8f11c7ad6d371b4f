package fault_test

import (
	"fmt"
	"os"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/mm/fault"
	"github.com/kernsim/kernsim/mm/overcommit"
	"github.com/kernsim/kernsim/mm/vma"
	"github.com/kernsim/kernsim/slab"
)

// A process on a machine of 64 MiB: what it maps is promised, what it touches comes
// from the page allocator.
func Example() {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 65 << 20}}}
	pages, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 1}, buddy.Linux6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	promised, err := overcommit.New(overcommit.Config{Mode: overcommit.Never, RatioPercent: 50, RAMPages: 64 << 20 >> 12}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := vma.New(vma.Config{
		Charge:   func(n uint64) bool { return promised.Charge(int64(n), overcommit.Caller{}) == nil },
		Uncharge: func(n uint64) { _ = promised.Uncharge(int64(n)) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := fault.NewMachine()
	m.Pages = slab.BuddyPages{A: pages}
	x := fault.New(m, s, 0)
	const rw, anon = vma.ProtRead | vma.ProtWrite, vma.MapPrivate | vma.MapAnonymous
	at, err := x.Mmap(0, 16<<20, rw, anon, nil, 0)
	fmt.Printf("%#x %v, promised %d kB\n", at, err, promised.Committed()*4)
	_, err = x.Mmap(0, 32<<20, rw, anon, nil, 0)
	fmt.Println(err)
	for i := range uint64(3) {
		kind, _ := x.Access(at+i<<12, i > 0, false)
		pfn, own := x.PFN(at + i<<12)
		fmt.Println(kind == fault.Minor, pfn, own)
	}
	_, err = x.Access(at-1, false, false)
	fmt.Println(err)
	_ = x.WriteStatm(os.Stdout)
	// Output:
	// 0x7ffbfe6ff000 <nil>, promised 16384 kB
	// vma: mmap: ENOMEM: overcommit refuses 8192 pages
	// true 0 false
	// true 16384 true
	// true 16385 true
	// fault: SIGSEGV (SEGV_MAPERR) at 0x7ffbfe6fe000
	// 4096 2 0 0 0 4096 0
}
