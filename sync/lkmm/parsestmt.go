package lkmm

// parseStatements reads statements up to a closing brace.
func (p *parser) parseStatements() ([]stmt, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var out []stmt
	for !p.is("}") {
		if p.tok.kind == tokEOF {
			return nil, p.unexpected(`a statement or "}"`)
		}
		s, err := p.parseStatement()
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

func (p *parser) parseBlock() ([]stmt, error) {
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	out, err := p.parseStatements()
	if err != nil {
		return nil, err
	}
	return out, p.expect("}")
}

// parseStatement reads one statement; a declaration gives a statement for
// every initializer.
func (p *parser) parseStatement() ([]stmt, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.is(";") {
		return nil, p.advance()
	}
	if p.is("{") {
		return p.parseBlock()
	}
	if p.startsType() {
		return p.parseDeclaration()
	}
	if parse := p.keyword(); parse != nil {
		s, err := parse()
		return []stmt{s}, err
	}
	s, err := p.parseSimple()
	if err != nil {
		return nil, err
	}
	return s, p.expect(";")
}

// keyword finds the reader of a statement that starts with a word of C.
func (p *parser) keyword() func() (stmt, error) {
	if p.tok.kind != tokIdent {
		return nil
	}
	switch p.tok.text {
	case "if":
		return p.parseIf
	case "while":
		return p.parseWhile
	case "do":
		return p.parseDo
	case "for":
		return p.parseFor
	case "break":
		return func() (stmt, error) { return p.parseJump(stmtBreak) }
	case "continue":
		return func() (stmt, error) { return p.parseJump(stmtContinue) }
	case "return":
		return func() (stmt, error) { return p.parseJump(stmtReturn) }
	case "goto", "switch", "case", "default":
		return func() (stmt, error) { return stmt{}, p.unexpected("a statement (goto and switch are not supported)") }
	}
	return nil
}

func (p *parser) parseJump(kind stmtKind) (stmt, error) {
	s := stmt{kind: kind, pos: p.tok.pos}
	if kind != stmtReturn && p.loops == 0 {
		return s, p.unexpected("a statement outside loops")
	}
	if err := p.advance(); err != nil {
		return s, err
	}
	if kind == stmtReturn && !p.is(";") {
		if _, err := p.parseExpr(); err != nil {
			return s, err
		}
	}
	return s, p.expect(";")
}

// parens reads "( expr )".
func (p *parser) parens() (*expr, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	e, err := p.parseExpr()
	if err != nil {
		return nil, err
	}
	return e, p.expect(")")
}

func (p *parser) parseIf() (stmt, error) {
	s := stmt{kind: stmtIf, pos: p.tok.pos}
	err := p.advance()
	if err != nil {
		return s, err
	}
	if s.val, err = p.parens(); err != nil {
		return s, err
	}
	if s.body, err = p.parseStatement(); err != nil {
		return s, err
	}
	if ok, err := p.accept("else"); err != nil || !ok {
		return s, err
	}
	s.alt, err = p.parseStatement()
	return s, err
}

// loopBody reads the statement that a loop repeats.
func (p *parser) loopBody() ([]stmt, error) {
	p.loops++
	defer func() { p.loops-- }()
	return p.parseStatement()
}

func (p *parser) parseWhile() (stmt, error) {
	s := stmt{kind: stmtLoop, pos: p.tok.pos}
	err := p.advance()
	if err != nil {
		return s, err
	}
	if s.val, err = p.parens(); err != nil {
		return s, err
	}
	s.body, err = p.loopBody()
	return s, err
}

func (p *parser) parseDo() (stmt, error) {
	s := stmt{kind: stmtLoop, pos: p.tok.pos, doWhile: true}
	err := p.advance()
	if err != nil {
		return s, err
	}
	if s.body, err = p.loopBody(); err != nil {
		return s, err
	}
	if err := p.expect("while"); err != nil {
		return s, err
	}
	if s.val, err = p.parens(); err != nil {
		return s, err
	}
	return s, p.expect(";")
}

// parseFor reads "for (start; condition; step) body". The start becomes a
// round of its own around the loop.
func (p *parser) parseFor() (stmt, error) {
	pos := p.tok.pos
	s := stmt{kind: stmtLoop, pos: pos}
	if err := p.advance(); err != nil {
		return s, err
	}
	if err := p.expect("("); err != nil {
		return s, err
	}
	start, err := p.parseForStart()
	if err != nil {
		return s, err
	}
	if !p.is(";") {
		if s.val, err = p.parseExpr(); err != nil {
			return s, err
		}
	}
	if err := p.expect(";"); err != nil {
		return s, err
	}
	if !p.is(")") {
		if s.alt, err = p.parseSimple(); err != nil {
			return s, err
		}
	}
	if err := p.expect(")"); err != nil {
		return s, err
	}
	if s.body, err = p.loopBody(); err != nil {
		return s, err
	}
	if len(start) == 0 {
		return s, nil
	}
	return stmt{kind: stmtIf, pos: pos, val: constExpr(1, pos), body: append(start, s)}, nil
}

// parseForStart reads a for's first part and its semicolon.
func (p *parser) parseForStart() ([]stmt, error) {
	if p.startsType() {
		return p.parseDeclaration()
	}
	if p.is(";") {
		return nil, p.advance()
	}
	s, err := p.parseSimple()
	if err != nil {
		return nil, err
	}
	return s, p.expect(";")
}

// parseDeclaration reads "int r1 = 0, *r2;".
func (p *parser) parseDeclaration() ([]stmt, error) {
	var out []stmt
	for {
		if err := p.skipType(); err != nil {
			return nil, err
		}
		pos := p.tok.pos
		name, err := p.ident("a variable")
		if err != nil {
			return nil, err
		}
		if err := p.skipType(); err != nil { // int r1 __attribute__((unused))
			return nil, err
		}
		r := p.local(name)
		if ok, err := p.accept("="); err != nil {
			return nil, err
		} else if ok {
			e, err := p.parseAssignment()
			if err != nil {
				return nil, err
			}
			out = append(out, stmt{kind: stmtAssign, pos: pos, reg: r, val: e})
		}
		if ok, err := p.accept(","); err != nil {
			return nil, err
		} else if !ok {
			return out, p.expect(";")
		}
	}
}

// local declares a register of the current thread.
func (p *parser) local(name string) int {
	r := p.b.register(p.thread, name)
	p.own(r)
	return r
}

// own marks a register as a variable of the thread: not, or no longer, a
// stand-in for a shared variable.
func (p *parser) own(r int) {
	reg := &p.b.test.Threads[p.thread].regs[r]
	reg.param, reg.undeclared = false, false
}

// compoundOps are the assignments that also compute.
var compoundOps = map[string]operator{
	"+=": opAdd, "-=": opSub, "*=": opMul, "/=": opDiv, "%=": opMod, "&=": opAnd, "|=": opOr, "^=": opXor,
	"<<=": opShl, ">>=": opShr,
}

// parseSimple reads an assignment or a call, without its semicolon.
func (p *parser) parseSimple() ([]stmt, error) {
	pos := p.tok.pos
	if s, ok, err := p.parseCallStatement(); ok || err != nil {
		return s, err
	}
	if op, ok := p.stepOperator(); ok {
		if err := p.advance(); err != nil {
			return nil, err
		}
		target, err := p.parseUnary()
		if err != nil {
			return nil, err
		}
		return p.assign(target, binaryExpr(op, target, constExpr(1, pos), pos), pos)
	}
	target, err := p.parseConditional()
	if err != nil {
		return nil, err
	}
	return p.parseAssignTo(target, pos)
}

// stepOperator says whether the current token is ++ or --.
func (p *parser) stepOperator() (operator, bool) {
	switch {
	case p.is("++"):
		return opAdd, true
	case p.is("--"):
		return opSub, true
	}
	return opNone, false
}

// parseAssignTo reads what follows an assignment's left side.
func (p *parser) parseAssignTo(target *expr, pos Pos) ([]stmt, error) {
	if op, ok := p.stepOperator(); ok {
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.assign(target, binaryExpr(op, target, constExpr(1, pos), pos), pos)
	}
	op, compound := compoundOps[p.tok.text]
	if !compound && !p.is("=") {
		return []stmt{{kind: stmtExpr, pos: pos, val: target}}, nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	e, err := p.parseAssignment()
	if err != nil {
		return nil, err
	}
	if compound {
		e = binaryExpr(op, target, e, pos)
	}
	return p.assign(target, e, pos)
}

// assign stores e where target says: a register or, plainly, memory.
func (p *parser) assign(target, e *expr, pos Pos) ([]stmt, error) {
	switch {
	case target.kind == exprReg:
		p.own(target.reg)
		return []stmt{{kind: stmtAssign, pos: pos, reg: target.reg, val: e}}, nil
	case target.kind == exprLoad && target.order == orderPlain:
		return []stmt{{kind: stmtStore, pos: pos, order: orderPlain, addr: target.a, val: e}}, nil
	}
	return nil, p.lex.fail(pos, "an expression", "a variable to assign to")
}

// parseCallStatement reads a primitive that is a statement of its own; ok is
// false where none stands here.
func (p *parser) parseCallStatement() (out []stmt, ok bool, err error) {
	if p.tok.kind != tokIdent {
		return nil, false, nil
	}
	m := p.mark()
	name, pos := p.tok.text, p.tok.pos
	if err := p.advance(); err != nil {
		return nil, false, err
	}
	prim, known := lookupPrimitive(name)
	if !p.is("(") || known && isExprForm(prim.form) {
		p.reset(m)
		return nil, false, nil
	}
	if !known {
		return nil, false, p.lex.fail(pos, quoted(name), "a primitive of the kernel memory model")
	}
	args, err := p.parseArgs()
	if err != nil {
		return nil, false, err
	}
	out, err = p.callStatement(name, prim, args, pos)
	return out, err == nil, err
}

// isExprForm says whether a primitive has a value and is read as part of an
// expression.
func isExprForm(f primForm) bool {
	switch f {
	case primLoad, primRMW, primTryLock, primIsLocked, primSrcuLock, primCondLoad, primInit, primTryCompare:
		return true
	}
	return false
}

// argCounts are the arguments of the primitives that are statements.
var argCounts = map[primForm]int{
	primStore: 2, primLock: 1, primUnlock: 1, primSrcuUnlock: 2, primSyncSrcu: 1,
}

func (p *parser) callStatement(name string, prim primitive, args []*expr, pos Pos) ([]stmt, error) {
	if want, ok := argCounts[prim.form]; len(args) != want && (ok || prim.form == primFence) {
		return nil, p.lex.fail(pos, quoted(name)+" with another number of arguments", "the kernel's arguments")
	}
	s := stmt{pos: pos, order: prim.order, fence: prim.fence}
	switch prim.form {
	case primNothing:
		return nil, nil
	case primFence:
		s.kind = stmtFence
		return []stmt{s}, nil
	case primStore:
		s.kind, s.val = stmtStore, args[1]
	case primLock:
		s.kind = stmtLock
	case primUnlock:
		s.kind = stmtUnlock
	case primSrcuUnlock:
		s.kind, s.val = stmtSrcuUnlock, args[1]
	case primSyncSrcu:
		s.kind = stmtSyncSrcu
	}
	var err error
	if s.addr, err = p.variable(prim, args[0]); err != nil {
		return nil, err
	}
	if prim.then {
		return []stmt{s, {kind: stmtFence, pos: pos, fence: prim.fence}}, nil
	}
	return []stmt{s}, nil
}
