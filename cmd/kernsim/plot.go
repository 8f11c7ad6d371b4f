package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/slab"
	"github.com/kernsim/kernsim/viz"
)

// plotFlags are the flags of the plot command.
type plotFlags struct {
	out        string
	metric     string
	strategies []string
	seeds      int
	samples    int
	scale      float64
	// Of the scheduler's graphs.
	from, until time.Duration
	kernel      string
	cpus        int
	seed        uint64
}

// plotKind is a kind of graph.
type plotKind struct {
	name, about string
	make        func(ctx context.Context, source string, f *plotFlags) (viz.Graph, error)
}

// recorded are the kinds that a replay's recorder draws.
func recorded(name, about string) plotKind {
	return plotKind{name, about, func(ctx context.Context, source string, f *plotFlags) (viz.Graph, error) {
		return plotRecorded(ctx, name, source, f)
	}}
}

func plotKinds() []plotKind {
	return append([]plotKind{
		recorded("free-blocks", "free blocks by order over time; SOURCE: a capture"),
		recorded("pcp", "pages on per-CPU lists over time; SOURCE: a capture"),
		recorded("map-before", "memory map with pageblock types before; SOURCE: a capture"),
		recorded("map-after", "memory map with pageblock types after; SOURCE: a capture"),
		recorded("unusable", "unusable free space index over time; SOURCE: a capture"),
		recorded("extfrag", "external fragmentation index over time; SOURCE: a capture"),
		recorded("list-lengths", "lengths of free lists by migrate type, and of per-CPU lists, over time; SOURCE: a capture"),
		recorded("zone-lock", "acquisitions of the zones' locks and work under them over time; SOURCE: a capture"),
		{"fragmentation", "free memory usable as huge pages over time, by strategy; SOURCE: a capture or workload", plotFragmentation},
		{"cost", "a metric (--metric) by strategy, with intervals; SOURCE: a capture or workload", plotCost},
		{"waste", "internal fragmentation by request size; SOURCE: a kernel version", plotWaste},
		{"slab-fill", "objects in use in the largest caches; SOURCE: a capture", plotSlabFill},
		{"contention", "how often a lock is taken, by tasks and CPUs; SOURCE: mutex, rt_mutex, semaphore or rwsem", plotContention},
	}, schedPlots()...)
}

func newPlotCommand() *cobra.Command {
	var f plotFlags
	kinds := plotKinds()
	var names, about []string
	for _, k := range kinds {
		names = append(names, k.name)
		about = append(about, fmt.Sprintf("  %-15s %s", k.name, k.about))
	}
	cmd := &cobra.Command{
		Use:   "plot [flags] KIND SOURCE",
		Short: "Draw one graph as SVG or PNG, or write its data as CSV",
		Long: `Draws a graph into a file; its ending says what is written: .svg, .png, or .csv for
the data that the graph shows. Kinds:

` + strings.Join(about, "\n") + `

A capture is a folder or the name of an embedded one (kernsim captures).`,
		Example: `  kernsim plot free-blocks x86_64-6.1-pages-256m -o free.svg
  kernsim plot fragmentation server --strategies linux-6.1,linux-6.1-notypes -o frag.png
  kernsim plot waste 6.1 -o waste.csv
  kernsim plot vruntime sched-cfs-nice-1cpu --until 500ms -o vruntime.svg
  kernsim plot latency examples/sched/desktop.json --kernel 6.1,6.12 -o latency.png`,
		Args:      cobra.ExactArgs(2),
		ValidArgs: names,
		RunE:      func(cmd *cobra.Command, args []string) error { return runPlot(cmd.Context(), args[0], args[1], f) },
	}
	cmd.Flags().StringVarP(&f.out, "output", "o", "", "file to write, ending in .svg, .png or .csv")
	cmd.Flags().StringVar(&f.metric, "metric", "locks", "cost: the metric's ID, as in compare.csv")
	cmd.Flags().StringSliceVar(&f.strategies, "strategies", nil, "fragmentation, cost: the strategies (default: some, all)")
	cmd.Flags().IntVar(&f.seeds, "seeds", bench.DefaultSeeds, "cost: how many streams of a generated workload")
	cmd.Flags().IntVar(&f.samples, "samples", 200, "how many moments are shown")
	cmd.Flags().DurationVar(&f.from, "from", 0, "scheduler graphs: where the graph begins, after the source's first event")
	cmd.Flags().DurationVar(&f.until, "until", 0, "scheduler graphs: where it ends (default the source's end; gantt: 200ms after the beginning)")
	cmd.Flags().StringVar(&f.kernel, "kernel", "6.1", "a workload's kernel: "+strings.Join(schedKernels(), ", ")+"; for latencies several with commas")
	cmd.Flags().IntVar(&f.cpus, "cpus", 1, "a workload's number of CPUs")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of a workload's random draws")
	cmd.Flags().Float64Var(&f.scale, "scale", 2, "PNG: pixels for each unit; a graph is 480 units wide")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func runPlot(ctx context.Context, name, source string, f plotFlags) error {
	kinds := plotKinds()
	i := slices.IndexFunc(kinds, func(k plotKind) bool { return k.name == name })
	ext := strings.ToLower(filepath.Ext(f.out))
	switch {
	case i < 0:
		return &usageError{fmt.Errorf("no kind %q of graph", name)}
	case ext != ".svg" && ext != ".png" && ext != ".csv":
		return &usageError{fmt.Errorf("%s: a graph is written as .svg, .png or .csv", f.out)}
	case f.from < 0 || f.until < 0:
		return &usageError{fmt.Errorf("--from and --until must not be negative")}
	case f.samples < 1 || f.seeds < 1 || !(f.scale > 0 && f.scale <= 20):
		return &usageError{fmt.Errorf("--samples and --seeds must be at least 1, --scale in 0 to 20")}
	}
	g, err := kinds[i].make(ctx, source, &f)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	switch ext {
	case ".svg":
		b.Write(g.SVG())
	case ".csv":
		b.Write(g.CSV())
	default:
		if err := viz.WritePNG(&b, g.SVG(), f.scale); err != nil {
			return err
		}
	}
	return os.WriteFile(f.out, b.Bytes(), 0o644)
}

// plotTarget finds the one capture that a name means.
func plotTarget(name, model string) (replay.Capture, error) {
	list, _, err := resolve(name, model)
	if err != nil {
		return replay.Capture{}, err
	}
	if len(list) != 1 {
		return replay.Capture{}, &usageError{fmt.Errorf("%s holds %d captures, one is drawn", name, len(list))}
	}
	return list[0].capture, nil
}

func plotRecorded(ctx context.Context, id, name string, f *plotFlags) (viz.Graph, error) {
	c, err := plotTarget(name, "pages")
	if err != nil {
		return nil, err
	}
	var rec viz.PageRecorder
	if _, err := replay.Pages(ctx, c, replay.Options{Samples: f.samples, Observe: rec.Observe}); err != nil {
		return nil, err
	}
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	for _, g := range rec.Graphs(source(c.Name, meta)) {
		if g.ID == id {
			return g.Graph, nil
		}
	}
	return nil, fmt.Errorf("%s: nothing was recorded", name)
}

// someStrategies are those that one graph shows if none are named.
var someStrategies = []string{"linux-6.1", "linux-6.18", "linux-6.1-notypes", "buddy", "tlsf", "llfree", "go"}

// plotComparison runs strategies on one source.
func plotComparison(ctx context.Context, source string, names []string, seeds int, f *plotFlags) (*bench.Comparison, error) {
	strategies, err := bench.Find(names...)
	if err != nil {
		return nil, &usageError{err}
	}
	flags := compareFlags{captures: []string{source}}
	if slices.ContainsFunc(bench.Mixes(), func(m bench.Mix) bool { return m.Name == source }) {
		flags = compareFlags{workloads: []string{source}}
	}
	workloads, err := compareWorkloads(ctx, flags)
	if err != nil {
		return nil, err
	}
	if len(workloads) != 1 {
		return nil, &usageError{fmt.Errorf("%s holds %d captures, one is drawn", source, len(workloads))}
	}
	all, err := bench.Compare(ctx, workloads, strategies, bench.CompareOptions{Seeds: seeds, Samples: f.samples})
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

func plotFragmentation(ctx context.Context, source string, f *plotFlags) (viz.Graph, error) {
	names := f.strategies
	if len(names) == 0 {
		names = someStrategies
	}
	c, err := plotComparison(ctx, source, names, 1, f)
	if err != nil {
		return nil, err
	}
	return fragmentationOverTime(c), nil
}

func plotCost(ctx context.Context, source string, f *plotFlags) (viz.Graph, error) {
	metrics := metricsByID([]string{f.metric})
	if len(metrics) == 0 {
		var ids []string
		for _, m := range bench.Metrics() {
			ids = append(ids, m.ID)
		}
		return nil, &usageError{fmt.Errorf("no metric %q; there are %s", f.metric, strings.Join(ids, ", "))}
	}
	names := f.strategies
	if len(names) == 0 {
		for _, s := range bench.Strategies() {
			names = append(names, s.Name)
		}
	}
	c, err := plotComparison(ctx, source, names, f.seeds, f)
	if err != nil {
		return nil, err
	}
	return metricIntervals(c, &metrics[0]), nil
}

// plotWaste shows what kmalloc and the page allocator waste inside of blocks:
// the sawtooth.
func plotWaste(_ context.Context, version string, _ *plotFlags) (viz.Graph, error) {
	return wasteBySize(version)
}

func wasteBySize(version string) (viz.Graph, error) {
	profiles := slab.Profiles()
	i := slices.IndexFunc(profiles, func(p slab.Profile) bool { return p.Name == version })
	if i < 0 {
		var names []string
		for _, p := range profiles {
			names = append(names, p.Name)
		}
		return nil, &usageError{fmt.Errorf("no kernel version %q; there are %s", version, strings.Join(names, ", "))}
	}
	config := slab.NewConfig(profiles[i], slab.X86_64, 1)
	a, err := slab.New(config, slab.NewLinearPages(config.Nodes, 1<<12))
	if err != nil {
		return nil, err
	}
	g := viz.Lines{Frame: viz.Frame{Title: "Internal fragmentation by request size",
		Source: "kmalloc of Linux " + version + " on x86_64, and whole pages · computed, no machine"},
		XLabel: "request size (bytes)", Y: viz.Axis{Label: "share of the block that is not used (%)", FromZero: true},
		Series: []viz.Series{{Name: "kmalloc"}, {Name: "whole pages (orders)"}}}
	const most = 4096
	for size := uint64(8); size <= most; size += 8 {
		block := a.KmallocSizeRoundup(size)
		pages := uint64(4096)
		for pages < size {
			pages *= 2
		}
		g.X = append(g.X, float64(size))
		g.Series[0].Y = append(g.Series[0].Y, 100*(1-float64(size)/float64(block)))
		g.Series[1].Y = append(g.Series[1].Y, 100*(1-float64(size)/float64(pages)))
	}
	return g, nil
}

// plotSlabFill shows the caches that take the most memory.
func plotSlabFill(_ context.Context, name string, _ *plotFlags) (viz.Graph, error) {
	c, err := plotTarget(name, "")
	if err != nil {
		return nil, err
	}
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	return slabFill(c, source(c.Name, meta))
}

func slabFill(c replay.Capture, source string) (viz.Graph, error) {
	r, full, err := c.Open("after.slabinfo")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rows, err := slab.ReadSlabinfo(io.Reader(r), full)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b slab.Slabinfo) int { return slabBytes(&b) - slabBytes(&a) })
	g := viz.Bars{Frame: viz.Frame{Title: "Objects in use in the largest slab caches", Source: source + " · after.slabinfo, in which free objects of CPU slabs count as in use"},
		ValueLabel: "objects in use"}
	for _, s := range rows[:min(len(rows), 20)] {
		g.Bars = append(g.Bars, viz.Bar{Name: s.Name, Done: int(s.ActiveObjs), Of: int(s.NumObjs)})
	}
	return g, nil
}

// slabBytes is the memory of a cache's slabs, in pages.
func slabBytes(s *slab.Slabinfo) int { return int(s.NumSlabs) * int(s.PagesPerSlab) }
