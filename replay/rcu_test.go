package replay_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

func TestRCU(t *testing.T) {
	r := recorded(t, "rcu", "rcu")
	require.NotZero(t, r.Requests)
	require.True(t, r.ExactAll(), r.FirstDifference)
}

func TestRCUViolationIsTold(t *testing.T) {
	text := "a-1 [000] d.... 1: rcu_grace_period: rcu_preempt -7 start\na-1 [000] d.... 2: rcu_grace_period: rcu_preempt -3 start\n"
	c := replay.Capture{Name: "x", FS: fstest.MapFS{"trace.txt": {Data: []byte(text)}}}
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.Less(t, rows[0].Exact, rows[0].Requests)
	require.Equal(t, "trace.txt line 2: grace periods in sequence: start of -3 while -7 runs", rows[0].FirstDifference)
}
