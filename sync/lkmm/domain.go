package lkmm

import (
	"context"
	"slices"
)

// maxDomain bounds the values that the analysis tells apart.
const maxDomain = 32

// domain is the set of values that something may have; nil values with top
// set mean: any.
type domain struct {
	top    bool
	values []Value // sorted
}

// add inserts v and says whether that changed d.
func (d *domain) add(v Value) bool {
	if d.top {
		return false
	}
	i, found := slices.BinarySearch(d.values, v)
	if found {
		return false
	}
	if len(d.values) == maxDomain {
		d.top, d.values = true, nil
		return true
	}
	d.values = slices.Insert(d.values, i, v)
	return true
}

func (d *domain) merge(e domain) bool {
	if e.top && !d.top {
		d.top, d.values = true, nil
		return true
	}
	changed := false
	for _, v := range e.values {
		changed = d.add(v) || changed
	}
	return changed
}

// cell is a place in memory: a shared variable, an element of an array, or
// whatever else an address turned out to name.
type cell struct {
	addr Value
	init Value
	dom  domain
}

// cells are all places in memory that a test can touch.
type cells struct {
	test  *Test
	list  []cell
	index map[Value]int32
}

func newCells(t *Test) *cells {
	c := &cells{test: t, index: map[Value]int32{}}
	for l := range t.Locations {
		c.at(addressOf(loc(l)))
	}
	return c
}

// at finds or adds the place with an address.
func (c *cells) at(addr Value) int32 {
	if i, ok := c.index[addr]; ok {
		return i
	}
	i := int32(len(c.list))
	init := c.initial(addr)
	c.list = append(c.list, cell{addr: addr, init: init, dom: domain{values: []Value{init}}})
	c.index[addr] = i
	return i
}

// initial is the value that memory starts with.
func (c *cells) initial(addr Value) Value {
	l, element, ok := addr.split()
	if !ok || int(l) >= len(c.test.Locations) {
		return 0
	}
	switch loc := &c.test.Locations[l]; {
	case element == 0:
		return loc.Init
	case element > 0 && element <= int64(len(loc.elements)):
		return loc.elements[element-1]
	}
	return 0
}

// maxCells bounds the places in memory that addresses may name.
const maxCells = 2 * maxLocations

// analysis finds which values every place in memory and every symbol may have,
// whatever the order of execution.
type analysis struct {
	cells *cells
	paths []*pathDomains
}

// pathDomains are the domains of a path's symbols.
type pathDomains struct {
	path *path
	syms []domain
}

// maxPasses bounds the rounds to a fixed point; what still grows then may be
// anything.
const maxPasses = 100

// analyse computes the domains to their least fixed point. Sets that keep
// growing (a counter) become "any".
func analyse(ctx context.Context, c *cells, threads [][]path) (*analysis, error) {
	a := &analysis{cells: c}
	for t := range threads {
		for p := range threads[t] {
			path := &threads[t][p]
			a.paths = append(a.paths, &pathDomains{path: path, syms: make([]domain, len(path.syms.list))})
		}
	}
	for pass, changed := 0, true; changed; pass++ {
		changed = false
		for _, p := range a.paths {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			changed = a.updateSymbols(p) || changed
			changed = a.updateMemory(p) || changed
		}
		if pass == maxPasses {
			a.widen()
		}
	}
	return a, nil
}

// widen lets every place hold anything.
func (a *analysis) widen() {
	for i := range a.cells.list {
		a.cells.list[i].dom = domain{top: true}
	}
}

// updateSymbols lets a path's symbols grow. An arena is in order: operands
// come before what is made of them, except that a read's value depends on the
// address symbol of its event, which is older as well.
func (a *analysis) updateSymbols(p *pathDomains) bool {
	changed := false
	for id, s := range p.path.syms.list {
		d := &p.syms[id]
		switch s.kind {
		case symConst:
			changed = d.add(s.value) || changed
		case symRead:
			changed = d.merge(a.readDomain(p, int(s.a))) || changed
		case symUnary:
			changed = d.merge(mapDomain(p.syms[s.a], func(v Value) Value { return applyUnary(s.op, v) })) || changed
		case symBinary:
			changed = d.merge(a.binaryDomain(p, s)) || changed
		}
	}
	return changed
}

func mapDomain(d domain, f func(Value) Value) domain {
	out := domain{top: d.top}
	for _, v := range d.values {
		out.add(f(v))
	}
	return out
}

func (a *analysis) binaryDomain(p *pathDomains, s symbol) domain {
	if x, y := p.syms[s.a], p.syms[s.b]; !x.top && !y.top {
		out := domain{}
		for _, v := range x.values {
			out.merge(mapDomain(y, func(w Value) Value { return applyBinary(s.op, v, w) }))
		}
		return out
	}
	if s.op >= opEq && s.op <= opLogOr {
		return domain{values: []Value{0, 1}}
	}
	return domain{top: true}
}

// readDomain joins what the places may hold that an event may read.
func (a *analysis) readDomain(p *pathDomains, event int) domain {
	out := domain{}
	for _, c := range a.places(p, p.path.events[event].addr) {
		out.merge(a.cells.list[c].dom)
	}
	return out
}

// places lists the places that an address symbol may name.
func (a *analysis) places(p *pathDomains, addr symID) []int32 {
	d := p.syms[addr]
	var out []int32
	if d.top || len(a.cells.list) > maxCells {
		for l := range a.cells.test.Locations {
			out = append(out, a.cells.index[addressOf(loc(l))])
		}
		return out
	}
	for _, v := range d.values {
		out = append(out, a.cells.at(v))
	}
	return out
}

// updateMemory lets the places grow that a path writes.
func (a *analysis) updateMemory(p *pathDomains) bool {
	changed := false
	for i := range p.path.events {
		e := &p.path.events[i]
		if e.kind != eventWrite {
			continue
		}
		for _, c := range a.places(p, e.addr) {
			changed = a.cells.list[c].dom.merge(p.syms[e.val]) || changed
		}
	}
	return changed
}

// feasible says whether each of a path's conditions can hold.
func (p *pathDomains) feasible() bool {
	for _, a := range p.path.asserts {
		d := p.syms[a.sym]
		if !d.top && !slices.ContainsFunc(d.values, func(v Value) bool { return (v != 0) == a.want }) {
			return false
		}
	}
	return true
}
