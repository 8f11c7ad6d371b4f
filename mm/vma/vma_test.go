package vma

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const rw = ProtRead | ProtWrite

func newSpace(t require.TestingT, c Config) *Space {
	s, err := New(c)
	require.NoError(t, err)
	return s
}

func errno(t require.TestingT, err error) string {
	if err == nil {
		return ""
	}
	var e *Error
	require.ErrorAs(t, err, &e)
	return e.Errno
}

func anon(t require.TestingT, s *Space, addr, pages uint64, p Prot) uint64 {
	got, err := s.Mmap(addr, pages<<pageShift, p, MapPrivate|MapAnonymous, nil, 0)
	require.NoError(t, err)
	return got
}

// TestMerges has the situations of the kernel's tools/testing/vma and
// selftests/mm/merge.c: a new mapping between two others joins the one before,
// the one behind, both or none, by flags, offsets and anon_vmas.
func TestMerges(t *testing.T) {
	const base = uint64(0x10000000)
	file := &File{Path: "f"}
	at := func(page int) uint64 { return base + uint64(page)<<pageShift }
	mmap := func(s *Space, from, to int, p Prot, f *File, off uint64) {
		flags := MapPrivate | MapFixed
		if f == nil {
			flags |= MapAnonymous
		}
		_, err := s.Mmap(at(from), uint64(to-from)<<pageShift, p, flags, f, off)
		require.NoError(t, err)
	}
	for _, c := range []struct {
		name string
		do   func(s *Space)
		want string // pages of the VMAs
	}{
		{"before and behind", func(s *Space) { mmap(s, 0, 2, rw, nil, 0); mmap(s, 4, 6, rw, nil, 0); mmap(s, 2, 4, rw, nil, 0) }, "0-6"},
		{"before", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			mmap(s, 4, 6, ProtRead, nil, 0)
			mmap(s, 2, 4, rw, nil, 0)
		}, "0-4 4-6"},
		{"behind", func(s *Space) {
			mmap(s, 0, 2, ProtRead, nil, 0)
			mmap(s, 4, 6, rw, nil, 0)
			mmap(s, 2, 4, rw, nil, 0)
		}, "0-2 2-6"},
		{"none", func(s *Space) {
			mmap(s, 0, 2, ProtRead, nil, 0)
			mmap(s, 4, 6, ProtRead, nil, 0)
			mmap(s, 2, 4, rw, nil, 0)
		}, "0-2 2-4 4-6"},
		{"file, adjacent offsets", func(s *Space) {
			mmap(s, 0, 2, rw, file, 5)
			mmap(s, 4, 6, rw, file, 9)
			mmap(s, 2, 4, rw, file, 7)
		}, "0-6"},
		{"file, other offset", func(s *Space) { mmap(s, 0, 2, rw, file, 5); mmap(s, 2, 4, rw, file, 8) }, "0-2 2-4"},
		{"other file", func(s *Space) { mmap(s, 0, 2, rw, file, 5); mmap(s, 2, 4, rw, &File{Path: "f"}, 7) }, "0-2 2-4"},
		{"both written to apart: the one before", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			mmap(s, 4, 6, rw, nil, 0)
			_, _ = s.Write(at(0)), s.Write(at(4))
			mmap(s, 2, 4, rw, nil, 0)
		}, "0-4 4-6"},
		{"one written to", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			mmap(s, 4, 6, rw, nil, 0)
			_ = s.Write(at(4))
			mmap(s, 2, 4, rw, nil, 0)
		}, "0-6"},
		{"neighbours lend their anon_vma, and can join again", func(s *Space) {
			mmap(s, 0, 6, rw, nil, 0)
			_ = s.Write(at(0))
			_ = s.Mprotect(at(2), 2<<pageShift, ProtRead)
			_ = s.Mprotect(at(2), 2<<pageShift, rw)
		}, "0-6"},
		{"a hole in the middle, and back", func(s *Space) {
			mmap(s, 0, 6, rw, nil, 0)
			_ = s.Munmap(at(2), 2<<pageShift)
			mmap(s, 2, 4, rw, nil, 0)
		}, "0-6"},
		{"read-only keeps the promise: 6.1", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			_ = s.Mprotect(at(0), 2<<pageShift, ProtRead)
			mmap(s, 2, 4, ProtRead, nil, 0)
		}, "0-2 2-4"},
		{"mprotect: the end joins the one behind", func(s *Space) {
			mmap(s, 0, 4, rw, nil, 0)
			mmap(s, 4, 6, rw, nil, 0)
			_ = s.Mprotect(at(4), 2<<pageShift, ProtRead)
			_ = s.Mprotect(at(3), 1<<pageShift, ProtRead)
		}, "0-3 3-6"},
		{"madvise splits and joins", func(s *Space) {
			mmap(s, 0, 6, rw, nil, 0)
			_ = s.Madvise(at(1), 2<<pageShift, AdviseDontFork)
			_ = s.Madvise(at(3), 1<<pageShift, AdviseDontFork)
		}, "0-1 1-4 4-6"},
		{"moved without being written to: it joins", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			mmap(s, 10, 12, rw, nil, 0)
			_, _ = s.Mremap(at(10), 2<<pageShift, 2<<pageShift, RemapMayMove|RemapFixed, at(2))
		}, "0-4"},
		{"moved after being written to: it does not", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			mmap(s, 10, 12, rw, nil, 0)
			_ = s.Write(at(10))
			_, _ = s.Mremap(at(10), 2<<pageShift, 2<<pageShift, RemapMayMove|RemapFixed, at(2))
		}, "0-2 2-4"},
		{"grows into a gap and joins behind it", func(s *Space) {
			mmap(s, 0, 2, rw, nil, 0)
			mmap(s, 4, 6, rw, nil, 0)
			_, _ = s.Mremap(at(0), 2<<pageShift, 4<<pageShift, 0, 0)
		}, "0-6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t, Config{})
			c.do(s)
			var got []string
			s.Each(func(v VMA) bool {
				got = append(got, fmt.Sprintf("%d-%d", (v.Start-base)>>pageShift, (v.End-base)>>pageShift))
				return true
			})
			assert.Equal(t, c.want, strings.Join(got, " "))
			require.NoError(t, s.Check())
		})
	}
}

// TestInherited: what a child has from its parent does not take in new mappings
// with another anon_vma.
func TestInherited(t *testing.T) {
	const base = uint64(0x10000000)
	s := newSpace(t, Config{})
	anon(t, s, base, 2, rw)
	require.NoError(t, s.Write(base))
	require.NoError(t, s.Mlock(base, 1))
	require.NoError(t, s.Madvise(base+pageSize, 1, AdviseDontFork))
	child, err := s.Fork()
	require.NoError(t, err)
	require.Equal(t, 1, child.Count(), "MADV_DONTFORK stays behind")
	v, _ := child.At(base)
	assert.True(t, v.Inherited)
	assert.Zero(t, v.Flags&Locked)
	_, err = child.Mmap(base+pageSize, pageSize, rw, MapPrivate|MapAnonymous|MapFixed, nil, 0)
	require.NoError(t, err)
	assert.Equal(t, 2, child.Count())
	require.NoError(t, child.Check())
}

// TestForkRefused: what was promised for the VMAs before the refused one is given
// back.
func TestForkRefused(t *testing.T) {
	left := uint64(10)
	s := newSpace(t, Config{
		Charge: func(n uint64) bool {
			if n > left {
				return false
			}
			left -= n
			return true
		},
		Uncharge: func(n uint64) { left += n },
	})
	anon(t, s, 0x10000000, 2, rw)
	anon(t, s, 0x20000000, 4, rw)
	_, err := s.Fork()
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "ENOMEM", e.Errno)
	assert.Equal(t, uint64(4), left)
}

// TestDontUnmap: the place that MREMAP_DONTUNMAP leaves is neither locked nor
// written to.
func TestDontUnmap(t *testing.T) {
	const base = uint64(0x10000000)
	for _, c := range []struct {
		name           string
		pages          uint64 // of 4
		locked, counts uint64
		written        bool
	}{
		{"all", 4, 4, 4, false},
		{"a part: the lock of the rest is lost, and still counts", 2, 2, 4, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t, Config{})
			_, err := s.Mmap(base, 4<<pageShift, rw, MapPrivate|MapAnonymous|MapFixed|MapLocked, nil, 0)
			require.NoError(t, err)
			to, err := s.Mremap(base, c.pages<<pageShift, c.pages<<pageShift, RemapMayMove|RemapDontUnmap, 0)
			require.NoError(t, err)
			old, _ := s.At(base)
			moved, _ := s.At(to)
			assert.Zero(t, old.Flags&Locked)
			assert.Equal(t, c.written, old.AnonVMA != 0)
			assert.Equal(t, Locked, moved.Flags&Locked)
			assert.NotZero(t, moved.AnonVMA)
			assert.Equal(t, c.locked, moved.Pages())
			assert.Equal(t, c.counts, s.LockedPages())
			require.NoError(t, s.Check())
		})
	}
}

func TestMlockall(t *testing.T) {
	const base = uint64(0x10000000)
	s := newSpace(t, Config{Limits: Limits{Memlock: 6 << pageShift}, Brk: 0x40000000})
	anon(t, s, base, 2, rw)
	anon(t, s, base+2<<pageShift, 2, ProtRead)
	for _, flags := range []LockAll{0, 4, 1 | 8, -1} {
		var e *Error
		require.ErrorAs(t, s.Mlockall(flags), &e)
		assert.Equal(t, "EINVAL", e.Errno)
	}
	require.NoError(t, s.Mlockall(LockCurrent))
	assert.Equal(t, uint64(4), s.LockedPages())
	v, _ := s.At(base)
	assert.NotZero(t, v.AnonVMA, "it was read in")
	anon(t, s, base+8<<pageShift, 4, rw)
	assert.Equal(t, uint64(4), s.LockedPages(), "not what comes later")

	s.Munlockall()
	assert.Zero(t, s.LockedPages())
	var e *Error
	require.ErrorAs(t, s.Mlockall(LockCurrent), &e, "8 pages are mapped")
	assert.Equal(t, "ENOMEM", e.Errno)
	require.NoError(t, s.Mlockall(LockFuture), "asks for nothing that is mapped now")
	assert.Equal(t, uint64(0x40002000), s.Brk(0x40002000))
	assert.Equal(t, uint64(2), s.LockedPages())
	v, _ = s.At(0x40000000)
	assert.NotZero(t, v.AnonVMA, "the heap is read in")
	_, err := s.Mmap(base+16<<pageShift, 5<<pageShift, rw, MapPrivate|MapAnonymous|MapFixed, nil, 0)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "EAGAIN", e.Errno)
	require.NoError(t, s.Check())
}

// TestWhere: hints, gaps, the guard of a stack, and the bottom when the top is
// full.
func TestWhere(t *testing.T) {
	c := Config{TaskSize: 0x40000000, MmapBase: 0x30000000}
	s := newSpace(t, c)
	first := anon(t, s, 0, 16, rw)
	assert.Equal(t, uint64(0x30000000-16<<pageShift), first, "below the mmap base")
	assert.Equal(t, first-pageSize, anon(t, s, 0, 1, ProtRead))
	assert.Equal(t, uint64(0x12345000), anon(t, s, 0x12344fff+1, 1, rw), "the hint")
	assert.Equal(t, uint64(0x10000), anon(t, s, 0x2000, 1, rw), "a low hint is raised to mmap_min_addr")
	stack, err := s.Mmap(0x20000000, 4*pageSize, rw, MapPrivate|MapAnonymous|MapGrowsDown|MapFixed, nil, 0)
	require.NoError(t, err)
	near := anon(t, s, stack-pageSize, 1, rw)
	assert.Greater(t, near, stack, "not in the guard below a stack")
	// Fill the top.
	for {
		got, err := s.Mmap(0, 0x1000000, ProtRead, MapPrivate|MapAnonymous, nil, 0)
		if err != nil {
			require.Equal(t, "ENOMEM", errno(t, err))
			break
		}
		require.LessOrEqual(t, got+0x1000000, c.TaskSize)
		require.False(t, got < stack && got+0x1000000 > stack-stackGap)
	}
	require.NoError(t, s.Check())
}

// naive is an address space as an array of pages.
type naive [96]struct {
	mapped bool
	prot   Prot
	shared bool
	locked bool
}

// TestAgainstPages makes random calls and compares with an array of pages.
func TestAgainstPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const base = uint64(0x10000000)
		var n naive
		promised := int64(0)
		s := newSpace(t, Config{Charge: func(p uint64) bool { promised += int64(p); return true }, Uncharge: func(p uint64) { promised -= int64(p) }})
		draw := func(t *rapid.T) (from, to int) {
			from = rapid.IntRange(0, len(n)-1).Draw(t, "from")
			return from, rapid.IntRange(from+1, min(from+20, len(n))).Draw(t, "to")
		}
		span := func(from, to int) (uint64, uint64) {
			return base + uint64(from)<<pageShift, uint64(to-from) << pageShift
		}
		prot := rapid.SampledFrom([]Prot{ProtNone, ProtRead, rw, ProtRead | ProtExec})
		t.Repeat(map[string]func(*rapid.T){
			"mmap": func(t *rapid.T) {
				from, to := draw(t)
				addr, size := span(from, to)
				p, shared := prot.Draw(t, "prot"), rapid.Bool().Draw(t, "shared")
				flags := MapPrivate
				if shared {
					flags = MapShared
				}
				_, err := s.Mmap(addr, size, p, flags|MapAnonymous|MapFixed, nil, 0)
				require.NoError(t, err)
				for i := from; i < to; i++ {
					n[i].mapped, n[i].prot, n[i].shared, n[i].locked = true, p, shared, false
				}
			},
			"munmap": func(t *rapid.T) {
				from, to := draw(t)
				addr, size := span(from, to)
				require.NoError(t, s.Munmap(addr, size))
				for i := from; i < to; i++ {
					n[i].mapped, n[i].locked = false, false
				}
			},
			"mprotect": func(t *rapid.T) {
				from, to := draw(t)
				addr, size := span(from, to)
				p := prot.Draw(t, "prot")
				err := s.Mprotect(addr, size, p)
				for i := from; i < to; i++ {
					if !n[i].mapped {
						require.Equal(t, "ENOMEM", errno(t, err))
						return
					}
					n[i].prot = p
				}
				require.NoError(t, err)
			},
			"mlock": func(t *rapid.T) {
				from, to := draw(t)
				addr, size := span(from, to)
				err := s.Mlock(addr, size)
				for i := from; i < to; i++ {
					if !n[i].mapped {
						require.Equal(t, "ENOMEM", errno(t, err))
						return
					}
					n[i].locked = true
				}
				require.NoError(t, err)
			},
			"write": func(t *rapid.T) {
				i := rapid.IntRange(0, len(n)-1).Draw(t, "page")
				err := s.Write(base + uint64(i)<<pageShift)
				require.Equal(t, n[i].mapped && n[i].prot&ProtWrite != 0, err == nil)
			},
			"move": func(t *rapid.T) {
				from, to := draw(t)
				at := rapid.IntRange(0, len(n)-(to-from)).Draw(t, "at")
				addr, size := span(from, to)
				target, _ := span(at, at+1)
				v, ok := s.At(addr)
				_, err := s.Mremap(addr, size, size, RemapMayMove|RemapFixed, target)
				switch {
				case !ok:
					require.Equal(t, "EFAULT", errno(t, err))
				case from < at+to-from && at < to:
					require.Equal(t, "EINVAL", errno(t, err))
				case size > v.End-addr:
					// The new place was cleared before.
					require.Equal(t, "EFAULT", errno(t, err))
					for i := at; i < at+to-from; i++ {
						n[i].mapped, n[i].locked = false, false
					}
				default:
					require.NoError(t, err)
					for i := range to - from {
						n[at+i] = n[from+i]
						n[from+i].mapped, n[from+i].locked = false, false
					}
				}
			},
			"": func(t *rapid.T) {
				require.NoError(t, s.Check())
				total := uint64(0)
				for i := range n {
					v, ok := s.At(base + uint64(i)<<pageShift)
					require.Equal(t, n[i].mapped, ok, "page %d", i)
					if !ok {
						continue
					}
					total++
					require.Equal(t, protFlags(n[i].prot), v.Flags&access)
					require.Equal(t, n[i].shared, v.Flags&Shared != 0)
					require.Equal(t, n[i].locked, v.Flags&Locked != 0)
				}
				require.Equal(t, total, s.TotalPages())
				require.GreaterOrEqual(t, promised, int64(0))
				charged := int64(0)
				s.Each(func(v VMA) bool {
					if v.Flags&Account != 0 {
						charged += int64(v.Pages())
					}
					return true
				})
				require.GreaterOrEqual(t, promised, charged)
			},
		})
	})
}

// TestGapsAgainstNaive compares the place that is found with a search by pages.
func TestGapsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const pages = 600
		s := newSpace(t, Config{TaskSize: pages << pageShift, MmapBase: pages << pageShift, MmapMinAddr: pageSize})
		var used [pages]bool
		for range rapid.IntRange(0, 400).Draw(t, "calls") {
			if rapid.IntRange(0, 2).Draw(t, "unmap") == 0 {
				from := rapid.IntRange(1, pages-1).Draw(t, "from")
				n := rapid.IntRange(1, min(10, pages-from)).Draw(t, "n")
				require.NoError(t, s.Munmap(uint64(from)<<pageShift, uint64(n)<<pageShift))
				for i := range n {
					used[from+i] = false
				}
				continue
			}
			n := rapid.IntRange(1, 12).Draw(t, "n")
			want := -1
			for from := pages - n; from >= 1 && want < 0; from-- {
				want = from
				for i := range n {
					if used[from+i] {
						want = -1
					}
				}
			}
			got, err := s.Mmap(0, uint64(n)<<pageShift, ProtRead, MapShared|MapAnonymous, nil, 0)
			if want < 0 {
				require.Equal(t, "ENOMEM", errno(t, err))
				continue
			}
			require.NoError(t, err)
			require.Equal(t, uint64(want)<<pageShift, got)
			for i := range n {
				used[want+i] = true
			}
		}
		require.NoError(t, s.Check())
	})
}

// TestRefused has what the kernel refuses, by errno.
func TestRefused(t *testing.T) {
	const base = uint64(0x10000000)
	file := &File{Path: "/etc/passwd", ReadOnly: true}
	s := newSpace(t, Config{MaxMapCount: 8, Limits: Limits{AS: 100 << pageShift, Data: 50 << pageShift, Memlock: 4 << pageShift}})
	mmap := func(addr, size uint64, p Prot, f MapFlags, file *File, off uint64) error {
		_, err := s.Mmap(addr, size, p, f, file, off)
		return err
	}
	remap := func(addr, a, b uint64, f RemapFlags, to uint64) error {
		_, err := s.Mremap(addr, a, b, f, to)
		return err
	}
	const pa = MapPrivate | MapAnonymous
	anon(t, s, base, 4, ProtRead)
	before := s.lines2()
	for name, c := range map[string]struct { // order does not matter
		err   error
		errno string
	}{
		"no length":          {mmap(0, 0, rw, pa, nil, 0), "EINVAL"},
		"too long":           {mmap(0, ^uint64(0), rw, pa, nil, 0), "ENOMEM"},
		"no kind":            {mmap(0, 1, rw, MapAnonymous, nil, 0), "EINVAL"},
		"no file":            {mmap(0, 1, rw, MapPrivate, nil, 0), "EBADF"},
		"offset":             {mmap(0, 1, rw, MapPrivate, file, 1<<52), "EOVERFLOW"},
		"fixed, unaligned":   {mmap(base+1, 1, rw, pa|MapFixed, nil, 0), "EINVAL"},
		"fixed, low":         {mmap(0x1000, 1, rw, pa|MapFixed, nil, 0), "EPERM"},
		"fixed, high":        {mmap(1<<63, 1, rw, pa|MapFixed, nil, 0), "ENOMEM"},
		"no replace":         {mmap(base, 1, rw, pa|MapFixedNoReplace, nil, 0), "EEXIST"},
		"shared, read-only":  {mmap(0, 1, rw, MapShared, file, 0), "EACCES"},
		"shared stack":       {mmap(0, 1, rw, MapShared|MapAnonymous|MapGrowsDown, nil, 0), "EINVAL"},
		"RLIMIT_AS":          {mmap(0, 97<<pageShift, ProtRead, pa, nil, 0), "ENOMEM"},
		"RLIMIT_DATA":        {mmap(0, 51<<pageShift, rw, pa, nil, 0), "ENOMEM"},
		"RLIMIT_MEMLOCK":     {mmap(0, 5<<pageShift, ProtRead, pa|MapLocked, nil, 0), "EAGAIN"},
		"munmap unaligned":   {s.Munmap(base+1, 1), "EINVAL"},
		"munmap nothing":     {s.Munmap(base, 0), "EINVAL"},
		"munmap beyond":      {s.Munmap(base, 1<<63), "EINVAL"},
		"mprotect unaligned": {s.Mprotect(base+1, 1, rw), "EINVAL"},
		"mprotect hole":      {s.Mprotect(base+4<<pageShift, 1, rw), "ENOMEM"},
		"madvise unaligned":  {s.Madvise(base+1, 1, 0), "EINVAL"},
		"madvise unknown":    {s.Madvise(base, 1, 99), "EINVAL"},
		"madvise hole":       {s.Madvise(base+8<<pageShift, 1, AdviseNormal), "ENOMEM"},
		"mlock too much":     {s.Mlock(base, 5<<pageShift), "ENOMEM"},
		"mlock hole":         {s.Mlock(base+8<<pageShift, 1), "ENOMEM"},
		"mremap flags":       {remap(base, 1, 1, RemapFixed, 0), "EINVAL"},
		"mremap to nothing":  {remap(base, 1, 0, 0, 0), "EINVAL"},
		"mremap hole":        {remap(base+8<<pageShift, 1, 1, 0, 0), "EFAULT"},
		"mremap too long":    {remap(base, 8<<pageShift, 9<<pageShift, RemapMayMove, 0), "EFAULT"},
		"mremap copy":        {remap(base, 0, 1, RemapMayMove, 0), "EINVAL"},
		"mremap over itself": {remap(base, 2<<pageShift, 2<<pageShift, RemapMayMove|RemapFixed, base+pageSize), "EINVAL"},
		"mremap RLIMIT_AS":   {remap(base, 4<<pageShift, 200<<pageShift, RemapMayMove, 0), "ENOMEM"},
		"write to read-only": {s.Write(base), "SIGSEGV"},
		"write to nothing":   {s.Write(base + 9<<pageShift), "SIGSEGV"},
		"bad address space":  {func() error { _, err := New(Config{TaskSize: 5}); return err }(), "EINVAL"},
	} {
		assert.Equal(t, c.errno, errno(t, c.err), "%s: %v", name, c.err)
	}
	assert.Equal(t, before, s.lines2(), "nothing has changed")
	// Splits up to max_map_count.
	for i := range uint64(4) {
		_, err := s.Mmap(base+(10+2*i)<<pageShift, pageSize, ProtRead, pa|MapFixed, nil, 0)
		require.NoError(t, err)
	}
	require.NoError(t, s.Munmap(base+pageSize, pageSize))
	require.NoError(t, s.Mprotect(base+3<<pageShift, pageSize, ProtNone))
	require.NoError(t, s.Mprotect(base+2<<pageShift, pageSize, rw))
	_, err := s.Mmap(base+20<<pageShift, 3<<pageShift, ProtExec, pa|MapFixed, nil, 0)
	require.NoError(t, err)
	require.Equal(t, 8, s.Count())
	assert.Equal(t, "ENOMEM", errno(t, s.Munmap(base+21<<pageShift, pageSize)))
	assert.Equal(t, "ENOMEM", errno(t, s.Mprotect(base+21<<pageShift, pageSize, rw)))
	require.NoError(t, s.Check())
	readOnly := newSpace(t, Config{})
	got, err := readOnly.Mmap(0, 1, ProtRead, MapShared, file, 0)
	require.NoError(t, err)
	assert.Equal(t, "EACCES", errno(t, readOnly.Mprotect(got, 1, rw)))
}

func (s *Space) lines2() string {
	var b strings.Builder
	_ = s.WriteMaps(&b)
	return b.String()
}

func TestBrk(t *testing.T) {
	const heap = uint64(0x5000000)
	s := newSpace(t, Config{Brk: heap, Limits: Limits{Data: 1 << 20}})
	assert.Equal(t, heap, s.Brk(0))
	assert.Equal(t, heap+100, s.Brk(heap+100))
	assert.Equal(t, heap+0x5000, s.Brk(heap+0x5000))
	assert.Equal(t, 1, s.Count(), "the heap grows as one VMA")
	assert.Contains(t, s.lines2(), "[heap]")
	assert.Equal(t, heap+0x5000, s.Brk(heap+2<<20), "RLIMIT_DATA")
	anon(t, s, heap+0x8000, 1, rw)
	assert.Equal(t, heap+0x5000, s.Brk(heap+0x9000), "something is in the way")
	assert.Equal(t, heap+0x1000, s.Brk(heap+0x1000))
	assert.Equal(t, heap, s.Brk(heap))
	assert.Equal(t, 1, s.Count())
	require.NoError(t, s.Check())
}

// TestMapsText reads the machine's own maps, and what the model writes in their
// form.
func TestMapsText(t *testing.T) {
	s := newSpace(t, Config{Brk: 0x555555559000})
	file := &File{Path: "/usr/bin/cat", Inode: 7340064, Major: 8, Minor: 1}
	_, err := s.Mmap(0x555555554000, 0x2000, ProtRead, MapPrivate|MapFixed, file, 0)
	require.NoError(t, err)
	s.Brk(0x55555557a000)
	_, err = s.Mmap(0x7ffffffde000, 0x21000, rw, MapPrivate|MapAnonymous|MapGrowsDown|MapFixed, nil, 0)
	require.NoError(t, err)
	const want = `555555554000-555555556000 r--p 00000000 08:01 7340064                    /usr/bin/cat
555555559000-55555557a000 rw-p 00000000 00:00 0                          [heap]
7ffffffde000-7fffffffeff0`
	assert.Equal(t, want[:strings.LastIndex(want, "\n")+1], s.lines2()[:strings.LastIndex(want, "\n")+1])
	regions := s.Regions()
	require.Len(t, regions, 5)
	assert.True(t, regions[1].Hole())
	assert.Equal(t, "[stack]", regions[4].Name)
	var b bytes.Buffer
	require.NoError(t, Draw(&b, regions, true))
	assert.Contains(t, b.String(), "| [stack] ")
	assert.Contains(t, b.String(), "<hole>")
	b.Reset()
	require.NoError(t, s.WriteStatm(&b, 3, 2))
	assert.Equal(t, "68 3 2 0 0 66 0\n", b.String())
	if own, err := os.Open("/proc/self/maps"); err == nil {
		defer own.Close()
		got, err := ReadMaps(own, "maps")
		require.NoError(t, err)
		require.NotEmpty(t, got)
	}
	for _, text := range []string{"x", "1-0 rwxp 0 0:0 0", "1-2 rwxp 0 0:0", "5-6 rwxp 0 0:0 0\n1-2 rwxp 0 0:0 0", "1-2 rw 0 0:0 0"} {
		_, err := ReadMaps(strings.NewReader(text), "f")
		var wrong *ParseError
		require.ErrorAs(t, err, &wrong, text)
	}
}

func FuzzReadMaps(f *testing.F) {
	f.Add("555555554000-555555556000 r--p 00000000 08:01 7340064  /usr/bin/cat\n7000-8000 rw-p 0 00:00 0\n")
	f.Add("1000-2000 rw-p 0 00:00 0 [heap]\n5000-6000 ---p 0 00:00 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ReadMaps(strings.NewReader(text), "f"); err == nil {
			_ = Draw(&bytes.Buffer{}, r, true)
		}
	})
}

// BenchmarkMmapMunmap maps a page and unmaps it among 100,000 VMAs.
func BenchmarkMmapMunmap(b *testing.B) {
	s, err := New(Config{MaxMapCount: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100_000 {
		// Ever other permissions, and holes of a page: nothing joins.
		if _, err := s.Mmap(0x100000000+uint64(i)*0x2000, pageSize, Prot(1+i%2*4), MapPrivate|MapAnonymous|MapFixed, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i = (i*7919 + 1) % 100_000
		addr := 0x100000000 + uint64(i)*0x2000 + 0x1000
		if _, err := s.Mmap(addr, pageSize, ProtRead|ProtWrite, MapPrivate|MapAnonymous|MapFixed, nil, 0); err != nil {
			b.Fatal(err)
		}
		if err := s.Munmap(addr, pageSize); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleSpace() {
	s, _ := New(Config{TaskSize: 1 << 30, MmapBase: 1 << 29})
	a, _ := s.Mmap(0, 4*4096, ProtRead|ProtWrite, MapPrivate|MapAnonymous, nil, 0)
	_ = s.Mprotect(a+4096, 4096, ProtRead)
	s.Each(func(v VMA) bool {
		fmt.Printf("%x-%x %s\n", v.Start, v.End, v.Flags.Perms())
		return true
	})
	// Output:
	// 1fffc000-1fffd000 rw-p
	// 1fffd000-1fffe000 r--p
	// 1fffe000-20000000 rw-p
}
