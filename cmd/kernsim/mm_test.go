package main

import (
	"encoding/json"
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
	path := writeFile(t, "case.json", `{"ram_pages": 1000, "tasks": [{"pid": 5, "name": "x", "rss": 4}, {"pid": 6, "name": "y", "rss": 9, "oom_score_adj": -1000}]}`)
	code, stdout, stderr := command("oom", "--json", path)
	require.Equal(t, exitExact, code, stderr)
	var got []oomDecision
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Len(t, got, 1)
	assert.Equal(t, int32(5), got[0].Victim.PID)
	assert.Nil(t, got[0].Tasks[1].Points)
	code, stdout, _ = command("oom", path)
	assert.Equal(t, exitExact, code)
	assert.Contains(t, stdout, "Out of memory: Killed process 5 (x)")
}

func TestOOMCommandComparesLogs(t *testing.T) {
	const log = `a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
1000 pages RAM
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[      5]     0     5        9        9        0        0             0 x
[      6]     0     6        9        5        0        0             0 y
Out of memory: Killed process 6 (y) total-vm:36kB, anon-rss:20kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:0kB oom_score_adj:0
`
	code, _, _ := command("oom", writeFile(t, "log.txt", log))
	assert.Equal(t, exitDifferent, code)
}

func TestOOMCommandRefuses(t *testing.T) {
	for _, text := range []string{"", "{", "hello", `{"tasks": [{"pid": 1, "oom_score_adj": 2000}]}`} {
		code, _, stderr := command("oom", writeFile(t, "case.json", text))
		assert.Equal(t, exitUnusable, code, text)
		assert.NotEmpty(t, stderr)
	}
	code, _, _ := command("oom")
	assert.Equal(t, exitUnusable, code)
}

func TestOvercommitCommand(t *testing.T) {
	const head = "mode\tmem_total_kb\tkind\trequest_bytes\tallowed\terrno\n"
	code, stdout, stderr := command("overcommit", "--json", writeFile(t, "t.tsv", head+"0\t4096\tbrk\t4194304\tyes\t0\n0\t4096\tbrk\t4194305\tno\t12\n"))
	require.Equal(t, exitExact, code, stderr)
	var got []overcommitAnswer
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Len(t, got, 2)
	assert.True(t, got[0].Allowed && *got[0].Exact && *got[1].Exact)
	assert.Equal(t, 12, got[1].Errno)
	code, stdout, _ = command("overcommit", writeFile(t, "t.tsv", head+"0\t4096\tbrk\t1\tno\t12\n"))
	assert.Equal(t, exitDifferent, code)
	assert.Contains(t, stdout, "DIFFERS")
	code, _, stderr = command("overcommit", writeFile(t, "t.tsv", head+"9\t4096\tbrk\t1\tno\t12\n"))
	assert.Equal(t, exitUnusable, code)
	assert.Contains(t, stderr, "EINVAL")
}

func TestAdviseCommand(t *testing.T) {
	code, stdout, stderr := command("advise", "--json", "--atomic", "100", "8K")
	require.Equal(t, exitExact, code, stderr)
	var got []advised
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Len(t, got, 2)
	assert.Equal(t, "kmalloc", got[0].API)
	assert.Equal(t, uint64(8192), got[1].Need.Size)
	assert.Equal(t, "GFP_ATOMIC", got[1].GFP)
	code, stdout, _ = command("advise", "--table", "100000")
	assert.Equal(t, exitExact, code)
	assert.Contains(t, stdout, "kvmalloc")
	for _, args := range [][]string{{}, {"x"}, {"0"}, {"99999999999G"}, {"--lifetime", "long", "1"}, {"--kernel", "x", "1"}, {"--cpus", "-1", "1"}} {
		code, _, stderr = command(append([]string{"advise"}, args...)...)
		assert.Equal(t, exitUnusable, code, "%v", args)
		assert.NotEmpty(t, stderr)
	}
}
