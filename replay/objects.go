package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
	"github.com/kernsim/kernsim/trace"
)

// hasObjects says whether a capture can be replayed with Objects: its snapshots
// have slab caches.
func hasObjects(c Capture) bool {
	return hasPages(c) && hasCaches(c)
}

// hasCaches looks for a cache in the first snapshot.
func hasCaches(c Capture) bool {
	r, err := c.plain("before.ksnap")
	if err != nil {
		return false
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("cache ")) {
			return true
		}
	}
	return false
}

// Objects replays the slab allocator: the address of each object.
func Objects(ctx context.Context, c Capture, o Options) (*Result, error) {
	in, err := loadObjectCapture(c)
	if err != nil {
		return nil, err
	}
	return in.replay(ctx, o)
}

// objectCapture is a capture's data for the slab allocator.
type objectCapture struct {
	name          string
	meta          Meta
	before, after *trace.Snapshot
	config        slab.Config
	state, end    *slab.State
	trace         *objectTrace
	// cacheIDs are the caches of state; endNumber[i] is the number there of the
	// i-th cache of end; created of them are only in end, temporaries in neither
	// snapshot.
	cacheIDs             []cacheID
	endNumber            []int32
	created, temporaries int
}

func loadObjectCapture(c Capture) (*objectCapture, error) {
	p := &objectCapture{name: c.Name}
	var err error
	if p.meta, err = c.Meta(); err != nil {
		return nil, err
	}
	r, name, err := c.Open("trace.txt")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if p.before, err = c.snapshot("before.ksnap"); err != nil {
		return nil, err
	}
	if p.after, err = c.snapshot("after.ksnap"); err != nil {
		return nil, err
	}
	var flags *slab.FlagTable
	if p.config, flags, err = slabConfig(p.before); err != nil {
		return nil, err
	}
	// Only what caches are made like counts: those of the snapshots have it already.
	p.config.SetBootOptions(p.meta.CommandLine)
	if p.state, err = slabState(p.before, &p.config, flags); err != nil {
		return nil, err
	}
	if p.end, err = slabState(p.after, &p.config, flags); err != nil {
		return nil, err
	}
	p.addCreated()
	tr, err := trace.NewReader(r, name)
	if err != nil {
		return nil, err
	}
	names := buddy.GFPNames6_1
	if p.config.Profile.Sheaves {
		names = buddy.GFPNames6_18
	}
	if p.trace, err = loadObjects(tr, objectWindow(p.before, p.after), p.cacheIDs, names); err != nil {
		return nil, err
	}
	p.addTemporary()
	return p, nil
}

// addCreated gives the first state the caches that were created later, without
// any slab, and numbers the caches of both snapshots alike.
func (p *objectCapture) addCreated() {
	byPtr := map[uint64]int32{}
	for i := range p.before.Caches {
		c := &p.before.Caches[i]
		byPtr[c.Ptr] = int32(i)
		p.cacheIDs = append(p.cacheIDs, cacheID{c.Ptr, c.Name})
	}
	p.endNumber = make([]int32, len(p.after.Caches))
	for i := range p.after.Caches {
		c := &p.after.Caches[i]
		k, ok := byPtr[c.Ptr]
		if !ok || p.before.Caches[k].Name != c.Name {
			k = int32(len(p.state.Caches))
			st := p.end.Caches[i]
			st.CPUs, st.Nodes = nil, nil
			p.state.Caches = append(p.state.Caches, st)
			p.cacheIDs = append(p.cacheIDs, cacheID{c.Ptr, c.Name})
			p.created++
		}
		p.endNumber[i] = k
	}
}

// cacheID is how events name a cache.
type cacheID struct {
	ptr  uint64
	name string
}

// objectWindow is windowOf for slab lists, which are read after the pages.
func objectWindow(before, after *trace.Snapshot) *window {
	w := windowOf(before, after)
	for cpu := range w.otherFrom {
		if before.HasSlabTime {
			w.otherFrom[cpu] = before.SlabT1
		}
	}
	for cpu := range w.otherTo {
		if after.HasSlabTime {
			w.otherTo[cpu] = after.SlabT0
		}
	}
	return w
}

// replay runs the model.
func (p *objectCapture) replay(ctx context.Context, o Options) (*Result, error) {
	r := &objectReplay{objectCapture: p, ctx: ctx, opts: o,
		res: &Result{Capture: p.name, Kernel: first(p.meta.Kernel, p.before.Kernel), Machine: p.meta.Machine, Model: "objects"}}
	r.pages.r = r
	p.config.Random = r
	var err error
	if r.a, err = slab.Restore(p.config, &r.pages, p.state); err != nil {
		return nil, fmt.Errorf("replay: %s: before.ksnap: %w", p.name, err)
	}
	r.a.DeferRCU(true)
	r.caches = r.a.Caches()
	r.numbers = make(map[*slab.Cache]int32, len(r.caches))
	for i, c := range r.caches {
		r.numbers[c] = int32(i)
	}
	for i := range p.end.Slabs {
		r.endSlabs = append(r.endSlabs, &p.end.Slabs[i])
	}
	slices.SortFunc(r.endSlabs, func(a, b *slab.SlabState) int { return cmp.Compare(a.PFN, b.PFN) })
	addCount(&r.res.Notes, "caches created between the snapshots", p.created)
	addCount(&r.res.HintKinds, "order of a cache that is in no snapshot", p.temporaries)
	r.res.Hints += p.temporaries
	if err := r.run(); err != nil {
		return nil, err
	}
	r.compareAhead()
	r.compareEnd()
	if err := r.a.Check(); err != nil {
		r.res.differ(0, "at the end: "+err.Error())
		r.res.count("broken invariants at the end")
	}
	if o.ObserveObjects != nil {
		o.ObserveObjects(r.a)
	}
	return r.res, nil
}

// objectReplay runs the slab allocator against a trace.
type objectReplay struct {
	*objectCapture
	a      *slab.Allocator
	caches []*slab.Cache
	// numbers are the caches' numbers; endSlabs the second snapshot's slabs by
	// page frame.
	numbers  map[*slab.Cache]int32
	endSlabs []*slab.SlabState
	res      *Result
	ctx      context.Context
	opts     Options
	pages    tracedPages
	ctxs     []objectCtx
	// bySite remembers which cache a call site allocates from, where the events
	// do not say.
	bySite []int32
	// buckets are the names of the kmalloc caches that call sites use.
	buckets []string
	// at is the event under way; want its object, from which Start learns where
	// a new slab's order begins.
	at   int
	want uint64
	vec  []uint64
	buf  []uint64
	// links connect the events; later are operations put off, early1 events
	// that were run before their turn.
	links  *objectLinks
	later  []laterOp
	early1 []int32
	// begun is a bulk request of which a part was run.
	begun begunBulk
	// ahead are the pages that the kernel freed for a request which is printed
	// later.
	ahead []buddy.PFN
	// nexts and nextObjects are work space.
	seen *objectSightings
	// untraced are the caches whose frees the trace does not have.
	untraced    []bool
	nexts       []int32
	nextObjects []uint64
}

// objectCtx is what one context (CPU, level of interrupt, task) has open.
type objectCtx struct {
	cpu   int16
	level uint8
	pid   int32
	// cache is the cache that its next kmem_cache_alloc is of, or -1.
	cache int32
	// kmalloc is its last kmalloc event's object and size.
	kmalloc, kmallocReq uint64
	// pages are the pages that it got and no slab has used yet, newest last.
	pages []int32
}

// maxOpenPages bounds objectCtx.pages; a slab's page is among the newest.
const maxOpenPages = 64

func (r *objectReplay) open(rec *objectRec) *objectCtx {
	pid := rec.pid
	if rec.level > 0 {
		pid = -1
	}
	for i := range r.ctxs {
		if c := &r.ctxs[i]; c.cpu == rec.cpu && c.level == rec.level && c.pid == pid {
			return c
		}
	}
	r.ctxs = append(r.ctxs, objectCtx{cpu: rec.cpu, level: rec.level, pid: pid, cache: -1})
	return &r.ctxs[len(r.ctxs)-1]
}

func (r *objectReplay) run() error {
	r.bySite, r.buckets = make([]int32, len(r.trace.sites)), make([]string, len(r.trace.sites))
	for i := range r.bySite {
		r.bySite[i] = -1
	}
	r.begun.op = -1
	r.links = r.trace.link(r.config.CPUsPossible, r.end)
	r.findUntraced()
	r.takeUnseenAtStart()
	for i := range r.trace.recs {
		if i%4096 == 0 {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			if r.opts.Progress != nil {
				r.opts.Progress(float64(i) / float64(len(r.trace.recs)))
			}
		}
		rec := &r.trace.recs[i]
		if rec.cpu < 0 || int(rec.cpu) >= r.config.CPUsPossible {
			r.res.differ(rec.line, fmt.Sprintf("event on CPU %d, the snapshot has %d", rec.cpu, r.config.CPUsPossible))
			continue
		}
		r.step(i)
	}
	return nil
}

// step runs event i, with what comes before it out of its turn.
func (r *objectReplay) step(i int) {
	for k := 0; k < len(r.later); k++ {
		if l := r.later[k]; l.before == int32(i) {
			r.later = slices.Delete(r.later, k, k+1)
			k--
			r.at = int(l.op)
			r.do(&l.rec)
		}
	}
	if k := slices.Index(r.early1, int32(i)); k >= 0 {
		r.early1 = slices.Delete(r.early1, k, k+1)
		return
	}
	rec := &r.trace.recs[i]
	if rec.level > 0 {
		r.early(i)
	}
	r.at = i
	switch rec.kind {
	case objFree, objKfree:
		if r.interrupted(i) && r.lateFree(i, rec) {
			return
		}
	case objBulkFree:
		r.detach(i, rec)
		return
	}
	r.do(rec)
}

func (r *objectReplay) do(rec *objectRec) {
	c := r.open(rec)
	switch rec.kind {
	case objCache:
		c.cache = rec.cache
	case objPageAlloc:
		if len(c.pages) == maxOpenPages {
			c.pages = slices.Delete(c.pages, 0, 1)
		}
		c.pages = append(c.pages, int32(r.at))
	case objPageFree:
		r.pageFreed(rec)
	case objAlloc:
		if rec.cache == -1 {
			rec.cache = c.cache
		}
		c.cache = -1
		if cache := r.cacheOf(rec); cache != nil {
			r.alloc(rec, cache)
		} else {
			r.res.count("allocations of a cache that is in no snapshot")
		}
	case objKmalloc:
		r.kmalloc(rec)
	case objFree, objKfree:
		r.free(rec)
	case objBulkEnd:
		r.bulk(rec)
	case objBulkFree:
		r.freeBulk(rec, r.trace.vecs[rec.vec:rec.vec+rec.i])
	}
}

// cacheOf finds the cache that an allocation is of: as the trace says, else the
// one that the call site used before, else by the object itself.
func (r *objectReplay) cacheOf(rec *objectRec) *slab.Cache {
	fits := func(i int32) bool {
		l := r.caches[i].Layout()
		return uint64(l.Size) == rec.alloc && uint64(l.ObjectSize) == rec.req
	}
	switch {
	case rec.cache >= 0:
		return r.caches[rec.cache]
	case rec.cache == lostCache:
		return nil
	}
	if i := r.bySite[rec.site]; i >= 0 && fits(i) {
		return r.caches[i]
	}
	if k := r.cacheSeen(rec); k >= 0 && fits(k) {
		r.bySite[rec.site] = k
		r.res.count("caches of call sites found by an object")
		return r.caches[k]
	}
	return nil
}

// cacheSeen is the number of the cache that an allocated object is of, -1 if
// nothing tells: by the slab that it is in, by the event that frees it, or by
// the second snapshot.
func (r *objectReplay) cacheSeen(rec *objectRec) int32 {
	if c := r.a.CacheOf(rec.ptr); c != nil {
		return r.numbers[c]
	}
	if next := r.links.next[r.at]; next != never && next>>useShift < int32(len(r.trace.recs)) {
		if n := &r.trace.recs[next>>useShift]; n.cache >= 0 {
			return n.cache
		}
	}
	pfn := buddy.PFN((rec.ptr - r.config.PageOffset) >> r.config.PageShift)
	at, ok := slices.BinarySearchFunc(r.endSlabs, pfn, func(s *slab.SlabState, pfn buddy.PFN) int {
		switch {
		case s.PFN+1<<s.Order <= pfn:
			return -1
		case s.PFN > pfn:
			return 1
		}
		return 0
	})
	if ok {
		return r.endNumber[r.endSlabs[at].Cache]
	}
	return -1
}

// alloc runs a request for an object of a cache.
func (r *objectReplay) alloc(rec *objectRec, c *slab.Cache) {
	r.compareObject(rec, c, rec.ptr)
}

// kmalloc runs a request for bytes.
func (r *objectReplay) kmalloc(rec *objectRec) {
	gfp := r.trace.gfps[rec.gfp]
	if rec.ptr == slab.ZeroSizePtr {
		return
	}
	open := r.open(rec)
	if open.kmalloc == rec.ptr && open.kmallocReq == rec.req && r.inUse(rec.ptr) {
		// Some functions and their callers print the same request.
		open.kmalloc = 0
		return
	}
	open.kmalloc, open.kmallocReq = rec.ptr, rec.req
	c := r.a.KmallocCache(rec.req, gfp)
	if c == nil {
		r.kmallocLarge(rec, gfp)
		return
	}
	c = r.bucket(rec, c)
	r.compareObject(rec, c, rec.ptr)
}

// inUse says whether an address is an object or large block in use.
func (r *objectReplay) inUse(ptr uint64) bool {
	return r.a.InUse(ptr) || r.a.CacheOf(ptr) == nil && r.a.Ksize(ptr) > 0
}

// bucket is the cache that serves a kmalloc request of a call site with caches
// of its own (kmem_buckets, since 6.11). Events do not name them; the first
// object of a call site shows which it has.
func (r *objectReplay) bucket(rec *objectRec, c *slab.Cache) *slab.Cache {
	if !r.config.Profile.Sheaves || rec.ptr == 0 {
		return c
	}
	at := strings.LastIndexByte(c.Name(), '-')
	size := c.Name()[at:]
	if r.buckets[rec.site] == "" {
		r.buckets[rec.site] = c.Name()[:at]
		if own := r.cacheSeen(rec); own >= 0 && r.caches[own] != c && strings.HasSuffix(r.caches[own].Name(), size) {
			r.buckets[rec.site] = strings.TrimSuffix(r.caches[own].Name(), size)
			r.res.count("caches of call sites found by an object")
		}
	}
	if !strings.Contains(r.buckets[rec.site], "kmalloc") {
		if own := r.a.Cache(r.buckets[rec.site] + size); own != nil {
			return own
		}
	}
	return c
}

// compareObject takes an object and compares its address.
func (r *objectReplay) compareObject(rec *objectRec, c *slab.Cache, want uint64) {
	if r.isUntraced(c) {
		r.tryUntraced(rec, c, want)
		return
	}
	r.res.Requests++
	cpu := buddy.CPU(rec.cpu)
	r.want = want
	got, err := c.AllocNode(cpu, r.trace.gfps[rec.gfp], buddy.NodeID(max(rec.node, -1)))
	if err == nil && got == want || want == 0 && errors.Is(err, slab.ErrNoMemory) {
		r.res.Exact++
		return
	}
	if err != nil {
		r.res.differ(rec.line, fmt.Sprintf("cache %s: model fails (%v), kernel gave %x", c.Name(), err, want))
	} else {
		r.res.differ(rec.line, fmt.Sprintf("cache %s: model gives %x, kernel gave %x", c.Name(), got, want))
		_ = c.Undo(cpu, got)
		r.takeUnseen(c, cpu, r.at)
	}
	r.res.count("misses of " + c.Name())
	if want != 0 {
		r.follow(rec, c, want)
	}
}

// tryUntraced follows a request to a cache whose frees are not traced.
func (r *objectReplay) tryUntraced(rec *objectRec, c *slab.Cache, want uint64) {
	cpu := buddy.CPU(rec.cpu)
	r.res.count("requests to " + c.Name() + ", whose frees are not traced")
	if c.NextObject(cpu) == want {
		r.res.count("of these predicted all the same")
	}
	if c.Follow(cpu, want) != nil {
		_ = c.AdoptSlab(want)
	}
}

// follow takes over the kernel's object after a difference.
func (r *objectReplay) follow(rec *objectRec, c *slab.Cache, want uint64) {
	if r.a.CacheOf(want) == nil && c.AdoptSlab(want) == nil {
		return
	}
	if c.Follow(buddy.CPU(rec.cpu), want) != nil {
		r.res.count("objects given again without being freed")
	}
}

// bulk runs a bulk request, or what is left of one that an interrupt came into.
func (r *objectReplay) bulk(rec *objectRec) {
	want := r.trace.vecs[rec.vec : rec.vec+rec.i]
	if r.begun.op == int32(r.at) {
		want = want[r.begun.n:]
		r.begun = begunBulk{op: -1}
	}
	r.bulkPart(rec, want)
}

// bulkPart runs a part of a bulk request.
func (r *objectReplay) bulkPart(rec *objectRec, want []uint64) {
	if rec.cache < 0 {
		r.res.count("allocations of a cache that is in no snapshot")
		return
	}
	if len(want) == 0 {
		return
	}
	c := r.caches[rec.cache]
	r.vec = want
	r.buf = slices.Grow(r.buf[:0], len(want))[:len(want)]
	err := c.AllocBulk(buddy.CPU(rec.cpu), buddy.GFPKernel, r.buf)
	r.vec = nil
	r.res.Requests += len(want)
	if err == nil && slices.Equal(r.buf, want) {
		r.res.Exact += len(want)
		return
	}
	r.res.differ(rec.line, fmt.Sprintf("cache %s: bulk: model gives %x (%v), kernel gave %x", c.Name(), r.buf, err, want))
	for i := len(want) - 1; i >= 0 && err == nil; i-- {
		if r.buf[i] != want[i] {
			r.res.count("misses of " + c.Name())
		} else {
			r.res.Exact++
		}
		_ = c.Undo(buddy.CPU(rec.cpu), r.buf[i])
	}
	for _, w := range want {
		r.follow(rec, c, w)
	}
}

// free runs a free.
func (r *objectReplay) free(rec *objectRec) {
	if rec.ptr <= slab.ZeroSizePtr {
		return
	}
	cpu := buddy.CPU(rec.cpu)
	if r.a.CacheOf(rec.ptr) == nil && r.a.Ksize(rec.ptr) == 0 && !r.adopt(rec) {
		return
	}
	var err error
	if rec.kind == objFree && rec.cache >= 0 {
		err = r.caches[rec.cache].Free(cpu, rec.ptr)
	} else {
		err = r.a.Kfree(cpu, rec.ptr)
	}
	var m *slab.MisuseError
	if errors.As(err, &m) && m.Kind == slab.DoubleFree && r.a.CacheOf(rec.ptr).Seize(rec.ptr) == nil {
		r.res.count("objects taken without an event")
		err = r.a.Kfree(cpu, rec.ptr)
	}
	r.freed(rec, err)
}

func (r *objectReplay) freed(rec *objectRec, err error) {
	if err == nil {
		return
	}
	r.res.differ(rec.line, err.Error())
	var m *slab.MisuseError
	if errors.As(err, &m) && m.Kind == slab.NotSlab {
		r.res.count("frees of objects that no slab known holds")
	} else {
		r.res.count("frees the model refused")
	}
}

func (r *objectReplay) freeBulk(rec *objectRec, objs []uint64) {
	r.buf = append(r.buf[:0], objs...)
	if rec.cache >= 0 {
		r.freed(rec, r.caches[rec.cache].FreeBulk(buddy.CPU(rec.cpu), r.buf))
	} else {
		r.freed(rec, r.a.KfreeBulk(buddy.CPU(rec.cpu), r.buf))
	}
}

// adopt makes a slab known that was full in the first snapshot and is first seen
// when one of its objects is freed.
func (r *objectReplay) adopt(rec *objectRec) bool {
	if rec.cache >= 0 && r.caches[rec.cache].AdoptSlab(rec.ptr) == nil {
		return true
	}
	r.res.count("frees of objects that no slab known holds")
	return false
}

// kmallocLarge follows a request that is served with pages; its pages are the
// page allocator's answer.
func (r *objectReplay) kmallocLarge(rec *objectRec, gfp buddy.GFP) {
	r.res.count("requests served with pages")
	got, err := r.a.KmallocNode(buddy.CPU(rec.cpu), rec.req, gfp, buddy.NodeID(max(rec.node, -1)))
	if err == nil && got == rec.ptr {
		return
	}
	if err == nil {
		_ = r.a.Kfree(buddy.CPU(rec.cpu), got)
	}
	r.res.count("misses of requests served with pages")
}

// Long, Below and Start make the replay the allocator's source of random draws.

// Long implements slab.Random; restored caches need no keys.
func (r *objectReplay) Long() uint64 { return 0 }

// Below implements slab.Random: whether other nodes' slabs are taken first. The
// kernel draws that from the cycle counter; most draws say yes.
func (r *objectReplay) Below(uint32) uint32 { return 0 }

// Start implements slab.Random: where a new slab's shuffled order begins. No
// event tells; the first object taken from it does.
func (r *objectReplay) Start(c *slab.Cache, addr uint64, n uint32) uint32 {
	l := c.Layout()
	size := uint64(1) << (r.config.PageShift + l.Order)
	first := r.want
	for _, v := range r.vec {
		if v >= addr && v < addr+size {
			first = v
			break
		}
	}
	if first < addr || first >= addr+size {
		return 0
	}
	r.res.hint("start of a new slab's order")
	obj := uint16((first - addr - uint64(l.RedLeftPad)) / uint64(l.Size))
	return uint32(max(slices.Index(c.Order(), obj), 0))
}
