package slab

import "github.com/kernsim/kernsim/buddy"

// Since 6.18 a cache may keep, for each CPU, arrays of free objects (sheaves)
// before its slabs. A CPU has a main sheaf and perhaps a spare one; each node
// has a barn of full and empty ones. Objects in a sheaf are in use as far as
// their slab knows.
//
//	allocate: main --empty--> swap with spare --empty too--> full one of the barn --none--> refill from slabs
//	free:     main --full---> swap with spare --full too---> barn for an empty one --has ten--> flush to slabs

// Most sheaves of a kind in a barn: MAX_FULL_SHEAVES and MAX_EMPTY_SHEAVES.
const (
	maxFullSheaves  = 10
	maxEmptySheaves = 10
)

// sheaf is an array of objects; the last one is taken first.
type sheaf []uint64

// barn is struct node_barn.
type barn struct {
	// full are full sheaves; the last one of the slice is the list's head.
	full []sheaf
	// empty are empty sheaves.
	empty []sheaf
}

// sheafState is what a cache with sheaves has more.
type sheafState struct {
	capacity int
	cpus     []cpuSheaves
}

// cpuSheaves is struct slub_percpu_sheaves.
type cpuSheaves struct {
	main  sheaf
	spare sheaf
	// hasSpare tells an empty spare sheaf from none.
	hasSpare bool
}

func newSheafState(capacity uint32, cpus int) *sheafState {
	st := &sheafState{capacity: int(capacity), cpus: make([]cpuSheaves, cpus)}
	for i := range st.cpus {
		st.cpus[i].main = st.newSheaf()
	}
	return st
}

// newSheaf is alloc_empty_sheaf. (The kernel takes it from kmalloc.)
func (st *sheafState) newSheaf() sheaf { return make(sheaf, 0, st.capacity) }

// inSheaf marks, in a slab's links, an object that is in a sheaf.
const inSheaf objIndex = 0xfffc

// mark sets an object's link.
func (c *Cache) mark(addr uint64, as objIndex) {
	s, obj, _ := c.a.linked(addr)
	s.links[obj] = as
}

// allocSheaf is alloc_from_pcs, with the slabs behind it.
func (c *Cache) allocSheaf(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) (uint64, error) {
	here := c.a.nodeOf(cpu)
	if node != buddy.NoNode && node != here {
		return c.take(cpu, gfp, node)
	}
	p := &c.sheaves.cpus[cpu]
	if len(p.main) == 0 && !c.replaceEmptyMain(cpu, gfp) {
		return c.take(cpu, gfp, node)
	}
	addr := p.main[len(p.main)-1]
	if node != buddy.NoNode && !c.nodeMatch(c.a.slabAt(addr), node) {
		return c.take(cpu, gfp, node)
	}
	c.cpus[cpu].stats[AllocFastpath]++
	p.main = p.main[:len(p.main)-1]
	c.mark(addr, inUse)
	return addr, nil
}

// replaceEmptyMain gives the CPU a main sheaf with objects:
// __pcs_replace_empty_main.
func (c *Cache) replaceEmptyMain(cpu buddy.CPU, gfp buddy.GFP) bool {
	st, cs := c.sheaves, &c.cpus[cpu]
	p := &st.cpus[cpu]
	if p.hasSpare && len(p.spare) > 0 {
		p.main, p.spare = p.spare, p.main
		cs.stats[SheafSwap]++
		return true
	}
	b := &c.nodes[c.a.nodeOf(cpu)].barn
	if c.fullForEmpty(cpu, b) {
		return true
	}
	if gfp&buddy.GFPDirectReclaim == 0 {
		return false
	}
	empty := st.newSheaf()
	if p.hasSpare {
		empty, p.spare, p.hasSpare = p.spare, nil, false
	} else if n := len(b.empty); n > 0 {
		empty, b.empty = b.empty[n-1], b.empty[:n-1]
	}
	full, ok := c.fillSheaf(cpu, gfp, empty)
	if !ok {
		return false
	}
	b.empty = append(b.empty, p.main)
	p.main = full
	return true
}

// fullForEmpty changes the empty main sheaf for the barn's first full one.
func (c *Cache) fullForEmpty(cpu buddy.CPU, b *barn) bool {
	p := &c.sheaves.cpus[cpu]
	n := len(b.full)
	if n == 0 {
		c.cpus[cpu].stats[BarnGetFail]++
		return false
	}
	c.cpus[cpu].stats[BarnGet]++
	empty := p.main
	p.main, b.full = b.full[n-1], b.full[:n-1]
	b.empty = append(b.empty, empty)
	return true
}

// fillSheaf is refill_sheaf: objects from slabs until the sheaf is full. If
// memory runs out, what it got goes back.
func (c *Cache) fillSheaf(cpu buddy.CPU, gfp buddy.GFP, sh sheaf) (sheaf, bool) {
	for len(sh) < c.sheaves.capacity {
		addr, err := c.take(cpu, gfp, buddy.NoNode)
		if err != nil {
			c.flushSheaf(cpu, sh)
			return sh[:0], false
		}
		c.mark(addr, inSheaf)
		sh = append(sh, addr)
	}
	c.cpus[cpu].stats[SheafRefill] += uint32(c.sheaves.capacity)
	return sh, true
}

// flushSheaf is sheaf_flush_unused: its objects go back to their slabs.
func (c *Cache) flushSheaf(cpu buddy.CPU, sh sheaf) {
	for _, addr := range sh {
		c.mark(addr, pendingFree)
	}
	c.cpus[cpu].stats[SheafFlush] += uint32(len(sh))
	for objs := []uint64(sh); len(objs) > 0; {
		objs = c.a.freeDetached(cpu, objs)
	}
}

// freeToSheaf is free_to_pcs; false if the object must go to its slab, which it
// does if it is of another node.
func (c *Cache) freeToSheaf(cpu buddy.CPU, id slabID, obj objIndex) bool {
	s := &c.a.slabs[id]
	if buddy.NodeID(s.node) != c.a.nodeOf(cpu) {
		return false
	}
	c.replaceFullMain(cpu)
	addr := c.a.slabs[id].objectAddr(c, obj)
	p := &c.sheaves.cpus[cpu]
	p.main = append(p.main, addr)
	c.a.slabs[id].links[obj] = inSheaf
	c.cpus[cpu].stats[FreeFastpath]++
	return true
}

// replaceFullMain makes room in the CPU's main sheaf: __pcs_replace_full_main.
func (c *Cache) replaceFullMain(cpu buddy.CPU) {
	st, cs := c.sheaves, &c.cpus[cpu]
	p := &st.cpus[cpu]
	if len(p.main) < st.capacity {
		return
	}
	b := &c.nodes[c.a.nodeOf(cpu)].barn
	switch {
	case !p.hasSpare:
		empty := st.newSheaf()
		if n := len(b.empty); n > 0 {
			empty, b.empty = b.empty[n-1], b.empty[:n-1]
		}
		p.spare, p.main, p.hasSpare = p.main, empty, true
	case len(p.spare) == 0:
		p.main, p.spare = p.spare, p.main
		cs.stats[SheafSwap]++
	case len(b.full) >= maxFullSheaves:
		cs.stats[BarnPutFail]++
		empty := p.spare
		c.flushSheaf(cpu, empty)
		p.spare, p.main = p.main, empty[:0]
	default:
		empty := st.newSheaf()
		if n := len(b.empty); n > 0 {
			empty, b.empty = b.empty[n-1], b.empty[:n-1]
		}
		cs.stats[BarnPut]++
		b.full = append(b.full, p.main)
		p.main = empty
	}
}

// allocFromSheaves fills what it can of a bulk request from sheaves:
// alloc_from_pcs_bulk. It returns how many.
func (c *Cache) allocFromSheaves(cpu buddy.CPU, dst []uint64) int {
	st := c.sheaves
	p := &st.cpus[cpu]
	done := 0
	for done < len(dst) {
		if len(p.main) == 0 {
			if p.hasSpare && len(p.spare) > 0 {
				p.main, p.spare = p.spare, p.main
			} else if !c.fullForEmpty(cpu, &c.nodes[c.a.nodeOf(cpu)].barn) {
				break
			}
		}
		n := min(len(dst)-done, len(p.main))
		copy(dst[done:], p.main[len(p.main)-n:])
		for _, addr := range dst[done : done+n] {
			c.mark(addr, inUse)
		}
		p.main = p.main[:len(p.main)-n]
		done += n
		c.cpus[cpu].stats[AllocFastpath] += uint32(n)
	}
	return done
}

// freeBulkToSheaves puts objects of a bulk free into the CPU's sheaves; it
// returns those that must go to their slabs. The objects are marked pending.
func (c *Cache) freeBulkToSheaves(cpu buddy.CPU, objs []uint64) []uint64 {
	rest := objs[:0]
	for _, addr := range objs {
		s, obj, _ := c.a.linked(addr)
		id := c.a.slabAt(addr)
		if buddy.NodeID(s.node) != c.a.nodeOf(cpu) {
			rest = append(rest, addr)
			continue
		}
		c.unchargeObject(id, obj)
		c.freeToSheaf(cpu, id, obj)
	}
	return rest
}

// flushSheaves empties the CPU's sheaves into slabs: pcs_flush_all.
func (c *Cache) flushSheaves(cpu buddy.CPU) {
	if c.sheaves == nil {
		return
	}
	p := &c.sheaves.cpus[cpu]
	if p.hasSpare {
		c.flushSheaf(cpu, p.spare)
		p.spare, p.hasSpare = nil, false
	}
	c.flushSheaf(cpu, p.main)
	p.main = p.main[:0]
}

// flushBarn empties a node's barn: barn_shrink.
func (c *Cache) flushBarn(cpu buddy.CPU, node buddy.NodeID) {
	b := &c.nodes[node].barn
	for i := len(b.full) - 1; i >= 0; i-- {
		c.flushSheaf(cpu, b.full[i])
	}
	b.full, b.empty = nil, nil
}
