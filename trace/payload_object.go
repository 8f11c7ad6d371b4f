package trace

// Fields of the object events, by bit.
const (
	bitPtr fieldBits = 1 << iota
	bitCallSite
	bitBytesAlloc
	bitObjectName
)

var objectFields = []string{"ptr", "call_site", "bytes_alloc", "name"}

const needAlloc = bitPtr | bitCallSite | bitBytesAlloc

var objectPayloads = []kindPayload{
	{KindKmalloc, payload{fastAlloc, decodeObject, appendObjectAlloc, clearObject, needAlloc, objectFields}},
	{KindKmallocNode, payload{fastAlloc, decodeObject, appendObjectAlloc, clearObject, needAlloc, objectFields}},
	{KindKmemCacheAlloc, payload{fastAlloc, decodeObject, appendObjectAlloc, clearObject, needAlloc, objectFields}},
	{KindKmemCacheAllocNode, payload{fastAlloc, decodeObject, appendObjectAlloc, clearObject, needAlloc, objectFields}},
	{KindKfree, payload{fastFree, decodeObject, appendObjectFree, clearObject, bitPtr | bitCallSite, objectFields}},
	{KindKmemCacheFree, payload{fastFree, decodeObject, appendObjectFree, clearObject, bitPtr | bitCallSite, objectFields}},
	{KindSlabBulkAlloc, payload{nil, decodeSlabBulk, appendSlabBulk, clearSlabBulk, bitPtr | bitObjectName, objectFields}},
	{KindSlabBulkFree, payload{nil, decodeSlabBulk, appendSlabBulk, clearSlabBulk, bitPtr | bitObjectName, objectFields}},
}

func clearObject(ev *Event) { ev.Object = Object{} }

func clearSlabBulk(ev *Event) { ev.Object, ev.Probe = Object{}, Probe{} }

// fastFree reads the frees in the layout that kernels print since 5.1.
func fastFree(d *decoder, ev *Event) bool {
	c, o := newCursor(d.b), &ev.Object
	d.fastSite(&c, o)
	if c.ok && c.has(" name=") {
		o.Name = d.texts.get(c.plain(c.b[c.i:]))
		return c.ok
	}
	return c.done()
}

// fastSite takes "call_site=... ptr=..." off; a module's name in the call site
// stands behind a space.
func (d *decoder) fastSite(c *cursor, o *Object) {
	c.lit("call_site=")
	o.CallSite = d.texts.get(c.until("ptr="))
	o.Ptr = c.hex()
	d.seen = bitPtr | bitCallSite
}

// fastAlloc reads the allocations in the layout that kernels print since 6.1,
// with the cache's name or without.
func fastAlloc(d *decoder, ev *Event) bool {
	c, o := newCursor(d.b), &ev.Object
	d.fastSite(&c, o)
	c.lit(" ")
	if c.ok && c.has("name=") {
		o.Name = d.texts.get(c.until("bytes_req="))
	} else {
		c.lit("bytes_req=")
	}
	o.BytesReq = c.dec()
	c.lit(" bytes_alloc=")
	o.BytesAlloc = c.dec()
	c.lit(" gfp_flags=")
	o.GFPFlags = d.texts.get(c.word())
	c.lit(" node=")
	o.Node = c.int32()
	c.lit(" accounted=")
	o.Accounted = c.has("true")
	if !o.Accounted {
		c.lit("false")
	}
	d.seen |= bitBytesAlloc
	return c.done()
}

// decodeObject reads the fields that the object events share.
func decodeObject(d *decoder, ev *Event) {
	for d.next() {
		d.object(&ev.Object)
	}
}

// decodeSlabBulk reads one object of a bulk call.
func decodeSlabBulk(d *decoder, ev *Event) {
	for d.next() {
		switch string(d.key) {
		case "i":
			ev.Probe.I = d.uint()
		case "nr":
			ev.Probe.Nr = d.uint()
		default:
			d.object(&ev.Object)
		}
	}
}

// object reads the current field if it is one of a slab object.
func (d *decoder) object(o *Object) {
	switch string(d.key) {
	case "call_site":
		o.CallSite = d.text()
		d.seen |= bitCallSite
	case "ptr":
		o.Ptr = d.pointer()
		d.seen |= bitPtr
	case "name":
		o.Name = d.text()
		d.seen |= bitObjectName
	case "bytes_req":
		o.BytesReq = d.uint()
	case "bytes_alloc":
		o.BytesAlloc = d.uint()
		d.seen |= bitBytesAlloc
	case "gfp_flags":
		o.GFPFlags = d.text()
	case "node":
		o.Node = d.int32()
	case "accounted":
		o.Accounted = d.boolean()
	}
}

// appendObjectFree writes kfree and kmem_cache_free.
func appendObjectFree(b []byte, ev *Event) []byte {
	o := &ev.Object
	b = append(append(b, "call_site="...), o.CallSite...)
	b = appendPointer(append(b, " ptr="...), o.Ptr)
	if o.Name != "" {
		b = append(append(b, " name="...), o.Name...)
	}
	return b
}

// appendObjectAlloc writes kmalloc and kmem_cache_alloc. The cache's name is
// printed if there is one: from 6.15 on.
func appendObjectAlloc(b []byte, ev *Event) []byte {
	o := &ev.Object
	b = appendObjectFree(b, ev)
	b = appendUint(append(b, " bytes_req="...), o.BytesReq)
	b = appendUint(append(b, " bytes_alloc="...), o.BytesAlloc)
	b = append(append(b, " gfp_flags="...), o.GFPFlags...)
	b = appendInt(append(b, " node="...), int64(o.Node))
	if o.Accounted {
		return append(b, " accounted=true"...)
	}
	return append(b, " accounted=false"...)
}

// appendSlabBulk writes slab_bulk_alloc and slab_bulk_free.
func appendSlabBulk(b []byte, ev *Event) []byte {
	b = appendPointer(append(b, "ptr="...), ev.Object.Ptr)
	b = append(append(b, " name="...), ev.Object.Name...)
	b = appendUint(append(b, " i="...), ev.Probe.I)
	return appendUint(append(b, " nr="...), ev.Probe.Nr)
}
