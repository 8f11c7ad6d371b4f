package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kernsim/kernsim/mm/oom"
)

// oomFiles are the files of a folder that tell of memory running out: cases as
// JSON, and logs with the kernel's report that no case tells of.
func oomFiles(c Capture) (cases, logs []string) {
	have := map[string]bool{}
	walkFiles(c, func(name string) {
		switch {
		case strings.HasSuffix(name, ".json"):
			if head := string(c.head(name, 1<<12)); strings.Contains(head, `"events"`) && strings.Contains(head, `"trigger"`) {
				cases = append(cases, name)
				have[strings.TrimSuffix(name, ".json")] = true
			}
		case strings.HasSuffix(name, ".txt"):
			if strings.Contains(string(c.head(name, 1<<20)), " invoked oom-killer:") {
				logs = append(logs, name)
			}
		}
	})
	var alone []string
	for _, name := range logs {
		if base, isLog := strings.CutSuffix(name, ".dmesg.txt"); !isLog || !have[base] {
			alone = append(alone, name)
		}
	}
	return cases, alone
}

// walkFiles calls f with the files of a folder and of the folders in it,
// without the endings of their compression.
func walkFiles(c Capture, f func(name string)) {
	// A folder that cannot be read holds nothing.
	_ = fs.WalkDir(c.FS, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case d.IsDir() && strings.Count(name, "/") > 2:
			return fs.SkipDir
		case !d.IsDir():
			f(stored(name))
		}
		return nil
	})
}

func hasOOM(c Capture) bool {
	if c.Has("trace.txt") || c.Has("before.ksnap") {
		return false
	}
	cases, logs := oomFiles(c)
	return len(cases)+len(logs) > 0
}

// OOM lets the model choose whom to kill at every moment at which a kernel ran
// out of memory, and compares the points of each process, the victim, who dies
// with it, and panics.
func OOM(ctx context.Context, c Capture, o Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "oom"}
	cases, logs := oomFiles(c)
	for i, name := range append(cases, logs...) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		read := oomCase
		if i >= len(cases) {
			read = oomLog
		}
		if err := read(c, name, res); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(float64(i+1) / float64(len(cases)+len(logs)))
		}
	}
	return res, nil
}

// oomEvent is an event of a case.
type oomEvent struct {
	Trigger struct {
		Comm string `json:"comm"`
		Adj  int    `json:"oom_score_adj"`
	} `json:"trigger"`
	Tasks []struct {
		PID    int    `json:"pid"`
		UID    int    `json:"uid"`
		TGID   int    `json:"tgid"`
		VM     uint64 `json:"total_vm"`
		RSS    uint64 `json:"rss"`
		Tables uint64 `json:"pgtables_bytes"`
		Swap   uint64 `json:"swapents"`
		Adj    int    `json:"oom_score_adj"`
		Name   string `json:"name"`
		Points *int64 `json:"points"`
	} `json:"tasks"`
	Constraint string   `json:"constraint_line"`
	Messages   []string `json:"messages"`
	Killed     [][2]any `json:"killed"`
	TotalPages uint64   `json:"totalpages"`
	Victim     *struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	} `json:"victim"`
}

func oomCase(c Capture, name string, res *Result) error {
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	var doc struct {
		Events []oomEvent `json:"events"`
	}
	full := c.Name + "/" + name
	if err := json.NewDecoder(io.LimitReader(r, 64<<20)).Decode(&doc); err != nil {
		return fmt.Errorf("replay: %s: %w", full, err)
	}
	for i := range doc.Events {
		e := &doc.Events[i]
		e.judge(fmt.Sprintf("%s event %d", name, i+1), res)
	}
	// The log beside a case has the same events as text.
	if log := strings.TrimSuffix(name, ".json") + ".dmesg.txt"; c.Has(log) {
		return oomTexts(c, log, res)
	}
	return nil
}

func (e *oomEvent) shortage() *oom.Shortage {
	s := &oom.Shortage{TotalPages: e.TotalPages}
	for field := range strings.SplitSeq(e.Constraint, ",") {
		if v, ok := strings.CutPrefix(field, "constraint="); ok {
			s.Constraint, _ = oom.ConstraintByName(v)
		}
	}
	for _, t := range e.Tasks {
		s.Tasks = append(s.Tasks, oom.Task{PID: t.PID, UID: t.UID, TGID: t.TGID, TotalVM: t.VM, RSS: t.RSS, PageTables: t.Tables, Swap: t.Swap, Adj: t.Adj, Name: t.Name})
		if t.Name == e.Trigger.Comm && t.Adj == e.Trigger.Adj {
			s.Asking = t.TGID
		}
	}
	for _, m := range e.Messages {
		s.KillAllocating = s.KillAllocating || strings.Contains(m, "(oom_kill_allocating_task)")
	}
	return s
}

// judge compares an event of a case.
func (e *oomEvent) judge(where string, res *Result) {
	if len(e.Tasks) == 0 {
		res.count("events without a table of processes")
		return
	}
	s := e.shortage()
	for i, t := range e.Tasks {
		got, ok := s.Points(&s.Tasks[i])
		res.Requests++
		switch {
		case ok == (t.Points != nil) && (!ok || got == *t.Points):
			res.Exact++
		case t.Points == nil:
			res.differ(0, fmt.Sprintf("%s: pid %d can never be killed, the model gives it %d points", where, t.PID, got))
		default:
			res.differ(0, fmt.Sprintf("%s: pid %d has %d points, the model says %d", where, t.PID, *t.Points, got))
		}
	}
	if e.Victim == nil {
		res.count("events without a victim")
		return
	}
	victims := []int{e.Victim.PID}
	group := false
	for _, m := range e.Messages {
		group = group || strings.Contains(m, "memory.oom.group")
	}
	for i, k := range e.Killed {
		if pid, ok := k[0].(float64); ok && i > 0 {
			victims = append(victims, int(pid))
		}
	}
	judgeVictims(where, s, victims, group, "", res)
}

// judgeVictims compares who is killed: the victim, and with it its group.
func judgeVictims(where string, s *oom.Shortage, killed []int, group bool, panicText string, res *Result) {
	v := s.Choose()
	if s.KillAllocating {
		res.hint("oom_kill_allocating_task is set")
	}
	res.Requests++
	if panicText != "" {
		if v.Action.Panic(s.PanicOnOOM) == panicText {
			res.Exact++
			return
		}
		res.differ(0, fmt.Sprintf("%s: the kernel panics (%s), the model decides: %s", where, panicText, v.Action))
		return
	}
	got := -1
	if v.Victim >= 0 {
		got = s.Tasks[v.Victim].PID
	}
	if got != killed[0] {
		res.differ(0, fmt.Sprintf("%s: pid %d is killed, the model kills %d", where, killed[0], got))
		return
	}
	res.Exact++
	if group && s.Constraint == oom.ConstraintMemcg {
		judgeGroup(where, s, killed[1:], res)
	}
}

// judgeGroup compares who dies with a victim by memory.oom.group. Which tasks
// are in the group is known where it is the one that ran out: all.
func judgeGroup(where string, s *oom.Shortage, killed []int, res *Result) {
	all := make([]int, len(s.Tasks))
	for i := range all {
		all[i] = i
	}
	want := map[int]bool{}
	for _, pid := range killed {
		want[pid] = true
	}
	members := s.Group(all)
	res.Requests++
	for _, i := range members {
		if !want[s.Tasks[i].PID] {
			res.differ(0, fmt.Sprintf("%s: pid %d of the group survives, the model kills it", where, s.Tasks[i].PID))
			return
		}
	}
	if len(members) != len(want) {
		res.differ(0, fmt.Sprintf("%s: %d die with the group, the model kills %d", where, len(want), len(members)))
		return
	}
	res.Exact++
}

// oomReports reads the reports of a log.
func oomReports(c Capture, name string) ([]oom.Report, error) {
	r, err := c.plain(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return oom.ReadReports(r, path.Join(c.Name, name))
}

// oomTexts compares the lines of a log's reports with what the model prints
// from what it read.
func oomTexts(c Capture, name string, res *Result) error {
	reports, err := oomReports(c, name)
	if err != nil {
		return err
	}
	for i := range reports {
		r := &reports[i]
		text := map[string]bool{}
		for _, l := range r.Lines {
			text[strings.TrimRight(l, " ")] = true
		}
		for j := range r.Shortage.Tasks {
			res.line(name, r.Line, text, r.Shortage.Tasks[j].Row())
		}
		for j := range r.Killed {
			if r.Killed[j].Whole() {
				res.line(name, r.Line, text, r.Killed[j].Line())
			}
		}
	}
	return nil
}

func (r *Result) line(file string, line int, text map[string]bool, want string) {
	r.Events++
	if text[want] {
		r.EventsExact++
		return
	}
	r.differ(0, fmt.Sprintf("%s:%d: the report has no line %q", file, line, want))
}

// errNoTotal says that a report does not tell how much memory there is.
var errNoTotal = errors.New("the report does not tell how much memory there is")

// oomLog judges the reports of a log that no case tells of.
func oomLog(c Capture, name string, res *Result) error {
	reports, err := oomReports(c, name)
	if err != nil {
		return err
	}
	for i := range reports {
		r := &reports[i]
		where := fmt.Sprintf("%s:%d", name, r.Line)
		s := &r.Shortage
		switch {
		case !r.HasTable || len(s.Tasks) == 0:
			res.count("reports without a table of processes")
			continue
		case !r.TotalKnown:
			res.count(errNoTotal.Error())
			continue
		}
		var killed []int
		for _, k := range r.Killed {
			killed = append(killed, k.PID)
		}
		if len(killed) == 0 && r.Panic == "" {
			res.count("reports without an outcome")
			continue
		}
		judgeVictims(where, s, killed, r.GroupKill, r.Panic, res)
	}
	return nil
}
