package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/sysfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/buddy"
)

// machine has two nodes and three zones, fragmented by some requests.
func machine(t *testing.T, p buddy.Profile) *buddy.Allocator {
	zone := func(n buddy.NodeID, typ buddy.ZoneType, start buddy.PFN, pages, min uint64, reserve ...uint64) buddy.ZoneConfig {
		return buddy.ZoneConfig{Node: n, Type: typ, StartPFN: start, Spanned: pages, Present: pages - 2, Managed: pages - 100,
			Watermark:     buddy.Watermarks{Min: min, Low: min * 5 / 4, High: min * 3 / 2, Promo: min * 7 / 4},
			LowmemReserve: reserve, PCP: buddy.PCPConfig{Batch: 7, High: 64, HighMin: 64, HighMax: 128}}
	}
	a, err := buddy.New(buddy.Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 2, CPUNode: []buddy.NodeID{0, 1},
		ZoneTypes: []buddy.ZoneType{buddy.ZoneDMA, buddy.ZoneDMA32, buddy.ZoneNormal, buddy.ZoneMovable},
		Zones: []buddy.ZoneConfig{
			zone(0, buddy.ZoneDMA, 0, 4096, 16, 0, 96, 97, 98),
			zone(0, buddy.ZoneDMA32, 4096, 24576, 120, 0, 0, 11, 12),
			zone(1, buddy.ZoneNormal, 28672, 32768, 160, 0, 0, 0, 0),
		}}, p)
	require.NoError(t, err)
	for i := range a.NumZones() {
		require.NoError(t, a.Release(a.Zone(i).StartPFN(), a.Zone(i).EndPFN()))
	}
	var got []buddy.PFN
	for i := range 300 {
		pfn, err := a.AllocPages(buddy.CPU(i%2), buddy.GFPKernel, buddy.Order(i%4))
		require.NoError(t, err)
		got = append(got, pfn)
	}
	for i, pfn := range got {
		if i%3 != 0 {
			require.NoError(t, a.Free(buddy.CPU(i%2), pfn, buddy.Order(i%4)))
		}
	}
	return a
}

// stats has another number in each counter.
func stats(a *buddy.Allocator) *buddy.MemStats {
	s := &buddy.MemStats{Node: make([][buddy.NumNodeStats]uint64, 2), Zone: make([][buddy.NumZoneStats]uint64, a.NumZones())}
	for n := range s.Node {
		for i := range s.Node[n] {
			s.Node[n][i] = uint64(512 * (1000*(n+1) + i)) // whole huge pages
		}
	}
	for z := range s.Zone {
		for i := range s.Zone[z] {
			s.Zone[z][i] = uint64(100*(z+1) + i)
		}
	}
	return s
}

func proc(t *testing.T, name, text string) procfs.FS {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	fs, err := procfs.NewFS(dir)
	require.NoError(t, err)
	return fs
}

func eachProfile(t *testing.T, f func(t *testing.T, a *buddy.Allocator)) {
	for _, p := range buddy.Profiles() {
		t.Run(p.Name, func(t *testing.T) { f(t, machine(t, p)) })
	}
}

func TestBuddyinfo(t *testing.T) {
	eachProfile(t, func(t *testing.T, a *buddy.Allocator) {
		info, err := proc(t, "buddyinfo", a.Buddyinfo()).BuddyInfo()
		require.NoError(t, err)
		require.Len(t, info, a.NumZones())
		for i, row := range info {
			z := a.Zone(i)
			want := procfs.BuddyInfo{Node: fmt.Sprint(z.Node()), Zone: z.Type().String()}
			for o := range buddy.Order(11) {
				want.Sizes = append(want.Sizes, float64(z.FreeBlocks(o)))
			}
			assert.Equal(t, want, row)
		}
	})
}

func TestZoneinfo(t *testing.T) {
	eachProfile(t, func(t *testing.T, a *buddy.Allocator) {
		s := stats(a)
		info, err := proc(t, "zoneinfo", a.Zoneinfo(s)).Zoneinfo()
		require.NoError(t, err)
		require.Len(t, info, 8, "two nodes of four zone types")
		next := 0
		for _, row := range info {
			if *row.Present == 0 {
				assert.Nil(t, row.NrFreePages)
				continue
			}
			z := a.Zone(next)
			w, numa := z.Watermarks(), z.Stats()
			assert.Equal(t, fmt.Sprint(z.Node()), row.Node)
			assert.Equal(t, z.Type().String(), row.Zone)
			for name, v := range map[string]struct {
				want uint64
				got  *int64
			}{
				"free": {z.FreePages(), row.NrFreePages}, "min": {w.Min + z.WatermarkBoost(), row.Min},
				"low": {w.Low + z.WatermarkBoost(), row.Low}, "high": {w.High + z.WatermarkBoost(), row.High},
				"spanned": {z.Spanned(), row.Spanned}, "present": {z.Present(), row.Present}, "managed": {z.Managed(), row.Managed},
				"hit": {numa.NUMAHit, row.NumaHit}, "miss": {numa.NUMAMiss, row.NumaMiss}, "foreign": {numa.NUMAForeign, row.NumaForeign},
				"local": {numa.NUMALocal, row.NumaLocal}, "other": {numa.NUMAOther, row.NumaOther},
				"interleave": {s.Zone[next][buddy.NUMAInterleave], row.NumaInterleave},
			} {
				require.NotNil(t, v.got, name)
				assert.Equal(t, int64(v.want), *v.got, name)
			}
			require.Len(t, row.Protection, len(z.LowmemReserve()))
			for i, want := range z.LowmemReserve() {
				assert.Equal(t, int64(want), *row.Protection[i])
			}
			first := next != 1 // DMA32 is its node's second zone
			require.Equal(t, first, row.NrActiveAnon != nil)
			if first {
				node := &s.Node[z.Node()]
				assert.Equal(t, int64(node[buddy.NRActiveAnon]), *row.NrActiveAnon)
				assert.Equal(t, int64(node[buddy.NRSlabReclaimable]), *row.NrSlabReclaimable)
				assert.Equal(t, int64(node[buddy.NRAnonHugePages]/512), *row.NrAnonTransparentHugepages)
				assert.Equal(t, int64(node[buddy.NRWritten]), *row.NrWritten)
			}
			next++
		}
		assert.Equal(t, a.NumZones(), next)
	})
}

// procfs reads the rows of vmstat from the node's file, which has the same ones.
func TestVMStat(t *testing.T) {
	eachProfile(t, func(t *testing.T, a *buddy.Allocator) {
		s := stats(a)
		dir := t.TempDir()
		node := filepath.Join(dir, "devices/system/node/node0")
		require.NoError(t, os.MkdirAll(node, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(node, "vmstat"), []byte(a.VMStat(s)), 0o644))
		fs, err := sysfs.NewFS(dir)
		require.NoError(t, err)
		read, err := fs.VMStatNUMA()
		require.NoError(t, err)
		require.Len(t, read, 1)
		fields := reflect.ValueOf(read[0])
		checked := 0
		check := func(row string, want uint64) {
			f := fields.FieldByName(fieldName(row))
			if f.IsValid() { // procfs does not know all rows
				assert.Equal(t, want, f.Uint(), row)
				checked++
			}
		}
		format := a.ProcFormat()
		for _, row := range format.NodeRows {
			want := s.Node[0][row] + s.Node[1][row]
			switch row {
			case buddy.NRAnonHugePages, buddy.NRFileHugePages, buddy.NRFilePMDMapped, buddy.NRShmemHugePages, buddy.NRShmemPMDMapped:
				want /= 512
			}
			check(row.String(), want)
		}
		for _, row := range format.ZoneRows {
			if !row.Known() {
				check(row.String(), s.Zone[0][row]+s.Zone[1][row]+s.Zone[2][row])
			}
		}
		hit, free := uint64(0), uint64(0)
		for i := range a.NumZones() {
			hit += a.Zone(i).Stats().NUMAHit
			free += a.Zone(i).FreePages()
		}
		check("numa_hit", hit)
		check("nr_free_pages", free)
		assert.Greater(t, checked, 40)
	})
}

// fieldName is procfs's name for a row: nr_free_cma is NrFreeCma.
func fieldName(row string) string {
	var b strings.Builder
	for _, word := range strings.Split(row, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
