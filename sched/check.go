package sched

import "fmt"

// Check proves the machine's invariants and returns what is broken first, nil
// if nothing is:
//
//   - a queue's tree has red-black form and order, its leftmost node is the
//     first, and each node knows the smallest virtual runtime below it;
//   - in it are the queue's runnable entities, all but the running one;
//   - the queue's number of entities, its weight and (EEVDF) its sums are those
//     of its entities;
//   - the tasks counted in it are those of its entities and of the queues below;
//   - a CPU's number of runnable tasks is that of its classes, and the machine's
//     numbers of real-time and deadline tasks are those of its CPUs.
//
// It takes time proportional to the number of entities. During a call of the
// scheduler, in a hook, some do not hold.
func (m *Machine) Check() error {
	members := make([][]EntityID, len(m.queues))
	for i := range m.ents {
		if e := &m.ents[i]; e.onRQ && e.queue >= 0 {
			members[e.queue] = append(members[e.queue], EntityID(i))
		}
	}
	for i := range m.queues {
		if err := m.checkQueue(&m.queues[i], members[i]); err != nil {
			return fmt.Errorf("sched: queue %d (group %d, CPU %d): %w", i, m.queues[i].group, m.queues[i].cpu, err)
		}
	}
	var rt, dl int
	for i := range m.rqs {
		rq := &m.rqs[i]
		if err := m.checkRunQueue(rq); err != nil {
			return fmt.Errorf("sched: CPU %d: %w", i, err)
		}
		rt, dl = rt+int(rq.rt.nrRunning), dl+int(rq.dl.nrRunning)
	}
	if rt != m.rtRunnable || dl != m.dlRunnable {
		return fmt.Errorf("sched: %d real-time and %d deadline tasks on the CPUs, the machine counts %d and %d", rt, dl, m.rtRunnable, m.dlRunnable)
	}
	return nil
}

// queueSums is what a queue counts of its entities.
type queueSums struct {
	entities, idleEntities     uint32
	tasks, runnable, idleTasks uint32
	weight, load               uint64
	avg                        int64
}

func (m *Machine) checkQueue(q *cfsQueue, members []EntityID) error {
	var s queueSums
	linked := 0
	for _, id := range members {
		m.addSums(&s, q, id)
		if m.nodes[id].linked {
			linked++
		}
		if m.nodes[id].linked == (q.curr == id) {
			return fmt.Errorf("entity %d: in the tree %t, running %t", id, m.nodes[id].linked, q.curr == id)
		}
	}
	if err := m.checkTree(q, linked); err != nil {
		return err
	}
	got := queueSums{entities: q.nrRunning, idleEntities: q.idleNrRunning, tasks: q.hNrQueued, runnable: q.hNrRunning,
		idleTasks: q.idleHNrRunning, weight: q.load.weight, load: q.avgLoad, avg: q.avgVruntime}
	if got != s {
		return fmt.Errorf("it counts %+v, its entities are %+v", got, s)
	}
	if q.next >= 0 && (!m.ents[q.next].onRQ || m.ents[q.next].queue != q.id) {
		return fmt.Errorf("its next buddy %d is not queued in it", q.next)
	}
	return nil
}

func (m *Machine) addSums(s *queueSums, q *cfsQueue, id EntityID) {
	e := &m.ents[id]
	s.entities++
	s.weight += e.load.weight
	s.idleEntities += b2u(m.isIdle(e))
	if e.isTask() {
		s.tasks++
		s.runnable += b2u(!e.delayed)
		s.idleTasks += b2u(m.isIdle(e))
	} else {
		below := &m.queues[e.myQ]
		s.tasks += below.hNrQueued
		s.runnable += below.hNrRunning
		if below.idle {
			s.idleTasks += below.hNrQueued
		} else {
			s.idleTasks += below.idleHNrRunning
		}
	}
	if m.prof.EEVDF && q.curr != id {
		s.load += e.weight()
		s.avg += q.key(e) * int64(e.weight())
	}
}

// checkTree proves a queue's tree, which must have n nodes.
func (m *Machine) checkTree(q *cfsQueue, n int) error {
	seen, prev := 0, int32(-1)
	for i := m.leftmost(q); i >= 0; i = next(m.nodes, i) {
		node := &m.nodes[i]
		if seen++; seen > n {
			break
		}
		switch {
		case m.ents[i].queue != q.id || !m.ents[i].onRQ:
			return fmt.Errorf("entity %d is in its tree", i)
		case prev >= 0 && before(node.key, m.nodes[prev].key):
			return fmt.Errorf("entity %d comes before %d", prev, i)
		case node.key != m.treeKey(EntityID(i)):
			return fmt.Errorf("entity %d has key %d, not %d", i, node.key, m.treeKey(EntityID(i)))
		case node.red && node.parent >= 0 && m.nodes[node.parent].red:
			return fmt.Errorf("entity %d is red below red", i)
		case q.tree.augmented && m.leastBelow(i) != node.minVrun:
			return fmt.Errorf("entity %d: smallest virtual runtime %d, not %d", i, node.minVrun, m.leastBelow(i))
		}
		prev = i
	}
	if seen != n {
		return fmt.Errorf("%d entities are linked, its tree has %d or more", n, seen)
	}
	if q.tree.first != m.leftmost(q) {
		return fmt.Errorf("its first entity is %d, not %d", m.leftmost(q), q.tree.first)
	}
	if q.tree.rightmost != prev {
		return fmt.Errorf("its last entity is %d, not %d", prev, q.tree.rightmost)
	}
	return nil
}

func (m *Machine) treeKey(id EntityID) uint64 {
	if m.prof.EEVDF {
		return m.ents[id].deadline
	}
	return m.ents[id].vruntime
}

// leftmost finds the first node of a queue's tree by going down.
func (m *Machine) leftmost(q *cfsQueue) int32 {
	i := q.tree.root
	for i >= 0 && m.nodes[i].left >= 0 {
		i = m.nodes[i].left
	}
	return i
}

// leastBelow is the smallest virtual runtime of a node and its children's
// subtrees.
func (m *Machine) leastBelow(i int32) uint64 {
	v := m.ents[i].vruntime
	for _, c := range [2]int32{m.nodes[i].left, m.nodes[i].right} {
		if c >= 0 {
			v = minVruntime(v, m.nodes[c].minVrun)
		}
	}
	return v
}

func (m *Machine) checkRunQueue(rq *runQueue) error {
	n := m.queues[rq.root].hNrQueued + rq.dl.nrRunning + b2u(rq.stop >= 0)
	if rq.rt.counted {
		n += rq.rt.nrRunning
	}
	if n != rq.nrRunning {
		return fmt.Errorf("%d tasks are runnable, it counts %d", n, rq.nrRunning)
	}
	return nil
}
