package lkmm

// Special sources of a read.
const (
	rfNone int32 = -2 // not chosen yet
	rfInit int32 = -1 // the initial value
)

// execution is a candidate execution: one path for each thread, and for each
// read the write it reads from (rf) and for each place in memory the order of
// its writes (co). A search fills it in step by step; the relations of the
// model follow from it.
//
// Initial writes are no nodes: nothing comes before them, so they are in no
// cycle.
type execution struct {
	n, w    int
	threads []placedPath
	thread  []int32  // of a node
	events  []*event // of a node
	cell    []int32  // place in memory of an access or srcu marker, or -1
	rmw     []int32  // other half of a read-modify-write, or -1

	mem, read, write, marked, plain, noReturn row
	own                                       relation // nodes of the same thread

	addr, data, ctrl   relation
	strong0, unlock0   relation // thread-local part of strong and unlockLock
	wmb, toRelease     relation
	ordered0, fence0   relation
	compiler           relation
	rmbFrom, rmbTo     relation
	hasPlain, hasLocks bool
	hasRmw, hasCarry   bool

	rf     []int32
	co     relation // transitive; partial during the search
	writes []row    // by cell
}

// placedPath is a thread's path in an execution.
type placedPath struct {
	*skeleton
	domains *pathDomains
	base    int       // its first node
	targets [][]int32 // places that a node's address may name
	allowed []*domain // values that a read must return; nil: any
}

// resize makes room for n nodes over c cells, all empty.
func (x *execution) resize(n, cells int) {
	w := max(1, (n+63)/64)
	x.n, x.w = n, w
	x.thread = x.thread[:0]
	x.events = x.events[:0]
	x.cell, x.rmw, x.rf = resized(x.cell, n), resized(x.rmw, n), resized(x.rf, n)
	for _, r := range x.sets() {
		*r = row(resized([]uint64(*r), w))
	}
	for _, r := range x.relations() {
		r.resize(n, w)
	}
	x.writes = resizedRows(x.writes, cells, w)
}

func (x *execution) sets() []*row {
	return []*row{&x.mem, &x.read, &x.write, &x.marked, &x.plain, &x.noReturn}
}

func (x *execution) relations() []*relation {
	return []*relation{
		&x.own, &x.addr, &x.data, &x.ctrl, &x.strong0, &x.unlock0, &x.wmb, &x.toRelease,
		&x.ordered0, &x.fence0, &x.compiler, &x.rmbFrom, &x.rmbTo, &x.co,
	}
}

// resize empties r and makes it one on n nodes.
func (r *relation) resize(n, w int) {
	r.n, r.w = n, w
	r.bits = resized(r.bits, n*w)
}

// resized is a zeroed slice of length n, in s's memory if that suffices.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func resizedRows(s []row, n, w int) []row {
	for len(s) < n {
		s = append(s, nil)
	}
	for i := range s[:n] {
		s[i] = row(resized([]uint64(s[i]), w))
	}
	return s[:n]
}

// place adds a set of a path's nodes, shifted to the path's first node.
func (r row) place(set nodeSet, base int) {
	word, shift := base>>6, base&63
	for i, x := range set {
		if x == 0 {
			continue
		}
		r[word+i] |= x << shift
		if hi := x >> (64 - shift); shift != 0 && hi != 0 {
			r[word+i+1] |= hi
		}
	}
}

func (r *relation) place(rows []nodeSet, base int) {
	for i, set := range rows {
		if !set.empty() {
			r.row(base+i).place(set, base)
		}
	}
}

// assemble puts the chosen paths together. Places in memory are set later.
func (x *execution) assemble(chosen []placedPath, cells int) {
	n := 0
	for i := range chosen {
		chosen[i].base = n
		n += len(chosen[i].nodes)
	}
	x.resize(n, cells)
	x.threads = chosen
	x.hasPlain, x.hasLocks, x.hasRmw, x.hasCarry = false, false, false, false
	for t := range chosen {
		x.hasPlain = x.hasPlain || !chosen[t].plain.empty()
	}
	for t := range chosen {
		x.assembleThread(t)
	}
}

func (x *execution) assembleThread(t int) {
	p := &x.threads[t]
	var all nodeSet
	for i := range p.nodes {
		all.add(i)
		e := p.event(i)
		x.thread = append(x.thread, int32(t))
		x.events = append(x.events, e)
		node := p.base + i
		x.rf[node], x.cell[node], x.rmw[node] = rfNone, -1, -1
		if p.rmw[i] >= 0 {
			x.rmw[node] = p.rmw[i] + int32(p.base)
			x.hasRmw = true
		}
		x.hasLocks = x.hasLocks || e.flags&flagsLock != 0
	}
	x.mem.place(p.mem, p.base)
	x.read.place(p.read, p.base)
	x.write.place(p.write, p.base)
	x.marked.place(p.marked, p.base)
	x.plain.place(p.plain, p.base)
	x.noReturn.place(p.noReturn, p.base)
	for i := range p.nodes {
		x.own.row(p.base+i).place(all, p.base)
	}
	x.assembleRelations(p)
}

func (x *execution) assembleRelations(p *placedPath) {
	x.addr.place(p.addr, p.base)
	x.data.place(p.data, p.base)
	x.ctrl.place(p.ctrl, p.base)
	x.strong0.place(p.strong, p.base)
	x.unlock0.place(p.unlockLock, p.base)
	x.wmb.place(p.wmb, p.base)
	x.toRelease.place(p.toRelease, p.base)
	x.ordered0.place(p.ordered, p.base)
	x.fence0.place(p.fence, p.base)
	if x.hasPlain {
		x.compiler.place(p.compiler, p.base)
		x.rmbFrom.place(p.rmbFrom, p.base)
		x.rmbTo.place(p.rmbTo, p.base)
	}
	for i := range p.nodes {
		x.hasCarry = x.hasCarry || !p.data[i].empty()
	}
}

// local is a node's path and its number there.
func (x *execution) local(node int) (*placedPath, int) {
	p := &x.threads[x.thread[node]]
	return p, node - p.base
}

// setCell gives an access its place in memory.
func (x *execution) setCell(node int, c int32) {
	x.cell[node] = c
	if x.write.has(node) {
		x.writes[c].add(node)
	}
}

// valueOf is the value that a node reads or writes; ok is false as long as it
// depends on a read without source, or on itself.
func (x *execution) valueOf(node int, cs *cells) (v Value, ok bool) {
	return x.nodeValue(node, cs, x.n+1)
}

// nodeValue follows at most depth reads: more than there are means a value
// out of thin air.
func (x *execution) nodeValue(node int, cs *cells, depth int) (Value, bool) {
	for depth > 0 && x.read.has(node) {
		switch src := x.rf[node]; src {
		case rfNone:
			return 0, false
		case rfInit:
			return cs.list[x.cell[node]].init, true
		default:
			node = int(src)
		}
		depth--
	}
	if depth == 0 {
		return 0, false
	}
	p, _ := x.local(node)
	return x.symValue(p, x.events[node].val, cs, depth)
}

// symValue evaluates a symbol of a path.
func (x *execution) symValue(p *placedPath, id symID, cs *cells, depth int) (Value, bool) {
	s := p.path.syms.list[id]
	switch s.kind {
	case symConst:
		return s.value, true
	case symRead:
		return x.nodeValue(p.base+int(p.nodeOf[s.a]), cs, depth)
	case symUnary:
		a, ok := x.symValue(p, s.a, cs, depth)
		return applyUnary(s.op, a), ok
	}
	a, ok := x.symValue(p, s.a, cs, depth)
	if !ok {
		return 0, false
	}
	b, ok := x.symValue(p, s.b, cs, depth)
	return applyBinary(s.op, a, b), ok
}
