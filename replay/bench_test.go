package replay

import (
	"context"
	"os"
	"testing"
)

func BenchmarkDev(b *testing.B) {
	c, err := OpenDir(os.Getenv("DIR"))
	if err != nil {
		b.Skip()
	}
	for b.Loop() {
		if _, err := Run(context.Background(), c, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
