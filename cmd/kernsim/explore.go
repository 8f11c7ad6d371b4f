package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/sync/explore"
)

// exploreFlags are the flags of the explore command.
type exploreFlags struct {
	json, list, print bool
	classes           bool
	random, depth     int
	seed              uint64
	states            int
}

func newExploreCommand() *cobra.Command {
	var f exploreFlags
	cmd := &cobra.Command{
		Use:   "explore [flags] PROGRAM...",
		Short: "Run small concurrent programs under all schedules and print one that fails",
		Long: `Reads programs of threads and interrupt handlers (the language is described at
package explore's Parse) and covers every schedule, or with --random draws some. A
failing schedule is printed step by step; of an exhaustive search it is the shortest.
PROGRAM is a file or the name of a program that comes with kernsim (--list).

A line "# expect: KIND" or "# expect: nothing" in a program says what should be found.
Exit code 0: as expected, or without such a line nothing found. 1: not so. 2: a program
cannot be read or has too many states.`,
		Example: `  kernsim explore lost-wakeup
  kernsim explore --random 100000 --depth 3 --seed 7 mylock.txt
  kernsim explore --print ticket > ticket.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExplore(cmd.Context(), cmd.OutOrStdout(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print the results as a JSON array")
	flags.BoolVar(&f.list, "list", false, "list the programs that come with kernsim")
	flags.BoolVar(&f.print, "print", false, "print the programs' text")
	flags.IntVar(&f.random, "random", 0, "draw this many random schedules instead of covering all")
	flags.IntVar(&f.depth, "depth", 0, "with --random: draw by priorities that change `N`-1 times (PCT)")
	flags.BoolVar(&f.classes, "classes", false, "run one schedule of each class of those that differ only in steps that commute, and count them")
	flags.Uint64Var(&f.seed, "seed", 1, "with --random: the first schedule's seed")
	flags.IntVar(&f.states, "states", 2_000_000, "states visited at most")
	return cmd
}

// exploreRow is a program's result; the JSON names are stable.
type exploreRow struct {
	Program string `json:"program"`
	*explore.Result
	// Expected is what the program says should be found, "nothing" or a kind; "" if it
	// does not say.
	Expected string `json:"expected,omitempty"`
	// AsExpected: that was found.
	AsExpected bool `json:"as_expected"`
	// Finals is how many states the schedules end in, with --classes.
	Finals int `json:"finals,omitempty"`

	steps string
}

func runExplore(ctx context.Context, w io.Writer, f *exploreFlags, args []string) error {
	if f.list {
		fmt.Fprintln(w, strings.Join(explore.Programs(), "\n"))
		return nil
	}
	rows, wrong := []exploreRow{}, false
	for _, arg := range args {
		text := explore.Text(arg)
		if text == "" {
			file, err := readInput(arg)
			if err != nil {
				return err
			}
			text = string(file)
		}
		if f.print {
			fmt.Fprint(w, text)
			continue
		}
		row, err := exploreProgram(ctx, f, arg, text)
		if err != nil {
			return err
		}
		wrong = wrong || !row.AsExpected
		rows = append(rows, *row)
	}
	if f.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(rows); err != nil {
			return err
		}
	} else {
		for i := range rows {
			printExplored(w, &rows[i])
		}
	}
	if wrong {
		return errDifferent
	}
	return nil
}

func exploreProgram(ctx context.Context, f *exploreFlags, name, text string) (*exploreRow, error) {
	p, err := explore.Parse(name, strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	row := &exploreRow{Program: p.Name}
	o := explore.Options{MaxStates: f.states}
	switch {
	case f.classes:
		var c *explore.Classes
		if c, err = explore.Traces(ctx, p, o); c != nil {
			row.Result, row.Finals = &c.Result, c.Finals
		}
	case f.random > 0:
		row.Result, err = explore.Random(ctx, p, explore.RandomOptions{Options: o, Schedules: f.random, Depth: f.depth, Seed: f.seed})
	default:
		row.Result, err = explore.Exhaustive(ctx, p, o)
	}
	if errors.Is(err, explore.ErrLimit) {
		return nil, fmt.Errorf("%s: more than %d states, or with --classes schedules or steps of one; try --random or a larger --states", name, f.states)
	}
	if err != nil {
		return nil, err
	}
	kind, stated := explore.Expected(text)
	if row.Expected = string(kind); stated && kind == "" {
		row.Expected = "nothing"
	}
	found := explore.FailureKind("")
	if row.Failure != nil {
		found = row.Failure.Kind
		var b bytes.Buffer
		if _, err := explore.Replay(p, row.Failure.Schedule, &b); err != nil {
			return nil, err
		}
		row.steps = b.String()
	}
	row.AsExpected = found == kind
	return row, nil
}

func printExplored(w io.Writer, r *exploreRow) {
	covered := fmt.Sprintf("%d states, %d steps", r.States, r.Steps)
	switch {
	case r.Finals > 0:
		covered = fmt.Sprintf("%d classes of schedules, %d final states, %d steps", r.Schedules, r.Finals, r.Steps)
	case r.Schedules > 0:
		covered = fmt.Sprintf("%d schedules, %d steps", r.Schedules, r.Steps)
	}
	if r.Failure == nil {
		fmt.Fprintf(w, "%s: nothing found (%s)\n", r.Program, covered)
	} else {
		fmt.Fprintf(w, "%s: %s (%s)\n%s%s\n", r.Program, r.Failure.Kind, covered, r.steps, r.Failure.Text)
	}
	if !r.AsExpected && r.Expected != "" {
		fmt.Fprintf(w, "expected: %s\n", r.Expected)
	}
}
