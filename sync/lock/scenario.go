package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Scenario is a recorded experiment: workers obey one command at a time, and after
// each the state of all is read.
type Scenario struct {
	Name  string `json:"scenario"`
	Steps []Step `json:"steps"`
}

// Step is a command and the state after it. Of the locks only the kinds that a
// scenario uses are recorded.
type Step struct {
	// Command is "W CMD" or "PW f N", "PW o N": worker W does kind, operation, index;
	// its priority becomes FIFO N or nice N.
	Command      string   `json:"step"`
	Workers      []Worker `json:"workers"`
	RTMutexOwner []TaskID `json:"rtmutex_owner"`
	MutexOwner   []TaskID `json:"mutex_owner"`
	MutexFlags   []int    `json:"mutex_flags"`
	RWSemCount   []string `json:"rwsem_count"`
	SemCount     []int    `json:"sem_count"`
}

// Worker is a worker's state.
type Worker struct {
	ID      int    `json:"w"`
	Command string `json:"last_cmd"`
	// Blocked says that the worker is still inside the command.
	Blocked  bool `json:"blocked"`
	Priority int  `json:"prio"`
	Normal   int  `json:"normal_prio"`
	// Seq is the command's place in the order in which commands finished; 0 while
	// blocked.
	Seq int `json:"seq"`
	// Result is what the last finished command answered.
	Result int `json:"res"`
}

const (
	maxScenarios = 64 << 20
	maxWorkers   = 64
	scenarioLock = 4
)

// ScenarioError says where a scenario is broken.
type ScenarioError struct {
	File, Scenario string
	// Step counts from 1; 0 is the file itself.
	Step            int
	Found, Expected string
}

func (e *ScenarioError) Error() string {
	return fmt.Sprintf("%s: %s step %d: found %s, expected %s", e.File, e.Scenario, e.Step, e.Found, e.Expected)
}

// ReadScenarios reads a JSON array of scenarios. name is the file's, for errors.
func ReadScenarios(name string, r io.Reader) ([]Scenario, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxScenarios+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxScenarios {
		return nil, &ScenarioError{name, "", 0, "a file too long", fmt.Sprintf("at most %d bytes", maxScenarios)}
	}
	var out []Scenario
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, &ScenarioError{name, "", 0, err.Error(), "an array of scenarios"}
	}
	for i := range out {
		for j := range out[i].Steps {
			if _, err := parseCommand(out[i].Steps[j].Command); err != nil {
				return nil, &ScenarioError{name, out[i].Name, j + 1, err.Error(), "W CMD, PW f N or PW o N"}
			}
		}
	}
	return out, nil
}

// command is a parsed step.
type command struct {
	worker TaskID
	// policy is 'f' or 'o' for a change of priority to value.
	policy byte
	value  int
	// kind, op and index are those of an operation on a lock; text is as written.
	kind, op byte
	index    int
	text     string
}

var errCommand = errors.New("a command that is none")

func parseCommand(s string) (command, error) {
	f := strings.Fields(s)
	if len(f) == 3 && strings.HasPrefix(f[0], "P") {
		w, err := strconv.Atoi(f[0][1:])
		n, err2 := strconv.Atoi(f[2])
		if err != nil || err2 != nil || w < 0 || w >= maxWorkers || f[1] != "f" && f[1] != "o" {
			return command{}, fmt.Errorf("%w: %q", errCommand, s)
		}
		return command{worker: TaskID(w), policy: f[1][0], value: n}, nil
	}
	if len(f) != 2 || len(f[1]) != 3 || !strings.Contains("tmwrs", f[1][:1]) || !strings.Contains("LUTG", f[1][1:2]) {
		return command{}, fmt.Errorf("%w: %q", errCommand, s)
	}
	w, err := strconv.Atoi(f[0])
	index := int(f[1][2] - '0')
	if err != nil || w < 0 || w >= maxWorkers || index < 0 || index >= scenarioLock {
		return command{}, fmt.Errorf("%w: %q", errCommand, s)
	}
	return command{worker: TaskID(w), kind: f[1][0], op: f[1][1], index: index, text: f[1]}, nil
}

// Lab is the model of the recorded experiments: workers and four locks of each
// kind; semaphore i starts with i units.
type Lab struct {
	*System
	rt      [scenarioLock]*RTMutex
	mutexes [scenarioLock]*Mutex
	rwsems  [scenarioLock]*RWSem
	sems    [scenarioLock]*Semaphore
	workers []Worker
	seq     int
	// forced is how many of those that finished last are certainly the first.
	forced int
}

// NewLab makes an experiment.
func NewLab() *Lab {
	l := &Lab{System: NewSystem(maxWorkers), workers: make([]Worker, maxWorkers)}
	for i := range scenarioLock {
		l.rt[i], l.mutexes[i] = l.NewRTMutex(), l.NewMutex()
		l.rwsems[i], l.sems[i] = l.NewRWSem(), l.NewSemaphore(i)
	}
	for i := range l.workers {
		l.workers[i] = Worker{ID: i, Command: "-", Priority: DefaultPriority, Normal: DefaultPriority}
	}
	return l
}

// Do runs a command until all workers are done or wait. It returns the workers
// whose commands finished, in the order of this model: those that were woken with
// a higher real-time priority before the one that woke them.
func (l *Lab) Do(text string) ([]TaskID, error) {
	c, err := parseCommand(text)
	if err != nil {
		return nil, err
	}
	if c.policy != 0 {
		if err := l.setPolicy(c); err != nil {
			return nil, err
		}
		return l.settle(None), nil
	}
	if l.IsBlocked(c.worker) {
		return nil, &Misuse{text, c.worker, reportBusy}
	}
	out, err := l.operate(c)
	if err != nil {
		return nil, err
	}
	l.workers[c.worker].Command = c.text
	if out == Blocked {
		l.workers[c.worker].Blocked, l.workers[c.worker].Seq = true, 0
		return l.settle(None), nil
	}
	l.workers[c.worker].Result = int(out)
	return l.settle(c.worker), nil
}

func (l *Lab) setPolicy(c command) error {
	if c.policy == 'f' {
		return l.SetFIFO(c.worker, c.value)
	}
	return l.SetNice(c.worker, c.value)
}

// settle lets all woken workers finish. by is the worker whose command is over.
func (l *Lab) settle(by TaskID) []TaskID {
	var first, rest []TaskID
	for _, t := range l.Settle() {
		l.workers[t].Blocked, l.workers[t].Result = false, int(Acquired)
		if by != None && l.outranks(t, by) {
			first = append(first, t)
		} else {
			rest = append(rest, t)
		}
	}
	l.forced = len(first)
	if by != None {
		first = append(first, by)
	}
	done := append(first, rest...)
	for _, t := range done {
		l.seq++
		l.workers[t].Seq = l.seq
	}
	for i := range l.workers {
		l.workers[i].Priority, l.workers[i].Normal = l.Priority(TaskID(i)), l.Normal(TaskID(i))
	}
	return done
}

// outranks says whether a woken task certainly runs before the one that woke it.
func (l *Lab) outranks(a, b TaskID) bool {
	return l.Priority(a) < maxRT && l.Priority(a) < l.Priority(b)
}

func (l *Lab) operate(c command) (Outcome, error) {
	i := c.index
	done := func(err error) (Outcome, error) { return Acquired, err }
	switch string(c.kind) + string(c.op) {
	case "tL":
		return l.rt[i].Lock(c.worker)
	case "tT":
		return l.rt[i].TryLock(c.worker)
	case "tU":
		return done(l.rt[i].Unlock(c.worker))
	case "mL":
		return l.mutexes[i].Lock(c.worker)
	case "mT":
		return l.mutexes[i].TryLock(c.worker)
	case "mU":
		return done(l.mutexes[i].Unlock(c.worker))
	case "wL":
		return l.rwsems[i].LockWrite(c.worker)
	case "wT":
		return l.rwsems[i].TryLockWrite(c.worker)
	case "wU":
		return done(l.rwsems[i].UnlockWrite(c.worker))
	case "wG":
		return done(l.rwsems[i].Downgrade(c.worker))
	case "rL":
		return l.rwsems[i].LockRead(c.worker)
	case "rT":
		return l.rwsems[i].TryLockRead(c.worker)
	case "rU":
		return done(l.rwsems[i].UnlockRead(c.worker))
	case "sL":
		return l.sems[i].Down(c.worker)
	case "sT":
		return l.sems[i].TryDown(c.worker)
	case "sU":
		return done(l.sems[i].Up(c.worker))
	}
	return Failed, fmt.Errorf("%w: %q", errCommand, c.text)
}

// Verdict is what a comparison of a step came to.
type Verdict struct {
	// Difference is the first thing that is not the kernel's, "" if all is.
	Difference string
	// Order says that the order in which commands finished was decided by two CPUs
	// and not by the locks, and was taken from the record.
	Order bool
	// Late says that a worker had its lock, but had not come back from the command
	// when the state was read.
	Late bool
}

// Compare proves that the state after a command is the recorded one. Where the
// record decides (order, lateness) the model takes it over.
func (l *Lab) Compare(s *Step, done []TaskID) Verdict {
	var v Verdict
	v.Difference = l.compareLocks(s)
	v.Late = l.takeLate(s)
	v.Order = l.takeOrder(s, done)
	listed := map[int]bool{}
	for i := range s.Workers {
		w := &s.Workers[i]
		listed[w.ID] = true
		if w.ID < 0 || w.ID >= maxWorkers {
			return Verdict{Difference: fmt.Sprintf("no worker %d", w.ID)}
		}
		if got := l.workers[w.ID]; got != *w && v.Difference == "" {
			v.Difference = fmt.Sprintf("worker %+v, the kernel's is %+v", got, *w)
		}
	}
	for i := range l.workers {
		idle := Worker{ID: i, Command: "-", Priority: DefaultPriority, Normal: DefaultPriority}
		if !listed[i] && l.workers[i] != idle && v.Difference == "" {
			v.Difference = fmt.Sprintf("worker %+v, the kernel's is idle", l.workers[i])
		}
	}
	return v
}

func (l *Lab) compareLocks(s *Step) string {
	for i := range scenarioLock {
		switch {
		case i < len(s.RTMutexOwner) && l.rt[i].Owner() != s.RTMutexOwner[i]:
			return fmt.Sprintf("rt_mutex %d: owner %d, the kernel's is %d", i, l.rt[i].Owner(), s.RTMutexOwner[i])
		case i < len(s.MutexOwner) && l.mutexes[i].Owner() != s.MutexOwner[i]:
			return fmt.Sprintf("mutex %d: owner %d, the kernel's is %d", i, l.mutexes[i].Owner(), s.MutexOwner[i])
		case i < len(s.MutexFlags) && l.mutexes[i].Flags() != s.MutexFlags[i]:
			return fmt.Sprintf("mutex %d: flags %d, the kernel's are %d", i, l.mutexes[i].Flags(), s.MutexFlags[i])
		case i < len(s.RWSemCount) && fmt.Sprintf("%#x", l.rwsems[i].Count()) != s.RWSemCount[i]:
			return fmt.Sprintf("rwsem %d: count %#x, the kernel's is %s", i, l.rwsems[i].Count(), s.RWSemCount[i])
		case i < len(s.SemCount) && l.sems[i].Count() != s.SemCount[i]:
			return fmt.Sprintf("semaphore %d: count %d, the kernel's is %d", i, l.sems[i].Count(), s.SemCount[i])
		}
	}
	return ""
}

// takeLate marks workers as not back from their command, if the record says so
// although they have their lock; and those back that were late before.
func (l *Lab) takeLate(s *Step) bool {
	late := false
	for i := range s.Workers {
		w := &s.Workers[i]
		if w.ID < 0 || w.ID >= maxWorkers {
			continue
		}
		m := &l.workers[w.ID]
		got := !l.IsBlocked(TaskID(w.ID))
		switch {
		case got && w.Blocked && !m.Blocked && m.Seq != 0 && m.Command == w.Command:
			m.Blocked, m.Seq, m.Result, late = true, 0, w.Result, true
			l.seq--
		case got && m.Blocked && !w.Blocked && m.Command == w.Command:
			m.Blocked, m.Seq, m.Result, late = false, w.Seq, int(Acquired), true
			l.seq++
		}
	}
	return late
}

// takeOrder takes the order of finishing from the record, as far as it does not
// follow from priorities: among those that finished in one step, a woken real-time
// task of higher priority is before the task that woke it.
func (l *Lab) takeOrder(s *Step, done []TaskID) bool {
	if len(done) < 2 {
		return false
	}
	seq := map[TaskID]int{}
	low, high, sum := 1<<30, 0, 0
	for i := range s.Workers {
		t := TaskID(s.Workers[i].ID)
		for _, d := range done {
			if d == t {
				n := s.Workers[i].Seq
				seq[t] = n
				low, high, sum = min(low, n), max(high, n), sum+n
			}
		}
	}
	first := l.seq - len(done) + 1
	if len(seq) != len(done) || low != first || high != l.seq || 2*sum != (low+high)*len(done) {
		return false
	}
	changed := false
	for i, t := range done {
		if i < l.forced && seq[t] >= first+l.forced {
			return false
		}
		changed = changed || l.workers[t].Seq != seq[t]
	}
	for _, t := range done {
		l.workers[t].Seq = seq[t]
	}
	return changed
}
