package rcu

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorded is the kernel's trace in the repository.
func recorded(t testing.TB) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "rcu", "trace-counter.txt.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(text)
}

func TestRecordedTrace(t *testing.T) {
	got, err := Check("trace", strings.NewReader(recorded(t)))
	require.NoError(t, err)
	require.Empty(t, got.Violations)
	require.Equal(t, 31100, got.Events)
	require.Equal(t, 100, got.GracePeriods)
	require.Equal(t, 2085, got.Readers)
	require.Equal(t, 417, got.Callbacks)
	for _, r := range Rules {
		require.NotZero(t, got.Applied(r), r)
	}
}

// TestTampered changes the kernel's trace so that it breaks one rule, which the
// checker must then name.
func TestTampered(t *testing.T) {
	text := recorded(t)
	for _, c := range []struct {
		name     string
		rule     Rule
		from, to string
	}{
		{"a reader that never leaves", EarlyFree, `(?m)^.*marker: reader_out id=40\n`, ""},
		{"a lost grace period", Sequence, `(?m)^.*rcu_preempt -611 (start|end)\n`, ""},
		{"a number out of sequence", Sequence, `rcu_preempt -611 start`, "rcu_preempt -607 start"},
		{"a missing quiescent state", Phases, `(?m)^.*rcu_quiescent_state_report: rcu_preempt -611 .*\n`, ""},
		{"a preempted reader that is forgotten", Phases, `(?m)^.*rcu_unlock_preempted_task: rcu_preempt -6.*\n`, ""},
		{"callbacks told to wait too short", Acceleration, `-688 Acc`, "-692 Acc"},
		{"a callback less", Batches, `(?m)^.*rcu_invoke_callback.*\n`, ""},
		{"a callback on another CPU", Batches, `(\[)002(\] .*rcu_callback)`, "${1}003$2"},
		{"a callback that never ran", Barrier, `(?m)^.*marker: cb_run id=9\n`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := regexp.MustCompile(c.from).ReplaceAllString(text, c.to)
			require.NotEqual(t, text, broken)
			got, err := Check("trace", strings.NewReader(broken))
			require.NoError(t, err)
			require.True(t, slices.ContainsFunc(got.Violations, func(v Violation) bool { return v.Rule == c.rule }), "%v", got.Violations)
		})
	}
}

// TestWithoutGracePeriods leaves out the kernel's grace periods: callbacks then run
// without one.
func TestWithoutGracePeriods(t *testing.T) {
	broken := regexp.MustCompile(`(?m)^.*(rcu_grace_period|rcu_quiescent_state_report).*\n`).ReplaceAllString(recorded(t), "")
	got, err := Check("trace", strings.NewReader(broken))
	require.NoError(t, err)
	require.Equal(t, FullPeriod, got.Violations[0].Rule)
}

func TestBrokenTraces(t *testing.T) {
	const head = "  a b-[1]-5  [000] d.... 1.5: "
	for text, want := range map[string]string{
		"x": `t:1: found "x", expected TASK-PID [CPU] FLAGS TIME: EVENT: ARGS`,
		"# entries-in-buffer/entries-written: 3/4   #P:4":  "t:1: found 3/4, expected a trace without lost events",
		head + "rcu_grace_period: rcu_preempt x start":     "t:1: found rcu_grace_period rcu_preempt x start, expected NAME gp_seq EVENT",
		head + "rcu_batch_start: rcu_preempt CBs=x":        "t:1: found rcu_batch_start rcu_preempt CBs=x, expected NAME CBs=n bl=n",
		head + "rcu_quiescent_state_report: rcu_preempt 1": "t:1: found rcu_quiescent_state_report rcu_preempt 1, expected NAME gp_seq mask>left level grplo grphi tasks",
		"\n\nsh-x [000] 1: a: b":                           `t:3: found "sh-x [000] 1: a: b", expected a PID`,
	} {
		_, err := Check("t", strings.NewReader(text))
		var broken *TraceError
		require.ErrorAs(t, err, &broken, text)
		require.EqualError(t, err, want)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("sh-57 [002] d.... 2: rcu_callback: rcu_preempt rhp=ff func=f 2\n")
	f.Add("sh-57 [002] d.... 2: rcu_grace_period: rcu_preempt -695 start\nsh-57 [002] d.... 3: rcu_grace_period: rcu_preempt -695 end\n")
	f.Add("a-1 [0] 1: marker: reader_in id=1\na-1 [0] 2: marker: sync_begin id=1\na-1 [0] 2: marker: sync_end id=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Check("t", strings.NewReader(text))
	})
}

func BenchmarkCheck(b *testing.B) {
	text := recorded(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Check("trace", strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestOverlapCounts: the capture's workload ran twice and numbered its readers and
// updates anew, so that there are two ways to count the pairs of a reader and an update
// that began while it was inside: of all readers and updates, or with each number
// taken once, for the last that had it.
func TestOverlapCounts(t *testing.T) {
	type span struct{ in, out int }
	inside, last, began := map[string]bool{}, map[string]span{}, map[string]int{}
	all := 0
	err := ReadTrace("trace", strings.NewReader(recorded(t)), func(e *Event) error {
		if e.Name != "marker" {
			return nil
		}
		id := e.value("id")
		switch e.arg(0) {
		case "reader_in":
			inside[id], last[id] = true, span{in: e.Line}
		case "reader_out":
			delete(inside, id)
			last[id] = span{last[id].in, e.Line}
		case "call_rcu_returned", "sync_begin":
			all += len(inside)
			began[e.arg(0)+id] = e.Line
		}
		return nil
	})
	require.NoError(t, err)
	byNumber := 0
	// The order does not matter.
	for _, at := range began {
		for _, r := range last {
			if r.in < at && at < r.out {
				byNumber++
			}
		}
	}
	require.Equal(t, 627, all)
	require.Equal(t, 338, byNumber)
}
