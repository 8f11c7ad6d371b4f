package buddy

// Memory sections are what the kernel keeps page structures for or not, as a
// whole (SPARSEMEM): 128 MiB on x86_64 and arm64, 512 MiB with 64 KiB pages.
const (
	memSectionBytesShift    = 27
	memSectionBytesShift64K = 29
)

// setPresent tells a booting machine where it has memory. Pageblocks in
// sections without any are in no zone, as they have no page structures. The
// others get their first type when their first page's structure is
// initialized (memmap_init_range); where that page is missing, as page 0 of a
// PC is, the type stays 0, Unmovable.
func (a *Allocator) setPresent(ranges []PresentRange) {
	shift := memSectionBytesShift - a.config.PageShift
	if a.config.PageShift == 16 {
		shift = memSectionBytesShift64K - a.config.PageShift
	}
	sections := make([]bool, len(a.blockZone)<<a.pageblockOrder>>shift+1)
	first := make([]bool, len(a.blockZone))
	for _, r := range ranges {
		for s := r.Start >> shift; s <= (r.End-1)>>shift; s++ {
			sections[s] = true
		}
		mask := PFN(1)<<a.pageblockOrder - 1
		for b := (r.Start + mask) >> a.pageblockOrder; b<<a.pageblockOrder < r.End; b++ {
			first[b] = true
		}
	}
	for b := range a.blockZone {
		switch {
		case !sections[b<<a.pageblockOrder>>shift]:
			a.blockZone[b] = noZone
		case !first[b]:
			a.blockTypes[b] = uint8(Unmovable)
		}
	}
}
