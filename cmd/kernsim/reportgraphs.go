package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/replay"
	workload "github.com/kernsim/kernsim/sched/recorded"
	"github.com/kernsim/kernsim/trace"
	"github.com/kernsim/kernsim/viz"
)

// recorder collects what the graphs of a capture show.
type recorder struct {
	pages viz.PageRecorder
	sched viz.SchedRecorder
	// names are the tasks' names by pid; latencies those from being woken to
	// running; gantt which task ran when. They come from the trace alone.
	names     map[int32]string
	latencies []viz.Samples
	gantt     *viz.Gantt
}

// options are those of a replay that this records.
func (r *recorder) options(samples int) replay.Options {
	r.sched.Samples = samples
	r.sched.Name = func(pid int32) string { return r.names[pid] }
	return replay.Options{Samples: samples, Observe: r.pages.Observe, ObserveSched: r.sched.Observe}
}

// readTraceOf reads the trace of a capture that the scheduler's models replay.
func (r *recorder) readTraceOf(t target) {
	if t.has("sched") || t.has("switches") {
		r.readTrace(t.capture)
	}
}

// readTrace takes from a scheduler capture's trace what needs no model. A trace
// that cannot be read has been reported by the replay.
func (r *recorder) readTrace(c replay.Capture) {
	in := captureInput(c)
	names, b, g := map[int32]string{}, workload.NewBuilder(), viz.NewTraceGantt(0, ganttDefault)
	if in.events(func(ev *trace.Event) error {
		addName(names, ev)
		g.WatchTrace(ev)
		return b.Add(ev)
	}) != nil {
		return
	}
	w, err := b.Workload()
	if err != nil {
		return
	}
	r.names, r.gantt, r.latencies = names, g, latencySamples(w)
}

// figures draws everything.
func (r *recorder) figures(c replay.Capture, source string) []viz.Figure {
	out := r.pages.Figures(source)
	for _, n := range r.sched.Graphs(source) {
		out = append(out, viz.Figure{ID: n.ID, Caption: n.Caption, SVG: n.Graph.SVG()})
	}
	if r.gantt != nil {
		r.gantt.Source = source
		out = append(out, viz.Figure{ID: "gantt", SVG: r.gantt.SVG(),
			Caption: "The first 200 ms: who had a CPU, and who could have run but waited. From the capture itself."})
	}
	if len(r.latencies) > 0 {
		tail := viz.CDF{Frame: viz.Frame{Title: "Tail of the latencies from being woken to running", Source: source}, XLabel: "latency (µs)", Unit: "µs", Samples: r.latencies}
		out = append(out,
			viz.Figure{ID: "latency", SVG: latencyHistogram(r.latencies, source, true).SVG(),
				Caption: "How long tasks waited from being woken to running, as the captured kernel had it: all together, and the tasks woken most."},
			viz.Figure{ID: "latency-cdf", SVG: tail.SVG(), Caption: "The same, as the share of waits that were at least so long: the tail is what a user notices."})
	}
	if c.Has("after.slabinfo") {
		if g, err := slabFill(c, source); err == nil {
			out = append(out, viz.Figure{ID: "slab-fill", SVG: g.SVG(),
				Caption: "How full the largest slab caches were after the capture: what is missing to a full bar is memory that waits in slabs for objects."})
		}
	}
	return out
}

// Of how many captures, and with how many samples, the report shows what other
// strategies would have done.
const (
	reportComparisons       = 2
	reportComparisonSamples = 60
)

// comparisonSection gives the requests of the captures with most of them to some
// strategies. Only captures are taken whose own kernel is replayed exactly.
func comparisonSection(ctx context.Context, list []target, outcomes []outcome, jobs int) (*viz.Section, error) {
	type candidate struct{ i, requests int }
	var best []candidate
	for i := range outcomes {
		for k := range outcomes[i].rows {
			if r := &outcomes[i].rows[k]; r.Model == "pages" && r.ExactAll() {
				best = append(best, candidate{i, r.Requests})
			}
		}
	}
	if len(best) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(best, func(a, b candidate) int { return cmp.Compare(b.requests, a.requests) })
	var loads []*bench.Workload
	for _, c := range best[:min(len(best), reportComparisons)] {
		w, err := bench.FromCapture(ctx, list[c.i].capture)
		if err != nil {
			return nil, err
		}
		loads = append(loads, w)
	}
	strategies, err := bench.Find(someStrategies...)
	if err != nil {
		return nil, err
	}
	all, err := bench.Compare(ctx, loads, strategies, bench.CompareOptions{Jobs: jobs, Samples: reportComparisonSamples})
	if err != nil {
		return nil, err
	}
	s := &viz.Section{ID: "what-if", Title: "What would another strategy have done?", Text: []string{
		fmt.Sprintf("The same requests given to %d strategies. %s The command kernsim compare does this for all captures and %d strategies.",
			len(strategies), baselines(all), len(bench.Strategies()))}}
	for i := range all {
		s.Figures = append(s.Figures, comparisonFigures(&all[i])...)
	}
	return s, nil
}

// comparisonFigures are the graphs of a comparison that a report shows.
func comparisonFigures(c *bench.Comparison) []viz.Figure {
	prefix := sectionID(c.Workload.Name) + "-"
	out := []viz.Figure{{ID: prefix + "fragmentation", SVG: fragmentationOverTime(c).SVG(),
		Caption: "Fragmentation by strategy: how much of the free memory could be used for huge pages, as the requests go on."}}
	for _, id := range []string{"locks", "lock_work", "mixed_blocks"} {
		m := metricsByID([]string{id})[0]
		out = append(out, viz.Figure{ID: prefix + id, Caption: sentence(m.About) + ". The square is the captured kernel's own strategy, whose lists at the end are equal to the kernel's.",
			SVG: metricIntervals(c, &m).SVG()})
	}
	return out
}

// wasteSection shows what a request's size wastes.
func wasteSection() (*viz.Section, error) {
	s := &viz.Section{ID: "waste", Title: "What does a size waste?", Text: []string{
		"kmalloc rounds a size up to its next cache, the page allocator to a power of two of pages: the sawtooth of internal fragmentation."}}
	g, err := wasteBySize("6.1")
	if err != nil {
		return nil, err
	}
	s.Figures = []viz.Figure{{ID: "waste-6.1", SVG: g.SVG(), Caption: "Share of the block that nobody uses, for each size that is asked for. Where a size is just above a cache's, half of the object is lost."}}
	return s, nil
}
