package percpu

import "fmt"

// LineSize is the size of a cache line, in bytes.
const LineSize = 64

// State is a line's state in one CPU's cache.
type State uint8

// The states: not there, there as in others, there alone, there alone and changed.
const (
	Invalid State = iota
	Shared
	Exclusive
	Modified
)

// Costs are what an access costs, in cycles.
type Costs struct{ Hit, Memory, Transfer, Upgrade int }

// TypicalCosts are orders of magnitude of a server's caches, for drawing; they are
// no measurement of a machine.
var TypicalCosts = Costs{Hit: 4, Memory: 200, Transfer: 100, Upgrade: 60}

// Counts are a CPU's.
type Counts struct {
	Hits int
	// Cold misses were never in the cache; Coherence misses were taken away by another
	// CPU's store, FalseSharing those of them whose store was to other bytes than this
	// CPU uses.
	Cold, Coherence, FalseSharing int
	// Upgrades are stores to a line that others had to give up; Cycles the sum of costs.
	Upgrades, Cycles int
}

// Cache is the caches of several CPUs, without limits of size.
type Cache struct {
	costs  Costs
	cpus   int
	lines  map[int]*line
	counts []Counts
}

// line is a cache line in all caches.
type line struct {
	state []State
	// seen says that the CPU had it; used are the bytes that it used since it got it
	// first; lost are the bytes that others have stored to since it was taken away.
	seen       []bool
	used, lost []uint64
}

// NewCache makes empty caches for up to 1024 CPUs.
func NewCache(cpus int, costs Costs) (*Cache, error) {
	if cpus < 1 || cpus > 1024 {
		return nil, fmt.Errorf("percpu: %d CPUs, want 1 to 1024", cpus)
	}
	return &Cache{costs: costs, cpus: cpus, lines: map[int]*line{}, counts: make([]Counts, cpus)}, nil
}

// Read and Write are an access of a CPU to size bytes within one line; they return
// its cost in cycles.
func (c *Cache) Read(cpu, addr, size int) (int, error) { return c.access(cpu, addr, size, false) }

// Write is a store.
func (c *Cache) Write(cpu, addr, size int) (int, error) { return c.access(cpu, addr, size, true) }

// Counts are a CPU's; those of a CPU that there is not are zero.
func (c *Cache) Counts(cpu int) Counts {
	if cpu < 0 || cpu >= c.cpus {
		return Counts{}
	}
	return c.counts[cpu]
}

// State is the state of an address's line in a CPU's cache.
func (c *Cache) State(cpu, addr int) State {
	l := c.lines[addr/LineSize]
	if l == nil || cpu < 0 || cpu >= c.cpus {
		return Invalid
	}
	return l.state[cpu]
}

func (c *Cache) access(cpu, addr, size int, store bool) (int, error) {
	if cpu < 0 || cpu >= c.cpus || addr < 0 || size < 1 || addr%LineSize+size > LineSize {
		return 0, fmt.Errorf("percpu: CPU %d, %d bytes at %d: want a CPU below %d and bytes within one line", cpu, size, addr, c.cpus)
	}
	l := c.line(addr / LineSize)
	mask := (uint64(1)<<(size-1)<<1 - 1) << (addr % LineSize)
	cost := c.fetch(l, cpu, mask)
	if store {
		cost += c.own(l, cpu, mask)
	}
	l.used[cpu] |= mask
	c.counts[cpu].Cycles += cost
	return cost, nil
}

func (c *Cache) line(n int) *line {
	l := c.lines[n]
	if l == nil {
		l = &line{make([]State, c.cpus), make([]bool, c.cpus), make([]uint64, c.cpus), make([]uint64, c.cpus)}
		c.lines[n] = l
	}
	return l
}

// fetch brings a line into a CPU's cache.
func (c *Cache) fetch(l *line, cpu int, mask uint64) int {
	n := &c.counts[cpu]
	if l.state[cpu] != Invalid {
		n.Hits++
		return c.costs.Hit
	}
	cost, state := c.costs.Memory, Exclusive
	for o := range l.state {
		if l.state[o] != Invalid {
			cost, state = c.costs.Transfer, Shared
			l.state[o] = Shared
		}
	}
	if l.seen[cpu] {
		n.Coherence++
		if l.lost[cpu]&(l.used[cpu]|mask) == 0 {
			n.FalseSharing++
		}
	} else {
		n.Cold++
	}
	l.seen[cpu], l.lost[cpu], l.state[cpu] = true, 0, state
	return cost
}

// own makes a line a CPU's alone and changed.
func (c *Cache) own(l *line, cpu int, mask uint64) int {
	cost := 0
	for o := range l.state {
		if o == cpu {
			continue
		}
		if l.state[o] != Invalid {
			l.state[o], l.lost[o] = Invalid, 0
			cost = c.costs.Upgrade
		}
		l.lost[o] |= mask
	}
	if cost > 0 {
		c.counts[cpu].Upgrades++
	}
	l.state[cpu] = Modified
	return cost
}

// Check proves that a line that one CPU has alone is in no other cache.
func (c *Cache) Check() error {
	// The order does not matter.
	for n, l := range c.lines {
		alone, have := 0, 0
		for _, s := range l.state {
			if s != Invalid {
				have++
			}
			if s >= Exclusive {
				alone++
			}
		}
		if alone > 1 || alone == 1 && have > 1 {
			return fmt.Errorf("percpu: line %d: %d caches have it, %d alone", n, have, alone)
		}
	}
	return nil
}
