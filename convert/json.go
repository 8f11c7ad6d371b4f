package convert

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/kernsim/kernsim/trace"
)

// cpuProcess is the number of the pseudo process whose threads are the CPUs.
const cpuProcess = 1 << 30

// exactEvent is what a JSON event carries to be read again without loss.
type exactEvent struct {
	NS     uint64 `json:"ns"`
	CPU    int32  `json:"cpu"`
	PID    int32  `json:"pid"`
	TGID   int32  `json:"tgid"`
	Comm   []byte `json:"comm,omitempty"`
	Flags  string `json:"flags,omitempty"`
	System string `json:"system,omitempty"`
	Args   []byte `json:"args,omitempty"`
	Stamp  uint8  `json:"stamp,omitempty"`
	Form   uint8  `json:"form,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Lost   uint64 `json:"lost,omitempty"`
}

// jsonEvent is one entry of traceEvents.
type jsonEvent struct {
	Name  string      `json:"name"`
	Cat   string      `json:"cat,omitempty"`
	Phase string      `json:"ph"`
	Scope string      `json:"s,omitempty"`
	TS    json.Number `json:"ts,omitempty"`
	Dur   json.Number `json:"dur,omitempty"`
	PID   int32       `json:"pid"`
	TID   int32       `json:"tid"`
	Args  any         `json:"args,omitempty"`
}

// jsonSink writes Chrome's trace-event format: an instant for each event on its
// task's track, and for each CPU a track of the tasks that ran on it.
type jsonSink struct {
	w     *bufio.Writer
	n     int
	names map[int32]string
	pids  []int32 // keys of names, in order of appearance
	cpus  map[int32]*jsonSlice
	err   error
}

// jsonSlice is the task that runs on a CPU.
type jsonSlice struct {
	comm  string
	pid   int32
	since uint64
}

func newJSONSink(w io.Writer) Sink {
	return &jsonSink{w: bufio.NewWriter(w), names: map[int32]string{}, cpus: map[int32]*jsonSlice{}}
}

// micros writes nanoseconds as the format's microseconds.
func micros(ns uint64) json.Number {
	return json.Number(fmt.Sprintf("%d.%03d", ns/1000, ns%1000))
}

func (s *jsonSink) put(e *jsonEvent) {
	if s.err != nil {
		return
	}
	b, err := json.Marshal(e)
	if err != nil {
		s.err = err
		return
	}
	sep := ",\n"
	if s.n == 0 {
		sep = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
	}
	s.n++
	s.w.WriteString(sep)
	_, s.err = s.w.Write(b)
}

func (s *jsonSink) Write(ev *trace.Event) error {
	args := map[string]any{"kernsim": exactEvent{
		ev.Time, ev.CPU, ev.PID, ev.TGID, []byte(ev.Comm), ev.Flags.String(), ev.System, textOf(ev),
		uint8(ev.Stamp), uint8(ev.Form), specialName(ev.Kind), ev.Lost,
	}}
	for key, value := range trace.Fields(textOf(ev)) {
		if key == nil {
			key = []byte("text")
		}
		if string(key) != "kernsim" {
			args[string(key)] = string(value)
		}
	}
	cat := ev.System
	if cat == "" {
		cat = ev.Kind.System()
	}
	pid := ev.TGID
	if pid < 0 {
		pid = max(ev.PID, 0)
	}
	s.put(&jsonEvent{nameOf(ev), cat, "i", "t", micros(ev.Time), "", pid, max(ev.PID, 0), args})
	if ev.PID >= 0 {
		s.task(ev.PID, ev.Comm)
	}
	if ev.Kind == trace.KindSchedSwitch {
		s.switched(ev)
	}
	return s.err
}

// task notes a task's name.
func (s *jsonSink) task(pid int32, comm string) {
	if _, ok := s.names[pid]; !ok {
		s.pids = append(s.pids, pid)
	}
	s.names[pid] = comm
}

// switched ends a CPU's slice and starts the next.
func (s *jsonSink) switched(ev *trace.Event) {
	if run := s.cpus[ev.CPU]; run != nil && run.pid != 0 && ev.Time >= run.since {
		s.put(&jsonEvent{run.comm, "sched", "X", "", micros(run.since), micros(ev.Time - run.since), cpuProcess, ev.CPU,
			map[string]any{"pid": run.pid, "prev_state": ev.Switch.PrevState}})
	}
	s.cpus[ev.CPU] = &jsonSlice{ev.Switch.NextComm, ev.Switch.NextPID, ev.Time}
}

func (s *jsonSink) Close() error {
	s.put(&jsonEvent{Name: "process_name", Phase: "M", PID: cpuProcess, Args: map[string]string{"name": "CPUs"}})
	for _, pid := range s.pids {
		s.put(&jsonEvent{Name: "thread_name", Phase: "M", PID: pid, TID: pid, Args: map[string]string{"name": s.names[pid]}})
	}
	if s.err == nil {
		s.w.WriteString("\n]}\n")
		s.err = s.w.Flush()
	}
	err := s.err
	s.err = errClosed
	return err
}

// jsonSource reads the events of a JSON trace: those that jsonSink wrote
// exactly, others' instants, slices and counters by their names and args.
type jsonSource struct {
	dec   *json.Decoder
	name  string
	n     int
	begun bool
	pay   trace.Decoder
}

func openJSON(r io.Reader, name string) (Source, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	return &jsonSource{dec: d, name: name}, nil
}

// begin goes to the first element of the events' array.
func (s *jsonSource) begin() error {
	t, err := s.dec.Token()
	if err != nil {
		return err
	}
	if t == json.Delim('[') {
		return nil
	}
	if t != json.Delim('{') {
		return fmt.Errorf("found %v, expected an object with traceEvents", t)
	}
	for s.dec.More() {
		key, err := s.dec.Token()
		if err != nil {
			return err
		}
		if key == "traceEvents" {
			if t, err := s.dec.Token(); err != nil || t != json.Delim('[') {
				return fmt.Errorf("traceEvents is no array (%w)", err)
			}
			return nil
		}
		var skipped json.RawMessage
		if err := s.dec.Decode(&skipped); err != nil {
			return err
		}
	}
	return errors.New("found no traceEvents")
}

// fail adds file and place.
func (s *jsonSource) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &FormatError{s.name, s.dec.InputOffset(), err.Error(), "trace events as JSON"}
}

func (s *jsonSource) Read(ev *trace.Event) error {
	if !s.begun {
		s.begun = true
		if err := s.begin(); err != nil {
			return s.fail(err)
		}
	}
	for s.dec.More() {
		var e struct {
			Name, Cat, Ph string
			TS            json.Number
			PID, TID      json.RawMessage
			Args          map[string]json.RawMessage
		}
		if err := s.dec.Decode(&e); err != nil {
			return s.fail(err)
		}
		s.n++
		*ev = trace.Event{Line: s.n, Name: e.Name, CPU: -1, PID: -1, TGID: -1, Stamp: trace.StampNano, Form: trace.FormPlain}
		if raw, ok := e.Args["kernsim"]; ok {
			if err := exact(raw, ev); err != nil {
				return s.fail(err)
			}
			return decodeInto(&s.pay, ev, s.name)
		}
		if e.Ph != "i" && e.Ph != "I" && e.Ph != "R" || e.Name == "" {
			continue
		}
		if err := s.foreign(ev, e.TS, e.TID, e.Args); err != nil {
			return s.fail(err)
		}
		return decodeInto(&s.pay, ev, s.name)
	}
	if _, err := s.dec.Token(); err != nil {
		return s.fail(err)
	}
	return io.EOF
}

// exact restores what jsonSink noted.
func exact(raw json.RawMessage, ev *trace.Event) error {
	var x exactEvent
	if err := json.Unmarshal(raw, &x); err != nil {
		return err
	}
	if x.Stamp > uint8(trace.StampTicks) || x.Form > uint8(trace.FormPlain) {
		return errors.New("found an unknown stamp or form")
	}
	ev.Time, ev.CPU, ev.PID, ev.TGID, ev.Lost = x.NS, x.CPU, x.PID, x.TGID, x.Lost
	ev.Comm, ev.Flags, ev.System, ev.Args = string(x.Comm), trace.FlagsOf(x.Flags), x.System, x.Args
	ev.Stamp, ev.Form, ev.Kind = trace.Stamp(x.Stamp), trace.Form(x.Form), specialKind(x.Kind)
	if ev.Args == nil {
		ev.Args = []byte{}
	}
	return nil
}

// foreign reads another program's instant; args become "key=value" by name.
func (s *jsonSource) foreign(ev *trace.Event, ts json.Number, tid json.RawMessage, args map[string]json.RawMessage) error {
	us, err := strconv.ParseFloat(string(ts), 64)
	if err != nil || us < 0 || us > 1e15 {
		return fmt.Errorf("found ts %q of %s", ts, ev.Name)
	}
	ev.Time = uint64(us*1000 + 0.5)
	if id, err := strconv.ParseInt(string(tid), 10, 32); err == nil {
		ev.PID = int32(id)
	}
	keys := make([]string, 0, len(args))
	for key := range args { // order does not matter: sorted below
		keys = append(keys, key)
	}
	slices.Sort(keys)
	ev.Args = []byte{}
	for i, key := range keys {
		if i > 0 {
			ev.Args = append(ev.Args, ' ')
		}
		var text string
		if json.Unmarshal(args[key], &text) != nil {
			text = string(args[key])
		}
		ev.Args = append(append(append(ev.Args, key...), '='), text...)
	}
	return nil
}
