package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// litmusTests are the memory model's own.
var litmusTests = filepath.Join("..", "..", "sync", "lkmm", "testdata")

// litmusTest writes a test to a file.
func litmusTest(t *testing.T, dir, name, text string) string {
	path := filepath.Join(dir, name+".litmus")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func TestLitmusJSONHasTheDocumentedFields(t *testing.T) {
	bad := litmusTest(t, t.TempDir(), "bad", "C bad\n{}\nP0(int *x)\n{\n\tsmp_barrier();\n}\n")
	race := filepath.Join(litmusTests, "plain-race.litmus")
	code, stdout, stderr := command("litmus", "--json", filepath.Join(litmusTests, "sb-relaxed.litmus"), race, bad, "nowhere.litmus")
	assert.Equal(t, exitUnusable, code, stderr)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows), stdout)
	require.Len(t, rows, 4)
	for _, r := range rows {
		require.Len(t, r, 8)
		assert.IsType(t, 0.0, r["ms"])
		delete(r, "ms")
	}
	assert.Equal(t, map[string]any{"file": filepath.Join(litmusTests, "sb-relaxed.litmus"), "name": "sb-relaxed",
		"result": "Sometimes", "states": 4.0, "witnesses": 1.0, "race": false, "error": ""}, rows[0])
	assert.Equal(t, race, rows[1]["file"])
	assert.Equal(t, true, rows[1]["race"])
	assert.Equal(t, map[string]any{"file": bad, "name": "", "result": "", "states": 0.0, "witnesses": 0.0, "race": false,
		"error": bad + `:5:2: found "smp_barrier", expected a primitive of the kernel memory model`}, rows[2])
	assert.Contains(t, rows[3]["error"], "nowhere.litmus")
}

// A folder's tests all have the results that they state.
func TestLitmusFolder(t *testing.T) {
	code, stdout, stderr := command("litmus", "--json", litmusTests)
	assert.Equal(t, exitExact, code, stderr)
	var rows []litmusRow
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	files, err := filepath.Glob(filepath.Join(litmusTests, "*.litmus"))
	require.NoError(t, err)
	require.Len(t, rows, len(files))
	for i, r := range rows {
		assert.Equal(t, files[i], r.File)
		assert.Empty(t, r.Error)
	}
}

func TestLitmusExitCodes(t *testing.T) {
	dir := t.TempDir()
	never := "(* Result: Never *)\n{}\nP0(int *x)\n{\n\tint r0 = READ_ONCE(*x);\n}\nexists (0:r0=%)\n"
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitExact, []string{litmusTest(t, dir, "right", "C right\n"+strings.Replace(never, "%", "1", 1))}},
		{exitDifferent, []string{litmusTest(t, dir, "wrong", "C wrong\n"+strings.Replace(never, "%", "0", 1))}},
		{exitUnusable, []string{litmusTest(t, dir, "bad", "C bad\n")}},
		{exitUnusable, []string{t.TempDir()}},
		{exitUnusable, []string{"--model", "5.0", litmusTests}},
		{exitUnusable, []string{"--without", "gravity", litmusTests}},
		{exitUnusable, []string{"--machine", "vax", litmusTests}},
		{exitUnusable, nil},
	} {
		code, _, stderr := command(append([]string{"litmus"}, c.args...)...)
		assert.Equal(t, c.code, code, "%v: %s", c.args, stderr)
	}
}

// --without shows what an axiom forbids, --machine a run to the condition.
func TestLitmusShowsWhy(t *testing.T) {
	forbidden, allowed := filepath.Join(litmusTests, "sb-mb.litmus"), filepath.Join(litmusTests, "sb-relaxed.litmus")
	_, stdout, _ := command("litmus", "--states", "--without", "propagation", forbidden)
	assert.Contains(t, stdout, "sb-mb: Sometimes, 1 of 4 executions")
	_, stdout, _ = command("litmus", "--machine", "tso", allowed, forbidden)
	assert.Contains(t, stdout, "sb-relaxed on tso: 4 of 4 states; a run to the condition:")
	assert.Contains(t, stdout, "sb-mb on tso: 3 of 3 states, never the condition")
}

// Every test's graph is well-formed XML, and a graph for Graphviz.
func TestLitmusGraphs(t *testing.T) {
	dir := t.TempDir()
	code, _, stderr := command("litmus", "--graph="+dir, litmusTests)
	require.Equal(t, exitExact, code, stderr)
	graphs, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	require.NoError(t, err)
	require.NotEmpty(t, graphs)
	for _, path := range graphs {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		d := xml.NewDecoder(strings.NewReader(string(text)))
		for err == nil {
			_, err = d.Token()
		}
		require.ErrorIs(t, err, io.EOF, path)
		dot, err := os.ReadFile(strings.TrimSuffix(path, ".svg") + ".dot")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(dot), "digraph ") && strings.HasSuffix(string(dot), "}\n"), path)
	}
	text, err := os.ReadFile(filepath.Join(dir, "sb-mb.svg"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "sb-mb: forbidden by propagation")
}

// The captured tests are replayed like any capture.
func TestReplayLitmus(t *testing.T) {
	code, stdout, stderr := command("replay", "--json", filepath.Join("..", "..", "captures", "litmus"))
	assert.Equal(t, exitExact, code, stderr)
	var rows []row
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	require.Len(t, rows, 1)
	assert.Equal(t, "litmus", rows[0].Model)
	assert.EqualValues(t, 284, rows[0].Requests)
	assert.Equal(t, rows[0].Requests, rows[0].Exact)
}

// A verdict that differs from the stated one is told.
func TestReplayLitmusTellsTheDifference(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests.json"), []byte(`[{"name":"SB","path":"dir/SB.litmus","init":{},
		"threads":[{"id":0,"ops":[{"op":"write","loc":"x","val":1,"order":"once"},{"op":"read","dst":"r0","loc":"y","order":"once"}]},
		{"id":1,"ops":[{"op":"write","loc":"y","val":1,"order":"once"},{"op":"read","dst":"r0","loc":"x","order":"once"}]}],
		"quantifier":"exists","condition":["and",["eq","0:r0",0],["eq","1:r0",0]],"expected":"Never","result_header":"Never"}]`), 0o644))
	code, stdout, stderr := command("replay", "--json", dir)
	assert.Equal(t, exitDifferent, code, stderr)
	var rows []row
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	require.Len(t, rows, 1)
	assert.EqualValues(t, 1, rows[0].Requests)
	assert.EqualValues(t, 0, rows[0].Exact)
	assert.Contains(t, rows[0].FirstDifference, "dir/SB.litmus: verdict Sometimes, stated Never")
}
