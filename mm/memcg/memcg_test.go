package memcg

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kernsim/kernsim/mm/oom"
)

func create(t require.TestingT, tr *Tree, parent ID, name string, change func(*Limits)) ID {
	g, err := tr.Create(parent, name)
	require.NoError(t, err)
	l := Unlimited
	if change != nil {
		change(&l)
	}
	require.NoError(t, tr.Set(g, l))
	return g
}

func TestMaxReclaimsThenFails(t *testing.T) {
	tr := New(0, false)
	a := create(t, tr, 0, "a", func(l *Limits) { l.Max = 10 })
	b := create(t, tr, a, "b", nil)
	require.NoError(t, tr.Charge(b, File, 4, false, true))
	require.NoError(t, tr.Charge(b, Anon, 6, false, true))
	require.NoError(t, tr.Charge(b, Anon, 3, false, true), "file pages make room")
	assert.Equal(t, int64(1), tr.Own(b, File))
	err := tr.Charge(b, Anon, 2, false, true)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "ENOMEM", e.Errno)
	assert.Equal(t, "low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\noom_group_kill 0\n", tr.Events(a, false))
	assert.Equal(t, tr.Events(a, false), tr.Events(a, true), "the events are of the cgroup that is full")
	assert.Contains(t, tr.Events(b, false), "max 0")
	require.ErrorAs(t, tr.Charge(b, Anon, 2, true, true), &e)
	assert.Contains(t, tr.Events(a, false), "max 3", "an atomic charge that fails is no event")
	require.NoError(t, tr.Charge(b, Anon, 2, true, false), "cannot fail: goes over the limit")
	assert.Equal(t, int64(11), tr.Usage(a))
	assert.Contains(t, tr.Events(a, false), "max 4")
	require.NoError(t, tr.Check())
}

func TestSwapTakesAnonymousPages(t *testing.T) {
	tr := New(5, false)
	a := create(t, tr, 0, "a", func(l *Limits) { l.Max, l.SwapMax = 10, 3 })
	require.NoError(t, tr.Charge(a, Anon, 10, false, true))
	require.NoError(t, tr.Charge(a, Anon, 3, false, true))
	assert.Equal(t, int64(3), tr.Swap(a))
	assert.Error(t, tr.Charge(a, Anon, 1, false, true), "memory.swap.max")
}

func TestHighReclaims(t *testing.T) {
	tr := New(0, false)
	a := create(t, tr, 0, "a", func(l *Limits) { l.High = 5 })
	require.NoError(t, tr.Charge(a, File, 4, false, true))
	require.NoError(t, tr.Charge(a, Anon, 3, false, true))
	assert.Equal(t, int64(4), tr.Usage(a), "as much as was charged")
	assert.Contains(t, tr.Events(a, false), "high 1\n")
}

func TestProtection(t *testing.T) {
	build := func(min, low int64) (*Tree, ID, ID, ID) {
		tr := New(0, false)
		p := create(t, tr, 0, "p", func(l *Limits) { l.Max = 20 })
		a := create(t, tr, p, "a", func(l *Limits) { l.Min, l.Low = min, low })
		b := create(t, tr, p, "b", nil)
		require.NoError(t, tr.Charge(a, File, 10, false, true))
		require.NoError(t, tr.Charge(b, File, 10, false, true))
		return tr, p, a, b
	}
	tr, _, a, b := build(10, 0)
	require.NoError(t, tr.Charge(b, Anon, 10, false, true))
	assert.Equal(t, [2]int64{10, 10}, [2]int64{tr.Usage(a), tr.Usage(b)})
	assert.Error(t, tr.Charge(b, Anon, 1, false, true), "memory.min is not touched")
	tr, p, a, b := build(0, 10)
	require.NoError(t, tr.Charge(b, Anon, 10, false, true))
	require.NoError(t, tr.Charge(b, Anon, 2, false, true), "memory.low is, if nothing else is left")
	assert.Equal(t, int64(8), tr.Usage(a))
	assert.Contains(t, tr.Events(a, true), "low 1\n")
	assert.Contains(t, tr.Events(p, true), "low 0\n")
}

func TestEffectiveProtection(t *testing.T) {
	for _, tt := range []struct {
		name                                                string
		recursive                                           bool
		usage, parentUsage, setting, parent, siblings, want int64
	}{
		{"own", false, 50, 100, 30, 100, 30, 30},
		{"not more than used", false, 20, 100, 30, 100, 20, 20},
		{"shared by use", false, 40, 100, 40, 30, 60, 20},
		{"unclaimed is lost", false, 40, 100, 0, 50, 0, 0},
		{"unclaimed is shared out", true, 40, 100, 0, 50, 0, 20},
		{"unlimited parent", true, 40, 100, 0, NoLimit, 0, NoLimit},
	} {
		tr := New(0, tt.recursive)
		got := tr.effective(tt.usage, tt.parentUsage, tt.setting, tt.parent, tt.siblings)
		if tt.name == "unlimited parent" {
			assert.GreaterOrEqual(t, got, tt.usage, tt.name)
			continue
		}
		assert.Equal(t, tt.want, got, tt.name)
	}
}

// The OOM killer inside a cgroup, with package oom choosing.
func TestOOMInside(t *testing.T) {
	tr := New(0, false)
	a := create(t, tr, 0, "a", func(l *Limits) { l.Max, l.OOMGroup = 100, true })
	tasks := []oom.Task{{PID: 1, TGID: 1, Comm: "x", Memcg: "/a"}, {PID: 2, TGID: 2, Comm: "y", Memcg: "/a"}}
	var killed []int32
	tr.OnOOM = func(short ID) bool {
		c := oom.Control{RAMPages: 10_000, Memcg: "/a", Groups: tr.OOMGroups(), Current: -1, Tasks: tasks}
		v := oom.Decide(&c, &oom.Linux6_1, nil)
		tr.Count(short, EventOOMGroupKill)
		for _, i := range v.Members {
			killed = append(killed, tasks[i].PID)
			tr.Count(short, EventOOMKill)
			if err := tr.Uncharge(short, Anon, tasks[i].Anon); err != nil {
				return false
			}
			tasks[i].Anon = 0
		}
		return v.Action == oom.ActionKill
	}
	for i, n := range []int64{30, 70} {
		require.NoError(t, tr.Charge(a, Anon, n, false, true))
		tasks[i].Anon = n
	}
	require.NoError(t, tr.Charge(a, Anon, 1, false, true))
	assert.Equal(t, []int32{1, 2}, killed)
	assert.Equal(t, int64(1), tr.Usage(a))
	assert.Equal(t, "low 0\nhigh 0\nmax 1\noom 1\noom_kill 2\noom_group_kill 1\n", tr.Events(a, false))
}

func TestMisuse(t *testing.T) {
	tr := New(0, false)
	a := create(t, tr, 0, "a", nil)
	for _, tt := range []struct {
		err   error
		errno string
	}{
		{second(tr.Create(9, "x")), "ENOENT"}, {second(tr.Create(0, "a")), "EEXIST"}, {second(tr.Create(0, "x/y")), "EINVAL"},
		{tr.Set(0, Unlimited), "EINVAL"}, {tr.Set(a, Limits{Max: -1}), "EINVAL"}, {tr.Charge(a, Anon, 0, false, true), "EINVAL"},
		{tr.Charge(7, Anon, 1, false, true), "EINVAL"}, {tr.Charge(a, 9, 1, false, true), "EINVAL"}, {tr.Uncharge(a, Anon, 1), "EINVAL"},
	} {
		var e *Error
		require.ErrorAs(t, tt.err, &e)
		assert.Equal(t, tt.errno, e.Errno, tt.err)
	}
	require.NoError(t, tr.Check())
	assert.Zero(t, tr.Usage(a))
}

func second(_ ID, err error) error { return err }

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := New(rapid.Int64Range(0, 20).Draw(t, "swap"), rapid.Bool().Draw(t, "recursive"))
		groups := []ID{0}
		limit := rapid.OneOf(rapid.Just(NoLimit), rapid.Int64Range(0, 40))
		for i := range 5 {
			parent := rapid.SampledFrom(groups).Draw(t, "parent")
			groups = append(groups, create(t, tr, parent, fmt.Sprint(i), func(l *Limits) {
				l.Max, l.High, l.SwapMax = limit.Draw(t, "max"), limit.Draw(t, "high"), limit.Draw(t, "swap max")
				l.Low, l.Min = rapid.Int64Range(0, 20).Draw(t, "low"), rapid.Int64Range(0, 20).Draw(t, "min")
			}))
		}
		t.Repeat(map[string]func(*rapid.T){
			"charge": func(t *rapid.T) {
				g := rapid.SampledFrom(groups).Draw(t, "g")
				err := tr.Charge(g, Type(rapid.IntRange(0, 2).Draw(t, "type")), rapid.Int64Range(1, 12).Draw(t, "n"), rapid.Bool().Draw(t, "atomic"), true)
				for p := g; err == nil && p > 0; p = tr.groups[p].parent {
					require.LessOrEqual(t, tr.Usage(p), tr.groups[p].limits.Max)
				}
			},
			"uncharge": func(t *rapid.T) {
				g := rapid.SampledFrom(groups).Draw(t, "g")
				require.NoError(t, tr.Uncharge(g, Anon, tr.Own(g, Anon)/2))
			},
			"": func(t *rapid.T) { require.NoError(t, tr.Check()) },
		})
	})
}

// The model's lines have the names and the order of a kernel's.
func TestTextsOfAKernel(t *testing.T) {
	tr := New(0, false)
	for name, own := range map[string]string{"memory.stat": FormatStat(tr.Stats(0)), "memory.events": tr.Events(0, false)} {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		stats, err := ParseStat(string(text))
		require.NoError(t, err)
		assert.Equal(t, string(text), FormatStat(stats))
		ours, err := ParseStat(own)
		require.NoError(t, err)
		require.Len(t, ours, len(stats))
		for i := range stats {
			assert.Equal(t, stats[i].Name, ours[i].Name)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("anon 4096\nfile 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		stats, err := ParseStat(text)
		if err != nil {
			return
		}
		again, err := ParseStat(FormatStat(stats))
		if err != nil || len(again) != len(stats) {
			t.Fatal(err)
		}
	})
}

func BenchmarkCharge(b *testing.B) {
	tr := New(0, false)
	a := create(b, tr, 0, "a", nil)
	c := create(b, tr, a, "b", nil)
	for b.Loop() {
		_ = tr.Charge(c, Anon, 1, false, true)
		_ = tr.Uncharge(c, Anon, 1)
	}
}

func ExampleTree_Stats() {
	tr := New(0, false)
	a, _ := tr.Create(0, "a")
	_ = tr.Charge(a, Anon, 10208, false, true)
	fmt.Print(FormatStat(tr.Stats(a)[:3]))
	// Output:
	// anon 41811968
	// file 0
	// kernel 0
}
