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
	require.Equal(t, 1306, r.Requests)
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

// TestPrintedReports: a report in a folder below is found again.
func TestPrintedReports(t *testing.T) {
	c := replay.Capture{Name: "x", FS: fstest.MapFS{
		"a.tsv":               {Data: []byte("op\tinit\targ\tret\tvalue\nfetch_add\t1\t1\t1\t2\n")},
		"lockdep/abba.txt":    {Data: []byte("WARNING: possible circular locking dependency detected\n-> #1 (b){+.+.}:\n-> #0 (a){+.+.}:\n")},
		"lockdep/rcu.txt":     {Data: []byte("WARNING: suspicious RCU usage\n")},
		"lockdep/nothing.txt": {Data: []byte("hello\n")},
		"lockdep/broken.txt":  {Data: []byte("WARNING: inconsistent lock state\n")},
	}}
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.Equal(t, 3, rows[0].Requests)
	require.Equal(t, 2, rows[0].Exact)
	require.Equal(t, "lockdep/broken.txt: nothing found", rows[0].FirstDifference)
}
