package lockdep

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What WriteLockStat writes is read back.
func TestReadLockStat(t *testing.T) {
	now := int64(0)
	v, err := New(Config{Clock: func() int64 { now += 1000; return now }})
	require.NoError(t, err)
	l := v.NewLock(v.NewKey(Key{Name: "a:b c"}), 0)
	a, b := v.NewTask("a", 1), v.NewTask("b", 2)
	b.CPU = 1
	require.Nil(t, v.Acquire(a, l, Acquire{Site: "fa"}))
	v.Acquired(a, l)
	require.Nil(t, v.Acquire(b, l, Acquire{Site: "fb: 1 2 3"}))
	v.Contended(b, l, "fb: 1 2 3")
	require.Nil(t, v.Release(a, l, ""))
	v.Acquired(b, l)
	require.Nil(t, v.Release(b, l, ""))
	var out strings.Builder
	require.NoError(t, v.WriteLockStat(&out))
	rows, err := ReadLockStat(strings.NewReader(out.String()), "lock_stat")
	require.NoError(t, err)
	require.Equal(t, []StatRow{{Name: "a:b c", Bounced: 1, Moved: 1, Wait: LockTime{1, 2000, 2000, 2000}, Hold: LockTime{2, 1000, 3000, 4000}}}, rows)
}

func TestReadLockStatRefuses(t *testing.T) {
	_, err := ReadLockStat(strings.NewReader("processor : 0\n"), "cpuinfo")
	require.ErrorIs(t, err, ErrNoLockStat)
	_, err = ReadLockStat(strings.NewReader(""), "empty")
	require.ErrorIs(t, err, ErrNoLockStat)
	for _, row := range []string{"x: 1 1 1.00 1.00 1.00 1.00 1 1 1.00 1.00 1.0 1.00", "x: -1 1 1.00 1.00 1.00 1.00 1 1 1.00 1.00 1.00 1.00",
		"x: 1 1 1.00 9223372036854775.00 1.00 1.00 1 1 1.00 1.00 1.00 1.00", "x: 1 1 1.00 1.-1 1.00 1.00 1 1 1.00 1.00 1.00 1.00"} {
		_, err := ReadLockStat(strings.NewReader("lock_stat version 0.4\n"+row+"\n"), "bad")
		var line *StatError
		require.True(t, errors.As(err, &line), row)
		require.Equal(t, 2, line.Line)
	}
}

func FuzzReadLockStat(f *testing.F) {
	f.Add("lock_stat version 0.4\n&x: 1 1 1.00 1.00 1.00 1.00 1 1 1.00 1.00 1.00 1.00\n")
	f.Add("lock_stat version 0.3\n:\n a:b")
	f.Fuzz(func(t *testing.T, s string) {
		rows, err := ReadLockStat(strings.NewReader(s), "fuzz")
		if err != nil && rows != nil {
			t.Fatal("rows with an error")
		}
		for _, r := range rows {
			if r.Wait.Total < 0 || r.Hold.Total < 0 || r.Wait.Max < 0 {
				t.Fatal("negative time")
			}
		}
	})
}
