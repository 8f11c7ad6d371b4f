package viz

import (
	"math"
	"strconv"
	"strings"
)

// Axis describes what an axis shows.
type Axis struct {
	// Label names the quantity with its unit: "free pages", "time (s)".
	Label string
	// FromZero makes the axis start at zero even if the data doesn't.
	FromZero bool
	// Max, if not zero, is the least that the axis reaches.
	Max float64
	// Log makes the axis logarithmic, from one power of ten to another. Values
	// below its start, zero among them, lie at its start.
	Log bool
}

// scale maps values from lo to hi to positions from a to b.
type scale struct {
	lo, hi, a, b float64
	log          bool
}

func (s scale) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.log {
		v, lo, hi = math.Log10(max(v, lo)), math.Log10(lo), math.Log10(hi)
	}
	if hi == lo {
		return s.a
	}
	return s.a + (v-lo)/(hi-lo)*(s.b-s.a)
}

// axisScale fits an axis to values from lo to hi: its scale between two
// positions, and some want ticks with their common step (0 of a logarithmic
// one).
func (x Axis) axisScale(lo, hi, a, b float64, want int) (s scale, values []float64, step float64) {
	hi = max(hi, x.Max)
	if x.Log {
		values = decades(lo, hi)
		return scale{lo: values[0], hi: values[len(values)-1], a: a, b: b, log: true}, values, 0
	}
	if x.FromZero {
		lo = min(lo, 0)
	}
	values, step = ticks(lo, hi, want)
	return scale{lo: values[0], hi: values[len(values)-1], a: a, b: b}, values, step
}

// decades gives the powers of ten that enclose lo to hi, two at least.
func decades(lo, hi float64) (values []float64) {
	if !(lo > 0) {
		lo = min(1, max(hi, 1e-9))
	}
	first, last := math.Floor(math.Log10(lo)+1e-9), math.Ceil(math.Log10(max(hi, lo))-1e-9)
	for i := first; i <= max(last, first+1); i++ {
		values = append(values, math.Pow(10, i))
	}
	return values
}

// positiveBounds are bounds of the values above zero.
func positiveBounds(series ...[]float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, s := range series {
		for _, v := range s {
			if v > 0 && !math.IsInf(v, 0) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo > hi {
		return 1, 10
	}
	return lo, hi
}

// reach gives the bounds that the axis has to cover.
func (x Axis) reach(series ...[]float64) (lo, hi float64) {
	if x.Log {
		return positiveBounds(series...)
	}
	return bounds(series...)
}

// bounds gives the smallest and largest finite value, 0 and 1 if there is none.
func bounds(series ...[]float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, s := range series {
		for _, v := range s {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo > hi {
		return 0, 1
	}
	return lo, hi
}

// ticks gives some want round values that cover lo to hi, the first at or below
// lo and the last at or above hi, and their common step.
func ticks(lo, hi float64, want int) (values []float64, step float64) {
	if hi <= lo {
		hi = lo + 1
	}
	step = niceStep((hi - lo) / float64(max(want, 1)))
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	for i := first; i <= last; i++ {
		values = append(values, i*step)
	}
	return values, step
}

// niceStep rounds a step up to 1, 2 or 5 times a power of ten.
func niceStep(raw float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*p*(1+1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// tickLabel writes a value with as many decimals as the step needs; with step 0
// it is a power of ten.
func tickLabel(v, step float64) string {
	if step == 0 {
		return group(strconv.FormatFloat(v, 'f', max(0, int(-math.Floor(math.Log10(v)+1e-9))), 64))
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	return group(strconv.FormatFloat(v, 'f', decimals, 64))
}

// Count writes a whole number with a comma between thousands.
func Count[T ~int | ~int64 | ~uint64](n T) string {
	return group(strconv.FormatInt(int64(n), 10))
}

// group puts commas between the thousands of a decimal number.
func group(s string) string {
	whole, frac, dot := strings.Cut(s, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		frac = "." + frac
	}
	return sign + whole + frac
}

// timeAxis puts nanoseconds on an axis that starts at the first one, in the
// unit that suits the range.
func timeAxis(ns []uint64) (x []float64, label string) {
	if len(ns) == 0 {
		return nil, "time (s)"
	}
	unit, name := 1e9, "s"
	switch span := float64(ns[len(ns)-1] - ns[0]); {
	case span < 2e6:
		unit, name = 1e3, "µs"
	case span < 2e9:
		unit, name = 1e6, "ms"
	}
	x = make([]float64, len(ns))
	for i := range ns {
		x[i] = float64(ns[i]-ns[0]) / unit
	}
	return x, "time since the first request (" + name + ")"
}

// plot is the rectangle that data is drawn into.
type plot struct {
	x, y scale
	// top and bottom, left and right are its edges.
	left, right, top, bottom float64
}

// xAxis draws the horizontal axis below the plot, with light lines through it.
func (c *canvas) xAxis(p *plot, values []float64, step float64, label string) {
	lastRight := math.Inf(-1)
	for _, v := range values {
		x := p.x.at(v)
		if x < p.left-0.5 || x > p.right+0.5 {
			continue
		}
		c.line(x, p.top, x, p.bottom, "kv-g")
		s := tickLabel(v, step)
		w := textWidth(s, small)
		left := min(x-w/2, width-2-w)
		if left > lastRight+6 {
			c.text(left+w/2, p.bottom+14, "kv-m kv-s", "middle", s)
			lastRight = left + w
		}
	}
	c.line(p.left, p.bottom, p.right, p.bottom, "kv-a")
	c.text((p.left+p.right)/2, p.bottom+30, "kv-m", "middle", label)
	c.y = p.bottom + 40
}

// yAxis draws the vertical axis at the plot's left; its label stands above.
func (c *canvas) yAxis(p *plot, values []float64, step float64) {
	for _, v := range values {
		y := p.y.at(v)
		c.line(p.left, y, p.right, y, "kv-g")
		c.text(p.left-6, y+4, "kv-m kv-s", "end", tickLabel(v, step))
	}
}
