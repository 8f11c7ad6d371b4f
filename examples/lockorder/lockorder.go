// Package lockorder is a Go program that checks the order of its own locks in
// its tests, by the rules of the kernel's lock validator: a [Mutex] is a
// sync.Mutex that tells a validator when it is taken and given back. An order
// that could deadlock is reported although no deadlock happens.
package lockorder

import (
	"sync"

	"github.com/kernsim/kernsim/sync/lockdep"
)

// Checker watches the mutexes of one test.
type Checker struct {
	mu sync.Mutex // guards v
	v  *lockdep.Validator
}

// NewChecker makes a checker that has seen nothing.
func NewChecker() (*Checker, error) {
	v, err := lockdep.New(lockdep.Config{})
	return &Checker{v: v}, err
}

// Report is the first mistake, nil if there was none.
func (c *Checker) Report() *lockdep.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.v.Report()
}

// Task stands for a goroutine.
func (c *Checker) Task(name string, id int) *lockdep.Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.v.NewTask(name, id)
}

// Mutex is a mutex of a class of its own.
type Mutex struct {
	mu sync.Mutex
	c  *Checker
	id lockdep.LockID
}

// Mutex makes a mutex; name is its class in reports.
func (c *Checker) Mutex(name string) *Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := c.v.NewKey(lockdep.Key{Name: name, Inner: lockdep.WaitSleep})
	return &Mutex{c: c, id: c.v.NewLock(key, 0)}
}

// Lock takes the mutex for a task; site is where, for reports.
func (m *Mutex) Lock(t *lockdep.Task, site string) {
	m.c.mu.Lock()
	m.c.v.Acquire(t, m.id, lockdep.Acquire{Site: site}) // the first report is kept
	m.c.mu.Unlock()
	m.mu.Lock()
}

// Unlock gives it back.
func (m *Mutex) Unlock(t *lockdep.Task, site string) {
	m.mu.Unlock()
	m.c.mu.Lock()
	m.c.v.Release(t, m.id, site)
	m.c.mu.Unlock()
}
