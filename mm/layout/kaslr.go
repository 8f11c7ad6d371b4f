package layout

import "math/bits"

// KASLR are the random words that a booting kernel draws from the CPU or from
// its loader. The same words give the same layout as in the kernel.
type KASLR struct {
	// Memory is kaslr_get_random_long("Memory") of x86_64: it decides direct map,
	// vmalloc and vmemmap. MemoryState gives it from the 32 bits that count.
	Memory uint64
	// Image is kaslr_get_random_long("Virtual") of x86_64: the place of the kernel image.
	Image uint64
	// Module is the draw for the first module of x86_64.
	Module uint64
	// Seed is arm64's kaslr-seed: image and start of the direct map. 0 is none.
	Seed uint64

	// ImageSize is the size of the image with its bss in bytes (0 is 64 MiB), ImageAlign
	// CONFIG_PHYSICAL_ALIGN (0 is 2 MiB), ImagePhys its physical address (0 is the default one).
	ImageSize, ImageAlign, ImagePhys uint64
	// FixedRegions says that CONFIG_RANDOMIZE_MEMORY is off: only the image moves.
	FixedRegions bool
	// NoZoneDevice says that CONFIG_ZONE_DEVICE is off, or the kernel from before 2025, when
	// that did not count: the direct map has room for the memory and PaddingTB (0 is 10) TiB only,
	// which leaves more to draw from.
	NoZoneDevice bool
	PaddingTB    uint64
}

// Source gives random words, as get_random_long does. A model draws from it in
// the kernel's order.
type Source func() uint64

// NewSource gives a generator (SplitMix64) of a seed. It is this package's, not
// the kernel's, whose words are not predictable.
func NewSource(seed uint64) Source {
	return func() uint64 {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
}

// NewKASLR draws all words from a source.
func NewKASLR(rnd Source) *KASLR {
	return &KASLR{Memory: rnd(), Image: rnd(), Module: rnd(), Seed: rnd()}
}

// MemoryState gives a word for KASLR.Memory that seeds the generator with the 32 bits
// state: prandom_seed_state folds 64 bits to 32.
func MemoryState(state uint32) uint64 { return uint64(state) << 32 }

// below draws from 0 to before n, as prandom_u32_max does.
func below(r, n uint64) uint64 { return r & (1<<32 - 1) * n >> 32 }

// tausworthe is prandom_u32_state's generator, four combined Tausworthe
// sequences (L'Ecuyer, "Tables of maximally equidistributed combined LFSR
// generators", 1999).
type tausworthe [4]uint32

// taus are each sequence's first shift, second shift, last shift, and least state: the state's bits below
// it have no effect.
var taus = [4]struct {
	q, k, s uint
	least   uint32
}{{6, 13, 18, 2}, {2, 27, 2, 8}, {13, 21, 7, 16}, {3, 12, 13, 128}}

// seedTausworthe is prandom_seed_state.
func seedTausworthe(seed uint64) (t tausworthe) {
	folded := uint32(seed>>32 ^ seed<<10 ^ seed)
	for i, p := range taus {
		t[i] = folded
		if folded < p.least {
			t[i] += p.least
		}
	}
	return t
}

func (t *tausworthe) next() uint32 {
	out := uint32(0)
	for i, p := range taus {
		s := t[i]
		t[i] = s&-p.least<<p.s ^ (s<<p.q^s)>>p.k
		out ^= t[i]
	}
	return out
}

// Drawn are the three regions that x86_64 moves: their bases, and how much each has in TiB.
type Drawn struct {
	Direct, Vmalloc, Vmemmap       uint64
	DirectTB, VmallocTB, VmemmapTB uint64
}

func (k *KASLR) regions() bool { return !k.FixedRegions }

// drawRegions is kernel_randomize_memory.
func (k *KASLR) drawRegions(b basesX86, memEnd uint64) Drawn {
	const step = 1 << 30 // PUD_SIZE
	d := Drawn{DirectTB: b.directTB, VmallocTB: b.vmallocTB}
	if k.NoZoneDevice {
		padding := k.PaddingTB
		if padding == 0 {
			padding = 10
		}
		d.DirectTB = min(d.DirectTB, (memEnd+tb-1)/tb+padding)
	}
	d.VmemmapTB = (d.DirectTB*(tb/4096)*structPage + tb - 1) / tb
	sizes := [3]uint64{d.DirectTB, d.VmallocTB, d.VmemmapTB}
	left := cpuEntryBase - b.direct
	for _, s := range sizes {
		left -= s * tb
	}
	rnd := seedTausworthe(k.Memory)
	addr := b.direct
	for i, base := range []*uint64{&d.Direct, &d.Vmalloc, &d.Vmemmap} {
		share := left / uint64(3-i)
		r := uint64(rnd.next())
		r |= uint64(rnd.next()) << 32
		share = r % (share + 1) &^ (step - 1)
		addr += share
		*base = addr
		// A gap of up to a step stays, even where the region ends on one.
		addr = (addr + sizes[i]*tb + step) &^ (step - 1)
		left -= share
	}
	return d
}

// drawImage is find_random_virt_addr: the virtual address of _text.
func (k *KASLR) drawImage(area uint64) (uint64, error) {
	size, align := k.ImageSize, k.ImageAlign
	if size == 0 {
		size = 64 << 20
	}
	if align == 0 {
		align = 2 << 20
	}
	if align < 2<<20 || align > imageStartPhys || align&(align-1) != 0 {
		return 0, &ConfigError{Field: "KASLR.ImageAlign", Value: hex(align), Want: "a power of two, 2 to 16 MiB"}
	}
	if size > area-imageStartPhys {
		return 0, &ConfigError{Field: "KASLR.ImageSize", Value: hex(size), Want: "at most the image area"}
	}
	slots := 1 + (area-imageStartPhys-size)/align
	return startKernelMap + imageStartPhys + k.Image%slots*align, nil
}

func (k *KASLR) memstartSeed() uint16 { return uint16(k.Seed) }

// arm64Image is kaslr_early_init: how far the image moves up from the end of
// the modules.
func (k *KASLR) arm64Image(c *Config, start, vmallocEnd uint64) uint64 {
	if k.Seed == 0 {
		return 0
	}
	const align = 2 << 20
	if c.Kernel == Linux6_12 {
		room := (vmallocEnd - start) / 2
		hi, _ := bits.Mul64(room, k.Seed)
		return (room/2 + hi) &^ (align - 1)
	}
	width := uint(c.vaBitsMin() - 3)
	return (uint64(1)<<width + k.Seed&(uint64(1)<<(width+1)-1)) &^ (align - 1)
}

// FirstModule is where module_alloc starts to search on x86_64; 0 elsewhere.
func (l *Layout) FirstModule() uint64 {
	if l.c.Arch != X86_64 {
		return 0
	}
	r, _ := l.Region(Modules)
	if l.c.KASLR == nil {
		return r.Start
	}
	return r.Start + (below(l.c.KASLR.Module, 1024)+1)*l.c.PageSize
}
