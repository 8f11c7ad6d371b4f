package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/viz"
)

func newCapturesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "captures [NAME]...",
		Short: "List the captures with kernel, machine and workload",
		Long: `Lists the captures of real kernels that this program holds, and those that lie in
the repository's captures/extra: which kernel on which machine, emulated or not,
and what it did. With NAMEs, tells everything about those.`,
		Example: `  kernsim captures
  kernsim captures x86_64-6.1-user-1cpu
  kernsim captures extract --plain x86_64-6.1-user-1cpu /tmp`,
		ValidArgsFunction: completeCaptures,
		RunE: func(cmd *cobra.Command, args []string) error {
			infos, err := chosen(args)
			if err != nil {
				return err
			}
			return printCaptures(cmd.OutOrStdout(), infos, asJSON, len(args) > 0)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as a JSON array")
	cmd.AddCommand(newExtractCommand())
	return cmd
}

// chosen gives the named captures' descriptions, all if none is named.
func chosen(names []string) ([]captures.Info, error) {
	all := captures.List()
	if len(names) == 0 {
		return all, nil
	}
	var out []captures.Info
	for _, name := range names {
		n := len(out)
		for _, info := range all {
			if info.Name == name {
				out = append(out, info)
			}
		}
		if len(out) == n {
			return nil, fmt.Errorf("no capture is called %q", name)
		}
	}
	return out, nil
}

func printCaptures(w io.Writer, infos []captures.Info, asJSON, long bool) error {
	switch {
	case asJSON:
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(infos)
	case long:
		for i := range infos {
			printCapture(w, &infos[i])
		}
		return nil
	}
	t := newTable(w, "capture", "kernel", "machine", "CPUs", "memory", "where")
	for i := range infos {
		c := &infos[i]
		t.AppendRow([]any{c.Name, release(c.Kernel), shortMachine(c.Machine), c.CPUs, cut(c.Memory, 9), where(c)})
	}
	t.Render()
	return nil
}

// cut shortens a text to at most n characters, if it can between words.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[:n]
	if i := strings.LastIndexByte(s, ' '); i > 0 {
		s = s[:i]
	}
	return s
}

func where(c *captures.Info) string {
	if c.Embedded {
		return fmt.Sprintf("embedded, %d KiB", (c.Bytes+1023)>>10)
	}
	return c.Path
}

// printCapture tells everything about one capture.
func printCapture(w io.Writer, c *captures.Info) {
	fmt.Fprintln(w, c.Name)
	for _, f := range captureFacts(c) {
		fmt.Fprintf(w, "  %-12s %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(w, "  %-12s %s\n", "where", where(c))
	for _, l := range c.Limits {
		fmt.Fprintf(w, "  %-12s %s: %s\n", "known limit", l.Model, l.Why)
	}
}

// captureFacts are what a capture's meta.json tells.
func captureFacts(c *captures.Info) []viz.Fact {
	var out []viz.Fact
	add := func(name, value string) {
		if value != "" {
			out = append(out, viz.Fact{Name: name, Value: value})
		}
	}
	add("kernel", c.Kernel)
	add("machine", c.Machine)
	if c.CPUs > 0 {
		add("CPUs", fmt.Sprint(c.CPUs))
	}
	add("memory", c.Memory)
	add("what", c.Description)
	add("workload", c.Workload)
	return out
}

func newExtractCommand() *cobra.Command {
	var plain bool
	cmd := &cobra.Command{
		Use:   "extract NAME DIR",
		Short: "Write an embedded capture's files to DIR/NAME",
		Long: `Writes the files of an embedded capture to the folder DIR/NAME, which must not
exist. They are compressed with zstd where they are large; --plain undoes that.`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeCaptures,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, n, err := extract(args[0], args[1], plain)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files\n", dir, n)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&plain, "plain", false, "write the files uncompressed")
	return cmd
}

// extract writes a capture's files and gives the folder and their number.
func extract(name, parent string, plain bool) (dir string, n int, err error) {
	fsys, err := captures.Open(name)
	if err != nil {
		return "", 0, err
	}
	dir = filepath.Join(parent, filepath.FromSlash(name))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return "", 0, fmt.Errorf("%s exists already", dir)
	}
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(p))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		n++
		return extractFile(fsys, p, to, plain)
	})
	return dir, n, err
}

func extractFile(fsys fs.FS, name, to string, plain bool) error {
	in, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	var r io.Reader = in
	if plain && strings.HasSuffix(name, ".zst") {
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		r, to = z, strings.TrimSuffix(to, ".zst")
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, r); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
