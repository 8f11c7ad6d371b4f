package sched_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/procfs"
)

// Two tasks compute on one CPU for a second: five nice steps are three times the time.
func ExampleNewSim() {
	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: sched.Linux6_1}})
	if err != nil {
		panic(err)
	}
	for _, nice := range []int{0, 5} {
		_, _ = s.Spawn(sched.TaskSpec{Comm: fmt.Sprintf("nice%d", nice), Attr: sched.Attr{Nice: nice}, Program: sched.Loop(sched.Compute(10_000_000))})
	}
	if err := s.Run(1_000_000_000); err != nil {
		panic(err)
	}
	for t := sched.TaskID(1); t <= 2; t++ { // task 0 is the CPU's idle task
		times := s.Times(t)
		fmt.Printf("%s ran %d ms, switched %d times\n", s.Comm(t), times.Run/1_000_000, times.Voluntary+times.Involuntary)
	}
	// Output:
	// nice0 ran 752 ms, switched 62 times
	// nice5 ran 248 ms, switched 62 times
}

// A group is given two of four CPUs; its tasks leave the others at once.
func ExampleSim_SetCpuset() {
	s, _ := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 4, Profile: sched.Linux6_1, LoadTracking: true}})
	g, _ := s.Machine().Kernel().NewGroup(sched.RootGroup)
	for range 4 {
		_, _ = s.Spawn(sched.TaskSpec{Comm: "hog", Group: g, Program: sched.Loop(sched.Compute(1_000_000))})
	}
	where := func() (cpus []sched.CPU) {
		for t := sched.TaskID(4); t < 8; t++ {
			cpus = append(cpus, s.Machine().Task(t).CPU)
		}
		return cpus
	}
	_ = s.Run(100_000_000)
	fmt.Println(where())
	if err := s.SetCpuset(g, "0-1"); err != nil {
		panic(err)
	}
	fmt.Println(s.CpusetEffective(g), where())
	fmt.Println(s.SetCpuset(g, "4"))
	// Output:
	// [0 1 2 3]
	// 0-1 [0 1 1 0]
	// sched: cpuset.cpus: ERANGE: "4", want CPUs below 4, such as "0-3,5"
}

// A task that uses a tenth of a CPU makes the governor ask for little, unless it says
// that it needs half of the CPU's capacity.
func ExampleMachine_Frequency() {
	for _, attr := range []sched.Attr{{}, {Clamp: sched.ClampMin, UtilMin: 512}} {
		s, _ := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: sched.Linux6_1, LoadTracking: true, ClampBuckets: 5}})
		_, _ = s.Spawn(sched.TaskSpec{Attr: attr, Program: sched.Loop(sched.Compute(1_000_000), sched.Every(10_000_000))})
		_ = s.Run(1_000_500_000) // half a millisecond into its turn
		fmt.Println(s.Machine().EffectiveUtil(0), "of 1024:", s.Machine().Frequency(0, 2_400_000), "kHz of 2400000")
	}
	// Output:
	// 112 of 1024: 328125 kHz of 2400000
	// 512 of 1024: 1500000 kHz of 2400000
}

// The scheduling domains of two sockets, as their files in debugfs tell them.
func ExampleSim_Domains() {
	s, _ := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 16, Profile: sched.Linux6_1, LoadTracking: true},
		Topology: sched.Topology{SMT: 2, LLC: 8, Node: 8}})
	for _, d := range s.Domains(9) {
		fmt.Printf("%s: CPUs %d to %d, groups of %d, %s\n", d.Level, d.First, int(d.First)+d.CPUs-1, d.GroupCPUs, d.Flags[len(d.Flags)-1])
	}
	var b strings.Builder
	_ = procfs.WriteDomains(&b, s, procfs.Linux6_1)
	fmt.Fprintln(os.Stdout, strings.Count(b.String(), "\n"), "files")
	// Output:
	// SMT: CPUs 8 to 9, groups of 1, SD_PREFER_SIBLING
	// MC: CPUs 8 to 15, groups of 2, SD_PREFER_SIBLING
	// NUMA: CPUs 0 to 15, groups of 8, SD_NUMA
	// 384 files
}
