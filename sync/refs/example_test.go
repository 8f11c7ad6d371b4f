package refs_test

import (
	"fmt"

	"github.com/kernsim/kernsim/sync/refs"
)

// A reference too many is given back: the count sticks, and the object leaks
// instead of being freed twice.
func ExampleCount() {
	var c refs.Count
	c.Set(1)
	last, _ := c.DecAndTest()
	fmt.Println(last)
	fmt.Println(c.DecAndTest())
	fmt.Printf("%#x\n", c.Read())
	// Output:
	// true
	// false refcount_t: underflow; use-after-free.
	// 0xc0000000
}
