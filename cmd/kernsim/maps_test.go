package main

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMapsCommand(t *testing.T) {
	path := writeFile(t, "maps.txt", `555555554000-555555556000 r--p 00000000 08:01 7340064                    /usr/bin/cat
7ffff7d00000-7ffff7e00000 rw-p 00000000 00:00 0 
7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]
`)
	code, out, errs := runKernsim(t, "maps", path)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "| [stack] ")
	assert.Contains(t, out, "3 regions with 1164 KiB")
	code, out, _ = runKernsim(t, "maps", "--json", path)
	require.Zero(t, code)
	var rows []mapRow
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Len(t, rows, 5)
	assert.True(t, rows[1].Hole)
	if _, err := os.Stat("/proc/self/maps"); err == nil {
		code, out, errs = runKernsim(t, "maps", "--scale", strconv.Itoa(os.Getpid()))
		require.Zero(t, code, errs)
		assert.Contains(t, out, "[stack]")
	}
	for _, bad := range []string{"nowhere", writeFile(t, "x", "hello"), writeFile(t, "y", "")} {
		code, _, errs := runKernsim(t, "maps", bad)
		assert.Equal(t, 2, code)
		assert.NotEmpty(t, errs)
	}
}
