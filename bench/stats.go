package bench

import (
	"math"
	"slices"
)

var nan = math.NaN()

// Summary is the median of a sample with a confidence interval.
type Summary struct {
	// N is the size of the sample.
	N              int
	Median, Lo, Hi float64
	// Confidence is the interval's, 0 to 1: with few values no interval has
	// the wanted one, and Lo and Hi are the least and the greatest value.
	Confidence float64
}

// Summarize gives the median and an interval that contains the true median
// with at least the confidence wanted (0.95), whatever the distribution: the
// interval between two order statistics that the binomial distribution gives,
// as benchstat does (golang.org/x/perf/benchmath, AssumeNothing). For up to 30
// values it is benchstat's; above, benchstat approximates the distribution, and
// this does not. NaNs are left out.
func Summarize(values []float64, confidence float64) Summary {
	var v []float64
	for _, x := range values {
		if !math.IsNaN(x) {
			v = append(v, x)
		}
	}
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return Summary{Median: nan, Lo: nan, Hi: nan}
	}
	s := Summary{N: n, Median: v[(n-1)/2] + (v[n/2]-v[(n-1)/2])/2}
	lo, hi, level := medianInterval(n, confidence)
	s.Lo, s.Hi, s.Confidence = v[lo], v[hi], level
	return s
}

// medianInterval gives two of n values in order (from 0) that enclose the median
// with at least the confidence wanted, or else the first and the last, and the
// confidence that this has. k values of n lie below the median with the
// probability of a binomial distribution; gaps between values are added from
// the middle one out, the likelier side first and the left of two that are
// alike.
func medianInterval(n int, confidence float64) (lo, hi int, level float64) {
	if n == 1 {
		return 0, 0, 0
	}
	below := binomialHalf(n)
	// [l, r) are the gaps taken; gap k lies before value k.
	l := n / 2
	r := l + 1
	level = below[l]
	for level < confidence && (l > 1 || r < n) {
		if l > 1 && (r >= n || below[l-1] >= below[r]) {
			l--
			level += below[l]
		} else {
			level += below[r]
			r++
		}
	}
	return l - 1, r - 1, level
}

// binomialHalf gives the probabilities of 0 to n of n, each even.
func binomialHalf(n int) []float64 {
	p := make([]float64, n+1)
	p[0] = math.Pow(0.5, float64(n))
	for k := 1; k <= n/2; k++ {
		p[k] = p[k-1] * float64(n-k+1) / float64(k)
	}
	for k := n/2 + 1; k <= n; k++ {
		p[k] = p[n-k]
	}
	return p
}

// Paired summarizes the differences of two samples that were measured on the
// same streams. Pairs with a NaN are left out.
func Paired(base, other []float64, confidence float64) Summary {
	var d []float64
	for i := range min(len(base), len(other)) {
		d = append(d, other[i]-base[i])
	}
	return Summarize(d, confidence)
}

// Differs says whether the interval excludes zero. Of a single value, which a
// capture gives, there is no doubt.
func (s Summary) Differs() bool { return s.N > 0 && (s.Lo > 0 || s.Hi < 0) }
