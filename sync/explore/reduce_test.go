package explore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// finals are the states in which a whole search without reduction ends.
func finals(p *Program) (map[string]bool, *Result, error) {
	s := &search{m: newMachine(p), o: Options{NoReduction: true}.withDefaults(), seen: map[string]int32{}}
	s.add(-1, Choice{})
	res := &Result{}
	for i := int32(0); int(i) < len(s.from); i++ {
		if f := s.expand(i, res); f != nil {
			res.Failure = f
			return nil, res, nil
		}
		if len(s.from) > 200_000 {
			return nil, nil, ErrLimit
		}
	}
	out := map[string]bool{}
	for key, id := range s.seen {
		for _, e := range s.ends {
			if e == id {
				out[key] = true
			}
		}
	}
	res.States = len(s.from)
	return out, res, nil
}

// same compares both reductions with the search that follows everything.
func same(t require.TestingT, p *Program) (full, few *Result, classes *Classes) {
	ends, full, err := finals(p)
	if errors.Is(err, ErrLimit) {
		return nil, nil, nil
	}
	require.NoError(t, err)
	few, err = Exhaustive(context.Background(), p, Options{Persistent: true})
	require.NoError(t, err)
	if full.Failure == nil {
		plain, err := Exhaustive(context.Background(), p, Options{NoReduction: true})
		require.NoError(t, err)
		full.Failure = plain.Failure // it may be that there is no way to the end
	}
	require.Equal(t, full.Failure == nil, few.Failure == nil, "%s: %v, %v", p.Name, full.Failure, few.Failure)
	if full.Failure == nil {
		require.Equal(t, len(ends), few.Ends, p.Name)
		require.LessOrEqual(t, few.States, full.States, p.Name)
	}
	classes, err = Traces(context.Background(), p, Options{MaxStates: 20_000, MaxSteps: 400})
	if errors.Is(err, ErrLimit) {
		return full, few, nil
	}
	require.NoError(t, err)
	require.Equal(t, full.Failure == nil, classes.Failure == nil, "%s: %v, %v", p.Name, full.Failure, classes.Failure)
	if full.Failure == nil {
		require.Equal(t, len(ends), classes.Finals, p.Name)
	}
	return full, few, classes
}

// TestPersistentSets: on every program the reductions find the same ends and whether
// something fails; a failing schedule of theirs repeats.
func TestPersistentSets(t *testing.T) {
	states, reduced, covered := 0, 0, 0
	for _, name := range Programs() {
		p := program(t, name)
		full, few, classes := same(t, p)
		if full == nil {
			continue
		}
		for _, f := range []*Failure{few.Failure} {
			if f != nil && f.Kind != Livelock {
				again, err := Replay(p, f.Schedule, discard{})
				require.NoError(t, err, name)
				require.Equal(t, f.Kind, again.Kind, name)
			}
		}
		if full.Failure == nil {
			states, reduced = states+full.States, reduced+few.States
			t.Logf("%-36s %7d states, %7d with persistent sets", name, full.States, few.States)
		}
		if classes != nil {
			covered++
			t.Logf("%-36s %7d classes of schedules", name, classes.Schedules)
		}
	}
	require.Less(t, reduced, states)
	require.Greater(t, covered, 15)
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestReductionsOnRandomPrograms: the same on programs drawn at random, in both
// memories.
func TestReductionsOnRandomPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w strings.Builder
		memory := rapid.SampledFrom([]string{"sc", "weak"}).Draw(t, "memory")
		fmt.Fprintf(&w, "memory %s\nvar a, b, c\n", memory)
		for i := range rapid.IntRange(2, 3).Draw(t, "threads") {
			fmt.Fprintf(&w, "thread t%d\n", i)
			locked := false
			for range rapid.IntRange(1, 5).Draw(t, "steps") {
				v := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "variable")
				switch rapid.IntRange(0, 6).Draw(t, "step") {
				case 0:
					fmt.Fprintf(&w, "  r = %s\n", v)
				case 1:
					fmt.Fprintf(&w, "  %s = %d\n", v, rapid.IntRange(1, 2).Draw(t, "value"))
				case 2:
					fmt.Fprintf(&w, "  r = fetch_add %s 1\n", v)
				case 3:
					fmt.Fprintf(&w, "  r = cmpxchg %s 0 %d\n", v, i+1)
				case 4:
					if !locked {
						w.WriteString("  lock l\n")
						locked = true
					}
				case 5:
					w.WriteString("  mb\n")
				case 6:
					fmt.Fprintf(&w, "  store_release %s %d\n", v, i)
				}
			}
			if locked {
				w.WriteString("  unlock l\n")
			}
		}
		p, err := Parse("random", strings.NewReader(w.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, w.String())
		}
		same(t, p)
	})
}

// ExampleTraces counts the classes of schedules of three threads that each use a
// variable of their own and then a shared one.
func ExampleTraces() {
	p, _ := Parse("x", strings.NewReader(`
var a, b, c, shared
thread x
  a = 1
  r = fetch_add shared 1
thread y
  b = 1
  r = fetch_add shared 1
thread z
  c = 1
  r = fetch_add shared 1
`))
	all, _ := Traces(context.Background(), p, Options{})
	fmt.Println(all.Schedules, "classes,", all.Finals, "final states")
	// Output: 6 classes, 6 final states
}

func BenchmarkTraces(b *testing.B) {
	p := program(b, "ticket")
	n := 0
	for b.Loop() {
		c, err := Traces(context.Background(), p, Options{MaxStates: 1e7})
		if err != nil {
			b.Fatal(err)
		}
		n += c.Schedules
	}
	b.ReportMetric(float64(n)/b.Elapsed().Minutes()/1e6, "Mschedules/min")
}
