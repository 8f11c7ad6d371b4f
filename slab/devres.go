package slab

import (
	"errors"
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// Device is a device whose driver asks for memory that lives as long as the
// driver is bound: the devm_ functions of drivers/base/devres.c. Each piece is
// a kmalloc object with a header in front.
type Device struct {
	a *Allocator
	// pieces are the kmalloc objects, oldest first.
	pieces []uint64
	sizes  []uint64
}

// NewDevice makes a device without memory.
func (a *Allocator) NewDevice() *Device { return &Device{a: a} }

// Header is how many bytes stand in front of a piece (struct devres): a list
// entry, two pointers and a size, rounded up to kmalloc's alignment, so that
// the piece is aligned like any kmalloc memory.
func (d *Device) Header() uint64 {
	c := &d.a.config
	align := uint64(max(c.KmallocMinAlign, 1))
	return (5*uint64(c.WordSize) + align - 1) &^ (align - 1)
}

// Kzalloc is devm_kzalloc: zeroed memory. Size 0 is [ZeroSizePtr], and nothing is
// remembered for it.
func (d *Device) Kzalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP) (uint64, error) {
	addr, err := d.Kmalloc(cpu, size, gfp)
	if err == nil && addr > ZeroSizePtr {
		d.a.zero(addr, size)
	}
	return addr, err
}

// Kmalloc is devm_kmalloc: the address behind the header.
func (d *Device) Kmalloc(cpu buddy.CPU, size uint64, gfp buddy.GFP) (uint64, error) {
	if size == 0 {
		return ZeroSizePtr, nil
	}
	if size > size+d.Header() {
		return 0, ErrOverflow
	}
	obj, err := d.a.Kmalloc(cpu, size+d.Header(), gfp)
	if err != nil {
		return 0, err
	}
	d.pieces, d.sizes = append(d.pieces, obj), append(d.sizes, size)
	return obj + d.Header(), nil
}

// Krealloc is devm_krealloc: the memory with another size, moved if its object
// is too small; its place among the device's pieces stays. Size 0 frees it,
// address 0 allocates. A piece that is not this device's is a *MisuseError
// ("Memory chunk not managed or managed by a different device.").
func (d *Device) Krealloc(cpu buddy.CPU, addr, size uint64, gfp buddy.GFP) (uint64, error) {
	switch {
	case size == 0:
		return ZeroSizePtr, d.Kfree(cpu, addr)
	case addr <= ZeroSizePtr:
		return d.Kmalloc(cpu, size, gfp)
	}
	i := d.find(addr)
	if i < 0 {
		return 0, misuse(NotSlab, addr, nil)
	}
	old := d.pieces[i]
	have := d.a.Ksize(old)
	if size > size+d.Header() {
		return 0, ErrOverflow
	}
	if size+d.Header() <= have {
		return addr, nil
	}
	obj, err := d.a.Kmalloc(cpu, size+d.Header(), gfp)
	if err != nil {
		return 0, err
	}
	d.a.copyBytes(obj, old, have)
	d.pieces[i], d.sizes[i] = obj, size
	return obj + d.Header(), d.a.Kfree(cpu, old)
}

// Kfree is devm_kfree: a piece before its time. 0 and ZeroSizePtr are ignored;
// what is no piece of this device is a *MisuseError (a warning of the kernel's).
func (d *Device) Kfree(cpu buddy.CPU, addr uint64) error {
	if addr <= ZeroSizePtr {
		return nil
	}
	i := d.find(addr)
	if i < 0 {
		return misuse(NotSlab, addr, nil)
	}
	if err := d.a.Kfree(cpu, d.pieces[i]); err != nil {
		return err
	}
	d.pieces, d.sizes = slices.Delete(d.pieces, i, i+1), slices.Delete(d.sizes, i, i+1)
	return nil
}

func (d *Device) find(addr uint64) int {
	return slices.Index(d.pieces, addr-d.Header())
}

// Pieces is how many pieces the device has.
func (d *Device) Pieces() int { return len(d.pieces) }

// Release is what unbinding the driver does: all pieces go back, the last one
// first (devres_release_all).
func (d *Device) Release(cpu buddy.CPU) error {
	var err error
	for i := len(d.pieces) - 1; i >= 0; i-- {
		err = errors.Join(err, d.a.Kfree(cpu, d.pieces[i]))
	}
	d.pieces, d.sizes = nil, nil
	return err
}
