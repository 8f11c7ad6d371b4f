package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// hasReclaim says that pages were reclaimed during a capture, and traced.
func hasReclaim(c Capture) bool {
	if !hasPages(c) || vmstat(c, "before", "pageoutrun") == vmstat(c, "after", "pageoutrun") && vmstat(c, "before", "pgscan_direct") == vmstat(c, "after", "pgscan_direct") {
		return false
	}
	r, err := c.plain("trace.txt")
	if err != nil {
		return false
	}
	defer r.Close()
	return contains(r, []byte(" mm_vmscan_"))
}

// contains says whether a text is in what a reader gives.
func contains(r io.Reader, text []byte) bool {
	buf := make([]byte, 1<<16)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		if n += kept; bytes.Contains(buf[:n], text) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(buf, buf[max(0, n-len(text)):n])
	}
}

// vmstat gives a row of before.vmstat or after.vmstat.
func vmstat(c Capture, when, row string) (n uint64) {
	for line := range strings.Lines(c.text(when + ".vmstat")) {
		if name, value, ok := strings.Cut(line, " "); ok && name == row {
			_, _ = fmt.Sscan(value, &n)
		}
	}
	return n
}

// Reclaim replays the page allocator and compares, at each event of vmscan, what
// the model's watermarks and free lists decide with what the kernel did. Which
// pages are scanned is the kernel's: no snapshot holds the lists of pages in use.
//
// Requests are decisions:
//
//   - a request wakes kswapd (as it finds no zone above its low watermark and the
//     node is not balanced, or as it boosted a watermark);
//   - none of those that come while kswapd certainly sleeps would have woken it;
//   - a request reclaims itself, because no zone is above its min watermark;
//   - kswapd goes to sleep, because the node is balanced;
//   - a task's reclaim goes on at lower and lower priority, and only while fewer
//     pages than 32 were reclaimed.
//
// Events are the kernel's own counters (/proc/vmstat), which the sums over the
// trace have to be: runs of kswapd, direct reclaims, pages scanned and reclaimed
// by each. They are noted, too.
func Reclaim(ctx context.Context, c Capture, o Options) (*Result, error) {
	in, err := loadPageCapture(c)
	if err != nil {
		return nil, err
	}
	o.Observe, o.calls = nil, nil
	d := &decisions{counts: map[decisionKind]int{}, sessions: map[int32]*session{}, boosted: map[int16]buddy.NodeID{}}
	pages, err := in.replayWith(ctx, o, d)
	if err != nil {
		return nil, err
	}
	res := &d.res
	res.Capture, res.Kernel, res.Machine, res.Model = pages.Capture, pages.Kernel, pages.Machine, "reclaim"
	for _, k := range [...]decisionKind{wakes, leaves, reclaims, sleeps, prioritizes} {
		addCount(&res.Notes, string(k), d.counts[k])
	}
	d.compareCounters(c)
	return res, nil
}

// decisionKind is what was decided.
type decisionKind string

const (
	wakes       decisionKind = "requests that wake kswapd"
	leaves      decisionKind = "requests that leave a sleeping kswapd alone"
	reclaims    decisionKind = "requests that reclaim"
	sleeps      decisionKind = "times that kswapd goes to sleep"
	prioritizes decisionKind = "batches of a task's reclaim at the right priority"
)

// reclaimBatch is SWAP_CLUSTER_MAX: how many pages a task's reclaim wants.
const reclaimBatch = 32

// session is a task's direct reclaim.
type session struct {
	priority  int8
	reclaimed int32
}

// decisions compares what reclaim decided.
type decisions struct {
	res    Result
	counts map[decisionKind]int
	// asleep: kswapd of these nodes certainly sleeps.
	asleep   uint64
	sessions map[int32]*session
	// boosted are the nodes whose kswapd a CPU's last request woke in the model,
	// because it boosted a watermark, until the kernel's event comes.
	boosted map[int16]buddy.NodeID
	// scanned and reclaimed are the sums of kswapd (0) and tasks (1); runs how
	// often each began.
	scanned, reclaimed, runs [2]uint64
}

func (d *decisions) decide(k decisionKind, rec *pageRec, right bool, text string) {
	d.counts[k]++
	d.res.Requests++
	if right {
		d.res.Exact++
		return
	}
	d.res.differ(rec.line, text)
}

// event compares an event of vmscan, before the model follows it.
func (d *decisions) event(r *pageReplay, rec *pageRec) {
	node := buddy.NodeID(rec.n)
	switch rec.kind {
	case trace.KindVmscanWakeupKswapd:
		d.asleep &^= 1 << node
		d.wake(r, rec, node)
	case trace.KindVmscanKswapdWake:
		d.asleep &^= 1 << node
		d.runs[0]++
	case trace.KindVmscanKswapdSleep:
		d.asleep |= 1 << node
		d.decide(sleeps, rec, r.a.Balanced(node, 0, buddy.ZoneMovable), fmt.Sprintf("kswapd sleeps, in the model node %d is not balanced", node))
	case trace.KindVmscanDirectReclaimBegin:
		d.runs[1]++
		q := r.request(rec)
		d.decide(reclaims, rec, r.a.ChooseZone(q) < 0, fmt.Sprintf("order %d %v reclaims, in the model %s lets it through", rec.order, q.GFP, r.zoneName(r.a.ChooseZone(q))))
		d.sessions[rec.pid] = &session{priority: defaultPriority}
	case trace.KindVmscanDirectReclaimEnd:
		d.end(rec)
	case trace.KindVmscanLRUShrinkInactive:
		d.shrink(rec)
	}
}

// defaultPriority is DEF_PRIORITY: 1/4096 of the lists is scanned first.
const defaultPriority = 12

// wake compares a request that woke kswapd.
func (d *decisions) wake(r *pageReplay, rec *pageRec, node buddy.NodeID) {
	q := r.request(rec)
	if q.GFP == 0 {
		at, ok := d.boosted[rec.cpu]
		d.decide(wakes, rec, ok && at == node, "kswapd is woken for a boosted watermark, in the model none was boosted")
		delete(d.boosted, rec.cpu)
		return
	}
	d.decide(wakes, rec, r.a.WakesKswapd(q, node), fmt.Sprintf("order %d %v wakes kswapd, in the model it does not", rec.order, q.GFP))
}

// request compares an allocation, before the model serves it: none wakes a kswapd
// that goes on to sleep.
func (d *decisions) request(r *pageReplay, rec *pageRec) {
	d.missed(rec)
	q := r.request(rec)
	for node := buddy.NodeID(0); d.asleep>>node != 0; node++ {
		if d.asleep>>node&1 != 0 {
			d.decide(leaves, rec, !r.a.WakesKswapd(q, node), fmt.Sprintf("order %d %v leaves kswapd asleep, in the model it wakes it", rec.order, q.GFP))
		}
	}
}

// missed counts a boost for which the model, but not the kernel, woke a kswapd
// that certainly slept.
func (d *decisions) missed(rec *pageRec) {
	if node, ok := d.boosted[rec.cpu]; ok && d.asleep>>node&1 != 0 {
		d.decide(wakes, rec, false, "the model wakes kswapd for a boosted watermark, the kernel does not")
	}
	delete(d.boosted, rec.cpu)
}

// watchBoosts notes which requests wake kswapd because they boosted a watermark.
func (r *pageReplay) watchBoosts() {
	if r.decisions == nil {
		return
	}
	r.a.SetPressure(buddy.Pressure{WakeKswapd: func(node buddy.NodeID, _ buddy.Order, _ buddy.ZoneType, gfp buddy.GFP) {
		if gfp == 0 {
			r.decisions.boosted[r.t.at(r.op.rec).cpu] = node
		}
	}})
}

// shrink compares the priority of a batch of a task's reclaim.
func (d *decisions) shrink(rec *pageRec) {
	s := d.sessions[rec.pid]
	who := 0
	if s != nil {
		who = 1
	}
	d.scanned[who] += rec.pfn
	d.reclaimed[who] += uint64(rec.n)
	if s == nil {
		return
	}
	d.decide(prioritizes, rec, rec.order == s.priority || rec.order < s.priority && s.reclaimed < reclaimBatch,
		fmt.Sprintf("priority %d after %d with %d pages reclaimed", rec.order, s.priority, s.reclaimed))
	s.priority = rec.order
	s.reclaimed += rec.n
}

// end checks a task's sum: what it reclaimed from the lists is in it.
func (d *decisions) end(rec *pageRec) {
	if s := d.sessions[rec.pid]; s != nil && rec.n < s.reclaimed {
		d.res.differ(rec.line, fmt.Sprintf("%d pages reclaimed in all, %d from the lists", rec.n, s.reclaimed))
		d.res.Requests++
	}
	delete(d.sessions, rec.pid)
}

// compareCounters compares the trace's sums with /proc/vmstat.
func (d *decisions) compareCounters(c Capture) {
	stalls := uint64(0)
	for _, zone := range []string{"dma", "dma32", "normal", "movable"} {
		stalls += vmstat(c, "after", "allocstall_"+zone) - vmstat(c, "before", "allocstall_"+zone)
	}
	compare := func(what string, sum, counter uint64) {
		d.res.Events++
		addCount(&d.res.Notes, what, int(sum))
		if sum != counter {
			d.res.differ(0, fmt.Sprintf("%s: %d in the trace, %d in /proc/vmstat", what, sum, counter))
			return
		}
		d.res.EventsExact++
	}
	row := func(name string) uint64 { return vmstat(c, "after", name) - vmstat(c, "before", name) }
	compare("runs of kswapd", d.runs[0], row("pageoutrun"))
	compare("direct reclaims", d.runs[1], stalls)
	compare("pages scanned by kswapd", d.scanned[0], row("pgscan_kswapd"))
	compare("pages scanned by tasks", d.scanned[1], row("pgscan_direct"))
	compare("pages reclaimed by kswapd", d.reclaimed[0], row("pgsteal_kswapd"))
	compare("pages reclaimed by tasks", d.reclaimed[1], row("pgsteal_direct"))
}

// fillReclaim takes the payload of an event of vmscan over.
func (t *pageTrace) fillReclaim(rec *pageRec, ev *trace.Event, gfps map[string]uint16) error {
	x := &ev.Reclaim
	rec.n = x.NID
	switch ev.Kind {
	case trace.KindVmscanWakeupKswapd, trace.KindVmscanDirectReclaimBegin:
		if x.Order < 0 || x.Order >= buddy.MaxOrders {
			return fmt.Errorf("replay: line %d: order %d: want 0 to %d", ev.Line, x.Order, buddy.MaxOrders-1)
		}
		rec.order = int8(x.Order)
		if err := t.setGFP(rec, x.GFPFlags, gfps); err != nil {
			return fmt.Errorf("replay: line %d: %w", ev.Line, err)
		}
	case trace.KindVmscanKswapdWake:
		rec.order = int8(min(max(x.Order, 0), buddy.MaxOrders))
	case trace.KindCompactionSuitable, trace.KindCompactionWakeupKcompactd:
		rec.n = ev.Compact.Node
		rec.order = int8(min(max(ev.Compact.Order, 0), buddy.MaxOrders))
	case trace.KindVmscanDirectReclaimEnd:
		rec.n = int32(min(x.NrReclaimed, 1<<30))
		return nil
	case trace.KindVmscanLRUShrinkInactive:
		rec.n, rec.pfn = int32(min(x.NrReclaimed, 1<<30)), x.NrScanned
		rec.order = int8(min(max(x.Priority, -1), defaultPriority))
		return nil
	}
	if rec.n < 0 || rec.n >= maxNodes {
		return fmt.Errorf("replay: line %d: node %d: want 0 to %d", ev.Line, rec.n, maxNodes-1)
	}
	return nil
}

// maxNodes is how many nodes a mask has.
const maxNodes = 64
