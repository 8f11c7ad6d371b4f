package slab

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Slabinfo is the cache's line of /proc/slabinfo: get_slabinfo.
func (c *Cache) Slabinfo() Slabinfo {
	row := Slabinfo{Name: c.name, ObjSize: c.layout.Size, ObjPerSlab: c.layout.Objects, PagesPerSlab: 1 << c.layout.Order}
	var free uint64
	for i := range c.nodes {
		n := &c.nodes[i]
		row.NumSlabs += n.slabs
		row.NumObjs += n.objects
		free += c.countPartial(n, func(s *slabMeta) uint64 { return uint64(s.objects - s.inuse) })
	}
	row.ActiveObjs, row.ActiveSlabs = row.NumObjs-free, row.NumSlabs
	return row
}

// countPartial sums something over a node's partial slabs.
func (c *Cache) countPartial(n *nodeLists, count func(*slabMeta) uint64) uint64 {
	var sum uint64
	for id := n.partial.first; id != 0; id = c.a.slabs[id].next {
		sum += count(&c.a.slabs[id])
	}
	return sum
}

// Slabinfo is /proc/slabinfo: the newest cache first.
func (a *Allocator) Slabinfo() []Slabinfo {
	var rows []Slabinfo
	for _, c := range slices.Backward(a.caches) {
		rows = append(rows, c.Slabinfo())
	}
	return rows
}

// WriteUnreclaimable writes what the OOM killer prints about slabs that cannot be
// reclaimed: dump_unreclaimable_slab.
func (a *Allocator) WriteUnreclaimable(w io.Writer) error {
	b := []byte("Unreclaimable slab info:\nName                      Used          Total\n")
	for _, c := range slices.Backward(a.caches) {
		if r := c.Slabinfo(); c.layout.Flags&ReclaimAccount == 0 && r.NumObjs > 0 {
			b = fmt.Appendf(b, "%-17s %10dKB %10dKB\n", c.name, r.ActiveObjs*c.size/1024, r.NumObjs*c.size/1024)
		}
	}
	_, err := w.Write(b)
	return err
}

// SysfsName is the cache's folder in /sys/kernel/slab: its name, or for a cache
// that others may be merged into ":", its merging flags and its size; the names
// of its users are then links to it.
func (c *Cache) SysfsName() string {
	if c.unmergeable() {
		return c.name
	}
	id := ":"
	for _, f := range []struct {
		flag   Flags
		letter string
	}{{CacheDMA, "d"}, {CacheDMA32, "D"}, {ReclaimAccount, "a"}, {ConsistencyChecks, "F"}, {Account, "A"}} {
		if c.layout.Flags&f.flag != 0 {
			id += f.letter
		}
	}
	if id != ":" {
		id += "-"
	}
	return fmt.Sprintf("%s%07d", id, c.layout.Size)
}

// Attr is a file in /sys/kernel/slab/CACHE.
type Attr struct {
	Name string
	// Value is the text with its line end; "" for files that can only be
	// written.
	Value string
}

// Sysfs are the files of the cache's folder in the kernel's order. With stats it
// has those of CONFIG_SLUB_STATS, too.
func (c *Cache) Sysfs(stats bool) []Attr {
	l := &c.layout
	var out []Attr
	add := func(name, format string, args ...any) {
		out = append(out, Attr{name, fmt.Sprintf(format+"\n", args...)})
	}
	flag := func(name string, f Flags) { add(name, "%d", oneIf(l.Flags&f != 0)) }
	add("slab_size", "%d", l.Size)
	add("object_size", "%d", l.ObjectSize)
	add("objs_per_slab", "%d", l.Objects)
	add("order", "%d", l.Order)
	if c.a.config.Profile.Sheaves {
		add("sheaf_capacity", "%d", c.params.SheafCapacity)
	}
	add("min_partial", "%d", l.MinPartial)
	add("cpu_partial", "%d", l.CPUPartial)
	inUse := func(s *slabMeta) uint64 { return uint64(s.inuse) }
	add("objects", "%s", c.perNode(func(n *nodeLists) uint64 {
		return n.objects - c.countPartial(n, func(s *slabMeta) uint64 { return uint64(s.objects - s.inuse) })
	}))
	add("objects_partial", "%s", c.perNode(func(n *nodeLists) uint64 { return c.countPartial(n, inUse) }))
	add("partial", "%s", c.perNode(func(n *nodeLists) uint64 { return uint64(n.partial.n) }))
	add("cpu_slabs", "%s", c.cpuSlabs())
	out = append(out, Attr{"ctor", ""})
	if c.params.Ctor != nil {
		out[len(out)-1].Value = "ctor\n"
	}
	add("aliases", "%d", max(c.refcount-1, 0))
	add("align", "%d", l.Align)
	flag("hwcache_align", HWCacheAlign)
	flag("reclaim_account", ReclaimAccount)
	flag("destroy_by_rcu", TypesafeByRCU)
	out = append(out, Attr{Name: "shrink"})
	add("slabs_cpu_partial", "%s", c.slabsCPUPartial())
	add("total_objects", "%s", c.perNode(func(n *nodeLists) uint64 { return n.objects }))
	add("slabs", "%s", c.perNode(func(n *nodeLists) uint64 { return n.slabs }))
	flag("sanity_checks", ConsistencyChecks)
	flag("trace", Trace)
	flag("red_zone", RedZone)
	flag("poison", Poison)
	flag("store_user", StoreUser)
	out = append(out, Attr{Name: "validate"})
	if c.a.config.ZoneDMA {
		flag("cache_dma", CacheDMA)
	}
	add("remote_node_defrag_ratio", "%d", c.defragRatio/10)
	if stats {
		out = c.appendStats(out)
	}
	add("usersize", "%d", c.params.UserSize)
	return out
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// perNode writes a sum and, for each node that has some, its share.
func (c *Cache) perNode(count func(*nodeLists) uint64) string {
	return sumText("N", len(c.nodes), func(i int) uint64 { return count(&c.nodes[i]) })
}

func sumText(letter string, n int, count func(int) uint64) string {
	var total uint64
	text := ""
	for i := range n {
		if x := count(i); x > 0 {
			total += x
			text += fmt.Sprintf(" %s%d=%d", letter, i, x)
		}
	}
	return fmt.Sprint(total) + text
}

// cpuSlabs counts the slabs that CPUs have, by node.
func (c *Cache) cpuSlabs() string {
	counts := make([]uint64, len(c.nodes))
	for i := range c.cpus {
		cs := &c.cpus[i]
		if cs.slab == 0 {
			continue // the kernel then overlooks the partial list, too
		}
		counts[c.a.slabs[cs.slab].node]++
		if cs.partial != 0 {
			counts[c.a.slabs[cs.partial].node] += uint64(c.a.slabs[cs.partial].slabs)
		}
	}
	return sumText("N", len(counts), func(i int) uint64 { return counts[i] })
}

// slabsCPUPartial writes how many objects, guessed as half of each slab's, and
// slabs are on CPUs' partial lists.
func (c *Cache) slabsCPUPartial() string {
	total, text := 0, ""
	for i := range c.cpus {
		if id := c.cpus[i].partial; id != 0 {
			n := int(c.a.slabs[id].slabs)
			total += n
			text += fmt.Sprintf(" C%d=%d(%d)", i, n*int(c.layout.Objects)/2, n)
		}
	}
	return fmt.Sprintf("%d(%d)%s", total*int(c.layout.Objects)/2, total, text)
}

func (c *Cache) appendStats(out []Attr) []Attr {
	last := BarnGet
	if c.a.config.Profile.Sheaves {
		last = Stat(NumStats)
	}
	for s := range last {
		out = append(out, Attr{s.String(), sumText("C", len(c.cpus), func(i int) uint64 { return uint64(c.cpus[i].stats[s]) }) + "\n"})
	}
	return out
}

// SetMinPartial and SetCPUPartial write the files of these names. A new bound of
// the CPUs' lists flushes them. A debugged cache has no such lists: the error is
// the kernel's EINVAL.
func (c *Cache) SetMinPartial(n uint32) { c.layout.MinPartial = n }

// SetCPUPartial is in objects.
func (c *Cache) SetCPUPartial(objects uint32) error {
	if objects > 0 && !c.usesCPUPartial {
		return fmt.Errorf("slab: cpu_partial of %s: invalid argument: it has no CPU partial lists", c.name)
	}
	if c.a.config.Profile.CPUPartial == CPUPartialObjects {
		c.layout.CPUPartial = objects
	} else {
		c.layout.setCPUPartial(objects)
	}
	return c.Flush()
}

// SetRemoteNodeDefragRatio writes the file of this name: how often, in percent,
// a request takes another node's partial slabs before it makes a new slab.
func (c *Cache) SetRemoteNodeDefragRatio(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("slab: remote_node_defrag_ratio %d: numerical result out of range", percent)
	}
	c.defragRatio = 10 * percent
	return nil
}

// Slabtop writes a table like slabtop's: a summary and the caches by their
// memory.
func Slabtop(w io.Writer, rows []Slabinfo, pageShift int) error {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(x, y Slabinfo) int {
		return int(int64(y.NumSlabs*uint64(y.PagesPerSlab)) - int64(x.NumSlabs*uint64(x.PagesPerSlab)))
	})
	var t slabtopTotals
	for i := range rows {
		t.add(&rows[i])
	}
	b := t.text()
	b = append(b, "\n  OBJS ACTIVE  USE OBJ SIZE  SLABS OBJ/SLAB CACHE SIZE NAME\n"...)
	for _, r := range rows {
		b = fmt.Appendf(b, "%6d %6d %3d%% %7.2fK %6d %8d %9dK %s\n", r.NumObjs, r.ActiveObjs, percent(r.ActiveObjs, r.NumObjs),
			float64(r.ObjSize)/1024, r.NumSlabs, r.ObjPerSlab, r.NumSlabs*uint64(r.PagesPerSlab)<<pageShift/1024, r.Name)
	}
	_, err := w.Write(b)
	return err
}

func percent(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return part * 100 / whole
}

// slabtopTotals is the summary over all caches.
type slabtopTotals struct {
	active, objs, activeSlabs, slabs, activeCaches, caches uint64
	activeSize, size                                       uint64
	minObj, maxObj                                         uint32
}

func (t *slabtopTotals) add(r *Slabinfo) {
	t.caches++
	if r.NumSlabs > 0 {
		t.activeCaches++
	}
	t.active += r.ActiveObjs
	t.objs += r.NumObjs
	t.activeSlabs += r.ActiveSlabs
	t.slabs += r.NumSlabs
	t.activeSize += r.ActiveObjs * uint64(r.ObjSize)
	t.size += r.NumObjs * uint64(r.ObjSize)
	if t.minObj == 0 || r.ObjSize < t.minObj {
		t.minObj = r.ObjSize
	}
	t.maxObj = max(t.maxObj, r.ObjSize)
}

func (t *slabtopTotals) text() []byte {
	share := func(a, b uint64) float64 { return 100 * float64(a) / float64(max(b, 1)) }
	kib := func(n float64) float64 { return n / 1024 }
	var b []byte
	line := func(name, format string, args ...any) {
		b = fmt.Appendf(b, " %-35s: "+format+"\n", append([]any{name}, args...)...)
	}
	line("Active / Total Objects (% used)", "%d / %d (%.1f%%)", t.active, t.objs, share(t.active, t.objs))
	line("Active / Total Slabs (% used)", "%d / %d (%.1f%%)", t.activeSlabs, t.slabs, share(t.activeSlabs, t.slabs))
	line("Active / Total Caches (% used)", "%d / %d (%.1f%%)", t.activeCaches, t.caches, share(t.activeCaches, t.caches))
	line("Active / Total Size (% used)", "%.2fK / %.2fK (%.1f%%)", kib(float64(t.activeSize)), kib(float64(t.size)), share(t.activeSize, t.size))
	line("Minimum / Average / Maximum Object", "%.2fK / %.2fK / %.2fK", kib(float64(t.minObj)),
		kib(float64(t.size)/float64(max(t.objs, 1))), kib(float64(t.maxObj)))
	return b
}

// location is a place that objects in use were allocated or last freed from.
type location struct {
	track    track
	waste    uint64
	count    uint64
	sumAge   uint64
	min, max uint64
	minPID   int32
	maxPID   int32
	cpus     []bool
	nodes    []bool
}

// WriteTraces writes the file alloc_traces (or, with frees, free_traces) of a
// cache that stores tracks (StoreUser), from debugfs: for each place that objects
// in use come from their number, age, processes, CPUs and stack, the most frequent
// first.
func (c *Cache) WriteTraces(w io.Writer, frees bool) error {
	var list []location
	if c.layout.Flags&StoreUser != 0 {
		list = c.locations(frees)
	}
	slices.SortStableFunc(list, func(a, b location) int { return int(int64(b.count) - int64(a.count)) })
	var b []byte
	for i := range list {
		b = c.appendLocation(b, &list[i])
	}
	if len(list) == 0 {
		b = []byte("No data\n")
	}
	_, err := w.Write(b)
	return err
}

func (c *Cache) locations(frees bool) []location {
	var list []location
	item := trackAlloc
	if frees {
		item = trackFree
	}
	for i := range c.nodes {
		for _, first := range []slabID{c.nodes[i].partial.first, c.nodes[i].full.first} {
			for id := first; id != 0; id = c.a.slabs[id].next {
				s := &c.a.slabs[id]
				for obj := range s.objects {
					if addr := s.objectAddr(c, obj); !c.onList(s, addr) {
						list = c.addLocation(list, s, addr, item)
					}
				}
			}
		}
	}
	return list
}

// addLocation is add_location: places are sorted by address, stack and waste.
func (c *Cache) addLocation(list []location, s *slabMeta, addr uint64, item trackItem) []location {
	t := c.readTrack(s, addr, item)
	waste := uint64(0)
	if item == trackAlloc {
		waste = uint64(c.layout.ObjectSize - min(c.origSize(s, addr), c.layout.ObjectSize))
	}
	age := c.a.debug.task.Jiffies - t.when
	at, found := slices.BinarySearchFunc(list, location{track: t, waste: waste}, func(x, y location) int {
		for _, d := range [...]int64{int64(x.track.addr) - int64(y.track.addr), int64(x.track.handle) - int64(y.track.handle), int64(x.waste) - int64(y.waste)} {
			if d != 0 {
				return int(d>>63 | 1)
			}
		}
		return 0
	})
	if !found {
		l := location{track: t, waste: waste, min: age, max: age, minPID: t.pid, maxPID: t.pid,
			cpus: make([]bool, len(c.cpus)), nodes: make([]bool, len(c.nodes))}
		list = slices.Insert(list, at, l)
	}
	l := &list[at]
	l.count++
	l.sumAge += age
	l.min, l.max = min(l.min, age), max(l.max, age)
	l.minPID, l.maxPID = min(l.minPID, t.pid), max(l.maxPID, t.pid)
	if int(t.cpu) < len(l.cpus) && t.cpu >= 0 {
		l.cpus[t.cpu] = true
	}
	l.nodes[s.node] = true
	return list
}

// appendLocation is slab_debugfs_show.
func (c *Cache) appendLocation(b []byte, l *location) []byte {
	b = fmt.Appendf(b, "%7d ", l.count)
	if l.track.addr != 0 {
		b = append(b, c.a.debug.symbol(l.track.addr)...)
	} else {
		b = append(b, "<not-available>"...)
	}
	if l.waste > 0 {
		b = fmt.Appendf(b, " waste=%d/%d", l.count*l.waste, l.waste)
	}
	if l.sumAge != l.min {
		b = fmt.Appendf(b, " age=%d/%d/%d", l.min, l.sumAge/l.count, l.max)
	} else {
		b = fmt.Appendf(b, " age=%d", l.min)
	}
	if l.minPID != l.maxPID {
		b = fmt.Appendf(b, " pid=%d-%d", l.minPID, l.maxPID)
	} else {
		b = fmt.Appendf(b, " pid=%d", l.minPID)
	}
	if text := bitList(l.cpus); len(l.cpus) > 1 && text != "" {
		b = append(append(b, " cpus="...), text...)
	}
	if text := bitList(l.nodes); len(l.nodes) > 1 && text != "" {
		b = append(append(b, " nodes="...), text...)
	}
	if stack := c.a.debug.stack(l.track.handle); stack != nil {
		b = append(b, '\n')
		for _, f := range stack {
			b = append(append(append(b, "        "...), f...), '\n')
		}
	}
	return append(b, '\n')
}

// bitList writes a set as %*pbl does: "0,2-5".
func bitList(set []bool) string {
	var parts []string
	for i := 0; i < len(set); i++ {
		if !set[i] {
			continue
		}
		from := i
		for i+1 < len(set) && set[i+1] {
			i++
		}
		if i > from {
			parts = append(parts, fmt.Sprintf("%d-%d", from, i))
		} else {
			parts = append(parts, fmt.Sprint(from))
		}
	}
	return strings.Join(parts, ",")
}
