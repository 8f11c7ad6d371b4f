package spin

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Script is what an agent does: its operations, one after another. An interrupt's
// script runs as a whole, at any time that the levels below it on its CPU are not done,
// or after them.
type Script struct {
	Agent Agent
	Ops   []Op
	// MayGiveUp says that the agent may be asked to reschedule while it waits (OSQ). An
	// Acquire that fails skips the operation behind it, its Release.
	MayGiveUp bool
}

// Found is what [Explore] came to.
type Found struct {
	// States and Steps count what was visited.
	States, Steps int
	// Failure says what breaks: an agent overtakes, two are inside, nobody can go on, or
	// from some state the end cannot be reached; nil if nothing does.
	Failure error
	// Path are the agents whose steps lead there, in order; the number of an agent with
	// its bits turned (^a) is that it was asked to give up.
	Path []Agent
}

// ErrLimit says that there were more states than allowed.
var ErrLimit = errors.New("spin: too many states")

// explorer is a search over all orders of steps, the nearest states first.
type explorer struct {
	scripts []Script
	seen    map[string]int32
	states  []explored
	from    []int32
	by      []Agent
	into    [][]int32
	found   Found
}

// explored is a state: the lock, and how far each script is.
type explored struct {
	lock Lock
	at   []uint8
}

// Explore plays all orders of steps of the scripts on a lock, at most limit states (0
// stands for a million). It proves on each that the lock's Check holds, that there is no
// deadlock, and that every state can still lead to the end.
func Explore(l Lock, scripts []Script, limit int) (*Found, error) {
	if limit == 0 {
		limit = 1_000_000
	}
	e := &explorer{scripts: scripts, seen: map[string]int32{}}
	e.add(-1, 0, explored{l.Clone(), make([]uint8, len(scripts))})
	var ends []int32
	for i := 0; i < len(e.states); i++ {
		if len(e.states) > limit {
			return &e.found, ErrLimit
		}
		done, err := e.expand(int32(i))
		if err != nil {
			return &e.found, err
		}
		if e.found.Failure != nil {
			return &e.found, nil
		}
		if done {
			ends = append(ends, int32(i))
		}
	}
	e.found.States = len(e.states)
	e.endless(ends)
	return &e.found, nil
}

func (e *explorer) add(from int32, by Agent, s explored) {
	key := string(append(s.lock.AppendKey(nil), s.at...))
	id, ok := e.seen[key]
	if !ok {
		id = int32(len(e.states))
		e.seen[key] = id
		e.states = append(e.states, s)
		e.from, e.by, e.into = append(e.from, from), append(e.by, by), append(e.into, nil)
	}
	if from >= 0 {
		e.into[id] = append(e.into[id], from)
	}
}

// suspended says whether an interrupt runs above an agent.
func (e *explorer) suspended(s *explored, n int) bool {
	me := e.scripts[n].Agent
	for i := range e.scripts {
		o := e.scripts[i].Agent
		begun := s.at[i] > 0 || s.lock.Active(o)
		if o.CPU() == me.CPU() && o.Level() > me.Level() && begun && int(s.at[i]) < len(e.scripts[i].Ops) {
			return true
		}
	}
	return false
}

// expand takes every step that can be taken in a state; it is true if all is done.
func (e *explorer) expand(id int32) (bool, error) {
	moved, all := false, true
	for n := range e.scripts {
		s := &e.states[id]
		if int(s.at[n]) == len(e.scripts[n].Ops) {
			continue
		}
		all = false
		if e.suspended(s, n) {
			continue
		}
		stepped, err := e.step(id, n)
		if err != nil || e.found.Failure != nil {
			return false, err
		}
		moved = moved || stepped
		if e.scripts[n].MayGiveUp {
			moved = e.giveUp(id, n) || moved
		}
	}
	if !moved && !all {
		e.fail(id, 0, errors.New("spin: nobody can go on"))
		e.found.Path = e.found.Path[:len(e.found.Path)-1]
	}
	return all, nil
}

// step takes a script's next step; it is false if that only waits.
func (e *explorer) step(id int32, n int) (bool, error) {
	s := explored{e.states[id].lock.Clone(), slices.Clone(e.states[id].at)}
	script := &e.scripts[n]
	begins := !s.lock.Active(script.Agent)
	if begins {
		if err := s.lock.Start(script.Agent, script.Ops[s.at[n]]); err != nil {
			return false, err
		}
	}
	e.found.Steps++
	switch s.lock.Step(script.Agent) {
	case Waiting:
		if !begins {
			return false, nil
		}
		// An interrupt that has begun to wait keeps the levels below it from going on.
	case Done:
		s.at[n]++
	case Failed:
		s.at[n] = uint8(min(int(s.at[n])+2, len(script.Ops)))
	}
	if err := s.lock.Check(); err != nil {
		e.fail(id, script.Agent, err)
		return true, nil
	}
	e.add(id, script.Agent, s)
	return true, nil
}

func (e *explorer) giveUp(id int32, n int) bool {
	q, ok := e.states[id].lock.(*OSQ)
	a := e.scripts[n].Agent
	if !ok || !q.Active(a) || *q.node(uint32(a.CPU()), osqResched) != 0 {
		return false
	}
	s := explored{q.Clone(), slices.Clone(e.states[id].at)}
	if s.lock.(*OSQ).GiveUp(a) != nil {
		return false
	}
	e.add(id, ^a, s)
	return true
}

func (e *explorer) fail(id int32, by Agent, err error) {
	path := []Agent{by}
	for ; e.from[id] >= 0; id = e.from[id] {
		path = append(path, e.by[id])
	}
	slices.Reverse(path)
	e.found.States, e.found.Failure, e.found.Path = len(e.states), err, path
}

// endless proves that every state can lead to an end: backwards from the ends.
func (e *explorer) endless(ends []int32) {
	can := make([]bool, len(e.states))
	for todo := ends; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !can[i] {
			can[i] = true
			todo = append(todo, e.into[i]...)
		}
	}
	if i := slices.Index(can, false); i >= 0 {
		e.fail(int32(i), 0, fmt.Errorf("spin: from here the end cannot be reached"))
		e.found.Path = e.found.Path[:len(e.found.Path)-1]
	}
}

// ErrPath says that a path does not fit the scripts.
var ErrPath = errors.New("spin: the path does not fit the scripts")

var progressNames = [...]string{"waits", "goes on", "done", "gives up"}

// Play takes the steps of a path from the beginning and prints each: who, in which
// operation, what came of it, and the words that changed, in hexadecimal. It returns
// what the lock's Check says in the end.
func Play(l Lock, scripts []Script, path []Agent, w io.Writer) error {
	l = l.Clone()
	at := make([]int, len(scripts))
	for i, a := range path {
		asked := a < 0
		if asked {
			a = ^a
		}
		n := slices.IndexFunc(scripts, func(s Script) bool { return s.Agent == a })
		if n < 0 || at[n] >= len(scripts[n].Ops) {
			return fmt.Errorf("%w: step %d", ErrPath, i+1)
		}
		before := slices.Clone(l.Words())
		op, what := scripts[n].Ops[at[n]], "is asked to give up"
		if asked {
			q, ok := l.(*OSQ)
			if !ok || q.GiveUp(a) != nil {
				return fmt.Errorf("%w: step %d", ErrPath, i+1)
			}
		} else {
			if !l.Active(a) {
				if err := l.Start(a, op); err != nil {
					return err
				}
			}
			p := l.Step(a)
			what = progressNames[p]
			switch p {
			case Done:
				at[n]++
			case Failed:
				at[n] += 2
			}
		}
		line := fmt.Sprintf("%3d  CPU %d level %d  %-14s %-10s", i+1, a.CPU(), a.Level(), op, what)
		for j, v := range l.Words() {
			if v != before[j] {
				line += fmt.Sprintf("  word %d = %#x", j, v)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return l.Check()
}
