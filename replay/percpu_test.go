package replay_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

func TestPerCPU(t *testing.T) {
	r := recorded(t, "percpu", "percpu")
	require.True(t, r.ExactAll(), r.FirstDifference)
	require.Equal(t, 2055, r.Requests)
	require.Equal(t, 3, r.Lists)
}

func TestPerCPUDifferenceIsTold(t *testing.T) {
	text := "a-1 [000] d.... 1: percpu_create_chunk: base_addr=1\na-1 [000] d.... 2: percpu_alloc_percpu: size=8 align=8 base_addr=1 off=16\n"
	stats := "  unit_size           :        65536\nChunk:\n  nr_alloc            :            2\n"
	c := replay.Capture{Name: "x", FS: fstest.MapFS{"trace.txt": {Data: []byte(text)}, "percpu_stats.txt": {Data: []byte(stats)}}}
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.Equal(t, []int{1, 0, 1, 0}, []int{rows[0].Requests, rows[0].Exact, rows[0].Lists, rows[0].ListsIdentical})
	require.True(t, strings.HasPrefix(rows[0].FirstDifference, "trace.txt line 2: 8 bytes"))
	c.FS = fstest.MapFS{"trace.txt": {Data: []byte(text)}, "percpu_stats.txt": {Data: []byte("nothing in it here\n")}}
	_, err = replay.Run(context.Background(), c, replay.Options{})
	require.ErrorContains(t, err, "a unit of 0 bytes")
}
