package buddy

import (
	"fmt"
	"slices"
	"strings"
)

// AllocFailure is a failed request, as the kernel's warn_alloc reports it.
type AllocFailure struct {
	Request Request
	// Comm is the name of the task that asks.
	Comm string
	// CPUSet is the task's cpuset; empty stands for the root, "/".
	CPUSet string
	// MemsAllowed are the nodes that the cpuset allows; 0 stands for all that
	// have memory.
	MemsAllowed NodeMask
	// Stack is what the kernel prints about CPU, task, hardware and calls, whole
	// lines; it may be empty.
	Stack string
	// Stats has what the allocator does not know; nil prints zeros.
	Stats *MemStats
}

// FailureReport gives the text that the kernel logs for a request that failed,
// without time stamps, as the allocator's kernel version prints it (see
// [Allocator.ProcFormat]).
func (a *Allocator) FailureReport(r AllocFailure) string {
	f := a.ProcFormat()
	return f.FailureReport(a, r)
}

// FailureReport gives the "page allocation failure" text in this format: the
// line about the request, r.Stack, and the Mem-Info block. It is empty for
// requests that the kernel fails without a word: those with __GFP_NOWARN, and
// those with __GFP_DMA where the DMA zone has no pages. (The kernel also leaves
// out all but one report in ten seconds.)
func (f *ProcFormat) FailureReport(a *Allocator, r AllocFailure) string {
	gfp := r.Request.GFP
	if gfp.Has(GFPNoWarn) || gfp.Has(GFPDMA) && !f.warnNoDMA && a.managedOf(ZoneDMA) == 0 {
		return ""
	}
	nodemask := "(null)"
	if r.Request.Nodes != 0 {
		nodemask = nodeList(r.Request.Nodes.Has, a.nodes)
	}
	cpuset := r.CPUSet
	if cpuset == "" {
		cpuset = "/"
	}
	allowed := func(n NodeID) bool { return r.MemsAllowed.Has(n) && a.nodePresent(n) > 0 }
	b := fmt.Appendf(nil, "%s: page allocation failure: order:%d, mode:%#x(", r.Comm, r.Request.Order, f.GFP.Number(gfp))
	b = fmt.Appendf(f.GFP.Append(b, gfp), "), nodemask=%s,cpuset=%s,mems_allowed=%s\n%s",
		nodemask, cpuset, nodeList(allowed, a.nodes), r.Stack)
	return string(b) + f.MemInfo(a, MemReport{GFP: gfp, Nodes: r.shownNodes(), CPU: r.Request.CPU, Stats: r.Stats})
}

// managedOf is how many pages the zones of a type manage together.
func (a *Allocator) managedOf(t ZoneType) uint64 {
	sum := uint64(0)
	for i := range a.zones {
		if a.zones[i].typ == t {
			sum += a.zones[i].managed
		}
	}
	return sum
}

// shownNodes are the nodes of the report: those that the request was limited
// to, unless it may go beyond them (warn_alloc_show_mem).
func (r *AllocFailure) shownNodes() NodeMask {
	q := &r.Request
	switch {
	case q.Task&TaskInterrupt != 0 || !q.GFP.Any(GFPDirectReclaim),
		!q.GFP.Has(GFPNoMemalloc) && q.Task&(TaskOOMVictim|TaskMemalloc) != 0:
		return 0
	case q.Nodes != 0:
		return q.Nodes
	}
	return r.MemsAllowed
}

// nodeList prints a set of nodes as the kernel prints bitmaps (%*pbl): "0-2,5".
func nodeList(has func(NodeID) bool, nodes int) string {
	var runs []string
	for n := 0; n < nodes; n++ {
		if !has(NodeID(n)) {
			continue
		}
		first := n
		for n+1 < nodes && has(NodeID(n+1)) {
			n++
		}
		if n == first {
			runs = append(runs, fmt.Sprint(n))
		} else {
			runs = append(runs, fmt.Sprintf("%d-%d", first, n))
		}
	}
	return strings.Join(runs, ",")
}

// MemReport says what a Mem-Info block shows.
type MemReport struct {
	// GFP are the flags of the request that the report is about: zones that it
	// could not use are left out.
	GFP GFP
	// Nodes limits the report; 0 shows all nodes.
	Nodes NodeMask
	// CPU is the CPU that prints, whose per-CPU lists are "local_pcp".
	CPU CPU
	// Stats has what the allocator does not know; nil prints zeros.
	Stats *MemStats
}

// MemInfo gives the Mem-Info block of failure and out-of-memory reports as the
// allocator's kernel version prints it (see [Allocator.ProcFormat]).
func (a *Allocator) MemInfo(r MemReport) string {
	f := a.ProcFormat()
	return f.MemInfo(a, r)
}

// MemInfo gives the Mem-Info block in this format, without time stamps:
// show_mem and show_free_areas.
func (f *ProcFormat) MemInfo(a *Allocator, r MemReport) string {
	m := memInfo{f: f, a: a, r: r, highest: int(a.gfpZone[r.GFP&GFPZoneMask])}
	if m.highest < 0 || f.allZones {
		m.highest = len(a.zoneTypes) - 1
	}
	m.add("Mem-Info:\n")
	m.summary()
	for n := range NodeID(a.nodes) {
		if r.Nodes.Has(n) && m.usable(n) {
			m.node(n)
		}
	}
	for i := range a.zones {
		if z := &a.zones[i]; m.shows(z) {
			m.zone(z)
		}
	}
	for i := range a.zones {
		if z := &a.zones[i]; m.shows(z) {
			m.freeList(z)
		}
	}
	m.hugeTLB()
	m.swap()
	m.totals()
	return string(m.b)
}

// memInfo is a Mem-Info block that is being written.
type memInfo struct {
	f *ProcFormat
	a *Allocator
	r MemReport
	// highest is the index of the highest zone type that is shown.
	highest int
	b       []byte
}

func (m *memInfo) add(format string, args ...any) { m.b = fmt.Appendf(m.b, format, args...) }

// kib converts pages to KiB: K().
func (m *memInfo) kib(pages uint64) uint64 { return pages << (m.a.config.PageShift - 10) }

// shows says whether a zone is part of the report.
func (m *memInfo) shows(z *Zone) bool {
	return z.present > 0 && z.typ <= m.a.zoneTypes[m.highest] && m.r.Nodes.Has(z.node)
}

// usable says whether a node has pages that the request could have used.
func (m *memInfo) usable(n NodeID) bool {
	for i := range m.a.zones {
		z := &m.a.zones[i]
		if z.node == n && z.managed > 0 && z.typ <= m.a.zoneTypes[m.highest] {
			return true
		}
	}
	return false
}

// nodeFields are the node counters of the report by the name they have there.
var nodeFields = map[string]NodeStat{
	"active_anon": NRActiveAnon, "inactive_anon": NRInactiveAnon,
	"active_file": NRActiveFile, "inactive_file": NRInactiveFile, "unevictable": NRUnevictable,
	"isolated_anon": NRIsolatedAnon, "isolated_file": NRIsolatedFile,
	"isolated(anon)": NRIsolatedAnon, "isolated(file)": NRIsolatedFile,
	"mapped": NRMapped, "dirty": NRDirty, "writeback": NRWriteback, "unstable": NRUnstable,
	"shmem": NRShmem, "shmem_thp": NRShmemHugePages, "shmem_pmdmapped": NRShmemPMDMapped,
	"anon_thp": NRAnonHugePages, "writeback_tmp": NRWritebackTemp,
	"slab_reclaimable": NRSlabReclaimable, "slab_unreclaimable": NRSlabUnreclaimable,
	"kernel_stack": NRKernelStack, "pagetables": NRPageTablePages, "sec_pagetables": NRSecPageTablePages,
	"kernel_misc_reclaimable": NRKernelMiscReclaimable, "Balloon": NRBalloonPages,
}

// zoneFields are the zone counters of the report by the name they have there.
var zoneFields = map[string]ZoneStat{
	"free": NRFreePages, "free_cma": NRFreeCMA, "bounce": NRBounce, "mlocked": NRMlock,
	"active_anon": NRZoneActiveAnon, "inactive_anon": NRZoneInactiveAnon,
	"active_file": NRZoneActiveFile, "inactive_file": NRZoneInactiveFile,
	"unevictable": NRZoneUnevictable, "writepending": NRZoneWritePending,
	"kernel_stack": NRZoneKernelStack, "pagetables": NRZonePageTables, "zspages": NRZspages,
}

// summary prints the machine's counters in pages.
func (m *memInfo) summary() {
	for i, line := range strings.Split(m.f.summary, "/") {
		if i > 0 {
			m.add("\n")
		}
		for k, name := range strings.Fields(line) {
			if i+k > 0 {
				m.add(" ")
			}
			m.add("%s:%d", name, m.total(name))
		}
	}
	m.add("\n")
}

// total is a counter of the whole machine, in pages. Page tables are counted by
// zone where the nodes don't show them.
func (m *memInfo) total(name string) uint64 {
	switch name {
	case "free_pcp":
		sum := uint64(0)
		for i := range m.a.zones {
			if z := &m.a.zones[i]; m.shows(z) {
				sum += z.PCPPages()
			}
		}
		return sum
	case "free", "free_cma":
		return m.a.zoneStats(zoneFields[name], m.r.Stats)
	case "bounce":
		if !slices.Contains(m.f.ZoneRows, NRBounce) {
			return 0
		}
		return m.a.zoneStats(NRBounce, m.r.Stats)
	case "pagetables":
		if !strings.Contains(m.f.nodeFields, name) {
			return m.a.zoneStats(NRZonePageTables, m.r.Stats)
		}
	}
	return m.r.Stats.nodes(nodeFields[name])
}

// node prints a node's counters in KiB.
func (m *memInfo) node(n NodeID) {
	m.add("Node %d", n)
	for _, name := range strings.Fields(m.f.nodeFields) {
		v := m.r.Stats.node(n, nodeFields[name])
		gap := ""
		switch name {
		case "all_unreclaimable?":
			answer := "no"
			if m.r.Stats.unreclaimable(n) {
				answer = "yes"
			}
			m.add(" %s %s", name, answer)
			continue
		case "shmem_thp", "shmem_pmdmapped", "anon_thp":
			if m.f.Options.NoTHP {
				continue
			}
			if m.f.thpGap {
				gap = " "
			}
		}
		if name != "kernel_stack" {
			v = m.kib(v)
		}
		m.add(" %s:%s%dkB", name, gap, v)
	}
	m.add("\n")
}

// zoneName prints what a zone's line starts with.
func (m *memInfo) zoneName(z *Zone) {
	if !m.f.Options.NoNUMA {
		m.add("Node %d ", z.node)
	}
	m.add("%s", z.typ)
}

// zone prints a zone's limits and counters in KiB, and its lowmem reserves in
// pages.
func (m *memInfo) zone(z *Zone) {
	m.zoneName(z)
	for _, name := range strings.Fields(m.f.zoneFields) {
		v := m.zoneValue(z, name)
		unit := "kB"
		switch name {
		case "reserved_highatomic", "free_highatomic":
			unit = "KB"
		}
		if name != "kernel_stack" {
			v = m.kib(v)
		}
		m.add(" %s:%d%s", name, v, unit)
	}
	m.add("\nlowmem_reserve[]:")
	for _, v := range z.lowmemReserve {
		m.add(" %d", v)
	}
	m.add("\n")
}

func (m *memInfo) zoneValue(z *Zone, name string) uint64 {
	switch name {
	case "bounce":
		// Without the counter (since 6.16) the report still has the word.
		if !slices.Contains(m.f.ZoneRows, NRBounce) {
			return 0
		}
	case "boost":
		return z.boost
	case "min":
		return z.watermark.Min + z.boost
	case "low":
		return z.watermark.Low + z.boost
	case "high":
		return z.watermark.High + z.boost
	case "reserved_highatomic":
		return z.reservedHighatomic
	case "free_highatomic":
		return uint64(max(z.freeHighatomic, 0))
	case "present":
		return z.present
	case "managed":
		return z.managed
	case "free_pcp":
		return z.PCPPages()
	case "local_pcp":
		if uint(m.r.CPU) < uint(len(z.pcp)) {
			return uint64(z.pcp[m.r.CPU].count)
		}
		return 0
	}
	return m.a.zoneStat(z, zoneFields[name], m.r.Stats)
}

// freeList prints a zone's free blocks by order with the letters of the migrate
// types that have some.
func (m *memInfo) freeList(z *Zone) {
	m.zoneName(z)
	m.add(": ")
	total := uint64(0)
	for o := range m.a.maxOrder {
		n := z.free[o].nrFree
		total += n << o
		m.add("%d*%dkB ", n, m.kib(1)<<o)
		if n > 0 {
			m.add("(%s) ", z.typeLetters(o))
		}
	}
	m.add("= %dkB\n", m.kib(total))
}

// typeLetters names the migrate types with free blocks of an order:
// show_migration_types. E is reclaimable, for "easy".
func (z *Zone) typeLetters(order int) string {
	const letters = "UMEHCI"
	var b strings.Builder
	for t := range z.free[order].lists {
		if z.free[order].lists[t].n > 0 {
			b.WriteByte(letters[t])
		}
	}
	return b.String()
}

// hugeTLB prints the hugetlb pages of each node: hugetlb_show_meminfo.
func (m *memInfo) hugeTLB() {
	if m.r.Stats == nil {
		return
	}
	for n := range NodeID(m.a.nodes) {
		if !m.a.online(n) || !m.r.Nodes.Has(n) {
			continue
		}
		for _, h := range m.r.Stats.HugeTLB {
			var c HugeTLBCount
			if int(n) < len(h.Node) {
				c = h.Node[n]
			}
			m.add("Node %d hugepages_total=%d hugepages_free=%d hugepages_surp=%d hugepages_size=%dkB\n",
				n, c.Total, c.Free, c.Surplus, h.KiB)
		}
	}
}

// swap prints the page cache and swap: show_swap_cache_info.
func (m *memInfo) swap() {
	m.add("%d total pagecache pages\n", m.r.Stats.nodes(NRFilePages))
	if m.f.Options.NoSwap {
		return
	}
	var s MemStats
	if m.r.Stats != nil {
		s = *m.r.Stats
	}
	m.add("%d pages in swap cache\n", s.nodes(NRSwapCached))
	if m.f.swapCacheStats {
		m.add("Swap cache stats: add %d, delete %d, find %d/%d\n",
			s.SwapCacheAdd, s.SwapCacheDelete, s.SwapCacheFound, s.SwapCacheLookups)
	}
	m.add("Free swap  = %dkB\nTotal swap = %dkB\n", m.kib(s.SwapFree), m.kib(s.SwapTotal))
}

// totals prints the machine's memory, all zones and nodes.
func (m *memInfo) totals() {
	var ram, high, reserved, cma uint64
	for i := range m.a.zones {
		z := &m.a.zones[i]
		ram += z.present
		reserved += z.present - z.managed
		cma += z.cmaPages
		if m.a.isHighMem(z.typ) {
			high += z.present
		}
	}
	m.add("%d pages RAM\n%d pages HighMem/MovableOnly\n%d pages reserved\n", ram, high, reserved)
	if m.a.cma {
		m.add("%d pages cma reserved\n", cma)
	}
	if !m.f.Options.NoMemoryFailure {
		poisoned := uint64(0)
		if m.r.Stats != nil {
			poisoned = m.r.Stats.HWPoisoned
		}
		m.add("%d pages hwpoisoned\n", poisoned)
	}
}
