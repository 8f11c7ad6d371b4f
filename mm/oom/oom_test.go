package oom_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/mm/oom"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestChoose(t *testing.T) {
	tasks := []oom.Task{
		{PID: 1, TGID: 1, RSS: 9000, Adj: -1000, Name: "init"},
		{PID: 10, TGID: 10, RSS: 500, PageTables: 40960, Swap: 90, Name: "a"},
		{PID: 11, TGID: 11, RSS: 600, Name: "b"},
		{PID: 12, TGID: 12, RSS: 10, Adj: 5, Name: "c"},
	}
	s := oom.Shortage{TotalPages: 33_747, Tasks: tasks}
	for i, want := range []int64{0, 600, 600, 175} {
		got, ok := s.Points(&tasks[i])
		require.Equal(t, i > 0, ok)
		if ok {
			assert.Equal(t, want, got)
		}
	}
	assert.Equal(t, 2, s.Choose().Victim, "of equals the later one")
	s.Tasks = tasks[:2]
	s.KillAllocating, s.Asking = true, 1
	assert.Equal(t, 1, s.Choose().Victim, "the asking one may not be killed")
	s.Tasks, s.Asking = tasks, 12
	assert.Equal(t, oom.Verdict{Victim: 3, Points: 175, Allocating: true}, s.Choose())
	s.Constraint = oom.ConstraintMemcg
	assert.Equal(t, 2, s.Choose().Victim, "not in a cgroup")
	s.Tasks = tasks[:1]
	assert.Equal(t, oom.Nothing, s.Choose().Action)
	s.Constraint = oom.ConstraintNone
	assert.Equal(t, oom.PanicDeadlocked, s.Choose().Action)
	s.PanicOnOOM = 1
	assert.Equal(t, "Out of memory: system-wide panic_on_oom is enabled", s.Choose().Action.Panic(1))
	s.Constraint = oom.ConstraintCpuset
	assert.Equal(t, oom.PanicDeadlocked, s.Choose().Action)
	s.PanicOnOOM = 2
	assert.Equal(t, oom.PanicSysctl, s.Choose().Action)
	s.SysRq = true
	assert.Equal(t, oom.Nothing, s.Choose().Action)
	assert.Equal(t, []int{1, 3}, (&oom.Shortage{Tasks: tasks}).Group([]int{0, 1, 3, 9}))
}

// TestScore has the values of /proc/PID/oom_score that kernels showed.
func TestScore(t *testing.T) {
	s := oom.Shortage{TotalPages: 33_747}
	assert.Equal(t, int64(666), s.Score(&oom.Task{}, 33_747))
	assert.Equal(t, int64(0), s.Score(&oom.Task{Adj: -1000, RSS: 500}, 33_747))
	assert.InDelta(t, 1333, s.Score(&oom.Task{Adj: 1000}, 33_747), 20)
}

// TestChooseAgainstSorting compares with the plain meaning: the greatest
// points, of equals the last.
func TestChooseAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := oom.Shortage{TotalPages: rapid.Uint64Range(0, 1<<30).Draw(t, "pages")}
		for i := range rapid.IntRange(0, 30).Draw(t, "tasks") {
			s.Tasks = append(s.Tasks, oom.Task{PID: i + 1, TGID: i + 1, RSS: rapid.Uint64Range(0, 50).Draw(t, "rss"),
				Swap: rapid.Uint64Range(0, 5).Draw(t, "swap"), Adj: rapid.SampledFrom([]int{-1000, -999, 0, 0, 500, 1000}).Draw(t, "adj")})
		}
		best := -1
		for i := range s.Tasks {
			p, ok := s.Points(&s.Tasks[i])
			if !ok {
				continue
			}
			if best >= 0 {
				if q, _ := s.Points(&s.Tasks[best]); q > p {
					continue
				}
			}
			best = i
		}
		require.Equal(t, best, s.Choose().Victim)
	})
}

const report = `[   55.900000] eater invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, oom_score_adj=0
[   55.901519] Free swap  = 0kB
[   55.901524] Total swap = 0kB
[   55.901530] 65402 pages RAM
[   55.901540] 31655 pages reserved
[   55.901549] Tasks state (memory values in pages):
[   55.901554] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[   55.901592] [     96]     0    96      565      451    28672        0         -1000 sh
[   55.901678] [    206]     0   206    11864    11493   126976        0             0 a name
[   55.901715] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=a name,pid=206,uid=0
[   55.901939] Out of memory: Killed process 206 (a name) total-vm:47456kB, anon-rss:45896kB, file-rss:0kB, shmem-rss:76kB, UID:0 pgtables:124kB oom_score_adj:0
`

func TestReadReports(t *testing.T) {
	got, err := oom.ReadReports(strings.NewReader("noise\n"+report+report), "log")
	require.NoError(t, err)
	require.Len(t, got, 2)
	r := got[0]
	assert.Equal(t, 2, r.Line)
	assert.Equal(t, uint64(33_747), r.Shortage.TotalPages)
	require.Len(t, r.Shortage.Tasks, 2)
	assert.Equal(t, 1, r.Shortage.Choose().Victim)
	for i := range r.Shortage.Tasks {
		assert.Contains(t, report, r.Shortage.Tasks[i].Row()+"\n")
	}
	require.Len(t, r.Killed, 1)
	assert.True(t, r.Killed[0].Whole())
	assert.Contains(t, report, r.Killed[0].Line()+"\n")
}

func TestBadReports(t *testing.T) {
	for _, text := range []string{
		"x invoked oom-killer: order=many\n",
		strings.Replace(report, "11493", "much", 1),
		strings.Replace(report, "[    206]", "[    two]", 1),
		strings.Replace(report, "Killed process 206", "Killed process two", 1),
		strings.Repeat("x", 1<<17),
	} {
		_, err := oom.ReadReports(strings.NewReader(text), "log")
		var bad *oom.ParseError
		require.ErrorAs(t, err, &bad)
	}
}

func FuzzReadReports(f *testing.F) {
	f.Add(report)
	f.Add("[ 1.0][ T1] x invoked oom-killer: gfp_mask=1, order=0\n[  pid  ] uid rss name\n[ 1] 2 3 x\nKernel panic - not syncing: System is deadlocked on memory\n")
	f.Fuzz(func(t *testing.T, text string) {
		reports, err := oom.ReadReports(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		for i := range reports {
			v := reports[i].Shortage.Choose()
			require.Less(t, v.Victim, len(reports[i].Shortage.Tasks))
		}
	})
}

func ExampleShortage_Choose() {
	s := oom.Shortage{TotalPages: 1 << 20, Tasks: []oom.Task{
		{PID: 100, Name: "database", RSS: 600_000, Adj: -500},
		{PID: 200, Name: "browser", RSS: 200_000},
	}}
	v := s.Choose()
	fmt.Println(s.Tasks[v.Victim].Name, v.Points)
	// Output: browser 200000
}

// BenchmarkChoose chooses among 100,000 processes.
func BenchmarkChoose(b *testing.B) {
	s := oom.Shortage{TotalPages: 1 << 24}
	for i := range 100_000 {
		s.Tasks = append(s.Tasks, oom.Task{PID: i + 1, RSS: uint64(i * 7919 % 65536), Adj: i%3 - 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Choose()
	}
}
