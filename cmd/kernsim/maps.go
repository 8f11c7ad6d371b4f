package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/mm/vma"
)

func newMapsCommand() *cobra.Command {
	var asJSON, scale bool
	cmd := &cobra.Command{
		Use:   "maps [flags] PID|FILE",
		Short: "Draw a process's address space with its holes",
		Long: `Reads a /proc/PID/maps, of a process of this machine or from a file ("-": the
standard input), and draws it from the top down: what is mapped and what is not,
with sizes and permissions.

Exit code 0: done. 2: the file cannot be read.`,
		Example: `  kernsim maps 1
  kernsim maps --scale maps.txt
  ssh pi cat /proc/self/maps | kernsim maps --json - | jq 'map(select(.hole)) | max_by(.bytes)'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if _, err := strconv.ParseUint(name, 10, 31); err == nil {
				name = "/proc/" + name + "/maps"
			}
			text, err := readInput(name)
			if err != nil {
				return &inputError{err}
			}
			regions, err := vma.ReadMaps(bytes.NewReader(text), name)
			if err != nil {
				return &inputError{err}
			}
			if len(regions) == 0 {
				return &inputError{fmt.Errorf("%s: nothing is mapped", name)}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), mapRows(regions))
			}
			return drawMaps(cmd.OutOrStdout(), regions, scale)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print regions and holes as a JSON array")
	cmd.Flags().BoolVar(&scale, "scale", false, "boxes grow with the size (logarithmic)")
	return cmd
}

// mapRow is a region or a hole of --json. Addresses are text: JSON numbers are
// not wide enough everywhere.
type mapRow struct {
	Start  string `json:"start"`
	End    string `json:"end"`
	Bytes  uint64 `json:"bytes"`
	Hole   bool   `json:"hole,omitempty"`
	Perms  string `json:"perms,omitempty"`
	Offset uint64 `json:"offset,omitempty"`
	Name   string `json:"name,omitempty"`
}

func mapRows(regions []vma.Region) []mapRow {
	var out []mapRow
	for i := range regions {
		r := &regions[i]
		out = append(out, mapRow{fmt.Sprintf("%#x", r.Start), fmt.Sprintf("%#x", r.End), r.End - r.Start, r.Hole(), r.Perms, r.Offset, r.Name})
	}
	return out
}

func drawMaps(w io.Writer, regions []vma.Region, scale bool) error {
	if err := vma.Draw(w, regions, scale); err != nil {
		return err
	}
	var mapped, holes, largest uint64
	n := 0
	for i := range regions {
		size := regions[i].End - regions[i].Start
		if regions[i].Hole() {
			holes, largest = holes+size, max(largest, size)
			continue
		}
		mapped, n = mapped+size, n+1
	}
	_, err := fmt.Fprintf(w, "\n%d regions with %d KiB; %d KiB of holes, the largest of %d KiB\n", n, mapped>>10, holes>>10, largest>>10)
	return err
}
