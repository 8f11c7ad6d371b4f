package bench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
)

// load makes a workload of an embedded capture.
func load(t testing.TB, name string) *bench.Workload {
	t.Helper()
	fsys, err := captures.Open(name)
	require.NoError(t, err)
	w, err := bench.FromCapture(context.Background(), replay.Capture{Name: name, FS: fsys})
	require.NoError(t, err)
	return w
}

// pageCaptures are the embedded captures of the page allocator.
func pageCaptures(t testing.TB) []string {
	var out []string
	for _, info := range captures.List() {
		fsys, err := captures.Open(info.Name)
		if err != nil || !info.Embedded {
			continue
		}
		c := replay.Capture{Name: info.Name, FS: fsys}
		if c.Has("before.ksnap") && c.Has("after.ksnap") && c.Has("trace.txt") {
			out = append(out, info.Name)
		}
	}
	require.NotEmpty(t, out)
	return out
}

// The kernel's own strategy, driven by the request stream through the same
// interface as all others, ends with the kernel's lists, element by element,
// wherever the replay itself is exact.
func TestBaselineEndsWithTheKernelsLists(t *testing.T) {
	exact := 0
	for _, name := range pageCaptures(t) {
		t.Run(name, func(t *testing.T) {
			w := load(t, name)
			if !w.Capture.Result.ExactAll() {
				require.Empty(t, w.Machine.Baseline)
				return
			}
			all, err := bench.Find("linux-" + w.Machine.Baseline)
			require.NoError(t, err)
			r, err := bench.Run(context.Background(), all[0], w, 0, bench.Options{})
			require.NoError(t, err)
			assert.True(t, r.Exact)
			assert.Positive(t, r.Lists)
			assert.Equal(t, r.Lists, r.ListsIdentical, "%s", r.Difference)
			exact++
		})
	}
	assert.GreaterOrEqual(t, exact, 13, "captures with an exact baseline")
}

// Every other strategy serves every capture without losing or doubling a page.
func TestStrategiesServeCaptures(t *testing.T) {
	for _, name := range pageCaptures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := load(t, name)
			for _, s := range bench.Strategies() {
				if s.Name == "best-fit" && w.Machine.Pages() > 1<<18 {
					continue // searches the whole map for each request
				}
				r, err := bench.Run(context.Background(), s, w, 0, bench.Options{Samples: 10})
				require.NoError(t, err, s.Name)
				assert.Equal(t, s.Name == "linux-"+w.Machine.Baseline, r.Exact)
			}
		})
	}
}
