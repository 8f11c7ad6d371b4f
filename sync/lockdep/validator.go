package lockdep

import (
	"errors"
	"fmt"
)

// Config are a validator's policies and limits. The zero value is a kernel with
// PROVE_LOCKING and the default limits.
type Config struct {
	// Ident is the kernel's line in reports: release, build number, taints.
	Ident string
	// ReadRecursive makes read_lock() always a recursive reader, as without queued
	// rwlocks; otherwise it is one only in interrupt context.
	ReadRecursive bool
	// RawLockNesting tells spinlocks and raw spinlocks apart
	// (PROVE_RAW_LOCK_NESTING).
	RawLockNesting bool
	// MaxClasses, MaxDependencies, MaxChains, MaxDepth are the kernel's tables'
	// sizes; 0 stands for its defaults: 8192, 32768, 65536, 48.
	MaxClasses, MaxDependencies, MaxChains, MaxDepth int
	// Stack gives a task's call trace, innermost first, when one is recorded; nil
	// records the place of the acquisition only.
	Stack func(*Task) []string
	// Clock gives the time in ns for lock_stat; nil keeps no times.
	Clock func() int64
}

// Validate reports all faults of a configuration.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name     string
		n, limit int
	}{
		{"MaxClasses", c.MaxClasses, 1 << 20}, {"MaxDependencies", c.MaxDependencies, 1 << 26},
		{"MaxChains", c.MaxChains, 1 << 24}, {"MaxDepth", c.MaxDepth, 1 << 10},
	} {
		if f.n < 0 || f.n > f.limit {
			errs = append(errs, fmt.Errorf("lockdep: %s: found %d, want 0 to %d", f.name, f.n, f.limit))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		n   *int
		def int
	}{{&c.MaxClasses, 8191}, {&c.MaxDependencies, 32768}, {&c.MaxChains, 65536}, {&c.MaxDepth, 48}} {
		if *f.n == 0 {
			*f.n = f.def
		}
	}
	if c.Ident == "" {
		c.Ident = "6.1.0 #1 Not tainted"
	}
	return c
}

// Validator is the model: classes, the graph of their dependencies, and the
// chains that were proven. It is not safe for concurrent use.
type Validator struct {
	cfg     Config
	keys    []key
	locks   []lock
	classes []class
	byName  map[string][]ClassID
	edges   []edge
	chains  []chain
	links   []uint32
	// table finds chains by key: open addressing, a power of two.
	table  []int32
	traces [][]string
	// queue and searches belong to the breadth-first search.
	queue      []int32
	searches   uint32
	liveEdges  int
	liveChains int
	// report is the first report; the validator is then off.
	report *Report
	stats  Stats
}

// Stats counts what the validator did, as in /proc/lockdep_stats.
type Stats struct {
	ChainHits, ChainMisses, CyclicChecks uint64
	FindForwards, FindBackwards          uint64
	MaxDepth, MaxBFSDepth                int
	Zapped, ZappedChains                 int
	HardirqsOn, HardirqsOff              uint64
	SoftirqsOn, SoftirqsOff              uint64
	RedundantHardirqsOn                  uint64
	RedundantHardirqsOff                 uint64
	RedundantSoftirqsOn                  uint64
	RedundantSoftirqsOff                 uint64
}

// New makes a validator. It fails on a configuration with faults.
func New(cfg Config) (*Validator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Validator{
		cfg:     cfg.withDefaults(),
		keys:    make([]key, 1),
		locks:   make([]lock, 1),
		classes: make([]class, 1),
		byName:  map[string][]ClassID{},
		edges:   make([]edge, rootEdges),
		chains:  make([]chain, 1),
		table:   make([]int32, 256),
		traces:  make([][]string, 1),
	}, nil
}

// Report is the first report, nil while the validator is on.
func (v *Validator) Report() *Report { return v.report }

// Stats gives the counters.
func (v *Validator) Stats() Stats { return v.stats }

// saveTrace records where a task is.
func (v *Validator) saveTrace(t *Task) int32 {
	stack := []string{t.site}
	if v.cfg.Stack != nil {
		stack = v.cfg.Stack(t)
	}
	v.traces = append(v.traces, stack)
	return int32(len(v.traces) - 1)
}

// Check proves the invariants of the graph: each dependency is in both lists, with
// the same distance and kinds; no list leads to a class that is gone.
func (v *Validator) Check() error {
	edges := 0
	for i := range v.classes {
		c := &v.classes[i]
		for e := c.after.head; e != 0; e = v.edges[e].next {
			edges++
			if err := v.checkEdge(ClassID(i), &v.edges[e]); err != nil {
				return err
			}
		}
		for e := c.before.head; e != 0; e = v.edges[e].next {
			edges++
			if v.findEdge(v.classes[v.edges[e].class].after, ClassID(i)) == 0 {
				return fmt.Errorf("lockdep: %s is before %s, which is not after it", v.classes[v.edges[e].class].name, c.name)
			}
		}
	}
	if edges != v.liveEdges {
		return fmt.Errorf("lockdep: found %d dependencies, counted %d", edges, v.liveEdges)
	}
	return nil
}

func (v *Validator) checkEdge(from ClassID, e *edge) error {
	c, to := &v.classes[from], &v.classes[e.class]
	if c.dead || to.dead {
		return fmt.Errorf("lockdep: dependency %s -> %s of a class that is gone", c.name, to.name)
	}
	back := v.findEdge(to.before, from)
	if back == 0 {
		return fmt.Errorf("lockdep: %s is after %s, which is not before it", to.name, c.name)
	}
	b := &v.edges[back]
	if e.distance != b.distance || e.dep != swap(b.dep) {
		return fmt.Errorf("lockdep: %s -> %s: kinds %#x, distance %d; backwards %#x, %d", c.name, to.name, e.dep, e.distance, b.dep, b.distance)
	}
	return nil
}

// swap turns kinds around: ER and SN change places.
func swap(k depKind) depKind {
	return k&(depSR|depEN) | k&depER<<1 | k&depSN>>1
}
