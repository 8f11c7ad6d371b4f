package viz

import (
	"fmt"
	"math"

	"github.com/kernsim/kernsim/buddy"
)

// PageRecorder collects what the page allocator's graphs show. Its zero value is
// ready; pass its Observe to replay.Options, or call it between requests.
type PageRecorder struct {
	ns []uint64
	// free[o] are the numbers of free blocks of order o, of the whole machine.
	free [][]float64
	// zoneFree[z][i] are those of one zone at sample i, by order.
	zoneFree [][][]uint64
	// pcp[cpu] are the pages on the CPU's lists, all zones together.
	pcp    [][]float64
	before []ZoneMap
	// last is the allocator seen last, to read its final state.
	last *buddy.Allocator
}

// Observe takes a sample at a time in nanoseconds, not before the last one's.
func (r *PageRecorder) Observe(ns uint64, a *buddy.Allocator) {
	config := a.Config()
	if r.last == nil {
		r.before = MapOf(a)
		r.free = make([][]float64, config.MaxOrder)
		r.pcp = make([][]float64, config.CPUs)
		r.zoneFree = make([][][]uint64, a.NumZones())
	}
	r.last = a
	if n := len(r.ns); n > 0 {
		ns = max(ns, r.ns[n-1])
	}
	r.ns = append(r.ns, ns)
	total := make([]uint64, len(r.free))
	for z := range r.zoneFree {
		blocks := make([]uint64, len(r.free))
		for o := range blocks {
			blocks[o] = a.Zone(z).FreeBlocks(buddy.Order(o))
			total[o] += blocks[o]
		}
		r.zoneFree[z] = append(r.zoneFree[z], blocks)
	}
	for o := range total {
		r.free[o] = append(r.free[o], float64(total[o]))
	}
	for cpu := range r.pcp {
		n := 0
		for z := range r.zoneFree {
			n += a.Zone(z).PCPCount(buddy.CPU(cpu))
		}
		r.pcp[cpu] = append(r.pcp[cpu], float64(n))
	}
}

// Figure is a graph with what to know about it.
type Figure struct {
	// ID is short and unique among a recorder's figures; it can name a file.
	ID string
	// Caption tells a student in a sentence how to read it.
	Caption string
	SVG     []byte
}

// Figures draws everything that was recorded; source is printed under each
// graph. It gives none if nothing was.
func (r *PageRecorder) Figures(source string) []Figure {
	if r.last == nil {
		return nil
	}
	z := r.busiest()
	return []Figure{
		{"free-blocks", "How many free blocks of each order (size) the zones' free lists hold, as in /proc/buddyinfo: " +
			"an allocation takes the smallest block that is large enough and splits it, a free merges neighbours (buddies) to larger ones.", r.freeBlocks(source)},
		{"pcp", "Pages that wait on each CPU's own lists: most requests for single pages are served from there, without the zone's lock; " +
			"an empty list is refilled by a batch, a full one is drained.", r.pcpLists(source)},
		{"map-before", "Before: each cell is a pageblock, its colour the migrate type that the kernel keeps together there, stronger the more of it is in use.",
			r.blockMap("Memory map before", r.before, source)},
		{"map-after", "After: unmovable pages (which can never be moved out of the way) should stay within few pageblocks, so that large blocks remain elsewhere.",
			r.blockMap("Memory map after", MapOf(r.last), source)},
		{"unusable", "Which part of the free memory is useless for a request of an order because it lies in smaller blocks (0 none, 1 all).",
			r.unusable(z, source)},
		{"extfrag", "Why a request of an order would fail: towards 0 for lack of memory, towards 1 because of fragmentation, where compaction helps; " +
			"grey means that it would succeed.", r.external(z, source)},
	}
}

// busiest is the zone whose free lists changed most: there the fragmentation
// indexes are worth looking at.
func (r *PageRecorder) busiest() int {
	best, most := 0, -1.0
	for z, samples := range r.zoneFree {
		changed := 0.0
		for i := 1; i < len(samples); i++ {
			for o := range samples[i] {
				changed += math.Abs(float64(samples[i][o])-float64(samples[i-1][o])) * float64(uint64(1)<<o)
			}
		}
		if changed > most {
			best, most = z, changed
		}
	}
	return best
}

func (r *PageRecorder) zoneName(z int) string {
	zone := r.last.Zone(z)
	return fmt.Sprintf("node %d, zone %v", zone.Node(), zone.Type())
}

// orderName gives an order and its size.
func (r *PageRecorder) orderName(o int) string {
	return fmt.Sprintf("%d (%s)", o, sizeText(uint64(r.pageKB())<<o))
}

func (r *PageRecorder) pageKB() int { return 1 << (r.last.Config().PageShift - 10) }

func (r *PageRecorder) freeBlocks(source string) []byte {
	x, label := timeAxis(r.ns)
	g := Rows{Frame: Frame{"Free blocks by order", source}, X: x, XLabel: label, RowsLabel: "order (size)", ValueLabel: "blocks, min–max"}
	for o := range r.free {
		g.Rows = append(g.Rows, Row{Name: r.orderName(o), Y: r.free[o], Shade: float64(o) / float64(max(len(r.free)-1, 1))})
	}
	return g.SVG()
}

func (r *PageRecorder) pcpLists(source string) []byte {
	x, label := timeAxis(r.ns)
	g := Lines{Frame: Frame{"Per-CPU page lists", source}, X: x, XLabel: label, Y: Axis{Label: "pages on the CPU's lists", FromZero: true}}
	for cpu := range r.pcp {
		g.Series = append(g.Series, Series{Name: fmt.Sprintf("CPU %d", cpu), Y: r.pcp[cpu]})
	}
	return g.SVG()
}

func (r *PageRecorder) blockMap(title string, zones []ZoneMap, source string) []byte {
	return BlockMap{Frame: Frame{title, source}, Zones: zones, PageKB: r.pageKB()}.SVG()
}

func (r *PageRecorder) unusable(z int, source string) []byte {
	x, label := timeAxis(r.ns)
	g := Lines{Frame: Frame{"Unusable free space index, " + r.zoneName(z), source}, X: x, XLabel: label,
		Y: Axis{Label: "unusable_index (share of the free memory)", FromZero: true, Max: 1}}
	for _, o := range r.someOrders() {
		y := make([]float64, len(r.ns))
		for i, blocks := range r.zoneFree[z] {
			y[i] = float64(countFree(blocks, o).unusable(o)) / 1000
		}
		g.Series = append(g.Series, Series{Name: "order " + r.orderName(o), Y: y})
	}
	return g.SVG()
}

// someOrders are at most six orders above 0, up to the largest.
func (r *PageRecorder) someOrders() []int {
	var out []int
	largest := len(r.free) - 1
	for o := largest; o > 0; o -= max((largest+5)/6, 1) {
		out = append([]int{o}, out...)
	}
	return out
}

func (r *PageRecorder) external(z int, source string) []byte {
	x, label := timeAxis(r.ns)
	g := Heat{Frame: Frame{"External fragmentation index, " + r.zoneName(z), source}, X: x, XLabel: label, RowsLabel: "order (size)",
		Low: "lack of memory", High: "fragmentation", None: "the request would succeed (extfrag_index -1.000)"}
	for o := len(r.free) - 1; o >= 0; o-- {
		row := HeatRow{Name: r.orderName(o), Values: make([]float64, len(r.ns))}
		for i, blocks := range r.zoneFree[z] {
			row.Values[i] = math.NaN()
			if v := countFree(blocks, o).external(o); v != wouldSucceed {
				row.Values[i] = max(float64(v)/1000, 0)
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return g.SVG()
}
