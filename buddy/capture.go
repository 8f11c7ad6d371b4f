package buddy

// capture is what a request that compacts waits for: struct capture_control.
type capture struct {
	// open: the slow path is in [Pressure.DirectCompact]; armed: it compacts the zone.
	open, armed, got bool
	zone, order      uint8
	// mt is the type of the request.
	mt  MigrateType
	pfn uint32
}

// BeginCapture lets a request that is in [Pressure.DirectCompact] have the first block
// of its order that forms in a zone as pages are freed, before anybody else sees it.
// Anywhere else it does nothing. (The kernel lets no kernel thread capture; a request
// does not tell who makes it.)
func (a *Allocator) BeginCapture(zone int) {
	if c := &a.capture; c.open && !c.got && uint(zone) < uint(len(a.zones)) {
		c.armed, c.zone = true, uint8(zone)
	}
}

// EndCapture ends what BeginCapture began. The slow path takes the block.
func (a *Allocator) EndCapture() { a.capture.armed = false }

// Captured says whether the request has got its block.
func (a *Allocator) Captured() bool { return a.capture.got }

// captured takes a block that is being freed for the request that compacts, if it may
// have it: compaction_capture. CMA and isolated blocks stay where they are, and parts of
// movable pageblocks; since 6.10 a movable request may have those.
func (a *Allocator) captured(z *Zone, cpu CPU, pfn uint32, order int, mt MigrateType) bool {
	c := &a.capture
	switch {
	case c.zone != z.index, int(c.order) != order, mt == CMA, mt == Isolate:
		return false
	case order < a.pageblockOrder && mt == Movable && !(a.profile.ExactTypes && c.mt == Movable):
		return false
	}
	a.account(z, cpu, -1<<order, mt)
	c.armed, c.got, c.pfn = false, true, pfn
	p := a.page(pfn)
	p.state, p.order, p.mt, p.zone, p.info = pageIsolated, uint8(order), mt, z.index, 0
	return true
}

// compact is __alloc_pages_direct_compact.
func (a *Allocator) compact(s *slow, prio CompactPriority) (pfn uint32, ok bool) {
	if s.order == 0 || a.pressure.DirectCompact == nil {
		return nilPFN, false
	}
	outer := a.capture
	a.capture = capture{open: true, order: uint8(s.order), mt: s.ac.mt}
	s.result = a.pressure.DirectCompact(s.request, prio)
	c := a.capture
	a.capture = outer
	if c.got {
		p := a.page(c.pfn)
		p.state, p.info = pageAllocated, 0
		if s.gfp&GFPMovable != 0 {
			p.info = infoMovable
		}
		pfn, ok, s.result = c.pfn, true, CompactSuccess
	}
	if s.result == CompactSkipped {
		return nilPFN, false
	}
	if !ok {
		pfn, ok = a.fromFreelist(s.gfp, s.order, s.flags, s.ac)
	}
	if a.pressure.Compacted != nil {
		zone := -1
		if ok {
			zone = int(a.page(pfn).zone)
		}
		a.pressure.Compacted(s.request, zone)
	}
	return pfn, ok
}
