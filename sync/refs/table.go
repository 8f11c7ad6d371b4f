package refs

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Row is one row of a truth table: an operation on a value, and what the kernel
// answered, left and warned.
type Row struct {
	Line int
	Op   string
	Init int64
	Arg  int64
	// Return is as written: a number, "-999" for none, "1;old=5" where an old value
	// is answered too.
	Return string
	Value  int64
	// Warning is the kernel's, "" if none; only reference counts warn.
	Warning Warning
}

// TableError says where a table is broken.
type TableError struct {
	File            string
	Line            int
	Found, Expected string
}

func (e *TableError) Error() string {
	return fmt.Sprintf("%s:%d: found %s, expected %s", e.File, e.Line, e.Found, e.Expected)
}

// The columns of the two kinds of table.
const (
	countHeader  = "op\tinit\targ\tret\tvalue\tvalue_hex\twarning"
	atomicHeader = "op\tinit\targ\tret\tvalue"
)

// maxLine bounds a line of a table, in bytes.
const maxLine = 4096

// ReadTable reads a truth table of tab-separated columns: of reference counts if it
// has a column of warnings, else of atomic integers. name is the file's, for
// errors.
func ReadTable(name string, r io.Reader) (rows []Row, counts bool, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, maxLine), maxLine)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSuffix(sc.Text(), "\r")
		if n == 1 {
			if line != countHeader && line != atomicHeader {
				return nil, false, &TableError{name, 1, strconv.Quote(line), strconv.Quote(atomicHeader)}
			}
			counts = line == countHeader
			continue
		}
		if line == "" {
			continue
		}
		row, bad := parseRow(line, counts)
		if bad != "" {
			return nil, false, &TableError{name, n, strconv.Quote(line), bad}
		}
		row.Line = n
		rows = append(rows, row)
	}
	if err := sc.Err(); err != nil {
		return nil, false, &TableError{name, len(rows) + 2, err.Error(), "a line of at most 4096 bytes"}
	}
	return rows, counts, nil
}

// parseRow reads a row; bad says what was expected.
func parseRow(line string, counts bool) (row Row, bad string) {
	f := strings.Split(line, "\t")
	want := 5
	if counts {
		want = 7
	}
	if len(f) < 5 || len(f) > want {
		return row, fmt.Sprintf("%d columns", want)
	}
	row.Op, row.Return = f[0], f[3]
	for _, c := range []struct {
		text string
		n    *int64
	}{{f[1], &row.Init}, {f[2], &row.Arg}, {f[4], &row.Value}} {
		if c.text == "-" {
			continue
		}
		n, err := strconv.ParseInt(c.text, 10, 64)
		if err != nil {
			return row, "integers in init, arg and value"
		}
		*c.n = n
	}
	if len(f) == 7 {
		row.Warning = Warning(f[6])
	}
	return row, ""
}

// Answer is what an operation answered, left and warned, as a table writes it.
type Answer struct {
	Return  string
	Value   int64
	Warning Warning
}

// noReturn stands for an operation without a value in tables.
const noReturn = "-999"

func number(n int64) string { return strconv.FormatInt(n, 10) }

func boolean(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Count runs a row's operation on a reference count; it is false if there is no
// such operation.
func (r *Row) Count() (Answer, bool) {
	var c Count
	c.Set(int32(r.Init))
	i := int32(r.Arg)
	ret, warn := noReturn, Warning("")
	answer := func(ok bool, w Warning) { ret, warn = boolean(ok), w }
	switch r.Op {
	case "inc":
		warn = c.Inc()
	case "add":
		warn = c.Add(i)
	case "dec":
		warn = c.Dec()
	case "inc_not_zero":
		answer(c.IncNotZero())
	case "add_not_zero":
		answer(c.AddNotZero(i))
	case "sub_and_test":
		answer(c.SubAndTest(i))
	case "dec_and_test":
		answer(c.DecAndTest())
	case "dec_if_one":
		answer(c.DecIfOne(), "")
	case "dec_not_one":
		answer(c.DecNotOne())
	case "set":
		c.Set(i)
	case "read":
		ret = number(int64(int32(c.Read())))
	default:
		return Answer{}, false
	}
	return Answer{ret, int64(c.refs.Read()), warn}, true
}

// Atomic runs a row's operation on an atomic_t; it is false if there is no such
// operation.
func (r *Row) Atomic() (Answer, bool) {
	ret, value, ok := atomicRow(r.Op, int32(r.Init), int32(r.Arg))
	return Answer{Return: ret, Value: int64(value)}, ok
}

// Atomic64 is Atomic for atomic64_t.
func (r *Row) Atomic64() (Answer, bool) {
	ret, value, ok := atomicRow(r.Op, r.Init, r.Arg)
	return Answer{Return: ret, Value: value}, ok
}

func atomicRow[W Word](op string, init, arg W) (string, W, bool) {
	a := &Int[W]{init}
	if f := arithmetic[W]()[op]; f != nil {
		return number(int64(f(a, arg))), a.v, true
	}
	if f := tests[W]()[op]; f != nil {
		return boolean(f(a, arg)), a.v, true
	}
	return compare(op, a, arg)
}

// arithmetic are the operations that answer a value.
func arithmetic[W Word]() map[string]func(*Int[W], W) W {
	return map[string]func(*Int[W], W) W{
		"fetch_add": (*Int[W]).FetchAdd, "fetch_sub": (*Int[W]).FetchSub, "fetch_and": (*Int[W]).FetchAnd,
		"fetch_andnot": (*Int[W]).FetchAndNot, "fetch_or": (*Int[W]).FetchOr, "fetch_xor": (*Int[W]).FetchXor,
		"add_return": (*Int[W]).AddReturn, "sub_return": (*Int[W]).SubReturn, "xchg": (*Int[W]).Xchg,
		"fetch_inc": func(a *Int[W], _ W) W { return a.FetchInc() }, "fetch_dec": func(a *Int[W], _ W) W { return a.FetchDec() },
		"inc_return": func(a *Int[W], _ W) W { return a.IncReturn() }, "dec_return": func(a *Int[W], _ W) W { return a.DecReturn() },
		"fetch_add_unless_0": func(a *Int[W], i W) W { return a.FetchAddUnless(i, 0) },
		"dec_if_positive":    func(a *Int[W], _ W) W { return a.DecIfPositive() },
	}
}

// tests are the operations that answer yes or no.
func tests[W Word]() map[string]func(*Int[W], W) bool {
	return map[string]func(*Int[W], W) bool{
		"sub_and_test": (*Int[W]).SubAndTest, "add_negative": (*Int[W]).AddNegative,
		"add_unless_1":        func(a *Int[W], i W) bool { return a.AddUnless(i, 1) },
		"dec_and_test":        func(a *Int[W], _ W) bool { return a.DecAndTest() },
		"inc_and_test":        func(a *Int[W], _ W) bool { return a.IncAndTest() },
		"inc_not_zero":        func(a *Int[W], _ W) bool { return a.IncNotZero() },
		"inc_unless_negative": func(a *Int[W], _ W) bool { return a.IncUnlessNegative() },
		"dec_unless_positive": func(a *Int[W], _ W) bool { return a.DecUnlessPositive() },
	}
}

// compare runs the compare-and-exchange rows, which store a number that is part of
// their name, and the operations without a value.
func compare[W Word](op string, a *Int[W], arg W) (string, W, bool) {
	var v W
	if n, err := fmt.Sscanf(op, "cmpxchg_to_%d", &v); n == 1 && err == nil {
		return number(int64(a.CmpXchg(arg, v))), a.v, true
	}
	if n, err := fmt.Sscanf(op, "try_cmpxchg_to_%d", &v); n == 1 && err == nil {
		old := arg
		ok := a.TryCmpXchg(&old, v)
		return fmt.Sprintf("%s;old=%d", boolean(ok), old), a.v, true
	}
	if f := arithmetic[W]()["fetch_"+op]; f != nil {
		f(a, arg)
		return noReturn, a.v, true
	}
	return "", 0, false
}

// Differences runs a row and compares: "" if the answer, the value left and the
// warning are the kernel's.
func (r *Row) Differences(counts bool) string {
	got, ok := r.Atomic()
	if counts {
		got, ok = r.Count()
	}
	want := Answer{r.Return, r.Value, r.Warning}
	switch {
	case !ok:
		return "no operation " + r.Op
	case got != want:
		return fmt.Sprintf("%s(%d) on %d: %+v, the kernel's is %+v", r.Op, r.Arg, r.Init, got, want)
	}
	return ""
}
