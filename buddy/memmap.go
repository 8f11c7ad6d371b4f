package buddy

import "slices"

// pfnRange is a range of page frames with memory on a node.
type pfnRange struct {
	start, end   PFN
	node         NodeID
	hotpluggable bool
}

// mergeMemory sorts memory by address and joins what is adjacent and alike, as
// memblock does.
func mergeMemory(memory []MemRange) []MemRange {
	sorted := slices.Clone(memory)
	slices.SortFunc(sorted, func(a, b MemRange) int { return cmpUint64(a.Start, b.Start) })
	merged := sorted[:0]
	for _, r := range sorted {
		if n := len(merged); n > 0 {
			last := &merged[n-1]
			if last.End == r.Start && last.Node == r.Node && last.Hotpluggable == r.Hotpluggable {
				last.End = r.End
				continue
			}
		}
		merged = append(merged, r)
	}
	return merged
}

// pagesOf gives the whole page frames of memory, ascending; ranges without any
// are left out.
func pagesOf(memory []MemRange, pageShift int) []pfnRange {
	var mem []pfnRange
	for _, r := range mergeMemory(memory) {
		p := pfnRange{node: r.Node, hotpluggable: r.Hotpluggable}
		if p.start, p.end = wholePages(r.PhysRange, pageShift); p.start < p.end {
			mem = append(mem, p)
		}
	}
	return mem
}

// wholePages is the range of page frames that lie in a physical range as a
// whole.
func wholePages(r PhysRange, pageShift int) (start, end PFN) {
	start, end = PFN(r.Start>>pageShift), PFN(r.End>>pageShift)
	if r.Start&(1<<pageShift-1) != 0 {
		start++
	}
	return start, end
}

// totalPages counts the page frames.
func totalPages(mem []pfnRange) uint64 {
	sum := uint64(0)
	for _, r := range mem {
		sum += uint64(r.end - r.start)
	}
	return sum
}

// nodeCount is one more than the highest node with memory.
func nodeCount(mem []pfnRange) int {
	n := 0
	for _, r := range mem {
		n = max(n, int(r.node)+1)
	}
	return n
}

// memoryNodes are the nodes with memory, ascending.
func memoryNodes(mem []pfnRange) []NodeID {
	var nodes []NodeID
	for _, r := range mem {
		if !slices.Contains(nodes, r.node) {
			nodes = append(nodes, r.node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// nodeSpan is from a node's first page frame to behind its last one, 0 and 0 if
// it has none.
func nodeSpan(mem []pfnRange, node NodeID) (start, end PFN) {
	first := true
	for _, r := range mem {
		if r.node != node {
			continue
		}
		if first {
			start, first = r.start, false
		}
		end = r.end
	}
	return start, end
}

// subtract takes the holes out of the ranges. Both are ascending and free of
// overlaps; so is the result.
func subtract(ranges, holes []PhysRange) []PhysRange {
	var rest []PhysRange
	next := 0
	for _, r := range ranges {
		for next < len(holes) && holes[next].End <= r.Start {
			next++
		}
		for i := next; i < len(holes) && holes[i].Start < r.End; i++ {
			if r.Start < holes[i].Start {
				rest = append(rest, PhysRange{r.Start, holes[i].Start})
			}
			r.Start = max(r.Start, min(holes[i].End, r.End))
		}
		if r.Start < r.End {
			rest = append(rest, r)
		}
	}
	return rest
}

// union sorts ranges and joins those that overlap or touch.
func union(lists ...[]PhysRange) []PhysRange {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b PhysRange) int { return cmpUint64(a.Start, b.Start) })
	joined := all[:0]
	for _, r := range all {
		if r.Start >= r.End {
			continue
		}
		if n := len(joined); n > 0 && joined[n-1].End >= r.Start {
			joined[n-1].End = max(joined[n-1].End, r.End)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// MemmapPages is how many pages the kernel reckons for the page structures (64
// bytes each) of a zone: of the present pages where holes are more than a
// sixteenth of them, else of the spanned ones. It is the kernel's
// calc_memmap_size on machines with sparse memory.
func MemmapPages(spanned, present uint64, pageShift int) uint64 {
	const sizeofPage = 64
	pages := spanned
	if spanned > present+present>>4 {
		pages = present
	}
	return alignUp(pages*sizeofPage, 1<<pageShift) >> pageShift
}
