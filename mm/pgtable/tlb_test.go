package pgtable

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// With a flush after every change, a TLB of any shape answers as the tables do.
func TestTLBAgainstTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(allFormats(t)).Draw(t, "format")
		tab, err := New(f, newCounter())
		require.NoError(t, err)
		plain, err := New(f, newCounter())
		require.NoError(t, err)
		tlb, err := NewTLB(1<<rapid.IntRange(0, 3).Draw(t, "sets"), rapid.IntRange(1, 4).Draw(t, "ways"))
		require.NoError(t, err)
		sizes := f.Sizes()
		base := uint64(0)
		if f.kernel {
			base = -(uint64(1) << f.vaBits)
		}
		for i := range 40 {
			size := rapid.SampledFrom(sizes[:min(2, len(sizes))]).Draw(t, "size")
			va := base + rapid.Uint64Range(0, 20).Draw(t, "page")*f.PageSize()
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				fl := Flags(rapid.Uint8().Draw(t, "flags")) & (allFlags &^ Contig)
				require.Equal(t, plain.Map(va&^(size-1), 0, size, fl) == nil, tab.Map(va&^(size-1), 0, size, fl) == nil)
			case 1:
				_, err := tab.Unmap(va, size)
				_, err2 := plain.Unmap(va, size)
				require.Equal(t, err == nil, err2 == nil)
				for off := uint64(0); off < size; off += f.PageSize() {
					tlb.FlushPage(f, 1, va+off)
				}
			default:
				use := Use(rapid.Uint8Range(0, 7).Draw(t, "use"))
				got, fault := tlb.Access(tab, 1, va, use)
				want, wantFault := plain.Access(va, use)
				require.Equal(t, want, got)
				require.Equal(t, wantFault, fault)
			}
			require.LessOrEqual(t, tlb.Hits+tlb.Misses, uint64(i+1))
		}
		// Accessed and dirty bits came into the tables all the same.
		for page := range uint64(21) {
			va := base + page*f.PageSize()
			want, ok := plain.Translate(va)
			got, found := tab.Translate(va)
			require.Equal(t, ok, found)
			require.Equal(t, want, got)
		}
	})
}

func TestTLBCounts(t *testing.T) {
	tab, err := New(X86_64(4), newCounter())
	require.NoError(t, err)
	for i := range uint64(8) {
		require.NoError(t, tab.Map(i<<12, i<<12, 4096, User|Write))
	}
	require.NoError(t, tab.Map(0xffff888000000000, 0, 2<<20, Write|Global))
	tlb, err := NewTLB(1, 4)
	require.NoError(t, err)
	use := func(asid ASID, va uint64, use Use) {
		_, fault := tlb.Access(tab, asid, va, use)
		require.Nil(t, fault)
	}
	for range 2 {
		for i := range uint64(4) {
			use(1, i<<12, AccessUser)
		}
	}
	assert.Equal(t, [3]uint64{4, 4, 0}, [3]uint64{tlb.Hits, tlb.Misses, tlb.Evictions}, "four pages fit")
	assert.Equal(t, uint64(16<<10), tlb.Reach())
	use(1, 4<<12, AccessUser) // page 0 was used longest ago
	use(1, 1<<12, AccessUser)
	use(1, 0, AccessUser)
	assert.Equal(t, [3]uint64{5, 6, 2}, [3]uint64{tlb.Hits, tlb.Misses, tlb.Evictions})
	use(1, 1<<12, AccessUser|AccessWrite) // clean: the tables have to become dirty
	use(1, 1<<12, AccessUser|AccessWrite)
	assert.Equal(t, [2]uint64{6, 7}, [2]uint64{tlb.Hits, tlb.Misses})
	use(2, 1<<12, AccessUser) // another address space
	assert.Equal(t, uint64(8), tlb.Misses)
	tlb.FlushAll()
	use(1, 0xffff888000001000, AccessRead)
	use(1, 0, AccessUser)
	tlb.FlushASID(1)
	use(2, 0xffff888000100000, AccessRead)
	assert.Equal(t, uint64(7), tlb.Hits, "the global block is kept, and serves all address spaces")
	tlb.FlushPage(tab.Format(), 2, 0xffff888000000000)
	assert.Zero(t, tlb.Reach())
	for _, bad := range [][2]int{{0, 1}, {3, 1}, {1, 0}, {1 << 16, 2}, {-4, 4}} {
		_, err := NewTLB(bad[0], bad[1])
		assert.Error(t, err)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = tlb.Access(tab, 1, 0, AccessUser) }))
}

// Without a flush the old translation stays in use: the bug that
// flush_tlb_range is there to prevent.
func ExampleTLB() {
	t, _ := New(X86_64(4), newCounter())
	tlb, _ := NewTLB(16, 4)
	_ = t.Map(0x1000, 0x5000, 4096, User|Write)
	_, _ = tlb.Access(t, 1, 0x1000, AccessUser)
	_, _ = t.Unmap(0x1000, 4096)
	phys, fault := tlb.Access(t, 1, 0x1234, AccessUser)
	fmt.Printf("%#x %v\n", phys, fault == nil)
	tlb.FlushPage(t.Format(), 1, 0x1000)
	_, fault = tlb.Access(t, 1, 0x1234, AccessUser)
	fmt.Println(fault)
	// Output:
	// 0x5234 true
	// pgtable: user read of 0x1234: not present at PGD, code 0x4
}

func BenchmarkTLB(b *testing.B) {
	tab, err := New(X86_64(4), newCounter())
	require.NoError(b, err)
	for i := range uint64(64) {
		require.NoError(b, tab.Map(i<<12, i<<12, 4096, User|Write))
	}
	tlb, err := NewTLB(16, 4)
	require.NoError(b, err)
	b.ReportAllocs()
	for i := range b.N {
		if _, fault := tlb.Access(tab, 1, uint64(i)&63<<12, AccessUser); fault != nil {
			b.Fatal(fault)
		}
	}
}
