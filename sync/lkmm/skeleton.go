package lkmm

// skeleton is a path with the relations that it brings into every execution:
// program order fences, dependencies, critical sections. Only events that can
// be part of a cycle are its nodes; fences other than grace periods live on as
// relations between accesses.
//
// Relations are rows by node: bit j of row i says that i is related to j.
type skeleton struct {
	path  *path
	nodes []int32 // index into path.events
	// nodeOf is the node of an event, or -1.
	nodeOf []int32

	mem, read, write, marked, plain nodeSet // classes of nodes
	release, acquire                nodeSet
	noReturn, rmwWrite              nodeSet

	addr, data, ctrl []nodeSet
	strong           []nodeSet // smp_mb and its relatives, grace periods
	wmb, rmb         []nodeSet
	toRelease        []nodeSet // access to a later release
	ordered          []nodeSet // strong, release and acquire: orders reads and writes alike
	fence            []nodeSet // ordered, wmb, rmb
	unlockLock       []nodeSet // an unlock, later a lock of the same thread in between
	compiler         []nodeSet // a compiler barrier in between
	rmbFrom, rmbTo   []nodeSet // read and anything, anything and read, with smp_rmb between
	rmw              []int32   // other half of a read-modify-write, or -1

	afterLock map[int32]nodeSet // lock read -> accesses after it and an smp_mb__after_unlock_lock()
	sections  []section
	gps       nodeSet // grace periods
	flags     []string
}

// nodeSet is a set of nodes of a skeleton.
type nodeSet = bitset

// section is a read-side critical section.
type section struct {
	lock, unlock int32 // nodes
	addr         symID // srcu_struct, or noSym for RCU
}

// skeletonOf derives a path's relations under a model.
func skeletonOf(p *path, m *Model) *skeleton {
	s := &skeleton{path: p, afterLock: map[int32]nodeSet{}}
	s.pickNodes()
	s.classify()
	s.dependencies()
	s.fences(m)
	s.compilerBarriers()
	s.readBarriers()
	s.unlockLockPairs()
	s.criticalSections(m)
	return s
}

// pickNodes chooses the nodes.
func (s *skeleton) pickNodes() {
	s.nodeOf = make([]int32, len(s.path.events))
	for i := range s.path.events {
		s.nodeOf[i] = -1
		if s.path.events[i].isNode() {
			s.nodeOf[i] = int32(len(s.nodes))
			s.nodes = append(s.nodes, int32(i))
		}
	}
}

// isNode says whether an event can be part of a cycle.
func (e *event) isNode() bool {
	switch e.kind {
	case eventNothing:
		return false
	case eventFence:
		return e.isGracePeriod() || e.fence == fenceRcuLock || e.fence == fenceRcuUnlock
	}
	return true
}

// isGracePeriod: synchronize_rcu(), synchronize_srcu(), membarrier().
func (e *event) isGracePeriod() bool {
	return e.kind == eventSyncSrcu || e.isFence(fenceSyncRcu) || e.isFence(fenceMembarrier)
}

func (s *skeleton) event(node int) *event { return &s.path.events[s.nodes[node]] }

func (s *skeleton) classify() {
	s.rmw = make([]int32, len(s.nodes))
	for n := range s.nodes {
		e := s.event(n)
		s.rmw[n] = -1
		if e.isGracePeriod() {
			s.gps.add(n)
		}
		if e.isPlain() {
			s.plain.add(n)
		} else {
			s.marked.add(n)
		}
		if !e.isMemory() {
			continue
		}
		s.mem.add(n)
		if e.kind == eventRead {
			s.read.add(n)
		} else {
			s.write.add(n)
		}
		if e.isAcquire() {
			s.acquire.add(n)
		}
		if e.isRelease() {
			s.release.add(n)
		}
		if e.order == orderNoReturn {
			s.noReturn.add(n)
		}
		if e.kind == eventWrite && e.rmw >= 0 {
			s.rmwWrite.add(n)
		}
	}
}

// dependencies turns the events' dependencies into rows by source.
func (s *skeleton) dependencies() {
	n := len(s.nodes)
	s.addr, s.data, s.ctrl = make([]nodeSet, n), make([]nodeSet, n), make([]nodeSet, n)
	for j := range s.nodes {
		e := s.event(j)
		e.addrDeps.each(func(i int) { s.addr[s.nodeOf[i]].add(j) })
		e.dataDeps.each(func(i int) { s.data[s.nodeOf[i]].add(j) })
		e.ctrlDeps.each(func(i int) { s.ctrl[s.nodeOf[i]].add(j) })
		if e.rmw >= 0 {
			s.rmw[j] = s.nodeOf[e.rmw]
		}
	}
}

// before is the set of nodes before an event of the path, after the set from
// it on.
func (s *skeleton) before(event int) nodeSet {
	var out nodeSet
	for n, i := range s.nodes {
		if int(i) < event {
			out.add(n)
		}
	}
	return out
}

func (s *skeleton) after(event int) nodeSet {
	var out nodeSet
	for n, i := range s.nodes {
		if int(i) > event {
			out.add(n)
		}
	}
	return out
}

func intersect(a, b nodeSet) nodeSet {
	for i := range a {
		a[i] &= b[i]
	}
	return a
}

func minus(a, b nodeSet) nodeSet {
	for i := range a {
		a[i] &^= b[i]
	}
	return a
}

// relate adds all pairs from a set to a set.
func relate(rel []nodeSet, from, to nodeSet) {
	from.each(func(i int) { rel[i] = rel[i].union(to) })
}

// fences computes the fence relations.
func (s *skeleton) fences(m *Model) {
	n := len(s.nodes)
	s.strong, s.wmb, s.rmb = make([]nodeSet, n), make([]nodeSet, n), make([]nodeSet, n)
	s.toRelease, s.ordered, s.fence = make([]nodeSet, n), make([]nodeSet, n), make([]nodeSet, n)
	for i := range s.path.events {
		s.strongFence(i, m)
		if s.path.events[i].isFence(fenceWmb) {
			relate(s.wmb, intersect(s.before(i), s.write), intersect(s.after(i), s.write))
		}
		if s.path.events[i].isFence(fenceRmb) {
			reads := minus(s.read, s.noReturn)
			relate(s.rmb, intersect(s.before(i), reads), intersect(s.after(i), reads))
		}
	}
	for x := range s.nodes {
		later := s.after(int(s.nodes[x]))
		if s.mem.has(x) {
			s.toRelease[x] = intersect(later, s.release)
		}
		s.ordered[x] = s.strong[x].union(s.toRelease[x])
		if s.acquire.has(x) {
			s.ordered[x] = s.ordered[x].union(intersect(later, s.mem))
		}
		s.fence[x] = s.ordered[x].union(s.wmb[x]).union(s.rmb[x])
	}
}

// strongFence adds what event i orders if it is a full barrier of some kind.
func (s *skeleton) strongFence(i int, m *Model) {
	e := &s.path.events[i]
	before, after := s.before(i), s.after(i)
	if e.isGracePeriod() {
		after.add(int(s.nodeOf[i]))
		relate(s.strong, before, after)
		return
	}
	if e.kind != eventFence {
		return
	}
	from, to := intersect(before, s.mem), intersect(after, s.mem)
	switch e.fence {
	case fenceMb:
	case fenceBeforeAtomic:
		to = s.fromFirst(to, i, func(e *event) bool { return e.flags&flagAtomic != 0 })
	case fenceAfterAtomic:
		from = s.upToLast(from, i, func(e *event) bool { return e.flags&flagAtomic != 0 })
	case fenceAfterSpinlock:
		from = s.upToLast(from, i, func(e *event) bool { return e.flags&flagLKW != 0 })
	case fenceAfterSrcuUnlock:
		from = s.upToLast(from, i, func(e *event) bool { return e.flags&flagSrcuUnlock != 0 })
	case fenceAfterUnlockLock:
		from = s.beforeUnlockLock(i)
	default:
		return
	}
	relate(s.strong, from, to)
}

// fromFirst keeps the nodes from the first event after i that is so.
func (s *skeleton) fromFirst(set nodeSet, i int, is func(*event) bool) nodeSet {
	for j := i + 1; j < len(s.path.events); j++ {
		if is(&s.path.events[j]) {
			return intersect(set, s.after(j-1))
		}
	}
	return nodeSet{}
}

// upToLast keeps the nodes up to the last event before i that is so.
func (s *skeleton) upToLast(set nodeSet, i int, is func(*event) bool) nodeSet {
	for j := i - 1; j >= 0; j-- {
		if is(&s.path.events[j]) {
			return intersect(set, s.before(j+1))
		}
	}
	return nodeSet{}
}

// beforeUnlockLock is the set of accesses before an unlock that comes before a
// lock before event i.
func (s *skeleton) beforeUnlockLock(i int) nodeSet {
	lock := s.lastBefore(i, flagLKR)
	if lock < 0 {
		return nodeSet{}
	}
	unlock := s.lastBefore(lock, flagUL)
	if unlock < 0 {
		return nodeSet{}
	}
	return intersect(s.before(unlock), s.mem)
}

func (s *skeleton) lastBefore(i int, flag eventFlags) int {
	for i--; i >= 0 && s.path.events[i].flags&flag == 0; i-- {
	}
	return i
}

// unlockLockPairs relates what comes before an unlock to what comes after a
// later lock, and notes what an smp_mb__after_unlock_lock() orders after locks.
func (s *skeleton) unlockLockPairs() {
	s.unlockLock = make([]nodeSet, len(s.nodes))
	for i := range s.path.events {
		if s.path.events[i].flags&flagLKR == 0 {
			continue
		}
		if u := s.lastBefore(i, flagUL); u >= 0 {
			relate(s.unlockLock, s.before(u), s.after(i))
		}
		for j := i + 1; j < len(s.path.events); j++ {
			if s.path.events[j].isFence(fenceAfterUnlockLock) {
				s.afterLock[s.nodeOf[i]] = intersect(s.after(j), s.mem)
				break
			}
		}
	}
}

// compilerBarriers relates nodes that have a compiler barrier between them.
func (s *skeleton) compilerBarriers() {
	s.compiler = make([]nodeSet, len(s.nodes))
	for i := range s.path.events {
		e := &s.path.events[i]
		if !e.isCompilerBarrier() {
			continue
		}
		before, after := s.before(i), s.after(i)
		if e.isRelease() {
			after.add(int(s.nodeOf[i]))
		}
		if e.isAcquire() {
			before.add(int(s.nodeOf[i]))
		}
		relate(s.compiler, before, after)
	}
}

// isCompilerBarrier lists what keeps the compiler from moving accesses.
func (e *event) isCompilerBarrier() bool {
	if e.kind == eventFence {
		switch e.fence {
		case fenceAfterSpinlock, fenceAfterUnlockLock, fenceAfterSrcuUnlock:
			return false
		}
		return true
	}
	srcu := e.kind == eventSyncSrcu || e.kind == eventSrcuLock || e.kind == eventSrcuUnlock
	return srcu || e.flags&flagsSrcu != 0 || e.isAcquire() || e.isRelease()
}

// readBarriers computes smp_rmb()'s bounds of plain reads.
func (s *skeleton) readBarriers() {
	s.rmbFrom, s.rmbTo = make([]nodeSet, len(s.nodes)), make([]nodeSet, len(s.nodes))
	reads := minus(s.read, s.noReturn)
	for i := range s.path.events {
		if s.path.events[i].isFence(fenceRmb) {
			before, after := s.before(i), s.after(i)
			relate(s.rmbFrom, intersect(before, reads), minus(after, s.noReturn))
			relate(s.rmbTo, minus(before, s.noReturn), intersect(after, reads))
		}
	}
}

// criticalSections pairs the markers of RCU, of SRCU where it nests, and the
// gaps that a membarrier waits for.
func (s *skeleton) criticalSections(m *Model) {
	s.matchNested(noSym, func(e *event) (lock, unlock bool) {
		return e.isFence(fenceRcuLock), e.isFence(fenceRcuUnlock)
	}, "rcu")
	for n := range s.nodes {
		if s.event(n).kind == eventGap {
			s.sections = append(s.sections, section{int32(n), int32(n), noSym})
		}
	}
	if !m.SrcuByNesting {
		return
	}
	for _, addr := range s.srcuAddresses() {
		s.matchNested(addr, func(e *event) (lock, unlock bool) {
			return e.kind == eventSrcuLock && e.addr == addr, e.kind == eventSrcuUnlock && e.addr == addr
		}, "srcu")
	}
}

// srcuAddresses lists the srcu_structs that the path's markers name.
func (s *skeleton) srcuAddresses() []symID {
	var out []symID
	seen := map[symID]bool{}
	for n := range s.nodes {
		e := s.event(n)
		if (e.kind == eventSrcuLock || e.kind == eventSrcuUnlock) && !seen[e.addr] {
			seen[e.addr] = true
			out = append(out, e.addr)
		}
	}
	return out
}

// matchNested pairs locks and unlocks like parentheses.
func (s *skeleton) matchNested(addr symID, is func(*event) (lock, unlock bool), what string) {
	var open []int32
	for n := range s.nodes {
		lock, unlock := is(s.event(n))
		switch {
		case lock:
			open = append(open, int32(n))
		case unlock && len(open) == 0:
			s.flags = append(s.flags, "unmatched-"+what+"-unlock")
		case unlock:
			s.sections = append(s.sections, section{open[len(open)-1], int32(n), addr})
			s.checkSleep(open[len(open)-1], int32(n), addr)
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		s.flags = append(s.flags, "unmatched-"+what+"-lock")
	}
}

// checkSleep flags synchronize_srcu() in an RCU critical section.
func (s *skeleton) checkSleep(lock, unlock int32, addr symID) {
	for n := lock + 1; n < unlock && addr == noSym; n++ {
		if s.event(int(n)).kind == eventSyncSrcu {
			s.flags = append(s.flags, "invalid-sleep")
		}
	}
}
