package rcu

// Tasks is tasks RCU (call_rcu_tasks): a reader is all that a task does between two
// voluntary context switches. It protects code that is patched while tasks may have
// been preempted inside it (trampolines).
type Tasks struct {
	tasks []switching
	// callbacks wait for the running period; next are those that came since.
	callbacks, next []uint64
	running         bool
	periods         int
}

// switching is a task: runnable or not, how often it has given its CPU away itself, and
// what the running period waits for.
type switching struct {
	runnable bool
	switches uint64
	holdout  bool
	seen     uint64
}

// NewTasks makes n tasks, all runnable.
func NewTasks(n int) *Tasks {
	t := &Tasks{tasks: make([]switching, n)}
	for i := range t.tasks {
		t.tasks[i].runnable = true
	}
	return t
}

func (t *Tasks) has(task int) bool { return task >= 0 && task < len(t.tasks) }

// Switch is a voluntary context switch: a sleep, or cond_resched_tasks_rcu_qs;
// runnable says whether the task is still to run. A preemption is none.
func (t *Tasks) Switch(task int, runnable bool) {
	if t.has(task) {
		t.tasks[task].switches++
		t.tasks[task].runnable = runnable
	}
}

// Wake makes a task runnable.
func (t *Tasks) Wake(task int) {
	if t.has(task) {
		t.tasks[task].runnable = true
	}
}

// Call queues a callback (call_rcu_tasks).
func (t *Tasks) Call(callback uint64) { t.next = append(t.next, callback) }

// Periods is how many grace periods are over.
func (t *Tasks) Periods() int { return t.periods }

// Holdouts lists the tasks that the running period waits for.
func (t *Tasks) Holdouts() []int {
	var out []int
	for i := range t.tasks {
		if t.tasks[i].holdout {
			out = append(out, i)
		}
	}
	return out
}

// Step is a step of the kthread: it begins a period if callbacks wait, of every task
// that is runnable; looks which have switched or gone to sleep; and when none is left,
// ends the period and returns the callbacks to run (rcu_tasks_wait_gp).
func (t *Tasks) Step() []uint64 {
	if !t.running {
		if len(t.next) == 0 {
			return nil
		}
		t.running = true
		t.callbacks, t.next = t.next, nil
		for i := range t.tasks {
			k := &t.tasks[i]
			k.holdout, k.seen = k.runnable, k.switches
		}
		return nil
	}
	left := false
	for i := range t.tasks {
		k := &t.tasks[i]
		k.holdout = k.holdout && k.runnable && k.switches == k.seen
		left = left || k.holdout
	}
	if left {
		return nil
	}
	t.running = false
	t.periods++
	done := t.callbacks
	t.callbacks = nil
	return done
}
