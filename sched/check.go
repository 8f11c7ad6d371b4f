package sched

import "fmt"

// InvariantError says which rule of the model does not hold: a bug in it.
type InvariantError struct{ What string }

// Error names the rule.
func (e *InvariantError) Error() string { return "sched: " + e.What }

func broken(format string, args ...any) error { return &InvariantError{fmt.Sprintf(format, args...)} }

// Check proves the machine's invariants: that every queue's counts and weights
// are those of its entities, that its tree is in order, and that the classes'
// lists hold just the runnable tasks. It takes time in proportion to the
// machine's size.
func (m *Machine) Check() error {
	for i := range m.queues {
		if err := m.checkQueue(&m.queues[i]); err != nil {
			return err
		}
	}
	for i := range m.rqs {
		if err := m.checkRQ(&m.rqs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) checkQueue(q *cfsQueue) error {
	var n, idle uint32
	var weight uint64
	last := int32(-1)
	for i := q.tree.first; i >= 0; i = next(m.nodes, i) {
		e := &m.ents[i]
		switch {
		case e.queue != q.id || !e.onRQ:
			return broken("queue %d: entity %d is in its tree and not of it", q.id, i)
		case last >= 0 && before(m.nodes[i].key, m.nodes[last].key):
			return broken("queue %d: entity %d is out of order", q.id, i)
		case EntityID(i) == q.curr:
			return broken("queue %d: the running entity is in the tree", q.id)
		}
		n, weight, idle, last = n+1, weight+e.load.weight, idle+b2u(m.isIdle(e)), i
	}
	if c := q.curr; c >= 0 && m.ents[c].onRQ {
		n, weight, idle = n+1, weight+m.ents[c].load.weight, idle+b2u(m.isIdle(&m.ents[c]))
	}
	if n != q.nrRunning || weight != q.load.weight || idle != q.idleNrRunning {
		return broken("queue %d: %d entities of weight %d, %d idle; counted %d, %d, %d", q.id, n, weight, idle, q.nrRunning, q.load.weight, q.idleNrRunning)
	}
	for _, b := range [...]EntityID{q.next, q.last, q.skip} {
		if b >= 0 && (!m.ents[b].onRQ || m.ents[b].queue != q.id) {
			return broken("queue %d: buddy %d is not in it", q.id, b)
		}
	}
	return nil
}

func (m *Machine) checkRQ(rq *runQueue) error {
	var fair, rt, dl uint32
	for i := range m.tasks {
		t := &m.tasks[i]
		if t.cpu != rq.cpu {
			continue
		}
		fair += b2u(t.class == ClassFair && m.ents[t.se].onRQ)
		rt += b2u(t.rt.queued)
		dl += b2u(m.dlNodes[i].linked)
		if t.rt.onList != t.rt.queued {
			return broken("CPU %d: task %d is queued and not in its list", rq.cpu, i)
		}
	}
	if rt != rq.rt.nrRunning {
		return broken("CPU %d: %d real-time tasks, counted %d", rq.cpu, rt, rq.rt.nrRunning)
	}
	if dl != rq.dl.nrRunning {
		return broken("CPU %d: %d deadline tasks, counted %d", rq.cpu, dl, rq.dl.nrRunning)
	}
	all := m.queues[rq.root].hNrQueued + dl + b2u(rq.stop >= 0)
	if rq.rt.counted {
		all += rt
	}
	if all != rq.nrRunning {
		return broken("CPU %d: %d runnable tasks, counted %d", rq.cpu, all, rq.nrRunning)
	}
	return nil
}
