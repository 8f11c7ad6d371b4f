package report

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/sync/lock"
	"github.com/kernsim/kernsim/sync/lockdep"
	"github.com/stretchr/testify/require"
)

// captured is what a kernel printed about a module's deliberate mistakes and its own
// crash tests.
func captured(t testing.TB) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "reports", "console", "reports.txt.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(text)
}

func TestCapturedReports(t *testing.T) {
	found, err := Read(strings.NewReader(captured(t)))
	require.NoError(t, err)
	counts := map[Kind]int{}
	lines := 0
	for i := range found {
		counts[found[i].Kind]++
		if found[i].Kind == Other {
			require.NotEmpty(t, found[i].Differences())
			continue
		}
		lines += len(found[i].Lines)
		require.Empty(t, found[i].Differences(), "line %d", found[i].Line)
	}
	require.Equal(t, map[Kind]int{
		Sleep: 2, Schedule: 1, ThisCPU: 2, Warning: 5, HungTask: 3, HeldLocks: 1, Stall: 1, Crash: 14,
		Other: 4, // two of object debugging, two without a message
	}, counts)
	require.Equal(t, 317, lines)
}

// TestChangedReportsDiffer: a report that the kernel could not have printed is told
// from one that it could.
func TestChangedReportsDiffer(t *testing.T) {
	text := captured(t)
	for _, c := range []struct{ old, new, why string }{
		{"in_atomic(): 0, irqs_disabled(): 1", "in_atomic(): 1, irqs_disabled(): 1", `the kernel's is "in_atomic(): 1`},
		{"in_atomic(): 0, irqs_disabled(): 1", "in_atomic(): 0, irqs_disabled(): 0", "reports nothing"},
		{"RCU nest depth: 1,", "RCU nest depth: 0,", "reports nothing"},
		{"sh/46/0x00000002", "sh/46/0x00000001", "reports nothing"},
		{"[00000000] code: sh/199", "[00000001] code: sh/199", "reports nothing"},
		{"1 lock held by sh/50:", "2 locks held by sh/50:", "1 lock held by sh/50"},
		{"at lib/refcount.c:31", "at lib/refcount.c:22", "lib/refcount.c:31"},
		{"lkdtm: Zero detected: saturated", "lkdtm: Zero detected: stayed at zero", "Zero detected"},
		{"refcount_t: underflow; use-after-free.\nWARNING: CPU: 0 PID: 139", "refcount_t: saturated; leaking memory.\nWARNING: CPU: 0 PID: 139", "underflow"},
		{"0-....: (5145 ticks this GP)", "0-....: (5145 GPs  behind)", ""},
	} {
		require.Contains(t, text, c.old)
		found, err := Read(strings.NewReader(strings.Replace(text, c.old, c.new, 1)))
		require.NoError(t, err)
		why := ""
		for i := range found {
			why += found[i].Differences()
		}
		require.Contains(t, why, c.why)
		if c.why == "" {
			require.NotContains(t, fmt.Sprint(found), "5145")
		}
	}
}

var addresses = regexp.MustCompile(`[0-9a-f]{16} |, at: .*|real_\w+\+.*`)

// TestRealDeadlock runs the captured deadlock: two tasks take two mutexes in opposite
// order. The models say who is hung, for how long, and who holds what.
func TestRealDeadlock(t *testing.T) {
	s := lock.NewSystem(2)
	ma, mb := s.NewMutex(), s.NewMutex()
	v, err := lockdep.New(lockdep.Config{RawLockNesting: true})
	require.NoError(t, err)
	names := []string{"demo_ab", "demo_ba"}
	var tasks []*lockdep.Task
	for i, n := range names {
		tasks = append(tasks, v.NewTask(n, 51+i))
	}
	ids := map[*lock.Mutex]lockdep.LockID{}
	for i, m := range []*lock.Mutex{ma, mb} {
		name := "demo_M" + string(rune('A'+i))
		ids[m] = v.NewLock(v.NewKey(lockdep.Key{Name: name, Inner: lockdep.WaitSleep}), uint64(i+1))
	}
	state := []lock.WatchedTask{{Task: 0, Switches: 1}, {Task: 1, Switches: 1}}
	take := func(task int, m *lock.Mutex) *lockdep.Report {
		report := v.Acquire(tasks[task], ids[m], lockdep.Acquire{})
		got, err := m.Lock(lock.TaskID(task))
		require.NoError(t, err)
		state[task].Uninterruptible = got == lock.Blocked
		return report
	}
	require.Nil(t, take(0, ma))
	require.Nil(t, take(1, mb))
	require.Nil(t, take(1, ma))
	require.Equal(t, lockdep.Circular, take(0, mb).Kind)
	require.Equal(t, "INFO: lockdep is turned off.\n", v.ShowAll(tasks))
	v.Rearm() // as the module does at the end of each case

	dog := lock.Watchdog{Timeout: 20, HZ: 250, Warnings: 10}
	require.Empty(t, dog.Scan(0, state))
	require.Empty(t, dog.Scan(4999, state))
	out := ""
	for _, h := range dog.Scan(5000, state) {
		r := lock.HungTask{
			Comm: names[h.Task], PID: 51 + int(h.Task), PPID: 2, Seconds: h.Seconds, Flags: 0x4000,
			Ident: "Tainted: G           O       6.1.192-lockprobe #1",
		}
		out += r.Text()
	}
	out += v.ShowAll(tasks)
	found, err := Read(strings.NewReader(captured(t)))
	require.NoError(t, err)
	want := ""
	for _, r := range found {
		if r.Kind == HungTask && strings.Contains(r.Lines[0], "demo_") || r.Kind == HeldLocks {
			want += strings.Join(r.Lines, "\n") + "\n"
		}
	}
	// The machine's own tasks hold locks too.
	want = regexp.MustCompile(`(?m)^1 lock held by (rcu_tasks_kthre|khungtaskd)/\d+:\n.*\n`).ReplaceAllString(want, "")
	require.Equal(t, addresses.ReplaceAllString(want, ""), addresses.ReplaceAllString(strings.ReplaceAll(strings.TrimSuffix(out, "\n"), "\nShowing", "Showing"), ""))
}

func TestWatchdog(t *testing.T) {
	d := lock.Watchdog{Timeout: 10, HZ: 100, Warnings: 1}
	blocked := func(switches uint64) []lock.WatchedTask {
		return []lock.WatchedTask{{Task: 3, Switches: switches, Uninterruptible: true}, {Task: 4, Switches: switches, Uninterruptible: true, Killable: true}}
	}
	require.Empty(t, d.Scan(0, blocked(0)), "never switched away from")
	require.Empty(t, d.Scan(1000, blocked(1)))
	require.Empty(t, d.Scan(1999, blocked(2)), "it ran")
	require.Equal(t, []lock.Hung{{Task: 3, Seconds: 11}}, d.Scan(3100, blocked(2)))
	require.Empty(t, d.Scan(5000, blocked(2)), "no more warnings")
}

func FuzzRead(f *testing.F) {
	f.Add("BUG: sleeping function called from invalid context at a.c:1\nin_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 1, name: x\npreempt_count: 1, expected: 0\nRCU nest depth: 0, expected: 0\n")
	f.Add("lkdtm: Performing direct entry REFCOUNT_INC_ZERO\n------------[ cut here ]------------\nx\nWARNING: CPU: 1 PID: 1 at a:1 b\nCPU: 0 PID: 1 Comm: x Not tainted 6 #1\n")
	f.Add("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\nrcu: \tTasks blocked on level-0 rcu_node (CPUs 0-3): P7/1:b..l\n\t(detected by 0, t=1 jiffies, g=1, q=1 ncpus=4)\n")
	f.Add("Showing all locks held in the system:\n1 lock held by a/1:\n #0: 0000000000000001 (a){....}-{1:1}, at: x\n\n=============================================\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range found {
			_ = found[i].Differences()
		}
	})
}

func ExampleRead() {
	found, _ := Read(strings.NewReader(`[   12.1] BUG: sleeping function called from invalid context at mm/slab.h:1
[   12.1] in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 7, name: cat
[   12.1] preempt_count: 1, expected: 0
[   12.1] RCU nest depth: 0, expected: 0
`))
	fmt.Printf("%s: %q\n", found[0].Kind, found[0].Differences())
	// Output: sleep in atomic context: ""
}

func BenchmarkRead(b *testing.B) {
	text := captured(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Read(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
