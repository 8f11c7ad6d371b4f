package lock

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorded are the experiments in the repository.
func recorded(t testing.TB) []Scenario {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "locks", "scenarios.json.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	out, err := ReadScenarios("scenarios.json", z)
	require.NoError(t, err)
	return out
}

func TestRecordedScenarios(t *testing.T) {
	steps, order, late := 0, 0, 0
	for _, sc := range recorded(t) {
		lab := NewLab()
		for i := range sc.Steps {
			done, err := lab.Do(sc.Steps[i].Command)
			require.NoError(t, err, "%s step %d %s", sc.Name, i+1, sc.Steps[i].Command)
			v := lab.Compare(&sc.Steps[i], done)
			require.Empty(t, v.Difference, "%s step %d %s", sc.Name, i+1, sc.Steps[i].Command)
			steps++
			if v.Order {
				order++
			}
			if v.Late {
				late++
			}
		}
	}
	require.Equal(t, []int{940, 25, 2}, []int{steps, order, late})
}

func TestReadScenariosErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "x:  step 0: found json: cannot unmarshal object into Go value of type []lock.Scenario, expected an array of scenarios",
		`[{"scenario":"a","steps":[{"step":"0 tX0"}]}]`:     `x: a step 1: found a command that is none: "0 tX0", expected W CMD, PW f N or PW o N`,
		`[{"scenario":"a","steps":[{"step":"P0 z 1"}]}]`:    `x: a step 1: found a command that is none: "P0 z 1", expected W CMD, PW f N or PW o N`,
		`[{"scenario":"a","steps":[{"step":"99999 tL0"}]}]`: `x: a step 1: found a command that is none: "99999 tL0", expected W CMD, PW f N or PW o N`,
	} {
		_, err := ReadScenarios("x", strings.NewReader(text))
		require.EqualError(t, err, want)
	}
}
