package slab

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func contents(c *Config) { c.Contents = true }

func read(t require.TestingT, a *Allocator, addr uint64, n int) []byte {
	b := make([]byte, n)
	require.NoError(t, a.Read(addr, b))
	return b
}

// TestKrealloc: an object stays while the size fits into it, moves with its
// bytes when it does not, and is not lost when there is no memory.
func TestKrealloc(t *testing.T) {
	a := newTest(t, Linux6_1, 1, contents)
	p, err := a.Kmemdup(0, []byte("0123456789"), buddy.GFPKernel)
	require.NoError(t, err)
	for _, size := range []uint64{1, 10, 16} {
		q, err := a.Krealloc(0, p, size, buddy.GFPKernel)
		require.NoError(t, err)
		assert.Equal(t, p, q, size)
	}
	q, err := a.Krealloc(0, p, 17, buddy.GFPKernel)
	require.NoError(t, err)
	assert.NotEqual(t, p, q)
	assert.False(t, a.InUse(p))
	assert.Equal(t, "0123456789", string(read(t, a, q, 10)))
	big, err := a.Krealloc(0, q, 100_000, buddy.GFPKernel)
	require.NoError(t, err)
	assert.Equal(t, uint64(131072), a.Ksize(big))
	_, err = a.Krealloc(0, big, 5<<20, buddy.GFPKernel)
	require.ErrorIs(t, err, &MisuseError{Kind: TooBig})
	assert.Equal(t, uint64(131072), a.Ksize(big), "the old memory is still there")
	_, err = a.KreallocArray(0, big, 1<<40, 1<<30, buddy.GFPKernel)
	require.ErrorIs(t, err, ErrOverflow)
	small, err := a.KreallocArray(0, big, 10, 10, buddy.GFPKernel)
	require.NoError(t, err)
	assert.Equal(t, big, small)
	zero, err := a.Krealloc(0, big, 0, buddy.GFPKernel)
	require.NoError(t, err)
	assert.Equal(t, uint64(ZeroSizePtr), zero)
	assert.Zero(t, a.LargePages())
	for _, from := range []uint64{0, ZeroSizePtr} {
		x, err := a.Krealloc(0, from, 8, buddy.GFPKernel)
		require.NoError(t, err)
		assert.Equal(t, uint64(8), a.Ksize(x))
	}
	_, err = a.Krealloc(0, 0xdead000000000000, 8, buddy.GFPKernel)
	require.ErrorIs(t, err, &MisuseError{Kind: NotSlab})
	require.NoError(t, a.Check())
}

// lowPages gives page frames from 0 on, which have addresses on all machines.
type lowPages struct{ *LinearPages }

func (l lowPages) AllocPages(gfp buddy.GFP, order buddy.Order, node buddy.NodeID, cpu buddy.CPU) (buddy.PFN, error) {
	pfn, err := l.LinearPages.AllocPages(gfp, order, node, cpu)
	return pfn - 1<<linearNodeShift, err
}

func (l lowPages) FreePages(pfn buddy.PFN, order buddy.Order, cpu buddy.CPU) error {
	return l.LinearPages.FreePages(pfn+1<<linearNodeShift, order, cpu)
}

// TestNoAddress: on 32 bits high page frames have no address.
func TestNoAddress(t *testing.T) {
	a, err := New(NewConfig(Linux6_1, ARM, 1), NewLinearPages(1, 1<<12))
	require.NoError(t, err)
	for _, size := range []uint64{100, 100_000} {
		_, err = a.Kmalloc(0, size, buddy.GFPKernel)
		require.ErrorContains(t, err, "no address of 32 bits")
	}
	require.NoError(t, a.Check())
}

// TestArrays: the product of an array's size is checked in the machine's word.
func TestArrays(t *testing.T) {
	for _, c := range []struct {
		arch     Arch
		n, size  uint64
		overflow bool
	}{
		{X86_64, 3, 100, false}, {X86_64, 1 << 32, 1 << 31, false}, {X86_64, 1 << 32, 1 << 32, true}, {X86_64, math.MaxUint64, 2, true},
		{ARM, 3, 100, false}, {ARM, 1 << 16, 1 << 15, false}, {ARM, 1 << 16, 1 << 16, true}, {ARM, math.MaxUint32, 1, false}, {ARM, 1 << 33, 1, true},
	} {
		conf := NewConfig(Linux6_1, c.arch, 1)
		conf.Contents = true
		a, err := New(conf, lowPages{NewLinearPages(1, 1<<12)})
		require.NoError(t, err)
		for name, f := range map[string]func(buddy.CPU, uint64, uint64, buddy.GFP) (uint64, error){"kmalloc_array": a.KmallocArray, "kcalloc": a.Kcalloc} {
			addr, err := f(0, c.n, c.size, buddy.GFPKernel)
			assert.Equal(t, c.overflow, errors.Is(err, ErrOverflow), "%s %+v", name, c)
			if c.n == 3 {
				require.NoError(t, err)
				assert.GreaterOrEqual(t, a.Ksize(addr), uint64(300))
			}
		}
	}
}

// TestZeroed: kzalloc and kcalloc clear what was there, kmalloc does not;
// kfree_sensitive leaves nothing behind.
func TestZeroed(t *testing.T) {
	a := newTest(t, Linux6_1, 1, contents)
	secret := bytes.Repeat([]byte{0xab}, 64)
	dirty := func(free func(buddy.CPU, uint64) error) uint64 {
		p, err := a.Kmemdup(0, secret, buddy.GFPKernel)
		require.NoError(t, err)
		require.NoError(t, free(0, p))
		return p
	}
	// The free pointer lies in the middle of a free object: bytes 32 to 39.
	p := dirty(a.Kfree)
	q, err := a.Kmalloc(0, 64, buddy.GFPKernel)
	require.NoError(t, err)
	require.Equal(t, p, q)
	assert.Equal(t, secret[:32], read(t, a, q, 64)[:32])
	require.NoError(t, a.Kfree(0, q))
	for _, zeroed := range []func() (uint64, error){
		func() (uint64, error) { return a.Kzalloc(0, 64, buddy.GFPKernel) },
		func() (uint64, error) { return a.Kcalloc(0, 8, 8, buddy.GFPKernel) },
	} {
		p := dirty(a.Kfree)
		q, err := zeroed()
		require.NoError(t, err)
		require.Equal(t, p, q)
		assert.Equal(t, make([]byte, 64), read(t, a, q, 64))
		require.NoError(t, a.Kfree(0, q))
	}
	p = dirty(a.KfreeSensitive)
	q, err = a.Kmalloc(0, 64, buddy.GFPKernel)
	require.NoError(t, err)
	require.Equal(t, p, q)
	got := read(t, a, q, 64)
	assert.Equal(t, make([]byte, 32), got[:32])
	assert.Equal(t, make([]byte, 24), got[40:])
	require.NoError(t, a.Kfree(0, q))
	s, err := a.Kstrdup(0, "kernsim", buddy.GFPKernel)
	require.NoError(t, err)
	assert.Equal(t, "kernsim\x00", string(read(t, a, s, 8)))
	assert.Equal(t, uint64(8), a.Ksize(s), "with its zero")

	// A misuse changes no byte.
	inside := s + 1
	require.ErrorIs(t, a.KfreeSensitive(0, inside), &MisuseError{Kind: InvalidFree})
	assert.Equal(t, "kernsim\x00", string(read(t, a, s, 8)))
	require.NoError(t, a.KfreeSensitive(0, 0))
	require.NoError(t, a.KfreeSensitive(0, ZeroSizePtr))
	large, err := a.Kmalloc(0, 10_000, buddy.GFPKernel)
	require.NoError(t, err)
	require.NoError(t, a.KfreeSensitive(0, large))
	require.ErrorIs(t, a.KfreeSensitive(0, large), &MisuseError{Kind: NotSlab})
	require.NoError(t, a.Check())
}

// TestUsercopy: only the cache's usercopy region may be copied.
func TestUsercopy(t *testing.T) {
	a := newTest(t, Linux6_1, 1, nil)
	c, err := a.Create(Params{Name: "task", Size: 200, UserOffset: 40, UserSize: 16})
	require.NoError(t, err)
	assert.Empty(t, c.Aliases())
	p, err := c.Alloc(0, buddy.GFPKernel)
	require.NoError(t, err)
	for _, x := range []struct {
		off, n uint64
		ok     bool
	}{{40, 16, true}, {40, 0, true}, {55, 1, true}, {56, 0, true}, {39, 1, false}, {40, 17, false}, {55, 2, false}, {57, 0, false}, {0, 200, false}, {40, math.MaxUint64, false}} {
		err := a.CheckUsercopy(p+x.off, x.n)
		if x.ok {
			require.NoError(t, err, "%+v", x)
		} else {
			require.ErrorIs(t, err, &MisuseError{Kind: BadCopy}, "%+v", x)
		}
	}
	// All of a kmalloc object, and what is no slab, may be copied.
	k, err := a.Kmalloc(0, 100, buddy.GFPKernel)
	require.NoError(t, err)
	require.NoError(t, a.CheckUsercopy(k, 128))
	require.ErrorIs(t, a.CheckUsercopy(k, 129), &MisuseError{Kind: BadCopy})
	require.NoError(t, a.CheckUsercopy(0x1000, 1<<20))
	// Nothing of the left red zone.
	d := newTest(t, Linux6_1, 1, func(c *Config) { c.Debug = ParseDebugOption("Z", true, 0) })
	k, err = d.Kmalloc(0, 64, buddy.GFPKernel)
	require.NoError(t, err)
	require.NoError(t, d.CheckUsercopy(k, 64))
	require.ErrorIs(t, d.CheckUsercopy(k-1, 1), &MisuseError{Kind: BadCopy})
}

// TestMerging: which caches share slabs.
func TestMerging(t *testing.T) {
	first := Params{Name: "first", Size: 200, Align: 8}
	like := func(change func(*Params)) Params {
		p := first
		p.Name = "second"
		if change != nil {
			change(&p)
		}
		return p
	}
	for _, c := range []struct {
		name   string
		second Params
		boot   func(*Config)
		merged bool
	}{
		{"alike", like(nil), nil, true},
		{"a few bytes less", like(func(p *Params) { p.Size = 193 }), nil, true},
		{"a word less", like(func(p *Params) { p.Size = 192 }), nil, false},
		{"larger", like(func(p *Params) { p.Size = 201 }), nil, false},
		{"a weaker alignment", like(func(p *Params) { p.Align = 0 }), nil, true},
		{"an alignment that does not fit", like(func(p *Params) { p.Align = 64 }), nil, false},
		{"a constructor", like(func(p *Params) { p.Ctor = func(uint64, []byte) {} }), nil, false},
		{"a usercopy region", like(func(p *Params) { p.UserSize = 8 }), nil, false},
		{"RCU", like(func(p *Params) { p.Flags = TypesafeByRCU }), nil, false},
		{"accounted", like(func(p *Params) { p.Flags = Account }), nil, false},
		{"reclaimable", like(func(p *Params) { p.Flags = ReclaimAccount }), nil, false},
		{"panic on failure", like(func(p *Params) { p.Flags = Panic }), nil, true},
		{"slab_nomerge", like(nil), func(c *Config) { c.NoMerge = true }, false},
		{"debugging of the second", like(nil), func(c *Config) { c.Debug = ParseDebugOption("P,second", true, 0) }, false},
		{"debugging of another", like(nil), func(c *Config) { c.Debug = ParseDebugOption("P,other", true, 0) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newTest(t, Linux6_1, 1, c.boot)
			one, err := a.Create(first)
			require.NoError(t, err)
			two, err := a.Create(c.second)
			require.NoError(t, err)
			require.Equal(t, c.merged, one == two)
			if !c.merged {
				return
			}
			assert.Equal(t, []string{"second"}, one.Aliases())
			assert.Equal(t, 2, one.RefCount())
			require.NoError(t, two.Destroy(0))
			p, err := one.Alloc(0, buddy.GFPKernel)
			require.NoError(t, err, "the first user still has it")
			require.NoError(t, one.Free(0, p))
			require.NoError(t, one.Destroy(0))
			_, err = one.Alloc(0, buddy.GFPKernel)
			require.ErrorIs(t, err, &MisuseError{Kind: Destroyed})
		})
	}
}

// TestDestroyBusy: a cache with objects stays, and cannot be destroyed later.
func TestDestroyBusy(t *testing.T) {
	a := newTest(t, Linux6_1, 1, nil)
	c, err := a.Create(Params{Name: "c", Size: 200})
	require.NoError(t, err)
	p, err := c.Alloc(0, buddy.GFPKernel)
	require.NoError(t, err)
	require.ErrorIs(t, c.Destroy(0), ErrBusy)
	require.NoError(t, c.Free(0, p))
	require.ErrorIs(t, c.Destroy(0), ErrBusy)
	assert.Equal(t, c, a.Cache("c"))
	require.ErrorIs(t, a.Cache("kmalloc-64").Destroy(0), ErrBusy)
	require.NoError(t, a.Check())
}

// book charges to one cgroup, up to a limit.
type book struct{ charged, limit uint64 }

func (b *book) Current(buddy.CPU) uint32 { return 7 }

func (b *book) Charge(_ uint32, bytes uint64, _ buddy.GFP) error {
	if b.charged+bytes > b.limit {
		return errors.New("memory.max")
	}
	b.charged += bytes
	return nil
}

func (b *book) Uncharge(_ uint32, bytes uint64) { b.charged -= bytes }

// TestMemcg: accounted objects cost their cgroup what they take and a pointer;
// what is over the limit is refused; all is given back.
func TestMemcg(t *testing.T) {
	a := newTest(t, Linux6_1, 1, nil)
	b := &book{limit: 1000}
	a.SetMemcg(b)
	plain, err := a.Kmalloc(0, 100, buddy.GFPKernel)
	require.NoError(t, err)
	assert.Zero(t, b.charged)
	var objs []uint64
	for {
		p, err := a.Kmalloc(0, 100, buddy.GFPKernel|buddy.GFPAccount)
		if err != nil {
			require.ErrorIs(t, err, ErrNoMemory)
			break
		}
		objs = append(objs, p)
		assert.Equal(t, "kmalloc-cg-128", a.CacheOf(p).Name())
	}
	assert.Len(t, objs, 1000/136)
	assert.Equal(t, uint64(7*136), b.charged)
	require.NoError(t, a.Check())
	require.NoError(t, a.Kfree(0, plain))
	require.NoError(t, a.KfreeBulk(0, objs[:3]))
	assert.Equal(t, uint64(4*136), b.charged)
	for _, p := range objs[3:] {
		require.NoError(t, a.Kfree(0, p))
	}
	assert.Zero(t, b.charged)
	require.NoError(t, a.Check())
	off := newTest(t, Linux6_1, 1, func(c *Config) { c.MemcgDisabled = true })
	off.SetMemcg(b)
	p, err := off.Kmalloc(0, 100, buddy.GFPKernel|buddy.GFPAccount)
	require.NoError(t, err)
	assert.Equal(t, "kmalloc-128", off.CacheOf(p).Name())
	assert.Zero(t, b.charged)
}

// TestKfreeBulk: all or none; objects of several caches and pages.
func TestKfreeBulk(t *testing.T) {
	a := newTest(t, Linux6_1, 1, nil)
	var objs []uint64
	for _, size := range []uint64{8, 100, 100, 5000, 20_000, 64} {
		p, err := a.Kmalloc(0, size, buddy.GFPKernel)
		require.NoError(t, err)
		objs = append(objs, p)
	}
	for _, bad := range [][]uint64{append(slices.Clone(objs), objs[0]), append(slices.Clone(objs), objs[1]+1), append(slices.Clone(objs), 0x1234)} {
		require.Error(t, a.KfreeBulk(0, bad))
		for _, p := range objs {
			assert.True(t, a.InUse(p) || a.Ksize(p) > 8192)
		}
		require.NoError(t, a.Check())
	}
	require.NoError(t, a.KfreeBulk(0, objs))
	for _, c := range a.Caches() {
		assert.Zero(t, c.InUse(), c.Name())
	}
	assert.Zero(t, a.LargePages())
	require.NoError(t, a.Check())
}

// vmallocArea is the vmalloc area of a test.
type vmallocArea struct{ live map[uint64]uint64 }

const vmallocStart = 0xffffc90000000000

func (v *vmallocArea) Vmalloc(_ buddy.CPU, size uint64, _ buddy.GFP, _ buddy.NodeID) (uint64, error) {
	addr := vmallocStart + uint64(len(v.live))<<30
	v.live[addr] = size
	return addr, nil
}

func (v *vmallocArea) Vfree(_ buddy.CPU, addr uint64) error { delete(v.live, addr); return nil }

func (v *vmallocArea) IsVmalloc(addr uint64) bool { return addr >= vmallocStart }

// TestKvmalloc: contiguous pages while there are some; the vmalloc area only for
// more than a page, and only if the request may wait.
func TestKvmalloc(t *testing.T) {
	pages := NewLinearPages(1, 40)
	a, err := New(NewConfig(Linux6_1, X86_64, 1), pages)
	require.NoError(t, err)
	v := &vmallocArea{live: map[uint64]uint64{}}
	p, err := a.Kvmalloc(0, 100_000, buddy.GFPKernel, buddy.NoNode, v)
	require.NoError(t, err)
	assert.Empty(t, v.live)
	q, err := a.Kvmalloc(0, 100_000, buddy.GFPKernel, buddy.NoNode, v)
	require.NoError(t, err)
	assert.Equal(t, map[uint64]uint64{q: 100_000}, v.live)
	for _, c := range []struct {
		size uint64
		gfp  buddy.GFP
		v    Vmalloc
	}{{100_000, buddy.GFPNowait, v}, {100_000, buddy.GFPKernel, nil}, {1 << 31, buddy.GFPKernel, v}} {
		_, err := a.Kvmalloc(0, c.size, c.gfp, buddy.NoNode, c.v)
		require.Error(t, err, "%+v", c)
	}
	assert.Len(t, v.live, 1)
	require.NoError(t, a.Kvfree(0, q, v))
	assert.Empty(t, v.live)
	require.NoError(t, a.Kvfree(0, p, v))
	assert.Zero(t, a.LargePages())
}

// TestRCU: pages of a TypesafeByRCU cache wait for the end of a grace period.
func TestRCU(t *testing.T) {
	pages := NewLinearPages(1, 1<<12)
	a, err := New(NewConfig(Linux6_1, X86_64, 1), pages)
	require.NoError(t, err)
	a.DeferRCU(true)
	c, err := a.Create(Params{Name: "inode", Size: 600, Flags: TypesafeByRCU})
	require.NoError(t, err)
	before := pages.InUse
	p, err := c.Alloc(0, buddy.GFPKernel)
	require.NoError(t, err)
	held := pages.InUse - before
	require.NoError(t, c.Free(0, p))
	_, err = c.Shrink(0)
	require.NoError(t, err)
	assert.Equal(t, before+held, pages.InUse, "a reader may still look at the object")
	n, err := a.EndGracePeriod(0)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, before, pages.InUse)
	require.NoError(t, a.Check())
}

// TestSheaves: with sheaves objects come back last in, first out, and a flush
// gives all of them to their slabs; random use keeps the invariants.
func TestSheaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, err := New(NewConfig(Linux6_18, X86_64, 2), NewLinearPages(1, 1<<14))
		require.NoError(t, err)
		c, err := a.Create(Params{Name: "vma", Size: 200, SheafCapacity: rapid.Uint32Range(1, 8).Draw(t, "capacity")})
		require.NoError(t, err)
		var live []uint64
		seen := map[uint64]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				p, err := c.Alloc(buddy.CPU(rapid.IntRange(0, 1).Draw(t, "cpu")), buddy.GFPKernel)
				require.NoError(t, err)
				require.False(t, seen[p], "given out twice")
				seen[p] = true
				live = append(live, p)
			},
			"free and again": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip()
				}
				i, cpu := rapid.IntRange(0, len(live)-1).Draw(t, "which"), buddy.CPU(rapid.IntRange(0, 1).Draw(t, "cpu"))
				require.NoError(t, c.Free(cpu, live[i]))
				require.ErrorIs(t, c.Free(cpu, live[i]), &MisuseError{Kind: DoubleFree})
				p, err := c.Alloc(cpu, buddy.GFPKernel)
				require.NoError(t, err)
				require.Equal(t, live[i], p, "the last one freed")
			},
			"free": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				require.NoError(t, c.Free(buddy.CPU(rapid.IntRange(0, 1).Draw(t, "cpu")), live[i]))
				delete(seen, live[i])
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
			},
			"": func(t *rapid.T) { require.NoError(t, a.Check()) },
		})
		require.NoError(t, c.Flush())
		require.NoError(t, a.Check())
		for _, p := range live {
			require.NoError(t, c.Free(0, p))
		}
		require.NoError(t, c.Destroy(0))
	})
}

// clone is a page source that goes on as another one does.
func clone(l *LinearPages) *LinearPages {
	c := *l
	c.nodes = slices.Clone(l.nodes)
	for i := range c.nodes {
		n := &c.nodes[i]
		n.out = slices.Clone(n.out)
		for o := range n.free {
			n.free[o] = slices.Clone(n.free[o])
		}
	}
	return &c
}

// TestRestore: a state that was taken and restored goes on the same way.
func TestRestore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		conf := NewConfig(Linux6_1, X86_64, 2)
		conf.FreelistRandom = false // what is drawn later is not in a state
		pages := NewLinearPages(1, 1<<14)
		a, err := New(conf, pages)
		require.NoError(t, err)
		sizes := []uint64{8, 192, 1024, 4096}
		var live []uint64
		step := func(a *Allocator, k int, live []uint64) ([]uint64, uint64) {
			cpu := buddy.CPU(k % 2)
			if k%3 == 0 && len(live) > 0 {
				i := k % len(live)
				require.NoError(t, a.Kfree(cpu, live[i]))
				return append(live[:i:i], live[i+1:]...), 0
			}
			p, err := a.Kmalloc(cpu, sizes[k%len(sizes)], buddy.GFPKernel)
			require.NoError(t, err)
			return append(live, p), p
		}
		ops := rapid.SliceOfN(rapid.IntRange(0, 1<<16), 1, 300).Draw(t, "ops")
		for _, k := range ops {
			live, _ = step(a, k, live)
		}
		again, err := Restore(conf, clone(pages), a.State())
		require.NoError(t, err)
		require.NoError(t, again.Check())
		require.Equal(t, a.State(), again.State())
		other := append([]uint64(nil), live...)
		for _, k := range rapid.SliceOfN(rapid.IntRange(0, 1<<16), 1, 100).Draw(t, "then") {
			var p, q uint64
			live, p = step(a, k, live)
			other, q = step(again, k, other)
			require.Equal(t, p, q)
		}
		require.Equal(t, a.State(), again.State())
	})
}
