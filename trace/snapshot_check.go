package trace

import (
	"fmt"
	"slices"
	"sort"
)

// blockKey is a block of a list as one number that sorts by PFN: the PFN, its
// order, and whether the list could not change while it was read.
type blockKey uint64

const (
	keyOrderShift = 1
	keyPFNShift   = 8
	keyOrderMask  = 1<<(keyPFNShift-keyOrderShift) - 1
)

// makeBlockKey packs a block; PFNs have at most 52 bits.
func makeBlockKey(pfn uint64, order int, still bool) blockKey {
	return blockKey(pfn<<keyPFNShift | uint64(order)<<keyOrderShift | uint64(bit(still)))
}

func (k blockKey) pfn() uint64 { return uint64(k >> keyPFNShift) }
func (k blockKey) end() uint64 { return k.pfn() + 1<<(k>>keyOrderShift&keyOrderMask) }
func (k blockKey) still() bool { return k&1 != 0 }

// blockList says at which line the blocks from first on stand.
type blockList struct{ first, line int }

// addBlocks notes the blocks of one list, after checking that they lie aligned
// in the current zone.
func (s *snapshotReader) addBlocks(pfns []uint64, order int, still bool) {
	z := s.zone
	size := uint64(1) << order
	s.lists = append(s.lists, blockList{len(s.blocks), s.rec.lines.line})
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
		s.blocks = append(s.blocks, makeBlockKey(pfn, order, still))
	}
}

// checkOverlap looks for a page that is in two lists.
func (s *snapshotReader) checkOverlap() error {
	sorted := slices.Clone(s.blocks)
	slices.Sort(sorted)
	for i := 1; i < len(sorted) && s.rec.err == nil; i++ {
		if a, b := sorted[i-1], sorted[i]; a.end() > b.pfn() {
			s.overlap(a, b)
		}
	}
	return s.rec.err
}

// overlap reports that a and b, in this order, share pages.
func (s *snapshotReader) overlap(a, b blockKey) {
	first := slices.Index(s.blocks, a)
	second := len(s.blocks) - 1
	for s.blocks[second] != b { // from the other end: a and b may be alike
		second--
	}
	lines := []int{s.lineOf(first), s.lineOf(second)}
	slices.Sort(lines)
	s.rec.lines.line = lines[1]
	s.disagree(a.still() && b.still(), "each page in one list", "page frame %d, which line %d has too", b.pfn(), lines[0])
}

// lineOf gives the line of block i.
func (s *snapshotReader) lineOf(i int) int {
	n := sort.Search(len(s.lists), func(n int) bool { return s.lists[n].first > i })
	return s.lists[n-1].line
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
