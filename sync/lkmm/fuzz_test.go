package lkmm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fuzzLimits keep one input from taking long.
var fuzzLimits = Options{MaxExecutions: 50, MaxRounds: 20, MaxPaths: 32, MaxEvents: 40, MaxStates: 100, Unroll: 1}

// fuzzTime bounds the judging of one input.
const fuzzTime = 2 * time.Second

// judgeFuzzed runs all that can be done with a test; errors have to be typed.
func judgeFuzzed(t *testing.T, test *Test) {
	ctx, cancel := context.WithTimeout(context.Background(), fuzzTime)
	defer cancel()
	for _, m := range Models {
		opt := fuzzLimits
		opt.Model = m
		r, err := Run(ctx, test, opt)
		if checkRunError(t, err) {
			return
		}
		for _, s := range r.States {
			require.Len(t, s.Values, len(test.observed))
		}
		if _, err := Explain(ctx, test, opt); checkRunError(t, err) {
			return
		}
	}
	_, err := Reachable(ctx, test, TSO, fuzzLimits)
	checkRunError(t, err)
}

// checkRunError says whether there is an error, which must be a typed one.
func checkRunError(t *testing.T, err error) bool {
	var program *ProgramError
	if err != nil && !errors.As(err, &program) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("untyped error %T: %v", err, err)
	}
	return err != nil
}

// FuzzParse: any text is a test or a *SyntaxError; a test can be printed, and
// judged within limits.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.litmus")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		test, err := Parse("fuzz", text)
		if err != nil {
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Positive(t, syntax.Pos.Line)
			require.Positive(t, syntax.Pos.Col)
			return
		}
		_ = test.String()
		judgeFuzzed(t, test)
	})
}

// FuzzCases does the same with captures.
func FuzzCases(f *testing.F) {
	f.Add(`[{"name":"n","init":{"x":["addr","y"]},"threads":[{"ops":[{"op":"read","dst":"r1","loc":"x","order":"once"}]}],"quantifier":"exists","condition":["eq","0:r1","y"]}]`)
	f.Add(`[{"name":"n","threads":[{"ops":[{"op":"rmw","kind":"cmpxchg","dst":"r1","loc":"x","order":"full","old":0,"val":1},{"op":"if","cond":["==","r1",0],"then":[{"op":"write","loc":"y","val":1,"order":"release"}]}]}]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		cases, err := ReadCases("fuzz", strings.NewReader(text))
		if err != nil {
			var caseErr *CaseError
			require.ErrorAs(t, err, &caseErr)
			return
		}
		for i := range cases {
			judgeFuzzed(t, cases[i].Test)
		}
	})
}
