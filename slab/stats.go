package slab

import "github.com/kernsim/kernsim/buddy"

// Stat is a counter of a cache, the kernel's enum stat_item (CONFIG_SLUB_STATS,
// files of the same names in /sys/kernel/slab/CACHE).
type Stat uint8

// Counters.
const (
	AllocFastpath Stat = iota
	AllocSlowpath
	FreeFastpath
	FreeSlowpath
	FreeFrozen
	FreeAddPartial
	FreeRemovePartial
	AllocFromPartial
	AllocSlab
	AllocRefill
	AllocNodeMismatch
	FreeSlab
	CPUSlabFlush
	DeactivateFull
	DeactivateEmpty
	DeactivateToHead
	DeactivateToTail
	DeactivateRemoteFrees
	DeactivateBypass
	OrderFallback
	CPUPartialAlloc
	CPUPartialFree
	CPUPartialNode
	CPUPartialDrain
	BarnGet
	BarnGetFail
	BarnPut
	BarnPutFail
	SheafFlush
	SheafRefill
	SheafSwap
	NumStats = int(SheafSwap) + 1
)

var statNames = [NumStats]string{
	"alloc_fastpath", "alloc_slowpath", "free_fastpath", "free_slowpath", "free_frozen", "free_add_partial",
	"free_remove_partial", "alloc_from_partial", "alloc_slab", "alloc_refill", "alloc_node_mismatch", "free_slab",
	"cpuslab_flush", "deactivate_full", "deactivate_empty", "deactivate_to_head", "deactivate_to_tail",
	"deactivate_remote_frees", "deactivate_bypass", "order_fallback", "cpu_partial_alloc", "cpu_partial_free",
	"cpu_partial_node", "cpu_partial_drain", "barn_get", "barn_get_fail", "barn_put", "barn_put_fail",
	"sheaf_flush", "sheaf_refill", "sheaf_swap",
}

// String is the counter's file name.
func (s Stat) String() string { return statNames[s] }

// Stat sums a counter over the CPUs. Counters wrap at 2^32, as in the kernel.
func (c *Cache) Stat(s Stat) uint64 {
	var sum uint64
	for i := range c.cpus {
		sum += uint64(c.cpus[i].stats[s])
	}
	return sum
}

// StatOf is a CPU's counter.
func (c *Cache) StatOf(cpu buddy.CPU, s Stat) uint32 {
	if cpu < 0 || int(cpu) >= len(c.cpus) {
		return 0
	}
	return c.cpus[cpu].stats[s]
}

// ClearStat sets a counter to zero on all CPUs.
func (c *Cache) ClearStat(s Stat) {
	for i := range c.cpus {
		c.cpus[i].stats[s] = 0
	}
}
