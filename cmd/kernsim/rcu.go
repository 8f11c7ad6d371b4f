package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/sync/rcu"
)

func newRCUCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rcu [flags] TRACE...",
		Short: "Check RCU's guarantees on a trace of its events",
		Long: `Reads the text of a trace of rcu:* events, plain or compressed with gzip, and checks
what RCU guarantees: grace periods in sequence, each with its phases; callbacks
after a whole one; what they wait for; batches; barriers. With lines "marker:
reader_in id=N", "reader_out", "call_rcu", "cb_run", "sync_begin", "sync_end" also that
no reader was outlived.

Exit code 0: all rules hold. 1: one is broken. 2: a trace cannot be read.`,
		Example: `  kernsim rcu trace.txt
  kernsim rcu --json captures/rcu/trace-counter.txt.gz`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runRCU(cmd.OutOrStdout(), asJSON, args) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as a JSON array")
	return cmd
}

// rcuRow is a trace's findings; the JSON names are stable.
type rcuRow struct {
	File string `json:"file"`
	*rcu.Findings
}

func runRCU(w io.Writer, asJSON bool, files []string) error {
	var rows []rcuRow
	broken := false
	for _, file := range files {
		text, err := readInput(file)
		if err != nil {
			return err
		}
		f, err := rcu.Check(file, bytes.NewReader(text))
		if err != nil {
			return err
		}
		broken = broken || len(f.Violations) > 0
		rows = append(rows, rcuRow{file, f})
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(rows); err != nil {
			return err
		}
	} else {
		printRCU(w, rows)
	}
	if broken {
		return errDifferent
	}
	return nil
}

func printRCU(w io.Writer, rows []rcuRow) {
	for _, r := range rows {
		fmt.Fprintf(w, "%s: %d events, %d grace periods, %d readers, %d callbacks\n", r.File, r.Events, r.GracePeriods, r.Readers, r.Callbacks)
		t := newTable(w, "rule", "checked", "broken")
		for i, rule := range rcu.Rules {
			n := 0
			for _, v := range r.Violations {
				if v.Rule == rule {
					n++
				}
			}
			t.AppendRow(table.Row{rule, r.Checks[i], n})
		}
		t.Render()
		for _, v := range r.Violations {
			fmt.Fprintln(w, v)
		}
	}
}
