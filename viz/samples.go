package viz

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched/cyclictest"
)

// Samples are values that were measured, each with how often: latencies, for
// example.
type Samples struct {
	Name string
	// At are the values, ascending and different; N how often each came.
	At []float64
	N  []uint64
}

// SamplesOf counts values, which are divided by unit: 1000 makes ns to µs.
func SamplesOf(name string, values []uint64, unit float64) Samples {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	s := Samples{Name: name}
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			s.At, s.N = append(s.At, float64(v)/unit), append(s.N, 0)
		}
		s.N[len(s.N)-1]++
	}
	return s
}

// Total is how many values there are.
func (s *Samples) Total() uint64 {
	var n uint64
	for _, k := range s.N {
		n += k
	}
	return n
}

// Quantile is the least value that a share q (0 to 1) of all is not above;
// NaN without values.
func (s *Samples) Quantile(q float64) float64 {
	total := s.Total()
	if total == 0 {
		return math.NaN()
	}
	want := max(uint64(math.Ceil(q*float64(total))), 1)
	var n uint64
	for i, k := range s.N {
		if n += k; n >= want {
			return s.At[i]
		}
	}
	return s.At[len(s.At)-1]
}

// label is the series' line in a legend.
func (s *Samples) label(unit string) string {
	if len(s.At) == 0 {
		return s.Name + ": none"
	}
	return fmt.Sprintf("%s (%s): median %s, 99 %% %s, max %s %s", s.Name, Count(s.Total()),
		short(s.Quantile(0.5)), short(s.Quantile(0.99)), short(s.At[len(s.At)-1]), unit)
}

// short writes a number with three digits or all of its whole part.
func short(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Histogram shows how often values came, as cyclictest's plots do: counts on a
// logarithmic axis, so that the few late ones show.
type Histogram struct {
	Frame
	// XLabel names the values, Unit their unit, for the legend.
	XLabel, Unit string
	// LogX makes the values' axis logarithmic, and the classes grow with it
	// (ten to a power of ten). Else a class is 1 wide, or wider if there are
	// more than 200.
	LogX    bool
	Samples []Samples
}

// classes are the bounds that values are counted between, ascending: class i is
// from bound i up to bound i+1.
func (g Histogram) classes() []float64 {
	var at [][]float64
	for _, s := range g.Samples {
		at = append(at, s.At)
	}
	if g.LogX {
		lo, hi := positiveBounds(at...)
		first := int(math.Floor(10*math.Log10(lo) + 1e-9))
		if edge(true, g.Samples) != "" {
			// Zeros are counted in the class at the axis's left edge.
			first = 10 * int(math.Floor(math.Log10(lo)+1e-9))
		}
		var out []float64
		for i := first; len(out) < 2 || out[len(out)-1] <= hi; i++ {
			out = append(out, math.Pow(10, float64(i)/10))
		}
		return out
	}
	lo, hi := bounds(at...)
	lo = math.Floor(lo)
	step := max(niceStep(max(hi-lo, 1)/200), 1)
	lo = math.Floor(lo/step) * step
	out := []float64{lo}
	for out[len(out)-1] <= hi {
		out = append(out, out[0]+step*float64(len(out)))
	}
	return out
}

// counted puts values into classes; those below the first go there.
func (s *Samples) counted(classes []float64) []float64 {
	out := make([]float64, len(classes)-1)
	k := 0
	for i, v := range s.At {
		for k+1 < len(out) && v >= classes[k+1] {
			k++
		}
		out[k] += float64(s.N[i])
	}
	return out
}

// SVG draws the graph.
func (g Histogram) SVG() []byte {
	c := newCanvas(g.Frame)
	shown := g.Samples[:min(len(g.Samples), maxSeries)]
	c.samplesLegend(shown, g.Unit, len(g.Samples)-len(shown))
	c.text(margin, c.y+small, "kv-m", "", "number of values (logarithmic)")
	c.y += 24
	classes := g.classes()
	counts := make([][]float64, len(shown))
	for i := range shown {
		counts[i] = shown[i].counted(classes)
	}
	p := &plot{right: width - margin - 6, top: c.y, bottom: c.y + 190}
	lo, hi := positiveBounds(counts...)
	var yTicks []float64
	// A class with one value stands out from the axis.
	p.y, yTicks, _ = Axis{Log: true}.axisScale(min(lo, 1), hi, p.bottom-6, p.top, 0)
	p.left = margin + labelWidth(yTicks, 0) + 8
	xTicks, xStep := p.horizontal(Axis{Log: g.LogX}, 6, classes)
	c.yAxis(p, yTicks, 0)
	c.xAxis(p, xTicks, xStep, g.XLabel+edge(g.LogX, shown))
	for i := range shown {
		c.outline(p, classes, counts[i], i)
	}
	return c.finish(g.Frame)
}

// edge says where zeros are on a logarithmic axis, if there are some.
func edge(log bool, shown []Samples) string {
	for i := range shown {
		if log && len(shown[i].At) > 0 && shown[i].At[0] <= 0 {
			return "; 0 is at the left edge"
		}
	}
	return ""
}

// samplesLegend has a line for each series, with its figures.
func (c *canvas) samplesLegend(shown []Samples, unit string, more int) {
	for i := range shown {
		fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" %s/>`+"\n", num(margin), num(c.y+8), num(margin+24), num(c.y+8), stroke(i))
		for k, line := range wrap(shown[i].label(unit), width-2*margin-30, small) {
			if k > 0 {
				c.y += small + 3
			}
			c.text(margin+30, c.y+12, "kv-t kv-s", "", line)
		}
		c.y += lineStep
	}
	if more > 0 {
		c.text(margin, c.y+12, "kv-m", "", fmt.Sprintf("and %d more, not shown", more))
		c.y += lineStep
	}
	c.y += 8
}

// outline draws the upper edge of bars, those without height left out.
func (c *canvas) outline(p *plot, classes, counts []float64, i int) {
	var d strings.Builder
	down := true
	for k, n := range counts {
		if n == 0 {
			if !down {
				d.WriteString("V" + num(p.bottom))
			}
			down = true
			continue
		}
		if down {
			d.WriteString("M" + num(p.x.at(classes[k])) + " " + num(p.bottom))
			down = false
		}
		d.WriteString("V" + num(p.y.at(n)) + "H" + num(p.x.at(classes[k+1])))
	}
	if d.Len() == 0 {
		return
	}
	if !down {
		d.WriteString("V" + num(p.bottom))
	}
	fmt.Fprintf(&c.b, `<path d="%s" %s/>`+"\n", d.String(), strings.Replace(stroke(i), `stroke-width="2"`, `stroke-width="1.5"`, 1))
}

// CSV has a line for each class, with a column for each series.
func (g Histogram) CSV() []byte {
	classes := g.classes()
	lines := [][]string{{"from", "below"}}
	var counts [][]float64
	for _, s := range g.Samples {
		lines[0] = append(lines[0], s.Name)
		counts = append(counts, s.counted(classes))
	}
	for k := range len(classes) - 1 {
		line := []string{cell(classes[k]), cell(classes[k+1])}
		for i := range counts {
			line = append(line, cell(counts[i][k]))
		}
		lines = append(lines, line)
	}
	return writeCSV(lines)
}

// CDF shows which share of values is above each value, on logarithmic axes: how
// thick the tail is.
type CDF struct {
	Frame
	// XLabel names the values, Unit their unit, for the legend.
	XLabel, Unit string
	Samples      []Samples
}

// SVG draws the graph: the share of values that are at least as great, from
// all (100 %) down to the greatest alone.
func (g CDF) SVG() []byte {
	c := newCanvas(g.Frame)
	shown := g.Samples[:min(len(g.Samples), maxSeries)]
	c.samplesLegend(shown, g.Unit, len(g.Samples)-len(shown))
	c.text(margin, c.y+small, "kv-m", "", "share of values that are at least as great (%, logarithmic)")
	c.y += 24
	var at, shares [][]float64
	for i := range shown {
		at, shares = append(at, shown[i].At), append(shares, shown[i].tail())
	}
	p := &plot{right: width - margin - 6, top: c.y, bottom: c.y + 190}
	lo, _ := positiveBounds(shares...)
	var yTicks []float64
	p.y, yTicks, _ = Axis{Log: true}.axisScale(min(lo, 10), 100, p.bottom, p.top, 0)
	p.left = margin + labelWidth(yTicks, 0) + 8
	xTicks, xStep := p.horizontal(Axis{Log: true}, 6, at...)
	c.yAxis(p, yTicks, 0)
	c.xAxis(p, xTicks, xStep, g.XLabel+edge(true, shown))
	for i := range shown {
		c.path(p, at[i], shares[i], i, true)
	}
	return c.finish(g.Frame)
}

// tail gives, in percent, which share of the values is at least each value.
func (s *Samples) tail() []float64 {
	out := make([]float64, len(s.N))
	total := s.Total()
	left := total
	for i, n := range s.N {
		out[i] = 100 * float64(left) / float64(total)
		left -= n
	}
	return out
}

// CSV has a line for each value of each series: how often it came, and the share
// of values that are at most it.
func (g CDF) CSV() []byte {
	lines := [][]string{{"name", "value", "count", "share_at_most"}}
	for _, s := range g.Samples {
		var n uint64
		for i, k := range s.N {
			n += k
			lines = append(lines, []string{s.Name, cell(s.At[i]), strconv.FormatUint(k, 10), cell(float64(n) / float64(s.Total()))})
		}
	}
	return writeCSV(lines)
}

// SamplesOfCyclictest gives what cyclictest measured, a series for each thread.
// Values beyond its last bucket have no place and are named with the thread.
func SamplesOfCyclictest(h *cyclictest.Histogram) []Samples {
	var out []Samples
	for i := range h.Counts {
		s := Samples{Name: "thread " + strconv.Itoa(i)}
		if n := h.Overflows[i]; n > 0 {
			s.Name += fmt.Sprintf(", %s beyond", Count(n))
		}
		for us, n := range h.Counts[i] {
			if n > 0 {
				s.At, s.N = append(s.At, float64(us)), append(s.N, n)
			}
		}
		out = append(out, s)
	}
	return out
}
