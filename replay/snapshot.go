package replay

import (
	"fmt"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// machineOf turns a snapshot into a machine and the state of its lists. extra
// may be nil; cma says whether the kernel has CONFIG_CMA.
func machineOf(s *trace.Snapshot, extra *trace.SnapshotExtra, cma bool) (buddy.Config, *buddy.State, error) {
	c := buddy.Config{PageShift: s.PageShift, PageblockOrder: buddy.Order(s.PageblockOrder),
		MaxOrder: buddy.Order(s.MaxOrder), CMA: cma}
	st := &buddy.State{}
	var err error
	if c.ZoneTypes, err = zoneTypes(s); err != nil {
		return c, nil, err
	}
	for i := range s.Zones {
		for _, p := range s.Zones[i].PCPs {
			c.CPUs = max(c.CPUs, p.CPU+1)
		}
	}
	c.CPUs = max(c.CPUs, 1)
	if c.CPUs > 1<<13 {
		return c, nil, fmt.Errorf("replay: the snapshot has %d CPUs", c.CPUs)
	}
	for i := range s.Zones {
		zc, zs, err := zoneOf(s, &s.Zones[i], c.ZoneTypes, cma)
		if err != nil {
			return c, nil, err
		}
		c.Zones = append(c.Zones, zc)
		st.Zones = append(st.Zones, zs)
	}
	c.CPUNode = cpuNodes(&c)
	for i := range c.Zones {
		z := &c.Zones[i]
		z.StatThreshold = buddy.NormalStatThreshold(z.Managed, c.PageShift, c.CPUs)
	}
	if extra != nil {
		applyExtra(&c, st, extra)
	}
	return c, st, nil
}

// zoneTypes are the types of the zones in the snapshot and those that the
// lowmem_reserve lists count, with ZONE_MOVABLE, which every kernel has.
func zoneTypes(s *trace.Snapshot) ([]buddy.ZoneType, error) {
	have := [buddy.NumZoneTypes]bool{buddy.ZoneNormal: true, buddy.ZoneMovable: true}
	reserves := 0
	for i := range s.Zones {
		t, err := buddy.ParseZoneType(s.Zones[i].Name)
		if err != nil {
			return nil, err
		}
		have[t] = true
		reserves = max(reserves, len(s.Zones[i].LowmemReserve))
	}
	if reserves >= 3 && !have[buddy.ZoneHighMem] {
		have[buddy.ZoneDMA], have[buddy.ZoneDMA32] = true, true
	}
	var types []buddy.ZoneType
	for t, h := range have {
		if h {
			types = append(types, buddy.ZoneType(t))
		}
	}
	return types, nil
}

func zoneOf(s *trace.Snapshot, z *trace.SnapshotZone, types []buddy.ZoneType, cma bool) (buddy.ZoneConfig, buddy.ZoneState, error) {
	t, _ := buddy.ParseZoneType(z.Name)
	zc := buddy.ZoneConfig{
		Node: buddy.NodeID(z.Node), Type: t, StartPFN: buddy.PFN(z.StartPFN),
		Spanned: z.Spanned, Present: z.Present, Managed: z.Managed,
		Watermark: buddy.Watermarks{Min: z.Min, Low: z.Low, High: z.High, Promo: z.Promo},
		Boost:     z.Boost,
	}
	// Snapshots give the reserves up to the last zone type that has memory;
	// higher types keep the last value.
	zc.LowmemReserve = make([]uint64, len(types))
	for i := range zc.LowmemReserve {
		if n := len(z.LowmemReserve); n > 0 {
			zc.LowmemReserve[i] = z.LowmemReserve[min(i, n-1)]
		}
	}
	zc.PCP.Batch = 1
	zs := buddy.ZoneState{Boost: z.Boost, ReservedHighatomic: z.HighAtomic}
	for _, l := range z.Free {
		mt, ok := buddy.MigrateTypeFromKernel(l.MigrateType, cma)
		if !ok || l.Order < 0 || l.Order >= buddy.MaxOrders {
			return zc, zs, fmt.Errorf("replay: snapshot %d zone %s: free list of order %d, migrate type %d: out of range", s.Seq, z.Name, l.Order, l.MigrateType)
		}
		zs.Free[l.Order][mt] = append(zs.Free[l.Order][mt], pfns(l.PFNs)...)
	}
	for _, p := range z.PCPs {
		for len(zs.PCP) <= p.CPU {
			zs.PCP = append(zs.PCP, buddy.PCPState{})
		}
		if err := pcpOf(&zs.PCP[p.CPU], &p); err != nil {
			return zc, zs, fmt.Errorf("replay: snapshot %d zone %s: %w", s.Seq, z.Name, err)
		}
		zc.PCP = buddy.PCPConfig{Batch: max(zs.PCP[p.CPU].Batch, 1), High: zs.PCP[p.CPU].High,
			HighMin: zs.PCP[p.CPU].HighMin, HighMax: zs.PCP[p.CPU].HighMax}
	}
	for _, b := range z.Pageblocks {
		if b.MigrateType < 0 { // a hole
			continue
		}
		mt, ok := buddy.MigrateTypeFromKernel(b.MigrateType, cma)
		if !ok {
			return zc, zs, fmt.Errorf("replay: snapshot %d zone %s: pageblock %d has migrate type %d", s.Seq, z.Name, b.FirstPFN, b.MigrateType)
		}
		zs.Blocks = append(zs.Blocks, buddy.BlockRun{First: buddy.PFN(b.FirstPFN), N: b.N, Type: mt})
		if mt == buddy.CMA {
			zc.CMAPages += b.N << s.PageblockOrder
		}
	}
	return zc, zs, nil
}

func pcpOf(out *buddy.PCPState, p *trace.SnapshotPCP) error {
	const limit = 1 << 30
	if max(p.Count, p.High, p.Batch, p.HighMin, p.HighMax) > limit {
		return fmt.Errorf("cpu %d: limits out of range", p.CPU)
	}
	*out = buddy.PCPState{Count: int(p.Count), High: int(p.High), Batch: int(p.Batch), HighMin: int(p.HighMin), HighMax: int(p.HighMax),
		FreeFactor: p.FreeFactor, AllocFactor: p.AllocFactor, FreeCount: p.FreeCount, Expire: p.Expire, Flags: uint8(p.Flags)}
	for _, l := range p.Lists {
		if l.PIndex < 0 || l.PIndex >= buddy.NumPCPLists {
			return fmt.Errorf("cpu %d has a list %d; this model has %d", p.CPU, l.PIndex, buddy.NumPCPLists)
		}
		out.Lists[l.PIndex] = pfns(l.PFNs)
	}
	return nil
}

func pfns(in []uint64) []buddy.PFN {
	out := make([]buddy.PFN, len(in))
	for i, p := range in {
		out[i] = buddy.PFN(p)
	}
	return out
}

// cpuNodes puts each CPU on a node. A snapshot does not tell: CPUs are dealt out
// evenly in blocks, until [pageTrace.cpuNodes] knows better.
func cpuNodes(c *buddy.Config) []buddy.NodeID {
	nodes := 1
	for i := range c.Zones {
		nodes = max(nodes, int(c.Zones[i].Node)+1)
	}
	out := make([]buddy.NodeID, c.CPUs)
	for cpu := range out {
		out[cpu] = buddy.NodeID(min(cpu*nodes/c.CPUs, nodes-1))
	}
	return out
}

// cpuNodes corrects the CPUs' nodes: a CPU belongs to the node that gave it most
// of the pages it asked for without naming a node.
func (t *pageTrace) cpuNodes(c *buddy.Config) {
	if c.Nodes() == 1 {
		return
	}
	counts := make([][]int, c.CPUs)
	for i := range t.n {
		rec := t.at(i)
		if rec.kind != trace.KindMMPageAlloc || rec.cpu < 0 || int(rec.cpu) >= c.CPUs || t.gfps[rec.gfp].Any(buddy.GFPThisNode) {
			continue
		}
		if counts[rec.cpu] == nil {
			counts[rec.cpu] = make([]int, c.Nodes())
		}
		for z := range c.Zones {
			if zc := &c.Zones[z]; buddy.PFN(rec.pfn) >= zc.StartPFN && buddy.PFN(rec.pfn) < zc.StartPFN+buddy.PFN(zc.Spanned) {
				counts[rec.cpu][zc.Node]++
				break
			}
		}
	}
	for cpu, byNode := range counts {
		for node, n := range byNode {
			if n > byNode[c.CPUNode[cpu]] {
				c.CPUNode[cpu] = buddy.NodeID(node)
			}
		}
	}
}

// applyExtra takes over the counters that decide about CMA and watermarks.
func applyExtra(c *buddy.Config, st *buddy.State, x *trace.SnapshotExtra) {
	for i := range c.Zones {
		for _, z := range x.Zones {
			if z.Node != int(c.Zones[i].Node) || z.Name != c.Zones[i].Type.String() {
				continue
			}
			st.Zones[i].Counted = true
			st.Zones[i].FreePages, st.Zones[i].FreeCMA = z.NrFreePages, z.NrFreeCMA
			for _, p := range z.CPUs {
				if p.CPU < 0 || p.CPU >= len(st.Zones[i].PCP) {
					continue
				}
				st.Zones[i].PCP[p.CPU].FreeDiff, st.Zones[i].PCP[p.CPU].CMADiff = int64(p.FreePagesDiff), int64(p.FreeCMADiff)
				c.Zones[i].StatThreshold = p.StatThreshold
			}
		}
	}
}

// hasCMA says whether a /proc/pagetypeinfo text names the type CMA.
func hasCMA(pagetypeinfo string) bool { return strings.Contains(pagetypeinfo, "type          CMA") }
