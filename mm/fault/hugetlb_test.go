package fault

import (
	"strings"
	"testing"

	"github.com/kernsim/kernsim/mm/vma"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const tlb = vma.MapPrivate | vma.MapAnonymous | vma.MapHugeTLB

func tlbMemory(t *testing.T, pages uint64) (*vma.HugePool, *Memory) {
	pool, err := vma.NewHugePool(2<<20, pages)
	require.NoError(t, err)
	s, err := vma.New(vma.Config{Huge: pool})
	require.NoError(t, err)
	return pool, New(NewMachine(), s, 0)
}

func meminfo(p *vma.HugePool) [3]string {
	var out [3]string
	for i, l := range strings.Split(p.MemInfo(), "\n")[:3] {
		out[i] = strings.Fields(l)[1]
	}
	return out
}

// TestHugeTLB: pages are kept when they are mapped, used when they are touched, and
// given back.
func TestHugeTLB(t *testing.T) {
	pool, x := tlbMemory(t, 5)
	at, err := x.Mmap(0, 5<<20, rw, tlb, nil, 0) // rounded up to 3
	require.NoError(t, err)
	assert.Zero(t, at%(2<<20))
	assert.Equal(t, [3]string{"5", "5", "3"}, meminfo(pool))
	_, err = x.Mmap(0, 3*2<<20, rw, tlb, nil, 0)
	require.ErrorContains(t, err, "ENOMEM")
	assert.Equal(t, Minor, access(t, x, at+12345, true))
	assert.Equal(t, Hit, access(t, x, at+2<<20-1, false))
	assert.Equal(t, [3]string{"5", "4", "2"}, meminfo(pool))
	assert.Zero(t, x.Resident())
	require.NoError(t, pool.Check())
	var b strings.Builder
	require.NoError(t, x.WriteSmaps(&b, false))
	assert.Contains(t, b.String(), "KernelPageSize:     2048 kB\n")
	assert.Contains(t, b.String(), "Private_Hugetlb:    2048 kB\n")
	assert.Contains(t, b.String(), "VmFlags: rd wr mr mw me de ht \n")
	assert.Contains(t, b.String(), "/anon_hugepage (deleted)\n")
	require.ErrorContains(t, x.Munmap(at, pageSize), "EINVAL")
	require.ErrorContains(t, x.Mprotect(at+pageSize, pageSize, vma.ProtRead), "EINVAL")
	_, err = x.Mremap(at, 2<<20, 4<<20, vma.RemapMayMove, 0)
	require.ErrorContains(t, err, "EINVAL")
	_, err = x.Mmap(at+pageSize, 2<<20, rw, tlb|vma.MapFixed, nil, 0)
	require.ErrorContains(t, err, "EINVAL")
	_, err = x.Mmap(0, 2<<20, rw, tlb|vma.MapHuge1GB, nil, 0)
	require.ErrorContains(t, err, "EINVAL")
	require.NoError(t, x.Munmap(at, 2<<20))
	assert.Equal(t, [3]string{"5", "5", "2"}, meminfo(pool))
	require.NoError(t, x.Check())
	x.Exit()
	require.NoError(t, x.Munmap(at+2<<20, 4<<20))
	assert.Equal(t, [3]string{"5", "5", "0"}, meminfo(pool))
	require.NoError(t, pool.Check())
}

// TestHugeTLBFork: a child has no pages kept for it; a write that needs one and finds
// none is a SIGBUS.
func TestHugeTLBFork(t *testing.T) {
	pool, x := tlbMemory(t, 2)
	at, err := x.Mmap(0, 2<<20, rw, tlb, nil, 0)
	require.NoError(t, err)
	access(t, x, at, true)
	child, err := x.Fork()
	require.NoError(t, err)
	assert.Equal(t, Minor, access(t, child, at, true))
	assert.Equal(t, [3]string{"2", "0", "0"}, meminfo(pool))
	other, err := x.Fork()
	require.NoError(t, err)
	_, err = other.Access(at, true, false)
	var signal *Signal
	require.ErrorAs(t, err, &signal)
	assert.Equal(t, "SIGBUS", signal.Name)
	child.Exit()
	assert.Equal(t, Minor, access(t, other, at, true))
	assert.Equal(t, Minor, access(t, x, at, true), "it was made read-only by fork")
	other.Exit()
	require.NoError(t, x.Munmap(at, 2<<20))
	assert.Equal(t, [3]string{"2", "2", "0"}, meminfo(pool))
	require.NoError(t, pool.Check())
}

// TestHugeTLBShared: processes have the same page, and it goes along when moved.
func TestHugeTLBShared(t *testing.T) {
	pool, x := tlbMemory(t, 2)
	at, err := x.Mmap(0, 2<<20, rw, vma.MapShared|vma.MapAnonymous|vma.MapHugeTLB, nil, 0)
	require.NoError(t, err)
	child, err := x.Fork()
	require.NoError(t, err)
	access(t, child, at, true)
	access(t, x, at, true)
	assert.Equal(t, [3]string{"2", "1", "0"}, meminfo(pool))
	to, err := x.Mremap(at, 2<<20, 2<<20, vma.RemapMayMove|vma.RemapFixed, at+64<<21)
	require.NoError(t, err)
	assert.Equal(t, Hit, access(t, x, to, true))
	require.NoError(t, x.Munmap(to, 2<<20))
	assert.Equal(t, [3]string{"2", "1", "0"}, meminfo(pool), "the child has it")
	require.NoError(t, pool.Check())
	require.NoError(t, child.Munmap(at, 2<<20))
	assert.Equal(t, [3]string{"2", "2", "0"}, meminfo(pool))
	require.NoError(t, pool.Check())
	_, err = vma.NewHugePool(4096, 1)
	require.Error(t, err)
}
