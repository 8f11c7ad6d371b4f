package procfs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/procfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func domainsOf(t *testing.T, cpus int, top sched.Topology, f procfs.Form) string {
	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: sched.Linux6_1, LoadTracking: true}, Topology: top})
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, procfs.WriteDomains(&b, s, f))
	return b.String()
}

// TestDomains compares the listing with that of a 6.1 on an emulated machine with four
// CPUs, but for what such a kernel measures.
func TestDomains(t *testing.T) {
	text, err := os.ReadFile("testdata/domains-6.1-4cpu.txt")
	require.NoError(t, err)
	want := regexp.MustCompile(`(max_newidle_lb_cost:) \d+`).ReplaceAllString(string(text), "$1 0")
	assert.Equal(t, want, domainsOf(t, 4, sched.Topology{}, procfs.Linux6_1))

	got := domainsOf(t, 16, sched.Topology{SMT: 2, LLC: 4, Node: 8}, procfs.Linux6_12)
	for _, line := range []string{"cpu0/domain0/name: SMT", "cpu0/domain1/name: MC", "cpu15/domain2/name: PKG", "cpu9/domain3/name: NUMA",
		"cpu3/domain0/flags: SD_BALANCE_NEWIDLE SD_BALANCE_EXEC SD_BALANCE_FORK SD_WAKE_AFFINE SD_SHARE_CPUCAPACITY SD_SHARE_LLC SD_PREFER_SIBLING "} {
		assert.Contains(t, got, "/sys/kernel/debug/sched/domains/"+line+"\n")
	}
	assert.Equal(t, 16*4*8, strings.Count(got, "\n"))
	assert.Empty(t, domainsOf(t, 1, sched.Topology{}, procfs.Linux6_1))
}
