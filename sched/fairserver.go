package sched

// The fair server: a deadline reservation that each CPU has for its fair tasks,
// so that real-time tasks cannot starve them (fair_server). Fair tasks use up
// its runtime whenever they run. If they do not get it by themselves, a timer
// at the last moment (deadline - runtime) puts the server into the deadline
// queue, and when it is picked a fair task runs:
//
//	init --start--> waiting (throttled, deferArmed) --timer--> running (queued, deferRunning)
//	waiting --runtime used up--> waiting, for the next period
//	running --runtime used up--> throttled until the next period --timer--> running
//	running --no fair task--> init
//
// The server's dlEntity is that of the CPU's idle task, which is never in the
// deadline class itself.

const (
	serverRuntime = 50 * msec
	serverPeriod  = sec
	// A deferred activation is put off again only for more than this.
	serverMinRest = 1 * msec
)

func (m *Machine) server(rq *runQueue) *dlEntity { return &m.tasks[rq.idle].dl }

// serverStart activates the server when the CPU gets its first fair task
// (dl_server_start).
func (m *Machine) serverStart(rq *runQueue) {
	d := m.server(rq)
	if !d.server {
		m.serverInit(rq)
		m.serverPeriod(rq)
	}
	if d.active {
		return
	}
	d.active = true
	m.serverEnqueue(rq, EnqueueWakeup)
	if curr := &m.tasks[rq.curr]; curr.class != ClassDeadline || before(d.deadline, curr.dl.deadline) {
		m.resched(rq)
	}
}

func (m *Machine) serverInit(rq *runQueue) {
	d := m.server(rq)
	d.server = true
	d.dlRuntime, d.dlDeadline, d.dlPeriod = serverRuntime, serverPeriod, serverPeriod
	d.bw, d.density = ratio(d.dlPeriod, d.dlRuntime), ratio(d.dlDeadline, d.dlRuntime)
	rq.dl.thisBW += d.bw
}

// serverStop deactivates the server; what it has left it keeps
// (dl_server_stop).
func (m *Machine) serverStop(rq *runQueue) {
	d := m.server(rq)
	if !d.active {
		return
	}
	m.dlUnlink(rq, rq.idle)
	m.dlNonContending(rq, rq.idle)
	d.timer, d.deferArmed, d.throttled, d.active = 0, false, false, false
}

// serverPeriod begins a period now, in which the server waits unless the fair
// tasks are known to starve (replenish_dl_new_period).
func (m *Machine) serverPeriod(rq *runQueue) {
	d := m.server(rq)
	d.deadline, d.runtime = rq.clock+d.dlDeadline, int64(d.dlRuntime)
	if !d.deferRunning {
		d.throttled, d.deferArmed = true, true
	}
}

// serverEnqueue lets the server wait for its timer, or puts it into the queue
// if that moment has passed (enqueue_dl_entity).
func (m *Machine) serverEnqueue(rq *runQueue, flags int) {
	d := m.server(rq)
	if flags&EnqueueReplenish != 0 {
		m.serverReplenish(rq)
	} else {
		m.dlContending(rq, rq.idle, flags)
		m.serverWake(rq)
	}
	if d.throttled {
		if m.dlStartTimer(rq, rq.idle) {
			return
		}
		d.timer, d.deferArmed, d.throttled = 0, false, false
	}
	m.dlNodes[rq.idle].key = d.deadline
	rq.dl.tree.insert(m.dlNodes, int32(rq.idle))
	rq.dl.nrRunning++
	m.dlRunnable++
	rq.nrRunning++
	m.dlCame(rq, d.deadline)
}

// serverWake gives a server that starts a new period, unless the old one can
// go on (update_dl_entity).
func (m *Machine) serverWake(rq *runQueue) {
	d := m.server(rq)
	late := before(d.deadline, rq.clock)
	switch {
	case !late && !m.dlOverflow(rq, rq.idle):
		if !d.deferRunning {
			d.deferArmed, d.throttled = true, true
		}
	case !late && d.deferRunning:
		d.runtime = int64(d.density * (d.deadline - rq.clock) >> bwShift)
	default:
		d.deferRunning = false
		m.serverPeriod(rq)
	}
}

// serverReplenish gives the server its runtime back (replenish_dl_entity).
func (m *Machine) serverReplenish(rq *runQueue) {
	m.probeTask(PointReplenishDL, rq, rq.idle, 0)
	d := m.server(rq)
	if d.deferArmed && m.dlOverflow(rq, rq.idle) {
		d.deadline, d.runtime = rq.clock+d.dlDeadline, int64(d.dlRuntime)
	}
	for n := 0; d.runtime <= 0 && n < maxReplenish; n++ {
		d.deadline += d.dlPeriod
		d.runtime += int64(d.dlRuntime)
	}
	if before(d.deadline, rq.clock) {
		m.serverPeriod(rq)
	}
	d.throttled = false
	if d.deferArmed {
		d.deferArmed = false
		return
	}
	if !d.deferRunning && before(rq.clock, d.deadline-uint64(d.runtime)) {
		d.deferArmed, d.throttled = true, true
		if !m.dlStartTimer(rq, rq.idle) {
			d.timer, d.deferArmed, d.throttled = 0, false, false
		}
	}
}

// serverUpdate charges the server what a fair task ran (dl_server_update).
func (m *Machine) serverUpdate(rq *runQueue, delta uint64) {
	d := m.server(rq)
	if !d.active {
		return
	}
	d.runtime -= int64(delta)
	switch {
	case d.runtime > 0:
	case d.throttled:
		// Fair tasks had their part without it.
		d.deferRunning, d.timer = false, 0
		m.serverPeriod(rq)
		m.dlStartTimer(rq, rq.idle)
	default:
		d.throttled = true
		m.dlUnlink(rq, rq.idle)
		if !m.dlStartTimer(rq, rq.idle) {
			m.serverEnqueue(rq, EnqueueReplenish)
		}
		if rq.dl.first() != rq.idle {
			m.resched(rq)
		}
	}
}

// serverIdle charges the server for time that the CPU was idle: nobody kept
// fair tasks from running (dl_server_update_idle_time).
func (m *Machine) serverIdle(rq *runQueue) {
	d, se := m.server(rq), &m.ents[m.tasks[rq.curr].se]
	delta := int64(rq.clockTask - se.execStart)
	if !d.server || d.runtime < 0 || delta < 0 {
		return
	}
	if d.runtime -= delta; d.runtime < 0 {
		d.deferRunning = false
		d.runtime = 0
	}
	se.execStart = rq.clockTask
}

// serverTimer is the server's timer (dl_server_timer).
func (m *Machine) serverTimer(rq *runQueue) {
	d := m.server(rq)
	d.timer = 0
	if !d.throttled {
		return
	}
	if d.deferArmed {
		last := d.deadline - uint64(d.runtime)
		if before(rq.clock, last-serverMinRest) {
			d.timer = last
			m.want(timerDL, int32(rq.idle))
			return
		}
		d.deferRunning = true
	}
	m.serverEnqueue(rq, EnqueueReplenish)
	if curr := &m.tasks[rq.curr]; curr.class != ClassDeadline || before(d.deadline, curr.dl.deadline) {
		m.resched(rq)
	}
}

// serverPick is the fair task that runs for the server, NoTask if there is
// none: then the server stops.
func (m *Machine) serverPick(rq *runQueue) TaskID {
	e, ok := m.fair.(*eevdf)
	if ok {
		if t := e.pickTask(rq); t >= 0 {
			return t
		}
	}
	m.serverStop(rq)
	return NoTask
}
