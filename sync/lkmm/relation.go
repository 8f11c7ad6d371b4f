package lkmm

import "math/bits"

// row is a set of events of an execution: one bit each.
type row []uint64

func (r row) has(i int) bool { return r[i>>6]&(1<<(i&63)) != 0 }

func (r row) add(i int) { r[i>>6] |= 1 << (i & 63) }

func (r row) del(i int) { r[i>>6] &^= 1 << (i & 63) }

func (r row) clear() {
	for i := range r {
		r[i] = 0
	}
}

func (r row) or(s row) {
	for i := range r {
		r[i] |= s[i]
	}
}

func (r row) and(s row) {
	for i := range r {
		r[i] &= s[i]
	}
}

func (r row) andNot(s row) {
	for i := range r {
		r[i] &^= s[i]
	}
}

func (r row) empty() bool {
	for _, w := range r {
		if w != 0 {
			return false
		}
	}
	return true
}

// first is the smallest member, or -1.
func (r row) first() int { return r.next(0) }

// next is the smallest member from i on, or -1.
func (r row) next(i int) int {
	w := i >> 6
	if w >= len(r) {
		return -1
	}
	word := r[w] >> (i & 63) << (i & 63)
	for word == 0 {
		if w++; w == len(r) {
			return -1
		}
		word = r[w]
	}
	return w<<6 | bits.TrailingZeros64(word)
}

// relation is a relation on the n events of an execution, as a matrix of bits:
// row i holds the events that i is related to.
type relation struct {
	n, w int // events, words of a row
	bits []uint64
}

func (r *relation) row(i int) row { return r.bits[i*r.w : (i+1)*r.w] }

func (r *relation) clear() { clear(r.bits) }

func (r *relation) copy(s *relation) { copy(r.bits, s.bits) }

func (r *relation) has(i, j int) bool { return r.row(i).has(j) }

func (r *relation) add(i, j int) { r.row(i).add(j) }

func (r *relation) or(s *relation) {
	for i := range r.bits {
		r.bits[i] |= s.bits[i]
	}
}

func (r *relation) and(s *relation) {
	for i := range r.bits {
		r.bits[i] &= s.bits[i]
	}
}

func (r *relation) empty() bool { return row(r.bits).empty() }

// compose sets r to a ; b. r must be neither of them.
func (r *relation) compose(a, b *relation) {
	if r.w == 1 {
		r.compose1(a, b)
		return
	}
	for i := 0; i < r.n; i++ {
		r.row(i).clear()
		r.row(i).image(a.row(i), b)
	}
}

func (r *relation) compose1(a, b *relation) {
	for i, x := range a.bits {
		var out uint64
		for ; x != 0; x &= x - 1 {
			out |= b.bits[bits.TrailingZeros64(x)]
		}
		r.bits[i] = out
	}
}

// image adds to r everything that a member of set is related to by b.
func (r row) image(set row, b *relation) {
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			r.or(b.row(w<<6 | bits.TrailingZeros64(word)))
		}
	}
}

// close makes r transitive. Where it has no cycle, every row is joined with
// those of its successors once they are complete; a cycle takes Warshall's way.
func (r *relation) close() {
	acyclic := true
	if r.w == 1 {
		c := closing1{bits: r.bits}
		for i := 0; i < r.n && acyclic; i++ {
			acyclic = c.visit(i)
		}
	} else {
		c := closing{r: r, state: make([]visitState, r.n)}
		for i := 0; i < r.n && acyclic; i++ {
			acyclic = c.visit(i)
		}
	}
	if !acyclic {
		r.warshall()
	}
}

// closing1 closes a relation whose rows are one word.
type closing1 struct {
	bits       []uint64
	open, done uint64 // rows under way, rows complete
}

// visit completes a row and those it leads to; it gives up at a cycle.
func (c *closing1) visit(i int) bool {
	mask := uint64(1) << i
	if c.done&mask != 0 {
		return true
	}
	c.open |= mask
	out := c.bits[i]
	if out&c.open != 0 {
		return false
	}
	for x := out; x != 0; x &= x - 1 {
		j := bits.TrailingZeros64(x)
		if !c.visit(j) {
			return false
		}
		out |= c.bits[j]
		x &^= c.bits[j]
	}
	c.bits[i] = out
	c.open &^= mask
	c.done |= mask
	return true
}

type visitState uint8

const (
	notVisited visitState = iota
	visiting
	visited
)

// closing closes a relation of any size.
type closing struct {
	r     *relation
	state []visitState
}

func (c *closing) visit(i int) bool {
	if c.state[i] != notVisited {
		return c.state[i] == visited
	}
	c.state[i] = visiting
	row := c.r.row(i)
	for w := range row {
		for x := row[w]; x != 0; x &= x - 1 {
			j := w<<6 | bits.TrailingZeros64(x)
			if !c.visit(j) {
				return false
			}
			next := c.r.row(j)
			row.or(next)
			x &^= next[w]
		}
	}
	c.state[i] = visited
	return true
}

// warshall closes a relation that may have cycles.
func (r *relation) warshall() {
	for k := 0; k < r.n; k++ {
		through := r.row(k)
		if through.empty() {
			continue
		}
		for i := 0; i < r.n; i++ {
			if r.has(i, k) {
				r.row(i).or(through)
			}
		}
	}
}

// irreflexive says that no event is related to itself. On a transitive
// relation that means: no cycle.
func (r *relation) irreflexive() bool {
	for i := 0; i < r.n; i++ {
		if r.has(i, i) {
			return false
		}
	}
	return true
}
