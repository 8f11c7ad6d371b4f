package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/sync/lkmm"
)

// litmusFlags are the flags of the litmus command.
type litmusFlags struct {
	json, states bool
	graph        string
	model        string
	machine      string
	without      []string
	unroll, jobs int
	limit        int64
	timeout      time.Duration
}

func newLitmusCommand() *cobra.Command {
	var f litmusFlags
	cmd := &cobra.Command{
		Use:   "litmus [flags] FILE|DIR...",
		Short: "Judge litmus tests by the Linux-kernel memory model",
		Long: `Reads litmus tests in the C dialect of the kernel's tools/memory-model, finds all
executions that the Linux-kernel memory model allows, and says whether the
test's condition holds in all of them (Always), in some (Sometimes) or in none
(Never); DEADLOCK if no execution completes. Data races are flagged. Of a DIR
all files *.litmus are read.

Exit code 0: every test was judged, and as its header states where it has a line
"Result: Never". 1: a verdict differs from the stated one. 2: a test cannot be
read or judged.

Tests with more executions than --limit get their verdict all the same, from a
search for the condition alone; states and witnesses are then not all counted.`,
		Example: `  kernsim litmus MP+poonceonces.litmus
  kernsim litmus --json tools/memory-model/litmus-tests
  kernsim litmus --graph=. SB+fencembonceonces.litmus      # why is it forbidden?
  kernsim litmus --machine tso SB+poonceonces.litmus       # how does it come about?
  kernsim litmus --states --without propagation SB+fencembonceonces.litmus`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLitmus(cmd, &f, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print the results as a JSON array")
	flags.BoolVar(&f.states, "states", false, "print the final states of every test")
	flags.StringVar(&f.graph, "graph", "", "write the forbidding cycle or a witness of every test to `DIR`/NAME.svg and NAME.dot")
	flags.Lookup("graph").NoOptDefVal = "."
	flags.StringVar(&f.model, "model", "", "version of the memory model ("+strings.Join(modelNames(), ", ")+"); default: the newest")
	flags.StringVar(&f.machine, "machine", "", "also run the tests on simulated CPUs (tso, weak): print how many of the states they reach, and a run to the condition")
	flags.StringSliceVar(&f.without, "without", nil, "leave out axioms: coherence, atomicity, happens-before, propagation, rcu, plain-coherence")
	flags.IntVar(&f.unroll, "unroll", 0, "follow loops that wait for other threads for this many rounds")
	flags.Int64Var(&f.limit, "limit", 100_000, "executions counted of a test, 0 for all")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "time for a test, 0 for no limit")
	flags.IntVarP(&f.jobs, "jobs", "j", defaultJobs(), "tests judged at the same time")
	cmd.MarkFlagsMutuallyExclusive("json", "states")
	cmd.MarkFlagsMutuallyExclusive("json", "machine")
	return cmd
}

func modelNames() []string {
	var out []string
	for _, m := range lkmm.Models {
		out = append(out, m.Name)
	}
	return out
}

// litmusRow is a test's result; the tagged fields are those of --json.
type litmusRow struct {
	File      string  `json:"file"`
	Name      string  `json:"name"`
	Result    string  `json:"result"`
	States    int     `json:"states"`
	Witnesses int64   `json:"witnesses"`
	Race      bool    `json:"race"`
	MS        float64 `json:"ms"`
	Error     string  `json:"error"`

	result  *lkmm.Result
	reached []lkmm.State  // by the machine
	steps   []lkmm.Action // of a run to the condition
}

// stated is the verdict that the test's header states, if that differs.
func (r *litmusRow) stated() string {
	if r.result == nil || r.Race {
		return "" // the model promises nothing about the states of a racy test
	}
	switch want := r.result.Test.Expect; want {
	case "Never", "Sometimes", "Always", "DEADLOCK":
		if want != r.Result {
			return want
		}
	}
	return ""
}

func runLitmus(cmd *cobra.Command, f *litmusFlags, args []string) error {
	opt, err := f.options()
	if err != nil {
		return &usageError{err}
	}
	files, err := litmusFiles(args)
	if err != nil {
		return err
	}
	if f.graph != "" {
		if err := os.MkdirAll(f.graph, 0o755); err != nil {
			return err
		}
	}
	rows := judgeAll(cmd.Context(), f, opt, files)
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if err := printLitmus(cmd.OutOrStdout(), f, rows); err != nil {
		return err
	}
	return litmusOutcome(rows)
}

// options turns the flags into the model's options.
func (f *litmusFlags) options() (lkmm.Options, error) {
	opt := lkmm.Options{Unroll: f.unroll, MaxExecutions: f.limit}
	if f.model != "" {
		i := slices.Index(modelNames(), f.model)
		if i < 0 {
			return opt, fmt.Errorf("no model is called %q: %s", f.model, strings.Join(modelNames(), ", "))
		}
		opt.Model = lkmm.Models[i]
	}
	if f.machine != "" {
		if _, err := lkmm.ParseArchitecture(f.machine); err != nil {
			return opt, err
		}
	}
	for _, name := range f.without {
		a, err := lkmm.ParseAxiom(name)
		if err != nil {
			return opt, err
		}
		opt.Without |= a
	}
	return opt, nil
}

// litmusFiles lists the files that the arguments name, of folders *.litmus.
func litmusFiles(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() { // judging it tells what is wrong
			out = append(out, arg)
			continue
		}
		n := len(out)
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".litmus") {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(out) == n {
			return nil, fmt.Errorf("%s: no files *.litmus", arg)
		}
	}
	return out, nil
}

// judgeAll judges the files, several at a time; a single one with several
// workers.
func judgeAll(ctx context.Context, f *litmusFlags, opt lkmm.Options, files []string) []litmusRow {
	rows := make([]litmusRow, len(files))
	if len(files) == 1 {
		opt.Workers = max(1, f.jobs)
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range max(1, min(f.jobs, len(files))) {
		wg.Go(func() {
			for i := range next {
				rows[i] = judgeFile(ctx, f, opt, files[i])
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	return rows
}

// judgeFile reads and judges one test.
func judgeFile(ctx context.Context, f *litmusFlags, opt lkmm.Options, file string) litmusRow {
	row := litmusRow{File: file}
	start := time.Now()
	err := row.judge(ctx, f, opt)
	row.MS = float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		row.Error = err.Error()
	}
	return row
}

func (r *litmusRow) judge(ctx context.Context, f *litmusFlags, opt lkmm.Options) error {
	src, err := os.ReadFile(r.File)
	if err != nil {
		return err
	}
	t, err := lkmm.Parse(r.File, src)
	if err != nil {
		return err
	}
	r.Name = t.Name
	if r.result, err = runInTime(ctx, f.timeout, t, opt); err != nil {
		return err
	}
	r.Result = r.result.Verdict.String()
	r.States, r.Witnesses = len(r.result.States), r.result.Witnesses
	r.Race = r.result.Race != nil
	if f.machine != "" {
		if err := r.runMachine(ctx, f, t, opt); err != nil {
			return err
		}
	}
	if f.graph != "" {
		return writeGraph(ctx, f.graph, t, opt)
	}
	return nil
}

// runMachine runs the test on simulated CPUs.
func (r *litmusRow) runMachine(ctx context.Context, f *litmusFlags, t *lkmm.Test, opt lkmm.Options) error {
	arch, err := lkmm.ParseArchitecture(f.machine)
	if err != nil {
		return err
	}
	if r.reached, err = lkmm.Reachable(ctx, t, arch, opt); err != nil {
		return err
	}
	r.steps, _, err = lkmm.Trace(ctx, t, arch, opt)
	return err
}

// runInTime judges a test; if the time does not suffice for all executions,
// it tries for the verdict alone.
func runInTime(ctx context.Context, timeout time.Duration, t *lkmm.Test, opt lkmm.Options) (*lkmm.Result, error) {
	r, err := withTimeout(ctx, timeout, t, opt)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		opt.VerdictOnly = true
		r, err = withTimeout(ctx, timeout, t, opt)
	}
	return r, err
}

func withTimeout(ctx context.Context, timeout time.Duration, t *lkmm.Test, opt lkmm.Options) (*lkmm.Result, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return lkmm.Run(ctx, t, opt)
}

// writeGraph draws why a test's verdict is what it is.
func writeGraph(ctx context.Context, dir string, t *lkmm.Test, opt lkmm.Options) error {
	ev, err := lkmm.Explain(ctx, t, opt)
	if err != nil || ev == nil {
		return err
	}
	base := filepath.Join(dir, strings.ReplaceAll(t.Name, string(filepath.Separator), "_"))
	if err := writeTo(base+".svg", ev.WriteSVG); err != nil {
		return err
	}
	return writeTo(base+".dot", ev.WriteDOT)
}

func writeTo(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

func printLitmus(w io.Writer, f *litmusFlags, rows []litmusRow) error {
	if f.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(rows)
	}
	if f.states {
		for i := range rows {
			printStates(w, &rows[i])
		}
	} else {
		printLitmusTable(w, rows)
	}
	if f.machine != "" {
		for i := range rows {
			printMachine(w, f.machine, &rows[i])
		}
	}
	return nil
}

// printMachine prints what the simulated CPUs reach, and how they come to the
// condition.
func printMachine(w io.Writer, machine string, r *litmusRow) {
	if r.Error != "" {
		return
	}
	fmt.Fprintf(w, "\n%s on %s: %d of %d states", r.Name, machine, len(r.reached), len(r.result.States))
	if r.steps == nil {
		fmt.Fprintln(w, ", never the condition")
		return
	}
	fmt.Fprintln(w, "; a run to the condition:")
	for i, s := range r.steps {
		fmt.Fprintf(w, "%4d  %s\n", i+1, s.Text)
	}
}

// printStates prints a test's final states, those with the condition marked.
func printStates(w io.Writer, r *litmusRow) {
	if r.Error != "" {
		fmt.Fprintln(w, r.Error)
		return
	}
	t := r.result.Test
	fmt.Fprintf(w, "%s: %s, %d of %d executions\n", r.Name, r.Result, r.Witnesses, r.result.Executions)
	for _, s := range r.result.States {
		mark := " "
		if s.Holds {
			mark = "*"
		}
		fmt.Fprintf(w, "%s %8d  %s\n", mark, s.Executions, t.FormatState(s.Values))
	}
	fmt.Fprintf(w, "%s (%s)\n", t.Quantifier, t.Condition())
	fmt.Fprint(w, litmusNotes(r))
	fmt.Fprintln(w)
}

// litmusNotes are what a result has to say beyond numbers.
func litmusNotes(r *litmusRow) string {
	var out strings.Builder
	if s := r.stated(); s != "" {
		fmt.Fprintf(&out, "%s: the test states %s\n", r.File, s)
	}
	if r.result != nil && r.result.Race != nil {
		fmt.Fprintf(&out, "%s: %s\n", r.File, r.result.Race)
	}
	if r.result != nil && len(r.result.Flags) > 0 {
		fmt.Fprintf(&out, "%s: flags %s\n", r.File, strings.Join(r.result.Flags, ", "))
	}
	if r.result != nil && !r.result.Complete {
		fmt.Fprintf(&out, "%s: too many executions to count them all\n", r.File)
	}
	return out.String()
}

func printLitmusTable(w io.Writer, rows []litmusRow) {
	t := newTable(w, "test", "verdict", "states", "witnesses", "executions", "race", "ms")
	var numbers []table.ColumnConfig
	for _, n := range []int{3, 4, 5, 7} {
		numbers = append(numbers, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(numbers)
	notes := ""
	for i := range rows {
		r := &rows[i]
		if r.Error != "" {
			notes += r.Error + "\n"
			continue
		}
		notes += litmusNotes(r)
		race := ""
		if r.Race {
			race = "race"
		}
		t.AppendRow(table.Row{r.Name, r.Result, r.States, r.Witnesses, r.result.Executions, race, fmt.Sprintf("%.1f", r.MS)})
	}
	t.Render()
	if notes != "" {
		fmt.Fprint(w, "\n", notes)
	}
}

// litmusOutcome turns the results into the command's error.
func litmusOutcome(rows []litmusRow) error {
	bad, different := 0, false
	for i := range rows {
		if rows[i].Error != "" {
			bad++
		}
		different = different || rows[i].stated() != ""
	}
	switch {
	case bad > 0:
		return fmt.Errorf("%d of %d tests could not be judged", bad, len(rows))
	case different:
		return errDifferent
	}
	return nil
}
