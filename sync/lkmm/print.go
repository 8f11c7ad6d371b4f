package lkmm

import (
	"fmt"
	"slices"
	"strings"
)

// String prints the test in the C dialect that [Parse] reads.
func (t *Test) String() string {
	p := &printer{t: t}
	fmt.Fprintf(&p.out, "C %s\n\n", t.Name)
	if t.Expect != "" {
		fmt.Fprintf(&p.out, "(*\n * Result: %s\n *)\n\n", t.Expect)
	}
	p.init()
	for i := range t.Threads {
		p.thread(&t.Threads[i])
	}
	p.question()
	return p.out.String()
}

// printer writes a test as text.
type printer struct {
	t      *Test
	th     *Thread
	indent int
	out    strings.Builder
}

func (p *printer) init() {
	p.out.WriteString("{\n")
	byName := slices.Clone(p.t.Locations)
	slices.SortFunc(byName, func(a, b Location) int { return strings.Compare(a.Name, b.Name) })
	for i := range byName {
		l := &byName[i]
		switch {
		case len(l.elements) > 0:
			fmt.Fprintf(&p.out, "\tint %s[%d] = {%s", l.Name, len(l.elements)+1, p.value(l.Init))
			for _, v := range l.elements {
				fmt.Fprintf(&p.out, ", %s", p.value(v))
			}
			p.out.WriteString("};\n")
		case l.Init != 0 || l.declared:
			fmt.Fprintf(&p.out, "\t%s = %s;\n", l.Name, p.value(l.Init))
		}
	}
	for n := range p.t.Threads {
		for _, r := range p.t.Threads[n].regs {
			if r.init != 0 && !p.isParam(r) {
				fmt.Fprintf(&p.out, "\t%d:%s = %s;\n", n, r.name, p.value(r.init))
			}
		}
	}
	p.out.WriteString("}\n\n")
}

// value prints a constant of the initial section or of a condition.
func (p *printer) value(v Value) string { return v.format(p.t.Locations) }

// isParam says whether a register is a parameter: it starts as the address of
// the variable of its name.
func (p *printer) isParam(r register) bool {
	l, element, ok := r.init.split()
	return ok && element == 0 && int(l) < len(p.t.Locations) && p.t.Locations[l].Name == r.name
}

func (p *printer) thread(th *Thread) {
	p.th = th
	var params, locals []string
	for _, r := range th.regs {
		if p.isParam(r) {
			params = append(params, "int *"+r.name)
		} else {
			locals = append(locals, r.name)
		}
	}
	for _, l := range p.usedLocations(th.body) {
		params = append(params, "int *"+l)
	}
	fmt.Fprintf(&p.out, "%s(%s)\n{\n", th.Name, strings.Join(params, ", "))
	p.indent = 1
	for _, name := range locals {
		p.line("int %s;", name)
	}
	p.statements(th.body)
	p.out.WriteString("}\n\n")
}

// usedLocations lists the variables that a body names directly and that are no
// parameter yet.
func (p *printer) usedLocations(body []stmt) []string {
	seen := map[string]bool{}
	for _, r := range p.th.regs {
		seen[r.name] = true
	}
	var out []string
	eachAddress(body, func(v Value) {
		if l, _, ok := v.split(); ok && int(l) < len(p.t.Locations) && !seen[p.t.Locations[l].Name] {
			seen[p.t.Locations[l].Name] = true
			out = append(out, p.t.Locations[l].Name)
		}
	})
	return out
}

// eachAddress calls f for the constants of a list of statements.
func eachAddress(list []stmt, f func(Value)) {
	var walk func(e *expr)
	walk = func(e *expr) {
		if e == nil {
			return
		}
		if e.kind == exprConst {
			f(e.value)
		}
		walk(e.a)
		walk(e.b)
		walk(e.c)
	}
	for i := range list {
		walk(list[i].addr)
		walk(list[i].val)
		eachAddress(list[i].body, f)
		eachAddress(list[i].alt, f)
	}
}

func (p *printer) line(format string, args ...any) {
	p.out.WriteString(strings.Repeat("\t", p.indent))
	fmt.Fprintf(&p.out, format, args...)
	p.out.WriteByte('\n')
}

func (p *printer) statements(list []stmt) {
	for i := range list {
		p.statement(&list[i])
	}
}

func (p *printer) statement(s *stmt) {
	switch s.kind {
	case stmtIf:
		p.ifStatement(s)
	case stmtLoop:
		p.loop(s)
	case stmtBreak:
		p.line("break;")
	case stmtContinue:
		p.line("continue;")
	case stmtReturn:
		p.line("return;")
	default:
		p.line("%s;", p.simple(s))
	}
}

// simple prints a statement of one line.
func (p *printer) simple(s *stmt) string {
	switch s.kind {
	case stmtAssign:
		return p.th.regs[s.reg].name + " = " + p.expr(s.val)
	case stmtExpr:
		return "(void)" + p.operand(s.val)
	case stmtFence:
		return fenceNames[s.fence] + "()"
	case stmtStore:
		return p.store(s)
	case stmtSrcuUnlock:
		return fmt.Sprintf("srcu_read_unlock(%s, %s)", p.expr(s.addr), p.expr(s.val))
	}
	name := map[stmtKind]string{stmtLock: "spin_lock", stmtUnlock: "spin_unlock", stmtSyncSrcu: "synchronize_srcu"}[s.kind]
	return name + "(" + p.expr(s.addr) + ")"
}

func (p *printer) store(s *stmt) string {
	switch s.order {
	case orderPlain:
		return "*" + p.operand(s.addr) + " = " + p.expr(s.val)
	case orderRelease:
		return fmt.Sprintf("smp_store_release(%s, %s)", p.expr(s.addr), p.expr(s.val))
	}
	return fmt.Sprintf("WRITE_ONCE(*%s, %s)", p.operand(s.addr), p.expr(s.val))
}

func (p *printer) ifStatement(s *stmt) {
	p.line("if (%s) {", p.expr(s.val))
	p.nested(s.body)
	if len(s.alt) > 0 {
		p.line("} else {")
		p.nested(s.alt)
	}
	p.line("}")
}

func (p *printer) nested(list []stmt) {
	p.indent++
	p.statements(list)
	p.indent--
}

func (p *printer) loop(s *stmt) {
	cond := ""
	if s.val != nil {
		cond = p.expr(s.val)
	}
	if s.doWhile {
		p.line("do {")
		p.nested(s.body)
		p.line("} while (%s);", cond)
		return
	}
	step := ""
	if len(s.alt) > 0 {
		step = p.simple(&s.alt[0])
	}
	p.line("for (; %s; %s) {", cond, step)
	p.nested(s.body)
	p.line("}")
}

// operand prints an expression so that an operator may stand before it.
func (p *printer) operand(e *expr) string {
	if e.kind == exprReg || e.kind == exprConst && e.value >= 0 {
		return p.expr(e)
	}
	return "(" + p.expr(e) + ")"
}

func (p *printer) expr(e *expr) string {
	switch e.kind {
	case exprConst:
		return p.constant(e.value)
	case exprReg:
		return p.th.regs[e.reg].name
	case exprUnary:
		return operatorNames[e.op] + p.operand(e.a)
	case exprBinary:
		return p.operand(e.a) + " " + operatorNames[e.op] + " " + p.operand(e.b)
	case exprCond:
		return p.operand(e.a) + " ? " + p.operand(e.b) + " : " + p.operand(e.c)
	case exprLoad:
		return p.load(e)
	case exprTryLock:
		return "spin_trylock(" + p.expr(e.a) + ")"
	case exprIsLocked:
		return "spin_is_locked(" + p.expr(e.a) + ")"
	case exprSrcuLock:
		return "srcu_read_lock(" + p.expr(e.a) + ")"
	case exprAssign:
		return "(" + p.th.regs[e.reg].name + " = " + p.expr(e.a) + ")"
	case exprCondLoad:
		return fmt.Sprintf("smp_cond_load%s(%s, %s)", orderSuffix(e.order, "_relaxed"), p.expr(e.a), p.expr(e.b))
	}
	return p.rmw(e)
}

// constant prints a number, or an address as an expression.
func (p *printer) constant(v Value) string {
	if l, element, ok := v.split(); ok && element != 0 && int(l) < len(p.t.Locations) {
		return fmt.Sprintf("%s + %d", p.t.Locations[l].Name, element)
	}
	return p.value(v)
}

func (p *printer) load(e *expr) string {
	switch e.order {
	case orderPlain:
		return "*" + p.operand(e.a)
	case orderAcquire:
		return "smp_load_acquire(" + p.expr(e.a) + ")"
	}
	return "READ_ONCE(*" + p.operand(e.a) + ")"
}

func orderSuffix(o accessOrder, once string) string {
	switch o {
	case orderOnce:
		return once
	case orderAcquire:
		return "_acquire"
	case orderRelease:
		return "_release"
	}
	return ""
}

var atomicNames = map[operator]string{
	opAdd: "add", opSub: "sub", opAnd: "and", opOr: "or", opXor: "xor", opAndNot: "andnot",
}

func (p *printer) rmw(e *expr) string {
	suffix := orderSuffix(e.order, "_relaxed")
	a, b := p.expr(e.a), p.expr(e.b)
	switch e.rmw {
	case rmwExchange:
		return fmt.Sprintf("xchg%s(%s, %s)", suffix, a, b)
	case rmwCompare:
		return fmt.Sprintf("cmpxchg%s(%s, %s, %s)", suffix, a, b, p.expr(e.c))
	case rmwAddUnless:
		return fmt.Sprintf("atomic_add_unless(%s, %s, %s)", a, b, p.expr(e.c))
	case rmwFetchAddUnless:
		return fmt.Sprintf("atomic_fetch_add_unless(%s, %s, %s)", a, b, p.expr(e.c))
	case rmwReturn:
		return fmt.Sprintf("atomic_%s_return%s(%s, %s)", atomicNames[e.op], suffix, b, a)
	case rmwFetch:
		return fmt.Sprintf("atomic_fetch_%s%s(%s, %s)", atomicNames[e.op], suffix, b, a)
	}
	return fmt.Sprintf("atomic_%s(%s, %s)", atomicNames[e.op], b, a)
}

func (p *printer) question() {
	if len(p.t.observed) > 0 {
		p.out.WriteString("locations [")
		for i := range p.t.observed {
			fmt.Fprintf(&p.out, "%s;", p.t.Observed(i))
		}
		p.out.WriteString("]\n")
	}
	if p.t.filter != nil {
		fmt.Fprintf(&p.out, "filter (%s)\n", p.cond(p.t.filter))
	}
	if p.t.condition != nil {
		fmt.Fprintf(&p.out, "%s (%s)\n", p.t.Quantifier, p.cond(p.t.condition))
	}
}

// Observed names the i-th value of a final state: "0:r1", "x", "x[1]".
func (t *Test) Observed(i int) string {
	o := t.observed[i]
	switch {
	case o.thread >= 0:
		return fmt.Sprintf("%d:%s", o.thread, t.Threads[o.thread].regs[o.reg].name)
	case o.elem != 0:
		return fmt.Sprintf("%s[%d]", t.Locations[o.loc].Name, o.elem)
	}
	return t.Locations[o.loc].Name
}

// NumObserved is the number of values that a final state is made of.
func (t *Test) NumObserved() int { return len(t.observed) }

// Condition prints the test's condition, "true" where it has none.
func (t *Test) Condition() string {
	p := &printer{t: t}
	return p.cond(t.condition)
}

// FormatState prints a final state: "0:r1=1; x=2;".
func (t *Test) FormatState(values []Value) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = t.Observed(i) + "=" + v.format(t.Locations) + ";"
	}
	return strings.Join(parts, " ")
}

func (p *printer) cond(c *cond) string {
	if c == nil {
		return "true"
	}
	switch c.kind {
	case condTrue:
		return "true"
	case condFalse:
		return "false"
	case condNot:
		return "~(" + p.cond(c.args[0]) + ")"
	case condAnd:
		return p.condList(c.args, " /\\ ", "true")
	case condOr:
		return p.condList(c.args, " \\/ ", "false")
	}
	op := operatorNames[c.op]
	if c.op == opEq {
		op = "="
	}
	return p.term(c.left) + op + p.term(c.right)
}

func (p *printer) condList(args []*cond, sep, empty string) string {
	if len(args) == 0 {
		return empty
	}
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = p.cond(a)
		if a.kind == condAnd || a.kind == condOr {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, sep)
}

func (p *printer) term(t condTerm) string {
	if t.obs < 0 {
		return p.value(t.value)
	}
	return p.t.Observed(t.obs)
}
