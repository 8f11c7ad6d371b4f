package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kernsim/kernsim/trace"
	"github.com/klauspost/compress/gzip"

	"github.com/klauspost/compress/zstd"
)

// maxInput is how many bytes of a compressed file or of the standard input are
// taken: a small file can unpack to more than a machine has.
const maxInput = 1 << 30

// openInput opens a file for reading at any place. Compressed files and the
// standard input are read into memory.
func openInput(stdin io.Reader, name string) (r io.ReaderAt, size int64, done func() error, err error) {
	nothing := func() error { return nil }
	if name == "-" {
		return inMemory(stdin, nothing)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, nil, err
	}
	head := make([]byte, 4)
	n, _ := f.ReadAt(head, 0)
	switch magic := string(head[:n]); {
	case magic == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			f.Close()
			return nil, 0, nil, fmt.Errorf("%s: %w", name, err)
		}
		defer z.Close()
		return inMemory(z, f.Close)
	case strings.HasPrefix(magic, "\x1f\x8b"):
		z, err := gzip.NewReader(f)
		if err != nil {
			f.Close()
			return nil, 0, nil, fmt.Errorf("%s: %w", name, err)
		}
		return inMemory(z, f.Close)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	if info.Size() == 0 || !info.Mode().IsRegular() {
		// Files under /proc do not tell their size; pipes have none.
		return inMemory(f, f.Close)
	}
	return f, info.Size(), f.Close, nil
}

// inMemory reads a stream whole.
func inMemory(r io.Reader, done func() error) (io.ReaderAt, int64, func() error, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("more than %d bytes after decompression", maxInput)
	}
	if err != nil {
		done()
		return nil, 0, nil, err
	}
	return bytes.NewReader(b), int64(len(b)), done, nil
}

// readInput reads a file whole, or the standard input for "-", and undoes its
// compression.
func readInput(name string) ([]byte, error) {
	r, size, done, err := openInput(os.Stdin, name)
	if err != nil {
		return nil, err
	}
	defer done()
	text, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// openTrace opens trace text, whatever its compression; "-" is the standard
// input.
func openTrace(name string) (*trace.Reader, func() error, error) {
	in, size, done, err := openInput(os.Stdin, name)
	if err != nil {
		return nil, nil, err
	}
	r, err := trace.NewReader(io.NewSectionReader(in, 0, size), name)
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return r, done, nil
}
