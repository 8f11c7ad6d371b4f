package lkmm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDialect: ways to write the same things that tests in the wild use. Each
// test's condition holds in all executions.
func TestDialect(t *testing.T) {
	for _, c := range []struct{ init, params, body, cond string }{
		// Expressions, types, declarations.
		{"", "int *x", "int r0 = (int)READ_ONCE(*x);", "0:r0=0"},
		{"", "int *x", "long r0 = (unsigned long)(r1 + 0x10UL); WRITE_ONCE(*x, (int)r0);", "x=16"},
		{"", "int *x", "int r0, r1 = 3, *r2; r0 = r1 - 3;", "0:r0=0"},
		{"", "int *x", "int r0 __attribute__((unused)) = -READ_ONCE(*x) - 1;", "0:r0=-1"},
		{"", "int *x", "int __maybe_unused r0 = READ_ONCE(*x) ? 1 : 2;", "0:r0=2"},
		{"", "int *x", "bool r0 = READ_ONCE(*x); r0 = true && !r0;", "0:r0=1"},
		{"", "int *x", "int r0; int r1; r0 = r1 = 5;", "0:r0=5 /\\ 0:r1=5"},
		{"", "int *x", "int r0; if ((r0 = READ_ONCE(*x)) == 0) WRITE_ONCE(*x, 7);", "x=7"},
		{"", "int *x", "int r0 = 1; if (unlikely(READ_ONCE(*x))) r0 = 2; if (likely(r0 == 1)) r0 = 3;", "0:r0=3"},
		{"", "int *x", "int r0 = 0; r0 += 5; r0 <<= 2; r0 |= 1; --r0; r0--; r0 %= 10;", "0:r0=9"},
		{"", "volatile int *x, const u64 *y", "uint32_t r0 = READ_ONCE(*x) + READ_ONCE(*y);", "0:r0=0"},
		{"", "struct foo *x, atomic_long_t *y", "(void)READ_ONCE(*x); ; { ; } long r0 = atomic_long_read(y);", "0:r0=0"},
		{"", "int *x", "/* (* c *) */ int r0 = READ_ONCE(*x); // (*", "0:r0=0"},
		{"", "int *x", "r0 = READ_ONCE(*x);", "0:r0=0"},
		{"", "", "int r0 = READ_ONCE(x); WRITE_ONCE(y, r0 + 1);", "y=1"},
		{"", "int *x", "int *r1 = &*x; int r0 = READ_ONCE(*r1);", "0:r0=0 /\\ 0:r1=x"},
		// Initial values.
		{"int x = 4; int *p = &x;", "int **p", "int *r1 = READ_ONCE(*p); int r0 = READ_ONCE(*r1);", "0:r0=4"},
		{"x=4; p=x;", "int **p", "int *r1 = READ_ONCE(*p); int r0 = READ_ONCE(*r1);", "0:r0=4 /\\ 0:r1=&x"},
		{"int a[2] = {4, 5};", "int *a", "int r0 = READ_ONCE(a[1]); WRITE_ONCE(a[0], 7);", "0:r0=5 /\\ a[0]=7"},
		{"int a[2] = {4, 5};", "int a[]", "int r0 = READ_ONCE(*(a + 1));", "0:r0=5"},
		{"0:r1=7; P0:r2=x; [x]=3; int w = 0x1f; atomic_t v = ATOMIC_INIT(2);", "int *x, int r1", "int r0 = r1 + READ_ONCE(*r2);", "0:r0=10 /\\ w=31 /\\ v=2"},
		// Locks.
		{"", "spinlock_t *l", "int r0 = spin_trylock(l); int r1 = !!spin_is_locked(l); spin_unlock(l);", "0:r0=1 /\\ 0:r1=1"},
		{"", "raw_spinlock_t *l", "raw_spin_lock(l); int r0 = raw_spin_is_locked(l); raw_spin_unlock(l);", "0:r0=1"},
		// Read-modify-writes.
		{"", "atomic_t *x", "int r0 = atomic_inc_not_zero(x); atomic_inc(x); int r1 = atomic_inc_not_zero(x);", "0:r0=0 /\\ 0:r1=1 /\\ x=2"},
		{"", "atomic_t *x", "int r0 = atomic_fetch_add_unless(x, 3, 5); int r1 = atomic_add_unless(x, 3, 3);", "0:r0=0 /\\ 0:r1=0 /\\ x=3"},
		{"", "atomic_t *x", "int old = 1; int r0 = atomic_try_cmpxchg(x, &old, 5); int r1 = try_cmpxchg_acquire(x, &old, 6);", "0:r0=0 /\\ 0:r1=1 /\\ 0:old=0 /\\ x=6"},
		{"", "atomic_t *x", "int r0 = atomic_cmpxchg_acquire(x, 0, 1); int r1 = atomic_long_cmpxchg(x, 1, 2); int r2 = cmpxchg64_relaxed(x, 2, 3);", "0:r0=0 /\\ 0:r1=1 /\\ 0:r2=2 /\\ x=3"},
		{"", "atomic_t *x", "atomic_or(6, x); atomic_and(3, x); atomic_xor(1, x); atomic_andnot(1, x); int r0 = atomic_fetch_andnot_release(2, x);", "0:r0=2 /\\ x=0"},
		{"", "atomic_t *x", "int r0 = atomic_sub_and_test(0, x); int r1 = atomic_dec_and_test(x); int r2 = atomic_inc_and_test(x); int r3 = atomic_add_negative(-2, x);", "0:r0=1 /\\ 0:r1=0 /\\ 0:r2=1 /\\ 0:r3=1 /\\ x=-2"},
		// RCU and SRCU.
		{"int *p = &x;", "int **p", "rcu_read_lock(); rcu_read_lock(); int *r1 = rcu_dereference(*p); int r0 = *r1; rcu_read_unlock(); rcu_read_unlock(); synchronize_rcu_expedited();", "0:r0=0"},
		{"", "struct srcu_struct *s", "int r0 = srcu_down_read(s); srcu_up_read(s, r0); smp_mb__after_srcu_read_unlock(); synchronize_srcu_expedited(s);", "0:r0=0"},
		{"", "int **p, int *y", "rcu_assign_pointer(*p, y); int *r0 = rcu_access_pointer(*p);", "0:r0=y"},
		// Conditions.
		{"", "int *x", "int r0 = READ_ONCE(*x);", "~(0:r0=1 /\\ ~(x=0 \\/ y=1)) /\\ not (0:r0=2) (* c *)"},
		{"", "int *x", "int r0 = READ_ONCE(*x);", "[x]=0x0 /\\ P0:r0!=1 /\\ *x=0 /\\ (x=1 => x=2)"},
		{"", "int *x", "int r0 = READ_ONCE(*x); int r1 = r0;", "0:r0=0:r1 /\\ true"},
	} {
		text := fmt.Sprintf("C dialect\n\n{ %s }\n\nP0(%s)\n{\n\t%s\n}\n\nexists (%s)\n", c.init, c.params, c.body, c.cond)
		test, err := Parse("dialect", []byte(text))
		require.NoError(t, err, text)
		r := run(t, test, Options{})
		require.Equal(t, Always, r.Verdict, text)
		again, err := Parse("again", []byte(test.String()))
		require.NoError(t, err, test.String())
		require.Equal(t, stateSet(test, r.States), stateSet(again, run(t, again, Options{}).States), test.String())
	}
}

// TestLayout: whole texts that are laid out in odd ways.
func TestLayout(t *testing.T) {
	for _, text := range []string{
		"C a\r\n\r\n{\r\n}\r\n\r\nP0(int *x)\r\n{\r\n\tint r0 = READ_ONCE(*x);\r\n}\r\n\r\nexists (0:r0=0)\r\n",
		"\xef\xbb\xbfC a\n{}\nP0(int *x)\n{\n\tint r0 = READ_ONCE(*x);\n}\nexists (0:r0=0)",
		"(* before *)\nC a\n{}\nP0(int *x)\n{\n\tint r0 = READ_ONCE(*x);\n}\nexists 0:r0=0",
		"C a\n\"Fre PodWR { Fre\"\nCycle=Fre PodWR\nPrefetch=0:x=F,0:y=T\n(* Result: Always *)\n{ x=0 }\nP0(int *x) { int r0 = READ_ONCE(*x); }\nexists(0:r0=0)",
		"C dir/a+b.c \n(* c (* nested { *) *)\n{\n(* c *) x = 0; // c\n}\n\nstatic void P0 ( int * x )\n{\n int r0 ;\n r0 = READ_ONCE ( * x ) ;\n}\n\nlocations [ x; 0:r0 ]\nfilter (x=0)\nforall\n(0:r0=0)\n;\n",
		"C a\n{}\nP0(void)\n{\n}\n",
	} {
		test, err := Parse("layout", []byte(text))
		require.NoError(t, err, text)
		require.Equal(t, Always, run(t, test, Options{}).Verdict, text)
	}
}
