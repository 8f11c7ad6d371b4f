package slab

import (
	"testing"

	"github.com/kernsim/kernsim/buddy"
)

func newTest(t testing.TB, p Profile, cpus int, change func(*Config)) *Allocator {
	t.Helper()
	c := NewConfig(p, X86_64, cpus)
	if change != nil {
		change(&c)
	}
	a, err := New(c, NewLinearPages(c.Nodes, 1<<18))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func BenchmarkKmallocKfree(b *testing.B) {
	a := newTest(b, Linux6_1, 4, nil)
	b.ReportAllocs()
	for b.Loop() {
		p, _ := a.Kmalloc(1, 100, buddy.GFPKernel)
		_ = a.Kfree(1, p)
	}
}

// BenchmarkNewSlab is a slab of 32 objects with everything: its pages, the
// shuffled list, and the 32 requests that use it up.
func BenchmarkNewSlab(b *testing.B) {
	a := newTest(b, Linux6_1, 1, func(c *Config) { c.FreelistRandom = true })
	c, err := a.Create(Params{Name: "bench", Size: 128, Flags: NoMerge})
	if err != nil {
		b.Fatal(err)
	}
	const slabs = 1000
	objects := make([]uint64, slabs*32)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for i := range 32 {
			objects[n*32+i], _ = c.Alloc(0, buddy.GFPKernel)
		}
		if n++; n == slabs {
			b.StopTimer()
			for _, o := range objects {
				_ = c.Free(0, o)
			}
			_, _ = c.Shrink(0)
			n = 0
			b.StartTimer()
		}
	}
}
