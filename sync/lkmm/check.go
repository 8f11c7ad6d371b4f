package lkmm

// checker derives the model's relations from an execution and applies the
// axioms. All of them only grow as sources and orders are chosen, so an
// incomplete execution that breaks an axiom can be given up.
//
// The relations carry the names of the model, see
// tools/memory-model/Documentation/explanation.txt.
type checker struct {
	model   *Model
	without Axiom
	x       *execution

	fr  relation // read -> writes that overwrite what it read
	rfe relation // write -> reads of other threads
	// Fences and dependencies: the threads' own, or copies extended by what
	// locks and variables carry between events.
	strong, unlockLock, ordered, fence *relation
	addr, data, ctrl                   *relation
	copies                             [7]relation
	ppo0, ppo                          relation // preserved program order, of the threads alone, and all but overwrites
	cumul                              relation // cumul-fence
	prop                               relation
	hb, pb                             relation
	hbStar, pbStar                     relation // reflexive and transitive
	tmp, tmp2                          relation
	set, set2                          row
	hasStrong, hasCumul                bool
	rcu                                rcuChecker
	plain                              plainChecker
}

func (c *checker) relations() []*relation {
	return []*relation{
		&c.fr, &c.rfe, &c.ppo0, &c.ppo, &c.cumul, &c.prop, &c.hb, &c.pb, &c.hbStar, &c.pbStar, &c.tmp, &c.tmp2,
	}
}

// attach prepares the checker for an execution whose paths are chosen.
func (c *checker) attach(x *execution) {
	c.x = x
	for _, r := range c.relations() {
		r.resize(x.n, x.w)
	}
	for i := range c.copies {
		c.copies[i].resize(x.n, x.w)
	}
	c.set, c.set2 = resized(c.set, x.w), resized(c.set2, x.w)
	c.threadsOwn()
	c.programOrder(&c.ppo0)
	c.rcu.attach(c)
	c.plain.attach(c)
}

// threadsOwn starts with the threads' own fences and dependencies.
func (c *checker) threadsOwn() {
	x := c.x
	c.strong, c.unlockLock, c.ordered, c.fence = &x.strong0, &x.unlock0, &x.ordered0, &x.fence0
	c.addr, c.data, c.ctrl = &x.addr, &x.data, &x.ctrl
}

func (c *checker) asks(a Axiom) bool { return c.without&a == 0 }

// violated is the first axiom that the execution, complete or not, breaks; 0
// if it breaks none. Coherence and atomicity are looked at only in complete
// executions: the search builds coherent ones.
func (c *checker) violated() Axiom {
	c.communication()
	c.threadsOwn()
	c.handovers()
	if c.carryDependencies() || c.strong != &c.x.strong0 {
		c.programOrder(&c.ppo)
	} else {
		c.ppo.copy(&c.ppo0)
	}
	c.forward()
	c.propagation()
	if !c.happensBefore() && c.asks(HappensBefore) {
		return HappensBefore
	}
	if !c.propagates() && c.asks(Propagation) {
		return Propagation
	}
	if !c.rcu.holds() && c.asks(RCU) {
		return RCU
	}
	return 0
}

// po is the set of nodes after a node in program order.
func (c *checker) po(out row, node int) {
	x := c.x
	copy(out, x.own.row(node))
	for i := 0; i < node>>6; i++ {
		out[i] = 0
	}
	out[node>>6] &^= 1<<(node&63+1) - 1
}

// poBefore is the set of nodes before a node in program order.
func (c *checker) poBefore(out row, node int) {
	copy(out, c.x.own.row(node))
	out[node>>6] &= 1<<(node&63) - 1
	for i := node>>6 + 1; i < len(out); i++ {
		out[i] = 0
	}
}

// communication derives fr and rfe from rf and co.
func (c *checker) communication() {
	x := c.x
	c.fr.clear()
	c.rfe.clear()
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		switch src := x.rf[r]; src {
		case rfNone:
		case rfInit:
			c.fr.row(r).or(x.writes[x.cell[r]])
		default:
			c.fr.row(r).or(x.co.row(int(src)))
			if x.thread[src] != x.thread[r] {
				c.rfe.add(int(src), r)
			}
		}
	}
}

// handovers adds to the threads' own fences what locks passed between threads
// order: everything before the unlock before everything after the lock that
// reads it, and strongly so with smp_mb__after_unlock_lock().
func (c *checker) handovers() {
	x := c.x
	if !x.hasLocks {
		return
	}
	for i, r := range []**relation{&c.strong, &c.unlockLock, &c.ordered, &c.fence} {
		c.copies[i].copy(*r)
		*r = &c.copies[i]
	}
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		if x.events[r].flags&flagLKR != 0 && x.rf[r] >= 0 {
			c.handover(int(x.rf[r]), r)
		}
	}
}

// handover orders an unlock's thread before that of the lock read r.
func (c *checker) handover(unlock, r int) {
	x := c.x
	if x.thread[unlock] == x.thread[r] && unlock < r || x.events[unlock].flags&flagUL == 0 {
		return // or the thread's own pair, known already
	}
	before, after := c.set, c.set2
	c.poBefore(before, unlock)
	c.po(after, r)
	for i := before.first(); i >= 0; i = before.next(i + 1) {
		c.unlockLock.row(i).or(after)
	}
	p, local := x.local(r)
	strong, ok := p.afterLock[int32(local)]
	if !ok {
		return
	}
	after.clear()
	after.place(strong, p.base)
	c.addStrong(before, after)
	if c.model.UnlockLockDirect {
		return
	}
	for u := x.writes[x.cell[r]].first(); u >= 0; u = x.writes[x.cell[r]].next(u + 1) {
		if x.events[u].flags&flagUL != 0 && x.co.has(u, unlock) {
			c.poBefore(before, u)
			c.addStrong(before, after)
		}
	}
}

// addStrong adds the accesses of one set before those of another as strongly
// fenced.
func (c *checker) addStrong(from, to row) {
	from.and(c.x.mem)
	for i := from.first(); i >= 0; i = from.next(i + 1) {
		c.strong.row(i).or(to)
		c.ordered.row(i).or(to)
		c.fence.row(i).or(to)
	}
}

// carryDependencies extends dependencies through variables that a thread
// writes and reads back, and says whether there are any.
func (c *checker) carryDependencies() bool {
	if !c.model.CarryDep || !c.x.hasCarry || !c.carries() {
		return false
	}
	for i, r := range []**relation{&c.addr, &c.data, &c.ctrl} {
		extended := &c.copies[4+i]
		extended.compose(&c.tmp, *r)
		extended.or(*r)
		*r = extended
	}
	return true
}

// carries computes into tmp which reads carry which: the value of the first
// was written to memory and read back by the second.
func (c *checker) carries() bool {
	x := c.x
	c.tmp.clear()
	any := false
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		w := x.rf[r]
		if w < 0 || x.thread[w] != x.thread[r] || x.events[w].flags&flagSrcuUnlock != 0 {
			continue
		}
		p := &x.threads[x.thread[r]]
		for d := p.base; d < r; d++ {
			if x.data.has(d, int(w)) {
				c.tmp.add(d, r)
				any = true
			}
		}
	}
	if any {
		c.tmp.close()
	}
	return any
}

// propagation computes cumul-fence and prop.
func (c *checker) propagation() {
	x := c.x
	c.hasStrong, c.hasCumul = false, false
	for i := 0; i < x.n; i++ {
		out := c.cumul.row(i)
		out.clear()
		if !x.marked.has(i) {
			continue
		}
		copy(out, c.strong.row(i))
		c.hasStrong = c.hasStrong || !out.empty()
		out.or(x.toRelease.row(i))
		readers := c.rfe.row(i)
		for r := readers.first(); r >= 0; r = readers.next(r + 1) {
			if x.marked.has(r) {
				out.or(c.strong.row(r))
				out.or(x.toRelease.row(r))
			}
		}
		out.or(x.wmb.row(i))
		out.or(c.unlockLock.row(i))
		out.and(x.marked)
		c.hasCumul = c.hasCumul || !out.empty()
	}
	if c.hasCumul && x.hasRmw && c.model.RmwSequence {
		c.extendByRmw()
	}
	c.propagate()
}

// extendByRmw lets cumul-fence reach along chains of read-modify-writes.
func (c *checker) extendByRmw() {
	x := c.x
	c.tmp.clear()
	any := false
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		if x.rf[r] >= 0 && x.rmw[r] >= 0 {
			c.tmp.add(int(x.rf[r]), int(x.rmw[r]))
			any = true
		}
	}
	if !any {
		return
	}
	c.tmp.close()
	for i := 0; i < x.n; i++ {
		c.set.clear()
		c.set.image(c.cumul.row(i), &c.tmp)
		c.cumul.row(i).or(c.set)
	}
}

// propagate computes prop: an overwrite by another thread, any number of
// cumulative fences, a read by another thread.
func (c *checker) propagate() {
	x := c.x
	c.tmp.copy(&c.cumul)
	if c.hasCumul {
		c.tmp.close()
	}
	for i := 0; i < x.n; i++ {
		out := c.prop.row(i)
		out.clear()
		if !x.marked.has(i) {
			continue
		}
		start := c.set
		c.overwrites(start, i)
		start.andNot(x.own.row(i))
		start.and(x.marked)
		start.add(i)
		if c.hasCumul {
			c.set2.clear()
			c.set2.image(start, &c.tmp)
			start.or(c.set2)
		}
		copy(out, start)
		c.set2.clear()
		c.set2.image(start, &c.rfe)
		c.set2.and(x.marked)
		out.or(c.set2)
	}
}

// overwrites is co | fr from a node.
func (c *checker) overwrites(out row, i int) {
	copy(out, c.x.co.row(i))
	out.or(c.fr.row(i))
}

// programOrder computes the part of the preserved program order that fences
// and dependencies make.
func (c *checker) programOrder(ppo *relation) {
	x := c.x
	for i := 0; i < x.n; i++ {
		out := ppo.row(i)
		out.clear()
		if !x.marked.has(i) {
			continue
		}
		copy(out, c.fence.row(i))
		out.or(c.unlockLock.row(i))
		out.and(x.own.row(i))
		if !c.model.LocalFence {
			out.or(c.fence.row(i))
		}
		c.dependent(out, i)
		out.and(x.marked)
	}
}

// dependent adds what dependencies order.
func (c *checker) dependent(out row, i int) {
	x := c.x
	deps, set := c.set, c.set2
	copy(deps, c.addr.row(i))
	if x.hasPlain { // an address dependency to a plain access, then smp_wmb()
		copy(set, deps)
		set.and(x.plain)
		for p := set.first(); p >= 0; p = set.next(p + 1) {
			out.or(x.wmb.row(p))
		}
	}
	copy(set, deps)
	if c.model.AddrReadsOnly {
		set.and(x.read)
	}
	out.or(set)
	deps.or(c.data.row(i))
	deps.or(c.ctrl.row(i))
	deps.and(x.write)
	out.or(deps)
}

// forward orders a read before the reads that take their value from a marked
// write of their own thread that depends on it.
func (c *checker) forward() {
	x := c.x
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		w := int(x.rf[r])
		if w < 0 || x.thread[w] != x.thread[r] || !x.marked.has(w) || !x.marked.has(r) {
			continue
		}
		p := &x.threads[x.thread[r]]
		for d := p.base; d < p.base+len(p.nodes); d++ {
			if x.marked.has(d) && (c.addr.has(d, w) || c.data.has(d, w)) {
				c.ppo.add(d, r)
			}
		}
	}
}

// happensBefore computes hb and its closure and says whether it is acyclic.
func (c *checker) happensBefore() bool {
	x := c.x
	for i := x.marked.first(); i >= 0; i = x.marked.next(i + 1) {
		out := c.hb.row(i)
		copy(out, c.prop.row(i))
		out.del(i)
		c.overwrites(c.set, i)
		out.or(c.set)
		out.and(x.own.row(i))
		out.or(c.ppo.row(i))
		out.or(c.rfe.row(i))
		out.and(x.marked)
	}
	c.hbStar.copy(&c.hb)
	c.hbStar.close()
	ok := c.hbStar.irreflexive()
	for i := 0; i < x.n; i++ {
		c.hbStar.add(i, i)
	}
	return ok
}

// propagates computes pb and says whether it is acyclic.
func (c *checker) propagates() bool {
	x := c.x
	c.pb.clear()
	c.pbStar.clear()
	ok := true
	if c.hasStrong {
		c.tmp.compose(c.strong, &c.hbStar)
		c.pb.compose(&c.prop, &c.tmp)
		for i := 0; i < x.n; i++ {
			c.pb.row(i).and(x.marked)
		}
		c.pbStar.copy(&c.pb)
		c.pbStar.close()
		ok = c.pbStar.irreflexive()
	}
	for i := 0; i < x.n; i++ {
		c.pbStar.add(i, i)
	}
	return ok
}
