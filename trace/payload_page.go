package trace

import "strconv"

// Fields of the page events, by bit.
const (
	bitPFN fieldBits = 1 << iota // pfn or page: some kernels print only one
	bitOrder
	bitMigrateType
	bitGFP
	bitExtfrag
)

var pageFields = []string{"pfn", "order", "migratetype", "gfp_flags", "fallback_order"}

var pagePayloads = []kindPayload{
	{KindMMPageAlloc, payload{fastPage, decodePage, appendPageAlloc, clearPage, bitPFN | bitOrder | bitMigrateType | bitGFP, pageFields}},
	{KindMMPageFree, payload{fastPage, decodePage, appendPageFree, clearPage, bitPFN | bitOrder, pageFields}},
	{KindMMPageFreeBatched, payload{fastPage, decodePage, appendPageFree, clearPage, bitPFN, pageFields}},
	{KindMMPageAllocZoneLocked, payload{fastPage, decodePage, appendPageZoneLocked, clearPage, bitPFN | bitOrder | bitMigrateType, pageFields}},
	{KindMMPagePCPUDrain, payload{fastPage, decodePage, appendPageDrain, clearPage, bitPFN | bitOrder | bitMigrateType, pageFields}},
	{KindMMPageAllocExtfrag, payload{nil, decodeExtfrag, appendExtfrag, clearExtfrag, bitPFN | bitExtfrag, pageFields}},
}

// Failed reports whether an mm_page_alloc gave no page: the kernel prints pfn
// 0 and a null page then.
func (p *Page) Failed() bool { return p.PFN == 0 && p.Address == 0 }

func clearPage(ev *Event) { ev.Page = Page{} }

func clearExtfrag(ev *Event) { ev.Page, ev.Extfrag = Page{}, Extfrag{} }

// fastPage reads the page events in the layout that kernels print since 5.0.
func fastPage(d *decoder, ev *Event) bool {
	c, p := newCursor(d.b), &ev.Page
	c.lit("page=")
	p.Address = c.hex()
	c.lit(" pfn=0x")
	p.PFN, p.HasPFN = c.hex(), true
	c.lit(" order=")
	p.Order = c.int32()
	d.seen = bitPFN | bitOrder
	if c.done() || !c.ok {
		return c.ok
	}
	c.lit(" migratetype=")
	p.MigrateType = c.int32()
	d.seen |= bitMigrateType
	switch {
	case c.has(" gfp_flags="):
		p.GFPFlags = d.texts.get(c.word())
		d.seen |= bitGFP
	case c.has(" percpu_refill="):
		p.PerCPURefill = c.int32()
	}
	return c.done()
}

// decodePage reads the fields that the page events share.
func decodePage(d *decoder, ev *Event) {
	for d.next() {
		d.page(&ev.Page)
	}
}

// page reads the current field if it is one of a page; else says no.
func (d *decoder) page(p *Page) bool {
	switch string(d.key) {
	case "page":
		p.Address = d.pointer()
		d.seen |= bitPFN
	case "pfn":
		p.PFN, p.HasPFN = d.uint(), true
		d.seen |= bitPFN
	case "order":
		p.Order = d.int32()
		d.seen |= bitOrder
	case "migratetype", "mt":
		p.MigrateType = d.int32()
		d.seen |= bitMigrateType
	case "gfp_flags":
		p.GFPFlags = d.text()
		d.seen |= bitGFP
	case "percpu_refill":
		p.PerCPURefill = d.int32()
	default:
		return false
	}
	return true
}

// decodeExtfrag reads mm_page_alloc_extfrag.
func decodeExtfrag(d *decoder, ev *Event) {
	x := &ev.Extfrag
	for d.next() {
		switch string(d.key) {
		case "alloc_order":
			x.AllocOrder = d.int32()
		case "fallback_order":
			x.FallbackOrder = d.int32()
			d.seen |= bitExtfrag
		case "pageblock_order":
			x.PageblockOrder = d.int32()
		case "alloc_migratetype":
			x.AllocMigrateType = d.int32()
		case "fallback_migratetype":
			x.FallbackMigrateType = d.int32()
		case "fragmenting":
			x.Fragmenting = d.boolean()
		case "change_ownership":
			x.ChangeOwnership = d.boolean()
		default:
			d.page(&ev.Page)
		}
	}
}

// appendPageStart writes "page=... pfn=...".
func appendPageStart(b []byte, p *Page) []byte {
	b = appendPointer(append(b, "page="...), p.Address)
	return appendHex(append(b, " pfn=0x"...), p.PFN)
}

func appendPageFree(b []byte, ev *Event) []byte {
	return appendInt(append(appendPageStart(b, &ev.Page), " order="...), int64(ev.Page.Order))
}

func appendPageDrain(b []byte, ev *Event) []byte {
	return appendInt(append(appendPageFree(b, ev), " migratetype="...), int64(ev.Page.MigrateType))
}

func appendPageAlloc(b []byte, ev *Event) []byte {
	b = append(appendPageDrain(b, ev), " gfp_flags="...)
	return append(b, ev.Page.GFPFlags...)
}

func appendPageZoneLocked(b []byte, ev *Event) []byte {
	return appendInt(append(appendPageDrain(b, ev), " percpu_refill="...), int64(ev.Page.PerCPURefill))
}

func appendExtfrag(b []byte, ev *Event) []byte {
	x := &ev.Extfrag
	b = appendPageStart(b, &ev.Page)
	b = appendInt(append(b, " alloc_order="...), int64(x.AllocOrder))
	b = appendInt(append(b, " fallback_order="...), int64(x.FallbackOrder))
	b = appendInt(append(b, " pageblock_order="...), int64(x.PageblockOrder))
	b = appendInt(append(b, " alloc_migratetype="...), int64(x.AllocMigrateType))
	b = appendInt(append(b, " fallback_migratetype="...), int64(x.FallbackMigrateType))
	b = appendInt(append(b, " fragmenting="...), bit01(x.Fragmenting))
	return appendInt(append(b, " change_ownership="...), bit01(x.ChangeOwnership))
}

// appendInt writes a decimal number.
func appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }

// appendUint writes a decimal number.
func appendUint(b []byte, v uint64) []byte { return strconv.AppendUint(b, v, 10) }

// appendHex writes a hexadecimal number without prefix.
func appendHex(b []byte, v uint64) []byte { return strconv.AppendUint(b, v, 16) }

// appendPointer writes an address as %p does on 64-bit machines: 16 digits.
func appendPointer(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}
