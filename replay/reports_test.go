package replay_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

func TestReports(t *testing.T) {
	r := recorded(t, "reports", "reports")
	require.Equal(t, 1277, r.Requests)
	require.True(t, r.ExactAll(), r.FirstDifference)
}

func TestReportsDifferenceIsTold(t *testing.T) {
	text := "op\tinit\targ\tret\tvalue\nfetch_add\t1\t1\t1\t3\nfrob\t0\t0\t0\t0\n"
	c := replay.Capture{Name: "x", FS: fstest.MapFS{"a.tsv": {Data: []byte(text)}}}
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.Equal(t, 2, rows[0].Requests)
	require.Equal(t, 0, rows[0].Exact)
	require.Equal(t, "a.tsv line 2: fetch_add(1) on 1: {Return:1 Value:2 Warning:}, the kernel's is {Return:1 Value:3 Warning:}", rows[0].FirstDifference)
}
