package lockdep

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naive is the rule of cycles said plainly, for exclusive locks of one instance a
// class: taking a lock that is held, or from which a held lock can be reached, can
// deadlock.
type naive struct {
	edges map[[2]int]bool
	held  [][]int
}

func (n *naive) reaches(from, to int, seen map[int]bool) bool {
	if from == to {
		return true
	}
	seen[from] = true
	for e := range n.edges {
		if e[0] == from && !seen[e[1]] && n.reaches(e[1], to, seen) {
			return true
		}
	}
	return false
}

func (n *naive) lock(task, l int, try bool) Kind {
	if !try {
		if slices.Contains(n.held[task], l) {
			return Recursion
		}
		for _, h := range n.held[task] {
			if n.reaches(l, h, map[int]bool{}) {
				return Circular
			}
		}
		for _, h := range n.held[task] {
			n.edges[[2]int{h, l}] = true
		}
	}
	n.held[task] = append(n.held[task], l)
	return ""
}

// TestNaive compares with the plain rule on random locking of two tasks, with
// trylocks and unlocks in any order.
func TestNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := NewScript(Config{})
		require.NoError(t, err)
		n := &naive{edges: map[[2]int]bool{}, held: make([][]int, 2)}
		owner := map[int]int{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			task := rapid.IntRange(0, 1).Draw(t, "task")
			_, err := s.Step(fmt.Sprintf("task t%d", task))
			require.NoError(t, err)
			if held := n.held[task]; len(held) > 0 && rapid.Bool().Draw(t, "unlock") {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				r, err := s.Step(fmt.Sprintf("unlock mutex %c", 'A'+held[i]))
				require.NoError(t, err)
				require.Nil(t, r)
				delete(owner, held[i])
				n.held[task] = slices.Delete(slices.Clone(held), i, i+1)
				continue
			}
			l := rapid.IntRange(0, 4).Draw(t, "lock")
			by, taken := owner[l]
			if taken && by != task {
				continue // it would wait
			}
			op := "lock"
			try := !taken && rapid.IntRange(0, 3).Draw(t, "try") == 0
			if try {
				op = "trylock"
			}
			r, err := s.Step(fmt.Sprintf("%s mutex %c", op, 'A'+l))
			require.NoError(t, err)
			require.NoError(t, s.V.Check())
			want := n.lock(task, l, try)
			if want == "" {
				require.Nil(t, r)
				owner[l] = task
				continue
			}
			require.NotNil(t, r, "%s %c: want %s", op, 'A'+l, want)
			require.Equal(t, want, r.Kind)
			return
		}
	})
}

// TestNaiveFinds: the plain rule itself finds what it is for.
func TestNaiveFinds(t *testing.T) {
	n := &naive{edges: map[[2]int]bool{}, held: make([][]int, 1)}
	require.Empty(t, n.lock(0, 0, false))
	require.Empty(t, n.lock(0, 1, false))
	n.held[0] = nil
	require.Empty(t, n.lock(0, 1, false))
	require.Equal(t, Recursion, n.lock(0, 1, false))
	require.Equal(t, Circular, n.lock(0, 0, false))
}
