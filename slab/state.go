package slab

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// State is everything that decides about the addresses of future objects: what
// a snapshot of a kernel's slab lists holds. Addresses are in the direct map.
type State struct {
	Caches []CacheState
	// Slabs are the slabs that are known. Others, all of whose objects are in
	// use, may exist; see [Allocator.AdoptSlab].
	Slabs []SlabState
}

// CacheState is a cache with its lists.
type CacheState struct {
	// Params give name, constructor and so on; Layout is taken as it is.
	Params   Params
	Layout   Layout
	RefCount int
	Aliases  []string
	// Order is the shuffled order of a new slab, nil if not shuffled; Key
	// obfuscates free pointers.
	Order []uint16
	Key   uint64
	CPUs  []CPUState
	Nodes []NodeState
}

// CPUState is what a CPU holds of a cache.
type CPUState struct {
	// Slab is the CPU's slab, 0 for none, and Freelist its lockless free list.
	Slab     uint64
	Freelist []uint64
	// Partial are the slabs of its partial list, next first.
	Partial []uint64
	// Main and Spare are its sheaves, the object that is taken first last. A
	// nil Spare is none.
	Main, Spare []uint64
}

// NodeState is what a node holds of a cache.
type NodeState struct {
	// Partial are the slabs of its partial list, first one first.
	Partial []uint64
	// BarnFull are its full sheaves, the list's head first; BarnEmpty is the
	// number of empty ones.
	BarnFull  [][]uint64
	BarnEmpty int
}

// SlabState is a slab.
type SlabState struct {
	PFN   buddy.PFN
	Order int
	// Cache is the index in State.Caches.
	Cache          int
	Inuse, Objects uint32
	Frozen         bool
	// Freelist is its regular free list, next first.
	Freelist []uint64
}

// StateError is a state that makes no sense.
type StateError struct{ What string }

func (e *StateError) Error() string { return "slab: state: " + e.What }

func badState(format string, args ...any) error { return &StateError{fmt.Sprintf(format, args...)} }

// Restore makes an allocator of a state. The error is a *StateError or that of
// [Config.Validate].
func Restore(c Config, source PageSource, st *State) (*Allocator, error) {
	a, err := newEmpty(c, source)
	if err != nil {
		return nil, err
	}
	for i := range st.Caches {
		if err := a.restoreCache(&st.Caches[i]); err != nil {
			return nil, err
		}
	}
	for i := range st.Slabs {
		if err := a.restoreSlab(&st.Slabs[i]); err != nil {
			return nil, err
		}
	}
	for i := range st.Caches {
		if err := a.caches[i].restoreLists(&st.Caches[i]); err != nil {
			return nil, err
		}
	}
	a.findKmallocCaches()
	if err := a.Check(); err != nil {
		return nil, badState("%v", err)
	}
	return a, nil
}

func (a *Allocator) restoreCache(cs *CacheState) error {
	l := cs.Layout
	switch {
	case l.Size == 0 || l.Objects == 0 || l.Objects > maxObjectsPerSlab || l.MinObjects > maxObjectsPerSlab:
		return badState("cache %s: %d objects of %d bytes", cs.Params.Name, l.Objects, l.Size)
	case l.Order < 0 || l.MinOrder < 0 || max(l.Order, l.MinOrder) > a.config.MaxPageOrder,
		uint64(l.Objects)*uint64(l.Size) > uint64(1)<<(a.config.PageShift+l.Order),
		uint64(l.MinObjects)*uint64(l.Size) > uint64(1)<<(a.config.PageShift+l.MinOrder):
		return badState("cache %s: %d objects of %d bytes do not fit into a block of order %d", cs.Params.Name, l.Objects, l.Size, l.Order)
	case l.RedLeftPad >= l.Size || l.Flags&DebugFlags != 0:
		return badState("cache %s: debugged caches cannot be restored, their objects' bytes are missing", cs.Params.Name)
	case cs.Params.SheafCapacity > maxSheaf:
		return badState("cache %s: sheaves of %d objects", cs.Params.Name, cs.Params.SheafCapacity)
	case len(cs.CPUs) > a.config.CPUsPossible || len(cs.Nodes) > a.config.Nodes:
		return badState("cache %s: lists of %d CPUs and %d nodes", cs.Params.Name, len(cs.CPUs), len(cs.Nodes))
	}
	c := a.newCache(cs.Params, l)
	c.refcount, c.aliases, c.key = cs.RefCount, slices.Clone(cs.Aliases), cs.Key
	if cs.Order != nil {
		if err := checkPermutation(cs.Order, l.Objects); err != nil {
			return badState("cache %s: %v", cs.Params.Name, err)
		}
		c.order = slices.Clone(cs.Order)
	}
	a.caches = append(a.caches, c)
	return nil
}

func checkPermutation(order []uint16, n uint32) error {
	if uint32(len(order)) != n {
		return fmt.Errorf("order of %d objects, a slab has %d", len(order), n)
	}
	seen := make([]bool, n)
	for _, i := range order {
		if uint32(i) >= n || seen[i] {
			return fmt.Errorf("order has object %d twice or not at all", i)
		}
		seen[i] = true
	}
	return nil
}

// enterSlab makes a slab of a block with all objects in use.
func (c *Cache) enterSlab(pfn buddy.PFN, order int, objects uint32) (slabID, error) {
	a := c.a
	switch {
	case order < 0 || order > a.config.MaxPageOrder || objects == 0 || objects > uint32(max(c.layout.Objects, c.layout.MinObjects)),
		uint64(objects)*uint64(c.layout.Size) > uint64(1)<<(a.config.PageShift+order):
		return 0, badState("slab at page frame %d: %d objects of cache %s in a block of order %d", pfn, objects, c.name, order)
	case uint64(pfn) >= maxPFN || uint64(pfn)&(1<<order-1) != 0:
		return 0, badState("slab at page frame %d: no place for a block of order %d", pfn, order)
	}
	for n := range uint64(1) << order {
		if a.pages.at(uint64(pfn)+n) != 0 {
			return 0, badState("page frame %d is in two slabs", uint64(pfn)+n)
		}
	}
	id := c.newSlot()
	s := &a.slabs[id]
	s.addr = a.config.PageOffset + uint64(pfn)<<a.config.PageShift
	s.order, s.objects, s.inuse, s.free = int8(order), uint16(objects), uint16(objects), noObject
	s.node = int16(min(max(a.source.PageNode(pfn), 0), buddy.NodeID(a.config.Nodes-1)))
	for i := range objects {
		s.links[i] = inUse
	}
	a.pages.set(pfn, order, id, id)
	n := &c.nodes[s.node]
	n.slabs++
	n.objects += uint64(objects)
	if c.contents {
		c.slabBytes(s)
	}
	return id, nil
}

// maxPFN bounds page frames, so that the map of pages stays small.
const maxPFN = 1 << 32

func (a *Allocator) restoreSlab(st *SlabState) error {
	if st.Cache < 0 || st.Cache >= len(a.caches) {
		return badState("slab at page frame %d: cache number %d of %d", st.PFN, st.Cache, len(a.caches))
	}
	c := a.caches[st.Cache]
	id, err := c.enterSlab(st.PFN, st.Order, st.Objects)
	if err != nil {
		return err
	}
	s := &a.slabs[id]
	s.frozen = st.Frozen
	s.free, err = c.chain(s, st.Freelist)
	s.inuse = uint16(st.Inuse)
	return err
}

// chain links objects that are in use as a free list.
func (c *Cache) chain(s *slabMeta, list []uint64) (objIndex, error) {
	next := noObject
	for _, addr := range slices.Backward(list) {
		obj, ok := s.index(c, addr)
		if !ok || s.links[obj] != inUse {
			return noObject, badState("cache %s: free list has %#x, which is no object of its slab or there twice", c.name, addr)
		}
		s.links[obj] = next
		if c.contents {
			c.writePointer(s, obj, next)
		}
		next = obj
	}
	return next, nil
}

// slabNamed finds the cache's slab that begins at an address and is on no list.
func (c *Cache) slabNamed(addr uint64) (slabID, error) {
	id := c.a.slabAt(addr)
	if id == 0 || c.a.slabs[id].cache != c || c.a.slabs[id].addr != addr || c.a.slabs[id].place != nowhere {
		return 0, badState("cache %s: no slab at %#x, or on two lists", c.name, addr)
	}
	return id, nil
}

func (c *Cache) restoreLists(cs *CacheState) error {
	for cpu := range cs.CPUs {
		if err := c.restoreCPU(cpu, &cs.CPUs[cpu]); err != nil {
			return err
		}
	}
	for i := range cs.Nodes {
		n := &c.nodes[i]
		for _, addr := range cs.Nodes[i].Partial {
			id, err := c.slabNamed(addr)
			if err != nil {
				return err
			}
			n.partial.addTail(c.a.slabs, id, onNode)
		}
		if err := c.restoreBarn(&n.barn, &cs.Nodes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) restoreCPU(cpu int, st *CPUState) error {
	cs := &c.cpus[cpu]
	if st.Slab != 0 {
		id, err := c.slabNamed(st.Slab)
		if err != nil {
			return err
		}
		c.hold(cs, id)
		s := &c.a.slabs[id]
		s.place = onCPU
		if cs.free, err = c.chain(s, st.Freelist); err != nil {
			return err
		}
	}
	count := int32(0)
	for _, addr := range slices.Backward(st.Partial) {
		id, err := c.slabNamed(addr)
		if err != nil {
			return err
		}
		s := &c.a.slabs[id]
		count++
		if c.a.config.Profile.CPUPartial == CPUPartialObjects {
			count += int32(s.objects-s.inuse) - 1
		}
		s.place, s.next, s.slabs = onCPUPartial, cs.partial, count
		cs.partial = id
	}
	if c.sheaves == nil {
		return nil
	}
	p := &c.sheaves.cpus[cpu]
	var err error
	if p.main, err = c.restoreSheaf(st.Main); err == nil && st.Spare != nil {
		p.spare, err = c.restoreSheaf(st.Spare)
		p.hasSpare = true
	}
	return err
}

func (c *Cache) restoreSheaf(objs []uint64) (sheaf, error) {
	sh := c.sheaves.newSheaf()
	if len(objs) > c.sheaves.capacity {
		return sh, badState("cache %s: sheaf of %d objects, capacity %d", c.name, len(objs), c.sheaves.capacity)
	}
	for _, addr := range objs {
		if err := c.intoSheaf(addr); err != nil {
			return sh, err
		}
		sh = append(sh, addr)
	}
	return sh, nil
}

// intoSheaf marks an object as in a sheaf. Its slab may be one that the state
// does not list.
func (c *Cache) intoSheaf(addr uint64) error {
	if c.a.slabAt(addr) == 0 {
		if err := c.AdoptSlab(addr); err != nil {
			return err
		}
	}
	s, obj, ok := c.a.linked(addr)
	if !ok || s.cache != c || s.links[obj] != inUse {
		return badState("cache %s: sheaf has %#x, which is no object of it or there twice", c.name, addr)
	}
	s.links[obj] = inSheaf
	return nil
}

func (c *Cache) restoreBarn(b *barn, st *NodeState) error {
	if c.sheaves == nil {
		return nil
	}
	for _, objs := range slices.Backward(st.BarnFull) {
		sh, err := c.restoreSheaf(objs)
		if err != nil {
			return err
		}
		b.full = append(b.full, sh)
	}
	for range min(max(st.BarnEmpty, 0), 1<<10) {
		b.empty = append(b.empty, c.sheaves.newSheaf())
	}
	return nil
}

// findKmallocCaches fills the kmalloc table from the caches' names.
func (a *Allocator) findKmallocCaches() {
	types := a.config.kmallocTypes()
	for t := range numKmallocTypes {
		for i := range maxIndex + 1 {
			name := kmallocPrefix[t] + a.config.sizeName(kmallocSize(i))
			at := slices.IndexFunc(a.caches, func(c *Cache) bool { return c.name == name })
			switch {
			case at >= 0:
				a.kmalloc.caches[t][i] = a.caches[at]
			case !types[t]:
				a.kmalloc.caches[t][i] = a.kmalloc.caches[KmallocNormal][i]
			}
		}
	}
}

// AdoptSlab makes the cache know a slab that existed before the model started
// and on which all objects are in use: the block of the cache's usual order
// that an address is in.
func (c *Cache) AdoptSlab(addr uint64) error {
	pfn := c.a.pfnOf(addr) >> c.layout.Order << c.layout.Order
	_, err := c.enterSlab(buddy.PFN(pfn), c.layout.Order, c.layout.Objects)
	return err
}

// AdoptLarge makes kmalloc know a large block that existed before the model
// started. addr is its address.
func (a *Allocator) AdoptLarge(addr uint64, order int) error {
	pfn := a.pfnOf(addr)
	if order < 0 || order > a.config.MaxPageOrder || pfn >= maxPFN || addr&uint64(a.config.pageSize()-1) != 0 {
		return badState("large block of order %d at %#x", order, addr)
	}
	for n := range uint64(1) << order {
		if a.pages.at(pfn+n) != 0 {
			return badState("page frame %d is in use", pfn+n)
		}
	}
	a.enterLarge(buddy.PFN(pfn), order)
	return nil
}

// State copies the caches and lists out. Full slabs are among the slabs.
// Debugged caches are left out: their lists are in their objects' bytes.
func (a *Allocator) State() *State {
	st := &State{}
	number := map[*Cache]int{}
	for _, c := range a.caches {
		if c.debug {
			continue
		}
		number[c] = len(st.Caches)
		st.Caches = append(st.Caches, c.state())
	}
	for i := range a.slabs {
		s := &a.slabs[i]
		if n, ok := number[s.cache]; ok && s.addr != 0 {
			st.Slabs = append(st.Slabs, SlabState{PFN: buddy.PFN(a.pfnOf(s.addr)), Order: int(s.order), Cache: n,
				Inuse: uint32(s.inuse), Objects: uint32(s.objects), Frozen: s.frozen, Freelist: s.list(s.free)})
		}
	}
	slices.SortFunc(st.Slabs, func(x, y SlabState) int { return int(int64(x.PFN) - int64(y.PFN)) })
	return st
}

// list gives the addresses of a free list.
func (s *slabMeta) list(head objIndex) []uint64 {
	var out []uint64
	for ; head != noObject; head = s.links[head] {
		out = append(out, s.objectAddr(s.cache, head))
	}
	return out
}

func (c *Cache) state() CacheState {
	st := CacheState{Params: c.params, Layout: c.layout, RefCount: c.refcount, Aliases: slices.Clone(c.aliases),
		Order: slices.Clone(c.order), Key: c.key, CPUs: make([]CPUState, len(c.cpus)), Nodes: make([]NodeState, len(c.nodes))}
	slabs := c.a.slabs
	for i := range c.cpus {
		cs, out := &c.cpus[i], &st.CPUs[i]
		if cs.slab != 0 {
			out.Slab = slabs[cs.slab].addr
			out.Freelist = slabs[cs.slab].list(cs.free)
		}
		for id := cs.partial; id != 0; id = slabs[id].next {
			out.Partial = append(out.Partial, slabs[id].addr)
		}
		if c.sheaves != nil {
			p := &c.sheaves.cpus[i]
			out.Main = slices.Clone(p.main)
			if p.hasSpare {
				out.Spare = append([]uint64{}, p.spare...)
			}
		}
	}
	for i := range c.nodes {
		n, out := &c.nodes[i], &st.Nodes[i]
		for id := n.partial.first; id != 0; id = slabs[id].next {
			out.Partial = append(out.Partial, slabs[id].addr)
		}
		for _, sh := range slices.Backward(n.barn.full) {
			out.BarnFull = append(out.BarnFull, slices.Clone(sh))
		}
		out.BarnEmpty = len(n.barn.empty)
	}
	return st
}
