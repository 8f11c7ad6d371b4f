package convert

import (
	"bytes"

	"github.com/kernsim/kernsim/trace"
)

// ftraceEvent makes what ftrace's own events are in a trace text of them: a
// line of the function tracer, or a stack with its frames.
func (s *datSource) ftraceEvent(c *datCPU, f *EventFormat, ev *trace.Event) {
	if f.System != "ftrace" {
		return
	}
	switch f.Name {
	case "function":
		ev.Kind, ev.Name = trace.KindFunction, trace.KindFunction.String()
		ev.Args = bytes.Replace(bytes.TrimLeft(ev.Args, " "), []byte(" <-- "), []byte(" <-"), 1)
	case "kernel_stack":
		ev.Kind, ev.Name, ev.Args = trace.KindStackTrace, trace.KindStackTrace.String(), []byte{}
		s.frames = s.frames[:0]
		if callers := f.field("caller"); callers != nil {
			s.stack(c.rec, f, callers.Offset)
		}
	}
	ev.System = ""
}

// maxFrames is how many frames a stack may have.
const maxFrames = 512

// stack notes the frames whose addresses stand in a record from at on.
func (s *datSource) stack(rec []byte, f *EventFormat, at int) {
	for ; at+f.long <= len(rec) && len(s.frames) < maxFrames; at += f.long {
		addr := uint64(f.number(rec, at, f.long, false))
		if addr == 0 || addr == ^uint64(0) || f.long == 4 && addr == 1<<32-1 {
			return // the kernel marks the end so
		}
		s.frames = append(s.frames, addr)
	}
}

// frame gives the next frame of the stack before as an event; all but its text
// is as in that event.
func (s *datSource) frame(ev *trace.Event) {
	*ev = s.last
	ev.Kind, ev.Name = trace.KindStackFrame, trace.KindStackFrame.String()
	ev.Args = s.syms.Append([]byte{}, s.frames[0], true)
	s.frames = s.frames[1:]
}
