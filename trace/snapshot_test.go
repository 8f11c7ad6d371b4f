package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// snapshotFiles are the snapshots of testdata.
var snapshotFiles = []string{"testdata/6.1-arm64.ksnap", "testdata/6.18-x86_64.ksnap"}

// parse reads a snapshot's text.
func parse(text string) (*Snapshot, error) { return ReadSnapshot(strings.NewReader(text), "test") }

// TestSnapshotRewrite says that snapshots come out as they went in.
func TestSnapshotRewrite(t *testing.T) {
	for _, name := range snapshotFiles {
		text := readFile(t, name)
		for _, src := range []io.Reader{bytes.NewReader(text), bytes.NewReader(pack(t, text)), iotest.HalfReader(bytes.NewReader(text))} {
			s, err := ReadSnapshot(src, name)
			require.NoError(t, err)
			require.Empty(t, s.Unknown)
			require.Empty(t, s.Torn)
			var out bytes.Buffer
			n, err := s.WriteTo(&out)
			require.NoError(t, err)
			require.EqualValues(t, len(text), n)
			require.Equal(t, string(text), out.String())
		}
	}
}

// TestSnapshotFacts compares values with those that stand in the files.
func TestSnapshotFacts(t *testing.T) {
	s, err := parse(string(readFile(t, snapshotFiles[0])))
	require.NoError(t, err)
	require.Equal(t, "6.1.0-56-arm64", s.Kernel)
	require.Equal(t, []int{12, 9, 11, 14}, []int{s.PageShift, s.PageblockOrder, s.MaxOrder, s.NrPCPLists})
	require.EqualValues(t, uint64(0xffff000000000000), s.PageOffset)
	require.EqualValues(t, 1, s.Seq)
	require.False(t, s.HasTrigger)
	z := s.Zones[0]
	require.Equal(t, "DMA", z.Name)
	require.Len(t, z.NrFree, 11)
	require.Len(t, z.PCPs, 1)
	require.Len(t, z.PCPs[0].Lists, 12)
	require.Len(t, z.Pageblocks, 15)
	require.Equal(t, PageblockRun{FirstPFN: 0, N: 18, MigrateType: 1}, z.Pageblocks[0])
	require.Len(t, s.Caches, 6)
	require.Len(t, s.Slabs, 368)
	require.Equal(t, "kmalloc-128", s.Caches[0].Name)
	require.Len(t, s.Caches[0].RandomSeq, 32)

	s, err = parse(string(readFile(t, snapshotFiles[1])))
	require.NoError(t, err)
	require.True(t, s.HasTrigger)
	require.Equal(t, "bpf", s.By)
	require.EqualValues(t, uint64(5128_680803000), s.T0)
	require.EqualValues(t, 2040176, s.TriggerPFN)
	require.True(t, s.HasSlabTime)
	require.EqualValues(t, uint64(5128_691732000), s.SlabT1)
	require.True(t, s.Zones[0].AutoHigh)
	require.EqualValues(t, 240, s.Zones[0].PCPs[1].HighMax)
	require.Equal(t, &s.Zones[0], s.Zone(0, "DMA"))
	require.Nil(t, s.Zone(1, "DMA"))
	require.Nil(t, s.Cache("no such"))
	maple := s.Cache("maple_node")
	require.EqualValues(t, 32, maple.SheafCapacity)
	require.Equal(t, []string{"main", "rcu_free"}, []string{maple.CPUSlabs[0].Sheaves[0].Kind, maple.CPUSlabs[0].Sheaves[1].Kind})
	require.Len(t, maple.CPUSlabs[0].Sheaves[0].Objects, 13)
	require.Len(t, maple.Barns[0].Full, 10)
	require.EqualValues(t, 11, maple.Barns[0].NrEmpty)
	require.Len(t, maple.NodePartial[0].Slabs, 66)
}

// TestSnapshotCut says that every cut of a snapshot is an error that names the
// place.
func TestSnapshotCut(t *testing.T) {
	for _, name := range snapshotFiles {
		text := readFile(t, name)
		for cut := 0; cut < len(text); cut += 997 {
			_, err := parse(string(text[:cut]))
			var parse *ParseError
			require.ErrorAs(t, err, &parse, "cut at %d", cut)
			require.Equal(t, bytes.Count(text[:cut], []byte("\n"))+1, parse.Line)
		}
		_, err := parse(string(text[:len(text)-1]))
		require.Error(t, err)
	}
}

// TestSnapshotMissingLine says that no line of a zone can be missing unseen.
func TestSnapshotMissingLine(t *testing.T) {
	for _, name := range snapshotFiles {
		lines := strings.SplitAfter(string(readFile(t, name)), "\n")
		tried := 0
		for i, line := range lines {
			switch word, _, _ := strings.Cut(line, " "); word {
			case "ksnap", "zone", "free", "nr_free", "pcp", "pcplist", "pageblocks", "cache", "barn", "barnsheaf", "end":
				if strings.HasPrefix(line, "pcp ") && strings.Contains(line, "count=0 ") && strings.HasPrefix(lines[i+1], "p") && !strings.HasPrefix(lines[i+1], "pcplist") {
					continue // nothing says how many CPUs there are
				}
				if strings.HasPrefix(line, "barn nr_empty") {
					continue
				}
				s, err := parse(strings.Join(lines[:i], "") + strings.Join(lines[i+1:], ""))
				tried++
				if err == nil && s.HasTrigger {
					require.NotEmpty(t, s.Torn, "without line %d, %q", i+1, line[:min(len(line), 60)])
					continue
				}
				var parse *ParseError
				require.ErrorAs(t, err, &parse, "without line %d, %q", i+1, line[:min(len(line), 60)])
			}
		}
		require.Greater(t, tried, 25)
	}
}

// tiny is a whole snapshot, for changing single places of it.
const tiny = `ksnap 1 seq=1 kernel=6.1.0 page_shift=12 pageblock_order=9 max_order=3 nr_pcp_lists=14 page_offset=ff11000000000000
zone node=0 name=DMA start_pfn=1 spanned=1023 present=1020 managed=1000 min=8 low=10 high=12 promo=14 boost=0 lowmem_reserve=0,100,200 highatomic=0
free order=0 mt=0: 5 9
free order=0 mt=1: 600
free order=2 mt=1: 16
nr_free order=0 n=3
nr_free order=1 n=0
nr_free order=2 n=1
pcp cpu=0 count=5 high=50 batch=7 free_factor=0
pcplist cpu=0 pindex=1: 7 6 8
pcplist cpu=0 pindex=4: 32
pcp cpu=1 count=0 high=50 batch=7 free_factor=1
pageblocks first_pfn=0 n=1 mt=1
pageblocks first_pfn=512 n=1 mt=-1
cache name=a:b c ptr=ff11000000000100 size=64 object_size=60 inuse=60 align=8 offset=32 red_left_pad=0 order=0 objects=4 min_order=0 min_objects=4 flags=40001000 min_partial=5 cpu_partial=30 cpu_partial_slabs=2 refcount=-1 ctor=0 sheaf_capacity=2
random_seq: 3 0 2 1
cpuslab cpu=0 slab=ff11000000004000 freelist: ff11000000004040 ff11000000004000
cpupartial cpu=0 slabs=1: ff11000000005000
sheaf cpu=0 kind=main size=2: ff11000000006000 ff11000000006040
cpuslab cpu=1 slab=ff11000000007000 freelist:
nodepartial node=0 nr=1: ff11000000008000
barn nr_full=1
barnsheaf full size=2: ff11000000009000 ff11000000009040
barn nr_empty=1
slab pfn=4 order=0 cache=a:b c inuse=2 objects=4 frozen=1 freelist: ff11000000004040
end seq=1
`

// TestSnapshotFaults changes one place of a good snapshot at a time and says
// what the error has to name.
func TestSnapshotFaults(t *testing.T) {
	s, err := parse(tiny)
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = s.WriteTo(&out)
	require.NoError(t, err)
	require.Equal(t, tiny, out.String())
	tests := []struct {
		old, new string
		line     int
		found    string
		expected string
	}{
		{"ksnap 1", "ksnap 2", 1, "ksnap 2", "ksnap 1"},
		{"seq=1 kernel", "seq=x kernel", 1, `"x"`, "seq"},
		{"kernel=6.1.0 ", "", 1, "ksnap", "one field kernel"},
		{"kernel=6.1.0 ", "kernel=a kernel=b ", 1, "ksnap", "one field kernel"},
		{"page_shift=12", "page_shift=99", 1, "99", "up to 30"},
		{"max_order=3", "max_order=33", 1, "33", "up to 32"},
		{"page_offset=ff11000000000000", "page_offset=xyz", 1, "xyz", "hexadecimal"},
		{"zone node=0", "zone node=0 node=1", 2, "zone", "one field node"},
		{"start_pfn=1 ", "start_pfn=9007199254740992 ", 2, "9007199254740992", "start_pfn"},
		{"zone node=0", "zone garbage node=0", 2, "garbage", "fields after zone"},
		{"highatomic=0", "highatomic=0,", 2, "0,", "highatomic"},
		{"lowmem_reserve=0,100,200", "lowmem_reserve=0,100,", 2, "0,100,", "lowmem_reserve"},
		{"present=1020", "present=2000", 2, "present=2000", "present <= spanned"},
		{"managed=1000", "managed=1021", 2, "managed=1021", "managed <= present"},
		{"lowmem_reserve=0,100,200", "lowmem_reserve=0,,200", 2, "0,,200", "lowmem_reserve"},
		{"free order=0 mt=1: 600", "free order=0 mt=0: 600", 4, "order 0 and migrate type 0 again", "each list once"},
		{"free order=2 mt=1: 16", "free order=3 mt=1: 16", 5, `"3"`, "up to 2"},
		{"free order=2 mt=1: 16", "free order=2 mt=1: 18", 5, "page frame 18", "multiple"},
		{"free order=2 mt=1: 16", "free order=2 mt=1: 2048", 5, "page frame 2048", "zone DMA"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0: 0 9", 3, "page frame 0", "zone DMA, 1 to 1024"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0: 5 17", 5, "page frame 17, which line 3 has too", "each page in one list"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0: 5 5", 3, "page frame 5, which line 3 has too", "each page in one list"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0: 5  9", 3, `""`, "decimal number"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0: 5 9 ", 3, `""`, "decimal number"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0:5 9", 3, "5 9", "a space"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0 5 9", 3, "free order", "list"},
		{"free order=0 mt=0: 5 9", "free order=0 mt=0: 5 -9", 3, "-9", "decimal number"},
		{"nr_free order=0 n=3", "nr_free order=0 n=4", 6, "n=4 with 3 blocks", "in the lists"},
		{"nr_free order=1 n=0\n", "", 7, "nr_free of order 2", "orders from 0 on"},
		{"nr_free order=2 n=1\n", "", 14, "nr_free of 2 orders", "3 orders"},
		{"pcp cpu=0 count=5", "pcp cpu=0 count=6", 15, "count=6 with 5 pages", "in its lists"},
		{"pcp cpu=1", "pcp cpu=0", 12, "cpu=0 after cpu=0", "rising order"},
		{"free_factor=1", "free_factor=1x", 12, "1x", "free_factor"},
		{"pcplist cpu=0 pindex=4: 32", "pcplist cpu=0 pindex=4: 33", 11, "page frame 33", "multiple"},
		{"pcplist cpu=0 pindex=4: 32", "pcplist cpu=0 pindex=1: 32", 11, "pindex=1 after pindex=1", "rising order"},
		{"pcplist cpu=0 pindex=4: 32", "pcplist cpu=0 pindex=14: 32", 11, `"14"`, "up to 13"},
		{"pcplist cpu=0 pindex=4: 32", "pcplist cpu=1 pindex=4: 32", 11, "pcplist cpu=1", "pcp line of that CPU"},
		{"pcplist cpu=0 pindex=1: 7 6 8", "pcplist cpu=0 pindex=1: 7 6 9", 10, "page frame 9, which line 3 has too", "one list"},
		{"pageblocks first_pfn=512 n=1 mt=-1", "pageblocks first_pfn=512 n=2 mt=-1", 14, "n=2", "up to 1024"},
		{"pageblocks first_pfn=512 n=1 mt=-1", "pageblocks first_pfn=512 n=0 mt=-1", 14, "n=0", "up to 1024"},
		{"pageblocks first_pfn=512 n=1 mt=-1", "pageblocks first_pfn=512 n=1 mt=-2", 14, "mt=-2", "hole"},
		{"pageblocks first_pfn=512 n=1 mt=-1", "pageblocks first_pfn=513 n=1 mt=-1", 14, "first_pfn=513", "from 512 on"},
		{"pageblocks first_pfn=512 n=1 mt=-1\n", "", 14, "zone DMA with 1 runs", "zone's end"},
		{"cache name=a:b c", "cache name=d", 25, `"a:b c"`, "name of a cache"},
		{"object_size=60", "object_size=65", 15, "object_size=65", "object_size <= size"},
		{"size=64", "size=4294967296", 15, "4294967296", "up to 4294967295"},
		{"random_seq: 3 0 2 1", "random_seq: 3 0 2", 16, "3 indexes for 4 objects", "each of the slab's objects"},
		{"random_seq: 3 0 2 1", "random_seq: 3 0 2 4", 16, "index 4", "each object's index once"},
		{"random_seq: 3 0 2 1", "random_seq: 3 0 2 3", 16, "index 3", "each object's index once"},
		{"random_seq: 3 0 2 1", "random_seq: 3 0 2 1\nrandom_seq: 3 0 2 1", 17, "again", "one random_seq"},
		{"cpuslab cpu=0", "cpuslab cpu=x", 17, `"x"`, "cpu"},
		{"freelist: ff11000000004040 ff11000000004000", "freelist: ff11000000004040 ff11000000004040", 17, "ff11000000004040 twice", "each address once"},
		{"freelist: ff11000000004040 ff11000000004000", "freelist: 1 2 3 4 5", 17, "5 addresses where 4", "no more"},
		{"freelist: ff11000000004040 ff11000000004000", "freelist: ff1100000000404z", 17, "ff1100000000404z", "hexadecimal"},
		{"cpupartial cpu=0 slabs=1:", "cpupartial cpu=0 slabs=2:", 18, "slabs=2 with 1 addresses", "as many"},
		{"cpupartial cpu=0 slabs=1: ff11000000005000", "cpupartial cpu=0 slabs=1: ff11000000005000\ncpupartial cpu=0 slabs=0:", 19, "cpupartial", "one cpupartial"},
		{"cpuslab cpu=1", "cpuslab cpu=0", 20, "cpuslab", "one cpuslab"},
		{"cpuslab cpu=1 slab=ff11000000007000 freelist:", "cpuslab cpu=1 slab=ff11000000007000 freelist:\ncpupartial cpu=0 slabs=0:", 21, "cpu=0 after cpu=1", "rising order"},
		{"sheaf cpu=0 kind=main size=2:", "sheaf cpu=0 kind=main size=3:", 19, "size=3", "as many"},
		{"nodepartial node=0 nr=1:", "nodepartial node=0 nr=0:", 21, "1 addresses where 0", "no more"},
		{"nodepartial node=0 nr=1: ff11000000008000", "nodepartial node=0 nr=0:\nnodepartial node=0 nr=0:", 22, "node=0 after node=0", "rising order"},
		{"barn nr_full=1", "barn nr_full=2", 24, "nr_full=2 with 1 sheaves", "barnsheaf"},
		{"barn nr_full=1\n", "", 22, "barnsheaf", "after"},
		{"barnsheaf full", "barnsheaf empty", 23, "barnsheaf empty", "barnsheaf full"},
		{"inuse=2 objects=4", "inuse=5 objects=4", 25, `"5"`, "up to 4"},
		{"inuse=2 objects=4", "inuse=4 objects=4", 25, "1 addresses where 0", "no more"},
		{"frozen=1", "frozen=2", 25, `"2"`, "frozen"},
		{"end seq=1", "end seq=2", 26, "end of snapshot 2", "end of snapshot 1"},
		{"end seq=1\n", "", 26, "end of file", "end seq=1"},
		{"end seq=1\n", "end seq=1\nend seq=1\n", 27, "end seq=1", "nothing after"},
		{"barn nr_empty=1", "silo nr_empty=1", 24, "silo", "a record"},
		{"zone node=0", "zon node=0", 2, "zon node", "a record"},
		{"pageblocks first_pfn=0", "slabtime st0=1.000000 st1=2.0\npageblocks first_pfn=0", 13, `"2.0"`, "six decimals"},
		{"pageblocks first_pfn=0", "slabtime st0=1.000000 st1=2\npageblocks first_pfn=0", 13, `"2"`, "six decimals"},
	}
	for _, test := range tests {
		require.Contains(t, tiny, test.old)
		_, err := parse(strings.Replace(tiny, test.old, test.new, 1))
		var parse *ParseError
		require.ErrorAs(t, err, &parse, "%q for %q", test.new, test.old)
		require.Contains(t, parse.Found, test.found, "%q for %q: %v", test.new, test.old, err)
		require.Contains(t, parse.Expected, test.expected, "%q for %q: %v", test.new, test.old, err)
		require.Equal(t, test.line, parse.Line, "%q for %q: %v", test.new, test.old, err)
	}
}

// TestSnapshotOrphans gives lines whose zone or cache is missing.
func TestSnapshotOrphans(t *testing.T) {
	lines := strings.SplitAfter(tiny, "\n")
	for i, line := range lines[2 : len(lines)-2] {
		if strings.HasPrefix(line, "cache") {
			continue
		}
		_, err := parse(lines[0] + line)
		var parse *ParseError
		require.ErrorAs(t, err, &parse, "line %d alone", i+3)
		require.Equal(t, 2, parse.Line)
	}
	twice := strings.Replace(tiny, lines[14], lines[14]+lines[14], 1)
	_, err := parse(twice)
	require.ErrorContains(t, err, "a cache at ff11000000000100 again")
	twice = strings.Replace(tiny, lines[14], strings.Join(lines[1:14], "")+lines[14], 1)
	_, err = parse(twice)
	require.ErrorContains(t, err, "zone DMA of node 0 again")
}

// TestSnapshotUnknown keeps fields that it does not know.
func TestSnapshotUnknown(t *testing.T) {
	s, err := parse(strings.Replace(tiny, "highatomic=0", "highatomic=0 colour=blue", 1))
	require.NoError(t, err)
	require.Equal(t, []UnknownField{{Line: 2, Record: "zone", Key: "colour", Value: "blue"}}, s.Unknown)
}

// TestSnapshotTorn says which disagreements a snapshot may have that was read
// while other CPUs ran: none in the lists that were locked.
func TestSnapshotTorn(t *testing.T) {
	const unlocked = " by=bpf t0=1.000000 t1=2.000000 trigger_pfn=4096 trigger_order=0 trigger_mt=0 cpu=0\nzone"
	locked := strings.Replace(unlocked, "4096", "64", 1)
	torn := strings.Replace(tiny, "nr_free order=0 n=3", "nr_free order=0 n=4", 1)
	s, err := parse(strings.Replace(torn, "\nzone", unlocked, 1))
	require.NoError(t, err)
	require.Len(t, s.Torn, 1)
	require.Equal(t, 6, s.Torn[0].Line)
	_, err = parse(strings.Replace(torn, "\nzone", locked, 1))
	require.ErrorContains(t, err, "n=4 with 3 blocks")

	other := strings.Replace(tiny, "pcp cpu=1 count=0", "pcp cpu=1 count=1", 1) // not the CPU that holds the lock
	s, err = parse(strings.Replace(other, "\nzone", locked, 1))
	require.NoError(t, err)
	require.Len(t, s.Torn, 1)

	double := strings.Replace(tiny, "pcplist cpu=0 pindex=1: 7 6 8", "pcplist cpu=0 pindex=1: 7 6 9", 1)
	s, err = parse(strings.Replace(double, "\nzone", unlocked, 1))
	require.NoError(t, err)
	require.Len(t, s.Torn, 1)
	_, err = parse(strings.Replace(double, "\nzone", locked, 1))
	require.ErrorContains(t, err, "page frame 9")
}

// TestSnapshotMemory says that memory does not follow a number in the text.
func TestSnapshotMemory(t *testing.T) {
	huge := strings.NewReplacer("spanned=1023", "spanned=1099511627776", "objects=4 min", "objects=4294967295 min",
		"random_seq: 3 0 2 1\n", "", "pageblocks first_pfn=512 n=1 mt=-1", "pageblocks first_pfn=512 n=2147483648 mt=-1").Replace(tiny)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parse(huge)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*bufferSize))
}

// TestSnapshotLongLine reads a list that is longer than the buffer.
func TestSnapshotLongLine(t *testing.T) {
	const n = 200_000
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, " %d", 2048+i)
	}
	text := strings.NewReplacer("spanned=1023", "spanned=409599", "pageblocks first_pfn=512 n=1 mt=-1", "pageblocks first_pfn=512 n=799 mt=0",
		"free order=0 mt=0: 5 9", "free order=0 mt=0:"+list.String(), "nr_free order=0 n=3", "nr_free order=0 n=200001").Replace(tiny)
	require.Greater(t, list.Len(), bufferSize)
	s, err := parse(text)
	require.NoError(t, err)
	require.Len(t, s.Zones[0].Free[0].PFNs, n)
}

// TestExtraRewrite says that the extra files come out as they went in.
func TestExtraRewrite(t *testing.T) {
	for _, name := range []string{"testdata/6.1-arm64.ksnap_extra", "testdata/6.1-arm64-smp4.ksnap_extra"} {
		text := readFile(t, name)
		x, err := ReadSnapshotExtra(bytes.NewReader(pack(t, text)), name)
		require.NoError(t, err)
		var out bytes.Buffer
		_, err = x.WriteTo(&out)
		require.NoError(t, err)
		require.Equal(t, string(text), out.String())
	}
}

// tinyExtra is a whole extra file.
const tinyExtra = `ksnap_extra 1 seq=2 mt_names=Unmovable,Movable kmalloc_min_size=128 kmalloc_shift_low=7 arch_slab_minalign=8 sections=15
zonestat node=0 name=DMA nr_free_pages=194977 nr_free_cma=-1 cma_pages=16384 percpu_drift_mark=24 highest_zoneidx=4
zonestatcpu node=0 name=DMA cpu=0 free_pages_diff=-3 free_cma_diff=0 stat_threshold=24
`

// TestExtra reads an extra file and changes single places of it.
func TestExtra(t *testing.T) {
	x, err := ReadSnapshotExtra(strings.NewReader(tinyExtra), "test")
	require.NoError(t, err)
	require.Equal(t, &SnapshotExtra{Seq: 2, MTNames: []string{"Unmovable", "Movable"}, KmallocMinSize: 128, KmallocShiftLow: 7, ArchSlabMinalign: 8, Sections: 15,
		Zones: []ExtraZone{{Name: "DMA", NrFreePages: 194977, NrFreeCMA: -1, CMAPages: 16384, PercpuDriftMark: 24, HighestZoneIdx: 4,
			CPUs: []ExtraCPU{{FreePagesDiff: -3, StatThreshold: 24}}}}}, x)
	require.Equal(t, &x.Zones[0], x.Zone(0, "DMA"))
	require.Nil(t, x.Zone(1, "DMA"))
	tests := []struct {
		old, new string
		line     int
		text     string
	}{
		{"ksnap_extra 1", "ksnap_extra 2", 1, "expected \"ksnap_extra 1"},
		{"seq=2", "seq=-2", 1, "seq"},
		{" sections=15", "", 1, "one field sections"},
		{"zonestat ", "zone ", 2, "zonestat or zonestatcpu"},
		{"nr_free_pages=194977", "nr_free_pages=x", 2, "nr_free_pages"},
		{"zonestatcpu node=0", "zonestatcpu node=1", 3, "zonestat line of that zone"},
		{"free_pages_diff=-3", "free_pages_diff=99999999999", 3, "32-bit"},
	}
	for _, test := range tests {
		_, err := ReadSnapshotExtra(strings.NewReader(strings.Replace(tinyExtra, test.old, test.new, 1)), "test")
		var parse *ParseError
		require.ErrorAs(t, err, &parse, test.new)
		require.Equal(t, test.line, parse.Line, err)
		require.ErrorContains(t, err, test.text)
	}
	lines := strings.SplitAfter(tinyExtra, "\n")
	for _, text := range []string{"", lines[0], lines[0] + lines[2], tinyExtra + lines[1], tinyExtra + lines[2], tinyExtra[:len(tinyExtra)-1]} {
		_, err := ReadSnapshotExtra(strings.NewReader(text), "test")
		var parse *ParseError
		require.ErrorAs(t, err, &parse, text)
	}
	full := errors.New("disk full")
	_, err = x.WriteTo(failingWriter{full})
	require.ErrorIs(t, err, full)
}
