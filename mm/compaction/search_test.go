package compaction

import (
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// full is a machine of 64 MiB, one zone of 32 pageblocks from page frame 4096 on, full of
// movable pages: even its reserves. Then some blocks of an order are freed.
func full(t require.TestingT, order buddy.Order, free ...buddy.PFN) (*users, int) {
	u := newUsers(t, 64)
	i := u.a.NumZones() - 1
	for {
		pfn, err := u.a.Alloc(buddy.Request{GFP: buddy.GFPHighUserMovable, Task: buddy.TaskMemalloc})
		if err != nil {
			break
		}
		u.pages[pfn] = len(u.pages)
	}
	require.EqualValues(t, 4096, u.c.zones[i].start)
	require.EqualValues(t, 20480, u.c.zones[i].end)
	for _, head := range free {
		for pfn := head; pfn < head+1<<order; pfn++ {
			u.free(pfn)
		}
		require.NoError(t, u.a.DrainAll(0))
	}
	return u, i
}

func (u *users) list(i int, order buddy.Order) (out []buddy.PFN) {
	u.a.EachFree(i, order, buddy.Movable, false, func(pfn buddy.PFN) bool { out = append(out, pfn); return true })
	return out
}

// TestSearchSource: the first free block of the largest order in the lower half of the
// zone, or eighth of what is left, names the pageblock, whose mark is then set and makes
// the scanner pass over it. After a search in vain it goes back to the lowest one.
func TestSearchSource(t *testing.T) {
	u, i := full(t, 4, 13000&^15, 12000&^15, 9000&^15, 4096+1024)
	z := &u.c.zones[i]
	r := &run{zone: z, index: i, order: 9, direct: true, sync: true, mt: buddy.Movable}
	u.c.begin(r)
	require.EqualValues(t, 20480-512, r.free)
	require.Equal(t, []buddy.PFN{5120, 8992, 12000, 12992}, u.list(i, 4))

	r.migrate = 4096 + 100
	assert.Equal(t, r.migrate, u.c.searchSource(r), "within a pageblock")
	r.migrate = 4096
	for _, other := range []run{{order: 3, direct: true, mt: buddy.Movable}, {order: 9, direct: true, mt: buddy.Unmovable}, {order: 9, noSkip: true}} {
		other.zone, other.index, other.migrate, other.free = z, i, r.migrate, r.free
		assert.Equal(t, r.migrate, u.c.searchSource(&other), "%+v", other)
	}
	require.Equal(t, []buddy.PFN{5120, 8992, 12000, 12992}, u.list(i, 4))

	assert.EqualValues(t, 5120, u.c.searchSource(r))
	assert.True(t, z.skip[2])
	assert.Equal(t, []buddy.PFN{8992, 12000, 12992, 5120}, u.list(i, 4))
	assert.EqualValues(t, 1, u.c.stats.MigrateScanned)
	assert.EqualValues(t, 8992&^511, u.c.searchSource(r))
	assert.EqualValues(t, 5120, u.c.searchSource(r), "12000 is above 11776, half of 4096 to 19968 by pageblocks: back to the lowest")
	assert.EqualValues(t, 5120, r.migrate)
	assert.Equal(t, []buddy.PFN{12000, 12992, 5120, 8992}, u.list(i, 4))
	assert.Equal(t, 1, r.misses)
	assert.EqualValues(t, 6, u.c.stats.MigrateScanned)
	r.migrate = 6144
	assert.EqualValues(t, 6144, u.c.searchSource(r), "only once")
	assert.Equal(t, 2, r.misses)

	clear(z.skip)
	assert.EqualValues(t, 5120, u.c.searchSource(r), "12992 to 8992 are above 7680, an eighth of what is left")
	assert.Zero(t, r.misses)
	z.skip[2] = true
	r.misses = 5
	scanned := u.c.stats.MigrateScanned
	assert.EqualValues(t, 6144, u.c.searchSource(r))
	assert.EqualValues(t, 3, u.c.stats.MigrateScanned-scanned, "32 by 32, and 1, are looked at, and one turns the list")
	assert.Equal(t, []buddy.PFN{5120, 8992, 12000, 12992}, u.list(i, 4))
}

// TestPassedOver: the pageblock that a search found is marked, and so passed over.
func TestPassedOver(t *testing.T) {
	u, i := full(t, 4, 8992)
	z := &u.c.zones[i]
	r := &run{zone: z, index: i, order: 9, direct: true, sync: true, mt: buddy.Movable}
	u.c.begin(r)
	u.c.isolate(r)
	assert.Empty(t, u.c.moving)
	assert.EqualValues(t, 8704+512, r.migrate)
	assert.Equal(t, [2]buddy.PFN{8704 + 1024, 8704 + 1024}, z.migrate)
}

// TestSearchTarget: a block in the upper quarter of what is left is taken, from the tail
// of the list of the largest order; else the highest one in the upper half; else the
// scanner is set to the highest pageblock that was seen, or the middle.
func TestSearchTarget(t *testing.T) {
	for _, x := range []struct {
		name    string
		free    []buddy.PFN
		direct  bool
		want    []buddy.PFN // first pages of blocks that were taken
		at      buddy.PFN   // where the free scanner is
		cached  buddy.PFN
		misses  int
		scanned uint64
		list    []buddy.PFN
		search  int // the order where the next search begins
	}{
		// From 4096 to 19968 the upper quarter begins at 15872, the half at 11776.
		{"quarter", []buddy.PFN{9008, 17008, 18000}, true, []buddy.PFN{17008}, 19968, 19968, 0, 2 + 15, []buddy.PFN{9008, 18000}, 4},
		{"half", []buddy.PFN{12000, 14000, 9008}, true, []buddy.PFN{14000}, 19968, 19968, 0, 3 + 15, []buddy.PFN{12000, 9008}, 8},
		{"below, for a request", []buddy.PFN{9008}, true, nil, 11776, 19968, 1, 1, []buddy.PFN{9008}, 7},
		{"below", []buddy.PFN{9008}, false, nil, 19968, 19968, 1, 1, []buddy.PFN{9008}, 7},
		{"highest pageblock", []buddy.PFN{20000}, false, []buddy.PFN{20000}, 19968, 19968 - 512, 0, 1 + 15, nil, 4},
		{"nothing", nil, true, nil, 11776, 19968, 1, 0, nil, 7},
	} {
		t.Run(x.name, func(t *testing.T) {
			u, i := full(t, 4, x.free...)
			for pfn := buddy.PFN(4096); pfn < 4096+2048; pfn++ { // for the watermark; too large to be searched
				u.free(pfn)
			}
			require.NoError(t, u.a.DrainAll(0))
			z := &u.c.zones[i]
			r := &run{zone: z, index: i, order: 9, search: 9, direct: x.direct, mt: buddy.Movable, sync: !x.direct}
			u.c.begin(r)
			u.c.moving = make([]buddy.PFN, 8)
			u.c.searchTarget(r)
			var want []buddy.PFN
			for _, head := range x.want {
				for k := range buddy.PFN(16) {
					want = append(want, head+k)
				}
			}
			assert.Equal(t, want, append([]buddy.PFN(nil), u.c.spare...))
			assert.Equal(t, x.at, r.free)
			assert.Equal(t, x.cached, z.free)
			assert.Equal(t, x.misses, r.misses)
			assert.Equal(t, x.scanned, u.c.stats.FreeScanned)
			assert.Equal(t, x.list, u.list(i, 4))
			assert.Equal(t, x.search, r.search)
			u.c.moving = u.c.moving[:0]
			u.c.putBack(r)
			u.check()
		})
	}
}

// TestSearchTurns: a search that gave up lets the next one see other blocks.
func TestSearchTurns(t *testing.T) {
	u, i := full(t, 4, 9008, 8080, 7040)
	z := &u.c.zones[i]
	r := &run{zone: z, index: i, order: 9, search: 9, mt: buddy.Movable, sync: true}
	u.c.begin(r)
	z.initFree, r.misses = 20479, 5
	u.c.searchTarget(r)
	assert.Equal(t, []buddy.PFN{9008, 7040, 8080}, u.list(i, 4))
	u.c.searchTarget(r)
	assert.Equal(t, []buddy.PFN{8080, 9008, 7040}, u.list(i, 4))
	assert.EqualValues(t, 2, u.c.stats.FreeScanned)
	assert.Equal(t, 7, r.misses)
}

// TestDrains: what was freed merges when the scanner has left the block of the order.
func TestDrains(t *testing.T) {
	var heads []buddy.PFN
	for head := buddy.PFN(14336); head < 14336+64*40; head += 64 {
		heads = append(heads, head)
	}
	u, i := full(t, 5, heads...)
	r := &run{zone: &u.c.zones[i], index: i, order: 6, search: 6, mt: buddy.Movable, sync: true}
	assert.Equal(t, buddy.CompactSuccess, u.c.compact(r))
	assert.EqualValues(t, 512, u.c.stats.Moved)
	assert.EqualValues(t, 32, u.a.Zone(i).PCPPages(), "twice 256 pages were taken for 480, and these put back")
	order, ok := u.a.FreeBlock(4096)
	assert.True(t, ok)
	assert.EqualValues(t, 9, order)
	u.check()
}

// TestTarget: pages are moved into movable pageblocks that are not free as a whole; at
// the hardest into others, too.
func TestTarget(t *testing.T) {
	u, i := full(t, 9, 4096)
	require.NoError(t, u.a.SetBlockType(4608, buddy.Unmovable))
	r, any := &run{zone: &u.c.zones[i], index: i}, &run{zone: &u.c.zones[i], index: i, anyTarget: true}
	for _, x := range []struct {
		block           buddy.PFN
		want, atHardest bool
	}{{4096, false, false}, {4608, false, true}, {5120, true, true}} {
		assert.Equal(t, x.want, u.c.target(r, x.block), "%d", x.block)
		assert.Equal(t, x.atHardest, u.c.target(any, x.block), "%d", x.block)
	}
}

// TestNextOrder: searches go round the orders below the request's, and begin one lower
// after a round in vain.
func TestNextOrder(t *testing.T) {
	r := &run{order: 4, search: 2}
	var got []int
	for o := r.search; o >= 0; o = r.nextOrder(o) {
		got = append(got, o)
	}
	assert.Equal(t, []int{2, 1, 0, 3}, got)
	assert.Equal(t, 1, r.search)
	r = &run{order: 1, search: 0}
	assert.Equal(t, -1, r.nextOrder(0))
	assert.Equal(t, 0, r.search)
}

// TestPicky: asynchronous compaction for a request takes pages of one part of its size at
// a time, and none of a part with a page that must stay.
func TestPicky(t *testing.T) {
	u, i := full(t, 0)
	z := &u.c.zones[i]
	u.fixed[4096+5], u.fixed[4096+16] = true, true
	r := &run{zone: z, index: i, order: 3, direct: true, mt: buddy.Movable}
	u.c.begin(r)
	u.c.isolate(r)
	assert.Equal(t, []buddy.PFN{4104, 4105, 4106, 4107, 4108, 4109, 4110, 4111}, u.c.moving)
	assert.EqualValues(t, 4112, r.migrate)
	assert.EqualValues(t, 6+8, u.c.stats.MigrateScanned)
	assert.True(t, z.skip[0], "its first page was taken")
	u.c.moving = u.c.moving[:0]
	r.sync = true
	u.c.isolate(r)
	assert.Len(t, u.c.moving, 32)
	assert.EqualValues(t, 4113, u.c.moving[0])
	u.c.moving = u.c.moving[:0]
	r.rescan = true
	u.c.isolate(r)
	assert.Len(t, u.c.moving, 512-(16+33), "all the rest")
	assert.Equal(t, [2]buddy.PFN{5120, 5120}, z.migrate, "behind the next pageblock")
	u.c.moving = u.c.moving[:0]
}

// TestForget: only where scanners met for a request marks are taken off, and only of
// pageblocks that have pages to move or, from above, free ones.
func TestForget(t *testing.T) {
	u, i := full(t, 4, 4096+512*30)
	z := &u.c.zones[i]
	for k := range z.skip {
		z.skip[k] = true
	}
	for pfn := buddy.PFN(4096); pfn < 4096+1024; pfn += 8 {
		u.fixed[pfn] = true
	}
	u.c.Forget(0)
	assert.True(t, z.skip[30])
	z.flush = true
	u.c.Forget(0)
	assert.False(t, z.flush)
	for k, skip := range z.skip {
		// The lower half is looked at for pages to move. Above, pageblock 30 is the first
		// with free pages; below it, those are left out that have no free ones until one
		// is unmarked, from when on pages to move count, too.
		assert.Equal(t, k < 2 || k == 31, skip, "pageblock %d", k)
	}
	assert.Equal(t, [2]buddy.PFN{4096 + 1024, 4096 + 1024}, z.migrate)
	assert.EqualValues(t, 20479-512, z.free)
	assert.Equal(t, z.migrate[0], z.initMigrate)
	assert.Equal(t, z.free, z.initFree)
}

// TestForgetNothing: where no pageblock is worth a look, the scanners are set together.
func TestForgetNothing(t *testing.T) {
	u, i := full(t, 0)
	z := &u.c.zones[i]
	for k := range z.skip {
		z.skip[k] = true
	}
	clear(u.pages)
	z.flush = true
	u.c.Forget(0)
	assert.NotContains(t, z.skip, false)
	assert.Equal(t, [2]buddy.PFN{12288, 12288}, z.migrate)
	assert.EqualValues(t, 12287, z.free)
}

// TestCaptures: direct compaction gives the request the block that it freed, which no
// list ever held, and what it was put off for before is forgotten.
func TestCaptures(t *testing.T) {
	u := newUsers(t, 64)
	u.holes()
	u.c.Plug(buddy.Pressure{})
	i := u.a.NumZones() - 1
	for u.a.BlockFor(i, 9, buddy.Movable) {
		_, err := u.a.Alloc(buddy.Request{Order: 9, GFP: buddy.GFPHighUserMovable, Task: buddy.TaskMemalloc})
		require.NoError(t, err)
	}
	z := &u.c.zones[i]
	z.postpone(9)
	z.considered = 1
	locked := 0
	u.a.SetHook(func(e buddy.Event) {
		if e.Kind == buddy.EventZoneLocked && e.Order == 9 {
			locked++
		}
	})
	pfn, err := u.a.AllocPages(0, buddy.GFPHighUserMovable, 9)
	require.NoError(t, err)
	u.unused(pfn, 512)
	assert.Zero(t, locked)
	assert.Zero(t, z.shift)
	assert.EqualValues(t, 1, u.c.Stats().Success)
	u.check()
}
