package slab

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// KmallocType is a family of kmalloc caches, enum kmalloc_cache_type.
type KmallocType uint8

// Types in the kernel's order of 6.1.
const (
	KmallocNormal KmallocType = iota
	// KmallocCgroup serves __GFP_ACCOUNT: kmalloc-cg-SIZE.
	KmallocCgroup
	// KmallocReclaim serves __GFP_RECLAIMABLE: kmalloc-rcl-SIZE.
	KmallocReclaim
	// KmallocDMA serves __GFP_DMA: dma-kmalloc-SIZE.
	KmallocDMA
	numKmallocTypes = int(KmallocDMA) + 1
)

var kmallocPrefix = [numKmallocTypes]string{"kmalloc-", "kmalloc-cg-", "kmalloc-rcl-", "dma-kmalloc-"}

// ZeroSizePtr is what kmalloc(0) returns; kfree ignores it. Dereferencing it
// faults.
const ZeroSizePtr = 16

// Numbers of the two sizes that are no powers of two; other sizes have the
// number log2(size).
const (
	index96  = 1
	index192 = 2
	maxIndex = 18 // 256 KiB: two pages of 64 KiB are 128 KiB
)

// kmallocTable finds the cache of a size.
type kmallocTable struct {
	caches [numKmallocTypes][maxIndex + 1]*Cache
	// small[(size-1)/8] is the number of the cache for sizes up to 192.
	small   [24]uint8
	maxSize uint32
	// notNormal are the request flags that lead to other types.
	notNormal buddy.GFP
}

// init is setup_kmalloc_cache_index_table.
func (k *kmallocTable) init(c *Config) {
	k.maxSize = c.kmallocMaxCacheSize()
	k.notNormal = buddy.GFPDMA | buddy.GFPReclaimable | buddy.GFPAccount
	for i := range k.small {
		k.small[i] = uint8(kmallocIndex(c, uint32(i+1)*8))
	}
}

// kmallocIndex is the number of the cache for a size up to 192 bytes.
func kmallocIndex(c *Config, size uint32) int {
	switch {
	case size > 64 && size <= 96 && c.KmallocMinSize <= 32:
		return index96
	case size > 128 && size <= 192 && c.KmallocMinSize <= 64:
		return index192
	}
	return bits.Len32(max(size, c.KmallocMinSize) - 1)
}

// index is the number of the cache for a size of at least 1.
func (k *kmallocTable) index(size uint64) int {
	if size <= 192 {
		return int(k.small[(size-1)/8])
	}
	return bits.Len64(size - 1)
}

// kmallocSize is the object size of a number.
func kmallocSize(index int) uint32 {
	switch index {
	case index96:
		return 96
	case index192:
		return 192
	}
	return 1 << index
}

// sizeName writes a size as kmalloc's cache names do.
func (c *Config) sizeName(size uint32) string {
	if size >= 1024 && !c.Profile.KmallocLongNames {
		return fmt.Sprintf("%dk", size/1024)
	}
	return fmt.Sprint(size)
}

// kmallocTypes says which types of caches a configuration has.
func (c *Config) kmallocTypes() [numKmallocTypes]bool {
	return [numKmallocTypes]bool{
		KmallocNormal:  true,
		KmallocCgroup:  c.Memcg && c.Profile.KmallocCgroup && !c.MemcgDisabled,
		KmallocReclaim: c.Profile.KmallocReclaim,
		KmallocDMA:     c.ZoneDMA,
	}
}

// createKmallocCaches is create_kmalloc_caches: type by type, by size.
func (a *Allocator) createKmallocCaches() error {
	c := &a.config
	types := c.kmallocTypes()
	for _, t := range c.kmallocOrder() {
		for _, i := range c.kmallocIndexes(t) {
			if !types[t] {
				a.kmalloc.caches[t][i] = a.kmalloc.caches[KmallocNormal][i]
				continue
			}
			if err := a.createKmallocCache(t, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// kmallocOrder is the order in which the types' caches are made.
func (c *Config) kmallocOrder() [numKmallocTypes]KmallocType {
	if c.Profile.KmallocCgroupLast {
		return [...]KmallocType{KmallocNormal, KmallocReclaim, KmallocDMA, KmallocCgroup}
	}
	return [...]KmallocType{KmallocNormal, KmallocCgroup, KmallocReclaim, KmallocDMA}
}

// kmallocIndexes are the numbers of a type's caches in the order in which they
// are made: 96 and 192 behind 64 and 128, or first.
func (c *Config) kmallocIndexes(t KmallocType) []int {
	first := c.Profile.KmallocAlign == KmallocAlignDivisor || t == KmallocDMA && c.Profile.KmallocDMAByIndex
	var sizes []int
	odd := func(i int) {
		if i == index96 && c.KmallocMinSize <= 32 || i == index192 && c.KmallocMinSize <= 64 {
			sizes = append(sizes, i)
		}
	}
	if first {
		odd(index96)
		odd(index192)
	}
	for i := bits.Len32(c.KmallocMinSize) - 1; i <= c.PageShift+1; i++ {
		sizes = append(sizes, i)
		if !first && (i == 6 || i == 7) {
			odd(i - 5)
		}
	}
	return sizes
}

// createKmallocCache is new_kmalloc_cache.
func (a *Allocator) createKmallocCache(t KmallocType, index int) error {
	c := &a.config
	size := kmallocSize(index)
	p := Params{Name: kmallocPrefix[t] + c.sizeName(size), Size: size, UserSize: size,
		Flags: Kmalloc | [numKmallocTypes]Flags{KmallocCgroup: Account, KmallocReclaim: ReclaimAccount, KmallocDMA: CacheDMA}[t]}
	never := c.Memcg && t == KmallocNormal
	if never && c.Profile.KmallocNoMergeFlag {
		p.Flags |= NoMerge
	}
	cache, err := a.create(p, c.calculateAlignment(p.Flags, c.kmallocAlign(size), size))
	if err != nil {
		return err
	}
	if never && !c.Profile.KmallocNoMergeFlag {
		cache.refcount = -1
	}
	a.kmalloc.caches[t][index] = cache
	return nil
}

// kmallocAlign is the alignment of a kmalloc cache in bytes.
func (c *Config) kmallocAlign(size uint32) uint32 {
	switch {
	case c.Profile.KmallocAlign == KmallocAlignDivisor,
		c.Profile.KmallocAlign == KmallocAlignPower && powerOfTwo(size):
		return max(c.KmallocMinAlign, size&-size)
	}
	return c.KmallocMinAlign
}

// KmallocTypeOf is kmalloc_type: which family serves a request.
func (c *Config) KmallocTypeOf(gfp buddy.GFP) KmallocType {
	switch {
	case c.ZoneDMA && gfp&buddy.GFPDMA != 0:
		return KmallocDMA
	case c.Profile.KmallocReclaim && gfp&buddy.GFPReclaimable != 0:
		return KmallocReclaim
	case c.Memcg && c.Profile.KmallocCgroup && gfp&buddy.GFPAccount != 0:
		return KmallocCgroup
	}
	return KmallocNormal
}

// KmallocCache is kmalloc_slab: the cache that serves a request; nil for size 0
// and sizes that are served with pages.
func (a *Allocator) KmallocCache(size uint64, gfp buddy.GFP) *Cache {
	if size == 0 || size > uint64(a.kmalloc.maxSize) {
		return nil
	}
	return a.kmalloc.caches[a.config.KmallocTypeOf(gfp)][a.kmalloc.index(size)]
}

// KmallocSizeRoundup is kmalloc_size_roundup: how many bytes kmalloc would make
// available for a size. Sizes above KMALLOC_MAX_SIZE are rounded up to a power
// of two pages before 6.6 and left alone since.
func (a *Allocator) KmallocSizeRoundup(size uint64) uint64 {
	switch {
	case size == 0 || size == ^uint64(0):
		return size
	case size <= uint64(a.kmalloc.maxSize):
		return uint64(a.KmallocCache(size, buddy.GFPKernel).layout.ObjectSize)
	case size > a.config.kmallocMaxSize() && (a.config.Profile.Order == OrderFixedMin || size > 1<<62):
		return size
	}
	return 1 << (a.config.PageShift + a.config.order(size))
}

// Kmalloc gives size bytes to a CPU: kmalloc. Size 0 gives ZeroSizePtr. The
// error is ErrNoMemory or a *MisuseError.
func (a *Allocator) Kmalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP) (uint64, error) {
	if k := &a.kmalloc; size-1 < uint64(k.maxSize) && gfp&k.notNormal == 0 {
		if c := k.caches[KmallocNormal][k.index(size)]; !c.slow && uint(cpu) < uint(len(c.cpus)) {
			if addr, ok := c.cpus[cpu].pop(c.size); ok {
				return addr, nil
			}
		}
	}
	return a.KmallocNode(cpu, size, gfp, buddy.NoNode)
}

// KmallocNode is Kmalloc with the memory on a NUMA node: kmalloc_node.
func (a *Allocator) KmallocNode(cpu buddy.CPU, size uint64, gfp buddy.GFP, node buddy.NodeID) (uint64, error) {
	if size-1 >= uint64(a.kmalloc.maxSize) {
		return a.kmallocLarge(cpu, size, gfp, node)
	}
	c := a.kmalloc.caches[a.config.KmallocTypeOf(gfp)][a.kmalloc.index(size)]
	addr, err := c.alloc(cpu, gfp, node, uint32(size))
	if a.hook != nil && addr != 0 {
		c.emitAlloc(EventKmalloc, cpu, gfp, node, addr, size)
	}
	return addr, err
}

// kmallocLarge serves size 0 and sizes beyond the caches: kmalloc_large.
func (a *Allocator) kmallocLarge(cpu buddy.CPU, size uint64, gfp buddy.GFP, node buddy.NodeID) (uint64, error) {
	if size == 0 {
		return ZeroSizePtr, nil
	}
	if size > a.config.kmallocMaxSize() {
		return 0, &MisuseError{Kind: TooBig, Addr: size}
	}
	if err := a.checkPlace(cpu, node); err != nil {
		return 0, err
	}
	order := a.config.order(size)
	pfn, err := a.source.AllocPages(gfp|buddy.GFPComp, buddy.Order(order), node, cpu)
	if err != nil {
		return 0, fmt.Errorf("%w: kmalloc of %d bytes: %w", ErrNoMemory, size, err)
	}
	if err := a.checkGiven(pfn, order); err != nil {
		return 0, err
	}
	a.enterLarge(pfn, order)
	addr := a.config.PageOffset + uint64(pfn)<<a.config.PageShift
	if a.hook != nil {
		a.hook(Event{Kind: EventKmalloc, CPU: cpu, Addr: addr, BytesReq: size, BytesAlloc: 1 << (a.config.PageShift + order), GFP: gfp, Node: node})
	}
	return addr, nil
}

func (a *Allocator) enterLarge(pfn buddy.PFN, order int) {
	a.pages.set(pfn, order, slabID(-1-order), pageTail)
	a.largePages += 1 << order
	if a.config.Contents {
		a.debug.largeBytes(a, pfn, order)
	}
}

// largeOrder is the order of the large block that begins at an address.
func (a *Allocator) largeOrder(addr uint64) (order int, ok bool) {
	id := a.pages.at(a.pfnOf(addr))
	if id >= 0 || id == pageTail || addr&uint64(a.config.pageSize()-1) != 0 {
		return 0, false
	}
	return int(-1 - id), true
}

// LargePages is the number of pages in kmalloc's large blocks.
func (a *Allocator) LargePages() uint64 { return a.largePages }

// Kfree gives back what Kmalloc gave: kfree. 0 and ZeroSizePtr are ignored. The
// error is a *MisuseError, and then nothing changed.
func (a *Allocator) Kfree(cpu buddy.CPU, addr uint64) error {
	id := a.pages.at(a.pfnOf(addr))
	if id <= 0 {
		if addr <= ZeroSizePtr {
			return nil
		}
		return a.kfreeLarge(cpu, addr)
	}
	s := &a.slabs[id]
	c := s.cache
	if c.push(cpu, id, s, addr) {
		return nil
	}
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	if a.hook != nil {
		c.emitFree(EventKfree, cpu, addr)
	}
	return c.freeAt(cpu, id, addr)
}

func (a *Allocator) kfreeLarge(cpu buddy.CPU, addr uint64) error {
	if _, ok := a.largeOrder(addr); !ok {
		return misuse(NotSlab, addr, nil)
	}
	if err := a.checkPlace(cpu, buddy.NoNode); err != nil {
		return err
	}
	if a.hook != nil {
		a.hook(Event{Kind: EventKfree, CPU: cpu, Addr: addr})
	}
	a.dropLarge(cpu, addr)
	return nil
}

// dropLarge frees a large block: free_large_kmalloc.
func (a *Allocator) dropLarge(cpu buddy.CPU, addr uint64) {
	order, ok := a.largeOrder(addr)
	if !ok {
		return
	}
	pfn := buddy.PFN(a.pfnOf(addr))
	a.pages.set(pfn, order, 0, 0)
	a.largePages -= 1 << order
	a.debug.dropLarge(addr)
	a.freePages(cpu, pfn, int8(order))
}

// Ksize is ksize: how many bytes the memory at an address really has; 0 for
// addresses that kmalloc did not give.
func (a *Allocator) Ksize(addr uint64) uint64 {
	if addr <= ZeroSizePtr {
		return 0
	}
	if id := a.slabAt(addr); id != 0 {
		return uint64(a.slabs[id].cache.layout.Ksize())
	}
	if order, ok := a.largeOrder(addr); ok {
		return 1 << (a.config.PageShift + order)
	}
	return 0
}

// ErrOverflow is what an array request gets whose size in bytes overflows: the
// kernel returns NULL.
var ErrOverflow = errors.New("slab: size of the array overflows")

// KmallocArray is kmalloc_array: n elements of size bytes.
func (a *Allocator) KmallocArray(cpu buddy.CPU, n, size uint64, gfp buddy.GFP) (uint64, error) {
	total, err := a.arraySize(n, size)
	if err != nil {
		return 0, err
	}
	return a.Kmalloc(cpu, total, gfp)
}

// arraySize multiplies as check_mul_overflow does, in the kernel's size_t.
func (a *Allocator) arraySize(n, size uint64) (uint64, error) {
	hi, lo := bits.Mul64(n, size)
	if hi != 0 || lo>>(8*a.config.WordSize-1)>>1 != 0 {
		return 0, ErrOverflow
	}
	return lo, nil
}

// Kzalloc is kzalloc: zeroed memory.
func (a *Allocator) Kzalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP) (uint64, error) {
	return a.Kmalloc(cpu, size, gfp|buddy.GFPZero)
}

// Kcalloc is kcalloc: a zeroed array.
func (a *Allocator) Kcalloc(cpu buddy.CPU, n, size uint64, gfp buddy.GFP) (uint64, error) {
	return a.KmallocArray(cpu, n, size, gfp|buddy.GFPZero)
}

// Krealloc is krealloc: the memory with another size, moved if its object is
// too small. Size 0 frees it; address 0 allocates.
func (a *Allocator) Krealloc(cpu buddy.CPU, addr, size uint64, gfp buddy.GFP) (uint64, error) {
	if size == 0 {
		return ZeroSizePtr, a.Kfree(cpu, addr)
	}
	have := a.Ksize(addr)
	if addr > ZeroSizePtr && have == 0 {
		return 0, misuse(NotSlab, addr, nil)
	}
	if have >= size {
		return addr, nil
	}
	to, err := a.Kmalloc(cpu, size, gfp)
	if err != nil || addr <= ZeroSizePtr {
		return to, err
	}
	a.copyBytes(to, addr, have)
	return to, a.Kfree(cpu, addr)
}

// KreallocArray is krealloc_array.
func (a *Allocator) KreallocArray(cpu buddy.CPU, addr, n, size uint64, gfp buddy.GFP) (uint64, error) {
	total, err := a.arraySize(n, size)
	if err != nil {
		return 0, err
	}
	return a.Krealloc(cpu, addr, total, gfp)
}

// Kmemdup is kmemdup: a copy of bytes. They are kept only if the allocator has
// contents.
func (a *Allocator) Kmemdup(cpu buddy.CPU, b []byte, gfp buddy.GFP) (uint64, error) {
	addr, err := a.Kmalloc(cpu, uint64(len(b)), gfp)
	if err == nil && len(b) > 0 {
		a.put(addr, b)
	}
	return addr, err
}

// Kstrdup is kstrdup: a copy of a string with its terminating zero.
func (a *Allocator) Kstrdup(cpu buddy.CPU, s string, gfp buddy.GFP) (uint64, error) {
	return a.Kmemdup(cpu, append([]byte(s), 0), gfp)
}

// KfreeSensitive is kfree_sensitive: the whole object is zeroed before it is
// freed.
func (a *Allocator) KfreeSensitive(cpu buddy.CPU, addr uint64) error {
	have := a.Ksize(addr)
	if id := a.slabAt(addr); id != 0 && !a.InUse(addr) {
		have = 0 // Kfree says why
	}
	a.zero(addr, have)
	return a.Kfree(cpu, addr)
}

// Vmalloc is where kvmalloc turns to when it gets no contiguous pages. Package
// mm has one.
type Vmalloc interface {
	// Vmalloc gives virtually contiguous memory.
	Vmalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP, node buddy.NodeID) (uint64, error)
	// Vfree gives it back.
	Vfree(cpu buddy.CPU, addr uint64) error
	// IsVmalloc says whether an address is in the vmalloc area.
	IsVmalloc(addr uint64) bool
}

// Kvmalloc is kvmalloc_node: kmalloc, or with v where that fails and the size
// is more than a page. v may be nil.
func (a *Allocator) Kvmalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP, node buddy.NodeID, v Vmalloc) (uint64, error) {
	try := gfp
	if size > uint64(a.config.pageSize()) {
		try |= buddy.GFPNoWarn
		if try&buddy.GFPRetryMayFail == 0 {
			try |= buddy.GFPNoRetry
		}
		try &^= buddy.GFPNoFail
	}
	addr, err := a.KmallocNode(cpu, size, try, node)
	if err == nil || v == nil || size <= uint64(a.config.pageSize()) || gfp&buddy.GFPDirectReclaim == 0 || size > 1<<31-1 {
		return addr, err
	}
	return v.Vmalloc(cpu, size, gfp, node)
}

// Kvfree is kvfree.
func (a *Allocator) Kvfree(cpu buddy.CPU, addr uint64, v Vmalloc) error {
	if v != nil && v.IsVmalloc(addr) {
		return v.Vfree(cpu, addr)
	}
	return a.Kfree(cpu, addr)
}
