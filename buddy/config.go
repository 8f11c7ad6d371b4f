package buddy

import (
	"errors"
	"fmt"
)

// maxPFN is the number of page frames that can be simulated, see [PFN].
const maxPFN = PFN(1) << 32

// LocalDistance and RemoteDistance are the distances of a NUMA node to itself
// and to another one where the firmware gives no table (the kernel's
// LOCAL_DISTANCE and REMOTE_DISTANCE).
const (
	LocalDistance  = 10
	RemoteDistance = 20
)

// Config describes a whole machine as the allocator wants it. [Machine.Config]
// computes one from a memory map; a capture's first snapshot gives one too.
type Config struct {
	// PageShift is the base-2 logarithm of the page size in bytes: 12 (4 KiB),
	// 14 (16 KiB) or 16 (64 KiB).
	PageShift int
	// PageblockOrder is the order of a pageblock, the unit that has a migrate
	// type: the kernel's pageblock_order, 9 on x86_64.
	PageblockOrder Order
	// MaxOrder is the number of free areas of a zone, so that the largest
	// block has the order MaxOrder-1: the kernel's MAX_ORDER before 6.4,
	// NR_PAGE_ORDERS since 6.8. 11 on x86_64. At most [MaxOrders].
	MaxOrder Order
	// CMA says whether the kernel was built with CONFIG_CMA, which gives it a
	// sixth migrate type and shifts the number of Isolate.
	CMA bool
	// CPUs is the number of CPUs that have per-CPU lists, at least 1.
	CPUs int
	// CPUNode is the NUMA node of each CPU. Empty puts all CPUs on node 0.
	CPUNode []NodeID
	// ZoneTypes are the zone types that the kernel was built with, ascending:
	// DMA, DMA32, Normal, Movable on x86_64. A zone's place in this list is
	// its index in [ZoneConfig.LowmemReserve].
	ZoneTypes []ZoneType
	// Zones are the zones that have memory, by node and then by type, which is
	// the order of /proc/zoneinfo and of all reports.
	Zones []ZoneConfig
	// Present is where each zone has memory. It is needed only where the spans
	// of zones overlap, as those of interleaved nodes do; empty means that each
	// zone may have memory in its whole span.
	Present []PresentRange
	// Distances[i][j] is the NUMA distance from node i to node j, 10 for a
	// node itself. Empty means 10 and 20 (the kernel's LOCAL_DISTANCE and
	// REMOTE_DISTANCE).
	Distances [][]int
}

// Nodes is one more than the highest node number that a zone or CPU has.
func (c *Config) Nodes() int {
	highest := NodeID(0)
	for _, n := range c.CPUNode {
		highest = max(highest, n)
	}
	for i := range c.Zones {
		highest = max(highest, c.Zones[i].Node)
	}
	return int(highest) + 1
}

// Distance is the NUMA distance from node a to node b, the kernel's
// node_distance.
func (c *Config) Distance(a, b NodeID) int {
	return nodeDistance(c.Distances, a, b)
}

func nodeDistance(table [][]int, a, b NodeID) int {
	if int(a) < len(table) && int(b) < len(table[a]) {
		return table[a][b]
	}
	if a == b {
		return LocalDistance
	}
	return RemoteDistance
}

// ConfigError is one fault of a [Config] or a [Machine].
type ConfigError struct {
	// Field is the faulty field, like "Zones[2].Managed".
	Field string
	// Found is its value in text; Expected what it should have been.
	Found, Expected string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("buddy: %s is %s, want %s", e.Field, e.Found, e.Expected)
}

// faults collects the errors of a validation, so that all are reported at once.
type faults []error

// want notes a fault unless ok holds.
func (f *faults) want(ok bool, field string, found any, expected string, args ...any) {
	if !ok {
		*f = append(*f, &ConfigError{
			Field:    field,
			Found:    fmt.Sprint(found),
			Expected: fmt.Sprintf(expected, args...),
		})
	}
}

// Validate reports all faults at once: the result unwraps to a list of
// [*ConfigError]. nil means that an allocator can be made of it.
func (c *Config) Validate() error {
	var f faults
	f.want(c.PageShift == 12 || c.PageShift == 14 || c.PageShift == 16,
		"PageShift", c.PageShift, "12, 14 or 16")
	f.want(c.MaxOrder >= 1 && c.MaxOrder <= MaxOrders, "MaxOrder", c.MaxOrder, "1 to %d", MaxOrders)
	f.want(c.PageblockOrder >= 0 && c.PageblockOrder < max(c.MaxOrder, 1),
		"PageblockOrder", c.PageblockOrder, "0 to MaxOrder-1 (%d)", c.MaxOrder-1)
	c.validateCPUs(&f)
	c.validateZoneTypes(&f)
	for i := range c.Zones {
		c.validateZone(&f, i)
	}
	f.want(len(c.Zones) > 0, "Zones", "empty", "at least one zone")
	c.validateOverlap(&f)
	c.validatePresent(&f)
	c.validateDistances(&f)
	return errors.Join(f...)
}

// maxCPUs and maxNodes are the largest NR_CPUS and MAX_NUMNODES that the
// kernel's configuration allows (x86_64 with MAXSMP).
const (
	maxCPUs  = 8192
	maxNodes = 1024
)

func (c *Config) validateCPUs(f *faults) {
	f.want(c.CPUs >= 1 && c.CPUs <= maxCPUs, "CPUs", c.CPUs, "1 to %d", maxCPUs)
	f.want(len(c.CPUNode) == 0 || len(c.CPUNode) == c.CPUs,
		"len(CPUNode)", len(c.CPUNode), "0 or CPUs (%d)", c.CPUs)
	for i, n := range c.CPUNode {
		f.want(n >= 0 && n < maxNodes, fmt.Sprintf("CPUNode[%d]", i), n, "0 to %d", maxNodes-1)
	}
}

func (c *Config) validateZoneTypes(f *faults) {
	f.want(len(c.ZoneTypes) > 0, "ZoneTypes", "empty", "at least one zone type")
	for i, t := range c.ZoneTypes {
		field := fmt.Sprintf("ZoneTypes[%d]", i)
		f.want(t < NumZoneTypes, field, uint8(t), "below %d", NumZoneTypes)
		if i > 0 {
			f.want(t > c.ZoneTypes[i-1], field, t, "after %v", c.ZoneTypes[i-1])
		}
	}
}

// hasZoneType says whether the kernel was built with the zone type.
func (c *Config) hasZoneType(t ZoneType) bool {
	for _, have := range c.ZoneTypes {
		if have == t {
			return true
		}
	}
	return false
}

func (c *Config) validateZone(f *faults, i int) {
	z := &c.Zones[i]
	field := func(name string) string { return fmt.Sprintf("Zones[%d].%s", i, name) }
	f.want(z.Node >= 0 && z.Node < maxNodes, field("Node"), z.Node, "0 to %d", maxNodes-1)
	f.want(c.hasZoneType(z.Type), field("Type"), z.Type, "one of ZoneTypes")
	f.want(z.StartPFN < maxPFN, field("StartPFN"), z.StartPFN, "below %d", maxPFN)
	f.want(z.Spanned > 0 && z.Spanned <= uint64(maxPFN-min(z.StartPFN, maxPFN)),
		field("Spanned"), z.Spanned, "1 to %d-StartPFN", maxPFN)
	f.want(z.Present <= z.Spanned, field("Present"), z.Present, "at most Spanned (%d)", z.Spanned)
	f.want(z.Managed <= z.Present, field("Managed"), z.Managed, "at most Present (%d)", z.Present)
	f.want(z.CMAPages <= z.Managed, field("CMAPages"), z.CMAPages, "at most Managed (%d)", z.Managed)
	f.want(len(z.LowmemReserve) == len(c.ZoneTypes), field("len(LowmemReserve)"),
		len(z.LowmemReserve), "len(ZoneTypes) (%d)", len(c.ZoneTypes))
	f.want(z.StatThreshold >= 0 && z.StatThreshold <= 125, field("StatThreshold"), z.StatThreshold, "0 to 125")
	f.want(z.Watermark.Min <= z.Watermark.Low && z.Watermark.Low <= z.Watermark.High &&
		(z.Watermark.Promo == 0 || z.Watermark.High <= z.Watermark.Promo),
		field("Watermark"), z.Watermark, "Min <= Low <= High <= Promo (or Promo 0)")
	f.want(z.PCP.Batch >= 1, field("PCP.Batch"), z.PCP.Batch, "at least 1")
	f.want(z.PCP.High >= 0, field("PCP.High"), z.PCP.High, "at least 0")
	f.want(z.PCP.HighMin >= 0, field("PCP.HighMin"), z.PCP.HighMin, "at least 0")
	f.want(z.PCP.HighMax >= 0, field("PCP.HighMax"), z.PCP.HighMax, "at least 0")
	if i > 0 {
		p := &c.Zones[i-1]
		f.want(z.Node > p.Node || z.Node == p.Node && z.Type > p.Type, field("Type"),
			fmt.Sprintf("node %d %v", z.Node, z.Type), "after node %d %v", p.Node, p.Type)
	}
}

// validateOverlap wants the spans of one node's zones to be disjoint. Spans of
// different nodes may interleave, and ZONE_MOVABLE may lie inside the span of
// the zone it was cut from only on other nodes.
func (c *Config) validateOverlap(f *faults) {
	for i := range c.Zones {
		a := &c.Zones[i]
		for j := range c.Zones[:i] {
			b := &c.Zones[j]
			apart := a.StartPFN >= b.StartPFN+PFN(b.Spanned) || b.StartPFN >= a.StartPFN+PFN(a.Spanned)
			f.want(a.Node != b.Node || apart, fmt.Sprintf("Zones[%d].StartPFN", i),
				fmt.Sprintf("%d (+%d)", a.StartPFN, a.Spanned),
				"outside of Zones[%d] %d (+%d)", j, b.StartPFN, b.Spanned)
		}
	}
}

// validatePresent wants each range inside of its zone's span, and those of a
// zone to add up to its present pages.
func (c *Config) validatePresent(f *faults) {
	if len(c.Present) == 0 {
		return
	}
	present := make([]uint64, len(c.Zones))
	for i, r := range c.Present {
		field := fmt.Sprintf("Present[%d]", i)
		if f.want(r.Zone >= 0 && r.Zone < len(c.Zones), field+".Zone", r.Zone, "below len(Zones) (%d)", len(c.Zones)); r.Zone < 0 || r.Zone >= len(c.Zones) {
			continue
		}
		z := &c.Zones[r.Zone]
		f.want(r.Start < r.End && r.Start >= z.StartPFN && uint64(r.End-z.StartPFN) <= z.Spanned,
			field, fmt.Sprintf("%d to %d", r.Start, r.End), "a range in Zones[%d] %d (+%d)", r.Zone, z.StartPFN, z.Spanned)
		if r.Start < r.End {
			present[r.Zone] += uint64(r.End - r.Start)
		}
	}
	for i, n := range present {
		f.want(n == c.Zones[i].Present, fmt.Sprintf("Present of Zones[%d]", i), n, "Zones[%d].Present (%d)", i, c.Zones[i].Present)
	}
}

func (c *Config) validateDistances(f *faults) {
	if len(c.Distances) == 0 {
		return
	}
	validateDistances(f, c.Distances, c.Nodes())
}

func validateDistances(f *faults, table [][]int, nodes int) {
	f.want(len(table) >= nodes, "len(Distances)", len(table), "at least the number of nodes (%d)", nodes)
	for i, row := range table {
		f.want(len(row) == len(table), fmt.Sprintf("len(Distances[%d])", i), len(row), "%d", len(table))
		for j, d := range row {
			field := fmt.Sprintf("Distances[%d][%d]", i, j)
			f.want(d > 0 && d <= 255, field, d, "1 to 255")
			f.want(i == j || d > LocalDistance || j >= len(table), field, d, "more than %d", LocalDistance)
			f.want(i != j || d == LocalDistance, field, d, "%d (a node to itself)", LocalDistance)
		}
	}
}
