package replay

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// A trace names no cgroup. Which queue is whose tells the list of a cgroup's
// tasks after the trace, as those are last seen in its queues.

// cgroupState is what a listing of the cgroups' files says of one.
type cgroupState struct {
	weight uint64 // cpu.weight, 0: unknown
	limit  cpuMax // 0: none
	idle   bool
	procs  []int32
}

// cpuMax is a cgroup's limit, in ns.
type cpuMax struct{ quota, period uint64 }

// cgroupRoot is where the listing's paths begin.
const cgroupRoot = "/sys/fs/cgroup"

// readCgroups reads a listing of the cgroups' files, each under a line
// "== PATH"; the root's path is empty.
func readCgroups(text string) map[string]*cgroupState {
	out := map[string]*cgroupState{}
	path, file := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "== "); ok {
			at := strings.LastIndexByte(name, '/')
			path, file = strings.TrimPrefix(name[:max(at, 0)], cgroupRoot), name[at+1:]
			if out[path] == nil {
				out[path] = &cgroupState{}
			}
			continue
		}
		if g := out[path]; g != nil {
			g.read(file, line)
		}
	}
	return out
}

func (g *cgroupState) read(file, line string) {
	f := strings.Fields(line)
	switch {
	case file == "cpu.max" && len(f) == 2:
		quota, err := strconv.ParseUint(f[0], 10, 40)
		period, err2 := strconv.ParseUint(f[1], 10, 40)
		if err == nil && err2 == nil {
			g.limit = cpuMax{quota * 1000, period * 1000}
		}
	case file == "cpu.weight":
		g.weight, _ = strconv.ParseUint(line, 10, 14)
	case file == "cpu.idle":
		g.idle = line == "1"
	case file == "cgroup.procs":
		if pid, err := strconv.ParseInt(line, 10, 32); err == nil {
			g.procs = append(g.procs, int32(pid))
		}
	}
}

// limitsOf are the limits of a listing's cgroups, in the order of their paths.
func limitsOf(groups map[string]*cgroupState) []cpuMax {
	var out []cpuMax
	for _, path := range slices.Sorted(maps.Keys(groups)) {
		if l := groups[path].limit; l.quota != 0 {
			out = append(out, l)
		}
	}
	return out
}

// shareSeen notes the weight that a group's entity has first: in its queue, or
// when it is given one. Out of its queue it may have none yet.
func (s *schedScan) shareSeen(l *schedLine) {
	t := s.t
	if myq := t.val(l, keyMyq); myq != 0 {
		if v, ok := t.get(l, keyW); ok && t.val(l, keyOnRQ) != 0 {
			s.firstShare(myq, v)
		}
		if v, ok := t.get(l, keyWeight); ok {
			s.firstShare(myq, v)
		}
	}
	if myq := t.val(l, keyCmyq); myq != 0 && t.val(l, keyCurr) != 0 && t.val(l, keyCon) != 0 {
		s.firstShare(myq, t.val(l, keyCw))
	}
}

func (s *schedScan) firstShare(myq, weight uint64) {
	s.most[myq] = max(s.most[myq], weight)
	if _, ok := s.shares[myq]; !ok {
		s.shares[myq] = weight
	}
}

// nameQueues finds the paths of queues by the cgroups' tasks after the trace,
// and unites queues that have the same.
func (s *schedScan) nameQueues(after map[string]*cgroupState) {
	type vote struct {
		addr uint64
		path string
	}
	votes := map[vote]int{}
	for path, g := range after { // order does not matter
		for _, pid := range g.procs {
			addr, ok := s.same.where[pid]
			for up := path; ok && up != ""; up = up[:strings.LastIndexByte(up, '/')] {
				votes[vote{addr, up}]++
				addr, ok = s.same.parent[addr]
			}
		}
	}
	for _, addr := range s.queueAt {
		best := 0
		for _, path := range slices.Sorted(maps.Keys(after)) {
			if n := votes[vote{addr, path}]; n > best && s.depth(addr) == strings.Count(path, "/") {
				best, s.paths[addr] = n, path
			}
		}
	}
	at := map[string]uint64{}
	for _, addr := range s.queueAt {
		if path, ok := s.paths[addr]; ok {
			if other, ok := at[path]; ok {
				s.unite(addr, other)
			}
			at[path] = addr
		}
	}
}

// depth is how many groups a queue lies below the root.
func (s *schedScan) depth(addr uint64) int {
	n := 0
	for ; n < maxDepth; n++ {
		up, ok := s.same.parent[addr]
		if !ok {
			break
		}
		addr = up
	}
	return n
}

// cgroupOf is what the listing before the trace says of a queue's group, nil if
// it is not known which that is.
func (r *schedReplay) cgroupOf(addr uint64) *cgroupState {
	for _, member := range r.scan.members(addr) {
		if path, ok := r.scan.paths[member]; ok {
			return r.cgroups[path]
		}
	}
	return nil
}

// sharesOf is a group's weight before the trace. On several CPUs no line shows it
// whole: it is its cgroup's.
func (r *schedReplay) sharesOf(addr uint64, g *schedObject) uint64 {
	if c := r.cgroupOf(addr); c != nil && c.weight != 0 && !c.idle && r.m.CPUs() > 1 {
		return (c.weight*1024 + 50) / 100 << 10
	}
	if w := r.likelyShares(addr); w != 0 {
		return w
	}
	for _, member := range r.scan.members(addr) {
		if w, ok := r.scan.shares[member]; ok {
			return w
		}
	}
	return r.weightSeen(g, 1<<20)
}

// likelyShares is the weight on several CPUs of a group whose cgroup no task in the
// listing after the trace tells: that of a cgroup as deep which is the least that is
// not below what the group has on one CPU, 0 if there is none or one CPU only.
func (r *schedReplay) likelyShares(addr uint64) uint64 {
	if r.m.CPUs() == 1 {
		return 0
	}
	most, best := uint64(0), uint64(0)
	for _, member := range r.scan.members(addr) {
		most = max(most, r.scan.most[member])
	}
	for path, c := range r.cgroups { // order does not matter
		if w := (c.weight*1024 + 50) / 100 << 10; strings.Count(path, "/") == r.scan.depth(addr) && !c.idle && most > 0 && w >= most && (best == 0 || w < best) {
			best = w
		}
	}
	return best
}

// idleShares is the weight of an idle group, which no other can have.
const idleShares = 3 << 10

// setIdle notes that a group's weight shows it as an idle one, or no longer.
func (r *schedReplay) setIdle(g sched.GroupID, weight uint64) {
	if idle := weight == idleShares; idle || r.m.CPUs() == 1 {
		r.k.MarkIdle(g, idle)
	}
}

// share is the weight of a group's entity on one of several CPUs, which only load
// tracking tells: what the next line gives it, else what it has.
func (r *schedReplay) share(q sched.QueueID, shares uint64) uint64 {
	at := r.at
	for at >= 0 && (r.t.lines[at].consumed || r.t.lines[at].event.passive()) {
		at = r.t.next[at]
	}
	if at >= 0 {
		l := &r.t.lines[at]
		if id, ok := r.queueOf[r.t.val(l, keyMyq)]; ok && id == q && l.event == entry(sched.PointReweightEntity) {
			return r.t.val(l, keyWeight)
		}
	}
	return r.m.Entity(r.m.Queue(q).Entity).Weight
}
