package viz

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with testdata/name, or rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run 'go test ./viz -update' and look at the graph")
	assert.True(t, bytes.Equal(want, got), "%s differs: run 'go test ./viz -update' and look at the graph", name)
}

// wellFormed parses an SVG as XML.
func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

func testFrame(title string) Frame {
	return Frame{Title: title, Source: "made-up numbers · no kernel · seed 1 <&>"}
}

// graphs has one of each kind.
func graphs() map[string]interface{ SVG() []byte } {
	x := []float64{0, 1, 2, 3, 4}
	return map[string]interface{ SVG() []byte }{
		"lines.svg": Lines{Frame: testFrame("Three lines"), XLabel: "time (s)", X: x, Y: Axis{Label: "pages", FromZero: true},
			Series: []Series{{"first", []float64{10, 2000, 1500, 30, 7}}, {"with a gap", []float64{100, math.NaN(), 300, 200, 100}}, {"flat", []float64{5, 5, 5, 5, 5}}}},
		"lines-same.svg": Lines{Frame: testFrame("Lines on top of each other"), XLabel: "time (s)", X: x, Y: Axis{Label: "pages", FromZero: true},
			Series: []Series{{"under", []float64{0, 10, 20, 30, 40}}, {"between", []float64{0, 10, 20, 30, 40}}, {"over", []float64{0, 10, 20, 30, 20}}}},
		"columns.svg": Columns{Frame: testFrame("Free blocks by order"), XLabel: "order", Names: []string{"0", "1", "2", "3"}, Y: Axis{Label: "free blocks"},
			Series: []Series{{"before", []float64{12, 4, 0, 1}}, {"after", []float64{3, math.NaN(), 7}}}},
		"columns-signed.svg": Columns{Frame: testFrame("Columns below zero"), XLabel: "strategy with a long name", Names: []string{"a name that is long", "another that is long", "short"},
			Y: Axis{Label: "difference (%)"}, Series: []Series{{"seed 1", []float64{-30, 12, 0.5}}}},
		"columns-many.svg": Columns{Frame: testFrame("Many columns"), XLabel: "CPU", Names: numbered(120), Y: Axis{Label: "load"},
			Series: []Series{{"load", latencies(120)}}},
		"rows.svg": Rows{Frame: testFrame("Rows"), XLabel: "time (s)", X: x, RowsLabel: "order (size)", ValueLabel: "blocks, min–max",
			Rows: []Row{{"0 (4 KiB)", []float64{1, 2, 3, 4, 1234}, 0}, {"1 (8 KiB)", []float64{0, 0, 0, 0, 0}, 0.5}, {"10 (4 MiB)", []float64{7, 7, 7, 6, 7}, 1}}},
		"heat.svg": Heat{Frame: testFrame("Heat"), XLabel: "time (s)", X: x, RowsLabel: "order", Low: "lack of memory", High: "fragmentation", None: "would succeed",
			Rows: []HeatRow{{"1", []float64{0, 0.25, 0.5, 0.75, 1}}, {"0", []float64{math.NaN(), math.NaN(), 1, 1, math.NaN()}}}},
		"blockmap.svg": BlockMap{Frame: testFrame("Memory map"), PageKB: 4, Zones: []ZoneMap{
			{Type: buddy.ZoneDMA, BlockPages: 512, Managed: 3840, Blocks: typesAndUses(8)},
			{Type: buddy.ZoneNormal, First: 1 << 20, BlockPages: 512, Managed: 1 << 20, Blocks: typesAndUses(1500)}}},
		"intervals.svg": Intervals{Frame: testFrame("A cost by strategy"), Value: Axis{Label: "locks (per 1,000 calls)", FromZero: true},
			Rows: []Interval{{"baseline", 120, 110, 135, true}, {"wide", 400, 150, 900, false}, {"a point", 5, 5, 5, false}, {"none", math.NaN(), math.NaN(), math.NaN(), false}}},
		"lines-log.svg": Lines{Frame: testFrame("Steps on logarithmic axes"), XLabel: "size (bytes)", X: []float64{8, 100, 3000, 40000}, LogX: true, Steps: true, Y: Axis{Label: "cost (ns)", Log: true},
			Series: []Series{{"rises", []float64{3, 20, 400, 90000}}, {"zero and a gap", []float64{0, 5, math.NaN(), 7}}}},
		"histogram.svg": Histogram{Frame: testFrame("cyclictest's histogram"), XLabel: "latency (µs)", Unit: "µs", Samples: []Samples{
			{"thread 0", []float64{2, 3, 4, 9, 80}, []uint64{100, 50000, 2000, 7, 1}}, {"thread 1", []float64{3, 5, 30}, []uint64{40000, 900, 20}}, {Name: "thread 2"}}},
		"histogram-log.svg": Histogram{Frame: testFrame("Latencies"), XLabel: "latency (µs)", Unit: "µs", LogX: true, Samples: []Samples{
			SamplesOf("all tasks", latencyValues(2000), 1000)}},
		"cdf.svg": CDF{Frame: testFrame("Tail of latencies"), XLabel: "latency (µs)", Unit: "µs", Samples: []Samples{
			SamplesOf("many", latencyValues(2000), 1000), SamplesOf("few", latencyValues(60), 500)}},
		"contention.svg": Contention{Frame: testFrame("Locks"), Locks: []LockTimes{
			{"&mm->mmap_lock-W", Times{214, 0.4, 411.78, 12034.1, 88120.3}, Times{51000, 0.1, 24.2, 22031, 1234567}},
			{"a class with quite a long name/1", Times{}, Times{2, 1, 2, 3, 4}}, {"waited only", Times{1, 2, 2, 2, 2}, Times{}}}},
		"gantt.svg": testGantt(),
		"bars.svg": Bars{Frame: testFrame("Shares"), ValueLabel: "exact",
			Bars: []Bar{{"all", 12345, 12345}, {"all but one", 12344, 12345}, {"half", 5, 10}, {"none of some", 0, 10}, {"none at all", 0, 0}}},
	}
}

// numbered are names of n categories.
func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("cpu", i)
	}
	return out
}

func latencies(n int) []float64 {
	out := make([]float64, n)
	for i, v := range latencyValues(n) {
		out[i] = float64(v)
	}
	return out
}

// latencyValues are from 0 to about a second, in ns, most of them short.
func latencyValues(n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i*i%977) * uint64(1+i%7*i%11*i%13*900)
	}
	return out
}

// testGantt is of a trace: three tasks on two CPUs, one of which runs from the
// beginning and one to the end.
func testGantt() *Gantt {
	g := NewTraceGantt(1e6, 9e6)
	g.Frame = testFrame("Which task ran when")
	wake := func(us uint64, pid int32, comm string) {
		g.WatchTrace(&trace.Event{Kind: trace.KindSchedWakeup, Time: us * 1000, Sched: trace.Sched{PID: pid, Comm: comm}})
	}
	run := func(us uint64, cpu int32, prev int32, state, comm string, next int32, nextComm string) {
		g.WatchTrace(&trace.Event{Kind: trace.KindSchedSwitch, CPU: cpu, Time: us * 1000,
			Switch: trace.Switch{PrevPID: prev, PrevComm: comm, PrevState: state, NextPID: next, NextComm: nextComm}})
	}
	wake(5000, 7, "worker")
	run(6500, 1, 0, "R", "swapper/1", 7, "worker")
	wake(7000, 9, "a task with a long name that is cut")
	run(8000, 0, 4, "R+", "hog", 9, "a task with a long name that is cut")
	run(9500, 0, 9, "S", "a task with a long name that is cut", 4, "hog")
	run(10000, 1, 7, "S", "worker", 0, "swapper/1")
	run(13900, 0, 4, "S", "hog", 0, "swapper/0")
	wake(14200, 4, "hog")
	return g
}

// typesAndUses makes blocks of all types and degrees of use.
func typesAndUses(n int) []Block {
	blocks := make([]Block, n)
	for i := range blocks {
		blocks[i] = Block{Type: buddy.MigrateType(i / 7 % buddy.NumMigrateTypes), Pages: 512, Free: uint64(i * 73 % 513)}
	}
	return blocks
}

func TestGraphsGolden(t *testing.T) {
	for name, g := range graphs() {
		t.Run(name, func(t *testing.T) {
			svg := g.SVG()
			wellFormed(t, svg)
			assert.Contains(t, string(svg), "seed 1 &lt;&amp;&gt;", "the source line is missing")
			golden(t, name, svg)
		})
	}
}

func TestEmptyGraphsAreWellFormed(t *testing.T) {
	for _, g := range []interface{ SVG() []byte }{Lines{}, Rows{}, Heat{}, BlockMap{}, Bars{}, Rows{Rows: []Row{{}}}, Heat{Rows: []HeatRow{{}}},
		Lines{LogX: true, Y: Axis{Log: true}}, Histogram{}, Histogram{LogX: true, Samples: []Samples{{}}}, CDF{}, CDF{Samples: []Samples{{}}},
		Contention{}, Contention{Locks: []LockTimes{{}}}, Intervals{}, NewTraceGantt(0, 0), NewTraceGantt(5, 5)} {
		svg := g.SVG()
		wellFormed(t, svg)
		assert.NotContains(t, string(svg), "NaN")
		assert.NotContains(t, string(svg), "Inf")
	}
}

func TestLinesNamesWhatItLeavesOut(t *testing.T) {
	g := Lines{X: []float64{0, 1}}
	for range maxSeries + 3 {
		g.Series = append(g.Series, Series{Name: "s", Y: []float64{0, 1}})
	}
	assert.Contains(t, string(g.SVG()), "and 3 more, not shown")
}

func TestPageGolden(t *testing.T) {
	p := &Page{Title: "A report <1>", Lead: []string{"What it is."}, Good: true, Verdict: "All well.",
		Table: Table{Caption: "Results", Columns: []Column{{"capture", false}, {"exact", true}},
			Rows: []TableRow{{Cells: []string{"one", "1 of 1"}, Link: "one"}, {Cells: []string{"two", "0 of 1"}, Mark: true}}},
		Figures: []Figure{{"bars", "How much.", graphs()["bars.svg"].SVG()}},
		Sections: []Section{{ID: "one", Title: "one", Text: []string{"Text."}, Facts: []Fact{{"kernel", "6.1"}},
			Tables: []Table{{Caption: "Differences", Columns: []Column{{"strategy", false}, {"locks", true}}, Rows: []TableRow{{Cells: []string{"buddy", "+3"}}}}}, Figures: []Figure{{"bars", "", graphs()["bars.svg"].SVG()}}}},
		Notes: []string{"A note."}, Made: "Made by a test."}
	var b bytes.Buffer
	require.NoError(t, p.WriteHTML(&b))
	assert.NotRegexp(t, `(src|href)="?(https?:)?//`, b.String(), "the page asks the network")
	golden(t, "page.html", b.Bytes())
}

func TestTicksCoverTheData(t *testing.T) {
	for _, tc := range []struct {
		lo, hi float64
		want   int
		values []float64
	}{
		{0, 10, 5, []float64{0, 2, 4, 6, 8, 10}},
		{0, 9.1, 5, []float64{0, 2, 4, 6, 8, 10}},
		{-3, 12, 3, []float64{-5, 0, 5, 10, 15}},
		{5, 5, 2, []float64{5, 5.5, 6}},
	} {
		got, _ := ticks(tc.lo, tc.hi, tc.want)
		assert.Equal(t, tc.values, got, "%v to %v", tc.lo, tc.hi)
	}
}

func TestTickLabels(t *testing.T) {
	assert.Equal(t, "0.5", tickLabel(0.5, 0.5))
	assert.Equal(t, "0.05", tickLabel(0.05, 0.05))
	assert.Equal(t, "1,500", tickLabel(1500, 500))
	assert.Equal(t, "-1,234.5", group("-1234.5"))
	assert.Equal(t, "123", Count(123))
	assert.Equal(t, "1,234,567", Count(1234567))
}

func TestTimeAxisUnits(t *testing.T) {
	for _, tc := range []struct {
		span uint64
		unit string
		last float64
	}{{1000, "µs", 1}, {5e6, "ms", 5}, {3e9, "s", 3}} {
		x, label := timeAxis([]uint64{7e9, 7e9 + tc.span})
		assert.Equal(t, []float64{0, tc.last}, x)
		assert.True(t, strings.HasSuffix(label, "("+tc.unit+")"), label)
	}
}

func TestViridisEnds(t *testing.T) {
	assert.Equal(t, "#440154", viridis(-1))
	assert.Equal(t, "#440154", viridis(0))
	assert.Equal(t, "#fde725", viridis(1))
	assert.Equal(t, "#fde725", viridis(2))
}

func TestStrengthTellsFreeAndFullApart(t *testing.T) {
	assert.Equal(t, 0, Block{Pages: 512, Free: 512}.strength())
	assert.Equal(t, strengths, Block{Pages: 512}.strength())
	assert.Equal(t, 1, Block{Pages: 512, Free: 511}.strength())
	assert.Equal(t, strengths-1, Block{Pages: 512, Free: 1}.strength())
}

func TestMergedKeepsPages(t *testing.T) {
	got := merged([]Block{{buddy.Movable, 512, 1}, {buddy.Movable, 512, 2}, {buddy.Unmovable, 512, 3}, {buddy.CMA, 100, 4}}, 3)
	assert.Equal(t, []Block{{buddy.Movable, 1536, 6}, {buddy.CMA, 100, 4}}, got)
}
