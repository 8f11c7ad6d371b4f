package reclaim

// Shadow is what stays of an evicted page: when it was evicted, and whether it
// was of the working set.
type Shadow struct {
	Eviction   uint64
	Workingset bool
}

// Clock counts evictions and activations of a list's pages: the age of pages that
// are gone (nonresident_age).
type Clock struct{ age uint64 }

// Age is the clock's reading.
func (c *Clock) Age() uint64 { return c.age }

// Advance moves the clock by the pages activated (workingset_activation).
func (c *Clock) Advance(pages uint64) { c.age += pages }

// Evict gives a page's shadow and moves the clock (workingset_eviction).
func (c *Clock) Evict(pages uint64, workingset bool) Shadow {
	s := Shadow{c.age, workingset}
	c.age += pages
	return s
}

// Refault is what becomes of a page that comes back.
type Refault struct {
	// Distance is how many pages went since it was evicted.
	Distance uint64
	// Activate: it would have stayed, had the inactive list the active one's
	// room too. Restore: it was of the working set when it was evicted.
	Activate, Restore bool
}

// Refault says what becomes of a page that comes back (workingset_refault). An
// anonymous page competes with all file pages and the active anonymous ones, a
// file page, where there is swap, with all anonymous ones and the active file ones.
func (c *Clock) Refault(s Shadow, file bool, pages uint64, sizes [NumLists]int64, canSwap bool) Refault {
	r := Refault{Distance: c.age - s.Eviction}
	room := sizes[ActiveFile]
	if !file {
		room += sizes[InactiveFile]
	}
	if canSwap {
		room += sizes[ActiveAnon]
		if file {
			room += sizes[InactiveAnon]
		}
	}
	if r.Distance > uint64(max(room, 0)) {
		return r
	}
	c.age += pages
	r.Activate, r.Restore = true, s.Workingset
	return r
}
