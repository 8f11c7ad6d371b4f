package lkmm

// rcuUnit is a grace period or a read-side critical section. A chain of units
// orders its ends like a strong fence if it holds at least as many grace
// periods as sections of the same domain.
type rcuUnit struct {
	in, out int32 // gp: the event; section: unlock and lock
	gp      bool
	domain  int32
}

// Domains other than the place of an srcu_struct.
const (
	domainRCU        int32 = -1
	domainMembarrier int32 = -2
)

// rcuChecker applies the RCU axiom. Instead of relating events it relates
// units, of which there are few.
type rcuChecker struct {
	c     *checker
	units []rcuUnit
	fixed int      // units that do not depend on rf
	link  relation // rcu-link between units
	order relation // rcu-order between units
	done  relation // scratch
	tmp   relation
	reach row
	next  row
	inner row  // of units
	srcu  bool // sections depend on rf
}

// attach collects the units of an execution.
func (k *rcuChecker) attach(c *checker) {
	k.c = c
	k.units = k.units[:0]
	k.srcu = false
	x := c.x
	for i := range x.threads {
		k.collect(&x.threads[i])
	}
	k.fixed = len(k.units)
	k.reach, k.next = resized(k.reach, x.w), resized(k.next, x.w)
}

func (k *rcuChecker) collect(p *placedPath) {
	x := k.c.x
	p.gps.each(func(i int) {
		node := int32(p.base + i)
		u := rcuUnit{in: node, out: node, gp: true, domain: domainRCU}
		switch e := p.event(i); {
		case e.kind == eventSyncSrcu:
			u.domain = x.cell[node]
		case e.fence == fenceMembarrier:
			u.domain = domainMembarrier
		}
		k.units = append(k.units, u)
	})
	for _, s := range p.sections {
		lock, unlock := int32(p.base)+s.lock, int32(p.base)+s.unlock
		u := rcuUnit{in: unlock, out: lock, domain: domainRCU}
		switch {
		case s.addr != noSym:
			u.domain = x.cell[lock]
		case x.events[lock].kind == eventGap:
			u.domain = domainMembarrier
		}
		k.units = append(k.units, u)
	}
	for i := range p.nodes {
		k.srcu = k.srcu || p.event(i).flags&flagSrcuLock != 0
	}
}

// hasGracePeriod: without one the axiom forbids nothing.
func (k *rcuChecker) hasGracePeriod() bool {
	for i := range k.units[:k.fixed] {
		if k.units[i].gp {
			return true
		}
	}
	return false
}

// holds says whether no chain of units leads back to its start.
func (k *rcuChecker) holds() bool {
	if !k.hasGracePeriod() {
		return true
	}
	k.units = k.units[:k.fixed]
	if k.srcu {
		k.matchSrcu()
	}
	k.links()
	k.tmp.copy(&k.link)
	k.tmp.close()
	if k.tmp.irreflexive() {
		return true
	}
	k.orders()
	return !k.closed()
}

// matchSrcu pairs every srcu_read_lock() with the unlocks that get its value,
// directly or through memory.
func (k *rcuChecker) matchSrcu() {
	x := k.c.x
	for lock := x.read.first(); lock >= 0; lock = x.read.next(lock + 1) {
		if x.events[lock].flags&flagSrcuLock == 0 {
			continue
		}
		k.eachMatch(lock, func(unlock int) {
			k.units = append(k.units, rcuUnit{in: int32(unlock), out: int32(lock), domain: x.cell[lock]})
		})
	}
}

// eachMatch calls f for the unlocks that an srcu_read_lock()'s value reaches.
func (k *rcuChecker) eachMatch(lock int, f func(unlock int)) {
	x := k.c.x
	seen, found := k.reach, k.next
	seen.clear()
	found.clear()
	seen.add(lock)
	for todo := []int{lock}; len(todo) > 0; todo = todo[1:] {
		to := x.data.row(todo[0])
		for w := to.first(); w >= 0; w = to.next(w + 1) {
			if x.events[w].flags&flagSrcuUnlock != 0 {
				if x.cell[w] == x.cell[lock] && !found.has(w) {
					found.add(w)
					f(w)
				}
				continue
			}
			for r := x.read.first(); r >= 0; r = x.read.next(r + 1) {
				if x.rf[r] == int32(w) && !seen.has(r) {
					seen.add(r)
					todo = append(todo, r)
				}
			}
		}
	}
}

// links computes rcu-link = po? ; hb* ; pb* ; prop ; po between units.
func (k *rcuChecker) links() {
	n := len(k.units)
	w := (n + 63) / 64
	for _, r := range []*relation{&k.link, &k.order, &k.done, &k.tmp} {
		r.resize(n, w)
	}
	for i := range k.units {
		k.linked(int(k.units[i].out))
		for j := range k.units {
			if k.reach.has(int(k.units[j].in)) {
				k.link.add(i, j)
			}
		}
	}
}

// linked computes into reach what rcu-link leads to from an event.
func (k *rcuChecker) linked(from int) {
	c := k.c
	c.po(k.reach, from)
	k.reach.add(from)
	for _, r := range []*relation{&c.hbStar, &c.pbStar, &c.prop} {
		k.next.clear()
		k.next.image(k.reach, r)
		copy(k.reach, k.next)
	}
	k.after()
}

// after replaces reach by what comes after it in program order.
func (k *rcuChecker) after() {
	c := k.c
	k.next.clear()
	for t := range c.x.threads {
		p := &c.x.threads[t]
		first := k.reach.next(p.base)
		if first < 0 || first >= p.base+len(p.nodes) {
			continue
		}
		c.po(c.set, first)
		k.next.or(c.set)
	}
	copy(k.reach, k.next)
}

// orders computes rcu-order between units to its least fixed point.
func (k *rcuChecker) orders() {
	for i := range k.units {
		if k.units[i].gp {
			k.order.add(i, i)
		}
	}
	for changed := true; changed; {
		k.done.copy(&k.order)
		k.tmp.compose(&k.order, &k.link)
		k.join()
		k.wrap()
		changed = false
		for i := range k.done.bits {
			changed = changed || k.done.bits[i] != k.order.bits[i]
		}
	}
}

// join adds rcu-order ; rcu-link ; rcu-order.
func (k *rcuChecker) join() {
	for i := range k.units {
		k.order.row(i).image(k.tmp.row(i), &k.done)
	}
}

// wrap adds the pairs of a grace period and a section of the same domain, in
// either order, joined by rcu-link or with an rcu-order in between.
func (k *rcuChecker) wrap() {
	k.inner = resized(k.inner, k.link.w)
	inner := k.inner
	for a := range k.units {
		// From a by link, and by link, order and link.
		inner.clear()
		inner.image(k.link.row(a), &k.tmp)
		inner.or(k.link.row(a))
		for b := range k.units {
			if inner.has(b) && k.units[a].gp != k.units[b].gp && k.units[a].domain == k.units[b].domain {
				k.order.add(a, b)
			}
		}
	}
}

// closed says whether some rcu-order leads back to its start.
func (k *rcuChecker) closed() bool {
	for i := range k.units {
		end := k.order.row(i)
		for j := end.first(); j >= 0; j = end.next(j + 1) {
			if k.link.has(j, i) {
				return true
			}
		}
	}
	return false
}
