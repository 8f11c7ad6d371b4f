package slab

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// Memcg charges objects to memory cgroups. Package mm has one.
type Memcg interface {
	// Current is the object cgroup that the running task's requests are charged
	// to, 0 for none (the root).
	Current(cpu buddy.CPU) uint32
	// Charge charges bytes; an error makes the request fail.
	Charge(objcg uint32, bytes uint64, gfp buddy.GFP) error
	// Uncharge takes a charge back.
	Uncharge(objcg uint32, bytes uint64)
}

// SetMemcg installs memory cgroups; nil removes them. Objects that were charged
// before keep their charges. Only a configuration with Memcg accounts.
func (a *Allocator) SetMemcg(m Memcg) {
	a.memcg, a.charging = m, a.charging || m != nil
	for _, c := range a.caches {
		c.setSlow()
	}
}

// chargeBytes is what an object costs its cgroup, obj_full_size: with its
// metadata and the pointer that remembers the cgroup.
func (c *Cache) chargeBytes() uint64 { return uint64(c.layout.Size) + uint64(c.a.config.WordSize) }

// allocCharged is allocObject with the charge before and the note after it:
// memcg_slab_pre_alloc_hook and memcg_slab_post_alloc_hook.
func (c *Cache) allocCharged(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID, size uint32) (uint64, error) {
	m := c.a.memcg
	var objcg uint32
	if c.accounted(gfp) && !c.a.config.MemcgDisabled {
		objcg = m.Current(cpu)
	}
	if objcg == 0 {
		return c.allocObject(cpu, gfp, node, size)
	}
	if err := m.Charge(objcg, c.chargeBytes(), gfp); err != nil {
		return 0, fmt.Errorf("%w: cache %s: %w", ErrNoMemory, c.name, err)
	}
	addr, err := c.allocObject(cpu, gfp, node, size)
	if err == nil {
		err = c.note(cpu, gfp, addr, objcg)
		if err == nil {
			return addr, nil
		}
		// No memory for the vector: the object stays, uncharged.
		err = nil
	}
	m.Uncharge(objcg, c.chargeBytes())
	return addr, err
}

// note remembers in the slab's vector who is charged for an object.
func (c *Cache) note(cpu buddy.CPU, gfp buddy.GFP, addr uint64, objcg uint32) error {
	id := c.a.slabAt(addr)
	if len(c.a.slabs[id].objcg) == 0 {
		if err := c.addVector(cpu, gfp, id); err != nil {
			return err
		}
	}
	s := &c.a.slabs[id]
	obj, _ := s.index(c, addr)
	s.objcg[obj] = objcg
	return nil
}

// chargeSlab gives a new slab of an accounted cache its vector at once
// (account_slab).
func (c *Cache) chargeSlab(cpu buddy.CPU, gfp buddy.GFP, id slabID) error {
	if c.a.memcg != nil && c.layout.Flags&Account != 0 && !c.a.config.MemcgDisabled {
		// Without memory for it the slab goes without; objects try again.
		_ = c.addVector(cpu, gfp, id)
	}
	return nil
}

// addVector allocates a slab's vector of cgroups, a kmalloc object of a word for
// each object: memcg_alloc_slab_cgroups.
func (c *Cache) addVector(cpu buddy.CPU, gfp buddy.GFP, id slabID) error {
	s := &c.a.slabs[id]
	n, node := uint64(s.objects), buddy.NodeID(s.node)
	gfp = gfp&^(buddy.GFPDMA|buddy.GFPReclaimable|buddy.GFPAccount) | buddy.GFPZero
	addr, err := c.a.KmallocNode(cpu, n*uint64(c.a.config.WordSize), gfp, node)
	if err != nil {
		return err
	}
	s = &c.a.slabs[id]
	s.objcgAddr = addr
	s.objcg = slices.Grow(s.objcg[:0], int(n))[:n]
	clear(s.objcg)
	return nil
}

// unchargeObject takes an object's charge back: memcg_slab_free_hook.
func (c *Cache) unchargeObject(id slabID, obj objIndex) {
	s := &c.a.slabs[id]
	if len(s.objcg) == 0 || s.objcg[obj] == 0 {
		return
	}
	if c.a.memcg != nil {
		c.a.memcg.Uncharge(s.objcg[obj], c.chargeBytes())
	}
	s.objcg[obj] = 0
}

// unchargeSlab frees a slab's vector when the slab goes.
func (c *Cache) unchargeSlab(cpu buddy.CPU, id slabID) {
	s := &c.a.slabs[id]
	if addr := s.objcgAddr; addr != 0 {
		s.objcgAddr, s.objcg = 0, s.objcg[:0]
		_ = c.a.Kfree(cpu, addr)
	}
}
