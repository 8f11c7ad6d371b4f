package convert

import (
	"slices"
	"strconv"
	"strings"
)

// tokenKind is the kind of a word of a C expression.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenIdent
	tokenNumber
	tokenString
	tokenPunct
	tokenBad
)

type token struct {
	kind tokenKind
	text string
	n    int64
}

// operators of more than one character, longest first.
var operators = []string{"<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->"}

// tokenize cuts a C expression into words.
func tokenize(s string) []token {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '"' || c == '\'':
			text, n := unquote(s[i:])
			if n == 0 {
				return append(out, token{kind: tokenBad})
			}
			t := token{kind: tokenString, text: text}
			if c == '\'' {
				t = token{kind: tokenNumber}
				if len(text) == 1 {
					t.n = int64(text[0])
				}
			}
			out = append(out, t)
			i += n
		case c >= '0' && c <= '9':
			n := wordEnd(s, i)
			v, err := strconv.ParseUint(strings.TrimRight(s[i:n], "uUlL"), 0, 64)
			if err != nil {
				return append(out, token{kind: tokenBad})
			}
			out = append(out, token{kind: tokenNumber, n: int64(v)})
			i = n
		case c == '_' || isLetter(c):
			n := wordEnd(s, i)
			out = append(out, token{kind: tokenIdent, text: s[i:n]})
			i = n
		default:
			text := s[i : i+1]
			for _, op := range operators {
				if strings.HasPrefix(s[i:], op) {
					text = op
					break
				}
			}
			out = append(out, token{kind: tokenPunct, text: text})
			i += len(text)
		}
	}
	return out
}

func wordEnd(s string, i int) int {
	for i < len(s) && (s[i] == '_' || isLetter(s[i]) || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return i
}

// unquote reads a C string or character constant; n is its length with the
// quotes, 0 if it does not end.
func unquote(s string) (text string, n int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return b.String(), i + 1
		case s[i] == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '0':
				b.WriteByte(0)
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0
}

// maxExprDepth bounds the nesting of an expression.
const maxExprDepth = 200

// exprParser parses the arguments of a print format.
type exprParser struct {
	tokens []token
	at     int
	depth  int
	bad    bool
	format *EventFormat
}

func (p *exprParser) failed() bool {
	n := len(p.tokens)
	return n > 0 && p.tokens[n-1].kind == tokenBad
}

func (p *exprParser) peekAt(i int) token {
	if p.at+i < len(p.tokens) {
		return p.tokens[p.at+i]
	}
	return token{}
}

func (p *exprParser) peek() token { return p.peekAt(0) }

func (p *exprParser) next() token {
	t := p.peek()
	p.at++
	return t
}

// accept takes a punctuation if it is next.
func (p *exprParser) accept(text string) bool {
	if t := p.peek(); t.kind == tokenPunct && t.text == text {
		p.at++
		return true
	}
	return false
}

// expect takes a punctuation that must be next.
func (p *exprParser) expect(text string) {
	if !p.accept(text) {
		p.bad = true
	}
}

var zero = &expr{kind: exprNumber}

// fail gives a stand-in for what cannot be parsed.
func (p *exprParser) fail() *expr {
	p.bad = true
	return zero
}

// ternary parses a whole expression.
func (p *exprParser) ternary() *expr {
	if p.depth++; p.depth > maxExprDepth || p.bad {
		return p.fail()
	}
	defer func() { p.depth-- }()
	cond := p.binary(0)
	if !p.accept("?") {
		return cond
	}
	yes := p.ternary()
	p.expect(":")
	return &expr{kind: exprTernary, args: []*expr{cond, yes, p.ternary()}}
}

// levels are the binary operators by rising precedence.
var levels = [][]string{{"||"}, {"&&"}, {"|"}, {"^"}, {"&"}, {"==", "!="}, {"<", "<=", ">", ">="}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"}}

// binary parses operators from a level of precedence on.
func (p *exprParser) binary(level int) *expr {
	if level == len(levels) {
		return p.unary()
	}
	left := p.binary(level + 1)
	for {
		t := p.peek()
		if t.kind != tokenPunct || !slices.Contains(levels[level], t.text) || p.bad {
			return left
		}
		p.at++
		left = fold(&expr{kind: exprBinary, op: t.text, args: []*expr{left, p.binary(level + 1)}})
	}
}

// fold computes an operator whose operands are numbers.
func fold(x *expr) *expr {
	for _, a := range x.args {
		if a.kind != exprNumber {
			return x
		}
	}
	v := (&evaluation{}).eval(x)
	return &expr{kind: exprNumber, number: v.n}
}

// unary parses signs, casts and what they stand before.
func (p *exprParser) unary() *expr {
	if p.depth++; p.depth > maxExprDepth || p.bad {
		return p.fail()
	}
	defer func() { p.depth-- }()
	t := p.peek()
	if t.kind == tokenPunct {
		switch t.text {
		case "-", "~", "!":
			p.at++
			return fold(&expr{kind: exprUnary, op: t.text, args: []*expr{p.unary()}})
		case "+", "&", "*":
			p.at++
			return p.unary()
		case "(":
			if size, signed, n, ok := p.typeName(1); ok {
				p.at += n + 1
				return fold(&expr{kind: exprCast, size: size, signed: signed, args: []*expr{p.unary()}})
			}
		}
	}
	return p.postfix(p.primary())
}

// typeWords are words that only types have.
var typeWords = []string{"unsigned", "signed", "int", "long", "short", "char", "void", "struct", "union", "enum", "const", "bool", "_Bool", "__force"}

// typeName looks whether a cast's type and bracket stand at i; n is their
// number of tokens. A single unknown name in brackets is a type only if an
// operand follows that cannot follow a value.
func (p *exprParser) typeName(i int) (size int, signed bool, n int, ok bool) {
	var words []string
	sure, pointer := false, false
	for ; ; i++ {
		t := p.peekAt(i)
		switch {
		case t.kind == tokenIdent && !pointer:
			words = append(words, t.text)
			sure = sure || slices.Contains(typeWords, t.text)
			continue
		case t.kind == tokenPunct && t.text == "*" && len(words) > 0:
			pointer, sure = true, true
			continue
		}
		break
	}
	if t := p.peekAt(i); t.kind != tokenPunct || t.text != ")" || len(words) == 0 || words[0] == "REC" {
		return 0, false, 0, false
	}
	after := p.peekAt(i + 1)
	operand := after.kind == tokenIdent || after.kind == tokenNumber || after.kind == tokenString || after.kind == tokenPunct && after.text == "("
	if !sure && !operand {
		return 0, false, 0, false
	}
	size, signed = typeSize(words, pointer, p.format.long)
	return size, signed, i, true
}

// typeSize is the size of a C type in bytes and whether it is signed.
func typeSize(words []string, pointer bool, long int) (size int, signed bool) {
	if pointer {
		return long, false
	}
	size, signed = 4, true
	known := false
	for i, w := range words {
		known = true
		switch w {
		case "unsigned", "gfp_t", "dev_t", "fmode_t", "uid_t", "gid_t", "bool", "_Bool":
			signed = false
			if strings.HasSuffix(w, "ool") {
				size = 1
			}
		case "char":
			size = 1
		case "short":
			size = 2
		case "long":
			size = long
			if i > 0 && words[i-1] == "long" {
				size = 8
			}
		case "size_t", "sector_t", "pgoff_t", "ino_t", "blkcnt_t", "dma_addr_t", "phys_addr_t":
			size, signed = 8, false
			if w == "size_t" || w == "pgoff_t" || w == "ino_t" {
				size = long
			}
		case "ssize_t", "loff_t", "ktime_t":
			size = 8
		default:
			bits := strings.TrimLeft(strings.TrimSuffix(w, "_t"), "_uintsbel")
			n, err := strconv.Atoi(bits)
			if err == nil && (n == 8 || n == 16 || n == 32 || n == 64) {
				size, signed = n/8, !strings.Contains(strings.TrimSuffix(w, "_t"), "u") && !strings.Contains(w, "le") && !strings.Contains(w, "be")
			}
		}
	}
	if !known {
		size = long
	}
	return size, signed
}

// primary parses a number, text, field, call, or brackets.
func (p *exprParser) primary() *expr {
	t := p.next()
	switch {
	case t.kind == tokenNumber:
		return &expr{kind: exprNumber, number: t.n}
	case t.kind == tokenString:
		text := t.text
		for p.peek().kind == tokenString {
			text += p.next().text
		}
		return &expr{kind: exprString, text: text}
	case t.kind == tokenPunct && t.text == "(":
		x := p.ternary()
		p.expect(")")
		return x
	case t.kind != tokenIdent:
		return p.fail()
	case t.text == "REC":
		p.expect("->")
		name := p.next()
		if name.kind != tokenIdent || p.format.field(name.text) == nil {
			return p.fail()
		}
		return &expr{kind: exprField, name: name.text}
	case p.accept("("):
		return p.call(t.text)
	}
	return zero // a name of the kernel that the file does not explain
}

// postfix parses indexes and members behind a value.
func (p *exprParser) postfix(x *expr) *expr {
	for !p.bad {
		switch {
		case p.accept("["):
			x = &expr{kind: exprIndex, args: []*expr{x, p.ternary()}}
			p.expect("]")
		case p.accept("->"), p.accept("."):
			return p.fail()
		default:
			return x
		}
	}
	return x
}

// call parses a helper's arguments, behind its opening bracket.
func (p *exprParser) call(name string) *expr {
	switch {
	case strings.HasPrefix(name, "__print_flags"), strings.HasPrefix(name, "__print_symbolic"):
		return p.table(name)
	case strings.HasPrefix(name, "__get_"):
		field := p.next()
		p.expect(")")
		if field.kind != tokenIdent || functions[name] == 0 || p.format.field(field.text) == nil {
			return p.fail()
		}
		return &expr{kind: exprCall, name: name, args: []*expr{{kind: exprField, name: field.text}}}
	case name == "sizeof":
		return p.sizeOf()
	}
	x := &expr{kind: exprCall, name: name}
	for {
		x.args = append(x.args, p.ternary())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	if n := functions[name]; n == 0 || n != len(x.args) {
		return p.fail()
	}
	return x
}

// sizeOf parses sizeof(type) or sizeof(field).
func (p *exprParser) sizeOf() *expr {
	if size, _, n, ok := p.typeName(0); ok {
		p.at += n + 1
		return &expr{kind: exprNumber, number: int64(size)}
	}
	x := p.ternary()
	p.expect(")")
	size := int64(4)
	if x.kind == exprField {
		size = int64(p.format.field(x.name).Size)
	} else if x.kind == exprIndex && x.args[0].kind == exprField {
		size = int64(elementSize(p.format.field(x.args[0].name).Type, p.format.long))
	}
	return &expr{kind: exprNumber, number: size}
}

// table parses __print_flags(value, "|", {1, "A"}, ...) and __print_symbolic
// (value, {1, "A"}, ...).
func (p *exprParser) table(name string) *expr {
	x := &expr{kind: exprTable, name: name, args: []*expr{p.ternary()}}
	if strings.HasPrefix(name, "__print_flags") {
		p.expect(",")
		x.text = p.next().text
	}
	for p.accept(",") {
		if !p.accept("{") {
			return p.fail()
		}
		v := p.ternary()
		p.expect(",")
		text := p.ternary()
		p.expect("}")
		if v.kind != exprNumber {
			return p.fail()
		}
		if text.kind == exprString {
			x.pairs = append(x.pairs, flagPair{v.number, text.text})
		}
	}
	p.expect(")")
	return x
}
