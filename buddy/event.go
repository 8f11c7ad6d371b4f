package buddy

// EventKind is one of the kernel's page tracepoints.
type EventKind uint8

// The tracepoints of kmem that concern pages.
const (
	// EventAlloc is mm_page_alloc.
	EventAlloc EventKind = iota
	// EventFree is mm_page_free.
	EventFree
	// EventFreeBatched is mm_page_free_batched.
	EventFreeBatched
	// EventZoneLocked is mm_page_alloc_zone_locked: a block left the zone's
	// free lists.
	EventZoneLocked
	// EventPCPDrain is mm_page_pcpu_drain: a block went from a per-CPU list
	// to the zone.
	EventPCPDrain
	// EventExtfrag is mm_page_alloc_extfrag: a request took memory of another
	// migrate type.
	EventExtfrag
)

var eventNames = [...]string{
	"mm_page_alloc", "mm_page_free", "mm_page_free_batched",
	"mm_page_alloc_zone_locked", "mm_page_pcpu_drain", "mm_page_alloc_extfrag",
}

// String is the tracepoint's name.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown event"
}

// Event is a tracepoint's payload; which fields mean something depends on Kind.
type Event struct {
	Kind EventKind
	PFN  PFN
	// Order is the block's order; of EventExtfrag the requested one.
	Order Order
	// MigrateType is the list's type; of EventExtfrag and EventAlloc the
	// requested one.
	MigrateType MigrateType
	// GFP is EventAlloc's.
	GFP GFP
	// PCPRefill (EventZoneLocked) is the percpu_refill field.
	PCPRefill bool
	// The rest is EventExtfrag's: order and type taken from, whether the block
	// was smaller than a pageblock, whether the pageblock changed its type.
	FallbackOrder                Order
	FallbackType                 MigrateType
	Fragmenting, ChangeOwnership bool
}
