package replay

import (
	"fmt"
	"io"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// objectKind is what an event means to the slab allocator.
type objectKind uint8

const (
	objAlloc objectKind = iota
	objKmalloc
	objFree
	objKfree
	// objCache names the cache of the context's next objAlloc.
	objCache
	// objBulkStart and objBulkEnd are entry and return of a bulk request.
	objBulkStart
	objBulkEnd
	objBulkFree
	// objBulkOne is one object of a bulk request, objBulkFreeOne of a bulk free.
	// The loader makes one objBulkEnd or objBulkFree of those of a call.
	objBulkOne
	objBulkFreeOne
	objPageAlloc
	objPageFree
)

var objectKinds = map[trace.Kind]objectKind{
	trace.KindKmalloc: objKmalloc, trace.KindKmallocNode: objKmalloc,
	trace.KindKmemCacheAlloc: objAlloc, trace.KindKmemCacheAllocNode: objAlloc,
	trace.KindKfree: objKfree, trace.KindKmemCacheFree: objFree,
	trace.KindSlabCacheAlloc: objCache, trace.KindSlabCacheAllocLRU: objCache, trace.KindSlabCacheAllocNode: objCache,
	trace.KindCacheAllocBulk: objBulkStart, trace.KindCacheAllocBulkVec: objBulkEnd, trace.KindCacheFreeBulk: objBulkFree,
	trace.KindSlabBulkAlloc: objBulkOne, trace.KindSlabBulkFree: objBulkFreeOne,
	trace.KindMMPageAlloc: objPageAlloc, trace.KindMMPageFree: objPageFree,
}

// objectRec is one event of a trace that concerns objects.
type objectRec struct {
	time uint64
	// ptr is the object; of page events the page frame number.
	ptr uint64
	// req and alloc are the bytes asked for and given.
	req, alloc uint64
	line       int32
	pid        int32
	// cache is the cache's number in the snapshot, or -1 if the event does not
	// say.
	cache int32
	// site is the number of the call site.
	site int32
	// n is the number of objects of a bulk event, and at which of them it is;
	// vec where its addresses are in objectTrace.vecs.
	n, i, vec int32
	node      int32
	cpu       int16
	gfp       uint16
	kind      objectKind
	level     uint8
	order     int8
}

// objectTrace is a trace's events about objects between two snapshots.
type objectTrace struct {
	recs  []objectRec
	vecs  []uint64
	gfps  []buddy.GFP
	sites []string
	// names are caches that events name but no snapshot has; they are numbered
	// behind those of the snapshots.
	names []string
}

// objectLoader reads an objectTrace.
type objectLoader struct {
	t      *objectTrace
	byPtr  map[uint64]int32
	byName map[string]int32
	// known is the number of caches that the snapshots have.
	known int
	gfps  map[string]uint16
	sites map[string]int32
	names *buddy.GFPTable
	// calls are bulk calls of which not all lines were read.
	calls []bulkCall
	// end is the number of events up to the last one that may have started the
	// second snapshot, of windows without marks.
	end int
}

// bulkCall is a bulk call that prints a line for each object.
type bulkCall struct {
	cpu  int16
	pid  int32
	kind objectKind
	// rec is its event (of a request: at its first line), vec its place in vecs,
	// n how many lines it had.
	rec, vec, n int32
}

// maxBulk bounds the objects of a bulk call.
const maxBulk = 1 << 16

// loadObjects reads the events of the window.
func loadObjects(r *trace.Reader, w *window, caches []cacheID, names *buddy.GFPTable) (*objectTrace, error) {
	kinds := []trace.Kind{trace.KindKsnapMark, trace.KindMMPageAllocZoneLocked}
	for k := range objectKinds {
		kinds = append(kinds, k)
	}
	r.Select(kinds...)
	l := &objectLoader{t: &objectTrace{}, byPtr: map[uint64]int32{}, byName: map[string]int32{}, gfps: map[string]uint16{}, sites: map[string]int32{}, names: names, known: len(caches)}
	for i, c := range caches {
		l.byPtr[c.ptr], l.byName[c.name] = int32(i), int32(i)
	}
	state := windowBefore
	var ev trace.Event
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
		in, next := l.admit(w, state, &ev)
		state = next
		kind, ok := objectKinds[ev.Kind]
		if !in || !ok {
			continue
		}
		if len(l.t.recs) == maxRecs {
			return nil, fmt.Errorf("replay: line %d: more than %d events about objects", ev.Line, maxRecs)
		}
		if err := l.add(kind, &ev); err != nil {
			return nil, err
		}
	}
	switch state {
	case windowBefore:
		return nil, fmt.Errorf("replay: the trace has no start: found no event that ends the first snapshot")
	case windowInside:
		return nil, fmt.Errorf("replay: the trace has no end: found no event that starts the second snapshot")
	}
	l.cut(w)
	return l.t, nil
}

// admit is window.admit but for the end of windows without marks: the page that
// the second snapshot's allocation took may be given out many times shortly
// before. It is the last time before the snapshot that counts.
func (l *objectLoader) admit(w *window, s windowState, ev *trace.Event) (bool, windowState) {
	if w.marks || ev.CPU != w.cpu || s == windowBefore {
		return w.admit(s, ev)
	}
	if ev.Time > w.to {
		if l.end == 0 {
			return false, windowInside
		}
		return false, windowAfter
	}
	if ev.Kind == trace.KindMMPageAllocZoneLocked && ev.Page.PFN == w.lastPFN && ev.Page.Order == w.lastOrder {
		l.end = len(l.t.recs)
	}
	return s == windowInside, s
}

// cut drops the events behind the end of a window without marks.
func (l *objectLoader) cut(w *window) {
	if w.marks {
		return
	}
	kept := l.t.recs[:l.end]
	for _, rec := range l.t.recs[l.end:] {
		if int32(rec.cpu) != w.cpu {
			kept = append(kept, rec)
		}
	}
	l.t.recs = kept
}

// add takes an event over.
func (l *objectLoader) add(kind objectKind, ev *trace.Event) error {
	o, p := &ev.Object, &ev.Probe
	rec := objectRec{time: ev.Time, line: int32(ev.Line), pid: ev.PID, cpu: int16(ev.CPU), kind: kind, level: level(ev.Flags),
		cache: -1, ptr: o.Ptr, req: o.BytesReq, alloc: o.BytesAlloc, node: o.Node}
	var err error
	switch kind {
	case objAlloc, objKmalloc:
		rec.gfp, err = l.gfp(o.GFPFlags, ev.Line)
		rec.site = l.site(o.CallSite)
		l.named(&rec, o.Name)
	case objBulkOne, objBulkFreeOne:
		l.named(&rec, o.Name)
		return l.bulkLine(&rec, p)
	case objFree:
		l.named(&rec, o.Name)
	case objCache, objBulkStart, objBulkEnd, objBulkFree:
		if i, ok := l.byPtr[p.Cache]; ok {
			rec.cache = i
		}
		rec.n = clampInt32(max(p.N, p.Ret))
		rec.vec = int32(len(l.t.vecs))
		rec.i = min(rec.n, int32(len(p.P)))
		l.t.vecs = append(l.t.vecs, p.P[:rec.i]...)
	case objPageAlloc, objPageFree:
		rec.ptr, rec.order = ev.Page.PFN, int8(ev.Page.Order)
		if kind == objPageAlloc {
			rec.gfp, err = l.gfp(ev.Page.GFPFlags, ev.Line)
		}
	}
	l.t.recs = append(l.t.recs, rec)
	return err
}

// bulkLine takes one object of a bulk call over. The lines of a request are
// printed after it, so it happens at the first; those of a free before it, so it
// happens at the last.
func (l *objectLoader) bulkLine(rec *objectRec, p *trace.Probe) error {
	if p.Nr == 0 || p.Nr > maxBulk || p.I >= p.Nr {
		return fmt.Errorf("replay: line %d: object %d of a bulk call of %d, expected at most %d", rec.line, p.I, p.Nr, maxBulk)
	}
	at := slices.IndexFunc(l.calls, func(c bulkCall) bool { return c.cpu == rec.cpu && c.pid == rec.pid && c.kind == rec.kind })
	if p.I == 0 {
		if at < 0 {
			at = len(l.calls)
			l.calls = append(l.calls, bulkCall{})
		}
		l.calls[at] = bulkCall{cpu: rec.cpu, pid: rec.pid, kind: rec.kind, rec: -1, vec: int32(len(l.t.vecs))}
		l.t.vecs = append(l.t.vecs, make([]uint64, p.Nr)...)
	}
	if at < 0 || uint64(l.calls[at].n) != p.I {
		return nil // the call began before the first snapshot
	}
	c := &l.calls[at]
	l.t.vecs[c.vec+c.n] = rec.ptr
	c.n++
	rec.n, rec.vec, rec.i = int32(p.Nr), c.vec, c.n
	switch {
	case rec.kind == objBulkFreeOne && c.n == rec.n:
		rec.kind = objBulkFree
		l.t.recs = append(l.t.recs, *rec)
	case rec.kind == objBulkOne && c.n == 1:
		c.rec = int32(len(l.t.recs))
		rec.kind = objBulkEnd
		l.t.recs = append(l.t.recs, *rec)
	case rec.kind == objBulkOne:
		l.t.recs[c.rec].i = c.n
	}
	return nil
}

func clampInt32(n uint64) int32 { return int32(min(n, 1<<20)) }

// named notes the cache that an event names.
func (l *objectLoader) named(rec *objectRec, name string) {
	if name == "" {
		return
	}
	i, ok := l.byName[name]
	if !ok {
		i = int32(l.known + len(l.t.names))
		l.t.names = append(l.t.names, name)
		l.byName[name] = i
	}
	rec.cache = i
}

func (l *objectLoader) site(text string) int32 {
	i, ok := l.sites[text]
	if !ok {
		i = int32(len(l.t.sites))
		l.t.sites = append(l.t.sites, text)
		l.sites[text] = i
	}
	return i
}

func (l *objectLoader) gfp(text string, line int) (uint16, error) {
	i, ok := l.gfps[text]
	if !ok {
		g, err := l.names.Parse(text)
		if err != nil {
			return 0, fmt.Errorf("replay: line %d: %w", line, err)
		}
		i = uint16(len(l.t.gfps))
		l.t.gfps = append(l.t.gfps, g)
		l.gfps[text] = i
	}
	return i, nil
}
