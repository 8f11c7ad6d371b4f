package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrLineBreak is the error for an event with a line break in one of its
// texts: it could not be read again.
var ErrLineBreak = errors.New("trace: line break in an event's text")

// Writer writes events as trace text.
//
// An event's Args are written as they are, so that what a Reader gave is
// written without loss. If Args is nil, the text is formatted from the payload
// of the event's Kind as the kernel's print format has it: that is how models
// write events. The formats are those of 6.1; where kernels differ, fields
// that say they are there (Object.Name, Sched.HasVRuntime, ...) decide.
type Writer struct {
	w    *bufio.Writer
	form Form
	tgid bool
	buf  []byte
	err  error
}

// NewWriter writes to w in the given layout; [FormLatency] is written as
// FormTracefs. Call Flush at the end.
func NewWriter(w io.Writer, form Form) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 64<<10), form: form}
}

// WriteHeader writes the comment lines that stand at the top of tracefs'
// trace file (but not of trace_pipe), and from then on the columns that they
// announce. It is only for FormTracefs.
func (w *Writer) WriteHeader(h Header) error {
	tracer := h.Tracer
	if tracer == "" {
		tracer = "nop"
	}
	w.tgid = h.TGID
	b := fmt.Appendf(w.buf[:0], "# tracer: %s\n#\n# entries-in-buffer/entries-written: %d/%d   #P:%d\n#\n",
		tracer, h.InBuffer, h.Written, h.CPUs)
	gap, names, bars := "  ", "  ", "  "
	if h.TGID {
		gap, names, bars = "            ", "     TGID   ", "       |    "
	}
	columns, bar, wide := headerColumns[:], "|||||", ""
	if h.RT {
		columns, bar, wide = headerColumnsRT[:], "|||||||", " "
	}
	for _, column := range columns {
		b = fmt.Appendf(b, "#                            %s%s\n", gap, column)
	}
	b = fmt.Appendf(b, "#           TASK-PID  %s CPU#  %s  TIMESTAMP  FUNCTION\n", names, bar)
	b = fmt.Appendf(b, "#              | |    %s   |   %s%s     |         |\n", bars, bar, wide)
	return w.write(b)
}

// headerColumns name the five latency columns.
var headerColumns = [...]string{
	"  _-----=> irqs-off/BH-disabled",
	" / _----=> need-resched",
	"| / _---=> hardirq/softirq",
	"|| / _--=> preempt-depth",
	"||| / _-=> migrate-disable",
	"|||| /     delay",
}

// headerColumnsRT name the seven latency columns of PREEMPT_RT's patches.
var headerColumnsRT = [...]string{
	"  _-------=> irqs-off/BH-disabled",
	" / _------=> need-resched",
	"| / _-----=> need-resched-lazy",
	"|| / _----=> hardirq/softirq",
	"||| / _---=> preempt-depth",
	"|||| / _--=> preempt-lazy-depth",
	"||||| / _-=> migrate-disable",
	"|||||| /     delay",
}

// Write writes one event. It fails with [ErrLineBreak] or with what the
// underlying writer gave; after an error nothing more is written.
func (w *Writer) Write(ev *Event) error {
	b := w.buf[:0]
	switch ev.Kind {
	case KindLost:
		b = appendLost(b, ev)
	case KindStackFrame:
		b = append(append(b, " => "...), ev.Args...)
	default:
		b = w.appendContext(b, ev)
		b = w.appendEvent(b, ev)
	}
	if bytes.IndexByte(b, '\n') >= 0 {
		w.buf = b
		return ErrLineBreak
	}
	return w.write(append(b, '\n'))
}

// Flush writes out what is buffered.
func (w *Writer) Flush() error {
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

// write writes b, which is kept as the buffer of the next event.
func (w *Writer) write(b []byte) error {
	w.buf = b
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
	return w.err
}

// appendContext writes what stands before the event's name.
func (w *Writer) appendContext(b []byte, ev *Event) []byte {
	switch w.form {
	case FormPlain:
		b = appendTime(b, ev, 0)
		b = append(b, ' ')
		return appendCPUBracket(b, ev.CPU)
	case FormPerf:
		b = appendRight(b, commOf(ev), commWidth)
		b = appendIntRight(append(b, ' '), int64(ev.PID), 7)
		b = appendCPUBracket(append(b, ' '), ev.CPU)
		b = appendTime(b, ev, 5)
		return append(b, ": "...)
	}
	b = appendRight(b, commOf(ev), commWidth)
	b = append(b, '-')
	b = appendIntLeft(b, int64(max(ev.PID, 0)), 7)
	b = append(b, ' ')
	if w.tgid {
		b = appendTGID(b, ev.TGID)
	}
	b = appendCPUBracket(b, ev.CPU)
	b = appendFlags(b, ev.Flags)
	b = appendTime(append(b, ' '), ev, 5)
	return append(b, ": "...)
}

// appendEvent writes the event's name and text.
func (w *Writer) appendEvent(b []byte, ev *Event) []byte {
	switch ev.Kind {
	case KindFunction:
		return append(b, ev.Args...)
	case KindStackTrace:
		return append(b, kindNames[KindStackTrace]...)
	}
	system, name := ev.System, ev.Name
	if name == "" {
		name = ev.Kind.String()
	}
	if w.form == FormPerf && system == "" {
		system = ev.Kind.System()
	}
	if w.form == FormPerf && system != "" {
		b = append(append(b, system...), ':')
	}
	b = append(b, name...)
	switch ev.Kind {
	case KindSyscallEnter:
	case KindSyscallExit:
		b = append(b, ' ')
	default:
		b = append(b, ": "...)
	}
	if ev.Args == nil {
		return ev.AppendArgs(b)
	}
	return append(b, ev.Args...)
}

// AppendArgs appends the text of ev's payload to b, as the kernel's print
// format has it. Kinds without payload append nothing.
func (ev *Event) AppendArgs(b []byte) []byte {
	if p := payloadOf(ev.Kind); p.append != nil {
		return p.append(b, ev)
	}
	return b
}

// appendLost writes a report of lost events.
func appendLost(b []byte, ev *Event) []byte {
	b = appendInt(append(b, "CPU:"...), int64(ev.CPU))
	if ev.Lost == 0 {
		return append(b, " [LOST EVENTS]"...)
	}
	b = appendUint(append(b, " [LOST "...), ev.Lost)
	return append(b, " EVENTS]"...)
}

// commOf gives the task's name, the kernel's stand-in if there is none.
func commOf(ev *Event) string {
	switch {
	case ev.Comm != "":
		return ev.Comm
	case ev.PID == 0:
		return "<idle>"
	}
	return "<...>"
}

// appendRight writes s with spaces before it up to width.
func appendRight(b []byte, s string, width int) []byte {
	for n := len(s); n < width; n++ {
		b = append(b, ' ')
	}
	return append(b, s...)
}

// appendIntRight writes v with spaces before it up to width.
func appendIntRight(b []byte, v int64, width int) []byte {
	start := len(b)
	return padLeft(appendInt(b, v), start, width)
}

// appendUintRight writes v with spaces before it up to width.
func appendUintRight(b []byte, v uint64, width int) []byte {
	start := len(b)
	return padLeft(appendUint(b, v), start, width)
}

// padLeft moves what b has from start on to the right, up to width.
func padLeft(b []byte, start, width int) []byte {
	missing := width - (len(b) - start)
	if missing <= 0 {
		return b
	}
	b = append(b, "            "[:missing]...)
	copy(b[start+missing:], b[start:])
	for i := range missing {
		b[start+i] = ' '
	}
	return b
}

// appendIntLeft writes v with spaces behind it up to width.
func appendIntLeft(b []byte, v int64, width int) []byte {
	end := len(b) + width
	b = appendInt(b, v)
	for len(b) < end {
		b = append(b, ' ')
	}
	return b
}

// appendTGID writes the TGID column.
func appendTGID(b []byte, tgid int32) []byte {
	if tgid <= 0 {
		return append(b, "(-------) "...)
	}
	b = appendIntRight(append(b, '('), int64(tgid), 7)
	return append(b, ") "...)
}

// appendCPUBracket writes "[003] ".
func appendCPUBracket(b []byte, cpu int32) []byte {
	b = appendCPU(append(b, '['), max(cpu, 0))
	return append(b, "] "...)
}

// appendFlags writes the latency columns, dots if there are none.
func appendFlags(b []byte, f Flags) []byte {
	n := f.Len()
	if n == 0 {
		return append(b, "....."...)
	}
	return append(b, f[:n]...)
}

// appendTime writes the time, its seconds with spaces before up to width.
// Nanoseconds are rounded to microseconds as the kernel does, unless the stamp
// says that nine decimals are to be written.
func appendTime(b []byte, ev *Event, width int) []byte {
	switch ev.Stamp {
	case StampTicks:
		return appendUintRight(b, ev.Time, width+7)
	case StampNano:
		b = appendUintRight(b, ev.Time/1e9, width)
		return appendDecimals(append(b, '.'), ev.Time%1e9, 9)
	}
	us := ev.Time/1000 + (ev.Time%1000+500)/1000
	b = appendUintRight(b, us/1e6, width)
	return appendDecimals(append(b, '.'), us%1e6, 6)
}

// appendDecimals writes v with n digits.
func appendDecimals(b []byte, v uint64, n int) []byte {
	start := len(b)
	b = append(b, "000000000"[:n]...)
	for i := start + n - 1; v > 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return b
}
