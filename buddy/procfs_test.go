package buddy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var updateGolden = flag.Bool("update", false, "rewrite the golden files of the texts")

// busyMachine is a small machine of two nodes with memory and one without, after
// a few requests that leave it fragmented.
func busyMachine(t testing.TB, p Profile) *Allocator {
	a := smallMachine(t, p)
	var got []PFN
	for i := range 300 {
		pfn, err := a.AllocPages(CPU(i%3), GFPKernel, Order(i%4))
		require.NoError(t, err)
		got = append(got, pfn)
	}
	for i, pfn := range got {
		if i%3 != 0 {
			require.NoError(t, a.Free(CPU(i%3), pfn, Order(i%4)))
		}
	}
	_, err := a.AllocPages(2, GFPHighUserMovable, 9)
	require.NoError(t, err)
	_, err = a.AllocPages(0, GFPKernel|GFPDMA|GFPReclaimable, 0)
	require.NoError(t, err)
	return a
}

// countedStats has another number in each counter.
func countedStats(a *Allocator) *MemStats {
	s := &MemStats{Node: make([][NumNodeStats]uint64, 2), Zone: make([][NumZoneStats]uint64, len(a.zones)),
		Unreclaimable: []bool{false, true}, SwapFree: 100, SwapTotal: 250, SwapCacheAdd: 4, SwapCacheDelete: 3,
		SwapCacheFound: 2, SwapCacheLookups: 5, HWPoisoned: 1,
		HugeTLB: []HugeTLBSize{{KiB: 1 << 20}, {KiB: 2048, Node: []HugeTLBCount{{Total: 4, Free: 3}, {Total: 2, Surplus: 1}}}}}
	for n := range s.Node {
		for i := range s.Node[n] {
			s.Node[n][i] = uint64(1000*(n+1) + i)
		}
	}
	for z := range s.Zone {
		for i := range s.Zone[z] {
			s.Zone[z][i] = uint64(100*(z+1) + i)
		}
	}
	for i := range s.AllocStall {
		s.AllocStall[i], s.PGSkip[i] = uint64(10+i), uint64(20+i)
	}
	return s
}

// The texts of one machine under each profile. Run with -update to rewrite them.
func TestGoldenTexts(t *testing.T) {
	for _, p := range Profiles() {
		a := busyMachine(t, p)
		s := countedStats(a)
		for name, text := range map[string]string{
			"buddyinfo": a.Buddyinfo(), "pagetypeinfo": a.Pagetypeinfo(), "zoneinfo": a.Zoneinfo(s), "vmstat": a.VMStat(s),
			"extfrag_index": a.ExtfragIndex(), "unusable_index": a.UnusableFreeIndex(),
			"failure": a.FailureReport(AllocFailure{Comm: "cat", Stats: s, Request: Request{CPU: 1, Order: 9, GFP: GFPKernel}}),
		} {
			path := filepath.Join("testdata", "proctext", "golden", p.Name, name)
			if *updateGolden {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), text, path)
		}
	}
}

// With options taken away, so are their rows, and nothing else.
func TestProcFormatWith(t *testing.T) {
	a := busyMachine(t, Linux6_12)
	full := a.ProcFormat()
	rows := func(f ProcFormat) (out []string) {
		for _, l := range strings.Split(f.VMStat(a, nil), "\n") {
			name, _, _ := strings.Cut(l, " ")
			out = append(out, name)
		}
		return out
	}
	for _, tc := range []struct {
		options KernelOptions
		gone    []string
	}{
		{KernelOptions{}, nil},
		{KernelOptions{NoNUMABalancing: true}, []string{"pgpromote_success", "pgpromote_candidate"}},
		{KernelOptions{NoNUMA: true}, []string{"numa_hit", "numa_miss", "numa_foreign", "numa_interleave", "numa_local", "numa_other",
			"pgpromote_success", "pgpromote_candidate"}},
		{KernelOptions{NoSwap: true, NoZsmalloc: true, NoIOMMU: true}, []string{"nr_swapcached", "nr_zspages", "nr_iommu_pages"}},
	} {
		assert.Equal(t, without(rows(full), tc.gone...), rows(full.With(tc.options)))
		assert.Len(t, rows(full.With(tc.options)), len(rows(full))-len(tc.gone))
	}
	unaccepted := rows(full.With(KernelOptions{UnacceptedMemory: true}))
	assert.Equal(t, addAfter(rows(full), "nr_free_cma", "nr_unaccepted"), unaccepted)

	f := full.With(KernelOptions{NoSMP: true})
	assert.NotContains(t, f.Zoneinfo(a, nil), "vm stats threshold")
	f = full.With(KernelOptions{NoSwap: true})
	assert.NotContains(t, f.MemInfo(a, MemReport{}), "swap")
	s := &MemStats{Node: make([][NumNodeStats]uint64, 1)}
	s.Node[0][NRAnonHugePages] = 1024
	f = full.With(KernelOptions{NoTHP: true})
	assert.Contains(t, f.Zoneinfo(a, s), "nr_anon_transparent_hugepages 1024\n", "not counted in huge pages")
	assert.Contains(t, full.Zoneinfo(a, s), "nr_anon_transparent_hugepages 2\n")
}

// Names of counters read back, and only they.
func TestStatNames(t *testing.T) {
	for s := range NumNodeStats {
		got, ok := ParseNodeStat(s.String())
		assert.True(t, ok)
		assert.Equal(t, s, got)
	}
	for s := range NumZoneStats {
		got, ok := ParseZoneStat(s.String())
		assert.True(t, ok)
		assert.Equal(t, s, got)
	}
	_, ok := ParseNodeStat("nr_free_pages")
	assert.False(t, ok)
	_, ok = ParseZoneStat("")
	assert.False(t, ok)
	assert.Equal(t, "unknown", NumNodeStats.String())
	assert.Equal(t, "unknown", NumZoneStats.String())
}

// Empty zones show the limits that the kernel computes for them anyway.
func TestEmptyZones(t *testing.T) {
	types := []ZoneType{ZoneDMA, ZoneNormal, ZoneHighMem, ZoneMovable}
	machine := func(p Profile, zones ...ZoneType) *Allocator {
		c := Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1, ZoneTypes: types}
		for i, typ := range zones {
			c.Zones = append(c.Zones, ZoneConfig{Type: typ, StartPFN: PFN(i) << 15, Spanned: 1 << 15, Present: 1 << 15, Managed: 1 << 15,
				LowmemReserve: make([]uint64, len(types)), PCP: PCPConfig{Batch: 1}})
		}
		a, err := New(c, p)
		require.NoError(t, err)
		return a
	}
	limits := func(a *Allocator) (min []uint64, reserve [][]uint64) {
		for _, z := range readZoneText(t, a.Zoneinfo(nil)) {
			min = append(min, z.pages["min"])
			reserve = append(reserve, z.protection)
		}
		return min, reserve
	}
	min, reserve := limits(machine(Linux5_4, ZoneNormal))
	assert.Equal(t, []uint64{0, 0, 32, 0}, min, "HighMem has a minimum, Movable is not above it")
	assert.Equal(t, []uint64{0, 128, 128, 128}, reserve[0], "5.4 computes DMA's reserve against Normal's pages")
	min, reserve = limits(machine(Linux6_1, ZoneNormal, ZoneHighMem))
	assert.Equal(t, []uint64{0, 0, 0, 32}, min, "Movable memory would come from HighMem")
	assert.Equal(t, []uint64{0, 0, 0, 0}, reserve[0], "6.1 clears the reserve of an empty zone")
	min, _ = limits(machine(Linux6_18, ZoneNormal))
	assert.Equal(t, []uint64{0, 0, 32, 32}, min, "6.18 treats Movable like HighMem")
}

// A counter below zero, which CPUs' unfolded differences can make it, shows as
// zero; in a sum it counts.
func TestNegativeCounters(t *testing.T) {
	a := smallMachine(t, Linux6_1)
	a.zones[0].freePages, a.zones[1].freePages, a.zones[2].freePages = -5, 7, 0
	assert.Contains(t, a.Zoneinfo(nil), "nr_free_pages 0\n")
	assert.True(t, strings.HasPrefix(a.VMStat(nil), "nr_free_pages 2\n"))
	a.zones[0].freePages = -50
	assert.True(t, strings.HasPrefix(a.VMStat(nil), "nr_free_pages 0\n"))
}

// Whatever state a machine is in, its texts read back to the same numbers.
func TestTextsReadBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := randomState(t, rt)
		st := a.State()
		buddyinfo := strings.Split(strings.TrimSuffix(a.Buddyinfo(), "\n"), "\n")
		free, blocks := readPagetypeText(t, a.Pagetypeinfo())
		require.Len(t, buddyinfo, len(a.zones))
		for i := range a.zones {
			z := &a.zones[i]
			name := fmt.Sprintf("%d %s", z.node, z.typ)
			f := strings.Fields(buddyinfo[i])
			require.Equal(t, []string{"Node", fmt.Sprintf("%d,", z.node), "zone", z.typ.String()}, f[:4])
			wantTypes := map[string]uint64{"Unmovable": 0, "Movable": 0, "Reclaimable": 0, "HighAtomic": 0, "Isolate": 0}
			for _, run := range st.Zones[i].Blocks {
				wantTypes[run.Type.String()] += run.N
			}
			require.Equal(t, wantTypes, blocks[name])
			for o := range a.maxOrder {
				n := 0
				for mt := range st.Zones[i].Free[o] {
					listed := len(st.Zones[i].Free[o][mt])
					n += listed
					if mt := MigrateType(mt); mt != CMA {
						require.Equal(t, uint64(listed), free[name][mt.String()][o])
					}
				}
				require.Equal(t, fmt.Sprint(n), f[4+o])
			}
		}
		checkZoneText(t, a, st, rapid.Bool().Draw(rt, "stats"))
	})
}

// randomState makes a machine of any profile and lets it serve random requests.
func randomState(t testing.TB, rt *rapid.T) *Allocator {
	a := smallMachine(t, rapid.SampledFrom(Profiles()).Draw(rt, "profile"))
	type block struct {
		pfn   PFN
		order Order
	}
	var held []block
	for range rapid.IntRange(0, 200).Draw(rt, "steps") {
		cpu := CPU(rapid.IntRange(0, 2).Draw(rt, "cpu"))
		if len(held) > 0 && rapid.IntRange(0, 2).Draw(rt, "free") == 0 {
			i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
			require.NoError(t, a.Free(cpu, held[i].pfn, held[i].order))
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		order := Order(rapid.IntRange(0, 10).Draw(rt, "order"))
		gfp := rapid.SampledFrom([]GFP{GFPKernel, GFPAtomic, GFPHighUserMovable, GFPKernel | GFPReclaimable, GFPKernel | GFPDMA}).Draw(rt, "gfp")
		if pfn, err := a.AllocPages(cpu, gfp, order); err == nil {
			held = append(held, block{pfn, order})
		}
	}
	return a
}

func checkZoneText(t testing.TB, a *Allocator, st *State, withStats bool) {
	var s *MemStats
	if withStats {
		s = countedStats(a)
	}
	f := a.ProcFormat()
	sums := map[string]uint64{}
	texts := readZoneText(t, a.Zoneinfo(s))
	require.Len(t, texts, 12, "three nodes of four zone types")
	populated := 0
	for _, zt := range texts {
		z := a.nodeZone(zt.node, zt.typ)
		if z == nil {
			require.Zero(t, zt.pages["present"])
			continue
		}
		populated++
		require.Equal(t, uint64(max(st.Zones[z.index].FreePages, 0)), zt.pages["free"])
		require.Equal(t, z.watermark.Min+z.boost, zt.pages["min"])
		require.Equal(t, z.lowmemReserve, zt.protection)
		require.Equal(t, uint64(z.start), zt.tail["start_pfn"])
		require.Equal(t, zt.node == 1 && withStats, zt.tail["node_unreclaimable"] == 1)
		for cpu, set := range zt.sets {
			require.Equal(t, uint64(st.Zones[z.index].PCP[cpu].Count), set["count"])
			require.Equal(t, uint64(st.Zones[z.index].PCP[cpu].High), set["high"])
		}
		require.Len(t, zt.rows, len(f.ZoneRows))
		for row, v := range zt.rows {
			sums[row] += v
			if stat, _ := ParseZoneStat(row); !stat.Known() && withStats {
				require.Equal(t, s.Zone[z.index][stat], v, row)
			}
		}
		for row, v := range zt.nodeRows {
			sums[row] += v
		}
	}
	require.Equal(t, len(a.zones), populated)
	checkVMStat(t, a, s, sums)
	checkMemInfo(t, a, s)
}

// checkVMStat wants vmstat to be the sum of zoneinfo.
func checkVMStat(t testing.TB, a *Allocator, s *MemStats, sums map[string]uint64) {
	rows := map[string]uint64{}
	for _, line := range strings.Split(strings.TrimSuffix(a.VMStat(s), "\n"), "\n") {
		name, v, _ := strings.Cut(line, " ")
		rows[name] = mustUint(t, v)
	}
	for name, want := range sums {
		got := rows[name]
		if huge[name] {
			require.LessOrEqual(t, got-want, uint64(1), name) // huge pages are rounded down after summing
			continue
		}
		require.Equal(t, want, got, name)
	}
	alloc, free := uint64(0), uint64(0)
	for i := range a.zones {
		alloc += a.zones[i].Stats().Alloc
		free += a.zones[i].Stats().Free
	}
	require.Equal(t, alloc, rows["pgalloc_dma"]+rows["pgalloc_dma32"]+rows["pgalloc_normal"])
	require.Equal(t, free, rows["pgfree"])
}

// checkMemInfo wants the memory report to agree with the allocator.
func checkMemInfo(t testing.TB, a *Allocator, s *MemStats) {
	m := readMemText(t, a.MemInfo(MemReport{GFP: GFPHighUserMovable, CPU: 2, Stats: s}))
	require.Len(t, m.zones, len(a.zones))
	pcp := uint64(0)
	for i := range m.zones {
		z, zt := &a.zones[i], &m.zones[i]
		require.Equal(t, z.PCPPages()*4, zt.fields["free_pcp"])
		require.Equal(t, uint64(z.pcp[2].count)*4, zt.fields["local_pcp"])
		require.Equal(t, z.managed*4, zt.fields["managed"])
		pcp += z.PCPPages()
		for o, n := range zt.count {
			require.Equal(t, z.FreeBlocks(Order(o)), n)
			for mt, letter := range "UMEHCI" {
				require.Equal(t, z.FreeBlocksOf(Order(o), MigrateType(mt)) > 0, strings.ContainsRune(zt.letters[o], letter))
			}
		}
	}
	require.Equal(t, pcp, m.summary["free_pcp"])
	require.Equal(t, uint64(4096+24576+32768), m.tail["pages RAM"])
}

func ExampleAllocator_Buddyinfo() {
	a := exampleMachine()
	for range 3 {
		a.AllocPages(0, GFPKernel, 4)
	}
	fmt.Print(a.Buddyinfo())
	// Output:
	// Node 0, zone   Normal      0      0      0      0      1      0      1      1      1      1     15
}

func ExampleAllocator_Zoneinfo() {
	a := exampleMachine()
	a.AllocPages(0, GFPKernel, 0)
	// What the allocator does not know, others may tell.
	s := &MemStats{Zone: make([][NumZoneStats]uint64, 1)}
	s.Zone[0][NRMlock] = 12
	for _, line := range strings.Split(a.Zoneinfo(s), "\n") {
		if strings.Contains(line, "free") || strings.Contains(line, "mlock") || strings.Contains(line, "count") {
			fmt.Println(line)
		}
	}
	// Output:
	//   pages free     16377
	//       nr_free_pages 16377
	//       nr_mlock     12
	//       nr_free_cma  0
	//               count: 6
	//   pages free     0
}

// exampleMachine has 64 MiB in one zone.
func exampleMachine() *Allocator {
	a, err := New(Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1, ZoneTypes: []ZoneType{ZoneNormal, ZoneMovable},
		Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: 1 << 14, Present: 1 << 14, Managed: 1 << 14,
			LowmemReserve: []uint64{0, 0}, PCP: PCPConfig{Batch: 7, High: 100}}}}, Linux6_1)
	if err != nil {
		panic(err)
	}
	if err := a.Release(0, 1<<14); err != nil {
		panic(err)
	}
	return a
}
