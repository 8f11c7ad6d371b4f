package lkmm

import (
	"context"
	"fmt"
	"slices"
)

// engine is what all workers of a run share: the test's paths and what may be
// read and written along them.
type engine struct {
	test    *Test
	opt     Options
	cells   *cells
	threads [][]placedPath // by thread, the paths that can be taken
	maxN    int
}

// newEngine unfolds a test.
func newEngine(ctx context.Context, t *Test, opt Options) (*engine, error) {
	paths, err := unfoldAll(ctx, t, &opt)
	if err != nil {
		return nil, err
	}
	e := &engine{test: t, opt: opt, cells: newCells(t)}
	a, err := analyse(ctx, e.cells, paths)
	if err != nil {
		return nil, err
	}
	for i := range paths {
		e.threads = append(e.threads, nil)
		longest := 0
		for range paths[i] {
			d := a.paths[0]
			a.paths = a.paths[1:]
			if !d.feasible() {
				continue
			}
			s := skeletonOf(d.path, opt.Model)
			longest = max(longest, len(s.nodes))
			e.threads[i] = append(e.threads[i], placedPath{skeleton: s, domains: d})
		}
		e.maxN += longest
	}
	e.placeAddresses()
	if e.maxN > opt.MaxEvents {
		return nil, &ProgramError{File: t.File, Thread: "all threads",
			Reason: fmt.Errorf("%w: %d events, limit %d", ErrTooLarge, e.maxN, opt.MaxEvents)}
	}
	return e, nil
}

// placeAddresses makes sure that every address a path may use has its place.
func (e *engine) placeAddresses() {
	a := &analysis{cells: e.cells}
	for t := range e.threads {
		for i := range e.threads[t] {
			p := &e.threads[t][i]
			p.targets = make([][]int32, len(p.nodes))
			p.allowed = make([]*domain, len(p.nodes))
			for n := range p.nodes {
				if ev := p.event(n); ev.addr != noSym {
					p.targets[n] = a.places(p.domains, ev.addr)
				}
			}
			p.limitReads(e.cells)
		}
	}
}

// limitReads notes which values reads must return for the path's conditions to
// hold, where a condition depends on one read.
func (p *placedPath) limitReads(cs *cells) {
	for _, a := range p.path.asserts {
		r, ok := p.path.syms.onlyRead(a.sym)
		if !ok {
			continue
		}
		n := int(p.nodeOf[r])
		d := p.domains.syms[p.event(n).val]
		if d.top {
			continue
		}
		allowed := &domain{}
		for _, v := range d.values {
			if (p.path.syms.substitute(a.sym, v) != 0) == a.want && (p.allowed[n] == nil || p.allowed[n].contains(v)) {
				allowed.add(v)
			}
		}
		p.allowed[n] = allowed
	}
}

func (d *domain) contains(v Value) bool {
	_, ok := slices.BinarySearch(d.values, v)
	return d.top || ok
}

// onlyRead finds the one read that a symbol depends on.
func (s *symbols) onlyRead(id symID) (event int, ok bool) {
	event = -1
	if !s.collectReads(id, &event) {
		return 0, false
	}
	return event, event >= 0
}

func (s *symbols) collectReads(id symID, event *int) bool {
	switch x := s.list[id]; x.kind {
	case symRead:
		if *event >= 0 && *event != int(x.a) {
			return false
		}
		*event = int(x.a)
	case symUnary:
		return s.collectReads(x.a, event)
	case symBinary:
		return s.collectReads(x.a, event) && s.collectReads(x.b, event)
	}
	return true
}

// substitute evaluates a symbol with v for every read.
func (s *symbols) substitute(id symID, v Value) Value {
	switch x := s.list[id]; x.kind {
	case symRead:
		return v
	case symUnary:
		return applyUnary(x.op, s.substitute(x.a, v))
	case symBinary:
		return applyBinary(x.op, s.substitute(x.a, v), s.substitute(x.b, v))
	default:
		return x.value
	}
}

// search looks through the candidate executions depth first: a path for every
// thread, places for addresses that depend on memory, a source for every read,
// an order for the writes of every place.
type search struct {
	*engine
	ctx      context.Context
	x        execution
	check    checker
	chosen   []placedPath
	unknown  []int32   // nodes whose place is guessed
	reads    []int32   // in the order in which they get sources
	sources  [][]int32 // by position in reads
	product  []int     // sources left to choose from a position on, saturating
	coSaved  []relation
	orders   [][]int32 // writes by place, in coherence order as far as chosen
	ordered  []int32   // places whose order has to be chosen
	visit    func(s *search) bool
	steps    int
	goal     goal
	share    int // this worker's number
	unit     int // workers in all
	turn     int // branches met at the depth where workers part
	stopped  bool
	err      error
	rejected func(s *search, broken Axiom)
}

func newSearch(ctx context.Context, e *engine, visit func(*search) bool) *search {
	s := &search{engine: e, ctx: ctx, visit: visit}
	s.check.model, s.check.without = e.opt.Model, e.opt.Without
	return s
}

// run visits every consistent execution once.
func (s *search) run() error {
	s.choosePath(0)
	return s.err
}

// interrupted looks at the context now and then.
func (s *search) interrupted() bool {
	if s.steps++; s.steps&0xff == 0 && !s.stopped && s.ctx.Err() != nil {
		s.err, s.stopped = context.Cause(s.ctx), true
	}
	return s.stopped
}

// choosePath picks paths for the threads from t on.
func (s *search) choosePath(t int) {
	if s.interrupted() {
		return
	}
	if t == len(s.threads) {
		s.startCombination()
		return
	}
	for i := range s.threads[t] {
		s.chosen = append(s.chosen[:t], s.threads[t][i])
		if s.pathsAgree(t) {
			s.choosePath(t + 1)
		}
	}
	s.chosen = s.chosen[:t]
}

// pathsAgree says whether every read of the paths chosen so far that must see
// certain values can see one.
func (s *search) pathsAgree(last int) bool {
	for t := 0; t <= last; t++ {
		p := &s.chosen[t]
		for n, allowed := range p.allowed {
			if allowed != nil && !s.canRead(p, n, last) {
				return false
			}
		}
	}
	return true
}

func (s *search) canRead(p *placedPath, n, last int) bool {
	for _, c := range p.targets[n] {
		if p.allowed[n].contains(s.cells.list[c].init) {
			return true
		}
	}
	for t := range s.threads {
		if t <= last {
			if s.chosen[t].offers(p, n) {
				return true
			}
			continue
		}
		for i := range s.threads[t] {
			if s.threads[t][i].offers(p, n) {
				return true
			}
		}
	}
	return false
}

// offers says whether a path may write what node n of path p must read.
func (q *placedPath) offers(p *placedPath, n int) bool {
	for w := range q.nodes {
		if q.write.has(w) && meets(q.targets[w], p.targets[n]) && q.mayWrite(w, p.allowed[n]) {
			return true
		}
	}
	return false
}

func meets(a, b []int32) bool {
	for _, x := range a {
		if slices.Contains(b, x) {
			return true
		}
	}
	return false
}

// mayWrite says whether the value of a write may be one of d's.
func (p *placedPath) mayWrite(w int, d *domain) bool {
	v := p.domains.syms[p.event(w).val]
	return v.top || slices.ContainsFunc(v.values, d.contains)
}

// startCombination begins with one path for each thread.
func (s *search) startCombination() {
	s.x.assemble(s.chosen, len(s.cells.list))
	s.unknown = s.unknown[:0]
	for node := 0; node < s.x.n; node++ {
		p, i := s.x.local(node)
		switch targets := p.targets[i]; {
		case len(targets) == 1:
			s.x.setCell(node, targets[0])
		case len(targets) > 1:
			s.unknown = append(s.unknown, int32(node))
		}
	}
	s.guessPlace(0)
}

// guessPlace tries the places that addresses may name; that they do is checked
// when the reads they depend on have sources.
func (s *search) guessPlace(k int) {
	if k == len(s.unknown) {
		s.startReads()
		return
	}
	node := int(s.unknown[k])
	p, i := s.x.local(node)
	for _, c := range p.targets[i] {
		if s.contradictsGuess(k, c) {
			continue
		}
		s.x.cell[node] = c
		if s.x.write.has(node) {
			s.x.writes[c].add(node)
		}
		s.guessPlace(k + 1)
		if s.x.write.has(node) {
			s.x.writes[c].del(node)
		}
		if s.stopped {
			return
		}
	}
	s.x.cell[node] = -1
}

// contradictsGuess says whether an earlier guess for the same address of the
// same path differs.
func (s *search) contradictsGuess(k int, c int32) bool {
	node := int(s.unknown[k])
	for _, other := range s.unknown[:k] {
		if s.x.thread[other] == s.x.thread[node] && s.x.events[other].addr == s.x.events[node].addr {
			return s.x.cell[other] != c
		}
	}
	return false
}

// startReads collects the sources that each read may have and sorts the reads:
// few sources first.
func (s *search) startReads() {
	x := &s.x
	s.reads, s.sources = s.reads[:0], s.sources[:0]
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		sources := s.sourcesOf(r)
		if len(sources) == 0 {
			return
		}
		s.reads = append(s.reads, int32(r))
		s.sources = append(s.sources, sources)
		for i := len(s.reads) - 1; i > 0 && len(s.sources[i]) < len(s.sources[i-1]); i-- {
			s.reads[i], s.reads[i-1] = s.reads[i-1], s.reads[i]
			s.sources[i], s.sources[i-1] = s.sources[i-1], s.sources[i]
		}
	}
	s.product = resized(s.product, len(s.reads)+1)
	s.product[len(s.reads)] = 1
	for i := len(s.reads) - 1; i >= 0; i-- {
		s.product[i] = min(1<<30, s.product[i+1]*len(s.sources[i]))
	}
	s.check.attach(x)
	s.startCoherence()
	if len(s.reads) == 0 && s.unit > 1 {
		if s.turn++; s.turn%s.unit != s.share {
			return
		}
	}
	s.chooseSource(0)
}

// sourcesOf lists the writes that a read may take its value from.
func (s *search) sourcesOf(r int) []int32 {
	x := &s.x
	c := x.cell[r]
	p, n := x.local(r)
	allowed := p.allowed[n]
	coherent := s.check.asks(Coherence)
	var out []int32
	if allowed == nil || allowed.contains(s.cells.list[c].init) {
		if !coherent || !s.writesBefore(r) {
			out = append(out, rfInit)
		}
	}
	writes := x.writes[c]
	for w := writes.first(); w >= 0; w = writes.next(w + 1) {
		if coherent && x.thread[w] == x.thread[r] && (w > r || s.hidden(w, r)) {
			continue
		}
		q, m := x.local(w)
		if allowed == nil || q.mayWrite(m, allowed) {
			out = append(out, int32(w))
		}
	}
	return out
}

// writesBefore says whether the read's thread wrote its place before.
func (s *search) writesBefore(r int) bool {
	w := s.x.writes[s.x.cell[r]].next(s.x.threads[s.x.thread[r]].base)
	return w >= 0 && w < r
}

// hidden says whether the thread overwrote w before its read r.
func (s *search) hidden(w, r int) bool {
	next := s.x.writes[s.x.cell[r]].next(w + 1)
	return next >= 0 && next < r
}

// startCoherence begins with the order of each thread's own writes.
func (s *search) startCoherence() {
	x := &s.x
	x.co.clear()
	for len(s.coSaved) <= len(s.reads) {
		s.coSaved = append(s.coSaved, relation{})
	}
	for i := range s.coSaved {
		s.coSaved[i].resize(x.n, x.w)
	}
	if !s.check.asks(Coherence) {
		return
	}
	for w := x.write.first(); w >= 0; w = x.write.next(w + 1) {
		row := x.co.row(w)
		s.check.po(row, w)
		row.and(x.writes[x.cell[w]])
	}
}

// chooseSource gives sources to the reads from position k on.
func (s *search) chooseSource(k int) {
	if s.interrupted() {
		return
	}
	if k == len(s.reads) {
		s.startOrders()
		return
	}
	r := int(s.reads[k])
	s.coSaved[k].copy(&s.x.co)
	for _, src := range s.sources[k] {
		s.x.setSource(r, src)
		if s.fits(r) && s.conditionsHold(false) && s.promising() && s.mine(k) && s.worthwhile(k) {
			s.chooseSource(k + 1)
		}
		s.x.co.copy(&s.coSaved[k])
		if s.stopped {
			break
		}
	}
	s.x.setSource(r, rfNone)
}

// promising says whether the execution can still pass the test's filter and
// meet the search's goal.
func (s *search) promising() bool {
	if s.test.filter.eval(s.observe) == fails {
		return false
	}
	return s.goal == anyGoal || !s.goal.contradicts(s.test.condition.eval(s.observe))
}

// mine deals the branches of the search to the workers in turn, at the depth
// where enough is left to choose.
func (s *search) mine(k int) bool {
	if s.unit <= 1 || k != s.splitDepth() {
		return true
	}
	s.turn++
	return s.turn%s.unit == s.share
}

// splitDepth is the first position that leaves few sources to choose, so that
// there are many branches to deal.
func (s *search) splitDepth() int {
	k := 0
	for k < len(s.reads)-1 && s.product[0]/s.product[k+1] < 16*s.unit {
		k++
	}
	return k
}

// worthwhile applies the axioms to the incomplete execution where much is left
// to choose.
func (s *search) worthwhile(k int) bool {
	if len(s.sources[k]) < 2 || s.product[k+1] < 8 || s.rejected != nil {
		return true
	}
	return s.check.violated() == 0
}

// fits orders writes as the new source of r demands and says whether that is
// possible.
func (s *search) fits(r int) bool {
	if !s.atomicSource(r) {
		return false
	}
	if !s.check.asks(Coherence) {
		return true
	}
	x := &s.x
	src := x.rf[r]
	own := x.own.row(r)
	writes := x.writes[x.cell[r]]
	for e := own.first(); e >= 0; e = own.next(e + 1) {
		if e == r || x.cell[e] != x.cell[r] || !x.mem.has(e) {
			continue
		}
		other := int32(e)
		if x.read.has(e) {
			if other = x.rf[e]; other == rfNone {
				continue
			}
		}
		earlier, later := other, src
		if e > r {
			earlier, later = src, other
		}
		if !s.orderWrites(earlier, later, writes) {
			return false
		}
	}
	return true
}

// atomicSource says whether no other read-modify-write took r's source already.
func (s *search) atomicSource(r int) bool {
	x := &s.x
	if x.rmw[r] < 0 || !s.check.atomic(r) {
		return true
	}
	for _, k := range s.reads {
		if int(k) != r && x.rmw[k] >= 0 && x.rf[k] == x.rf[r] && x.cell[k] == x.cell[r] && x.rf[k] != rfNone {
			return false
		}
	}
	return true
}

// atomic says whether a read-modify-write's write comes right after the write
// that it read. Without coherence only [checker.torn] can tell.
func (c *checker) atomic(r int) bool { return c.asks(Coherence) && c.mustBeAtomic(r) }

// mustBeAtomic: locks always are.
func (c *checker) mustBeAtomic(r int) bool {
	return c.asks(Atomicity) || c.x.events[r].flags&flagsLock != 0
}

// torn says whether another thread's write came between the two halves of a
// read-modify-write.
func (c *checker) torn() bool {
	x := c.x
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		w := x.rmw[r]
		if w < 0 || !c.mustBeAtomic(r) {
			continue
		}
		between := c.fr.row(r)
		for v := between.first(); v >= 0; v = between.next(v + 1) {
			if x.thread[v] != x.thread[r] && x.co.has(v, int(w)) {
				return true
			}
		}
	}
	return false
}

// orderWrites puts one write of a place before another, or leaves them equal,
// and keeps the order transitive.
func (s *search) orderWrites(earlier, later int32, writes row) bool {
	x := &s.x
	switch {
	case earlier == later || earlier == rfInit:
		return true
	case later == rfInit || x.co.has(int(later), int(earlier)):
		return false
	case x.co.has(int(earlier), int(later)):
		return true
	}
	for w := writes.first(); w >= 0; w = writes.next(w + 1) {
		if w == int(earlier) || x.co.has(w, int(earlier)) {
			x.co.row(w).or(x.co.row(int(later)))
			x.co.add(w, int(later))
		}
	}
	return true
}

// conditionsHold checks the paths' conditions and the guessed addresses as far
// as they are determined; at the end all have to be.
func (s *search) conditionsHold(final bool) bool {
	x := &s.x
	for t := range x.threads {
		p := &x.threads[t]
		for _, a := range p.path.asserts {
			v, ok := x.symValue(p, a.sym, s.cells)
			if ok && (v != 0) != a.want || !ok && final {
				return false
			}
		}
	}
	for _, node := range s.unknown {
		p, _ := x.local(int(node))
		v, ok := x.symValue(p, x.events[node].addr, s.cells)
		if ok && v != s.cells.list[x.cell[node]].addr || !ok && final {
			return false
		}
	}
	return true
}

// startOrders checks that all values are determined, and goes on to the places
// whose writes still have to be ordered.
func (s *search) startOrders() {
	x := &s.x
	if !s.conditionsHold(true) || !s.valuesKnown() {
		return
	}
	s.ordered = s.ordered[:0]
	if len(s.orders) < len(x.writes) {
		s.orders = append(s.orders, make([][]int32, len(x.writes)-len(s.orders))...)
	}
	for c := range x.writes {
		s.orders[c] = s.orders[c][:0]
		if !s.totalOrder(x.writes[c]) {
			s.ordered = append(s.ordered, int32(c))
		}
	}
	if len(s.ordered) > 0 && s.rejected == nil && s.check.violated() != 0 {
		return
	}
	s.chooseOrder(0)
}

// valuesKnown says whether no written value is out of thin air.
func (s *search) valuesKnown() bool {
	for node := s.x.mem.first(); node >= 0; node = s.x.mem.next(node + 1) {
		if _, ok := s.x.valueOf(node, s.cells); !ok {
			return false
		}
	}
	return true
}

// totalOrder says whether the order of a place's writes is known already, and
// allowed for its read-modify-writes.
func (s *search) totalOrder(writes row) bool {
	x := &s.x
	for a := writes.first(); a >= 0; a = writes.next(a + 1) {
		if x.rmw[a] >= 0 {
			return false // extendOrder looks at atomicity
		}
		for b := writes.next(a + 1); b >= 0; b = writes.next(b + 1) {
			if !x.co.has(a, b) && !x.co.has(b, a) {
				return false
			}
		}
	}
	return true
}

// chooseOrder completes the order of the writes of the places from position k
// on.
func (s *search) chooseOrder(k int) {
	if s.interrupted() {
		return
	}
	if k == len(s.ordered) {
		s.finish()
		return
	}
	c := s.ordered[k]
	s.extendOrder(k, c)
}

// extendOrder appends to a place's order every write that may come next.
func (s *search) extendOrder(k int, c int32) {
	x := &s.x
	writes := x.writes[c]
	done := s.orders[c]
	placed := func(w int) bool { return slices.Contains(done, int32(w)) }
	left := false
	for w := writes.first(); w >= 0; w = writes.next(w + 1) {
		if placed(w) {
			continue
		}
		left = true
		if !s.comesNext(w, done, writes, placed) {
			continue
		}
		s.orders[c] = append(done, int32(w))
		s.extendOrder(k, c)
		s.orders[c] = done
		if s.stopped {
			return
		}
	}
	if !left {
		s.fixOrder(k, c)
	}
}

// comesNext says whether w may follow the writes placed already: nothing else
// has to come before it, and no read-modify-write is torn apart.
func (s *search) comesNext(w int, done []int32, writes row, placed func(int) bool) bool {
	x := &s.x
	for v := writes.first(); v >= 0; v = writes.next(v + 1) {
		if v != w && !placed(v) && x.co.has(v, w) {
			return false
		}
	}
	last := rfInit
	if len(done) > 0 {
		last = done[len(done)-1]
	}
	if r := x.rmw[w]; r >= 0 && s.check.atomic(int(r)) {
		return x.rf[r] == last
	}
	return !s.awaitsOther(w, last, writes, placed)
}

// awaitsOther says whether a read-modify-write that read the last write must
// come next.
func (s *search) awaitsOther(w int, last int32, writes row, placed func(int) bool) bool {
	x := &s.x
	for v := writes.first(); v >= 0; v = writes.next(v + 1) {
		r := x.rmw[v]
		if v != w && !placed(v) && r >= 0 && x.rf[r] == last && s.check.atomic(int(r)) {
			return true
		}
	}
	return false
}

// fixOrder enters a complete order into co and goes on to the next place.
func (s *search) fixOrder(k int, c int32) {
	x := &s.x
	order := s.orders[c]
	saved := make([]uint64, 0, len(order)*x.w)
	for i, w := range order {
		row := x.co.row(int(w))
		saved = append(saved, row...)
		row.clear()
		for _, v := range order[i+1:] {
			row.add(int(v))
		}
	}
	s.chooseOrder(k + 1)
	for i, w := range order {
		copy(x.co.row(int(w)), saved[i*x.w:(i+1)*x.w])
	}
}

// finish judges a complete candidate.
func (s *search) finish() {
	broken := s.check.violated()
	if broken == 0 && !s.check.asks(Coherence) && s.check.torn() {
		broken = Atomicity
	}
	if broken == 0 && s.x.hasPlain {
		s.check.plain.derive()
		if s.check.asks(PlainCoherence) && !s.check.plain.coherent() {
			broken = PlainCoherence
		}
	}
	if broken != 0 {
		if s.rejected != nil && s.promising() {
			s.rejected(s, broken)
		}
		return
	}
	if s.promising() && !s.visit(s) {
		s.stopped = true
	}
}
