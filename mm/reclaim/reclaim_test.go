package reclaim

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestScan(t *testing.T) {
	sizes := [NumLists]int64{40960, 4096, 81920, 8192}
	for _, tt := range []struct {
		name string
		b    Balance
		want [NumLists]int64
	}{
		{"no swap: file only", Balance{Swappiness: 60, Priority: 12}, [4]int64{0, 0, 20, 2}},
		{"swappiness 60, no costs", Balance{Swappiness: 60, Priority: 12, CanSwap: true}, [4]int64{3, 0, 14, 1}},
		{"swappiness 200: anonymous only", Balance{Swappiness: 200, Priority: 12, CanSwap: true}, [4]int64{10, 1, 0, 0}},
		{"near OOM: by size", Balance{Swappiness: 60, CanSwap: true}, [4]int64{40960, 4096, 81920, 8192}},
		{"tiny file lists", Balance{Swappiness: 60, Priority: 12, CanSwap: true, FileIsTiny: true}, [4]int64{10, 1, 0, 0}},
		{"plenty of cache", Balance{Swappiness: 60, Priority: 12, CanSwap: true, CacheTrim: true}, [4]int64{0, 0, 20, 2}},
		{"cgroup without swappiness", Balance{Priority: 0, CanSwap: true, Cgroup: true}, [4]int64{0, 0, 81920, 8192}},
		{"half protected", Balance{Priority: 0, Swappiness: 60, CanSwap: true, Size: 1000, Protected: 500}, [4]int64{20501, 2051, 41001, 4101}},
		{"wholly protected", Balance{Priority: 0, Swappiness: 60, CanSwap: true, Size: 1000, Protected: 5000}, [4]int64{32, 32, 32, 32}},
	} {
		got := tt.b.Scan(sizes)
		assert.Equal(t, tt.want, got, tt.name)
	}
}

// A costly list is scanned less, but never less than a third before swappiness.
func TestCostsMoveTheBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Costs{rapid.Int64Range(0, 1e6).Draw(t, "anon"), rapid.Int64Range(0, 1e6).Draw(t, "file")}
		b := Balance{Swappiness: 100, Priority: 12, CanSwap: true, Costs: c}
		anon, file, _ := b.Shares()
		require.Equal(t, c.Anon > c.File, anon < file && c.Anon > c.File)
		require.GreaterOrEqual(t, 2*anon+2, file)
		require.GreaterOrEqual(t, 2*file+2, anon)
	})
}

func TestNoteDecays(t *testing.T) {
	var c Costs
	c.Note(true, 20, 100)
	assert.Equal(t, Costs{0, 20}, c)
	c.Note(false, 10, 100)
	assert.Equal(t, Costs{5, 10}, c)
}

func TestInactiveIsLow(t *testing.T) {
	const gib = 1 << 18
	for _, tt := range []struct {
		inactive, active int64
		want             bool
	}{{100, 100, false}, {99, 100, true}, {gib / 4, gib * 3 / 4, false}, {gib / 5, gib * 4 / 5, true}, {gib, 9 * gib, false}, {gib * 9 / 10, gib * 91 / 10, true}} {
		assert.Equal(t, tt.want, InactiveIsLow(tt.inactive, tt.active, 4096), "%+v", tt)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<40).Draw(t, "n")
		require.Equal(t, int64(math.Sqrt(float64(n))), root(n))
	})
}

func TestRefault(t *testing.T) {
	sizes := [NumLists]int64{10, 20, 40, 80}
	for _, tt := range []struct {
		file, swap bool
		room       uint64
	}{{true, false, 80}, {true, true, 110}, {false, true, 140}, {false, false, 120}} {
		var c Clock
		s := c.Evict(1, true)
		c.Advance(tt.room - 1)
		edge := c
		r := edge.Refault(s, tt.file, 1, sizes, tt.swap)
		assert.Equal(t, Refault{tt.room, true, true}, r, "%+v", tt)
		assert.Equal(t, c.Age()+1, edge.Age(), "an activation ages the others")
		c.Advance(1)
		assert.Equal(t, Refault{Distance: tt.room + 1}, c.Refault(s, tt.file, 1, sizes, tt.swap), "%+v", tt)
	}
}

func TestSwapMisuse(t *testing.T) {
	_, err := NewSwapMap(1)
	assert.Error(t, err)
	m, err := NewSwapMap(3)
	require.NoError(t, err)
	for range 2 {
		_, err = m.Alloc()
		require.NoError(t, err)
	}
	_, err = m.Alloc()
	require.NoError(t, m.Put(2))
	for want, err := range map[string]error{"ENOSPC": err, "EINVAL": m.Put(3), "ENOENT": m.Dup(2)} {
		var e *SwapError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, want, e.Errno)
	}
	assert.Error(t, m.Dup(0))
	require.NoError(t, m.Check())
}

// The map against a Go map.
func TestSwapMapAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := NewSwapMap(9)
		require.NoError(t, err)
		naive := map[uint32]uint32{}
		slot := rapid.Uint32Range(0, 10)
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				s, err := m.Alloc()
				require.Equal(t, len(naive) == 8, err != nil)
				if err == nil {
					require.NotContains(t, naive, s)
					naive[s] = 1
				}
			},
			"dup": func(t *rapid.T) {
				s := slot.Draw(t, "slot")
				require.Equal(t, naive[s] > 0, m.Dup(s) == nil)
				if naive[s] > 0 {
					naive[s]++
				}
			},
			"put": func(t *rapid.T) {
				s := slot.Draw(t, "slot")
				require.Equal(t, naive[s] > 0, m.Put(s) == nil)
				if naive[s]--; naive[s] == 0 || naive[s] == math.MaxUint32 {
					delete(naive, s)
				}
			},
			"": func(t *rapid.T) {
				require.NoError(t, m.Check())
				require.Equal(t, 8-len(naive), m.Free())
			},
		})
	})
}

func BenchmarkSwapMap(b *testing.B) {
	m, _ := NewSwapMap(1 << 16)
	for b.Loop() {
		s, _ := m.Alloc()
		_ = m.Put(s)
	}
}

func ExampleBalance_Scan() {
	b := Balance{Swappiness: 60, Priority: DefPriority, CanSwap: true}
	fmt.Println(b.Scan([NumLists]int64{40960, 4096, 81920, 8192}))
	// Output: [3 0 14 1]
}
