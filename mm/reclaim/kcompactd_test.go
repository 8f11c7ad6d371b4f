package reclaim

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
)

// TestKcompactd: kswapd wakes kcompactd when it has balanced a node for an order, after
// the marks of pageblocks are forgotten; for pageblocks, before that, when watermarks were
// boosted; and for a request that cannot compact where there is nothing to reclaim.
func TestKcompactd(t *testing.T) {
	var log []string
	x := newMachine(t, 32, 1, Config{Swappiness: 60,
		KswapdSleeps: func(buddy.NodeID) { log = append(log, "sleeps") },
		WakeKcompactd: func(_ buddy.NodeID, order buddy.Order, highest buddy.ZoneType) {
			log = append(log, fmt.Sprint(order, " ", highest))
		},
	})
	x.a.SetBoostFactor(0)
	said := func() (out []string) {
		out, log = log, nil
		return out
	}
	x.m.wake(0, 3, buddy.ZoneDMA32, buddy.GFPNowait)
	assert.Equal(t, []string{"3 DMA32"}, said())
	x.m.wake(0, 3, buddy.ZoneDMA32, buddy.GFPKernel)
	x.m.wake(0, 0, buddy.ZoneDMA32, buddy.GFPNowait)
	assert.Empty(t, said())
	x.m.nodes[0].kswapd = kswapd{}
	x.fill(Use{File: true})
	assert.Equal(t, []string{"sleeps"}, said(), "for single pages nobody compacts")
	x.a.SetBoost(x.a.NumZones()-1, 100)
	x.m.wake(0, 2, buddy.ZoneDMA32, buddy.GFPKernel)
	assert.Equal(t, []string{"9 DMA32", "sleeps", "2 DMA32"}, said())
	x.m.c.WakeKcompactd, x.m.c.KswapdSleeps = nil, nil
	x.a.SetBoost(x.a.NumZones()-1, 100)
	x.m.wake(0, 2, buddy.ZoneDMA32, buddy.GFPKernel)
	x.check()
}
