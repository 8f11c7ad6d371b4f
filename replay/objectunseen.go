package replay

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// On some machines objects are taken and given back without any event. An
// object that is free in the model and whose next event is a free was taken
// unseen.

// objectSightings finds an object's next event in a trace, or whether it is free
// in the second snapshot.
type objectSightings struct {
	// keys are the objects of all events, sorted, with the events' numbers.
	keys []sighting
	free map[uint64]bool
}

type sighting struct {
	ptr uint64
	at  int32
}

func compareSightings(a, b sighting) int {
	switch {
	case a.ptr < b.ptr:
		return -1
	case a.ptr > b.ptr:
		return 1
	}
	return int(a.at) - int(b.at)
}

func newObjectSightings(t *objectTrace, end *slab.State) *objectSightings {
	s := &objectSightings{free: map[uint64]bool{}}
	for i := range t.recs {
		rec := &t.recs[i]
		switch rec.kind {
		case objAlloc, objKmalloc, objFree, objKfree:
			s.keys = append(s.keys, sighting{rec.ptr, int32(i)})
		case objBulkEnd, objBulkFree:
			for _, p := range t.vecs[rec.vec : rec.vec+rec.i] {
				s.keys = append(s.keys, sighting{p, int32(i)})
			}
		}
	}
	slices.SortFunc(s.keys, compareSightings)
	note := func(objs []uint64) {
		for _, o := range objs {
			s.free[o] = true
		}
	}
	for i := range end.Slabs {
		note(end.Slabs[i].Freelist)
	}
	for i := range end.Caches {
		for k := range end.Caches[i].CPUs {
			c := &end.Caches[i].CPUs[k]
			note(c.Freelist)
			note(c.Main)
			note(c.Spare)
		}
		for k := range end.Caches[i].Nodes {
			for _, full := range end.Caches[i].Nodes[k].BarnFull {
				note(full)
			}
		}
	}
	return s
}

// takenUnseen says whether an object that is free in the model at event i must
// be in use: its next event is a free, or it has none and is in the end on no
// list of a slab that the second snapshot has.
func (r *objectReplay) takenUnseen(ptr uint64, i int) bool {
	if r.seen == nil {
		r.seen = newObjectSightings(r.trace, r.end)
	}
	at, _ := slices.BinarySearchFunc(r.seen.keys, sighting{ptr, int32(i) + 1}, compareSightings)
	if at < len(r.seen.keys) && r.seen.keys[at].ptr == ptr {
		switch r.trace.recs[r.seen.keys[at].at].kind {
		case objFree, objKfree, objBulkFree:
			return true
		}
		return false
	}
	return !r.seen.free[ptr]
}

// takeUnseenAtStart takes out the objects that CPUs took between the moment of
// the first snapshot and the first event. Only kernels that are read while they
// run have such.
func (r *objectReplay) takeUnseenAtStart() {
	if !r.before.HasTrigger {
		return
	}
	for _, c := range r.caches {
		for cpu := range r.config.CPUsPossible {
			r.takeUnseen(c, buddy.CPU(cpu), -1)
		}
	}
}

// takeUnseen takes the next objects of a cache that must be in use out of the
// way, and says how many.
func (r *objectReplay) takeUnseen(c *slab.Cache, cpu buddy.CPU, i int) int {
	n := 0
	for ; n < maxUnseen; n++ {
		next := c.NextObject(cpu)
		if next == 0 || !r.takenUnseen(next, i) || c.Seize(next) != nil {
			break
		}
		r.res.count("objects taken without an event")
	}
	return n
}

// findUntraced finds the caches whose frees are not in the trace: objects are
// given out twice with no free between, and the cache has not a single free.
// (Since 6.18 kfree_rcu and prefilled sheaves give objects back that way.)
func (r *objectReplay) findUntraced() {
	r.untraced = make([]bool, len(r.caches))
	given := map[uint64]bool{}
	freed := make([]bool, len(r.caches))
	for i := range r.trace.recs {
		rec := &r.trace.recs[i]
		if rec.cache < 0 {
			delete(given, rec.ptr)
			continue
		}
		switch rec.kind {
		case objAlloc:
			r.untraced[rec.cache] = r.untraced[rec.cache] || given[rec.ptr]
			given[rec.ptr] = true
		case objFree, objBulkFree:
			freed[rec.cache] = true
			delete(given, rec.ptr)
		}
	}
	for i := range r.untraced {
		r.untraced[i] = r.untraced[i] && !freed[i]
	}
}

// isUntraced says whether a cache's frees are not traced.
func (r *objectReplay) isUntraced(c *slab.Cache) bool {
	return r.untraced[r.numbers[c]]
}
