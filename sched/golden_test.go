package sched

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// golden opens a file of testdata.
func golden(t *testing.T, name string) *bufio.Reader {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".txt.gz")
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	return bufio.NewReader(z)
}

// scan reads numbers and words.
func scan(t *testing.T, in io.Reader, to ...any) {
	t.Helper()
	_, err := fmt.Fscan(in, to...)
	require.NoError(t, err)
}

// script is what does a script's operations and tells its state.
type script interface {
	begin(t *testing.T, line string)
	do(t *testing.T, line string)
	state() string
	Check() error
}

// runScript does scripts, each of which begins with "begin", compares the state with
// every line "= " and returns how many there are.
func runScript(t *testing.T, in io.Reader, r script) (states int) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	n, op := 0, ""
	for lines.Scan() {
		n++
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "begin"):
			r.begin(t, line)
		case strings.HasPrefix(line, "= "):
			states++
			require.Equal(t, strings.Fields(line[2:]), strings.Fields(r.state()), "line %d, after %q", n, op)
			require.NoError(t, r.Check(), "line %d, after %q", n, op)
		default:
			op = line
			r.do(t, line)
		}
	}
	require.NoError(t, lines.Err())
	return states
}
