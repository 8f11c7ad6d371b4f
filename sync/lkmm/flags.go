package lkmm

import "fmt"

// noteFlags records what the model complains about in an execution.
func (c *collector) noteFlags(s *search) {
	x := &s.x
	for t := range x.threads {
		for _, f := range x.threads[t].flags {
			c.flag(f)
		}
	}
	if s.check.rcu.srcu || x.hasSrcuUnlock() {
		c.noteSrcu(s)
	}
	if x.hasLocks {
		c.noteLocks(x)
	}
	if !x.hasPlain {
		return
	}
	if s.check.plain.mixed() {
		c.flag("mixed-accesses")
	}
	if pair, ok := s.check.plain.race(); ok {
		race := &Race{Kind: pair.kind, First: s.describe(pair.first), Second: s.describe(pair.second)}
		if c.race == nil || race.less(c.race) {
			c.race = race
		}
	}
}

func (r *Race) less(o *Race) bool {
	if r.First != o.First {
		return r.First < o.First
	}
	if r.Second != o.Second {
		return r.Second < o.Second
	}
	return r.Kind < o.Kind
}

func (r *Race) String() string { return fmt.Sprintf("%s race: %s, %s", r.Kind, r.First, r.Second) }

// describe names an access: "P0 12:3 write x".
func (s *search) describe(node int) string {
	e := s.x.events[node]
	what := "read"
	if e.kind == eventWrite {
		what = "write"
	}
	thread := s.test.Threads[s.x.thread[node]].Name
	place := s.cells.list[s.x.cell[node]].addr.format(s.test.Locations)
	return fmt.Sprintf("%s %s %s %s", thread, e.pos, what, place)
}

// hasSrcuUnlock says whether any srcu_read_unlock() is a memory access.
func (x *execution) hasSrcuUnlock() bool {
	for _, e := range x.events {
		if e.flags&flagSrcuUnlock != 0 {
			return true
		}
	}
	return false
}

// noteSrcu checks that every srcu_read_lock() has its unlock and the reverse,
// and that the unlock gives back the value of the lock.
func (c *collector) noteSrcu(s *search) {
	x := &s.x
	locks := make([]int, x.n) // matched by an unlock
	for lock := 0; lock < x.n; lock++ {
		if x.events[lock].flags&flagSrcuLock == 0 {
			continue
		}
		matched := 0
		s.check.rcu.eachMatch(lock, func(unlock int) {
			matched++
			locks[unlock]++
			a, _ := x.valueOf(lock, s.cells)
			if b, _ := x.valueOf(unlock, s.cells); a != b {
				c.flag("srcu-bad-value-match")
			}
		})
		if matched == 0 {
			c.flag("unmatched-srcu-lock")
		}
		if matched > 1 {
			c.flag("multiple-srcu-matches")
		}
	}
	for unlock := 0; unlock < x.n; unlock++ {
		if x.events[unlock].flags&flagSrcuUnlock != 0 && locks[unlock] == 0 {
			c.flag("unmatched-srcu-unlock")
		}
	}
}

// noteLocks looks for unlocks of what the thread has not locked, for locks that
// are also accessed in other ways, and for conditions on them.
func (c *collector) noteLocks(x *execution) {
	for node := range x.events {
		if x.events[node].flags&flagsLock == 0 {
			continue
		}
		if x.events[node].flags&flagUL != 0 && !x.holdsLock(node) {
			c.flag("unmatched-unlock")
		}
		if x.accessedOtherwise(x.cell[node]) {
			c.flag("mixed-lock-accesses")
		}
		for _, o := range c.test.observed {
			if o.thread < 0 && c.cells.index[addressOf(o.loc)+Value(o.elem)] == x.cell[node] {
				c.flag("lock-final")
			}
		}
	}
}

// holdsLock says whether the thread took a lock before it unlocks it.
func (x *execution) holdsLock(unlock int) bool {
	base := x.threads[x.thread[unlock]].base
	for node := unlock - 1; node >= base; node-- {
		if x.cell[node] == x.cell[unlock] && x.events[node].flags&(flagLKW|flagUL) != 0 {
			return x.events[node].flags&flagLKW != 0
		}
	}
	return false
}

// accessedOtherwise says whether any ordinary access works on a lock's place.
func (x *execution) accessedOtherwise(cell int32) bool {
	for node := range x.events {
		if x.cell[node] == cell && x.mem.has(node) && x.events[node].flags&(flagsLock|flagsSrcu) == 0 {
			return true
		}
	}
	return false
}
