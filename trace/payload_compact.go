package trace

import "bytes"

// Fields of the compaction events, by bit.
const (
	bitZoneStart fieldBits = 1 << iota
	bitRange
	bitNrMigrated
	bitCompactOrder
	bitNode
	bitZone
)

var compactFields = []string{"zone_start", "range", "nr_migrated", "order", "node or nid", "zone"}

var compactPayloads = []kindPayload{
	{KindCompactionBegin, payload{nil, decodeCompact, appendCompactBegin, clearCompact, bitZoneStart, compactFields}},
	{KindCompactionEnd, payload{nil, decodeCompact, appendCompactEnd, clearCompact, bitZoneStart, compactFields}},
	{KindCompactionIsolateMigratepages, payload{nil, decodeCompact, appendCompactIsolate, clearCompact, bitRange, compactFields}},
	{KindCompactionIsolateFreepages, payload{nil, decodeCompact, appendCompactIsolate, clearCompact, bitRange, compactFields}},
	{KindCompactionFastIsolateFreepages, payload{nil, decodeCompact, appendCompactIsolate, clearCompact, bitRange, compactFields}},
	{KindCompactionMigratepages, payload{nil, decodeCompact, appendCompactMigrate, clearCompact, bitNrMigrated, compactFields}},
	{KindCompactionTryToCompactPages, payload{nil, decodeCompact, appendTryToCompact, clearCompact, bitCompactOrder, compactFields}},
	{KindCompactionFinished, payload{nil, decodeCompact, appendCompactSuitable, clearCompact, bitNode | bitZone | bitCompactOrder, compactFields}},
	{KindCompactionSuitable, payload{nil, decodeCompact, appendCompactSuitable, clearCompact, bitNode | bitZone | bitCompactOrder, compactFields}},
	{KindCompactionDeferred, payload{nil, decodeCompact, appendCompactDefer, clearCompact, bitNode | bitZone | bitCompactOrder, compactFields}},
	{KindCompactionDeferCompaction, payload{nil, decodeCompact, appendCompactDefer, clearCompact, bitNode | bitZone | bitCompactOrder, compactFields}},
	{KindCompactionDeferReset, payload{nil, decodeCompact, appendCompactDefer, clearCompact, bitNode | bitZone | bitCompactOrder, compactFields}},
	{KindCompactionKcompactdSleep, payload{nil, decodeCompact, appendKcompactdSleep, clearCompact, bitNode, compactFields}},
	{KindCompactionKcompactdWake, payload{nil, decodeCompact, appendKcompactdWake, clearCompact, bitNode | bitCompactOrder, compactFields}},
	{KindCompactionWakeupKcompactd, payload{nil, decodeCompact, appendKcompactdWake, clearCompact, bitNode | bitCompactOrder, compactFields}},
}

func clearCompact(ev *Event) { ev.Compact = Compact{} }

// decodeCompact reads the fields that the compaction events share.
func decodeCompact(d *decoder, ev *Event) {
	p := &ev.Compact
	for d.next() {
		switch string(d.key) {
		case "zone_start":
			p.ZoneStart = d.uint()
			d.seen |= bitZoneStart
		case "migrate_pfn":
			p.MigratePFN = d.uint()
		case "free_pfn":
			p.FreePFN = d.uint()
		case "zone_end":
			p.ZoneEnd = d.uint()
		case "mode":
			p.Mode = d.text()
		case "status", "ret":
			p.Status = d.text()
		case "range":
			p.StartPFN, p.EndPFN = d.pfnRange()
			d.seen |= bitRange
		case "nr_scanned":
			p.NrScanned = d.uint()
		case "nr_taken":
			p.NrTaken = d.uint()
		case "nr_migrated":
			p.NrMigrated = d.uint()
			d.seen |= bitNrMigrated
		case "nr_failed":
			p.NrFailed = d.uint()
		default:
			d.compactZone(p)
		}
	}
}

// compactZone reads the fields that say where and how much.
func (d *decoder) compactZone(p *Compact) {
	switch string(d.key) {
	case "node", "nid":
		p.Node = d.int32()
		d.seen |= bitNode
	case "zone", "classzone_idx":
		p.Zone = d.text()
		d.seen |= bitZone
	case "order":
		p.Order = d.int32()
		d.seen |= bitCompactOrder
	case "gfp_mask":
		p.GFPMask = d.text()
	case "priority":
		p.Priority = d.int32()
	case "order_failed":
		p.OrderFailed = d.int32()
	case "consider":
		p.Considered = d.uint32()
	case "limit":
		p.Limit = d.uint()
	}
}

// pfnRange reads "(0x1 ~ 0x2)".
func (d *decoder) pfnRange() (start, end uint64) {
	v := d.value
	if len(v) > 2 && v[0] == '(' && v[len(v)-1] == ')' {
		if a, b, ok := bytes.Cut(v[1:len(v)-1], []byte(" ~ ")); ok {
			start, ok1 := ParseUint(a)
			end, ok2 := ParseUint(b)
			if ok1 && ok2 {
				return start, end
			}
		}
	}
	d.fail(v, `"(start ~ end)"`)
	return 0, 0
}

func appendCompactBegin(b []byte, ev *Event) []byte {
	p := &ev.Compact
	b = appendHex(append(b, "zone_start=0x"...), p.ZoneStart)
	b = appendHex(append(b, " migrate_pfn=0x"...), p.MigratePFN)
	b = appendHex(append(b, " free_pfn=0x"...), p.FreePFN)
	b = appendHex(append(b, " zone_end=0x"...), p.ZoneEnd)
	return append(append(b, ", mode="...), p.Mode...)
}

func appendCompactEnd(b []byte, ev *Event) []byte {
	b = append(appendCompactBegin(b, ev), " status="...)
	return append(b, ev.Compact.Status...)
}

func appendCompactIsolate(b []byte, ev *Event) []byte {
	p := &ev.Compact
	b = appendHex(append(b, "range=(0x"...), p.StartPFN)
	b = appendHex(append(b, " ~ 0x"...), p.EndPFN)
	b = appendUint(append(b, ") nr_scanned="...), p.NrScanned)
	return appendUint(append(b, " nr_taken="...), p.NrTaken)
}

func appendCompactMigrate(b []byte, ev *Event) []byte {
	b = appendUint(append(b, "nr_migrated="...), ev.Compact.NrMigrated)
	return appendUint(append(b, " nr_failed="...), ev.Compact.NrFailed)
}

func appendTryToCompact(b []byte, ev *Event) []byte {
	p := &ev.Compact
	b = appendInt(append(b, "order="...), int64(p.Order))
	b = append(append(b, " gfp_mask="...), p.GFPMask...)
	return appendInt(append(b, " priority="...), int64(p.Priority))
}

// appendZoneOrder writes "node=0 zone=Normal   order=9".
func appendZoneOrder(b []byte, p *Compact) []byte {
	b = appendInt(append(b, "node="...), int64(p.Node))
	b = appendPadded(append(b, " zone="...), p.Zone, 8)
	return appendInt(append(b, " order="...), int64(p.Order))
}

// appendPadded writes s and spaces up to width.
func appendPadded(b []byte, s string, width int) []byte {
	b = append(b, s...)
	for n := len(s); n < width; n++ {
		b = append(b, ' ')
	}
	return b
}

func appendCompactSuitable(b []byte, ev *Event) []byte {
	b = append(appendZoneOrder(b, &ev.Compact), " ret="...)
	return append(b, ev.Compact.Status...)
}

func appendCompactDefer(b []byte, ev *Event) []byte {
	p := &ev.Compact
	b = appendInt(append(appendZoneOrder(b, p), " order_failed="...), int64(p.OrderFailed))
	b = appendUint(append(b, " consider="...), uint64(p.Considered))
	return appendUint(append(b, " limit="...), p.Limit)
}

func appendKcompactdSleep(b []byte, ev *Event) []byte {
	return appendInt(append(b, "nid="...), int64(ev.Compact.Node))
}

func appendKcompactdWake(b []byte, ev *Event) []byte {
	b = appendInt(append(appendKcompactdSleep(b, ev), " order="...), int64(ev.Compact.Order))
	return appendPadded(append(b, " classzone_idx="...), ev.Compact.Zone, 8)
}
