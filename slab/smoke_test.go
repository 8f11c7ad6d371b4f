package slab

import (
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/require"
)

func TestSmoke(t *testing.T) {
	for _, p := range Profiles() {
		for _, contents := range []bool{false, true} {
			a := newTest(t, p, 2, func(c *Config) { c.Contents = contents })
			var objs []uint64
			r := NewSeededRandom(1)
			for i := range 20000 {
				cpu := buddy.CPU(r.Below(2))
				if r.Below(100) < 50+uint32(i/1000%2*8) {
					addr, err := a.Kmalloc(cpu, uint64(r.Below(10000)), buddy.GFPKernel)
					require.NoError(t, err)
					objs = append(objs, addr)
				} else if len(objs) > 0 {
					k := r.Below(uint32(len(objs)))
					require.NoError(t, a.Kfree(cpu, objs[k]))
					objs[k] = objs[len(objs)-1]
					objs = objs[:len(objs)-1]
				}
				if i%500 == 0 {
					require.NoError(t, a.Check(), "%d", i)
				}
			}
			for _, o := range objs {
				require.NoError(t, a.Kfree(0, o))
			}
			require.NoError(t, a.Check())
			for _, c := range a.Caches() {
				_, err := c.Shrink(0)
				require.NoError(t, err)
			}
			require.NoError(t, a.Check())
			require.Zero(t, a.source.(*LinearPages).InUse)
		}
	}
}
