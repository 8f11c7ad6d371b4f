package buddy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// slowMachine is a zone of 64 pages of which 16 are free, as many as the min
// watermark.
func slowMachine(t testing.TB, p Profile) *Allocator {
	c := Config{PageShift: 12, PageblockOrder: 4, MaxOrder: 6, CPUs: 1, ZoneTypes: []ZoneType{ZoneNormal},
		Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: 64, Present: 64, Managed: 64, LowmemReserve: []uint64{0},
			Watermark: Watermarks{Min: 16, Low: 20, High: 24}, PCP: PCPConfig{Batch: 1}}}}
	a, err := New(c, p)
	require.NoError(t, err)
	a.groupingDisabled = false
	require.NoError(t, a.Release(0, 64))
	require.NoError(t, a.Seize(0, 5))
	require.NoError(t, a.Seize(32, 4))
	return a
}

// TestSlowPath looks at what the slow path calls, in order, for requests that
// find no memory, and whether they get reserves: __alloc_pages_slowpath.
func TestSlowPath(t *testing.T) {
	tests := []struct {
		name string
		r    Request
		// reclaims and kills say how often reclaim and the OOM killer have
		// success, which here gives nothing back.
		reclaims, kills int
		compaction      CompactResult
		calls           []string
		ok              bool
	}{
		{name: "GFP_KERNEL", r: Request{GFP: GFPKernel},
			calls: []string{"kswapd 0", "kswapd 0", "reclaim 0", "oom 0"}},
		{name: "kill", r: Request{GFP: GFPKernel}, kills: 2,
			calls: []string{"kswapd 0", "kswapd 0", "reclaim 0", "oom 0", "kswapd 0", "reclaim 0", "oom 0", "kswapd 0", "reclaim 0", "oom 0"}},
		{name: "progress", r: Request{GFP: GFPKernel}, reclaims: 1,
			calls: []string{"kswapd 0", "kswapd 0", "reclaim 0", "oom 0"}},
		{name: "GFP_NOWAIT", r: Request{GFP: GFPNowait}, calls: []string{"kswapd 0", "kswapd 0"}},
		{name: "GFP_ATOMIC", r: Request{GFP: GFPAtomic}, calls: []string{"kswapd 0"}, ok: true},
		{name: "no kswapd", r: Request{GFP: GFPDirectReclaim}, calls: []string{"reclaim 0", "oom 0"}},
		{name: "norety", r: Request{GFP: GFPKernel | GFPNoRetry}, calls: []string{"kswapd 0", "kswapd 0", "reclaim 0"}},
		{name: "may fail", r: Request{GFP: GFPKernel | GFPRetryMayFail}, calls: []string{"kswapd 0", "kswapd 0", "reclaim 0"}},
		{name: "this node", r: Request{GFP: GFPKernel | GFPThisNode}, calls: []string{"kswapd 0", "kswapd 0", "reclaim 0"}},
		{name: "no I/O", r: Request{GFP: GFPDirectReclaim | GFPKswapdReclaim, Order: 1},
			calls: []string{"kswapd 1", "kswapd 1", "reclaim 1", "compact 1 1", "oom 1"}},
		{name: "order 1", r: Request{GFP: GFPKernel, Order: 1},
			calls: []string{"kswapd 1", "compact 1 2", "kswapd 1", "reclaim 1", "compact 1 1", "oom 1"}},
		{name: "order 1 movable", r: Request{GFP: GFPKernel | GFPMovable, Order: 1},
			calls: []string{"kswapd 1", "kswapd 1", "reclaim 1", "compact 1 1", "oom 1"}},
		{name: "costly", r: Request{GFP: GFPKernel, Order: 4},
			calls: []string{"kswapd 4", "compact 4 2", "kswapd 4", "reclaim 4", "compact 4 1"}},
		{name: "costly that may fail", r: Request{GFP: GFPKernel | GFPRetryMayFail, Order: 4},
			calls: []string{"kswapd 4", "compact 4 2", "kswapd 4", "reclaim 4", "compact 4 1"}},
		{name: "huge page", r: Request{GFP: GFPTransHuge | GFPNoRetry, Order: 4},
			calls: []string{"compact 4 2"}},
		{name: "huge page, compaction went on", r: Request{GFP: GFPTransHuge | GFPNoRetry, Order: 4}, compaction: CompactContinue,
			calls: []string{"compact 4 2", "reclaim 4", "compact 4 2"}},
		{name: "reclaiming", r: Request{GFP: GFPKernel, Task: TaskMemalloc}, calls: []string{"kswapd 0", "kswapd 0"}, ok: true},
		{name: "reclaiming without reserves", r: Request{GFP: GFPKernel | GFPNoMemalloc, Task: TaskMemalloc}, calls: []string{"kswapd 0", "kswapd 0"}},
		{name: "reclaiming in an interrupt", r: Request{GFP: GFPNowait | GFPNoMemalloc, Task: TaskMemalloc | TaskInterrupt}, calls: []string{"kswapd 0", "kswapd 0"}},
		{name: "memalloc", r: Request{GFP: GFPKernel | GFPMemalloc}, calls: []string{"kswapd 0", "kswapd 0"}, ok: true},
		{name: "being killed", r: Request{GFP: GFPKernel, Task: TaskOOMVictim}, calls: []string{"kswapd 0", "kswapd 0"}, ok: true},
		{name: "real time", r: Request{GFP: GFPKernel, Task: TaskRealTime}, calls: []string{"kswapd 0"}, ok: true},
		{name: "real time in an interrupt", r: Request{GFP: GFPKernel, Task: TaskRealTime | TaskInterrupt}, calls: []string{"kswapd 0", "kswapd 0", "reclaim 0", "oom 0"}},
		{name: "no fail", r: Request{GFP: GFPKernel | GFPNoFail}, calls: []string{"kswapd 0", "kswapd 0", "reclaim 0", "oom 0"}, ok: true},
		{name: "no fail, costly", r: Request{GFP: GFPKernel | GFPNoFail, Order: 4},
			calls: []string{"kswapd 4", "compact 4 2", "kswapd 4", "reclaim 4", "compact 4 1"}},
	}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			for _, test := range tests {
				a := slowMachine(t, p)
				var calls []string
				count := func(left *int) bool { *left--; return *left >= 0 }
				a.SetPressure(Pressure{
					WakeKswapd: func(_ NodeID, o Order, _ ZoneType, _ GFP) { calls = append(calls, fmt.Sprint("kswapd ", o)) },
					DirectReclaim: func(r Request) uint64 {
						calls = append(calls, fmt.Sprint("reclaim ", r.Order))
						if count(&test.reclaims) {
							return 1
						}
						return 0
					},
					DirectCompact: func(r Request, prio CompactPriority) CompactResult {
						calls = append(calls, fmt.Sprint("compact ", r.Order, " ", prio))
						return test.compaction
					},
					OutOfMemory: func(r Request) bool {
						calls = append(calls, fmt.Sprint("oom ", r.Order))
						return count(&test.kills)
					},
				})
				_, err := a.Alloc(test.r)
				require.Equal(t, test.calls, calls, test.name)
				require.Equal(t, test.ok, err == nil, "%s: %v", test.name, err)
				require.NoError(t, a.Check())
			}
		})
	}
}

// TestReclaimHelps: what reclaim and the OOM killer free is taken at once.
func TestReclaimHelps(t *testing.T) {
	for _, p := range Profiles() {
		a := slowMachine(t, p)
		a.SetPressure(Pressure{DirectReclaim: func(Request) uint64 {
			require.NoError(t, a.Free(0, 32, 4))
			return 16
		}})
		_, err := a.AllocPages(0, GFPKernel, 0)
		require.NoError(t, err)

		a = slowMachine(t, p)
		a.SetPressure(Pressure{OutOfMemory: func(Request) bool {
			require.NoError(t, a.Free(0, 0, 5))
			return true
		}})
		_, err = a.AllocPages(0, GFPKernel, 2)
		require.NoError(t, err)

		a = slowMachine(t, p)
		a.SetPressure(Pressure{DirectCompact: func(Request, CompactPriority) CompactResult {
			require.NoError(t, a.Free(0, 0, 5))
			return CompactSuccess
		}})
		_, err = a.AllocPages(0, GFPKernel, 5)
		require.NoError(t, err)
	}
}

// TestReclaimRetry: the slow path goes round while reclaiming everything would
// let the request through, 16 times without progress.
func TestReclaimRetry(t *testing.T) {
	a := slowMachine(t, Linux6_1)
	reclaims := 0
	a.SetPressure(Pressure{
		DirectReclaim: func(Request) uint64 { reclaims++; return 0 },
		Reclaimable:   func(*Zone) uint64 { return 1 },
	})
	_, err := a.AllocPages(0, GFPKernel, 0)
	require.ErrorIs(t, err, ErrNoMemory)
	require.Equal(t, maxReclaimRetries+1, reclaims)

	reclaims = 0
	a.SetPressure(Pressure{
		DirectReclaim: func(Request) uint64 { reclaims++; return 0 },
		Reclaimable:   func(*Zone) uint64 { return 0 },
	})
	_, err = a.AllocPages(0, GFPKernel, 0)
	require.ErrorIs(t, err, ErrNoMemory)
	require.Equal(t, 1, reclaims)
}

// TestBoostWakesKswapd: a fallback that boosts a watermark wakes kswapd after the
// request; since 6.12 only if the request's flags say so.
func TestBoostWakesKswapd(t *testing.T) {
	for _, p := range Profiles() {
		for _, gfp := range []GFP{GFPKernel, GFPDirectReclaim} {
			a := slowMachine(t, p)
			require.NoError(t, a.Free(0, 32, 4))
			_, err := a.AllocPages(0, GFPHighUserMovable, 0)
			require.NoError(t, err)
			require.NoError(t, a.Seize(48, 4))
			var woken []Order
			a.SetPressure(Pressure{WakeKswapd: func(_ NodeID, o Order, _ ZoneType, g GFP) { woken = append(woken, o) }})
			a.zones[0].watermark = Watermarks{High: 4}
			_, err = a.AllocPages(0, gfp, 0)
			require.NoError(t, err)
			require.Equal(t, uint64(16), a.Zone(0).WatermarkBoost(), p.Name)
			require.Equal(t, gfp&GFPKswapdReclaim != 0, len(woken) == 1, "%s %v", p.Name, gfp)
		}
	}
}
