// Package book asserts the figures of BOOK.md that need no notebook.
package book

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/slab"
	"github.com/kernsim/kernsim/sync/refs"
)

func pages(t *testing.T) *buddy.Allocator {
	t.Helper()
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 512 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 2}, buddy.Linux6_1)
	require.NoError(t, err)
	return a
}

func TestPages(t *testing.T) {
	a := pages(t)
	free := func() uint64 { return a.Zone(1).FreePages() + a.Zone(1).PCPPages() }
	before := free()
	_, err := a.AllocExact(buddy.Request{GFP: buddy.GFPKernel}, 33<<10)
	require.NoError(t, err)
	assert.EqualValues(t, 4, a.OrderOf(33<<10))
	assert.EqualValues(t, 9, before-free())

	order := a.OrderOf(132 << 10)
	assert.EqualValues(t, 6, order)
	assert.Equal(t, 124, 4<<order-132)
}

// kmallocs has SLUB of both editions' kernels.
func kmallocs(t *testing.T) map[string]*slab.Allocator {
	t.Helper()
	out := map[string]*slab.Allocator{}
	for _, p := range []slab.Profile{slab.Linux5_4, slab.Linux6_1} {
		a, err := slab.New(slab.NewConfig(p, slab.X86_64, 2), slab.NewLinearPages(1, 1<<20))
		require.NoError(t, err)
		out[p.Name] = a
	}
	return out
}

func ksize(t *testing.T, a *slab.Allocator, n uint64) (uint64, error) {
	t.Helper()
	addr, err := a.Kmalloc(0, n, buddy.GFPKernel)
	if err != nil {
		return 0, err
	}
	size := a.Ksize(addr)
	require.NoError(t, a.Kfree(0, addr))
	return size, nil
}

func TestKmalloc(t *testing.T) {
	for name, a := range kmallocs(t) {
		for n, want := range map[uint64]uint64{100: 128, 200100: 262144, 600100: 1048576, 2200100: 4194304} {
			got, err := ksize(t, a, n)
			require.NoError(t, err)
			assert.Equal(t, want, got, "%s: ksize of %d", name, n)
		}
		for step, want := range map[uint64]uint64{200000: 4200000, 204800: 4300800} {
			n := step
			for {
				if _, err := ksize(t, a, n); err != nil {
					break
				}
				n += step
			}
			assert.Equal(t, want, n, "%s: step %d", name, step)
		}
	}
}

// The percentages that kernels printed for the book's plots.
func TestWaste(t *testing.T) {
	number := regexp.MustCompile(`^(?:\[ *[\d.]+\] )?(\d+)[ ,]+(\d+)$`)
	for file, rows := range map[string]int{
		"1e_kmalloc_waste_step20000.txt": 210, "1e_2019_kmalloc_waste_step20000_dmesg.txt": 210, "2e_kmalloc_waste_step20480_with_warn_splat.txt": 205,
	} {
		f, err := os.Open(filepath.Join("..", "notebooks", "data", file))
		require.NoError(t, err)
		defer f.Close()
		a, found := kmallocs(t)[slab.Linux6_1.Name], 0
		for lines := bufio.NewScanner(f); lines.Scan(); {
			m := number.FindStringSubmatch(strings.TrimSpace(lines.Text()))
			if m == nil {
				continue
			}
			var n, percent uint64
			_, err := fmt.Sscan(m[1], &n)
			require.NoError(t, err)
			_, err = fmt.Sscan(m[2], &percent)
			require.NoError(t, err)
			size, err := ksize(t, a, n)
			require.NoError(t, err)
			assert.Equal(t, percent, (size-n)*100/n, "%s: %d bytes", file, n)
			found++
		}
		assert.Equal(t, rows, found, file)
	}
}

func TestCustomCache(t *testing.T) {
	for name, a := range kmallocs(t) {
		c, err := a.Create(slab.Params{Name: "our_ctx", Size: 328})
		require.NoError(t, err)
		assert.EqualValues(t, 328, c.Layout().ObjectSize, name)
	}
}

func TestAffinity(t *testing.T) {
	mask := sched.CPUMask{0xed}
	var out []sched.CPU
	for c := sched.CPU(0); c < 8; c++ {
		if !mask.Has(c) {
			out = append(out, c)
		}
	}
	assert.Equal(t, []sched.CPU{1, 4}, out)
}

func TestBits(t *testing.T) {
	b := refs.NewBits(8)
	var got []uint64
	var returned []bool
	for _, op := range []func(int) bool{b.TestAndSet, b.TestAndSet, b.TestAndClear, b.TestAndChange} {
		op(7)
		got = append(got, b[0])
	}
	for _, op := range []func(int) bool{b.TestAndSet, b.TestAndClear} {
		returned = append(returned, op(0))
		got = append(got, b[0])
	}
	returned = append(returned, b.TestAndChange(1))
	got = append(got, b[0])
	assert.Equal(t, []uint64{0x80, 0x80, 0, 0x80, 0x81, 0x80, 0x82}, got)
	assert.Equal(t, []bool{false, true, false}, returned)
}

func TestRefcount(t *testing.T) {
	var c refs.Count
	c.Set(1<<31 - 1)
	assert.NotEmpty(t, c.Inc())
	assert.Equal(t, uint32(0xc0000000), c.Read())
	c.Set(0)
	_, w := c.DecAndTest()
	assert.NotEmpty(t, w)
	assert.Equal(t, uint32(0xc0000000), c.Read())
}

// Each notebook that BOOK.md names exists.
func TestBookNamesNotebooks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "BOOK.md"))
	require.NoError(t, err)
	links := regexp.MustCompile(`\]\((notebooks/[^)]+)\)`).FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, links)
	for _, l := range links {
		_, err := os.Stat(filepath.Join("..", l[1]))
		assert.NoError(t, err)
	}
}
