package replay

import (
	"slices"

	"github.com/kernsim/kernsim/sched"
)

// compareRT compares a CPU's real-time queue, the running task's account and a
// task's time slice, where a line shows them.
func (r *schedReplay) compareRT(l *schedLine, p *sched.Probe) {
	if _, ok := r.t.get(l, keyRtNr); !ok {
		return
	}
	s := r.m.RT(p.CPU)
	known := r.rtKnown[p.CPU]
	r.rtKnown[p.CPU] = true
	got := map[schedKey]uint64{keyRtNr: uint64(s.NrRunning), keyRtTime: s.Time, keyRtRuntime: s.Runtime, keyRtThr: one(s.Throttled)}
	same := true
	for _, k := range rtKeys {
		if known && !r.check(l, k, got[k]) {
			r.adopted++
			same = false
		}
	}
	if _, limited := r.t.get(l, keyRtTime); limited && (!known || !same) {
		s.Time, s.Runtime, s.Throttled = r.t.val(l, keyRtTime), r.t.val(l, keyRtRuntime), r.t.val(l, keyRtThr) != 0
		r.k.SetRT(p.CPU, s)
	}
	if p.Point == sched.PointUpdateCurrRT && p.Task >= 0 && r.m.Task(p.Task).Class == sched.ClassRT {
		r.compareEntity(l, r.m.EntityOf(p.Task), currFields)
	}
	r.compareSlice(l, p.Task)
}

var rtKeys = []schedKey{keyRtNr, keyRtTime, keyRtRuntime, keyRtThr}

func (r *schedReplay) compareSlice(l *schedLine, t sched.TaskID) {
	want, ok := r.t.get(l, keyTs)
	if !ok || t < 0 {
		return
	}
	key := statKey{t, entry(sched.PointTaskTickRT)}
	if (r.statKnown[key] || r.knows(r.m.EntityOf(t), keyNone)) && r.check(l, keyTs, uint64(r.m.TimeSlice(t))) {
		return
	}
	r.statKnown[key] = true
	r.k.SetTimeSlice(t, uint32(want))
}

// Bits of dlf.
const (
	dlThrottled = 1 << iota
	dlYielded
)

// deadlineFields are the fields of a line that describe a deadline task.
type deadlineFields struct{ runtime, deadline, flags schedKey }

func (r *schedReplay) compareDeadline(l *schedLine, t sched.TaskID) {
	flags := keyDlf
	if _, ok := r.t.get(l, keyDlflags); ok {
		flags = keyDlflags
	}
	r.compareDeadlineBy(l, t, deadlineFields{keyRt, keyDl, flags})
	if v, ok := r.t.get(l, keyDlRuntime); ok {
		s := r.m.Deadline(t)
		if s.RuntimeMax == 0 {
			r.setDeadline(t, v, r.t.val(l, keyDlDeadline), r.t.val(l, keyDlPeriod), false)
			return
		}
		r.check(l, keyDlRuntime, s.RuntimeMax)
		r.check(l, keyDlDeadline, s.RelDeadline)
		r.check(l, keyDlPeriod, s.Period)
	}
}

func (r *schedReplay) compareDeadlineCurr(l *schedLine, t sched.TaskID) {
	if r.m.Task(t).Class == sched.ClassDeadline {
		r.compareDeadlineBy(l, t, deadlineFields{keyCrt, keyCdl, keyCdlf})
		r.compareEntity(l, r.m.EntityOf(t), []fieldName{{keyCexec, keyExec}})
	}
}

func (r *schedReplay) compareDeadlineBy(l *schedLine, t sched.TaskID, f deadlineFields) {
	s := r.m.Deadline(t)
	key := statKey{t, entry(sched.PointUpdateCurrDL)}
	known := r.statKnown[key] || r.knows(r.m.EntityOf(t), keyNone)
	r.statKnown[key] = true
	same := known
	if known {
		same = r.check(l, f.runtime, uint64(s.Runtime)) && same
		same = r.check(l, f.deadline, s.Deadline) && same
		if v, ok := r.t.get(l, f.flags); ok {
			r.res.Requests++
			if v&dlThrottled != 0 == s.Throttled && v&dlYielded != 0 == s.Yielded {
				r.res.Exact++
			} else {
				same = false
				r.res.differ(l.line, schedEventText[l.event]+": throttled or yielded differ")
			}
		}
	}
	if same {
		return
	}
	if known {
		r.adopted++
	}
	s.Runtime, s.Deadline = int64(r.t.val(l, f.runtime)), r.t.val(l, f.deadline)
	if v, ok := r.t.get(l, f.flags); ok {
		s.Throttled, s.Yielded = v&dlThrottled != 0, v&dlYielded != 0
	}
	r.k.SetDeadlineState(t, s)
}

// inactive lets the timer of a task's 0-lag time fire, which no event shows, when
// the clock of the task's CPU has come there.
func (r *schedReplay) inactive(id sched.TaskID) {
	if at := r.m.Deadline(id).Inactive; at != 0 && r.m.RunQueue(r.m.Task(id).CPU).Clock >= at {
		r.k.InactiveTimer(id)
	}
}

// setDeadline gives a task deadline parameters.
func (r *schedReplay) setDeadline(id sched.TaskID, runtime, deadline, period uint64, reclaim bool) {
	if !slices.Contains(r.deadlines, id) {
		r.deadlines = append(r.deadlines, id)
	}
	r.k.SetDeadline(id, runtime, deadline, period, reclaim)
}

// chargedAlone is a charge of a running task that only its tracepoint shows: a
// stopper thread's that nobody follows, or a deadline task's where its charge is
// no function of its own.
func (r *schedReplay) chargedAlone(i int32, l *schedLine) {
	cpu := sched.CPU(l.cpu)
	id, ok := r.taskOf[r.t.pid(l, keyPid)]
	if !ok || r.k.Running(cpu) != id {
		r.leftOver(l)
		return
	}
	class := r.m.Task(id).Class
	switch next := r.t.next[i]; {
	case class == sched.ClassStop:
		r.step(l, r.k.PutPrev(cpu))
		return
	case class != sched.ClassDeadline || r.present[entry(sched.PointUpdateCurrDL)]:
		r.leftOver(l)
		return
	default:
		clk := r.m.Entity(r.m.EntityOf(id)).ExecStart + r.t.val(l, keyRuntime)
		r.k.SetClock(cpu, clk, clk)
		switch {
		case next >= 0 && r.t.lines[next].event == entry(sched.PointStartDLTimer) && r.t.val(&r.t.lines[next], keyDlflags)&dlYielded != 0:
			r.step(l, r.k.Yield(cpu))
		case r.picksNext(next):
			r.step(l, r.k.PutPrev(cpu))
		default:
			r.k.UpdateCurrClass(cpu)
			r.hint("time of a running task read from outside")
		}
	}
}
