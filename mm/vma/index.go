package vma

import (
	"slices"
	"sort"
)

// chunkSize is how many VMAs a chunk of the index has at most.
const chunkSize = 64

// chunk is a part of the index: VMAs in ascending order.
type chunk struct {
	ids  []int32
	ends []uint64
	gaps []uint64 // below each
	gap  uint64   // the largest of them
}

// index finds VMAs by address and gaps by size.
type index struct {
	chunks []chunk
	tops   []uint64 // where each chunk's last VMA ends
	n      int
	// found is the chunk that was looked for last: often the next one, too.
	found int
}

// pos is a place in the index. Beyond the last VMA it is {len(chunks), 0}.
type pos struct{ c, i int }

func (x *index) valid(p pos) bool { return p.c < len(x.chunks) }
func (x *index) at(p pos) int32   { return x.chunks[p.c].ids[p.i] }

func (x *index) next(p pos) pos {
	if p.i++; p.i == len(x.chunks[p.c].ids) {
		return pos{p.c + 1, 0}
	}
	return p
}

// prev is the place before p; false if there is none.
func (x *index) prev(p pos) (pos, bool) {
	if p.i > 0 {
		return pos{p.c, p.i - 1}, true
	}
	if p.c > 0 {
		return pos{p.c - 1, len(x.chunks[p.c-1].ids) - 1}, true
	}
	return p, false
}

// find gives the place of the first VMA that ends above an address.
func (x *index) find(addr uint64) pos {
	c := x.found
	if c >= len(x.tops) || x.tops[c] <= addr || c > 0 && x.tops[c-1] > addr {
		if c = sort.Search(len(x.tops), func(c int) bool { return x.tops[c] > addr }); c == len(x.tops) {
			return pos{c, 0}
		}
		x.found = c
	}
	ends := x.chunks[c].ends
	return pos{c, sort.Search(len(ends), func(i int) bool { return ends[i] > addr })}
}

func newChunk() chunk {
	return chunk{ids: make([]int32, 0, chunkSize), ends: make([]uint64, 0, chunkSize), gaps: make([]uint64, 0, chunkSize)}
}

func (x *index) insert(vmas []VMA, id int32) {
	x.n++
	p := x.find(vmas[id].Start)
	switch {
	case len(x.chunks) == 0:
		x.chunks, x.tops = append(x.chunks, newChunk()), append(x.tops, 0)
		p = pos{}
	case p.c == len(x.chunks):
		p = pos{p.c - 1, len(x.chunks[p.c-1].ids)}
	}
	if ch := &x.chunks[p.c]; len(ch.ids) == chunkSize {
		const half = chunkSize / 2
		upper := newChunk()
		upper.ids, upper.ends, upper.gaps = append(upper.ids, ch.ids[half:]...), append(upper.ends, ch.ends[half:]...), append(upper.gaps, ch.gaps[half:]...)
		ch.ids, ch.ends, ch.gaps = ch.ids[:half], ch.ends[:half], ch.gaps[:half]
		x.chunks, x.tops = slices.Insert(x.chunks, p.c+1, upper), slices.Insert(x.tops, p.c+1, 0)
		x.sum(p.c)
		x.sum(p.c + 1)
		if p.i > half {
			p = pos{p.c + 1, p.i - half}
		}
	}
	ch := &x.chunks[p.c]
	ch.ids, ch.ends, ch.gaps = slices.Insert(ch.ids, p.i, id), slices.Insert(ch.ends, p.i, 0), slices.Insert(ch.gaps, p.i, 0)
	x.changed(vmas, p)
}

func (x *index) remove(vmas []VMA, p pos) {
	x.n--
	ch := &x.chunks[p.c]
	ch.ids, ch.ends, ch.gaps = slices.Delete(ch.ids, p.i, p.i+1), slices.Delete(ch.ends, p.i, p.i+1), slices.Delete(ch.gaps, p.i, p.i+1)
	switch {
	case len(ch.ids) == 0:
		x.chunks, x.tops = slices.Delete(x.chunks, p.c, p.c+1), slices.Delete(x.tops, p.c, p.c+1)
		p.i = 0
	case p.i == len(ch.ids):
		x.sum(p.c)
		p = pos{p.c + 1, 0}
	}
	if x.valid(p) {
		x.changed(vmas, p)
	}
}

// changed follows a change of the VMA at a place: the gap below it and that
// below the next.
func (x *index) changed(vmas []VMA, p pos) {
	x.measure(vmas, p)
	q := x.next(p)
	if x.valid(q) {
		x.measure(vmas, q)
		if q.c != p.c {
			x.sum(q.c)
		}
	}
	x.sum(p.c)
}

// measure notes a VMA's end and the gap below it.
func (x *index) measure(vmas []VMA, p pos) {
	gap, below := uint64(0), x.below(p)
	if top := vmas[x.at(p)].startGap(); top > below {
		gap = top - below
	}
	ch := &x.chunks[p.c]
	ch.gaps[p.i], ch.ends[p.i] = gap, vmas[x.at(p)].End
}

// sum notes a chunk's largest gap, and where it ends.
func (x *index) sum(c int) {
	ch := &x.chunks[c]
	ch.gap, x.tops[c] = slices.Max(ch.gaps), ch.ends[len(ch.ends)-1]
}

// below is where the gap below the place begins: the end of the VMA before.
func (x *index) below(p pos) uint64 {
	q, ok := x.prev(p)
	if !ok {
		return 0
	}
	return x.chunks[q.c].ends[q.i]
}

// startGap is where room ends below a VMA: a stack's guard is no room.
func (v *VMA) startGap() uint64 {
	if v.Flags&GrowsDown != 0 {
		return v.Start - min(stackGap, v.Start)
	}
	return v.Start
}

// highest finds the highest place for a length below limit, not below floor
// (unmapped_area_topdown).
func (x *index) highest(vmas []VMA, length, floor, limit uint64) (uint64, bool) {
	if limit < length || limit-length < floor {
		return 0, false
	}
	// The gap that the limit lies in, or below which it lies.
	p := x.find(limit - 1)
	top := limit
	if x.valid(p) {
		top = min(top, vmas[x.at(p)].startGap())
	}
	for {
		low := max(x.below(p), floor)
		if top >= low && top-low >= length {
			return top - length, true
		}
		q, ok := x.prev(p)
		if !ok || vmas[x.at(q)].End <= floor {
			return 0, false
		}
		p = q
		// Chunks without room are passed over.
		for p.i == len(x.chunks[p.c].ids)-1 && x.chunks[p.c].gap < length {
			if p.c == 0 {
				return 0, false
			}
			p = pos{p.c - 1, len(x.chunks[p.c-1].ids) - 1}
		}
		top = min(limit, vmas[x.at(p)].startGap())
	}
}

// lowest finds the lowest place for a length from floor on, below limit
// (unmapped_area).
func (x *index) lowest(vmas []VMA, length, floor, limit uint64) (uint64, bool) {
	p := x.find(floor)
	low := max(floor, x.below(p))
	for ; x.valid(p); p = x.next(p) {
		v := &vmas[x.at(p)]
		if top := min(v.startGap(), limit); top >= low && top-low >= length {
			return low, true
		}
		if low = max(low, v.End); low >= limit {
			return 0, false
		}
	}
	return low, limit >= low && limit-low >= length
}
