package viz

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kernsim/kernsim/sched/cyclictest"
)

func TestQuantilesAreValuesOfTheSample(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 50), 1, 60).Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		s := SamplesOf("x", values, 1)
		require.Equal(t, uint64(len(values)), s.Total())
		slices.Sort(values)
		// The naive way: the k-th smallest.
		k := max(int(math.Ceil(q*float64(len(values)))), 1)
		require.Equal(t, float64(values[k-1]), s.Quantile(q))
	})
	none := Samples{}
	assert.True(t, math.IsNaN(none.Quantile(0.5)))
}

// However wide the classes are, each value is counted once, in its own.
func TestClassesCountEveryValueOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 2_000_000), 1, 60).Draw(t, "values")
		g := Histogram{LogX: rapid.Bool().Draw(t, "log"), Samples: []Samples{SamplesOf("x", values, 1)}}
		classes := g.classes()
		want := make([]float64, len(classes)-1)
		for _, v := range values {
			k := 0
			for k+1 < len(want) && float64(v) >= classes[k+1] {
				k++
			}
			require.Less(t, float64(v), classes[k+1])
			want[k]++
		}
		require.Equal(t, want, g.Samples[0].counted(classes))
	})
}

func TestSamplesOfCyclictest(t *testing.T) {
	const text = "# Histogram\n000000 000000\t000000\n000001 000007\t000001\n000002 000000\t000000\n000003 123456\t000000\n" +
		"# Total: 000123463 000000001\n# Min Latencies: 00001 00001\n# Avg Latencies: 00002 00001\n# Max Latencies: 00003 00090\n# Histogram Overflows: 00000 00002\n"
	h, err := cyclictest.Read(strings.NewReader(text), "hist.txt")
	require.NoError(t, err)
	assert.Equal(t, []Samples{{"thread 0", []float64{1, 3}, []uint64{7, 123456}}, {"thread 1, 2 beyond", []float64{1}, []uint64{1}}}, SamplesOfCyclictest(h))
}

func TestDecadesEnclose(t *testing.T) {
	assert.Equal(t, []float64{1, 10}, decades(1, 1))
	assert.Equal(t, []float64{1, 10, 100}, decades(2, 11))
	assert.Equal(t, []float64{0.1, 1}, decades(0.1, 1))
	assert.Equal(t, []float64{1, 10, 100}, decades(0, 100))
	for _, v := range []float64{0, -5} {
		assert.Len(t, decades(v, v), 2)
	}
	assert.Equal(t, "0.01", tickLabel(0.01, 0))
	assert.Equal(t, "1", tickLabel(1, 0))
	assert.Equal(t, "10,000", tickLabel(10000, 0))
}
