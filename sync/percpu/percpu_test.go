package percpu

import (
	"fmt"
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
