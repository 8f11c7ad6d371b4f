// Package memcg is a tree of memory cgroups (version 2): charging pages against
// memory.max, memory.high, the protections memory.low and memory.min, reclaim and
// the OOM killer inside a cgroup, and the texts of memory.events and memory.stat.
//
// It mirrors try_charge_memcg, mem_cgroup_calculate_protection,
// effective_protection, memcg_memory_event and memory_stat_format of Linux 6.1.
//
// # Rules
//
// A charge goes to a cgroup and all above it. The lowest that would exceed its
// max refuses: its failcnt grows, and if the caller may sleep it counts an event
// max, is reclaimed from, and tried again. Without progress the OOM killer
// chooses in it (event oom; package oom); if it kills nobody, or the charge is of
// more than eight pages (order above 3), the charge fails with ENOMEM. Charges
// that cannot fail go over the limit.
//
// A cgroup above its high counts an event high and is reclaimed from by what was
// charged, at the end of the charge.
//
// Reclaim of a cgroup goes through it and those below it in pre-order, passing
// over what is protected. A cgroup's effective min and low, seen from the one that
// is short, are its own below that one, and further down share out what the parent
// has, by use. Below min nothing is taken; below low only if nothing else gave
// anything (event low).
//
// Units: pages, but for memory.stat, which is in bytes.
//
// Left out: the per-CPU stock of charges made in advance (64 pages), so that
// usage here is what is used; throttling by memory.high; the kernel's balance of
// scanning: of a cgroup, clean file pages are taken first, then anonymous pages as
// far as swap goes.
package memcg

import (
	"fmt"
	"math"
	"strings"
)

// NoLimit is the limit "max".
const NoLimit = int64(math.MaxInt64 / 4096)

// costlyPages: above it a charge does not call the OOM killer.
const costlyPages = 8

// maxRetries is how often reclaim without progress is tried (MAX_RECLAIM_RETRIES).
const maxRetries = 16

// Event is a counter of memory.events.
type Event uint8

// Events, in the file's order.
const (
	EventLow Event = iota
	EventHigh
	EventMax
	EventOOM
	EventOOMKill
	EventOOMGroupKill
	numEvents
)

var eventNames = [numEvents]string{"low", "high", "max", "oom", "oom_kill", "oom_group_kill"}

// String is the event's name in memory.events.
func (e Event) String() string { return eventNames[e] }

// Type is what a page is used for.
type Type uint8

// Types of pages.
const (
	Anon Type = iota
	File
	Kernel
	numTypes
)

// Limits are a cgroup's settings, in pages.
type Limits struct {
	Max, High, Low, Min, SwapMax int64
	// OOMGroup is memory.oom.group.
	OOMGroup bool
}

// Unlimited are a new cgroup's settings.
var Unlimited = Limits{Max: NoLimit, High: NoLimit, SwapMax: NoLimit}

// ID names a cgroup of a [Tree]. The root is 0.
type ID int32

// None is no cgroup.
const None ID = -1

// group is a cgroup.
type group struct {
	path   string
	parent ID
	limits Limits
	// usage counts this cgroup's pages and those below it, swap likewise.
	usage, swap int64
	// own are the pages charged to this cgroup itself, by type.
	own [numTypes]int64
	// emin and elow are the protections in effect for the reclaim under way.
	emin, elow int64
	failcnt    uint64
	events     [numEvents]uint64
	local      [numEvents]uint64
	scanned    uint64
	stolen     uint64
}

// Error is a refusal; Errno is the kernel's.
type Error struct{ Errno, What string }

func (e *Error) Error() string { return "memcg: " + e.What + ": " + e.Errno }

// Tree is a hierarchy of cgroups.
type Tree struct {
	groups []group
	// swapFree are the machine's free swap pages.
	swapFree int64
	// recursive: protection that children do not claim is shared out among
	// them (mount option memory_recursiveprot).
	recursive bool
	// OnOOM, if set, is the OOM killer: it is told which cgroup is short, kills
	// and gives memory back ([Tree.Uncharge], [Tree.Count]), and says whether
	// it killed. It must not charge.
	OnOOM func(short ID) bool
}

// New makes a tree of only the root. swap is the machine's swap, in pages.
func New(swap int64, recursiveProt bool) *Tree {
	return &Tree{groups: []group{{path: "/", parent: None, limits: Unlimited}}, swapFree: max(swap, 0), recursive: recursiveProt}
}

// Create makes a cgroup below another (mkdir): ENOENT if there is no parent,
// EEXIST if there is one of this name, EINVAL for an impossible name.
func (t *Tree) Create(parent ID, name string) (ID, error) {
	if !t.known(parent) {
		return None, &Error{"ENOENT", fmt.Sprintf("cgroup %d", parent)}
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\n") {
		return None, &Error{"EINVAL", fmt.Sprintf("name %q", name)}
	}
	path := strings.TrimSuffix(t.groups[parent].path, "/") + "/" + name
	if t.Find(path) != None {
		return None, &Error{"EEXIST", path}
	}
	t.groups = append(t.groups, group{path: path, parent: parent, limits: Unlimited})
	return ID(len(t.groups) - 1), nil
}

// Find gives the cgroup of a path, or [None].
func (t *Tree) Find(path string) ID {
	for i := range t.groups {
		if t.groups[i].path == path {
			return ID(i)
		}
	}
	return None
}

func (t *Tree) known(g ID) bool { return g >= 0 && int(g) < len(t.groups) }

// Set changes a cgroup's settings. Lowering max below what is used reclaims and
// then calls the OOM killer; lowering high reclaims. The root has no settings:
// EINVAL.
func (t *Tree) Set(g ID, l Limits) error {
	if !t.known(g) || g == 0 {
		return &Error{"EINVAL", fmt.Sprintf("settings of cgroup %d", g)}
	}
	for _, n := range []int64{l.Max, l.High, l.Low, l.Min, l.SwapMax} {
		if n < 0 || n > NoLimit {
			return &Error{"EINVAL", fmt.Sprintf("a limit of %d pages", n)}
		}
	}
	t.groups[g].limits = l
	m := &t.groups[g]
	if m.usage > l.High {
		t.reclaim(g, m.usage-l.High)
	}
	if m.usage > l.Max {
		t.reclaim(g, m.usage-l.Max)
	}
	for m.usage > l.Max {
		t.Count(g, EventOOM)
		before := m.usage
		if t.OnOOM == nil || !t.OnOOM(g) || m.usage >= before {
			break
		}
	}
	return nil
}

// Charge asks for pages for a cgroup. mayFail is false for requests that cannot
// fail; atomic ones cannot reclaim. The error is an [Error]: ENOMEM, and nothing
// is charged; or EINVAL.
func (t *Tree) Charge(g ID, what Type, pages int64, atomic, mayFail bool) error {
	if !t.known(g) || what >= numTypes || pages <= 0 || pages > NoLimit-t.groups[0].usage {
		return &Error{"EINVAL", fmt.Sprintf("%d pages to cgroup %d", pages, g)}
	}
	retries, counted := maxRetries, false
	for {
		short := t.exceeded(g, pages)
		if short == None {
			break
		}
		t.groups[short].failcnt++
		again := false
		if !atomic {
			t.Count(short, EventMax)
			counted = true
			again = t.makeRoom(short, pages, &retries)
		}
		if again {
			continue
		}
		if mayFail {
			return &Error{"ENOMEM", fmt.Sprintf("%d pages to %s: %s is full", pages, t.groups[g].path, t.groups[short].path)}
		}
		if !counted {
			t.Count(short, EventMax)
		}
		break
	}
	t.add(g, what, pages)
	t.overHigh(g, pages)
	return nil
}

// exceeded is the lowest cgroup whose max the charge would exceed.
func (t *Tree) exceeded(g ID, pages int64) ID {
	for ; g > 0; g = t.groups[g].parent {
		if m := &t.groups[g]; m.usage+pages > m.limits.Max {
			return g
		}
	}
	return None
}

// makeRoom reclaims and, without progress, has somebody killed. It says whether
// to try again.
func (t *Tree) makeRoom(short ID, pages int64, retries *int) bool {
	m := &t.groups[short]
	got := t.reclaim(short, pages)
	if m.usage+pages <= m.limits.Max || got > 0 && pages <= costlyPages {
		return true
	}
	if *retries > 0 && got > 0 {
		*retries--
		return true
	}
	if pages > costlyPages {
		return false
	}
	t.Count(short, EventOOM)
	before := m.usage
	return t.OnOOM != nil && t.OnOOM(short) && m.usage < before
}

func (t *Tree) add(g ID, what Type, pages int64) {
	t.groups[g].own[what] += pages
	for ; g != None; g = t.groups[g].parent {
		t.groups[g].usage += pages
	}
}

// overHigh reclaims from every cgroup above its high.
func (t *Tree) overHigh(g ID, pages int64) {
	for ; g > 0; g = t.groups[g].parent {
		if m := &t.groups[g]; m.usage > m.limits.High {
			t.Count(g, EventHigh)
			t.reclaim(g, pages)
		}
	}
}

// Uncharge gives pages back: EINVAL if the cgroup has not so many of the type.
func (t *Tree) Uncharge(g ID, what Type, pages int64) error {
	if !t.known(g) || what >= numTypes || pages < 0 || pages > t.groups[g].own[what] {
		return &Error{"EINVAL", fmt.Sprintf("giving back %d pages of cgroup %d", pages, g)}
	}
	t.add(g, what, -pages)
	return nil
}

// Count notes an event: in memory.events.local of the cgroup, and in
// memory.events of it and all above it but the root.
func (t *Tree) Count(g ID, e Event) {
	if !t.known(g) || e >= numEvents {
		return
	}
	t.groups[g].local[e]++
	for ; g > 0; g = t.groups[g].parent {
		t.groups[g].events[e]++
	}
}

// reclaim takes up to so many pages from a cgroup and those below it.
func (t *Tree) reclaim(root ID, pages int64) int64 {
	got, skipped := t.pass(root, pages, false)
	if got == 0 && skipped {
		got, _ = t.pass(root, pages, true)
	}
	return got
}

// pass goes once through the cgroups in pre-order. skipped: some were passed over
// for their low.
func (t *Tree) pass(root ID, pages int64, low bool) (got int64, skipped bool) {
	t.walk(root, func(g ID) {
		if got >= pages {
			return
		}
		m := &t.groups[g]
		t.protect(root, g)
		floor := m.emin
		switch {
		case g == root:
			floor = 0
		case m.usage <= m.emin:
			return
		case m.usage <= m.elow && !low:
			skipped = true
			return
		case m.usage <= m.elow:
			t.Count(g, EventLow)
		case !low:
			floor = max(m.emin, m.elow)
		}
		got += t.shrink(g, min(pages-got, m.usage-floor))
	})
	return got, skipped
}

// walk visits a cgroup and those below it in pre-order. Parents come before
// their children in the slice.
func (t *Tree) walk(g ID, visit func(ID)) {
	visit(g)
	for i := int(g) + 1; i < len(t.groups); i++ {
		if t.groups[i].parent == g {
			t.walk(ID(i), visit)
		}
	}
}

// protect computes a cgroup's protections as seen from root
// (mem_cgroup_calculate_protection). Its parent's must be known.
func (t *Tree) protect(root, g ID) {
	m := &t.groups[g]
	if g == root || m.usage == 0 {
		return
	}
	if m.parent == root {
		m.emin, m.elow = m.limits.Min, m.limits.Low
		return
	}
	p := &t.groups[m.parent]
	var mins, lows int64
	for i := range t.groups {
		if c := &t.groups[i]; c.parent == m.parent {
			mins += min(c.usage, c.limits.Min)
			lows += min(c.usage, c.limits.Low)
		}
	}
	m.emin = t.effective(m.usage, p.usage, m.limits.Min, p.emin, mins)
	m.elow = t.effective(m.usage, p.usage, m.limits.Low, p.elow, lows)
}

// effective mirrors effective_protection.
func (t *Tree) effective(usage, parentUsage, setting, parent, siblings int64) int64 {
	protected := min(usage, setting)
	if siblings > parent {
		return share(protected, parent, siblings)
	}
	if !t.recursive || parent <= siblings || parentUsage <= siblings || usage <= protected {
		return protected
	}
	return protected + share(parent-siblings, usage-protected, parentUsage-siblings)
}

// shrink takes pages of a cgroup itself: file pages, then anonymous ones into
// swap.
func (t *Tree) shrink(g ID, pages int64) int64 {
	m := &t.groups[g]
	file := min(pages, m.own[File])
	anon := min(pages-file, m.own[Anon], t.swapRoom(g))
	if file+anon <= 0 {
		return 0
	}
	t.add(g, File, -file)
	t.add(g, Anon, -anon)
	t.swapFree -= anon
	for p := g; p != None; p = t.groups[p].parent {
		t.groups[p].swap += anon
	}
	m.scanned += uint64(file + anon)
	m.stolen += uint64(file + anon)
	return file + anon
}

// swapRoom is how many pages of a cgroup may go to swap.
func (t *Tree) swapRoom(g ID) int64 {
	room := t.swapFree
	for ; g > 0; g = t.groups[g].parent {
		room = min(room, t.groups[g].limits.SwapMax-t.groups[g].swap)
	}
	return max(room, 0)
}

// Usage is memory.current in pages.
func (t *Tree) Usage(g ID) int64 { return t.groups[g].usage }

// Swap is memory.swap.current in pages.
func (t *Tree) Swap(g ID) int64 { return t.groups[g].swap }

// Failcnt is how often the cgroup's max refused.
func (t *Tree) Failcnt(g ID) uint64 { return t.groups[g].failcnt }

// Own is how many pages of a type are charged to the cgroup itself.
func (t *Tree) Own(g ID, what Type) int64 { return t.groups[g].own[what] }

// Check proves the invariants: usage is the sum of what is below, and nothing is
// negative.
func (t *Tree) Check() error {
	sums := make([]int64, len(t.groups))
	for i := len(t.groups) - 1; i >= 0; i-- {
		m := &t.groups[i]
		for _, n := range m.own {
			if n < 0 {
				return fmt.Errorf("memcg: %s has %d pages of a type", m.path, n)
			}
			sums[i] += n
		}
		if sums[i] != m.usage {
			return fmt.Errorf("memcg: %s has a usage of %d, below it are %d", m.path, m.usage, sums[i])
		}
		if m.parent != None {
			if int(m.parent) >= i {
				return fmt.Errorf("memcg: %s comes before its parent", m.path)
			}
			sums[m.parent] += sums[i]
		}
	}
	if t.swapFree < 0 {
		return fmt.Errorf("memcg: %d free swap pages", t.swapFree)
	}
	return nil
}
