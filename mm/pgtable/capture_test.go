package pgtable

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/mm/layout"
)

// captured is a machine of testdata/tables.txt: its tables by physical address.
type captured struct {
	name   string
	no1G   bool
	levels int
	root   uint64
	ram    []layout.PhysRange
	tables map[uint64]*[512]uint64
}

func readCaptured(t *testing.T) []*captured {
	t.Helper()
	f, err := os.Open("testdata/tables.txt")
	require.NoError(t, err)
	defer f.Close()
	var all []*captured
	var c *captured
	var table *[512]uint64
	num := func(s string, base int) uint64 {
		n, err := strconv.ParseUint(s, base, 64)
		require.NoError(t, err)
		return n
	}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		switch w[0] {
		case "#":
		case "machine":
			c = &captured{name: w[1], no1G: len(w) > 2, tables: map[uint64]*[512]uint64{}}
			all = append(all, c)
		case "ram":
			c.ram = append(c.ram, layout.PhysRange{Start: num(w[1], 16), End: num(w[2], 16) + 1})
		case "root":
			c.root = num(w[1], 16)
			c.levels = int(num(strings.TrimPrefix(w[2], "levels="), 10))
		case "table":
			table = new([512]uint64)
			c.tables[num(w[1], 16)] = table
		default:
			i, e, n, step := num(w[0], 10), num(w[1], 16), num(w[2], 10), num(w[3], 16)
			for k := range n {
				table[i+k] = e + k*step
			}
		}
	}
	require.Len(t, all, 3)
	return all
}

// leaves calls f for each leaf of the captured tables, and each entry of a table that is captured.
func (c *captured) leaves(f *Format, phys uint64, level int, va uint64, each func(level int, va, e uint64, k Kind)) {
	for i, e := range c.tables[phys] {
		at := va | uint64(i)<<f.levels[level].Shift
		if level == 0 && i >= 256 {
			at |= -(uint64(1) << f.vaBits)
		}
		k := f.kindOf(e, level)
		next := f.physOf(e, level, k)
		switch {
		case k == Leaf:
			each(level, at, e, k)
		case k == Table && c.tables[next] != nil:
			each(level, at, e, k)
			c.leaves(f, next, level+1, at, each)
		}
	}
}

// softDirty is the kernel's note on a page of user space, which is not modelled.
const softDirty = 1 << 11

// Every captured entry is written again from what the model reads out of it.
func TestCapturedEntriesAreEqual(t *testing.T) {
	want := map[string]int{"pt4": 6045, "pt5": 6047, "ptp": 4504}
	for _, c := range readCaptured(t) {
		f := X86_64(c.levels)
		n := 0
		c.leaves(f, c.root, 0, 0, func(level int, va, e uint64, k Kind) {
			n++
			if k == Table {
				split := e&x86User == 0
				assert.Equal(t, fmt.Sprintf("%#x", e), fmt.Sprintf("%#x", f.tableEntry(f.physOf(e, level, k), level, split)), "%s %x", c.name, va)
				return
			}
			fl := f.flagsOf(e, level)
			assert.Equal(t, va>>63 == 0, fl&User != 0, "%s %x", c.name, va)
			assert.Equal(t, fmt.Sprintf("%#x", e&^softDirty), fmt.Sprintf("%#x", f.leafEntry(f.physOf(e, level, k), level, fl)), "%s %x", c.name, va)
		})
		assert.Equal(t, want[c.name], n, c.name)
	}
}

// The direct map is built of the captured machine's memory. Where the kernel has since split blocks
// and taken rights away (its code, freed parts of it, programs), the same is done
// to the model's. Then every entry is equal, but for where the tables are.
func TestCapturedDirectMapIsEqual(t *testing.T) {
	type counts struct{ untouched, splits, protected, tables int }
	want := map[string]counts{"pt4": {4829, 7, 764, 12}, "pt5": {4829, 7, 764, 13}, "ptp": {3292, 5, 764, 9}}
	for _, c := range readCaptured(t) {
		bits := 48
		if c.levels == 5 {
			bits = 57
		}
		l, err := layout.New(layout.Config{VABits: bits, Memory: c.ram})
		require.NoError(t, err)
		f, err := ForLayout(l)
		require.NoError(t, err)
		tab, err := New(f, newCounter())
		require.NoError(t, err)
		largest := uint64(1 << 30)
		if c.no1G {
			largest = 2 << 20
		}
		mapped, err := tab.MapDirect(l, largest)
		require.NoError(t, err)
		var n counts
		seen := uint64(0)
		c.leaves(f, c.root, 0, 0, func(level int, va, e uint64, k Kind) {
			if va>>63 == 0 || k != Leaf {
				return
			}
			size := uint64(1) << f.levels[level].Shift
			seen += size
			tr, ok := tab.Translate(va)
			require.True(t, ok, "%s %x", c.name, va)
			touched := false
			for tr.Size > size {
				require.NoError(t, tab.Split(va&^(tr.Size-1), tr.Size))
				n.splits++
				tr, _ = tab.Translate(va)
			}
			if fl := f.flagsOf(e, level); fl != tr.Flags {
				require.NoError(t, tab.Protect(va, size, fl))
				n.protected++
				touched = true
			}
			steps := tab.Walk(va, nil)
			require.Equal(t, fmt.Sprintf("%#x", e), fmt.Sprintf("%#x", steps[len(steps)-1].Entry), "%s %x", c.name, va)
			if !touched {
				n.untouched++
			}
		})
		assert.Equal(t, mapped, seen, c.name)
		c.leaves(f, c.root, 0, 0, func(level int, va, e uint64, k Kind) {
			if va>>63 == 0 || k != Table {
				return
			}
			steps := tab.Walk(va, nil)
			const flags = 1<<12 - 1 | 1<<63
			assert.Equal(t, fmt.Sprintf("%#x", e&flags), fmt.Sprintf("%#x", steps[level].Entry&flags), "%s %x level %d", c.name, va, level)
			n.tables++
		})
		assert.Equal(t, want[c.name], n, c.name)
		require.NoError(t, tab.Check())
	}
}
