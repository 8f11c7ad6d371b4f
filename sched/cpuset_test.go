package sched_test

import (
	"slices"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCPULists(t *testing.T) {
	for text, want := range map[string]string{"": "", "0": "0", "3,1,2": "1-3", " 0-1\t5,,7 \n": "0-1,5,7", "all": "0-69", "N": "69", "0-N:1/32": "0,32,64", "60-N": "60-69",
		"ALL:2/10": "0-1,10-11,20-21,30-31,40-41,50-51,60-61", "8-20:0/4": "", "1-2\n9": "1-2", "63-64": "63-64"} {
		m, err := sched.ParseCPUList(text, 70)
		require.NoError(t, err, text)
		assert.Equal(t, want, m.String(), text)
	}
	assert.Equal(t, "all", sched.CPUMask(nil).String())
	for text, errno := range map[string]string{"70": "ERANGE", "0-70": "ERANGE", "3-1": "EINVAL", "x": "EINVAL", "1-": "EINVAL", "-1": "EINVAL", "1:2": "EINVAL", "1-4:2": "EINVAL",
		"1-4:5/4": "EINVAL", "1-4:0/0": "EINVAL", "4294967295": "EOVERFLOW", "1;2": "EINVAL", "al": "EINVAL", "0-4:1/2x": "EINVAL"} {
		_, err := sched.ParseCPUList(text, 70)
		var e *sched.CPUListError
		require.ErrorAs(t, err, &e, text)
		assert.Equal(t, errno, e.Errno, text)
	}
	for _, n := range []int{0, -1, 8193} {
		_, err := sched.ParseCPUList("0", n)
		require.Error(t, err)
	}
}

func FuzzParseCPUList(f *testing.F) {
	for _, s := range []string{"0-3,5", "all", "0-31:2/4", "N", "1-", " ,\n"} {
		f.Add(s, 64)
	}
	f.Fuzz(func(t *testing.T, text string, cpus int) {
		m, err := sched.ParseCPUList(text, cpus)
		if err != nil {
			return
		}
		again, err := sched.ParseCPUList(m.String(), cpus)
		if err != nil || !slices.Equal(m, again) {
			t.Fatalf("%q: %v, then %v (%v)", text, m, again, err)
		}
	})
}

// TestCpusets writes lists as an administrator would, and looks where tasks run.
func TestCpusets(t *testing.T) {
	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 4, Profile: sched.Linux6_1, LoadTracking: true}})
	require.NoError(t, err)
	k := s.Machine().Kernel()
	a, err := k.NewGroup(sched.RootGroup)
	require.NoError(t, err)
	b, err := k.NewGroup(a)
	require.NoError(t, err)
	assert.Equal(t, [2]string{"", "0-3"}, [2]string{s.Cpuset(b), s.CpusetEffective(b)})
	require.NoError(t, s.SetCpuset(a, "1-2"))
	require.NoError(t, s.SetCpuset(b, "2-3"))
	assert.Equal(t, [3]string{"1-2", "2-3", "2"}, [3]string{s.Cpuset(a), s.Cpuset(b), s.CpusetEffective(b)})

	var ids []sched.TaskID
	for range 3 {
		id, err := s.Spawn(sched.TaskSpec{Group: b, Program: hog})
		require.NoError(t, err)
		ids = append(ids, id)
	}
	free, err := s.Spawn(sched.TaskSpec{CPUs: sched.MaskOf(0, 2), Program: hog})
	require.NoError(t, err)
	require.NoError(t, s.Run(50_000_000))
	for _, id := range ids {
		assert.EqualValues(t, 2, s.Machine().Task(id).CPU)
		assert.Equal(t, "2", s.Allowed(id).String())
	}
	// All of b's CPUs are taken away: what it has left is its parent's.
	require.NoError(t, s.SetCpuset(a, "0,1"))
	assert.Equal(t, "0-1", s.CpusetEffective(b))
	for _, id := range ids {
		assert.Less(t, s.Machine().Task(id).CPU, sched.CPU(2))
		assert.Equal(t, "0-1", s.Allowed(id).String())
	}
	require.NoError(t, s.Run(150_000_000))
	assert.EqualValues(t, 150_000_000, s.IdleTime(3), "nobody may use CPU 3")
	// A task that moves in forgets, with 6.1, what it had asked for.
	require.NoError(t, s.MoveTask(free, b))
	assert.Equal(t, "0-1", s.Allowed(free).String())
	require.NoError(t, s.MoveTask(free, sched.RootGroup))
	assert.Nil(t, s.Allowed(free))

	_, err = s.Spawn(sched.TaskSpec{Group: b, CPUs: sched.MaskOf(3), Program: hog, Start: s.Now()})
	var config *sched.ConfigError
	require.ErrorAs(t, err, &config)
	for _, c := range []struct {
		g           sched.GroupID
		list, errno string
	}{{sched.RootGroup, "0", "EINVAL"}, {99, "0", "ENOENT"}, {b, "4", "ERANGE"}, {b, "x", "EINVAL"}, {b, "", "ENOSPC"}, {a, "", "ENOSPC"}} {
		var e *sched.CgroupError
		require.ErrorAs(t, s.SetCpuset(c.g, c.list), &e, "%+v", c)
		assert.Equal(t, c.errno, e.Errno, "%+v", c)
	}
	assert.Equal(t, [3]string{"0-1", "2-3", "0-1"}, [3]string{s.Cpuset(a), s.Cpuset(b), s.CpusetEffective(b)})
	for _, id := range append(ids, free) {
		require.NoError(t, s.MoveTask(id, sched.RootGroup))
	}
	require.NoError(t, s.SetCpuset(a, ""))
	assert.Equal(t, [2]string{"0-3", "2-3"}, [2]string{s.CpusetEffective(a), s.CpusetEffective(b)})
	assert.Empty(t, s.CpusetEffective(99))
	require.NoError(t, s.Machine().Check())
}

// TestCpusetsAgainstNaive draws lists, tasks and moves: effective CPUs and what tasks
// may use are as the rules say, worked out anew, and tasks run nowhere else.
func TestCpusetsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const cpus = 6
		p := rapid.SampledFrom([]sched.Profile{sched.Linux6_1, sched.Debian6_12}).Draw(t, "profile")
		s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: cpus, Profile: p, LoadTracking: rapid.Bool().Draw(t, "loads")}})
		require.NoError(t, err)
		k := s.Machine().Kernel()
		groups, parent := []sched.GroupID{sched.RootGroup}, map[sched.GroupID]sched.GroupID{}
		lists, asked, in := map[sched.GroupID]uint64{}, map[sched.TaskID]uint64{}, map[sched.TaskID]sched.GroupID{}
		const all = uint64(1)<<cpus - 1
		var effective func(g sched.GroupID) uint64
		effective = func(g sched.GroupID) uint64 {
			if g == sched.RootGroup {
				return all
			}
			if m := lists[g] & effective(parent[g]); m != 0 {
				return m
			}
			return effective(parent[g])
		}
		text := func(m uint64) string { return sched.CPUMask{m}.String() }
		allowed := map[sched.TaskID]uint64{} // as of the last change
		follow := func(id sched.TaskID) {
			m := effective(in[id])
			if p.KeepsAffinity && asked[id]&m != 0 {
				m &= asked[id]
			}
			allowed[id] = m
		}
		used := false
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			g := rapid.SampledFrom(groups).Draw(t, "group")
			mask := rapid.Uint64Range(1, all).Draw(t, "mask")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				if len(groups) < 5 {
					n, err := k.NewGroup(g)
					require.NoError(t, err)
					groups, parent[n] = append(groups, n), g
				}
			case 1:
				if g == sched.RootGroup {
					continue
				}
				old := map[sched.GroupID]uint64{}
				for _, x := range groups {
					old[x] = effective(x)
				}
				require.NoError(t, s.SetCpuset(g, text(mask)))
				lists[g], used = mask, true
				for id, x := range in {
					if effective(x) != old[x] {
						follow(id)
					}
				}
			case 2:
				spec := sched.TaskSpec{Group: g, CPUs: sched.CPUMask{mask}, Start: s.Now(), Program: sched.Loop(sched.Random(100_000, 3_000_000), sched.Sleep(1_000_000))}
				id, err := s.Spawn(spec)
				if mask&effective(g) == 0 {
					require.Error(t, err)
					continue
				}
				require.NoError(t, err)
				asked[id], in[id], allowed[id] = mask, g, mask&effective(g)
			case 3:
				for id := range s.Machine().Tasks() {
					if x := sched.TaskID(id); in[x] != g && allowed[x] != 0 {
						require.NoError(t, s.MoveTask(x, g))
						if in[x] = g; used {
							follow(x)
						}
						break
					}
				}
			case 4:
				require.NoError(t, s.Run(s.Now()+rapid.Uint64Range(1, 20_000_000).Draw(t, "ns")))
			}
			for _, g := range groups {
				require.Equal(t, text(effective(g)), s.CpusetEffective(g))
			}
			for id, m := range allowed {
				got := s.Allowed(id)
				if got == nil {
					got = sched.CPUMask{all}
				}
				require.Equal(t, text(m), got.String())
			}
			for cpu := range sched.CPU(cpus) {
				if curr := s.Machine().RunQueue(cpu).Curr; allowed[curr] != 0 {
					require.NotZero(t, allowed[curr]>>cpu&1, "task %d runs on CPU %d", curr, cpu)
				}
			}
			require.NoError(t, s.Machine().Check())
		}
	})
}
