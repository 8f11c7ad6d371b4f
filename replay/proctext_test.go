package replay

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

const procTextDir = "testdata/proctext"

// procText gives a recorded file, or "" if the capture has none of the name.
func procText(t *testing.T, capture, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(procTextDir, capture, name+".gz"))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(text)
}

// restored makes the allocator of a recorded snapshot.
func restored(t *testing.T, capture, when string) *buddy.Allocator {
	t.Helper()
	s, err := trace.ReadSnapshot(strings.NewReader(procText(t, capture, when+".ksnap")), capture)
	require.NoError(t, err)
	var extra *trace.SnapshotExtra
	if text := procText(t, capture, when+".ksnap_extra"); text != "" {
		extra, err = trace.ReadSnapshotExtra(strings.NewReader(text), capture)
		require.NoError(t, err)
	}
	c, st, err := machineOf(s, extra, hasCMA(procText(t, capture, when+".pagetypeinfo")))
	require.NoError(t, err)
	// Snapshots give only the zones with memory; x86_64 kernels also have
	// ZONE_DEVICE.
	if strings.Contains(procText(t, capture, when+".zoneinfo"), "zone   Device") {
		c.ZoneTypes = append(c.ZoneTypes, buddy.ZoneDevice)
		for i := range c.Zones {
			r := c.Zones[i].LowmemReserve
			c.Zones[i].LowmemReserve = append(r, r[len(r)-1])
		}
	}
	p, err := buddy.ProfileForRelease(s.Kernel)
	require.NoError(t, err)
	a, err := buddy.New(c, p)
	require.NoError(t, err)
	require.NoError(t, a.Restore(st))
	return a
}

func eachSnapshot(t *testing.T, f func(t *testing.T, capture, when string, a *buddy.Allocator)) {
	dirs, err := filepath.Glob(procTextDir + "/*/before.ksnap.gz")
	require.NoError(t, err)
	require.Len(t, dirs, 13)
	for _, path := range dirs {
		capture := filepath.Base(filepath.Dir(path))
		for _, when := range []string{"before", "after"} {
			if procText(t, capture, when+".ksnap") == "" {
				continue
			}
			t.Run(capture+"/"+when, func(t *testing.T) { f(t, capture, when, restored(t, capture, when)) })
		}
	}
}

var (
	column = regexp.MustCompile(` *>?\d+`)
	number = regexp.MustCompile(`\d+`)
)

// columns hides right-aligned numbers, but not how wide they are.
func columns(text string) string {
	return column.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat("#", len(s)) })
}

// buddyinfo and pagetypeinfo of a restored snapshot look like the files that
// were read around it.
func TestListTextsLookLikeTheFiles(t *testing.T) {
	eachSnapshot(t, func(t *testing.T, capture, when string, a *buddy.Allocator) {
		assert.Empty(t, cmp.Diff(columns(procText(t, capture, when+".buddyinfo")), columns(a.Buddyinfo())))
		assert.Empty(t, cmp.Diff(columns(procText(t, capture, when+".pagetypeinfo")), columns(a.Pagetypeinfo())))
	})
}

// buddyinfo of a restored snapshot equals the file that was read in the same
// moment.
func TestBuddyinfoOfTheMoment(t *testing.T) {
	n := 0
	eachSnapshot(t, func(t *testing.T, capture, when string, a *buddy.Allocator) {
		want := procText(t, capture, when+".buddyinfo_traced")
		if want == "" {
			return
		}
		n++
		assert.Equal(t, want, strings.ReplaceAll(a.Buddyinfo(), " \n", "\n"))
	})
	assert.Equal(t, 10, n)
}

// Free blocks and pageblocks of a restored snapshot equal what pagetypeinfo
// shows where nothing allocated or freed between the two: those zones of which
// buddyinfo agrees with the snapshot, 33 of 45.
func TestPagetypeinfoOfQuietZones(t *testing.T) {
	quiet, all := 0, 0
	eachSnapshot(t, func(t *testing.T, capture, when string, a *buddy.Allocator) {
		file, ours := procText(t, capture, when+".buddyinfo"), a.Buddyinfo()
		fileTypes, types := zoneRows(procText(t, capture, when+".pagetypeinfo")), zoneRows(a.Pagetypeinfo())
		rows := zoneRows(file)
		for zone, row := range zoneRows(ours) {
			all++
			if !cmp.Equal(row, rows[zone]) || strings.HasPrefix(capture, "hw-") && zone != "Node 0 zone DMA" {
				// The real machine's snapshots don't tell pageblocks in holes
				// from unmovable ones.
				continue
			}
			if assert.Empty(t, cmp.Diff(fileTypes[zone], types[zone]), zone) {
				quiet++
			}
		}
	})
	assert.Equal(t, [2]int{33, 45}, [2]int{quiet, all})
}

var zoneRow = regexp.MustCompile(`^Node +(\d+), zone +(\w+)(.*)$`)

// zoneRows gives the rest of the lines about each zone.
func zoneRows(text string) map[string][]string {
	rows := map[string][]string{}
	for _, line := range strings.Split(text, "\n") {
		if m := zoneRow.FindStringSubmatch(line); m != nil {
			zone := "Node " + m[1] + " zone " + m[2]
			rows[zone] = append(rows[zone], m[3])
		}
	}
	return rows
}

// Lines of zoneinfo whose numbers do not change while a machine runs (the
// pressure captures' boost apart), by how they start.
var fixedLines = []string{
	"Node", "        min", "        low", "        high", "        promo", "        boost", "        spanned", "        present",
	"        managed", "        cma", "        protection:", "    cpu:", "              batch:", "              high_min:",
	"              high_max:", "  vm stats threshold:", "  node_unreclaimable:", "  start_pfn:",
}

// zoneinfo of a restored snapshot has the file's lines, and the same limits and
// sizes.
func TestZoneinfoLooksLikeTheFile(t *testing.T) {
	eachSnapshot(t, func(t *testing.T, capture, when string, a *buddy.Allocator) {
		fixed := fixedLines
		if a.Profile().Name == "6.1" {
			fixed = append([]string{"              high:"}, fixed...) // auto-tuned later on
		}
		want := strings.Split(procText(t, capture, when+".zoneinfo"), "\n")
		got := strings.Split(a.Zoneinfo(nil), "\n")
		require.Len(t, got, len(want))
		exact := 0
		for i := range want {
			assert.Equal(t, number.ReplaceAllString(want[i], "#"), number.ReplaceAllString(got[i], "#"), "line %d", i+1)
			for _, start := range fixed {
				if strings.HasPrefix(want[i], start) {
					exact++
					assert.Equal(t, want[i], got[i], "line %d", i+1)
					break
				}
			}
		}
		assert.Greater(t, exact, 20)
	})
}

// The free pages of zoneinfo are the kernel's counter at the moment of the
// snapshot, without what CPUs had not folded in.
func TestZoneinfoFreeIsTheCounter(t *testing.T) {
	eachSnapshot(t, func(t *testing.T, capture, when string, a *buddy.Allocator) {
		text := procText(t, capture, when+".ksnap_extra")
		if text == "" {
			return
		}
		x, err := trace.ReadSnapshotExtra(bytes.NewReader([]byte(text)), capture)
		require.NoError(t, err)
		require.Len(t, x.Zones, 1)
		info := a.Zoneinfo(nil)
		assert.Regexp(t, regexp.MustCompile(`(?m)^  pages free     `+strconv.FormatInt(x.Zones[0].NrFreePages, 10)+`$`), info)
		assert.Regexp(t, regexp.MustCompile(`(?m)^      nr_free_cma  `+strconv.FormatInt(x.Zones[0].NrFreeCMA, 10)+`$`), info)
	})
}
