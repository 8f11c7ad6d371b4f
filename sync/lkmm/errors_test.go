package lkmm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// body makes a test of one thread.
func body(statements string) string {
	return "C t\n{}\nP0(int *x, int *y)\n{\n" + statements + "\n}\nexists (x=1)\n"
}

// TestSyntaxErrors: what cannot be read names the place.
func TestSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                    `t.litmus:1:1: found end of file, expected "C" and the test's name`,
		"PPC t\n{}\n":                                         `t.litmus:1:1: found "PPC", expected "C" and the test's name`,
		"C\n{}\n":                                             `t.litmus:1:2: found end of line, expected the test's name`,
		"C t\n(* no init *)\n":                                `t.litmus:3:1: found end of file, expected { of the initial section`,
		"C t\n(* never closed\n{}\n":                          `t.litmus:4:1: found end of file`, // the comment is text, too
		"C t\n{ x=; }\nP0(){}\n":                              `t.litmus:2:5: found ";", expected a number or a shared variable`,
		"C t\n{ x=1 y=2 }\n":                                  `t.litmus:2:7: found "y", expected ";" or "}"`,
		"C t\n{}\n":                                           `t.litmus:3:1: found end of file, expected P0`,
		"C t\n{}\nP1(int *x)\n{ }\n":                          `t.litmus:3:1: found "P1", expected P0`,
		"C t\n{}\nP0(int *x)\n{ r0 = 1 }\n":                   `t.litmus:4:10: found "}", expected ";"`,
		"C t\n{}\nP0(int *x)\n{\n":                            `t.litmus:5:1: found end of file, expected a statement or "}"`,
		"C t\n{}\nP0(int *x)\n{ }\nexists x=1":                ``,
		"C t\n{}\nP0(int *x)\n{ }\nexists (x=1":               `t.litmus:5:12: found end of file, expected ")"`,
		"C t\n{}\nP0(int *x)\n{ }\nexists (x)":                `t.litmus:5:10: found ")", expected a comparison`,
		"C t\n{}\nP0(int *x)\n{ }\nexists (7:r=1)":            `t.litmus:5:11: found "r", expected a register of P0 to P0`,
		"C t\n{}\nP0(int *x)\n{ }\nsometimes":                 `t.litmus:5:1: found "sometimes", expected locations, filter, exists, ~exists or forall`,
		"C t\n{}\nP0(int *x)\n{ }\nexists (x=1) y":            `t.litmus:5:14: found "y", expected the end of the test`,
		body("\tfrobnicate(x);"):                              `t.litmus:5:2: found "frobnicate", expected a primitive of the kernel memory model`,
		body("\tint r0 = atomic_frob(1, x);"):                 `t.litmus:5:11: found "atomic_frob", expected a primitive of the kernel memory model`,
		body("\tatomic_add_return_sideways(1, x);"):           `t.litmus:5:2: found "atomic_add_return_sideways", expected a primitive`,
		body("\tWRITE_ONCE(*x);"):                             `t.litmus:5:2: found "WRITE_ONCE" with another number of arguments`,
		body("\tsmp_mb(1);"):                                  `t.litmus:5:2: found "smp_mb" with another number of arguments`,
		body("\tint r0 = cmpxchg(x, 1);"):                     `t.litmus:5:11: found "cmpxchg" with another number of arguments`,
		body("\tint r0 = smp_mb();"):                          `t.litmus:5:11: found "smp_mb", expected an expression`,
		body("\tint r0 = 0;\n\tREAD_ONCE(r0);"):               `t.litmus:6:12: found a value, expected a shared variable (*x)`,
		body("\tREAD_ONCE(1);"):                               `t.litmus:5:12: found a value, expected a shared variable (*x)`,
		body("\tgoto out;"):                                   `t.litmus:5:2: found "goto", expected a statement (goto and switch are not supported)`,
		body("\tbreak;"):                                      `t.litmus:5:2: found "break", expected a statement outside loops`,
		body("\tx->next = 1;"):                                `t.litmus:5:3: found "->", expected an expression without structure members`,
		body("\t1 = 2;"):                                      `t.litmus:5:2: found an expression, expected a variable to assign to`,
		body("\tint r0 = 99999999999999999999;"):              `t.litmus:5:11: found "99999999999999999999", expected an integer below 2^47`,
		body("\tint r0 = &1;"):                                `t.litmus:5:11: found "&", expected & before a shared variable`,
		body("\t/* open"):                                     `t.litmus:5:2: found comment without end, expected */`,
		body("\tint r0 = " + strings.Repeat("(", 300) + "1;"): `found too deep a nesting, expected at most 200 levels`,
		body(strings.Repeat("{", 300)):                        `found too deep a nesting`,
		body(strings.Repeat("!", 300) + "1;"):                 `found too deep a nesting`,
		"C t\n{}\nP0(int *x)\n{ }\nexists " + strings.Repeat("~(", 300): `found too deep a nesting`,
	} {
		_, err := Parse("t.litmus", []byte(text))
		if want == "" {
			assert.NoError(t, err, text)
			continue
		}
		var syntax *SyntaxError
		if assert.ErrorAs(t, err, &syntax, text) {
			assert.Contains(t, err.Error(), want, text)
		}
	}
}

// TestProgramErrors: what can be read but not judged names the place, too.
func TestProgramErrors(t *testing.T) {
	for _, c := range []struct {
		body   string
		where  string
		reason error
	}{
		{"\twhile (READ_ONCE(*x) == 0)\n\t\tbarrier();", "t:5:2: P0", ErrUnboundedLoop},
		{"\tfor (;;) {\n\t}", "t:5:2: P0", ErrUnboundedLoop},
		{"\tfor (;;)\n\t\tif (READ_ONCE(*x))\n\t\t\tbreak;", "t:5:2: P0", ErrUnboundedLoop},
		{"\twhile (!spin_trylock(y))\n\t\tbarrier();", "t:5:2: P0", ErrUnboundedLoop},
		{"\tint i = 0;\n\twhile (i < 5000)\n\t\ti++;", "t:6:2: P0", ErrUnboundedLoop},
		{"\tint i;\n\tint j;\n\tfor (i = 0; i < 900; i++)\n\t\tfor (j = 0; j < 900; j++)\n\t\t\tbarrier();", "P0: ", ErrTooLarge},
		{"\tint i;\n\tfor (i = 0; i < 300; i++)\n\t\tWRITE_ONCE(*x, i);", "P0: ", ErrTooLarge},
		{"\tint r = READ_ONCE(*x);\n" + strings.Repeat("\tr = r + r;\n", 60), "P0: ", ErrTooLarge},
		{"\tint i;\n\tint r;\n\tfor (i = 0; i < 60; i++) {\n\t\tr = READ_ONCE(*x);\n\t\tif (r) barrier();\n\t}", "P0: ", ErrTooLarge},
	} {
		test, err := Parse("t", []byte(body(c.body)))
		require.NoError(t, err, c.body)
		_, err = Run(context.Background(), test, Options{})
		var program *ProgramError
		require.ErrorAs(t, err, &program, c.body)
		require.ErrorIs(t, err, c.reason, c.body)
		require.Contains(t, err.Error(), c.where, c.body)
	}
}

// TestTooManyPaths: what all threads together take is bounded.
func TestTooManyPaths(t *testing.T) {
	var text strings.Builder
	text.WriteString("C paths\n{}\n")
	for i := range maxCPUs {
		fmt.Fprintf(&text, "P%d(int *x)\n{\n%s}\n", i, strings.Repeat("\tif (READ_ONCE(*x))\n\t\tWRITE_ONCE(*x, 1);\n", 12))
	}
	test, err := Parse("paths", []byte(text.String()))
	require.NoError(t, err)
	_, err = Run(context.Background(), test, Options{})
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = NewMachine(test, TSO, Options{})
	require.ErrorIs(t, err, ErrTooLarge)
}

// TestUnroll: loops that wait are followed as far as asked, however they are
// written.
func TestUnroll(t *testing.T) {
	for _, loop := range []string{
		"while (!(r0 = READ_ONCE(*x)))\n\t\tn++;",
		"do {\n\t\tr0 = READ_ONCE(*x);\n\t\tn++;\n\t} while (!r0);",
		"while (1) {\n\t\tr0 = READ_ONCE(*x);\n\t\tif (r0)\n\t\t\tbreak;\n\t}",
		"for (;;)\n\t\tif ((r0 = READ_ONCE(*x)) != 0)\n\t\t\treturn;",
		"for (r0 = 0; !r0; r0 = READ_ONCE(*x))\n\t\t;",
	} {
		test, err := Parse("wait", []byte("C wait\n{}\nP0(int *x)\n{\n\tWRITE_ONCE(*x, 1);\n}\n"+
			"P1(int *x)\n{\n\tint r0 = 0;\n\tint n = 0;\n\t"+loop+"\n}\nforall (1:r0=1)\n"))
		require.NoError(t, err, loop)
		_, err = Run(context.Background(), test, Options{})
		require.ErrorIs(t, err, ErrUnboundedLoop, loop)
		for unroll := 1; unroll < 4; unroll++ {
			r := run(t, test, Options{Unroll: unroll})
			require.Equal(t, Always, r.Verdict, loop)
			require.EqualValues(t, unroll+1, r.Executions, loop)
		}
	}
}

// TestLimits: results too large to keep are errors, and a run can be stopped.
func TestLimits(t *testing.T) {
	big := ring(16, "READ_ONCE(*%s)", "WRITE_ONCE(*%s, 1)")
	_, err := Run(context.Background(), big, Options{MaxStates: 100})
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = Run(context.Background(), big, Options{MaxEvents: 10})
	require.ErrorIs(t, err, ErrTooLarge)

	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	go func() {
		time.Sleep(time.Millisecond)
		cancel(stop)
	}()
	huge := ring(40, "READ_ONCE(*%s)", "WRITE_ONCE(*%s, 1)")
	_, err = Run(ctx, huge, Options{Workers: 2})
	require.ErrorIs(t, err, stop)
	_, err = Reachable(ctx, huge, TSO, Options{})
	require.ErrorIs(t, err, stop)
}

// TestCaseErrors: a malformed capture names the test and the place.
func TestCaseErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                                    `f: : start: found <nil>, expected an array of tests`,
		`{}`:                                  `f: : start: found {, expected an array of tests`,
		`[{"a":`:                              `f: : test 0: found unexpected EOF, expected a test`,
		`[{}]`:                                `f: : threads: found 0, expected 1 to 128 threads`,
		`[{"name":"n","threads":[{"id":1}]}]`: `f: n: threads[0]: found 1, expected id 0`,
		`[{"name":"n","threads":[{"ops":[{"op":"jump","loc":"x"}]}]}]`:                                 `f: n: threads[0].ops[0]: found "jump", expected an operation`,
		`[{"name":"n","threads":[{"ops":[{"op":"read","loc":["x"]}]}]}]`:                               `f: n: threads[0].ops[0]: found [x], expected a shared variable`,
		`[{"name":"n","threads":[{"ops":[{"op":"read","loc":"x","order":"odd"}]}]}]`:                   `found "odd", expected an ordering`,
		`[{"name":"n","threads":[{"ops":[{"op":"fence","kind":"odd"}]}]}]`:                             `found "odd", expected a kind of fence`,
		`[{"name":"n","threads":[{"ops":[{"op":"write","loc":"x","order":"once","val":["?",1,2]}]}]}]`: `found ?, expected an operator`,
		`[{"name":"n","threads":[{"ops":[{"op":"rmw","loc":"x","order":"full","kind":"odd"}]}]}]`:      `found "odd", expected a kind of read-modify-write`,
		`[{"name":"n","threads":[{}],"init":{"x":"y"}}]`:                                               `f: n: init: found y, expected a number or ["addr", x]`,
		`[{"name":"n","threads":[{}],"quantifier":"maybe"}]`:                                           `f: n: quantifier: found "maybe", expected exists, ~exists or forall`,
		`[{"name":"n","threads":[{}],"quantifier":"exists","condition":["xor",1,2]}]`:                  `f: n: condition: found [xor 1 2], expected a comparison`,
		`[{"name":"n","threads":[{}],"quantifier":"exists","condition":["eq","9:r1",2]}]`:              `f: n: condition: found "9:r1", expected a register of a thread`,
	} {
		_, err := ReadCases("f", strings.NewReader(text))
		var caseErr *CaseError
		if assert.ErrorAs(t, err, &caseErr, text) {
			assert.Contains(t, err.Error(), want, text)
		}
	}
}

// TestDoubling: values that depend on each other twice over are computed once.
func TestDoubling(t *testing.T) {
	const n = 40
	var text strings.Builder
	text.WriteString("C doubling\n{ x0 = 1; }\n")
	for i := range n {
		fmt.Fprintf(&text, "P%d(int *x%d, int *x%d)\n{\n\tint r = smp_cond_load_relaxed(x%d, VAL);\n\tWRITE_ONCE(*x%d, r + r);\n}\n", i, i, i+1, i, i+1)
	}
	fmt.Fprintf(&text, "exists (x%d=%d)\n", n, int64(1)<<n)
	test, err := Parse("doubling", []byte(text.String()))
	require.NoError(t, err)
	r := run(t, test, Options{VerdictOnly: true})
	require.Equal(t, Always, r.Verdict)
}
