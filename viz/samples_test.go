package viz

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
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

func TestCyclictestText(t *testing.T) {
	const text = `# /dev/cpu_dma_latency set to 0us
policy: fifo: loadavg: 0.10
T: 0 ( 1000) P:80 I:200 C: 100000 Min: 1 Act: 3 Avg: 4 Max: 12
# Histogram
000000 000000	000000
000001 000007	000001
000003 123456	000000
# Total: 000123463 000000001
`
	got, err := ReadCyclictest(strings.NewReader(text), "hist.txt")
	require.NoError(t, err)
	assert.Equal(t, []Samples{{"thread 0", []float64{1, 3}, []uint64{7, 123456}}, {"thread 1", []float64{1}, []uint64{1}}}, got)
	for _, bad := range []string{"", "# nothing\n", "words\n"} {
		_, err := ReadCyclictest(strings.NewReader(bad), "bad.txt")
		assert.ErrorIs(t, err, ErrNoHistogram, bad)
	}
	for _, bad := range []string{"000001\n", "000001 x\n", "000001 1\n000001 1\n", "000001 1\n000002 1 1\n", "000001 1\nend\n", "99999999999 1\n"} {
		_, err := ReadCyclictest(strings.NewReader(bad), "bad.txt")
		var line *HistogramError
		assert.True(t, errors.As(err, &line), bad)
	}
}

func FuzzReadCyclictest(f *testing.F) {
	for _, s := range []string{"", "# a\n000001 2\n", "000001 2 3\n000002 0 1\n", "1\n", "0 281474976710655\n1 281474976710655"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ReadCyclictest(strings.NewReader(s), "fuzz")
		if err != nil {
			return
		}
		for _, g := range []Graph{Histogram{Samples: got}, CDF{Samples: got}} {
			if svg := string(g.SVG()); strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Fatal(svg)
			}
		}
	})
}

func TestMergeAddsUp(t *testing.T) {
	got := Merge([]Samples{{"a", []float64{1, 2}, []uint64{1, 1}}, {"b", nil, nil}, {"a", []float64{2, 9}, []uint64{3, 1}}})
	assert.Equal(t, []Samples{{"a", []float64{1, 2, 9}, []uint64{1, 4, 1}}, {Name: "b"}}, got)
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
