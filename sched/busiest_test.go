package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Which group is the busiest, and what is to move from it, is as the kernel's own
// functions decided on the same sums: see testdata/README.md.
func TestBusiestGroupAsKernel(t *testing.T) {
	in := golden(t, "busiest-6.1.192")
	kernelKinds := [...]groupType{groupHasSpare, groupFullyBusy, groupMisfit, 255, groupImbalanced, groupOverloaded}
	cases, moves := 0, 0
	for ; ; cases++ {
		var d domain
		var level, spread, idle, n, want int
		if _, err := fmt.Fscan(in, &d.imbalancePct, &level, &d.imbNUMA, &spread, &idle, &n, &want); err != nil {
			break
		}
		d.level = Level(level)
		e := lbEnv{d: &d, idle: cpuIdleness(idle)}
		sums := domainStats{spread: spread == 1}
		for i := range n {
			var g groupStats
			var imbalanced, kind int
			_, err := fmt.Fscan(in, &g.load, &g.util, &g.runnable, &g.capacity, &g.running, &g.fair, &g.idle, &g.weight, &imbalanced, &g.misfit, &kind)
			require.NoError(t, err)
			g.first = CPU(i)
			g.classify(&d, imbalanced == 1)
			require.Equal(t, kernelKinds[kind], g.kind, "case %d, group %d", cases, i)
			sums.add(&g, i == 0)
		}
		got := -1
		if sums.found && sums.worthIt(&e) {
			if sums.imbalance(&e); e.imbalance != 0 {
				got = int(sums.busiest.first)
			}
		}
		require.Equal(t, want, got, "case %d", cases)
		if want < 0 {
			continue
		}
		var kind int
		var imbalance int64
		_, err := fmt.Fscan(in, &kind, &imbalance)
		require.NoError(t, err)
		require.Equal(t, migration(kind), e.kind, "case %d", cases)
		require.Equal(t, imbalance, e.imbalance, "case %d", cases)
		moves++
	}
	require.Equal(t, 900, cases)
	require.Greater(t, moves, 500)
}
