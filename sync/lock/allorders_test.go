package lock

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// play is an exhaustive test of programs: each task is a list of operations that it
// calls one after another; extra are moves of others (a signal, a grace period).
type play struct {
	s     *System
	tasks []*player
	extra []*extraMove
	// check proves what must hold after every move; end, what must at the end.
	check func(t require.TestingT)
	end   func(t *testing.T)
}

// player is a task: its next operation is chosen by what the last came to.
type player struct {
	next func(last Outcome) operation
	last Outcome
	op   operation
	over bool
}

// operation is one call; nil ends the program.
type operation func() (Outcome, error)

// extraMove can be made once, or as long as again says.
type extraMove struct {
	run  func()
	may  func() bool
	done bool
}

// steps is a program of fixed operations.
func steps(ops ...operation) func(Outcome) operation {
	i := -1
	return func(last Outcome) operation {
		if last == Spinning {
			return ops[i]
		}
		if i++; i >= len(ops) {
			return nil
		}
		return ops[i]
	}
}

func give(f func(TaskID) error, t TaskID) operation {
	return func() (Outcome, error) { return Acquired, f(t) }
}

func (p *play) moves() []int {
	var out []int
	for i, k := range p.tasks {
		if !k.over && !p.s.IsBlocked(TaskID(i)) {
			out = append(out, i)
		}
	}
	for _, w := range p.s.Woken() {
		out = append(out, len(p.tasks)+int(w))
	}
	for i, e := range p.extra {
		if !e.done && (e.may == nil || e.may()) {
			out = append(out, 2*len(p.tasks)+i)
		}
	}
	return out
}

func (p *play) advance(k *player, got Outcome) {
	k.last = got
	if got == Blocked {
		return
	}
	if k.op = k.next(got); k.op == nil {
		k.over = true
	}
}

func (p *play) move(t require.TestingT, n int) {
	switch {
	case n >= 2*len(p.tasks):
		e := p.extra[n-2*len(p.tasks)]
		e.done = true
		e.run()
	case n >= len(p.tasks):
		task := TaskID(n - len(p.tasks))
		was := p.s.IsBlocked(task)
		require.True(t, p.s.Run(task))
		if was && !p.s.IsBlocked(task) {
			p.advance(p.tasks[task], p.s.LastOutcome(task))
		}
	default:
		got, err := p.tasks[n].op()
		require.NoError(t, err)
		p.advance(p.tasks[n], got)
	}
	require.NoError(t, p.s.Check())
	if p.check != nil {
		p.check(t)
	}
}

// allPlays plays all orders of moves; it returns their number.
func allPlays(t *testing.T, limit int, build func() *play) int {
	n := 0
	var walk func(path []int)
	walk = func(path []int) {
		if n >= limit {
			return
		}
		p := build()
		for _, k := range p.tasks {
			k.op = k.next(Acquired)
		}
		for _, m := range path {
			p.move(t, m)
		}
		moves := p.moves()
		// A spinner that looks again and again, and nothing else, would never end.
		if len(path) > 60 {
			return
		}
		if len(moves) == 0 {
			n++
			for i, k := range p.tasks {
				require.True(t, k.over, "task %d waits for ever: %v", i, path)
			}
			if p.end != nil {
				p.end(t)
			}
			return
		}
		for _, m := range moves {
			walk(append(slices.Clip(path), m))
		}
	}
	walk(nil)
	require.NotZero(t, n)
	return n
}

// TestAllOrdersOfSpinlocks: exclusion and first come first served.
func TestAllOrdersOfSpinlocks(t *testing.T) {
	n := allSchedules(t, func() *world {
		s := NewSystem(3)
		l := s.NewSpinlock()
		w := &world{s: s, check: firstCome}
		for i := range 3 {
			w.parties = append(w.parties, &party{task: TaskID(i), lock: l.Lock, unlock: l.Unlock})
		}
		return w
	})
	t.Log(n, "schedules")
}

// TestAllOrdersOfEveryKind: every kind of lock, with and without PREEMPT_RT, excludes
// and lets everybody in.
func TestAllOrdersOfEveryKind(t *testing.T) {
	for k := RawSpinKind; k <= SemaphoreKind; k++ {
		for _, rt := range []bool{false, true} {
			n := allSchedules(t, func() *world {
				s := NewSystem(3)
				l := s.NewLocker(k, rt)
				w := &world{s: s}
				for i := range 3 {
					w.parties = append(w.parties, &party{task: TaskID(i), lock: l.Lock, unlock: l.Unlock})
				}
				return w
			})
			require.GreaterOrEqual(t, n, 36)
		}
	}
}

// TestSubstitution: PREEMPT_RT makes sleeping locks with priority inheritance of all
// but raw spinlocks and semaphores.
func TestSubstitution(t *testing.T) {
	s := NewSystem(1)
	for k, want := range map[Kind][2]string{
		RawSpinKind: {"*lock.Spinlock", "*lock.Spinlock"}, SpinKind: {"*lock.Spinlock", "*lock.RTMutex"},
		RWLockKind: {"*lock.Spinlock", "*lock.RWBase"}, LocalLockKind: {"*lock.Spinlock", "*lock.RTMutex"},
		MutexKind: {"*lock.Mutex", "*lock.RTMutex"}, RTMutexKind: {"*lock.RTMutex", "*lock.RTMutex"},
		RWSemKind: {"lock.rwsemLocker", "*lock.RWBase"}, SemaphoreKind: {"lock.semLocker", "lock.semLocker"},
	} {
		for i, rt := range []bool{false, true} {
			require.Equal(t, want[i], fmt.Sprintf("%T", s.NewLocker(k, rt)))
			_, spins := s.NewLocker(k, rt).(*Spinlock)
			require.Equal(t, !k.Sleeps(rt), spins, "kind %d, RT %v", k, rt)
		}
	}
}

func TestAllOrdersOfRWBase(t *testing.T) {
	allSchedules(t, func() *world {
		s := NewSystem(3)
		b := s.NewRWBase()
		w := &world{s: s}
		for i := range 2 {
			w.parties = append(w.parties, &party{task: TaskID(i), lock: b.LockRead, unlock: b.UnlockRead, shared: true})
		}
		w.parties = append(w.parties, &party{task: 2, lock: b.Lock, unlock: b.Unlock})
		return w
	})
}

// TestRWBaseLendsToTheWriterOnly: a reader that waits lends its priority to the
// writer inside; a writer that waits lends nothing to readers inside.
func TestRWBaseLendsToTheWriterOnly(t *testing.T) {
	s := NewSystem(3)
	b := s.NewRWBase()
	require.NoError(t, s.SetFIFO(2, 50))
	got, err := b.Lock(0)
	require.NoError(t, err)
	require.Equal(t, Acquired, got)
	got, err = b.LockRead(2)
	require.NoError(t, err)
	require.Equal(t, Blocked, got)
	require.Equal(t, 49, s.Priority(0))
	require.NoError(t, b.Downgrade(0))
	require.Equal(t, DefaultPriority, s.Priority(0))
	require.Equal(t, []TaskID{2}, s.Settle())
	require.Equal(t, []TaskID{0, 2}, b.Readers())
	require.NoError(t, b.UnlockRead(2))
	got, err = b.Lock(2)
	require.NoError(t, err)
	require.Equal(t, Blocked, got)
	require.Equal(t, DefaultPriority, s.Priority(0), "a reader inherits nothing")
	require.NoError(t, b.UnlockRead(0))
	require.Equal(t, []TaskID{2}, s.Settle())
	require.Equal(t, TaskID(2), b.Writer())
	require.NoError(t, s.Check())
}

// TestAllOrdersOfCompletions: a completion lets one waiter go, and no wake-up is lost.
func TestAllOrdersOfCompletions(t *testing.T) {
	n := allPlays(t, 1e6, func() *play {
		s := NewSystem(3)
		c := s.NewCompletion()
		wait := func(t TaskID) operation { return func() (Outcome, error) { return c.Wait(t) } }
		complete := func() (Outcome, error) { c.Complete(); return Acquired, nil }
		return &play{
			s:     s,
			tasks: []*player{{next: steps(wait(0))}, {next: steps(wait(1))}, {next: steps(complete, complete)}},
			end:   func(t *testing.T) { require.Zero(t, c.Done()) },
		}
	})
	t.Log(n, "orders")
	allPlays(t, 1e6, func() *play {
		s := NewSystem(3)
		c := s.NewCompletion()
		wait := func(t TaskID) operation { return func() (Outcome, error) { return c.Wait(t) } }
		return &play{s: s, tasks: []*player{{next: steps(wait(0), wait(0))}, {next: steps(wait(1))}, {next: steps(func() (Outcome, error) { c.CompleteAll(); return Acquired, nil })}}}
	})
}

// TestAllOrdersOfWaitQueues: prepare, look, schedule loses no wake-up; to look first
// does.
func TestAllOrdersOfWaitQueues(t *testing.T) {
	build := func(lookFirst bool) func() *play {
		return func() *play {
			s := NewSystem(2)
			q := s.NewWaitQueue()
			ready := false
			prepare := func() (Outcome, error) { return Acquired, q.Prepare(0, true) }
			finish := give(q.Finish, 0)
			seen := false
			look := func() (Outcome, error) { seen = ready; return Acquired, nil }
			schedule := func() (Outcome, error) {
				if seen {
					return Acquired, nil
				}
				return q.Schedule(0)
			}
			order := steps(prepare, look, schedule, finish)
			if lookFirst {
				order = steps(look, prepare, schedule, finish)
			}
			set := func() (Outcome, error) { ready = true; return Acquired, nil }
			wake := func() (Outcome, error) { q.Wake(1); return Acquired, nil }
			return &play{s: s, tasks: []*player{{next: order}, {next: steps(set, wake)}}, end: func(t *testing.T) { require.Empty(t, q.Waiters()) }}
		}
	}
	allPlays(t, 1e6, build(false))
	stuck := 0
	var walk func(path []int)
	walk = func(path []int) {
		p := build(true)()
		for _, k := range p.tasks {
			k.op = k.next(Acquired)
		}
		for _, m := range path {
			p.move(t, m)
		}
		moves := p.moves()
		if len(moves) == 0 && !p.tasks[0].over {
			stuck++
		}
		for _, m := range moves {
			walk(append(slices.Clip(path), m))
		}
	}
	walk(nil)
	require.NotZero(t, stuck, "the lost wake-up is found")
}

// TestWaitQueueOrder: those that are not exclusive are woken first and all, of the
// others as many as asked for; an entry that stays is passed over once it is awake.
func TestWaitQueueOrder(t *testing.T) {
	s := NewSystem(5)
	q := s.NewWaitQueue()
	require.NoError(t, q.Prepare(0, true))
	require.NoError(t, q.PrepareStaying(1, true))
	require.NoError(t, q.Prepare(2, false))
	require.NoError(t, q.Prepare(3, false))
	require.NoError(t, q.Prepare(4, true))
	require.Equal(t, []TaskID{3, 2, 0, 1, 4}, q.Waiters())
	require.Equal(t, 3, q.Wake(1))
	require.Equal(t, []TaskID{1, 4}, q.Waiters())
	require.Equal(t, 1, q.Wake(1))
	require.Equal(t, []TaskID{1, 4}, q.Waiters(), "its entry stays")
	require.Equal(t, 1, q.Wake(1))
	require.Equal(t, []TaskID{1}, q.Waiters())
	require.Zero(t, q.WakeAll())
	require.NoError(t, q.Finish(1))
	require.Empty(t, q.Waiters())
}

// TestAllOrdersWithSignals: a signal at any moment ends a wait or not, and the lock
// works on.
func TestAllOrdersWithSignals(t *testing.T) {
	for name, lock := range map[string]func(s *System) (func(TaskID) (Outcome, error), func(TaskID) (Outcome, error), func(TaskID) error){
		"mutex": func(s *System) (func(TaskID) (Outcome, error), func(TaskID) (Outcome, error), func(TaskID) error) {
			m := s.NewMutex()
			return m.Lock, m.LockInterruptible, m.Unlock
		},
		"rt_mutex": func(s *System) (func(TaskID) (Outcome, error), func(TaskID) (Outcome, error), func(TaskID) error) {
			m := s.NewRTMutex()
			_ = s.SetFIFO(1, 10)
			return m.Lock, m.LockInterruptible, m.Unlock
		},
		"semaphore": func(s *System) (func(TaskID) (Outcome, error), func(TaskID) (Outcome, error), func(TaskID) error) {
			m := s.NewSemaphore(1)
			return m.Down, m.DownInterruptible, m.Up
		},
		"rwsem": func(s *System) (func(TaskID) (Outcome, error), func(TaskID) (Outcome, error), func(TaskID) error) {
			m := s.NewRWSem()
			return m.LockWrite, m.LockWriteKillable, m.UnlockWrite
		},
	} {
		t.Run(name, func(t *testing.T) {
			interrupted := 0
			n := allPlays(t, 1e6, func() *play {
				s := NewSystem(3)
				plain, breakable, unlock := lock(s)
				inside := [3]bool{}
				// taken runs what follows an acquisition, which may have been interrupted.
				program := func(id TaskID, take func(TaskID) (Outcome, error)) func(Outcome) operation {
					stage := 0
					return func(last Outcome) operation {
						stage++
						switch {
						case stage == 1:
							return func() (Outcome, error) { return take(id) }
						case stage == 2 && last == Interrupted:
							interrupted++
							return nil
						case stage == 2:
							inside[id] = true
							return func() (Outcome, error) { inside[id] = false; return Acquired, unlock(id) }
						}
						return nil
					}
				}
				return &play{
					s:     s,
					tasks: []*player{{next: program(0, plain)}, {next: program(1, breakable)}, {next: program(2, plain)}},
					extra: []*extraMove{{run: func() { _ = s.Signal(1, true) }}},
					check: func(t require.TestingT) {
						n := 0
						for _, in := range inside {
							n += bit(in)
						}
						require.LessOrEqual(t, n, 1)
					},
				}
			})
			require.NotZero(t, interrupted)
			t.Log(n, "orders")
		})
	}
}

// TestAllOrdersOfPerCPURWSem: two readers that move to another CPU, and two writers,
// with the grace period at any moment.
func TestAllOrdersOfPerCPURWSem(t *testing.T) {
	n := allPlays(t, 1e6, func() *play {
		s := NewSystem(3)
		p := s.NewPerCPURWSem(2)
		readers, writers := 0, 0
		read := []operation{
			func() (Outcome, error) { return p.LockRead(0, 0) },
			func() (Outcome, error) { readers++; return Acquired, nil },
			func() (Outcome, error) { readers--; return Acquired, p.UnlockRead(0, 1) },
		}
		write := func(t TaskID) []operation {
			return []operation{
				func() (Outcome, error) { return p.LockWrite(t) },
				func() (Outcome, error) { writers++; return Acquired, nil },
				func() (Outcome, error) { writers--; return Acquired, p.UnlockWrite(t) },
			}
		}
		grace := func() *extraMove {
			return &extraMove{run: p.GracePeriod, may: func() bool { return p.users > 0 && !p.slow }}
		}
		return &play{
			s: s, tasks: []*player{{next: steps(read...)}, {next: steps(write(1)...)}, {next: steps(write(2)...)}},
			extra: []*extraMove{grace(), grace()},
			check: func(t require.TestingT) {
				require.True(t, writers == 0 || writers == 1 && readers == 0, "%d readers, %d writers", readers, writers)
			},
			end: func(t *testing.T) { require.Zero(t, p.sum()); require.Equal(t, []int{1, -1}, p.Counts()) },
		}
	})
	t.Log(n, "orders")
}

// wwProgram takes two ww_mutexes in an order, backing off as the rules ask, and gives
// them back.
func wwProgram(id TaskID, c *WWContext, locks []*WWMutex, deadlocks *int) func(Outcome) operation {
	var held []*WWMutex
	want := slices.Clone(locks)
	var trying *WWMutex
	started := false
	lock := func() operation {
		trying = want[0]
		return func() (Outcome, error) { return trying.Lock(id, c) }
	}
	var rollback bool
	return func(last Outcome) operation {
		switch {
		case !started:
			started = true
			return lock()
		case trying != nil && last == Deadlock:
			*deadlocks++
			rollback = true
			// The one that it waited for comes first.
			want = []*WWMutex{trying}
			for _, l := range locks {
				if l != trying {
					want = append(want, l)
				}
			}
			trying = nil
		case trying != nil:
			held = append(held, trying)
			want = want[1:]
			trying = nil
			if len(want) > 0 {
				return lock()
			}
		}
		if len(held) > 0 {
			l := held[0]
			held = held[1:]
			return func() (Outcome, error) { return Acquired, l.Unlock(id) }
		}
		if rollback {
			rollback = false
			return lock()
		}
		return nil
	}
}

// TestAllOrdersOfWWMutexes: contexts that take two locks in opposite orders all come to
// their end, and the oldest never has to begin again.
func TestAllOrdersOfWWMutexes(t *testing.T) {
	for _, class := range []WWClass{WoundWait, WaitDie} {
		again := 0
		n := allPlays(t, 1e6, func() *play {
			s := NewSystem(2)
			a, b := s.NewWWMutex(), s.NewWWMutex()
			p := &play{s: s}
			counts := [2]int{}
			for i := range 2 {
				order := []*WWMutex{a, b}
				if i == 1 {
					order = []*WWMutex{b, a}
				}
				p.tasks = append(p.tasks, &player{next: wwProgram(TaskID(i), s.NewWWContext(class), order, &counts[i])})
			}
			p.end = func(t *testing.T) {
				require.Zero(t, counts[0], "the older one had to begin again")
				// With wait-die it may find the older one there twice.
				require.LessOrEqual(t, counts[1], 1+int(class))
				again += counts[1]
			}
			return p
		})
		require.NotZero(t, again)
		t.Log(n, "orders, the younger began again", again, "times")
	}
}

// TestThreeContextsInACircle: three contexts, each with one lock, want the next one's;
// in random orders all come to their end.
func TestThreeContextsInACircle(t *testing.T) {
	for _, class := range []WWClass{WoundWait, WaitDie} {
		rapid.Check(t, func(t *rapid.T) {
			s := NewSystem(3)
			locks := []*WWMutex{s.NewWWMutex(), s.NewWWMutex(), s.NewWWMutex()}
			p := &play{s: s}
			counts := [3]int{}
			for i := range 3 {
				k := &player{next: wwProgram(TaskID(i), s.NewWWContext(class), []*WWMutex{locks[i], locks[(i+1)%3]}, &counts[i])}
				k.op = k.next(Acquired)
				p.tasks = append(p.tasks, k)
			}
			for moves := p.moves(); len(moves) > 0; moves = p.moves() {
				p.move(t, rapid.SampledFrom(moves).Draw(t, "move"))
			}
			for i, k := range p.tasks {
				require.True(t, k.over, "task %d waits for ever", i)
			}
			require.Zero(t, counts[0])
		})
	}
}

// TestSpinnersGoBeforeSleepers: while the owner runs, others spin first come first
// served, and take the mutex before who sleeps.
func TestSpinnersGoBeforeSleepers(t *testing.T) {
	s := NewSystem(4)
	m := s.NewMutex()
	for _, c := range []struct {
		t    TaskID
		off  bool
		want Outcome
	}{{0, true, Acquired}, {1, false, Blocked}, {2, false, Spinning}, {3, false, Spinning}} {
		s.SetOnCPU(0, !c.off && c.t != 1)
		got, err := m.LockSpinning(c.t)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.t)
	}
	spin := func(id TaskID, resched bool) Outcome {
		got, err := m.Spin(id, resched)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, Spinning, spin(2, false))
	require.NoError(t, m.Unlock(0))
	require.Equal(t, Spinning, spin(3, false), "not the first spinner")
	require.Equal(t, Acquired, spin(2, false), "before the sleeper")
	require.Empty(t, s.Settle(), "the sleeper finds it taken and asks for it")
	require.Equal(t, MutexWaiters|MutexHandoff, m.Flags())
	s.SetOnCPU(2, false)
	require.Equal(t, Blocked, spin(3, false), "the owner does not run")
	s.SetOnCPU(2, true)
	require.NoError(t, m.Unlock(2))
	require.Equal(t, []TaskID{1}, s.Settle())
	require.NoError(t, m.Unlock(1))
	require.Equal(t, []TaskID{3}, s.Settle())
}

func TestSleepMisuse(t *testing.T) {
	s := NewSystem(3)
	c, l, p, q, w := s.NewCompletion(), s.NewLocalLock(2, false), s.NewPerCPURWSem(2), s.NewWaitQueue(), s.NewWWMutex()
	got, err := c.WaitInterruptible(0)
	require.NoError(t, err)
	require.Equal(t, Blocked, got)
	require.NoError(t, s.Signal(0, false))
	require.Equal(t, []TaskID{0}, s.Settle())
	require.Equal(t, Interrupted, s.LastOutcome(0))
	got, err = c.WaitInterruptible(0) // with the signal still there
	require.NoError(t, err)
	require.Equal(t, Interrupted, got)
	got, err = c.WaitKillable(0)
	require.NoError(t, err)
	require.Equal(t, Blocked, got)
	require.Error(t, c.Reinit())
	require.NoError(t, s.Timeout(0))
	require.Equal(t, []TaskID{0}, s.Settle())
	require.Equal(t, TimedOut, s.LastOutcome(0))
	require.NoError(t, c.Reinit())

	_, err = l.Lock(1, 0)
	require.NoError(t, err)
	ctx := s.NewWWContext(WaitDie)
	_, err = w.Lock(1, ctx)
	require.NoError(t, err)
	got, err = w.Lock(1, ctx)
	require.NoError(t, err)
	require.Equal(t, Already, got)
	require.Equal(t, 1, ctx.Acquired())
	for _, c := range []struct {
		err    error
		report string
	}{
		{second(l.Lock(1, 0)), reportRecursive},
		{second(l.Lock(2, 0)), "BUG: scheduling while atomic"},
		{second(l.Lock(2, 5)), "no such CPU"},
		{l.Unlock(2, 0), reportUnbalanced},
		{p.UnlockRead(1, 0), reportUnbalanced},
		{p.UnlockWrite(1), reportUnbalanced},
		{second(p.LockRead(1, 9)), "no such CPU"},
		{s.Timeout(1), "does not wait"},
		{s.Signal(9, true), "no such task"},
		{q.Prepare(7, true), "no such task"},
		{second(w.Lock(1, nil)), reportRecursive},
		{w.Unlock(2), reportUnbalanced},
		{second(s.NewMutex().Spin(1, false)), "does not spin"},
		{s.NewRWBase().Unlock(1), reportUnbalanced},
		{s.NewRWBase().UnlockRead(1), reportUnbalanced},
		{s.NewSpinlock().Unlock(1), reportUnbalanced},
	} {
		var misuse *Misuse
		require.ErrorAs(t, c.err, &misuse)
		require.Contains(t, misuse.Report, c.report)
	}
	m := s.NewMutex()
	_, err = m.Lock(1)
	require.NoError(t, err)
	_, err = m.LockIO(2)
	require.NoError(t, err)
	require.True(t, s.InIO(2))
	require.NoError(t, m.Unlock(1))
	s.Settle()
	require.False(t, s.InIO(2))
}

func second(_ Outcome, err error) error { return err }

// ExampleWWMutex: two contexts take two locks in opposite orders. The younger one has
// to give way.
func ExampleWWMutex() {
	s := NewSystem(2)
	a, b := s.NewWWMutex(), s.NewWWMutex()
	older, younger := s.NewWWContext(WaitDie), s.NewWWContext(WaitDie)
	_, _ = a.Lock(0, older)
	_, _ = b.Lock(1, younger)
	older1, _ := b.Lock(0, older)
	younger1, _ := a.Lock(1, younger)
	fmt.Println(older1 == Blocked, younger1 == Deadlock)
	_ = b.Unlock(1)
	fmt.Println(s.Settle(), b.Owner())
	// Output:
	// true true
	// [0] 0
}

func BenchmarkMutexContended(b *testing.B) {
	s := NewSystem(2)
	m := s.NewMutex()
	for b.Loop() {
		_, _ = m.Lock(0)
		_, _ = m.Lock(1)
		_ = m.Unlock(0)
		s.Run(1)
		_ = m.Unlock(1)
		s.finished = s.finished[:0]
	}
}
