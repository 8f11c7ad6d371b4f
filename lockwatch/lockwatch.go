// Package lockwatch brings the kernel's lock validator to ordinary Go programs: a
// Mutex and an RWMutex for tests that report lock orders which can deadlock, even
// when they do not deadlock in the run.
//
//	w := lockwatch.New(func(r *lockdep.Report) { t.Error(r.Text) })
//	accounts := w.NewMutex("accounts")
//	journal := w.NewRWMutex("journal")
//
// Locks of one name are one class: what is true of one is held to be true of all.
// A class is taken inside itself only by LockNested with another subclass. Every
// goroutine is a task of the validator; an unlock must come from the goroutine that
// locked, which Go itself does not ask for.
//
// The validator is one for a [Watcher] and guarded by a lock, so watched locks are
// for tests, not for production: an operation costs about ten microseconds, most of
// them to find out which goroutine is running. After the first report a Watcher only
// passes operations on.
package lockwatch

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/kernsim/kernsim/sync/lockdep"
)

// Watcher is a validator with the goroutines and locks that it watches.
type Watcher struct {
	mu     sync.Mutex
	v      *lockdep.Validator
	keys   map[string]lockdep.KeyID
	tasks  map[int]*lockdep.Task
	sites  map[uintptr]string
	report func(*lockdep.Report)
}

// New makes a watcher. report is called once, with the first report, by the
// goroutine that caused it, before it takes the lock.
func New(report func(*lockdep.Report)) *Watcher {
	w := &Watcher{keys: map[string]lockdep.KeyID{}, tasks: map[int]*lockdep.Task{}, sites: map[uintptr]string{}, report: report}
	// The configuration is without faults.
	w.v, _ = lockdep.New(lockdep.Config{Ident: runtime.Version() + " #1 Not tainted", Stack: func(*lockdep.Task) []string { return stack() }})
	return w
}

// Report is the first report, nil if there is none.
func (w *Watcher) Report() *lockdep.Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.v.Report()
}

// stack is the call trace of the goroutine outside of this package and the
// validator.
func stack() []string {
	pc := make([]uintptr, 40)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	var out []string
	for {
		f, more := frames.Next()
		own := strings.Contains(f.File, "/sync/lockdep/") || strings.HasSuffix(f.File, "/lockwatch/lockwatch.go")
		if f.Function != "" && !own {
			out = append(out, fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line))
		}
		if !more {
			return out
		}
	}
}

// goroutine is the number of the running goroutine, as its stack's first line says.
func goroutine() int {
	var buf [64]byte
	text := buf[:runtime.Stack(buf[:], false)]
	text = bytes.TrimPrefix(text, []byte("goroutine "))
	text, _, _ = bytes.Cut(text, []byte(" "))
	n, _ := strconv.Atoi(string(text))
	return n
}

func (w *Watcher) newLock(name string) lockdep.LockID {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.keys[name]
	if k == 0 {
		k = w.v.NewKey(lockdep.Key{Name: name, Inner: lockdep.WaitSleep})
		w.keys[name] = k
	}
	return w.v.NewLock(k, 0)
}

// task is the running goroutine's. It is forgotten when it holds nothing.
func (w *Watcher) task(id int) *lockdep.Task {
	t := w.tasks[id]
	if t == nil {
		t = w.v.NewTask("goroutine", id)
		w.tasks[id] = t
	}
	return t
}

func (w *Watcher) acquire(l lockdep.LockID, a lockdep.Acquire) {
	w.mu.Lock()
	var r *lockdep.Report
	if w.v.Report() == nil {
		a.Site = w.caller()
		r = w.v.Acquire(w.task(goroutine()), l, a)
	}
	w.mu.Unlock()
	if r != nil && w.report != nil {
		w.report(r)
	}
}

func (w *Watcher) release(l lockdep.LockID) {
	w.mu.Lock()
	var r *lockdep.Report
	if w.v.Report() == nil {
		id := goroutine()
		t := w.task(id)
		r = w.v.Release(t, l, w.caller())
		if t.Depth() == 0 {
			delete(w.tasks, id)
		}
	}
	w.mu.Unlock()
	if r != nil && w.report != nil {
		w.report(r)
	}
}

// caller is the place in the program that called a method of a lock. The places are
// kept, for to find their names is slow.
func (w *Watcher) caller() string {
	var pc [1]uintptr
	// Skipped: Callers, caller, acquire or release, the method.
	if runtime.Callers(4, pc[:]) == 0 {
		return "?"
	}
	site, ok := w.sites[pc[0]]
	if !ok {
		f, _ := runtime.CallersFrames(pc[:]).Next()
		site = fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line)
		w.sites[pc[0]] = site
	}
	return site
}

// Mutex is a sync.Mutex that is watched.
type Mutex struct {
	mu sync.Mutex
	w  *Watcher
	id lockdep.LockID
}

// NewMutex makes a mutex of the class with a name.
func (w *Watcher) NewMutex(name string) *Mutex { return &Mutex{w: w, id: w.newLock(name)} }

// Lock locks; a possible deadlock is reported before it waits.
func (m *Mutex) Lock() {
	m.w.acquire(m.id, lockdep.Acquire{})
	m.mu.Lock()
}

// LockNested locks a mutex inside another of its class, by a rule of the program's
// that orders them: subclass 1 is inside 0, 2 inside 1, up to 7.
func (m *Mutex) LockNested(subclass int) {
	m.w.acquire(m.id, lockdep.Acquire{Subclass: uint8(max(0, min(subclass, lockdep.MaxSubclasses)))})
	m.mu.Lock()
}

// TryLock locks if nobody has locked. It waits for nothing, so nothing is reported.
func (m *Mutex) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	m.w.acquire(m.id, lockdep.Acquire{Try: true})
	return true
}

// Unlock unlocks.
func (m *Mutex) Unlock() {
	m.w.release(m.id)
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex that is watched. Its readers are not recursive: a reader
// that comes while a writer waits, waits.
type RWMutex struct {
	mu sync.RWMutex
	w  *Watcher
	id lockdep.LockID
}

// NewRWMutex makes an RWMutex of the class with a name.
func (w *Watcher) NewRWMutex(name string) *RWMutex { return &RWMutex{w: w, id: w.newLock(name)} }

// Lock locks for writing.
func (m *RWMutex) Lock() {
	m.w.acquire(m.id, lockdep.Acquire{})
	m.mu.Lock()
}

// Unlock unlocks for writing.
func (m *RWMutex) Unlock() {
	m.w.release(m.id)
	m.mu.Unlock()
}

// RLock locks for reading.
func (m *RWMutex) RLock() {
	m.w.acquire(m.id, lockdep.Acquire{Read: 1})
	m.mu.RLock()
}

// RUnlock unlocks for reading.
func (m *RWMutex) RUnlock() {
	m.w.release(m.id)
	m.mu.RUnlock()
}
