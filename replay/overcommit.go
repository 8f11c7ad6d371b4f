package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kernsim/kernsim/mm/overcommit"
)

// overcommitTables are the files of a folder that hold requests for memory.
func overcommitTables(c Capture) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := stored(e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".tsv") {
			continue
		}
		head, _, _ := bytes.Cut(c.head(name, 1<<12), []byte("\n"))
		if bytes.Contains(head, []byte("request_bytes")) && bytes.HasPrefix(head, []byte("mode\t")) {
			out = append(out, name)
		}
	}
	return out
}

func hasOvercommit(c Capture) bool { return len(overcommitTables(c)) > 0 }

// Overcommit lets the model answer a folder's tables of requests for memory.
//
// Requests are verdicts with their errno. Events are figures: Committed_AS after,
// and CommitLimit.
func Overcommit(ctx context.Context, c Capture, o Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "overcommit"}
	files := overcommitTables(c)
	for i, name := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := overcommitTable(c, name, res); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(float64(i+1) / float64(len(files)))
		}
	}
	return res, nil
}

func overcommitTable(c Capture, name string, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	rows, err := overcommit.ReadTable(path.Join(c.Name, name), io.LimitReader(r, maxOOMLog))
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		if row.Want == nil {
			res.count("rows without an answer, not compared")
			continue
		}
		got, err := row.Answer()
		if err != nil {
			return fmt.Errorf("replay: %s/%s:%d: %w", c.Name, name, row.Line, err)
		}
		compareAnswer(res, name, row, got)
	}
	return nil
}

func compareAnswer(res *Result, file string, row *overcommit.Row, got overcommit.Answer) {
	want := row.Want
	res.Requests++
	if got.Allowed == want.Allowed && got.Errno == want.Errno {
		res.Exact++
	} else {
		res.differ(0, fmt.Sprintf("%s line %d: model %+v, kernel %+v", file, row.Line, got, *want))
	}
	if want.CommittedKB >= 0 {
		res.Events++
		if got.CommittedKB == want.CommittedKB {
			res.EventsExact++
		} else {
			res.differ(0, fmt.Sprintf("%s line %d: Committed_AS after: model %d kB, kernel %d kB", file, row.Line, got.CommittedKB, want.CommittedKB))
		}
	}
	if row.LimitKB >= 0 {
		res.Events++
		if limit := row.Config.CommitLimit() * 4; limit == row.LimitKB {
			res.EventsExact++
		} else {
			res.differ(0, fmt.Sprintf("%s line %d: CommitLimit: model %d kB, kernel %d kB", file, row.Line, limit, row.LimitKB))
		}
	}
}
