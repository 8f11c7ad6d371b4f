package rival

import (
	"errors"
	"fmt"
	"runtime"
	"sort"
	"testing"

	"github.com/kernsim/kernsim/slab"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func each(t *testing.T, f func(t *testing.T, n Named)) {
	for _, n := range All() {
		t.Run(n.Name, func(t *testing.T) { f(t, n) })
	}
}

// TestObjects runs every allocator against a map: objects are as large as asked
// for, aligned, apart from each other, and what is freed twice or was never given
// is refused and changes nothing.
func TestObjects(t *testing.T) {
	each(t, func(t *testing.T, n Named) {
		rapid.Check(t, func(t *rapid.T) {
			cpus := rapid.IntRange(1, 4).Draw(t, "cpus")
			a, err := n.New(Config{CPUs: cpus})
			require.NoError(t, err)
			cpu := rapid.IntRange(0, cpus-1)
			type object struct{ addr, size uint64 }
			var live []object
			var freed []uint64
			size := rapid.OneOf(rapid.Uint64Range(1, 300), rapid.Uint64Range(1, 9000), rapid.Uint64Range(1, 600_000))
			t.Repeat(map[string]func(*rapid.T){
				"alloc": func(t *rapid.T) {
					for range rapid.IntRange(1, 40).Draw(t, "n") {
						want := size.Draw(t, "size")
						addr, err := a.Alloc(cpu.Draw(t, "cpu"), want)
						require.NoError(t, err)
						require.GreaterOrEqual(t, a.Usable(addr), want)
						require.Zero(t, addr%8)
						if want&(want-1) == 0 && want >= 16 && want <= 4096 && n.Name != "go" && n.Name != "jemalloc" && n.Name != "tcmalloc" {
							require.Zero(t, addr%want, "kmalloc aligns powers of two")
						}
						live = append(live, object{addr, a.Usable(addr)})
					}
				},
				"free": func(t *rapid.T) {
					for range rapid.IntRange(1, 40).Draw(t, "n") {
						if len(live) == 0 {
							return
						}
						i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
						require.NoError(t, a.Free(cpu.Draw(t, "cpu"), live[i].addr))
						freed = append(freed, live[i].addr)
						live[i] = live[len(live)-1]
						live = live[:len(live)-1]
					}
				},
				"misuse": func(t *rapid.T) {
					addrs := []uint64{0, 1, 1 << 62, heapBase - 8}
					if len(freed) > 0 {
						addrs = append(addrs, freed[rapid.IntRange(0, len(freed)-1).Draw(t, "freed")])
					}
					if len(live) > 0 {
						addrs = append(addrs, live[0].addr+1)
					}
					for _, addr := range addrs {
						if isLive := func() bool {
							for _, o := range live {
								if o.addr == addr {
									return true
								}
							}
							return false
						}(); isLive {
							continue
						}
						before := a.Stats()
						err := a.Free(0, addr)
						var wrong *FreeError
						require.ErrorAs(t, err, &wrong)
						require.Equal(t, before, a.Stats())
						require.Zero(t, a.Usable(addr))
					}
				},
				"": func(t *rapid.T) {
					require.NoError(t, a.Check())
					sort.Slice(live, func(i, j int) bool { return live[i].addr < live[j].addr })
					sum := uint64(0)
					for i, o := range live {
						sum += o.size
						if i > 0 {
							require.LessOrEqual(t, live[i-1].addr+live[i-1].size, o.addr, "objects overlap")
						}
					}
					require.GreaterOrEqual(t, a.Footprint(), sum)
				},
			})
			for _, o := range live {
				require.NoError(t, a.Free(0, o.addr))
			}
			require.NoError(t, a.Check())
		})
	})
}

// TestTooLarge asks for what nobody has.
func TestTooLarge(t *testing.T) {
	each(t, func(t *testing.T, n Named) {
		a, err := n.New(Config{})
		require.NoError(t, err)
		for _, size := range []uint64{0, 2 << 30, 1 << 63} {
			_, err := a.Alloc(0, size)
			var wrong *SizeError
			require.ErrorAs(t, err, &wrong, size)
		}
		for {
			if _, err = a.Alloc(0, 3<<20); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, ErrNoMemory)
		require.NoError(t, a.Check())
	})
}

// TestFewPages makes the kernel's allocators run out of pages with small objects.
func TestFewPages(t *testing.T) {
	for _, n := range All()[:6] {
		a, err := n.New(Config{CPUs: 2, Pages: slab.NewLinearPages(1, 64)})
		if n.Name == "sheaves" || err != nil {
			continue
		}
		var objects []uint64
		for {
			addr, err := a.Alloc(1, 500)
			if err != nil {
				require.ErrorIs(t, err, ErrNoMemory, n.Name)
				break
			}
			objects = append(objects, addr)
		}
		require.Greater(t, len(objects), 300, n.Name)
		require.NoError(t, a.Check())
		for _, o := range objects {
			require.NoError(t, a.Free(0, o))
		}
		require.NoError(t, a.Check())
	}
}

// TestGoClasses compares with the runtime that runs the test: the sizes that it
// counts, and how it rounds what append asks for.
func TestGoClasses(t *testing.T) {
	classes := goClasses()
	assert.Len(t, classes, 67)
	assert.Equal(t, class{32768, 4, 1}, classes[66])
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	for i, by := range m.BySize[1:] {
		assert.Equal(t, by.Size, classes[i].size)
	}
	for n := 1; n <= goMaxSmall; n += 7 {
		got := cap(append([]byte(nil), make([]byte, n)...))
		require.Equal(t, got, int(classes[classOf(classes, uint64(n))].size), "%d bytes", n)
	}
}

// TestJemallocClasses has facts of jemalloc's manual (its table of size classes)
// and slabs.
func TestJemallocClasses(t *testing.T) {
	var sizes []uint32
	for _, c := range jeClasses() {
		sizes = append(sizes, c.size)
		assert.Zero(t, c.pages*jePage%c.size)
	}
	assert.Equal(t, []uint32{8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048,
		2560, 3072, 3584, 4096, 5 << 10, 6 << 10, 7 << 10, 8 << 10, 10 << 10, 12 << 10, 14 << 10}, sizes)
	for size, want := range map[uint64]uint64{14<<10 + 1: 16 << 10, 16<<10 + 1: 20 << 10, 32 << 10: 32 << 10, 33 << 10: 40 << 10, 64<<10 + 1: 80 << 10, 3 << 20: 3 << 20,
		3<<20 + 1: 3<<20 + 512<<10} {
		assert.Equal(t, want, jeLarge(size), size)
	}
	// 48 bytes: three pages, 256 regions; a thread caches at most 200.
	c := jeClasses()[3]
	assert.Equal(t, class{48, 3, 256}, c)
}

// TestTCMallocClasses has gperftools' number of classes for 8 KiB pages
// (kNumClasses is one more) and properties of each.
func TestTCMallocClasses(t *testing.T) {
	classes := tcClasses()
	assert.Len(t, classes, 86-1)
	for i, c := range classes {
		bytes := c.pages << tcPageShift
		assert.LessOrEqual(t, bytes-c.objects*c.size, bytes/8, c.size)
		assert.GreaterOrEqual(t, int(c.objects), tcBatch(c.size)/4)
		if i > 0 {
			assert.Greater(t, c.size, classes[i-1].size)
		}
	}
	assert.Equal(t, uint32(tcMaxSize), classes[len(classes)-1].size)
}

// TestSLABLayouts has what /proc/slabinfo of kernels with SLAB says of kmalloc's
// caches: objects a slab, pages a slab, and the arrays' lengths.
func TestSLABLayouts(t *testing.T) {
	a, err := newSLAB(Config{CPUs: 4})
	require.NoError(t, err)
	s := a.(*slabArrays)
	for i, want := range []struct {
		object, size, objects uint32
		pages, limit, batch   int
		shared                bool
	}{
		{32, 32, 124, 1, 120, 60, true}, {64, 64, 64, 1, 120, 60, true}, {96, 128, 32, 1, 120, 60, true}, {128, 128, 32, 1, 120, 60, true},
		{192, 192, 21, 1, 120, 60, true}, {256, 256, 16, 1, 120, 60, true}, {512, 512, 8, 1, 54, 27, true}, {1024, 1024, 4, 1, 54, 27, true},
		{2048, 2048, 2, 1, 24, 12, true}, {4096, 4096, 1, 1, 24, 12, true}, {8192, 8192, 1, 2, 8, 4, false},
	} {
		k := &s.caches[i]
		assert.Equal(t, want.object, k.object)
		assert.Equal(t, want.size, k.size, want.object)
		assert.Equal(t, want.objects, k.objects, want.object)
		assert.Equal(t, want.pages, 1<<k.order, want.object)
		assert.Equal(t, []int{want.limit, want.batch}, []int{k.limit, k.batch}, want.object)
		assert.Equal(t, want.shared, k.shared.limit == 8*want.batch, want.object)
	}
}

// TestSLABArrays follows a CPU's array: LIFO, half of it flushed when it is full,
// and the shared array filled first.
func TestSLABArrays(t *testing.T) {
	a, _ := newSLAB(Config{CPUs: 2})
	s := a.(*slabArrays)
	var objects []uint64
	for range 130 {
		addr, err := a.Alloc(0, 200)
		require.NoError(t, err)
		objects = append(objects, addr)
	}
	k := &s.caches[5]
	for i, o := range objects {
		require.NoError(t, a.Free(0, o))
		if i < 50 {
			last := k.cpus[0].objects
			assert.Equal(t, o, last[len(last)-1])
		}
	}
	assert.NotEmpty(t, k.shared.objects)
	locks := a.Stats().Locks
	addr, err := a.Alloc(1, 200)
	require.NoError(t, err)
	assert.Equal(t, locks+1, a.Stats().Locks, "the other CPU's array is filled from the shared one")
	assert.Contains(t, objects, addr)
	require.NoError(t, a.Check())
}

// TestSLOBPlaces follows first fit: headers, alignment, joining, and the page
// that goes back.
func TestSLOBPlaces(t *testing.T) {
	a, _ := newSLOB(Config{})
	alloc := func(size uint64) uint64 {
		addr, err := a.Alloc(0, size)
		require.NoError(t, err)
		return addr
	}
	first := alloc(100)
	assert.Equal(t, uint64(8), first%pageSize, "behind its size")
	second := alloc(100)
	assert.Equal(t, first+108+4, second, "108 bytes are 54 units; the next object starts at a multiple of 8")
	aligned := alloc(64)
	assert.Zero(t, aligned%64)
	require.NoError(t, a.Free(0, first))
	assert.Equal(t, first, alloc(50), "the first place that fits")
	assert.Equal(t, uint64(pageSize), a.Footprint())
	for _, o := range []uint64{first, second, aligned} {
		require.NoError(t, a.Free(0, o))
	}
	assert.Zero(t, a.Footprint(), "an empty page goes back at once")
	alloc(pageSize - 8)
	assert.Equal(t, uint64(pageSize), a.Footprint())
	big := alloc(pageSize + 1)
	assert.Equal(t, uint64(2*pageSize), a.Usable(big))
}

// TestCachesSaveLocks: threads that allocate and free by turns take the shared
// lock once a batch or less; SLOB takes it each time.
func TestCachesSaveLocks(t *testing.T) {
	locks := map[string]float64{}
	each(t, func(t *testing.T, n Named) {
		a, err := n.New(Config{CPUs: 2})
		require.NoError(t, err)
		const rounds = 1000
		for range rounds {
			var objects [20]uint64
			for i := range objects {
				if objects[i], err = a.Alloc(0, 128); err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range objects {
				require.NoError(t, a.Free(0, o))
			}
		}
		locks[n.Name] = float64(a.Stats().Locks) / (rounds * 40)
	})
	for name, per := range locks {
		switch name {
		case "slob":
			assert.GreaterOrEqual(t, per, 1.0)
		default:
			assert.Less(t, per, 0.07, name)
		}
	}
}

func TestErrors(t *testing.T) {
	assert.EqualError(t, &FreeError{"slob", 0x10, true}, "rival: slob: object 0x10 is free already")
	assert.EqualError(t, &SizeError{"go", 0}, "rival: go: no object of 0 bytes")
	assert.EqualError(t, &CheckError{"go", "x"}, "rival: go: x")
	assert.False(t, errors.Is(ErrNoMemory, slab.ErrNoMemory))
}

func BenchmarkAllocFree(b *testing.B) {
	for _, n := range All() {
		b.Run(n.Name, func(b *testing.B) {
			a, err := n.New(Config{CPUs: 1})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				addr, err := a.Alloc(0, 128)
				if err != nil {
					b.Fatal(err)
				}
				if err := a.Free(0, addr); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleAll() {
	for _, n := range All() {
		a, err := n.New(Config{CPUs: 1})
		if err != nil {
			panic(err)
		}
		addr, err := a.Alloc(0, 100)
		if err != nil {
			panic(err)
		}
		fmt.Println(n.Name, a.Usable(addr))
	}
	// Output:
	// slub-5.4 128
	// slub-6.1 128
	// slub-6.18 128
	// sheaves 128
	// slab 128
	// slob 100
	// go 112
	// jemalloc 112
	// tcmalloc 112
}
