package lkmm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// stateSet lists states as text.
func stateSet(t *Test, states []State) map[string]bool {
	out := map[string]bool{}
	for _, s := range states {
		out[t.FormatState(s.Values)] = true
	}
	return out
}

// requireSubset checks that the model allows what a machine reaches.
func requireSubset(t require.TestingT, test *Test, arch Architecture, msg string) {
	reached, err := Reachable(context.Background(), test, arch, Options{})
	if errors.Is(err, ErrUnsupported) {
		return
	}
	require.NoError(t, err, msg)
	r, err := Run(context.Background(), test, Options{})
	require.NoError(t, err, msg)
	allowed := stateSet(test, r.States)
	for s := range stateSet(test, reached) {
		require.True(t, allowed[s], "%s reaches %q, not allowed\n%s", arch, s, msg)
	}
	require.Equal(t, len(allowed) == 0, len(reached) == 0, "%s deadlocks: %v\n%s", arch, len(reached) == 0, msg)
}

// TestMachinesWithinModel: whatever the simulated CPUs do, the axioms allow.
func TestMachinesWithinModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawProgram(t, programs{statements: 4, reads: 5, writes: 5, plain: true, rcu: true, locks: true})
		test := g.parse(t)
		for arch := range numArchitectures {
			requireSubset(t, test, arch, g.text())
		}
	})
}

func TestMachinesOnCaptures(t *testing.T) {
	for _, name := range []string{"kernel_tree", "paulmckrcu"} {
		for _, c := range readCapture(t, name) {
			if len(c.Test.Threads) > 3 || strings.Contains(c.Path, "ManfredSpraul") {
				continue // too many interleavings
			}
			for arch := range numArchitectures {
				requireSubset(t, c.Test, arch, fmt.Sprint(c.Path, c.Test))
			}
		}
	}
}
