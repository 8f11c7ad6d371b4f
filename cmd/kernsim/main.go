// Command kernsim replays captures of real Linux kernels through the models and
// shows where they are equal and where not.
//
//	kernsim report            replay the embedded captures, write an HTML page
//	kernsim replay PATH...    replay captures, print a table or JSON
//	kernsim captures          list the embedded captures and where they come from
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/replay"
)

// Exit codes.
const (
	exitExact       = 0
	exitDifferent   = 1
	exitUnusable    = 2
	exitInterrupted = 130
)

// errDifferent says that a model and a kernel differ. What differs is printed
// where it is found.
var errDifferent = errors.New("model and kernel differ")

// commands are the constructors of all commands.
var commands = []func() *cobra.Command{
	newReplayCommand,
	newReportCommand,
	newCompareCommand,
	newPlotCommand,
	newCapturesCommand,
	newLitmusCommand,
	newLockdepCommand,
	newRCUCommand,
	newExploreCommand,
	newConvertCommand,
	newOOMCommand,
	newOvercommitCommand,
	newAdviseCommand,
	newMapsCommand,
	newSchedCommand,
	newSchedtopCommand,
	newKsizeCommand,
	newSlabinfoCommand,
	newLayoutCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitExact
	case errors.Is(err, errDifferent):
		return exitDifferent
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "kernsim: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "kernsim: %v\n", err)
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return exitUnusable
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kernsim",
		Short: "Models of the Linux kernel, replayed and compared with real kernels",
		Long: `kernsim simulates parts of the Linux kernel and shows that the simulation is equal
to the kernel: it replays captures of real kernels event by event and compares
every answer. Models: ` + strings.Join(replay.Models(), ", ") + `.

Exit codes: 0 exact, 1 model and kernel differ, 2 unusable input or wrong usage,
130 interrupted. Colours are off if NO_COLOR is set or the output is no terminal.`,
		Example: `  kernsim report                   # replay all embedded captures, write a page with graphs
  kernsim replay --json DIR        # replay a capture folder of yours
  kernsim captures                 # what is embedded, and where it comes from
  source <(kernsim completion bash)`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	for _, make := range commands {
		root.AddCommand(make())
	}
	wrongArgsAreUsage(root)
	return root
}

// wrongArgsAreUsage makes a command's complaint about its arguments, and its
// subcommands', a usage error.
func wrongArgsAreUsage(cmd *cobra.Command) {
	if want := cmd.Args; want != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := want(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		wrongArgsAreUsage(c)
	}
}

// version is the module's, as the build noted it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// usageError is a wrong use of the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }
