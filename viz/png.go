package viz

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"

	"image/png"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// WritePNG draws one of this package's SVG pictures as PNG, in its light colours,
// scale pixels for each of its units. It knows what this package writes (rect,
// line, path with straight edges, text) and is no general SVG renderer; what
// else it meets is an error.
func WritePNG(w io.Writer, svg []byte, scale float64) error {
	r := &raster{scale: scale, faces: map[faceKey]font.Face{}}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("viz: PNG: %w", err)
		}
		if e, ok := t.(xml.StartElement); ok {
			if err := r.element(d, e); err != nil {
				return fmt.Errorf("viz: PNG: <%s>: %w", e.Name.Local, err)
			}
		}
	}
	if r.img == nil {
		return errors.New("viz: PNG: not a picture")
	}
	return png.Encode(w, r.img)
}

// raster draws elements into an image.
type raster struct {
	img   *image.RGBA
	scale float64
	faces map[faceKey]font.Face
	v     vector.Rasterizer
}

type faceKey struct {
	size float64
	bold bool
}

// maxPixels bounds a picture's size.
const maxPixels = 64 << 20

func (r *raster) element(d *xml.Decoder, e xml.StartElement) error {
	a := attributes(e)
	switch e.Name.Local {
	case "svg":
		return r.open(a["viewBox"])
	case "style":
		return d.Skip()
	case "title":
		return d.Skip()
	}
	if r.img == nil {
		return errors.New("stands before <svg>")
	}
	switch e.Name.Local {
	case "rect":
		r.fillPath(rectPath(a.num("x"), a.num("y"), a.num("width"), a.num("height"), a.num("rx")), a)
	case "line":
		r.strokePath([][]point{{{a.num("x1"), a.num("y1")}, {a.num("x2"), a.num("y2")}}}, a)
	case "path":
		lines, err := parsePath(a["d"])
		if err != nil {
			return err
		}
		r.fillPath(lines, a)
		r.strokePath(lines, a)
	case "text":
		var text string
		if err := d.DecodeElement(&text, &e); err != nil {
			return err
		}
		return r.text(text, a)
	default:
		return errors.New("not known")
	}
	return nil
}

func (r *raster) open(viewBox string) error {
	var x, y, w, h float64
	if _, err := fmt.Sscan(viewBox, &x, &y, &w, &h); err != nil {
		return fmt.Errorf("viewBox %q: %w", viewBox, err)
	}
	pw, ph := int(math.Ceil(w*r.scale)), int(math.Ceil(h*r.scale))
	if pw < 1 || ph < 1 || pw > maxPixels/ph {
		return fmt.Errorf("%d by %d pixels", pw, ph)
	}
	r.img = image.NewRGBA(image.Rect(0, 0, pw, ph))
	return nil
}

// attrs are an element's attributes.
type attrs map[string]string

func attributes(e xml.StartElement) attrs {
	a := attrs{}
	for _, x := range e.Attr {
		a[x.Name.Local] = x.Value
	}
	return a
}

func (a attrs) num(name string) float64 {
	v, _ := strconv.ParseFloat(a[name], 64)
	return v
}

func (a attrs) has(class string) bool {
	for _, c := range strings.Fields(a["class"]) {
		if c == class {
			return true
		}
	}
	return false
}

// classColours are the light ones of the style sheet.
var classFills = []struct{ class, colour string }{{"kv-bg", "#ffffff"}, {"kv-n", "#e4e8ec"}, {"kv-m", "#57606a"}, {"kv-t", "#1b1f24"}}
var classStrokes = []struct{ class, colour string }{{"kv-g", "#d8dee4"}, {"kv-a", "#8c959f"}}

// paint gives the colour of fill or stroke.
func (a attrs) paint(what string, classes []struct{ class, colour string }) (color.NRGBA, bool) {
	s := a[what]
	for _, c := range classes {
		if s == "" && a.has(c.class) {
			s = c.colour
		}
	}
	var c color.NRGBA
	if _, err := fmt.Sscanf(s, "#%02x%02x%02x", &c.R, &c.G, &c.B); err != nil {
		return c, false
	}
	c.A = 255
	for _, name := range []string{"opacity", what + "-opacity"} {
		if a[name] != "" {
			c.A = uint8(float64(c.A) * min(max(a.num(name), 0), 1))
		}
	}
	return c, true
}

type point struct{ x, y float64 }

func rectPath(x, y, w, h, rx float64) [][]point {
	rx = min(rx, w/2, h/2)
	if rx <= 0 {
		return [][]point{{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}}
	}
	var p []point
	for i, c := range []point{{x + w - rx, y + h - rx}, {x + rx, y + h - rx}, {x + rx, y + rx}, {x + w - rx, y + rx}} {
		for k := range 9 {
			sin, cos := math.Sincos((float64(i) + float64(k)/8) * math.Pi / 2)
			p = append(p, point{c.x + rx*cos, c.y + rx*sin})
		}
	}
	return [][]point{p}
}

// parsePath reads a path of straight lines: M, L, H, V, Z in both cases.
func parsePath(d string) (out [][]point, err error) {
	var cur []point
	var at, start point
	var op byte
	s := d
	number := func() (v float64) {
		s = strings.TrimLeft(s, " ,")
		n := 0
		for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.' || n == 0 && s[n] == '-') {
			n++
		}
		var e error
		if v, e = strconv.ParseFloat(s[:n], 64); e != nil && err == nil {
			err = fmt.Errorf("path: %w", e)
		}
		s = s[n:]
		return v
	}
	end := func() {
		if len(cur) > 0 {
			out = append(out, cur)
		}
		cur = nil
	}
	for s = strings.TrimLeft(s, " "); s != "" && err == nil; s = strings.TrimLeft(s, " ,") {
		if c := s[0]; c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			op, s = c, s[1:]
		}
		base := point{}
		if op >= 'a' {
			base = at
		}
		switch op | 0x20 {
		case 'm':
			end()
			at.x = base.x + number()
			at.y = base.y + number()
			start = at
			op -= 'm' - 'l'
		case 'l':
			at.x = base.x + number()
			at.y = base.y + number()
		case 'h':
			at.x = base.x + number()
		case 'v':
			at.y = base.y + number()
		case 'z':
			at = start
			cur = append(cur, at)
			end()
			continue
		default:
			return nil, fmt.Errorf("path: command %q", op)
		}
		cur = append(cur, at)
	}
	end()
	return out, err
}

// fillPath fills the inside of lines that are closed.
func (r *raster) fillPath(lines [][]point, a attrs) {
	c, ok := a.paint("fill", classFills)
	if !ok {
		return
	}
	r.paint(lines, c)
}

// paint fills polygons, working on no more of the image than they cover.
func (r *raster) paint(polygons [][]point, c color.NRGBA) {
	lo, hi := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, l := range polygons {
		for _, p := range l {
			lo = point{min(lo.x, p.x*r.scale), min(lo.y, p.y*r.scale)}
			hi = point{max(hi.x, p.x*r.scale), max(hi.y, p.y*r.scale)}
		}
	}
	all := r.img.Bounds()
	// Clipped before they become whole numbers, which cannot hold all.
	clip := func(v float64, most int) int { return int(min(max(v, 0), float64(most))) }
	b := image.Rect(clip(math.Floor(lo.x), all.Dx()), clip(math.Floor(lo.y), all.Dy()), clip(math.Ceil(hi.x), all.Dx()), clip(math.Ceil(hi.y), all.Dy()))
	if b.Empty() {
		return
	}
	r.v.Reset(b.Dx(), b.Dy())
	for _, l := range polygons {
		for i, p := range l {
			x, y := float32(p.x*r.scale-float64(b.Min.X)), float32(p.y*r.scale-float64(b.Min.Y))
			if i == 0 {
				r.v.MoveTo(x, y)
			} else {
				r.v.LineTo(x, y)
			}
		}
		r.v.ClosePath()
	}
	r.v.Draw(r.img, b, image.NewUniform(c), image.Point{})
}

// strokePath draws lines with their width, dashed if they are to be.
func (r *raster) strokePath(lines [][]point, a attrs) {
	c, ok := a.paint("stroke", classStrokes)
	if !ok {
		return
	}
	w := a.num("stroke-width")
	if w == 0 {
		w = 1
	}
	var dashes []float64
	for _, f := range strings.Fields(a["stroke-dasharray"]) {
		v, _ := strconv.ParseFloat(f, 64)
		dashes = append(dashes, max(v, 0.5))
	}
	var out [][]point
	for _, l := range lines {
		for _, part := range dash(l, dashes) {
			for i := 0; i+1 < len(part); i++ {
				out = append(out, segment(part[i], part[i+1], w/2))
			}
		}
	}
	r.paint(out, c)
}

// segment gives a line as a rectangle that goes on by half its width, so that
// corners are closed.
func segment(p, q point, half float64) []point {
	dx, dy := q.x-p.x, q.y-p.y
	length := math.Hypot(dx, dy)
	if length == 0 {
		dx, length = 1, 1
	}
	dx, dy = dx/length*half, dy/length*half
	return []point{{p.x - dx + dy, p.y - dy - dx}, {q.x + dx + dy, q.y + dy - dx}, {q.x + dx - dy, q.y + dy + dx}, {p.x - dx - dy, p.y - dy + dx}}
}

// dash cuts a line into its dashes.
func dash(l []point, pattern []float64) [][]point {
	if len(pattern) == 0 || len(l) == 0 {
		return [][]point{l}
	}
	var out [][]point
	cur := []point{l[0]}
	i, left := 0, pattern[0]
	for k := 1; k < len(l); k++ {
		p, q := l[k-1], l[k]
		for {
			length := math.Hypot(q.x-p.x, q.y-p.y)
			if length <= left {
				left -= length
				cur = append(cur, q)
				break
			}
			f := left / length
			p = point{p.x + (q.x-p.x)*f, p.y + (q.y-p.y)*f}
			if i%2 == 0 {
				out = append(out, append(cur, p))
			}
			i++
			left = pattern[i%len(pattern)]
			cur = []point{p}
		}
	}
	if i%2 == 0 {
		out = append(out, cur)
	}
	return out
}

func (r *raster) text(s string, a attrs) error {
	key := faceKey{size: 12.5, bold: a.has("kv-h")}
	switch {
	case a.has("kv-h"):
		key.size = 13.5
	case a.has("kv-s"):
		key.size = 11
	}
	face, err := r.face(key)
	if err != nil {
		return err
	}
	c, ok := a.paint("fill", classFills)
	if !ok {
		c = color.NRGBA{A: 255}
	}
	d := font.Drawer{Dst: r.img, Src: image.NewUniform(c), Face: face}
	x := fixed.Int26_6(math.Round(a.num("x") * r.scale * 64))
	switch w := d.MeasureString(s); a["text-anchor"] {
	case "middle":
		x -= w / 2
	case "end":
		x -= w
	}
	d.Dot = fixed.Point26_6{X: x, Y: fixed.Int26_6(math.Round(a.num("y") * r.scale * 64))}
	d.DrawString(s)
	return nil
}

func (r *raster) face(key faceKey) (font.Face, error) {
	if f := r.faces[key]; f != nil {
		return f, nil
	}
	data := goregular.TTF
	if key.bold {
		data = gobold.TTF
	}
	parsed, err := opentype.Parse(data)
	if err != nil {
		return nil, err
	}
	f, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: key.size * r.scale, DPI: 72, Hinting: font.HintingNone})
	if err == nil {
		r.faces[key] = f
	}
	return f, err
}
