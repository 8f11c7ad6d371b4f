package pgtable

import "github.com/kernsim/kernsim/mm/layout"

// ForLayout is the kind of tables that a layout's kernel has for itself. arm64's CPU is
// taken to set accessed and dirty.
func ForLayout(l *layout.Layout) (*Format, error) {
	c := l.Config()
	switch c.Arch {
	case layout.X86_64:
		if c.VABits == 57 {
			return X86_64(5), nil
		}
		return X86_64(4), nil
	case layout.ARM64:
		return ARM64(c.PageSize, c.VABits, true, true)
	case layout.X86:
		return X86(c.PAE), nil
	}
	return ARM(c.PAE), nil
}

// MapDirect builds the direct map of a layout's memory in the kernel's tables: whole pages,
// writable, not executable, by blocks of up to largest bytes where address and memory
// are aligned to them, as split_mem_range and create_pgd_mapping choose them.
// x86 maps the first MiB as a whole, what is in it or not. It says how many bytes it mapped.
func (t *PageTable) MapDirect(l *layout.Layout, largest uint64) (uint64, error) {
	_, last, ok := l.MappedDirect()
	if !ok {
		return 0, nil
	}
	var done uint64
	page := t.f.PageSize()
	for _, r := range t.f.directRanges(l.Config().Memory) {
		start, end := (r.Start+page-1)&^(page-1), r.End&^(page-1)
		if start >= end {
			continue
		}
		va, err := l.PhysToVirt(start)
		if err != nil {
			// High memory: this range and all above it.
			return done, nil
		}
		size := min(end-start, (last-va)/page*page+page)
		n, err := t.MapRange(va, start, size, largest, Write|Global|Accessed|Dirty)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// directRanges are the ranges of memory that the direct map is built of.
func (f *Format) directRanges(memory []layout.PhysRange) []layout.PhysRange {
	const isa = 1 << 20
	if (f.enc != encX86 && f.enc != encX86_32) || len(memory) == 0 || memory[len(memory)-1].End <= isa {
		return memory
	}
	out := []layout.PhysRange{{Start: 0, End: isa}}
	for _, r := range memory {
		if r.Start = max(r.Start, isa); r.Start < r.End {
			out = append(out, r)
		}
	}
	return out
}
