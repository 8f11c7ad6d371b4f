package replay

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/sync/rcu"
)

// rcuFiles are the files of a folder that hold traces of RCU's events.
func rcuFiles(c Capture) []string {
	return c.filesLike("trace", ".txt", 1<<18, containing(": rcu_grace_period: "))
}

func hasRCU(c Capture) bool { return len(rcuFiles(c)) > 0 }

// RCU checks that RCU's guarantees hold on a kernel's trace: it compares nothing
// with a model, but proves the rules that the model obeys. Requests counts the
// applications of rules.
func RCU(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "rcu")
	if err != nil {
		return nil, err
	}
	return res, eachFile(ctx, c, o, rcuFiles(c), func(f source) error {
		found, err := rcu.Check(f.full, f)
		if err != nil {
			return err
		}
		checks := 0
		for i, rule := range rcu.Rules {
			checks += found.Checks[i]
			addCount(&res.Notes, string(rule), found.Checks[i])
		}
		res.Requests += checks
		res.Exact += checks - len(found.Violations)
		if len(found.Violations) > 0 {
			res.differ(0, fmt.Sprintf("%s %s", f.name, found.Violations[0]))
		}
		return nil
	})
}
