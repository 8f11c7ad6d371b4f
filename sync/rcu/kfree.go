package rcu

import "strconv"

// BulkMax is how many pointers a page of pointers holds (KVFREE_BULK_MAX_ENTR, 64 bit).
const BulkMax = (4096 - 16) / 8

// kfreeBatches is how many batches of a CPU may wait for a grace period at a time.
const kfreeBatches = 2

// Kfree is kfree_rcu: memory is given back after a grace period, in batches. Pointers
// lie in pages of pointers, one list of them for slab objects and one for vmalloc
// areas; where no page can be had, on a list through the objects themselves.
type Kfree struct {
	m *Model
	// HZ is jiffies a second.
	hz int64
	// free takes what is given back: the whole batch at once.
	free func(cpu int, pointers []uint64)
	cpus []kfreeCPU
}

// channel of a CPU's pointers.
const (
	channelSlab = iota
	channelVmalloc
	channelHead
	channels
)

// kfreeCPU is a CPU's part (struct kfree_rcu_cpu).
type kfreeCPU struct {
	collected [channels][]uint64
	count     int
	// at is when the monitor looks next, in jiffies; armed says that it will.
	at    int64
	armed bool
	// batches wait for the grace period that is over at gp_seq until.
	batches [kfreeBatches]kfreeBatch
}

type kfreeBatch struct {
	pointers [channels][]uint64
	until    int64
	busy     bool
}

// NewKfree makes kfree_rcu over a model of RCU; free is called with what is given
// back, nil drops it.
func NewKfree(m *Model, hz int64, free func(cpu int, pointers []uint64)) *Kfree {
	return &Kfree{m: m, hz: hz, free: free, cpus: make([]kfreeCPU, len(m.cpus))}
}

// Queue gives memory back after a grace period, at a time in jiffies (kvfree_rcu).
// noPage says that no page for pointers can be had, so that the object itself is
// linked. A page full is sent off at the next jiffy, anything else after 5 s.
func (k *Kfree) Queue(cpu int, pointer uint64, vmalloc, noPage bool, now int64) {
	if !k.m.has(cpu) {
		return
	}
	c := &k.cpus[cpu]
	to := channelSlab
	if vmalloc {
		to = channelVmalloc
	}
	if full := len(c.collected[to])%BulkMax == 0; full && noPage {
		to = channelHead
	}
	c.collected[to] = append(c.collected[to], pointer)
	c.count++
	k.m.emit(cpu, "rcu_kvfree_callback", "rhp="+strconv.FormatUint(pointer, 16), "func=0", strconv.Itoa(c.count))
	k.arm(c, now)
}

// arm sets the monitor's time: sooner if a page is full, never later than it was.
func (k *Kfree) arm(c *kfreeCPU, now int64) {
	at := now + 5*k.hz
	if c.count >= BulkMax {
		at = now + 1
	}
	if !c.armed || at < c.at {
		c.at, c.armed = at, true
	}
}

// Tick runs a CPU's monitor if it is time: what was collected becomes a batch that
// waits for a whole grace period, if one of the two is free (kfree_rcu_monitor).
func (k *Kfree) Tick(cpu int, now int64) {
	if !k.m.has(cpu) {
		return
	}
	c := &k.cpus[cpu]
	if !c.armed || now < c.at {
		return
	}
	c.armed = false
	for i := range c.batches {
		b := &c.batches[i]
		if b.busy || c.count == 0 {
			continue
		}
		*b = kfreeBatch{pointers: c.collected, until: snap(k.m.seq), busy: true}
		c.collected, c.count = [channels][]uint64{}, 0
		k.m.want(b.until)
	}
	if c.count > 0 {
		k.arm(c, now)
	}
}

// Reclaim gives back the batches whose grace period is over, page by page
// (kfree_rcu_work). It returns how many pointers that were.
func (k *Kfree) Reclaim(cpu int) int {
	if !k.m.has(cpu) {
		return 0
	}
	n := 0
	for i := range k.cpus[cpu].batches {
		b := &k.cpus[cpu].batches[i]
		if !b.busy || k.m.seq&^seqState < b.until {
			continue
		}
		for _, list := range b.pointers {
			for len(list) > 0 {
				bulk := list[:min(BulkMax, len(list))]
				list = list[len(bulk):]
				n += len(bulk)
				k.m.emit(cpu, "rcu_invoke_kfree_bulk_callback", "bulk=0", "nr_records="+strconv.Itoa(len(bulk)))
				if k.free != nil {
					k.free(cpu, bulk)
				}
			}
		}
		*b = kfreeBatch{}
	}
	return n
}

// Pending is how many pointers of a CPU have not been given back.
func (k *Kfree) Pending(cpu int) int {
	if !k.m.has(cpu) {
		return 0
	}
	n := k.cpus[cpu].count
	for _, b := range k.cpus[cpu].batches {
		for _, list := range b.pointers {
			n += len(list)
		}
	}
	return n
}

// want asks for grace periods until gp_seq is a value.
func (m *Model) want(until int64) { m.wanted = max(m.wanted, until) }
