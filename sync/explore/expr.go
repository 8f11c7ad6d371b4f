package explore

import (
	"fmt"
	"strconv"
	"strings"
)

// node is an expression: a number, a register, a variable, or an operation on two
// (or one) others.
type node struct {
	op   byte // 'n' number, 'r' register, 'v' variable, else an operator
	n    int32
	l, r *node
}

// The two-character operators have a letter of their own.
var longOps = map[string]byte{"==": 'e', "!=": 'x', "<=": 'l', ">=": 'g', "&&": 'a', "||": 'o'}

var precedence = map[byte]int{'o': 1, 'a': 2, 'e': 3, 'x': 3, '<': 4, '>': 4, 'l': 4, 'g': 4, '|': 5, '&': 5, '+': 6, '-': 6, '*': 7}

// tokens splits an expression.
func tokens(s string) ([]string, error) {
	var out []string
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t':
			i++
		case isWord(c):
			j := i
			for j < len(s) && isWord(s[j]) {
				j++
			}
			out = append(out, s[i:j])
			i = j
		case i+1 < len(s) && longOps[s[i:i+2]] != 0:
			out = append(out, s[i:i+2])
			i += 2
		case strings.IndexByte("<>|&+-*()!", c) >= 0:
			out = append(out, string(c))
			i++
		default:
			return nil, fmt.Errorf("found %q in an expression", string(c))
		}
	}
	return out, nil
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// exprParser parses by precedence.
type exprParser struct {
	c      *compiler
	tok    []string
	shared int
	depth  int
}

// expr parses a whole expression; it returns how many shared variables it reads.
func (c *compiler) expr(s string) (*node, int, error) {
	tok, err := tokens(s)
	if err != nil {
		return nil, 0, err
	}
	p := &exprParser{c: c, tok: tok}
	n, err := p.binary(1)
	if err != nil {
		return nil, 0, err
	}
	if len(p.tok) > 0 {
		return nil, 0, fmt.Errorf("found %q after an expression", p.tok[0])
	}
	return n, p.shared, nil
}

func (p *exprParser) next() string {
	if len(p.tok) == 0 {
		return ""
	}
	return p.tok[0]
}

func operator(tok string) byte {
	if op := longOps[tok]; op != 0 {
		return op
	}
	if len(tok) == 1 && precedence[tok[0]] != 0 {
		return tok[0]
	}
	return 0
}

func (p *exprParser) binary(level int) (*node, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for {
		op := operator(p.next())
		if op == 0 || precedence[op] < level {
			return left, nil
		}
		p.tok = p.tok[1:]
		right, err := p.binary(precedence[op] + 1)
		if err != nil {
			return nil, err
		}
		left = &node{op: op, l: left, r: right}
	}
}

// maxDepth bounds the nesting of an expression.
const maxDepth = 50

func (p *exprParser) unary() (*node, error) {
	p.depth++
	defer func() { p.depth-- }()
	tok := p.next()
	if tok == "" || p.depth > maxDepth {
		return nil, fmt.Errorf("found no operand, want a number, a name or (")
	}
	p.tok = p.tok[1:]
	switch {
	case tok == "!":
		n, err := p.unary()
		return &node{op: '!', l: n}, err
	case tok == "-":
		n, err := p.unary()
		return &node{op: '-', l: &node{op: 'n'}, r: n}, err
	case tok == "(":
		n, err := p.binary(1)
		if err == nil && p.next() != ")" {
			return nil, fmt.Errorf("found %q, want )", p.next())
		}
		if err == nil {
			p.tok = p.tok[1:]
		}
		return n, err
	case tok[0] >= '0' && tok[0] <= '9':
		n, err := strconv.ParseInt(tok, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("found %q, want a number", tok)
		}
		return &node{op: 'n', n: int32(n)}, nil
	case !isWord(tok[0]):
		return nil, fmt.Errorf("found %q, want a number, a name or (", tok)
	}
	if v, ok := p.c.vars[tok]; ok {
		p.shared++
		return &node{op: 'v', n: v}, nil
	}
	if p.c.thread == nil {
		return nil, fmt.Errorf("found %q, which is no variable", tok)
	}
	r, err := p.c.register(tok)
	return &node{op: 'r', n: r}, err
}

// eval computes an expression in a thread's view of a state.
func (m *machine) eval(n *node, t int) int32 {
	switch n.op {
	case 'n':
		return n.n
	case 'r':
		return m.s[m.reg(t, n.n)]
	case 'v':
		return m.load(t, n.n)
	case '!':
		return truth(m.eval(n.l, t) == 0)
	case 'a':
		return truth(m.eval(n.l, t) != 0 && m.eval(n.r, t) != 0)
	case 'o':
		return truth(m.eval(n.l, t) != 0 || m.eval(n.r, t) != 0)
	}
	return operate(n.op, m.eval(n.l, t), m.eval(n.r, t))
}

func operate(op byte, a, b int32) int32 {
	switch op {
	case 'e':
		return truth(a == b)
	case 'x':
		return truth(a != b)
	case 'l':
		return truth(a <= b)
	case 'g':
		return truth(a >= b)
	case '<':
		return truth(a < b)
	case '>':
		return truth(a > b)
	case '|':
		return a | b
	case '&':
		return a & b
	case '+':
		return a + b
	case '-':
		return a - b
	}
	return a * b
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
