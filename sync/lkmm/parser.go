package lkmm

import (
	"strconv"
	"strings"
)

// maxNesting bounds the depth of expressions and statements in a text.
const maxNesting = 200

// parser reads a litmus text by recursive descent.
type parser struct {
	lex     lexer
	tok     token
	b       *builder
	thread  int // being read
	nesting int
	loops   int // loops around the statement being read
}

// Parse reads a litmus test in the C dialect of the kernel's tests:
//
//	C name
//	{ initial values }
//	P0(int *x) { ... }
//	P1(int *x) { ... }
//	locations [...] filter (...) exists (...)
//
// file names the text in errors. An error is a *[SyntaxError].
func Parse(file string, text []byte) (*Test, error) {
	p := &parser{lex: lexer{file: file, src: string(text), line: 1}}
	name, expect, err := p.lex.header()
	if err != nil {
		return nil, err
	}
	t := &Test{File: file, Name: name, Expect: expect}
	p.b = newBuilder(t)
	if err := p.advance(); err != nil {
		return nil, err
	}
	for _, section := range []func() error{p.parseInit, p.parseThreads, p.parseQuestion} {
		if err := section(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (p *parser) advance() error {
	t, err := p.lex.next()
	p.tok = t
	return err
}

// is says whether the current token is the punctuation or word s.
func (p *parser) is(s string) bool {
	return p.tok.text == s && (p.tok.kind == tokPunct || p.tok.kind == tokIdent)
}

// accept moves over s if it is the current token.
func (p *parser) accept(s string) (bool, error) {
	if !p.is(s) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(s string) error {
	if !p.is(s) {
		return p.unexpected(`"` + s + `"`)
	}
	return p.advance()
}

func (p *parser) unexpected(expected string) error {
	return p.lex.fail(p.tok.pos, quoted(p.tok.text), expected)
}

func (p *parser) ident(what string) (string, error) {
	if p.tok.kind != tokIdent {
		return "", p.unexpected(what)
	}
	name := p.tok.text
	return name, p.advance()
}

// mark and reset let the parser look further ahead than a token.
type mark struct {
	lex lexer
	tok token
}

func (p *parser) mark() mark { return mark{p.lex, p.tok} }

func (p *parser) reset(m mark) { p.lex, p.tok = m.lex, m.tok }

// enter counts a level of nesting.
func (p *parser) enter() error {
	if p.nesting++; p.nesting > maxNesting {
		return p.lex.fail(p.tok.pos, "too deep a nesting", "at most "+strconv.Itoa(maxNesting)+" levels")
	}
	return nil
}

func (p *parser) leave() { p.nesting-- }

// location finds or adds the shared variable name.
func (p *parser) location(name string, pos Pos) (loc, error) {
	l, ok := p.b.location(name)
	if !ok {
		return noLoc, p.lex.fail(pos, quoted(name), "at most "+strconv.Itoa(maxLocations)+" shared variables")
	}
	return l, nil
}

// number reads a C integer literal; "-" may stand before it.
func (p *parser) number() (Value, error) {
	neg, err := p.accept("-")
	if err != nil {
		return 0, err
	}
	if p.tok.kind != tokNumber {
		return 0, p.unexpected("a number")
	}
	text := strings.TrimRight(p.tok.text, "uUlL")
	v, err := strconv.ParseInt(text, 0, 48)
	if err != nil {
		return 0, p.unexpected("an integer below 2^47")
	}
	if neg {
		v = -v
	}
	return Value(v), p.advance()
}

// typeWords are the words that C types are made of.
var typeWords = map[string]bool{
	"int": true, "long": true, "short": true, "char": true, "unsigned": true, "signed": true, "void": true,
	"bool": true, "_Bool": true, "volatile": true, "const": true, "static": true, "register": true,
	"u8": true, "u16": true, "u32": true, "u64": true, "s8": true, "s16": true, "s32": true, "s64": true,
	"__unused": true, "__maybe_unused": true, "__rcu": true, "__percpu": true,
}

func isTypeWord(s string) bool { return typeWords[s] || strings.HasSuffix(s, "_t") }

// startsType says whether the current token begins a type.
func (p *parser) startsType() bool {
	return p.tok.kind == tokIdent &&
		(isTypeWord(p.tok.text) || p.is("struct") || p.is("union") || p.is("enum"))
}

// skipType moves over a type: words, "struct name" and stars.
func (p *parser) skipType() error {
	for {
		switch {
		case p.is("struct") || p.is("union") || p.is("enum"):
			if err := p.advance(); err != nil {
				return err
			}
			if _, err := p.ident("a tag"); err != nil {
				return err
			}
		case p.is("__attribute__"):
			if err := p.skipAttribute(); err != nil {
				return err
			}
		case p.tok.kind == tokIdent && isTypeWord(p.tok.text) || p.is("*"):
			if err := p.advance(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// skipAttribute moves over "__attribute__((...))".
func (p *parser) skipAttribute() error {
	if err := p.advance(); err != nil {
		return err
	}
	for depth := 0; ; {
		switch {
		case p.is("("):
			depth++
		case p.is(")"):
			depth--
		case p.tok.kind == tokEOF || depth == 0:
			return p.unexpected("an attribute in parentheses")
		}
		if err := p.advance(); err != nil || depth == 0 {
			return err
		}
	}
}

// parseInit reads the initial section, "{ int x = 1; int *p = &x; 0:r1=x; }".
func (p *parser) parseInit() error {
	if err := p.expect("{"); err != nil {
		return err
	}
	for !p.is("}") {
		if ok, err := p.accept(";"); err != nil {
			return err
		} else if ok {
			continue
		}
		if err := p.parseInitial(); err != nil {
			return err
		}
		if !p.is("}") && !p.is(";") {
			return p.unexpected(`";" or "}"`)
		}
	}
	return p.advance()
}

// parseInitial reads one initial value. Registers are kept until their thread
// is read.
func (p *parser) parseInitial() error {
	if err := p.skipType(); err != nil {
		return err
	}
	if p.tok.kind == tokNumber || p.tok.kind == tokIdent && isThreadName(p.tok.text) {
		m := p.mark()
		thread, ok, err := p.threadPrefix()
		if err != nil {
			return err
		}
		if ok {
			return p.initialRegister(thread)
		}
		p.reset(m)
	}
	return p.initialLocation()
}

// threadPrefix reads "0:" or "P0:".
func (p *parser) threadPrefix() (thread int, ok bool, err error) {
	n, err := strconv.Atoi(strings.TrimPrefix(p.tok.text, "P"))
	if err != nil || n < 0 || n > maxThreads {
		return 0, false, nil
	}
	if err := p.advance(); err != nil {
		return 0, false, err
	}
	ok, err = p.accept(":")
	return n, ok, err
}

// maxThreads bounds the number of threads of a test.
const maxThreads = 128

func isThreadName(s string) bool {
	if len(s) < 2 || s[0] != 'P' {
		return false
	}
	_, err := strconv.Atoi(s[1:])
	return err == nil
}

func (p *parser) initialRegister(thread int) error {
	name, err := p.ident("a register")
	if err != nil {
		return err
	}
	if err := p.expect("="); err != nil {
		return err
	}
	v, err := p.initialValue()
	if err != nil {
		return err
	}
	for len(p.b.test.Threads) <= thread {
		p.b.thread("P" + strconv.Itoa(len(p.b.test.Threads)))
	}
	r := p.b.register(thread, name)
	p.b.test.Threads[thread].regs[r].init = v
	return nil
}

// initialLocation reads "x", "x = 1", "[x] = 1", "*x = 1", "x[2] = {1,2}".
func (p *parser) initialLocation() error {
	bracket, err := p.accept("[")
	if err != nil {
		return err
	}
	pos := p.tok.pos
	name, err := p.ident("a shared variable")
	if err != nil {
		return err
	}
	if bracket {
		if err := p.expect("]"); err != nil {
			return err
		}
	}
	l, err := p.location(name, pos)
	if err != nil {
		return err
	}
	p.b.test.Locations[l].declared = true
	array, err := p.arraySize()
	if err != nil {
		return err
	}
	if ok, err := p.accept("="); err != nil || !ok {
		return err
	}
	if array || p.is("{") {
		return p.initialArray(l)
	}
	p.b.test.Locations[l].Init, err = p.initialValue()
	return err
}

// arraySize reads "[2]".
func (p *parser) arraySize() (array bool, err error) {
	array, err = p.accept("[")
	if err != nil || !array {
		return array, err
	}
	if p.tok.kind == tokNumber {
		if _, err := p.number(); err != nil {
			return true, err
		}
	}
	return true, p.expect("]")
}

// initialArray reads "{1, 2}"; "{}" leaves everything 0.
func (p *parser) initialArray(l loc) error {
	if err := p.expect("{"); err != nil {
		return err
	}
	for i := 0; !p.is("}"); i++ {
		v, err := p.initialValue()
		if err != nil {
			return err
		}
		if i == 0 {
			p.b.test.Locations[l].Init = v
		} else {
			p.b.test.Locations[l].elements = append(p.b.test.Locations[l].elements, v)
		}
		if ok, err := p.accept(","); err != nil {
			return err
		} else if !ok {
			break
		}
	}
	return p.expect("}")
}

// initialValue reads a number, a variable's address ("y", "&y", "(int *)y") or
// ATOMIC_INIT(1).
func (p *parser) initialValue() (Value, error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	switch {
	case p.is("("):
		return p.initialParens()
	case p.is("&"):
		if err := p.advance(); err != nil {
			return 0, err
		}
		return p.initialValue()
	case p.tok.kind == tokNumber || p.is("-"):
		return p.number()
	}
	pos := p.tok.pos
	name, err := p.ident("a number or a shared variable")
	if err != nil {
		return 0, err
	}
	switch name {
	case "NULL", "false":
		return 0, nil
	case "true":
		return 1, nil
	case "ATOMIC_INIT", "ATOMIC_LONG_INIT":
		return p.initialParens()
	}
	l, err := p.location(name, pos)
	return addressOf(l), err
}

// initialParens reads "(value)" or "(type) value".
func (p *parser) initialParens() (Value, error) {
	if err := p.expect("("); err != nil {
		return 0, err
	}
	if p.startsType() {
		if err := p.skipType(); err != nil {
			return 0, err
		}
		if err := p.expect(")"); err != nil {
			return 0, err
		}
		return p.initialValue()
	}
	v, err := p.initialValue()
	if err != nil {
		return 0, err
	}
	return v, p.expect(")")
}

// parseThreads reads P0(...) {...} P1(...) {...} ...
func (p *parser) parseThreads() error {
	for n := 0; ; n++ {
		if err := p.skipType(); err != nil { // "static void"
			return err
		}
		if p.tok.kind != tokIdent || !isThreadName(p.tok.text) {
			return p.checkThreads(n)
		}
		if p.tok.text != "P"+strconv.Itoa(n) || n >= maxThreads {
			return p.unexpected("P" + strconv.Itoa(n))
		}
		if err := p.parseThread(n); err != nil {
			return err
		}
	}
}

// checkThreads looks for threads that only the initial section names.
func (p *parser) checkThreads(read int) error {
	if read == 0 || read < len(p.b.test.Threads) {
		return p.unexpected("P" + strconv.Itoa(read))
	}
	return nil
}

func (p *parser) parseThread(n int) error {
	if n == len(p.b.test.Threads) {
		p.b.thread(p.tok.text)
	}
	p.thread = n
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.parseParams(); err != nil {
		return err
	}
	if !p.is("{") {
		return p.unexpected(`"{"`)
	}
	p.lex.inBody = true
	if err := p.advance(); err != nil {
		return err
	}
	body, err := p.parseStatements()
	if err != nil {
		return err
	}
	p.b.test.Threads[n].body = body
	p.lex.inBody = false
	return p.expect("}")
}

// parseParams reads "(int *x, atomic_t *y)": the names of shared variables.
func (p *parser) parseParams() error {
	if err := p.expect("("); err != nil {
		return err
	}
	for !p.is(")") {
		if err := p.skipType(); err != nil {
			return err
		}
		if p.is(")") { // (void)
			break
		}
		if err := p.parseParam(); err != nil {
			return err
		}
		if ok, err := p.accept(","); err != nil {
			return err
		} else if !ok && !p.is(")") {
			return p.unexpected(`"," or ")"`)
		}
	}
	return p.advance()
}

func (p *parser) parseParam() error {
	pos := p.tok.pos
	name, err := p.ident("a parameter")
	if err != nil {
		return err
	}
	if _, err := p.arraySize(); err != nil {
		return err
	}
	if r, ok := p.b.regs[p.thread][name]; ok && p.b.test.Threads[p.thread].regs[r].init != 0 {
		return nil // given in the initial section
	}
	l, err := p.location(name, pos)
	if err != nil {
		return err
	}
	p.b.test.Locations[l].declared = true
	p.b.param(p.thread, name, l)
	return nil
}
