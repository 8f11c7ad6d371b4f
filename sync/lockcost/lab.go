package lockcost

import (
	"fmt"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sync/lock"
)

// Stat is what a lock has cost so far; times are ns.
type Stat struct {
	Kind lock.Kind
	// Acquisitions counts all, Contentions those that waited.
	Acquisitions, Contentions uint64
	WaitTotal, WaitMax        uint64
	HoldTotal, HoldMax        uint64
}

// Lab is the locks of a simulation. It belongs to one [sched.Sim].
type Lab struct {
	sys   *lock.System
	locks []entry
	tasks []taskState
	rt    bool
}

// entry is a lock with its counters.
type entry struct {
	lock.Locker
	stat Stat
	// since is when the holder got it.
	since uint64
}

// taskState is a task: since when it waits, for which lock, and the priority that it
// is known with.
type taskState struct {
	since uint64
	wants int
	prio  int
	donor sched.TaskID
}

// SpinError says that a kind of lock does not put its waiters to sleep.
type SpinError struct{ Kind lock.Kind }

func (e *SpinError) Error() string {
	return fmt.Sprintf("lockcost: a lock of kind %d spins, its waiters do not sleep", e.Kind)
}

// New makes locks of some kinds, numbered from 0 as programs name them, for at most
// tasks tasks of a simulation (its task numbers count, idle tasks included).
func New(kinds []lock.Kind, preemptRT bool, tasks int) (*Lab, error) {
	l := &Lab{sys: lock.NewSystem(tasks), tasks: make([]taskState, tasks), rt: preemptRT}
	for i := range l.tasks {
		l.tasks[i] = taskState{wants: -1, prio: lock.DefaultPriority, donor: sched.NoTask}
	}
	for _, k := range kinds {
		if !k.Sleeps(preemptRT) {
			return nil, &SpinError{k}
		}
		l.locks = append(l.locks, entry{Locker: l.sys.NewLocker(k, preemptRT), stat: Stat{Kind: k}})
	}
	return l, nil
}

// Stats are the locks' counters.
func (l *Lab) Stats() []Stat {
	out := make([]Stat, len(l.locks))
	for i := range l.locks {
		out[i] = l.locks[i].stat
	}
	return out
}

// find proves that a task and a lock are known, and takes over the task's own
// priority.
func (l *Lab) find(s *sched.Sim, t sched.TaskID, n int64) (*entry, error) {
	if n < 0 || n >= int64(len(l.locks)) || t < 0 || int(t) >= len(l.tasks) {
		return nil, fmt.Errorf("lockcost: task %d, lock %d: there are %d tasks and %d locks", t, n, len(l.tasks), len(l.locks))
	}
	if k := &l.tasks[t]; k.donor == sched.NoTask {
		if prio := s.Machine().Task(t).Prio; prio != k.prio {
			k.prio = prio
			return &l.locks[n], l.setPriority(t, prio)
		}
	}
	return &l.locks[n], nil
}

// setPriority tells the locks a task's own priority; a deadline task counts as the
// highest real-time one.
func (l *Lab) setPriority(t sched.TaskID, prio int) error {
	const maxRT = 100
	if prio < maxRT {
		return l.sys.SetFIFO(lock.TaskID(t), min(99, maxRT-1-prio))
	}
	return l.sys.SetNice(lock.TaskID(t), prio-lock.DefaultPriority)
}

// Lock implements [sched.Locker].
func (l *Lab) Lock(s *sched.Sim, t sched.TaskID, n int64) (bool, error) {
	e, err := l.find(s, t, n)
	if err != nil {
		return false, err
	}
	got, err := e.Locker.Lock(lock.TaskID(t))
	if err != nil {
		return false, err
	}
	if got == lock.Acquired {
		e.stat.Acquisitions++
		e.since = s.Now()
		return true, nil
	}
	e.stat.Contentions++
	l.tasks[t].since, l.tasks[t].wants = s.Now(), int(n)
	return false, l.lend(s)
}

// Unlock implements [sched.Locker]: the next one has the lock and is woken.
func (l *Lab) Unlock(s *sched.Sim, t sched.TaskID, n int64) error {
	e, err := l.find(s, t, n)
	if err != nil {
		return err
	}
	if err := e.Locker.Unlock(lock.TaskID(t)); err != nil {
		return err
	}
	held := s.Now() - e.since
	e.stat.HoldTotal += held
	e.stat.HoldMax = max(e.stat.HoldMax, held)
	next := l.sys.Settle()
	if err := l.lend(s); err != nil {
		return err
	}
	cpu := s.Machine().Task(t).CPU
	for _, w := range next {
		k := &l.tasks[w]
		we := &l.locks[k.wants]
		waited := s.Now() - k.since
		we.stat.Acquisitions++
		we.stat.WaitTotal += waited
		we.stat.WaitMax = max(we.stat.WaitMax, waited)
		we.since, k.wants = s.Now(), -1
		s.Wake(sched.TaskID(w), cpu)
	}
	return nil
}

// lend tells the scheduler who runs with whose priority.
func (l *Lab) lend(s *sched.Sim) error {
	for t := range l.tasks {
		donor := sched.NoTask
		if d := l.sys.Donor(lock.TaskID(t)); d != lock.None {
			donor = sched.TaskID(d)
		}
		if l.tasks[t].donor == donor {
			continue
		}
		l.tasks[t].donor = donor
		if err := s.Machine().Kernel().SetDonor(sched.TaskID(t), donor); err != nil {
			return err
		}
	}
	return nil
}
