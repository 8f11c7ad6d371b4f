package bench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
)

// The footprint is that of every moment, not only of those that are sampled, and
// the final check that takes all pages is none.
func TestPeaksAreOfEveryMoment(t *testing.T) {
	w := oneWay(t, 5000)
	for _, name := range []string{"linux-6.1", "first-fit", "go"} {
		s, err := bench.Find(name)
		require.NoError(t, err)
		for _, samples := range []int{1, 10000} {
			r, err := bench.Run(context.Background(), s[0], w, 1, bench.Options{Samples: samples})
			require.NoError(t, err)
			assert.Equal(t, 5000, r.PeakPages, name)
			assert.Zero(t, r.Last.Used, name)
			assert.GreaterOrEqual(t, r.PeakUsed, 5000/512, name)
			assert.Less(t, r.PeakUsed, 2*5000/512, name)
			most := 0
			for i := range r.Samples {
				most = max(most, r.Samples[i].Used)
			}
			if samples > 1 {
				assert.Equal(t, most, r.PeakUsed, name)
			}
		}
	}
}
