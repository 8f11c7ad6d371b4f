package lock

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// party is a task of an exhaustive test: it takes the lock, is inside, gives it
// back.
type party struct {
	task      TaskID
	lock      func(TaskID) (Outcome, error)
	unlock    func(TaskID) error
	shared    bool
	state     int // 0 before, 1 waiting, 2 inside, 3 done
	cameAs    int
	enteredAs int
	priority  int
}

// world is a lock with its parties.
type world struct {
	s       *System
	parties []*party
	came    int
	entered int
	check   func(*testing.T, *world, *party)
}

// moves are the parties that can act, then the woken tasks that can run.
func (w *world) moves() []int {
	var out []int
	for i, p := range w.parties {
		if p.state == 0 || p.state == 2 {
			out = append(out, i)
		}
	}
	for _, t := range w.s.Woken() {
		out = append(out, len(w.parties)+int(t))
	}
	return out
}

func (w *world) enter(t *testing.T, p *party) {
	for _, o := range w.parties {
		require.False(t, o.state == 2 && !(o.shared && p.shared), "tasks %d and %d are both inside", p.task, o.task)
	}
	w.entered++
	p.state, p.enteredAs = 2, w.entered
	if w.check != nil {
		w.check(t, w, p)
	}
}

func (w *world) move(t *testing.T, n int) {
	if n >= len(w.parties) {
		task := TaskID(n - len(w.parties))
		require.True(t, w.s.Run(task))
		for _, p := range w.parties {
			if p.task == task && p.state == 1 && !w.s.IsBlocked(task) {
				w.enter(t, p)
			}
		}
		return
	}
	p := w.parties[n]
	if p.state == 2 {
		p.state = 3
		require.NoError(t, p.unlock(p.task))
		return
	}
	w.came++
	p.cameAs = w.came
	got, err := p.lock(p.task)
	require.NoError(t, err)
	if got == Acquired {
		w.enter(t, p)
	} else {
		p.state = 1
	}
}

// allSchedules runs every order of moves, each from the beginning, and proves that
// all are done in the end.
func allSchedules(t *testing.T, build func() *world) int {
	n := 0
	var walk func(path []int)
	walk = func(path []int) {
		w := build()
		for _, m := range path {
			w.move(t, m)
			require.NoError(t, w.s.Check())
		}
		moves := w.moves()
		if len(moves) == 0 {
			n++
			for _, p := range w.parties {
				require.Equal(t, 3, p.state, "task %d waits for ever", p.task)
			}
			return
		}
		for _, m := range moves {
			walk(append(slices.Clip(path), m))
		}
	}
	walk(nil)
	return n
}

// TestAllSchedulesOfLocks proves for each lock, on all schedules of three tasks,
// that it excludes, that nobody waits for ever, and its rule of fairness.
func TestAllSchedulesOfLocks(t *testing.T) {
	three := func(s *System, lock func(TaskID) (Outcome, error), unlock func(TaskID) error) []*party {
		var out []*party
		for i := range 3 {
			out = append(out, &party{task: TaskID(i), lock: lock, unlock: unlock})
		}
		return out
	}
	for name, build := range map[string]func() *world{
		"mutex": func() *world {
			s := NewSystem(3)
			m := s.NewMutex()
			return &world{s: s, parties: three(s, m.Lock, m.Unlock)}
		},
		"semaphore": func() *world {
			s := NewSystem(3)
			m := s.NewSemaphore(1)
			return &world{s: s, parties: three(s, m.Down, m.Up), check: firstCome}
		},
		"rwsem writers": func() *world {
			s := NewSystem(3)
			m := s.NewRWSem()
			return &world{s: s, parties: three(s, m.LockWrite, m.UnlockWrite)}
		},
		"rwsem readers and a writer": func() *world {
			s := NewSystem(3)
			m := s.NewRWSem()
			ps := three(s, m.LockRead, m.UnlockRead)
			ps[0].shared, ps[1].shared = true, true
			ps[2].lock, ps[2].unlock = m.LockWrite, m.UnlockWrite
			return &world{s: s, parties: ps}
		},
		"rt_mutex of equals": func() *world {
			s := NewSystem(3)
			m := s.NewRTMutex()
			return &world{s: s, parties: three(s, m.Lock, m.Unlock), check: firstCome}
		},
		"rt_mutex by priority": func() *world {
			s := NewSystem(3)
			m := s.NewRTMutex()
			ps := three(s, m.Lock, m.Unlock)
			for i, p := range ps {
				p.priority = 10 * (i + 1)
				_ = s.SetFIFO(p.task, p.priority)
			}
			return &world{s: s, parties: ps, check: highestFirst}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(allSchedules(t, build), "schedules")
		})
	}
}

// firstCome: nobody who waits came before the one that enters.
func firstCome(t *testing.T, w *world, p *party) {
	for _, o := range w.parties {
		require.False(t, o.state == 1 && o.cameAs < p.cameAs, "task %d overtakes %d", p.task, o.task)
	}
}

// highestFirst: nobody who waits has a higher priority than the one that enters.
func highestFirst(t *testing.T, w *world, p *party) {
	for _, o := range w.parties {
		require.False(t, o.state == 1 && o.priority > p.priority, "task %d of %d enters before %d of %d", p.task, p.priority, o.task, o.priority)
	}
}
