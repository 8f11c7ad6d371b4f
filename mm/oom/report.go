package oom

import (
	"fmt"
	"strconv"
)

// Report is the OOM killer's part of the log for one shortage.
//
// The kernel limits the rate of the first part (header to summary) but not of
// kill lines: in a storm of kills some stand alone, without a table.
type Report struct {
	// Line is where the report starts in its file, from 1.
	Line int
	// Header has the line "X invoked oom-killer".
	Header *Header
	// Context are the lines between header and table: stack and counters of
	// memory. The OOM killer does not decide by them.
	Context []string
	// Memory are the figures in Context that decide.
	Memory Memory
	// HasTable: the table of tasks was printed; SplitRSS: with the kinds of
	// memory apart.
	HasTable, SplitRSS bool
	Tasks              []Task
	// Summary is the line "oom-kill:".
	Summary *Summary
	// Kills are the kill lines, in the order of the log.
	Kills []Kill
	// Group is the cgroup that is killed whole.
	Group string
	// Gone are those of the group that had exited before they were killed.
	Gone []int32
	// Members are the group's, killed or gone, in the order of the log.
	Members []int32
	// Nobody: there was nobody to be killed.
	Nobody bool
	// Panic is the text of the panic that followed, or "".
	Panic string
	// Kernel is the kernel's release, "" if the report does not tell.
	Kernel string
	// Lines are the report's lines that [Report.Lines] writes, as they stand
	// in the log without time stamps; Wrapped says for each that it was
	// broken in two by what handled the log, so that its blanks are not the
	// kernel's.
	Text    []string
	Wrapped []bool
}

// Header is the report's first line and what follows at once.
type Header struct {
	Comm string
	// GFPMask is the number, GFPNames its names, as printed.
	GFPMask, GFPNames string
	Order             int
	OOMScoreAdj       int
	// PID is the current task's; 0 if not told.
	PID int32
}

// Memory are the report's figures about memory.
type Memory struct {
	// PageSize in bytes; 0 if not told.
	PageSize int64
	// RAMPages and ReservedPages are all present pages and those that are
	// not managed; HasRAM: they were told.
	RAMPages, ReservedPages int64
	HasRAM                  bool
	// SwapKB is all swap, in kB; HasSwap: it was told.
	SwapKB  int64
	HasSwap bool
	// LimitKB is the cgroup's memory.max, SwapLimitKB its memory.swap.max or
	// (Memsw) the memory+swap limit, in kB.
	LimitKB, SwapLimitKB          int64
	HasLimit, HasSwapLimit, Memsw bool
	// PresentKB are the nodes' present memory, in kB, by the zones shown.
	PresentKB []int64
}

// Summary is the line "oom-kill:".
type Summary struct {
	Constraint, Nodemask, Cpuset, MemsAllowed string
	// OOMMemcg is "" for a machine-wide shortage.
	OOMMemcg, TaskMemcg, Task string
	PID                       int32
	UID                       uint32
}

// Kill is the line "Killed process".
type Kill struct {
	Line          int
	Message, Comm string
	PID           int32
	UID           uint32
	// The sizes are in kB.
	TotalVM, Anon, File, Shmem, Pgtables int64
	OOMScoreAdj                          int
}

// String is the line, as the kernel prints it.
func (h *Header) String() string {
	return fmt.Sprintf("%s invoked oom-killer: gfp_mask=%s(%s), order=%d, oom_score_adj=%d", h.Comm, h.GFPMask, h.GFPNames, h.Order, h.OOMScoreAdj)
}

// String is the line, as the kernel prints it.
func (s *Summary) String() string {
	where := ",global_oom"
	if s.OOMMemcg != "" {
		where = ",oom_memcg=" + s.OOMMemcg
	}
	return fmt.Sprintf("oom-kill:constraint=%s,nodemask=%s,cpuset=%s,mems_allowed=%s%s,task_memcg=%s,task=%s,pid=%d,uid=%d",
		s.Constraint, s.Nodemask, s.Cpuset, s.MemsAllowed, where, s.TaskMemcg, s.Task, s.PID, s.UID)
}

// String is the line, as the kernel prints it.
func (k *Kill) String() string {
	return fmt.Sprintf("%s: Killed process %d (%s) total-vm:%dkB, anon-rss:%dkB, file-rss:%dkB, shmem-rss:%dkB, UID:%d pgtables:%dkB oom_score_adj:%d",
		k.Message, k.PID, k.Comm, k.TotalVM, k.Anon, k.File, k.Shmem, k.UID, k.Pgtables, k.OOMScoreAdj)
}

// KillOf is the kill line of a task.
func KillOf(t *Task, message string, pageSize int64) Kill {
	kb := pageSize >> 10
	return Kill{Message: message, Comm: t.Comm, PID: t.PID, UID: t.UID, TotalVM: t.TotalVM * kb,
		Anon: t.Anon * kb, File: t.File * kb, Shmem: t.Shmem * kb, Pgtables: t.PgtablesBytes >> 10, OOMScoreAdj: int(t.OOMScoreAdj)}
}

const (
	tableTitle = "Tasks state (memory values in pages):"
	tableHead  = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
	tableSplit = "[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name"
)

// Table writes the table of tasks with its two headings (dump_tasks), leaving
// out those that the kernel leaves out.
func Table(c *Control, p *Profile, k Constraint) []string {
	head := tableHead
	if p.SplitRSS {
		head = tableSplit
	}
	out := []string{tableTitle, head}
	for i := range c.Tasks {
		t := &c.Tasks[i]
		if !t.has(Init|KernelThread|NoMM) && c.eligible(t, k) {
			out = append(out, t.row(p.SplitRSS))
		}
	}
	return out
}

func (t *Task) row(split bool) string {
	kinds := ""
	if split {
		kinds = fmt.Sprintf("%8d %8d %9d ", t.Anon, t.File, t.Shmem)
	}
	return fmt.Sprintf("[%7d] %5d %5d %8d %8d %s%8d %8d         %5d %s", t.PID, t.UID, t.TGID, t.TotalVM, t.RSS(), kinds, t.PgtablesBytes, t.Swapents, t.OOMScoreAdj, t.Comm)
}

// Lines writes the report of a verdict, as the kernel prints it, without time
// stamps. h, context and where (Cpuset, MemsAllowed, Nodemask) are what the
// model does not know.
func Lines(c *Control, p *Profile, v *Verdict, h *Header, context []string, where Summary) []string {
	switch v.Action {
	case ActionWait, ActionReserves, ActionFail:
		return nil
	}
	out := append([]string{h.String()}, context...)
	out = append(out, Table(c, p, v.Constraint)...)
	if v.Victim >= 0 {
		s := v.summary(c, where)
		out = append(out, s.String())
	}
	return append(out, v.killLines(c)...)
}

// summary is the line "oom-kill:" of a verdict.
func (v *Verdict) summary(c *Control, where Summary) Summary {
	t := &c.Tasks[v.Victim]
	where.Constraint, where.OOMMemcg = v.Constraint.String(), c.Memcg
	where.Nodemask = orText(where.Nodemask, "(null)")
	where.Cpuset, where.MemsAllowed = orText(where.Cpuset, "/"), orText(where.MemsAllowed, "0")
	where.TaskMemcg, where.Task, where.PID, where.UID = orText(t.Memcg, "/"), chosenComm(t, where.Task), t.Leader(), t.UID
	return where
}

// chosenComm is the name of the victim's leader: the task's own, or if another thread
// stands for it, what is known of it.
func chosenComm(t *Task, known string) string {
	if t.Leader() == t.PID {
		return t.Comm
	}
	return orText(known, t.Comm)
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// killLines are the lines after the summary.
func (v *Verdict) killLines(c *Control) []string {
	var out []string
	if v.Victim >= 0 {
		out = append(out, v.killLine(c, v.Victim))
	} else if v.Message != "" {
		out = append(out, v.Message)
	}
	if v.Group != "" {
		out = append(out, "Tasks in "+v.Group+groupTail)
	}
	for _, i := range v.Members {
		if t := &c.Tasks[i]; t.has(Gone) {
			out = append(out, fmt.Sprintf("%s: OOM victim %d (%s)%s", v.Message, t.PID, t.Comm, exitingTail))
			continue
		}
		out = append(out, v.killLine(c, i))
	}
	if v.Panic != "" {
		out = append(out, panicHead+v.Panic)
	}
	return out
}

func (v *Verdict) killLine(c *Control, i int) string {
	k := KillOf(&c.Tasks[i], v.Message, c.pageSize())
	return k.String()
}

const (
	groupTail   = " are going to be killed due to memory.oom.group set"
	exitingTail = " is already exiting. Skip killing the task"
	panicHead   = "Kernel panic - not syncing: "
)

// versionOf gives the first two numbers of a kernel's release.
func versionOf(release string) (a, b int) {
	for _, n := range []*int{&a, &b} {
		i := 0
		for i < len(release) && release[i] >= '0' && release[i] <= '9' {
			i++
		}
		*n, _ = strconv.Atoi(release[:i])
		if i < len(release) {
			i++
		}
		release = release[i:]
	}
	return a, b
}
