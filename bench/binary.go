package bench

import "github.com/kernsim/kernsim/buddy"

// binaryBuddy is the classic binary buddy system (Knowlton 1965; Knuth, The Art
// of Computer Programming 1, 2.5, algorithms R and S): a list of free blocks
// for each order, one lock, no migrate types, no per-CPU lists.
type binaryBuddy struct {
	arena
	// order[page] is the order of the free block that starts there, or -1.
	order []int8
	lists []blockList
	sort  bool
}

// BinaryBuddy makes the classic binary buddy system; ordered takes the free
// block with the lowest address instead of the last one freed.
func BinaryBuddy(ordered bool) func() Strategy {
	return func() Strategy { return &binaryBuddy{sort: ordered} }
}

func (b *binaryBuddy) Start(m *Machine) error {
	b.arena = newArena(m)
	b.order = make([]int8, b.pages)
	for i := range b.order {
		b.order[i] = -1
	}
	b.lists = make([]blockList, b.orders)
	for o := range b.lists {
		b.lists[o].init(b.pages>>o+1, b.sort)
	}
	b.start(m, func(from, to int) { eachAligned(from, to, b.orders, b.put) })
	return nil
}

func (b *binaryBuddy) Alloc(r Request) (buddy.PFN, bool) {
	b.counts.Locks++
	want := int(r.Order)
	for o := want; o < b.orders; o++ {
		b.counts.Scanned++
		i := b.lists[o].first()
		if i < 0 {
			continue
		}
		page := i << o
		b.take(page, o)
		for o > want {
			o--
			b.counts.Splits++
			b.hold(page+1<<o, o)
		}
		return b.pfn(page), true
	}
	return 0, false
}

func (b *binaryBuddy) take(page, o int) {
	b.counts.LockWork++
	b.lists[o].remove(page >> o)
	b.order[page] = -1
}

func (b *binaryBuddy) hold(page, o int) {
	b.counts.LockWork++
	b.lists[o].push(page >> o)
	b.order[page] = int8(o)
}

func (b *binaryBuddy) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	b.counts.Locks++
	b.put(b.page(pfn), int(order))
}

// put frees a block and joins it with its buddies.
func (b *binaryBuddy) put(page, o int) {
	for ; o+1 < b.orders; o++ {
		other := page ^ 1<<o
		if other >= b.pages || b.order[other] != int8(o) {
			break
		}
		b.take(other, o)
		b.counts.Merges++
		page &^= 1 << o
	}
	b.hold(page, o)
}

// blockList is the free blocks of one order, by number: the last one freed
// first, or the lowest first.
type blockList struct {
	// next and prev link the list, head is its first; -1 ends it.
	next, prev []int32
	head       int32
	// sorted has a bit for each block, if the lowest comes first.
	sorted bitTree
}

func (l *blockList) init(n int, ordered bool) {
	l.head = -1
	if ordered {
		l.sorted = newBitTree(n)
		return
	}
	l.next, l.prev = make([]int32, n), make([]int32, n)
}

func (l *blockList) first() int {
	if l.sorted != nil {
		return l.sorted.first()
	}
	return int(l.head)
}

func (l *blockList) push(i int) {
	if l.sorted != nil {
		l.sorted.set(i)
		return
	}
	l.next[i], l.prev[i] = l.head, -1
	if l.head >= 0 {
		l.prev[l.head] = int32(i)
	}
	l.head = int32(i)
}

func (l *blockList) remove(i int) {
	if l.sorted != nil {
		l.sorted.clear(i)
		return
	}
	if p := l.prev[i]; p >= 0 {
		l.next[p] = l.next[i]
	} else {
		l.head = l.next[i]
	}
	if n := l.next[i]; n >= 0 {
		l.prev[n] = l.prev[i]
	}
}
