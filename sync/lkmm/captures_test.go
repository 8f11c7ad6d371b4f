package lkmm

import (
	"compress/gzip"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// readCapture reads one of the repository's captures of litmus tests.
func readCapture(t require.TestingT, name string) []Case {
	f, err := os.Open("../../captures/litmus/" + name + ".json.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	cases, err := ReadCases(name, z)
	require.NoError(t, err)
	return cases
}

func TestCaptures(t *testing.T) {
	for name, want := range map[string]struct{ usable, forgiven int }{
		"kernel_tree": {25, 0},
		"paulmckrcu":  {259, 16},
	} {
		t.Run(name, func(t *testing.T) {
			usable, forgiven := 0, 0
			for _, c := range readCapture(t, name) {
				if !c.Usable() {
					continue
				}
				usable++
				r, err := RunCase(context.Background(), &c, Options{})
				require.NoError(t, err, c.Path)
				require.True(t, r.Exact, "%s: %s", c.Path, r.Difference)
				if r.Forgiven != "" {
					forgiven++
				}
			}
			require.Equal(t, want.usable, usable)
			require.Equal(t, want.forgiven, forgiven)
		})
	}
}
