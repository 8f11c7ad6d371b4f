package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A trace text that goes through another format comes back to the byte, its
// header aside.
func TestConvertThereAndBack(t *testing.T) {
	in := filepath.Join("..", "..", "trace", "testdata", "tracefs-6.12-sched.txt")
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.txt")
	code, _, stderr := command("convert", in, plain)
	require.Equal(t, exitExact, code, stderr)
	want, err := os.ReadFile(in)
	require.NoError(t, err)
	same, err := os.ReadFile(plain)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(same), "text to text keeps the header too")

	for _, name := range []string{"t.dat", "t.pftrace", "t.json", "t.csv"} {
		file, again := filepath.Join(dir, name), filepath.Join(dir, name+".txt")
		for _, args := range [][]string{{"convert", in, file}, {"convert", file, again}} {
			code, _, stderr := command(args...)
			require.Equal(t, exitExact, code, stderr)
		}
		got, err := os.ReadFile(again)
		require.NoError(t, err)
		assert.Equal(t, withoutComments(want), withoutComments(got), name)
	}
}

// withoutComments leaves out the lines that start with #.
func withoutComments(b []byte) string {
	var out []byte
	for line := range bytes.Lines(b) {
		if line[0] != '#' {
			out = append(out, line...)
		}
	}
	return string(out)
}

func TestConvertErrors(t *testing.T) {
	in := filepath.Join("..", "..", "trace", "testdata", "tracefs-6.12-sched.txt")
	for _, args := range [][]string{
		{"convert", in},
		{"convert", in, "out.unknown"},
		{"convert", "--to=ctf", in, "-"},
		{"convert", in, in},
		{"convert", "--from=dat", in, "x.txt"},
		{"convert", "missing.dat", "x.txt"},
		{"convert", "README.md.missing", filepath.Join(t.TempDir(), "x", "y.txt")},
	} {
		dir := t.TempDir()
		if len(args) == 3 && args[2] == "x.txt" {
			args[2] = filepath.Join(dir, "x.txt")
		}
		code, _, stderr := command(args...)
		assert.Equal(t, exitUnusable, code, "%v", args)
		assert.NotEmpty(t, stderr)
	}
}
