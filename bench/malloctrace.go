package bench

import (
	"bufio"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/buddy"
)

// MallocOp is an operation of a malloc trace.
type MallocOp struct {
	// Free: the object is given back. Else it is asked for with Size bytes; one
	// that is there already is moved (realloc).
	Free bool
	// ID is the object's: a number of the trace, or its address.
	ID uint64
	// Size is in bytes.
	Size uint64
}

// maxMallocSize is the largest request that is taken: 2^10 pages.
const maxMallocSize = 4 << 20

// ReadMallocTrace reads a malloc trace in one of the usual text forms, told
// apart line by line:
//
//	a ID SIZE, f ID, r ID SIZE       the malloc lab's traces; lines of one number before them
//	+ ADDRESS SIZE, - ADDRESS        glibc's mtrace, with "@ place" before; a realloc is
//	< ADDRESS, > ADDRESS SIZE        two lines; "= Start", "= End" and "! ..." are passed over
//
// Sizes and addresses are decimal or, with 0x, hexadecimal. Requests of more
// than 4 MiB are left out, as malloc maps them. The errors are [*TraceError] and
// the reader's; with an error come the operations read before it.
func ReadMallocTrace(name string, r io.Reader) ([]MallocOp, error) {
	in := bufio.NewScanner(r)
	var ops []MallocOp
	for line := 1; in.Scan(); line++ {
		f := strings.Fields(in.Text())
		if len(f) > 2 && f[0] == "@" {
			f = f[2:]
		}
		if len(f) == 0 || strings.ContainsAny(f[0][:1], "=!#") || len(ops) == 0 && len(f) == 1 && isNumber(f[0]) {
			continue
		}
		op, err := mallocOp(f)
		if err == nil && len(ops) >= maxTraceOps {
			err = fmt.Errorf("more than %d operations", maxTraceOps)
		}
		if err != nil {
			return ops, &TraceError{name, line, err.Error()}
		}
		if op.Size <= maxMallocSize {
			ops = append(ops, op)
		}
	}
	if err := in.Err(); err != nil {
		return ops, fmt.Errorf("%s: %w", name, err)
	}
	if len(ops) == 0 {
		return nil, &TraceError{name, 0, "no malloc or free"}
	}
	return ops, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 0, 64)
	return err == nil
}

// mallocOp reads a line's fields.
func mallocOp(f []string) (op MallocOp, err error) {
	want := 2
	switch f[0] {
	case "a", "r", "+", ">":
		want = 3
	case "f", "-", "<":
		op.Free = true
	default:
		return op, fmt.Errorf("%q is no operation of a malloc trace", f[0][:min(len(f[0]), 40)])
	}
	if len(f) < want {
		return op, fmt.Errorf("%d fields, want %d", len(f), want)
	}
	if op.ID, err = strconv.ParseUint(f[1], 0, 64); err != nil {
		return op, err
	}
	if !op.Free {
		op.Size, err = strconv.ParseUint(f[2], 0, 64)
	}
	return op, err
}

// FromMallocTrace makes a workload of page requests of a malloc trace, by a
// front end of the simplest kind: sizes of up to half a page share a page with
// others of their power of two, and come from the page that an object of the
// size was given back to last; a page without objects is given back. Larger
// sizes are blocks of their own. The machine has four thirds of the memory that
// is in use at most. Objects that were not asked for are not given back.
func FromMallocTrace(name string, in []MallocOp) (*Workload, error) {
	f := mallocFront{objects: map[uint64]mallocObject{}}
	for i := range in {
		op := &in[i]
		// A realloc frees first: the page requests of a copy are not known.
		f.free(op.ID)
		if !op.Free {
			f.alloc(op.ID, op.Size)
		}
	}
	w, err := plainMachine((uint64(f.most)*4/3*4+1023)>>10, 1)
	if err != nil {
		return nil, &TraceError{name, 0, err.Error()}
	}
	ops := f.ops
	return &Workload{Name: name, About: fmt.Sprintf("page requests of a malloc trace of %d operations, %d MiB", len(in), w.FreePages()>>8), Machine: w, Ops: len(ops),
		Stream: func(uint64) Stream { s := sliceStream(ops); return &s }}, nil
}

// mallocClasses are 8, 16, ..., 2048 bytes.
const mallocClasses = 9

// mallocFront turns objects into pages.
type mallocFront struct {
	ops     []Op
	objects map[uint64]mallocObject
	// pages are by slot; partial[c] is the first one of class c with room, plus
	// 1, which is used next.
	pages   []mallocPage
	partial [mallocClasses]uint32
	unused  []uint32
	// live are the pages in use, most the most so far.
	live, most int
}

// mallocPage is a page with the number of its objects, in its class's list of
// those with room: its neighbours' slots plus 1, 0 at the ends.
type mallocPage struct {
	objects    int
	next, prev uint32
}

// push puts a page first in its class's list.
func (f *mallocFront) push(class int, slot uint32) {
	p := &f.pages[slot]
	p.prev, p.next = 0, f.partial[class]
	if p.next != 0 {
		f.pages[p.next-1].prev = slot + 1
	}
	f.partial[class] = slot + 1
}

// remove takes a page off its class's list.
func (f *mallocFront) remove(class int, slot uint32) {
	p := &f.pages[slot]
	if p.prev != 0 {
		f.pages[p.prev-1].next = p.next
	} else {
		f.partial[class] = p.next
	}
	if p.next != 0 {
		f.pages[p.next-1].prev = p.prev
	}
}

// mallocObject is where an object lies: in a slot's page with others of its
// class, or (class -1) in a block of an order.
type mallocObject struct {
	slot  uint32
	class int8
	order uint8
}

func (f *mallocFront) alloc(id, size uint64) {
	if size > 2048 {
		order := bits.Len64((size - 1) >> 12)
		f.objects[id] = mallocObject{f.take(order), -1, uint8(order)}
		return
	}
	class := max(bits.Len64(max(size, 1)-1)-3, 0)
	if f.partial[class] == 0 {
		slot := f.take(0)
		f.pages[slot] = mallocPage{}
		f.push(class, slot)
	}
	slot := f.partial[class] - 1
	if f.pages[slot].objects++; f.pages[slot].objects == 4096>>(class+3) {
		f.remove(class, slot)
	}
	f.objects[id] = mallocObject{slot, int8(class), 0}
}

// take asks for a block.
func (f *mallocFront) take(order int) uint32 {
	slot := uint32(len(f.pages))
	if n := len(f.unused); n > 0 {
		slot, f.unused = f.unused[n-1], f.unused[:n-1]
	} else {
		f.pages = append(f.pages, mallocPage{})
	}
	f.live += 1 << order
	f.most = max(f.most, f.live)
	f.ops = append(f.ops, Op{Kind: OpAlloc, Slot: slot, Time: uint64(len(f.ops)) * 1000,
		Request: Request{Node: buddy.NoNode, GFP: buddy.GFPHighUserMovable, Order: buddy.Order(order)}})
	return slot
}

func (f *mallocFront) free(id uint64) {
	o, ok := f.objects[id]
	if !ok {
		return
	}
	delete(f.objects, id)
	if o.class < 0 {
		f.give(o.slot, int(o.order))
		return
	}
	p := &f.pages[o.slot]
	if p.objects < 4096>>(o.class+3) {
		f.remove(int(o.class), o.slot)
	}
	if p.objects--; p.objects == 0 {
		f.give(o.slot, 0)
		return
	}
	// The page of the last free is used next.
	f.push(int(o.class), o.slot)
}

// give gives a block back.
func (f *mallocFront) give(slot uint32, order int) {
	f.live -= 1 << order
	f.unused = append(f.unused, slot)
	f.ops = append(f.ops, Op{Kind: OpFree, Slot: slot, Order: buddy.Order(order), Time: uint64(len(f.ops)) * 1000})
}
