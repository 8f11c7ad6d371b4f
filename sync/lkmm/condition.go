package lkmm

// truth is a proposition's value in an execution that may be incomplete.
type truth uint8

const (
	unknown truth = iota
	holds
	fails
)

func truthOf(b bool) truth {
	if b {
		return holds
	}
	return fails
}

func (t truth) not() truth {
	switch t {
	case holds:
		return fails
	case fails:
		return holds
	}
	return unknown
}

// eval computes a proposition; value gives what is known of a final state.
func (c *cond) eval(value func(obs int) (Value, bool)) truth {
	if c == nil {
		return holds
	}
	switch c.kind {
	case condTrue:
		return holds
	case condFalse:
		return fails
	case condNot:
		return c.args[0].eval(value).not()
	case condAnd:
		return c.evalAll(value, fails, holds)
	case condOr:
		return c.evalAll(value, holds, fails)
	}
	left, lok := c.left.eval(value)
	right, rok := c.right.eval(value)
	if !lok || !rok {
		return unknown
	}
	return truthOf(compareValues(c.op, left, right))
}

// evalAll joins the operands: decisive settles the matter, else neutral
// remains if all are known.
func (c *cond) evalAll(value func(int) (Value, bool), decisive, neutral truth) truth {
	out := neutral
	for _, a := range c.args {
		switch a.eval(value) {
		case decisive:
			return decisive
		case unknown:
			out = unknown
		}
	}
	return out
}

func (t condTerm) eval(value func(int) (Value, bool)) (Value, bool) {
	if t.obs < 0 {
		return t.value, true
	}
	return value(t.obs)
}

// observe gives the final value of an observable of a complete execution, or
// of an incomplete one as far as it is determined.
func (s *search) observe(i int) (Value, bool) {
	o := s.test.observed[i]
	if o.thread >= 0 {
		p := &s.x.threads[o.thread]
		return s.x.symValue(p, p.path.regs[o.reg], s.cells)
	}
	return s.lastValue(s.cells.index[addressOf(o.loc)+Value(o.elem)])
}

// lastValue is what a place holds in the end, known once the last of its
// writes is.
func (s *search) lastValue(c int32) (Value, bool) {
	x := &s.x
	writes := x.writes[c]
	if writes.empty() {
		return s.cells.list[c].init, true
	}
	for w := writes.first(); w >= 0; w = writes.next(w + 1) {
		if x.co.row(w).empty() && s.isLast(w, writes) {
			return x.valueOf(w, s.cells)
		}
	}
	return 0, false
}

// isLast says whether every other write comes before w.
func (s *search) isLast(w int, writes row) bool {
	for v := writes.first(); v >= 0; v = writes.next(v + 1) {
		if v != w && !s.x.co.has(v, w) {
			return false
		}
	}
	return true
}
