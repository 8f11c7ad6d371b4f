package sched

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// TestNiceSteps checks what the weights are for: each step is worth a factor
// of about 1.25, so that of two tasks one step apart the lower gets about 10%
// of the CPU less.
func TestNiceSteps(t *testing.T) {
	assert.Len(t, niceLoads, 40)
	assert.Equal(t, uint32(1024), NiceWeight(0))
	for nice := MinNice; nice < MaxNice; nice++ {
		a, b := float64(NiceWeight(nice)), float64(NiceWeight(nice+1))
		assert.InDelta(t, 1.25, a/b, 0.06, "nice %d", nice)
		assert.InDelta(t, 0.555, a/(a+b), 0.01, "nice %d", nice)
	}
}

// TestInverseWeights checks the inverses of tasks against facts of real
// kernels, and that queues round differently.
func TestInverseWeights(t *testing.T) {
	for nice := MinNice; nice <= MaxNice; nice++ {
		l := weightOf(PolicyNormal, nice)
		assert.InDelta(t, float64(1<<32)/float64(NiceWeight(nice)), float64(l.inverse()), 0.7, "nice %d", nice)
	}
	idle := weightOf(PolicyIdle, 0)
	assert.Equal(t, uint32(1431655765), idle.inverse())
	group := load{weight: nice0Load}
	assert.Equal(t, uint32(4194303), group.inverse())
	empty := load{}
	assert.Equal(t, uint32(1<<32-1), empty.inverse())
}

// TestCalcDelta compares with exact arithmetic: the result is never above the
// true quotient and never far below.
func TestCalcDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Uint64Range(2<<loadShift, 1<<32).Draw(t, "weight")
		l := load{weight: w}
		delta := rapid.Uint64Range(0, 1<<40).Draw(t, "delta")
		got := calcDelta(delta, nice0Load, &l)
		exact := new(big.Int).Mul(new(big.Int).SetUint64(delta), big.NewInt(1024))
		exact.Div(exact, new(big.Int).SetUint64(w>>loadShift))
		assert.LessOrEqual(t, got, exact.Uint64())
		// The inverse of a weight of 22 bits has 10 bits.
		assert.GreaterOrEqual(t, got+exact.Uint64()/500+1, exact.Uint64())
	})
}
