package lkmm

// step is a labelled edge of a path.
type step struct {
	from, to int
	label    string
}

// shortestPath finds the fewest steps from one node to another; nil if there
// are none. A path from a node to itself has at least one step.
func shortestPath(n, from, to int, next func(i int) []step) []step {
	via := make([]step, n)
	seen := make([]bool, n)
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, st := range next(queue[0]) {
			if seen[st.to] {
				continue
			}
			seen[st.to], via[st.to] = true, st
			if st.to == to {
				return backtrack(via, from, to)
			}
			queue = append(queue, st.to)
		}
	}
	return nil
}

func backtrack(via []step, from, to int) []step {
	var out []step
	for node := to; ; node = out[0].from {
		out = append([]step{via[node]}, out...)
		if out[0].from == from {
			return out
		}
	}
}

// shortestCycle finds the fewest steps that lead from some node back to it.
func shortestCycle(n int, next func(i int) []step) []step {
	var best []step
	for i := 0; i < n; i++ {
		if c := shortestPath(n, i, i, next); c != nil && (best == nil || len(c) < len(best)) {
			best = c
		}
	}
	return best
}

// follow lists the steps of a relation.
func follow(r *relation, label string) func(i int) []step {
	return func(i int) []step {
		var out []step
		to := r.row(i)
		for j := to.first(); j >= 0; j = to.next(j + 1) {
			out = append(out, step{i, j, label})
		}
		return out
	}
}

// expand replaces every step by what explains it.
func expand(steps []step, by func(from, to int) []step) []step {
	var out []step
	for _, st := range steps {
		out = append(out, by(st.from, st.to)...)
	}
	return out
}

// cycleOf explains a broken axiom by a cycle of basic relations.
func (s *search) cycleOf(broken Axiom) []step {
	c := &s.check
	switch broken {
	case HappensBefore:
		return expand(shortestCycle(c.x.n, follow(&c.hb, "")), c.explainHb)
	case Propagation:
		return expand(shortestCycle(c.x.n, follow(&c.pb, "")), c.explainPb)
	case RCU:
		return c.explainRcu()
	case PlainCoherence:
		return c.explainPlain()
	}
	return nil
}

// explainHb takes a step of hb apart.
func (c *checker) explainHb(i, j int) []step {
	switch {
	case c.rfe.has(i, j):
		return []step{{i, j, "rf"}}
	case c.x.thread[i] == c.x.thread[j]:
		if label := c.orderLabel(i, j); label != "" {
			return []step{{i, j, label}}
		}
		if st := c.explainForward(i, j); st != nil {
			return st
		}
	case !c.model.LocalFence && c.fence.has(i, j):
		return c.explainStrong(i, j)
	}
	return c.explainProp(i, j)
}

// orderLabel names what orders two events of a thread.
func (c *checker) orderLabel(i, j int) string {
	x := c.x
	switch {
	case c.fence.has(i, j):
		return c.fenceLabel(i, j)
	case x.co.has(i, j):
		return "co"
	case c.fr.has(i, j):
		return "fr"
	case c.addr.has(i, j):
		return "addr"
	case c.data.has(i, j):
		return "data"
	case c.ctrl.has(i, j) && x.write.has(j):
		return "ctrl"
	case c.unlockLock.has(i, j):
		return "unlock-lock"
	}
	return ""
}

// fenceLabel names the fence between two events of a thread, the strongest if
// there are several.
func (c *checker) fenceLabel(i, j int) string {
	x := c.x
	switch {
	case c.strong.has(i, j):
		return c.strongLabel(i, j)
	case x.events[i].isAcquire() && c.ordered.has(i, j):
		return "acquire"
	case x.toRelease.has(i, j):
		return "release"
	case x.wmb.has(i, j):
		return "wmb"
	}
	return "rmb"
}

// strongLabel names a full barrier or grace period between two events.
func (c *checker) strongLabel(i, j int) string {
	x := c.x
	for node := i + 1; node <= j && node < x.n; node++ {
		if e := x.events[node]; e.isGracePeriod() && x.thread[node] == x.thread[i] {
			if e.kind == eventSyncSrcu {
				return "synchronize_srcu"
			}
			return fenceNames[e.fence]
		}
	}
	return "mb"
}

// explainForward: a write depends on i, and j reads from it.
func (c *checker) explainForward(i, j int) []step {
	x := c.x
	if !x.read.has(j) || x.rf[j] < 0 {
		return nil
	}
	w := int(x.rf[j])
	switch {
	case c.addr.has(i, w):
		return []step{{i, w, "addr"}, {w, j, "rf"}}
	case c.data.has(i, w):
		return []step{{i, w, "data"}, {w, j, "rf"}}
	}
	return nil
}

// explainStrong takes a step of strong-fence apart, which may pass through a
// lock that changes hands.
func (c *checker) explainStrong(i, j int) []step {
	if c.x.thread[i] == c.x.thread[j] {
		return []step{{i, j, c.strongLabel(i, j)}}
	}
	return []step{{i, j, "unlock-lock, mb"}}
}

// explainProp takes a step of prop apart: an overwrite by another thread,
// cumulative fences, a read by another thread.
func (c *checker) explainProp(i, j int) []step {
	x := c.x
	for start := 0; start < x.n; start++ {
		var out []step
		switch {
		case start == i:
		case x.thread[start] == x.thread[i]:
			continue
		case x.co.has(i, start):
			out = []step{{i, start, "co"}}
		case c.fr.has(i, start):
			out = []step{{i, start, "fr"}}
		default:
			continue
		}
		for end := 0; end < x.n; end++ {
			if end != j && !c.rfe.has(end, j) {
				continue
			}
			middle, ok := c.explainCumul(start, end)
			if !ok {
				continue
			}
			out = append(out, middle...)
			if end != j {
				out = append(out, step{end, j, "rf"})
			}
			return out
		}
	}
	return nil
}

// explainCumul finds a chain of cumulative fences.
func (c *checker) explainCumul(start, end int) ([]step, bool) {
	if start == end {
		return nil, true
	}
	path := shortestPath(c.x.n, start, end, follow(&c.cumul, ""))
	return expand(path, c.explainFence), path != nil
}

// explainFence takes a step of cumul-fence apart: perhaps a read by another
// thread first, a fence, perhaps read-modify-writes behind it.
func (c *checker) explainFence(i, j int) []step {
	x := c.x
	for target, tail := j, []step(nil); ; {
		if st := c.plainFence(i, target); st != nil {
			return append(st, tail...)
		}
		readers := c.rfe.row(i)
		for r := readers.first(); r >= 0; r = readers.next(r + 1) {
			if st := c.plainFence(r, target); st != nil {
				return append(append([]step{{i, r, "rf"}}, st...), tail...)
			}
		}
		r := int(x.rmw[target])
		if r < 0 || x.rf[r] < 0 || len(tail) > 2*x.n {
			return []step{{i, j, "cumul-fence"}}
		}
		w := int(x.rf[r])
		tail = append([]step{{w, r, "rf"}, {r, target, "rmw"}}, tail...)
		target = w
	}
}

// plainFence is a fence step without anything before or behind.
func (c *checker) plainFence(i, j int) []step {
	x := c.x
	switch {
	case c.strong.has(i, j):
		return c.explainStrong(i, j)
	case x.toRelease.has(i, j):
		return []step{{i, j, "release"}}
	case x.wmb.has(i, j):
		return []step{{i, j, "wmb"}}
	case c.unlockLock.has(i, j):
		return []step{{i, j, "unlock-lock"}}
	}
	return nil
}

// explainPb takes a step of pb apart: prop, a strong fence, any number of hb.
func (c *checker) explainPb(i, j int) []step {
	x := c.x
	for a := c.prop.row(i).first(); a >= 0; a = c.prop.row(i).next(a + 1) {
		for b := c.strong.row(a).first(); b >= 0; b = c.strong.row(a).next(b + 1) {
			if !c.hbStar.has(b, j) {
				continue
			}
			var out []step
			if a != i {
				out = c.explainProp(i, a)
			}
			out = append(out, c.explainStrong(a, b)...)
			if b != j {
				out = append(out, expand(shortestPath(x.n, b, j, follow(&c.hb, "")), c.explainHb)...)
			}
			return out
		}
	}
	return nil
}

// explainRcu finds a cycle of grace periods and critical sections, at least as
// many of the former.
func (c *checker) explainRcu() []step {
	k := &c.rcu
	var best []int
	for start := range k.units {
		if u := k.unitCycle([]int{start}, 0); u != nil && (best == nil || len(u) < len(best)) {
			best = u
		}
	}
	var out []step
	for i, u := range best {
		v := best[(i+1)%len(best)]
		if in, end := int(k.units[u].in), int(k.units[u].out); in != end {
			out = append(out, step{in, end, "critical section"})
		}
		out = append(out, c.explainLink(int(k.units[u].out), int(k.units[v].in))...)
	}
	return out
}

// unitCycle extends a chain of units, none of them twice, to a cycle with
// enough grace periods.
func (k *rcuChecker) unitCycle(chain []int, balance int) []int {
	last := chain[len(chain)-1]
	if k.units[last].gp {
		balance++
	} else {
		balance--
	}
	if k.link.has(last, chain[0]) && balance >= 0 {
		return chain
	}
	var best []int
	for next := chain[0] + 1; next < len(k.units) && len(chain) < 8; next++ {
		used := false
		for _, u := range chain {
			used = used || u == next
		}
		if used || !k.link.has(last, next) {
			continue
		}
		found := k.unitCycle(append(chain[:len(chain):len(chain)], next), balance)
		if found != nil && (best == nil || len(found) < len(best)) {
			best = found
		}
	}
	return best
}

// explainLink takes an rcu-link apart: program order, hb, pb and prop, program
// order.
func (c *checker) explainLink(from, to int) []step {
	x := c.x
	for a := 0; a < x.n; a++ {
		if a != from && (x.thread[a] != x.thread[from] || a < from) {
			continue
		}
		for b := 0; b < x.n; b++ {
			if x.thread[b] != x.thread[to] || b >= to {
				continue
			}
			if middle, ok := c.explainOrder(a, b); ok {
				out := []step{{from, a, "po"}}
				out = append(out, middle...)
				return append(out, step{b, to, "po"})
			}
		}
	}
	return []step{{from, to, "rcu-link"}}
}

// explainOrder explains hb* ; pb* ; prop.
func (c *checker) explainOrder(a, b int) ([]step, bool) {
	x := c.x
	for m := 0; m < x.n; m++ {
		if !c.hbStar.has(a, m) {
			continue
		}
		for l := 0; l < x.n; l++ {
			if !c.pbStar.has(m, l) || !c.prop.has(l, b) {
				continue
			}
			var out []step
			if a != m {
				out = append(out, expand(shortestPath(x.n, a, m, follow(&c.hb, "")), c.explainHb)...)
			}
			if m != l {
				out = append(out, expand(shortestPath(x.n, m, l, follow(&c.pb, "")), c.explainPb)...)
			}
			if l != b {
				out = append(out, c.explainProp(l, b)...)
			}
			return out, true
		}
	}
	return nil, false
}

// explainPlain shows a coherence edge against the order that is known.
func (c *checker) explainPlain() []step {
	x, p := c.x, &c.plain
	for a := x.mem.first(); a >= 0; a = x.mem.next(a + 1) {
		if x.read.has(a) {
			if src := int(x.rf[a]); src >= 0 && p.candidate(src, a) && p.rwXb.has(a, src) {
				return []step{{src, a, "rf"}, {a, src, "executes before"}}
			}
		}
		for b := x.write.first(); b >= 0; b = x.write.next(b + 1) {
			switch {
			case !p.candidate(a, b):
			case c.fr.has(a, b) && p.wrVis.has(b, a):
				return []step{{a, b, "fr"}, {b, a, "visible"}}
			case x.co.has(a, b) && p.wwVis.has(b, a):
				return []step{{a, b, "co"}, {b, a, "visible"}}
			}
		}
	}
	return nil
}
