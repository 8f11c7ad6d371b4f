package slab

import (
	"errors"
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// PageSource is where slabs and large requests get their pages.
type PageSource interface {
	// AllocPages gives a block of 2^order pages. node is where it should come
	// from, buddy.NoNode for the CPU's own.
	AllocPages(gfp buddy.GFP, order buddy.Order, node buddy.NodeID, cpu buddy.CPU) (buddy.PFN, error)
	// FreePages gives a block back.
	FreePages(pfn buddy.PFN, order buddy.Order, cpu buddy.CPU) error
	// PageNode is the NUMA node that a page is on.
	PageNode(pfn buddy.PFN) buddy.NodeID
}

// BuddyPages is the page allocator as a [PageSource].
type BuddyPages struct{ A *buddy.Allocator }

// AllocPages implements [PageSource].
func (b BuddyPages) AllocPages(gfp buddy.GFP, order buddy.Order, node buddy.NodeID, cpu buddy.CPU) (buddy.PFN, error) {
	return b.A.Alloc(buddy.Request{CPU: cpu, Node: node, GFP: gfp, Order: order})
}

// FreePages implements [PageSource].
func (b BuddyPages) FreePages(pfn buddy.PFN, order buddy.Order, cpu buddy.CPU) error {
	return b.A.Free(cpu, pfn, order)
}

// PageNode implements [PageSource].
func (b BuddyPages) PageNode(pfn buddy.PFN) buddy.NodeID {
	for i := range b.A.NumZones() {
		if z := b.A.Zone(i); pfn >= z.StartPFN() && pfn < z.EndPFN() {
			return z.Node()
		}
	}
	return 0
}

// LinearPages is a plain [PageSource] of one range of page frames a node: it
// gives the block that was freed last of its order, else the next ones. It
// never splits or joins blocks. For experiments that are not about pages.
type LinearPages struct {
	// CPUNode is the node of each CPU, for requests that name none; empty puts
	// all on node 0.
	CPUNode []buddy.NodeID
	nodes   []linearNode
	// InUse is how many pages are given out now, MaxInUse the most there were.
	InUse, MaxInUse uint64
}

type linearNode struct {
	first buddy.PFN
	limit uint64
	// out has, for each page up to the last one given out, the order plus one
	// of the block in use that begins there, else 0.
	out  []int8
	free [buddy.MaxOrders][]buddy.PFN
}

// ErrNoPages is what a [LinearPages] returns when it is used up.
var ErrNoPages = errors.New("slab: no more pages")

const linearNodeShift = 20

// NewLinearPages makes a source of so many pages a node, at most 1<<20, which
// are frames 1<<20 and on for node 0, 2<<20 and on for node 1 and so forth.
func NewLinearPages(nodes int, pages uint64) *LinearPages {
	l := &LinearPages{nodes: make([]linearNode, max(nodes, 1))}
	for i := range l.nodes {
		l.nodes[i] = linearNode{first: buddy.PFN(i+1) << linearNodeShift, limit: min(pages, 1<<linearNodeShift)}
	}
	return l
}

// AllocPages implements [PageSource].
func (l *LinearPages) AllocPages(_ buddy.GFP, order buddy.Order, node buddy.NodeID, cpu buddy.CPU) (buddy.PFN, error) {
	if node == buddy.NoNode && cpu >= 0 && int(cpu) < len(l.CPUNode) {
		node = l.CPUNode[cpu]
	}
	if order < 0 || order >= buddy.MaxOrders || int(node) >= len(l.nodes) {
		return 0, fmt.Errorf("slab: linear pages: order %d on node %d: out of range", order, node)
	}
	n, size := &l.nodes[max(node, 0)], uint64(1)<<order
	var pfn buddy.PFN
	if f := n.free[order]; len(f) > 0 {
		n.free[order], pfn = f[:len(f)-1], f[len(f)-1]
	} else {
		at := (uint64(len(n.out)) + size - 1) &^ (size - 1)
		if at+size > n.limit {
			return 0, ErrNoPages
		}
		for uint64(len(n.out)) < at+size {
			n.out = append(n.out, 0)
		}
		pfn = n.first + buddy.PFN(at)
	}
	n.out[pfn-n.first] = int8(order) + 1
	l.InUse += size
	l.MaxInUse = max(l.MaxInUse, l.InUse)
	return pfn, nil
}

// FreePages implements [PageSource].
func (l *LinearPages) FreePages(pfn buddy.PFN, order buddy.Order, _ buddy.CPU) error {
	n := &l.nodes[min(max(int(pfn>>linearNodeShift)-1, 0), len(l.nodes)-1)]
	if pfn < n.first || uint64(pfn-n.first) >= uint64(len(n.out)) || n.out[pfn-n.first] != int8(order)+1 {
		return fmt.Errorf("slab: linear pages: no block of order %d in use at page frame %d", order, pfn)
	}
	n.out[pfn-n.first] = 0
	n.free[order] = append(n.free[order], pfn)
	l.InUse -= 1 << order
	return nil
}

// PageNode implements [PageSource].
func (l *LinearPages) PageNode(pfn buddy.PFN) buddy.NodeID {
	return buddy.NodeID(max(int(pfn>>linearNodeShift)-1, 0))
}
