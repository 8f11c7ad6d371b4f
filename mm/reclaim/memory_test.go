package reclaim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// machine is one with so many MiB, whose reclaimed pages are noted.
type machine struct {
	t       require.TestingT
	a       *buddy.Allocator
	m       *Memory
	evicted []Eviction
}

func newMachine(t require.TestingT, mib uint64, cpus int, c Config) *machine {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 16 << 20, End: (16 + mib) << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: cpus}, buddy.Linux6_1)
	require.NoError(t, err)
	x := &machine{t: t, a: a}
	c.Evicted = func(e Eviction) { x.evicted = append(x.evicted, e) }
	x.m, err = New(a, c)
	require.NoError(t, err)
	return x
}

func swap(t require.TestingT, pages uint32) *SwapMap {
	s, err := NewSwapMap(pages)
	require.NoError(t, err)
	return s
}

// page gives a page to a user.
func (x *machine) page(u Use) buddy.PFN {
	pfn, err := x.a.AllocPages(0, buddy.GFPHighUserMovable, 0)
	require.NoError(x.t, err)
	require.NoError(x.t, x.m.Add(0, pfn, u))
	return pfn
}

// fill takes pages until reclaim has taken some.
func (x *machine) fill(u Use) (all []buddy.PFN) {
	for len(x.evicted) == 0 {
		all = append(all, x.page(u))
		require.Less(x.t, len(all), 1<<16)
	}
	return all
}

func (x *machine) check() {
	require.NoError(x.t, x.m.Check())
	require.NoError(x.t, x.a.Check())
}

// TestOldestGoFirst: pages that nobody touches go in the order in which they came,
// and kswapd takes as many as it needs to be balanced.
func TestOldestGoFirst(t *testing.T) {
	x := newMachine(t, 32, 1, Config{Swappiness: 60})
	x.a.SetBoostFactor(0)
	all := x.fill(Use{File: true})
	for i, e := range x.evicted {
		assert.Equal(t, all[i], e.PFN)
		assert.True(t, e.File)
	}
	s := x.m.Stats()
	assert.EqualValues(t, 1, s.PageOutRun)
	assert.Zero(t, s.AllocStall)
	assert.EqualValues(t, len(x.evicted), s.StealKswapd)
	assert.EqualValues(t, len(x.evicted), s.StealFile)
	assert.Equal(t, s.ScanKswapd, s.StealKswapd, "all were clean")
	assert.True(t, x.a.Balanced(0, 0, buddy.ZoneDMA32))
	x.check()
}

// TestReferences: what was touched goes round again, the second time into the
// active list; program text stays at once.
func TestReferences(t *testing.T) {
	for _, tt := range []struct {
		name    string
		u       Use
		touches int // how often it is touched, with reclaim in between
		read    int // by system calls
		stays   bool
		active  bool
	}{
		{"untouched", Use{File: true}, 0, 0, false, false},
		{"touched once", Use{File: true}, 1, 0, true, false},
		{"touched twice", Use{File: true}, 2, 0, true, true},
		{"text touched once", Use{File: true, Executable: true}, 1, 0, true, true},
		{"read once", Use{File: true}, 0, 1, false, false},
		{"read twice", Use{File: true}, 0, 2, true, true},
		{"dirty", Use{File: true, Dirty: true}, 0, 0, true, true},
		{"anonymous without swap", Use{}, 0, 0, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newMachine(t, 32, 1, Config{Swappiness: 60, KswapdLater: true})
			first := x.page(tt.u)
			for range tt.read {
				require.NoError(t, x.m.Access(0, first))
			}
			for range 40 {
				x.page(Use{File: true})
			}
			sc := control{priority: 0, wanted: 1, highest: buddy.ZoneMovable, gfp: buddy.GFPKernel, writePage: true, swap: true}
			n := &x.m.nodes[0]
			for i := range max(tt.touches, 1) {
				if i < tt.touches {
					require.NoError(t, x.m.Touch(first, false))
				}
				kind := InactiveFile
				if !tt.u.File {
					kind = InactiveAnon
				}
				// All of the list, so that it comes to the page each time.
				x.m.shrinkInactive(n, kind, n.lists[kind].n+pagevecSize, &sc)
				x.check()
			}
			p := x.m.at(uint32(first))
			switch {
			case tt.u.File == false && !tt.stays, tt.u.File && !tt.stays:
				assert.Zero(t, p.flags&inUse)
			default:
				require.NotZero(t, p.flags&inUse)
				if tt.u.File {
					assert.Equal(t, tt.active, p.flags&active != 0)
				}
			}
		})
	}
}

// TestSwap: anonymous pages are written to swap, and go once they are written; what
// comes back in time is active at once.
func TestSwap(t *testing.T) {
	x := newMachine(t, 32, 1, Config{Swappiness: 60, Swap: swap(t, 1<<15)})
	all := x.fill(Use{})
	s := x.m.Stats()
	assert.EqualValues(t, len(x.evicted), s.StealAnon)
	assert.GreaterOrEqual(t, s.SwapOut, s.StealAnon)
	seen := map[uint32]bool{}
	for _, e := range x.evicted {
		assert.NotZero(t, e.Slot)
		assert.False(t, seen[e.Slot])
		seen[e.Slot] = true
		assert.EqualValues(t, 1, x.m.c.Swap.Users(e.Slot))
	}
	e := x.evicted[len(x.evicted)-1]
	pfn, err := x.a.AllocPages(0, buddy.GFPHighUserMovable, 0)
	require.NoError(t, err)
	r, err := x.m.Refault(0, pfn, Use{Slot: e.Slot}, e.Shadow)
	require.NoError(t, err)
	assert.False(t, r.Activate, "there are no active and no file pages that it could do without")
	assert.EqualValues(t, 1, x.m.Stats().RefaultAnon)
	require.NoError(t, x.m.Release(pfn))
	assert.Zero(t, x.m.c.Swap.Users(e.Slot))
	require.NoError(t, x.a.Free(0, pfn, 0))
	assert.Contains(t, all, e.PFN)
	x.check()
}

// TestNothingLeft: a request that nothing can be taken for asks the OOM killer.
func TestNothingLeft(t *testing.T) {
	asked := 0
	x := newMachine(t, 32, 1, Config{Swappiness: 60, OutOfMemory: func(buddy.Request) bool { asked++; return false }})
	for {
		pfn, err := x.a.AllocPages(0, buddy.GFPHighUserMovable, 0)
		if err != nil {
			break
		}
		require.NoError(t, x.m.Add(0, pfn, Use{}))
	}
	assert.Equal(t, 1, asked)
	assert.Positive(t, x.m.Stats().AllocStall)
	assert.Empty(t, x.evicted)
	x.check()
}

// TestShrinkersAreAsked: they free objects when lists are scanned.
func TestShrinkersAreAsked(t *testing.T) {
	objects := &counted{n: 100_000}
	x := newMachine(t, 32, 1, Config{Swappiness: 60, Shrinkers: []*slab.Shrink{{Shrinker: objects, Seeks: 2}}})
	x.fill(Use{File: true})
	assert.Less(t, objects.n, uint64(100_000))
	assert.Equal(t, 100_000-objects.n, x.m.Stats().SlabsFreed)
}

type counted struct{ n uint64 }

func (c *counted) Count() uint64 { return c.n }
func (c *counted) Scan(n uint64) (freed, scanned uint64, stop bool) {
	n = min(n, c.n)
	c.n -= n
	return n, n, false
}

func TestDropCaches(t *testing.T) {
	x := newMachine(t, 32, 1, Config{Swappiness: 60})
	clean, dirty, anon := x.page(Use{File: true}), x.page(Use{File: true, Dirty: true}), x.page(Use{})
	assert.Equal(t, 1, x.m.DropCaches(0))
	assert.Equal(t, []Eviction{{PFN: clean, File: true}}, x.evicted)
	require.NoError(t, x.m.Written(dirty))
	assert.Equal(t, 1, x.m.DropCaches(0))
	assert.Zero(t, x.m.DropCaches(5))
	require.NoError(t, x.m.Release(anon))
	x.check()
}

// TestProportion: when one kind has had its share, the other one is scanned as far.
func TestProportion(t *testing.T) {
	targets := [NumLists]int64{100, 20, 1000, 200}
	left := [NumLists]int64{50, 10, 900, 180}
	require.True(t, proportion(&left, &targets))
	// Of 120 anonymous pages 60 are done, 49%; of files 1000 and 200 then 51% are
	// wanted, of which 100 and 20 were done.
	assert.Equal(t, [NumLists]int64{0, 0, 410, 82}, left)
	require.False(t, proportion(&left, &targets))
}

func TestMisuse(t *testing.T) {
	_, err := New(nil, Config{Swappiness: 201})
	require.ErrorContains(t, err, "EINVAL")
	x := newMachine(t, 32, 1, Config{})
	pfn := x.page(Use{})
	var wrong *PageError
	require.ErrorAs(t, x.m.Add(0, pfn, Use{}), &wrong)
	require.ErrorAs(t, x.m.Add(3, pfn+1, Use{}), &wrong)
	require.ErrorAs(t, x.m.Add(0, 1<<40, Use{}), &wrong)
	for _, f := range []func(buddy.PFN) error{x.m.Release, x.m.Written, func(p buddy.PFN) error { return x.m.Touch(p, true) }, func(p buddy.PFN) error { return x.m.Access(0, p) }} {
		require.ErrorAs(t, f(pfn+1), &wrong)
		require.ErrorAs(t, f(1<<40), &wrong)
	}
	assert.Zero(t, x.m.Sizes(7))
	assert.False(t, x.m.Wanted(-1))
	x.m.Kswapd(0, 9)
	x.check()
}

// TestRandomUse: pages come, are touched, written, released, and come back; no page
// is lost or taken twice, and the slots of swap are those of the pages.
func TestRandomUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s *SwapMap
		if rapid.Bool().Draw(t, "swap") {
			s = swap(t, rapid.Uint32Range(2, 4000).Draw(t, "slots"))
		}
		x := newMachine(t, 16, 2, Config{Swappiness: rapid.Int64Range(0, 200).Draw(t, "swappiness"), Swap: s, KswapdLater: rapid.Bool().Draw(t, "later")})
		live, gone := map[buddy.PFN]Use{}, []Eviction(nil)
		var order []buddy.PFN
		settle := func() {
			for _, e := range x.evicted {
				u, ok := live[e.PFN]
				require.True(t, ok, "page %d was taken, but is not in use", e.PFN)
				require.Equal(t, u.File, e.File)
				delete(live, e.PFN)
				gone = append(gone, e)
			}
			x.evicted = x.evicted[:0]
			order = slices.DeleteFunc(order, func(p buddy.PFN) bool { _, ok := live[p]; return !ok })
		}
		pick := func(t *rapid.T) buddy.PFN {
			if len(order) == 0 {
				t.Skip()
			}
			return order[rapid.IntRange(0, len(order)-1).Draw(t, "page")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"many": func(t *rapid.T) {
				u := Use{File: rapid.Bool().Draw(t, "file"), Dirty: rapid.Bool().Draw(t, "dirty"), Executable: rapid.Bool().Draw(t, "text")}
				cpu := buddy.CPU(rapid.IntRange(0, 1).Draw(t, "cpu"))
				for range rapid.IntRange(1, 800).Draw(t, "n") {
					pfn, err := x.a.AllocPages(cpu, buddy.GFPHighUserMovable, 0)
					settle()
					if err != nil {
						return
					}
					require.NoError(t, x.m.Add(cpu, pfn, u))
					live[pfn] = u
					order = append(order, pfn)
				}
			},
			"touch": func(t *rapid.T) { require.NoError(t, x.m.Touch(pick(t), rapid.Bool().Draw(t, "write"))) },
			"read":  func(t *rapid.T) { require.NoError(t, x.m.Access(1, pick(t))) },
			"wrote": func(t *rapid.T) { require.NoError(t, x.m.Written(pick(t))) },
			"kswapd": func(t *rapid.T) {
				x.m.Kswapd(1, 0)
				settle()
			},
			"drop": func(t *rapid.T) {
				x.m.DropCaches(0)
				settle()
			},
			"release": func(t *rapid.T) {
				pfn := pick(t)
				require.NoError(t, x.m.Release(pfn))
				require.NoError(t, x.a.Free(0, pfn, 0))
				delete(live, pfn)
				settle()
			},
			"back": func(t *rapid.T) {
				if len(gone) == 0 {
					t.Skip()
				}
				e := gone[len(gone)-1]
				pfn, err := x.a.AllocPages(0, buddy.GFPHighUserMovable, 0)
				settle()
				if err != nil {
					return
				}
				gone = slices.DeleteFunc(gone, func(g Eviction) bool { return g == e })
				_, err = x.m.Refault(0, pfn, Use{File: e.File, Slot: e.Slot}, e.Shadow)
				require.NoError(t, err)
				live[pfn] = Use{File: e.File, Slot: e.Slot}
				order = append(order, pfn)
			},
			"": func(t *rapid.T) {
				require.NoError(t, x.m.Check())
				n := 0
				for id := range x.m.nodes {
					n += int(x.m.total(&x.m.nodes[id]))
				}
				for cpu := range x.m.batches {
					n += x.m.batches[cpu].n
				}
				require.Equal(t, len(live), n)
			},
		})
		require.NoError(t, x.a.Check())
	})
}

func BenchmarkReclaim(b *testing.B) {
	x := newMachine(b, 64, 1, Config{Swappiness: 60})
	x.m.c.Evicted = nil
	b.ReportAllocs()
	for b.Loop() {
		pfn, err := x.a.AllocPages(0, buddy.GFPHighUserMovable, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := x.m.Add(0, pfn, Use{File: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// A machine of 32 MiB reads a file of 64 MiB: kswapd takes the oldest pages.
func ExampleNew() {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 16 << 20, End: 48 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 1}, buddy.Linux6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := New(a, Config{Swappiness: 60})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 64 << 20 / 4096 {
		pfn, err := a.AllocPages(0, buddy.GFPHighUserMovable, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = m.Add(0, pfn, Use{File: true})
	}
	s := m.Stats()
	fmt.Println("runs of kswapd:", s.PageOutRun, "direct reclaims:", s.AllocStall)
	fmt.Println("scanned:", s.ScanKswapd, "reclaimed:", s.StealKswapd)
	// Output:
	// runs of kswapd: 148 direct reclaims: 0
	// scanned: 8436 reclaimed: 8436
}
