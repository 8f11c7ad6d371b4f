package replay

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestObjectsDev(t *testing.T) {
	for _, d := range strings.Fields(os.Getenv("DIRS")) {
		c, err := OpenDir(d)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Objects(context.Background(), c, Options{})
		if err != nil {
			t.Errorf("%s: %v", d, err)
			continue
		}
		t.Logf("%s: %d/%d %.3f%% events %d/%d lists %d/%d hints %v notes %v\n   first: %s", r.Capture, r.Exact, r.Requests, 100*r.Share(), r.EventsExact, r.Events, r.ListsIdentical, r.Lists, r.HintKinds, r.Notes, r.FirstDifference)
	}
}
