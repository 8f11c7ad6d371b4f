package sched_test

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ms     = int64(1_000_000)
	second = uint64(1_000_000_000)
)

var hog = sched.Loop(sched.Compute(10 * ms))

var profiles = []sched.Profile{sched.Linux5_4, sched.Linux6_1, sched.Debian6_12}

func newSim(t testing.TB, cfg sched.SimConfig, specs ...sched.TaskSpec) (*sched.Sim, []sched.TaskID) {
	t.Helper()
	if cfg.CPUs == 0 {
		cfg.CPUs = 1
	}
	if cfg.Profile.Name == "" {
		cfg.Profile = sched.Linux6_1
	}
	cfg.Specs = append(cfg.Specs, specs...)
	s, err := sched.NewSim(cfg)
	require.NoError(t, err)
	ids, err := s.SpawnAll()
	require.NoError(t, err)
	return s, ids
}

// TestShares checks that CPU-bound tasks get the CPU by their weights.
func TestShares(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.Name, func(t *testing.T) {
			var specs []sched.TaskSpec
			total := 0.0
			for _, nice := range []int{-5, 0, 5, 10} {
				specs = append(specs, sched.TaskSpec{Comm: fmt.Sprint("nice", nice), Attr: sched.Attr{Nice: nice}, Program: hog})
				total += float64(sched.NiceWeight(nice))
			}
			s, ids := newSim(t, sched.SimConfig{Config: sched.Config{Profile: p}}, specs...)
			require.NoError(t, s.Run(20*second))
			sum := uint64(0)
			for i, id := range ids {
				run := s.Times(id).Run
				sum += run
				want := float64(sched.NiceWeight(specs[i].Attr.Nice)) / total * 20e9
				// Within a slice and a tick of the exact share.
				assert.InDelta(t, want, float64(run), 16e6, specs[i].Comm)
			}
			assert.Equal(t, 20*second, sum+s.IdleTime(0))
		})
	}
}
