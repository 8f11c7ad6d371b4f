package buddy

// CompactPriority says how hard a compaction tries: enum compact_priority. Lower
// is harder.
type CompactPriority uint8

// Compaction priorities.
const (
	CompactSyncFull CompactPriority = iota
	CompactSyncLight
	CompactAsync
)

// CompactResult is how a compaction ended, as far as the slow path asks.
type CompactResult uint8

// Results of a compaction.
const (
	// CompactSkipped: no zone was suitable, or there is no compaction.
	CompactSkipped CompactResult = iota
	// CompactDeferred: it failed recently and is not tried.
	CompactDeferred
	// CompactContinue: it ended without a result yet.
	CompactContinue
	// CompactComplete: whole zones were scanned.
	CompactComplete
	// CompactPartial: parts of zones were scanned.
	CompactPartial
	// CompactContended: it had to stop early.
	CompactContended
	// CompactSuccess: a block of the order should be free now.
	CompactSuccess
)

// Pressure are the parts of memory management that the slow path calls: each
// may be nil, which stands for a kernel without it (reclaim frees nothing,
// compaction is skipped, nobody is killed). They may allocate and free pages of
// the allocator that calls them.
type Pressure struct {
	// WakeKswapd is wakeup_kswapd for a node.
	WakeKswapd func(node NodeID, order Order, highest ZoneType, gfp GFP)
	// DirectReclaim is try_to_free_pages: it returns the number of pages
	// reclaimed.
	DirectReclaim func(r Request) uint64
	// DirectCompact is try_to_compact_pages.
	DirectCompact func(r Request, prio CompactPriority) CompactResult
	// Compacted is told how a request fared after a compaction that was not
	// skipped: which zone it got its block from, or -1.
	Compacted func(r Request, zone int)
	// Reclaimable is zone_reclaimable_pages: what reclaim could still free.
	Reclaimable func(z *Zone) uint64
	// CompactRetry is should_compact_retry; nil never retries. retries counts the
	// successful compactions at this priority.
	CompactRetry func(r Request, result CompactResult, prio CompactPriority, retries int) (CompactPriority, bool)
	// OutOfMemory is out_of_memory: it reports whether a task was killed or
	// is dying.
	OutOfMemory func(r Request) bool
}

// SetPressure installs the hooks that the slow path calls.
func (a *Allocator) SetPressure(p Pressure) { a.pressure = p }

const (
	maxReclaimRetries = 16
	// maxSlowRounds bounds the slow path where the kernel would go round for
	// as long as the OOM killer claims progress.
	maxSlowRounds = 1 << 12
)

// slow is the state of one trip through the slow path.
type slow struct {
	gfp     GFP
	order   int
	flags   allocFlags
	ac      *allocContext
	request Request

	noProgress     int
	compactRetries int
	prio           CompactPriority
	result         CompactResult
}

func (s *slow) costly() bool { return s.order > costlyOrder }

// slowPath is __alloc_pages_slowpath.
func (a *Allocator) slowPath(gfp GFP, order int, ac *allocContext) (uint32, bool) {
	const atomicReclaim = GFPAtomicFlag | GFPDirectReclaim
	if gfp&atomicReclaim == atomicReclaim {
		gfp &^= GFPAtomicFlag
	}
	s := slow{gfp: gfp, order: order, ac: ac, prio: CompactSyncLight,
		request: Request{CPU: ac.cpu, Order: Order(order), GFP: gfp, Nodes: ac.nodes, Task: ac.task, Node: NoNode}}
	s.flags = a.slowFlags(gfp, order, ac)
	a.startOver(ac)
	if ac.preferred == len(ac.zones) {
		return nilPFN, false
	}
	s.request.Node = a.zones[ac.zones[ac.preferred]].node
	a.wakeKswapds(&s)
	if pfn, ok := a.fromFreelist(gfp, order, s.flags, ac); ok {
		return pfn, true
	}
	if pfn, ok, giveUp := a.compactFirst(&s); ok || giveUp {
		return a.noFail(&s, pfn, ok)
	}
	for range maxSlowRounds {
		pfn, ok, again := a.slowRound(&s)
		if ok || !again {
			return a.noFail(&s, pfn, ok)
		}
	}
	return nilPFN, false
}

// slowFlags is gfp_to_alloc_flags.
func (a *Allocator) slowFlags(gfp GFP, order int, ac *allocContext) allocFlags {
	flags := allocWmarkMin | allocCPUSet
	if gfp&GFPHigh != 0 {
		flags |= allocMinReserve
	}
	if gfp&GFPKswapdReclaim != 0 {
		flags |= allocKswapd
	}
	switch {
	case a.profile.HarderReserve:
		flags = a.harderFlags(gfp, flags, ac)
	case gfp&GFPDirectReclaim == 0:
		if gfp&GFPNoMemalloc == 0 {
			flags |= allocNonBlock
			if order > 0 && flags&allocMinReserve != 0 {
				flags |= allocHighAtomic
			}
		}
		if flags&allocMinReserve != 0 {
			flags &^= allocCPUSet
		}
	case ac.task&(TaskRealTime|TaskInterrupt) == TaskRealTime:
		flags |= allocMinReserve
	}
	if ac.mt == Movable {
		flags |= allocCMA
	}
	return flags
}

// harderFlags is the middle of gfp_to_alloc_flags before 6.3, where
// allocNonBlock stands for ALLOC_HARDER.
func (a *Allocator) harderFlags(gfp GFP, flags allocFlags, ac *allocContext) allocFlags {
	switch {
	case gfp&GFPAtomicFlag != 0:
		if gfp&GFPNoMemalloc == 0 {
			flags |= allocNonBlock
		}
		flags &^= allocCPUSet
	case ac.task&(TaskRealTime|TaskInterrupt) == TaskRealTime:
		flags |= allocNonBlock
	}
	return flags
}

// reserveAccess is __gfp_pfmemalloc_flags.
func reserveAccess(gfp GFP, task TaskFlags) allocFlags {
	switch {
	case gfp&GFPNoMemalloc != 0:
		return 0
	case gfp&GFPMemalloc != 0:
		return allocNoWatermarks
	case task&TaskInterrupt != 0:
		return 0
	case task&TaskMemalloc != 0:
		return allocNoWatermarks
	case task&TaskOOMVictim != 0:
		return allocOOM
	}
	return 0
}

// wakeKswapds wakes kswapd of each node in the zonelist: wake_all_kswapds.
func (a *Allocator) wakeKswapds(s *slow) {
	if s.flags&allocKswapd == 0 || a.pressure.WakeKswapd == nil {
		return
	}
	last := NoNode
	for i := a.firstAllowed(s.ac, 0); i < len(s.ac.zones); i = a.firstAllowed(s.ac, i+1) {
		z := &a.zones[s.ac.zones[i]]
		if z.node != last && z.managed > 0 {
			a.pressure.WakeKswapd(z.node, Order(s.order), a.zoneTypes[s.ac.highest], s.gfp)
			last = z.node
		}
	}
}

// compactFirst tries compaction before reclaim for costly orders and for
// blocks that are not movable. giveUp: a costly request that must not retry
// has no chance.
func (a *Allocator) compactFirst(s *slow) (pfn uint32, ok, giveUp bool) {
	if s.gfp&GFPDirectReclaim == 0 || !a.canCompact(s) || s.order == 0 ||
		!s.costly() && s.ac.mt == Movable || reserveAccess(s.gfp, s.ac.task) != 0 {
		return nilPFN, false, false
	}
	if pfn, ok = a.compact(s, CompactAsync); ok {
		return pfn, true, false
	}
	if s.costly() && s.gfp&GFPNoRetry != 0 {
		if s.result <= CompactDeferred || s.gfp&GFPThisNode != 0 {
			return nilPFN, false, true
		}
		s.prio = CompactAsync
	}
	return nilPFN, false, false
}

// canCompact is gfp_compaction_allowed.
func (a *Allocator) canCompact(s *slow) bool {
	return a.pressure.DirectCompact != nil && s.gfp.CompactionAllowed()
}

// slowRound is the slow path from its retry label on. again asks for another
// round.
func (a *Allocator) slowRound(s *slow) (pfn uint32, ok, again bool) {
	a.wakeKswapds(s)
	if reserve := reserveAccess(s.gfp, s.ac.task); reserve != 0 {
		s.flags = reserve | s.flags&(allocKswapd|allocCMA)
		if a.profile.PlainReserves {
			s.flags = reserve
		}
	}
	if s.flags&allocCPUSet == 0 {
		// Policies are ignored.
		s.ac.nodes = 0
		a.startOver(s.ac)
	}
	if pfn, ok = a.fromFreelist(s.gfp, s.order, s.flags, s.ac); ok {
		return pfn, true, false
	}
	if s.gfp&GFPDirectReclaim == 0 || s.ac.task&TaskMemalloc != 0 {
		return nilPFN, false, false
	}
	pfn, ok, progress := a.reclaim(s)
	if ok {
		return pfn, true, false
	}
	if pfn, ok = a.compact(s, s.prio); ok {
		return pfn, true, false
	}
	if s.gfp&GFPNoRetry != 0 || s.costly() && (!a.canCompact(s) || s.gfp&GFPRetryMayFail == 0) {
		return nilPFN, false, false
	}
	if a.reclaimRetry(s, progress) || progress && a.compactRetry(s) {
		return nilPFN, false, true
	}
	return a.mayOOM(s)
}

// reclaim is __alloc_pages_direct_reclaim: after reclaim, try; then give up
// reserves, drain all lists and try once more.
func (a *Allocator) reclaim(s *slow) (pfn uint32, ok, progress bool) {
	if a.pressure.DirectReclaim == nil || a.pressure.DirectReclaim(s.request) == 0 {
		return nilPFN, false, false
	}
	if pfn, ok = a.fromFreelist(s.gfp, s.order, s.flags, s.ac); ok {
		return pfn, true, true
	}
	a.unreserveHighatomic(s.ac, false)
	a.drainAll(s.ac.cpu)
	pfn, ok = a.fromFreelist(s.gfp, s.order, s.flags, s.ac)
	return pfn, ok, true
}

// reclaimRetry is should_reclaim_retry: worth going on while reclaiming
// everything would let the request through.
func (a *Allocator) reclaimRetry(s *slow, progress bool) bool {
	if progress && !s.costly() {
		s.noProgress = 0
	} else {
		s.noProgress++
	}
	if s.noProgress <= maxReclaimRetries && a.pressure.Reclaimable != nil {
		for i := a.firstAllowed(s.ac, 0); i < len(s.ac.zones); i = a.firstAllowed(s.ac, i+1) {
			z := &a.zones[s.ac.zones[i]]
			available := int64(a.pressure.Reclaimable(z) + z.FreePages())
			if a.watermarkOK(z, s.order, z.watermark.Min+z.boost, s.ac.reserve, s.flags, available) {
				return true
			}
		}
	}
	return a.unreserveHighatomic(s.ac, true)
}

func (a *Allocator) compactRetry(s *slow) bool {
	if s.order == 0 || !a.canCompact(s) || a.pressure.CompactRetry == nil {
		return false
	}
	if s.result == CompactSuccess {
		s.compactRetries++
	}
	prio, again := a.pressure.CompactRetry(s.request, s.result, s.prio, s.compactRetries)
	if prio != s.prio {
		s.compactRetries = 0
	}
	s.prio = prio
	return again
}

// mayOOM is __alloc_pages_may_oom and what follows it.
func (a *Allocator) mayOOM(s *slow) (pfn uint32, ok, again bool) {
	pfn, ok = a.fromFreelist(s.gfp&^GFPDirectReclaim, s.order, allocWmarkHigh|allocCPUSet, s.ac)
	if ok {
		return pfn, true, false
	}
	if s.costly() || s.gfp&(GFPRetryMayFail|GFPThisNode) != 0 || a.zoneTypes[s.ac.highest] < ZoneNormal {
		return nilPFN, false, false
	}
	killed := a.pressure.OutOfMemory != nil && a.pressure.OutOfMemory(s.request)
	if s.gfp&GFPNoFail != 0 {
		if pfn, ok = a.fromFreelist(s.gfp, s.order, allocNoWatermarks, s.ac); ok {
			return pfn, true, false
		}
	}
	if !killed {
		return nilPFN, false, false
	}
	if s.ac.task&TaskOOMVictim != 0 && (s.flags&allocOOM != 0 || s.gfp&GFPNoMemalloc != 0) {
		return nilPFN, false, false
	}
	s.noProgress = 0
	return nilPFN, false, true
}

// noFail is the end of the slow path: a __GFP_NOFAIL request may use part of
// the reserves before it fails. (The kernel would then go round for ever; the
// model reports the failure.)
func (a *Allocator) noFail(s *slow, pfn uint32, ok bool) (uint32, bool) {
	if ok || s.gfp&GFPNoFail == 0 || s.gfp&GFPDirectReclaim == 0 {
		return pfn, ok
	}
	return a.fromFreelist(s.gfp, s.order, allocMinReserve, s.ac)
}
