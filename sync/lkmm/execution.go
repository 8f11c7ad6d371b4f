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
	memos  []memo // of the symbols of all paths
	turn   uint32
	co     relation // transitive; partial during the search
	writes []row    // by cell
}

// placedPath is a thread's path in an execution.
type placedPath struct {
	*skeleton
	domains *pathDomains
	base    int // its first node
	// firstMemo is the memo of its first symbol.
	firstMemo int
	targets   [][]int32 // places that a node's address may name
	allowed   []*domain // values that a read must return; nil: any
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
	n, symbols := 0, 0
	for i := range chosen {
		chosen[i].base, chosen[i].firstMemo = n, symbols
		n += len(chosen[i].nodes)
		symbols += len(chosen[i].path.syms.list)
	}
	x.resize(n, cells)
	if len(x.memos) < symbols {
		x.memos = make([]memo, symbols)
	}
	x.forget()
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

// memo is what is known of a symbol's value since the sources last changed.
type memo struct {
	value Value
	// turn is the execution's turn in which this was noted; older notes are
	// void.
	turn uint32
	ok   bool
}

// setSource gives a read its source. Values computed before are forgotten.
func (x *execution) setSource(r int, src int32) {
	x.rf[r] = src
	x.forget()
}

// forget starts a new turn of the memos.
func (x *execution) forget() {
	if x.turn++; x.turn == 0 {
		clear(x.memos)
		x.turn = 1
	}
}

// valueOf is the value that a node reads or writes; ok is false as long as it
// depends on a read without source, or on itself: a value out of thin air.
func (x *execution) valueOf(node int, cs *cells) (v Value, ok bool) {
	for steps := 0; x.read.has(node); steps++ {
		switch src := x.rf[node]; {
		case src == rfNone || steps > x.n:
			return 0, false
		case src == rfInit:
			return cs.list[x.cell[node]].init, true
		default:
			node = int(src)
		}
	}
	p, _ := x.local(node)
	return x.symValue(p, x.events[node].val, cs)
}

// symValue evaluates a symbol of a path. While it is under way its memo says
// that it is not known, which is what a value that depends on itself finds.
func (x *execution) symValue(p *placedPath, id symID, cs *cells) (Value, bool) {
	s := &p.path.syms.list[id]
	if s.kind == symConst {
		return s.value, true
	}
	m := &x.memos[p.firstMemo+int(id)]
	if m.turn == x.turn {
		return m.value, m.ok
	}
	*m = memo{turn: x.turn}
	v, ok := x.compute(p, s, cs)
	*m = memo{value: v, turn: x.turn, ok: ok}
	return v, ok
}

func (x *execution) compute(p *placedPath, s *symbol, cs *cells) (Value, bool) {
	if s.kind == symRead {
		return x.valueOf(p.base+int(p.nodeOf[s.a]), cs)
	}
	a, ok := x.symValue(p, s.a, cs)
	if !ok {
		return 0, false
	}
	if s.kind == symUnary {
		return applyUnary(s.op, a), true
	}
	b, ok := x.symValue(p, s.b, cs)
	return applyBinary(s.op, a, b), ok
}
