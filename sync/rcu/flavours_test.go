package rcu

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestExpeditedOutlastsReaders: in any order of events no expedited period ends while
// a reader that was inside when it began is inside, preempted or not.
func TestExpeditedOutlastsReaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const cpus, tasks = 3, 5
		checker := NewChecker()
		m, err := New(Config{CPUs: cpus, Fanout: 2, Emit: func(e *Event) { require.Empty(t, checker.Event(e)) }})
		require.NoError(t, err)
		depth := make([]int, tasks)
		running := []int{-1, -1, -1}
		var waits []int
		active := false
		cookie := int64(0)
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			cpu := rapid.IntRange(0, cpus-1).Draw(t, "cpu")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				task := rapid.IntRange(-1, tasks-1).Draw(t, "task")
				if task < 0 || !slices.Contains(running, task) {
					require.NoError(t, m.Run(cpu, task))
					running[cpu] = task
				}
			case 1:
				if k := running[cpu]; k >= 0 {
					require.NoError(t, m.ReadLock(cpu, k))
					depth[k]++
				}
			case 2:
				if k := running[cpu]; k >= 0 && depth[k] > 0 {
					require.NoError(t, m.ReadUnlock(cpu, k))
					if depth[k]--; depth[k] == 0 {
						waits = slices.DeleteFunc(waits, func(w int) bool { return w == k })
					}
				}
			case 3:
				if !active {
					cookie = m.ExpeditedSnap(cpu)
					require.True(t, m.ExpeditedStart(cpu, cookie))
					active, waits = true, nil
					for k, d := range depth {
						if d > 0 {
							waits = append(waits, k)
						}
					}
				}
			case 4:
				ended := m.ExpeditedEnd(cpu)
				require.Equal(t, active && len(waits) == 0, ended, "readers %v", waits)
				if ended {
					require.True(t, m.ExpeditedDone(cpu, cookie))
					active = false
				}
			}
			require.NoError(t, m.Check())
			require.Empty(t, checker.Findings().Violations)
		}
	})
}

// TestSRCU: no grace period ends while a reader that was inside when it was asked for
// is inside, and it always ends once they have left, even if others keep coming.
func TestSRCU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSRCU(3)
		type reader struct{ cpu, column, id int }
		var inside []reader
		wanted := map[int64][]int{}
		n, saw := 0, -1
		for range rapid.IntRange(1, 100).Draw(t, "events") {
			cpu := rapid.IntRange(0, 2).Draw(t, "cpu")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				column, err := s.ReadLock(cpu)
				require.NoError(t, err)
				n++
				inside = append(inside, reader{cpu, column, n})
			case 4:
				if saw < 0 {
					saw = s.Index()
					break
				}
				require.NoError(t, s.Count(cpu, saw)) // late
				n++
				inside = append(inside, reader{cpu, saw, n})
				saw = -1
			case 1:
				if len(inside) > 0 {
					i := rapid.IntRange(0, len(inside)-1).Draw(t, "reader")
					require.NoError(t, s.ReadUnlock(cpu, inside[i].column)) // on any CPU
					inside = slices.Delete(inside, i, i+1)
				}
			case 2:
				c := s.Start()
				for _, r := range inside {
					wanted[c] = append(wanted[c], r.id)
				}
			case 3:
				s.Step(rapid.Bool().Draw(t, "again"))
			}
			for c, ids := range wanted {
				if s.Done(c) {
					for _, r := range inside {
						require.NotContains(t, ids, r.id, "cookie %d", c)
					}
					delete(wanted, c)
				}
			}
		}
		for _, r := range inside {
			require.NoError(t, s.ReadUnlock(r.cpu, r.column))
		}
		c := s.Start()
		late, err := s.ReadLock(0)
		require.NoError(t, err)
		for range 8 {
			s.Step(true)
		}
		require.True(t, s.Seq() > c-8, "the late reader does not hold up the first scans")
		require.NoError(t, s.ReadUnlock(0, late))
		for range 8 {
			s.Step(true)
		}
		require.True(t, s.Done(c))
	})
	s := NewSRCU(1)
	require.ErrorIs(t, s.ReadUnlock(0, 0), ErrColumn)
	require.ErrorIs(t, s.ReadUnlock(0, 2), ErrColumn)
	require.ErrorIs(t, s.Count(0, 2), ErrColumn)
	_, err := s.ReadLock(4)
	require.ErrorIs(t, err, ErrNotRunning)
	require.False(t, s.Step(false))
}

// TestTasksRCU: a preempted task holds callbacks up, a sleeping one does not.
func TestTasksRCU(t *testing.T) {
	k := NewTasks(3)
	k.Switch(2, false) // sleeps
	k.Call(7)
	require.Empty(t, k.Step())
	require.Equal(t, []int{0, 1}, k.Holdouts())
	k.Call(8) // for the next period
	k.Switch(0, true)
	k.Wake(2)
	require.Empty(t, k.Step())
	require.Equal(t, []int{1}, k.Holdouts(), "task 2 woke up after the period began")
	require.Empty(t, k.Step(), "preempted as often as it likes")
	k.Switch(1, false)
	require.Equal(t, []uint64{7}, k.Step())
	require.Equal(t, 1, k.Periods())
	require.Empty(t, k.Step())
	for i := range 3 {
		k.Switch(i, true)
	}
	require.Equal(t, []uint64{8}, k.Step())
	require.Empty(t, k.Step())
}

// TestDoubleCall: a callback that waits can not be queued again, on any CPU; one that
// has run, or runs, can.
func TestDoubleCall(t *testing.T) {
	var m *Model
	again := 0
	m, err := New(Config{CPUs: 2, Invoke: func(cpu int, cb uint64) {
		if again++; again == 1 {
			require.NoError(t, m.CallRCU(cpu, cb), "from the callback itself")
		}
	}})
	require.NoError(t, err)
	require.NoError(t, m.CallRCU(0, 7))
	require.ErrorIs(t, m.CallRCU(0, 7), ErrDoubleCall)
	require.ErrorIs(t, m.CallRCU(1, 7), ErrDoubleCall)
	require.Equal(t, []int{1, 0}, []int{m.Queued(0), m.Queued(1)})
	require.ErrorIs(t, m.CallRCU(9, 8), ErrNotRunning)
	for range 12 {
		m.GracePeriod(0)
		for cpu := range 2 {
			m.Core(cpu)
			m.Tick(cpu)
			m.Core(cpu)
		}
	}
	require.Equal(t, 2, again)
	require.NoError(t, m.CallRCU(0, 7))
}

// TestKfree: a few pointers wait 5 s, a page full one jiffy, and none is freed while a
// reader that was inside is inside.
func TestKfree(t *testing.T) {
	var freed []uint64
	sizes := []int{}
	m, err := New(Config{CPUs: 2})
	require.NoError(t, err)
	k := NewKfree(m, 250, func(_ int, p []uint64) { freed = append(freed, p...); sizes = append(sizes, len(p)) })
	require.NoError(t, m.Run(1, 1))
	require.NoError(t, m.ReadLock(1, 1))
	k.Queue(0, 100, false, false, 1000)
	k.Tick(0, 1000+5*250-1)
	turn := func() {
		for range 6 {
			m.GracePeriod(0)
			for cpu := range 2 {
				m.Core(cpu)
				m.Tick(cpu)
				m.Core(cpu)
			}
		}
	}
	turn()
	require.Zero(t, k.Reclaim(0))
	require.Equal(t, int64(firstSeq), m.Seq(), "no grace period was asked for")
	k.Tick(0, 1000+5*250)
	turn()
	require.Zero(t, k.Reclaim(0), "the reader is inside")
	require.Equal(t, 1, k.Pending(0))
	require.NoError(t, m.ReadUnlock(1, 1))
	turn()
	require.Equal(t, 1, k.Reclaim(0))
	require.Equal(t, []uint64{100}, freed)

	for i := range BulkMax + 3 {
		k.Queue(0, uint64(i), i%2 == 0, false, 5000)
	}
	k.Queue(0, 9999, false, false, 5000)
	require.Equal(t, 510, BulkMax)
	k.Tick(0, 5001)
	turn()
	sizes = nil
	require.Equal(t, BulkMax+4, k.Reclaim(0))
	require.Equal(t, []int{257, 257}, sizes, "slab objects and vmalloc areas apart")
	require.Zero(t, k.Pending(0))

	// Two batches may wait; the third is collected until one is free.
	require.NoError(t, m.Run(1, 1))
	require.NoError(t, m.ReadLock(1, 1))
	for i, now := range []int64{10_000, 20_000, 30_000} {
		k.Queue(0, uint64(i), false, i == 0, now)
		k.Tick(0, now+5*250)
	}
	require.Equal(t, 1, k.cpus[0].count)
	require.True(t, k.cpus[0].armed)
	require.NoError(t, m.ReadUnlock(1, 1))
	turn()
	require.Equal(t, 2, k.Reclaim(0))
	k.Tick(0, 40_000)
	turn()
	require.Equal(t, 1, k.Reclaim(0))
}

// TestListReaders: readers that stand anywhere while an updater adds, deletes and
// replaces come to the end, see every node that was there all the time, each at most
// once, and never a freed one if nodes are freed only after all readers that could
// stand on them have gone.
func TestListReaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewList()
		type reader struct {
			at     Node
			always map[Node]bool
			seen   map[Node]bool
		}
		var readers []*reader
		var listed []Node
		type dead struct {
			n     Node
			needs []*reader
		}
		var graves []dead
		finish := func(r *reader) {
			for n := range r.always {
				require.True(t, r.seen[n], "node %d was missed", n)
			}
		}
		remove := func(n Node) {
			for _, r := range readers {
				delete(r.always, n)
			}
			graves = append(graves, dead{n, slices.Clone(readers)})
			listed = slices.DeleteFunc(listed, func(x Node) bool { return x == n })
		}
		step := func(r *reader) bool {
			next, err := l.Next(r.at)
			require.NoError(t, err)
			r.at = next
			if next == 0 {
				finish(r)
				readers = slices.DeleteFunc(readers, func(x *reader) bool { return x == r })
				for i := range graves {
					graves[i].needs = slices.DeleteFunc(graves[i].needs, func(x *reader) bool { return x == r })
				}
				return false
			}
			require.False(t, r.seen[next], "node %d was seen twice", next)
			r.seen[next] = true
			return true
		}
		for range rapid.IntRange(1, 100).Draw(t, "events") {
			switch e := rapid.IntRange(0, 6).Draw(t, "event"); {
			case e == 0:
				n := l.New(len(l.nodes))
				behind := Node(0)
				if len(listed) > 0 && rapid.Bool().Draw(t, "inside") {
					behind = listed[rapid.IntRange(0, len(listed)-1).Draw(t, "behind")]
				}
				require.NoError(t, l.Add(n, behind))
				listed = append(listed, n)
			case e == 1:
				n := l.New(len(l.nodes))
				require.NoError(t, l.AddTail(n))
				listed = append(listed, n)
			case e == 2 && len(listed) > 0:
				n := listed[rapid.IntRange(0, len(listed)-1).Draw(t, "node")]
				require.NoError(t, l.Del(n))
				remove(n)
			case e == 3 && len(listed) > 0:
				old := listed[rapid.IntRange(0, len(listed)-1).Draw(t, "node")]
				n := l.New(len(l.nodes))
				require.NoError(t, l.Replace(old, n))
				listed = append(listed, n)
				remove(old)
			case e == 4:
				r := &reader{always: map[Node]bool{}, seen: map[Node]bool{}}
				for _, n := range listed {
					r.always[n] = true
				}
				readers = append(readers, r)
			case e == 5 && len(readers) > 0:
				step(readers[rapid.IntRange(0, len(readers)-1).Draw(t, "reader")])
			case e == 6:
				graves = slices.DeleteFunc(graves, func(d dead) bool {
					if len(d.needs) > 0 {
						return false
					}
					require.NoError(t, l.Free(d.n))
					return true
				})
			}
			require.NoError(t, l.Check())
		}
		for len(readers) > 0 {
			for r, n := readers[0], 0; step(r); n++ {
				require.LessOrEqual(t, n, len(l.nodes))
			}
		}
	})
}

func TestListMisuse(t *testing.T) {
	l := NewList()
	a, b := l.New(1), l.New(2)
	require.ErrorIs(t, l.Del(a), ErrUnlisted)
	require.NoError(t, l.Add(a, 0))
	require.ErrorIs(t, l.Add(a, 0), ErrListed)
	require.ErrorIs(t, l.Add(b, b), ErrUnlisted)
	require.ErrorIs(t, l.Add(77, 0), ErrFreed)
	require.ErrorIs(t, l.Free(a), ErrFreed)
	require.ErrorIs(t, l.Replace(b, a), ErrUnlisted)
	require.NoError(t, l.Del(a))
	require.NoError(t, l.Free(a))
	require.ErrorIs(t, l.Free(a), ErrFreed)
	_, err := l.Next(a)
	require.ErrorIs(t, err, ErrFreed, "a reader that stands on it")
	h := NewHList()
	x, y, z := h.New(1), h.New(2), h.New(3)
	require.NoError(t, h.AddHead(y))
	require.NoError(t, h.AddBefore(x, y))
	require.NoError(t, h.AddBehind(z, y))
	require.ErrorIs(t, h.AddBefore(h.New(4), 9), ErrUnlisted)
	require.ErrorIs(t, h.AddBehind(h.New(4), 0), ErrUnlisted)
	var values []int
	for n, err := h.Next(0); n != 0; n, err = h.Next(n) {
		require.NoError(t, err)
		values = append(values, h.Value(n))
	}
	require.Equal(t, []int{1, 2, 3}, values)
	require.True(t, h.DelInit(y))
	require.False(t, h.DelInit(y))
	require.NoError(t, h.Check())
}

// ExampleList: a reader that stands on a node which is taken out goes on.
func ExampleList() {
	l := NewList()
	a, b, c := l.New(1), l.New(2), l.New(3)
	for _, n := range []Node{a, b, c} {
		_ = l.AddTail(n)
	}
	at, _ := l.Next(a) // the reader stands on b
	_ = l.Del(b)
	at, _ = l.Next(at)
	fmt.Println(l.Value(at))
	// Output: 3
}

func BenchmarkSRCUReader(b *testing.B) {
	s := NewSRCU(4)
	for b.Loop() {
		i, _ := s.ReadLock(1)
		_ = s.ReadUnlock(2, i)
	}
}
