package refs

import (
	"math"
	"slices"
	"strings"
)

// crash is one of the kernel's own crash tests of reference counts
// (drivers/misc/lkdtm, written to provoke-crash/DIRECT): a count, operations on it,
// and what the last line judges.
type crash struct {
	init  int32
	steps []crashStep
	judge func(left int32) string
}

// crashStep announces an operation and runs it.
type crashStep struct {
	says string
	run  func(*Count) Warning
	// probe says that the operation is one that must leave 0 alone, and tells so.
	probe bool
}

// quietly is an operation that is not announced.
func quietly(run func(*Count) Warning) crashStep { return crashStep{run: run} }

func adds(n int32) func(*Count) Warning { return func(c *Count) Warning { return c.Add(n) } }

func addsNotZero(n int32) func(*Count) Warning {
	return func(c *Count) Warning { _, w := c.AddNotZero(n); return w }
}

func subsAndTests(n int32) func(*Count) Warning {
	return func(c *Count) Warning { _, w := c.SubAndTest(n); return w }
}

// judged says how a test calls what happened, if the count is saturated after it.
func judged(what, saturated string) func(int32) string {
	return func(left int32) string {
		if left == Saturated {
			return what + " detected: " + saturated
		}
		return "Fail: refcount is " + number(int64(left))
	}
}

var (
	overflow  = judged("Overflow", "saturated")
	zero      = judged("Zero", "saturated")
	negative  = judged("Negative", "saturated")
	saturated = judged("Saturation", "still saturated")
)

// once is a test of one operation.
func once(init int32, says string, run func(*Count) Warning, judge func(int32) string) crash {
	return crash{init, []crashStep{{says: says, run: run}}, judge}
}

var crashes = map[string]crash{
	"INC_OVERFLOW": {math.MaxInt32 - 1, []crashStep{
		{says: "good refcount_inc() without overflow", run: (*Count).Dec},
		quietly((*Count).Inc),
		{says: "bad refcount_inc() overflow", run: (*Count).Inc},
		quietly((*Count).Inc),
	}, overflow},
	"ADD_OVERFLOW": {math.MaxInt32 - 1, []crashStep{
		{says: "good refcount_add() without overflow", run: (*Count).Dec},
		quietly((*Count).Dec), quietly((*Count).Dec), quietly((*Count).Dec), quietly(adds(4)),
		{says: "bad refcount_add() overflow", run: adds(4)},
	}, overflow},
	"INC_NOT_ZERO_OVERFLOW": once(math.MaxInt32, "bad refcount_inc_not_zero() overflow", addsNotZero(1), overflow),
	"ADD_NOT_ZERO_OVERFLOW": once(math.MaxInt32, "bad refcount_add_not_zero() overflow", addsNotZero(6), overflow),
	"DEC_ZERO": {2, []crashStep{
		{says: "good refcount_dec()", run: (*Count).Dec},
		{says: "bad refcount_dec() to zero", run: (*Count).Dec},
	}, zero},
	"DEC_NEGATIVE":          once(0, "bad refcount_dec() below zero", (*Count).Dec, negative),
	"DEC_AND_TEST_NEGATIVE": once(0, "bad refcount_dec_and_test() below zero", subsAndTests(1), negative),
	"SUB_AND_TEST_NEGATIVE": once(3, "bad refcount_sub_and_test() below zero", subsAndTests(5), negative),
	"INC_ZERO": {0, []crashStep{
		{says: "safe refcount_inc_not_zero() from zero", run: addsNotZero(1), probe: true},
		{says: "bad refcount_inc() from zero", run: (*Count).Inc},
	}, zero},
	"ADD_ZERO": {0, []crashStep{
		{says: "safe refcount_add_not_zero() from zero", run: addsNotZero(3), probe: true},
		{says: "bad refcount_add() from zero", run: adds(3)},
	}, zero},
	"INC_SATURATED":          once(Saturated, "bad refcount_inc() from saturated", (*Count).Inc, saturated),
	"DEC_SATURATED":          once(Saturated, "bad refcount_dec() from saturated", (*Count).Dec, saturated),
	"ADD_SATURATED":          once(Saturated, "bad refcount_dec() from saturated", adds(8), saturated),
	"INC_NOT_ZERO_SATURATED": once(Saturated, "bad refcount_inc_not_zero() from saturated", addsNotZero(1), saturated),
	"ADD_NOT_ZERO_SATURATED": once(Saturated, "bad refcount_add_not_zero() from saturated", addsNotZero(7), saturated),
	"DEC_AND_TEST_SATURATED": once(Saturated, "bad refcount_dec_and_test() from saturated", subsAndTests(1), saturated),
	"SUB_AND_TEST_SATURATED": once(Saturated, "bad refcount_sub_and_test() from saturated", subsAndTests(8), saturated),
}

// Crash runs one of the kernel's crash tests of reference counts, by its name
// ("REFCOUNT_INC_OVERFLOW"), and returns what the console shows: the test's lines
// and the first of each warning, which the kernel prints once. It is nil if there is
// no such test.
func Crash(name string) []string {
	short, ok := strings.CutPrefix(name, "REFCOUNT_")
	test, known := crashes[short]
	if !ok || !known {
		return nil
	}
	var c Count
	c.Set(test.init)
	out := []string{"lkdtm: Performing direct entry " + name}
	for _, s := range test.steps {
		if s.says != "" {
			out = append(out, "lkdtm: attempting "+s.says)
		}
		if w := s.run(&c); w != "" && !slices.Contains(out, string(w)) {
			out = append(out, string(w))
		}
		if s.probe && c.Read() == 0 {
			out = append(out, "lkdtm: Good: zero detected", "lkdtm: Correctly stayed at zero")
		}
	}
	return append(out, "lkdtm: "+test.judge(int32(c.Read())))
}

// Place is the line of lib/refcount.c (Linux 6.1) that prints a warning; conditional
// says that the operation was one of those that do nothing to 0.
func (w Warning) Place(conditional bool) int {
	switch w {
	case WarnAddFromZero:
		return 25
	case WarnUnderflow:
		return 28
	case WarnLeak:
		return 31
	}
	if conditional {
		return 19
	}
	return 22
}
