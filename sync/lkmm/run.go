package lkmm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Verdict says in which executions a test's condition holds.
type Verdict uint8

// Verdicts. Deadlock: no execution completes (and passes the filter).
const (
	Never Verdict = iota
	Sometimes
	Always
	Deadlock
)

var verdictNames = [...]string{"Never", "Sometimes", "Always", "DEADLOCK"}

func (v Verdict) String() string { return verdictNames[v] }

// State is a final state: the values of what the test's condition and
// locations mention.
type State struct {
	Values []Value // in the order of [Test.Observed]
	// Executions is the number of consistent executions that end so.
	Executions int64
	// Holds says whether the condition holds.
	Holds bool
}

// Result is what the model says about a test.
type Result struct {
	Test    *Test
	Verdict Verdict
	// States are sorted by their values. With Options.VerdictOnly they are
	// those that happened to be seen.
	States []State
	// Executions counts the consistent executions, Witnesses those of them in
	// which the condition holds.
	Executions, Witnesses int64
	// Race is a data race of some execution, nil if there is none.
	Race *Race
	// Flags are the model's other complaints, sorted: unbalanced critical
	// sections, plain and marked accesses mixed.
	Flags []string
	// Complete says whether all executions were looked at. If not, States,
	// Executions, Witnesses, Race and Flags are of those seen; the verdict is
	// right all the same.
	Complete bool
}

// OK says whether the quantified condition is true.
func (r *Result) OK() bool {
	switch r.Test.Quantifier {
	case NotExists:
		return r.Witnesses == 0
	case Forall:
		return r.Witnesses == r.Executions
	}
	return r.Witnesses > 0
}

// Run finds all executions of a test that the model allows. The result is the
// same whatever the number of workers. An error is a *[ProgramError], or the
// context's.
func Run(ctx context.Context, t *Test, opt Options) (*Result, error) {
	e, err := newEngine(ctx, t, opt.withDefaults())
	if err != nil {
		return nil, err
	}
	if e.opt.VerdictOnly {
		return e.completeVerdict(ctx, &collector{engine: e, states: map[string]*State{}})
	}
	parts := make([]*collector, e.opt.Workers)
	errs := make([]error, e.opt.Workers)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { parts[i], errs[i] = e.collect(ctx, i, anyGoal) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, p := range parts[1:] {
		parts[0].merge(p)
	}
	if limit := e.opt.MaxExecutions; limit > 0 && parts[0].executions > limit {
		return e.runLimited(ctx, parts[0])
	}
	r := parts[0].result()
	r.Complete = true
	return r, nil
}

// runLimited is the result of a test with too many executions: what the first
// of them show, and the verdict of all. What several workers saw first would
// depend on their number.
func (e *engine) runLimited(ctx context.Context, seen *collector) (*Result, error) {
	if e.opt.Workers > 1 {
		e.opt.Workers = 1
		var err error
		if seen, err = e.collect(ctx, 0, anyGoal); err != nil {
			return nil, err
		}
	}
	return e.completeVerdict(ctx, seen)
}

// goal limits a search to executions in which the condition holds, or fails.
type goal uint8

const (
	anyGoal goal = iota
	goalHolds
	goalFails
)

// contradicts says whether an execution of this truth misses the goal.
func (g goal) contradicts(t truth) bool {
	return g == goalHolds && t == fails || g == goalFails && t == holds
}

// completeVerdict looks for an execution with the condition, and for one
// without, as far as none has been seen.
func (e *engine) completeVerdict(ctx context.Context, seen *collector) (*Result, error) {
	if seen.witnesses == 0 {
		with, err := e.collect(ctx, 0, goalHolds)
		if err != nil {
			return nil, err
		}
		seen.merge(with)
	}
	if seen.witnesses == seen.executions {
		without, err := e.collect(ctx, 0, goalFails)
		if err != nil {
			return nil, err
		}
		seen.merge(without)
	}
	return seen.result(), nil
}

// collect runs a worker's share of the search.
func (e *engine) collect(ctx context.Context, worker int, g goal) (*collector, error) {
	c := &collector{engine: e, states: map[string]*State{}}
	s := newSearch(ctx, e, func(s *search) bool {
		c.visit(s)
		return c.err == nil && !c.enough(g)
	})
	s.goal, s.share, s.unit = g, worker, e.opt.Workers
	if g != anyGoal {
		s.unit = 1
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	return c, c.err
}

// enough says whether the search may stop: its goal is met, or there are more
// executions than anyone wants counted.
func (c *collector) enough(g goal) bool {
	if g != anyGoal {
		return c.executions > 0
	}
	return c.opt.MaxExecutions > 0 && c.executions > c.opt.MaxExecutions
}

// collector sums up executions.
type collector struct {
	*engine
	states     map[string]*State
	executions int64
	witnesses  int64
	race       *Race
	flags      []string
	key        []byte
	err        error
}

// visit takes note of a consistent execution that passes the filter.
func (c *collector) visit(s *search) {
	c.executions++
	c.noteFlags(s)
	state, err := c.state(s)
	if err != nil {
		c.err = err
		return
	}
	state.Executions++
	if state.Holds {
		c.witnesses++
	}
}

// state finds or makes the entry of an execution's final state.
func (c *collector) state(s *search) (*State, error) {
	c.key = c.key[:0]
	for i := range c.test.observed {
		v, _ := s.observe(i)
		for shift := 0; shift < 64; shift += 8 {
			c.key = append(c.key, byte(uint64(v)>>shift))
		}
	}
	if st, ok := c.states[string(c.key)]; ok {
		return st, nil
	}
	if len(c.states) >= c.opt.MaxStates {
		return nil, &ProgramError{File: c.test.File, Thread: "all threads",
			Reason: fmt.Errorf("%w: more than %d final states", ErrTooLarge, c.opt.MaxStates)}
	}
	st := &State{Holds: c.test.condition.eval(s.observe) == holds}
	for i := range c.test.observed {
		v, _ := s.observe(i)
		st.Values = append(st.Values, v)
	}
	c.states[string(c.key)] = st
	return st, nil
}

func (c *collector) flag(name string) {
	if i, found := slices.BinarySearch(c.flags, name); !found {
		c.flags = slices.Insert(c.flags, i, name)
	}
}

// merge adds what another worker found.
func (c *collector) merge(d *collector) {
	c.executions += d.executions
	c.witnesses += d.witnesses
	if c.race == nil || d.race != nil && d.race.less(c.race) {
		c.race = d.race
	}
	for _, f := range d.flags {
		c.flag(f)
	}
	// States are added up, so order does not matter.
	for key, st := range d.states {
		if mine, ok := c.states[key]; ok {
			mine.Executions += st.Executions
		} else {
			c.states[key] = st
		}
	}
}

func (c *collector) result() *Result {
	r := &Result{Test: c.test, Executions: c.executions, Witnesses: c.witnesses, Race: c.race, Flags: c.flags}
	// Sorted below, so order does not matter.
	for _, st := range c.states {
		r.States = append(r.States, *st)
	}
	slices.SortFunc(r.States, func(a, b State) int { return slices.Compare(a.Values, b.Values) })
	switch {
	case r.Executions == 0:
		r.Verdict = Deadlock
	case r.Witnesses == r.Executions:
		r.Verdict = Always
	case r.Witnesses > 0:
		r.Verdict = Sometimes
	}
	return r
}
