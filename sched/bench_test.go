package sched_test

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/sched"
)

// BenchmarkSwitch is one context switch among 100 CPU-bound tasks on one CPU:
// the tick, the pick, and the switch.
func BenchmarkSwitch(b *testing.B) {
	for _, p := range profiles[1:] {
		b.Run(p.Name, func(b *testing.B) {
			m, err := sched.New(sched.Config{CPUs: 1, Profile: p})
			if err != nil {
				b.Fatal(err)
			}
			k := m.Kernel()
			for i := range 100 {
				t, err := k.AddTask(sched.TaskInfo{PID: int32(i + 1), TGID: int32(i + 1), State: sched.StateNew})
				if err != nil {
					b.Fatal(err)
				}
				_ = k.Fork(t)
				if err := k.Enqueue(t, sched.EnqueueNoClock|sched.EnqueueInitial); err != nil {
					b.Fatal(err)
				}
			}
			k.Schedule(0)
			now := uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				now += 4_000_000
				k.SetClock(0, now, now)
				if err := k.Tick(0); err != nil {
					b.Fatal(err)
				}
				k.Schedule(0)
			}
		})
	}
}

// BenchmarkTasks is putting a task to sleep and waking it again, by the number
// of tasks in the queue: it grows like their logarithm.
func BenchmarkTasks(b *testing.B) {
	for _, p := range profiles[1:] {
		for n := 10; n <= 1_000_000; n *= 10 {
			b.Run(fmt.Sprintf("%s/%d", p.Name, n), func(b *testing.B) {
				m, _ := sched.New(sched.Config{CPUs: 1, Profile: p})
				k := m.Kernel()
				var last sched.TaskID
				for i := range n {
					last, _ = k.AddTask(sched.TaskInfo{PID: int32(i + 1), TGID: int32(i + 1), State: sched.StateNew})
					_ = k.Enqueue(last, sched.EnqueueNoClock|sched.EnqueueInitial)
				}
				k.Schedule(0)
				now := uint64(1)
				b.ReportAllocs()
				b.ResetTimer()
				for b.Loop() {
					now += 1000
					k.SetClock(0, now, now)
					if _, err := k.Dequeue(last, sched.DequeueSave|sched.DequeueMove); err != nil {
						b.Fatal(err)
					}
					if err := k.Enqueue(last, sched.EnqueueRestore|sched.EnqueueMove); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSim runs 100,000 tasks on 1,024 CPUs; the metric is events a second.
func BenchmarkSim(b *testing.B) {
	for _, size := range []struct{ cpus, tasks int }{{1, 100}, {1024, 100_000}} {
		b.Run(fmt.Sprintf("%dcpus/%dtasks", size.cpus, size.tasks), func(b *testing.B) {
			s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: size.cpus, Profile: sched.Linux6_1}, Topology: sched.Topology{LLC: min(size.cpus, 16), Node: min(size.cpus, 64)}})
			if err != nil {
				b.Fatal(err)
			}
			for i := range size.tasks {
				p := sched.Loop(sched.Random(100_000, 2_000_000), sched.Sleep(1_000_000))
				if i%3 == 0 {
					p = hog
				}
				if _, err := s.Spawn(sched.TaskSpec{Comm: "t", Program: p}); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Run(10_000_000); err != nil {
				b.Fatal(err)
			}
			events, now := s.Events(), s.Now()
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				now += 1_000_000
				if err := s.Run(now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.Events()-events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
