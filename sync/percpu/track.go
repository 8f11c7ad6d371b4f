package percpu

import (
	"fmt"
	"slices"
)

// Tracker replays a kernel's trace of percpu:* events. It knows a chunk from the
// moment that the trace creates it; what the kernel took from older chunks, whose state
// no event tells, is passed over.
type Tracker struct {
	a     *Allocator
	known map[string]int
	// Placed counts the areas taken from known chunks, Same those for which the model
	// chose the same chunk and the same place.
	Placed, Same int
	// Unknown counts events about older chunks.
	Unknown int
	// First tells the first difference.
	First string
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
	// The kernel sees to it that chunks have that many wholly free pages with memory: the
	// older ones, if no other.
	a.empty = emptyHigh
	return &Tracker{a: a, known: map[string]int{}}, nil
}

func (t *Tracker) differ(e *Event, format string, args ...any) {
	if t.First == "" {
		t.First = fmt.Sprintf("line %d: ", e.Line) + fmt.Sprintf(format, args...)
	}
}

// Event replays an event. The error says what is impossible for any allocator: an area
// that is not free, or a free of none.
func (t *Tracker) Event(e *Event) error {
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
	case e.Kind == EventDestroy:
		return t.destroy(e, n)
	case e.Kind == EventFree:
		if err := t.a.Free(Offset{n, e.Off}); err != nil {
			return fmt.Errorf("percpu: line %d: %w", e.Line, err)
		}
		return nil
	}
	return t.alloc(e, n)
}

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
	got, ok := t.a.search(grains, align, e.Atomic)
	if ok && got == want {
		t.Same++
		return nil
	}
	t.differ(e, "%d bytes, aligned to %d: chunk %d offset %d, the kernel's is chunk %d offset %d", e.Size, e.Align, got.Chunk, got.Bytes, n, e.Off)
	if ok {
		if err := t.a.Free(got); err != nil {
			return err
		}
	}
	// Take over what the kernel did.
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
