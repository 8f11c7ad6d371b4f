package rcu

import "errors"

// Node numbers a node of a [List]; 0 is the list's head.
type Node int32

// Errors of misuse of a list; it is unchanged.
var (
	// ErrListed: list_add corruption. double add.
	ErrListed = errors.New("rcu: list_add corruption. double add")
	// ErrUnlisted: list_del corruption, next is LIST_POISON1 or prev is LIST_POISON2.
	ErrUnlisted = errors.New("rcu: list_del corruption: prev is LIST_POISON2 or the node was never added")
	// ErrFreed: the node is freed, or a reader would still need it.
	ErrFreed = errors.New("rcu: use of a freed node")
)

// List is a doubly linked list that readers follow without a lock (list_head with the
// operations of rculist.h). Updaters are one at a time; each operation changes what
// readers see by a single store, of one next pointer. A node that was taken out keeps
// its next pointer, so that readers on it find the way back; it may be freed after a
// grace period.
type List struct {
	nodes []listNode
}

type listNode struct {
	next, prev Node
	value      int
	listed     bool
	freed      bool
}

// NewList makes an empty list.
func NewList() *List { return &List{nodes: []listNode{{listed: true}}} }

// New makes a node with a value, not in the list yet.
func (l *List) New(value int) Node {
	l.nodes = append(l.nodes, listNode{value: value})
	return Node(len(l.nodes) - 1)
}

func (l *List) known(n Node) bool { return n > 0 && int(n) < len(l.nodes) }

// Listed says whether a node is in the list; Value is its value.
func (l *List) Listed(n Node) bool { return l.known(n) && l.nodes[n].listed }
func (l *List) Value(n Node) int   { return l.nodes[n].value }

// addable proves that a node can be added behind another.
func (l *List) addable(n, at Node) error {
	switch {
	case !l.known(n) || l.nodes[n].freed:
		return ErrFreed
	case l.nodes[n].listed:
		return ErrListed
	case at < 0 || int(at) >= len(l.nodes) || !l.nodes[at].listed:
		return ErrUnlisted
	}
	return nil
}

// Add puts a node behind another, 0 for the front (list_add_rcu). Readers see it from
// the store of the predecessor's next pointer on.
func (l *List) Add(n, behind Node) error {
	if err := l.addable(n, behind); err != nil {
		return err
	}
	next := l.nodes[behind].next
	l.nodes[n].next, l.nodes[n].prev, l.nodes[n].listed = next, behind, true
	l.nodes[behind].next = n
	l.nodes[next].prev = n
	return nil
}

// AddTail puts a node at the end (list_add_tail_rcu).
func (l *List) AddTail(n Node) error { return l.Add(n, l.nodes[0].prev) }

// Del takes a node out (list_del_rcu). Its next pointer stays.
func (l *List) Del(n Node) error {
	if !l.Listed(n) {
		return ErrUnlisted
	}
	k := &l.nodes[n]
	l.nodes[k.next].prev = k.prev
	l.nodes[k.prev].next = k.next
	k.listed = false
	return nil
}

// Replace puts a node in the place of another (list_replace_rcu): readers see the one
// or the other.
func (l *List) Replace(old, n Node) error {
	if !l.Listed(old) {
		return ErrUnlisted
	}
	if err := l.addable(n, 0); err != nil {
		return err
	}
	o := &l.nodes[old]
	l.nodes[n].next, l.nodes[n].prev, l.nodes[n].listed = o.next, o.prev, true
	l.nodes[o.prev].next = n
	l.nodes[o.next].prev = n
	o.listed = false
	return nil
}

// Free frees a node that is out of the list.
func (l *List) Free(n Node) error {
	if !l.known(n) || l.nodes[n].listed || l.nodes[n].freed {
		return ErrFreed
	}
	l.nodes[n].freed = true
	return nil
}

// Next is a reader's step from a node, 0 for the beginning, to the next one, 0 at the
// end (list_for_each_entry_rcu). A step from a freed node is the bug that a grace
// period prevents.
func (l *List) Next(from Node) (Node, error) {
	if from < 0 || int(from) >= len(l.nodes) || l.nodes[from].freed {
		return 0, ErrFreed
	}
	return l.nodes[from].next, nil
}

// Check proves that the two directions agree and that all that is listed is reached.
func (l *List) Check() error {
	reached := 0
	for n := Node(0); ; {
		next := l.nodes[n].next
		if l.nodes[next].prev != n || l.nodes[next].freed || !l.nodes[next].listed {
			return errors.New("rcu: the list's pointers disagree")
		}
		if n = next; n == 0 {
			break
		}
		if reached++; reached > len(l.nodes) {
			return errors.New("rcu: the list has a circle")
		}
	}
	for i := range l.nodes[1:] {
		if l.nodes[i+1].listed {
			reached--
		}
	}
	if reached != 0 {
		return errors.New("rcu: nodes are not reached")
	}
	return nil
}

// HList is a list of a hash table (hlist_head with the operations of rculist.h): the
// head is one pointer, and a node points back to the pointer that leads to it, so that
// nodes are added in front only, or before or behind others.
type HList struct{ l List }

// NewHList makes an empty list.
func NewHList() *HList { return &HList{*NewList()} }

// New makes a node.
func (h *HList) New(value int) Node { return h.l.New(value) }

// AddHead puts a node in front (hlist_add_head_rcu); AddBehind and AddBefore beside
// another (hlist_add_behind_rcu, hlist_add_before_rcu).
func (h *HList) AddHead(n Node) error           { return h.l.Add(n, 0) }
func (h *HList) AddBehind(n, behind Node) error { return h.beside(n, behind, behind) }

// AddBefore puts a node before another.
func (h *HList) AddBefore(n, before Node) error {
	if !h.l.Listed(before) {
		return ErrUnlisted
	}
	return h.beside(n, before, h.l.nodes[before].prev)
}

func (h *HList) beside(n, other, behind Node) error {
	if !h.l.Listed(other) {
		return ErrUnlisted
	}
	return h.l.Add(n, behind)
}

// Del takes a node out (hlist_del_rcu); DelInit does so if it is in
// (hlist_del_init_rcu), and says whether it was.
func (h *HList) Del(n Node) error { return h.l.Del(n) }

// DelInit takes a node out if it is in.
func (h *HList) DelInit(n Node) bool { return h.l.Del(n) == nil }

// Replace, Free, Next and Check are those of [List].
func (h *HList) Replace(old, n Node) error    { return h.l.Replace(old, n) }
func (h *HList) Free(n Node) error            { return h.l.Free(n) }
func (h *HList) Next(from Node) (Node, error) { return h.l.Next(from) }
func (h *HList) Value(n Node) int             { return h.l.Value(n) }
func (h *HList) Check() error                 { return h.l.Check() }
