package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const want = `  reader 1 | -oooo                        |
  reader 2 |    -oooooooooooo             |
  reader 3 |       -ooooo                 |
  reader 4 |               -nnnnnnnnnn    |
    update |         PggggggggF           |
inside: - nothing read yet, o the old version, n the new one; P published, g grace period, F old version freed
`

// TestRun: readers that began before the publication keep the old version; the grace
// period lasts until the last of them has left, and does not wait for the one that
// began later.
func TestRun(t *testing.T) {
	h, err := run(readers)
	require.NoError(t, err)
	require.Equal(t, want, h.String())
	require.Zero(t, h.stale)
	lastOld := readers[1].end
	require.GreaterOrEqual(t, h.ended, lastOld)
	require.Less(t, h.freed, readers[3].end, "reader 4 is not waited for")
}

// TestDrawing: every step of a reader has a box, and the three moments show the
// versions' readers.
func TestDrawing(t *testing.T) {
	h, err := run(readers)
	require.NoError(t, err)
	svg := h.svg()
	require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})))
	require.Equal(t, 16, h.both())
	boxes := 0
	for _, r := range readers {
		boxes += r.end - r.start
	}
	require.Equal(t, boxes, strings.Count(svg, "<title>reader"))
	require.Equal(t, 1, strings.Count(svg, ">freed<"))
	require.Equal(t, 2, strings.Count(svg, ">old version<"))
	require.Equal(t, 2, strings.Count(svg, ">new version<"))
}

// TestAnyReaders: wherever readers begin and end, none uses a freed version.
func TestAnyReaders(t *testing.T) {
	for start := range 20 {
		for length := 2; length < 14; length += 3 {
			rs := []reader{{"a", start, start + length}, {"b", publishAt - 1, publishAt + length}}
			h, err := run(rs)
			require.NoError(t, err)
			require.Zero(t, h.stale, fmt.Sprint(rs))
		}
	}
}
