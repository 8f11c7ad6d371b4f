package buddy

// ring is a double-ended queue of blocks (by the PFN of their first page): a
// per-CPU page list. Frees push at the front, allocations pop there, refills
// push at the back and drains pop there. Compared with a linked list it leaves
// the neighbours' metadata alone.
type ring struct {
	// buf has a power of two of places, or none.
	buf []uint32
	// head is the place of the first block, n the number of blocks.
	head, n uint32
}

func (r *ring) grow() {
	buf := make([]uint32, max(2*len(r.buf), 64))
	for i := range r.n {
		buf[i] = r.at(i)
	}
	r.buf, r.head = buf, 0
}

// at is the i-th block from the front.
func (r *ring) at(i uint32) uint32 { return r.buf[(r.head+i)&uint32(len(r.buf)-1)] }

func (r *ring) pushFront(pfn uint32) {
	if int(r.n) == len(r.buf) {
		r.grow()
	}
	r.head = (r.head - 1) & uint32(len(r.buf)-1)
	r.buf[r.head] = pfn
	r.n++
}

func (r *ring) pushBack(pfn uint32) {
	if int(r.n) == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)&uint32(len(r.buf)-1)] = pfn
	r.n++
}

// popFront takes the first block; the ring must not be empty.
func (r *ring) popFront() uint32 {
	pfn := r.buf[r.head&uint32(len(r.buf)-1)]
	r.head = (r.head + 1) & uint32(len(r.buf)-1)
	r.n--
	return pfn
}

// popBack takes the last block; the ring must not be empty.
func (r *ring) popBack() uint32 {
	r.n--
	return r.buf[(r.head+r.n)&uint32(len(r.buf)-1)]
}

// delete takes a block out of the middle and reports whether it was there.
func (r *ring) delete(pfn uint32) bool {
	for i := range r.n {
		if r.at(i) != pfn {
			continue
		}
		for j := i; j+1 < r.n; j++ {
			r.buf[(r.head+j)&uint32(len(r.buf)-1)] = r.at(j + 1)
		}
		r.n--
		return true
	}
	return false
}
