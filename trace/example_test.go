package trace_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kernsim/kernsim/trace"
)

// A trace is read event by event into one Event.
func ExampleReader() {
	const text = `# tracer: nop
              sh-149     [000] d..3.    43.996563: mm_page_alloc_zone_locked: page=fffffc000019cf00 pfn=0x673c order=2 migratetype=0 percpu_refill=1
              sh-149     [000] .....    43.996601: mm_page_alloc: page=fffffc000019cf00 pfn=0x673c order=2 migratetype=0 gfp_flags=GFP_KERNEL|__GFP_ZERO
              sh-149     [000] ..s..    43.996714: mm_page_free: page=fffffc000019cf00 pfn=0x673c order=2
              sh-149     [000] .....    43.996720: my_probe: (vfs_read+0x0/0x330) count=100
`
	r, err := trace.NewReader(strings.NewReader(text), "trace.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	var ev trace.Event
	for {
		err := r.Read(&ev)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		switch ev.Kind {
		case trace.KindMMPageAlloc:
			fmt.Printf("%d ns: %s gets %d pages at PFN %#x for %s\n", ev.Time, ev.Comm, 1<<ev.Page.Order, ev.Page.PFN, ev.Page.GFPFlags)
		case trace.KindMMPageFree:
			fmt.Printf("%d ns: freed, in a soft interrupt: %v\n", ev.Time, ev.Flags.SoftIRQ())
		case trace.KindUnknown:
			count, _ := trace.FieldValue(ev.Args, "count")
			fmt.Printf("%d ns: %s with count %s\n", ev.Time, ev.Name, count)
		}
	}
	for _, c := range r.Counts() {
		fmt.Println(c.N, c.Name)
	}
	// Output:
	// 43996601000 ns: sh gets 4 pages at PFN 0x673c for GFP_KERNEL|__GFP_ZERO
	// 43996714000 ns: freed, in a soft interrupt: true
	// 43996720000 ns: my_probe with count 100
	// 1 mm_page_alloc_zone_locked
	// 1 mm_page_alloc
	// 1 mm_page_free
	// 1 my_probe
}

// A line that is no known form is an error with its place.
func ExampleParseError() {
	r, err := trace.NewReader(strings.NewReader("sh-149 [000] 43.996563: mm_page_free: page=0 pfn=0x67 order=two\n"), "trace.txt")
	if err == nil {
		err = r.Read(new(trace.Event))
	}
	var parse *trace.ParseError
	if errors.As(err, &parse) {
		fmt.Println(parse.Line, parse.Expected)
	}
	fmt.Println(err)
	// Output:
	// 1 a 32-bit number as order
	// trace.txt:1: found "two" in mm_page_free, expected a 32-bit number as order
}

// A model emits payloads; the Writer prints them as the kernel does.
func ExampleWriter() {
	w := trace.NewWriter(os.Stdout, trace.FormTracefs)
	ev := trace.Event{
		Kind: trace.KindMMPageAlloc, Time: 43_996_601_000, CPU: 1, PID: 149, Comm: "sh",
		Page: trace.Page{PFN: 0x673c, Address: 0xfffffc000019cf00, GFPFlags: "GFP_KERNEL"},
	}
	if err := w.Write(&ev); err != nil {
		fmt.Println(err)
	}
	if err := w.Flush(); err != nil {
		fmt.Println(err)
	}
	// Output:
	//               sh-149     [001] .....    43.996601: mm_page_alloc: page=fffffc000019cf00 pfn=0x673c order=0 migratetype=0 gfp_flags=GFP_KERNEL
}

// Fields takes the text of any event apart.
func ExampleFields() {
	args := []byte("(update_curr+0x0/0x1e0) comm=kworker/u8:2 delta=3894420 [ns]")
	for key, value := range trace.Fields(args) {
		fmt.Printf("%s: %s\n", key, value)
	}
	// Output:
	// : (update_curr+0x0/0x1e0)
	// comm: kworker/u8:2
	// delta: 3894420 [ns]
}

// A snapshot has every list of the page allocator, head first.
func ExampleReadSnapshot() {
	f, err := os.Open("testdata/6.1-arm64.ksnap")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	snap, err := trace.ReadSnapshot(f, f.Name())
	if err != nil {
		fmt.Println(err)
		return
	}
	z := snap.Zone(0, "DMA")
	fmt.Println(snap.Kernel, z.Managed, "pages, watermarks", z.Min, z.Low, z.High)
	for _, list := range z.Free[:2] {
		fmt.Println("order", list.Order, "migrate type", list.MigrateType, list.PFNs)
	}
	fmt.Println(len(z.PCPs[0].Lists), "per-CPU lists with", z.PCPs[0].Count, "pages")
	// Output:
	// 6.1.0-56-arm64 57514 pages, watermarks 470 587 704
	// order 0 migrate type 1 [40743]
	// order 0 migrate type 2 [13817]
	// 12 per-CPU lists with 363 pages
}
