package replay_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pressure = "x86_64-6.1-pressure-224m"

// TestReclaim: every decision of reclaim that the allocator's state tells, and
// the kernel's own counters.
func TestReclaim(t *testing.T) {
	rows, err := replay.Run(context.Background(), capture(t, pressure), replay.Options{Model: "reclaim"})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.True(t, rows[0].ExactAll(), rows[0].FirstDifference)
	got := map[string]int{}
	for _, n := range rows[0].Notes {
		got[n.Kind] = n.N
	}
	assert.Equal(t, map[string]int{
		"requests that wake kswapd":                         34,
		"requests that leave a sleeping kswapd alone":       3659,
		"requests that reclaim":                             93,
		"times that kswapd goes to sleep":                   3,
		"batches of a task's reclaim at the right priority": 865,
		"runs of kswapd":                                    34,
		"direct reclaims":                                   93,
		"pages scanned by kswapd":                           53993,
		"pages scanned by tasks":                            19394,
		"pages reclaimed by kswapd":                         8439,
		"pages reclaimed by tasks":                          4551,
	}, got)
	_, err = replay.Run(context.Background(), capture(t, "x86_64-6.1-slab-1cpu"), replay.Options{Model: "reclaim"})
	require.ErrorIs(t, err, replay.ErrModel)
}

// TestReclaimDiffers changes the trace: each change is found.
func TestReclaimDiffers(t *testing.T) {
	c := capture(t, pressure)
	f, _, err := c.Open("trace.txt")
	require.NoError(t, err)
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	f.Close()
	lines := strings.SplitAfter(string(text), "\n")
	nth := func(what string, n int) int {
		for i, l := range lines {
			if strings.Contains(l, what) {
				if n--; n == 0 {
					return i
				}
			}
		}
		t.Fatal(what)
		return 0
	}
	ofTask := func(n int) int {
		for i := nth("mm_vmscan_direct_reclaim_begin", 1); ; i++ {
			if strings.Contains(lines[i], "wl-137") && strings.Contains(lines[i], "mm_vmscan_lru_shrink_inactive") {
				if n--; n == 0 {
					return i
				}
			}
		}
	}
	move := func(from, to int) string {
		var b strings.Builder
		for i, l := range lines {
			if i == to {
				// At the time of its new place.
				old, now := strings.Fields(lines[from]), strings.Fields(l)
				b.WriteString(strings.Replace(lines[from], old[3], now[3], 1))
			}
			if i != from {
				b.WriteString(l)
			}
		}
		return b.String()
	}
	change := func(at int, from, to string) string {
		require.Contains(t, lines[at], from)
		return strings.Join(lines[:at], "") + strings.Replace(lines[at], from, to, 1) + strings.Join(lines[at+1:], "")
	}
	for _, x := range []struct{ name, trace, want string }{
		{"woken too early", move(nth("mm_vmscan_wakeup_kswapd", 3), nth("mm_vmscan_kswapd_sleep", 1)+1), "in the model it does not"},
		{"a boost that was none", change(nth("mm_vmscan_wakeup_kswapd", 3), "gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO", "gfp_flags=none"), "none was boosted"},
		{"reclaims too early", move(nth("mm_vmscan_direct_reclaim_begin", 1), nth("mm_vmscan_kswapd_sleep", 1)+1), "lets it through"},
		{"sleeps too early", move(nth("mm_vmscan_kswapd_sleep", 2), nth("mm_vmscan_direct_reclaim_begin", 30)), "is not balanced"},
		{"scans more", change(nth("mm_vmscan_lru_shrink_inactive", 5), "nr_scanned=", "nr_scanned=1"), "in /proc/vmstat"},
		{"a higher priority again", change(ofTask(3), "priority=", "priority=1"), "after"},
	} {
		t.Run(x.name, func(t *testing.T) {
			fsys := fstest.MapFS{"trace.txt": {Data: []byte(x.trace)}}
			for _, name := range []string{"before.ksnap", "after.ksnap", "before.vmstat", "after.vmstat", "before.pagetypeinfo", "meta.json"} {
				f, full, err := c.Open(name)
				require.NoError(t, err)
				data, err := io.ReadAll(f)
				require.NoError(t, err)
				f.Close()
				if strings.HasSuffix(full, ".gz") {
					name += ".gz"
				}
				fsys[name] = &fstest.MapFile{Data: data}
			}
			rows, err := replay.Run(context.Background(), replay.Capture{Name: "changed", FS: fsys}, replay.Options{Model: "reclaim"})
			require.NoError(t, err)
			assert.Contains(t, rows[0].FirstDifference, x.want)
			assert.False(t, rows[0].ExactAll())
		})
	}
}
