package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	b, err := os.ReadFile("../../trace/testdata/tracefs-6.1-x86_64.txt")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, run(&out, bytes.NewReader(b), int64(len(b)), "trace.txt"))
	lines := strings.Split(out.String(), "\n")
	assert.Equal(t, "trace.txt (text)", lines[0])
	assert.Equal(t, "sh                     11 pages      18896 bytes of slab objects", lines[1])
	require.Error(t, run(&out, strings.NewReader("nonsense\n"), 9, "x"))
}
