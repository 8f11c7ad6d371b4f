package replay

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func BenchmarkObjectsDev(b *testing.B) {
	for _, d := range strings.Fields(os.Getenv("DIRS")) {
		c, err := OpenDir(d)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Base(d), func(b *testing.B) {
			for b.Loop() {
				if _, err := Objects(context.Background(), c, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
