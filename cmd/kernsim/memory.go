package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/mm/oom"
	"github.com/kernsim/kernsim/mm/overcommit"
)

// atLeastOneFile is the check of arguments that are files.
func atLeastOneFile(cmd *cobra.Command, args []string) error {
	if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
		return &usageError{err}
	}
	return nil
}

// withFile calls f with an opened file.
func withFile(path string, f func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return &inputError{err}
	}
	defer file.Close()
	if err := f(file); err != nil {
		return &inputError{err}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func newOOMCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "oom [--json] FILE...",
		Short: "Say whom the kernel kills when memory runs out, and why",
		Long: `Reads moments at which memory ran out, from a kernel log with the OOM killer's
report or from a case as JSON, and says for each what the kernel does: every process's points,
the victim, or the panic.

A case is an object, or an array of such:

  {"total_pages": 33747, "constraint": "CONSTRAINT_NONE", "asking": 207, "kill_allocating": false, "panic_on_oom": 0,
   "tasks": [{"pid": 206, "tgid": 206, "rss": 11493, "pgtables_bytes": 126976, "swapents": 0, "oom_score_adj": 0, "name": "h2"}]}

Exit code 0: done. 2: a file cannot be read.`,
		Example: `  dmesg | kernsim oom /dev/stdin
  kernsim oom --json case.json | jq '.[0].victim'`,
		Args: atLeastOneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []oomMoment
			for _, path := range args {
				err := withFile(path, func(r io.Reader) error {
					list, err := readMoments(r, path)
					all = append(all, list...)
					return err
				})
				if err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			for i := range all {
				all[i].print(cmd.OutOrStdout())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the decisions as a JSON array")
	return cmd
}

// oomMoment is a decision; the tagged fields are those of --json.
type oomMoment struct {
	Where      string    `json:"where"`
	Constraint string    `json:"constraint"`
	TotalPages uint64    `json:"total_pages"`
	Action     string    `json:"action"`
	Victim     *oomTask  `json:"victim"`
	Panic      string    `json:"panic,omitempty"`
	Killed     []int     `json:"killed_by_the_kernel,omitempty"`
	Tasks      []oomTask `json:"tasks"`
}

type oomTask struct {
	PID    int    `json:"pid"`
	Name   string `json:"name"`
	RSS    uint64 `json:"rss"`
	Adj    int    `json:"oom_score_adj"`
	Points *int64 `json:"points"` // null: never killed
}

// caseFile is a case as JSON.
type caseFile struct {
	TotalPages     uint64 `json:"total_pages"`
	Constraint     string `json:"constraint"`
	Asking         int    `json:"asking"`
	KillAllocating bool   `json:"kill_allocating"`
	PanicOnOOM     int    `json:"panic_on_oom"`
	Tasks          []struct {
		PID    int    `json:"pid"`
		TGID   int    `json:"tgid"`
		RSS    uint64 `json:"rss"`
		Tables uint64 `json:"pgtables_bytes"`
		Swap   uint64 `json:"swapents"`
		Adj    int    `json:"oom_score_adj"`
		Name   string `json:"name"`
	} `json:"tasks"`
}

// maxCase bounds the size of a file.
const maxCase = 64 << 20

func readMoments(r io.Reader, path string) ([]oomMoment, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCase))
	if err != nil {
		return nil, err
	}
	if s := strings.TrimSpace(string(text[:min(len(text), 64)])); strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[{") || strings.HasPrefix(s, "[\n") {
		return readCases(text, path)
	}
	reports, err := oom.ReadReports(strings.NewReader(string(text)), path)
	if err != nil {
		return nil, err
	}
	var out []oomMoment
	for i := range reports {
		rep := &reports[i]
		if !rep.HasTable || !rep.TotalKnown {
			continue
		}
		m := decide(fmt.Sprintf("%s:%d", path, rep.Line), &rep.Shortage)
		for _, k := range rep.Killed {
			m.Killed = append(m.Killed, k.PID)
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no report of the OOM killer with its table of processes and the size of memory", path)
	}
	return out, nil
}

func readCases(text []byte, path string) ([]oomMoment, error) {
	var list []caseFile
	if err := json.Unmarshal(text, &list); err != nil {
		list = make([]caseFile, 1)
		if err := json.Unmarshal(text, &list[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var out []oomMoment
	for i := range list {
		c := &list[i]
		s := oom.Shortage{TotalPages: c.TotalPages, Asking: c.Asking, KillAllocating: c.KillAllocating, PanicOnOOM: c.PanicOnOOM}
		if c.Constraint != "" {
			var ok bool
			if s.Constraint, ok = oom.ConstraintByName(c.Constraint); !ok {
				return nil, fmt.Errorf("%s: case %d: constraint is %q, want CONSTRAINT_NONE, _CPUSET, _MEMORY_POLICY or _MEMCG (EINVAL)", path, i+1, c.Constraint)
			}
		}
		for _, t := range c.Tasks {
			if t.Adj < oom.AdjMin || t.Adj > oom.AdjMax {
				return nil, fmt.Errorf("%s: case %d: oom_score_adj of pid %d is %d, want -1000 to 1000 (EINVAL)", path, i+1, t.PID, t.Adj)
			}
			if t.TGID == 0 {
				t.TGID = t.PID
			}
			s.Tasks = append(s.Tasks, oom.Task{PID: t.PID, TGID: t.TGID, RSS: t.RSS, PageTables: t.Tables, Swap: t.Swap, Adj: t.Adj, Name: t.Name})
		}
		out = append(out, decide(fmt.Sprintf("%s case %d", path, i+1), &s))
	}
	return out, nil
}

// decide lets the model choose.
func decide(where string, s *oom.Shortage) oomMoment {
	v := s.Choose()
	m := oomMoment{Where: where, Constraint: s.Constraint.String(), TotalPages: s.TotalPages, Action: v.Action.String(), Panic: v.Action.Panic(s.PanicOnOOM),
		Tasks: []oomTask{}}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		row := oomTask{PID: t.PID, Name: t.Name, RSS: t.RSS, Adj: t.Adj}
		if p, ok := s.Points(t); ok {
			row.Points = &p
		}
		m.Tasks = append(m.Tasks, row)
		if i == v.Victim {
			m.Victim = &m.Tasks[i]
		}
	}
	if v.Victim >= 0 {
		m.Victim = &m.Tasks[v.Victim]
	}
	return m
}

func (m *oomMoment) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d pages in all\n", m.Where, m.Constraint, m.TotalPages)
	t := newTable(w, "pid", "rss pages", "oom_score_adj", "points", "name")
	for i := range m.Tasks {
		k := &m.Tasks[i]
		points := "never killed"
		if k.Points != nil {
			points = fmt.Sprint(*k.Points)
		}
		t.AppendRow([]any{k.PID, k.RSS, k.Adj, points, k.Name})
	}
	t.Render()
	switch {
	case m.Victim != nil:
		fmt.Fprintf(w, "killed: %d (%s)\n\n", m.Victim.PID, m.Victim.Name)
	case m.Panic != "":
		fmt.Fprintf(w, "panic: %s\n\n", m.Panic)
	default:
		fmt.Fprint(w, "nobody can be killed: the allocation fails\n\n")
	}
}

func newOvercommitCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "overcommit [--json] TABLE...",
		Short: "Say which requests for memory the kernel's overcommit rules allow",
		Long: `Reads tables of requests (columns between tabs, the first line their names, as in
captures/overcommit) and says for each row what vm.overcommit_memory decides. Columns that say what a kernel did are compared.

Exit code 0: done. 1: a verdict differs from the table's. 2: a table cannot be read.`,
		Example: `  kernsim overcommit requests.tsv
  kernsim overcommit --json requests.tsv | jq '.[] | select(.allowed | not)'`,
		Args: atLeastOneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []overcommitRow
			for _, path := range args {
				err := withFile(path, func(r io.Reader) error {
					rows, err := overcommit.ReadTable(r, path)
					for i := range rows {
						out = append(out, judgeRequest(path, &rows[i]))
					}
					return err
				})
				if err != nil {
					return err
				}
			}
			return printRequests(cmd.OutOrStdout(), out, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdicts as a JSON array")
	return cmd
}

// overcommitRow is a verdict; the tagged fields are those of --json.
type overcommitRow struct {
	File        string `json:"file"`
	Line        int    `json:"line"`
	Kind        string `json:"kind"`
	Bytes       uint64 `json:"request_bytes"`
	Allowed     bool   `json:"allowed"`
	Errno       int    `json:"errno"`
	CommitLimit uint64 `json:"commit_limit_kb"`
	After       uint64 `json:"committed_as_after_kb"`
	Same        bool   `json:"same_as_table"`
}

func judgeRequest(path string, r *overcommit.Row) overcommitRow {
	v := r.Judge()
	return overcommitRow{File: path, Line: r.Line, Kind: r.Request.Kind.String(), Bytes: r.Request.Bytes, Allowed: v.Allowed, Errno: v.Errno,
		CommitLimit: v.CommitLimit, After: v.After, Same: v.Allowed == r.Allowed && v.Errno == r.Errno}
}

func printRequests(w io.Writer, rows []overcommitRow, asJSON bool) error {
	different := 0
	for i := range rows {
		if !rows[i].Same {
			different++
		}
	}
	if asJSON {
		if err := printJSON(w, rows); err != nil {
			return err
		}
	} else {
		t := newTable(w, "line", "request", "bytes", "verdict", "CommitLimit kB", "Committed_AS after kB", "")
		for i := range rows {
			r := &rows[i]
			verdict, note := "allowed", ""
			if !r.Allowed {
				verdict = "ENOMEM"
			}
			if !r.Same {
				note = "differs"
			}
			t.AppendRow([]any{r.Line, r.Kind, r.Bytes, verdict, r.CommitLimit, r.After, note})
		}
		t.Render()
		fmt.Fprintf(w, "\n%d requests, %d verdicts as in the table\n", len(rows), len(rows)-different)
	}
	if different > 0 {
		return errDifferent
	}
	return nil
}
