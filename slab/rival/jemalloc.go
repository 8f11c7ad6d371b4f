package rival

import "sort"

const (
	jePage     = 4096
	jeMaxSmall = 14 << 10 // SC_SMALL_MAXCLASS
	jeMaxCache = 32 << 10 // opt.tcache_max
)

// jeClasses computes jemalloc's small classes for a quantum of 16 bytes: 8, the
// multiples of 16 up to 128, then four to each doubling; the slab of a class has
// as few pages as leave no rest.
func jeClasses() []class {
	sizes := []uint32{8}
	for size := uint32(16); size <= jeMaxSmall; {
		sizes = append(sizes, size)
		step := uint32(16)
		for base := uint32(128); base <= size; base *= 2 {
			step = base / 4
		}
		size += step
	}
	var out []class
	for _, size := range sizes {
		bytes := uint32(jePage)
		for bytes%size != 0 {
			bytes += jePage
		}
		out = append(out, class{size, bytes / jePage, bytes / size})
	}
	return out
}

// jeLarge rounds a size above the small classes up to its class: four to each
// doubling.
func jeLarge(size uint64) uint64 {
	if size <= 16<<10 {
		return 16 << 10
	}
	base := uint64(16 << 10)
	for base*2 < size {
		base *= 2
	}
	step := base / 4
	return base + (size-base+step-1)/step*step
}

// jemalloc is jemalloc with one arena for all threads.
type jemalloc struct {
	spans
	classes []class
	caches  [][][]uint64 // by thread and class (small ones, then large ones up to jeMaxCache): addresses, the last is taken first
	current []int32      // by class, the slab that is allocated from, plus one
	nonfull [][]int32    // by class, other slabs with room, by address
	stats   Stats
}

func newJemalloc(c Config) (Allocator, error) {
	j := &jemalloc{spans: newSpans("jemalloc", 12, true), classes: jeClasses()}
	j.current = make([]int32, len(j.classes))
	j.nonfull = make([][]int32, len(j.classes))
	j.caches = make([][][]uint64, c.cpus())
	for i := range j.caches {
		j.caches[i] = make([][]uint64, len(j.classes)+len(jeCachedLarge()))
	}
	return j, nil
}

// jeCachedLarge are the large classes that threads cache: 16, 20, 24, 28, 32 KiB.
func jeCachedLarge() []uint64 { return []uint64{16 << 10, 20 << 10, 24 << 10, 28 << 10, 32 << 10} }

// slots is how many objects of a class a thread may cache.
func (j *jemalloc) slots(k int) int {
	if k >= len(j.classes) {
		return 20
	}
	return min(max(2*int(j.classes[k].objects), 20), 200)
}

// cacheOf is the class's index in a thread's caches; -1 if it is not cached.
func (j *jemalloc) cacheOf(size uint64) int {
	if size <= jeMaxSmall {
		return classOf(j.classes, size)
	}
	if size > jeMaxCache {
		return -1
	}
	return len(j.classes) + int((jeLarge(size)-16<<10)/(4<<10))
}

func (j *jemalloc) Alloc(cpu int, size uint64) (uint64, error) {
	if size == 0 || size > maxSize {
		return 0, &SizeError{j.name, size}
	}
	k := j.cacheOf(size)
	if k < 0 {
		j.stats.Locks++
		return j.large(jeLarge(size), 1)
	}
	stack := &j.caches[cpu][k]
	switch {
	case len(*stack) > 0:
		j.stats.Local++
	case k >= len(j.classes):
		// A large class's cache is filled by frees only.
		j.stats.Locks++
		return j.large(jeLarge(size), 1)
	default:
		if err := j.fill(k, stack); err != nil {
			return 0, err
		}
	}
	n := len(*stack) - 1
	addr := (*stack)[n]
	*stack = (*stack)[:n]
	i, object, _ := j.find(addr)
	set(j.all[i].live, object)
	return addr, nil
}

// fill takes half a cache from the slabs, the lowest objects to be given first.
func (j *jemalloc) fill(k int, stack *[]uint64) error {
	j.stats.Locks++
	for range j.slots(k) / 2 {
		i, err := j.slabOf(k)
		if err != nil {
			if len(*stack) > 0 {
				break
			}
			return err
		}
		object, _ := j.all[i].takeLowest(0)
		*stack = append(*stack, j.addrOf(i, object))
	}
	for a, b := 0, len(*stack)-1; a < b; a, b = a+1, b-1 {
		(*stack)[a], (*stack)[b] = (*stack)[b], (*stack)[a]
	}
	return nil
}

// slabOf gives the class's slab with room: the current one, else that of the
// lowest address, else a new one.
func (j *jemalloc) slabOf(k int) (int32, error) {
	if c := j.current[k]; c != 0 {
		if sp := &j.all[c-1]; sp.used < sp.objects {
			return c - 1, nil
		}
		j.all[c-1].where, j.current[k] = spanNone, 0
	}
	if list := j.nonfull[k]; len(list) > 0 {
		i := list[0]
		j.nonfull[k] = append(list[:0], list[1:]...)
		j.setCurrent(k, i)
		return i, nil
	}
	c := j.classes[k]
	i, err := j.newSpan(c.pages, int32(k), uint64(c.size), c.objects)
	if err != nil {
		return 0, err
	}
	j.setCurrent(k, i)
	return i, nil
}

func (j *jemalloc) setCurrent(k int, i int32) {
	j.current[k] = i + 1
	j.all[i].where = spanCPU
}

func (j *jemalloc) Free(cpu int, addr uint64) error {
	i, object, err := j.lookup(addr)
	if err != nil {
		return err
	}
	sp := &j.all[i]
	unset(sp.live, object)
	k := int(sp.class)
	if k < 0 {
		k = j.cacheOf(sp.size)
	}
	if k < 0 {
		j.stats.Locks++
		j.freeSpan(i)
		return nil
	}
	stack := &j.caches[cpu][k]
	if len(*stack) == j.slots(k) {
		j.flush(stack, j.slots(k)/2)
	} else {
		j.stats.Local++
	}
	*stack = append(*stack, addr)
	return nil
}

// flush gives the n oldest objects of a cache back.
func (j *jemalloc) flush(stack *[]uint64, n int) {
	j.stats.Locks++
	for _, addr := range (*stack)[:n] {
		i, object, _ := j.find(addr)
		j.put(i, object)
	}
	*stack = append((*stack)[:0], (*stack)[n:]...)
}

// put gives an object back to its slab. The slab with the lowest address is the
// one to allocate from.
func (j *jemalloc) put(i int32, object uint32) {
	sp := &j.all[i]
	sp.giveBack(object)
	k := int(sp.class)
	switch {
	case k < 0:
		j.freeSpan(i)
	case sp.where == spanCPU:
	case sp.used == 0:
		if sp.where == spanPartial {
			j.nonfull[k] = remove(j.nonfull[k], i)
		}
		j.freeSpan(i)
	case sp.where == spanNone:
		if c := j.current[k]; c != 0 && sp.first < j.all[c-1].first {
			old := c - 1
			j.setCurrent(k, i)
			if j.all[old].where = spanNone; j.all[old].used < j.all[old].objects {
				j.insert(k, old)
			}
			return
		}
		j.insert(k, i)
	}
}

func (j *jemalloc) insert(k int, i int32) {
	j.all[i].where = spanPartial
	list := j.nonfull[k]
	at := sort.Search(len(list), func(n int) bool { return j.all[list[n]].first > j.all[i].first })
	list = append(list, 0)
	copy(list[at+1:], list[at:])
	list[at] = i
	j.nonfull[k] = list
}

func (j *jemalloc) Stats() Stats {
	j.stats.PageAllocs, j.stats.PageFrees = j.allocs, j.frees
	return j.stats
}

func (j *jemalloc) Check() error {
	if err := j.checkSpans(); err != nil {
		return err
	}
	cached := map[uint64]bool{}
	for cpu := range j.caches {
		for k, stack := range j.caches[cpu] {
			if len(stack) > j.slots(k) {
				return &CheckError{j.name, "a thread caches too much"}
			}
			for _, addr := range stack {
				i, object, ok := j.find(addr)
				if !ok || cached[addr] || has(j.all[i].live, object) || !has(j.all[i].held, object) {
					return &CheckError{j.name, "a thread caches what is not free"}
				}
				cached[addr] = true
			}
		}
	}
	held, live := 0, 0
	for i := range j.all {
		if sp := &j.all[i]; sp.pages > 0 {
			held, live = held+int(sp.used), live+int(ones(sp.live))
			if sp.class >= 0 && (sp.where == spanNone) != (sp.used == sp.objects) && sp.where != spanCPU {
				return &CheckError{j.name, "a slab is in the wrong list"}
			}
		}
	}
	if held != live+len(cached) {
		return &CheckError{j.name, "an object is lost"}
	}
	for k, list := range j.nonfull {
		for n, i := range list {
			if sp := &j.all[i]; sp.where != spanPartial || int(sp.class) != k || n > 0 && j.all[list[n-1]].first >= sp.first {
				return &CheckError{j.name, "slabs with room are out of order"}
			}
		}
	}
	return nil
}
