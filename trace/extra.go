package trace

import (
	"bytes"
	"errors"
	"io"
)

// SnapshotExtra is what a "ksnap_extra 1" text holds: zone counters that the
// snapshot beside it does not have, and how the kernel was built.
type SnapshotExtra struct {
	Seq              uint32   // of the snapshot it belongs to
	MTNames          []string // names of the migrate types, by the kernel's number
	KmallocMinSize   int      // bytes
	KmallocShiftLow  int
	ArchSlabMinalign int // bytes
	Sections         int // memory sections present
	Zones            []ExtraZone
	Unknown          []UnknownField // as in Snapshot
}

// ExtraZone has the counters of a zone. A counter's true value is the one here
// plus the differences of all CPUs.
type ExtraZone struct {
	Node            int
	Name            string
	NrFreePages     int64  // NR_FREE_PAGES without the CPUs' differences
	NrFreeCMA       int64  // NR_FREE_CMA_PAGES without the CPUs' differences
	CMAPages        uint64 // pages of CMA areas
	PercpuDriftMark uint64 // percpu_drift_mark, pages
	HighestZoneIdx  int
	CPUs            []ExtraCPU
}

// ExtraCPU has what a CPU has not yet added to its zone's counters.
type ExtraCPU struct {
	CPU           int
	FreePagesDiff int // pages
	FreeCMADiff   int // pages
	StatThreshold int // pages: a difference beyond it is added
}

// ReadSnapshotExtra reads a "ksnap_extra 1" text from r, gzip recognized by
// content; name stands for it in errors. Faults are a [ParseError].
func ReadSnapshotExtra(r io.Reader, name string) (*SnapshotExtra, error) {
	lines, err := newLineReader(r, name, MaxLine)
	if err != nil {
		return nil, err
	}
	rec := record{lines: lines}
	if err := rec.next(); err != nil {
		if errors.Is(err, io.EOF) {
			lines.line++
			err = lines.fail("end of file", `"ksnap_extra 1"`)
		}
		return nil, err
	}
	x := new(SnapshotExtra)
	x.header(&rec)
	for rec.err == nil {
		x.Unknown = rec.unknown(x.Unknown)
		if err := rec.next(); errors.Is(err, io.EOF) {
			return x, x.whole(&rec)
		} else if err != nil {
			return nil, err
		}
		switch rec.word {
		case "zonestat":
			x.zone(&rec)
		case "zonestatcpu":
			x.cpu(&rec)
		default:
			rec.fail(rec.line, "zonestat or zonestatcpu")
		}
	}
	return nil, rec.err
}

// whole checks at the end that there was a zone at all.
func (x *SnapshotExtra) whole(r *record) error {
	if len(x.Zones) == 0 {
		r.failf("zonestat", "end of file")
	}
	return r.err
}

// header reads the first line.
func (x *SnapshotExtra) header(r *record) {
	if r.word != "ksnap_extra" || r.note != "1" {
		r.fail(r.line, `"ksnap_extra 1 seq=..."`)
		return
	}
	x.Seq = r.uint32("seq")
	for name := range bytes.SplitSeq(r.text("mt_names"), []byte(",")) {
		x.MTNames = append(x.MTNames, string(name))
	}
	x.KmallocMinSize = int(r.uint32("kmalloc_min_size"))
	x.KmallocShiftLow = r.int("kmalloc_shift_low", maxPageShift)
	x.ArchSlabMinalign = int(r.uint32("arch_slab_minalign"))
	x.Sections = int(r.uint32("sections"))
}

// zone reads a zonestat line.
func (x *SnapshotExtra) zone(r *record) {
	z := ExtraZone{Node: r.int("node", maxNode), Name: string(r.text("name"))}
	z.NrFreePages, z.NrFreeCMA = r.int64("nr_free_pages"), r.int64("nr_free_cma")
	z.CMAPages, z.PercpuDriftMark = r.pages("cma_pages"), r.pages("percpu_drift_mark")
	z.HighestZoneIdx = r.int("highest_zoneidx", maxNode)
	for i := range x.Zones {
		if x.Zones[i].Node == z.Node && x.Zones[i].Name == z.Name {
			r.failf("each zone once", "zone %s of node %d again", z.Name, z.Node)
		}
	}
	x.Zones = append(x.Zones, z)
}

// cpu reads a zonestatcpu line, which comes behind its zone's.
func (x *SnapshotExtra) cpu(r *record) {
	node, name := r.int("node", maxNode), r.text("name")
	if n := len(x.Zones); n == 0 || x.Zones[n-1].Node != node || x.Zones[n-1].Name != string(name) {
		r.fail(r.line, "the zonestat line of that zone before it")
		return
	}
	z := &x.Zones[len(x.Zones)-1]
	c := ExtraCPU{CPU: r.int("cpu", maxCPU), FreePagesDiff: r.signed("free_pages_diff"),
		FreeCMADiff: r.signed("free_cma_diff"), StatThreshold: r.signed("stat_threshold")}
	if n := len(z.CPUs); n > 0 && z.CPUs[n-1].CPU >= c.CPU {
		r.failf("CPUs in rising order", "cpu=%d after cpu=%d", c.CPU, z.CPUs[n-1].CPU)
	}
	z.CPUs = append(z.CPUs, c)
}

// Zone gives the counters of a zone, nil if there are none.
func (x *SnapshotExtra) Zone(node int, name string) *ExtraZone {
	for i := range x.Zones {
		if z := &x.Zones[i]; z.Node == node && z.Name == name {
			return z
		}
	}
	return nil
}
