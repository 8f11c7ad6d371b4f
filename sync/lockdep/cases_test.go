package lockdep

import (
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recordedCases are the cases of the kernel's self-test in the repository.
func recordedCases(t testing.TB) []Case {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "lockdep", "cases.json.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	cases, err := ReadCases("cases.json", z)
	require.NoError(t, err)
	return cases
}

func TestRecordedCases(t *testing.T) {
	for _, c := range recordedCases(t) {
		_, err := c.Verdict()
		require.NoError(t, err, "%d %s", c.ID, c.Name)
	}
}

// TestGraphOfCases proves the graph's invariants after every operation.
func TestGraphOfCases(t *testing.T) {
	for _, c := range recordedCases(t) {
		s, err := NewScript(Config{ReadRecursive: c.Recursive, RawLockNesting: true})
		require.NoError(t, err)
		for _, op := range c.Ops {
			r, err := s.Step(op)
			require.NoError(t, err, c.Name)
			require.NoError(t, s.V.Check(), c.Name)
			if r != nil {
				break
			}
		}
	}
}

// TestScripts are cases that the self-test lacks, judged by the kernel's rules.
func TestScripts(t *testing.T) {
	for _, c := range []struct {
		name, ops string
		kind      Kind
	}{
		{"trylock adds no dependency towards itself", "lock spin A; trylock spin B; unlock spin B; unlock spin A; lock spin B; lock spin A", ""},
		{"what is taken under a trylock depends on it", "trylock spin A; lock spin B; unlock spin B; unlock spin A; lock spin B; lock spin A", Circular},
		{"dependencies go past a trylock", "lock spin A; trylock spin B; lock spin C; unlock spin C; unlock spin B; unlock spin A; lock spin C; lock spin A", Circular},
		{"an interrupt's lock does not depend on the task's", "lock spin A; irq_off; hardirq_enter; hardirq_is_threaded; lock spin B; unlock spin B; hardirq_exit; irq_on; unlock spin A; irq_off; lock spin A; lock spin B", ""},
		{"unlock in any order", "lock mutex A; lock mutex B; unlock mutex A; unlock mutex B; lock mutex B; unlock mutex B", ""},
		{"two tasks", "task a; lock mutex A; lock mutex B; unlock mutex B; unlock mutex A; task b; lock mutex B; lock mutex A", Circular},
		{"exit with a lock", "lock mutex A; exit", HeldAtExit},
		{"exit without", "lock mutex A; unlock mutex A; exit", ""},
		{"return to user space with RCU", "rcu_read_lock; return_to_user", HeldAtReturn},
		{"enable in a handler", "irq_off; hardirq_enter; irq_on", WarnOn},
		{"context used after done", "ww_acquire_init t; ww_acquire_done t; lock ww o ctx t", WarnOn},
		{"done twice", "ww_acquire_init t; ww_acquire_done t; ww_acquire_done t", WarnOn},
		{"fini twice", "ww_acquire_init t; ww_acquire_fini t; ww_acquire_fini t", Unbalanced},
		{"slow path without contention", "ww_acquire_init t; lock_slow ww o ctx t", WarnOn},
		{"reclaim under NOFS", "fs_reclaim_acquire GFP_KERNEL; might_alloc GFP_NOFS; fs_reclaim_release GFP_KERNEL", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewScript(Config{ReadRecursive: true, RawLockNesting: true})
			require.NoError(t, err)
			r, err := s.Run(strings.Split(c.ops, ";"))
			require.NoError(t, err)
			if c.kind == "" {
				require.Nil(t, r)
				return
			}
			require.NotNil(t, r)
			require.Equal(t, c.kind, r.Kind, r.Text)
			require.Contains(t, r.Text, r.Title)
		})
	}
}

func TestScriptErrors(t *testing.T) {
	for op, want := range map[string]string{
		"frob":                  "unknown operation",
		"lock spin":             "want KIND NAME",
		"lock frob A":           `kind "frob"`,
		"frob spin A":           `operation "frob"`,
		"lock spin A under":     "nest_under",
		"poke t = 1":            "X.field",
		"lock ww o context t x": "want ctx CTX",
		"rcu_read_lock_frob":    "unknown kind of RCU",
	} {
		s, err := NewScript(Config{})
		require.NoError(t, err)
		_, err = s.Step(op)
		require.ErrorIs(t, err, ErrScript, op)
		require.ErrorContains(t, err, want)
	}
}

func TestScriptWouldBlock(t *testing.T) {
	s, err := NewScript(Config{})
	require.NoError(t, err)
	_, err = s.Run([]string{"task a", "lock mutex A", "task b", "lock mutex A"})
	require.True(t, errors.Is(err, ErrWouldBlock))
}

func TestReadCasesErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                              "x: case 0: found unexpected EOF, expected an array of cases",
		`[{"expected":"SUCCESS"}]`:       "x: case 1: found no operations, expected ops",
		`[{"ops":["a"],"expected":"x"}]`: `x: case 1: found expected: "x", expected SUCCESS or FAILURE`,
	} {
		_, err := ReadCases("x", strings.NewReader(text))
		var broken *CasesError
		require.ErrorAs(t, err, &broken)
		require.EqualError(t, err, want)
	}
}

func FuzzReadCases(f *testing.F) {
	f.Add(`[{"id":1,"ops":["lock spin A","lock spin A"],"expected":"FAILURE","report_kind":"AA_recursive"}]`)
	f.Add(`[{"ops":["lock ww o ctx t","poke t.stamp += 1"],"expected":"SUCCESS"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		cases, err := ReadCases("x", strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range cases {
			_, _ = cases[i].Run()
		}
	})
}
