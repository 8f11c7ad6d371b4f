package percpu

import (
	"fmt"
	"math"
)

// pageSize is the page size in bytes.
const pageSize = 4096

// Layout is the first chunk's, in bytes.
type Layout struct {
	Static, Reserved, Dynamic int
	// Unit is the distance from one CPU's copy to the next; UnitsPerAlloc is how many
	// lie in one allocation.
	Unit, UnitsPerAlloc int
	// Atom is what allocations are multiples of.
	Atom int
}

// Embed computes the first chunk's layout: static variables, a reserve for modules'
// static ones, and at least dynamic bytes for others; allocations are multiples of
// atom (2 MiB on x86_64). cpus are the numbers of CPUs of each NUMA node.
func Embed(static, reserved, dynamic, atom int, cpus []int) (Layout, error) {
	total := 0
	for _, n := range cpus {
		if n < 1 {
			return Layout{}, fmt.Errorf("percpu: a node of %d CPUs, want at least 1", n)
		}
		total += n
	}
	if static < 0 || reserved < 0 || dynamic < 0 || atom < pageSize || atom%pageSize != 0 || total == 0 {
		return Layout{}, fmt.Errorf("percpu: static %d, reserved %d, dynamic %d, atom %d, CPUs %v: want sizes, pages and CPUs", static, reserved, dynamic, atom, cpus)
	}
	sum := roundUp(static+reserved+max(dynamic, 1), pageSize)
	size := max(sum, minUnit)
	alloc := roundUp(size, atom)
	upa := unitsPerAlloc(alloc, alloc/size, total, cpus)
	return Layout{static, reserved, sum - static - reserved, alloc / upa, upa, atom}, nil
}

// minUnit is the smallest unit (PCPU_MIN_UNIT_SIZE).
const minUnit = 32 << 10

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// unitsPerAlloc puts as many units into an allocation as waste few: at most a third
// of the CPUs' number.
func unitsPerAlloc(alloc, most, total int, cpus []int) int {
	best, last := 1, math.MaxInt
	for upa := most; upa > 0; upa-- {
		if alloc%upa != 0 || alloc/upa%pageSize != 0 {
			continue
		}
		allocs, wasted := 0, 0
		for _, n := range cpus {
			a := (n + upa - 1) / upa
			allocs += a
			wasted += a*upa - n
		}
		if wasted > total/3 {
			continue
		}
		if allocs > last {
			break
		}
		last, best = allocs, upa
	}
	return best
}

// String is the boot log's line.
func (l Layout) String() string {
	return fmt.Sprintf("percpu: Embedded %d pages/cpu s%d r%d d%d u%d", (l.Static+l.Reserved+l.Dynamic)/pageSize, l.Static, l.Reserved, l.Dynamic, l.Unit)
}
