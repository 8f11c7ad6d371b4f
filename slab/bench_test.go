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
