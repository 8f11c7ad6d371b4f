package layout

// Bases of x86_64, which are facts of Documentation/x86/x86_64/mm.rst and
// confirmed by the boots of this package's testdata.
const (
	startKernelMap = 0xffffffff80000000
	imageStartPhys = 0x1000000 // CONFIG_PHYSICAL_START
	cpuEntryBase   = 0xfffffe0000000000
	moduleEndX86   = 0xffffffffff000000
	fixaddrTopX86  = 0xffffffffff7ff000
	tb             = 1 << 40
)

// basesX86 are the fixed bases by number of levels, and how much each has, in TiB.
type basesX86 struct {
	guard, ldt, direct, vmalloc, vmemmap   uint64
	guardSize, ldtSize                     uint64
	directTB, vmallocTB, vmemmapTB         uint64
	kasan                                  uint64
	userEnd                                uint64 // without the guard page
	nonCanonicalStart, nonCanonicalEndLast uint64
}

func (c *Config) basesX86() basesX86 {
	if c.VABits == 57 {
		return basesX86{
			guard: 0xff00000000000000, guardSize: 16 << 48, ldt: 0xff10000000000000, ldtSize: 1 << 48,
			direct: 0xff11000000000000, directTB: 1 << (52 - 40), vmalloc: 0xffa0000000000000, vmallocTB: 12800,
			vmemmap: 0xffd4000000000000, vmemmapTB: 512, kasan: 0xffdffc0000000000,
			userEnd: 1 << 56, nonCanonicalStart: 1 << 56, nonCanonicalEndLast: 0xfeffffffffffffff,
		}
	}
	return basesX86{
		guard: 0xffff800000000000, guardSize: 16 << 39, ldt: 0xffff880000000000, ldtSize: 1 << 39,
		direct: 0xffff888000000000, directTB: 1 << (46 - 40), vmalloc: 0xffffc90000000000, vmallocTB: 32,
		vmemmap: 0xffffea0000000000, vmemmapTB: 1, kasan: 0xffffec0000000000,
		userEnd: 1 << 47, nonCanonicalStart: 1 << 47, nonCanonicalEndLast: 0xffff7fffffffffff,
	}
}

// structPage is sizeof(struct page) of 64-bit builds, in bytes.
const structPage = 64

func (l *Layout) x86_64() error {
	c := &l.c
	b := c.basesX86()
	l.physmemEnd = b.directTB*tb - 1
	l.taskSize = b.userEnd - c.PageSize
	directSize, vmemmapSize := b.directTB*tb, b.vmemmapTB*tb
	if b.directTB == 1<<12 {
		// The table of the document gives the direct map of 5 levels 32 PiB; physical
		// addresses have 52 bits.
		directSize = 32 << 50
	}
	if k := c.KASLR; k != nil && k.regions() && !c.KASAN {
		d := k.drawRegions(b, c.memEnd())
		b.direct, b.vmalloc, b.vmemmap = d.Direct, d.Vmalloc, d.Vmemmap
		directSize, vmemmapSize = d.DirectTB*tb, d.VmemmapTB*tb
		l.physmemEnd = directSize - 1
	}
	if c.memEnd() > l.physmemEnd+1 {
		return c.bad("Memory", hex(c.memEnd()), "memory that the direct map has room for")
	}
	imageArea := uint64(1 << 30)
	if c.NoRelocation {
		imageArea = 512 << 20
	}
	l.add(User, 0, b.userEnd)
	l.regions = append(l.regions, Region{NonCanonical, b.nonCanonicalStart, b.nonCanonicalEndLast})
	l.add(Guard, b.guard, b.guardSize)
	l.add(LDT, b.ldt, b.ldtSize)
	l.add(DirectMap, b.direct, directSize)
	l.add(Vmalloc, b.vmalloc, b.vmallocTB*tb)
	l.add(Vmemmap, b.vmemmap, vmemmapSize)
	if c.KASAN {
		l.between(KASANShadow, b.kasan, 0xfffffc0000000000)
	}
	l.add(CPUEntry, cpuEntryBase, 1<<39)
	l.add(ESPFix, 0xffffff0000000000, 1<<39)
	l.between(EFI, 0xffffffef00000000, 0xffffffff00000000)
	l.add(KernelImage, startKernelMap, imageArea)
	l.between(Modules, startKernelMap+imageArea, moduleEndX86)
	l.between(Fixmap, fixaddrTopX86-c.FixmapPages*c.PageSize, fixaddrTopX86)
	l.pageOffset, l.vmemmap = b.direct, b.vmemmap
	l.imageStart, l.imageLast = startKernelMap, startKernelMap+imageArea-1
	l.imageBase, l.imageOffset = startKernelMap+imageStartPhys, below64(startKernelMap)
	if k := c.KASLR; k != nil {
		if c.NoRelocation {
			return c.bad("KASLR", "given", "none where CONFIG_RANDOMIZE_BASE is off")
		}
		base, err := k.drawImage(imageArea)
		if err != nil {
			return err
		}
		phys := uint64(imageStartPhys)
		if k.ImagePhys != 0 {
			phys = k.ImagePhys
		}
		l.imageBase = base
		l.imageOffset = phys - base
	}
	return nil
}

// x86 lays out 32 bits (pgtable_32_areas.h).
func (l *Layout) x86() error {
	c := &l.c
	if c.KASLR != nil {
		return c.bad("KASLR", "given", "none: not modelled for x86 with 32 bits")
	}
	pmd := uint64(4 << 20)
	if c.PAE {
		pmd = 2 << 20
	}
	const fixTop = 0xfffff000
	fix := fixTop - c.FixmapPages*c.PageSize
	entry := (fix - c.CPUEntryPages*c.PageSize) &^ (pmd - 1)
	ldt := (entry - c.PageSize) &^ (pmd - 1)
	vmallocEnd := ldt - 2*c.PageSize
	pkmap := (ldt - c.PageSize) &^ (pmd - 1)
	l.pageOffset = splits[c.Split].pageOffset
	l.taskSize = l.pageOffset
	if !c.NoHighmem {
		vmallocEnd = pkmap - 2*c.PageSize
		entries := uint64(1024)
		if c.PAE {
			entries = 512
		}
		l.add(Pkmap, pkmap, entries*c.PageSize)
	}
	low := min(c.memEnd()&^(c.PageSize-1), vmallocEnd-l.pageOffset-c.vmallocReserve())
	l.highMemory = l.pageOffset + low
	l.add(User, 0, l.taskSize)
	if low > 0 {
		l.add(DirectMap, l.pageOffset, low)
	}
	l.between(Vmalloc, l.highMemory+8<<20, vmallocEnd)
	l.between(LDT, ldt, ldt+pmd)
	l.between(CPUEntry, entry, fix)
	l.between(Fixmap, fix, fixTop)
	l.vmemmap = c.MemMap
	return nil
}
