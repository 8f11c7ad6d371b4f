package replay

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/kernsim/kernsim/sync/lockdep"
)

// jsonFiles are a folder's JSON files whose beginning has all of the keys.
func jsonFiles(c Capture, keys ...string) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := stored(e.Name())
		if !strings.HasSuffix(name, ".json") || e.IsDir() {
			continue
		}
		head, all := c.head(name, 1<<16), true
		for _, k := range keys {
			all = all && bytes.Contains(head, []byte(`"`+k+`"`))
		}
		if all {
			out = append(out, name)
		}
	}
	return out
}

func lockdepFiles(c Capture) []string { return jsonFiles(c, "ops", "expected", "report_kind") }

func hasLockdep(c Capture) bool { return len(lockdepFiles(c)) > 0 }

// Lockdep runs the cases of the kernel's lock validator's self-test and compares
// verdict, report kind, title, detail and failed condition of each.
func Lockdep(ctx context.Context, c Capture, o Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "lockdep"}
	for _, name := range lockdepFiles(c) {
		if err := lockdepFile(ctx, c, name, o, res); err != nil {
			return nil, err
		}
	}
	return res, nil
}

func lockdepFile(ctx context.Context, c Capture, name string, o Options, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	cases, err := lockdep.ReadCases(c.Name+"/"+name, r)
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
		if o.Progress != nil && i%32 == 0 {
			o.Progress(float64(i) / float64(len(cases)))
		}
	}
	return nil
}
