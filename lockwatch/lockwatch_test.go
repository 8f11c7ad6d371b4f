//lint:file-ignore SA2001 The order of locking is what is tested.

package lockwatch_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/lockwatch"
	"github.com/kernsim/kernsim/sync/lockdep"
)

var (
	_ sync.Locker = (*lockwatch.Mutex)(nil)
	_ sync.Locker = (*lockwatch.RWMutex)(nil)
)

func Example() {
	w := lockwatch.New(func(r *lockdep.Report) { fmt.Println(r.Title) })
	accounts, journal := w.NewMutex("accounts"), w.NewMutex("journal")

	accounts.Lock()
	journal.Lock()
	journal.Unlock()
	accounts.Unlock()

	// Somewhere else, at another time, the other way round: no deadlock today.
	journal.Lock()
	accounts.Lock()
	accounts.Unlock()
	journal.Unlock()
	fmt.Println(w.Report().Cycle)
	// Output:
	// WARNING: possible circular locking dependency detected
	// [accounts journal]
}

func TestGoroutines(t *testing.T) {
	w := lockwatch.New(nil)
	a, b := w.NewMutex("a"), w.NewMutex("b")
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		a.Lock()
		b.Lock()
		b.Unlock()
		a.Unlock()
	}()
	wg.Wait()
	require.Nil(t, w.Report())
	b.Lock()
	a.Lock()
	a.Unlock()
	b.Unlock()
	require.Equal(t, lockdep.Circular, w.Report().Kind)
	require.Contains(t, w.Report().Text, "lockwatch_test.go")
}

// TestReadersOfReaders: Go's readers wait for a waiting writer, so reading inside
// reading can deadlock.
func TestReadersOfReaders(t *testing.T) {
	w := lockwatch.New(nil)
	m := w.NewRWMutex("m")
	m.RLock()
	m.RLock()
	m.RUnlock()
	m.RUnlock()
	require.Equal(t, lockdep.Recursion, w.Report().Kind)
}

func TestNestingAndTrying(t *testing.T) {
	w := lockwatch.New(nil)
	parent, child := w.NewMutex("node"), w.NewMutex("node")
	parent.Lock()
	child.LockNested(1)
	child.Unlock()
	parent.Unlock()
	child.Lock()
	require.True(t, parent.TryLock())
	require.False(t, parent.TryLock())
	parent.Unlock()
	child.Unlock()
	require.Nil(t, w.Report())
	parent.Lock()
	child.Lock()
	child.Unlock()
	parent.Unlock()
	require.Equal(t, lockdep.Recursion, w.Report().Kind)
}

func TestUnlockByAnother(t *testing.T) {
	reports := 0
	w := lockwatch.New(func(*lockdep.Report) { reports++ })
	m := w.NewMutex("m")
	m.Lock()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() { defer wg.Done(); m.Unlock() }()
	wg.Wait()
	require.Equal(t, lockdep.Unbalanced, w.Report().Kind)
	m.Lock()
	m.Unlock()
	require.Equal(t, 1, reports)
}

func TestManyGoroutines(t *testing.T) {
	w := lockwatch.New(nil)
	a, b := w.NewRWMutex("a"), w.NewMutex("b")
	var wg sync.WaitGroup
	n := 0
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				if i%2 == 0 {
					a.Lock()
					b.Lock()
					n++
					b.Unlock()
					a.Unlock()
				} else {
					a.RLock()
					b.Lock()
					n++
					b.Unlock()
					a.RUnlock()
				}
			}
		}()
	}
	wg.Wait()
	require.Equal(t, 400, n)
	require.Nil(t, w.Report())
}

func BenchmarkMutex(b *testing.B) {
	w := lockwatch.New(nil)
	m := w.NewMutex("m")
	for b.Loop() {
		m.Lock()
		m.Unlock()
	}
}
