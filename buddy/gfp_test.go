package buddy

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var gfpTables = map[string]*GFPTable{
	"5.4": GFPNames5_4, "6.1": GFPNames6_1, "6.12": GFPNames6_12, "6.18": GFPNames6_18,
}

// gfpVersions is gfpTables' order.
var gfpVersions = []string{"5.4", "6.1", "6.12", "6.18"}

// readTSV reads a table of testdata: lines of # are provenance, the first
// other line names the columns.
func readTSV(t testing.TB, path string) []map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var columns []string
	var rows []map[string]string
	for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if columns == nil {
			columns = cells
			continue
		}
		require.Len(t, cells, len(columns), "%s:%d", path, i+1)
		row := map[string]string{}
		for c, name := range columns {
			row[name] = cells[c]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestGFPTextsOfRealKernels(t *testing.T) {
	rows := readTSV(t, "testdata/gfp.tsv")
	require.Len(t, rows, 98)
	for _, row := range rows {
		table := gfpTables[row["table"]]
		require.NotNil(t, table)
		g, err := table.Parse(row["text"])
		require.NoError(t, err)
		printed := table.String(g)
		if row["form"] == "pGg" {
			printed = string(table.Append(nil, g))
		}
		assert.Equal(t, row["text"], printed, row["sources"])
		if row["number"] != "-" {
			n, err := strconv.ParseUint(row["number"], 0, 32)
			require.NoError(t, err)
			assert.Equal(t, uint32(n), table.Number(g), row["text"])
			assert.Equal(t, g, table.FromNumber(uint32(n)), row["text"])
		}
		assert.NoError(t, g.Check(), row["text"])
	}
}

// TestGFPPrintOrder has texts of combinations that no capture holds, worked
// out from the order in which the kernels try the names.
func TestGFPPrintOrder(t *testing.T) {
	all := GFPNames6_18.Known()
	tests := []struct {
		version string
		g       GFP
		want    string
	}{
		{"6.1", 0, "none"},
		{"6.1", GFPAtomic, "GFP_ATOMIC"},
		{"6.12", GFPAtomic, "GFP_ATOMIC"},
		{"6.1", GFPHigh | GFPKswapdReclaim, "GFP_NOWAIT|__GFP_HIGH"},
		{"6.12", GFPHigh | GFPKswapdReclaim, "GFP_ATOMIC"},
		{"6.1", GFPAtomicFlag, "__GFP_ATOMIC"},
		{"6.12", GFPAtomicFlag, "none"},
		{"6.1", GFPNowait, "GFP_NOWAIT"},
		{"6.12", GFPNowait, "__GFP_KSWAPD_RECLAIM"},
		{"6.12", GFPNowait | GFPNoWarn, "GFP_NOWAIT"},
		{"6.1", GFPKernelAccount | GFPHardwall, "GFP_USER|__GFP_ACCOUNT"},
		{"6.1", GFPTransHuge, "GFP_TRANSHUGE"},
		{"6.1", GFPTransHugeLight, "GFP_TRANSHUGE_LIGHT"},
		{"6.1", GFPTransHuge | GFPKswapdReclaim, "GFP_TRANSHUGE|GFP_NOWAIT"},
		{"6.1", GFPDirectReclaim, "__GFP_DIRECT_RECLAIM"},
		{"6.1", GFPDMA | GFPHighMem | GFPDMA32, "GFP_DMA|__GFP_HIGHMEM|GFP_DMA32"},
		{"6.18", GFPDMA | GFPHighMem | GFPDMA32, "GFP_DMA|GFP_DMA32|__GFP_HIGHMEM"},
		{"6.1", GFPNoObjExt, "none"},
		{"6.12", GFPNoObjExt | GFPZero, "__GFP_ZERO|0x1000000"},
		{"6.18", GFPNoObjExt | GFPZero, "__GFP_ZERO|__GFP_NO_OBJ_EXT"},
		{"5.4", GFPZeroTags, "none"},
		{"6.1", GFPZeroTags, "__GFP_ZEROTAGS"},
		{"6.1", GFPNames6_1.FromNumber(0x80000100), "__GFP_ZERO|0x80000000"},
		{"6.18", all, "GFP_TRANSHUGE|GFP_ATOMIC|GFP_DMA|GFP_DMA32|__GFP_RECLAIMABLE|__GFP_ZERO|" +
			"__GFP_WRITE|__GFP_RETRY_MAYFAIL|__GFP_NOFAIL|__GFP_NORETRY|__GFP_MEMALLOC|__GFP_THISNODE|" +
			"__GFP_ACCOUNT|__GFP_ZEROTAGS|__GFP_NO_OBJ_EXT"},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, gfpTables[test.version].String(test.g), "%s %#x", test.version, uint64(test.g))
	}
}

func TestGFPOptions(t *testing.T) {
	lockdep := NewGFPTable(GFP6_1, GFPOptions{Lockdep: true})
	assert.Equal(t, "GFP_KERNEL|0x8000000", lockdep.String(GFPKernel|GFPNoLockdep))
	lockdep = NewGFPTable(GFP6_18, GFPOptions{Lockdep: true, SlabObjExt: true})
	assert.Equal(t, uint32(0x1000000), lockdep.Number(GFPNoLockdep))
	assert.Equal(t, uint32(0x2000000), lockdep.Number(GFPNoObjExt))
	assert.Equal(t, "__GFP_NOLOCKDEP|__GFP_NO_OBJ_EXT", lockdep.String(GFPNoLockdep|GFPNoObjExt))
	assert.Equal(t, uint32(0x800000), NewGFPTable(GFP5_4, GFPOptions{Lockdep: true}).Number(GFPNoLockdep))

	tags := NewGFPTable(GFP6_1, GFPOptions{KASANHWTags: true})
	assert.Equal(t, uint32(0x6100cca), tags.Number(GFPHighUserMovable|GFPSkipKASAN))
	assert.Equal(t, "GFP_HIGHUSER_MOVABLE", tags.String(GFPHighUserMovable|GFPSkipKASAN))
	assert.Equal(t, "GFP_HIGHUSER|__GFP_MOVABLE", tags.String(GFPHighUserMovable))
	assert.Equal(t, "__GFP_SKIP_KASAN_POISON", tags.String(GFPSkipKASANPoison))
	tags = NewGFPTable(GFP6_12, GFPOptions{KASANHWTags: true})
	assert.Equal(t, uint32(0x2100cca), tags.Number(GFPHighUserMovable|GFPSkipKASAN))
}

// TestGFPNumbers6_1 pins the numbers to 6.1's, which the capture formats use.
func TestGFPNumbers6_1(t *testing.T) {
	for g, want := range map[GFP]uint32{
		GFPDMA: 0x1, GFPHighMem: 0x2, GFPDMA32: 0x4, GFPMovable: 0x8, GFPReclaimable: 0x10, GFPHigh: 0x20,
		GFPIO: 0x40, GFPFS: 0x80, GFPZero: 0x100, GFPAtomicFlag: 0x200, GFPDirectReclaim: 0x400,
		GFPKswapdReclaim: 0x800, GFPWrite: 0x1000, GFPNoWarn: 0x2000, GFPRetryMayFail: 0x4000, GFPNoFail: 0x8000,
		GFPNoRetry: 0x10000, GFPMemalloc: 0x20000, GFPComp: 0x40000, GFPNoMemalloc: 0x80000,
		GFPHardwall: 0x100000, GFPThisNode: 0x200000, GFPAccount: 0x400000, GFPZeroTags: 0x800000,
		GFPKernel: 0xcc0, GFPAtomic: 0xa20, GFPUser: 0x100cc0, GFPHighUserMovable: 0x100cca, GFPTransHuge: 0x1c24ca,
	} {
		assert.Equal(t, want, uint32(g), g.String())
		assert.Equal(t, want, GFPNames6_1.Number(g), g.String())
	}
}

// TestGFPRoundTrip: every set of flags that a kernel has, and every number,
// survives printing and reading.
func TestGFPRoundTrip(t *testing.T) {
	for _, version := range gfpVersions {
		table := gfpTables[version]
		rapid.Check(t, func(t *rapid.T) {
			n := rapid.Uint32().Draw(t, "n")
			g := table.FromNumber(n)
			if table.Number(g) != n {
				t.Fatalf("%s: %#x became %#x", version, n, table.Number(g))
			}
			back, err := table.Parse(table.String(g))
			if err != nil || back != g {
				t.Fatalf("%s: %v became %v, %v", version, table.String(g), back, err)
			}
		})
	}
}

// TestGFPPairsRoundTrip does the same for all pairs and triples of flags.
func TestGFPPairsRoundTrip(t *testing.T) {
	for _, version := range gfpVersions {
		table := gfpTables[version]
		for i := range 32 {
			for j := range 32 {
				for k := range 32 {
					g := table.FromNumber(1<<i | 1<<j | 1<<k)
					back, err := table.Parse(table.String(g))
					if err != nil || back != g {
						t.Fatalf("%s: %#x printed %s read as %#x, %v", version, uint64(g), table.String(g), uint64(back), err)
					}
				}
			}
		}
	}
}

func TestParseGFPErrors(t *testing.T) {
	for text, token := range map[string]string{
		"GFP_KERNAL":          "GFP_KERNAL",
		"GFP_KERNEL|":         "",
		"|":                   "",
		"GFP_KERNEL|none":     "none",
		"GFP_KERNEL,GFP_NOFS": "GFP_KERNEL,GFP_NOFS",
		"0x":                  "0x",
		"0x1ffffffff":         "0x1ffffffff",
		"cc0":                 "cc0",
	} {
		_, err := ParseGFP(text)
		var syntax *GFPSyntaxError
		if assert.ErrorAs(t, err, &syntax, text) {
			assert.Equal(t, token, syntax.Token)
			assert.Equal(t, text, syntax.Input)
		}
	}
}

func TestGFPReadsOtherKernelsFlags(t *testing.T) {
	g, err := GFPNames6_1.Parse(" GFP_KERNEL | __GFP_NO_OBJ_EXT|__GFP_SKIP_KASAN|0x100")
	require.NoError(t, err)
	assert.Equal(t, GFPKernel|GFPNoObjExt|GFPSkipKASAN|GFPZero, g)
	g, err = GFPNames6_12.Parse("GFP_ATOMIC")
	require.NoError(t, err)
	assert.Equal(t, GFPHigh|GFPKswapdReclaim, g)
	g, ok := GFPNames6_12.Composite("GFP_NOWAIT")
	assert.True(t, ok)
	assert.Equal(t, GFPNowait|GFPNoWarn, g)
}

func TestGFPMigrateType(t *testing.T) {
	assert.Equal(t, Unmovable, GFPKernel.MigrateType())
	assert.Equal(t, Movable, GFPHighUserMovable.MigrateType())
	assert.Equal(t, Reclaimable, (GFPKernel | GFPReclaimable).MigrateType())
	assert.Equal(t, HighAtomic, (GFPMovable | GFPReclaimable).MigrateType())
}

func TestGFPHighestZone(t *testing.T) {
	amd64 := []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice}
	i386 := []ZoneType{ZoneDMA, ZoneNormal, ZoneHighMem, ZoneMovable}
	bare := []ZoneType{ZoneNormal}
	tests := []struct {
		g                 GFP
		amd64, i386, bare ZoneType
	}{
		{GFPKernel, ZoneNormal, ZoneNormal, ZoneNormal},
		{GFPDMA, ZoneDMA, ZoneDMA, ZoneNormal},
		{GFPHighMem, ZoneNormal, ZoneHighMem, ZoneNormal},
		{GFPDMA32, ZoneDMA32, ZoneNormal, ZoneNormal},
		{GFPMovable, ZoneNormal, ZoneNormal, ZoneNormal},
		{GFPMovable | GFPDMA, ZoneDMA, ZoneDMA, ZoneNormal},
		{GFPMovable | GFPHighMem, ZoneMovable, ZoneMovable, ZoneNormal},
		{GFPMovable | GFPDMA32, ZoneDMA32, ZoneNormal, ZoneNormal},
	}
	for _, test := range tests {
		g := test.g | GFPKernel
		assert.Equal(t, test.amd64, g.HighestZone(amd64), g.String())
		assert.Equal(t, test.i386, g.HighestZone(i386), g.String())
		assert.Equal(t, test.bare, g.HighestZone(bare), g.String())
	}
}

func TestGFPCheck(t *testing.T) {
	zones := GFPDMA | GFPDMA32 | GFPHighMem
	for n := range GFP(32) {
		g := n | GFPNoFS
		selectors := 0
		for _, flag := range []GFP{GFPDMA, GFPDMA32, GFPHighMem} {
			if g.Any(flag) {
				selectors++
			}
		}
		err := g.Check()
		var combo *GFPComboError
		switch {
		case selectors > 1:
			require.ErrorAs(t, err, &combo, g.String())
			assert.Equal(t, g&zones, combo.Flags)
			assert.Contains(t, err.Error(), "gfp_zone")
		case g.Has(GFPMovable | GFPReclaimable):
			require.ErrorAs(t, err, &combo, g.String())
			assert.Equal(t, GFPMovable|GFPReclaimable, combo.Flags)
			assert.Contains(t, err.Error(), "gfp_migratetype")
		default:
			assert.NoError(t, err, g.String())
		}
	}
}

func TestGFPPredicates(t *testing.T) {
	assert.True(t, GFPNoIO.AllowBlocking())
	assert.False(t, GFPAtomic.AllowBlocking())
	assert.True(t, GFPAtomic.AllowSpinning())
	assert.False(t, GFPTransHugeLight.AllowSpinning())
	assert.True(t, GFPKernel.HasIOFS())
	assert.False(t, GFPNoFS.HasIOFS())
	assert.True(t, GFPNoFS.CompactionAllowed())
	assert.False(t, GFPNoIO.CompactionAllowed())
}

func FuzzParseGFP(f *testing.F) {
	for _, s := range []string{"", "none", "GFP_KERNEL|__GFP_ZERO", "GFP_NOWAIT|0x80000000", "0x", "|", "__GFP_DMA| 0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, version := range gfpVersions {
			table := gfpTables[version]
			g, err := table.Parse(s)
			if err != nil {
				continue
			}
			back, err := table.Parse(table.String(g))
			if err != nil || back != table.FromNumber(table.Number(g)) {
				t.Fatalf("%s: %q read as %#x, printed %q, read as %#x, %v", version, s, uint64(g), table.String(g), uint64(back), err)
			}
		}
	})
}

func BenchmarkParseGFP(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseGFP("GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleGFPTable_String() {
	flags := GFPAtomic | GFPNoWarn
	fmt.Println(GFPNames6_1.String(flags))
	fmt.Println(GFPNames6_12.String(flags | GFPComp))
	// Output:
	// GFP_ATOMIC|__GFP_NOWARN
	// GFP_ATOMIC|__GFP_NOWARN|__GFP_COMP
}

func ExampleParseGFP() {
	flags, err := ParseGFP("GFP_KERNEL|__GFP_ZERO")
	fmt.Println(flags == GFPKernel|GFPZero, flags.MigrateType(), err)
	_, err = ParseGFP("GFP_KERNEL|ZERO")
	fmt.Println(err)
	// Output:
	// true Unmovable <nil>
	// buddy: "ZERO" in "GFP_KERNEL|ZERO" is no GFP flag, want a name like GFP_KERNEL or __GFP_ZERO, or 0x and a number
}

func ExampleGFP_Check() {
	fmt.Println((GFPKernel | GFPDMA | GFPHighMem).Check())
	// Output:
	// buddy: flags GFP_DMA|__GFP_HIGHMEM of GFP_KERNEL|GFP_DMA|__GFP_HIGHMEM exclude each other (kernel BUG: gfp_zone)
}
