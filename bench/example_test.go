package bench_test

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/buddy"
)

// twoEnds is a strategy of our own: first fit, but what can be moved comes from
// the low end of memory and all else from the high end.
type twoEnds struct {
	first buddy.PFN
	free  []bool
}

func (s *twoEnds) Start(m *bench.Machine) error {
	s.first, s.free = m.First(), make([]bool, m.Pages())
	for _, span := range m.Free {
		for p := span.Start; p < span.End; p++ {
			s.free[p-s.first] = true
		}
	}
	return nil
}

func (s *twoEnds) Alloc(r bench.Request) (buddy.PFN, bool) {
	n := 1 << r.Order
	for i := 0; i+n <= len(s.free); i += n {
		at := i
		if !r.GFP.Any(buddy.GFPMovable) {
			at = (len(s.free)/n-1)*n - i
		}
		if s.all(at, n) {
			for p := range n {
				s.free[at+p] = false
			}
			return s.first + buddy.PFN(at), true
		}
	}
	return 0, false
}

func (s *twoEnds) all(at, n int) bool {
	for p := range n {
		if !s.free[at+p] {
			return false
		}
	}
	return true
}

func (s *twoEnds) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	for p := range 1 << order {
		s.free[int(pfn-s.first)+p] = true
	}
}

// A strategy is a type with three methods. Here one of our own is compared with
// Linux and with plain first fit on an embedded board's requests: how many
// pageblocks does it dirty with pages that cannot be moved?
func ExampleCompare() {
	board := bench.Mixes()[3]
	board.Ops = 50000
	w, err := board.Workload()
	if err != nil {
		panic(err)
	}
	strategies, err := bench.Find("linux-6.1", "first-fit")
	if err != nil {
		panic(err)
	}
	strategies = append(strategies, bench.Named{Name: "two-ends", About: "first fit from both ends",
		New: func() bench.Strategy { return &twoEnds{} }})
	all, err := bench.Compare(context.Background(), []*bench.Workload{w}, strategies, bench.CompareOptions{Seeds: 6})
	if err != nil {
		panic(err) // a strategy that is wrong is named here
	}
	for _, m := range bench.Metrics() {
		if m.ID != "unmovable_blocks" {
			continue
		}
		for _, row := range all[0].Rows {
			s := row.Summary(&m)
			fmt.Printf("%-9s %.0f pageblocks (%.0f to %.0f)\n", row.Strategy.Name, s.Median, s.Lo, s.Hi)
		}
	}
	// Output:
	// linux-6.1 2 pageblocks (2 to 3)
	// first-fit 10 pageblocks (9 to 10)
	// two-ends  2 pageblocks (2 to 2)
}
