package explore

import (
	"context"
	"encoding/binary"
)

// objects is a set of shared things: variables, locks, regions, then one each for all
// wait queues, for RCU's readers, and for the objects that can be freed.
type objects []uint64

func (o objects) add(i int)      { o[i/64] |= 1 << (i % 64) }
func (o objects) has(i int) bool { return o[i/64]&(1<<(i%64)) != 0 }

func (o objects) join(x objects) (changed bool) {
	for i, w := range x {
		if o[i]|w != o[i] {
			o[i] |= w
			changed = true
		}
	}
	return changed
}

func (o objects) meets(x objects) bool {
	for i, w := range x {
		if o[i]&w != 0 {
			return true
		}
	}
	return false
}

// touched are the shared things that a step reads and writes. Two steps of different
// threads commute, and neither enables or disables the other, if neither writes what
// the other touches.
type touched struct{ reads, writes objects }

func (t touched) clashes(o touched) bool {
	return t.writes.meets(o.writes) || t.writes.meets(o.reads) || t.reads.meets(o.writes)
}

// reduction knows what each step touches, and what the code from there on does.
type reduction struct {
	p *Program
	// step and future are by thread and place.
	step, future [][]touched
	words        int
	// shares says that an interrupt handler shares a thread's CPU, or that it is one.
	shares []bool
}

func newReduction(p *Program) *reduction {
	r := &reduction{p: p, words: (len(p.vars) + len(p.locks) + len(p.regions) + 3 + 63) / 64}
	for i := range p.threads {
		t := &p.threads[i]
		steps := make([]touched, len(t.code)+1)
		future := make([]touched, len(t.code)+1)
		for pc := range steps {
			steps[pc], future[pc] = r.none(), r.none()
			if pc < len(t.code) {
				r.touch(&t.code[pc], steps[pc])
			}
		}
		// Backwards until nothing changes: loops come back.
		for changed := true; changed; {
			changed = false
			for pc := len(t.code) - 1; pc >= 0; pc-- {
				f := future[pc]
				next := []int{pc + 1}
				switch st := &t.code[pc]; st.op {
				case opJump:
					next[0] = int(st.target)
				case opBranch:
					next = append(next, int(st.target))
				}
				for _, n := range next {
					changed = f.reads.join(future[n].reads) || changed
					changed = f.writes.join(future[n].writes) || changed
				}
				changed = f.reads.join(steps[pc].reads) || changed
				changed = f.writes.join(steps[pc].writes) || changed
			}
		}
		r.step, r.future = append(r.step, steps), append(r.future, future)
		shares := t.irq
		for o := range p.threads {
			shares = shares || o != i && p.threads[o].irq && p.threads[o].cpu == t.cpu
		}
		r.shares = append(r.shares, shares)
	}
	return r
}

func (r *reduction) none() touched {
	return touched{make(objects, r.words), make(objects, r.words)}
}

// Where the things behind the variables begin.
func (r *reduction) lock(i int32) int   { return len(r.p.vars) + int(i) }
func (r *reduction) region(i int32) int { return len(r.p.vars) + len(r.p.locks) + int(i) }
func (r *reduction) queues() int        { return len(r.p.vars) + len(r.p.locks) + len(r.p.regions) }

// touch adds what a step touches.
func (r *reduction) touch(st *step, t touched) {
	r.expr(st.a, t.reads)
	r.expr(st.b, t.reads)
	switch st.op {
	case opStore, opStoreRelease, opFetchAdd, opXchg, opCmpXchg:
		t.writes.add(int(st.dst))
	case opLock, opUnlock, opTryLock:
		t.writes.add(r.lock(st.dst))
	case opEnter, opLeave:
		t.writes.add(r.region(st.dst))
	case opSleep, opPrepare, opSchedule, opFinish, opWake:
		t.writes.add(r.queues())
	case opRCULock, opRCUUnlock:
		t.reads.add(r.queues() + 1)
	case opSync:
		t.writes.add(r.queues() + 1)
	case opUse:
		t.reads.add(r.queues() + 2)
	case opFree:
		t.writes.add(r.queues() + 2)
	}
}

func (r *reduction) expr(n *node, reads objects) {
	if n == nil {
		return
	}
	if n.op == 'v' {
		reads.add(int(n.n))
	}
	r.expr(n.l, reads)
	r.expr(n.r, reads)
}

// persistent finds choices that suffice: all of one thread, if nothing that the others
// may still do touches what its next step and its waiting stores do. It is choices
// itself if there is no such thread.
func (r *reduction) persistent(m *machine, choices []Choice) []Choice {
	for from := 0; from < len(choices); {
		t := choices[from].Thread
		to := from
		for to < len(choices) && choices[to].Thread == t {
			to++
		}
		if !r.shares[t] && to-from < len(choices) && r.apart(m, t) {
			return choices[from:to]
		}
		from = to
	}
	return choices
}

// apart says whether all that a thread can do next is independent of all that others
// can ever do.
func (r *reduction) apart(m *machine, t int) bool {
	mine := r.step[t][m.get(t, wPC)]
	for o := range r.p.threads {
		if o == t {
			continue
		}
		theirs := r.future[o][m.get(o, wPC)]
		if mine.clashes(theirs) {
			return false
		}
		if m.p.Weak && (r.waitingClash(m, t, theirs) || r.waitingClash(m, o, mine)) {
			return false
		}
	}
	return true
}

// waitingClash says whether a thread's waiting stores write what is touched.
func (r *reduction) waitingClash(m *machine, t int, x touched) bool {
	b := m.word(t, wBuffer)
	for i := range int(m.get(t, wStores)) {
		if v := int(m.s[b+2*i]); x.reads.has(v) || x.writes.has(v) {
			return true
		}
	}
	return false
}

// choiceTouches is what a choice touches in the machine's state.
func (r *reduction) choiceTouches(m *machine, c Choice) touched {
	if c.Flush == 0 {
		return r.step[c.Thread][m.get(c.Thread, wPC)]
	}
	t := r.none()
	t.writes.add(int(m.s[m.word(c.Thread, wBuffer)+2*(c.Flush-1)]))
	return t
}

// independent says whether two choices of a state commute there.
func (r *reduction) independent(m *machine, a, b Choice) bool {
	if a.Thread == b.Thread || r.shares[a.Thread] && r.shares[b.Thread] && r.p.threads[a.Thread].cpu == r.p.threads[b.Thread].cpu {
		return false
	}
	return !r.choiceTouches(m, a).clashes(r.choiceTouches(m, b))
}

// Classes is what [Traces] came to.
type Classes struct {
	Result
	// Finals is how many different states the schedules end in.
	Finals int `json:"finals"`
}

// tracer runs one schedule of each class, depth first.
type tracer struct {
	m      *machine
	r      *reduction
	o      Options
	out    Classes
	finals map[string]struct{}
	trail  []Choice
	ctx    context.Context
}

// Traces runs one schedule of each class of those that differ only in the order of
// steps that commute, by persistent sets and sleep sets. It is exact for programs that
// end on every schedule; for others, and beyond MaxStates schedules, the error wraps
// [ErrLimit]. A schedule longer than MaxSteps is given up.
func Traces(ctx context.Context, p *Program, o Options) (*Classes, error) {
	t := &tracer{m: newMachine(p), r: newReduction(p), o: o.withDefaults(), finals: map[string]struct{}{}, ctx: ctx}
	err := t.visit(nil)
	t.out.Finals = len(t.finals)
	t.out.Complete = err == nil && t.out.Failure == nil
	return &t.out, err
}

func (t *tracer) visit(sleep []Choice) error {
	if t.out.Schedules > t.o.MaxStates || len(t.trail) > t.o.MaxSteps {
		return ErrLimit
	}
	choices := t.m.choices(nil)
	if len(choices) == 0 || t.idle(choices) {
		t.end()
		if len(choices) == 0 || t.out.Failure != nil {
			return nil
		}
	}
	state := append([]int32(nil), t.m.s...)
	for _, c := range t.r.persistent(t.m, choices) {
		if contains(sleep, c) {
			continue
		}
		var below []Choice
		for _, x := range sleep {
			if t.r.independent(t.m, x, c) {
				below = append(below, x)
			}
		}
		if err := t.step(c, below); err != nil || t.out.Failure != nil {
			return err
		}
		copy(t.m.s, state)
		sleep = append(sleep[:len(sleep):len(sleep)], c)
	}
	return nil
}

func contains(cs []Choice, c Choice) bool {
	for _, x := range cs {
		if x == c {
			return true
		}
	}
	return false
}

// step takes a choice and what follows it.
func (t *tracer) step(c Choice, sleep []Choice) error {
	t.trail = append(t.trail, c)
	defer func() { t.trail = t.trail[:len(t.trail)-1] }()
	t.m.take(c)
	if t.out.Steps++; t.out.Steps&1023 == 0 && t.ctx.Err() != nil {
		return t.ctx.Err()
	}
	if t.m.fail != nil {
		t.failed(t.m.fail)
		return nil
	}
	return t.visit(sleep)
}

func (t *tracer) failed(f *Failure) {
	f.Schedule = append([]Choice(nil), t.trail...)
	t.out.Failure = f
}

// idle says whether only interrupts could still come, which need not.
func (t *tracer) idle(choices []Choice) bool {
	for _, c := range choices {
		if !t.m.p.threads[c.Thread].irq || t.m.get(c.Thread, wPC) != 0 || c.Flush > 0 {
			return false
		}
	}
	return t.m.stuck() == nil
}

// end counts a schedule that is over.
func (t *tracer) end() {
	t.out.Schedules++
	if f := t.m.stuck(); f != nil {
		t.failed(f)
		return
	}
	var key []byte
	for _, w := range t.m.s {
		key = binary.LittleEndian.AppendUint32(key, uint32(w))
	}
	t.finals[string(key)] = struct{}{}
}
