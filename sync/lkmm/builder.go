package lkmm

// builder collects a test's names: shared variables, registers and what the
// final state is made of. The text parser and the capture reader share it.
type builder struct {
	test  *Test
	locs  map[string]loc
	regs  []map[string]int // by thread
	known map[observable]int
}

func newBuilder(t *Test) *builder {
	return &builder{test: t, locs: map[string]loc{}, known: map[observable]int{}}
}

// location finds or adds a shared variable. ok is false when there are too
// many of them.
func (b *builder) location(name string) (l loc, ok bool) {
	if l, ok := b.locs[name]; ok {
		return l, true
	}
	if len(b.test.Locations) >= maxLocations {
		return noLoc, false
	}
	l = loc(len(b.test.Locations))
	b.test.Locations = append(b.test.Locations, Location{Name: name})
	b.locs[name] = l
	return l, true
}

// thread adds a thread and returns its index.
func (b *builder) thread(name string) int {
	b.test.Threads = append(b.test.Threads, Thread{Name: name})
	b.regs = append(b.regs, map[string]int{})
	return len(b.test.Threads) - 1
}

// register finds or adds a register of a thread; it starts as 0.
func (b *builder) register(thread int, name string) int {
	if r, ok := b.regs[thread][name]; ok {
		return r
	}
	th := &b.test.Threads[thread]
	r := len(th.regs)
	th.regs = append(th.regs, register{name: name})
	b.regs[thread][name] = r
	return r
}

// param adds a register that starts as the address of a shared variable.
func (b *builder) param(thread int, name string, l loc) int {
	r := b.register(thread, name)
	b.test.Threads[thread].regs[r].init = addressOf(l)
	b.test.Threads[thread].regs[r].param = true
	return r
}

// observe makes o a part of the final state.
func (b *builder) observe(o observable) int {
	if i, ok := b.known[o]; ok {
		return i
	}
	i := len(b.test.observed)
	b.test.observed = append(b.test.observed, o)
	b.known[o] = i
	return i
}

func (b *builder) observeRegister(thread int, name string) int {
	return b.observe(observable{thread: thread, reg: b.register(thread, name)})
}

func (b *builder) observeLocation(l loc, elem int64) int {
	return b.observe(observable{thread: -1, loc: l, elem: elem})
}

// Helpers that make the expressions both readers need.

func constExpr(v Value, pos Pos) *expr { return &expr{kind: exprConst, value: v, pos: pos} }

func regExpr(r int, pos Pos) *expr { return &expr{kind: exprReg, reg: r, pos: pos} }

func loadExpr(order accessOrder, addr *expr, pos Pos) *expr {
	return &expr{kind: exprLoad, order: order, a: addr, pos: pos}
}

func binaryExpr(op operator, a, b *expr, pos Pos) *expr {
	return &expr{kind: exprBinary, op: op, a: a, b: b, pos: pos}
}
