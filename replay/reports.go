package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/kernsim/kernsim/sync/lockdep"
	"github.com/kernsim/kernsim/sync/refs"
	"github.com/kernsim/kernsim/sync/report"
)

// tableFiles are the files of a folder that hold truth tables of atomic integers
// or reference counts.
func tableFiles(c Capture) []string {
	return c.filesLike("", ".tsv", 64, func(head []byte) bool {
		return bytes.HasPrefix(head, []byte("op\tinit\targ\tret\tvalue"))
	})
}

func hasReports(c Capture) bool { return len(tableFiles(c)) > 0 }

// Reports compares every row of the truth tables of refcount_t and atomic_t:
// answer, value left, warning. Of the lock validator's reports in folders below it
// finds the cycles and uses again from the dependencies that they describe; the
// console's other reports about synchronization it prints again, line by line.
func Reports(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "reports")
	if err != nil {
		return nil, err
	}
	err = eachFile(ctx, c, o, tableFiles(c), func(f source) error {
		rows, counts, err := refs.ReadTable(f.full, f)
		if err != nil {
			return err
		}
		for i := range rows {
			res.Requests++
			if d := rows[i].Differences(counts); d != "" {
				res.differ(0, fmt.Sprintf("%s line %d: %s", f.name, rows[i].Line, d))
				continue
			}
			res.Exact++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return res, splats(c, res)
}

// splats reads the printed reports in the folders of a capture.
func splats(c Capture, res *Result) error {
	if err := consoles(c, res); err != nil {
		return err
	}
	return validatorReports(c, res)
}

// eachText calls f with the text files in the folders of a capture.
func eachText(c Capture, f func(path string, r io.Reader) error) error {
	return fs.WalkDir(c.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/") || !strings.HasSuffix(stored(path), ".txt") {
			return err
		}
		r, err := c.plain(stored(path))
		if err != nil {
			return err
		}
		defer r.Close()
		return f(path, r)
	})
}

// consoles prints the console's reports again.
func consoles(c Capture, res *Result) error {
	return eachText(c, func(path string, r io.Reader) error {
		found, err := report.Read(r)
		if err != nil {
			return err
		}
		for i := range found {
			res.count("console: " + string(found[i].Kind))
			if found[i].Kind == report.Other {
				continue
			}
			res.Requests++
			if d := found[i].Differences(); d != "" {
				res.differ(0, fmt.Sprintf("%s line %d: %s", path, found[i].Line, d))
				continue
			}
			res.Exact++
		}
		return nil
	})
}

// validatorReports finds what the lock validator reported again.
func validatorReports(c Capture, res *Result) error {
	return eachText(c, func(path string, r io.Reader) error {
		s, err := lockdep.ReadSplat(r)
		if err != nil {
			return nil // a text of another kind
		}
		found, err := s.Explain()
		if err != nil {
			return err
		}
		if found == nil && s.Differences(found) == "" {
			res.count("printed reports that describe no dependencies")
			return nil
		}
		res.Requests++
		res.count("printed reports found again")
		if diff := s.Differences(found); diff != "" {
			res.differ(0, path+": "+diff)
			return nil
		}
		res.Exact++
		return nil
	})
}
