package percpu

import (
	"fmt"
	"slices"
)

// Tracker replays a kernel's trace of percpu:* events. It knows a chunk from the
// moment that the trace creates it; what the kernel took from older chunks, whose state
// no event tells, is passed over.
//
// An area is taken some time before the event that tells it is printed, and memory for
// its pages is found in between: what other tasks gave back since the task's own last
// event may have come before or after. If the model's answer is the kernel's in one of
// these orders, that order is taken, and counted if it is not the printed one.
type Tracker struct {
	a     *Allocator
	known map[string]int
	// Placed counts the areas taken from known chunks, Same those for which the model
	// chose the same chunk and the same place.
	Placed, Same int
	// Unknown counts events about older chunks.
	Unknown int
	// Reordered counts areas that were taken before frees that are printed before them.
	Reordered int
	// Worker counts areas that were taken from a chunk whose pages' memory the model
	// thought taken back, or not from one where it did not: when the kernel's worker runs
	// is not told, nor how many wholly free pages older chunks have.
	Worker int
	// First tells the first difference.
	First string
	// pending are the frees that have not been made yet, in order; made counts those that
	// have. last is how many frees were printed by a task's last event.
	pending []Event
	made    int
	last    map[string]int
	// budget is how many chunks may still be copied to try other orders: so many for each
	// event, so that no trace takes long.
	budget int
}

// Bounds of what a trace may ask for, in bytes: a unit, and all chunks' units.
const (
	maxTrackUnit  = 16 << 20
	maxTrackUnits = 1 << 30
)

// NewTracker makes a tracker of a machine whose units have some bytes.
func NewTracker(unit int) (*Tracker, error) {
	if unit < minUnit || unit > maxTrackUnit || unit%pageSize != 0 {
		return nil, fmt.Errorf("percpu: a unit of %d bytes, want pages, %d to %d bytes", unit, minUnit, maxTrackUnit)
	}
	a := &Allocator{layout: Layout{Unit: unit}, cpus: 1}
	a.slots = make([][]int, a.freeSlot()+1)
	return &Tracker{a: a, known: map[string]int{}, last: map[string]int{}}, nil
}

func (t *Tracker) differ(e *Event, format string, args ...any) {
	if t.First == "" {
		t.First = fmt.Sprintf("line %d: ", e.Line) + fmt.Sprintf(format, args...)
	}
}

// maxPending bounds how many frees an allocation may have come before; copiesPerEvent
// is what each event adds to the budget.
const (
	maxPending     = 64
	copiesPerEvent = 64
)

// afford says whether the chunks may be copied once more.
func (t *Tracker) afford() bool {
	n := len(t.a.chunks) + 1
	if t.budget < n {
		return false
	}
	t.budget -= n
	return true
}

// Event replays an event. The error says what is impossible for any allocator: an area
// that is not free, or a free of none.
func (t *Tracker) Event(e *Event) error {
	t.budget += copiesPerEvent
	until := t.made + len(t.pending) - maxPending
	if e.Kind != EventFree {
		until = max(until, t.last[e.Task])
	}
	if err := t.free(until); err != nil {
		return err
	}
	err := t.event(e)
	t.last[e.Task] = t.made + len(t.pending)
	return err
}

func (t *Tracker) event(e *Event) error {
	n, ok := t.known[e.Base]
	switch {
	case e.Kind == EventCreate && ok:
		return fmt.Errorf("percpu: line %d: the chunk %s exists", e.Line, e.Base)
	case e.Kind == EventCreate && (len(t.known)+1)*t.a.layout.Unit > maxTrackUnits:
		return fmt.Errorf("percpu: line %d: more than %d chunks", e.Line, len(t.known))
	case e.Kind == EventCreate:
		t.known[e.Base] = t.a.add(newChunk(0, t.a.layout.Unit))
		return nil
	case !ok:
		t.Unknown++
		return nil
	case e.Kind == EventFree:
		t.pending = append(t.pending, *e)
		return nil
	case e.Kind == EventDestroy:
		if err := t.Flush(); err != nil {
			return err
		}
		return t.destroy(e, n)
	}
	return t.alloc(e, n)
}

// free makes pending frees until so many have been made in all.
func (t *Tracker) free(until int) error {
	for t.made < until && len(t.pending) > 0 {
		e := &t.pending[0]
		if err := t.a.Free(Offset{t.known[e.Base], e.Off}); err != nil {
			return fmt.Errorf("percpu: line %d: %w", e.Line, err)
		}
		t.pending = t.pending[1:]
		t.made++
	}
	return nil
}

// Flush makes the frees that are still pending: the trace is over.
func (t *Tracker) Flush() error { return t.free(t.made + len(t.pending)) }

func (t *Tracker) destroy(e *Event, n int) error {
	c := t.a.chunks[n]
	if c.areas != 0 {
		return fmt.Errorf("percpu: line %d: the chunk %s has %d areas", e.Line, e.Base, c.areas)
	}
	list := t.a.slots[c.slot]
	t.a.slots[c.slot] = slices.Delete(list, slices.Index(list, n), slices.Index(list, n)+1)
	if !c.isolated {
		t.a.empty -= c.empty
	}
	t.a.chunks[n] = nil
	t.a.freed = append(t.a.freed, n)
	t.a.stats.Chunks--
	delete(t.known, e.Base)
	return nil
}

// alloc asks the model for the same, and compares.
func (t *Tracker) alloc(e *Event, n int) error {
	grains, align, err := request(e.Size, e.Align)
	if err != nil {
		return fmt.Errorf("percpu: line %d: %w", e.Line, err)
	}
	t.Placed++
	want := Offset{n, e.Off}
	var before *Tracker
	if len(t.pending) > 0 && t.afford() {
		saved := *t
		saved.a = t.a.clone()
		before = &saved
	}
	if err := t.Flush(); err != nil {
		return err
	}
	got, ok := t.a.search(grains, align, e.Atomic)
	if ok && got == want {
		t.Same++
		return nil
	}
	if t.earlier(before, want, grains, align, e.Atomic) {
		return nil
	}
	if ok {
		if err := t.a.Free(got); err != nil {
			return err
		}
		if t.otherwise(got.Chunk, want, grains, align, e.Atomic) {
			return nil
		}
	}
	if e.Atomic && t.populatedOtherwise(want, grains, align) {
		return nil
	}
	t.differ(e, "%d bytes, aligned to %d: chunk %d offset %d, the kernel's is chunk %d offset %d", e.Size, e.Align, got.Chunk, got.Bytes, n, e.Off)
	return t.takeOver(e, n, grains)
}

// earlier tries whether the area was taken before some of the pending frees.
func (t *Tracker) earlier(before *Tracker, want Offset, grains, align int, atomic bool) bool {
	for n := t.made - 1; before != nil && n >= before.made && t.afford(); n-- {
		try := *before
		try.budget = t.budget
		try.a = before.a.clone()
		if try.free(n) != nil {
			return false
		}
		if got, ok := try.a.search(grains, align, atomic); !ok || got != want {
			continue
		}
		try.Same++
		try.Reordered++
		*t = try
		return true
	}
	return false
}

// otherwise tries whether the kernel's chunk was not isolated, or the model's was.
func (t *Tracker) otherwise(chose int, want Offset, grains, align int, atomic bool) bool {
	for _, kernelFree := range []bool{true, false} {
		if !t.afford() {
			return false
		}
		try := *t
		try.a = t.a.clone()
		switch {
		case kernelFree && try.a.chunks[want.Chunk].isolated:
			try.a.reintegrate(want.Chunk)
		case !kernelFree && !try.a.chunks[chose].isolated && chose != want.Chunk:
			try.a.sideline(chose)
		default:
			continue
		}
		if got, ok := try.a.search(grains, align, atomic); ok && got == want {
			try.Same++
			try.Worker++
			*t = try
			return true
		}
	}
	return false
}

// maxHoles bounds how many areas an atomic request is taken to have passed over.
const maxHoles = 64

// populatedOtherwise tries whether an atomic request's area had memory, and areas
// before it had none: the worker counts the free pages of older chunks, too.
func (t *Tracker) populatedOtherwise(want Offset, grains, align int) bool {
	if !t.afford() || want.Bytes%minAlloc != 0 || want.Bytes/minAlloc+grains > t.a.chunks[want.Chunk].grains {
		return false
	}
	base := t.a.clone()
	base.givePages(want, grains)
	for range maxHoles {
		if !t.afford() {
			return false
		}
		try := base.clone()
		got, ok := try.search(grains, align, true)
		if ok && got == want {
			t.a = try
			t.Same++
			t.Worker++
			return true
		}
		if !ok || !base.takePages(got, want, grains) {
			return false
		}
	}
	return false
}

// pagesOf are the pages of an area, from the first up to before the other.
func (a *Allocator) pagesOf(o Offset, grains int) (c *chunk, from, to int) {
	c = a.chunks[o.Chunk]
	at := (o.Bytes - c.base) / minAlloc
	return c, at / blockGrains, (at+grains-1)/blockGrains + 1
}

// givePages gives the pages of an area memory.
func (a *Allocator) givePages(o Offset, grains int) {
	c, from, to := a.pagesOf(o, grains)
	c.populated.setAll(from, to)
	a.recount(c)
}

// takePages takes the memory of an area's wholly free pages back, but for those of
// another area. It says whether there were any.
func (a *Allocator) takePages(o, but Offset, grains int) bool {
	c, from, to := a.pagesOf(o, grains)
	_, keepFrom, keepTo := a.pagesOf(but, grains)
	any := false
	for page := from; page < to; page++ {
		if o.Chunk == but.Chunk && page >= keepFrom && page < keepTo || c.blocks[page].contig != blockGrains || !c.populated.has(page) {
			continue
		}
		c.populated.clear(page)
		any = true
	}
	a.recount(c)
	return any
}

// sideline isolates a chunk, with all its wholly free pages' memory taken back.
func (a *Allocator) sideline(n int) {
	c := a.chunks[n]
	c.isolated = true
	a.empty -= c.empty
	for i := range c.blocks {
		c.depopulate(i)
	}
	a.move(n, a.sidelined(), false)
}

// takeOver takes the area that the kernel took.
func (t *Tracker) takeOver(e *Event, n, grains int) error {
	c := t.a.chunks[n]
	at := e.Off / minAlloc
	if e.Off%minAlloc != 0 || at+grains > c.grains || c.used.next(at, at+grains, true) < at+grains {
		return fmt.Errorf("percpu: line %d: %d bytes at %d of chunk %s are not free", e.Line, e.Size, e.Off, e.Base)
	}
	before := t.a.slotOf(c)
	c.take(grains, 1, at)
	t.a.relocate(n, before)
	t.a.reintegrate(n)
	t.a.got(c, n, at, grains)
	return nil
}

// clone is a copy that shares nothing.
func (a *Allocator) clone() *Allocator {
	b := *a
	b.chunks = slices.Clone(a.chunks)
	for i, c := range b.chunks {
		if c != nil {
			b.chunks[i] = c.clone()
		}
	}
	b.slots = slices.Clone(a.slots)
	for i := range b.slots {
		b.slots[i] = slices.Clone(a.slots[i])
	}
	b.freed, b.scan = slices.Clone(a.freed), nil
	return &b
}

func (c *chunk) clone() *chunk {
	b := *c
	b.used, b.bound, b.populated = slices.Clone(c.used), slices.Clone(c.bound), slices.Clone(c.populated)
	b.blocks = slices.Clone(c.blocks)
	return &b
}

// ChunkTexts are the parts about the known chunks of /sys/kernel/debug/percpu_stats, in
// its order, without the line empty_pop_pages: which pages have memory is not told by
// the events.
func (t *Tracker) ChunkTexts() []string {
	var out []string
	for _, list := range t.a.slots {
		for _, n := range list {
			w := &statsText{}
			w.chunk(t.a.chunks[n])
			out = append(out, WithoutPages(w.String()))
		}
	}
	return out
}

// Check is [Allocator.Check] of the known chunks.
func (t *Tracker) Check() error { return t.a.Check() }
