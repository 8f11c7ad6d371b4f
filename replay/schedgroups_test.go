package replay

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/require"
)

// onTwoCPUs is a trace in which a task of a group is queued on CPU 0, moves
// (with the lines in between) and is queued on CPU 1.
func onTwoCPUs(t *testing.T, between string) *schedScan {
	t.Helper()
	var b strings.Builder
	for cpu := range 2 {
		fmt.Fprintf(&b, "  x-5  [00%d] d..2. 1.00000%d: enqueue_task_fair: (f) cpu=%d clk=10 rnr=0 rcurr=0 pid=5 prio=120 pol=0 flags=0x9\n", cpu, 4*cpu, cpu)
		fmt.Fprintf(&b, "  x-5  [00%d] d..2. 1.00000%d: enqueue_entity: (f) cfs=0xa%d nr=0 load=0 mv=0 clk=10 curr=0x0 se=0x10 pid=5 my_q=0x0 w=1048576 vr=0 on_rq=0 flags=0x9\n", cpu, 4*cpu+1, cpu)
		fmt.Fprintf(&b, "  x-5  [00%d] d..2. 1.00000%d: enqueue_entity: (f) cfs=0xc%d nr=0 load=0 mv=0 clk=10 curr=0x0 se=0x2%d pid=0 my_q=0xa%d w=1048576 vr=0 on_rq=0 flags=0x1\n", cpu, 4*cpu+2, cpu, cpu, cpu)
		if cpu == 0 {
			b.WriteString(between)
		}
	}
	tr, err := loadSched(strings.NewReader(b.String()), "trace.txt")
	require.NoError(t, err)
	return scanSched(tr)
}

// TestQueuesOfOneGroup: a task that is seen in two CPUs' queues without having
// changed its group shows that they are one group's, and so are those above.
func TestQueuesOfOneGroup(t *testing.T) {
	s := onTwoCPUs(t, "")
	s.uniteQueues()
	require.ElementsMatch(t, []uint64{0xa0, 0xa1}, s.members(0xa1))
	require.ElementsMatch(t, []uint64{0xc0, 0xc1}, s.members(0xc0))
	require.EqualValues(t, 0, s.cpuOf(0xa0))
	require.EqualValues(t, 1, s.cpuOf(0xa1))
}

// TestQueuesOfTwoGroups: one that changed its group shows nothing.
func TestQueuesOfTwoGroups(t *testing.T) {
	s := onTwoCPUs(t, "  x-5  [000] d..2. 1.000003: task_change_group: (f) pid=5 prio=120 pol=0 vr=0\n")
	s.uniteQueues()
	require.Equal(t, []uint64{0xa0}, s.members(0xa0))
	require.Equal(t, []uint64{0xc0}, s.members(0xc0))
}

// TestNamedQueues: the cgroups' tasks after a trace tell whose queues they are.
func TestNamedQueues(t *testing.T) {
	s := onTwoCPUs(t, "")
	s.nameQueues(readCgroups("== /sys/fs/cgroup/A/cgroup.procs\n5\n== /sys/fs/cgroup/cgroup.procs\n1\n"))
	require.Equal(t, map[uint64]string{0xa1: "/A"}, s.paths)
	before := readCgroups("== /sys/fs/cgroup/A/cpu.max\n20000 50000\n== /sys/fs/cgroup/A/cpu.weight\n300\n== /sys/fs/cgroup/A/cpu.idle\n1\n== /sys/fs/cgroup/B/cpu.max\nmax 100000\n")
	require.Equal(t, &cgroupState{weight: 300, limit: cpuMax{20e6, 50e6}, idle: true}, before["/A"])
	require.Equal(t, []cpuMax{{20e6, 50e6}}, limitsOf(before))
}

// TestLikelyShares: where no listing names a group, the weight that its entity has
// tells which cgroup's at its depth it may be.
func TestLikelyShares(t *testing.T) {
	s := onTwoCPUs(t, "")
	s.uniteQueues()
	m, err := sched.New(sched.Config{CPUs: 2, Profile: sched.Linux6_1})
	require.NoError(t, err)
	r := &schedReplay{scan: s, m: m, cgroups: readCgroups("== /sys/fs/cgroup/cpu.weight\n" +
		"== /sys/fs/cgroup/A/cpu.weight\n100\n== /sys/fs/cgroup/B/cpu.weight\n300\n== /sys/fs/cgroup/C/cpu.weight\n900\n== /sys/fs/cgroup/A/a/cpu.weight\n200\n")}
	for most, want := range map[uint64]uint64{1: 100, 100 << 10: 100, 1 << 20: 100, 1<<20 + 1: 300, 3 << 20: 300, 8 << 20: 900, 10 << 20: 0, 0: 0} {
		s.most = map[uint64]uint64{0xa0: most}
		require.Equal(t, (want*1024+50)/100<<10, r.likelyShares(0xa1), "a weight of %d was seen", most)
	}
	s.most = map[uint64]uint64{0xa0: 1 << 20}
	r.m, err = sched.New(sched.Config{CPUs: 1, Profile: sched.Linux6_1})
	require.NoError(t, err)
	require.Zero(t, r.likelyShares(0xa1), "on one CPU the first weight is the group's")
}

// TestProbeMisses: what a recorder missed is read from meta.json, if it is a number.
func TestProbeMisses(t *testing.T) {
	for text, want := range map[string]int{`{"kprobe_misses": 8}`: 8, `{"kprobe_misses": 0}`: 0, `{"kprobe_misses": -3}`: 0, `{"kprobe_misses": "none"}`: 0, `{}`: 0} {
		meta, err := Capture{Name: "x", FS: fstest.MapFS{"meta.json": {Data: []byte(text)}}}.Meta()
		require.NoError(t, err)
		require.Equal(t, want, meta.ProbeMisses, text)
	}
}

// TestInlinedFunctions: a function with a probe that no line shows, though its caller's
// do, was put into its callers by the compiler: its entries are not expected.
func TestInlinedFunctions(t *testing.T) {
	tick := "  x-5  [000] d.h1. 1.000000: task_tick_rt: (f) cpu=0 clk=10 rnr=1 rcurr=5 rt_nr=1 pid=5 prio=79 pol=1 ts=25\n"
	update := "  x-5  [000] d.h1. 1.000001: update_curr_rt: (f) cpu=0 clk=10 rnr=1 rcurr=5\n"
	for text, want := range map[string]bool{tick: false, tick + update: true, update: true} {
		tr, err := loadSched(strings.NewReader(text), "trace.txt")
		require.NoError(t, err)
		m, err := sched.New(sched.Config{CPUs: 1, Profile: sched.Debian6_12})
		require.NoError(t, err)
		r := newSchedReplay(m, tr, "p:kprobes/task_tick_rt f\np:kprobes/update_curr_rt f\n")
		require.Equal(t, want, r.present[entry(sched.PointUpdateCurrRT)], text)
	}
}

// TestServerTimerClock: when a fair server is replenished is told by the next line with
// a clock, or by the deadline that the server has later, a period after it.
func TestServerTimerClock(t *testing.T) {
	head := "  x-5  [000] d.h1. 1.000001: dl_task_timer: (f) t=0x1 pid=0 rt=4000000 dl=2000000000\n" +
		"  x-5  [000] d.h1. 1.000002: replenish_dl: (f) rt=4000000 dl=2000000000 dl_runtime=50000000 dl_deadline=1000000000 dl_period=1000000000 dlflags=0xf1 pid=0\n"
	resched := "  x-5  [000] d.h1. 1.000003: resched_curr: (f) cpu=0 clk=1996000000 rnr=1 rcurr=5\n"
	pick := "  x-5  [000] d..2. 1.000004: pick_task_dl: (f) cpu=0 clk=1996900000 rnr=1 rcurr=5\n"
	later := "  x-5  [000] d..2. 1.100000: start_dl_timer: (f) rt=-5 dl=%d dl_runtime=50000000 dl_deadline=1000000000 dl_period=1000000000 dlflags=0xf1 pid=0\n"
	for _, c := range []struct {
		text         string
		clock, hints uint64
	}{
		{head + resched + pick, 1_996_000_000, 0},
		{head + pick + fmt.Sprintf(later, 2_996_500_000), 1_996_500_000, 1},
		{head + pick + fmt.Sprintf(later, 2_990_000_000), 1_990_000_001, 0}, // before the clock: another replenishment's
		{head + pick, 1_990_000_001, 0},
		{head + pick + resched, 1_990_000_001, 0}, // another operation's rescheduling
	} {
		tr, err := loadSched(strings.NewReader(c.text), "trace.txt")
		require.NoError(t, err)
		m, err := sched.New(sched.Config{CPUs: 1, Profile: sched.Debian6_12})
		require.NoError(t, err)
		r := newSchedReplay(m, tr, "")
		r.res, r.k = &Result{}, m.Kernel()
		r.k.SetClock(0, 1_990_000_001, 1_990_000_001)
		r.k.SeedServer(0, 4_000_000, 2_000_000_000)
		r.serverTimer(0, &tr.lines[0])
		require.Equal(t, c.clock, m.RunQueue(0).Clock, c.text)
		require.EqualValues(t, c.hints, r.res.Hints, c.text)
	}
}
