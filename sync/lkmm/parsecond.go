package lkmm

import "strconv"

// parseQuestion reads what follows the threads: locations, filter, and the
// quantified condition.
func (p *parser) parseQuestion() error {
	for p.tok.kind != tokEOF {
		var err error
		switch {
		case p.is("locations"):
			err = p.parseLocations()
		case p.is("filter"):
			if err = p.advance(); err == nil {
				p.b.test.filter, err = p.parseCond()
			}
		default:
			return p.parseQuantified()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseLocations reads "locations [x; 0:r1; ]".
func (p *parser) parseLocations() error {
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.expect("["); err != nil {
		return err
	}
	for !p.is("]") {
		if ok, err := p.accept(";"); err != nil {
			return err
		} else if ok {
			continue
		}
		if _, err := p.parseObservable(); err != nil {
			return err
		}
		if err := p.skipType(); err != nil {
			return err
		}
		if !p.is(";") && !p.is("]") {
			return p.unexpected(`";" or "]"`)
		}
	}
	return p.advance()
}

// parseQuantified reads "exists (...)", "~exists (...)" or "forall (...)" up
// to the end of the text.
func (p *parser) parseQuantified() error {
	not, err := p.accept("~")
	if err != nil {
		return err
	}
	if !not {
		if not, err = p.accept("not"); err != nil {
			return err
		}
	}
	switch {
	case p.is("exists") && not:
		p.b.test.Quantifier = NotExists
	case p.is("exists"):
		p.b.test.Quantifier = Exists
	case p.is("forall") && !not:
		p.b.test.Quantifier = Forall
	default:
		return p.unexpected("locations, filter, exists, ~exists or forall")
	}
	if err := p.advance(); err != nil {
		return err
	}
	if p.b.test.condition, err = p.parseCond(); err != nil {
		return err
	}
	if ok, err := p.accept(";"); ok || err != nil {
		if err != nil {
			return err
		}
	}
	if p.tok.kind != tokEOF {
		return p.unexpected("the end of the test")
	}
	return nil
}

// parseCond reads a proposition: "=>" loosest, then "\/", then "/\".
func (p *parser) parseCond() (*cond, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.parseCondOr()
	if err != nil {
		return nil, err
	}
	if ok, err := p.accept("=>"); err != nil || !ok {
		return left, err
	}
	right, err := p.parseCond()
	if err != nil {
		return nil, err
	}
	return &cond{kind: condOr, args: []*cond{{kind: condNot, args: []*cond{left}}, right}}, nil
}

func (p *parser) parseCondOr() (*cond, error) {
	return p.parseCondList(condOr, "\\/", "||", p.parseCondAnd)
}

func (p *parser) parseCondAnd() (*cond, error) {
	return p.parseCondList(condAnd, "/\\", "&&", p.parseCondNot)
}

// parseCondList reads operands joined by either spelling of an operator.
func (p *parser) parseCondList(kind condKind, op, alias string, operand func() (*cond, error)) (*cond, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	args := []*cond{first}
	for p.is(op) || p.is(alias) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		next, err := operand()
		if err != nil {
			return nil, err
		}
		args = append(args, next)
	}
	if len(args) == 1 {
		return first, nil
	}
	return &cond{kind: kind, args: args}, nil
}

func (p *parser) parseCondNot() (*cond, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	switch {
	case p.is("~") || p.is("not") || p.is("!"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		c, err := p.parseCondNot()
		if err != nil {
			return nil, err
		}
		return &cond{kind: condNot, args: []*cond{c}}, nil
	case p.is("("):
		return p.parseCondParens()
	case p.is("true"):
		return &cond{kind: condTrue}, p.advance()
	case p.is("false"):
		return &cond{kind: condFalse}, p.advance()
	}
	return p.parseComparison()
}

// parseCondParens reads "( proposition )" or "(*x=1)", whose "(*" starts no
// comment.
func (p *parser) parseCondParens() (*cond, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.is(")") { // "exists ()"
		return &cond{kind: condTrue}, p.advance()
	}
	c, err := p.parseCond()
	if err != nil {
		return nil, err
	}
	return c, p.expect(")")
}

var comparisons = map[string]operator{
	"=": opEq, "==": opEq, "!=": opNe, "<>": opNe, "<": opLt, "<=": opLe, ">": opGt, ">=": opGe,
}

// parseComparison reads "0:r1=1", "x=y", "[x]=1", "0:r1=0:r2".
func (p *parser) parseComparison() (*cond, error) {
	left, err := p.parseObservable()
	if err != nil {
		return nil, err
	}
	op, ok := comparisons[p.tok.text]
	if !ok {
		return nil, p.unexpected("a comparison")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if op == opLt {
		if ok, err := p.accept(">"); err != nil {
			return nil, err
		} else if ok {
			op = opNe
		}
	}
	right, err := p.parseCondValue()
	if err != nil {
		return nil, err
	}
	return &cond{kind: condCompare, op: op, left: condTerm{obs: left}, right: right}, nil
}

// parseObservable reads a register ("0:r1") or a variable ("x", "[x]", "*x",
// "x[1]").
func (p *parser) parseObservable() (int, error) {
	if p.tok.kind == tokNumber || p.tok.kind == tokIdent && isThreadName(p.tok.text) {
		m := p.mark()
		thread, ok, err := p.threadPrefix()
		if err != nil {
			return 0, err
		}
		if ok {
			return p.observedRegister(thread)
		}
		p.reset(m)
	}
	if _, err := p.accept("*"); err != nil {
		return 0, err
	}
	bracket, err := p.accept("[")
	if err != nil {
		return 0, err
	}
	pos := p.tok.pos
	name, err := p.ident("a register (0:r1) or a shared variable")
	if err != nil {
		return 0, err
	}
	l, err := p.location(name, pos)
	if err != nil {
		return 0, err
	}
	elem, err := p.element()
	if err != nil {
		return 0, err
	}
	if bracket {
		if err := p.expect("]"); err != nil {
			return 0, err
		}
	}
	return p.b.observeLocation(l, elem), nil
}

// element reads the "[1]" of an array's element.
func (p *parser) element() (int64, error) {
	if ok, err := p.accept("["); err != nil || !ok {
		return 0, err
	}
	v, err := p.number()
	if err != nil {
		return 0, err
	}
	if v < 0 || v >= addressStride/2 {
		return 0, p.unexpected("an index below " + strconv.Itoa(int(addressStride/2)))
	}
	return int64(v), p.expect("]")
}

func (p *parser) observedRegister(thread int) (int, error) {
	if thread >= len(p.b.test.Threads) {
		return 0, p.unexpected("a register of P0 to P" + strconv.Itoa(len(p.b.test.Threads)-1))
	}
	name, err := p.ident("a register")
	if err != nil {
		return 0, err
	}
	return p.b.observeRegister(thread, name), nil
}

// parseCondValue reads the right side of a comparison: a number, the address
// of a variable ("x", "&x"), or a register ("0:r2").
func (p *parser) parseCondValue() (condTerm, error) {
	if p.tok.kind == tokNumber || p.tok.kind == tokIdent && isThreadName(p.tok.text) {
		m := p.mark()
		thread, ok, err := p.threadPrefix()
		if err != nil {
			return condTerm{}, err
		}
		if ok {
			obs, err := p.observedRegister(thread)
			return condTerm{obs: obs}, err
		}
		p.reset(m)
	}
	v, err := p.initialValue()
	return condTerm{obs: -1, value: v}, err
}
