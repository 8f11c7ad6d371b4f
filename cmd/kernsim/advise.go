package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/mm/advise"
	"github.com/kernsim/kernsim/slab"
)

// adviseFlags are the flags of the advise command.
type adviseFlags struct {
	json, table      bool
	kernel, lifetime string
	cpus             int
	need             advise.Need
}

func newAdviseCommand() *cobra.Command {
	f := &adviseFlags{}
	cmd := &cobra.Command{
		Use:   "advise [flags] SIZE...",
		Short: "Say which allocation interface of the kernel fits, and what it costs",
		Long: `Says which of the kernel's allocation interfaces (kmalloc, kmem_cache_alloc,
alloc_pages, kvmalloc, vmalloc, dma_alloc_coherent, alloc_percpu, ...) fits
memory of a size, with which flags and why, and what it costs: cache, order of
the block of pages, bytes that are lost.

SIZE is in bytes, or with K, M or G. --table prints one line a size.`,
		Example: `  kernsim advise 100
  kernsim advise --atomic --account 2000
  kernsim advise --table --count 100000 64 328 700 3000
  kernsim advise --json --dma --coherent 16K`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("no size given")}
			}
			return runAdvise(cmd, f, args)
		},
	}
	flags, n := cmd.Flags(), &f.need
	flags.BoolVar(&f.json, "json", false, "print the advice as a JSON array")
	flags.BoolVar(&f.table, "table", false, "print one line a size")
	flags.StringVar(&f.kernel, "kernel", "6.1", "kernel release")
	flags.IntVar(&f.cpus, "cpus", 4, "CPUs of the machine")
	flags.Uint64Var(&n.Count, "count", 0, "how many pieces of this size there will be at a time")
	flags.BoolVar(&n.Atomic, "atomic", false, "the caller must not sleep: interrupt, spinlock held")
	flags.BoolVar(&n.Contiguous, "contiguous", false, "the physical pages have to be adjacent")
	flags.BoolVar(&n.DMA, "dma", false, "a device reads or writes it")
	flags.BoolVar(&n.Coherent, "coherent", false, "device and CPU use it at the same time")
	flags.BoolVar(&n.DMA32, "dma32", false, "the device cannot reach above 4 GiB")
	flags.BoolVar(&n.Pages, "pages", false, "whole pages are wanted")
	flags.BoolVar(&n.Zero, "zero", false, "zeroed")
	flags.BoolVar(&n.PerCPU, "percpu", false, "a copy for each CPU")
	flags.BoolVar(&n.MustSucceed, "must-succeed", false, "it is needed to make progress")
	flags.BoolVar(&n.Account, "account", false, "user space can cause any amount of it")
	flags.StringVar(&f.lifetime, "lifetime", "free", "how long it is kept: "+strings.Join(advise.Lifetimes, ", "))
	cmd.MarkFlagsMutuallyExclusive("json", "table")
	return cmd
}

// advised is a need and its advice.
type advised struct {
	Kernel string      `json:"kernel"`
	Need   advise.Need `json:"need"`
	advise.Advice
}

func runAdvise(cmd *cobra.Command, f *adviseFlags, args []string) error {
	lifetime := slices.Index(advise.Lifetimes, f.lifetime)
	if lifetime < 0 {
		return &usageError{fmt.Errorf("unknown lifetime %q: want %s", f.lifetime, strings.Join(advise.Lifetimes, ", "))}
	}
	f.need.Lifetime = advise.Lifetime(lifetime)
	profile, err := slab.ProfileForRelease(f.kernel)
	if err != nil {
		return err
	}
	advisor, err := advise.New(slab.NewConfig(profile, slab.X86_64, f.cpus))
	if err != nil {
		return err
	}
	var out []advised
	for _, arg := range args {
		need := f.need
		if need.Size, err = parseSize(arg); err != nil {
			return &usageError{err}
		}
		adv, err := advisor.Advise(need)
		if err != nil {
			return err
		}
		out = append(out, advised{f.kernel, need, adv})
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	return printAdvice(cmd.OutOrStdout(), out, f.table)
}

// parseSize reads bytes, with K, M or G.
func parseSize(text string) (uint64, error) {
	digits, shift := strings.ToUpper(text), 0
	if i := strings.IndexAny(digits, "KMG"); i >= 0 && i == len(digits)-1 {
		shift = 10 * (1 + strings.IndexByte("KMG", digits[i]))
		digits = digits[:i]
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return 0, fmt.Errorf("size %q: want bytes, or a number with K, M or G", text)
	}
	return n << shift, nil
}

func printAdvice(w io.Writer, list []advised, table bool) error {
	var b strings.Builder
	for i := range list {
		a := &list[i]
		if table {
			fmt.Fprintf(&b, "%d\t%s\t%s\t%s\torder %d\t%d allocated\t%d lost\n", a.Need.Size, a.API, a.GFP, a.Cache, a.Order, a.Allocated, a.Waste)
			continue
		}
		fmt.Fprintf(&b, "Linux %s, %d bytes: %s", a.Kernel, a.Need.Size, a.API)
		if a.GFP != "" {
			fmt.Fprintf(&b, " with %s", a.GFP)
		}
		fmt.Fprintf(&b, "\n  %s\n  takes %d bytes, %d of them lost; blocks of order %d", a.Reason, a.Allocated, a.Waste, a.Order)
		if a.Cache != "" {
			fmt.Fprintf(&b, "; cache %s, %d objects a slab", a.Cache, a.Objects)
		}
		b.WriteString("\n")
		for _, text := range a.Warnings {
			fmt.Fprintf(&b, "  mind: %s\n", text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
