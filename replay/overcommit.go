package replay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/mm/overcommit"
)

// overcommitTables are the files of a folder that hold requests for memory.
func overcommitTables(c Capture) []string {
	return c.filesLike("", ".tsv", 1<<12, func(head []byte) bool {
		head, _, _ = bytes.Cut(head, []byte("\n"))
		return bytes.HasPrefix(head, []byte("mode\t")) && bytes.Contains(head, []byte("request_bytes"))
	})
}

func hasOvercommit(c Capture) bool { return len(overcommitTables(c)) > 0 }

// Overcommit lets the model answer a folder's tables of requests for memory.
//
// Requests are verdicts with their errno. Events are figures: Committed_AS after,
// and CommitLimit.
func Overcommit(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "overcommit")
	if err != nil {
		return nil, err
	}
	return res, eachFile(ctx, c, o, overcommitTables(c), func(f source) error { return overcommitTable(c, f, res) })
}

func overcommitTable(c Capture, f source, res *Result) error {
	rows, err := overcommit.ReadTable(f.full, io.LimitReader(f, maxOOMLog))
	if err != nil {
		return err
	}
	cpus := zoneinfoCPUs(c, strings.TrimSuffix(f.name, ".tsv")+".zoneinfo")
	var machine overcommit.Sequence
	for i := range rows {
		row := &rows[i]
		row.Config.CPUs = max(row.Config.CPUs, cpus)
		if row.Want == nil {
			res.count("rows without an answer, not compared")
			continue
		}
		got, hint, err := machine.Answer(row)
		if err != nil {
			return fmt.Errorf("replay: %s:%d: %w", f.full, row.Line, err)
		}
		if hint {
			res.hint("pages that CPUs counted for themselves")
		}
		compareAnswer(res, f.name, row, got)
	}
	return nil
}

// zoneinfoCPUs counts the CPUs of a machine of which a folder may have
// /proc/zoneinfo; 1 without it.
func zoneinfoCPUs(c Capture, file string) int {
	r, err := c.plain(file)
	if err != nil {
		return 1
	}
	defer r.Close()
	cpus := 1
	for s := bufio.NewScanner(r); s.Scan(); {
		if n, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "cpu: "); ok {
			if n, err := strconv.Atoi(n); err == nil && n < maxZoneinfoCPUs {
				cpus = max(cpus, n+1)
			}
		}
	}
	return cpus
}

// maxZoneinfoCPUs bounds the CPUs of a machine.
const maxZoneinfoCPUs = 1 << 13

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
