package sched_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/sched"
)

// TestPullPastPinned gives the busiest CPU only tasks that may not leave it: an
// idle CPU then takes from the next busiest one.
func TestPullPastPinned(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.Name, func(t *testing.T) {
			s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 3, Profile: p}})
			require.NoError(t, err)
			spawn := func(comm string, cpus sched.CPUMask) sched.TaskID {
				id, err := s.Spawn(sched.TaskSpec{Comm: comm, CPUs: cpus, Program: hog})
				require.NoError(t, err)
				return id
			}
			var pinned, free []sched.TaskID
			for i := range 4 {
				pinned = append(pinned, spawn(fmt.Sprintf("pinned%d", i), sched.MaskOf(1)))
			}
			for range 2 { // keep CPU 0 busy while the free tasks are placed
				_, err := s.Spawn(sched.TaskSpec{Comm: "short", Program: sched.Program{sched.Compute(20 * ms)}, CPUs: sched.MaskOf(0)})
				require.NoError(t, err)
			}
			for i := range 2 {
				free = append(free, spawn(fmt.Sprintf("free%d", i), sched.MaskOf(0, 2)))
			}
			require.NoError(t, s.Run(uint64(1000*ms)))
			require.NoError(t, s.Machine().Check())
			sum := uint64(0)
			for _, id := range free {
				sum += s.Times(id).Run
			}
			require.Greater(t, sum, uint64(1900*ms), "two tasks have two CPUs but for the short ones' time")
			for _, id := range pinned {
				require.Less(t, s.Times(id).Run, uint64(350*ms))
			}
		})
	}
}
