package buddy

// PCPHighRule is how a kernel bounds a per-CPU page list.
type PCPHighRule uint8

const (
	// PCPHighSixBatches bounds a list to six batches, whatever the zone
	// (before 5.14).
	PCPHighSixBatches PCPHighRule = iota
	// PCPHighLowWatermark divides the zone's low watermark among the CPUs of
	// its node (5.14 to 6.6).
	PCPHighLowWatermark
	// PCPHighAutoTuned lets the bound move between that value and an eighth of
	// the zone divided the same way (since 6.7).
	PCPHighAutoTuned
)

// BootPolicy is what differs between kernel versions when the limits of zones
// are computed at boot. The presets are [BootPolicy5_4], [BootPolicy6_1],
// [BootPolicy6_12] and [BootPolicy6_18].
type BootPolicy struct {
	// PCPHigh bounds the per-CPU page lists.
	PCPHigh PCPHighRule
	// BatchLimitBytes bounds the batch: four of it hold at most so much
	// memory. 1 MiB here, 512 KiB in 4.18.
	BatchLimitBytes uint64
	// MaxMinFreeKbytes caps the computed min_free_kbytes, in KiB.
	MaxMinFreeKbytes int
	// ScaledGaps says that the distance between watermarks is at least
	// watermark_scale_factor/10000 of the zone (since 4.6). Before, low and
	// high lay a quarter and a half of min above it.
	ScaledGaps bool
	// Promo says that there is a fourth watermark (since 5.18).
	Promo bool
	// CapMovableMin says that ZONE_MOVABLE, like HighMem, gets a small fixed
	// min watermark and no share of min_free_kbytes.
	CapMovableMin bool
	// ClearEmptyReserve says that a zone that manages no pages has no lowmem
	// reserve either.
	ClearEmptyReserve bool
	// ReserveFollowsManaged says that lowmem reserves are computed again when
	// pages are handed to the allocator after boot, so that they count the init
	// sections and the initial RAM disk. Else they keep the value of the boot.
	ReserveFollowsManaged bool
	// RecomputeWithoutTHP says that min_free_kbytes is computed a second time,
	// with the first watermarks taken off, if transparent huge pages are
	// supported but set to never.
	RecomputeWithoutTHP bool
	// MemmapTaken says that a zone's pages are counted without its page
	// structures when it is decided whether to group pages by mobility.
	MemmapTaken bool
	// AccumulateNodeLoad says that each time a node is the first of its
	// distance in a zonelist, it becomes one unit less attractive for the
	// zonelists that follow. Otherwise the last such time counts alone, with
	// the number of nodes that were not yet listed.
	AccumulateNodeLoad bool
}

// BootPolicy5_4 is Linux 5.4. Proof: testdata/boot.tsv, the Ubuntu machines.
var BootPolicy5_4 = BootPolicy{
	PCPHigh:          PCPHighSixBatches,
	BatchLimitBytes:  1 << 20,
	MaxMinFreeKbytes: 65536,
	ScaledGaps:       true,
	MemmapTaken:      true,
}

// BootPolicy6_1 is Linux 6.1. Proof: all captures of 6.1.
var BootPolicy6_1 = BootPolicy{
	PCPHigh:             PCPHighLowWatermark,
	BatchLimitBytes:     1 << 20,
	MaxMinFreeKbytes:    262144,
	ScaledGaps:          true,
	Promo:               true,
	ClearEmptyReserve:   true,
	RecomputeWithoutTHP: true,
	MemmapTaken:         true,
	AccumulateNodeLoad:  true,
}

// BootPolicy6_12 is Linux 6.12. Proof: the 6.12 report of a Raspberry Pi
// Zero 2 W in testdata/boot.tsv, as far as it goes; else read in the source.
var BootPolicy6_12 = BootPolicy{
	PCPHigh:             PCPHighAutoTuned,
	BatchLimitBytes:     1 << 20,
	MaxMinFreeKbytes:    262144,
	ScaledGaps:          true,
	Promo:               true,
	CapMovableMin:       true,
	ClearEmptyReserve:   true,
	RecomputeWithoutTHP: true,
	AccumulateNodeLoad:  true,
}

// BootPolicy6_18 is Linux 6.18. Proof: the captures of 6.18, and for
// ReserveFollowsManaged the reports of 6.16 to 6.19 in testdata/boot.tsv.
var BootPolicy6_18 = BootPolicy{
	PCPHigh:               PCPHighAutoTuned,
	BatchLimitBytes:       1 << 20,
	MaxMinFreeKbytes:      262144,
	ScaledGaps:            true,
	Promo:                 true,
	CapMovableMin:         true,
	ClearEmptyReserve:     true,
	ReserveFollowsManaged: true,
	RecomputeWithoutTHP:   true,
	AccumulateNodeLoad:    true,
}
