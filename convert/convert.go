package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/kernsim/kernsim/trace"
)

// Format is a trace format, named as the command line names it.
type Format string

// The formats.
const (
	Text     Format = "text"     // trace text of tracefs, also trace-cmd report
	Perf     Format = "perf"     // perf script
	Plain    Format = "plain"    // "time [cpu] event: fields"
	LTTng    Format = "lttng"    // babeltrace2's text of an LTTng or CTF trace
	Dat      Format = "dat"      // trace-cmd's trace.dat
	Perfetto Format = "perfetto" // Perfetto's protobuf
	JSON     Format = "json"     // Chrome's trace-event JSON
	CSV      Format = "csv"      // one line an event
)

// Formats lists all formats.
var Formats = []Format{Text, Perf, Plain, LTTng, Dat, Perfetto, JSON, CSV}

// ParseFormat gives the format of a name.
func ParseFormat(name string) (Format, error) {
	for _, f := range Formats {
		if string(f) == name {
			return f, nil
		}
	}
	return "", fmt.Errorf("convert: no format is called %q", name)
}

// suffixes are the file names' ends by which a format is chosen for writing.
var suffixes = []struct {
	suffix string
	format Format
}{
	{".dat", Dat}, {".pftrace", Perfetto}, {".perfetto-trace", Perfetto}, {".pb", Perfetto},
	{".json", JSON}, {".csv", CSV}, {".perf", Perf}, {".lttng", LTTng}, {".txt", Text}, {".trace", Text},
}

// FormatOf gives the format that a file's name stands for; ok is false if its
// end says nothing.
func FormatOf(name string) (f Format, ok bool) {
	base := strings.ToLower(filepath.Base(name))
	for _, s := range suffixes {
		if strings.HasSuffix(base, s.suffix) {
			return s.format, true
		}
	}
	return Text, false
}

// Source gives the events of a trace in the order of the file.
type Source interface {
	// Read fills ev, or gives io.EOF at the end. Args and Probe.P are valid
	// until the next Read.
	Read(ev *trace.Event) error
}

// Sink takes events. Close writes what is left and leaves the underlying
// writer open.
type Sink interface {
	Write(ev *trace.Event) error
	Close() error
}

// FormatError says where a binary file stops being what it should be.
type FormatError struct {
	File     string // name given to Open
	Offset   int64  // byte in the file; -1 if the fault is in no single place
	Found    string
	Expected string
}

// Error gives file, place, what was found and what was expected.
func (e *FormatError) Error() string {
	at := ""
	if e.Offset >= 0 {
		at = fmt.Sprintf(" at byte %d", e.Offset)
	}
	return fmt.Sprintf("%s: found %s%s, expected %s", e.File, e.Found, at, e.Expected)
}

// errClosed is what a sink gives after Close.
var errClosed = errors.New("convert: write after Close")

// Open reads a file of size bytes in whatever format its content shows. The
// name stands for it in errors.
func Open(r io.ReaderAt, size int64, name string) (Source, Format, error) {
	head := make([]byte, 4096)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	f := Detect(head[:min(int64(n), size)])
	s, err := OpenAs(r, size, name, f)
	return s, f, err
}

// OpenAs is Open for a format that is known.
func OpenAs(r io.ReaderAt, size int64, name string, f Format) (Source, error) {
	switch f {
	case Dat:
		return openDat(r, size, name)
	case Perfetto:
		return openPerfetto(r, size, name)
	case JSON:
		return openJSON(io.NewSectionReader(r, 0, size), name)
	case CSV:
		return openCSV(io.NewSectionReader(r, 0, size), name)
	case LTTng:
		return openLTTng(io.NewSectionReader(r, 0, size), name)
	case Text, Perf, Plain:
		return trace.NewReader(io.NewSectionReader(r, 0, size), name)
	}
	return nil, fmt.Errorf("convert: no format is called %q", f)
}

// Detect tells the format by a file's first bytes; what is nothing else is
// Text, whose reader takes perf's and plain lines too.
func Detect(head []byte) Format {
	text := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case bytes.HasPrefix(head, datMagic):
		return Dat
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte(`[{"`)), bytes.HasPrefix(text, []byte("[\n")):
		return JSON
	case bytes.HasPrefix(head, []byte(csvColumns[0]+","+csvColumns[1]+",")):
		return CSV
	case isLTTng(text):
		return LTTng
	case isPerfetto(head):
		return Perfetto
	}
	return Text
}

// Options say how a sink writes.
type Options struct {
	// Header is written at the top of Text, if not nil.
	Header *trace.Header
}

// New writes events to w.
func New(w io.Writer, f Format, opt Options) (Sink, error) {
	switch f {
	case Text:
		t := trace.NewWriter(w, trace.FormTracefs)
		if opt.Header != nil {
			if err := t.WriteHeader(*opt.Header); err != nil {
				return nil, err
			}
		}
		return textSink{t}, nil
	case Perf:
		return textSink{trace.NewWriter(w, trace.FormPerf)}, nil
	case Plain:
		return textSink{trace.NewWriter(w, trace.FormPlain)}, nil
	case LTTng:
		return newLTTngSink(w), nil
	case Dat:
		return newDatSink(w), nil
	case Perfetto:
		return newPerfettoSink(w), nil
	case JSON:
		return newJSONSink(w), nil
	case CSV:
		return newCSVSink(w)
	}
	return nil, fmt.Errorf("convert: no format is called %q", f)
}

// Copy writes all events of a source to a sink and closes it. It gives their
// number.
func Copy(dst Sink, src Source) (n int, err error) {
	var ev trace.Event
	for {
		err := src.Read(&ev)
		if errors.Is(err, io.EOF) {
			return n, dst.Close()
		}
		if err != nil {
			return n, err
		}
		if err := dst.Write(&ev); err != nil {
			return n, err
		}
		n++
	}
}

// textSink writes the layouts that package trace knows.
type textSink struct{ w *trace.Writer }

func (s textSink) Write(ev *trace.Event) error { return s.w.Write(ev) }

func (s textSink) Close() error { return s.w.Flush() }

// textOf is an event's text, formatted from its payload if it has none.
func textOf(ev *trace.Event) []byte {
	if ev.Args != nil {
		return ev.Args
	}
	return ev.AppendArgs(nil)
}

// nameOf is an event's name.
func nameOf(ev *trace.Event) string {
	if ev.Name != "" {
		return ev.Name
	}
	return ev.Kind.String()
}
