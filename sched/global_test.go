package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestGlobalOrder: with real-time tasks that may run anywhere, no CPU ever runs
// something less important than one that waits; with deadline tasks, none runs
// anything else while one waits. (Among deadline tasks the order may be off for some
// time, in the kernel, too: one that misses its deadline gets a later one while it
// runs, and nobody looks for others then. With both classes, a real-time task that a
// deadline task preempted waits: only a CPU with two of them counts as overloaded.)
func TestGlobalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const msec = 1_000_000
		cpus := rapid.IntRange(2, 4).Draw(t, "cpus")
		var specs []TaskSpec
		use := func() Program {
			return Loop(Random(rapid.Int64Range(100_000, 2*msec).Draw(t, "least"), 4*msec), Sleep(rapid.Int64Range(100_000, 8*msec).Draw(t, "sleep")))
		}
		left := float64(cpus) * 0.9
		for range rapid.IntRange(1, 8).Draw(t, "deadline tasks") {
			period := rapid.Uint64Range(4, 40).Draw(t, "period") * msec
			runtime := max(uint64(float64(period)*rapid.Float64Range(0.05, 0.8).Draw(t, "share")), 2000)
			if left -= float64(runtime) / float64(period); left < 0 {
				break
			}
			specs = append(specs, TaskSpec{Comm: "dl", Attr: Attr{Policy: PolicyDeadline, Runtime: runtime, Deadline: period, Period: period}, Program: use()})
		}
		if rapid.Bool().Draw(t, "real-time") {
			specs = nil
		}
		for range rapid.IntRange(0, 6*b2i(specs == nil)).Draw(t, "real-time tasks") {
			specs = append(specs, TaskSpec{Comm: "rt", Attr: Attr{Policy: PolicyFIFO, RTPriority: rapid.IntRange(1, 50).Draw(t, "priority")}, Program: use()})
		}
		for range rapid.IntRange(0, 3).Draw(t, "others") {
			specs = append(specs, TaskSpec{Comm: "fair", Program: use()})
		}
		s, err := NewSim(SimConfig{Config: Config{CPUs: cpus, Profile: Linux6_1}, Seed: rapid.Uint64().Draw(t, "seed"), Specs: specs, Preempt: PreemptFull})
		require.NoError(t, err)
		ids, err := s.SpawnAll()
		require.NoError(t, err)
		for now := uint64(1); now < 200; now++ {
			require.NoError(t, s.Run(now*777_777))
			require.NoError(t, s.Machine().Check())
			for _, id := range ids {
				task := &s.m.tasks[id]
				if task.class == ClassFair || !s.m.inClass(id) || s.m.rqs[task.cpu].curr == id || s.m.rqs[task.cpu].rt.throttled {
					continue
				}
				for c := range cpus {
					if task.class == ClassDeadline && s.m.tasks[s.m.rqs[c].curr].class == ClassDeadline {
						continue
					}
					require.LessOrEqual(t, s.rank(CPU(c)), s.rankOf(id), "at %d ns CPU %d runs something less important than task %d, which waits on CPU %d behind task %d (resched %v)", s.Now(), c, id, task.cpu, s.m.rqs[task.cpu].curr, s.m.rqs[task.cpu].needResched)
				}
			}
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
