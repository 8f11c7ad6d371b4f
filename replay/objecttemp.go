package replay

import (
	"slices"

	"github.com/kernsim/kernsim/slab"
)

// A cache that is created and destroyed between the snapshots is in neither.
// Its frees name it, its requests say how large its objects are; and the
// shuffled order of its slabs shows when all objects of one have been given out
// once, because a new slab gives each of them in that order.

// addTemporary gives the first state the caches that only events name.
func (p *objectCapture) addTemporary() {
	first := int32(len(p.cacheIDs))
	allocs := p.allocationsOf(first)
	for k, name := range p.trace.names {
		cs, ok := p.temporary(name, allocs[k])
		if !ok {
			p.forgetTemporary(first+int32(k), allocs[k])
			// Keeps the numbers of the others.
			cs = slab.CacheState{Params: slab.Params{Name: name, Size: 8}}
			cs.Layout, _ = p.config.Layout(cs.Params)
		}
		p.state.Caches = append(p.state.Caches, cs)
		p.cacheIDs = append(p.cacheIDs, cacheID{0, name})
		if ok {
			p.temporaries++
			for _, i := range allocs[k] {
				p.trace.recs[i].cache = first + int32(k)
			}
		}
	}
}

// allocationsOf finds, for each cache that only events name, the allocations of
// the objects that were freed to it.
func (p *objectCapture) allocationsOf(first int32) [][]int32 {
	out := make([][]int32, len(p.trace.names))
	if len(out) == 0 {
		return nil
	}
	open := map[uint64]int32{}
	for i := range p.trace.recs {
		switch rec := &p.trace.recs[i]; {
		case rec.kind == objAlloc && rec.cache < 0:
			open[rec.ptr] = int32(i)
		case rec.kind == objFree && rec.cache >= first:
			if k, ok := open[rec.ptr]; ok {
				out[rec.cache-first] = append(out[rec.cache-first], k)
				delete(open, rec.ptr)
			}
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// temporary makes a cache of its allocations; false if they do not tell enough.
func (p *objectCapture) temporary(name string, allocs []int32) (slab.CacheState, bool) {
	if len(allocs) == 0 {
		return slab.CacheState{}, false
	}
	rec := &p.trace.recs[allocs[0]]
	params, l, ok := p.guessParams(name, rec)
	if !ok {
		return slab.CacheState{}, false
	}
	cs := slab.CacheState{Params: params, Layout: l, RefCount: 1}
	if p.hasRandomOrders() {
		cs.Order = p.learnOrder(&l, allocs)
		return cs, cs.Order != nil
	}
	return cs, true
}

// guessParams finds what the cache was asked for: how much larger than asked its
// objects are shows it.
func (p *objectCapture) guessParams(name string, rec *objectRec) (slab.Params, slab.Layout, bool) {
	params := slab.Params{Name: name, Size: uint32(min(rec.req, 1<<30))}
	for _, ctor := range []func(uint64, []byte){nil, func(uint64, []byte) {}} {
		for _, flags := range []slab.Flags{0, slab.HWCacheAlign} {
			params.Ctor, params.Flags = ctor, flags
			if l, err := p.config.Layout(params); err == nil && uint64(l.Size) == rec.alloc {
				return params, l, true
			}
		}
	}
	return params, slab.Layout{}, false
}

// hasRandomOrders says whether the kernel shuffles slabs' free lists.
func (p *objectCapture) hasRandomOrders() bool {
	for i := range p.state.Caches {
		if p.state.Caches[i].Order != nil {
			return true
		}
	}
	return false
}

// learnOrder finds the order of a cache's slabs from the first one whose objects
// were all given out; nil if there is none.
func (p *objectCapture) learnOrder(l *slab.Layout, allocs []int32) []uint16 {
	size := uint64(1) << (p.config.PageShift + l.Order)
	orders, given := map[uint64][]uint16{}, map[uint64]bool{}
	for _, i := range allocs {
		ptr := p.trace.recs[i].ptr
		if given[ptr] {
			continue
		}
		given[ptr] = true
		off := (ptr - p.config.PageOffset) % size
		obj := uint16(off / uint64(l.Size))
		if uint32(obj) >= l.Objects || slices.Contains(orders[ptr-off], obj) {
			return nil // the layout is not what it seemed
		}
		orders[ptr-off] = append(orders[ptr-off], obj)
		if uint32(len(orders[ptr-off])) == l.Objects {
			return orders[ptr-off]
		}
	}
	return nil
}

// forgetTemporary makes the events of a cache about which too little is known
// ones of an unknown cache.
func (p *objectCapture) forgetTemporary(number int32, allocs []int32) {
	for i := range p.trace.recs {
		if p.trace.recs[i].cache == number {
			p.trace.recs[i].cache = -1
		}
	}
	for _, i := range allocs {
		p.trace.recs[i].cache = lostCache
	}
}

// lostCache is the cache of requests to one that is in no snapshot. Another may
// have its address by the second.
const lostCache = -2
