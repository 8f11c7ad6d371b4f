package reclaim

import "github.com/kernsim/kernsim/buddy"

// pageFlags is the state of a page in use.
type pageFlags uint16

const (
	inUse pageFlags = 1 << iota
	onList
	active
	file       // of the page cache; else anonymous
	referenced // PG_referenced
	young      // touched through a page table since reclaim last looked
	executable // mapped as program text
	dirty
	writeback
)

// page is a page in use, linked into one of its node's lists by page frame
// numbers; 0 ends a list.
type page struct {
	next, prev uint32
	slot       uint32 // of swap, 0 for none
	flags      pageFlags
	zone       uint8
	// rotate: it goes to the tail once it is written (PG_reclaim).
	rotate     bool
	workingset bool
}

// list is an LRU list: pages enter at the head and are taken at the tail.
type list struct{ head, tail, n uint32 }

const (
	sectionShift = 15
	sectionMask  = 1<<sectionShift - 1
)

// at is a page's state, nil if it was never added.
func (m *Memory) at(pfn uint32) *page {
	if s := pfn >> sectionShift; int(s) < len(m.sections) && m.sections[s] != nil {
		return &m.sections[s][pfn&sectionMask]
	}
	return nil
}

// make is a page's state, made if need be.
func (m *Memory) make(pfn uint32) *page {
	s := int(pfn >> sectionShift)
	for s >= len(m.sections) {
		m.sections = append(m.sections, nil)
	}
	if m.sections[s] == nil {
		m.sections[s] = new([1 << sectionShift]page)
	}
	return &m.sections[s][pfn&sectionMask]
}

// listOf is the list that a page belongs on.
func (p *page) listOf() List {
	l := InactiveAnon
	if p.flags&file != 0 {
		l = InactiveFile
	}
	if p.flags&active != 0 {
		l++
	}
	return l
}

func (m *Memory) pushHead(n *node, pfn uint32) {
	p := m.at(pfn)
	l := &n.lists[p.listOf()]
	p.prev, p.next = 0, l.head
	if l.head != 0 {
		m.at(l.head).prev = pfn
	} else {
		l.tail = pfn
	}
	l.head = pfn
	m.count(p, l, 1)
}

func (m *Memory) pushTail(n *node, pfn uint32) {
	p := m.at(pfn)
	l := &n.lists[p.listOf()]
	p.next, p.prev = 0, l.tail
	if l.tail != 0 {
		m.at(l.tail).next = pfn
	} else {
		l.head = pfn
	}
	l.tail = pfn
	m.count(p, l, 1)
}

func (m *Memory) remove(n *node, pfn uint32) {
	p := m.at(pfn)
	l := &n.lists[p.listOf()]
	if p.prev != 0 {
		m.at(p.prev).next = p.next
	} else {
		l.head = p.next
	}
	if p.next != 0 {
		m.at(p.next).prev = p.prev
	} else {
		l.tail = p.prev
	}
	m.count(p, l, ^uint32(0))
	p.next, p.prev = 0, 0
}

// count notes that a page entered (by 1) or left a list.
func (m *Memory) count(p *page, l *list, by uint32) {
	l.n += by
	m.zones[p.zone][p.listOf()] += by
	p.flags ^= onList
}

// nodeOf is a page's node.
func (m *Memory) nodeOf(p *page) *node { return &m.nodes[m.a.Zone(int(p.zone)).Node()] }

// pagevecSize is how many pages a CPU collects before they enter their lists
// (PAGEVEC_SIZE).
const pagevecSize = 15

// batch are the pages that a CPU has added and not put on lists yet.
type batch struct {
	pages [pagevecSize]uint32
	n     int
}

// drain puts a CPU's added pages on their lists (lru_add_drain_cpu).
func (m *Memory) drain(cpu buddy.CPU) {
	b := &m.batches[cpu]
	for _, pfn := range b.pages[:b.n] {
		m.pushHead(m.nodeOf(m.at(pfn)), pfn)
	}
	b.n = 0
}
