package viz

// fragmentation counts a zone's free blocks the way the kernel's
// fill_contig_page_info does: blocks[o] is the number of free blocks of order o.
type fragmentation struct {
	pages, blocks, suitable uint64
}

func countFree(blocks []uint64, order int) fragmentation {
	var f fragmentation
	for o, n := range blocks {
		f.blocks += n
		f.pages += n << o
		if o >= order {
			f.suitable += n << (o - order)
		}
	}
	return f
}

// unusable is the kernel's unusable_free_index in thousandths: which part of the
// free memory lies in blocks too small for a request of the order; 1000 if
// nothing is free.
func (f fragmentation) unusable(order int) int {
	if f.pages == 0 {
		return 1000
	}
	return int((f.pages - f.suitable<<order) * 1000 / f.pages)
}

// wouldSucceed is the fragmentation index of a request that can be met.
const wouldSucceed = -1000

// external is the kernel's __fragmentation_index in thousandths: [wouldSucceed] if
// a request of the order can be met, else near 0 if it fails for lack of memory
// and near 1000 if it fails because the free memory is in small blocks.
func (f fragmentation) external(order int) int {
	if f.blocks == 0 {
		return 0
	}
	if f.suitable > 0 {
		return wouldSucceed
	}
	return 1000 - int((1000+f.pages*1000/(1<<order))/f.blocks)
}
