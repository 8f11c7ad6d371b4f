package rcu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// lab drives a model with readers and callbacks, and checks its trace.
type lab struct {
	*Model
	checker *Checker
	text    strings.Builder
	// inside counts a reader's sections: its marker's number, 0 while it is outside.
	inside map[int]int
	next   int
	// lockless leaves rcu_read_lock out.
	lockless bool
}

func newLab(t require.TestingT, cpus, fanout int) *lab {
	l := &lab{checker: NewChecker(), inside: map[int]int{}}
	var err error
	l.Model, err = New(Config{CPUs: cpus, Fanout: fanout, Emit: func(e *Event) {
		require.Empty(t, l.checker.Event(e), e)
		fmt.Fprintln(&l.text, e)
	}, Invoke: func(cpu int, cb uint64) { l.Marker(cpu, "cb_run", int(cb)) }})
	require.NoError(t, err)
	return l
}

func (l *lab) enter(cpu, task int) {
	if l.inside[task] != 0 || !l.runs(cpu, task) {
		return
	}
	if !l.lockless {
		_ = l.ReadLock(cpu, task)
	}
	l.next++
	l.inside[task] = l.next
	l.Marker(cpu, "reader_in", l.next)
}

func (l *lab) leave(cpu, task int) {
	if l.inside[task] == 0 || !l.runs(cpu, task) {
		return
	}
	l.Marker(cpu, "reader_out", l.inside[task])
	l.inside[task] = 0
	if !l.lockless {
		_ = l.ReadUnlock(cpu, task)
	}
}

func (l *lab) call(cpu int) {
	l.next++
	l.Marker(cpu, "call_rcu", l.next)
	l.CallRCU(cpu, uint64(l.next))
	l.Marker(cpu, "call_rcu_returned", l.next)
}

// drain ends all readers and runs until no callback is left.
func (l *lab) drain(cpus int) bool {
	for i := range 400 {
		left := 0
		for cpu := range cpus {
			if t := l.cpus[cpu].running; t >= 0 {
				l.leave(cpu, t)
			}
			for task := range len(l.tasks) {
				if l.inside[task] != 0 && i > 0 && !l.runsElsewhere(cpu, task) {
					l.Run(cpu, task)
					l.leave(cpu, task)
				}
			}
			l.Tick(cpu)
			l.Core(cpu)
			left += l.Queued(cpu)
		}
		if left == 0 {
			return true
		}
		l.GracePeriod(0)
	}
	return false
}

func (l *lab) runsElsewhere(cpu, task int) bool {
	for i := range l.cpus {
		if i != cpu && l.cpus[i].running == task {
			return true
		}
	}
	return false
}

// TestModel drives the model at random: its invariants hold, every rule holds on its
// trace, and every callback runs in the end.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.IntRange(1, 9).Draw(t, "cpus")
		l := newLab(t, cpus, rapid.IntRange(2, 4).Draw(t, "fanout"))
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			cpu := rapid.IntRange(0, cpus-1).Draw(t, "cpu")
			task := l.cpus[cpu].running
			switch rapid.IntRange(0, 8).Draw(t, "do") {
			case 0:
				if next := rapid.IntRange(-1, 5).Draw(t, "task"); next < 0 || !l.runsElsewhere(cpu, next) {
					require.NoError(t, l.Run(cpu, next))
				}
			case 1, 2:
				l.enter(cpu, task)
			case 3:
				l.leave(cpu, task)
			case 4:
				l.call(cpu)
			case 5:
				l.Tick(cpu)
			case 6, 7:
				l.Core(cpu)
			case 8:
				l.GracePeriod(cpu)
			}
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if !l.drain(cpus) {
			c, tasks := l.Holders()
			t.Fatalf("callbacks left: %v hold CPUs, %v tasks", c, tasks)
		}
		if v := l.checker.Findings().Violations; len(v) > 0 {
			t.Fatalf("%v\n%s", v[0], l.text.String())
		}
	})
}

// TestAllSchedules runs a reader and an updater on two CPUs under all schedules: no
// reader is outlived; without rcu_read_lock one is.
func TestAllSchedules(t *testing.T) {
	for _, lockless := range []bool{false, true} {
		schedules, early := 0, 0
		var walk func(path []int)
		walk = func(path []int) {
			l := newLab(t, 2, 2)
			l.lockless = lockless
			_ = l.Run(0, 0)
			l.Run(1, 1)
			for _, p := range path {
				act(l, p)
			}
			for _, v := range l.checker.Findings().Violations {
				require.Equal(t, EarlyFree, v.Rule)
				early++
				return
			}
			if len(path) == 8 {
				schedules++
				return
			}
			for p := range 3 {
				walk(append(path[:len(path):len(path)], p))
			}
		}
		walk(nil)
		require.NotZero(t, schedules)
		require.Equal(t, lockless, early > 0, "lockless %v: %d early", lockless, early)
	}
}

// act takes the next step of one of three: the reader on CPU 0, the updater on CPU
// 1, or the machine.
func act(l *lab, who int) {
	switch who {
	case 0:
		if l.inside[0] == 0 {
			l.enter(0, 0)
		} else {
			l.leave(0, 0)
		}
	case 1:
		if l.Queued(1) == 0 {
			l.call(1)
		}
		l.Tick(1)
		l.Core(1)
	case 2:
		l.GracePeriod(1)
		l.Core(0)
		l.Tick(0)
		l.Core(0)
	}
}

// TestModelTrace writes a model's trace as text and checks that with the code that
// checks the kernel's.
func TestModelTrace(t *testing.T) {
	l := newLab(t, 4, 16)
	for i := range 40 {
		cpu := i % 4
		l.Run(cpu, cpu)
		l.enter(cpu, cpu)
		l.call(cpu)
		l.GracePeriod(0)
		exp := int64(0)
		if i%5 == 0 {
			exp = l.ExpeditedSnap(cpu)
			require.True(t, l.ExpeditedStart(cpu, exp))
			require.False(t, l.ExpeditedEnd(cpu), "the reader is inside")
		}
		if i%3 == 0 {
			l.Run(cpu, -1) // preempted inside
			l.Run(cpu, cpu)
		}
		l.Core(cpu)
		if exp != 0 {
			require.False(t, l.ExpeditedDone(cpu, exp))
		}
		l.leave(cpu, cpu)
		if exp != 0 {
			require.True(t, l.ExpeditedEnd(cpu))
			require.True(t, l.ExpeditedDone(cpu, exp))
		}
		l.Tick(cpu)
		l.Core(cpu)
	}
	require.True(t, l.drain(4))
	got, err := Check("model", strings.NewReader(l.text.String()))
	require.NoError(t, err)
	require.Empty(t, got.Violations)
	require.Equal(t, 40, got.Callbacks)
	require.NotZero(t, got.GracePeriods)
	for _, r := range Rules {
		if r != Barrier {
			require.NotZero(t, got.Applied(r), r)
		}
	}
}

func TestHolders(t *testing.T) {
	l := newLab(t, 3, 2)
	l.Run(0, 0)
	l.Run(1, 1)
	require.NoError(t, l.ReadLock(0, 0))
	require.NoError(t, l.ReadLock(1, 1))
	l.CallRCU(0, 1)
	l.Core(0)
	require.True(t, l.GracePeriod(0))
	require.True(t, l.GracePeriod(0)) // finds CPU 2 idle
	l.Core(1)
	l.Run(1, 2)
	l.Core(1)
	cpus, tasks := l.Holders()
	require.Equal(t, []int{0}, cpus)
	require.Equal(t, []int{1}, tasks)
	require.ErrorIs(t, l.ReadUnlock(1, 1), ErrNotRunning)
	require.ErrorIs(t, l.ReadUnlock(1, 2), ErrUnlock)
	require.ErrorIs(t, l.ReadLock(2, 0), ErrNotRunning)
}

func TestNewErrors(t *testing.T) {
	for _, c := range []Config{{}, {CPUs: 5000}, {CPUs: 1, Fanout: 1}, {CPUs: 1, Batch: -1}} {
		_, err := New(c)
		require.Error(t, err)
	}
}
