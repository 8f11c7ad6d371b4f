package sched_test

import (
	"math"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCgroupFilesRefuse writes what the kernel refuses into the cpu
// controller's files: the group stays as it was.
func TestCgroupFilesRefuse(t *testing.T) {
	s, _ := newSim(t, sched.SimConfig{})
	k := s.Machine().Kernel()
	g, err := k.NewGroup(sched.RootGroup)
	require.NoError(t, err)
	require.NoError(t, k.SetMax(g, 20_000, 50_000, 10_000))
	refused := func(file, errno string, err error) {
		t.Helper()
		var e *sched.CgroupError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, [2]string{file, errno}, [2]string{e.File, e.Errno})
	}
	const most = 17_592_186_044_415 // 2^44 - 1
	for _, c := range []struct {
		file                 string // "": accepted
		quota, period, burst int64
	}{
		{"", 1000, 1000, 0}, {"cpu.max", 999, 1000, 0}, {"cpu.max", 0, 1000, 0}, {"cpu.max", 1000, 999, 0}, {"cpu.max", 1000, 0, 0}, {"cpu.max", 1000, -1, 0},
		{"", 1000, 1_000_000, 0}, {"cpu.max", 1000, 1_000_001, 0}, {"cpu.max", 1000, math.MaxInt64, 0},
		{"", most, 1000, 0}, {"cpu.max", most + 1, 1000, 0}, {"cpu.max", math.MaxInt64, 1000, 0},
		{"", 1000, 1000, 1000}, {"cpu.max.burst", 1000, 1000, 1001}, {"cpu.max.burst", 1000, 1000, -1}, {"cpu.max.burst", most, 1000, 1},
		{"", -1, 1000, 1 << 50}, {"cpu.max.burst", -1, 1000, -1}, {"cpu.max.burst", -1, 1000, math.MaxInt64},
		{"", 20_000, 50_000, 10_000}, // as it was
	} {
		before := s.Machine().Queue(s.Machine().QueueOf(g, 0))
		err := k.SetMax(g, c.quota, c.period, c.burst)
		if c.file == "" {
			require.NoError(t, err, "%+v", c)
			continue
		}
		refused(c.file, "EINVAL", err)
		require.Equal(t, before, s.Machine().Queue(s.Machine().QueueOf(g, 0)))
	}
	refused("cpu.weight", "ERANGE", k.SetWeight(g, 0))
	refused("cpu.weight", "ERANGE", k.SetWeight(g, 10_001))
	refused("cpu.weight.nice", "ERANGE", k.SetWeightNice(g, -21))
	refused("cpu.weight.nice", "ERANGE", k.SetWeightNice(g, 20))
	for _, unknown := range []sched.GroupID{sched.NoGroup, g + 1} {
		refused("cpu.weight", "ENOENT", k.SetWeight(unknown, 100))
		refused("cpu.weight.nice", "ENOENT", k.SetWeightNice(unknown, 0))
		refused("cpu.max", "ENOENT", k.SetMax(unknown, 1000, 1000, 0))
		refused("cpu.idle", "ENOENT", k.SetIdle(unknown, true))
		_, err := k.NewGroup(unknown)
		var config *sched.ConfigError
		require.ErrorAs(t, err, &config)
		_, err = s.Spawn(sched.TaskSpec{Group: unknown, Program: hog})
		require.ErrorAs(t, err, &config)
	}
	refused("cpu.max", "EINVAL", k.SetMax(sched.RootGroup, 1000, 1000, 0))
	require.NoError(t, k.SetIdle(g, true))
	refused("cpu.weight", "EINVAL", k.SetWeight(g, 100))
	refused("cpu.weight.nice", "EINVAL", k.SetWeightNice(g, 0))
	require.NoError(t, s.Machine().Check())
}

// TestCallsRefuse makes system calls with wrong arguments and for tasks that do
// not exist: nothing changes.
func TestCallsRefuse(t *testing.T) {
	s, ids := newSim(t, sched.SimConfig{}, sched.TaskSpec{Comm: "a", Program: hog})
	k, m := s.Machine().Kernel(), s.Machine()
	require.NoError(t, s.Run(10_000_000))
	idle := k.Idle(0)
	for _, unknown := range []sched.TaskID{sched.NoTask, -2, idle, ids[0] + 1, math.MaxInt32} {
		for name, err := range map[string]error{
			"nice": k.SetNice(unknown, 0), "attr": k.SetAttr(unknown, sched.Attr{}), "donor's": k.SetDonor(unknown, sched.NoTask),
			"group": k.MoveTask(unknown, sched.RootGroup), "enqueue": k.Enqueue(unknown, 0),
		} {
			var step *sched.StepError
			require.ErrorAs(t, err, &step, name)
		}
		if unknown != sched.NoTask {
			require.Error(t, k.SetDonor(ids[0], unknown))
			s.Wake(unknown, 0)
		}
		assert.False(t, s.Exited(unknown))
		if unknown != idle {
			assert.Empty(t, s.Comm(unknown))
			assert.Zero(t, s.Times(unknown))
		}
	}
	before, dl := m.Task(ids[0]), m.Deadline(ids[0])
	const msec = 1_000_000
	for _, a := range []sched.Attr{
		{Policy: 4}, {Policy: 99}, {Nice: 20}, {Nice: -21}, {RTPriority: 1},
		{Policy: sched.PolicyFIFO}, {Policy: sched.PolicyRR, RTPriority: 100},
		{Policy: sched.PolicyDeadline}, {Policy: sched.PolicyDeadline, Runtime: 1023, Deadline: 10 * msec},
		{Policy: sched.PolicyDeadline, Runtime: 11 * msec, Deadline: 10 * msec}, {Policy: sched.PolicyDeadline, Runtime: msec, Deadline: 10 * msec, Period: 9 * msec},
		{Policy: sched.PolicyDeadline, Runtime: msec, Deadline: 10 * msec, Period: 1 << 63}, {Policy: sched.PolicyDeadline, Runtime: 2000, Deadline: 99_999},
	} {
		var config *sched.ConfigError
		require.ErrorAs(t, k.SetAttr(ids[0], a), &config, "%+v", a)
	}
	// More than 95% of the only CPU.
	var full *sched.AdmissionError
	require.ErrorAs(t, k.SetAttr(ids[0], sched.Attr{Policy: sched.PolicyDeadline, Runtime: 96 * msec, Deadline: 100 * msec}), &full)
	assert.Equal(t, before, m.Task(ids[0]))
	assert.Equal(t, dl, m.Deadline(ids[0]))
	require.NoError(t, m.Check())
	require.NoError(t, k.SetAttr(ids[0], sched.Attr{Policy: sched.PolicyDeadline, Runtime: 94 * msec, Deadline: 100 * msec}))
	require.NoError(t, s.Run(20_000_000))
	require.NoError(t, m.Check())

	// A mask that a program sets without a CPU of the machine stops the simulation.
	s, _ = newSim(t, sched.SimConfig{Masks: []sched.CPUMask{sched.MaskOf(7)}},
		sched.TaskSpec{Program: sched.Program{sched.Compute(1000), {Op: sched.OpAffinity, N: 0}}})
	var config *sched.ConfigError
	require.ErrorAs(t, s.Run(second), &config)
	for _, empty := range []sched.CPUMask{{}, {0}, sched.MaskOf(64)} {
		_, err := s.Spawn(sched.TaskSpec{CPUs: empty, Start: s.Now(), Program: hog})
		require.ErrorAs(t, err, &config)
	}
}
