package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/viz"
)

// isTerminal says whether what is written to w is seen by a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours says whether to use them: on a terminal, unless NO_COLOR is set
// (https://no-color.org) or the terminal is dumb.
func colours(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// newTable starts a table in the command's style.
func newTable(w io.Writer, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleLight
	style.Options.DrawBorder = false
	style.Options.SeparateColumns = false
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.AppendHeader(header)
	return t
}

// resultHeader are the columns of a table of results.
var resultHeader = []string{"capture", "model", "result", "requests exact", "share", "events exact", "lists identical", "hints"}

// firstNumber is the first of resultHeader's columns that is a number.
const firstNumber = 3

// resultCells are a row's values under resultHeader.
func resultCells(r *row) []string {
	return []string{r.Capture, r.Model, r.verdict(), of(r.Exact, r.Requests), percent(r.Exact, r.Requests),
		of(r.EventsExact, r.Events), of(r.ListsIdentical, r.Lists), viz.Count(r.Hints)}
}

func of(done, all int) string { return viz.Count(done) + " of " + viz.Count(all) }

// printTable prints results for a person: a table, then what each hint and
// difference is.
func printTable(w io.Writer, rows []row) error {
	header := make([]any, len(resultHeader))
	var columns []table.ColumnConfig
	for i, h := range resultHeader {
		header[i] = h
		if i >= firstNumber {
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t := newTable(w, header...)
	t.SetColumnConfigs(columns)
	for i := range rows {
		var cells table.Row
		for _, c := range resultCells(&rows[i]) {
			cells = append(cells, c)
		}
		cells[firstNumber-1] = paint(w, &rows[i])
		t.AppendRow(cells)
	}
	t.Render()
	if s := details(rows); s != "" {
		fmt.Fprint(w, "\n", s)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", summary(rows))
	return err
}

// paint colours a verdict.
func paint(w io.Writer, r *row) string {
	v := r.verdict()
	if !colours(w) {
		return v
	}
	colour := map[string]string{"exact": "\x1b[32m", "known limit": "\x1b[33m", "differs": "\x1b[31m"}[v]
	return colour + v + "\x1b[0m"
}

// details says what kinds of hints there are, and of each row that is not exact
// where and why.
func details(rows []row) string {
	var b strings.Builder
	if kinds := hintKinds(rows); len(kinds) > 0 {
		paragraph(&b, "", "hints taken from the traces: "+counts(kinds))
	}
	for i := range rows {
		r := &rows[i]
		if r.ExactAll() {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", r.Capture)
		for _, f := range rowFacts(r) {
			paragraph(&b, "  ", f.Name+": "+f.Value)
		}
	}
	return b.String()
}

// hintKinds adds up all rows' hints by kind.
func hintKinds(rows []row) []replay.HintCount {
	var out []replay.HintCount
	for i := range rows {
		for _, h := range rows[i].HintKinds {
			at := slices.IndexFunc(out, func(o replay.HintCount) bool { return o.Kind == h.Kind })
			if at < 0 {
				out = append(out, h)
				continue
			}
			out[at].N += h.N
		}
	}
	return out
}

// paragraphWidth is where paragraphs are broken, in characters.
const paragraphWidth = 100

// paragraph writes a text with line breaks between words.
func paragraph(b *strings.Builder, indent, s string) {
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(indent)+len(line)+1+len(word) > paragraphWidth {
			fmt.Fprintf(b, "%s%s\n", indent, line)
			line = "  "
		}
		if strings.TrimSpace(line) != "" {
			line += " "
		}
		line += word
	}
	fmt.Fprintf(b, "%s%s\n", indent, line)
}

// counts writes kinds with their numbers.
func counts(list []replay.HintCount) string {
	var parts []string
	for _, h := range list {
		parts = append(parts, h.Kind+" "+viz.Count(h.N))
	}
	return strings.Join(parts, ", ")
}

// tally adds up results.
type tally struct {
	rows, exact, known      int
	requests, requestsExact int
	events, eventsExact     int
	lists, listsIdentical   int
	hints                   int
	different               int
}

func count(rows []row) tally {
	t := tally{rows: len(rows)}
	for i := range rows {
		r := &rows[i]
		switch {
		case r.ExactAll():
			t.exact++
		case r.AsDocumented:
			t.known++
		default:
			t.different++
		}
		t.requests += r.Requests
		t.requestsExact += r.Exact
		t.events += r.Events
		t.eventsExact += r.EventsExact
		t.lists += r.Lists
		t.listsIdentical += r.ListsIdentical
		t.hints += r.Hints
	}
	return t
}

// summary is the results in a sentence.
func summary(rows []row) string {
	t := count(rows)
	s := fmt.Sprintf("%d of %d replays exact", t.exact, t.rows)
	if t.known > 0 {
		s += fmt.Sprintf(", %d within a known limit", t.known)
	}
	if t.different > 0 {
		s += fmt.Sprintf(", %d different", t.different)
	}
	return fmt.Sprintf("%s: %s requests (%s), %s events, %s lists; %s hints.", s, of(t.requestsExact, t.requests),
		percent(t.requestsExact, t.requests), of(t.eventsExact, t.events), of(t.listsIdentical, t.lists), viz.Count(t.hints))
}

// printMarkdown prints the table for a document.
func printMarkdown(w io.Writer, rows []row) error {
	header := append([]string{resultHeader[0], "kernel", "machine"}, resultHeader[1:]...)
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for i := range rows {
		cells := resultCells(&rows[i])
		cells = append([]string{cells[0], release(rows[i].Kernel), shortMachine(rows[i].Machine)}, cells[1:]...)
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", summary(rows))
	return err
}

// shortMachine is a machine's description up to its first detail, but never
// without the word that says whether it was emulated.
func shortMachine(s string) string {
	switch {
	case strings.Contains(s, "QEMU"):
		return "QEMU, emulated"
	case strings.Contains(s, "virtual machine guest"):
		return "real hardware, VM guest"
	}
	return s
}

// release is the kernel's release without what its builder says about it.
func release(kernel string) string {
	first, _, _ := strings.Cut(kernel, " ")
	return first
}
