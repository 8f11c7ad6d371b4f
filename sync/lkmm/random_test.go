package lkmm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// randomProgram is a litmus test as a list of statements by thread, so that
// tests can change it.
type randomProgram struct {
	threads [][]string
	regs    []int
	cond    string
	reads   int
	writes  int
}

// text prints the program.
func (g *randomProgram) text() string {
	var out strings.Builder
	out.WriteString("C random\n{ int *p = &x; }\n")
	for i, body := range g.threads {
		fmt.Fprintf(&out, "P%d(int *x, int *y, int **p, spinlock_t *l, struct srcu_struct *s)\n{\n", i)
		for r := 0; r < g.regs[i]; r++ {
			fmt.Fprintf(&out, "\tint r%d;\n", r)
		}
		for _, s := range body {
			fmt.Fprintf(&out, "\t%s\n", s)
		}
		out.WriteString("}\n")
	}
	out.WriteString("locations [x; y; p;")
	for i := range g.threads {
		for r := 0; r < g.regs[i]; r++ {
			fmt.Fprintf(&out, " %d:r%d;", i, r)
		}
	}
	out.WriteString("]\nexists (" + g.cond + ")\n")
	return out.String()
}

func (g *randomProgram) parse(t require.TestingT) *Test {
	p, err := Parse("random", []byte(g.text()))
	require.NoError(t, err, g.text())
	return p
}

// programs limits what a random program may contain.
type programs struct {
	statements, reads, writes int
	plain, rcu, locks         bool
}

// drawProgram makes a program of two or three threads.
func drawProgram(t *rapid.T, lim programs) *randomProgram {
	g := &randomProgram{}
	n := rapid.IntRange(2, 3).Draw(t, "threads")
	for i := 0; i < n; i++ {
		g.threads = append(g.threads, nil)
		g.regs = append(g.regs, 0)
		d := &drawer{t: t, g: g, thread: i, lim: lim}
		for k := rapid.IntRange(1, lim.statements).Draw(t, "statements"); k > 0; k-- {
			g.threads[i] = append(g.threads[i], d.statement(0)...)
		}
	}
	g.cond = "x=1"
	for i := range g.threads {
		if g.regs[i] > 0 {
			g.cond += fmt.Sprintf(" /\\ %d:r0=1", i)
		}
	}
	return g
}

// drawer draws the statements of one thread.
type drawer struct {
	t      *rapid.T
	g      *randomProgram
	thread int
	lim    programs
}

func (d *drawer) pick(what string, options ...string) string {
	return rapid.SampledFrom(options).Draw(d.t, what)
}

// reg makes a new register.
func (d *drawer) reg() string {
	d.g.regs[d.thread]++
	return fmt.Sprintf("r%d", d.g.regs[d.thread]-1)
}

// value is a number or something computed from a register.
func (d *drawer) value() string {
	if n := d.g.regs[d.thread]; n > 0 && rapid.Bool().Draw(d.t, "dependent") {
		r := rapid.IntRange(0, n-1).Draw(d.t, "reg")
		return fmt.Sprintf(d.pick("expr", "r%[1]d", "(r%[1]d ^ r%[1]d) + 1", "r%[1]d + 1"), r)
	}
	return d.pick("const", "1", "2")
}

// place is a variable, or what the pointer points to.
func (d *drawer) place() string {
	return d.pick("place", "*x", "*y", "*x", "*y", "*(x + (r & 0))")
}

func (d *drawer) variable() string { return strings.ReplaceAll(d.place(), "(r & 0)", d.zero()) }

// zero is 0, perhaps with a dependency.
func (d *drawer) zero() string {
	if n := d.g.regs[d.thread]; n > 0 {
		r := rapid.IntRange(0, n-1).Draw(d.t, "reg")
		return fmt.Sprintf("(r%[1]d ^ r%[1]d)", r)
	}
	return "0"
}

// spend takes reads and writes from the program's budget.
func (d *drawer) spend(reads, writes int) bool {
	if d.g.reads+reads > d.lim.reads || d.g.writes+writes > d.lim.writes {
		return false
	}
	d.g.reads += reads
	d.g.writes += writes
	return true
}

func (d *drawer) statement(depth int) []string {
	kinds := []string{"read", "read", "write", "write", "fence", "rmw", "if", "deref", "assign"}
	if d.lim.plain {
		kinds = append(kinds, "plain", "plain")
	}
	if d.lim.rcu {
		kinds = append(kinds, "rcu", "sync", "srcu", "memb")
	}
	if d.lim.locks {
		kinds = append(kinds, "lock", "locked", "trylock")
	}
	switch d.pick("kind", kinds...) {
	case "read":
		if v := d.variable(); d.spend(1, 0) {
			return []string{d.reg() + d.pick("load", " = READ_ONCE("+v+");", " = smp_load_acquire(&"+v+");", " = rcu_dereference("+v+");")}
		}
	case "write":
		if v, val := d.variable(), d.value(); d.spend(0, 1) {
			return []string{d.pick("store", "WRITE_ONCE("+v+", "+val+");", "smp_store_release(&"+v+", "+val+");")}
		}
	case "fence":
		return []string{d.pick("fence", "smp_mb();", "smp_wmb();", "smp_rmb();", "barrier();",
			"smp_mb__before_atomic();", "smp_mb__after_atomic();")}
	case "rmw":
		return d.rmw()
	case "if":
		return d.branch(depth)
	case "plain":
		return d.plain()
	case "deref":
		return d.deref()
	case "assign":
		if n := d.g.regs[d.thread]; n > 0 {
			v := d.value()
			return []string{d.reg() + " = " + v + ";"}
		}
	case "lock", "locked", "trylock":
		return d.lock()
	default:
		return d.rcu(depth)
	}
	return nil
}

func (d *drawer) rmw() []string {
	v, val := d.pick("var", "x", "y"), d.value()
	if !d.spend(1, 1) {
		return nil
	}
	order := d.pick("order", "", "_relaxed", "_acquire", "_release")
	switch d.pick("rmw", "inc", "xchg", "cmpxchg", "add", "fetch", "try", "unless") {
	case "try":
		old := d.reg()
		return []string{d.reg() + " = try_cmpxchg" + order + "(" + v + ", &" + old + ", " + val + ");"}
	case "inc":
		return []string{"atomic_inc(" + v + ");"}
	case "xchg":
		return []string{d.reg() + " = xchg" + order + "(" + v + ", " + val + ");"}
	case "cmpxchg":
		return []string{d.reg() + " = cmpxchg" + order + "(" + v + ", 0, " + val + ");"}
	case "add":
		return []string{d.reg() + " = atomic_add_return" + order + "(" + val + ", " + v + ");"}
	case "fetch":
		return []string{d.reg() + " = atomic_fetch_add" + order + "(" + val + ", " + v + ");"}
	}
	return []string{d.reg() + " = atomic_add_unless(" + v + ", 1, 1);"}
}

func (d *drawer) branch(depth int) []string {
	n := d.g.regs[d.thread]
	if n == 0 || depth > 1 {
		return nil
	}
	r := rapid.IntRange(0, n-1).Draw(d.t, "reg")
	cond := fmt.Sprintf(d.pick("cond", "if (r%d) {", "if (r%d == 1) {", "if (r%d != 2) {"), r)
	if rapid.Bool().Draw(d.t, "reads") && d.spend(1, 0) {
		cond = "if (READ_ONCE(*(x + " + d.zero() + ")) == 1) {"
	}
	out := []string{cond}
	out = append(out, d.statement(depth+1)...)
	if rapid.Bool().Draw(d.t, "else") {
		out = append(out, "} else {")
		out = append(out, d.statement(depth+1)...)
	}
	return append(out, "}")
}

func (d *drawer) plain() []string {
	v, val := d.variable(), d.value()
	if rapid.Bool().Draw(d.t, "write") {
		if d.spend(0, 1) {
			return []string{v + " = " + val + ";"}
		}
	} else if d.spend(1, 0) {
		return []string{d.reg() + " = " + v + ";"}
	}
	return nil
}

// deref reads through the pointer or changes it.
func (d *drawer) deref() []string {
	if rapid.Bool().Draw(d.t, "publish") {
		if d.spend(0, 1) {
			return []string{"rcu_assign_pointer(*p, y);"}
		}
		return nil
	}
	if !d.spend(2, 0) {
		return nil
	}
	p := d.reg()
	return []string{p + " = rcu_dereference(*p);", d.reg() + " = READ_ONCE(*" + p + ");"}
}

func (d *drawer) lock() []string {
	if rapid.Bool().Draw(d.t, "try") {
		if !d.spend(1, 2) {
			return nil
		}
		r := d.reg()
		return []string{r + " = spin_trylock(l);", "if (" + r + ") {", "spin_unlock(l);", "}"}
	}
	if rapid.Bool().Draw(d.t, "look") {
		if d.spend(1, 0) {
			return []string{d.reg() + " = spin_is_locked(l);"}
		}
		return nil
	}
	if !d.spend(1, 2) {
		return nil
	}
	out := []string{"spin_lock(l);", d.pick("after", "", "smp_mb__after_spinlock();", "smp_mb__after_unlock_lock();")}
	out = append(out, d.statement(2)...)
	return append(out, "spin_unlock(l);")
}

func (d *drawer) rcu(depth int) []string {
	switch d.pick("rcu", "read", "sync", "srcu", "sync_srcu", "memb") {
	case "read":
		out := []string{"rcu_read_lock();"}
		out = append(out, d.statement(depth+1)...)
		out = append(out, d.statement(depth+1)...)
		return append(out, "rcu_read_unlock();")
	case "sync":
		return []string{"synchronize_rcu();"}
	case "sync_srcu":
		return []string{"synchronize_srcu(s);"}
	case "memb":
		return []string{"membarrier();"}
	}
	if !d.spend(1, 1) {
		return nil
	}
	r := d.reg()
	out := []string{r + " = srcu_read_lock(s);"}
	out = append(out, d.statement(2)...)
	return append(out, "srcu_read_unlock(s, "+r+");", d.pick("after", "", "smp_mb__after_srcu_read_unlock();"))
}

// everything is what the model knows, small enough for the naive twin.
var everything = programs{statements: 4, reads: 4, writes: 4, plain: true, rcu: true, locks: true}

// TestAgainstNaiveTwin compares states, counts and races of random programs,
// under both models, also with axioms left out.
func TestAgainstNaiveTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawProgram(t, everything)
		opt := Options{Model: rapid.SampledFrom(Models).Draw(t, "model")}
		if rapid.IntRange(0, 3).Draw(t, "mutate") == 0 {
			opt.Without = 1 << rapid.IntRange(0, numAxioms-1).Draw(t, "without")
		}
		test := g.parse(t)
		want, err := naiveRun(test, opt)
		if errors.Is(err, errTooMany) {
			t.Skip(err)
		}
		require.NoError(t, err)
		got, err := Run(context.Background(), test, opt)
		require.NoError(t, err)
		require.Equal(t, want.states(), got.asNaive(), "model %s without %s\n%s", opt.Model.Name, opt.Without, g.text())
	})
}

// TestBarriersNeverAddStates: with one more barrier, anywhere, everything that
// happens could happen without it.
func TestBarriersNeverAddStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawProgram(t, programs{statements: 5, reads: 5, writes: 5, plain: true, rcu: true, locks: true})
		before := g.parse(t)
		i := rapid.IntRange(0, len(g.threads)-1).Draw(t, "thread")
		k := rapid.IntRange(0, len(g.threads[i])).Draw(t, "where")
		fence := rapid.SampledFrom([]string{"smp_mb();", "smp_wmb();", "smp_rmb();", "barrier();", "synchronize_rcu();"}).Draw(t, "barrier")
		list := append([]string{}, g.threads[i][:k]...)
		g.threads[i] = append(append(list, fence), g.threads[i][k:]...)
		after := g.parse(t)
		for _, m := range Models {
			opt := Options{Model: m}
			allowed := stateSet(before, run(t, before, opt).States)
			for s := range stateSet(after, run(t, after, opt).States) {
				require.True(t, allowed[s], "%s adds %q\n%s", fence, s, g.text())
			}
		}
		for arch := range numArchitectures {
			reached, err := Reachable(context.Background(), before, arch, Options{})
			require.NoError(t, err)
			free := stateSet(before, reached)
			reached, err = Reachable(context.Background(), after, arch, Options{})
			require.NoError(t, err)
			for s := range stateSet(after, reached) {
				require.True(t, free[s], "%s: %s adds %q\n%s", arch, fence, s, g.text())
			}
		}
	})
}

// TestAxiomsOnlyForbid: leaving out an axiom never loses a state.
func TestAxiomsOnlyForbid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawProgram(t, everything)
		test := g.parse(t)
		without := Axiom(1) << rapid.IntRange(0, numAxioms-1).Draw(t, "axiom")
		free := stateSet(test, run(t, test, Options{Without: without}).States)
		for s := range stateSet(test, run(t, test, Options{}).States) {
			require.True(t, free[s], "without %s no %q\n%s", without, s, g.text())
		}
	})
}

// TestPrintedProgramsAreTheSame: printing and reading keeps a test's meaning.
func TestPrintedProgramsAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		test := drawProgram(t, everything).parse(t)
		again, err := Parse("again", []byte(test.String()))
		require.NoError(t, err)
		a, b := run(t, test, Options{}), run(t, again, Options{})
		require.Equal(t, stateSet(test, a.States), stateSet(again, b.States), test.String())
		require.Equal(t, a.Executions, b.Executions, test.String())
		require.Equal(t, a.Race != nil, b.Race != nil, test.String())
	})
}

// TestWorkersAgreeOnRandomPrograms: shared between workers, the search finds
// the same.
func TestWorkersAgreeOnRandomPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		test := drawProgram(t, everything).parse(t)
		require.Equal(t, run(t, test, Options{}), run(t, test, Options{Workers: 3}))
	})
}
