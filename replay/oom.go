package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/mm/oom"
)

// oomLogs are the files of a folder that hold the OOM killer's reports.
func oomLogs(c Capture) []string {
	logs := c.filesLike("", ".txt", maxOOMLog, containing(" invoked oom-killer:"))
	return slices.DeleteFunc(logs, func(name string) bool { return strings.HasSuffix(name, "trace.txt") })
}

// maxOOMLog bounds a log, in bytes.
const maxOOMLog = 64 << 20

func hasOOM(c Capture) bool { return len(oomLogs(c)) > 0 }

// OOM replays the OOM killer's decisions: of every report in a folder's kernel
// logs it takes the memory and the table of tasks, lets the model decide, and
// compares.
//
// Requests are decisions: who was killed (or that the kernel panicked). Events are
// tasks' points, where a JSON file beside the log has them, and
// /proc/PID/oom_score. Lists are reports,
// whose lines that the OOM killer prints have to be the same.
func OOM(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "oom")
	if err != nil {
		return nil, err
	}
	return res, eachFile(ctx, c, o, oomLogs(c), func(f source) error { return oomLog(c, f, res) })
}

func oomLog(c Capture, f source, res *Result) error {
	reports, err := oom.ParseLog(f.full, io.LimitReader(f, maxOOMLog))
	if err != nil {
		return err
	}
	want, err := oomPoints(c, f.name)
	if err != nil {
		return err
	}
	l := oomReplay{res: res, name: f.name, want: want}
	for i := range reports {
		l.report(&reports[i])
	}
	for i := l.event; i < len(want); i++ {
		if len(want[i].Tasks) > 0 {
			res.Requests++
			res.differ(0, fmt.Sprintf("%s: event %d of the JSON file is not in the log", f.name, i+1))
		}
	}
	return oomScores(c, f.name, res)
}

// oomEvent is a shortage as the JSON beside a log tells it.
type oomEvent struct {
	Tasks []struct {
		PID    int32  `json:"pid"`
		Points *int64 `json:"points"`
	} `json:"tasks"`
	TotalPages *int64 `json:"totalpages"`
}

// oomPoints reads the JSON beside a log: NAME.json of NAME.dmesg.txt.
func oomPoints(c Capture, log string) ([]oomEvent, error) {
	base, _, _ := strings.Cut(log, ".")
	name := base + ".json"
	if !c.Has(name) {
		return nil, nil
	}
	r, err := c.plain(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var file struct {
		Events []oomEvent `json:"events"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxOOMLog)).Decode(&file); err != nil {
		return nil, fmt.Errorf("replay: %s/%s: %w", c.Name, name, err)
	}
	return file.Events, nil
}

// oomReplay goes through a log.
type oomReplay struct {
	res  *Result
	name string
	log  oom.Log
	want []oomEvent
	// event is the next of want.
	event int
	// last are the tasks of the last table that are still alive.
	last *oom.Control
}

func (l *oomReplay) differ(r *oom.Report, format string, args ...any) {
	l.res.differ(0, fmt.Sprintf("%s line %d: ", l.name, r.Line)+fmt.Sprintf(format, args...))
}

func (l *oomReplay) report(r *oom.Report) {
	defer l.log.Note(r)
	if r.Kernel != "" && l.res.Kernel == "" {
		l.res.Kernel = r.Kernel
	}
	control := l.log.Control(r)
	if !r.Complete() {
		l.untold(r)
		return
	}
	profile := r.Profile()
	l.hints(r, &control)
	l.adopt(r, &control)
	v := oom.Decide(&control, &profile, nil)
	for l.vforked(r, &control, &v) || l.forkedLate(r, &control, &v) {
		v = oom.Decide(&control, &profile, nil)
	}
	l.compareDecision(r, &control, &v)
	l.comparePoints(r, &control, &profile, &v)
	l.compareText(r, &control, &profile, &v)
	l.last = &control
}

// vforked marks the model's victim as a child in vfork, whose parent was killed
// instead: the table does not tell that, but it shows the same address space for
// both. It says whether it did.
func (l *oomReplay) vforked(r *oom.Report, c *oom.Control, v *oom.Verdict) bool {
	if v.Victim < 0 || v.Action != oom.ActionKill || len(r.Kills) == 0 {
		return false
	}
	child := &c.Tasks[v.Victim]
	for i := range v.Victim {
		if t := &c.Tasks[i]; t.PID == r.Kills[0].PID && t.SameFigures(child) {
			child.Flags |= oom.VFork
			l.res.hint("a child in vfork read from its parent's kill line")
			return true
		}
	}
	return false
}

// forkedLate marks the model's victim as forked after the kernel's choice, if it is
// the last of the table and the kernel took another, or none: the table is printed
// after the choice, and other CPUs go on. The task that asks for memory was there
// before. It says whether it did.
func (l *oomReplay) forkedLate(r *oom.Report, c *oom.Control, v *oom.Verdict) bool {
	want := happened(r)
	if v.Victim < 0 || v.Victim == c.Current || c.Memcg != "" || want == "" || len(r.Kills) > 0 && r.Kills[0].PID == c.Tasks[v.Victim].PID {
		return false
	}
	for i := v.Victim + 1; i < len(c.Tasks); i++ {
		if c.Tasks[i].Flags&oom.Late == 0 {
			return false
		}
	}
	c.Tasks[v.Victim].Flags |= oom.Late
	l.res.hint("a task forked between the choice and the table")
	return true
}

// untold handles a kill whose report was not printed or not kept whole: the log
// limits how many it prints. The last table's ranking is only a guess.
func (l *oomReplay) untold(r *oom.Report) {
	switch {
	case r.Header != nil:
		l.res.count("reports without the table of tasks, not compared")
		return
	case l.last == nil:
		l.res.count("kills without a report")
		return
	}
	v := oom.Decide(l.markDead(r), &oom.Linux6_1, nil)
	if v.Victim >= 0 && l.last.Tasks[v.Victim].PID == r.Kills[0].PID {
		l.res.count("kills without a report, as the last table says")
	} else {
		l.res.count("kills without a report, other than the last table says")
	}
}

// markDead takes the killed so far out of the last table.
func (l *oomReplay) markDead(r *oom.Report) *oom.Control {
	c := l.last
	dead := l.log.Control(&oom.Report{Tasks: c.Tasks, Memory: r.Memory})
	c.Tasks = dead.Tasks
	return c
}

// hints counts settings that only what happened tells.
func (l *oomReplay) hints(r *oom.Report, c *oom.Control) {
	for _, h := range []struct {
		used bool
		kind string
	}{
		{c.KillAllocatingTask, "vm.oom_kill_allocating_task read from the kill line"},
		{c.PanicOnOOM != 0, "vm.panic_on_oom read from the panic"},
		{r.Group != "", "memory.oom.group read from its line"},
		{len(r.Gone) > 0, "members of a group that had exited read from their lines"},
		{slices.ContainsFunc(c.Tasks, func(t oom.Task) bool { return t.Flags&oom.Left != 0 }), "victims that had exited before their group was killed read from its lines"},
		{c.Memcg == "" && len(c.Groups) > 1, "order of a group's members read from their lines"},
		{len(c.NodePresent) > 0, "nodes of the request read from the summary line"},
		{r.Summary != nil && c.Memcg != "", "cgroups' paths read from the summary line"},
	} {
		if h.used {
			l.res.hint(h.kind)
		}
	}
}

// adopt takes what the table does not tell from the kill lines: how resident
// pages divide into kinds.
func (l *oomReplay) adopt(r *oom.Report, c *oom.Control) {
	if r.SplitRSS {
		return
	}
	for k := range r.Kills {
		for i := range c.Tasks {
			t := &c.Tasks[i]
			switch {
			case t.PID != r.Kills[k].PID || t.File+t.Shmem != 0:
			case t.AdoptKinds(&r.Kills[k], c.PageSize):
				l.res.hint("kinds of a victim's resident pages read from the kill line (their sum is the table's)")
			default:
				l.res.count("kill lines whose resident pages are not the table's")
			}
		}
	}
}

func (l *oomReplay) compareDecision(r *oom.Report, c *oom.Control, v *oom.Verdict) {
	got, want := decided(c, v, r.Summary != nil), happened(r)
	if want == "" {
		l.res.count("reports cut before their end, not compared")
		return
	}
	l.res.Requests++
	if got != want {
		l.differ(r, "model %s, kernel %s", got, want)
		return
	}
	l.res.Exact++
}

// decided is a verdict in words. Without the line "oom-kill:" a report names the
// thread that is killed, not its process.
func decided(c *oom.Control, v *oom.Verdict, summary bool) string {
	var b strings.Builder
	if v.Victim >= 0 {
		id := c.Tasks[v.Victim].PID
		if summary {
			id = c.Tasks[v.Victim].Leader()
		}
		fmt.Fprintf(&b, "%s: kills %d", v.Constraint, id)
	}
	for _, i := range v.Members {
		if c.Tasks[i].Flags&oom.Gone == 0 {
			fmt.Fprintf(&b, ", %d", c.Tasks[i].PID)
		}
	}
	if v.Victim < 0 && v.Panic == "" {
		b.WriteString(v.Action.String())
	}
	if v.Panic != "" {
		b.WriteString("panics: " + v.Panic)
	}
	return b.String()
}

// happened is what the kernel did, in the same words; "" if the report ends
// before.
func happened(r *oom.Report) string {
	var b strings.Builder
	switch s := r.Summary; {
	case s != nil:
		fmt.Fprintf(&b, "%s: kills %d", s.Constraint, s.PID)
	case len(r.Kills) > 0:
		constraint := "CONSTRAINT_NONE"
		if r.Memory.HasLimit {
			constraint = "CONSTRAINT_MEMCG"
		}
		fmt.Fprintf(&b, "%s: kills %d", constraint, r.Kills[0].PID)
	case r.Panic == "" && r.Nobody:
		b.WriteString(oom.ActionNobody.String())
	}
	for i := 1; i < len(r.Kills); i++ {
		fmt.Fprintf(&b, ", %d", r.Kills[i].PID)
	}
	if r.Panic != "" {
		b.WriteString("panics: " + r.Panic)
	}
	return b.String()
}

// comparePoints compares every task's points with those that the JSON file has.
// A panic comes before points: they are computed all the same.
func (l *oomReplay) comparePoints(r *oom.Report, c *oom.Control, p *oom.Profile, v *oom.Verdict) {
	for l.event < len(l.want) && len(l.want[l.event].Tasks) == 0 {
		l.event++ // a report without a table
	}
	if l.event >= len(l.want) {
		return
	}
	want := &l.want[l.event]
	l.event++
	got := v.Points
	if got == nil {
		quiet := *c
		quiet.PanicOnOOM = 0
		got = oom.Decide(&quiet, p, nil).Points
	}
	if want.TotalPages != nil && *want.TotalPages != v.TotalPages {
		l.differ(r, "model measures against %d pages, kernel %d", v.TotalPages, *want.TotalPages)
	}
	if len(want.Tasks) != len(got) {
		l.res.Events += len(want.Tasks)
		l.differ(r, "the table has %d tasks, the JSON file %d", len(got), len(want.Tasks))
		return
	}
	for i := range want.Tasks {
		l.res.Events++
		w := int64(oom.NotCandidate)
		if want.Tasks[i].Points != nil {
			w = *want.Tasks[i].Points
		}
		if want.Tasks[i].PID == c.Tasks[i].PID && w == got[i] {
			l.res.EventsExact++
			continue
		}
		l.differ(r, "task %d has %d points in the model, %d in the capture", c.Tasks[i].PID, got[i], w)
	}
}

// compareText compares the report's lines that the OOM killer prints itself.
func (l *oomReplay) compareText(r *oom.Report, c *oom.Control, p *oom.Profile, v *oom.Verdict) {
	var where oom.Summary
	if r.Summary != nil {
		where = *r.Summary
	}
	got := oom.Lines(c, p, v, r.Header, nil, where)
	l.res.Lists++
	for i := range max(len(got), len(r.Text)) {
		switch {
		case i >= len(got):
			l.differ(r, "the model's report ends before %q", r.Text[i])
		case i >= len(r.Text) && happened(r) == "":
			l.res.ListsIdentical++ // cut: what there is of it is the same
			return
		case i >= len(r.Text):
			l.differ(r, "the kernel's report ends before %q", got[i])
		case got[i] == r.Text[i] || r.Wrapped[i] && sameFields(got[i], r.Text[i]):
			continue
		default:
			l.differ(r, "the model prints %q, the kernel %q", got[i], r.Text[i])
		}
		return
	}
	l.res.ListsIdentical++
}

// sameFields: the lines are equal but for blanks.
func sameFields(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}
