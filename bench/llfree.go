package bench

import (
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// llfree is LLFree (L. Wrenger, F. Rommel, A. Halbuer, C. Dietrich, D. Lohmann:
// LLFree: Scalable and Optionally-Persistent Page-Frame Allocation, USENIX ATC
// 2023), as far as placement goes: pages in areas of the size of a huge page,
// each with a counter and a bitmap; trees of areas with a counter; each CPU
// reserves a tree that it allocates from, and takes over the tree that it
// frees much in. Like the paper's, and unlike later versions, it does not keep
// trees for movable, immovable and huge pages apart. There are no locks: [Counters.Locks] counts reservations,
// which are what CPUs share.
type llfree struct {
	arena
	free pageMap
	// areas and trees count free pages.
	areas, trees []int
	// areaOrder is the order of an area, at least 6.
	areaOrder int
	taken     []bool
	cpus      []llCPU
}

// llCPU is what a CPU has reserved: a tree, or -1, and the area to go on at.
type llCPU struct {
	tree, area int
	// lastFree is the tree of the last free, frees how many came in a row.
	lastFree, frees int
}

const (
	// llTree is how many areas a tree has: few, because the machines compared
	// here are small.
	llTree = 8
	// llTakeOver is after how many frees in a row a CPU reserves their tree.
	llTakeOver = 4
)

// LLFree makes an LLFree allocator.
func LLFree() Strategy { return &llfree{} }

func (l *llfree) Start(m *Machine) error {
	l.arena = newArena(m)
	l.areaOrder = max(int(m.Config.PageblockOrder), 6)
	areas := l.pages>>l.areaOrder + 1
	trees := (areas + llTree - 1) / llTree
	l.free = newPageMap(l.first, trees*llTree<<l.areaOrder)
	l.start(m, l.free.set)
	l.areas, l.trees, l.taken = make([]int, trees*llTree), make([]int, trees), make([]bool, trees)
	perArea := 1 << l.areaOrder / 64
	for a := range l.areas {
		for w := range perArea {
			l.areas[a] += popcount(l.free.words, a*perArea+w)
		}
		l.trees[a/llTree] += l.areas[a]
	}
	l.cpus = make([]llCPU, max(m.Config.CPUs, 1))
	for i := range l.cpus {
		l.cpus[i] = llCPU{tree: -1, lastFree: -1}
	}
	return nil
}

func (l *llfree) Alloc(r Request) (buddy.PFN, bool) {
	c := &l.cpus[int(r.CPU)%len(l.cpus)]
	order := int(r.Order)
	if c.tree >= 0 {
		if page := l.inTree(c.tree, c.area, order); page >= 0 {
			l.counts.CacheHits++
			return l.take(c, page, order), true
		}
	}
	l.counts.Locks++
	if page := l.reserve(c, order); page >= 0 {
		return l.take(c, page, order), true
	}
	// Whatever other CPUs have reserved.
	for t := range l.trees {
		if page := l.inTree(t, t*llTree, order); page >= 0 {
			return l.take(nil, page, order), true
		}
	}
	return 0, false
}

// take marks a block in use.
func (l *llfree) take(c *llCPU, page, order int) buddy.PFN {
	l.free.clear(page, page+1<<order)
	l.count(page, order, -1)
	if c != nil {
		c.area = page >> l.areaOrder
	}
	return l.pfn(page)
}

func (l *llfree) count(page, order, sign int) {
	n := 1 << order
	for a := page >> l.areaOrder; n > 0; a++ {
		k := min(n, 1<<l.areaOrder)
		l.areas[a] += sign * k
		l.trees[a/llTree] += sign * k
		n -= k
	}
}

// reserve looks for a tree for a CPU: one that is partly free, near the last;
// then one that is nearly free; then any.
func (l *llfree) reserve(c *llCPU, order int) int {
	full := llTree << l.areaOrder
	from := max(c.tree, 0)
	for _, class := range [3][2]int{{full / 16, full - full/8}, {full - full/8, full}, {1 << order, full}} {
		for i := range l.trees {
			t := (from + i) % len(l.trees)
			l.counts.Scanned++
			if l.taken[t] || l.trees[t] < max(class[0], 1<<order) || l.trees[t] > class[1] {
				continue
			}
			if page := l.inTree(t, t*llTree, order); page >= 0 {
				l.setTree(c, t)
				return page
			}
		}
	}
	return -1
}

func (l *llfree) setTree(c *llCPU, t int) {
	if c.tree >= 0 {
		l.taken[c.tree] = false
	}
	c.tree, c.area, l.taken[t] = t, t*llTree, true
}

// inTree finds a free block in a tree, from an area on and round.
func (l *llfree) inTree(t, from, order int) int {
	if l.trees[t] < 1<<order {
		return -1
	}
	if order > l.areaOrder {
		return l.areasTogether(t, order)
	}
	for i := range llTree {
		a := t*llTree + (from+i)%llTree
		l.counts.Scanned++
		if l.areas[a] < 1<<order {
			continue
		}
		if page := l.inArea(a, order); page >= 0 {
			return page
		}
	}
	return -1
}

// inArea searches an area's bitmap.
func (l *llfree) inArea(a, order int) int {
	per := 1 << l.areaOrder / 64
	step := max(1<<order/64, 1)
	for w := a * per; w < (a+1)*per; w += step {
		l.counts.Scanned++
		if order <= 6 {
			if x := foldWord(l.free.words[w], order); x != 0 {
				return w*64 + bits.TrailingZeros64(x)
			}
		} else if l.free.all(w*64, (w+step)*64) {
			return w * 64
		}
	}
	return -1
}

// areasTogether finds aligned areas that are all free.
func (l *llfree) areasTogether(t, order int) int {
	n := 1 << (order - l.areaOrder)
next:
	for a := t * llTree; a+n <= (t+1)*llTree; a += n {
		for k := range n {
			l.counts.Scanned++
			if l.areas[a+k] != 1<<l.areaOrder {
				continue next
			}
		}
		return a << l.areaOrder
	}
	return -1
}

func (l *llfree) Free(cpu buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	page := l.page(pfn)
	l.free.set(page, page+1<<order)
	l.count(page, int(order), 1)
	c := &l.cpus[int(cpu)%len(l.cpus)]
	t := page >> l.areaOrder / llTree
	if t != c.lastFree {
		c.lastFree, c.frees = t, 0
	}
	if c.frees++; c.frees >= llTakeOver && c.tree != t && !l.taken[t] {
		l.counts.Locks++
		l.setTree(c, t)
	}
}
