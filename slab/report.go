package slab

import (
	"fmt"
	"strings"

	"github.com/kernsim/kernsim/buddy"
)

// ReportConfig is what a kernel's reports say about the kernel itself.
type ReportConfig struct {
	// Release and Version are uname's release and the first word of its
	// version ("6.1.0", "#1").
	Release, Version string
	// Taint are the letters of flags that taint the kernel from the start, as
	// "O" for an out-of-tree module.
	Taint string
	// Vmemmap is the address of page frame 0's struct page, which takes 64
	// bytes; 0 for the usual 0xffffea0000000000.
	Vmemmap uint64
	// PageFlags gives a slab page's flags as %pGp prints them; nil for
	// "0x200(slab|zone=0)" (with head in slabs of several pages).
	PageFlags func(pfn buddy.PFN, order int) string
	// Lockdep says that the kernel debugs locks, until the first report turns
	// that off.
	Lockdep bool
	// Modules is the line after WARNINGs, "Modules linked in: demo(O)".
	Modules string
	// DestroyLine and WrongCacheLine are where the kernel's WARNINGs of
	// kmem_cache_destroy and cache_from_obj are; empty for those of 6.1.192.
	DestroyLine, WrongCacheLine string
}

// ReportError is something that a debugged cache found wrong with an object that
// a caller passed. It was reported and handled as the kernel does.
type ReportError struct {
	// Cache is its name; Title the report's first line behind the kernel's taint.
	Cache, Title string
}

func (e *ReportError) Error() string {
	return fmt.Sprintf("slab: BUG %s: %s", e.Cache, strings.TrimSpace(e.Title))
}

// debugState is what reports need.
type debugState struct {
	task        Task
	symbols     []string
	symbolIndex map[string]int
	stacks      [][]string
	stackIndex  map[string]uint32
	// printk gets each line; nil drops them.
	printk func(line string)
	// counting suppresses reports and counts them and their repairs instead, as
	// KUnit does; errors is that count, or without counting that of reports.
	counting bool
	errors   int
	last     ReportError
	taint    [len(taintLetters)]bool
	config   ReportConfig
	lockdep  bool
	// sourceErr is the first refusal of pages by their source.
	sourceErr error
	// large has the bytes of kmalloc's large blocks by address.
	large map[uint64][]byte
}

// Letters of the taint flags in the kernel's order of 6.1; the first is G if
// not set.
const taintLetters = "PFSRMBUDAWCIOELKXTN"

const (
	taintBadPage = 5
	taintWarn    = 9
)

func (d *debugState) init() {
	d.symbolIndex, d.stackIndex, d.large = map[string]int{}, map[string]uint32{}, map[uint64][]byte{}
	d.setConfig(ReportConfig{})
}

func (d *debugState) setConfig(c ReportConfig) {
	if c.Vmemmap == 0 {
		c.Vmemmap = 0xffffea0000000000
	}
	if c.PageFlags == nil {
		c.PageFlags = defaultPageFlags
	}
	if c.DestroyLine == "" {
		c.DestroyLine = "mm/slab_common.c:493"
	}
	if c.WrongCacheLine == "" {
		c.WrongCacheLine = "mm/slab.h:665"
	}
	d.config, d.lockdep = c, c.Lockdep
	for i := range d.taint {
		d.taint[i] = strings.IndexByte(c.Taint, taintLetters[i]) >= 0
	}
}

func defaultPageFlags(_ buddy.PFN, order int) string {
	if order > 0 {
		return "0x10200(slab|head|zone=0)"
	}
	return "0x200(slab|zone=0)"
}

// SetReports says what reports look like and who gets their lines; printk may
// be nil.
func (a *Allocator) SetReports(c ReportConfig, printk func(line string)) {
	a.debug.setConfig(c)
	a.debug.printk = printk
}

// CountReports makes debugging count reports and repairs instead of printing
// them, as the kernel does while a KUnit test runs; off goes back to printing.
// The count starts at 0.
func (a *Allocator) CountReports(on bool) { a.debug.counting, a.debug.errors = on, 0 }

// Reports is the number of reports since the start, or with
// [Allocator.CountReports] of reports and repairs.
func (a *Allocator) Reports() int { return a.debug.errors }

// Tainted is the kernel's taint as its reports print it (print_tainted).
func (a *Allocator) Tainted() string { return a.debug.tainted() }

func (d *debugState) tainted() string {
	b := []byte("Tainted: ")
	any := false
	for i, set := range d.taint {
		c := byte(' ')
		switch {
		case set:
			c, any = taintLetters[i], true
		case i == 0:
			c = 'G'
		}
		b = append(b, c)
	}
	if !any {
		return "Not tainted"
	}
	return string(b)
}

// addTaint is add_taint; unreliable turns lock debugging off.
func (d *debugState) addTaint(flag int, unreliable bool) {
	if unreliable && d.lockdep {
		d.lockdep = false
		d.line("Disabling lock debugging due to kernel taint")
	}
	d.taint[flag] = true
}

func (d *debugState) line(text string) {
	if d.printk == nil || d.counting {
		return
	}
	for _, l := range strings.Split(text, "\n") {
		d.printk(l)
	}
}

func (c *Cache) print(format string, args ...any) { c.a.debug.line(fmt.Sprintf(format, args...)) }

// report prints one line that counts as a report.
func (c *Cache) report(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.counted(text)
	c.a.debug.line(text)
}

// counted notes a report; it says whether to print it.
func (c *Cache) counted(title string) bool {
	d := &c.a.debug
	d.errors++
	d.last = ReportError{c.name, title}
	return !d.counting
}

// lastReport is the report just made, as an error.
func (c *Cache) lastReport() error {
	e := c.a.debug.last
	return &e
}

// ptr is %p with 0x: as many digits as a pointer has.
func (c *Cache) ptr(addr uint64) string {
	return fmt.Sprintf("0x%0*x", 2*c.a.config.WordSize, addr)
}

// bug prints a report's head: slab_bug.
func (c *Cache) bug(format string, args ...any) {
	c.print("%s", strings.Repeat("=", 77))
	c.print("BUG %s (%s): %s", c.name, c.a.debug.tainted(), fmt.Sprintf(format, args...))
	c.print("%s\n", strings.Repeat("-", 77))
}

// fix says what was repaired: slab_fix.
func (c *Cache) fix(format string, args ...any) {
	if c.a.debug.counting {
		c.a.debug.errors++
		return
	}
	c.print("FIX %s: %s", c.name, fmt.Sprintf(format, args...))
}

// slabErr reports something about a slab: slab_err. The kernel cuts the text at
// 99 bytes.
func (c *Cache) slabErr(cpu buddy.CPU, s *slabMeta, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	text = text[:min(len(text), 99)]
	if !c.counted(text) {
		return
	}
	c.bug("%s", text)
	c.slabInfo(s)
	c.dumpStack(cpu)
	c.a.debug.addTaint(taintBadPage, true)
}

// objectErr reports something about an object: object_err.
func (c *Cache) objectErr(cpu buddy.CPU, s *slabMeta, addr uint64, reason string) {
	if !c.counted(reason) {
		return
	}
	c.bug("%s", reason)
	if addr == 0 || !c.validPointer(s, addr) {
		c.slabInfo(s)
		c.print("Invalid pointer %s", c.ptr(addr))
	} else {
		c.trailer(cpu, s, addr)
	}
	c.a.debug.addTaint(taintBadPage, true)
}

// slabInfo is print_slab_info.
func (c *Cache) slabInfo(s *slabMeta) {
	d := &c.a.debug
	pfn := c.a.pfnOf(s.addr)
	fp := s.raw
	if !c.debug {
		fp = s.nextAddr(c, s.free)
	}
	c.print("Slab %s objects=%d used=%d fp=%s flags=%s", c.ptr(d.config.Vmemmap+pfn*structPageSize),
		s.objects, s.inuse, c.ptr(fp), d.config.PageFlags(buddy.PFN(pfn), int(s.order)))
}

const structPageSize = 64

// tracking is print_tracking.
func (c *Cache) tracking(s *slabMeta, addr uint64) {
	if c.layout.Flags&StoreUser == 0 {
		return
	}
	c.printTrack("Allocated", c.readTrack(s, addr, trackAlloc))
	c.printTrack("Freed", c.readTrack(s, addr, trackFree))
}

func (c *Cache) printTrack(what string, t track) {
	if t.addr == 0 {
		return
	}
	d := &c.a.debug
	c.print("%s in %s age=%d cpu=%d pid=%d", what, d.symbol(t.addr), d.task.Jiffies-t.when, uint32(t.cpu), t.pid)
	stack := d.stack(t.handle)
	if stack == nil && t.handle == 0 {
		c.print("object allocation/free stack trace missing")
	}
	for _, f := range stack {
		c.print(" %s", f)
	}
}

// trailer is print_trailer: all about an object.
func (c *Cache) trailer(cpu buddy.CPU, s *slabMeta, addr uint64) {
	l := &c.layout
	c.tracking(s, addr)
	c.slabInfo(s)
	c.print("Object %s @offset=%d fp=%s\n", c.ptr(addr), addr-s.addr, c.ptr(c.readFree(s, addr)))
	if l.Flags&RedZone != 0 {
		c.dump("Redzone  ", s, addr-uint64(l.RedLeftPad), l.RedLeftPad)
	} else if addr > s.addr+16 {
		c.dump("Bytes b4 ", s, addr-16, 16)
	}
	c.dump("Object   ", s, addr, min(l.ObjectSize, c.a.config.pageSize()))
	if l.Flags&RedZone != 0 {
		c.dump("Redzone  ", s, addr+uint64(l.ObjectSize), l.Inuse-l.ObjectSize)
	}
	if from, to := c.metadataEnd(), c.sizeFromObject(); from < to {
		c.dump("Padding  ", s, addr+uint64(from), to-from)
	}
	c.dumpStack(cpu)
}

func (c *Cache) dump(text string, s *slabMeta, at uint64, n uint32) {
	c.section(text, at, c.span(s, at, uint64(n)))
}

// section is print_section: a hex dump with addresses and characters.
func (c *Cache) section(text string, at uint64, b []byte) {
	if c.a.debug.printk == nil || c.a.debug.counting {
		return
	}
	for i := 0; i < len(b); i += dumpRow {
		row := b[i:min(i+dumpRow, len(b))]
		line := fmt.Appendf(nil, "%s%0*x: ", text, 2*c.a.config.WordSize, at+uint64(i))
		chars := make([]byte, 0, dumpRow)
		for _, v := range row {
			line = fmt.Appendf(line, "%02x ", v)
			if v < 0x20 || v > 0x7e {
				v = '.'
			}
			chars = append(chars, v)
		}
		pad := 3*(dumpRow-len(row)) + 1
		c.print("%s%*s%s", line, pad, "", chars)
	}
}

const dumpRow = 16

// dumpStack is dump_stack: who runs, and the call chain.
func (c *Cache) dumpStack(cpu buddy.CPU) {
	d := &c.a.debug
	c.print("CPU: %d PID: %d Comm: %s %s %s %s ", cpu, d.task.PID, d.task.Comm, d.tainted(), d.config.Release, d.config.Version)
	c.print("Call Trace:\n <TASK>")
	for _, f := range d.task.Stack {
		c.print(" %s", f)
	}
	c.print(" </TASK>")
}

// trace prints what option T wants: TRACE lines.
func (c *Cache) trace(cpu buddy.CPU, s *slabMeta, addr uint64, what string) {
	if c.layout.Flags&Trace == 0 {
		return
	}
	c.print("TRACE %s %s %s inuse=%d fp=%s", c.name, what, c.ptr(addr), s.inuse, c.ptr(s.raw))
	if what == "free" {
		c.dump("Object ", s, addr, c.layout.ObjectSize)
	}
	c.dumpStack(cpu)
}

// warn prints a WARNING: WARN().
func (c *Cache) warn(cpu buddy.CPU, at, function, format string, args ...any) {
	d := &c.a.debug
	c.print("------------[ cut here ]------------")
	c.print(format, args...)
	c.print("WARNING: CPU: %d PID: %d at %s %s", cpu, d.task.PID, at, function)
	c.print("%s", d.config.Modules)
	c.dumpStack(cpu)
	c.print("---[ end trace 0000000000000000 ]---")
	d.addTaint(taintWarn, false)
}

// reportWrongCache is what cache_from_obj prints when an object is freed to a
// cache that it is not of. The object is freed to its own.
func (c *Cache) reportWrongCache(cpu buddy.CPU, owner *Cache, addr uint64) {
	if !c.a.config.FreelistHardened && c.layout.Flags&ConsistencyChecks == 0 {
		return
	}
	c.counted("Wrong slab cache. " + c.name + " but object is from " + owner.name)
	c.warn(cpu, c.a.debug.config.WrongCacheLine, "cache_from_obj",
		"cache_from_obj: Wrong slab cache. %s but object is from %s", c.name, owner.name)
	if s := &c.a.slabs[c.a.slabAt(addr)]; owner.validPointer(s, addr) {
		owner.tracking(s, addr)
	}
}

// reportRemaining lists the objects of a slab that are in use when its cache is
// destroyed: list_slab_objects.
func (c *Cache) reportRemaining(cpu buddy.CPU, id slabID) {
	s := &c.a.slabs[id]
	c.slabErr(cpu, s, "Objects remaining in %s on __kmem_cache_shutdown()", c.name)
	for obj := range s.objects {
		addr := s.objectAddr(c, obj)
		if c.debug && c.onList(s, addr) || !c.debug && s.links[obj] != inUse {
			continue
		}
		c.print("Object %s @offset=%d", c.ptr(addr), addr-s.addr)
		c.tracking(s, addr)
	}
}

// reportBusy is the WARNING of kmem_cache_destroy.
func (c *Cache) reportBusy(cpu buddy.CPU) {
	c.warn(cpu, c.a.debug.config.DestroyLine, "kmem_cache_destroy",
		"kmem_cache_destroy %s: Slab cache still has objects when called from %s", c.name, c.a.debug.task.Caller)
}

// largeBytes gives a large block bytes, dropLarge takes them away, largeAt finds
// them.
func (d *debugState) largeBytes(a *Allocator, pfn buddy.PFN, order int) {
	d.large[a.config.PageOffset+uint64(pfn)<<a.config.PageShift] = make([]byte, 1<<(a.config.PageShift+order))
}

func (d *debugState) dropLarge(addr uint64) { delete(d.large, addr) }

func (d *debugState) largeAt(a *Allocator, addr uint64) (base uint64, b []byte) {
	for order := range buddy.MaxOrders {
		base = a.config.PageOffset + (addr-a.config.PageOffset)>>(a.config.PageShift+order)<<(a.config.PageShift+order)
		if o, ok := a.largeOrder(base); ok && o == order {
			return base, d.large[base]
		}
	}
	return 0, nil
}
