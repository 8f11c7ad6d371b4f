package explore

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
)

// Options bound a search. Zeros stand for defaults.
type Options struct {
	// MaxStates bounds an exhaustive search; default 2,000,000.
	MaxStates int
	// MaxSteps bounds a random schedule; default 10,000.
	MaxSteps int
	// NoReduction follows all orders of local steps.
	NoReduction bool
	// Persistent follows only a persistent set of choices of each state: fewer states, the
	// same ends and failures, but the failing schedule may not be the shortest.
	Persistent bool
}

func (o Options) withDefaults() Options {
	if o.MaxStates == 0 {
		o.MaxStates = 2_000_000
	}
	if o.MaxSteps == 0 {
		o.MaxSteps = 10_000
	}
	return o
}

// Result is what a search came to.
type Result struct {
	// States and Steps count an exhaustive search; Schedules a random one.
	States    int `json:"states,omitempty"`
	Steps     int `json:"steps"`
	Schedules int `json:"schedules,omitempty"`
	// Ends is how many states there are in which all is done.
	Ends int `json:"ends,omitempty"`
	// Complete says that every schedule was covered.
	Complete bool `json:"complete"`
	// Failure is the first failure, nil if there is none.
	Failure *Failure `json:"failure,omitempty"`
}

// ErrLimit says that a search was ended by a limit before it was complete.
var ErrLimit = errors.New("explore: too many states")

// search is an exhaustive search: breadth first, so that the first failure is the
// nearest.
type search struct {
	m    *machine
	o    Options
	seen map[string]int32
	// arena holds the states one after another; from and by say how each was reached.
	arena []int32
	from  []int32
	by    []Choice
	ends  []int32
	edges []edge
	key   []byte
	// reduction is nil if all choices are followed.
	reduction *reduction
}

// edge is a step between two states.
type edge struct{ from, to int32 }

// Exhaustive covers all schedules. It finds the nearest failure: a broken assertion,
// a deadlock, or a state from which the program cannot end any more. If there are
// more states than Options allow, the error wraps [ErrLimit].
func Exhaustive(ctx context.Context, p *Program, o Options) (*Result, error) {
	s := &search{m: newMachine(p), o: o.withDefaults(), seen: map[string]int32{}}
	if s.o.Persistent {
		s.reduction = newReduction(p)
	}
	s.add(-1, Choice{})
	res := &Result{}
	for i := int32(0); int(i) < len(s.from); i++ {
		if i&1023 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		res.States = int(i) + 1
		if f := s.expand(i, res); f != nil {
			f.Schedule = append(s.schedule(i), f.Schedule...)
			res.Failure = f
			return res, nil
		}
		if len(s.from) > s.o.MaxStates {
			return res, ErrLimit
		}
	}
	res.Complete, res.Ends = true, len(s.ends)
	if i := s.endless(); i >= 0 {
		res.Failure = &Failure{Kind: Livelock, Text: "from here the program cannot end", Schedule: s.schedule(i)}
	}
	return res, nil
}

// add looks the machine's state up and adds it if it is new.
func (s *search) add(from int32, by Choice) (int32, bool) {
	s.key = s.key[:0]
	for _, w := range s.m.s {
		s.key = binary.LittleEndian.AppendUint32(s.key, uint32(w))
	}
	if id, ok := s.seen[string(s.key)]; ok {
		return id, false
	}
	id := int32(len(s.from))
	s.seen[string(s.key)] = id
	s.arena = append(s.arena, s.m.s...)
	s.from = append(s.from, from)
	s.by = append(s.by, by)
	return id, true
}

func (s *search) restore(i int32) {
	n := len(s.m.s)
	copy(s.m.s, s.arena[int(i)*n:(int(i)+1)*n])
}

// expand follows the steps of a state.
func (s *search) expand(i int32, res *Result) *Failure {
	s.restore(i)
	var buf [maxThreads * (1 + bufferSize)]Choice
	choices := s.m.choices(buf[:0])
	if len(choices) == 0 {
		if f := s.m.stuck(); f != nil {
			return f
		}
		s.ends = append(s.ends, i)
		return nil
	}
	if s.optionalOnly(choices) {
		s.ends = append(s.ends, i)
	}
	if s.reduction != nil {
		return s.expandPersistent(i, choices, res)
	}
	if !s.o.NoReduction {
		if c, ok := s.localStep(choices); ok {
			_, fresh, f := s.follow(i, c, res)
			if f != nil || fresh {
				return f
			}
		}
	}
	for _, c := range choices {
		if _, _, f := s.follow(i, c, res); f != nil {
			return f
		}
	}
	return nil
}

// expandPersistent follows a persistent set, and the rest of the choices if that leads
// only to states seen before: a circle could put the rest off for ever.
func (s *search) expandPersistent(i int32, choices []Choice, res *Result) *Failure {
	few := s.reduction.persistent(s.m, choices)
	anyFresh := len(few) == len(choices)
	for _, c := range few {
		_, fresh, f := s.follow(i, c, res)
		if f != nil {
			return f
		}
		anyFresh = anyFresh || fresh
	}
	if anyFresh {
		return nil
	}
	for _, c := range choices {
		if _, _, f := s.follow(i, c, res); f != nil {
			return f
		}
	}
	return nil
}

// optionalOnly says whether only interrupts could still come, which need not.
func (s *search) optionalOnly(choices []Choice) bool {
	for _, c := range choices {
		if !s.m.p.threads[c.Thread].irq || s.m.get(c.Thread, wPC) != 0 || c.Flush > 0 {
			return false
		}
	}
	return s.m.stuck() == nil
}

// localStep finds a step that touches nothing shared.
func (s *search) localStep(choices []Choice) (Choice, bool) {
	for _, c := range choices {
		if c.Flush == 0 && !s.m.p.threads[c.Thread].irq && s.m.current(c.Thread).local && s.alone(c.Thread) {
			return c, true
		}
	}
	return Choice{}, false
}

// alone says whether no interrupt handler shares the thread's CPU: one could hold
// the thread up.
func (s *search) alone(t int) bool {
	return !slices.ContainsFunc(s.m.p.threads, func(o thread) bool { return o.irq && o.cpu == s.m.p.threads[t].cpu })
}

// follow takes a step from a state.
func (s *search) follow(i int32, c Choice, res *Result) (int32, bool, *Failure) {
	s.restore(i)
	s.m.take(c)
	res.Steps++
	if f := s.m.fail; f != nil {
		f.Schedule = []Choice{c}
		return 0, false, f
	}
	id, fresh := s.add(i, c)
	s.edges = append(s.edges, edge{i, id})
	return id, fresh, nil
}

// schedule is the way to a state.
func (s *search) schedule(i int32) []Choice {
	var out []Choice
	for ; s.from[i] >= 0; i = s.from[i] {
		out = append(out, s.by[i])
	}
	slices.Reverse(out)
	return out
}

// endless finds the nearest state from which no end can be reached, -1 if there is
// none: it goes backwards from the ends.
func (s *search) endless() int32 {
	n := len(s.from)
	first := make([]int32, n+1)
	for _, e := range s.edges {
		first[e.to+1]++
	}
	for i := range n {
		first[i+1] += first[i]
	}
	into := make([]int32, len(s.edges))
	at := slices.Clone(first[:n])
	for _, e := range s.edges {
		into[at[e.to]] = e.from
		at[e.to]++
	}
	can := make([]bool, n)
	todo := slices.Clone(s.ends)
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if can[i] {
			continue
		}
		can[i] = true
		todo = append(todo, into[first[i]:first[i+1]]...)
	}
	return int32(slices.Index(can, false))
}
