package buddy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestMemTotalAndTotalReserve: MemTotal is the sum of the managed pages, and
// MemAvailable is what remains of free and reclaimable pages after the total
// reserve (si_mem_available).
func TestMemTotalAndTotalReserve(t *testing.T) {
	exact := 0
	rows := readTSV(t, "testdata/meminfo.tsv")
	for _, row := range rows {
		pages := func(column string) int64 { return atoi(t, row[column]) / 4 }
		recorded, _ := parseZoneinfo(t, "testdata/zoneinfo/"+row["zoneinfo"]+".txt")
		zones, low, managed := recordedConfig(recorded), int64(0), int64(0)
		for i := range zones {
			low += int64(zones[i].Watermark.Low + zones[i].Boost)
			managed += int64(zones[i].Managed)
		}
		discount := func(n int64) int64 { return n - min(n/2, low) }
		available := pages("free") - int64(TotalReservePages(zones)) +
			discount(pages("activefile")+pages("inactivefile")) + discount(pages("reclaimable"))
		var wrong []string
		for _, fact := range []struct {
			column string
			got    int64
		}{{"total", managed}, {"available", available}} {
			if pages(fact.column) == fact.got {
				exact++
			} else {
				wrong = append(wrong, fact.column)
			}
		}
		assert.Equal(t, row["except"], strings.Join(wrong, ","), "%s (%s)", row["name"], row["why"])
	}
	assert.Equal(t, 56, exact)
}

// recordedConfig gives the populated zones as recorded.
func recordedConfig(recorded []recordedZone) (zones []ZoneConfig) {
	for _, w := range populated(recorded) {
		boost := max(w.boost, 0)
		zones = append(zones, ZoneConfig{
			Node: w.node, Type: w.typ, Present: uint64(w.present), Managed: uint64(w.managed),
			Watermark:     Watermarks{Min: uint64(w.min - boost), Low: uint64(w.low - boost), High: uint64(w.high - boost)},
			Boost:         uint64(boost),
			LowmemReserve: w.reserve,
		})
	}
	return zones
}
