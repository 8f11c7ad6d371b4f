package replay

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/kernsim/kernsim/sync/refs"
)

// tableFiles are the files of a folder that hold truth tables of atomic integers
// or reference counts.
func tableFiles(c Capture) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := stored(e.Name())
		if strings.HasSuffix(name, ".tsv") && bytes.HasPrefix(c.head(name, 64), []byte("op\tinit\targ\tret\tvalue")) {
			out = append(out, name)
		}
	}
	return out
}

func hasReports(c Capture) bool { return len(tableFiles(c)) > 0 }

// Reports compares every row of the truth tables of refcount_t and atomic_t:
// answer, value left, warning.
func Reports(_ context.Context, c Capture, _ Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "reports"}
	for _, name := range tableFiles(c) {
		r, err := c.plain(name)
		if err != nil {
			return nil, err
		}
		rows, counts, err := refs.ReadTable(c.Name+"/"+name, r)
		r.Close()
		if err != nil {
			return nil, err
		}
		for i := range rows {
			res.Requests++
			if d := rows[i].Differences(counts); d != "" {
				res.differ(0, fmt.Sprintf("%s line %d: %s", name, rows[i].Line, d))
				continue
			}
			res.Exact++
		}
	}
	return res, nil
}
