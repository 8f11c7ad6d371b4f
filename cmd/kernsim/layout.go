package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/mm/layout"
	"github.com/kernsim/kernsim/mm/pgtable"
)

// layoutFlags are the flags of the layout command.
type layoutFlags struct {
	json, draw, process                   bool
	kernel, split, page, memory           string
	kaslr, state, program, stack, largest string
	translate                             []string
	config                                layout.Config
	exec                                  layout.ProcessConfig
	seed                                  uint64
	randomize                             int
}

func newLayoutCommand() *cobra.Command {
	f := &layoutFlags{}
	cmd := &cobra.Command{
		Use:   "layout [flags] ARCH",
		Short: "Show where everything is in a kernel's address space",
		Long: `Lays out the address space of a kernel: user and kernel part, direct map,
vmalloc, vmemmap, modules, fixmap and the rest, as built and as KASLR moves it.

ARCH is x86_64, arm64, x86 or arm. --kaslr draws from a seed of this program;
--kaslr-state takes the 32 bits that seed x86_64's own generator: the same bits
give the same bases as in the kernel. --translate shows what an address is,
and walks the page tables of the direct map level by level. --process lays out a new process.`,
		Example: `  kernsim layout x86_64 --va-bits 57
  kernsim layout arm --split 2G/2G --memory 1G
  kernsim layout x86_64 --kaslr-state f5e0782c --va-bits 57
  kernsim layout arm64 --va-bits 39 --memory 2G --translate 0xffffff8012345678
  kernsim layout x86_64 --process --program pie --seed 7
  kernsim layout --json x86`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runLayout(cmd, f, args[0]) },
	}
	flags, c, p := cmd.Flags(), &f.config, &f.exec
	flags.BoolVar(&f.json, "json", false, "print the layout as JSON, addresses as text in hexadecimal")
	flags.BoolVar(&f.draw, "draw", false, "draw boxes, top down, instead of the table")
	flags.StringVar(&f.kernel, "kernel", "6.1", "kernel release: 5.4, 6.1, 6.12")
	flags.IntVar(&c.VABits, "va-bits", 0, "bits of virtual addresses: x86_64 48 or 57, arm64 36 to 52 (default 48)")
	flags.IntVar(&c.HardwareVABits, "hardware-va-bits", 0, "what an arm64 CPU can do, where the kernel is built for 52")
	flags.StringVar(&f.page, "page-size", "4K", "arm64: 4K, 16K or 64K")
	flags.StringVar(&f.split, "split", "3G", "32 bits: 3G, 3G_OPT, 2G, 2G_OPT, 1G, or as 3G/1G")
	flags.BoolVar(&c.PAE, "pae", false, "32 bits: 64-bit page table entries (PAE, LPAE)")
	flags.BoolVar(&c.NoHighmem, "no-highmem", false, "32 bits: built without high memory")
	flags.BoolVar(&c.KASAN, "kasan", false, "built with generic KASAN")
	flags.StringVar(&f.memory, "memory", "", "a size, or ranges START-END,... in hexadecimal (default 4G, 32 bits 1G)")
	flags.StringVar(&f.kaslr, "kaslr", "", "draw KASLR from this seed")
	flags.StringVar(&f.state, "kaslr-state", "", "the 32 bits, in hexadecimal, that x86_64's three bases follow from")
	flags.StringSliceVar(&f.translate, "translate", nil, "say what an address is, and walk to it")
	flags.StringVar(&f.largest, "largest", "", "the largest block of the direct map, as 4K or 2M (default: what the CPU has)")
	flags.BoolVar(&f.process, "process", false, "lay out a process too")
	flags.StringVar(&f.program, "program", "pie", "exec, pie, static-pie")
	flags.StringVar(&f.stack, "stack", "8M", "the process's stack limit, or unlimited")
	flags.IntVar(&f.randomize, "randomize-va-space", 2, "0, 1 or 2")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of what the process draws")
	flags.BoolVar(&p.Compat, "compat", false, "the process is a 32-bit one")
	flags.BoolVar(&p.Legacy, "legacy", false, "its mmap area grows up")
	return cmd
}

// layoutOut is the command's JSON.
type layoutOut struct {
	Title      string         `json:"title"`
	PageOffset string         `json:"page_offset"`
	TaskSize   string         `json:"task_size"`
	Image      string         `json:"image,omitempty"`
	Regions    []regionOut    `json:"regions"`
	Translated []translateOut `json:"translated,omitempty"`
	Process    *processOut    `json:"process,omitempty"`
}

type regionOut struct {
	Kind  layout.Kind `json:"kind"`
	Start string      `json:"start"`
	Last  string      `json:"last"`
	Size  string      `json:"size"`
}

// translateOut is what an address is.
type translateOut struct {
	Addr       string   `json:"addr"`
	Region     string   `json:"region"`
	Phys       string   `json:"phys,omitempty"`
	PFN        *uint64  `json:"pfn,omitempty"`
	StructPage string   `json:"struct_page,omitempty"`
	Refused    string   `json:"refused,omitempty"`
	Walk       []string `json:"walk,omitempty"`
}

type processOut struct {
	MmapBase string        `json:"mmap_base"`
	TopDown  bool          `json:"top_down"`
	StackTop string        `json:"stack_top"`
	Program  string        `json:"program,omitempty"`
	Brk      string        `json:"brk"`
	VDSO     string        `json:"vdso,omitempty"`
	Draws    []layout.Draw `json:"draws"`
}

func hexText(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

// complete reads the flags that are text.
func (f *layoutFlags) complete(arch string) error {
	var err error
	c := &f.config
	if c.Arch, err = layout.ParseArch(arch); err != nil {
		return err
	}
	if c.Kernel, err = layout.ParseVersion(f.kernel); err != nil {
		return err
	}
	if c.Split, err = layout.ParseSplit(f.split); err != nil {
		return err
	}
	if c.PageSize, err = parseSize(f.page); err != nil {
		return err
	}
	if c.Memory, err = parseMemory(f.memory, c.Arch); err != nil {
		return err
	}
	if f.kaslr != "" {
		seed, err := strconv.ParseUint(f.kaslr, 0, 64)
		if err != nil {
			return fmt.Errorf("seed %q: want a number", f.kaslr)
		}
		c.KASLR = layout.NewKASLR(layout.NewSource(seed))
	}
	if f.state != "" {
		state, err := strconv.ParseUint(strings.TrimPrefix(f.state, "0x"), 16, 32)
		if err != nil {
			return fmt.Errorf("state %q: want 32 bits in hexadecimal", f.state)
		}
		if c.KASLR == nil {
			c.KASLR = &layout.KASLR{}
		}
		c.KASLR.Memory = layout.MemoryState(uint32(state))
	}
	if f.exec.Program, err = layout.ParseProgram(f.program); err != nil {
		return err
	}
	f.exec.RandomizeVASpace = f.randomize
	if f.stack == "unlimited" {
		f.exec.StackLimit = math.MaxUint64
	} else if f.exec.StackLimit, err = parseSize(f.stack); err != nil {
		return err
	}
	return nil
}

// parseMemory reads a size or ranges.
func parseMemory(text string, arch layout.Arch) ([]layout.PhysRange, error) {
	if text == "" {
		text = "4G"
		if !arch.Is64() {
			text = "1G"
		}
	}
	if !strings.Contains(text, "-") {
		size, err := parseSize(text)
		return []layout.PhysRange{{Start: 0, End: size}}, err
	}
	var out []layout.PhysRange
	for _, r := range strings.Split(text, ",") {
		from, to, _ := strings.Cut(r, "-")
		start, err := strconv.ParseUint(strings.TrimPrefix(from, "0x"), 16, 64)
		end, err2 := strconv.ParseUint(strings.TrimPrefix(to, "0x"), 16, 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("memory %q: want a size, or START-END,... in hexadecimal", text)
		}
		out = append(out, layout.PhysRange{Start: start, End: end})
	}
	return out, nil
}

func runLayout(cmd *cobra.Command, f *layoutFlags, arch string) error {
	if err := f.complete(arch); err != nil {
		return &usageError{err}
	}
	l, err := layout.New(f.config)
	if err != nil {
		return &usageError{err}
	}
	out := layoutOut{Title: l.Title(), PageOffset: hexText(l.PageOffset()), TaskSize: hexText(l.TaskSize())}
	if l.Image() != 0 {
		out.Image = hexText(l.Image())
	}
	for _, r := range l.Regions() {
		out.Regions = append(out.Regions, regionOut{r.Kind, hexText(r.Start), hexText(r.Last), layout.FormatSize(r.Size())})
	}
	if len(f.translate) > 0 {
		largest := uint64(0)
		if f.largest != "" {
			if largest, err = parseSize(f.largest); err != nil {
				return &usageError{err}
			}
		}
		if out.Translated, err = translateAll(l, f.translate, largest); err != nil {
			return err
		}
	}
	if f.process {
		p, err := l.Exec(f.exec, layout.NewSource(f.seed))
		if err != nil {
			return &usageError{err}
		}
		out.Process = &processOut{hexText(p.MmapBase), p.TopDown, hexText(p.StackTop), "", hexText(p.Brk), "", slices.Clip(p.Draws)}
		if p.LoadBias != 0 {
			out.Process.Program = hexText(p.LoadBias)
		}
		if p.VDSO != 0 {
			out.Process.VDSO = hexText(p.VDSO)
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	return printLayout(cmd.OutOrStdout(), l, f, &out)
}

// bootSource gives tables from the top of memory down, as the kernel's early
// allocator does.
type bootSource struct{ next uint64 }

func (s *bootSource) AllocTable(order int) (uint64, error) {
	s.next = (s.next - 1<<order) &^ (1<<order - 1)
	return s.next, nil
}

func (s *bootSource) FreeTable(uint64, int) error { return nil }

// maxBlocks bounds the tables that are built.
const maxBlocks = 1 << 23

// translateAll builds the direct map and looks addresses up in it.
func translateAll(l *layout.Layout, addrs []string, largest uint64) ([]translateOut, error) {
	format, err := pgtable.ForLayout(l)
	if err != nil {
		return nil, err
	}
	_, last, ok := l.MappedDirect()
	if !ok {
		return nil, &usageError{fmt.Errorf("no memory to map")}
	}
	end, err := l.VirtToPhys(last)
	if err != nil {
		return nil, err
	}
	table, err := pgtable.New(format, &bootSource{next: (end + 1) / format.PageSize()})
	if err != nil {
		return nil, err
	}
	sizes := format.Sizes()
	if largest == 0 || largest > sizes[len(sizes)-1] {
		largest = sizes[len(sizes)-1]
	}
	if largest < sizes[0] || end/largest > maxBlocks {
		return nil, &usageError{fmt.Errorf("blocks of %d bytes: want at least a page, and at most %d of them", largest, maxBlocks)}
	}
	if _, err := table.MapDirect(l, largest); err != nil {
		return nil, err
	}
	var out []translateOut
	for _, text := range addrs {
		addr, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
		if err != nil {
			return nil, &usageError{fmt.Errorf("address %q: want hexadecimal", text)}
		}
		out = append(out, translateOne(l, table, addr))
	}
	return out, nil
}

func translateOne(l *layout.Layout, table *pgtable.PageTable, addr uint64) translateOut {
	t := translateOut{Addr: hexText(addr), Region: "none: beyond the address space"}
	if r, ok := l.Find(addr); ok {
		t.Region = r.Kind.String()
	}
	phys, err := l.VirtToPhys(addr)
	if err != nil {
		t.Refused = err.Error()
	} else {
		pfn := phys / l.Config().PageSize
		t.Phys, t.PFN = hexText(phys), &pfn
		if page, err := l.PFNToPage(pfn); err == nil {
			t.StructPage = hexText(page)
		} else {
			t.Refused = err.Error()
		}
	}
	for _, s := range table.Walk(addr, nil) {
		t.Walk = append(t.Walk, s.String())
	}
	return t
}

func printLayout(w io.Writer, l *layout.Layout, f *layoutFlags, out *layoutOut) error {
	var b strings.Builder
	if f.draw {
		b.WriteString(l.Draw())
	} else {
		b.WriteString(l.String())
	}
	for i := range out.Translated {
		t := &out.Translated[i]
		fmt.Fprintf(&b, "\n%s: %s", t.Addr, t.Region)
		if t.Phys != "" {
			fmt.Fprintf(&b, ", physical %s, page frame %d", t.Phys, *t.PFN)
		}
		if t.StructPage != "" {
			fmt.Fprintf(&b, ", struct page %s", t.StructPage)
		}
		b.WriteByte('\n')
		if t.Refused != "" {
			b.WriteString(t.Refused + "\n")
		}
		for _, s := range t.Walk {
			b.WriteString("  " + s + "\n")
		}
	}
	if p := out.Process; p != nil {
		way := "up"
		if p.TopDown {
			way = "down"
		}
		fmt.Fprintf(&b, "\nprocess: stack below %s, mmap from %s %s, heap from %s", p.StackTop, p.MmapBase, way, p.Brk)
		if p.Program != "" {
			fmt.Fprintf(&b, ", program at %s", p.Program)
		}
		b.WriteByte('\n')
		for _, d := range p.Draws {
			fmt.Fprintf(&b, "  drawn: %-8s %d of %d, steps of %d bytes\n", d.What, d.Value, d.Choices, d.Step)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
