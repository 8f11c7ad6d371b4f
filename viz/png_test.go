package viz

import (
	"bytes"
	"encoding/csv"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func raster1(t *testing.T, svg string, scale float64) image.Image {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, WritePNG(&b, []byte(svg), scale))
	img, err := png.Decode(&b)
	require.NoError(t, err)
	return img
}

func TestPNGDrawsElements(t *testing.T) {
	img := raster1(t, `<svg viewBox="0 0 100 50"><rect class="kv-bg" width="100" height="50"/>
<rect x="10" y="10" width="20" height="20" fill="#ff0000"><title>text that is not drawn</title></rect>
<rect x="10" y="10" width="20" height="20" rx="10" fill="#00ff00"/>
<line class="kv-g" x1="40" y1="0" x2="40" y2="50" stroke="#0000ff" stroke-width="4"/>
<path d="M50 10h10v10h-10z" fill="#123456"/><path d="M70 20L90 20" stroke="#654321" stroke-width="2" fill="none" stroke-dasharray="5 5"/></svg>`, 2)
	assert.Equal(t, image.Rect(0, 0, 200, 100), img.Bounds())
	for _, c := range []struct {
		x, y int
		want color.RGBA
	}{{2, 2, color.RGBA{255, 255, 255, 255}}, {21, 21, color.RGBA{255, 0, 0, 255}}, {40, 40, color.RGBA{0, 255, 0, 255}},
		{80, 50, color.RGBA{0, 0, 255, 255}}, {110, 30, color.RGBA{0x12, 0x34, 0x56, 255}},
		{145, 40, color.RGBA{0x65, 0x43, 0x21, 255}}, {155, 40, color.RGBA{255, 255, 255, 255}}} {
		assert.Equal(t, c.want, color.RGBAModel.Convert(img.At(c.x, c.y)), "at %d %d", c.x, c.y)
	}
}

// Every kind of graph can be drawn, in the size that its SVG has, and is not
// empty; and its data can be written.
func TestGraphsAsPNGAndCSV(t *testing.T) {
	for name, g := range graphs() { // order does not matter
		graph, ok := g.(Graph)
		require.True(t, ok, name)
		img := raster1(t, string(graph.SVG()), 1)
		assert.Equal(t, int(width), img.Bounds().Dx(), name)
		seen := map[color.Color]bool{}
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				seen[img.At(x, y)] = true
			}
		}
		assert.Greater(t, len(seen), 20, name)
		lines, err := csv.NewReader(bytes.NewReader(graph.CSV())).ReadAll()
		require.NoError(t, err, name)
		assert.Greater(t, len(lines), 2, name)
	}
}

func TestPNGRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, svg := range []string{"", "<p/>", `<svg viewBox="x"/>`, `<svg viewBox="0 0 1e9 1e9"/>`, `<svg viewBox="0 0 9 9"><circle/></svg>`,
		`<svg viewBox="0 0 9 9"><path d="M0 0C1 1 2 2 3 3"/></svg>`, `<svg viewBox="0 0 9 9"><path d="M0 zz"/></svg>`, `<svg viewBox="0 0 9 9"><rect`} {
		assert.Error(t, WritePNG(&bytes.Buffer{}, []byte(svg), 1), svg)
	}
}

func TestCSVOfLines(t *testing.T) {
	g := Lines{XLabel: "time (s)", X: []float64{0, 0.5}, Series: []Series{{"a, b", []float64{1, nanValue()}}}}
	assert.Equal(t, "time (s),\"a, b\"\n0,1\n0.5,\n", string(g.CSV()))
}

func nanValue() float64 { var zero float64; return zero / zero }
