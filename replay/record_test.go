package replay_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/replay"
	"github.com/stretchr/testify/require"
)

// machine is a small machine with two zones, for recordings.
func machine(t testing.TB, p buddy.Profile, cpus int, cma bool) *buddy.Allocator {
	t.Helper()
	m := &buddy.Machine{Arch: buddy.X86_64, CPUs: cpus, CMABuiltIn: cma,
		Memory: []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 0x1000, End: 96 << 20}}}}
	if cma {
		m.CMA = []buddy.PhysRange{{Start: 32 << 20, End: 48 << 20}}
	}
	a, err := buddy.NewMachine(m, p)
	require.NoError(t, err)
	return a
}

var kernels = map[string]string{"5.4": "5.4.0", "6.1": "6.1.0-56-amd64", "6.12": "6.12.1", "6.18": "6.18.44"}

// work makes random requests and frees, so many that fallbacks, drains and
// failures happen.
func work(t testing.TB, a *buddy.Allocator, rec *replay.Recorder, seed uint64, steps int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	type block struct {
		pfn   buddy.PFN
		order buddy.Order
	}
	var live []block
	cpus := a.Config().CPUs
	gfps := []buddy.GFP{buddy.GFPKernel, buddy.GFPHighUserMovable, buddy.GFPKernel | buddy.GFPReclaimable, buddy.GFPAtomic, buddy.GFPDMA | buddy.GFPKernel}
	for step := range steps {
		cpu := buddy.CPU(rng.IntN(cpus))
		if rec != nil {
			rec.At(uint64(step)*1000, cpu, "worker", int32(100+cpu))
		}
		fill := (step/500)%2 == 0
		if len(live) == 0 || rng.IntN(10) < 4 == !fill {
			order := buddy.Order(0)
			if rng.IntN(4) == 0 {
				order = buddy.Order(rng.IntN(11))
			}
			pfn, err := a.AllocPages(cpu, gfps[rng.IntN(len(gfps))], order)
			if err == nil {
				live = append(live, block{pfn, order})
			}
			continue
		}
		i := rng.IntN(len(live))
		b := live[i]
		live[i] = live[len(live)-1]
		live = live[:len(live)-1]
		if b.order == 0 && rng.IntN(3) == 0 {
			require.NoError(t, a.FreeList(cpu, []buddy.PFN{b.pfn}))
			continue
		}
		require.NoError(t, a.Free(cpu, b.pfn, b.order))
	}
}

// TestRecordedRunReplaysExactly: what the model does, written as snapshots and
// kernel trace text, replays with every frame, event and list equal.
func TestRecordedRunReplaysExactly(t *testing.T) {
	for _, p := range buddy.Profiles() {
		for _, cpus := range []int{1, 3} {
			for _, cma := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%dcpu/cma=%v", p.Name, cpus, cma), func(t *testing.T) {
					a := machine(t, p, cpus, cma)
					work(t, a, nil, 7, 3000)
					rec := replay.NewRecorder(a, kernels[p.Name])
					work(t, a, rec, 8, 4000)
					require.NoError(t, a.Check())
					c, err := rec.Finish("recorded")
					require.NoError(t, err)
					rows, err := replay.Run(context.Background(), c, replay.Options{})
					require.NoError(t, err)
					require.Len(t, rows, 1)
					r := rows[0]
					require.Empty(t, r.FirstDifference)
					require.True(t, r.ExactAll(), "%+v", r)
					require.Greater(t, r.Requests, 1000)
					require.Greater(t, r.Events, 500)
				})
			}
		}
	}
}

// TestNamedNodeIsFound: which node a request named is not traced; where the page is
// of another node than the CPU's, though that has memory, it must have named it.
func TestNamedNodeIsFound(t *testing.T) {
	m := &buddy.Machine{Arch: buddy.X86_64, CPUs: 1, Memory: []buddy.MemRange{
		{PhysRange: buddy.PhysRange{Start: 0x1000, End: 48 << 20}}, {PhysRange: buddy.PhysRange{Start: 48 << 20, End: 96 << 20}, Node: 1}}}
	a, err := buddy.NewMachine(m, buddy.Linux6_1)
	require.NoError(t, err)
	rec := replay.NewRecorder(a, kernels["6.1"])
	for i := range 60 {
		rec.At(uint64(i)*1000, 0, "worker", 7)
		_, err := a.Alloc(buddy.Request{Node: buddy.NodeID(i % 3 % 2), GFP: buddy.GFPKernel, Order: buddy.Order(i % 4)})
		require.NoError(t, err)
	}
	c, err := rec.Finish("recorded")
	require.NoError(t, err)
	rows, err := replay.Run(context.Background(), c, replay.Options{})
	require.NoError(t, err)
	require.True(t, rows[0].ExactAll(), rows[0].FirstDifference)
	require.Equal(t, []replay.HintCount{{Kind: "node", N: 20}}, rows[0].HintKinds)
}

// TestRunIsDeterministic: the same seed gives the same capture to the byte.
func TestRunIsDeterministic(t *testing.T) {
	record := func() replay.Capture {
		a := machine(t, buddy.Linux6_18, 2, true)
		rec := replay.NewRecorder(a, kernels["6.18"])
		work(t, a, rec, 3, 3000)
		c, err := rec.Finish("recorded")
		require.NoError(t, err)
		return c
	}
	require.Equal(t, record(), record())
}

// small is a short recorded capture as files.
func small(t testing.TB) fstest.MapFS {
	t.Helper()
	a := machine(t, buddy.Linux6_1, 1, false)
	rec := replay.NewRecorder(a, kernels["6.1"])
	work(t, a, rec, 5, 60)
	c, err := rec.Finish("small")
	require.NoError(t, err)
	return c.FS.(fstest.MapFS)
}

func runFS(fs fstest.MapFS) ([]replay.Result, error) {
	return replay.Run(context.Background(), replay.Capture{Name: "small", FS: fs}, replay.Options{})
}

// TestTamperedCaptureIsNotExact: a replay must notice whatever is not the
// model's answer.
func TestTamperedCaptureIsNotExact(t *testing.T) {
	tamper := map[string]func(fstest.MapFS){
		"another page frame": func(fs fstest.MapFS) {
			replaceLast(fs, "trace.txt", `(mm_page_alloc: page=\w+ pfn=0x)(\w+)`, "${1}5ff0")
		},
		"another zone event": func(fs fstest.MapFS) {
			replaceLast(fs, "trace.txt", `(mm_page_alloc_zone_locked: page=\w+ pfn=0x)(\w+)`, "${1}5ff1")
		},
		"lists in another order": func(fs fstest.MapFS) {
			replaceLast(fs, "after.ksnap", `(pcplist cpu=0 pindex=\d+: )(\d+) (\d+)`, "${1}${3} ${2}")
		},
		"another pageblock type": func(fs fstest.MapFS) {
			replaceLast(fs, "after.ksnap", `(pageblocks first_pfn=\d+ n=\d+ mt=)\d`, "${1}2")
		},
	}
	for name, f := range tamper {
		t.Run(name, func(t *testing.T) {
			fs := small(t)
			rows, err := runFS(fs)
			require.NoError(t, err)
			require.True(t, rows[0].ExactAll())
			f(fs)
			rows, err = runFS(fs)
			require.NoError(t, err)
			require.False(t, rows[0].ExactAll())
			require.NotEmpty(t, rows[0].FirstDifference)
		})
	}
}

// replaceLast replaces the last match of a pattern in a file.
func replaceLast(fs fstest.MapFS, name, pattern, with string) {
	re := regexp.MustCompile(pattern)
	text := fs[name].Data
	all := re.FindAllIndex(text, -1)
	at := all[len(all)-1]
	out := append([]byte{}, text[:at[0]]...)
	out = append(out, re.ReplaceAll(text[at[0]:at[1]], []byte(with))...)
	fs[name] = &fstest.MapFile{Data: append(out, text[at[1]:]...)}
}

// TestBrokenCaptureIsAnError: cut and corrupt files give an error that names
// the file, or the end that is missing.
func TestBrokenCaptureIsAnError(t *testing.T) {
	for _, tc := range []struct{ file, from, to, want string }{
		{"trace.txt", "seq=2\n", "seq=3\n", "starts the second snapshot"},
		{"trace.txt", "seq=2147483649", "seq=5", "ends the first snapshot"},
		{"trace.txt", "mm_page_alloc: page", "mm_page_alloc: page=0 pfn=0y", "trace.txt"},
		{"trace.txt", " order=", " order=77", "order 77"},
		{"before.ksnap", "end seq=1", "", "before.ksnap"},
		{"before.ksnap", "name=DMA ", "name=XYZ ", "XYZ"},
		{"after.ksnap", "max_order=11", "max_order=99999999999999999999", "after.ksnap"},
	} {
		t.Run(tc.file+" "+tc.from, func(t *testing.T) {
			fs := small(t)
			text := string(fs[tc.file].Data)
			require.Contains(t, text, tc.from)
			fs[tc.file] = &fstest.MapFile{Data: []byte(strings.Replace(text, tc.from, tc.to, 1))}
			_, err := runFS(fs)
			require.ErrorContains(t, err, tc.want)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		_, err := runFS(fstest.MapFS{"x": &fstest.MapFile{}})
		require.ErrorIs(t, err, replay.ErrNothing)
	})
	t.Run("no such model", func(t *testing.T) {
		_, err := replay.Run(context.Background(), replay.Capture{Name: "small", FS: small(t)}, replay.Options{Model: "tasks"})
		require.ErrorIs(t, err, replay.ErrModel)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := replay.Run(ctx, replay.Capture{Name: "small", FS: small(t)}, replay.Options{})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// FuzzPages: whatever the files hold, a replay ends with rows or an error.
func FuzzPages(f *testing.F) {
	fs := small(f)
	f.Add(fs["before.ksnap"].Data, fs["after.ksnap"].Data, fs["trace.txt"].Data, fs["before.ksnap_extra"].Data)
	f.Add([]byte("ksnap 1 seq=1"), []byte("ksnap 1 seq=2"), []byte("x"), []byte("ksnap_extra 1"))
	f.Fuzz(func(t *testing.T, before, after, text, extra []byte) {
		rows, err := runFS(fstest.MapFS{
			"before.ksnap": {Data: before}, "after.ksnap": {Data: after},
			"trace.txt": {Data: text}, "before.ksnap_extra": {Data: extra},
		})
		if err == nil && len(rows) != 1 {
			t.Fatalf("%d rows and no error", len(rows))
		}
	})
}
