package replay

import (
	"math"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// An allocation is printed after it took its object, a free before it gives its
// object back, a bulk request at its entry and return. So where an interrupt
// comes in between, its events may be printed on the wrong side:
//
//	printed              happened, perhaps
//	kfree A              interrupt frees B          kmem_cache_alloc took C
//	interrupt: kfree B   A is freed                 interrupt frees B
//	                                                (kmem_cache_alloc C printed)
//
// No event tells. Which of A and B is given out first later does: free lists
// give what came last. And for an allocation: whether its object is the next one
// before or after what the interrupt did. Each use is counted as an "order" hint.

// never is the place of an object's next use if there is none. Else it is the
// event's number, and below that the place in the event's vector.
const (
	never    = math.MaxInt32
	useShift = 6
)

// objectLinks connect the events of a trace.
type objectLinks struct {
	// onCPU[i] is the next event on event i's CPU, or -1.
	onCPU []int32
	// next[i] is where the object of event i is used next; nextVec the same for
	// the objects of bulk events. never if it is not.
	next, nextVec []int32
}

// link finds the links, from the end of the trace on.
func (t *objectTrace) link(cpus int, end *slab.State) *objectLinks {
	l := &objectLinks{onCPU: make([]int32, len(t.recs)), next: make([]int32, len(t.recs)), nextVec: make([]int32, len(t.vecs))}
	last := make([]int32, cpus)
	for i := range last {
		last[i] = -1
	}
	use := newPFNTable()
	rankAtEnd(use, end, int32(len(t.recs)))
	at := func(ptr uint64, i int32) int32 {
		if prev, ok := use.swap(ptr, i); ok {
			return prev
		}
		return never
	}
	for i := int32(len(t.recs)) - 1; i >= 0; i-- {
		rec := &t.recs[i]
		if rec.cpu < 0 || int(rec.cpu) >= cpus {
			continue
		}
		l.onCPU[i] = last[rec.cpu]
		last[rec.cpu] = i
		switch rec.kind {
		case objAlloc, objKmalloc, objFree, objKfree:
			l.next[i] = at(rec.ptr, i<<useShift)
		case objBulkEnd, objBulkFree:
			for k := rec.vec + rec.i - 1; k >= rec.vec; k-- {
				l.nextVec[k] = at(t.vecs[k], i<<useShift|min(k-rec.vec, 1<<useShift-1))
			}
		}
	}
	return l
}

// rankAtEnd enters the free objects of the second snapshot as if they were used
// after the trace's end, in the order in which they would be taken.
func rankAtEnd(use *pfnTable, end *slab.State, base int32) {
	list := func(objs []uint64) {
		for i, o := range objs {
			use.swap(o, base<<useShift+int32(i))
		}
	}
	for i := range end.Slabs {
		list(end.Slabs[i].Freelist)
	}
	for i := range end.Caches {
		for k := range end.Caches[i].CPUs {
			list(end.Caches[i].CPUs[k].Freelist)
		}
	}
}

// interrupted says whether the next event on an event's CPU is an interrupt that
// came into the same task.
func (r *objectReplay) interrupted(i int) bool {
	k := r.links.onCPU[i]
	return k >= 0 && r.trace.recs[k].level > r.trace.recs[i].level
}

// lateFree puts off a free that an interrupt came into, until before the first
// of the interrupt's frees whose object is given out before this one's.
func (r *objectReplay) lateFree(i int, rec *objectRec) bool {
	mine := r.links.next[i]
	if rec.kind == objBulkFree {
		mine = r.links.nextVec[rec.vec+rec.i-1]
	}
	c := r.a.CacheOf(rec.object(r.trace))
	if c == nil || mine == never {
		return false
	}
	late := false
	for k := r.links.onCPU[i]; k >= 0 && r.trace.recs[k].level > rec.level; k = r.links.onCPU[k] {
		other := &r.trace.recs[k]
		if !r.sameList(c, rec, other) {
			continue
		}
		switch other.kind {
		case objFree, objKfree:
			if r.links.next[k] < mine {
				return r.putOff(i, rec, k, late)
			}
			late = true
		case objAlloc, objKmalloc:
			if other.ptr == rec.ptr {
				return false
			}
			late = true
		}
	}
	return r.putOff(i, rec, -1, late)
}

// object is the object that an event is about; of bulk events the last one.
func (rec *objectRec) object(t *objectTrace) uint64 {
	if rec.kind == objBulkFree || rec.kind == objBulkEnd {
		if rec.i == 0 {
			return 0
		}
		return t.vecs[rec.vec+rec.i-1]
	}
	return rec.ptr
}

// sameList says whether another event on the CPU concerns the free list to which
// rec's object goes, or the list of partial slabs to which its slab goes.
func (r *objectReplay) sameList(c *slab.Cache, rec, other *objectRec) bool {
	cpu := buddy.CPU(rec.cpu)
	switch other.kind {
	case objFree, objKfree:
		mine := rec.object(r.trace)
		return c.SameSlab(other.ptr, mine) || c.Full(other.ptr) && c.Full(mine)
	case objAlloc, objKmalloc:
		return r.a.CacheOf(other.ptr) == c && c.HasSlab(cpu, rec.object(r.trace))
	}
	return false
}

// putOff notes that event i happens before event k, or at the end of the
// interrupt if k is -1.
func (r *objectReplay) putOff(i int, rec *objectRec, k int32, late bool) bool {
	if !late {
		return false
	}
	if k < 0 {
		for k = r.links.onCPU[i]; k >= 0 && r.trace.recs[k].level > rec.level; k = r.links.onCPU[k] {
		}
	}
	if k < 0 {
		return false
	}
	r.later = append(r.later, laterOp{before: k, op: int32(i), rec: *rec})
	r.res.hint("order")
	return true
}

// laterOp is an operation that happens right before another event.
type laterOp struct {
	before, op int32
	rec        objectRec
}

// detach runs a bulk free list by list, as the kernel takes it apart. An
// interrupt may come in between two of them; then the rest is put off.
func (r *objectReplay) detach(i int, rec *objectRec) {
	if rec.i < rec.n {
		r.res.count("bulk frees of more objects than traced")
	}
	r.adoptBulk(rec)
	late := false
	for left := rec.i; left > 0; {
		part := *rec
		from := r.detachOne(rec.vec, left)
		part.vec, part.i = rec.vec+from, left-from
		left = from
		switch {
		case late:
			r.later = append(r.later, laterOp{before: r.later[len(r.later)-1].before, op: int32(i), rec: part})
		case r.interrupted(i) && r.lateFree(i, &part):
			late = true
		default:
			r.do(&part)
		}
	}
}

// detachOne is Detach of the first n objects of a vector, which keeps their next
// uses with them.
func (r *objectReplay) detachOne(vec, n int32) int32 {
	objs, next := r.trace.vecs[vec:vec+n], r.links.nextVec[vec:vec+n]
	r.buf = append(r.buf[:0], objs...)
	r.nexts = append(r.nexts[:0], next...)
	from := r.a.Detach(objs)
	for k, o := range objs {
		next[k] = r.nexts[slices.Index(r.buf, o)]
	}
	return int32(from)
}

// adoptBulk makes the slabs of a bulk free's objects known.
func (r *objectReplay) adoptBulk(rec *objectRec) {
	for _, o := range r.trace.vecs[rec.vec : rec.vec+rec.i] {
		if r.a.CacheOf(o) == nil && rec.cache >= 0 {
			_ = r.caches[rec.cache].AdoptSlab(o)
		}
	}
}

// early runs the interrupted task's allocation before an interrupt's operation
// if its object is the next one now and would not be any more afterwards.
func (r *objectReplay) early(i int) {
	rec := &r.trace.recs[i]
	k := r.links.onCPU[i]
	for k >= 0 && (r.trace.recs[k].level >= rec.level || r.done(k) || !r.trace.recs[k].takes()) {
		if r.trace.recs[k].level < rec.level && !r.done(k) && r.trace.recs[k].kind != objCache && r.trace.recs[k].kind != objPageAlloc {
			return
		}
		k = r.links.onCPU[k]
	}
	if k < 0 {
		return
	}
	task := &r.trace.recs[k]
	if task.kind == objBulkEnd {
		r.earlyBulk(k, task, rec)
		return
	}
	if r.newSlabAhead(k, task, rec) {
		r.res.hint("order")
		r.early1 = append(r.early1, k)
		r.at = int(k)
		r.do(task)
		return
	}
	c := r.a.CacheOf(task.ptr)
	if c == nil || c.NextObject(buddy.CPU(rec.cpu)) != task.ptr || !r.disturbs(c, rec, false) {
		return
	}
	r.res.hint("order")
	r.early1 = append(r.early1, k)
	r.at = int(k)
	r.do(task)
}

// newSlabAhead says whether the interrupted task found no free object before the
// interrupt came, and is on its way to the page allocator: it got an object of a
// new slab, or none.
func (r *objectReplay) newSlabAhead(k int32, task, rec *objectRec) bool {
	c := r.knownCache(task)
	if c == nil || r.a.CacheOf(rec.ptr) != c || r.a.CacheOf(task.ptr) != nil {
		return false
	}
	if r.nextObjects = c.Peek(r.nextObjects[:0], buddy.CPU(task.cpu), 1); len(r.nextObjects) > 0 {
		return false
	}
	if task.ptr == 0 {
		return true
	}
	// Its page must have been printed by now.
	size := uint64(1) << c.Layout().Order << r.config.PageShift
	for _, p := range r.open(task).pages {
		first := r.config.PageOffset + r.trace.recs[p].ptr<<r.config.PageShift
		if task.ptr >= first && task.ptr < first+size {
			return true
		}
	}
	return false
}

// knownCache is the cache of an allocation that is not printed yet, nil if
// nothing tells.
func (r *objectReplay) knownCache(task *objectRec) *slab.Cache {
	switch {
	case task.kind == objKmalloc:
		return r.a.KmallocCache(task.req, r.trace.gfps[task.gfp])
	case task.cache >= 0:
		return r.caches[task.cache]
	case task.cache == lostCache:
		return nil
	}
	if c := r.open(task); c.cache >= 0 {
		return r.caches[c.cache]
	}
	return nil
}

// begunBulk says that n objects of the bulk request that returns at event op
// were taken already.
type begunBulk struct{ op, n int32 }

// earlyBulk runs a bulk request that returns at event k as far as its objects
// are the next ones now: all, or those of the CPU's free list. Behind that the
// kernel enables interrupts.
func (r *objectReplay) earlyBulk(k int32, task, rec *objectRec) {
	from := int32(0)
	if r.begun.op == k {
		from = r.begun.n
	}
	want := r.trace.vecs[task.vec+from : task.vec+task.i]
	if task.cache < 0 || len(want) == 0 || !r.disturbs(r.caches[task.cache], rec, true) {
		return
	}
	c := r.caches[task.cache]
	r.nextObjects = c.Peek(r.nextObjects[:0], buddy.CPU(task.cpu), len(want))
	n := 0
	if slices.Equal(r.nextObjects, want) {
		n = len(want)
	} else {
		for n < len(want) && n < len(r.nextObjects) && want[n] == r.nextObjects[n] && c.SameSlab(want[0], want[n]) && c.HasSlab(buddy.CPU(rec.cpu), want[n]) {
			n++
		}
	}
	if n == 0 {
		return
	}
	r.res.hint("order")
	r.at = int(k)
	r.bulkPart(task, want[:n])
	r.begun = begunBulk{k, from + int32(n)}
}

// takes says whether an event is an allocation.
func (rec *objectRec) takes() bool {
	return rec.kind == objAlloc || rec.kind == objKmalloc || rec.kind == objBulkEnd
}

// disturbs says whether an interrupt's operation changes which objects of a
// cache its CPU gets next: the very next one, or any.
func (r *objectReplay) disturbs(c *slab.Cache, rec *objectRec, anyNext bool) bool {
	if r.a.CacheOf(rec.ptr) != c {
		return false
	}
	switch rec.kind {
	case objFree, objKfree:
		return anyNext || c.HasSlab(buddy.CPU(rec.cpu), rec.ptr) || r.config.Profile.Sheaves
	case objAlloc, objKmalloc:
		return true
	}
	return false
}

// done says whether an event was run before its turn.
func (r *objectReplay) done(k int32) bool {
	for _, e := range r.early1 {
		if e == k {
			return true
		}
	}
	return false
}
