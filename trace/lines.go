package trace

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line, in bytes, that the readers of this package
// accept in a trace; the kernel's own limit is below 16 KiB.
const MaxLine = 64 << 10

// bufferSize is how much a lineReader reads at once.
const bufferSize = 64 << 10

// maxEmptyReads is how often in a row a reader may give nothing and no error.
const maxEmptyReads = 100

// lineReader gives the lines of a text without copying them. Its memory is one
// buffer, which grows only if a line within the limit does not fit.
type lineReader struct {
	src   io.Reader
	name  string
	buf   []byte
	r, w  int // unread text is buf[r:w]
	line  int // number of the line given last
	err   error
	limit int // longest line accepted
}

// newLineReader reads src, decompressing it if it starts as a gzip file does.
func newLineReader(src io.Reader, name string, limit int) (*lineReader, error) {
	text, err := openText(src, name)
	if err != nil {
		return nil, err
	}
	return &lineReader{src: text, name: name, buf: make([]byte, bufferSize), limit: limit}, nil
}

// magics are the first bytes of compressed files that a caller has to unpack.
var magics = []struct{ bytes, name string }{
	{"\x28\xb5\x2f\xfd", "zstd data"},
	{"\xfd7zXZ\x00", "xz data"},
	{"BZh", "bzip2 data"},
	{"\x17\x08\x44tracing", "a binary trace.dat"},
	{"PERFILE2", "a binary perf.data"},
}

// openText gives src as plain text.
func openText(src io.Reader, name string) (io.Reader, error) {
	b := bufio.NewReaderSize(src, 4096)
	head, err := b.Peek(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, readError(name, 1, err)
	}
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, &ParseError{File: name, Line: 1, Found: "a broken gzip header", Expected: "gzip data", Err: err}
		}
		return z, nil
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return nil, &ParseError{File: name, Line: 1, Found: m.name, Expected: "text or gzip of text"}
		}
	}
	return b, nil
}

// readError says that the source failed before the end of line.
func readError(name string, line int, err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt) {
		return &ParseError{File: name, Line: line, Found: "broken or cut compressed data", Expected: "whole gzip data", Err: err}
	}
	return fmt.Errorf("%s:%d: %w", name, line, err)
}

// next gives the next line without its end, io.EOF after the last one. The
// line is valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(l.buf[l.r+searched:l.w], '\n'); i >= 0 {
			return l.take(searched + i)
		}
		searched = l.w - l.r
		if searched > l.limit {
			l.line++
			return nil, l.fail(fmt.Sprintf("a line longer than %d bytes", l.limit), "end of line")
		}
		if l.err != nil {
			return nil, l.end()
		}
		l.fill()
	}
}

// take gives the next n bytes as a line and goes behind its end.
func (l *lineReader) take(n int) ([]byte, error) {
	line := l.buf[l.r : l.r+n]
	l.r += n + 1
	l.line++
	if n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if n > l.limit {
		return nil, l.fail(fmt.Sprintf("a line longer than %d bytes", l.limit), "end of line")
	}
	return line, nil
}

// end gives the error at the end of the source. A last line without its end is
// reported: the file may be cut in the middle of a number.
func (l *lineReader) end() error {
	if !errors.Is(l.err, io.EOF) {
		return readError(l.name, l.line+1, l.err)
	}
	if l.w > l.r {
		l.line++
		return l.fail("end of file after "+quote(l.buf[l.r:l.w]), "end of line")
	}
	return io.EOF
}

// fill reads more of the source behind the unread text.
func (l *lineReader) fill() {
	if l.r == 0 && l.w == len(l.buf) {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	copy(l.buf, l.buf[l.r:l.w])
	l.w -= l.r
	l.r = 0
	for range maxEmptyReads {
		n, err := l.src.Read(l.buf[l.w:])
		l.w += max(n, 0)
		if err != nil {
			l.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	l.err = io.ErrNoProgress
}

// fail gives a ParseError at the line given last.
func (l *lineReader) fail(found, expected string) error {
	return &ParseError{File: l.name, Line: l.line, Found: found, Expected: expected}
}
