package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
)

// command runs the command line and gives its exit code and outputs.
func command(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), args, &out, &err)
	return code, out.String(), err.String()
}

// small is an embedded capture that is quick and exact.
const small = "x86_64-6.1-slab-1cpu"

// limited is a capture that no model can replay whole.
const limited = "../../captures/extra/hw-x86_64-epyc-6.18-slab"

func TestReplayJSONHasTheDocumentedFields(t *testing.T) {
	code, stdout, stderr := command("replay", "--json", "--model", "pages", small)
	assert.Equal(t, exitExact, code, stderr)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
	require.Len(t, rows, 1)
	for _, field := range []string{"capture", "kernel", "machine", "model", "requests", "exact", "events", "events_exact",
		"lists", "lists_identical", "hints", "first_difference"} {
		assert.Contains(t, rows[0], field)
	}
	assert.Equal(t, small, rows[0]["capture"])
	assert.Equal(t, "6.1.0-56-amd64", rows[0]["kernel"])
	assert.Equal(t, "pages", rows[0]["model"])
	assert.Positive(t, rows[0]["requests"])
	assert.Equal(t, rows[0]["requests"], rows[0]["exact"])
	assert.Equal(t, "", rows[0]["first_difference"])
}

func TestReplayFolderAndNameGiveTheSame(t *testing.T) {
	_, byName, _ := command("replay", "--json", small)
	code, byPath, stderr := command("replay", "--json", filepath.Join("..", "..", "captures", "data", small))
	assert.Equal(t, exitExact, code, stderr)
	assert.Equal(t, byName, byPath)
}

// The order of the output is that of the arguments, whatever finishes first.
func TestReplayKeepsTheOrder(t *testing.T) {
	names := []string{"x86_64-6.1-mixed-2cpu", small, "pi3-kmem-slab", small}
	for _, jobs := range []string{"1", "4"} {
		_, stdout, _ := command(append([]string{"replay", "--json", "--model", "pages", "-j", jobs}, names...)...)
		var rows []row
		require.NoError(t, json.Unmarshal([]byte(stdout), &rows))
		var got []string
		for _, r := range rows {
			got = append(got, r.Capture)
		}
		assert.Equal(t, names, got)
	}
}

// changed is a copy of a capture with its trace cut or altered.
func changed(t *testing.T, alter func(trace string) string) string {
	t.Helper()
	dir, _, err := extract(small, t.TempDir(), true)
	require.NoError(t, err)
	path := filepath.Join(dir, "trace.txt")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(alter(string(text))), 0o644))
	return dir
}

// exchangePFN changes the page frame that the kernel gave for one request.
func exchangePFN(trace string) string {
	marks := strings.Index(trace, "seq=2147483649")
	i := marks + strings.Index(trace[max(marks, 0):], "mm_page_alloc: ")
	j := i + strings.Index(trace[i:], "pfn=0x") + len("pfn=0x")
	digit := "1"
	if trace[j] == '1' {
		digit = "2"
	}
	return trace[:j] + digit + trace[j+1:]
}

func TestExitCodes(t *testing.T) {
	different := changed(t, exchangePFN)
	cut := changed(t, func(s string) string { return s[:len(s)/2] })
	empty := t.TempDir()
	for _, tc := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"exact", []string{"replay", small}, exitExact, ""},
		{"different", []string{"replay", different}, exitDifferent, ""},
		{"different, no limit documented", []string{"replay", "--known-limits", different}, exitDifferent, ""},
		{"known limit", []string{"replay", limited}, exitDifferent, ""},
		{"known limit accepted", []string{"replay", "--known-limits", limited}, exitExact, ""},
		{"cut trace", []string{"replay", cut}, exitUnusable, "slab-1cpu"},
		{"unusable beats different", []string{"replay", cut, different}, exitUnusable, "1 of 2"},
		{"empty folder", []string{"replay", empty}, exitUnusable, "nothing to replay"},
		{"no such folder", []string{"replay", filepath.Join(empty, "no")}, exitUnusable, "neither a folder nor an embedded capture"},
		{"a file", []string{"replay", filepath.Join(different, "meta.json")}, exitUnusable, "not a folder"},
		{"unknown model", []string{"replay", "--model", "nonsense"}, exitUnusable, "unknown model"},
		{"unknown flag", []string{"replay", "--nonsense"}, exitUnusable, "--help"},
		{"unknown command", []string{"nonsense"}, exitUnusable, "unknown command"},
		{"two formats", []string{"replay", "--json", "--markdown", small}, exitUnusable, "json markdown"},
		{"help", []string{"replay", "--help"}, exitExact, ""},
		{"no arguments", nil, exitExact, ""},
		{"extract without a folder", []string{"captures", "extract", small}, exitUnusable, "--help"},
		{"extract nothing", []string{"captures", "extract", "nothing", empty}, exitUnusable, "no such embedded capture"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := command(tc.args...)
			assert.Equal(t, tc.code, code, "%s\n%s", stdout, stderr)
			assert.Contains(t, stderr, tc.stderr)
			if tc.code == exitUnusable {
				assert.NotEmpty(t, stderr)
			}
		})
	}
}

func TestReplayTellsTheFirstDifference(t *testing.T) {
	_, stdout, _ := command("replay", changed(t, exchangePFN))
	assert.Contains(t, stdout, "first difference: trace line")
	assert.Contains(t, stdout, "differs")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, err bytes.Buffer
	assert.Equal(t, exitInterrupted, run(ctx, []string{"replay"}, &out, &err))
	assert.Empty(t, out.String())
	assert.Equal(t, "kernsim: interrupted\n", err.String())
}

// No colour codes and no progress bar where no terminal is.
func TestOutputIsPlainWithoutATerminal(t *testing.T) {
	_, stdout, stderr := command("replay", small)
	assert.NotContains(t, stdout+stderr, "\x1b")
	assert.Empty(t, stderr)
}

func TestReplaySubfolders(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{small, "pi3-kmem-slab"} {
		_, _, err := extract(name, parent, false)
		require.NoError(t, err)
	}
	require.NoError(t, os.Mkdir(filepath.Join(parent, "other"), 0o755))
	code, stdout, stderr := command("replay", "--json", "--model", "pages", parent)
	assert.Equal(t, exitExact, code, stderr)
	assert.Equal(t, 2, strings.Count(stdout, `"capture"`))
	require.NoError(t, os.MkdirAll(filepath.Join(parent, "deep"), 0o755))
	_, _, err := extract(small, filepath.Join(parent, "deep", "er"), false)
	require.NoError(t, err)
	_, stdout, _ = command("replay", "--json", "--model", "pages", parent)
	assert.Contains(t, stdout, `"capture": "deep/er/`+small+`"`)
	code, _, stderr = command("replay", parent)
	assert.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stderr, "other: holds nothing that can be replayed, skipped")
}

func TestCapturesList(t *testing.T) {
	code, stdout, _ := command("captures")
	assert.Equal(t, exitExact, code)
	for _, c := range captures.List() {
		assert.Contains(t, stdout, c.Name)
	}
	code, stdout, _ = command("captures", "--json")
	assert.Equal(t, exitExact, code)
	var list []captures.Info
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	assert.Equal(t, captures.List(), list)
	code, stdout, _ = command("captures", filepath.Base(limited))
	assert.Equal(t, exitExact, code)
	assert.Contains(t, stdout, "virtual machine guest")
	assert.Contains(t, stdout, "known limit")
	code, _, stderr := command("captures", "nonsense")
	assert.Equal(t, exitUnusable, code)
	assert.Contains(t, stderr, "nonsense")
}

func TestExtractDoesNotOverwrite(t *testing.T) {
	dir := t.TempDir()
	code, stdout, _ := command("captures", "extract", small, dir)
	assert.Equal(t, exitExact, code)
	assert.Contains(t, stdout, small)
	code, _, stderr := command("captures", "extract", small, dir)
	assert.Equal(t, exitUnusable, code)
	assert.Contains(t, stderr, "exists already")
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, stdout, _ := command("completion", shell)
		assert.Equal(t, exitExact, code)
		assert.NotEmpty(t, stdout)
	}
	_, stdout, _ := command("__complete", "replay", "x86_64-6.1-slab")
	assert.Contains(t, stdout, small)
	_, stdout, _ = command("__complete", "replay", "--model", "")
	assert.Contains(t, stdout, "pages")
}

func TestPercentIsNeverRoundedUp(t *testing.T) {
	assert.Equal(t, "100%", percent(3, 3))
	assert.Equal(t, "100%", percent(0, 0))
	assert.Equal(t, "99.999%", percent(99999999, 100000000))
	assert.Equal(t, "66.666%", percent(2, 3))
	assert.Equal(t, "0.000%", percent(0, 3))
}

func TestWithLimit(t *testing.T) {
	limits := []captures.Limit{{Model: "pages", Share: 0.9, Events: 0.5, Lists: 1, Why: "because"}}
	result := replay.Result{Model: "pages", Requests: 10, Exact: 9, Events: 4, EventsExact: 2, Lists: 3, ListsIdentical: 3}
	for _, tc := range []struct {
		name    string
		change  func(*replay.Result)
		verdict string
	}{
		{"just reached", func(*replay.Result) {}, "known limit"},
		{"fewer requests", func(r *replay.Result) { r.Exact = 8 }, "differs"},
		{"fewer events", func(r *replay.Result) { r.EventsExact = 1 }, "differs"},
		{"fewer lists", func(r *replay.Result) { r.ListsIdentical = 2 }, "differs"},
		{"another model", func(r *replay.Result) { r.Model = "slab" }, "differs"},
		{"better", func(r *replay.Result) { r.Exact, r.EventsExact = 10, 4 }, "exact"},
	} {
		r := result
		tc.change(&r)
		got := withLimit(r, limits)
		assert.Equal(t, tc.verdict, got.verdict(), tc.name)
	}
}
