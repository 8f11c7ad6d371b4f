package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
)

func TestCompareWritesWhatItSays(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := command("compare", "--capture", "pi3-kmem-slab", "--strategies", "linux-6.1,buddy,go", "-o", dir)
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, "linux-6.1 (exact)")
	assert.Contains(t, stdout, "Exact baseline: on 1 of 1 workloads the captured kernel's own strategy ran and ended with 26 of 26 of the kernel's lists.")
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	require.NoError(t, err)
	assert.NotContains(t, string(page), "src=\"http")
	text, err := os.ReadFile(filepath.Join(dir, "compare.json"))
	require.NoError(t, err)
	var all []struct {
		Workload   string
		Strategies []struct {
			Name  string
			Exact bool `json:"exact_baseline"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &all))
	require.Len(t, all, 1)
	require.Len(t, all[0].Strategies, 3)
	assert.True(t, all[0].Strategies[0].Exact)
	assert.False(t, all[0].Strategies[1].Exact)
	for _, name := range []string{"compare.csv", "samples.csv"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Greater(t, strings.Count(string(text), "pi3-kmem-slab"), 40, name)
	}
}

// The same command again, with another number of jobs, writes the same bytes.
func TestCompareIsDeterministic(t *testing.T) {
	var pages [2]string
	for i, jobs := range []string{"1", "2"} {
		dir := t.TempDir()
		code, _, stderr := command("compare", "--capture", "pi3-kmem-slab", "--jobs", jobs, "-o", dir)
		require.Equal(t, exitExact, code, stderr)
		for _, name := range []string{"index.html", "compare.csv", "samples.csv", "compare.json"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			pages[i] += string(text)
		}
	}
	assert.True(t, pages[0] == pages[1])
}

// Differences are seed by seed to the base that is asked for.
func TestCompareAgainst(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := command("compare", "--workload", "board", "--strategies", "linux-6.1,linux-6.1-nopcp", "--against", "linux-6.1-nopcp", "--seeds", "2", "--samples", "5", "-o", dir)
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, "Difference to linux-6.1-nopcp, median of the differences on the same 2 streams")
	var all []struct {
		Strategies []struct {
			Name    string
			Metrics []struct {
				ID      string
				Values  []float64
				Against *struct {
					Base    string
					Median  float64
					Differs bool
				}
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "compare.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	with, without := all[0].Strategies[0].Metrics, all[0].Strategies[1].Metrics
	for i, m := range with {
		require.Nil(t, without[i].Against, "the base is not compared with itself")
		require.NotNil(t, m.Against, m.ID)
		if m.ID != "locks" {
			continue
		}
		require.Equal(t, "linux-6.1-nopcp", m.Against.Base)
		require.True(t, m.Against.Differs)
		d := [2]float64{m.Values[0] - without[i].Values[0], m.Values[1] - without[i].Values[1]}
		require.Equal(t, d[0]+(d[1]-d[0])/2, m.Against.Median)
	}
	for cell, d := range map[string]bench.Summary{"=": {N: 2}, "-": {}, "+3": {N: 1, Median: 3, Lo: 3, Hi: 3}, "-3 ?": {N: 3, Median: -3, Lo: -4, Hi: 1}} {
		assert.Equal(t, cell, differenceCell(d))
	}
}

func TestCompareResume(t *testing.T) {
	dir := t.TempDir()
	var pages [2]map[string]string
	for i := range pages {
		out := filepath.Join(dir, strings.Repeat("x", i+1))
		code, _, stderr := command("compare", "--capture", "pi3-kmem-slab", "--strategies", "linux-6.1,tlsf", "--resume", filepath.Join(dir, "cache"), "-o", out)
		require.Equal(t, exitExact, code, stderr)
		pages[i] = files(t, out)
	}
	assert.True(t, len(pages[0]) == 4)
	assert.True(t, maps.Equal(pages[0], pages[1]), "the same bytes from the kept results")
	kept, err := os.ReadDir(filepath.Join(dir, "cache"))
	require.NoError(t, err)
	assert.Len(t, kept, 2)
}

func TestCompareTraces(t *testing.T) {
	dir := t.TempDir()
	malloc := filepath.Join(dir, "malloc.rep")
	require.NoError(t, os.WriteFile(malloc, []byte("a 0 5000\na 1 16\nf 0\n"), 0o644))
	capture := filepath.Join("..", "..", "captures", "data", "pi3-kmem-slab", "trace.txt.zst")
	code, stdout, stderr := command("compare", "--trace", malloc+","+capture, "--strategies", "linux-6.1,buddy", "-o", filepath.Join(dir, "out"))
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, "page requests of a malloc trace of 3 operations")
	assert.Contains(t, stdout, "page requests of a kernel's trace")
	assert.Contains(t, stdout, "No exact baseline")
	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(bad, []byte("what is this\n"), 0o644))
	for _, name := range []string{bad, filepath.Join(dir, "nothing")} {
		code, _, stderr = command("compare", "--trace", name, "-o", dir)
		assert.Equal(t, exitUnusable, code)
		assert.NotEmpty(t, stderr)
	}
}

func TestCompareTimes(t *testing.T) {
	code, stdout, stderr := command("compare", "--capture", "pi3-kmem-slab", "--strategies", "linux-6.1,go", "--time", "-o", t.TempDir())
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, "ns per call")
}

func TestCompareRefuses(t *testing.T) {
	for _, args := range [][]string{{"--strategies", "nonsense"}, {"--workload", "nonsense"}, {"--capture", "nonsense"}, {"--seeds", "0"}, {"--against", "nonsense"}, {"--strategies", "go", "--against", "buddy"}, {"extra"}} {
		code, _, stderr := command(append([]string{"compare", "-o", t.TempDir()}, args...)...)
		assert.Equal(t, exitUnusable, code, args)
		assert.NotEmpty(t, stderr)
	}
}

func TestPlotKinds(t *testing.T) {
	dir := t.TempDir()
	for _, k := range plotKinds() {
		source := "pi3-kmem-slab"
		switch k.name {
		case "waste":
			source = "6.1"
		case "vruntime", "runqueue", "gantt", "latency", "latency-cdf":
			source = "sched-cfs-nice-1cpu"
		case "pelt", "pelt-load":
			source = "sched-pelt-1cpu"
		case "lock-stat":
			source = filepath.Join("testdata", "lock_stat.txt")
		case "contention":
			source = "rt_mutex"
		}
		for _, ext := range []string{".svg", ".csv", ".png"} {
			file := filepath.Join(dir, k.name+ext)
			code, _, stderr := command("plot", k.name, source, "-o", file)
			require.Equal(t, exitExact, code, "%s: %s", k.name, stderr)
			f, err := os.Open(file)
			require.NoError(t, err)
			if ext == ".png" {
				img, err := png.Decode(f)
				require.NoError(t, err)
				assert.Equal(t, 960, img.Bounds().Dx())
			}
			info, err := f.Stat()
			require.NoError(t, err)
			assert.Greater(t, info.Size(), int64(200), file)
			require.NoError(t, f.Close())
		}
		if strings.Contains(" contention cost fragmentation gantt latency latency-cdf lock-stat slab-fill waste ", " "+k.name+" ") {
			plotGolden(t, k.name, filepath.Join(dir, k.name+".svg"))
		}
	}
}

// plotGolden compares a graph with its golden file. Package viz keeps those of the
// other kinds.
func plotGolden(t *testing.T, kind, file string) {
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	golden := filepath.Join("testdata", "plot", kind+".svg")
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o644))
		return
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got), "%s differs: run 'go test ./cmd/kernsim -run PlotKinds -update' and look at the graph", golden)
}

// A malloc trace that goes wrong is refused at its line, not taken for another kind
// of trace.
func TestCompareBadMallocTrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.rep")
	require.NoError(t, os.WriteFile(file, []byte("20000\na 1 100\na 2 x20\n"), 0o600))
	for _, args := range [][]string{{"--objects"}, {}} {
		code, _, stderr := command(append([]string{"compare", "--trace", file, "-o", t.TempDir()}, args...)...)
		assert.Equal(t, exitUnusable, code)
		assert.Contains(t, stderr, file+":3: ")
	}
}

// The scheduler's graphs of a workload: each kind, several kernels in one.
func TestPlotWorkload(t *testing.T) {
	dir := t.TempDir()
	workload := filepath.Join("..", "..", "examples", "sched", "desktop.json")
	for _, args := range [][]string{{"vruntime"}, {"runqueue", "--cpus", "2"}, {"pelt"}, {"pelt-load"}, {"gantt", "--from", "50ms"}, {"latency", "--kernel", "6.1,6.12"}, {"latency-cdf"}} {
		file := filepath.Join(dir, args[0]+".csv")
		code, _, stderr := command(append([]string{"plot", args[0], workload, "-o", file}, args[1:]...)...)
		require.Equal(t, exitExact, code, stderr)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Greater(t, strings.Count(string(text), "\n"), 10, args)
		if args[0] == "latency" {
			assert.True(t, strings.HasPrefix(string(text), "from,below,Linux 6.1,Linux 6.12\n"), args)
		}
	}
}

func TestPlotReadsCyclictest(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "hist.txt"), filepath.Join(dir, "hist.csv")
	require.NoError(t, os.WriteFile(in, []byte("# Histogram\n000000 000010\t000000\n000001 000001\t000004\n# Total: 000000011 000000004\n# Min Latencies: 00000 00001\n# Avg Latencies: 00000 00001\n# Max Latencies: 00001 00001\n# Histogram Overflows: 00000 00000\n"), 0o644))
	code, _, stderr := command("plot", "latency", in, "-o", out)
	require.Equal(t, exitExact, code, stderr)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, "from,below,thread 0,thread 1\n0,1,10,0\n1,2,1,4\n", string(text))
}

func TestPlotRefuses(t *testing.T) {
	for _, args := range [][]string{{"nonsense", "6.1", "-o", "x.svg"}, {"waste", "6.1", "-o", "x.gif"}, {"waste", "1.0", "-o", "x.svg"},
		{"waste", "6.1"}, {"pcp", "nonsense", "-o", "x.svg"}, {"cost", "pi3-kmem-slab", "--metric", "nonsense", "-o", "x.svg"}, {"waste", "6.1", "--scale", "0", "-o", "x.png"},
		{"pelt", "sched-cfs-nice-1cpu", "-o", "x.svg"}, {"vruntime", "testdata/lock_stat.txt", "-o", "x.svg"}, {"gantt", "testdata/lock_stat.txt", "-o", "x.svg"},
		{"latency", "testdata/lock_stat.txt", "-o", "x.svg"}, {"lock-stat", "compare.go", "-o", "x.svg"}, {"gantt", "sched-cfs-nice-1cpu", "--from", "-1s", "-o", "x.svg"},
		{"vruntime", "pi3-kmem-slab", "-o", "x.svg"}, {"vruntime", "../../examples/sched/desktop.json", "--kernel", "6.1,6.12", "-o", "x.svg"}} {
		code, _, _ := command(append([]string{"plot"}, args...)...)
		assert.Equal(t, exitUnusable, code, args)
	}
}

func TestCompareObjects(t *testing.T) {
	dir := t.TempDir()
	code, out, errs := runKernsim(t, "compare", "--objects", "--workload=network", "--capture=x86_64-6.1-slab-1cpu", "--strategies=slub-6.1,slob", "--seeds=2", "-o", dir)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "network: ")
	assert.Contains(t, out, "slob")
	assert.NotContains(t, out, "jemalloc")
	rows, err := os.ReadFile(filepath.Join(dir, "objects.csv"))
	require.NoError(t, err)
	assert.Equal(t, 1+2*2+2, strings.Count(string(rows), "\n"))
	svg, err := os.ReadFile(filepath.Join(dir, "held-network.svg"))
	require.NoError(t, err)
	assert.Contains(t, string(svg), "asked for")
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	require.NoError(t, err)
	assert.Equal(t, 4, strings.Count(string(page), "<figure>"))
	for _, part := range []string{"external fragmentation", "Fragmentation: network", "Memory held: x86_64-6.1-slab-1cpu", "2 seeds", "1 seed", "first fit", "2 allocators compared", "Mean waste by workload"} {
		assert.Contains(t, string(page), part)
	}
	none := filepath.Join(dir, "none.rep")
	require.NoError(t, os.WriteFile(none, []byte("f 1\nf 2\n"), 0o600))
	for _, args := range [][]string{{"--workload=none"}, {"--strategies=none"}, {"--seeds=0"}, {"--capture=nowhere"}, {"--trace=nowhere"}, {"--trace=" + none}, {"--trace=compare.go"}} {
		code, _, errs := runKernsim(t, append([]string{"compare", "--objects", "-o", dir}, args...)...)
		assert.Equal(t, 2, code, args)
		assert.NotEmpty(t, errs)
	}
}

// TestCompareObjectTraces: malloc traces and kernel traces of a user's own.
func TestCompareObjectTraces(t *testing.T) {
	dir := t.TempDir()
	malloc := filepath.Join(dir, "short.rep")
	require.NoError(t, os.WriteFile(malloc, []byte("20000\n3\n5\n1\na 0 2040\na 1 0\na 2 100000\nr 0 16\nf 1\nf 2\nf 9\n"), 0o600))
	kernel := filepath.Join(dir, "own.txt")
	require.NoError(t, os.WriteFile(kernel, []byte("  a-1 [000] d..2.  1.000000: kmalloc: call_site=f+0x1/0x2 ptr=ffff888000001000 bytes_req=100 bytes_alloc=128 gfp_flags=GFP_KERNEL node=-1 accounted=false\n"), 0o600))
	code, out, errs := runKernsim(t, "compare", "--objects", "--trace="+malloc, "--trace="+kernel, "--strategies=slub-6.1", "-o", dir)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "short: 4 requests")
	assert.Contains(t, out, "own: 1 requests")
	rows, err := os.ReadFile(filepath.Join(dir, "objects.csv"))
	require.NoError(t, err)
	// The most pages are held when the moved object has a slab of its size: 16 + 1 + 100,000 bytes; 16 in the end.
	assert.Contains(t, string(rows), "short,1,slub-6.1,4,0,155648,100017,24576,16,")
}
