package replay

import (
	"fmt"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
	"github.com/kernsim/kernsim/trace"
)

// slabConfig turns a snapshot into the slab allocator's configuration.
func slabConfig(s *trace.Snapshot) (slab.Config, *slab.FlagTable, error) {
	p, err := slab.ProfileForRelease(s.Kernel)
	if err != nil {
		return slab.Config{}, nil, err
	}
	cpus, nodes := 1, 1
	for i := range s.Zones {
		nodes = max(nodes, s.Zones[i].Node+1)
		for _, pcp := range s.Zones[i].PCPs {
			cpus = max(cpus, pcp.CPU+1)
		}
	}
	for i := range s.Caches {
		for _, c := range s.Caches[i].CPUSlabs {
			cpus = max(cpus, c.CPU+1)
		}
		for _, n := range s.Caches[i].NodePartial {
			nodes = max(nodes, n.Node+1)
		}
	}
	c := slab.NewConfig(p, slabArch(s.Kernel), cpus)
	c.PageShift, c.PageOffset, c.Nodes = s.PageShift, s.PageOffset, nodes
	if c.PageOffset == 0 {
		c.PageOffset = directMap
	}
	if nodes > 1 {
		for cpu := range cpus {
			c.CPUNode = append(c.CPUNode, buddy.NodeID(min(cpu*nodes/cpus, nodes-1)))
		}
	}
	table, err := flagTable(s)
	return c, table, err
}

// slabArch is the architecture that a kernel's release names.
func slabArch(release string) slab.Arch {
	if strings.Contains(release, "arm64") {
		return slab.ARM64
	}
	return slab.X86_64
}

// directMap is where the objects' addresses of snapshots without page_offset
// begin (x86_64 with four-level page tables).
const directMap = 0xffff888000000000

// flagTable finds how the snapshot's kernel numbers cache flags: since 6.9 that
// depends on its configuration, which the kmalloc caches give away.
func flagTable(s *trace.Snapshot) (*slab.FlagTable, error) {
	if fitsFlags(slab.FlagsFixed, s) {
		return slab.FlagsFixed, nil
	}
	for bits := range 1 << 6 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		t := slab.NewFlagTable(slab.FlagConfig{ObjExt: !on(0), Memcg: !on(1), DebugObjects: on(2), FailSlab: on(3), KFENCE: on(4), KASANGeneric: on(5)})
		if fitsFlags(t, s) {
			return t, nil
		}
	}
	return nil, fmt.Errorf("replay: snapshot %d: the caches' flags fit no kernel known", s.Seq)
}

// fitsFlags says whether the kmalloc caches have the flags that they should.
func fitsFlags(t *slab.FlagTable, s *trace.Snapshot) bool {
	for i := range s.Caches {
		c := &s.Caches[i]
		f, rest := t.Flags(c.Flags)
		if rest != 0 {
			return false
		}
		kmalloc := false
		want := slab.Flags(0)
		for prefix, flag := range map[string]slab.Flags{"kmalloc-cg-": slab.Account, "kmalloc-rcl-": slab.ReclaimAccount, "dma-kmalloc-": slab.CacheDMA} {
			if strings.HasPrefix(c.Name, prefix) {
				kmalloc, want = true, slab.Kmalloc|flag
			}
		}
		if kmalloc && f&(slab.Account|slab.ReclaimAccount|slab.CacheDMA|slab.Kmalloc) != want {
			return false
		}
	}
	return true
}

// slabState turns a snapshot into the slab allocator's state.
func slabState(s *trace.Snapshot, c *slab.Config, flags *slab.FlagTable) (*slab.State, error) {
	st := &slab.State{}
	names := map[string]int{}
	for i := range s.Caches {
		names[s.Caches[i].Name] = i
		cs, err := cacheState(&s.Caches[i], c, flags)
		if err != nil {
			return nil, fmt.Errorf("replay: snapshot %d: %w", s.Seq, err)
		}
		st.Caches = append(st.Caches, cs)
	}
	for i := range s.Slabs {
		b := &s.Slabs[i]
		st.Slabs = append(st.Slabs, slab.SlabState{PFN: buddy.PFN(b.PFN), Order: b.Order, Cache: names[b.Cache],
			Inuse: b.Inuse, Objects: b.Objects, Frozen: b.Frozen, Freelist: b.Freelist})
	}
	return st, nil
}

func cacheState(c *trace.SnapshotCache, config *slab.Config, flags *slab.FlagTable) (slab.CacheState, error) {
	f, rest := flags.Flags(c.Flags)
	if rest != 0 {
		return slab.CacheState{}, fmt.Errorf("cache %s: unknown flags %#x", c.Name, rest)
	}
	st := slab.CacheState{
		Params: slab.Params{Name: c.Name, Size: c.ObjectSize, Align: c.Align, Flags: f &^ slab.CmpxchgDouble, SheafCapacity: c.SheafCapacity},
		Layout: slab.Layout{ObjectSize: c.ObjectSize, Size: c.Size, Inuse: c.Inuse, Align: c.Align, Offset: c.Offset, RedLeftPad: c.RedLeftPad,
			Order: c.Order, MinOrder: c.MinOrder, Objects: c.Objects, MinObjects: c.MinObjects, MinPartial: uint32(min(c.MinPartial, 1<<31)),
			CPUPartial: c.CPUPartial, CPUPartialSlabs: c.CPUPartialSlabs, Flags: f},
		RefCount: c.RefCount,
		CPUs:     make([]slab.CPUState, config.CPUsPossible),
		Nodes:    make([]slab.NodeState, config.Nodes),
	}
	if c.Ctor != 0 {
		st.Params.Ctor = func(uint64, []byte) {}
	}
	for _, i := range c.RandomSeq {
		st.Order = append(st.Order, uint16(i))
	}
	for _, n := range c.NodePartial {
		st.Nodes[n.Node].Partial = n.Slabs
	}
	if len(c.Barns) > config.Nodes {
		return st, fmt.Errorf("cache %s: %d barns on %d nodes", c.Name, len(c.Barns), config.Nodes)
	}
	for i, b := range c.Barns {
		st.Nodes[i].BarnFull, st.Nodes[i].BarnEmpty = b.Full, int(min(b.NrEmpty, 1<<10))
	}
	for i := range c.CPUSlabs {
		cpuState(&st.CPUs[c.CPUSlabs[i].CPU], &c.CPUSlabs[i])
	}
	return st, nil
}

func cpuState(out *slab.CPUState, c *trace.SnapshotCPUSlab) {
	if c.HasSlab {
		out.Slab, out.Freelist = c.Slab, c.Freelist
	}
	out.Partial = c.Partial
	for _, sh := range c.Sheaves {
		switch sh.Kind {
		case "main":
			out.Main = sh.Objects
		case "spare":
			out.Spare = append([]uint64{}, sh.Objects...)
		}
	}
}
