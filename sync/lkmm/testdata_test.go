package lkmm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readTests parses the tests under testdata.
func readTests(t require.TestingT) []*Test {
	files, err := filepath.Glob("testdata/*.litmus")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var out []*Test
	for _, f := range files {
		out = append(out, readTest(t, f))
	}
	return out
}

func readTest(t require.TestingT, file string) *Test {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	test, err := Parse(file, text)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSuffix(filepath.Base(file), ".litmus"), test.Name)
	return test
}

func run(t require.TestingT, test *Test, opt Options) *Result {
	r, err := Run(context.Background(), test, opt)
	require.NoError(t, err, test.Name)
	return r
}

// TestStatedResults: every primitive has a test that states its verdict.
func TestStatedResults(t *testing.T) {
	for _, test := range readTests(t) {
		r := run(t, test, Options{})
		assert.Equal(t, test.Expect, r.Verdict.String(), test.Name)
		assert.True(t, r.Complete)
		assert.Empty(t, r.Flags, test.Name)
		assert.Equal(t, strings.Contains(test.Name, "race"), r.Race != nil, test.Name)
		assert.Equal(t, r.Verdict == Always || r.Verdict == Deadlock, Forall == test.Quantifier || r.Verdict == Deadlock, test.Name)
	}
}

// TestPrintedTestsAreTheSame: a test printed and read again has the same
// states, and prints the same.
func TestPrintedTestsAreTheSame(t *testing.T) {
	tests := readTests(t)
	for _, name := range []string{"kernel_tree", "paulmckrcu"} {
		for _, c := range readCapture(t, name) {
			if len(c.Test.Threads) <= 5 && !strings.Contains(c.Path, "ManfredSpraul") {
				tests = append(tests, c.Test)
			}
		}
	}
	for _, test := range tests {
		text := test.String()
		again, err := Parse(test.Name, []byte(text))
		require.NoError(t, err, text)
		require.Equal(t, text, again.String())
		a, b := run(t, test, Options{}), run(t, again, Options{})
		require.Equal(t, stateSet(test, a.States), stateSet(again, b.States), text)
		require.Equal(t, a.Executions, b.Executions, text)
		require.Equal(t, a.Witnesses, b.Witnesses, text)
	}
}

// TestWorkersAgree: the result does not depend on the number of workers, and
// the search for the verdict alone finds the same one.
func TestWorkersAgree(t *testing.T) {
	for _, test := range append(readTests(t), ring(7, "READ_ONCE(*%s); smp_mb()", "WRITE_ONCE(*%s, 1)")) {
		one := run(t, test, Options{})
		for _, workers := range []int{2, 3, 8} {
			require.Equal(t, one, run(t, test, Options{Workers: workers}), test.Name)
		}
		require.Equal(t, one.Verdict, run(t, test, Options{VerdictOnly: true}).Verdict, test.Name)
		if one.Executions > 2 {
			limited := run(t, test, Options{MaxExecutions: 2})
			require.Equal(t, limited, run(t, test, Options{MaxExecutions: 2, Workers: 3}), test.Name)
			require.Equal(t, one.Verdict, limited.Verdict, test.Name)
			require.False(t, limited.Complete)
		}
	}
}

// TestModelsDiffer: what the memory model learned between 6.1 and 6.12.
func TestModelsDiffer(t *testing.T) {
	for _, c := range []struct {
		file     string
		old, new Verdict
	}{
		{"lb-carried", Sometimes, Never},        // dependencies through memory
		{"rmw-sequence", Sometimes, Never},      // releases along atomic operations
		{"srcu-after-unlock", Sometimes, Never}, // the fence was unknown
		{"srcu-section", Never, Never},
		{"lock-sb-after-unlock-lock", Never, Never},
		{"mp-addr", Never, Never},
	} {
		test := readTest(t, "testdata/"+c.file+".litmus")
		assert.Equal(t, c.old, run(t, test, Options{Model: &Linux6_1}).Verdict, c.file)
		assert.Equal(t, c.new, run(t, test, Options{Model: &Linux6_12}).Verdict, c.file)
	}
}

// TestAxiomsAreNeeded: leaving out an axiom changes the verdict of a test, and
// of no test for another axiom.
func TestAxiomsAreNeeded(t *testing.T) {
	needs := map[string]Axiom{
		"coherence-read-read": Coherence,
		"atomic-cmpxchg-once": Atomicity,
		"mp-wmb-rmb":          HappensBefore,
		"sb-mb":               Propagation,
		"rcu-section":         RCU,
		"plain-coherence":     PlainCoherence,
	}
	require.Len(t, needs, numAxioms)
	for file, axiom := range needs {
		t.Run(axiom.String(), func(t *testing.T) {
			test := readTest(t, "testdata/"+file+".litmus")
			require.Equal(t, Never, run(t, test, Options{}).Verdict, file)
			for i := range numAxioms {
				without := Axiom(1) << i
				want := Never
				if without == axiom {
					want = Sometimes
				}
				require.Equal(t, want, run(t, test, Options{Without: without}).Verdict, "%s without %s", file, without)
			}
		})
	}
}

// TestOrderingsAreNeeded: weakening one primitive of a test that is forbidden
// allows it.
func TestOrderingsAreNeeded(t *testing.T) {
	for _, c := range []struct{ file, strong, weak string }{
		{"mp-wmb-rmb", "smp_wmb();", "smp_rmb();"},
		{"mp-wmb-rmb", "smp_rmb();", "smp_wmb();"},
		{"mp-release-acquire", "smp_store_release(flag", "WRITE_ONCE(*flag"},
		{"mp-release-acquire", "smp_load_acquire(flag", "READ_ONCE(*flag"},
		{"mp-xchg", "xchg(flag, 1)", "xchg_acquire(flag, 1)"},
		{"mp-xchg", "atomic_fetch_or(", "atomic_fetch_or_release("},
		{"mp-before-atomic", "smp_mb__before_atomic();", "smp_mb__after_atomic();"},
		{"mp-addr", "rcu_assign_pointer(*p", "WRITE_ONCE(*p"},
		{"mp-addr", "READ_ONCE(*r0)", "READ_ONCE(*x)"},
		{"sb-mb", "smp_mb();", "smp_wmb();"},
		{"sb-after-atomic", "atomic_inc(y + 1);", "READ_ONCE(*y);"},
		{"lb-data", "WRITE_ONCE(*y, r0)", "WRITE_ONCE(*y, 1)"},
		{"lb-carried", "WRITE_ONCE(*y, *a)", "WRITE_ONCE(*y, 1)"},
		{"iriw-mb", "smp_mb();", "smp_rmb();"},
		{"wrc-release", "smp_store_release(y, 1)", "WRITE_ONCE(*y, 1)"},
		{"rmw-sequence", "smp_store_release(flag", "WRITE_ONCE(*flag"},
		{"lock-mp", "spin_lock(s);", "barrier();"},
		{"lock-trylock", "if (r0) {", "if (1) {"},
		{"lock-sb-after-unlock-lock", "smp_mb__after_unlock_lock();", "barrier();"},
		{"lock-sb-after-spinlock", "smp_mb__after_spinlock();", "barrier();"},
		{"rcu-section", "synchronize_rcu();", "smp_mb();"},
		{"rcu-section", "rcu_read_lock();", "rcu_read_lock();\n\trcu_read_unlock();\n\trcu_read_lock();\n\trcu_read_unlock();\n\trcu_read_lock();"},
		{"srcu-section", "synchronize_srcu(s);", "synchronize_rcu();"},
		{"srcu-after-unlock", "smp_mb__after_srcu_read_unlock();", "barrier();"},
		{"membarrier-sb", "membarrier();", "barrier();"},
	} {
		text, err := os.ReadFile("testdata/" + c.file + ".litmus")
		require.NoError(t, err)
		require.Contains(t, string(text), c.strong)
		n := 1 // the first of several is enough
		if c.file == "lock-mp" {
			n = -1
		}
		weak := strings.Replace(string(text), c.strong, c.weak, n)
		if c.file == "lock-mp" {
			weak = strings.ReplaceAll(weak, "spin_unlock(s);", "")
		}
		test, err := Parse(c.file, []byte(weak))
		require.NoError(t, err, weak)
		verdict := run(t, test, Options{}).Verdict
		if c.file == "rcu-section" && c.strong == "rcu_read_lock();" {
			require.Equal(t, Never, verdict, "the last section still spans both reads")
			continue
		}
		require.Equal(t, Sometimes, verdict, "%s: %q for %q", c.file, c.weak, c.strong)
	}
}

// TestFlags: what the model complains about.
func TestFlags(t *testing.T) {
	for body, want := range map[string]string{
		"spin_lock(l); spin_unlock(l);":                                                 "",
		"spin_unlock(l);":                                                               "unmatched-unlock",
		"spin_lock(l); spin_unlock(l); spin_unlock(l);":                                 "unmatched-unlock",
		"spin_lock(l); spin_unlock(l); int r0 = READ_ONCE(*l);":                         "mixed-lock-accesses",
		"spin_lock(y); spin_unlock(y);":                                                 "lock-final",
		"rcu_read_lock();":                                                              "unmatched-rcu-lock",
		"rcu_read_unlock();":                                                            "unmatched-rcu-unlock",
		"rcu_read_lock(); rcu_read_lock(); rcu_read_unlock();":                          "unmatched-rcu-lock",
		"rcu_read_lock(); synchronize_srcu(s); rcu_read_unlock();":                      "invalid-sleep",
		"int r0 = srcu_read_lock(s);":                                                   "unmatched-srcu-lock",
		"srcu_read_unlock(s, 0);":                                                       "unmatched-srcu-unlock",
		"int r0 = srcu_read_lock(s); srcu_read_unlock(s, r0 + 1);":                      "srcu-bad-value-match",
		"int r0 = srcu_read_lock(s); srcu_read_unlock(s, r0); srcu_read_unlock(s, r0);": "multiple-srcu-matches",
		"*x = 1; WRITE_ONCE(*x, 2);":                                                    "mixed-accesses",
		"*x = 1; barrier(); WRITE_ONCE(*x, 2);":                                         "",
	} {
		test, err := Parse("flags", []byte("C flags\n{}\nP0(int *x, int *y, spinlock_t *l, struct srcu_struct *s)\n{\n"+body+"\n}\nexists (y=0)\n"))
		require.NoError(t, err, body)
		require.Equal(t, want, strings.Join(run(t, test, Options{}).Flags, " "), body)
	}
}
