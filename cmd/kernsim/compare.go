package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/trace"
	"github.com/kernsim/kernsim/viz"
)

// compareFlags are the flags of the compare command.
type compareFlags struct {
	captures, workloads, strategies []string
	traces                          []string
	seeds, jobs, samples            int
	dir, against, resume            string
	time, objects                   bool
}

func newCompareCommand() *cobra.Command {
	var f compareFlags
	var names []string
	for _, s := range bench.Strategies() {
		names = append(names, s.Name)
	}
	var mixes []string
	for _, m := range bench.Mixes() {
		mixes = append(mixes, m.Name)
	}
	cmd := &cobra.Command{
		Use:   "compare [flags]",
		Short: "Ask what other allocation strategies would have done with the same requests",
		Long: `Gives the requests of captures, or of a generated workload, to several page
allocation strategies and compares fragmentation over time, failures, and work.
A capture's own kernel is among them: its lists at the end have to be the captured
ones, element by element (the exact baseline).

Writes to the output folder index.html (one file that needs no network),
compare.csv and samples.csv (all metrics, and along time), compare.json.

Strategies: ` + strings.Join(names, ", ") + `.
Workloads: ` + strings.Join(mixes, ", ") + `.

With --objects the requests are those for objects (kmalloc, caches), and the
allocators Linux's SLUB, SLAB and SLOB, and those of Go, jemalloc and tcmalloc:
pages held, waste, locks. It writes index.html, objects.csv, objects.json and graphs of
the pages held.
Allocators: ` + strings.Join(objectAllocators(), ", ") + `.
Workloads: ` + strings.Join(objectMixes(), ", ") + `.

A strategy that gives out a page twice or loses one is named, and nothing is
compared (exit code 1). Exit code 1 also if a baseline is not exact.`,
		Example: `  kernsim compare
  kernsim compare --capture x86_64-6.1-pages-256m --strategies linux-6.1,linux-6.1-nopcp
  kernsim compare --workload server --seeds 10 -o /tmp/server
  kernsim compare --trace trace.txt --strategies linux-6.1,llfree,buddy
  kernsim compare --objects --workload small --strategies slub-6.1,slob,jemalloc`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.objects {
				return runCompareObjects(cmd, &f)
			}
			return runCompare(cmd, f)
		},
	}
	cmd.Flags().StringSliceVar(&f.captures, "capture", nil, "names or folders of captures; all embedded ones if none of these, --workload and --trace is given")
	cmd.Flags().StringSliceVar(&f.workloads, "workload", nil, "generated workloads, or all")
	cmd.Flags().StringSliceVar(&f.traces, "trace", nil, "recorded requests: kernel trace text with mm_page_alloc and mm_page_free (--objects: kmalloc, kmem_cache_alloc and their frees), LLFree's page traces (of pages only), malloc traces (the malloc lab's, mtrace)")
	cmd.Flags().StringSliceVar(&f.strategies, "strategies", nil, "strategies to compare (default all)")
	cmd.Flags().BoolVar(&f.objects, "objects", false, "compare object allocators instead of page allocators")
	cmd.Flags().IntVar(&f.seeds, "seeds", bench.DefaultSeeds, "how many streams of a generated workload")
	cmd.Flags().IntVar(&f.jobs, "jobs", 0, "how many runs at a time (default one for each core)")
	cmd.Flags().IntVar(&f.samples, "samples", 100, "how many moments of each run are looked at")
	cmd.Flags().StringVar(&f.against, "against", "", "strategy that differences are to (default the captured kernel's own, or else the first)")
	cmd.Flags().StringVar(&f.resume, "resume", "", "folder that keeps the results of finished runs: a comparison that was interrupted goes on there, one that is repeated is done at once")
	cmd.Flags().BoolVar(&f.time, "time", false, "measure also what each strategy costs in ns a call, one after the other")
	cmd.Flags().StringVarP(&f.dir, "output", "o", "kernsim-compare", "folder to write to; files of an earlier comparison are replaced")
	return cmd
}

func runCompare(cmd *cobra.Command, f compareFlags) error {
	strategies := bench.Strategies()
	if len(f.strategies) > 0 {
		var err error
		if strategies, err = bench.Find(f.strategies...); err != nil {
			return &usageError{err}
		}
	}
	if f.against != "" && !slices.ContainsFunc(strategies, func(s bench.Named) bool { return s.Name == f.against }) {
		return &usageError{fmt.Errorf("--against: %q is not among the strategies compared", f.against)}
	}
	if f.seeds < 1 || f.samples < 1 {
		return &usageError{errors.New("--seeds and --samples must be at least 1")}
	}
	workloads, err := compareWorkloads(cmd.Context(), f)
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "comparing", 1)
	o := bench.CompareOptions{Seeds: f.seeds, Jobs: f.jobs, Samples: f.samples, Progress: func(share float64) { bar.set(0, share) }}
	if f.resume != "" {
		if o.Cache, err = resultCache(f.resume); err != nil {
			return &inputError{err}
		}
	}
	all, err := bench.Compare(cmd.Context(), workloads, strategies, o)
	bar.finish()
	if err != nil {
		var wrong *bench.StrategyError
		if errors.As(err, &wrong) {
			fmt.Fprintln(cmd.ErrOrStderr(), err)
			return errDifferent
		}
		return err
	}
	if err := writeComparison(f.dir, all, f.against); err != nil {
		return err
	}
	if f.time {
		if err := printTimes(cmd.Context(), cmd.OutOrStdout(), workloads, strategies); err != nil {
			return err
		}
	}
	return printComparison(cmd.OutOrStdout(), &f, all)
}

// resultCache is a folder of results of this very program.
func resultCache(dir string) (bench.Cache, error) {
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return bench.NewDirCache(dir, string(h.Sum(nil)))
}

// printTimes measures and prints ns a call: the medians of five times each.
func printTimes(ctx context.Context, w io.Writer, workloads []*bench.Workload, strategies []bench.Named) error {
	t := newTable(w, "strategy", "workload", "ns per call", "from", "to", "calls")
	for _, load := range workloads {
		for _, s := range strategies {
			var values []float64
			calls := 0
			for range 5 {
				ns, n, err := bench.Time(ctx, s, load, 1)
				if err != nil {
					return err
				}
				values, calls = append(values, ns), n
			}
			sum := bench.Summarize(values, bench.Confidence)
			t.AppendRow(table.Row{s.Name, load.Name, figure(sum.Median), figure(sum.Lo), figure(sum.Hi), viz.Count(calls)})
		}
	}
	t.Render()
	fmt.Fprintln(w, "Times are this machine's, without checker and metrics; they are in no file.")
	fmt.Fprintln(w)
	return nil
}

// compareWorkloads makes the workloads that the flags name.
func compareWorkloads(ctx context.Context, f compareFlags) ([]*bench.Workload, error) {
	var out []*bench.Workload
	if len(f.captures) > 0 || len(f.workloads)+len(f.traces) == 0 {
		list, _, bad := targets(f.captures, "pages")
		if len(bad) > 0 {
			return nil, errors.Join(bad...)
		}
		for _, t := range list {
			w, err := bench.FromCapture(ctx, t.capture)
			if err != nil {
				return nil, err
			}
			out = append(out, w)
		}
	}
	for _, name := range f.traces {
		w, err := traceWorkload(name)
		if err != nil {
			return nil, &inputError{err}
		}
		out = append(out, w)
	}
	mixes := bench.Mixes()
	for _, name := range f.workloads {
		found := false
		for _, m := range mixes {
			if name != m.Name && name != "all" {
				continue
			}
			w, err := m.Workload()
			if err != nil {
				return nil, err
			}
			out, found = append(out, w), true
		}
		if !found {
			return nil, &usageError{fmt.Errorf("no workload %q", name)}
		}
	}
	return out, nil
}

// traceName is what a file's requests are called.
func traceName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// traceWorkload reads recorded requests in whatever form they are.
func traceWorkload(path string) (*bench.Workload, error) {
	data, err := readInput(path)
	if err != nil {
		return nil, err
	}
	name := traceName(path)
	if bytes.IndexByte(data[:min(len(data), 4096)], 0) >= 0 {
		return bench.FromLLFreeTrace(name, data)
	}
	if ops, err := mallocTrace(path, data); err != nil || ops != nil {
		if err != nil {
			return nil, err
		}
		return bench.FromMallocTrace(name, ops)
	}
	r, err := trace.NewReader(bytes.NewReader(data), path)
	if err != nil {
		return nil, err
	}
	return bench.FromPageTrace(name, r)
}

// mallocTrace reads a malloc trace; it gives none of a file that does not begin
// as one does, so that another reader may try.
func mallocTrace(path string, data []byte) ([]bench.MallocOp, error) {
	ops, err := bench.ReadMallocTrace(path, bytes.NewReader(data))
	if err != nil && len(ops) == 0 {
		return nil, nil
	}
	return ops, err
}

// shownMetrics are the terminal's columns.
var shownMetrics = []string{"thp_share_mean", "unusable_order3", "mixed_blocks", "unmovable_blocks", "failed", "peak_blocks", "locks", "lock_work", "cache_hits", "splits", "merges", "scanned"}

func metricsByID(ids []string) []bench.Metric {
	var out []bench.Metric
	for _, m := range bench.Metrics() {
		if slices.Contains(ids, m.ID) {
			out = append(out, m)
		}
	}
	return out
}

// printComparison prints a table for each workload, or one over all of them if
// there are many.
func printComparison(w io.Writer, f *compareFlags, all []bench.Comparison) error {
	metrics := metricsByID(shownMetrics)
	if len(all) <= 3 {
		for i := range all {
			fmt.Fprintf(w, "%s: %s\n", all[i].Workload.Name, all[i].Workload.About)
			printCells(w, metrics, metricRows(metrics, all[i:i+1]))
			if len(all[i].Rows) > 1 {
				fmt.Fprintln(w, differenceTitle(&all[i], f.against))
				printCells(w, metrics, differenceRows(metrics, &all[i], f.against))
			}
			fmt.Fprintln(w)
		}
	} else {
		fmt.Fprintf(w, "Medians over %d workloads\n", len(all))
		printCells(w, metrics, metricRows(metrics, all))
		fmt.Fprintln(w)
	}
	for _, m := range metrics {
		fmt.Fprintf(w, "  %-13s %s%s\n", m.Name, m.About, unit(m))
	}
	fmt.Fprintf(w, "\n%s\nComparison: %s\n", baselines(all), filepath.Join(f.dir, "index.html"))
	for i := range all {
		for k := range all[i].Rows {
			if r := all[i].Rows[k].Results[0]; r.Exact && r.ListsIdentical != r.Lists {
				fmt.Fprintf(w, "%s on %s: %s\n", r.Strategy, r.Workload, r.Difference)
				return errDifferent
			}
		}
	}
	return nil
}

func unit(m bench.Metric) string {
	if m.Unit == "" {
		return ""
	}
	return " (" + m.Unit + ")"
}

// baselines says which rows are proven equal to a kernel.
func baselines(all []bench.Comparison) string {
	exact, lists, same := 0, 0, 0
	for i := range all {
		for k := range all[i].Rows {
			if r := all[i].Rows[k].Results[0]; r.Exact {
				exact, lists, same = exact+1, lists+r.Lists, same+r.ListsIdentical
			}
		}
	}
	if exact == 0 {
		return "No exact baseline: the captured kernel's strategy is not among those compared, its replay has a known limit, or the workload is generated."
	}
	return fmt.Sprintf("Exact baseline: on %d of %d workloads the captured kernel's own strategy ran and ended with %s of the kernel's lists.",
		exact, len(all), of(same, lists))
}

// printCells prints a table of strategies by metrics.
func printCells(w io.Writer, metrics []bench.Metric, rows [][]string) {
	header := []any{"strategy"}
	var columns []table.ColumnConfig
	for i, m := range metrics {
		header = append(header, m.Name)
		columns = append(columns, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t := newTable(w, header...)
	t.SetColumnConfigs(columns)
	for _, cells := range rows {
		row := make(table.Row, len(cells))
		for i, c := range cells {
			row[i] = c
		}
		t.AppendRow(row)
	}
	t.Render()
}

// metricRows are the strategies with their medians; of a single seeded workload
// with half the interval's width.
func metricRows(metrics []bench.Metric, all []bench.Comparison) (out [][]string) {
	for k := range all[0].Rows {
		cells := []string{all[0].Rows[k].Strategy.Name}
		exact := 0
		for i := range all {
			if all[i].Rows[k].Results[0].Exact {
				exact++
			}
		}
		switch {
		case exact > 0 && len(all) == 1:
			cells[0] += " (exact)"
		case exact > 0:
			cells[0] += fmt.Sprintf(" (exact on %d)", exact)
		}
		for m := range metrics {
			cells = append(cells, metricCell(all, k, &metrics[m]))
		}
		out = append(out, cells)
	}
	return out
}

func metricCell(all []bench.Comparison, row int, m *bench.Metric) string {
	if len(all) == 1 {
		s := all[0].Rows[row].Summary(m)
		if s.N > 1 && s.Hi > s.Lo {
			return fmt.Sprintf("%s ±%s", figure(s.Median), figure((s.Hi-s.Lo)/2))
		}
		return figure(s.Median)
	}
	var values []float64
	for i := range all {
		values = append(values, all[i].Rows[row].Summary(m).Median)
	}
	return figure(bench.Summarize(values, bench.Confidence).Median)
}

// figure writes a number with three digits or all of its whole part.
func figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v == math.Trunc(v) || math.Abs(v) >= 100:
		return viz.Count(int(math.Round(v)))
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// writeComparison writes the page and the data.
func writeComparison(dir string, all []bench.Comparison, against string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := []struct {
		name  string
		write func(io.Writer) error
	}{
		{"index.html", comparePage(all, against).WriteHTML},
		{"compare.csv", func(w io.Writer) error { return bench.WriteCSV(w, all) }},
		{"samples.csv", func(w io.Writer) error { return bench.WriteSamplesCSV(w, all) }},
		{"compare.json", func(w io.Writer) error { return bench.WriteJSON(w, all, against) }},
	}
	for _, f := range files {
		if err := createFile(filepath.Join(dir, f.name), f.write); err != nil {
			return err
		}
	}
	return nil
}

// createFile writes a file by a function.
func createFile(name string, write func(io.Writer) error) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(out), out.Close())
}
