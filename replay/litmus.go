package replay

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/sync/lkmm"
)

// litmusFiles are the files of a folder that hold litmus tests: JSON whose
// records have threads and a quantifier.
func litmusFiles(c Capture) []string { return jsonFiles(c, "threads", "quantifier") }

func hasLitmus(c Capture) bool { return len(litmusFiles(c)) > 0 }

// Litmus judges every litmus test of a folder by the kernel's memory model and
// compares with the verdict that its authors state. Tests whose authors had not
// decided ("Maybe") are left out and noted.
func Litmus(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "litmus")
	if err != nil {
		return nil, err
	}
	res.Machine = first(res.Machine, "none: verdicts stated by the tests' authors")
	return res, eachFile(ctx, c, o, litmusFiles(c), func(f source) error { return litmusFile(ctx, f, res) })
}

func litmusFile(ctx context.Context, f source, res *Result) error {
	cases, err := lkmm.ReadCases(f.full, f)
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
