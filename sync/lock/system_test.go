package lock

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMisuse(t *testing.T) {
	for _, c := range []struct{ name, commands, report string }{
		{"rt_mutex not held", "0 tU0", reportUnbalanced},
		{"rt_mutex of another", "0 tL0; 1 tU0", reportUnbalanced},
		{"mutex not held", "0 mU0", reportUnbalanced},
		{"mutex twice", "0 mL0; 0 mL0", reportRecursive},
		{"mutex unlocked twice", "0 mL0; 0 mU0; 0 mU0", reportUnbalanced},
		{"read unlock by a writer", "0 wL0; 0 rU0", reportUnbalanced},
		{"write unlock by a reader", "0 rL0; 0 wU0", reportUnbalanced},
		{"write under read", "0 rL0; 0 wL0", reportRecursive},
		{"read under write", "0 wL0; 0 rL0", reportRecursive},
		{"downgrade of nothing", "0 wG0", reportUnbalanced},
		{"a blocked task", "0 mL0; 1 mL0; 1 mU0", reportBusy},
		{"priority", "P0 f 100", "is not 1 to 99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := NewLab()
			commands := strings.Split(c.commands, "; ")
			for _, cmd := range commands[:len(commands)-1] {
				_, err := lab.Do(cmd)
				require.NoError(t, err)
			}
			before := fmt.Sprintf("%+v %v", lab.workers, lab.tasks[:2])
			_, err := lab.Do(commands[len(commands)-1])
			var misuse *Misuse
			require.ErrorAs(t, err, &misuse)
			require.Contains(t, misuse.Report, c.report)
			require.Equal(t, before, fmt.Sprintf("%+v %v", lab.workers, lab.tasks[:2]))
		})
	}
}

func TestDeadlockIsFound(t *testing.T) {
	lab := NewLab()
	for _, cmd := range []string{"0 tL0", "1 tL1", "2 tL2", "0 tL1", "1 tL2"} {
		_, err := lab.Do(cmd)
		require.NoError(t, err)
	}
	_, err := lab.Do("2 tL0")
	require.True(t, errors.Is(err, ErrDeadlock))
	require.NoError(t, lab.Check())
}

// TestHandoff: a task that finds the mutex taken by somebody faster is given it by
// the next unlock.
func TestHandoff(t *testing.T) {
	s := NewSystem(3)
	m := s.NewMutex()
	for _, c := range []struct {
		t    TaskID
		want Outcome
	}{{0, Acquired}, {1, Blocked}} {
		got, err := m.Lock(c.t)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	require.NoError(t, m.Unlock(0))
	got, err := m.Lock(2) // before task 1 runs
	require.NoError(t, err)
	require.Equal(t, Acquired, got)
	require.Empty(t, s.Settle())
	require.Equal(t, MutexWaiters|MutexHandoff, m.Flags())
	require.NoError(t, m.Unlock(2))
	require.Equal(t, MutexWaiters|MutexPickup, m.Flags())
	got, err = m.TryLock(2)
	require.NoError(t, err)
	require.Equal(t, Failed, got)
	require.Equal(t, []TaskID{1}, s.Settle())
	require.Equal(t, TaskID(1), m.Owner())
}

// TestRealTimeWriterAsksAtOnce: a waiting real-time writer keeps readers and other
// writers out by a handoff.
func TestRealTimeWriterAsksAtOnce(t *testing.T) {
	lab := NewLab()
	for _, cmd := range []string{"P1 f 10", "0 rL0", "1 wL0", "2 rL0"} {
		_, err := lab.Do(cmd)
		require.NoError(t, err)
	}
	require.Equal(t, int64(RWSemReader|RWSemHandoff|RWSemWaiters), lab.rwsems[0].Count())
	done, err := lab.Do("0 rU0")
	require.NoError(t, err)
	require.Equal(t, []TaskID{1, 0}, done)
	require.Equal(t, int64(RWSemWriter|RWSemWaiters), lab.rwsems[0].Count())
}

// TestProperties runs random commands and proves the invariants after each, that
// a lock has one owner, and that all waits end once everything is given back.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lab := NewLab()
		workers := rapid.IntRange(2, 6).Draw(t, "workers")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w := rapid.IntRange(0, workers-1).Draw(t, "worker")
			cmd := fmt.Sprintf("%d %s%d", w, rapid.SampledFrom([]string{
				"tL", "tU", "tU", "tT", "mL", "mU", "mU", "mT", "rL", "rU", "rU", "rT", "wL", "wU", "wT", "wG", "sL", "sU",
			}).Draw(t, "op"), rapid.IntRange(0, 1).Draw(t, "lock"))
			if rapid.IntRange(0, 5).Draw(t, "policy") == 0 {
				cmd = fmt.Sprintf("P%d %s %d", w, rapid.SampledFrom([]string{"f", "o"}).Draw(t, "class"), rapid.IntRange(1, 19).Draw(t, "n"))
			}
			_, _ = lab.Do(cmd)
			if err := lab.Check(); err != nil {
				t.Fatalf("after %s: %v", cmd, err)
			}
			for i := range scenarioLock {
				r := lab.rwsems[i]
				if r.writer != None && len(r.readers) > 0 {
					t.Fatalf("after %s: rwsem %d has a writer and readers", cmd, i)
				}
				if int(r.count>>8) != len(r.readers) {
					t.Fatalf("after %s: rwsem %d counts %d readers, has %d", cmd, i, r.count>>8, len(r.readers))
				}
			}
		}
	})
}

// TestInheritanceIsComplete: with real-time tasks only, every owner runs at least
// at the priority of everybody who waits for it, directly or along a chain.
func TestInheritanceIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lab := NewLab()
		for w := range 6 {
			_, err := lab.Do(fmt.Sprintf("P%d f %d", w, rapid.IntRange(1, 99).Draw(t, "prio")))
			require.NoError(t, err)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			_, _ = lab.Do(fmt.Sprintf("%d t%s%d", rapid.IntRange(0, 5).Draw(t, "w"),
				rapid.SampledFrom([]string{"L", "L", "U"}).Draw(t, "op"), rapid.IntRange(0, 3).Draw(t, "lock")))
			for w := range 6 {
				if m := lab.tasks[w].wait.lock; m != nil && m.owner != None && lab.Priority(m.owner) > lab.Priority(TaskID(w)) {
					t.Fatalf("owner %d at %d, waiter %d at %d", m.owner, lab.Priority(m.owner), w, lab.Priority(TaskID(w)))
				}
			}
		}
	})
}

func FuzzReadScenarios(f *testing.F) {
	f.Add(`[{"scenario":"a","steps":[{"step":"0 tL0","workers":[{"w":0,"last_cmd":"tL0","seq":1,"res":1}],"rtmutex_owner":[0,-1,-1,-1]}]}]`)
	f.Add(`[{"scenario":"b","steps":[{"step":"P1 f 10"},{"step":"1 wL3"},{"step":"0 rL3"},{"step":"1 wG3"}]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ReadScenarios("x", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, sc := range all {
			lab := NewLab()
			for i := range sc.Steps {
				done, err := lab.Do(sc.Steps[i].Command)
				if err != nil {
					break
				}
				lab.Compare(&sc.Steps[i], done)
			}
		}
	})
}
