package lkmm

import "strings"

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokIdent
	tokNumber
	tokPunct
)

type token struct {
	kind tokenKind
	text string
	pos  Pos
}

// lexer cuts a litmus text into tokens. Outside the threads' bodies "(*"
// starts a comment; inside, "READ_ONCE(*x)" is C.
type lexer struct {
	file   string
	src    string
	off    int
	line   int32
	bol    int // offset of the current line's first byte
	inBody bool
}

func (l *lexer) pos() Pos { return Pos{l.line, int32(l.off-l.bol) + 1} }

// advance moves n bytes on, counting lines.
func (l *lexer) advance(n int) {
	for ; n > 0 && l.off < len(l.src); n-- {
		if l.src[l.off] == '\n' {
			l.line++
			l.bol = l.off + 1
		}
		l.off++
	}
}

func (l *lexer) rest() string { return l.src[l.off:] }

func (l *lexer) fail(pos Pos, found, expected string) error {
	return &SyntaxError{File: l.file, Pos: pos, Found: found, Expected: expected}
}

// skipSpace moves over white space and comments.
func (l *lexer) skipSpace() error {
	for l.off < len(l.src) {
		switch c := l.src[l.off]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v':
			l.advance(1)
		case strings.HasPrefix(l.rest(), "//"):
			l.skipLine()
		case strings.HasPrefix(l.rest(), "/*"):
			if err := l.skipComment("/*", "*/"); err != nil {
				return err
			}
		case !l.inBody && strings.HasPrefix(l.rest(), "(*") && l.isComment():
			if err := l.skipComment("(*", "*)"); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// isComment tells a comment "(* ... *)" from a condition "(*x=1)": one that is
// never closed is taken as the latter.
func (l *lexer) isComment() bool {
	return strings.Contains(l.rest()[2:], "*)")
}

func (l *lexer) skipLine() {
	if i := strings.IndexByte(l.rest(), '\n'); i >= 0 {
		l.advance(i)
		return
	}
	l.advance(len(l.rest()))
}

// skipComment moves over a comment; the litmus dialect's comments nest.
func (l *lexer) skipComment(open, closing string) error {
	start := l.pos()
	l.advance(2)
	for depth := 1; depth > 0; {
		switch {
		case l.off >= len(l.src):
			return l.fail(start, "comment without end", closing)
		case open == "(*" && strings.HasPrefix(l.rest(), open):
			depth++
			l.advance(2)
		case strings.HasPrefix(l.rest(), closing):
			depth--
			l.advance(2)
		default:
			l.advance(1)
		}
	}
	return nil
}

func isIdentStart(c byte) bool {
	return c == '_' || c == '$' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isIdentPart(c byte) bool { return isIdentStart(c) || isDigit(c) }

// punctuation, the longer first.
var puncts = []string{
	"<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
	"+=", "-=", "*=", "/=", "&=", "|=", "^=", "%=", "/\\", "\\/", "=>",
}

// next reads one token.
func (l *lexer) next() (token, error) {
	if err := l.skipSpace(); err != nil {
		return token{}, err
	}
	t := token{pos: l.pos()}
	if l.off >= len(l.src) {
		return t, nil
	}
	switch c := l.src[l.off]; {
	case isIdentStart(c):
		t.kind, t.text = tokIdent, l.take(isIdentPart)
	case isDigit(c):
		t.kind, t.text = tokNumber, l.take(isIdentPart)
	default:
		t.kind, t.text = tokPunct, l.punct()
	}
	return t, nil
}

// take reads as long as ok says so.
func (l *lexer) take(ok func(byte) bool) string {
	start := l.off
	for l.off < len(l.src) && ok(l.src[l.off]) {
		l.advance(1)
	}
	return l.src[start:l.off]
}

func (l *lexer) punct() string {
	for _, p := range puncts {
		if strings.HasPrefix(l.rest(), p) {
			l.advance(len(p))
			return p
		}
	}
	l.advance(1)
	return l.src[l.off-1 : l.off]
}

// header reads "C name" and moves to the '{' of the initial section. What
// stands between are comments, quoted cycles and key=value lines of test
// generators; a "Result:" among the comments is returned.
func (l *lexer) header() (name, expect string, err error) {
	l.src = strings.TrimPrefix(l.src, "\ufeff")
	if err := l.skipSpace(); err != nil {
		return "", "", err
	}
	start := l.pos()
	if arch := l.take(isIdentPart); arch != "C" {
		return "", "", l.fail(start, quoted(arch), `"C" and the test's name`)
	}
	l.take(func(c byte) bool { return c == ' ' || c == '\t' })
	name = l.take(func(c byte) bool { return c > ' ' && c != '{' && c != '(' })
	if name == "" {
		return "", "", l.fail(l.pos(), "end of line", "the test's name")
	}
	from := l.off
	if err := l.skipToInit(); err != nil {
		return "", "", err
	}
	return name, statedResult(l.src[from:l.off]), nil
}

// skipToInit moves to the first '{' outside comments and quotes.
func (l *lexer) skipToInit() error {
	for {
		if err := l.skipSpace(); err != nil {
			return err
		}
		switch {
		case l.off >= len(l.src):
			return l.fail(l.pos(), "end of file", "{ of the initial section")
		case l.src[l.off] == '{':
			return nil
		case l.src[l.off] == '"':
			if i := strings.IndexByte(l.rest()[1:], '"'); i >= 0 {
				l.advance(i + 2)
				continue
			}
		}
		l.advance(1)
	}
}

// statedResult finds the verdict in a header comment, "Result: Never".
func statedResult(comment string) string {
	_, after, ok := strings.Cut(comment, "Result:")
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(after, "\n")
	if f := strings.Fields(line); len(f) > 0 {
		return strings.Trim(f[0], ".,;")
	}
	return ""
}

// quoted shows a piece of the text in an error.
func quoted(s string) string {
	if s == "" {
		return "end of file"
	}
	return `"` + s + `"`
}
