package sched_test

import (
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/require"
)

// threeTasks are a deadline, a real-time and a fair task on one CPU, all asleep
// at 1 s.
func threeTasks(t *testing.T) (*sched.Machine, sched.Kernel, []sched.TaskID) {
	t.Helper()
	m, err := sched.New(sched.Config{CPUs: 1, Profile: sched.Linux6_1})
	require.NoError(t, err)
	k := m.Kernel()
	k.SetClock(0, 1e9, 1e9)
	var ids []sched.TaskID
	for i, policy := range []sched.Policy{sched.PolicyDeadline, sched.PolicyFIFO, sched.PolicyNormal} {
		info := sched.TaskInfo{PID: int32(10 + i), TGID: int32(10 + i), Policy: policy, State: sched.StateInterruptible}
		if policy == sched.PolicyFIFO {
			info.RTPriority = 5
		}
		id, err := k.AddTask(info)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	k.SetDeadline(ids[0], 2e6, 20e6, 20e6, false)
	return m, k, ids
}

// TestDonorsInChain: a task that waits with another one's deadline parameters
// lends those, and not its own.
func TestDonorsInChain(t *testing.T) {
	m, k, ids := threeTasks(t)
	require.NoError(t, k.SetDonor(ids[1], ids[0]))
	require.NoError(t, k.SetDonor(ids[2], ids[1]))
	st := m.Task(ids[2])
	require.Equal(t, sched.ClassDeadline, st.Class)
	require.Negative(t, st.Prio)
	require.Equal(t, 120, st.NormalPrio)
	require.NoError(t, k.Enqueue(ids[2], sched.EnqueueWakeup))
	require.EqualValues(t, 2e6, m.Deadline(ids[2]).Runtime)
	require.EqualValues(t, 1e9+20e6, m.Deadline(ids[2]).Deadline)
	require.NoError(t, m.Check())
}

// TestParametersUpToZeroLag: a task that leaves the deadline class keeps its
// parameters, and its bandwidth, up to its 0-lag time.
func TestParametersUpToZeroLag(t *testing.T) {
	m, k, ids := threeTasks(t)
	require.NoError(t, k.Enqueue(ids[0], sched.EnqueueWakeup))
	require.Equal(t, ids[0], k.PickDeadline(0))
	k.Switch(0, ids[0])
	k.SetClock(0, 1e9+1e6, 1e9+1e6) // half of the runtime: the 0-lag time is half a period before the deadline
	_, err := k.Dequeue(ids[0], sched.DequeueSleep)
	require.NoError(t, err)
	require.EqualValues(t, 1e9+10e6, m.Deadline(ids[0]).Inactive)
	require.NoError(t, k.SetPriority(ids[0], sched.PolicyNormal, 0, 0, 140))
	require.EqualValues(t, 2e6, m.Deadline(ids[0]).RuntimeMax)
	k.SetClock(0, 1e9+10e6, 1e9+10e6)
	k.InactiveTimer(ids[0])
	st := m.Deadline(ids[0])
	require.Zero(t, st.RuntimeMax)
	require.Zero(t, st.Period)
	require.False(t, st.Throttled || st.NonContending)
	require.EqualValues(t, 1e6, st.Runtime, "what is left of the instance stays")
}

// TestNrLatency: the number of tasks in a latency period is not computed from
// the times that are set, except where it is unknown.
func TestNrLatency(t *testing.T) {
	for _, c := range []struct{ set, want uint64 }{{8, 1999999}, {0, 2999999}} {
		tun := sched.Linux6_1.Tunables
		tun.MinGranularityNS, tun.NrLatency = 3e6, c.set
		tun.Features &^= sched.BaseSlice
		m, err := sched.New(sched.Config{CPUs: 1, Profile: sched.Linux6_1, Tunables: &tun})
		require.NoError(t, err)
		k := m.Kernel()
		k.SetClock(0, 1e9, 1e9)
		var first uint64
		for pid := range int32(3) {
			id, err := k.AddTask(sched.TaskInfo{PID: pid + 1, TGID: pid + 1, State: sched.StateNew})
			require.NoError(t, err)
			require.NoError(t, k.Fork(id))
			if pid == 2 {
				first = m.Entity(m.EntityOf(id)).Vruntime
			}
			require.NoError(t, k.Enqueue(id, 0))
		}
		require.Equal(t, c.want, first, "the third task starts after a slice")
	}
}
