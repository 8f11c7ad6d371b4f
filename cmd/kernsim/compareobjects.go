package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/slab/rival"
	"github.com/kernsim/kernsim/trace"
	"github.com/kernsim/kernsim/viz"
)

func objectAllocators() []string {
	var out []string
	for _, n := range rival.All() {
		out = append(out, n.Name)
	}
	return out
}

func objectMixes() []string {
	var out []string
	for _, m := range bench.ObjectMixes() {
		out = append(out, m.Name)
	}
	return out
}

func runCompareObjects(cmd *cobra.Command, f *compareFlags) error {
	allocators := rival.All()
	if len(f.strategies) > 0 {
		for _, name := range f.strategies {
			if !slices.Contains(objectAllocators(), name) {
				return &usageError{fmt.Errorf("no object allocator %q; there are %s", name, strings.Join(objectAllocators(), ", "))}
			}
		}
		allocators = slices.DeleteFunc(allocators, func(n rival.Named) bool { return !slices.Contains(f.strategies, n.Name) })
	}
	if f.seeds < 1 || f.samples < 1 {
		return &usageError{errors.New("--seeds and --samples must be at least 1")}
	}
	workloads, err := objectWorkloads(f)
	if err != nil {
		return err
	}
	var all []*bench.ObjectResult
	var figures []viz.Figure
	bar := newProgress(cmd.ErrOrStderr(), "comparing", 1)
	for i, load := range workloads {
		first := len(all)
		for seed := range load.seeds {
			w := load.make(uint64(seed) + 1)
			for _, n := range allocators {
				r, err := compareOne(cmd.Context(), n, w, f.samples)
				if err != nil {
					bar.finish()
					var wrong *bench.ObjectError
					if errors.As(err, &wrong) {
						fmt.Fprintln(cmd.ErrOrStderr(), err)
						return errDifferent
					}
					return err
				}
				r.Seed = uint64(seed) + 1
				all = append(all, r)
			}
			bar.set(0, (float64(i)+float64(seed+1)/float64(load.seeds))/float64(len(workloads)))
		}
		figures = append(figures, heldFigure(all[first:first+len(allocators)]), wasteFigure(all[first:first+len(allocators)]))
	}
	bar.finish()
	if err := writeObjects(f.dir, all, figures, objectsPage(all, allocators, figures)); err != nil {
		return err
	}
	return printObjects(cmd.OutOrStdout(), f.dir, all, len(allocators))
}

func compareOne(ctx context.Context, n rival.Named, w *bench.ObjectWorkload, samples int) (*bench.ObjectResult, error) {
	r, err := bench.RunObjects(ctx, n, w, samples)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	return r, nil
}

// objectLoad makes a workload's streams.
type objectLoad struct {
	seeds int
	make  func(seed uint64) *bench.ObjectWorkload
}

func objectWorkloads(f *compareFlags) ([]objectLoad, error) {
	var out []objectLoad
	if len(f.captures) > 0 {
		list, _, bad := targets(f.captures, "objects")
		if len(bad) > 0 {
			return nil, errors.Join(bad...)
		}
		for _, t := range list {
			w, err := bench.ObjectsFromCapture(t.capture)
			if err != nil {
				return nil, &inputError{fmt.Errorf("%s: %w", t.capture.Name, err)}
			}
			out = append(out, objectLoad{1, func(uint64) *bench.ObjectWorkload { return w }})
		}
	}
	for _, path := range f.traces {
		w, err := objectTrace(path)
		if err != nil {
			return nil, &inputError{err}
		}
		out = append(out, objectLoad{1, func(uint64) *bench.ObjectWorkload { return w }})
	}
	names := f.workloads
	if len(names) == 0 && len(out) == 0 {
		names = []string{"all"}
	}
	for _, name := range names {
		found := false
		for _, m := range bench.ObjectMixes() {
			if name == m.Name || name == "all" {
				out, found = append(out, objectLoad{f.seeds, m.Workload}), true
			}
		}
		if !found {
			return nil, &usageError{fmt.Errorf("no workload %q; there are %s", name, strings.Join(objectMixes(), ", "))}
		}
	}
	return out, nil
}

// objectTrace reads recorded requests for objects: a malloc trace, or the kernel's.
func objectTrace(path string) (*bench.ObjectWorkload, error) {
	data, err := readInput(path)
	if err != nil {
		return nil, err
	}
	name := traceName(path)
	if ops, err := mallocTrace(path, data); err != nil || ops != nil {
		if err != nil {
			return nil, err
		}
		return bench.ObjectsFromMallocTrace(name, ops)
	}
	r, err := trace.NewReader(bytes.NewReader(data), path)
	if err != nil {
		return nil, err
	}
	w, err := bench.ObjectsFromTrace(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	w.Name, w.About = name, "objects of a kernel trace"
	return w, nil
}

// heldFigure draws the memory held along the operations. There is room for six
// allocators beside what was asked for: of SLUB's versions one is enough then.
func heldFigure(results []*bench.ObjectResult) viz.Figure {
	g := viz.Lines{XLabel: "operations", Y: viz.Axis{Label: "memory held (KiB)", FromZero: true}}
	g.Title = "Memory held: " + results[0].Workload
	g.Source = fmt.Sprintf("kernsim compare --objects, seed %d", results[0].Seed)
	asked := viz.Series{Name: "asked for"}
	for _, s := range results[0].Samples {
		g.X = append(g.X, float64(s.Op))
		asked.Y = append(asked.Y, float64(s.Asked)/1024)
	}
	for _, r := range drawn(results) {
		y := viz.Series{Name: r.Allocator}
		for _, s := range r.Samples {
			y.Y = append(y.Y, float64(s.Held)/1024)
		}
		g.Series = append(g.Series, y)
	}
	g.Series = append(g.Series, asked) // last: an allocator looks the same in all graphs
	return viz.Figure{ID: "held-" + results[0].Workload, SVG: g.SVG()}
}

// wasteFigure draws the share of the memory held that nobody asked for.
func wasteFigure(results []*bench.ObjectResult) viz.Figure {
	g := viz.Lines{XLabel: "operations", Y: viz.Axis{Label: "held but not asked for (%)", FromZero: true}}
	g.Title = "Fragmentation: " + results[0].Workload
	g.Source = fmt.Sprintf("kernsim compare --objects, seed %d", results[0].Seed)
	for _, s := range results[0].Samples {
		g.X = append(g.X, float64(s.Op))
	}
	for _, r := range drawn(results) {
		y := viz.Series{Name: r.Allocator}
		for i := range r.Samples {
			y.Y = append(y.Y, 100*r.Samples[i].Wasted())
		}
		g.Series = append(g.Series, y)
	}
	return viz.Figure{ID: "fragmentation-" + results[0].Workload, SVG: g.SVG()}
}

// drawn are the results that a graph has room for.
func drawn(results []*bench.ObjectResult) []*bench.ObjectResult {
	if len(results) <= 6 {
		return results
	}
	return slices.DeleteFunc(slices.Clone(results), func(r *bench.ObjectResult) bool {
		return r.Allocator == "slub-5.4" || r.Allocator == "slub-6.18" || r.Allocator == "sheaves"
	})
}

func writeObjects(dir string, all []*bench.ObjectResult, figures []viz.Figure, page *viz.Page) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := createFile(filepath.Join(dir, "index.html"), page.WriteHTML); err != nil {
		return err
	}
	if err := createFile(filepath.Join(dir, "objects.csv"), func(w io.Writer) error { return bench.WriteObjectsCSV(w, all) }); err != nil {
		return err
	}
	err := createFile(filepath.Join(dir, "objects.json"), func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(all)
	})
	for _, g := range figures {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, g.ID+".svg"), g.SVG, 0o644))
	}
	return err
}

// objectColumns are the columns of a table of objects.
var objectColumns = []any{"allocator", "peak KiB", "asked for KiB", "mean waste", "in objects", "outside", "held at end KiB", "asked for KiB", "shared locks", "page calls", "failed"}

// wasteColumn is where they have the mean waste.
const wasteColumn = 3

// objectsAbout explains them.
const objectsAbout = "Waste is memory held beyond what was asked for, as a share of what is held, over time; \"in objects\" the part of it in objects larger than the request, " +
	"\"outside\" the part in no object in use (external fragmentation)."

// objectRows are the rows of a workload's table: medians over the seeds.
func objectRows(results []*bench.ObjectResult, allocators int) (rows [][]any) {
	for i := range allocators {
		median := func(of func(*bench.ObjectResult) float64) float64 {
			var values []float64
			for k := i; k < len(results); k += allocators {
				values = append(values, of(results[k]))
			}
			return bench.Summarize(values, bench.Confidence).Median
		}
		kib := func(of func(*bench.ObjectResult) uint64) string {
			return figure(median(func(r *bench.ObjectResult) float64 { return float64(of(r) / 1024) }))
		}
		share := func(of func(*bench.ObjectResult) float64) string { return fmt.Sprintf("%.1f%%", 100*median(of)) }
		rows = append(rows, []any{results[i].Allocator, kib(func(r *bench.ObjectResult) uint64 { return r.Peak }), kib(func(r *bench.ObjectResult) uint64 { return r.Asked }),
			share(func(r *bench.ObjectResult) float64 { return r.Waste }), share(func(r *bench.ObjectResult) float64 { return r.Inside }), share((*bench.ObjectResult).Outside),
			kib(func(r *bench.ObjectResult) uint64 { return r.EndHeld }), kib(func(r *bench.ObjectResult) uint64 { return r.EndAsked }),
			figure(median(func(r *bench.ObjectResult) float64 { return float64(r.Locks) })),
			figure(median(func(r *bench.ObjectResult) float64 { return float64(r.PageAllocs + r.PageFrees) })),
			figure(median(func(r *bench.ObjectResult) float64 { return float64(r.Failed) }))})
	}
	return rows
}

// byWorkload cuts results into those of each workload, in order.
func byWorkload(all []*bench.ObjectResult) (out [][]*bench.ObjectResult) {
	for len(all) > 0 {
		n := 0
		for n < len(all) && all[n].Workload == all[0].Workload {
			n++
		}
		out, all = append(out, all[:n]), all[n:]
	}
	return out
}

// printObjects prints a table for each workload.
func printObjects(w io.Writer, dir string, all []*bench.ObjectResult, allocators int) error {
	for _, results := range byWorkload(all) {
		fmt.Fprintf(w, "%s: %s requests\n", results[0].Workload, viz.Count(results[0].Requests))
		t := newTable(w, objectColumns...)
		for _, row := range objectRows(results, allocators) {
			t.AppendRow(row)
		}
		t.Render()
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "%s\nComparison: %s\n", objectsAbout, filepath.Join(dir, "index.html"))
	return err
}

// objectsPage makes the page of a comparison.
func objectsPage(all []*bench.ObjectResult, allocators []rival.Named, figures []viz.Figure) *viz.Page {
	p := &viz.Page{
		Title: "kernsim: object allocators compared",
		Lead: []string{"Each allocator is given the same requests and frees: those that a trace shows, or a generated stream. Where it puts objects is its own; what it is asked for does not change. " +
			"Memory is counted by one rule for all: whole pages that it holds against bytes that were asked for."},
		Good: true, Verdict: fmt.Sprintf("%s compared; none gave out memory twice, too little, or lost an object.", counted(len(allocators), "allocator")),
		Notes: []string{objectsAbout, "shared locks: how often a lock was taken that other CPUs take, too; page calls: pages asked for and given back. " +
			"What timers and garbage collectors would do is left out: an object is free at once."},
		Made: "Made by kernsim compare --objects; medians over seeds. The same workloads and seeds give the same page, to the byte.",
	}
	loads := byWorkload(all)
	p.Table = viz.Table{Caption: "Mean waste by workload", Columns: []viz.Column{{Name: "allocator"}}}
	for i, n := range allocators {
		cells := []string{n.Name}
		for _, results := range loads {
			if i == 0 {
				p.Table.Columns = append(p.Table.Columns, viz.Column{Name: results[0].Workload, Number: true})
			}
			cells = append(cells, objectRows(results, len(allocators))[i][wasteColumn].(string))
		}
		p.Table.Rows = append(p.Table.Rows, viz.TableRow{Cells: cells})
	}
	for k, results := range loads {
		seeds := len(results) / len(allocators)
		t := viz.Table{Caption: fmt.Sprintf("%s requests, %s", viz.Count(results[0].Requests), counted(seeds, "seed"))}
		for i, name := range objectColumns {
			t.Columns = append(t.Columns, viz.Column{Name: name.(string), Number: i > 0})
		}
		for _, row := range objectRows(results, len(allocators)) {
			var cells []string
			for _, c := range row {
				cells = append(cells, c.(string))
			}
			t.Rows = append(t.Rows, viz.TableRow{Cells: cells})
		}
		s := viz.Section{ID: sectionID(results[0].Workload), Title: results[0].Workload, Tables: []viz.Table{t}, Figures: figures[2*k : 2*k+2]}
		p.Sections = append(p.Sections, s)
	}
	about := viz.Section{ID: "allocators", Title: "Allocators"}
	for _, n := range allocators {
		about.Facts = append(about.Facts, viz.Fact{Name: n.Name, Value: n.About + ". " + n.Source + "."})
	}
	p.Sections = append(p.Sections, about)
	return p
}
