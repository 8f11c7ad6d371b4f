package buddy

import "fmt"

// InvariantError is a broken invariant, found by [Allocator.Check].
type InvariantError struct {
	// Zone is the zone's index.
	Zone int
	// Reason says what does not fit.
	Reason string
}

func (e *InvariantError) Error() string { return fmt.Sprintf("buddy: zone %d: %s", e.Zone, e.Reason) }

// Check proves the allocator's invariants: no page is in two blocks, lists are
// well linked and hold what they should, counts equal lists, no two free
// buddies smaller than a pageblock are left unmerged. It takes time in
// proportion to the memory in use and changes nothing.
func (a *Allocator) Check() error {
	for i := range a.zones {
		if err := a.checkZone(&a.zones[i]); err != nil {
			return err
		}
	}
	return a.checkOverlap()
}

func (a *Allocator) checkZone(z *Zone) error {
	bad := func(format string, args ...any) error {
		return &InvariantError{Zone: int(z.index), Reason: fmt.Sprintf(format, args...)}
	}
	var free, cma, highatomic int64
	for o := range z.free {
		blocks := uint64(0)
		for t := range z.free[o].lists {
			l := &z.free[o].lists[t]
			if err := a.checkFreeList(z, l, o, MigrateType(t), bad); err != nil {
				return err
			}
			if has := z.nonEmpty[t]>>o&1 != 0; has != (l.n > 0) {
				return bad("order %d %v has %d blocks, its bit says %v", o, MigrateType(t), l.n, has)
			}
			blocks += uint64(l.n)
			pages := int64(l.n) << o
			switch MigrateType(t) {
			case Isolate:
				continue
			case CMA:
				cma += pages
			case HighAtomic:
				highatomic += pages
			}
			free += pages
		}
		if blocks != z.free[o].nrFree {
			return bad("order %d: nr_free %d, lists have %d", o, z.free[o].nrFree, blocks)
		}
	}
	if got := z.freePages + sumDiffs(z, func(c *pcp) int64 { return c.freeDiff }); got != free {
		return bad("counted %d free pages, lists have %d", got, free)
	}
	if a.profile.ExactTypes {
		if got := z.freeCMA + sumDiffs(z, func(c *pcp) int64 { return c.cmaDiff }); got != cma {
			return bad("counted %d free CMA pages, lists have %d", got, cma)
		}
		if z.freeHighatomic != highatomic {
			return bad("counted %d free highatomic pages, lists have %d", z.freeHighatomic, highatomic)
		}
	}
	isolated := 0
	for b, t := range a.blockTypes {
		if a.blockZone[b] == z.index && MigrateType(t) == Isolate {
			isolated++
		}
	}
	if isolated != z.isolatedBlocks {
		return bad("counted %d isolated pageblocks, there are %d", z.isolatedBlocks, isolated)
	}
	return a.checkPCPs(z, bad)
}

func sumDiffs(z *Zone, f func(*pcp) int64) int64 {
	n := int64(0)
	for i := range z.pcp {
		n += f(&z.pcp[i])
	}
	return n
}

func (a *Allocator) checkFreeList(z *Zone, l *list, o int, mt MigrateType, bad func(string, ...any) error) error {
	return a.walk(l, bad, func(pfn uint32, p *page) error {
		switch {
		case p.state != pageBuddy || int(p.order) != o || p.mt != mt || p.zone != z.index:
			return bad("PFN %d on list order %d %v is %v order %d %v zone %d", pfn, o, mt, p.state, p.order, p.mt, p.zone)
		case pfn&(1<<o-1) != 0:
			return bad("PFN %d on list order %d is misaligned", pfn, o)
		case a.profile.ExactTypes && !a.groupingDisabled && a.blockType(pfn) != mt:
			return bad("PFN %d on list order %d %v is in a %v pageblock", pfn, o, mt, a.blockType(pfn))
		case (a.blockType(pfn) == Isolate) != (mt == Isolate):
			return bad("PFN %d on list order %d %v is in a %v pageblock", pfn, o, mt, a.blockType(pfn))
		}
		if o < a.pageblockOrder && o < a.maxOrder-1 {
			if b := a.peek(pfn ^ 1<<o); b.state == pageBuddy && int(b.order) == o && b.zone == z.index {
				return bad("PFN %d and its buddy %d are both free at order %d", pfn, pfn^1<<o, o)
			}
		}
		return nil
	})
}

func (a *Allocator) checkPCPs(z *Zone, bad func(string, ...any) error) error {
	for cpu := range z.pcp {
		c := &z.pcp[cpu]
		pages := 0
		for i := range c.lists {
			order := a.pindexOrder(i)
			for k := range c.lists[i].n {
				pfn := c.lists[i].at(k)
				p := a.peek(pfn)
				if p.state != pagePCP || int(p.order) != order || p.zone != z.index {
					return bad("PFN %d on cpu %d list %d is %v order %d zone %d", pfn, cpu, i, p.state, p.order, p.zone)
				}
			}
			pages += int(c.lists[i].n) << order
		}
		if pages != c.count {
			return bad("cpu %d counts %d pages, its lists have %d", cpu, c.count, pages)
		}
	}
	return nil
}

// walk visits a list and checks its links.
func (a *Allocator) walk(l *list, bad func(string, ...any) error, visit func(pfn uint32, p *page) error) error {
	prev, n := nilPFN, uint32(0)
	for pfn := l.head; pfn != nilPFN; n++ {
		if n > l.n {
			return bad("a list is longer than its count %d", l.n)
		}
		p := a.head(pfn)
		if p.prev != prev {
			return bad("PFN %d has the back link %d, want %d", pfn, p.prev, prev)
		}
		if err := visit(pfn, p); err != nil {
			return err
		}
		prev, pfn = pfn, p.next
	}
	if prev != l.tail || n != l.n {
		return bad("a list ends at %d with %d blocks, want %d with %d", prev, n, l.tail, l.n)
	}
	return nil
}
