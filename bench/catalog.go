package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/buddy"
)

// Strategies are all page strategies of this package, Linux's first.
func Strategies() []Named {
	var out []Named
	for _, p := range buddy.Profiles() {
		out = append(out, Named{"linux-" + p.Name, "the kernel's page allocator, version " + p.Name,
			"package buddy; mm/page_alloc.c", Linux(p, LinuxOptions{})})
	}
	variant := func(name, about, source string, o LinuxOptions) {
		out = append(out, Named{"linux-6.1-" + name, "Linux 6.1 " + about, source, Linux(buddy.Linux6_1, o)})
	}
	variant("notypes", "without migrate types", "page_group_by_mobility_disabled, mm/page_alloc.c", LinuxOptions{NoTypes: true})
	variant("nopcp", "without per-CPU lists", "boot_pageset, mm/page_alloc.c", LinuxOptions{NoPCP: true})
	variant("batch/4", "with a quarter of the batch", "zone_batchsize, mm/page_alloc.c", LinuxOptions{BatchTimes: 0.25})
	variant("batch*4", "with four times the batch and high", "zone_batchsize, vm.percpu_pagelist_high_fraction", LinuxOptions{BatchTimes: 4, HighTimes: 4})
	variant("high*4", "with four times the per-CPU lists' high", "vm.percpu_pagelist_high_fraction", LinuxOptions{HighTimes: 4})
	return append(out, rivals()...)
}

// rivals are the strategies that are not Linux's.
func rivals() []Named {
	return []Named{
		{"buddy", "classic binary buddy system, last freed first", "Knowlton 1965; Knuth, TAOCP 1, 2.5", BinaryBuddy(false)},
		{"buddy-address", "binary buddy system, lowest address first", "Knuth, TAOCP 1, 2.5; address-ordered lists: Wilson et al. 1995", BinaryBuddy(true)},
		{"first-fit", "bitmap, first fit", "Knuth, TAOCP 1, 2.5", BitmapFit(FirstFit)},
		{"next-fit", "bitmap, next fit", "Knuth, TAOCP 1, 2.5", BitmapFit(NextFit)},
		{"best-fit", "bitmap, best fit", "Knuth, TAOCP 1, 2.5", BitmapFit(BestFit)},
		{"tlsf", "two-level segregated fit", "Masmano et al., ECRTS 2004", TLSF},
		{"fibonacci", "Fibonacci buddy system", "Hirschberg, CACM 1973", Fibonacci},
		{"llfree", "LLFree's trees of areas, reserved by CPUs", "Wrenger et al., USENIX ATC 2023", LLFree},
		{"llfree-kinds", "LLFree with trees of their own for unmovable, movable and huge blocks", "github.com/luhsra/llfree-rs, tiers", LLFreeKinds},
		{"go", "Go runtime's radix tree of summaries, with page caches", "runtime/mpagealloc.go, mpagecache.go; proposal 35112", GoPages},
	}
}

// Find gives the strategies that names stand for, in their order.
func Find(names ...string) ([]Named, error) {
	all := Strategies()
	var out []Named
	for _, name := range names {
		i := slices.IndexFunc(all, func(n Named) bool { return n.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("bench: no strategy %q; there are %s", name, strings.Join(strategyNames(all), ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

func strategyNames(all []Named) []string {
	var out []string
	for _, n := range all {
		out = append(out, n.Name)
	}
	return out
}
