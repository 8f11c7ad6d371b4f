package fault

import (
	"strings"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/mm/vma"
	"github.com/kernsim/kernsim/slab"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	rw   = vma.ProtRead | vma.ProtWrite
	base = uint64(0x10000000)
	anon = vma.MapPrivate | vma.MapAnonymous | vma.MapFixed
)

func newMemory(t require.TestingT) (*Machine, *Memory) {
	s, err := vma.New(vma.Config{})
	require.NoError(t, err)
	m := NewMachine()
	return m, New(m, s, 1<<20)
}

func mmap(t require.TestingT, x *Memory, addr, pages uint64, p vma.Prot, flags vma.MapFlags, f *vma.File, off uint64) {
	_, err := x.Mmap(addr, pages<<pageShift, p, flags, f, off)
	require.NoError(t, err)
}

func access(t require.TestingT, x *Memory, addr uint64, write bool) Kind {
	k, err := x.Access(addr, write, false)
	require.NoError(t, err)
	return k
}

func signal(t *testing.T, err error) string {
	var s *Signal
	require.ErrorAs(t, err, &s)
	return s.Name + " " + s.Code
}

func TestAnonymous(t *testing.T) {
	m, x := newMemory(t)
	mmap(t, x, base, 4, rw, anon, nil, 0)
	assert.Equal(t, Minor, access(t, x, base, false))
	assert.Zero(t, x.Resident(), "the zero page is nobody's")
	assert.Equal(t, Hit, access(t, x, base+5, false))
	assert.Equal(t, Minor, access(t, x, base, true), "a page of its own")
	assert.Equal(t, uint64(1), x.AnonPages)
	assert.Equal(t, Hit, access(t, x, base, true))
	require.NoError(t, x.DontNeed(base, pageSize))
	assert.Zero(t, m.Frames())
	assert.Equal(t, Minor, access(t, x, base, true))
	require.NoError(t, x.Munmap(base, 4<<pageShift))
	_, err := x.Access(base, false, false)
	assert.Equal(t, "SIGSEGV SEGV_MAPERR", signal(t, err))
	assert.Equal(t, uint64(3), x.MinorFaults)
	require.NoError(t, x.Check())
}

func TestForbidden(t *testing.T) {
	_, x := newMemory(t)
	mmap(t, x, base, 1, vma.ProtRead, anon, nil, 0)
	_, err := x.Access(base, true, false)
	assert.Equal(t, "SIGSEGV SEGV_ACCERR", signal(t, err))
	_, err = x.Access(base, false, true)
	assert.Equal(t, "SIGSEGV SEGV_ACCERR", signal(t, err))
	require.NoError(t, x.Mprotect(base, 1, rw))
	access(t, x, base, true)
	require.NoError(t, x.Mprotect(base, 1, vma.ProtNone))
	_, err = x.Access(base, false, false)
	assert.Equal(t, "SIGSEGV SEGV_ACCERR", signal(t, err), "a page that is there, but forbidden")
	require.NoError(t, x.Mprotect(base, 1, rw))
	assert.Equal(t, Hit, access(t, x, base, true))
}

func TestFiles(t *testing.T) {
	m, x := newMemory(t)
	f := &vma.File{Path: "f"}
	m.SetSize(f, 20*pageSize+1)
	mmap(t, x, base, 64, rw, vma.MapPrivate|vma.MapFixed, f, 0)
	assert.Equal(t, Major, access(t, x, base, false), "from the disk")
	m.Cache(f, 0, 64)
	assert.Equal(t, Minor, access(t, x, base+pageSize, false))
	assert.Equal(t, uint64(16), x.FilePages, "and those around it")
	assert.Equal(t, Hit, access(t, x, base+15*pageSize, false))
	assert.Equal(t, Minor, access(t, x, base+15*pageSize, true), "a copy")
	assert.Equal(t, [2]uint64{15, 1}, [2]uint64{x.FilePages, x.AnonPages})
	access(t, x, base+20*pageSize, false)
	_, err := x.Access(base+21*pageSize, false, false)
	assert.Equal(t, "SIGBUS BUS_ADRERR", signal(t, err))
	mmap(t, x, base+1<<30, 2, rw, vma.MapShared|vma.MapFixed, f, 0)
	access(t, x, base+1<<30, false)
	assert.Equal(t, Minor, access(t, x, base+1<<30, true), "the file is told that it is dirty")
	mmap(t, x, base+2<<30, 2, rw, vma.MapShared|vma.MapFixed|vma.MapAnonymous, nil, 0)
	access(t, x, base+2<<30, true)
	assert.Equal(t, uint64(1), x.ShmemPages)
	require.NoError(t, x.Check())
}

func TestForkCopiesOnWrite(t *testing.T) {
	m, x := newMemory(t)
	mmap(t, x, base, 8, rw, anon, nil, 0)
	for i := range uint64(4) {
		access(t, x, base+i<<pageShift, true)
	}
	child, err := x.Fork()
	require.NoError(t, err)
	assert.Equal(t, 4, m.Frames(), "shared")
	assert.Equal(t, uint64(4), child.AnonPages)
	assert.Equal(t, Hit, access(t, child, base, false))
	assert.Equal(t, Minor, access(t, child, base, true), "a copy")
	assert.Equal(t, 5, m.Frames())
	assert.Equal(t, Minor, access(t, x, base, true), "the last one keeps the page")
	assert.Equal(t, 5, m.Frames())
	require.NoError(t, x.Check())
	require.NoError(t, child.Check())
	child.Exit()
	assert.Equal(t, 4, m.Frames())
	m.Limit = 4
	_, err = x.Access(base+5<<pageShift, true, false)
	require.ErrorIs(t, err, ErrNoMemory)
	require.NoError(t, x.Check())
}

// TestRefusedPages: where a refused call has taken a mapping away, its pages are
// gone, too; lengths without end take no time.
func TestRefusedPages(t *testing.T) {
	left := uint64(4)
	s, err := vma.New(vma.Config{
		Charge: func(n uint64) bool {
			if n > left {
				return false
			}
			left -= n
			return true
		},
		Uncharge: func(n uint64) { left += n },
	})
	require.NoError(t, err)
	m := NewMachine()
	x := New(m, s, 0)
	mmap(t, x, base, 4, rw, anon, nil, 0)
	access(t, x, base, true)
	_, err = x.Mmap(base, 64<<pageShift, rw, anon, nil, 0)
	require.Error(t, err)
	require.NoError(t, x.Check())
	assert.Zero(t, m.Frames(), "mmap gives up what was there before it asks for memory")

	mmap(t, x, base, 4, rw, anon, nil, 0)
	for i := range uint64(4) {
		access(t, x, base+i<<pageShift, true)
	}
	_, err = x.Mremap(base, 4<<pageShift, 1<<63, vma.RemapMayMove|vma.RemapFixed, base+1<<30)
	require.Error(t, err)
	require.NoError(t, x.Check())
	assert.Equal(t, 4, m.Frames())
	mmap(t, x, base+1<<30, 1<<28, vma.ProtNone, anon, nil, 0)
	_, err = x.Mremap(base+1<<30, 1<<40, 1<<40, vma.RemapMayMove|vma.RemapFixed, base+4<<40)
	require.NoError(t, err)
	require.NoError(t, x.Check())
	x.Exit()
	assert.Zero(t, m.Frames())
}

func TestStackGrows(t *testing.T) {
	_, x := newMemory(t)
	top := base + 1<<30
	mmap(t, x, top, 4, rw, anon|vma.MapGrowsDown, nil, 0)
	assert.Equal(t, Minor, access(t, x, top-5*pageSize, true))
	assert.Equal(t, uint64(9), x.Space().TotalPages())
	_, err := x.Access(top-2<<20, true, false)
	assert.Equal(t, "SIGSEGV SEGV_MAPERR", signal(t, err), "RLIMIT_STACK")
	mmap(t, x, top-100*pageSize, 1, rw, anon, nil, 0)
	_, err = x.Access(top-50*pageSize, true, false)
	assert.Equal(t, "SIGSEGV SEGV_MAPERR", signal(t, err), "the guard of 256 pages")
	require.NoError(t, x.Check())
	require.NoError(t, x.Space().Check())
}

// TestContents gives every page a value and compares what parent and child read
// with two arrays: copy-on-write must not be seen.
func TestContents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const pages = 20
		m, parent := newMemory(t)
		mmap(t, parent, base, pages, rw, anon, nil, 0)
		procs := []*Memory{parent}
		model := [][pages]int{{}}
		content := map[uint32]int{} // by frame
		frame := func(x *Memory, i int) (uint32, bool) {
			e := x.at(base+uint64(i)<<pageShift, false)
			if e == nil || e.frame == 0 {
				return 0, false
			}
			return e.frame, true
		}
		value := 0
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p, i := rapid.IntRange(0, len(procs)-1).Draw(t, "process"), rapid.IntRange(0, pages-1).Draw(t, "page")
				access(t, procs[p], base+uint64(i)<<pageShift, true)
				value++
				f, ok := frame(procs[p], i)
				require.True(t, ok)
				content[f] = value
				model[p][i] = value
			},
			"fork": func(t *rapid.T) {
				if len(procs) > 5 {
					t.Skip()
				}
				p := rapid.IntRange(0, len(procs)-1).Draw(t, "process")
				child, err := procs[p].Fork()
				require.NoError(t, err)
				procs, model = append(procs, child), append(model, model[p])
			},
			"exit": func(t *rapid.T) {
				p := rapid.IntRange(0, len(procs)-1).Draw(t, "process")
				if p == 0 {
					t.Skip()
				}
				procs[p].Exit()
				procs, model = append(procs[:p], procs[p+1:]...), append(model[:p], model[p+1:]...)
			},
			"dontneed": func(t *rapid.T) {
				p, i := rapid.IntRange(0, len(procs)-1).Draw(t, "process"), rapid.IntRange(0, pages-1).Draw(t, "page")
				require.NoError(t, procs[p].DontNeed(base+uint64(i)<<pageShift, pageSize))
				model[p][i] = 0
			},
			"": func(t *rapid.T) {
				seen := map[uint32]bool{}
				for p := range procs {
					require.NoError(t, procs[p].Check())
					for i := range pages {
						f, ok := frame(procs[p], i)
						if !ok {
							require.Zero(t, model[p][i])
							continue
						}
						seen[f] = true
						require.Equal(t, model[p][i], content[f])
					}
				}
				require.Equal(t, len(seen), m.Frames())
			},
		})
	})
}

func BenchmarkFault(b *testing.B) {
	s, _ := vma.New(vma.Config{})
	x := New(NewMachine(), s, 0)
	const pages = 1 << 14
	if _, err := x.Mmap(base, pages<<pageShift, rw, anon, nil, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		if i == pages {
			b.StopTimer()
			_ = x.DontNeed(base, pages<<pageShift)
			i = 0
			b.StartTimer()
		}
		if _, err := x.Access(base+i<<pageShift, true, false); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// TestTexts: a parent and a child that share pages, in smaps, its sums, statm and
// status.
func TestTexts(t *testing.T) {
	_, x := newMemory(t)
	mmap(t, x, base, 4, rw, anon, nil, 0)
	f := &vma.File{Path: "/data", Inode: 7}
	mmap(t, x, base+16<<pageShift, 2, vma.ProtRead, vma.MapPrivate|vma.MapFixed, f, 3)
	for i := range uint64(4) {
		access(t, x, base+i<<pageShift, true)
	}
	access(t, x, base+16<<pageShift, false)
	child, err := x.Fork()
	require.NoError(t, err)
	access(t, child, base, true)
	var b strings.Builder
	require.NoError(t, child.WriteSmaps(&b, false))
	first, _, _ := strings.Cut(b.String(), "LazyFree")
	assert.Equal(t, `10000000-10004000 rw-p 00000000 00:00 0 
Size:                 16 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                  16 kB
Pss:                  10 kB
Pss_Dirty:            10 kB
Shared_Clean:          0 kB
Shared_Dirty:         12 kB
Private_Clean:         0 kB
Private_Dirty:         4 kB
Referenced:            4 kB
Anonymous:            16 kB
`, first)
	assert.Contains(t, b.String(), "VmFlags: rd mr mw me \n")
	assert.NotContains(t, b.String(), "KSM")
	b.Reset()
	require.NoError(t, x.WriteSmapsRollup(&b, true))
	assert.True(t, strings.HasPrefix(b.String(), "10000000-10012000 ---p 00000000 00:00 0                                  [rollup]\nRss:                  20 kB\nPss:                  14 kB\n"), b.String())
	assert.Contains(t, b.String(), "Pss_Anon:             10 kB\nPss_File:              4 kB\nPss_Shmem:             0 kB\n")
	assert.Contains(t, b.String(), "KSM:                   0 kB\n")
	b.Reset()
	require.NoError(t, x.WriteStatm(&b))
	assert.Equal(t, "6 5 1 0 0 4 0\n", b.String())
	require.NoError(t, x.Munmap(base, 4<<pageShift))
	b.Reset()
	require.NoError(t, x.WriteStatus(&b))
	assert.Equal(t, "VmPeak:\t      24 kB\nVmSize:\t       8 kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t      20 kB\nVmRSS:\t       4 kB\nRssAnon:\t       0 kB\nRssFile:\t       4 kB\nRssShmem:\t       0 kB\nVmData:\t       0 kB\nVmStk:\t       0 kB\nVmSwap:\t       0 kB\n", b.String())
	child.Exit()
	x.Exit()
	assert.Empty(t, x.m.members)
}

// TestPopulate: MAP_POPULATE and mlock fault the pages in: written to where that gives
// pages of one's own.
func TestPopulate(t *testing.T) {
	_, x := newMemory(t)
	mmap(t, x, base, 4, rw, anon|vma.MapPopulate, nil, 0)
	assert.Equal(t, []uint64{4, 4, 0}, []uint64{x.AnonPages, x.MinorFaults, x.MajorFaults})
	mmap(t, x, base+16<<pageShift, 4, vma.ProtRead, anon|vma.MapPopulate, nil, 0)
	assert.Equal(t, uint64(4), x.AnonPages, "the zero page")
	mmap(t, x, base+32<<pageShift, 4, rw, vma.MapShared|vma.MapAnonymous|vma.MapFixed, nil, 0)
	require.NoError(t, x.Mlock(base+33<<pageShift, 2<<pageShift))
	assert.Equal(t, uint64(2), x.ShmemPages)
	mmap(t, x, base+64<<pageShift, 2, vma.ProtNone, anon|vma.MapPopulate, nil, 0)
	assert.Equal(t, uint64(6), x.Resident())
	require.NoError(t, x.Check())
}

// TestPageSource: frames come from the source and go back there; without any the fault
// fails and nothing changes.
func TestPageSource(t *testing.T) {
	pages := slab.NewLinearPages(1, 3)
	m, x := newMemory(t)
	m.Pages, m.Huge = pages, HugeAlways
	mmap(t, x, hugeBase, 2*tableSize, rw, anon, nil, 0)
	for i := range uint64(3) {
		access(t, x, hugeBase+i<<pageShift, true)
		pfn, ok := x.PFN(hugeBase + i<<pageShift)
		assert.True(t, ok)
		assert.Equal(t, buddy.PFN(1<<20)+buddy.PFN(i), pfn)
	}
	_, err := x.Access(hugeBase+9<<pageShift, true, false)
	require.ErrorIs(t, err, ErrNoMemory)
	require.ErrorIs(t, err, slab.ErrNoPages)
	_, ok := x.PFN(hugeBase + 9<<pageShift)
	assert.False(t, ok)
	require.NoError(t, x.Check())
	require.NoError(t, x.DontNeed(hugeBase, pageSize))
	assert.Equal(t, uint64(2), pages.InUse)
	access(t, x, hugeBase+9<<pageShift, true)
	x.Exit()
	assert.Zero(t, pages.InUse)
}
