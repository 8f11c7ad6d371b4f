package trace

import (
	"cmp"
	"fmt"
	"slices"
)

// blockAt is a block of a list and the line that has it.
type blockAt struct {
	pfn   uint64
	line  int32
	order int8
	still bool // the list could not change while it was read
}

// addBlocks notes the blocks of one list, after checking that they lie aligned
// in the current zone.
func (s *snapshotReader) addBlocks(pfns []uint64, order int, still bool) {
	z := s.zone
	size := uint64(1) << order
	for _, pfn := range pfns {
		if pfn&(size-1) != 0 {
			s.rec.failf("a multiple of the block's size", "page frame %d in a list of order %d", pfn, order)
			return
		}
		if pfn < z.StartPFN || pfn+size > z.StartPFN+z.Spanned {
			s.rec.failf(fmt.Sprintf("page frames of zone %s, %d to %d", z.Name, z.StartPFN, z.StartPFN+z.Spanned),
				"page frame %d in a list of order %d", pfn, order)
			return
		}
		s.blocks = append(s.blocks, blockAt{pfn, int32(s.rec.lines.line), int8(order), still})
	}
}

// checkOverlap looks for a page that is in two lists.
func (s *snapshotReader) checkOverlap() error {
	slices.SortFunc(s.blocks, func(a, b blockAt) int {
		return cmp.Or(cmp.Compare(a.pfn, b.pfn), cmp.Compare(a.line, b.line))
	})
	for i := 1; i < len(s.blocks); i++ {
		a, b := s.blocks[i-1], s.blocks[i]
		if a.pfn+1<<a.order <= b.pfn {
			continue
		}
		s.rec.lines.line = int(max(a.line, b.line))
		s.disagree(a.still && b.still, "each page in one list", "page frame %d, which line %d has too", b.pfn, min(a.line, b.line))
	}
	return s.rec.err
}

// firstDouble gives a value that list has twice.
func firstDouble(list []uint64) (uint64, bool) {
	if len(list) < 2 {
		return 0, false
	}
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return sorted[i], true
		}
	}
	return 0, false
}
