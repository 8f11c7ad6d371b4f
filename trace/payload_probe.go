package trace

import "bytes"

// Fields of the probes, by bit. The first ones are those of pages, which some
// probes have too.
const (
	bitSeq fieldBits = bitExtfrag << 1 << iota
	bitNr
	bitRet
	bitCache
	bitN
	bitP
)

var probeFields = append(pageFields[:len(pageFields):len(pageFields)], "seq", "nr", "ret", "cache", "n", "p")

var probePayloads = []kindPayload{
	{KindKsnapMark, payload{nil, decodeProbe, appendKsnapMark, clearProbe, bitSeq, probeFields}},
	{KindAllocBulk, payload{nil, decodeProbe, appendAllocBulk, clearProbe, bitNr, probeFields}},
	{KindAllocBulkRet, payload{nil, decodeProbe, appendAllocBulkRet, clearProbe, bitRet, probeFields}},
	{KindPageBulk, payload{nil, decodeProbe, appendPageBulk, clearProbe, bitPFN | bitNr, probeFields}},
	{KindFreeOnePage, payload{nil, decodeProbe, appendFreeOnePage, clearProbe, bitPFN | bitOrder | bitMigrateType, probeFields}},
	{KindIsolateFreePage, payload{nil, decodeProbe, appendIsolateFreePage, clearProbe, bitPFN | bitOrder, probeFields}},
	{KindMoveFreepages, payload{nil, decodeProbe, appendMoveFreepages, clearProbe, bitPFN | bitMigrateType, probeFields}},
	{KindSlabCacheAlloc, payload{nil, decodeProbe, appendSlabCache, clearProbe, bitCache, probeFields}},
	{KindSlabCacheAllocLRU, payload{nil, decodeProbe, appendSlabCache, clearProbe, bitCache, probeFields}},
	{KindSlabCacheAllocNode, payload{nil, decodeProbe, appendSlabCache, clearProbe, bitCache, probeFields}},
	{KindCacheAllocBulk, payload{nil, decodeProbe, appendCacheAllocBulk, clearProbe, bitCache | bitN, probeFields}},
	{KindCacheAllocBulkVec, payload{nil, decodeProbe, appendCacheAllocBulkVec, clearProbe, bitCache | bitRet | bitP, probeFields}},
	{KindCacheFreeBulk, payload{nil, decodeProbe, appendCacheFreeBulk, clearProbe, bitCache | bitN | bitP, probeFields}},
}

// ksnapEnd is the bit of ksnap_mark's seq that says "end of the snapshot".
const ksnapEnd = 1 << 31

// Mark gives the snapshot's number of a ksnap_mark, and whether the line is at
// its end.
func (p *Probe) Mark() (seq uint32, end bool) {
	return p.Seq &^ ksnapEnd, p.Seq&ksnapEnd != 0
}

func clearProbe(ev *Event) { ev.Probe, ev.Page = Probe{}, Page{} }

// decodeProbe reads the fields of all probes.
func decodeProbe(d *decoder, ev *Event) {
	p := &ev.Probe
	p.Where = d.texts.get(d.lead)
	for d.next() {
		switch string(d.key) {
		case "seq":
			p.Seq = d.uint32()
			d.seen |= bitSeq
		case "gfp":
			p.GFP = d.uint32()
		case "nr":
			p.Nr = d.uint()
			d.seen |= bitNr
		case "i":
			p.I = d.uint()
		case "n":
			p.N = d.uint()
			d.seen |= bitN
		case "ret":
			p.Ret = d.long()
			d.seen |= bitRet
		case "cache":
			p.Cache = d.pointer()
			d.seen |= bitCache
		case "vec":
			p.Vec = d.pointer()
		case "p":
			p.P = d.vector()
			d.seen |= bitP
		default:
			d.page(&ev.Page)
		}
	}
}

// vector reads "{0x1,0x2,...}" into the decoder's own storage.
func (d *decoder) vector() []uint64 {
	v := d.value
	if len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
		d.fail(v, "addresses in braces")
		return nil
	}
	v = v[1 : len(v)-1]
	d.ptrs = d.ptrs[:0]
	for len(v) > 0 {
		item := v
		if i := bytes.IndexByte(v, ','); i >= 0 {
			item, v = v[:i], v[i+1:]
		} else {
			v = nil
		}
		a, ok := ParsePointer(item)
		if !ok {
			d.fail(item, "an address")
			return nil
		}
		d.ptrs = append(d.ptrs, a)
	}
	return d.ptrs
}

// appendWhere writes the "(function+0x0/0x10) " in front.
func appendWhere(b []byte, ev *Event) []byte {
	if ev.Probe.Where == "" {
		return b
	}
	return append(append(b, ev.Probe.Where...), ' ')
}

func appendKsnapMark(b []byte, ev *Event) []byte {
	return appendUint(append(appendWhere(b, ev), "seq="...), uint64(ev.Probe.Seq))
}

func appendAllocBulk(b []byte, ev *Event) []byte {
	b = appendHex(append(appendWhere(b, ev), "gfp=0x"...), uint64(ev.Probe.GFP))
	return appendUint(append(b, " nr="...), ev.Probe.Nr)
}

func appendAllocBulkRet(b []byte, ev *Event) []byte {
	return appendUint(append(appendWhere(b, ev), "ret="...), ev.Probe.Ret)
}

func appendPageBulk(b []byte, ev *Event) []byte {
	b = appendHex(append(appendWhere(b, ev), "pfn=0x"...), ev.Page.PFN)
	b = appendUint(append(b, " i="...), ev.Probe.I)
	return appendUint(append(b, " nr="...), ev.Probe.Nr)
}

func appendFreeOnePage(b []byte, ev *Event) []byte {
	b = appendHex(append(appendWhere(b, ev), "pfn=0x"...), ev.Page.PFN)
	b = appendInt(append(b, " order="...), int64(ev.Page.Order))
	return appendInt(append(b, " mt="...), int64(ev.Page.MigrateType))
}

func appendIsolateFreePage(b []byte, ev *Event) []byte {
	b = appendHex(append(appendWhere(b, ev), "page=0x"...), ev.Page.Address)
	return appendInt(append(b, " order="...), int64(ev.Page.Order))
}

func appendMoveFreepages(b []byte, ev *Event) []byte {
	b = appendHex(append(appendWhere(b, ev), "page=0x"...), ev.Page.Address)
	return appendInt(append(b, " mt="...), int64(ev.Page.MigrateType))
}

func appendSlabCache(b []byte, ev *Event) []byte {
	return appendHex(append(appendWhere(b, ev), "cache=0x"...), ev.Probe.Cache)
}

func appendCacheAllocBulk(b []byte, ev *Event) []byte {
	b = appendUint(append(appendSlabCache(b, ev), " n="...), ev.Probe.N)
	return appendHex(append(b, " vec=0x"...), ev.Probe.Vec)
}

func appendCacheAllocBulkVec(b []byte, ev *Event) []byte {
	b = appendUint(append(appendSlabCache(b, ev), " ret="...), ev.Probe.Ret)
	return appendVector(b, ev.Probe.P)
}

func appendCacheFreeBulk(b []byte, ev *Event) []byte {
	b = appendUint(append(appendSlabCache(b, ev), " n="...), ev.Probe.N)
	return appendVector(b, ev.Probe.P)
}

// appendVector writes " p={0x1,0x2}".
func appendVector(b []byte, p []uint64) []byte {
	b = append(b, " p={"...)
	for i, a := range p {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendHex(append(b, "0x"...), a)
	}
	return append(b, '}')
}
