package oom

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadCase(t *testing.T) {
	c, err := ReadCase(strings.NewReader(`{"ram_pages": 1000, "memcg": "/a", "groups": [{"path": "/a", "max": 500, "oom_group": true}],
		"request": {"pid": 2}, "tasks": [
		{"pid": 1, "name": "init", "rss": 400, "flags": ["init"], "memcg": "/a"},
		{"pid": 2, "name": "b", "rss_anon": 10, "rss_file": 5, "oom_score_adj": 10, "memcg": "/a"},
		{"pid": 3, "name": "c", "rss": 100, "memcg": "/b"}]}`))
	require.NoError(t, err)
	control, p := c.Control(), c.Profile()
	v := Decide(&control, &p, nil)
	assert.Equal(t, 1, v.Victim)
	assert.Equal(t, int64(500), v.TotalPages)
	assert.Equal(t, []int64{NotCandidate, 15, NotCandidate}, v.Points)
	assert.Equal(t, "/a", v.Group)
	assert.Equal(t, "b", c.Header(&control).Comm)
}

func TestCaseFaults(t *testing.T) {
	for _, tt := range []struct{ text, field, errno string }{
		{`{`, "", "EINVAL"}, {`{} {}`, "", "EINVAL"}, {`{"foo": 1}`, "", "EINVAL"},
		{`{"page_size": 3000}`, "page_size", "EINVAL"}, {`{"panic_on_oom": 3}`, "panic_on_oom", "EINVAL"},
		{`{"ram_pages": -1}`, "ram_pages", "EINVAL"}, {`{"swap_pages": 9223372036854775807}`, "swap_pages", "EINVAL"},
		{`{"memcg": "/x"}`, "memcg", "ENOENT"}, {`{"groups": [{"path": "x"}]}`, "groups[0].path", "ENOENT"},
		{`{"groups": [{"path": "/x", "max": -1}]}`, "groups[0].max", "EINVAL"},
		{`{"tasks": [{"pid": 0}]}`, "tasks[0].pid", "ESRCH"}, {`{"tasks": [{"pid": 1}, {"pid": 1}]}`, "tasks[1].pid", "ESRCH"},
		{`{"tasks": [{"pid": 1, "oom_score_adj": 1001}]}`, "tasks[0].oom_score_adj", "EINVAL"},
		{`{"tasks": [{"pid": 1, "rss": -5}]}`, "tasks[0].rss", "EINVAL"},
		{`{"tasks": [{"pid": 1, "rss": 5, "rss_anon": 4}]}`, "tasks[0].rss", "EINVAL"},
		{`{"tasks": [{"pid": 1, "flags": ["dead"]}]}`, "tasks[0].flags", "EINVAL"},
		{`{"request": {"pid": 7}}`, "request.pid", "ESRCH"}, {`{"node_present": [-1]}`, "node_present[0]", "EINVAL"},
	} {
		_, err := ReadCase(strings.NewReader(tt.text))
		var fault *CaseError
		require.ErrorAs(t, err, &fault, tt.text)
		assert.Equal(t, tt.field, fault.Field, tt.text)
		assert.Equal(t, tt.errno, fault.Errno, tt.text)
		assert.Contains(t, err.Error(), tt.errno)
	}
}

func FuzzReadCase(f *testing.F) {
	f.Add(`{"ram_pages": 1000, "panic_on_oom": 1, "request": {"pid": 1}, "tasks": [{"pid": 1, "rss": 3, "oom_score_adj": -5}]}`)
	f.Add(`{"memcg": "/a", "groups": [{"path": "/a", "oom_group": true}], "tasks": [{"pid": 1, "memcg": "/a", "flags": ["origin"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ReadCase(strings.NewReader(text))
		if err != nil {
			return
		}
		control, p := c.Control(), c.Profile()
		v := Decide(&control, &p, nil)
		if err := v.Check(&control); err != nil {
			t.Fatal(err)
		}
		Lines(&control, &p, &v, c.Header(&control), nil, Summary{})
	})
}
