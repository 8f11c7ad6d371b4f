// Command mytrace reads a trace of one's own, in any format that package
// convert knows, and says who allocated pages and slab objects.
//
//	go run ./examples/mytrace trace.dat
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"

	"github.com/kernsim/kernsim/convert"
	"github.com/kernsim/kernsim/trace"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("use: mytrace TRACE")
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	if err := run(os.Stdout, f, info.Size(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// usage is what a task asked for.
type usage struct {
	comm  string
	pages uint64
	bytes uint64
}

func run(w io.Writer, r io.ReaderAt, size int64, name string) error {
	src, format, err := convert.Open(r, size, name)
	if err != nil {
		return err
	}
	by := map[string]*usage{}
	var ev trace.Event
	for err = src.Read(&ev); err == nil; err = src.Read(&ev) {
		u := by[ev.Comm]
		if u == nil {
			u = &usage{comm: ev.Comm}
			by[ev.Comm] = u
		}
		switch ev.Kind {
		case trace.KindMMPageAlloc:
			u.pages += 1 << ev.Page.Order
		case trace.KindKmalloc, trace.KindKmemCacheAlloc:
			u.bytes += ev.Object.BytesAlloc
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	all := make([]*usage, 0, len(by))
	for _, u := range by { // order does not matter: sorted below
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *usage) int {
		return cmp.Or(cmp.Compare(b.pages, a.pages), cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.comm, b.comm))
	})
	fmt.Fprintf(w, "%s (%s)\n", name, format)
	for _, u := range all[:min(10, len(all))] {
		fmt.Fprintf(w, "%-16s %8d pages %10d bytes of slab objects\n", u.comm, u.pages, u.bytes)
	}
	return nil
}
