package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/viz"
)

// comparePage makes the page of a comparison.
func comparePage(all []bench.Comparison, against string) *viz.Page {
	metrics := bench.Metrics()
	t := viz.Table{Caption: "Medians over " + counted(len(all), "workload"), Columns: []viz.Column{{Name: "strategy"}}}
	for _, m := range metrics {
		t.Columns = append(t.Columns, viz.Column{Name: m.Name + unit(m), Number: true})
	}
	for _, cells := range metricRows(metrics, all) {
		t.Rows = append(t.Rows, viz.TableRow{Cells: cells})
	}
	p := &viz.Page{
		Title: "kernsim: allocation strategies compared",
		Lead: []string{"Each strategy is given the same requests: those that a real kernel's trace shows, or a generated stream. " +
			"The page frames it answers with are its own; what it is asked for does not change. " +
			"Fragmentation is measured by one rule for all, on a map of the pages in use."},
		Good: true, Verdict: baselines(all), Table: t,
		Made: fmt.Sprintf("Made by kernsim compare. Intervals: %.0f %%, of the median over seeds, without assumption about the distribution. The same workloads and seeds give the same page, to the byte.", 100*bench.Confidence),
	}
	for _, m := range metrics {
		p.Notes = append(p.Notes, m.Name+": "+m.About+unit(m)+".")
	}
	for i := range all {
		p.Sections = append(p.Sections, compareSection(&all[i], against))
	}
	return p
}

func compareSection(c *bench.Comparison, against string) viz.Section {
	s := viz.Section{ID: sectionID(c.Workload.Name), Title: c.Workload.Name, Text: []string{c.Workload.About}}
	for k := range c.Rows {
		r := &c.Rows[k]
		value := r.Strategy.About + ". " + r.Strategy.Source + "."
		if res := r.Results[0]; res.Exact {
			value += " Exact: " + of(res.ListsIdentical, res.Lists) + " of the kernel's lists at the end."
		}
		s.Facts = append(s.Facts, viz.Fact{Name: r.Strategy.Name, Value: value})
	}
	s.Tables = []viz.Table{differenceTable(c, against)}
	s.Figures = compareFigures(c)
	return s
}

// differenceTable shows all metrics as differences to a base.
func differenceTable(c *bench.Comparison, against string) viz.Table {
	metrics := bench.Metrics()
	t := viz.Table{Caption: differenceTitle(c, against), Columns: []viz.Column{{Name: "strategy"}}}
	for _, m := range metrics {
		t.Columns = append(t.Columns, viz.Column{Name: m.Name + unit(m), Number: true})
	}
	for _, cells := range differenceRows(metrics, c, against) {
		t.Rows = append(t.Rows, viz.TableRow{Cells: cells})
	}
	return t
}

// differenceTitle says what differenceRows shows.
func differenceTitle(c *bench.Comparison, against string) string {
	title := "Difference to " + c.Base(against).Strategy.Name
	if len(c.Seeds) > 1 {
		title += fmt.Sprintf(", median of the differences on the same %d streams; ? where the interval of %.0f %% has zero in it", len(c.Seeds), 100*bench.Confidence)
	}
	return title
}

// differenceRows are the strategies with their differences to the base, which
// itself is shown as it is.
func differenceRows(metrics []bench.Metric, c *bench.Comparison, against string) (out [][]string) {
	base := c.Base(against)
	for k := range c.Rows {
		r := &c.Rows[k]
		cells := []string{r.Strategy.Name}
		for i := range metrics {
			if r == base {
				cells = append(cells, figure(r.Summary(&metrics[i]).Median))
				continue
			}
			cells = append(cells, differenceCell(r.Against(base, &metrics[i])))
		}
		out = append(out, cells)
	}
	return out
}

func differenceCell(d bench.Summary) string {
	switch {
	case d.N == 0:
		return "-"
	case d.Median == 0 && d.Lo == 0 && d.Hi == 0:
		return "="
	}
	s := figure(d.Median)
	if d.Median > 0 {
		s = "+" + s
	}
	if !d.Differs() {
		s += " ?"
	}
	return s
}

// compareSource is the line under a graph of the first seeds of a comparison.
func compareSource(c *bench.Comparison, seeds int) string {
	s := c.Workload.Name + " · " + c.Workload.About
	switch {
	case c.Workload.Seeded && seeds == 1:
		s += " · seed 1"
	case c.Workload.Seeded:
		s += fmt.Sprintf(" · seeds 1 to %d, intervals of %.0f %%", seeds, 100*bench.Confidence)
	}
	return s + " · kernsim compare"
}

// compareFigures draws fragmentation over time, and some metrics by strategy.
func compareFigures(c *bench.Comparison) []viz.Figure {
	figures := []viz.Figure{{ID: "fragmentation", SVG: fragmentationOverTime(c).SVG(),
		Caption: "How much of the free memory could be used for huge pages, as the requests go on. A line that falls while memory stays free is fragmentation."}}
	for _, id := range []string{"thp_share_mean", "unusable_order3", "mixed_blocks", "failed", "locks", "splits", "scanned"} {
		m := metricsByID([]string{id})[0]
		figures = append(figures, viz.Figure{ID: id, Caption: sentence(m.About) + ": median over the seeds with its interval.", SVG: metricIntervals(c, &m).SVG()})
	}
	return figures
}

// counted is a number of things.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return viz.Count(n) + " " + what
}

// contrasting puts first, if there are more strategies than a graph shows, the
// captured kernel's own and those that differ most.
func contrasting(rows []bench.Row) []bench.Row {
	if len(rows) <= len(someStrategies) {
		return rows
	}
	first := func(r bench.Row) bool { return r.Results[0].Exact || slices.Contains(someStrategies, r.Strategy.Name) }
	var out []bench.Row
	for _, want := range []bool{true, false} {
		for _, r := range rows {
			if first(r) == want {
				out = append(out, r)
			}
		}
	}
	return out
}

// fragmentationOverTime shows the first seed's runs of at most seven
// strategies.
func fragmentationOverTime(c *bench.Comparison) viz.Lines {
	g := viz.Lines{Frame: viz.Frame{Title: "Free memory usable as huge pages", Source: compareSource(c, 1)},
		XLabel: "requests and frees done (thousands)", Y: viz.Axis{Label: "share of the free memory (%)"}}
	for _, row := range contrasting(c.Rows) {
		samples := row.Results[0].Samples
		var x, y []float64
		for i := range samples {
			x = append(x, float64(samples[i].Op)/1000)
			y = append(y, 100*samples[i].THPShare())
		}
		g.X = x
		g.Series = append(g.Series, viz.Series{Name: row.Strategy.Name, Y: y})
	}
	return g
}

// sentence begins with a capital.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// metricIntervals shows a metric by strategy.
func metricIntervals(c *bench.Comparison, m *bench.Metric) viz.Intervals {
	g := viz.Intervals{Frame: viz.Frame{Title: sentence(m.About), Source: compareSource(c, len(c.Seeds))},
		Value: viz.Axis{Label: m.Name + unit(*m), FromZero: m.ID != "thp_share_mean"}}
	for k := range c.Rows {
		r := &c.Rows[k]
		s := r.Summary(m)
		g.Rows = append(g.Rows, viz.Interval{Name: r.Strategy.Name, At: s.Median, Lo: s.Lo, Hi: s.Hi, Mark: r.Results[0].Exact})
	}
	return g
}
