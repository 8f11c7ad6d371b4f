package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// files gives a folder's files with their contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		out[p[len(dir):]] = string(text)
		return err
	}))
	return out
}

func TestReportIsDeterministicAndSelfContained(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	code, stdout, stderr := command("report", "-o", a, "--model", "pages", small, "pi3-kmem-slab")
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, filepath.Join(a, "index.html"))
	code, _, stderr = command("report", "-o", b, "-j", "1", "--model", "pages", small, "pi3-kmem-slab")
	require.Equal(t, exitExact, code, stderr)
	got := files(t, a)
	assert.Equal(t, got, files(t, b))
	page := got["/index.html"]
	assert.NotRegexp(t, regexp.MustCompile(`<(script|link|img|iframe)|@import|url\(`), page, "the page needs something else")
	for _, want := range []string{small, "pi3-kmem-slab", "not hardware", "6.1.0-56-amd64", "6.1.0-56-arm64",
		"Free blocks by order", "Per-CPU page lists", "Memory map before", "Memory map after",
		"Unusable free space index", "External fragmentation index", "Requests answered as the kernel did"} {
		assert.Contains(t, page, want)
	}
	assert.Contains(t, got, "/results.json")
	assert.Contains(t, got, "/figures/"+small+"/free-blocks.svg")
}

func TestReportExitCodes(t *testing.T) {
	dir := t.TempDir()
	code, stdout, _ := command("report", "-o", dir, changed(t, exchangePFN))
	assert.Equal(t, exitDifferent, code)
	assert.Contains(t, stdout, "differs")
	code, stdout, _ = command("report", "-o", dir, limited)
	assert.Equal(t, exitExact, code)
	assert.Contains(t, stdout, "known limit")
	code, _, stderr := command("report", "-o", dir, changed(t, func(s string) string { return s[:len(s)/2] }), small)
	assert.Equal(t, exitUnusable, code)
	assert.Contains(t, stderr, "1 of 2 captures could not be replayed")
	page := files(t, dir)["/index.html"]
	assert.Contains(t, page, "Some captures could not be replayed.")
}

func TestReportToAnUnusableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	code, _, stderr := command("report", "-o", file, small)
	assert.Equal(t, exitUnusable, code)
	assert.Contains(t, stderr, file)
}

func TestSectionID(t *testing.T) {
	assert.Equal(t, "x86_64-6.1-a-b--c", sectionID("x86_64-6.1-a b/<c"))
	assert.Equal(t, "------", sectionID("\"\x27><ç/"))
}
