package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// stored is a file's name without the ending of its compression.
func stored(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}

// head reads the beginning of a file, decompressed.
func (c Capture) head(name string, n int64) []byte {
	r, err := c.plain(name)
	if err != nil {
		return nil
	}
	defer r.Close()
	text, _ := io.ReadAll(io.LimitReader(r, n))
	return text
}

// plain opens a file and undoes any compression.
func (c Capture) plain(name string) (io.ReadCloser, error) {
	r, full, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(full, ".gz") {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("replay: %s: %w", full, err)
	}
	return readCloser{z, r.Close}, nil
}

// filesLike are the files of a folder, those in its folders not, that are called
// prefix...ext and whose first bytes are what fits says.
func (c Capture) filesLike(prefix, ext string, bytes int64, fits func(head []byte) bool) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := stored(e.Name())
		if !e.IsDir() && strings.HasPrefix(name, prefix) && strings.HasSuffix(name, ext) && fits(c.head(name, bytes)) {
			out = append(out, name)
		}
	}
	return out
}

// containing accepts what has all of some texts.
func containing(texts ...string) func([]byte) bool {
	return func(head []byte) bool {
		for _, t := range texts {
			if !bytes.Contains(head, []byte(t)) {
				return false
			}
		}
		return true
	}
}

// newResult begins a capture's result.
func newResult(c Capture, model string) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	return &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: model}, nil
}

// source is an opened file of a capture, decompressed.
type source struct {
	io.Reader
	name string // in the folder
	full string // for errors
}

// eachFile replays the files of a capture, one after another.
func eachFile(ctx context.Context, c Capture, o Options, files []string, replay func(source) error) error {
	for i, name := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := c.plain(name)
		if err != nil {
			return err
		}
		err = replay(source{r, name, c.Name + "/" + name})
		r.Close()
		if err != nil {
			return err
		}
		if o.Progress != nil {
			o.Progress(float64(i+1) / float64(len(files)))
		}
	}
	return nil
}
