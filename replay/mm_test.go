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

// TestMemoryTables replays what kernels refused and whom they killed.
func TestMemoryTables(t *testing.T) {
	for model, least := range map[string]int{"oom": 850, "overcommit": 1045} { // order does not matter
		rows, err := replay.Run(context.Background(), folder(t, model), replay.Options{})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, model, rows[0].Model)
		require.GreaterOrEqual(t, rows[0].Requests, least)
		require.True(t, rows[0].ExactAll(), rows[0].FirstDifference)
	}
}

// TestMemoryTablesNotice changes a figure of each: the replay shows it.
func TestMemoryTablesNotice(t *testing.T) {
	for _, c := range []struct{ folder, file, old, new string }{
		{"overcommit", "oc-1g-noswap.tsv", "\tyes\t0\t", "\tno\t12\t"},
		{"oom", "oomdet/d01_equal_adj.json", `"points": 1`, `"points": 2`},
		{"oom", "panic/oomdead.console.txt", "-1000 eater", "    0 eater"},
	} {
		whole := folder(t, c.folder)
		old := text(t, whole, c.file)
		require.Contains(t, old, c.old)
		broken := changed(t, whole, map[string]string{c.file: strings.Replace(old, c.old, c.new, 1)})
		rows, err := replay.Run(context.Background(), broken, replay.Options{Model: c.folder})
		require.NoError(t, err)
		require.False(t, rows[0].ExactAll(), c.file)
	}
}
