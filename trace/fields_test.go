package trace

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestFields takes texts of events apart.
func TestFields(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"   ", ""},
		{"nid=1", "nid=1;"},
		{"  nid=1  order=2 ", "nid=1;order=2;"},
		{"(scheduler_tick+0x0/0x270)", "=(scheduler_tick+0x0/0x270);"},
		{"(f+0x0/0x1 <- g) cpu=0 clk=12", "=(f+0x0/0x1 <- g);cpu=0;clk=12;"},
		{"comm=a b pid=1 runtime=5 [ns] vruntime=7 [ns]", "comm=a b;pid=1;runtime=5 [ns];vruntime=7 [ns];"},
		{"prev_state=S ==> next_comm=x", "prev_state=S;next_comm=x;"},
		{"zone_end=0xe0000, mode=sync", "zone_end=0xe0000;mode=sync;"},
		{"call_site=f+0x1/0x2 [ext4] ptr=ff", "call_site=f+0x1/0x2 [ext4];ptr=ff;"},
		{`comm="a b=c" tid=1`, "comm=a b=c;tid=1;"},
		{`comm="a tid=1`, `comm="a;tid=1;`},
		{"a= b=1", "a=;b=1;"},
		{"a==1", "a==1;"},
		{"flags=A=B c=1", "flags=A=B;c=1;"},
		{"vtids=[ [0]=2673 ] child_pid=2673", "vtids=[ [0]=2673 ];child_pid=2673;"},
		{"p={0x1,0x2} n=2", "p={0x1,0x2};n=2;"},
		{"=1 a=2", "==1;a=2;"},
		{"function vmstat_update", "=function vmstat_update;"},
	}
	for _, test := range tests {
		var b strings.Builder
		for key, value := range Fields([]byte(test.text)) {
			fmt.Fprintf(&b, "%s=%s;", key, value)
		}
		require.Equal(t, test.want, b.String(), test.text)
	}
	for key := range Fields([]byte("a=1 b=2")) {
		require.Equal(t, "a", string(key))
		break
	}
	for key := range Fields([]byte("lead a=1")) {
		require.Nil(t, key)
		break
	}
}

// TestFieldValue looks fields up by key.
func TestFieldValue(t *testing.T) {
	args := []byte("(f+0x0/0x1) cpu=0 clk=12 rcurr=7")
	value, ok := FieldValue(args, "clk")
	require.True(t, ok)
	require.Equal(t, "12", string(value))
	_, ok = FieldValue(args, "curr")
	require.False(t, ok)
}

// TestFieldsLoseNothing says that joined fields come apart as they were.
func TestFieldsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.StringMatching(`[a-z_][a-z0-9_]{0,8}`), 1, 8).Draw(t, "keys")
		var text []string
		var want []string
		for i, key := range keys {
			value := rapid.StringMatching(`[a-zA-Z0-9|.+/()-]{0,12}( \[[a-z]{1,4}\])?`).Draw(t, strconv.Itoa(i))
			text = append(text, key+"="+value)
			want = append(want, key, value)
		}
		var got []string
		for key, value := range Fields([]byte(strings.Join(text, " "))) {
			got = append(got, string(key), string(value))
		}
		if strings.Join(got, ";") != strings.Join(want, ";") {
			t.Fatalf("%q gives %q, want %q", text, got, want)
		}
	})
}

// TestParseNumbers compares with strconv.
func TestParseNumbers(t *testing.T) {
	check := func(t require.TestingT, text string) {
		want, err := strconv.ParseUint(text, 10, 64)
		plain := err == nil && !strings.ContainsAny(text, "+_")
		got, ok := parseDecimal([]byte(text))
		require.Equal(t, plain, ok, text)
		if ok {
			require.Equal(t, want, got, text)
		}
		want, err = strconv.ParseUint(text, 16, 64)
		plain = err == nil && !strings.ContainsAny(text, "+_") && len(text) <= 16
		got, ok = parseHex([]byte(text))
		require.Equal(t, plain, ok, text)
		if ok {
			require.Equal(t, want, got, text)
		}
		c := newCursor([]byte(text))
		if v := c.hex(); c.done() {
			require.True(t, plain, text)
			require.Equal(t, want, v, text)
		}
	}
	for _, text := range []string{"", "0", "007", "18446744073709551615", "18446744073709551616", "99999999999999999999",
		"1234567890123456789", "ffffffffffffffff", "10000000000000000", "0123456789abcdef", "ABCDEF", "1x", "x1", "-1", "+1", "1_0", "\x1011111"} {
		check(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.StringMatching(`[0-9a-fA-F/:@g\x10-\x1f`+"`"+`]{0,20}`).Draw(t, "text"))
	})
	rapid.Check(t, func(t *rapid.T) { check(t, strconv.FormatUint(rapid.Uint64().Draw(t, "v"), 10)) })
	rapid.Check(t, func(t *rapid.T) { check(t, strconv.FormatUint(rapid.Uint64().Draw(t, "v"), 16)) })
}

// TestParseValues reads whole field values.
func TestParseValues(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "0x10": 16, "-0x10": -16, "5 [ns]": 5, "-9223372036854775808": math.MinInt64, "9223372036854775807": math.MaxInt64} {
		got, ok := ParseInt([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "--1", "1 [ms]", "9223372036854775808", "-9223372036854775809", "0x", "0x10000000000000000", "one"} {
		_, ok := ParseInt([]byte(text))
		require.False(t, ok, text)
	}
	for text, want := range map[string]uint64{"ffff888100dd2000": 0xffff888100dd2000, "0xC10AEA00": 0xc10aea00, "(null)": 0, "(nil)": 0, "(____ptrval____)": 0, "(ptrval)": 0, "0": 0} {
		got, ok := ParsePointer([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "ffff888100dd20000", "(other)", "0xg"} {
		_, ok := ParsePointer([]byte(text))
		require.False(t, ok, text)
	}
}

// TestFlags reads the latency columns.
func TestFlags(t *testing.T) {
	type facts struct {
		IRQsOff, BHOff, Need, Lazy, Preempt, NMI, Hard, Soft bool
		Depth, Migrate                                       int
	}
	tests := map[string]facts{
		"":        {},
		".....":   {},
		"d..1.":   {IRQsOff: true, Depth: 1},
		"bN.a2":   {BHOff: true, Need: true, Preempt: true, Depth: 10, Migrate: 2},
		"Dnh2.":   {IRQsOff: true, BHOff: true, Need: true, Hard: true, Depth: 2},
		".ps..":   {Preempt: true, Soft: true},
		".LH..":   {Lazy: true, Preempt: true, Hard: true, Soft: true},
		".lz..":   {Lazy: true, NMI: true},
		".BZ..":   {Need: true, Lazy: true, Preempt: true, NMI: true, Hard: true},
		".b...":   {Need: true, Lazy: true},
		"d..1":    {IRQsOff: true, Depth: 1},
		"d.Lh312": {IRQsOff: true, Lazy: true, Hard: true, Depth: 3, Migrate: 2},
		"dn.....": {IRQsOff: true, Need: true},
	}
	for text, want := range tests {
		f := FlagsOf(text)
		require.Equal(t, want, facts{f.IRQsOff(), f.BHOff(), f.NeedResched(), f.NeedReschedLazy(), f.PreemptResched(), f.NMI(), f.HardIRQ(), f.SoftIRQ(),
			f.PreemptDepth(), f.MigrateDisable()}, text)
		require.Equal(t, text, f.String())
		require.Equal(t, want.Hard || want.Soft || want.NMI, f.InInterrupt())
	}
}

// TestKinds says that names lead back to their kinds and sets hold what was put
// in.
func TestKinds(t *testing.T) {
	for k := KindMMPageAlloc; k < numKinds; k++ {
		require.NotEmpty(t, k.String())
		require.Equal(t, k, KindByName(k.String()))
		require.NotEmpty(t, k.System(), k.String())
		require.Equal(t, k == KindKfree || k == KindSchedSwitch, Kinds(KindKfree, KindSchedSwitch).Has(k))
		require.True(t, AllKinds().Has(k))
	}
	for _, a := range kindAliases {
		require.Equal(t, a.kind, KindByName(a.name))
	}
	require.Equal(t, KindUnknown, KindByName("no_such_event"))
	require.Equal(t, KindUnknown, KindByName("unknown"))
	require.Equal(t, "unknown", Kind(250).String())
	require.Empty(t, KindLost.System())
	require.Less(t, int(numKinds), len(KindSet{})*64)
	require.True(t, Kinds(KindKfree).Union(Kinds(KindLost)).Has(KindLost))
	for kind, system := range map[Kind]string{KindRSSStat: "kmem", KindKsnapMark: "kprobes", KindAllocVmapArea: "vmalloc",
		KindWorkqueueExecuteEnd: "workqueue", KindShrinkSlabEnd: "vmscan", KindCompactionWakeupKcompactd: "compaction", KindSchedSwitch: "sched"} {
		require.Equal(t, system, kind.System())
	}
}

// TestInterner gives equal texts one string, up to a bound.
func TestInterner(t *testing.T) {
	var in interner
	for round := range 2 {
		for i := range maxInterned + 100 {
			text := fmt.Sprintf("text number %d", i%(maxInterned+50))
			require.Equal(t, text, in.get([]byte(text)))
			require.Equal(t, i%(maxInterned+50) < maxInterned, in.lookup([]byte(text)) >= 0, "round %d text %d", round, i)
		}
	}
	require.Len(t, in.strings, maxInterned)
	require.Equal(t, "", in.get(nil))
	var big interner
	long := strings.Repeat("x", maxInternedBytes)
	require.Equal(t, long, big.get([]byte(long)))
	require.Equal(t, "y", big.get([]byte("y")))
	require.Len(t, big.strings, 1)
}
