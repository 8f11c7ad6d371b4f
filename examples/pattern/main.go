// Command pattern simulates an allocation pattern on two kernels and compares
// how much of the free memory is still usable for huge pages.
package main

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"

	"github.com/kernsim/kernsim/buddy"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	for _, p := range []buddy.Profile{buddy.Linux5_4, buddy.Linux6_1, buddy.Linux6_12} {
		a, err := pattern(p, 7)
		if err != nil {
			return err
		}
		zone := a.Zone(1)
		fmt.Fprintf(w, "Linux %s: %d pages free, %d in blocks of order 9 or 10, unusable for order 9: %d per mille\n", p.Name,
			zone.FreePages(), zone.FreeBlocks(9)<<9+zone.FreeBlocks(10)<<10, zone.UnusableIndex(9))
	}
	return nil
}

// pattern fills half of a machine of 256 MiB with kernel and user pages by a
// seed, and frees every second one.
func pattern(p buddy.Profile, seed uint64) (*buddy.Allocator, error) {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 256 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 2}, p)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	var pages []buddy.PFN
	for range 32 << 10 {
		gfp := buddy.GFPKernel
		if r.IntN(4) > 0 {
			gfp = buddy.GFPHighUserMovable
		}
		pfn, err := a.AllocPages(buddy.CPU(r.IntN(2)), gfp, 0)
		if err != nil {
			return nil, err
		}
		pages = append(pages, pfn)
	}
	for i := 0; i < len(pages); i += 2 {
		if err := a.Free(0, pages[i], 0); err != nil {
			return nil, err
		}
	}
	return a, a.Check()
}
