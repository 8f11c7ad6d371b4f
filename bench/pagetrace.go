package bench

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/trace"
)

// TraceError is a recorded request stream that cannot be used.
type TraceError struct {
	Name string
	// At is where: a line of a text, a byte of a binary form; 0 if it is about
	// all of it.
	At   int
	What string
}

func (e *TraceError) Error() string {
	if e.At == 0 {
		return fmt.Sprintf("%s: %s", e.Name, e.What)
	}
	return fmt.Sprintf("%s:%d: %s", e.Name, e.At, e.What)
}

// Bounds of what a recorded stream may claim: 64 GiB of 4 KiB pages, and as many
// CPUs and operations as fit into memory beside them.
const (
	maxTracePages = 1 << 24
	maxTraceCPUs  = 256
	maxTraceOps   = 1 << 25
)

// traceBase is where the pages of a recorded stream begin on its machine.
const traceBase = buddy.PFN(1 << 20)

// FromPageTrace makes a workload of trace text with mm_page_alloc and
// mm_page_free events, in any form that package trace reads. There is no
// snapshot: the machine has as many pages as the greatest page frame number
// needs, all free at the start, and frees of pages that the trace did not see
// given out are left out. So no strategy is an exact baseline. Errors are the
// reader's and [*TraceError].
func FromPageTrace(name string, r *trace.Reader) (*Workload, error) {
	var calls []replay.PageCall
	var ev trace.Event
	cpus := 1
	for {
		err := r.Read(&ev)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		c := replay.PageCall{Time: ev.Time, Request: buddy.Request{CPU: buddy.CPU(ev.CPU), Node: buddy.NoNode}}
		switch {
		case ev.Kind == trace.KindMMPageAlloc:
			c.Kind = replay.CallAlloc
			if c.Request.GFP, err = buddy.ParseGFP(ev.Page.GFPFlags); err != nil {
				return nil, &TraceError{name, ev.Line, err.Error()}
			}
		case ev.Kind == trace.KindMMPageFree:
			c.Kind = replay.CallFree
		default:
			continue
		}
		c.PFN, c.Order = buddy.PFN(ev.Page.PFN), buddy.Order(ev.Page.Order)
		c.Request.Order = c.Order
		if err := checkCall(name, ev.Line, &c, len(calls)); err != nil {
			return nil, err
		}
		if c.PFN != 0 {
			c.PFN += traceBase
		}
		cpus = max(cpus, int(ev.CPU)+1)
		calls = append(calls, c)
	}
	if len(calls) == 0 {
		return nil, &TraceError{name, 0, "no mm_page_alloc or mm_page_free event"}
	}
	return recordedWorkload(name, "page requests of a kernel's trace", cpus, calls)
}

// checkCall checks what a recorded stream says of a block. Its PFN is not moved
// to the machine's memory yet.
func checkCall(name string, at int, c *replay.PageCall, n int) error {
	switch {
	case n >= maxTraceOps:
		return &TraceError{name, at, fmt.Sprintf("more than %d operations", maxTraceOps)}
	case c.Order < 0 || c.Order > 10:
		return &TraceError{name, at, fmt.Sprintf("order %d", c.Order)}
	case c.PFN >= maxTracePages:
		return &TraceError{name, at, fmt.Sprintf("page frame %d: more than 64 GiB", c.PFN)}
	case c.PFN&(1<<c.Order-1) != 0:
		return &TraceError{name, at, fmt.Sprintf("page frame %d is not aligned to order %d", c.PFN, c.Order)}
	case c.Request.CPU < 0 || c.Request.CPU >= maxTraceCPUs:
		return &TraceError{name, at, fmt.Sprintf("CPU %d", c.Request.CPU)}
	}
	return nil
}

// recordedWorkload makes a machine for calls, and their stream.
func recordedWorkload(name, about string, cpus int, calls []replay.PageCall) (*Workload, error) {
	last := traceBase
	for i := range calls {
		if c := &calls[i]; c.PFN != 0 {
			last = max(last, c.PFN+1<<c.Order)
		}
	}
	m, err := plainMachine((uint64(last-traceBase)*4+1023)>>10, cpus)
	if err != nil {
		return nil, &TraceError{name, 0, err.Error()}
	}
	b := streamBuilder{m: m, owner: make([]uint32, m.Pages()), prepared: map[buddy.PFN]buddy.Order{}}
	b.start()
	for i := range calls {
		b.add(&calls[i])
	}
	ops := slices.DeleteFunc(b.ops, func(op Op) bool { return op.Kind == OpFree && op.Slot == NoSlot })
	for i := range ops {
		ops[i].Call = nil
	}
	return &Workload{Name: name, About: fmt.Sprintf("%s, %d MiB, %d CPUs", about, m.FreePages()>>8, cpus), Machine: m, Ops: len(ops),
		Stream: func(uint64) Stream { s := sliceStream(ops); return &s }}, nil
}

// plainMachine is a machine with one range of memory, all of it free: at least
// 16 MiB, in steps of 4.
func plainMachine(memoryMB uint64, cpus int) (*Machine, error) {
	memoryMB = max((memoryMB+3)&^3, 16)
	hw := &buddy.Machine{Memory: []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 4 << 30, End: 4<<30 + memoryMB<<20}}}, CPUs: cpus}
	a, err := buddy.NewMachine(hw, buddy.Linux6_1)
	if err != nil {
		return nil, err
	}
	config := a.Config()
	m := &Machine{Config: config, Hardware: hw, Free: freeSpans(a.State(), config.PageblockOrder)}
	m.Spans = m.Free
	return m, nil
}

// The two page-wise forms of LLFree's traces (github.com/luhsra/llfree-rs,
// bench/src/bin/replay.rs), little-endian, in units of 4 KiB that belong to one
// CPU each, whose number comes first. Entries have, from the lowest bit on, 38
// bits of time in us, 24 of page frame number, one that is set for an
// allocation, 4 of order, 29 of GFP flags.
const (
	llTracePage = 4096
	// The newer form has a unit before all others with the number of units, of
	// CPUs, and the greatest page frame; entries of 16 bytes begin at 16 and end
	// with a process's number.
	llEntryNew, llFirstNew = 16, 16
	// The older one has none; entries of 12 bytes begin at 4.
	llEntryOld, llFirstOld = 12, 4
)

// FromLLFreeTrace makes a workload of a trace that LLFree's tools record and
// replay. As in [FromPageTrace], all pages are free at the start. Entries of
// different CPUs are put in order by time, allocations first. The errors are
// [*TraceError].
func FromLLFreeTrace(name string, data []byte) (*Workload, error) {
	if len(data) == 0 || len(data)%llTracePage != 0 {
		return nil, &TraceError{name, 0, fmt.Sprintf("%d bytes: not whole units of %d", len(data), llTracePage)}
	}
	size, first, from := llEntryOld, llFirstOld, 0
	if units := binary.LittleEndian.Uint32(data); len(data) > llTracePage && int64(units) == int64(len(data)/llTracePage-1) && len(bytes.Trim(data[12:llTracePage], "\x00")) == 0 {
		size, first, from = llEntryNew, llFirstNew, llTracePage
	}
	var calls []replay.PageCall
	cpus := 1
	for unit := from; unit < len(data); unit += llTracePage {
		cpu := binary.LittleEndian.Uint32(data[unit:])
		for at := unit + first; at+size <= unit+llTracePage; at += size {
			c, ok := llEntry(data[at:])
			if !ok {
				continue
			}
			c.Request.CPU = buddy.CPU(min(cpu, maxTraceCPUs))
			if err := checkCall(name, at, &c, len(calls)); err != nil {
				return nil, err
			}
			c.PFN += traceBase
			cpus = max(cpus, int(cpu)+1)
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		return nil, &TraceError{name, 0, "no entries"}
	}
	slices.SortStableFunc(calls, func(a, b replay.PageCall) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Kind, b.Kind))
	})
	return recordedWorkload(name, "page requests of an LLFree trace", cpus, calls)
}

// llEntry reads an entry; ok is false for the empty ones that fill a unit up.
func llEntry(b []byte) (c replay.PageCall, ok bool) {
	low, high := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
	if low == 0 && high == 0 {
		return c, false
	}
	const timeBits, pfnBits = 38, 24
	c = replay.PageCall{Kind: replay.CallFree, Time: low & (1<<timeBits - 1) * 1000, PFN: buddy.PFN(low >> timeBits & (1<<pfnBits - 1)),
		Request: buddy.Request{Node: buddy.NoNode}}
	// Bit 62 is the kind, bits 63 to 66 the order, from 67 on the flags.
	c.Order = buddy.Order(low>>63 | uint64(high&7)<<1)
	c.Request.Order = c.Order
	if low>>62&1 != 0 {
		c.Kind = replay.CallAlloc
		c.Request.GFP = llGFP(high >> 3)
	}
	return c, true
}

// llGFP takes what LLFree's tools look at: whether the block can be moved. The
// other flags' bits differ between kernel versions.
func llGFP(flags uint32) buddy.GFP {
	const movable, reclaimable = 0x08, 0x10
	switch {
	case flags&movable != 0:
		return buddy.GFPHighUserMovable
	case flags&reclaimable != 0:
		return buddy.GFPKernel | buddy.GFPReclaimable
	}
	return buddy.GFPKernel
}
