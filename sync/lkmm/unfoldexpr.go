package lkmm

// eval executes an expression: its memory accesses become events in the order
// of evaluation.
func (u *unfolder) eval(e *expr) (depValue, error) {
	if err := u.step(e.pos); err != nil {
		return depValue{}, err
	}
	switch e.kind {
	case exprConst:
		return u.constant(e.value), nil
	case exprReg:
		return u.env[e.reg], nil
	case exprUnary:
		a, err := u.eval(e.a)
		if err != nil {
			return depValue{}, err
		}
		return depValue{u.path.syms.unary(e.op, a.sym), a.deps}, nil
	case exprBinary:
		return u.evalBinary(e)
	case exprCond:
		return u.evalCond(e)
	case exprAssign:
		v, err := u.eval(e.a)
		u.env[e.reg] = v
		return v, err
	}
	return u.evalAccess(e)
}

// evalAccess executes an expression that works on a shared variable.
func (u *unfolder) evalAccess(e *expr) (depValue, error) {
	addr, err := u.eval(e.a)
	if err != nil {
		return depValue{}, err
	}
	switch e.kind {
	case exprLoad:
		_, v, err := u.read(addr, e.order, 0, e.pos)
		return v, err
	case exprTryLock:
		return u.tryLock(addr, e.pos)
	case exprIsLocked:
		return u.isLocked(addr, e.pos)
	case exprSrcuLock:
		return u.srcuLock(addr, e.pos)
	case exprCondLoad:
		return u.condLoad(e, addr)
	}
	return u.evalRMW(e, addr)
}

// evalBinary computes an operator. && and || evaluate their right side only
// where C does; without memory accesses there the difference cannot be seen.
func (u *unfolder) evalBinary(e *expr) (depValue, error) {
	a, err := u.eval(e.a)
	if err != nil {
		return depValue{}, err
	}
	if (e.op == opLogAnd || e.op == opLogOr) && accesses(e.b) {
		return u.shortCircuit(e, a)
	}
	b, err := u.eval(e.b)
	if err != nil {
		return depValue{}, err
	}
	return depValue{u.path.syms.binary(e.op, a.sym, b.sym), a.deps.union(b.deps)}, nil
}

func (u *unfolder) shortCircuit(e *expr, a depValue) (depValue, error) {
	truth := u.decide(a)
	if truth == (e.op == opLogOr) {
		v := u.constant(boolValue(truth))
		v.deps = a.deps
		return v, nil
	}
	before := u.ctrl
	u.ctrl = u.ctrl.union(a.deps)
	b, err := u.eval(e.b)
	u.ctrl = before
	if err != nil {
		return depValue{}, err
	}
	zero := u.path.syms.constant(0)
	return depValue{u.path.syms.binary(opNe, b.sym, zero), a.deps.union(b.deps)}, nil
}

// evalCond is a ? b : c, a branch like an if.
func (u *unfolder) evalCond(e *expr) (depValue, error) {
	a, err := u.eval(e.a)
	if err != nil {
		return depValue{}, err
	}
	before := u.ctrl
	u.ctrl = u.ctrl.union(a.deps)
	arm := e.c
	if u.decide(a) {
		arm = e.b
	}
	v, err := u.eval(arm)
	u.ctrl = before
	return v, err
}

// accesses says whether an expression touches memory.
func accesses(e *expr) bool {
	if e == nil {
		return false
	}
	switch e.kind {
	case exprConst, exprReg:
		return false
	case exprUnary, exprBinary, exprCond:
		return accesses(e.a) || accesses(e.b) || accesses(e.c)
	}
	return true
}

// tryLock is spin_trylock(): a lock, or a read that sees the lock taken.
func (u *unfolder) tryLock(addr depValue, pos Pos) (depValue, error) {
	r, v, err := u.read(addr, orderOnce, flagLF, pos)
	if err != nil {
		return depValue{}, err
	}
	free := depValue{sym: u.path.syms.binary(opEq, v.sym, u.path.syms.constant(0))}
	if !u.decideAt(free, r) {
		out := u.constant(0)
		out.deps = v.deps
		return out, nil
	}
	u.path.events[r].order = orderAcquire
	u.path.events[r].flags = flagLKR
	return u.constant(1), u.writeHalf(r, addr, u.constant(1), orderOnce, flagLKW, pos)
}

// isLocked is spin_is_locked().
func (u *unfolder) isLocked(addr depValue, pos Pos) (depValue, error) {
	r, v, err := u.read(addr, orderOnce, flagLF, pos)
	if err != nil {
		return depValue{}, err
	}
	locked := u.decideAt(v, r)
	if !locked {
		u.path.events[r].flags = flagRU
	}
	out := u.constant(boolValue(locked))
	out.deps = v.deps
	return out, nil
}

// srcuLock is srcu_read_lock(): since 6.4 a read whose value the matching
// unlock writes back; before, a marker.
func (u *unfolder) srcuLock(addr depValue, pos Pos) (depValue, error) {
	if !u.model.SrcuByNesting {
		_, v, err := u.read(addr, orderOnce, flagSrcuLock, pos)
		return v, err
	}
	_, err := u.emit(event{kind: eventSrcuLock, addr: addr.sym, addrDeps: addr.deps, val: noSym, pos: pos})
	return u.constant(0), err
}

// condLoad is smp_cond_load_acquire(): executions in which it does not return
// are not looked at. The condition controls what follows.
func (u *unfolder) condLoad(e *expr, addr depValue) (depValue, error) {
	_, v, err := u.read(addr, e.order, 0, e.pos)
	if err != nil {
		return depValue{}, err
	}
	u.env[e.reg] = v
	until, err := u.eval(e.b)
	if err != nil {
		return depValue{}, err
	}
	u.ctrl = u.ctrl.union(until.deps)
	return v, u.assume(until, true)
}

// evalRMW executes an atomic read-modify-write. Fully ordered ones have a
// fence on both sides, if they succeed.
func (u *unfolder) evalRMW(e *expr, addr depValue) (depValue, error) {
	var b, c depValue
	var err error
	if b, err = u.eval(e.b); err != nil {
		return depValue{}, err
	}
	if e.c != nil {
		if c, err = u.eval(e.c); err != nil {
			return depValue{}, err
		}
	}
	before := -1
	if e.order == orderFull {
		if before, err = u.emit(event{kind: eventNothing, addr: noSym, val: noSym, pos: e.pos}); err != nil {
			return depValue{}, err
		}
	}
	r, old, err := u.read(addr, orderOnce, flagAtomic, e.pos)
	if err != nil {
		return depValue{}, err
	}
	at := r
	if before >= 0 {
		at = before
	}
	val, result, done := u.modify(e, at, old, b, c)
	if !done {
		return result, nil
	}
	return result, u.finishRMW(e, before, r, addr, val)
}

// modify computes what an atomic operation that starts with event at writes and
// returns; done is false where it decides not to write.
func (u *unfolder) modify(e *expr, at int, old, b, c depValue) (val, result depValue, done bool) {
	syms := &u.path.syms
	switch e.rmw {
	case rmwExchange:
		return b, old, true
	case rmwCompare:
		same := depValue{sym: syms.binary(opEq, old.sym, b.sym)}
		return c, old, u.decideAt(same, at)
	case rmwAddUnless, rmwFetchAddUnless:
		differ := depValue{sym: syms.binary(opNe, old.sym, c.sym)}
		done = u.decideAt(differ, at)
		result = depValue{syms.constant(boolValue(done)), old.deps.union(c.deps)}
		if e.rmw == rmwFetchAddUnless {
			result = old
		}
		return depValue{syms.binary(opAdd, old.sym, b.sym), old.deps.union(b.deps)}, result, done
	}
	val = depValue{syms.binary(e.op, old.sym, b.sym), old.deps.union(b.deps)}
	if e.rmw == rmwFetch {
		return val, depValue{old.sym, val.deps}, true
	}
	return val, val, true
}

// finishRMW gives a successful operation its ordering and its write.
func (u *unfolder) finishRMW(e *expr, before, r int, addr, val depValue) error {
	write := orderOnce
	switch e.order {
	case orderAcquire, orderNoReturn:
		u.path.events[r].order = e.order
	case orderRelease:
		write = orderRelease
	}
	if err := u.writeHalf(r, addr, val, write, flagAtomic, e.pos); err != nil {
		return err
	}
	if before < 0 {
		return nil
	}
	u.path.events[before].kind, u.path.events[before].fence = eventFence, fenceMb
	return u.fenceEvent(fenceMb, e.pos)
}
