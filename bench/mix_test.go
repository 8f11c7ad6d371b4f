package bench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
)

// small is a mix with fewer operations.
func small(t testing.TB, m bench.Mix, ops int) *bench.Workload {
	t.Helper()
	m.Ops = ops
	w, err := m.Workload()
	require.NoError(t, err)
	return w
}

func TestMixesAreSeededAndWhole(t *testing.T) {
	for _, m := range bench.Mixes() {
		t.Run(m.Name, func(t *testing.T) {
			w := small(t, m, 60000)
			a, b, other := stream(w, 1), stream(w, 1), stream(w, 2)
			assert.Len(t, a, 60000)
			assert.Equal(t, a, b, "the same seed gives the same stream")
			assert.NotEqual(t, a, other)
			live := map[uint32]bool{}
			for _, op := range a {
				require.Equal(t, op.Kind == bench.OpFree, live[op.Slot], "a slot is taken and freed by turns")
				live[op.Slot] = op.Kind == bench.OpAlloc
			}
		})
	}
}

func stream(w *bench.Workload, seed uint64) (ops []bench.Op) {
	s := w.Stream(seed)
	for op := (bench.Op{}); s.Next(&op); {
		ops = append(ops, op)
	}
	return ops
}

func TestStrategiesServeMixes(t *testing.T) {
	for _, m := range bench.Mixes() {
		w := small(t, m, 60000)
		for _, s := range bench.Strategies() {
			t.Run(m.Name+"/"+s.Name, func(t *testing.T) {
				r, err := bench.Run(context.Background(), s, w, 7, bench.Options{Samples: 20})
				require.NoError(t, err)
				again, err := bench.Run(context.Background(), s, w, 7, bench.Options{Samples: 20})
				require.NoError(t, err)
				assert.Equal(t, r.Samples, again.Samples, "the same run again gives the same result")
			})
		}
	}
}
