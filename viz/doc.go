// Package viz draws graphs of what the models do, as SVG, and puts them on one
// self-contained HTML page.
//
// Graph kinds:
//
//	Lines       a few quantities over time, the legend above the data
//	Rows        many quantities over time, a row with its own scale for each
//	Heat        a number for each row and moment, as colour (viridis)
//	BlockMap    a zone's pageblocks: migrate type as hue, used share as strength
//	Columns     quantities by category, side by side
//	Bars        shares of a whole, with the exact numbers as text
//	Intervals   a number by name with the interval that it lies in
//	Gantt       which task ran when, and waited
//	Histogram   how often values came, as cyclictest's plots show latencies
//	CDF         which share of values is at least so great: the tail
//	Contention  how long locks were waited for and held
//
// Lines, Histogram and CDF have logarithmic axes if asked.
//
// [PageRecorder] collects the data for the page allocator's from a replay or any
// other run of package buddy:
//
//	var rec viz.PageRecorder
//	rows, err := replay.Run(ctx, capture, replay.Options{Samples: 200, Observe: rec.Observe})
//	for _, f := range rec.Figures("x86_64-6.1-user-1cpu, Linux 6.1") {
//		os.WriteFile(f.ID+".svg", f.SVG, 0o644)
//	}
//
// [SchedRecorder] does the same for the scheduler's virtual runtimes, run queues
// and load averages, from a replay or a simulation; [Gantt] and [Samples] take a
// trace's events and latencies.
//
// Every graph carries its source: the capture, the kernel version, the machine,
// the configuration. A graph is a pure function of its fields, to the byte.
//
// Colours are those of Okabe and Ito, and viridis, which people with the common
// kinds of colour blindness can tell apart; nothing is told by hue alone that is
// not also told by a label, a dash pattern or a text on hovering. A graph follows
// the viewer's light or dark scheme and prints light.
package viz
