package buddy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// nodesConfig is a machine with one zone on each node.
func nodesConfig(distances [][]int) *Config {
	c := &Config{CPUs: 1, Distances: distances, ZoneTypes: []ZoneType{ZoneNormal, ZoneMovable}}
	for node := range distances {
		c.Zones = append(c.Zones, ZoneConfig{Node: NodeID(node), Type: ZoneNormal, Present: 1, Managed: 1})
	}
	return c
}

// socketDistances has nodes in groups: 12 within, 32 to others.
func socketDistances(nodes, socket int) [][]int {
	table := make([][]int, nodes)
	for i := range table {
		for j := range nodes {
			d := 32
			switch {
			case i == j:
				d = LocalDistance
			case i/socket == j/socket:
				d = 12
			}
			table[i] = append(table[i], d)
		}
	}
	return table
}

// fallbackOrders prints the lists as the boot log does.
func fallbackOrders(lists []NodeZonelists) (orders []string) {
	for _, l := range lists {
		var s []string
		for _, n := range l.Order {
			s = append(s, strconv.Itoa(int(n)))
		}
		orders = append(orders, strings.Join(s, " "))
	}
	return orders
}

// TestFallbackOrderOfRealMachines has the boot messages of two machines before
// and after kernel commit 54d032ced983, as its message and the discussion of
// 30 August 2021 on linux-mm give them.
func TestFallbackOrderOfRealMachines(t *testing.T) {
	four, eight := nodesConfig(socketDistances(4, 2)), nodesConfig(socketDistances(8, 4))
	before, after := ZonelistOptions{Policy: BootPolicy5_4}, ZonelistOptions{Policy: BootPolicy6_1}
	assert.Equal(t, []string{"0 1 2 3", "1 0 3 2", "2 3 0 1", "3 2 0 1"}, fallbackOrders(BuildZonelists(four, before)))
	assert.Equal(t, []string{"0 1 2 3", "1 0 3 2", "2 3 0 1", "3 2 1 0"}, fallbackOrders(BuildZonelists(four, after)))
	assert.Equal(t, []string{
		"0 1 2 3 4 5 6 7", "1 2 3 0 5 6 7 4", "2 3 0 1 6 7 4 5", "3 0 1 2 7 4 5 6",
		"4 5 6 7 0 1 2 3", "5 6 7 4 0 1 2 3", "6 7 4 5 0 1 2 3", "7 4 5 6 0 1 2 3",
	}, fallbackOrders(BuildZonelists(eight, before)))
	assert.Equal(t, []string{
		"0 1 2 3 4 5 6 7", "1 2 3 0 5 6 7 4", "2 3 0 1 6 7 4 5", "3 0 1 2 7 4 5 6",
		"4 5 6 7 0 1 2 3", "5 6 7 4 1 2 3 0", "6 7 4 5 2 3 0 1", "7 4 5 6 3 0 1 2",
	}, fallbackOrders(BuildZonelists(eight, after)))
}

// TestZonelistZones: within a node the highest zone comes first; a zone without
// memory is left out; __GFP_THISNODE has only the node's zones.
func TestZonelistZones(t *testing.T) {
	c := &Config{
		CPUs: 1,
		Zones: []ZoneConfig{
			{Node: 0, Type: ZoneDMA, Present: 1}, {Node: 0, Type: ZoneDMA32, Present: 1}, {Node: 0, Type: ZoneNormal},
			{Node: 1, Type: ZoneNormal, Present: 1}, {Node: 1, Type: ZoneMovable, Present: 1},
		},
	}
	lists := BuildZonelists(c, ZonelistOptions{Policy: BootPolicy6_1})
	assert.Equal(t, []NodeZonelists{
		{Order: []NodeID{0, 1}, Fallback: []int{1, 0, 4, 3}, ThisNode: []int{1, 0}},
		{Order: []NodeID{1, 0}, Fallback: []int{4, 3, 1, 0}, ThisNode: []int{4, 3}},
	}, lists)
}

// TestZonelistsOfNodesWithoutMemory: such a node has lists too, and no other
// falls back to it. A number that no node has gets no lists.
func TestZonelistsOfNodesWithoutMemory(t *testing.T) {
	c := &Config{
		CPUs: 2, CPUNode: []NodeID{0, 2},
		Zones: []ZoneConfig{{Node: 0, Type: ZoneNormal, Present: 1}, {Node: 4, Type: ZoneNormal, Present: 1}},
	}
	for _, policy := range allPolicies {
		lists := BuildZonelists(c, ZonelistOptions{Policy: policy})
		assert.Equal(t, []string{"0 4", "", "4 0", "", "4 0"}, fallbackOrders(lists))
		assert.Empty(t, lists[2].ThisNode)
	}
}

// TestZonelistsPreferNodesWithoutCPUs once the CPUs are known.
func TestZonelistsPreferNodesWithoutCPUs(t *testing.T) {
	c := nodesConfig([][]int{{10, 20, 20}, {20, 10, 20}, {20, 20, 10}})
	c.CPUs, c.CPUNode = 2, []NodeID{0, 1}
	boot := ZonelistOptions{Policy: BootPolicy6_1}
	assert.Equal(t, "0 1 2", fallbackOrders(BuildZonelists(c, boot))[0])
	boot.CPUsUp = true
	assert.Equal(t, "0 2 1", fallbackOrders(BuildZonelists(c, boot))[0])
}

func TestZonelistProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 8).Draw(t, "nodes")
		table := make([][]int, nodes)
		for i := range table {
			for j := range nodes {
				d := LocalDistance
				if i != j {
					d = rapid.SampledFrom([]int{12, 20, 21, 32}).Draw(t, "distance")
				}
				table[i] = append(table[i], d)
			}
		}
		c := nodesConfig(table)
		options := ZonelistOptions{
			Policy: rapid.SampledFrom(allPolicies).Draw(t, "policy"),
			CPUsUp: rapid.Bool().Draw(t, "cpus_up"),
		}
		lists := BuildZonelists(c, options)
		for node, l := range lists {
			if l.Order[0] != NodeID(node) {
				t.Fatalf("node %d begins with %d", node, l.Order[0])
			}
			sorted := slices.Sorted(slices.Values(l.Fallback))
			for i, z := range sorted {
				if i != z || len(sorted) != nodes {
					t.Fatalf("node %d has the zones %v", node, l.Fallback)
				}
			}
			for i := 1; i < len(l.Order); i++ {
				if c.Distance(NodeID(node), l.Order[i])+2 < c.Distance(NodeID(node), l.Order[i-1]) {
					t.Fatalf("node %d: %v by %v", node, l.Order, table[node])
				}
			}
		}
	})
}

func ExampleBuildZonelists() {
	c := nodesConfig(socketDistances(4, 2))
	for node, lists := range BuildZonelists(c, ZonelistOptions{Policy: BootPolicy6_1}) {
		fmt.Println("Fallback order for Node", node, lists.Order)
	}
	// Output:
	// Fallback order for Node 0 [0 1 2 3]
	// Fallback order for Node 1 [1 0 3 2]
	// Fallback order for Node 2 [2 3 0 1]
	// Fallback order for Node 3 [3 2 1 0]
}
