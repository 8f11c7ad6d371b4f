package slab

import "github.com/kernsim/kernsim/buddy"

// EventKind is one of the kernel's object tracepoints.
type EventKind uint8

// The tracepoints of kmem that concern objects, as kernels since 6.1 have them.
const (
	// EventKmalloc is kmalloc.
	EventKmalloc EventKind = iota
	// EventCacheAlloc is kmem_cache_alloc.
	EventCacheAlloc
	// EventKfree is kfree.
	EventKfree
	// EventCacheFree is kmem_cache_free.
	EventCacheFree
)

var eventNames = [...]string{"kmalloc", "kmem_cache_alloc", "kfree", "kmem_cache_free"}

// String is the tracepoint's name.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown event"
}

// Event is a tracepoint's payload.
type Event struct {
	Kind EventKind
	CPU  buddy.CPU
	// Addr is the object's address (ptr=); 0 if the request failed.
	Addr uint64
	// Cache is the object's cache (name=); nil for kmalloc's large blocks.
	Cache *Cache
	// The rest is that of allocations: bytes asked for and given, flags, node
	// and whether a memory cgroup is charged.
	BytesReq, BytesAlloc uint64
	GFP                  buddy.GFP
	Node                 buddy.NodeID
	Accounted            bool
}

// SetHook installs the function that sees the kernel's tracepoints in the
// order in which the kernel would print them; nil removes it. The function must
// not call the allocator.
func (a *Allocator) SetHook(f func(Event)) {
	a.hook = f
	for _, c := range a.caches {
		c.setSlow()
	}
}

func (c *Cache) emitAlloc(k EventKind, cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID, addr, size uint64) {
	c.a.hook(Event{Kind: k, CPU: cpu, Addr: addr, Cache: c, BytesReq: size, BytesAlloc: uint64(c.layout.Size),
		GFP: gfp, Node: node, Accounted: c.accounted(gfp)})
}

func (c *Cache) emitFree(k EventKind, cpu buddy.CPU, addr uint64) {
	c.a.hook(Event{Kind: k, CPU: cpu, Addr: addr, Cache: c})
}

// accounted says whether a request is charged to a memory cgroup: by its flags
// or because all of the cache's are.
func (c *Cache) accounted(gfp buddy.GFP) bool {
	return c.a.config.Memcg && (gfp&buddy.GFPAccount != 0 || c.layout.Flags&Account != 0)
}
