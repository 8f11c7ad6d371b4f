package lkmm

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// maxMachineStates bounds the exploration of a machine.
const maxMachineStates = 1 << 20

// Reachable finds all final states that a machine can reach, sorted. Whatever
// it reaches the model has to allow. State.Executions counts the states of the
// machine, with different registers or memory, that look the same.
func Reachable(ctx context.Context, t *Test, arch Architecture, opt Options) ([]State, error) {
	m, err := NewMachine(t, arch, opt)
	if err != nil {
		return nil, err
	}
	x := &explorer{ctx: ctx, test: t, seen: map[string]bool{}, finals: map[string]State{}}
	if err := x.visit(m); err != nil {
		return nil, err
	}
	var out []State
	// Sorted below, so order does not matter.
	for _, s := range x.finals {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b State) int { return slices.Compare(a.Values, b.Values) })
	return out, nil
}

// Trace finds a run of a machine that ends with the test's condition; the
// steps can be taken one by one on a [NewMachine]. ok is false if no run does.
func Trace(ctx context.Context, t *Test, arch Architecture, opt Options) (steps []Action, ok bool, err error) {
	m, err := NewMachine(t, arch, opt)
	if err != nil {
		return nil, false, err
	}
	x := &explorer{ctx: ctx, test: t, seen: map[string]bool{}, finals: map[string]State{}, wanted: true}
	err = x.visit(m)
	return x.found, x.hit, err
}

// explorer walks a machine's states depth first, each once.
type explorer struct {
	ctx    context.Context
	test   *Test
	seen   map[string]bool
	finals map[string]State
	key    []byte
	// wanted: stop at a final state with the condition; steps lead to where
	// the explorer is, found to that state.
	wanted       bool
	steps, found []Action
	hit          bool
}

func (x *explorer) visit(m *Machine) error {
	x.key = m.key(x.key[:0])
	if x.seen[string(x.key)] {
		return nil
	}
	if len(x.seen) >= maxMachineStates {
		return fmt.Errorf("lkmm: %s: more than %d states of the machine: %w", x.test.Name, maxMachineStates, ErrTooLarge)
	}
	x.seen[string(x.key)] = true
	if len(x.seen)&0xff == 0 && x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if m.Finished() {
		x.finish(m)
		return nil
	}
	for _, a := range m.Actions() {
		next := m.Clone()
		next.Do(a)
		x.steps = append(x.steps, a)
		if err := x.visit(next); err != nil || x.hit {
			return err
		}
		x.steps = x.steps[:len(x.steps)-1]
	}
	return nil
}

// finish notes a final state that passes the test's filter.
func (x *explorer) finish(m *Machine) {
	values := m.State()
	look := func(obs int) (Value, bool) { return values[obs], true }
	if x.test.filter.eval(look) != holds {
		return
	}
	key := fmt.Sprint(values)
	s := x.finals[key]
	s.Values, s.Holds = values, x.test.condition.eval(look) == holds
	s.Executions++
	if x.wanted && s.Holds {
		x.found, x.hit = slices.Clone(x.steps), true
	}
	x.finals[key] = s
}

// key encodes a machine's state.
func (m *Machine) key(out []byte) []byte {
	for i := range m.cpus {
		c := &m.cpus[i]
		for _, a := range c.alive {
			out = binary.AppendUvarint(out, uint64(a)+1)
		}
		out = append(out, 0)
		for _, w := range c.done {
			out = binary.AppendUvarint(out, w)
		}
		for e, v := range c.vals {
			if c.done.has(e) {
				out = binary.AppendVarint(out, int64(v))
			}
		}
		for _, b := range c.buffer {
			out = binary.AppendUvarint(out, uint64(b.cell)+1)
			out = binary.AppendVarint(out, int64(b.val))
		}
		out = append(out, 0)
		if c.waiting {
			out = binary.AppendUvarint(out, c.quiet+1)
		} else {
			out = append(out, 0)
		}
	}
	for _, v := range m.mem {
		out = binary.AppendVarint(out, int64(v))
	}
	return out
}
