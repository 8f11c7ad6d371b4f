package explore

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func program(t testing.TB, name string) *Program {
	t.Helper()
	p, err := Parse(name, strings.NewReader(Text(name)))
	require.NoError(t, err)
	return p
}

// TestPrograms explores every program whole: it has the failure that it says, and
// no other; a found schedule repeats it.
func TestPrograms(t *testing.T) {
	for _, name := range Programs() {
		want, ok := Expected(Text(name))
		require.True(t, ok, name)
		p := program(t, name)
		res, err := Exhaustive(context.Background(), p, Options{})
		require.NoError(t, err, name)
		t.Logf("%-26s %7d states %8d steps", name, res.States, res.Steps)
		if want == "" {
			require.Nil(t, res.Failure, "%s: %v", name, res.Failure)
			require.True(t, res.Complete)
			require.NotZero(t, res.Ends)
			continue
		}
		require.NotNil(t, res.Failure, name)
		require.Equal(t, want, res.Failure.Kind, "%s: %v", name, res.Failure)
		again, err := Replay(p, res.Failure.Schedule, io.Discard)
		require.NoError(t, err, name)
		require.Equal(t, want, again.Kind, name)
	}
}

// TestReduction: following all orders of local steps finds the same.
func TestReduction(t *testing.T) {
	for _, name := range Programs() {
		p := program(t, name)
		with, err := Exhaustive(context.Background(), p, Options{})
		require.NoError(t, err)
		without, err := Exhaustive(context.Background(), p, Options{NoReduction: true})
		require.NoError(t, err)
		require.Equal(t, with.Failure == nil, without.Failure == nil, name)
		require.Equal(t, with.Ends, without.Ends, name)
		if with.Failure != nil {
			require.Equal(t, with.Failure.Kind, without.Failure.Kind, name)
			continue
		}
		require.LessOrEqual(t, with.States, without.States, name)
	}
}

// TestRandomFinds: random schedules find every failure of the programs, drawn
// either way, and none where there is none.
func TestRandomFinds(t *testing.T) {
	for _, name := range Programs() {
		want, _ := Expected(Text(name))
		p := program(t, name)
		for _, depth := range []int{0, 3} {
			res, err := Random(context.Background(), p, RandomOptions{Schedules: 3000, Depth: depth})
			require.NoError(t, err)
			if want == "" {
				// A schedule by priorities may spin for ever while the owner waits.
				if res.Failure != nil && depth > 0 {
					require.Equal(t, Livelock, res.Failure.Kind, name)
					continue
				}
				require.Nil(t, res.Failure, "%s depth %d: %v", name, depth, res.Failure)
				continue
			}
			require.NotNil(t, res.Failure, "%s depth %d", name, depth)
			if depth == 0 {
				require.Equal(t, want, res.Failure.Kind, name)
			}
		}
	}
}

// TestRandomIsDeterministic: the same seed gives the same schedule.
func TestRandomIsDeterministic(t *testing.T) {
	p := program(t, "peterson-without-barrier")
	a, err := Random(context.Background(), p, RandomOptions{Seed: 7})
	require.NoError(t, err)
	b, err := Random(context.Background(), p, RandomOptions{Seed: 7})
	require.NoError(t, err)
	require.Equal(t, a, b)
	again, err := Random(context.Background(), p, RandomOptions{Seed: a.Failure.Seed, Schedules: 1})
	require.NoError(t, err)
	require.Equal(t, a.Failure.Schedule, again.Failure.Schedule)
}

// TestNaive compares with a plain depth-first walk over all schedules, without
// states or reduction, on small programs.
func TestNaive(t *testing.T) {
	for _, name := range []string{"abba", "irq-deadlock", "irq-safe", "lost-wakeup", "publish", "publish-without-barrier", "rcu-without-grace-period", "wait-event", "self-unlock"} {
		p := program(t, name)
		kinds := map[FailureKind]bool{}
		walk(newMachine(p), 0, kinds)
		want, _ := Expected(Text(name))
		require.Equal(t, want != "", len(kinds) > 0, name)
		if want != "" {
			require.True(t, kinds[want], "%s: %v", name, kinds)
		}
	}
}

func walk(m *machine, depth int, kinds map[FailureKind]bool) {
	if depth > 60 {
		return
	}
	if m.fail != nil {
		kinds[m.fail.Kind] = true
		return
	}
	choices := m.choices(nil)
	if len(choices) == 0 {
		if f := m.stuck(); f != nil {
			kinds[f.Kind] = true
		}
		return
	}
	state := append([]int32(nil), m.s...)
	for _, c := range choices {
		copy(m.s, state)
		m.fail = nil
		m.take(c)
		walk(m, depth+1, kinds)
	}
}

func ExampleExhaustive() {
	p, err := Parse("example", strings.NewReader(`
		var counter
		thread a; b
		  c = counter
		  counter = c + 1
		thread check
		  await counter == 2
	`))
	if err != nil {
		panic(err)
	}
	res, _ := Exhaustive(context.Background(), p, Options{})
	fmt.Println(res.Failure.Kind)
	_, _ = Replay(p, res.Failure.Schedule, os.Stdout)
	// Output:
	// deadlock
	//   1  a             4  c = counter
	//   2  b             4  c = counter
	//   3  a             5  counter = c + 1                     counter=1
	//   4  b             5  counter = c + 1
}

func TestLimits(t *testing.T) {
	_, err := Exhaustive(context.Background(), program(t, "queued"), Options{MaxStates: 100})
	require.ErrorIs(t, err, ErrLimit)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Exhaustive(ctx, program(t, "queued"), Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestEndless(t *testing.T) {
	p, err := Parse("x", strings.NewReader("var v\nthread a\nL: \ngoto L\n"))
	require.NoError(t, err)
	res, err := Exhaustive(context.Background(), p, Options{})
	require.NoError(t, err)
	require.Equal(t, Livelock, res.Failure.Kind)
	_, err = Replay(p, []Choice{{Thread: 3}}, io.Discard)
	require.ErrorIs(t, err, ErrSchedule)
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "x:0: found the end, expected a thread",
		"frob":                                `x:1: found "frob", expected program, memory, var, object, thread or irq`,
		"memory odd":                          `x:1: found "memory odd", expected memory sc or memory weak`,
		"var 1x":                              `x:1: found "var 1x", expected at most 64 names of variables`,
		"var a, a":                            `x:1: found "var a, a", expected each variable once`,
		"var a\nthread t\n r = a + a":         `x:3: found "r = a + a", expected one access to shared variables a step, found 2`,
		"thread t\n if 1":                     "x:2: found the end, expected end for every if and while",
		"thread t\n end":                      `x:2: found "end", expected an if or while before it`,
		"thread t\n goto L":                   "x:2: found the end, expected the label L of line 2",
		"thread t\n r = (1":                   `x:2: found "r = (1", expected found "", want )`,
		"thread t\n r = 1 $":                  `x:2: found "r = 1 $", expected found "$" in an expression`,
		"thread t cpu 99":                     `x:1: found "thread t cpu 99", expected a CPU of 0 to 7`,
		"var a\nthread t\n a = fetch_add a 1": `x:3: found "a = fetch_add a 1", expected a register before =`,
	} {
		_, err := Parse("x", strings.NewReader(text))
		var broken *ParseError
		require.ErrorAs(t, err, &broken, text)
		require.EqualError(t, err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Programs() {
		f.Add(Text(name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("x", strings.NewReader(text))
		if err != nil {
			return
		}
		res, err := Exhaustive(context.Background(), p, Options{MaxStates: 300})
		if err == nil && res.Failure != nil {
			if _, err := Replay(p, res.Failure.Schedule, io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = Random(context.Background(), p, RandomOptions{Schedules: 3, Depth: 2, Options: Options{MaxSteps: 200}})
	})
}

// BenchmarkRandom measures schedules of a ticket lock on three CPUs.
func BenchmarkRandom(b *testing.B) {
	p := program(b, "ticket")
	res, err := Random(context.Background(), p, RandomOptions{Schedules: b.N})
	if err != nil || res.Failure != nil {
		b.Fatal(err, res.Failure)
	}
	b.ReportMetric(float64(res.Steps)/float64(b.N), "steps/op")
}

func BenchmarkExhaustive(b *testing.B) {
	p := program(b, "queued")
	for b.Loop() {
		res, err := Exhaustive(context.Background(), p, Options{})
		if err != nil || res.Failure != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(res.States), "states")
	}
}
