package lock

import (
	"fmt"
	"slices"
)

// Check proves the invariants of priority inheritance: every rt_mutex's queue is
// ordered by priority; the top waiter of each is in its owner's list, and nobody
// else is; a task that waits is in the queue of its lock; nobody runs below the
// priority that it lends to others.
func (s *System) Check() error {
	lent := make([]int, len(s.tasks))
	for i, m := range s.rts {
		if err := m.check(); err != nil {
			return fmt.Errorf("lock: rt_mutex %d: %w", i, err)
		}
		if m.owner != None && len(m.waiters) > 0 {
			lent[m.owner]++
		}
	}
	for t := range s.tasks {
		k := &s.tasks[t]
		if len(k.pi) != lent[t] {
			return fmt.Errorf("lock: task %d has %d top waiters, its locks have %d", t, len(k.pi), lent[t])
		}
		if k.prio > k.normal {
			return fmt.Errorf("lock: task %d runs at %d, below its own priority %d", t, k.prio, k.normal)
		}
		if k.wait.lock != nil && !slices.Contains(k.wait.lock.waiters, &k.wait) {
			return fmt.Errorf("lock: task %d waits in no queue", t)
		}
		if k.woken != slices.Contains(s.woken, TaskID(t)) {
			return fmt.Errorf("lock: task %d: woken is %v", t, k.woken)
		}
	}
	return nil
}

func (m *RTMutex) check() error {
	for i, w := range m.waiters {
		if i > 0 && w.prio < m.waiters[i-1].prio {
			return fmt.Errorf("task %d of priority %d is behind one of %d", w.task, w.prio, m.waiters[i-1].prio)
		}
		if w.lock != m || w.task == m.owner {
			return fmt.Errorf("task %d waits here for another lock, or for itself", w.task)
		}
	}
	if m.owner == None || len(m.waiters) == 0 {
		return nil
	}
	owner := &m.sys.tasks[m.owner]
	if !slices.Contains(owner.pi, m.waiters[0]) {
		return fmt.Errorf("the top waiter %d is not in the list of the owner %d", m.waiters[0].task, m.owner)
	}
	return nil
}
