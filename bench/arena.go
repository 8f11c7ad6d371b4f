package bench

import "github.com/kernsim/kernsim/buddy"

// arena is what the strategies of this package have in common: pages numbered
// from the machine's first one.
type arena struct {
	first  buddy.PFN
	pages  int
	orders int
	counts Counters
}

// start sets the arena up and calls give for what is free. What that counts is
// no work of a stream.
func (a *arena) start(m *Machine, give func(from, to int)) {
	for _, s := range m.Free {
		give(int(s.Start-a.first), int(s.End-a.first))
	}
	a.counts = Counters{}
}

func newArena(m *Machine) arena {
	return arena{first: m.First(), pages: m.Pages(), orders: int(m.Config.MaxOrder)}
}

func (a *arena) pfn(page int) buddy.PFN { return a.first + buddy.PFN(page) }
func (a *arena) page(pfn buddy.PFN) int { return int(pfn - a.first) }

// Counters are the strategy's.
func (a *arena) Counters() Counters { return a.counts }

// wordsOf is how many words of a bitmap n pages take.
func wordsOf(n int) uint64 { return uint64(n+63) / 64 }

// eachAligned calls f for the aligned blocks, as large as can be, that [from,
// to) consists of.
func eachAligned(from, to, orders int, f func(page, order int)) {
	for from < to {
		o := 0
		for o+1 < orders && from&(1<<(o+1)-1) == 0 && from+1<<(o+1) <= to {
			o++
		}
		f(from, o)
		from += 1 << o
	}
}
