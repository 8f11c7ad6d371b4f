package buddy

// NodeZonelists are the lists of zones that requests for a node try in order,
// the kernel's pgdat->node_zonelists. Zones are indexes into [Config.Zones].
type NodeZonelists struct {
	// Order is the nodes with memory by preference ("Fallback order for Node"
	// in the boot log), the node itself first if it has memory.
	Order []NodeID
	// Fallback is the zones of all nodes in Order, those of a node from the
	// highest type to the lowest.
	Fallback []int
	// ThisNode is the node's zones alone, for __GFP_THISNODE.
	ThisNode []int
}

// ZonelistOptions are what decides about zonelists beside the machine.
type ZonelistOptions struct {
	Policy BootPolicy
	// CPUsUp says that the nodes' CPUs are known to be online, so that nodes
	// without CPUs are preferred. When a kernel boots it builds the lists
	// before that; later only when memory is plugged in.
	CPUsUp bool
}

// BuildZonelists computes the zonelists of all nodes, indexed by node, the
// kernel's build_all_zonelists. A node with neither memory nor CPUs gets empty
// lists.
func BuildZonelists(c *Config, options ZonelistOptions) []NodeZonelists {
	b := zonelistBuilder{
		Config: c, options: options,
		load:      make([]int, c.Nodes()),
		hasMemory: make([]bool, c.Nodes()),
		hasCPU:    make([]bool, c.Nodes()),
	}
	for i := range c.Zones {
		if c.Zones[i].Present > 0 {
			b.hasMemory[c.Zones[i].Node] = true
		}
	}
	for cpu := range c.CPUs {
		if cpu < len(c.CPUNode) {
			b.hasCPU[c.CPUNode[cpu]] = true
		} else {
			b.hasCPU[0] = true
		}
	}
	lists := make([]NodeZonelists, c.Nodes())
	for node := range lists {
		if b.hasMemory[node] || b.hasCPU[node] {
			lists[node] = b.build(NodeID(node))
		}
	}
	return lists
}

type zonelistBuilder struct {
	*Config
	options ZonelistOptions
	// load is how often a node was the first choice of its distance: the
	// kernel's node_load. It makes ties go round.
	load              []int
	hasMemory, hasCPU []bool
}

// build computes one node's lists and adds to the load of others.
func (b *zonelistBuilder) build(node NodeID) NodeZonelists {
	var lists NodeZonelists
	used := make([]bool, len(b.hasMemory))
	previous, left := node, b.online()
	if !b.hasMemory[node] {
		left-- // it takes its own place all the same
	}
	for next := b.next(node, used); next != NoNode; next = b.next(node, used) {
		if b.Distance(node, next) != b.Distance(node, previous) {
			if b.options.Policy.AccumulateNodeLoad {
				b.load[next]++
			} else {
				b.load[next] = left
			}
		}
		lists.Order = append(lists.Order, next)
		lists.Fallback = b.appendZones(lists.Fallback, next)
		previous, left = next, left-1
	}
	lists.ThisNode = b.appendZones(nil, node)
	return lists
}

// online is the number of nodes with memory or CPUs.
func (b *zonelistBuilder) online() int {
	n := 0
	for i := range b.hasMemory {
		if b.hasMemory[i] || b.hasCPU[i] {
			n++
		}
	}
	return n
}

// next chooses the node that follows in a node's list and marks it used:
// itself, then by distance, of equal ones those that follow it in number, of
// these those without CPUs, then the least loaded. It is the kernel's
// find_next_best_node.
func (b *zonelistBuilder) next(node NodeID, used []bool) NodeID {
	best, bestCost := NoNode, 0
	for i := range used {
		n := NodeID(i)
		if used[i] || !b.hasMemory[i] {
			continue
		}
		if n == node {
			best = n
			break
		}
		cost := b.Distance(node, n)
		if n < node {
			cost++
		}
		if b.options.CPUsUp && b.hasCPU[i] {
			cost++
		}
		// The load weighs less than any difference in the rest.
		cost = cost*maxNodes*maxNodes + b.load[i]
		if best == NoNode || cost < bestCost {
			best, bestCost = n, cost
		}
	}
	if best != NoNode {
		used[best] = true
	}
	return best
}

// appendZones appends a node's zones with memory, the highest type first.
func (b *zonelistBuilder) appendZones(list []int, node NodeID) []int {
	for i := len(b.Zones) - 1; i >= 0; i-- {
		if z := &b.Zones[i]; z.Node == node && z.Present > 0 {
			list = append(list, i)
		}
	}
	return list
}
