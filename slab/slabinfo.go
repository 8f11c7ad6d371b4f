package slab

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Slabinfo is one line of /proc/slabinfo.
type Slabinfo struct {
	Name string
	// ActiveObjs and NumObjs are objects in use and in all slabs. SLUB counts
	// the free objects of the nodes' partial slabs only as not in use.
	ActiveObjs, NumObjs uint64
	// ObjSize is the bytes from object to object; ObjPerSlab and PagesPerSlab a
	// usual slab's objects and pages.
	ObjSize, ObjPerSlab, PagesPerSlab uint32
	// Limit, BatchCount and SharedFactor are SLAB's tunables; 0 in SLUB.
	Limit, BatchCount, SharedFactor uint32
	// ActiveSlabs and NumSlabs are equal in SLUB; SharedAvail is SLAB's.
	ActiveSlabs, NumSlabs, SharedAvail uint64
}

// FileError says where a text could not be read.
type FileError struct {
	// File is the name given to the reader, Line the line number from 1.
	File string
	Line int
	// Found is the offending text, Expected what should have been there.
	Found, Expected string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d: found %q, expected %s", e.File, e.Line, e.Found, e.Expected)
}

const (
	slabinfoVersion = "slabinfo - version: 2.1"
	slabinfoHeader  = "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>" +
		" : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>"
)

// maxSlabinfoLines bounds what a reader takes in.
const maxSlabinfoLines = 1 << 20

// ReadSlabinfo reads a /proc/slabinfo text, version 2.0 or 2.1. name names the
// file in errors, which are *FileErrors or the reader's. An excerpt without the
// two header lines is read, too.
func ReadSlabinfo(r io.Reader, name string) ([]Slabinfo, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), 1<<16)
	var out []Slabinfo
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "slabinfo - version: 2."), strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			continue
		case strings.HasPrefix(line, "slabinfo"):
			return nil, &FileError{name, n, clip(line), slabinfoVersion}
		case n > maxSlabinfoLines:
			return nil, &FileError{name, n, "", fmt.Sprintf("at most %d lines", maxSlabinfoLines)}
		}
		row, want := parseSlabinfo(line)
		if want != "" {
			return nil, &FileError{name, n, clip(line), want}
		}
		out = append(out, row)
	}
	return out, sc.Err()
}

func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "..."
	}
	return s
}

// parseSlabinfo reads a cache's line; want says what was expected instead.
func parseSlabinfo(line string) (row Slabinfo, want string) {
	parts := strings.Split(line, " : ")
	if len(parts) < 3 {
		return row, "cache : tunables ... : slabdata ..."
	}
	objects := strings.Fields(parts[0])
	tunables, okT := strings.CutPrefix(strings.TrimSpace(parts[1]), "tunables")
	slabdata, okS := strings.CutPrefix(strings.TrimSpace(parts[2]), "slabdata")
	if len(objects) < 6 || !okT || !okS {
		return row, "a name and five numbers : tunables : slabdata"
	}
	name := objects[:len(objects)-5]
	row.Name = strings.Join(name, " ")
	var a, b, c numbers
	a.read(objects[len(name):])
	b.read(strings.Fields(tunables))
	c.read(strings.Fields(slabdata))
	if a.n != 5 || b.n != 3 || c.n != 3 {
		return row, "numbers"
	}
	row.ActiveObjs, row.NumObjs = a.v[0], a.v[1]
	row.ActiveSlabs, row.NumSlabs, row.SharedAvail = c.v[0], c.v[1], c.v[2]
	for i, p := range []*uint32{&row.ObjSize, &row.ObjPerSlab, &row.PagesPerSlab} {
		if a.v[2+i] > 1<<31 {
			return row, "sizes below 2 GiB"
		}
		*p = uint32(a.v[2+i])
	}
	for i, p := range []*uint32{&row.Limit, &row.BatchCount, &row.SharedFactor} {
		if b.v[i] > 1<<31 {
			return row, "tunables below 2^31"
		}
		*p = uint32(b.v[i])
	}
	return row, ""
}

// numbers are up to five decimal numbers; n is -1 if a field is none, or there
// are more.
type numbers struct {
	v [5]uint64
	n int
}

func (l *numbers) read(fields []string) {
	if len(fields) > len(l.v) {
		l.n = -1
		return
	}
	for _, f := range fields {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			l.n = -1
			return
		}
		l.v[l.n] = v
		l.n++
	}
}

// appendSlabinfo writes a line as the kernel's cache_show does.
func appendSlabinfo(b []byte, s *Slabinfo) []byte {
	return fmt.Appendf(b, "%-17s %6d %6d %6d %4d %4d : tunables %4d %4d %4d : slabdata %6d %6d %6d\n",
		s.Name, s.ActiveObjs, s.NumObjs, s.ObjSize, s.ObjPerSlab, s.PagesPerSlab,
		s.Limit, s.BatchCount, s.SharedFactor, s.ActiveSlabs, s.NumSlabs, s.SharedAvail)
}

// WriteSlabinfo writes a /proc/slabinfo text.
func WriteSlabinfo(w io.Writer, rows []Slabinfo) error {
	b := append([]byte(slabinfoVersion+"\n"+slabinfoHeader), '\n')
	for i := range rows {
		b = appendSlabinfo(b, &rows[i])
	}
	_, err := w.Write(b)
	return err
}
