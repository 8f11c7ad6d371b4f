package replay

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func runFolder(t *testing.T, dir, model string) Result {
	t.Helper()
	c, err := OpenDir("../captures/" + dir)
	require.NoError(t, err)
	rows, err := Run(context.Background(), c, Options{Model: model})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	return rows[0]
}

// Every decision of the OOM killer, every task's points, every line. What only the
// kernel's answer tells is counted as a hint.
func TestOOMReplaysExactly(t *testing.T) {
	for _, tt := range []struct {
		dir                        string
		decisions, points, reports int
	}{
		{"oomdet", 33, 195, 33},
		{"oomcg", 11, 63, 11},
		{"oomrnd", 53, 472, 53},
		{"oomswap", 23, 170, 23},
		{"oommix", 23, 20, 23},
		{"panic", 4, 0, 4},
		{"public/rpi-zero2w-oom-6.12.62", 1, 0, 1},
		{"public/x86-oom-5.10.6-supermicro", 1, 0, 1},
		{"public/x86-oom-5.15-rc4-memcg-kvm", 1, 0, 1},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			r := runFolder(t, "oom/"+tt.dir, "oom")
			assert.Empty(t, r.FirstDifference)
			assert.Equal(t, [6]int{tt.decisions, tt.decisions, tt.points, tt.points, tt.reports, tt.reports},
				[6]int{r.Requests, r.Exact, r.Events, r.EventsExact, r.Lists, r.ListsIdentical})
		})
	}
}

func TestOOMCountsHints(t *testing.T) {
	r := runFolder(t, "oom/oomcg", "oom")
	kinds := map[string]int{}
	for _, h := range r.HintKinds {
		kinds[h.Kind] = h.N
	}
	assert.Equal(t, 1, kinds["memory.oom.group read from its line"])
	assert.Zero(t, kinds["vm.panic_on_oom read from the panic"])
	kinds = map[string]int{}
	for _, h := range runFolder(t, "oom/oommix", "oom").HintKinds {
		kinds[h.Kind] = h.N
	}
	assert.Equal(t, 1, kinds["a child in vfork read from its parent's kill line"])
	assert.Equal(t, 1, kinds["victims that had exited before their group was killed read from its lines"])
	assert.Equal(t, 1, kinds["order of a group's members read from their lines"])
	assert.Equal(t, 1, kinds["a task forked between the choice and the table"])
	assert.Zero(t, runFolder(t, "oom/public/rpi-zero2w-oom-6.12.62", "oom").Hints, "6.12's table tells the kinds")
}

// A log that ends inside a report: what there is of it is compared, a whole
// report that lacks a line is a difference.
func TestOOMLogCutShort(t *testing.T) {
	const head = "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-1000\n" +
		"100 pages RAM\n0 pages reserved\nTasks state (memory values in pages):\n" +
		"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n" +
		"[      5]     0     5        9        9        0        0         -1000 a\n"
	for tail, want := range map[string][3]int{
		"": {0, 1, 1},
		"Out of memory and no killable processes...\nKernel panic - not syncing: System is deadlocked on memory\n": {1, 1, 1},
		"Kernel panic - not syncing: System is deadlocked on memory\n":                                             {1, 1, 0},
	} {
		fsys := fstest.MapFS{"log.txt": {Data: []byte(head + tail)}}
		rows, err := Run(context.Background(), Capture{Name: "t", FS: fsys}, Options{})
		require.NoError(t, err)
		assert.Equal(t, want, [3]int{rows[0].Requests, rows[0].Lists, rows[0].ListsIdentical}, tail)
	}
}

// Since 6.2 an oom_score may miss pages that a CPU counts for itself.
func TestOOMScoreHidesPages(t *testing.T) {
	const procs = "MEM before MemTotal: 100000 kB\nPROC before name=x pid=7\n  oom_score_adj 0\n  oom_score 692\n  VmRSS: 4200 kB\n  VmPTE: 40 kB\n"
	log := func(version string) string {
		return "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\nCPU: 0 PID: 9 Comm: a Not tainted " + version + " #1\n"
	}
	for _, tt := range []struct {
		kernel string
		score  string
		hints  int
		exact  int
	}{{"6.1.0", "694", 0, 1}, {"6.1.0", "692", 0, 0}, {"6.12.1", "692", 1, 1}, {"6.12.1", "694", 0, 1}, {"6.12.1", "680", 0, 0}} {
		fsys := fstest.MapFS{"log.dmesg.txt": {Data: []byte(log(tt.kernel))}, "log.procs.txt": {Data: []byte(strings.Replace(procs, "692", tt.score, 1))}}
		rows, err := Run(context.Background(), Capture{Name: "t", FS: fsys}, Options{})
		require.NoError(t, err)
		assert.Equal(t, [3]int{1, tt.exact, tt.hints}, [3]int{rows[0].Events, rows[0].EventsExact, rows[0].Hints}, "%s %s", tt.kernel, tt.score)
	}
}

// Every verdict with its errno, Committed_AS after it, and CommitLimit.
func TestOvercommitReplaysExactly(t *testing.T) {
	r := runFolder(t, "overcommit", "overcommit")
	assert.Empty(t, r.FirstDifference)
	assert.Equal(t, [4]int{3025, 3025, 6050, 6050}, [4]int{r.Requests, r.Exact, r.Events, r.EventsExact})
	assert.Zero(t, r.Hints)
}

// What CPUs may count for themselves hangs on how many there are.
func TestOvercommitCPUsFromZoneinfo(t *testing.T) {
	const table = "mode\tkbytes\tmem_total_kb\tcommitted_as_kb\tkind\trequest_bytes\tallowed\terrno\n" +
		"2\t400000\t819200\t394400\tbrk\t6553600\tyes\t0\n"
	for cpus, want := range map[string]int{"": 0, "    cpu: 0\n    cpu: 1\n": 1} {
		fsys := fstest.MapFS{"t.tsv": {Data: []byte(table)}, "t.zoneinfo": {Data: []byte(cpus)}}
		rows, err := Run(context.Background(), Capture{Name: "t", FS: fsys}, Options{})
		require.NoError(t, err)
		assert.Equal(t, want, rows[0].Hints)
		assert.Equal(t, want, rows[0].Exact)
	}
}
