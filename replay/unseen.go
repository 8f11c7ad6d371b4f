package replay

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// On some machines pages are taken and given back without any event: by tasks
// that the trace leaves out. After a difference, where a page turns up next
// tells whether that happened to it.

// sightings finds a page's next event in a trace or place in the second
// snapshot. It is made at the first difference.
type sightings struct {
	// keys are page frame << seenShift | event, sorted.
	keys []uint64
	free map[uint64]bool
}

// seenShift leaves room for the number of an event.
const seenShift = 28

func newSightings(t *pageTrace, end *buddy.State) *sightings {
	s := &sightings{free: map[uint64]bool{}}
	for i := range t.n {
		switch t.at(i).kind {
		case trace.KindMMPageAlloc, trace.KindMMPageFree, trace.KindMMPagePCPUDrain, trace.KindPageBulk, trace.KindMMPageAllocZoneLocked:
			s.keys = append(s.keys, t.at(i).pfn<<seenShift|uint64(i))
		}
	}
	slices.Sort(s.keys)
	for i := range end.Zones {
		for o := range end.Zones[i].Free {
			for _, pfns := range end.Zones[i].Free[o] {
				for _, pfn := range pfns {
					for n := range uint64(1) << o {
						s.free[uint64(pfn)+n] = true
					}
				}
			}
		}
		for cpu := range end.Zones[i].PCP {
			for _, pfns := range end.Zones[i].PCP[cpu].Lists {
				for _, pfn := range pfns {
					s.free[uint64(pfn)] = true
				}
			}
		}
	}
	return s
}

// takenUnseen says whether a page that is free in the model at event i must be
// in use: the next that is seen of it is a free, or nothing at all and it is on
// no list in the end.
func (r *pageReplay) takenUnseen(pfn buddy.PFN, i int32) bool {
	if r.seen == nil {
		r.seen = newSightings(r.t, r.end)
	}
	key := uint64(pfn)<<seenShift | uint64(i+1)
	at, _ := slices.BinarySearch(r.seen.keys, key)
	if at < len(r.seen.keys) && r.seen.keys[at]>>seenShift == uint64(pfn) {
		return r.t.at(int32(r.seen.keys[at]&(1<<seenShift-1))).kind == trace.KindMMPageFree
	}
	return !r.seen.free[uint64(pfn)]
}
