package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCheckFinds breaks a machine in every way that Check knows.
func TestCheckFinds(t *testing.T) {
	breaks := map[string]func(m *Machine, q *cfsQueue){
		"it counts":     func(_ *Machine, q *cfsQueue) { q.load.weight++ },
		"is in its":     func(m *Machine, q *cfsQueue) { m.ents[q.tree.first].onRQ = false },
		"has key":       func(m *Machine, q *cfsQueue) { m.ents[q.tree.first].deadline++ },
		"last entity":   func(_ *Machine, q *cfsQueue) { q.tree.rightmost = q.tree.first },
		"smallest":      func(m *Machine, q *cfsQueue) { m.nodes[q.tree.root].minVrun-- },
		"first entity":  func(_ *Machine, q *cfsQueue) { q.tree.first = q.tree.root },
		"comes before":  func(m *Machine, q *cfsQueue) { m.nodes[q.tree.root].key -= 1 << 40 },
		"red below":     func(m *Machine, q *cfsQueue) { m.nodes[q.tree.root].red, m.nodes[q.tree.first].red = true, true },
		"next buddy":    func(_ *Machine, q *cfsQueue) { q.next = 0 },
		"in the tree":   func(_ *Machine, q *cfsQueue) { q.curr = q.first() },
		"are runnable":  func(m *Machine, _ *cfsQueue) { m.rqs[0].nrRunning++ },
		"counts 1 and":  func(m *Machine, _ *cfsQueue) { m.rtRunnable++ },
		"real-time and": func(m *Machine, _ *cfsQueue) { m.dlRunnable++ },
		"tree has":      func(m *Machine, q *cfsQueue) { m.nodes[q.tree.root].right = -1 },
		"entities are ": func(_ *Machine, q *cfsQueue) { q.avgVruntime++ },
	}
	for what, f := range breaks { // order does not matter
		t.Run(what, func(t *testing.T) {
			m := newEEVDF(t, Debian6_12)
			k := m.Kernel()
			for i := range 3 {
				m.add(t, i-1)
				require.NoError(t, m.Check())
				k.SetClock(0, uint64(i)*msec, uint64(i)*msec)
			}
			f(m.Machine, &m.queues[m.rqs[0].root])
			require.ErrorContains(t, m.Check(), what)
		})
	}
}
