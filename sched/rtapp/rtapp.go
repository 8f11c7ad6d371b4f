// Package rtapp reads workloads in the JSON form of rt-app, the tool that
// kernel developers use to make loads for the scheduler, and turns them into
// tasks of a [sched.Sim].
//
//	{
//	  "global": {"duration": 2, "default_policy": "SCHED_OTHER"},
//	  "tasks": {
//	    "video": {"priority": -5, "loop": -1, "run": 4000, "timer": {"ref": "unique", "period": 16000}},
//	    "build": {"instance": 3, "loop": -1, "run": 20000}
//	  }
//	}
//
// Times are microseconds, as in rt-app; the duration is in seconds. The keys
// read are: of a task instance, loop, delay, policy, priority, dl-runtime,
// dl-deadline, dl-period, cpus and phases; of a task or a phase, in the order
// in which they are written, run, runtime, sleep, timer (with period), suspend,
// resume, signal, wait, yield and fork, each also with more characters behind
// ("run2"). Both run and runtime are time on a CPU of full speed. Everything
// else is refused by name rather than passed over.
package rtapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// Workload is what a file describes.
type Workload struct {
	Duration uint64 // ns; 0: not stated
	Specs    []sched.TaskSpec
}

// Error says what in a file cannot be read, and where.
type Error struct {
	File  string
	Where string // path of keys, as "tasks.video.run"
	Found string
	Want  string
}

// Error names file, place, what was found and what was expected.
func (e *Error) Error() string {
	return fmt.Sprintf("rtapp: %s: %s: found %s, expected %s", e.File, e.Where, e.Found, e.Want)
}

// maxFile bounds a file's size, maxTasks its tasks and maxTime a time.
const (
	maxFile  = 4 << 20
	maxTasks = 1 << 16
	maxTime  = 1 << 40 // us
)

// Read reads a workload.
func Read(r io.Reader, file string) (*Workload, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, &Error{file, "file", "more than 4 MiB", "a workload"}
	}
	root, err := members(text)
	if err != nil {
		return nil, &Error{file, "file", err.Error(), "a JSON object"}
	}
	p := &parser{file: file, channels: map[string]int64{}, specs: map[string]int{}, policy: sched.PolicyNormal}
	for _, m := range root {
		switch m.key {
		case "global":
			err = p.global(m.value)
		case "tasks":
			p.tasks = m.value
		case "resources":
		default:
			err = p.fail(m.key, "a key of that name", "global, tasks or resources")
		}
		if err != nil {
			return nil, err
		}
	}
	if p.tasks == nil {
		return nil, p.fail("tasks", "nothing", "an object with the tasks")
	}
	return p.all()
}

type parser struct {
	file     string
	w        Workload
	tasks    json.RawMessage
	policy   sched.Policy
	channels map[string]int64
	specs    map[string]int // by task name: its first spec
	forks    []fork
}

// fork is a step whose task is known only when all are read.
type fork struct {
	spec, step int
	name       string
}

func (p *parser) fail(where, found, want string) error {
	return &Error{p.file, where, found, want}
}

// member is a key of an object with its value: order matters, and keys may come
// twice.
type member struct {
	key   string
	value json.RawMessage
}

func members(text []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('{') {
		return nil, errors.New("something else")
	}
	var out []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		name, _ := key.(string)
		out = append(out, member{name, v})
	}
	_, err = d.Token()
	return out, err
}

func (p *parser) global(text json.RawMessage) error {
	list, err := members(text)
	if err != nil {
		return p.fail("global", err.Error(), "an object")
	}
	for _, m := range list {
		switch m.key {
		case "duration":
			n, err := p.number("global.duration", m.value, -1, maxTime/1_000_000)
			if err != nil {
				return err
			}
			p.w.Duration = uint64(max(n, 0)) * 1_000_000_000
		case "default_policy":
			if p.policy, err = p.policyOf("global.default_policy", m.value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parser) number(where string, text json.RawMessage, lo, hi int64) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < lo || n > hi {
		return 0, p.fail(where, string(text), fmt.Sprintf("a whole number from %d to %d", lo, hi))
	}
	return n, nil
}

func (p *parser) text(where string, text json.RawMessage) (string, error) {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return "", p.fail(where, string(text), "a string")
	}
	return s, nil
}

var policies = map[string]sched.Policy{"SCHED_OTHER": sched.PolicyNormal, "SCHED_FIFO": sched.PolicyFIFO, "SCHED_RR": sched.PolicyRR,
	"SCHED_BATCH": sched.PolicyBatch, "SCHED_IDLE": sched.PolicyIdle, "SCHED_DEADLINE": sched.PolicyDeadline}

func (p *parser) policyOf(where string, text json.RawMessage) (sched.Policy, error) {
	s, err := p.text(where, text)
	if err != nil {
		return 0, err
	}
	policy, ok := policies[s]
	if !ok {
		return 0, p.fail(where, s, "SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE or SCHED_DEADLINE")
	}
	return policy, nil
}

// all reads the tasks.
func (p *parser) all() (*Workload, error) {
	list, err := members(p.tasks)
	if err != nil {
		return nil, p.fail("tasks", err.Error(), "an object")
	}
	for _, m := range list {
		if err := p.task(m); err != nil {
			return nil, err
		}
	}
	if len(p.w.Specs) == 0 {
		return nil, p.fail("tasks", "no task", "at least one")
	}
	for _, f := range p.forks {
		spec, ok := p.specs[f.name]
		if !ok {
			return nil, p.fail("fork", f.name, "the name of a task")
		}
		p.w.Specs[f.spec].Program[f.step].N = int64(spec)
	}
	return &p.w, nil
}

// taskKeys are what a task says besides its steps.
type taskKeys struct {
	instances, loop int64
	delay           int64
	spec            sched.TaskSpec
	phases          json.RawMessage
	steps           []member
}

func (p *parser) task(m member) error {
	list, err := members(m.value)
	where := "tasks." + m.key
	if err != nil {
		return p.fail(where, err.Error(), "an object")
	}
	k := taskKeys{instances: 1, loop: -1, spec: sched.TaskSpec{Comm: m.key, Attr: sched.Attr{Policy: p.policy}}}
	priority := json.RawMessage(nil)
	for _, e := range list {
		if e.key == "priority" {
			priority = e.value
			continue
		}
		if err := p.key(where, &k, e); err != nil {
			return err
		}
	}
	if err := p.priority(where, &k.spec.Attr, priority); err != nil {
		return err
	}
	return p.instances(where, &k)
}

// instances adds a task's specs.
func (p *parser) instances(where string, k *taskKeys) error {
	p.specs[k.spec.Comm] = len(p.w.Specs)
	for i := range k.instances {
		if len(p.w.Specs) >= maxTasks {
			return p.fail(where, "too many tasks", strconv.Itoa(maxTasks))
		}
		spec := k.spec
		if k.instances > 1 {
			spec.Comm = k.spec.Comm + "-" + strconv.FormatInt(i, 10)
		}
		spec.Start = uint64(k.delay) * 1000
		prog, err := p.program(where, k, len(p.w.Specs))
		if err != nil {
			return err
		}
		spec.Program = prog
		p.w.Specs = append(p.w.Specs, spec)
	}
	return nil
}

func (p *parser) key(where string, k *taskKeys, e member) (err error) {
	at := where + "." + e.key
	a := &k.spec.Attr
	switch e.key {
	case "instance":
		k.instances, err = p.number(at, e.value, 0, maxTasks)
	case "loop":
		k.loop, err = p.number(at, e.value, -1, 1<<40)
	case "delay":
		k.delay, err = p.number(at, e.value, 0, maxTime)
	case "policy":
		a.Policy, err = p.policyOf(at, e.value)
	case "dl-runtime":
		err = p.micro(at, e.value, &a.Runtime)
	case "dl-deadline":
		err = p.micro(at, e.value, &a.Deadline)
	case "dl-period":
		err = p.micro(at, e.value, &a.Period)
	case "cpus":
		k.spec.CPUs, err = p.cpus(at, e.value)
	case "phases":
		k.phases = e.value
	default:
		k.steps = append(k.steps, e)
	}
	return err
}

func (p *parser) micro(where string, text json.RawMessage, ns *uint64) error {
	n, err := p.number(where, text, 0, maxTime)
	*ns = uint64(n) * 1000
	return err
}

func (p *parser) cpus(where string, text json.RawMessage) (sched.CPUMask, error) {
	var list []int
	if json.Unmarshal(text, &list) != nil || len(list) == 0 {
		return nil, p.fail(where, string(text), "a list of CPU numbers")
	}
	var cpus []sched.CPU
	for _, c := range list {
		if c < 0 || c > 8191 {
			return nil, p.fail(where, strconv.Itoa(c), "CPU numbers from 0 to 8191")
		}
		cpus = append(cpus, sched.CPU(c))
	}
	return sched.MaskOf(cpus...), nil
}

// priority is a nice value or, for real-time tasks, a priority.
func (p *parser) priority(where string, a *sched.Attr, text json.RawMessage) error {
	switch a.Policy {
	case sched.PolicyFIFO, sched.PolicyRR:
		a.RTPriority = 10
	case sched.PolicyDeadline:
		if a.Deadline == 0 {
			a.Deadline = a.Period
		}
		return nil
	}
	if text == nil {
		return nil
	}
	if a.RTPriority > 0 {
		n, err := p.number(where+".priority", text, 1, 99)
		a.RTPriority = int(n)
		return err
	}
	n, err := p.number(where+".priority", text, sched.MinNice, sched.MaxNice)
	a.Nice = int(n)
	return err
}

// program makes a task's program: its phases, or its own steps as one.
func (p *parser) program(where string, k *taskKeys, spec int) (sched.Program, error) {
	var prog sched.Program
	phases := []member{{where, nil}}
	if k.phases != nil {
		list, err := members(k.phases)
		if err != nil {
			return nil, p.fail(where+".phases", err.Error(), "an object")
		}
		phases = list
	}
	for _, ph := range phases {
		steps, loop := k.steps, int64(1)
		at := where
		if ph.value != nil {
			at = where + ".phases." + ph.key
			list, err := members(ph.value)
			if err != nil {
				return nil, p.fail(at, err.Error(), "an object")
			}
			steps = nil
			for _, e := range list {
				if e.key == "loop" {
					if loop, err = p.number(at+".loop", e.value, 1, 1<<40); err != nil {
						return nil, err
					}
					continue
				}
				steps = append(steps, e)
			}
		}
		first := len(prog)
		for _, e := range steps {
			st, err := p.step(at, e, spec, len(prog))
			if err != nil {
				return nil, err
			}
			prog = append(prog, st)
		}
		if loop > 1 && len(prog) > first {
			prog = append(prog, sched.Step{Op: sched.OpRepeat, N: loop, M: int64(first)})
		}
	}
	if len(prog) == 0 {
		return nil, p.fail(where, "no step", "at least one of run, sleep, timer and so on")
	}
	if k.loop != 1 {
		prog = append(prog, sched.Step{Op: sched.OpRepeat, N: max(k.loop, 0)})
	}
	return prog, nil
}

func (p *parser) step(where string, e member, spec, index int) (sched.Step, error) {
	at := where + "." + e.key
	name := strings.TrimRight(e.key, "0123456789_-")
	switch name {
	case "run", "runtime":
		n, err := p.number(at, e.value, 0, maxTime)
		return sched.Compute(n * 1000), err
	case "sleep":
		n, err := p.number(at, e.value, 0, maxTime)
		return sched.Sleep(n * 1000), err
	case "timer":
		return p.timer(at, e.value)
	case "yield":
		return sched.Step{Op: sched.OpYield}, nil
	case "suspend", "wait":
		n, err := p.channel(at, e.value)
		return sched.Receive(n), err
	case "resume", "signal":
		n, err := p.channel(at, e.value)
		return sched.Send(n), err
	case "fork":
		var f struct {
			Ref string `json:"ref"`
		}
		if json.Unmarshal(e.value, &f) != nil && json.Unmarshal(e.value, &f.Ref) != nil {
			return sched.Step{}, p.fail(at, string(e.value), "the name of a task")
		}
		p.forks = append(p.forks, fork{spec, index, f.Ref})
		return sched.Step{Op: sched.OpFork}, nil
	}
	return sched.Step{}, p.fail(at, "a key of that name", "a step that the simulation knows")
}

func (p *parser) timer(where string, text json.RawMessage) (sched.Step, error) {
	var t struct {
		Period json.RawMessage `json:"period"`
	}
	if json.Unmarshal(text, &t) != nil || t.Period == nil {
		return sched.Step{}, p.fail(where, string(text), `an object with a "period"`)
	}
	n, err := p.number(where+".period", t.Period, 1, maxTime)
	return sched.Every(n * 1000), err
}

// channel is the number of a named resource.
func (p *parser) channel(where string, text json.RawMessage) (int64, error) {
	var name string
	var ref struct {
		Ref string `json:"ref"`
	}
	if json.Unmarshal(text, &name) != nil {
		if json.Unmarshal(text, &ref) != nil {
			return 0, p.fail(where, string(text), "a name")
		}
		name = ref.Ref
	}
	n, ok := p.channels[name]
	if !ok {
		n = int64(len(p.channels))
		p.channels[name] = n
	}
	return n, nil
}
