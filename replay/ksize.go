package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/mm/vmalloc"
	"github.com/kernsim/kernsim/slab"
)

// Tables of what allocators gave for a size: how many bytes, from which cache,
// in how many pages. Files whose name has "-debug" are of a kernel that was
// booted with slub_debug=FZPU.

// sizeTables are the kinds of tables, by the columns that they start with.
var sizeTables = []struct {
	columns string
	judge   func(*sizeJudge, map[string]string) map[string]string
}{
	{"flags\tsize\tkind\tcache\tksize", (*sizeJudge).ksize},
	{"type\tindex\tname\tobject_size\tsize", (*sizeJudge).kcache},
	{"object_size_requested\tvariant\tdebug_flags", (*sizeJudge).layout},
	{"cache\tobject_size\tslab_size\tobjs_per_slab", (*sizeJudge).attrs},
	{"call\targ\tresult\tdetail", (*sizeJudge).pages},
	{"call\tsize\tresult\taddress\tmapped_pages", (*sizeJudge).vmalloc},
}

func sizeFiles(c Capture) (tables, wastes []string) {
	if c.Has("trace.txt") {
		return nil, nil
	}
	walkFiles(c, func(name string) {
		head := string(c.head(name, 1<<12))
		switch {
		case strings.HasSuffix(name, ".tsv") && tableOf(head) >= 0:
			tables = append(tables, name)
		case strings.HasSuffix(name, ".txt") && strings.Contains(name, "kmalloc_waste"):
			wastes = append(wastes, name)
		}
	})
	return tables, wastes
}

// tableOf is the kind of table that a text starts, -1 if none; lines that begin
// with # are passed over.
func tableOf(text string) int {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for i := range sizeTables {
			if strings.HasPrefix(line, sizeTables[i].columns) {
				return i
			}
		}
		return -1
	}
	return -1
}

func hasSizes(c Capture) bool {
	tables, wastes := sizeFiles(c)
	return len(tables)+len(wastes) > 0
}

// Sizes judges every row of a folder's tables of sizes.
func Sizes(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "ksize")
	if err != nil {
		return nil, err
	}
	tables, wastes := sizeFiles(c)
	for i, name := range append(tables, wastes...) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		read := sizeTable
		if i >= len(tables) {
			read = wasteTable
		}
		if err := read(c, name, res); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(float64(i+1) / float64(len(tables)+len(wastes)))
		}
	}
	return res, nil
}

// sizeJudge has the allocators that answer a table.
type sizeJudge struct {
	slab   *slab.Allocator
	config slab.Config
	buddy  *buddy.Allocator
	total  uint64 // pages
	debug  bool
}

// sizeMachinePages is how many pages the machine of the tables has: all its
// requests fit.
const sizeMachinePages = 1 << 18

func newSizeJudge(debug bool, profile slab.Profile, arch slab.Arch, cpus int, cmdline string) (*sizeJudge, error) {
	j := &sizeJudge{config: slab.NewConfig(profile, arch, cpus), total: sizeMachinePages, debug: debug}
	j.config.SetBootOptions(cmdline)
	if debug {
		j.config.Debug = slab.ParseDebugOption("FZPU", true, 0)
	}
	var err error
	if j.slab, err = slab.New(j.config, slab.NewLinearPages(1, sizeMachinePages)); err != nil {
		return nil, err
	}
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: sizeMachinePages << 12}}}
	j.buddy, err = buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 1}, buddy.Linux6_1)
	return j, err
}

// sizeJudge makes the machine that meta.json tells of: its CPUs, on which slabs'
// orders hang, and its boot options. If it does not tell the CPUs, the table of
// kmalloc caches does.
func (c Capture) sizeJudge(debug bool, res *Result) (*sizeJudge, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	profile := slab.Linux6_1
	if meta.Kernel != "" {
		if profile, err = slab.ProfileForRelease(meta.Kernel); err != nil {
			return nil, err
		}
	}
	build := func(cpus int) (*sizeJudge, error) {
		return newSizeJudge(debug, profile, slabArch(meta.Kernel), cpus, meta.CommandLine)
	}
	if meta.CPUs > 0 {
		return build(meta.CPUs)
	}
	for cpus := 2; cpus <= maxGuessedCPUs && !c.kcachesFit(debug, cpus/2, build); cpus *= 2 {
		if c.kcachesFit(debug, cpus, build) {
			res.hint("number of CPUs read from the kmalloc caches' orders")
			return build(cpus)
		}
	}
	return build(1)
}

// maxGuessedCPUs bounds the CPUs that are guessed. Orders hang on the number of
// its bits only.
const maxGuessedCPUs = 1 << 10

// kcachesFit says whether a machine with so many CPUs has a folder's kmalloc
// caches; true if there is no table of them.
func (c Capture) kcachesFit(debug bool, cpus int, build func(int) (*sizeJudge, error)) bool {
	name := "kcaches.tsv"
	if debug {
		name = "kcaches-debug.tsv"
	}
	j, err := build(cpus)
	if err != nil || !c.Has(name) {
		return true
	}
	var res Result
	return c.judgeTable(name, j, &res) != nil || res.Exact == res.Requests
}

// maxSizeRows bounds the rows of a table.
const maxSizeRows = 1 << 20

func sizeTable(c Capture, name string, res *Result) error {
	j, err := c.sizeJudge(strings.Contains(name, "-debug"), res)
	if err != nil {
		return err
	}
	return c.judgeTable(name, j, res)
}

// judgeTable judges the rows of a table.
func (c Capture) judgeTable(name string, j *sizeJudge, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 4096), 64<<10)
	kind := -1
	var columns []string
	for n := 1; s.Scan() && n < maxSizeRows; n++ {
		line := strings.TrimRight(s.Text(), "\r")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case kind < 0:
			if kind = tableOf(line); kind < 0 {
				return fmt.Errorf("replay: %s/%s:%d: found %q, expected the names of a table's columns", c.Name, name, n, line)
			}
			columns = strings.Split(line, "\t")
		default:
			row := map[string]string{}
			for i, cell := range strings.Split(line, "\t") {
				if i < len(columns) {
					row[columns[i]] = cell
				}
			}
			judgeRow(fmt.Sprintf("%s:%d", name, n), row, sizeTables[kind].judge(j, row), columns, res)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("replay: %s/%s: %w", c.Name, name, err)
	}
	return nil
}

// judgeRow compares the columns that the model answers.
func judgeRow(where string, row, got map[string]string, columns []string, res *Result) {
	if got == nil {
		res.count("rows that no model answers")
		return
	}
	res.Requests++
	for _, k := range columns {
		if v, ok := got[k]; ok && v != row[k] {
			res.differ(0, fmt.Sprintf("%s: %s is %s, the model says %s", where, k, row[k], v))
			return
		}
	}
	res.Exact++
}

var gfpNames = map[string]buddy.GFP{"KERNEL": buddy.GFPKernel, "ACCOUNT": buddy.GFPKernelAccount, "RECLAIMABLE": buddy.GFPKernel | buddy.GFPReclaimable,
	"DMA": buddy.GFPKernel | buddy.GFPDMA, "DMA32": buddy.GFPKernel | buddy.GFPDMA32, "ATOMIC": buddy.GFPAtomic}

// ksize answers a row of ksize.tsv: a kmalloc of some size.
func (j *sizeJudge) ksize(row map[string]string) map[string]string {
	gfp, ok := gfpNames[row["flags"]]
	size, err := strconv.ParseUint(row["size"], 10, 64)
	if !ok || err != nil {
		return nil
	}
	got := map[string]string{"size_roundup": fmt.Sprint(j.slab.KmallocSizeRoundup(size)), "cache": "-", "order": "-"}
	addr, err := j.slab.Kmalloc(0, size, gfp)
	defer func() { _ = j.slab.Kfree(0, addr) }()
	got["ksize"] = fmt.Sprint(j.slab.Ksize(addr))
	switch c := j.slab.CacheOf(addr); {
	case errors.Is(err, &slab.MisuseError{Kind: slab.TooBig}):
		got["kind"] = "NULL"
	case err != nil:
		return got
	case c != nil:
		got["kind"], got["cache"], got["order"] = "slab", c.Name(), "-1"
	default:
		got["kind"], got["order"] = "pages", fmt.Sprint(bits.Len64(j.slab.Ksize(addr))-13)
	}
	return got
}

// kcache answers a row of kcaches.tsv: a kmalloc cache's layout.
func (j *sizeJudge) kcache(row map[string]string) map[string]string {
	for _, c := range j.slab.Caches() {
		if c.Name() == row["name"] {
			l := c.Layout()
			return layoutCells(&l)
		}
	}
	return map[string]string{"name": "none"}
}

// layout answers a row of layout.tsv: a cache made with some parameters.
func (j *sizeJudge) layout(row map[string]string) map[string]string {
	size, err := strconv.ParseUint(row["object_size_requested"], 10, 32)
	if err != nil {
		return nil
	}
	p := slab.Params{Name: "layout", Size: uint32(size)}
	if d := row["debug_flags"]; d != "-" {
		p.Flags = slab.ParseDebugOption(d, true, 0).Global
	}
	switch row["variant"] {
	case "align0":
	case "align8":
		p.Align = 8
	case "align64":
		p.Align = 64
	case "hwcache":
		p.Flags |= slab.HWCacheAlign
	case "ctor":
		p.Ctor = func(uint64, []byte) {}
	case "typesafe_rcu":
		p.Flags |= slab.TypesafeByRCU
	default:
		return nil
	}
	l, err := j.config.Layout(p)
	if err != nil {
		return map[string]string{"size": err.Error()}
	}
	got := layoutCells(&l)
	got["free_pointer_offset"], got["objects_per_slab"], got["ksize"] = got["offset"], got["objects"], fmt.Sprint(l.Ksize())
	return got
}

// layoutCells are a layout's numbers under the tables' names.
func layoutCells(l *slab.Layout) map[string]string {
	out := map[string]string{"flags": fmt.Sprintf("%#x", uint32(l.Flags))}
	for k, v := range map[string]uint64{"object_size": uint64(l.ObjectSize), "size": uint64(l.Size), "inuse": uint64(l.Inuse), "align": uint64(l.Align),
		"offset": uint64(l.Offset), "red_left_pad": uint64(l.RedLeftPad), "order": uint64(l.Order), "objects": uint64(l.Objects), "min_order": uint64(l.MinOrder),
		"min_objects": uint64(l.MinObjects), "min_partial": uint64(l.MinPartial), "cpu_partial": uint64(l.CPUPartial),
		"cpu_partial_slabs": uint64(l.CPUPartialSlabs)} { // order does not matter
		out[k] = strconv.FormatUint(v, 10)
	}
	return out
}

// attrs answers a row of slab_attrs.tsv: what a cache of a whole system was
// asked for, and its files in /sys/kernel/slab. They do not say whether it has a
// constructor, after which the free pointer lies behind the object: a cache that
// only so has its size is taken to have one.
func (j *sizeJudge) attrs(row map[string]string) map[string]string {
	number := func(k string) uint32 {
		n, _ := strconv.ParseUint(row[k], 10, 32)
		return uint32(n)
	}
	p := slab.Params{Name: row["cache"], Size: number("object_size"), UserSize: number("usersize")}
	for k, f := range map[string]slab.Flags{"red_zone": slab.RedZone, "poison": slab.Poison, "store_user": slab.StoreUser, "sanity_checks": slab.ConsistencyChecks,
		"trace": slab.Trace, "reclaim_account": slab.ReclaimAccount, "hwcache_align": slab.HWCacheAlign, "cache_dma": slab.CacheDMA,
		"destroy_by_rcu": slab.TypesafeByRCU} { // order does not matter
		if row[k] == "1" {
			p.Flags |= f
		}
	}
	if strings.Contains(p.Name, "kmalloc") {
		p.Flags |= slab.Kmalloc
	}
	config := j.config
	config.Debug = slab.ParseDebugOption("", false, 0)
	got := map[string]string(nil)
	for _, ctor := range []func(uint64, []byte){nil, func(uint64, []byte) {}} {
		p.Ctor = ctor
		l, err := config.LayoutAligned(p, number("align"))
		if err != nil {
			return map[string]string{"slab_size": err.Error()}
		}
		next := map[string]string{"slab_size": fmt.Sprint(l.Size), "objs_per_slab": fmt.Sprint(l.Objects), "order": fmt.Sprint(l.Order),
			"min_partial": fmt.Sprint(l.MinPartial), "cpu_partial": fmt.Sprint(l.CPUPartial)}
		if got == nil || next["slab_size"] == row["slab_size"] && got["slab_size"] != row["slab_size"] {
			got = next
		}
	}
	return got
}

// pages answers a row of pages.tsv: whole pages from the page allocator.
func (j *sizeJudge) pages(row map[string]string) map[string]string {
	switch row["call"] {
	case "__get_free_pages":
		order, err := strconv.Atoi(strings.TrimPrefix(row["arg"], "order "))
		if err != nil {
			return nil
		}
		pfn, err := j.buddy.AllocPages(0, buddy.GFPKernel, buddy.Order(order))
		if err != nil {
			return map[string]string{"result": "NULL", "detail": "-"}
		}
		defer func() { _ = j.buddy.Free(0, pfn, buddy.Order(order)) }()
		// The address's lowest bit depends on what was free.
		detail := fmt.Sprintf("pages %d sum_refcount 1 compound_pages 0", 1<<order)
		if strings.HasPrefix(row["detail"], detail+" ") {
			detail = row["detail"]
		}
		return map[string]string{"result": "ok", "detail": detail}
	case "alloc_pages_exact":
		size, err := strconv.ParseUint(row["arg"], 10, 62)
		if err != nil {
			return nil
		}
		return j.exact(size)
	}
	return nil
}

func (j *sizeJudge) exact(size uint64) map[string]string {
	order := j.buddy.OrderOf(size)
	pfn, err := j.buddy.AllocExact(buddy.Request{GFP: buddy.GFPKernel}, size)
	if err != nil {
		return map[string]string{"result": "NULL", "detail": fmt.Sprintf("order_requested %d", order)}
	}
	defer func() { _ = j.buddy.FreeExact(0, pfn, size) }()
	kept := (size + 4095) / 4096
	return map[string]string{"result": "ok", "detail": fmt.Sprintf("order_requested %d pages_kept %d pages_given_back %d", order, kept, uint64(1)<<order-kept)}
}

// vmalloc answers a row of vmalloc.tsv.
func (j *sizeJudge) vmalloc(row map[string]string) map[string]string {
	size, err := strconv.ParseUint(row["size"], 10, 62)
	call := vmalloc.Vmalloc
	if err != nil {
		return nil
	}
	if row["call"] == "kvmalloc" {
		call = vmalloc.Kvmalloc
	}
	plan, err := vmalloc.PlanOf(call, size, 4<<20, j.total)
	switch {
	case err != nil:
		return map[string]string{"result": "NULL", "mapped_pages": "0", "ksize_or_0": "0", "cache_or_order": "-"}
	case plan.Contiguous:
		return j.contiguous(size)
	}
	pages := plan.Pages
	if j.debug {
		// The program that made these tables looked no further.
		pages = min(pages, (size+4095)/4096+4)
	}
	result := "ok"
	if call == vmalloc.Kvmalloc {
		result = "vmalloc"
	}
	return map[string]string{"result": result, "mapped_pages": fmt.Sprint(pages), "ksize_or_0": "0", "cache_or_order": "-"}
}

// contiguous is a kvmalloc that kmalloc serves.
func (j *sizeJudge) contiguous(size uint64) map[string]string {
	if size == 0 {
		return map[string]string{"result": "ZERO_SIZE_PTR", "mapped_pages": "0", "ksize_or_0": "0", "cache_or_order": "-"}
	}
	got := j.ksize(map[string]string{"flags": "KERNEL", "size": strconv.FormatUint(size, 10)})
	where := got["cache"]
	if got["kind"] == "pages" {
		where = "order" + got["order"]
	}
	return map[string]string{"result": "kmalloc", "mapped_pages": "0", "ksize_or_0": got["ksize"], "cache_or_order": where}
}

// wasteTable judges lines of a size and the share of it that kmalloc wastes, in
// per cent, as a kernel module of a book prints them.
func wasteTable(c Capture, name string, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	j, err := newSizeJudge(false, slab.Linux5_4, slab.X86_64, 4, "")
	if err != nil {
		return err
	}
	s := bufio.NewScanner(io.LimitReader(r, 64<<20))
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		if _, rest, ok := strings.Cut(line, "] "); ok {
			line = rest
		}
		var size, waste uint64
		if k, err := fmt.Sscan(strings.Replace(line, ",", " ", 1), &size, &waste); k != 2 || err != nil || size == 0 {
			continue
		}
		got := j.ksize(map[string]string{"flags": "KERNEL", "size": strconv.FormatUint(size, 10)})
		ksize, _ := strconv.ParseUint(got["ksize"], 10, 64)
		res.Requests++
		if ksize >= size && (ksize-size)*100/size == waste {
			res.Exact++
			continue
		}
		res.differ(0, fmt.Sprintf("%s:%d: %d bytes waste %d%%, the model gives %d bytes", name, n, size, waste, ksize))
	}
	return s.Err()
}

// walkFiles calls f with the files of a folder and of the folders in it,
// without the endings of their compression.
func walkFiles(c Capture, f func(name string)) {
	// A folder that cannot be read holds nothing.
	_ = fs.WalkDir(c.FS, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case d.IsDir() && strings.Count(name, "/") > 2:
			return fs.SkipDir
		case !d.IsDir():
			f(stored(name))
		}
		return nil
	})
}
