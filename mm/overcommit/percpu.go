package overcommit

import (
	"fmt"
	"math"
	"slices"
)

// Each CPU counts charges for itself until they come to a batch, and only then
// adds them to the sum that mode 2 looks at (struct percpu_counter).
// /proc/meminfo adds up all of them.

// Batch is how many pages a CPU counts for itself at most, and one more
// (mm_compute_batch).
func (c *Config) Batch() int64 {
	cpus, share := int64(max(c.CPUs, 1)), int64(4)
	if c.Mode == Never {
		share = 256
	}
	return max(min(c.RAMPages/cpus/share, math.MaxInt32), 2*cpus, 32)
}

// counters are what CPUs count for themselves.
type counters struct {
	batch int64
	local []int64
	// hidden is the sum of local.
	hidden int64
}

// set takes a new configuration over. CPUs that are gone hand over theirs.
func (p *counters) set(c *Config) {
	p.batch = c.Batch()
	for cpu := c.CPUs; cpu < len(p.local); cpu++ {
		p.hidden -= p.local[cpu]
	}
	if c.CPUs <= len(p.local) {
		p.local = p.local[:c.CPUs]
		return
	}
	p.local = append(p.local, make([]int64, c.CPUs-len(p.local))...)
}

func (p *counters) has(cpu int) bool { return cpu >= 0 && cpu < max(len(p.local), 1) }

// add mirrors percpu_counter_add_batch.
func (p *counters) add(pages int64, cpu int) {
	if len(p.local) == 0 {
		return
	}
	n := p.local[cpu] + pages
	if n >= p.batch || n <= -p.batch {
		n = 0
	}
	p.hidden += n - p.local[cpu]
	p.local[cpu] = n
}

// sync mirrors percpu_counter_sync on all CPUs.
func (p *counters) sync() {
	clear(p.local)
	p.hidden = 0
}

func (p *counters) check() error {
	var sum int64
	for _, n := range p.local {
		sum += n
	}
	if sum != p.hidden {
		return fmt.Errorf("overcommit: CPUs have %d pages for themselves, counted as %d", sum, p.hidden)
	}
	return nil
}

// between says between which numbers of pages all CPUs may have for themselves
// right after one was charged some pages, whatever happened before.
func (p *counters) between(pages int64) (least, most int64) {
	others := int64(len(p.local)-1) * (p.batch - 1)
	least, most = -others, others
	// The CPU had at least 1-batch: with twice as much it certainly folds.
	if from := pages - p.batch + 1; from < p.batch {
		least, most = least+min(from, 0), most+p.batch-1
	}
	return least, most
}

// clone is a copy that shares nothing.
func (p *counters) clone() counters {
	c := *p
	c.local = slices.Clone(p.local)
	return c
}
