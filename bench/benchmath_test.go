package bench_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchmath"
	"pgregory.net/rapid"

	"github.com/kernsim/kernsim/bench"
)

// Medians and intervals are benchstat's, to the bit: golang.org/x/perf/benchmath
// without an assumption about the distribution, which computes up to 30 values
// without an approximation.
func TestSummarizeEqualsBenchstat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 30).Draw(t, "values")
		confidence := rapid.SampledFrom([]float64{0.5, 0.8, 0.9, 0.95, 0.99}).Draw(t, "confidence")
		want := benchmath.AssumeNothing.Summary(benchmath.NewSample(append([]float64(nil), values...), &benchmath.DefaultThresholds), confidence)
		got := bench.Summarize(values, confidence)
		require.Equal(t, want.Center, got.Median)
		if math.IsInf(want.Lo, 0) {
			// Too few values for the confidence: benchstat has no interval, Summarize
			// gives what there is with the confidence that it has.
			require.Less(t, got.Confidence, confidence)
			return
		}
		require.Equal(t, [2]float64{want.Lo, want.Hi}, [2]float64{got.Lo, got.Hi}, "%d values", len(values))
		require.InDelta(t, want.Confidence, got.Confidence, 1e-12)
	})
}
