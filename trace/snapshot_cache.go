package trace

import "math"

// readCache reads a cache line.
func (s *snapshotReader) readCache() {
	s.endZone()
	r := &s.rec
	c := SnapshotCache{Name: string(r.text("name")), Ptr: r.hex("ptr")}
	c.Size, c.ObjectSize, c.Inuse = r.uint32("size"), r.uint32("object_size"), r.uint32("inuse")
	c.Align, c.Offset, c.RedLeftPad = r.uint32("align"), r.uint32("offset"), r.uint32("red_left_pad")
	c.Order, c.Objects = r.int("order", maxOrders), r.uint32("objects")
	c.MinOrder, c.MinObjects = r.int("min_order", maxOrders), r.uint32("min_objects")
	c.Flags, c.MinPartial = r.hex("flags"), r.uint("min_partial", math.MaxUint64)
	c.CPUPartial, c.CPUPartialSlabs = r.uint32("cpu_partial"), r.uint32("cpu_partial_slabs")
	c.RefCount, c.Ctor = r.signed("refcount"), r.uint("ctor", math.MaxUint64)
	if r.has("sheaf_capacity") {
		c.HasSheaves, c.SheafCapacity = true, r.uint32("sheaf_capacity")
	}
	if c.ObjectSize > c.Size || c.Size == 0 {
		r.failf("0 < object_size <= size", "object_size=%d size=%d", c.ObjectSize, c.Size)
	}
	if s.names == nil {
		s.names, s.ptrs = make(map[string]int), make(map[uint64]bool)
	}
	if s.ptrs[c.Ptr] {
		r.failf("each cache once", "a cache at %x again", c.Ptr)
	}
	s.ptrs[c.Ptr] = true
	s.names[c.Name] = len(s.snap.Caches)
	s.snap.Caches = append(s.snap.Caches, c)
	s.cache = &s.snap.Caches[len(s.snap.Caches)-1]
}

// cacheRecord reads a line of the current cache.
func (s *snapshotReader) cacheRecord() {
	switch s.rec.word {
	case "random_seq:":
		s.readRandomSeq()
	case "cpuslab":
		s.readCPUSlab()
	case "cpupartial":
		s.readCPUPartial()
	case "nodepartial":
		s.readNodePartial()
	case "sheaf":
		s.readSheaf()
	case "barn":
		s.readBarn()
	default:
		s.readBarnSheaf()
	}
}

// readRandomSeq reads the cache's shuffled order: every object once.
func (s *snapshotReader) readRandomSeq() {
	r, c := &s.rec, s.cache
	list := r.numbers(math.MaxUint32)
	if c.RandomSeq != nil {
		r.failf("one random_seq a cache", "random_seq of %s again", c.Name)
	}
	if uint64(len(list)) != uint64(c.Objects) {
		r.failf("an index for each of the slab's objects", "%d indexes for %d objects", len(list), c.Objects)
		return
	}
	seen := make([]bool, len(list))
	c.RandomSeq = make([]uint32, len(list))
	for i, v := range list {
		if v >= uint64(len(list)) || seen[v] {
			r.failf("each object's index once", "index %d of %d objects", v, len(list))
			return
		}
		seen[v] = true
		c.RandomSeq[i] = uint32(v)
	}
}

// cpu gives the current cache's entry of the record's CPU, making a new one
// behind the others.
func (s *snapshotReader) cpu() *SnapshotCPUSlab {
	r, c := &s.rec, s.cache
	cpu := r.int("cpu", maxCPU)
	n := len(c.CPUSlabs)
	if n > 0 && c.CPUSlabs[n-1].CPU == cpu {
		return &c.CPUSlabs[n-1]
	}
	if n > 0 && c.CPUSlabs[n-1].CPU > cpu {
		r.failf("CPUs in rising order", "cpu=%d after cpu=%d", cpu, c.CPUSlabs[n-1].CPU)
	}
	c.CPUSlabs = append(c.CPUSlabs, SnapshotCPUSlab{CPU: cpu})
	return &c.CPUSlabs[n]
}

// distinct gives the record's addresses, at most limit and each once.
func (s *snapshotReader) distinct(limit uint64) []uint64 {
	list := s.rec.addresses()
	if uint64(len(list)) > limit {
		s.disagree(false, "no more than it can have", "%d addresses where %d is the most", len(list), limit)
	}
	if a, double := firstDouble(list); double {
		s.disagree(false, "each address once", "address %x twice", a)
	}
	return list
}

// counted gives the record's addresses, as many as the field says.
func (s *snapshotReader) counted(key string) []uint64 {
	n := s.rec.uint(key, math.MaxUint32)
	list := s.distinct(n)
	if uint64(len(list)) != n {
		s.rec.failf("as many addresses", "%s=%d with %d addresses", key, n, len(list))
	}
	return list
}

// readCPUSlab reads a CPU's slab and its lockless free list.
func (s *snapshotReader) readCPUSlab() {
	c := s.cpu()
	if c.HasSlab {
		s.rec.fail(s.rec.line, "one cpuslab a CPU")
	}
	c.HasSlab, c.Slab = true, s.rec.hex("slab")
	c.Freelist = s.distinct(uint64(max(s.cache.Objects, s.cache.MinObjects)))
}

// readCPUPartial reads a CPU's partial slabs.
func (s *snapshotReader) readCPUPartial() {
	c := s.cpu()
	if c.HasPartial {
		s.rec.fail(s.rec.line, "one cpupartial a CPU")
	}
	c.HasPartial, c.Partial = true, s.counted("slabs")
}

// readNodePartial reads a node's partial list.
func (s *snapshotReader) readNodePartial() {
	r, c := &s.rec, s.cache
	p := SnapshotNodePartial{Node: r.int("node", maxNode), Slabs: s.counted("nr")}
	if n := len(c.NodePartial); n > 0 && c.NodePartial[n-1].Node >= p.Node {
		r.failf("nodes in rising order", "node=%d after node=%d", p.Node, c.NodePartial[n-1].Node)
	}
	c.NodePartial = append(c.NodePartial, p)
}

// readSheaf reads a sheaf of a CPU.
func (s *snapshotReader) readSheaf() {
	c := s.cpu()
	c.Sheaves = append(c.Sheaves, SnapshotSheaf{Kind: string(s.rec.text("kind")), Objects: s.counted("size")})
}

// readBarn reads the number of a node's full or of its empty sheaves: full,
// the full sheaves themselves, then empty.
func (s *snapshotReader) readBarn() {
	r, c := &s.rec, s.cache
	if r.has("nr_full") {
		s.endBarn()
		s.barnFull = r.uint("nr_full", math.MaxUint32)
		c.Barns = append(c.Barns, SnapshotBarn{})
		s.inBarn = true
		return
	}
	s.endBarn()
	empty := r.uint("nr_empty", math.MaxUint32)
	if len(c.Barns) == 0 {
		r.fail(r.line, "barn nr_full before it")
		return
	}
	c.Barns[len(c.Barns)-1].NrEmpty = empty
}

// endBarn checks that the barn has as many full sheaves as it said.
func (s *snapshotReader) endBarn() {
	if !s.inBarn {
		return
	}
	s.inBarn = false
	if n := len(s.cache.Barns[len(s.cache.Barns)-1].Full); uint64(n) != s.barnFull {
		s.rec.failf("as many barnsheaf lines", "nr_full=%d with %d sheaves", s.barnFull, n)
	}
}

// readBarnSheaf reads a full sheaf.
func (s *snapshotReader) readBarnSheaf() {
	r, c := &s.rec, s.cache
	objects := s.counted("size")
	if r.note != "full" || !s.inBarn {
		r.fail(r.line, `"barnsheaf full" after "barn nr_full"`)
		return
	}
	b := &c.Barns[len(c.Barns)-1]
	b.Full = append(b.Full, objects)
}

// readSlab reads a slab line.
func (s *snapshotReader) readSlab() {
	r := &s.rec
	b := SnapshotSlab{PFN: r.pages("pfn"), Order: r.int("order", maxOrders)}
	cache := r.text("cache")
	i, ok := s.names[string(cache)]
	if !ok {
		r.fail(cache, "the name of a cache above")
		return
	}
	b.Cache = s.snap.Caches[i].Name
	b.Objects = r.uint32("objects")
	b.Inuse = uint32(r.uint("inuse", uint64(b.Objects)))
	b.Frozen = r.uint("frozen", 1) == 1
	b.Freelist = s.distinct(uint64(b.Objects - b.Inuse))
	s.snap.Slabs = append(s.snap.Slabs, b)
}
