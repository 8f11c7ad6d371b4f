package bench

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/slab/rival"
	"github.com/kernsim/kernsim/trace"
)

// ObjectOp is one operation on objects: an allocation of Size bytes into a slot,
// or, if Size is 0, a free of what the slot has.
type ObjectOp struct {
	Size uint64
	Slot uint32
	CPU  uint16
}

// ObjectWorkload is a stream of requests for objects.
type ObjectWorkload struct {
	// Name is short, without spaces; About says in a line what it is.
	Name, About string
	CPUs        int
	Ops         []ObjectOp
	slots       int
}

// Requests is how many of the operations are allocations.
func (w *ObjectWorkload) Requests() int {
	n := 0
	for i := range w.Ops {
		if w.Ops[i].Size > 0 {
			n++
		}
	}
	return n
}

// ErrNoObjects says that a trace asks for no object: no kmalloc or
// kmem_cache_alloc event, no malloc.
var ErrNoObjects = errors.New("no request for an object")

// maxObjectCPUs bounds the CPUs of a workload.
const maxObjectCPUs = 1024

// ObjectsFromCapture makes a workload of a capture's trace: kmalloc and
// kmem_cache_alloc with the bytes asked for, on the CPU where they were, kfree
// and kmem_cache_free. Frees of what was allocated before the trace are left
// out, as are bulk requests and requests of no bytes.
func ObjectsFromCapture(c replay.Capture) (*ObjectWorkload, error) {
	f, name, err := c.Open("trace.txt")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := trace.NewReader(f, name)
	if err != nil {
		return nil, err
	}
	w, err := ObjectsFromTrace(r)
	if err != nil {
		return nil, err
	}
	w.Name, w.About = c.Name, "objects of a captured trace"
	return w, nil
}

// ObjectsFromTrace is ObjectsFromCapture for a trace. The error is the reader's
// or [ErrNoObjects].
func ObjectsFromTrace(r *trace.Reader) (*ObjectWorkload, error) {
	b := objectBuilder{slots: map[uint64]uint32{}}
	var ev trace.Event
	for {
		switch err := r.Read(&ev); {
		case errors.Is(err, io.EOF):
			if len(b.w.Ops) == 0 {
				return nil, ErrNoObjects
			}
			b.w.slots = b.n
			return &b.w, nil
		case err != nil:
			return nil, err
		}
		if ev.CPU < 0 || ev.CPU >= maxObjectCPUs {
			continue
		}
		switch ev.Kind {
		case trace.KindKmalloc, trace.KindKmallocNode, trace.KindKmemCacheAlloc, trace.KindKmemCacheAllocNode:
			if ev.Object.Ptr != 0 && ev.Object.BytesReq > 0 && ev.Object.BytesReq <= maxObject {
				b.alloc(ev.Object.Ptr, ev.Object.BytesReq, int(ev.CPU))
			}
		case trace.KindKfree, trace.KindKmemCacheFree:
			b.free(ev.Object.Ptr, int(ev.CPU))
		}
	}
}

// ObjectsFromMallocTrace makes a workload of a malloc trace, on one CPU. A realloc
// is a free and a new object, a request of no bytes one of 1; objects that were not
// asked for are not given back. The error is [ErrNoObjects].
func ObjectsFromMallocTrace(name string, in []MallocOp) (*ObjectWorkload, error) {
	b := objectBuilder{slots: map[uint64]uint32{}}
	for i := range in {
		if op := &in[i]; op.Free {
			b.free(op.ID, 0)
		} else {
			b.alloc(op.ID, max(op.Size, 1), 0)
		}
	}
	if b.n == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNoObjects)
	}
	b.w.Name, b.w.About, b.w.slots = name, fmt.Sprintf("a malloc trace of %d operations", len(in)), b.n
	return &b.w, nil
}

// maxObject is the largest request that is compared: KMALLOC_MAX_SIZE.
const maxObject = 4 << 20

// objectBuilder gives addresses slots, and freed slots new objects.
type objectBuilder struct {
	w     ObjectWorkload
	slots map[uint64]uint32
	spare []uint32
	n     int
}

func (b *objectBuilder) alloc(addr, size uint64, cpu int) {
	if _, ok := b.slots[addr]; ok {
		b.free(addr, cpu) // its free was not traced
	}
	var slot uint32
	if n := len(b.spare); n > 0 {
		slot, b.spare = b.spare[n-1], b.spare[:n-1]
	} else {
		slot = uint32(b.n)
		b.n++
	}
	b.slots[addr] = slot
	b.w.CPUs = max(b.w.CPUs, cpu+1)
	b.w.Ops = append(b.w.Ops, ObjectOp{size, slot, uint16(cpu)})
}

func (b *objectBuilder) free(addr uint64, cpu int) {
	slot, ok := b.slots[addr]
	if !ok {
		return
	}
	delete(b.slots, addr)
	b.spare = append(b.spare, slot)
	b.w.CPUs = max(b.w.CPUs, cpu+1)
	b.w.Ops = append(b.w.Ops, ObjectOp{Slot: slot, CPU: uint16(cpu)})
}

// ObjectMix is a generated workload of objects: invented shapes, chosen for
// contrast.
type ObjectMix struct {
	Name, About string
	CPUs, Ops   int
	// Sizes are the objects' with their weights; a size is drawn evenly
	// between From and To bytes.
	Sizes []ObjectSize
	// Live is how many objects are in use at most; Remote the share of frees
	// that come from another CPU.
	Live   int
	Remote float64
	// Drain is the share of the live objects, drawn evenly, that is freed in
	// the end: what is left shows fragmentation.
	Drain float64
}

// ObjectSize is a range of sizes in bytes.
type ObjectSize struct {
	From, To uint64
	Weight   float64
}

// ObjectMixes are the generated workloads.
func ObjectMixes() []ObjectMix {
	small := []ObjectSize{{8, 64, 5}, {64, 192, 4}, {192, 512, 2}, {512, 2048, 1}}
	return []ObjectMix{
		{"small", "small objects of all sizes, most die young; nine of ten freed in the end", 1, 200_000, small, 20_000, 0, 0.9},
		{"network", "packets: allocated on one CPU, freed on another", 4, 200_000, []ObjectSize{{232, 232, 1}, {640, 704, 1}, {1600, 2048, 0.5}}, 2_000, 0.9, 0},
		{"files", "inodes and names of a tree that is walked and forgotten", 2, 200_000, []ObjectSize{{192, 192, 5}, {600, 1000, 4}, {16, 64, 2}}, 40_000, 0.1, 0.8},
		{"buffers", "from 1 to 64 KiB", 2, 100_000, []ObjectSize{{1 << 10, 4 << 10, 4}, {4 << 10, 16 << 10, 2}, {16 << 10, 64 << 10, 1}}, 1_000, 0.3, 0.5},
	}
}

// Workload draws a stream.
func (m *ObjectMix) Workload(seed uint64) *ObjectWorkload {
	rng := rand.New(rand.NewPCG(seed, 0x0b1ec75))
	w := &ObjectWorkload{Name: m.Name, About: m.About, CPUs: m.CPUs, slots: m.Live}
	total := 0.0
	for _, s := range m.Sizes {
		total += s.Weight
	}
	type live struct {
		slot uint32
		cpu  uint16
	}
	var in []live
	spare := make([]uint32, m.Live)
	for i := range spare {
		spare[i] = uint32(m.Live - 1 - i)
	}
	drop := func(i int) {
		o := in[i]
		in[i] = in[len(in)-1]
		in = in[:len(in)-1]
		cpu := o.cpu
		if m.CPUs > 1 && rng.Float64() < m.Remote {
			cpu = uint16((int(cpu) + 1 + rng.IntN(m.CPUs-1)) % m.CPUs)
		}
		spare = append(spare, o.slot)
		w.Ops = append(w.Ops, ObjectOp{Slot: o.slot, CPU: cpu})
	}
	for len(w.Ops) < m.Ops {
		if len(in) == m.Live || len(in) > m.Live/2 && rng.IntN(2) == 0 {
			// Half of the objects that die are among the youngest.
			i := rng.IntN(len(in))
			if rng.IntN(2) == 0 {
				i = len(in) - 1 - rng.IntN(min(len(in), 1+m.Live/16))
			}
			drop(i)
			continue
		}
		x := rng.Float64() * total
		k := 0
		for k < len(m.Sizes)-1 && x >= m.Sizes[k].Weight {
			x -= m.Sizes[k].Weight
			k++
		}
		s := m.Sizes[k]
		o := live{spare[len(spare)-1], uint16(rng.IntN(m.CPUs))}
		spare = spare[:len(spare)-1]
		in = append(in, o)
		w.Ops = append(w.Ops, ObjectOp{s.From + rng.Uint64N(s.To-s.From+1), o.slot, o.cpu})
	}
	for n := int(float64(len(in)) * m.Drain); n > 0; n-- {
		drop(rng.IntN(len(in)))
	}
	return w
}

// ObjectResult is what an allocator did with a workload. Bytes are of memory.
type ObjectResult struct {
	Allocator, Workload string
	Seed                uint64
	Requests, Failed    int
	// Asked is what was in use at the peak, Peak the pages held then;
	// EndAsked and EndHeld at the end.
	Asked, Peak, EndAsked, EndHeld uint64
	// Waste is the mean over time of the pages held beyond what was asked for,
	// as a share of the pages held; Inside the part of it that lies in
	// objects that are larger than what was asked for.
	Waste, Inside float64
	rival.Stats
	// Samples are pages held and bytes asked for along the operations, about
	// as many as were wanted.
	Samples []ObjectSample
}

// Outside is the external fragmentation: the mean over time of the memory that is
// held but lies in no object in use, as a share of what is held. Freed objects and
// unused ends of slabs and spans keep it from others.
func (r *ObjectResult) Outside() float64 { return max(r.Waste-r.Inside, 0) }

// Wasted is the share of the memory held that nobody asked for, 0 while none is held.
func (s *ObjectSample) Wasted() float64 {
	if s.Held <= s.Asked {
		return 0
	}
	return float64(s.Held-s.Asked) / float64(s.Held)
}

// ObjectSample is a moment of a run.
type ObjectSample struct {
	Op          int
	Asked, Held uint64
}

// ObjectError says what an object allocator did wrong.
type ObjectError struct {
	Allocator string
	// Op is the number of the operation, from 0; -1 at the final check.
	Op    int
	Fault ObjectFault
	Addr  uint64
	Err   error // the allocator's own, if it told one
}

// ObjectFault is a way in which an object allocator can be wrong.
type ObjectFault string

// Faults.
const (
	ObjectOverlap ObjectFault = "gave out memory that is in use"
	ObjectSmall   ObjectFault = "gave out less than was asked for"
	ObjectLost    ObjectFault = "does not take its own object back"
	ObjectPages   ObjectFault = "holds fewer pages than its objects need"
	ObjectBroken  ObjectFault = "broke its own invariants"
)

// Error names the allocator and what it did.
func (e *ObjectError) Error() string {
	s := fmt.Sprintf("bench: %s %s", e.Allocator, e.Fault)
	if e.Op >= 0 {
		s += fmt.Sprintf(", operation %d, address %#x", e.Op, e.Addr)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ObjectError) Unwrap() error { return e.Err }

// RunObjects gives a workload to an allocator and watches it: objects must not
// overlap, must be large enough, and must go back. About samples moments are
// noted. The error is an ObjectError, the allocator's, or the context's.
func RunObjects(ctx context.Context, n rival.Named, w *ObjectWorkload, samples int) (*ObjectResult, error) {
	a, err := n.New(rival.Config{CPUs: w.CPUs})
	if err != nil {
		return nil, err
	}
	r := &ObjectResult{Allocator: n.Name, Workload: w.Name}
	run := objectRun{a: a, r: r, n: n.Name, live: make([]liveObject, w.slots), granules: map[uint64]*[8]uint64{}}
	every := max(1, len(w.Ops)/max(samples, 1))
	for i := range w.Ops {
		if i%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if err := run.op(i, &w.Ops[i]); err != nil {
			return nil, err
		}
		if i%every == every-1 || i == len(w.Ops)-1 {
			r.Samples = append(r.Samples, ObjectSample{i + 1, run.asked, a.Footprint()})
		}
	}
	if err := a.Check(); err != nil {
		return nil, &ObjectError{Allocator: n.Name, Op: -1, Fault: ObjectBroken, Err: err}
	}
	r.Stats = a.Stats()
	r.EndAsked, r.EndHeld = run.asked, a.Footprint()
	if run.held > 0 {
		r.Waste, r.Inside = run.waste/run.held, run.inside/run.held
	}
	return r, nil
}

type liveObject struct{ addr, asked, usable uint64 }

type objectRun struct {
	a      rival.Allocator
	r      *ObjectResult
	n      string
	live   []liveObject
	asked  uint64
	usable uint64
	// Sums over the operations.
	held, waste, inside float64
	// granules has a bit for each 8 bytes of a page that are in use.
	granules map[uint64]*[8]uint64
}

func (x *objectRun) op(i int, op *ObjectOp) error {
	o := &x.live[op.Slot]
	fault := func(f ObjectFault, addr uint64, err error) error {
		return &ObjectError{Allocator: x.n, Op: i, Fault: f, Addr: addr, Err: err}
	}
	switch {
	case op.Size > 0:
		x.r.Requests++
		addr, err := x.a.Alloc(int(op.CPU), op.Size)
		if errors.Is(err, rival.ErrNoMemory) {
			x.r.Failed++
			*o = liveObject{}
			return nil
		}
		if err != nil {
			return err
		}
		usable := x.a.Usable(addr)
		if !x.mark(addr, op.Size, true) {
			return fault(ObjectOverlap, addr, nil)
		}
		if usable < op.Size {
			return fault(ObjectSmall, addr, nil)
		}
		*o = liveObject{addr, op.Size, usable}
		x.asked, x.usable = x.asked+op.Size, x.usable+usable
	case o.addr != 0:
		if err := x.a.Free(int(op.CPU), o.addr); err != nil {
			return fault(ObjectLost, o.addr, err)
		}
		x.mark(o.addr, o.asked, false)
		x.asked, x.usable = x.asked-o.asked, x.usable-o.usable
		*o = liveObject{}
	}
	held := x.a.Footprint()
	if held < x.asked {
		return fault(ObjectPages, o.addr, nil)
	}
	if held > x.r.Peak {
		x.r.Peak, x.r.Asked = held, x.asked
	}
	x.held += float64(held)
	x.waste += float64(held - x.asked)
	x.inside += float64(x.usable - x.asked)
	return nil
}

// mark notes the memory of an object as in use or free; false if a part of it
// is in use already. Objects are aligned to 8 bytes.
func (x *objectRun) mark(addr, size uint64, use bool) bool {
	for at, end := addr>>3, (addr+size+7)>>3; at < end; {
		page := at >> 9
		g := x.granules[page]
		if g == nil {
			g = new([8]uint64)
			x.granules[page] = g
		}
		word := at >> 6 & 7
		n := min(64-at&63, end-at)
		bits := ^uint64(0) >> (64 - n) << (at & 63)
		if use && g[word]&bits != 0 {
			return false
		}
		if use {
			g[word] |= bits
		} else {
			g[word] &^= bits
		}
		at += n
	}
	return true
}

// WriteObjectsCSV writes results, a row each.
func WriteObjectsCSV(w io.Writer, all []*ObjectResult) error {
	rows := [][]string{{"workload", "seed", "allocator", "requests", "failed", "peak_held_bytes", "peak_asked_bytes", "end_held_bytes", "end_asked_bytes",
		"mean_waste_share", "mean_inside_share", "mean_outside_share", "shared_locks", "without_lock", "page_allocs", "page_frees"}}
	for _, r := range all {
		u := func(n uint64) string { return strconv.FormatUint(n, 10) }
		f := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
		rows = append(rows, []string{r.Workload, u(r.Seed), r.Allocator, strconv.Itoa(r.Requests), strconv.Itoa(r.Failed), u(r.Peak), u(r.Asked), u(r.EndHeld),
			u(r.EndAsked), f(r.Waste), f(r.Inside), f(r.Outside()), u(r.Locks), u(r.Local), u(r.PageAllocs), u(r.PageFrees)})
	}
	return csv.NewWriter(w).WriteAll(rows)
}
