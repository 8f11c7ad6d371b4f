package convert

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// eval gives an expression's value.
func (e *evaluation) eval(x *expr) value {
	switch x.kind {
	case exprNumber:
		return value{n: x.number}
	case exprString:
		return value{b: []byte(x.text), isText: true}
	case exprField:
		return e.field(x.name)
	case exprIndex:
		return e.index(x)
	case exprUnary:
		return e.unary(x)
	case exprBinary:
		return e.binary(x)
	case exprTernary:
		if truth(e.eval(x.args[0])) {
			return e.eval(x.args[1])
		}
		return e.eval(x.args[2])
	case exprCast:
		return cast(e.eval(x.args[0]), x.size, x.signed)
	case exprTable:
		return e.table(x)
	}
	return e.call(x)
}

func truth(v value) bool { return v.isText || v.n != 0 }

// cast makes a number one of size bytes; texts stay as they are.
func cast(v value, size int, signed bool) value {
	if v.isText {
		return v
	}
	switch {
	case size == 1 && signed:
		v.n = int64(int8(v.n))
	case size == 1:
		v.n = int64(uint8(v.n))
	case size == 2 && signed:
		v.n = int64(int16(v.n))
	case size == 2:
		v.n = int64(uint16(v.n))
	case size == 4 && signed:
		v.n = int64(int32(v.n))
	case size == 4:
		v.n = int64(uint32(v.n))
	}
	return v
}

// field reads REC->name: a number, or an array's bytes.
func (e *evaluation) field(name string) value {
	f := e.format.field(name)
	if f == nil {
		return value{}
	}
	if f.Dynamic || f.Array != 1 || (f.Size > 8 || f.Size == 3) {
		b := e.format.data(e.rec, f)
		if b == nil {
			b = []byte{}
		}
		return value{b: b, isText: true}
	}
	return value{n: e.format.number(e.rec, f.Offset, f.Size, f.Signed)}
}

// index reads an element of an array field, or a byte of a text.
func (e *evaluation) index(x *expr) value {
	i := e.eval(x.args[1]).n
	if x.args[0].kind == exprField {
		if f := e.format.field(x.args[0].name); f != nil {
			size := elementSize(f.Type, e.format.long)
			data := e.format.data(e.rec, f)
			if i < 0 || i >= int64(len(data)/size) {
				return value{}
			}
			return value{n: e.format.number(data, int(i)*size, size, f.Signed)}
		}
	}
	b := e.eval(x.args[0]).b
	if i < 0 || i >= int64(len(b)) {
		return value{}
	}
	return value{n: int64(b[i])}
}

// elementSize is the size of a C type in bytes.
func elementSize(name string, long int) int {
	size, _ := typeSize(strings.Fields(name), strings.Contains(name, "*"), long)
	return size
}

func (e *evaluation) unary(x *expr) value {
	v := e.eval(x.args[0])
	switch x.op {
	case "-":
		v.n = -v.n
	case "~":
		v.n = ^v.n
	case "!":
		v = value{n: boolean(!truth(v))}
	}
	return v
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (e *evaluation) binary(x *expr) value {
	a := e.eval(x.args[0])
	switch x.op {
	case "&&":
		return value{n: boolean(truth(a) && truth(e.eval(x.args[1])))}
	case "||":
		return value{n: boolean(truth(a) || truth(e.eval(x.args[1])))}
	}
	b := e.eval(x.args[1])
	return value{n: operate(x.op, a.n, b.n)}
}

// operate is the integer arithmetic of C in 64 bits; divisions by zero give 0.
func operate(op string, a, b int64) int64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		if b == 0 {
			return 0
		}
		return a / b
	case "%":
		if b == 0 {
			return 0
		}
		return a % b
	case "<<":
		return a << (uint64(b) & 63)
	case ">>":
		return a >> (uint64(b) & 63)
	case "&":
		return a & b
	case "|":
		return a | b
	case "^":
		return a ^ b
	case "==":
		return boolean(a == b)
	case "!=":
		return boolean(a != b)
	case "<":
		return boolean(a < b)
	case "<=":
		return boolean(a <= b)
	case ">":
		return boolean(a > b)
	}
	return boolean(a >= b)
}

// table prints __print_flags and __print_symbolic.
func (e *evaluation) table(x *expr) value {
	v := e.eval(x.args[0]).n
	if strings.HasPrefix(x.name, "__print_symbolic") {
		for _, p := range x.pairs {
			if p.value == v {
				return value{b: []byte(p.text), isText: true}
			}
		}
		return value{b: fmt.Appendf(nil, "0x%x", uint64(v)), isText: true}
	}
	out := []byte{}
	add := func(s string) {
		if len(out) > 0 {
			out = append(out, x.text...)
		}
		out = append(out, s...)
	}
	for _, p := range x.pairs {
		if v != 0 && v&p.value == p.value {
			add(p.text)
			v &^= p.value
		}
	}
	if v != 0 {
		add(fmt.Sprintf("0x%x", uint64(v)))
	}
	return value{b: out, isText: true}
}

// functions are the helpers that print formats call, with their numbers of
// arguments.
var functions = map[string]int{
	"__get_str": 1, "__get_rel_str": 1, "__get_dynamic_array": 1, "__get_rel_dynamic_array": 1,
	"__get_dynamic_array_len": 1, "__get_rel_dynamic_array_len": 1,
	"__get_bitmask": 1, "__get_rel_bitmask": 1, "__get_cpumask": 1, "__get_rel_cpumask": 1, "__get_sockaddr": 1, "__get_rel_sockaddr": 1,
	"__print_hex": 2, "__print_hex_str": 2, "__print_array": 3, "__print_ns_to_secs": 1, "__print_ns_without_secs": 1,
	"sizeof": 1, "hweight32": 1, "hweight64": 1, "__builtin_popcountll": 1,
	"le16_to_cpu": 1, "le32_to_cpu": 1, "le64_to_cpu": 1, "be16_to_cpu": 1, "be32_to_cpu": 1,
	"__le16_to_cpu": 1, "__le32_to_cpu": 1, "__le64_to_cpu": 1, "__be16_to_cpu": 1, "__be32_to_cpu": 1,
	"IS_ERR": 1, "PTR_ERR": 1, "abs": 1, "min": 2, "max": 2, "jiffies_to_msecs": 1, "MAJOR": 1, "MINOR": 1,
}

// call evaluates a helper.
func (e *evaluation) call(x *expr) value {
	if strings.HasPrefix(x.name, "__get_") {
		return e.get(x)
	}
	v := e.eval(x.args[0])
	switch {
	case x.name == "__print_hex" || x.name == "__print_hex_str":
		return e.hex(v, x)
	case x.name == "__print_array":
		return e.array(v, x)
	case x.name == "__print_ns_to_secs":
		v.n = int64(uint64(v.n) / 1e9)
	case x.name == "__print_ns_without_secs":
		v.n = int64(uint64(v.n) % 1e9)
	case strings.HasPrefix(x.name, "hweight"), strings.HasPrefix(x.name, "__builtin_popcount"):
		v.n = int64(bits.OnesCount64(uint64(v.n)))
	case x.name == "IS_ERR":
		v.n = boolean(v.n < 0 && v.n >= -4095)
	case x.name == "abs" && v.n < 0:
		v.n = -v.n
	case x.name == "min":
		v.n = min(v.n, e.eval(x.args[1]).n)
	case x.name == "max":
		v.n = max(v.n, e.eval(x.args[1]).n)
	case x.name == "MAJOR":
		v.n = v.n >> 20 & 0xfff
	case x.name == "MINOR":
		v.n &= 1<<20 - 1
	case strings.Contains(x.name, "be16_to_cpu"):
		v.n = int64(bits.ReverseBytes16(uint16(v.n)))
	case strings.Contains(x.name, "be32_to_cpu"):
		v.n = int64(bits.ReverseBytes32(uint32(v.n)))
	}
	return v
}

// get reads a dynamic field.
func (e *evaluation) get(x *expr) value {
	var b []byte
	if f := e.format.field(x.args[0].name); f != nil {
		b = e.format.data(e.rec, f)
	}
	switch {
	case strings.HasSuffix(x.name, "_len"):
		return value{n: int64(len(b))}
	case strings.HasSuffix(x.name, "str"):
		b = cString(b)
	case strings.HasSuffix(x.name, "mask"):
		return value{b: e.mask(b), isText: true}
	}
	return value{b: append([]byte{}, b...), isText: true}
}

// mask prints a bitmap as the kernel's %*pb does: words of 32 bits, the
// highest first.
func (e *evaluation) mask(b []byte) []byte {
	out := []byte{}
	for at := len(b) &^ 3; at >= 4; at -= 4 {
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, "%08x", uint32(e.format.number(b, at-4, 4, false)))
	}
	return out
}

// hex prints bytes by two digits, __print_hex with spaces in between.
func (e *evaluation) hex(v value, x *expr) value {
	n := min(max(e.eval(x.args[1]).n, 0), int64(len(v.b)))
	if x.name == "__print_hex_str" {
		return value{b: fmt.Appendf(nil, "%x", v.b[:n]), isText: true}
	}
	return value{b: fmt.Appendf(nil, "% x", v.b[:n]), isText: true}
}

// array prints "{0x1,0x2}".
func (e *evaluation) array(v value, x *expr) value {
	count, size := e.eval(x.args[1]).n, int(e.eval(x.args[2]).n)
	out := []byte{'{'}
	if size == 1 || size == 2 || size == 4 || size == 8 {
		for i := range int(min(max(count, 0), int64(len(v.b)/size))) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, "0x"...)
			out = strconv.AppendUint(out, uint64(e.format.number(v.b, i*size, size, false)), 16)
		}
	}
	return value{b: append(out, '}'), isText: true}
}
