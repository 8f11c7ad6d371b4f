package oom

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// machine has 100,000 pages: an adjustment of 1 is 100 points.
func machine(tasks ...Task) Control {
	for i := range tasks {
		tasks[i].PID, tasks[i].TGID = int32(i+1), int32(i+1)
	}
	return Control{RAMPages: 90_000, SwapPages: 10_000, FS: true, Current: -1, Tasks: tasks}
}

func task(pages int64, adj int16, flags TaskFlags) Task {
	return Task{Anon: pages, TotalVM: pages, OOMScoreAdj: adj, Flags: flags}
}

func TestDecide(t *testing.T) {
	big, small := task(500, 0, 0), task(100, 0, 0)
	for _, tt := range []struct {
		name   string
		tasks  []Task
		change func(*Control)
		action Action
		victim int
	}{
		{"the biggest", []Task{small, big, small}, nil, ActionKill, 1},
		{"of equals the last", []Task{big, small, big}, nil, ActionKill, 2},
		{"adjusted above", []Task{big, task(100, 5, 0)}, nil, ActionKill, 1},
		{"adjusted below", []Task{task(500, -5, 0), small}, nil, ActionKill, 1},
		{"only negative points", []Task{task(500, -900, 0), task(500, -901, 0)}, nil, ActionKill, 0},
		{"exempt", []Task{task(500, -1000, 0), small}, nil, ActionKill, 1},
		{"init and kernel threads", []Task{task(500, 0, Init), task(400, 0, KernelThread), small}, nil, ActionKill, 2},
		{"vfork and no memory", []Task{task(500, 0, VFork), task(400, 0, NoMM), small}, nil, ActionKill, 2},
		{"a victim is dying", []Task{big, task(100, 0, Victim)}, nil, ActionWait, -1},
		{"a victim was reaped", []Task{small, task(500, 0, Victim|Reaped)}, nil, ActionKill, 0},
		{"SysRq does not wait", []Task{big, task(100, 0, Victim)}, func(c *Control) { c.SysRq = true }, ActionKill, 0},
		{"the origin first", []Task{big, task(1, -999, Origin)}, nil, ActionKill, 1},
		{"nobody: panic", []Task{task(500, -1000, 0)}, nil, ActionPanic, -1},
		{"nobody: SysRq", []Task{task(500, -1000, 0)}, func(c *Control) { c.SysRq = true }, ActionNobody, -1},
		{"no __GFP_FS", []Task{big}, func(c *Control) { c.FS = false }, ActionFail, -1},
		{"page fault", []Task{big}, func(c *Control) { c.FS, c.FromPageFault = false, true }, ActionKill, 0},
		{"current exits", []Task{big, task(1, 0, Exiting)}, func(c *Control) { c.Current = 1 }, ActionReserves, 1},
		{"allocating task", []Task{big, small}, func(c *Control) { c.Current, c.KillAllocatingTask = 1, true }, ActionKill, 1},
		{"allocating task is exempt", []Task{big, task(1, -1000, 0)}, func(c *Control) { c.Current, c.KillAllocatingTask = 1, true }, ActionKill, 0},
		{"panic_on_oom", []Task{big}, func(c *Control) { c.PanicOnOOM = 1 }, ActionPanic, -1},
		{"panic_on_oom 1, cpuset", []Task{big}, func(c *Control) { c.PanicOnOOM, c.NodePresent, c.MemsAllowed = 1, []int64{9, 9}, 1 }, ActionKill, 0},
		{"panic_on_oom 2, cpuset", []Task{big}, func(c *Control) { c.PanicOnOOM, c.NodePresent, c.MemsAllowed = 2, []int64{9, 9}, 1 }, ActionPanic, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := machine(append([]Task(nil), tt.tasks...)...)
			if tt.change != nil {
				tt.change(&c)
			}
			v := Decide(&c, &Linux6_1, nil)
			assert.Equal(t, tt.action.String(), v.Action.String())
			assert.Equal(t, tt.victim, v.Victim)
		})
	}
}

func TestConstraint(t *testing.T) {
	base := func() Control {
		c := machine(task(1, 0, 0))
		c.NodePresent = []int64{50_000, 40_000, 0}
		c.Groups = []Group{{Path: "/a", Max: 700, SwapMax: 20_000}, {Path: "/b", Max: 0, SwapMax: 0}, {Path: "/c", Max: 10, SwapMax: 30, NoSwap: true}}
		return c
	}
	for _, tt := range []struct {
		name   string
		change func(*Control)
		want   Constraint
		pages  int64
	}{
		{"machine", func(*Control) {}, ConstraintNone, 100_000},
		{"policy", func(c *Control) { c.Nodemask = 2 }, ConstraintMemoryPolicy, 50_000},
		{"policy with all memory", func(c *Control) { c.Nodemask = 3 }, ConstraintNone, 100_000},
		{"cpuset", func(c *Control) { c.MemsAllowed = 1 }, ConstraintCpuset, 60_000},
		{"policy before cpuset", func(c *Control) { c.MemsAllowed, c.Nodemask = 1, 2 }, ConstraintMemoryPolicy, 50_000},
		{"this node", func(c *Control) { c.Nodemask, c.ThisNode = 2, true }, ConstraintNone, 100_000},
		{"cgroup, swap bounded by the machine's", func(c *Control) { c.Memcg = "/a" }, ConstraintMemcg, 10_700},
		{"cgroup of nothing", func(c *Control) { c.Memcg = "/b" }, ConstraintMemcg, 1},
		{"cgroup without swappiness", func(c *Control) { c.Memcg = "/c" }, ConstraintMemcg, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := base()
			tt.change(&c)
			v := Decide(&c, &Linux6_1, nil)
			assert.Equal(t, tt.want.String(), v.Constraint.String())
			assert.Equal(t, tt.pages, v.TotalPages)
		})
	}
}

func TestGroupIsKilledWhole(t *testing.T) {
	tasks := []Task{task(10, 0, 0), task(90, 0, 0), task(20, -1000, 0), task(30, 0, 0), task(500, 0, 0)}
	for i, path := range []string{"/p", "/p/x", "/p/x", "/p/x/y", "/px"} {
		tasks[i].Memcg = path
	}
	c := machine(tasks...)
	c.Memcg = "/p"
	c.Groups = []Group{{Path: "/", OOMGroup: true}, {Path: "/p", Max: 100}, {Path: "/p/x", OOMGroup: true}, {Path: "/p/x/y", OOMGroup: true}}
	v := Decide(&c, &Linux6_1, nil)
	assert.Equal(t, 1, v.Victim)
	assert.Equal(t, "/p/x", v.Group)
	assert.Equal(t, []int{1, 3}, v.Members)
	assert.Equal(t, int64(NotCandidate), v.Points[4], "/px is not below /p")
}

func TestGoneMember(t *testing.T) {
	const text = `a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
memory: usage 400kB, limit 400kB, failcnt 9
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[      5]     0     5        9        9        0        0             0 x
[      6]     0     6        9        5        0        0             0 y
[      7]     0     7        9        5        0        0             0 z
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/p,task_memcg=/p/q,task=x,pid=5,uid=0
Memory cgroup out of memory: Killed process 5 (x) total-vm:36kB, anon-rss:36kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0
Tasks in /p/q are going to be killed due to memory.oom.group set
Memory cgroup out of memory: OOM victim 5 (x) is already exiting. Skip killing the task
Memory cgroup out of memory: Killed process 6 (y) total-vm:36kB, anon-rss:20kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0`
	reports, err := ParseText("log", []byte(text))
	require.NoError(t, err)
	require.Len(t, reports, 1)
	var g Log
	c := g.Control(&reports[0])
	v := Decide(&c, &Linux6_1, nil)
	assert.Equal(t, []int{0, 1}, v.Members, "7 is in /p, not in /p/q")
	assert.Equal(t, reports[0].Text, Lines(&c, &Linux6_1, &v, reports[0].Header, nil, *reports[0].Summary))
}

// A machine-wide shortage whose victim is in a group that is killed whole: the
// table is sorted by process, the group dies cgroup by cgroup.
func TestGroupInGlobalShortage(t *testing.T) {
	const text = `a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
1000 pages RAM
0 pages reserved
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[      5]     0     5        9        9        0        0             0 x
[      6]     0     6        9        5        0        0             0 y
[      7]     0     7        9        5        0        0             0 z
[      8]     0     8        9        5        0        0             0 u
oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/p/q,task=x,pid=5,uid=0
Out of memory: Killed process 5 (x) total-vm:36kB, anon-rss:36kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0
Tasks in /p are going to be killed due to memory.oom.group set
Out of memory: Killed process 7 (z) total-vm:36kB, anon-rss:20kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0
%sOut of memory: Killed process 6 (y) total-vm:36kB, anon-rss:20kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0`
	for again, want := range map[string][]int{
		"": {2, 1},
		"Out of memory: Killed process 5 (x) total-vm:36kB, anon-rss:36kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0\n": {2, 0, 1},
	} {
		reports, err := ParseText("log", fmt.Appendf(nil, text, again))
		require.NoError(t, err)
		require.Len(t, reports, 1)
		var g Log
		c := g.Control(&reports[0])
		v := Decide(&c, &Linux6_1, nil)
		assert.Equal(t, "/p", v.Group)
		assert.Equal(t, want, v.Members)
		for i := range v.Members {
			c.Tasks[v.Members[i]].AdoptKinds(&reports[0].Kills[1+i], c.PageSize)
		}
		assert.Equal(t, reports[0].Text, Lines(&c, &Linux6_1, &v, reports[0].Header, nil, *reports[0].Summary))
	}
}

// A process whose leader has exited: the table and the kill line have another thread's
// id, the line "oom-kill:" the process's.
func TestLeaderGone(t *testing.T) {
	const text = `a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
1000 pages RAM
0 pages reserved
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[      5]     0     5        9        7        0        0             0 x
[      8]     0     6        9        9        0        0             0 y
oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=main,pid=6,uid=0
Out of memory: Killed process 8 (y) total-vm:36kB, anon-rss:36kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0`
	reports, err := ParseText("log", []byte(text))
	require.NoError(t, err)
	var g Log
	c := g.Control(&reports[0])
	v := Decide(&c, &Linux6_1, nil)
	assert.Equal(t, int32(6), c.Tasks[v.Victim].Leader())
	c.Tasks[v.Victim].AdoptKinds(&reports[0].Kills[0], c.PageSize)
	assert.Equal(t, reports[0].Text, Lines(&c, &Linux6_1, &v, reports[0].Header, nil, *reports[0].Summary))
	assert.Equal(t, int32(3), (&Task{PID: 3}).Leader())
}

// What a program prints on the console between the lines is not theirs; the rest of a
// broken line is.
func TestConsoleBetweenLines(t *testing.T) {
	const kill = "Out of memory: Killed process 5 (x) total-vm:36kB, anon-rss:36kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:30"
	for _, text := range []string{kill, kill + "\nKilled\n", kill + "\n-\n[    9.6] y\n", strings.Replace(kill, " UID", "\nUID", 1)} {
		reports, err := ParseText("log", []byte("[    9.5] "+text))
		require.NoError(t, err)
		require.Len(t, reports, 1, text)
		require.Equal(t, []string{kill}, reports[0].Text)
	}
}

func TestSharersDie(t *testing.T) {
	a, b, i := task(100, 0, 0), task(100, -1000, 0), task(100, 0, Init)
	a.MM, b.MM, i.MM = 7, 7, 7
	c := machine(i, a, b, task(1, 0, 0))
	v := Decide(&c, &Linux6_1, nil)
	assert.Equal(t, 1, v.Victim)
	assert.Equal(t, []int{2}, v.Shared)
}

func TestProfiles(t *testing.T) {
	c := machine(task(500, -900, 0), task(400, -800, 0), task(1, -999, 0))
	for _, tt := range []struct {
		p      *Profile
		victim int
		points int64
	}{{&Linux4_19, 2, 1}, {&Linux6_1, 1, 400 - 80_000}, {&Linux6_12, 1, 400 - 80_000}} {
		v := Decide(&c, tt.p, nil)
		assert.Equal(t, tt.victim, v.Victim, tt.p.Name)
		assert.Equal(t, tt.points, v.Points[v.Victim], tt.p.Name)
	}
}

func TestScore(t *testing.T) {
	for _, tt := range []struct{ points, total, want int64 }{
		{0, 33747, 666}, {NotCandidate, 33747, 0}, {33000, 33747, 1318}, {-33000, 33747, 15}, {5, 0, 0},
	} {
		assert.Equal(t, tt.want, Score(tt.points, tt.total), "%+v", tt)
	}
}

// The choice against one that sorts nothing and forgets nothing.
func TestChoiceAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		tasks := make([]Task, n)
		for i := range tasks {
			tasks[i] = task(rapid.Int64Range(0, 5).Draw(t, "pages"), rapid.SampledFrom([]int16{-1000, -999, -1, 0, 1, 1000}).Draw(t, "adj"),
				rapid.SampledFrom([]TaskFlags{0, 0, 0, Init, KernelThread, Reaped, VFork, NoMM}).Draw(t, "flags"))
			tasks[i].Swapents = rapid.Int64Range(0, 2).Draw(t, "swap")
			tasks[i].PgtablesBytes = rapid.Int64Range(0, 9000).Draw(t, "pgtables")
		}
		c := machine(tasks...)
		v := Decide(&c, &Linux6_1, nil)
		want := -1
		for i := range tasks {
			if tasks[i].OOMScoreAdj == -1000 || tasks[i].Flags != 0 {
				require.Equal(t, int64(NotCandidate), v.Points[i])
				continue
			}
			beaten := false
			for k := range tasks {
				better := naivePoints(&tasks[k]) > naivePoints(&tasks[i]) || naivePoints(&tasks[k]) == naivePoints(&tasks[i]) && k > i
				beaten = beaten || tasks[k].OOMScoreAdj != -1000 && tasks[k].Flags == 0 && better
			}
			if !beaten {
				want = i
			}
		}
		require.Equal(t, want, v.Victim)
		require.Equal(t, want < 0, v.Panic != "")
		require.NoError(t, v.Check(&c))
	})
}

func naivePoints(t *Task) int64 {
	return t.Anon + t.Swapents + t.PgtablesBytes/4096 + int64(t.OOMScoreAdj)*100
}

// What is written reads back as the same.
func TestReportRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tasks []Task
		for i := range rapid.IntRange(1, 6).Draw(t, "n") {
			tasks = append(tasks, Task{UID: uint32(i), TotalVM: rapid.Int64Range(0, maxPages).Draw(t, "vm"), Anon: rapid.Int64Range(0, 1e9).Draw(t, "anon"),
				File: rapid.Int64Range(0, 9).Draw(t, "file"), PgtablesBytes: rapid.Int64Range(0, 1e9).Draw(t, "pgtables"),
				Swapents: rapid.Int64Range(0, 9).Draw(t, "swap"), OOMScoreAdj: int16(rapid.IntRange(-1000, 1000).Draw(t, "adj")),
				Comm: rapid.SampledFrom([]string{"sh", "(sd-pam)", "Web Content", "a,uid=7"}).Draw(t, "comm")})
		}
		c := machine(tasks...)
		v := Decide(&c, &Linux6_12, nil)
		h := Header{Comm: "eater", GFPMask: "0xcc0", GFPNames: "GFP_KERNEL"}
		context := []string{"Total swap = 40000kB", "100000 pages RAM", "10000 pages reserved"}
		lines := Lines(&c, &Linux6_12, &v, &h, context, Summary{})
		reports, err := ParseText("log", []byte(strings.Join(lines, "\n")))
		require.NoError(t, err)
		require.Len(t, reports, 1)
		var g Log
		again := g.Control(&reports[0])
		p := reports[0].Profile()
		w := Decide(&again, &p, nil)
		require.Equal(t, v.Victim, w.Victim)
		require.Equal(t, v.Points, w.Points)
		require.Equal(t, c.Tasks, withoutMemcg(again.Tasks))
	})
}

func withoutMemcg(tasks []Task) []Task {
	for i := range tasks {
		tasks[i].Memcg = ""
	}
	return tasks
}

func TestParseFaults(t *testing.T) {
	head := "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
	table := head + tableTitle + "\n" + tableHead + "\n"
	for _, tt := range []struct {
		name, text string
		line       int
	}{
		{"header", "x\na invoked oom-killer: nonsense\n", 2},
		{"order", "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=2000\n", 1},
		{"row too short", table + "[      1]     0     1\n", 4},
		{"row with text", table + "[      1]     0     1 many few 4096 0 0 sh\n", 4},
		{"adj", table + "[      1]     0     1        5        5     4096        0          1001 sh\n", 4},
		{"negative size", table + "[      1]     0     1        5       -5     4096        0             0 sh\n", 4},
		{"huge size", table + "[      1]     0     1        5 99999999999999999     4096        0             0 sh\n", 4},
		{"kill", head + "Out of memory: Killed process x (sh)\n", 2},
		{"swap", head + "Total swap = manykB\n", 2},
		{"node", head + "Node 99 DMA free:1kB min:1kB present:4kB managed:4kB\n", 2},
		{"page size", head + "Node 0 DMA: 1*3kB (U) = 3kB\n", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseText("log", []byte(tt.text))
			var fault *ParseError
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, tt.line, fault.Line)
			assert.Contains(t, err.Error(), "log:")
		})
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add("a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n" + tableTitle + "\n" + tableHead +
		"\n[      1]     0     1        5        5     4096        0             0 sh\n" +
		"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=sh,pid=1,uid=0\n" +
		"Out of memory: Killed process 1 (sh) total-vm:20kB, anon-rss:20kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0\n")
	f.Fuzz(func(t *testing.T, text string) {
		reports, err := ParseText("log", []byte(text))
		if err != nil {
			return
		}
		var g Log
		for i := range reports {
			c := g.Control(&reports[i])
			p := reports[i].Profile()
			v := Decide(&c, &p, nil)
			if err := v.Check(&c); err != nil {
				t.Fatal(err)
			}
			if h := reports[i].Header; h != nil {
				Lines(&c, &p, &v, h, nil, Summary{})
			}
			g.Note(&reports[i])
		}
	})
}

func BenchmarkDecide100000(b *testing.B) {
	tasks := make([]Task, 100_000)
	for i := range tasks {
		tasks[i] = task(int64(i*7919%1000), int16(i%2000-1000), 0)
	}
	c := machine(tasks...)
	points := make([]int64, len(tasks))
	b.ReportAllocs()
	for b.Loop() {
		Decide(&c, &Linux6_1, points)
	}
}

func ExampleDecide() {
	c := Control{RAMPages: 33747, FS: true, Current: 2, Tasks: []Task{
		{PID: 96, TGID: 96, TotalVM: 565, Anon: 451, PgtablesBytes: 28672, OOMScoreAdj: -1000, Comm: "sh"},
		{PID: 145, TGID: 145, TotalVM: 2904, Anon: 2585, PgtablesBytes: 57344, Comm: "h1"},
		{PID: 148, TGID: 148, TotalVM: 13144, Anon: 12751, PgtablesBytes: 139264, OOMScoreAdj: -999, Comm: "eater"},
	}}
	v := Decide(&c, &Linux6_1, nil)
	h := Header{Comm: "eater", GFPMask: "0x140dca", GFPNames: "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO", OOMScoreAdj: -999}
	for _, line := range Lines(&c, &Linux6_1, &v, &h, nil, Summary{}) {
		fmt.Println(line)
	}
	fmt.Println(v.Points[0] == math.MinInt64, v.Points[1:])
	// Output:
	// eater invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, oom_score_adj=-999
	// Tasks state (memory values in pages):
	// [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
	// [     96]     0    96      565      451    28672        0         -1000 sh
	// [    145]     0   145     2904     2585    57344        0             0 h1
	// [    148]     0   148    13144    12751   139264        0          -999 eater
	// oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=h1,pid=145,uid=0
	// Out of memory: Killed process 145 (h1) total-vm:11616kB, anon-rss:10340kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:56kB oom_score_adj:0
	// true [2599 -20182]
}
