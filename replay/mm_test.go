package replay_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

// folder opens a folder of captures that is not embedded.
func folder(t testing.TB, name string) replay.Capture {
	t.Helper()
	c, err := replay.OpenDir("../captures/" + name)
	require.NoError(t, err)
	return c
}

// TestMemoryTablesNotice changes a figure of each: the replay shows it.
func TestMemoryTablesNotice(t *testing.T) {
	for _, c := range []struct{ folder, file, old, new string }{
		{"overcommit", "oc-1g-noswap.tsv", "\tyes\t0\t", "\tno\t12\t"},
		{"oom/oomdet", "d01_equal_adj.json", `"points": 1`, `"points": 2`},
		{"oom/panic", "oomdead.console.txt", "-1000 eater", "    0 eater"},
	} {
		whole := folder(t, c.folder)
		old := text(t, whole, c.file)
		require.Contains(t, old, c.old)
		broken := changed(t, whole, map[string]string{c.file: strings.Replace(old, c.old, c.new, 1)})
		rows, err := replay.Run(context.Background(), broken, replay.Options{})
		require.NoError(t, err)
		require.False(t, rows[0].ExactAll(), c.file)
	}
}

// TestSizeTables replays the tables of sizes: every row is the kernel's.
func TestSizeTables(t *testing.T) {
	rows, err := replay.Run(context.Background(), folder(t, "ksize"), replay.Options{})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Greater(t, rows[0].Requests, 13_000)
	require.True(t, rows[0].ExactAll(), rows[0].FirstDifference)
}

// TestSizeTablesOfOtherMachines: CPUs and boot options decide slabs' orders.
func TestSizeTablesOfOtherMachines(t *testing.T) {
	whole := folder(t, "ksize-16cpu")
	run := func(meta string) *replay.Result {
		rows, err := replay.Run(context.Background(), changed(t, whole, map[string]string{"meta.json": meta}), replay.Options{})
		require.NoError(t, err)
		return &rows[0]
	}
	told := run(`{"kernel": "6.1.0-56-amd64", "cpus": 16}`)
	require.True(t, told.ExactAll(), told.FirstDifference)
	require.Equal(t, 1536, told.Requests)
	require.Zero(t, told.Hints)
	require.True(t, run(`{"cpus": 31}`).ExactAll(), "as many bits")
	require.False(t, run(`{"cpus": 8}`).ExactAll())
	require.False(t, run(`{"cpus": 16, "cmdline": "slub_max_order=1"}`).ExactAll())
	guessed := run(`{}`)
	require.True(t, guessed.ExactAll(), guessed.FirstDifference)
	require.Equal(t, 3, guessed.Hints, "in each table")
}

// TestSizeTablesNotice changes one cell of each table: the replay shows it.
func TestSizeTablesNotice(t *testing.T) {
	whole := folder(t, "ksize")
	for _, c := range []struct{ file, old, new string }{
		{"ksize.tsv", "\tkmalloc-16\t16\t", "\tkmalloc-16\t17\t"},
		{"ksize-debug.tsv", "\tkmalloc-8\t", "\tkmalloc-9\t"},
		{"kcaches.tsv", "\tkmalloc-96\t96\t96\t", "\tkmalloc-96\t96\t128\t"},
		{"layout.tsv", "\talign0\t-\t1\t8\t", "\talign0\t-\t1\t16\t"},
		{"slab_attrs.tsv", ":0000024\t24\t24\t170\t", ":0000024\t24\t24\t169\t"},
		{"pages.tsv", "pages_given_back 0", "pages_given_back 1"},
		{"vmalloc.tsv", "\t1536\t0\t-", "\t1537\t0\t-"},
	} {
		old := text(t, whole, c.file)
		require.Contains(t, old, c.old, c.file)
		rows, err := replay.Run(context.Background(), changed(t, whole, map[string]string{c.file: strings.Replace(old, c.old, c.new, 1)}), replay.Options{})
		require.NoError(t, err)
		require.Equal(t, rows[0].Requests-1, rows[0].Exact, c.file)
	}
}
