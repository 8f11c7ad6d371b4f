package convert

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/trace"
)

// samples are trace texts of many kernels and tools, from package trace.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "trace", "testdata", "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	out := map[string][]byte{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		out[filepath.Base(p)] = b
	}
	return out
}

// events reads a file whole; texts are copied.
func events(t testing.TB, b []byte, f Format) []trace.Event {
	t.Helper()
	s, err := OpenAs(bytes.NewReader(b), int64(len(b)), "in", f)
	require.NoError(t, err)
	var out []trace.Event
	for {
		var ev trace.Event
		err := s.Read(&ev)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		ev.Args = append([]byte{}, ev.Args...)
		ev.Probe.P = append([]uint64(nil), ev.Probe.P...)
		ev.Line = 0
		out = append(out, ev)
	}
}

// write converts events.
func write(t testing.TB, evs []trace.Event, f Format) []byte {
	t.Helper()
	var b bytes.Buffer
	s, err := New(&b, f, Options{})
	require.NoError(t, err)
	for i := range evs {
		require.NoError(t, s.Write(&evs[i]))
	}
	require.NoError(t, s.Close())
	return b.Bytes()
}

// exactFormats keep every event whole.
var exactFormats = []Format{Dat, Perfetto, JSON, CSV}

// What comes back from a format is what went in: all of the event, and so the
// same text to the byte.
func TestRoundTrip(t *testing.T) {
	for name, b := range samples(t) {
		t.Run(name, func(t *testing.T) {
			want := events(t, b, Text)
			text := write(t, want, Text)
			for _, f := range exactFormats {
				if f == Dat && (strings.Contains(name, "-rt") || strings.Contains(name, "trace-cmd") || strings.Contains(name, "lttng")) {
					continue // see TestDatLosses
				}
				file := write(t, want, f)
				assert.Equal(t, f, Detect(file[:min(len(file), 4096)]), "%s", f)
				got := events(t, file, f)
				require.Len(t, got, len(want), "%s", f)
				for i := range want {
					if d := cmp.Diff(want[i], got[i]); d != "" {
						t.Fatalf("%s, event %d: %s", f, i+1, d)
					}
				}
				require.True(t, bytes.Equal(text, write(t, got, Text)), "%s: another text", f)
				require.True(t, bytes.Equal(file, write(t, got, f)), "%s: another file", f)
			}
		})
	}
}

// A whole capture of each kernel goes through trace.dat and comes back.
func TestRoundTripCapture(t *testing.T) {
	for _, name := range []string{"x86_64-6.1-slab-1cpu", "pi3-kmem-slab"} {
		fsys, err := captures.Open(name)
		require.NoError(t, err)
		b := captured(t, fsys)
		want := events(t, b, Text)
		require.Greater(t, len(want), 1000)
		file := write(t, want, Dat)
		got := events(t, file, Dat)
		assert.True(t, bytes.Equal(write(t, want, Text), write(t, got, Text)), name)
	}
}

// captured gives a capture's trace text.
func captured(t testing.TB, fsys fs.FS) []byte {
	t.Helper()
	f, err := fsys.Open("trace.txt.zst")
	require.NoError(t, err)
	defer f.Close()
	z, err := zstd.NewReader(f)
	require.NoError(t, err)
	defer z.Close()
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}
