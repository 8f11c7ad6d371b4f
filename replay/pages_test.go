package replay

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestDev(t *testing.T) {
	dirs := os.Getenv("DIRS")
	for _, d := range strings.Fields(dirs) {
		c, err := OpenDir(d)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := Run(context.Background(), c, Options{})
		if err != nil {
			t.Errorf("%s: %v", d, err)
			continue
		}
		for _, r := range rows {
			t.Logf("%s: %d/%d %.3f%% events %d/%d lists %d/%d hints %v notes %v\n   first: %s", r.Capture, r.Exact, r.Requests, 100*r.Share(), r.EventsExact, r.Events, r.ListsIdentical, r.Lists, r.HintKinds, r.Notes, r.FirstDifference)
		}
	}
}
