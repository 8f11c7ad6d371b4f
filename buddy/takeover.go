package buddy

// Seize takes a block out of the allocator wherever its pages are free: from a
// per-CPU list or out of a larger free block, whose rest stays free
// (take_page_off_buddy). It becomes an allocated block. A replay uses it to
// take over the kernel's answer after a difference; it is also what memory
// failure handling does to a poisoned page. The error is a [*PageError]; then
// nothing changed.
func (a *Allocator) Seize(pfn PFN, order Order) error {
	if uint(order) >= uint(a.maxOrder) {
		return a.pageError(pfn, order, ErrOrder)
	}
	z := a.zoneOf(uint64(pfn))
	if z == nil || pfn+1<<order > z.end {
		return a.pageError(pfn, order, ErrOutside)
	}
	if pfn&(1<<order-1) != 0 {
		return a.pageError(pfn, order, ErrMisaligned)
	}
	head, p := a.enclosing(uint32(pfn))
	if p == nil || int(p.order) < int(order) {
		return a.pageError(pfn, order, ErrNotFree)
	}
	switch p.state {
	case pageBuddy:
		a.seizeBuddy(z, head, uint32(pfn), int(order))
	case pagePCP:
		if head != uint32(pfn) || p.order != uint8(order) {
			return a.pageError(pfn, order, ErrNotFree)
		}
		a.seizePCP(z, head, int(order))
	default:
		return a.pageError(pfn, order, ErrNotFree)
	}
	p = a.page(uint32(pfn))
	p.state, p.order, p.zone, p.info = pageAllocated, uint8(order), z.index, 0
	return nil
}

// seizeBuddy breaks a free block down around the wanted one
// (break_down_buddy_pages).
func (a *Allocator) seizeBuddy(z *Zone, head, want uint32, order int) {
	p := a.head(head)
	mt, o := p.mt, int(p.order)
	a.removeFree(z, p)
	a.account(z, 0, -1<<order, mt)
	for o > order {
		o--
		upper := head + 1<<o
		if want >= upper {
			a.pushFree(z, head, o, mt, false)
			head = upper
		} else {
			a.pushFree(z, upper, o, mt, false)
		}
	}
}

// seizePCP unlinks a block from whichever per-CPU list of the zone has it.
func (a *Allocator) seizePCP(z *Zone, pfn uint32, order int) {
	for cpu := range z.pcp {
		c := &z.pcp[cpu]
		for i := range c.lists {
			if a.pindexOrder(i) != order || c.lists[i].n == 0 {
				continue
			}
			if c.lists[i].delete(pfn) {
				c.count -= 1 << order
				return
			}
		}
	}
}

// PutPCP makes an allocated block a free one on a CPU's list of a migrate type,
// at its head or tail, without the drain that a free can cause. For replays,
// like [Allocator.Seize].
func (a *Allocator) PutPCP(cpu CPU, pfn PFN, order Order, mt MigrateType, tail bool) error {
	p, z, err := a.freeable(cpu, pfn, order)
	if err != nil {
		return err
	}
	if !a.pcpOrder(int(order)) {
		return a.pageError(pfn, order, ErrOrder)
	}
	if mt >= Isolate {
		return a.pageError(pfn, order, ErrNoList)
	}
	p.state, p.mt, p.info, p.zone = pagePCP, mt, 0, z.index
	c := &z.pcp[cpu]
	l := &c.lists[a.pindex(int(order), pcpType(mt))]
	if tail {
		l.pushBack(uint32(pfn))
	} else {
		l.pushFront(uint32(pfn))
	}
	c.count += 1 << order
	return nil
}

// PutFree makes an allocated block a free one on the zone's lists as type mt,
// merging it. For replays, like [Allocator.Seize].
func (a *Allocator) PutFree(cpu CPU, pfn PFN, order Order, mt MigrateType) error {
	_, z, err := a.freeable(cpu, pfn, order)
	if err != nil {
		return err
	}
	if mt >= NumMigrateTypes {
		return a.pageError(pfn, order, ErrNoList)
	}
	a.page(uint32(pfn)).info = 0
	a.freeOnePage(z, cpu, uint32(pfn), int(order), mt, 0)
	return nil
}

// PeekPCP gives the block that a request would get from the CPU's list of the
// zone it comes to first, without taking it; ok is false if that list is empty
// or the request does not use per-CPU lists.
func (a *Allocator) PeekPCP(r Request) (pfn PFN, pindex int, ok bool) {
	var ac allocContext
	if a.prepare(&r, &ac) != nil || !a.pcpOrder(int(r.Order)) || ac.preferred >= len(ac.zones) || ac.mt >= NumPCPTypes {
		return 0, 0, false
	}
	flags := a.fastFlags(&r, &ac)
	for i := ac.preferred; i < len(ac.zones); i = a.firstAllowed(&ac, i+1) {
		z := &a.zones[ac.zones[i]]
		if !a.watermarkFast(z, int(r.Order), z.mark(flags), ac.reserve, flags, r.GFP) {
			continue
		}
		pi := a.pindex(int(r.Order), ac.mt)
		l := &z.pcp[r.CPU].lists[pi]
		if l.n == 0 {
			return 0, pi, false
		}
		return PFN(l.at(0)), pi, true
	}
	return 0, 0, false
}

// FreePIndex gives the number of the per-CPU list that a free of the block
// would use.
func (a *Allocator) FreePIndex(pfn PFN, order Order) (pindex int, ok bool) {
	mt, ok := a.BlockType(pfn)
	if !ok || mt == Isolate || order < 0 || !a.pcpOrder(int(order)) {
		return 0, false
	}
	return a.pindex(int(order), pcpType(mt)), true
}

// ChooseZone gives the index of the zone that a request would come to first by
// the watermarks, in the first try, at the start of the slow path or with the
// reserves that its task may use, or -1 if none lets it through. It changes nothing and does not look whether the zone
// has a block.
func (a *Allocator) ChooseZone(r Request) int {
	var ac allocContext
	if a.prepare(&r, &ac) != nil {
		return -1
	}
	if r.Task&TaskRetrying == 0 {
		if zone := a.passes(&r, &ac, a.fastFlags(&r, &ac)); zone >= 0 {
			return zone
		}
	}
	flags := a.slowFlags(r.GFP, int(r.Order), &ac)
	if zone := a.passes(&r, &ac, flags); zone >= 0 {
		return zone
	}
	switch reserve := reserveAccess(r.GFP, ac.task); {
	case reserve&allocNoWatermarks != 0 && ac.preferred < len(ac.zones):
		return int(a.zones[ac.zones[ac.preferred]].index)
	case reserve != 0:
		return a.passes(&r, &ac, reserve|flags&(allocKswapd|allocCMA))
	}
	return -1
}

// AllocFrom takes a block for a request from a given zone, whatever its
// watermarks say. For replays, like [Allocator.Seize].
func (a *Allocator) AllocFrom(r Request, zone int) (PFN, error) {
	var ac allocContext
	if err := a.prepare(&r, &ac); err != nil {
		return 0, err
	}
	if zone < 0 || zone >= len(a.zones) || ac.preferred >= len(ac.zones) {
		return 0, &RequestError{Request: r, Reason: "no such zone"}
	}
	flags := a.fastFlags(&r, &ac) &^ allocNoFragment
	pfn, ok := a.rmqueue(&a.zones[zone], int(r.Order), flags, r.GFP, &ac)
	if !ok {
		return 0, &AllocError{Request: r}
	}
	return PFN(pfn), nil
}

// SetBoost sets a zone's watermark boost in pages: kswapd lowers it when it has
// reclaimed as much.
func (a *Allocator) SetBoost(zone int, pages uint64) {
	a.zones[zone].boost = pages
	a.zones[zone].epoch++
}

// WouldDrain says whether freeing a block to a CPU's list of a zone would reach
// the length at which the list is drained, with the zone's reclaim state as
// given.
func (a *Allocator) WouldDrain(zone int, cpu CPU, order Order, reclaimActive bool) bool {
	z := &a.zones[zone]
	was, c := z.reclaimActive, z.pcp[cpu]
	c.count += 1 << order
	z.reclaimActive = reclaimActive
	high, _ := a.limitFreed(z, &c, int(order))
	z.reclaimActive = was
	return c.count >= high
}

// DrainsFirst gives the block that is drained first if freeing a block to a CPU's
// list makes the list too long: the last one of that list. It gives no PFN for a
// block that would not go to a list, or is none that can be freed, and for profiles
// whose drains do not begin with that list.
func (a *Allocator) DrainsFirst(cpu CPU, pfn PFN, order Order) (PFN, bool) {
	z, err := a.zoneFor(cpu, pfn)
	if err != nil || a.profile.FreeBatch == FreeBatchFixed || !a.pcpOrder(int(order)) {
		return 0, false
	}
	p := a.page(uint32(pfn))
	mt := a.blockType(uint32(pfn))
	if p.state == pagePrepared && !a.profile.ExactTypes {
		mt = p.mt
	}
	if mt == Isolate {
		return 0, false
	}
	if l := &z.pcp[cpu].lists[a.pindex(int(order), pcpType(mt))]; l.n > 0 {
		return PFN(l.at(l.n - 1)), true
	}
	return pfn, true
}

// ReclaimActive says whether kswapd balances the zone.
func (z *Zone) ReclaimActive() bool { return z.reclaimActive }
