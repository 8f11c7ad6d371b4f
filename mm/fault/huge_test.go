package fault

import (
	"strings"
	"testing"

	"github.com/kernsim/kernsim/mm/vma"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hugeBase = uint64(1) << 30

// hugeMemory has 4 huge pages' room, less a page at each end.
func hugeMemory(t *testing.T, mode HugeMode) (*Machine, *Memory) {
	m, x := newMemory(t)
	m.Huge = mode
	mmap(t, x, hugeBase+pageSize, 4*tableSize-2, rw, anon, nil, 0)
	return m, x
}

func hugeKB(t *testing.T, x *Memory) string {
	var b strings.Builder
	require.NoError(t, x.WriteSmapsRollup(&b, false))
	for l := range strings.Lines(b.String()) {
		if strings.HasPrefix(l, "AnonHugePages:") {
			return strings.Fields(l)[1]
		}
	}
	return ""
}

// TestHugeWhere: a huge page only where an aligned place is all of the VMA's, empty,
// and wanted.
func TestHugeWhere(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   HugeMode
		advice vma.Advice
		before func(x *Memory)
		at     uint64
		pages  uint64
	}{
		{"always", HugeAlways, 0, nil, hugeBase + hugeSize, 512},
		{"in the middle of it", HugeAlways, 0, nil, hugeBase + hugeSize + 100*pageSize, 512},
		{"never", HugeNever, vma.AdviseHugePage, nil, hugeBase + hugeSize, 1},
		{"madvise, not asked for", HugeMadvise, 0, nil, hugeBase + hugeSize, 1},
		{"madvise", HugeMadvise, vma.AdviseHugePage, nil, hugeBase + hugeSize, 512},
		{"always, but not here", HugeAlways, vma.AdviseNoHugePage, nil, hugeBase + hugeSize, 1},
		{"the beginning is not in the VMA", HugeAlways, 0, nil, hugeBase + 100*pageSize, 1},
		{"the end is not in the VMA", HugeAlways, 0, nil, hugeBase + 3*hugeSize, 1},
		{"no memory for it", HugeAlways, 0, func(x *Memory) { x.m.Limit = 511 }, hugeBase + hugeSize, 1},
		{"a page table is there", HugeAlways, 0, func(x *Memory) {
			x.m.Huge = HugeNever
			_, _ = x.Access(hugeBase+hugeSize, true, false)
			_ = x.DontNeed(hugeBase+hugeSize, pageSize)
			x.m.Huge = HugeAlways
		}, hugeBase + hugeSize, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, x := hugeMemory(t, c.mode)
			if c.advice != 0 {
				require.NoError(t, x.Madvise(hugeBase+pageSize, (4*tableSize-2)<<pageShift, c.advice))
			}
			if c.before != nil {
				c.before(x)
			}
			assert.Equal(t, Minor, access(t, x, c.at, true))
			assert.Equal(t, c.pages, x.AnonPages)
			assert.EqualValues(t, c.pages, m.Frames())
			require.NoError(t, x.Check())
			x.Exit()
			assert.Zero(t, m.Frames())
		})
	}
}

// TestHugeSplit: what treats a part splits, what treats all of it does not.
func TestHugeSplit(t *testing.T) {
	const at, half = hugeBase + hugeSize, hugeSize / 2
	for _, c := range []struct {
		name  string
		do    func(x *Memory) error
		pages uint64
		kb    string
	}{
		{"nothing", func(*Memory) error { return nil }, 512, "2048"},
		{"read-only, all of it", func(x *Memory) error { return x.Mprotect(at, hugeSize, vma.ProtRead) }, 512, "2048"},
		{"read-only, half of it", func(x *Memory) error { return x.Mprotect(at, half, vma.ProtRead) }, 512, "0"},
		{"half of it gone", func(x *Memory) error { return x.Munmap(at+half, half) }, 256, "0"},
		{"half of it dropped", func(x *Memory) error { return x.DontNeed(at, half) }, 256, "0"},
		{"all of it dropped", func(x *Memory) error { return x.DontNeed(at, hugeSize) }, 0, "0"},
		{"moved as a whole", func(x *Memory) error {
			_, err := x.Mremap(at, hugeSize, hugeSize, vma.RemapMayMove|vma.RemapFixed, at+64*hugeSize)
			return err
		}, 512, "2048"},
		{"moved by a page", func(x *Memory) error {
			_, err := x.Mremap(at, hugeSize, hugeSize, vma.RemapMayMove|vma.RemapFixed, at+64*hugeSize+pageSize)
			return err
		}, 512, "0"},
		{"not for children, half of it", func(x *Memory) error { return x.Madvise(at, half, vma.AdviseDontFork) }, 512, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, x := hugeMemory(t, HugeAlways)
			access(t, x, at, true)
			require.NoError(t, c.do(x))
			assert.Equal(t, c.pages, x.AnonPages)
			assert.Equal(t, c.kb, hugeKB(t, x))
			require.NoError(t, x.Check())
			x.Exit()
			assert.Zero(t, m.Frames())
		})
	}
}

// TestHugeFork: a write to a shared huge page copies one small page; once nobody
// else has it, it is written to as it is.
func TestHugeFork(t *testing.T) {
	m, x := hugeMemory(t, HugeAlways)
	const at = hugeBase + hugeSize
	access(t, x, at, true)
	child, err := x.Fork()
	require.NoError(t, err)
	assert.Equal(t, 512, m.Frames())
	assert.Equal(t, "2048", hugeKB(t, child))
	access(t, child, at+5*pageSize, true)
	assert.Equal(t, 513, m.Frames())
	assert.Equal(t, "0", hugeKB(t, child))
	assert.Equal(t, "2048", hugeKB(t, x))
	require.NoError(t, x.Check())
	require.NoError(t, child.Check())
	require.Error(t, x.Collapse(at+hugeSize), "nothing is there")
	require.Error(t, child.Collapse(at), "its pages are the parent's, too")
	child.Exit()
	assert.Equal(t, 512, m.Frames())
	access(t, x, at+9*pageSize, true)
	assert.Equal(t, "2048", hugeKB(t, x))
	require.NoError(t, x.Mprotect(at, pageSize, vma.ProtRead))
	require.NoError(t, x.Mprotect(at, pageSize, rw))
	assert.Equal(t, "0", hugeKB(t, x))
	require.NoError(t, x.Collapse(at+7))
	assert.Equal(t, "2048", hugeKB(t, x))
	require.NoError(t, x.Check())
	x.Exit()
	assert.Zero(t, m.Frames())
}

// TestHugeZero: a read maps 2 MiB of nothing; a write then takes one page, on newer
// kernels a huge one.
func TestHugeZero(t *testing.T) {
	for _, copied := range []bool{false, true} {
		m, x := hugeMemory(t, HugeAlways)
		m.HugeZero, m.HugeZeroCopied = true, copied
		const at = hugeBase + hugeSize
		assert.Equal(t, Minor, access(t, x, at, false))
		assert.Equal(t, Hit, access(t, x, at+300*pageSize, false))
		assert.Zero(t, x.Resident())
		access(t, x, at+300*pageSize, true)
		assert.Equal(t, map[bool]uint64{false: 1, true: 512}[copied], x.AnonPages)
		require.NoError(t, x.Check())
	}
}
