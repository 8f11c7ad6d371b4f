package reclaim

import "github.com/kernsim/kernsim/buddy"

// maxFailures is after how many runs without a page kswapd gives a node up
// (MAX_RECLAIM_RETRIES).
const maxFailures = 16

// wake is wakeup_kswapd. Where kswapd has nothing to do, compaction may still help a
// request that cannot compact by itself.
func (m *Memory) wake(id buddy.NodeID, order buddy.Order, highest buddy.ZoneType, gfp buddy.GFP) {
	k := &m.nodes[id].kswapd
	k.order, k.highest = max(k.order, order), max(k.highest, highest)
	if k.running || k.wanted {
		return
	}
	if k.failures >= maxFailures || m.a.Balanced(id, order, highest) && !m.a.Boosted(id, highest) {
		if gfp&buddy.GFPDirectReclaim == 0 {
			m.wakeKcompactd(id, order, highest)
		}
		return
	}
	if k.wanted = true; !m.c.KswapdLater {
		m.Kswapd(0, id)
	}
}

// Wanted says whether a node's kswapd was woken and has not run yet.
func (m *Memory) Wanted(id buddy.NodeID) bool {
	return id >= 0 && int(id) < len(m.nodes) && m.nodes[id].kswapd.wanted
}

// Kswapd lets a node's kswapd do its work on a CPU, if it was woken
// (balance_pgdat).
func (m *Memory) Kswapd(cpu buddy.CPU, id buddy.NodeID) {
	if !m.Wanted(id) || cpu < 0 || int(cpu) >= len(m.batches) {
		return
	}
	k := &m.nodes[id].kswapd
	order, highest := k.order, k.highest
	*k = kswapd{running: true, failures: k.failures}
	m.stats.PageOutRun++
	m.a.SetPressureThresholds(id, true)
	m.a.SetReclaimActive(id, true)
	boosts, boosted := m.boosts(id, highest)
	left := m.balance(cpu, id, order, highest, boosted)
	m.a.SetReclaimActive(id, false)
	for i, b := range boosts {
		have := m.a.Zone(i).WatermarkBoost()
		m.a.SetBoost(i, have-min(have, b))
	}
	m.a.SetPressureThresholds(id, false)
	m.snapshot(&m.nodes[id])
	k.running = false
	if boosted > 0 {
		m.wakeKcompactd(id, buddy.Order(m.a.Config().PageblockOrder), highest)
	}
	// It can sleep (prepare_kswapd_sleep).
	if k.failures >= maxFailures || m.a.Balanced(id, left, highest) {
		if m.c.KswapdSleeps != nil {
			m.c.KswapdSleeps(id)
		}
		m.wakeKcompactd(id, order, highest)
	}
}

// wakeKcompactd asks kcompactd for blocks of an order.
func (m *Memory) wakeKcompactd(id buddy.NodeID, order buddy.Order, highest buddy.ZoneType) {
	if m.c.WakeKcompactd != nil && order > 0 {
		m.c.WakeKcompactd(id, order, highest)
	}
}

// boosts are the watermark boosts of a node's zones, and their sum.
func (m *Memory) boosts(id buddy.NodeID, highest buddy.ZoneType) (by []uint64, sum uint64) {
	by = make([]uint64, m.a.NumZones())
	for i := range by {
		if z := m.a.Zone(i); z.Node() == id && z.Type() <= highest {
			by[i] = z.WatermarkBoost()
			sum += by[i]
		}
	}
	return by, sum
}

// balance reclaims until the node is balanced, harder from turn to turn. For boosts
// alone it neither writes nor swaps, and stops when it has taken as many pages. It
// gives the order that it still worked for at the end.
func (m *Memory) balance(cpu buddy.CPU, id buddy.NodeID, order buddy.Order, highest buddy.ZoneType, boost uint64) buddy.Order {
	sc := control{cpu: cpu, kswapd: true, order: order, highest: highest, gfp: buddy.GFPKernel, priority: DefPriority}
	for sc.priority >= 1 {
		before := sc.reclaimed
		balanced := m.a.Balanced(id, sc.order, highest)
		if !balanced && boost > 0 {
			boost, sc.priority = 0, DefPriority
			continue
		}
		if boost == 0 && balanced {
			return sc.order
		}
		raise := boost == 0 || sc.priority != DefPriority-2
		sc.writePage = boost == 0 || sc.priority < DefPriority-2
		sc.swap = boost == 0
		if n := &m.nodes[id]; m.c.Swap != nil && m.inactiveIsLow(n, InactiveAnon) {
			m.shrinkActive(n, ActiveAnon, swapClusterMax, &sc)
		}
		if m.kswapdShrink(id, &sc) {
			raise = false
		}
		got := sc.reclaimed - before
		boost -= min(boost, got)
		if boost > 0 && got == 0 {
			break
		}
		if raise || got == 0 {
			sc.priority--
		}
	}
	if sc.reclaimed == 0 {
		m.nodes[id].kswapd.failures++
	}
	return sc.order
}

// kswapdShrink scans as many pages as the high watermarks have; it says whether
// there were so many (kswapd_shrink_node).
func (m *Memory) kswapdShrink(id buddy.NodeID, sc *control) bool {
	sc.wanted, sc.scanned = 0, 0
	for i := range m.a.NumZones() {
		if z := m.a.Zone(i); z.Node() == id && z.Type() <= sc.highest && z.Managed() > 0 {
			sc.wanted += max(z.Watermarks().High+z.WatermarkBoost(), swapClusterMax)
		}
	}
	m.shrinkNode(id, sc)
	if sc.order > 0 && sc.reclaimed >= 2<<sc.order {
		sc.order = 0
	}
	return sc.scanned >= sc.wanted
}

// snapshot notes the refaults so far, to see whether there are more
// (snapshot_refaults).
func (m *Memory) snapshot(n *node) { n.refaults = n.refaulted }

// direct is try_to_free_pages: at least 32 pages, harder from turn to turn.
func (m *Memory) direct(r buddy.Request) uint64 {
	m.stats.AllocStall++
	sc := control{cpu: r.CPU, order: r.Order, highest: r.GFP.HighestZone(m.types), gfp: r.GFP, writePage: true, swap: true, wanted: swapClusterMax}
	for {
		m.turns(r, &sc)
		switch {
		case sc.reclaimed > 0 || sc.force || !sc.skipped && !sc.ready:
			return sc.reclaimed
		case sc.ready:
			return 1 // compaction is what helps
		}
		sc.force, sc.skipped = true, false
	}
}

// turns is do_try_to_free_pages, from the lightest priority to the hardest.
func (m *Memory) turns(r buddy.Request, sc *control) {
	for sc.priority = DefPriority; sc.priority >= 0; sc.priority-- {
		sc.scanned = 0
		for id := range m.nodes {
			if r.Nodes.Has(buddy.NodeID(id)) && !m.ready(buddy.NodeID(id), sc) {
				m.shrinkNode(buddy.NodeID(id), sc)
			}
		}
		if sc.reclaimed >= sc.wanted || sc.ready {
			break
		}
	}
	for id := range m.nodes {
		m.snapshot(&m.nodes[id])
	}
}

// ready says whether a node has enough free pages for compaction to make a large
// block (compaction_ready).
func (m *Memory) ready(id buddy.NodeID, sc *control) bool {
	if sc.order <= costlyOrder {
		return false
	}
	for i := range m.a.NumZones() {
		z := m.a.Zone(i)
		if z.Node() != id || z.Type() > sc.highest || z.Managed() == 0 {
			continue
		}
		suitable := m.a.CompactionSuitable(i, sc.request())
		if suitable == buddy.CompactSuccess || suitable != buddy.CompactSkipped && m.a.ZoneOK(i, 0, z.Watermarks().High+z.WatermarkBoost()+2<<sc.order, sc.highest) {
			sc.ready = true
			return true
		}
	}
	return false
}

// DropCaches frees what it can of the page cache without writing
// (vm.drop_caches=1). It gives the number of pages.
func (m *Memory) DropCaches(cpu buddy.CPU) int {
	if cpu < 0 || int(cpu) >= len(m.batches) {
		return 0
	}
	for c := range m.batches {
		m.drain(buddy.CPU(c))
	}
	total := 0
	for id := range m.nodes {
		n := &m.nodes[id]
		m.freed = m.freed[:0]
		for _, l := range [2]List{InactiveFile, ActiveFile} {
			for pfn := n.lists[l].tail; pfn != 0; {
				p := m.at(pfn)
				prev := p.prev
				if p.flags&(dirty|writeback|active) == 0 && p.flags&young == 0 {
					m.remove(n, pfn)
					m.freed = append(m.freed, pfn)
				}
				pfn = prev
			}
		}
		total += len(m.freed)
		m.evict(n, cpu)
	}
	return total
}
