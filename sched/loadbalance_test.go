package sched_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kernsim/kernsim/sched"
)

// balanceSim runs tasks on a machine whose load is balanced by loads.
func balanceSim(t *testing.T, p sched.Profile, cpus int, top sched.Topology, specs ...sched.TaskSpec) (*sched.Sim, []sched.TaskID) {
	t.Helper()
	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: p, LoadTracking: true}, Topology: top, Preempt: sched.PreemptFull, Specs: specs})
	require.NoError(t, err)
	ids, err := s.SpawnAll()
	require.NoError(t, err)
	return s, ids
}

func hogs(n int, cpus sched.CPUMask, nice int) []sched.TaskSpec {
	var out []sched.TaskSpec
	for i := range n {
		out = append(out, sched.TaskSpec{Comm: fmt.Sprintf("hog%d", i), CPUs: cpus, Attr: sched.Attr{Nice: nice}, Program: sched.Loop(sched.Compute(10_000_000))})
	}
	return out
}

// runMS lets a simulation run for some ms and checks it.
func runMS(t *testing.T, s *sched.Sim, ms uint64) {
	t.Helper()
	require.NoError(t, s.Run(s.Now()+ms*1_000_000))
	require.NoError(t, s.Machine().Check())
}

// where counts the tasks of each CPU.
func where(s *sched.Sim, ids []sched.TaskID, cpus int) []int {
	out := make([]int, cpus)
	for _, id := range ids {
		out[s.Machine().Task(id).CPU]++
	}
	return out
}

// Pinned to one CPU and then freed, tasks spread over all: one each.
func TestTasksSpread(t *testing.T) {
	for _, p := range []sched.Profile{sched.Linux6_1, sched.Linux6_12} {
		for name, top := range map[string]sched.Topology{"one cache": {}, "two caches": {LLC: 2}, "SMT": {SMT: 2, LLC: 4}, "two nodes": {LLC: 2, Node: 4}} {
			t.Run(p.Name+" "+name, func(t *testing.T) {
				first := sched.MaskOf(0)
				all := sched.MaskOf(0, 1, 2, 3, 4, 5, 6, 7)
				s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 8, Profile: p, LoadTracking: true}, Topology: top, Preempt: sched.PreemptFull,
					Masks: []sched.CPUMask{all}})
				require.NoError(t, err)
				var ids []sched.TaskID
				for i := range 8 {
					id, err := s.Spawn(sched.TaskSpec{Comm: fmt.Sprint("hog", i), CPUs: first,
						Program: append(sched.Program{sched.Compute(5_000_000), {Op: sched.OpAffinity}}, sched.Compute(1<<40))})
					require.NoError(t, err)
					ids = append(ids, id)
				}
				runMS(t, s, 2000)
				assert.Equal(t, []int{1, 1, 1, 1, 1, 1, 1, 1}, where(s, ids, 8))
			})
		}
	}
}

// Two tasks on two cores of two threads each run on a core each.
func TestCoresBeforeThreads(t *testing.T) {
	s, ids := balanceSim(t, sched.Linux6_1, 4, sched.Topology{SMT: 2, LLC: 4}, hogs(2, nil, 0)...)
	runMS(t, s, 1000)
	w := where(s, ids, 4)
	assert.Equal(t, []int{1, 1}, []int{w[0] + w[1], w[2] + w[3]})
}

// Three equal tasks on two CPUs get two thirds of a CPU each in the long run, as no
// CPU keeps the one that is alone.
func TestThreeOnTwo(t *testing.T) {
	s, ids := balanceSim(t, sched.Linux6_1, 2, sched.Topology{}, hogs(3, nil, 0)...)
	runMS(t, s, 20000)
	for _, id := range ids {
		assert.InDelta(t, 20e9*2/3, float64(s.Times(id).Run), 20e9*0.1)
	}
}

// A task of nice -15 has the weight of some thirty of nice 0: those leave its CPU.
func TestWeightsCount(t *testing.T) {
	specs := append(hogs(1, nil, -15), hogs(4, nil, 0)...)
	s, ids := balanceSim(t, sched.Linux6_1, 2, sched.Topology{}, specs...)
	runMS(t, s, 5000)
	heavy := s.Machine().Task(ids[0]).CPU
	for _, id := range ids[1:] {
		assert.NotEqual(t, heavy, s.Machine().Task(id).CPU)
	}
	assert.Greater(t, s.Times(ids[0]).Run, uint64(4_800_000_000))
}

// Pinned tasks stay, and free ones go round them.
func TestPinnedStay(t *testing.T) {
	specs := append(hogs(2, sched.MaskOf(0), 0), hogs(2, nil, 0)...)
	s, ids := balanceSim(t, sched.Linux6_1, 3, sched.Topology{}, specs...)
	runMS(t, s, 3000)
	assert.Equal(t, []int{2, 1, 1}, where(s, ids, 3))
	for _, id := range ids[:2] {
		assert.Zero(t, s.Times(id).Migrations)
	}
}

// No CPU idles for long while another one has tasks to give; pinned tasks never
// leave their CPUs; and it all comes out the same again.
func TestBalanceProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		cpus := rapid.SampledFrom([]int{2, 3, 4, 8, 12}).Draw(r, "cpus")
		top := sched.Topology{}
		if cpus%4 == 0 {
			top = rapid.SampledFrom([]sched.Topology{{}, {SMT: 2}, {SMT: 2, LLC: 4}, {LLC: 2, Node: 4}}).Draw(r, "topology")
		}
		n := rapid.IntRange(1, 3*cpus).Draw(r, "tasks")
		var specs []sched.TaskSpec
		free := 0
		for i := range n {
			spec := sched.TaskSpec{Comm: fmt.Sprint("t", i), Attr: sched.Attr{Nice: rapid.IntRange(-5, 5).Draw(r, "nice")}}
			switch rapid.IntRange(0, 3).Draw(r, "kind") {
			case 0:
				spec.CPUs = sched.MaskOf(sched.CPU(rapid.IntRange(0, cpus-1).Draw(r, "cpu")))
				spec.Program = sched.Loop(sched.Compute(7_000_000))
			case 1:
				spec.Program = sched.Loop(sched.Compute(2_000_000), sched.Sleep(3_000_000))
			default:
				spec.Program = sched.Loop(sched.Compute(9_000_000))
				free++
			}
			specs = append(specs, spec)
		}
		p := rapid.SampledFrom([]sched.Profile{sched.Linux6_1, sched.Linux6_12}).Draw(r, "profile")
		run := func() (*sched.Sim, []sched.TaskID) {
			s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: p, LoadTracking: true}, Topology: top, Preempt: sched.PreemptFull, Specs: specs})
			require.NoError(r, err)
			ids, err := s.SpawnAll()
			require.NoError(r, err)
			for range 10 {
				require.NoError(r, s.Run(s.Now()+100_000_000))
				require.NoError(r, s.Machine().Check())
			}
			return s, ids
		}
		s, ids := run()
		again, _ := run()
		var idle uint64
		for c := range cpus {
			require.Equal(r, s.IdleTime(sched.CPU(c)), again.IdleTime(sched.CPU(c)))
			idle += s.IdleTime(sched.CPU(c))
		}
		for i, id := range ids {
			require.Equal(r, s.Times(id), again.Times(id))
			if specs[i].CPUs != nil {
				require.Zero(r, s.Times(id).Migrations)
			}
		}
		if free >= cpus {
			require.Less(r, idle, uint64(cpus)*1_000_000_000/20, "idle while there was work for all")
		}
	})
}

// The domains of four CPUs with one cache are those that a captured kernel shows
// (sched-cfs-smp-4cpu, tunables/domains.txt).
func TestDomainsAsCaptured(t *testing.T) {
	s, _ := balanceSim(t, sched.Linux6_1, 4, sched.Topology{})
	assert.Equal(t, []sched.DomainInfo{{Level: sched.LevelMC, CPUs: 4, GroupCPUs: 1, MinInterval: 4, MaxInterval: 8, BusyFactor: 16, ImbalancePct: 117, CacheNiceTries: 1,
		Flags: []string{"SD_BALANCE_NEWIDLE", "SD_BALANCE_EXEC", "SD_BALANCE_FORK", "SD_WAKE_AFFINE", "SD_SHARE_PKG_RESOURCES", "SD_PREFER_SIBLING"}}}, s.Domains(3))
	assert.Equal(t, "MC", sched.LevelMC.String())
	assert.Nil(t, s.Domains(4))
	big, _ := balanceSim(t, sched.Linux6_1, 16, sched.Topology{SMT: 2, LLC: 4, Node: 8})
	var levels []string
	for _, d := range big.Domains(5) {
		levels = append(levels, fmt.Sprint(d.Level, " ", d.First, " ", d.CPUs, " ", d.GroupCPUs))
	}
	assert.Equal(t, []string{"SMT 4 2 1", "MC 4 4 2", "DIE 0 8 4", "NUMA 0 16 8"}, levels)
	assert.Equal(t, []string{"SD_BALANCE_NEWIDLE", "SD_BALANCE_EXEC", "SD_BALANCE_FORK", "SD_WAKE_AFFINE", "SD_SERIALIZE", "SD_OVERLAP", "SD_NUMA"}, big.Domains(5)[3].Flags)
	assert.Equal(t, []string{"SD_BALANCE_NEWIDLE", "SD_BALANCE_EXEC", "SD_BALANCE_FORK", "SD_WAKE_AFFINE", "SD_SHARE_CPUCAPACITY", "SD_SHARE_PKG_RESOURCES", "SD_PREFER_SIBLING"},
		big.Domains(5)[0].Flags)
}

// Two tasks that may not run on the CPU beside theirs: within their cache nothing
// can be done, so that the other cache's idle CPU has to come for one.
func TestAffinityBelowIsToldAbove(t *testing.T) {
	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 4, Profile: sched.Linux6_1, LoadTracking: true}, Topology: sched.Topology{LLC: 2},
		Preempt: sched.PreemptFull, Masks: []sched.CPUMask{sched.MaskOf(1, 2, 3)}})
	require.NoError(t, err)
	var ids []sched.TaskID
	for _, spec := range []sched.TaskSpec{
		{Comm: "a", CPUs: sched.MaskOf(1), Program: sched.Program{sched.Compute(5_000_000), {Op: sched.OpAffinity}, sched.Compute(1 << 40)}},
		{Comm: "b", CPUs: sched.MaskOf(1), Program: sched.Program{sched.Compute(5_000_000), {Op: sched.OpAffinity}, sched.Compute(1 << 40)}},
		{Comm: "c", CPUs: sched.MaskOf(2), Program: sched.Loop(sched.Compute(10_000_000))},
	} {
		id, err := s.Spawn(spec)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	runMS(t, s, 1000)
	assert.Equal(t, []int{0, 1, 1, 1}, where(s, ids, 4))
}
