package replay

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/kernsim/kernsim/sync/rcu"
)

// rcuFiles are the files of a folder that hold traces of RCU's events.
func rcuFiles(c Capture) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := stored(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "trace") || !strings.HasSuffix(name, ".txt") {
			continue
		}
		if bytes.Contains(c.head(name, 1<<18), []byte(": rcu_grace_period: ")) {
			out = append(out, name)
		}
	}
	return out
}

func hasRCU(c Capture) bool { return len(rcuFiles(c)) > 0 }

// RCU checks that RCU's guarantees hold on a kernel's trace: it compares nothing
// with a model, but proves the rules that the model obeys. Requests counts the
// applications of rules.
func RCU(_ context.Context, c Capture, _ Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "rcu"}
	for _, name := range rcuFiles(c) {
		r, err := c.plain(name)
		if err != nil {
			return nil, err
		}
		f, err := rcu.Check(c.Name+"/"+name, r)
		r.Close()
		if err != nil {
			return nil, err
		}
		checks := 0
		for i, rule := range rcu.Rules {
			checks += f.Checks[i]
			addCount(&res.Notes, string(rule), f.Checks[i])
		}
		res.Requests += checks
		res.Exact += checks - len(f.Violations)
		if len(f.Violations) > 0 {
			v := f.Violations[0]
			res.differ(0, fmt.Sprintf("%s %s", name, v))
		}
	}
	return res, nil
}
