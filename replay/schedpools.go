package replay

import (
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// schedPool is what a trace tells of the limit of a queue's group.
type schedPool struct {
	first         int32 // first line that charges its runtime, 0: it has no limit
	plain         int32 // last line before that charges the queue but no runtime
	open          int32 // last line that charges the queue
	quota, period uint64
	most          uint64 // the largest amount seen in the pool
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
	if l.event == entry(sched.PointReweightEntity) {
		if myq := t.val(l, keyMyq); myq != 0 {
			if _, ok := s.shares[myq]; !ok {
				s.shares[myq] = t.val(l, keyWeight)
			}
		}
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
	}
	if quota := t.val(l, keyQuota); quota != 0 {
		p.quota, p.period = quota, t.val(l, keyPeriod)
	}
	p.most = max(p.most, left)
	p.seen = append(p.seen, poolSight{i, left})
}

// cpuMax is a cgroup's limit.
type cpuMax struct{ quota, period uint64 }

// limitsOf reads the limits from a listing of the cgroups' files.
func limitsOf(text string) []cpuMax {
	var out []cpuMax
	file := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "== "); ok {
			file = name
			continue
		}
		f := strings.Fields(line)
		if len(f) != 2 || !strings.HasSuffix(file, "cpu.max") {
			continue
		}
		quota, err := strconv.ParseUint(f[0], 10, 40)
		period, err2 := strconv.ParseUint(f[1], 10, 40)
		if err == nil && err2 == nil {
			out = append(out, cpuMax{quota * 1000, period * 1000})
		}
	}
	return out
}

// limit gives a group the limit that its queue shows.
func (r *schedReplay) limit(addr uint64, g sched.GroupID) {
	q := r.scan.queues[addr]
	if q == nil || q.pool.first == 0 {
		return
	}
	p := &q.pool
	if p.quota == 0 {
		p.quota, p.period = p.most, 0
		for _, l := range r.limits {
			if l.quota >= p.most && (p.period == 0 || l.quota < p.quota) {
				p.quota, p.period = l.quota, l.period
			}
		}
	}
	if p.plain > 0 {
		r.scan.enable[p.plain+1] = addr
	} else {
		r.k.SetBandwidth(g, p.quota, p.period, 0)
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
