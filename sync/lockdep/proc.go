package lockdep

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteClasses prints the classes as /proc/lockdep does: key, classes that can be
// reached from it (FD) and that reach it (BD), usage, name, and the classes taken
// directly under it.
func (v *Validator) WriteClasses(w io.Writer) error {
	var b strings.Builder
	b.WriteString("all lock classes:\n")
	for i := 1; i < len(v.classes); i++ {
		c := &v.classes[i]
		if c.dead {
			continue
		}
		fmt.Fprintf(&b, "%016x FD:%5d BD:%5d %s: %s\n", v.classKey(c), v.reach(ClassID(i), true), v.reach(ClassID(i), false), c.usage.Chars(), c.appendName(nil))
		for e := c.after.head; e != 0; e = v.edges[e].next {
			if v.edges[e].distance == 1 {
				to := &v.classes[v.edges[e].class]
				fmt.Fprintf(&b, " -> [%016x] %s\n", v.classKey(to), to.appendName(nil))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// classKey is the address of a class's key: each subclass has one.
func (v *Validator) classKey(c *class) uint64 { return v.keys[c.key].Addr + uint64(c.subclass) }

var chainContexts = [4]string{0: "0", softirqChain: "softirq", hardirqChain: "hardirq", softirqChain | hardirqChain: "hardirq|softirq"}

// WriteChains prints the chains as /proc/lockdep_chains does.
func (v *Validator) WriteChains(w io.Writer) error {
	var b strings.Builder
	b.WriteString("all lock chains:\n")
	for i := 1; i < len(v.chains); i++ {
		ch := &v.chains[i]
		if ch.dead {
			continue
		}
		fmt.Fprintf(&b, "irq_context: %s\n", chainContexts[ch.irqContext])
		for _, l := range v.links[ch.base : ch.base+ch.depth] {
			c := &v.classes[l>>2]
			fmt.Fprintf(&b, "[%016x] %s\n", v.classKey(c), c.appendName(nil))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// usageCounts are how many classes have each kind of use.
type usageCounts struct {
	unused, uncategorized int
	// bit counts single bits; any counts both interrupts together: safe, unsafe, of
	// writers and readers.
	bit [usageBits]int
	any [4]int
}

func (v *Validator) countUsage() usageCounts {
	var n usageCounts
	for i := 1; i < len(v.classes); i++ {
		c := &v.classes[i]
		if c.dead {
			continue
		}
		n.unused += bit(c.usage == 0)
		n.uncategorized += bit(c.usage == 1<<Used)
		for b := UsageBit(0); b < usageBits; b++ {
			n.bit[b] += bit(c.usage.Has(b))
		}
		for k := range UsageBit(4) {
			n.any[k] += bit(c.usage.Has(k) || c.usage.Has(k+UsedInSoftirq))
		}
	}
	return n
}

// WriteStats prints the counters as /proc/lockdep_stats does. Lines about the
// memory of the kernel's own tables are left out.
func (v *Validator) WriteStats(w io.Writer) error {
	n := v.countUsage()
	var chains [3]int
	used := 0
	for i := 1; i < len(v.chains); i++ {
		if ch := &v.chains[i]; !ch.dead {
			used += int(ch.depth)
			chains[min(int(ch.irqContext), hardirqChain)]++
		}
	}
	reach := 0
	for i := 1; i < len(v.classes); i++ {
		if !v.classes[i].dead {
			reach += v.reach(ClassID(i), true)
		}
	}
	live := len(v.classes) - 1 - v.stats.Zapped
	var b strings.Builder
	line := func(name string, value int) { fmt.Fprintf(&b, " %-30s %11d\n", name+":", value) }
	limited := func(name string, value, limit int) {
		fmt.Fprintf(&b, " %-30s %11d [max: %d]\n", name+":", value, limit)
	}
	limited("lock-classes", live, v.cfg.MaxClasses+1)
	limited("direct dependencies", v.liveEdges, v.cfg.MaxDependencies)
	line("indirect dependencies", reach)
	line("all direct dependencies", n.any[2]*n.any[0]+n.bit[EnabledHardirq]*n.bit[UsedInHardirq]+v.liveEdges)
	limited("dependency chains", v.liveChains, v.cfg.MaxChains)
	limited("dependency chain hlocks used", used, v.cfg.MaxChains*maxLinksPerChain)
	line("in-hardirq chains", chains[hardirqChain])
	line("in-softirq chains", chains[softirqChain])
	line("in-process chains", chains[0])
	line("combined max dependencies", (chains[hardirqChain]+1)*(chains[softirqChain]+1)*(chains[0]+1))
	for _, r := range []struct {
		name string
		bit  UsageBit
	}{{"", 0}, {"read-", readBit}} {
		line("hardirq-"+r.name+"safe locks", n.bit[UsedInHardirq|r.bit])
		line("hardirq-"+r.name+"unsafe locks", n.bit[EnabledHardirq|r.bit])
		line("softirq-"+r.name+"safe locks", n.bit[UsedInSoftirq|r.bit])
		line("softirq-"+r.name+"unsafe locks", n.bit[EnabledSoftirq|r.bit])
		line("irq-"+r.name+"safe locks", n.any[r.bit])
		line("irq-"+r.name+"unsafe locks", n.any[enabledBit|r.bit])
	}
	line("uncategorized locks", n.uncategorized)
	line("unused locks", n.unused)
	line("max locking depth", v.stats.MaxDepth)
	line("max bfs queue depth", v.stats.MaxBFSDepth)
	line("max lock class index", len(v.classes)-2)
	line("debug_locks", bit(v.report == nil))
	b.WriteByte('\n')
	line("zapped classes", v.stats.Zapped)
	line("zapped lock chains", v.stats.ZappedChains)
	_, err := io.WriteString(w, b.String())
	return err
}

// statWidth is the width of a line of /proc/lock_stat.
const statWidth = 40 + 1 + 12*15

// WriteLockStat prints waiting and holding times as /proc/lock_stat does, in
// microseconds, the classes with most waits first. It needs [Config.Clock].
func (v *Validator) WriteLockStat(w io.Writer) error {
	var b strings.Builder
	rule := strings.Repeat("-", statWidth)
	b.WriteString("lock_stat version 0.4\n")
	if v.report != nil {
		b.WriteString("*WARNING* lock debugging disabled!! - possibly due to a lockdep warning\n")
	}
	fmt.Fprintf(&b, "%s\n%40s %14s %14s %14s %14s %14s %14s %14s %14s %14s %14s %14s %14s\n%s\n\n", rule,
		"class name", "con-bounces", "contentions", "waittime-min", "waittime-max", "waittime-total", "waittime-avg",
		"acq-bounces", "acquisitions", "holdtime-min", "holdtime-max", "holdtime-total", "holdtime-avg", rule)
	var order []*class
	for i := 1; i < len(v.classes); i++ {
		if !v.classes[i].dead {
			order = append(order, &v.classes[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *class) int { return cmp.Compare(b.stat.waits(), a.stat.waits()) })
	for _, c := range order {
		c.writeStat(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *classStat) waits() uint64 { return s.wait[0].N + s.wait[1].N }

func (c *class) writeStat(b *strings.Builder) {
	s := &c.stat
	name := c.statName()
	for read, suffix := range [2]string{"-W", "-R"} {
		if s.hold[read].N == 0 {
			continue
		}
		head := fmt.Sprintf("%38s%s:", name, suffix)
		if read == 0 && s.hold[1].N == 0 {
			head = fmt.Sprintf("%40s:", name)
		}
		fmt.Fprintf(b, "%s%14d %s %14d %s\n", head, s.bounced[read], &s.wait[read], s.moved[read], &s.hold[read])
	}
	if s.waits() == 0 {
		return
	}
	width := len(name)
	if s.hold[1].N > 0 {
		width += 2
	}
	for _, points := range [2][]contention{s.points, s.holders} {
		for i, p := range points {
			if i == 0 {
				fmt.Fprintf(b, "%40s\n", strings.Repeat("-", width))
			}
			fmt.Fprintf(b, "%40s %14d %29s %s\n", name, p.n, fmt.Sprintf("[<%016x>]", 0), p.site)
		}
	}
	if len(s.holders) > 0 {
		fmt.Fprintf(b, "\n%s\n\n", strings.Repeat(".", statWidth))
	}
}

// statName is a class's name, cut so that its number and subclass fit.
func (c *class) statName() string {
	room, tail := 37, ""
	if c.version > 1 {
		room -= 2
		tail = fmt.Sprintf("#%d", c.version)[:2]
	}
	if c.subclass > 0 {
		room -= 2
		tail += fmt.Sprintf("/%d", c.subclass)
	}
	return c.name[:min(room, len(c.name))] + tail
}

// String is a time's columns: number, then least, most, sum and average in us.
func (t *LockTime) String() string {
	average := int64(0)
	if t.N > 0 {
		average = t.Total / int64(t.N)
	}
	return fmt.Sprintf("%14d %14s %14s %14s %14s", t.N, microseconds(t.Min), microseconds(t.Max), microseconds(t.Total), microseconds(average))
}

func microseconds(ns int64) string {
	ns += 5
	return fmt.Sprintf("%d.%02d", ns/1000, ns%1000/10)
}
