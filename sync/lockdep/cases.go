package lockdep

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Case is one case of the kernel's self-test: operations, and what the kernel
// said.
type Case struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	// Recursive says whether read_lock() is always recursive here.
	Recursive bool     `json:"read_lock_is_recursive"`
	Ops       []string `json:"ops"`
	// Expected is SUCCESS or FAILURE (a report).
	Expected string `json:"expected"`
	// Kind, Title, Detail and WarnOn are the kernel's report; an empty Title in a
	// FAILURE says that its text is not known.
	Kind   string   `json:"report_kind"`
	Title  string   `json:"report_title"`
	Detail []string `json:"report_detail"`
	WarnOn string   `json:"warn_on"`
}

// maxCases bounds the size of a case table, in bytes.
const maxCases = 64 << 20

// CasesError says where a case table is broken.
type CasesError struct {
	File string
	// Case is the case's number from 1; 0 is the table itself.
	Case            int
	Found, Expected string
}

func (e *CasesError) Error() string {
	return fmt.Sprintf("%s: case %d: found %s, expected %s", e.File, e.Case, e.Found, e.Expected)
}

// ReadCases reads a table of cases in JSON. name is the file's, for errors.
func ReadCases(name string, r io.Reader) ([]Case, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCases+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCases {
		return nil, &CasesError{name, 0, "a table too long", fmt.Sprintf("at most %d bytes", maxCases)}
	}
	var out []Case
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&out); err != nil {
		return nil, &CasesError{name, 0, err.Error(), "an array of cases"}
	}
	for i := range out {
		c := &out[i]
		switch {
		case c.Expected != "SUCCESS" && c.Expected != "FAILURE":
			return nil, &CasesError{name, i + 1, fmt.Sprintf("expected: %q", c.Expected), "SUCCESS or FAILURE"}
		case len(c.Ops) == 0:
			return nil, &CasesError{name, i + 1, "no operations", "ops"}
		}
	}
	return out, nil
}

// Run runs the case's operations on a fresh validator that tells wait types apart;
// the report is nil if there is none.
func (c *Case) Run() (*Report, error) {
	s, err := NewScript(Config{ReadRecursive: c.Recursive, RawLockNesting: true})
	if err != nil {
		return nil, err
	}
	return s.Run(c.Ops)
}

// reclaimKind is how the table calls a recursion into memory reclaim.
const reclaimKind = "fs_reclaim_recursion"

// Differences compares a report with the kernel's: "" if verdict, kind, title,
// detail and condition agree.
func (c *Case) Differences(r *Report) string {
	verdict := "SUCCESS"
	if r != nil {
		verdict = "FAILURE"
	}
	if verdict != c.Expected {
		return fmt.Sprintf("verdict %s, the kernel's is %s", verdict, c.Expected)
	}
	if r == nil {
		return ""
	}
	kind, _, _ := strings.Cut(c.Kind, " ")
	if got := c.kindOf(r); got != kind {
		return fmt.Sprintf("kind %s, the kernel's is %s", got, kind)
	}
	if c.Title != "" && r.Title != c.Title {
		return fmt.Sprintf("title %q, the kernel's is %q", r.Title, c.Title)
	}
	if r.Condition != c.WarnOn {
		return fmt.Sprintf("condition %q, the kernel's is %q", r.Condition, c.WarnOn)
	}
	if len(c.Detail) > 0 && r.Detail != c.Detail[0] {
		return fmt.Sprintf("detail %q, the kernel's is %q", r.Detail, c.Detail[0])
	}
	return ""
}

func (c *Case) kindOf(r *Report) string {
	if r.Kind == Recursion && r.Lock == "fs_reclaim" {
		return reclaimKind
	}
	return string(r.Kind)
}

// Verdict runs a case and compares; the error says what differs.
func (c *Case) Verdict() (*Report, error) {
	r, err := c.Run()
	if err != nil {
		return r, err
	}
	if d := c.Differences(r); d != "" {
		return r, errors.New(d)
	}
	return r, nil
}
