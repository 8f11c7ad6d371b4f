package percpu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestEmbed: a 6.1 kernel's boot log of a machine with 2 CPUs.
func TestEmbed(t *testing.T) {
	l, err := Embed(2010456, 8192, 28<<10, 2<<20, []int{2})
	require.NoError(t, err)
	require.Equal(t, "percpu: Embedded 500 pages/cpu s2010456 r8192 d29352 u2097152", l.String())
	// Smaller units share an allocation as far as little is wasted.
	l, err = Embed(180000, 8192, 28<<10, 2<<20, []int{8})
	require.NoError(t, err)
	require.Equal(t, 8, l.UnitsPerAlloc)
	require.Equal(t, 256<<10, l.Unit)
	for _, bad := range []func() (Layout, error){
		func() (Layout, error) { return Embed(-1, 0, 0, 4096, []int{1}) },
		func() (Layout, error) { return Embed(1, 0, 0, 100, []int{1}) },
		func() (Layout, error) { return Embed(1, 0, 0, 4096, nil) },
		func() (Layout, error) { return Embed(1, 0, 0, 4096, []int{0}) },
	} {
		_, err := bad()
		require.Error(t, err)
	}
}

// TestAllocator: areas never overlap, are aligned, and all of them can be had again.
func TestAllocator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := Embed(1000, 0, 3000, 4096, []int{2})
		require.NoError(t, err)
		a := NewAllocator(l, 2)
		var live []Offset
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if len(live) > 0 && rapid.Bool().Draw(t, "free") {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				require.NoError(t, a.Free(live[i]))
				require.Error(t, a.Free(live[i]))
				live = append(live[:i], live[i+1:]...)
			} else {
				align := 1 << rapid.IntRange(0, 9).Draw(t, "align")
				o, err := a.Alloc(rapid.IntRange(1, 2000).Draw(t, "size"), align)
				require.NoError(t, err)
				require.Zero(t, o.Bytes%align)
				require.Equal(t, l.Unit, a.Address(o, 1)-a.Address(o, 0))
				live = append(live, o)
			}
			require.NoError(t, a.Check())
		}
	})
}

func TestIllegalAllocations(t *testing.T) {
	l, err := Embed(1000, 0, 3000, 4096, []int{1})
	require.NoError(t, err)
	a := NewAllocator(l, 1)
	for _, c := range [][2]int{{0, 4}, {40000, 4}, {4, 8192}, {4, 24}} {
		_, err := a.Alloc(c[0], c[1])
		var refused *AllocError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, fmt.Sprintf("illegal size (%d) or align (%d) for percpu allocation", c[0], c[1]), refused.Report)
	}
	require.Equal(t, -1, a.Address(Offset{}, 3))
}

// ExampleCache counts with two counters in one cache line and in two.
func ExampleCache() {
	for _, distance := range []int{8, LineSize} {
		c, _ := NewCache(2, TypicalCosts)
		for range 100 {
			_, _ = c.Write(0, 0, 8)
			_, _ = c.Write(1, distance, 8)
		}
		n := c.Counts(0)
		fmt.Printf("%2d bytes apart: %d hits, %d misses by false sharing, %d cycles\n", distance, n.Hits, n.FalseSharing, n.Cycles)
	}
	// Output:
	//  8 bytes apart: 0 hits, 99 misses by false sharing, 16040 cycles
	// 64 bytes apart: 99 hits, 0 misses by false sharing, 596 cycles
}

// TestCache: states exclude each other, and true sharing is not called false.
func TestCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := NewCache(3, TypicalCosts)
		require.NoError(t, err)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			cpu, addr := rapid.IntRange(0, 2).Draw(t, "cpu"), 8*rapid.IntRange(0, 20).Draw(t, "addr")
			if rapid.Bool().Draw(t, "store") {
				_, err = c.Write(cpu, addr, 8)
				require.Equal(t, Modified, c.State(cpu, addr))
			} else {
				_, err = c.Read(cpu, addr, 8)
			}
			require.NoError(t, err)
			require.NoError(t, c.Check())
		}
	})
	c, err := NewCache(2, TypicalCosts)
	require.NoError(t, err)
	for range 10 {
		_, _ = c.Write(0, 0, 8)
		_, _ = c.Write(1, 0, 8)
	}
	require.Equal(t, 9, c.Counts(0).Coherence)
	require.Zero(t, c.Counts(0).FalseSharing)
	_, err = c.Read(0, 60, 8)
	require.Error(t, err)
	_, err = NewCache(0, TypicalCosts)
	require.Error(t, err)
}

func BenchmarkCache(b *testing.B) {
	c, _ := NewCache(8, TypicalCosts)
	i := 0
	for b.Loop() {
		_, _ = c.Write(i&7, i&1023&^7, 8)
		i++
	}
}

// firstFit is the naive twin of a chunk's search: the first place of the map where an
// aligned request fits.
func firstFit(c *chunk, n, align int) int {
	for at := 0; at+n <= c.grains; at += align {
		if c.used.next(at, at+n, true) >= at+n {
			return at
		}
	}
	return -1
}

// TestAgainstFirstFit runs many requests: what is given is free, aligned, and lies where
// first fit would put it, or behind.
func TestAgainstFirstFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newChunk(0, 32<<10)
		var live []int
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				c.give(live[i])
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
			} else {
				n := rapid.SampledFrom([]int{1, 2, 3, 8, 16, 40, 100, 300, 700, 1200, 3000}).Draw(t, "grains")
				align := 1 << rapid.SampledFrom([]int{0, 0, 1, 2, 4, 6, 10}).Draw(t, "align")
				want := firstFit(c, n, align)
				if start := c.find(n, align, false); start >= 0 {
					if at := c.take(n, align, start); at >= 0 {
						live = append(live, at)
						require.GreaterOrEqual(t, want, 0)
						require.GreaterOrEqual(t, at, want)
						require.Zero(t, at%align)
					}
				}
			}
			require.NoError(t, c.check())
		}
	})
}

// TestHiddenArea: a search with alignment may leave a hint behind that hides a larger
// area, so that a request that would fit is not served from it.
func TestHiddenArea(t *testing.T) {
	c := newChunk(0, 4096)
	take := func(n, align, want int) {
		t.Helper()
		require.Equal(t, want, c.take(n, align, c.find(n, align, false)))
		require.NoError(t, c.check())
	}
	take(40, 64, 0)
	take(1, 64, 64)
	take(16, 64, 128)
	take(3, 64, 192)
	c.give(0)
	take(700, 1, 195)
	c.give(192)
	take(1, 4, 0)
	take(100, 64, 896)
	require.Equal(t, 51, c.blocks[0].contig)
	require.Equal(t, 1, firstFit(c, 63, 1), "63 grains are free")
	require.Equal(t, -1, c.find(63, 1, false))
}

// TestStatsText: the file's lines for a small machine.
func TestStatsText(t *testing.T) {
	l, err := Embed(1000, 8192, 3000, 4096, []int{2})
	require.NoError(t, err)
	a := NewAllocator(l, 2)
	for _, n := range []int{100, 16, 8} {
		_, err := a.Alloc(n, 8)
		require.NoError(t, err)
	}
	require.NoError(t, a.Free(Offset{0, 9192 + 104}))
	text := a.StatsText()
	require.Contains(t, text, "Percpu Memory Statistics\nAllocation Info:\n----------------------------------------\n  unit_size           :        32768\n  static_size         :         1000\n  reserved_size       :         8192\n  dyn_size            :         3096\n  atom_size           :         4096\n  alloc_size          :        32768\n\nGlobal Stats:\n")
	require.Contains(t, text, "Chunk: <- First Chunk\n  nr_alloc            :            2\n  max_alloc_size      :          100\n  empty_pop_pages     :            0\n  first_bit           :          275\n  free_bytes          :         2988\n  contig_bytes        :         2968\n  sum_frag            :           20\n  max_frag            :           20\n  cur_min_alloc       :            8\n  cur_med_alloc       :            8\n  cur_max_alloc       :          100\n")
	require.Contains(t, text, "Chunk: <- Reserved Chunk\n  nr_alloc            :            0\n")
}

// TestSlots: a request goes to the chunk whose largest area is just large enough, not
// to the first one.
func TestSlots(t *testing.T) {
	l, err := Embed(0, 0, 4096, 4096, []int{1})
	require.NoError(t, err)
	a := NewAllocator(l, 1)
	var big []Offset
	for a.stats.Chunks < 3 {
		o, err := a.Alloc(minUnit, 4)
		require.NoError(t, err)
		big = append(big, o)
	}
	require.NoError(t, a.Check())
	// Chunk 1 becomes wholly free, chunk 2 gets a hole of 1 KiB.
	require.NoError(t, a.Free(big[0]))
	require.NoError(t, a.Free(big[1]))
	for a.chunks[2].whole.contig*minAlloc > 1024 {
		o, err := a.Alloc(min(minUnit, a.chunks[2].whole.contig*minAlloc-1024), 4)
		require.NoError(t, err)
		require.NoError(t, a.Check())
		if o.Chunk != 2 && o.Chunk != 0 {
			break
		}
	}
	o, err := a.Alloc(1000, 4)
	require.NoError(t, err)
	require.NotEqual(t, a.freeSlot(), a.chunks[o.Chunk].slot, "the wholly free chunk stays so")
	require.NoError(t, a.Check())
}

// TestBalance: all wholly free chunks but one are given back.
func TestBalance(t *testing.T) {
	l, err := Embed(0, 0, 4096, 4096, []int{1})
	require.NoError(t, err)
	a := NewAllocator(l, 1)
	var live []Offset
	for range 4 {
		o, err := a.Alloc(minUnit, 4)
		require.NoError(t, err)
		live = append(live, o)
	}
	chunks := a.Stats().Chunks
	for _, o := range live {
		require.NoError(t, a.Free(o))
	}
	gone := a.Balance()
	require.Positive(t, gone)
	require.Equal(t, chunks-gone, a.Stats().Chunks)
	require.Zero(t, a.Balance())
	require.NoError(t, a.Check())
	o, err := a.Alloc(minUnit, 4)
	require.NoError(t, err)
	require.NoError(t, a.Free(o))
	require.Error(t, a.Free(Offset{1 << 20, 0}))
	require.Error(t, a.Free(Offset{-1, 0}))
	require.Equal(t, Stats{Allocs: 5, Frees: 5, MaxCurrent: 4, Chunks: a.stats.Chunks, MaxChunks: chunks, SmallestRequest: minUnit, LargestSize: minUnit}, a.Stats())
}

// TestAtomicNeedsMemory: an atomic request only takes from pages that have memory.
func TestAtomicNeedsMemory(t *testing.T) {
	l, err := Embed(1000, 8192, 3000, 4096, []int{2})
	require.NoError(t, err)
	a := NewAllocator(l, 2)
	n := 0
	for {
		_, err := a.AllocAtomic(256, 4)
		if err != nil {
			require.ErrorContains(t, err, "allocation failed, size=256 align=4 atomic=1, atomic alloc failed, no space left")
			break
		}
		n++
	}
	require.Equal(t, l.Dynamic/256, n, "the first chunk's pages have memory")
	o, err := a.Alloc(256, 4) // a new chunk, whose first pages get memory
	require.NoError(t, err)
	require.Equal(t, Offset{1, 0}, o)
	for n = 0; ; n++ {
		if _, err := a.AllocAtomic(256, 4); err != nil {
			break
		}
	}
	require.Equal(t, 127, n, "its other pages get memory before it is needed")
	r, err := a.AllocReserved(8192, 4)
	require.NoError(t, err)
	require.Equal(t, Offset{-1, 1000}, r)
	_, err = a.AllocReserved(4, 4)
	require.ErrorContains(t, err, "alloc from reserved chunk failed")
	require.Error(t, a.Free(Offset{-1, 0}), "a static variable")
	require.NoError(t, a.Free(r))
	require.NoError(t, a.Check())
}

// TestTracker: what a trace tells of a chunk that it creates is compared; impossible
// events are refused.
func TestTracker(t *testing.T) {
	run := func(text string) (*Tracker, error) {
		tr, err := NewTracker(1 << 20)
		require.NoError(t, err)
		err = ReadTrace("t", strings.NewReader(text), tr.Event)
		if err == nil {
			err = tr.Flush()
		}
		if err == nil {
			require.NoError(t, tr.Check())
		}
		return tr, err
	}
	const create = "a-1 [0] d.... 1.0: percpu_create_chunk: base_addr=1\n"
	const alloc = "a-1 [0] d.... 1.0: percpu_alloc_percpu: call_site=f reserved=0 is_atomic=0 size=%d align=%d base_addr=%d off=%d ptr=1\n"
	const free = "a-1 [0] d.... 1.0: percpu_free_percpu: base_addr=%d off=%d ptr=1\n"
	good := create + fmt.Sprintf(alloc, 100, 8, 1, 0) + fmt.Sprintf(alloc, 64, 64, 1, 128) + fmt.Sprintf(alloc, 8, 8, 1, 104) + fmt.Sprintf(free, 1, 0) + fmt.Sprintf(free, 9, 0)
	tr, err := run(good)
	require.NoError(t, err)
	require.Equal(t, []int{3, 3, 1}, []int{tr.Placed, tr.Same, tr.Unknown})
	require.Empty(t, tr.First)
	tr, err = run(create + fmt.Sprintf(alloc, 100, 8, 1, 800) + fmt.Sprintf(alloc, 4, 4, 1, 0))
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, []int{tr.Placed, tr.Same})
	require.Equal(t, "line 2: 100 bytes, aligned to 8: chunk 0 offset 0, the kernel's is chunk 0 offset 800", tr.First)
	// Another task's free is printed before an area that was taken before it.
	late := create + fmt.Sprintf(alloc, 100, 4, 1, 0) + strings.Replace(fmt.Sprintf(free, 1, 0), "a-1", "b-2", 1) + fmt.Sprintf(alloc, 8, 4, 1, 100)
	tr, err = run(late + fmt.Sprintf(alloc, 8, 4, 1, 0))
	require.NoError(t, err)
	require.Equal(t, []int{3, 3, 1}, []int{tr.Placed, tr.Same, tr.Reordered})
	// Its own free it can not have come before.
	tr, err = run(strings.ReplaceAll(late, "b-2", "a-1"))
	require.NoError(t, err)
	require.Equal(t, []int{2, 1, 0}, []int{tr.Placed, tr.Same, tr.Reordered})
	// Which pages have memory is not told: an atomic request may pass over free ones.
	atomic := func(bytes, off int) string {
		return create + fmt.Sprintf(alloc, 100, 4, 1, 0) + strings.Replace(fmt.Sprintf(alloc, bytes, 4, 1, off), "is_atomic=0", "is_atomic=1", 1)
	}
	for _, tt := range []struct{ bytes, off, same, worker int }{
		{8, 100, 2, 0}, {20000, 100, 2, 0}, {20000, 40960, 2, 1}, {32000, 204800, 2, 1}, {20000, 40964, 1, 0}, {8, 40960, 1, 0}, {8192, 8192, 2, 1},
	} {
		tr, err = run(atomic(tt.bytes, tt.off))
		require.NoError(t, err)
		require.Equal(t, []int{2, tt.same, tt.worker}, []int{tr.Placed, tr.Same, tr.Worker}, "%d at %d", tt.bytes, tt.off)
	}
	// When the worker takes pages back is not told: chunk 1 may still serve.
	second := strings.Replace(create, "=1", "=2", 1)
	half := func(chunk int) string {
		return fmt.Sprintf(alloc, 32768, 8, chunk, 0) + fmt.Sprintf(alloc, 32768, 8, chunk, 32768)
	}
	small, err := NewTracker(64 << 10)
	require.NoError(t, err)
	text := create + half(1) + second + half(2) + fmt.Sprintf(free, 2, 0) + fmt.Sprintf(free, 1, 32768) + fmt.Sprintf(alloc, 4096, 8, 1, 32768)
	require.NoError(t, ReadTrace("t", strings.NewReader(text), small.Event))
	require.Equal(t, []int{5, 5, 1}, []int{small.Placed, small.Same, small.Worker})
	require.NoError(t, small.Check())
	for _, c := range []struct{ text, why string }{
		{create + create, "exists"},
		{create + fmt.Sprintf(alloc, 100, 8, 1, 0) + fmt.Sprintf(alloc, 100, 8, 1, 40), "are not free"},
		{create + fmt.Sprintf(alloc, 100, 8, 1, 1<<20), "are not free"},
		{create + fmt.Sprintf(free, 1, 40), "was not allocated"},
		{create + fmt.Sprintf(alloc, 4, 4, 1, 0) + "a-1 [0] d.... 1.0: percpu_destroy_chunk: base_addr=1\n", "has 1 areas"},
		{create + fmt.Sprintf(alloc, 100, 24, 1, 0), "illegal size"},
		{"x percpu_free_percpu: off=4", "expected base_addr=ADDRESS"},
		{"x percpu_alloc_percpu: base_addr=1 off=x", "expected off=N"},
		{"x percpu_alloc_percpu: base_addr=1 off=4", "expected size=N"},
	} {
		_, err := run(c.text)
		require.ErrorContains(t, err, c.why)
	}
	_, err = NewTracker(5)
	require.Error(t, err)
	var many strings.Builder
	for i := range maxTrackUnits>>20 + 1 {
		fmt.Fprintf(&many, "a percpu_create_chunk: base_addr=%d\n", i)
	}
	_, err = run(many.String())
	require.ErrorContains(t, err, "more than 1024 chunks")
}

func FuzzReadTrace(f *testing.F) {
	f.Add("a-1 [0] d.... 1.0: percpu_create_chunk: base_addr=1\na-1 [0] d.... 1.0: percpu_alloc_percpu: size=8 align=8 base_addr=1 off=0\na percpu_free_percpu: base_addr=1 off=0\na percpu_destroy_chunk: base_addr=1\n")
	f.Add("x percpu_alloc_percpu: size=999999 align=3 base_addr=1 off=9\n")
	f.Fuzz(func(t *testing.T, text string) {
		tr, err := NewTracker(64 << 10)
		require.NoError(t, err)
		if strings.Count(text, "create_chunk") > 100 {
			return
		}
		if ReadTrace("x", strings.NewReader(text), tr.Event) == nil && tr.Flush() == nil {
			require.NoError(t, tr.Check())
		}
	})
}

func BenchmarkAllocFree(b *testing.B) {
	l, err := Embed(180000, 8192, 28<<10, 2<<20, []int{4})
	if err != nil {
		b.Fatal(err)
	}
	a := NewAllocator(l, 4)
	var ring [256]Offset
	for i := range ring {
		ring[i], _ = a.Alloc(8+i%5*16, 8)
	}
	i := 0
	for b.Loop() {
		_ = a.Free(ring[i&255])
		ring[i&255], _ = a.Alloc(8+i%7*16, 8)
		i++
	}
}
