package overcommit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func machine(mode Mode) Config {
	return Config{RAMPages: 1000, HugetlbPages: 200, SwapPages: 100, Mode: mode, RatioPercent: 50, AdminReserveKB: 40, UserReserveKB: 80}
}

func TestEdges(t *testing.T) {
	root, user := Caller{TotalVM: 320, SysAdmin: true}, Caller{TotalVM: 320}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		mode   Mode
		who    Caller
		// most is the largest request that is allowed.
		most int64
	}{
		{"guess: RAM and swap, whatever is committed", nil, Guess, user, 1100},
		{"never: 50% of RAM without huge pages, swap, less total_vm/32", nil, Never, root, 400 + 100 - 10 - 7 - 1},
		{"never: less the admin reserve", nil, Never, user, 400 + 100 - 10 - 10 - 7 - 1},
		{"never: a large address space costs the user reserve", nil, Never, Caller{TotalVM: 1 << 30, SysAdmin: true}, 400 + 100 - 20 - 7 - 1},
		{"never: nobody's", nil, Never, Caller{TotalVM: 320, SysAdmin: true, Kernel: true}, 400 + 100 - 7 - 1},
		{"never: kbytes", func(c *Config) { c.Kbytes = 800 }, Never, root, 200 + 100 - 10 - 7 - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := machine(tt.mode)
			if tt.change != nil {
				tt.change(&c)
			}
			a, err := New(c, 7)
			require.NoError(t, err)
			err = a.Charge(tt.most+1, tt.who)
			var refusal *Error
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, "ENOMEM", refusal.Errno)
			assert.Equal(t, 12, refusal.Number())
			assert.Equal(t, int64(7), a.Committed(), "a refusal charges nothing")
			require.NoError(t, a.Charge(tt.most, tt.who))
			assert.Equal(t, tt.most+7, a.Committed())
		})
	}
}

func TestKindsCharge(t *testing.T) {
	for _, tt := range []struct {
		kind         string
		guess, never int64
	}{
		{"anon_private_rw", 10, 10}, {"anon_private_ro", 0, 0}, {"anon_private_rw_noreserve", 0, 10},
		{"anon_shared_rw", 10, 10}, {"anon_shared_ro", 10, 10}, {"anon_shared_rw_noreserve", 0, 10},
		{"file_private_rw", 10, 10}, {"file_shared_rw", 0, 0}, {"file_private_ro", 0, 0},
		{"brk", 10, 10}, {"stack", 10, 10}, {"mprotect_ro_to_rw", 10, 10}, {"mprotect_ro_to_rw_noreserve", 0, 10},
		{"mremap_grow_from_1page", 9, 9}, {"mremap_grow_from_30pages", 0, 0},
	} {
		k, err := ParseKind(tt.kind)
		require.NoError(t, err, tt.kind)
		assert.Equal(t, tt.guess, k.Charge(10, Guess), tt.kind)
		assert.Equal(t, tt.never, k.Charge(10, Never), tt.kind)
	}
	for _, bad := range []string{"", "anon", "anon_private", "anon_private_xx", "file_shared_rw_reserve", "mremap_grow_from_page", "a_b_c_d_e"} {
		_, err := ParseKind(bad)
		assert.Error(t, err, bad)
	}
}

func TestMisuse(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mode": func(c *Config) { c.Mode = 3 }, "ratio": func(c *Config) { c.RatioPercent = -1 }, "kbytes": func(c *Config) { c.Kbytes = -1 },
		"huge pages": func(c *Config) { c.HugetlbPages = 1001 }, "page size": func(c *Config) { c.PageSize = 3000 },
		"product": func(c *Config) { c.RAMPages, c.RatioPercent = maxPages>>10, 1<<31 },
	} {
		c := machine(Guess)
		change(&c)
		_, err := New(c, 0)
		var e *Error
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, "EINVAL", e.Errno, name)
		assert.Equal(t, 22, e.Number())
	}
	a, err := New(machine(Guess), 5)
	require.NoError(t, err)
	assert.Error(t, a.Uncharge(6))
	assert.Error(t, a.Charge(-1, Caller{}))
	assert.Error(t, a.Request(Kind{}, 0, Caller{}))
	assert.Error(t, a.Set(Config{Mode: 7}))
	assert.Equal(t, int64(5), a.Committed())
}

// What a CPU has for itself is not seen by mode 2, until it is a batch.
func TestSmallRequestsPassTheLimit(t *testing.T) {
	c := Config{RAMPages: 25600, Mode: Never, Kbytes: 8000, CPUs: 1}
	require.EqualValues(t, 100, c.Batch())
	a, err := New(c, 0)
	require.NoError(t, err)
	require.NoError(t, a.Charge(1990, Caller{}), "folded at once")
	assert.EqualValues(t, 1990, a.Seen())
	for range 99 {
		require.NoError(t, a.Charge(1, Caller{}))
	}
	assert.EqualValues(t, 2089, a.Committed(), "past the limit of 2000")
	assert.Error(t, a.Charge(1, Caller{}), "the CPU's pages are a batch now")
	// The refused request folded all; giving it back is the CPU's own again.
	assert.EqualValues(t, 2090, a.Seen())
	require.NoError(t, a.Uncharge(89))
	assert.EqualValues(t, 2090, a.Seen())
	assert.Error(t, a.Charge(1, Caller{}), "refused, though 2000 are committed")
	require.NoError(t, a.Uncharge(10))
	assert.EqualValues(t, 1990, a.Seen())

	c.Mode = Guess
	assert.EqualValues(t, 6400, c.Batch())
	require.NoError(t, a.Set(c))
	require.NoError(t, a.Charge(50, Caller{}))
	assert.EqualValues(t, 1990, a.Seen())
	c.Mode = Never
	require.NoError(t, a.Set(c))
	assert.EqualValues(t, 2040, a.Seen(), "all CPUs hand over")
	assert.Error(t, a.Charge(1, Caller{CPU: 1}))
	assert.Error(t, a.UnchargeOn(1, 1))
	assert.EqualValues(t, 128, (&Config{CPUs: 64}).Batch())
	assert.EqualValues(t, 32, (&Config{}).Batch())
}

// A request that charges nothing is not refused, whatever is promised.
func TestNothingToCharge(t *testing.T) {
	a, err := New(Config{RAMPages: 1000, Mode: Never, RatioPercent: 50}, 900)
	require.NoError(t, err)
	for _, kind := range []string{"anon_private_ro", "file_shared_rw", "mremap_grow_from_9pages"} {
		k, err := ParseKind(kind)
		require.NoError(t, err)
		assert.NoError(t, a.Request(k, 4096, Caller{}), kind)
	}
	assert.Error(t, a.Request(Kind{}, 4096, Caller{}))
}

// Answers that hang on what CPUs counted are taken over, others are not.
func TestSequenceHints(t *testing.T) {
	row := func(committed int64, pages int64, allowed bool) *Row {
		return &Row{Config: Config{RAMPages: 25600, Mode: Never, Kbytes: 8000, CPUs: 1}, CommittedPages: committed, Bytes: pages << 12,
			Want: &Answer{Allowed: allowed}}
	}
	for _, tt := range []struct {
		row  *Row
		hint bool
	}{
		{row(1990, 5, true), false}, {row(1990, 5, false), true}, {row(1901, 1, false), true}, {row(1900, 1, false), false},
		{row(2090, 8, true), true}, {row(2090, 9, true), false},
		{row(1900, 198, true), true}, {row(1901, 198, true), false}, {row(1900, 199, true), false}, {row(1800, 198, false), false},
	} {
		var q Sequence
		got, hint, err := q.Answer(tt.row)
		require.NoError(t, err)
		assert.Equal(t, tt.hint, hint, "%d %d", tt.row.CommittedPages, tt.row.Bytes>>12)
		if hint {
			assert.Equal(t, tt.row.Want.Allowed, got.Allowed)
		}
		require.NoError(t, q.a.Check())
	}
}

// Random charges on several CPUs against a counter for each.
func TestCountersAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{RAMPages: 32 * 256 * 3, Mode: Never, RatioPercent: 5000, CPUs: 3}
		a, err := New(c, 0)
		require.NoError(t, err)
		var local [3]int64
		var seen int64
		add := func(cpu int, n int64) {
			local[cpu] += n
			if local[cpu] >= 32 || local[cpu] <= -32 {
				seen, local[cpu] = seen+local[cpu], 0
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			cpu, n := rapid.IntRange(0, 2).Draw(t, "cpu"), rapid.Int64Range(-40, 40).Draw(t, "n")
			if n < 0 && a.UnchargeOn(cpu, -n) == nil || n >= 0 && a.Charge(n, Caller{CPU: cpu}) == nil {
				add(cpu, n)
			}
			require.Equal(t, max(seen, 0), a.Seen())
			require.NoError(t, a.Check())
		}
	})
}

// Random charges against a list of what is held.
func TestAccountingAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := machine(Mode(rapid.IntRange(0, 2).Draw(t, "mode")))
		a, err := New(c, 0)
		require.NoError(t, err)
		var held []int64
		var sum int64
		t.Repeat(map[string]func(*rapid.T){
			"charge": func(t *rapid.T) {
				n := rapid.Int64Range(0, 1300).Draw(t, "n")
				who := Caller{TotalVM: sum, SysAdmin: rapid.Bool().Draw(t, "admin")}
				limit := []int64{1 << 40, 1 << 40, 500 - min(sum/32, 20) - 1}[c.Mode]
				if c.Mode == Never && !who.SysAdmin {
					limit -= 10
				}
				ok := sum+n <= limit && (c.Mode != Guess || n <= 1100)
				require.Equal(t, ok, a.Charge(n, who) == nil)
				if ok {
					held, sum = append(held, n), sum+n
				}
			},
			"uncharge": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip()
				}
				last := len(held) - 1
				require.NoError(t, a.Uncharge(held[last]))
				sum, held = sum-held[last], held[:last]
			},
			"": func(t *rapid.T) {
				require.NoError(t, a.Check())
				require.Equal(t, sum, a.Committed())
			},
		})
	})
}

func TestTableFaults(t *testing.T) {
	const head = "mode\tmem_total_kb\tkind\trequest_bytes\tallowed\n"
	for _, tt := range []struct {
		name, text string
		line       int
	}{
		{"empty", "", 1}, {"heading", "mode\tkind\n", 1},
		{"columns", head + "0\t4\tbrk\n", 2}, {"number", head + "x\t4\tbrk\t1\tyes\n", 2}, {"negative", head + "0\t-4\tbrk\t1\tyes\n", 2},
		{"mode", head + "3\t4\tbrk\t1\tyes\n", 2}, {"kind", head + "0\t4\tfoo\t1\tyes\n", 2}, {"size", head + "0\t4\tbrk\t0\tyes\n", 2},
		{"allowed", head + "0\t4\tbrk\t1\tyes\n0\t4\tbrk\t1\tmaybe\n", 3}, {"long", head + strings.Repeat("0", maxLine+1), 2},
		{"memory", head + "0\t9223372036854775807\tbrk\t1\tyes\n", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadTable("t.tsv", strings.NewReader(tt.text))
			var fault *TableError
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, tt.line, fault.Line)
			assert.NotEmpty(t, fault.Errno)
		})
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add("mode\tratio\tmem_total_kb\tkind\trequest_bytes\tallowed\n2\t50\t4096\tmremap_grow_from_1page\t8192\tno\n")
	f.Add("mode\thugepages_2M\tmem_total_kb\tkind\trequest_bytes\n0\t1\t4096\tanon_shared_ro\t9223372036854775807\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := ReadTable("t.tsv", strings.NewReader(text))
		if err != nil {
			return
		}
		var machine Sequence
		for i := range rows {
			if _, _, err := machine.Answer(&rows[i]); err != nil {
				t.Fatal(err)
			}
			if err := machine.a.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkCharge(b *testing.B) {
	a, _ := New(machine(Never), 0)
	for b.Loop() {
		if err := a.Charge(1, Caller{TotalVM: 100}); err != nil {
			b.Fatal(err)
		}
		_ = a.Uncharge(1)
	}
}

func ExampleAccounting() {
	a, _ := New(Config{RAMPages: 98160, HugetlbPages: 8192, SwapPages: 32767, Mode: Never, RatioPercent: 50,
		AdminReserveKB: 8192, UserReserveKB: 11750}, 1532)
	err := a.Request(Kind{}, 312164352, Caller{TotalVM: 249, SysAdmin: true})
	var refusal *Error
	fmt.Println(errors.As(err, &refusal), err)
	fmt.Println(a.Request(Kind{}, 312160256, Caller{TotalVM: 249, SysAdmin: true}))
	fmt.Print(a.Meminfo())
	// Output:
	// true overcommit: 76212 pages, 1532 committed, mode never: ENOMEM
	// <nil>
	// CommitLimit:      311004 kB
	// Committed_AS:     310972 kB
}
