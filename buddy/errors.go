package buddy

import (
	"errors"
	"fmt"
)

// What can be wrong with a page that is freed, split or taken. Test with
// errors.Is.
var (
	// ErrOutside: the page frame is in no zone of the machine.
	ErrOutside = errors.New("page frame is outside of all zones")
	// ErrMisaligned: the PFN is not a multiple of the block's size.
	ErrMisaligned = errors.New("page frame is not aligned to the order")
	// ErrOrder: no block has such an order.
	ErrOrder = errors.New("order is out of range")
	// ErrDoubleFree: the page is free already. The kernel reports "BUG: Bad
	// page state in process ...: page dumped because: nonzero _refcount" or
	// corrupts a list.
	ErrDoubleFree = errors.New("double free: page is free already (kernel: BUG: Bad page state)")
	// ErrNotAllocated: the page is no block's first page, or was never given
	// out.
	ErrNotAllocated = errors.New("page was not allocated (kernel: BUG: Bad page state, nonzero _refcount)")
	// ErrWrongOrder: the block was allocated with another order.
	ErrWrongOrder = errors.New("block was allocated with another order")
	// ErrInsideBlock: the page lies inside an allocated block (a tail page).
	ErrInsideBlock = errors.New("page is a tail page of an allocated block (kernel: VM_BUG_ON_PAGE(PageTail(page)))")
	// ErrNotFree: the page is not free, or only part of the block is.
	ErrNotFree = errors.New("block is not free")
	// ErrNoCPU: the machine has no such CPU.
	ErrNoCPU = errors.New("no such CPU")
	// ErrNoZone: the machine has no such zone.
	ErrNoZone = errors.New("no such zone")
	// ErrNoList: there are no lists of such a migrate type.
	ErrNoList = errors.New("no list of the migrate type")
)

// PageError is misuse of a page. The allocator is unchanged.
type PageError struct {
	PFN   PFN
	Order Order
	// State tells what the allocator knows about the page frame.
	State string
	// Err is one of the ErrXxx values.
	Err error
}

func (e *PageError) Error() string {
	s := fmt.Sprintf("buddy: PFN %d order %d: %v", e.PFN, e.Order, e.Err)
	if e.State != "" {
		s += " (" + e.State + ")"
	}
	return s
}

// Unwrap gives Err.
func (e *PageError) Unwrap() error { return e.Err }

// RequestError is a request that cannot be right: the kernel warns and returns
// no page. The allocator is unchanged.
type RequestError struct {
	Request Request
	Reason  string
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("buddy: order %d request with %v on CPU %d: %s",
		e.Request.Order, e.Request.GFP, e.Request.CPU, e.Reason)
}

// ErrNoMemory is what every [*AllocError] is, for errors.Is.
var ErrNoMemory = errors.New("out of memory")

// AllocError is a request that failed for want of memory: the kernel's "page
// allocation failure".
type AllocError struct {
	Request Request
}

func (e *AllocError) Error() string {
	return fmt.Sprintf("buddy: page allocation failure: order:%d, mode:%#x(%v)",
		e.Request.Order, uint64(e.Request.GFP), e.Request.GFP)
}

// Is makes errors.Is(err, ErrNoMemory) true.
func (e *AllocError) Is(target error) bool { return target == ErrNoMemory }

func (a *Allocator) allocFailed(r *Request, ac *allocContext) error {
	if a.hook != nil {
		a.hook(Event{Kind: EventAlloc, PFN: NoPFN, Order: r.Order, MigrateType: ac.mt, GFP: r.GFP})
	}
	return &AllocError{Request: *r}
}

// NoPFN is the PFN field of an [EventAlloc] whose request failed.
const NoPFN = PFN(^uint64(0))

// pageError describes a misused page.
func (a *Allocator) pageError(pfn PFN, o Order, err error) error {
	return &PageError{PFN: pfn, Order: o, State: a.describe(pfn), Err: err}
}

// describe tells what a page frame is part of.
func (a *Allocator) describe(pfn PFN) string {
	if a.zoneOf(uint64(pfn)) == nil {
		return ""
	}
	head, p := a.enclosing(uint32(pfn))
	if p == nil {
		return "never handed to the allocator, or allocated before the model started"
	}
	return fmt.Sprintf("block %d order %d is %v", head, p.order, p.state)
}

// enclosing finds the block that a page frame is in, or nil.
func (a *Allocator) enclosing(pfn uint32) (uint32, *page) {
	for o := range a.maxOrder {
		head := pfn &^ (1<<o - 1)
		p := a.head(head)
		if p.state != pageNone {
			if int(p.order) >= o {
				return head, p
			}
			return 0, nil
		}
	}
	return 0, nil
}
