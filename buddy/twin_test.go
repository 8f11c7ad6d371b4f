package buddy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The twin is 6.1's page allocator once more, written from the rules with maps
// and slices, slowly and without any of the allocator's code: no bit masks, no
// intrusive lists, no short cuts. Both get the same requests and must give the
// same page frames and end up with the same lists.

// twin is a machine of one node.
type twin struct {
	largest, block int // orders
	cma            bool
	zones          []*twinZone
	types          map[int]MigrateType // by number of the pageblock
	// first says what begins at a page frame.
	first map[int]twinBlock
	// movable are the first pages of allocated blocks that could be migrated.
	movable map[int]bool
}

type twinBlock struct {
	what  string // "free", "pcp", "used"
	zone  *twinZone
	order int
	// list is the list that it is on or, on a per-CPU list, goes back to.
	list MigrateType
}

type twinZone struct {
	start, end     int
	normal         bool
	managed        int
	min, low, high int
	boost, reserve int // reserve: pages in highatomic pageblocks
	lowmem         []int
	lists          map[MigrateType][][]int // by order, head first
	free, freeCMA  int
	cpus           []*twinPCP
	batch, limit   int
}

type twinPCP struct {
	lists  map[twinList][]int
	count  int
	factor int
}

// twinList names a per-CPU list; the kernel numbers them in the order of
// (order, type).
type twinList struct {
	order int
	mt    MigrateType
}

func newTwin(c *Config) *twin {
	w := &twin{largest: int(c.MaxOrder) - 1, block: int(c.PageblockOrder), cma: c.CMA,
		types: map[int]MigrateType{}, first: map[int]twinBlock{}, movable: map[int]bool{}}
	for i := range c.Zones {
		z := &c.Zones[i]
		tz := &twinZone{start: int(z.StartPFN), end: int(z.StartPFN) + int(z.Spanned), normal: z.Type == ZoneNormal,
			managed: int(z.Managed), min: int(z.Watermark.Min), low: int(z.Watermark.Low), high: int(z.Watermark.High),
			lists: map[MigrateType][][]int{}, batch: z.PCP.Batch, limit: z.PCP.High}
		for mt := range MigrateType(NumMigrateTypes) {
			tz.lists[mt] = make([][]int, w.largest+1)
		}
		for _, n := range z.LowmemReserve {
			tz.lowmem = append(tz.lowmem, int(n))
		}
		for range c.CPUs {
			tz.cpus = append(tz.cpus, &twinPCP{lists: map[twinList][]int{}})
		}
		w.zones = append(w.zones, tz)
	}
	return w
}

func (w *twin) typeOf(pfn int) MigrateType {
	if mt, ok := w.types[pfn>>w.block]; ok {
		return mt
	}
	return Movable
}

// give hands a range over at boot.
func (w *twin) give(z *twinZone, start, end int) {
	for start < end {
		o := w.largest
		for start%(1<<o) != 0 || start+1<<o > end {
			o--
		}
		w.giveBack(z, start, o, w.typeOf(start), true)
		start += 1 << o
	}
}

func (w *twin) giveCMA(z *twinZone, start, end int) {
	for ; start < end; start += 1 << w.block {
		w.types[start>>w.block] = CMA
		w.first[start] = twinBlock{what: "used", zone: z, order: w.block}
		w.release(0, start)
	}
}

func (z *twinZone) add(pfn, order int, mt MigrateType, tail bool) {
	if tail {
		z.lists[mt][order] = append(z.lists[mt][order], pfn)
	} else {
		z.lists[mt][order] = append([]int{pfn}, z.lists[mt][order]...)
	}
}

func (z *twinZone) take(pfn, order int, mt MigrateType) {
	l := z.lists[mt][order]
	i := slices.Index(l, pfn)
	z.lists[mt][order] = append(slices.Clone(l[:i]), l[i+1:]...)
}

func (z *twinZone) head(order int, mt MigrateType) (int, bool) {
	if l := z.lists[mt][order]; len(l) > 0 {
		return l[0], true
	}
	return 0, false
}

func (z *twinZone) count(n int, mt MigrateType) {
	z.free += n
	if mt == CMA {
		z.freeCMA += n
	}
}

// giveBack merges a block with its buddies and puts it on a list.
func (w *twin) giveBack(z *twinZone, pfn, order int, mt MigrateType, tail bool) {
	z.count(1<<order, mt)
	delete(w.first, pfn)
	for order < w.largest {
		other := pfn ^ 1<<order
		b, ok := w.first[other]
		if !ok || b.what != "free" || b.order != order || b.zone != z {
			break
		}
		if order >= w.block && !twinMerge(mt, w.typeOf(other)) {
			break
		}
		z.take(other, order, b.list)
		delete(w.first, other)
		pfn = min(pfn, other)
		order++
	}
	if !tail && order < w.largest-1 {
		above := pfn &^ (1 << order) // the block that this one and its buddy make
		b, ok := w.first[above^1<<(order+1)]
		tail = ok && b.what == "free" && b.order == order+1 && b.zone == z
	}
	w.first[pfn] = twinBlock{"free", z, order, mt}
	z.add(pfn, order, mt, tail)
}

func twinMerge(x, y MigrateType) bool {
	ordinary := func(mt MigrateType) bool { return mt == Unmovable || mt == Movable || mt == Reclaimable }
	return x == y || ordinary(x) && ordinary(y)
}

// smallest takes a block of a type and gives back what is too much of it.
func (w *twin) smallest(z *twinZone, order int, mt MigrateType) (int, bool) {
	for o := order; o <= w.largest; o++ {
		pfn, ok := z.head(o, mt)
		if !ok {
			continue
		}
		z.take(pfn, o, mt)
		for o > order {
			o--
			z.add(pfn+1<<o, o, mt, false)
			w.first[pfn+1<<o] = twinBlock{"free", z, o, mt}
		}
		w.first[pfn] = twinBlock{"", z, order, mt}
		return pfn, true
	}
	return 0, false
}

// twinFlags are what a request may do.
type twinFlags struct {
	mark                                   string // "min", "low", "high"
	cma, whole, high, nonblock, highatomic bool
}

func (w *twin) fromZone(z *twinZone, order int, mt MigrateType, f twinFlags) (int, bool) {
	if f.cma && z.freeCMA > z.free/2 {
		if pfn, ok := w.smallest(z, order, CMA); ok {
			return pfn, true
		}
	}
	for {
		if pfn, ok := w.smallest(z, order, mt); ok {
			return pfn, true
		}
		if f.cma {
			if pfn, ok := w.smallest(z, order, CMA); ok {
				return pfn, true
			}
		}
		if !w.fallBack(z, order, mt, f) {
			return 0, false
		}
	}
}

func (w *twin) other(z *twinZone, order int, mt MigrateType) (MigrateType, bool) {
	best := map[MigrateType][]MigrateType{
		Unmovable: {Reclaimable, Movable}, Movable: {Reclaimable, Unmovable}, Reclaimable: {Unmovable, Movable},
	}
	for _, t := range best[mt] {
		if _, ok := z.head(order, t); ok {
			return t, true
		}
	}
	return 0, false
}

// fallBack moves pages of another type to a type's lists.
func (w *twin) fallBack(z *twinZone, order int, mt MigrateType, f twinFlags) bool {
	least := order
	if f.whole {
		least = max(order, w.block)
	}
	o := w.largest
	for ; o >= least; o-- {
		if _, ok := w.other(z, o, mt); ok {
			break
		}
	}
	if o < least {
		return false
	}
	generous := func(o int) bool { return mt != Movable || o >= w.block/2 }
	if !generous(o) && o > order {
		for o = order; ; o++ {
			if _, ok := w.other(z, o, mt); ok {
				break
			}
		}
	}
	from, _ := w.other(z, o, mt)
	pfn, _ := z.head(o, from)
	w.seize(z, pfn, o, mt, from, generous(o))
	return true
}

func (w *twin) seize(z *twinZone, pfn, order int, mt, from MigrateType, generous bool) {
	old := w.typeOf(pfn)
	move := func(pfn, order int, from MigrateType) {
		z.take(pfn, order, from)
		z.add(pfn, order, mt, true)
		w.first[pfn] = twinBlock{"free", z, order, mt}
	}
	if old == HighAtomic {
		move(pfn, order, from)
		return
	}
	if order >= w.block {
		for b := range 1 << (order - w.block) {
			w.types[pfn>>w.block+b] = mt
		}
		move(pfn, order, from)
		return
	}
	size := 1 << w.block
	if z.managed >= 4*size && z.high*15000/10000 > 0 {
		z.boost = min(z.boost+size, max(size, z.high*15000/10000))
	}
	if !generous {
		move(pfn, order, from)
		return
	}
	free, movable := 0, 0
	start := pfn / size * size
	for n := start; n < start+size; n++ {
		b, ok := w.first[n]
		if ok && b.what == "free" {
			move(n, b.order, b.list)
			free += 1 << b.order
		}
		if ok && b.what == "used" && w.movable[n] {
			movable += 1 << b.order
		}
	}
	alike := 0
	if mt == Movable {
		alike = movable
	} else if old == Movable {
		alike = size - free - movable
	}
	if free+alike >= size/2 {
		w.types[pfn>>w.block] = mt
	}
}

// enough is the watermark.
func (w *twin) enough(z *twinZone, order, mark, highest int, f twinFlags) bool {
	reserves := f.nonblock || f.high || f.highatomic
	free := z.free - (1<<order - 1)
	if !reserves {
		free -= z.reserve
	}
	if !f.cma {
		free -= z.freeCMA
	}
	if f.high {
		mark -= mark / 2
		if f.nonblock {
			mark -= mark / 4
		}
	}
	if free <= mark+z.lowmem[highest] {
		return false
	}
	if order == 0 {
		return true
	}
	for o := order; o <= w.largest; o++ {
		for mt, lists := range z.lists {
			usable := mt == Unmovable || mt == Movable || mt == Reclaimable || mt == CMA && f.cma || mt == HighAtomic && f.highatomic
			if usable && len(lists[o]) > 0 {
				return true
			}
		}
	}
	return false
}

// enoughFast is the watermark as a request checks it. An order-0 request is
// let through as soon as the mark holds unreduced.
func (w *twin) enoughFast(z *twinZone, order, highest int, f twinFlags, gfp GFP) bool {
	mark := map[string]int{"min": z.min, "low": z.low, "high": z.high}[f.mark] + z.boost
	if w.enough(z, order, mark, highest, f) {
		return true
	}
	return order == 0 && gfp&GFPAtomicFlag != 0 && z.boost > 0 && f.mark == "min" && w.enough(z, order, z.min, highest, f)
}

func (w *twin) try(cpu, order int, gfp GFP, mt MigrateType, zones []*twinZone, highest int, f twinFlags) (int, bool) {
	for {
		for _, z := range zones {
			if !w.enoughFast(z, order, highest, f, gfp) {
				continue
			}
			if pfn, ok := w.fromZoneOrCPU(z, cpu, order, mt, f); ok {
				w.first[pfn] = twinBlock{what: "used", zone: z, order: order}
				w.movable[pfn] = gfp&GFPMovable != 0
				if f.highatomic {
					w.reserveFor(z, pfn)
				}
				return pfn, true
			}
		}
		if !f.whole {
			return 0, false
		}
		f.whole = false
	}
}

func (w *twin) onCPU(order int) bool { return order <= 3 || order == w.block }

func (w *twin) fromZoneOrCPU(z *twinZone, cpu, order int, mt MigrateType, f twinFlags) (int, bool) {
	if w.onCPU(order) && (!w.cma || f.cma || mt != Movable) {
		if pfn, ok := w.fromCPU(z, cpu, order, mt, f); ok {
			return pfn, true
		}
	}
	pfn, ok := 0, false
	if f.highatomic {
		pfn, ok = w.smallest(z, order, HighAtomic)
	}
	if !ok {
		pfn, ok = w.fromZone(z, order, mt, f)
	}
	if !ok && f.nonblock {
		pfn, ok = w.smallest(z, order, HighAtomic)
	}
	if ok {
		z.count(-1<<order, w.first[pfn].list)
	}
	return pfn, ok
}

// listFor names the per-CPU list of a block. Of the pageblock order there are
// two, movable and not.
func (w *twin) listFor(order int, mt MigrateType) twinList {
	if order > 3 && mt != Movable {
		mt = Unmovable
	}
	return twinList{order, mt}
}

func (w *twin) fromCPU(z *twinZone, cpu, order int, mt MigrateType, f twinFlags) (int, bool) {
	c, l := z.cpus[cpu], w.listFor(order, mt)
	c.factor /= 2
	if len(c.lists[l]) == 0 {
		n := z.batch
		if n > 1 {
			n = max(n>>order, 2)
		}
		got := 0
		for range n {
			pfn, ok := w.fromZone(z, order, mt, f)
			if !ok {
				break
			}
			c.lists[l] = append(c.lists[l], pfn)
			list := w.first[pfn].list
			w.first[pfn] = twinBlock{"pcp", z, order, list}
			if list == CMA {
				z.freeCMA -= 1 << order
			}
			got++
		}
		z.free -= got << order // only now: the balance above sees the old number
		c.count += got << order
	}
	if len(c.lists[l]) == 0 {
		return 0, false
	}
	pfn := c.lists[l][0]
	c.lists[l] = c.lists[l][1:]
	c.count -= 1 << order
	return pfn, true
}

func (w *twin) reserveFor(z *twinZone, pfn int) {
	size := 1 << w.block
	mt := w.typeOf(pfn)
	if z.reserve >= z.managed/100+size || !twinMerge(mt, Movable) {
		return
	}
	z.reserve += size
	w.retype(z, pfn, HighAtomic)
}

// retype gives a pageblock and its free blocks a type. It returns the number of
// free pages.
func (w *twin) retype(z *twinZone, pfn int, mt MigrateType) int {
	size, n := 1<<w.block, 0
	w.types[pfn>>w.block] = mt
	start := pfn / size * size
	if start+size > z.end {
		return 0
	}
	for p := max(start, z.start); p < start+size; p++ {
		if b, ok := w.first[p]; ok && b.what == "free" {
			z.take(p, b.order, b.list)
			z.add(p, b.order, mt, true)
			w.first[p] = twinBlock{"free", z, b.order, mt}
			n += 1 << b.order
		}
	}
	return n
}

func (w *twin) unreserve(zones []*twinZone, mt MigrateType) bool {
	for _, z := range zones {
		for o := range w.largest + 1 {
			pfn, ok := z.head(o, HighAtomic)
			if !ok {
				continue
			}
			if w.typeOf(pfn) == HighAtomic {
				z.reserve -= min(z.reserve, 1<<w.block)
			}
			if w.retype(z, pfn, mt) > 0 {
				return true
			}
		}
	}
	return false
}

// alloc is a request without anybody who reclaims, compacts or kills.
func (w *twin) alloc(cpu int, gfp GFP, order int) (int, bool) {
	mt := Unmovable
	if gfp&GFPMovable != 0 {
		mt = Movable
	} else if gfp&GFPReclaimable != 0 {
		mt = Reclaimable
	}
	var zones []*twinZone
	highest := 1 // DMA32, Normal
	if gfp&GFPDMA32 != 0 {
		highest = 0
	}
	for i := len(w.zones) - 1; i >= 0; i-- {
		if !w.zones[i].normal || highest == 1 {
			zones = append(zones, w.zones[i])
		}
	}
	if len(zones) == 0 {
		return 0, false
	}
	f := twinFlags{mark: "low", cma: mt == Movable, whole: zones[0].normal}
	if pfn, ok := w.try(cpu, order, gfp, mt, zones, highest, f); ok {
		return pfn, true
	}
	f = twinFlags{mark: "min", cma: mt == Movable, high: gfp&GFPHigh != 0, nonblock: gfp&GFPDirectReclaim == 0}
	f.highatomic = order > 0 && f.high && f.nonblock
	if pfn, ok := w.try(cpu, order, gfp, mt, zones, highest, f); ok {
		return pfn, true
	}
	for {
		if pfn, ok := w.try(cpu, order, gfp, mt, zones, highest, f); ok {
			return pfn, true
		}
		if f.nonblock || gfp&GFPNoRetry != 0 || order > 3 {
			return 0, false
		}
		if !w.unreserve(zones, mt) {
			break
		}
	}
	if pfn, ok := w.try(cpu, order, gfp, mt, zones, highest, twinFlags{mark: "high"}); ok {
		return pfn, true
	}
	return 0, false
}

// release frees a block.
func (w *twin) release(cpu, pfn int) {
	b := w.first[pfn]
	z, mt := b.zone, w.typeOf(pfn)
	delete(w.movable, pfn)
	if !w.onCPU(b.order) {
		w.giveBack(z, pfn, b.order, mt, false)
		return
	}
	w.first[pfn] = twinBlock{"pcp", z, b.order, mt}
	listed := mt
	if mt == HighAtomic || mt == CMA {
		listed = Movable
	}
	c, l := z.cpus[cpu], w.listFor(b.order, listed)
	c.lists[l] = append([]int{pfn}, c.lists[l]...)
	c.count += 1 << b.order
	limit, n := z.limit, 0
	all := c.factor > 0 && b.order > 0 && b.order <= 3
	if all {
		limit = 0
	}
	if c.count < limit {
		return
	}
	switch {
	case all:
		n = c.count
	case limit < z.batch:
		n = 1
	default:
		n = z.batch << c.factor
		if n < limit-z.batch && c.factor < 5 {
			c.factor++
		}
		n = min(max(n, z.batch), limit-z.batch)
	}
	w.drain(z, c, n, l)
}

// drain gives blocks back from the tails, whole lists one after the other.
func (w *twin) drain(z *twinZone, c *twinPCP, n int, from twinList) {
	var order []twinList
	for o := range 4 {
		order = append(order, twinList{o, Unmovable}, twinList{o, Movable}, twinList{o, Reclaimable})
	}
	if w.block > 3 {
		order = append(order, twinList{w.block, Unmovable}, twinList{w.block, Movable})
	}
	i := slices.Index(order, from)
	for n = min(n, c.count); n > 0; i = (i + 1) % len(order) {
		l := order[i]
		for n > 0 && len(c.lists[l]) > 0 {
			last := len(c.lists[l]) - 1
			pfn := c.lists[l][last]
			c.lists[l] = c.lists[l][:last]
			c.count -= 1 << l.order
			n -= 1 << l.order
			w.giveBack(z, pfn, l.order, w.first[pfn].list, false)
		}
	}
}

// TestTwin compares the allocator with its twin.
func TestTwin(t *testing.T) { rapid.Check(t, testTwin) }

func testTwin(t *rapid.T) {
	c := drawTwinConfig(t)
	a, err := New(c, Linux6_1)
	require.NoError(t, err)
	require.False(t, a.groupingDisabled)
	w := newTwin(&c)
	for i := range c.Zones {
		z := &c.Zones[i]
		start, end := z.StartPFN, z.StartPFN+PFN(z.Spanned)
		if c.CMA {
			area := start + PFN(rapid.IntRange(1, 4).Draw(t, "cmaBlocks"))<<c.PageblockOrder
			require.NoError(t, a.MakeCMA(start, area))
			w.giveCMA(w.zones[i], int(start), int(area))
			start = area
		}
		require.NoError(t, a.Release(start, end))
		w.give(w.zones[i], int(start), int(end))
	}
	var held []heldBlock
	for range rapid.IntRange(1, 40).Draw(t, "rounds") {
		cpu := rapid.IntRange(0, c.CPUs-1).Draw(t, "cpu")
		if len(held) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
			for range rapid.IntRange(1, min(len(held), 60)).Draw(t, "n") {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				require.NoError(t, a.Free(CPU(cpu), held[i].pfn, held[i].order))
				w.release(cpu, int(held[i].pfn))
				held = slices.Delete(held, i, i+1)
			}
			wantSameLists(t, a, w)
			continue
		}
		gfp := rapid.SampledFrom(twinGFPs).Draw(t, "gfp")
		order := Order(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3, 4, 5, 6}).Draw(t, "order"))
		for range rapid.SampledFrom([]int{1, 5, 40}).Draw(t, "n") {
			pfn, err := a.AllocPages(CPU(cpu), gfp, min(order, c.MaxOrder-1))
			want, ok := w.alloc(cpu, gfp, int(min(order, c.MaxOrder-1)))
			require.Equal(t, ok, err == nil, "order %d %v: %v, twin %d %v", order, gfp, err, want, ok)
			if ok {
				require.Equal(t, PFN(want), pfn, "order %d %v", order, gfp)
				held = append(held, heldBlock{pfn: pfn, order: min(order, c.MaxOrder-1)})
			}
		}
		wantSameLists(t, a, w)
	}
}

var twinGFPs = []GFP{
	GFPKernel, GFPKernel, GFPHighUserMovable, GFPHighUserMovable, GFPKernel | GFPReclaimable, GFPAtomic, GFPNowait,
	GFPKernel | GFPDMA32, GFPHighUserMovable | GFPNoRetry, GFPKernel | GFPHigh, GFPHigh,
}

// drawTwinConfig draws a machine of one node with DMA32 and Normal or one of
// them, with exact counters.
func drawTwinConfig(t *rapid.T) Config {
	block := rapid.IntRange(2, 5).Draw(t, "pageblockOrder")
	c := Config{PageShift: 12, PageblockOrder: Order(block), MaxOrder: Order(block + rapid.IntRange(1, 3).Draw(t, "above")),
		CMA: rapid.Bool().Draw(t, "cma"), CPUs: rapid.IntRange(1, 2).Draw(t, "cpus"), ZoneTypes: []ZoneType{ZoneDMA32, ZoneNormal}}
	start := PFN(0)
	which := rapid.IntRange(1, 3).Draw(t, "zones")
	for i, typ := range c.ZoneTypes {
		if which>>i&1 == 0 {
			continue
		}
		pages := uint64(rapid.IntRange(7, 20).Draw(t, "blocks")) << block
		low := uint64(rapid.IntRange(0, int(pages/6)).Draw(t, "min"))
		c.Zones = append(c.Zones, ZoneConfig{Type: typ, StartPFN: start, Spanned: pages, Present: pages, Managed: pages,
			Watermark:     Watermarks{Min: low, Low: low + low/4, High: low + low/2},
			LowmemReserve: []uint64{0, uint64(rapid.IntRange(0, int(pages/10)).Draw(t, "reserve")) * uint64(1-i)},
			PCP:           PCPConfig{Batch: rapid.IntRange(1, 8).Draw(t, "batch"), High: rapid.IntRange(0, 60).Draw(t, "high")}})
		start += PFN(pages)
	}
	return c
}

// wantSameLists compares everything that a snapshot would tell.
func wantSameLists(t *rapid.T, a *Allocator, w *twin) {
	require.NoError(t, a.Check())
	for i, got := range a.State().Zones {
		z := w.zones[i]
		want := ZoneState{Boost: uint64(z.boost), ReservedHighatomic: uint64(z.reserve), FreePages: int64(z.free), FreeCMA: int64(z.freeCMA)}
		for mt, lists := range z.lists {
			for o := range lists {
				want.Free[o][mt] = twinPFNs(lists[o])
			}
		}
		var pcps []PCPState
		for _, c := range z.cpus {
			s := PCPState{Count: c.count, FreeFactor: c.factor}
			for l, pfns := range c.lists {
				index := 3*l.order + int(l.mt)
				if l.order > 3 {
					index = numLowLists + int(l.mt)
				}
				s.Lists[index] = twinPFNs(pfns)
			}
			pcps = append(pcps, s)
		}
		for cpu := range got.PCP {
			g := &got.PCP[cpu]
			short := PCPState{Count: g.Count, FreeFactor: g.FreeFactor, Lists: g.Lists}
			if diff := cmp.Diff(pcps[cpu], short); diff != "" {
				t.Fatalf("zone %d CPU %d (-twin +allocator):\n%s", i, cpu, diff)
			}
		}
		got.PCP, got.Blocks, got.Counted = nil, nil, false
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("zone %d (-twin +allocator):\n%s", i, diff)
		}
	}
	for b, mt := range a.blockTypes {
		require.Equal(t, w.typeOf(b<<w.block), MigrateType(mt), "pageblock %d", b)
	}
}

func twinPFNs(l []int) []PFN {
	var out []PFN
	for _, pfn := range l {
		out = append(out, PFN(pfn))
	}
	return out
}
