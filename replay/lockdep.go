package replay

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/sync/lockdep"
)

// jsonFiles are a folder's JSON files whose beginning has all of the keys.
func jsonFiles(c Capture, keys ...string) []string {
	quoted := make([]string, len(keys))
	for i, k := range keys {
		quoted[i] = `"` + k + `"`
	}
	return c.filesLike("", ".json", 1<<16, containing(quoted...))
}

func lockdepFiles(c Capture) []string { return jsonFiles(c, "ops", "expected", "report_kind") }

func hasLockdep(c Capture) bool { return len(lockdepFiles(c)) > 0 }

// Lockdep runs the cases of the kernel's lock validator's self-test and compares
// verdict, report kind, title, detail and failed condition of each.
func Lockdep(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "lockdep")
	if err != nil {
		return nil, err
	}
	return res, eachFile(ctx, c, o, lockdepFiles(c), func(f source) error {
		cases, err := lockdep.ReadCases(f.full, f)
		if err != nil {
			return err
		}
		for i := range cases {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			res.Requests++
			if _, err := cases[i].Verdict(); err != nil {
				res.differ(0, fmt.Sprintf("case %d %s: %v", cases[i].ID, cases[i].Name, err))
				continue
			}
			res.Exact++
		}
		return nil
	})
}
