package buddy

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScripts runs the scripts in testdata/scripts. A script consists of steps:
// comments (#), commands, a line of dashes, and what the commands print, ended by
// an empty line. Pages are drawn by [memoryMap]. -update rewrites what is printed.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	s := &script{t: t}
	var out strings.Builder
	expected := false
	for scanner := bufio.NewScanner(strings.NewReader(string(text))); scanner.Scan(); {
		line := scanner.Text()
		switch {
		case line == "":
			expected = false
			out.WriteString("\n")
		case expected:
		case line == "----":
			expected = true
			fmt.Fprintf(&out, "----\n%s", s.out.String())
			s.out.Reset()
		default:
			fmt.Fprintln(&out, line)
			if !strings.HasPrefix(line, "#") {
				s.run(strings.Fields(line))
			}
		}
	}
	if *updateGolden {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
		return
	}
	require.Equal(t, string(text), out.String())
}

// script is a machine that text commands act on.
type script struct {
	t     *testing.T
	a     *Allocator
	out   strings.Builder
	args  map[string]string
	plain []string
	// events is "on" to print what concerns the zone, "all" or "off".
	events string
}

// run does one command: its name, then plain words and key=value pairs.
func (s *script) run(words []string) {
	s.args, s.plain = map[string]string{}, nil
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			s.args[k] = v
		} else {
			s.plain = append(s.plain, w)
		}
	}
	commands := map[string]func(){
		"machine": s.machine, "release": s.release, "types": s.types, "alloc": s.alloc, "free": s.free, "freelist": s.freeList,
		"bulk": s.bulk, "exact": s.exact, "split": s.split, "drain": s.drain, "time": s.time, "isolate": s.isolate, "contig": s.contig,
		"take": s.take, "events": func() { s.events = s.plain[0] }, "pages": s.pages, "lists": s.lists, "cpus": s.cpus, "zones": s.zones,
	}
	require.Contains(s.t, commands, words[0])
	commands[words[0]]()
	if s.a != nil {
		require.NoError(s.t, s.a.Check(), "%v", words)
	}
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format, args...) }

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	require.NoError(s.t, err)
	return n
}

// int is the value of a key, or a default.
func (s *script) int(key string, standard int) int {
	if v, ok := s.args[key]; ok {
		return s.number(v)
	}
	return standard
}

// span reads "start-end".
func (s *script) span(text string) (start, end PFN) {
	a, b, ok := strings.Cut(text, "-")
	require.True(s.t, ok, text)
	return PFN(s.number(a)), PFN(s.number(b))
}

func (s *script) migrateType(letter string) MigrateType {
	for i, name := range migrateTypeNames {
		if name[:1] == letter {
			return MigrateType(i)
		}
	}
	s.t.Fatalf("migrate type %q", letter)
	return 0
}

// ints reads "1,2,3".
func (s *script) ints(key string, standard []uint64) []uint64 {
	v, ok := s.args[key]
	if !ok {
		return standard
	}
	var out []uint64
	for _, word := range strings.Split(v, ",") {
		out = append(out, uint64(s.number(word)))
	}
	return out
}

// machine makes a machine of a Normal zone and perhaps a DMA32 zone below it.
func (s *script) machine() {
	profiles := map[string]Profile{}
	for _, p := range Profiles() {
		profiles[p.Name] = p
	}
	profile, ok := profiles[s.args["kernel"]]
	require.True(s.t, ok, "kernel=%s", s.args["kernel"])
	c := Config{PageShift: 12, PageblockOrder: Order(s.int("pageblock", 3)), MaxOrder: Order(s.int("orders", 5)),
		CMA: s.args["cma"] == "yes", CPUs: s.int("cpus", 1), ZoneTypes: []ZoneType{ZoneDMA32, ZoneNormal, ZoneMovable}}
	marks := s.ints("marks", []uint64{0, 0, 0})
	zone := func(typ ZoneType, start, pages int, reserve []uint64) {
		if pages == 0 {
			return
		}
		high := s.ints("high", []uint64{8, 8})
		c.Zones = append(c.Zones, ZoneConfig{Type: typ, StartPFN: PFN(start), Spanned: uint64(pages), Present: uint64(pages),
			Managed: uint64(pages), LowmemReserve: reserve,
			Watermark: Watermarks{Min: marks[0], Low: marks[1], High: marks[2]},
			PCP:       PCPConfig{Batch: s.int("batch", 2), High: int(high[0]), HighMin: int(high[0]), HighMax: int(high[len(high)-1])}})
	}
	low := s.int("dma32", 0)
	zone(ZoneDMA32, 0, low, s.ints("reserve", []uint64{0, 0, 0}))
	zone(ZoneNormal, low, s.int("normal", 64), []uint64{0, 0, 0})
	a, err := New(c, profile)
	require.NoError(s.t, err)
	// Scripts are about machines that group pages by mobility, small as they are.
	a.groupingDisabled = false
	a.SetHook(s.event)
	s.a, s.events = a, "off"
}

func (s *script) event(e Event) {
	zone := e.Kind == EventExtfrag || e.Kind == EventZoneLocked || e.Kind == EventPCPDrain
	if s.events == "off" || s.events == "on" && !zone {
		return
	}
	s.printf("%s", e.Kind)
	switch e.Kind {
	case EventExtfrag:
		s.printf(" pfn=%d order=%d %v from order=%d %v own=%v\n", e.PFN, e.Order, e.MigrateType, e.FallbackOrder, e.FallbackType, e.ChangeOwnership)
	case EventZoneLocked:
		s.printf(" pfn=%d order=%d %v refill=%v\n", e.PFN, e.Order, e.MigrateType, e.PCPRefill)
	case EventPCPDrain:
		s.printf(" pfn=%d order=%d %v\n", e.PFN, e.Order, e.MigrateType)
	default:
		s.printf(" pfn=%d order=%d\n", int64(e.PFN), e.Order)
	}
}

// release hands ranges over; with a plain word "cma" as CMA.
func (s *script) release() {
	for _, w := range s.plain {
		if w == "cma" {
			continue
		}
		start, end := s.span(w)
		if s.plain[0] == "cma" {
			require.NoError(s.t, s.a.MakeCMA(start, end))
		} else {
			require.NoError(s.t, s.a.Release(start, end))
		}
	}
}

// types sets the types of all pageblocks, before their pages are released.
func (s *script) types() {
	for i, letter := range s.plain {
		require.NoError(s.t, s.a.SetBlockType(PFN(i)<<s.a.pageblockOrder, s.migrateType(letter)))
	}
}

func (s *script) gfp() GFP {
	g, err := GFPNames6_1.Parse(s.args["gfp"])
	require.NoError(s.t, err)
	return g
}

func (s *script) cpu() CPU { return CPU(s.int("cpu", 0)) }

func (s *script) alloc() {
	var pfns []PFN
	var failed error
	for range s.int("n", 1) {
		pfn, err := s.a.Alloc(Request{CPU: s.cpu(), Node: NoNode, GFP: s.gfp(), Order: Order(s.int("order", 0))})
		if failed = err; err != nil {
			break
		}
		pfns = append(pfns, pfn)
	}
	s.printf("pfn %s\n", decimal(pfns))
	s.report(failed)
}

func (s *script) report(err error) {
	if err != nil {
		s.printf("%v\n", err)
	}
}

// free frees blocks "pfn" or "pfn:order".
func (s *script) free() {
	for _, w := range s.plain {
		pfn, order, _ := strings.Cut(w, ":")
		if order == "" {
			order = "0"
		}
		s.report(s.a.Free(s.cpu(), PFN(s.number(pfn)), Order(s.number(order))))
	}
}

func (s *script) freeList() {
	var pfns []PFN
	for _, w := range s.plain {
		pfns = append(pfns, PFN(s.number(w)))
	}
	s.report(s.a.FreeList(s.cpu(), pfns))
}

func (s *script) bulk() {
	pfns, err := s.a.AllocBulk(nil, Request{CPU: s.cpu(), Node: NoNode, GFP: s.gfp()}, s.int("n", 1))
	s.report(err)
	s.printf("pfn %s\n", decimal(pfns))
}

func (s *script) exact() {
	pfn, err := s.a.AllocExact(Request{CPU: s.cpu(), Node: NoNode, GFP: s.gfp()}, uint64(s.int("bytes", 0)))
	s.report(err)
	s.printf("pfn %d\n", pfn)
}

func (s *script) split() {
	s.report(s.a.Split(PFN(s.number(s.plain[0])), Order(s.int("order", 0))))
}

// drain empties all lists, or gives n pages of a CPU's lists back.
func (s *script) drain() {
	if n := s.int("n", 0); n > 0 {
		_, err := s.a.DrainPages(s.int("zone", 0), s.cpu(), s.cpu(), n)
		s.report(err)
		return
	}
	s.report(s.a.DrainAll(s.cpu()))
}

// time runs what the counter updater does on a CPU.
func (s *script) time() {
	s.report(s.a.Decay(s.cpu()))
	s.report(s.a.FoldStats(s.cpu()))
}

// isolate isolates the pageblock of a page frame; with undo=TYPE it gives the
// type back.
func (s *script) isolate() {
	pfn := PFN(s.number(s.plain[0]))
	if mt, ok := s.args["undo"]; ok {
		s.report(s.a.UnisolateBlock(s.cpu(), pfn, s.migrateType(mt)))
		return
	}
	s.report(s.a.IsolateBlock(s.cpu(), pfn, s.migrateType(s.args["type"])))
}

// contig takes a range; move=A,B,... frees these pages when asked to migrate.
func (s *script) contig() {
	start, end := s.span(s.plain[0])
	err := s.a.AllocContig(s.cpu(), start, end, s.migrateType(s.args["type"]), func(PFN, PFN) bool {
		for _, pfn := range s.ints("move", nil) {
			require.NoError(s.t, s.a.Free(s.cpu(), PFN(pfn), 0))
		}
		return true
	})
	s.report(err)
}

// take isolates a free block as compaction does; with a plain word "back" it is
// put back.
func (s *script) take() {
	pfn := PFN(s.number(s.plain[0]))
	if len(s.plain) > 1 {
		s.report(s.a.PutbackIsolated(s.cpu(), pfn))
		return
	}
	order, err := s.a.IsolateFreePage(s.cpu(), pfn)
	s.report(err)
	s.printf("order %d\n", order)
}

func (s *script) pages() { s.printf("%s\n", memoryMap(s.a)) }

// lists prints the free lists that are not empty.
func (s *script) lists() {
	for i, z := range s.a.State().Zones {
		for o := range z.Free {
			for mt, l := range z.Free[o] {
				if len(l) > 0 {
					s.printf("%v order %d %v: %s\n", s.a.zones[i].typ, o, MigrateType(mt), decimal(l))
				}
			}
		}
	}
}

// cpus prints the per-CPU lists that are not empty, and their tuning.
func (s *script) cpus() {
	for i, z := range s.a.State().Zones {
		for cpu := range z.PCP {
			p := &z.PCP[cpu]
			s.printf("%v CPU %d: count %d high %d free factor %d free count %d alloc factor %d\n",
				s.a.zones[i].typ, cpu, p.Count, p.High, p.FreeFactor, p.FreeCount, p.AllocFactor)
			for n, l := range p.Lists {
				if len(l) > 0 {
					s.printf("  list %d: %s\n", n, decimal(l))
				}
			}
		}
	}
}

func (s *script) zones() {
	for i := range s.a.zones {
		z := &s.a.zones[i]
		s.printf("%v: free %d CMA %d boost %d highatomic %d\n", z.typ, z.FreePages(), z.FreeCMAPages(), z.boost, z.reservedHighatomic)
	}
}

func decimal(l []PFN) string {
	var out []string
	for _, pfn := range l {
		out = append(out, strconv.Itoa(int(pfn)))
	}
	return strings.Join(out, " ")
}
