package compaction

import (
	"errors"
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// ErrProactiveness: vm.compaction_proactiveness is 0 to 100 (EINVAL).
var ErrProactiveness = errors.New("compaction: proactiveness is not in 0 to 100")

// daemon is a node's kcompactd.
type daemon struct {
	// order and highest are what it was woken for: the largest order, 0 for none, and
	// the lowest of the highest types of zone.
	order   buddy.Order
	highest buddy.ZoneType
	// trigger: somebody wrote vm.compaction_proactiveness.
	trigger, running bool
	// kswapd says whether the node's kswapd runs.
	kswapd bool
}

// How long kcompactd sleeps, in milliseconds: HPAGE_FRAG_CHECK_INTERVAL_MSEC, and after
// it could do nothing about fragmentation.
const (
	checkEvery = 500
	checkLater = checkEvery << maxShift
	// Forever is how long kcompactd sleeps that only wakes when it is woken.
	Forever = -1
)

// Wake asks a node's kcompactd for blocks of an order in zones up to a type, and says
// whether it wakes: it sleeps, and there is a zone that can be compacted. What it was
// asked for it remembers in any case (wakeup_kcompactd).
func (c *Compactor) Wake(id buddy.NodeID, order buddy.Order, highest buddy.ZoneType) bool {
	if uint(id) >= uint(len(c.nodes)) || order <= 0 || order >= buddy.MaxOrders {
		return false
	}
	d := &c.nodes[id]
	d.order, d.highest = max(d.order, order), min(d.highest, highest)
	able := false
	c.eachZone(id, d.highest, func(i int, _ *zone) {
		able = able || c.a.DaemonSuitable(i, d.order, d.highest) == buddy.CompactContinue
	})
	return able && !d.running
}

// Daemon lets a node's kcompactd, that was woken or has slept for its time, do its work
// on a CPU: compact for the order that it was asked for; or else, if the node is fragmented
// and kswapd does not run, all of it. It gives for how many milliseconds kcompactd
// then sleeps, or Forever (kcompactd).
func (c *Compactor) Daemon(cpu buddy.CPU, id buddy.NodeID) (sleep int) {
	if uint(id) >= uint(len(c.nodes)) || c.nodes[id].running {
		return Forever
	}
	d := &c.nodes[id]
	d.running = true
	sleep = checkEvery
	if d.order > 0 && !d.trigger {
		c.serve(cpu, id, d)
	} else if now, until := c.Proactive(id); now {
		before := c.Score(id)
		c.eachZone(id, buddy.ZoneMovable, func(i int, z *zone) {
			c.compact(&run{zone: z, index: i, cpu: cpu, order: -1, mt: buddy.Unmovable, sync: true, whole: true, noSkip: true, proactive: true, until: until})
		})
		if c.Score(id) >= before {
			sleep = checkLater
		}
		d.trigger = false
	} else {
		d.trigger = false
	}
	d.running = false
	if c.proactiveness == 0 {
		return Forever
	}
	return sleep
}

// serve compacts for the order that kcompactd was woken for (kcompactd_do_work).
func (c *Compactor) serve(cpu buddy.CPU, id buddy.NodeID, d *daemon) {
	order, highest, before := d.order, d.highest, c.stats
	c.stats.DaemonRuns++
	c.eachZone(id, highest, func(i int, z *zone) {
		if z.deferred(order) || c.a.DaemonSuitable(i, order, c.a.Zone(i).Type()) != buddy.CompactContinue {
			return
		}
		result := c.a.DaemonSuitable(i, order, highest)
		if result == buddy.CompactContinue {
			result = c.compact(&run{zone: z, index: i, cpu: cpu, order: order, search: int(order), mt: buddy.Unmovable, sync: true})
		}
		switch result {
		case buddy.CompactSuccess:
			z.worked(order, false)
		case buddy.CompactPartial, buddy.CompactComplete:
			for owner := range buddy.CPU(c.a.Config().CPUs) {
				_, _ = c.a.DrainPages(i, owner, cpu, allPages) // the CPUs are the machine's
			}
			z.postpone(order)
		}
	})
	c.stats.DaemonMigrate += c.stats.MigrateScanned - before.MigrateScanned
	c.stats.DaemonFree += c.stats.FreeScanned - before.FreeScanned
	if d.order <= order {
		d.order = 0
	}
	if d.highest >= highest {
		d.highest = buddy.ZoneMovable
	}
}

// SetKswapd says whether a node's kswapd runs: then nothing is compacted without a request.
func (c *Compactor) SetKswapd(id buddy.NodeID, running bool) {
	if uint(id) < uint(len(c.nodes)) {
		c.nodes[id].kswapd = running
	}
}

// SetProactiveness writes vm.compaction_proactiveness, 0 (never) to 100; 20 is what it is
// at boot. All kcompactds then look for fragmentation at their next [Compactor.Daemon],
// unless it is 0. The error is ErrProactiveness.
func (c *Compactor) SetProactiveness(n int) error {
	if n < 0 || n > 100 {
		return fmt.Errorf("%w: %d", ErrProactiveness, n)
	}
	c.proactiveness = n
	for id := range c.nodes {
		c.nodes[id].trigger = c.nodes[id].trigger || n > 0
	}
	return nil
}

// score is the share of a zone's free memory that is not in blocks of the pageblock
// order, 0 to 100 (fragmentation_score_zone).
func (c *Compactor) score(i int) int {
	return c.a.Zone(i).ExternalFragmentation(buddy.Order(c.a.Config().PageblockOrder))
}

// Score says how fragmented a node is, 0 to 100: its zones' shares of free memory that is
// not in blocks of the pageblock order, in proportion to their sizes
// (fragmentation_score_node).
func (c *Compactor) Score(id buddy.NodeID) int {
	present, score := uint64(0), 0
	c.eachZone(id, buddy.ZoneMovable, func(i int, _ *zone) { present += c.a.Zone(i).Present() })
	c.eachZone(id, buddy.ZoneMovable, func(i int, _ *zone) {
		score += int(c.a.Zone(i).Present() * uint64(c.score(i)) / (present + 1))
	})
	return score
}

// Proactive says whether a node is to be compacted without a request, and the score
// of a zone at which that ends (should_proactive_compact_node).
func (c *Compactor) Proactive(id buddy.NodeID) (now bool, until int) {
	until = max(100-c.proactiveness, 5)
	running := uint(id) < uint(len(c.nodes)) && c.nodes[id].kswapd
	return c.proactiveness > 0 && !running && c.Score(id) > min(until+10, 100), until
}
