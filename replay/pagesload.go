package replay

import (
	"fmt"
	"io"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// pageRec is one event of a trace that concerns pages.
type pageRec struct {
	time uint64
	pfn  uint64
	line int32
	pid  int32
	// next is the next event about the same first page, or -1.
	next int32
	// chain is the next event of the same operation (its zone-level events, or
	// the pages of a bulk request), or -1.
	chain int32
	// n: alloc_bulk pages wanted, alloc_bulk_ret pages given, page_bulk the
	// page's place in the call, alloc_vmap_area pages of the area, kswapd_* and
	// mm_compaction_* the node, the others of vmscan pages reclaimed.
	n    int32
	cpu  int16
	gfp  uint16
	kind trace.Kind
	// order and mt as in the event; mm_page_free_batched has the order of the
	// mm_page_free before it.
	order int8
	mt    buddy.MigrateType
	// level is 0 in a task, 1 in a soft, 2 in a hard interrupt, 3 in an NMI.
	level uint8
	// batched: this mm_page_free is completed by the event next.
	batched bool
	// past: this mm_page_free went to the zone past the per-CPU list.
	past bool
	// extfrag's further fields.
	fbOrder          int8
	fbMT             buddy.MigrateType
	fragmenting, own bool
	refill           bool
}

// pageTrace is a trace's events about pages between two snapshots.
type pageTrace struct {
	// chunks hold the events, chunkRecs in each, so that none is copied as
	// their number grows.
	chunks []*[chunkRecs]pageRec
	n      int32
	gfps   []buddy.GFP
	// vmemmap is the address of page frame 0's struct page, once an event told
	// it; some probes print only addresses.
	vmemmap uint64
}

// structPageSize is the size of struct page, in bytes.
const structPageSize = 64

const (
	chunkShift = 12
	chunkRecs  = 1 << chunkShift
)

// at is the i-th event.
func (t *pageTrace) at(i int32) *pageRec { return &t.chunks[i>>chunkShift][i&(chunkRecs-1)] }

// add makes room for one more event.
func (t *pageTrace) add() *pageRec {
	if t.n&(chunkRecs-1) == 0 {
		t.chunks = append(t.chunks, new([chunkRecs]pageRec))
	}
	t.n++
	return t.at(t.n - 1)
}

// maxRecs bounds the events of a replay; they take some 60 bytes each.
const maxRecs = 1 << 26

var pageKinds = []trace.Kind{
	trace.KindKsnapMark, trace.KindMMPageAlloc, trace.KindMMPageFree, trace.KindMMPageFreeBatched,
	trace.KindMMPageAllocZoneLocked, trace.KindMMPagePCPUDrain, trace.KindMMPageAllocExtfrag,
	trace.KindAllocBulk, trace.KindAllocBulkRet, trace.KindPageBulk, trace.KindFreeOnePage,
	trace.KindIsolateFreePage, trace.KindMoveFreepages, trace.KindAllocVmapArea,
	trace.KindWorkqueueExecuteStart, trace.KindVmscanKswapdWake, trace.KindVmscanKswapdSleep,
	trace.KindVmscanDirectReclaimBegin, trace.KindVmscanDirectReclaimEnd, trace.KindVmscanWakeupKswapd,
	trace.KindVmscanLRUShrinkInactive, trace.KindCompactionSuitable, trace.KindCompactionWakeupKcompactd,
}

// window says which events belong to a replay.
type window struct {
	// ksnap captures: from the mark that ends snapshot 1 to the one that
	// starts snapshot 2.
	marks bool
	// bpf captures: from the trigger's allocation on the snapshot's CPU to
	// the second trigger's removal from the zone; other CPUs by time.
	cpu                int32
	from, to           uint64
	firstPFN           uint64
	lastPFN            uint64
	lastOrder          int32
	otherFrom, otherTo map[int32]uint64
}

func level(f trace.Flags) uint8 {
	switch {
	case f.NMI():
		return 3
	case f.HardIRQ():
		return 2
	case f.SoftIRQ():
		return 1
	}
	return 0
}

// loadPages reads the events of the window.
func loadPages(r *trace.Reader, w *window, cma bool) (*pageTrace, error) {
	r.Select(pageKinds...)
	t := &pageTrace{gfps: []buddy.GFP{0}}
	gfpIndex := map[string]uint16{}
	kswapds := map[int32]bool{} // by pid
	var ev trace.Event
	state := windowBefore
	for {
		err := r.Read(&ev)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if ev.Kind == trace.KindLost {
			return nil, fmt.Errorf("replay: line %d: the trace lost %d events of CPU %d", ev.Line, ev.Lost, ev.CPU)
		}
		in, next := w.admit(state, &ev)
		state = next
		if !in {
			continue
		}
		if t.n == maxRecs {
			return nil, fmt.Errorf("replay: line %d: more than %d events about pages", ev.Line, maxRecs)
		}
		switch ev.Kind {
		case trace.KindWorkqueueExecuteStart:
			if ev.Work.Function != "vmstat_update" {
				continue
			}
		case trace.KindVmscanKswapdWake:
			kswapds[ev.PID] = true
		case trace.KindCompactionSuitable, trace.KindCompactionWakeupKcompactd:
			if !kswapds[ev.PID] {
				continue
			}
		}
		rec := t.add()
		*rec = pageRec{time: ev.Time, line: int32(ev.Line), pid: ev.PID, next: -1, chain: -1, cpu: int16(ev.CPU),
			kind: ev.Kind, level: level(ev.Flags),
			pfn: ev.Page.PFN, order: int8(ev.Page.Order)}
		if err := t.fill(rec, &ev, gfpIndex, cma); err != nil {
			return nil, err
		}
	}
	if state == windowBefore {
		return nil, fmt.Errorf("replay: the trace has no start: found no event that ends the first snapshot")
	}
	if state != windowAfter {
		return nil, fmt.Errorf("replay: the trace has no end: found no event that starts the second snapshot")
	}
	t.link()
	return t, nil
}

type windowState uint8

const (
	windowBefore windowState = iota
	windowInside
	windowAfter
)

const markEnd = 1 << 31

// triggerSlack is how long, in ns, before the time that a snapshot gives for
// its begin the event may be printed inside which it was taken. (They are some
// microseconds apart; the page alone is not enough to tell the event, because
// it may be given out many times.)
const triggerSlack = 1_000_000

// admit says whether an event is part of the window.
func (w *window) admit(s windowState, ev *trace.Event) (bool, windowState) {
	if w.marks {
		if ev.Kind == trace.KindKsnapMark {
			switch ev.Probe.Seq {
			case 1 | markEnd:
				s = windowInside
			case 2:
				if s == windowInside {
					s = windowAfter
				}
			}
			return false, s
		}
		return s == windowInside, s
	}
	if ev.CPU != w.cpu {
		return ev.Time > w.otherFrom[ev.CPU] && ev.Time <= w.otherTo[ev.CPU], s
	}
	switch s {
	case windowBefore:
		if ev.Kind == trace.KindMMPageAlloc && ev.Page.PFN == w.firstPFN && ev.Time >= w.from {
			s = windowInside
		}
		return false, s
	case windowInside:
		if ev.Kind == trace.KindMMPageAllocZoneLocked && ev.Page.PFN == w.lastPFN &&
			ev.Page.Order == w.lastOrder && ev.Time+triggerSlack >= w.to {
			return true, windowAfter
		}
		return true, s
	}
	return false, s
}

// fill takes the payload over.
func (t *pageTrace) fill(rec *pageRec, ev *trace.Event, gfps map[string]uint16, cma bool) error {
	if ev.Page.HasPFN && ev.Page.Address > ev.Page.PFN*structPageSize {
		t.vmemmap = ev.Page.Address - ev.Page.PFN*structPageSize
	}
	switch ev.Kind {
	case trace.KindMMPageAlloc:
		if err := t.setGFP(rec, ev.Page.GFPFlags, gfps); err != nil {
			return fmt.Errorf("replay: line %d: %w", ev.Line, err)
		}
	case trace.KindIsolateFreePage, trace.KindMoveFreepages:
		if t.vmemmap == 0 || ev.Page.Address < t.vmemmap {
			return fmt.Errorf("replay: line %d: %s of page %#x: no event before it tells where the page structures lie", ev.Line, ev.Name, ev.Page.Address)
		}
		rec.pfn = (ev.Page.Address - t.vmemmap) / structPageSize
	case trace.KindAllocBulk:
		rec.gfp = uint16(len(t.gfps))
		t.gfps = append(t.gfps, buddy.GFP(ev.Probe.GFP))
		rec.n = int32(min(ev.Probe.Nr, 1<<20))
		return nil
	case trace.KindAllocBulkRet:
		rec.n = int32(min(ev.Probe.Ret, 1<<20))
		return nil
	case trace.KindPageBulk:
		rec.n = int32(min(ev.Probe.I, 1<<20))
		return nil
	case trace.KindMMPageAllocExtfrag:
		x := &ev.Extfrag
		if min(x.AllocOrder, x.FallbackOrder) < 0 || max(x.AllocOrder, x.FallbackOrder) >= buddy.MaxOrders {
			return fmt.Errorf("replay: line %d: orders %d and %d: want 0 to %d", ev.Line, x.AllocOrder, x.FallbackOrder, buddy.MaxOrders-1)
		}
		rec.order, rec.fbOrder = int8(x.AllocOrder), int8(x.FallbackOrder)
		rec.fragmenting, rec.own = x.Fragmenting, x.ChangeOwnership
		var ok, ok2 bool
		rec.mt, ok = buddy.MigrateTypeFromKernel(int(x.AllocMigrateType), cma)
		rec.fbMT, ok2 = buddy.MigrateTypeFromKernel(int(x.FallbackMigrateType), cma)
		if !ok || !ok2 {
			return fmt.Errorf("replay: line %d: migrate type %d or %d: no such type", ev.Line, x.AllocMigrateType, x.FallbackMigrateType)
		}
		return nil
	case trace.KindVmscanKswapdWake, trace.KindVmscanKswapdSleep, trace.KindVmscanWakeupKswapd, trace.KindVmscanDirectReclaimBegin,
		trace.KindVmscanDirectReclaimEnd, trace.KindVmscanLRUShrinkInactive, trace.KindCompactionSuitable, trace.KindCompactionWakeupKcompactd:
		return t.fillReclaim(rec, ev, gfps)
	case trace.KindAllocVmapArea:
		rec.n = int32(min(ev.Vmap.Size>>12, 1<<20))
		return nil
	}
	if ev.Page.Order < 0 || ev.Page.Order >= buddy.MaxOrders {
		return fmt.Errorf("replay: line %d: order %d: want 0 to %d", ev.Line, ev.Page.Order, buddy.MaxOrders-1)
	}
	mt, ok := buddy.MigrateTypeFromKernel(int(ev.Page.MigrateType), cma)
	if !ok {
		return fmt.Errorf("replay: line %d: migrate type %d: no such type", ev.Line, ev.Page.MigrateType)
	}
	rec.mt, rec.refill = mt, ev.Page.PerCPURefill != 0
	return nil
}

// setGFP sets an event's flags, each text of which is parsed once.
func (t *pageTrace) setGFP(rec *pageRec, text string, gfps map[string]uint16) error {
	g, ok := gfps[text]
	if !ok {
		v, err := buddy.ParseGFP(text)
		if err != nil {
			return err
		}
		g = uint16(len(t.gfps))
		t.gfps = append(t.gfps, v)
		gfps[text] = g
	}
	rec.gfp = g
	return nil
}

// link connects the events about each first page and finds the frees that are
// part of a list.
func (t *pageTrace) link() {
	last := newPFNTable()
	for i := range t.n {
		rec := t.at(i)
		switch rec.kind {
		case trace.KindMMPageAlloc, trace.KindMMPageFree, trace.KindMMPageFreeBatched,
			trace.KindMMPageAllocZoneLocked, trace.KindMMPagePCPUDrain, trace.KindPageBulk, trace.KindFreeOnePage:
		default:
			continue
		}
		if prev, ok := last.swap(rec.pfn, i); ok {
			p := t.at(prev)
			p.next = i
			if rec.kind == trace.KindMMPageFreeBatched && p.kind == trace.KindMMPageFree {
				p.batched = true
				rec.order = p.order
			}
		}
	}
}
