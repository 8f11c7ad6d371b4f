package reclaim

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// control is one reclaim: who, why, how hard (struct scan_control).
type control struct {
	cpu       buddy.CPU
	kswapd    bool
	wanted    uint64
	order     buddy.Order
	highest   buddy.ZoneType
	gfp       buddy.GFP
	priority  int
	writePage bool
	swap      bool
	// deactivate are the kinds of active pages that may become inactive; force:
	// both. skipped: active pages were passed over; ready: compaction can do the rest.
	deactivate            [2]bool
	force, skipped, ready bool

	trim, tiny         bool
	costs              Costs
	scanned, reclaimed uint64
}

// prepare looks at a node before it is scanned (prepare_scan_count).
func (m *Memory) prepare(n *node, id buddy.NodeID, sc *control) {
	sc.costs = n.costs
	for k := range sc.deactivate {
		inactive := List(2 * k)
		sc.deactivate[k] = sc.force || n.refaulted[k] != n.refaults[k] || m.inactiveIsLow(n, inactive)
	}
	sc.trim = n.lists[InactiveFile].n>>sc.priority > 0 && !sc.deactivate[1]
	free, high := uint64(0), uint64(0)
	for i := range m.a.NumZones() {
		if z := m.a.Zone(i); z.Node() == id {
			free += z.FreePages()
			high += z.Watermarks().High + z.WatermarkBoost()
		}
	}
	files := uint64(n.lists[ActiveFile].n + n.lists[InactiveFile].n)
	sc.tiny = files+free <= high && !sc.deactivate[0] && n.lists[InactiveAnon].n>>sc.priority > 0
}

func (m *Memory) inactiveIsLow(n *node, inactive List) bool {
	return InactiveIsLow(int64(n.lists[inactive].n), int64(n.lists[inactive+1].n), 1<<m.a.Config().PageShift)
}

// shrinkNode is shrink_node: a turn over a node's lists and the shrinkers, again
// while a large block may come of it.
func (m *Memory) shrinkNode(id buddy.NodeID, sc *control) {
	n := &m.nodes[id]
	any := false
	for {
		before := sc.reclaimed
		m.prepare(n, id, sc)
		m.shrinkLists(n, sc)
		for _, s := range m.c.Shrinkers {
			m.stats.SlabsFreed += s.Run(uint(sc.priority)).Freed
		}
		got := sc.reclaimed - before
		any = any || got > 0
		if !m.goOn(n, id, got, sc) {
			break
		}
	}
	if any {
		n.kswapd.failures = 0
	}
}

// goOn is should_continue_reclaim: a request of a high order goes on while it gets
// pages, has no block yet, and there are enough pages left for one.
func (m *Memory) goOn(n *node, id buddy.NodeID, got uint64, sc *control) bool {
	if sc.order == 0 || sc.order <= costlyOrder && sc.priority >= DefPriority-2 || got == 0 {
		return false
	}
	for i := range m.a.NumZones() {
		z := m.a.Zone(i)
		if z.Node() == id && z.Type() <= sc.highest && z.Managed() > 0 && m.a.CompactionSuitable(i, sc.request()) != buddy.CompactSkipped {
			return false // there is a block, or enough for compaction to make one
		}
	}
	left := uint64(n.lists[InactiveFile].n)
	if m.canSwap() {
		left += uint64(n.lists[InactiveAnon].n)
	}
	return left > 2<<sc.order
}

// request is what a reclaim is for.
func (sc *control) request() buddy.Request {
	return buddy.Request{CPU: sc.cpu, Node: buddy.NoNode, Order: sc.order, GFP: sc.gfp}
}

// costlyOrder is PAGE_ALLOC_COSTLY_ORDER.
const costlyOrder = 3

// shrinkLists is shrink_lruvec: the lists in turn, in batches, as much of each as
// the balance says. Once enough is reclaimed the rest of the lists is scanned in proportion.
func (m *Memory) shrinkLists(n *node, sc *control) {
	b := Balance{Swappiness: m.c.Swappiness, Priority: uint(sc.priority), Costs: sc.costs, CanSwap: sc.swap && m.canSwap(), FileIsTiny: sc.tiny, CacheTrim: sc.trim}
	var sizes [NumLists]int64
	for l := range sizes {
		sizes[l] = int64(n.lists[l].n)
	}
	left := b.Scan(sizes)
	targets := left
	whole := !sc.kswapd && sc.priority == DefPriority
	got := uint64(0)
	for left[InactiveAnon] > 0 || left[ActiveFile] > 0 || left[InactiveFile] > 0 {
		for l := range left {
			if k := min(left[l], swapClusterMax); k > 0 {
				left[l] -= k
				got += m.shrinkList(n, List(l), uint32(k), sc)
			}
		}
		if got < sc.wanted || whole {
			continue
		}
		if !proportion(&left, &targets) {
			break
		}
		whole = true
	}
	sc.reclaimed += got
	if m.c.Swap != nil && m.inactiveIsLow(n, InactiveAnon) {
		m.shrinkActive(n, ActiveAnon, swapClusterMax, sc)
	}
}

// proportion stops scanning the smaller kind, and of the larger one leaves the share
// that the smaller one had done; false if one kind is done.
func proportion(left, targets *[NumLists]int64) bool {
	anon, files := left[InactiveAnon]+left[ActiveAnon], left[InactiveFile]+left[ActiveFile]
	if anon == 0 || files == 0 {
		return false
	}
	stop, other, rest := InactiveAnon, InactiveFile, anon
	if files <= anon {
		stop, other, rest = InactiveFile, InactiveAnon, files
	}
	percent := rest * 100 / (targets[stop] + targets[stop+1] + 1)
	left[stop], left[stop+1] = 0, 0
	for _, l := range [2]List{other, other + 1} {
		done := targets[l] - left[l]
		left[l] = targets[l] * (100 - percent) / 100
		left[l] -= min(left[l], done)
	}
	return true
}

func (m *Memory) shrinkList(n *node, l List, count uint32, sc *control) uint64 {
	if l == ActiveAnon || l == ActiveFile {
		if sc.deactivate[l/2] {
			m.shrinkActive(n, l, count, sc)
		} else {
			sc.skipped = true
		}
		return 0
	}
	return m.shrinkInactive(n, l, count, sc)
}

// isolate takes pages off the tail of a list (isolate_lru_folios), the oldest first.
// Pages of zones that do not help are passed over.
func (m *Memory) isolate(n *node, l List, count uint32, sc *control) []uint32 {
	m.isolated = m.isolated[:0]
	for from := &n.lists[l]; uint32(len(m.isolated)) < count && from.tail != 0; {
		pfn := from.tail
		p := m.at(pfn)
		m.remove(n, pfn)
		if m.a.Zone(int(p.zone)).Type() > sc.highest {
			m.skipped = append(m.skipped, pfn)
			continue
		}
		m.isolated = append(m.isolated, pfn)
	}
	// They stay at the tail, in their order.
	for _, pfn := range slices.Backward(m.skipped) {
		m.pushTail(n, pfn)
	}
	m.skipped = m.skipped[:0]
	return m.isolated
}

// shrinkActive is shrink_active_list: pages become inactive; only program text that
// was touched stays.
func (m *Memory) shrinkActive(n *node, l List, count uint32, sc *control) {
	m.drain(sc.cpu)
	for _, pfn := range m.isolate(n, l, count, sc) {
		p := m.at(pfn)
		touched := p.flags&young != 0
		p.flags &^= young
		if touched && p.flags&(executable|file) == executable|file {
			m.pushHead(n, pfn)
			continue
		}
		p.flags &^= active
		p.workingset = true
		m.pushHead(n, pfn)
		m.stats.Deactivate++
	}
}

// verdict is what becomes of an inactive page.
type verdict uint8

const (
	keep verdict = iota
	activate
	take
	takeClean
)

// look is folio_check_references.
func (p *page) look() verdict {
	touched, before := p.flags&young != 0, p.flags&referenced != 0
	p.flags &^= young | referenced
	switch {
	case touched:
		p.flags |= referenced
		if before || p.flags&(executable|file) == executable|file {
			return activate
		}
		return keep
	case before && p.flags&file != 0:
		return takeClean
	}
	return take
}

// shrinkInactive is shrink_inactive_list. It says how many pages it took.
func (m *Memory) shrinkInactive(n *node, l List, count uint32, sc *control) (got uint64) {
	m.drain(sc.cpu)
	pages := m.isolate(n, l, count, sc)
	m.freed = m.freed[:0]
	kept, written := pages[:0], int64(0)
	for _, pfn := range pages {
		p := m.at(pfn)
		v := m.judge(p, sc)
		if v == take {
			m.freed = append(m.freed, pfn)
			continue
		}
		if v == activate {
			p.flags |= active
			m.stats.Activate++
			n.clock.Advance(1)
		}
		if p.flags&writeback != 0 {
			written++
		}
		kept = append(kept, pfn)
	}
	scanned := uint64(len(pages))
	got = uint64(len(m.freed))
	m.account(l >= InactiveFile, sc.kswapd, scanned, got)
	sc.scanned += scanned
	m.evict(n, sc.cpu)
	for _, pfn := range kept {
		m.pushHead(n, pfn)
	}
	n.costs.Note(l >= InactiveFile, written, m.total(n))
	m.finishWrites(n, kept)
	return got
}

// judge is what shrink_folio_list does with a page.
func (m *Memory) judge(p *page, sc *control) verdict {
	v := p.look()
	if v == keep || v == activate {
		return v
	}
	if p.flags&file == 0 && p.slot == 0 {
		if sc.gfp&buddy.GFPIO == 0 {
			return keep
		}
		slot, err := m.swapSlot()
		if err != nil {
			return activate
		}
		p.slot = slot
		p.flags |= dirty
	}
	if p.flags&dirty != 0 {
		switch {
		case p.flags&file != 0:
			// Only the flusher writes files; the page goes once that is done.
			p.rotate = true
			return activate
		case v == takeClean || !sc.writePage:
			return keep
		}
		p.flags = p.flags&^dirty | writeback
		p.rotate = true
		m.stats.SwapOut++
		return keep
	}
	return take
}

func (m *Memory) swapSlot() (uint32, error) {
	if m.c.Swap == nil {
		return 0, &SwapError{"ENOSPC", "no swap", 0}
	}
	return m.c.Swap.Alloc()
}

// account counts a batch.
func (m *Memory) account(file, byKswapd bool, scanned, got uint64) {
	scan, steal := &m.stats.ScanDirect, &m.stats.StealDirect
	if byKswapd {
		scan, steal = &m.stats.ScanKswapd, &m.stats.StealKswapd
	}
	*scan += scanned
	*steal += got
	scan, steal = &m.stats.ScanAnon, &m.stats.StealAnon
	if file {
		scan, steal = &m.stats.ScanFile, &m.stats.StealFile
	}
	*scan += scanned
	*steal += got
}

// evict gives the taken pages back to the allocator, as a list of pages is freed.
func (m *Memory) evict(n *node, cpu buddy.CPU) {
	for _, pfn := range m.freed {
		p := m.at(pfn)
		e := Eviction{PFN: buddy.PFN(pfn), File: p.flags&file != 0, Slot: p.slot, Shadow: n.clock.Evict(1, p.workingset)}
		*p = page{}
		if m.c.Evicted != nil {
			m.c.Evicted(e)
		}
		_ = m.a.PrepareFree(cpu, e.PFN, 0) // it is ours
	}
	for _, pfn := range m.freed {
		_ = m.a.CommitFree(cpu, buddy.PFN(pfn))
	}
}

// finishWrites ends the writing of a batch: the device is as fast as the scan. What
// was written for reclaim goes to the tail, to be taken next (folio_rotate_reclaimable).
func (m *Memory) finishWrites(n *node, pages []uint32) {
	for _, pfn := range pages {
		p := m.at(pfn)
		if p.flags&writeback == 0 {
			continue
		}
		p.flags &^= writeback
		if p.rotate && p.flags&(active|onList) == onList {
			m.remove(n, pfn)
			m.pushTail(n, pfn)
		}
		p.rotate = false
	}
}

// Written notes that the flusher has written a page of a file, of which reclaim may
// have asked for it: then it is the next one to go.
func (m *Memory) Written(pfn buddy.PFN) error {
	p, err := m.used(pfn)
	if err != nil {
		return err
	}
	p.flags &^= dirty
	if p.rotate && p.flags&onList != 0 {
		n := m.nodeOf(p)
		m.remove(n, uint32(pfn))
		p.flags &^= active
		m.pushTail(n, uint32(pfn))
	}
	p.rotate = false
	return nil
}
