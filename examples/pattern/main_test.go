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
	// Linux 5.4: 44955 pages free, 28160 in blocks of order 9 or 10, unusable for order 9: 373 per mille
	// Linux 6.1: 44775 pages free, 28160 in blocks of order 9 or 10, unusable for order 9: 371 per mille
	// Linux 6.12: 40830 pages free, 27136 in blocks of order 9 or 10, unusable for order 9: 335 per mille
}
