package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
)

// replayFlags are the flags of the replay command.
type replayFlags struct {
	json, markdown, known bool
	model                 string
	jobs                  int
}

func newReplayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [flags] [PATH|NAME]...",
		Short: "Run the models against captures and compare every answer",
		Long: `Replays captures: starts a model from the first snapshot, feeds it what callers
asked the kernel for, and compares every answer (page frame, ...), every side
effect in order, and at the end every list, element by element.

PATH is a capture folder or a folder of such, NAME an embedded capture. With
neither, all embedded captures are replayed.

Exit code 0: everything is equal to the kernel. 1: something differs; the first
difference of each capture is printed. 2: a capture cannot be used.

A few captures hold something that no model can know from them, or that nobody
has explained yet. Their limits.json says how far a replay comes, and why; it is
printed with the result. They count as differences all the same, unless
--known-limits is given: then they fail only if they get worse than that.`,
		Example: `  kernsim replay
  kernsim replay x86_64-6.1-user-1cpu captures/extra/hw-x86_64-epyc-6.18-irq
  kernsim replay --json --model pages captures/extra | jq '.[] | {capture, requests, exact}'
  kernsim replay --markdown captures/data captures/extra`,
		ValidArgsFunction: completeCaptures,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReplay(cmd, f, args)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the results as a JSON array")
	cmd.Flags().BoolVar(&f.markdown, "markdown", false, "print the results as a Markdown table")
	cmd.Flags().BoolVar(&f.known, "known-limits", false, "accept what a capture's limits.json documents: exit 0 if nothing is worse")
	addReplayFlags(cmd, &f.model, &f.jobs)
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	return cmd
}

// addReplayFlags adds the flags that all commands which replay have.
func addReplayFlags(cmd *cobra.Command, model *string, jobs *int) {
	cmd.Flags().StringVar(model, "model", "", "replay only this model ("+strings.Join(replay.Models(), ", ")+"); default: all that a capture has data for")
	cmd.Flags().IntVarP(jobs, "jobs", "j", defaultJobs(), "captures replayed at the same time")
	// The flag was added just now, so that registering cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("model", cobra.FixedCompletions(replay.Models(), cobra.ShellCompDirectiveNoFileComp))
}

// completeCaptures offers the embedded captures' names; the shell adds folders.
func completeCaptures(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, info := range captures.List() {
		if info.Embedded && strings.HasPrefix(info.Name, prefix) && !slices.Contains(args, info.Name) {
			out = append(out, info.Name+"\t"+info.Kernel)
		}
	}
	return out, cobra.ShellCompDirectiveDefault
}

func runReplay(cmd *cobra.Command, f replayFlags, args []string) error {
	list, bad, err := findTargets(cmd, args, f.model)
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "replaying", len(list))
	outcomes, err := replayAll(cmd.Context(), list, options{model: f.model, jobs: f.jobs, progress: bar.set})
	bar.finish()
	if err != nil {
		return err
	}
	rows := allRows(outcomes)
	if err := printRows(cmd.OutOrStdout(), rows, f); err != nil {
		return err
	}
	return conclude(cmd.ErrOrStderr(), list, outcomes, bad, f.known)
}

// findTargets resolves the arguments and says what it leaves out. bad is how
// many arguments name nothing usable; it is an error if all do.
func findTargets(cmd *cobra.Command, args []string, model string) (list []target, bad int, err error) {
	if model != "" && model != "all" && !slices.Contains(replay.Models(), model) {
		return nil, 0, &usageError{fmt.Errorf("unknown model %q: want %s", model, strings.Join(replay.Models(), ", "))}
	}
	list, skipped, faults := targets(args, model)
	if len(list) == 0 && len(faults) > 0 {
		return nil, 0, errors.Join(faults...)
	}
	for _, err := range faults {
		fmt.Fprintf(cmd.ErrOrStderr(), "kernsim: %v\n", err)
	}
	for _, name := range skipped {
		fmt.Fprintf(cmd.ErrOrStderr(), "kernsim: %s: holds nothing that can be replayed, skipped\n", name)
	}
	if len(list) == 0 {
		return nil, 0, fmt.Errorf("no capture to replay")
	}
	return list, len(faults), nil
}

// named is an error's text with the capture's name in front, if it is not in it.
func named(name string, err error) string {
	if strings.Contains(err.Error(), name) {
		return err.Error()
	}
	return name + ": " + err.Error()
}

func printRows(w io.Writer, rows []row, f replayFlags) error {
	switch {
	case f.json:
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(rows)
	case f.markdown:
		return printMarkdown(w, rows)
	}
	if len(rows) == 0 {
		return nil
	}
	return printTable(w, rows)
}

// conclude prints the captures' errors and turns the outcomes into the
// command's error: unusable input before differences. bad arguments were
// printed before.
func conclude(w io.Writer, list []target, outcomes []outcome, bad int, known bool) error {
	unusable, different := bad, false
	for i := range outcomes {
		if err := outcomes[i].err; err != nil {
			unusable++
			fmt.Fprintf(w, "kernsim: %s\n", named(list[i].capture.Name, err))
		}
		for k := range outcomes[i].rows {
			r := &outcomes[i].rows[k]
			different = different || !r.ExactAll() && !(known && r.AsDocumented)
		}
	}
	switch {
	case unusable > 0:
		return fmt.Errorf("%d of %d captures could not be replayed", unusable, len(list)+bad)
	case different:
		return errDifferent
	}
	return nil
}
