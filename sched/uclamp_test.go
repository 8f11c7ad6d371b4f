package sched

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clampRun does a script's operations on two CPUs and tells all that clamping
// keeps. testdata/README.md describes both.
type clampRun struct {
	*Machine
	k      Kernel
	groups []GroupID
	ids    []TaskID
}

func (r *clampRun) begin(t *testing.T, line string) {
	cfg := Config{CPUs: 2, Profile: Linux6_1}
	_, err := fmt.Sscanf(line, "begin %d", &cfg.ClampBuckets)
	require.NoError(t, err)
	m, err := New(cfg)
	require.NoError(t, err)
	*r = clampRun{Machine: m, k: m.Kernel(), groups: []GroupID{RootGroup}}
}

func (r *clampRun) do(t *testing.T, line string) {
	var op string
	var a [6]int
	_, _ = fmt.Sscan(line, &op, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]) // what is missing is 0
	switch op {
	case "task":
		info := TaskInfo{PID: int32(len(r.ids) + 1), Group: r.groups[a[1]], CPU: CPU(a[2])}
		if a[0] == 1 {
			info.Policy, info.RTPriority = PolicyFIFO, 1
		}
		id, err := r.k.AddTask(info)
		require.NoError(t, err)
		r.ids = append(r.ids, id)
	case "group":
		g, err := r.k.NewGroup(r.groups[a[0]])
		require.NoError(t, err)
		r.groups = append(r.groups, g)
	case "wake":
		require.NoError(t, r.k.Enqueue(r.ids[a[0]], EnqueueWakeup|EnqueueNoClock))
	case "sleep":
		_, err := r.k.Dequeue(r.ids[a[0]], DequeueSleep|DequeueNoClock)
		require.NoError(t, err)
	case "attr":
		attr := Attr{Clamp: ClampFlags(a[2]), UtilMin: int32(a[3]), UtilMax: int32(a[4])}
		if a[1] == 1 {
			attr.Policy, attr.RTPriority = PolicyFIFO, 1
		}
		err := r.k.SetAttr(r.ids[a[0]], attr)
		if a[5] != 0 {
			var config *ConfigError
			require.ErrorAs(t, err, &config)
			return
		}
		require.NoError(t, err)
	case "file":
		text := fmt.Sprintf("%d.%02d", a[2]/100, a[2]%100)
		write, read := r.k.SetUclampMin, r.UclampMin
		if a[1] == 1 {
			write, read = r.k.SetUclampMax, r.UclampMax
		}
		require.NoError(t, write(r.groups[a[0]], text))
		if got := read(r.groups[a[0]]); got != "max" {
			require.Equal(t, text, got)
		}
	case "limits":
		require.NoError(t, r.k.SetClampLimits(a[0], a[1], a[2]))
	case "move":
		require.NoError(t, r.k.MoveTask(r.ids[a[0]], r.groups[a[1]]))
	default:
		require.Fail(t, "unknown operation", op)
	}
}

func (r *clampRun) state() string {
	var b strings.Builder
	for cpu := range r.clamps.cpus {
		q := &r.clamps.cpus[cpu]
		fmt.Fprintf(&b, " %d", b2u(q.idle))
		for id := range clampIDs {
			fmt.Fprintf(&b, " %d", q.value[id])
			for _, x := range q.bucket[id][:r.clamps.buckets] {
				if x.tasks == 0 {
					x.value = 0 // an empty one's is of no meaning
				}
				fmt.Fprintf(&b, " %d,%d", x.value, x.tasks)
			}
		}
		fmt.Fprintf(&b, " %d", q.apply(300))
	}
	for _, g := range r.groups {
		e := r.clamps.groups[g].effective
		fmt.Fprintf(&b, " %d,%d", e[clampMin], e[clampMax])
	}
	for _, id := range r.ids {
		lower, upper, _ := r.Clamps(id)
		fmt.Fprintf(&b, " %d,%d", lower, upper)
	}
	return b.String()
}

// TestClampsAgainstKernelFunctions does scripts of random operations of which 6.1's
// own functions have written down every clamp and bucket.
func TestClampsAgainstKernelFunctions(t *testing.T) {
	require.Greater(t, runScript(t, golden(t, "uclamp-6.1.192"), &clampRun{}), 500)
}

// TestUclampFiles writes texts as an administrator would.
func TestUclampFiles(t *testing.T) {
	m, err := New(Config{CPUs: 1, Profile: Linux6_1, ClampBuckets: 5})
	require.NoError(t, err)
	k := m.Kernel()
	g, err := k.NewGroup(RootGroup)
	require.NoError(t, err)
	assert.Equal(t, "0.00", m.UclampMin(g))
	assert.Equal(t, "max", m.UclampMax(g))
	for text, want := range map[string]string{"20": "20.00", " 33.3\n": "33.30", "0.005": "0.01", "12.3456": "12.35", "7.": "7.00", "50%": "50.00", "max": "max", "100": "max"} {
		require.NoError(t, k.SetUclampMin(g, text), text)
		assert.Equal(t, want, m.UclampMin(g), text)
	}
	require.NoError(t, k.SetUclampMin(g, "10"))
	for text, errno := range map[string]string{"": "EINVAL", "x": "EINVAL", "100.01": "ERANGE", "-1": "ERANGE", "101": "ERANGE", ".5": "EINVAL", "99999999999": "EINVAL"} {
		var e *CgroupError
		require.ErrorAs(t, k.SetUclampMin(g, text), &e, text)
		assert.Equal(t, errno, e.Errno, text)
		assert.Equal(t, "10.00", m.UclampMin(g), "unchanged")
	}
	require.Error(t, k.SetUclampMax(RootGroup, "50"))
	require.Error(t, k.SetUclampMax(99, "50"))
	assert.Empty(t, m.UclampMax(RootGroup)+m.UclampMax(99))

	for _, c := range [][3]int{{1, 0, 0}, {-1, 5, 5}, {0, 1025, 0}, {0, 5, 1025}, {0, 5, -1}} {
		var config *ConfigError
		require.ErrorAs(t, k.SetClampLimits(c[0], c[1], c[2]), &config, "%v", c)
	}
	plain, err := New(Config{CPUs: 1, Profile: Linux6_1})
	require.NoError(t, err)
	require.Error(t, plain.Kernel().SetClampLimits(0, 1, 1))
	_, _, ok := plain.Clamps(0)
	assert.False(t, ok)
	for _, n := range []int{-1, 4, 21} {
		_, err := New(Config{CPUs: 1, Profile: Linux6_1, ClampBuckets: n})
		require.Error(t, err)
	}
}

// TestClampedFrequency runs a task that uses a CPU for a tenth of the time: its lower
// clamp raises what the governor asks for while it runs, an upper one of a task that
// uses all of it lowers that.
func TestClampedFrequency(t *testing.T) {
	run := func(buckets int, a Attr, p Program) (util, khz uint64) {
		s, err := NewSim(SimConfig{Config: Config{CPUs: 1, Profile: Linux6_1, LoadTracking: true, ClampBuckets: buckets}})
		require.NoError(t, err)
		_, err = s.Spawn(TaskSpec{Attr: a, Program: p})
		require.NoError(t, err)
		require.NoError(t, s.Run(1_000_500_000)) // half a millisecond into a run
		return s.m.EffectiveUtil(0), s.m.Frequency(0, 2_000_000)
	}
	tenth, hog := Loop(Compute(1_000_000), Every(10_000_000)), Loop(Compute(1_000_000))
	util, khz := run(0, Attr{}, tenth)
	assert.Less(t, util, uint64(200))
	assert.Equal(t, 2_000_000*(util+util/4)/1024, khz)
	util, khz = run(5, Attr{Clamp: ClampMin, UtilMin: 512}, tenth)
	assert.EqualValues(t, 512, util)
	assert.EqualValues(t, 1_250_000, khz)
	util, khz = run(0, Attr{}, hog)
	assert.Greater(t, util, uint64(1000))
	assert.EqualValues(t, 2_000_000, khz)
	util, khz = run(5, Attr{Clamp: ClampMax, UtilMax: 256}, hog)
	assert.EqualValues(t, 256, util)
	assert.EqualValues(t, 625_000, khz)
	// Real-time tasks have the most unless the default is lowered.
	util, _ = run(5, Attr{Policy: PolicyFIFO, RTPriority: 1}, tenth)
	assert.EqualValues(t, 1024, util)
	util, _ = run(0, Attr{Policy: PolicyFIFO, RTPriority: 1}, tenth)
	assert.EqualValues(t, 1024, util)
}
