package lkmm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestClose compares closing a relation with following its pairs.
func TestClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 150).Draw(t, "n")
		r := relation{}
		r.resize(n, (n+63)/64)
		upward := rapid.Bool().Draw(t, "acyclic")
		for range rapid.IntRange(0, 2*n).Draw(t, "pairs") {
			i, j := rapid.IntRange(0, n-1).Draw(t, "i"), rapid.IntRange(0, n-1).Draw(t, "j")
			if i < j || !upward {
				r.add(i, j)
			}
		}
		want := relOf(n, r.has).plus()
		r.close()
		for i := range n {
			for j := range n {
				require.Equal(t, want[i][j], r.has(i, j), "%d %d", i, j)
			}
		}
	})
}
