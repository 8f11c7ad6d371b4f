package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the table in README.md and the golden graphs")

const (
	readme          = "../../README.md"
	exactnessStart  = "<!-- exactness: go test ./cmd/kernsim -run Readme -update -->\n"
	exactnessFinish = "<!-- end of exactness -->\n"
)

// The README's table of exactness is what the command prints.
func TestReadmeExactness(t *testing.T) {
	if testing.Short() {
		t.Skip("replays everything")
	}
	code, want, stderr := command("replay", "--markdown", "--known-limits", "../../captures/data", "../../captures/extra")
	require.Equal(t, exitExact, code, "something is worse than its limits.json says\n%s%s", want, stderr)
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), exactnessStart)
	require.True(t, ok)
	got, tail, ok := strings.Cut(rest, exactnessFinish)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(head+exactnessStart+want+exactnessFinish+tail), 0o644))
		return
	}
	assert.Equal(t, want, got, "run 'go test ./cmd/kernsim -run Readme -update'")
}

// Every command that the README names exists.
func TestReadmeNamesAllCommands(t *testing.T) {
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	for _, c := range newRootCommand().Commands() {
		assert.Contains(t, string(text), "`kernsim "+c.Name(), "%s is not in the README's table of commands", c.Name())
	}
}
