package replay

import (
	"context"
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
	assert.Zero(t, runFolder(t, "oom/public/rpi-zero2w-oom-6.12.62", "oom").Hints, "6.12's table tells the kinds")
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
