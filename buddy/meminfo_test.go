package buddy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memText is a Mem-Info block, read by its own words. Numbers are in the text's
// units.
type memText struct {
	summary map[string]uint64
	nodes   map[NodeID]map[string]uint64
	// unreclaimable nodes.
	unreclaimable map[NodeID]bool
	zones         []memZoneText
	hugeTLB       []HugeTLBSize
	// tail has the lines from "total pagecache pages" on, by their words.
	tail map[string]uint64
}

type memZoneText struct {
	node    NodeID
	typ     ZoneType
	fields  map[string]uint64
	reserve []uint64
	// count and letters are the free blocks by order.
	count   []uint64
	letters []string
}

var (
	memZoneLine  = regexp.MustCompile(`^(?:Node (\d+) )?(\w+) free:`)
	memNodeLine  = regexp.MustCompile(`^Node (\d+) active_anon:`)
	memFreeLine  = regexp.MustCompile(`^(?:Node (\d+) )?(\w+): (.*) = \d+kB$`)
	memBlocks    = regexp.MustCompile(`(\d+)\*\d+kB(?: \((\w+)\))?`)
	memPair      = regexp.MustCompile(`([\w()]+): ?(\d+)(?:kB|KB)?`)
	memHuge      = regexp.MustCompile(`^Node (\d+) hugepages_total=(\d+) hugepages_free=(\d+) hugepages_surp=(\d+) hugepages_size=(\d+)kB$`)
	memTail      = regexp.MustCompile(`^(\d+) (total pagecache pages|pages .*)$`)
	memSwap      = regexp.MustCompile(`^(Free|Total) swap += (\d+)kB$`)
	memSwapStats = regexp.MustCompile(`^Swap cache stats: add (\d+), delete (\d+), find (\d+)/(\d+)$`)
)

func readMemText(t testing.TB, text string) *memText {
	t.Helper()
	m := &memText{summary: map[string]uint64{}, nodes: map[NodeID]map[string]uint64{},
		unreclaimable: map[NodeID]bool{}, tail: map[string]uint64{}}
	_, text, ok := strings.Cut(text, "Mem-Info:\n")
	require.True(t, ok)
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m.line(t, line)
	}
	return m
}

func (m *memText) line(t testing.TB, line string) {
	t.Helper()
	node := func(s string) NodeID {
		if s == "" {
			return 0
		}
		return NodeID(mustUint(t, s))
	}
	switch {
	case memNodeLine.MatchString(line):
		n := node(memNodeLine.FindStringSubmatch(line)[1])
		m.nodes[n] = pairs(t, line)
		m.unreclaimable[n] = strings.Contains(line, "all_unreclaimable? yes")
	case memHuge.MatchString(line):
		f := memHuge.FindStringSubmatch(line)
		m.huge(node(f[1]), mustUint(t, f[5]), HugeTLBCount{uint32(mustUint(t, f[2])), uint32(mustUint(t, f[3])), uint32(mustUint(t, f[4]))})
	case memFreeLine.MatchString(line):
		f := memFreeLine.FindStringSubmatch(line)
		z := m.find(node(f[1]), f[2])
		for _, b := range memBlocks.FindAllStringSubmatch(f[3], -1) {
			z.count = append(z.count, mustUint(t, b[1]))
			z.letters = append(z.letters, b[2])
		}
	case memZoneLine.MatchString(line):
		f := memZoneLine.FindStringSubmatch(line)
		typ, err := ParseZoneType(f[2])
		require.NoError(t, err)
		m.zones = append(m.zones, memZoneText{node: node(f[1]), typ: typ, fields: pairs(t, line)})
	case strings.HasPrefix(line, "lowmem_reserve[]:"):
		z := &m.zones[len(m.zones)-1]
		for _, s := range strings.Fields(line)[1:] {
			z.reserve = append(z.reserve, mustUint(t, s))
		}
	case memTail.MatchString(line):
		f := memTail.FindStringSubmatch(line)
		m.tail[f[2]] = mustUint(t, f[1])
	case memSwap.MatchString(line):
		f := memSwap.FindStringSubmatch(line)
		m.tail[f[1]+" swap"] = mustUint(t, f[2])
	case memSwapStats.MatchString(line):
		for i, s := range memSwapStats.FindStringSubmatch(line)[1:] {
			m.tail[[]string{"add", "delete", "find", "of"}[i]] = mustUint(t, s)
		}
	default:
		for k, v := range pairs(t, line) {
			m.summary[k] = v
		}
	}
}

func pairs(t testing.TB, line string) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for _, p := range memPair.FindAllStringSubmatch(line, -1) {
		out[p[1]] = mustUint(t, p[2])
	}
	require.NotEmpty(t, out, line)
	return out
}

func (m *memText) find(n NodeID, name string) *memZoneText {
	for i := range m.zones {
		if m.zones[i].node == n && m.zones[i].typ.String() == name {
			return &m.zones[i]
		}
	}
	panic("no zone " + name)
}

func (m *memText) huge(n NodeID, kib uint64, c HugeTLBCount) {
	for i := range m.hugeTLB {
		if m.hugeTLB[i].KiB == kib {
			m.hugeTLB[i].Node = append(m.hugeTLB[i].Node, c)
			return
		}
	}
	m.hugeTLB = append(m.hugeTLB, HugeTLBSize{KiB: kib, Node: []HugeTLBCount{c}})
}

// memZoneTypes are the zone types of a kernel whose lowmem_reserve lists have n
// entries.
var memZoneTypes = map[int][]ZoneType{
	2: {ZoneNormal, ZoneMovable},
	4: {ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable},
	5: {ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice},
}

// machineOfMemText makes a machine whose Mem-Info block should be the text.
func machineOfMemText(t testing.TB, m *memText) *textMachine {
	tm := &textMachine{config: Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 2,
		ZoneTypes: memZoneTypes[len(m.zones[0].reserve)]}}
	require.NotNil(t, tm.config.ZoneTypes)
	_, tm.config.CMA = m.tail["pages cma reserved"]
	start, shown, free, managed := PFN(0), uint64(0), uint64(0), uint64(0)
	for i := range m.zones {
		z := &m.zones[i]
		start = tm.addMemZone(t, z, start)
		shown += z.fields["present"] / 4
		free += z.fields["free"] / 4
		managed += z.fields["managed"] / 4
	}
	if rest := m.tail["pages RAM"] - shown; rest > 0 {
		// Zones that the request could not use are not shown, but counted.
		i := tm.zone(ZoneConfig{Type: ZoneNormal, StartPFN: start, Spanned: rest, Present: rest,
			Managed: m.tail["pages RAM"] - m.tail["pages reserved"] - managed, PCP: PCPConfig{Batch: 1},
			LowmemReserve: make([]uint64, len(tm.config.ZoneTypes))})
		tm.state.Zones[i].Counted, tm.state.Zones[i].FreePages = true, int64(m.summary["free"]-free)
	}
	tm.config.Zones[0].CMAPages = m.tail["pages cma reserved"]
	tm.addMemStats(m)
	return tm
}

func (tm *textMachine) addMemZone(t testing.TB, z *memZoneText, start PFN) PFN {
	f := func(name string) uint64 { return z.fields[name] / 4 }
	present := f("present")
	c := ZoneConfig{Node: z.node, Type: z.typ, StartPFN: start, Spanned: (present + 1<<10 - 1) &^ (1<<10 - 1), Present: present,
		Managed: f("managed"), Boost: f("boost"), LowmemReserve: z.reserve, PCP: PCPConfig{Batch: 1},
		Watermark: Watermarks{Min: f("min") - f("boost"), Low: f("low") - f("boost"), High: f("high") - f("boost")}}
	i := tm.zone(c)
	s := &tm.state.Zones[i]
	s.Counted, s.Boost, s.FreePages, s.FreeCMA = true, c.Boost, int64(f("free")), int64(f("free_cma"))
	s.ReservedHighatomic = f("reserved_highatomic")
	for o := len(z.count) - 1; o >= 0; o-- {
		// One block for each type named, and the rest for the first.
		n := z.count[o]
		for k, letter := range z.letters[o] {
			here := uint64(1)
			if k == 0 {
				here = n - uint64(len(z.letters[o])) + 1
			}
			tm.place(i, o, MigrateType(strings.IndexRune("UMEHCI", letter)), here, -1)
		}
	}
	tm.place(i, 0, Movable, f("local_pcp"), 0)
	tm.place(i, 0, Movable, f("free_pcp")-f("local_pcp"), 1)
	r := &tm.stats.Zone[i]
	for name, row := range map[string]ZoneStat{
		"active_anon": NRZoneActiveAnon, "inactive_anon": NRZoneInactiveAnon, "active_file": NRZoneActiveFile,
		"inactive_file": NRZoneInactiveFile, "unevictable": NRZoneUnevictable, "writepending": NRZoneWritePending,
		"mlocked": NRMlock, "bounce": NRBounce, "pagetables": NRZonePageTables, "zspages": NRZspages,
	} {
		r[row] = f(name)
	}
	return start + PFN(c.Spanned)
}

func (tm *textMachine) addMemStats(m *memText) {
	for n, fields := range m.nodes {
		c := tm.node(n)
		for name, row := range map[string]NodeStat{
			"active_anon": NRActiveAnon, "inactive_anon": NRInactiveAnon, "active_file": NRActiveFile,
			"inactive_file": NRInactiveFile, "unevictable": NRUnevictable, "isolated(anon)": NRIsolatedAnon,
			"isolated(file)": NRIsolatedFile, "mapped": NRMapped, "dirty": NRDirty, "writeback": NRWriteback,
			"shmem": NRShmem, "shmem_thp": NRShmemHugePages, "shmem_pmdmapped": NRShmemPMDMapped,
			"anon_thp": NRAnonHugePages, "writeback_tmp": NRWritebackTemp, "pagetables": NRPageTablePages,
			"sec_pagetables": NRSecPageTablePages, "Balloon": NRBalloonPages, "kernel_stack": NRKernelStack,
		} {
			c[row] = fields[name] / 4
			if row == NRKernelStack {
				c[row] = fields[name]
			}
		}
	}
	// What only the summary shows belongs to any node.
	c := tm.node(0)
	for name, row := range map[string]NodeStat{
		"slab_reclaimable": NRSlabReclaimable, "slab_unreclaimable": NRSlabUnreclaimable,
		"kernel_misc_reclaimable": NRKernelMiscReclaimable,
	} {
		c[row] = m.summary[name]
	}
	c[NRFilePages], c[NRSwapCached] = m.tail["total pagecache pages"], m.tail["pages in swap cache"]
	for n := range tm.stats.Node {
		tm.stats.Unreclaimable = append(tm.stats.Unreclaimable, m.unreclaimable[NodeID(n)])
	}
	s := &tm.stats
	s.SwapFree, s.SwapTotal = m.tail["Free swap"]/4, m.tail["Total swap"]/4
	s.SwapCacheAdd, s.SwapCacheDelete, s.SwapCacheFound, s.SwapCacheLookups = m.tail["add"], m.tail["delete"], m.tail["find"], m.tail["of"]
	s.HugeTLB, s.HWPoisoned = m.hugeTLB, m.tail["pages hwpoisoned"]
}

// memReports are the texts under testdata/proctext/reports.
var memReports = []struct {
	name    string
	profile Profile
	options KernelOptions
	// change makes the format of a version that has no preset of its own out of
	// the profile's.
	change func(f *ProcFormat)
	// report is the failed request of a page allocation failure.
	gfp   GFP
	order Order
	comm  string
	// moving are counters that went on changing while the report was printed,
	// so that the summary shows another number than the lines after it.
	moving string
}{
	{name: "6.1-oomdet-d01-second", profile: Linux6_1},
	{name: "6.1-oomswap-s00", profile: Linux6_1},
	{name: "6.1-oomcg-c08", profile: Linux6_1},
	{name: "6.3.9-b450", profile: Linux6_1, options: KernelOptions{NoNUMA: true}},
	{name: "6.8.1-ls1024a", profile: Linux6_12, options: KernelOptions{NoNUMA: true, NoTHP: true, NoMemoryFailure: true},
		moving: "active_file inactive_file isolated_file"},
	{name: "6.17-rpi4b-8g", profile: Linux6_18, options: KernelOptions{NoNUMA: true, NoMemoryFailure: true},
		gfp: GFPIO | GFPReclaim | GFPComp, order: 4, comm: "b2sum"},
	{name: "6.17-rc2-xps13", profile: Linux6_18, gfp: GFPKernel | GFPComp | GFPZero, order: 10,
		comm: "apparmor_parser", moving: "free_pcp"},
	{name: "6.16-rc2-steamdeck", profile: Linux6_18, gfp: GFPNoIO | GFPDMA32, comm: "kworker/u32:12",
		change: func(f *ProcFormat) {
			f.nodeFields = strings.Replace(f.nodeFields, "kernel_stack", "writeback_tmp kernel_stack", 1)
		}},
	{name: "6.19-rc5-hp-aero", profile: Linux6_18, gfp: GFPNoFS | GFPComp | GFPNoMemalloc, comm: "kswapd0",
		change: func(f *ProcFormat) {
			f.zoneFields = strings.Replace(f.zoneFields, "present", "zspages present", 1)
		}},
	{name: "5.15-rc4-kvm", profile: Linux6_1, change: func(f *ProcFormat) {
		f.summary = strings.Replace(f.summary, "/sec_pagetables", "", 1)
		f.nodeFields = strings.Replace(f.nodeFields, "sec_pagetables ", "", 1)
		f.zoneFields = strings.Replace(f.zoneFields, "boost ", "", 1)
		f.swapCacheStats = true
	}, moving: "dirty free_pcp"},
	{name: "5.10.2-rk3399", profile: Linux5_4, change: between5And6,
		gfp: GFPKernel | GFPComp | GFPZero, order: 5, comm: "cat"},
	{name: "5.8-rc4-bl660c-4node", profile: Linux5_4, change: between5And6,
		moving: "active_anon active_file inactive_file isolated_file mapped pagetables free free_pcp"},
}

// between5And6 is what 5.8 and 5.10 have of the later format.
func between5And6(f *ProcFormat) {
	f.summary = strings.Replace(f.summary, " unstable", "", 1)
	f.nodeFields = strings.Replace(f.nodeFields, "unstable", "kernel_stack", 1)
	f.zoneFields = strings.Replace(f.zoneFields, "kernel_stack ", "", 1)
	f.zoneFields = strings.Replace(f.zoneFields, "high ", "high reserved_highatomic ", 1)
}

// A machine made from a published memory report prints that report, every byte.
func TestMemInfoOfRealMachines(t *testing.T) {
	for _, r := range memReports {
		t.Run(r.name, func(t *testing.T) {
			want := readProcText(t, "reports", r.name+".txt")
			m := readMemText(t, want)
			tm := machineOfMemText(t, m)
			a := tm.build(t, r.profile)
			for i := range m.zones {
				// The text does not tell which blocks are the highatomic ones.
				a.zones[i].freeHighatomic = int64(m.zones[i].fields["free_highatomic"] / 4)
			}
			f := a.ProcFormat()
			f = f.With(r.options)
			if r.change != nil {
				r.change(&f)
			}
			got := ""
			if r.comm != "" {
				cpuset, _, _ := strings.Cut(regexp.MustCompile(`cpuset=(\S+)`).FindStringSubmatch(want)[1], ",")
				got = f.FailureReport(a, AllocFailure{Comm: r.comm, CPUSet: cpuset, Stats: &tm.stats,
					Request: Request{GFP: r.gfp, Order: r.order}})
			} else {
				got = f.MemInfo(a, MemReport{GFP: GFPHighUserMovable, Stats: &tm.stats})
			}
			for _, word := range strings.Fields(r.moving) {
				number := regexp.MustCompile(`(?m)(^| )` + word + `:\d+( |$)`)
				require.Len(t, number.FindAllString(want, -1), 1)
				want, got = number.ReplaceAllString(want, "${1}"+word+":*${2}"), number.ReplaceAllString(got, "${1}"+word+":*${2}")
			}
			require.Empty(t, cmp.Diff(want, got))
		})
	}
}

func smallMachine(t testing.TB, p Profile) *Allocator {
	t.Helper()
	types := []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable}
	zone := func(n NodeID, typ ZoneType, start PFN, pages, min uint64, reserve ...uint64) ZoneConfig {
		return ZoneConfig{Node: n, Type: typ, StartPFN: start, Spanned: pages, Present: pages, Managed: pages,
			Watermark: Watermarks{min, min * 5 / 4, min * 3 / 2, min * 7 / 4}, LowmemReserve: reserve,
			PCP: PCPConfig{Batch: 7, High: 64, HighMin: 64, HighMax: 128}, StatThreshold: 4}
	}
	a, err := New(Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 3, CPUNode: []NodeID{0, 1, 2}, ZoneTypes: types,
		Zones: []ZoneConfig{
			zone(0, ZoneDMA, 0, 4096, 16, 0, 96, 96, 96),
			zone(0, ZoneDMA32, 4096, 24576, 120, 0, 0, 0, 0),
			zone(1, ZoneNormal, 28672, 32768, 160, 0, 0, 0, 0),
		}}, p)
	require.NoError(t, err)
	for i := range a.zones {
		require.NoError(t, a.Release(a.zones[i].start, a.zones[i].end))
	}
	return a
}

func TestFailureReportHead(t *testing.T) {
	a := smallMachine(t, Linux6_1)
	head := func(r AllocFailure) string {
		line, _, _ := strings.Cut(a.FailureReport(r), "\n")
		return line
	}
	assert.Equal(t, "cat: page allocation failure: order:3, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0-1",
		head(AllocFailure{Comm: "cat", Request: Request{Order: 3, GFP: GFPKernel}}))
	assert.Equal(t, "a b: page allocation failure: order:0, mode:0x0(), nodemask=1,cpuset=/x,mems_allowed=1",
		head(AllocFailure{Comm: "a b", CPUSet: "/x", MemsAllowed: 1 << 1, Request: Request{Nodes: 1 << 1}}))
	assert.Empty(t, head(AllocFailure{Request: Request{GFP: GFPKernel | GFPNoWarn}}))
	assert.NotEmpty(t, head(AllocFailure{Request: Request{GFP: GFPKernel | GFPDMA}}))
	text := a.FailureReport(AllocFailure{Comm: "x", Stack: "CPU: 1 PID: 7\nCall Trace:\n", Request: Request{GFP: GFPKernel}})
	assert.Contains(t, text, "mems_allowed=0-1\nCPU: 1 PID: 7\nCall Trace:\nMem-Info:\n")
}

// A DMA request on a machine without DMA memory fails silently since 5.17.
func TestFailureReportWithoutDMA(t *testing.T) {
	for _, p := range []Profile{Linux5_4, Linux6_1} {
		a, err := New(Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1, ZoneTypes: []ZoneType{ZoneDMA, ZoneNormal},
			Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: 4096, Present: 4096, Managed: 4096, LowmemReserve: []uint64{0, 0}, PCP: PCPConfig{Batch: 1}}}}, p)
		require.NoError(t, err)
		text := a.FailureReport(AllocFailure{Comm: "x", Request: Request{GFP: GFPKernel | GFPDMA}})
		assert.Equal(t, p.Name == "5.4", text != "", p.Name)
	}
}

// Which nodes and zones a report shows depends on the request.
func TestMemInfoShows(t *testing.T) {
	a := smallMachine(t, Linux6_1)
	lines := func(text, start string) (n int) {
		for _, l := range strings.Split(text, "\n") {
			if strings.HasPrefix(l, start) {
				n++
			}
		}
		return n
	}
	count := func(r AllocFailure) [3]int {
		text := a.FailureReport(r)
		return [3]int{lines(text, "Node 0 active_anon:") + lines(text, "Node 1 active_anon:"),
			lines(text, "lowmem_reserve"), lines(text, "Node 2")}
	}
	request := func(gfp GFP, nodes NodeMask, task TaskFlags) AllocFailure {
		return AllocFailure{Request: Request{GFP: gfp, Nodes: nodes, Task: task}}
	}
	assert.Equal(t, [3]int{2, 3, 0}, count(request(GFPKernel, 0, 0)))
	assert.Equal(t, [3]int{1, 1, 0}, count(request(GFPKernel, 1<<1, 0)), "only node 1")
	assert.Equal(t, [3]int{1, 2, 0}, count(request(GFPKernel|GFPDMA32, 0, 0)), "node 1 has nothing below Normal")
	assert.Equal(t, [3]int{2, 3, 0}, count(request(GFPAtomic, 1<<1, 0)), "atomic requests may go beyond their nodes")
	assert.Equal(t, [3]int{2, 3, 0}, count(request(GFPKernel, 1<<1, TaskInterrupt)))
	assert.Equal(t, [3]int{2, 3, 0}, count(request(GFPKernel, 1<<1, TaskMemalloc)))
	assert.Equal(t, [3]int{1, 1, 0}, count(request(GFPKernel|GFPNoMemalloc, 1<<1, TaskMemalloc)))
	r := request(GFPKernel, 0, 0)
	r.MemsAllowed = 1
	assert.Equal(t, [3]int{1, 2, 0}, count(r), "the cpuset allows node 0")
}

func TestNodeList(t *testing.T) {
	for mask, want := range map[NodeMask]string{
		1: "0", 2: "1", 3: "0-1", 5: "0,2", 0b1101110: "1-3,5-6", 1 << 63: "63",
	} {
		assert.Equal(t, want, nodeList(mask.Has, 64))
	}
}
