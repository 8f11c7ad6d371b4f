package replay

import (
	"bytes"
	"testing/fstest"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// SnapshotOf is the model's lists as a snapshot, with the given number and
// kernel release.
func SnapshotOf(a *buddy.Allocator, seq uint32, kernel string) *trace.Snapshot {
	c := a.Config()
	s := &trace.Snapshot{Seq: seq, Kernel: kernel, PageShift: c.PageShift,
		PageblockOrder: int(c.PageblockOrder), MaxOrder: int(c.MaxOrder), NrPCPLists: buddy.NumPCPLists}
	auto := a.Profile().FreeBatch == buddy.FreeBatchCount
	state := a.State()
	for i := range state.Zones {
		s.Zones = append(s.Zones, snapshotZone(a.Zone(i), &state.Zones[i], &c, auto))
	}
	return s
}

func snapshotZone(z *buddy.Zone, st *buddy.ZoneState, c *buddy.Config, auto bool) trace.SnapshotZone {
	w := z.Watermarks()
	out := trace.SnapshotZone{
		Node: int(z.Node()), Name: z.Type().String(), StartPFN: uint64(z.StartPFN()),
		Spanned: z.Spanned(), Present: z.Present(), Managed: z.Managed(),
		Min: w.Min, Low: w.Low, High: w.High, Promo: w.Promo, Boost: z.WatermarkBoost(),
		LowmemReserve: z.LowmemReserve(), HighAtomic: z.ReservedHighatomic(), AutoHigh: auto,
	}
	for o := range int(c.MaxOrder) {
		for t := range st.Free[o] {
			if len(st.Free[o][t]) > 0 {
				out.Free = append(out.Free, trace.FreeList{Order: o,
					MigrateType: buddy.MigrateType(t).KernelNumber(c.CMA), PFNs: rawPFNs(st.Free[o][t])})
			}
		}
		out.NrFree = append(out.NrFree, z.FreeBlocks(buddy.Order(o)))
	}
	for cpu := range st.PCP {
		p := &st.PCP[cpu]
		sp := trace.SnapshotPCP{CPU: cpu, Count: uint64(p.Count), High: uint64(p.High), Batch: uint64(p.Batch),
			FreeFactor: p.FreeFactor, HighMin: uint64(p.HighMin), HighMax: uint64(p.HighMax),
			Flags: uint64(p.Flags), AllocFactor: p.AllocFactor, Expire: p.Expire, FreeCount: p.FreeCount}
		for l := range p.Lists {
			if len(p.Lists[l]) > 0 {
				sp.Lists = append(sp.Lists, trace.PCPList{PIndex: l, PFNs: rawPFNs(p.Lists[l])})
			}
		}
		out.PCPs = append(out.PCPs, sp)
		out.HighMin, out.HighMax, out.Batch = sp.HighMin, sp.HighMax, sp.Batch
	}
	for _, b := range st.Blocks {
		out.Pageblocks = append(out.Pageblocks, trace.PageblockRun{FirstPFN: uint64(b.First), N: b.N, MigrateType: b.Type.KernelNumber(c.CMA)})
	}
	return out
}

func rawPFNs(in []buddy.PFN) []uint64 {
	out := make([]uint64, len(in))
	for i, p := range in {
		out[i] = uint64(p)
	}
	return out
}

// Recorder writes down what a model does as a capture: snapshots before and
// after, and the trace in between in the kernel's text. [Run] replays it, and
// the tools that read the kernel's traces read the trace.
type Recorder struct {
	a             *buddy.Allocator
	kernel        string
	trace         bytes.Buffer
	w             *trace.Writer
	ev            trace.Event
	before, extra bytes.Buffer
	err           error
}

// NewRecorder takes the first snapshot and installs the allocator's hook.
// kernel is the release to write, which must lead [buddy.ProfileForRelease] to
// the allocator's profile.
func NewRecorder(a *buddy.Allocator, kernel string) *Recorder {
	r := &Recorder{a: a, kernel: kernel}
	_, r.err = SnapshotOf(a, 1, kernel).WriteTo(&r.before)
	if x := extraOf(a, 1); r.err == nil {
		_, r.err = x.WriteTo(&r.extra)
	}
	r.w = trace.NewWriter(&r.trace, trace.FormTracefs)
	r.note(r.w.WriteHeader(trace.Header{CPUs: a.Config().CPUs}))
	r.At(0, 0, "kernsim", 1)
	r.mark(1 | markEnd)
	c := a.Config()
	a.SetHook(func(e buddy.Event) {
		e.Trace(&r.ev, c.CMA, c.PageblockOrder, nil)
		r.note(r.w.Write(&r.ev))
	})
	return r
}

// At says when, in ns, on which CPU and in which task the following events
// happen. Times must not go back.
func (r *Recorder) At(ns uint64, cpu buddy.CPU, comm string, pid int32) {
	r.ev.Time, r.ev.CPU, r.ev.Comm, r.ev.PID, r.ev.TGID = ns, int32(cpu), comm, pid, -1
	r.ev.Flags = trace.FlagsOf(".....")
}

func (r *Recorder) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Recorder) mark(seq uint32) {
	r.ev.Kind, r.ev.Name, r.ev.Args = trace.KindKsnapMark, trace.KindKsnapMark.String(), nil
	r.ev.Probe = trace.Probe{Where: "(ksnap_mark+0x0/0x10 [ksnap])", Seq: seq}
	r.note(r.w.Write(&r.ev))
}

// Finish takes the second snapshot, removes the hook and gives the capture.
func (r *Recorder) Finish(name string) (Capture, error) {
	r.a.SetHook(nil)
	r.mark(2)
	r.note(r.w.Flush())
	var after bytes.Buffer
	if r.err == nil {
		_, r.err = SnapshotOf(r.a, 2, r.kernel).WriteTo(&after)
	}
	if r.err != nil {
		return Capture{}, r.err
	}
	return Capture{Name: name, FS: fstest.MapFS{
		"before.ksnap":       {Data: r.before.Bytes()},
		"before.ksnap_extra": {Data: r.extra.Bytes()},
		"after.ksnap":        {Data: after.Bytes()},
		"trace.txt":          {Data: r.trace.Bytes()},
	}}, nil
}

// extraOf is the zone counters of the model.
func extraOf(a *buddy.Allocator, seq uint32) *trace.SnapshotExtra {
	c := a.Config()
	x := &trace.SnapshotExtra{Seq: seq}
	for t := range buddy.MigrateType(buddy.NumMigrateTypes) {
		if t != buddy.CMA || c.CMA {
			x.MTNames = append(x.MTNames, t.String())
		}
	}
	state := a.State()
	for i := range state.Zones {
		z, st := a.Zone(i), &state.Zones[i]
		e := trace.ExtraZone{Node: int(z.Node()), Name: z.Type().String(), NrFreePages: st.FreePages, NrFreeCMA: st.FreeCMA, CMAPages: z.CMAPages()}
		for cpu := range st.PCP {
			e.CPUs = append(e.CPUs, trace.ExtraCPU{CPU: cpu, FreePagesDiff: int(st.PCP[cpu].FreeDiff),
				FreeCMADiff: int(st.PCP[cpu].CMADiff), StatThreshold: c.Zones[i].StatThreshold})
		}
		x.Zones = append(x.Zones, e)
	}
	return x
}
