package buddy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// misuseMachine has a page or block of each kind:
//
//	0-3    an allocated block of order 2
//	4      an allocated page
//	8      a page on CPU 0's list
//	16-17  an isolated free block
//	20     a page that is being freed
//	64-127 free
//	128-   reserved, never released
func misuseMachine(t testing.TB, p Profile) *Allocator {
	c := Config{PageShift: 12, PageblockOrder: 5, MaxOrder: 7, CPUs: 2, ZoneTypes: []ZoneType{ZoneNormal, ZoneMovable},
		Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: 200, Present: 200, Managed: 128, LowmemReserve: []uint64{0, 0},
			PCP: PCPConfig{Batch: 2, High: 20}}}}
	a, err := New(c, p)
	require.NoError(t, err)
	a.groupingDisabled = false
	require.NoError(t, a.Release(0, 128))
	require.NoError(t, a.Seize(0, 2))
	require.NoError(t, a.Seize(4, 0))
	require.NoError(t, a.Seize(8, 0))
	require.NoError(t, a.PutPCP(0, 8, 0, Movable, false))
	require.NoError(t, a.Seize(18, 1))
	_, err = a.IsolateFreePage(0, 16)
	require.NoError(t, err)
	require.NoError(t, a.Seize(20, 0))
	require.NoError(t, a.PrepareFree(0, 20, 0))
	require.NoError(t, a.Check())
	return a
}

// TestMisuse wants each wrong call to be refused with an error that says what is
// wrong, and to change nothing.
func TestMisuse(t *testing.T) {
	free := func(cpu CPU, pfn PFN, order Order) func(*Allocator) error {
		return func(a *Allocator) error { return a.Free(cpu, pfn, order) }
	}
	alloc := func(r Request) func(*Allocator) error {
		return func(a *Allocator) error { _, err := a.Alloc(r); return err }
	}
	exact := func(size uint64) func(*Allocator) error {
		return func(a *Allocator) error { _, err := a.AllocExact(Request{GFP: GFPKernel}, size); return err }
	}
	contig := func(cpu CPU, start, end PFN, mt MigrateType) func(*Allocator) error {
		return func(a *Allocator) error { return a.AllocContig(cpu, start, end, mt, nil) }
	}
	anyRequest := &RequestError{}
	tests := []struct {
		name string
		do   func(*Allocator) error
		want error // by errors.Is; anyRequest: by type
	}{
		{"free a free page", free(0, 64, 0), ErrDoubleFree},
		{"free inside a free block", free(0, 70, 0), ErrDoubleFree},
		{"free a page on a per-CPU list", free(1, 8, 0), ErrDoubleFree},
		{"free a page that is being freed", free(0, 20, 0), ErrDoubleFree},
		{"free an isolated block", free(0, 16, 1), ErrDoubleFree},
		{"free a page never allocated", free(0, 150, 0), ErrNotAllocated},
		{"free a smaller order", free(0, 0, 1), ErrWrongOrder},
		{"free a larger order", free(0, 0, 3), ErrWrongOrder},
		{"free a tail page", free(0, 1, 0), ErrInsideBlock},
		{"free a tail pair", free(0, 2, 1), ErrInsideBlock},
		{"free a misaligned PFN", free(0, 3, 2), ErrMisaligned},
		{"free beyond the zone", free(0, 200, 0), ErrOutside},
		{"free far beyond", free(0, 1<<40, 0), ErrOutside},
		{"free beyond in the last section", free(0, 30000, 0), ErrOutside},
		{"free the largest PFN", free(0, NoPFN, 0), ErrOutside},
		{"free order MAX_ORDER", free(0, 0, 7), ErrOrder},
		{"free order 127", free(0, 0, 127), ErrOrder},
		{"free a negative order", free(0, 0, -1), ErrOrder},
		{"free on no CPU", free(2, 4, 0), ErrNoCPU},
		{"free on a negative CPU", free(-1, 4, 0), ErrNoCPU},

		{"free a list with a free page", func(a *Allocator) error { return a.FreeList(0, []PFN{4, 64}) }, ErrDoubleFree},
		{"free a list with a page twice", func(a *Allocator) error { return a.FreeList(0, []PFN{4, 4}) }, ErrDoubleFree},
		{"free a list on no CPU", func(a *Allocator) error { return a.FreeList(9, []PFN{4}) }, ErrNoCPU},
		{"prepare a free page", func(a *Allocator) error { return a.PrepareFree(0, 64, 0) }, ErrDoubleFree},
		{"prepare twice", func(a *Allocator) error { return a.PrepareFree(0, 20, 0) }, ErrDoubleFree},
		{"commit what was not prepared", func(a *Allocator) error { return a.CommitFree(0, 4) }, ErrNotAllocated},
		{"commit outside", func(a *Allocator) error { return a.CommitFree(0, 4000) }, ErrOutside},
		{"commit on no CPU", func(a *Allocator) error { return a.CommitFree(7, 20) }, ErrNoCPU},
		{"free a free page to the zone", func(a *Allocator) error { return a.FreeToZone(0, 64, 0, true) }, ErrDoubleFree},
		{"split a free block", func(a *Allocator) error { return a.Split(64, 2) }, ErrDoubleFree},
		{"split with a wrong order", func(a *Allocator) error { return a.Split(0, 1) }, ErrWrongOrder},
		{"free exactly what was allocated otherwise", func(a *Allocator) error { return a.FreeExact(0, 4, 3*4096) }, ErrDoubleFree},
		{"free a range with a free page", func(a *Allocator) error { return a.FreeContig(0, 4, 6) }, ErrDoubleFree},
		{"free a range backwards", func(a *Allocator) error { return a.FreeContig(0, 6, 4) }, ErrOutside},

		{"order MAX_ORDER", alloc(Request{GFP: GFPKernel, Order: 7}), anyRequest},
		{"a negative order", alloc(Request{GFP: GFPKernel, Order: -1}), anyRequest},
		{"no such CPU", alloc(Request{GFP: GFPKernel, CPU: 2}), anyRequest},
		{"no such node", alloc(Request{GFP: GFPKernel, Node: 1}), anyRequest},
		{"a negative node", alloc(Request{GFP: GFPKernel, Node: -2}), anyRequest},
		{"two zones at once", alloc(Request{GFP: GFPKernel | GFPDMA | GFPHighMem}), anyRequest},
		{"DMA and DMA32", alloc(Request{GFP: GFPDMA | GFPDMA32}), anyRequest},
		{"DMA32, highmem and movable", alloc(Request{GFP: GFPDMA32 | GFPHighMem | GFPMovable}), anyRequest},
		{"both mobilities", alloc(Request{GFP: GFPKernel | GFPMovable | GFPReclaimable}), anyRequest},
		{"bulk of an order", func(a *Allocator) error {
			_, err := a.AllocBulk(nil, Request{GFP: GFPKernel, Order: 1}, 4)
			return err
		}, anyRequest},
		{"bulk on no CPU", func(a *Allocator) error {
			_, err := a.AllocBulk(nil, Request{GFP: GFPKernel, CPU: 5}, 4)
			return err
		}, anyRequest},
		{"exactly nothing", exact(0), anyRequest},
		{"exactly too much", exact(65 * 4096), anyRequest},
		{"exactly far too much", exact(1<<64 - 1), anyRequest},

		{"release nothing", func(a *Allocator) error { return a.Release(140, 140) }, ErrOrder},
		{"release beyond", func(a *Allocator) error { return a.Release(190, 201) }, ErrOutside},
		{"release again", func(a *Allocator) error { return a.Release(100, 140) }, ErrDoubleFree},
		{"release what is in use", func(a *Allocator) error { return a.Release(1, 3) }, ErrDoubleFree},
		{"make CMA without CMA", func(a *Allocator) error { return a.MakeCMA(160, 192) }, ErrBusy},
		{"type unknown", func(a *Allocator) error { return a.SetBlockType(64, NumMigrateTypes) }, ErrNoList},
		{"type CMA without CMA", func(a *Allocator) error { return a.SetBlockType(64, CMA) }, ErrNoList},
		{"isolation by type", func(a *Allocator) error { return a.SetBlockType(64, Isolate) }, ErrNoList},
		{"type of a page outside", func(a *Allocator) error { return a.SetBlockType(200, Movable) }, ErrOutside},

		{"isolate a page in use", func(a *Allocator) error { _, err := a.IsolateFreePage(0, 4); return err }, ErrNotFree},
		{"isolate a page inside a block", func(a *Allocator) error { _, err := a.IsolateFreePage(0, 65); return err }, ErrNotFree},
		{"isolate outside", func(a *Allocator) error { _, err := a.IsolateFreePage(0, 1000); return err }, ErrOutside},
		{"isolate on no CPU", func(a *Allocator) error { _, err := a.IsolateFreePage(2, 64); return err }, ErrNoCPU},
		{"put back a free page", func(a *Allocator) error { return a.PutbackIsolated(0, 64) }, ErrNotAllocated},
		{"put back outside", func(a *Allocator) error { return a.PutbackIsolated(0, 900) }, ErrOutside},
		{"use a free page", func(a *Allocator) error { return a.UseIsolated(0, 64) }, ErrNotAllocated},
		{"isolate a pageblock in use", func(a *Allocator) error { return a.IsolateBlock(0, 0, Movable) }, ErrBusy},
		{"isolate reserved pages", func(a *Allocator) error { return a.IsolateBlock(0, 130, Movable) }, ErrBusy},
		{"isolate a pageblock outside", func(a *Allocator) error { return a.IsolateBlock(0, 999, Movable) }, ErrOutside},
		{"isolate a pageblock on no CPU", func(a *Allocator) error { return a.IsolateBlock(-5, 64, Movable) }, ErrNoCPU},
		{"give back a pageblock that is not isolated", func(a *Allocator) error { return a.UnisolateBlock(0, 64, Movable) }, ErrBusy},

		{"take a range in use", contig(0, 0, 8, Movable), ErrBusy},
		{"take a range beyond", contig(0, 190, 220, Movable), ErrOutside},
		{"take an empty range", contig(0, 70, 70, Movable), ErrOutside},
		{"take a range backwards", contig(0, 80, 70, Movable), ErrOutside},
		{"take a range on no CPU", contig(2, 64, 70, Movable), ErrNoCPU},
		{"take an unmovable range", contig(0, 64, 70, Unmovable), ErrBusy},
		{"take a CMA range without CMA", contig(0, 64, 70, CMA), ErrBusy},

		{"seize a page in use", func(a *Allocator) error { return a.Seize(4, 0) }, ErrNotFree},
		{"seize a reserved page", func(a *Allocator) error { return a.Seize(150, 0) }, ErrNotFree},
		{"seize an isolated page", func(a *Allocator) error { return a.Seize(16, 0) }, ErrNotFree},
		{"seize more than is free", func(a *Allocator) error { return a.Seize(8, 1) }, ErrNotFree},
		{"seize a misaligned block", func(a *Allocator) error { return a.Seize(65, 1) }, ErrMisaligned},
		{"seize beyond", func(a *Allocator) error { return a.Seize(200, 0) }, ErrOutside},
		{"seize an order too high", func(a *Allocator) error { return a.Seize(64, 7) }, ErrOrder},
		{"put a free page onto a list", func(a *Allocator) error { return a.PutPCP(0, 64, 0, Movable, false) }, ErrDoubleFree},
		{"put a page onto no list", func(a *Allocator) error { return a.PutPCP(0, 4, 0, Isolate, false) }, ErrNoList},
		{"put an unknown type back", func(a *Allocator) error { return a.PutFree(0, 4, 0, NumMigrateTypes) }, ErrNoList},

		{"drain no CPU", func(a *Allocator) error { return a.DrainCPU(2) }, ErrNoCPU},
		{"drain all on no CPU", func(a *Allocator) error { return a.DrainAll(-1) }, ErrNoCPU},
		{"drain pages of no CPU", func(a *Allocator) error { _, err := a.DrainPages(0, 2, 0, 1); return err }, ErrNoCPU},
		{"drain pages on no CPU", func(a *Allocator) error { _, err := a.DrainPages(0, 0, 2, 1); return err }, ErrNoCPU},
		{"drain pages of no zone", func(a *Allocator) error { _, err := a.DrainPages(1, 0, 0, 1); return err }, ErrNoZone},
		{"decay no CPU", func(a *Allocator) error { return a.Decay(2) }, ErrNoCPU},
		{"fold no CPU", func(a *Allocator) error { return a.FoldStats(2) }, ErrNoCPU},
	}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			a := misuseMachine(t, p)
			for _, test := range tests {
				before, state := fingerprint(a), a.State()
				err := test.do(a)
				if test.want == error(anyRequest) {
					var request *RequestError
					require.ErrorAs(t, err, &request, test.name)
					require.NotEmpty(t, request.Reason, test.name)
				} else {
					require.ErrorIs(t, err, test.want, test.name)
				}
				require.NotEmpty(t, err.Error(), test.name)
				require.Equal(t, state, a.State(), test.name)
				require.Equal(t, before, fingerprint(a), test.name)
			}
			require.NoError(t, a.Check())
		})
	}
}

// TestMisuseIsDescribed: the error says what the page is.
func TestMisuseIsDescribed(t *testing.T) {
	a := misuseMachine(t, Linux6_1)
	var page *PageError
	require.ErrorAs(t, a.Free(0, 1, 0), &page)
	require.Equal(t, PageError{PFN: 1, Order: 0, State: "block 0 order 2 is allocated", Err: ErrInsideBlock}, *page)
	require.EqualError(t, a.Free(0, 70, 1), "buddy: PFN 70 order 1: double free: page is free already (kernel: BUG: Bad page state) (block 64 order 6 is free)")
	var ranged *RangeError
	require.ErrorAs(t, a.AllocContig(0, 120, 140, Movable, nil), &ranged)
	require.Equal(t, PFN(128), ranged.PFN)
	var failed *AllocError
	_, err := a.AllocPages(0, GFPKernel|GFPThisNode, 6)
	require.NoError(t, err)
	_, err = a.AllocPages(0, GFPKernel|GFPThisNode, 6)
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, ErrNoMemory)
	require.EqualError(t, err, "buddy: page allocation failure: order:6, mode:0x200cc0(GFP_KERNEL|__GFP_THISNODE)")
}

// TestBadStates wants states that cannot be to be refused with their place.
func TestBadStates(t *testing.T) {
	good := func() *State {
		s := misuseMachine(t, Linux6_1).State()
		return s
	}
	tests := []struct {
		name  string
		spoil func(*State)
		where string
	}{
		{"no zone", func(s *State) { s.Zones = nil }, "zones"},
		{"two zones", func(s *State) { s.Zones = append(s.Zones, s.Zones[0]) }, "zones"},
		{"a page twice", func(s *State) { s.Zones[0].Free[0][Movable] = []PFN{30, 30} }, "free order 0 Movable"},
		{"a page in a block", func(s *State) { s.Zones[0].Free[0][Movable] = []PFN{65} }, "blocks"},
		{"a misaligned block", func(s *State) { s.Zones[0].Free[1][Movable] = []PFN{31} }, "free order 1 Movable"},
		{"a page outside", func(s *State) { s.Zones[0].Free[0][Movable] = []PFN{200} }, "free order 0 Movable"},
		{"a block across the end", func(s *State) { s.Zones[0].Free[4][Movable] = []PFN{192} }, "free order 4 Movable"},
		{"an order too high", func(s *State) { s.Zones[0].Free[7][Movable] = []PFN{0} }, "free order 7 Movable"},
		{"a list too many", func(s *State) { s.Zones[0].PCP[1].Lists[3] = []PFN{7} }, "cpu 1 list 3"},
		{"a CPU too many", func(s *State) { s.Zones[0].PCP = make([]PCPState, 3) }, "per-CPU lists"},
		{"a negative high", func(s *State) { s.Zones[0].PCP[0].High = -1 }, "cpu 0"},
		{"a huge batch", func(s *State) { s.Zones[0].PCP[0].Batch = 1<<31 - 1 }, "cpu 0"},
		{"a type too many", func(s *State) { s.Zones[0].Blocks[0].Type = NumMigrateTypes }, "pageblocks"},
		{"blocks outside", func(s *State) { s.Zones[0].Blocks[0].N = 1 << 60 }, "pageblocks"},
	}
	for _, test := range tests {
		s := good()
		test.spoil(s)
		fresh, err := New(misuseMachine(t, Linux6_1).Config(), Linux6_1)
		require.NoError(t, err)
		var state *StateError
		require.ErrorAs(t, fresh.Restore(s), &state, test.name)
		require.Equal(t, test.where, state.Where, test.name)
		require.NotEmpty(t, state.Error())
	}
}
