package layout

import "fmt"

// Program is how an ELF file is loaded.
type Program uint8

// The kinds of programs.
const (
	Exec      Program = iota // ET_EXEC: at the addresses it was linked for
	PIE                      // ET_DYN with an interpreter
	StaticPIE                // ET_DYN without one, as the interpreter itself: in the mmap area
)

var programNames = []string{"exec", "pie", "static-pie"}

// String is the name as flags take it.
func (p Program) String() string {
	if int(p) < len(programNames) {
		return programNames[p]
	}
	return "unknown"
}

// ParseProgram reads a kind of program.
func ParseProgram(s string) (Program, error) {
	for i, name := range programNames {
		if s == name {
			return Program(i), nil
		}
	}
	return 0, &ConfigError{Field: "Program", Value: fmt.Sprintf("%q", s), Want: "exec, pie, static-pie"}
}

// ProcessConfig is what decides about a process's address space.
type ProcessConfig struct {
	// RandomizeVASpace is /proc/sys/kernel/randomize_va_space: 0, 1 or 2.
	RandomizeVASpace int
	NoRandomize      bool // personality ADDR_NO_RANDOMIZE (setarch -R)
	Compat           bool // a 32-bit program on a 64-bit kernel
	Legacy           bool // vm.legacy_va_layout or ADDR_COMPAT_LAYOUT: the mmap area grows up
	// StackLimit is the soft RLIMIT_STACK in bytes; all ones is unlimited.
	StackLimit uint64
	// MmapRndBits is vm.mmap_rnd_bits, MmapRndCompatBits vm.mmap_rnd_compat_bits; 0 is the
	// build's least, which is the default.
	MmapRndBits, MmapRndCompatBits int
	GuardGap                       uint64 // stack_guard_gap in pages; 0 is 256
	Program                        Program
	// ProgramEnd is where the program's last segment ends, as linked: the heap
	// follows. Of a StaticPIE it is not used.
	ProgramEnd uint64
	// Align is the largest p_align of a PIE's segments; 0 is a page.
	Align uint64
	// VDSOSize is the size of vDSO and its data in bytes; 0 is none.
	VDSOSize uint64
	// Strings are the bytes of arguments, environment and file name at the
	// stack's top.
	Strings uint64
}

// Draw is one random choice: Value of Choices, each Step bytes from the next.
type Draw struct {
	What    string
	Step    uint64 // bytes
	Choices uint64
	Value   uint64
}

// Process is where the parts of a new process's address space are.
type Process struct {
	TaskSize uint64 // first address that it cannot use
	// MmapBase is where the search for free space starts: downwards, or up with
	// TopDown false.
	MmapBase uint64
	TopDown  bool
	StackTop uint64 // first address after the stack
	LoadBias uint64 // added to a PIE's addresses; 0 for Exec, and for StaticPIE, which mmap places
	Brk      uint64 // start of the heap
	// VDSO is where vDSO and its data start; 0 is that mmap places them, after the program.
	VDSO  uint64
	Draws []Draw
}

// rules of an architecture's processes.
type processRules struct {
	taskSize, top  uint64 // TASK_SIZE as mmap_base sees it, STACK_TOP
	unmapped, dyn  uint64 // TASK_UNMAPPED_BASE, ELF_ET_DYN_BASE
	mmapBits       int
	stackPages     uint64 // STACK_RND_MASK + 1
	brkRange       uint64
	infiniteLegacy bool // RLIM_INFINITY for the stack means the legacy area
	x86            bool
}

// rndBits gives the bits that mmap_base is drawn from: least, most, and the
// least and most of 32-bit programs.
func (c *Config) rndBits() (least, most, compatLeast, compatMost int) {
	switch c.Arch {
	case X86_64:
		return 28, 32, 8, 16
	case X86:
		return 8, 16, 8, 16
	case ARM:
		most = 16
		if c.Split == Split2G {
			most = 15
		} else if c.Split == Split1G {
			most = 14
		}
		return 8, most, 8, most
	}
	shift := int(c.pageShift())
	bits := min(c.VABits, 48)
	return 18 - (shift - 12), max(18-(shift-12), bits-shift-3), 11 - (shift - 12), 16 - (shift - 12)
}

func pageAlign(a, page uint64) uint64 { return (a + page - 1) &^ (page - 1) }

func (l *Layout) rules(p *ProcessConfig) processRules {
	c := &l.c
	least, _, compatLeast, _ := c.rndBits()
	r := processRules{mmapBits: p.MmapRndBits}
	if r.mmapBits == 0 {
		r.mmapBits = least
	}
	if p.Compat {
		r.mmapBits = p.MmapRndCompatBits
		if r.mmapBits == 0 {
			r.mmapBits = compatLeast
		}
	}
	const mib, gib = 1 << 20, 1 << 30
	switch c.Arch {
	case X86_64, X86:
		r.x86 = true
		r.stackPages, r.brkRange = 0x800, 32*mib
		switch {
		case p.Compat:
			r.taskSize = 0xffffe000
			r.dyn = pageAlign(r.taskSize/3, c.PageSize) + 16*mib
		case c.Arch == X86:
			r.taskSize, r.dyn = l.pageOffset, 0x400000
		default:
			r.taskSize = 1<<47 - c.PageSize
			r.stackPages = 0x400000
			r.dyn = r.taskSize / 3 * 2
			if c.Kernel != Linux5_4 {
				r.brkRange = gib
			}
		}
		r.top = r.taskSize
		r.unmapped = pageAlign(r.taskSize/3, c.PageSize)
	case ARM64:
		r.infiniteLegacy = true
		r.taskSize = 1 << c.vaBitsMin()
		r.top = r.taskSize
		r.stackPages, r.brkRange = 0x40000>>(c.pageShift()-12), gib
		r.dyn = 2 * r.taskSize / 3
		if p.Compat {
			r.taskSize, r.top = 1<<32-c.PageSize, 0xffff0000
			r.stackPages, r.brkRange, r.dyn = 0x800>>(c.pageShift()-12), 32*mib, 0x400000
		}
		r.unmapped = pageAlign(r.taskSize/4, c.PageSize)
	default:
		r.infiniteLegacy = true
		r.taskSize, r.top = l.taskSize, l.taskSize
		r.stackPages, r.brkRange, r.dyn = 0x800, 32*mib, 0x400000
		r.unmapped = (r.taskSize/3 + 16*mib - 1) &^ (16*mib - 1)
	}
	return r
}

func (l *Layout) checkProcess(p *ProcessConfig) error {
	c := &l.c
	least, most, compatLeast, compatMost := c.rndBits()
	switch {
	case p.RandomizeVASpace < 0 || p.RandomizeVASpace > 2:
		return c.bad("RandomizeVASpace", p.RandomizeVASpace, "0, 1, 2")
	case p.Compat && !c.Arch.Is64():
		return c.bad("Compat", p.Compat, "false on a 32-bit kernel")
	case p.MmapRndBits != 0 && (p.MmapRndBits < least || p.MmapRndBits > most):
		return c.bad("MmapRndBits", p.MmapRndBits, fmt.Sprintf("%d to %d (kernel: EINVAL)", least, most))
	case p.MmapRndCompatBits != 0 && (!c.Arch.Is64() || p.MmapRndCompatBits < compatLeast || p.MmapRndCompatBits > compatMost):
		return c.bad("MmapRndCompatBits", p.MmapRndCompatBits, fmt.Sprintf("%d to %d (kernel: EINVAL)", compatLeast, compatMost))
	case int(p.Program) >= len(programNames):
		return c.bad("Program", p.Program, "exec, pie, static-pie")
	case p.Align&(p.Align-1) != 0 || p.Align > 1<<30:
		return c.bad("Align", hex(p.Align), "a power of two, at most 1 GiB")
	case p.GuardGap > 1<<16:
		return c.bad("GuardGap", p.GuardGap, "at most 65536 pages")
	case p.Strings > 6<<20:
		return c.bad("Strings", p.Strings, "at most 6 MiB (kernel: E2BIG)")
	case p.VDSOSize > 1<<20 || p.VDSOSize%c.PageSize != 0:
		return c.bad("VDSOSize", p.VDSOSize, "whole pages, at most 1 MiB")
	case p.ProgramEnd >= 1<<46:
		return c.bad("ProgramEnd", hex(p.ProgramEnd), "below 64 TiB")
	}
	return nil
}

// Exec lays out a process as execve does, with words from rnd in the kernel's order. It
// fails with a *ConfigError. What follows is exec_mmap and load_elf_binary: mmap_base,
// stack, program, vDSO, heap.
func (l *Layout) Exec(p ProcessConfig, rnd Source) (*Process, error) {
	if err := l.checkProcess(&p); err != nil {
		return nil, err
	}
	r := l.rules(&p)
	page := l.c.PageSize
	proc := &Process{TaskSize: r.taskSize, TopDown: true}
	random := p.RandomizeVASpace > 0 && !p.NoRandomize
	draw := func(what string, step, choices, value uint64) uint64 {
		proc.Draws = append(proc.Draws, Draw{what, step, choices, value})
		return value * step
	}
	proc.layMmap(l, &p, r, rnd, draw)

	proc.StackTop = r.top
	if random {
		proc.StackTop -= draw("stack", page, r.stackPages, rnd()%r.stackPages)
	}
	if p.Program == PIE {
		proc.LoadBias = r.dyn
		if random {
			proc.LoadBias += draw("program", page, 1<<r.mmapBits, rnd()%(1<<r.mmapBits))
		}
		align := max(p.Align, page)
		proc.LoadBias &^= align - 1
	}
	if l.c.Arch == X86_64 && l.c.Kernel != Linux6_12 && !p.Compat && p.VDSOSize > 0 {
		proc.vdsoAboveStack(&p, r, page, rnd, draw)
	}
	proc.layBrk(l, &p, r, random && p.RandomizeVASpace > 1, rnd, draw)
	return proc, nil
}

type drawFunc func(what string, step, choices, value uint64) uint64

// layMmap is arch_pick_mmap_layout.
func (proc *Process) layMmap(l *Layout, p *ProcessConfig, r processRules, rnd Source, draw drawFunc) {
	page := l.c.PageSize
	random := p.RandomizeVASpace > 0 && !p.NoRandomize
	shift := uint64(0)
	if random {
		word := rnd()
		if l.c.Arch == X86_64 {
			// Both layouts are drawn, for system calls of 64 and of 32 bits.
			if other := rnd(); p.Compat {
				word = other
			}
		}
		shift = draw("mmap", page, 1<<r.mmapBits, word%(1<<r.mmapBits))
	}
	if p.Legacy || (r.infiniteLegacy && p.StackLimit == ^uint64(0)) {
		proc.TopDown = false
		proc.MmapBase = r.unmapped + shift
		return
	}
	guard := p.GuardGap
	if guard == 0 {
		guard = 256
	}
	pad := guard * page
	if random {
		pad += (r.stackPages - 1) * page
	}
	top := r.top
	if r.x86 {
		top = r.taskSize
	}
	// A 32-bit kernel's limit has 32 bits, so that unlimited overflows there.
	gap, word := p.StackLimit, uint64(0)
	if !l.c.Arch.Is64() {
		gap = min(gap, 1<<32-1)
		word = (gap + pad) & (1<<32 - 1)
	} else {
		word = gap + pad
	}
	if word > gap {
		gap = word
	}
	least, most := uint64(128<<20), top/6*5
	switch {
	case gap < least && (r.x86 || least < most):
		gap = least
	case gap > most:
		gap = most
	}
	proc.MmapBase = pageAlign(top-gap-shift, page)
}

// vdsoAboveStack is vdso_addr: between the stack's top and the end of its
// 2 MiB, if that is below the end of user space; else mmap places it.
func (proc *Process) vdsoAboveStack(p *ProcessConfig, r processRules, page uint64, rnd Source, draw drawFunc) {
	const pmd = 2 << 20
	start := pageAlign(proc.StackTop-p.Strings, page)
	end := min((start+p.VDSOSize+pmd-1)&^(pmd-1), r.taskSize) - p.VDSOSize
	addr := start
	if end > start {
		n := (end-start)/page + 1
		addr += draw("vdso", page, n, below(rnd(), n))
	}
	// What overlaps the stack, or the end, goes where mmap puts it.
	if addr >= proc.StackTop && addr+p.VDSOSize <= r.taskSize {
		proc.VDSO = addr
	}
}

// layBrk places the heap.
func (proc *Process) layBrk(l *Layout, p *ProcessConfig, r processRules, random bool, rnd Source, draw drawFunc) {
	page := l.c.PageSize
	old := l.c.Kernel == Linux5_4
	brk := pageAlign(p.ProgramEnd+proc.LoadBias, page)
	switch {
	case p.Program == StaticPIE && (!old || random):
		// Away from the mmap area, where the heap could not grow.
		brk = pageAlign(r.dyn, page)
	case p.Program == StaticPIE:
		brk = 0
	case random && !old:
		brk += page
	}
	if random {
		n := r.brkRange / page
		brk += draw("heap", page, n, rnd()%n)
	}
	proc.Brk = brk
}
