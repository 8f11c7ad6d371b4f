package bench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/bench"
	"github.com/kernsim/kernsim/buddy"
)

// freedMovable is a stream that, at its end, frees all movable memory: what
// dropping caches and ending processes does.
type freedMovable struct {
	bench.Stream
	live  map[uint32]bench.Op
	order []uint32
	ended bool
}

func (f *freedMovable) Next(op *bench.Op) bool {
	if !f.ended && f.Stream.Next(op) {
		if op.Kind == bench.OpAlloc && op.Request.GFP.Any(buddy.GFPMovable) {
			f.live[op.Slot] = *op
			f.order = append(f.order, op.Slot)
		} else if op.Kind == bench.OpFree {
			delete(f.live, op.Slot)
		}
		return true
	}
	f.ended = true
	for len(f.order) > 0 {
		slot := f.order[0]
		f.order = f.order[1:]
		if taken, ok := f.live[slot]; ok {
			delete(f.live, slot)
			*op = bench.Op{Kind: bench.OpFree, Slot: slot, Order: taken.Request.Order, Request: bench.Request{CPU: taken.Request.CPU}}
			return true
		}
	}
	return false
}

// results runs strategies on a workload with some seeds.
func results(t *testing.T, w *bench.Workload, seeds int, names ...string) bench.Comparison {
	t.Helper()
	strategies, err := bench.Find(names...)
	require.NoError(t, err)
	all, err := bench.Compare(context.Background(), []*bench.Workload{w}, strategies, bench.CompareOptions{Seeds: seeds, Samples: 20})
	require.NoError(t, err)
	return all[0]
}

func metric(t *testing.T, id string) *bench.Metric {
	t.Helper()
	for _, m := range bench.Metrics() {
		if m.ID == id {
			return &m
		}
	}
	require.Fail(t, "no metric", id)
	return nil
}

// Grouping pages by mobility keeps unmovable pages together, so that large
// blocks come free when movable memory does (M. Gorman, A. Whitcroft: The What,
// The Why and the Where To of Anti-Fragmentation, Linux Symposium 2006). The
// margin: at least one and a half times as much of the free memory usable as
// huge pages, on every seed.
func TestFactMigrateTypesKeepHugePages(t *testing.T) {
	w, err := bench.Mixes()[0].Workload()
	require.NoError(t, err)
	plain := w.Stream
	w.Stream = func(seed uint64) bench.Stream { return &freedMovable{Stream: plain(seed), live: map[uint32]bench.Op{}} }
	c := results(t, w, 3, "linux-6.1", "linux-6.1-notypes")
	m := metric(t, "thp_share")
	with, without := c.Rows[0].Values(m), c.Rows[1].Values(m)
	for i := range with {
		assert.Greater(t, with[i], 1.5*without[i], "seed %d", c.Seeds[i])
	}
	t.Log(with, without)
}

// Per-CPU lists exist to take the zone's lock once for a batch of pages
// (Documentation/admin-guide/sysctl/vm.rst, percpu_pagelist_high_fraction; mm/
// page_alloc.c, zone_batchsize). A stream that only takes single pages and then
// only gives them back needs the lock for each page without them, and for each
// batch with them: the ratio is the batch size for the first half, and at
// least that for the second, whose drains grow.
func TestFactPerCPULists(t *testing.T) {
	w := oneWay(t, 20000)
	c := results(t, w, 1, "linux-5.4", "linux-6.1", "linux-6.1-nopcp")
	locks := metric(t, "locks")
	without := c.Rows[2].Values(locks)[0]
	batch := float64(w.Machine.Config.Zones[0].PCP.Batch)
	require.Greater(t, batch, 10.0)
	fixed := without / c.Rows[0].Values(locks)[0]
	assert.InEpsilon(t, batch, fixed, 0.1, "5.4 moves one batch at a time, both ways")
	grown := without / c.Rows[1].Values(locks)[0]
	assert.Greater(t, grown, batch)
	assert.Less(t, grown, 2*batch, "the refills alone are half of it")
	t.Log(batch, fixed, grown)
}

// oneWay takes n single pages and gives them back.
func oneWay(t *testing.T, n int) *bench.Workload {
	w, err := bench.Mixes()[0].Workload()
	require.NoError(t, err)
	w.Ops, w.Seeded = 2*n, false
	w.Stream = func(uint64) bench.Stream { return &upAndDown{n: n} }
	return w
}

type upAndDown struct{ n, i int }

func (u *upAndDown) Next(op *bench.Op) bool {
	if u.i == 2*u.n {
		return false
	}
	*op = bench.Op{Slot: uint32(u.i % u.n), Request: bench.Request{Node: buddy.NoNode, GFP: buddy.GFPHighUserMovable}}
	if u.i >= u.n {
		op.Kind = bench.OpFree
	}
	u.i++
	return true
}

// LLFree's later versions keep trees for unmovable, movable and huge blocks apart
// so that fewer huge pages are spoilt (github.com/luhsra/llfree-rs, tiers). The
// margin: at most three quarters of the pageblocks with mixed contents that the
// paper's has, on every seed.
func TestFactKindsOfTreesMixLess(t *testing.T) {
	w := small(t, bench.Mixes()[0], 200000)
	c := results(t, w, 3, "llfree", "llfree-kinds")
	m := metric(t, "mixed_blocks")
	paper, kinds := c.Rows[0].Values(m), c.Rows[1].Values(m)
	for i := range paper {
		assert.LessOrEqual(t, kinds[i], 0.75*paper[i], "seed %d", c.Seeds[i])
	}
	t.Log(paper, kinds)
}

// First fit and best fit keep memory together; next fit scatters blocks over
// all of it (C. Bays: A comparison of next-fit, first-fit, and best-fit, CACM
// 1977; Wilson et al., Dynamic Storage Allocation: A Survey, 1995). The margin:
// the free memory usable as huge pages, mean over time, is at least twice that
// of next fit for both, on every seed.
func TestFactNextFitScatters(t *testing.T) {
	w := small(t, bench.Mixes()[0], 200000)
	c := results(t, w, 3, "first-fit", "best-fit", "next-fit")
	m := metric(t, "thp_share_mean")
	next := c.Rows[2].Values(m)
	for i := range next {
		assert.Greater(t, c.Rows[0].Values(m)[i], 2*next[i], "first fit, seed %d", c.Seeds[i])
		assert.Greater(t, c.Rows[1].Values(m)[i], 2*next[i], "best fit, seed %d", c.Seeds[i])
	}
	t.Log(c.Rows[0].Values(m), c.Rows[1].Values(m), next)
}
