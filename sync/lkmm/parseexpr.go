package lkmm

// binaryLevels are C's binary operators by precedence, loosest first.
var binaryLevels = []map[string]operator{
	{"||": opLogOr},
	{"&&": opLogAnd},
	{"|": opOr},
	{"^": opXor},
	{"&": opAnd},
	{"==": opEq, "!=": opNe},
	{"<": opLt, "<=": opLe, ">": opGt, ">=": opGe},
	{"<<": opShl, ">>": opShr},
	{"+": opAdd, "-": opSub},
	{"*": opMul, "/": opDiv, "%": opMod},
}

// parseExpr reads an expression.
func (p *parser) parseExpr() (*expr, error) { return p.parseAssignment() }

// parseAssignment reads "r0 = e", and whatever binds tighter.
func (p *parser) parseAssignment() (*expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	target, err := p.parseConditional()
	if err != nil || target.kind != exprReg {
		return target, err
	}
	op, compound := compoundOps[p.tok.text]
	if !compound && !p.is("=") {
		return target, nil
	}
	pos := p.tok.pos
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
	return p.assignExpr(target.reg, e, pos), nil
}

// assignExpr gives a register a value and is that value.
func (p *parser) assignExpr(reg int, e *expr, pos Pos) *expr {
	p.own(reg)
	return &expr{kind: exprAssign, pos: pos, reg: reg, a: e}
}

// parseConditional reads "a ? b : c" and everything that binds tighter.
func (p *parser) parseConditional() (*expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.parseBinary(0)
	if err != nil {
		return nil, err
	}
	pos := p.tok.pos
	if ok, err := p.accept("?"); err != nil || !ok {
		return e, err
	}
	b, err := p.parseAssignment()
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	c, err := p.parseConditional()
	return &expr{kind: exprCond, pos: pos, a: e, b: b, c: c}, err
}

func (p *parser) parseBinary(level int) (*expr, error) {
	if level == len(binaryLevels) {
		return p.parseUnary()
	}
	e, err := p.parseBinary(level + 1)
	for err == nil {
		op, ok := binaryLevels[level][p.tok.text]
		if !ok || p.tok.kind != tokPunct {
			return e, nil
		}
		pos := p.tok.pos
		if err := p.advance(); err != nil {
			return nil, err
		}
		var right *expr
		if right, err = p.parseBinary(level + 1); err == nil {
			e = binaryExpr(op, e, right, pos)
		}
	}
	return nil, err
}

// parseUnary reads prefix operators and casts.
func (p *parser) parseUnary() (*expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	pos := p.tok.pos
	if p.tok.kind != tokPunct {
		return p.parsePostfix()
	}
	switch p.tok.text {
	case "(":
		return p.parseParenOrCast()
	case "!", "~", "-", "+", "*", "&":
		op := p.tok.text
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.parseUnary()
		if err != nil {
			return nil, err
		}
		return p.prefix(op, e, pos)
	}
	return nil, p.unexpected("an expression")
}

func (p *parser) prefix(op string, e *expr, pos Pos) (*expr, error) {
	switch op {
	case "*":
		return loadExpr(orderPlain, e, pos), nil
	case "&":
		return p.addressOfLvalue(e, pos)
	case "+":
		return e, nil
	case "!":
		return &expr{kind: exprUnary, op: opNot, a: e, pos: pos}, nil
	case "~":
		return &expr{kind: exprUnary, op: opInvert, a: e, pos: pos}, nil
	}
	if e.kind == exprConst {
		return constExpr(-e.value, pos), nil
	}
	return &expr{kind: exprUnary, op: opNeg, a: e, pos: pos}, nil
}

// parseParenOrCast reads "(expr)", "(type)expr" or "(expr)[index]".
func (p *parser) parseParenOrCast() (*expr, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.startsType() {
		if err := p.skipType(); err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		return p.parseUnary()
	}
	e, err := p.parseExpr()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	return p.parseIndex(e)
}

// parsePostfix reads a name, number or call and the indexes behind it.
func (p *parser) parsePostfix() (*expr, error) {
	pos := p.tok.pos
	switch p.tok.kind {
	case tokNumber:
		v, err := p.number()
		return constExpr(v, pos), err
	case tokIdent:
		e, err := p.parseNameOrCall()
		if err != nil {
			return nil, err
		}
		return p.parseIndex(e)
	}
	return nil, p.unexpected("an expression")
}

// parseIndex reads "[1]" behind an expression: *(e + 1).
func (p *parser) parseIndex(e *expr) (*expr, error) {
	for p.is("[") {
		pos := p.tok.pos
		if err := p.advance(); err != nil {
			return nil, err
		}
		i, err := p.parseExpr()
		if err != nil {
			return nil, err
		}
		if err := p.expect("]"); err != nil {
			return nil, err
		}
		if e.kind == exprLoad && e.order == orderPlain && e.a.kind == exprConst {
			e = e.a // the array x itself, not its first element
		}
		e = loadExpr(orderPlain, binaryExpr(opAdd, e, i, pos), pos)
	}
	if p.is("->") || p.is(".") {
		return nil, p.unexpected("an expression without structure members")
	}
	return e, nil
}

func (p *parser) parseNameOrCall() (*expr, error) {
	name, pos := p.tok.text, p.tok.pos
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.is("(") {
		return p.parseCall(name, pos)
	}
	return p.name(name, pos)
}

// name gives a bare name its meaning: a register of the thread, a constant, or
// a shared variable used without a parameter. Other names are registers that
// were not declared.
func (p *parser) name(name string, pos Pos) (*expr, error) {
	if r, ok := p.b.regs[p.thread][name]; ok {
		return regExpr(r, pos), nil
	}
	switch name {
	case "NULL", "false":
		return constExpr(0, pos), nil
	case "true":
		return constExpr(1, pos), nil
	}
	if l, ok := p.b.locs[name]; ok && p.b.test.Locations[l].declared {
		return loadExpr(orderPlain, constExpr(addressOf(l), pos), pos), nil
	}
	r := p.b.register(p.thread, name)
	p.b.test.Threads[p.thread].regs[r].undeclared = true
	return regExpr(r, pos), nil
}

// addressOfLvalue is C's &e.
func (p *parser) addressOfLvalue(e *expr, pos Pos) (*expr, error) {
	switch {
	case e.kind == exprLoad && e.order == orderPlain:
		return e.a, nil
	case e.kind == exprReg && p.b.test.Threads[p.thread].regs[e.reg].param:
		return e, nil // the parameter stands for the shared variable
	}
	return nil, p.lex.fail(pos, `"&"`, "& before a shared variable")
}

// variable is the address of the shared variable that a primitive works on.
// Where the kernel's C wants an lvalue ("READ_ONCE(*x)") a bare parameter is
// understood, and so is the name of a shared variable that is no parameter.
func (p *parser) variable(prim primitive, e *expr) (*expr, error) {
	load := e.kind == exprLoad && e.order == orderPlain
	if load && (prim.byName || e.a.kind == exprConst) {
		return e.a, nil
	}
	if e.kind == exprReg {
		reg := p.b.test.Threads[p.thread].regs[e.reg]
		if reg.undeclared {
			return p.adoptVariable(reg.name, e)
		}
		if reg.param {
			return e, nil
		}
	}
	if prim.byName {
		return nil, p.lex.fail(e.pos, "a value", "a shared variable (*x)")
	}
	return e, nil
}

// adoptVariable makes a name that nothing declares a shared variable.
func (p *parser) adoptVariable(name string, e *expr) (*expr, error) {
	l, err := p.location(name, e.pos)
	if err != nil {
		return nil, err
	}
	p.b.test.Locations[l].declared = true
	p.b.param(p.thread, name, l)
	p.b.test.Threads[p.thread].regs[e.reg].undeclared = false
	return e, nil
}

// parseArgs reads "(a, b)".
func (p *parser) parseArgs() ([]*expr, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var args []*expr
	for !p.is(")") {
		e, err := p.parseExpr()
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		if ok, err := p.accept(","); err != nil {
			return nil, err
		} else if !ok && !p.is(")") {
			return nil, p.unexpected(`"," or ")"`)
		}
	}
	return args, p.advance()
}

// parseCall reads a primitive that has a value.
func (p *parser) parseCall(name string, pos Pos) (*expr, error) {
	if name == "likely" || name == "unlikely" {
		return p.parens()
	}
	prim, ok := lookupPrimitive(name)
	if !ok {
		return nil, p.lex.fail(pos, quoted(name), "a primitive of the kernel memory model")
	}
	if prim.form == primTryCompare {
		return p.parseTryCompare(prim, pos)
	}
	if !isExprForm(prim.form) {
		return nil, p.lex.fail(pos, quoted(name), "an expression")
	}
	if prim.form == primCondLoad {
		return p.parseCondLoad(prim, pos)
	}
	args, err := p.parseArgs()
	if err != nil {
		return nil, err
	}
	return p.callExpr(name, prim, args, pos)
}

// parseCondLoad reads smp_cond_load_acquire(p, condition on VAL).
func (p *parser) parseCondLoad(prim primitive, pos Pos) (*expr, error) {
	val := p.local("VAL")
	args, err := p.parseArgs()
	if err != nil {
		return nil, err
	}
	if len(args) != 2 {
		return nil, p.lex.fail(pos, "another number of arguments", "a pointer and a condition")
	}
	addr, err := p.variable(prim, args[0])
	return &expr{kind: exprCondLoad, pos: pos, order: prim.order, reg: val, a: addr, b: args[1]}, err
}

// parseTryCompare reads try_cmpxchg(p, &old, new). It is the comparison of
// what cmpxchg() found, which old takes over, with what old was.
func (p *parser) parseTryCompare(prim primitive, pos Pos) (*expr, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	pointer, err := p.parseExpr()
	if err != nil {
		return nil, err
	}
	for _, punct := range []string{",", "&"} {
		if err := p.expect(punct); err != nil {
			return nil, err
		}
	}
	name, err := p.ident("a variable of the thread")
	if err != nil {
		return nil, err
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	val, err := p.parseExpr()
	if err != nil {
		return nil, err
	}
	addr, err := p.variable(prim, pointer)
	if err != nil {
		return nil, err
	}
	old, was := p.local(name), p.local("__"+name)
	expected := p.assignExpr(was, regExpr(old, pos), pos)
	found := &expr{kind: exprRMW, pos: pos, order: prim.order, rmw: rmwCompare, a: addr, b: expected, c: val}
	return binaryExpr(opEq, p.assignExpr(old, found, pos), regExpr(was, pos), pos), p.expect(")")
}

func (p *parser) callExpr(name string, prim primitive, args []*expr, pos Pos) (*expr, error) {
	if prim.form == primRMW {
		return p.callRMW(name, prim, args, pos)
	}
	want := 1
	if name == "srcu_dereference" || name == "rcu_dereference_check" {
		want = 2
	}
	if len(args) != want {
		return nil, p.lex.fail(pos, quoted(name)+" with another number of arguments", "the kernel's arguments")
	}
	if prim.form == primInit {
		return args[0], nil
	}
	addr, err := p.variable(prim, args[0])
	if err != nil {
		return nil, err
	}
	kinds := map[primForm]exprKind{primLoad: exprLoad, primTryLock: exprTryLock, primIsLocked: exprIsLocked, primSrcuLock: exprSrcuLock}
	return &expr{kind: kinds[prim.form], pos: pos, order: prim.order, a: addr}, nil
}

// callRMW sorts the arguments of an atomic operation.
func (p *parser) callRMW(name string, prim primitive, args []*expr, pos Pos) (*expr, error) {
	counts := [...]int{argsPointer: 1, argsPointerValue: 2, argsValuePointer: 2, argsPointerOldNew: 3, argsPointerValueLimit: 3, argsPointerNotZero: 1}
	if len(args) != counts[prim.args] {
		return nil, p.lex.fail(pos, quoted(name)+" with another number of arguments", "the kernel's arguments")
	}
	e := &expr{kind: exprRMW, pos: pos, order: prim.order, rmw: prim.rmw, op: prim.op}
	pointer := args[0]
	switch prim.args {
	case argsPointer:
		e.b = constExpr(1, pos)
	case argsPointerNotZero:
		e.b, e.c = constExpr(1, pos), constExpr(0, pos)
	case argsPointerValue:
		e.b = args[1]
	case argsValuePointer:
		pointer, e.b = args[1], args[0]
	default:
		e.b, e.c = args[1], args[2]
	}
	var err error
	if e.a, err = p.variable(prim, pointer); err != nil {
		return nil, err
	}
	if prim.compare != opNone {
		return binaryExpr(prim.compare, e, constExpr(0, pos), pos), nil
	}
	return e, nil
}
