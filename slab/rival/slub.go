package rival

import (
	"errors"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// slub is package slab's kmalloc.
type slub struct {
	a     *slab.Allocator
	pages *countedPages
	// sheaves are caches by kmalloc's sizes if every size has sheaves.
	sheaves []*slab.Cache
	large   map[uint64]uint64 // bytes of requests that pages serve
	name    string
}

// countedPages counts what goes through a source of pages.
type countedPages struct {
	slab.PageSource
	held, allocs, frees uint64
}

func (p *countedPages) AllocPages(gfp buddy.GFP, order buddy.Order, node buddy.NodeID, cpu buddy.CPU) (buddy.PFN, error) {
	pfn, err := p.PageSource.AllocPages(gfp, order, node, cpu)
	if err == nil {
		p.allocs++
		p.held += pageSize << order
	}
	return pfn, err
}

func (p *countedPages) FreePages(pfn buddy.PFN, order buddy.Order, cpu buddy.CPU) error {
	err := p.PageSource.FreePages(pfn, order, cpu)
	if err == nil {
		p.frees++
		p.held -= pageSize << order
	}
	return err
}

const (
	pageShift = 12
	pageSize  = 1 << pageShift
)

func newSLUB(c Config, p slab.Profile, sheaf uint32) (Allocator, error) {
	s := &slub{pages: &countedPages{PageSource: c.pages()}, large: map[uint64]uint64{}, name: "slub"}
	a, err := slab.New(slab.NewConfig(p, slab.X86_64, c.cpus()), s.pages)
	if err != nil {
		return nil, err
	}
	s.a = a
	if sheaf == 0 {
		return s, nil
	}
	s.name = "sheaves"
	for _, k := range a.Caches() {
		l := k.Layout()
		if a.KmallocCache(uint64(l.ObjectSize), buddy.GFPKernel) != k {
			continue // another type's, or not kmalloc's
		}
		k, err := a.Create(slab.Params{Name: "sheaf-" + k.Name(), Size: l.ObjectSize, Align: min(l.ObjectSize&-l.ObjectSize, pageSize), SheafCapacity: sheaf, Flags: slab.NoMerge})
		if err != nil {
			return nil, err
		}
		s.sheaves = append(s.sheaves, k)
	}
	slices.SortFunc(s.sheaves, func(a, b *slab.Cache) int { return int(a.Layout().ObjectSize) - int(b.Layout().ObjectSize) })
	return s, nil
}

func (s *slub) Alloc(cpu int, size uint64) (uint64, error) {
	if size == 0 || size > maxSize {
		return 0, &SizeError{s.name, size}
	}
	var addr uint64
	var err error
	if c := s.sheafOf(size); c != nil {
		addr, err = c.Alloc(buddy.CPU(cpu), buddy.GFPKernel)
	} else {
		addr, err = s.a.Kmalloc(buddy.CPU(cpu), size, buddy.GFPKernel)
	}
	switch {
	case errors.Is(err, slab.ErrNoMemory) || errors.Is(err, slab.ErrNoPages):
		return 0, ErrNoMemory
	case err != nil || addr == 0:
		return 0, &SizeError{s.name, size}
	}
	if s.a.CacheOf(addr) == nil {
		s.large[addr] = s.a.Ksize(addr)
	}
	return addr, nil
}

func (s *slub) sheafOf(size uint64) *slab.Cache {
	for _, c := range s.sheaves {
		if size <= uint64(c.Layout().ObjectSize) {
			return c
		}
	}
	return nil
}

func (s *slub) Free(cpu int, addr uint64) error {
	c := s.a.CacheOf(addr)
	switch {
	case c == nil && s.large[addr] == 0:
		return &FreeError{Allocator: s.name, Addr: addr}
	case c != nil && !s.a.InUse(addr):
		return &FreeError{Allocator: s.name, Addr: addr, Twice: true}
	}
	var err error
	if s.sheaves != nil && c != nil {
		err = c.Free(buddy.CPU(cpu), addr)
	} else {
		err = s.a.Kfree(buddy.CPU(cpu), addr)
	}
	if err != nil {
		return &FreeError{Allocator: s.name, Addr: addr}
	}
	delete(s.large, addr)
	return nil
}

func (s *slub) Usable(addr uint64) uint64 {
	if c := s.a.CacheOf(addr); c != nil {
		if !s.a.InUse(addr) {
			return 0
		}
		return uint64(c.Layout().ObjectSize)
	}
	return s.large[addr]
}

func (s *slub) Footprint() uint64 { return s.pages.held }

// Stats takes a node's list lock for what SLUB's own counters say it is taken
// for, and a barn's lock with sheaves.
func (s *slub) Stats() Stats {
	st := Stats{PageAllocs: s.pages.allocs, PageFrees: s.pages.frees}
	for _, c := range s.a.Caches() {
		for _, k := range []slab.Stat{slab.AllocFromPartial, slab.FreeAddPartial, slab.FreeRemovePartial, slab.DeactivateToHead, slab.DeactivateToTail,
			slab.CPUPartialDrain, slab.BarnGet, slab.BarnGetFail, slab.BarnPut, slab.BarnPutFail} {
			st.Locks += c.Stat(k)
		}
		st.Local += c.Stat(slab.AllocFastpath) + c.Stat(slab.FreeFastpath)
	}
	return st
}

func (s *slub) Check() error { return s.a.Check() }
