package trace

import (
	"bytes"
	"math"
)

// Width of the task's name in tracefs text and in trace-cmd report: the dash
// before the pid stands there, unless the name is longer.
const commWidth = 16

// maxCommEnd bounds the search for the end of the task's name, so that a
// hostile line costs no more than a long one.
const maxCommEnd = 128

// maxSeconds is the first number of seconds whose nanoseconds may not fit.
const maxSeconds = math.MaxUint64 / 1_000_000_000

// context is the part of a line before the event's name, found but not yet
// copied anywhere.
type context struct {
	comm  []byte
	pid   int32
	tgid  int32
	cpu   int32
	flags []byte
	time  uint64
	stamp Stamp
	form  Form
	next  int // where the event's name starts
}

// parseContext finds the parts before the event's name in any of the known
// layouts.
func parseContext(line []byte, c *context) bool {
	if parseCommon(line, c) {
		return true
	}
	if len(line) > commWidth && line[commWidth] == '-' && parseTask(line, commWidth, c) {
		return true
	}
	start := skipSpaces(line, 0)
	if start < len(line) && isDigit(line[start]) && parsePlain(line, start, c) {
		return true
	}
	for i := start + 1; i < min(len(line), maxCommEnd); i++ {
		switch line[i] {
		case '-': // behind a space it is perf's -1, "no task"
			if line[i-1] != ' ' && parseTask(line, i, c) {
				return true
			}
		case '[':
			if parsePerf(line, i, c) {
				return true
			}
		}
	}
	return false
}

// parseCommon reads the layout that nearly all lines have, and nothing else:
// "comm-pid [cpu] flags seconds.micros: ", the first bracket of the line being
// the CPU's. That bracket cannot belong to a task's name: behind it there is
// no room in a name for a CPU and a time.
func parseCommon(line []byte, c *context) bool {
	open := bytes.IndexByte(line[:min(len(line), maxCommEnd)], '[')
	if open < 2 || len(line)-open < 24 || line[open-1] != ' ' {
		return false
	}
	p := open - 2
	for p > 0 && line[p] == ' ' {
		p--
	}
	var pid, unit uint64 = 0, 1
	for ; p > 0 && isDigit(line[p]) && unit < 1e10; p-- {
		pid += unit * uint64(line[p]-'0')
		unit *= 10
	}
	if p == 0 || line[p] != '-' || line[p-1] == ' ' || unit == 1 || pid > math.MaxInt32 {
		return false
	}
	c.comm = trimLeft(line[:p])
	c.pid, c.tgid, c.form = int32(pid), -1, FormTracefs
	return parseCPUFlagsTime(line, open+1, c)
}

// parseCPUFlagsTime reads the rest of the common layout: "cpu] flags time: "
// at p, with five columns of flags or none.
func parseCPUFlagsTime(line []byte, p int, c *context) bool {
	cpu, q := scanDecimal(line, p)
	if q == p || cpu > math.MaxInt32 || len(line)-q < 16 || line[q] != ']' || line[q+1] != ' ' {
		return false
	}
	c.cpu = int32(cpu)
	p = parseFlags(line, skipSpaces(line, q+2), c)
	sec, q := scanDecimal(line, p)
	if q == p || len(line)-q < 9 || line[q] != '.' || line[q+7] != ':' || line[q+8] != ' ' || sec >= maxSeconds {
		return false
	}
	var micros uint64
	for _, d := range line[q+1 : q+7] {
		if !isDigit(d) {
			return false
		}
		micros = micros*10 + uint64(d-'0')
	}
	c.time, c.stamp = sec*1e9+micros*1e3, StampMicro
	c.next = skipSpaces(line, q+9)
	return true
}

// parseTask reads "comm-pid (tgid) [cpu] flags time: " or the latency form
// "comm-pid cpuflags time: ", whose dash is at i.
func parseTask(line []byte, i int, c *context) bool {
	pid, p := scanDecimal(line, i+1)
	if p == i+1 || pid > math.MaxInt32 || p >= len(line) || line[p] != ' ' {
		return false
	}
	c.pid, c.tgid = int32(pid), -1
	c.comm = trimLeft(line[:i])
	p = skipSpaces(line, p)
	if p < len(line) && line[p] == '(' {
		if p = parseTGID(line, p, c); p < 0 {
			return false
		}
	}
	if p < len(line) && line[p] == '[' {
		c.form = FormTracefs
		if p = parseCPU(line, p, c); p < 0 {
			return false
		}
		p = parseFlags(line, p, c)
		return parseTime(line, p, c)
	}
	return parseLatency(line, p, c)
}

// parseTGID reads "(tgid) " or "(-------) " at p and gives the place behind,
// -1 if it is neither.
func parseTGID(line []byte, p int, c *context) int {
	p = skipSpaces(line, p+1)
	v, end := scanDecimal(line, p)
	switch {
	case end > p && v <= math.MaxInt32:
		c.tgid = int32(v)
	case end == p:
		for end < len(line) && line[end] == '-' {
			end++
		}
		if end == p {
			return -1
		}
	default:
		return -1
	}
	if end >= len(line) || line[end] != ')' {
		return -1
	}
	return skipSpaces(line, end+1)
}

// parseCPU reads "[cpu] " at p and gives the place behind, -1 if it is not.
func parseCPU(line []byte, p int, c *context) int {
	cpu, end := scanDecimal(line, p+1)
	if end == p+1 || cpu > math.MaxInt32 || end+1 >= len(line) || line[end] != ']' || line[end+1] != ' ' {
		return -1
	}
	c.cpu = int32(cpu)
	return skipSpaces(line, end+1)
}

// parseFlags reads the latency columns at p, if there are some, and gives the
// place of the time. Columns never start with a digit, times always do.
func parseFlags(line []byte, p int, c *context) int {
	c.flags = nil
	if p >= len(line) || isDigit(line[p]) {
		return p
	}
	end := p
	for end < len(line) && class[line[end]]&classFlag != 0 {
		end++
	}
	if end == p || end-p > maxFlags {
		return p
	}
	c.flags = line[p:end]
	return skipSpaces(line, end)
}

// parseLatency reads "cpuflags time: " at p.
func parseLatency(line []byte, p int, c *context) bool {
	cpu, end := scanDecimal(line, p)
	if end == p || cpu > math.MaxInt32 {
		return false
	}
	c.cpu, c.form = int32(cpu), FormLatency
	p = parseFlags(line, end, c)
	if c.flags == nil {
		return false
	}
	return parseTime(line, p, c)
}

// parsePerf reads "comm pid [cpu] time: " or "comm pid/tid [cpu] time: ",
// whose bracket is at i.
func parsePerf(line []byte, i int, c *context) bool {
	p := parseCPU(line, i, c)
	if p < 0 || i < 4 || line[i-1] != ' ' {
		return false
	}
	end := i
	for end > 0 && line[end-1] == ' ' {
		end--
	}
	tid, at := digitsBefore(line, end)
	if at < 0 {
		return false
	}
	c.pid, c.tgid = tid, -1
	if at > 0 && line[at-1] == '/' {
		if c.tgid, at = digitsBefore(line, at-1); at < 0 {
			return false
		}
	}
	if at < 2 || line[at-1] != ' ' {
		return false
	}
	c.comm = trimBoth(line[:at-1])
	c.form, c.flags = FormPerf, nil
	return len(c.comm) > 0 && parseTime(line, p, c)
}

// digitsBefore reads the decimal number that ends before end; at is where it
// starts, -1 if there is none. perf writes -1 where it knows no task.
func digitsBefore(line []byte, end int) (v int32, at int) {
	at = end
	for at > 0 && isDigit(line[at-1]) {
		at--
	}
	n, ok := parseDecimal(line[at:end])
	if !ok || n > math.MaxInt32 {
		return 0, -1
	}
	if at > 0 && line[at-1] == '-' {
		return -int32(n), at - 1
	}
	return int32(n), at
}

// parsePlain reads "time [cpu] " at p.
func parsePlain(line []byte, p int, c *context) bool {
	t, stamp, p := scanTime(line, p)
	if p < 0 || p+1 >= len(line) || line[p] != ' ' || line[p+1] != '[' {
		return false
	}
	c.comm, c.flags, c.pid, c.tgid = nil, nil, -1, -1
	c.time, c.stamp, c.form = t, stamp, FormPlain
	c.next = parseCPU(line, p+1, c)
	return c.next >= 0
}

// parseTime reads "time: " at p; the event's name follows.
func parseTime(line []byte, p int, c *context) bool {
	t, stamp, p := scanTime(line, p)
	if p < 0 || p+1 >= len(line) || line[p] != ':' || line[p+1] != ' ' {
		return false
	}
	c.time, c.stamp = t, stamp
	c.next = skipSpaces(line, p+1)
	return true
}

// scanTime reads a time at p: seconds with six or nine decimals, whole
// microseconds with "us" and the latency tracers' mark, or a bare number. It
// gives nanoseconds (ticks for a bare number) and the place behind, -1 if
// there is no time.
func scanTime(line []byte, p int) (uint64, Stamp, int) {
	v, end := scanDecimal(line, p)
	if end == p || end >= len(line) {
		return 0, 0, -1
	}
	switch line[end] {
	case '.':
		return scanSeconds(line, v, end+1)
	case 'u':
		if end+2 >= len(line) || line[end+1] != 's' || v > math.MaxUint64/1000 {
			return 0, 0, -1
		}
		end += 2
		switch line[end] {
		case ' ', '!', '+', '#', '@', '*', '$':
			end++
		}
		return v * 1000, StampUsecs, end
	}
	return v, StampTicks, end
}

// scanSeconds reads the decimals of sec at p.
func scanSeconds(line []byte, sec uint64, p int) (uint64, Stamp, int) {
	frac, end := scanDecimal(line, p)
	stamp := StampMicro
	switch end - p {
	case 6:
		frac *= 1000
	case 9:
		stamp = StampNano
	default:
		return 0, 0, -1
	}
	if sec >= maxSeconds {
		return 0, 0, -1
	}
	return sec*1_000_000_000 + frac, stamp, end
}

// trimLeft takes the padding off a task's name.
func trimLeft(b []byte) []byte { return b[skipSpaces(b, 0):] }

// trimBoth takes the padding off a name that may be padded on either side.
func trimBoth(b []byte) []byte {
	b = trimLeft(b)
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
