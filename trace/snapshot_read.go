package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds of a snapshot's small numbers. They only keep nonsense out; kernels
// stay far below.
const (
	maxPageShift   = 30
	maxOrders      = 32
	maxPCPLists    = 64
	maxMigrateType = 15
	maxCPU         = 1<<16 - 1
	maxNode        = 1<<16 - 1
)

// ReadSnapshot reads a "ksnap 1" text from r, gzip recognized by content; name
// stands for it in errors. The text is checked as far as it can be without
// knowing the kernel: what is said twice must agree, no page is in two lists,
// every block lies aligned in its zone, the last line ends the snapshot that
// the first one began. Faults are a [ParseError]. Memory grows with the text's
// length only.
func ReadSnapshot(r io.Reader, name string) (*Snapshot, error) {
	lines, err := newLineReader(r, name, maxSnapshotLine)
	if err != nil {
		return nil, err
	}
	s := snapshotReader{rec: record{lines: lines}}
	if err := s.read(); err != nil {
		return nil, err
	}
	return &s.snap, nil
}

// snapshotReader is the state while a snapshot is read.
type snapshotReader struct {
	rec    record
	snap   Snapshot
	zone   *SnapshotZone  // the zone whose lines come now
	cache  *SnapshotCache // the cache whose lines come now
	blocks []blockKey     // every block of a list, for the overlap check
	lists  []blockList    // where they stand
	names  map[string]int // caches' indexes by name
	ptrs   map[uint64]bool

	inBarn   bool   // the full sheaves of a barn come now
	barnFull uint64 // how many it said
}

// read reads the whole text.
func (s *snapshotReader) read() error {
	if err := s.rec.next(); err != nil {
		return s.cut(err, `"ksnap 1"`)
	}
	if err := s.header(); err != nil {
		return err
	}
	for {
		if err := s.rec.next(); err != nil {
			return s.cut(err, fmt.Sprintf(`"end seq=%d"`, s.snap.Seq))
		}
		if s.rec.word == "end" {
			return s.end()
		}
		s.dispatch()
		if s.rec.err != nil {
			return s.rec.err
		}
		s.snap.Unknown = s.rec.unknown(s.snap.Unknown)
	}
}

// cut turns the end of the file into an error that says what is missing.
func (s *snapshotReader) cut(err error, expected string) error {
	if errors.Is(err, io.EOF) {
		s.rec.lines.line++
		return s.rec.lines.fail("end of file", expected)
	}
	return err
}

// header reads the first line.
func (s *snapshotReader) header() error {
	r, p := &s.rec, &s.snap
	if r.word != "ksnap" || r.note != "1" {
		return r.lines.fail(quote(r.line), `"ksnap 1 seq=..."`)
	}
	p.Seq = r.uint32("seq")
	p.Kernel = string(r.text("kernel"))
	p.PageShift = r.int("page_shift", maxPageShift)
	p.PageblockOrder = r.int("pageblock_order", maxOrders)
	p.MaxOrder = r.int("max_order", maxOrders)
	p.NrPCPLists = r.int("nr_pcp_lists", maxPCPLists)
	if r.has("page_offset") {
		p.PageOffset = r.hex("page_offset")
	}
	if r.has("by") {
		p.HasTrigger = true
		p.By = string(r.text("by"))
		p.T0, p.T1 = r.seconds("t0"), r.seconds("t1")
		p.TriggerPFN = r.pages("trigger_pfn")
		p.TriggerOrder = r.int("trigger_order", maxOrders)
		p.TriggerMT = r.int("trigger_mt", maxMigrateType)
		if r.has("cpu") {
			p.CPU = r.int("cpu", maxCPU)
		}
	}
	p.Unknown = r.unknown(p.Unknown)
	return r.err
}

// dispatch reads the current record.
func (s *snapshotReader) dispatch() {
	if w := s.rec.word; w != "barn" && w != "barnsheaf" {
		s.endBarn()
	}
	switch s.rec.word {
	case "zone":
		s.readZone()
	case "free", "nr_free", "pcp", "pcplist", "pageblocks":
		if s.zone == nil {
			s.rec.fail(s.rec.line, "a zone before it")
			return
		}
		s.zoneRecord()
	case "cache":
		s.readCache()
	case "random_seq:", "cpuslab", "cpupartial", "nodepartial", "sheaf", "barn", "barnsheaf":
		if s.cache == nil {
			s.rec.fail(s.rec.line, "a cache before it")
			return
		}
		s.cacheRecord()
	case "slab":
		s.readSlab()
	case "slabtime":
		s.readSlabTime()
	default:
		s.rec.fail(s.rec.line, "a record of a snapshot")
	}
}

// end reads the last line and checks what can only be checked at the end.
func (s *snapshotReader) end() error {
	r := &s.rec
	s.endZone()
	s.endBarn()
	if seq := r.uint32("seq"); seq != s.snap.Seq {
		r.failf(fmt.Sprintf("the end of snapshot %d", s.snap.Seq), "the end of snapshot %d", seq)
	}
	if r.err != nil {
		return r.err
	}
	s.snap.Unknown = r.unknown(s.snap.Unknown)
	switch err := r.next(); {
	case err == nil:
		return r.lines.fail(quote(r.line), "nothing after the end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return s.checkOverlap()
}

// readZone reads a zone line.
func (s *snapshotReader) readZone() {
	s.endZone()
	r := &s.rec
	z := SnapshotZone{Node: r.int("node", maxNode), Name: string(r.text("name"))}
	z.StartPFN, z.Spanned = r.pages("start_pfn"), r.pages("spanned")
	z.Present, z.Managed = r.pages("present"), r.pages("managed")
	z.Min, z.Low, z.High, z.Promo = r.pages("min"), r.pages("low"), r.pages("high"), r.pages("promo")
	z.Boost, z.HighAtomic = r.pages("boost"), r.pages("highatomic")
	z.LowmemReserve = r.commaList("lowmem_reserve")
	if r.has("high_min") {
		z.AutoHigh = true
		z.HighMin, z.HighMax = r.pages("high_min"), r.pages("high_max")
		z.Batch, z.NrFreePages = r.pages("batch"), r.pages("nr_free_pages")
	}
	if z.StartPFN+z.Spanned > maxPFN || z.Present > z.Spanned || z.Managed > z.Present {
		r.failf("managed <= present <= spanned, all in the physical address space",
			"start_pfn=%d spanned=%d present=%d managed=%d", z.StartPFN, z.Spanned, z.Present, z.Managed)
	}
	for i := range s.snap.Zones {
		if o := &s.snap.Zones[i]; o.Node == z.Node && o.Name == z.Name {
			r.failf("each zone once", "zone %s of node %d again", z.Name, z.Node)
		}
	}
	s.snap.Zones = append(s.snap.Zones, z)
	s.zone, s.cache = &s.snap.Zones[len(s.snap.Zones)-1], nil
}

// endZone checks what the current zone's lines must have said together.
func (s *snapshotReader) endZone() {
	z := s.zone
	if z == nil {
		return
	}
	s.zone = nil
	if len(z.NrFree) != s.snap.MaxOrder {
		s.rec.failf(fmt.Sprintf("%d orders", s.snap.MaxOrder), "zone %s with nr_free of %d orders", z.Name, len(z.NrFree))
	}
	for i := range z.PCPs {
		p := &z.PCPs[i]
		var listed uint64
		for j := range p.Lists {
			listed += uint64(len(p.Lists[j].PFNs)) << s.snap.PCPOrder(p.Lists[j].PIndex)
		}
		if listed != p.Count {
			s.disagree(s.zoneLocked(z) && p.CPU == s.snap.CPU, "as many pages in its lists", "zone %s cpu=%d count=%d with %d pages in its lists", z.Name, p.CPU, p.Count, listed)
		}
	}
	size := uint64(1) << s.snap.PageblockOrder
	if n := len(z.Pageblocks); n == 0 || z.Pageblocks[n-1].FirstPFN+z.Pageblocks[n-1].N*size < z.StartPFN+z.Spanned {
		s.rec.failf("pageblocks up to the zone's end", "zone %s with %d runs of pageblocks", z.Name, n)
	}
}

// zoneLocked says whether the zone's lists could not change while they were
// read.
func (s *snapshotReader) zoneLocked(z *SnapshotZone) bool {
	return !s.snap.HasTrigger || s.snap.TriggerPFN-z.StartPFN < z.Spanned
}

// disagree notes that two places say different things: an error if both were
// held still, else torn.
func (s *snapshotReader) disagree(still bool, expected, format string, args ...any) {
	if still || !s.snap.HasTrigger {
		s.rec.failf(expected, format, args...)
		return
	}
	s.snap.Torn = append(s.snap.Torn, &ParseError{
		File: s.rec.lines.name, Line: s.rec.lines.line, Found: fmt.Sprintf(format, args...), Expected: expected,
	})
}

// commaList reads "0,1940,1940".
func (r *record) commaList(key string) []uint64 {
	text := r.text(key)
	var out []uint64
	for item := range bytes.SplitSeq(text, []byte(",")) {
		v, ok := parseDecimal(item)
		if !ok || v > maxPFN {
			r.fail(text, "numbers with commas between as "+key)
			return nil
		}
		out = append(out, v)
	}
	return out
}

// zoneRecord reads a line of the current zone.
func (s *snapshotReader) zoneRecord() {
	r := &s.rec
	switch r.word {
	case "free":
		s.readFree()
	case "nr_free":
		s.readNrFree()
	case "pcp":
		s.readPCP()
	case "pcplist":
		s.readPCPList()
	default:
		s.readPageblocks()
	}
}

// readFree reads one free list.
func (s *snapshotReader) readFree() {
	r := &s.rec
	f := FreeList{Order: s.order("order"), MigrateType: r.int("mt", maxMigrateType), PFNs: r.numbers(maxPFN)}
	for i := range s.zone.Free {
		if o := &s.zone.Free[i]; o.Order == f.Order && o.MigrateType == f.MigrateType {
			r.failf("each list once", "the free list of order %d and migrate type %d again", f.Order, f.MigrateType)
		}
	}
	s.addBlocks(f.PFNs, f.Order, s.zoneLocked(s.zone))
	s.zone.Free = append(s.zone.Free, f)
}

// order reads an order of the free areas.
func (s *snapshotReader) order(key string) int {
	return s.rec.int(key, max(s.snap.MaxOrder-1, 0))
}

// readNrFree reads a free area's number of blocks and compares it with the
// lists, which come before.
func (s *snapshotReader) readNrFree() {
	r, z := &s.rec, s.zone
	order, n := s.order("order"), r.pages("n")
	if order != len(z.NrFree) {
		r.failf("the orders from 0 on", "nr_free of order %d after %d others", order, len(z.NrFree))
		return
	}
	var listed uint64
	for i := range z.Free {
		if z.Free[i].Order == order {
			listed += uint64(len(z.Free[i].PFNs))
		}
	}
	if listed != n {
		s.disagree(s.zoneLocked(z), "as many blocks in the lists", "n=%d with %d blocks of order %d in the lists", n, listed, order)
	}
	z.NrFree = append(z.NrFree, n)
}

// readPCP reads a per-CPU page list's numbers.
func (s *snapshotReader) readPCP() {
	r, z := &s.rec, s.zone
	p := SnapshotPCP{CPU: r.int("cpu", maxCPU), Count: r.pages("count"), High: r.pages("high"), Batch: r.pages("batch")}
	if z.AutoHigh {
		p.HighMin, p.HighMax, p.Flags = r.pages("high_min"), r.pages("high_max"), r.uint("flags", math.MaxUint32)
		p.AllocFactor, p.Expire, p.FreeCount = r.signed("alloc_factor"), r.signed("expire"), r.signed("free_count")
		if r.has("ts0") {
			p.HasTimes, p.TS0, p.TS1 = true, r.seconds("ts0"), r.seconds("ts1")
		}
	} else {
		p.FreeFactor = r.signed("free_factor")
	}
	if n := len(z.PCPs); n > 0 && z.PCPs[n-1].CPU >= p.CPU {
		r.failf("CPUs in rising order", "cpu=%d after cpu=%d", p.CPU, z.PCPs[n-1].CPU)
	}
	z.PCPs = append(z.PCPs, p)
}

// readPCPList reads one list of the per-CPU page list before it.
func (s *snapshotReader) readPCPList() {
	r, z := &s.rec, s.zone
	cpu := r.int("cpu", maxCPU)
	l := PCPList{PIndex: r.int("pindex", max(s.snap.NrPCPLists-1, 0)), PFNs: r.numbers(maxPFN)}
	if len(z.PCPs) == 0 || z.PCPs[len(z.PCPs)-1].CPU != cpu {
		r.failf("the pcp line of that CPU before it", "pcplist cpu=%d", cpu)
		return
	}
	p := &z.PCPs[len(z.PCPs)-1]
	if n := len(p.Lists); n > 0 && p.Lists[n-1].PIndex >= l.PIndex {
		r.failf("indexes in rising order", "pindex=%d after pindex=%d", l.PIndex, p.Lists[n-1].PIndex)
	}
	s.addBlocks(l.PFNs, s.snap.PCPOrder(l.PIndex), s.zoneLocked(z) && (!s.snap.HasTrigger || cpu == s.snap.CPU))
	p.Lists = append(p.Lists, l)
}

// Lists of a per-CPU page list: three migrate types for each order up to
// PAGE_ALLOC_COSTLY_ORDER, then those of transparent huge pages.
const (
	pcpTypes      = 3
	pcpSmallLists = pcpTypes * 4
)

// PCPOrder gives the order of the pages in a per-CPU list by its index: three
// lists an order up to order 3, then the ones of pageblock order.
func (s *Snapshot) PCPOrder(pindex int) int {
	if pindex < pcpSmallLists {
		return pindex / pcpTypes
	}
	return s.PageblockOrder
}

// readPageblocks reads a run of pageblocks.
func (s *snapshotReader) readPageblocks() {
	r, z := &s.rec, s.zone
	b := PageblockRun{FirstPFN: r.pages("first_pfn"), N: r.pages("n"), MigrateType: r.signed("mt")}
	size := uint64(1) << s.snap.PageblockOrder
	next := z.StartPFN &^ (size - 1)
	if n := len(z.Pageblocks); n > 0 {
		next = z.Pageblocks[n-1].FirstPFN + z.Pageblocks[n-1].N*size
	}
	end := z.StartPFN + z.Spanned
	switch {
	case b.MigrateType < -1 || b.MigrateType > maxMigrateType:
		r.failf("a migrate type, or -1 for a hole", "mt=%d", b.MigrateType)
	case b.FirstPFN != next || b.N == 0 || b.FirstPFN >= end || b.N > (end-b.FirstPFN+size-1)/size:
		r.failf(fmt.Sprintf("a run from %d on, up to %d", next, end), "first_pfn=%d n=%d", b.FirstPFN, b.N)
	}
	z.Pageblocks = append(z.Pageblocks, b)
}

// readSlabTime reads when the slab lists were read.
func (s *snapshotReader) readSlabTime() {
	r, p := &s.rec, &s.snap
	if p.HasSlabTime {
		r.fail(r.line, "one slabtime")
	}
	p.HasSlabTime, p.SlabT0, p.SlabT1 = true, r.seconds("st0"), r.seconds("st1")
}
