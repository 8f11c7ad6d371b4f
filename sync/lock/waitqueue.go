package lock

import (
	"math"
	"slices"
)

// WaitQueue is a queue of tasks that wait for something to become true (struct
// wait_queue_head). To wait without losing a wake-up: [WaitQueue.Prepare], look again
// whether it is true, [WaitQueue.Schedule] if not, [WaitQueue.Finish] in the end.
type WaitQueue struct {
	sys     *System
	entries []waitEntry
}

// waitEntry is a task in the queue. Exclusive entries are at the end and woken one at
// a time; an entry that does not remove itself stays until Finish.
type waitEntry struct {
	task             TaskID
	exclusive, stays bool
}

// NewWaitQueue makes an empty queue.
func (s *System) NewWaitQueue() *WaitQueue { return &WaitQueue{sys: s} }

// Waiters lists who is in the queue, the first to be woken first.
func (q *WaitQueue) Waiters() []TaskID {
	out := make([]TaskID, len(q.entries))
	for i, e := range q.entries {
		out[i] = e.task
	}
	return out
}

// Prepare queues a task and says that it will sleep (prepare_to_wait,
// prepare_to_wait_exclusive); one that is queued stays where it is. Who is not
// exclusive goes to the front.
func (q *WaitQueue) Prepare(t TaskID, exclusive bool) error {
	return q.prepare(t, waitEntry{task: t, exclusive: exclusive})
}

// PrepareStaying is Prepare with an entry that a wake-up does not take out (one made
// by DEFINE_WAIT_FUNC with default_wake_function).
func (q *WaitQueue) PrepareStaying(t TaskID, exclusive bool) error {
	return q.prepare(t, waitEntry{task: t, exclusive: exclusive, stays: true})
}

func (q *WaitQueue) prepare(t TaskID, e waitEntry) error {
	if err := q.sys.runnable("prepare_to_wait", t); err != nil {
		return err
	}
	q.sys.tasks[t].asleep = true
	switch {
	case q.index(t) >= 0:
	case e.exclusive:
		q.entries = append(q.entries, e)
	default:
		q.entries = slices.Insert(q.entries, 0, e)
	}
	return nil
}

func (q *WaitQueue) index(t TaskID) int {
	return slices.IndexFunc(q.entries, func(e waitEntry) bool { return e.task == t })
}

// Schedule gives the CPU away: the task is blocked if it was not woken since Prepare,
// else it goes on at once (schedule).
func (q *WaitQueue) Schedule(t TaskID) (Outcome, error) {
	if err := q.sys.runnable("schedule", t); err != nil {
		return Failed, err
	}
	if !q.sys.tasks[t].asleep {
		return Acquired, nil
	}
	return q.sys.block(t, q), nil
}

// ScheduleInterruptible is Schedule that a signal ends.
func (q *WaitQueue) ScheduleInterruptible(t TaskID) (Outcome, error) {
	return q.sys.as(interruptible, t, func() (Outcome, error) { return q.Schedule(t) })
}

// Finish takes a task out of the queue (finish_wait).
func (q *WaitQueue) Finish(t TaskID) error {
	if err := q.sys.runnable("finish_wait", t); err != nil {
		return err
	}
	q.cancel(q.sys, t)
	return nil
}

func (q *WaitQueue) retry(s *System, t TaskID) Outcome {
	if s.tasks[t].asleep {
		return Blocked
	}
	return Acquired
}

func (q *WaitQueue) cancel(s *System, t TaskID) {
	s.tasks[t].asleep = false
	if i := q.index(t); i >= 0 {
		q.entries = slices.Delete(q.entries, i, i+1)
	}
}

// Wake wakes all that are not exclusive and n that are, in the order of the queue
// (__wake_up); a task that is awake already does not count. It returns how many it
// woke.
func (q *WaitQueue) Wake(n int) int {
	woken := 0
	kept := q.entries[:0:0]
	for i, e := range q.entries {
		k := &q.sys.tasks[e.task]
		asleep := k.asleep
		if asleep {
			k.asleep = false
			woken++
			if k.blocked != nil {
				q.sys.wake(e.task)
			}
		}
		if e.stays || !asleep {
			kept = append(kept, e)
		}
		if asleep && e.exclusive {
			if n--; n == 0 {
				kept = append(kept, q.entries[i+1:]...)
				break
			}
		}
	}
	q.entries = kept
	return woken
}

// WakeAll wakes everybody (wake_up_all).
func (q *WaitQueue) WakeAll() int { return q.Wake(math.MaxInt) }

// Completion says that something is done, to one waiter or to all (struct completion).
type Completion struct {
	sys     *System
	done    uint32
	waiters []TaskID
}

// NewCompletion makes one of something that is not done.
func (s *System) NewCompletion() *Completion { return &Completion{sys: s} }

// Done is how many waits will not wait; math.MaxUint32 after CompleteAll.
func (c *Completion) Done() uint32 { return c.done }

// take consumes one completion.
func (c *Completion) take() bool {
	if c.done == 0 {
		return false
	}
	if c.done != math.MaxUint32 {
		c.done--
	}
	return true
}

// Wait goes on if it is done, else blocks (wait_for_completion).
func (c *Completion) Wait(t TaskID) (Outcome, error) {
	if err := c.sys.runnable("wait_for_completion", t); err != nil {
		return Failed, err
	}
	if c.take() {
		return Acquired, nil
	}
	c.waiters = append(c.waiters, t)
	return c.sys.block(t, c), nil
}

// WaitInterruptible is Wait that a signal ends (wait_for_completion_interruptible).
func (c *Completion) WaitInterruptible(t TaskID) (Outcome, error) {
	return c.sys.as(interruptible, t, func() (Outcome, error) { return c.Wait(t) })
}

// WaitKillable is Wait that a fatal signal ends (wait_for_completion_killable).
func (c *Completion) WaitKillable(t TaskID) (Outcome, error) {
	return c.sys.as(killable, t, func() (Outcome, error) { return c.Wait(t) })
}

// Try goes on if it is done (try_wait_for_completion).
func (c *Completion) Try(t TaskID) (Outcome, error) {
	if err := c.sys.runnable("try_wait_for_completion", t); err != nil {
		return Failed, err
	}
	if c.take() {
		return Acquired, nil
	}
	return Failed, nil
}

// retry is the loop of a woken waiter: if somebody was faster, it queues behind the
// others.
func (c *Completion) retry(_ *System, t TaskID) Outcome {
	if c.take() {
		c.waiters = slices.DeleteFunc(c.waiters, func(w TaskID) bool { return w == t })
		return Acquired
	}
	if !slices.Contains(c.waiters, t) {
		c.waiters = append(c.waiters, t)
	}
	return Blocked
}

func (c *Completion) cancel(_ *System, t TaskID) {
	c.waiters = slices.DeleteFunc(c.waiters, func(w TaskID) bool { return w == t })
}

// Complete says that it is done once more and wakes the first waiter (complete).
func (c *Completion) Complete() {
	if c.done != math.MaxUint32 {
		c.done++
	}
	if len(c.waiters) > 0 {
		first := c.waiters[0]
		c.waiters = c.waiters[1:]
		c.sys.wake(first)
	}
}

// CompleteAll says that it is done for good and wakes all (complete_all).
func (c *Completion) CompleteAll() {
	c.done = math.MaxUint32
	for _, t := range c.waiters {
		c.sys.wake(t)
	}
	c.waiters = nil
}

// Reinit makes it not done again (reinit_completion). It is refused while somebody
// waits, who would wait for ever for the former one.
func (c *Completion) Reinit() error {
	if len(c.waiters) > 0 {
		return &Misuse{"reinit_completion", c.waiters[0], "somebody waits"}
	}
	c.done = 0
	return nil
}
