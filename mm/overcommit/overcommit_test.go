package overcommit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/mm/overcommit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestModes(t *testing.T) {
	s := overcommit.System{Mode: overcommit.Guess, Ratio: 50, MemTotal: 400_000, SwapTotal: 100_000, AdminReserve: 8192, UserReserve: 12_000, Committed: 10_000}
	all := uint64(500_000 << 10)
	assert.Equal(t, uint64(75_000), s.Limit())
	require.NoError(t, s.Allow(&overcommit.Request{Bytes: all}))
	require.NoError(t, s.Allow(&overcommit.Request{Bytes: all}), "what is committed does not count")
	var refused *overcommit.Error
	require.ErrorAs(t, s.Allow(&overcommit.Request{Bytes: all + 1}), &refused)
	assert.Equal(t, 12, refused.Errno())
	s.Mode = overcommit.Always
	require.NoError(t, s.Allow(&overcommit.Request{Bytes: 1 << 50}))

	s = overcommit.System{Mode: overcommit.Never, KBytes: 40_000, MemTotal: 400_000, AdminReserve: 4000, UserReserve: 2000, Committed: 4000}
	// 10,000 pages, less 1,000 and 500, less 1,000 that are committed: 7,499 fit.
	r := overcommit.Request{Bytes: 7500 * 4096, TotalVM: 1 << 20}
	require.Error(t, s.Allow(&r))
	r.Bytes--
	require.Error(t, s.Allow(&r), "rounded up to pages")
	r.Bytes = 7499 * 4096
	require.NoError(t, s.Allow(&r))
	assert.Equal(t, uint64(4000+7499*4), s.Committed)
	require.NoError(t, s.Allow(&overcommit.Request{Kind: overcommit.AnonPrivateReadOnly, Bytes: 1 << 50}))
	require.Error(t, s.Allow(&overcommit.Request{Kind: overcommit.AnonPrivateNoReserve, Bytes: 1 << 40}), "mode 2 does not heed NORESERVE")
}

// TestNeverAboveLimit commits at random in mode 2: the sum stays below the limit.
func TestNeverAboveLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := overcommit.System{Mode: overcommit.Never, Ratio: rapid.Uint64Range(0, 200).Draw(t, "ratio"), MemTotal: rapid.Uint64Range(0, 1<<24).Draw(t, "ram"),
			SwapTotal: rapid.Uint64Range(0, 1<<22).Draw(t, "swap"), HugeTLB: rapid.Uint64Range(0, 1<<25).Draw(t, "huge"), AdminReserve: 8192, UserReserve: 8192}
		for range 20 {
			r := overcommit.Request{Kind: overcommit.Kind(rapid.IntRange(0, 7).Draw(t, "kind")), Bytes: rapid.Uint64Range(0, 1<<34).Draw(t, "bytes"),
				TotalVM: rapid.Uint64Range(0, 1<<20).Draw(t, "vm"), SysAdmin: rapid.Bool().Draw(t, "admin")}
			before := s.Committed
			if s.Allow(&r) != nil {
				require.Equal(t, before, s.Committed)
				continue
			}
			if s.Charge(&r) > 0 {
				require.Less(t, s.Committed/4, s.Limit())
			}
		}
	})
}

const table = "mode\tratio\tkbytes\tadmin_reserve_kb\tuser_reserve_kb\thugepages_2M\tcap_sys_admin\tmem_total_kb\tswap_total_kb\tcommit_limit_kb\tcommitted_as_kb\ttotal_vm_pages\tkind\trequest_bytes\tallowed\terrno\tcommitted_as_after_kb\tnote\n" +
	"0\t50\t0\t8192\t27837\t0\t1\t907980\t0\t453988\t6116\t249\tanon_private_rw\t4097\tyes\t0\t6124\trounding\n"

func TestTable(t *testing.T) {
	rows, err := overcommit.ReadTable(strings.NewReader(table), "t")
	require.NoError(t, err)
	require.Len(t, rows, 1)
	assert.Equal(t, overcommit.Verdict{Allowed: true, CommitLimit: 453_988, After: 6124}, rows[0].Judge())
	for _, bad := range []string{"", "mode\tkind\n", strings.Replace(table, "4097", "lots", 1), strings.Replace(table, "yes", "maybe", 1),
		strings.Replace(table, "anon_private_rw", "magic", 1), strings.Replace(table, "\n0\t", "\n7\t", 1), strings.Repeat("x", 1<<17)} {
		_, err := overcommit.ReadTable(strings.NewReader(bad), "t")
		var wrong *overcommit.TableError
		require.ErrorAs(t, err, &wrong)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(table)
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := overcommit.ReadTable(strings.NewReader(text), "fuzz")
		if err == nil {
			for i := range rows {
				rows[i].Judge()
			}
		}
	})
}

func ExampleSystem_Allow() {
	s := overcommit.System{Mode: overcommit.Never, Ratio: 50, MemTotal: 8 << 20}
	fmt.Println(s.Allow(&overcommit.Request{Bytes: 3 << 30, SysAdmin: true}))
	fmt.Println(s.Allow(&overcommit.Request{Bytes: 3 << 30, SysAdmin: true}))
	// Output:
	// <nil>
	// overcommit: ENOMEM: 786432 pages asked for, 1048576 pages allowed
}
