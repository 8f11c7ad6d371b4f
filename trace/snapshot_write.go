package trace

import (
	"bufio"
	"fmt"
	"io"
)

// snapshotWriter writes the records of a snapshot and counts.
type snapshotWriter struct {
	w   *bufio.Writer
	n   int64
	buf []byte
	err error
}

// newSnapshotWriter writes to w.
func newSnapshotWriter(w io.Writer) *snapshotWriter {
	return &snapshotWriter{w: bufio.NewWriter(w)}
}

// end writes what is left.
func (s *snapshotWriter) end() (int64, error) {
	if err := s.w.Flush(); s.err == nil {
		s.err = err
	}
	return s.n, s.err
}

// printf writes a formatted text.
func (s *snapshotWriter) printf(format string, args ...any) {
	s.buf = fmt.Appendf(s.buf[:0], format, args...)
	s.write()
}

// write writes the buffer.
func (s *snapshotWriter) write() {
	n, err := s.w.Write(s.buf)
	s.n += int64(n)
	if s.err == nil {
		s.err = err
	}
}

// numbers writes a list's decimal numbers and ends the line.
func (s *snapshotWriter) numbers(list []uint64) {
	s.buf = s.buf[:0]
	for _, v := range list {
		s.buf = appendUint(append(s.buf, ' '), v)
	}
	s.buf = append(s.buf, '\n')
	s.write()
}

// addresses writes a list's addresses and ends the line.
func (s *snapshotWriter) addresses(list []uint64) {
	s.buf = s.buf[:0]
	for _, v := range list {
		s.buf = appendHex(append(s.buf, ' '), v)
	}
	s.buf = append(s.buf, '\n')
	s.write()
}

// seconds formats nanoseconds as seconds with six decimals.
func seconds(ns uint64) string {
	return fmt.Sprintf("%d.%06d", ns/1_000_000_000, ns%1_000_000_000/1000)
}

// bit gives 1 for true.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// WriteTo writes the snapshot as the text that [ReadSnapshot] reads, in the
// order in which the captures have it; a text of theirs comes out the same to
// the byte. Fields in Unknown are not written.
func (p *Snapshot) WriteTo(w io.Writer) (int64, error) {
	s := newSnapshotWriter(w)
	s.header(p)
	for i := range p.Zones {
		s.zone(&p.Zones[i])
	}
	for i := range p.Caches {
		s.cache(&p.Caches[i])
	}
	for i := range p.Slabs {
		b := &p.Slabs[i]
		s.printf("slab pfn=%d order=%d cache=%s inuse=%d objects=%d frozen=%d freelist:", b.PFN, b.Order, b.Cache, b.Inuse, b.Objects, bit(b.Frozen))
		s.addresses(b.Freelist)
	}
	if p.HasSlabTime {
		s.printf("slabtime st0=%s st1=%s\n", seconds(p.SlabT0), seconds(p.SlabT1))
	}
	s.printf("end seq=%d\n", p.Seq)
	return s.end()
}

// header writes the first line.
func (s *snapshotWriter) header(p *Snapshot) {
	s.printf("ksnap 1 seq=%d kernel=%s page_shift=%d pageblock_order=%d max_order=%d nr_pcp_lists=%d",
		p.Seq, p.Kernel, p.PageShift, p.PageblockOrder, p.MaxOrder, p.NrPCPLists)
	if p.PageOffset != 0 {
		s.printf(" page_offset=%x", p.PageOffset)
	}
	if p.HasTrigger {
		s.printf(" by=%s t0=%s t1=%s trigger_pfn=%d trigger_order=%d trigger_mt=%d cpu=%d",
			p.By, seconds(p.T0), seconds(p.T1), p.TriggerPFN, p.TriggerOrder, p.TriggerMT, p.CPU)
	}
	s.printf("\n")
}

// zone writes a zone and its lists.
func (s *snapshotWriter) zone(z *SnapshotZone) {
	s.printf("zone node=%d name=%s start_pfn=%d spanned=%d present=%d managed=%d min=%d low=%d high=%d promo=%d boost=%d lowmem_reserve=",
		z.Node, z.Name, z.StartPFN, z.Spanned, z.Present, z.Managed, z.Min, z.Low, z.High, z.Promo, z.Boost)
	for i, v := range z.LowmemReserve {
		if i > 0 {
			s.printf(",")
		}
		s.printf("%d", v)
	}
	s.printf(" highatomic=%d", z.HighAtomic)
	if z.AutoHigh {
		s.printf(" high_min=%d high_max=%d batch=%d nr_free_pages=%d", z.HighMin, z.HighMax, z.Batch, z.NrFreePages)
	}
	s.printf("\n")
	for i := range z.Free {
		s.printf("free order=%d mt=%d:", z.Free[i].Order, z.Free[i].MigrateType)
		s.numbers(z.Free[i].PFNs)
	}
	for order, n := range z.NrFree {
		s.printf("nr_free order=%d n=%d\n", order, n)
	}
	for i := range z.PCPs {
		s.pcp(z, &z.PCPs[i])
	}
	for _, b := range z.Pageblocks {
		s.printf("pageblocks first_pfn=%d n=%d mt=%d\n", b.FirstPFN, b.N, b.MigrateType)
	}
}

// pcp writes a per-CPU page list.
func (s *snapshotWriter) pcp(z *SnapshotZone, p *SnapshotPCP) {
	s.printf("pcp cpu=%d count=%d high=%d", p.CPU, p.Count, p.High)
	if z.AutoHigh {
		s.printf(" high_min=%d high_max=%d batch=%d flags=%d alloc_factor=%d expire=%d free_count=%d",
			p.HighMin, p.HighMax, p.Batch, p.Flags, p.AllocFactor, p.Expire, p.FreeCount)
	} else {
		s.printf(" batch=%d free_factor=%d", p.Batch, p.FreeFactor)
	}
	if p.HasTimes {
		s.printf(" ts0=%s ts1=%s", seconds(p.TS0), seconds(p.TS1))
	}
	s.printf("\n")
	for i := range p.Lists {
		s.printf("pcplist cpu=%d pindex=%d:", p.CPU, p.Lists[i].PIndex)
		s.numbers(p.Lists[i].PFNs)
	}
}

// cache writes a cache and its lists.
func (s *snapshotWriter) cache(c *SnapshotCache) {
	s.printf("cache name=%s ptr=%x size=%d object_size=%d inuse=%d align=%d offset=%d red_left_pad=%d order=%d objects=%d min_order=%d min_objects=%d",
		c.Name, c.Ptr, c.Size, c.ObjectSize, c.Inuse, c.Align, c.Offset, c.RedLeftPad, c.Order, c.Objects, c.MinOrder, c.MinObjects)
	s.printf(" flags=%x min_partial=%d cpu_partial=%d cpu_partial_slabs=%d refcount=%d ctor=%d",
		c.Flags, c.MinPartial, c.CPUPartial, c.CPUPartialSlabs, c.RefCount, c.Ctor)
	if c.HasSheaves {
		s.printf(" sheaf_capacity=%d", c.SheafCapacity)
	}
	s.printf("\n")
	if c.RandomSeq != nil {
		s.printf("random_seq:")
		for _, v := range c.RandomSeq {
			s.printf(" %d", v)
		}
		s.printf("\n")
	}
	for i := range c.CPUSlabs {
		s.cpuSlab(&c.CPUSlabs[i])
	}
	for _, p := range c.NodePartial {
		s.printf("nodepartial node=%d nr=%d:", p.Node, len(p.Slabs))
		s.addresses(p.Slabs)
	}
	for i := range c.Barns {
		s.barn(&c.Barns[i])
	}
}

// cpuSlab writes what a CPU holds of a cache.
func (s *snapshotWriter) cpuSlab(c *SnapshotCPUSlab) {
	if c.HasSlab {
		s.printf("cpuslab cpu=%d slab=%x freelist:", c.CPU, c.Slab)
		s.addresses(c.Freelist)
	}
	if c.HasPartial {
		s.printf("cpupartial cpu=%d slabs=%d:", c.CPU, len(c.Partial))
		s.addresses(c.Partial)
	}
	for _, sheaf := range c.Sheaves {
		s.printf("sheaf cpu=%d kind=%s size=%d:", c.CPU, sheaf.Kind, len(sheaf.Objects))
		s.addresses(sheaf.Objects)
	}
}

// barn writes a node's store of sheaves.
func (s *snapshotWriter) barn(b *SnapshotBarn) {
	s.printf("barn nr_full=%d\n", len(b.Full))
	for _, objects := range b.Full {
		s.printf("barnsheaf full size=%d:", len(objects))
		s.addresses(objects)
	}
	s.printf("barn nr_empty=%d\n", b.NrEmpty)
}

// WriteTo writes x as the text that [ReadSnapshotExtra] reads. Fields in
// Unknown are not written.
func (x *SnapshotExtra) WriteTo(w io.Writer) (int64, error) {
	s := newSnapshotWriter(w)
	s.printf("ksnap_extra 1 seq=%d mt_names=", x.Seq)
	for i, name := range x.MTNames {
		if i > 0 {
			s.printf(",")
		}
		s.printf("%s", name)
	}
	s.printf(" kmalloc_min_size=%d kmalloc_shift_low=%d arch_slab_minalign=%d sections=%d\n",
		x.KmallocMinSize, x.KmallocShiftLow, x.ArchSlabMinalign, x.Sections)
	for i := range x.Zones {
		z := &x.Zones[i]
		s.printf("zonestat node=%d name=%s nr_free_pages=%d nr_free_cma=%d cma_pages=%d percpu_drift_mark=%d highest_zoneidx=%d\n",
			z.Node, z.Name, z.NrFreePages, z.NrFreeCMA, z.CMAPages, z.PercpuDriftMark, z.HighestZoneIdx)
		for _, c := range z.CPUs {
			s.printf("zonestatcpu node=%d name=%s cpu=%d free_pages_diff=%d free_cma_diff=%d stat_threshold=%d\n",
				z.Node, z.Name, c.CPU, c.FreePagesDiff, c.FreeCMADiff, c.StatThreshold)
		}
	}
	return s.end()
}
