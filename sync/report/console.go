package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// line is a line of a console without its time stamp and what follows blanks at its
// end.
type line struct {
	n    int
	text string
}

var (
	stamp    = regexp.MustCompile(`^(<\d+>)?\[[ \d.]+\](\[ *[TC]\d+\])? ?`)
	register = regexp.MustCompile(`^(RIP|Code|RSP|RAX|RDX|RBP|R\d\d|FS|CS|CR2|PKRU|ORIG_RAX): `)
)

// maxLine bounds a line, in bytes.
const maxLine = 1 << 16

// clean reads lines and leaves out stacks and registers.
func clean(r io.Reader) ([]line, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), maxLine)
	var out []line
	n, inStack := 0, false
	for sc.Scan() {
		n++
		text := strings.TrimRight(stamp.ReplaceAllString(sc.Text(), ""), " \r")
		switch {
		case register.MatchString(text):
			continue
		case text == "Call Trace:":
			inStack = true
			continue
		case inStack && strings.HasPrefix(text, " ") && text != "":
			continue
		}
		inStack = false
		out = append(out, line{n, text})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("report: line %d: more than %d bytes: %w", n+1, maxLine, err)
	}
	return out, nil
}

// cursor goes through lines.
type cursor struct {
	lines []line
	at    int
}

func (c *cursor) peek() string {
	if c.at < len(c.lines) {
		return c.lines[c.at].text
	}
	return ""
}

// match takes the next line if it has a form, and returns the parts.
func (c *cursor) match(re *regexp.Regexp) []string {
	m := re.FindStringSubmatch(c.peek())
	if m != nil && c.at < len(c.lines) {
		c.at++
		return m
	}
	return nil
}

// is takes the next line if it is the given one.
func (c *cursor) is(text string) bool {
	if c.at < len(c.lines) && c.peek() == text {
		c.at++
		return true
	}
	return false
}

// Report is one report of a console.
type Report struct {
	Kind Kind `json:"kind"`
	// Line is where it begins, from 1.
	Line int `json:"line"`
	// Lines are the report as it is printed, without stacks and registers.
	Lines []string `json:"lines"`
	facts facts
}

// Kind is a kind of report.
type Kind string

// The kinds.
const (
	Sleep     Kind = "sleep in atomic context"
	Schedule  Kind = "scheduling while atomic"
	ThisCPU   Kind = "per-CPU use in preemptible code"
	Warning   Kind = "warning"
	HungTask  Kind = "hung task"
	HeldLocks Kind = "held locks"
	Stall     Kind = "RCU stall"
	Crash     Kind = "crash test"
	// Other is a report that no model prints.
	Other Kind = "other"
)

// facts are what a report tells. again prints the report from them, or says why the
// model would not.
type facts interface {
	again() (string, error)
}

// kinds tell how each kind is read. A reader gives nil if the next line begins no
// report of its kind.
var kinds = []struct {
	kind Kind
	read func(*cursor) facts
}{
	{Sleep, readSleep}, {Schedule, readSchedule}, {ThisCPU, readThisCPU}, {Warning, readWarn},
	{HungTask, readHung}, {HeldLocks, readHeldLocks}, {Stall, readStall}, {Crash, readCrash},
	{Other, readOther},
}

// other is a report that is not understood.
type other struct{}

// errOther says that a report can not be compared.
var errOther = errors.New("no model prints this report")

func (other) again() (string, error) { return "", errOther }

// readOther takes the first line of a warning or bug of another kind.
func readOther(c *cursor) facts {
	if c.is(cutHere) {
		return other{}
	}
	if strings.HasPrefix(c.peek(), "BUG: ") {
		c.at++
		return other{}
	}
	return nil
}

// Read reads a console's text and returns its reports, in order; warnings and bugs of
// kinds that no model prints are [Other]. The error is of the reader, or of a line of more than 64 KiB.
func Read(r io.Reader) ([]Report, error) {
	lines, err := clean(r)
	if err != nil {
		return nil, err
	}
	c := &cursor{lines: lines}
	var out []Report
	for c.at < len(lines) {
		from := c.at
		for _, k := range kinds {
			c.at = from
			if f := k.read(c); f != nil {
				rep := Report{Kind: k.kind, Line: lines[from].n, facts: f}
				for _, l := range lines[from:c.at] {
					rep.Lines = append(rep.Lines, l.text)
				}
				out = append(out, rep)
				break
			}
			c.at = from + 1
		}
	}
	return out, nil
}

// Again is the report as the models print it in the state that the report tells. The
// error says why they would report nothing, or something else.
func (r *Report) Again() (string, error) { return r.facts.again() }

// Differences compares the report with what the models print: "" if every line is
// equal.
func (r *Report) Differences() string {
	text, err := r.Again()
	if err != nil {
		return err.Error()
	}
	got := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, want := range r.Lines {
		if i >= len(got) {
			return fmt.Sprintf("line %d: the kernel goes on with %q", r.Line+i, want)
		}
		if strings.TrimRight(got[i], " ") != want {
			return fmt.Sprintf("line %d of the report: %q, the kernel's is %q", i+1, got[i], want)
		}
	}
	if len(got) > len(r.Lines) {
		return fmt.Sprintf("the model goes on with %q", got[len(r.Lines)])
	}
	return ""
}
