package bench_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
)

// BenchmarkRun is an operation of the server mix through Linux 6.1 and some
// others: the generator, the strategy, the checker and the metrics together.
// ops/s is the figure.
func BenchmarkRun(b *testing.B) {
	for _, name := range []string{"linux-6.1", "linux-6.18", "buddy", "tlsf", "llfree", "go"} {
		b.Run(name, func(b *testing.B) {
			w := small(b, bench.Mixes()[0], 400000)
			s, err := bench.Find(name)
			require.NoError(b, err)
			for b.Loop() {
				_, err := bench.Run(context.Background(), s[0], w, 1, bench.Options{})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(w.Ops)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

// BenchmarkSinglePages takes and frees single pages of a machine through Linux
// 6.1, metrics on: what the strategy and the runner cost without a generator
// that draws sizes and lifetimes.
func BenchmarkSinglePages(b *testing.B) {
	w, err := bench.Mixes()[0].Workload()
	require.NoError(b, err)
	const ops = 2000000
	w.Ops, w.Stream = ops, func(uint64) bench.Stream { return &single{left: ops} }
	s, err := bench.Find("linux-6.1")
	require.NoError(b, err)
	for b.Loop() {
		_, err := bench.Run(context.Background(), s[0], w, 1, bench.Options{})
		require.NoError(b, err)
	}
	b.ReportMetric(ops*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkLongStream runs 100 million calls of the server mix once and tells how
// much memory is held at most; it takes its time (-benchtime 1x).
func BenchmarkLongStream(b *testing.B) {
	w := small(b, bench.Mixes()[0], 100_000_000)
	s, err := bench.Find("linux-6.1")
	require.NoError(b, err)
	var peak uint64
	for b.Loop() {
		_, err := bench.Run(context.Background(), s[0], w, 1, bench.Options{Progress: func(float64) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.Sys)
		}})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB")
	b.ReportMetric(float64(w.Ops)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// Memory does not grow with the length of a stream: a stream four times as
// long holds no more at its end than one eighth beyond the short one.
func TestMemoryIsBounded(t *testing.T) {
	held := func(ops int) uint64 {
		w := small(t, bench.Mixes()[3], ops)
		s, err := bench.Find("linux-6.1")
		require.NoError(t, err)
		var peak uint64
		_, err = bench.Run(context.Background(), s[0], w, 1, bench.Options{Samples: 10, Progress: func(float64) {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}})
		require.NoError(t, err)
		return peak
	}
	short := held(500000)
	assert.Less(t, held(2000000), short+short/8)
}
