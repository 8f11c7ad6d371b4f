package slab

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ctors are the caches of the captured 6.1 kernel that have a constructor, from
// the snapshots; the files in /sys only say so in the file ctor, which the table
// leaves out.
func ctors(t *testing.T) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(string(readGz(t, "caches/x86_64-6.1-slab-1cpu.gz"))) {
		f := cacheLine(strings.TrimSpace(line))
		out[f["name"]] = f["ctor"] != "0"
	}
	return out
}

// TestSlabAttrs makes the caches of a whole system, plain and with
// slub_debug=FZPU, from what they were asked for, and compares the files of
// /sys/kernel/slab.
func TestSlabAttrs(t *testing.T) {
	ctor := ctors(t)
	for _, suffix := range []string{"", "-debug"} {
		rows := readTable(t, "ksize/slab_attrs"+suffix+".tsv.gz")
		for _, r := range rows {
			a := newTest(t, Linux6_1, 1, nil)
			p := Params{Name: r["cache"], Size: uint32(num(t, r["object_size"], 10)), Align: uint32(num(t, r["align"], 10)), UserSize: uint32(num(t, r["usersize"], 10))}
			for column, f := range map[string]Flags{"red_zone": RedZone, "poison": Poison, "store_user": StoreUser, "sanity_checks": ConsistencyChecks,
				"trace": Trace, "reclaim_account": ReclaimAccount, "hwcache_align": HWCacheAlign, "cache_dma": CacheDMA, "destroy_by_rcu": TypesafeByRCU} {
				if r[column] == "1" {
					p.Flags |= f
				}
			}
			if ctor[p.Name] {
				p.Ctor = func(uint64, []byte) {}
			}
			if strings.Contains(p.Name, "kmalloc") {
				p.Flags |= Kmalloc
			}
			c, err := a.create(p, p.Align)
			require.NoError(t, err)
			c.refcount = 1 + int(num(t, r["aliases"], 10))
			got := map[string]string{"cache": p.Name}
			for _, f := range c.Sysfs(false) {
				got[f.Name] = strings.TrimSuffix(f.Value, "\n")
			}
			for k, v := range r {
				require.Equal(t, v, got[k], "%s of %s", k, p.Name)
			}
		}
		t.Logf("%d caches", len(rows))
	}
}

// TestSysfsNames compares the folder's name of each mergeable cache with the
// kernel's links.
func TestSysfsNames(t *testing.T) {
	links := map[string]string{}
	for line := range strings.Lines(string(readGz(t, "ksize/slab_aliases.txt.gz"))) {
		name, target, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		require.True(t, ok, line)
		links[name] = target
	}
	a := newTest(t, Linux6_1, 1, nil)
	n := 0
	for line := range strings.Lines(string(readGz(t, "caches/x86_64-6.1-slab-1cpu.gz"))) {
		f := cacheLine(strings.TrimSpace(line))
		target, ok := links[f["name"]]
		if !ok {
			continue
		}
		flags := Flags(num(t, f["flags"], 16))
		c, err := a.create(Params{Name: f["name"], Size: uint32(num(t, f["object_size"], 10)), Flags: flags &^ CmpxchgDouble}, uint32(num(t, f["align"], 10)))
		require.NoError(t, err)
		assert.Equal(t, target, c.SysfsName(), f["name"])
		n++
	}
	assert.Greater(t, n, 40)
}

// TestSlabinfoText reads and writes every captured /proc/slabinfo to the same
// bytes.
func TestSlabinfoText(t *testing.T) {
	for _, m := range slabinfoMachines {
		text := readGz(t, "slabinfo/"+m.name+".gz")
		rows, err := ReadSlabinfo(bytes.NewReader(text), m.name)
		require.NoError(t, err)
		if m.name == "rpi5-slabinfo-16k" {
			continue // an excerpt cut at the right
		}
		var b bytes.Buffer
		require.NoError(t, WriteSlabinfo(&b, rows))
		assert.Equal(t, string(text), b.String(), m.name)
	}
}

// TestSlabinfoErrors: what cannot be read is an error with its line.
func TestSlabinfoErrors(t *testing.T) {
	for text, want := range map[string]string{
		"slabinfo - version: 3.0\n":                                   "f:1: ",
		slabinfoVersion + "\nkmalloc-8 1 2 3\n":                       "f:2: ",
		"a 1 2 8 512 1 : tunables 0 0 x : slabdata 1 1 0\n":           "f:1: ",
		"a 1 2 99999999999 512 1 : tunables 0 0 0 : slabdata 1 1 0\n": "f:1: ",
		"a 1 2 8 512 1 : tunables 0 0 0 : slabdata 1 1\n":             "f:1: ",
		"a 1 2 8 512 1 : tunables 9999999999 0 0 : slabdata 1 1 0\n":  "f:1: ",
		"1 2 8 512 1 : tunables 0 0 0 : slabdata 1 1 0\n":             "f:1: ",
	} {
		_, err := ReadSlabinfo(strings.NewReader(text), "f")
		var e *FileError
		require.ErrorAs(t, err, &e, text)
		assert.Contains(t, err.Error(), want)
	}
}

func FuzzReadSlabinfo(f *testing.F) {
	f.Add(slabinfoVersion + "\n" + slabinfoHeader + "\nkmalloc-8 1 2 8 512 1 : tunables 0 0 0 : slabdata 1 1 0\n")
	f.Add("a b 1 2 8 512 1 : tunables 0 0 0 : slabdata 1 1 0")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := ReadSlabinfo(strings.NewReader(text), "f")
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, WriteSlabinfo(&b, rows))
		again, err := ReadSlabinfo(&b, "f")
		require.NoError(t, err)
		require.Equal(t, rows, again)
	})
}

// TestSysfsCounts checks the files that count, on two CPUs.
func TestSysfsCounts(t *testing.T) {
	a := newTest(t, Linux6_1, 2, nil)
	c, err := a.Create(Params{Name: "obj", Size: 1024})
	require.NoError(t, err)
	n := int(c.Layout().Objects)
	var objs []uint64
	for i := range 5 * n / 2 {
		p, err := c.Alloc(buddy.CPU(i%2), buddy.GFPKernel)
		require.NoError(t, err)
		objs = append(objs, p)
	}
	// CPU 0 frees an object of each of two full slabs.
	for _, i := range []int{0, 1} {
		require.NoError(t, c.Free(0, objs[i]))
	}
	files := map[string]string{}
	for _, f := range c.Sysfs(true) {
		files[f.Name] = f.Value
	}
	assert.Equal(t, "4 N0=4\n", files["slabs"])
	assert.Equal(t, fmt.Sprintf("%d N0=%d\n", 4*n, 4*n), files["total_objects"])
	assert.Equal(t, fmt.Sprintf("%d(2) C0=%d(2)\n", n, n), files["slabs_cpu_partial"])
	assert.Equal(t, "4 N0=4\n", files["cpu_slabs"])
	assert.Equal(t, "0\n", files["partial"])
	assert.Equal(t, "4 C0=2 C1=2\n", files["alloc_slab"])
	require.NoError(t, c.Flush())
	assert.EqualValues(t, 5*n/2-2, c.Slabinfo().ActiveObjs)
	assert.EqualValues(t, 4, c.Slabinfo().NumSlabs)
	require.NoError(t, c.SetCPUPartial(0))
	require.Error(t, c.SetRemoteNodeDefragRatio(101))
	require.NoError(t, c.SetRemoteNodeDefragRatio(100))
	c.ClearStat(AllocSlab)
	assert.Zero(t, c.Stat(AllocSlab))
	var b bytes.Buffer
	require.NoError(t, Slabtop(&b, a.Slabinfo(), 12))
	assert.Contains(t, b.String(), "Active / Total Slabs (% used)")
	assert.Contains(t, b.String(), " obj\n")
	b.Reset()
	require.NoError(t, a.WriteUnreclaimable(&b))
	assert.Contains(t, b.String(), "obj               ")
}

// TestTraces writes alloc_traces and free_traces of a cache that stores tracks.
func TestTraces(t *testing.T) {
	a := newTest(t, Linux6_1, 4, debugged("U"))
	at := func(pid int32, caller string, jiffies uint64) {
		a.SetTask(Task{PID: pid, Comm: "t", Caller: caller, Stack: []string{"kmalloc_trace+0x1/0x2", caller}, Jiffies: jiffies})
	}
	at(7, "one+0x1/0x2", 100)
	p, err := a.Kmalloc(0, 100, buddy.GFPKernel)
	require.NoError(t, err)
	at(8, "two+0x1/0x2", 110)
	for cpu := range 3 {
		_, err := a.Kmalloc(buddy.CPU(cpu+1), 120, buddy.GFPKernel)
		require.NoError(t, err)
		at(9, "two+0x1/0x2", 130)
	}
	at(1, "reader", 200)
	var b bytes.Buffer
	c := a.CacheOf(p)
	require.NoError(t, c.WriteTraces(&b, false))
	assert.Equal(t, `      3 two+0x1/0x2 waste=24/8 age=70/76/90 pid=8-9 cpus=1-3
        kmalloc_trace+0x1/0x2
        two+0x1/0x2

      1 one+0x1/0x2 waste=28/28 age=100 pid=7 cpus=0
        kmalloc_trace+0x1/0x2
        one+0x1/0x2

`, b.String())
	b.Reset()
	require.NoError(t, c.WriteTraces(&b, true))
	assert.Equal(t, "      4 <not-available> age=200/200/200 pid=0 cpus=0\n", b.String())
	b.Reset()
	require.NoError(t, newTest(t, Linux6_1, 1, nil).Caches()[0].WriteTraces(&b, false))
	assert.Equal(t, "No data\n", b.String())
}
