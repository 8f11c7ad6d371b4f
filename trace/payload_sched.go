package trace

import (
	"bytes"
	"math"
)

// Fields of the scheduler events, by bit.
const (
	bitPID fieldBits = 1 << iota
	bitPrio
	bitTargetCPU
	bitDestCPU
	bitRuntime
	bitDelay
	bitNewPrio
	bitChildPID
	bitFilename
	bitState
	bitNextPID
)

var schedFields = []string{
	"pid", "prio", "target_cpu", "dest_cpu", "runtime", "delay", "newprio", "child_pid", "filename", "prev_state", "next_pid",
}

var schedPayloads = []kindPayload{
	{KindSchedSwitch, payload{fastSwitch, decodeSwitch, appendSwitch, clearSwitch, bitPID | bitPrio | bitState | bitNextPID, schedFields}},
	{KindSchedWakeup, payload{fastWakeup, decodeWakeup, appendWakeup, clearSched, bitPID | bitTargetCPU, schedFields}},
	{KindSchedWaking, payload{fastWakeup, decodeWakeup, appendWakeup, clearSched, bitPID | bitTargetCPU, schedFields}},
	{KindSchedWakeupNew, payload{fastWakeup, decodeWakeup, appendWakeup, clearSched, bitPID | bitTargetCPU, schedFields}},
	{KindSchedMigrateTask, payload{nil, decodeSched, appendMigrate, clearSched, bitPID | bitDestCPU, schedFields}},
	{KindSchedStatRuntime, payload{fastStat, decodeSched, appendStatRuntime, clearSched, bitPID | bitRuntime, schedFields}},
	{KindSchedStatWait, payload{fastStat, decodeSched, appendStatDelay, clearSched, bitPID | bitDelay, schedFields}},
	{KindSchedStatSleep, payload{fastStat, decodeSched, appendStatDelay, clearSched, bitPID | bitDelay, schedFields}},
	{KindSchedStatIowait, payload{fastStat, decodeSched, appendStatDelay, clearSched, bitPID | bitDelay, schedFields}},
	{KindSchedStatBlocked, payload{fastStat, decodeSched, appendStatDelay, clearSched, bitPID | bitDelay, schedFields}},
	{KindSchedProcessFork, payload{nil, decodeSched, appendFork, clearSched, bitPID | bitChildPID, schedFields}},
	{KindSchedProcessExec, payload{nil, decodeSched, appendExec, clearSched, bitPID | bitFilename, schedFields}},
	{KindSchedProcessExit, payload{nil, decodeSched, appendProcess, clearSched, bitPID | bitPrio, schedFields}},
	{KindSchedProcessFree, payload{nil, decodeSched, appendProcess, clearSched, bitPID | bitPrio, schedFields}},
	{KindSchedProcessWait, payload{nil, decodeSched, appendProcess, clearSched, bitPID | bitPrio, schedFields}},
	{KindSchedWaitTask, payload{nil, decodeSched, appendProcess, clearSched, bitPID | bitPrio, schedFields}},
	{KindSchedPISetprio, payload{nil, decodeSched, appendPISetprio, clearSched, bitPID | bitNewPrio, schedFields}},
}

func clearSched(ev *Event) { ev.Sched = Sched{} }

func clearSwitch(ev *Event) { ev.Switch = Switch{} }

// fastSwitch reads sched_switch as kernels print it.
func fastSwitch(d *decoder, ev *Event) bool {
	c, s := newCursor(d.b), &ev.Switch
	c.lit("prev_comm=")
	s.PrevComm = d.texts.get(c.until("prev_pid="))
	s.PrevLabel, s.PrevPID = d.fastPID(&c)
	c.lit(" prev_prio=")
	s.PrevPrio = c.int32()
	c.lit(" prev_state=")
	s.PrevState = d.texts.get(c.word())
	c.lit(" ==> next_comm=")
	s.NextComm = d.texts.get(c.until("next_pid="))
	s.NextLabel, s.NextPID = d.fastPID(&c)
	c.lit(" next_prio=")
	s.NextPrio = c.int32()
	d.seen = bitPID | bitPrio | bitState | bitNextPID
	return c.done()
}

// fastPID takes a thread's number off.
func (d *decoder) fastPID(c *cursor) (label string, pid int32) {
	text, pid := c.pid()
	return d.texts.get(text), pid
}

// fastTask takes "comm=... pid=..." off.
func (d *decoder) fastTask(c *cursor, s *Sched) {
	c.lit("comm=")
	s.Comm = d.texts.get(c.until("pid="))
	s.Label, s.PID = d.fastPID(c)
	d.seen = bitPID
}

// fastWakeup reads the wakeups as kernels print them.
func fastWakeup(d *decoder, ev *Event) bool {
	c, s := newCursor(d.b), &ev.Sched
	d.fastTask(&c, s)
	c.lit(" prio=")
	s.Prio = c.int32()
	c.lit(" target_cpu=")
	s.TargetCPU = c.int32()
	d.seen |= bitPrio | bitTargetCPU
	return c.done()
}

// fastStat reads the sched_stat events as kernels print them.
func fastStat(d *decoder, ev *Event) bool {
	c, s := newCursor(d.b), &ev.Sched
	d.fastTask(&c, s)
	if c.has(" delay=") {
		s.Delay = c.dec()
		d.seen |= bitDelay
		c.lit(" [ns]")
		return c.done()
	}
	c.lit(" runtime=")
	s.Runtime = c.dec()
	c.lit(" [ns]")
	d.seen |= bitRuntime
	if c.ok && c.has(" vruntime=") {
		s.VRuntime, s.HasVRuntime = c.dec(), true
		c.lit(" [ns]")
	}
	return c.done()
}

// decodeSwitch reads sched_switch as the kernel and perf print it, or as
// trace-cmd's plugin does.
func decodeSwitch(d *decoder, ev *Event) {
	s := &ev.Switch
	if d.lead != nil {
		d.pluginSwitch(s)
		return
	}
	for d.next() {
		switch string(d.key) {
		case "prev_comm":
			s.PrevComm = d.comm("prev_")
		case "prev_pid", "prev_tid":
			s.PrevLabel, s.PrevPID = d.pid(bitPID)
		case "prev_prio":
			s.PrevPrio = d.int32()
			d.seen |= bitPrio
		case "prev_state":
			s.PrevState = d.text()
			d.seen |= bitState
		case "next_comm":
			s.NextComm = d.comm("next_")
		case "next_pid", "next_tid":
			s.NextLabel, s.NextPID = d.pid(bitNextPID)
		case "next_prio":
			s.NextPrio = d.int32()
		}
	}
}

// decodeWakeup reads the wakeups as the kernel and perf print them, or as
// trace-cmd's plugin does.
func decodeWakeup(d *decoder, ev *Event) {
	if d.lead != nil {
		d.pluginWakeup(&ev.Sched)
		return
	}
	decodeSched(d, ev)
}

// decodeSched reads the fields that the other scheduler events share.
func decodeSched(d *decoder, ev *Event) {
	s := &ev.Sched
	for d.next() {
		switch string(d.key) {
		case "comm":
			s.Comm = d.comm("")
		case "parent_comm":
			s.Comm = d.comm("parent_")
		case "pid", "tid", "parent_tid":
			s.Label, s.PID = d.pid(bitPID)
		case "prio":
			s.Prio = d.int32()
			d.seen |= bitPrio
		case "target_cpu":
			s.TargetCPU = d.int32()
			d.seen |= bitTargetCPU
		case "runtime":
			s.Runtime = d.uint()
			d.seen |= bitRuntime
		case "vruntime":
			s.VRuntime, s.HasVRuntime = d.uint(), true
		case "delay":
			s.Delay = d.uint()
			d.seen |= bitDelay
		default:
			d.rareSched(s)
		}
	}
}

// rareSched reads the fields that only one of the scheduler events has.
func (d *decoder) rareSched(s *Sched) {
	switch string(d.key) {
	case "orig_cpu":
		s.OrigCPU = d.int32()
	case "dest_cpu":
		s.DestCPU = d.int32()
		d.seen |= bitDestCPU
	case "oldprio":
		s.OldPrio = d.int32()
	case "newprio":
		s.NewPrio = d.int32()
		d.seen |= bitNewPrio
	case "child_comm":
		s.ChildComm = d.comm("child_")
	case "child_tid":
		s.ChildLabel, s.ChildPID = d.pid(bitChildPID)
	case "child_pid": // LTTng's is the process; it has the thread as child_tid before
		if d.seen&bitChildPID == 0 {
			s.ChildLabel, s.ChildPID = d.pid(bitChildPID)
		}
	case "filename":
		s.Filename = d.filename()
		d.seen |= bitFilename
	case "old_pid", "old_tid":
		_, s.OldPID = d.pid(0)
	case "group_dead":
		s.GroupDead, s.HasGroupDead = d.boolean(), true
	}
}

// maxComm is the longest task name, the kernel's TASK_COMM_LEN without its end.
const maxComm = 15

// comm gives a task's name. It may contain anything, so it ends at the last
// place, as far as a name can be long, where its pid follows.
func (d *decoder) comm(prefix string) string {
	start := d.valueStart
	if d.quote {
		return d.text()
	}
	for n := min(maxComm, len(d.b)-start-1); n >= 0; n-- {
		if d.b[start+n] != ' ' {
			continue
		}
		rest, ok := bytes.CutPrefix(d.b[start+n+1:], []byte(prefix))
		if ok && (bytes.HasPrefix(rest, []byte("pid=")) || bytes.HasPrefix(rest, []byte("tid="))) {
			d.value = d.b[start : start+n]
			d.keyFrom(start + n + 1)
			break
		}
	}
	return d.text()
}

// filename gives the name of sched_process_exec, which may contain anything:
// it ends where the last pid starts.
func (d *decoder) filename() string {
	if d.quote {
		return d.text()
	}
	if old := bytes.LastIndex(d.b, []byte(" old_pid=")); old > d.valueStart {
		if end := bytes.LastIndex(d.b[:old], []byte(" pid=")); end > d.valueStart {
			d.value = d.b[d.valueStart:end]
			d.keyFrom(end + 1)
		}
	}
	return d.text()
}

// pid reads a thread's number, with its label where numbers were replaced.
func (d *decoder) pid(bit fieldBits) (label string, pid int32) {
	d.seen |= bit
	if v, ok := ParseInt(d.value); ok && v == int64(int32(v)) {
		return "", int32(v)
	}
	if i := bytes.LastIndexByte(d.value, '-'); i > 0 {
		if v, ok := parseDecimal(d.value[i+1:]); ok && v <= math.MaxInt32 {
			return d.texts.get(d.value[:i]), int32(v)
		}
	}
	d.fail(d.value, "a thread's number as "+string(d.key))
	return "", 0
}

// pluginSwitch reads "comm:pid [prio] S ==> comm:pid [prio]".
func (d *decoder) pluginSwitch(s *Switch) {
	text := trimBoth(d.b)
	i := bytes.LastIndex(text, []byte(" ==> "))
	if i < 0 {
		d.fail(text, `"comm:pid [prio] state ==> comm:pid [prio]"`)
		return
	}
	prev, next := text[:i], text[i+5:]
	state := bytes.LastIndexByte(prev, ' ')
	if state < 0 {
		d.fail(text, `"comm:pid [prio] state ==> comm:pid [prio]"`)
		return
	}
	s.PrevState = d.texts.get(prev[state+1:])
	s.PrevComm, s.PrevPID, s.PrevPrio = d.pluginTask(prev[:state])
	s.NextComm, s.NextPID, s.NextPrio = d.pluginTask(next)
	d.seen |= bitPID | bitPrio | bitState | bitNextPID
}

// pluginTask reads "comm:pid [prio]".
func (d *decoder) pluginTask(text []byte) (comm string, pid, prio int32) {
	open := bytes.LastIndex(text, []byte(" ["))
	if open >= 0 && text[len(text)-1] == ']' {
		colon := bytes.LastIndexByte(text[:open], ':')
		if colon >= 0 {
			v, ok1 := ParseInt(text[colon+1 : open])
			p, ok2 := ParseInt(text[open+2 : len(text)-1])
			if ok1 && ok2 && v == int64(int32(v)) && p == int64(int32(p)) {
				return d.texts.get(text[:colon]), int32(v), int32(p)
			}
		}
	}
	d.fail(text, `"comm:pid [prio]"`)
	return "", 0, 0
}

// pluginWakeup reads "comm:pid [prio] CPU:001", older kernels with "success=1"
// in between.
func (d *decoder) pluginWakeup(s *Sched) {
	text := trimBoth(d.b)
	i := bytes.LastIndex(text, []byte(" CPU:"))
	if i < 0 {
		d.fail(text, `"comm:pid [prio] CPU:nnn"`)
		return
	}
	cpu, ok := parseDecimal(text[i+5:])
	if !ok || cpu > math.MaxInt32 {
		d.fail(text[i+5:], "a CPU's number")
		return
	}
	task := text[:i]
	if end := bytes.LastIndex(task, []byte("] success=")); end >= 0 {
		task = task[:end+1]
	}
	s.TargetCPU = int32(cpu)
	s.Comm, s.PID, s.Prio = d.pluginTask(task)
	d.seen |= bitPID | bitPrio | bitTargetCPU
}

// appendPID writes a thread's number with its label.
func appendPID(b []byte, label string, pid int32) []byte {
	if label != "" {
		b = append(append(b, label...), '-')
	}
	return appendInt(b, int64(pid))
}

func appendSwitch(b []byte, ev *Event) []byte {
	s := &ev.Switch
	b = append(append(b, "prev_comm="...), s.PrevComm...)
	b = appendPID(append(b, " prev_pid="...), s.PrevLabel, s.PrevPID)
	b = appendInt(append(b, " prev_prio="...), int64(s.PrevPrio))
	b = append(append(b, " prev_state="...), s.PrevState...)
	b = append(append(b, " ==> next_comm="...), s.NextComm...)
	b = appendPID(append(b, " next_pid="...), s.NextLabel, s.NextPID)
	return appendInt(append(b, " next_prio="...), int64(s.NextPrio))
}

// appendTask writes "comm=... pid=...".
func appendTask(b []byte, s *Sched) []byte {
	b = append(append(b, "comm="...), s.Comm...)
	return appendPID(append(b, " pid="...), s.Label, s.PID)
}

// appendTaskPrio writes "comm=... pid=... prio=...".
func appendTaskPrio(b []byte, s *Sched) []byte {
	return appendInt(append(appendTask(b, s), " prio="...), int64(s.Prio))
}

func appendWakeup(b []byte, ev *Event) []byte {
	b = append(appendTaskPrio(b, &ev.Sched), " target_cpu="...)
	return appendCPU(b, ev.Sched.TargetCPU)
}

func appendMigrate(b []byte, ev *Event) []byte {
	b = appendInt(append(appendTaskPrio(b, &ev.Sched), " orig_cpu="...), int64(ev.Sched.OrigCPU))
	return appendInt(append(b, " dest_cpu="...), int64(ev.Sched.DestCPU))
}

// appendStatRuntime writes sched_stat_runtime; vruntime only if there is one:
// before 6.8.
func appendStatRuntime(b []byte, ev *Event) []byte {
	s := &ev.Sched
	b = appendUint(append(appendTask(b, s), " runtime="...), s.Runtime)
	b = append(b, " [ns]"...)
	if s.HasVRuntime {
		b = appendUint(append(b, " vruntime="...), s.VRuntime)
		b = append(b, " [ns]"...)
	}
	return b
}

func appendStatDelay(b []byte, ev *Event) []byte {
	b = appendUint(append(appendTask(b, &ev.Sched), " delay="...), ev.Sched.Delay)
	return append(b, " [ns]"...)
}

func appendFork(b []byte, ev *Event) []byte {
	s := &ev.Sched
	b = append(append(appendTask(b, s), " child_comm="...), s.ChildComm...)
	return appendPID(append(b, " child_pid="...), s.ChildLabel, s.ChildPID)
}

func appendExec(b []byte, ev *Event) []byte {
	s := &ev.Sched
	b = append(append(b, "filename="...), s.Filename...)
	b = appendPID(append(b, " pid="...), s.Label, s.PID)
	return appendInt(append(b, " old_pid="...), int64(s.OldPID))
}

func appendProcess(b []byte, ev *Event) []byte {
	s := &ev.Sched
	b = appendTaskPrio(b, s)
	switch {
	case !s.HasGroupDead:
		return b
	case s.GroupDead:
		return append(b, " group_dead=true"...)
	}
	return append(b, " group_dead=false"...)
}

func appendPISetprio(b []byte, ev *Event) []byte {
	b = appendInt(append(appendTask(b, &ev.Sched), " oldprio="...), int64(ev.Sched.OldPrio))
	return appendInt(append(b, " newprio="...), int64(ev.Sched.NewPrio))
}

// appendCPU writes a CPU's number with at least three digits.
func appendCPU(b []byte, cpu int32) []byte {
	if cpu >= 0 && cpu < 100 {
		b = append(b, '0')
	}
	if cpu >= 0 && cpu < 10 {
		b = append(b, '0')
	}
	return appendInt(b, int64(cpu))
}
