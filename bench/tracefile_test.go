package bench_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/trace"
)

// collect gives all operations of a workload.
func collect(w *bench.Workload) (ops []bench.Op) {
	s := w.Stream(1)
	var op bench.Op
	for s.Next(&op) {
		ops = append(ops, op)
	}
	return ops
}

// runAll runs some strategies, so that the checker sees the stream.
func runAll(t testing.TB, w *bench.Workload) []*bench.Result {
	t.Helper()
	strategies, err := bench.Find("linux-6.1", "buddy", "llfree", "go")
	require.NoError(t, err)
	var out []*bench.Result
	for _, s := range strategies {
		r, err := bench.Run(context.Background(), s, w, 1, bench.Options{Samples: 5})
		require.NoError(t, err)
		out = append(out, r)
	}
	return out
}

const pageTrace = `# tracer: nop
  a-1 [000] ..... 1.000000: mm_page_alloc: page=0000000000000000 pfn=0x10 order=2 migratetype=0 gfp_flags=GFP_KERNEL
  a-1 [001] ..... 1.000010: mm_page_alloc: page=0000000000000000 pfn=0x21 order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE
  a-1 [000] ..... 1.000020: mm_page_free: page=0000000000000000 pfn=0x11 order=0
  a-1 [000] ..... 1.000030: mm_page_free: page=0000000000000000 pfn=0x777 order=0
  a-1 [000] ..... 1.000040: mm_page_alloc: page=0000000000000000 pfn=0x21 order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE
`

func TestPageTraceOperations(t *testing.T) {
	r, err := trace.NewReader(strings.NewReader(pageTrace), "trace.txt")
	require.NoError(t, err)
	w, err := bench.FromPageTrace("t", r)
	require.NoError(t, err)
	ops := collect(w)
	type short struct {
		kind   bench.OpKind
		slot   uint32
		offset uint32
		order  buddy.Order
	}
	var got []short
	for _, op := range ops {
		got = append(got, short{op.Kind, op.Slot, op.Offset, op.Order})
	}
	// Page 0x777 was never given out; page 0x21 was twice, without a free between.
	assert.Equal(t, []short{{bench.OpAlloc, 0, 0, 2}, {bench.OpAlloc, 1, 0, 0}, {bench.OpFree, 0, 1, 0}, {bench.OpFree, 1, 0, 0}, {bench.OpAlloc, 1, 0, 0}}, got)
	assert.Equal(t, buddy.CPU(1), ops[1].Request.CPU)
	assert.Equal(t, 2, w.Machine.Config.CPUs)
	for _, res := range runAll(t, w) {
		assert.Equal(t, [3]int{3, 2, 0}, [3]int{res.Requests, res.Frees, res.Failed})
	}
}

// The trace of a capture alone, without its snapshots, asks for what the capture
// asks for.
func TestPageTraceOfACapture(t *testing.T) {
	fsys, err := captures.Open("pi3-kmem-slab")
	require.NoError(t, err)
	c := replay.Capture{Name: "pi3-kmem-slab", FS: fsys}
	f, full, err := c.Open("trace.txt")
	require.NoError(t, err)
	defer f.Close()
	r, err := trace.NewReader(f, full)
	require.NoError(t, err)
	w, err := bench.FromPageTrace("t", r)
	require.NoError(t, err)
	whole, err := bench.FromCapture(context.Background(), c)
	require.NoError(t, err)
	allocs := func(w *bench.Workload) (n int) {
		for _, op := range collect(w) {
			if op.Kind == bench.OpAlloc {
				n++
			}
		}
		return n
	}
	// The trace goes on a little around the snapshots.
	assert.GreaterOrEqual(t, allocs(w), allocs(whole))
	runAll(t, w)
}

// entry makes an entry of LLFree's traces.
func entry(time, pfn uint64, alloc bool, order, flags uint32) (b [16]byte) {
	low := time | pfn<<38 | uint64(order)<<63
	if alloc {
		low |= 1 << 62
	}
	binary.LittleEndian.PutUint64(b[:], low)
	binary.LittleEndian.PutUint32(b[8:], order>>1|flags<<3)
	binary.LittleEndian.PutUint32(b[12:], 4711)
	return b
}

func llfreeTrace(newer bool) []byte {
	entries := [][16]byte{entry(5, 0x200, true, 9, 8), entry(6, 0x7, true, 0, 0), entry(9, 0x280, false, 7, 0), entry(9, 0x7, false, 0, 0)}
	unit := make([]byte, 4096)
	binary.LittleEndian.PutUint32(unit, 3)
	for i, e := range entries {
		if newer {
			copy(unit[16+16*i:], e[:])
		} else {
			copy(unit[4+12*i:], e[:12])
		}
	}
	if !newer {
		return unit
	}
	head := make([]byte, 4096)
	binary.LittleEndian.PutUint32(head, 1)
	binary.LittleEndian.PutUint32(head[4:], 4)
	binary.LittleEndian.PutUint32(head[8:], 0x3ff)
	return append(head, unit...)
}

func TestLLFreeTraces(t *testing.T) {
	for _, newer := range []bool{false, true} {
		w, err := bench.FromLLFreeTrace("ll", llfreeTrace(newer))
		require.NoError(t, err)
		ops := collect(w)
		require.Len(t, ops, 4)
		assert.Equal(t, bench.Request{CPU: 3, Node: buddy.NoNode, Order: 9, GFP: buddy.GFPHighUserMovable}, ops[0].Request)
		assert.Equal(t, buddy.GFPKernel, ops[1].Request.GFP)
		assert.Equal(t, [3]uint32{0, 0x80, 7}, [3]uint32{ops[2].Slot, ops[2].Offset, uint32(ops[2].Order)}, "a part of the huge page")
		assert.Equal(t, uint64(5000), ops[0].Time)
		runAll(t, w)
	}
	for _, bad := range [][]byte{nil, make([]byte, 100), make([]byte, 8192)} {
		_, err := bench.FromLLFreeTrace("bad", bad)
		var te *bench.TraceError
		assert.True(t, errors.As(err, &te))
	}
}

func TestMallocTraces(t *testing.T) {
	lab := "20000\n3\n4\n1\na 0 2040\na 1 2048\na 2 10000\nr 0 16\nf 1\nf 2\nf 9\n"
	mtrace := "= Start\n@ ./a.out:[0x1] + 0x100 0x7f8\n@ ./a.out:[0x1] + 0x900 0x800\n+ 0x1000 10000\n< 0x100\n> 0x100 16\n- 0x900\n- 0x1000\n! 0x99\n- 0x9999\n= End\n"
	var both [2][]bench.Op
	for i, text := range []string{lab, mtrace} {
		ops, err := bench.ReadMallocTrace("m", strings.NewReader(text))
		require.NoError(t, err)
		w, err := bench.FromMallocTrace("m", ops)
		require.NoError(t, err)
		both[i] = collect(w)
		runAll(t, w)
	}
	assert.Equal(t, both[0], both[1])
	var got []bench.OpKind
	for _, op := range both[0] {
		got = append(got, op.Kind)
	}
	// Two of 2 KiB in a page, a block of order 2, the moved one in a page of its
	// size; then the first page is empty, and the block given back.
	assert.Equal(t, []bench.OpKind{bench.OpAlloc, bench.OpAlloc, bench.OpAlloc, bench.OpFree, bench.OpFree}, got)
	assert.Equal(t, buddy.Order(2), both[0][1].Request.Order)
	for _, bad := range []string{"", "x 1 2\n", "a 1\n", "a 1 x\n", "1\n2\n", "a 99999999999999999999 1\n", "a 1 5000000\n", "@ a"} {
		_, err := bench.ReadMallocTrace("bad", strings.NewReader(bad))
		var te *bench.TraceError
		assert.True(t, errors.As(err, &te), bad)
	}
}

// fuzzRun runs what could be read: no strategy may find it contradictory.
func fuzzRun(t *testing.T, w *bench.Workload, err error) {
	if err != nil || w.Machine.Pages() > 1<<16 {
		return
	}
	runAll(t, w)
}

func FuzzLLFreeTrace(f *testing.F) {
	// The bytes after the header of a unit, and whether there is a header.
	for _, newer := range []bool{false, true} {
		f.Add(llfreeTrace(newer)[len(llfreeTrace(newer))-4096:][:80], newer)
	}
	f.Fuzz(func(t *testing.T, part []byte, newer bool) {
		data := make([]byte, 4096)
		copy(data, part)
		if newer {
			data = append(llfreeTrace(true)[:4096], data...)
		}
		w, err := bench.FromLLFreeTrace("fuzz", data)
		fuzzRun(t, w, err)
		_, err = bench.FromLLFreeTrace("fuzz", part)
		if err == nil && len(part)%4096 != 0 {
			t.Fatal("a part of a unit was read")
		}
	})
}

func FuzzMallocTrace(f *testing.F) {
	f.Add("a 0 8\na 1 4000\nr 0 600\nf 1\n")
	f.Add("= Start\n@ x + 0x1 0x2\n- 0x1\n")
	f.Fuzz(func(t *testing.T, s string) {
		ops, err := bench.ReadMallocTrace("fuzz", strings.NewReader(s))
		if err != nil {
			return
		}
		w, err := bench.FromMallocTrace("fuzz", ops)
		fuzzRun(t, w, err)
	})
}

func FuzzPageTrace(f *testing.F) {
	f.Add(pageTrace)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := trace.NewReader(strings.NewReader(s), "fuzz")
		if err != nil {
			return
		}
		w, err := bench.FromPageTrace("fuzz", r)
		fuzzRun(t, w, err)
	})
}
