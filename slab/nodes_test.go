package slab

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func twoNodes(t *testing.T, change func(*Config)) *Allocator {
	t.Helper()
	c := NewConfig(Linux6_1, X86_64, 2)
	c.Nodes, c.CPUNode = 2, []buddy.NodeID{0, 1}
	if change != nil {
		change(&c)
	}
	pages := NewLinearPages(2, 1<<12)
	pages.CPUNode = c.CPUNode
	a, err := New(c, pages)
	require.NoError(t, err)
	return a
}

// TestSysfsNodes: counts by node, and the sum in front.
func TestSysfsNodes(t *testing.T) {
	a := twoNodes(t, nil)
	c, err := a.Create(Params{Name: "obj", Size: 1024})
	require.NoError(t, err)
	n := int(c.Layout().Objects)
	files := func() map[string]string {
		out := map[string]string{}
		for _, f := range c.Sysfs(true) {
			out[f.Name] = f.Value
		}
		return out
	}
	var objs [2][]uint64
	take := func(cpu, count int) {
		for range count {
			p, err := c.Alloc(buddy.CPU(cpu), buddy.GFPKernel)
			require.NoError(t, err)
			objs[cpu] = append(objs[cpu], p)
		}
	}
	take(0, 3*n)
	take(1, n)
	assert.Equal(t, "4 N0=3 N1=1\n", files()["slabs"])
	assert.Equal(t, fmt.Sprintf("%d N0=%d N1=%d\n", 4*n, 3*n, n), files()["objects"])
	require.NoError(t, c.Flush())
	// CPU 1 frees one object of each of node 0's slabs: they go to its own
	// partial list, and from there to their node.
	for i := range 3 {
		require.NoError(t, c.Free(1, objs[0][i*n]))
	}
	require.NoError(t, c.Flush())
	got := files()
	assert.Equal(t, "3 N0=3\n", got["partial"])
	assert.Equal(t, fmt.Sprintf("%d N0=%d N1=%d\n", 4*n-3, 3*n-3, n), got["objects"])
	assert.Equal(t, fmt.Sprintf("%d N0=%d\n", 3*n-3, 3*n-3), got["objects_partial"])
	assert.EqualValues(t, 4, c.Slabinfo().NumSlabs)
	assert.EqualValues(t, 4*n-3, c.Slabinfo().ActiveObjs)
	require.NoError(t, a.Check())
}

// TestRemoteNode: a request goes to the node it names; with __GFP_THISNODE only
// there; without a preference slabs of the other node are taken only as often as
// remote_node_defrag_ratio says.
func TestRemoteNode(t *testing.T) {
	a := twoNodes(t, nil)
	c, err := a.Create(Params{Name: "obj", Size: 1024})
	require.NoError(t, err)
	n := int(c.Layout().Objects)
	p, err := c.AllocNode(0, buddy.GFPKernel, 1)
	require.NoError(t, err)
	assert.EqualValues(t, 1, a.source.PageNode(buddy.PFN(a.pfnOf(p))))
	_, err = c.AllocNode(0, buddy.GFPKernel, 2)
	require.ErrorIs(t, err, &MisuseError{Kind: NoNode})

	// More partial slabs on node 1 than it should keep.
	keep := int(c.Layout().MinPartial)
	var objs []uint64
	for range (keep + 3) * n {
		p, err := c.Alloc(1, buddy.GFPKernel)
		require.NoError(t, err)
		objs = append(objs, p)
	}
	require.NoError(t, c.Flush())
	for i := range keep + 3 {
		require.NoError(t, c.Free(1, objs[i*n]))
	}
	require.NoError(t, c.Flush())
	require.NoError(t, c.SetRemoteNodeDefragRatio(0))
	p, err = c.Alloc(0, buddy.GFPKernel)
	require.NoError(t, err)
	assert.EqualValues(t, 0, a.source.PageNode(buddy.PFN(a.pfnOf(p))), "never")
	require.NoError(t, c.Flush())
	require.NoError(t, c.SetRemoteNodeDefragRatio(100))
	for range n - 1 { // node 0's partial slab first
		_, err = c.Alloc(0, buddy.GFPKernel)
		require.NoError(t, err)
	}
	remote := 0
	for range 3 {
		require.NoError(t, c.Flush())
		p, err = c.Alloc(0, buddy.GFPKernel)
		require.NoError(t, err)
		if a.source.PageNode(buddy.PFN(a.pfnOf(p))) == 1 {
			remote++
		}
	}
	assert.Positive(t, remote)
	require.NoError(t, a.Check())
}

// TestInitOnFree: what was freed is zero, its free pointer aside.
func TestInitOnFree(t *testing.T) {
	a := newTest(t, Linux6_1, 1, func(c *Config) { c.Contents, c.InitOnFree = true, true })
	p, err := a.Kmemdup(0, []byte("secret secret secret secret secret secret secret secret secret!!"), buddy.GFPKernel)
	require.NoError(t, err)
	require.NoError(t, a.Kfree(0, p))
	got := read(t, a, p, 64)
	assert.Equal(t, make([]byte, 32), got[:32])
	assert.Equal(t, make([]byte, 24), got[40:])
	on := newTest(t, Linux6_1, 1, func(c *Config) { c.Contents, c.InitOnAlloc = true, true })
	p, err = on.Kmemdup(0, []byte("secret"), buddy.GFPKernel)
	require.NoError(t, err)
	require.NoError(t, on.Kfree(0, p))
	q, err := on.Kmalloc(0, 6, buddy.GFPKernel)
	require.NoError(t, err)
	require.Equal(t, p, q)
	assert.Equal(t, make([]byte, 8), read(t, on, q, 8))
}

// TestSheafBulk: bulk requests and frees of a cache with sheaves.
func TestSheafBulk(t *testing.T) {
	a := newTest(t, Linux6_18, 2, nil)
	c, err := a.Create(Params{Name: "maple_node", Size: 256, SheafCapacity: 32})
	require.NoError(t, err)
	objs := make([]uint64, 100)
	require.NoError(t, c.AllocBulk(0, buddy.GFPKernel, objs))
	seen := map[uint64]bool{}
	for _, p := range objs {
		assert.False(t, seen[p])
		seen[p] = true
	}
	assert.EqualValues(t, 100, c.InUse())
	require.NoError(t, c.FreeBulk(1, objs))
	require.NoError(t, a.Check())
	require.NoError(t, c.Flush())
	assert.Zero(t, c.InUse())
	require.NoError(t, a.Check())
	// The first one empties the barn, after it has flushed the CPUs; the second
	// one finds the slabs that this put onto a CPU's list.
	for range 2 {
		_, err = c.Shrink(0)
		require.NoError(t, err)
	}
	require.NoError(t, c.Destroy(0))
}
