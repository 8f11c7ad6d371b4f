package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/viz"
)

// reportFlags are the flags of the report command.
type reportFlags struct {
	dir     string
	model   string
	jobs    int
	samples int
	compare bool
}

func newReportCommand() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report [flags] [PATH|NAME]...",
		Short: "Replay captures and write a page with tables and graphs",
		Long: `Replays captures (all embedded ones if none is named), prints the table of
results, and writes to the output folder:

  index.html     the report: one file that needs no network, with graphs
  results.json   the results, as 'kernsim replay --json' prints them
  figures/       each graph as an SVG file

Exit code 0: every capture is equal to the kernel, or comes as close as its
limits.json documents; the page and the table show which. 1: something else
differs. 2: a capture cannot be used.`,
		Example: `  kernsim report
  kernsim report -o /tmp/out x86_64-6.1-pages-256m
  kernsim report -o /tmp/mine path/to/my-capture`,
		ValidArgsFunction: completeCaptures,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReport(cmd, f, args)
		},
	}
	cmd.Flags().StringVarP(&f.dir, "output", "o", "kernsim-report", "folder to write to; files of an earlier report are replaced")
	cmd.Flags().IntVar(&f.samples, "samples", 200, "how many moments of each replay the graphs show")
	cmd.Flags().BoolVar(&f.compare, "compare", true, "show what other allocation strategies would have done with the requests of some captures")
	addReplayFlags(cmd, &f.model, &f.jobs)
	return cmd
}

func runReport(cmd *cobra.Command, f reportFlags, args []string) error {
	list, bad, err := findTargets(cmd, args, f.model)
	if err != nil {
		return err
	}
	recorders := make([]recorder, len(list))
	bar := newProgress(cmd.ErrOrStderr(), "replaying", len(list))
	outcomes, err := replayAll(cmd.Context(), list, options{
		model: f.model, jobs: f.jobs, progress: bar.set,
		replay: func(i int) replay.Options {
			recorders[i].readTraceOf(list[i])
			return recorders[i].options(f.samples)
		},
	})
	bar.finish()
	if err != nil {
		return err
	}
	page := reportPage(list, outcomes, recorders)
	if err := addComparison(cmd.Context(), page, f, list, outcomes); err != nil {
		return err
	}
	if err := writeReport(f.dir, page, allRows(outcomes)); err != nil {
		return err
	}
	if err := printRows(cmd.OutOrStdout(), allRows(outcomes), replayFlags{}); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Report: %s\n", filepath.Join(f.dir, "index.html"))
	return conclude(cmd.ErrOrStderr(), list, outcomes, bad, true)
}

// addComparison puts what is not about one capture before the captures.
func addComparison(ctx context.Context, page *viz.Page, f reportFlags, list []target, outcomes []outcome) error {
	if !f.compare {
		return nil
	}
	var first []viz.Section
	s, err := comparisonSection(ctx, list, outcomes, f.jobs)
	if err != nil {
		return err
	}
	if s != nil {
		first = append(first, *s)
	}
	if slices.ContainsFunc(allRows(outcomes), func(r row) bool { return r.Model == "objects" }) {
		s, err := wasteSection()
		if err != nil {
			return err
		}
		first = append(first, *s)
	}
	page.Sections = append(first, page.Sections...)
	return nil
}

// writeReport writes the page, the results and the graphs.
func writeReport(dir string, page *viz.Page, rows []row) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, "index.html"))
	if err != nil {
		return err
	}
	if err := page.WriteHTML(out); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return writeFigures(filepath.Join(dir, "figures"), page)
}

func writeFigures(dir string, page *viz.Page) error {
	write := func(sub string, figures []viz.Figure) error {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
		for _, f := range figures {
			if err := os.WriteFile(filepath.Join(dir, sub, f.ID+".svg"), f.SVG, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	if err := write("", page.Figures); err != nil {
		return err
	}
	for _, s := range page.Sections {
		if err := write(s.ID, s.Figures); err != nil {
			return err
		}
	}
	return nil
}

// reportPage makes the page of the results.
func reportPage(list []target, outcomes []outcome, recorders []recorder) *viz.Page {
	rows := allRows(outcomes)
	t := count(rows)
	p := &viz.Page{
		Title: "kernsim: model and kernel compared",
		Lead: []string{
			"Each capture is what a running Linux kernel did: the allocator's lists before and after, and in between every event. " +
				"The model starts from the lists before, is given only what callers asked the kernel for, and has to come to the same answers: " +
				"the same page frame for every allocation, the same events under the zone lock in the same order, and at the end the same lists, element by element.",
		},
		Good: t.different == 0 && !failed(outcomes), Verdict: verdict(t, outcomes),
		Table:   resultTable(rows),
		Figures: exactnessBars(rows),
		Notes: []string{
			"A hint is something taken from the trace because no event tells its cause: what a bulk request took, how much a drain from outside freed, which of two events that cross came first. " +
				"Hints are counted and listed by kind.",
			"Known limit: the capture's limits.json says how far the model comes and why; the share reached is shown as it is.",
			"Memory maps: pages that the allocator never managed (reserved at boot, holes) look as if in use.",
		},
		Made: "Made by kernsim report. The replays use no random numbers and no clock: the same captures give the same page, to the byte.",
	}
	for i := range list {
		p.Sections = append(p.Sections, section(list[i], &outcomes[i], &recorders[i]))
	}
	return p
}

func failed(outcomes []outcome) bool {
	for i := range outcomes {
		if outcomes[i].err != nil {
			return true
		}
	}
	return false
}

// verdict is the page's result in a few sentences.
func verdict(t tally, outcomes []outcome) string {
	s := fmt.Sprintf("%d of %d replays are equal to the kernel in every answer, every event and every list.", t.exact, t.rows)
	if t.known > 0 {
		s += fmt.Sprintf(" %d reached a known limit.", t.known)
	}
	if t.different > 0 {
		s += fmt.Sprintf(" %d with differences that no known limit explains.", t.different)
	}
	if failed(outcomes) {
		s += " Some captures could not be replayed."
	}
	return s + fmt.Sprintf(" All together: %s requests (%s), %s events, %s lists.", of(t.requestsExact, t.requests),
		percent(t.requestsExact, t.requests), of(t.eventsExact, t.events), of(t.listsIdentical, t.lists))
}

func resultTable(rows []row) viz.Table {
	t := viz.Table{Caption: "Exactness by capture"}
	for i, h := range resultHeader {
		t.Columns = append(t.Columns, viz.Column{Name: h, Number: i >= firstNumber})
	}
	t.Columns = append(t.Columns, viz.Column{Name: "kernel"}, viz.Column{Name: "machine"})
	for i := range rows {
		r := &rows[i]
		t.Rows = append(t.Rows, viz.TableRow{Cells: append(resultCells(r), release(r.Kernel), shortMachine(r.Machine)),
			Link: sectionID(r.Capture), Mark: !r.ExactAll()})
	}
	return t
}

// exactnessBars are the table as graphs.
func exactnessBars(rows []row) []viz.Figure {
	requests := viz.Bars{Frame: viz.Frame{Title: "Requests answered as the kernel did", Source: "all captures of this report"}, ValueLabel: "exact"}
	events := viz.Bars{Frame: viz.Frame{Title: "Events equal to the kernel's, in order", Source: "all captures of this report"}, ValueLabel: "exact"}
	name := func(r *row) string { return r.Capture }
	if slices.ContainsFunc(rows, func(r row) bool { return r.Model != rows[0].Model }) {
		name = func(r *row) string { return r.Capture + ", " + r.Model }
	}
	for i := range rows {
		r := &rows[i]
		requests.Bars = append(requests.Bars, viz.Bar{Name: name(r), Done: r.Exact, Of: r.Requests})
		events.Bars = append(events.Bars, viz.Bar{Name: name(r), Done: r.EventsExact, Of: r.Events})
	}
	return []viz.Figure{
		{ID: "exact-requests", Caption: "How many of the kernel's answers (for pages: page frames) the model predicted: a full blue bar is all of them, a yellow one is not.", SVG: requests.SVG()},
		{ID: "exact-events", Caption: "Side effects, compared one by one; for pages: blocks taken from and given to the zones' free lists, and fallbacks between migrate types.", SVG: events.SVG()},
	}
}

// sectionID makes a capture's name fit for an HTML id and a folder.
func sectionID(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, name)
}

// section is a capture's part of the page.
func section(t target, o *outcome, rec *recorder) viz.Section {
	name := t.capture.Name
	meta, _ := t.capture.Meta()
	info := captures.Info{Name: name, Kernel: meta.Kernel, Machine: meta.Machine, CPUs: meta.CPUs, Memory: meta.Memory,
		Workload: meta.Workload, Description: meta.Description}
	s := viz.Section{ID: sectionID(name), Title: name, Facts: captureFacts(&info)}
	for i := range o.rows {
		r := &o.rows[i]
		s.Facts = append(s.Facts, viz.Fact{Name: r.Model, Value: fmt.Sprintf("%s: %s requests (%s), %s events, %s lists",
			r.verdict(), of(r.Exact, r.Requests), percent(r.Exact, r.Requests), of(r.EventsExact, r.Events), of(r.ListsIdentical, r.Lists))})
		s.Facts = append(s.Facts, rowFacts(r)...)
	}
	if o.err != nil {
		s.Facts = append(s.Facts, viz.Fact{Name: "error", Value: o.err.Error()})
	}
	s.Figures = rec.figures(t.capture, source(name, meta))
	return s
}

func rowFacts(r *row) []viz.Fact {
	var out []viz.Fact
	if len(r.HintKinds) > 0 {
		out = append(out, viz.Fact{Name: "hints", Value: counts(r.HintKinds)})
	}
	if len(r.Notes) > 0 {
		out = append(out, viz.Fact{Name: "noted", Value: counts(r.Notes)})
	}
	if !r.ExactAll() {
		out = append(out, viz.Fact{Name: "first difference", Value: r.FirstDifference})
		if r.KnownLimit != "" {
			out = append(out, viz.Fact{Name: "known limit", Value: r.KnownLimit})
		}
	}
	return out
}

// source is the line under each graph.
func source(name string, m replay.Meta) string {
	parts := []string{"capture " + name}
	if m.Kernel != "" {
		parts = append(parts, "Linux "+m.Kernel)
	}
	if m.Machine != "" {
		parts = append(parts, m.Machine)
	}
	return strings.Join(append(parts, "replayed by kernsim"), " · ")
}
