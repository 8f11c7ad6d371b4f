package lkmm

// plainChecker looks at plain C accesses: the plain-coherence axiom, and data
// races. A pair of accesses in different threads, one of them plain, does not
// race if the model can show that the first is over before the second starts.
type plainChecker struct {
	c *checker

	rcuFence       relation
	strong, fence  relation // with grace periods
	xb             relation // (hb | pb | rb)*
	vis            relation
	wPre, rPre     relation // bounds before a plain access
	wPost, rPost   relation // bounds behind it
	wwVis, wrVis   relation
	rwXb           relation
	com, tmp, tmp2 relation
}

func (p *plainChecker) relations() []*relation {
	return []*relation{
		&p.rcuFence, &p.strong, &p.fence, &p.xb, &p.vis, &p.wPre, &p.rPre, &p.wPost, &p.rPost,
		&p.wwVis, &p.wrVis, &p.rwXb, &p.com, &p.tmp, &p.tmp2,
	}
}

func (p *plainChecker) attach(c *checker) {
	p.c = c
	if !c.x.hasPlain {
		return
	}
	for _, r := range p.relations() {
		r.resize(c.x.n, c.x.w)
	}
}

// Race is a pair of accesses that the model cannot put into an order.
type Race struct {
	// Kind is "write-write", "write-read" or "read-write".
	Kind string
	// First and Second describe the accesses in coherence order.
	First, Second string
}

// racePair is a race by its nodes.
type racePair struct {
	kind          string
	first, second int
}

// derive computes the bounds and orders of a complete execution whose hb, pb
// and prop are known.
func (p *plainChecker) derive() {
	p.gracePeriods()
	p.executesBefore()
	p.bounds()
	p.visibility()
}

// gracePeriods computes rcu-fence, and strong-fence and fence with it.
func (p *plainChecker) gracePeriods() {
	c, k := p.c, &p.c.rcu
	p.rcuFence.clear()
	if k.hasGracePeriod() {
		k.units = k.units[:k.fixed]
		if k.srcu {
			k.matchSrcu()
		}
		k.links()
		k.orders()
		for i := range k.units {
			end := k.order.row(i)
			for j := end.first(); j >= 0; j = end.next(j + 1) {
				p.fenceBetween(int(k.units[i].in), int(k.units[j].out))
			}
		}
	}
	p.strong.copy(c.strong)
	p.strong.or(&p.rcuFence)
	p.fence.copy(c.fence)
	p.fence.or(&p.rcuFence)
}

// fenceBetween relates what comes before one event to another event and what
// comes after it.
func (p *plainChecker) fenceBetween(in, out int) {
	c := p.c
	c.poBefore(c.set, in)
	c.po(c.set2, out)
	c.set2.add(out)
	for i := c.set.first(); i >= 0; i = c.set.next(i + 1) {
		p.rcuFence.row(i).or(c.set2)
	}
}

// executesBefore computes xb = (hb | pb | rb)*.
func (p *plainChecker) executesBefore() {
	c, x := p.c, p.c.x
	p.xb.copy(&c.hb)
	p.xb.or(&c.pb)
	if !p.rcuFence.empty() {
		p.tmp.compose(&c.prop, &p.rcuFence)
		p.tmp2.compose(&p.tmp, &c.hbStar)
		p.tmp.compose(&p.tmp2, &c.pbStar)
		for i := 0; i < x.n; i++ {
			p.tmp.row(i).and(x.marked)
		}
		p.xb.or(&p.tmp)
	}
	p.xb.close()
	for i := 0; i < x.n; i++ {
		p.xb.add(i, i)
	}
}

// bounds computes which marked accesses bound plain ones.
func (p *plainChecker) bounds() {
	c, x := p.c, p.c.x
	p.wPre.copy(c.addr)
	p.wPre.or(&p.fence)
	p.rPre.copy(c.addr)
	p.rPre.or(c.ordered)
	p.rPre.or(&x.rmbFrom)
	p.wPost.copy(&p.fence)
	p.rPost.copy(c.ordered)
	p.rPost.or(&x.rmbTo)
	for i := 0; i < x.n; i++ {
		for _, r := range []*relation{&p.wPre, &p.rPre} {
			if !x.marked.has(i) {
				r.row(i).clear()
				continue
			}
			r.add(i, i)
		}
		for _, r := range []*relation{&p.wPost, &p.rPost} {
			r.add(i, i)
			r.row(i).and(x.marked)
		}
	}
	if x.hasRmw && c.model.RmwSequence {
		p.extendByRmw()
	}
}

// extendByRmw lets a bound behind a plain write reach along chains of
// read-modify-writes.
func (p *plainChecker) extendByRmw() {
	x := p.c.x
	p.tmp.clear()
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		if x.rf[r] >= 0 && x.rmw[r] >= 0 {
			p.tmp.add(int(x.rf[r]), int(x.rmw[r]))
		}
	}
	p.tmp.close()
	p.tmp2.compose(&p.wPost, &p.tmp)
	p.wPost.or(&p.tmp2)
}

// visibility computes vis, and from it when writes are visible to accesses and
// when reads are over before writes.
func (p *plainChecker) visibility() {
	c, x := p.c, p.c.x
	// To the left of vis: cumul-fence* ; rfe?, ending in a marked access.
	p.tmp.copy(&c.cumul)
	p.tmp.close()
	for i := 0; i < x.n; i++ {
		p.tmp.add(i, i)
	}
	p.tmp2.compose(&p.tmp, &c.rfe)
	p.tmp2.or(&p.tmp)
	for i := 0; i < x.n; i++ {
		p.tmp2.row(i).and(x.marked)
	}
	// To the right: strong-fence ; xb, or xb within the thread.
	p.com.copy(&p.strong)
	for i := 0; i < x.n; i++ {
		p.com.row(i).and(x.marked)
	}
	p.tmp.compose(&p.com, &p.xb)
	p.com.copy(&p.xb)
	p.com.and(&x.own)
	p.tmp.or(&p.com)
	p.vis.compose(&p.tmp2, &p.tmp)

	p.visible(&p.wwVis, &p.wPre)
	p.visible(&p.wrVis, &p.rPre)
	p.tmp.compose(&p.rPost, &p.xb)
	p.rwXb.compose(&p.tmp, &p.wPre)
	p.rwXb.or(&p.fence)
}

// visible sets out to fence | strong-fence ; xb ; pre | w-post ; vis ; pre.
func (p *plainChecker) visible(out, pre *relation) {
	p.tmp.compose(&p.strong, &p.xb)
	p.tmp2.compose(&p.wPost, &p.vis)
	p.tmp.or(&p.tmp2)
	out.compose(&p.tmp, pre)
	out.or(&p.fence)
}

// candidate says whether two accesses can race: different threads, one plain.
func (p *plainChecker) candidate(a, b int) bool {
	x := p.c.x
	return x.thread[a] != x.thread[b] && x.mem.has(a) && x.mem.has(b) && (x.plain.has(a) || x.plain.has(b))
}

// coherent applies the plain-coherence axiom: coherence agrees with what is
// known to be over or visible.
func (p *plainChecker) coherent() bool {
	c, x := p.c, p.c.x
	for a := x.mem.first(); a >= 0; a = x.mem.next(a + 1) {
		if x.read.has(a) {
			src := int(x.rf[a])
			if src >= 0 && p.candidate(src, a) && p.rwXb.has(a, src) {
				return false
			}
			if p.against(a, c.fr.row(a), &p.wrVis) {
				return false
			}
		} else if p.against(a, x.co.row(a), &p.wwVis) {
			return false
		}
	}
	return true
}

// against says whether a member of later is related to a all the same.
func (p *plainChecker) against(a int, later row, rel *relation) bool {
	for b := later.first(); b >= 0; b = later.next(b + 1) {
		if p.candidate(a, b) && rel.has(b, a) {
			return true
		}
	}
	return false
}

// race finds a data race.
func (p *plainChecker) race() (racePair, bool) {
	x := p.c.x
	for a := x.mem.first(); a >= 0; a = x.mem.next(a + 1) {
		if x.read.has(a) {
			if r, ok := p.readRace(a); ok {
				return r, true
			}
		} else if r, ok := p.writeRace(a); ok {
			return r, true
		}
	}
	return racePair{}, false
}

// readRace looks for a write that overwrites what a reads and may run at the
// same time.
func (p *plainChecker) readRace(a int) (racePair, bool) {
	later := p.c.fr.row(a)
	for b := later.first(); b >= 0; b = later.next(b + 1) {
		if p.candidate(a, b) && !p.rwXb.has(a, b) {
			return racePair{"read-write", a, b}, true
		}
	}
	return racePair{}, false
}

// writeRace looks for later writes, and reads of this or a later write.
func (p *plainChecker) writeRace(a int) (racePair, bool) {
	x := p.c.x
	later := x.co.row(a)
	for b := later.first(); b >= 0; b = later.next(b + 1) {
		if p.candidate(a, b) && !p.writesOrdered(a, b) {
			return racePair{"write-write", a, b}, true
		}
	}
	for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
		src := int(x.rf[r])
		if src < 0 || src != a && !later.has(src) || !p.candidate(a, r) {
			continue
		}
		if !p.wrVis.has(a, r) && !p.rwXb.has(r, a) {
			return racePair{"write-read", a, r}, true
		}
	}
	return racePair{}, false
}

// writesOrdered says whether write a is over and visible before write b; a
// plain write may also read.
func (p *plainChecker) writesOrdered(a, b int) bool {
	x := p.c.x
	return p.wwVis.has(a, b) && (x.marked.has(a) || p.rwXb.has(a, b)) && (x.marked.has(b) || p.wrVis.has(a, b))
}

// mixed says whether a thread writes a variable plainly and accesses it marked
// with no compiler barrier in between.
func (p *plainChecker) mixed() bool {
	x := p.c.x
	for a := x.plain.first(); a >= 0; a = x.plain.next(a + 1) {
		own := x.own.row(a)
		for b := own.first(); b >= 0 && x.write.has(a); b = own.next(b + 1) {
			if !x.marked.has(b) || !x.mem.has(b) || x.cell[a] != x.cell[b] {
				continue
			}
			if !x.compiler.has(min(a, b), max(a, b)) {
				return true
			}
		}
	}
	return false
}
