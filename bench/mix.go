package bench

import (
	"math"
	"math/rand/v2"

	"github.com/kernsim/kernsim/buddy"
)

// Mix is a generated workload: seeded, with kinds of blocks whose sizes and
// lifetimes are distributions, in phases. A stream needs memory for the blocks
// in use alone, however long it is.
type Mix struct {
	Name, About string
	// MemoryMB is the machine's memory, CPUs its number of CPUs.
	MemoryMB, CPUs int
	// Ops is how many operations a stream has.
	Ops int
	// Phases follow each other, each for its share of the operations; after
	// the last the first comes again, Rounds times in all (0 means once).
	Phases []Phase
	Rounds int
}

// Phase is a time with one mix of requests.
type Phase struct {
	// Share of the round, relative to the other phases'.
	Share float64
	// Fill is the share of the memory that is in use at most: beyond it, what
	// would die next is freed first, as reclaim frees memory.
	Fill  float64
	Kinds []BlockKind
}

// BlockKind is one kind of block.
type BlockKind struct {
	Name string
	// Weight is how often it is asked for, relative to the others.
	Weight float64
	GFP    buddy.GFP
	// Orders are the sizes with their weights.
	Orders []OrderWeight
	Life   Lifetime
}

// OrderWeight is how often an order is asked for.
type OrderWeight struct {
	Order  buddy.Order
	Weight float64
}

// Lifetime is how long a block lives, in operations.
type Lifetime struct {
	// Mean of an exponential distribution; with Tail > 1, of a Pareto
	// distribution with that exponent (many die young, some get very old).
	Mean, Tail float64
	// Forever is the share that never dies: a leak.
	Forever float64
}

// Workload makes the mix a workload.
func (x Mix) Workload() (*Workload, error) {
	m, err := plainMachine(uint64(x.MemoryMB), x.CPUs)
	if err != nil {
		return nil, err
	}
	return &Workload{Name: x.Name, About: x.About, Machine: m, Ops: x.Ops, Seeded: true,
		Stream: func(seed uint64) Stream { return newMixStream(&x, m, seed) }}, nil
}

// mixStream is a mix's stream: time goes on by one with each operation.
type mixStream struct {
	x      *Mix
	rng    *rand.Rand
	n      int
	live   int // pages
	memory int
	heap   []death
	unused []uint32
	slots  uint32
	// phase is the current one until the operation until.
	phase, until int
	round        float64
	kinds        []float64
}

// death is when a block dies. seq makes the order of simultaneous ones certain.
type death struct {
	at    uint64
	seq   uint32
	slot  uint32
	order uint8
	cpu   uint8
}

func newMixStream(x *Mix, m *Machine, seed uint64) *mixStream {
	s := &mixStream{x: x, rng: rand.New(rand.NewPCG(seed, 0x6b65726e73696d)), memory: m.FreePages(), phase: -1}
	shares := 0.0
	for i := range x.Phases {
		shares += x.Phases[i].Share
	}
	s.round = float64(x.Ops) / float64(max(x.Rounds, 1)) / shares
	return s
}

func (s *mixStream) Next(op *Op) bool {
	if s.n >= s.x.Ops {
		return false
	}
	for s.n >= s.until {
		s.phase = (s.phase + 1) % len(s.x.Phases)
		s.until += max(int(s.round*s.x.Phases[s.phase].Share), 1)
		s.weigh()
	}
	s.n++
	p := &s.x.Phases[s.phase]
	if len(s.heap) > 0 && (s.heap[0].at <= uint64(s.n) || float64(s.live) > p.Fill*float64(s.memory)) {
		s.free(op)
		return true
	}
	s.alloc(op, p)
	return true
}

// weigh adds up the weights of the phase's kinds.
func (s *mixStream) weigh() {
	s.kinds = s.kinds[:0]
	sum := 0.0
	for _, k := range s.x.Phases[s.phase].Kinds {
		sum += k.Weight
		s.kinds = append(s.kinds, sum)
	}
}

func (s *mixStream) free(op *Op) {
	d := s.pop()
	s.live -= 1 << d.order
	s.unused = append(s.unused, d.slot)
	*op = Op{Kind: OpFree, Slot: d.slot, Order: buddy.Order(d.order), Time: uint64(s.n) * 1000}
	op.Request.CPU = s.cpu(d.cpu)
}

// cpu is mostly the one that a block was taken on; one call in eight comes from
// another one.
func (s *mixStream) cpu(near uint8) buddy.CPU {
	if s.x.CPUs > 1 && s.rng.Uint32()&7 == 0 {
		return buddy.CPU(s.rng.IntN(s.x.CPUs))
	}
	return buddy.CPU(near)
}

func (s *mixStream) alloc(op *Op, p *Phase) {
	k := &p.Kinds[s.pick()]
	order := k.order(s.rng)
	slot := s.slots
	if n := len(s.unused); n > 0 {
		slot, s.unused = s.unused[n-1], s.unused[:n-1]
	} else {
		s.slots++
	}
	cpu := uint8(s.n >> 6 % s.x.CPUs)
	s.live += 1 << order
	s.push(death{at: k.Life.draw(s.rng, uint64(s.n)), seq: uint32(s.n), slot: slot, order: uint8(order), cpu: cpu})
	*op = Op{Kind: OpAlloc, Slot: slot, Time: uint64(s.n) * 1000,
		Request: Request{CPU: buddy.CPU(cpu), Node: buddy.NoNode, GFP: k.GFP, Order: order}}
}

func (s *mixStream) pick() int {
	v := s.rng.Float64() * s.kinds[len(s.kinds)-1]
	for i, sum := range s.kinds {
		if v < sum {
			return i
		}
	}
	return len(s.kinds) - 1
}

func (k *BlockKind) order(rng *rand.Rand) buddy.Order {
	if len(k.Orders) == 1 {
		return k.Orders[0].Order
	}
	sum := 0.0
	for _, o := range k.Orders {
		sum += o.Weight
	}
	v := rng.Float64() * sum
	for _, o := range k.Orders {
		if v -= o.Weight; v < 0 {
			return o.Order
		}
	}
	return k.Orders[len(k.Orders)-1].Order
}

// draw gives the time of death of what is born now.
func (l *Lifetime) draw(rng *rand.Rand, now uint64) uint64 {
	if l.Forever > 0 && rng.Float64() < l.Forever {
		return 1 << 62
	}
	if l.Tail > 1 {
		least := l.Mean * (l.Tail - 1) / l.Tail
		return now + 1 + uint64(min(least*math.Pow(1-rng.Float64(), -1/l.Tail), 1e15))
	}
	return now + 1 + uint64(l.Mean*rng.ExpFloat64())
}

func (a *death) before(b *death) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (s *mixStream) push(d death) {
	s.heap = append(s.heap, d)
	i := len(s.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !d.before(&s.heap[up]) {
			break
		}
		s.heap[i], i = s.heap[up], up
	}
	s.heap[i] = d
}

func (s *mixStream) pop() death {
	h := s.heap
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	s.heap = h
	i := 0
	for {
		least := -1
		for c := 4*i + 1; c < min(4*i+5, len(h)); c++ {
			if least < 0 || h[c].before(&h[least]) {
				least = c
			}
		}
		if least < 0 || !h[least].before(&last) {
			break
		}
		h[i], i = h[least], least
	}
	if len(h) > 0 {
		h[i] = last
	}
	return top
}
