package rcu_test

import (
	"fmt"

	"github.com/kernsim/kernsim/sync/rcu"
)

// A callback waits for a reader that was there before it.
func ExampleModel() {
	m, err := rcu.New(rcu.Config{CPUs: 2, Invoke: func(cpu int, callback uint64) {
		fmt.Println("callback", callback, "runs on CPU", cpu)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = m.Run(0, 7)
	_ = m.ReadLock(0, 7)
	m.CallRCU(1, 1)
	step := func() {
		for cpu := range 2 {
			m.Tick(cpu)
			m.Core(cpu)
		}
		m.GracePeriod(1)
	}
	for range 5 {
		step()
	}
	cpus, _ := m.Holders()
	fmt.Println("the grace period waits for CPUs", cpus)
	_ = m.ReadUnlock(0, 7)
	for range 3 {
		step()
	}
	// Output:
	// the grace period waits for CPUs [0]
	// callback 1 runs on CPU 1
}
