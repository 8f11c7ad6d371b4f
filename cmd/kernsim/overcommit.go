package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/mm/overcommit"
)

func newOvercommitCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "overcommit [flags] TABLE",
		Short: "Say which requests for memory the kernel would refuse",
		Long: `Reads a table of requests for memory (tab-separated, columns named in its first
line: mode, ratio, kbytes, admin_reserve_kb, user_reserve_kb, hugepages_2M,
cap_sys_admin, mem_total_kb, swap_total_kb, committed_as_kb, total_vm_pages,
kind, request_bytes) and says of each whether Linux would allow it. Only mode,
mem_total_kb, kind and request_bytes are needed. TABLE may be - for the standard
input.

Where the table also tells what a kernel did (allowed, errno,
committed_as_after_kb), it is compared.

Exit code 0: done, and equal to the kernel where the table tells. 1: something
differs. 2: the table cannot be read.`,
		Example: `  kernsim overcommit table.tsv
  kernsim overcommit --json table.tsv | jq '.[] | select(.allowed | not)'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runOvercommit(cmd, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answers as a JSON array")
	return cmd
}

// overcommitAnswer is a row of the command's output.
type overcommitAnswer struct {
	Line         int    `json:"line"`
	Kind         string `json:"kind"`
	RequestBytes int64  `json:"request_bytes"`
	Mode         string `json:"mode"`
	overcommit.Answer
	CommitLimitKB int64 `json:"commit_limit_kb"`
	// Hint: the answer was taken from the table, as it depends on what CPUs
	// counted for themselves.
	Hint bool `json:"hint,omitempty"`
	// Exact is absent if the table does not tell what a kernel did.
	Exact *bool `json:"exact,omitempty"`
}

func runOvercommit(cmd *cobra.Command, name string, asJSON bool) error {
	text, err := readInput(name)
	if err != nil {
		return err
	}
	rows, err := overcommit.ReadTable(name, bytes.NewReader(text))
	if err != nil {
		return err
	}
	answers, different := make([]overcommitAnswer, len(rows)), 0
	var machine overcommit.Sequence
	for i := range rows {
		if answers[i], err = answerRow(&machine, &rows[i]); err != nil {
			return err
		}
		if e := answers[i].Exact; e != nil && !*e {
			different++
		}
	}
	if err := printAnswers(cmd.OutOrStdout(), answers, asJSON); err != nil {
		return err
	}
	if different > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "kernsim: %d of %d rows differ from the kernel's answer\n", different, len(rows))
		return errDifferent
	}
	return nil
}

func answerRow(machine *overcommit.Sequence, row *overcommit.Row) (overcommitAnswer, error) {
	got, hint, err := machine.Answer(row)
	if err != nil {
		return overcommitAnswer{}, err
	}
	out := overcommitAnswer{Line: row.Line, Kind: row.KindName, RequestBytes: row.Bytes, Mode: row.Config.Mode.String(),
		Answer: got, Hint: hint, CommitLimitKB: row.Config.CommitLimit() * 4}
	if w := row.Want; w != nil {
		same := got.Allowed == w.Allowed && got.Errno == w.Errno && (w.CommittedKB < 0 || w.CommittedKB == got.CommittedKB)
		out.Exact = &same
	}
	return out, nil
}

func printAnswers(w io.Writer, answers []overcommitAnswer, asJSON bool) error {
	if asJSON {
		return printJSON(w, answers)
	}
	for i := range answers {
		a := &answers[i]
		verdict := "allowed"
		if !a.Allowed {
			verdict = fmt.Sprintf("refused, errno %d", a.Errno)
		}
		note := ""
		if a.Exact != nil && !*a.Exact {
			note = "  DIFFERS"
		}
		if _, err := fmt.Fprintf(w, "%d\t%s\t%s\t%d bytes\t%s\tCommitted_AS %d kB of %d kB%s\n", a.Line, a.Mode, a.Kind, a.RequestBytes, verdict, a.CommittedKB, a.CommitLimitKB, note); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
