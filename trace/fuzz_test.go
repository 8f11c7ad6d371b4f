package trace

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// addSeeds gives the fuzzer the testdata files that match, whole and line by
// line in pieces.
func addSeeds(f *testing.F, pattern string) {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text[:min(len(text), 1<<12)])
		lines := bytes.SplitAfter(text, []byte("\n"))
		for i := 0; i < len(lines); i += 1 + len(lines)/12 {
			f.Add(lines[i])
		}
	}
}

// FuzzReader says that any text either reads or is an error that names a line,
// and that what was read can be written and reads as the same again.
func FuzzReader(f *testing.F) {
	addSeeds(f, "testdata/*.txt")
	for _, s := range samples {
		f.Add([]byte("sh-149 [002] d..1. 43.996563: " + s.kind.String() + ": " + s.text + "\n"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := NewReader(bytes.NewReader(text), "fuzz")
		if err != nil {
			wantParseError(t, err)
			return
		}
		for {
			var ev Event
			err := r.Read(&ev)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				wantParseError(t, err)
				return
			}
			rereads(t, &ev)
		}
	})
}

// wantParseError fails the test if err is no ParseError with a line.
func wantParseError(t *testing.T, err error) {
	t.Helper()
	var parse *ParseError
	if !errors.As(err, &parse) || parse.Line < 1 || parse.File != "fuzz" || parse.Found == "" || parse.Expected == "" {
		t.Fatalf("not a whole ParseError: %#v", err)
	}
}

// rereads writes ev and reads it again.
func rereads(t *testing.T, ev *Event) {
	if ev.PID < 0 || ev.Kind == KindStackFrame {
		return
	}
	want := detach(ev)
	var out bytes.Buffer
	w := NewWriter(&out, FormTracefs)
	if err := w.Write(ev); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&out, "fuzz")
	if err != nil {
		t.Fatal(err)
	}
	var got Event
	if err := r.Read(&got); err != nil {
		t.Fatalf("%v of %q", err, want.Args)
	}
	if got.Kind != want.Kind || !bytes.Equal(got.Args, want.Args) || got.CPU != want.CPU || got.Time != want.Time || got.Lost != want.Lost {
		t.Fatalf("%+v became %+v", want, got)
	}
}

// FuzzFastDecoders says that the fast decoders take nothing that the careful
// ones read differently.
func FuzzFastDecoders(f *testing.F) {
	for _, s := range samples {
		f.Add(uint8(s.kind), []byte(s.text))
	}
	f.Fuzz(func(t *testing.T, kind uint8, args []byte) {
		k := Kind(kind) % numKinds
		if payloadOf(k).fast == nil || bytes.ContainsAny(args, "\n") {
			return
		}
		fast, slow, ok := bothWays(k, args)
		if !ok {
			return
		}
		if diff := cmp.Diff(slow, fast); diff != "" {
			t.Fatalf("%s %q: %s", k, args, diff)
		}
	})
}

// FuzzReadSnapshot says that any text is a snapshot or an error that names a
// line, and that a snapshot is written as a text that reads the same.
func FuzzReadSnapshot(f *testing.F) {
	addSeeds(f, "testdata/*.ksnap")
	f.Add([]byte(tiny))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadSnapshot(bytes.NewReader(text), "fuzz")
		if err != nil {
			wantParseError(t, err)
			return
		}
		var first, second bytes.Buffer
		if _, err := s.WriteTo(&first); err != nil {
			t.Fatal(err)
		}
		again, err := ReadSnapshot(bytes.NewReader(first.Bytes()), "fuzz")
		if err != nil {
			t.Fatalf("%v in %s", err, first.Bytes())
		}
		if _, err := again.WriteTo(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%v: %s became %s", err, first.Bytes(), second.Bytes())
		}
	})
}

// FuzzSnapshotExtra is FuzzReadSnapshot for the extra files.
func FuzzSnapshotExtra(f *testing.F) {
	addSeeds(f, "testdata/*.ksnap_extra")
	f.Add([]byte(tinyExtra))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := ReadSnapshotExtra(bytes.NewReader(text), "fuzz")
		if err != nil {
			wantParseError(t, err)
			return
		}
		var first, second bytes.Buffer
		if _, err := x.WriteTo(&first); err != nil {
			t.Fatal(err)
		}
		again, err := ReadSnapshotExtra(bytes.NewReader(first.Bytes()), "fuzz")
		if err != nil {
			t.Fatalf("%v in %s", err, first.Bytes())
		}
		if _, err := again.WriteTo(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%v: %s became %s", err, first.Bytes(), second.Bytes())
		}
	})
}
