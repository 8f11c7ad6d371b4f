package reclaim

import (
	"fmt"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// Eviction is a page that reclaim took: its owner has to note where its contents
// are now.
type Eviction struct {
	PFN  buddy.PFN
	File bool
	// Slot is where an anonymous page was swapped to.
	Slot uint32
	// Shadow says when it went, for [Memory.Refault].
	Shadow Shadow
}

// Config says what a machine reclaims with.
type Config struct {
	// Swappiness is vm.swappiness, 0 to 200; 60 is usual.
	Swappiness int64
	// Swap is where anonymous pages go; nil: they cannot be reclaimed.
	Swap *SwapMap
	// Evicted is called for each page that is taken, before it is freed.
	Evicted func(Eviction)
	// Moved is called for each page that compaction moved.
	Moved func(from, to buddy.PFN)
	// Shrinkers are asked to free objects at every step.
	Shrinkers []*slab.Shrink
	// OutOfMemory is asked when a request finds nothing more: it reports
	// whether a task was killed. nil kills none.
	OutOfMemory func(buddy.Request) bool
	// WakeKcompactd is told when kswapd has made room for blocks of an order in zones
	// up to a type, or was asked for them in vain (wakeup_kcompactd); KswapdSleeps
	// before that, when kswapd has brought a node into balance
	// (reset_isolation_suitable). nil: nobody compacts.
	WakeKcompactd func(id buddy.NodeID, order buddy.Order, highest buddy.ZoneType)
	KswapdSleeps  func(buddy.NodeID)
	// KswapdLater leaves the work to a call of [Memory.Kswapd]; else kswapd runs
	// as soon as it is woken.
	KswapdLater bool
}

// Stats are the rows of /proc/vmstat that reclaim counts.
type Stats struct {
	PageOutRun, AllocStall               uint64
	ScanKswapd, ScanDirect               uint64
	StealKswapd, StealDirect             uint64
	ScanAnon, ScanFile                   uint64
	StealAnon, StealFile                 uint64
	Activate, Deactivate                 uint64
	SwapOut, RefaultAnon, RefaultFile    uint64
	ActivateAnon, ActivateFile           uint64 // of those that came back
	RestoreAnon, RestoreFile, SlabsFreed uint64
}

// node is a node's lists (struct lruvec of pglist_data) and its kswapd.
type node struct {
	lists [NumLists]list
	costs Costs
	clock Clock
	// refaults are the activated refaults when reclaim last ended, anonymous and
	// file; refaulted those by now.
	refaults, refaulted [2]uint64
	kswapd              kswapd
}

// kswapd is a node's kswapd.
type kswapd struct {
	wanted, running bool
	order           buddy.Order
	highest         buddy.ZoneType
	failures        int
}

// Memory is the pages in use of a machine, as reclaim sees them: on lists, touched
// or not. It answers the page allocator's slow path.
type Memory struct {
	a        *buddy.Allocator
	c        Config
	sections []*[1 << sectionShift]page
	nodes    []node
	zones    [][NumLists]uint32 // lengths of the lists by zone
	batches  []batch
	types    []buddy.ZoneType
	stats    Stats
	// isolated are the pages under a scan, skipped those of zones that do not
	// help, freed those that were taken.
	isolated, skipped, freed []uint32
}

// New makes the lists of an allocator's machine, all empty, and plugs them into its
// slow path ([buddy.Allocator.SetPressure]). EINVAL for a wrong swappiness.
func New(a *buddy.Allocator, c Config) (*Memory, error) {
	if c.Swappiness < 0 || c.Swappiness > MaxSwappiness {
		return nil, fmt.Errorf("reclaim: EINVAL: swappiness %d: want 0 to %d", c.Swappiness, MaxSwappiness)
	}
	m := &Memory{a: a, c: c, batches: make([]batch, a.Config().CPUs), zones: make([][NumLists]uint32, a.NumZones()), types: a.Config().ZoneTypes}
	nodes := 1
	for i := range a.NumZones() {
		nodes = max(nodes, int(a.Zone(i).Node())+1)
	}
	m.nodes = make([]node, nodes)
	a.SetPressure(m.Hooks())
	return m, nil
}

// Hooks are what the slow path calls; compaction adds its own.
func (m *Memory) Hooks() buddy.Pressure {
	return buddy.Pressure{WakeKswapd: m.wake, DirectReclaim: m.direct, Reclaimable: m.reclaimable, OutOfMemory: m.c.OutOfMemory}
}

// Movable says whether compaction may move a page: it is on a list.
func (m *Memory) Movable(pfn buddy.PFN) bool {
	p := m.at(uint32(pfn))
	return p != nil && p.flags&(inUse|onList|writeback) == inUse|onList
}

// Move gives a page's use to another page of the zone, which the allocator gave to
// compaction: at its list's head, as a page that is put back after migration.
func (m *Memory) Move(from, to buddy.PFN) {
	if !m.Movable(from) || m.zoneOf(to) < 0 {
		return
	}
	p := m.at(uint32(from))
	n := m.nodeOf(p)
	m.remove(n, uint32(from))
	moved := m.make(uint32(to))
	*moved, *p = *p, page{}
	m.pushHead(n, uint32(to))
	if m.c.Moved != nil {
		m.c.Moved(from, to)
	}
}

// Stats gives the counters.
func (m *Memory) Stats() Stats { return m.stats }

// Sizes gives a node's lists' lengths, batches of CPUs not counted.
func (m *Memory) Sizes(n buddy.NodeID) (out [NumLists]int64) {
	if n < 0 || int(n) >= len(m.nodes) {
		return out
	}
	for l := range out {
		out[l] = int64(m.nodes[n].lists[l].n)
	}
	return out
}

// Use is how a page comes into use.
type Use struct {
	File       bool // of the page cache; else anonymous
	Executable bool // mapped as program text
	Dirty      bool // must be written before it can go; anonymous pages always must
	// Slot is where an anonymous page was read from, 0 for a new one.
	Slot uint32
}

// PageError is a wrong call about a page.
type PageError struct {
	PFN buddy.PFN
	// Report is what the kernel would say.
	Report string
}

func (e *PageError) Error() string { return fmt.Sprintf("reclaim: PFN %d: %s", e.PFN, e.Report) }

// Add takes a page, which the allocator gave to a CPU, into use: it enters the head
// of its inactive list with the CPU's next batch (folio_add_lru). The error is a
// PageError for a page that is in use already.
func (m *Memory) Add(cpu buddy.CPU, pfn buddy.PFN, u Use) error {
	if _, err := m.begin(cpu, pfn, u); err != nil {
		return err
	}
	m.collect(cpu, uint32(pfn))
	return nil
}

func (m *Memory) begin(cpu buddy.CPU, pfn buddy.PFN, u Use) (*page, error) {
	zone := m.zoneOf(pfn)
	if zone < 0 || cpu < 0 || int(cpu) >= len(m.batches) || pfn == 0 {
		return nil, &PageError{pfn, "no such page or CPU"}
	}
	p := m.make(uint32(pfn))
	if p.flags&inUse != 0 {
		return nil, &PageError{pfn, "page is on an LRU list already (VM_BUG_ON_FOLIO: folio_test_lru)"}
	}
	*p = page{flags: inUse, slot: u.Slot, zone: uint8(zone)}
	if u.File {
		p.flags |= file
	}
	if u.Executable {
		p.flags |= executable
	}
	if u.Dirty || !u.File && u.Slot == 0 {
		p.flags |= dirty
	}
	return p, nil
}

// zoneOf is the index of a page frame's zone, -1 for none.
func (m *Memory) zoneOf(pfn buddy.PFN) int {
	for i := range m.a.NumZones() {
		if z := m.a.Zone(i); pfn >= z.StartPFN() && pfn < z.EndPFN() {
			return i
		}
	}
	return -1
}

// collect adds a page to a CPU's batch.
func (m *Memory) collect(cpu buddy.CPU, pfn uint32) {
	b := &m.batches[cpu]
	b.pages[b.n] = pfn
	if b.n++; b.n == pagevecSize {
		m.drain(cpu)
	}
}

// Refault takes a page into use that was evicted before: if it would have stayed
// had the inactive list been longer, it is active at once (workingset_refault).
func (m *Memory) Refault(cpu buddy.CPU, pfn buddy.PFN, u Use, s Shadow) (Refault, error) {
	p, err := m.begin(cpu, pfn, u)
	if err != nil {
		return Refault{}, err
	}
	n, k := m.nodeOf(p), kindOf(p)
	var sizes [NumLists]int64
	for l := range sizes {
		sizes[l] = int64(n.lists[l].n)
	}
	r := n.clock.Refault(s, u.File, 1, sizes, m.canSwap())
	count := func(anon, file *uint64) { *[2]*uint64{anon, file}[k]++ }
	count(&m.stats.RefaultAnon, &m.stats.RefaultFile)
	if r.Activate {
		p.flags |= active
		n.refaulted[k]++
		count(&m.stats.ActivateAnon, &m.stats.ActivateFile)
	}
	if r.Restore {
		p.workingset = true
		n.costs.Note(u.File, 1, m.total(n))
		count(&m.stats.RestoreAnon, &m.stats.RestoreFile)
	}
	m.collect(cpu, uint32(pfn))
	return r, nil
}

// kindOf is 0 for an anonymous page, 1 for one of a file.
func kindOf(p *page) int {
	if p.flags&file != 0 {
		return 1
	}
	return 0
}

func (m *Memory) canSwap() bool { return m.c.Swap != nil && m.c.Swap.Free() > 0 }

// total is how many pages are on a node's lists.
func (m *Memory) total(n *node) (sum int64) {
	for l := range n.lists {
		sum += int64(n.lists[l].n)
	}
	return sum
}

func (m *Memory) used(pfn buddy.PFN) (*page, error) {
	if p := m.at(uint32(pfn)); p != nil && p.flags&inUse != 0 {
		return p, nil
	}
	return nil, &PageError{pfn, "page is not in use"}
}

// Touch notes that a page was accessed through a page table: reclaim sees it when
// it comes to the page.
func (m *Memory) Touch(pfn buddy.PFN, write bool) error {
	p, err := m.used(pfn)
	if err != nil {
		return err
	}
	p.flags |= young
	if write {
		p.flags |= dirty
	}
	return nil
}

// Access notes an access by a system call (mark_page_accessed): the second one
// makes an inactive page active.
func (m *Memory) Access(cpu buddy.CPU, pfn buddy.PFN) error {
	p, err := m.used(pfn)
	if err != nil {
		return err
	}
	switch {
	case p.flags&referenced == 0:
		p.flags |= referenced
	case p.flags&active == 0:
		n := m.nodeOf(p)
		if p.flags&onList == 0 {
			p.flags |= active // it enters the active list with its batch
		} else {
			m.remove(n, uint32(pfn))
			p.flags |= active
			m.pushHead(n, uint32(pfn))
			m.stats.Activate++
		}
		p.flags &^= referenced
		n.clock.Advance(1)
	}
	return nil
}

// Release ends a page's use: its owner gives it back to the allocator then.
func (m *Memory) Release(pfn buddy.PFN) error {
	p, err := m.used(pfn)
	if err != nil {
		return err
	}
	if p.flags&onList != 0 {
		m.remove(m.nodeOf(p), uint32(pfn))
	} else {
		m.forget(uint32(pfn))
	}
	slot := p.slot
	*p = page{}
	if slot != 0 && m.c.Swap != nil {
		return m.c.Swap.Put(slot)
	}
	return nil
}

// forget takes a page out of the batch that it is in.
func (m *Memory) forget(pfn uint32) {
	for cpu := range m.batches {
		b := &m.batches[cpu]
		for i := range b.pages[:b.n] {
			if b.pages[i] == pfn {
				b.n = i + copy(b.pages[i:], b.pages[i+1:b.n])
				return
			}
		}
	}
}

// reclaimable is zone_reclaimable_pages: the pages of a zone on lists that could go.
func (m *Memory) reclaimable(z *buddy.Zone) uint64 {
	n := &m.zones[m.zoneOf(z.StartPFN())]
	sum := uint64(n[InactiveFile] + n[ActiveFile])
	if m.canSwap() {
		sum += uint64(n[InactiveAnon] + n[ActiveAnon])
	}
	return sum
}

// Check proves that each list is linked both ways, has the length that it says and
// only pages in use that belong there, which the allocator has given out.
func (m *Memory) Check() error {
	for i := range m.nodes {
		for l := range m.nodes[i].lists {
			if err := m.checkList(buddy.NodeID(i), List(l)); err != nil {
				return err
			}
		}
	}
	for cpu := range m.batches {
		b := &m.batches[cpu]
		if b.n >= pagevecSize {
			return fmt.Errorf("reclaim: CPU %d collects %d pages", cpu, b.n)
		}
		for _, pfn := range b.pages[:b.n] {
			if m.at(pfn).flags&(inUse|onList) != inUse {
				return fmt.Errorf("reclaim: CPU %d collects page %d, which is on a list or not in use", cpu, pfn)
			}
		}
	}
	if m.c.Swap != nil {
		return m.c.Swap.Check()
	}
	return nil
}

func (m *Memory) checkList(id buddy.NodeID, which List) error {
	l := &m.nodes[id].lists[which]
	n, prev := uint32(0), uint32(0)
	for pfn := l.head; pfn != 0; pfn = m.at(pfn).next {
		p := m.at(pfn)
		if p == nil || p.prev != prev || p.flags&(inUse|onList) != inUse|onList || p.listOf() != which || m.a.Zone(int(p.zone)).Node() != id {
			return fmt.Errorf("reclaim: node %d list %d: page %d does not belong there", id, which, pfn)
		}
		if n++; n > l.n {
			break
		}
		prev = pfn
	}
	if n != l.n || prev != l.tail {
		return fmt.Errorf("reclaim: node %d list %d: %d pages, counted %d", id, which, n, l.n)
	}
	return nil
}
