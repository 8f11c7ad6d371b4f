package lkmm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCountsOfHerd: final states and executions with and without the condition
// ("Positive: 6 Negative: 12") as herd7 counts them; its developers publish the
// numbers with their catalogue of tests for the Linux model. Test programs are
// written down here by their shape.
func TestCountsOfHerd(t *testing.T) {
	lock := func(body string) string { return "spin_lock(l); " + body + " spin_unlock(l);" }
	for _, c := range []struct {
		name                       string
		threads                    []string
		cond                       string
		states, positive, negative int64
	}{
		{"CCIRIW", []string{
			"WRITE_ONCE(*x, 1);", "WRITE_ONCE(*x, 2);",
			"r1 = READ_ONCE(*x); r2 = READ_ONCE(*x);", "r3 = READ_ONCE(*x); r4 = READ_ONCE(*x);",
		}, "2:r1=1 /\\ 2:r2=2 /\\ 3:r3=2 /\\ 3:r4=1", 47, 0, 72},
		{"LB, ctrl that always holds, disturbed", []string{
			"r1 = READ_ONCE(*x); if (r1 >= 0) WRITE_ONCE(*y, 1);",
			"r2 = READ_ONCE(*y); if (r2 >= 0) WRITE_ONCE(*x, 1);",
			"r3 = READ_ONCE(*x); r4 = READ_ONCE(*y); if (r3 < 0) WRITE_ONCE(*y, -1); if (r4 < 0) WRITE_ONCE(*x, -1);",
		}, "0:r1=1 /\\ 1:r2=1", 3, 0, 12},
		{"WWC, ctrl, disturbed", []string{
			"r1 = READ_ONCE(*x); if (r1 > 0) WRITE_ONCE(*y, 1);",
			"r2 = READ_ONCE(*y); if (r2 > 0) WRITE_ONCE(*x, 1);",
			"WRITE_ONCE(*x, 2);",
			"r3 = READ_ONCE(*x); r4 = READ_ONCE(*y); if (r3 < 0) WRITE_ONCE(*y, -1); if (r4 < 0) WRITE_ONCE(*x, -1);",
		}, "0:r1=2 /\\ 1:r2=1 /\\ x=2", 4, 6, 12},
		{"LB, failed cmpxchg", []string{
			"r1 = cmpxchg(x, 2, 3); if (r1 >= 0) WRITE_ONCE(*y, 1);",
			"r2 = READ_ONCE(*y); if (r2 >= 0) WRITE_ONCE(*x, 1);",
		}, "0:r1=1 /\\ 1:r2=1", 3, 0, 3},
		{"two cmpxchg", []string{"r1 = cmpxchg(x, 1, 2);", "r1 = cmpxchg(x, 0, 1);"},
			"0:r1=1 /\\ ~x=2", 2, 0, 2},
		{"SB, own store read first", []string{
			"WRITE_ONCE(*x, 2); r1 = READ_ONCE(*x); smp_rmb(); r2 = READ_ONCE(*y);",
			"WRITE_ONCE(*y, 2); r1 = READ_ONCE(*y); smp_rmb(); r2 = READ_ONCE(*x);",
		}, "1:r2=0 /\\ 0:r2=0 /\\ 1:r1=2 /\\ 0:r1=2", 4, 1, 3},
		{"Z6.0, lock with smp_mb__after_spinlock", []string{
			lock("WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1);"),
			lock("smp_mb__after_spinlock(); r0 = READ_ONCE(*y); WRITE_ONCE(*z, 1);"),
			"WRITE_ONCE(*z, 2); smp_mb(); r1 = READ_ONCE(*x);",
		}, "1:r0=1 /\\ z=2 /\\ 2:r1=0", 7, 0, 7},
		{"ISA2, locks", []string{
			lock("WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1);"),
			lock("r0 = READ_ONCE(*y); WRITE_ONCE(*z, 1);"),
			"r2 = READ_ONCE(*z); smp_mb(); r1 = READ_ONCE(*x);",
		}, "1:r0=1 /\\ 2:r2=1 /\\ 2:r1=0", 7, 0, 7},
		{"lock seen by its owner", []string{
			"r1 = spin_is_locked(l); spin_lock(l); r2 = spin_is_locked(l); spin_unlock(l); r3 = spin_is_locked(l);",
		}, "~(0:r1=0 /\\ 0:r2=1 /\\ 0:r3=0)", 1, 0, 1},
		{"atomic_add_unless as a full barrier", []string{
			"WRITE_ONCE(*x, 1); r0 = atomic_add_unless(z, 1, 5); WRITE_ONCE(*y, 1);",
			"r0 = READ_ONCE(*y); if (r0 == 1) WRITE_ONCE(*x, 2);",
		}, "1:r0=1 /\\ x=1", 2, 0, 2},
	} {
		var text strings.Builder
		text.WriteString("C counts\n{}\n")
		for i, body := range c.threads {
			fmt.Fprintf(&text, "P%d(int *x, int *y, int *z, spinlock_t *l)\n{\n%s\n}\n", i, body)
		}
		fmt.Fprintf(&text, "exists (%s)\n", c.cond)
		test, err := Parse("counts", []byte(text.String()))
		require.NoError(t, err, text.String())
		r := run(t, test, Options{})
		require.Equal(t, []int64{c.states, c.positive, c.negative},
			[]int64{int64(len(r.States)), r.Witnesses, r.Executions - r.Witnesses}, c.name)
	}
}
