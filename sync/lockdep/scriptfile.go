package lockdep

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// maxScript bounds a script's line, in bytes.
const maxScriptLine = 4096

// ReadScript reads a script that people write: one operation of [Script] a line or
// several divided by semicolons. "#" begins a comment. "case NAME" begins another
// case with a fresh validator; "expect KIND" says which report it should end with,
// "expect SUCCESS" that there is none. "readers recursive" makes read_lock always
// recursive. name is the file's, for errors.
func ReadScript(name string, r io.Reader) ([]Case, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, maxScriptLine), maxScriptLine)
	cur := &Case{ID: 1, Name: "script"}
	var out []Case
	n := 0
	for sc.Scan() {
		n++
		line, _, _ := strings.Cut(sc.Text(), "#")
		for op := range strings.SplitSeq(line, ";") {
			f := strings.Fields(op)
			switch {
			case len(f) == 0:
			case f[0] == "case" && len(f) == 2:
				if len(cur.Ops) > 0 {
					out = append(out, *cur)
				}
				cur = &Case{ID: len(out) + 1, Name: f[1], Recursive: cur.Recursive}
			case f[0] == "expect" && len(f) == 2:
				cur.expect(f[1])
			case f[0] == "readers" && len(f) == 2 && f[1] == "recursive":
				cur.Recursive = true
			case f[0] == "case" || f[0] == "expect" || f[0] == "readers":
				return nil, &ScriptError{name, n, strings.TrimSpace(op), "case NAME, expect KIND or readers recursive"}
			default:
				cur.Ops = append(cur.Ops, strings.Join(f, " "))
			}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, &ScriptError{name, n + 1, err.Error(), fmt.Sprintf("a line of at most %d bytes", maxScriptLine)}
	}
	if len(cur.Ops) > 0 {
		out = append(out, *cur)
	}
	if len(out) == 0 {
		return nil, &ScriptError{name, n, "no operations", "lock KIND NAME and the like"}
	}
	return out, nil
}

func (c *Case) expect(kind string) {
	c.Expected, c.Kind = "FAILURE", kind
	if kind == "SUCCESS" {
		c.Expected, c.Kind = kind, ""
	}
}

// ScriptError says where a script is broken.
type ScriptError struct {
	File            string
	Line            int
	Found, Expected string
}

func (e *ScriptError) Error() string {
	return fmt.Sprintf("%s:%d: found %s, expected %s", e.File, e.Line, e.Found, e.Expected)
}
