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
// frees much in. There are no locks: [Counters.Locks] counts reservations,
// which are what CPUs share.
//
// Later versions keep trees for unmovable, movable and huge blocks apart (tiers,
// core/src of github.com/luhsra/llfree-rs): a CPU reserves a tree of each kind.
// A request looks for trees of its kind, nearly full ones first, then for one
// without a kind, which one that is all free has; a lower kind takes a tree of a
// higher one over, a higher kind takes blocks out of a lower one's tree, which
// keeps its kind.
type llfree struct {
	arena
	free pageMap
	// areas and trees count free pages.
	areas, trees []int
	// areaOrder is the order of an area, at least 6.
	areaOrder int
	taken     []bool
	cpus      []llCPU
	// apart: kinds of trees are kept apart. kind has a tree's.
	apart bool
	kind  []llKind
}

// llKind is what a tree holds, the lowest kind what spoils most.
type llKind int8

const (
	llUnmovable llKind = iota
	llMovable
	llHuge
	llKinds
	// llAny is the kind of a tree that is all free.
	llAny llKind = -1
)

// llCPU is what a CPU has reserved of each kind: a tree, or -1, and the area to
// go on at. Where kinds are not kept apart there is only the first.
type llCPU struct {
	local [llKinds]llLocal
	// lastFree is the tree of the last free, frees how many came in a row.
	lastFree, frees int
}

type llLocal struct{ tree, area int }

const (
	// llTree is how many areas a tree has: few, because the machines compared
	// here are small.
	llTree = 8
	// llTakeOver is after how many frees in a row a CPU reserves their tree.
	llTakeOver = 4
)

// LLFree makes an LLFree allocator as in the paper.
func LLFree() Strategy { return &llfree{} }

// LLFreeKinds makes an LLFree allocator that keeps unmovable, movable and huge
// blocks in trees of their own, as later versions do.
func LLFreeKinds() Strategy { return &llfree{apart: true} }

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
		l.cpus[i].lastFree = -1
		for k := range l.cpus[i].local {
			l.cpus[i].local[k].tree = -1
		}
	}
	l.kind = make([]llKind, trees)
	for t := range l.kind {
		l.kind[t] = llUnmovable
		if l.full(t) {
			l.kind[t] = llAny
		}
	}
	return nil
}

// full says that all of a tree is free.
func (l *llfree) full(t int) bool { return l.trees[t] == llTree<<l.areaOrder }

// kindOf is the kind of tree that a request wants.
func (l *llfree) kindOf(r *Request) llKind {
	switch {
	case !l.apart:
		return llUnmovable
	case int(r.Order) >= l.areaOrder:
		return llHuge
	case r.GFP.Any(buddy.GFPMovable):
		return llMovable
	}
	return llUnmovable
}

func (l *llfree) Alloc(r Request) (buddy.PFN, bool) {
	kind := l.kindOf(&r)
	c := &l.cpus[int(r.CPU)%len(l.cpus)].local[kind]
	order := int(r.Order)
	if c.tree >= 0 {
		if page := l.inTree(c.tree, c.area, order); page >= 0 {
			l.counts.CacheHits++
			return l.take(c, page, order), true
		}
	}
	l.counts.Locks++
	reserve := l.reserve
	if l.apart {
		reserve = l.reserveKind
	}
	if page := reserve(c, kind, order); page >= 0 {
		return l.take(c, page, order), true
	}
	// Whatever other CPUs have reserved, or holds other kinds.
	for t := range l.trees {
		if page := l.inTree(t, t*llTree, order); page >= 0 {
			return l.take(nil, page, order), true
		}
	}
	return 0, false
}

// take marks a block in use.
func (l *llfree) take(c *llLocal, page, order int) buddy.PFN {
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
func (l *llfree) reserve(c *llLocal, _ llKind, order int) int {
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

// reserveKind looks for a tree of a kind for a CPU: one of the kind that is
// less than half free, but not nearly full; then a nearly full one; then one
// that is half free, or all; then one of a higher kind, which becomes of this
// one.
func (l *llfree) reserveKind(c *llLocal, kind llKind, order int) int {
	full := llTree << l.areaOrder
	best, rank := -1, 0
	from := max(c.tree, 0)
	for i := range l.trees {
		t := (from + i) % len(l.trees)
		l.counts.Scanned++
		n := l.trees[t]
		if l.taken[t] || n < 1<<order {
			continue
		}
		r := 0
		switch k := l.kind[t]; {
		case k == kind && n < full/2 && n >= full/64:
			r = 5
		case k == kind && n < full/64:
			r = 4
		case k == kind:
			r = 3
		case k == llAny:
			r = 2
		case k > kind:
			r = 1
		}
		if r > rank && l.inTree(t, t*llTree, order) >= 0 {
			best, rank = t, r
		}
		if rank == 5 {
			break
		}
	}
	if best < 0 {
		return -1
	}
	l.kind[best] = kind
	l.setTree(c, best)
	return l.inTree(best, best*llTree, order)
}

func (l *llfree) setTree(c *llLocal, t int) {
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
	c.frees++
	if l.full(t) && !l.taken[t] {
		l.kind[t] = llAny
	}
	kind := llUnmovable
	if l.apart {
		kind = l.kind[t]
	}
	if kind != llAny && c.frees >= llTakeOver && c.local[kind].tree != t && !l.taken[t] {
		l.counts.Locks++
		l.setTree(&c.local[kind], t)
	}
}
