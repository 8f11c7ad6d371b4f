package advise

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kernsim/kernsim/slab"
)

func advisor(t require.TestingT) *Advisor {
	a, err := New(slab.NewConfig(slab.Linux6_1, slab.X86_64, 4))
	require.NoError(t, err)
	return a
}

func TestAdvise(t *testing.T) {
	a := advisor(t)
	for _, tt := range []struct {
		name             string
		need             Need
		api, gfp, cache  string
		order            int
		allocated, waste uint64
	}{
		{"small", Need{Size: 100}, "kmalloc", "GFP_KERNEL", "kmalloc-128", 0, 128, 28},
		{"96 has a cache", Need{Size: 96}, "kmalloc", "GFP_KERNEL", "kmalloc-96", 0, 97, 1},
		{"accounted", Need{Size: 64, Account: true, Zero: true}, "kmalloc", "GFP_KERNEL_ACCOUNT|__GFP_ZERO", "kmalloc-cg-64", 0, 64, 0},
		{"interrupt", Need{Size: 2000, Atomic: true}, "kmalloc", "GFP_ATOMIC", "kmalloc-2k", 3, 2048, 48},
		{"many odd ones", Need{Size: 328, Count: 100000}, "kmem_cache_alloc", "GFP_KERNEL", "(your own: kmem_cache_create)", 1, 390, 62},
		{"many even ones", Need{Size: 64, Count: 100000}, "kmalloc", "GFP_KERNEL", "kmalloc-64", 0, 64, 0},
		{"a large array", Need{Size: 100_000}, "kvmalloc", "GFP_KERNEL", "", 5, 131072, 31072},
		{"a large array, atomic", Need{Size: 100_000, Atomic: true}, "kmalloc", "GFP_ATOMIC", "", 5, 131072, 31072},
		{"contiguous", Need{Size: 20_000, Contiguous: true}, "kmalloc", "GFP_KERNEL", "", 3, 32768, 12768},
		{"a page", Need{Size: 4096, Pages: true}, "alloc_pages", "GFP_KERNEL", "", 0, 4096, 0},
		{"five pages", Need{Size: 20480, Pages: true, Contiguous: true}, "alloc_pages_exact", "GFP_KERNEL", "", 3, 20480, 0},
		{"huge", Need{Size: 64 << 20, Zero: true}, "vzalloc", "", "", 0, 64 << 20, 0},
		{"huge, contiguous", Need{Size: 64 << 20, Contiguous: true}, "alloc_contig_pages", "GFP_KERNEL", "", 14, 64 << 20, 0},
		{"ring of descriptors", Need{Size: 8192, DMA: true, Coherent: true}, "dma_alloc_coherent", "GFP_KERNEL", "", 1, 8192, 0},
		{"many descriptors", Need{Size: 60, Count: 32, DMA: true, Coherent: true}, "dma_pool_alloc", "GFP_KERNEL", "", 0, 64, 4},
		{"swap path", Need{Size: 256, MustSucceed: true}, "mempool_alloc", "GFP_KERNEL", "kmalloc-256", 0, 256, 0},
		{"counters", Need{Size: 60, PerCPU: true}, "alloc_percpu", "", "", 0, 64, 4},
		{"boot", Need{Size: 1 << 24, Lifetime: Boot}, "memblock_alloc", "", "", 0, 1 << 24, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := a.Advise(tt.need)
			require.NoError(t, err)
			assert.Equal(t, [3]string{tt.api, tt.gfp, tt.cache}, [3]string{got.API, got.GFP, got.Cache})
			assert.Equal(t, [3]uint64{uint64(tt.order), tt.allocated, tt.waste}, [3]uint64{uint64(got.Order), got.Allocated, got.Waste})
			assert.NotEmpty(t, got.Reason)
		})
	}
}

func TestRefusals(t *testing.T) {
	a := advisor(t)
	for _, tt := range []struct {
		need  Need
		errno string
	}{
		{Need{}, "EINVAL"}, {Need{Size: 1, Lifetime: 9}, "EINVAL"}, {Need{Size: 1 << 50}, "ENOMEM"}, {Need{Size: 40000, PerCPU: true}, "EINVAL"},
		{Need{Size: 8, PerCPU: true, DMA: true}, "EINVAL"}, {Need{Size: 1 << 23, Atomic: true}, "ENOMEM"}, {Need{Size: 1, Atomic: true, Lifetime: Boot}, "EINVAL"},
	} {
		_, err := a.Advise(tt.need)
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, tt.errno, e.Errno, "%+v", tt.need)
	}
	assert.Equal(t, "none", a.Table([]Need{{}})[0].API)
}

// Who must not sleep is never sent to what sleeps; nobody gets less than asked for.
func TestRulesHold(t *testing.T) {
	a := advisor(t)
	rapid.Check(t, func(t *rapid.T) {
		b := func(name string) bool { return rapid.Bool().Draw(t, name) }
		n := Need{Size: rapid.Uint64Range(1, 1<<rapid.IntRange(1, 45).Draw(t, "bits")).Draw(t, "size"), Count: rapid.Uint64Range(0, 5000).Draw(t, "count"),
			Atomic: b("atomic"), Contiguous: b("contiguous"), DMA: b("dma"), Pages: b("pages"), MustSucceed: b("must"), Account: b("account")}
		got, err := a.Advise(n)
		if err != nil {
			require.True(t, n.Atomic, "only what may not sleep is refused here")
			return
		}
		require.Equal(t, got.Allocated, n.Size+got.Waste)
		require.GreaterOrEqual(t, got.Allocated, n.Size)
		if n.Atomic || n.Contiguous || n.DMA {
			require.NotContains(t, []string{"vmalloc", "vzalloc", "kvmalloc"}, got.API)
		}
		if n.Atomic {
			require.Contains(t, got.GFP, "GFP_ATOMIC")
		}
	})
}

func BenchmarkAdvise(b *testing.B) {
	a := advisor(b)
	for b.Loop() {
		_, _ = a.Advise(Need{Size: 100})
	}
}

func ExampleAdvisor_Advise() {
	a, _ := New(slab.NewConfig(slab.Linux6_1, slab.X86_64, 4))
	adv, _ := a.Advise(Need{Size: 100_000})
	fmt.Println(adv.API, adv.GFP, adv.Order, adv.Waste)
	fmt.Println(adv.Reason)
	// Output:
	// kvmalloc GFP_KERNEL 5 31072
	// need not be contiguous: kmalloc if a block is at hand, else vmalloc, which takes single pages
}
