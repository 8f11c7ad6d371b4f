package captures_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/captures"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

func TestListTellsProvenance(t *testing.T) {
	list := captures.List()
	require.NotEmpty(t, list)
	seen := map[string]bool{}
	for _, c := range list {
		assert.False(t, seen[c.Name], "%s twice", c.Name)
		seen[c.Name] = true
		assert.NotEmpty(t, c.Kernel, c.Name)
		assert.NotEmpty(t, c.Machine, c.Name)
		assert.NotEmpty(t, c.Workload, c.Name)
		assert.Positive(t, c.CPUs, c.Name)
		assert.Equal(t, c.Embedded, c.Bytes > 0, c.Name)
		_, err := os.Stat(filepath.Join("..", c.Path, "meta.json"))
		assert.NoError(t, err)
	}
}

// An emulated machine must never be called hardware.
func TestMachinesSayWhetherTheyAreHardware(t *testing.T) {
	for _, c := range captures.List() {
		emulated := strings.Contains(c.Machine, "emulated") && strings.Contains(c.Machine, "not hardware")
		real := strings.HasPrefix(c.Machine, "real ") && !strings.Contains(c.Machine, "QEMU")
		assert.True(t, emulated != real, "%s: %q", c.Name, c.Machine)
	}
}

// Every folder below data and extra with files is a capture or part of one, so
// that no data is without provenance.
func TestEveryFolderHasProvenance(t *testing.T) {
	known := map[string]bool{}
	for _, c := range captures.List() {
		known[strings.TrimPrefix(c.Path, "captures/")] = true
	}
	for _, root := range []string{"data", "extra"} {
		require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			dir := filepath.ToSlash(filepath.Dir(p))
			for dir != root && !known[dir] {
				dir = filepath.ToSlash(filepath.Dir(dir))
			}
			assert.NotEqual(t, root, dir, "%s belongs to no capture", p)
			return nil
		}))
	}
}

// maxEmbedded is the most that the program may carry.
const maxEmbedded = 12 << 20

func TestEmbeddedSize(t *testing.T) {
	var n int64
	for _, c := range captures.List() {
		n += c.Bytes
	}
	assert.LessOrEqual(t, n, int64(maxEmbedded))
}

func TestOpen(t *testing.T) {
	for _, c := range captures.List() {
		fsys, err := captures.Open(c.Name)
		if !c.Embedded {
			assert.ErrorIs(t, err, captures.ErrNotEmbedded)
			continue
		}
		require.NoError(t, err)
		text, err := fs.ReadFile(fsys, "meta.json")
		require.NoError(t, err)
		assert.True(t, json.Valid(text))
	}
	for _, name := range []string{"", ".", "..", "../data/x86_64-6.1-user-1cpu", "/", "nothing", "x86_64-6.1-user-1cpu/"} {
		_, err := captures.Open(name)
		assert.ErrorIs(t, err, captures.ErrNotEmbedded, name)
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		text string
		n    int
		err  string
	}{
		{`[{"model":"pages","share":0.5,"events":0.25,"lists":1,"why":"because"}]`, 1, ""},
		{`[]`, 0, ""},
		{`{`, 0, "limits.json"},
		{`[{"model":1}]`, 0, "limits.json"},
		{strings.Repeat(" ", 1<<17), 0, "want at most"},
	} {
		got, err := captures.Limits(fstest.MapFS{"limits.json": {Data: []byte(tc.text)}})
		assert.Len(t, got, tc.n)
		if tc.err == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, tc.err)
		}
	}
	got, err := captures.Limits(fstest.MapFS{})
	assert.NoError(t, err)
	assert.Empty(t, got)
}

func TestLimitsSayWhy(t *testing.T) {
	for _, c := range captures.List() {
		for _, l := range c.Limits {
			assert.Greater(t, len(l.Why), 40, c.Name)
			for _, share := range []float64{l.Share, l.Events, l.Lists} {
				assert.True(t, share > 0.5 && share <= 1, "%s: %v", c.Name, l)
			}
			assert.Less(t, min(l.Share, l.Events, l.Lists), 1.0, "%s: no limit", c.Name)
		}
	}
}

const (
	tableStart = "<!-- table: go test ./captures -update -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// The README's table says what the meta.json files say.
func TestReadmeTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| capture | kernel | machine | CPUs | memory | workload | where |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, c := range captures.List() {
		where := "embedded"
		if !c.Embedded {
			where = "`extra/`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d | %s | %s | %s |\n", c.Name, c.Kernel, c.Machine, c.CPUs, c.Memory,
			"`"+strings.ReplaceAll(c.Workload, "|", `\|`)+"`", where)
	}
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), tableStart)
	require.True(t, ok)
	got, tail, ok := strings.Cut(rest, tableEnd)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(head+tableStart+b.String()+tableEnd+tail), 0o644))
		return
	}
	assert.Equal(t, b.String(), got, "run 'go test ./captures -update'")
}

func ExampleOpen() {
	fsys, err := captures.Open("x86_64-6.1-user-1cpu")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := fs.ReadFile(fsys, "before.buddyinfo")
	for line := range strings.Lines(string(text)) {
		fmt.Println(strings.Fields(line)[3], strings.Fields(line)[4:])
	}
	fmt.Println(err)
	// Output:
	// DMA [0 0 0 0 0 1 1 1 0 1 3]
	// DMA32 [2 0 2 1 1 1 0 2 1 2 184]
	// <nil>
}

func FuzzLimits(f *testing.F) {
	f.Add([]byte(`[{"model":"pages","share":0.5,"events":0.25,"lists":1,"why":"because"}]`))
	f.Add([]byte(`[{"share":1e999}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := captures.Limits(fstest.MapFS{"limits.json": {Data: text}})
		if err != nil {
			assert.Empty(t, got)
		}
	})
}
