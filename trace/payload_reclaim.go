package trace

import "bytes"

// Fields of the vmscan events, by bit.
const (
	bitNID fieldBits = 1 << iota
	bitReclaimOrder
	bitReclaimGFP
	bitNrReclaimed
	bitNrScanned
	bitNrTaken
	bitReason
	bitShrink
	bitReclaimPFN
)

var reclaimFields = []string{
	"nid", "order", "gfp_flags", "nr_reclaimed", "nr_scanned", "nr_taken", "reason", "shrinker", "pfn",
}

var reclaimPayloads = []kindPayload{
	{KindVmscanKswapdSleep, payload{nil, decodeReclaim, appendKswapdSleep, clearReclaim, bitNID, reclaimFields}},
	{KindVmscanKswapdWake, payload{nil, decodeReclaim, appendKswapdWake, clearReclaim, bitNID | bitReclaimOrder, reclaimFields}},
	{KindVmscanWakeupKswapd, payload{nil, decodeReclaim, appendWakeupKswapd, clearReclaim, bitNID | bitReclaimOrder, reclaimFields}},
	{KindVmscanDirectReclaimBegin, payload{nil, decodeReclaim, appendReclaimBegin, clearReclaim, bitReclaimOrder, reclaimFields}},
	{KindVmscanDirectReclaimEnd, payload{nil, decodeReclaim, appendReclaimEnd, clearReclaim, bitNrReclaimed, reclaimFields}},
	{KindVmscanMemcgReclaimBegin, payload{nil, decodeReclaim, appendReclaimBegin, clearReclaim, bitReclaimOrder, reclaimFields}},
	{KindVmscanMemcgReclaimEnd, payload{nil, decodeReclaim, appendReclaimEnd, clearReclaim, bitNrReclaimed, reclaimFields}},
	{KindVmscanMemcgSoftlimitReclaimBegin, payload{nil, decodeReclaim, appendReclaimBegin, clearReclaim, bitReclaimOrder, reclaimFields}},
	{KindVmscanMemcgSoftlimitReclaimEnd, payload{nil, decodeReclaim, appendReclaimEnd, clearReclaim, bitNrReclaimed, reclaimFields}},
	{KindVmscanNodeReclaimBegin, payload{nil, decodeReclaim, appendWakeupKswapd, clearReclaim, bitNID | bitReclaimOrder, reclaimFields}},
	{KindVmscanNodeReclaimEnd, payload{nil, decodeReclaim, appendReclaimEnd, clearReclaim, bitNrReclaimed, reclaimFields}},
	{KindVmscanLRUIsolate, payload{nil, decodeReclaim, appendLRUIsolate, clearReclaim, bitNrScanned | bitNrTaken, reclaimFields}},
	{KindVmscanLRUShrinkInactive, payload{nil, decodeReclaim, appendShrinkInactive, clearReclaim, bitNID | bitNrScanned | bitNrReclaimed, reclaimFields}},
	{KindVmscanLRUShrinkActive, payload{nil, decodeReclaim, appendShrinkActive, clearReclaim, bitNID | bitNrTaken, reclaimFields}},
	{KindVmscanWriteFolio, payload{nil, decodeWriteFolio, appendWriteFolio, clearWriteFolio, bitReclaimPFN, reclaimFields}},
	{KindVmscanThrottled, payload{nil, decodeReclaim, appendThrottled, clearReclaim, bitNID | bitReason, reclaimFields}},
	{KindShrinkSlabStart, payload{nil, decodeShrinkStart, appendShrinkStart, clearReclaim, bitShrink, reclaimFields}},
	{KindShrinkSlabEnd, payload{nil, decodeShrinkEnd, appendShrinkEnd, clearReclaim, bitShrink, reclaimFields}},
}

func clearReclaim(ev *Event) { ev.Reclaim = Reclaim{} }

func clearWriteFolio(ev *Event) { ev.Reclaim, ev.Page = Reclaim{}, Page{} }

// decodeReclaim reads the fields that the vmscan events share.
func decodeReclaim(d *decoder, ev *Event) {
	p := &ev.Reclaim
	for d.next() {
		switch string(d.key) {
		case "nid":
			p.NID = d.int32()
			d.seen |= bitNID
		case "order":
			p.Order = d.int32()
			d.seen |= bitReclaimOrder
		case "gfp_flags":
			p.GFPFlags = d.text()
		case "priority":
			p.Priority = d.int32()
		case "flags":
			p.Flags = d.text()
		case "reason":
			p.Flags = d.text()
			d.seen |= bitReason
		case "isolate_mode":
			p.IsolateMode, p.HasIsolateMode = d.int32(), true
		case "classzone":
			p.Classzone = d.int32()
		case "lru":
			p.LRU = d.text()
		case "usec_timeout":
			p.UsecTimeout = d.int32()
		case "usect_delayed", "usec_delayed": // the kernel's own misspelling
			p.UsecDelayed = d.int32()
		default:
			d.reclaimPages(p)
		}
	}
}

// reclaimPages reads the numbers of pages.
func (d *decoder) reclaimPages(p *Reclaim) {
	switch string(d.key) {
	case "nr_requested":
		p.NrRequested = d.long()
	case "nr_scanned":
		p.NrScanned = d.long()
		d.seen |= bitNrScanned
	case "nr_skipped":
		p.NrSkipped = d.long()
	case "nr_taken":
		p.NrTaken = d.long()
		d.seen |= bitNrTaken
	case "nr_reclaimed":
		p.NrReclaimed = d.long()
		d.seen |= bitNrReclaimed
	case "nr_dirty":
		p.NrDirty = d.long()
	case "nr_writeback":
		p.NrWriteback = d.long()
	case "nr_congested":
		p.NrCongested = d.long()
	case "nr_immediate":
		p.NrImmediate = d.long()
	case "nr_activate_anon":
		p.NrActivateAnon = d.long()
	case "nr_activate_file":
		p.NrActivateFile = d.long()
	case "nr_ref_keep":
		p.NrRefKeep = d.long()
	case "nr_unmap_fail":
		p.NrUnmapFail = d.long()
	case "nr_active":
		p.NrActive = d.long()
	case "nr_deactivated":
		p.NrDeactivated = d.long()
	case "nr_referenced":
		p.NrReferenced = d.long()
	}
}

// decodeWriteFolio reads mm_vmscan_write_folio.
func decodeWriteFolio(d *decoder, ev *Event) {
	for d.next() {
		switch string(d.key) {
		case "page":
			ev.Page.Address = d.pointer()
		case "pfn":
			ev.Page.PFN, ev.Page.HasPFN = d.uint(), true
			d.seen |= bitReclaimPFN
		case "flags":
			ev.Reclaim.Flags = d.text()
		}
	}
}

// phrase reads a text whose values stand between fixed words: each call takes
// what is before the next words.
type phrase struct {
	d    *decoder
	rest []byte
}

// upTo gives the text before words and goes behind them.
func (p *phrase) upTo(words string) []byte {
	before, after, ok := bytes.Cut(p.rest, []byte(words))
	if !ok {
		p.d.fail(p.rest, "the words "+words)
		return nil
	}
	p.rest = after
	return before
}

// number reads a number up to words.
func (p *phrase) number(words string) int64 {
	return p.parse(p.upTo(words))
}

// last reads the number at the end.
func (p *phrase) last() int64 { return p.parse(p.rest) }

func (p *phrase) parse(text []byte) int64 {
	v, ok := ParseInt(text)
	if !ok {
		p.d.fail(text, "a number")
	}
	return v
}

// shrinker reads "function address: nid: number" with words behind.
func (p *phrase) shrinker(r *Reclaim, words string) {
	head := p.upTo(": nid: ")
	space := bytes.LastIndexByte(head, ' ')
	if space < 0 {
		p.d.fail(head, "a shrinker's function and address")
		return
	}
	ptr, ok := ParsePointer(head[space+1:])
	if !ok {
		p.d.fail(head[space+1:], "a shrinker's address")
	}
	r.Shrinker, r.ShrinkerPtr = p.d.texts.get(head[:space]), ptr
	r.NID = int32(p.number(words))
	p.d.seen |= bitShrink
}

// decodeShrinkStart reads mm_shrink_slab_start.
func decodeShrinkStart(d *decoder, ev *Event) {
	r, p := &ev.Reclaim, phrase{d, d.b}
	p.shrinker(r, " objects to shrink ")
	r.Objects = p.number(" gfp_flags ")
	r.GFPFlags = d.texts.get(p.upTo(" cache items "))
	r.CacheItems = p.number(" delta ")
	r.Delta = p.number(" total_scan ")
	r.TotalScan = p.number(" priority ")
	r.Priority = int32(p.last())
}

// decodeShrinkEnd reads mm_shrink_slab_end.
func decodeShrinkEnd(d *decoder, ev *Event) {
	r, p := &ev.Reclaim, phrase{d, d.b}
	p.shrinker(r, " unused scan count ")
	r.UnusedScan = p.number(" new scan count ")
	r.NewScan = p.number(" total_scan ")
	r.TotalScan = p.number(" last shrinker return val ")
	r.Ret = int32(p.last())
}

func appendKswapdSleep(b []byte, ev *Event) []byte {
	return appendInt(append(b, "nid="...), int64(ev.Reclaim.NID))
}

func appendKswapdWake(b []byte, ev *Event) []byte {
	return appendInt(append(appendKswapdSleep(b, ev), " order="...), int64(ev.Reclaim.Order))
}

func appendWakeupKswapd(b []byte, ev *Event) []byte {
	b = append(appendKswapdWake(b, ev), " gfp_flags="...)
	return append(b, ev.Reclaim.GFPFlags...)
}

func appendReclaimBegin(b []byte, ev *Event) []byte {
	b = appendInt(append(b, "order="...), int64(ev.Reclaim.Order))
	return append(append(b, " gfp_flags="...), ev.Reclaim.GFPFlags...)
}

func appendReclaimEnd(b []byte, ev *Event) []byte {
	return appendUint(append(b, "nr_reclaimed="...), ev.Reclaim.NrReclaimed)
}

func appendLRUIsolate(b []byte, ev *Event) []byte {
	p := &ev.Reclaim
	if p.HasIsolateMode {
		b = append(appendInt(append(b, "isolate_mode="...), int64(p.IsolateMode)), ' ')
	}
	b = appendInt(append(b, "classzone="...), int64(p.Classzone))
	b = appendInt(append(b, " order="...), int64(p.Order))
	b = appendUint(append(b, " nr_requested="...), p.NrRequested)
	b = appendUint(append(b, " nr_scanned="...), p.NrScanned)
	b = appendUint(append(b, " nr_skipped="...), p.NrSkipped)
	b = appendUint(append(b, " nr_taken="...), p.NrTaken)
	return append(append(b, " lru="...), p.LRU...)
}

func appendShrinkInactive(b []byte, ev *Event) []byte {
	p := &ev.Reclaim
	b = appendKswapdSleep(b, ev)
	b = appendInt(append(b, " nr_scanned="...), int64(p.NrScanned))
	b = appendInt(append(b, " nr_reclaimed="...), int64(p.NrReclaimed))
	b = appendInt(append(b, " nr_dirty="...), int64(p.NrDirty))
	b = appendInt(append(b, " nr_writeback="...), int64(p.NrWriteback))
	b = appendInt(append(b, " nr_congested="...), int64(p.NrCongested))
	b = appendInt(append(b, " nr_immediate="...), int64(p.NrImmediate))
	b = appendInt(append(b, " nr_activate_anon="...), int64(p.NrActivateAnon))
	b = appendInt(append(b, " nr_activate_file="...), int64(p.NrActivateFile))
	b = appendInt(append(b, " nr_ref_keep="...), int64(p.NrRefKeep))
	b = appendInt(append(b, " nr_unmap_fail="...), int64(p.NrUnmapFail))
	return appendPriorityFlags(b, p)
}

// appendPriorityFlags writes the end of the lru_shrink events.
func appendPriorityFlags(b []byte, p *Reclaim) []byte {
	b = appendInt(append(b, " priority="...), int64(p.Priority))
	return append(append(b, " flags="...), p.Flags...)
}

func appendShrinkActive(b []byte, ev *Event) []byte {
	p := &ev.Reclaim
	b = appendKswapdSleep(b, ev)
	b = appendInt(append(b, " nr_taken="...), int64(p.NrTaken))
	b = appendInt(append(b, " nr_active="...), int64(p.NrActive))
	b = appendInt(append(b, " nr_deactivated="...), int64(p.NrDeactivated))
	b = appendInt(append(b, " nr_referenced="...), int64(p.NrReferenced))
	return appendPriorityFlags(b, p)
}

func appendWriteFolio(b []byte, ev *Event) []byte {
	b = append(appendPageStart(b, &ev.Page), " flags="...)
	return append(b, ev.Reclaim.Flags...)
}

func appendThrottled(b []byte, ev *Event) []byte {
	p := &ev.Reclaim
	b = appendKswapdSleep(b, ev)
	b = appendInt(append(b, " usec_timeout="...), int64(p.UsecTimeout))
	b = appendInt(append(b, " usect_delayed="...), int64(p.UsecDelayed))
	return append(append(b, " reason="...), p.Flags...)
}

// appendShrinker writes the start of the shrink_slab events.
func appendShrinker(b []byte, p *Reclaim) []byte {
	b = append(append(b, p.Shrinker...), ' ')
	b = appendPointer(b, p.ShrinkerPtr)
	return appendInt(append(b, ": nid: "...), int64(p.NID))
}

func appendShrinkStart(b []byte, ev *Event) []byte {
	p := &ev.Reclaim
	b = appendInt(append(appendShrinker(b, p), " objects to shrink "...), p.Objects)
	b = append(append(b, " gfp_flags "...), p.GFPFlags...)
	b = appendInt(append(b, " cache items "...), p.CacheItems)
	b = appendInt(append(b, " delta "...), p.Delta)
	b = appendInt(append(b, " total_scan "...), p.TotalScan)
	return appendInt(append(b, " priority "...), int64(p.Priority))
}

func appendShrinkEnd(b []byte, ev *Event) []byte {
	p := &ev.Reclaim
	b = appendInt(append(appendShrinker(b, p), " unused scan count "...), p.UnusedScan)
	b = appendInt(append(b, " new scan count "...), p.NewScan)
	b = appendInt(append(b, " total_scan "...), p.TotalScan)
	return appendInt(append(b, " last shrinker return val "...), int64(p.Ret))
}
