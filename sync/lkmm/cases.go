package lkmm

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Case is a litmus test of a capture, with the verdict its authors state.
type Case struct {
	Test *Test
	// Path is the file that the capture was made from.
	Path string
	// Expected is Never, Sometimes, Always, DEADLOCK, "Flag" (the model
	// complains), or "Maybe" (the authors had not decided).
	Expected string
	// Header is the authors' statement verbatim; it may add DATARACE.
	Header string
}

// Usable says whether the stated verdict is a fact to compare with.
func (c *Case) Usable() bool { return c.Expected != "Maybe" }

// CaseError is a malformed capture of litmus tests.
type CaseError struct {
	File  string
	Case  string // name of the test, or empty
	Where string // place in it, such as "threads[0].ops[2]"
	Found string
	// Expected is what may stand there.
	Expected string
}

func (e *CaseError) Error() string {
	return fmt.Sprintf("%s: %s: %s: found %s, expected %s", e.File, e.Case, e.Where, e.Found, e.Expected)
}

// caseRecord is the neutral form of a litmus test; see the captures' README.
type caseRecord struct {
	Name    string         `json:"name"`
	Init    map[string]any `json:"init"`
	Threads []struct {
		ID     int      `json:"id"`
		Shared []string `json:"shared"`
		Ops    []caseOp `json:"ops"`
	} `json:"threads"`
	Quantifier string `json:"quantifier"`
	Condition  any    `json:"condition"`
	Filter     any    `json:"filter"`
	Expected   string `json:"expected"`
	Header     string `json:"result_header"`
	Path       string `json:"path"`
}

type caseOp struct {
	Op     string   `json:"op"`
	Dst    string   `json:"dst"`
	Loc    any      `json:"loc"`
	Val    any      `json:"val"`
	Old    any      `json:"old"`
	Unless any      `json:"unless"`
	Idx    any      `json:"idx"`
	Cond   any      `json:"cond"`
	Order  string   `json:"order"`
	Kind   string   `json:"kind"`
	Then   []caseOp `json:"then"`
	Else   []caseOp `json:"else"`
}

// ReadCases reads a capture of litmus tests: a JSON array of programs in
// neutral form. file names it in errors, which are *[CaseError].
func ReadCases(file string, r io.Reader) ([]Case, error) {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, &CaseError{File: file, Where: "start", Found: fmt.Sprint(t), Expected: "an array of tests"}
	}
	var out []Case
	for dec.More() {
		var rec caseRecord
		if err := dec.Decode(&rec); err != nil {
			return nil, &CaseError{File: file, Where: "test " + strconv.Itoa(len(out)), Found: err.Error(), Expected: "a test"}
		}
		c, err := convertCase(file, &rec)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if _, err := dec.Token(); err != nil {
		return nil, &CaseError{File: file, Where: "end", Found: err.Error(), Expected: "]"}
	}
	return out, nil
}

// caseReader converts one record.
type caseReader struct {
	file   string
	rec    *caseRecord
	b      *builder
	thread int
	where  string
	depth  int
}

func (c *caseReader) fail(found any, expected string) error {
	return &CaseError{File: c.file, Case: c.rec.Name, Where: c.where, Found: fmt.Sprintf("%v", found), Expected: expected}
}

func convertCase(file string, rec *caseRecord) (Case, error) {
	t := &Test{File: file, Name: rec.Name, Expect: rec.Expected}
	c := &caseReader{file: file, rec: rec, b: newBuilder(t)}
	out := Case{Test: t, Path: rec.Path, Expected: rec.Expected, Header: rec.Header}
	if len(rec.Threads) == 0 || len(rec.Threads) > maxThreads {
		c.where = "threads"
		return out, c.fail(len(rec.Threads), "1 to "+strconv.Itoa(maxThreads)+" threads")
	}
	for i := range rec.Threads {
		if err := c.convertThread(i); err != nil {
			return out, err
		}
	}
	if err := c.convertInit(); err != nil {
		return out, err
	}
	return out, c.convertQuestion()
}

func (c *caseReader) convertThread(i int) error {
	rec := &c.rec.Threads[i]
	c.where = fmt.Sprintf("threads[%d]", i)
	if rec.ID != i {
		return c.fail(rec.ID, "id "+strconv.Itoa(i))
	}
	c.thread = c.b.thread("P" + strconv.Itoa(i))
	for _, name := range rec.Shared {
		if _, err := c.location(name); err != nil {
			return err
		}
	}
	body, err := c.ops(rec.Ops)
	c.b.test.Threads[c.thread].body = body
	return err
}

// location finds or adds a shared variable.
func (c *caseReader) location(name string) (loc, error) {
	l, ok := c.b.location(name)
	if !ok || name == "" {
		return noLoc, c.fail(strconv.Quote(name), "a shared variable")
	}
	c.b.test.Locations[l].declared = true
	return l, nil
}

func (c *caseReader) convertInit() error {
	c.where = "init"
	names := make([]string, 0, len(c.rec.Init))
	// Sorted below, so order does not matter.
	for name := range c.rec.Init {
		names = append(names, name)
	}
	for _, name := range sorted(names) {
		l, err := c.location(name)
		if err != nil {
			return err
		}
		v, err := c.constant(c.rec.Init[name])
		if err != nil {
			return err
		}
		c.b.test.Locations[l].Init = v
	}
	return nil
}

// constant reads a number or ["addr", x].
func (c *caseReader) constant(v any) (Value, error) {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) {
			return Value(v), nil
		}
	case []any:
		if name, ok := tagged(v, "addr"); ok {
			l, err := c.location(name)
			return addressOf(l), err
		}
	}
	return 0, c.fail(v, `a number or ["addr", x]`)
}

// tagged takes [tag, name] apart.
func tagged(v []any, tag string) (name string, ok bool) {
	if len(v) != 2 || v[0] != tag {
		return "", false
	}
	name, ok = v[1].(string)
	return name, ok
}

// value reads a number, a register, ["addr", x] or [operator, a, b].
func (c *caseReader) value(v any) (*expr, error) {
	if c.depth++; c.depth > maxNesting {
		return nil, c.fail("deeper nesting", "at most "+strconv.Itoa(maxNesting)+" levels")
	}
	defer func() { c.depth-- }()
	if name, ok := v.(string); ok {
		return regExpr(c.b.register(c.thread, name), Pos{}), nil
	}
	if list, ok := v.([]any); ok && len(list) == 3 {
		return c.operation(list)
	}
	k, err := c.constant(v)
	return constExpr(k, Pos{}), err
}

func (c *caseReader) operation(list []any) (*expr, error) {
	for op := opAdd; op < opNot; op++ {
		if list[0] != operatorNames[op] {
			continue
		}
		a, err := c.value(list[1])
		if err != nil {
			return nil, err
		}
		b, err := c.value(list[2])
		if err != nil {
			return nil, err
		}
		return binaryExpr(op, a, b, Pos{}), nil
	}
	return nil, c.fail(list[0], "an operator")
}

// place reads a shared variable's name or ["deref", r].
func (c *caseReader) place(v any) (*expr, error) {
	switch v := v.(type) {
	case string:
		l, err := c.location(v)
		return constExpr(addressOf(l), Pos{}), err
	case []any:
		if len(v) == 2 && v[0] == "deref" {
			return c.value(v[1])
		}
	}
	return nil, c.fail(v, `a shared variable or ["deref", r]`)
}

func (c *caseReader) ops(list []caseOp) ([]stmt, error) {
	if c.depth++; c.depth > maxNesting {
		return nil, c.fail("deeper nesting", "at most "+strconv.Itoa(maxNesting)+" levels")
	}
	defer func() { c.depth-- }()
	var out []stmt
	outer := c.where
	for i := range list {
		c.where = fmt.Sprintf("%s.ops[%d]", outer, i)
		s, err := c.op(&list[i])
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	c.where = outer
	return out, nil
}

// op converts one operation.
func (c *caseReader) op(o *caseOp) ([]stmt, error) {
	switch o.Op {
	case "set":
		e, err := c.value(o.Val)
		return c.assign(o.Dst, e), err
	case "if":
		return c.branch(o)
	case "fence":
		return c.fence(o.Kind)
	case "rcu_lock":
		return []stmt{{kind: stmtFence, fence: fenceRcuLock}}, nil
	case "rcu_unlock":
		return []stmt{{kind: stmtFence, fence: fenceRcuUnlock}}, nil
	case "sync_rcu":
		return []stmt{{kind: stmtFence, fence: fenceSyncRcu}}, nil
	}
	addr, err := c.place(o.Loc)
	if err != nil {
		return nil, err
	}
	switch o.Op {
	case "read":
		return c.read(o, addr)
	case "write":
		return c.write(o, addr)
	case "rmw":
		return c.readModifyWrite(o, addr)
	}
	return c.marker(o, addr)
}

// assign makes dst = e, or evaluates e for its effects.
func (c *caseReader) assign(dst string, e *expr) []stmt {
	if dst == "" {
		return []stmt{{kind: stmtExpr, val: e}}
	}
	return []stmt{{kind: stmtAssign, reg: c.b.register(c.thread, dst), val: e}}
}

func (c *caseReader) branch(o *caseOp) ([]stmt, error) {
	cond, err := c.value(o.Cond)
	if err != nil {
		return nil, err
	}
	then, err := c.ops(o.Then)
	if err != nil {
		return nil, err
	}
	alt, err := c.ops(o.Else)
	return []stmt{{kind: stmtIf, val: cond, body: then, alt: alt}}, err
}

var caseFences = map[string]fenceKind{
	"mb": fenceMb, "wmb": fenceWmb, "rmb": fenceRmb, "before_atomic": fenceBeforeAtomic,
	"after_atomic": fenceAfterAtomic, "after_spinlock": fenceAfterSpinlock,
	"after_unlock_lock": fenceAfterUnlockLock, "membarrier": fenceMembarrier,
	"after_srcu_read_unlock": fenceAfterSrcuUnlock, "compiler_barrier": fenceCompiler,
}

func (c *caseReader) fence(kind string) ([]stmt, error) {
	k, ok := caseFences[kind]
	if !ok {
		return nil, c.fail(strconv.Quote(kind), "a kind of fence")
	}
	return []stmt{{kind: stmtFence, fence: k}}, nil
}

var caseOrders = map[string]accessOrder{
	"plain": orderPlain, "once": orderOnce, "relaxed": orderOnce, "rcu_dereference": orderOnce,
	"acquire": orderAcquire, "release": orderRelease, "full": orderFull, "none_no_return": orderNoReturn,
}

// order reads an access's ordering. Composite ones ("once_then_mb",
// "once_then_rmb") are a marked access and a fence behind it.
func (c *caseReader) order(name string) (accessOrder, []stmt, error) {
	if kind, ok := strings.CutPrefix(name, "once_then_"); ok {
		after, err := c.fence(kind)
		return orderOnce, after, err
	}
	if o, ok := caseOrders[name]; ok {
		return o, nil, nil
	}
	if strings.HasPrefix(name, "once_") {
		return orderOnce, nil, nil
	}
	return 0, nil, c.fail(strconv.Quote(name), "an ordering")
}

func (c *caseReader) read(o *caseOp, addr *expr) ([]stmt, error) {
	order, after, err := c.order(o.Order)
	return append(c.assign(o.Dst, loadExpr(order, addr, Pos{})), after...), err
}

func (c *caseReader) write(o *caseOp, addr *expr) ([]stmt, error) {
	order, after, err := c.order(o.Order)
	if err != nil {
		return nil, err
	}
	val, err := c.value(o.Val)
	return append([]stmt{{kind: stmtStore, order: order, addr: addr, val: val}}, after...), err
}

// marker converts locks and SRCU.
func (c *caseReader) marker(o *caseOp, addr *expr) ([]stmt, error) {
	switch o.Op {
	case "lock":
		return []stmt{{kind: stmtLock, addr: addr}}, nil
	case "unlock":
		return []stmt{{kind: stmtUnlock, addr: addr}}, nil
	case "trylock":
		return c.assign(o.Dst, &expr{kind: exprTryLock, a: addr}), nil
	case "spin_is_locked":
		return c.assign(o.Dst, &expr{kind: exprIsLocked, a: addr}), nil
	case "srcu_lock", "srcu_down_read":
		return c.assign(o.Dst, &expr{kind: exprSrcuLock, a: addr}), nil
	case "srcu_unlock", "srcu_up_read":
		val, err := c.value(o.Idx)
		return []stmt{{kind: stmtSrcuUnlock, addr: addr, val: val}}, err
	case "sync_srcu":
		return []stmt{{kind: stmtSyncSrcu, addr: addr}}, nil
	}
	return nil, c.fail(strconv.Quote(o.Op), "an operation")
}

// readModifyWrite converts an atomic operation. Its kind is the kernel's name
// without prefix and ordering: xchg, cmpxchg, add_unless, inc, fetch_add,
// add_return, dec_and_test.
func (c *caseReader) readModifyWrite(o *caseOp, addr *expr) ([]stmt, error) {
	order, _, err := c.order(o.Order)
	if err != nil {
		return nil, err
	}
	prim, ok := atomicPrimitive(o.Kind, order, false)
	if !ok || prim.form != primRMW {
		return nil, c.fail(strconv.Quote(o.Kind), "a kind of read-modify-write")
	}
	e := &expr{kind: exprRMW, order: order, rmw: prim.rmw, op: prim.op, a: addr}
	operands := []any{o.Val}
	switch prim.args {
	case argsPointer:
		operands = []any{1.0}
	case argsPointerOldNew:
		operands = []any{o.Old, o.Val}
	case argsPointerValueLimit:
		operands = []any{o.Val, o.Unless}
	}
	for i, into := range []**expr{&e.b, &e.c}[:len(operands)] {
		if *into, err = c.value(operands[i]); err != nil {
			return nil, err
		}
	}
	if prim.compare != opNone {
		e = binaryExpr(prim.compare, e, constExpr(0, Pos{}), Pos{})
	}
	return c.assign(o.Dst, e), nil
}

func (c *caseReader) convertQuestion() error {
	c.where = "quantifier"
	switch c.rec.Quantifier {
	case "exists":
		c.b.test.Quantifier = Exists
	case "~exists":
		c.b.test.Quantifier = NotExists
	case "forall":
		c.b.test.Quantifier = Forall
	default:
		return c.fail(strconv.Quote(c.rec.Quantifier), "exists, ~exists or forall")
	}
	var err error
	c.where = "condition"
	if c.b.test.condition, err = c.proposition(c.rec.Condition); err != nil || c.rec.Filter == nil {
		return err
	}
	c.where = "filter"
	c.b.test.filter, err = c.proposition(c.rec.Filter)
	return err
}

// proposition reads ["and"|"or", ...], ["not", p] or [comparison, a, b].
func (c *caseReader) proposition(v any) (*cond, error) {
	if c.depth++; c.depth > maxNesting {
		return nil, c.fail("deeper nesting", "at most "+strconv.Itoa(maxNesting)+" levels")
	}
	defer func() { c.depth-- }()
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, c.fail(v, "a condition")
	}
	switch list[0] {
	case "and":
		return c.propositions(condAnd, list[1:])
	case "or":
		return c.propositions(condOr, list[1:])
	case "not":
		return c.propositions(condNot, list[1:])
	}
	op, ok := map[any]operator{"eq": opEq, "ne": opNe, "lt": opLt, "le": opLe, "gt": opGt, "ge": opGe}[list[0]]
	if !ok || len(list) != 3 {
		return nil, c.fail(v, "a comparison")
	}
	left, err := c.term(list[1], true)
	if err != nil {
		return nil, err
	}
	right, err := c.term(list[2], false)
	return &cond{kind: condCompare, op: op, left: left, right: right}, err
}

func (c *caseReader) propositions(kind condKind, list []any) (*cond, error) {
	out := &cond{kind: kind}
	if kind == condNot && len(list) != 1 {
		return nil, c.fail(len(list), "one operand of not")
	}
	for _, v := range list {
		p, err := c.proposition(v)
		if err != nil {
			return nil, err
		}
		out.args = append(out.args, p)
	}
	return out, nil
}

// term reads "1:r0", or a name: on the left a variable's final value, on the
// right a variable's address.
func (c *caseReader) term(v any, left bool) (condTerm, error) {
	name, ok := v.(string)
	if !ok {
		k, err := c.constant(v)
		return condTerm{obs: -1, value: k}, err
	}
	if thread, reg, ok := strings.Cut(name, ":"); ok {
		n, err := strconv.Atoi(thread)
		if err != nil || n < 0 || n >= len(c.b.test.Threads) || reg == "" {
			return condTerm{}, c.fail(strconv.Quote(name), "a register of a thread")
		}
		return condTerm{obs: c.b.observeRegister(n, reg)}, nil
	}
	l, err := c.location(name)
	if err != nil {
		return condTerm{}, err
	}
	if left {
		return condTerm{obs: c.b.observeLocation(l, 0)}, nil
	}
	return condTerm{obs: -1, value: addressOf(l)}, nil
}

// CaseResult compares a test's verdict with the stated one.
type CaseResult struct {
	Name  string
	Exact bool
	// Difference says what differs, empty if exact.
	Difference string
	// Forgiven is a different verdict of a test that both sides say has a data
	// race. The model promises nothing about such a test, so that the authors'
	// own checks (tools/memory-model/scripts/judgelitmus.sh) compare the race
	// and forgive the verdict.
	Forgiven string
	Result   *Result
}

// RunCase judges a test of a capture and compares: the verdict, and whether
// there is a data race. Where no plain access can race, it looks for the
// verdict only, and not for all final states; where one can, races are looked
// for in the first million executions unless opt says otherwise.
func RunCase(ctx context.Context, c *Case, opt Options) (*CaseResult, error) {
	if opt.MaxExecutions == 0 {
		opt.MaxExecutions = 1 << 20
	}
	opt.VerdictOnly = opt.VerdictOnly || c.Expected != "Flag" && !c.Test.hasPlain()
	r, err := Run(ctx, c.Test, opt)
	if err != nil {
		return nil, err
	}
	out := &CaseResult{Name: c.Test.Name, Result: r}
	verdict, race := c.differences(r)
	if race == "" && r.Race != nil {
		verdict, out.Forgiven = "", verdict
	}
	out.Difference = cmp.Or(verdict, race)
	out.Exact = out.Difference == ""
	return out, nil
}

// differences compares verdict and race.
func (c *Case) differences(r *Result) (verdict, race string) {
	stated := strings.Contains(c.Header, "DATARACE")
	switch {
	case c.Expected == "Flag" && len(r.Flags) == 0:
		verdict = "no flag, stated " + strconv.Quote(c.Header)
	case c.Expected != "Flag" && r.Verdict.String() != c.Expected:
		verdict = fmt.Sprintf("verdict %s, stated %s", r.Verdict, c.Expected)
	}
	switch {
	case stated && r.Race == nil:
		race = "no data race, stated one"
	case !stated && r.Race != nil:
		race = "data race (" + r.Race.String() + "), none stated"
	}
	return verdict, race
}

// hasPlain says whether any thread may access a shared variable plainly.
func (t *Test) hasPlain() bool {
	for i := range t.Threads {
		if hasPlainAccess(t.Threads[i].body) {
			return true
		}
	}
	return false
}

func hasPlainAccess(list []stmt) bool {
	var plain func(e *expr) bool
	plain = func(e *expr) bool {
		return e != nil && (e.kind == exprLoad && e.order == orderPlain || plain(e.a) || plain(e.b) || plain(e.c))
	}
	for i := range list {
		s := &list[i]
		if s.kind == stmtStore && s.order == orderPlain || plain(s.addr) || plain(s.val) ||
			hasPlainAccess(s.body) || hasPlainAccess(s.alt) {
			return true
		}
	}
	return false
}
