package sched

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naiveTree is a sorted slice with the same order.
type naiveTree []int32

func (n *naiveTree) insert(nodes []rbNode, i int32) {
	at := 0
	for at < len(*n) && !before(nodes[i].key, nodes[(*n)[at]].key) {
		at++
	}
	*n = slices.Insert(*n, at, i)
}

// subtreeMin is the smallest virtual runtime below a node, computed anew.
func subtreeMin(nodes []rbNode, i int32) uint64 {
	v := nodes[i].vruntime
	for _, c := range [2]int32{nodes[i].left, nodes[i].right} {
		if c >= 0 {
			if m := subtreeMin(nodes, c); before(m, v) {
				v = m
			}
		}
	}
	return v
}

// checkTree proves the red-black rules, the order, the leftmost node and the
// subtrees' values.
func checkTree(t require.TestingT, tree *rbTree, nodes []rbNode, want []int32) {
	var got []int32
	var walk func(i, parent int32) (black int)
	walk = func(i, parent int32) int {
		if i < 0 {
			return 1
		}
		n := &nodes[i]
		require.Equal(t, parent, n.parent)
		require.True(t, n.linked)
		require.False(t, n.red && parent >= 0 && nodes[parent].red, "red below red")
		l := walk(n.left, i)
		got = append(got, i)
		r := walk(n.right, i)
		require.Equal(t, l, r, "black height")
		if tree.augmented {
			require.Equal(t, subtreeMin(nodes, i), n.minVrun, "smallest virtual runtime")
		}
		if n.red {
			return l
		}
		return l + 1
	}
	walk(tree.root, -1)
	require.True(t, slices.Equal(want, got), "order: want %v, got %v", want, got)
	first, last := int32(-1), int32(-1)
	if len(want) > 0 {
		first, last = want[0], want[len(want)-1]
		require.False(t, nodes[tree.root].red)
	}
	require.Equal(t, first, tree.first)
	require.Equal(t, last, tree.rightmost)
	for i, n := range want {
		after := int32(-1)
		if i+1 < len(want) {
			after = want[i+1]
		}
		require.Equal(t, after, next(nodes, n))
	}
}

func TestTreeAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := emptyTree(rapid.Bool().Draw(t, "augmented"))
		nodes := make([]rbNode, rapid.IntRange(1, 40).Draw(t, "nodes"))
		base := rapid.SampledFrom([]uint64{0, 1 << 63, ^uint64(0) - 5}).Draw(t, "base")
		var want naiveTree
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			i := int32(rapid.IntRange(0, len(nodes)-1).Draw(t, "node"))
			if nodes[i].linked {
				tree.erase(nodes, i)
				at := slices.Index(want, i)
				want = slices.Delete(want, at, at+1)
			} else {
				nodes[i].key = base + rapid.Uint64Range(0, 12).Draw(t, "key")
				nodes[i].vruntime = base + rapid.Uint64Range(0, 20).Draw(t, "vruntime")
				nodes[i].slice = rapid.Uint64Range(1, 9).Draw(t, "slice")
				tree.insert(nodes, i)
				want.insert(nodes, i)
			}
			checkTree(t, &tree, nodes, want)
		}
	})
}
