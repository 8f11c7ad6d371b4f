package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestThrottledWaits: since 6.12 a throttled deadline task that is woken begins to
// wait at once, and so begins twice: when it is replenished what it has waited is
// taken off. Before it began then.
func TestThrottledWaits(t *testing.T) {
	for _, c := range []struct {
		profile Profile
		want    uint64
	}{{Linux6_1, 3_000_000}, {Debian6_12, 2_000_000}} {
		m, err := New(Config{CPUs: 1, Profile: c.profile})
		require.NoError(t, err)
		k := m.Kernel()
		id, err := k.AddTask(TaskInfo{PID: 1, TGID: 1, State: StateInterruptible})
		require.NoError(t, err)
		require.NoError(t, k.SetAttr(id, Attr{Policy: PolicyDeadline, Runtime: 2_000_000, Deadline: 10_000_000}))
		task := &m.tasks[id]
		task.dl.throttled, task.dl.deadline, task.dl.runtime = true, 2_000_000, -1
		k.SetClock(0, 1_000_000, 1_000_000)
		require.NoError(t, k.Enqueue(id, EnqueueWakeup|EnqueueNoClock))
		require.False(t, m.dlNodes[id].linked, "it is throttled")
		k.SetClock(0, 3_000_000, 3_000_000)
		m.dlEnqueue(&m.rqs[0], id, EnqueueReplenish)
		require.True(t, m.dlNodes[id].linked)
		require.Equal(t, c.want, task.stats.waitStart, c.profile.Name)
	}
}

// TestNoSleepStatistics: since 6.12 nobody notes when a deadline task goes to sleep.
func TestNoSleepStatistics(t *testing.T) {
	for _, c := range []struct {
		profile Profile
		want    uint64
	}{{Linux6_1, 1_000_000}, {Debian6_12, 0}} {
		m, err := New(Config{CPUs: 1, Profile: c.profile})
		require.NoError(t, err)
		k := m.Kernel()
		id, err := k.AddTask(TaskInfo{PID: 1, TGID: 1, State: StateNew})
		require.NoError(t, err)
		require.NoError(t, k.SetAttr(id, Attr{Policy: PolicyDeadline, Runtime: 2_000_000, Deadline: 10_000_000}))
		require.NoError(t, k.Enqueue(id, EnqueueWakeup|EnqueueNoClock))
		k.SetClock(0, 1_000_000, 1_000_000)
		k.SetState(id, StateInterruptible)
		_, err = k.Dequeue(id, DequeueSleep|DequeueNoClock)
		require.NoError(t, err)
		require.Equal(t, c.want, m.tasks[id].stats.sleepStart, c.profile.Name)
	}
}
