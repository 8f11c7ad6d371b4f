package lockdep

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	address   = regexp.MustCompile(`\b[0-9a-f]{16}\b|0x[0-9a-f]+`)
	place     = regexp.MustCompile(`at: .*$|\[<.*$`)
	released  = regexp.MustCompile(`release lock \(.*\)`)
	stateName = regexp.MustCompile(`\(([^(){}]+)\)(\{[.+?-]{4}\})`)
	scenario  = regexp.MustCompile(`(lock|rlock|sync)\((.+)\);`)
	numbers   = regexp.MustCompile(`\(\d+\)|stamp: \d+`)
	task      = regexp.MustCompile(`\b[\w/_]+/\d+( |:|\.| \[HC)`)
)

// skeleton is a report without what the model can not know: addresses, stacks,
// places, task and kernel names, numbers of irq events. Classes are numbered as
// they appear.
func skeleton(text string) []string {
	names := map[string]string{}
	name := func(s string) string {
		if names[s] == "" {
			names[s] = fmt.Sprintf("class%d", len(names))
		}
		return names[s]
	}
	var out []string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " ")
		switch {
		case strings.Contains(line, "+0x") && !strings.Contains(line, "at: ") && !strings.Contains(line, "[<"),
			strings.HasPrefix(strings.TrimSpace(line), "op") && !strings.Contains(line, "(") && !strings.Contains(line, " at:"):
			continue
		case strings.HasPrefix(line, "CPU: "), strings.Contains(line, "tainted"), strings.Contains(line, "Tainted"):
			continue
		}
		line = stateName.ReplaceAllStringFunc(line, func(s string) string {
			m := stateName.FindStringSubmatch(s)
			return "(" + name(m[1]) + ")" + m[2]
		})
		line = scenario.ReplaceAllStringFunc(line, func(s string) string {
			m := scenario.FindStringSubmatch(s)
			if m[1] == "local_irq_disable" {
				return s
			}
			return m[1] + "(" + name(m[2]) + ");"
		})
		if strings.Contains(line, " --> ") {
			var parts []string
			for _, p := range strings.Split(strings.TrimSpace(line), " --> ") {
				parts = append(parts, name(p))
			}
			line = "  " + strings.Join(parts, " --> ")
		}
		line = address.ReplaceAllString(line, "ADDR")
		line = place.ReplaceAllString(line, "at")
		line = released.ReplaceAllString(line, "release lock (name)")
		line = numbers.ReplaceAllString(line, "N")
		line = task.ReplaceAllString(line, "TASK$1")
		out = append(out, line)
	}
	return out
}

// kernelReports are the self-test's reports as the kernel printed them, by case.
func kernelReports(t testing.TB) map[int]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "lockdep", "verbose_reports.txt.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	out := map[int]string{}
	for _, part := range strings.Split(string(text), "##### ")[1:] {
		var id int
		var n string
		_, err := fmt.Sscan(part, &id, &n)
		require.NoError(t, err)
		_, body, _ := strings.Cut(part, "\n")
		if i := strings.Index(body, "\n====="); i >= 0 {
			body = body[i:]
		}
		body, _, _ = strings.Cut(body, "------------[ cut here")
		if i := strings.LastIndex(body, " </TASK>\n"); i >= 0 {
			body = body[:i+len(" </TASK>\n")]
		}
		out[id] = body
	}
	return out
}

// TestReportTexts compares the reports with the kernel's line by line.
func TestReportTexts(t *testing.T) {
	texts := kernelReports(t)
	compared := 0
	for _, c := range recordedCases(t) {
		want, ok := texts[c.ID]
		// In three cases the kernel's class had been used by the case before.
		if !ok || c.Title == "" || c.WarnOn != "" || strings.HasPrefix(c.Name, "init_held_r") {
			continue
		}
		compared++
		r, err := c.Run()
		require.NoError(t, err)
		require.Equal(t, skeleton(want), skeleton(r.Text), "case %d %s", c.ID, c.Name)
	}
	require.Equal(t, 154, compared)
}
