package buddy

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"

	"pgregory.net/rapid"
)

// drawConfig draws a machine: one or two nodes, one to four CPUs, any ratio of
// pageblock and largest block, zones that need not be aligned.
func drawConfig(t *rapid.T) Config {
	block := rapid.IntRange(1, 6).Draw(t, "pageblockOrder")
	c := Config{
		PageShift: 12, PageblockOrder: Order(block), MaxOrder: Order(block + rapid.IntRange(1, 3).Draw(t, "ordersAbove")),
		CMA:  rapid.Bool().Draw(t, "cma"),
		CPUs: rapid.IntRange(1, 4).Draw(t, "cpus"),
		ZoneTypes: rapid.SampledFrom([][]ZoneType{
			{ZoneNormal},
			{ZoneNormal, ZoneHighMem, ZoneMovable},
			{ZoneDMA, ZoneNormal},
			{ZoneDMA32, ZoneNormal, ZoneMovable},
			{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice},
		}).Draw(t, "zoneTypes"),
	}
	nodes := rapid.IntRange(1, 2).Draw(t, "nodes")
	for range c.CPUs {
		c.CPUNode = append(c.CPUNode, NodeID(rapid.IntRange(0, nodes-1).Draw(t, "cpuNode")))
	}
	start := PFN(rapid.IntRange(0, 3).Draw(t, "firstBlock") << block)
	for n := range nodes {
		for i, typ := range c.ZoneTypes {
			last := n == nodes-1 && i == len(c.ZoneTypes)-1 && len(c.Zones) == 0
			if typ == ZoneDevice || !last && !rapid.Bool().Draw(t, "hasZone") {
				continue
			}
			z := drawZone(t, &c, start, block)
			z.Node, z.Type = NodeID(n), typ
			start = z.StartPFN + PFN(z.Spanned)
			if c.CMA {
				start = (start + 1<<block - 1) >> block << block
			}
			c.Zones = append(c.Zones, z)
		}
	}
	if len(c.Zones) == 0 {
		z := drawZone(t, &c, start, block)
		z.Type = ZoneNormal
		c.Zones = append(c.Zones, z)
	}
	return c
}

func drawZone(t *rapid.T, c *Config, start PFN, block int) ZoneConfig {
	pages := uint64(rapid.OneOf(rapid.IntRange(2, 14), rapid.IntRange(2, 240>>block)).Draw(t, "blocks")) << block
	if !c.CMA {
		// Zones that share a pageblock.
		pages -= uint64(rapid.IntRange(0, 1<<block-1).Draw(t, "short"))
	}
	low := uint64(rapid.IntRange(0, int(pages/8)).Draw(t, "min"))
	high := rapid.IntRange(0, 40).Draw(t, "high")
	z := ZoneConfig{
		StartPFN: start, Spanned: pages, Present: pages, Managed: pages,
		Watermark:     Watermarks{Min: low, Low: low + low/4, High: low + low/2},
		StatThreshold: rapid.IntRange(0, 6).Draw(t, "statThreshold"),
		PCP:           PCPConfig{Batch: rapid.IntRange(1, 9).Draw(t, "batch"), High: high, HighMin: high, HighMax: high},
	}
	if rapid.Bool().Draw(t, "autoTuned") {
		z.PCP.HighMax += rapid.IntRange(1, 60).Draw(t, "highRange")
	}
	for range c.ZoneTypes {
		z.LowmemReserve = append(z.LowmemReserve, uint64(rapid.IntRange(0, int(pages/16)).Draw(t, "reserve")))
	}
	return z
}

// fingerprint is a hash of everything an allocator knows: its lists, counters
// and the metadata of its pages.
func fingerprint(a *Allocator) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", *a.State())
	for i := range a.zones {
		z := &a.zones[i]
		fmt.Fprintf(h, "%+v %d %v %v %v %d %d", z.Stats(), z.freeHighatomic, z.boosted, z.belowHigh, z.reclaimActive, z.isolatedBlocks, z.cmaPages)
	}
	dumpBlocks(h, a)
	return h.Sum64()
}

// dumpBlocks writes what starts at each page frame.
func dumpBlocks(w io.Writer, a *Allocator) {
	for _, b := range blocksOf(a) {
		fmt.Fprintln(w, b)
	}
}

// knownBlock is a block as the page metadata tells it.
type knownBlock struct {
	pfn   uint32
	state pageState
	order uint8
	mt    MigrateType
	info  uint32
	zone  uint8
}

// blocksOf lists the blocks that the page metadata tells of, by address.
func blocksOf(a *Allocator) []knownBlock {
	var out []knownBlock
	for i := range a.top {
		start := uint32(i) << a.topOrder
		if p := &a.top[i]; p.state != pageNone {
			out = append(out, knownBlock{start, p.state, p.order, p.mt, p.info, p.zone})
		}
		if s := a.sections[start>>sectionShift]; s != nil {
			for n, p := range s[start&sectionMask:][:1<<a.topOrder] {
				if p.state != pageNone {
					out = append(out, knownBlock{start + uint32(n), p.state, p.order, p.mt, p.info, p.zone})
				}
			}
		}
	}
	return out
}

// memoryMap draws pages as characters, a pageblock a word: '.' unknown, '_'
// free, 'p' on a per-CPU list, '#' allocated, 'i' isolated, '+' being freed.
// Upper and lower case tell neighbouring blocks apart ('#' and '=').
func memoryMap(a *Allocator) string {
	pages := []byte(strings.Repeat(".", len(a.blockTypes)<<a.pageblockOrder))
	marks := map[pageState]string{pageBuddy: "_-", pagePCP: "pP", pageAllocated: "#=", pagePrepared: "+*", pageIsolated: "iI"}
	for i, b := range blocksOf(a) {
		for n := range uint32(1) << b.order {
			pages[b.pfn+n] = marks[b.state][i%2]
		}
	}
	var out strings.Builder
	for b, t := range a.blockTypes {
		fmt.Fprintf(&out, " %c:%s", MigrateType(t).String()[0], pages[b<<a.pageblockOrder:(b+1)<<a.pageblockOrder])
	}
	return strings.TrimSpace(out.String())
}
