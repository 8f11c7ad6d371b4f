package lkmm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Architecture is a kind of simulated multiprocessor.
type Architecture uint8

// Architectures. Both have one memory that all CPUs see at once.
const (
	// TSO is x86: a CPU executes in order; its stores wait in a buffer, first
	// in, first out, from which its own loads are served.
	TSO Architecture = iota
	// Weak is ARM-like: a CPU executes out of order and past branches, as far
	// as fences, dependencies and coherence let it. Stores wait for the
	// branches before them.
	Weak
	numArchitectures
)

var architectureNames = [numArchitectures]string{"tso", "weak"}

func (a Architecture) String() string { return architectureNames[a] }

// ParseArchitecture finds an architecture by its name.
func ParseArchitecture(name string) (Architecture, error) {
	if i := slices.Index(architectureNames[:], name); i >= 0 {
		return Architecture(i), nil
	}
	return 0, fmt.Errorf("lkmm: no architecture is called %q: %v", name, architectureNames)
}

// ErrUnsupported: the machine cannot run the test, such as an SRCU critical
// section that ends on another CPU.
var ErrUnsupported = errors.New("not supported by the simulated machine")

// maxCPUs bounds the threads that a machine runs.
const maxCPUs = 64

// program is a test in the form that machines execute; it never changes.
type program struct {
	test  *Test
	arch  Architecture
	cells *cells
	paths [][]path // by CPU
	rcu   [][][]int8
	// stuck: some thread cannot be run to its end in any way, such as one that
	// takes a lock twice.
	stuck bool
}

// Machine runs a litmus test step by step on simulated CPUs. Where several
// steps are possible the caller chooses, so that every behaviour of the
// architecture can be seen and repeated.
type Machine struct {
	prog *program
	cpus []cpuState
	mem  []Value
}

// cpuState is what a CPU has done so far.
type cpuState struct {
	alive  []int32 // paths that agree with what was read and predicted
	done   bitset  // events executed; stores in the buffer count
	vals   []Value // what the reads returned, by event
	buffer []buffered
	// waiting: a grace period has begun. quiet are the CPUs that have passed a
	// quiescent state since.
	waiting bool
	quiet   uint64
}

// buffered is a store on its way to memory.
type buffered struct {
	cell  int32
	val   Value
	event int32
}

// NewMachine prepares a test to be run from its start. An error is a
// *[ProgramError] or wraps [ErrUnsupported].
func NewMachine(t *Test, arch Architecture, opt Options) (*Machine, error) {
	opt = opt.withDefaults()
	if len(t.Threads) > maxCPUs || arch >= numArchitectures {
		return nil, fmt.Errorf("lkmm: %s: %d CPUs: %w", t.Name, len(t.Threads), ErrUnsupported)
	}
	p := &program{test: t, arch: arch, cells: newCells(t)}
	m := &Machine{prog: p}
	all, err := unfoldAll(context.Background(), t, &opt)
	if err != nil {
		return nil, err
	}
	for i, paths := range all {
		if err := supported(t, paths); err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			p.stuck = true
			paths = []path{{syms: newSymbols()}}
			paths[0].regs = make([]symID, len(t.Threads[i].regs))
			paths[0].syms.constant(0)
		}
		p.paths = append(p.paths, paths)
	}
	if _, err := analyse(context.Background(), p.cells, p.paths); err != nil {
		return nil, err
	}
	p.countSections()
	for _, paths := range p.paths {
		m.cpus = append(m.cpus, newCPU(paths))
	}
	for _, c := range p.cells.list {
		m.mem = append(m.mem, c.init)
	}
	m.settle()
	return m, nil
}

func newCPU(paths []path) cpuState {
	longest := 0
	c := cpuState{}
	for i := range paths {
		c.alive = append(c.alive, int32(i))
		longest = max(longest, len(paths[i].events))
	}
	c.vals = make([]Value, longest)
	return c
}

// supported looks for critical sections of SRCU that do not end on their CPU.
func supported(t *Test, paths []path) error {
	for i := range paths {
		locks, unlocks := 0, 0
		for j := range paths[i].events {
			switch e := &paths[i].events[j]; {
			case e.flags&flagSrcuLock != 0:
				locks++
			case e.flags&flagSrcuUnlock != 0:
				unlocks++
			}
		}
		if locks != unlocks {
			return fmt.Errorf("lkmm: %s: SRCU section across CPUs: %w", t.Name, ErrUnsupported)
		}
	}
	return nil
}

// countSections counts the RCU critical sections around every event.
func (p *program) countSections() {
	for _, paths := range p.paths {
		var byPath [][]int8
		for i := range paths {
			depth := make([]int8, len(paths[i].events)+1)
			for j := range paths[i].events {
				depth[j+1] = depth[j]
				switch e := &paths[i].events[j]; {
				case e.isFence(fenceRcuLock):
					depth[j+1]++
				case e.isFence(fenceRcuUnlock):
					depth[j+1]--
				}
			}
			byPath = append(byPath, depth)
		}
		p.rcu = append(p.rcu, byPath)
	}
}

// Clone copies the machine with its state.
func (m *Machine) Clone() *Machine {
	out := &Machine{prog: m.prog, cpus: slices.Clone(m.cpus), mem: slices.Clone(m.mem)}
	for i := range out.cpus {
		c := &out.cpus[i]
		c.alive, c.vals, c.buffer = slices.Clone(c.alive), slices.Clone(c.vals), slices.Clone(c.buffer)
	}
	return out
}

// path is a CPU's first path that is still possible.
func (m *Machine) path(cpu int) *path { return &m.prog.paths[cpu][m.cpus[cpu].alive[0]] }

// value computes a symbol of a CPU's path as far as its reads are done.
func (m *Machine) value(cpu int, p *path, id symID) (Value, bool) {
	s := p.syms.list[id]
	switch s.kind {
	case symConst:
		return s.value, true
	case symRead:
		c := &m.cpus[cpu]
		return c.vals[s.a], c.done.has(int(s.a))
	case symUnary:
		a, ok := m.value(cpu, p, s.a)
		return applyUnary(s.op, a), ok
	}
	a, ok := m.value(cpu, p, s.a)
	if !ok {
		return 0, false
	}
	b, ok := m.value(cpu, p, s.b)
	return applyBinary(s.op, a, b), ok
}

// cellOf is the place that an event works on, as far as its address is known.
func (m *Machine) cellOf(cpu int, e *event) (int32, bool) {
	v, ok := m.value(cpu, m.path(cpu), e.addr)
	if !ok {
		return 0, false
	}
	c, ok := m.prog.cells.index[v]
	return c, ok
}

// survivors are the paths that agree with the CPU's reads if event returned v.
func (m *Machine) survivors(cpu, event int, v Value) []int32 {
	c := &m.cpus[cpu]
	old, had := c.vals[event], c.done.has(event)
	c.vals[event] = v
	c.done.add(event)
	var out []int32
	for _, i := range c.alive {
		if m.agrees(cpu, &m.prog.paths[cpu][i]) {
			out = append(out, i)
		}
	}
	c.vals[event] = old
	if !had {
		c.done.del(event)
	}
	return out
}

// agrees says whether no condition of a path is known to fail.
func (m *Machine) agrees(cpu int, p *path) bool {
	for _, a := range p.asserts {
		if v, ok := m.value(cpu, p, a.sym); ok && (v != 0) != a.want {
			return false
		}
	}
	return true
}

// Finished says whether every CPU has executed everything and every store has
// reached memory.
func (m *Machine) Finished() bool {
	if m.prog.stuck {
		return false
	}
	for i := range m.cpus {
		c := &m.cpus[i]
		if len(c.alive) != 1 || len(c.buffer) > 0 || m.firstUndone(i) < len(m.path(i).events) {
			return false
		}
	}
	return true
}

// firstUndone is the first event of a CPU that is not executed.
func (m *Machine) firstUndone(cpu int) int {
	events := m.path(cpu).events
	for i := range events {
		if !m.cpus[cpu].done.has(i) {
			return i
		}
	}
	return len(events)
}

// State gives the final state of a finished machine, in the order of
// [Test.Observed].
func (m *Machine) State() []Value {
	var out []Value
	for _, o := range m.prog.test.observed {
		if o.thread >= 0 {
			p := m.path(o.thread)
			v, _ := m.value(o.thread, p, p.regs[o.reg])
			out = append(out, v)
			continue
		}
		addr := addressOf(o.loc) + Value(o.elem)
		if c, ok := m.prog.cells.index[addr]; ok {
			out = append(out, m.mem[c])
		} else {
			out = append(out, m.prog.cells.initial(addr))
		}
	}
	return out
}

// actionKind is what a step does.
type actionKind uint8

const (
	actExecute actionKind = iota
	actDrain              // the oldest store leaves the buffer
	actPredict            // go on past a branch whose condition is not known
	actBegin              // of a grace period
	actEnd
)

// Action is a step that a machine can take next.
type Action struct {
	CPU int
	// Text tells what happens, such as "P1: load y=0 from memory".
	Text string

	kind  actionKind
	event int
	want  bool
}

// Actions lists the steps that are possible now, by CPU. An empty list in an
// unfinished machine means a deadlock, or that a prediction was wrong.
func (m *Machine) Actions() []Action {
	var out []Action
	if m.prog.stuck {
		return nil
	}
	for cpu := range m.cpus {
		if m.prog.arch == TSO {
			out = m.tsoActions(out, cpu)
		} else {
			out = m.weakActions(out, cpu)
		}
	}
	return out
}

// Do takes a step that [Machine.Actions] offered for this state.
func (m *Machine) Do(a Action) {
	c := &m.cpus[a.CPU]
	switch a.kind {
	case actDrain:
		m.mem[c.buffer[0].cell] = c.buffer[0].val
		c.buffer = c.buffer[1:]
	case actPredict:
		c.alive = m.predicted(a.CPU, a.want)
	case actBegin:
		c.waiting, c.quiet = true, 0
	case actEnd:
		c.waiting = false
		c.done.add(a.event)
	case actExecute:
		m.execute(a.CPU, a.event)
	}
	m.settle()
}

// execute performs a load, a store, or both halves of a read-modify-write.
func (m *Machine) execute(cpu, event int) {
	c := &m.cpus[cpu]
	e := &m.path(cpu).events[event]
	if e.kind == eventRead {
		v, _ := m.load(cpu, event)
		c.alive = m.survivors(cpu, event, v)
		c.vals[event] = v
		c.done.add(event)
		if w := m.path(cpu).events[event].rmw; w >= 0 {
			m.store(cpu, int(w), true)
		}
		return
	}
	m.store(cpu, event, m.prog.arch == Weak)
}

// store writes to memory, or puts the store into the buffer.
func (m *Machine) store(cpu, event int, direct bool) {
	c := &m.cpus[cpu]
	e := &m.path(cpu).events[event]
	cell, _ := m.cellOf(cpu, e)
	v, _ := m.value(cpu, m.path(cpu), e.val)
	c.done.add(event)
	if direct {
		m.mem[cell] = v
		return
	}
	c.buffer = append(c.buffer, buffered{cell, v, int32(event)})
}

// load is the value that a read would return now, and where from.
func (m *Machine) load(cpu, event int) (v Value, from string) {
	cell, _ := m.cellOf(cpu, &m.path(cpu).events[event])
	c := &m.cpus[cpu]
	if m.prog.arch == TSO {
		for i := len(c.buffer) - 1; i >= 0; i-- {
			if c.buffer[i].cell == cell {
				return c.buffer[i].val, "from the store buffer"
			}
		}
		return m.mem[cell], "from memory"
	}
	if w := m.forwarding(cpu, event, cell); w >= 0 {
		v, _ := m.value(cpu, m.path(cpu), m.path(cpu).events[w].val)
		return v, "forwarded from an earlier store"
	}
	return m.mem[cell], "from memory"
}

// accessText describes a load or store.
func (m *Machine) accessText(cpu, event int) string {
	e := &m.path(cpu).events[event]
	cell, _ := m.cellOf(cpu, e)
	name := m.prog.cells.list[cell].addr.format(m.prog.test.Locations)
	cpuName := m.prog.test.Threads[cpu].Name
	if e.kind == eventRead {
		v, from := m.load(cpu, event)
		what := "load"
		if e.flags&(flagAtomic|flagLKR) != 0 {
			what = "atomic operation on"
		}
		return fmt.Sprintf("%s: %s %s=%s %s", cpuName, what, name, v.format(m.prog.test.Locations), from)
	}
	v, _ := m.value(cpu, m.path(cpu), e.val)
	into := "into the store buffer"
	if m.prog.arch == Weak {
		into = "to memory"
	}
	return fmt.Sprintf("%s: store %s=%s %s", cpuName, name, v.format(m.prog.test.Locations), into)
}

// String shows the machine: for each CPU the instruction it is at and its
// store buffer, then the memory.
func (m *Machine) String() string {
	var out strings.Builder
	t := m.prog.test
	for cpu := range m.cpus {
		next := m.firstUndone(cpu)
		where := "finished"
		if events := m.path(cpu).events; next < len(events) {
			where = "at " + events[next].pos.String()
		}
		fmt.Fprintf(&out, "%s %s", t.Threads[cpu].Name, where)
		for _, b := range m.cpus[cpu].buffer {
			fmt.Fprintf(&out, " [%s=%s]", m.prog.cells.list[b.cell].addr.format(t.Locations), b.val.format(t.Locations))
		}
		out.WriteString("\n")
	}
	out.WriteString("memory")
	for i, v := range m.mem {
		fmt.Fprintf(&out, " %s=%s", m.prog.cells.list[i].addr.format(t.Locations), v.format(t.Locations))
	}
	return out.String() + "\n"
}
