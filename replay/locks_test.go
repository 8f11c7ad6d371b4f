package replay_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

func TestLocks(t *testing.T) {
	r := recorded(t, "locks", "locks")
	require.Equal(t, 940, r.Requests)
	require.True(t, r.ExactAll(), r.FirstDifference)
	require.Equal(t, 27, r.Hints)
}

func TestLocksDifferenceIsTold(t *testing.T) {
	text := `[{"scenario":"a","steps":[{"step":"0 tL0","workers":[{"w":0,"last_cmd":"tL0","prio":120,"normal_prio":120,"seq":1,"res":1}],"rtmutex_owner":[1,-1,-1,-1]},{"step":"0 tU0","workers":[]}]}]`
	c := replay.Capture{Name: "x", FS: fstest.MapFS{"s.json": {Data: []byte(text)}}}
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.Equal(t, 2, rows[0].Requests)
	require.Equal(t, 0, rows[0].Exact)
	require.Equal(t, `a step 1 "0 tL0": rt_mutex 0: owner 0, the kernel's is 1`, rows[0].FirstDifference)
}
