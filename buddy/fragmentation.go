package buddy

import "fmt"

// fragInfo is how a zone's free memory suits requests of one order: struct
// contig_page_info.
type fragInfo struct {
	// freePages are all free pages, blocks the free blocks they are in;
	// suitable is how many blocks of the order could be cut from them.
	freePages, blocks, suitable uint64
}

// fragInfo counts all migrate types, isolated blocks included, as nr_free does:
// fill_contig_page_info.
func (z *Zone) fragInfo(order Order) fragInfo {
	var f fragInfo
	for o := range z.free {
		n := z.free[o].nrFree
		f.blocks += n
		f.freePages += n << o
		if o >= int(order) {
			f.suitable += n << (o - int(order))
		}
	}
	return f
}

// FragmentationIndex tells why a request of an order would fail in the zone, in
// thousandths: towards 0 for want of memory, towards 1000 because of external
// fragmentation. It is -1000 if the request would find a block, and 0 if
// nothing is free or the order is not one of 0 to [MaxOrders]-1. Where few pages
// are free in a single block it can be below zero, down to -500. The kernel's
// fragmentation_index, which compaction compares with
// sysctl_extfrag_threshold (500).
func (z *Zone) FragmentationIndex(order Order) int {
	if order < 0 || int(order) >= MaxOrders {
		return 0
	}
	f := z.fragInfo(order)
	switch {
	case f.blocks == 0:
		return 0
	case f.suitable > 0:
		return -1000
	}
	return 1000 - int((1000+f.freePages*1000>>order)/f.blocks)
}

// UnusableIndex is how much of the zone's free memory a request of an order
// cannot use because it is in smaller blocks, in thousandths; 1000 if nothing
// is free. The kernel's unusable_free_index.
func (z *Zone) UnusableIndex(order Order) int {
	if order < 0 || int(order) >= MaxOrders {
		return 1000
	}
	f := z.fragInfo(order)
	if f.freePages == 0 {
		return 1000
	}
	return int((f.freePages - f.suitable<<order) * 1000 / f.freePages)
}

// ExternalFragmentation is the share of the zone's free memory in blocks below
// an order, in per cent; 0 if nothing is free. The kernel's extfrag_for_order,
// from which proactive compaction starts.
func (z *Zone) ExternalFragmentation(order Order) int {
	if order < 0 || int(order) >= MaxOrders {
		return 0
	}
	f := z.fragInfo(order)
	if f.freePages == 0 {
		return 0
	}
	return int((f.freePages - f.suitable<<order) * 100 / f.freePages)
}

// ExtfragIndex gives the text of /sys/kernel/debug/extfrag/extfrag_index: each
// zone's [Zone.FragmentationIndex] by order.
func (a *Allocator) ExtfragIndex() string {
	return a.eachPopulated(func(b []byte, z *Zone) []byte {
		return a.indexRow(b, z, "%2d.%03d ", z.FragmentationIndex)
	})
}

// UnusableFreeIndex gives the text of /sys/kernel/debug/extfrag/unusable_index:
// each zone's [Zone.UnusableIndex] by order.
func (a *Allocator) UnusableFreeIndex() string {
	return a.eachPopulated(func(b []byte, z *Zone) []byte {
		return a.indexRow(b, z, "%d.%03d ", z.UnusableIndex)
	})
}

// indexRow prints thousandths as the kernel does, by quotient and remainder: a
// negative index between 0 and -1 comes out as 0.-250.
func (a *Allocator) indexRow(b []byte, z *Zone, format string, index func(Order) int) []byte {
	b = fmt.Appendf(b, "Node %d, zone %8s ", z.node, z.typ)
	for o := range a.maxOrder {
		i := index(Order(o))
		b = fmt.Appendf(b, format, i/1000, i%1000)
	}
	return append(b, '\n')
}

// eachPopulated prints all zones that have memory.
func (a *Allocator) eachPopulated(row func(b []byte, z *Zone) []byte) string {
	var b []byte
	for i := range a.zones {
		if z := &a.zones[i]; z.present > 0 {
			b = row(b, z)
		}
	}
	return string(b)
}
