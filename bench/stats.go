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
// as benchstat does (golang.org/x/perf/benchmath, AssumeNothing). NaNs are
// left out.
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
	s := Summary{N: n, Median: (v[(n-1)/2] + v[n/2]) / 2}
	k, level := medianInterval(n, confidence)
	s.Lo, s.Hi, s.Confidence = v[k], v[n-1-k], level
	return s
}

// medianInterval gives the largest k for which the k-th smallest and the k-th
// greatest of n values (from 0) enclose the median with at least the
// confidence wanted, or else 0, and the confidence that this has.
func medianInterval(n int, confidence float64) (k int, level float64) {
	// P(median below the k-th smallest) = P(Binomial(n, 1/2) <= k).
	p := math.Pow(0.5, float64(n))
	tail := p
	level = max(1-2*tail, 0)
	for i := 1; i < (n+1)/2; i++ {
		p *= float64(n-i+1) / float64(i)
		tail += p
		if 1-2*tail < confidence {
			break
		}
		k, level = i, 1-2*tail
	}
	return k, level
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

// Differs says whether the interval excludes zero.
func (s Summary) Differs() bool { return s.N > 0 && (s.Lo > 0 || s.Hi < 0) }
