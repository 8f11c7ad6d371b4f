package buddy

import "fmt"

// State is what the lists of an allocator hold: the counterpart of a ksnap
// snapshot.
type State struct {
	// Zones are in the order of [Config.Zones].
	Zones []ZoneState
}

// ZoneState is the state of one zone.
type ZoneState struct {
	// Free[order][type] has the first pages of the free blocks, head first.
	Free [MaxOrders][NumMigrateTypes][]PFN
	// PCP has the page lists of each CPU.
	PCP []PCPState
	// Blocks are the pageblocks' types, as runs in address order. Pageblocks in
	// no run are holes without memory; with no runs at all every pageblock of
	// the zone is there and keeps its type.
	Blocks []BlockRun
	Boost  uint64
	// ReservedHighatomic in pages.
	ReservedHighatomic uint64
	// FreePages and FreeCMA are the zone's counters without the CPUs'
	// unfolded differences. If Counted is false, [Allocator.Restore] counts
	// the lists and ignores both and the differences.
	FreePages, FreeCMA int64
	Counted            bool
}

// PCPState is the state of one CPU's page lists of a zone. The tuning fields
// are those of struct per_cpu_pages; a profile uses some of them.
type PCPState struct {
	// Count is the number of pages on the lists; [Allocator.Restore] counts
	// itself.
	Count, High, Batch      int
	HighMin, HighMax        int
	FreeFactor, AllocFactor int
	FreeCount, Expire       int
	// Flags: bit 0 the last free was of order 1 to 3, bit 1 keep up to a batch.
	Flags uint8
	// Lists are numbered as the kernel does: 3*order + type for orders 0 to
	// 3, then the pageblock order not movable, and movable. Head first.
	Lists [numPCPLists][]PFN
	// FreeDiff and CMADiff are the CPU's unfolded counter differences.
	FreeDiff, CMADiff int64
}

// NumPCPLists is the number of lists in a [PCPState].
const NumPCPLists = numPCPLists

// BlockRun is a run of pageblocks of one type, from the block of First on.
type BlockRun struct {
	First PFN
	N     uint64
	Type  MigrateType
}

// State copies the lists out.
func (a *Allocator) State() *State {
	s := &State{Zones: make([]ZoneState, len(a.zones))}
	for i := range a.zones {
		a.zoneState(&a.zones[i], &s.Zones[i])
	}
	return s
}

func (a *Allocator) zoneState(z *Zone, s *ZoneState) {
	for o := range a.maxOrder {
		for t := range z.free[o].lists {
			s.Free[o][t] = a.pfns(&z.free[o].lists[t], o)
		}
	}
	s.PCP = make([]PCPState, len(z.pcp))
	for cpu := range z.pcp {
		c := &z.pcp[cpu]
		p := &s.PCP[cpu]
		*p = PCPState{Count: c.count, High: c.high, Batch: c.batch, HighMin: c.highMin, HighMax: c.highMax,
			FreeFactor: c.freeFactor, AllocFactor: c.allocFactor, FreeCount: c.freeCount, Expire: c.expire,
			Flags: c.flags, FreeDiff: c.freeDiff, CMADiff: c.cmaDiff}
		for i := range c.lists {
			p.Lists[i] = c.lists[i].pfns()
		}
	}
	s.Blocks = a.blockRuns(z)
	s.Boost, s.ReservedHighatomic = z.boost, z.reservedHighatomic
	s.FreePages, s.FreeCMA, s.Counted = z.freePages, z.freeCMA, true
}

func (a *Allocator) pfns(l *list, order int) []PFN {
	if l.n == 0 {
		return nil
	}
	out := make([]PFN, 0, l.n)
	for n := l.head; n != nilPFN; n = a.freePage(n, order).next {
		out = append(out, PFN(n))
	}
	return out
}

func (r *ring) pfns() []PFN {
	if r.n == 0 {
		return nil
	}
	out := make([]PFN, 0, r.n)
	for i := range r.n {
		out = append(out, PFN(r.at(i)))
	}
	return out
}

func (a *Allocator) blockRuns(z *Zone) []BlockRun {
	var out []BlockRun
	last := uint64(z.end-1) >> a.pageblockOrder
	for b := uint64(z.start) >> a.pageblockOrder; b <= last; b++ {
		if a.blockZone[b] != z.index {
			continue
		}
		t := MigrateType(a.blockTypes[b])
		if n := len(out); n > 0 && out[n-1].Type == t && uint64(out[n-1].First)>>a.pageblockOrder+out[n-1].N == b {
			out[n-1].N++
			continue
		}
		out = append(out, BlockRun{First: PFN(b << a.pageblockOrder), N: 1, Type: t})
	}
	return out
}

// StateError is a fault of a [State].
type StateError struct {
	// Zone is the zone's index, Where the list ("free order 3 Movable", "cpu 1
	// list 4").
	Zone  int
	Where string
	PFN   PFN
	// Reason says what is wrong.
	Reason string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("buddy: state of zone %d, %s, PFN %d: %s", e.Zone, e.Where, e.PFN, e.Reason)
}

// Restore fills the lists of an allocator that was just made by [New]. Pages on
// no list count as allocated before the model started (see
// [Allocator.SetAdopt]). Counters and the choice of lists are taken over as they
// are; whether they fit together, [Allocator.Check] tells. After an error the
// allocator is not usable.
func (a *Allocator) Restore(s *State) error {
	if len(s.Zones) != len(a.zones) {
		return &StateError{Where: "zones", Reason: fmt.Sprintf("found %d, want %d", len(s.Zones), len(a.zones))}
	}
	for i := range s.Zones {
		if err := a.restoreZone(&a.zones[i], &s.Zones[i]); err != nil {
			return err
		}
	}
	return a.checkOverlap()
}

func (a *Allocator) restoreZone(z *Zone, s *ZoneState) error {
	if err := a.restoreBlocks(z, s.Blocks); err != nil {
		return err
	}
	var free, cma int64
	for o := range s.Free {
		for t := range s.Free[o] {
			mt := MigrateType(t)
			where := fmt.Sprintf("free order %d %v", o, mt)
			for _, pfn := range s.Free[o][t] {
				if err := a.restorable(z, pfn, o, where); err != nil {
					return err
				}
				a.pushFree(z, uint32(pfn), o, mt, true)
				switch mt {
				case Isolate:
					continue
				case CMA:
					cma += 1 << o
				case HighAtomic:
					z.freeHighatomic += 1 << o
				}
				free += 1 << o
			}
		}
	}
	if len(s.PCP) > len(z.pcp) {
		return &StateError{Zone: int(z.index), Where: "per-CPU lists", Reason: fmt.Sprintf("%d CPUs, the machine has %d", len(s.PCP), len(z.pcp))}
	}
	for cpu := range s.PCP {
		if err := a.restorePCP(z, cpu, &s.PCP[cpu], s.Counted); err != nil {
			return err
		}
	}
	z.freePages, z.freeCMA = free, cma
	if s.Counted {
		z.freePages, z.freeCMA = s.FreePages, s.FreeCMA
	}
	z.boost, z.reservedHighatomic = s.Boost, s.ReservedHighatomic
	return nil
}

func (a *Allocator) restoreBlocks(z *Zone, runs []BlockRun) error {
	if len(runs) == 0 {
		return nil
	}
	start := uint64(z.start) >> a.pageblockOrder
	present := make([]bool, uint64(z.end-1)>>a.pageblockOrder-start+1)
	for _, r := range runs {
		first := uint64(r.First) >> a.pageblockOrder
		if r.Type >= NumMigrateTypes || first > uint64(len(a.blockTypes)) || r.N > uint64(len(a.blockTypes))-first {
			return &StateError{Zone: int(z.index), Where: "pageblocks", PFN: r.First, Reason: "outside of the machine, or unknown type"}
		}
		for b := first; b < first+r.N; b++ {
			if a.blockZone[b] == z.index {
				present[b-start] = true
				a.blockTypes[b] = uint8(r.Type)
			}
		}
	}
	for i, have := range present {
		b := start + uint64(i)
		switch {
		case a.blockZone[b] != z.index:
		case !have:
			a.blockZone[b] = noZone
		case MigrateType(a.blockTypes[b]) == Isolate:
			z.isolatedBlocks++
		}
	}
	return nil
}

// restorable checks that a block can be put on a list.
func (a *Allocator) restorable(z *Zone, pfn PFN, order int, where string) error {
	bad := func(reason string) error {
		return &StateError{Zone: int(z.index), Where: where, PFN: pfn, Reason: reason}
	}
	switch {
	case order >= a.maxOrder:
		return bad("order is not below the machine's number of orders")
	case pfn&(1<<order-1) != 0:
		return bad("not aligned to the order")
	case !z.spans(pfn) || pfn+1<<order > z.end || a.zoneOf(uint64(pfn)) != z:
		return bad("outside of the zone")
	case a.head(uint32(pfn)).state != pageNone:
		return bad("is on a list already")
	}
	return nil
}

func (a *Allocator) restorePCP(z *Zone, cpu int, s *PCPState, counted bool) error {
	c := &z.pcp[cpu]
	c.high, c.batch, c.highMin, c.highMax = s.High, s.Batch, s.HighMin, s.HighMax
	if s.HighMax == 0 {
		c.highMin, c.highMax = s.High, s.High
	}
	c.freeFactor, c.allocFactor = clamp(s.FreeFactor, 0, batchScaleMax), clamp(s.AllocFactor, 0, batchScaleMax)
	c.freeCount, c.expire, c.flags = s.FreeCount, s.Expire, s.Flags
	if counted {
		c.freeDiff, c.cmaDiff = s.FreeDiff, s.CMADiff
	}
	where := fmt.Sprintf("cpu %d", cpu)
	if limit := 1 << 30; min(c.high, c.batch, c.highMin, c.highMax, c.freeCount) < 0 ||
		max(c.high, c.batch, c.highMin, c.highMax, c.freeCount) > limit || c.highMin > c.highMax {
		return &StateError{Zone: int(z.index), Where: where, Reason: "limits out of range"}
	}
	for i, pfns := range s.Lists {
		where := fmt.Sprintf("cpu %d list %d", cpu, i)
		order := a.pindexOrder(i)
		for _, pfn := range pfns {
			if !a.pcpOrder(order) {
				return &StateError{Zone: int(z.index), Where: where, PFN: pfn, Reason: "the profile has no such list"}
			}
			if err := a.restorable(z, pfn, order, where); err != nil {
				return err
			}
			p := a.page(uint32(pfn))
			p.state, p.order, p.zone = pagePCP, uint8(order), z.index
			p.mt = a.restoredType(uint32(pfn), i)
			c.lists[i].pushBack(uint32(pfn))
			c.count += 1 << order
		}
	}
	return nil
}

// restoredType is the type that a page on a per-CPU list will be given back
// to, which a snapshot does not tell: the list's own, unless that is the
// movable one and the pageblock is of a type that shares it.
func (a *Allocator) restoredType(pfn uint32, pindex int) MigrateType {
	bt := a.blockType(pfn)
	listType := MigrateType(pindex % NumPCPTypes)
	if pindex >= numLowLists {
		listType = Movable
		if pindex == numLowLists {
			listType = bt
		}
	}
	if listType == Movable && bt >= NumPCPTypes {
		return bt
	}
	return listType
}

// checkOverlap says whether two blocks share a page. It goes through the
// metadata in address order.
func (a *Allocator) checkOverlap() error {
	end, last := uint64(0), uint32(0)
	visit := func(pfn uint32, p *page) error {
		if p.state == pageNone {
			return nil
		}
		if uint64(pfn) < end {
			q := a.head(last)
			return &StateError{Zone: int(p.zone), Where: "blocks", PFN: PFN(pfn),
				Reason: fmt.Sprintf("lies inside block %d order %d (%v)", last, q.order, q.state)}
		}
		end, last = uint64(pfn)+1<<p.order, pfn
		return nil
	}
	for i := range a.top {
		start := uint32(i) << a.topOrder
		if err := visit(start, &a.top[i]); err != nil {
			return err
		}
		s := a.sections[start>>sectionShift]
		if s == nil {
			continue
		}
		block := s[start&sectionMask:][:1<<a.topOrder]
		for n := range block {
			if block[n].state == pageNone {
				continue
			}
			if err := visit(start+uint32(n), &block[n]); err != nil {
				return err
			}
		}
	}
	return nil
}
