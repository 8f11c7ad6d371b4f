package main

import (
	"bytes"
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
	var b bytes.Buffer
	require.NoError(t, run(&b, false))
	require.NoError(t, run(&b, true))
	require.Equal(t, want, b.String())
}
