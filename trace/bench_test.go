package trace

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkReader reads whole traces, every payload decoded.
func BenchmarkReader(b *testing.B) {
	for _, name := range cuttings(b) {
		base := strings.TrimSuffix(filepath.Base(name), ".txt")
		b.Run(base, func(b *testing.B) { benchmarkReader(b, name, func(*Reader) {}) })
	}
}

// BenchmarkReaderSelect passes over all events but one.
func BenchmarkReaderSelect(b *testing.B) {
	benchmarkReader(b, "testdata/tracefs-6.1-x86_64.txt", func(r *Reader) { r.Select(KindMMPageAllocExtfrag) })
}

// benchmarkReader reads a file over and over, as one endless trace.
func benchmarkReader(b *testing.B, name string, prepare func(*Reader)) {
	text := readFile(b, name)
	for len(text) > 0 && text[0] == '#' {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	src := &limitLoop{text: text}
	r, err := NewReader(src, name)
	if err != nil {
		b.Fatal(err)
	}
	prepare(r)
	var ev Event
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		end := r.Line() + bytes.Count(text, []byte("\n"))
		for r.Line() < end {
			if err := r.Read(&ev); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// limitLoop gives a text over and over.
type limitLoop struct {
	text []byte
	at   int
}

func (l *limitLoop) Read(b []byte) (n int, err error) {
	for n < len(b) {
		m := copy(b[n:], l.text[l.at:])
		n += m
		l.at = (l.at + m) % len(l.text)
	}
	return n, nil
}

// BenchmarkWriter writes events from their payloads.
func BenchmarkWriter(b *testing.B) {
	text := string(readFile(b, "testdata/tracefs-6.1-x86_64.txt"))
	events := readEvents(b, text)
	for i := range events {
		events[i].Args = nil
	}
	w := NewWriter(io.Discard, FormTracefs)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			if err := w.Write(&events[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkFields goes through the fields of a scheduler kprobe.
func BenchmarkFields(b *testing.B) {
	args := []byte("(update_curr+0x0/0x1e0) cfs=0xff1100002edb1cc0 nr=1 load=1048576 mv=6696302278 clk=13799273651 curr=0xff11000006024280 cvr=6696302278 cexec=13795379231 csum=4374177329")
	b.SetBytes(int64(len(args)))
	b.ReportAllocs()
	for b.Loop() {
		for _, value := range Fields(args) {
			ParseUint(value)
		}
	}
}

// BenchmarkReadSnapshot reads whole snapshots.
func BenchmarkReadSnapshot(b *testing.B) {
	for _, name := range snapshotFiles {
		text := readFile(b, name)
		b.Run(filepath.Base(name), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadSnapshot(bytes.NewReader(text), name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
