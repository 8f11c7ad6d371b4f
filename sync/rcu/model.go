package rcu

import (
	"errors"
	"fmt"
	"strconv"
)

// Config describes a machine.
type Config struct {
	// CPUs is 1 to 4096.
	CPUs int
	// Fanout is how many CPUs a leaf of the tree has, and how many nodes a node above;
	// 0 stands for 16 (RCU_FANOUT_LEAF).
	Fanout int
	// Batch is how many callbacks a CPU invokes at once; 0 stands for 10 (blimit).
	Batch int
	// Emit takes the events; nil drops them.
	Emit func(*Event)
	// Invoke is called with a callback's number when it runs; nil drops it.
	Invoke func(cpu int, callback uint64)
}

// firstSeq is gp_seq at boot: the count -300 and state 0.
const firstSeq = -300 << 2

// seqState are the low bits of gp_seq: 0 idle, 1 a grace period runs.
const seqState = 3

// snap is the value of gp_seq at which a whole grace period that begins from now on
// is over (rcu_seq_snap).
func snap(seq int64) int64 { return (seq + 2*seqState + 1) &^ seqState }

// Model is RCU on one machine: the tree of nodes, the grace period, every CPU's
// callbacks. Nothing happens by itself: [Model.Tick] is a CPU's scheduling-clock
// interrupt, [Model.Core] its RCU softirq, [Model.GracePeriod] a step of the
// grace-period kthread.
type Model struct {
	cfg Config
	seq int64
	// wanted is the highest gp_seq that somebody waits for.
	wanted int64
	levels [][]treeNode
	cpus   []cpuState
	tasks  []readerTask
	events uint64
	// forced counts the scans for quiescent states in this grace period.
	forced int
	exp    expedited
	// queued are the callbacks that wait.
	queued map[uint64]struct{}
}

// treeNode is an rcu_node: which of its children it still waits for.
type treeNode struct {
	init, waits uint64
	lo, hi      int
}

// cpuState is a CPU's part (rcu_data).
type cpuState struct {
	// seq is the grace period that the CPU knows of; needsQS says that it has not
	// reported its quiescent state, sawQS that it has one to report.
	seq            int64
	needsQS, sawQS bool
	// running is the task that runs here, -1 for none.
	running int
	callbacks
}

// readerTask is a task that may be a reader.
type readerTask struct {
	depth int
	// leaf is where the task is queued because it was preempted inside a reader, -1 if
	// it is not; current says that the running grace period waits for it.
	leaf    int
	current bool
}

// segments of a CPU's list.
const (
	segDone = iota
	segWait
	segReady
	segNext
	segments
)

// callbacks is a CPU's list in segments (rcu_segcblist): what is done, what waits
// for one grace period, what waits for the one after it, and what is new.
type callbacks struct {
	list []uint64
	// end is where each segment ends; until is the gp_seq at which it is done.
	end   [segments]int
	until [segments]int64
}

// New makes a machine at boot.
func New(cfg Config) (*Model, error) {
	if cfg.CPUs < 1 || cfg.CPUs > 4096 || cfg.Fanout < 0 || cfg.Fanout > 64 || cfg.Fanout == 1 || cfg.Batch < 0 {
		return nil, fmt.Errorf("rcu: CPUs %d, fanout %d, batch %d: want 1 to 4096, 2 to 64, at least 0", cfg.CPUs, cfg.Fanout, cfg.Batch)
	}
	if cfg.Fanout == 0 {
		cfg.Fanout = 16
	}
	if cfg.Batch == 0 {
		cfg.Batch = 10
	}
	m := &Model{cfg: cfg, seq: firstSeq, wanted: firstSeq, cpus: make([]cpuState, cfg.CPUs), queued: map[uint64]struct{}{}}
	for i := range m.cpus {
		m.cpus[i].seq, m.cpus[i].running = firstSeq, -1
	}
	for children, span := cfg.CPUs, 1; ; children = len(m.levels[0]) {
		span *= cfg.Fanout
		m.levels = append([][]treeNode{level(children, cfg.Fanout, span, cfg.CPUs)}, m.levels...)
		if len(m.levels[0]) == 1 {
			return m, nil
		}
	}
}

// level makes the nodes over some children.
func level(children, fanout, span, cpus int) []treeNode {
	var out []treeNode
	for first := 0; first < children; first += fanout {
		n := min(fanout, children-first)
		out = append(out, treeNode{
			init: 1<<(n-1)<<1 - 1, lo: len(out) * span, hi: min(len(out)*span+span, cpus) - 1,
		})
	}
	return out
}

// Seq is gp_seq: its low two bits are 1 while a grace period runs.
func (m *Model) Seq() int64 { return m.seq }

func (m *Model) running() bool { return m.seq&seqState != 0 }

func (m *Model) emit(cpu int, name string, args ...string) {
	m.events++
	if m.cfg.Emit == nil {
		return
	}
	m.cfg.Emit(&Event{Task: "rcu", PID: 1, CPU: cpu, Time: strconv.FormatUint(m.events, 10), Name: name, Args: append([]string{"rcu_preempt"}, args...)})
}

func (m *Model) emitPeriod(cpu int, seq int64, what string) {
	m.emit(cpu, "rcu_grace_period", strconv.FormatInt(seq, 10), what)
}

// Marker emits a line of a test's own, as the checker knows them.
func (m *Model) Marker(cpu int, what string, id int) {
	m.events++
	if m.cfg.Emit != nil {
		m.cfg.Emit(&Event{Task: "test", PID: 1, CPU: cpu, Time: strconv.FormatUint(m.events, 10), Name: "marker", Args: []string{what, "id=" + strconv.Itoa(id)}})
	}
}

// String is the event as a line of a trace.
func (e *Event) String() string {
	line := fmt.Sprintf("%16s-%-7d [%03d] ..... %12s: %s:", e.Task, e.PID, e.CPU, e.Time, e.Name)
	for _, a := range e.Args {
		line += " " + a
	}
	return line
}

// Misuse of the model, named as the kernel reports it.
var (
	// ErrUnlock: rcu_read_unlock without rcu_read_lock.
	ErrUnlock = errors.New("rcu: WARNING: rcu_read_unlock without rcu_read_lock")
	// ErrDoubleCall: call_rcu of a callback that is queued.
	ErrDoubleCall = errors.New("rcu: call_rcu(): Double-freed CB (ODEBUG: activate active (active state 1) object type: rcu_head)")
	// ErrNotRunning: a task acts that does not run on the CPU.
	ErrNotRunning = errors.New("rcu: the task does not run there")
)

// Run makes a task run on a CPU, or with -1 none: a context switch. A reader that
// was running is preempted: grace periods wait for it by name from now on
// (rcu_note_context_switch).
func (m *Model) Run(cpu, task int) error {
	if !m.has(cpu) || task >= maxTasks {
		return ErrNotRunning
	}
	c := &m.cpus[cpu]
	if old := c.running; old >= 0 && m.tasks[old].depth > 0 && m.tasks[old].leaf < 0 {
		m.preempt(cpu, old)
	}
	c.running = task
	for task >= len(m.tasks) {
		m.tasks = append(m.tasks, readerTask{leaf: -1})
	}
	m.quiet(cpu)
	return nil
}

// maxTasks bounds a task's number.
const maxTasks = 1 << 20

func (m *Model) has(cpu int) bool { return cpu >= 0 && cpu < len(m.cpus) }

// runs says whether a task runs on a CPU.
func (m *Model) runs(cpu, task int) bool {
	return m.has(cpu) && task >= 0 && m.cpus[cpu].running == task
}

func (m *Model) leaves() []treeNode { return m.levels[len(m.levels)-1] }

// preempt queues a reader at its CPU's leaf. The running grace period waits for it
// if it waits for the CPU.
func (m *Model) preempt(cpu, task int) {
	m.expeditedPreempt(cpu, task)
	leaf := cpu / m.cfg.Fanout
	t := &m.tasks[task]
	t.leaf = leaf
	t.current = m.running() && m.leaves()[leaf].waits>>(cpu%m.cfg.Fanout)&1 != 0
	until := m.seq
	if !t.current {
		until = snap(m.seq)
	}
	m.emit(cpu, "rcu_preempt_task", strconv.FormatInt(until, 10), strconv.Itoa(task))
}

// ReadLock enters a reader (rcu_read_lock); it nests.
func (m *Model) ReadLock(cpu, task int) error {
	if !m.runs(cpu, task) {
		return ErrNotRunning
	}
	m.tasks[task].depth++
	return nil
}

// ReadUnlock leaves a reader (rcu_read_unlock). If the task had been preempted
// inside, it is taken off its leaf, which may be what a grace period waits for.
func (m *Model) ReadUnlock(cpu, task int) error {
	if !m.runs(cpu, task) {
		return ErrNotRunning
	}
	t := &m.tasks[task]
	if t.depth == 0 {
		return ErrUnlock
	}
	t.depth--
	if t.depth == 0 {
		m.expeditedLeave(cpu, task)
	}
	if t.depth > 0 || t.leaf < 0 {
		return nil
	}
	leaf, current := t.leaf, t.current
	t.leaf, t.current = -1, false
	m.emit(cpu, "rcu_unlock_preempted_task", strconv.FormatInt(m.seq, 10), strconv.Itoa(task))
	if current && m.leaves()[leaf].waits == 0 && !m.held(leaf) {
		m.reportUp(cpu, leaf)
	}
	return nil
}

// held says whether preempted readers of a leaf hold up the grace period.
func (m *Model) held(leaf int) bool {
	for i := range m.tasks {
		if m.tasks[i].current && m.tasks[i].leaf == leaf {
			return true
		}
	}
	return false
}

// quiet notes that a CPU is outside of readers (rcu_qs).
func (m *Model) quiet(cpu int) {
	c := &m.cpus[cpu]
	if c.needsQS && !c.sawQS {
		c.sawQS = true
		m.emitPeriod(cpu, c.seq, "cpuqs")
	}
}

// Tick is a CPU's scheduling-clock interrupt: a CPU that is not inside a reader has
// a quiescent state.
func (m *Model) Tick(cpu int) {
	if !m.has(cpu) {
		return
	}
	if t := m.cpus[cpu].running; t < 0 || m.tasks[t].depth == 0 {
		m.quiet(cpu)
	}
}

// CallRCU queues a callback on a CPU (call_rcu). One that is queued already is refused:
// its memory is in use for the list.
func (m *Model) CallRCU(cpu int, callback uint64) error {
	if !m.has(cpu) {
		return ErrNotRunning
	}
	if _, queued := m.queued[callback]; queued {
		return ErrDoubleCall
	}
	m.queued[callback] = struct{}{}
	c := &m.cpus[cpu]
	c.list = append(c.list, callback)
	c.end[segNext] = len(c.list)
	m.emit(cpu, "rcu_callback", fmt.Sprintf("rhp=%x", callback), "func=callback", strconv.Itoa(len(c.list)))
	return nil
}

// Core is a CPU's RCU softirq: it learns of grace periods that began or ended,
// says which one its callbacks need, reports its quiescent state, and invokes the
// callbacks that are done (rcu_core).
func (m *Model) Core(cpu int) {
	if !m.has(cpu) {
		return
	}
	m.noteEnds(cpu)
	m.accelerate(cpu)
	m.noteStart(cpu)
	m.reportQS(cpu)
	m.invokeDone(cpu)
}

// noteEnds moves callbacks whose grace period is over to the front segment.
func (m *Model) noteEnds(cpu int) {
	c := &m.cpus[cpu]
	over := m.seq &^ seqState
	if c.seq < over {
		m.emitPeriod(cpu, c.seq, "cpuend")
		c.seq, c.needsQS, c.sawQS = over, false, false
	}
	c.advance(over)
}

// noteStart learns of a grace period that runs.
func (m *Model) noteStart(cpu int) {
	c := &m.cpus[cpu]
	if !m.running() || c.seq == m.seq {
		return
	}
	c.seq, c.sawQS = m.seq, false
	c.needsQS = m.leaves()[cpu/m.cfg.Fanout].waits>>(cpu%m.cfg.Fanout)&1 != 0
	m.emitPeriod(cpu, m.seq, "cpustart")
}

// advance lets segments join the front one whose grace periods are over, and closes
// the gaps (rcu_segcblist_advance).
func (c *callbacks) advance(over int64) {
	done := segDone
	for i := segWait; i <= segReady && (c.end[i] == c.end[i-1] || c.until[i] <= over); i++ {
		c.end[segDone] = c.end[i]
		done = i
	}
	to := segWait
	for i := done + 1; i <= segReady; i++ {
		if c.end[i] == c.end[to-1] {
			continue
		}
		c.end[to], c.until[to] = c.end[i], c.until[i]
		to++
	}
	for ; to < segNext; to++ {
		c.end[to] = c.end[to-1]
	}
}

// accelerate says which grace period the newest callbacks need: one that begins
// from now on (rcu_accelerate_cbs).
func (m *Model) accelerate(cpu int) {
	c := &m.cpus[cpu]
	if c.end[segNext] == c.end[segDone] {
		return
	}
	until := snap(m.seq)
	// Behind the last segment that is done earlier than that.
	to := segWait
	for i := segReady; i >= segWait; i-- {
		if c.end[i] != c.end[i-1] && c.until[i] < until {
			to = i + 1
			break
		}
	}
	if to >= segNext || c.end[segNext] == c.end[to-1] {
		return
	}
	for i := to; i < segNext; i++ {
		c.end[i], c.until[i] = c.end[segNext], until
	}
	m.wanted = max(m.wanted, until)
	what := "AccReadyCB"
	if c.end[segWait] == c.end[segNext] {
		what = "AccWaitCB"
	}
	m.emitPeriod(cpu, until, what)
}

// reportQS reports a CPU's quiescent state to its leaf.
func (m *Model) reportQS(cpu int) {
	c := &m.cpus[cpu]
	if !c.needsQS || !c.sawQS || c.seq != m.seq {
		return
	}
	c.needsQS, c.sawQS = false, false
	m.clear(cpu, len(m.levels)-1, cpu/m.cfg.Fanout, 1<<(cpu%m.cfg.Fanout))
}

// clear takes children off a node and, when it waits for nothing more, the node off
// the one above (rcu_report_qs_rnp).
func (m *Model) clear(cpu, level, node int, mask uint64) {
	n := &m.levels[level][node]
	n.waits &^= mask
	leaf := level == len(m.levels)-1
	held := leaf && m.held(node)
	tasks := "0"
	if held {
		tasks = "1"
	}
	m.emit(cpu, "rcu_quiescent_state_report", strconv.FormatInt(m.seq, 10), fmt.Sprintf("%x>%x", mask, n.waits),
		strconv.Itoa(level), strconv.Itoa(n.lo), strconv.Itoa(n.hi), tasks)
	if n.waits == 0 && !held && level > 0 {
		m.clear(cpu, level-1, node/m.cfg.Fanout, 1<<(node%m.cfg.Fanout))
	}
}

// reportUp reports a leaf whose last preempted reader has left.
func (m *Model) reportUp(cpu, leaf int) {
	if level := len(m.levels) - 1; level > 0 {
		m.clear(cpu, level-1, leaf/m.cfg.Fanout, 1<<(leaf%m.cfg.Fanout))
	}
}

// invokeDone runs callbacks whose grace period is over, a batch at most.
func (m *Model) invokeDone(cpu int) {
	c := &m.cpus[cpu]
	n := min(c.end[segDone], m.cfg.Batch)
	if n == 0 {
		return
	}
	m.emit(cpu, "rcu_batch_start", fmt.Sprintf("CBs=%d", len(c.list)), fmt.Sprintf("bl=%d", m.cfg.Batch))
	batch := append([]uint64(nil), c.list[:n]...)
	c.list = append(c.list[:0], c.list[n:]...)
	for i := range c.end {
		c.end[i] -= n
	}
	for _, cb := range batch {
		delete(m.queued, cb)
		m.emit(cpu, "rcu_invoke_callback", fmt.Sprintf("rhp=%x", cb), "func=callback")
		if m.cfg.Invoke != nil {
			m.cfg.Invoke(cpu, cb)
		}
	}
	m.emit(cpu, "rcu_batch_end", fmt.Sprintf("CBs-invoked=%d", n), "idle=....")
}

// GracePeriod is a step of the grace-period kthread, on a CPU: it begins a grace
// period if one is wanted, looks whether the running one is over, and ends it. It
// is false if there was nothing to do.
func (m *Model) GracePeriod(cpu int) bool {
	if !m.running() {
		if m.wanted <= m.seq {
			return false
		}
		m.begin(cpu)
		return true
	}
	if m.levels[0][0].waits == 0 && !m.anyHeld() {
		m.finish(cpu)
		return true
	}
	m.scan(cpu)
	return true
}

func (m *Model) anyHeld() bool {
	for i := range m.tasks {
		if m.tasks[i].current {
			return true
		}
	}
	return false
}

func (m *Model) begin(cpu int) {
	m.seq++
	m.forced = 0
	m.emitPeriod(cpu, m.seq, "start")
	for i := range m.tasks {
		m.tasks[i].current = m.tasks[i].leaf >= 0
	}
	for level, nodes := range m.levels {
		for i := range nodes {
			n := &nodes[i]
			n.waits = n.init
			m.emit(cpu, "rcu_grace_period_init", strconv.FormatInt(m.seq, 10), strconv.Itoa(level), strconv.Itoa(n.lo), strconv.Itoa(n.hi), strconv.FormatUint(n.waits, 16))
		}
	}
	m.emitPeriod(cpu, m.seq, "fqswait")
}

// scan reports the quiescent states of idle CPUs for them
// (force_qs_rnp, dyntick_save_progress_counter).
func (m *Model) scan(cpu int) {
	m.emitPeriod(cpu, m.seq, "fqsstart")
	m.forced++
	for i := range m.cpus {
		leaf, bit := i/m.cfg.Fanout, uint64(1)<<(i%m.cfg.Fanout)
		if m.cpus[i].running < 0 && m.leaves()[leaf].waits&bit != 0 {
			m.emit(cpu, "rcu_fqs", strconv.FormatInt(m.cpus[i].seq, 10), strconv.Itoa(i), "dti")
			m.cpus[i].needsQS = false
			m.clear(cpu, len(m.levels)-1, leaf, bit)
		}
	}
	m.emitPeriod(cpu, m.seq, "fqsend")
	m.emitPeriod(cpu, m.seq, "fqswait")
}

func (m *Model) finish(cpu int) {
	m.emitPeriod(cpu, m.seq, "end")
	m.seq = (m.seq | seqState) + 1
	if m.wanted > m.seq {
		m.emitPeriod(cpu, m.seq, "newreq")
	}
	m.emitPeriod(cpu, m.seq, "reqwait")
}

// Holders lists what the running grace period waits for: CPUs, and preempted
// readers by task. It is what a stall warning names.
func (m *Model) Holders() (cpus, tasks []int) {
	if !m.running() {
		return nil, nil
	}
	for i := range m.cpus {
		if m.leaves()[i/m.cfg.Fanout].waits>>(i%m.cfg.Fanout)&1 != 0 {
			cpus = append(cpus, i)
		}
	}
	for i := range m.tasks {
		if m.tasks[i].current {
			tasks = append(tasks, i)
		}
	}
	return cpus, tasks
}

// Queued is how many callbacks a CPU has.
func (m *Model) Queued(cpu int) int {
	if !m.has(cpu) {
		return 0
	}
	return len(m.cpus[cpu].list)
}

// Check proves the invariants: segments in order; a node waits for a child exactly
// while the child waits for something; queued readers are inside.
func (m *Model) Check() error {
	for i := range m.cpus {
		c := &m.cpus[i]
		for s := 1; s < segments; s++ {
			if c.end[s] < c.end[s-1] {
				return fmt.Errorf("rcu: CPU %d: segment %d ends at %d, the one before at %d", i, s, c.end[s], c.end[s-1])
			}
		}
		if c.end[segNext] != len(c.list) {
			return fmt.Errorf("rcu: CPU %d: %d callbacks, segments end at %d", i, len(c.list), c.end[segNext])
		}
	}
	for level := 0; level+1 < len(m.levels) && m.running(); level++ {
		for i, child := range m.levels[level+1] {
			leaf := level+2 == len(m.levels)
			busy := child.waits != 0 || leaf && m.held(i)
			if waits := m.levels[level][i/m.cfg.Fanout].waits>>(i%m.cfg.Fanout)&1 != 0; waits != busy {
				return fmt.Errorf("rcu: level %d node %d: the parent waits is %v, it is busy is %v", level+1, i, waits, busy)
			}
		}
	}
	for i, t := range m.tasks {
		if t.leaf >= 0 && t.depth == 0 {
			return fmt.Errorf("rcu: task %d is queued and no reader", i)
		}
	}
	return nil
}
