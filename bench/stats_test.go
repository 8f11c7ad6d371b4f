package bench

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The values are those of the binomial distribution: 5 values reach 93.75 %,
// 6 reach 96.875 %, of 10 the second and the ninth reach 97.85 %.
func TestSummarizeBinomialIntervals(t *testing.T) {
	values := []float64{9, 1, 8, 2, 7, 3, 6, 4, 5, 10}
	for _, c := range []struct {
		n          int
		lo, hi     float64
		confidence float64
	}{{1, 9, 9, 0}, {5, 1, 9, 0.9375}, {6, 1, 9, 0.96875}, {10, 2, 9, 1 - 22.0/1024}} {
		s := Summarize(values[:c.n], 0.95)
		assert.Equal(t, c.n, s.N)
		assert.Equal(t, c.lo, s.Lo)
		assert.Equal(t, c.hi, s.Hi)
		assert.InDelta(t, c.confidence, s.Confidence, 1e-12)
	}
	assert.Equal(t, 5.5, Summarize(values, 0.95).Median)
	assert.Equal(t, 1, Summarize([]float64{math.NaN(), 2}, 0.95).N)
	assert.True(t, math.IsNaN(Summarize(nil, 0.95).Median))
}

// Intervals of 0.95 contain the true median in at least that share of samples.
func TestSummarizeCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 4000
	inside := 0
	for range rounds {
		v := make([]float64, 15)
		for i := range v {
			v[i] = rng.ExpFloat64()
		}
		if s := Summarize(v, 0.95); s.Lo <= math.Ln2 && math.Ln2 <= s.Hi {
			inside++
		}
	}
	// Four standard deviations below 0.95 would be 0.936.
	assert.Greater(t, float64(inside)/rounds, 0.936)
}

func TestPaired(t *testing.T) {
	s := Paired([]float64{100, 200, 300, 400, 500, 600}, []float64{101, 202, 303, 404, 505, 606}, 0.95)
	assert.Equal(t, 3.5, s.Median)
	assert.True(t, s.Differs(), "the differences are all above zero, however the values scatter")
	assert.False(t, Paired([]float64{1, 2, 3, 4, 5, 6}, []float64{2, 1, 4, 3, 6, 5}, 0.95).Differs())
}

// blocks agrees with a naive count on random maps.
func TestPageMapBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		p := newPageMap(0, 1<<13)
		for range rng.IntN(40) {
			from := rng.IntN(1 << 13)
			to := min(from+rng.IntN(2000), 1<<13)
			if rng.IntN(3) == 0 {
				p.clear(from, to)
			} else {
				p.set(from, to)
			}
		}
		want := [14]int{}
		for page := 0; page < 1<<13; {
			o := 10
			for ; o >= 0; o-- {
				if page%(1<<o) == 0 && p.all(page, page+1<<o) {
					break
				}
			}
			if o < 0 {
				page++
				continue
			}
			want[o]++
			page += 1 << o
		}
		assert.Equal(t, want, p.blocks(11))
	}
}
