package slab

import (
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newDeviceAllocator(t *testing.T, arch Arch) *Allocator {
	t.Helper()
	a, err := New(NewConfig(Linux6_1, arch, 1), NewLinearPages(1, 4096))
	require.NoError(t, err)
	return a
}

// TestDeviceMemory: a header of 40 bytes on x86_64, 128 on arm64 (kmalloc's
// alignment), so that 100 bytes come from kmalloc-192 and kmalloc-256.
func TestDeviceMemory(t *testing.T) {
	for arch, want := range map[Arch]struct {
		header uint64
		cache  string
	}{X86_64: {40, "kmalloc-192"}, ARM64: {128, "kmalloc-256"}} { // order does not matter
		a := newDeviceAllocator(t, arch)
		d := a.NewDevice()
		require.Equal(t, want.header, d.Header())
		addr, err := d.Kzalloc(0, 100, buddy.GFPKernel)
		require.NoError(t, err)
		assert.Equal(t, want.cache, a.CacheOf(addr-d.Header()).Name())
		assert.Zero(t, addr%8)
	}
}

// TestDeviceRelease: pieces go back when the driver is unbound, the last first,
// and one by one before.
func TestDeviceRelease(t *testing.T) {
	a := newDeviceAllocator(t, X86_64)
	var freed []uint64
	d, other := a.NewDevice(), a.NewDevice()
	var pieces []uint64
	for _, size := range []uint64{10, 20000, 300, 0} {
		p, err := d.Kmalloc(0, size, buddy.GFPKernel)
		require.NoError(t, err)
		pieces = append(pieces, p)
	}
	assert.Equal(t, uint64(ZeroSizePtr), pieces[3])
	require.Equal(t, 3, d.Pieces())

	var wrong *MisuseError
	require.ErrorAs(t, other.Kfree(0, pieces[0]), &wrong)
	_, err := other.Krealloc(0, pieces[0], 5, buddy.GFPKernel)
	require.ErrorAs(t, err, &wrong)
	_, err = d.Kmalloc(0, ^uint64(0)-8, buddy.GFPKernel)
	require.ErrorIs(t, err, ErrOverflow)
	require.NoError(t, d.Kfree(0, 0))

	same, err := d.Krealloc(0, pieces[0], 24, buddy.GFPKernel)
	require.NoError(t, err)
	assert.Equal(t, pieces[0], same, "64 bytes hold 40 and 24")
	moved, err := d.Krealloc(0, pieces[0], 25, buddy.GFPKernel)
	require.NoError(t, err)
	assert.NotEqual(t, pieces[0], moved)
	require.NoError(t, d.Kfree(0, pieces[2]))
	require.ErrorAs(t, d.Kfree(0, pieces[2]), &wrong)
	a.SetHook(func(e Event) {
		if e.Kind == EventKfree {
			freed = append(freed, e.Addr+d.Header())
		}
	})
	require.NoError(t, d.Release(0))
	assert.Equal(t, []uint64{pieces[1], moved}, freed, "the last piece first; a moved one keeps its place")
	assert.Zero(t, d.Pieces())
	require.NoError(t, a.Check())
}

// inodes is a shrinker of a number of objects, one in three busy.
type inodes struct {
	n     uint64
	scans []uint64
	stop  bool
}

func (s *inodes) Count() uint64 { return s.n }
func (s *inodes) Scan(n uint64) (uint64, uint64, bool) {
	s.scans = append(s.scans, n)
	freed := min(n*2/3, s.n)
	s.n -= freed
	return freed, n, s.stop
}

// TestShrink has the kernel's arithmetic: 4/seeks of the freeable objects at
// priority 0, half as many with each step; batches of 128; less is put off.
func TestShrink(t *testing.T) {
	x := &inodes{n: 10_000}
	s := &Shrink{Shrinker: x, Seeks: 2}
	p := s.Run(12)
	assert.Equal(t, Pass{Freeable: 10_000, Delta: 4, Total: 4, Left: 4, NewDeferred: 4}, p, "too little for a batch")
	p = s.Run(6)
	assert.Equal(t, uint64(10_000>>6*2), p.Delta)
	assert.Equal(t, []uint64{128, 128}, x.scans)
	assert.Equal(t, Pass{Freeable: 10_000, Delta: 312, Deferred: 4, Total: 312, Freed: 170, Scanned: 256, Left: 56, NewDeferred: 60}, p)
	assert.Equal(t, uint64(60), s.Deferred)

	x = &inodes{n: 100}
	s = &Shrink{Shrinker: x, Seeks: 2}
	p = s.Run(0)
	assert.Equal(t, []uint64{128}, x.scans, "of twice as many as there are, what is less than a batch is put off")
	assert.Equal(t, uint64(72), p.NewDeferred)
	p = s.Run(0)
	assert.Equal(t, Pass{Freeable: 15, Delta: 30, Deferred: 72, Total: 30, Freed: 15, Scanned: 30, NewDeferred: 30}, p, "all that there are, in less than a batch")

	x = &inodes{n: 1000, stop: true}
	s = &Shrink{Shrinker: x, Batch: 10}
	p = s.Run(5)
	assert.Equal(t, uint64(500), p.Delta, "objects that cost nothing to make")
	assert.Equal(t, uint64(500), p.NewDeferred, "it stopped")
	x.n = 0
	assert.Equal(t, Pass{Deferred: 500, NewDeferred: 500}, s.Run(0))
}
