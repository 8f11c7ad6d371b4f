package bench_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/slab/rival"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mix(t *testing.T, name string) *bench.ObjectMix {
	t.Helper()
	for _, m := range bench.ObjectMixes() {
		if m.Name == name {
			return &m
		}
	}
	t.Fatal(name)
	return nil
}

func runObjects(t *testing.T, allocator string, w *bench.ObjectWorkload) *bench.ObjectResult {
	t.Helper()
	for _, n := range rival.All() {
		if n.Name == allocator {
			r, err := bench.RunObjects(context.Background(), n, w, 100)
			require.NoError(t, err)
			return r
		}
	}
	t.Fatal(allocator)
	return nil
}

// TestObjectFacts has what is said of the kernel's allocators, over six seeds.
//
//   - SLOB is for small memories (K. Billimoria, Linux Kernel Programming, chapter
//     8): as long as nothing is freed, small objects of all sizes cost it at most
//     half of what they waste in SLUB. Margin: 0.5.
//   - When objects come and go, first fit leaves holes, and most of that is lost:
//     at the peak SLOB wastes less than SLUB still, but more than 0.6 of it.
//   - When nine of ten of them are freed, what is left is spread over SLOB's
//     pages as over the others': it holds at least three times what is asked for.
//   - SLOB takes one lock for all CPUs at each call, SLUB and SLAB at less than
//     one call in five of the network's mix, where nine of ten frees come from
//     another CPU (SLAB's and SLUB's caches on each CPU).
func TestObjectFacts(t *testing.T) {
	for seed := range uint64(6) {
		w := mix(t, "small").Workload(seed)
		slub, slob := runObjects(t, "slub-6.1", w), runObjects(t, "slob", w)
		waste := func(r *bench.ObjectResult) float64 { return float64(r.Peak-r.Asked) / float64(r.Peak) }
		assert.Less(t, waste(slob), waste(slub), "seed %d", seed)
		assert.Greater(t, waste(slob), 0.6*waste(slub), "seed %d", seed)
		fill := *w
		fill.Ops = slices.DeleteFunc(slices.Clone(w.Ops[:10_000]), func(op bench.ObjectOp) bool { return op.Size == 0 })
		assert.Less(t, waste(runObjects(t, "slob", &fill)), 0.5*waste(runObjects(t, "slub-6.1", &fill)), "seed %d", seed)
		assert.Greater(t, slob.EndHeld, 3*slob.EndAsked, "seed %d", seed)
		assert.Greater(t, slub.EndHeld, 3*slub.EndAsked, "seed %d", seed)
		w = mix(t, "network").Workload(seed)
		calls := float64(len(w.Ops))
		assert.GreaterOrEqual(t, float64(runObjects(t, "slob", w).Locks), calls, "seed %d", seed)
		assert.Less(t, float64(runObjects(t, "slub-6.1", w).Locks), calls/5, "seed %d", seed)
		assert.Less(t, float64(runObjects(t, "slab", w).Locks), calls/5, "seed %d", seed)
	}
}

// TestObjectsOfCapture runs all allocators on a captured stream; nothing is lost
// on the way.
func TestObjectsOfCapture(t *testing.T) {
	const name = "x86_64-6.1-slab-1cpu"
	fsys, err := captures.Open(name)
	require.NoError(t, err)
	w, err := bench.ObjectsFromCapture(replay.Capture{Name: name, FS: fsys})
	require.NoError(t, err)
	require.Greater(t, w.Requests(), 5000)
	var asked []uint64
	for _, n := range rival.All() {
		r, err := bench.RunObjects(context.Background(), n, w, 50)
		require.NoError(t, err)
		require.Zero(t, r.Failed)
		require.Len(t, r.Samples, 51)
		asked = append(asked, r.EndAsked)
		require.Equal(t, asked[0], r.EndAsked)
	}
}

// broken is an allocator that does one thing wrong.
type broken struct {
	rival.Allocator
	n     int
	last  uint64
	fault bench.ObjectFault
}

func (b *broken) Alloc(cpu int, size uint64) (uint64, error) {
	b.n++
	if b.n == 500 && b.fault == bench.ObjectOverlap {
		return b.last, nil
	}
	addr, err := b.Allocator.Alloc(cpu, size)
	b.last = addr
	return addr, err
}

func (b *broken) Usable(addr uint64) uint64 {
	if b.n == 500 && b.fault == bench.ObjectSmall {
		return 1
	}
	return b.Allocator.Usable(addr)
}

func (b *broken) Free(cpu int, addr uint64) error {
	if b.n > 500 && b.fault == bench.ObjectLost {
		return &rival.FreeError{Allocator: "broken", Addr: addr}
	}
	return b.Allocator.Free(cpu, addr)
}

func (b *broken) Footprint() uint64 {
	if b.n > 500 && b.fault == bench.ObjectPages {
		return 0
	}
	return b.Allocator.Footprint()
}

func (b *broken) Check() error {
	if b.fault == bench.ObjectBroken {
		return &rival.CheckError{Allocator: "broken", What: "x"}
	}
	return b.Allocator.Check()
}

// TestBrokenAllocatorsAreNamed: each fault is found and named.
func TestBrokenAllocatorsAreNamed(t *testing.T) {
	w := mix(t, "small").Workload(1)
	for _, fault := range []bench.ObjectFault{bench.ObjectOverlap, bench.ObjectSmall, bench.ObjectLost, bench.ObjectPages, bench.ObjectBroken} {
		n := rival.Named{Name: "broken", New: func(c rival.Config) (rival.Allocator, error) {
			a, err := rival.All()[1].New(c)
			return &broken{Allocator: a, fault: fault}, err
		}}
		_, err := bench.RunObjects(context.Background(), n, w, 10)
		var wrong *bench.ObjectError
		require.ErrorAs(t, err, &wrong, fault)
		assert.Equal(t, fault, wrong.Fault)
		assert.True(t, strings.HasPrefix(err.Error(), "bench: broken "+string(fault)), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := bench.RunObjects(ctx, rival.All()[1], w, 10)
	require.ErrorIs(t, err, context.Canceled)
}

func TestObjectMixesAreDeterministic(t *testing.T) {
	for _, m := range bench.ObjectMixes() {
		assert.Equal(t, m.Workload(3), m.Workload(3))
		assert.NotEqual(t, m.Workload(3).Ops, m.Workload(4).Ops)
	}
}

func BenchmarkObjects(b *testing.B) {
	m := bench.ObjectMixes()[0]
	w := m.Workload(1)
	for _, n := range rival.All() {
		b.Run(n.Name, func(b *testing.B) {
			for b.Loop() {
				if _, err := bench.RunObjects(context.Background(), n, w, 10); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(w.Ops)), "ns/request")
		})
	}
}

// One object of 100 bytes in a slab of one page: 28 bytes are lost in it, and all
// but its 128 outside.
func TestFragmentationOfOneObject(t *testing.T) {
	ops, err := bench.ReadMallocTrace("one.rep", strings.NewReader("20000\n1\n1\n1\na 0 100\n"))
	require.NoError(t, err)
	w, err := bench.ObjectsFromMallocTrace("one", ops)
	require.NoError(t, err)
	n := rival.All()[slices.IndexFunc(rival.All(), func(n rival.Named) bool { return n.Name == "slub-6.1" })]
	r, err := bench.RunObjects(context.Background(), n, w, 1)
	require.NoError(t, err)
	assert.InDelta(t, 28.0/4096, r.Inside, 1e-12)
	assert.InDelta(t, (4096-128.0)/4096, r.Outside(), 1e-12)
	last := r.Samples[len(r.Samples)-1]
	assert.InDelta(t, (4096-100.0)/4096, last.Wasted(), 1e-12)
	assert.Zero(t, (&bench.ObjectSample{Asked: 5, Held: 5}).Wasted())
}
