package buddy

import "fmt"

// FreeBatchRule says how many pages leave a full per-CPU list at once, the
// kernel's nr_pcp_free.
type FreeBatchRule uint8

const (
	// FreeBatchFixed always frees one batch, a page from each of the three
	// lists in turn, and one more for each empty list passed (before 5.14).
	FreeBatchFixed FreeBatchRule = iota
	// FreeBatchFactor doubles with each drain that no allocation came
	// between: batch << free_factor (5.14 to 6.6).
	FreeBatchFactor
	// FreeBatchCount follows the number of pages freed in a row,
	// pcp->free_count (6.7 and later).
	FreeBatchCount
)

// FallbackRule says how a request takes pages of another migrate type.
type FallbackRule uint8

const (
	// FallbackMove moves what it takes to the wanted type's free lists and
	// tries again (until 6.9): steal_suitable_fallback, move_to_free_list.
	FallbackMove FallbackRule = iota
	// FallbackClaimSteal first claims whole pageblocks, then steals single
	// blocks without retyping, and remembers the mode during one refill
	// (6.12 stable, 6.15 and later): __rmqueue_claim, __rmqueue_steal.
	FallbackClaimSteal
)

// Profile is a kernel version's page-allocator policy as named values. The
// zero value is not useful; start from one of the presets.
type Profile struct {
	// Name is the kernel version, as "6.1".
	Name string
	// PCPHighOrders: per-CPU lists exist for orders 0 to 3 and for the
	// pageblock order (since 5.13); else for order 0 only.
	PCPHighOrders bool
	FreeBatch     FreeBatchRule
	// FreeHighHalfMin: freeing high-order pages in a row flushes the list
	// after batch + high_min/2 pages instead of batch (since 6.16).
	FreeHighHalfMin bool
	Fallback        FallbackRule
	// ExactTypes: a free block is always on the list of its pageblock's type
	// and counted as such (since 6.10, account_freepages): a drained page
	// goes by its pageblock's type now, not by the type it had when it came
	// onto the per-CPU list, and merged pageblocks take one type.
	ExactTypes bool
	// MergeReserved: free buddies of a pageblock or more merge whatever their
	// types, unless one is isolated (until 5.17); since then CMA and highatomic
	// pageblocks merge with their like only.
	MergeReserved bool
	// FreeToTail: pages that are handed over at boot, are cut off by
	// AllocExact or come back from isolation go to the tails of the free lists
	// (since 5.10).
	FreeToTail bool
	// IsolatedFirst: of a list of freed pages those in isolated pageblocks are
	// freed before all others (6.1).
	IsolatedFirst bool
	// WideIsolation: alloc_contig_range isolates whole blocks of the largest
	// order instead of pageblocks (until 5.18).
	WideIsolation bool
	// ClassZone: a request leaves the lowmem reserve of the first zone that it
	// may use, not of the highest that its flags name (until 5.7).
	ClassZone bool
	// PlainReserves: a request with access to reserves loses its other
	// allocation flags, among them the use of CMA (5.4).
	PlainReserves bool
	// CMAPassesPCP: movable requests that may not use CMA don't use the per-CPU
	// lists, which can hold CMA pages (6.1).
	CMAPassesPCP bool
	// BoostWakes: after a fallback that boosted a watermark, the next request
	// that takes pages from the zone wakes kswapd even if its flags don't allow
	// that (until 6.3).
	BoostWakes bool
	// CMABalance: movable requests take CMA pages first while over half of
	// the zone's free pages are CMA (since 5.7).
	CMABalance bool
	// BoostSmallZones: fallbacks boost the watermarks of zones of under four
	// pageblocks, too (5.0 to 5.7).
	BoostSmallZones bool
	// HarderReserve: the watermark relaxations of before 6.3: ALLOC_HARDER
	// is one quarter more for atomic requests and tasks with real-time
	// priority, whether or not they had __GFP_HIGH.
	HarderReserve bool
	// AtomicFlag: __GFP_ATOMIC exists and lets order-0 requests ignore a
	// watermark boost (until 6.2); afterwards access to the minimum reserve
	// does.
	AtomicFlag bool
	// HighAtomicExact: the free highatomic pages are counted, and zones of
	// which 1 % is less than a pageblock reserve none (since 6.12).
	HighAtomicExact bool
	// Boot has what differs when limits are computed at boot.
	Boot BootPolicy
}

// Linux5_4 is kernel 5.4, as Raspberry Pi and Ubuntu 20.04 shipped it:
// per-CPU lists of order 0 only, drained by a fixed batch; no balance between
// CMA and other free pages; the old atomic reserves. What proves it: order-0
// refills of 31 pages in the published 4.11 LTTng trace (the same rule) and
// the zoneinfo files of 5.4 machines; no page-by-page capture of 5.4 exists.
var Linux5_4 = Profile{
	Name: "5.4", FreeBatch: FreeBatchFixed, BoostSmallZones: true, HarderReserve: true,
	AtomicFlag: true, MergeReserved: true, WideIsolation: true, ClassZone: true, PlainReserves: true,
	BoostWakes: true,
	Boot:       BootPolicy5_4,
}

// Linux6_1 is kernel 6.1 with Debian's stable updates. What proves it: the
// x86_64-6.1-* and pi3-* captures, every page frame and every list.
var Linux6_1 = Profile{
	Name: "6.1", PCPHighOrders: true, FreeBatch: FreeBatchFactor, CMABalance: true,
	AtomicFlag: true, FreeToTail: true, IsolatedFirst: true, CMAPassesPCP: true, BoostWakes: true,
	Boot: BootPolicy6_1,
}

// Linux6_12 is kernel 6.12 with stable updates: auto-tuned per-CPU high and
// refill size, claim and steal modes, exact highatomic accounting. What proves
// it: the x86_64-6.12-* captures of Debian's build, every page frame and every list.
var Linux6_12 = Profile{
	Name: "6.12", PCPHighOrders: true, FreeBatch: FreeBatchCount, Fallback: FallbackClaimSteal,
	ExactTypes: true, CMABalance: true, HighAtomicExact: true, FreeToTail: true,
	Boot: BootPolicy6_12,
}

// Linux6_18 is kernel 6.18. What proves it: the hw-x86_64-epyc-6.18* captures
// of a real machine.
var Linux6_18 = Profile{
	Name: "6.18", PCPHighOrders: true, FreeBatch: FreeBatchCount, FreeHighHalfMin: true,
	Fallback: FallbackClaimSteal, ExactTypes: true, CMABalance: true, HighAtomicExact: true,
	FreeToTail: true, Boot: BootPolicy6_18,
}

// Profiles lists the presets, oldest first.
func Profiles() []Profile { return []Profile{Linux5_4, Linux6_1, Linux6_12, Linux6_18} }

// ProfileForRelease picks the preset for a kernel release string as uname -r
// prints it: the newest preset that is not newer than the release, or the
// oldest preset. It fails on a string that does not start with two numbers.
func ProfileForRelease(release string) (Profile, error) {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 || major < 0 || minor < 0 {
		return Profile{}, fmt.Errorf("buddy: kernel release %q: want MAJOR.MINOR and more", release)
	}
	best := Linux5_4
	for _, p := range Profiles() {
		var pm, pn int
		fmt.Sscanf(p.Name, "%d.%d", &pm, &pn)
		if pm < major || pm == major && pn <= minor {
			best = p
		}
	}
	return best, nil
}
