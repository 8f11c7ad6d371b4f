package slab

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slabinfoMachines are the machines whose /proc/slabinfo is in
// testdata/slabinfo.
var slabinfoMachines = []struct {
	name      string
	profile   Profile
	present   int
	possible  int
	pageShift int
}{
	{"x86_64-6.1-mixed-2cpu", Linux6_1, 2, 2, 12},
	{"x86_64-6.1-numa-2node", Linux6_1, 2, 2, 12},
	{"x86_64-6.1-pages-256m", Linux6_1, 1, 1, 12},
	{"x86_64-6.1-pages-6g", Linux6_1, 1, 1, 12},
	{"x86_64-6.1-pressure-224m", Linux6_1, 1, 1, 12},
	{"x86_64-6.1-slab-1cpu", Linux6_1, 1, 1, 12},
	{"x86_64-6.1-user-1cpu", Linux6_1, 1, 1, 12},
	{"pi3-kmem-pages", Linux6_1, 4, 4, 12},
	{"pi3-kmem-pressure", Linux6_1, 4, 4, 12},
	{"pi3-kmem-slab", Linux6_1, 4, 4, 12},
	{"pi3-kmem-smp4", Linux6_1, 4, 4, 12},
	{"pi3-kmem-user", Linux6_1, 4, 4, 12},
	{"hw-x86_64-epyc-6.18", Linux6_18, 2, 2, 12},
	{"hw-x86_64-epyc-6.18-claims", Linux6_18, 2, 2, 12},
	{"hw-x86_64-epyc-6.18-drain", Linux6_18, 2, 2, 12},
	{"hw-x86_64-epyc-6.18-drain-miss", Linux6_18, 2, 2, 12},
	{"hw-x86_64-epyc-6.18-irq", Linux6_18, 2, 2, 12},
	{"hw-x86_64-epyc-6.18-slab", Linux6_18, 2, 2, 12},
	{"ksize", Linux6_1, 1, 1, 12},
	{"ksize-debug", Linux6_1, 1, 1, 12},
	{"x86-rhcos-4.18-sos", Linux4_18, 2, 2, 12},
	{"x86-ubuntu-5.4-sos-openstack", Linux5_4, 2, 2, 12},
	{"x86-ubuntu-5.4-sos-kubernetes", Linux5_4, 2, 2, 12},
	{"x86-pcp-meminfo-root-001", Linux4_18, 8, 8, 12},
	{"x86-pcp-meminfo-root-002", Linux4_18, 32, 32, 12},
	{"x86-pcp-meminfo-root-006", Linux4_18, 2, 2, 12},
	{"x86-prometheus-procfs", Linux5_4, 8, 8, 12},
	{"rpi5-slabinfo-16k", Linux6_1, 4, 4, 14},
}

// TestSlabinfoOrders computes pages and objects of a slab for each cache of each
// captured /proc/slabinfo.
func TestSlabinfoOrders(t *testing.T) {
	files, err := os.ReadDir("testdata/slabinfo")
	require.NoError(t, err)
	require.Len(t, files, len(slabinfoMachines))
	total := 0
	for _, m := range slabinfoMachines {
		c := NewConfig(m.profile, X86_64, m.possible)
		c.CPUsPresent, c.PageShift = m.present, m.pageShift
		rows, err := ReadSlabinfo(bytes.NewReader(readGz(t, "slabinfo/"+m.name+".gz")), m.name)
		require.NoError(t, err)
		for _, r := range rows {
			order, ok := c.CalculateOrder(r.ObjSize)
			assert.True(t, ok)
			got := fmt.Sprintf("%s %s: %d objects of %d bytes in %d pages", m.name, r.Name, c.objectsIn(order, r.ObjSize), r.ObjSize, 1<<order)
			assert.Equal(t, fmt.Sprintf("%s %s: %d objects of %d bytes in %d pages", m.name, r.Name, r.ObjPerSlab, r.ObjSize, r.PagesPerSlab), got)
		}
		total += len(rows)
	}
	assert.Greater(t, total, 4000)
	t.Logf("%d caches", total)
}

// snapshotMachines are the captures whose caches are in testdata/caches.
var snapshotMachines = []struct {
	name  string
	arch  Arch
	cpus  int
	p     Profile
	flags *FlagTable
}{
	{"x86_64-6.1-mixed-2cpu", X86_64, 2, Linux6_1, FlagsFixed},
	{"x86_64-6.1-numa-2node", X86_64, 2, Linux6_1, FlagsFixed},
	{"x86_64-6.1-pages-256m", X86_64, 1, Linux6_1, FlagsFixed},
	{"x86_64-6.1-pages-6g", X86_64, 1, Linux6_1, FlagsFixed},
	{"x86_64-6.1-pressure-224m", X86_64, 1, Linux6_1, FlagsFixed},
	{"x86_64-6.1-slab-1cpu", X86_64, 1, Linux6_1, FlagsFixed},
	{"x86_64-6.1-user-1cpu", X86_64, 1, Linux6_1, FlagsFixed},
	{"pi3-kmem-pages", ARM64, 4, Linux6_1, FlagsFixed},
	{"pi3-kmem-pressure", ARM64, 4, Linux6_1, FlagsFixed},
	{"pi3-kmem-slab", ARM64, 4, Linux6_1, FlagsFixed},
	{"pi3-kmem-smp4", ARM64, 4, Linux6_1, FlagsFixed},
	{"pi3-kmem-user", ARM64, 4, Linux6_1, FlagsFixed},
	{"hw-x86_64-epyc-6.18-slab", X86_64, 2, Linux6_18, NewFlagTable(FlagConfig{Memcg: true, ObjExt: true})},
}

// cacheLine is a "cache" line of a snapshot by field.
func cacheLine(line string) map[string]string {
	out := map[string]string{}
	for _, f := range strings.Split(line, " ") {
		if k, v, ok := strings.Cut(f, "="); ok {
			out[k] = v
		}
	}
	return out
}

func num(t testing.TB, s string, base int) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(s, base, 64)
	require.NoError(t, err)
	return v
}

// TestSnapshotLayouts computes the layouts of the caches of each snapshot from
// object size, alignment, flags and constructor. Where caches were merged their
// object size is the largest one's and does not tell the first one's layout:
// there only what follows from the size is compared.
func TestSnapshotLayouts(t *testing.T) {
	whole, part := 0, 0
	for _, m := range snapshotMachines {
		c := NewConfig(m.p, m.arch, m.cpus)
		for line := range strings.Lines(string(readGz(t, "caches/"+m.name+".gz"))) {
			f := cacheLine(strings.TrimSpace(line))
			n := func(k string) uint32 { return uint32(num(t, f[k], 10)) }
			flags, rest := m.flags.Flags(num(t, f["flags"], 16))
			require.Zero(t, rest, line)
			p := Params{Name: f["name"], Size: n("object_size"), Flags: flags &^ CmpxchgDouble, SheafCapacity: 0}
			if f["ctor"] != "0" {
				p.Ctor = func(uint64, []byte) {}
			}
			want := Layout{ObjectSize: n("object_size"), Size: n("size"), Inuse: n("inuse"), Align: n("align"), Offset: n("offset"),
				RedLeftPad: n("red_left_pad"), Order: int(n("order")), Objects: n("objects"), MinOrder: int(n("min_order")),
				MinObjects: n("min_objects"), MinPartial: n("min_partial"), CPUPartial: n("cpu_partial"),
				CPUPartialSlabs: n("cpu_partial_slabs"), Flags: flags}
			if f["refcount"] != "1" && f["refcount"] != "-1" {
				part++
				got := Layout{Size: want.Size, Flags: want.Flags}
				assert.True(t, c.setOrders(&got))
				c.setPartial(&got)
				got.ObjectSize, got.Inuse, got.Align, got.Offset = want.ObjectSize, want.Inuse, want.Align, want.Offset
				assert.Equal(t, want, got, "%s %s", m.name, p.Name)
				continue
			}
			whole++
			if flags&TypesafeByRCU != 0 && want.Offset < want.Inuse {
				p.HasFreePtrOffset, p.FreePtrOffset = true, want.Offset
			}
			got, err := c.open(&p, want.Align, p.Flags)
			require.NoError(t, err)
			assert.Equal(t, want, got, "%s %s", m.name, p.Name)
		}
	}
	assert.Greater(t, whole, 1500)
	t.Logf("%d layouts whole, %d of merged caches", whole, part)
}

// TestLayoutTable creates the caches of layout.tsv.
func TestLayoutTable(t *testing.T) {
	c := NewConfig(Linux6_1, X86_64, 1)
	rows := readTable(t, "ksize/layout.tsv.gz")
	for _, r := range rows {
		debug := r["debug_flags"]
		p := Params{Name: "layout", Size: uint32(num(t, r["object_size_requested"], 10))}
		if debug != "-" {
			p.Flags = ParseDebugOption(debug, true, 0).Global
		}
		switch r["variant"] {
		case "align0":
		case "align8":
			p.Align = 8
		case "align64":
			p.Align = 64
		case "hwcache":
			p.Flags |= HWCacheAlign
		case "ctor":
			p.Ctor = func(uint64, []byte) {}
		case "typesafe_rcu":
			p.Flags |= TypesafeByRCU
		default:
			t.Fatalf("variant %q", r["variant"])
		}
		l, err := c.Layout(p)
		require.NoError(t, err)
		got := map[string]string{"object_size_requested": r["object_size_requested"], "variant": r["variant"], "debug_flags": debug}
		addLayout(got, &l)
		got["free_pointer_offset"], got["objects_per_slab"] = got["offset"], got["objects"]
		got["ksize"] = fmt.Sprint(l.Ksize())
		for k, v := range r {
			assert.Equal(t, v, got[k], "%s of %v", k, r)
		}
	}
	t.Logf("%d rows", len(rows))
}

// addLayout adds a layout's fields under the names of the tables.
func addLayout(m map[string]string, l *Layout) {
	for k, v := range map[string]any{
		"object_size": l.ObjectSize, "size": l.Size, "slab_size": l.Size, "inuse": l.Inuse, "align": l.Align,
		"offset": l.Offset, "red_left_pad": l.RedLeftPad, "order": l.Order, "objects": l.Objects, "objs_per_slab": l.Objects,
		"min_order": l.MinOrder, "min_objects": l.MinObjects, "min_partial": l.MinPartial,
		"cpu_partial": l.CPUPartial, "cpu_partial_slabs": l.CPUPartialSlabs,
		"flags": fmt.Sprintf("%#x", uint32(l.Flags)),
	} {
		m[k] = fmt.Sprint(v)
	}
}
