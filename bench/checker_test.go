package bench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/buddy"
)

// bump hands pages out from the start of memory upwards and takes single pages
// back. What else it does wrong, a test chooses.
type bump struct {
	m    *bench.Machine
	next buddy.PFN
	end  buddy.PFN
	back []buddy.PFN
	// twice: every tenth free is put on the list two times; forget: every
	// tenth is not; beyond: there is no end.
	twice, forget, beyond bool
	frees                 int
}

func (b *bump) Start(m *bench.Machine) error {
	b.m, b.next, b.end = m, m.Free[0].Start, m.Free[0].End
	return nil
}

func (b *bump) Alloc(r bench.Request) (buddy.PFN, bool) {
	if n := len(b.back); r.Order == 0 && n > 0 {
		pfn := b.back[n-1]
		b.back = b.back[:n-1]
		return pfn, true
	}
	if b.next+1<<r.Order > b.end && !b.beyond {
		return 0, false
	}
	b.next += 1 << r.Order
	return b.next - 1<<r.Order, true
}

func (b *bump) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	b.frees++
	if b.forget && b.frees%10 == 0 {
		return
	}
	for p := pfn; p < pfn+1<<order; p++ {
		b.back = append(b.back, p)
	}
	if b.twice && b.frees%10 == 0 {
		b.back = append(b.back, pfn)
	}
}

// oneSpan is a machine of 1,000 pages with a made-up stream of single pages.
func oneSpan(ops int) *bench.Workload {
	m := &bench.Machine{Config: buddy.Config{CPUs: 1, MaxOrder: 11, PageblockOrder: 9},
		Spans: []bench.Span{{Start: 16, End: 1016}}, Free: []bench.Span{{Start: 16, End: 1016}}}
	return &bench.Workload{Name: "single", Machine: m, Ops: ops, Stream: func(uint64) bench.Stream { return &single{left: ops} }}
}

// single takes 100 pages and then frees and takes one after the other.
type single struct{ n, left int }

func (s *single) Next(op *bench.Op) bool {
	if s.left == 0 {
		return false
	}
	s.left--
	*op = bench.Op{Slot: uint32(s.n / 2 % 100), Request: bench.Request{GFP: buddy.GFPKernel}}
	if s.n < 100 {
		op.Slot = uint32(s.n)
	} else if s.n%2 == 0 {
		op.Kind = bench.OpFree
	}
	s.n++
	return true
}

func TestWrongStrategiesAreNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  bump
		fault bench.Fault
	}{
		{"right", bump{}, ""},
		{"twice", bump{twice: true}, bench.FaultTwice},
		{"forgetful", bump{forget: true}, bench.FaultLost},
		{"endless", bump{beyond: true}, bench.FaultOutside},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := bench.Named{Name: c.name, New: func() bench.Strategy { s := c.make; return &s }}
			_, err := bench.Run(context.Background(), n, oneSpan(1000), 1, bench.Options{})
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			var wrong *bench.StrategyError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, c.name, wrong.Strategy)
			assert.Equal(t, c.fault, wrong.Fault)
			assert.Contains(t, err.Error(), c.name)
			if c.fault == bench.FaultLost {
				assert.Equal(t, 45, wrong.Pages, "each tenth of 450 frees")
			}
		})
	}
}
