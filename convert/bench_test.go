package convert

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/trace"
)

// BenchmarkConvert converts a capture's text to each format and back; the
// bytes are the text's.
func BenchmarkConvert(b *testing.B) {
	fsys, err := captures.Open("x86_64-6.1-slab-1cpu")
	require.NoError(b, err)
	text := captured(b, fsys)
	want := events(b, text, Text)
	for _, f := range exactFormats {
		file := write(b, want, f)
		b.Run("write/"+string(f), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				write(b, want, f)
			}
		})
		b.Run("read/"+string(f), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s, err := OpenAs(bytes.NewReader(file), int64(len(file)), "in", f)
				require.NoError(b, err)
				var ev trace.Event
				for s.Read(&ev) == nil {
				}
			}
		})
	}
}
