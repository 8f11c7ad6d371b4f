package vmalloc_test

import (
	"fmt"
	"os"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/mm/vmalloc"
	"github.com/kernsim/kernsim/slab"
)

// Three areas, a free, and what /proc/vmallocinfo says of them.
func ExampleSpace() {
	s, err := vmalloc.NewSpace(vmalloc.Config{CPUs: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	table, _ := s.Vmalloc(0, 100_000, "load_module+0x1/0x2")
	_, _ = s.KernelStack(0, 16<<10, "kernel_clone+0xbf/0x430")
	_, _ = s.Ioremap(0xfed00000, 0x400, "hpet_enable+0xef/0x46d")
	_ = s.Vfree(0, table)
	_ = s.WriteInfo(os.Stdout)
	fmt.Println(s.Vfree(0, table))
	// Output:
	// 0xffffc9000001a000-0xffffc9000001c000    8192 hpet_enable+0xef/0x46d phys=0x00000000fed00000 ioremap
	// 0xffffc9000001c000-0xffffc90000021000   20480 kernel_clone+0xbf/0x430 pages=4 vmalloc N0=4
	// 0xffffc90000000000-0xffffc9000001a000  106496 unpurged vm_area
	// vmalloc: Trying to vfree() nonexistent vm area (0xffffc90000000000)
}

// kvmalloc takes contiguous pages while kmalloc has them, and large pages of the
// vmalloc area beyond.
func ExampleSpace_Kvmalloc() {
	pages := slab.NewLinearPages(1, 1<<16)
	a, err := slab.New(slab.NewConfig(slab.Linux6_1, slab.X86_64, 1), pages)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := vmalloc.NewSpace(vmalloc.Config{Pages: pages})
	if err != nil {
		fmt.Println(err)
		return
	}
	v := s.Kvmalloc("table+0x1/0x2")
	for _, size := range []uint64{100_000, 5 << 20} {
		addr, err := a.Kvmalloc(0, size, buddy.GFPKernel, buddy.NoNode, v)
		fmt.Println(size, s.IsVmalloc(addr), err)
	}
	_ = s.WriteInfo(os.Stdout)
	// Output:
	// 100000 false <nil>
	// 5242880 true <nil>
	// 0xffffc90000000000-0xffffc90000601000 6295552 table+0x1/0x2 pages=1536 vmalloc N0=1536
}
