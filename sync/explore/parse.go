package explore

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ParseError says where a program is broken.
type ParseError struct {
	File            string
	Line            int
	Found, Expected string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d: found %s, expected %s", e.File, e.Line, e.Found, e.Expected)
}

// Limits of a program.
const (
	maxThreads = 8
	maxSteps   = 1000
	maxRegs    = 16
	maxVars    = 64
	maxCPUs    = 8
)

// compiler turns lines into steps.
type compiler struct {
	p      *Program
	vars   map[string]int32
	thread *thread
	// group are the threads that share the code that follows.
	group  int
	line   int
	text   string
	labels map[string]int32
	jumps  []jump
	open   []block
}

// jump is a goto whose label may come later.
type jump struct {
	at    int32
	label string
	line  int
}

// block is an open if or while: where it began, and the jumps that wait for its
// end.
type block struct {
	loop    bool
	begin   int32
	pending int32
}

// Parse reads a program's text:
//
//	program NAME              memory sc|weak
//	var NAME [= N], ...       shared variables
//	object NAME, ...          objects that can be freed: 1, 2, ...
//	thread NAME [cpu N] [; NAME [cpu N] ...]     threads with the same code
//	irq NAME cpu N            an interrupt handler, which may come once, at any time
//
// and steps, one a line:
//
//	x = EXPR                  to a variable or, for other names, a register
//	r = fetch_add x EXPR      r = xchg x EXPR      r = cmpxchg x OLD NEW
//	store_release x EXPR      mb      wmb
//	if EXPR ... else ... end  while EXPR ... end   goto L      L:
//	await EXPR                assert EXPR
//	enter R, leave R          a critical section that only one may be in
//	lock L, unlock L, r = trylock L
//	sleep Q, wake Q           wait until woken; wake all that sleep or are queued
//	prepare Q, schedule, finish    queue for a wake-up; wait for it; leave the queue
//	irq_off, irq_on
//	rcu_read_lock, rcu_read_unlock, synchronize_rcu
//	use EXPR, free EXPR       an object by number; 0 is none
//
// The register self is the thread's number, from 1, in the order of the text.
// A step reads or writes shared variables at most once. "#" begins a comment. name
// is the file's, for errors.
func Parse(name string, r io.Reader) (*Program, error) {
	c := &compiler{p: &Program{Name: name}, vars: map[string]int32{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), 4096)
	for sc.Scan() {
		c.line++
		text, _, _ := strings.Cut(sc.Text(), "#")
		c.text = strings.TrimSpace(text)
		if c.text == "" {
			continue
		}
		if err := c.statement(strings.Fields(c.text)); err != nil {
			return nil, &ParseError{name, c.line, strconv.Quote(c.text), err.Error()}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, &ParseError{name, c.line + 1, err.Error(), "a line of at most 4096 bytes"}
	}
	if err := c.endThread(); err != nil {
		return nil, &ParseError{name, c.line, "the end", err.Error()}
	}
	if len(c.p.threads) == 0 {
		return nil, &ParseError{name, c.line, "the end", "a thread"}
	}
	return c.p, nil
}

func (c *compiler) statement(f []string) error {
	switch f[0] {
	case "program":
		if len(f) != 2 {
			return fmt.Errorf("program NAME")
		}
		c.p.Name = f[1]
		return nil
	case "memory":
		if len(f) != 2 || f[1] != "sc" && f[1] != "weak" {
			return fmt.Errorf("memory sc or memory weak")
		}
		c.p.Weak = f[1] == "weak"
		return nil
	case "var":
		return c.variables(strings.TrimSpace(strings.TrimPrefix(c.text, "var")))
	case "object":
		for _, name := range strings.Split(strings.TrimSpace(strings.TrimPrefix(c.text, "object")), ",") {
			c.p.objects = append(c.p.objects, strings.TrimSpace(name))
		}
		if len(c.p.objects) > 30 {
			return fmt.Errorf("at most 30 objects")
		}
		return nil
	case "thread", "irq":
		return c.begin(f[0] == "irq")
	}
	if c.thread == nil {
		return fmt.Errorf("program, memory, var, object, thread or irq")
	}
	if len(c.thread.code) >= maxSteps {
		return fmt.Errorf("at most %d steps", maxSteps)
	}
	return c.step(f)
}

func (c *compiler) variables(list string) error {
	if c.thread != nil {
		return fmt.Errorf("variables before threads")
	}
	for _, v := range strings.Split(list, ",") {
		name, init, has := strings.Cut(v, "=")
		name = strings.TrimSpace(name)
		n := int64(0)
		if has {
			var err error
			if n, err = strconv.ParseInt(strings.TrimSpace(init), 10, 32); err != nil {
				return fmt.Errorf("a number after =")
			}
		}
		if !isName(name) || len(c.p.vars) >= maxVars {
			return fmt.Errorf("at most %d names of variables", maxVars)
		}
		if _, twice := c.vars[name]; twice {
			return fmt.Errorf("each variable once")
		}
		c.vars[name] = int32(len(c.p.vars))
		c.p.vars = append(c.p.vars, variable{name, int32(n)})
	}
	return nil
}

func isName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if !isWord(s[i]) {
			return false
		}
	}
	return true
}

// begin starts threads that share the code that follows.
func (c *compiler) begin(irq bool) error {
	if err := c.endThread(); err != nil {
		return err
	}
	_, list, _ := strings.Cut(c.text, " ")
	for _, part := range strings.Split(list, ";") {
		f := strings.Fields(part)
		t := thread{cpu: int32(len(c.p.threads)), irq: irq}
		switch {
		case len(f) == 1 && isName(f[0]) && !irq:
		case len(f) == 3 && isName(f[0]) && f[1] == "cpu":
			n, err := strconv.Atoi(f[2])
			if err != nil || n < 0 || n >= maxCPUs {
				return fmt.Errorf("a CPU of 0 to %d", maxCPUs-1)
			}
			t.cpu = int32(n)
		default:
			return fmt.Errorf("thread NAME [cpu N] or irq NAME cpu N")
		}
		t.name = f[0]
		c.p.threads = append(c.p.threads, t)
		c.group++
	}
	if len(c.p.threads) > maxThreads {
		return fmt.Errorf("at most %d threads", maxThreads)
	}
	c.thread = &c.p.threads[len(c.p.threads)-1]
	c.labels = map[string]int32{}
	if irq {
		c.emit(step{op: opNop}) // the interrupt comes
	}
	return nil
}

// endThread finishes the code of a group of threads.
func (c *compiler) endThread() error {
	if c.thread == nil {
		return nil
	}
	if len(c.open) > 0 {
		return fmt.Errorf("end for every if and while")
	}
	for _, j := range c.jumps {
		to, ok := c.labels[j.label]
		if !ok {
			return fmt.Errorf("the label %s of line %d", j.label, j.line)
		}
		c.thread.code[j.at].target = to
	}
	for i := len(c.p.threads) - c.group; i < len(c.p.threads); i++ {
		t := &c.p.threads[i]
		t.code, t.regs = c.thread.code, c.thread.regs
	}
	c.thread, c.group, c.jumps = nil, 0, nil
	return nil
}

// register finds or makes a register of the thread.
func (c *compiler) register(name string) (int32, error) {
	i := slices.Index(c.thread.regs, name)
	if i < 0 {
		if !isName(name) || len(c.thread.regs) >= maxRegs {
			return 0, fmt.Errorf("at most %d registers", maxRegs)
		}
		i = len(c.thread.regs)
		c.thread.regs = append(c.thread.regs, name)
	}
	return int32(i), nil
}

// index finds or makes a name in a list.
func index(list *[]string, name string) int32 {
	i := slices.Index(*list, name)
	if i < 0 {
		i = len(*list)
		*list = append(*list, name)
	}
	return int32(i)
}

func (c *compiler) emit(s step) int32 {
	s.line, s.text = c.line, c.text
	c.thread.code = append(c.thread.code, s)
	return int32(len(c.thread.code) - 1)
}

// simple are the steps of one word.
var simple = map[string]op{
	"mb": opBarrier, "wmb": opBarrier, "irq_off": opIRQOff, "irq_on": opIRQOn, "nop": opNop,
	"rcu_read_lock": opRCULock, "rcu_read_unlock": opRCUUnlock, "synchronize_rcu": opSync,
	"schedule": opSchedule, "finish": opFinish,
}

func (c *compiler) step(f []string) error {
	if o, ok := simple[c.text]; ok {
		c.emit(step{op: o, local: o == opNop})
		return nil
	}
	rest := strings.TrimSpace(strings.TrimPrefix(c.text, f[0]))
	switch f[0] {
	case "if", "while":
		return c.openBlock(f[0] == "while", rest)
	case "else", "end":
		return c.closeBlock(f[0] == "else")
	case "goto":
		c.jumps = append(c.jumps, jump{c.emit(step{op: opJump, local: true}), rest, c.line})
		return nil
	case "await":
		return c.condition(opAwait, rest, false)
	case "assert":
		return c.condition(opAssert, rest, false)
	case "use":
		return c.condition(opUse, rest, false)
	case "free":
		return c.condition(opFree, rest, false)
	case "enter", "leave":
		return c.named(&c.p.regions, rest, map[string]op{"enter": opEnter, "leave": opLeave}[f[0]])
	case "lock", "unlock":
		return c.named(&c.p.locks, rest, map[string]op{"lock": opLock, "unlock": opUnlock}[f[0]])
	case "sleep", "prepare", "wake":
		return c.named(&c.p.queues, rest, map[string]op{"sleep": opSleep, "prepare": opPrepare, "wake": opWake}[f[0]])
	case "store_release":
		return c.storeRelease(f)
	}
	if label, ok := strings.CutSuffix(c.text, ":"); ok && isName(label) {
		c.labels[label] = int32(len(c.thread.code))
		return nil
	}
	return c.assign()
}

func (c *compiler) named(list *[]string, name string, o op) error {
	if !isName(name) {
		return fmt.Errorf("a name")
	}
	i := index(list, name)
	if i >= 30 {
		return fmt.Errorf("at most 30 names")
	}
	c.emit(step{op: o, dst: i, reg: -1})
	return nil
}

// condition emits a step with an expression.
func (c *compiler) condition(o op, text string, local bool) error {
	n, shared, err := c.expr(text)
	if err != nil {
		return err
	}
	if shared > 1 {
		return fmt.Errorf("one access to shared variables a step, found %d", shared)
	}
	c.emit(step{op: o, a: n, local: local || shared == 0 && (o == opAssert || o == opBranch)})
	return nil
}

func (c *compiler) openBlock(loop bool, cond string) error {
	if len(c.open) >= maxDepth {
		return fmt.Errorf("blocks nested at most %d deep", maxDepth)
	}
	begin := int32(len(c.thread.code))
	if err := c.condition(opBranch, cond, false); err != nil {
		return err
	}
	c.open = append(c.open, block{loop, begin, begin})
	return nil
}

func (c *compiler) closeBlock(isElse bool) error {
	if len(c.open) == 0 {
		return fmt.Errorf("an if or while before it")
	}
	b := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	code := c.thread.code
	switch {
	case isElse && b.loop:
		return fmt.Errorf("else of an if")
	case isElse:
		at := c.emit(step{op: opJump, local: true})
		c.thread.code[b.pending].target = at + 1
		c.open = append(c.open, block{false, b.begin, at})
	case b.loop:
		at := c.emit(step{op: opJump, target: b.begin, local: true})
		c.thread.code[b.pending].target = at + 1
	default:
		code[b.pending].target = int32(len(code))
	}
	return nil
}

func (c *compiler) storeRelease(f []string) error {
	if len(f) < 3 {
		return fmt.Errorf("store_release x EXPR")
	}
	v, ok := c.vars[f[1]]
	n, shared, err := c.expr(strings.Join(f[2:], " "))
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("a variable after store_release")
	case shared > 0:
		return fmt.Errorf("one access to shared variables a step")
	}
	c.emit(step{op: opStoreRelease, dst: v, a: n})
	return nil
}

// assign emits "x = ...".
func (c *compiler) assign() error {
	dst, value, ok := strings.Cut(c.text, "=")
	dst, value = strings.TrimSpace(dst), strings.TrimSpace(value)
	if !ok || !isName(dst) {
		return fmt.Errorf("a step")
	}
	if f := strings.Fields(value); len(f) > 1 && (f[0] == "fetch_add" || f[0] == "xchg" || f[0] == "cmpxchg" || f[0] == "trylock") {
		return c.atomic(dst, f)
	}
	n, shared, err := c.expr(value)
	if err != nil {
		return err
	}
	if v, ok := c.vars[dst]; ok {
		if shared > 0 {
			return fmt.Errorf("one access to shared variables a step, found %d", shared+1)
		}
		c.emit(step{op: opStore, dst: v, a: n})
		return nil
	}
	if shared > 1 {
		return fmt.Errorf("one access to shared variables a step, found %d", shared)
	}
	r, err := c.register(dst)
	c.emit(step{op: opAssign, dst: r, a: n, local: shared == 0})
	return err
}

// atomic emits "r = fetch_add x EXPR" and the like.
func (c *compiler) atomic(dst string, f []string) error {
	if _, shared := c.vars[dst]; shared {
		return fmt.Errorf("a register before =")
	}
	r, err := c.register(dst)
	if err != nil {
		return err
	}
	if f[0] == "trylock" {
		if err := c.named(&c.p.locks, f[1], opTryLock); err != nil {
			return err
		}
		c.thread.code[len(c.thread.code)-1].reg = r
		return nil
	}
	v, ok := c.vars[f[1]]
	args := f[2:]
	want := 1
	if f[0] == "cmpxchg" {
		want = 2
	} else {
		args = []string{strings.Join(args, " ")}
	}
	if !ok || len(args) != want || args[0] == "" {
		return fmt.Errorf("%s VARIABLE and %d values", f[0], want)
	}
	s := step{op: map[string]op{"fetch_add": opFetchAdd, "xchg": opXchg, "cmpxchg": opCmpXchg}[f[0]], dst: v, reg: r}
	for i, to := range []**node{&s.a, &s.b} {
		if i >= want {
			break
		}
		n, shared, err := c.expr(args[i])
		if err != nil {
			return err
		}
		if shared > 0 {
			return fmt.Errorf("one access to shared variables a step")
		}
		*to = n
	}
	c.emit(s)
	return nil
}
