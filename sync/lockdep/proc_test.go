package lockdep

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ExampleValidator_WriteClasses() {
	s, _ := NewScript(Config{})
	_, _ = s.Run([]string{"lock mutex A", "lock mutex B", "lock rwsem_read C", "unlock rwsem_read C", "unlock mutex B", "unlock mutex A", "irq_off", "lock spin D", "unlock spin D"})
	_ = s.V.WriteClasses(os.Stdout)
	// Output:
	// all lock classes:
	// 0000000000000000 FD:    3 BD:    1 +.+.: mutex A
	//  -> [0000000000000000] mutex B
	//
	// 0000000000000000 FD:    2 BD:    2 +.+.: mutex B
	//  -> [0000000000000000] rwsem C
	//
	// 0000000000000000 FD:    1 BD:    3 .+.+: rwsem C
	//
	// 0000000000000000 FD:    1 BD:    1 ....: spin D
}

func TestStatsText(t *testing.T) {
	s, err := NewScript(Config{})
	require.NoError(t, err)
	_, err = s.Run([]string{"lock mutex A", "lock mutex B", "unlock mutex B", "unlock mutex A", "irq_off", "hardirq_enter", "lock spin D", "unlock spin D", "hardirq_exit", "irq_on"})
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, s.V.WriteStats(&b))
	for _, line := range []string{
		" lock-classes:                            3 [max: 8192]\n",
		" direct dependencies:                     2 [max: 32768]\n",
		" dependency chains:                       3 [max: 65536]\n",
		" dependency chain hlocks used:            4 [max: 327680]\n",
		" in-hardirq chains:                       1\n",
		" in-process chains:                       2\n",
		" hardirq-safe locks:                      1\n",
		" hardirq-unsafe locks:                    2\n",
		" irq-unsafe locks:                        2\n",
		" debug_locks:                             1\n",
	} {
		require.Contains(t, b.String(), line)
	}
	b.Reset()
	require.NoError(t, s.V.WriteChains(&b))
	require.Contains(t, b.String(), "irq_context: hardirq\n[0000000000000000] spin D\n\n")
}

func TestLockStat(t *testing.T) {
	now := int64(0)
	v, err := New(Config{Clock: func() int64 { now += 1000; return now }})
	require.NoError(t, err)
	l := v.NewLock(v.NewKey(Key{Name: "rtnl_mutex"}), 0)
	a, b := v.NewTask("a", 1), v.NewTask("b", 2)
	b.CPU = 1
	require.Nil(t, v.Acquire(a, l, Acquire{Site: "fa"}))
	v.Acquired(a, l)
	require.Nil(t, v.Acquire(b, l, Acquire{Site: "fb"}))
	v.Contended(b, l, "fb")
	require.Nil(t, v.Release(a, l, ""))
	v.Acquired(b, l)
	require.Nil(t, v.Release(b, l, ""))
	var out strings.Builder
	require.NoError(t, v.WriteLockStat(&out))
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, "lock_stat version 0.4", lines[0])
	require.Equal(t, strings.Repeat("-", 221), lines[1])
	want := fmt.Sprintf("%40s:%14d %14d %14s %14s %14s %14s %14d %14d %14s %14s %14s %14s", "rtnl_mutex", 1, 1, "2.00", "2.00", "2.00", "2.00", 1, 2, "1.00", "3.00", "4.00", "2.00")
	require.Equal(t, want, lines[5])
	require.Contains(t, out.String(), "fb\n")
}

func TestFreeKey(t *testing.T) {
	s, err := NewScript(Config{})
	require.NoError(t, err)
	_, err = s.Run([]string{"lock mutex A", "lock mutex B", "lock mutex C", "unlock mutex C", "unlock mutex B", "unlock mutex A"})
	require.NoError(t, err)
	s.V.FreeKey(s.keys["mutex B"])
	require.NoError(t, s.V.Check())
	require.Len(t, s.V.Classes(), 2)
	require.Equal(t, 0, int(s.V.NewLock(s.keys["mutex B"], 0)))
	// The path A -> B -> C is gone with B; C -> A closes no cycle.
	r, err := s.Run([]string{"lock mutex C", "lock mutex A"})
	require.NoError(t, err)
	require.Nil(t, r)
	require.Equal(t, 1, s.V.Stats().Zapped)
}

func TestConfigValidate(t *testing.T) {
	_, err := New(Config{MaxClasses: -1, MaxDepth: 1 << 20})
	require.ErrorContains(t, err, "MaxClasses")
	require.ErrorContains(t, err, "MaxDepth")
}

// TestLimits: a full table is a report, as the kernel's.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{MaxClasses: 2}, "BUG: MAX_LOCKDEP_KEYS too low!"},
		{Config{MaxDependencies: 2}, "BUG: MAX_LOCKDEP_ENTRIES too low!"},
		{Config{MaxChains: 2}, "BUG: MAX_LOCKDEP_CHAINS too low!"},
		{Config{MaxDepth: 2}, "BUG: MAX_LOCK_DEPTH too low!"},
	} {
		s, err := NewScript(c.cfg)
		require.NoError(t, err)
		r, err := s.Run([]string{"lock mutex A", "lock mutex B", "lock mutex C"})
		require.NoError(t, err)
		require.NotNil(t, r)
		require.Equal(t, Limit, r.Kind)
		require.Equal(t, c.want, r.Title)
	}
}

// BenchmarkAcquire takes and gives back locks of 1,000 classes, three deep, on
// chains that are known.
func BenchmarkAcquire(b *testing.B) {
	v, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	task := v.NewTask("bench", 1)
	const classes = 1000
	locks := make([]LockID, classes)
	for i := range locks {
		locks[i] = v.NewLock(v.NewKey(Key{Name: fmt.Sprintf("c%d", i), Inner: WaitSleep}), uint64(i))
	}
	round := func(i int) {
		i %= classes - 2
		for j := range 3 {
			v.Acquire(task, locks[i+j], Acquire{Site: "bench"})
		}
		for j := 2; j >= 0; j-- {
			v.Release(task, locks[i+j], "bench")
		}
	}
	for i := range classes {
		round(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 3 {
		round(i)
	}
	if v.Report() != nil {
		b.Fatal(v.Report())
	}
}
