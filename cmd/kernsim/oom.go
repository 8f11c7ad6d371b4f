package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/mm/oom"
)

func newOOMCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "oom [flags] CASE",
		Short: "Say whom the OOM killer would kill, and why",
		Long: `Reads a shortage of memory and says what Linux does about it: which task it
kills and what points each task has, or that it panics, waits or does nothing;
and prints the report as the kernel does.

CASE is a JSON file (ram_pages, swap_pages, tasks with pid, name, rss,
pgtables_bytes, swapents, oom_score_adj, memcg, ...; memcg and groups for a
cgroup's shortage; package mm/oom documents all fields), or a kernel log with OOM
reports. - is the standard input.

Exit code 0: done. 1: a log's kernel killed another task than the model. 2: the
case cannot be read.`,
		Example: `  kernsim oom case.json
  dmesg | kernsim oom --json - | jq '.[].victim'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runOOM(cmd, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the decisions as a JSON array")
	return cmd
}

// oomDecision is what the command says of a shortage.
type oomDecision struct {
	// Line is where a log's report starts; 0 for a case.
	Line       int       `json:"line,omitempty"`
	Kernel     string    `json:"kernel"`
	Action     string    `json:"action"`
	Constraint string    `json:"constraint"`
	TotalPages int64     `json:"total_pages"`
	Victim     *oomTask  `json:"victim"`
	Tasks      []oomTask `json:"tasks"`
	// AlsoKilled are the pids of those that share the victim's memory or its
	// cgroup.
	AlsoKilled []int32  `json:"also_killed,omitempty"`
	Panic      string   `json:"panic,omitempty"`
	Report     []string `json:"report"`
	// Killed is whom a log's kernel killed.
	Killed int32 `json:"killed,omitempty"`
}

// oomTask is a task with its points; null if it may not be killed.
type oomTask struct {
	PID    int32  `json:"pid"`
	Name   string `json:"name"`
	Points *int64 `json:"points"`
}

func runOOM(cmd *cobra.Command, name string, asJSON bool) error {
	text, err := readInput(name)
	if err != nil {
		return err
	}
	decisions, err := decideAll(name, text)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), decisions)
	} else {
		err = printDecisions(cmd.OutOrStdout(), decisions)
	}
	for i := range decisions {
		if d := &decisions[i]; err == nil && d.Killed != 0 && (d.Victim == nil || d.Victim.PID != d.Killed) {
			return errDifferent
		}
	}
	return err
}

// decideAll decides a case or each report of a log.
func decideAll(name string, text []byte) ([]oomDecision, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		c, err := oom.ReadCase(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		control, p := c.Control(), c.Profile()
		return []oomDecision{decide(&control, &p, c.Header(&control), nil, oom.Summary{})}, nil
	}
	reports, err := oom.ParseText(name, text)
	if err != nil {
		return nil, err
	}
	var out []oomDecision
	var log oom.Log
	for i := range reports {
		r := &reports[i]
		control, p := log.Control(r), r.Profile()
		log.Note(r)
		if !r.Complete() {
			continue
		}
		d := decide(&control, &p, r.Header, r.Context, oom.Summary{})
		d.Line = r.Line
		if len(r.Kills) > 0 {
			d.Killed = r.Kills[0].PID
		}
		out = append(out, d)
	}
	if out == nil {
		return nil, fmt.Errorf("%s: neither a JSON case nor a log with a whole OOM report", name)
	}
	return out, nil
}

func decide(c *oom.Control, p *oom.Profile, h *oom.Header, context []string, where oom.Summary) oomDecision {
	v := oom.Decide(c, p, nil)
	d := oomDecision{Kernel: p.Name, Action: v.Action.String(), Constraint: v.Constraint.String(), TotalPages: v.TotalPages,
		Panic: v.Panic, Report: oom.Lines(c, p, &v, h, context, where), Tasks: []oomTask{}}
	for i := range c.Tasks {
		t := oomTask{PID: c.Tasks[i].PID, Name: c.Tasks[i].Comm}
		if i < len(v.Points) && v.Points[i] != oom.NotCandidate {
			t.Points = &v.Points[i]
		}
		d.Tasks = append(d.Tasks, t)
	}
	if v.Victim >= 0 {
		d.Victim = &d.Tasks[v.Victim]
	}
	for _, list := range [][]int{v.Shared, v.Members} {
		for _, i := range list {
			if i != v.Victim {
				d.AlsoKilled = append(d.AlsoKilled, c.Tasks[i].PID)
			}
		}
	}
	return d
}

func printDecisions(w io.Writer, decisions []oomDecision) error {
	var b bytes.Buffer
	for i := range decisions {
		d := &decisions[i]
		fmt.Fprintf(&b, "Linux %s, %s of %d pages: %s", d.Kernel, d.Constraint, d.TotalPages, d.Action)
		if d.Victim != nil {
			fmt.Fprintf(&b, " %d (%s)", d.Victim.PID, d.Victim.Name)
		}
		if d.Panic != "" {
			fmt.Fprintf(&b, ": %s", d.Panic)
		}
		b.WriteString("\n")
		for k := range d.Tasks {
			t := &d.Tasks[k]
			points := "may not be killed"
			if t.Points != nil {
				points = fmt.Sprint(*t.Points)
			}
			fmt.Fprintf(&b, "  %7d %-16s %s\n", t.PID, t.Name, points)
		}
		for _, line := range d.Report {
			fmt.Fprintf(&b, "%s\n", line)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
