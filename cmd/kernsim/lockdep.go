package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/sync/lockdep"
)

// lockdepFlags are the flags of the lockdep command.
type lockdepFlags struct{ json, text bool }

func newLockdepCommand() *cobra.Command {
	var f lockdepFlags
	cmd := &cobra.Command{
		Use:   "lockdep [flags] FILE...",
		Short: "Judge lock scripts, case tables and printed reports by the kernel's lock validator",
		Long: `Reads what a FILE holds, by its content:

a lock script: operations such as "lock spin A", one a line or divided by
semicolons; "task NAME" switches tasks, "irq_off", "hardirq_enter" and so on
change the interrupt state, "case NAME" begins anew, "expect KIND" states what
should be found;

a table of cases in JSON, as the kernel's self-test gives it;

a kernel log with a report of the validator: its cycle and the uses of its locks
are found again from the dependencies that it describes.

Exit code 0: every verdict is as expected. 1: one is not. 2: a file cannot be read.`,
		Example: `  kernsim lockdep script.txt
  kernsim lockdep --text script.txt      # the reports as the kernel prints them
  kernsim lockdep --json dmesg.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runLockdep(cmd.OutOrStdout(), &f, args) },
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the results as a JSON array")
	cmd.Flags().BoolVar(&f.text, "text", false, "print every report as the kernel does")
	cmd.MarkFlagsMutuallyExclusive("json", "text")
	return cmd
}

// lockdepRow is a case's result; the JSON names are stable.
type lockdepRow struct {
	File string `json:"file"`
	Name string `json:"name"`
	// Verdict is SUCCESS, FAILURE, or "" if the case could not be run.
	Verdict string         `json:"verdict"`
	Kind    string         `json:"kind,omitempty"`
	Title   string         `json:"title,omitempty"`
	Detail  string         `json:"detail,omitempty"`
	Cycle   []string       `json:"cycle,omitempty"`
	Splat   *lockdep.Splat `json:"splat,omitempty"`
	// Difference is what differs from what the file states, "" if nothing.
	Difference string `json:"difference"`

	text string
}

func (r *lockdepRow) report(rep *lockdep.Report) {
	r.Verdict = "SUCCESS"
	if rep == nil {
		return
	}
	r.Verdict, r.Kind, r.Title, r.Detail, r.Cycle, r.text = "FAILURE", string(rep.Kind), rep.Title, rep.Detail, rep.Cycle, rep.Text
}

func runLockdep(w io.Writer, f *lockdepFlags, files []string) error {
	rows := []lockdepRow{}
	for _, file := range files {
		got, err := lockdepFile(file)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	if err := printLockdep(w, f, rows); err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Difference != "" {
			return errDifferent
		}
	}
	return nil
}

func lockdepFile(file string) ([]lockdepRow, error) {
	text, err := readInput(file)
	if err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("[{")) || bytes.HasPrefix(trimmed, []byte("[\n")) {
		cases, err := lockdep.ReadCases(file, bytes.NewReader(text))
		return caseRows(file, cases), err
	}
	splat, err := lockdep.ReadSplat(bytes.NewReader(text))
	if err == nil {
		return splatRow(file, splat)
	}
	if !errors.Is(err, lockdep.ErrNoSplat) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	cases, err := lockdep.ReadScript(file, bytes.NewReader(text))
	return caseRows(file, cases), err
}

func caseRows(file string, cases []lockdep.Case) []lockdepRow {
	var rows []lockdepRow
	for i := range cases {
		row := lockdepRow{File: file, Name: cases[i].Name}
		rep, err := cases[i].Run()
		if err != nil {
			row.Difference = err.Error()
		} else {
			row.report(rep)
			row.Difference = cases[i].Differences(rep)
		}
		rows = append(rows, row)
	}
	return rows
}

func splatRow(file string, s *lockdep.Splat) ([]lockdepRow, error) {
	rep, err := s.Explain()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	row := lockdepRow{File: file, Name: s.Title, Splat: s}
	row.report(rep)
	row.Difference = s.Differences(rep)
	return []lockdepRow{row}, nil
}

func printLockdep(w io.Writer, f *lockdepFlags, rows []lockdepRow) error {
	if f.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(rows)
	}
	if f.text {
		for i := range rows {
			fmt.Fprintf(w, "%s: %s: %s\n%s\n", rows[i].File, rows[i].Name, rows[i].Verdict, rows[i].text)
		}
		return nil
	}
	t := newTable(w, "case", "verdict", "kind", "locks", "difference")
	for i := range rows {
		r := &rows[i]
		locks := strings.Join(r.Cycle, " -> ")
		if locks == "" {
			locks = r.Detail
		}
		t.AppendRow(table.Row{r.Name, r.Verdict, r.Kind, locks, r.Difference})
	}
	t.Render()
	return nil
}
