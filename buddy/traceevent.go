package buddy

import "github.com/kernsim/kernsim/trace"

// Where the kernel keeps struct page on x86_64 without address randomization,
// and its size: what "page=" of the page events is made of.
const (
	vmemmapBase    = 0xffffea0000000000
	structPageSize = 64
)

// Trace fills ev with the event as the kernel's trace has it: Kind and payload.
// Line, time, CPU and task are left to the caller. cma says whether the
// allocator's machine has CONFIG_CMA, which decides about the numbers of migrate
// types; gfp names the flags as the wanted kernel does, nil as 6.1. The page
// address is that of x86_64's vmemmap.
func (e *Event) Trace(ev *trace.Event, cma bool, pageblockOrder Order, gfp *GFPTable) {
	ev.Args = nil
	ev.Page = trace.Page{PFN: uint64(e.PFN), HasPFN: true, Order: int32(e.Order),
		Address: vmemmapBase + uint64(e.PFN)*structPageSize, MigrateType: int32(e.MigrateType.KernelNumber(cma))}
	ev.Extfrag = trace.Extfrag{}
	switch e.Kind {
	case EventAlloc:
		ev.Kind = trace.KindMMPageAlloc
		if gfp == nil {
			gfp = GFPNames6_1
		}
		ev.Page.GFPFlags = gfp.String(e.GFP)
		if e.PFN == NoPFN {
			ev.Page.PFN, ev.Page.Address, ev.Page.HasPFN = 0, 0, true
		}
	case EventFree:
		ev.Kind = trace.KindMMPageFree
	case EventFreeBatched:
		ev.Kind = trace.KindMMPageFreeBatched
	case EventZoneLocked:
		ev.Kind = trace.KindMMPageAllocZoneLocked
		if e.PCPRefill {
			ev.Page.PerCPURefill = 1
		}
	case EventPCPDrain:
		ev.Kind = trace.KindMMPagePCPUDrain
	case EventExtfrag:
		ev.Kind = trace.KindMMPageAllocExtfrag
		ev.Extfrag = trace.Extfrag{AllocOrder: int32(e.Order), FallbackOrder: int32(e.FallbackOrder),
			PageblockOrder:   int32(pageblockOrder),
			AllocMigrateType: int32(e.MigrateType.KernelNumber(cma)), FallbackMigrateType: int32(e.FallbackType.KernelNumber(cma)),
			Fragmenting: e.Fragmenting, ChangeOwnership: e.ChangeOwnership}
	}
	ev.Name = ev.Kind.String()
}
