package bench

import (
	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/replay"
)

// OpKind is what an operation does.
type OpKind uint8

const (
	// OpAlloc asks for a block and keeps it in a slot.
	OpAlloc OpKind = iota
	// OpFree gives a slot's block back, or a part of it.
	OpFree
	// OpBulk asks for single pages, each in a slot of its own.
	OpBulk
	// OpNote tells the baseline what the trace says besides requests.
	OpNote
)

// NoSlot is the slot of a block that was in use before the start, and of a
// request whose block is given back at once.
const NoSlot = ^uint32(0)

// Op is one operation of a stream.
type Op struct {
	Kind OpKind
	// Slot numbers the block among those in use. A slot is used again when its
	// block is free.
	Slot uint32
	// Request is OpAlloc's and OpBulk's; its CPU is every operation's.
	Request Request
	// Offset is where in the slot's block the part lies that OpFree frees, in
	// pages, Order its size. PFN is the block, if Slot is NoSlot.
	Offset uint32
	Order  buddy.Order
	PFN    buddy.PFN
	// Slots are OpBulk's.
	Slots []uint32
	// Call is what a capture tells: of an OpNote all there is, of others the
	// details that only the baseline follows. nil in generated streams.
	Call *replay.PageCall
	// Time is the moment in ns.
	Time uint64
}

// Stream gives a workload's operations one after the other.
type Stream interface {
	// Next fills op and says whether there was one. Op's slices stay valid
	// until the next call.
	Next(op *Op) bool
}

// Workload is a machine and a way to make streams for it.
type Workload struct {
	// Name is short, without spaces; About says in a line what it is.
	Name, About string
	// Machine is the same for all seeds.
	Machine *Machine
	// Ops is how many operations a stream has, for progress.
	Ops int
	// Seeded says that the seed makes a difference.
	Seeded bool
	// Stream starts a stream for a seed.
	Stream func(seed uint64) Stream
	// Capture is where the stream is from, or nil.
	Capture *replay.PageRequests
}
