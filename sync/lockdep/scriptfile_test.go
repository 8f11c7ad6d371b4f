package lockdep

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ExampleReadScript() {
	cases, err := ReadScript("abba", strings.NewReader(`
		case abba
		task one; lock mutex A; lock mutex B; unlock mutex B; unlock mutex A
		task two; lock mutex B; lock mutex A   # the other way round
	`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, _ := cases[0].Run()
	fmt.Println(r.Title)
	fmt.Println(strings.Join(r.Cycle, " -> "))
	// Output:
	// WARNING: possible circular locking dependency detected
	// mutex A -> mutex B
}

func TestReadScript(t *testing.T) {
	cases, err := ReadScript("f", strings.NewReader("lock spin A\nlock spin A\nexpect AA_recursive\ncase two\nreaders recursive; lock rw_read A; lock rw_read A\nexpect SUCCESS\n"))
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.Equal(t, "two", cases[1].Name)
	for _, c := range cases {
		_, err := c.Verdict()
		require.NoError(t, err)
	}
	cases[0].expect("ABBA_circular")
	_, err = cases[0].Verdict()
	require.EqualError(t, err, "kind AA_recursive, the kernel's is ABBA_circular")
}

func TestReadScriptErrors(t *testing.T) {
	for text, want := range map[string]string{
		"case":                    "f:1: found case, expected case NAME, expect KIND or readers recursive",
		"# nothing\n":             "f:1: found no operations, expected lock KIND NAME and the like",
		strings.Repeat("x", 5000): "f:1: found bufio.Scanner: token too long, expected a line of at most 4096 bytes",
	} {
		_, err := ReadScript("f", strings.NewReader(text))
		require.EqualError(t, err, want)
	}
}

func FuzzReadScript(f *testing.F) {
	f.Add("lock mutex A; lock mutex B nest_under A\ntask x; irq_off; lock rw_read A\nhardirq_enter\n")
	f.Add("ww_acquire_init t; lock ww o ctx t; poke o.ctx = none; unlock ww o; rcu_read_lock_bh; rcu_read_unlock_bh; exit")
	f.Fuzz(func(t *testing.T, text string) {
		cases, err := ReadScript("x", strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range cases {
			s, err := NewScript(Config{})
			if err != nil {
				t.Fatal(err)
			}
			for _, op := range cases[i].Ops {
				if _, err := s.Step(op); err != nil {
					break
				}
				if err := s.V.Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
