package vma

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// name is the last column of /proc/PID/maps.
func (s *Space) name(v *VMA) string {
	switch {
	case v.File != nil:
		return v.File.Path
	case v.Flags&GrowsDown != 0:
		return "[stack]"
	case s.startBrk != 0 && v.Start <= s.brk && v.End >= s.startBrk && v.End > s.startBrk:
		return "[heap]"
	}
	return ""
}

// WriteMaps writes /proc/PID/maps (show_map_vma). A VMA that may grow downwards
// counts as the stack.
func (s *Space) WriteMaps(w io.Writer) error {
	var b bytes.Buffer
	s.Each(func(v VMA) bool {
		s.WriteMap(&b, &v)
		return true
	})
	_, err := b.WriteTo(w)
	return err
}

// WriteMap writes a VMA's line of /proc/PID/maps, which is smaps' first.
func (s *Space) WriteMap(b *bytes.Buffer, v *VMA) { writeMap(b, v, s.name(v)) }

// WriteRange writes such a line with a name of its own.
func (s *Space) WriteRange(b *bytes.Buffer, v *VMA, name string) { writeMap(b, v, name) }

func writeMap(b *bytes.Buffer, v *VMA, name string) {
	var off, inode uint64
	major, minor := uint8(0), uint32(0)
	if v.File != nil {
		off, inode, major, minor = v.PageOffset<<pageShift, v.File.Inode, v.File.Major, v.File.Minor
	}
	start := b.Len()
	fmt.Fprintf(b, "%08x-%08x %s %08x %02x:%02x %d ", v.Start, v.End, v.Flags.Perms(), off, major, minor, inode)
	if name != "" {
		for b.Len()-start < 73 {
			b.WriteByte(' ')
		}
		b.WriteString(name)
	}
	b.WriteByte('\n')
}

// WriteStatm writes /proc/PID/statm. resident and shared are pages, which the
// address space does not know.
func (s *Space) WriteStatm(w io.Writer, resident, shared uint64) error {
	text, data := uint64(0), uint64(0)
	s.Each(func(v VMA) bool {
		switch {
		case v.Flags&(Exec|Write|GrowsDown) == Exec:
			text += v.Pages()
		case isData(v.Flags), v.Flags&GrowsDown != 0:
			data += v.Pages()
		}
		return true
	})
	_, err := fmt.Fprintf(w, "%d %d %d %d 0 %d 0\n", s.total, resident, shared, text, data)
	return err
}

// Region is a line of /proc/PID/maps, or a hole between two.
type Region struct {
	Start, End uint64
	Perms      string // "" for a hole
	Offset     uint64 // bytes
	Device     string
	Inode      uint64
	Name       string
}

// Hole says that nothing is mapped.
func (r *Region) Hole() bool { return r.Perms == "" }

// Regions gives the address space's VMAs and the holes between them, from the
// first VMA to the last.
func (s *Space) Regions() []Region {
	var b bytes.Buffer
	_ = s.WriteMaps(&b) // a buffer takes everything
	r, _ := ReadMaps(&b, "maps")
	return r
}

// ParseError says what in a text cannot be read.
type ParseError struct {
	File        string
	Line        int // from 1
	Found, Want string
}

// Error names file, line, what was found and what was expected.
func (e *ParseError) Error() string {
	return fmt.Sprintf("vma: %s:%d: found %.80q, want %s", e.File, e.Line, e.Found, e.Want)
}

// maxRegions bounds what is read of a text.
const maxRegions = 1 << 20

// ReadMaps reads a /proc/PID/maps: its regions and the holes between them. file
// is its name for errors, which are the reader's or a ParseError.
func ReadMaps(r io.Reader, file string) ([]Region, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<16)
	var out []Region
	line := 0
	for s.Scan() {
		line++
		text := s.Text()
		if text == "" {
			continue
		}
		bad := func(want string) error { return &ParseError{file, line, text, want} }
		f := strings.SplitN(text, " ", 6)
		if len(f) < 5 {
			return nil, bad("start-end perms offset device inode name")
		}
		from, to, ok := strings.Cut(f[0], "-")
		x := Region{Perms: f[1], Device: f[3]}
		var err [4]error
		x.Start, err[0] = strconv.ParseUint(from, 16, 64)
		x.End, err[1] = strconv.ParseUint(to, 16, 64)
		x.Offset, err[2] = strconv.ParseUint(f[2], 16, 64)
		x.Inode, err[3] = strconv.ParseUint(f[4], 10, 64)
		for _, e := range err {
			ok = ok && e == nil
		}
		if !ok || len(x.Perms) != 4 || x.Start >= x.End {
			return nil, bad("start-end perms offset device inode name")
		}
		if len(f) == 6 {
			x.Name = strings.TrimLeft(f[5], " ")
		}
		if n := len(out); n > 0 {
			last := out[n-1].End
			if x.Start < last {
				return nil, bad("ascending addresses")
			}
			if x.Start > last {
				out = append(out, Region{Start: last, End: x.Start})
			}
		}
		if len(out) > maxRegions {
			return nil, bad(fmt.Sprintf("at most %d regions", maxRegions))
		}
		out = append(out, x)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("vma: %s:%d: %w", file, line+1, err)
	}
	return out, nil
}

// Draw draws an address space from the highest address down: a box for each
// region, as procmap does. With scale the boxes' heights follow the sizes (on a
// logarithmic scale: 1 line up to 64 KiB, one more for each factor of 16); a
// hole is dotted.
func Draw(w io.Writer, regions []Region, scale bool) error {
	var b bytes.Buffer
	const width = 34
	rule := "+" + strings.Repeat("-", width) + "+"
	fmt.Fprintf(&b, "%s\n", rule)
	for i := len(regions) - 1; i >= 0; i-- {
		r := &regions[i]
		name := r.Name
		switch {
		case r.Hole():
			name = "<hole>"
		case name == "":
			name = "<anonymous>"
		}
		if len(name) > width-2 {
			name = "..." + name[len(name)-width+5:]
		}
		height := 1
		if scale {
			for n := (r.End - r.Start) >> 16; n > 0; n >>= 4 {
				height++
			}
		}
		fill := " "
		if r.Hole() {
			fill = "."
		}
		for k := range height {
			text := ""
			if k == height/2 {
				text = fmt.Sprintf(" %-*s", width-1, name)
			}
			right := ""
			if k == 0 {
				right = fmt.Sprintf("  %016x  %-4s %10s", r.End, r.Perms, size(r.End-r.Start))
			}
			if text == "" {
				text = strings.Repeat(fill, width)
			}
			fmt.Fprintf(&b, "|%s|%s\n", text, strings.TrimRight(right, " "))
		}
		fmt.Fprintf(&b, "%s\n", rule)
		if i == 0 {
			b.Truncate(b.Len() - 1)
			fmt.Fprintf(&b, "  %016x\n", r.Start)
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// size writes a number of bytes in the largest unit that it is a whole or near
// number of.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i, rest := 0, uint64(0)
	for n >= 1024 && i < len(units)-1 {
		n, rest, i = n/1024, n%1024, i+1
	}
	if rest == 0 {
		return fmt.Sprintf("%d %s", n, units[i])
	}
	return fmt.Sprintf("%d.%d %s", n, rest*10/1024, units[i])
}
