package rival

import "math/bits"

const (
	tcPageShift   = 13
	tcMaxSize     = 256 << 10
	tcMaxLength   = 8192 // kMaxDynamicFreeListLength
	tcMaxOverages = 3    // kMaxOverages
	tcSlots       = 16   // batches that a class's transfer cache holds
)

// tcBatch is how many objects of a size move at a time: 64 KiB, 2 to 32.
func tcBatch(size uint32) int { return min(max((64<<10)/int(size), 2), 32) }

// tcClasses computes gperftools' size classes (SizeMap::Init): an alignment of 8,
// then 16, then an eighth of the power of two below; spans that leave at most
// an eighth over and hold a quarter of a batch; classes with equal pages and
// objects are one.
func tcClasses() []class {
	const page = 1 << tcPageShift
	var out []class
	align := uint32(8)
	for size := align; size <= tcMaxSize; size += align {
		switch {
		case size >= 128:
			align = min(uint32(1)<<(bits.Len32(size)-1)/8, page)
		case size >= 16:
			align = 16
		}
		bytes := uint32(0)
		for {
			bytes += page
			for bytes%size > bytes>>3 {
				bytes += page
			}
			if int(bytes/size) >= tcBatch(size)/4 {
				break
			}
		}
		c := class{size, bytes / page, bytes / size}
		if n := len(out); n > 0 && out[n-1].pages == c.pages && out[n-1].objects == c.objects {
			out[n-1] = c
			continue
		}
		out = append(out, c)
	}
	return out
}

// tcList is a thread's list of a class.
type tcList struct {
	objects  []uint64 // the last is taken first
	max      int
	overages int
}

// tcmalloc is gperftools' allocator.
type tcmalloc struct {
	spans
	classes  []class
	threads  [][]tcList
	transfer [][][]uint64 // by class, whole batches
	nonempty [][]int32    // by class, spans with room: the last first
	stats    Stats
}

func newTCMalloc(c Config) (Allocator, error) {
	t := &tcmalloc{spans: newSpans("tcmalloc", tcPageShift, true), classes: tcClasses()}
	t.threads = make([][]tcList, c.cpus())
	for i := range t.threads {
		t.threads[i] = make([]tcList, len(t.classes))
		for k := range t.threads[i] {
			t.threads[i][k].max = 1
		}
	}
	t.transfer = make([][][]uint64, len(t.classes))
	t.nonempty = make([][]int32, len(t.classes))
	return t, nil
}

func (t *tcmalloc) Alloc(cpu int, size uint64) (uint64, error) {
	switch {
	case size == 0 || size > maxSize:
		return 0, &SizeError{t.name, size}
	case size > tcMaxSize:
		t.stats.Locks++
		return t.large(size, 0)
	}
	k := classOf(t.classes, size)
	l := &t.threads[cpu][k]
	if len(l.objects) > 0 {
		t.stats.Local++
	} else if err := t.fetch(k, l); err != nil {
		return 0, err
	}
	n := len(l.objects) - 1
	addr := l.objects[n]
	l.objects = l.objects[:n]
	i, object, _ := t.find(addr)
	set(t.all[i].live, object)
	return addr, nil
}

// fetch fills a list from the central one, the more the longer it may be
// (FetchFromCentralCache).
func (t *tcmalloc) fetch(k int, l *tcList) error {
	batch := tcBatch(t.classes[k].size)
	t.stats.Locks++
	n := min(l.max, batch)
	if err := t.remove(k, n, batch, l); err != nil {
		return err
	}
	if l.max < batch {
		l.max++
		return nil
	}
	longer := min(l.max+batch, tcMaxLength)
	l.max = longer - longer%batch
	return nil
}

// remove takes n objects of the central list: a whole batch that another thread
// gave back, or those of spans.
func (t *tcmalloc) remove(k, n, batch int, l *tcList) error {
	if slots := t.transfer[k]; n == batch && len(slots) > 0 {
		l.objects = append(l.objects, slots[len(slots)-1]...)
		t.transfer[k] = slots[:len(slots)-1]
		return nil
	}
	got := 0
	for got < n {
		list := t.nonempty[k]
		if len(list) == 0 {
			if got > 0 {
				return nil
			}
			if err := t.populate(k); err != nil {
				return err
			}
			continue
		}
		i := list[len(list)-1]
		sp := &t.all[i]
		for ; got < n && len(sp.stack) > 0; got++ {
			object := sp.stack[len(sp.stack)-1]
			sp.stack = sp.stack[:len(sp.stack)-1]
			set(sp.held, object)
			sp.used++
			l.objects = append(l.objects, t.addrOf(i, object))
		}
		if len(sp.stack) == 0 {
			sp.where = spanNone
			t.nonempty[k] = list[:len(list)-1]
		}
	}
	return nil
}

// populate makes a span with all its objects free, the lowest first.
func (t *tcmalloc) populate(k int) error {
	c := t.classes[k]
	i, err := t.newSpan(c.pages, int32(k), uint64(c.size), c.objects)
	if err != nil {
		return err
	}
	sp := &t.all[i]
	for o := c.objects; o > 0; o-- {
		sp.stack = append(sp.stack, o-1)
	}
	sp.where = spanPartial
	t.nonempty[k] = append(t.nonempty[k], i)
	return nil
}

func (t *tcmalloc) Free(cpu int, addr uint64) error {
	i, object, err := t.lookup(addr)
	if err != nil {
		return err
	}
	sp := &t.all[i]
	unset(sp.live, object)
	if sp.class < 0 {
		t.stats.Locks++
		t.freeSpan(i)
		return nil
	}
	k := int(sp.class)
	l := &t.threads[cpu][k]
	l.objects = append(l.objects, addr)
	if len(l.objects) <= l.max {
		t.stats.Local++
		return nil
	}
	// ListTooLong
	batch := tcBatch(t.classes[k].size)
	t.release(k, l, batch)
	switch {
	case l.max < batch:
		l.max++
	case l.max > batch:
		if l.overages++; l.overages > tcMaxOverages {
			l.max -= batch
			l.overages = 0
		}
	}
	return nil
}

// release gives a batch of a list back, those taken next first
// (ReleaseToCentralCache).
func (t *tcmalloc) release(k int, l *tcList, batch int) {
	n := min(batch, len(l.objects))
	back := l.objects[len(l.objects)-n:]
	t.stats.Locks++
	if n == batch && len(t.transfer[k]) < tcSlots {
		t.transfer[k] = append(t.transfer[k], append([]uint64(nil), back...))
	} else {
		for o := n - 1; o >= 0; o-- {
			i, object, _ := t.find(back[o])
			t.put(k, i, object)
		}
	}
	l.objects = l.objects[:len(l.objects)-n]
}

func (t *tcmalloc) put(k int, i int32, object uint32) {
	sp := &t.all[i]
	sp.giveBack(object)
	if sp.used == 0 {
		if sp.where == spanPartial {
			t.nonempty[k] = remove(t.nonempty[k], i)
		}
		t.freeSpan(i)
		return
	}
	sp.stack = append(sp.stack, object)
	if sp.where == spanNone {
		sp.where = spanPartial
		t.nonempty[k] = append(t.nonempty[k], i)
	}
}

func (t *tcmalloc) Stats() Stats {
	t.stats.PageAllocs, t.stats.PageFrees = t.allocs, t.frees
	return t.stats
}

func (t *tcmalloc) Check() error {
	if err := t.checkSpans(); err != nil {
		return err
	}
	cached := map[uint64]bool{}
	check := func(addr uint64) error {
		i, object, ok := t.find(addr)
		if !ok || cached[addr] || has(t.all[i].live, object) || !has(t.all[i].held, object) {
			return &CheckError{t.name, "a list has what is not free"}
		}
		cached[addr] = true
		return nil
	}
	for cpu := range t.threads {
		for k := range t.threads[cpu] {
			l := &t.threads[cpu][k]
			// A limit that was lowered holds for the next free.
			if len(l.objects) > l.max+tcBatch(t.classes[k].size) || l.max < 1 {
				return &CheckError{t.name, "a thread's list is too long"}
			}
			for _, addr := range l.objects {
				if err := check(addr); err != nil {
					return err
				}
			}
		}
	}
	for _, slots := range t.transfer {
		for _, batch := range slots {
			for _, addr := range batch {
				if err := check(addr); err != nil {
					return err
				}
			}
		}
	}
	held, live := 0, 0
	for i := range t.all {
		sp := &t.all[i]
		if sp.pages == 0 {
			continue
		}
		held, live = held+int(sp.used), live+int(ones(sp.live))
		if sp.class < 0 {
			continue
		}
		if int(sp.used)+len(sp.stack) != int(sp.objects) || (sp.where == spanPartial) != (len(sp.stack) > 0) {
			return &CheckError{t.name, "a span's list of free objects is wrong"}
		}
		for _, o := range sp.stack {
			if has(sp.held, o) {
				return &CheckError{t.name, "a free object is in use"}
			}
		}
	}
	if held != live+len(cached) {
		return &CheckError{t.name, "an object is lost"}
	}
	return nil
}
