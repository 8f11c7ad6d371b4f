// Command pages boots a machine, takes a block of pages and gives it back twice.
package main

import (
	"fmt"
	"log"

	"github.com/kernsim/kernsim/buddy"
)

func main() {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 512 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 2}, buddy.Linux6_1)
	if err != nil {
		log.Fatal(err)
	}
	pfn, err := a.AllocPages(0, buddy.GFPKernel, 3) // on CPU 0, 2^3 pages
	fmt.Println("page frame", pfn, err)
	fmt.Print(a.Buddyinfo()) // as /proc/buddyinfo prints it
	fmt.Println("free:", a.Free(0, pfn, 3))
	fmt.Println("again:", a.Free(0, pfn, 3))
}
