package buddy

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recordedZone is what a real kernel printed about a zone. Fields that the
// source does not print are -1 or empty.
type recordedZone struct {
	node                      NodeID
	typ                       ZoneType
	start                     int64
	spanned, present, managed int64
	// boost is part of min, low, high and promo.
	boost, min, low, high, promo int64
	reserve                      []uint64
	// cpus are the per-CPU lists' bounds, one a CPU (or only some of them).
	cpus []recordedPCP
}

type recordedPCP struct {
	high, batch, highMin, highMax, threshold int
}

func newRecordedZone() recordedZone {
	return recordedZone{start: -1, spanned: -1, present: -1, managed: -1, boost: -1, min: -1, low: -1, high: -1, promo: -1}
}

// readLines gives a testdata file's lines without the provenance.
func readLines(t testing.TB, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

func atoi(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	require.NoError(t, err)
	return n
}

func zoneType(t testing.TB, s string) ZoneType {
	t.Helper()
	typ, err := ParseZoneType(s)
	require.NoError(t, err)
	return typ
}

var (
	zoneinfoHead  = regexp.MustCompile(`^Node (\d+), zone +(\w+)$`)
	zoneinfoField = regexp.MustCompile(`^ +([a-z_ ]+?):? +(\d+)$`)
)

// parseZoneinfo reads /proc/zoneinfo. types are the zone types in the order of
// the file, which is the kernel's.
func parseZoneinfo(t testing.TB, path string) (zones []recordedZone, types []ZoneType) {
	t.Helper()
	for _, line := range readLines(t, path) {
		if m := zoneinfoHead.FindStringSubmatch(line); m != nil {
			z := newRecordedZone()
			z.node, z.typ = NodeID(atoi(t, m[1])), zoneType(t, m[2])
			zones = append(zones, z)
			continue
		}
		z := &zones[len(zones)-1]
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "protection: ("); ok {
			for _, s := range strings.Split(strings.TrimSuffix(list, ")"), ", ") {
				z.reserve = append(z.reserve, uint64(atoi(t, s)))
			}
			continue
		}
		if m := zoneinfoField.FindStringSubmatch(line); m != nil {
			z.setZoneinfo(m[1], atoi(t, m[2]), strings.HasPrefix(line, "              "))
		}
	}
	return zones, typesOf(zones, len(zones[0].reserve))
}

func (z *recordedZone) setZoneinfo(field string, n int64, ofCPU bool) {
	cpu := func() *recordedPCP { return &z.cpus[len(z.cpus)-1] }
	switch {
	case field == "cpu":
		z.cpus = append(z.cpus, recordedPCP{high: -1, batch: -1, highMin: -1, highMax: -1, threshold: -1})
	case field == "vm stats threshold":
		cpu().threshold = int(n)
	case field == "batch":
		cpu().batch = int(n)
	case field == "high_min":
		cpu().highMin = int(n)
	case field == "high_max":
		cpu().highMax = int(n)
	case field == "high" && ofCPU:
		cpu().high = int(n)
	case field == "start_pfn":
		z.start = n
	default:
		*z.field(field) = n
	}
}

// field is where a value of a zone goes; values of no interest go nowhere.
func (z *recordedZone) field(name string) *int64 {
	switch name {
	case "boost":
		return &z.boost
	case "min":
		return &z.min
	case "low":
		return &z.low
	case "high":
		return &z.high
	case "promo":
		return &z.promo
	case "spanned":
		return &z.spanned
	case "present":
		return &z.present
	case "managed":
		return &z.managed
	}
	return new(int64)
}

// typesOf are the first n zone types that appear. Files that name only
// populated zones are completed by the caller.
func typesOf(zones []recordedZone, n int) []ZoneType {
	var types []ZoneType
	for _, z := range zones {
		if len(types) < n && (len(types) == 0 || z.typ > types[len(types)-1]) {
			types = append(types, z.typ)
		}
	}
	return types
}

var (
	memInfoZone  = regexp.MustCompile(`^(?:Node (\d+) )?(\w+) free:`)
	memInfoField = regexp.MustCompile(`(\w+):(\d+)kB`)
)

// parseMemInfo reads the zones of one memory report after another.
func parseMemInfo(t testing.TB, path string, pageShift int) (reports [][]recordedZone) {
	t.Helper()
	for _, line := range readLines(t, path) {
		if line == "Mem-Info:" {
			reports = append(reports, nil)
			continue
		}
		last := &reports[len(reports)-1]
		if list, ok := strings.CutPrefix(line, "lowmem_reserve[]: "); ok {
			z := &(*last)[len(*last)-1]
			for _, s := range strings.Fields(list) {
				z.reserve = append(z.reserve, uint64(atoi(t, s)))
			}
			continue
		}
		m := memInfoZone.FindStringSubmatch(line)
		require.NotNil(t, m, line)
		z := newRecordedZone()
		z.typ = zoneType(t, m[2])
		if m[1] != "" {
			z.node = NodeID(atoi(t, m[1]))
		}
		for _, f := range memInfoField.FindAllStringSubmatch(line, -1) {
			*z.field(f[1]) = atoi(t, f[2]) >> (pageShift - 10)
		}
		*last = append(*last, z)
	}
	return reports
}

// parseKsnap reads the zone and pcp lines of a snapshot.
func parseKsnap(t testing.TB, path string) (zones []recordedZone) {
	t.Helper()
	for _, line := range readLines(t, path) {
		kind, rest, _ := strings.Cut(line, " ")
		if kind == "ksnap" {
			continue
		}
		values := map[string]string{}
		for _, f := range strings.Fields(rest) {
			name, value, _ := strings.Cut(f, "=")
			values[name] = value
		}
		number := func(name string) int {
			if values[name] == "" {
				return -1
			}
			return int(atoi(t, values[name]))
		}
		if kind == "pcp" {
			z := &zones[len(zones)-1]
			z.cpus = append(z.cpus, recordedPCP{number("high"), number("batch"), number("high_min"), number("high_max"), -1})
			continue
		}
		z := newRecordedZone()
		z.node, z.typ, z.start = NodeID(number("node")), zoneType(t, values["name"]), int64(number("start_pfn"))
		for _, name := range []string{"boost", "min", "low", "high", "promo", "spanned", "present", "managed"} {
			*z.field(name) = int64(number(name))
		}
		for _, s := range strings.Split(values["lowmem_reserve"], ",") {
			z.reserve = append(z.reserve, uint64(atoi(t, s)))
		}
		zones = append(zones, z)
	}
	return zones
}

// populated are the zones that have memory.
func populated(zones []recordedZone) []recordedZone {
	var with []recordedZone
	for _, z := range zones {
		if z.present > 0 {
			with = append(with, z)
		}
	}
	return with
}

func (z *recordedZone) String() string { return fmt.Sprintf("node %d %v", z.node, z.typ) }
