package replay

import (
	"fmt"

	"github.com/kernsim/kernsim/sched"
)

// fieldSet is a set of schedKeys below 64.
type fieldSet uint64

func (s fieldSet) has(k schedKey) bool { return s>>k&1 != 0 }
func bit(k schedKey) fieldSet          { return 1 << k }

const allFields = ^fieldSet(0)

func (r *schedReplay) know(id sched.EntityID, f fieldSet) {
	for int(id) >= len(r.knownE) {
		r.knownE = append(r.knownE, 0)
	}
	r.knownE[id] |= f
}

func (r *schedReplay) knows(id sched.EntityID, k schedKey) bool {
	return int(id) < len(r.knownE) && r.knownE[id].has(k)
}

// lookAhead is how many lines a function may be away from where the model
// enters it.
const lookAhead = 12

// nextIs moves to the next line of the CPU at work that can be the one that the
// model has reached; it is nil if there is none near.
func (r *schedReplay) nextIs(e schedEvent, fits func(*schedLine) bool) *schedLine {
	skipped := 0
	r.ended = false
	at := r.at
	for ; at >= 0 && skipped < lookAhead; at = r.t.next[at] {
		l := &r.t.lines[at]
		switch {
		case l.consumed || l.event.passive():
			continue
		case l.event == e && fits(l):
			r.leaveOut(at)
			l.consumed = true
			r.at = at
			return l
		case l.event.begins() && at != r.at:
			return nil
		}
		skipped++
	}
	r.ended = at < 0 && skipped == 0
	return nil
}

// afterEnd counts what the model does of an operation that the end of the trace
// cuts off; it says whether that is so.
func (r *schedReplay) afterEnd() bool {
	if r.ended {
		r.res.count("steps of the model after the end of the trace")
	}
	return r.ended
}

// leaveOut counts the lines up to at, that the model passed over.
func (r *schedReplay) leaveOut(at int32) {
	for i := r.at; i != at && i >= 0; i = r.t.next[i] {
		if l := &r.t.lines[i]; !l.consumed && !l.event.passive() {
			l.consumed = true
			if l.event >= evStatWait && l.event <= evStatIowait {
				r.unseenStat(l)
				continue
			}
			r.leftOver(l)
		}
	}
}

// passive says that an event tells nothing that the model does.
func (e schedEvent) passive() bool { return e == evWakeupNew || e == evProcessExit || e == evRefill }

// begins says that an event always begins an operation of its own.
func (e schedEvent) begins() bool {
	switch e {
	case evSwitch, entry(sched.PointTaskTickFair), entry(sched.PointEnqueueTaskFair), entry(sched.PointDequeueTaskFair),
		entry(sched.PointPickNextTaskFair), entry(sched.PointTaskForkFair), evSetUserNice, evSetsched, evSetTaskCPU,
		entry(sched.PointEnqueueTaskRT), entry(sched.PointDequeueTaskRT), entry(sched.PointTaskTickRT), entry(sched.PointTaskTickDL),
		entry(sched.PointEnqueueTaskDL), entry(sched.PointDequeueTaskDL), evPeriodTimer, evRTPeriodTimer, evDLTaskTimer, evRTMutexSetprio:
		return true
	}
	return false
}

// onProbe is called when the model enters (or leaves) a function: the trace's
// next line must be that one.
func (r *schedReplay) onProbe(p *sched.Probe) {
	e := entry(p.Point)
	if p.Return {
		e = leave(p.Point)
	}
	if !r.present[e] {
		return
	}
	l := r.nextIs(e, func(l *schedLine) bool { return r.fits(l, p) })
	if l == nil {
		if !r.afterEnd() {
			r.absent(e, p)
		}
		return
	}
	r.setClock(l)
	r.res.Requests++
	r.res.Exact++
	if p.Queue >= 0 {
		r.compareRunning(l, p.Queue)
		if p.Entity >= 0 && describes(p) {
			r.compareEntity(l, p.Entity, entityFields)
		}
		// The queue comes last: its sums follow what was taken over of its
		// entities.
		r.compareQueue(l, p.Queue)
	}
	if p.Queue < 0 {
		r.compareTask(l, p)
	}
	r.compareArgs(l, p)
}

// fits says that a line is about the queue and entity (or task) of a probe.
func (r *schedReplay) fits(l *schedLine, p *sched.Probe) bool {
	if addr, ok := r.t.get(l, keyCFS); ok && p.Queue >= 0 && r.queueOf[addr] != p.Queue {
		return false
	}
	if addr, ok := r.t.get(l, keySe); ok && p.Entity >= 0 && describes(p) {
		id, known := r.entityIn(l, addr)
		return !known || id == p.Entity
	}
	if r.isServer(p) {
		return !r.ofTask(l)
	}
	if pid, ok := r.t.get(l, keyPid); ok && p.Queue < 0 && p.Task >= 0 {
		return r.taskOf[int32(pid)] == p.Task
	}
	return true
}

// describes says that a probe's entity is the one that its line describes,
// and not one that may differ from the kernel's.
func describes(p *sched.Probe) bool {
	switch p.Point {
	case sched.PointUpdateCurr, sched.PointPickNextEntity, sched.PointPickEEVDF:
		return false
	}
	return true
}

// entityIn finds the entity of a line that describes one.
func (r *schedReplay) entityIn(l *schedLine, addr uint64) (sched.EntityID, bool) {
	if myq := r.t.val(l, keyMyq); myq != 0 {
		if _, ok := r.queueOf[myq]; !ok {
			return sched.None, false
		}
		id := r.entityOfQueue(myq)
		return id, id >= 0
	}
	t, ok := r.taskOf[r.t.pid(l, keyPid)]
	if !ok {
		return sched.None, false
	}
	id := r.m.EntityOf(t)
	r.entityAt[addr] = id
	return id, true
}

// absent counts a function that the model entered and the kernel did not.
func (r *schedReplay) absent(e schedEvent, p *sched.Probe) {
	r.res.Requests++
	line := int32(0)
	if r.at >= 0 {
		line = r.t.lines[r.at].line
	}
	who := ""
	if p.Task >= 0 {
		who = fmt.Sprintf(" (pid %d)", r.m.Task(p.Task).PID)
	}
	r.res.differ(line, "the model entered "+schedEventText[e]+who+", the kernel did not")
}

// onTrace is called at the model's tracepoints.
func (r *schedReplay) onTrace(ev *sched.TraceEvent) {
	e, ok := traceEvents[ev.Kind]
	if !ok || !r.present[e] {
		return
	}
	pid := r.m.Task(ev.Task).PID
	l := r.nextIs(e, func(l *schedLine) bool { return r.t.pid(l, keyPid) == pid })
	if l == nil && r.afterEnd() {
		return
	}
	if l == nil {
		r.res.Requests++
		r.res.differ(0, fmt.Sprintf("the model passed %s of pid %d, the kernel did not", schedEventText[e], pid))
		return
	}
	if e == evStatRuntime {
		r.check(l, keyRuntime, ev.Delta)
		if _, ok := r.t.get(l, keyVruntime); ok {
			r.check(l, keyVruntime, ev.Vrun)
		}
		return
	}
	r.statKnown[statKey{ev.Task, e}] = true
	r.check(l, keyDelay, ev.Delta)
}

var traceEvents = map[sched.TraceKind]schedEvent{
	sched.TraceStatRuntime: evStatRuntime, sched.TraceStatWait: evStatWait, sched.TraceStatSleep: evStatSleep,
	sched.TraceStatBlocked: evStatBlocked, sched.TraceStatIowait: evStatIowait,
}

// check compares a value and says whether it is the same.
func (r *schedReplay) check(l *schedLine, k schedKey, got uint64) bool {
	want, ok := r.t.get(l, k)
	if !ok {
		return true
	}
	r.res.Requests++
	if got == want {
		r.res.Exact++
		return true
	}
	r.res.differ(l.line, fmt.Sprintf("%s: %s is %d, the model has %d", schedEventText[l.event], schedKeyText[k], int64(want), int64(got)))
	return false
}

// queueFields are the fields of a line that describe its queue; the model knows
// them from the queue's first sight on.
var queueFields = []schedKey{keyNr, keyLoad, keyMv, keyAvr, keyAvl, keyRem, keyBrt}

// compareQueue compares a queue's numbers with a line.
func (r *schedReplay) compareQueue(l *schedLine, id sched.QueueID) {
	known := &r.knownQ[id]
	q := r.m.Queue(id)
	changed := false
	for _, k := range queueFields {
		want, ok := r.t.get(l, k)
		if !ok {
			continue
		}
		v := queueField(&q, k)
		switch {
		case !known.has(k):
			*known |= bit(k)
			if *v != want {
				if k == keyNr {
					q.HNrRunning += uint32(want) - q.NrRunning
				}
				changed = true
			}
		case !r.check(l, k, *v):
			changed = true
			r.adopted++
		}
		*v = want
		setQueueField(&q, k, want)
	}
	if changed {
		r.k.SetQueue(id, q)
	}
}

// compareRunning compares a queue's running entity, buddies and first entity
// with a line.
func (r *schedReplay) compareRunning(l *schedLine, id sched.QueueID) {
	for int(id) >= len(r.knownQ) {
		r.knownQ = append(r.knownQ, 0)
	}
	q := r.m.Queue(id)
	if r.comparePointers(l, id, &q) {
		r.k.SetQueue(id, q)
	}
	if q.Curr >= 0 && r.t.val(l, keyCurr) != 0 {
		r.compareEntity(l, q.Curr, currFields)
	}
}

// queueField is a copy of a queue's field.
func queueField(q *sched.QueueState, k schedKey) *uint64 {
	var v uint64
	switch k {
	case keyNr:
		v = uint64(q.NrRunning)
	case keyLoad:
		v = q.Weight
	case keyMv:
		v = q.MinVruntime
	case keyAvr:
		v = uint64(q.AvgVruntime)
	case keyAvl:
		v = q.AvgLoad
	case keyRem:
		v = uint64(q.RuntimeRemaining)
	case keyBrt:
		v = q.PoolRuntime
	}
	return &v
}

func setQueueField(q *sched.QueueState, k schedKey, v uint64) {
	switch k {
	case keyNr:
		q.NrRunning = uint32(v)
	case keyLoad:
		q.Weight = v
	case keyMv:
		q.MinVruntime = v
	case keyAvr:
		q.AvgVruntime = int64(v)
	case keyAvl:
		q.AvgLoad = v
	case keyRem:
		q.RuntimeRemaining = int64(v)
	case keyBrt:
		q.PoolRuntime = v
	}
}

// pointers are the fields that hold an entity's address.
var pointers = []schedKey{keyCurr, keyNext, keyLast, keySkip, keyLm}

// nodeOffset is where an entity's tree node lies in it (run_node).
const nodeOffset = 16

// comparePointers compares the running entity, the buddies and the first of the
// tree; it says whether q was changed.
func (r *schedReplay) comparePointers(l *schedLine, id sched.QueueID, q *sched.QueueState) bool {
	changed := false
	for _, k := range pointers {
		addr, ok := r.t.get(l, k)
		if !ok {
			continue
		}
		if k == keyLm && addr != 0 {
			addr -= nodeOffset
		}
		want := sched.EntityID(sched.None)
		if addr != 0 {
			if want, ok = r.lookup(l, k, addr); !ok {
				r.res.count("entity that no event shows")
				continue
			}
		}
		got := pointer(q, k)
		first := !r.knownQ[id].has(k)
		r.knownQ[id] |= bit(k)
		switch {
		case first && k != keyLm:
		case r.checkEntity(l, k, *got, want):
			continue
		case k == keyLm:
			continue
		default:
			r.adopted++
		}
		if in, _, _ := r.m.Where(want); want >= 0 && in != id {
			continue // broken lines: the model has it in another queue
		}
		changed = changed || *got != want
		*got = want
	}
	return changed
}

// lookup finds the entity at an address; a line that describes its running
// entity tells which that is.
func (r *schedReplay) lookup(l *schedLine, k schedKey, addr uint64) (sched.EntityID, bool) {
	if _, ok := r.t.get(l, keyCpid); ok && k == keyCurr {
		if myq := r.t.val(l, keyCmyq); myq != 0 {
			if _, ok := r.queueOf[myq]; ok {
				id := r.entityOfQueue(myq)
				return id, id >= 0
			}
		} else if t, ok := r.taskOf[r.t.pid(l, keyCpid)]; ok {
			r.entityAt[addr] = r.m.EntityOf(t)
			return r.m.EntityOf(t), true
		}
	}
	id, ok := r.entityAt[addr]
	return id, ok
}

func pointer(q *sched.QueueState, k schedKey) *sched.EntityID {
	switch k {
	case keyCurr:
		return &q.Curr
	case keyNext:
		return &q.Next
	case keyLast:
		return &q.Last
	case keySkip:
		return &q.Skip
	}
	return &q.First
}

func (r *schedReplay) checkEntity(l *schedLine, k schedKey, got, want sched.EntityID) bool {
	r.res.Requests++
	if got == want {
		r.res.Exact++
		return true
	}
	r.res.differ(l.line, fmt.Sprintf("%s: %s is %s, the model has %s", schedEventText[l.event], schedKeyText[k], r.nameOf(want), r.nameOf(got)))
	return false
}

func (r *schedReplay) nameOf(id sched.EntityID) string {
	if id < 0 {
		return "none"
	}
	_, of, t := r.m.Where(id)
	if t >= 0 {
		return fmt.Sprintf("pid %d", r.m.Task(t).PID)
	}
	return fmt.Sprintf("group queue %d", of)
}

// fieldName pairs a field of a line with the entity's field that it shows,
// which is named by the key of the entity's own lines.
type fieldName struct{ line, own schedKey }

var (
	entityFields = []fieldName{{keyW, keyW}, {keyVr, keyVr}, {keyOnRQ, keyOnRQ}, {keyExec, keyExec}, {keySum, keySum},
		{keyDl, keyDl}, {keyVlag, keyVlag}, {keySl, keySl}, {keyDly, keyDly}, {keyRel, keyRel}}
	currFields = []fieldName{{keyCw, keyW}, {keyCvr, keyVr}, {keyCon, keyOnRQ}, {keyCexec, keyExec}, {keyCsum, keySum}, {keyCpsum, keyCpsum},
		{keyCdl, keyDl}, {keyCvlag, keyVlag}, {keyCsl, keySl}}
	taskEntityFields = []fieldName{{keyVr, keyVr}, {keyW, keyW}}
)

// compareEntity compares an entity with those fields of a line that show it.
func (r *schedReplay) compareEntity(l *schedLine, id sched.EntityID, fields []fieldName) {
	s := r.m.Entity(id)
	changed := false
	for _, f := range fields {
		want, ok := r.t.get(l, f.line)
		if !ok {
			continue
		}
		got := entityField(&s, f.own)
		switch {
		case !r.knows(id, f.own):
			r.know(id, bit(f.own))
		case r.check(l, f.line, got):
			continue
		default:
			r.adopted++
		}
		if got != want {
			changed = true
			setEntityField(&s, f.own, want)
		}
	}
	if changed {
		r.setEntity(id, s)
	}
}

// setEntity takes an entity's state over. A slice that is not the machine's was
// asked for.
func (r *schedReplay) setEntity(id sched.EntityID, s sched.EntityState) {
	s.CustomSlice = s.CustomSlice || s.Slice != 0 && s.Slice != r.m.Tunables().BaseSliceNS
	r.k.SetEntity(id, s)
}

// takeEntity takes over all that a line shows of an entity, at its first sight.
func (r *schedReplay) takeEntity(id sched.EntityID, l *schedLine, _ bool) {
	fields := currFields
	if _, ok := r.t.get(l, keySe); ok {
		if at, ok := r.entityIn(l, r.t.val(l, keySe)); ok && at == id {
			fields = entityFields
		}
	}
	s := r.m.Entity(id)
	for _, f := range fields {
		if want, ok := r.t.get(l, f.line); ok {
			r.know(id, bit(f.own))
			setEntityField(&s, f.own, want)
		}
	}
	r.setEntity(id, s)
}

func entityField(s *sched.EntityState, k schedKey) uint64 {
	switch k {
	case keyW:
		return s.Weight
	case keyVr:
		return s.Vruntime
	case keyOnRQ:
		return one(s.OnRQ)
	case keyExec:
		return s.ExecStart
	case keySum:
		return s.SumExec
	case keyCpsum:
		return s.PrevSum
	case keyDl:
		return s.Deadline
	case keyVlag:
		return uint64(s.Lag)
	case keySl:
		return s.Slice
	case keyDly:
		return one(s.Delayed)
	}
	return one(s.RelDeadline)
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func setEntityField(s *sched.EntityState, k schedKey, v uint64) {
	switch k {
	case keyW:
		s.Weight = v
	case keyVr:
		s.Vruntime = v
	case keyExec:
		s.ExecStart = v
	case keySum:
		s.SumExec = v
	case keyCpsum:
		s.PrevSum = v
	case keyDl:
		s.Deadline = v
	case keyVlag:
		s.Lag = int64(v)
	case keySl:
		s.Slice = v
	case keyDly:
		s.Delayed = v != 0
	case keyRel:
		s.RelDeadline = v != 0
	}
}

// compareTask compares what a line shows of a run queue and a task.
func (r *schedReplay) compareTask(l *schedLine, p *sched.Probe) {
	r.check(l, keyRnr, uint64(r.m.RunQueue(p.CPU).NrRunning))
	r.compareRT(l, p)
	if p.Task < 0 {
		return
	}
	if _, ok := r.t.get(l, keyRt); ok {
		r.compareDeadline(l, p.Task)
	}
	if _, ok := r.t.get(l, keyCdl); ok {
		r.compareDeadlineCurr(l, p.Task)
	}
	if _, ok := r.t.get(l, keyVr); ok && r.m.Task(p.Task).Class == sched.ClassFair {
		r.compareEntity(l, r.m.EntityOf(p.Task), taskEntityFields)
	}
}

// compareArgs compares a function's arguments.
func (r *schedReplay) compareArgs(l *schedLine, p *sched.Probe) {
	switch p.Point {
	case sched.PointReweightEntity:
		r.compareWeight(l, p)
	case sched.PointAccountRuntime:
		r.check(l, keyDelta, p.Value)
	case sched.PointThrottle:
		q := r.m.Queue(p.Queue)
		r.check(l, keyQuota, q.PoolQuota)
		r.check(l, keyPeriod, q.PoolPeriod)
	case sched.PointDistribute:
		r.check(l, keyRuntime, p.Value)
	case sched.PointUpdateLoadAvgSE, sched.PointUpdateLoadAvgCFS:
		r.compareLoad(l, p)
	case sched.PointPlaceEntity:
		if p.Return {
			return
		}
		r.check(l, keyInitial, uint64(p.Flags))
	case sched.PointDequeueEntity:
		if p.Return {
			r.check(l, keyRet, uint64(p.Flags))
		} else {
			r.check(l, keyFlags, uint64(p.Flags))
		}
	case sched.PointEnqueueEntity, sched.PointDequeueEntities:
		if !p.Return {
			r.check(l, keyFlags, uint64(p.Flags))
		}
	case sched.PointPickEEVDF:
		if p.Return {
			r.comparePick(l, p.Entity)
		}
	case sched.PointPickNextEntity:
		if addr, ok := r.t.get(l, keyAcurr); ok {
			if want, known := r.lookup(l, keyAcurr, addr); addr == 0 || known {
				if addr == 0 {
					want = sched.None
				}
				r.checkEntity(l, keyAcurr, p.Entity, want)
			}
		}
	}
}

// compareWeight compares the weight that an entity is given. On several CPUs a
// group's depends on loads on all of them, which only load tracking tells: then
// it is taken from the trace.
func (r *schedReplay) compareWeight(l *schedLine, p *sched.Probe) {
	if w, ok := r.t.get(l, keyWeight); ok && r.t.val(l, keyMyq) != 0 && r.m.CPUs() > 1 && !r.tracksLoad() {
		r.hint("weight of a group on one of several CPUs")
		p.Value = w
		return
	}
	if w := r.t.val(l, keyWeight); w != p.Value && r.t.val(l, keyMyq) != 0 && r.m.CPUs() == 1 {
		// It was set while no event could show it: the group was empty or
		// throttled.
		g := r.groupOf[r.t.val(l, keyMyq)]
		r.setIdle(g, w)
		r.k.SetShares(g, w)
		r.hint("a group's weight set")
		p.Value = w
	}
	if r.check(l, keyWeight, p.Value) {
		return
	}
	p.Value = r.t.val(l, keyWeight)
	r.adopted++
}

// comparePick compares the entity that pick_eevdf chose, and if it is the same
// one what the line shows of it.
func (r *schedReplay) comparePick(l *schedLine, got sched.EntityID) {
	addr := r.t.val(l, keySe)
	want, ok := sched.EntityID(sched.None), true
	if addr != 0 {
		want, ok = r.entityIn(l, addr)
	}
	if !ok {
		r.res.count("entity that no event shows")
		return
	}
	if r.checkEntity(l, keySe, got, want) && got >= 0 {
		r.compareEntity(l, got, entityFields)
	}
}
