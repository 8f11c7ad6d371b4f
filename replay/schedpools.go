package replay

import (
	"slices"

	"github.com/kernsim/kernsim/sched"
)

// schedPool is what a trace tells of the limit of a queue's group.
type schedPool struct {
	first         int32 // first line that charges its runtime, 0: it has no limit
	plain         int32 // last line before that charges the queue but no runtime
	open          int32 // last line that charges the queue
	quota, period uint64
	most          uint64 // the largest amount seen in the pool
	left          int64  // runtime that the queue has in line first
	seen          []poolSight
}

// poolSight is how much a line shows in a pool.
type poolSight struct {
	line int32
	left uint64
}

// poolTimer is a firing of a pool's timer, by the timer's address.
type poolTimer struct {
	line int32
	addr uint64
}

// bandwidth gathers what a line tells of pools.
func (s *schedScan) bandwidth(i int32, l *schedLine) {
	t := s.t
	if l.event == evPeriodTimer {
		s.timers = append(s.timers, poolTimer{i, t.val(l, keyT)})
		return
	}
	q := s.queues[t.val(l, keyCFS)]
	if q == nil {
		return
	}
	p := &q.pool
	if l.event == entry(sched.PointUpdateCurr) && p.first == 0 && t.val(l, keyCurr) != 0 && t.val(l, keyClk) > t.val(l, keyCexec) {
		p.plain, p.open = p.open, i
	}
	left, ok := t.get(l, keyBrt)
	if !ok {
		return
	}
	if p.first == 0 {
		p.first = max(i, 1)
		p.left = int64(t.val(l, keyRem))
	}
	if quota := t.val(l, keyQuota); quota != 0 {
		p.quota, p.period = quota, t.val(l, keyPeriod)
	}
	p.most = max(p.most, left)
	p.seen = append(p.seen, poolSight{i, left})
}

// mergePools gives the queues of one group what all of them tell of its pool.
func (s *schedScan) mergePools() {
	for _, addr := range s.queueAt {
		set := s.members(addr)
		if len(set) == 1 || set[0] != addr && s.queues[set[0]] != nil {
			continue
		}
		all := schedPool{}
		for _, member := range set {
			if q := s.queues[member]; q != nil {
				all.add(&q.pool)
			}
		}
		slices.SortStableFunc(all.seen, func(a, b poolSight) int { return int(a.line - b.line) })
		for _, member := range set {
			if q := s.queues[member]; q != nil {
				left := q.pool.left
				q.pool = all
				q.pool.left = left
			}
		}
	}
}

// add adds what another queue of the group tells.
func (p *schedPool) add(q *schedPool) {
	if q.first == 0 {
		return
	}
	if p.first == 0 || q.first < p.first {
		p.first, p.plain, p.open = q.first, q.plain, q.open
	}
	if q.quota != 0 {
		p.quota, p.period = q.quota, q.period
	}
	p.most = max(p.most, q.most)
	p.seen = append(p.seen, q.seen...)
}

// limit gives a group the limit that its queue shows.
func (r *schedReplay) limit(addr uint64, g sched.GroupID) {
	q := r.scan.queues[addr]
	if q == nil || q.pool.first == 0 {
		return
	}
	p := &q.pool
	if c := r.cgroupOf(addr); p.quota == 0 && c != nil {
		p.quota, p.period = c.limit.quota, c.limit.period
	}
	if p.quota == 0 {
		p.quota, p.period = p.most, 0
		for _, l := range r.limits {
			if l.quota >= p.most && (p.period == 0 || l.quota < p.quota) {
				p.quota, p.period = l.quota, l.period
			}
		}
		// What a queue gives back can make a pool larger than its quota.
		for _, l := range r.limits {
			if p.period == 0 && l.quota < p.most && (p.quota == p.most || l.quota > p.quota) {
				p.quota = l.quota
			}
		}
	}
	if p.plain > 0 {
		r.scan.enable[p.plain+1] = addr
	} else {
		r.k.SetBandwidth(g, p.quota, p.period, 0)
		// Until a line shows it the queue keeps what it has: it must not be
		// throttled for that.
		for _, member := range r.scan.members(addr) {
			if q := r.scan.queues[member]; q != nil {
				st := r.m.Queue(r.queueOf[member])
				st.RuntimeRemaining = q.pool.left
				r.k.SetQueue(r.queueOf[member], st)
			}
		}
	}
	if len(r.pools) == 0 {
		r.findTimers()
	}
}

// enable gives a group its limit when the trace begins to show it.
func (r *schedReplay) enable(addr uint64) {
	p := &r.scan.queues[addr].pool
	r.k.SetBandwidth(r.groupOf[addr], p.quota, p.period, 0)
}

// findTimers finds whose timers fire: the pool's that an unthrottling follows,
// or else the one that has more after it fired and never more without.
func (r *schedReplay) findTimers() {
	addrs := map[uint64]bool{}
	for _, f := range r.scan.timers {
		if !addrs[f.addr] {
			addrs[f.addr] = true
			if q, ok := r.ownerOf(f.addr); ok {
				r.pools[f.addr] = q
			}
		}
	}
	r.lastTimer(addrs)
}

// lastTimer gives the only timer whose pool nothing shows to the only pool
// without one: a pool that is never short is full whenever a line shows it.
func (r *schedReplay) lastTimer(timers map[uint64]bool) {
	var free, alone []uint64
	owned := map[uint64]bool{}
	for t := range timers { // order does not matter: only a single one is used
		if q, ok := r.pools[t]; ok {
			owned[q] = true
		} else {
			free = append(free, t)
		}
	}
	for _, addr := range r.scan.queueAt {
		if r.scan.queues[addr].pool.first != 0 && !owned[addr] {
			alone = append(alone, addr)
		}
	}
	if len(free) == 1 && len(alone) == 1 {
		r.pools[free[0]] = alone[0]
	}
}

func (r *schedReplay) ownerOf(timer uint64) (queue uint64, ok bool) {
	best := 0
	for _, addr := range r.scan.queueAt {
		q := r.scan.queues[addr]
		if q.pool.first == 0 {
			continue
		}
		if n := r.agreement(timer, addr, q.pool.seen); n > best {
			best, queue, ok = n, addr, true
		}
	}
	return queue, ok
}

// agreement counts what speaks for a timer being a pool's, less what speaks
// against it.
func (r *schedReplay) agreement(timer, addr uint64, seen []poolSight) int {
	n, at := 0, 0
	for _, f := range r.scan.timers {
		if f.addr != timer {
			continue
		}
		if next := r.t.next[f.line]; next >= 0 && r.t.lines[next].event == entry(sched.PointDistribute) {
			if u := r.t.next[next]; u >= 0 && r.t.lines[u].event == entry(sched.PointUnthrottle) {
				if r.t.val(&r.t.lines[u], keyCFS) == addr {
					n += 10
				} else {
					n -= 10
				}
			}
		}
		for at < len(seen) && seen[at].line < f.line {
			at++
		}
		if at == 0 || at == len(seen) {
			continue
		}
		if seen[at].left > seen[at-1].left {
			n++
		} else if seen[at].left < seen[at-1].left {
			n--
		}
	}
	return n
}

// periodTimer is the firing of a pool's timer.
func (r *schedReplay) periodTimer(i int32, l *schedLine) {
	addr, ok := r.pools[r.t.val(l, keyT)]
	if !ok {
		r.hint("period timer of an unknown pool")
		return
	}
	r.at = r.t.next[i]
	r.k.PeriodTimer(r.groupOf[addr], 1)
}

// slackTimer is a distribution of runtime that no period timer began; the queue
// that it lets run tells whose it is.
func (r *schedReplay) slackTimer(i int32) {
	next := r.t.next[i]
	if next < 0 || r.t.lines[next].event != entry(sched.PointUnthrottle) {
		return
	}
	if g, ok := r.groupOf[r.t.val(&r.t.lines[next], keyCFS)]; ok {
		r.k.Distribute(g)
	}
}
