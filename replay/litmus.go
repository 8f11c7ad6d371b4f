package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/kernsim/kernsim/sync/lkmm"
)

// litmusFiles are the files of a folder that hold litmus tests: JSON whose
// records have threads and a quantifier.
func litmusFiles(c Capture) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name, isJSON := strings.CutSuffix(stored(e.Name()), ".json")
		if !isJSON || e.IsDir() || name == "meta" || name == "limits" {
			continue
		}
		if head := c.head(name+".json", 1<<16); bytes.Contains(head, []byte(`"threads"`)) && bytes.Contains(head, []byte(`"quantifier"`)) {
			out = append(out, name+".json")
		}
	}
	return out
}

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

func hasLitmus(c Capture) bool { return len(litmusFiles(c)) > 0 }

// Litmus judges every litmus test of a folder by the kernel's memory model and
// compares with the verdict that its authors state. Tests whose authors had not
// decided ("Maybe") are left out and noted.
func Litmus(ctx context.Context, c Capture, o Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: first(meta.Machine, "none: verdicts stated by the tests' authors"), Model: "litmus"}
	files := litmusFiles(c)
	for i, name := range files {
		if err := litmusFile(ctx, c, name, res); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(float64(i+1) / float64(len(files)))
		}
	}
	return res, nil
}

func litmusFile(ctx context.Context, c Capture, name string, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	cases, err := lkmm.ReadCases(c.Name+"/"+name, r)
	if err != nil {
		return err
	}
	for i := range cases {
		if !cases[i].Usable() {
			res.count("tests without a stated verdict")
			continue
		}
		res.Requests++
		got, err := lkmm.RunCase(ctx, &cases[i], lkmm.Options{})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil:
			res.differ(0, fmt.Sprintf("%s: %v", cases[i].Path, err))
		case !got.Exact:
			res.differ(0, fmt.Sprintf("%s: %s", cases[i].Path, got.Difference))
		default:
			res.Exact++
			if got.Forgiven != "" {
				res.count("tests with a data race, whose verdict then does not count")
			}
		}
	}
	return nil
}
