package sched

// A red-black tree over indexes: the nodes lie in a slice of their owner's,
// one for each entity, and carry the key. Equal keys keep the order in which
// they were inserted, as rb_add does. The leftmost node is kept, as in
// rb_root_cached. A tree may be augmented: then each node also has the smallest
// virtual runtime and the smallest slice below it (EEVDF's tree).
//
// The kernel keeps the former by every change of shape, but not the latter:
// when a node takes another's place, in a rotation or an erasure, it takes over
// the virtual runtime only. So a smallest slice may be an old one until an
// insertion or erasure below recomputes it, and so it is here.

// rbNode is one node. Child and parent are indexes, -1 if there is none.
type rbNode struct {
	key                 uint64 // virtual time; the order is that of signed differences
	left, right, parent int32
	red                 bool
	linked              bool
	vruntime, minVrun   uint64 // augmented: own and smallest of the subtree
	slice, minSlice     uint64 // augmented: likewise
}

// rbTree is a tree's root, leftmost and rightmost node, -1 when empty. The
// kernel does not keep the rightmost; here it spares the way down for a key
// that comes last, which a task that used up its slice has most often.
type rbTree struct {
	root, first, rightmost int32
	augmented              bool
}

// emptyTree is a tree without nodes.
func emptyTree(augmented bool) rbTree {
	return rbTree{root: -1, first: -1, rightmost: -1, augmented: augmented}
}

// before says whether virtual time a comes before b (signed difference).
func before(a, b uint64) bool { return int64(a-b) < 0 }

// insert adds node n, whose key and own values are set.
func (t *rbTree) insert(nodes []rbNode, n int32) {
	parent, toLeft := t.place(nodes, nodes[n].key)
	node := &nodes[n]
	node.left, node.right, node.parent = -1, -1, parent
	node.red, node.linked = true, true
	switch {
	case parent < 0:
		t.root, t.first, t.rightmost = n, n, n
	case toLeft:
		nodes[parent].left = n
		if t.first == parent {
			t.first = n
		}
	default:
		nodes[parent].right = n
		if t.rightmost == parent {
			t.rightmost = n
		}
	}
	if t.augmented {
		node.augment(nodes)
		propagate(nodes, parent)
	}
	t.insertFixup(nodes, n)
}

// place finds the node below which a key belongs, -1 in an empty tree, and
// whether it does on the left.
func (t *rbTree) place(nodes []rbNode, key uint64) (parent int32, toLeft bool) {
	switch {
	case t.root < 0:
		return -1, false
	case !before(key, nodes[t.rightmost].key):
		return t.rightmost, false
	case before(key, nodes[t.first].key):
		return t.first, true
	}
	for at := t.root; at >= 0; {
		parent = at
		node := &nodes[at]
		if toLeft = before(key, node.key); toLeft {
			at = node.left
		} else {
			at = node.right
		}
	}
	return parent, toLeft
}

// augment recomputes the subtree's values of a node and says whether they
// changed.
func (node *rbNode) augment(nodes []rbNode) bool {
	v, s := node.vruntime, node.slice
	for _, c := range [2]int32{node.left, node.right} {
		if c < 0 {
			continue
		}
		if before(nodes[c].minVrun, v) {
			v = nodes[c].minVrun
		}
		s = min(s, nodes[c].minSlice)
	}
	changed := v != node.minVrun || s != node.minSlice
	node.minVrun, node.minSlice = v, s
	return changed
}

// propagate recomputes the subtrees' values from node i upwards until one does
// not change.
func propagate(nodes []rbNode, i int32) { propagateTo(nodes, i, -1) }

// propagateTo is propagate that ends before node stop.
func propagateTo(nodes []rbNode, i, stop int32) {
	for i != stop && nodes[i].augment(nodes) {
		i = nodes[i].parent
	}
}

// rotate lifts the child of x on its right side (left side if right is false)
// into x's place.
func (t *rbTree) rotate(nodes []rbNode, x int32, right bool) {
	nx := &nodes[x]
	y := nx.left
	if right {
		y = nx.right
	}
	ny := &nodes[y]
	var moved int32
	if right {
		moved, nx.right = ny.left, ny.left
		ny.left = x
	} else {
		moved, nx.left = ny.right, ny.right
		ny.right = x
	}
	if moved >= 0 {
		nodes[moved].parent = x
	}
	ny.parent = nx.parent
	t.replaceChild(nodes, nx.parent, x, y)
	nx.parent = y
	if t.augmented {
		ny.minVrun = nx.minVrun
		nx.augment(nodes)
	}
}

// replaceChild puts to where parent had from.
func (t *rbTree) replaceChild(nodes []rbNode, parent, from, to int32) {
	if parent < 0 {
		t.root = to
		return
	}
	if p := &nodes[parent]; p.left == from {
		p.left = to
	} else {
		p.right = to
	}
}

// insertFixup restores the colours after n was added red.
func (t *rbTree) insertFixup(nodes []rbNode, n int32) {
	for {
		p := nodes[n].parent
		if p < 0 {
			nodes[n].red = false
			return
		}
		if !nodes[p].red {
			return
		}
		g := nodes[p].parent
		onRight := nodes[g].right == p
		uncle := nodes[g].right
		if onRight {
			uncle = nodes[g].left
		}
		if uncle >= 0 && nodes[uncle].red {
			nodes[p].red, nodes[uncle].red, nodes[g].red = false, false, true
			n = g
			continue
		}
		if (nodes[p].right == n) != onRight {
			t.rotate(nodes, p, !onRight)
			p = n
		}
		nodes[p].red, nodes[g].red = false, true
		t.rotate(nodes, g, onRight)
		return
	}
}

// erase takes node n out.
func (t *rbTree) erase(nodes []rbNode, n int32) {
	if t.first == n {
		t.first = next(nodes, n)
	}
	if t.rightmost == n {
		t.rightmost = nodes[n].parent
		for l := nodes[n].left; l >= 0; l = nodes[l].right {
			t.rightmost = l
		}
	}
	successor := int32(-1)
	if nodes[n].left >= 0 && nodes[n].right >= 0 {
		successor = t.swapSuccessor(nodes, n)
	}
	node := &nodes[n]
	child := node.left
	if child < 0 {
		child = node.right
	}
	parent, red := node.parent, node.red
	if child >= 0 {
		nodes[child].parent = parent
	}
	t.replaceChild(nodes, parent, n, child)
	node.left, node.right, node.parent, node.red, node.linked = -1, -1, -1, false, false
	if t.augmented && successor >= 0 {
		nodes[successor].minVrun = node.minVrun
		propagateTo(nodes, parent, successor)
		propagate(nodes, successor)
	} else if t.augmented {
		propagate(nodes, parent)
	}
	switch {
	case red:
	case child >= 0:
		nodes[child].red = false
	default:
		t.eraseFixup(nodes, parent)
	}
}

// swapSuccessor exchanges the places of n and of its in-order successor; the
// colours stay with the places. It returns the successor.
func (t *rbTree) swapSuccessor(nodes []rbNode, n int32) int32 {
	s := nodes[n].right
	for nodes[s].left >= 0 {
		s = nodes[s].left
	}
	nn, ns := &nodes[n], &nodes[s]
	sParent, sRight := ns.parent, ns.right
	t.replaceChild(nodes, nn.parent, n, s)
	ns.parent, ns.left = nn.parent, nn.left
	nodes[nn.left].parent = s
	if sParent == n {
		ns.right, nn.parent = n, s
	} else {
		ns.right = nn.right
		nodes[nn.right].parent = s
		nn.parent = sParent
		nodes[sParent].left = n
	}
	nn.left, nn.right = -1, sRight
	if sRight >= 0 {
		nodes[sRight].parent = n
	}
	nn.red, ns.red = ns.red, nn.red
	return s
}

// eraseFixup restores the colours after a black leaf below parent was taken
// out.
func (t *rbTree) eraseFixup(nodes []rbNode, parent int32) {
	n := int32(-1)
	for parent >= 0 {
		onRight := nodes[parent].left != n
		s := t.sibling(nodes, parent, onRight)
		if nodes[s].red {
			nodes[s].red, nodes[parent].red = false, true
			t.rotate(nodes, parent, !onRight)
			s = t.sibling(nodes, parent, onRight)
		}
		near, far := nodes[s].left, nodes[s].right
		if onRight {
			near, far = far, near
		}
		if !isRed(nodes, near) && !isRed(nodes, far) {
			nodes[s].red = true
			if nodes[parent].red {
				nodes[parent].red = false
				return
			}
			n, parent = parent, nodes[parent].parent
			continue
		}
		if !isRed(nodes, far) {
			nodes[near].red, nodes[s].red = false, true
			t.rotate(nodes, s, onRight)
			far, s = s, near
		}
		nodes[s].red, nodes[parent].red = nodes[parent].red, false
		nodes[far].red = false
		t.rotate(nodes, parent, !onRight)
		return
	}
}

// sibling is the other child of parent than that on the right (left) side.
func (t *rbTree) sibling(nodes []rbNode, parent int32, onRight bool) int32 {
	if onRight {
		return nodes[parent].left
	}
	return nodes[parent].right
}

func isRed(nodes []rbNode, i int32) bool { return i >= 0 && nodes[i].red }

// next is the node after n in order, -1 at the end.
func next(nodes []rbNode, n int32) int32 {
	if r := nodes[n].right; r >= 0 {
		for nodes[r].left >= 0 {
			r = nodes[r].left
		}
		return r
	}
	for p := nodes[n].parent; p >= 0; p = nodes[p].parent {
		if nodes[p].right != n {
			return p
		}
		n = p
	}
	return -1
}
