package slab

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/kernsim/kernsim/buddy"
)

// Task is who calls the allocator: what StoreUser records and reports print.
type Task struct {
	PID  int32
	Comm string
	// Caller is the place that called, as %pS prints it ("f+0x1/0x2 [mod]").
	Caller string
	// Stack is the rest of the call chain, innermost first.
	Stack []string
	// Jiffies is the time in ticks.
	Jiffies uint64
}

// SetTask says who makes the following calls.
func (a *Allocator) SetTask(t Task) { a.debug.task = t }

// trackItem tells an object's two tracks apart.
type trackItem int

const (
	trackAlloc trackItem = iota
	trackFree
)

// symbolBase is the address that the first recorded place gets; each further
// one is symbolStep higher.
const (
	symbolBase = 0xffffffff81000000
	symbolStep = 16
)

// symbolAddr gives a place's text an address that is stored in tracks.
func (d *debugState) symbolAddr(text string) uint64 {
	if text == "" {
		return 0
	}
	i, ok := d.symbolIndex[text]
	if !ok {
		i = len(d.symbols)
		d.symbols = append(d.symbols, text)
		d.symbolIndex[text] = i
	}
	return symbolBase + uint64(i)*symbolStep
}

// symbol is %pS of an address.
func (d *debugState) symbol(addr uint64) string {
	if i := addr - symbolBase; i%symbolStep == 0 && i/symbolStep < uint64(len(d.symbols)) {
		return d.symbols[i/symbolStep]
	}
	return fmt.Sprintf("0x%x", addr)
}

// stackHandle is stack_depot_save: 0 for an empty stack.
func (d *debugState) stackHandle(stack []string) uint32 {
	if len(stack) == 0 {
		return 0
	}
	stack = stack[:min(len(stack), trackAddrs)]
	key := strings.Join(stack, "\n")
	h, ok := d.stackIndex[key]
	if !ok {
		d.stacks = append(d.stacks, append([]string(nil), stack...))
		h = uint32(len(d.stacks))
		d.stackIndex[key] = h
	}
	return h
}

// stack gives a handle's stack, nil for a handle that was overwritten.
func (d *debugState) stack(handle uint32) []string {
	if handle == 0 || int(handle) > len(d.stacks) {
		return nil
	}
	return d.stacks[handle-1]
}

// track is struct track as it lies in an object.
type track struct {
	addr   uint64
	handle uint32
	cpu    int32
	pid    int32
	when   uint64
}

// trackBytesOf are the bytes of an object's track.
func (c *Cache) trackBytesOf(s *slabMeta, addr uint64, item trackItem) []byte {
	n := uint64(c.a.config.trackBytes())
	return c.span(s, addr+uint64(c.layout.infoEnd(c.a.config.WordSize))+uint64(item)*n, n)
}

// Layout of struct track: address, stack (handle, or 16 addresses of which the
// model keeps the handle in the first), CPU, process, time.
func (c *Cache) trackOffsets() (handle, cpu, pid, when uint32) {
	w := c.a.config.WordSize
	handle, cpu = w, w+4
	if !c.a.config.Profile.TrackStack {
		cpu = w + trackAddrs*w
	}
	return handle, cpu, cpu + 4, alignUp(cpu+8, w)
}

func (c *Cache) readTrack(s *slabMeta, addr uint64, item trackItem) track {
	b := c.trackBytesOf(s, addr, item)
	handle, cpu, pid, when := c.trackOffsets()
	return track{c.loadWord(b), binary.LittleEndian.Uint32(b[handle:]), int32(binary.LittleEndian.Uint32(b[cpu:])),
		int32(binary.LittleEndian.Uint32(b[pid:])), c.loadWord(b[when:])}
}

// setTrack records the running task: set_track.
func (c *Cache) setTrack(s *slabMeta, addr uint64, item trackItem, cpu buddy.CPU) {
	if c.layout.Flags&StoreUser == 0 {
		return
	}
	d := &c.a.debug
	b := c.trackBytesOf(s, addr, item)
	handle, atCPU, pid, when := c.trackOffsets()
	c.storeWord(b, d.symbolAddr(d.task.Caller))
	binary.LittleEndian.PutUint32(b[handle:], d.stackHandle(d.task.Stack))
	binary.LittleEndian.PutUint32(b[atCPU:], uint32(cpu))
	binary.LittleEndian.PutUint32(b[pid:], uint32(d.task.PID))
	c.storeWord(b[when:], d.task.Jiffies)
}

// clearTracks is init_tracking.
func (c *Cache) clearTracks(s *slabMeta, addr uint64) {
	if c.layout.Flags&StoreUser != 0 {
		clear(c.trackBytesOf(s, addr, trackAlloc))
		clear(c.trackBytesOf(s, addr, trackFree))
	}
}

// keepsOrigSize is slub_debug_orig_size: the size asked for is recorded.
func (c *Cache) keepsOrigSize() bool {
	return c.layout.Flags&StoreUser != 0 && c.layout.Flags&Kmalloc != 0 && c.a.config.origSizeBytes() > 0
}

func (c *Cache) origSizeAt(s *slabMeta, addr uint64) []byte {
	at := addr + uint64(c.layout.infoEnd(c.a.config.WordSize)) + 2*uint64(c.a.config.trackBytes())
	return c.span(s, at, 4)
}

// setOrigSize records the size asked for.
func (c *Cache) setOrigSize(s *slabMeta, addr uint64, size uint32) {
	if c.keepsOrigSize() {
		binary.LittleEndian.PutUint32(c.origSizeAt(s, addr), size)
	}
}

// origSize is get_orig_size; the object size where it is not recorded.
func (c *Cache) origSize(s *slabMeta, addr uint64) uint32 {
	if c.keepsOrigSize() {
		return binary.LittleEndian.Uint32(c.origSizeAt(s, addr))
	}
	return c.layout.ObjectSize
}

// metadataEnd is where the padding of an object begins: behind free pointer,
// tracks and size.
func (c *Cache) metadataEnd() uint32 {
	end := c.layout.infoEnd(c.a.config.WordSize)
	if c.layout.Flags&StoreUser != 0 {
		end += 2 * c.a.config.trackBytes()
		if c.layout.Flags&Kmalloc != 0 {
			end += c.a.config.origSizeBytes()
		}
	}
	return end
}
