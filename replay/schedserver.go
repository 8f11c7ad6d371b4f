package replay

import (
	"math"

	"github.com/kernsim/kernsim/sched"
)

// A CPU's fair server shows only in start_dl_timer and dl_task_timer, on lines
// that name no task. What it has left is not known before the first of them:
// until then the model has one that never runs out.

func (r *schedReplay) seedServers() {
	for cpu := range r.m.CPUs() {
		r.k.SeedServer(sched.CPU(cpu), math.MaxInt64/2, 0)
	}
}

// isServer says that a probe is about the fair server.
func (r *schedReplay) isServer(p *sched.Probe) bool {
	return (p.Point == sched.PointStartDLTimer || p.Point == sched.PointReplenishDL) && p.Task == r.k.Idle(p.CPU)
}

// ofTask says that a line about a deadline entity names a task.
func (r *schedReplay) ofTask(l *schedLine) bool {
	pid := r.t.pid(l, keyPid)
	_, ok := r.taskOf[pid]
	return ok && pid != 0
}

// meetServer takes over the state of a CPU's fair server from the line that
// shows it first; it says false if the server is known already.
func (r *schedReplay) meetServer(l *schedLine) bool {
	cpu := r.cpuOf(l)
	key := statKey{r.k.Idle(cpu), entry(sched.PointUpdateCurrDL)}
	if l.event != entry(sched.PointStartDLTimer) || r.ofTask(l) || r.statKnown[key] {
		return false
	}
	r.statKnown[key] = true
	r.k.SeedServer(cpu, int64(r.t.val(l, keyRt)), r.t.val(l, keyDl))
	return true
}

// serverTimer is the timer of a CPU's fair server. Its line has no clock: that of the
// rescheduling which follows is the same, or else the deadline that the server has
// later tells it.
func (r *schedReplay) serverTimer(i int32, l *schedLine) {
	r.at = r.t.next[i]
	replenished, found := false, false
	for at := r.at; at >= 0 && !found && !r.t.lines[at].event.begins(); at = r.t.next[at] {
		next := &r.t.lines[at]
		replenished = replenished || next.event == entry(sched.PointReplenishDL)
		if found = next.event == entry(sched.PointReschedCurr); found {
			r.setClock(next)
		} else if _, other := r.t.get(next, keyClk); other {
			break
		}
	}
	if replenished && !found {
		r.serverClock(i, r.cpuOf(l))
	}
	r.k.ServerTimer(r.cpuOf(l))
}

// serverClock takes the time at which a server was replenished from the next line that
// shows its deadline, which is a period after it, if it can have been then.
func (r *schedReplay) serverClock(i int32, cpu sched.CPU) {
	now, period := r.m.RunQueue(cpu).Clock, r.m.Deadline(r.k.Idle(cpu)).Period
	for at := r.t.next[i]; at >= 0; at = r.t.next[at] {
		l := &r.t.lines[at]
		if l.event != entry(sched.PointStartDLTimer) && l.event != evDLTaskTimer || r.ofTask(l) {
			continue
		}
		if clk := r.t.val(l, keyDl) - period; clk-now < period {
			r.k.SetClock(cpu, clk, clk)
			r.hint("time of a fair server's replenishment")
		}
		return
	}
}
