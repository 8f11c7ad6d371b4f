package vma

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// situations are what the kernel's own tests of merging put together
// (tools/testing/selftests/mm/merge.c, tools/testing/vma), told anew as calls on
// pages of a range that is mapped by nothing at first:
//
//	map A B PROT    mmap of pages A to B, anonymous, at that place
//	file A B OFF    the same of a file, from a page of it on
//	unmap A B, prot A B PROT, write A
//	move A B TO     mremap of pages A to B to another place
//	grow A B N      mremap of pages A to B in place, to N pages
//
// and the ranges of the VMAs at the end. Those of uprobes and KSM are left out.
var situations = []struct{ name, calls, want string }{
	{"left not faulted in, right is", "map 0 10 rw; prot 0 5 r; write 5; prot 0 5 rw", "0-10"},
	{"right not faulted in, left is", "map 0 10 rw; prot 5 10 r; write 0; prot 5 10 rw", "0-10"},
	{"both sides not faulted in", "map 0 9 rw; prot 0 3 r; prot 6 9 r; write 3; prot 0 3 rw; prot 6 9 rw", "0-9"},
	{"left faulted in, right not", "map 0 9 rw; prot 6 9 r; write 0; write 3; prot 0 3 r; prot 3 6 r", "0-9"},
	{"right faulted in, left not", "map 0 9 rw; prot 0 3 r; write 3; write 6; prot 6 9 r; prot 3 6 r", "0-9"},
	{"faulted in apart: the middle joins the left", "map 0 3 rw; map 6 9 rw; write 0; write 6; map 3 6 rw", "0-6 6-9"},
	{"simple: a new one between two", "map 0 3 rw; map 4 7 rw; map 3 4 rw", "0-7"},
	{"simple: changed to what both sides are", "map 0 9 rw; prot 3 6 r; prot 3 6 rw", "0-9"},
	{"simple: a part grows into the hole behind it", "map 0 3 rw; grow 0 3 6", "0-6"},
	{"simple: cut at both ends", "map 0 9 rw; unmap 0 2; unmap 7 9", "2-7"},
	{"new: no neighbours", "map 3 6 rw", "3-6"},
	{"new: behind the one before", "map 0 3 rw; map 3 6 rw", "0-6"},
	{"new: before the one behind", "map 6 9 rw; map 3 6 rw", "3-9"},
	{"new: other rights before", "map 0 3 r; map 6 9 rw; map 3 6 rw", "0-3 3-9"},
	{"new: other rights behind", "map 0 3 rw; map 6 9 r; map 3 6 rw", "0-6 6-9"},
	{"new: replaces the middle with the same", "map 0 9 rw; map 3 6 rw", "0-9"},
	{"new: replaces the middle with other rights", "map 0 9 rw; map 3 6 r; map 3 6 rw", "0-9"},
	{"file: the same bytes on", "file 0 3 0; file 3 6 3", "0-6"},
	{"file: other bytes", "file 0 3 0; file 3 6 4", "0-3 3-6"},
	{"file: a new one between two that fit", "file 0 3 0; file 6 9 6; file 3 6 3", "0-9"},
	{"file beside anonymous", "file 0 3 0; map 3 6 rw", "0-3 3-6"},
	{"changed: all of a VMA, to its left", "map 0 3 rw; prot 0 3 r; map 3 6 rw; prot 3 6 r", "0-6"},
	{"changed: all of a VMA, to its right", "map 3 6 rw; prot 3 6 r; map 0 3 rw; prot 0 3 r", "0-6"},
	{"changed: the beginning, to its left", "map 0 3 rw; prot 0 3 r; map 3 9 rw; prot 3 6 r", "0-6 6-9"},
	{"changed: the end, to its right", "map 6 9 rw; prot 6 9 r; map 0 6 rw; prot 3 6 r", "0-3 3-9"},
	{"changed: the middle, alone", "map 0 9 rw; prot 3 6 r", "0-3 3-6 6-9"},
	{"changed: memory that was promised stays so", "map 0 3 r; map 3 6 rw; prot 3 6 r", "0-3 3-6"},
	{"changed: over two VMAs", "map 0 6 rw; prot 3 6 r; prot 0 6 rx", "0-6"},
	{"moved, not faulted in, to one that is", "map 0 3 rw; write 0; map 10 13 rw; move 10 13 3", "0-6"},
	{"moved, not faulted in, before one that is", "map 3 6 rw; write 3; map 10 13 rw; move 10 13 0", "0-6"},
	{"moved, not faulted in, between two that are", "map 0 9 rw; write 0; write 6; prot 3 6 r; unmap 3 6; map 10 13 rw; move 10 13 3", "0-9"},
	{"moved, faulted in, to another place of it", "map 0 3 rw; map 10 13 rw; write 0; write 10; move 10 13 3", "0-3 3-6"},
	{"moved away and back, faulted in", "map 0 9 rw; write 0; write 3; write 6; move 3 6 20; move 20 23 3", "0-9"},
	{"a hole that is filled again", "map 0 9 rw; write 0; unmap 3 6; map 3 6 rw", "0-9"},
}

func TestSituations(t *testing.T) {
	for _, c := range situations {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t, Config{})
			f := &File{Path: "f"}
			for call := range strings.SplitSeq(c.calls, "; ") {
				require.NoError(t, situation(call).do(s, f), call)
				require.NoError(t, s.Check())
			}
			assert.Equal(t, c.want, ranges(s))
		})
	}
}

const situationBase uint64 = 0x200000000000

// step is a call of a situation.
type step struct {
	verb       string
	from, size uint64
	prot       Prot
	n          uint64
}

func situation(call string) (c step) {
	var a, b uint64
	var last string
	_, _ = fmt.Sscan(call, &c.verb, &a, &b, &last)
	_, _ = fmt.Sscan(last, &c.n)
	c.from, c.size = situationBase+a<<pageShift, (b-a)<<pageShift
	c.prot = map[string]Prot{"rw": ProtRead | ProtWrite, "r": ProtRead, "rx": ProtRead | ProtExec}[last]
	return c
}

// do does a call in the model.
func (c step) do(s *Space, f *File) error {
	var err error
	switch c.verb {
	case "map":
		_, err = s.Mmap(c.from, c.size, c.prot, MapPrivate|MapAnonymous|MapFixed, nil, 0)
	case "file":
		_, err = s.Mmap(c.from, c.size, ProtRead, MapPrivate|MapFixed, f, c.n)
	case "unmap":
		err = s.Munmap(c.from, c.size)
	case "prot":
		err = s.Mprotect(c.from, c.size, c.prot)
	case "write":
		err = s.Write(c.from)
	case "move":
		_, err = s.Mremap(c.from, c.size, c.size, RemapMayMove|RemapFixed, situationBase+c.n<<pageShift)
	case "grow":
		_, err = s.Mremap(c.from, c.size, c.n<<pageShift, 0, 0)
	default:
		err = fmt.Errorf("no call %q", c.verb)
	}
	return err
}

// ranges are the pages of the VMAs.
func ranges(s *Space) string {
	var out []string
	s.Each(func(v VMA) bool {
		out = append(out, fmt.Sprintf("%d-%d", int64(v.Start-situationBase)>>pageShift, int64(v.End-situationBase)>>pageShift))
		return true
	})
	return strings.Join(out, " ")
}
