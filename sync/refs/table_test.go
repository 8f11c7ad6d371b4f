package refs

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func recorded(t testing.TB, name string) ([]Row, bool) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "reports", name))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	rows, counts, err := ReadTable(name, z)
	require.NoError(t, err)
	return rows, counts
}

func TestRecordedTables(t *testing.T) {
	for name, n := range map[string]int{"refcount.tsv.gz": 150, "atomic.tsv.gz": 1127} {
		rows, counts := recorded(t, name)
		require.Len(t, rows, n)
		for _, r := range rows {
			require.Empty(t, r.Differences(counts), "%s line %d", name, r.Line)
		}
	}
}

// TestAtomic64 runs the atomic table's rows on 64 bits where nothing wraps: the
// answers are the same.
func TestAtomic64(t *testing.T) {
	rows, _ := recorded(t, "atomic.tsv.gz")
	for _, r := range rows {
		if r.Init > 1<<20 || r.Init < -1<<20 || r.Arg > 1<<20 || r.Arg < -1<<20 {
			continue
		}
		got, ok := r.Atomic64()
		require.True(t, ok)
		require.Equal(t, Answer{Return: r.Return, Value: r.Value}, got, "line %d", r.Line)
	}
}

func TestReadTableErrors(t *testing.T) {
	for text, want := range map[string]string{
		"x":                              `f:1: found "x", expected "op\tinit\targ\tret\tvalue"`,
		atomicHeader + "\na\tb":          `f:2: found "a\tb", expected 5 columns`,
		atomicHeader + "\na\tb\t1\t1\t1": `f:2: found "a\tb\t1\t1\t1", expected integers in init, arg and value`,
		atomicHeader + "\n" + strings.Repeat("x", 5000): "f:2: found bufio.Scanner: token too long, expected a line of at most 4096 bytes",
	} {
		_, _, err := ReadTable("f", strings.NewReader(text))
		var broken *TableError
		require.ErrorAs(t, err, &broken)
		require.EqualError(t, err, want)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(countHeader + "\ninc\t1\t0\t-999\t2\t0x2\t\n")
	f.Add(atomicHeader + "\ntry_cmpxchg_to_42\t2\t5\t0;old=2\t2\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, counts, err := ReadTable("x", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range rows {
			r.Differences(counts)
		}
	})
}

// TestCountNeverFreesTwice: whatever is done, a count says "that was the last" at
// most once until it is set again, as long as it counts at least one reference.
func TestCountNeverFreesTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Count
		c.Set(rapid.Int32Range(1, 3).Draw(t, "init"))
		last := 0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			ok := false
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				c.Inc()
			case 1:
				c.IncNotZero()
			case 2:
				ok, _ = c.DecAndTest()
			case 3:
				c.Dec()
			}
			if ok {
				last++
			}
		}
		if last > 1 {
			t.Fatalf("freed %d times", last)
		}
	})
}

// TestSaturatedStays: from a saturated count no small number of operations leads
// back.
func TestSaturatedStays(t *testing.T) {
	var c Count
	c.Set(1<<31 - 1)
	require.Equal(t, WarnSaturated, c.Inc())
	for range 1000 {
		ok, w := c.DecAndTest()
		require.False(t, ok)
		require.Equal(t, WarnUnderflow, w)
		require.Equal(t, uint32(saturatedWord), c.Read())
	}
	ok, w := c.DecNotOne()
	require.True(t, ok)
	require.Empty(t, w)
}

func TestOrderOf(t *testing.T) {
	for name, want := range map[string]Order{
		"read": Relaxed, "inc": Relaxed, "set_bit": Relaxed, "add_return": Full, "cmpxchg": Full,
		"fetch_add_acquire": AcquireOrder, "xchg_release": ReleaseOrder, "cmpxchg_relaxed": Relaxed,
	} {
		require.Equal(t, want, OrderOf(name, true), name)
		require.Equal(t, Relaxed, OrderOf(name, false), name)
	}
}

// TestBits compares with a set.
func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, set := NewBits(130), map[int]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.IntRange(-1, 200).Draw(t, "bit")
			in := n >= 0 && n < 192
			var got bool
			old := set[n]
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				got, set[n] = b.TestAndSet(n), in
			case 1:
				got, set[n] = b.TestAndClear(n), false
			case 2:
				got, set[n] = b.TestAndChange(n), in && !old
			}
			if got != old || b.Test(n) != set[n] {
				t.Fatalf("bit %d: was %v, is %v", n, got, b.Test(n))
			}
		}
	})
}

func BenchmarkCount(b *testing.B) {
	var c Count
	c.Set(1)
	for b.Loop() {
		c.Inc()
		c.Dec()
	}
}
