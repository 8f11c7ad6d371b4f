package lock_test

import (
	"fmt"

	"github.com/kernsim/kernsim/sync/lock"
)

// A low-priority owner runs at the priority of whoever waits for it, along a chain
// of two mutexes.
func ExampleRTMutex() {
	s := lock.NewSystem(3)
	for t, fifo := range []int{10, 20, 60} {
		if err := s.SetFIFO(lock.TaskID(t), fifo); err != nil {
			fmt.Println(err)
		}
	}
	a, b := s.NewRTMutex(), s.NewRTMutex()
	_, _ = a.Lock(0)
	_, _ = b.Lock(1)
	_, _ = a.Lock(1) // task 1 waits for task 0
	_, _ = b.Lock(2) // task 2 waits for task 1
	fmt.Println(s.Priority(0), s.Priority(1), s.Priority(2))
	_ = a.Unlock(0)
	fmt.Println(s.Settle(), s.Priority(0), "back to", s.Normal(0))
	// Output:
	// 39 39 39
	// [1] 89 back to 89
}

// What is forbidden is an error that names the kernel's report; nothing changes.
func ExampleMutex_Unlock() {
	s := lock.NewSystem(2)
	m := s.NewMutex()
	_, _ = m.Lock(0)
	fmt.Println(m.Unlock(1))
	fmt.Println(m.Owner())
	// Output:
	// lock: mutex_unlock by task 1: WARNING: bad unlock balance detected!
	// 0
}
