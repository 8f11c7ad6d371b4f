package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the example in README.md")

// output runs main and gives what it prints.
func output(t *testing.T) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = f
	defer func() { os.Stdout = stdout }()
	main()
	require.NoError(t, f.Close())
	text, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return string(text)
}

// block gives a document's code block after a marker, and what is around it.
func block(t *testing.T, text, marker string) (head, code, tail string) {
	t.Helper()
	i := strings.Index(text, marker)
	require.GreaterOrEqual(t, i, 0, marker)
	start := i + len(marker)
	n := strings.Index(text[start:], "```\n")
	require.GreaterOrEqual(t, n, 0, marker)
	return text[:start], text[start : start+n], text[start+n:]
}

// The README's example is this program, with what it prints.
func TestReadmeExample(t *testing.T) {
	const readme = "../../README.md"
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(program), "\n") // without the package comment
	want := map[string]string{
		"<!-- example: examples/pages/main.go -->\n```go\n": code,
		"<!-- output of the example -->\n```\n":             output(t),
	}
	raw, err := os.ReadFile(readme)
	require.NoError(t, err)
	text := string(raw)
	for marker, w := range want {
		head, got, tail := block(t, text, marker)
		if *update {
			text = head + w + tail
			continue
		}
		assert.Equal(t, w, got, "run 'go test ./examples/pages -update'")
	}
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(text), 0o644))
	}
}
