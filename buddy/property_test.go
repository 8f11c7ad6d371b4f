package buddy

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAllocatorInvariants does random things to random machines. After each
// step the allocator's own [Allocator.Check] and a naive page count must hold:
// every page is in one place and none is lost. At the end all memory is given
// back and must have merged.
func TestAllocatorInvariants(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, rapid.MakeCheck(func(t *rapid.T) {
			m := newPageMachine(t, p)
			actions := rapid.StateMachineActions(m)
			t.Repeat(actions)
			m.giveAllBack(t)
		}))
	}
}

// heldBlock is a block that the machine's user has.
type heldBlock struct {
	pfn     PFN
	order   Order
	movable bool
}

func (b heldBlock) end() PFN { return b.pfn + 1<<b.order }

// pageMachine is a user of an allocator that remembers all it has.
type pageMachine struct {
	a *Allocator
	// held blocks are in use; taken ones were isolated from the free lists;
	// prepared pages are being freed.
	held, taken, prepared []heldBlock
	// isolated are pageblocks that were isolated by themselves, by their first
	// page frame and the type to return to.
	isolated []isolatedBlock
	// released says which page frames the allocator was given.
	released []bool
	// apart: pageblocks whose types differ may have stayed apart.
	apart bool
}

type isolatedBlock struct {
	pfn PFN
	mt  MigrateType
}

func newPageMachine(t *rapid.T, p Profile) *pageMachine {
	c := drawConfig(t)
	a, err := New(c, p)
	require.NoError(t, err)
	m := &pageMachine{a: a, apart: c.CMA, released: make([]bool, len(a.blockTypes)<<a.pageblockOrder)}
	for i := range c.Zones {
		m.release(t, &c.Zones[i])
	}
	if rapid.Bool().Draw(t, "pressure") {
		a.SetPressure(m.pressure())
	}
	return m
}

// release hands a zone to the allocator, but for a hole, and with a CMA area.
func (m *pageMachine) release(t *rapid.T, z *ZoneConfig) {
	start, end := z.StartPFN, z.StartPFN+PFN(z.Spanned)
	hole := PFN(rapid.Uint64Range(uint64(start), uint64(end)-1).Draw(t, "hole"))
	after := hole + PFN(rapid.IntRange(0, 3).Draw(t, "holePages"))
	if m.a.cma && rapid.Bool().Draw(t, "cmaArea") {
		block := PFN(1) << m.a.pageblockOrder
		area := start + PFN(rapid.IntRange(0, int((end-start)/block)-1).Draw(t, "cmaBlock"))*block
		size := block * PFN(rapid.IntRange(1, int((end-area)/block)).Draw(t, "cmaBlocks"))
		m.give(t, area, area+size, m.a.MakeCMA)
		m.give(t, start, area, m.a.Release)
		start = area + size
	}
	if start <= hole && after <= end {
		m.give(t, start, hole, m.a.Release)
		start = after
	}
	m.give(t, start, end, m.a.Release)
}

func (m *pageMachine) give(t *rapid.T, start, end PFN, give func(start, end PFN) error) {
	if start == end {
		return
	}
	require.NoError(t, give(start, end))
	for n := start; n < end; n++ {
		m.released[n] = true
	}
}

// pressure is a memory management that frees the youngest block to reclaim, and
// the oldest to kill.
func (m *pageMachine) pressure() Pressure {
	return Pressure{
		WakeKswapd:    func(NodeID, Order, ZoneType, GFP) {},
		DirectReclaim: func(r Request) uint64 { return m.lose(r.CPU, len(m.held)-1) },
		DirectCompact: func(Request, CompactPriority) CompactResult { return CompactComplete },
		Reclaimable:   func(*Zone) uint64 { return uint64(len(m.held) / 8) },
		CompactRetry: func(_ Request, _ CompactResult, prio CompactPriority, _ int) (CompactPriority, bool) {
			return prio - min(prio, 1), prio > CompactSyncFull
		},
		OutOfMemory: func(r Request) bool { return m.lose(r.CPU, 0) > 0 },
	}
}

func (m *pageMachine) lose(cpu CPU, i int) uint64 {
	if i < 0 || i >= len(m.held) {
		return 0
	}
	b := m.held[i]
	m.held = slices.Delete(m.held, i, i+1)
	if m.a.Free(cpu, b.pfn, b.order) != nil {
		panic("a held block cannot be freed")
	}
	return 1 << b.order
}

var drawnGFPs = []GFP{
	GFPKernel, GFPKernel | GFPZero, GFPAtomic, GFPAtomic &^ GFPAtomicFlag, GFPNowait, GFPNoIO, GFPUser, GFPHighUser,
	GFPHighUserMovable, GFPTransHuge, GFPTransHugeLight, GFPKernel | GFPReclaimable, GFPDMA, GFPKernel | GFPDMA32,
	GFPMovable, GFPKernel | GFPNoRetry, GFPKernel | GFPRetryMayFail, GFPKernel | GFPThisNode,
	GFPKernel | GFPMemalloc, GFPNoFS | GFPNoFail, GFPHighUserMovable | GFPHigh,
}

func (m *pageMachine) cpu(t *rapid.T) CPU {
	return CPU(rapid.IntRange(0, m.a.config.CPUs-1).Draw(t, "cpu"))
}

func (m *pageMachine) order(t *rapid.T) Order {
	return Order(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, m.a.maxOrder-1)).Draw(t, "order"))
}

func (m *pageMachine) drawHeld(t *rapid.T) int {
	if len(m.held) == 0 {
		t.Skip("nothing held")
	}
	return rapid.IntRange(0, len(m.held)-1).Draw(t, "held")
}

func (m *pageMachine) drop(i int) heldBlock {
	b := m.held[i]
	m.held[i] = m.held[len(m.held)-1]
	m.held = m.held[:len(m.held)-1]
	return b
}

func (m *pageMachine) keep(t *rapid.T, pfn PFN, order Order, gfp GFP, err error) {
	if err != nil {
		require.ErrorIs(t, err, ErrNoMemory)
		return
	}
	m.held = append(m.held, heldBlock{pfn, order, gfp&GFPMovable != 0})
}

// Alloc asks for some blocks of a kind.
func (m *pageMachine) Alloc(t *rapid.T) {
	cpu, gfp, order := m.cpu(t), rapid.SampledFrom(drawnGFPs).Draw(t, "gfp"), m.order(t)
	for range rapid.SampledFrom([]int{1, 1, 2, 8, 40}).Draw(t, "n") {
		pfn, err := m.a.AllocPages(cpu, gfp, order)
		m.keep(t, pfn, order, gfp, err)
	}
}

// AllocOn asks for a block with everything that a request can say.
func (m *pageMachine) AllocOn(t *rapid.T) {
	r := Request{
		CPU: m.cpu(t), Node: NodeID(rapid.IntRange(-1, m.a.nodes-1).Draw(t, "node")), Order: m.order(t),
		GFP: rapid.SampledFrom(drawnGFPs).Draw(t, "gfp"), Nodes: NodeMask(rapid.IntRange(0, 3).Draw(t, "nodes")),
		Task: TaskFlags(rapid.IntRange(0, 15).Draw(t, "task")),
	}
	pfn, err := m.a.Alloc(r)
	m.keep(t, pfn, r.Order, r.GFP, err)
}

// Free gives some blocks back, each from any CPU.
func (m *pageMachine) Free(t *rapid.T) {
	for range rapid.SampledFrom([]int{1, 1, 3, 30}).Draw(t, "n") {
		if len(m.held) == 0 {
			return
		}
		b := m.drop(m.drawHeld(t))
		require.NoError(t, m.a.Free(m.cpu(t), b.pfn, b.order))
	}
}

// FreeToZone gives a block back past the per-CPU lists.
func (m *pageMachine) FreeToZone(t *rapid.T) {
	b := m.drop(m.drawHeld(t))
	require.NoError(t, m.a.FreeToZone(m.cpu(t), b.pfn, b.order, rapid.Bool().Draw(t, "tail")))
}

// FreeList gives single pages back as a list.
func (m *pageMachine) FreeList(t *rapid.T) {
	var list []PFN
	var rest []heldBlock
	for _, b := range m.held {
		if b.order == 0 && len(list) < 12 {
			list = append(list, b.pfn)
		} else {
			rest = append(rest, b)
		}
	}
	m.held = rest
	require.NoError(t, m.a.FreeList(m.cpu(t), list))
}

// Prepare begins to free a block; Commit ends it.
func (m *pageMachine) Prepare(t *rapid.T) {
	cpu, b := m.cpu(t), m.drop(m.drawHeld(t))
	require.NoError(t, m.a.PrepareFree(cpu, b.pfn, b.order))
	m.prepared = append(m.prepared, b)
}

// Commit ends a free that Prepare began.
func (m *pageMachine) Commit(t *rapid.T) {
	if len(m.prepared) == 0 {
		t.Skip("nothing prepared")
	}
	require.NoError(t, m.a.CommitFree(m.cpu(t), m.prepared[0].pfn))
	m.prepared = m.prepared[1:]
}

// Bulk asks for single pages at once.
func (m *pageMachine) Bulk(t *rapid.T) {
	n := rapid.IntRange(0, 30).Draw(t, "n")
	gfp := rapid.SampledFrom(drawnGFPs).Draw(t, "gfp")
	pfns, err := m.a.AllocBulk(nil, Request{CPU: m.cpu(t), Node: NoNode, GFP: gfp}, n)
	if err != nil {
		require.ErrorIs(t, err, ErrNoMemory)
		require.Empty(t, pfns)
	}
	require.LessOrEqual(t, len(pfns), n)
	for _, pfn := range pfns {
		m.keep(t, pfn, 0, gfp, nil)
	}
}

// Exact asks for pages of a size and gives them back or keeps them.
func (m *pageMachine) Exact(t *rapid.T) {
	size := rapid.Uint64Range(1, uint64(4096)<<(m.a.maxOrder-1)).Draw(t, "size")
	gfp := rapid.SampledFrom(drawnGFPs).Draw(t, "gfp")
	cpu := m.cpu(t)
	pfn, err := m.a.AllocExact(Request{CPU: cpu, Node: NoNode, GFP: gfp}, size)
	if err != nil {
		require.ErrorIs(t, err, ErrNoMemory)
		return
	}
	if rapid.Bool().Draw(t, "free") {
		require.NoError(t, m.a.FreeExact(cpu, pfn, size))
		return
	}
	for n := range PFN((size + 4095) / 4096) {
		m.keep(t, pfn+n, 0, gfp, nil)
	}
}

// Split makes single pages of a block.
func (m *pageMachine) Split(t *rapid.T) {
	b := m.drop(m.drawHeld(t))
	require.NoError(t, m.a.Split(b.pfn, b.order))
	for n := b.pfn; n < b.end(); n++ {
		m.held = append(m.held, heldBlock{n, 0, b.movable})
	}
}

// Drain empties per-CPU lists, of one CPU or all.
func (m *pageMachine) Drain(t *rapid.T) {
	switch rapid.IntRange(0, 2).Draw(t, "which") {
	case 0:
		m.a.DrainCPU(m.cpu(t))
	case 1:
		m.a.DrainAll(m.cpu(t))
	default:
		zone := rapid.IntRange(0, len(m.a.zones)-1).Draw(t, "zone")
		m.a.DrainPages(zone, m.cpu(t), m.cpu(t), rapid.IntRange(0, 20).Draw(t, "n"))
	}
}

// Time passes: counters are folded, lists shrink, kswapd starts and stops.
func (m *pageMachine) Time(t *rapid.T) {
	cpu := m.cpu(t)
	m.a.FoldStats(cpu)
	m.a.Decay(cpu)
	m.a.SetReclaimActive(NodeID(rapid.IntRange(0, m.a.nodes-1).Draw(t, "node")), rapid.Bool().Draw(t, "active"))
}

// Take isolates a free block, as compaction does.
func (m *pageMachine) Take(t *rapid.T) {
	pfn, ok := m.drawFree(t)
	if !ok {
		return
	}
	order, err := m.a.IsolateFreePage(m.cpu(t), pfn)
	if err != nil {
		require.ErrorIs(t, err, ErrBusy)
		return
	}
	m.taken = append(m.taken, heldBlock{pfn: pfn, order: order})
}

// drawFree draws the first page of a free block.
func (m *pageMachine) drawFree(t *rapid.T) (PFN, bool) {
	var free []PFN
	for _, b := range blocksOf(m.a) {
		if b.state == pageBuddy {
			free = append(free, PFN(b.pfn))
		}
	}
	if len(free) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(free).Draw(t, "free block"), true
}

// Return uses a block that Take took, or puts it back.
func (m *pageMachine) Return(t *rapid.T) {
	if len(m.taken) == 0 {
		t.Skip("nothing taken")
	}
	b, cpu := m.taken[0], m.cpu(t)
	m.taken = m.taken[1:]
	if rapid.Bool().Draw(t, "use") {
		require.NoError(t, m.a.UseIsolated(cpu, b.pfn))
		m.held = append(m.held, b)
		return
	}
	require.NoError(t, m.a.PutbackIsolated(cpu, b.pfn))
}

// Seize takes a page out of a free block.
func (m *pageMachine) Seize(t *rapid.T) {
	pfn, ok := m.drawFree(t)
	if !ok {
		return
	}
	_, p := m.a.enclosing(uint32(pfn))
	order := Order(rapid.IntRange(0, int(p.order)).Draw(t, "order"))
	pfn += PFN(rapid.IntRange(0, 1<<(int(p.order)-int(order))-1).Draw(t, "at")) << order
	require.NoError(t, m.a.Seize(pfn, order))
	m.held = append(m.held, heldBlock{pfn: pfn, order: order})
}

// Isolate isolates a pageblock or gives one its type back.
func (m *pageMachine) Isolate(t *rapid.T) {
	cpu := m.cpu(t)
	if len(m.isolated) > 0 && rapid.Bool().Draw(t, "undo") {
		b := m.isolated[0]
		m.isolated = m.isolated[1:]
		require.NoError(t, m.a.UnisolateBlock(cpu, b.pfn, b.mt))
		return
	}
	pfn := m.drawPFN(t)
	mt, ok := m.a.BlockType(pfn)
	if !ok || mt == HighAtomic {
		return
	}
	want := Movable
	if mt == CMA {
		want = CMA
	}
	if err := m.a.IsolateBlock(cpu, pfn, want); err != nil {
		require.ErrorIs(t, err, ErrBusy)
		return
	}
	m.apart = true
	m.isolated = append(m.isolated, isolatedBlock{pfn, mt})
}

func (m *pageMachine) drawPFN(t *rapid.T) PFN {
	return PFN(rapid.IntRange(0, len(m.released)-1).Draw(t, "pfn"))
}

// Contig takes a range, moving or not moving what is in it.
func (m *pageMachine) Contig(t *rapid.T) {
	cpu, start := m.cpu(t), m.drawPFN(t)
	end := start + PFN(rapid.IntRange(1, 2<<m.a.maxOrder).Draw(t, "pages"))
	mt := Movable
	if bt, ok := m.a.BlockType(start); ok && bt == CMA {
		mt = CMA
	}
	var migrate Migrate
	if rapid.Bool().Draw(t, "migrate") {
		migrate = func(start, end PFN) bool { return m.migrate(cpu, start, end) }
	}
	m.apart = true
	if err := m.a.AllocContig(cpu, start, end, mt, migrate); err != nil {
		require.True(t, errors.Is(err, ErrBusy) || errors.Is(err, ErrOutside), "%v", err)
		return
	}
	for n := start; n < end; n++ {
		m.held = append(m.held, heldBlock{pfn: n})
	}
}

// migrate moves all movable blocks that touch a range to newly allocated ones.
func (m *pageMachine) migrate(cpu CPU, start, end PFN) bool {
	moved := true
	for i := 0; i < len(m.held); {
		b := m.held[i]
		if b.end() <= start || b.pfn >= end {
			i++
			continue
		}
		if !b.movable {
			moved = false
			i++
			continue
		}
		m.drop(i)
		if pfn, err := m.a.AllocPages(cpu, GFPHighUserMovable, b.order); err == nil {
			m.held = append(m.held, heldBlock{pfn, b.order, true})
		}
		if m.a.Free(cpu, b.pfn, b.order) != nil {
			panic("a held block cannot be freed")
		}
	}
	return moved
}

// Misuse does something wrong and expects an error and no change.
func (m *pageMachine) Misuse(t *rapid.T) {
	before := fingerprint(m.a)
	err := m.misuse(t)
	var page *PageError
	var request *RequestError
	var ranged *RangeError
	require.True(t, errors.As(err, &page) || errors.As(err, &request) || errors.As(err, &ranged), "%v", err)
	require.Equal(t, before, fingerprint(m.a), "%v", err)
}

func (m *pageMachine) misuse(t *rapid.T) error {
	pfn, cpu := m.drawPFN(t), m.cpu(t)
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if len(m.held) > 0 && kind < 4 {
		b := m.held[m.drawHeld(t)]
		switch kind {
		case 0:
			return m.a.Free(cpu, b.pfn, b.order+1)
		case 1:
			return m.a.Free(cpu, b.pfn, Order(m.a.maxOrder))
		case 2:
			return m.a.Free(-1, b.pfn, b.order)
		}
		return m.a.FreeList(cpu, []PFN{b.pfn, b.pfn})
	}
	switch kind {
	case 4:
		_, err := m.a.AllocPages(cpu, GFPKernel|GFPDMA|GFPHighMem, 0)
		return err
	case 5:
		_, err := m.a.AllocPages(CPU(m.a.config.CPUs), GFPKernel, 0)
		return err
	case 6:
		return m.a.Release(pfn, PFN(len(m.released))+1)
	case 7:
		return m.a.Free(cpu, PFN(len(m.released))+pfn, 0)
	case 8:
		return m.a.PutbackIsolated(CPU(m.a.config.CPUs), pfn)
	}
	if i := slices.IndexFunc(m.held, func(b heldBlock) bool { return b.pfn <= pfn && pfn < b.end() }); i >= 0 {
		return m.a.Seize(pfn, 0)
	}
	return m.a.Free(cpu, pfn, 0)
}

// Check runs after each step.
func (m *pageMachine) Check(t *rapid.T) {
	require.NoError(t, m.a.Check())
	place := make([]string, len(m.released))
	put := func(name string, pfn PFN, order int) {
		for n := pfn; n < pfn+1<<order; n++ {
			if !m.released[n] || place[n] != "" {
				t.Fatalf("PFN %d is %s, and also %q (released: %v)", n, name, place[n], m.released[n])
			}
			place[n] = name
		}
	}
	for _, z := range m.a.State().Zones {
		for o := range z.Free {
			for mt := range z.Free[o] {
				for _, pfn := range z.Free[o][mt] {
					put("free", pfn, o)
				}
			}
		}
		for cpu := range z.PCP {
			for i, list := range z.PCP[cpu].Lists {
				for _, pfn := range list {
					put("on a per-CPU list", pfn, m.a.pindexOrder(i))
				}
			}
		}
	}
	for i, blocks := range [][]heldBlock{m.held, m.taken, m.prepared} {
		for _, b := range blocks {
			put([]string{"held", "taken", "prepared"}[i], b.pfn, int(b.order))
		}
	}
	for n, released := range m.released {
		if released && place[n] == "" {
			t.Fatalf("PFN %d is lost", n)
		}
	}
	for i := range m.a.zones {
		m.apart = m.apart || m.a.zones[i].reservedHighatomic > 0
	}
}

// giveAllBack frees everything and wants all memory merged.
func (m *pageMachine) giveAllBack(t *rapid.T) {
	for _, b := range m.isolated {
		require.NoError(t, m.a.UnisolateBlock(0, b.pfn, b.mt))
	}
	for _, b := range m.taken {
		require.NoError(t, m.a.PutbackIsolated(0, b.pfn))
	}
	for _, b := range m.prepared {
		require.NoError(t, m.a.CommitFree(0, b.pfn))
	}
	for _, b := range m.held {
		require.NoError(t, m.a.Free(0, b.pfn, b.order))
	}
	m.isolated, m.taken, m.prepared, m.held = nil, nil, nil, nil
	m.a.DrainAll(0)
	m.Check(t)
	largest := m.a.maxOrder - 1
	if m.apart {
		largest = m.a.pageblockOrder
	}
	for o := range largest + 1 {
		for start := 0; start+1<<o <= len(m.released); start += 1 << o {
			m.wantMerged(t, start, o)
		}
	}
}

// wantMerged wants a block whose pages are all in one zone to be in a free
// block of at least its order.
func (m *pageMachine) wantMerged(t *rapid.T, start, o int) {
	z := m.a.zoneOf(uint64(start))
	if z == nil || PFN(start+1<<o) > z.end || slices.Contains(m.released[start:start+1<<o], false) {
		return
	}
	if _, p := m.a.enclosing(uint32(start)); p == nil || p.state != pageBuddy || int(p.order) < o {
		t.Fatalf("PFN %d could be in a free block of order %d, is in %+v", start, o, p)
	}
}
