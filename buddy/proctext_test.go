package buddy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// Readers of the kernel's texts, written from the texts and not from the code
// that prints them.

func readProcText(t testing.TB, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"testdata", "proctext"}, parts...)...))
	require.NoError(t, err)
	return string(text)
}

func mustUint(t testing.TB, s string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return v
}

// zoneText is a zone as /proc/zoneinfo shows it.
type zoneText struct {
	node       NodeID
	typ        ZoneType
	nodeRows   map[string]uint64 // nil unless the node's first zone
	pages      map[string]uint64 // free, boost, min, ...
	protection []uint64
	rows       map[string]uint64
	sets       []map[string]uint64 // per-CPU lists by CPU
	tail       map[string]uint64   // node_unreclaimable, start_pfn
}

var zoneHead = regexp.MustCompile(`^Node (\d+), zone +(\w+)$`)

func readZoneText(t testing.TB, text string) []zoneText {
	t.Helper()
	var zones []zoneText
	var z *zoneText
	var into map[string]uint64
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		f := strings.Fields(line)
		switch {
		case zoneHead.MatchString(line):
			m := zoneHead.FindStringSubmatch(line)
			typ, err := ParseZoneType(m[2])
			require.NoError(t, err)
			zones = append(zones, zoneText{node: NodeID(mustUint(t, m[1])), typ: typ,
				pages: map[string]uint64{}, rows: map[string]uint64{}, tail: map[string]uint64{}})
			z = &zones[len(zones)-1]
			into = z.pages
		case line == "  per-node stats":
			z.nodeRows = map[string]uint64{}
			into = z.nodeRows
		case f[0] == "pages":
			into = z.pages
			into["free"] = mustUint(t, f[2])
		case f[0] == "protection:":
			list := strings.Trim(strings.TrimPrefix(strings.TrimSpace(line), "protection: "), "()")
			for _, s := range strings.Split(list, ", ") {
				z.protection = append(z.protection, mustUint(t, s))
			}
			into = z.rows
		case line == "  pagesets":
		case f[0] == "cpu:":
			require.Equal(t, strconv.Itoa(len(z.sets)), f[1])
			z.sets = append(z.sets, map[string]uint64{})
			into = z.sets[len(z.sets)-1]
		case f[0] == "vm":
			into["vm stats threshold"] = mustUint(t, f[3])
		case f[0] == "node_unreclaimable:":
			into = z.tail
			fallthrough
		default:
			require.Len(t, f, 2, line)
			into[strings.TrimSuffix(f[0], ":")] = mustUint(t, f[1])
		}
	}
	return zones
}

// textMachine is a machine that shows what a text shows.
type textMachine struct {
	config Config
	state  State
	stats  MemStats
	// numa are the request counters of each zone, which only requests change.
	numa []ZoneStats
	next []PFN
}

// zone adds a zone and gives its index. Blocks are placed from its end on downwards.
func (m *textMachine) zone(c ZoneConfig) int {
	m.config.Zones = append(m.config.Zones, c)
	m.state.Zones = append(m.state.Zones, ZoneState{})
	m.stats.Zone = append(m.stats.Zone, [NumZoneStats]uint64{})
	m.numa = append(m.numa, ZoneStats{})
	m.next = append(m.next, 0)
	m.clear(len(m.next) - 1)
	return len(m.config.Zones) - 1
}

// clear takes all blocks of a zone off its lists.
func (m *textMachine) clear(i int) {
	c := &m.config.Zones[i]
	m.state.Zones[i] = ZoneState{}
	m.next[i] = (c.StartPFN + PFN(c.Spanned)) &^ (1<<10 - 1)
}

// place puts n blocks on a list, or on CPU's list if cpu is not negative.
// Larger orders must come first.
func (m *textMachine) place(zone, order int, mt MigrateType, n uint64, cpu int) {
	s := &m.state.Zones[zone]
	for range n {
		m.next[zone] -= 1 << order
		pfn := m.next[zone]
		if cpu < 0 {
			s.Free[order][mt] = append(s.Free[order][mt], pfn)
			continue
		}
		for len(s.PCP) <= cpu {
			s.PCP = append(s.PCP, PCPState{})
		}
		s.PCP[cpu].Lists[mt] = append(s.PCP[cpu].Lists[mt], pfn)
	}
}

func (m *textMachine) node(n NodeID) *[NumNodeStats]uint64 {
	for int(n) >= len(m.stats.Node) {
		m.stats.Node = append(m.stats.Node, [NumNodeStats]uint64{})
	}
	return &m.stats.Node[n]
}

func (m *textMachine) build(t testing.TB, p Profile) *Allocator {
	t.Helper()
	a, err := New(m.config, p)
	require.NoError(t, err)
	require.NoError(t, a.Restore(&m.state))
	for i := range m.numa {
		a.zones[i].stats = m.numa[i]
	}
	return a
}

// huge are the rows that count huge pages of 512 pages.
var huge = map[string]bool{
	"nr_anon_transparent_hugepages": true, "nr_file_hugepages": true, "nr_file_pmdmapped": true,
	"nr_shmem_hugepages": true, "nr_shmem_pmdmapped": true,
}

// machineOfZoneText makes a machine whose zoneinfo should be the text.
func machineOfZoneText(t testing.TB, text string) *textMachine {
	m := &textMachine{config: Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1}}
	for _, z := range readZoneText(t, text) {
		if z.node == 0 {
			m.config.ZoneTypes = append(m.config.ZoneTypes, z.typ)
		}
		m.config.CPUs = max(m.config.CPUs, len(z.sets))
	}
	for _, z := range readZoneText(t, text) {
		for name, v := range z.nodeRows {
			row, ok := ParseNodeStat(name)
			require.True(t, ok, name)
			if huge[name] {
				v *= 512
			}
			m.node(z.node)[row] = v
		}
		if z.pages["present"] > 0 {
			m.addZoneText(t, &z)
		}
	}
	return m
}

func (m *textMachine) addZoneText(t testing.TB, z *zoneText) {
	boost := z.pages["boost"]
	c := ZoneConfig{Node: z.node, Type: z.typ, StartPFN: PFN(z.tail["start_pfn"]),
		Spanned: z.pages["spanned"], Present: z.pages["present"], Managed: z.pages["managed"],
		Watermark: Watermarks{Min: z.pages["min"] - boost, Low: z.pages["low"] - boost, High: z.pages["high"] - boost},
		Boost:     boost, LowmemReserve: z.protection, CMAPages: z.pages["cma"], PCP: PCPConfig{Batch: 1},
		StatThreshold: int(z.sets[0]["vm stats threshold"])}
	if promo, ok := z.pages["promo"]; ok {
		c.Watermark.Promo = promo - boost
	}
	i := m.zone(c)
	for name, v := range z.rows {
		row, ok := ParseZoneStat(name)
		require.True(t, ok, name)
		m.stats.Zone[i][row] = v
	}
	r := &m.stats.Zone[i]
	m.numa[i] = ZoneStats{NUMAHit: r[NUMAHit], NUMAMiss: r[NUMAMiss], NUMAForeign: r[NUMAForeign],
		NUMALocal: r[NUMALocal], NUMAOther: r[NUMAOther]}
	s := &m.state.Zones[i]
	s.Counted, s.Boost, s.FreePages, s.FreeCMA = true, boost, int64(z.pages["free"]), int64(r[NRFreeCMA])
	m.place(i, 9, Movable, r[NRFreePagesBlocks]>>9, -1)
	m.state.Zones[i].PCP = make([]PCPState, len(z.sets))
	for cpu, set := range z.sets {
		p := &m.state.Zones[i].PCP[cpu]
		p.High, p.Batch = int(set["high"]), int(set["batch"])
		p.HighMin, p.HighMax = int(set["high_min"]), int(set["high_max"])
		m.place(i, 0, Movable, set["count"], cpu)
	}
	if z.tail["node_unreclaimable"] != 0 {
		for int(z.node) >= len(m.stats.Unreclaimable) {
			m.stats.Unreclaimable = append(m.stats.Unreclaimable, false)
		}
		m.stats.Unreclaimable[z.node] = true
	}
}

// machines are the folders under testdata/proctext.
var textMachines = []struct {
	name    string
	profile Profile
	options KernelOptions
}{
	{name: "x86-ubuntu-5.4-sos-kubernetes", profile: Linux5_4},
	{name: "x86-ubuntu-5.4-sos-openstack", profile: Linux5_4},
	{name: "x86-ubuntu-5.4-sos-rabbitmq", profile: Linux5_4},
	{name: "x86_64-6.1-pages-6g", profile: Linux6_1},
	{name: "x86_64-6.1-numa-2node", profile: Linux6_1},
	{name: "pi3-kmem-smp4", profile: Linux6_1},
	{name: "hw-x86_64-epyc-6.18-claims", profile: Linux6_18},
}

// A machine made from a zoneinfo text prints that text, every byte.
func TestZoneinfoOfRealMachines(t *testing.T) {
	for _, m := range textMachines {
		t.Run(m.name, func(t *testing.T) {
			want := readProcText(t, m.name, "zoneinfo")
			tm := machineOfZoneText(t, want)
			got := tm.build(t, m.profile).Zoneinfo(&tm.stats)
			require.Empty(t, cmp.Diff(want, got))
		})
	}
}

// The rows of vmstat that are about pages have the file's names and order.
// (zoneinfo was read a moment earlier, so the values differ;
// TestTextsReadBack compares values.)
func TestVMStatOfRealMachines(t *testing.T) {
	for _, m := range textMachines {
		t.Run(m.name, func(t *testing.T) {
			tm := machineOfZoneText(t, readProcText(t, m.name, "zoneinfo"))
			got := rowNames(t, tm.build(t, m.profile).VMStat(&tm.stats))
			var want []string
			for _, name := range rowNames(t, readProcText(t, m.name, "vmstat")) {
				if isPageRow(name) {
					want = append(want, name)
				}
				if name == "pgfree" {
					break // what follows are events of reclaim, compaction and so on
				}
			}
			require.Equal(t, want, got)
		})
	}
}

func rowNames(t *testing.T, text string) (names []string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		require.Regexp(t, `^[a-z0-9_]+ \d+$`, line)
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}

// isPageRow says whether a row of vmstat belongs to pages: all that zoneinfo
// shows, and the events of zones.
var pageRow = regexp.MustCompile(`^(pg(alloc|skip)_|allocstall_|pgfree$)`)

func isPageRow(name string) bool {
	_, node := ParseNodeStat(name)
	_, zone := ParseZoneStat(name)
	return node || zone || pageRow.MatchString(name)
}

// readPagetypeText reads /proc/pagetypeinfo: free blocks and pageblocks by
// "node zone", type and order.
func readPagetypeText(t testing.TB, text string) (free map[string]map[string][]uint64, blocks map[string]map[string]uint64) {
	t.Helper()
	free, blocks = map[string]map[string][]uint64{}, map[string]map[string]uint64{}
	row := regexp.MustCompile(`^Node +(\d+), zone +(\w+)(?:, type +(\w+))? (.*)$`)
	var types []string
	for _, line := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "Number of blocks type "); ok {
			types = strings.Fields(rest)
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		zone := m[1] + " " + m[2]
		if m[3] == "" {
			blocks[zone] = map[string]uint64{}
			for i, s := range strings.Fields(m[4]) {
				blocks[zone][types[i]] = mustUint(t, s)
			}
			continue
		}
		if free[zone] == nil {
			free[zone] = map[string][]uint64{}
		}
		for _, s := range strings.Fields(m[4]) {
			free[zone][m[3]] = append(free[zone][m[3]], mustUint(t, strings.TrimPrefix(s, ">")))
		}
	}
	return free, blocks
}

// machineOfLists makes a machine whose pagetypeinfo should be the text. The
// zones' sizes come from the zoneinfo text.
func machineOfLists(t testing.TB, zoneinfo, pagetypeinfo string) *textMachine {
	m := machineOfZoneText(t, zoneinfo)
	m.config.CMA = strings.Contains(pagetypeinfo, "type          CMA")
	free, blocks := readPagetypeText(t, pagetypeinfo)
	for i := range m.config.Zones {
		z := &m.config.Zones[i]
		zone := fmt.Sprintf("%d %s", z.Node, z.Type)
		m.clear(i)
		for o := 10; o >= 0; o-- {
			for mt := range MigrateType(NumMigrateTypes) {
				if n := free[zone][mt.String()]; n != nil {
					m.place(i, o, mt, n[o], -1)
				}
			}
		}
		// The holes come first, then the pageblocks, up to the zone's end.
		first := (z.StartPFN + PFN(z.Spanned) + 1<<9 - 1) &^ (1<<9 - 1)
		for _, n := range blocks[zone] {
			first -= PFN(n) << 9
		}
		for mt := range MigrateType(NumMigrateTypes) {
			if n := blocks[zone][mt.String()]; n > 0 {
				m.state.Zones[i].Blocks = append(m.state.Zones[i].Blocks, BlockRun{First: first, N: n, Type: mt})
				first += PFN(n) << 9
			}
		}
	}
	return m
}

// A machine made from a pagetypeinfo text prints it, every byte.
func TestPagetypeinfoOfRealMachines(t *testing.T) {
	n := 0
	for _, m := range textMachines {
		if _, err := os.Stat(filepath.Join("testdata", "proctext", m.name, "pagetypeinfo")); err != nil {
			continue // two of the published machines have none
		}
		n++
		t.Run(m.name, func(t *testing.T) {
			want := readProcText(t, m.name, "pagetypeinfo")
			a := machineOfLists(t, readProcText(t, m.name, "zoneinfo"), want).build(t, m.profile)
			require.Empty(t, cmp.Diff(want, a.Pagetypeinfo()))
		})
	}
	require.Equal(t, 5, n)
}

// A machine made from a buddyinfo text prints it, every byte.
func TestBuddyinfoOfRealMachines(t *testing.T) {
	for _, m := range textMachines {
		t.Run(m.name, func(t *testing.T) {
			want := readProcText(t, m.name, "buddyinfo")
			tm := machineOfZoneText(t, readProcText(t, m.name, "zoneinfo"))
			for i, line := range strings.Split(strings.TrimSuffix(want, "\n"), "\n") {
				tm.clear(i)
				counts := strings.Fields(line)[4:]
				for o := 10; o >= 0; o-- {
					tm.place(i, o, Movable, mustUint(t, counts[o]), -1)
				}
			}
			require.Empty(t, cmp.Diff(want, tm.build(t, m.profile).Buddyinfo()))
		})
	}
}

// Long lists are counted up to 100,000 only, and marked.
func TestPagetypeinfoOfLongList(t *testing.T) {
	for _, n := range []uint64{99999, 100000, 150000} {
		m := &textMachine{config: Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1, ZoneTypes: []ZoneType{ZoneNormal}}}
		i := m.zone(ZoneConfig{Type: ZoneNormal, Spanned: 1 << 20, Present: 1 << 20, Managed: 1 << 20,
			LowmemReserve: []uint64{0}, PCP: PCPConfig{Batch: 1}})
		m.place(i, 0, Unmovable, n, -1)
		text := m.build(t, Linux6_1).Pagetypeinfo()
		want := map[uint64]string{99999: "type    Unmovable  99999      0 ", 100000: "type    Unmovable >100000      0 ",
			150000: "type    Unmovable >100000      0 "}[n]
		require.Contains(t, text, want)
	}
}
