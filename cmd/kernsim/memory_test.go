package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func TestOOMCommand(t *testing.T) {
	path := writeFile(t, "case.json", `{"total_pages": 1000000, "tasks": [{"pid": 7, "rss": 500, "name": "a"}, {"pid": 8, "rss": 10, "oom_score_adj": 1, "name": "b"},
		{"pid": 9, "rss": 9000, "oom_score_adj": -1000, "name": "c"}]}`)
	code, out, errs := runKernsim(t, "oom", path)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "killed: 8 (b)")
	assert.Contains(t, out, "never killed")
	code, out, _ = runKernsim(t, "oom", "--json", path)
	require.Zero(t, code)
	assert.Contains(t, out, `"points": 1010`)
	for text, want := range map[string]string{
		`{"tasks": 3}`:                         "cannot unmarshal",
		`{"constraint": "NONE"}`:               "EINVAL",
		`{"tasks": [{"oom_score_adj": 2000}]}`: "-1000 to 1000",
		"nothing":                              "no report",
	} {
		code, _, errs := runKernsim(t, "oom", writeFile(t, "bad.json", text))
		assert.Equal(t, 2, code)
		assert.Contains(t, errs, want)
	}
}

func TestOvercommitCommand(t *testing.T) {
	const head = "mode\tratio\tcap_sys_admin\tmem_total_kb\tkind\trequest_bytes\tallowed\terrno\n"
	path := writeFile(t, "t.tsv", head+"0\t50\t1\t4000\tanon_private_rw\t4096001\tno\t12\n0\t50\t1\t4000\tbrk\t4096\tyes\t0\n")
	code, out, errs := runKernsim(t, "overcommit", path)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "ENOMEM")
	assert.Contains(t, out, "2 requests, 2 verdicts as in the table")
	path = writeFile(t, "t.tsv", head+"0\t50\t1\t4000\tbrk\t4096\tno\t12\n")
	code, _, _ = runKernsim(t, "overcommit", "--json", path)
	assert.Equal(t, 1, code)
	code, _, errs = runKernsim(t, "overcommit", writeFile(t, "bad.tsv", "x"))
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "a column mode")
}
