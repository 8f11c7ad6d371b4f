package slab

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// startRandom draws starts that the naive twin can ask for again, and nothing
// that it does not model.
type startRandom struct {
	SeededRandom
	starts map[uint64]uint32
}

func (r *startRandom) Start(_ *Cache, addr uint64, n uint32) uint32 {
	r.starts[addr] = r.SeededRandom.Below(n)
	return r.starts[addr]
}

// TestAgainstNaive runs the model and the naive twin side by side: every object,
// every list, and the model's invariants after each step.
func TestAgainstNaive(t *testing.T) {
	profiles := []Profile{Linux6_1, Linux6_12}
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(profiles).Draw(rt, "profile")
		cpus := rapid.IntRange(1, 3).Draw(rt, "cpus")
		rnd := &startRandom{SeededRandom: *NewSeededRandom(rapid.Uint64().Draw(rt, "seed")), starts: map[uint64]uint32{}}
		conf := NewConfig(p, X86_64, cpus)
		conf.Random = rnd
		conf.Nodes = rapid.IntRange(1, 2).Draw(rt, "nodes")
		for cpu := range cpus {
			conf.CPUNode = append(conf.CPUNode, buddy.NodeID(cpu%conf.Nodes))
		}
		conf.FreelistRandom = rapid.Bool().Draw(rt, "shuffled")
		conf.Contents = rapid.Bool().Draw(rt, "contents")
		conf.MaxOrder = uint32(rapid.IntRange(0, 1).Draw(rt, "max order"))
		conf.MinObjects = 1
		pages := NewLinearPages(conf.Nodes, 1<<16)
		pages.CPUNode = conf.CPUNode
		a, err := newEmpty(conf, pages)
		require.NoError(rt, err)
		c, err := a.Create(Params{Name: "c", Size: uint32(rapid.IntRange(300, 2000).Draw(rt, "size"))})
		require.NoError(rt, err)
		c.defragRatio = 0
		c.layout.MinPartial = uint32(rapid.IntRange(0, 3).Draw(rt, "min partial"))
		c.layout.CPUPartialSlabs = uint32(rapid.IntRange(1, 4).Draw(rt, "cpu partial"))
		twin := newNaive(c, NewLinearPages(conf.Nodes, 1<<16), func(addr uint64, _ uint32) uint32 { return rnd.starts[addr] })
		runAgainst(rt, c, twin)
	})
}

func runAgainst(rt *rapid.T, c *Cache, twin *naiveCache) {
	var objs []uint64
	cpus := len(c.cpus)
	cpu := func(t *rapid.T) int { return rapid.IntRange(0, cpus-1).Draw(t, "cpu") }
	take := func(t *rapid.T) uint64 {
		if len(objs) == 0 {
			t.Skip("no object")
		}
		i := rapid.IntRange(0, len(objs)-1).Draw(t, "object")
		o := objs[i]
		objs = slices.Delete(objs, i, i+1)
		return o
	}
	alloc := func(t *rapid.T) {
		k, node := cpu(t), rapid.IntRange(-1, len(c.nodes)-1).Draw(t, "node")
		if node >= 0 && rapid.Bool().Draw(t, "any") {
			node = -1
		}
		gfp := buddy.GFPKernel
		if node >= 0 {
			gfp |= buddy.GFPThisNode
		}
		got, err := c.AllocNode(buddy.CPU(k), gfp, buddy.NodeID(node))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%x", twin.alloc(k, node)), fmt.Sprintf("%x", got))
		objs = append(objs, got)
	}
	free := func(t *rapid.T) {
		k, o := cpu(t), take(t)
		require.NoError(t, c.Free(buddy.CPU(k), o))
		twin.free(k, o)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"alloc":  alloc,
		"alloc2": alloc,
		"alloc3": alloc,
		"free":   free,
		"free2":  free,
		"bulk alloc": func(t *rapid.T) {
			k := cpu(t)
			dst := make([]uint64, rapid.IntRange(1, 20).Draw(t, "n"))
			require.NoError(t, c.AllocBulk(buddy.CPU(k), buddy.GFPKernel, dst))
			for _, o := range dst {
				require.Equal(t, twin.alloc(k, -1), o)
			}
			objs = append(objs, dst...)
		},
		"bulk free": func(t *rapid.T) {
			k := cpu(t)
			var list []uint64
			for range rapid.IntRange(1, 20).Draw(t, "n") {
				list = append(list, take(t))
				if len(objs) == 0 {
					break
				}
			}
			twin.freeBulk(k, list)
			require.NoError(t, c.FreeBulk(buddy.CPU(k), list))
		},
		"double free": func(t *rapid.T) {
			k, o := cpu(t), take(t)
			require.NoError(t, c.Free(buddy.CPU(k), o))
			twin.free(k, o)
			require.Error(t, c.Free(buddy.CPU(k), o))
			require.Error(t, c.FreeBulk(buddy.CPU(k), append(slices.Clone(objs), o)))
		},
		"flush": func(t *rapid.T) {
			require.NoError(t, c.Flush())
			twin.flush()
		},
		"shrink": func(t *rapid.T) {
			left, err := c.Shrink(0)
			require.NoError(t, err)
			twin.shrink()
			require.EqualValues(t, len(twin.slabs), left)
		},
		"": func(t *rapid.T) {
			require.NoError(t, c.a.Check())
			got, want := c.state(), twin.state()
			require.Equal(t, want.CPUs, got.CPUs)
			require.Equal(t, want.Nodes, got.Nodes)
			require.EqualValues(t, len(objs), c.InUse())
		},
	})
}
