package slab

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gfpOf are the request flags of the tables' first column.
var gfpOf = map[string]buddy.GFP{
	"KERNEL": buddy.GFPKernel, "ACCOUNT": buddy.GFPKernelAccount, "RECLAIMABLE": buddy.GFPKernel | buddy.GFPReclaimable,
	"DMA": buddy.GFPKernel | buddy.GFPDMA, "DMA32": buddy.GFPKernel | buddy.GFPDMA32, "ATOMIC": buddy.GFPAtomic,
}

func debugged(option string) func(*Config) {
	return func(c *Config) { c.Debug = ParseDebugOption(option, option != "", 0) }
}

// TestKmallocTable allocates what a real kernel was asked for: every size from 0
// to 8200 and around every power of two, plain and with slub_debug=FZPU.
func TestKmallocTable(t *testing.T) {
	for _, suffix := range []string{"", "-debug"} {
		a := newTest(t, Linux6_1, 1, debugged(map[string]string{"-debug": "FZPU"}[suffix]))
		rows := readTable(t, "ksize/ksize"+suffix+".tsv.gz")
		for _, r := range rows {
			size := num(t, r["size"], 10)
			got := map[string]string{"flags": r["flags"], "size": r["size"], "cache": "-", "order": "-", "lowest_addr_bit": r["lowest_addr_bit"],
				"size_roundup": fmt.Sprint(a.KmallocSizeRoundup(size))}
			addr, err := a.Kmalloc(0, size, gfpOf[r["flags"]])
			got["ksize"] = fmt.Sprint(a.Ksize(addr))
			switch c := a.CacheOf(addr); {
			case errors.Is(err, &MisuseError{Kind: TooBig}):
				got["kind"] = "NULL"
			case c != nil:
				got["kind"], got["cache"], got["order"] = "slab", c.Name(), "-1"
			default:
				got["kind"], got["order"] = "pages", fmt.Sprint(bits.Len64(a.Ksize(addr))-13)
			}
			if r["kind"] == "slab" && suffix == "" {
				// The table's address shows at least the alignment that every
				// object of the cache has.
				align := uint64(a.CacheOf(addr).Layout().Align)
				assert.GreaterOrEqual(t, num(t, r["lowest_addr_bit"], 10), align)
				assert.Zero(t, addr%align)
			}
			require.Equal(t, r, got)
			require.NoError(t, a.Kfree(0, addr))
		}
		t.Logf("%d rows", len(rows))
		require.NoError(t, a.Check())
	}
}

// TestKmallocCaches compares the layout of every kmalloc cache.
func TestKmallocCaches(t *testing.T) {
	for suffix, option := range map[string]string{"": "", "-debug": "FZPU"} {
		a := newTest(t, Linux6_1, 1, debugged(option))
		for _, r := range readTable(t, "ksize/kcaches"+suffix+".tsv.gz") {
			c := a.kmalloc.caches[num(t, r["type"], 10)][num(t, r["index"], 10)]
			got := map[string]string{"type": r["type"], "index": r["index"], "name": c.Name(),
				"useroffset": fmt.Sprint(c.params.UserOffset), "usersize": fmt.Sprint(c.params.UserSize)}
			l := c.Layout()
			addLayout(got, &l)
			for k, v := range r {
				require.Equal(t, v, got[k], "%s of %s", k, r["name"])
			}
		}
	}
}

// TestKmallocWaste compares the share of each request that is wasted with what
// the tables of "Linux Kernel Programming" list, from kernels 5.0 to 6.x.
func TestKmallocWaste(t *testing.T) {
	total := 0
	for _, name := range []string{"1e_2019_kmalloc_waste_step20000_dmesg.txt", "1e_kmalloc_waste_step20000.txt", "2e_kmalloc_waste_step20480_with_warn_splat.txt"} {
		a := newTest(t, Linux5_4, 4, nil)
		rows := 0
		for line := range strings.Lines(string(readGz(t, "lkp/"+name+".gz"))) {
			if _, rest, ok := strings.Cut(line, "] "); ok {
				line = rest
			}
			var size, waste uint64
			if n, err := fmt.Sscan(strings.Replace(line, ",", " ", 1), &size, &waste); n != 2 || err != nil {
				continue
			}
			addr, err := a.Kmalloc(0, size, buddy.GFPKernel)
			require.NoError(t, err, line)
			assert.Equal(t, waste, (a.Ksize(addr)-size)*100/size, line)
			require.NoError(t, a.Kfree(0, addr))
			rows++
		}
		assert.GreaterOrEqual(t, rows, 205, name)
		total += rows
	}
	t.Logf("%d rows", total)
	// Where the tables end, kmalloc fails.
	a := newTest(t, Linux5_4, 4, nil)
	_, err := a.Kmalloc(0, 4200100, buddy.GFPKernel)
	require.ErrorIs(t, err, &MisuseError{Kind: TooBig})
}

// TestKmallocNames compares which kmalloc caches a kernel has, and in which
// order it made them, with the /proc/slabinfo of captured machines.
func TestKmallocNames(t *testing.T) {
	for _, m := range slabinfoMachines {
		arch := X86_64
		if strings.HasPrefix(m.name, "pi3") {
			arch = ARM64
		}
		c := NewConfig(m.profile, arch, 1)
		a, err := New(c, NewLinearPages(1, 1))
		require.NoError(t, err)
		rows, err := ReadSlabinfo(bytes.NewReader(readGz(t, "slabinfo/"+m.name+".gz")), m.name)
		require.NoError(t, err)
		var got, want []string
		for _, k := range a.Caches() {
			got = append(got, k.Name())
		}
		for _, r := range slices.Backward(rows) {
			if strings.HasPrefix(strings.TrimPrefix(r.Name, "dma-"), "kmalloc-") {
				want = append(want, r.Name)
			}
		}
		if strings.Contains(m.name, "pcp") || strings.Contains(m.name, "rpi5") || strings.Contains(m.name, "prometheus") {
			// Kernels of unknown version and configuration, or an excerpt.
			continue
		}
		assert.Equal(t, want, got, m.name)
	}
}
