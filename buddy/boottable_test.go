package buddy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bootPolicies are the presets, and those of kernels between and before them
// that appear in the tables.
func bootPolicies() map[string]BootPolicy {
	v5_10 := BootPolicy5_4
	v5_10.MaxMinFreeKbytes = 262144
	v5_10.ClearEmptyReserve = true
	v4_18 := BootPolicy5_4
	v4_18.BatchLimitBytes = 512 << 10
	v4_4 := v4_18
	v4_4.ScaledGaps = false
	return map[string]BootPolicy{
		"3.x": v4_4, "4.4": v4_4, "4.18": v4_18, "5.4": BootPolicy5_4, "5.10": v5_10,
		"6.1": BootPolicy6_1, "6.12": BootPolicy6_12, "6.18": BootPolicy6_18,
	}
}

// bootRow is a row of testdata/boot.tsv with the zones of its file.
type bootRow struct {
	name   string
	params ZoneParams
	// sysctl is the recorded min_free_kbytes, 0 if not recorded.
	sysctl int
	// recorded are the populated zones, keys their names in the table.
	recorded []recordedZone
	keys     []string
	// grown are the indexes of zones that grew after the watermarks were set.
	grown      []int
	reserveNow bool
	except     []string
	why        string
}

// readBootRows reads the table; a file with several memory reports gives
// several rows.
func readBootRows(t *testing.T) []bootRow {
	t.Helper()
	var rows []bootRow
	for _, r := range readTSV(t, "testdata/boot.tsv") {
		for i, zones := range readRecorded(t, r["kind"], r["name"]) {
			row := bootRow{name: fmt.Sprintf("%s/%s#%d", r["kind"], r["name"], i), recorded: populated(zones), why: r["why"]}
			row.params = rowParams(t, r, row.recorded)
			if r["sysctl"] != "-" {
				row.sysctl = int(atoi(t, r["sysctl"]))
			}
			for j := range row.recorded {
				row.keys = append(row.keys, zoneKey(&row.recorded[j]))
				if slices.Contains(strings.Split(r["grown"], ","), zoneKey(&row.recorded[j])) {
					row.grown = append(row.grown, j)
				}
			}
			row.reserveNow = r["reserve"] == "now"
			if r["except"] != "" {
				row.except = strings.Split(r["except"], ",")
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func zoneKey(z *recordedZone) string { return fmt.Sprintf("%d/%v", z.node, z.typ) }

func readRecorded(t *testing.T, kind, name string) [][]recordedZone {
	t.Helper()
	path := "testdata/" + kind + "/" + name + ".txt"
	switch kind {
	case "zoneinfo":
		zones, _ := parseZoneinfo(t, path)
		return [][]recordedZone{zones}
	case "ksnap":
		return [][]recordedZone{parseKsnap(t, path)}
	}
	return parseMemInfo(t, path, 12)
}

func rowParams(t *testing.T, r map[string]string, zones []recordedZone) ZoneParams {
	t.Helper()
	policy, ok := bootPolicies()[r["policy"]]
	require.True(t, ok, r["policy"])
	p := ZoneParams{
		Policy: policy, Sysctl: DefaultSysctl, PageShift: 12,
		PageblockOrder: Order(atoi(t, r["pageblock"])), ZoneTypes: rowZoneTypes(zones),
		THP: map[string]THPState{"absent": THPAbsent, "never": THPNever, "enabled": THPEnabled}[r["thp"]],
	}
	p.Sysctl.WatermarkScaleFactor = int(atoi(t, r["scale"]))
	if r["minfree"] != "-" {
		p.Sysctl.MinFreeKbytes = int(atoi(t, r["minfree"]))
	}
	for node, s := range strings.Split(r["cpus"], ",") {
		for range atoi(t, s) {
			p.CPUNode = append(p.CPUNode, NodeID(node))
		}
	}
	p.CPUs = len(p.CPUNode)
	return p
}

// rowZoneTypes are as many zone types as a recorded reserve has numbers.
func rowZoneTypes(zones []recordedZone) []ZoneType {
	all := []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice}
	if n := len(zones[0].reserve); n < len(all) && zones[0].typ == ZoneNormal {
		return all[2 : 2+n]
	}
	return all[:len(zones[0].reserve)]
}

// predict computes all limits, with so many managed pages in the grown zones
// when the watermarks were set.
func (row *bootRow) predict(then []uint64) (zones []ZoneConfig, minFreeKbytes int) {
	for i := range row.recorded {
		z := &row.recorded[i]
		zones = append(zones, ZoneConfig{Node: z.node, Type: z.typ, Managed: uint64(z.managed), Present: uint64(z.present)})
	}
	for i, j := range row.grown {
		zones[j].Managed = then[i]
	}
	minFreeKbytes = row.params.Init(zones)
	for i := range zones {
		zones[i].Managed = uint64(row.recorded[i].managed)
	}
	if row.reserveNow {
		row.params.SetLowmemReserve(zones)
	}
	if kbytes := row.params.Sysctl.MinFreeKbytes; kbytes != 0 {
		row.params.WriteMinFreeKbytes(zones, kbytes)
	}
	return zones, minFreeKbytes
}

// comparison is what came out of comparing a row.
type comparison struct {
	// wrong names the kinds of facts that differ, each once.
	wrong []string
	// facts are all, differing those that differ; boosts are the watermark
	// boosts that had to be inferred.
	facts, differing, boosts int
}

func (c *comparison) check(zone, what string, got, want int64) {
	if want < 0 {
		return
	}
	c.facts++
	if got == want {
		return
	}
	c.differing++
	if name := zone + ":" + what; !slices.Contains(c.wrong, name) {
		c.wrong = append(c.wrong, name)
	}
}

// unexpected is a fact that differs though it should not.
func (c *comparison) unexpected(except []string) string {
	for _, name := range c.wrong {
		if !slices.Contains(except, name) {
			return name
		}
	}
	return ""
}

// compare compares all facts with what is predicted. If zones have grown, so
// that many predictions are tried, it ends at the first zone that is wrong.
func (row *bootRow) compare(then []uint64) (c comparison) {
	zones, minFreeKbytes := row.predict(then)
	if row.sysctl != 0 {
		c.check("", "min_free_kbytes", int64(minFreeKbytes), int64(row.sysctl))
	}
	for i := range zones {
		if len(then) > 0 && c.unexpected(row.except) != "" {
			return c
		}
		z, w := &zones[i], &row.recorded[i]
		boost, inferred := w.boostOver(z, row.params.PageblockOrder)
		if inferred {
			c.boosts++
		}
		key := row.keys[i]
		c.check(key, "min", int64(z.Watermark.Min)+boost, w.min)
		c.check(key, "low", int64(z.Watermark.Low)+boost, w.low)
		c.check(key, "high", int64(z.Watermark.High)+boost, w.high)
		c.check(key, "promo", int64(z.Watermark.Promo)+boost, w.promo)
		for j, pages := range w.reserve {
			c.check(key, "reserve", int64(z.LowmemReserve[j]), int64(pages))
		}
		for _, cpu := range w.cpus {
			c.check(key, "batch", int64(z.PCP.Batch), int64(cpu.batch))
			if row.params.Policy.PCPHigh != PCPHighAutoTuned {
				c.check(key, "pcphigh", int64(z.PCP.High), int64(cpu.high))
			}
			c.check(key, "pcphighmin", int64(z.PCP.HighMin), int64(cpu.highMin))
			c.check(key, "pcphighmax", int64(z.PCP.HighMax), int64(cpu.highMax))
			c.check(key, "threshold", int64(z.StatThreshold), int64(cpu.threshold))
		}
	}
	return c
}

// boostOver is the boost that a zone's recorded watermarks include. Kernels
// before 5.15 do not print it: then it is what min has too much, if that can be
// a boost (whole pageblocks, or 150% of the high watermark).
func (w *recordedZone) boostOver(z *ZoneConfig, pageblock Order) (boost int64, inferred bool) {
	if w.boost >= 0 {
		return w.boost, false
	}
	extra := w.min - int64(z.Watermark.Min)
	legal := extra&(1<<pageblock-1) == 0 || extra == int64(multFrac(z.Watermark.High, 15000, 10000))
	if extra > 0 && legal {
		return extra, true
	}
	return 0, false
}

// solve finds the managed pages of the grown zones at the time of the
// watermarks, all solutions of the first zone with one of the others. Without
// grown zones it compares as recorded.
func (row *bootRow) solve() (solutions []uint64, result comparison) {
	then := make([]uint64, len(row.grown))
	if len(then) == 0 {
		return nil, row.compare(nil)
	}
	result.wrong = []string{"no number of managed pages explains the zones"}
	row.search(then, 0, func() bool {
		c := row.compare(then)
		if c.unexpected(row.except) != "" || len(c.wrong) != len(row.except) {
			return false
		}
		result = c
		solutions = append(solutions, then[0])
		return true
	})
	return solutions, result
}

// search tries all numbers of managed pages that fit the recorded reserves, or
// up to 128 MiB less than now where no reserve tells (4 MiB in a second zone).
// One success is enough for each number of the first zone.
func (row *bootRow) search(then []uint64, i int, try func() bool) bool {
	if i == len(then) {
		return try()
	}
	z := &row.recorded[row.grown[i]]
	low, high := uint64(max(z.managed-32768>>(5*min(i, 1)), 0)), uint64(z.managed)
	if pages, ok := row.reserveOf(z); ok && !row.reserveNow {
		low, high = pages*256, min(pages*256+255, high)
	}
	for then[i] = low; then[i] <= high; then[i]++ {
		if row.search(then, i+1, try) && i > 0 {
			return true
		}
	}
	return false
}

// reserveOf is the reserve of the zone below against requests for a zone,
// which is 1/256 of its managed pages.
func (row *bootRow) reserveOf(z *recordedZone) (uint64, bool) {
	for i := range row.recorded {
		below := &row.recorded[i]
		at := slices.Index(row.params.ZoneTypes, z.typ)
		if below.node == z.node && below.typ+1 == z.typ && below.typ < ZoneNormal && at >= 0 {
			return below.reserve[at], true
		}
	}
	return 0, false
}

// TestBootLimitsOfRealMachines: the limits of every recorded zone are what the
// kernel's rules make of its size. The named exceptions must differ.
func TestBootLimitsOfRealMachines(t *testing.T) {
	var sum comparison
	rows := readBootRows(t)
	for _, row := range rows {
		solutions, c := row.solve()
		assert.ElementsMatch(t, row.except, c.wrong, "%s (%s)", row.name, row.why)
		if len(solutions) > 0 {
			z := &row.recorded[row.grown[0]]
			t.Logf("%s: %v managed %d to %d then, %d now", row.name, z, solutions[0], solutions[len(solutions)-1], z.managed)
		}
		sum.facts += c.facts
		sum.differing += c.differing
		sum.boosts += c.boosts
	}
	t.Logf("%d tables, %d facts, %d named exceptions, %d boosts inferred", len(rows), sum.facts, sum.differing, sum.boosts)
	assert.Equal(t, 77, len(rows))
	assert.Equal(t, comparison{facts: 2513, differing: 20, boosts: 3}, sum)
}

// TestInitMemoryOfOneImage: machines that booted the same kernel image with
// the same initial RAM disk freed the same number of pages after boot. So one
// number explains how far the zones of all of them have grown.
func TestInitMemoryOfOneImage(t *testing.T) {
	for prefix, want := range map[string][2]int64{
		"x86_64-6.1-": {2429, 2450},
		"overcommit-": {2602, 2617},
		"pi3-":        {2054, 2289},
	} {
		least, most := int64(0), int64(1<<40)
		for _, row := range readBootRows(t) {
			_, name, _ := strings.Cut(row.name, "/")
			if !strings.HasPrefix(name, prefix) || len(row.grown) != 1 {
				continue
			}
			solutions, _ := row.solve()
			now := row.recorded[row.grown[0]].managed
			least = max(least, now-int64(solutions[len(solutions)-1]))
			most = min(most, now-int64(solutions[0]))
		}
		assert.Equal(t, want, [2]int64{least, most}, prefix)
	}
}
