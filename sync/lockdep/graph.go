package lockdep

// depKind is a set of the four kinds of a dependency, one bit each: bit number 0
// SR, 1 ER, 2 SN, 3 EN (S shared or E exclusive before, R recursive reader or N not
// after). Backwards the roles are swapped, so that one search serves both
// directions.
type depKind uint8

const (
	depSR depKind = 1 << iota
	depER
	depSN
	depEN
)

func forwardDep(prev, next *held) depKind {
	return dep(prev.read == 0, next.read != 2)
}

func backwardDep(prev, next *held) depKind {
	return dep(next.read != 2, prev.read == 0)
}

func dep(near, far bool) depKind {
	k := depSR
	if near {
		k <<= 1
	}
	if far {
		k <<= 2
	}
	return k
}

// edge is a dependency between two classes, in the list of one of them.
type edge struct {
	class ClassID
	next  int32
	// parent and onlyXR belong to the last search that came here: the edge before,
	// and whether the path to here ends only in recursive readers (backwards: only
	// begins shared).
	parent int32
	trace  int32
	// distance is how many locks apart the two were held, 1 for neighbours.
	distance uint16
	dep      depKind
	onlyXR   bool
}

// edgeList is a list of edges, first and last; 0 is none.
type edgeList struct{ head, tail int32 }

// Edges 0 and 1 are no dependencies but where searches start.
const (
	rootAfter = iota
	rootBefore
	rootEdges
)

func (v *Validator) addEdge(list *edgeList, to ClassID, distance int, kind depKind, trace int32) {
	id := int32(len(v.edges))
	v.edges = append(v.edges, edge{class: to, dep: kind, trace: trace, distance: uint16(distance)})
	if list.tail == 0 {
		list.head = id
	} else {
		v.edges[list.tail].next = id
	}
	list.tail = id
	v.liveEdges++
}

// dropEdges unlinks the edges of a list that lead to a class.
func (v *Validator) dropEdges(list *edgeList, to ClassID) {
	var kept edgeList
	for e := list.head; e != 0; {
		next := v.edges[e].next
		if v.edges[e].class == to {
			v.liveEdges--
		} else {
			if kept.tail == 0 {
				kept.head = e
			} else {
				v.edges[kept.tail].next = e
			}
			kept.tail = e
		}
		v.edges[e].next = 0
		e = next
	}
	*list = kept
}

func (v *Validator) findEdge(list edgeList, to ClassID) int32 {
	for e := list.head; e != 0; e = v.edges[e].next {
		if v.edges[e].class == to {
			return e
		}
	}
	return 0
}

func (v *Validator) neighbours(list edgeList) []ClassID {
	var out []ClassID
	for e := list.head; e != 0; e = v.edges[e].next {
		out = append(out, v.edges[e].class)
	}
	return out
}

func (v *Validator) setRoot(root int32, c ClassID, onlyXR bool) {
	v.edges[root] = edge{class: c, parent: -1, onlyXR: onlyXR}
}

// query is what a search looks for.
type query struct {
	kind queryKind
	// class and read: a class to reach, and how it is held (findConflict).
	class ClassID
	read  uint8
	// mask: uses to find (findUsage); gathered: where they are collected.
	mask     Usage
	gathered *Usage
	count    *int
}

type queryKind uint8

const (
	findConflict queryKind = iota
	findUsage
	gatherUsage
	countAll
)

// matches says whether an edge is what a search looks for.
func (v *Validator) matches(e *edge, q *query) bool {
	usage := v.classes[e.class].usage
	if e.onlyXR {
		// Only a use that waits for readers closes the cycle here.
		usage &= maskWrite
	}
	switch q.kind {
	case findConflict:
		return e.class == q.class && (q.read == 0 || !e.onlyXR)
	case findUsage:
		return usage&q.mask != 0
	case gatherUsage:
		*q.gathered |= usage
	case countAll:
		*q.count++
	}
	return false
}

// search walks strong paths breadth first from a root edge and returns the first
// edge that matches, or -1; Validator.edges then has the path in parent. A class is
// walked once, by the first edge that reaches it (__bfs). skipSpecial leaves out
// classes that are no real locks, as the interrupt checks do.
func (v *Validator) search(root int32, forwards, skipSpecial bool, q query) int32 {
	v.searches++
	v.queue = append(v.queue[:0], root)
	at := int32(-1)
	for front := 0; ; {
		if at >= 0 {
			at = v.sibling(at)
		}
		if at < 0 {
			if front == len(v.queue) {
				return -1
			}
			at = v.queue[front]
			front++
		}
		e := &v.edges[at]
		c := &v.classes[e.class]
		if c.seen == v.searches {
			continue
		}
		c.seen = v.searches
		if !v.strong(e) || skipSpecial && c.lockType != LockNormal {
			continue
		}
		if v.matches(e, &q) {
			return at
		}
		list := c.before
		if forwards {
			list = c.after
		}
		v.expand(at, list)
		v.stats.MaxBFSDepth = max(v.stats.MaxBFSDepth, len(v.queue)-front)
	}
}

// sibling is the next edge of the same list, -1 if there is none; the root has
// none.
func (v *Validator) sibling(e int32) int32 {
	if next := v.edges[e].next; e >= rootEdges && next != 0 {
		return next
	}
	return -1
}

// strong says whether an edge prolongs the strong path to its parent, and notes
// whether only recursive readers are left at its end.
func (v *Validator) strong(e *edge) bool {
	if e.parent < 0 {
		return true
	}
	k := e.dep
	if v.edges[e.parent].onlyXR {
		k &^= depSR | depSN
	}
	if k == 0 {
		return false
	}
	e.onlyXR = k&(depSN|depEN) == 0
	return true
}

// expand queues the first edge of a list; its siblings follow it.
func (v *Validator) expand(from int32, list edgeList) {
	for e := list.head; e != 0; e = v.edges[e].next {
		v.edges[e].parent = from
	}
	if list.head != 0 {
		v.queue = append(v.queue, list.head)
	}
}

// reach counts the classes of a class's subgraph, itself included.
func (v *Validator) reach(c ClassID, forwards bool) int {
	n := 0
	v.setRoot(rootAfter, c, false)
	v.search(rootAfter, forwards, false, query{kind: countAll, count: &n})
	return n
}

// addDependencies adds what a lock being taken depends on: the held locks of its
// context back to the first that was not a trylock (check_prevs_add).
func (v *Validator) addDependencies(t *Task, next *held) *Report {
	trace := int32(0)
	for i := len(t.held) - 1; i >= 0; i-- {
		prev := &t.held[i]
		if prev.irqContext != next.irqContext {
			break
		}
		if !prev.check {
			continue
		}
		if r := v.addDependency(t, prev, next, len(t.held)-i, &trace); r != nil {
			return r
		}
		if !prev.try {
			break
		}
	}
	return nil
}

// addDependency proves that prev -> next closes no cycle and joins no interrupt
// uses that exclude each other, and adds it (check_prev_add).
func (v *Validator) addDependency(t *Task, prev, next *held, distance int, trace *int32) *Report {
	if prev.class == next.class && v.ordered(prev, next) {
		return nil
	}
	v.stats.CyclicChecks++
	v.setRoot(rootAfter, next.class, next.read == 2)
	found := v.search(rootAfter, true, false, query{kind: findConflict, class: prev.class, read: prev.read})
	if found >= 0 {
		if prev.class == next.class {
			return v.reportRecursion(t, next, prev)
		}
		return v.reportCircular(t, next, prev, found)
	}
	if r := v.checkIRQUsage(t, prev, next); r != nil {
		return r
	}
	return v.link(t, prev, next, distance, trace)
}

// link adds the edges of a proven dependency in both directions, or its kind to
// those that there are.
func (v *Validator) link(t *Task, prev, next *held, distance int, trace *int32) *Report {
	p, n := &v.classes[prev.class], &v.classes[next.class]
	if e := v.findEdge(p.after, next.class); e != 0 {
		back := v.findEdge(n.before, prev.class)
		if distance == 1 {
			v.edges[e].distance, v.edges[back].distance = 1, 1
		}
		v.edges[e].dep |= forwardDep(prev, next)
		v.edges[back].dep |= backwardDep(prev, next)
		return nil
	}
	if v.liveEdges+2 > v.cfg.MaxDependencies {
		return v.limit(t, "MAX_LOCKDEP_ENTRIES")
	}
	if *trace == 0 {
		*trace = v.saveTrace(t)
	}
	v.addEdge(&p.after, next.class, distance, forwardDep(prev, next), *trace)
	v.addEdge(&n.before, prev.class, distance, backwardDep(prev, next), *trace)
	return nil
}
