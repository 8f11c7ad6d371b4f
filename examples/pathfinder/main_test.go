package main

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const want = `plain mutex
           bus |  #.......................==#       |
 communication |    ####################            |
       weather |#=-=--------------------==---##     |
bus done after 27 ms: the watchdog resets the machine

rt_mutex with priority inheritance
           bus |  #...==#                           |
 communication |    -----####################       |
       weather |#=-===-----------------------##     |
bus done after 7 ms: in time

`

func TestRun(t *testing.T) {
	plain, err := run(false)
	require.NoError(t, err)
	inherit, err := run(true)
	require.NoError(t, err)
	require.Equal(t, want, plain.String()+inherit.String())
}

// TestGraph: the graph has a box for every ms that a line shows.
func TestGraph(t *testing.T) {
	plain, err := run(false)
	require.NoError(t, err)
	boxes := 0
	for _, line := range plain.lines {
		boxes += len(strings.ReplaceAll(line, " ", ""))
	}
	svg := graph([]timeline{plain})
	require.Equal(t, boxes+len(colours), strings.Count(svg, "<rect"))
	require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})))
}
