package bench

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/replay"
)

// LinuxOptions change one thing about a Linux strategy.
type LinuxOptions struct {
	// NoTypes puts all pages into one migrate type, as a kernel does that does
	// not group pages by mobility (page_group_by_mobility_disabled).
	NoTypes bool
	// NoPCP gives per-CPU lists no room: batch 1, high 0, as the kernel's
	// boot page sets have it.
	NoPCP bool
	// BatchTimes and HighTimes scale the per-CPU lists; 0 leaves them.
	BatchTimes, HighTimes float64
}

// Linux is the kernel's page allocator (package buddy) as a strategy.
func Linux(p buddy.Profile, o LinuxOptions) func() Strategy {
	return func() Strategy { return &linux{profile: p, o: o} }
}

type linux struct {
	profile buddy.Profile
	o       LinuxOptions
	a       *buddy.Allocator
	err     error
	// exact: this is a capture's own kernel, unchanged.
	exact bool
	// before are the counters after Start: making the lists is no work of the
	// stream.
	before Counters
	// call is what the next Alloc or Free has in the capture, or nil.
	call   *replay.PageCall
	claims []bool
	pfns   []buddy.PFN
}

func (l *linux) Start(m *Machine) error {
	if err := l.start(m); err != nil {
		return err
	}
	l.before = l.counters()
	return nil
}

func (l *linux) start(m *Machine) error {
	if m.State == nil {
		return l.boot(m)
	}
	config := m.Config
	config.Zones = slices.Clone(config.Zones)
	for i := range config.Zones {
		l.tune(&config.Zones[i].PCP)
	}
	var err error
	if l.a, err = buddy.New(config, l.profile); err != nil {
		return err
	}
	l.exact = m.Baseline == l.profile.Name && l.o == LinuxOptions{}
	l.a.SetAdopt(true)
	if l.exact {
		l.a.SetClaimHook(l.claimed)
		return l.a.Restore(m.State)
	}
	if l.profile.PCPHighOrders && !l.o.NoTypes && !l.o.NoPCP && m.Baseline != buddy.Linux5_4.Name {
		return l.a.Restore(l.retuned(m.State))
	}
	return l.takeOver(m.State)
}

// retuned is another kernel's lists as they are, per-CPU lists included, where
// both kernels have the same kinds of lists; but with limits of this one.
func (l *linux) retuned(in *buddy.State) *buddy.State {
	config := l.a.Config()
	out := &buddy.State{Zones: slices.Clone(in.Zones)}
	for i := range out.Zones {
		z := &out.Zones[i]
		z.Counted = false
		z.PCP = slices.Clone(z.PCP)
		pcp := config.Zones[i].PCP
		for cpu := range z.PCP {
			z.PCP[cpu] = buddy.PCPState{Batch: pcp.Batch, High: pcp.High, HighMin: pcp.HighMin, HighMax: pcp.HighMax, Lists: z.PCP[cpu].Lists}
		}
	}
	return out
}

// boot starts on a machine without a past.
func (l *linux) boot(m *Machine) error {
	b, err := m.Hardware.Boot(l.profile.Boot)
	if err != nil {
		return err
	}
	for i := range b.Config.Zones {
		l.tune(&b.Config.Zones[i].PCP)
	}
	if l.a, err = b.NewAllocator(l.profile); err != nil {
		return err
	}
	l.a.SetAdopt(true)
	if l.o.NoTypes {
		if err := l.retypeAll(); err != nil {
			return err
		}
	}
	// There is no kswapd that would lower a boosted watermark again:
	// vm.watermark_boost_factor=0.
	l.a.SetBoostFactor(0)
	return nil
}

// retypeAll starts again with all memory in one type.
func (l *linux) retypeAll() error {
	old := l.a
	var err error
	if l.a, err = buddy.New(old.Config(), l.profile); err != nil {
		return err
	}
	l.a.SetAdopt(true)
	return l.takeOver(old.State())
}

func (l *linux) tune(c *buddy.PCPConfig) {
	scale := func(v *int, by float64) {
		if by != 0 {
			*v = max(int(float64(*v)*by), 1)
		}
	}
	scale(&c.Batch, l.o.BatchTimes)
	for _, v := range []*int{&c.High, &c.HighMin, &c.HighMax} {
		scale(v, l.o.HighTimes)
	}
	if l.o.NoPCP {
		*c = buddy.PCPConfig{Batch: 1}
	}
}

// takeOver starts with another kernel's memory: its pageblocks keep their types,
// and its free blocks are freed to the zones one by one, so that each kernel
// merges them by its own rules; the last of a list first, so that its head
// stays the head. Per-CPU lists start empty. Without migrate types everything
// but CMA and isolated memory becomes one type.
func (l *linux) takeOver(in *buddy.State) error {
	config := l.a.Config()
	empty := &buddy.State{Zones: make([]buddy.ZoneState, len(in.Zones))}
	for i := range in.Zones {
		z := &empty.Zones[i]
		z.Blocks = in.Zones[i].Blocks
		if l.o.NoTypes {
			z.Blocks = oneType(z.Blocks)
		} else {
			z.ReservedHighatomic = in.Zones[i].ReservedHighatomic
		}
		pcp := config.Zones[i].PCP
		for range in.Zones[i].PCP {
			z.PCP = append(z.PCP, buddy.PCPState{Batch: pcp.Batch, High: pcp.High, HighMin: pcp.HighMin, HighMax: pcp.HighMax})
		}
	}
	if err := l.a.Restore(empty); err != nil {
		return err
	}
	return eachFree(in, config.PageblockOrder, func(pfn buddy.PFN, order int) error {
		return l.a.FreeToZone(0, pfn, buddy.Order(order), false)
	})
}

// eachFree calls f for the free blocks of a state, the last of a list first;
// those on per-CPU lists come after all others.
func eachFree(s *buddy.State, pageblock buddy.Order, f func(pfn buddy.PFN, order int) error) error {
	each := func(pfns []buddy.PFN, order int) error {
		for i := len(pfns) - 1; i >= 0; i-- {
			if err := f(pfns[i], order); err != nil {
				return err
			}
		}
		return nil
	}
	for z := range s.Zones {
		for o := range s.Zones[z].Free {
			for t := range s.Zones[z].Free[o] {
				if err := each(s.Zones[z].Free[o][t], o); err != nil {
					return err
				}
			}
		}
	}
	for z := range s.Zones {
		for cpu := range s.Zones[z].PCP {
			for i, list := range s.Zones[z].PCP[cpu].Lists {
				order := i / buddy.NumPCPTypes
				if i >= buddy.NumPCPLists-2 {
					order = int(pageblock)
				}
				if err := each(list, order); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func oneType(in []buddy.BlockRun) []buddy.BlockRun {
	out := slices.Clone(in)
	for i := range out {
		switch out[i].Type {
		case buddy.Movable, buddy.Reclaimable, buddy.HighAtomic:
			out[i].Type = buddy.Unmovable
		}
	}
	return out
}

func (l *linux) Alloc(r Request) (buddy.PFN, bool) {
	if l.o.NoTypes {
		r.GFP &^= buddy.GFPReclaimable | buddy.GFPMovable
	}
	c := l.call
	l.call = nil
	if c != nil && l.exact {
		l.claims = c.Claims
		if c.Kind == replay.CallTake {
			l.note(l.a.Seize(c.PFN, c.Order))
			return c.PFN, true
		}
	}
	pfn, err := l.a.Alloc(r)
	return pfn, err == nil
}

// claimed tells what the kernel decided about claiming a pageblock.
func (l *linux) claimed(buddy.PFN, int, int) (claim, known bool) {
	if len(l.claims) == 0 {
		return false, false
	}
	claim, l.claims = l.claims[0], l.claims[1:]
	return claim, true
}

// bulk is alloc_pages_bulk.
func (l *linux) bulk(r Request, n int) []buddy.PFN {
	if c := l.call; c != nil && l.exact {
		l.call, l.claims = nil, c.Claims
	}
	l.pfns, _ = l.a.AllocBulk(l.pfns[:0], r, n)
	return l.pfns
}

func (l *linux) Free(cpu buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	kind := replay.CallFree
	if l.call != nil && l.exact {
		kind = l.call.Kind
	}
	l.call = nil
	switch kind {
	case replay.CallCommit:
		l.note(l.a.CommitFree(cpu, pfn))
	case replay.CallFreeToZone:
		l.note(l.a.FreeToZone(cpu, pfn, order, false))
	default:
		l.note(l.a.Free(cpu, pfn, order))
	}
}

// tell says what the trace tells about the next call, or what happened between
// calls.
func (l *linux) tell(c *replay.PageCall) {
	cpu := c.Request.CPU
	switch c.Kind {
	case replay.CallDrain:
		_, err := l.a.DrainPages(c.Zone, cpu, cpu, c.N)
		l.note(err)
	case replay.CallDecay:
		l.note(l.a.Decay(cpu))
	case replay.CallReclaim:
		l.a.SetReclaimActive(c.Node, c.On)
		l.a.SetPressureThresholds(c.Node, c.On)
	case replay.CallShort:
		l.a.SetReclaimActive(c.Node, c.On)
	case replay.CallBoost:
		l.a.SetBoost(c.Zone, uint64(c.N))
	case replay.CallFold:
		l.note(l.a.FoldStats(cpu))
	case replay.CallHidden:
		l.a.SetHiddenFree(c.Zone, c.Hidden)
	case replay.CallPrepare:
		if l.exact {
			l.note(l.a.PrepareFree(cpu, c.PFN, c.Order))
		}
	case replay.CallIsolate:
		if l.exact {
			l.note(l.a.IsolateBlock(cpu, c.PFN, buddy.CMA))
		}
	case replay.CallUnisolate:
		if l.exact {
			l.note(l.a.UnisolateBlock(cpu, c.PFN, c.Type))
		}
	default:
		l.call = c
	}
}

// note keeps the first error.
func (l *linux) note(err error) {
	if l.err == nil && err != nil {
		l.err = err
	}
}

// check is what the strategy knows to be wrong with itself.
func (l *linux) check() error {
	if l.err != nil {
		return l.err
	}
	return l.a.Check()
}

// freePages are the pages on all lists.
func (l *linux) freePages() int {
	n := 0
	for i := range l.a.NumZones() {
		z := l.a.Zone(i)
		for o := range buddy.Order(buddy.MaxOrders) {
			n += int(z.FreeBlocks(o)) << o
		}
		n += int(z.PCPPages())
	}
	return n
}

// Counters adds the zones' counters up, from Start on.
func (l *linux) Counters() Counters {
	c, b := l.counters(), &l.before
	c.Splits -= b.Splits
	c.Merges -= b.Merges
	c.Locks -= b.Locks
	c.LockWork -= b.LockWork
	c.CacheHits -= b.CacheHits
	c.Fallbacks -= b.Fallbacks
	c.Claims -= b.Claims
	return c
}

func (l *linux) counters() Counters {
	var c Counters
	for i := range l.a.NumZones() {
		z := l.a.Zone(i)
		s := z.Stats()
		c.Splits += s.Splits
		c.Merges += s.Merges
		c.Locks += s.LockAcquisitions
		c.LockWork += s.ListOps
		c.CacheHits += s.PCPHits
		c.Fallbacks += s.Fallbacks
		c.Claims += s.Claims
		c.Cached += z.PCPPages()
	}
	return c
}
