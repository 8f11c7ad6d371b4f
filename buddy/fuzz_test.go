package buddy

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzMachine is a small machine of two zones that meet within a pageblock.
func fuzzMachine() Config {
	zone := func(typ ZoneType, start PFN, pages uint64) ZoneConfig {
		return ZoneConfig{Type: typ, StartPFN: start, Spanned: pages, Present: pages, Managed: pages,
			Watermark: Watermarks{Min: 8, Low: 10, High: 12}, LowmemReserve: []uint64{0, 4, 4}, StatThreshold: 3,
			PCP: PCPConfig{Batch: 4, High: 20, HighMin: 10, HighMax: 40}}
	}
	return Config{PageShift: 12, PageblockOrder: 4, MaxOrder: 7, CMA: true, CPUs: 2,
		ZoneTypes: []ZoneType{ZoneDMA32, ZoneNormal, ZoneMovable},
		Zones:     []ZoneConfig{zone(ZoneDMA32, 0, 250), zone(ZoneNormal, 250, 390)}}
}

// FuzzOps turns bytes into a kernel and what is done with it.
func FuzzOps(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(randomOps(seed, 300))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) == 0 {
			return
		}
		u := newOpUser(t, Profiles()[ops[0]%4])
		for ops = ops[1:]; len(ops) >= 3; ops = ops[3:] {
			u.do(ops[0], int(ops[1]), int(ops[2]))
			if err := u.a.Check(); err != nil {
				t.Fatalf("after %d %d %d: %v\n%s", ops[0], ops[1], ops[2], err, memoryMap(u.a))
			}
		}
	})
}

// randomOps draws a stream of operations.
func randomOps(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	ops := []byte{byte(seed)}
	for range n {
		ops = append(ops, byte(r.Uint32()))
	}
	return ops
}

// opUser does operations of three bytes each: what, and two arguments.
type opUser struct {
	a        *Allocator
	held     []heldBlock
	taken    []heldBlock
	isolated []isolatedBlock
	failed   func(format string, args ...any)
}

func newOpUser(t testing.TB, p Profile) *opUser {
	a, err := New(fuzzMachine(), p)
	require.NoError(t, err)
	for _, r := range [][2]PFN{{0, 200}, {201, 250}, {250, 512}} {
		require.NoError(t, a.Release(r[0], r[1]))
	}
	require.NoError(t, a.MakeCMA(512, 640))
	return &opUser{a: a, failed: t.Fatalf}
}

func (u *opUser) must(err error) {
	if err != nil {
		u.failed("%v\n%s", err, memoryMap(u.a))
	}
}

func (u *opUser) pick(i int) (heldBlock, bool) {
	if len(u.held) == 0 {
		return heldBlock{}, false
	}
	i %= len(u.held)
	b := u.held[i]
	u.held[i] = u.held[len(u.held)-1]
	u.held = u.held[:len(u.held)-1]
	return b, true
}

func (u *opUser) keep(pfn PFN, order Order, movable bool, err error) {
	if err == nil {
		u.held = append(u.held, heldBlock{pfn, order, movable})
	}
}

func (u *opUser) do(op byte, x, y int) {
	cpu, order, gfp := CPU(x&1), Order(y%7), drawnGFPs[x%len(drawnGFPs)]
	switch op % 20 {
	case 0, 1, 2, 3:
		pfn, err := u.a.AllocPages(cpu, gfp, order)
		u.keep(pfn, order, gfp&GFPMovable != 0, err)
	case 4:
		for range y % 32 {
			pfn, err := u.a.AllocPages(cpu, gfp, 0)
			u.keep(pfn, 0, gfp&GFPMovable != 0, err)
		}
	case 5:
		pfn, err := u.a.Alloc(Request{CPU: cpu, GFP: gfp, Order: order, Nodes: NodeMask(y >> 6), Task: TaskFlags(x >> 4)})
		u.keep(pfn, order, gfp&GFPMovable != 0, err)
	case 6, 7, 8, 9:
		if b, ok := u.pick(y); ok {
			u.must(u.a.Free(cpu, b.pfn, b.order))
		}
	case 10:
		for range x % 32 {
			if b, ok := u.pick(y); ok {
				u.must(u.a.FreeToZone(cpu, b.pfn, b.order, y&1 != 0))
			}
		}
	case 11:
		pfns, _ := u.a.AllocBulk(nil, Request{CPU: cpu, Node: NoNode, GFP: gfp}, y%20)
		for _, pfn := range pfns {
			u.keep(pfn, 0, false, nil)
		}
	case 12:
		if b, ok := u.pick(y); ok {
			u.must(u.a.Split(b.pfn, b.order))
			for n := b.pfn; n < b.end(); n++ {
				u.keep(n, 0, b.movable, nil)
			}
		}
	case 13:
		u.housekeeping(cpu, x, y)
	case 14, 15:
		u.isolate(cpu, PFN(x)<<1|PFN(y)<<2)
	case 16:
		u.contig(cpu, PFN(x)*640/256, PFN(y))
	case 17:
		u.take(cpu, PFN(x)*640/256, y)
	default:
		u.misuse(cpu, PFN(x)<<2|PFN(y), Order(y%9)-1)
	}
}

func (u *opUser) housekeeping(cpu CPU, x, y int) {
	switch x >> 1 % 5 {
	case 0:
		u.must(u.a.DrainCPU(cpu))
	case 1:
		u.must(u.a.DrainAll(cpu))
	case 2:
		u.must(u.a.Decay(cpu))
	case 3:
		u.must(u.a.FoldStats(cpu))
	default:
		u.a.SetReclaimActive(0, y&1 != 0)
	}
}

func (u *opUser) isolate(cpu CPU, pfn PFN) {
	if len(u.isolated) > 2 {
		b := u.isolated[0]
		u.isolated = u.isolated[1:]
		u.must(u.a.UnisolateBlock(cpu, b.pfn, b.mt))
		return
	}
	mt, ok := u.a.BlockType(pfn)
	if !ok || mt >= HighAtomic && mt != CMA {
		return
	}
	if u.a.IsolateBlock(cpu, pfn, mt) == nil {
		u.isolated = append(u.isolated, isolatedBlock{pfn, mt})
	}
}

// contig takes a range, freeing what can be moved in it.
func (u *opUser) contig(cpu CPU, start, pages PFN) {
	mt, _ := u.a.BlockType(start)
	if mt != CMA {
		mt = Movable
	}
	err := u.a.AllocContig(cpu, start, start+pages, mt, func(start, end PFN) bool {
		for i := len(u.held) - 1; i >= 0; i-- {
			if b := u.held[i]; b.movable && b.pfn < end && b.end() > start {
				u.pick(i)
				u.must(u.a.Free(cpu, b.pfn, b.order))
			}
		}
		return true
	})
	for n := start; err == nil && n < start+pages; n++ {
		u.keep(n, 0, false, nil)
	}
}

// take isolates a free block, seizes a page, or puts an isolated block back.
func (u *opUser) take(cpu CPU, pfn PFN, y int) {
	if len(u.taken) > 3 {
		b := u.taken[0]
		u.taken = u.taken[1:]
		u.must(u.a.PutbackIsolated(cpu, b.pfn))
		return
	}
	if y&1 != 0 {
		order := Order(y >> 1 % 5)
		pfn &^= 1<<order - 1
		u.keep(pfn, order, false, u.a.Seize(pfn, order))
		return
	}
	if order, err := u.a.IsolateFreePage(cpu, pfn); err == nil {
		u.taken = append(u.taken, heldBlock{pfn: pfn, order: order})
	}
}

// misuse frees what may not be freed: nothing changes.
func (u *opUser) misuse(cpu CPU, pfn PFN, order Order) {
	for _, b := range u.held {
		if b.pfn == pfn && b.order == order {
			return
		}
	}
	before := fingerprint(u.a)
	if err := u.a.Free(cpu, pfn, order); err == nil || fingerprint(u.a) != before {
		u.failed("free of PFN %d order %d: %v\n%s", pfn, order, err, memoryMap(u.a))
	}
}

// FuzzRestore turns bytes into a state. It is refused with an error or can be
// worked with; if it is whole, it stays so.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	for _, p := range Profiles() {
		m := fuzzSeed(f, p)
		f.Add(m)
		f.Add(m[:len(m)/2])
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		d := stateDecoder{bytes: bytes}
		profile := Profiles()[d.small()%4]
		a, err := New(fuzzMachine(), profile)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Restore(d.state()); err != nil {
			var state *StateError
			if !errors.As(err, &state) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		whole := a.Check() == nil
		workWith(t, a)
		if err := a.Check(); whole && err != nil {
			t.Fatal(err)
		}
	})
}

// workWith allocates and frees on an allocator.
func workWith(t *testing.T, a *Allocator) {
	var held []heldBlock
	for i, gfp := range drawnGFPs {
		for o := range Order(7) {
			if pfn, err := a.AllocPages(CPU(i%2), gfp, o); err == nil {
				held = append(held, heldBlock{pfn: pfn, order: o})
			}
		}
	}
	for _, b := range held {
		if err := a.Free(1, b.pfn, b.order); err != nil {
			t.Fatal(err)
		}
	}
	for cpu := range CPU(2) {
		_ = a.Decay(cpu)
		_ = a.FoldStats(cpu)
	}
	_ = a.AllocContig(0, 300, 340, CMA, nil)
	_ = a.DrainAll(0)
}

// fuzzSeed encodes the state of a machine in use.
func fuzzSeed(f testing.TB, p Profile) []byte {
	a := newOpUser(f, p).a
	for i := range 60 {
		pfn, err := a.AllocPages(0, drawnGFPs[i%len(drawnGFPs)], Order(i%4))
		if err == nil && i%3 == 0 {
			err = a.Free(1, pfn, Order(i%4))
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	var e stateEncoder
	for i := range Profiles() {
		if Profiles()[i].Name == p.Name {
			e.small(i)
		}
	}
	e.state(a.State())
	return e.bytes
}

// stateDecoder reads a state from bytes: lists have their length first.
type stateDecoder struct{ bytes []byte }

func (d *stateDecoder) small() int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b)
}

// number is a byte, or 255 and eight bytes.
func (d *stateDecoder) number() uint64 {
	b := d.small()
	if b < 255 || len(d.bytes) < 8 {
		return uint64(b)
	}
	n := binary.LittleEndian.Uint64(d.bytes)
	d.bytes = d.bytes[8:]
	return n
}

// pfn is two bytes, or 65535 and a number.
func (d *stateDecoder) pfn() PFN {
	n := PFN(d.small()) | PFN(d.small())<<8
	if n == 65535 {
		return PFN(d.number())
	}
	return n
}

func (d *stateDecoder) list() []PFN {
	var l []PFN
	for range d.small() {
		l = append(l, d.pfn())
	}
	return l
}

func (d *stateDecoder) state() *State {
	s := &State{}
	for range d.small() % 4 {
		var z ZoneState
		for o := range 8 {
			for t := range z.Free[o] {
				z.Free[o][t] = d.list()
			}
		}
		for range d.small() % 4 {
			p := PCPState{High: int(d.number()), Batch: int(d.number()), HighMin: int(d.number()), HighMax: int(d.number()),
				FreeFactor: int(d.number()), AllocFactor: int(d.number()), FreeCount: int(d.number()), Expire: int(d.number()),
				Flags: uint8(d.small()), FreeDiff: int64(d.number()), CMADiff: int64(d.number())}
			for i := range p.Lists {
				p.Lists[i] = d.list()
			}
			z.PCP = append(z.PCP, p)
		}
		for range d.small() {
			z.Blocks = append(z.Blocks, BlockRun{First: d.pfn(), N: d.number(), Type: MigrateType(d.small())})
		}
		z.Boost, z.ReservedHighatomic = d.number(), d.number()
		z.FreePages, z.FreeCMA, z.Counted = int64(d.number()), int64(d.number()), d.small()&1 != 0
		s.Zones = append(s.Zones, z)
	}
	return s
}

// stateEncoder is the inverse of stateDecoder.
type stateEncoder struct{ bytes []byte }

func (e *stateEncoder) small(n int) { e.bytes = append(e.bytes, byte(n)) }

func (e *stateEncoder) number(n uint64) {
	if n < 255 {
		e.small(int(n))
		return
	}
	e.bytes = binary.LittleEndian.AppendUint64(append(e.bytes, 255), n)
}

func (e *stateEncoder) list(l []PFN) {
	e.small(len(l))
	for _, pfn := range l {
		e.bytes = binary.LittleEndian.AppendUint16(e.bytes, uint16(pfn))
	}
}

func (e *stateEncoder) state(s *State) {
	e.small(len(s.Zones))
	for i := range s.Zones {
		z := &s.Zones[i]
		for o := range 8 {
			for t := range z.Free[o] {
				e.list(z.Free[o][t])
			}
		}
		e.small(len(z.PCP))
		for cpu := range z.PCP {
			p := &z.PCP[cpu]
			for _, n := range []int{p.High, p.Batch, p.HighMin, p.HighMax, p.FreeFactor, p.AllocFactor, p.FreeCount, p.Expire} {
				e.number(uint64(n))
			}
			e.small(int(p.Flags))
			e.number(uint64(p.FreeDiff))
			e.number(uint64(p.CMADiff))
			for _, l := range p.Lists {
				e.list(l)
			}
		}
		e.small(len(z.Blocks))
		for _, b := range z.Blocks {
			e.list([]PFN{b.First})
			e.bytes = append(e.bytes[:len(e.bytes)-3], e.bytes[len(e.bytes)-2:]...) // without the length
			e.number(b.N)
			e.small(int(b.Type))
		}
		e.number(z.Boost)
		e.number(z.ReservedHighatomic)
		e.number(uint64(z.FreePages))
		e.number(uint64(z.FreeCMA))
		e.small(1)
	}
}

// TestStateCodec makes sure that the fuzzer starts from states that are
// accepted.
func TestStateCodec(t *testing.T) {
	for i, p := range Profiles() {
		bytes := fuzzSeed(t, p)
		d := stateDecoder{bytes: bytes}
		if got := d.small(); got != i {
			t.Fatalf("profile %d, want %d", got, i)
		}
		a, err := New(fuzzMachine(), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Restore(d.state()); err != nil {
			t.Fatal(err)
		}
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		var e stateEncoder
		e.small(i)
		e.state(a.State())
		if string(e.bytes) != string(bytes) {
			t.Fatal("a restored state is not the same")
		}
	}
}
