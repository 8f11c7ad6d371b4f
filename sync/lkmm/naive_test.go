package lkmm

import (
	"context"
	"errors"
	"fmt"
	"sort"
)

// The naive twin judges a test the slow way: every combination of paths, every
// source for every read, every permutation of writes, no pruning; all events
// are nodes, also fences and initial writes; relations are matrices of bools,
// and each definition is written as the model's documentation writes it. It
// shares with the package only the paths of the threads.

type brel [][]bool

func newBrel(n int) brel {
	r := make(brel, n)
	for i := range r {
		r[i] = make([]bool, n)
	}
	return r
}

func relOf(n int, f func(i, j int) bool) brel {
	r := newBrel(n)
	for i := range r {
		for j := range r[i] {
			r[i][j] = f(i, j)
		}
	}
	return r
}

func (r brel) zip(s brel, f func(a, b bool) bool) brel {
	return relOf(len(r), func(i, j int) bool { return f(r[i][j], s[i][j]) })
}
func (r brel) or(ss ...brel) brel {
	for _, s := range ss {
		r = r.zip(s, func(a, b bool) bool { return a || b })
	}
	return r
}
func (r brel) and(s brel) brel   { return r.zip(s, func(a, b bool) bool { return a && b }) }
func (r brel) minus(s brel) brel { return r.zip(s, func(a, b bool) bool { return a && !b }) }
func (r brel) inv() brel         { return relOf(len(r), func(i, j int) bool { return r[j][i] }) }
func (r brel) seq(ss ...brel) brel {
	for _, s := range ss {
		out := newBrel(len(r))
		for i := range r {
			for k := range r {
				if r[i][k] {
					for j := range r {
						out[i][j] = out[i][j] || s[k][j]
					}
				}
			}
		}
		r = out
	}
	return r
}
func (r brel) opt() brel { return relOf(len(r), func(i, j int) bool { return i == j || r[i][j] }) }
func (r brel) plus() brel {
	out := relOf(len(r), func(i, j int) bool { return r[i][j] })
	for k := range r {
		for i := range r {
			if out[i][k] {
				for j := range r {
					out[i][j] = out[i][j] || out[k][j]
				}
			}
		}
	}
	return out
}
func (r brel) star() brel { return r.plus().opt() }
func (r brel) isEmpty() bool {
	for i := range r {
		for j := range r {
			if r[i][j] {
				return false
			}
		}
	}
	return true
}
func (r brel) irreflexive() bool {
	for i := range r {
		if r[i][i] {
			return false
		}
	}
	return true
}
func (r brel) acyclic() bool { return r.plus().irreflexive() }

// nev is an event of the naive twin.
type nev struct {
	*event
	thread int // -1: initial write
	index  int // in the path
	cell   Value
	value  Value
}

type naive struct {
	t     *Test
	m     *Model
	drop  Axiom
	ev    []nev
	paths []*path
	rf    map[int]int // read -> write
	co    brel
	out   map[string]int64
	execs int64
	wits  int64
	races int64
	tries int // candidate executions looked at
}

// maxTries bounds the candidates of one program.
const maxTries = 20_000

var errTooMany = errors.New("too many candidate executions")

// naiveRun counts executions by final state.
func naiveRun(t *Test, opt Options) (*naive, error) {
	opt = opt.withDefaults()
	n := &naive{t: t, m: opt.Model, drop: opt.Without, out: map[string]int64{}}
	all, err := unfoldAll(context.Background(), t, &opt)
	if err != nil {
		return nil, err
	}
	n.choosePaths(all)
	if n.tries > maxTries {
		return nil, errTooMany
	}
	return n, nil
}

func (n *naive) choosePaths(all [][]path) {
	if len(all) == 0 {
		n.combination()
		return
	}
	for i := range all[0] {
		n.paths = append(n.paths, &all[0][i])
		n.choosePaths(all[1:])
		n.paths = n.paths[:len(n.paths)-1]
	}
}

// combination lists the events and tries all sources.
func (n *naive) combination() {
	n.ev = nil
	for l := range n.t.Locations {
		n.ev = append(n.ev, nev{event: &event{kind: eventWrite, order: orderOnce, rmw: -1, addr: noSym}, thread: -1,
			cell: addressOf(loc(l)), value: n.t.Locations[l].Init})
	}
	for t, p := range n.paths {
		for i := range p.events {
			if p.events[i].kind != eventNothing {
				n.ev = append(n.ev, nev{event: &p.events[i], thread: t, index: i})
			}
		}
	}
	var reads, writes []int
	for i, e := range n.ev {
		if e.kind == eventRead {
			reads = append(reads, i)
		}
		if e.kind == eventWrite {
			writes = append(writes, i)
		}
	}
	n.rf = map[int]int{}
	n.chooseSources(reads, writes)
}

func (n *naive) chooseSources(reads, writes []int) {
	if n.tries > maxTries {
		return
	}
	if len(reads) == 0 {
		n.tries++
		n.solve(writes)
		return
	}
	for _, w := range writes {
		n.rf[reads[0]] = w
		n.chooseSources(reads[1:], writes)
	}
	delete(n.rf, reads[0])
}

// eval computes a symbol; ok is false for values out of thin air.
func (n *naive) eval(t int, id symID, depth int) (Value, bool) {
	if depth > len(n.ev)+2 {
		return 0, false
	}
	s := n.paths[t].syms.list[id]
	switch s.kind {
	case symConst:
		return s.value, true
	case symRead:
		for r, w := range n.rf {
			if n.ev[r].thread == t && n.ev[r].index == int(s.a) {
				if n.ev[w].thread < 0 {
					return n.ev[w].value, true
				}
				return n.eval(n.ev[w].thread, n.ev[w].val, depth+1)
			}
		}
		return 0, false
	case symUnary:
		a, ok := n.eval(t, s.a, depth)
		return applyUnary(s.op, a), ok
	}
	a, ok := n.eval(t, s.a, depth)
	if !ok {
		return 0, false
	}
	b, ok := n.eval(t, s.b, depth)
	return applyBinary(s.op, a, b), ok
}

// solve computes all values and tries all coherence orders.
func (n *naive) solve(writes []int) {
	for t, p := range n.paths {
		for _, a := range p.asserts {
			if v, ok := n.eval(t, a.sym, 0); !ok || (v != 0) != a.want {
				return
			}
		}
	}
	for i := range n.ev {
		e := &n.ev[i]
		if e.thread < 0 {
			continue
		}
		ok := true
		if e.addr != noSym {
			e.cell, ok = n.eval(e.thread, e.addr, 0)
		}
		if ok && e.isMemory() {
			e.value, ok = n.eval(e.thread, e.val, 0)
		}
		if !ok {
			return
		}
	}
	for r, w := range n.rf {
		if n.ev[r].cell != n.ev[w].cell {
			return
		}
	}
	byCell := map[Value][]int{}
	var cells []Value
	for _, w := range writes {
		c := n.ev[w].cell
		if len(byCell[c]) == 0 {
			cells = append(cells, c)
		}
		byCell[c] = append(byCell[c], w)
	}
	n.co = newBrel(len(n.ev))
	n.chooseOrders(cells, byCell)
}

func (n *naive) chooseOrders(cells []Value, byCell map[Value][]int) {
	if n.tries > maxTries {
		return
	}
	if len(cells) == 0 {
		n.tries += 20 // judging costs more than finding values
		n.judge()
		return
	}
	ws := byCell[cells[0]]
	permute(ws, 1, func(order []int) { // the initial write stays first
		saved := n.co
		n.co = n.co.or(relOf(len(n.ev), func(i, j int) bool { return rank(order, i) >= 0 && rank(order, i) < rank(order, j) }))
		n.chooseOrders(cells[1:], byCell)
		n.co = saved
	})
}

func rank(order []int, x int) int {
	for i, y := range order {
		if x == y {
			return i
		}
	}
	return -1
}

func permute(list []int, k int, f func([]int)) {
	if k >= len(list) {
		f(list)
		return
	}
	for i := k; i < len(list); i++ {
		list[k], list[i] = list[i], list[k]
		permute(list, k+1, f)
		list[k], list[i] = list[i], list[k]
	}
}

// nset is a set of events.
type nset []bool

func (n *naive) set(f func(e *nev) bool) nset {
	out := make(nset, len(n.ev))
	for i := range n.ev {
		out[i] = f(&n.ev[i])
	}
	return out
}

// on is [S].
func (s nset) on() brel { return relOf(len(s), func(i, j int) bool { return i == j && s[i] }) }

func (s nset) not() nset {
	out := make(nset, len(s))
	for i := range s {
		out[i] = !s[i]
	}
	return out
}

func (s nset) and(t nset) nset {
	out := make(nset, len(s))
	for i := range s {
		out[i] = s[i] && t[i]
	}
	return out
}

// judge applies the axioms as the model's text states them.
func (n *naive) judge() {
	N := len(n.ev)
	rel := func(f func(a, b *nev) bool) brel {
		return relOf(N, func(i, j int) bool { return f(&n.ev[i], &n.ev[j]) })
	}
	po := rel(func(a, b *nev) bool { return a.thread >= 0 && a.thread == b.thread && a.index < b.index })
	internal := rel(func(a, b *nev) bool { return a.thread == b.thread })
	ext := rel(func(a, b *nev) bool { return a.thread != b.thread })
	loc := rel(func(a, b *nev) bool {
		return (a.addr != noSym || a.thread < 0) && (b.addr != noSym || b.thread < 0) && a.cell == b.cell
	})
	rf := relOf(N, func(i, j int) bool { w, ok := n.rf[j]; return ok && w == i })
	co := n.co
	fr := rf.inv().seq(co).minus(relOf(N, func(i, j int) bool { return i == j }))
	rmw := rel(func(a, b *nev) bool {
		return a.kind == eventRead && a.thread == b.thread && a.thread >= 0 && a.rmw >= 0 && int(a.rmw) == b.index
	})
	dep := func(get func(e *event) *bitset) brel {
		return rel(func(a, b *nev) bool { return a.thread >= 0 && a.thread == b.thread && get(b.event).has(a.index) })
	}
	addr := dep(func(e *event) *bitset { return &e.addrDeps })
	data := dep(func(e *event) *bitset { return &e.dataDeps })
	ctrl := dep(func(e *event) *bitset { return &e.ctrlDeps })

	R := n.set(func(e *nev) bool { return e.kind == eventRead })
	W := n.set(func(e *nev) bool { return e.kind == eventWrite })
	M := n.set(func(e *nev) bool { return e.isMemory() })
	IW := n.set(func(e *nev) bool { return e.thread < 0 })
	Plain := n.set(func(e *nev) bool { return e.thread >= 0 && e.isPlain() })
	Marked := Plain.not()
	Noreturn := n.set(func(e *nev) bool { return e.order == orderNoReturn && e.kind == eventRead })
	Acquire := n.set(func(e *nev) bool { return e.isAcquire() })
	Release := n.set(func(e *nev) bool { return e.isRelease() })
	RMW := n.set(func(e *nev) bool { return e.flags&flagAtomic != 0 })
	UL := n.set(func(e *nev) bool { return e.flags&flagUL != 0 })
	LKR := n.set(func(e *nev) bool { return e.flags&flagLKR != 0 })
	LKW := n.set(func(e *nev) bool { return e.flags&flagLKW != 0 })
	SU := n.set(func(e *nev) bool { return e.flags&flagSrcuUnlock != 0 })
	SL := n.set(func(e *nev) bool { return e.flags&flagSrcuLock != 0 })
	fence := func(k fenceKind) nset { return n.set(func(e *nev) bool { return e.isFence(k) }) }
	between := func(s nset) brel { return po.seq(s.on(), po) }
	syncRcu := fence(fenceSyncRcu)
	syncSrcu := n.set(func(e *nev) bool { return e.kind == eventSyncSrcu })
	gpSet := n.set(func(e *nev) bool { return e.isGracePeriod() })

	poLoc := po.and(loc)
	rfe, rfi := rf.and(ext), rf.and(internal)
	com := rf.or(co, fr)
	if n.drop&Coherence == 0 && !poLoc.or(com).acyclic() {
		return
	}
	fre, coe := fr.and(ext), co.and(ext)
	torn := rmw.and(fre.seq(coe))
	if n.drop&Atomicity == 0 && !torn.isEmpty() || !LKR.on().seq(torn).isEmpty() {
		return
	}

	// Critical sections.
	rcuRscs := n.match(
		func(e *nev) bool { return e.isFence(fenceRcuLock) },
		func(e *nev) bool { return e.isFence(fenceRcuUnlock) })
	srcuRscs := SL.on().seq(data.seq(SU.not().on(), rf).star(), data, SU.on()).and(loc)
	if n.m.SrcuByNesting {
		for l := range n.t.Locations {
			srcuRscs = srcuRscs.or(n.match(
				func(e *nev) bool { return e.kind == eventSrcuLock && e.cell == addressOf(loc_(l)) },
				func(e *nev) bool { return e.kind == eventSrcuUnlock && e.cell == addressOf(loc_(l)) }))
		}
	}
	memb := fence(fenceMembarrier)
	gaps := n.set(func(e *nev) bool { return e.kind == eventGap })
	if n.m.CarryDep {
		carry := data.seq(SU.not().on(), rfi).star()
		addr, ctrl, data = carry.seq(addr), carry.seq(ctrl), carry.seq(data)
	}

	acqPo := Acquire.on().seq(po, M.on())
	poRel := M.on().seq(po, Release.on())
	pulp := po.seq(UL.on(), po.or(rf), LKR.on(), po)
	R4rmb := R.and(Noreturn.not())
	rmb := R4rmb.on().seq(between(fence(fenceRmb)), R4rmb.on())
	wmb := W.on().seq(between(fence(fenceWmb)), W.on())
	mb := M.on().seq(between(fence(fenceMb)), M.on()).or(
		M.on().seq(between(fence(fenceBeforeAtomic)), RMW.on(), po.opt(), M.on()),
		M.on().seq(po.opt(), RMW.on(), between(fence(fenceAfterAtomic)), M.on()),
		M.on().seq(po.opt(), LKW.on(), between(fence(fenceAfterSpinlock)), M.on()),
		M.on().seq(po.opt(), SU.on(), between(fence(fenceAfterSrcuUnlock)), M.on()))
	if n.m.UnlockLockDirect {
		mb = mb.or(M.on().seq(pulp, fence(fenceAfterUnlockLock).on(), po, M.on()))
	} else {
		mb = mb.or(M.on().seq(po, UL.on(), co.or(po), LKW.on(), between(fence(fenceAfterUnlockLock)), M.on()))
	}
	gp := po.seq(gpSet.on(), po.opt())
	strong := mb.or(gp)
	nonrw := strong.or(poRel, acqPo)
	fenceRel := nonrw.or(wmb, rmb)

	overwrite := co.or(fr)
	deps := addr.or(data)
	rwdep := deps.or(ctrl).seq(W.on())
	toW := rwdep.or(overwrite.and(internal), addr.seq(Plain.on(), wmb))
	toR := addr
	if n.m.AddrReadsOnly {
		toR = addr.seq(R.on())
	}
	toR = toR.or(deps.seq(Marked.on(), rfi))
	fenceInPpo := fenceRel
	if n.m.LocalFence {
		fenceInPpo = fenceRel.and(internal)
	}
	ppo := toR.or(toW, fenceInPpo, pulp.and(internal))
	mk := Marked.on()
	cumul := mk.seq(rfe.seq(mk).opt().seq(strong.or(poRel)).or(wmb, pulp), mk)
	rmwSequence := relOf(N, func(i, j int) bool { return i == j })
	if n.m.RmwSequence {
		rmwSequence = rf.seq(rmw).star()
		cumul = cumul.seq(rmwSequence)
	}
	prop := mk.seq(overwrite.and(ext).opt(), cumul.star(), mk, rfe.opt(), mk)
	id := relOf(N, func(i, j int) bool { return i == j })
	hb := mk.seq(ppo.or(rfe, prop.minus(id).and(internal)), mk)
	if n.drop&HappensBefore == 0 && !hb.acyclic() {
		return
	}
	pb := prop.seq(strong, hb.star(), mk)
	if n.drop&Propagation == 0 && !pb.acyclic() {
		return
	}

	link := po.opt().seq(hb.star(), pb.star(), prop, po)
	rcuGp, srcuGp, membGp := syncRcu.on(), syncSrcu.on(), memb.on()
	rscsi, srscsi, gapsi := rcuRscs.inv(), srcuRscs.inv(), gaps.on()
	order := newBrel(N)
	for {
		next := rcuGp.or(srcuGp, membGp,
			membGp.seq(link, gapsi), gapsi.seq(link, membGp),
			membGp.seq(link, order, link, gapsi), gapsi.seq(link, order, link, membGp),
			rcuGp.seq(link, rscsi), srcuGp.seq(link, srscsi).and(loc),
			rscsi.seq(link, rcuGp), srscsi.seq(link, srcuGp).and(loc),
			rcuGp.seq(link, order, link, rscsi), srcuGp.seq(link, order, link, srscsi).and(loc),
			rscsi.seq(link, order, link, rcuGp), srscsi.seq(link, order, link, srcuGp).and(loc),
			order.seq(link, order))
		if next.minus(order).isEmpty() {
			break
		}
		order = order.or(next)
	}
	rcuFence := po.seq(order, po.opt())
	fenceRel = fenceRel.or(rcuFence)
	strong = strong.or(rcuFence)
	rb := prop.seq(rcuFence, hb.star(), pb.star(), mk)
	if n.drop&RCU == 0 && !rb.irreflexive() {
		return
	}

	// Plain accesses.
	xb := hb.or(pb, rb).star()
	vis := cumul.star().seq(rfe.opt(), mk, strong.seq(mk, xb).or(xb.and(internal)))
	wPre := mk.seq(addr.or(fenceRel).opt())
	rPre := mk.seq(addr.or(nonrw, R4rmb.on().seq(between(fence(fenceRmb)), Noreturn.not().on())).opt())
	wPost := fenceRel.opt().seq(mk, rmwSequence)
	rPost := nonrw.or(Noreturn.not().on().seq(between(fence(fenceRmb)), R4rmb.on())).opt().seq(mk)
	wwVis := fenceRel.or(strong.seq(xb, wPre), wPost.seq(vis, wPre))
	wrVis := fenceRel.or(strong.seq(xb, rPre), wPost.seq(vis, rPre))
	rwXb := fenceRel.or(rPost.seq(xb, wPre))
	pre := relOf(N, func(i, j int) bool { return ext[i][j] && (Plain[i] && M[j] || M[i] && !IW[i] && Plain[j]) })
	wrIncoh := pre.and(rf).and(rwXb.inv())
	rwIncoh := pre.and(fr).and(wrVis.inv())
	wwIncoh := pre.and(co).and(wwVis.inv())
	if n.drop&PlainCoherence == 0 && !wrIncoh.or(rwIncoh, wwIncoh).isEmpty() {
		return
	}
	nonrace := relOf(N, func(i, j int) bool {
		return wwVis[i][j] && (Marked[i] && W[j] || rwXb[i][j]) && (W[i] && Marked[j] || wrVis[i][j])
	})
	race := pre.and(co).minus(nonrace).or(
		pre.and(co.opt().seq(rf)).minus(wrVis).minus(rwXb.inv()),
		pre.and(fr).minus(rwXb))
	n.count(!race.isEmpty())
}

// match pairs nested markers like parentheses.
func (n *naive) match(lock, unlock func(e *nev) bool) brel {
	out := newBrel(len(n.ev))
	var open []int
	for i := range n.ev {
		e := &n.ev[i]
		if i > 0 && n.ev[i-1].thread != e.thread {
			open = nil
		}
		switch {
		case lock(e):
			open = append(open, i)
		case unlock(e) && len(open) > 0:
			out[open[len(open)-1]][i] = true
			open = open[:len(open)-1]
		}
	}
	return out
}

// loc_ converts an index; the name loc is taken where it is used.
func loc_(l int) loc { return loc(l) }

// count notes a consistent execution.
func (n *naive) count(race bool) {
	value := func(o int) (Value, bool) {
		ob := n.t.observed[o]
		if ob.thread >= 0 {
			return n.eval(ob.thread, n.paths[ob.thread].regs[ob.reg], 0)
		}
		last := -1
		for i, e := range n.ev {
			if e.kind == eventWrite && e.cell == addressOf(ob.loc) && (last < 0 || n.co[last][i]) {
				last = i
			}
		}
		return n.ev[last].value, true
	}
	if n.t.filter.eval(value) != holds {
		return
	}
	key := ""
	for o := range n.t.observed {
		v, _ := value(o)
		key += fmt.Sprint(v, " ")
	}
	n.out[key]++
	n.execs++
	if n.t.condition.eval(value) == holds {
		n.wits++
	}
	if race {
		n.races++
	}
}

// states prints what was counted, in order.
func (n *naive) states() string {
	var keys []string
	for k, c := range n.out {
		keys = append(keys, fmt.Sprint(k, "x", c))
	}
	sort.Strings(keys)
	return fmt.Sprintf("%d executions, %d witnesses, race %v: %v", n.execs, n.wits, n.races > 0, keys)
}

// asNaive prints a result the same way.
func (r *Result) asNaive() string {
	var keys []string
	for _, s := range r.States {
		key := ""
		for _, v := range s.Values {
			key += fmt.Sprint(v, " ")
		}
		keys = append(keys, fmt.Sprint(key, "x", s.Executions))
	}
	sort.Strings(keys)
	return fmt.Sprintf("%d executions, %d witnesses, race %v: %v", r.Executions, r.Witnesses, r.Race != nil, keys)
}
