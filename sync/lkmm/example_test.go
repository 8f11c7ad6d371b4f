package lkmm_test

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/sync/lkmm"
)

const storeBuffering = `C SB

{}

P0(int *x, int *y)
{
	WRITE_ONCE(*x, 1);
	%[1]s
	int r0 = READ_ONCE(*y);
}

P1(int *x, int *y)
{
	WRITE_ONCE(*y, 1);
	%[1]s
	int r0 = READ_ONCE(*x);
}

exists (0:r0=0 /\ 1:r0=0)
`

// Each thread may miss the other's store, unless full barriers forbid it.
func ExampleRun() {
	for _, fence := range []string{"", "smp_wmb();", "smp_mb();"} {
		test, err := lkmm.Parse("SB.litmus", fmt.Appendf(nil, storeBuffering, fence))
		if err != nil {
			fmt.Println(err)
			return
		}
		r, err := lkmm.Run(context.Background(), test, lkmm.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q %s, %d of %d executions\n", fence, r.Verdict, r.Witnesses, r.Executions)
	}
	// Output:
	// "" Sometimes, 1 of 4 executions
	// "smp_wmb();" Sometimes, 1 of 4 executions
	// "smp_mb();" Never, 0 of 3 executions
}

// What an axiom forbids is seen by leaving it out.
func ExampleOptions() {
	test, err := lkmm.Parse("SB.litmus", fmt.Appendf(nil, storeBuffering, "smp_mb();"))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := lkmm.Run(context.Background(), test, lkmm.Options{Without: lkmm.Propagation})
	fmt.Println(r.Verdict, err)
	for _, s := range r.States {
		fmt.Println(test.FormatState(s.Values), s.Holds)
	}
	// Output:
	// Sometimes <nil>
	// 0:r0=0; 1:r0=0; true
	// 0:r0=0; 1:r0=1; false
	// 0:r0=1; 1:r0=0; false
	// 0:r0=1; 1:r0=1; false
}

// The cycle that forbids an execution.
func ExampleExplain() {
	test, err := lkmm.Parse("SB.litmus", fmt.Appendf(nil, storeBuffering, "smp_mb();"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ev, err := lkmm.Explain(context.Background(), test, lkmm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ev.Title())
	for _, i := range ev.Cycle {
		e := ev.Edges[i]
		from, to := ev.Events[e.From], ev.Events[e.To]
		fmt.Printf("P%d %s --%s--> P%d %s\n", from.Thread, from.Text, e.Label, to.Thread, to.Text)
	}
	// Output:
	// SB: forbidden by propagation
	// P0 READ_ONCE y=0 --fr--> P1 WRITE_ONCE y=1
	// P1 WRITE_ONCE y=1 --mb--> P1 READ_ONCE x=0
	// P1 READ_ONCE x=0 --fr--> P0 WRITE_ONCE x=1
	// P0 WRITE_ONCE x=1 --mb--> P0 READ_ONCE y=0
}

// A run on x86 that misses both stores, step by step.
func ExampleTrace() {
	test, err := lkmm.Parse("SB.litmus", fmt.Appendf(nil, storeBuffering, ""))
	if err != nil {
		fmt.Println(err)
		return
	}
	steps, ok, err := lkmm.Trace(context.Background(), test, lkmm.TSO, lkmm.Options{})
	fmt.Println(ok, err)
	for _, s := range steps {
		fmt.Println(s.Text)
	}
	// Output:
	// true <nil>
	// P0: store x=1 into the store buffer
	// P0: load y=0 from memory
	// P1: store y=1 into the store buffer
	// P1: the store y=1 reaches memory
	// P1: load x=0 from memory
	// P0: the store x=1 reaches memory
}

// What cannot be read names the place.
func ExampleParse_error() {
	_, err := lkmm.Parse("bad.litmus", []byte("C bad\n{}\nP0(int *x)\n{\n\tsmp_barrier();\n}\n"))
	fmt.Println(err)
	// Output:
	// bad.litmus:5:2: found "smp_barrier", expected a primitive of the kernel memory model
}
