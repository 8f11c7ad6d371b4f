package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

// TestSchedCaptures replays every scheduler capture: every value that the
// kernel shows is the model's. The figures are compared with
// testdata/sched.json, so that any change is seen.
func TestSchedCaptures(t *testing.T) {
	var rows []replay.Result
	for _, info := range captures.List() {
		if !strings.HasPrefix(info.Name, "sched-") {
			continue
		}
		got, err := replay.Run(context.Background(), capture(t, info.Name), replay.Options{Model: "sched"})
		require.NoError(t, err, info.Name)
		require.Len(t, got, 1)
		require.Greater(t, got[0].Requests, 50_000, info.Name)
		require.True(t, got[0].ExactAll(), "%s: %s", info.Name, got[0].FirstDifference)
		rows = append(rows, got...)
	}
	require.Len(t, rows, 13)
	const golden = "testdata/sched.json"
	text, err := json.MarshalIndent(rows, "", " ")
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(golden, append(text, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(text))
}

// changed is a capture in which some files are replaced.
func changed(t testing.TB, c replay.Capture, files map[string]string) replay.Capture {
	t.Helper()
	out := fstest.MapFS{}
	require.NoError(t, fs.WalkDir(c.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		plain := strings.TrimSuffix(name, ".zst")
		if text, ok := files[plain]; ok {
			out[plain] = &fstest.MapFile{Data: []byte(text)}
			return nil
		}
		data, err := fs.ReadFile(c.FS, name)
		out[name] = &fstest.MapFile{Data: data}
		return err
	}))
	return replay.Capture{Name: c.Name, FS: out}
}

func text(t testing.TB, c replay.Capture, name string) string {
	t.Helper()
	r, _, err := c.Open(name)
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

// TestSchedReplayNotices breaks one rule after the other, by a tunable that the
// kernel did not have: each must show as a difference.
func TestSchedReplayNotices(t *testing.T) {
	for _, c := range []struct{ capture, old, new string }{
		{"sched-cfs-wakeup-1cpu", "latency_ns: 6000000", "latency_ns: 6000001"},
		{"sched-cfs-wakeup-1cpu", "\nmin_granularity_ns: 750000", "\nmin_granularity_ns: 900000"},
		{"sched-cfs-wakeup-1cpu", "wakeup_granularity_ns: 1000000", "wakeup_granularity_ns: 1400000"},
		{"sched-cfs-wakeup-1cpu", "GENTLE_FAIR_SLEEPERS", "NO_GENTLE_FAIR_SLEEPERS"},
		{"sched-cfs-wakeup-1cpu", "START_DEBIT", "NO_START_DEBIT"},
		{"sched-cfs-wakeup-1cpu", " LAST_BUDDY", " NO_LAST_BUDDY"},
		{"sched-cfs-groups-1cpu-many", "ALT_PERIOD", "NO_ALT_PERIOD"},
		{"sched-cfs-groups-1cpu-many", "BASE_SLICE", "NO_BASE_SLICE"},
		{"sched-eevdf-wakeup-1cpu", "RUN_TO_PARITY", "NO_RUN_TO_PARITY"},
		{"sched-eevdf-wakeup-1cpu", "DELAY_DEQUEUE", "NO_DELAY_DEQUEUE"},
		{"sched-eevdf-wakeup-1cpu", "base_slice_ns: 700000", "base_slice_ns: 750000"},
	} {
		whole := capture(t, c.capture)
		tunables := text(t, whole, "tunables/debug_sched.txt")
		require.Contains(t, tunables, c.old)
		broken := changed(t, whole, map[string]string{"tunables/debug_sched.txt": strings.Replace(tunables, c.old, c.new, 1)})
		rows, err := replay.Run(context.Background(), broken, replay.Options{Model: "sched"})
		require.NoError(t, err)
		require.False(t, rows[0].ExactAll(), "%s with %s", c.capture, c.new)
		require.NotEmpty(t, rows[0].FirstDifference)
	}
}

// FuzzSched replays traces in which something is cut out or changed: no input
// makes the replay panic or run away.
func FuzzSched(f *testing.F) {
	f.Add("sched-cfs-groups-1cpu", uint16(40), uint16(3000), uint32(17), byte('7'))
	f.Add("sched-rt-mix-1cpu", uint16(900), uint16(4000), uint32(90), byte('0'))
	f.Add("sched-deadline-1cpu", uint16(700), uint16(9000), uint32(1234), byte('x'))
	f.Add("sched-eevdf-wakeup-1cpu", uint16(3), uint16(2000), uint32(99999), byte('9'))
	f.Add("sched-cfs-smp-4cpu", uint16(0), uint16(5000), uint32(4242), byte('1'))
	traces := map[string][][]byte{}
	f.Fuzz(func(t *testing.T, name string, skip, keep uint16, at uint32, b byte) {
		if _, err := captures.Open(name); err != nil || !strings.HasPrefix(name, "sched-") {
			return
		}
		c := capture(t, name)
		if traces[name] == nil {
			traces[name] = bytes.SplitAfter([]byte(text(t, c, "trace.txt")), []byte("\n"))
		}
		lines := traces[name]
		from := min(int(skip), len(lines))
		part := bytes.Join(lines[from:min(from+int(keep), len(lines))], nil)
		if len(part) > 0 {
			part[int(at)%len(part)] = b
		}
		rows, err := replay.Run(context.Background(), changed(t, c, map[string]string{"trace.txt": string(part)}), replay.Options{Model: "sched"})
		if err == nil {
			require.Len(t, rows, 1)
		}
	})
}

// BenchmarkSched replays scheduler captures whole.
func BenchmarkSched(b *testing.B) {
	for _, name := range []string{"sched-cfs-smp-2cpu", "sched-eevdf-wakeup-1cpu", "sched-cfs-groups-1cpu"} {
		b.Run(name, func(b *testing.B) {
			c := capture(b, name)
			for b.Loop() {
				if _, err := replay.Run(context.Background(), c, replay.Options{Model: "sched"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
