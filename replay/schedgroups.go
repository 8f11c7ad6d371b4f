package replay

// A trace shows fair queues by their addresses. On one CPU a queue is a group;
// on several it takes more to tell which queues are one group's: a task that
// goes from one CPU to another, without having changed its group, is in the same
// group there, and so are the groups above.

// maxDepth is how deep groups are followed; broken lines can have them contain
// each other.
const maxDepth = 64

// groupQueues gathers which queues belong to one group.
type groupQueues struct {
	sets   map[uint64][]uint64 // by address: its group's queues
	where  map[int32]uint64    // by pid: the queue in which a task was seen last
	runs   map[int32]int32     // by CPU: the task that runs
	parent map[uint64]uint64   // by a group queue's address: the queue that its entity is in
	links  []queueLink
}

// queueLink is two queues between which a task went.
type queueLink struct{ a, b uint64 }

func newGroupQueues() groupQueues {
	return groupQueues{sets: map[uint64][]uint64{}, where: map[int32]uint64{}, runs: map[int32]int32{}, parent: map[uint64]uint64{}}
}

// seen notes that a line shows an entity in a queue.
func (s *schedScan) seen(addr uint64, pid int32, myq uint64) {
	if myq != 0 {
		s.same.parent[myq] = addr
		return
	}
	if last, ok := s.same.where[pid]; ok && last != addr {
		s.same.links = append(s.same.links, queueLink{last, addr})
	}
	s.same.where[pid] = addr
}

// born notes that a task is forked: in the group of the one that runs.
func (s *schedScan) born(cpu, pid int32) {
	if addr, ok := s.same.where[s.same.runs[cpu]]; ok {
		s.same.where[pid] = addr
	}
}

// unite notes that two queues are one group's, and so are those above them. Two
// queues of one CPU are not.
func (s *schedScan) unite(a, b uint64) {
	for range maxDepth {
		left, right := s.members(a), s.members(b)
		if left[0] == right[0] || !s.disjoint(left, right) {
			return
		}
		all := append(left[:len(left):len(left)], right...)
		for _, q := range all {
			s.same.sets[q] = all
		}
		up, ok := s.same.parent[a]
		other, ok2 := s.same.parent[b]
		if !ok || !ok2 || up == other {
			return
		}
		a, b = up, other
	}
}

func (s *schedScan) members(addr uint64) []uint64 {
	if set, ok := s.same.sets[addr]; ok {
		return set
	}
	return []uint64{addr}
}

// disjoint says that no queue of a set is on the CPU of one of the other's.
func (s *schedScan) disjoint(a, b []uint64) bool {
	for _, x := range a {
		for _, y := range b {
			if s.cpuOf(x) == s.cpuOf(y) {
				return false
			}
		}
	}
	return true
}

// cpuOf is the CPU of a queue, 0 for an unknown one.
func (s *schedScan) cpuOf(addr uint64) int32 {
	for range maxDepth {
		up, ok := s.same.parent[addr]
		if !ok {
			break
		}
		addr = up
	}
	if q := s.queues[addr]; q != nil {
		return q.cpu
	}
	return 0
}

// uniteQueues finds which queues are one group's.
func (s *schedScan) uniteQueues() {
	for _, l := range s.same.links {
		s.unite(l.a, l.b)
	}
	for _, addr := range s.queueAt {
		for _, other := range s.members(addr) {
			up, ok := s.same.parent[addr]
			above, ok2 := s.same.parent[other]
			if ok && ok2 && up != above {
				s.unite(up, above)
			}
		}
	}
}
