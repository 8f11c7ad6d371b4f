package layout

// kasanEnd is where arm64's KASAN shadow ends, by VA bits. That is
// _PAGE_END(VA_BITS_MIN) for all choices that Kconfig offers.
func (c *Config) kasanEnd() uint64 { return pageEnd(c.vaBitsMin()) }

func pageOffset(bits int) uint64 { return -(uint64(1) << bits) }
func pageEnd(bits int) uint64    { return -(uint64(1) << (bits - 1)) }

// topSize is the size that an entry of the first level below the top maps
// (PUD_SIZE), with folded levels counted as the one above.
func (c *Config) pudShift() uint {
	shift := c.pageShift()
	per := shift - 3
	levels := (uint(c.VABits) - shift + per - 1) / per
	return shift + per*min(2, levels-1)
}

func (l *Layout) arm64() error {
	c := &l.c
	least := c.vaBitsMin()
	l.pageOffset = pageOffset(c.VABits)
	end := pageEnd(least) // of the direct map, without KASAN
	linearEnd := end
	l.taskSize = 1 << c.HardwareVABits
	l.add(User, 0, l.taskSize)
	l.between(NonCanonical, l.taskSize, pageOffset(c.HardwareVABits))
	if c.KASAN {
		linearEnd = c.kasanEnd() - 1<<(c.HardwareVABits-3)
		l.between(KASANShadow, linearEnd, c.kasanEnd())
	}
	linearStart := pageOffset(c.HardwareVABits)
	l.between(DirectMap, linearStart, linearEnd)

	span := end - l.pageOffset // what vmemmap has to describe
	vmemmapSize := span >> c.pageShift() * structPage
	var modulesStart, moduleSize, vmallocEnd, vmemmap, fixTop uint64
	modulesStart, moduleSize = end, 128<<20
	switch c.Kernel {
	case Linux5_4:
		l.add(BPFJIT, end, 128<<20)
		modulesStart = end + 128<<20
		vmemmap = -vmemmapSize - 2<<20
		vmallocEnd = -(uint64(1) << c.pudShift()) - vmemmapSize - 64<<10
		pciEnd := vmemmap - 2<<20
		l.between(PCIIO, pciEnd-16<<20, pciEnd)
		fixTop = pciEnd - 16<<20 - 2<<20
	case Linux6_12:
		moduleSize = 2 << 30
		vmemmapEnd := below64(1 << 30)
		vmemmap = vmemmapEnd - vmemmapSize
		vmallocEnd = vmemmap - 8<<20
		if c.VABits > 48 {
			// The part of vmemmap for addresses that the CPU does not have is vmalloc's.
			vmallocEnd += (pageOffset(c.HardwareVABits) - l.pageOffset) >> c.pageShift() * structPage
		}
		l.add(PCIIO, vmemmapEnd+8<<20, 16<<20)
		fixTop = below64(8 << 20)
	default:
		vmemmap = -(uint64(1) << (uint(c.VABits) - (c.pageShift() - 6)))
		vmallocEnd = vmemmap - 256<<20
		l.between(PCIIO, vmemmap-24<<20, vmemmap-8<<20)
		fixTop = vmemmap - 32<<20
	}
	l.add(Modules, modulesStart, moduleSize)
	l.between(Vmalloc, modulesStart+moduleSize, vmallocEnd)
	vmemmapFirst := vmemmap
	if c.Kernel == Linux6_12 {
		vmemmapFirst = vmallocEnd + 8<<20
	}
	l.between(Vmemmap, vmemmapFirst, vmemmap+vmemmapSize)
	l.between(Fixmap, fixTop-c.FixmapPages*c.PageSize, fixTop)

	if err := l.arm64Memory(linearStart, linearEnd); err != nil {
		return err
	}
	// vmemmap is where PFN 0 would be: the area starts with memstart's page.
	l.vmemmap = vmemmap - uint64(int64(l.memstart)>>c.pageShift())*structPage
	l.imageBase = modulesStart + moduleSize
	if c.KASLR != nil {
		l.imageBase += c.KASLR.arm64Image(c, l.imageBase, vmallocEnd)
	}
	l.imageStart, l.imageLast = modulesStart+moduleSize, vmallocEnd-1
	phys := c.memStart()
	if c.KASLR != nil && c.KASLR.ImagePhys != 0 {
		phys = c.KASLR.ImagePhys
	}
	l.imageOffset = phys - l.imageBase
	return nil
}

// memstartAlign is ARM64_MEMSTART_ALIGN: the direct map starts at a multiple of it.
func (c *Config) memstartAlign() uint64 {
	if c.PageSize == 64<<10 {
		return 1 << 29
	}
	return 1 << 30
}

// arm64Memory finds memstart_addr (arm64_memblock_init).
func (l *Layout) arm64Memory(start, end uint64) error {
	c := &l.c
	size := end - start
	align := c.memstartAlign()
	l.memstart = c.memStart() &^ (align - 1)
	if c.memEnd()-l.memstart > size {
		return c.bad("Memory", hex(c.memEnd()), "memory that fits in the linear mapping (kernel: Memory doesn't fit in the linear mapping, VA_BITS too small)")
	}
	if c.HardwareVABits != c.VABits {
		l.memstart -= pageOffset(c.HardwareVABits) - pageOffset(c.VABits)
	}
	if k := c.KASLR; k != nil {
		seed := uint64(k.memstartSeed())
		room := int64(size) - int64(1)<<c.PhysBits
		if seed > 0 && room >= int64(align) {
			l.memstart -= align * (uint64(room) / align * seed >> 16)
		}
	}
	return nil
}

// arm lays out 32 bits (arch/arm/include/asm/memory.h, adjust_lowmem_bounds).
func (l *Layout) arm() error {
	c := &l.c
	if c.KASLR != nil {
		return c.bad("KASLR", "given", "none: arm has no KASLR")
	}
	const vmallocEnd, vmallocOffset, pmd = 0xff800000, 8 << 20, 2 << 20
	l.pageOffset = splits[c.Split].pageOffset
	l.taskSize = l.pageOffset - 16<<20
	l.memstart = c.memStart()
	modulesEnd := l.pageOffset
	if !c.NoHighmem {
		modulesEnd -= pmd
		l.add(Pkmap, modulesEnd, pmd)
	}
	low := min(c.memEnd()-c.memStart(), vmallocEnd-c.vmallocReserve()-l.pageOffset)
	l.highMemory = l.pageOffset + low
	l.add(User, 0, l.taskSize)
	l.between(Modules, l.taskSize, modulesEnd)
	if low > 0 {
		l.add(DirectMap, l.pageOffset, low)
	}
	l.between(Vmalloc, (l.highMemory+vmallocOffset)&^(vmallocOffset-1), vmallocEnd)
	fix := uint64(0xffc80000)
	if c.Kernel == Linux5_4 {
		fix = 0xffc00000
	} else {
		section := uint64(1 << 20)
		if c.PAE {
			section = 2 << 20
		}
		l.add(FDT, vmallocEnd, 2*section)
	}
	l.between(Fixmap, fix, 0xfff00000)
	l.add(Vectors, 0xffff0000, c.PageSize)
	l.vmemmap = c.MemMap
	return nil
}

// below64 is the address n bytes below the end of the address space.
func below64(n uint64) uint64 { return -n }
