package replay

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// tracedPages is the page source of a replay: a slab gets the pages that the
// kernel's slab got.
type tracedPages struct{ r *objectReplay }

// errNoTracedPage: the model makes a new slab where the kernel did not.
var errNoTracedPage = errors.New("the kernel took no pages here")

// AllocPages implements slab.PageSource with the newest page of the context that
// is of the order and was asked for with the same flags. A bulk request may take
// several slabs: of its pages the oldest comes first.
func (p *tracedPages) AllocPages(gfp buddy.GFP, order buddy.Order, _ buddy.NodeID, _ buddy.CPU) (buddy.PFN, error) {
	r := p.r
	c := r.open(&r.trace.recs[r.at])
	use := -1
	for k := len(c.pages) - 1; k >= 0; k-- {
		rec := &r.trace.recs[c.pages[k]]
		if rec.order == int8(order) && r.trace.gfps[rec.gfp] == gfp && (use < 0 || p.ofBulk(rec)) {
			use = k
		}
	}
	if use < 0 {
		return 0, errNoTracedPage
	}
	r.res.Events++
	r.res.EventsExact++
	pfn := r.trace.recs[c.pages[use]].ptr
	c.pages = slices.Delete(c.pages, use, use+1)
	if pfn == 0 {
		return 0, errNoTracedPage
	}
	return buddy.PFN(pfn), nil
}

// ofBulk says whether a page holds an object of the bulk request under way.
func (p *tracedPages) ofBulk(page *objectRec) bool {
	from := p.r.config.PageOffset + page.ptr<<p.r.config.PageShift
	size := uint64(1) << (p.r.config.PageShift + int(page.order))
	return slices.ContainsFunc(p.r.vec, func(obj uint64) bool { return obj-from < size })
}

// freeSearch is how many events on the CPU may lie between an object's free and
// the free of its slab's pages.
const freeSearch = 64

// FreePages implements slab.PageSource: the kernel must give the same pages back
// with one of the next events.
func (p *tracedPages) FreePages(pfn buddy.PFN, order buddy.Order, _ buddy.CPU) error {
	r := p.r
	r.res.Events++
	if i := slices.Index(r.ahead, pfn); i >= 0 {
		r.ahead = slices.Delete(r.ahead, i, i+1)
		r.res.EventsExact++
		return nil
	}
	k := int32(r.at)
	for n := 0; n < freeSearch && k >= 0; n, k = n+1, r.links.onCPU[k] {
		if n := &r.trace.recs[k]; n.kind == objPageFree && n.ptr == uint64(pfn) && n.order == int8(order) {
			r.res.EventsExact++
			return nil
		}
	}
	r.res.differ(r.trace.recs[r.at].line, fmt.Sprintf("slab at page frame %d: the model gives its pages back, the kernel does not", pfn))
	return nil
}

// PageNode implements slab.PageSource.
func (p *tracedPages) PageNode(pfn buddy.PFN) buddy.NodeID {
	for i := range p.r.before.Zones {
		if z := &p.r.before.Zones[i]; uint64(pfn) >= z.StartPFN && uint64(pfn) < z.StartPFN+z.Spanned {
			return buddy.NodeID(z.Node)
		}
	}
	return 0
}

// pageFreed compares a page that the kernel freed: the model's slab of it, if it
// was one, must be gone by now.
func (r *objectReplay) pageFreed(rec *objectRec) {
	addr := r.config.PageOffset + rec.ptr<<r.config.PageShift
	if c := r.a.CacheOf(addr); c != nil && int(r.numbers[c]) >= len(r.caches)-len(r.trace.names) && c.InUse() == 0 {
		r.res.hint("destruction of a cache")
		_ = c.Destroy(buddy.CPU(rec.cpu))
	}
	if c := r.a.CacheOf(addr); c != nil && !r.isUntraced(c) {
		if r.leavesNode(rec, c) {
			r.ahead = append(r.ahead, buddy.PFN(rec.ptr))
			return
		}
		r.res.Events++
		r.res.differ(rec.line, fmt.Sprintf("cache %s: the kernel gave the slab at page frame %d back, the model keeps it", c.Name(), rec.ptr))
	}
	r.a.ForgetSlab(addr)
}

// leavesNode says whether a slab's pages are freed by a request for an object of
// another node, which puts away the CPU's slabs that are not there. The request
// is printed after it.
func (r *objectReplay) leavesNode(rec *objectRec, c *slab.Cache) bool {
	for k := r.links.onCPU[r.at]; k >= 0; k = r.links.onCPU[k] {
		switch next := &r.trace.recs[k]; {
		case next.level > rec.level || next.kind == objPageAlloc || next.kind == objPageFree || next.kind == objCache:
		case next.level == rec.level && next.pid == rec.pid && (next.kind == objAlloc || next.kind == objKmalloc):
			return next.node >= 0 && r.knownCache(next) == c
		default:
			return false
		}
	}
	return false
}

// compareAhead counts the frees that were put off and did not come.
func (r *objectReplay) compareAhead() {
	for _, pfn := range r.ahead {
		r.res.Events++
		r.res.differ(0, fmt.Sprintf("the kernel gave the slab at page frame %d back, the model keeps it", pfn))
	}
}
