package replay

import (
	"context"
	"fmt"
	"strings"

	"github.com/kernsim/kernsim/mm/overcommit"
)

// overcommitFiles are the tables of requests in a folder.
func overcommitFiles(c Capture) []string {
	var out []string
	walkFiles(c, func(name string) {
		if strings.HasSuffix(name, ".tsv") && strings.Contains(string(c.head(name, 4096)), "committed_as_after_kb") {
			out = append(out, name)
		}
	})
	return out
}

func hasOvercommit(c Capture) bool { return len(overcommitFiles(c)) > 0 }

// Overcommit judges every request of a folder's tables, and compares the
// verdict and its errno; as events the limit and what is committed afterwards.
func Overcommit(_ context.Context, c Capture, o Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "overcommit"}
	files := overcommitFiles(c)
	for i, name := range files {
		if err := overcommitFile(c, name, res); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(float64(i+1) / float64(len(files)))
		}
	}
	return res, nil
}

func overcommitFile(c Capture, name string, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	rows, err := overcommit.ReadTable(r, c.Name+"/"+name)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		got := row.Judge()
		res.Requests++
		if got.Allowed == row.Allowed && got.Errno == row.Errno {
			res.Exact++
		} else {
			res.differ(0, fmt.Sprintf("%s:%d: %s of %d bytes: allowed %t (errno %d), the model says %t (errno %d)", name, row.Line, row.Request.Kind,
				row.Request.Bytes, row.Allowed, row.Errno, got.Allowed, got.Errno))
		}
		res.equal(fmt.Sprintf("%s:%d: CommitLimit", name, row.Line), row.CommitLimit, got.CommitLimit)
		res.equal(fmt.Sprintf("%s:%d: Committed_AS", name, row.Line), row.After, got.After)
	}
	return nil
}

// equal counts a number that the kernel shows beside its answer.
func (r *Result) equal(what string, want, got uint64) {
	r.Events++
	if want == got {
		r.EventsExact++
		return
	}
	r.differ(0, fmt.Sprintf("%s is %d, the model says %d", what, want, got))
}
