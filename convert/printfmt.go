package convert

import (
	"fmt"
	"strconv"
	"strings"
)

// printFormat is a parsed "print fmt": a printf format and its arguments.
type printFormat struct {
	verbs []printVerb
}

// printVerb is a literal text followed by one conversion; the last one has
// none.
type printVerb struct {
	literal   string
	conv      byte   // 0 for none
	flags     string // of "-+ #0"
	width     int    // -1 for none
	precision int    // -1 for none
	starWidth *expr
	starPrec  *expr
	size      int    // bytes of the argument by its length modifier
	pointer   string // the letters behind %p
	arg       *expr
}

// exprKind says what an expression does.
type exprKind uint8

const (
	exprNumber exprKind = iota
	exprString
	exprField   // name: REC->name
	exprIndex   // args[0][args[1]]
	exprUnary   // op args[0]
	exprBinary  // args[0] op args[1]
	exprTernary // args[0] ? args[1] : args[2]
	exprCast    // size, signed: (type)args[0]
	exprCall    // name(args...)
	exprTable   // name(args[0], delimiter, pairs): __print_flags and __print_symbolic
)

// expr is a node of an argument's expression.
type expr struct {
	kind   exprKind
	op     string
	name   string
	number int64
	text   string
	args   []*expr
	pairs  []flagPair
	size   int
	signed bool
}

// flagPair is a row of __print_flags or __print_symbolic.
type flagPair struct {
	value int64
	text  string
}

// value is what an expression gives: a number, or bytes if isText.
type value struct {
	n      int64
	b      []byte
	isText bool
}

// evaluation is one record being printed.
type evaluation struct {
	format *EventFormat
	rec    []byte
	syms   *Symbols
}

// parsePrint reads the text behind "print fmt:"; nil if it has something that
// is not known.
func parsePrint(text string, f *EventFormat) *printFormat {
	p := &exprParser{tokens: tokenize(text), format: f}
	if p.failed() || p.peek().kind != tokenString {
		return nil
	}
	format := ""
	for p.peek().kind == tokenString {
		format += p.next().text
	}
	var args []*expr
	for p.accept(",") {
		args = append(args, p.ternary())
	}
	if p.bad || p.peek().kind != tokenEnd {
		return nil
	}
	out := &printFormat{}
	if !out.split(format, args, f.long) {
		return nil
	}
	return out
}

// split cuts a printf format at its conversions and gives them their
// arguments.
func (p *printFormat) split(format string, args []*expr, long int) bool {
	take := func() *expr {
		if len(args) == 0 {
			return nil
		}
		a := args[0]
		args = args[1:]
		return a
	}
	literal := ""
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			p.verbs = append(p.verbs, printVerb{literal: literal + format})
			return len(args) == 0
		}
		literal, format = literal+format[:i], format[i+1:]
		if strings.HasPrefix(format, "%") {
			literal, format = literal+"%", format[1:]
			continue
		}
		v := printVerb{literal: literal}
		literal = ""
		n := v.parse(format, take, long)
		if n < 0 || v.arg == nil {
			return false
		}
		format = format[n:]
		p.verbs = append(p.verbs, v)
	}
}

// parse reads a conversion behind its percent sign and gives its length, -1 if
// it is none.
func (v *printVerb) parse(s string, take func() *expr, long int) int {
	i := 0
	for i < len(s) && strings.IndexByte("-+ #0", s[i]) >= 0 {
		i++
	}
	v.flags = s[:i]
	i, v.width, v.starWidth = scanWidth(s, i, take)
	v.precision = -1
	if i < len(s) && s[i] == '.' {
		i, v.precision, v.starPrec = scanWidth(s, i+1, take)
		v.precision = max(v.precision, 0)
	}
	v.size = 4
	for i < len(s) && strings.IndexByte("hlLzjtq", s[i]) >= 0 {
		switch {
		case s[i] == 'h' && v.size == 2:
			v.size = 1
		case s[i] == 'h':
			v.size = 2
		case s[i] == 'l' && v.size != long, s[i] == 'z', s[i] == 't':
			v.size = long
		default:
			v.size = 8
		}
		i++
	}
	if i >= len(s) || strings.IndexByte("diuxXoscp", s[i]) < 0 {
		return -1
	}
	v.conv = s[i]
	i++
	if v.conv == 'p' {
		start := i
		for i < len(s) && isLetter(s[i]) {
			i++
		}
		if i < len(s) && (s[start:i] == "I" || s[start:i] == "i") && (s[i] == '4' || s[i] == '6') {
			i++
		}
		v.pointer = s[start:i]
	}
	v.arg = take()
	return i
}

// scanWidth reads a number or "*" at i.
func scanWidth(s string, i int, take func() *expr) (end, width int, star *expr) {
	if i < len(s) && s[i] == '*' {
		return i + 1, -1, take()
	}
	end = i
	for end < len(s) && s[end] >= '0' && s[end] <= '9' && end-i < 4 {
		end++
	}
	if end == i {
		return end, -1, nil
	}
	width, _ = strconv.Atoi(s[i:end])
	return end, width, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// maxPad bounds widths that a record asks for.
const maxPad = 4096

// append prints a record.
func (p *printFormat) append(b []byte, e *evaluation) []byte {
	for i := range p.verbs {
		v := &p.verbs[i]
		b = append(b, v.literal...)
		if v.conv != 0 {
			b = v.append(b, e)
		}
	}
	return b
}

// append prints one conversion.
func (v *printVerb) append(b []byte, e *evaluation) []byte {
	width, precision := v.width, v.precision
	if v.starWidth != nil {
		width = int(min(max(e.eval(v.starWidth).n, 0), maxPad))
	}
	if v.starPrec != nil {
		precision = int(min(max(e.eval(v.starPrec).n, 0), maxPad))
	}
	x := e.eval(v.arg)
	var s []byte
	switch v.conv {
	case 's':
		s = e.text(x)
		if precision >= 0 && precision < len(s) {
			s = s[:precision]
		}
	case 'c':
		s = []byte{byte(x.n)}
	case 'p':
		s = v.pointerText(x, e)
	default:
		s = v.integer(x.n, precision)
	}
	return pad(b, s, width, v.flags, v.conv != 's' && v.conv != 'c' && precision < 0)
}

// text is a value printed by %s: a number is the address of a constant text.
func (e *evaluation) text(x value) []byte {
	if x.isText {
		return cString(x.b)
	}
	if x.n == 0 {
		return []byte("(null)")
	}
	if t, ok := e.syms.text(uint64(x.n)); ok {
		return []byte(t)
	}
	return fmt.Appendf(nil, "0x%x", uint64(x.n))
}

// pointerText is a value printed by %p and its letters.
func (v *printVerb) pointerText(x value, e *evaluation) []byte {
	addr := uint64(x.n)
	switch {
	case v.pointer == "":
		return fmt.Appendf(nil, "%0*x", 2*e.format.long, addr)
	case strings.HasPrefix(v.pointer, "S"), strings.HasPrefix(v.pointer, "F"), strings.HasPrefix(v.pointer, "B"):
		return e.syms.Append(nil, addr, true)
	case strings.HasPrefix(v.pointer, "s"), strings.HasPrefix(v.pointer, "f"):
		return e.syms.Append(nil, addr, false)
	case v.pointer == "U" || strings.HasPrefix(v.pointer, "Ub"):
		if len(x.b) >= 16 {
			return fmt.Appendf(nil, "%x-%x-%x-%x-%x", x.b[:4], x.b[4:6], x.b[6:8], x.b[8:10], x.b[10:16])
		}
	case strings.HasPrefix(v.pointer, "I4"), strings.HasPrefix(v.pointer, "i4"):
		if len(x.b) >= 4 {
			return fmt.Appendf(nil, "%d.%d.%d.%d", x.b[0], x.b[1], x.b[2], x.b[3])
		}
	case v.pointer == "M" || v.pointer == "m":
		if len(x.b) >= 6 {
			return fmt.Appendf(nil, "%02x:%02x:%02x:%02x:%02x:%02x", x.b[0], x.b[1], x.b[2], x.b[3], x.b[4], x.b[5])
		}
	}
	if x.isText {
		return fmt.Appendf(nil, "%x", x.b)
	}
	return fmt.Appendf(nil, "0x%x", addr)
}

// integer is a value printed by d, i, u, x, X or o, without its width.
func (v *printVerb) integer(n int64, precision int) []byte {
	u := uint64(n)
	switch v.size {
	case 1:
		n, u = int64(int8(n)), uint64(uint8(n))
	case 2:
		n, u = int64(int16(n)), uint64(uint16(n))
	case 4:
		n, u = int64(int32(n)), uint64(uint32(n))
	}
	sign, digits := "", ""
	switch v.conv {
	case 'd', 'i':
		if n < 0 {
			sign, u = "-", -uint64(n)
		} else {
			u = uint64(n)
			if strings.Contains(v.flags, "+") {
				sign = "+"
			} else if strings.Contains(v.flags, " ") {
				sign = " "
			}
		}
		digits = strconv.FormatUint(u, 10)
	case 'u':
		digits = strconv.FormatUint(u, 10)
	case 'o':
		digits = strconv.FormatUint(u, 8)
	default:
		digits = strconv.FormatUint(u, 16)
		if strings.Contains(v.flags, "#") && u != 0 {
			sign = "0x"
		}
		if v.conv == 'X' {
			digits, sign = strings.ToUpper(digits), strings.ToUpper(sign)
		}
	}
	for len(digits) < min(precision, maxPad) {
		digits = "0" + digits
	}
	return []byte(sign + digits)
}

// pad writes s with the given width.
func pad(b, s []byte, width int, flags string, number bool) []byte {
	missing := min(width, maxPad) - len(s)
	switch {
	case missing <= 0:
		return append(b, s...)
	case strings.Contains(flags, "-"):
		b = append(b, s...)
		return append(b, strings.Repeat(" ", missing)...)
	case strings.Contains(flags, "0") && number:
		sign := 0
		for sign < len(s) && (s[sign] == '-' || s[sign] == '+' || s[sign] == ' ') {
			sign++
		}
		if len(s) >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
			sign = 2
		}
		b = append(b, s[:sign]...)
		b = append(b, strings.Repeat("0", missing)...)
		return append(b, s[sign:]...)
	}
	b = append(b, strings.Repeat(" ", missing)...)
	return append(b, s...)
}
