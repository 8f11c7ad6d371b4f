package replay_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

// recorded replays a folder of captures that is not embedded.
func recorded(t *testing.T, name, model string) replay.Result {
	t.Helper()
	c, err := replay.OpenDir(filepath.Join("..", "captures", name))
	require.NoError(t, err)
	rows, err := replay.Run(context.Background(), c, replay.Options{Model: model})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	return rows[0]
}

func TestLockdepCases(t *testing.T) {
	r := recorded(t, "lockdep", "lockdep")
	require.Equal(t, 263, r.Requests)
	require.True(t, r.ExactAll(), r.FirstDifference)
	require.Equal(t, "6.1.192-lockprobe", r.Kernel)
}

func TestLockdepDifferenceIsTold(t *testing.T) {
	table := `[{"id":7,"name":"AA","ops":["lock spin A","lock spin A"],"expected":"SUCCESS","report_kind":null}]`
	c := replay.Capture{Name: "x", FS: fstest.MapFS{"cases.json": {Data: []byte(table)}}}
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.Equal(t, 0, rows[0].Exact)
	require.Equal(t, "case 7 AA: verdict FAILURE, the kernel's is SUCCESS", rows[0].FirstDifference)
}

func TestLockdepBrokenTable(t *testing.T) {
	table := `[{"id":1,"name":"A","ops":["lock spin A"],"expected":"MAYBE","report_kind":null}]`
	c := replay.Capture{Name: "x", FS: fstest.MapFS{"cases.json": {Data: []byte(table)}}}
	_, err := replay.Run(context.Background(), c, replay.Options{})
	require.EqualError(t, err, `x/cases.json: case 1: found expected: "MAYBE", expected SUCCESS or FAILURE`)
}
