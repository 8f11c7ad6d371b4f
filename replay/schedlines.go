package replay

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/trace"
)

// schedKey is the name of a field of a scheduler probe.
type schedKey uint8

const (
	keyNone schedKey = iota
	keyCFS
	keyNr
	keyLoad
	keyMv
	keyClk
	keyCurr
	keyAvr
	keyAvl
	keyCvr
	keyCexec
	keyCsum
	keyCpsum
	keyCw
	keyCpid
	keyCmyq
	keyCon
	keyCdl
	keyCvlag
	keyCsl
	keySe
	keyPid
	keyMyq
	keyW
	keyVr
	keyOnRQ
	keyDl
	keyVlag
	keySl
	keyDly
	keyRel
	keyExec
	keyInitial
	keySum
	keyFlags
	keyAcurr
	keyLm
	keyNext
	keyLast
	keySkip
	keyWeight
	keyRem
	keyBrt
	keyCPU
	keyRnr
	keyRcurr
	keyPrio
	keyPol
	keyPrev
	keyWflags
	keyNice
	keyPolicy
	keyRuntime
	keyDeadline
	keyPeriod
	keyAflags
	keyMask
	keyNew
	keyOld
	keyPi
	keyDelta
	keyQuota
	keyT
	keyRtNr
	keyRtTime
	keyRtRuntime
	keyRtThr
	keyCpol
	keyTs
	keyRt
	keyDlRuntime
	keyDlDeadline
	keyDlPeriod
	keyDlf
	keyDlflags
	keyCrt
	keyCdlf
	keyNow
	keyLut
	keyLsum
	keyRsum
	keyUsum
	keyPc
	keyLavg
	keyRavg
	keyUavg
	keyRw
	keyHnr
	keyRet
	keyBurst
	keyDelay
	keyVruntime
	keyTarget
	keyOrig
	keyDest
	keyChild
	keyPrevPid
	keyPrevPrio
	keyNextPrio
	keyQueued
)

var schedKeyNames = map[string]schedKey{
	"cfs": keyCFS, "nr": keyNr, "load": keyLoad, "mv": keyMv, "clk": keyClk, "curr": keyCurr, "avr": keyAvr, "avl": keyAvl,
	"cvr": keyCvr, "cexec": keyCexec, "csum": keyCsum, "cpsum": keyCpsum, "cw": keyCw, "cpid": keyCpid, "cmy_q": keyCmyq, "con": keyCon,
	"cdl": keyCdl, "cvlag": keyCvlag, "csl": keyCsl, "se": keySe, "pid": keyPid, "my_q": keyMyq, "w": keyW, "vr": keyVr, "on_rq": keyOnRQ,
	"dl": keyDl, "vlag": keyVlag, "sl": keySl, "dly": keyDly, "rel": keyRel, "exec": keyExec, "initial": keyInitial, "sum": keySum,
	"flags": keyFlags, "acurr": keyAcurr, "lm": keyLm, "next": keyNext, "last": keyLast, "skip": keySkip, "weight": keyWeight,
	"cpu": keyCPU, "rnr": keyRnr, "rcurr": keyRcurr, "prio": keyPrio, "pol": keyPol, "prev": keyPrev, "wflags": keyWflags, "nice": keyNice,
	"policy": keyPolicy, "runtime": keyRuntime, "deadline": keyDeadline, "period": keyPeriod, "aflags": keyAflags, "mask": keyMask,
	"new": keyNew, "old": keyOld, "pi": keyPi, "rem": keyRem, "delta": keyDelta, "brt": keyBrt, "quota": keyQuota, "t": keyT,
	"rt_nr": keyRtNr, "rt_time": keyRtTime, "rt_runtime": keyRtRuntime, "rt_thr": keyRtThr, "cpol": keyCpol, "ts": keyTs, "rt": keyRt,
	"dl_runtime": keyDlRuntime, "dl_deadline": keyDlDeadline, "dl_period": keyDlPeriod, "dlf": keyDlf, "dlflags": keyDlflags,
	"crt": keyCrt, "cdlf": keyCdlf, "now": keyNow, "lut": keyLut, "lsum": keyLsum, "rsum": keyRsum, "usum": keyUsum, "pc": keyPc,
	"lavg": keyLavg, "ravg": keyRavg, "uavg": keyUavg, "rw": keyRw, "hnr": keyHnr, "ret": keyRet, "burst": keyBurst, "queued": keyQueued,
}

// schedKeyText is schedKeyNames the other way round, for messages.
var schedKeyText = func() (t [256]string) {
	for name, k := range schedKeyNames { // order does not matter
		t[k] = name
	}
	t[keyDelay], t[keyVruntime], t[keyTarget], t[keyPrevPid] = "delay", "vruntime", "target_cpu", "prev_pid"
	return t
}()

// schedLine is one event of a scheduler trace.
type schedLine struct {
	line     int32 // in the file
	cpu      int32 // that wrote it
	event    schedEvent
	consumed bool
	from, to int32 // its fields in schedTrace.vals
	state    sched.State
}

type schedVal struct {
	key schedKey
	v   uint64
}

// schedTrace is a scheduler trace, whole.
type schedTrace struct {
	lines []schedLine
	vals  []schedVal
	next  []int32 // by line: the next one of the same CPU, -1
	seen  [eventsEnd]int
	cpus  int
	lost  uint64
}

// get is a field's value; ok is false if the line has none.
func (t *schedTrace) get(l *schedLine, k schedKey) (uint64, bool) {
	for i := l.from; i < l.to; i++ {
		if t.vals[i].key == k {
			return t.vals[i].v, true
		}
	}
	return 0, false
}

// val is a field's value, 0 if there is none.
func (t *schedTrace) val(l *schedLine, k schedKey) uint64 {
	v, _ := t.get(l, k)
	return v
}

// pid is the process id in a field, 0 if there is none.
func (t *schedTrace) pid(l *schedLine, k schedKey) int32 { return int32(t.val(l, k)) }

// maxSchedLines bounds the memory that a scheduler trace can take.
const maxSchedLines = 16 << 20

// errTooLong says that a trace has more events than a replay can hold.
var errTooLong = errors.New("more events than a scheduler replay holds")

// loadSched reads a scheduler trace.
func loadSched(r io.Reader, name string) (*schedTrace, error) {
	tr, err := trace.NewReader(r, name)
	if err != nil {
		return nil, err
	}
	t := &schedTrace{}
	var ev trace.Event
	for {
		err := tr.Read(&ev)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(t.lines) >= maxSchedLines {
			return nil, errTooLong
		}
		t.add(&ev)
	}
	t.lost = tr.Lost()
	t.link()
	return t, nil
}

// link finds for each line the next one of its CPU.
func (t *schedTrace) link() {
	t.next = make([]int32, len(t.lines))
	after := make([]int32, t.cpus)
	for i := range after {
		after[i] = -1
	}
	for i := len(t.lines) - 1; i >= 0; i-- {
		c := t.lines[i].cpu
		t.next[i] = after[c]
		after[c] = int32(i)
	}
}

// maxSchedCPUs bounds the CPU numbers of a trace.
const maxSchedCPUs = 8192

func (t *schedTrace) add(ev *trace.Event) {
	e, ok := schedEventNames[ev.Name]
	if !ok || ev.CPU < 0 || ev.CPU >= maxSchedCPUs {
		return
	}
	l := schedLine{line: int32(ev.Line), cpu: ev.CPU, event: e, from: int32(len(t.vals))}
	t.cpus = max(t.cpus, int(ev.CPU)+1)
	t.seen[e]++
	switch ev.Kind {
	case trace.KindSchedSwitch:
		t.put(keyPrevPid, uint64(ev.Switch.PrevPID))
		t.put(keyPrevPrio, uint64(int64(ev.Switch.PrevPrio)))
		t.put(keyNext, uint64(ev.Switch.NextPID))
		t.put(keyNextPrio, uint64(int64(ev.Switch.NextPrio)))
		l.state = taskState(ev.Switch.PrevState)
	case trace.KindUnknown:
		for k, v := range trace.Fields(ev.Args) {
			t.field(k, v)
		}
	default:
		t.sched(&ev.Sched)
	}
	l.to = int32(len(t.vals))
	t.lines = append(t.lines, l)
}

func (t *schedTrace) put(k schedKey, v uint64) { t.vals = append(t.vals, schedVal{k, v}) }

func (t *schedTrace) sched(s *trace.Sched) {
	t.put(keyPid, uint64(s.PID))
	t.put(keyRuntime, s.Runtime)
	if s.HasVRuntime {
		t.put(keyVruntime, s.VRuntime)
	}
	t.put(keyDelay, s.Delay)
	t.put(keyTarget, uint64(s.TargetCPU))
	t.put(keyChild, uint64(s.ChildPID))
}

// field keeps a field of a probe that has a known name and a number.
func (t *schedTrace) field(k, v []byte) {
	key, ok := schedKeyNames[string(k)]
	if !ok {
		return
	}
	if n, ok := probeNumber(v); ok {
		t.put(key, n)
	}
}

// probeNumber reads what kprobes print: decimal, maybe negative, or 0x hex.
func probeNumber(v []byte) (uint64, bool) {
	if hex, ok := bytes.CutPrefix(v, []byte("0x")); ok {
		n, err := strconv.ParseUint(string(hex), 16, 64)
		return n, err == nil
	}
	if len(v) > 0 && v[0] == '-' {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return uint64(n), err == nil
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	return n, err == nil
}

// taskState is the state that sched_switch shows by letters.
func taskState(text string) (s sched.State) {
	for _, c := range text {
		switch c {
		case 'S':
			s |= sched.StateInterruptible
		case 'D':
			s |= sched.StateUninterruptible
		case 'T':
			s |= sched.StateStopped
		case 't':
			s |= sched.StateTraced
		case 'X':
			s |= sched.StateExitDead
		case 'Z':
			s |= sched.StateZombie
		case 'P':
			s |= sched.StateParked
		case 'I':
			s |= sched.StateIdle
		}
	}
	return s
}

// schedEvent is an event that a scheduler replay knows.
type schedEvent uint8

const (
	// Tracepoints.
	evSwitch schedEvent = iota + 1
	evStatRuntime
	evStatWait
	evStatSleep
	evStatBlocked
	evStatIowait
	evWakeupNew
	evProcessExit
	// The entry of functions, in the order of sched.Point.
	evPoints
	// Their return.
	evReturns = evPoints + schedEvent(sched.PointsEnd)
	// Functions that are no part of the model.
	evSetUserNice = evReturns + schedEvent(sched.PointsEnd) + iota
	evSetsched
	evSetTaskCPU
	evMigrateFair
	evPeriodTimer
	evRTPeriodTimer
	evRTMutexSetprio
	evDLTaskTimer
	evRefill
	eventsEnd
)

func entry(p sched.Point) schedEvent { return evPoints + schedEvent(p) }
func leave(p sched.Point) schedEvent { return evReturns + schedEvent(p) }

var schedEventNames = map[string]schedEvent{
	"sched_switch": evSwitch, "sched_stat_runtime": evStatRuntime, "sched_stat_wait": evStatWait, "sched_stat_sleep": evStatSleep,
	"sched_stat_blocked": evStatBlocked, "sched_stat_iowait": evStatIowait, "sched_wakeup_new": evWakeupNew, "sched_process_exit": evProcessExit,
	"update_curr": entry(sched.PointUpdateCurr), "update_curr_r": leave(sched.PointUpdateCurr),
	"enqueue_entity": entry(sched.PointEnqueueEntity), "enqueue_entity_r": leave(sched.PointEnqueueEntity),
	"dequeue_entity": entry(sched.PointDequeueEntity), "dequeue_entity_r": leave(sched.PointDequeueEntity),
	"place_entity": entry(sched.PointPlaceEntity), "place_entity_r": leave(sched.PointPlaceEntity),
	"pick_next_entity": entry(sched.PointPickNextEntity),
	"pick_eevdf":       entry(sched.PointPickEEVDF), "pick_eevdf_r": leave(sched.PointPickEEVDF),
	"update_entity_lag": entry(sched.PointUpdateEntityLag), "update_entity_lag_r": leave(sched.PointUpdateEntityLag),
	"update_deadline": entry(sched.PointUpdateDeadline), "requeue_delayed": entry(sched.PointRequeueDelayed),
	"dequeue_entities": entry(sched.PointDequeueEntities),
	"set_next_entity":  entry(sched.PointSetNextEntity), "put_prev_entity": entry(sched.PointPutPrevEntity),
	"reweight_entity": entry(sched.PointReweightEntity), "reweight_entity_r": leave(sched.PointReweightEntity),
	"task_tick_fair": entry(sched.PointTaskTickFair), "enqueue_task_fair": entry(sched.PointEnqueueTaskFair),
	"dequeue_task_fair": entry(sched.PointDequeueTaskFair), "yield_task_fair": entry(sched.PointYieldTaskFair),
	"task_fork_fair": entry(sched.PointTaskForkFair), "pick_next_task_fair": entry(sched.PointPickNextTaskFair),
	"check_preempt": entry(sched.PointCheckPreemptFair), "ttwu_check": entry(sched.PointCheckPreempt),
	"resched_curr": entry(sched.PointReschedCurr), "resched_curr_lazy": entry(sched.PointReschedCurrLazy),
	"switched_to_fair": entry(sched.PointSwitchedToFair), "switched_from_fair": entry(sched.PointSwitchedFromFair),
	"prio_changed_fair": entry(sched.PointPrioChangedFair), "task_change_group": entry(sched.PointTaskChangeGroup),
	"throttle_cfs_rq": entry(sched.PointThrottle), "unthrottle_cfs_rq": entry(sched.PointUnthrottle),
	"account_cfs_rq": entry(sched.PointAccountRuntime), "cfs_distribute": entry(sched.PointDistribute),
	"pelt_se": entry(sched.PointUpdateLoadAvgSE), "pelt_cfs": entry(sched.PointUpdateLoadAvgCFS),
	"update_curr_rt": entry(sched.PointUpdateCurrRT), "enqueue_task_rt": entry(sched.PointEnqueueTaskRT),
	"dequeue_task_rt": entry(sched.PointDequeueTaskRT), "task_tick_rt": entry(sched.PointTaskTickRT),
	"put_prev_task_rt": entry(sched.PointPutPrevTaskRT), "pick_next_task_rt": entry(sched.PointPickTaskRT),
	"pick_task_rt": entry(sched.PointPickTaskRT), "yield_task_rt": entry(sched.PointYieldTaskRT),
	"switched_to_rt": entry(sched.PointSwitchedToRT), "check_preempt_curr_rt": entry(sched.PointCheckPreemptRT),
	"update_curr_dl": entry(sched.PointUpdateCurrDL), "enqueue_task_dl": entry(sched.PointEnqueueTaskDL),
	"dequeue_task_dl": entry(sched.PointDequeueTaskDL), "task_tick_dl": entry(sched.PointTaskTickDL),
	"replenish_dl": entry(sched.PointReplenishDL), "start_dl_timer": entry(sched.PointStartDLTimer),
	"pick_next_task_dl": entry(sched.PointPickTaskDL), "pick_task_dl": entry(sched.PointPickTaskDL),
	"check_preempt_curr_dl": entry(sched.PointCheckPreemptDL), "put_prev_task_idle": entry(sched.PointPutPrevTaskIdle),
	"set_user_nice": evSetUserNice, "setsched": evSetsched, "set_task_cpu": evSetTaskCPU, "migrate_task_rq_fair": evMigrateFair,
	"cfs_period_timer": evPeriodTimer, "rt_period_timer": evRTPeriodTimer, "rt_mutex_setprio": evRTMutexSetprio,
	"dl_task_timer": evDLTaskTimer, "cfs_refill": evRefill,
}

// schedEventText is schedEventNames the other way round, for messages.
var schedEventText = func() (t [eventsEnd]string) {
	for name, e := range schedEventNames { // order does not matter: two names are of versions of one function
		if t[e] == "" || name < t[e] {
			t[e] = name
		}
	}
	return t
}()
