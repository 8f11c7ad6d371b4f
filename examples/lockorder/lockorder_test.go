package lockorder_test

import (
	"fmt"

	"github.com/kernsim/kernsim/examples/lockorder"
)

// transfer moves money between two accounts and locks them in the order of the
// call: a bug that a test with one goroutine at a time cannot run into, but
// the checker sees.
func Example() {
	c, err := lockorder.NewChecker()
	if err != nil {
		fmt.Println(err)
		return
	}
	alice, bob := c.Mutex("alice"), c.Mutex("bob")
	transfer := func(task string, id int, from, to *lockorder.Mutex) {
		t := c.Task(task, id)
		from.Lock(t, "transfer+0x1/0x9")
		to.Lock(t, "transfer+0x2/0x9")
		to.Unlock(t, "transfer+0x3/0x9")
		from.Unlock(t, "transfer+0x4/0x9")
	}
	transfer("rent", 1, alice, bob)
	fmt.Println(c.Report() == nil)
	transfer("salary", 2, bob, alice)
	fmt.Println(c.Report().Title)
	fmt.Println(c.Report().Cycle)
	// Output:
	// true
	// WARNING: possible circular locking dependency detected
	// [alice bob]
}
