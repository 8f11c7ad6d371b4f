package viz

import (
	"fmt"
	"math"

	"github.com/kernsim/kernsim/buddy"
)

// seriesColours are Okabe and Ito's, without black and yellow, which vanish on
// a dark or a white ground, and ending in a grey.
var seriesColours = [...]string{"#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8c8c8c"}

// seriesDashes tell the series apart without colour, and let one that lies
// under others be seen between them. Round ends add a pixel to each side.
var seriesDashes = [...]string{"", "6 6", "0.1 5", "9 5 0.1 5", "3 4", "0.1 8", "14 5"}

// maxSeries is how many lines one graph shows.
const maxSeries = len(seriesColours)

// typeColours are the hues of the migrate types.
var typeColours = [buddy.NumMigrateTypes]string{
	buddy.Unmovable:   "#d55e00",
	buddy.Movable:     "#0072b2",
	buddy.Reclaimable: "#009e73",
	buddy.HighAtomic:  "#e69f00",
	buddy.CMA:         "#cc79a7",
	buddy.Isolate:     "#8c8c8c",
}

// viridisStops are the colour map's values at sixteen equal steps.
var viridisStops = [...][3]float64{
	{68, 1, 84}, {72, 26, 108}, {71, 47, 125}, {65, 68, 135}, {57, 86, 140}, {49, 104, 142},
	{42, 120, 142}, {35, 136, 142}, {31, 152, 139}, {34, 168, 132}, {53, 183, 121},
	{84, 197, 104}, {122, 209, 81}, {165, 219, 54}, {210, 226, 27}, {253, 231, 37},
}

// viridis gives the colour of a value from 0 (dark violet) to 1 (yellow).
// Values outside are cut.
func viridis(v float64) string {
	v = min(max(v, 0), 1) * float64(len(viridisStops)-1)
	i := min(int(v), len(viridisStops)-2)
	f := v - float64(i)
	var c [3]int
	for k := range c {
		c[k] = int(math.Round(viridisStops[i][k]*(1-f) + viridisStops[i+1][k]*f))
	}
	return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])
}
