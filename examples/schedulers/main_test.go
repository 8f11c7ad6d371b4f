package main

import (
	"fmt"
	"os"
)

func Example() {
	if err := run(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Linux 6.1   editor      5.0% of the CPU, waited at most   0.0 ms after waking,   500 switches
	// Linux 6.1   compiler   81.2% of the CPU, waited at most   1.0 ms after waking,   825 switches
	// Linux 6.1   backup     13.8% of the CPU, waited at most   8.0 ms after waking,   487 switches
	// Linux 6.12  editor      4.7% of the CPU, waited at most   5.0 ms after waking,   489 switches
	// Linux 6.12  compiler   84.5% of the CPU, waited at most   1.0 ms after waking,   809 switches
	// Linux 6.12  backup     10.7% of the CPU, waited at most   4.0 ms after waking,   398 switches
}
