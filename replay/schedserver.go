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

// serverTimer is the timer of a CPU's fair server.
func (r *schedReplay) serverTimer(i int32, l *schedLine) {
	r.at = r.t.next[i]
	r.k.ServerTimer(r.cpuOf(l))
}
