package trace

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cuttings are the trace texts of testdata.
func cuttings(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.Len(t, names, 13)
	return names
}

// readFile gives a file of testdata.
func readFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return text
}

// readEvents reads a text's events; what is only valid until the next Read is
// copied.
func readEvents(t testing.TB, text string) []Event {
	t.Helper()
	events, err := tryEvents(text)
	require.NoError(t, err)
	return events
}

// tryEvents is readEvents that gives the error.
func tryEvents(text string) ([]Event, error) {
	r, err := NewReader(strings.NewReader(text), "test")
	if err != nil {
		return nil, err
	}
	var out []Event
	var ev Event
	for {
		switch err := r.Read(&ev); err {
		case nil:
			out = append(out, detach(&ev))
		case io.EOF:
			return out, nil
		default:
			return out, err
		}
	}
}

// detach copies ev with everything it points to.
func detach(ev *Event) Event {
	c := *ev
	c.Args = bytes.Clone(ev.Args)
	if ev.Probe.P != nil {
		c.Probe.P = append([]uint64{}, ev.Probe.P...)
	}
	return c
}

// readOne reads a text of one event.
func readOne(t testing.TB, line string) Event {
	t.Helper()
	events := readEvents(t, line+"\n")
	require.Len(t, events, 1)
	return events[0]
}
