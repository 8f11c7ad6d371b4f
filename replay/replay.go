package replay

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/slab"
	"github.com/kernsim/kernsim/trace"
)

// Options choose what a replay does.
type Options struct {
	// Model limits the replay to one model ("pages"); "" or "all" runs all
	// that the capture has data for.
	Model string
	// Progress, if set, is called now and then with the share done, 0 to 1.
	Progress func(share float64)
	// Observe, if set, sees the page allocator at about Samples moments of a
	// page replay, the first before the first request and the last after the
	// last; ns is the trace's time. It must not change the allocator.
	Observe func(ns uint64, a *buddy.Allocator)
	Samples int
	// ObserveObjects, if set, sees the slab allocator after the last event of an
	// object replay. It must not change it.
	ObserveObjects func(a *slab.Allocator)
	// ObserveSched, if set, sees the machine of a scheduler replay after each
	// operation. It must not change it.
	ObserveSched func(m *sched.Machine)
	// calls, if set, are written down there.
	calls *[]PageCall
}

// ErrNothing says that a folder holds nothing that this package can replay.
var ErrNothing = errors.New("nothing to replay: no known capture in the folder")

// ErrModel says that a capture has no data for the model asked for.
var ErrModel = errors.New("no data for this model")

// Run replays what a capture holds: a row for each model. It recognizes a
// folder by its files. The error is [ErrNothing] for an unknown folder, ErrModel if the
// wanted model has no data there, or a reader's typed error.
func Run(ctx context.Context, c Capture, o Options) ([]Result, error) {
	var rows []Result
	known := false
	for _, k := range kinds {
		if !k.has(c) {
			continue
		}
		known = true
		if !k.wanted(o.Model) {
			continue
		}
		row, err := k.run(ctx, c, o)
		if err != nil {
			return rows, err
		}
		rows = append(rows, *row)
	}
	switch {
	case !known:
		return nil, fmt.Errorf("replay: %s: %w", c.Name, ErrNothing)
	case len(rows) == 0:
		return nil, fmt.Errorf("replay: %s: %q: %w", c.Name, o.Model, ErrModel)
	}
	return rows, nil
}

// kind is something that a folder can hold.
type kind struct {
	model string
	has   func(Capture) bool
	run   func(context.Context, Capture, Options) (*Result, error)
}

var kinds = []kind{
	{"pages", hasPages, Pages},
	{"reclaim", hasReclaim, Reclaim},
	{"objects", hasObjects, Objects},
	{"litmus", hasLitmus, Litmus},
	{"sched", hasSched, Sched},
	{"switches", hasSwitches, Switches},
	{"lockdep", hasLockdep, Lockdep},
	{"locks", hasLocks, Locks},
	{"reports", hasReports, Reports},
	{"rcu", hasRCU, RCU},
	{"percpu", hasPerCPU, PerCPU},
	{"oom", hasOOM, OOM},
	{"overcommit", hasOvercommit, Overcommit},
	{"ksize", hasSizes, Sizes},
}

// wanted says whether Options.Model asks for the kind.
func (k *kind) wanted(model string) bool {
	return model == k.model || model == "all" || model == ""
}

// Models lists the models that can be replayed.
func Models() []string {
	var out []string
	for _, k := range kinds {
		out = append(out, k.model)
	}
	return out
}

func hasPages(c Capture) bool {
	return c.Has("before.ksnap") && c.Has("after.ksnap") && c.Has("trace.txt")
}

// Pages replays the page allocator.
func Pages(ctx context.Context, c Capture, o Options) (*Result, error) {
	in, err := loadPageCapture(c)
	if err != nil {
		return nil, err
	}
	return in.replayWith(ctx, o, nil)
}

// pageCapture is a capture's data for the page allocator.
type pageCapture struct {
	name          string
	meta          Meta
	before, after *trace.Snapshot
	config        buddy.Config
	state, end    *buddy.State
	profile       buddy.Profile
	trace         *pageTrace
}

func loadPageCapture(c Capture) (*pageCapture, error) {
	p := &pageCapture{name: c.Name}
	var err error
	if p.meta, err = c.Meta(); err != nil {
		return nil, err
	}
	// Opened first, so that it is decompressed while the snapshots are read.
	r, name, err := c.Open("trace.txt")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := p.readSnapshots(c); err != nil {
		return nil, err
	}
	tr, err := trace.NewReader(r, name)
	if err != nil {
		return nil, err
	}
	if p.trace, err = loadPages(tr, windowOf(p.before, p.after), p.config.CMA); err != nil {
		return nil, err
	}
	p.trace.findPast(&p.config, p.end)
	p.trace.cpuNodes(&p.config)
	return p, nil
}

// readSnapshots reads both snapshots, side by side, and makes the machine and
// its states of them.
func (p *pageCapture) readSnapshots(c Capture) error {
	after := make(chan error, 1)
	go func() {
		var err error
		p.after, err = c.snapshot("after.ksnap")
		after <- err
	}()
	var err error
	p.before, err = c.snapshot("before.ksnap")
	if err := errors.Join(err, <-after); err != nil {
		return err
	}
	extra, err := c.extra("before.ksnap_extra")
	if err != nil {
		return err
	}
	cma := hasCMA(c.text("before.pagetypeinfo")) || extra != nil && slices.Contains(extra.MTNames, "CMA")
	if p.config, p.state, err = machineOf(p.before, extra, cma); err != nil {
		return err
	}
	if _, p.end, err = machineOf(p.after, nil, cma); err != nil {
		return err
	}
	p.profile, err = buddy.ProfileForRelease(p.before.Kernel)
	return err
}

// windowOf says which events lie between two snapshots.
func windowOf(before, after *trace.Snapshot) *window {
	if !before.HasTrigger {
		return &window{marks: true}
	}
	w := &window{cpu: int32(before.CPU), from: before.T0, to: after.T0, firstPFN: before.TriggerPFN, lastPFN: after.TriggerPFN,
		lastOrder: int32(after.TriggerOrder),
		otherFrom: map[int32]uint64{}, otherTo: map[int32]uint64{}}
	for i := range before.Zones {
		for _, p := range before.Zones[i].PCPs {
			w.otherFrom[int32(p.CPU)] = max(w.otherFrom[int32(p.CPU)], orElse(p.TS0, before.T1))
		}
	}
	for i := range after.Zones {
		for _, p := range after.Zones[i].PCPs {
			w.otherTo[int32(p.CPU)] = max(w.otherTo[int32(p.CPU)], orElse(p.TS0, after.T0))
		}
	}
	return w
}

func orElse(a, b uint64) uint64 {
	if a != 0 {
		return a
	}
	return b
}

func (c Capture) snapshot(name string) (*trace.Snapshot, error) {
	r, full, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return trace.ReadSnapshot(r, full)
}

func (c Capture) extra(name string) (*trace.SnapshotExtra, error) {
	if !c.Has(name) {
		return nil, nil
	}
	r, full, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return trace.ReadSnapshotExtra(r, path.Clean(full))
}

// replayWith runs the model; d, if set, compares what reclaim decides.
func (p *pageCapture) replayWith(ctx context.Context, o Options, d *decisions) (*Result, error) {
	a, err := buddy.New(p.config, p.profile)
	if err != nil {
		return nil, fmt.Errorf("replay: %s: %w", p.name, err)
	}
	if err := a.Restore(p.state); err != nil {
		return nil, fmt.Errorf("replay: %s: before.ksnap: %w", p.name, err)
	}
	res := &Result{Capture: p.name, Kernel: first(p.meta.Kernel, p.before.Kernel), Machine: p.meta.Machine, Model: "pages"}
	b := opBuilder{t: p.trace}
	r := &pageReplay{a: a, t: p.trace, ops: b.build(), res: res, ctx: ctx, opts: o, end: p.end,
		tasks: map[int32]buddy.TaskFlags{}, boosts: make([]uint64, a.NumZones()), balancing: map[buddy.NodeID]kswapdRun{}, decisions: d}
	if err := r.run(); err != nil {
		return nil, err
	}
	compareLists(res, p.end, a)
	addCount(&res.Notes, "zones whose watermarks or per-CPU limits were changed meanwhile: when, no event tells", p.retuned())
	if err := a.Check(); err != nil {
		res.differ(0, "at the end: "+err.Error())
		res.count("broken invariants at the end")
	}
	return res, nil
}

// retuned counts the zones that a change of vm.min_free_kbytes or the like has
// given other limits between the snapshots.
func (p *pageCapture) retuned() int {
	n := 0
	for i := range min(len(p.before.Zones), len(p.after.Zones)) {
		b, a := &p.before.Zones[i], &p.after.Zones[i]
		changed := b.Min != a.Min || b.Low != a.Low || b.High != a.High
		for k := range min(len(b.PCPs), len(a.PCPs)) {
			// From 6.7 on the kernel tunes the lists' length by itself.
			changed = changed || !b.AutoHigh && (b.PCPs[k].High != a.PCPs[k].High || b.PCPs[k].Batch != a.PCPs[k].Batch)
		}
		if changed {
			n++
		}
	}
	return n
}
