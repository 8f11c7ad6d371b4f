package sched

// laterHeap finds the CPU whose deadline tasks are the least urgent (cpudl): a heap
// of the CPUs that have such tasks, by their earliest deadline, the latest first.
// Which of equals is on top depends on what was done before, as in the kernel.
type laterHeap struct {
	items []laterItem
	place []int32 // by CPU, its index among items, -1: it has no deadline task
}

type laterItem struct {
	deadline uint64
	cpu      CPU
}

func newLaterHeap(cpus int) *laterHeap {
	h := &laterHeap{items: make([]laterItem, 0, cpus), place: make([]int32, cpus)}
	for i := range h.place {
		h.place[i] = -1
	}
	return h
}

// set notes a CPU's earliest deadline (cpudl_set).
func (h *laterHeap) set(cpu CPU, deadline uint64) {
	i := h.place[cpu]
	if i < 0 {
		h.items = append(h.items, laterItem{deadline, cpu})
		h.up(len(h.items) - 1)
		return
	}
	h.items[i].deadline = deadline
	h.fix(int(i))
}

// clear notes that a CPU has no deadline task any more (cpudl_clear).
func (h *laterHeap) clear(cpu CPU) {
	i := h.place[cpu]
	if i < 0 {
		return
	}
	last := len(h.items) - 1
	h.items[i] = h.items[last]
	h.place[h.items[i].cpu], h.place[cpu] = i, -1
	h.items = h.items[:last]
	if int(i) < last {
		h.fix(int(i))
	}
}

// fix moves an item whose deadline has changed to its place (cpudl_heapify).
func (h *laterHeap) fix(i int) {
	if i > 0 && before(h.items[(i-1)/2].deadline, h.items[i].deadline) {
		h.up(i)
		return
	}
	h.down(i)
}

func (h *laterHeap) up(i int) {
	x := h.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if before(x.deadline, h.items[parent].deadline) {
			break
		}
		h.put(i, h.items[parent])
		i = parent
	}
	h.put(i, x)
}

func (h *laterHeap) down(i int) {
	x := h.items[i]
	for {
		largest, most := i, x.deadline
		for c := 2*i + 1; c <= 2*i+2 && c < len(h.items); c++ {
			if before(most, h.items[c].deadline) {
				largest, most = c, h.items[c].deadline
			}
		}
		if largest == i {
			break
		}
		h.put(i, h.items[largest])
		i = largest
	}
	h.put(i, x)
}

func (h *laterHeap) put(i int, x laterItem) {
	h.items[i] = x
	h.place[x.cpu] = int32(i)
}

// dlCame notes that a deadline task was queued on a CPU (inc_dl_deadline).
func (m *Machine) dlCame(rq *runQueue, deadline uint64) {
	if m.later != nil && (m.later.place[rq.cpu] < 0 || before(deadline, rq.dl.earliest)) {
		rq.dl.earliest = deadline
		m.later.set(rq.cpu, deadline)
	}
}

// dlWent notes that one left (dec_dl_deadline).
func (m *Machine) dlWent(rq *runQueue) {
	switch {
	case m.later == nil:
	case rq.dl.nrRunning == 0:
		m.later.clear(rq.cpu)
	default:
		rq.dl.earliest = m.dlNodes[rq.dl.tree.first].key
		m.later.set(rq.cpu, rq.dl.earliest)
	}
}
