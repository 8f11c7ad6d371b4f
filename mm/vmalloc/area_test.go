package vmalloc

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestInfo reads what a kernel printed, writes it again to the byte, and finds
// in it what the rules say of sizes and alignments.
func TestInfo(t *testing.T) {
	f, err := os.Open("testdata/vmallocinfo-6.1.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	areas, err := ReadInfo(bytes.NewReader(text), "vmallocinfo")
	require.NoError(t, err)
	require.Len(t, areas, 171)
	var out strings.Builder
	pages, stacks := 0, 0
	for i := range areas {
		a := &areas[i]
		out.WriteString(a.Text() + "\n")
		if a.Flags&Alloc != 0 && a.Pages > 0 {
			pages++
			assert.Equal(t, (a.Pages+1)*PageSize, a.End-a.Start, "pages and a guard: %s", a.Text())
		}
		if strings.HasPrefix(a.Caller, "kernel_clone") {
			stacks++
			assert.Equal(t, uint64(4), a.Pages)
			assert.Zero(t, a.Start%(16<<10), "a stack is aligned to its size")
		}
	}
	assert.Equal(t, string(text), out.String())
	assert.Greater(t, pages, 100)
	assert.Greater(t, stacks, 20)
	for _, bad := range []string{"x", "0x1000-0x3000 4096 x", "0x1000-0x3000 8192 a b", "0x1000-0x3000 8192 a pages=x", "0x1000-0x3000 8192 a N9999=1"} {
		_, err := ReadInfo(strings.NewReader(bad), "f")
		var wrong *ParseError
		require.ErrorAs(t, err, &wrong, bad)
	}
}

const base = 0xffffc90000000000

func space(t require.TestingT, c Config) *Space {
	s, err := NewSpace(c)
	require.NoError(t, err)
	return s
}

func TestPlaces(t *testing.T) {
	pages := slab.NewLinearPages(1, 1<<16)
	s := space(t, Config{CPUs: 1, Pages: pages})
	alloc := func(size uint64) uint64 {
		addr, err := s.Vmalloc(0, size, "test+0x1/0x2")
		require.NoError(t, err)
		return addr
	}
	a, b := alloc(1), alloc(5000)
	assert.Equal(t, uint64(base), a)
	assert.Equal(t, a+2*PageSize, b, "behind a page and its guard")
	assert.Equal(t, uint64(3), pages.InUse)
	require.NoError(t, s.Vfree(0, a))
	assert.Equal(t, uint64(2), pages.InUse, "pages go back at once")
	assert.Equal(t, b+3*PageSize, alloc(1), "its place not")
	s.Purge()
	assert.Equal(t, a, alloc(1))
	stack, err := s.KernelStack(0, 16<<10, "copy_process")
	require.NoError(t, err)
	assert.Zero(t, stack%(16<<10))
	dev, err := s.Ioremap(0xfed00123, 0x400, "hpet_enable")
	require.NoError(t, err)
	assert.Equal(t, uint64(0x123), dev%PageSize)
	user, err := s.VmallocUser(0, 1, "user")
	require.NoError(t, err)
	mapped, err := s.Vmap([]buddy.PFN{5, 9}, "map")
	require.NoError(t, err)
	var b2 strings.Builder
	require.NoError(t, s.WriteInfo(&b2))
	for _, want := range []string{"    8192 test+0x1/0x2 pages=1 vmalloc N0=1\n", " phys=0x00000000fed00000 ioremap\n", "pages=1 vmalloc user N0=1\n", "   12288 map vmap\n"} {
		assert.Contains(t, b2.String(), want)
	}
	assert.True(t, s.Access(user, true, false))
	assert.False(t, s.Access(user+PageSize, false, false), "the guard")
	assert.False(t, s.Access(user, false, true), "no execute")
	require.NoError(t, s.SetReadOnly(user, true))
	assert.False(t, s.Access(user, true, false))
	require.NoError(t, s.SetExec(user, true))
	assert.True(t, s.Access(user, false, true))
	require.NoError(t, s.Check())
	for _, x := range []uint64{mapped, dev, user} {
		require.NoError(t, s.Vfree(0, x))
	}
	var wrong *FreeError
	require.ErrorAs(t, s.Vfree(0, user), &wrong)
	assert.Contains(t, wrong.Warning, "Trying to vfree() nonexistent vm area")
	require.ErrorAs(t, s.Vfree(0, b+1), &wrong)
	assert.Contains(t, wrong.Warning, "bad address")
	require.ErrorAs(t, s.SetExec(user, true), &wrong)
	require.NoError(t, s.Vfree(0, 0))
	require.NoError(t, s.Check())
}

// TestPurge: with one CPU 8192 lazily freed pages are kept, one more and all
// places are free; also if there is no room else.
func TestPurge(t *testing.T) {
	s := space(t, Config{CPUs: 1})
	for s.LazyPages()+512 <= 8192 {
		addr, err := s.Vmalloc(0, 511*PageSize, "x")
		require.NoError(t, err)
		require.NoError(t, s.Vfree(0, addr))
	}
	assert.Equal(t, uint64(8192), s.LazyPages())
	addr, err := s.Vmalloc(0, 1, "x")
	require.NoError(t, err)
	assert.Equal(t, uint64(base+8192*PageSize), addr)
	require.NoError(t, s.Vfree(0, addr))
	assert.Zero(t, s.LazyPages())
	small := space(t, Config{Start: 1 << 20, End: 1<<20 + 4*PageSize})
	for range 10 {
		addr, err := small.Vmalloc(0, PageSize, "x")
		require.NoError(t, err)
		require.NoError(t, small.Vfree(0, addr))
	}
	_, err = small.Vmalloc(0, 4*PageSize, "x")
	require.ErrorIs(t, err, ErrNoMemory)
	_, err = small.Vmalloc(0, 0, "x")
	require.ErrorIs(t, err, ErrNoMemory)
	few := space(t, Config{Pages: slab.NewLinearPages(1, 4)})
	_, err = few.Vmalloc(0, 5*PageSize, "x")
	require.ErrorIs(t, err, ErrNoMemory)
	require.NoError(t, few.Check())
	_, err = NewSpace(Config{Start: 5, End: 3})
	require.Error(t, err)
}

// TestAgainstPages compares places with a search page by page, and pages with the
// source's count.
func TestAgainstPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 200
		pages := slab.NewLinearPages(1, 1<<12)
		s := space(t, Config{Start: 1 << 20, End: 1<<20 + n*PageSize, Pages: pages})
		var used [n]bool
		live := map[uint64]uint64{}
		var order []uint64
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				size := rapid.Uint64Range(1, 12).Draw(t, "pages")
				want := -1
				for at := 0; at+int(size) < n && want < 0; at++ {
					want = at
					for i := range int(size) + 1 {
						if used[at+i] {
							want = -1
							break
						}
					}
				}
				addr, err := s.Vmalloc(0, size*PageSize, "x")
				if want < 0 {
					// A purge may have made room.
					s.Purge()
					clear(used[:])
					for a, size := range live { // order does not matter
						for i := range size + 1 {
							used[(a-1<<20)/PageSize+i] = true
						}
					}
					if err != nil {
						require.ErrorIs(t, err, ErrNoMemory)
						return
					}
				} else {
					require.NoError(t, err)
					require.Equal(t, uint64(1<<20+want*PageSize), addr)
				}
				for i := range size + 1 {
					used[(addr-1<<20)/PageSize+i] = true
				}
				live[addr], order = size, append(order, addr)
			},
			"free": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(order)-1).Draw(t, "which")
				require.NoError(t, s.Vfree(0, order[i]))
				delete(live, order[i])
				order = append(order[:i], order[i+1:]...)
			},
			"": func(t *rapid.T) {
				require.NoError(t, s.Check())
				sum := uint64(0)
				for _, size := range live { // order does not matter
					sum += size
				}
				require.Equal(t, sum, pages.InUse)
			},
		})
	})
}

func FuzzReadInfo(f *testing.F) {
	f.Add("0xffa0000000005000-0xffa0000000007000    8192 a+0x1/0x2 pages=1 phys=0x1 ioremap vmalloc N0=1\n0x1000-0x2000 4096 vm_map_ram\n")
	f.Add("0x1000-0x2000 4096 unpurged vm_area\n")
	f.Fuzz(func(t *testing.T, text string) {
		areas, err := ReadInfo(strings.NewReader(text), "f")
		for i := range areas {
			_ = areas[i].Text()
		}
		_ = err
	})
}

func BenchmarkVmallocVfree(b *testing.B) {
	s, err := NewSpace(Config{CPUs: 4})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		addr, err := s.Vmalloc(0, 3*PageSize, "bench")
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Vfree(0, addr); err != nil {
			b.Fatal(err)
		}
	}
}
