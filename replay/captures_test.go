package replay_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/results.json")

// exact are the captures on which every request, event and list is the
// kernel's.
var exact = []string{
	"hw-x86_64-epyc-6.18", "hw-x86_64-epyc-6.18-irq",
	"pi3-kmem-pages", "pi3-kmem-pressure", "pi3-kmem-slab", "pi3-kmem-smp4", "pi3-kmem-user",
	"x86_64-6.1-mixed-2cpu", "x86_64-6.1-numa-2node", "x86_64-6.1-pages-256m", "x86_64-6.1-pages-6g",
	"x86_64-6.1-pressure-224m", "x86_64-6.1-slab-1cpu", "x86_64-6.1-user-1cpu",
}

// capture opens a capture of the repository by name.
func capture(t testing.TB, name string) replay.Capture {
	t.Helper()
	if fsys, err := captures.Open(name); err == nil {
		return replay.Capture{Name: name, FS: fsys}
	}
	return replay.Capture{Name: name, FS: os.DirFS(filepath.Join("..", "captures", "extra", name))}
}

// TestCaptures replays every page capture of the repository. What must be equal
// is asserted; the rows of all are compared with testdata/results.json, so that
// a change of any figure is seen.
func TestCaptures(t *testing.T) {
	var rows []replay.Result
	for _, info := range captures.List() {
		c := capture(t, info.Name)
		if !c.Has("before.ksnap") {
			continue
		}
		got, err := replay.Run(context.Background(), c, replay.Options{Model: "pages"})
		require.NoError(t, err, info.Name)
		rows = append(rows, got...)
	}
	byName := map[string]replay.Result{}
	for _, r := range rows {
		byName[r.Capture] = r
	}
	for _, name := range exact {
		r := byName[name]
		require.NotZero(t, r.Requests, name)
		require.Equal(t, r.Requests, r.Exact, name)
		require.Equal(t, r.Events, r.EventsExact, name)
		require.Equal(t, r.Lists, r.ListsIdentical, name)
		require.Empty(t, r.FirstDifference, name)
	}
	const golden = "testdata/results.json"
	text, err := json.MarshalIndent(rows, "", " ")
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(golden, append(text, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(text))
}

// exactObjects are the captures on which the address of every object and every
// slab list is the kernel's.
var exactObjects = []string{
	"pi3-kmem-pages", "pi3-kmem-pressure", "pi3-kmem-slab", "pi3-kmem-smp4", "pi3-kmem-user",
	"x86_64-6.1-mixed-2cpu", "x86_64-6.1-numa-2node", "x86_64-6.1-pages-256m", "x86_64-6.1-pages-6g",
	"x86_64-6.1-pressure-224m", "x86_64-6.1-slab-1cpu", "x86_64-6.1-user-1cpu",
}

func TestObjectsOfCaptures(t *testing.T) {
	for _, name := range exactObjects {
		rows, err := replay.Run(context.Background(), capture(t, name), replay.Options{Model: "objects"})
		require.NoError(t, err, name)
		require.Len(t, rows, 1)
		require.NotZero(t, rows[0].Requests, name)
		require.True(t, rows[0].ExactAll(), "%s: %s", name, rows[0].FirstDifference)
	}
}

// Cut out of recordings: bulk requests that take several new slabs, caches that are
// created and destroyed in between (one of them never filled a slab), a boot option
// that changes slabs' orders, and slabs that a request for another node frees.
func TestObjectsOfCuttings(t *testing.T) {
	for name, want := range map[string][5]int{
		"objects-bulk-temporary": {879, 879, 21, 21, 34},
		"objects-2node":          {850, 850, 18, 18, 41},
	} {
		c, err := replay.OpenDir("testdata/" + name)
		require.NoError(t, err)
		rows, err := replay.Run(context.Background(), c, replay.Options{Model: "objects"})
		require.NoError(t, err)
		r := rows[0]
		require.Equal(t, want, [5]int{r.Requests, r.Exact, r.Events, r.EventsExact, r.ListsIdentical}, "%s: %s", name, r.FirstDifference)
		require.True(t, r.ExactAll(), name)
	}
}

// BenchmarkCaptures replays the largest captures whole: decompression, parsing,
// model, comparison.
func BenchmarkCaptures(b *testing.B) {
	for _, name := range []string{"hw-x86_64-epyc-6.18-drain", "x86_64-6.1-pressure-224m", "x86_64-6.1-user-1cpu"} {
		b.Run(name, func(b *testing.B) {
			c := capture(b, name)
			for b.Loop() {
				if _, err := replay.Run(context.Background(), c, replay.Options{Model: "pages"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
