package explore

import (
	"fmt"
	"slices"
)

// bufferSize is how many stores a thread's buffer holds; a store to a full buffer
// waits.
const bufferSize = 4

// A state is a vector of words: variables; owners of locks and regions (thread+1);
// freed objects; the handler that runs on each CPU (thread+1); then each thread's
// words and registers.
const (
	wPC     = iota
	wQueue  // the queue that the thread is in, +1; 0 if none
	wAsleep // 1 while it waits for a wake-up
	wIRQOff
	wRCU    // depth of readers
	wGrace  // readers that synchronize_rcu waits for, -1 if it does not
	wStores // how many stores wait
	wBuffer // variable and value of each
	wRegs   = wBuffer + 2*bufferSize
)

// machine runs a program: a state and what is needed to change it.
type machine struct {
	p *Program
	s []int32
	// Where the parts of a state begin.
	locks, regions, freed, cpus, threads int
	// stride is the number of words of a thread.
	stride int
	fail   *Failure
}

func newMachine(p *Program) *machine {
	m := &machine{p: p}
	m.locks = len(p.vars)
	m.regions = m.locks + len(p.locks)
	m.freed = m.regions + len(p.regions)
	m.cpus = m.freed + 1
	m.threads = m.cpus + maxCPUs
	regs := 0
	for _, t := range p.threads {
		regs = max(regs, len(t.regs))
	}
	m.stride = wRegs + regs
	m.s = make([]int32, m.threads+m.stride*len(p.threads))
	m.reset()
	return m
}

// reset makes the state the initial one.
func (m *machine) reset() {
	clear(m.s)
	m.fail = nil
	for i, v := range m.p.vars {
		m.s[i] = v.init
	}
	for t := range m.p.threads {
		m.set(t, wGrace, -1)
		if self := slices.Index(m.p.threads[t].regs, "self"); self >= 0 {
			m.s[m.reg(t, int32(self))] = int32(t + 1)
		}
	}
}

func (m *machine) word(t, w int) int              { return m.threads + t*m.stride + w }
func (m *machine) reg(t int, r int32) int         { return m.word(t, wRegs+int(r)) }
func (m *machine) get(t, w int) int32             { return m.s[m.word(t, w)] }
func (m *machine) set(t, w int, v int32)          { m.s[m.word(t, w)] = v }
func (m *machine) done(t int) bool                { return int(m.get(t, wPC)) >= len(m.p.threads[t].code) }
func (m *machine) current(t int) *step            { return &m.p.threads[t].code[m.get(t, wPC)] }
func (m *machine) owner(base int, i int32) *int32 { return &m.s[base+int(i)] }

// load is a variable as a thread sees it: its own last store that still waits, or
// memory.
func (m *machine) load(t int, v int32) int32 {
	b := m.word(t, wBuffer)
	for i := int(m.get(t, wStores)) - 1; i >= 0; i-- {
		if m.s[b+2*i] == v {
			return m.s[b+2*i+1]
		}
	}
	return m.s[v]
}

func (m *machine) store(t int, v, value int32) {
	if !m.p.Weak {
		m.s[v] = value
		return
	}
	n := m.get(t, wStores)
	b := m.word(t, wBuffer) + 2*int(n)
	m.s[b], m.s[b+1] = v, value
	m.set(t, wStores, n+1)
}

// canFlush says whether a waiting store may reach memory: those to one variable do
// so in order.
func (m *machine) canFlush(t, n int) bool {
	b := m.word(t, wBuffer)
	for i := range n {
		if m.s[b+2*i] == m.s[b+2*n] {
			return false
		}
	}
	return n < int(m.get(t, wStores))
}

func (m *machine) flush(t, n int) {
	b := m.word(t, wBuffer)
	count := int(m.get(t, wStores))
	m.s[m.s[b+2*n]] = m.s[b+2*n+1]
	copy(m.s[b+2*n:b+2*count], m.s[b+2*n+2:b+2*count])
	m.s[b+2*count-2], m.s[b+2*count-1] = 0, 0
	m.set(t, wStores, int32(count-1))
}

// ordered are the steps that wait until the thread's stores have reached memory.
var ordered = [...]bool{
	opStoreRelease: true, opFetchAdd: true, opXchg: true, opCmpXchg: true, opBarrier: true, opUnlock: true,
	opSync: true, opPrepare: true, opWake: true, opLeave: true, opFree: true, opNop: false,
}

// enabled says whether a thread can take its next step.
func (m *machine) enabled(t int) bool {
	if m.done(t) {
		return false
	}
	th := &m.p.threads[t]
	running := m.s[m.cpus+int(th.cpu)]
	if running != 0 && running != int32(t+1) || th.irq && running == 0 && !m.canInterrupt(th.cpu) {
		return false
	}
	if m.get(t, wAsleep) != 0 {
		return m.get(t, wQueue) == 0
	}
	st := m.current(t)
	stores := m.get(t, wStores)
	switch {
	case ordered[st.op] && stores > 0, st.op == opStore && m.p.Weak && stores == bufferSize:
		return false
	case st.op == opAwait:
		return m.eval(st.a, t) != 0
	case st.op == opLock:
		return *m.owner(m.locks, st.dst) == 0
	case st.op == opSync:
		return m.get(t, wGrace) <= 0
	}
	return true
}

// canInterrupt says whether a CPU takes interrupts.
func (m *machine) canInterrupt(cpu int32) bool {
	for t := range m.p.threads {
		if m.p.threads[t].cpu == cpu && m.get(t, wIRQOff) != 0 {
			return false
		}
	}
	return true
}

func (m *machine) failure(k FailureKind, t int, st *step, format string, args ...any) {
	if m.fail == nil {
		m.fail = &Failure{Kind: k, Text: fmt.Sprintf("%s line %d %q: ", m.p.threads[t].name, st.line, st.text) + fmt.Sprintf(format, args...)}
	}
}

// run takes a thread's next step, which must be enabled.
func (m *machine) run(t int) {
	th := &m.p.threads[t]
	if th.irq {
		m.s[m.cpus+int(th.cpu)] = int32(t + 1)
	}
	st := m.current(t)
	next := m.get(t, wPC) + 1
	switch st.op {
	case opAssign:
		m.s[m.reg(t, st.dst)] = m.eval(st.a, t)
	case opStore:
		m.store(t, st.dst, m.eval(st.a, t))
	case opStoreRelease:
		m.s[st.dst] = m.eval(st.a, t)
	case opFetchAdd, opXchg, opCmpXchg:
		m.atomic(t, st)
	case opBranch:
		if m.eval(st.a, t) == 0 {
			next = st.target
		}
	case opJump:
		next = st.target
	case opAssert:
		if m.eval(st.a, t) == 0 {
			m.failure(AssertFailed, t, st, "it is 0")
		}
	default:
		next = m.sync(t, st, next)
	}
	m.set(t, wPC, next)
	if th.irq && m.done(t) {
		m.s[m.cpus+int(th.cpu)] = 0
	}
}

func (m *machine) atomic(t int, st *step) {
	old := m.s[st.dst]
	a := m.eval(st.a, t)
	switch {
	case st.op == opFetchAdd:
		m.s[st.dst] = old + a
	case st.op == opXchg:
		m.s[st.dst] = a
	case old == a:
		m.s[st.dst] = m.eval(st.b, t)
	}
	m.s[m.reg(t, st.reg)] = old
}

// sync takes the steps of synchronization; it returns the next place.
func (m *machine) sync(t int, st *step, next int32) int32 {
	self := int32(t + 1)
	switch st.op {
	case opEnter, opLeave:
		m.region(t, st)
	case opLock:
		*m.owner(m.locks, st.dst) = self
	case opTryLock:
		free := *m.owner(m.locks, st.dst) == 0
		if free {
			*m.owner(m.locks, st.dst) = self
		}
		m.s[m.reg(t, st.reg)] = truth(free)
	case opUnlock:
		if *m.owner(m.locks, st.dst) != self {
			m.failure(Misuse, t, st, "WARNING: bad unlock balance detected!")
		}
		*m.owner(m.locks, st.dst) = 0
	case opSleep, opPrepare, opSchedule, opFinish, opWake:
		return m.waiting(t, st, next)
	case opIRQOff:
		m.set(t, wIRQOff, 1)
	case opIRQOn:
		m.set(t, wIRQOff, 0)
	case opRCULock, opRCUUnlock, opSync:
		return m.rcu(t, st, next)
	case opUse, opFree:
		m.object(t, st)
	}
	return next
}

func (m *machine) region(t int, st *step) {
	owner := m.owner(m.regions, st.dst)
	if st.op == opLeave {
		*owner = 0
		return
	}
	if *owner != 0 {
		m.failure(NotExclusive, t, st, "%s is inside", m.p.threads[*owner-1].name)
	}
	*owner = int32(t + 1)
}

// waiting takes the steps of wait queues. A sleeper stays at its step until it is
// woken.
func (m *machine) waiting(t int, st *step, next int32) int32 {
	switch st.op {
	case opPrepare:
		m.set(t, wQueue, st.dst+1)
	case opFinish:
		m.set(t, wQueue, 0)
	case opWake:
		for o := range m.p.threads {
			if m.get(o, wQueue) == st.dst+1 {
				m.set(o, wQueue, 0)
			}
		}
	case opSleep, opSchedule:
		if m.get(t, wAsleep) != 0 {
			m.set(t, wAsleep, 0)
			return next
		}
		if m.get(t, wIRQOff) != 0 || m.p.threads[t].irq {
			m.failure(Misuse, t, st, "BUG: scheduling while atomic")
		}
		if st.op == opSleep {
			m.set(t, wQueue, st.dst+1)
		}
		if m.get(t, wQueue) == 0 {
			return next
		}
		m.set(t, wAsleep, 1)
		return next - 1
	}
	return next
}

// rcu takes the steps of RCU. synchronize_rcu notes the readers that are inside
// and stays until they have left.
func (m *machine) rcu(t int, st *step, next int32) int32 {
	switch st.op {
	case opRCULock:
		m.set(t, wRCU, m.get(t, wRCU)+1)
	case opRCUUnlock:
		depth := m.get(t, wRCU) - 1
		if depth < 0 {
			m.failure(Misuse, t, st, "WARNING: bad unlock balance detected!")
			return next
		}
		m.set(t, wRCU, depth)
		for o := range m.p.threads {
			if g := m.get(o, wGrace); depth == 0 && g > 0 {
				m.set(o, wGrace, g&^(1<<t))
			}
		}
	case opSync:
		if m.get(t, wGrace) == 0 {
			m.set(t, wGrace, -1)
			return next
		}
		if m.get(t, wRCU) > 0 {
			m.failure(Misuse, t, st, "Illegal synchronize_rcu() in RCU read-side critical section")
		}
		m.set(t, wGrace, m.readers())
		return next - 1
	}
	return next
}

func (m *machine) readers() int32 {
	inside := int32(0)
	for o := range m.p.threads {
		if m.get(o, wRCU) > 0 {
			inside |= 1 << o
		}
	}
	return inside
}

// object uses or frees an object by number.
func (m *machine) object(t int, st *step) {
	n := m.eval(st.a, t)
	if n <= 0 || int(n) > len(m.p.objects) {
		return
	}
	bit := int32(1) << (n - 1)
	gone := m.s[m.freed]&bit != 0
	switch {
	case st.op == opUse && gone:
		m.failure(EarlyFree, t, st, "%s was freed", m.p.objects[n-1])
	case st.op == opFree && gone:
		m.failure(DoubleFree, t, st, "%s was freed", m.p.objects[n-1])
	case st.op == opFree:
		m.s[m.freed] |= bit
	}
}

// choices appends what can be done in the state.
func (m *machine) choices(out []Choice) []Choice {
	for t := range m.p.threads {
		if m.enabled(t) {
			out = append(out, Choice{Thread: t})
		}
		for n := range int(m.get(t, wStores)) {
			if m.canFlush(t, n) {
				out = append(out, Choice{Thread: t, Flush: n + 1})
			}
		}
	}
	return out
}

func (m *machine) take(c Choice) {
	if c.Flush > 0 {
		m.flush(c.Thread, c.Flush-1)
		return
	}
	m.run(c.Thread)
}

// stuck is the failure of a state in which nothing can be done, nil if all threads
// are done. Interrupts need not come.
func (m *machine) stuck() *Failure {
	kind := FailureKind("")
	text := ""
	for t := range m.p.threads {
		if m.done(t) || m.p.threads[t].irq && m.get(t, wPC) == 0 {
			continue
		}
		if kind == "" {
			kind = Deadlock
		}
		if m.get(t, wAsleep) != 0 {
			kind = LostWakeup
		}
		st := m.current(t)
		text += fmt.Sprintf("; %s line %d %q waits", m.p.threads[t].name, st.line, st.text)
	}
	if kind == "" {
		return nil
	}
	return &Failure{Kind: kind, Text: text[2:]}
}
