// Package viz draws graphs of what the models do, as SVG, and puts them on one
// self-contained HTML page.
//
// Graph kinds:
//
//	Lines     a few quantities over time, the legend above the data
//	Rows      many quantities over time, a row with its own scale for each
//	Heat      a number for each row and moment, as colour (viridis)
//	BlockMap  a zone's pageblocks: migrate type as hue, used share as strength
//	Bars      shares of a whole, with the exact numbers as text
//
// [PageRecorder] collects the data for all of them from a replay or any other
// run of package buddy:
//
//	var rec viz.PageRecorder
//	rows, err := replay.Run(ctx, capture, replay.Options{Samples: 200, Observe: rec.Observe})
//	for _, f := range rec.Figures("x86_64-6.1-user-1cpu, Linux 6.1") {
//		os.WriteFile(f.ID+".svg", f.SVG, 0o644)
//	}
//
// Every graph carries its source: the capture, the kernel version, the machine,
// the configuration. A graph is a pure function of its fields, to the byte.
//
// Colours are those of Okabe and Ito, and viridis, which people with the common
// kinds of colour blindness can tell apart; nothing is told by hue alone that is
// not also told by a label, a dash pattern or a text on hovering. A graph follows
// the viewer's light or dark scheme and prints light.
package viz
