package slab

import (
	"errors"
	"fmt"
)

// Misuse is what a caller did wrong with an object or cache. Each names what
// the kernel reports or does; the model does nothing and returns a
// [*MisuseError].
type Misuse uint8

// Kinds of misuse.
const (
	// DoubleFree: the object is free already. With consistency checks the
	// kernel reports "Object already free"; without, a hardened free list stops
	// at BUG in set_freepointer if it was freed last, else the list is corrupt.
	DoubleFree Misuse = iota
	// InvalidFree: the address is inside a slab but no object's start. With
	// consistency checks: "Invalid object pointer 0x...".
	InvalidFree
	// NotSlab: the address is in no slab. kmem_cache_free: "cache_from_obj:
	// Object is not a Slab page!"; kfree: "free_large_kmalloc" warns.
	NotSlab
	// WrongCache: the object is another cache's: "cache_from_obj: Wrong slab
	// cache. A but object is from B".
	WrongCache
	// NoCPU: the machine has no such CPU.
	NoCPU
	// NoNode: the machine has no such node.
	NoNode
	// Destroyed: the cache was destroyed.
	Destroyed
	// Corrupted: the free pointer of an object was overwritten. Without
	// consistency checks the kernel follows it at the next allocation (general
	// protection fault).
	Corrupted
	// TooBig: a size that kmalloc refuses: above KMALLOC_MAX_SIZE it returns NULL.
	TooBig
	// Outside: bytes to read or write that are in no object's slab, or in a
	// slab without contents.
	Outside
	// BadCopy: a copy to or from user space that leaves the usercopy region:
	// "usercopy: Kernel memory exposure attempt detected".
	BadCopy
)

var misuseTexts = [...]string{
	"object is already free (kernel: Object already free)",
	"not the start of an object (kernel: Invalid object pointer)",
	"not in a slab (kernel: cache_from_obj: Object is not a Slab page!)",
	"object of another cache (kernel: cache_from_obj: Wrong slab cache)",
	"no such CPU",
	"no such node",
	"cache was destroyed",
	"free pointer was overwritten (kernel: general protection fault at a following allocation)",
	"larger than KMALLOC_MAX_SIZE",
	"no contents there",
	"outside of the usercopy region (kernel: usercopy: Kernel memory exposure or overwrite attempt detected)",
}

// String says what is wrong and what the kernel reports.
func (m Misuse) String() string {
	if int(m) < len(misuseTexts) {
		return misuseTexts[m]
	}
	return fmt.Sprintf("Misuse(%d)", uint8(m))
}

// MisuseError is a call that the model refused; nothing changed.
type MisuseError struct {
	Kind Misuse
	// Addr is the object's address, or the number of a CPU or node.
	Addr uint64
	// Cache is the cache that was called, Owner the one that the object is of,
	// "" if unknown.
	Cache, Owner string
}

func (e *MisuseError) Error() string {
	s := fmt.Sprintf("slab: %#x: %v", e.Addr, e.Kind)
	if e.Cache != "" {
		s += fmt.Sprintf(" (cache %s)", e.Cache)
	}
	if e.Owner != "" && e.Owner != e.Cache {
		s += fmt.Sprintf(" (object is from %s)", e.Owner)
	}
	return s
}

// Is makes errors.Is(err, &MisuseError{Kind: k}) ask for the kind alone.
func (e *MisuseError) Is(target error) bool {
	t, ok := target.(*MisuseError)
	return ok && *t == (MisuseError{Kind: e.Kind})
}

// misuse makes an error about an address.
func misuse(k Misuse, addr uint64, cache *Cache) error {
	e := &MisuseError{Kind: k, Addr: addr}
	if cache != nil {
		e.Cache = cache.name
	}
	return e
}

// ErrNoMemory is what a request gets when no slab has a free object and there
// are no pages for a new one: the kernel returns NULL and may print "SLUB:
// Unable to allocate memory on node".
var ErrNoMemory = errors.New("slab: out of memory")

// ErrBusy is what Destroy returns for a cache that has objects in use:
// "kmem_cache_destroy NAME: Slab cache still has objects".
var ErrBusy = errors.New("slab: cache still has objects")
