package rival

import "slices"

const (
	goPageShift = 13
	goMaxSmall  = 32 << 10
)

// class is a size class: objects of a size in so many pages.
type class struct {
	size    uint32
	pages   uint32
	objects uint32
}

// goClasses computes the runtime's size classes (mksizeclasses.go): multiples of
// an alignment that grows with the size, in as few pages as leave at most an
// eighth over; classes with equal pages and objects are one.
func goClasses() []class {
	const page = 1 << goPageShift
	var out []class
	align := uint32(8)
	for size := align; size <= goMaxSmall; size += align {
		if size&(size-1) == 0 {
			switch {
			case size >= 2048:
				align = 256
			case size >= 128:
				align = size / 8
			case size >= 32:
				align = 16
			}
		}
		bytes := uint32(page)
		for bytes%size > bytes/8 {
			bytes += page
		}
		c := class{size, bytes / page, bytes / size}
		if n := len(out); n > 0 && out[n-1].pages == c.pages && out[n-1].objects == c.objects {
			out[n-1] = c
			continue
		}
		out = append(out, c)
	}
	for i := range out {
		// As large as fits as often, in steps of 128 bytes.
		c := &out[i]
		c.size = max(c.size, c.pages*page/c.objects&^127)
	}
	return out
}

// golang is the Go runtime's allocator without its collector.
type golang struct {
	spans
	classes []class
	cache   [][]int32 // by CPU and class, the span plus one
	partial [][]int32 // by class, the central list: the last is taken first
	stats   Stats
}

func newGo(c Config) (Allocator, error) {
	g := &golang{spans: newSpans("go", goPageShift, false), classes: goClasses()}
	g.cache = make([][]int32, c.cpus())
	for i := range g.cache {
		g.cache[i] = make([]int32, len(g.classes))
	}
	g.partial = make([][]int32, len(g.classes))
	return g, nil
}

// classOf gives the smallest class that fits.
func classOf(classes []class, size uint64) int {
	i, _ := slices.BinarySearchFunc(classes, size, func(c class, size uint64) int { return int(int64(c.size) - int64(size)) })
	return i
}

func (g *golang) Alloc(cpu int, size uint64) (uint64, error) {
	switch {
	case size == 0 || size > maxSize:
		return 0, &SizeError{g.name, size}
	case size > goMaxSmall:
		g.stats.Locks++
		return g.large(size, 0)
	}
	k := classOf(g.classes, size)
	slot := &g.cache[cpu][k]
	if *slot != 0 {
		sp := &g.all[*slot-1]
		if object, ok := sp.takeLowest(sp.next); ok {
			g.stats.Local++
			return g.hand(*slot-1, object), nil
		}
		g.drop(k, *slot-1)
		*slot = 0
	}
	i, err := g.refill(k)
	if err != nil {
		return 0, err
	}
	*slot = i + 1
	sp := &g.all[i]
	sp.where, sp.next = spanCPU, 0
	object, _ := sp.takeLowest(0)
	return g.hand(i, object), nil
}

func (g *golang) hand(i int32, object uint32) uint64 {
	sp := &g.all[i]
	sp.next = object + 1
	set(sp.live, object)
	return g.addrOf(i, object)
}

// refill takes a span with room from the central list, or a new one.
func (g *golang) refill(k int) (int32, error) {
	g.stats.Locks++
	if list := g.partial[k]; len(list) > 0 {
		i := list[len(list)-1]
		g.partial[k] = list[:len(list)-1]
		return i, nil
	}
	c := g.classes[k]
	return g.newSpan(c.pages, int32(k), uint64(c.size), c.objects)
}

// drop takes a span from a CPU: what was freed behind its back makes it partial.
func (g *golang) drop(k int, i int32) {
	sp := &g.all[i]
	sp.where = spanNone
	if sp.used < sp.objects {
		sp.where = spanPartial
		g.partial[k] = append(g.partial[k], i)
	}
}

func (g *golang) Free(_ int, addr uint64) error {
	i, object, err := g.lookup(addr)
	if err != nil {
		return err
	}
	sp := &g.all[i]
	unset(sp.live, object)
	sp.giveBack(object)
	switch {
	case sp.where == spanCPU:
		g.stats.Local++
		return nil
	case sp.used == 0:
		g.stats.Locks++
		if sp.where == spanPartial {
			g.partial[sp.class] = remove(g.partial[sp.class], i)
		}
		g.freeSpan(i)
	case sp.where == spanNone:
		g.stats.Locks++
		sp.where = spanPartial
		g.partial[sp.class] = append(g.partial[sp.class], i)
	default:
		g.stats.Local++
	}
	return nil
}

func remove(list []int32, i int32) []int32 {
	at := slices.Index(list, i)
	return slices.Delete(list, at, at+1)
}

func (g *golang) Stats() Stats {
	g.stats.PageAllocs, g.stats.PageFrees = g.allocs, g.frees
	return g.stats
}

func (g *golang) Check() error {
	if err := g.checkSpans(); err != nil {
		return err
	}
	listed := map[int32]bool{}
	for k := range g.partial {
		for _, i := range g.partial[k] {
			if sp := &g.all[i]; listed[i] || sp.where != spanPartial || int(sp.class) != k || sp.used == 0 || sp.used == sp.objects {
				return &CheckError{g.name, "a span is in the wrong list"}
			}
			listed[i] = true
		}
	}
	for i := range g.all {
		if sp := &g.all[i]; sp.pages > 0 && (sp.where == spanPartial) != listed[int32(i)] {
			return &CheckError{g.name, "a partial span is in no list"}
		}
		if sp := &g.all[i]; sp.pages > 0 {
			for w := range sp.held {
				if sp.held[w] != sp.live[w] {
					return &CheckError{g.name, "an object is held for nobody"}
				}
			}
		}
	}
	return nil
}
