package rcu

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Rule is one of the guarantees that a trace is checked for.
type Rule string

// The rules.
const (
	// EarlyFree: no callback runs and no synchronize_rcu returns while a reader that
	// was inside before it was asked for is still inside.
	EarlyFree Rule = "no reader outlived"
	// Sequence: normal grace periods never overlap, and their number grows by 4.
	Sequence Rule = "grace periods in sequence"
	// Phases: the events of a grace period come between its start and end, and
	// the end when every quiescent state is reported and no preempted reader is left.
	Phases Rule = "phases of a grace period"
	// FullPeriod: a callback runs after a whole grace period that began after it was
	// queued.
	FullPeriod Rule = "a whole grace period before a callback"
	// Acceleration: callbacks wait for the end of the next grace period that has not
	// begun yet.
	Acceleration Rule = "the grace period that callbacks wait for"
	// Batches: a batch invokes as many as it says, at most what the CPU's list holds,
	// on the CPU that queued them and in order.
	Batches Rule = "batches of callbacks"
	// Barrier: rcu_barrier returns after every callback queued before it has run.
	Barrier Rule = "rcu_barrier"
	// Expedited: expedited grace periods do not overlap, their number grows by 4, their
	// events come in order, and who waits goes on only after it was waited for.
	Expedited Rule = "expedited grace periods"
)

// Rules lists them all.
var Rules = []Rule{EarlyFree, Sequence, Phases, FullPeriod, Acceleration, Batches, Barrier, Expedited}

// Violation is a place where a trace breaks a rule.
type Violation struct {
	Line int    `json:"line"`
	Rule Rule   `json:"rule"`
	Text string `json:"text"`
}

func (v Violation) String() string { return fmt.Sprintf("line %d: %s: %s", v.Line, v.Rule, v.Text) }

// Findings is what a check came to.
type Findings struct {
	Events       int `json:"events"`
	GracePeriods int `json:"grace_periods"`
	Readers      int `json:"readers"`
	Callbacks    int `json:"callbacks"`
	// Checks counts, for each rule in the order of Rules, how often it was applied.
	Checks []int `json:"checks"`
	// Overlaps counts the readers inside when a callback was queued or
	// synchronize_rcu called.
	Overlaps   int         `json:"overlaps"`
	Violations []Violation `json:"violations"`
}

// Applied is how often a rule was applied.
func (f *Findings) Applied(r Rule) int { return f.Checks[slices.Index(Rules, r)] }

// maxViolations bounds the list.
const maxViolations = 100

// Checker checks a trace event by event.
type Checker struct {
	f Findings
	// seq is the running or last grace period's number, odd while it runs; known
	// says that one has been seen.
	seq            int64
	running, known bool
	// period counts starts; complete is the last period all of whose quiescent states
	// were reported.
	period, complete int
	// masks are what each node of the tree waits for.
	masks map[string]uint64
	// blocked are the preempted readers: PID to the number of the grace period that
	// waits for them.
	blocked map[int]int64
	// readers are those inside, id to line.
	readers map[string]int
	// waits are the requests that must outlast readers: "cb 7", "sync 3".
	waits map[string][]string
	// callbacks maps a callback's address to where it was queued.
	callbacks map[string]queued
	// order numbers the callbacks of a CPU as they are queued; last is the number of
	// the one that ran last.
	order, last map[int]int
	batches     map[int]*batch
	// pending are the markers' callbacks that have not run, id to line.
	pending map[string]int
	barrier []string
	// snap is the value of next at a CPU's last SegCbPreAcc.
	snap map[int]int64
	// exp is the expedited grace period that was last seen.
	exp expeditedSeen
}

// expeditedSeen is where an expedited grace period has got to.
type expeditedSeen struct {
	seq   int64
	phase int
	known bool
}

// expeditedPhases are the events of an expedited grace period, in order.
var expeditedPhases = []string{"start", "reset", "select", "startwait", "end", "endwake"}

// expeditedEnd is the place of "end".
const expeditedEnd = 4

// expedited checks an event of an expedited grace period.
func (c *Checker) expedited(e *Event) string {
	seq, err := strconv.ParseInt(e.arg(1), 10, 64)
	if err != nil || len(e.Args) < 3 {
		return "NAME seq EVENT"
	}
	x := &c.exp
	over := x.phase >= expeditedEnd
	switch what := e.arg(2); what {
	case "snap":
		next := x.seq + 4
		if !over {
			next += 4
		}
		// The period that was to begin may have begun, and ended, without having said so.
		if x.known {
			c.prove(e, Expedited, seq&seqState == 0 && seq >= x.seq+4 && seq <= next+4, "snapshot %d, after %d", seq, x.seq)
		}
	case "start":
		if x.known {
			c.prove(e, Expedited, over && seq == x.seq+4, "start of %d, after %d", seq, x.seq)
		}
		*x = expeditedSeen{seq: seq, known: true}
	case "done":
		// The sequence says that the period is over before the line "end" does.
		if x.known {
			c.prove(e, Expedited, seq < x.seq || seq == x.seq && x.phase >= expeditedEnd-1, "%d is done, it was not waited for", seq)
		}
	default:
		i := slices.Index(expeditedPhases, what)
		if i < 0 || !x.known {
			return ""
		}
		// Waking up may go on while the next one runs.
		if what == "endwake" && seq < x.seq {
			return ""
		}
		c.prove(e, Expedited, seq == x.seq && i == x.phase+1, "%s of %d, after %s of %d", what, seq, expeditedPhases[x.phase], x.seq)
		x.phase = i
	}
	return ""
}

// queued is where and when a callback was queued.
type queued struct{ cpu, order, period int }

// batch is a run of callbacks on a CPU.
type batch struct{ announced, invoked int }

// NewChecker makes a checker at the beginning of a trace.
func NewChecker() *Checker {
	return &Checker{
		f: Findings{Checks: make([]int, len(Rules)), Violations: []Violation{}}, masks: map[string]uint64{}, blocked: map[int]int64{},
		readers: map[string]int{}, waits: map[string][]string{}, callbacks: map[string]queued{},
		order: map[int]int{}, last: map[int]int{}, batches: map[int]*batch{}, pending: map[string]int{},
		snap: map[int]int64{},
	}
}

// Check reads a trace and checks it. The error is about its text; violations are
// in the findings.
func Check(name string, r io.Reader) (*Findings, error) {
	c := NewChecker()
	err := ReadTrace(name, r, func(e *Event) error {
		if bad := c.Event(e); bad != "" {
			return &TraceError{name, e.Line, e.Name + " " + strings.Join(e.Args, " "), bad}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.Findings(), nil
}

// Findings is what the events so far came to.
func (c *Checker) Findings() *Findings { return &c.f }

// prove counts an application of a rule, and a violation if it does not hold.
func (c *Checker) prove(e *Event, r Rule, holds bool, format string, args ...any) {
	c.f.Checks[slices.Index(Rules, r)]++
	if !holds && len(c.f.Violations) < maxViolations {
		c.f.Violations = append(c.f.Violations, Violation{e.Line, r, fmt.Sprintf(format, args...)})
	}
}

// Event checks the next event. It returns what was expected if the event is
// broken; events of other names are passed over.
func (c *Checker) Event(e *Event) string {
	c.f.Events++
	switch e.Name {
	case "marker":
		return c.marker(e)
	case "rcu_grace_period":
		return c.gracePeriod(e)
	case "rcu_exp_grace_period":
		return c.expedited(e)
	case "rcu_grace_period_init":
		return c.nodeInit(e)
	case "rcu_quiescent_state_report":
		return c.report(e)
	case "rcu_preempt_task", "rcu_unlock_preempted_task":
		return c.preempted(e)
	case "rcu_callback", "rcu_kvfree_callback":
		c.queue(e)
	case "rcu_invoke_callback", "rcu_invoke_kvfree_callback":
		c.invoke(e)
	case "rcu_batch_start":
		return c.batchStart(e)
	case "rcu_batch_end":
		return c.batchEnd(e)
	case "rcu_segcb_stats":
		if e.arg(0) == "SegCbPreAcc" {
			c.snap[e.CPU] = c.next()
		}
	}
	return ""
}

// normal says whether an event is about the flavour whose grace periods are
// checked.
func normal(e *Event) bool { return e.arg(0) == "rcu_preempt" || e.arg(0) == "rcu_sched" }

func (c *Checker) gracePeriod(e *Event) string {
	seq, err := strconv.ParseInt(e.arg(1), 10, 64)
	if err != nil || len(e.Args) < 3 {
		return "NAME gp_seq EVENT"
	}
	if !normal(e) {
		return ""
	}
	switch e.arg(2) {
	case "start":
		c.start(e, seq)
	case "end":
		c.end(e, seq)
	case "newreq":
		if c.known && !c.running {
			c.prove(e, Sequence, seq == c.seq+3 || seq == c.seq+4, "request at %d, after the grace period %d", seq, c.seq)
		}
	case "fqswait", "fqsstart", "fqsend":
		if c.known {
			c.prove(e, Phases, c.running && seq == c.seq, "%s at %d outside of that grace period", e.arg(2), seq)
		}
	case "cpuqs":
		if c.known {
			// A CPU may know of the end before the root says so.
			c.prove(e, Phases, seq <= c.seq || c.allReported() && seq == c.seq+3, "quiescent state for %d, the grace period is %d", seq, c.seq)
		}
	case "AccWaitCB", "AccReadyCB":
		c.accelerate(e, seq)
	}
	return ""
}

func (c *Checker) start(e *Event, seq int64) {
	c.prove(e, Sequence, seq&3 == 1, "start at %d, whose state is %d", seq, seq&3)
	if c.known {
		c.prove(e, Sequence, !c.running, "start of %d while %d runs", seq, c.seq)
		c.prove(e, Sequence, seq == c.seq+4, "start of %d after %d", seq, c.seq)
	}
	c.seq, c.running, c.known = seq, true, true
	c.period++
	c.f.GracePeriods++
	clear(c.masks)
}

func (c *Checker) end(e *Event, seq int64) {
	if !c.known {
		c.seq, c.known = seq, true
		return
	}
	c.prove(e, Sequence, c.running && seq == c.seq, "end of %d, the grace period is %d", seq, c.seq)
	if c.period > 0 {
		c.prove(e, Phases, c.allReported(), "end of %d with quiescent states missing", seq)
		c.prove(e, Phases, len(c.holders(seq)) == 0, "end of %d with preempted readers %v", seq, c.holders(seq))
		c.complete = c.period
	}
	c.running = false
}

// allReported says whether every node's quiescent states are in.
func (c *Checker) allReported() bool {
	// The order does not matter.
	for _, m := range c.masks {
		if m != 0 {
			return false
		}
	}
	return true
}

// holders are the preempted readers that a grace period must wait for, by PID.
func (c *Checker) holders(seq int64) []int {
	var out []int
	// The order does not matter.
	for pid, until := range c.blocked {
		if until <= seq+3 {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// node names a node of the tree: level and CPUs.
func node(e *Event, from int) string {
	return e.arg(from) + " " + e.arg(from+1) + "-" + e.arg(from+2)
}

func (c *Checker) nodeInit(e *Event) string {
	mask, err := strconv.ParseUint(e.arg(5), 16, 64)
	if err != nil {
		return "NAME gp_seq level grplo grphi qsmask"
	}
	if normal(e) {
		c.masks[node(e, 2)] = mask
	}
	return ""
}

// report takes a quiescent state: "8>7 0 0 3 0" is mask, what is left, level, CPUs,
// preempted readers.
func (c *Checker) report(e *Event) string {
	cleared, left, ok := strings.Cut(e.arg(2), ">")
	mask, err := strconv.ParseUint(cleared, 16, 64)
	rest, err2 := strconv.ParseUint(left, 16, 64)
	seq, err3 := strconv.ParseInt(e.arg(1), 10, 64)
	if !ok || err != nil || err2 != nil || err3 != nil || len(e.Args) < 7 {
		return "NAME gp_seq mask>left level grplo grphi tasks"
	}
	if !normal(e) || c.period == 0 {
		return ""
	}
	n := node(e, 3)
	c.prove(e, Phases, c.running && seq == c.seq, "report for %d, the grace period is %d", seq, c.seq)
	c.prove(e, Phases, c.masks[n]&mask == mask && c.masks[n]&^mask == rest, "node %s: %x>%x, it waited for %x", n, mask, rest, c.masks[n])
	c.masks[n] = rest
	return ""
}

func (c *Checker) preempted(e *Event) string {
	seq, err := strconv.ParseInt(e.arg(1), 10, 64)
	pid, err2 := strconv.Atoi(e.arg(2))
	if err != nil || err2 != nil {
		return "NAME gp_seq PID"
	}
	switch {
	case !normal(e):
	case e.Name == "rcu_preempt_task":
		c.blocked[pid] = seq
	default:
		delete(c.blocked, pid)
	}
	return ""
}

// next is the end of the next grace period that has not begun: the last one's
// number is odd and ends at 3 more.
func (c *Checker) next() int64 { return c.seq + 7 }

// accelerate checks which grace period callbacks are told to wait for. The CPU
// looked at the sequence at most as early as its preceding SegCbPreAcc.
func (c *Checker) accelerate(e *Event, seq int64) {
	before, seen := c.snap[e.CPU]
	if !c.known {
		return
	}
	// Between two grace periods the next may have begun without having said so yet.
	begun := !c.running && seq == c.next()+4
	c.prove(e, Acceleration, seq == c.next() || seen && seq == before || begun,
		"callbacks wait for %d, want %d", seq, c.next())
}

// queue takes a call_rcu.
func (c *Checker) queue(e *Event) {
	c.order[e.CPU]++
	c.callbacks[e.value("rhp")] = queued{e.CPU, c.order[e.CPU], c.period}
}

// invoke takes the run of a callback. Those queued before the trace began are not
// known.
func (c *Checker) invoke(e *Event) {
	c.f.Callbacks++
	if b := c.batches[e.CPU]; b != nil {
		b.invoked++
	}
	rhp := e.value("rhp")
	q, ok := c.callbacks[rhp]
	if !ok {
		return
	}
	delete(c.callbacks, rhp)
	done := c.complete
	if c.running && c.allReported() && len(c.masks) > 0 {
		done = c.period
	}
	c.prove(e, FullPeriod, done > q.period, "%s: queued in period %d, complete is %d", rhp, q.period, done)
	c.prove(e, Batches, q.cpu == e.CPU, "%s: queued on CPU %d, runs on %d", rhp, q.cpu, e.CPU)
	c.prove(e, Batches, q.order > c.last[e.CPU], "%s: runs before one queued earlier", rhp)
	c.last[e.CPU] = max(c.last[e.CPU], q.order)
}

func (c *Checker) batchStart(e *Event) string {
	n, err := strconv.Atoi(e.value("CBs"))
	if err != nil {
		return "NAME CBs=n bl=n"
	}
	c.batches[e.CPU] = &batch{announced: n}
	return ""
}

func (c *Checker) batchEnd(e *Event) string {
	n, err := strconv.Atoi(e.value("CBs-invoked"))
	if err != nil {
		return "NAME CBs-invoked=n"
	}
	if b := c.batches[e.CPU]; b != nil {
		c.prove(e, Batches, n == b.invoked, "%d invoked, the trace has %d", n, b.invoked)
		c.prove(e, Batches, n <= b.announced, "%d invoked of %d", n, b.announced)
		delete(c.batches, e.CPU)
	}
	return ""
}

// marker takes a line of the test itself.
func (c *Checker) marker(e *Event) string {
	id := e.value("id")
	switch e.arg(0) {
	case "reader_in":
		c.f.Readers++
		c.readers[id] = e.Line
	case "reader_out":
		delete(c.readers, id)
	case "call_rcu":
		c.pending[id] = e.Line
	case "call_rcu_returned":
		c.await("cb " + id)
	case "sync_begin":
		c.await("sync " + id)
	case "cb_run":
		c.outlived(e, "cb "+id)
		delete(c.pending, id)
	case "sync_end":
		c.outlived(e, "sync "+id)
	case "rcu_barrier_begin":
		c.barrier = c.pendingIDs()
	case "rcu_barrier_end":
		left := slices.DeleteFunc(c.barrier, func(id string) bool { _, waits := c.pending[id]; return !waits })
		c.prove(e, Barrier, len(left) == 0, "callbacks %v have not run", left)
		c.barrier = nil
	}
	return ""
}

func (c *Checker) pendingIDs() []string {
	var out []string
	// The order does not matter: it is sorted.
	for id := range c.pending {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// await remembers the readers that a request must outlast.
func (c *Checker) await(what string) {
	var inside []string
	// The order does not matter: it is sorted.
	for id := range c.readers {
		inside = append(inside, id)
	}
	slices.Sort(inside)
	c.waits[what] = inside
	c.f.Overlaps += len(inside)
}

// outlived proves that the readers of a request are gone.
func (c *Checker) outlived(e *Event, what string) {
	for _, id := range c.waits[what] {
		_, inside := c.readers[id]
		c.prove(e, EarlyFree, !inside, "%s is over, reader %s is still inside", what, id)
	}
	delete(c.waits, what)
}
