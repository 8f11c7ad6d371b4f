package lkmm

import (
	"context"
	"errors"
	"fmt"
)

// errCut ends a path that cannot be taken, or that Options.Unroll cuts.
var errCut = errors.New("path cut")

// depValue is a register's content: the value and the reads it came from.
type depValue struct {
	sym  symID
	deps bitset
}

// unfolder walks a thread's statements once for every combination of branches.
// The walk is straight; where a branch depends on memory it follows a list of
// decisions, and the next walk changes the last one.
type unfolder struct {
	test   *Test
	thread *Thread
	model  *Model
	opt    *Options
	gaps   bool // the test has a membarrier

	decisions []bool
	used      int

	path   path
	env    []depValue
	ctrl   bitset
	steps  int // in this walk
	work   *unfoldWork
	leaves jump // break, continue or return under way
}

// unfoldWork bounds what unfolding all threads of a test takes.
type unfoldWork struct {
	ctx    context.Context
	steps  int // statements and expressions executed
	events int // of all paths
}

// jump is a transfer of control on its way to its target.
type jump uint8

const (
	jumpNone jump = iota
	jumpBreak
	jumpContinue
	jumpReturn
)

// maxSteps bounds the statements and expressions that one walk executes,
// maxTotalSteps those of all walks of all threads, maxPathEvents the events of
// all paths.
const (
	maxSteps      = 100_000
	maxTotalSteps = 10_000_000
	maxPathEvents = 1 << 18
)

// unfoldAll gives all paths of all threads.
func unfoldAll(ctx context.Context, t *Test, opt *Options) ([][]path, error) {
	work := &unfoldWork{ctx: ctx}
	out := make([][]path, len(t.Threads))
	for i := range out {
		var err error
		if out[i], err = unfold(t, i, opt, work); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unfold gives all paths of a thread.
func unfold(t *Test, thread int, opt *Options, work *unfoldWork) ([]path, error) {
	u := &unfolder{test: t, thread: &t.Threads[thread], model: opt.Model, opt: opt, gaps: t.hasMembarrier(), work: work}
	var out []path
	walks := 0
	for more := true; more; more = u.nextDecisions() {
		if walks++; walks > 16*opt.MaxPaths {
			return nil, u.fail(Pos{}, fmt.Errorf("%w: more than %d walks", ErrTooLarge, 16*opt.MaxPaths))
		}
		if work.ctx.Err() != nil {
			return nil, context.Cause(work.ctx)
		}
		err := u.walk()
		if errors.Is(err, errCut) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if out = append(out, u.path); len(out) > opt.MaxPaths {
			return nil, u.fail(Pos{}, fmt.Errorf("%w: more than %d paths", ErrTooLarge, opt.MaxPaths))
		}
		if work.events += len(u.path.events); work.events > maxPathEvents {
			return nil, u.fail(Pos{}, fmt.Errorf("%w: more than %d events on all paths", ErrTooLarge, maxPathEvents))
		}
	}
	return out, nil
}

// nextDecisions moves to the next combination of branches in counting order.
func (u *unfolder) nextDecisions() bool {
	d := u.decisions[:u.used]
	for len(d) > 0 && !d[len(d)-1] {
		d = d[:len(d)-1]
	}
	if len(d) == 0 {
		return false
	}
	d[len(d)-1] = false
	u.decisions = d
	return true
}

func (u *unfolder) fail(pos Pos, reason error) error {
	return &ProgramError{File: u.test.File, Thread: u.thread.Name, Pos: pos, Reason: reason}
}

// walk executes the thread along the current decisions.
func (u *unfolder) walk() error {
	u.used, u.steps, u.ctrl, u.leaves = 0, 0, bitset{}, jumpNone
	u.path = path{syms: newSymbols()}
	u.env = make([]depValue, len(u.thread.regs))
	for i, r := range u.thread.regs {
		u.env[i].sym = u.path.syms.constant(r.init)
	}
	if err := u.block(u.thread.body); err != nil {
		return err
	}
	u.path.regs = make([]symID, len(u.env))
	for i, v := range u.env {
		u.path.regs[i] = v.sym
	}
	return nil
}

// emit appends an event and returns its index.
func (u *unfolder) emit(e event) (int, error) {
	if len(u.path.events)+2 > maxThreadEvents {
		return 0, u.fail(e.pos, fmt.Errorf("%w: more than %d events in a thread", ErrTooLarge, maxThreadEvents))
	}
	e.ctrlDeps = u.ctrl
	if e.rmw == 0 {
		e.rmw = -1
	}
	u.path.events = append(u.path.events, e)
	i := len(u.path.events) - 1
	if u.gaps && e.isMemory() {
		u.path.events = append(u.path.events, event{kind: eventGap, rmw: -1, addr: noSym, val: noSym, pos: e.pos})
	}
	return i, nil
}

// read emits a memory read and gives its value.
func (u *unfolder) read(addr depValue, order accessOrder, flags eventFlags, pos Pos) (int, depValue, error) {
	i, err := u.emit(event{kind: eventRead, order: order, flags: flags, addr: addr.sym, addrDeps: addr.deps, pos: pos})
	if err != nil {
		return 0, depValue{}, err
	}
	v := depValue{sym: u.path.syms.read(i)}
	v.deps.add(i)
	u.path.events[i].val = v.sym
	return i, v, nil
}

// write emits a memory write.
func (u *unfolder) write(addr, val depValue, order accessOrder, flags eventFlags, pos Pos) (int, error) {
	return u.emit(event{kind: eventWrite, order: order, flags: flags,
		addr: addr.sym, addrDeps: addr.deps, val: val.sym, dataDeps: val.deps, pos: pos})
}

// writeHalf emits the write of a read-modify-write whose read is event r.
func (u *unfolder) writeHalf(r int, addr, val depValue, order accessOrder, flags eventFlags, pos Pos) error {
	w, err := u.write(addr, val, order, flags, pos)
	if err != nil {
		return err
	}
	u.path.events[w].rmw = int32(r)
	u.path.events[r].rmw = int32(w)
	return nil
}

func (u *unfolder) fenceEvent(k fenceKind, pos Pos) error {
	_, err := u.emit(event{kind: eventFence, fence: k, addr: noSym, val: noSym, pos: pos})
	return err
}

// constant is a value without dependencies.
func (u *unfolder) constant(v Value) depValue { return depValue{sym: u.path.syms.constant(v)} }

// assume keeps only executions in which v is (not) 0.
func (u *unfolder) assume(v depValue, want bool) error {
	if c, ok := u.path.syms.known(v.sym); ok {
		if (c != 0) != want {
			return errCut
		}
		return nil
	}
	u.path.asserts = append(u.path.asserts, assertion{v.sym, want})
	return nil
}

// decide asks whether v is not 0; where that depends on memory both answers
// are walked, true first.
func (u *unfolder) decide(v depValue) bool { return u.decideAt(v, len(u.path.events)) }

// decideAt is decide where the answer changes events from at on.
func (u *unfolder) decideAt(v depValue, at int) bool {
	if c, ok := u.path.syms.known(v.sym); ok {
		return c != 0
	}
	for _, a := range u.path.asserts {
		if a.sym == v.sym {
			return a.want
		}
	}
	if u.used == len(u.decisions) {
		u.decisions = append(u.decisions, true)
	}
	want := u.decisions[u.used]
	u.used++
	u.path.asserts = append(u.path.asserts, assertion{v.sym, want})
	u.path.forks = append(u.path.forks, fork{at, v.sym, want})
	return want
}

// block executes statements until a jump leaves them.
func (u *unfolder) block(list []stmt) error {
	for i := range list {
		if u.leaves != jumpNone {
			return nil
		}
		if err := u.step(list[i].pos); err != nil {
			return err
		}
		if err := u.statement(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// step counts what is executed.
func (u *unfolder) step(pos Pos) error {
	u.steps++
	u.work.steps++
	if u.steps > maxSteps || u.work.steps > maxTotalSteps {
		return u.fail(pos, fmt.Errorf("%w: more than %d statements executed", ErrTooLarge, maxSteps))
	}
	if u.path.syms.tooHeavy {
		return u.fail(pos, fmt.Errorf("%w: an expression of more than %d operands", ErrTooLarge, maxSymbolWeight))
	}
	return nil
}

func (u *unfolder) statement(s *stmt) error {
	switch s.kind {
	case stmtAssign:
		v, err := u.eval(s.val)
		u.env[s.reg] = v
		return err
	case stmtExpr:
		_, err := u.eval(s.val)
		return err
	case stmtFence:
		return u.fenceEvent(s.fence, s.pos)
	case stmtIf:
		return u.branch(s)
	case stmtLoop:
		return u.loop(s)
	case stmtBreak:
		u.leaves = jumpBreak
		return nil
	case stmtContinue:
		u.leaves = jumpContinue
		return nil
	case stmtReturn:
		u.leaves = jumpReturn
		return nil
	}
	return u.access(s)
}

// access executes a statement that works on a shared variable.
func (u *unfolder) access(s *stmt) error {
	addr, err := u.eval(s.addr)
	if err != nil {
		return err
	}
	var val depValue
	if s.val != nil {
		if val, err = u.eval(s.val); err != nil {
			return err
		}
	}
	switch s.kind {
	case stmtStore:
		_, err = u.write(addr, val, s.order, 0, s.pos)
	case stmtLock:
		_, err = u.lock(addr, s.pos)
	case stmtUnlock:
		_, err = u.write(addr, u.constant(0), orderRelease, flagUL, s.pos)
	case stmtSrcuUnlock:
		err = u.srcuUnlock(addr, val, s.pos)
	case stmtSyncSrcu:
		_, err = u.emit(event{kind: eventSyncSrcu, addr: addr.sym, addrDeps: addr.deps, val: noSym, pos: s.pos})
	}
	return err
}

// lock emits spin_lock()'s pair: a read that must see the lock free, a write
// that takes it.
func (u *unfolder) lock(addr depValue, pos Pos) (int, error) {
	r, v, err := u.read(addr, orderAcquire, flagLKR, pos)
	if err != nil {
		return 0, err
	}
	free := depValue{sym: u.path.syms.binary(opEq, v.sym, u.path.syms.constant(0))}
	if err := u.assume(free, true); err != nil {
		return 0, err
	}
	return r, u.writeHalf(r, addr, u.constant(1), orderOnce, flagLKW, pos)
}

func (u *unfolder) srcuUnlock(addr, val depValue, pos Pos) error {
	if u.model.SrcuByNesting {
		_, err := u.emit(event{kind: eventSrcuUnlock, addr: addr.sym, addrDeps: addr.deps,
			val: val.sym, dataDeps: val.deps, pos: pos})
		return err
	}
	_, err := u.write(addr, val, orderOnce, flagSrcuUnlock, pos)
	return err
}

// branch executes an if. Its condition controls the branches; where one of
// them may jump, also what comes after.
func (u *unfolder) branch(s *stmt) error {
	start := len(u.path.events)
	v, err := u.eval(s.val)
	if err != nil {
		return err
	}
	before := u.ctrl
	u.control(v, start)
	list := s.alt
	if u.decide(v) {
		list = s.body
	}
	if err := u.block(list); err != nil {
		return err
	}
	if !jumps(s.body) && !jumps(s.alt) {
		u.ctrl = before
	}
	return nil
}

// control makes what follows depend on a condition: on the reads that it comes
// from, and, for reads that stand in the condition itself, from event start on,
// also on those that their address comes from.
func (u *unfolder) control(v depValue, start int) {
	ctrl := v.deps
	v.deps.each(func(i int) {
		if i >= start {
			ctrl = ctrl.union(u.path.events[i].addrDeps)
		}
	})
	u.ctrl = u.ctrl.union(ctrl)
}

// jumps says whether a list of statements may leave itself.
func jumps(list []stmt) bool {
	for i := range list {
		switch list[i].kind {
		case stmtBreak, stmtContinue, stmtReturn:
			return true
		case stmtIf, stmtLoop:
			if jumps(list[i].body) || jumps(list[i].alt) {
				return true
			}
		}
	}
	return false
}

// loop executes a loop. A condition that depends on memory is followed for
// Options.Unroll rounds; paths that need more are cut.
func (u *unfolder) loop(s *stmt) error {
	before := u.ctrl
	open := 0 // rounds whose number depends on memory
	for round := 0; ; round++ {
		if round > 0 || !s.doWhile {
			again, known, err := u.loopCondition(s)
			if err != nil {
				return err
			}
			if !again {
				break
			}
			if !known {
				open++
			}
		}
		if err := u.checkBound(s, round, open); err != nil {
			return err
		}
		asked := u.used
		left, err := u.loopRound(s)
		if err != nil {
			return err
		}
		if left {
			break
		}
		if endless(s) && u.used > asked { // only a jump can end it
			open++
		}
	}
	if u.leaves != jumpReturn {
		u.leaves = jumpNone
		u.ctrl = before
	}
	return nil
}

// loopCondition asks for another round; known is false where the answer
// depends on memory.
func (u *unfolder) loopCondition(s *stmt) (again, known bool, err error) {
	if s.val == nil {
		return true, true, nil
	}
	asked, start := u.used, len(u.path.events)
	v, err := u.eval(s.val)
	if err != nil {
		return false, false, err
	}
	u.control(v, start)
	again = u.decide(v)
	return again, u.used == asked, nil
}

// endless says whether a loop's condition always holds.
func endless(s *stmt) bool {
	return s.val == nil || s.val.kind == exprConst && s.val.value != 0
}

// checkBound ends loops that run too long.
func (u *unfolder) checkBound(s *stmt, round, open int) error {
	if open > 0 && u.opt.Unroll == 0 {
		return u.fail(s.pos, ErrUnboundedLoop)
	}
	if open > u.opt.Unroll {
		return errCut
	}
	if round >= u.opt.MaxRounds {
		return u.fail(s.pos, fmt.Errorf("%w: more than %d rounds", ErrUnboundedLoop, u.opt.MaxRounds))
	}
	return nil
}

// loopRound executes a loop's body and step; left says that a jump ended the
// loop.
func (u *unfolder) loopRound(s *stmt) (left bool, err error) {
	if err := u.block(s.body); err != nil {
		return false, err
	}
	if u.leaves == jumpContinue {
		u.leaves = jumpNone
	}
	if u.leaves != jumpNone {
		return true, nil
	}
	return false, u.block(s.alt)
}

// hasMembarrier says whether any thread calls membarrier().
func (t *Test) hasMembarrier() bool {
	for i := range t.Threads {
		if containsFence(t.Threads[i].body, fenceMembarrier) {
			return true
		}
	}
	return false
}

func containsFence(list []stmt, k fenceKind) bool {
	for i := range list {
		s := &list[i]
		if s.kind == stmtFence && s.fence == k || containsFence(s.body, k) || containsFence(s.alt, k) {
			return true
		}
	}
	return false
}
