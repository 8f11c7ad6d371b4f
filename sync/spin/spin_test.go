package spin

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tasks are scripts of one task on each CPU.
func tasks(cpus int, ops ...Op) []Script {
	var out []Script
	for cpu := range cpus {
		out = append(out, Script{Agent: AgentOf(cpu, 0), Ops: ops})
	}
	return out
}

func must[L Lock](l L, err error) Lock {
	if err != nil {
		panic(err)
	}
	return l
}

var (
	once  = []Op{Acquire, Release}
	twice = []Op{Acquire, Release, Acquire, Release}
)

// TestAllOrders proves exclusion, progress and the order of entering of each lock on
// all orders of accesses.
func TestAllOrders(t *testing.T) {
	for _, c := range []struct {
		name    string
		lock    Lock
		scripts []Script
	}{
		{"ticket, 3 CPUs", must(NewTicket(3, 0)), tasks(3, twice...)},
		{"queued, 2 CPUs", must(NewQueued(2, 0)), tasks(2, twice...)},
		{"queued, 3 CPUs", must(NewQueued(3, 0)), tasks(3, once...)},
		{"queued, 4 CPUs", must(NewQueued(4, 0)), tasks(4, once...)},
		{"rwlock, writers", must(NewRWLock(3, 0)), tasks(3, once...)},
		{"rwlock, readers and a writer", must(NewRWLock(3, 0)), append(tasks(2, AcquireRead, ReleaseRead, AcquireRead, ReleaseRead), Script{Agent: AgentOf(2, 0), Ops: twice})},
		{"rwlock, writers and a reader", must(NewRWLock(3, 0)), append(tasks(2, once...), Script{Agent: AgentOf(2, 0), Ops: []Op{AcquireRead, ReleaseRead}})},
		{"rwlock, a reader interrupted by a reader", must(NewRWLock(2, 0)), []Script{
			{Agent: AgentOf(0, 0), Ops: []Op{AcquireRead, ReleaseRead}}, {Agent: AgentOf(0, 2), Ops: []Op{AcquireRead, ReleaseRead}},
			{Agent: AgentOf(1, 0), Ops: once},
		}},
		{"OSQ, 3 CPUs", must(NewOSQ(3, 0)), tasks(3, once...)},
		{"OSQ, 3 CPUs, two give up", must(NewOSQ(3, 0)), []Script{
			{Agent: AgentOf(0, 0), Ops: once}, {Agent: AgentOf(1, 0), Ops: once, MayGiveUp: true}, {Agent: AgentOf(2, 0), Ops: once, MayGiveUp: true},
		}},
		{"seqcount", must(NewSeqCount(3, 0)), append(tasks(2, Read), Script{Agent: AgentOf(2, 0), Ops: []Op{Write, Write}})},
		{"seqlock, two writers", must(NewSeqLock(3, 0)), []Script{
			{Agent: AgentOf(0, 0), Ops: []Op{Write, Write}}, {Agent: AgentOf(1, 0), Ops: []Op{Write}}, {Agent: AgentOf(2, 0), Ops: []Op{Read, Read}},
		}},
		{"latch, an interrupt reads", must(NewLatch(2, 0)), []Script{
			{Agent: AgentOf(0, 0), Ops: []Op{Write, Write}}, {Agent: AgentOf(0, 3), Ops: []Op{Read}}, {Agent: AgentOf(1, 0), Ops: []Op{Read}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := Explore(c.lock, c.scripts, 0)
			require.NoError(t, err)
			require.NoError(t, found.Failure, "%v", found.Path)
			t.Log(found.States, "states", found.Steps, "steps")
		})
	}
}

// TestMistakesAreFound: each fault that is built in breaks what it should.
func TestMistakesAreFound(t *testing.T) {
	reader := func(cpu int) Script { return Script{Agent: AgentOf(cpu, 0), Ops: []Op{AcquireRead, ReleaseRead}} }
	for _, c := range []struct {
		name    string
		lock    Lock
		scripts []Script
		want    string
	}{
		{"ticket drawn without an atomic operation", must(NewTicket(2, LoseUpdate)), tasks(2, once...), "both inside"},
		{"queued: the pending one does not wait", must(NewQueued(2, EarlyUnlock)), tasks(2, once...), "both inside"},
		{"queued: pending not taken back", must(NewQueued(4, KeepPending)), tasks(4, once...), "nobody can go on"},
		{"queued: the next one is forgotten", must(NewQueued(4, ForgetNext)), tasks(4, once...), "nobody can go on"},
		{"rwlock: readers pass a writer", must(NewRWLock(3, SkipWriter)), []Script{reader(0), reader(1), {Agent: AgentOf(2, 0), Ops: once}}, "overtakes the writer"},
		{"OSQ: given back without looking behind", must(NewOSQ(2, EarlyUnlock)), tasks(2, once...), "nobody can go on"},
		{"seqcount: no second look", must(NewSeqCount(2, NoRetry)), []Script{{Agent: AgentOf(0, 0), Ops: []Op{Write}}, {Agent: AgentOf(1, 0), Ops: []Op{Read}}}, "read 1 and 0"},
		{"seqlock: writers without the lock", must(NewSeqLock(2, EarlyUnlock)), []Script{{Agent: AgentOf(0, 0), Ops: []Op{Write}}, {Agent: AgentOf(1, 0), Ops: []Op{Write}}}, "while another does"},
		{"latch: one copy", must(NewLatch(1, OneCopy)), []Script{{Agent: AgentOf(0, 0), Ops: []Op{Write}}, {Agent: AgentOf(0, 3), Ops: []Op{Read}}}, "read 1 and 0"},
		{"seqcount: an interrupt waits for the writer below", must(NewSeqCount(1, 0)), []Script{{Agent: AgentOf(0, 0), Ops: []Op{Write}}, {Agent: AgentOf(0, 2), Ops: []Op{Read}}}, "nobody can go on"},
		{"a lock that an interrupt takes, too", must(NewQueued(1, 0)), []Script{{Agent: AgentOf(0, 0), Ops: once}, {Agent: AgentOf(0, 2), Ops: once}}, "nobody can go on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := Explore(c.lock, c.scripts, 0)
			require.NoError(t, err)
			require.ErrorContains(t, found.Failure, c.want)
			// The path leads to the failure.
			err = Play(c.lock, c.scripts, found.Path, io.Discard)
			if c.want != "nobody can go on" {
				require.EqualError(t, err, found.Failure.Error())
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// TestQueuedWord: the word of a lock with an owner, one pending and two in the queue,
// in the kernel's form.
func TestQueuedWord(t *testing.T) {
	l, err := NewQueued(4, 0)
	require.NoError(t, err)
	run := func(cpu int, op Op) Progress {
		a := AgentOf(cpu, 0)
		require.NoError(t, l.Start(a, op))
		for range 20 {
			if p := l.Step(a); p != Moved {
				return p
			}
		}
		return Moved
	}
	require.Equal(t, Done, run(0, Acquire))
	require.Equal(t, uint32(1), l.Word())
	require.Equal(t, Failed, run(1, Try))
	require.Equal(t, Waiting, run(1, Acquire))
	require.Equal(t, uint32(0x101), l.Word())
	require.Equal(t, Waiting, run(2, Acquire))
	require.Equal(t, uint32(0x000c0101), l.Word()) // tail: CPU 2, node 0
	require.Equal(t, Waiting, run(3, Acquire))
	require.Equal(t, uint32(0x00100101), l.Word())
	require.Equal(t, Done, run(0, Release))
	require.Equal(t, uint32(0x00100100), l.Word())
	for _, next := range []int{1, 2, 3} {
		a := AgentOf(next, 0)
		for l.Step(a) == Moved {
		}
		require.True(t, l.Holds(a))
		require.Equal(t, Done, run(next, Release))
		for c := next + 2; c < 4; c++ {
			for l.Step(AgentOf(c, 0)) == Moved {
			}
		}
	}
	require.Zero(t, l.Word())
	require.NoError(t, l.Check())
}

// TestNodesOfInterrupts: an interrupt that waits for a lock uses its CPU's second node.
func TestNodesOfInterrupts(t *testing.T) {
	found, err := Explore(must(NewQueued(3, 0)), []Script{
		{Agent: AgentOf(0, 2), Ops: once}, {Agent: AgentOf(1, 0), Ops: once}, {Agent: AgentOf(2, 0), Ops: once},
	}, 0)
	require.NoError(t, err)
	require.NoError(t, found.Failure)
}

func TestMisuse(t *testing.T) {
	for _, l := range []Lock{must(NewTicket(1, 0)), must(NewQueued(1, 0)), must(NewRWLock(1, 0)), must(NewOSQ(1, 0))} {
		before := string(l.AppendKey(nil))
		require.ErrorIs(t, l.Start(0, Release), ErrNotHeld)
		require.ErrorIs(t, l.Start(0, Write), ErrOp)
		require.Error(t, l.Start(-4, Acquire))
		require.Error(t, l.Start(4000, Acquire))
		require.Equal(t, Waiting, l.Step(0))
		require.Equal(t, Waiting, l.Step(4000))
		require.Equal(t, before, string(l.AppendKey(nil)))
		require.NoError(t, l.Start(0, Acquire))
		require.ErrorIs(t, l.Start(0, Acquire), ErrBusy)
		for l.Step(0) != Done {
		}
		require.ErrorIs(t, l.Start(0, Acquire), ErrRecursion)
	}
	_, err := NewTicket(0, 0)
	require.Error(t, err)
	s := must(NewSeqCount(2, 0))
	require.NoError(t, s.Start(0, Write))
	require.ErrorIs(t, s.Start(AgentOf(1, 0), Write), ErrRecursion)
	o := must(NewOSQ(1, 0))
	require.ErrorIs(t, o.(*OSQ).GiveUp(0), ErrBusy)
}

// TestRandomOrders runs many CPUs in random orders.
func TestRandomOrders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.IntRange(2, 12).Draw(t, "cpus")
		l := []Lock{must(NewTicket(cpus, 0)), must(NewQueued(cpus, 0)), must(NewRWLock(cpus, 0)), must(NewOSQ(cpus, 0))}[rapid.IntRange(0, 3).Draw(t, "lock")]
		_, rw := l.(*RWLock)
		left := make([]int, cpus)
		for i := range left {
			left[i] = 3
		}
		reads := make([]bool, cpus)
		inside := make([]bool, cpus)
		for n, idle := 0, 0; idle < 50*cpus; n++ {
			cpu := rapid.IntRange(0, cpus-1).Draw(t, "cpu")
			if n > 3000 {
				cpu = n % cpus
			}
			a := AgentOf(cpu, 0)
			if !l.Active(a) {
				if left[cpu] == 0 && !inside[cpu] {
					idle++
					continue
				}
				op := Release
				if !inside[cpu] {
					left[cpu]--
					op, reads[cpu] = Acquire, rw && (n+cpu)%3 != 0
				}
				if reads[cpu] {
					op += AcquireRead - Acquire
					if inside[cpu] {
						op = ReleaseRead
					}
				}
				require.NoError(t, l.Start(a, op))
			}
			switch l.Step(a) {
			case Done:
				inside[cpu] = !inside[cpu]
				idle = 0
			case Moved:
				idle = 0
			case Waiting:
				idle++
			}
			require.NoError(t, l.Check())
		}
		for cpu := range cpus {
			require.Zero(t, left[cpu])
			require.False(t, inside[cpu])
		}
	})
}

// ExamplePlay shows how two CPUs enter a ticket lock whose number is drawn by a load and
// a store.
func ExamplePlay() {
	l, _ := NewTicket(2, LoseUpdate)
	scripts := []Script{{Agent: AgentOf(0, 0), Ops: once}, {Agent: AgentOf(1, 0), Ops: once}}
	found, _ := Explore(l, scripts, 0)
	fmt.Println(Play(l, scripts, found.Path, os.Stdout))
	// Output:
	// 1  CPU 0 level 0  acquire        goes on
	//   2  CPU 1 level 0  acquire        goes on
	//   3  CPU 0 level 0  acquire        goes on     word 0 = 0x1
	//   4  CPU 0 level 0  acquire        done
	//   5  CPU 1 level 0  acquire        goes on
	//   6  CPU 1 level 0  acquire        done
	// spin: agents 0 and 4 are both inside
}

// ExampleQueued shows the word while three CPUs want the lock.
func ExampleQueued() {
	l, _ := NewQueued(3, NoMistake)
	for cpu := range 3 {
		a := AgentOf(cpu, 0)
		_ = l.Start(a, Acquire)
		for l.Step(a) == Moved {
		}
		fmt.Printf("CPU %d came: %06x, inside: %v\n", cpu, l.Word(), l.Holds(a))
	}
	// Output:
	// CPU 0 came: 000001, inside: true
	// CPU 1 came: 000101, inside: false
	// CPU 2 came: 0c0101, inside: false
}

func BenchmarkQueuedUncontended(b *testing.B) {
	l, _ := NewQueued(2, 0)
	for b.Loop() {
		_ = l.Start(0, Acquire)
		l.Step(0)
		_ = l.Start(0, Release)
		l.Step(0)
	}
}

func BenchmarkExplore(b *testing.B) {
	n := 0
	for b.Loop() {
		found, err := Explore(must(NewQueued(3, 0)), tasks(3, once...), 0)
		if err != nil || found.Failure != nil {
			b.Fatal(err, found.Failure)
		}
		n += found.States
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "states/s")
}
