package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/convert"
	"github.com/kernsim/kernsim/trace"
)

func newConvertCommand() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "convert [flags] IN OUT",
		Short: "Convert a trace between the formats of other tools",
		Long: `Reads a trace in any of the formats below, recognized by its content, and writes
it in the one that OUT's name ends with, or --to says. "-" is the standard input
or output. IN may be compressed by gzip or zstd.

  text      trace text of tracefs, trace-cmd report  .txt .trace
  perf      text of perf script                      .perf
  plain     time [cpu] event: fields
  lttng     babeltrace2's text of LTTng traces       .lttng
  dat       trace-cmd's binary trace.dat             .dat
  perfetto  Perfetto's protobuf                      .pftrace .perfetto-trace .pb
  json      Chrome's trace events, for Perfetto too  .json
  csv       one line an event                        .csv`,
		Example: `  kernsim convert trace.txt trace.dat        # then: kernelshark trace.dat
  kernsim convert trace.dat trace.pftrace    # then: open in ui.perfetto.dev
  kernsim convert --to=text trace.dat - | head`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConvert(cmd, from, to, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "format of IN, if its content does not tell")
	cmd.Flags().StringVar(&to, "to", "", "format of OUT, if its name does not tell")
	return cmd
}

func runConvert(cmd *cobra.Command, from, to, in, out string) error {
	format, known := convert.FormatOf(out)
	if to != "" {
		f, err := convert.ParseFormat(to)
		if err != nil {
			return &usageError{err}
		}
		format, known = f, true
	}
	if !known {
		return &usageError{fmt.Errorf("%s: no format has this ending; say --to", out)}
	}
	r, size, done, err := openInput(cmd.InOrStdin(), in)
	if err != nil {
		return err
	}
	defer done()
	src, err := openSource(r, size, in, from)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err := copyTrace(cmd.OutOrStdout(), format, src)
		return err
	}
	if sameFile(in, out) {
		return &usageError{fmt.Errorf("%s and %s are the same file", in, out)}
	}
	n := 0
	err = writeTo(out, func(w io.Writer) error {
		n, err = copyTrace(w, format, src)
		return err
	})
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %d events, %s\n", out, n, format)
	}
	return err
}

// sameFile says whether both names stand for one existing file.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// openSource opens a file in the format that is asked for, or shown by it.
func openSource(r io.ReaderAt, size int64, name, from string) (convert.Source, error) {
	if from == "" {
		src, _, err := convert.Open(r, size, name)
		return src, err
	}
	f, err := convert.ParseFormat(from)
	if err != nil {
		return nil, &usageError{err}
	}
	return convert.OpenAs(r, size, name, f)
}

// copyTrace writes all events; a text's header is that of its source.
func copyTrace(w io.Writer, f convert.Format, src convert.Source) (int, error) {
	dst, err := convert.New(w, f, convert.Options{})
	if err != nil {
		return 0, err
	}
	if t, ok := src.(*trace.Reader); ok && f == convert.Text {
		return copyText(w, t)
	}
	return convert.Copy(dst, src)
}

// copyText copies text to text with the header, which the reader knows once it
// has read the first event.
func copyText(w io.Writer, src *trace.Reader) (n int, err error) {
	out := trace.NewWriter(w, trace.FormTracefs)
	var ev trace.Event
	for err = src.Read(&ev); err == nil; err = src.Read(&ev) {
		if h := src.Header(); n == 0 && h.Tracer != "" {
			if err := out.WriteHeader(h); err != nil {
				return n, err
			}
		}
		if err := out.Write(&ev); err != nil {
			return n, err
		}
		n++
	}
	if err != io.EOF {
		return n, err
	}
	return n, out.Flush()
}
