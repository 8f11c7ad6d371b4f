package viz

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
)

// Graph is a picture with the data that it shows.
type Graph interface {
	// SVG draws it.
	SVG() []byte
	// CSV gives its data with a heading line; missing values are empty.
	CSV() []byte
}

// writeCSV writes lines.
func writeCSV(lines [][]string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	// A buffer takes everything.
	_ = w.WriteAll(lines)
	return b.Bytes()
}

func cell(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 10, 64)
}

// columns writes quantities over a common X.
func columns(xLabel string, x []float64, names []string, values [][]float64) []byte {
	lines := [][]string{append([]string{xLabel}, names...)}
	for i := range x {
		line := []string{cell(x[i])}
		for _, v := range values {
			if i < len(v) {
				line = append(line, cell(v[i]))
			} else {
				line = append(line, "")
			}
		}
		lines = append(lines, line)
	}
	return writeCSV(lines)
}

// CSV has a column for each series, those not drawn too.
func (g Lines) CSV() []byte {
	var names []string
	var values [][]float64
	for _, s := range g.Series {
		names, values = append(names, s.Name), append(values, s.Y)
	}
	return columns(g.XLabel, g.X, names, values)
}

// CSV has a column for each row of the graph.
func (g Rows) CSV() []byte {
	var names []string
	var values [][]float64
	for _, r := range g.Rows {
		names, values = append(names, g.RowsLabel+" "+r.Name), append(values, r.Y)
	}
	return columns(g.XLabel, g.X, names, values)
}

// CSV has a column for each row of the graph.
func (g Heat) CSV() []byte {
	var names []string
	var values [][]float64
	for _, r := range g.Rows {
		names, values = append(names, g.RowsLabel+" "+r.Name), append(values, r.Values)
	}
	return columns(g.XLabel, g.X, names, values)
}

// CSV has a line for each bar.
func (g Bars) CSV() []byte {
	lines := [][]string{{"name", g.ValueLabel, "of"}}
	for _, b := range g.Bars {
		lines = append(lines, []string{b.Name, strconv.Itoa(b.Done), strconv.Itoa(b.Of)})
	}
	return writeCSV(lines)
}

// CSV has a line for each row.
func (g Intervals) CSV() []byte {
	lines := [][]string{{"name", g.Value.Label, "low", "high"}}
	for _, r := range g.Rows {
		lines = append(lines, []string{r.Name, cell(r.At), cell(r.Lo), cell(r.Hi)})
	}
	return writeCSV(lines)
}

// CSV has a line for each pageblock.
func (g BlockMap) CSV() []byte {
	lines := [][]string{{"node", "zone", "first_pfn", "migrate_type", "pages", "free_pages"}}
	for i := range g.Zones {
		z := &g.Zones[i]
		for k, b := range z.Blocks {
			lines = append(lines, []string{fmt.Sprint(z.Node), z.Type.String(), fmt.Sprint(uint64(z.First) + uint64(k)*z.BlockPages),
				b.Type.String(), fmt.Sprint(b.Pages), fmt.Sprint(b.Free)})
		}
	}
	return writeCSV(lines)
}
