package bench_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
)

// counting is a strategy that counts how often it is started.
func counting(name string, n *int) bench.Named {
	list, err := bench.Find(name)
	if err != nil {
		panic(err)
	}
	plain := list[0].New
	list[0].New = func() bench.Strategy { *n++; return plain() }
	return list[0]
}

// A comparison that was stopped in the middle goes on with the runs that are
// missing, and comes to the same results as one that was not.
func TestInterruptedComparisonGoesOn(t *testing.T) {
	fsys, err := captures.Open("pi3-kmem-slab")
	require.NoError(t, err)
	w, err := bench.FromCapture(context.Background(), replay.Capture{Name: "pi3-kmem-slab", FS: fsys})
	require.NoError(t, err)
	mix := small(t, bench.Mixes()[3], 20000)
	loads := []*bench.Workload{w, mix}
	starts := 0
	strategies := []bench.Named{counting("linux-6.1", &starts), counting("tlsf", &starts)}
	o := bench.CompareOptions{Seeds: 3, Jobs: 1, Samples: 7}
	want, err := bench.Compare(context.Background(), loads, strategies, o)
	require.NoError(t, err)
	all := starts
	require.Equal(t, 2*(1+3), all)

	dir := t.TempDir()
	o.Cache, err = bench.NewDirCache(dir, "this program")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	o.Progress = func(share float64) {
		if share > 0.4 {
			cancel()
		}
	}
	starts = 0
	_, err = bench.Compare(ctx, loads, strategies, o)
	require.True(t, errors.Is(err, context.Canceled))
	before := starts
	require.Less(t, before, all)

	o.Progress = nil
	got, err := bench.Compare(context.Background(), loads, strategies, o)
	require.NoError(t, err)
	assert.Equal(t, all, starts, "no run was made twice")
	for i := range want {
		for m, metric := range bench.Metrics() {
			for k := range want[i].Rows {
				assert.Equal(t, text(want[i].Rows[k].Values(&metric)), text(got[i].Rows[k].Values(&metric)), "metric %d", m)
				for s := range want[i].Rows[k].Results {
					assert.Equal(t, want[i].Rows[k].Results[s].Samples, got[i].Rows[k].Results[s].Samples)
					assert.Equal(t, want[i].Rows[k].Results[s].ListsIdentical, got[i].Rows[k].Results[s].ListsIdentical)
				}
			}
		}
	}

	// Another program, other samples, another stream: nothing is taken.
	for name, change := range map[string]func(*bench.CompareOptions){
		"program": func(o *bench.CompareOptions) { o.Cache, _ = bench.NewDirCache(dir, "another one") },
		"samples": func(o *bench.CompareOptions) { o.Samples = 8 },
	} {
		other := o
		change(&other)
		starts = 0
		_, err = bench.Compare(context.Background(), loads, strategies, other)
		require.NoError(t, err)
		assert.Equal(t, all, starts, name)
	}
	// A file that is broken is made again.
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for i, f := range files {
		body, err := os.ReadFile(f)
		require.NoError(t, err)
		if i%2 == 0 {
			body = body[:len(body)/2]
		} else {
			body[len(body)-1] ^= 1
		}
		require.NoError(t, os.WriteFile(f, body, 0o644))
	}
	starts = 0
	_, err = bench.Compare(context.Background(), loads, strategies, o)
	require.NoError(t, err)
	assert.Equal(t, all, starts)
}

// text writes values so that NaNs are equal.
func text(v []float64) string {
	var b []byte
	for _, x := range v {
		b = append(b, []byte(fmt.Sprint(x, ";"))...)
	}
	return string(b)
}
