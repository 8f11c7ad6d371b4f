package lkmm

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// ring is a chain of message passing through n threads, closed to a circle:
// each reads from the one before and then writes for the next.
func ring(n int, read, write string) *Test {
	var text, cond strings.Builder
	text.WriteString("C ring\n{}\n")
	for i := range n {
		from, to := fmt.Sprintf("x%d", i), fmt.Sprintf("x%d", (i+1)%n)
		fmt.Fprintf(&text, "P%d(int *%s, int *%s)\n{\n\tint r0;\n\tr0 = %s;\n\t%s;\n}\n", i, from, to,
			fmt.Sprintf(read, from), fmt.Sprintf(write, to))
		if i > 0 {
			cond.WriteString(" /\\ ")
		}
		fmt.Fprintf(&cond, "%d:r0=1", i)
	}
	t, err := Parse("ring", []byte(text.String()+"exists ("+cond.String()+")\n"))
	if err != nil {
		panic(err)
	}
	return t
}

func BenchmarkRing10(b *testing.B) {
	t := ring(10, "smp_load_acquire(%s)", "smp_store_release(%s, 1)")
	for b.Loop() {
		if r, err := Run(context.Background(), t, Options{}); err != nil || r.Verdict != Never {
			b.Fatal(err, r)
		}
	}
}

func BenchmarkRingRcu14(b *testing.B) {
	t := ring(14, "READ_ONCE(*%s); synchronize_rcu()", "WRITE_ONCE(*%s, 1)")
	for b.Loop() {
		if r, err := Run(context.Background(), t, Options{}); err != nil || r.Verdict != Never {
			b.Fatal(err, r)
		}
	}
}

func BenchmarkKernelTree(b *testing.B) {
	cases := readCapture(b, "kernel_tree")
	for b.Loop() {
		for i := range cases {
			if _, err := Run(context.Background(), cases[i].Test, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
