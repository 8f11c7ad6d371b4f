package percpu

import (
	"fmt"
	"slices"
)

// minAlloc is the grain of allocation, in bytes (PCPU_MIN_ALLOC_SIZE).
const minAlloc = 4

// Allocator hands out per-CPU variables. The first chunk's static and reserved parts
// are taken; further chunks are added as needed.
type Allocator struct {
	layout Layout
	cpus   int
	chunks []chunk
	// live is what is allocated.
	live map[Offset]int
}

// Offset is a per-CPU variable: its place in every CPU's unit.
type Offset struct{ Chunk, Bytes int }

// chunk holds the used areas of a unit, sorted.
type chunk struct{ used []area }

// area is a part of a unit, in bytes.
type area struct{ from, to int }

// NewAllocator makes an allocator with a first chunk.
func NewAllocator(l Layout, cpus int) *Allocator {
	first := chunk{used: []area{{0, l.Static + l.Reserved}, {l.Static + l.Reserved + l.Dynamic, l.Unit}}}
	return &Allocator{layout: l, cpus: cpus, chunks: []chunk{first}, live: map[Offset]int{}}
}

// AllocError is a request that the kernel refuses, with its own words.
type AllocError struct{ Report string }

func (e *AllocError) Error() string { return "percpu: " + e.Report }

// Alloc takes size bytes in every CPU's unit, aligned to a power of two up to a page
// (__alloc_percpu).
func (a *Allocator) Alloc(size, align int) (Offset, error) {
	align = max(align, minAlloc)
	rounded := roundUp(size, minAlloc)
	if size <= 0 || rounded > minUnit || align > pageSize || align&(align-1) != 0 {
		return Offset{}, &AllocError{fmt.Sprintf("illegal size (%d) or align (%d) for percpu allocation", size, align)}
	}
	for i := 0; ; i++ {
		if i == len(a.chunks) {
			a.chunks = append(a.chunks, chunk{})
		}
		if at, ok := a.chunks[i].fit(rounded, align, a.layout.Unit); ok {
			o := Offset{i, at}
			a.live[o] = rounded
			return o, nil
		}
	}
}

// fit takes the first free area that is large enough.
func (c *chunk) fit(size, align, unit int) (int, bool) {
	at := 0
	for i := 0; i <= len(c.used); i++ {
		end := unit
		if i < len(c.used) {
			end = c.used[i].from
		}
		if at = roundUp(at, align); at+size <= end {
			c.used = slices.Insert(c.used, i, area{at, at + size})
			return at, true
		}
		if i < len(c.used) {
			at = c.used[i].to
		}
	}
	return 0, false
}

// Free gives a variable back (free_percpu). One that is not allocated is refused.
func (a *Allocator) Free(o Offset) error {
	if _, ok := a.live[o]; !ok {
		return &AllocError{"free_percpu: the address was not allocated"}
	}
	delete(a.live, o)
	c := &a.chunks[o.Chunk]
	i := slices.IndexFunc(c.used, func(u area) bool { return u.from == o.Bytes && u.to > u.from })
	c.used = slices.Delete(c.used, i, i+1)
	return nil
}

// Address is where a CPU's copy lies, from the base of the first chunk; chunks
// follow one another (per_cpu_ptr). It is -1 for a CPU that there is not.
func (a *Allocator) Address(o Offset, cpu int) int {
	if cpu < 0 || cpu >= a.cpus {
		return -1
	}
	return (o.Chunk*a.cpus+cpu)*a.layout.Unit + o.Bytes
}

// Check proves that used areas are in order and do not overlap.
func (a *Allocator) Check() error {
	for i := range a.chunks {
		at := 0
		for _, u := range a.chunks[i].used {
			if u.from < at || u.to < u.from || u.to > a.layout.Unit {
				return fmt.Errorf("percpu: chunk %d: area %d to %d after %d", i, u.from, u.to, at)
			}
			at = u.to
		}
	}
	return nil
}
