package compaction

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// users are the users of a machine's pages, each with what it wrote into them.
type users struct {
	t     require.TestingT
	a     *buddy.Allocator
	c     *Compactor
	pages map[buddy.PFN]int // contents
	fixed map[buddy.PFN]bool
	moved int
}

func (u *users) Movable(pfn buddy.PFN) bool {
	_, ok := u.pages[pfn]
	return ok && !u.fixed[pfn]
}

func (u *users) Move(from, to buddy.PFN) {
	u.unused(to, 1)
	require.True(u.t, u.Movable(from), "page %d must stay", from)
	u.pages[to] = u.pages[from]
	delete(u.pages, from)
	u.moved++
}

// unused says that nobody has pages of a range.
func (u *users) unused(pfn, n buddy.PFN) {
	for i := range n {
		if _, ok := u.pages[pfn+i]; ok {
			require.Fail(u.t, "a page has two users", "%d", pfn+i)
		}
	}
}

func newUsers(t require.TestingT, mib uint64) *users {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 16 << 20, End: (16 + mib) << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 2}, buddy.Linux6_1)
	require.NoError(t, err)
	u := &users{t: t, a: a, pages: map[buddy.PFN]int{}, fixed: map[buddy.PFN]bool{}}
	u.c = New(a, u)
	return u
}

// take gives all memory to users, but for a reserve.
func (u *users) take(movable bool) []buddy.PFN {
	gfp := buddy.GFPHighUserMovable
	if !movable {
		gfp = buddy.GFPKernel
	}
	var all []buddy.PFN
	for u.a.FirstZone(buddy.Request{Node: buddy.NoNode, GFP: gfp}) >= 0 {
		pfn, err := u.a.AllocPages(0, gfp, 0)
		require.NoError(u.t, err)
		u.pages[pfn] = len(u.pages)
		u.fixed[pfn] = !movable
		all = append(all, pfn)
	}
	return all
}

func (u *users) free(pfn buddy.PFN) {
	require.NoError(u.t, u.a.Free(0, pfn, 0))
	delete(u.pages, pfn)
	delete(u.fixed, pfn)
}

// large are the free blocks of at least a pageblock.
func (u *users) large() (n uint64) {
	for i := range u.a.NumZones() {
		for o := buddy.Order(9); o < buddy.MaxOrders; o++ {
			n += u.a.Zone(i).FreeBlocks(o) << (o - 9)
		}
	}
	return n
}

func (u *users) freePages() (n uint64) {
	for i := range u.a.NumZones() {
		n += u.a.Zone(i).FreePages() + u.a.Zone(i).PCPPages()
	}
	return n
}

func (u *users) check() {
	require.NoError(u.t, u.a.Check())
	require.NoError(u.t, u.c.Check())
}

// holes frees every second page of a full machine.
func (u *users) holes() {
	for i, pfn := range u.take(true) {
		if i%2 == 0 {
			u.free(pfn)
		}
	}
	require.NoError(u.t, u.a.DrainAll(0))
}

// TestWholeNode: all free memory of a machine with movable pages only comes
// together, but for what the min watermark holds back.
func TestWholeNode(t *testing.T) {
	u := newUsers(t, 64)
	u.holes()
	assert.LessOrEqual(t, u.large(), uint64(2))
	free, before := u.freePages(), maps.Clone(u.pages)
	u.c.Node(0, 0)
	assert.Equal(t, free, u.freePages())
	assert.Len(t, u.pages, len(before))
	seen := map[int]bool{}
	for _, x := range u.pages { // order does not matter
		assert.False(t, seen[x])
		seen[x] = true
	}
	assert.GreaterOrEqual(t, u.large(), free/512-2)
	assert.EqualValues(t, u.moved, u.c.Stats().Moved)
	u.check()
}

// TestUnmovable: pages that must stay keep their pageblocks from becoming free.
func TestUnmovable(t *testing.T) {
	u := newUsers(t, 64)
	for i, pfn := range u.take(false) {
		if i%512 != 0 {
			u.free(pfn)
		}
	}
	u.c.Node(0, 0)
	assert.Zero(t, u.moved)
	u.check()
}

// TestDirect: a request for a large block gets one, where it would have failed.
func TestDirect(t *testing.T) {
	for _, plug := range []bool{false, true} {
		u := newUsers(t, 64)
		u.holes()
		if plug {
			u.c.Plug(buddy.Pressure{})
		}
		for range 2 {
			pfn, err := u.a.AllocPages(0, buddy.GFPHighUserMovable, 9)
			if u.large() == 0 && !plug {
				require.Error(t, err)
				break
			}
			require.NoError(t, err)
			u.unused(pfn, 512)
		}
		assert.Equal(t, plug, u.c.Stats().Success > 0)
		u.check()
	}
}

// TestSuitable: no compaction where there is a block already, or too little memory
// to move pages to.
func TestSuitable(t *testing.T) {
	u := newUsers(t, 64)
	r := buddy.Request{GFP: buddy.GFPHighUserMovable, Order: 9}
	dma32 := u.a.NumZones() - 1
	assert.Equal(t, buddy.CompactSuccess, u.a.CompactionSuitable(dma32, r))
	all := u.take(true)
	assert.Equal(t, buddy.CompactSkipped, u.a.CompactionSuitable(dma32, r))
	for i, pfn := range all {
		if i%2 == 0 {
			u.free(pfn)
		}
	}
	require.NoError(t, u.a.DrainAll(0))
	assert.Equal(t, buddy.CompactContinue, u.a.CompactionSuitable(dma32, r))
}

// TestDeferral: after a failure 1, 3, 7, ... 63 requests of that order are put off;
// smaller ones than any that failed are not, once one has succeeded.
func TestDeferral(t *testing.T) {
	var z zone
	assert.False(t, z.deferred(4), "nothing failed yet")
	for want := uint(1); want <= 6; want++ {
		z.postpone(4)
		assert.Equal(t, want, z.shift)
		n := 0
		for z.deferred(4) {
			n++
		}
		assert.Equal(t, 1<<want-1, n)
	}
	z.postpone(4)
	assert.EqualValues(t, 6, z.shift, "no more than that")
	assert.True(t, z.deferred(4))
	z.worked(2, false)
	assert.False(t, z.deferred(2))
	assert.True(t, z.deferred(3))
	z.worked(3, true)
	assert.Zero(t, z.shift)
}

func TestRetry(t *testing.T) {
	u := newUsers(t, 64)
	for _, x := range []struct {
		order   buddy.Order
		result  buddy.CompactResult
		prio    buddy.CompactPriority
		retries int
		want    buddy.CompactPriority
		again   bool
	}{
		{2, buddy.CompactComplete, buddy.CompactSyncLight, 0, buddy.CompactSyncFull, true},
		{2, buddy.CompactComplete, buddy.CompactSyncFull, 0, buddy.CompactSyncFull, false},
		{9, buddy.CompactComplete, buddy.CompactSyncLight, 0, buddy.CompactSyncLight, false},
		{9, buddy.CompactDeferred, buddy.CompactAsync, 0, buddy.CompactSyncLight, true},
		{2, buddy.CompactSuccess, buddy.CompactSyncLight, 16, buddy.CompactSyncLight, true},
		{2, buddy.CompactSuccess, buddy.CompactSyncLight, 17, buddy.CompactSyncFull, true},
		{9, buddy.CompactSuccess, buddy.CompactSyncLight, 4, buddy.CompactSyncLight, true},
		{9, buddy.CompactSuccess, buddy.CompactSyncLight, 5, buddy.CompactSyncLight, false},
	} {
		prio, again := u.c.retry(buddy.Request{GFP: buddy.GFPKernel, Order: x.order}, x.result, x.prio, x.retries)
		assert.Equal(t, x.want, prio, "%+v", x)
		assert.Equal(t, x.again, again, "%+v", x)
	}
}

// TestProactive: kcompactd compacts a fragmented node without a request, until its
// score is low enough; not while kswapd runs, or if it is told not to.
func TestProactive(t *testing.T) {
	u := newUsers(t, 64)
	now, until := u.c.Proactive(0)
	assert.False(t, now)
	assert.Equal(t, 80, until)
	assert.Equal(t, checkEvery, u.c.Daemon(1, 0))
	u.holes()
	before := u.c.Score(0)
	assert.Greater(t, before, 90)
	now, _ = u.c.Proactive(0)
	assert.True(t, now)
	u.c.SetKswapd(0, true)
	now, _ = u.c.Proactive(0)
	assert.False(t, now)
	u.c.SetKswapd(0, false)
	require.ErrorIs(t, u.c.SetProactiveness(101), ErrProactiveness)
	require.ErrorIs(t, u.c.SetProactiveness(-1), ErrProactiveness)
	require.NoError(t, u.c.SetProactiveness(0))
	assert.Equal(t, Forever, u.c.Daemon(1, 0))
	assert.Equal(t, before, u.c.Score(0))
	for _, x := range []struct{ proactiveness, until int }{{20, 80}, {50, 50}, {80, 20}} {
		require.NoError(t, u.c.SetProactiveness(x.proactiveness))
		assert.Equal(t, checkEvery, u.c.Daemon(1, 0))
		assert.LessOrEqual(t, u.c.score(u.a.NumZones()-1), x.until)
	}
	assert.Zero(t, u.c.Stats().DaemonRuns)
	u.check()
}

// TestProactiveInVain: where nothing can be moved, kcompactd looks again after half a minute.
func TestProactiveInVain(t *testing.T) {
	u := newUsers(t, 64)
	u.holes()
	for pfn := range u.pages {
		u.fixed[pfn] = true
	}
	assert.Equal(t, 32000, u.c.Daemon(0, 0))
}

// TestWake: kcompactd wakes for an order if a zone can be compacted for it, and
// remembers the largest one that was asked for.
func TestWake(t *testing.T) {
	u := newUsers(t, 64)
	assert.False(t, u.c.Wake(0, 0, buddy.ZoneMovable))
	assert.False(t, u.c.Wake(7, 3, buddy.ZoneMovable))
	assert.False(t, u.c.Wake(0, 9, buddy.ZoneMovable), "there are blocks of that order")
	u.holes()
	for o := buddy.Order(10); o > 2; o-- {
		for err := error(nil); err == nil; {
			_, err = u.a.Alloc(buddy.Request{Order: o, GFP: buddy.GFPKernel, Task: buddy.TaskMemalloc})
		}
	}
	assert.False(t, u.c.Wake(0, 9, buddy.ZoneDMA), "there is no such zone")
	u.c.Daemon(1, 0)
	assert.EqualValues(t, 1, u.c.Stats().DaemonRuns)
	assert.True(t, u.c.Wake(0, 4, buddy.ZoneNormal))
	assert.True(t, u.c.Wake(0, 3, buddy.ZoneMovable))
	assert.EqualValues(t, 4, u.c.nodes[0].order)
	assert.Equal(t, buddy.ZoneNormal, u.c.nodes[0].highest)
	u.c.Daemon(1, 0)
	assert.Equal(t, daemon{highest: buddy.ZoneMovable}, u.c.nodes[0])
	assert.True(t, u.a.BlockFor(u.a.NumZones()-1, 4, buddy.Unmovable))
	s := u.c.Stats()
	assert.Equal(t, s.MigrateScanned, s.DaemonMigrate)
	assert.Equal(t, s.FreeScanned, s.DaemonFree)
	u.check()
}

// TestRandom: whatever is in use where, compaction loses no page, moves none that
// must stay, and ends.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := newUsers(t, 16)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		u.take(rapid.Bool().Draw(t, "movable"))
		share := rapid.Float64Range(0, 1).Draw(t, "free")
		for pfn := range buddy.PFN(32 << 20 >> 12) {
			if _, ok := u.pages[pfn]; ok && rng.Float64() < share {
				u.free(pfn)
			} else if ok && rng.IntN(40) == 0 {
				u.fixed[pfn] = true
			}
		}
		u.c.Plug(buddy.Pressure{})
		t.Repeat(map[string]func(*rapid.T){
			"node": func(t *rapid.T) { u.c.Node(0, 0) },
			"daemon": func(t *rapid.T) {
				u.c.Wake(0, buddy.Order(rapid.IntRange(0, 10).Draw(t, "order")), buddy.ZoneMovable)
				u.c.Daemon(1, 0)
			},
			"forget": func(t *rapid.T) { u.c.Forget(0) },
			"request": func(t *rapid.T) {
				order := buddy.Order(rapid.IntRange(1, 10).Draw(t, "order"))
				gfp := rapid.SampledFrom([]buddy.GFP{buddy.GFPKernel, buddy.GFPHighUserMovable, buddy.GFPNowait, buddy.GFPKernel | buddy.GFPNoRetry}).Draw(t, "gfp")
				pfn, err := u.a.AllocPages(0, gfp, order)
				if err != nil {
					return
				}
				u.unused(pfn, 1<<order)
				require.NoError(t, u.a.Free(0, pfn, order))
			},
			"": func(t *rapid.T) { require.NoError(t, u.c.Check()) },
		})
		u.check()
	})
}

func BenchmarkNode(b *testing.B) {
	u := newUsers(b, 256)
	u.holes()
	pages := 0
	for b.Loop() {
		u.c.Node(0, 0)
		pages += 256 << 20 >> 12
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(pages), "ns/page")
}

// Every second page of a machine is free: no large block. Compaction makes them.
func ExampleCompactor_Node() {
	u := newUsers(panics{}, 64)
	u.holes()
	zone := u.a.Zone(u.a.NumZones() - 1)
	fmt.Println("unusable for order 9:", zone.UnusableIndex(9), "of 1000")
	u.c.Node(0, 0)
	fmt.Println("unusable for order 9:", zone.UnusableIndex(9), "of 1000")
	// Output:
	// unusable for order 9: 1000 of 1000
	// unusable for order 9: 62 of 1000
}

type panics struct{}

func (panics) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) FailNow()                          { panic("failed") }
