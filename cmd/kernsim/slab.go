package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/slab"
)

// slabArchs and slabProfiles are what kernsim ksize can be asked about.
var (
	slabArchs    = map[string]slab.Arch{"x86_64": slab.X86_64, "arm64": slab.ARM64, "arm": slab.ARM}
	slabProfiles = map[string]slab.Profile{"5.4": slab.Linux5_4, "6.1": slab.Linux6_1, "6.12": slab.Linux6_12, "6.18": slab.Linux6_18}
)

// ksizeRow is an answer; the tagged fields are those of --json.
type ksizeRow struct {
	Size  uint64  `json:"size"`
	Ksize uint64  `json:"ksize"`
	Waste uint64  `json:"waste"`
	Share float64 `json:"waste_share"` // of what is used
	Cache string  `json:"cache"`       // "" if whole pages serve it
	Order int     `json:"order"`       // of the slab or the pages; -1 if it cannot be served
	PerSl uint32  `json:"objects_per_slab"`
	Error string  `json:"error,omitempty"`
}

func newKsizeCommand() *cobra.Command {
	var asJSON bool
	var arch, kernel string
	var cpus int
	cmd := &cobra.Command{
		Use:   "ksize [flags] SIZE...",
		Short: "Say what kmalloc gives for a size, and what that wastes",
		Long: `Prints for each size in bytes which kmalloc cache serves it, or how many whole pages,
how many bytes the caller really gets (ksize) and how many of them are wasted.

Exit code 0: done. 2: a size is no number.`,
		Example: `  kernsim ksize 100 200100 600100 2200100
  kernsim ksize --arch arm64 --kernel 6.12 8 9 33`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, ok := slabArchs[arch]
			p, ok2 := slabProfiles[kernel]
			if !ok || !ok2 {
				return &usageError{fmt.Errorf("want --arch x86_64, arm64 or arm and --kernel 5.4, 6.1, 6.12 or 6.18, not %q and %q", arch, kernel)}
			}
			rows, err := ksizeRows(args, slab.NewConfig(p, a, cpus))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			printKsize(cmd.OutOrStdout(), rows)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answers as a JSON array")
	cmd.Flags().StringVar(&arch, "arch", "x86_64", "architecture: x86_64, arm64, arm")
	cmd.Flags().StringVar(&kernel, "kernel", "6.1", "kernel version: 5.4, 6.1, 6.12, 6.18")
	cmd.Flags().IntVar(&cpus, "cpus", 4, "number of CPUs, on which the slabs' orders depend")
	return cmd
}

func ksizeRows(args []string, c slab.Config) ([]ksizeRow, error) {
	a, err := slab.New(c, slab.NewLinearPages(c.Nodes, 1<<14))
	if err != nil {
		return nil, &usageError{err}
	}
	var rows []ksizeRow
	for _, arg := range args {
		size, err := strconv.ParseUint(arg, 0, 64)
		if err != nil {
			return nil, &usageError{fmt.Errorf("%q is no size in bytes", arg)}
		}
		rows = append(rows, ksizeOf(a, size, c.PageShift))
	}
	return rows, nil
}

func ksizeOf(a *slab.Allocator, size uint64, pageShift int) ksizeRow {
	row := ksizeRow{Size: size, Order: -1}
	addr, err := a.Kmalloc(0, size, buddy.GFPKernel)
	if err != nil {
		row.Error = err.Error()
		return row
	}
	row.Ksize = a.Ksize(addr)
	if row.Ksize > 0 {
		row.Waste = row.Ksize - size
		row.Share = float64(row.Waste) / float64(row.Ksize)
	}
	switch c := a.CacheOf(addr); {
	case c != nil:
		l := c.Layout()
		row.Cache, row.Order, row.PerSl = c.Name(), l.Order, l.Objects
	case row.Ksize > 0:
		row.Order = bits.Len64(row.Ksize) - 1 - pageShift
	}
	_ = a.Kfree(0, addr)
	return row
}

func printKsize(w io.Writer, rows []ksizeRow) {
	t := newTable(w, "size", "ksize", "waste", "", "served by", "order", "objects per slab")
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Error != "":
			t.AppendRow([]any{r.Size, "", "", "", r.Error})
		case r.Ksize == 0:
			t.AppendRow([]any{r.Size, 0, 0, "", "ZERO_SIZE_PTR"})
		case r.Cache == "":
			t.AppendRow([]any{r.Size, r.Ksize, r.Waste, fmt.Sprintf("%.1f%%", 100*r.Share), "pages", r.Order})
		default:
			t.AppendRow([]any{r.Size, r.Ksize, r.Waste, fmt.Sprintf("%.1f%%", 100*r.Share), r.Cache, r.Order, r.PerSl})
		}
	}
	t.Render()
}

func newSlabinfoCommand() *cobra.Command {
	var top bool
	cmd := &cobra.Command{
		Use:   "slabinfo [--top] CAPTURE",
		Short: "Print /proc/slabinfo as the model has it after a capture's events",
		Long: `Replays the slab objects of a capture (a folder, or an embedded one's name) and prints
/proc/slabinfo of the model after the last event; with --top a table like slabtop's.

Exit code 0: done. 2: the capture cannot be used.`,
		Example: `  kernsim slabinfo x86_64-6.1-slab-1cpu
  kernsim slabinfo --top x86_64-6.1-user-1cpu`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSlabinfo(cmd.Context(), cmd.OutOrStdout(), args[0], top)
		},
	}
	cmd.Flags().BoolVar(&top, "top", false, "print a table like slabtop's")
	cmd.ValidArgsFunction = completeCaptures
	return cmd
}

func runSlabinfo(ctx context.Context, w io.Writer, name string, top bool) error {
	c, err := openCapture(name)
	if err != nil {
		return &inputError{err}
	}
	var rows []slab.Slabinfo
	pageShift := 0
	_, err = replay.Run(ctx, c, replay.Options{Model: "objects", ObserveObjects: func(a *slab.Allocator) {
		rows, pageShift = a.Slabinfo(), int(a.Config().PageShift)
	}})
	switch {
	case err != nil:
		return &inputError{err}
	case top:
		return slab.Slabtop(w, rows, pageShift)
	}
	return slab.WriteSlabinfo(w, rows)
}

// openCapture opens a folder, or else an embedded capture by its name.
func openCapture(name string) (replay.Capture, error) {
	c, err := replay.OpenDir(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	fsys, err2 := captures.Open(name)
	if err2 != nil {
		return c, err
	}
	return replay.Capture{Name: name, FS: fsys}, nil
}
