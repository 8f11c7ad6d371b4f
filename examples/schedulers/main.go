// Command schedulers runs one workload under CFS and under EEVDF and compares
// what its tasks got.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/kernsim/kernsim/sched"
)

const (
	ms     = int64(1_000_000)
	second = uint64(1_000_000_000)
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	workload := []sched.TaskSpec{
		{Comm: "editor", Program: sched.Loop(sched.Compute(1*ms), sched.Sleep(19*ms))},
		{Comm: "compiler", Program: sched.Loop(sched.Compute(50*ms), sched.Sleep(1*ms))},
		{Comm: "backup", Attr: sched.Attr{Nice: 10}, Program: sched.Loop(sched.Compute(10 * ms))},
	}
	for _, p := range []sched.Profile{sched.Linux6_1, sched.Linux6_12} {
		s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: p}, Specs: workload})
		if err != nil {
			return err
		}
		tasks, err := s.SpawnAll()
		if err != nil {
			return err
		}
		if err := s.Run(10 * second); err != nil {
			return err
		}
		for _, id := range tasks {
			t := s.Times(id)
			fmt.Fprintf(w, "Linux %-5s %-9s %5.1f%% of the CPU, waited at most %5.1f ms after waking, %5d switches\n", p.Name, s.Comm(id),
				100*float64(t.Run)/float64(10*second), float64(t.MaxLatency)/1e6, t.Voluntary+t.Involuntary)
		}
	}
	return nil
}
