package layout

import (
	"fmt"
	"strconv"
	"strings"
)

func hex(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

var units = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// FormatSize prints a size with at most two decimals; 0 stands for 16 EiB.
func FormatSize(size uint64) string {
	if size == 0 {
		return "16 EiB"
	}
	unit := uint(0)
	for unit < 6 && size>>(10*(unit+1)) != 0 {
		unit++
	}
	whole := size >> (10 * unit)
	if unit == 0 {
		return strconv.FormatUint(whole, 10) + " B"
	}
	// Hundredths are cut off, as a size must not look larger than it is.
	rest := size >> (10*unit - 10) & 1023 * 100 / 1024
	s := strconv.FormatUint(whole, 10)
	if rest != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%02d", rest), "0")
	}
	return s + " " + units[unit]
}

func (l *Layout) addr(a uint64) string {
	if l.c.Arch.Is64() {
		return fmt.Sprintf("%016x", a)
	}
	return fmt.Sprintf("%08x", a)
}

// Title says in a line which kernel this is.
func (l *Layout) Title() string {
	c := &l.c
	s := fmt.Sprintf("%s, Linux %s", c.Arch, c.Kernel)
	switch {
	case c.Arch == X86_64 && c.VABits == 57:
		s += ", 5 levels (57 bits)"
	case c.Arch == X86_64:
		s += ", 4 levels (48 bits)"
	case c.Arch == ARM64:
		s += fmt.Sprintf(", %d bits, %d KiB pages", c.VABits, c.PageSize>>10)
		if c.HardwareVABits != c.VABits {
			s += fmt.Sprintf(" on a CPU with %d bits", c.HardwareVABits)
		}
	default:
		s += fmt.Sprintf(", split %s", c.Split)
		if c.PAE {
			s += ", 64-bit entries"
		}
	}
	if c.KASAN {
		s += ", KASAN"
	}
	if c.KASLR != nil {
		s += ", KASLR"
	}
	return s
}

// String is the table of all regions, rising, as the kernel's documents print
// it: first address, last address, size, name.
func (l *Layout) String() string {
	var b strings.Builder
	b.WriteString(l.Title() + "\n")
	for _, r := range l.regions {
		fmt.Fprintf(&b, "%s - %s  %10s  %s\n", l.addr(r.Start), l.addr(r.Last), FormatSize(r.Size()), r.Kind)
	}
	if start, last, ok := l.MappedDirect(); ok {
		fmt.Fprintf(&b, "memory is mapped at %s - %s (%s)\n", l.addr(start), l.addr(last), FormatSize(last-start+1))
	}
	if l.imageBase != 0 {
		fmt.Fprintf(&b, "kernel image at %s", l.addr(l.imageBase))
		if l.c.Arch == X86_64 {
			fmt.Fprintf(&b, ", Kernel Offset: %#x from %#x", l.imageBase-startKernelMap-imageStartPhys, uint64(startKernelMap+imageStartPhys))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const boxWidth = 46

// Draw draws the address space as boxes, top down. Boxes grow by one line for
// each 1,024 times that the region is larger, so that a terabyte still fits.
func (l *Layout) Draw() string {
	var b strings.Builder
	line := "+" + strings.Repeat("-", boxWidth) + "+"
	for i := len(l.regions) - 1; i >= 0; i-- {
		r := l.regions[i]
		fmt.Fprintf(&b, "%s %s\n", line, l.addr(r.Last))
		rows := 1
		for s := r.Size() >> 20; s > 0; s >>= 10 {
			rows++
		}
		label := r.Kind.String() + "  [" + FormatSize(r.Size()) + "]"
		fill := " "
		if r.Kind == Hole || r.Kind == NonCanonical || r.Kind == Guard {
			fill = "."
		}
		for row := range rows {
			text := ""
			if row == rows/2 {
				text = label
			}
			left := (boxWidth - len(text)) / 2
			fmt.Fprintf(&b, "|%s%s%s|\n", strings.Repeat(fill, left), text, strings.Repeat(fill, boxWidth-left-len(text)))
		}
	}
	fmt.Fprintf(&b, "%s %s\n", line, l.addr(0))
	return b.String()
}
