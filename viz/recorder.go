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
	free  [][]float64
	zones []zoneSamples
	// pcp[cpu] are the pages on the CPU's lists, all zones together.
	pcp    [][]float64
	before []ZoneMap
	// types[t] are the blocks on the free lists of migrate type t, of all
	// orders and zones.
	types [][]float64
	// locks and work are the acquisitions of the zones' locks so far, and the
	// blocks put on or taken off free lists; splits and merges the blocks divided
	// and joined.
	locks, work, splits, merges []uint64
	// last is the allocator seen last, to read its final state.
	last *buddy.Allocator
}

// zoneSamples are the samples of one zone; of the indexes by order.
type zoneSamples struct {
	pages              []float64
	unusable, external [][]float64
}

// add takes a sample of a zone and adds its free blocks to the total.
func (s *zoneSamples) add(z *buddy.Zone, total []uint64) {
	if s.unusable == nil {
		s.unusable, s.external = make([][]float64, len(total)), make([][]float64, len(total))
	}
	s.pages = append(s.pages, float64(z.FreePages()))
	for o := range total {
		order := buddy.Order(o)
		total[o] += z.FreeBlocks(order)
		s.unusable[o] = append(s.unusable[o], float64(z.UnusableIndex(order))/1000)
		index := math.NaN()
		if v := z.FragmentationIndex(order); v != wouldSucceed {
			index = max(float64(v)/1000, 0)
		}
		s.external[o] = append(s.external[o], index)
	}
}

// wouldSucceed is the fragmentation index of a request that can be met.
const wouldSucceed = -1000

// Observe takes a sample at a time in nanoseconds, not before the last one's.
// Another allocator than the last time starts a new recording.
func (r *PageRecorder) Observe(ns uint64, a *buddy.Allocator) {
	config := a.Config()
	if r.last != a {
		*r = PageRecorder{last: a}
		r.before = MapOf(a)
		r.free = make([][]float64, config.MaxOrder)
		r.pcp = make([][]float64, config.CPUs)
		r.zones = make([]zoneSamples, a.NumZones())
		r.types = make([][]float64, buddy.NumMigrateTypes)
	}
	if n := len(r.ns); n > 0 {
		ns = max(ns, r.ns[n-1])
	}
	r.ns = append(r.ns, ns)
	total := make([]uint64, len(r.free))
	for z := range r.zones {
		r.zones[z].add(a.Zone(z), total)
	}
	for o := range total {
		r.free[o] = append(r.free[o], float64(total[o]))
	}
	for cpu := range r.pcp {
		n := 0
		for z := range r.zones {
			n += a.Zone(z).PCPCount(buddy.CPU(cpu))
		}
		r.pcp[cpu] = append(r.pcp[cpu], float64(n))
	}
	r.listsAndLocks(a)
}

// listsAndLocks takes a sample of the free lists' lengths and of the counters.
func (r *PageRecorder) listsAndLocks(a *buddy.Allocator) {
	var locks, work, splits, merges uint64
	for t := range r.types {
		n := uint64(0)
		for z := range r.zones {
			for o := range r.free {
				n += a.Zone(z).FreeBlocksOf(buddy.Order(o), buddy.MigrateType(t))
			}
		}
		r.types[t] = append(r.types[t], float64(n))
	}
	for z := range r.zones {
		s := a.Zone(z).Stats()
		locks, work, splits, merges = locks+s.LockAcquisitions, work+s.ListOps, splits+s.Splits, merges+s.Merges
	}
	r.locks, r.work = append(r.locks, locks), append(r.work, work)
	r.splits, r.merges = append(r.splits, splits), append(r.merges, merges)
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
	var out []Figure
	for _, n := range r.Graphs(source) {
		out = append(out, Figure{ID: n.ID, Caption: n.Caption, SVG: n.Graph.SVG()})
	}
	return out
}

// NamedGraph is a graph that is not drawn yet, with what to know about it.
type NamedGraph struct {
	// ID and Caption are a [Figure]'s.
	ID, Caption string
	Graph       Graph
}

// Graphs gives everything that was recorded; see [PageRecorder.Figures].
func (r *PageRecorder) Graphs(source string) []NamedGraph {
	if r.last == nil {
		return nil
	}
	z := r.busiest()
	return []NamedGraph{
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
		{"list-lengths", "How long the lists are: blocks on the zones' free lists by migrate type, pages on each CPU's own lists.", r.listLengths(source)},
		{"zone-lock", "How much the zones' locks are asked for: how often they are taken between two moments, and how many blocks are put on or taken off lists " +
			"while they are held. Each peak is a refill or a drain of per-CPU lists.", r.zoneLock(source)},
	}
}

// listLengths has a row for each migrate type that has a block at some time, and
// for each CPU.
func (r *PageRecorder) listLengths(source string) Graph {
	x, label := timeAxis(r.ns)
	g := Rows{Frame: Frame{"List lengths", source}, X: x, XLabel: label, RowsLabel: "list", ValueLabel: "blocks; CPU: pages"}
	for t, y := range r.types {
		if _, hi := bounds(y); hi > 0 {
			g.Rows = append(g.Rows, Row{Name: buddy.MigrateType(t).String(), Y: y, Shade: 0})
		}
	}
	for cpu, y := range r.pcp {
		g.Rows = append(g.Rows, Row{Name: fmt.Sprintf("CPU %d", cpu), Y: y, Shade: 0.6})
	}
	return g
}

// zoneLock shows differences of the counters.
func (r *PageRecorder) zoneLock(source string) Graph {
	x, label := timeAxis(r.ns)
	g := Rows{Frame: Frame{"Zone lock: acquisitions and work", source}, X: x, XLabel: label, RowsLabel: "between two moments", ValueLabel: "number"}
	for i, c := range []struct {
		name  string
		count []uint64
	}{{"acquisitions", r.locks}, {"list operations", r.work}, {"blocks split", r.splits}, {"blocks merged", r.merges}} {
		y := make([]float64, len(c.count))
		for k := 1; k < len(y); k++ {
			y[k-1] = float64(c.count[k] - c.count[k-1])
		}
		g.Rows = append(g.Rows, Row{Name: c.name, Y: y, Shade: float64(i) / 4})
	}
	return g
}

// busiest is the zone whose free lists changed most: there the fragmentation
// indexes are worth looking at.
func (r *PageRecorder) busiest() int {
	best, most := 0, -1.0
	for z := range r.zones {
		changed := 0.0
		pages := r.zones[z].pages
		for i := 1; i < len(pages); i++ {
			changed += math.Abs(pages[i] - pages[i-1])
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

func (r *PageRecorder) freeBlocks(source string) Graph {
	x, label := timeAxis(r.ns)
	g := Rows{Frame: Frame{"Free blocks by order", source}, X: x, XLabel: label, RowsLabel: "order (size)", ValueLabel: "blocks, min–max"}
	for o := range r.free {
		g.Rows = append(g.Rows, Row{Name: r.orderName(o), Y: r.free[o], Shade: float64(o) / float64(max(len(r.free)-1, 1))})
	}
	return g
}

func (r *PageRecorder) pcpLists(source string) Graph {
	x, label := timeAxis(r.ns)
	g := Lines{Frame: Frame{"Per-CPU page lists", source}, X: x, XLabel: label, Y: Axis{Label: "pages on the CPU's lists", FromZero: true}}
	for cpu := range r.pcp {
		g.Series = append(g.Series, Series{Name: fmt.Sprintf("CPU %d", cpu), Y: r.pcp[cpu]})
	}
	return g
}

func (r *PageRecorder) blockMap(title string, zones []ZoneMap, source string) Graph {
	return BlockMap{Frame: Frame{title, source}, Zones: zones, PageKB: r.pageKB()}
}

func (r *PageRecorder) unusable(z int, source string) Graph {
	x, label := timeAxis(r.ns)
	g := Lines{Frame: Frame{"Unusable free space index, " + r.zoneName(z), source}, X: x, XLabel: label,
		Y: Axis{Label: "unusable_index (share of the free memory)", FromZero: true, Max: 1}}
	for _, o := range r.someOrders() {
		g.Series = append(g.Series, Series{Name: "order " + r.orderName(o), Y: r.zones[z].unusable[o]})
	}
	return g
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

func (r *PageRecorder) external(z int, source string) Graph {
	x, label := timeAxis(r.ns)
	g := Heat{Frame: Frame{"External fragmentation index, " + r.zoneName(z), source}, X: x, XLabel: label, RowsLabel: "order (size)",
		Low: "lack of memory", High: "fragmentation", None: "the request would succeed (extfrag_index -1.000)"}
	for o := len(r.free) - 1; o >= 0; o-- {
		g.Rows = append(g.Rows, HeatRow{Name: r.orderName(o), Values: r.zones[z].external[o]})
	}
	return g
}
