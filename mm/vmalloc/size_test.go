package vmalloc_test

import (
	"testing"

	"github.com/kernsim/kernsim/mm/vmalloc"
	"github.com/stretchr/testify/require"
)

func TestPlanOf(t *testing.T) {
	const max, total = 4 << 20, 1 << 18
	for _, c := range []struct {
		call vmalloc.Call
		size uint64
		want vmalloc.Plan
	}{
		{vmalloc.Vmalloc, 1, vmalloc.Plan{Pages: 1}},
		{vmalloc.Vmalloc, 4096, vmalloc.Plan{Pages: 1}},
		{vmalloc.Vmalloc, 4097, vmalloc.Plan{Pages: 2}},
		{vmalloc.Vmalloc, 4194305, vmalloc.Plan{Pages: 1025}},
		{vmalloc.Kvmalloc, 0, vmalloc.Plan{Contiguous: true}},
		{vmalloc.Kvmalloc, 4194304, vmalloc.Plan{Contiguous: true}},
		{vmalloc.Kvmalloc, 4194305, vmalloc.Plan{Pages: 1536, Large: true}},
		{vmalloc.Kvmalloc, 33554433, vmalloc.Plan{Pages: 8704, Large: true}},
	} {
		got, err := vmalloc.PlanOf(c.call, c.size, max, total)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.size)
	}
	var bad *vmalloc.SizeError
	for _, size := range []uint64{0, 1 << 40, 1<<64 - 1} {
		_, err := vmalloc.PlanOf(vmalloc.Vmalloc, size, max, total)
		require.ErrorAs(t, err, &bad)
	}
}
