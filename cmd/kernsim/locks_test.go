package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeInput(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "input.txt")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func TestLockdepScript(t *testing.T) {
	file := writeInput(t, "case a\nlock mutex A; lock mutex B; unlock mutex B; unlock mutex A; lock mutex B; lock mutex A\nexpect ABBA_circular\ncase b\nlock spin A\n")
	code, out, _ := command("lockdep", "--json", file)
	require.Equal(t, exitExact, code)
	var rows []lockdepRow
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Len(t, rows, 2)
	require.Equal(t, "ABBA_circular", rows[0].Kind)
	require.Equal(t, []string{"mutex A", "mutex B"}, rows[0].Cycle)
	require.Equal(t, "SUCCESS", rows[1].Verdict)

	code, out, _ = command("lockdep", "--text", file)
	require.Equal(t, exitExact, code)
	require.Contains(t, out, "WARNING: possible circular locking dependency detected")
	code, out, _ = command("lockdep", file)
	require.Equal(t, exitExact, code)
	require.Contains(t, out, "mutex A -> mutex B")
}

func TestLockdepExpectation(t *testing.T) {
	code, out, _ := command("lockdep", writeInput(t, "lock spin A; lock spin A\nexpect SUCCESS\n"))
	require.Equal(t, exitDifferent, code)
	require.Contains(t, out, "verdict FAILURE")
}

func TestLockdepTables(t *testing.T) {
	code, out, _ := command("lockdep", "../../captures/lockdep/cases.json.gz")
	require.Equal(t, exitExact, code, out)
	code, out, _ = command("lockdep", "--json", writeInput(t, "[ 1.0] WARNING: possible circular locking dependency detected\n[ 1.0] -> #1 (b){+.+.}:\n[ 1.0] -> #0 (a){+.+.}:\n"))
	require.Equal(t, exitExact, code, out)
	require.Contains(t, out, `"chain"`)
}

func TestLockdepUnusable(t *testing.T) {
	code, _, stderr := command("lockdep", writeInput(t, "\n"))
	require.Equal(t, exitUnusable, code)
	require.Contains(t, stderr, "no operations")
	code, _, _ = command("lockdep")
	require.Equal(t, exitUnusable, code)
}

func TestRCUCommand(t *testing.T) {
	code, out, _ := command("rcu", "../../captures/rcu/trace-counter.txt.gz")
	require.Equal(t, exitExact, code, out)
	require.Contains(t, out, "100 grace periods")
	code, out, _ = command("rcu", "--json", writeInput(t, "a-1 [000] d.... 1: rcu_grace_period: rcu_preempt -7 start\na-1 [000] d.... 2: rcu_grace_period: rcu_preempt -3 start\n"))
	require.Equal(t, exitDifferent, code)
	require.Contains(t, out, "grace periods in sequence")
	code, _, stderr := command("rcu", writeInput(t, "x\n"))
	require.Equal(t, exitUnusable, code)
	require.Contains(t, stderr, "found \"x\"")
}

func TestExploreCommand(t *testing.T) {
	code, out, _ := command("explore", "ticket", "lost-wakeup")
	require.Equal(t, exitExact, code)
	require.Contains(t, out, "ticket: nothing found")
	require.Contains(t, out, "waiter line 8 \"sleep q\" waits")
	code, out, _ = command("explore", "--random", "1000", "--depth", "3", "--json", "abba")
	require.Equal(t, exitExact, code)
	require.Contains(t, out, `"deadlock"`)
	code, out, _ = command("explore", writeInput(t, "# expect: nothing\nvar v\nthread a\n assert v == 1\n"))
	require.Equal(t, exitDifferent, code)
	require.Contains(t, out, "expected: nothing")
	code, _, stderr := command("explore", writeInput(t, "x\n"))
	require.Equal(t, exitUnusable, code)
	require.Contains(t, stderr, ":1: found \"x\"")
	code, _, stderr = command("explore", "--states", "10", "ticket")
	require.Equal(t, exitUnusable, code)
	require.Contains(t, stderr, "more than 10 states")
	code, out, _ = command("explore", "--classes", "ticket")
	require.Equal(t, exitExact, code)
	require.Contains(t, out, "6 classes of schedules, 6 final states")
	code, out, _ = command("explore", "--list")
	require.Equal(t, exitExact, code)
	require.Contains(t, out, "peterson-without-barrier")
}

func TestPlotContention(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.csv")
	code, out, stderr := command("plot", "contention", "mutex", "-o", file)
	require.Equal(t, exitExact, code, out+stderr)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, contentionTasks+1, strings.Count(strings.TrimSpace(string(data)), "\n")+1)
	code, _, stderr = command("plot", "contention", "spinlock", "-o", file)
	require.Equal(t, exitUnusable, code)
	require.Contains(t, stderr, `no lock "spinlock"`)
}
